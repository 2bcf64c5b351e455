"""A run that goes on from what an earlier one measured says what one says that measures everybody anew."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa

from benchmarks.quality.conduct_firms import FIRMS, START, Firm, Maker, Row
from models import checkpoints
from models.detectors import detect_all, kept
from models.detectors.base import FLAG_MIN
from models.detectors.kept import Kept
from models.risk_score import weigh
from sql import relations, schema
from sql.decided import register
from sql.warehouse import replace_rows

DATED = {
    "deals": "executed_at", "logins": "occurred_at", "payouts": "requested_at", "payments": "occurred_at",
    "accounts": "opened_at", "challenges": "purchased_at", "news": "occurs_at", "settlements": "settled_at",
    "equity": "observed_at", "quotes": "quoted_at",
}  # fmt: skip
DAYS = (64, 65, 88, 93)
"""On which days it is told: two of a month, then two of the next."""


@pytest.fixture(autouse=True)
def keep_small_firms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_FROM_TRADES", 0)


@pytest.fixture(scope="module")
def firm() -> Firm:
    """Some of every kind that is judged by an account's history, and ordinary people; a third trade netted."""
    maker = Maker(FIRMS[0], 8)
    for kind in (
        "fast_hands", "latency_arbitrage", "news_straddling", "all_in", "martingale", "grid", "payout_gaming",
        "account_passing", "honest_payout", "many_accounts",
    ):  # fmt: skip
        getattr(maker, kind)()
    for _ in range(12):
        maker.ordinary()
    netted = {row["account_id"] for row in maker.firm.rows["accounts"][::3]}
    deals = maker.firm.rows["deals"]
    deals[:] = [{**row, "position_id": None} if row["account_id"] in netted else row for row in deals]
    return maker.firm


def deals_read(connection: duckdb.DuckDBPyConnection, accounts: set[str]) -> pd.DataFrame:
    """The deals that detectors read of some accounts."""
    query = "from detectors.trade_deals where account_id in (select unnest(?)) order by all"
    return connection.execute(query, [sorted(accounts)]).df()


def deliveries(firm: Firm, chance: random.Random) -> dict[str, list[tuple[int, int, Row]]]:
    """Rows with their delivery and version: in order of time, some late, some deals wrong first."""
    told: dict[str, list[tuple[int, int, Row]]] = {name: [] for name in firm.rows}
    days = [START + dt.timedelta(days=day) for day in DAYS]
    for name, rows in firm.rows.items():
        for row in rows:
            step = next((k for k, day in enumerate(days) if name not in DATED or row[DATED[name]] <= day), None)
            if step is None:
                continue
            late = chance.random() < (0.2 if name in ("accounts", "news") else 0.01)
            step = chance.randrange(step, len(days)) if late else step
            told[name].append((step, 1, row))
            if name == "deals" and row["kind"] == "trade" and chance.random() < 0.003 and step + 1 < len(days):
                wrong = {**row, "executed_at": row["executed_at"] - dt.timedelta(days=chance.choice([0, 1, 40]))}
                told[name][-1] = (step, 1, wrong)
                told[name].append((chance.randrange(step + 1, len(days)), 2, row))
    return told


def stood(firm: Firm, told: dict[str, list[tuple[int, int, Row]]], step: int) -> duckdb.DuckDBPyConnection:
    """The firm as it stood after a delivery."""
    chosen = {name: [one for one in rows if one[0] <= step] for name, rows in told.items()}
    here = replace(firm, days=DAYS[step], rows={name: [row for _, _, row in rows] for name, rows in chosen.items()})
    return here.engine(
        {name: [(delivery + 1, version) for delivery, version, _ in rows] for name, rows in chosen.items()}
    )


def passed_on(
    connection: duckdb.DuckDBPyConnection, signals: pd.DataFrame, day: int, loads: set[int], before: Kept | None = None
) -> Kept | None:
    """What the next run reads of what this one leaves, through a database."""
    engine = sa.create_engine("sqlite://")
    schema.CONDUCT_KEPT.create(engine)
    with engine.begin() as database:
        left = kept.leave(connection, signals, START + dt.timedelta(days=day), loads, before)
        replace_rows(database, schema.CONDUCT_KEPT, left)
        return kept.read(database)


