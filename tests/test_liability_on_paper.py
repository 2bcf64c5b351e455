"""What is owed, reckoned once more on paper for a firm of twelve accounts: the marts say the same to the cent."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from models.liability import TERMS, BackTest, Forecast, back_test, features, fit, record, spread_of
from sql import relations
from tests.test_liability import past

AS_OF = dt.datetime(2026, 11, 2, 9, tzinfo=dt.UTC)
RATES = {"USD": 1.0, "EUR": 1.125, "JPY": 0.0065}
COLUMNS = ["desk_id", "currency", "initial", "balance", "equity", "waiting", "paid_before", "age_days", "idle_days"]
COLUMNS += ["begins", "percents", "is_eligible"]
FIRM: tuple[Any, ...] = (
    ("north", "USD", 10_000, 10_800.40, 10_750.10, 0.0, 0, 40, 0, [0], [80], True),
    ("north", "USD", 10_000, 9_600.00, 9_700.00, 0.0, 0, 12, 3, [0], [80], False),
    ("north", "USD", 50_000, 53_333.33, 53_000.00, 3_333.33, 2, 200, 1, [0], [90], False),
    ("north", "EUR", 25_000, 26_111.11, 26_111.11, 0.0, 1, 90, 7, [0, 1_000], [80, 90], True),
    ("north", "EUR", 25_000, 25_400.00, 25_100.00, 0.0, 0, 33, 20, [0, 1_000], [80, 90], True),
    ("north", "XAG", 25_000, 26_000.00, 26_000.00, 0.0, 0, 20, 0, [0], [80], True),
    ("south", "USD", 100_000, 108_765.43, 107_000.00, 0.0, 5, 400, 0, [0], [80], True),
    ("south", "USD", 100_000, 100_000.00, 99_000.00, 0.0, 0, 3, 3, [0], [80], False),
    ("south", "USD", 100_000, 102_000.01, 104_000.00, 2_000.01, 0, 45, 1, [0], [75], False),
    ("south", "JPY", 1_000_000, 1_090_000, 1_085_000, 0.0, 1, 61, 61, [0], [80], True),
    ("south", "JPY", 1_000_000, 1_150_001, 1_200_000, 0.0, 0, 15, 2, [0], [85], True),
    ("south", "USD", 25_000, 25_900.00, 25_900.00, 0.0, 0, 60, 5, None, None, False),
)
"""Two desks, four currencies (one without a rate), losses, tiers, requests that wait, terms without a split."""
POSITIONS = (("A0", "XAUUSD", 40_000.0), ("A1", "XAUUSD", 60_000.0), ("A3", "XAUUSD", -30_000.0), ("A6", "US30", 9e4))


def share(profit: float, begins: list[int], percents: list[int]) -> float:
    """The trader's part of a profit, part by part."""
    ends = [*begins[1:], math.inf]
    return sum(
        percent / 100 * max(min(profit, end) - begin, 0)
        for begin, end, percent in zip(begins, ends, percents, strict=True)
    )


def funded_now() -> pd.DataFrame:
    frame = pd.DataFrame(FIRM, columns=COLUMNS)
    frame["account_id"] = [f"A{n}" for n in range(len(FIRM))]
    profit = (frame["balance"] - frame["initial"]).clip(lower=0)
    first = [percents[0] / 100 if percents else math.nan for percents in frame["percents"]]
    split = [
        math.nan if not begins else (share(one, begins, percents) / one if one > 0 else alone)
        for one, begins, percents, alone in zip(profit, frame["begins"], frame["percents"], first, strict=True)
    ]
    told: dict[str, Any] = {
        "trader_id": "T" + frame["account_id"],
        "product": "two step",
        "earned": frame["balance"] - frame["initial"],
        "profit": profit,
        "split": split,
    }
    return frame.assign(**told, rate_to_usd=frame["currency"].map(RATES), waiting_part=math.nan)


