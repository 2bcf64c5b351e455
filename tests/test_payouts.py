"""Reviews of payout requests: each condition on its limit and either side, and money to the cent."""

from __future__ import annotations

import datetime as dt
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from models.payouts import policy
from models.payouts.amounts import ladder_step
from models.payouts.checks import Check, eligible, recommended
from models.payouts.shares import Split
from sql import schema
from sql.case_schema import CASES, DISPOSITIONS
from sql.desk_schema import PAYOUT_STATES, PAYOUT_TRANSFERS
from tests.builders import Row
from tests.payout_world import (
    DAY,
    START,
    TERMS,
    every_test,
    feed,
    operation,
    request,
    reviewed,
    settlement,
    trade,
    walk_together,
)

pytestmark = pytest.mark.xdist_group("payouts")
SECOND = 1 / 86_400
GOOD = [*trade(1, 1, "300"), *trade(2, 2, "300"), *trade(3, 3, "400")]


@pytest.fixture(scope="module", autouse=True)
def firms(tmp_path_factory: pytest.TempPathFactory) -> None:
    walk_together(every_test(sys.modules[__name__]), tmp_path_factory.mktemp("firms"))


def one(folder: Path, rows: Any, terms: str = TERMS, payout: str = "Q1", **more: Any) -> dict[str, Any]:
    """The review of one request."""
    return reviewed(folder, rows, terms, **more)[payout]


def test_a_clean_request_is_approved_and_split_to_the_cent(tmp_path: Path) -> None:
    told = one(tmp_path, feed(GOOD, [request("Q1", 20, "1000.00")]))
    assert (told["recommendation"], told["eligible"]) == ("approve", True)
    assert (told["trader_share"], told["firm_share"], told["deductions"]) == (800, 200, 0)
    outcomes = {check["outcome"] for check in told["checks"].values()}
    assert outcomes == {"passed", "not_applicable"}


@pytest.mark.parametrize(("day", "outcome"), [(14 - SECOND, "failed"), (14, "passed"), (14 + SECOND, "passed")])
def test_the_first_payout_waits_to_the_second(tmp_path: Path, day: float, outcome: str) -> None:
    told = one(tmp_path, feed(GOOD, [request("Q1", day, "1000")]))
    assert told["checks"]["waiting_time"]["outcome"] == outcome
    assert (told["recommendation"] == "approve") == (outcome == "passed") == told["eligible"]


@pytest.mark.parametrize(("day", "outcome"), [(34 - SECOND, "failed"), (34, "passed")])
def test_the_next_payout_waits_from_the_last_request(tmp_path: Path, day: float, outcome: str) -> None:
    deals = [*GOOD, operation(1, 21, "-1000", "payout"), *trade(4, 25, "200")]
    asked = [request("Q1", 20, "1000"), request("Q2", day, "200")]
    told = one(tmp_path, feed(deals, asked, settlements=[settlement(1, "Q1", 22, "800")]), payout="Q2")
    assert told["checks"]["waiting_time"]["outcome"] == outcome
    assert told["checks"]["profit"]["numbers"]["withdrawable"] == "200"


@pytest.mark.parametrize(("amount", "outcome"), [("99.99", "failed"), ("100.00", "passed"), ("100.01", "passed")])
def test_the_least_amount(tmp_path: Path, amount: str, outcome: str) -> None:
    told = one(tmp_path, feed(GOOD, [request("Q1", 20, amount)]))
    assert told["checks"]["minimum"]["outcome"] == outcome


@pytest.mark.parametrize(
    ("more", "amount", "trader", "check"),
    [
        ("cap_amount = 500", "500.00", 400, None),
        ("cap_amount = 500", "500.01", 400, "cap"),
        ("cap_percent = 5", "500.01", 400, "cap"),
        ("max_share = 50", "500.00", 400, None),
        ("max_share = 50", "500.01", 400, "cap"),
        ("buffer = 600", "400.00", 320, None),
        ("buffer = 600", "400.01", 320, "profit"),
        ("buffer_percent = 6", "400.01", 320, "profit"),
        ("cap_ladder = [300, 600]", "300.01", 240, "cap"),
        ("", "1000.01", 800, "profit"),
    ],
)
def test_what_is_above_a_cap_or_the_profit_stays(
    tmp_path: Path, more: str, amount: str, trader: int, check: str | None
) -> None:
    terms = TERMS.replace("minimum = 100", f"minimum = 100{', ' if more else ''}{more}")
    told = one(tmp_path, feed(GOOD, [request("Q1", 20, amount)]), terms)
    failed = [name for name, held in told["checks"].items() if held["outcome"] == "failed"]
    assert failed == ([check] if check else [])
    assert told["recommendation"] == ("deduct" if check else "approve")
    assert told["eligible"] == (check is None)
    assert told["trader_share"] == trader
    assert told["trader_share"] + told["firm_share"] + told["deductions"] == Decimal(amount)


@pytest.mark.parametrize(("amount", "deducted"), [("1000.02", "0"), ("1000.03", "0.01")])
def test_amounts_with_more_decimals_are_rounded_one_by_one_as_in_the_balance(
    tmp_path: Path, amount: str, deducted: str
) -> None:
    """333.335 is 333.34 and a cost of .004 none in the balance, so three of them make 1,000.02, and not 999.993."""
    made = [row for number in (1, 2, 3) for row in trade(number, number, "333.335", commission="-0.004")]
    told = one(tmp_path, feed(made, [request("Q1", 20, amount)]))
    assert told["deductions"] == Decimal(deducted)


