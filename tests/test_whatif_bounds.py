"""What-if on its bounds: what ends, takes, sends or sells just here or just beside it, and what may be spared.

Each comparison of `pipelines.whatif` and `models.answers` decides one of these cases, or one of `test_whatif`, but two:
whether one request more is kept as reviewed, and on which neighbour of a sweep a variant stands: what is spared alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from models import set_rules
from models.catalogue import Rulebook, Version
from models.set_rules import ALL_WORDED, OWN, SHARED
from pipelines import whatif
from pipelines.score import ends_of, judge, judged_accounts, register_terms
from pipelines.whatif import History, WhatIfRefused
from pipelines.whatif.measure import STATUS_WORDS, _median_days, _Sides
from pipelines.whatif.run import sweep_table
from pipelines.whatif.sweep import MOST_CELLS, variants
from sql import schema
from sql.warehouse import Warehouse
from tests.builders import Row
from tests.whatif_world import (
    AS_OF,
    DAY,
    STAGES,
    START,
    asked,
    challenge,
    compared,
    draft,
    figure,
    history,
    paid,
    rulebook,
    trade,
    traded_at_random,
)

pytestmark = pytest.mark.xdist_group("whatif")
BOOK = rulebook()
FUNDED = [challenge(1, ("funded",)), trade("F1", 1, 1, 600), trade("F1", 2, 2, 400)]
SECOND = 1 / 86_400


def funded(rules: str) -> Rulebook:
    """The plan with more rules of the funded stage."""
    return rulebook(STAGES + rules)


def equity(account: str, day: float, balance: float, held: float) -> dict[str, list[Row]]:
    row = {"account_id": account, "observed_at": START + day * DAY, "balance": str(balance), "equity": str(held)}
    return {"equity": [row]}


def payouts(parts: Sequence[Any], book: Rulebook, version: Version) -> float:
    """What traders are paid under a draft."""
    with history(parts, book) as held:
        return figure(compared(held, version), "payouts")


# --- who ends, and who is judged anew ------------------------------------------------------------------------------

TWO = rulebook(
    STAGES.replace("min_trading_days = 2", 'hyperactivity = { trades_per_day = 4, effect = "terminate" }').replace(
        "holding_time = { seconds = 60 }", 'holding_time = { seconds = 60, effect = "terminate" }'
    )
)
RESTING = rulebook(STAGES.replace("daily_loss = { percent = 5 }", 'daily_loss = { percent = 5, effect = "pause" }'))
ENDS = {
    "a rule that ends, moved": (
        TWO,
        draft("evaluation_1", 'hyperactivity = { trades_per_day = 1, effect = "terminate" }', TWO),
    ),
    "a floor that no longer pauses": (RESTING, draft("evaluation_1", "daily_loss = { percent = 5 }", RESTING)),
    "a floor that now pauses": (BOOK, draft("evaluation_1", 'daily_loss = { percent = 5, effect = "pause" }', BOOK)),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_other_rules_say_follows_an_end_that_moves(name: str) -> None:
    """Guards which accounts rules look at again: those whose end has moved, for whatever reason."""
    book, version = ENDS[name]
    parts = [
        *traded_at_random(7, 30),
        challenge(98),
        *(trade("E98", place, 1 + place / 10, -5) for place in (1, 2)),
        trade("E98", 3, 2, -5, minutes=0.5),
        challenge(99),
        # at the run's instant that firm day is not over, so that a pause has the very instant of the end
        trade("E99", 1, 59.9, -500.01, minutes=30),
        trade("E99", 2, 59.95, -5, minutes=0.5),
    ]
    with history(parts, book) as held:
        firm = replace(held, worded=ALL_WORDED)
        own = whatif.today(firm).side
        side = whatif.replay(firm, whatif.overlaid(book, {"plan": version}), own)
        assert told(firm, side) == scored(firm, side)
        assert told(firm, side) != told(firm, own)


def told(firm: History, side: whatif.Side) -> tuple[list[Any], list[Any]]:
    """How accounts stand, and what set-based rules say of them."""
    accounts = firm.accounts["account_id"].to_numpy()
    said = side.found.verdicts
    listed = zip(
        accounts[said["account"]], said["rule"], said["outcome"], said["effect"], said["evidence"], strict=True
    )
    return list(zip(accounts, STATUS_WORDS[side.status], strict=True)), sorted(listed)


def scored(firm: History, side: whatif.Side) -> tuple[list[Any], list[Any]]:
    """The same as the scoring run says it under a side's rulebook."""
    register_terms(firm.connection, side.rulebook, firm.rulebook)
    accounts = judged_accounts(firm.connection)
    found = judge(firm.connection, accounts, side.rulebook, AS_OF)
    set_rules.register_ends(firm.connection, ends_of(found.status))
    across = set_rules.judge(firm.connection, accounts, side.rulebook, AS_OF, SHARED)
    firm.kept["registered"] = side.rulebook
    words = found.status.set_index("account_id")["status"].replace(["active", "paused", "closed"], "open")
    columns = ["account_id", "rule", "outcome", "effect", "evidence"]
    by_set = found.verdicts[found.verdicts["rule"].isin(OWN)]
    rows = [one for frame in (by_set, across.verdicts) for one in frame[columns].itertuples(index=False, name=None)]
    return [(one, words[one]) for one in accounts["account_id"]], sorted(rows)


