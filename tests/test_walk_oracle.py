"""The compiled walk says what a slow walk in plain Python says, on accounts drawn to stand on their limits."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models.clock import to_micros
from tests.builders import Case, in_parts, oracle_says, prepare, walked
from tests.walk_oracle import Account, Deal, FirmClock, Observation, Rules, Told, reset_at, tell

MICROSECOND = dt.timedelta(microseconds=1)
START = dt.datetime(2026, 3, 5, tzinfo=dt.UTC)  # a Thursday before the weekend in which New York changes its clocks
CLOCKS = [
    FirmClock("UTC", dt.time(0), "crypto"),
    FirmClock("Europe/Prague", dt.time(0), "fx"),
    FirmClock("America/New_York", dt.time(17), "cme"),
    FirmClock("America/New_York", dt.time(2, 30), "crypto"),
]
SIZES = [Decimal("5"), Decimal("3.333"), Decimal("0.0005")]


def sizes(*moving: str) -> st.SearchStrategy[dict[str, Any]]:
    """A size: a percentage of the initial balance or of a moving base, or an amount."""
    percent = st.builds(lambda p, base: {"percent": p, "base": base}, st.sampled_from(SIZES), st.sampled_from(moving))
    return percent | st.builds(lambda a: {"amount": Decimal(a), "base": "fixed"}, st.sampled_from([0, 1, 500, 4000]))


def enforced() -> st.SearchStrategy[dict[str, Any]]:
    """How a floor is compared and what follows."""
    pause = st.sampled_from(["terminate", "terminate", "pause"])
    return st.fixed_dictionaries({"compare": st.sampled_from(["lt", "lte"]), "effect": pause})


@st.composite
def daily_losses(draw: st.DrawFn) -> dict[str, Any]:
    """Terms of a daily loss."""
    reference = draw(st.sampled_from(["balance", "equity", "max", "intraday_high"]))
    return {"reference": reference, **draw(sizes("initial", "reference")), **draw(enforced())}


@st.composite
def max_losses(draw: st.DrawFn) -> dict[str, Any]:
    """Terms of a maximum loss."""
    mode = draw(st.sampled_from(["static", "trailing_equity", "trailing_closed", "trailing_eod"]))
    moving = ("initial",) if mode == "static" else ("initial", "high_water")
    rule = {"mode": mode, **draw(sizes(*moving)), **draw(enforced())}
    if mode != "static" and draw(st.booleans()):
        rule["lock_offset"] = draw(st.sampled_from([Decimal(0), Decimal(100), Decimal("-0.01")]))
    rebase = draw(st.sampled_from(["none", "to_balance", "floor_at"]))
    rule["payout_rebase"] = rebase
    if rebase == "floor_at":
        rule["rebase_offset"] = draw(st.sampled_from([Decimal(0), Decimal(-50)]))
    return rule


def day_counts() -> st.SearchStrategy[dict[str, Any]]:
    """What makes a firm day a trading day."""
    closed = {"counts": "opened_and_closed"}
    qualifying: list[dict[str, Any]] = [
        {"counts": "qualifying", "lots": 1},
        {"counts": "qualifying", "percent": Decimal("0.0005")},
        {"counts": "qualifying", "lots": Decimal("0.51"), "amount": Decimal(1)},
    ]
    return st.sampled_from([{}, {}, closed, closed, *qualifying])


@st.composite
def stages(draw: st.DrawFn) -> Rules:
    """Terms of a stage: floors, and mostly a target with conditions."""
    rules: Rules = {}
    if draw(st.booleans()):
        rules["daily_loss"] = draw(daily_losses())
    if draw(st.booleans()):
        rules["max_loss"] = draw(max_losses())
    if draw(st.integers(0, 3)) == 0:
        ladder = {"strikes": draw(st.integers(0, 2)), "strike_effect": draw(st.sampled_from(["warn", "pause"]))}
        rules["floating_loss"] = {**draw(sizes("initial", "balance", "profit")), **ladder}
    if draw(st.integers(0, 3)) == 0:
        return rules
    basis, flat = draw(st.sampled_from(["closed", "equity"])), draw(st.booleans())
    rules["profit_target"] = {"percent": draw(st.sampled_from(SIZES[:2])), "basis": basis, "require_flat": flat}
    if rules.get("max_loss", {}).get("mode", "static") != "static" and draw(st.booleans()):
        rules["max_loss"]["lock_at_target"] = True
    if draw(st.booleans()):
        rules["min_trading_days"] = {"days": draw(st.integers(0, 3)), **draw(day_counts())}
    if draw(st.booleans()):
        rules["min_profitable_days"] = {"days": draw(st.integers(1, 2)), "amount": Decimal("10")}
    if draw(st.booleans()):
        unit, of = draw(st.sampled_from(["day", "trade", "lot"])), draw(st.sampled_from(["net", "positive", "target"]))
        share = draw(st.sampled_from([40, 50, 100]))
        rules["consistency"] = {"unit": unit, "share": share} | ({} if unit == "lot" else {"of": of})
        if unit == "trade" and share != 40:
            rules["consistency"]["merge_seconds"] = 0 if share == 50 else 36000
    return rules


def targets(told: Told, rules: Rules, initial: Decimal) -> list[Decimal]:
    """Balances and equities at which something is decided."""
    marks = [told.balance, told.equity, initial]
    marks += [floor for floor in (told.daily_floor, told.max_floor) if floor is not None]
    if "profit_target" in rules:
        moved = sum((day.moved for day in told.days.values()), Decimal(0))
        marks.append(initial + moved + (initial * rules["profit_target"]["percent"] / 100).quantize(Decimal("0.01")))
    return marks


@st.composite
def instants(draw: st.DrawFn, clock: FirmClock, last: dt.datetime) -> dt.datetime:
    """The next instant: the same, a little later, or a reset and a microsecond either side."""
    choice = draw(st.integers(0, 3))
    if choice == 0:
        return last
    if choice == 1:
        return last + dt.timedelta(hours=draw(st.integers(0, 30)), microseconds=draw(st.integers(0, 1)))
    reset = reset_at((last + dt.timedelta(days=draw(st.integers(0, 2)))).date(), clock)
    return max(last, reset + draw(st.integers(-1, 1)) * MICROSECOND)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """An account whose events are drawn one by one, each aimed at what the account stands before."""
    clock, rules = draw(st.sampled_from(CLOCKS)), draw(stages())
    currency = draw(st.sampled_from(["USD", "USD", "JPY"]))
    unit = Decimal(1) if currency == "JPY" else Decimal("0.01")
    stage = draw(st.sampled_from(["evaluation_1", "evaluation_1", "funded"]))
    if stage == "funded" and "min_trading_days" in rules:
        rules["min_trading_days"] = {"days": rules["min_trading_days"]["days"]}
    opened_at = START + dt.timedelta(hours=draw(st.integers(-2, 30)))
    account = Account(Decimal(draw(st.sampled_from(["50000", "10000.01"]))), opened_at, currency, None, stage)
    deals: list[Deal] = []
    seen: dict[dt.datetime, Observation] = {}
    at = START + dt.timedelta(hours=6)
    for number in range(draw(st.integers(1, 9))):
        at = draw(instants(clock, at))
        told = tell(account, clock, rules, deals, list(seen.values()), at)
        aim = draw(st.sampled_from(targets(told, rules, account.initial))) + draw(st.integers(-1, 1)) * unit
        what = draw(st.sampled_from(["see", "see", "open", "close", "close", "money", "credit", "fee"]))
        if what == "see":
            seen[at] = Observation(at, aim)
            continue
        deals.append(draw(drawn_deals(what, f"{number * 7 % 11}", at, aim - told.balance)))
    if draw(st.booleans()):
        account = Account(account.initial, opened_at, currency, at - draw(st.integers(0, 1)) * MICROSECOND, stage)
    as_of = draw(st.sampled_from([at, at, at + dt.timedelta(days=2), START + dt.timedelta(days=1)]))
    return Case(account, clock, rules, deals, list(seen.values()), as_of)


@st.composite
def drawn_deals(draw: st.DrawFn, what: str, deal_id: str, at: dt.datetime, amount: Decimal) -> Deal:
    """A deal that moves the balance by an amount, its costs apart from its profit or not."""
    cost = draw(st.sampled_from([Decimal(0), Decimal("-0.5"), Decimal("-3.005")]))
    if what in ("money", "credit"):
        comment = draw(st.sampled_from([None, "Correction of a swap", "payout"]))
        small = draw(st.sampled_from([amount, Decimal(-100), Decimal(50)]))
        return Deal(deal_id, at, "credit" if what == "credit" else "balance", small, comment=comment)
    if what == "fee":
        return Deal(deal_id, at, "fee", Decimal("-7.5"), symbol="EURUSD", volume=draw(volumes()))
    position = draw(st.sampled_from(["1", "1", "2", None]))
    side, volume = draw(st.sampled_from(["buy", "sell", None])), draw(volumes())
    entry = draw(st.sampled_from(["in", "in", "inout", None] if what == "open" else ["out", "out", "out_by", None]))
    profit = amount - cost if what == "close" else Decimal(0)
    return Deal(deal_id, at, "trade", profit, cost, Decimal(0), Decimal(0), entry, side, volume, position, "EURUSD")


def volumes() -> st.SearchStrategy[Decimal | None]:
    """Volumes that close a position, part of it, or are not told."""
    return st.sampled_from([Decimal(1), Decimal(1), Decimal("0.5"), Decimal(2), None])


def by_oracle(case: Case) -> dict[str, Any]:
    """The oracle's answer to a case."""
    return oracle_says(tell(case.account, case.clock, case.rules, case.deals, case.observations, case.as_of))


