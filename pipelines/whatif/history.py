"""What a replay needs, read once: accounts by their terms, events, payout requests and the money of challenges."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import sqlalchemy as sa

from models import events, terms
from models.answers import Answers
from models.catalogue import Rulebook
from models.clock import Clock
from models.payouts import facts, policy
from models.payouts.facts import Request
from models.set_rules import ALL_WORDED, Worded
from models.terms import FUNDED
from models.walk import NEVER, Array
from pipelines.score import ends_of, judged_accounts, register_instruments, register_terms
from sql import relations, schema
from sql.decided import register, register_tables
from sql.warehouse import Warehouse, read_frame

ALIKE = ["product", "product_version", "stage", "currency", "initial_balance"]
"""Accounts that agree in these share their terms."""

TAKING = ("strip", "split_cut", "wait")
"""Effects that take profit from a payout or let it wait."""

ENDS = ["account_id", "ended_at", "passed"]

_DECIDED = (schema.OWNERS, schema.COPY_PAIRS)


class WhatIfRefused(Exception):
    """A question that history cannot answer, and why."""


@dataclass(frozen=True)
class Groups:
    """Accounts that share their terms: one row of `keys` (columns ALIKE) per group, and each account's group."""

    keys: list[tuple[Any, ...]]
    of: Array

    def accounts(self, chosen: Array) -> Array:
        """Which accounts belong to the groups chosen (one flag per group)."""
        flags: Array = chosen[self.of]
        return flags


@dataclass(frozen=True)
class Challenges:
    """Challenges in order of id: buyer's number, list price and fee kept (US dollars), and where their accounts stand.

    `place` is each account's challenge, `path` the evaluation stages that each challenge's version asks for.
    """

    ids: list[str]
    trader: Array
    price: Array
    fee: Array
    place: Array
    path: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, accounts: Array) -> Challenges:
        """Those of some accounts alone, their buyers numbered anew."""
        bought, place = np.unique(self.place[accounts], return_inverse=True)
        return Challenges(
            [self.ids[one] for one in bought],
            pd.factorize(self.trader[bought])[0],
            self.price[bought],
            self.fee[bought],
            place,
            [self.path[one] for one in bought],
        )


@dataclass(frozen=True)
class History:
    """Everything a replay needs. Instants are microseconds; `opened_at` and `closed_at` are those of the accounts.

    `worded` are the verdicts of set-based rules whose words anybody reads: payouts are reckoned with them. `elsewhere`
    are the ends of all accounts as the last run found them, which hold for those that are not replayed.
    """

    connection: duckdb.DuckDBPyConnection
    rulebook: Rulebook
    as_of: dt.datetime
    accounts: pd.DataFrame
    groups: Groups
    told: events.Told
    opened_at: Array
    closed_at: Array
    span: tuple[int, int]
    challenges: Challenges
    requests: list[tuple[int, list[Request]]]
    rates: dict[str, float]
    stages: list[str]
    stage: Array
    worded: Worded = ALL_WORDED
    elsewhere: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=ENDS))
    lock: threading.RLock = field(default_factory=threading.RLock)
    clocks: dict[Clock, int] = field(default_factory=dict)
    schedules: list[tuple[Array, Array]] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    """What was worked out once and is asked for again: the side of today, the draws of the bootstrap."""

    @cached_property
    def answers(self) -> Answers:
        """What set-based rules found under any terms so far."""
        return Answers(self.connection, self._register)

    def of_product(self, product: str) -> tuple[History, Array]:
        """What one product's sides are measured on, and the codes that its accounts have here."""
        codes = np.flatnonzero(self.accounts["product"].to_numpy() == product)
        accounts = self.accounts.iloc[codes].reset_index(drop=True)
        place = {code: number for number, code in enumerate(codes.tolist())}
        stages = _stages(accounts)
        mine = replace(
            self,
            accounts=accounts,
            groups=_groups(accounts),
            told=replace(self.told, events=events.of_accounts(self.told.events, codes)),
            opened_at=self.opened_at[codes],
            closed_at=self.closed_at[codes],
            challenges=self.challenges.of(codes),
            requests=[(place[code], requests) for code, requests in self.requests if code in place],
            stages=stages,
            stage=_places(accounts, stages),
            kept={},
        )
        return mine, codes

    def _register(self, rulebook: Rulebook) -> None:
        """Puts a rulebook before the SQL files of the connection in the place of the one before."""
        register_terms(self.connection, rulebook, self.kept.get("registered", self.rulebook))
        self.kept["registered"] = rulebook

    def clock(self, clock: Clock) -> int:
        """A clock's place in `schedules`, which holds its resets over all history; the same on every side."""
        with self.lock:
            if clock not in self.clocks:
                self.schedules.extend(terms.schedules([clock], *self.span))
                self.clocks[clock] = len(self.schedules) - 1
            return self.clocks[clock]