def test_what_rules_take_of_trades_is_rounded_as_in_the_balance(tmp_path: Path) -> None:
    """Guards that of three trades of 333.335 less .004, all void, not 0.03 are left to be paid."""
    made = [row for number in (1, 2, 3) for row in trade(number, number, "333.335", commission="-0.004")]
    told = one(tmp_path, feed(made, [request("Q1", 20, "1000.02")]), f"{TERMS}\nholding_time = 7200")
    assert (told["deductions"], told["trader_share"], told["firm_share"]) == (Decimal("1000.02"), 0, 0)


@pytest.mark.parametrize(
    ("share", "outcome"), [("33.35", "passed"), ("33.33", "failed")], ids=["a third and some", "less than a third"]
)
def test_the_largest_trades_share_is_of_amounts_rounded_one_by_one(tmp_path: Path, share: str, outcome: str) -> None:
    """Guards that numerator and denominator of consistency by trade are rounded alike: 333.34 of 1,000.02 each."""
    made = [row for number in (1, 2, 3) for row in trade(number, number, "333.335")]
    terms = TERMS + f'\nconsistency = {{ unit = "trade", share = {share} }}'
    told = one(tmp_path, feed(made, [request("Q1", 20, "500")]), terms)
    assert told["checks"]["consistency"]["outcome"] == outcome


@pytest.mark.parametrize(
    ("rule", "check", "outcome"),
    [
        ("min_trading_days = 3", "trading_days", "passed"),
        ("min_trading_days = 4", "trading_days", "failed"),
        ('min_trading_days = { days = 3, counts = "opened_and_closed" }', "trading_days", "passed"),
        ('min_trading_days = { days = 4, counts = "opened_and_closed" }', "trading_days", "failed"),
        ('min_trading_days = { days = 3, counts = "qualifying", percent = 3 }', "trading_days", "passed"),
        ('min_trading_days = { days = 3, counts = "qualifying", percent = 3.01 }', "trading_days", "failed"),
        ('min_trading_days = { days = 3, counts = "qualifying", lots = 1 }', "trading_days", "passed"),
        ('min_trading_days = { days = 1, counts = "qualifying", lots = 1.01 }', "trading_days", "failed"),
        ("min_profitable_days = { days = 3, amount = 300 }", "profitable_days", "passed"),
        ("min_profitable_days = { days = 3, amount = 300.01 }", "profitable_days", "failed"),
        ("min_profitable_days = { days = 3, amount = 300, within_days = 20 }", "profitable_days", "passed"),
        ("min_profitable_days = { days = 3, amount = 300, within_days = 19 }", "profitable_days", "failed"),
        ('consistency = { unit = "day", share = 40 }', "consistency", "passed"),
        ('consistency = { unit = "day", share = 39.99 }', "consistency", "failed"),
        ('consistency = { unit = "trade", share = 40 }', "consistency", "passed"),
        ('consistency = { unit = "trade", share = 39.99 }', "consistency", "failed"),
        ('consistency = { unit = "trade", share = 40, merge_seconds = 0 }', "consistency", "passed"),
        ('consistency = { unit = "trade", share = 40, merge_seconds = 86400 }', "consistency", "failed"),
    ],
)
def test_days_and_consistency_of_the_window(tmp_path: Path, rule: str, check: str, outcome: str) -> None:
    told = one(tmp_path, feed(GOOD, [request("Q1", 20, "1000")]), f"{rule}\n{TERMS}")
    assert told["checks"][check]["outcome"] == outcome
    assert told["recommendation"] == ("approve" if outcome == "passed" else "reject")


@pytest.mark.parametrize(("hours", "outcome"), [(15.99, "passed"), (16, "failed")])
def test_a_day_of_opening_and_closing_is_one_firm_day(tmp_path: Path, hours: float, outcome: str) -> None:
    """Guards that a position closed at the next midnight or later makes no such day."""
    rows = feed(trade(1, 1, "300", hours=hours), [request("Q1", 20, "300")])
    told = one(tmp_path, rows, f'min_trading_days = {{ days = 1, counts = "opened_and_closed" }}\n{TERMS}')
    assert told["checks"]["trading_days"]["outcome"] == outcome


@pytest.mark.parametrize(("second", "outcome"), [("100.01", "failed"), ("100.02", "passed")])
def test_a_share_of_profit_is_not_rounded(tmp_path: Path, second: str, outcome: str) -> None:
    """Guards that half of an odd cent is not given away: 100.02 is more than half of 200.03."""
    rows = feed([*trade(1, 1, "100.02"), *trade(2, 2, second)], [request("Q1", 20, "200")])
    told = one(tmp_path, rows, f"consistency = {{ share = 50 }}\n{TERMS}")
    assert told["checks"]["consistency"]["outcome"] == outcome


def test_of_a_trade_that_a_payout_divides_only_what_came_since_counts(tmp_path: Path) -> None:
    """Guards that the first half of a trade, paid out already, is not held against the next payout."""
    halves = [{**deal, "volume": "0.5"} for deal in trade(4, 15, "600", hours=1)[1:]]
    opening, closing = trade(4, 15, "200", hours=24 * 10)
    deals = [*GOOD, opening, {**halves[0], "deal_id": "half"}, operation(1, 21, "-1600", "payout")]
    deals += [{**closing, "volume": "0.5"}, *trade(5, 26, "200")]
    asked = [request("Q1", 20, "1600"), request("Q2", 40, "400")]
    terms = f'consistency = {{ unit = "trade", share = 50 }}\n{TERMS}'
    told = one(tmp_path, feed(deals, asked, settlements=[settlement(1, "Q1", 22, "1280")]), terms, payout="Q2")
    assert told["checks"]["consistency"]["numbers"]["best"] == "200"
    assert told["checks"]["consistency"]["outcome"] == "passed"