def forgotten(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The same firm, of which nothing was measured yet."""
    relations.clear(connection, "detectors")
    return connection


def measured(connection: duckdb.DuckDBPyConnection) -> int:
    """How many accounts that are known were measured."""
    query = "select count(distinct account_id) from detectors.trades semi join facts.accounts using (account_id)"
    return int(connection.sql(query).fetchall()[0][0])


def test_says_the_same_after_any_delivery(firm: Firm) -> None:
    told, before = deliveries(firm, random.Random(1)), None
    for step, day in enumerate(DAYS):
        loads, now = set(range(1, step + 2)), START + dt.timedelta(days=day)
        connection = stood(firm, told, step)
        signals, _ = detect_all(connection, now, before=before, loads=loads)
        before = passed_on(connection, signals, day, loads, before)
        assert before is not None
        accounts = {account for (account,) in connection.sql("select account_id from detectors.trades").fetchall()}
        read = deals_read(connection, accounts)
        afresh, _ = detect_all(forgotten(connection), now)
        assert len(afresh) > 5
        assert len(read) > 5
        pd.testing.assert_frame_equal(read, deals_read(connection, accounts))
        pd.testing.assert_frame_equal(signals, afresh)


def test_measures_only_accounts_of_which_something_else_is_known(firm: Firm) -> None:
    told = {
        name: [(step, version, row) for step, version, row in rows if step == 0 or (name == "deals" and step == 1)]
        for name, rows in deliveries(firm, random.Random(0)).items()
    }
    first, now = stood(firm, told, 1), START + dt.timedelta(days=DAYS[1])
    everybody = first.sql("select count(distinct account_id) from lake.deals").fetchall()[0][0]
    signals, _ = detect_all(first, now)
    held = passed_on(first, signals, DAYS[1], {1, 2})
    assert held is not None

    for other in (
        replace(held, as_of=now + dt.timedelta(days=1)),
        replace(held, loads=frozenset({1, 2, 9})),
        replace(held, as_of=now - dt.timedelta(days=40)),
    ):
        detect_all(forgotten(first), now, before=other, loads={1, 2})
        assert measured(first) > everybody / 2

    again, _ = detect_all(forgotten(first), now, before=held, loads={1, 2})
    assert measured(first) < everybody / 2
    pd.testing.assert_frame_equal(again, signals)


def answered(signals: pd.DataFrame, decided_at: dt.datetime) -> pd.DataFrame:
    """What analysts answer about flagged accounts, by turns that it is so and that it is not."""
    flags = signals[(signals["subject_kind"] == "account") & (signals["strength"] >= FLAG_MIN)].reset_index(drop=True)
    assert len(flags) > 3
    outcome = ["confirmed" if n % 2 else "dismissed" for n in range(len(flags))]
    told = flags[["subject_kind", "subject_id", "detector", "strength"]]
    return told.assign(
        outcome=outcome, counts=True, seen_until=flags["last_at"], seen_amount=None, decided_at=pd.Timestamp(decided_at)
    )


OTHER_TERMS = "; ".join(f"update terms.{rule} set percent = percent / 2" for rule in ("daily_loss", "max_loss"))
CALENDAR = """
    insert into lake.news
    select * replace (occurs_at + to_hours(5) as occurs_at, 2 as _load_id, 2 as _version) from lake.news
    where event_id = 'N15'
"""


@pytest.mark.parametrize(
    ("change", "measures_all"),
    [(OTHER_TERMS, True), (CALENDAR, False), ("select 1", False)],
    ids=["terms", "calendar", "answers"],
)
def test_says_the_same_when_something_else_than_deals_is_told(firm: Firm, change: str, measures_all: bool) -> None:
    told = {
        name: [(0, version, row) for step, version, row in rows if step == 0 or (name == "deals" and step == 1)]
        for name, rows in deliveries(firm, random.Random(0)).items()
    }
    now = START + dt.timedelta(days=DAYS[1])
    connection = stood(firm, told, 1)
    signals, _ = detect_all(connection, now)
    everybody = measured(connection)
    before, answers = passed_on(connection, signals, DAYS[1], {1}), answered(signals, now)
    assert before is not None
    register(connection, schema.SIGNALS, signals)
    unanswered = weigh(connection, now).scores

    forgotten(connection)
    connection.execute(change)
    again, _ = detect_all(connection, now, before=before, loads={1, 2})
    register(connection, schema.SIGNALS, again)
    scores = weigh(connection, now, answers).scores
    assert (measured(connection) == everybody) == measures_all
    afresh, _ = detect_all(forgotten(connection), now)
    pd.testing.assert_frame_equal(again, afresh)
    register(connection, schema.SIGNALS, afresh)
    pd.testing.assert_frame_equal(scores, weigh(connection, now, answers).scores)
    assert not scores["score"].equals(unanswered["score"])


def test_what_other_code_left_and_a_small_firm_are_not_gone_on_from(
    firm: Firm, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = stood(firm, deliveries(firm, random.Random(0)), 0)
    signals, _ = detect_all(connection, START + dt.timedelta(days=DAYS[0]))
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "code", lambda: "other")
        other = kept.leave(connection, signals, START + dt.timedelta(days=DAYS[0]), {1})
    engine = sa.create_engine("sqlite://")
    schema.CONDUCT_KEPT.create(engine)
    with engine.begin() as database:
        replace_rows(database, schema.CONDUCT_KEPT, other)
        assert kept.read(database) is None
    monkeypatch.setattr(kept, "KEPT_FROM_TRADES", 10_000_000)
    assert kept.leave(connection, signals, START + dt.timedelta(days=DAYS[0]), {1}).empty