@contextmanager
def opened(
    warehouse: Warehouse,
    rulebook: Rulebook,
    as_of: dt.datetime,
    products: Collection[str] | None = None,
    desks: Sequence[str] | None = None,
) -> Iterator[History]:
    """A history over the warehouse, with the owners, pairs and ends that the last run found; it lives while open."""
    with warehouse.engine(as_of) as connection:
        with warehouse.database.connect() as database:
            _register_decided(connection, database)
            stood = read_frame(database, schema.ACCOUNT_STATUS)
        yield replace(load(connection, rulebook, as_of, products, desks), elsewhere=ends_of(stood)[ENDS])


def _register_decided(connection: duckdb.DuckDBPyConnection, database: sa.Connection) -> None:
    register_tables(connection, database, *_DECIDED, *facts.OF_THE_DESK)


def load(
    connection: duckdb.DuckDBPyConnection,
    rulebook: Rulebook,
    as_of: dt.datetime,
    products: Collection[str] | None = None,
    desks: Sequence[str] | None = None,
) -> History:
    """Reads the history of some products, or of all, at some desks, or all, under the terms that were bought.

    Set-based rules are replayed on the connection, so it stays open while the history is used. Raises WhatIfRefused
    when no account of it was judged.
    """
    register_terms(connection, rulebook)
    register_instruments(connection)
    relations.build(connection, "facts.accounts", "facts.net_fees", "facts.rates")
    accounts = judged_accounts(connection)
    wanted = pd.Series(True, accounts.index) if products is None else accounts["product"].isin(list(products))
    if desks is not None:
        wanted &= accounts["desk_id"].isin(desks)
    accounts = accounts[wanted].reset_index(drop=True)
    if accounts.empty:
        raise no_history("any product" if products is None else ", ".join(sorted(products)))
    told = events.load(connection, accounts)
    compiled, _ = terms.compile_terms(accounts, rulebook)
    stages = _stages(accounts)
    requests = _requests(connection, accounts, rulebook, as_of)
    asking = accounts["account_id"].to_numpy()[[code for code, _ in requests]]
    rates = dict(connection.execute("select currency, rate_to_usd from facts.rates").fetchall())
    return History(
        connection,
        rulebook,
        as_of,
        accounts,
        _groups(accounts),
        told,
        compiled["opened_at"].copy(),
        compiled["closed_at"].copy(),
        terms.span(compiled, told.events.at, as_of),
        _challenges(connection, accounts, rulebook),
        requests,
        {currency: float(rate) for currency, rate in rates.items()} | {"USD": 1.0},
        stages,
        _places(accounts, stages),
        Worded(TAKING, frozenset(asking.tolist())),
    )


def no_history(of: str) -> WhatIfRefused:
    """Says that nothing of some products was traded."""
    return WhatIfRefused(f"no judged account of {of}: there is no history to replay")


def _stages(accounts: pd.DataFrame) -> list[str]:
    return sorted(accounts["stage"].unique())


def _places(accounts: pd.DataFrame, stages: list[str]) -> Array:
    """Each account's stage as its place among stages."""
    return pd.Categorical(accounts["stage"], categories=stages).codes.astype(np.int32)


def _groups(accounts: pd.DataFrame) -> Groups:
    places: dict[tuple[Any, ...], int] = {}
    of = [places.setdefault(key, len(places)) for key in accounts[ALIKE].itertuples(index=False, name=None)]
    return Groups(list(places), np.array(of, np.int64))


