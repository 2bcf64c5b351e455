"""What-if: the terms bought change nothing, each term moves what it should, and what is reused is what would be judged.

Whatever a draft shares with today is taken from today, so every answer is held against the same draft judged from
nothing, and against the scoring run under the draft's rulebook. Amounts are those of hand-made firms.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models import catalogue, drafts, set_rules
from models.catalogue import Version
from models.set_rules import ALL_WORDED
from pipelines import whatif
from pipelines.land import land_frame
from pipelines.score import judge, judged_accounts, register_terms
from pipelines.whatif import History, WhatIfRefused
from pipelines.whatif.measure import STATUS_WORDS, values
from pipelines.whatif.replay import RULES
from pipelines.whatif.sweep import variants
from sql import schema
from sql.warehouse import Warehouse
from tests import whatif_world
from tests.whatif_world import (
    AS_OF,
    STAGES,
    asked,
    challenge,
    compared,
    figure,
    history,
    paid,
    rulebook,
    trade,
    traded_at_random,
    without,
)

pytestmark = pytest.mark.xdist_group("whatif")
BOOK = rulebook()


@pytest.fixture(scope="module")
def random_firm() -> Iterator[History]:
    """A firm whose every verdict is put into words."""
    with history(traded_at_random(3, 60), BOOK) as held:
        yield replace(held, worded=ALL_WORDED)


@pytest.fixture(scope="module")
def scored_firm() -> Iterator[History]:
    """The random firm again, to be judged by what scores it."""
    with history(traded_at_random(3, 60), BOOK) as held:
        yield held


@pytest.fixture(scope="module")
def walked_firm() -> Iterator[History]:
    """The random firm under terms of the walk alone."""
    with history(traded_at_random(4, 80), rulebook(STAGES.replace("holding_time = { seconds = 60 }\n", ""))) as held:
        yield held


def draft(stage: str, rules: str, book: catalogue.Rulebook = BOOK) -> Version:
    """The plan with rules of a stage written anew."""
    return whatif_world.draft(stage, rules, book)


# --- what is reused ------------------------------------------------------------------------------------------------

DRAFTS = {
    "a tighter floor": draft("evaluation_1", "daily_loss = { percent = 3 }"),
    "a looser floor": draft("evaluation_1", "daily_loss = { percent = 6 }"),
    "a lower target": draft("evaluation_1", "profit_target = { percent = 4 }"),
    "a hold that ends": draft("evaluation_1", 'holding_time = { seconds = 60, effect = "terminate", strikes = 2 }'),
    "a hold that pauses": draft("evaluation_1", 'holding_time = { seconds = 1800, effect = "pause" }'),
    "many trades that pause": draft("evaluation_1", 'hyperactivity = { trades_per_day = 1, effect = "pause" }'),
    "no hold": without("evaluation_1", "holding_time", BOOK),
    "inactivity": draft("evaluation_1", "inactivity = { days = 5 }"),
    "a rule in another stage": draft("funded", 'hyperactivity = { trades_per_day = 1, effect = "terminate" }'),
    "a floor and a rule": draft("evaluation_1", "daily_loss = { percent = 3 }\nmax_exposure = { lots = 1 }"),
    "another midnight": replace(
        BOOK.products["plan"].versions[-1],
        clock=replace(BOOK.products["plan"].versions[-1].clock, zone="America/New_York"),
    ),
}


STILL = ("no hold",)
"""Drafts that end nobody otherwise."""


@pytest.mark.parametrize("name", DRAFTS)
def test_a_draft_replayed_on_today_is_what_scoring_says_under_it(
    random_firm: History, scored_firm: History, name: str
) -> None:
    own = whatif.today(random_firm).side
    book = whatif.overlaid(BOOK, {"plan": DRAFTS[name]})
    side = whatif.replay(random_firm, book, own)
    register_terms(scored_firm.connection, book)
    scored = judge(scored_firm.connection, judged_accounts(scored_firm.connection), book, AS_OF)
    accounts = random_firm.accounts["account_id"]
    words = scored.status.set_index("account_id")["status"].replace(["active", "paused", "closed"], "open")
    assert words.to_dict() == dict(zip(accounts, STATUS_WORDS[side.status], strict=True))
    verdicts = scored.verdicts
    ended = verdicts[verdicts["effect"] == "terminate"].set_index("account_id")["rule"].to_dict()
    codes = np.flatnonzero(np.isin(STATUS_WORDS[side.status], ("breached", "expired")))
    assert ended == {accounts[code]: RULES[side.rule[code]] for code in codes}
    breached = verdicts[verdicts["outcome"] == "breached"].groupby("rule")["account_id"].nunique()
    assert breached.to_dict() == {RULES[code]: len(found) for code, found in side.broke().items()}
    by_set = verdicts[verdicts["rule"].isin(set_rules.OWN)]
    said = side.found.verdicts.assign(account_id=accounts[side.found.verdicts["account"]].to_numpy())
    columns = ["account_id", "rule", "outcome", "effect", "evidence"]
    assert _sorted(by_set[columns]) == _sorted(said[columns])
    assert bool(((side.status != own.status) | (side.at != own.at)).any()) == (name not in STILL)


def _sorted(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(frame.itertuples(index=False, name=None))


def test_what_a_pause_moved_moves_back_without_it(random_firm: History) -> None:
    """Guards that a side replayed after one with pauses is the same as if it had been replayed first."""
    own = whatif.today(random_firm).side
    resting = whatif.replay(random_firm, whatif.overlaid(BOOK, {"plan": DRAFTS["many trades that pause"]}), own)
    assert len(resting.resting) and (resting.at != own.at).any()
    back = whatif.replay(random_firm, BOOK, resting)
    assert (back.status == own.status).all() and (back.at == own.at).all() and (back.rule == own.rule).all()
    assert not len(back.resting)


def test_the_random_firm_is_worth_asking(random_firm: History) -> None:
    own = whatif.today(random_firm).side
    assert set(STATUS_WORDS[own.status]) == {"open", "passed", "breached"}
    assert "strip" in set(own.found.verdicts["effect"])


# --- what is spared ------------------------------------------------------------------------------------------------

CHAINS = {
    "a daily loss that pauses": ('daily_loss = {{ percent = {}, effect = "pause", warn_at = 50 }}', (2, 3, 5, 5.01, 4)),
    "a daily loss of the day's high": ('daily_loss = {{ reference = "intraday_high", percent = {} }}', (1, 3, 5)),
    "a floor that trails": ('max_loss = {{ mode = "trailing_equity", percent = {}, lock_offset = 0 }}', (3, 6, 4, 9)),
    "a share of the high water": (
        'max_loss = {{ mode = "trailing_closed", base = "high_water", percent = {} }}',
        (3, 6, 9),
    ),
    "a floor of an amount": ('max_loss = {{ base = "fixed", amount = {} }}', (500, 500.01, 1000)),
    "a target": ("profit_target = {{ percent = {} }}", (2, 4, 8, 6, 16)),
    "a target that locks": ("max_loss = {{ mode = \"trailing_eod\", percent = 6, lock_at_target = true }}\n"
                            "profit_target = {{ percent = {} }}", (2, 4, 8)),
    "days": ("min_trading_days = {}", (1, 2, 6, 3)),
    "profitable days": ("min_profitable_days = {{ days = 2, percent = {} }}", (1, 2.67, 4)),
    "an open loss": ("floating_loss = {{ percent = {} }}", (1, 3)),
    "a day's gain": ("daily_gain = {{ percent = {} }}", (2, 4, 8)),
    "consistency": ("consistency = {{ share = {} }}", (90, 50, 20)),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_what_is_spared_along_a_sweep_is_as_if_walked(walked_firm: History, name: str) -> None:
    rules, values = CHAINS[name]
    before: tuple[whatif.Side, ...] = ()
    spared = walked_firm.rulebook
    for one in values:
        version = draft("evaluation_1", rules.format(one), spared)
        book = whatif.overlaid(spared, {"plan": version})
        side, anew = whatif.replay(walked_firm, book, *before), whatif.replay(walked_firm, book)
        for part in ("status", "rule", "at"):
            assert np.array_equal(getattr(side, part), getattr(anew, part)), (one, part)
        said = [
            sorted(one.walked.verdicts[["account", "rule", "outcome", "effect", "at"]].tolist()) for one in (side, anew)
        ]
        assert said[0] == said[1], one
        before = (side, *before)


def test_a_softer_figure_walks_only_who_met_the_rule(walked_firm: History, monkeypatch: pytest.MonkeyPatch) -> None:
    book = walked_firm.rulebook
    walked: list[Any] = []
    real = whatif.walk_parallel

    def watched(*given: Any) -> Any:
        walked.append(given[1])
        return real(*given)

    monkeypatch.setattr(sys.modules["pipelines.whatif.replay"], "walk_parallel", watched)
    before = whatif.replay(walked_firm, book)
    softer = whatif.overlaid(book, {"plan": draft("evaluation_1", "daily_loss = { percent = 5.01 }", book)})
    whatif.replay(walked_firm, softer, before)
    met = np.unique(before.walked.verdicts["account"][before.walked.verdicts["rule"] == RULES.index("daily_loss")])
    again = np.flatnonzero(walked[-1]["closed_at"] > np.iinfo(np.int64).min)
    assert 0 < len(met) < len(walked_firm.accounts)
    assert again.tolist() == met.tolist()


# --- the draft against today ---------------------------------------------------------------------------------------


def test_the_terms_bought_replayed_give_what_happened(random_firm: History) -> None:
    found = compared(random_firm, BOOK.products["plan"].versions[-1], 50)
    assert all(row["change"] in (0, None) and row["low"] in (0, None) for row in found.rows)
    assert found.flips.empty


def test_a_tighter_daily_loss_never_has_fewer_breaches(random_firm: History) -> None:
    rates = [
        figure(
            compared(random_firm, draft("evaluation_1", f"daily_loss = {{ percent = {p} }}")),
            "breach rate",
            "evaluation_1",
        )
        for p in (8, 5, 4, 2, 1)
    ]
    assert rates == sorted(rates)
    assert rates[-1] > rates[0]


def test_flips_name_who_ends_otherwise_by_which_rule_and_when(random_firm: History) -> None:
    flips = compared(random_firm, DRAFTS["inactivity"]).flips
    assert len(flips)
    assert (flips["today"] != flips["draft"]).all()
    expired = flips[flips["draft"] == "expired"]
    assert set(expired["draft_rule"]) == {"inactivity"}
    assert all(at is not None for at in expired["draft_at"])


def test_intervals_hold_both_sides_and_the_paired_change_and_are_the_same_every_time(random_firm: History) -> None:
    first, again = (compared(random_firm, DRAFTS["a tighter floor"], 200).rows for _ in range(2))
    assert first == again
    row = next(r for r in first if (r["metric"], r["stage"]) == ("breach rate", "evaluation_1"))
    assert row["low"] <= row["change"] <= row["high"]
    assert row["today_low"] < row["today"] < row["today_high"]
    assert row["draft_low"] < row["draft"] < row["draft_high"]
    apart = (row["today_high"] - row["today_low"]) + (row["draft_high"] - row["draft_low"])
    assert row["high"] - row["low"] < apart, "the same traders are drawn on both sides"


def test_only_the_desks_asked_for_are_replayed() -> None:
    with history(traded_at_random(3, 10), BOOK, desks=["E"]) as firm:
        assert set(firm.accounts["desk_id"]) == {"E"}
        assert figure(compared(firm, BOOK.products["plan"].versions[-1]), "challenges sold") == 5


# --- money ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paying() -> Iterator[History]:
    """One funded account that made 1,000, 600 of it in a trade of 30 s, and drew 800 on day 15 and 150 on day 30;
    one that asked too early and was not answered; one challenge that failed by one cent."""
    parts = [
        challenge(1, ("evaluation_1", "funded")),
        *(trade("E1", place, place, 400) for place in (1, 2)),
        trade("F1", 1, 1, 600, minutes=0.5),
        trade("F1", 2, 2, 400),
        paid("F1", 1, 15, 800),
        trade("F1", 3, 16, 150),
        paid("F1", 2, 30, 150),
        challenge(2, ("evaluation_1", "funded")),
        *(trade("E2", place, place, 400) for place in (1, 2)),
        trade("F2", 1, 1, 500),
        asked("F2", 1, 10, 500),
        challenge(3),
        trade("E3", 1, 1, -500.01),
        trade("E3", 2, 2, 1310),
    ]
    with history(parts, BOOK) as held:
        yield held


MONEY = {
    "nothing": ("split = { percent = 80 }", 760, 190),
    "split": ("split = { percent = 50 }", 475, 475),
    "tiers": ("split = { percent = 80, tiers = [{ after_payouts = 1, percent = 90 }] }", 640 + 135, 160 + 15),
    "by profit drawn": (
        "split = { percent = 80, tiers = [{ after_profit = 500, percent = 90 }] }",
        670 + 135,
        130 + 15,
    ),
    "by amount": ("split = { percent = 80, tiers = [{ above = 500, percent = 90 }] }", 670 + 120, 130 + 30),
    "claimed after the end": ("inactivity = 10\nclaim = { rules = ['inactivity'], percent = 50 }", 400 + 75, 400 + 75),
    "ended without a claim": ("inactivity = 10", 0, 0),
    "cap": ("payout = { first_after_days = 14, cycle_days = 14, cap_amount = 500 }", 400 + 120, 100 + 30),
    # 700 of the 800 asked for may be drawn first, so that 450 are there the second time, 300 of them to be left
    "buffer": ("payout = { first_after_days = 14, cycle_days = 14, buffer = 300 }", 560 + 120, 140 + 30),
    "minimum": ("payout = { first_after_days = 14, cycle_days = 14, minimum = 200 }", 640, 160),
    "first": ("payout = { first_after_days = 16, cycle_days = 14 }", 120, 30),
    "cycle": ("payout = { first_after_days = 14, cycle_days = 16 }", 640, 160),
    "earlier": ("payout = { first_after_days = 10, cycle_days = 14, minimum = 100 }", 760 + 400, 190 + 100),
    # 1,000 of 10,000 is a step: the size is 12,500, caps and buffers with it; short of it, the second request has one
    "a step of growth": ("split = { percent = 80 }\nscaling = { GROWS, split_percent = 90 }", 855, 95),
    "a step of growth, a cent short": (
        "split = { percent = 80 }\nscaling = { SHORT, split_percent = 90 }",
        640 + 135,
        160 + 15,
    ),
    "a cap that grows": (
        "scaling = { GROWS }\npayout = { first_after_days = 14, cycle_days = 14, cap_percent = 6 }",
        600 + 120,
        150 + 30,
    ),
    "consistency": ("consistency = { share = 55 }", 120, 30),
    "consistency not yet": ("consistency = { share = 50 }", 0, 0),
    "a hold that strips": ("holding_time = { seconds = 60 }", 160 + 120, 40 + 30),
    "a hold that waits": ('holding_time = { seconds = 60, effect = "wait" }', 0, 0),
    "a hold that ends": ('holding_time = { seconds = 60, effect = "terminate" }', 0, 0),
}


@pytest.mark.parametrize("name", MONEY)
def test_terms_of_payouts_move_what_is_paid(paying: History, name: str) -> None:
    rules, trader, firm = MONEY[name]
    for word, percent in (("GROWS", 10), ("SHORT", "10.0001")):
        rules = rules.replace(word, f"months = 0, percent = {percent}, step_percent = 25")
    found = compared(paying, draft("funded", rules))
    assert figure(found, "payouts", side="today") == 760
    assert figure(found, "firm's share of profit", side="today") == 190
    assert figure(found, "payouts") == pytest.approx(trader)
    assert figure(found, "firm's share of profit") == pytest.approx(firm)
    assert figure(found, "payout ratio") == pytest.approx(trader / 3)
    assert figure(found, "expected payout per challenge sold") == pytest.approx(trader / 3, abs=0.001)
    assert figure(found, "break-even fee") == pytest.approx(trader / 3, abs=0.001), "at it, fees are what is paid"
    assert figure(found, "net of fees and payouts") == pytest.approx(300 - trader)


@pytest.mark.parametrize(("seconds", "trader"), [(30, 760), (31, 280)])
def test_a_rule_that_strips_moved_alone_moves_what_is_paid(seconds: int, trader: float) -> None:
    """Guards requests whose terms of money are as they were, and whose profit another verdict takes."""
    parts = [
        challenge(1, ("funded",)),
        trade("F1", 1, 1, 600, minutes=0.5),
        trade("F1", 2, 2, 400),
        paid("F1", 1, 15, 800),
        trade("F1", 3, 16, 150),
        paid("F1", 2, 30, 150),
    ]
    book = rulebook(STAGES + "holding_time = { seconds = 1 }\n")
    with history(parts, book) as held:
        found = compared(held, draft("funded", f"holding_time = {{ seconds = {seconds} }}", book))
    assert figure(found, "payouts", side="today") == 760
    assert figure(found, "payouts") == pytest.approx(trader)


@pytest.mark.parametrize(("hours", "trader"), [(0, 0), (1, 640)])
def test_who_ends_in_the_instant_of_the_request_under_the_draft_is_not_paid(hours: int, trader: float) -> None:
    """Guards the end on both sides: the request's own instant, and an hour later."""
    loss = trade("F1", 3, 15 + (hours - 1) / 24, -600)
    parts = [challenge(1, ("funded",)), trade("F1", 1, 1, 1000), trade("F1", 2, 2, 400), paid("F1", 1, 15, 800), loss]
    with history(parts, BOOK) as held:
        found = compared(held, draft("funded", "daily_loss = { percent = 5 }"))
    assert figure(found, "payouts", side="today") == 640
    assert figure(found, "payouts") == trader


