"""Comparisons of a review on their limit and either side: one request, told otherwise in what a comparison reads."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from models.payouts import amounts
from models.payouts.facts import Desk, Request
from models.payouts.review import review
from models.payouts.shares import Past, first_growth, split_of, steps_of
from models.screening import Screened
from tests.payout_world import DAY, START, TERMS, asked, feed, request, trade

pytestmark = pytest.mark.xdist_group("payouts")
MOMENT = dt.timedelta(microseconds=1)
GOOD = [*trade(1, 1, "300"), *trade(2, 2, "300"), *trade(3, 3, "400")]


def plain(folder: Path, terms: str = TERMS) -> tuple[Request, Desk]:
    """A clean request of 1,000 twenty days after the start, and its desk."""
    (found,), desk = asked(folder, feed(GOOD, [request("Q1", 20, "1000")]), terms)
    return found, desk


def told(it: Request, desk: Desk, check: str, **row: Any) -> dict[str, Any]:
    """What a check says of a request some of whose columns are others."""
    found = json.loads(review(replace(it, row=it.row | row), desk).as_row()["checks"])
    (said,) = [one for one in found if one["check"] == check]
    return dict(said)


def outcome(it: Request, desk: Desk, check: str, **row: Any) -> str:
    """What comes of a check."""
    return str(told(it, desk, check, **row)["outcome"])


def verdict(rule: str, effect: str, *trades: str) -> dict[str, Any]:
    """A verdict of the window that names trades."""
    evidence = {"sentence": rule, "occurrences": [{"trade_id": one} for one in trades]}
    row = {"rule": rule, "outcome": "breached", "effect": effect, "happened_at": START, "observed": 1, "allowed": 0}
    return row | {"evidence": json.dumps(evidence)}


def flag(kind: str, subject: str, **more: Any) -> dict[str, Any]:
    """A strong signal."""
    row = {"subject_kind": kind, "subject_id": subject, "detector": "grid", "strength": 0.5, "first_at": START}
    return row | {"last_at": START, "evidence": "{}"} | more


def test_an_amount_that_is_not_told_is_called_unknown(tmp_path: Path) -> None:
    it, desk = plain(tmp_path)
    assert told(it, desk, "amount")["sentence"] == "The amount asked for, 1,000.00 USD, is positive."
    said = told(it, desk, "amount", amount=Decimal("2086.3"))["sentence"]
    assert said == "The amount asked for, 2,086.30 USD, is positive."
    said = told(it, desk, "amount", amount=Decimal("10.005"))["sentence"]
    assert said == "The amount asked for, 10.005 USD, is positive.", "every decimal that was asked for"
    said = told(it, desk, "amount", amount=Decimal("1E+3"), currency="JPY")["sentence"]
    assert said == "The amount asked for, 1,000 JPY, is positive."
    said = told(it, desk, "amount", amount=None)["sentence"]
    assert said == "The amount asked for, unknown, is not a positive amount."


@pytest.mark.parametrize(("start", "word"), [("first_trade", "since the first trade"), ("opened", "since opening")])
def test_a_wait_is_told_from_where_it_begins(tmp_path: Path, start: str, word: str) -> None:
    it, desk = plain(tmp_path, TERMS.replace("cycle_days = 14", f'cycle_days = 14, cycle_start = "{start}"'))
    assert word in told(it, desk, "waiting_time")["sentence"]


def test_the_last_payout_that_is_possible_is_possible(tmp_path: Path) -> None:
    it, desk = plain(tmp_path, TERMS.replace("minimum = 100", "minimum = 100, max_payouts = 1"))
    assert (outcome(it, desk, "payout_count"), outcome(it, desk, "payout_count", paid_before=1)) == ("passed", "failed")


def test_only_profit_that_is_missing_can_be_named(tmp_path: Path) -> None:
    by_day, desk = plain(tmp_path, f'consistency = {{ unit = "day", share = 20 }}\n{TERMS}')
    assert Decimal(told(by_day, desk, "consistency")["numbers"]["profit_needed"]) == 2000
    by_lot, desk = plain(tmp_path, f'consistency = {{ unit = "lot", share = 20 }}\n{TERMS}')
    assert "profit_needed" not in told(by_lot, desk, "consistency")["numbers"]


def test_what_is_as_old_as_the_policy_says_is_not_older(tmp_path: Path) -> None:
    """Guards the instant itself of every age that a policy names."""
    it, desk = plain(tmp_path)
    asked_at, days = it.row["requested_at"], {name: DAY * n for name, n in desk.policy.review.items() if "days" in name}

    def ages(check: str, column: str, named: str, **more: Any) -> list[str]:
        at = asked_at - days[named]
        return [outcome(it, desk, check, **{column: one}, **more) for one in (at, at - MOMENT)]

    waits = {"open_request": "Q0"}
    assert ages("other_request", "open_request_at", "answered_within_days", **waits) == ["failed", "not_applicable"]
    assert ages("identity", "kyc_checked_at", "kyc_fresh_days") == ["passed", "failed"]
    same = {"same_request": "Q0"}
    assert ages("duplicate", "same_request_at", "same_amount_days", **same) == ["failed", "passed"]
    used = {"last_destination": "bank_0", "other_destinations": 1, "used_before": 1}
    at = asked_at - days["payee_settled_days"]
    assert [outcome(it, desk, "payee", used_since=one, **used) for one in (at, at + MOMENT)] == ["passed", "failed"]
    newest = asked_at - days["feed_lag_days"]
    clocks = [outcome(it, replace(desk, newest_fact=one), "clock") for one in (newest, newest - MOMENT)]
    assert clocks == ["passed", "failed"]
    most = dt.timedelta(days=desk.policy.screening["list_fresh_days"])
    made = [desk.as_of.date() - most, desk.as_of.date() - most - DAY, None]
    lists = [outcome(it, replace(desk, screened=Screened({}, one)), "screening") for one in made]
    assert lists == ["passed", "unknown", "passed"]


def test_a_trade_that_two_rules_take_alike_is_taken_by_the_first(tmp_path: Path) -> None:
    it, _ = plain(tmp_path)
    name = it.trades[0]["trade_id"]
    twice = replace(it, verdicts=[verdict("holding_time", "strip", name), verdict("hedging", "strip", name)])
    (found,), unknown = amounts.strips(twice, twice.terms or {})
    assert (found.rule, found.taken, unknown) == ("holding_time", 300_00, ())


@pytest.mark.parametrize(("share", "taken"), [(40, [180_00]), (None, [])])
def test_of_profit_that_is_cut_the_share_that_counts_stays(tmp_path: Path, share: int | None, taken: list[int]) -> None:
    it, _ = plain(tmp_path)
    cut = replace(it, verdicts=[verdict("news_window", "split_cut", it.trades[0]["trade_id"])])
    found, unknown = amounts.strips(cut, {"news_window": {} if share is None else {"share": share}})
    assert [one.taken for one in found] == taken
    assert unknown == (() if share else ("news_window",))


def test_a_rule_that_cuts_without_a_share_is_told_as_that_and_not_as_trades_unnamed(tmp_path: Path) -> None:
    """Guards the sentence a reviewer acts on: the trades are known, it is the terms that say no amount."""
    it, desk = plain(tmp_path)
    cut = replace(it, verdicts=[verdict("max_lots", "split_cut", it.trades[0]["trade_id"])])
    (told,) = (one for one in review(cut, desk).checks if one.check == "stripped_trades")
    assert (told.outcome, told.sentence) == (
        "unknown",
        "Rules cut the share without saying what is left of it: max_lots.",
    )


@pytest.mark.parametrize(("profit", "taken"), [("0.01", 1), ("0.00", None), ("-0.01", None)])
def test_nothing_is_taken_of_a_trade_that_made_nothing(tmp_path: Path, profit: str, taken: int | None) -> None:
    it, _ = plain(tmp_path)
    first, *others = it.trades
    named = verdict("holding_time", "strip", first["trade_id"])
    made = replace(it, trades=[first | {"net_profit": Decimal(profit)}, *others], verdicts=[named])
    assert [one.taken for one in amounts.strips(made, {})[0]] == ([] if taken is None else [taken])


def test_a_size_that_did_not_grow_is_not_told(tmp_path: Path) -> None:
    it, desk = plain(tmp_path)
    numbers = told(it, desk, "split")["numbers"]
    assert (numbers["scaled_to"], numbers["fee_refund"]) == (None, None)
    assert "split_parts" not in numbers
    assert numbers["amount_usd"] == 1000.0
    assert told(it, desk, "split", rate_to_usd=None)["numbers"]["amount_usd"] is None


def test_a_fee_that_went_back_before_is_not_given_back_again(tmp_path: Path) -> None:
    it, desk = plain(tmp_path, TERMS.replace("minimum = 100", "minimum = 100, fee_refund_on = 1"))
    at, refunds = it.row["requested_at"], []
    for when in (at - MOMENT, at):
        said = told(it, desk, "split", refunded=True, refunded_at=when)
        refunds.append((said["numbers"]["fee_refund"], "given back" in said["sentence"]))
    assert refunds == [(None, False), ("99.00 USD", True)]


@pytest.mark.parametrize(("payable", "follows"), [(99_99, "not_yet"), (100_00, "deduct"), (100_01, "deduct")])
def test_what_remains_is_paid_from_the_least_amount_on(tmp_path: Path, payable: int, follows: str) -> None:
    it, _ = plain(tmp_path)
    terms = it.terms or {}
    left = replace(amounts.worth(it, terms), profit=1000_00, deductions=1000_00 - payable)
    assert amounts.remains(left, terms) == follows


def test_ideas_reach_as_far_as_their_last_close_and_the_time_allowed() -> None:
    def one(name: str, opened: float, closed: float) -> dict[str, Any]:
        at = {"opened_at": START + opened * DAY / 24, "closed_at": START + closed * DAY / 24}
        return {"trade_id": name, "instrument": "EURUSD", "side": "buy", "made": "1"} | at

    within = [one("a", 0, 4), one("b", 1, 2), one("c", 3, 5), one("d", 6, 7)]
    assert amounts._ideas(within, 3600) == [("a", Decimal(4))]
    assert amounts._ideas(within, 3599) == [("a", Decimal(3)), ("d", Decimal(1))]


def test_days_that_come_to_nothing_have_no_best_day(tmp_path: Path) -> None:
    it, _ = plain(tmp_path)
    days = [{"firm_day": dt.date(2026, 3, day), "net": net} for day, net in ((3, "100"), (4, "-100"))]
    rule = {"unit": "day", "of": "net", "effect": "strip", "share": 50, "merge_seconds": None}
    assert amounts.consistency_excess(replace(it, days=days), {"consistency": rule}, ()) == 0


def test_an_export_is_told_by_what_is_wrong_with_it(tmp_path: Path) -> None:
    it, desk = plain(tmp_path)
    named = (("balance", "does_not_add_up"), ("profit", "exact"), ("credit", "suspect"))
    checks = [{"name": name, "verdict": said} for name, said in named]
    wrong = replace(desk, exports={"A1": {"file": "x.htm", "outcome": "does_not_add_up", "checks": checks}})
    assert told(it, wrong, "source")["sentence"].endswith("does not add up: balance, credit.")


def test_warnings_of_the_window_are_counted_by_rule(tmp_path: Path) -> None:
    it, desk = plain(tmp_path)
    some = [verdict("hedging", "warn"), verdict("daily_loss", "pause"), verdict("hedging", "warn")]
    said = told(replace(it, verdicts=[*some, verdict("holding_time", "strip")]), desk, "rules")
    assert said["sentence"] == "No rule ended the account; 3 warnings or pauses in the window."
    assert said["numbers"] == {"daily_loss": 1, "hedging": 2}


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([("A1", "A2", 0.5)], "1 account of another owner trades as this one."),
        ([("A1", "A2", 0.49)], "No account of another owner trades as this one."),
        ([("A1", "A2", 0.6), ("A0", "A1", 0.6)], "2 accounts of other owners trade as this one."),
    ],
)
def test_accounts_that_trade_as_this_one_are_named(
    tmp_path: Path, pairs: list[tuple[str, str, float]], sentence: str
) -> None:
    it, desk = plain(tmp_path)
    common = {"relation": "copy", "matched": 10, "same_owner": False}
    held = [common | {"account_a": a, "account_b": b, "strength": s} for a, b, s in pairs]
    said = told(it, replace(desk, pairs={"A1": held}), "coordination")
    assert said["sentence"] == sentence
    others = [{a, b} - {"A1"} for a, b, strength in pairs if strength >= 0.5]
    assert [{one} for one in said["numbers"]["accounts"]] == others


@pytest.mark.parametrize(
    ("said", "matched", "outcomes"),
    [
        ({}, 10, ["failed"]),
        ({"outcome": "confirmed"}, 10, ["failed"]),
        ({"outcome": "withdrawn"}, 10, ["failed"]),
        ({"outcome": "dismissed"}, 14, ["passed"]),
        ({"outcome": "dismissed"}, 15, ["failed"]),
    ],
)
def test_a_pair_that_an_analyst_allowed_or_dismissed_holds_up_nobody_until_there_is_half_as_much_again(
    tmp_path: Path, said: dict[str, str], matched: int, outcomes: list[str]
) -> None:
    it, desk = plain(tmp_path)
    pair = {"account_a": "A1", "account_b": "A2", "relation": "copy", "matched": matched}
    held = replace(
        desk,
        pairs={"A1": [pair | {"strength": 0.9, "same_owner": False}]},
        rings={"A1": ["R"]},
        ring_members={"R": ["A1", "A2"]},
        answered={("pair", "A1|A2", "copy"): said | {"seen_amount": 10.0}} if said else {},
    )
    check = told(it, held, "coordination")
    assert [check["outcome"]] == outcomes
    assert ("answered by an analyst" in check["sentence"]) == (outcomes == ["passed"])


def test_a_flag_counts_where_it_belongs_and_once(tmp_path: Path) -> None:
    it, desk = plain(tmp_path)
    own, other, mate = (flag("account", name) for name in ("A1", "A2", "A3"))
    signals = {("account", one["subject_id"]): [one] for one in (own, other, mate)}
    ring = replace(desk, rings={"A1": ["R"]}, ring_members={"R": ["A1", "A2", "A3"]})
    owners: dict[str, Any] = {"traders_of": {"T1": ["T1"]}, "accounts_of": {"T1": ["A1", "A2"], "T3": ["A3"]}}
    among = replace(ring, signals=signals, **owners)
    found = {
        name: [one["subject"] for one in told(it, among, f"{name}_signals", owner_id="T1")["numbers"]["flags"]]
        for name in ("account", "owner", "ring")
    }
    assert found == {"account": ["A1"], "owner": ["A2"], "ring": ["A3"]}
    assert told(it, among, "account_signals")["sentence"] == "1 open flag on the account: grid."
    twice = replace(desk, signals={("account", "A1"): [own, own | {"detector": "all_in"}]})
    assert told(it, twice, "account_signals")["sentence"].startswith("2 open flags on the account")


@pytest.mark.parametrize(
    ("after", "outcomes"),
    [(dt.timedelta(0), ["failed", "failed"]), (MOMENT, ["failed", "passed"]), (None, ["failed", "failed"])],
)
def test_what_was_seen_only_after_the_answer_holds_up_nobody(
    tmp_path: Path, after: dt.timedelta | None, outcomes: list[str]
) -> None:
    it, desk = plain(tmp_path)
    answered = START + 21 * DAY
    seen = flag("account", "A1", first_at=None if after is None else answered + after)
    flagged = replace(desk, signals={("account", "A1"): [seen]})
    paid = {"transfer_status": "sent", "answered_at": answered}
    said = [outcome(it, flagged, "account_signals", **row) for row in ({}, paid, paid | {"answered_at": None})]
    assert said == [*outcomes, "failed"]


@pytest.mark.parametrize("off", [0, 1])
def test_a_transfer_may_differ_by_what_rounding_leaves(tmp_path: Path, off: int) -> None:
    it, desk = plain(tmp_path)
    near = desk.policy.review["transfer_minor_units"]
    row = {"transfers": 1, "standing": 1, "transfer_currency": "USD", "transfer_status": "sent", "transfer_fee": None}
    row |= {"transfer_amount": Decimal(800_00 - near - off) / 100, "transfer_destination": it.row["destination"]}
    row |= {"transfer_fee": Decimal(0)}
    assert outcome(it, desk, "transfer", **row) == ("failed" if off else "passed")


def test_parts_of_a_split_follow_their_limits_in_whatever_order_they_are_written() -> None:
    tiers = [{"above": 500, "percent": 50}, {"above": 200, "percent": 90}]
    row = {
        "currency": "USD",
        "initial_balance": Decimal(10_000),
        "paid_before": 0,
        "drawn": Decimal(0),
        "status": "active",
    }
    split = split_of({"split": {"percent": Decimal(80), "tiers": tiers}}, row, 0, Past())
    assert split is not None and split.of(1000_00) == (160 + 270 + 250) * 100
    later = [{"after_payouts": 2, "percent": 85}, {"after_payouts": 1, "percent": 90}]
    for paid, percent in ((0, 80), (1, 90), (2, 85)):
        split = split_of({"split": {"percent": Decimal(80), "tiers": later}}, row | {"paid_before": paid}, 0, Past())
        assert split is not None and split.percent(1000_00) == percent


@pytest.mark.parametrize(("made", "grows"), [("499.99", False), ("500.00", True), ("500.01", True)])
def test_growth_begins_with_the_profit_that_it_asks_for(made: str, grows: bool) -> None:
    at, terms = START + DAY, {"scaling": {"percent": Decimal(5), "months": None, "min_payouts": 0}}
    past = Past(((at, Decimal(made)),), (), START, at)
    assert first_growth(terms, past, 10_000_00, "USD") == (at if grows else None)
    assert first_growth(terms, replace(past, opened_at=None), 10_000_00, "USD") is None
    assert first_growth({}, past, 10_000_00, "USD") is None


@pytest.mark.parametrize(
    ("paid", "steps", "since"),
    [([], 0, None), ([0.5], 1, 1), ([3], 1, 3), ([4], 0, None), ([0.5, 3], 2, 1), ([0.5, 2, 3], 2, 1)],
)
def test_growth_without_periods_asks_for_payouts_for_each_step(
    paid: list[float], steps: int, since: float | None
) -> None:
    """Guards `min_payouts` beside `months = 0`: two steps of profit are reached on days 1 and 2, one payout each."""
    rule = {"percent": Decimal(5), "months": 0, "min_payouts": 1}
    made = tuple((START + day * DAY, Decimal(500)) for day in (1, 2))
    past = Past(made, tuple(START + day * DAY for day in paid), START, START + 4 * DAY)
    assert steps_of({"scaling": rule}, past, 10_000_00, "USD") == steps
    first = first_growth({"scaling": rule}, past, 10_000_00, "USD")
    assert first == (None if since is None else START + since * DAY)