def test_consistency_of_no_profit_does_not_apply(tmp_path: Path) -> None:
    deals = [*trade(1, 1, "100"), *trade(2, 2, "-100")]
    told = one(
        tmp_path, feed(deals, [request("Q1", 20, "100")]), 'consistency = { unit = "day", share = 30 }\n' + TERMS
    )
    assert told["checks"]["consistency"]["outcome"] == "not_applicable"
    assert told["recommendation"] == "reject"


def test_the_window_begins_after_the_last_payout(tmp_path: Path) -> None:
    deals = [*GOOD, operation(1, 21, "-1000", "payout"), *trade(4, 25, "200"), *trade(5, 26, "200")]
    asked = [request("Q1", 20, "1000"), request("Q2", 40, "400")]
    terms = 'consistency = { unit = "day", share = 50 }\n' + TERMS
    told = one(tmp_path, feed(deals, asked, settlements=[settlement(1, "Q1", 22, "800")]), terms, payout="Q2")
    assert told["checks"]["consistency"]["numbers"]["of"] == "400"
    assert told["recommendation"] == "approve"


def test_open_positions_wait_unless_they_may_be_open(tmp_path: Path) -> None:
    rows = feed([*GOOD, *trade(4, 19, "0", hours=48)], [request("Q1", 20, "1000")])
    assert one(tmp_path / "a", rows)["checks"]["open_positions"]["outcome"] == "failed"
    allowed = TERMS.replace("minimum = 100", "minimum = 100, require_flat = false")
    assert one(tmp_path / "b", rows, allowed)["checks"]["open_positions"]["outcome"] == "not_applicable"


def test_a_second_request_beside_an_open_one_waits(tmp_path: Path) -> None:
    rows = feed(GOOD, [request("Q1", 20, "600"), request("Q2", 21, "400"), request("Q3", 40, "400")])
    told = reviewed(tmp_path, rows)
    assert told["Q2"]["checks"]["other_request"]["outcome"] == "failed"
    assert told["Q2"]["recommendation"] == "reject"
    assert told["Q3"]["checks"]["other_request"]["outcome"] == "not_applicable"


def test_of_requests_of_one_instant_the_last_by_id_is_the_newest(tmp_path: Path) -> None:
    """Guards that a review says the same whatever order its records come in."""
    rows = feed(GOOD, [request(name, 20, "400") for name in ("Q3", "Q5", "Q4", "Q2")] + [request("Q9", 21, "400")])
    numbers = reviewed(tmp_path, rows)["Q9"]["checks"]["other_request"]["numbers"]
    assert numbers["request"] == "Q5"


@pytest.mark.parametrize(("limit", "deducted", "recommendation"), [(3600, 0, "approve"), (3601, 700, "deduct")])
def test_profits_of_trades_that_a_rule_strips_are_deducted(
    tmp_path: Path, limit: int, deducted: int, recommendation: str
) -> None:
    deals = [*trade(1, 1, "300"), *trade(2, 2, "400"), *trade(3, 3, "-100"), *trade(4, 4, "400", hours=5)]
    told = one(tmp_path, feed(deals, [request("Q1", 20, "1000")]), f"holding_time = {limit}\n{TERMS}")
    assert (told["deductions"], told["recommendation"]) == (deducted, recommendation)
    assert told["trader_share"] == (1000 - deducted) * Decimal("0.8")
    assert told["trader_share"] + told["firm_share"] + told["deductions"] == 1000
    assert told["eligible"]


@pytest.mark.parametrize(
    ("taken", "corrected", "void", "due"),
    [
        ("-700", "0", 300, 400),
        ("-800", "0", 200, 400),
        ("-1000", "0", 0, 400),
        ("-700", "-300", 0, 400),
        ("-700", "-299.99", 300, 100.01),
    ],
)
def test_profit_that_was_stripped_once_is_not_paid_later(
    tmp_path: Path, taken: str, corrected: str, void: int, due: float
) -> None:
    """Guards void profit still in the account after a payout; what left it beyond what was due took it along, as a
    correction of its very amount does."""
    deals = [
        *trade(1, 1, "300"),
        *trade(2, 2, "700", hours=5),
        operation(1, 20.5, taken),
        {**operation(2, 21, corrected), "comment": "correction: holding time"},
        *trade(3, 30, "400", hours=5),
    ]
    rows = feed(deals, [request("Q1", 20, "1000"), request("Q2", 40, "700")])
    told = reviewed(tmp_path, rows, f"holding_time = 3601\n{TERMS}")
    assert (told["Q1"]["trader_share"], told["Q1"]["deductions"]) == (560, 300)
    second = {name: float(told["Q2"][name]) for name in ("trader_share", "firm_share", "deductions")}
    assert second["trader_share"] + second["firm_share"] == pytest.approx(due)
    assert second["deductions"] == pytest.approx(700 - due)
    profit = told["Q2"]["checks"]["profit"]
    assert [float(profit["numbers"][name]) for name in ("void_before", "withdrawable")] == [void, due]
    assert ("is void and still in the account" in profit["sentence"]) == bool(void)