ACROSS = (
    "allocation_cap = { amount = 10000 }\ncopy_own_accounts = 'prohibited'\nlogin_address = { max_addresses = 9 }\n"
)
ENDED_EARLY = {
    "by a rule": ('hyperactivity = { trades_per_day = 3, effect = "terminate" }\n', "hyperactivity.trades_per_day=1"),
    "by a floor": ("daily_loss = { percent = 5 }\n", "daily_loss.percent=1"),
    "by a floor, with a rule that pauses": (
        'daily_loss = { percent = 5 }\nhyperactivity = { trades_per_day = 9, effect = "pause" }\n',
        "daily_loss.percent=1",
    ),
}


@pytest.mark.parametrize("name", ENDED_EARLY)
def test_rules_across_accounts_follow_what_ends_one_of_them(name: str) -> None:
    """Guards that under a draft an owner's second account is held against the first only while that one lives."""
    rules, moved = ENDED_EARLY[name]
    book = funded(ACROSS + rules)
    later = challenge(2, ("funded",))
    later["accounts"] = [{**later["accounts"][0], "opened_at": START + 5 * DAY}]
    parts = [challenge(1, ("funded",)), later, trade("F1", 1, 1, -60), trade("F1", 2, 1.1, -60), trade("F2", 1, 6, 10)]
    owners = [{"trader_id": one, "owner_id": "O", "members": 2} for one in ("T1", "T2")]
    with history(parts, book, decided={schema.OWNERS: owners}) as held:
        firm = replace(held, worded=ALL_WORDED)
        own = whatif.today(firm).side
        assert told(firm, own) == scored(firm, own)
        assert set(own.found.verdicts["rule"]) == {"allocation_cap"}
        [(_, version)] = variants(book.products["plan"].versions[-1], [whatif.parse_axis(f"funded.{moved}")])
        side = whatif.replay(firm, whatif.overlaid(book, {"plan": version}), own)
        assert told(firm, side) == scored(firm, side)
        assert "allocation_cap" not in set(side.found.verdicts["rule"])
        back = whatif.replay(firm, book, side)
        assert told(firm, back) == told(firm, own)


@pytest.mark.parametrize(
    ("none", "then"),
    [
        ("daily_loss = { percent = 5 }\n", "daily_loss = { percent = 3 }"),
        ("min_trading_days = 2\n", "min_trading_days = 6"),
        ("profit_target = { percent = 8 }\n", "profit_target = { percent = 4, require_flat = false }"),
    ],
)
def test_a_figure_that_comes_where_none_was_walks_everybody(none: str, then: str) -> None:
    """Guards that no figure is not taken for the softest."""
    book = rulebook(STAGES.replace(none, ""))
    drafted = whatif.overlaid(book, {"plan": draft("evaluation_1", then, book)})
    with history(traded_at_random(4, 30), book) as firm:
        before = whatif.today(firm).side
        side, anew = whatif.replay(firm, drafted, before), whatif.replay(firm, drafted)
        assert (side.at != before.at).any()
        assert (side.status == anew.status).all() and (side.at == anew.at).all()
        back = whatif.replay(firm, book, side)
        assert (back.status == before.status).all() and (back.at == before.at).all()