def test_who_fails_an_evaluation_under_the_draft_is_not_paid(paying: History) -> None:
    found = compared(paying, draft("evaluation_1", "profit_target = { percent = 9 }"))
    assert figure(found, "challenges funded", side="today") == 2
    assert (figure(found, "challenges funded"), figure(found, "payouts")) == (0, 0)


def test_who_passes_under_the_draft_only_is_given_what_those_funded_were_paid(paying: History) -> None:
    found = compared(paying, draft("evaluation_1", "daily_loss = { percent = 6 }"))
    assert figure(found, "challenges funded") == 3
    assert figure(found, "payouts") == pytest.approx(760 + 760 / 2)
    assert list(found.flips["account_id"]) == ["E3"]


def test_a_fee_given_back_is_no_longer_earned(paying: History) -> None:
    rules = "payout = { first_after_days = 14, cycle_days = 14, minimum = 100, fee_refund_on = 1 }"
    found = compared(paying, draft("funded", rules))
    assert figure(found, "fees, net of refunds", side="today") == 300
    assert figure(found, "fees, net of refunds") == 200
    assert figure(found, "payout ratio") == pytest.approx(760 / 2)


def test_stages_that_nobody_traded_are_given_their_pass_rate() -> None:
    second = '[versions.stages.evaluation_2]\nprofit_target = { percent = 4 }\nnext_stage = "funded"\n'
    first = STAGES.replace('next_stage = "funded"', 'next_stage = "evaluation_2"', 1)
    book = rulebook(first.replace("holding_time = { seconds = 60 }\n", "") + second)
    parts = [challenge(1), trade("E1", 1, 1, -500.01), trade("E1", 2, 2, 1310)]
    for number in (2, 3, 4):
        at_second = challenge(number, ("evaluation_1", "funded"))
        at_second["accounts"][1] = {**at_second["accounts"][1], "stage": "evaluation_2"}
        parts += [at_second, *(trade(f"E{number}", place, place, 400) for place in (1, 2))]
    parts += [trade(one, 1, 3, 400) for one in ("F2", "F3")]
    with history(parts, book) as firm:
        found = compared(firm, draft("evaluation_1", "daily_loss = { percent = 6 }", book))
    assert figure(found, "pass rate", "evaluation_2") == pytest.approx(200 / 3, abs=1e-3)
    assert figure(found, "challenges funded", side="today") == 2
    assert figure(found, "challenges funded") == pytest.approx(2 + 2 / 3, abs=1e-3), "two passed both, one the first"