def _challenges(connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame, rulebook: Rulebook) -> Challenges:
    query = """
        select fees.challenge_id, fees.trader_id, cast(fees.net_fee as double) * rates.rate_to_usd as fee,
            cast(fees.fee as double) * rates.rate_to_usd as price
        from facts.net_fees as fees left join facts.rates as rates using (currency)
        order by fees.challenge_id
    """
    frame: pd.DataFrame = connection.execute(query).df()
    kept = frame[frame["challenge_id"].isin(set(accounts["challenge_id"]))].reset_index(drop=True)
    place = {challenge: number for number, challenge in enumerate(kept["challenge_id"])}
    bought = accounts.drop_duplicates("challenge_id").set_index("challenge_id")[["product", "product_version"]]
    versions = bought.loc[kept["challenge_id"]].itertuples(index=False, name=None)
    return Challenges(
        list(kept["challenge_id"]),
        pd.factorize(kept["trader_id"])[0],
        kept["price"].fillna(0.0).to_numpy(),
        kept["fee"].fillna(0.0).to_numpy(),
        accounts["challenge_id"].map(place).to_numpy(),
        [path(rulebook, product, int(number)) for product, number in versions],
    )


def path(rulebook: Rulebook, product: str, number: int) -> tuple[str, ...]:
    """The evaluation stages of a version in the order in which they follow each other."""
    version = rulebook.version(product, number)
    led_to = set(version.next_stage.values())
    stage: str | None = next((one for one in version.stages if one not in led_to), None)
    stages: list[str] = []
    while stage is not None and stage not in FUNDED and stage not in stages:
        stages.append(stage)
        stage = version.next_stage.get(stage)
    return tuple(stages)


def _requests(
    connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame, rulebook: Rulebook, as_of: dt.datetime
) -> list[tuple[int, list[Request]]]:
    """Payout requests of funded accounts in time order, by the account's number; no verdicts are with them yet."""
    for table in (schema.ACCOUNT_STATUS, schema.VERDICTS, *_DECIDED):
        if table in _DECIDED and relations.are_there(connection, f"decided.{table.name}"):
            continue
        register(connection, table, pd.DataFrame(columns=[column.name for column in table.columns]))
    codes = {account: code for code, account in enumerate(accounts["account_id"])}
    found: dict[int, list[Request]] = {}
    for request in facts.requests(connection, rulebook, as_of, policy.in_force(as_of), all_pasts=True):
        asks_for_money = request.amount is not None and request.amount > 0
        if asks_for_money and request.account_id in codes and request.stage in FUNDED:
            found.setdefault(codes[request.account_id], []).append(request)
    return [
        (code, sorted(listed, key=lambda one: (one.requested_at, one.payout_id)))
        for code, listed in sorted(found.items())
    ]


def requests_by(history: History, rulebook: Rulebook) -> list[tuple[int, list[Request]]]:
    """Payout requests with their firm days as the clocks of a rulebook divide them."""
    clocks = _clocks(history, rulebook)
    if clocks == _clocks(history, history.rulebook):
        return history.requests
    with history.lock:
        held: dict[Any, list[tuple[int, list[Request]]]] = history.kept.setdefault("requests", {})
        if clocks not in held:
            relations.drop(history.connection, *_BY_DAY)
            again = _requests(history.connection, history.accounts, rulebook, history.as_of)
            divided = {one.payout_id: one for _, listed in again for one in listed}
            held[clocks] = [(code, [_divided_as(divided, one) for one in listed]) for code, listed in history.requests]
        return held[clocks]


_BY_DAY = ("facts.payout_requests", "facts.payout_days", "facts.payout_trades")


def _clocks(history: History, rulebook: Rulebook) -> tuple[Clock, ...]:
    return tuple(rulebook.version(product, int(number)).clock for product, number, *_ in history.groups.keys)


def _divided_as(others: dict[str, Request], request: Request) -> Request:
    other = others[request.payout_id]
    row = request.row | {"firm_day": other.row["firm_day"]}
    return replace(request, row=row, days=other.days, trades=other.trades)


def micros(column: pd.Series[Any]) -> Array:
    """Instants as microseconds, NEVER where there is none."""
    aware = pd.to_datetime(column, utc=True).astype("datetime64[us, UTC]")
    values: Array = aware.to_numpy(dtype="datetime64[us]").astype(np.int64)
    return np.where(aware.isna().to_numpy(), NEVER, values)