# --- what is paid --------------------------------------------------------------------------------------------------

CLAIMS = "daily_loss = { percent = 5 }\nclaim = { rules = ['daily_loss'], percent = 50 }\n"
LOST = [*FUNDED, trade("F1", 3, 3, -500.01), trade("F1", 4, 4, 300), trade("F1", 5, 5, -600.5)]
HOLDS = funded("holding_time = { seconds = 1 }\n")


@pytest.mark.parametrize(("late", "trader"), [(0, 320), (SECOND, 640)])
def test_an_open_loss_cuts_the_share_of_requests_from_its_instant_on(late: float, trader: float) -> None:
    book = rulebook(STAGES.replace("minimum = 100", "minimum = 100, require_flat = false"))
    version = draft("funded", 'floating_loss = { percent = 1, effect = "split_cut", splits = [40] }', book)
    held = trade("F1", 3, 14.9, 0, minutes=600)
    parts = [*FUNDED, held, paid("F1", 1, 15, 800), equity("F1", 15 + late, 11_000, 10_800)]
    assert payouts(parts, book, version) == pytest.approx(trader)


@pytest.mark.parametrize(
    ("rules", "trader"),
    [
        ("daily_loss = { percent = 5 }", 249.995),
        ("daily_loss = { percent = 6 }", 99.745),
        ("daily_loss = { percent = 5 }\nmax_loss = { percent = 5, mode = 'trailing_closed' }", 0),
    ],
    ids=["as it was", "by the same rule two days later", "by another rule in the same instant"],
)
def test_what_can_be_claimed_follows_when_and_by_which_rule_an_account_ends(rules: str, trader: float) -> None:
    """Guards what is in a claim: all that closed up to the end, with what closed in its very instant."""
    book = funded(CLAIMS)
    parts = [*LOST, paid("F1", 1, 15, 499.99, share=0.5)]
    assert payouts(parts, book, draft("funded", rules, book)) == pytest.approx(trader)


OPEN = {
    "account_id": "F1",
    "position_id": "9",
    "kind": "trade",
    "symbol": "EURUSD",
    "volume": 1.0,
    "deal_id": "91",
    "entry": "in",
    "side": "buy",
    "price": 1.1,
    "executed_at": START + 10 * DAY,
    "profit": "0",
}


@pytest.mark.parametrize(("percent", "trader"), [(5, 249.995), (6, 0)])
def test_what_closed_after_the_end_is_nothing_to_a_claim(percent: int, trader: float) -> None:
    """Guards that a loss that no claim allows counts only where the account still lived, and that what is open does
    not matter."""
    book = funded(CLAIMS.replace("percent = 50 }", "percent = 50, max_trade_loss_percent = 6 }"))
    parts = [*LOST, {"deals": [OPEN]}, paid("F1", 1, 15, 499.99, share=0.5)]
    version = draft("funded", f"daily_loss = {{ percent = {percent} }}", book)
    assert payouts(parts, book, version) == pytest.approx(trader)


@pytest.mark.parametrize(
    ("late", "stripped"), [(0, True), (SECOND, False)], ids=["in the instant of the request", "a second later"]
)
def test_a_verdict_takes_from_the_request_in_whose_window_it_falls(late: float, stripped: bool) -> None:
    short = trade("F1", 3, 15 + late - 30 * SECOND, 200, minutes=0.5)
    parts = [*FUNDED, short, paid("F1", 1, 15, 1000 if late else 1200)]
    version = draft("funded", "holding_time = { seconds = 60 }", HOLDS)
    assert payouts(parts, HOLDS, version) == pytest.approx(800)
    with history(parts, HOLDS) as held:
        assert figure(compared(held, version), "payouts", side="today") == (960 if stripped else 800)