@pytest.fixture(scope="module")
def days() -> pd.DataFrame:
    return past()


@pytest.fixture(scope="module")
def learned(days: pd.DataFrame) -> tuple[Forecast, BackTest]:
    """What the past taught: weights, amounts and the correction, which are no matter of this paper."""
    forecast, tested = fit(days), back_test(days)
    assert forecast is not None and tested is not None
    return forecast, tested


@pytest.fixture(scope="module")
def marts(days: pd.DataFrame) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        relations.prepare(connection, AS_OF)
        now = funded_now()
        tables = {
            "facts.funded_now": now,
            "facts.funded_weeks": days,
            "facts.open_exposures": pd.DataFrame(POSITIONS, columns=["account_id", "instrument", "net_usd"]),
            "facts.splits_now": now[["account_id", "begins", "percents"]],
            "marts.payout_queue": now.assign(waits=now["waiting"] > 0, amount=now["waiting"]),
            "marts.usd_rates": pd.DataFrame(RATES.items(), columns=["currency", "rate_to_usd"]),
        }
        for name, frame in tables.items():
            connection.register("told", frame)
            connection.execute(f"create table {name} as select * from told")
            connection.unregister("told")
        record(connection, AS_OF)
        relations.build(connection, "marts.liability", "marts.liability_accounts", "marts.reserve", "marts.stress")
        yield connection


def on_paper(learned: tuple[Forecast, BackTest]) -> pd.DataFrame:
    """Chance and amount of every account by the words of the docs, one number after the other; amounts in dollars."""
    forecast, tested = learned
    weights, usual = forecast.paid.coef_[0], forecast.usual
    rows = []
    for row in FIRM:
        desk, currency, initial, balance, equity, waiting, paid, age, idle, begins, percents, eligible = row
        profit = (balance - initial) / initial
        seen = (
            math.sqrt(min(max(profit, 0), 0.5)),
            min(max(-profit, 0), 0.2),
            min(max((equity - balance) / initial, -0.1), 0.1),
            math.sqrt(min(waiting / initial, 0.5)),
            math.log(1 + paid),
            math.log(1 + min(age, 365)),
            math.log(1 + min(idle, 60)),
        )
        odds = forecast.paid.intercept_[0] + sum(
            weight * (one - mean) / scale
            for weight, one, mean, scale in zip(weights, seen, forecast.scale.mean_, forecast.scale.scale_, strict=True)
        )
        odds = tested.correction.shift + tested.correction.slope * odds
        won = max(balance - initial, 0)
        part = share(won, begins, percents) if begins else math.nan
        split = part / won if begins and won else percents[0] / 100 if percents else usual
        rate = RATES.get(currency, math.nan)
        drawn = max(forecast.base + forecast.slope * max(profit, 0), 0) * forecast.level
        rows.append(
            {
                "desk_id": desk,
                "currency": currency,
                "rate": rate,
                "chance": 1 / (1 + math.exp(-odds)),
                "amount_usd": drawn * split * initial * rate,
                "accrued": part,
                "eligible": 0.0 if not eligible else part,
                "requested": share(waiting, begins, percents) if begins else math.nan,
                "waits": waiting > 0,
                "room_usd": (balance - initial) * rate,
                "terms": (begins, percents),
            }
        )
    paper = pd.DataFrame(rows)
    return paper.assign(expected=paper["chance"] * paper["amount_usd"] / paper["rate"])


def cents(amounts: pd.Series[float]) -> list[float | None]:
    return [None if pd.isna(one) else round(float(one), 2) for one in amounts]