# --- sweeps and the command ----------------------------------------------------------------------------------------


SWEPT = [
    challenge(1, ("evaluation_1", "funded")),
    *(trade("E1", place, place, 400) for place in (1, 2)),
    *(trade("F1", place, 1 + place / 10, 300, minutes=0.5 if place == 2 else 20) for place in (1, 2, 3)),
    paid("F1", 1, 15, 800),
    trade("F1", 4, 16, 150, minutes=1),
    paid("F1", 2, 30, 150),
    *traded_at_random(5, 20, first=2),
]
"""A funded account that breaks rules in windows that were paid, among others traded at random."""
IN_SWEEPS = drafts.with_rules(
    draft(
        "evaluation_1",
        'holding_time = { seconds = 60, effect = "terminate", strikes = 2 }\n'
        'hyperactivity = { trades_per_day = 2, effect = "terminate" }\n'
        "holding_share = { seconds = 600, max_share_trades = 40 }",
    ),
    "funded",
    'inactivity = { days = 20 }\nhyperactivity = { trades_per_day = 5, effect = "strip" }\n'
    "holding_time = { seconds = 60 }",
)
SWEEPS = {
    "terms of the walk and of payouts": ("evaluation_1.daily_loss.percent=3,5", "funded.split.percent=50,90"),
    "what strips or waits, beside what ends": ("funded.holding_time.effect=strip,wait", "funded.inactivity.days=14,20"),
    "what is told at the end, beside what ends": (
        "funded.hyperactivity.trades_per_day=2,1",
        "funded.inactivity.days=10,15",
    ),
    "two that end, in a stage that is judged as a whole": (
        "evaluation_1.hyperactivity.trades_per_day=1,3",
        "evaluation_1.holding_time.seconds=31,1800",
    ),
    "a floor and what ends": ("evaluation_1.daily_loss.percent=3,6", "evaluation_1.holding_time.seconds=31,1800"),
}