def test_consistency_that_only_warns_keeps_nobody_from_a_payout(tmp_path: Path) -> None:
    """Guards terms that say `warn`: a person is told, the request stays eligible."""
    terms = f'consistency = {{ share = 10, effect = "warn" }}\n{TERMS}'
    told = one(tmp_path, feed(GOOD, [request("Q1", 20, "1000")]), terms)
    assert told["eligible"] and told["recommendation"] == "approve"
    assert told["checks"]["consistency"]["outcome"] == "not_applicable"
    assert told["checks"]["consistency"]["sentence"].endswith("10 % allowed. The terms only warn of it.")


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [("60.00", "61.80", 80), ("60.01", "61.80", 50), ("60.01", "61.81", 40), ("60.00", "61.81", 50)],
)
def test_open_losses_too_large_lower_the_split_for_good(tmp_path: Path, first: str, second: str, share: int) -> None:
    """Guards a shield: every day with an open loss above 0.6 % of the balance takes the next step, of all payouts."""
    rows = feed(GOOD, [request("Q1", 20, "1000.00"), request("Q2", 1, "1.00")])
    for balance, loss, day in (("10000", first, 1.02), ("10300", second, 2.02)):
        seen = {"account_id": "A1", "observed_at": START + day * DAY, "balance": balance}
        rows["equity"].append(seen | {"equity": str(Decimal(balance) - Decimal(loss))})
    shield = 'floating_loss = { base = "balance", percent = 0.6, effect = "split_cut", splits = [50, 40] }'
    told = reviewed(tmp_path, rows, f"{shield}\n{TERMS}")
    assert told["Q1"]["trader_share"] == share * 10
    assert told["Q1"]["trader_share"] + told["Q1"]["firm_share"] == 1000
    assert told["Q1"]["checks"]["stripped_trades"]["outcome"] == "passed"
    assert told["Q2"]["checks"]["split"]["numbers"]["split_pct"] == "80"


def test_an_account_breached_before_the_request_is_rejected(tmp_path: Path) -> None:
    rows = feed([*trade(1, 1, "-1000.01"), *trade(2, 2, "1500")], [request("Q1", 20, "400")])
    told = one(tmp_path, rows)
    assert told["checks"]["account_alive"]["outcome"] == "failed"
    assert (told["recommendation"], told["eligible"]) == ("reject", False)


def test_what_cannot_be_known_is_held_and_never_approved(tmp_path: Path) -> None:
    rows = feed(
        GOOD,
        [
            request("Q1", 20, "-5"),
            request("Q2", 20, "100", account="A404"),
            request("Q3", 20, "0"),
            request("Q4", 59.9, "1000.005"),
        ],
    )
    told = reviewed(tmp_path, rows)
    assert [told[name]["recommendation"] for name in ("Q1", "Q2", "Q3")] == ["reject"] * 3
    assert told["Q4"]["recommendation"] != "approve"
    assert told["Q2"]["checks"]["account"]["outcome"] == "failed"


def test_a_request_dated_ahead_of_every_other_fact_is_held(tmp_path: Path) -> None:
    rows = feed(GOOD, [request("Q1", 30, "1000")])
    rows["logins"] = []
    told = one(tmp_path, rows)
    assert told["checks"]["clock"]["outcome"] == "failed"
    assert told["recommendation"] == "review"


def test_deals_that_do_not_give_the_balance_go_to_a_person(tmp_path: Path) -> None:
    rows = feed(GOOD, [request("Q1", 20, "1000")])
    rows["equity"][-1] = dict(rows["equity"][-1]) | {"balance": "10999.99"}
    told = one(tmp_path, rows)
    assert told["checks"]["deals_add_up"]["outcome"] == "failed"
    assert (told["recommendation"], told["eligible"]) == ("review", True)


@pytest.mark.parametrize(
    ("outcomes", "outcome", "recommendation"),
    [
        ([], "not_applicable", "approve"),
        (["exact"], "passed", "approve"),
        (["explained"], "passed", "approve"),
        (["exact", "does_not_add_up"], "failed", "review"),
        (["does_not_add_up", "exact"], "passed", "approve"),
    ],
)
def test_the_newest_export_of_the_account_must_agree_with_its_totals(
    tmp_path: Path, outcomes: list[str], outcome: str, recommendation: str
) -> None:
    loads = [
        {"load_id": number, "dataset": "deals", "file": f"export-{number}.htm", "rows": 1, "landed": 1, "duplicates": 0}
        | {"rejects": 0, "started_at": START, "finished_at": START, "source": "mt4-statement"}
        | {"reconciliation": json.dumps({"account_id": "A1", "outcome": said, "checks": []})}
        for number, said in enumerate(outcomes, start=1)
    ]
    told = one(tmp_path, feed(GOOD, [request("Q1", 20, "1000")]), decided={schema.LOADS: loads})
    assert told["checks"]["source"]["outcome"] == outcome
    assert told["recommendation"] == recommendation


@pytest.mark.parametrize(
    ("detector", "strength", "recommendation"),
    [("kyc_mismatch", 0.49, "approve"), ("kyc_mismatch", 0.5, "review"), ("inactivity", 0.99, "approve")],
)
def test_open_flags_on_account_or_owner_go_to_a_person(
    tmp_path: Path, detector: str, strength: float, recommendation: str
) -> None:
    signal = {"subject_kind": "trader", "subject_id": "T1", "detector": detector, "strength": strength}
    signal |= {"first_at": START, "last_at": START + DAY, "evidence": "{}"}
    told = one(tmp_path, feed(GOOD, [request("Q1", 20, "1000")]), signals=[signal])
    assert told["recommendation"] == recommendation


@pytest.mark.parametrize(
    ("age", "name", "outcome", "said"),
    [
        (30, "Somebody Else", "passed", "the list is of"),
        (31, "Somebody Else", "unknown", "older than 30 days"),
        (31, "Tess Trader", "failed", "is alike"),
        (None, "Somebody Else", "passed", "does not tell its age"),
    ],
)
def test_nobody_is_clear_by_a_list_that_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int | None, name: str, outcome: str, said: str
) -> None:
    made_on = "" if age is None else f"{(START + 60 * DAY - age * DAY).date()}T04:00:00"
    listed = tmp_path / "list.csv"
    listed.write_text(f"id,schema,name,last_seen\nX1,Person,{name},{made_on}\nX2,Vessel,Boat,\n")
    monkeypatch.setenv("HIGHWATER_SCREENING_LIST", str(listed))
    rows = feed(GOOD, [request("Q1", 20, "1000")])
    rows["traders"] = [dict(row) | {"full_name": "Tess Trader"} for row in rows["traders"]]
    told = one(tmp_path, rows)["checks"]["screening"]
    assert told["outcome"] == outcome
    assert said in told["sentence"]