@pytest.mark.parametrize(("late", "trader"), [(0, 640 + 120), (SECOND, 640)])
def test_what_was_before_the_last_payout_lets_no_later_one_wait(late: float, trader: float) -> None:
    """Guards the instant of the last paid request, which another trade let wait already under the terms bought."""
    book = funded('holding_time = { seconds = 31, effect = "wait" }\n')
    shorts = [trade("F1", 3, 10, 0, minutes=0.5), trade("F1", 4, 15 + late - 45 * SECOND, 0, minutes=0.75)]
    parts = [*FUNDED, *shorts, paid("F1", 1, 15, 800), trade("F1", 5, 20, 150), paid("F1", 2, 30, 150)]
    version = draft("funded", 'holding_time = { seconds = 60, effect = "wait" }', book)
    assert payouts(parts, book, version) == pytest.approx(trader)


def test_a_day_that_a_payout_divides_takes_from_both_sides_of_it() -> None:
    """Guards that the verdict of a firm day is read by what it lists, not by its first instant alone."""
    shorts = [trade("F1", 3 + place, 15.5 + hours / 24, 200, minutes=0.5) for place, hours in enumerate((-13, 2))]
    parts = [*FUNDED, *shorts, paid("F1", 1, 15, 1200), paid("F1", 2, 30, 200)]
    assert payouts(parts, HOLDS, HOLDS.products["plan"].versions[-1]) == pytest.approx(960 + 160)
    assert payouts(parts, HOLDS, draft("funded", "holding_time = { seconds = 60 }", HOLDS)) == pytest.approx(800)


@pytest.mark.parametrize(("first_after", "trader"), [(14, 640 + 135), (16, 120)])
def test_growth_that_asks_for_payouts_counts_those_of_the_draft(first_after: int, trader: float) -> None:
    rules = "scaling = { months = 1, percent = 5, min_payouts = 1, step_percent = 25, split_percent = 90 }\n"
    rules += f"payout = {{ first_after_days = {first_after}, cycle_days = 14 }}"
    parts = [*FUNDED, paid("F1", 1, 15, 800), trade("F1", 3, 16, 150), paid("F1", 2, 45, 150)]
    assert payouts(parts, BOOK, draft("funded", rules, BOOK)) == pytest.approx(trader)


CAPPED = rulebook(STAGES.replace("minimum = 100", "minimum = 100, cap_amount = 500"))
DREW_LESS = [{**one, "deals": [{**one["deals"][0], "profit": "-500"}]} for one in [paid("F1", 1, 15, 800, share=0.5)]]


@pytest.mark.parametrize(
    ("rules", "second", "trader"),
    [
        ("payout = { first_after_days = 16, cycle_days = 14 }", 1400, 800),
        ("payout = { first_after_days = 14, cycle_days = 14 }", 500, 640 + 160),
        ("payout = { first_after_days = 14, cycle_days = 14, cap_amount = 300 }", 500, 240 + 240),
        ("holding_time = { seconds = 3601 }\npayout = { first_after_days = 16, cycle_days = 14 }", 1400, 0),
    ],
    ids=["not drawn at all", "drawn wholly", "drawn less", "void in the window that goes on"],
)
def test_a_request_stands_on_what_the_draft_drew_before_it(rules: str, second: float, trader: float) -> None:
    """Guards the account under a draft: 1,000 were made, today's cap let 500 be drawn first, the rest stayed."""
    parts = [*FUNDED, *DREW_LESS, paid("F1", 2, 30, second, share=400 / second)]
    assert payouts(parts, CAPPED, draft("funded", rules, CAPPED)) == pytest.approx(trader)


@pytest.mark.parametrize(("share", "trader"), [(53, 120), (52, 0)])
def test_trades_of_a_request_that_the_draft_refuses_count_for_the_next(share: int, trader: float) -> None:
    """Guards consistency of trades over a window that goes on: 600 of 1,150 is the best of it."""
    rules = f'consistency = {{ unit = "trade", share = {share} }}\npayout = {{ first_after_days = 16 }}'
    parts = [*FUNDED, paid("F1", 1, 15, 800), trade("F1", 3, 16, 150), paid("F1", 2, 30, 150)]
    assert payouts(parts, BOOK, draft("funded", rules, BOOK)) == pytest.approx(trader)