@pytest.fixture(scope="module")
def swept_firm() -> Iterator[History]:
    with history(SWEPT, BOOK) as held:
        yield held


@pytest.fixture(scope="module")
def firm_alone() -> Iterator[History]:
    """The same firm, to be asked one question at a time."""
    with history(SWEPT, BOOK) as held:
        yield held


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_gives_what_each_draft_alone_gives(swept_firm: History, firm_alone: History, name: str) -> None:
    axes = [whatif.parse_axis(one) for one in SWEEPS[name]]
    rows = whatif.sweep(swept_firm, BOOK, IN_SWEEPS, axes)
    listed = list(itertools.product(*(axis.values for axis in axes)))
    assert [tuple(row[axis.name] for axis in axes) for row in rows] == listed
    own = whatif.today(firm_alone)
    for row, (_, made) in zip(rows, variants(IN_SWEEPS, axes), strict=True):
        alone = replace(firm_alone, kept={"registered": firm_alone.kept.get("registered", BOOK)})
        side = whatif.replay(alone, whatif.overlaid(BOOK, {"plan": made}))
        said = values(alone, own, side)
        for metric in whatif.METRICS:
            assert row[metric] == said.get((metric, "all"), said.get((metric, axes[0].stage))), (row, metric)
        firm_alone.kept["registered"] = alone.kept["registered"]
    told = {tuple(row[metric] for metric in whatif.METRICS) for row in rows}
    assert len(told) >= 3, "the parameters move something"