def case(state: str, *, freeze: bool = False) -> Row:
    """A case about the trader who asks."""
    row = {"case_id": "C-1", "owner_id": "T1", "trader_id": "T1", "state": state, "version": 2, "assignee": "rita"}
    return row | {"to_freeze": freeze, "reason_code": None, "joined_to": None, "opened_at": START}


def test_a_case_that_opens_with_the_run_counts_already(tmp_path: Path) -> None:
    foreseen = sa.Table("foreseen_cases", sa.MetaData(), sa.Column("owner_id", sa.Text))
    told = one(tmp_path, feed(GOOD, [request("Q1", 20, "1000")]), decided={foreseen: [{"owner_id": "T1"}]})
    assert told["checks"]["case"]["sentence"] == "The case about the owner is new."
    assert told["recommendation"] == "review"


@pytest.mark.parametrize(
    ("state", "freeze", "said", "recommendation"),
    [
        ("new", False, "The case about the owner is new.", "review"),
        ("waiting", True, "is waiting, a freeze is recommended", "review"),
        ("confirmed", False, "is confirmed", "review"),
        ("dismissed", False, "Nobody", "approve"),
        ("joined", False, "Nobody", "approve"),
    ],
)
def test_a_case_about_the_owner_goes_to_a_person(
    tmp_path: Path, state: str, freeze: bool, said: str, recommendation: str
) -> None:
    rows = feed(GOOD, [request("Q1", 20, "1000")])
    told = one(tmp_path, rows, decided={CASES: [case(state, freeze=freeze)]})
    assert said in told["checks"]["case"]["sentence"]
    assert told["recommendation"] == recommendation


@pytest.mark.parametrize(
    ("outcome", "seen_until", "recommendation"),
    [
        ("dismissed", START + DAY, "approve"),
        ("dismissed", START + 0.9 * DAY, "review"),
        ("confirmed", START + DAY, "review"),
    ],
)
def test_a_flag_that_an_analyst_dismissed_is_open_no_more_until_there_is_more_of_it(
    tmp_path: Path, outcome: str, seen_until: dt.datetime, recommendation: str
) -> None:
    subject = {"subject_kind": "account", "subject_id": "A1", "detector": "grid", "strength": 0.9}
    signal = subject | {"first_at": START, "last_at": START + DAY, "evidence": "{}"}
    answer = subject | {"case_id": "C-1", "version": 3, "outcome": outcome, "reason_code": "innocent", "counts": True}
    answer |= {"seen_until": seen_until, "seen_amount": None, "person": "rita", "decided_at": START + 2 * DAY}
    rows = feed(GOOD, [request("Q1", 20, "1000")])
    told = one(tmp_path, rows, signals=[signal], decided={DISPOSITIONS: [answer]})
    assert told["recommendation"] == recommendation


def stands(payout_id: str, state: str, day: float) -> Row:
    """Where a request of 1,000.00 stands on the desk since a day."""
    row = {"payout_id": payout_id, "account_id": "A1", "desk_id": "D1", "currency": "USD", "state": state, "version": 5}
    parts = {"profit_minor": 100_000, "trader_minor": 48_000, "firm_minor": 12_000, "deducted_minor": 40_000}
    return row | parts | {"approvals_needed": 1, "policy_version": 1, "transfers": 1, "updated_at": START + day * DAY}


def test_what_the_desk_decided_answers_a_request_and_what_it_granted_is_taken_off(tmp_path: Path) -> None:
    """A rejected request waits no more and pays nothing; of a granted one what was granted is gone."""
    rows = feed(GOOD, [request("Q1", 20, "1000"), request("Q2", 35, "1000", destination="bank_1")])
    rejected = one(tmp_path / "a", rows, payout="Q2", decided={PAYOUT_STATES: [stands("Q1", "rejected", 21)]})
    assert rejected["checks"]["other_request"]["outcome"] == "passed"
    assert (rejected["trader_share"], rejected["checks"]["split"]["numbers"]["paid_before"]) == (800, 0)
    open_still = one(tmp_path / "b", rows, payout="Q2", decided={PAYOUT_STATES: [stands("Q1", "in_review", 21)]})
    assert open_still["checks"]["other_request"]["outcome"] != "passed"
    granted = one(tmp_path / "c", rows, payout="Q2", decided={PAYOUT_STATES: [stands("Q1", "queued", 21)]})
    assert (granted["trader_share"], granted["checks"]["split"]["numbers"]["paid_before"]) == (320, 1)
    assert granted["checks"]["profit"]["numbers"]["withdrawable"] == "400"


@pytest.mark.parametrize(
    ("first", "outcome"), [("1000", "failed"), ("400", "failed"), ("399.99", "passed"), ("1", "passed")]
)
def test_an_old_request_is_not_given_what_a_later_one_was_promised(tmp_path: Path, first: str, outcome: str) -> None:
    """Guards one profit from being paid twice: the first request, long unanswered, is answered after the second."""
    rows = feed(GOOD, [request("Q1", 20, first), request("Q2", 35, "600.01")])
    told = one(tmp_path, rows | {"settlements": [settlement(1, "Q2", 36, "480.01")]})
    still_there = told["checks"]["still_there"]
    assert (still_there["outcome"], Decimal(still_there["numbers"]["promised"])) == (outcome, Decimal("600.01"))
    assert "399.99 USD now, 600.01 of other payouts taken off" in still_there["sentence"]
    assert (told["recommendation"] == "review") == (outcome == "failed")