@pytest.mark.parametrize(("day", "trader"), [(10 - 1 / 24, 320), (10 + 1 / 24, 320 + 600)])
def test_a_window_begins_at_a_request_that_only_the_draft_pays(day: float, trader: float) -> None:
    """Guards conditions of a window: what was done until the request that is now paid counts for that one alone."""
    parts = [*FUNDED, trade("F1", 3, day, 150), asked("F1", 1, 10, 400), paid("F1", 2, 15, 800)]
    rules = 'consistency = { unit = "trade", share = 100 }\nmin_trading_days = 1\npayout = { first_after_days = 10 }'
    assert payouts(parts, BOOK, draft("funded", rules, BOOK)) == pytest.approx(trader)


@pytest.mark.parametrize(("zone", "trader"), [("UTC", 0), ("America/New_York", 640)])
def test_the_days_of_a_payout_are_those_of_the_drafts_clock(zone: str, trader: float) -> None:
    """Guards trades of one day by the clock bought, between which a reset at 17:00 in New York lies."""
    parts = [challenge(1, ("funded",)), trade("F1", 1, 1 + 10 / 24, 600), trade("F1", 2, 1 + 14.5 / 24, 400)]
    version = draft("funded", "min_trading_days = 2", BOOK)
    clock = replace(version.clock, zone=zone, reset=dt.time(17) if zone != "UTC" else version.clock.reset)
    assert payouts([*parts, paid("F1", 1, 15, 800)], BOOK, replace(version, clock=clock)) == pytest.approx(trader)


SENT = {
    "as it was sent": ({"amount": "700"}, 700),
    "not yet settled": ({"amount": "700", "status": "sent"}, 700),
    "not told": (None, 640),
    "that failed": ({"amount": "700", "status": "failed"}, 0),
    "in another currency": ({"amount": "700", "currency": "EUR"}, 640),
}


@pytest.mark.parametrize("name", SENT)
def test_today_a_payout_is_what_was_sent_where_a_transfer_tells_it(name: str) -> None:
    said, trader = SENT[name]
    payout = paid("F1", 1, 15, 800)
    payout["settlements"] = [{**payout["settlements"][0], **said}] if said else []
    with history([*FUNDED, payout], BOOK) as held:
        assert figure(compared(held, draft("funded", "split = 50", BOOK)), "payouts", side="today") == trader


def test_nothing_is_asked_for_by_a_request_of_nothing() -> None:
    with history([*FUNDED, asked("F1", 1, 15, 0), asked("F1", 2, 16, 0.01)], BOOK) as held:
        assert [[one.payout_id for one in listed] for _, listed in held.requests] == [["F1-Q2"]]


# --- what is listed ------------------------------------------------------------------------------------------------


def test_every_figure_is_of_its_stage_and_only_what_can_be_is_listed() -> None:
    """Two pass (after two days and four), two break the daily loss and one neither; one of two funded breaks it too."""
    book = funded("daily_loss = { percent = 5 }\n")
    parts = [
        *(challenge(number) for number in range(1, 6)),
        *(trade("E1", place, place, 400) for place in (1, 2)),
        *(trade("E2", place, place, 400) for place in (1, 4)),
        *(trade(f"E{number}", 1, 1, -600) for number in (3, 4)),
        trade("E5", 1, 1, 10),
        *(challenge(number, ("funded",)) for number in (6, 7)),
        trade("F6", 1, 1, -600),
        trade("F7", 1, 1, 10),
    ]
    with history(parts, book) as held:
        rows = compared(held, book.products["plan"].versions[-1]).rows
    assert {(row["metric"], row["stage"]): row["today"] for row in rows if row["stage"] != "all"} == {
        ("accounts", "evaluation_1"): 5,
        ("pass rate", "evaluation_1"): 40,
        ("median days to pass", "evaluation_1"): pytest.approx(2 + 1 / 24, abs=1e-4),
        ("breach rate", "evaluation_1"): 40,
        ("breaches of daily_loss", "evaluation_1"): 2,
        ("accounts", "funded"): 2,
        ("breach rate", "funded"): 50,
        ("breaches of daily_loss", "funded"): 1,
    }
    assert all(row["today"] == row["draft"] for row in rows)


