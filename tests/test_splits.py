"""The split in force: liability and exposure share an account's profit as the payout desk would share it now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models import catalogue, liability
from models.payouts import desk_of, published, spells
from sql import relations
from tests.builders import Row
from tests.payout_world import NOW, feed, operation, product, request, settlement, trade, world

BY_PROFIT = "split = { percent = 80, tiers = [{ after_profit = 1000, percent = 90 }] }"
BY_AMOUNT = "split = { percent = 80, tiers = [{ above = 1000, percent = 90 }] }"
BY_NUMBER = (
    "split = { percent = 80, tiers = [{ after_payouts = 1, percent = 90 }, { after_payouts = 2, percent = 95 }] }"
)
GROWN = "split = { percent = 80 }\nscaling = { months = 1, percent = 5, step_percent = 25, split_percent = 90 }"
CUT = """split = { percent = 80 }
floating_loss = { base = "balance", percent = 0.6, effect = "split_cut", splits = [50, 40] }"""


def stands(folder: Path, rows: dict[str, list[Row]], terms: str) -> tuple[float, float, float]:
    """The traders' part of the profit that stands in the firm's one account, that share, and that of the next gain."""
    (folder / "plan.toml").write_text(product(terms), encoding="utf-8")
    with world(folder, rows) as connection:
        spells.show(connection, catalogue.load(folder), NOW)
        liability.register_terms(connection)
        relations.build(connection, "facts.funded_now")
        query = "select profit * split, split, next_split from facts.funded_now"
        [(part, split, after)] = connection.execute(query).fetchall()
    return part, split, after


def asked(folder: Path, rows: dict[str, list[Row]], terms: str, amount: str) -> Any:
    """What the desk says of a request now for so much."""
    (folder / "plan.toml").write_text(product(terms), encoding="utf-8")
    now = [*rows["payouts"], request("QNOW", 59.9, amount)]
    with world(folder, rows | {"payouts": now}) as connection:
        asked = spells.show(connection, catalogue.load(folder), NOW)
        found = published(asked, desk_of(connection, asked, NOW)).set_index("payout_id")
    return found.loc["QNOW"]


@pytest.mark.parametrize("terms", [BY_PROFIT, BY_AMOUNT])
@pytest.mark.parametrize(
    ("profit", "part", "after"), [("999.99", 799.992, 0.8), ("1000.00", 800.0, 0.9), ("1000.01", 800.009, 0.9)]
)
def test_a_tier_holds_from_its_limit_on_and_below_it_the_first_share(
    tmp_path: Path, terms: str, profit: str, part: float, after: float
) -> None:
    found = stands(tmp_path, feed(trade(1, 1, profit), []), terms)
    assert found == pytest.approx((part, part / float(profit), after), abs=1e-9)


@pytest.mark.parametrize(("drawn", "part"), [("999.99", 0.01 * 0.8 + 499.99 * 0.9), ("1000.00", 450), ("1000.01", 450)])
def test_what_was_drawn_before_counts_towards_a_tier_by_profit(tmp_path: Path, drawn: str, part: float) -> None:
    left = f"{500 + float(drawn):.2f}"
    rows = feed([*trade(1, 1, left), operation(1, 20, f"-{drawn}", "payout")], [request("Q1", 19, drawn)])
    assert stands(tmp_path, rows, BY_PROFIT)[0] == pytest.approx(part, abs=1e-9)


@pytest.mark.parametrize(("paid", "split"), [(0, 0.8), (1, 0.9), (2, 0.95), (3, 0.95)])
def test_a_later_payout_takes_its_own_share_also_where_nobody_asked_for_those_before(
    tmp_path: Path, paid: int, split: float
) -> None:
    drawn = [operation(n, 10 + 5 * n, "-100", "payout") for n in range(paid)]
    assert stands(tmp_path, feed([*trade(1, 1, "1000"), *drawn], []), BY_NUMBER)[1] == split


def test_a_request_that_only_waits_or_was_sent_back_changes_nothing(tmp_path: Path) -> None:
    rows = feed(trade(1, 1, "1000"), [request("Q1", 19, "200"), request("Q2", 30, "100")])
    rows["settlements"] = [settlement(1, "Q1", 20, "160", status="returned")]
    assert stands(tmp_path, rows, BY_NUMBER)[1] == 0.8


WORLDS = {
    "plain": ("split = { percent = 80 }", trade(1, 1, "1500.37")),
    "by profit": (BY_PROFIT, [*trade(1, 1, "2500.37"), operation(1, 20, "-700", "payout")]),
    "by amount": (BY_AMOUNT, trade(1, 1, "1500.37")),
    "by number": (BY_NUMBER, [*trade(1, 1, "1500.37"), operation(1, 20, "-300", "payout")]),
    "grown": (GROWN, trade(1, 1, "1500.37")),
    "not grown": (GROWN, trade(1, 1, "499.99")),
    "grown on the limit": (GROWN, trade(1, 1, "500.00")),
    "cut": (CUT, [*trade(1, 1, "1500.37")]),
}


@pytest.mark.parametrize("name", WORLDS)
def test_management_shares_profit_as_the_desk_would_now(tmp_path: Path, name: str) -> None:
    """To the minor unit to which the desk rounds."""
    terms, deals = WORLDS[name]
    rows = feed(deals, [])
    if name == "cut":
        held = {"account_id": "A1", "balance": "10000.00"}
        rows["equity"] += [held | {"observed_at": one["executed_at"], "equity": "9900.00"} for one in deals[:1]]
    profit = sum(float(one["profit"]) for one in deals)
    part, split, _ = stands(tmp_path, rows, terms)
    told = asked(tmp_path, rows, terms, f"{profit:.2f}")
    assert part == pytest.approx(float(told["trader_share"]), abs=0.005 + 1e-9)
    expected = {"plain": 0.8, "grown": 0.9, "grown on the limit": 0.9, "not grown": 0.8, "by number": 0.9, "cut": 0.5}
    assert split == pytest.approx(expected.get(name, split))


def cycle(first: int, every: int, starts: str = "opened") -> str:
    """Terms with a waiting time."""
    return f'payout = {{ first_after_days = {first}, cycle_days = {every}, cycle_start = "{starts}" }}'


ASKS: dict[str, tuple[str, str, float, bool]] = {
    "first, to the instant": (cycle(60, 14), "nothing", 0, True),
    "first, a day too early": (cycle(61, 14), "nothing", 0, False),
    "13.5 days after a payout, on the 14th date": (cycle(0, 14), "paid", 46.5, False),
    "13.5 days of 13": (cycle(0, 13), "paid", 46.5, True),
    "after a payout only the cycle counts": (cycle(90, 14), "paid", 40, True),
    "days begin with the first trade": (cycle(60, 14, "first_trade"), "nothing", 0, False),
    "a request that waits": (cycle(0, 5), "asked", 50, False),
}


@pytest.mark.parametrize("name", ASKS)
def test_eligible_now_is_what_the_desk_would_let_be_asked_for_now(tmp_path: Path, name: str) -> None:
    terms, before, day, eligible = ASKS[name]
    (tmp_path / "plan.toml").write_text(product(f"split = {{ percent = 80 }}\n{terms}"), encoding="utf-8")
    requests = [] if before == "nothing" else [request("Q1", day, "200")]
    rows = feed([*trade(1, 1, "1000"), *([operation(1, day + 0.2, "-200")] if before == "paid" else [])], requests)
    if before == "paid":
        rows["settlements"] = [settlement(1, "Q1", day + 0.1, "160")]
    with world(tmp_path, rows) as connection:
        spells.show(connection, catalogue.load(tmp_path), NOW)
        liability.register_terms(connection)
        relations.build(connection, "facts.funded_now")
        [(found,)] = connection.execute("select is_eligible from facts.funded_now").fetchall()
    with world(tmp_path, rows | {"payouts": [*requests, request("QNOW", 60, "100")]}) as connection:
        asked = spells.show(connection, catalogue.load(tmp_path), NOW)
        reviews = published(asked, desk_of(connection, asked, NOW)).set_index("payout_id")
    told = json.loads(str(reviews.loc["QNOW", "checks"]))
    failed = {check["check"] for check in told if check["outcome"] == "failed"}
    desk = not failed & {"waiting_time", "other_request"}
    assert (found, desk) == (eligible, eligible)