@pytest.mark.parametrize(("granted", "share", "before"), [(21, 800, 0), (23, 320, 1)])
def test_what_came_back_and_was_granted_again_is_taken_off(
    tmp_path: Path, granted: float, share: int, before: int
) -> None:
    """Guards that money on its way for the second time is not promised to the next request too."""
    came_back = [settlement(1, "Q1", 22, "800", status="returned")]
    asked = [request("Q1", 20, "1000"), request("Q2", 35, "1000")]
    told = one(
        tmp_path,
        feed(GOOD, asked, settlements=came_back),
        payout="Q2",
        decided={PAYOUT_STATES: [stands("Q1", "queued", granted)]},
    )
    assert (told["trader_share"], told["checks"]["split"]["numbers"]["paid_before"]) == (share, before)


@pytest.mark.parametrize(
    ("sent", "paid", "said"),
    [
        ([], True, "taken for its payment"),
        ([settlement(2, "Q2", 23, "80")], False, "No transfer is reported"),
        ([settlement(2, "Q2", 23, "80"), settlement(1, "Q1", 22, "800")], True, "is the one that is due"),
        ([settlement(1, "Q1", 22, "800", status="failed")], False, "failed"),
    ],
)
def test_what_left_the_account_is_paid_only_where_no_transfers_are_told(
    tmp_path: Path, sent: list[Row], paid: bool, said: str
) -> None:
    """Money that the platform took off and no provider has sent yet still waits for the desk."""
    deals = [*GOOD, operation(1, 21, "-900"), operation(2, 22, "-100")]
    rows = feed(deals, [request("Q1", 20, "900"), request("Q2", 20.5, "100")], settlements=sent)
    told = one(tmp_path, rows)
    assert told["checks"]["transfer"]["numbers"]["paid"] is paid
    assert said in told["checks"]["transfer"]["sentence"] or said == "is the one that is due"
    assert told["checks"]["still_there"]["outcome"] == "not_applicable"


def test_a_transfer_that_names_the_desks_own_id_pays_its_request(tmp_path: Path) -> None:
    rows = feed(
        [*GOOD, operation(1, 21, "-1000"), *trade(4, 25, "300")],
        [request("Q1", 20, "1000"), request("Q2", 40, "300")],
        settlements=[settlement(1, "", 22, "800", reference="Q1-1")],
    )
    begun = {"transfer_id": "Q1-1", "payout_id": "Q1", "attempt": 1, "minor": 80_000, "currency": "USD"}
    told = reviewed(tmp_path, rows, decided={PAYOUT_TRANSFERS: [begun | {"begun_at": START + 21 * DAY}]})
    assert told["Q1"]["checks"]["transfer"]["outcome"] == "passed"
    assert told["Q2"]["checks"]["split"]["numbers"]["paid_before"] == 1


@pytest.mark.parametrize(
    ("more", "outcome", "said"),
    [
        ({"payments": [("T2", "bank_1")]}, "failed", "1 other owners bought challenges with it"),
        ({"payments": [("T1", "bank_1")]}, "passed", "The owner has bought with it"),
        ({"payments": [("T2", "bank_9")]}, "passed", "No feed tells whose name is on it"),
        ({"partners": "bank_1"}, "failed", "where partner P1 is paid"),
    ],
)
def test_whose_the_destination_is_as_far_as_any_feed_tells(
    tmp_path: Path, more: dict[str, Any], outcome: str, said: str
) -> None:
    paid = [
        {"payment_id": f"P{n}", "trader_id": who, "kind": "purchase", "instrument": what, "amount": "99"}
        | {"currency": "USD", "occurred_at": START}
        for n, (who, what) in enumerate(more.get("payments", ()))
    ]
    partner = {"partner_id": "P1", "name": "Partner", "plan": "cpa", "joined_at": START}
    partners = [partner | {"payout_destination": more["partners"]}] if "partners" in more else []
    rows = feed(GOOD, [request("Q1", 20, "1000")], accounts=2, payments=paid, partners=partners)
    told = one(tmp_path, rows)
    assert told["checks"]["destination"]["outcome"] == outcome
    assert said in told["checks"]["destination"]["sentence"]


@pytest.mark.parametrize("status", ["none", "pending", "rejected", "expired"])
def test_identity_that_is_not_verified_goes_to_a_person(tmp_path: Path, status: str) -> None:
    rows = feed(GOOD, [request("Q1", 20, "1000")])
    rows["traders"][0] = dict(rows["traders"][0]) | {"kyc_status": status}
    assert one(tmp_path, rows)["recommendation"] == "review"


def test_identity_checked_too_long_ago_is_not_fresh(tmp_path: Path) -> None:
    rows = feed(GOOD, [request("Q1", 20, "1000")])
    checked = START + 20 * DAY - dt.timedelta(days=365, seconds=1)
    rows["traders"][0] = dict(rows["traders"][0]) | {"kyc_checked_at": checked}
    assert one(tmp_path, rows)["checks"]["identity"]["outcome"] == "failed"


def test_a_destination_that_two_owners_share_goes_to_a_person(tmp_path: Path) -> None:
    deals = [*GOOD, *trade(7, 1, "500", account="A2")]
    rows = feed(deals, [request("Q1", 20, "1000"), request("Q2", 20, "500", account="A2")], accounts=2)
    told = reviewed(tmp_path, rows)
    assert {held["checks"]["destination"]["outcome"] for held in told.values()} == {"failed"}


