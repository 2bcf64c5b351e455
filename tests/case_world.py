"""A firm of a few signals for tests of cases: it is weighed and its cases moved as a scoring run does."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pandas as pd
import sqlalchemy as sa

from models.access import Person
from models.cases import history
from models.cases.opening import foresee, open_from
from models.risk_score import Weighed, weigh
from sql import relations, schema
from sql.case_schema import CASES
from sql.decided import register
from sql.warehouse import Warehouse, read_frame, replace_rows

AS_OF = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 11, 2, 9, tzinfo=dt.UTC)
RITA = Person("rita", "risk_analyst")
RUTH = Person("ruth", "risk_analyst")
MARIA = Person("maria", "manager")
PAVEL = Person("pavel", "payout_reviewer")
AUDE = Person("aude", "auditor")


def signal(account: str, detector: str = "account_passing", strength: float = 0.95, days: float = 0) -> dict[str, Any]:
    """A signal about an account, its newest evidence so many days after AS_OF."""
    at = AS_OF + dt.timedelta(days=days)
    told = {"sentence": f"{detector} seen on {account}."}
    row = {"subject_kind": "account", "subject_id": account, "detector": detector, "strength": strength}
    return row | {"first_at": AS_OF, "last_at": at, "evidence": json.dumps(told)}


def pair(one: str, other: str, strength: float = 0.95, matched: int = 10) -> dict[str, Any]:
    """Two accounts that trade as one."""
    row = {"account_a": one, "account_b": other, "relation": "mirror", "strength": strength, "matched": matched}
    return row | {"same_owner": False, "evidence": json.dumps({"sentence": f"{one} mirrors {other}."})}


@dataclass
class Firm:
    """Accounts A1, A2, … of traders T1, T2, … with what a run finds about them."""

    warehouse: Warehouse
    accounts: int = 4
    desk: str = "prague"
    signals: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    stakes: dict[str, float] = field(default_factory=dict)
    runs: int = 0
    foreseen: set[str] = field(default_factory=set)

    def rows(self) -> list[dict[str, Any]]:
        """The accounts with all that stands about them."""
        return [
            {
                "account_id": f"A{n}",
                "trader_id": f"T{n}",
                "desk_id": self.desk,
                "product": "plan",
                "product_version": 1,
                "stage": "funded",
                "status": "active",
                "currency": "USD",
                "initial_balance": 100_000.0,
                "equity": 101_000.0 + n * (self.runs + 1),
                "stake": self.stakes.get(f"A{n}", 0.0),
            }
            for n in range(1, self.accounts + 1)
        ]

    def score(self, as_of: dt.datetime = AS_OF) -> list[str]:
        """Weighs what is held and moves cases as a run does; returns its remarks."""
        connection = self._engine()
        with self.warehouse.database.begin() as database:
            self.runs = history.next_run(database)
            weighed = weigh(connection, as_of, history.answers(database))
            history.keep(database, weighed, self.runs)
            self._publish(database, weighed, as_of)
            foresee(connection, database, weighed, as_of)
        self.foreseen = {one for (one,) in connection.execute("from decided.foreseen_cases").fetchall()}
        return open_from(connection, self.warehouse.database, weighed, as_of, NOW)

    def _engine(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(config={"threads": 1})
        connection.execute("set timezone = 'UTC'")
        relations.prepare(connection, AS_OF)
        connection.register("rows", pd.DataFrame(self.rows()))
        connection.execute("create table marts.usd_rates as select 'USD' as currency, 1.0 as rate_to_usd")
        for name in ("facts.accounts", "marts.accounts"):
            connection.execute(f"create table {name} as select * exclude (stake) from rows")
        connection.execute("create table facts.stakes as select account_id, stake from rows")
        seen = (
            "select account_id, 100 as positions, true as has_sign_ins, false as lacks_quotes, 0 as robot_traders,"
            " true as has_payments, true as has_equity, true as has_news, true as has_stops from rows"
        )
        connection.execute(f"create table detectors.seen as {seen}")
        for table, held in (
            (schema.SIGNALS, self.signals),
            (schema.COPY_PAIRS, self.pairs),
            (schema.OWNERS, self._owners()),
            (schema.VERDICTS, []),
            (schema.ACCOUNT_STATUS, self.rows()),
        ):
            register(connection, table, pd.DataFrame(held))
        return connection

    def _owners(self) -> list[dict[str, Any]]:
        sizes = pd.Series(list(self.owners.values()), dtype=object).value_counts()
        return [
            {"trader_id": trader, "owner_id": owner, "members": int(sizes[owner])}
            for trader, owner in self.owners.items()
        ]

    def _publish(self, database: sa.Connection, weighed: Weighed, as_of: dt.datetime) -> None:
        known = {column.name for column in schema.ACCOUNT_STATUS.columns}
        status = pd.DataFrame([{name: row[name] for name in row if name in known} for row in self.rows()])
        replace_rows(database, schema.ACCOUNT_STATUS, status)
        replace_rows(database, schema.OWNERS, pd.DataFrame(self._owners()))
        replace_rows(database, schema.RISK_SCORES, weighed.scores)
        row = {"run_id": self.runs, "started_at": NOW, "finished_at": NOW, "as_of": as_of}
        row["marts"] = relations.fingerprint("marts")
        database.execute(sa.insert(schema.RUNS).values(**row))

    def cases(self) -> dict[str, dict[str, Any]]:
        """Cases as they stand by their id."""
        with self.warehouse.database.connect() as database:
            found = read_frame(database, sa.select(CASES)).to_dict("records")
        return {str(row["case_id"]): {str(name): value for name, value in row.items()} for row in found}

    def read(self, table: sa.Table) -> list[dict[str, Any]]:
        """Rows of a table."""
        with self.warehouse.database.connect() as database:
            return [dict(row) for row in database.execute(sa.select(table)).mappings()]