def test_a_draw_in_which_nobody_passed_has_no_days_to_pass() -> None:
    with history([challenge(1), challenge(2), *(trade("E1", place, place, 400) for place in (1, 2))], BOOK) as held:
        own = whatif.today(held)
        sides = _Sides(held, own, own.side, own.money, np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]]))
        days = _median_days(sides, own.side, np.array([0]))
    assert days[:2].tolist() == [pytest.approx(2 + 1 / 24)] * 2
    assert np.isnan(days[2])


def test_only_the_product_asked_for_is_replayed() -> None:
    book = _both(BOOK)
    with history([challenge(1), _of_the_other(challenge(2))], book, products=["plan"]) as held:
        assert list(held.accounts["account_id"]) == ["E1"]


def test_products_judged_together_are_told_as_each_alone() -> None:
    """Guards that a draft of several products says of each what it says when it is asked for alone."""
    rows = traded_at_random(11, 24)
    parts = [_of_the_other(part) if place % 3 else part for place, part in enumerate(rows)]
    book = _both(funded('hyperactivity = { trades_per_day = 3, effect = "terminate" }\n'))
    axes = [whatif.parse_axis("evaluation_1.daily_loss.percent=3"), whatif.parse_axis("funded.max_loss.percent=4")]
    versions = {name: next(variants(product.versions[-1], axes))[1] for name, product in book.products.items()}
    alone = {}
    for name, version in versions.items():
        with history(parts, book, products=[name]) as held:
            alone[name] = whatif.compare_history(held, book, {name: version}, 20)
            assert set(alone[name].flips["product"]) == {name}
    with history(parts, book) as held:
        together = dict(whatif.compare_products(held, book, versions, 20))
    assert list(together) == ["other", "plan"]
    for name, found in together.items():
        assert found.rows == alone[name].rows
        assert found.flips.equals(alone[name].flips)


@pytest.mark.parametrize(("microseconds", "counts"), [(-1, True), (0, False)])
def test_an_account_of_a_product_that_is_not_replayed_counts_until_its_end(microseconds: int, counts: bool) -> None:
    """Guards that an owner's cap counts an account of another product as scoring does: to the instant of its end."""
    book = _both(funded(ACROSS + "daily_loss = { percent = 1 }\n"))
    ended = START + 1.1 * DAY + dt.timedelta(hours=1)
    later = challenge(2, ("funded",))
    later["accounts"] = [{**later["accounts"][0], "opened_at": ended + dt.timedelta(microseconds=microseconds)}]
    first = [_of_the_other(challenge(1, ("funded",))), trade("F1", 1, 1, -60), trade("F1", 2, 1.1, -60)]
    owners = [{"trader_id": one, "owner_id": "O", "members": 2} for one in ("T1", "T2")]
    with history([*first, later], book, products=["plan"], decided={schema.OWNERS: owners}) as held:
        stood = ends_of(judge(held.connection, judged_accounts(held.connection), book, AS_OF).status)
        assert stood["ended_at"].tolist() == [ended]
        firm = replace(held, worded=ALL_WORDED, elsewhere=stood)
        own = whatif.today(firm).side
        assert told(firm, own)[1] == scored(firm, own)[1]
        assert ("allocation_cap" in set(own.found.verdicts["rule"])) == counts


def _both(book: Rulebook) -> Rulebook:
    """The plan beside another product of the same terms."""
    versions = tuple(replace(version, product="other") for version in book.products["plan"].versions)
    return Rulebook({**book.products, "other": replace(book.products["plan"], id="other", versions=versions)})