@pytest.mark.parametrize(
    ("name", "outcome", "said"),
    [
        ("Ann Trader1", "passed", "Only T2, of the same name and owner"),
        ("ánn trader1 ", "passed", "Only T2, of the same name and owner"),
        ("Bea Trader2", "failed", "T2, held to be the same owner, asked for money to it under another name"),
    ],
)
def test_a_destination_of_one_owner_is_held_where_it_was_asked_for_under_two_names(
    tmp_path: Path, name: str, outcome: str, said: str
) -> None:
    """A shared destination may be why two registrations are held to be one owner, and must not fall silent by it."""
    deals = [*GOOD, *trade(7, 1, "500", account="A2")]
    rows = feed(deals, [request("Q1", 20, "1000"), request("Q2", 20, "500", account="A2")], accounts=2)
    rows["traders"][1] = dict(rows["traders"][1]) | {"full_name": name}
    owner = {"owner_id": "O1", "members": 2, "owner_id_strict": "O1", "owner_id_loose": "O1"}
    told = reviewed(tmp_path, rows, decided={schema.OWNERS: [owner | {"trader_id": trader} for trader in ("T1", "T2")]})
    check = told["Q1"]["checks"]["destination"]
    assert (check["outcome"], check["numbers"]["registrations"]) == (outcome, ["T2"])
    assert said in check["sentence"]
    assert told["Q2"]["checks"]["destination"]["outcome"] == outcome


def test_a_changed_destination_and_transfers_that_do_not_fit_are_named(tmp_path: Path) -> None:
    deals = [*GOOD, operation(1, 21, "-1000", "payout"), *trade(4, 25, "500"), operation(2, 41, "-500", "payout")]
    asked = [request("Q1", 20, "1000"), request("Q2", 40, "500", destination="bank_2")]
    sent = [
        settlement(1, "Q1", 22, "800"),
        settlement(2, "Q1", 23, "800"),
        settlement(3, "Q2", 42, "400", currency="EUR"),
    ]
    told = reviewed(tmp_path, feed(deals, asked, settlements=sent))
    assert told["Q2"]["checks"]["payee"]["outcome"] == "failed"
    assert "paid 2 times" in told["Q1"]["checks"]["transfer"]["sentence"]
    said = told["Q2"]["checks"]["transfer"]["sentence"]
    assert "in EUR" in said
    assert "another destination" in said


def test_a_transfer_that_names_nobody_may_have_paid_what_waits(tmp_path: Path) -> None:
    """Whoever approves it would pay twice; one of another amount, of before, or for what is paid says nothing."""
    asked = [request("Q1", 20, "1000")]
    unnamed = {**settlement(1, "", 22, "800"), "payout_id": None}
    told = one(tmp_path, feed(GOOD, asked, settlements=[unnamed]))
    assert told["checks"]["transfer"]["outcome"] == "failed" and told["recommendation"] == "review"
    assert "transfer S1 of 800.00 USD" in told["checks"]["transfer"]["sentence"]
    others = [
        settlement(1, "", 22, "799.90"),
        settlement(2, "", 19, "800"),
        settlement(3, "", 22, "800", destination="bank_2"),
        settlement(4, "", 22, "800", status="failed"),
    ]
    for number, other in enumerate(others):
        told = one(tmp_path / str(number), feed(GOOD, asked, settlements=[{**other, "payout_id": None}]))
        assert told["checks"]["transfer"]["outcome"] == "not_applicable", other


def test_terms_without_a_split_leave_the_shares_unknown(tmp_path: Path) -> None:
    told = one(tmp_path, feed(GOOD, [request("Q1", 20, "1000")]), "payout = { minimum = 100 }")
    assert (told["trader_share"], told["recommendation"]) == (None, "review")


def test_a_desk_whose_transfers_carry_the_amount_asked_is_read_so(tmp_path: Path) -> None:
    deals, asked, sent = [], [], []
    for number in range(1, 12):
        account = f"A{number}"
        deals += [*trade(10 + number, 1, "1000", account=account), operation(number, 21, "-1000", "", account)]
        asked.append(request(f"Q{number:02}", 20, "800", account, f"bank_{number}"))
        sent.append(settlement(number, f"Q{number:02}", 22, "800", destination=f"bank_{number}"))
    told = reviewed(tmp_path, feed(deals, asked, accounts=11, settlements=sent))
    row = told["Q01"]
    assert (row["trader_share"], row["firm_share"]) == (800, 200)
    assert row["checks"]["split"]["numbers"]["read_as"] == "after the split"


def test_later_payouts_take_the_tier_and_the_refund_that_are_theirs(tmp_path: Path) -> None:
    deals = [*GOOD, operation(1, 21, "-1000", "payout"), *trade(4, 25, "200"), *trade(5, 26, "200")]
    asked = [request("Q1", 20, "1000"), request("Q2", 40, "400")]
    terms = """split = { percent = 80, tiers = [{ after_payouts = 1, percent = 90 }] }
payout = { cycle_days = 14, fee_refund_on = 2 }"""
    told = reviewed(tmp_path, feed(deals, asked, settlements=[settlement(1, "Q1", 22, "800")]), terms)
    assert (told["Q1"]["trader_share"], told["Q2"]["trader_share"]) == (800, 360)
    refunds = [told[name]["checks"]["split"]["numbers"]["fee_refund"] for name in ("Q1", "Q2")]
    assert refunds[0] is None
    assert refunds[1] is not None
    assert refunds[1].startswith("99")


OUTCOMES = ("passed", "failed", "not_applicable", "unknown")
CHECKS = st.lists(
    st.builds(
        Check,
        st.just("x"),
        st.sampled_from(OUTCOMES),
        st.just(""),
        group=st.sampled_from(("eligibility", "signals")),
        leads_to=st.sampled_from(("reject", "not_yet", "deduct", "review")),
    )
)