def test_every_account_is_as_on_paper(marts: duckdb.DuckDBPyConnection, learned: tuple[Forecast, BackTest]) -> None:
    found = marts.sql("select * from marts.liability_accounts order by cast(account_id[2:] as integer)").df()
    paper = on_paper(learned)
    assert found["chance"].to_numpy() == pytest.approx(paper["chance"].to_numpy(), abs=1e-9)
    assert cents(found["amount_usd"]) == cents(paper["amount_usd"])
    assert cents(found["expected_usd"]) == cents(paper["expected"] * paper["rate"])
    assert cents(found["accrued_usd"]) == cents(paper["accrued"] * paper["rate"])
    # who is eligible is told by the terms; what an account without a split may ask for is nothing it may ask for
    assert cents(found["eligible_usd"]) == cents(paper["eligible"] * paper["rate"].where(paper["eligible"] > 0, 1))


@pytest.mark.parametrize("kind", ["requested", "eligible", "accrued", "expected"])
def test_what_is_owed_is_the_sum_on_paper(
    marts: duckdb.DuckDBPyConnection, learned: tuple[Forecast, BackTest], kind: str
) -> None:
    """By desk and currency: amounts, how many accounts, and how many of which nothing is known."""
    paper = on_paper(learned)
    wanted = {}
    for group, held in (paper[paper["waits"]] if kind == "requested" else paper).groupby(["desk_id", "currency"]):
        known = held[kind].dropna()
        dollars = round(float(known.sum() * held["rate"].iloc[0]), 2) if len(known) else None
        whole = round(float(known.sum()), 2) if len(known) else None
        dollars = None if pd.isna(held["rate"].iloc[0]) else dollars
        wanted[group] = (int((known > 0).sum()), len(held) - len(known), whole, dollars)
    query = """
        select desk_id, currency, accounts, unknown_accounts, round(amount, 2), round(amount_usd, 2)
        from marts.liability where kind = ?
    """
    assert {row[:2]: row[2:] for row in marts.execute(query, [kind]).fetchall()} == wanted


def test_the_reserve_holds_on_paper_as_often_as_it_says(
    marts: duckdb.DuckDBPyConnection, learned: tuple[Forecast, BackTest]
) -> None:
    """Every outcome of the accounts with its probability, all together better or worse by the back-test's spread."""
    paper, spread = on_paper(learned), spread_of(learned[1])
    tried = (np.arange(801) + 0.5) / 801
    factor = np.exp(spread * norm.ppf(tried) - spread**2 / 2)
    marts_say = marts.sql("select * from marts.reserve").df().set_index("desk_id")
    assert set(marts_say.index) == {"all", "north", "south"}
    for desk, said in marts_say.iterrows():
        mine = paper if desk == "all" else paper[paper["desk_id"] == desk]
        known = mine[mine["amount_usd"].notna()]
        chance, amount = known["chance"].to_numpy(), known["amount_usd"].to_numpy()
        assert round(said["expected_usd"], 2) == round(float((chance * amount).sum()), 2)
        assert (said["accounts"], said["unknown_accounts"]) == (len(mine), len(mine) - len(known))
        times = [brentq(lambda k, p=p: np.minimum(k * factor, 1).mean() - p, 0, 1e6) for p in chance]
        paid = np.minimum(np.outer(factor, times), 1)
        hits = np.array(list(itertools.product((0, 1), repeat=len(chance))))
        likely = np.zeros(len(hits))
        for one in paid:
            likely += np.where(hits == 1, one, 1 - one).prod(axis=1)
        likely /= len(paid)
        totals = hits @ amount
        for level, reserved in ((0.5, "median_usd"), (0.95, "reserve_95_usd"), (0.99, "reserve_99_usd")):
            off = 4 * math.sqrt(level * (1 - level) / TERMS.draws)
            assert likely[totals <= said[reserved] + 0.005].sum() >= level - off
            assert likely[totals < said[reserved] - 0.005].sum() <= level + off