def after_a_bare_row() -> Case:
    """A position opened at the instant of a row of its own that says neither entry nor side, and so closes nothing."""
    at = START + dt.timedelta(hours=6)
    bare = Deal("1", at, volume=Decimal("0.5"), position_id="1")
    opening = Deal("2", at, entry="in", side="buy", volume=Decimal(1), position_id="1")
    account, seen = Account(Decimal(50000), START), Observation(at - MICROSECOND, Decimal("50000.01"))
    return Case(account, CLOCKS[0], {"daily_loss": {"percent": 5}}, [bare, opening], [seen], at)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
@example(after_a_bare_row())
def test_the_walk_says_what_the_oracle_says(case: Case) -> None:
    assert walked(prepare(case)) == by_oracle(case)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases(), data=st.data())
def test_a_walk_goes_on_from_where_it_stood(case: Case, data: st.DataObject) -> None:
    ready = prepare(case)
    near = st.sampled_from(ready.events.at.tolist() or [ready.as_of])
    cuts = data.draw(st.lists(st.builds(lambda at, by: at + by, near, st.integers(-1, 1)), max_size=3))
    cuts += data.draw(st.lists(st.integers(to_micros(START), ready.as_of), max_size=1))
    whole, parted = walked(ready), walked(ready, in_parts([max(cut, int(ready.terms["opened_at"][0])) for cut in cuts]))
    assert parted == whole