def _of_the_other(part: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """The same sold as the other product."""
    return part | {name: [{**row, "product": "other"} for row in part[name]] for name in {"challenges"} & {*part}}


# --- sweeps --------------------------------------------------------------------------------------------------------


def test_a_sweep_of_two_products_asks_which(tmp_path: Any) -> None:
    house, axes = Warehouse.open(tmp_path / "home"), [whatif.parse_axis("funded.split.percent=50")]
    both = _both(BOOK)
    with pytest.raises(WhatIfRefused, match="needs one product, name it with --product: other, plan"):
        sweep_table(house, both, both, None, axes)
    with pytest.raises(WhatIfRefused, match="the lake is empty"):
        sweep_table(house, both, both, "plan", axes)


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ("evaluation_1.max_loss.lock_at_target=true,false", (True, False)),
        ("evaluation_1.max_loss.lock_at_target=yes", ("yes",)),
        ("evaluation_1.max_loss.mode=true", ("true",)),
        ("evaluation_1.min_trading_days.days=3,3.0", (3, 3)),
        ("evaluation_1.min_trading_days.days=3.5", (Decimal("3.5"),)),
        ("evaluation_1.holding_time.seconds=60", (60,)),
        ("evaluation_1.daily_loss.percent=3,3.5", (Decimal(3), Decimal("3.5"))),
    ],
)
def test_values_are_read_as_their_field_asks(given: str, held: tuple[Any, ...]) -> None:
    read = whatif.parse_axis(given).values
    assert read == held
    assert list(map(type, read)) == list(map(type, held))


@pytest.mark.parametrize(("more", "allowed"), [(0, True), (1, False)])
def test_a_sweep_has_as_many_cells_as_it_says_and_no_more(more: int, allowed: bool) -> None:
    listed = ",".join(str(1 + place / 100) for place in range(MOST_CELLS + more))
    first = variants(BOOK.products["plan"].versions[-1], [whatif.parse_axis(f"funded.split.percent={listed}")])
    if allowed:
        assert next(first)[0] == {"funded.split.percent": 1}
    else:
        with pytest.raises(WhatIfRefused, match="1 to 400 combinations, not 401"):
            next(first)


# --- what is kept between questions --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asking() -> Iterator[History]:
    """Accounts that break a rule now and then, each verdict put into words."""
    with history(traded_at_random(3, 20), BOOK) as held:
        yield replace(held, worded=ALL_WORDED)


def under(firm: History, version: Version) -> list[Any]:
    """What set-based rules say of every account under a draft."""
    return told(firm, whatif.replay(firm, whatif.overlaid(BOOK, {"plan": version})))[1]


def test_what_was_found_is_told_by_the_clock_of_the_question(asking: History) -> None:
    """Guards the firm days in the words, when what a rule found was found under another clock meanwhile."""
    here = BOOK.products["plan"].versions[-1]
    there = replace(here, clock=replace(here.clock, zone="Asia/Tokyo"))
    first, away = under(asking, here), under(asking, there)
    assert under(asking, here) == first != away
    assert under(asking, there) == away


def test_what_was_asked_for_longest_ago_is_let_go_first(asking: History, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts = [draft("evaluation_1", f"holding_time = {{ seconds = {seconds} }}", BOOK) for seconds in (31, 60, 90)]
    answers = asking.answers
    monkeypatch.setattr(answers, "_most", 0)
    said = [under(asking, one) for one in drafts]
    assert kept_rows(asking) > 0
    assert kept_keys(asking) == set(answers._keys.values()), "what is in use is kept, all else is gone"
    monkeypatch.setattr(answers, "_most", 10**6)
    again = [under(asking, one) for one in drafts]
    assert again == said
    rows = kept_rows(asking)
    before = set(answers._keys)
    monkeypatch.setattr(answers, "_most", rows)
    answers._forget(set())
    assert set(answers._keys) == before, "as many as may be kept"
    monkeypatch.setattr(answers, "_most", rows - 1)
    oldest = next(iter(answers._keys))
    answers._forget(set())
    assert before - set(answers._keys) == {oldest}
    assert kept_keys(asking) == set(answers._keys.values())
    assert [under(asking, one) for one in drafts] == said


def kept_rows(firm: History) -> int:
    """How much that rules found is kept."""
    [(rows,)] = firm.connection.sql("select count(*) from decided.answers").fetchall()
    return int(rows)


def kept_keys(firm: History) -> set[int]:
    """The numbers under which anything is kept."""
    return {key for (key,) in firm.connection.sql("select distinct key from decided.answered").fetchall()}