def test_what_is_let_go_of_is_looked_for_again(swept_firm: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards that a sweep in a firm too large to keep all that rules found gives the same."""
    axes = [whatif.parse_axis(one) for one in SWEEPS["two that end, in a stage that is judged as a whole"]]
    kept = whatif.sweep(swept_firm, BOOK, IN_SWEEPS, axes)
    monkeypatch.setattr(swept_firm.answers, "_most", 0)
    assert whatif.sweep(swept_firm, BOOK, IN_SWEEPS, axes) == kept


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("daily_loss.percent=3", "is not like"),
        ("evaluation_1.daily_loss.persent=3", "daily_loss.persent: no such field"),
        ("evaluation_1.daily_loss.percent=a", "'a' is no number"),
    ],
)
def test_an_axis_that_is_none_is_told(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        whatif.parse_axis(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["evaluation_2.daily_loss.percent=3"], "plan has no stage evaluation_2"),
        (["evaluation_1.daily_loss.percent=300"], "daily_loss: percent: 300 % is out of range"),
        (["evaluation_1.max_lots.symbols=1"], "max_lots: lots: is missing"),
        (["evaluation_1.daily_loss.percent=,"], "1 to 400 combinations, not 0"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(random_firm: History, given: list[str], said: str) -> None:
    with pytest.raises(WhatIfRefused, match=said):
        whatif.sweep(random_firm, BOOK, BOOK.products["plan"].versions[-1], [whatif.parse_axis(one) for one in given])


def test_a_question_without_history_is_refused(tmp_path: Any) -> None:
    house = Warehouse.open(tmp_path / "home")
    with pytest.raises(WhatIfRefused, match="the lake is empty"):
        whatif.compare(house, BOOK, BOOK)
    with house.engine(AS_OF) as connection, pytest.raises(WhatIfRefused, match="no judged account of plan"):
        whatif.load(connection, BOOK, AS_OF, ["plan"])
    with pytest.raises(WhatIfRefused, match="no such product"):
        whatif.newest(BOOK, "nine_step")


def test_another_rulebook_than_the_last_run_had_is_told(tmp_path: Any) -> None:
    """Who scored with `--rulebook` and forgets `HIGHWATER_RULEBOOK` would compare a draft with Highwater's products."""
    house = Warehouse.open(tmp_path / "home")
    login = {"trader_id": ["T1"], "occurred_at": ["2026-03-02T09:00:00Z"], "ip": ["1.1.1.1"]}
    land_frame(house, "logins", pa.table(login), file="logins")
    said: list[str] = []
    for number, scored in enumerate((BOOK.digest, "another"), 1):
        run = {
            "run_id": number,
            "started_at": AS_OF,
            "as_of": AS_OF,
            "mode": "full",
            "accounts_walked": 0,
            "rulebook": scored,
        }
        with house.database.begin() as database:
            database.execute(schema.RUNS.insert().values(run))
        with pytest.raises(WhatIfRefused, match="no judged account of plan"):
            whatif.compare(house, BOOK, BOOK, "plan", said.append)
    assert [one.split(" than ")[0] for one in said] == ["The last run judged by another rulebook"]