def test_stress_is_as_on_paper(marts: duckdb.DuckDBPyConnection, learned: tuple[Forecast, BackTest]) -> None:
    paper = on_paper(learned)
    accrued = sorted((paper["accrued"] * paper["rate"]).dropna(), reverse=True)
    assert len(accrued) == 10, "two are unknown"
    wanted = {"the 10 largest winners ask for all": round(sum(accrued), 2)}
    for instrument in ("XAUUSD", "US30"):
        for sign, word in ((1, "rises"), (-1, "falls")):
            more = 0.0
            for account, name, net in POSITIONS:
                row = paper.iloc[int(account[1:])]
                begins, percents = row["terms"]
                dollars = [begin * row["rate"] for begin in begins]
                moved = [
                    share(max(room, 0), dollars, percents)
                    for room in (row["room_usd"], row["room_usd"] + sign * 0.02 * net)
                ]
                more += max(moved[1] - moved[0], 0) if name == instrument else 0
            wanted[f"{instrument} {word} by 2 %"] = round(more, 2)
    found = marts.sql("select scenario, amount_usd from marts.stress").fetchall()
    assert {scenario: round(amount, 2) for scenario, amount in found} == wanted


def test_the_weights_are_the_likeliest_within_what_a_feature_may_tell(
    days: pd.DataFrame, learned: tuple[Forecast, BackTest]
) -> None:
    """Weeks of one horizon count as one, and each weight is held near none: no small change of any does better."""
    forecast, known = learned[0], days[days["next_paid"].notna()]
    paid, seen = (known["next_paid"] > 0).to_numpy(float), forecast.scale.transform(features(known))
    weights = forecast.paid.coef_[0]
    missed = 1 / (1 + np.exp(-(forecast.paid.intercept_[0] + seen @ weights))) - paid
    counts = 7 / TERMS.horizon_days
    assert counts * missed.sum() / len(known) == pytest.approx(0, abs=1e-3)
    assert (counts * seen.T @ missed + weights / TERMS.telling) / len(known) == pytest.approx(0, abs=1e-3)


def test_a_payout_in_another_currency_teaches_as_well() -> None:
    """An account in euros that is paid in dollars was paid; without a rate it is not known how much."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'; set variable liability_horizon_days = 30")
        connection.execute("set variable liability_waiting_days = 30")
        relations.prepare(connection, AS_OF)
        each = "select unnest(['E', 'X', 'S']) as account_id"
        for name, query in {
            "decided.account_status": f"{each}, 'funded' as stage, 'active' as status, null::timestamptz as status_at",
            "staging.accounts": f"{each}, timestamptz '2026-09-01 00:00Z' as opened_at, 10000.0 as initial_balance",
            "facts.transfers": f"{each}, unnest(['USD', 'XAG', 'EUR']) as currency, 'EUR' as account_currency,"
            " timestamptz '2026-09-20 00:00Z' as settled_at, 'settled' as status, 440.0 as amount",
            "staging.rates": "select 'EUR' as currency, unnest([date '2026-09-10', date '2026-09-30']) as day,"
            " unnest([1.1, 9.9]) as rate_to_usd",
            "staging.payouts": "select '' as payout_id, '' as account_id, 0.0 as amount,"
            " timestamptz '2026-09-20 00:00Z' as requested_at where false",
            "facts.funded_days": "select '' as account_id, timestamptz '2026-09-01 00:00Z' as stands_at, 0.0 as profit,"
            " 0.0 as open_profit, false as is_traded where false",
            "facts.splits": "select 'E' as account_id, timestamptz '2026-09-01 00:00Z' as since, [0.0] as begins,"
            " [80.0] as percents",
        }.items():
            connection.execute(f"create table {name} as {query}")
        relations.build(connection, "facts.funded_weeks")
        query = "select next_paid from facts.funded_weeks where account_id = ? order by firm_day limit 4"
        told = {one: [row[0] for row in connection.execute(query, [one]).fetchall()] for one in "EXS"}
    assert told["E"] == pytest.approx([0.04, 0.04, 0.04, 0.0])
    assert told["S"] == pytest.approx([0.044, 0.044, 0.044, 0.0])
    assert told["X"] == [None, None, None, 0.0]