@given(CHECKS)
def test_unknown_is_never_passed(checks: list[Check]) -> None:
    said = recommended(checks)
    if any(check.outcome == "unknown" for check in checks):
        assert said in ("review", "reject")
    if any(check.outcome in ("unknown", "failed") and check.group == "eligibility" for check in checks):
        assert not eligible(checks)
    assert (said == "approve") == all(check.outcome in ("passed", "not_applicable") for check in checks)


@pytest.mark.parametrize(("stop", "outcome"), [("1.05", "passed"), (None, "failed")])
def test_a_claim_may_ask_for_a_stop_at_every_position(tmp_path: Path, stop: str | None, outcome: str) -> None:
    """Guards a claim after a breach that is open only to who had a stop loss at each position."""
    rows = feed(
        [*trade(1, 1, "1000", stop_loss="1.0"), *trade(2, 9, "-500.01", stop_loss=stop)], [request("Q1", 12, "400")]
    )
    rule = "claim = { rules = ['daily_loss'], percent = 50, stop_loss = true }"
    told = one(tmp_path, rows, f"split = {{ percent = 80 }}\ndaily_loss = {{ percent = 5 }}\n{rule}")
    assert told["checks"]["claim"]["outcome"] == outcome
    assert told["checks"]["account_alive"]["outcome"] == told["checks"]["rules"]["outcome"] == "passed"
    assert told["trader_share"] == 200


def test_rungs_of_a_ladder() -> None:
    rungs = [{"amount": 100.0}, {"amount": 200.0}]
    assert [ladder_step(rungs, number) for number in (1, 2, 3)] == [100, 200, 200]
    named = [{"payout": 4, "amount": 250.0}, {"payout": 2, "amount": 100.5}]
    half = Decimal("100.5")
    assert [ladder_step(named, number) for number in (1, 2, 3, 4, 5)] == [None, half, half, 250, 250]


def test_the_profit_behind_a_part_and_its_part_agree() -> None:
    """Guards that a desk that asks after the split reads what one that asks before it does, whatever band it is in."""
    split = Split(((0, Decimal(100)), (1000, Decimal("87.5")), (2000, Decimal(50))))
    assert [split.of(profit) for profit in (0, 1000, 1001, 1004, 2000, 2001)] == [0, 1000, 1001, 1004, 1875, 1876]
    assert all(split.of(split.behind(part)) == part for part in range(3000))
    assert split.percent(2000) == Decimal("93.75")
    numbers = {"split_parts": [{"share_pct": "100", "from": "0"}, {"share_pct": "87.5", "from": "10"}]}
    assert Split.told(numbers, "USD") == Split(((0, Decimal(100)), (1000, Decimal("87.5"))))
    assert Split.told({"split_pct": "80"}, "USD").of(101) == 81


def test_the_policy_is_versioned() -> None:
    assert policy.in_force(START).version == policy.in_force(START - 9999 * DAY).version == 1


def test_asked_again_after_a_failed_transfer_is_a_request_of_its_own(tmp_path: Path) -> None:
    """A failed transfer pays nothing; the same amount asked again so soon is named and held, and so is the first."""
    failed = settlement(1, "Q1", 21, "800", status="failed")
    soon = reviewed(
        tmp_path / "soon", feed(GOOD, [request("Q1", 20, "1000"), request("Q2", 20.9, "1000")], settlements=[failed])
    )
    assert "(Q1)" in soon["Q2"]["checks"]["duplicate"]["sentence"]
    assert {held["recommendation"] for held in soon.values()} <= {"review", "reject"}
    assert "it needs a new one" in soon["Q1"]["checks"]["transfer"]["sentence"]


@pytest.mark.parametrize(
    ("asked", "rows", "check", "said"),
    [
        (request("Q1", 20, "1000", account="A404"), {}, "account", "A404 is not known"),
        (request("Q1", 20, "-1000"), {}, "amount", "not a positive amount"),
        (request("Q1", 20, "1000.005"), {}, "decimals", "more decimals than USD"),
        (
            request("Q1", 20, "1000"),
            {"settlements": [settlement(1, "Q1", 21, "800", currency="EUR")]},
            "transfer",
            "EUR",
        ),
        (
            request("Q1", 20, "1000"),
            {"settlements": [settlement(1, "Q1", 21, "800"), settlement(2, "Q1", 22, "800")]},
            "transfer",
            "paid 2 times",
        ),
        (
            request("Q1", 20, "1000"),
            {"settlements": [settlement(1, "Q1", 21, "800", destination="elsewhere")]},
            "transfer",
            "another destination",
        ),
        (request("Q1", 20, "1000"), {"logins": []}, "clock", "after the newest fact"),
    ],
)
def test_bad_input_is_named_and_held(
    tmp_path: Path, asked: dict[str, Any], rows: dict[str, Any], check: str, said: str
) -> None:
    deals = [one for one in GOOD if check != "clock" or one["executed_at"] < START + 15 * DAY]
    told = one(tmp_path, feed(deals, [asked], **rows))
    assert told["checks"][check]["outcome"] == "failed"
    assert said in told["checks"][check]["sentence"]
    assert told["recommendation"] in ("review", "reject")


def test_requests_of_an_account_that_is_not_yet_known_wait_and_stop_nobody(tmp_path: Path) -> None:
    asked = [request("Q1", 20, "500"), request("Q2", 36, "300")]
    rows = feed(GOOD, asked) | {"settlements": [settlement(1, "Q1", 37, "400")]}
    assert set(reviewed(tmp_path, {**rows, "accounts": []}, TERMS)) <= {"Q1", "Q2"}
