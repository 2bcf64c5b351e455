"""Each detector fires on the behaviour it is for and not on what merely looks like it; what is thin stays unsaid."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from benchmarks.quality.conduct_firms import FIRMS, LEVELS, START, Firm, Maker
from models import detectors
from models.detectors import DETECTORS, detect_all, kept, payout_gaming
from models.detectors.base import COLUMNS, likelihood_ratio, peers, show_terms, steps, strength, thin
from models.risk_score import ScoreTerms
from sql import relations, schema
from sql.decided import register

HONEST = 30


def filled(*kinds: str, seed: int = 4, times: int = 2) -> Firm:
    """A small firm of ordinary people and the given kinds."""
    maker = Maker(FIRMS[0], seed)
    for kind in kinds:
        for _ in range(times):
            getattr(maker, kind)()
    for _ in range(HONEST):
        maker.ordinary()
    return maker.firm


def signals_of(firm: Firm) -> pd.DataFrame:
    """What is said about a firm."""
    return detect_all(firm.engine(), firm.as_of)[0]


def look(connection: duckdb.DuckDBPyConnection, as_of: dt.datetime, detector: str) -> pd.DataFrame:
    """What one detector says, by the way that a run takes: what a test does not ask about is not measured, which is
    most of what a run over a small firm costs."""
    for name, other in DETECTORS.items():
        show_terms(connection, name, other.terms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detectors, "DETECTORS", {detector: DETECTORS[detector]})
        patch.setattr(kept, "MEASURED", ())
        return detect_all(connection, as_of)[0]


def flagged_by(detector: str, firm: Firm) -> set[str]:
    """Subjects of a firm that a detector holds more likely than not."""
    return flagged(look(firm.engine(), firm.as_of, detector), detector)


def flagged(signals: pd.DataFrame, detector: str) -> set[str]:
    """Subjects that a detector holds more likely than not."""
    return set(signals.loc[(signals["detector"] == detector) & (signals["strength"] >= 0.5), "subject_id"])


CROWDS = (
    (
        ("latency_arbitrage", "fast_hands", ["latency_arbitrage", "tick_scalping"]),
        ("tick_scalping", "fast_hands", ["latency_arbitrage", "tick_scalping"]),
        ("news_straddling", "news_people", ["news_straddling"]),
        ("all_in", "swing", ["all_in"]),
    ),
    (
        ("martingale", "size_changers", ["martingale"]),
        ("grid", "scale_in", ["grid"]),
        ("payout_gaming", "honest_payout", ["payout_gaming"]),
        ("account_passing", "funded_people", ["account_passing"]),
    ),
    (
        ("kyc_mismatch", "travellers", ["kyc_mismatch"]),
        ("challenge_farming", "many_accounts", ["challenge_farming", "recurring_breaches"]),
        ("recurring_breaches", "many_accounts", ["recurring_breaches", "challenge_farming"]),
    ),
)
"""Firms of several kinds, each beside what looks like it and must not be flagged by the detectors named last."""
LADDERS, BUYERS = 1, 2
"""The second of them, of sizes, cycles and hands, and the third, of places and purchases."""


@dataclass(frozen=True)
class Judged:
    """A firm, the tables made of it, and what is said about it."""

    firm: Firm
    connection: duckdb.DuckDBPyConnection
    signals: pd.DataFrame


@pytest.fixture(scope="module")
def crowds() -> Callable[[int], Judged]:
    """Each of `CROWDS` as a firm with ordinary people, judged once."""

    @cache
    def judged(place: int) -> Judged:
        kinds = dict.fromkeys(name for kind, alike, _ in CROWDS[place] for name in (kind, alike))
        times = {name: 3 if name in ("kyc_mismatch", "travellers") else 2 for name in kinds}
        firm = filled(*(name for name in kinds for _ in range(times[name])), times=1)
        connection = firm.engine()
        return Judged(firm, connection, detect_all(connection, firm.as_of)[0])

    return judged


PAIRS = [(place, kind, silent) for place, crowd in enumerate(CROWDS) for kind, _, silent in crowd]


@pytest.mark.parametrize(("crowd", "kind", "silent"), PAIRS, ids=[kind for _, kind, _ in PAIRS])
def test_fires_on_its_kind_and_not_on_what_looks_alike(
    crowds: Callable[[int], Judged], crowd: int, kind: str, silent: list[str]
) -> None:
    firm, signals = crowds(crowd).firm, crowds(crowd).signals
    assert flagged(signals, kind) == firm.planted[kind]
    assert not signals["evidence"].str.contains(r"\bnan\b", case=False).any()
    innocent = {subject for subjects in firm.look_alikes.values() for subject in subjects}
    for detector in silent:
        assert not flagged(signals, detector) & innocent


def test_a_dispute_that_answers_a_breach_is_abuse_and_one_without_a_breach_is_not() -> None:
    maker = Maker(FIRMS[0], 3)
    trader, calm = maker.firm.trader(), maker.firm.trader()
    account, lost_at = maker.lost(trader, 5)
    maker.dispute(trader, account, lost_at + dt.timedelta(days=4))
    other = maker.firm.account(calm, START)
    maker.dispute(calm, other, START + dt.timedelta(days=30))
    assert flagged_by("chargeback_abuse", maker.firm) == {trader}


@pytest.mark.parametrize(("cards", "fires"), [(("one", "one"), True), (("one", "other"), False)])
def test_one_card_of_several_traders_who_all_dispute_is_stolen(cards: tuple[str, str], fires: bool) -> None:
    maker = Maker(FIRMS[0], 3)
    traders = [maker.firm.trader() for _ in cards]
    for trader, card in zip(traders, cards, strict=True):
        maker.dispute(trader, maker.firm.account(trader, START), START + dt.timedelta(days=30))
        maker.firm.rows["payments"][-1]["instrument"] = card
    assert flagged_by("chargeback_abuse", maker.firm) == (set(traders) if fires else set())


@pytest.mark.parametrize(("others", "fires"), [(0, True), (1, False)])
def test_an_instrument_by_which_others_pay_and_dispute_nothing_is_not_stolen(others: int, fires: bool) -> None:
    """Guards two honest disputes of a firm that tells one name for all who pay by some service."""
    maker = Maker(FIRMS[0], 3)
    traders = [maker.firm.trader() for _ in range(2 + others)]
    for place, trader in enumerate(traders):
        account = maker.firm.account(trader, START)
        maker.dispute(trader, account, START + dt.timedelta(days=30))
        row = maker.firm.rows["payments"][-1]
        row |= {"instrument": "a service"}
        bought = row | {"payment_id": f"P{place}", "kind": "purchase", "occurred_at": START}
        maker.firm.rows["payments"][-1:] = [bought, row] if place < 2 else [bought]
    assert flagged_by("chargeback_abuse", maker.firm) == (set(traders) if fires else set())


@pytest.mark.parametrize(("others", "words"), [(1, "by 1 other trader."), (2, "by 2 other traders.")])
def test_others_who_disputed_the_same_card_are_told_in_words(others: int, words: str) -> None:
    detector = DETECTORS["chargeback_abuse"]
    row = {"disputes": 1, "purchases": 1, "soon_after_breach": 0, "after_payout": 0, "instruments": 1}
    assert detector.sentence(pd.Series(row | {"others_on_instrument": others}), detector.terms).endswith(words)


@pytest.mark.parametrize(("amounts", "fires"), [([300], True), ([300, 300], False), ([300, 20], True)])
def test_a_dispute_of_a_fee_that_was_taken_twice_is_no_abuse(amounts: list[int], fires: bool) -> None:
    maker = Maker(FIRMS[0], 3)
    trader = maker.firm.trader()
    account, lost_at = maker.lost(trader, 5)
    bought = {"trader_id": trader, "challenge_id": f"C{account}", "kind": "purchase", "currency": "USD"}
    maker.firm.rows["payments"] += [
        bought | {"payment_id": f"P{place}", "amount": amount, "instrument": "card", "occurred_at": START}
        for place, amount in enumerate(amounts)
    ]
    maker.dispute(trader, account, lost_at + dt.timedelta(days=4))
    assert flagged_by("chargeback_abuse", maker.firm) == ({trader} if fires else set())


@pytest.mark.parametrize(("amount", "fires"), [(0.01, True), (0, False)])
def test_a_dispute_that_was_corrected_down_to_nothing_is_none(amount: float, fires: bool) -> None:
    maker = Maker(FIRMS[0], 3)
    trader = maker.firm.trader()
    account, lost_at = maker.lost(trader, 5)
    maker.dispute(trader, account, lost_at + dt.timedelta(days=4))
    maker.firm.rows["payments"][-1]["amount"] = amount
    assert flagged_by("chargeback_abuse", maker.firm) == ({trader} if fires else set())


@pytest.mark.parametrize(("seconds", "fires"), [(-1, False), (0, True), (1, True)])
def test_rest_counts_from_the_thirtieth_day_on(seconds: int, fires: bool) -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(1))
    account = firm.account(firm.trader(), START)
    entered = firm.as_of - dt.timedelta(days=30, seconds=seconds)
    firm.trade(account, entered, 60, 0.0001)
    assert flagged_by("inactivity", firm) == ({account} if fires else set())


def test_evidence_does_not_depend_on_the_order_of_delivery() -> None:
    """What happened at one instant has no order of its own."""
    firm = Firm(FIRMS[0], np.random.default_rng(1))
    account = firm.account(firm.trader(), START)
    for number in range(30):
        firm.trade(account, START, 60, 0.0001 * number)
    told = signals_of(firm)
    firm.rows["deals"].reverse()
    assert flagged(told, "inactivity") == {account}
    pd.testing.assert_frame_equal(told, signals_of(firm))


def test_where_no_trade_was_delivered_nobody_is_called_inactive() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(1))
    for _ in range(12):
        firm.account(firm.trader(), START)
    assert flagged_by("inactivity", firm) == set()


@pytest.mark.parametrize("others", [8, 9])
def test_beyond_a_servers_last_trade_rest_is_not_known(others: int) -> None:
    """Ten accounts do not fall silent on one day: their trades are missing. Nine may."""
    firm = Firm(FIRMS[0], np.random.default_rng(1))
    early = firm.account(firm.trader(), START)
    firm.trade(early, START, 60, 0.0001)
    late = [firm.account(firm.trader(), START) for _ in range(others)]
    for account in late:
        firm.trade(account, START + dt.timedelta(days=31), 60, 0.0001)
    expected = {early} if others == 9 else {early, *late}
    assert flagged_by("inactivity", firm) == expected


@pytest.mark.parametrize(("balance", "fires"), [(100_001.0, True), (100_900.0, False)])
def test_a_balance_that_moves_without_trades_tells_that_trades_are_missing(balance: float, fires: bool) -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(1))
    account = firm.account(firm.trader(), START)
    firm.trade(account, START, 60, 0.0001)
    for day, seen in ((3, 100_001.0), (20, balance)):
        at = START + dt.timedelta(days=day)
        firm.rows["equity"].append({"account_id": account, "observed_at": at, "balance": seen, "equity": seen})
    assert flagged_by("inactivity", firm) == ({account} if fires else set())


def test_an_open_position_and_a_waiting_payout_are_no_rest() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(1))
    waiting, holding = firm.account(firm.trader(), START), firm.account(firm.trader(), START)
    row = {"payout_id": "Q", "account_id": waiting, "requested_at": firm.as_of - dt.timedelta(days=2), "amount": 100}
    firm.rows["payouts"].append(row)
    firm.trade(holding, START, 60, 0.0001)
    firm.rows["deals"].pop()
    assert flagged_by("inactivity", firm) == set()


def test_three_trades_and_no_sign_ins_say_nothing() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(2))
    account = firm.account(firm.trader(), START + dt.timedelta(days=80))
    for k in range(3):
        firm.trade(account, START + dt.timedelta(days=85 + k), 2.0, 0.0002, lots=0.1)
    signals = signals_of(firm)
    assert signals[signals["subject_id"] == account].query("strength >= 0.5").empty


def test_a_firm_without_trades_says_nothing_and_names_what_is_missing() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(2))
    firm.account(firm.trader(), firm.as_of - dt.timedelta(days=3))
    signals, log = detect_all(firm.engine(), firm.as_of)
    assert list(signals.columns) == list(COLUMNS) and signals.empty
    assert any("no news delivered" in line for line in log) and any("no logins delivered" in line for line in log)


def test_what_is_lacking_is_told_apart_and_fillers_tell_no_habits() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(2))
    robots = [firm.account(firm.trader(), START) for _ in range(4)]
    by_hand, quick = (firm.account(firm.trader(), START) for _ in range(2))
    for k in range(12):
        at = START + dt.timedelta(days=k, hours=9)
        for magic, account in zip((7, 7, 7, 8), robots, strict=True):
            firm.trade(account, at, 3600, 0.0002, magic=magic, opened_by="expert")
        firm.trade(by_hand, at, 3600, 0.0002)
        firm.trade(by_hand, at + dt.timedelta(hours=3), 3600, 0.0002, lots=0.01)
        firm.trade(by_hand, at + dt.timedelta(hours=5), 10, 0.0002)
        firm.trade(quick, at, 10, 0.0002)
    connection = firm.engine()
    detect_all(connection, firm.as_of)
    relations.build(connection, "detectors.seen")
    seen = connection.sql("select account_id, robot_traders, lacks_quotes from detectors.seen").fetchall()
    expected = {robot: (traders, False) for robot, traders in zip(robots, (3, 3, 3, 1), strict=True)}
    assert {account: tuple(told) for account, *told in seen} == expected | {by_hand: (0, False), quick: (0, True)}
    habits = connection.sql("select account_id, positions from detectors.manners").fetchall()
    assert dict(habits) == dict.fromkeys([*robots, by_hand, quick], 12)


def test_one_trader_with_four_hundred_challenges_is_judged() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(2))
    trader = firm.trader()
    for k in range(400):
        firm.account(trader, START + dt.timedelta(hours=k))
    signals = signals_of(firm)
    assert set(signals["subject_id"]) >= {trader}


def test_markout_against_the_position_speaks_for_the_trader() -> None:
    def told(after: float) -> float:
        firm = filled("latency_arbitrage", seed=9, times=1)
        account = next(iter(firm.planted["latency_arbitrage"]))
        for deal in [row for row in firm.rows["deals"] if row["account_id"] == account and row.get("entry") == "in"]:
            mid = deal["price"] * (1 + after)
            spread = deal["price"] * 0.0001
            at = deal["executed_at"] + dt.timedelta(seconds=4)
            quote = {"symbol": deal["symbol"], "quoted_at": at, "bid": mid - spread / 2, "ask": mid + spread / 2}
            firm.rows["quotes"].append(quote)
        rows = look(firm.engine(), firm.as_of, "latency_arbitrage").set_index(["subject_id", "detector"])
        held = json.loads(str(rows.loc[(account, "latency_arbitrage"), "evidence"]))
        return float(held["log_odds"]["markout"])

    assert told(0.0002) > 0 > told(-0.0002)


def test_partial_closes_are_one_position() -> None:
    firm = filled(times=0)
    account = firm.account(firm.trader(), START)
    for k in range(40):
        at = START + dt.timedelta(days=2 + k, hours=9)
        firm.trade(account, at, 3600, 0.0005, lots=0.5)
        early = dict(firm.rows["deals"][-1], deal_id=f"part-{k}", executed_at=at + dt.timedelta(seconds=5), volume=0.25)
        firm.rows["deals"][-1]["volume"] = 0.25
        firm.rows["deals"].append(early)
    assert account not in flagged_by("tick_scalping", firm)


@pytest.mark.parametrize(
    ("won", "slow", "ended_by", "fires"),
    [(0.00015, -0.0003, "sl", True), (-0.0001, 0.0003, "client", True), (-0.0001, 0.0003, "sl", False)],
)
def test_who_loses_quickly_at_tight_stops_and_gains_in_longer_positions_is_no_scalper(
    won: float, slow: float, ended_by: str, fires: bool
) -> None:
    firm = filled(times=0)
    account = firm.account(firm.trader(), START)
    for k in range(60):
        at = START + dt.timedelta(days=2 + k // 10, hours=8, minutes=50 * (k % 10))
        hold_s, result = (9 + k % 3, won if k % 2 else -0.0001) if k % 5 else (1500, slow)
        firm.trade(account, at, hold_s, result, reason=ended_by if hold_s < 60 else "client")
    assert (account in flagged_by("tick_scalping", firm)) is fires


@pytest.mark.parametrize("crowd", range(len(CROWDS)))
def test_every_row_has_sentence_rows_numbers_and_what_was_ruled_out(
    crowds: Callable[[int], Judged], crowd: int
) -> None:
    signals = crowds(crowd).signals
    assert signals["first_at"].notna().all() and (signals["first_at"] <= signals["last_at"]).all()
    for text, sure in zip(signals["evidence"], signals["strength"], strict=True):
        held = json.loads(text)
        assert held["sentence"].endswith(".") and held["ruled_out"] and held["numbers"] and held["terms"]
        assert held["is_flag"] == (sure >= 0.5)
        told = 1 / (1 + np.exp(-sum(held["log_odds"].values())))
        assert told == pytest.approx(sure, abs=0.01)


@pytest.mark.parametrize(
    ("crowd", "kind"),
    [(LADDERS, "martingale"), (LADDERS, "payout_gaming"), (LADDERS, "account_passing"), (BUYERS, "kyc_mismatch")],
)
def test_one_detector_alone_says_what_it_says_among_all(crowds: Callable[[int], Judged], crowd: int, kind: str) -> None:
    """Guards the tests that look at one alone: what another would have built or told is missed by none."""
    firm, signals = crowds(crowd).firm, crowds(crowd).signals
    told = signals[signals["detector"] == kind].reset_index(drop=True)
    assert len(told)
    pd.testing.assert_frame_equal(look(firm.engine(), firm.as_of, kind), told)


def test_a_run_repeats_itself(crowds: Callable[[int], Judged]) -> None:
    judged = crowds(LADDERS)
    pd.testing.assert_frame_equal(signals_of(judged.firm), judged.signals)


def test_every_detector_answers_its_five_questions() -> None:
    for name, detector in DETECTORS.items():
        answers: dict[str, Any] = vars(detector.answers)
        assert set(answers) == {"behaviour", "data", "assumes", "fails", "respond"}, name
        assert all(len(text) > 30 and text.endswith(".") for text in answers.values()), name
        assert detector.terms.version


def kyc_strengths(*rows: dict[str, Any], abroad: float = 260.0, known: float = 1300.0) -> list[float]:
    """Strengths of people who differ from somebody at home in the given ways, in a firm where so many live abroad."""
    detector = DETECTORS["kyc_mismatch"]
    nothing: dict[str, Any] = {
        "days": 60,
        "home_days": 60,
        "has_returned": False,
        "away_span_days": None,
        "conflict_days": 0,
        "turns": 0,
        "steps": 59,
    }
    nothing |= {"kyc_status": "verified", "others": 0, "strangers": 0, "destination_users": None}
    nothing |= {"owned_papers": 0, "owned_countries": 0}
    seen = pd.DataFrame([nothing | row for row in rows])
    return list(strength(detector.weigh(seen, detector.terms, {"abroad": [abroad, known]})))


def test_who_lives_abroad_is_flagged_where_few_do_and_worth_a_question_where_many_do() -> None:
    weight, bands = ScoreTerms().weight("kyc_mismatch"), ScoreTerms().bands
    abroad = {"home_days": 0, "away_span_days": 120}
    many, of_others, refused = kyc_strengths(abroad, abroad | {"others": 2}, abroad | {"kyc_status": "rejected"})
    (few,) = kyc_strengths(abroad, abroad=120.0)
    assert 0.1 < many < 0.5 < few < of_others and many < refused
    assert 100 * weight * few < bands[1] < 100 * weight * of_others


@pytest.mark.parametrize(
    ("papers", "countries", "fires"),
    [(2, 1, True), (1, 1, False), (3, 0, False)],
    ids=["three", "a couple", "a family"],
)
def test_one_owner_of_papers_of_several_people_and_countries_has_borrowed_them(
    papers: int, countries: int, fires: bool
) -> None:
    strong = kyc_strengths({"days": 0, "home_days": 0, "owned_papers": papers, "owned_countries": countries})[0]
    assert bool(strong >= 0.5) is fires


def test_papers_of_one_owner_are_those_of_other_names_birth_dates_and_numbers() -> None:
    firm = filled()
    traders = [firm.trader(country) for country in ("NG", "BR", "IN", "DE")]
    for place, row in enumerate(firm.rows["traders"][-4:]):
        row |= {"date_of_birth": dt.date(1990 + place % 3, 1, 1), "kyc_document": f"paper{place}"}
    engine = firm.engine()
    owners = [{"trader_id": one, "owner_id": "owner", "members": 3} for one in traders[:3]]
    owners.append({"trader_id": traders[3], "owner_id": "alone", "members": 1})
    register(engine, schema.OWNERS, pd.DataFrame(owners))
    assert flagged(look(engine, firm.as_of, "kyc_mismatch"), "kyc_mismatch") == set(traders[:3])


def test_who_left_home_once_has_moved_and_who_keeps_coming_back_has_not() -> None:
    away = {"home_days": 8, "days": 100, "away_span_days": 90}
    moved, back = kyc_strengths(away, away | {"has_returned": True}, abroad=0.0)
    assert moved < 0.1 < back


@pytest.mark.parametrize(("users", "fires"), [(2, True), (5, True), (20, False)])
def test_a_destination_of_many_is_an_exchange_and_one_of_a_few_strangers_is_none(users: int, fires: bool) -> None:
    (told,) = kyc_strengths({"strangers": users - 1, "destination_users": users})
    assert (told >= 0.5) == fires


def test_two_countries_at_once_on_one_day_say_little_and_on_many_days_are_two_hands() -> None:
    once, often = kyc_strengths({"conflict_days": 1}, {"conflict_days": 20})
    assert once < 0.1 and often > 0.7


HANDS: dict[str, tuple[dict[str, str], float, bool, bool]] = {
    "two hands": ({"device_id": "hand"}, 20, False, True),
    "time to travel": ({"device_id": "hand"}, 200, False, False),
    "one machine behind an exit": ({}, 20, False, False),
    "a robot's machine": ({"device_id": "hand", "ip": "10.9.9.8"}, 20, True, False),
    "a tablet, and a computer that hides now and then": ({"device_id": "tablet"}, 20, False, False),
    "one address, by hand": ({"device_id": "hand", "ip": "10.9.9.9"}, 20, False, True),
}
"""How somebody signs in abroad, how many minutes after home, whether a robot trades, and whether it is flagged."""


def test_two_machines_in_two_countries_within_the_hour_are_two_hands() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(5))
    expected = set()
    for number, (far, minutes, robot, fires) in enumerate(HANDS.values()):
        trader = firm.trader()
        account = firm.account(trader, START)
        expected |= {trader} if fires else set()
        for day in range(2, 40):
            at = START + dt.timedelta(days=day, hours=9)
            home = {"trader_id": trader, "country": "DE", "device_id": trader, "ip": f"10.1.{number}.{day}"}
            abroad = home | {"country": "NG", "ip": f"10.2.{number}.{day}"} | far
            abroad["device_id"] += trader if far else ""
            firm.rows["logins"].append(home | {"occurred_at": at})
            firm.rows["logins"].append(abroad | {"occurred_at": at + dt.timedelta(minutes=minutes)})
            if far.get("device_id") == "tablet":
                settled = [at + dt.timedelta(hours=hour) for hour in range(5, 11)]
                firm.rows["logins"] += [abroad | {"country": "DE", "occurred_at": moment} for moment in settled]
            if day < 12:
                firm.trade(account, at, 3600, 0.001, opened_by="expert" if robot else "client")
    assert flagged_by("kyc_mismatch", firm) == expected


def test_machines_of_two_countries_by_turns_are_two_hands_and_two_homes_are_none() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(5))
    two_hands, two_homes, one_laptop = (firm.trader() for _ in range(3))
    for trader in (two_hands, two_homes, one_laptop):
        for day in range(2, 60):
            is_far = day % 2 if trader in (two_hands, one_laptop) else day // 8 % 2
            device = "hand" if is_far and trader != one_laptop else "own"
            signed = {"trader_id": trader, "country": "NG" if is_far else "DE", "device_id": f"{trader} {device}"}
            at = START + dt.timedelta(days=day, hours=9)
            firm.rows["logins"].append(signed | {"ip": f"10.{trader}.{is_far}.{day}", "occurred_at": at})
    firm.account(two_hands, START)
    assert flagged_by("kyc_mismatch", firm) == {two_hands}


COUPLES: dict[str, tuple[str, str, str, bool]] = {
    "strangers": ("Bo Berg", "FR", "own", True),
    "one surname": ("Bo Arens", "FR", "own", False),
    "one house": ("Bo Berg", "DE", "shared", False),
    "one operator": ("Bo Berg", "FR", "shared", True),
    "the same person": ("Ann Arens", "DE", "own", False),
}
"""Who is paid to the destination of Ann Arens from DE, at whose machine, and whether both are flagged."""


def test_strangers_paid_to_one_destination_are_flagged_and_a_family_is_not() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(5))
    expected = set()
    for couple, (name, country, machine, fires) in COUPLES.items():
        for named, home, device in (("Ann Arens", "DE", "shared"), (name, country, machine)):
            trader = firm.trader(home)
            firm.rows["traders"][-1]["full_name"] = named
            account = firm.account(trader, START, "funded")
            for day in range(2, 8):
                firm.trade(account, START + dt.timedelta(days=day, hours=9), 3600, 0.001)
            firm.sign_in(trader, START + dt.timedelta(days=3), home, f"{couple} {device}", account)
            paid = {"payout_id": f"Q{account}", "account_id": account, "amount": 300, "destination": couple}
            firm.rows["payouts"].append(paid | {"requested_at": START + dt.timedelta(days=20)})
            expected |= {trader} if fires else set()
    assert flagged_by("kyc_mismatch", firm) == expected


def test_sizes_do_not_matter_to_martingale() -> None:
    def strengths(factor: float) -> pd.Series:
        firm = filled("martingale", seed=6)
        for deal in firm.rows["deals"]:
            if deal["kind"] == "trade":
                deal["volume"] = round(deal["volume"] * factor, 4)
        rows = look(firm.engine(), firm.as_of, "martingale")
        held = rows[rows["detector"] == "martingale"].set_index("subject_id")["strength"]
        return held.loc[sorted(firm.planted["martingale"])]

    pd.testing.assert_series_equal(strengths(1.0), strengths(10.0), atol=0.02)


@pytest.mark.parametrize(("climbs_on", "fires"), [("losses", True), ("wins", False)])
def test_a_lot_more_after_every_loss_is_martingale_though_its_steps_get_smaller(climbs_on: str, fires: bool) -> None:
    firm = filled()
    account = firm.account(firm.trader(), START)
    for turn in range(48):
        rung, climbing = turn % 6, -0.0004 if climbs_on == "losses" else 0.0004
        won = climbing if rung < 5 else -climbing
        at = START + dt.timedelta(days=2 + turn // 3, hours=8 + 2 * (turn % 3))
        firm.trade(account, at, 1800, won, lots=0.1 * (rung + 1))
    assert flagged_by("martingale", firm) == ({account} if fires else set())


def test_back_to_the_usual_size_is_no_raise() -> None:
    firm = filled()
    account = firm.account(firm.trader(), START)
    for turn in range(64):
        lots, won = (0.2, -0.0004) if turn % 8 == 7 else (1.0, 0.0001)
        firm.trade(account, START + dt.timedelta(days=2 + turn // 4, hours=8 + 2 * (turn % 4)), 1800, won, lots=lots)
    connection = firm.engine()
    look(connection, firm.as_of, "martingale")
    told = "select losses, raised_after_loss from detectors.martingale where account_id = ? and sequence = 'account'"
    assert connection.execute(told, [account]).fetchall() == [(7, 0)]


def test_reasons_in_favour_need_enough_to_see() -> None:
    assert thin(np.array([2.0, 2.0, -2.0]), [5, 50, 1], 10).tolist() == [1.0, 2.0, -2.0]


def test_steps_leave_the_unknown_where_it_is() -> None:
    assert steps([0.0, 1.0, 2.0, None], [0, 1], [-1, 1], missing=0.25).tolist() == [-1.0, 1.0, 1.0, 0.25]


@pytest.mark.parametrize("model", [(2.0, 5.0), (8.0, 2.0)])
def test_a_count_is_likelier_under_the_model_it_came_from(model: tuple[float, float]) -> None:
    other = (5.0, 2.0) if model[0] < model[1] else (2.0, 8.0)
    hits = round(20 * model[0] / sum(model))
    assert likelihood_ratio([hits], [20], model, other)[0] > 0


def test_a_firm_full_of_it_does_not_make_it_usual() -> None:
    a, b = peers([9] * 500, [10] * 500, (2.0, 8.0))
    assert a / (a + b) <= 0.4


def test_strength_is_the_probability_of_the_log_odds() -> None:
    assert strength(pd.DataFrame({"prior": [-2.0, 0.0], "a": [2.0, 50.0]})).tolist() == pytest.approx([0.5, 1.0])


def test_relations_keep_their_grain(crowds: Callable[[int], Judged]) -> None:
    connection = crowds(LADDERS).connection
    grains = {
        "paces": "account_id",
        "grid": "account_id",
        "news_straddling": "account_id",
        "martingale": "account_id, sequence",
        "all_in": "account_id, phase",
        "account_passing": "account_id",
        "payout_gaming": "account_id, cycle",
        "payout_cycles": "account_id, trade_id",
        "payout_instants": "account_id, paid_at",
        "thin_days": "account_id, cycle",
        "kyc_mismatch": "trader_id",
        "purchases": "challenge_id",
        "positions": "account_id, trade_id",
    }
    for name, key in grains.items():
        twice = connection.sql(f"select {key} from detectors.{name} group by all having count(*) > 1").fetchall()
        assert not twice, name


def test_each_quick_return_counts_and_one_says_little() -> None:
    seen = pd.DataFrame({"in_a_row": [2, 5, 5, 5], "breaches": [2, 5, 5, 5], "days_to_breach": [14.0] * 4})
    seen = seen.assign(returns=[1, 4, 4, 4], days_to_each_return=[0.5, 0.5, 3.0, 12.0], is_in_ring=False)
    detector = DETECTORS["recurring_breaches"]
    once, quick, slow, slower = strength(detector.weigh(seen, detector.terms))
    assert once < 0.05 and quick >= 0.5 > slow > slower


@pytest.mark.parametrize(("in_a_row", "days_to_breach", "fires"), [(9, 2.4, True), (9, 30.0, False), (5, 2.4, False)])
def test_many_that_were_lost_soon_count_however_long_the_pauses(
    in_a_row: int, days_to_breach: float, fires: bool
) -> None:
    """Nine lost within days are told also where the next was bought a week later; nine that lasted are patience."""
    seen = pd.DataFrame({"in_a_row": [in_a_row], "breaches": [in_a_row], "days_to_breach": [days_to_breach]})
    seen = seen.assign(returns=[in_a_row - 1], days_to_each_return=[7.0], is_in_ring=False)
    detector = DETECTORS["recurring_breaches"]
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


@pytest.fixture(scope="module")
def straddlers() -> tuple[dict[str, str], set[str]]:
    """Accounts around 25 releases of the dollar, by what they do there, and those that are flagged."""
    firm = Firm(FIRMS[0], np.random.default_rng(6))
    ways = ("one filled", "one filled late", "some at once", "read first", "by the clock", "minutes after",
            "symbol unknown", "other currency")  # fmt: skip
    accounts = {way: firm.account(firm.trader(), START) for way in ways}
    waits = {"one filled late": (3.0, 14.0), "some at once": (3.0, 9.0, 12.0, 15.0, 20.0),
             "read first": (9.0, 20.0), "minutes after": (140.0, 200.0)}  # fmt: skip
    symbols = {"symbol unknown": "HAUSINDEX", "other currency": "EURGBP"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.quality.conduct_firms.LEVELS", LEVELS | dict.fromkeys(symbols.values(), (100.0, 10)))
        for day in range(1, 26):
            at = START + dt.timedelta(days=day, hours=12, minutes=30)
            firm.rows["news"].append({"event_id": f"E{day}", "occurs_at": at, "currency": "USD", "impact": "high"})
            for place, (way, account) in enumerate(accounts.items()):
                symbol, side = symbols.get(way, "EURUSD"), "buy" if day % 2 else "sell"
                wait = waits.get(way, (1.0, 2.0))
                entered = at + dt.timedelta(seconds=wait[day % len(wait)] + day / 10)
                won = 0.04 if symbol in symbols.values() else 0.0004
                firm.trade(account, entered, 60, won, symbol=symbol, side=side)
                for hour in range(-4, 3):
                    minutes = 60 * hour if way == "by the clock" else 60 * hour + 7 + 3 * place + day
                    firm.trade(
                        account, at + dt.timedelta(minutes=minutes, seconds=3), 900, 0.0004, symbol=symbol, side=side
                    )
    return accounts, flagged_by("news_straddling", firm)


@pytest.mark.parametrize(
    ("way", "fires"),
    [
        ("one filled", True), ("one filled late", True), ("some at once", True), ("read first", False),
        ("by the clock", False), ("minutes after", False),
        ("symbol unknown", True), ("other currency", False),
    ],
)  # fmt: skip
def test_one_side_filled_at_each_release_is_a_bracket_unless_the_clock_or_a_later_view_explains_it(
    straddlers: tuple[dict[str, str], set[str]], way: str, fires: bool
) -> None:
    accounts, found = straddlers
    assert (accounts[way] in found) == fires


def test_two_sides_at_a_release_on_an_instrument_that_the_calendar_does_not_name_are_no_habit_of_hedging() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(6))
    account = firm.account(firm.trader(), START)
    for day in range(1, 9):
        at = START + dt.timedelta(days=day, hours=12)
        news = {"event_id": f"E{day}", "occurs_at": at, "currency": "GBP", "impact": "high", "title": "release"}
        firm.rows["news"].append(news)
        for symbol in ("GBPUSD", "EURUSD"):
            for wait, side, won in ((1, "buy", 0.0004), (2, "sell", -0.0001)):
                firm.trade(account, at + dt.timedelta(seconds=wait), 60, won, symbol=symbol, side=side)
    assert flagged_by("news_straddling", firm) == {account}


@pytest.mark.parametrize(("apart", "fires"), [(dt.timedelta(seconds=20), True), (dt.timedelta(hours=2), False)])
def test_all_in_is_what_was_entered_at_once_not_what_a_position_was_built_up_to(
    apart: dt.timedelta, fires: bool
) -> None:
    firm = filled()
    account = firm.account(firm.trader(), START)
    for day in range(3):
        at, number = START + dt.timedelta(days=day, hours=8), firm.number()
        common = {"account_id": account, "position_id": f"P{number}", "kind": "trade", "symbol": "EURUSD"}
        opening = {"entry": "in", "side": "buy", "volume": 2.0, "price": 1.1, "profit": 0, "reason": "client"}
        firm.rows["deals"] += [
            common | opening | {"deal_id": f"{number}-{k}", "executed_at": at + k * apart} for k in range(4)
        ]
        closing = {"entry": "out", "side": "sell", "volume": 8.0, "price": 1.1056, "profit": 4_480, "reason": "client"}
        if day == 1:
            closing |= {"price": 1.0944, "profit": -4_480}
        firm.rows["deals"].append(
            common | closing | {"deal_id": f"{number}-9", "executed_at": at + dt.timedelta(hours=9)}
        )
    assert flagged_by("all_in", firm) == ({account} if fires else set())


def passed_on(before: str, after: str, *, otherwise: bool) -> tuple[float, str]:
    """How surely an account was passed on, in words too; its sign-ins a day each from devices by letter, traded
    otherwise or not."""
    firm = Firm(FIRMS[0], np.random.default_rng(5))
    trader = firm.trader()
    evaluation = firm.account(trader, START)
    challenge = firm.rows["accounts"][-1]["challenge_id"]
    funded = firm.account(trader, START + dt.timedelta(days=30), stage="funded", challenge_id=challenge)
    usual = (1800.0, 9, "EURUSD", 0.0002)
    manners = (usual, (60.0, 20, "XAUUSD", 0.4) if otherwise else usual)
    for account, day, devices, manner in ((evaluation, 1, before, manners[0]), (funded, 31, after, manners[1])):
        hold_s, hour, symbol, won = manner
        for turn in range(len(devices)):
            at = START + dt.timedelta(days=day + turn, hours=hour)
            firm.trade(account, at, hold_s * (1 + turn % 3 / 10), won if turn % 2 else -won, symbol=symbol)
            firm.rows["logins"].append(
                {"trader_id": trader, "occurred_at": at, "ip": "81.2.3.4", "country": "DE", "device_id": devices[turn]}
            )
    signals = look(firm.engine(), firm.as_of, "account_passing")
    held = signals[signals["detector"] == "account_passing"]
    return (
        (float(held["strength"].iloc[0]), json.loads(held["evidence"].iloc[0])["sentence"]) if len(held) else (0.0, "")
    )


def test_a_buyer_who_looked_in_before_is_seen_and_a_device_given_up_is_no_passing() -> None:
    held, told = passed_on("sssbsssbsssb", "bbbbbbbbbbbb", otherwise=True)
    assert held >= 0.5 and "instruments in common 0 %" in told
    assert passed_on("sssbsssbsssb", "bbbbbbbbbbbb", otherwise=False)[0] < 0.3
    assert passed_on("sbsbsbsbsbsb", "bsbsbsbsbsbs", otherwise=True)[0] < 0.5


def test_the_daily_allowance_on_several_instruments_at_once_is_all_in_and_hours_apart_it_is_not() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(8))
    accounts = {apart_s: firm.account(firm.trader(), START) for apart_s in (20, 7200)}
    for (apart_s, account), day in itertools.product(accounts.items(), range(2)):
        for place, symbol in enumerate(("EURUSD", "GBPUSD", "XAUUSD")):
            at = START + dt.timedelta(days=day, hours=8, seconds=apart_s * place)
            distance = 0.002 * LEVELS[symbol][0]
            lots = 0.015 * 50_000 / (distance * LEVELS[symbol][1])
            firm.trade(account, at, 3600, -distance, symbol=symbol, side="buy", lots=lots, stop=distance)
    assert flagged_by("all_in", firm) == {accounts[20]}


@pytest.mark.parametrize(
    ("share", "lots", "place", "fires"),
    [(0.95, 8.0, 11, True), (0.95, 8.0, 0, True), (0.95, 1.0, 11, False), (0.3, 2.5, 11, False)],
    ids=["the last", "the first", "a stop far away", "a bold one"],
)
def test_one_idea_far_beyond_all_others_is_all_in_unless_only_its_stop_is_far(
    share: float, lots: float, place: int, fires: bool
) -> None:
    firm = filled()
    account = firm.account(firm.trader(), START)
    for k in range(12):
        stake, times = (share * 0.04, lots) if k == place else (0.005 * (1 + 0.1 * (k % 3)), 1.0)
        size = times * 0.005 * 50_000 / (0.002 * 100_000)
        distance = stake * 50_000 / (size * 100_000)
        won = distance if k % 2 else -0.4 * distance
        firm.trade(account, START + dt.timedelta(days=k, hours=9), 3600, won, lots=size, stop=distance)
    assert (account in flagged_by("all_in", firm)) is fires


def test_three_usual_pieces_entered_together_are_no_all_in_though_they_come_near_the_allowance() -> None:
    firm = filled()
    account = firm.account(firm.trader(), START)
    for k in range(40):
        at, pieces = START + dt.timedelta(days=k, hours=9), 3 if k == 20 else 1
        for piece in range(pieces):
            firm.trade(account, at + dt.timedelta(seconds=20 * piece), 3600, 0.001, lots=2.6, stop=0.002)
    assert account not in flagged_by("all_in", firm)


def test_one_win_without_a_stop_is_all_in_at_many_times_the_size_of_others_only() -> None:
    detector = DETECTORS["all_in"]
    others = pd.DataFrame(
        {"trader_id": [f"t{k}" for k in range(60)], "log_size": np.log(np.geomspace(0.001, 0.004, 60))}
    )
    others = others.assign(ideas=40, days=20, log_stake=np.log(0.004), is_ended=False)
    wins = pd.DataFrame({"trader_id": ["usual", "huge"], "log_size": np.log([0.003, 0.06])})
    wins = wins.assign(ideas=1, days=1, log_stake=np.log(0.03), is_ended=False)
    seen = pd.concat([others, wins], ignore_index=True)
    seen = seen.assign(planned=0, ideas_weighed=np.nan, log_planned=np.nan, spread=np.nan, allowance=0.05, rungs=0)
    seen = seen.assign(**NOTHING_LOST)
    usual, huge = strength(detector.weigh(seen, detector.terms))[-2:]
    assert usual < 0.5 < huge
    told = seen.iloc[-1:].assign(planned=1, ideas_weighed=1, log_planned=np.log(0.005))
    assert detector.usual is not None
    assert strength(detector.weigh(told, detector.terms, detector.usual(seen)))[0] < 0.5


NOTHING_LOST = {
    "losses": 0, "log_lost": np.nan, "lost_spread": np.nan, "others": 0, "stake_beyond": np.nan, "size_beyond": np.nan,
    "others_varied": np.nan,
}  # fmt: skip
NEVER_IN_A_ROW = {
    "in_a_row": np.nan, "row_breaches": np.nan, "row_days_to_breach": np.nan, "row_returns": np.nan,
    "row_days_to_each_return": np.nan, "row_is_in_ring": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("challenges", "breached", "days_to_breach", "stake", "fires"),
    [(400, 277, 2.0, 0.74, True), (20, 14, 2.0, 0.67, True), (400, 42, 7.0, 0.23, False), (8, 1, 2.0, 0.08, False)],
)
def test_many_challenges_side_by_side_are_farming_only_where_they_are_gambled_away(
    challenges: int, breached: int, days_to_breach: float, stake: float, fires: bool
) -> None:
    bought = {"traded": challenges, "breached": breached, "side_by_side": min(challenges, 30), "again_at_once": 0}
    traded = {"busiest": challenges / 2, "days_to_breach": days_to_breach, "stake_share": stake}
    detector = DETECTORS["challenge_farming"]
    found = strength(detector.weigh(pd.DataFrame([bought | traded | NEVER_IN_A_ROW]), detector.terms))[0]
    assert (found >= 0.5) == fires


@pytest.mark.parametrize(("cycles", "told"), [(1.0, False), (2.0, True)])
def test_one_of_several_cycles_is_ruled_out_where_there_are_several(cycles: float, told: bool) -> None:
    """It had been told as "in one of 1 cycles"."""
    row = pd.Series({"cycles": cycles, "filler_days": 0.0, "thin_days": 0.0, "days": 10.0})
    said = payout_gaming.ruled_out(row, payout_gaming.Terms())
    assert any("in one of" in one for one in said) is told


def gaming(**told: float) -> float:
    """How strongly payout gaming is held of one payout cycle of which only some numbers say anything."""
    nothing = dict.fromkeys(
        ("cycle", "days", "filler_days", "end_filler_days", "other_days", "other_filler_days", "splits", "near_splits",
         "splits_by_chance", "winners_in_two", "over_resets_by_chance", "near_largest", "largest_by_chance",
         "spike_others", "stakes_before", "stakes_after", "sizes_before", "sizes_after", "thin_days", "near_days",
         "other_thin_days", "other_near_days"), 0.0,
    )  # fmt: skip
    unknown = dict.fromkeys(
        ("spike", "spike_varied", "won_share", "spike_days_after", "spike_days_expected", "breached_after_days",
         "stake_moved", "stake_varied", "size_moved", "size_varied"), np.nan,
    )  # fmt: skip
    detector = DETECTORS["payout_gaming"]
    seen = pd.DataFrame([{**nothing, **unknown, "cycles": 1.0, **told}])
    return float(strength(detector.weigh(seen, detector.terms))[0])


@pytest.mark.parametrize(
    ("splits", "by_chance", "winners", "fires"), [(3, 0, 3, True), (2, 0, 12, False), (3, 1, 3, False)]
)
def test_winners_split_near_the_reset_count_beside_splits_at_other_times(
    splits: int, by_chance: float, winners: int, fires: bool
) -> None:
    found = gaming(
        days=30, splits=splits, near_splits=splits, splits_by_chance=by_chance, winners_in_two=winners
    )  # fmt: skip
    assert (found >= 0.5) == fires


@pytest.mark.parametrize(
    ("thin", "near", "elsewhere", "fires"),
    [(6, 6, (0, 0), True), (6, 6, (2, 8), True), (6, 6, (7, 8), False), (3, 9, (0, 0), False), (3, 3, (0, 0), False)],
)
def test_days_that_win_just_enough_count_beside_what_was_won_where_it_does_not_matter(
    thin: int, near: int, elsewhere: tuple[int, int], fires: bool
) -> None:
    found = gaming(
        days=12, thin_days=thin, near_days=near, other_thin_days=elsewhere[0], other_near_days=elsewhere[1]
    )  # fmt: skip
    assert (found >= 0.5) == fires


def thin_days(goal: float, elsewhere: float | None) -> pd.DataFrame:
    """What is said of an account paid for eight days, each of which won a multiple of what a day must win, and of two
    that won much; what the days of its evaluation won is given too."""
    maker = Maker(replace(FIRMS[0], profitable=0.5), 3)
    firm, trader = maker.firm, maker.firm.trader()
    evaluation = firm.account(trader, START)
    account = firm.account(trader, START + dt.timedelta(days=20), "funded", f"C{evaluation}")
    for day in range(10):
        for into, first, times in ((evaluation, 2, elsewhere or 0.4 + 0.3 * day), (account, 22, goal)):
            won = 250 * (4.0 if into == account and day < 2 else times * (1 + 0.01 * day)) / 100_000
            firm.trade(into, START + dt.timedelta(days=first + day, hours=8), 3600, won)
    maker.paid(account, 33, 300)
    signals = look(firm.engine(), firm.as_of, "payout_gaming")
    return signals[signals["strength"] >= 0.5]


@pytest.mark.parametrize(
    ("goal", "elsewhere", "fires"), [(1.03, None, True), (1.03, 1.03, False), (1.6, None, False), (0.9, None, False)]
)
def test_days_that_end_once_they_count_are_told_with_what_a_day_must_win(
    goal: float, elsewhere: float | None, fires: bool
) -> None:
    found = thin_days(goal, elsewhere)
    assert len(found) == fires
    if fires:
        held = json.loads(str(found.iloc[0]["evidence"]))
        assert "8 of 10 days that count as profitable won at most 20 % more than the 250.00" in held["sentence"]
        assert any("0 days ended as near below or above" in one for one in held["ruled_out"])


@pytest.mark.parametrize(("largest", "winners", "fires"), [(1, 10, True), (0, 10, False), (1, 2, False)])
def test_one_winner_split_at_the_reset_is_gaming_where_it_won_most_of_many(
    largest: int, winners: int, fires: bool
) -> None:
    found = gaming(
        days=10, splits=1, near_splits=1, winners_in_two=1, near_largest=largest, largest_by_chance=1 / winners
    )  # fmt: skip
    assert (found >= 0.5) == fires


@pytest.mark.parametrize(("splits", "by_chance", "fires"), [(5, 2.0, True), (5, 4.0, False)])
def test_winners_in_two_over_a_reset_count_beside_how_long_lies_between_their_ends(
    splits: int, by_chance: float, fires: bool
) -> None:
    assert (gaming(days=30, splits=splits, winners_in_two=6, over_resets_by_chance=by_chance) >= 0.5) == fires


@pytest.mark.parametrize(("cycles", "fires"), [(1, True), (6, False)])
def test_what_one_cycle_shows_counts_for_less_the_more_cycles_were_looked_at(cycles: int, fires: bool) -> None:
    assert (gaming(days=10, filler_days=4, cycles=cycles) >= 0.5) == fires


@pytest.mark.parametrize(("elsewhere", "fires"), [(0, True), (12, False)])
def test_fillers_in_one_cycle_of_several_are_meant_where_the_others_have_none(elsewhere: int, fires: bool) -> None:
    found = gaming(days=9, filler_days=5, cycles=4, cycle=2, other_days=30, other_filler_days=elsewhere)
    assert (found >= 0.5) == fires


@pytest.mark.parametrize(("last", "earlier", "fires"), [(4, 0, True), (0, 4, False), (1, 3, False)])
def test_days_of_fillers_at_the_end_of_cycles_are_meant_and_scattered_ones_are_not(
    last: int, earlier: int, fires: bool
) -> None:
    found = gaming(days=20 + 2 * earlier, filler_days=last + earlier, end_filler_days=last, cycles=2, cycle=np.nan,
                   other_days=20, other_filler_days=earlier)  # fmt: skip
    assert (found >= 0.5) == fires


@pytest.mark.parametrize(("last", "fires"), [(6, True), (2, False)])
def test_a_long_cycle_that_ends_with_many_days_of_fillers_is_gamed(last: int, fires: bool) -> None:
    assert (gaming(days=60, filler_days=last, end_filler_days=last) >= 0.5) == fires


@pytest.mark.parametrize(("ideas", "fires"), [(4, True), (1, False)])
def test_a_spike_stands_out_beside_a_few_ideas_already_and_not_beside_one(ideas: int, fires: bool) -> None:
    told = gaming(days=4, spike=np.log(20), spike_varied=0.1, spike_others=ideas, won_share=0.9, spike_days_after=0)
    assert (told >= 0.5) == fires


@pytest.mark.parametrize(
    ("times", "won_share", "days_after", "fires"),
    [(8, 0.9, 0, True), (2, 0.9, 0, False), (8, 0.2, 0, False), (8, 0.9, 5, False)],
)
def test_one_large_idea_that_wins_the_payout_is_gaming_where_silence_follows_it(
    times: float, won_share: float, days_after: int, fires: bool
) -> None:
    found = gaming(
        days=6, spike=np.log(times), spike_varied=0.1, spike_others=30, won_share=won_share,
        spike_days_after=days_after, spike_days_expected=5,
    )  # fmt: skip
    assert (found >= 0.5) == fires


@pytest.mark.parametrize(
    ("won", "last_hours", "splits"), [(0.002, 5, 1), (-0.002, 5, 0), (0.002, 1, 0), (0.002, 53, 1)]
)
def test_a_winner_in_two_parts_over_resets_is_one_split_and_a_loser_is_none(
    won: float, last_hours: float, splits: int
) -> None:
    maker = Maker(FIRMS[0], 3)
    account = maker.firm.account(maker.firm.trader(), START, "funded")
    evening = START + dt.timedelta(days=3, hours=22)
    for hours in (0.5, last_hours):
        maker.firm.trade(account, evening, hours * 3600, won)
    maker.paid(account, 6, 300)
    connection = maker.firm.engine()
    look(connection, maker.firm.as_of, "payout_gaming")
    assert connection.sql("select splits from detectors.payout_gaming").fetchall() == [(splits,)]


@pytest.mark.parametrize(
    ("size", "stake", "days", "fires"),
    [(0.9, 3.0, 7, True), (3.0, 0.9, 7, True), (1.8, 1.8, 4, True), (1.2, 1.2, 4, False), (3.0, 3.0, 60, False)],
)
def test_an_account_is_burnt_soon_by_larger_sizes_or_by_larger_stakes(
    size: float, stake: float, days: float, fires: bool
) -> None:
    found = gaming(
        days=12, breached_after_days=days, size_moved=np.log(size), stake_moved=np.log(stake), size_varied=0.05,
        stake_varied=0.05, sizes_before=40, sizes_after=8, stakes_before=40, stakes_after=7,
    )  # fmt: skip
    assert (found >= 0.5) == fires


def test_an_account_that_begins_at_zero_trades_positions_of_a_size_too() -> None:
    """Guards futures firms' funded accounts: without a size every day seemed to hold nothing but tiny positions."""
    maker = Maker(FIRMS[0], 3)
    account = maker.firm.account(maker.firm.trader(), START, "funded")
    for day in range(12):
        maker.firm.trade(account, START + dt.timedelta(days=day, hours=8), 3600, 0.002 if day % 2 else -0.001)
    maker.paid(account, 12, 300)
    connection = maker.firm.engine()
    for table in ("lake.accounts", "decided.account_status"):
        connection.execute(f"update {table} set initial_balance = 0")
    told = look(connection, maker.firm.as_of, "payout_gaming")
    assert connection.sql("select count(*) from detectors.positions where size > 0").fetchall() == [(12,)]
    assert account not in flagged(told, "payout_gaming")


@pytest.mark.parametrize(("ideas", "fires"), [(1, False), (4, True)])
def test_the_one_loss_that_breached_an_account_after_its_payout_does_not_make_it_burnt(ideas: int, fires: bool) -> None:
    maker = Maker(FIRMS[0], 3)
    firm = maker.firm
    account = firm.account(firm.trader(), START, "funded")
    for day in range(12):
        firm.trade(account, START + dt.timedelta(days=day, hours=8), 3600, 0.002 if day % 2 else -0.001)
    maker.paid(account, 12, 300)
    for day in range(ideas):
        firm.trade(account, START + dt.timedelta(days=16 + day, hours=8), 3600, -0.046 / ideas)
    assert (account in flagged_by("payout_gaming", firm)) == fires


def paid_thrice(
    fillers_in: int | None,
    larger: float,
    filler: tuple[float, float, float] = (60, 0.0, 0.02),
    within: Firm | None = None,
) -> tuple[Firm, str]:
    """An account paid on days 12, 26 and 40: fillers (seconds, move, lots) in one of its cycles, or all lost at larger
    sizes at last."""
    maker = Maker(FIRMS[0], 3)
    maker.firm = firm = within or maker.firm
    account = firm.account(firm.trader(), START, "funded")
    for cycle, paid_day in enumerate((12, 26, 40)):
        for day in range(paid_day - 9, paid_day):
            at = START + dt.timedelta(days=day, hours=8)
            if fillers_in == cycle and day > paid_day - 7:
                firm.trade(account, at, filler[0], filler[1], lots=filler[2])
            else:
                firm.trade(account, at, 3600, 0.002 if day % 2 else -0.001)
        maker.paid(account, paid_day, 300)
    for half_day in range(20):
        at = START + dt.timedelta(days=44, hours=12 * half_day)
        firm.trade(account, at, 3600, -0.004 if larger > 1 else 0.001, lots=larger)
    return firm, account


CYCLES: dict[str, tuple[int | None, float, str]] = {
    "fillers in the last": (2, 1.0, "in payout cycle 3 of 3"),
    "fillers in the first": (0, 1.0, "in payout cycle 1 of 3"),
    "fillers in none": (3, 1.0, ""),
    "burnt": (None, 3.0, "days after the last payout the account was breached, at"),
    "honest": (None, 1.0, ""),
}
"""In which cycle there are fillers, by how much sizes are larger at last, and what is said, if anything."""


@pytest.fixture(scope="module")
def paid() -> tuple[dict[str, str], pd.DataFrame]:
    """Accounts of `CYCLES`, and what is said of their payouts."""
    firm = Maker(FIRMS[0], 3).firm
    accounts = {way: paid_thrice(fillers, larger, within=firm)[1] for way, (fillers, larger, _) in CYCLES.items()}
    return accounts, look(firm.engine(), firm.as_of, "payout_gaming")


@pytest.mark.parametrize("way", CYCLES)
def test_each_payout_cycle_is_judged_and_the_one_that_was_gamed_is_told(
    paid: tuple[dict[str, str], pd.DataFrame], way: str
) -> None:
    accounts, signals = paid
    fillers, _, says = CYCLES[way]
    assert (accounts[way] in flagged(signals, "payout_gaming")) is bool(says)
    if says:
        held = json.loads(str(signals.set_index("subject_id").loc[accounts[way], "evidence"]))
        assert says in held["sentence"]
        if fillers is not None:
            assert {row["lots"] for row in held["rows"][:6]} == {0.02}


def test_days_of_brief_positions_that_win_as_real_days_do_are_no_fillers() -> None:
    firm, flipper = paid_thrice(2, 1.0, (5, 0.00002, 1.0))
    _, winner = paid_thrice(2, 1.0, (5, 0.001, 1.0), firm)
    assert flagged_by("payout_gaming", firm) & {flipper, winner} == {flipper}


def test_what_a_trader_won_elsewhere_has_the_account_measured_anew() -> None:
    maker = Maker(replace(FIRMS[0], profitable=0.5), 3)
    firm, trader = maker.firm, maker.firm.trader()
    evaluation, account = firm.account(trader, START), firm.account(trader, START, "funded")
    firm.trade(account, START + dt.timedelta(days=2, hours=8), 3600, 0.0026)
    maker.paid(account, 12, 300)
    seen = set()
    for won in (0.0027, 0.0026, 0.0032):
        firm.trade(evaluation, START + dt.timedelta(days=20, hours=8), 3600, won)
        firm.rows["deals"][-1]["profit"] = round(won * 100_000, 2)
        connection = firm.engine()
        look(connection, firm.as_of, "payout_gaming")
        seen |= set(
            connection.sql(f"select rests_on from detectors.rests_on where account_id = '{account}'").fetchall()
        )
        del firm.rows["deals"][-2:]
    assert len(seen) == 2


def test_a_later_payout_and_its_change_have_the_account_measured_anew() -> None:
    firm, account = paid_thrice(None, 1.0)
    left = [row for row in firm.rows["deals"] if row["kind"] == "balance" and row["profit"] == -300][-1]
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"executed_at": left["executed_at"] + dt.timedelta(hours=1)},
        {"profit": 0},
    )
    seen = set()
    for change in changes:
        left.update(change)
        firm.rows["settlements"] = firm.rows["settlements"][:2]
        connection = firm.engine()
        look(connection, firm.as_of, "payout_gaming")
        seen |= set(
            connection.sql(f"select rests_on from detectors.rests_on where account_id = '{account}'").fetchall()
        )
    assert len(seen) == 3


def test_sizes_doubled_on_whichever_instrument_comes_next_are_a_martingale() -> None:
    firm = filled()
    account, base = firm.account(firm.trader(), START), {"EURUSD": 0.1, "XAUUSD": 0.03, "US30": 0.4}
    lost, symbols = 0, list(base)
    for k in range(27):
        symbol, won = symbols[int(firm.rng.integers(3))], -1 if k % 4 else 1
        at = START + dt.timedelta(days=k // 3, hours=8 + 2 * (k % 3))
        move = {"EURUSD": 0.0003, "XAUUSD": 0.9, "US30": 6.0}[symbol]
        firm.trade(account, at, 1800, won * move, symbol=symbol, lots=round(base[symbol] * 2**lost, 2))
        lost = 0 if won > 0 else lost + 1
    assert account in flagged_by("martingale", firm)


MOODY = (65, 86, 26, 40, 90, 140, 68, 67, 21, 56, 48, 41, 33, 49, 40, 114, 142, 60, 50)
"""Sizes of an ordinary person's mood, raised after six of nine losses and after none of nine wins."""


RUNS: dict[str, tuple[tuple[int, ...], str, bool]] = {
    "mood": (MOODY, "WWWLLWLWLLLWLWLLWWW", False),
    "burnt at once": ((1, 2, 4, 8, 16, 32), "LLLLLL", True),
    "doubled": ((1, 2, 1, 2, 4, 1, 2, 4, 8, 1, 1), "LWLLWLLLWWW", True),
    "from the second loss": ((1, 1, 2, 3, 5, 1, 1, 1, 1, 2, 3, 1, 1, 2, 1), "LLLLWWWLLLWLLWW", True),
    "one raise": ((2, 2, 2, 2, 2, 9, 2, 2, 2, 2, 2), "LLWLLLWWLLW", False),
    "smaller": ((16, 8, 4, 2, 1, 1, 16, 8, 4, 16, 8), "LLLLLWLLWLW", False),
    "after wins": ((1, 1, 2, 2, 4, 4, 1, 1, 2, 2, 4), "LWWLWWLWWLW", False),
}
"""Sizes one after the other, what each came to, and whether they are a martingale."""
LAYERS: dict[str, tuple[float, int, bool, bool]] = {
    f"{name}, {'netted' if netted else 'each by itself'}": (*told, netted)
    for name, told in {"doubled": (2.0, 3, True), "grown": (1.3, 6, True), "alike": (1.0, 6, False)}.items()
    for netted in (False, True)
}
"""By how much each layer is larger, how many there are, whether it is a martingale, and whether positions net."""


@pytest.fixture(scope="module")
def climbers() -> tuple[dict[str, str], set[str]]:
    """Accounts by their `RUNS` and `LAYERS` among ordinary people, and who is flagged."""
    firm, level = filled(), LEVELS["EURUSD"][0]
    accounts = {way: firm.account(firm.trader(), START) for way in (*RUNS, *LAYERS)}
    for way, (sizes, lost, _) in RUNS.items():
        for turn, (size, ended) in enumerate(zip(sizes, lost, strict=True)):
            at = START + dt.timedelta(days=2 + turn // 4, hours=8 + 2 * (turn % 4))
            firm.trade(accounts[way], at, 1800, -0.0001 if ended == "L" else 0.0001, lots=size / 10)
    for way, (factor, layers, _, netted) in LAYERS.items():
        for day, layer in itertools.product(range(6), range(layers)):
            at, end = START + dt.timedelta(days=2 + day, hours=8, minutes=15 * layer), -0.001 if day % 2 else 0.001
            price, held = level * (1 - 0.002 * layer), 7200 - 900 * layer + layer
            lots = round(0.1 * factor**layer, 2)
            firm.trade(accounts[way], at, held, end, side="buy", price=price, lots=lots)
            if netted:
                for deal in firm.rows["deals"][-2:]:
                    deal["position_id"] = f"{accounts[way]} {day}"
    return accounts, flagged_by("martingale", firm)


@pytest.mark.parametrize("way", RUNS)
def test_sizes_that_climb_with_each_loss_of_a_run_are_a_martingale_and_raises_at_random_are_not(
    climbers: tuple[dict[str, str], set[str]], way: str
) -> None:
    accounts, found = climbers
    assert (accounts[way] in found) is RUNS[way][-1]


@pytest.mark.parametrize("way", LAYERS)
def test_layers_that_grow_beside_losing_ones_are_a_martingale_though_the_next_basket_begins_anew(
    climbers: tuple[dict[str, str], set[str]], way: str
) -> None:
    accounts, found = climbers
    assert (accounts[way] in found) is LAYERS[way][2]


def test_ordinary_people_beside_those_whose_sizes_climb_are_no_martingale(
    climbers: tuple[dict[str, str], set[str]],
) -> None:
    accounts, found = climbers
    assert found <= set(accounts.values())


def test_the_pieces_of_one_order_are_one_entry_of_a_netted_position() -> None:
    firm = filled()
    account = firm.account(firm.trader(), START)
    for day, piece in itertools.product(range(8), range(4)):
        at = START + dt.timedelta(days=2 + day, hours=8, seconds=2 * piece)
        firm.trade(account, at, 3600, -0.001, side="buy", price=1.1 - 0.0001 * piece, lots=0.1 * 2**piece)
        for deal in firm.rows["deals"][-2:]:
            deal["position_id"] = f"{account} {day}"
    connection = firm.engine()
    look(connection, firm.as_of, "martingale")
    told = "select losses, raised_after_loss from detectors.martingale where account_id = ? and sequence = 'instrument'"
    assert connection.execute(told, [account]).fetchall() == [(7, 0)]


@pytest.mark.parametrize("untold", [{0, 1}, {1}], ids=["of an entry", "of a piece of one"])
def test_a_price_that_is_not_told_makes_no_losing_entry_of_a_netted_position(untold: set[int]) -> None:
    """Each position is added to while it wins, and wins; the price of the whole is below all that are told."""
    firm = filled()
    account = firm.account(firm.trader(), START)
    for day, layer, piece in itertools.product(range(8), range(3), range(2)):
        at = START + dt.timedelta(days=2 + day, hours=8, minutes=15 * layer, seconds=2 * piece)
        firm.trade(account, at, 3600, 0.001, price=1.1 + 0.002 * layer, lots=0.1)
        opening, closing = firm.rows["deals"][-2:]
        opening["position_id"] = closing["position_id"] = f"{account} {day}"
        if layer == 1 and piece in untold:
            opening["price"] = None
    connection = firm.engine()
    look(connection, firm.as_of, "martingale")
    told = "select losses from detectors.martingale where account_id = ? and sequence = 'instrument'"
    assert connection.execute(told, [account]).fetchall() == [(0,)]


@pytest.mark.parametrize(("explained", "fires"), [(0.9, True), (0.15, False)])
def test_a_ladder_that_explains_little_of_many_sizes_is_no_martingale(explained: float, fires: bool) -> None:
    detector = DETECTORS["martingale"]
    seen = pd.DataFrame(
        {"losses": [75], "raised_after_loss": 37, "climbed_after_loss": 37, "wins": 51, "raised_after_win": 5}
    )
    # sizes climb by a factor of e a rung: what that explains is the squared correlation
    seen = seen.assign(heights=125, heights_varied=100 / explained, rung_varied=100, rung_with_height=100)
    for other in ("lots_more", "later", "layer"):
        seen = seen.assign(**{f"{other}_varied": 100, f"{other}_with_height": 0})
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


def manners(kind: str, pairs: int, **changes: float) -> pd.DataFrame:
    """Pairs of stages that are traded alike but for what `changes` adds to the later one."""
    before = {"positions": 40.0, "days": 15.0, "log_hold": 7.0, "log_hold_varied": 0.5, "hour_x": 0.8, "hour_y": 0.5,
              "by_robot": 0.0, "with_stop": 1.0, "with_target": 0.5, "sizes_spread": 0.2}  # fmt: skip
    row: dict[str, Any] = {f"{name}_before": value for name, value in before.items()}
    row |= {f"{name}_after": value + changes.get(name, 0.0) for name, value in before.items()}
    row |= {"kind": kind, "instrument_overlap": 1.0 - changes.get("instruments", 0.0), "instruments": 2}
    return pd.DataFrame([row | {"account_id": f"{kind}{place}"} for place in range(pairs)])


OTHERWISE = {"instruments": 1.0, "log_hold": 2.0, "hour_x": -1.6, "hour_y": -1.0, "with_stop": -1.0}


@pytest.mark.parametrize(
    ("usual", "changed", "fires"),
    [((300, 0), OTHERWISE, True), ((150, 60), OTHERWISE, False), ((300, 0), {"instruments": 1.0}, False)],
)
def test_another_hand_on_the_same_device_is_told_by_how_rarely_the_firms_traders_change_as_much(
    usual: tuple[int, int], changed: dict[str, float], fires: bool
) -> None:
    detector = DETECTORS["account_passing"]
    steady, restless = usual
    firm = [manners("onward", steady), manners("again", restless, **OTHERWISE), manners("again", steady)]
    firm.append(manners("onward", restless, **OTHERWISE))
    firm += [manners("strangers", 100, **OTHERWISE), manners("strangers", 100, log_hold=1.0, instruments=1.0)]
    assert detector.usual is not None
    among = detector.usual(pd.concat(firm, ignore_index=True))
    signed = {"sessions_before": 20, "sessions_after": 20, "devices_changed": 0.0, "devices_gone": 0.0,
              "devices_new": 0.0, "countries_changed": 0.0, "device_users_before": 1, "also_given_up": 0}  # fmt: skip
    seen = manners("funding", 1, **changed).assign(**signed)
    assert bool(strength(detector.weigh(seen, detector.terms, among))[0] >= 0.5) is fires
    few = seen.assign(positions_before=2.0, positions_after=2.0)
    assert strength(detector.weigh(few, detector.terms, among))[0] < 0.5


@pytest.mark.parametrize(("sessions", "fires"), [(20, True), (60, False)])
def test_another_manner_counts_less_the_more_often_the_same_devices_signed_in_on_either_side(
    sessions: int, fires: bool
) -> None:
    detector = DETECTORS["account_passing"]
    strangers = manners("strangers", 100, **OTHERWISE)
    assert detector.usual is not None
    among = detector.usual(pd.concat([manners("onward", 300), manners("again", 300), strangers], ignore_index=True))
    signed = {"devices_changed": 0.0, "devices_gone": 0.0, "devices_new": 0.0, "countries_changed": 0.0,
              "device_users_before": 1, "also_given_up": 0}  # fmt: skip
    seen = manners("funding", 1, **OTHERWISE).assign(sessions_before=sessions, sessions_after=sessions, **signed)
    assert bool(strength(detector.weigh(seen, detector.terms, among))[0] >= 0.5) is fires


def test_the_same_change_never_counts_less_when_more_of_it_is_seen() -> None:
    detector = DETECTORS["account_passing"]
    assert detector.usual is not None
    among = detector.usual(pd.concat([manners("onward", 60), manners("strangers", 60, **OTHERWISE)]))
    further = pd.concat([manners("funding", 1, **{name: part * by for name, by in OTHERWISE.items()})
                         for part in (0.0, 0.25, 0.5, 1.0)], ignore_index=True)  # fmt: skip
    told = strength(detector.weigh(further.assign(sessions_before=20, sessions_after=20, devices_changed=0.0,
        devices_gone=0.0, devices_new=0.0, countries_changed=0.0, device_users_before=1, also_given_up=0),
        detector.terms, among))  # fmt: skip
    assert (np.diff(told) >= 0).all() and told[-1] > told[0]


@pytest.mark.parametrize(("elsewhere", "fires"), [(0.008, False), (0.04, True)])
def test_a_loss_without_a_stop_ran_away_where_its_trader_stakes_little_at_that_size(
    elsewhere: float, fires: bool
) -> None:
    detector = DETECTORS["all_in"]
    seen = pd.DataFrame({"ideas": [1, 30], "days": [1, 12], "log_stake": np.log([0.045, elsewhere]), "planned": 0})
    seen = seen.assign(trader_id="t", log_size=np.log(0.006), is_ended=True, allowance=0.05, rungs=0)
    seen = seen.assign(**NOTHING_LOST)
    seen = seen.assign(ideas_weighed=np.nan, log_planned=np.nan, spread=np.nan)
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


def test_one_idea_beside_an_accounts_others_is_no_account_of_its_own_where_a_loss_without_a_stop_ran_away() -> None:
    """Guards that the largest told stake of an account that stakes little does not take this away again."""
    detector = DETECTORS["all_in"]
    seen = pd.DataFrame(
        {"ideas": [1, 30, 1], "days": [1, 12, 1], "log_stake": np.log([0.045, 0.008, 0.02]), "planned": [0, 30, 1]}
    )
    seen = seen.assign(trader_id="t", log_size=np.log(0.006), is_ended=True, allowance=0.05, rungs=0)
    seen = seen.assign(**NOTHING_LOST).assign(others=[0, 0, 29], stake_beyond=[np.nan, np.nan, np.log(2.5)])
    seen = seen.assign(size_beyond=[np.nan, np.nan, 0.0], others_varied=[np.nan, np.nan, 0.1], spread=0.1)
    seen = seen.assign(ideas_weighed=[np.nan, 30, 1], log_planned=[np.nan, *np.log([0.008, 0.02])])
    elsewhere = detector.weigh(seen, detector.terms)["size_elsewhere"]
    assert elsewhere.iloc[0] == detector.weigh(seen[:2], detector.terms)["size_elsewhere"].iloc[0] < -1


@pytest.mark.parametrize(("markout", "fires"), [(1.2, True), (-0.3, False)])
def test_a_market_that_moved_at_once_outweighs_what_the_exit_made_of_it(markout: float, fires: bool) -> None:
    detector = DETECTORS["latency_arbitrage"]
    seen = pd.DataFrame([{"hold_s": 2.0, "hold_quarter_s": 1.0, "hold_three_quarters_s": 3.0, "brief_edge": 0.2}])
    seen = seen.assign(
        brief_positions=120, brief_wins=93, markouts=120, markout_spreads=markout, brief_share_of_gains=1.0
    )
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


def test_a_grid_on_both_sides_is_as_deep_as_both_and_a_brief_hand_stakes_less_on_its_lots() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(3))
    grid, brief, slow = (firm.account(firm.trader(), START) for _ in range(3))
    level = LEVELS["EURUSD"][0]
    for turn, (day, layer, (side, away)) in enumerate(
        itertools.product(range(6), range(3), (("buy", -1), ("sell", 1)))
    ):
        at = START + dt.timedelta(days=day, hours=8, minutes=10 * layer, seconds=turn)
        price = level * (1 + away * 0.001 * (layer + 1))
        firm.trade(grid, at, 7200 - 600 * layer - turn, 0.0005, side=side, price=price, lots=0.2)
    for account, hold_s in ((brief, 36.0), (slow, 3600.0)):
        for day in range(30):
            firm.trade(account, START + dt.timedelta(days=day, hours=16), hold_s, 0.0004 if day % 2 else -0.0004)
    connection = firm.engine()
    detect_all(connection, firm.as_of)
    told = "select deep_baskets, layers_max from detectors.grid where account_id = ?"
    assert connection.execute(told, [grid]).fetchall() == [(12, 6)]
    usual = "select account_id, median(size) from detectors.stakes group by account_id"
    sizes = dict(connection.execute(usual).fetchall())
    assert sizes[brief] < 0.3 * sizes[slow]


@pytest.mark.parametrize(("others", "fires"), [(3, True), (0, False)])
def test_a_device_that_several_give_up_with_their_funding_is_a_service_though_the_manner_stays(
    others: int, fires: bool
) -> None:
    detector = DETECTORS["account_passing"]
    manner = {"log_hold": 6.7, "hour_x": 0.7, "hour_y": 0.6, "by_robot": 1.0, "sessions": 20, "positions": 70}
    alike = {f"{name}_{side}": value for name, value in manner.items() for side in ("before", "after")}
    seen = pd.DataFrame(
        [
            {**alike, "instrument_overlap": 1.0, "devices_changed": 1.0, "devices_gone": 1.0, "devices_new": 1.0,
             "countries_changed": 0.0, "device_users_before": 4, "also_given_up": others}
        ]
    )  # fmt: skip
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


@pytest.mark.parametrize(("country", "users", "fires"), [(1.0, 5, True), (0.0, 1, False), (1.0, 1, False)])
def test_a_handed_over_robot_does_not_hide_who_signed_in_before(country: float, users: int, fires: bool) -> None:
    detector = DETECTORS["account_passing"]
    manner = {"log_hold": 6.7, "hour_x": 0.7, "hour_y": 0.6, "by_robot": 1.0, "sessions": 20, "positions": 70}
    alike = {f"{name}_{side}": value for name, value in manner.items() for side in ("before", "after")}
    seen = pd.DataFrame(
        [
            {**alike, "instrument_overlap": 1.0, "devices_changed": 1.0, "devices_gone": 1.0, "devices_new": 1.0,
             "countries_changed": country, "device_users_before": users, "also_given_up": 0}
        ]
    )  # fmt: skip
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


def test_stale_quotes_show_whatever_is_traded_in_between_at_larger_sizes() -> None:
    firm = filled()
    account = firm.account(firm.trader(), START)
    for k in range(40):
        at = START + dt.timedelta(days=k // 4, hours=8 + k % 4)
        firm.trade(account, at, 2 + 0.1 * (k % 5), -0.00004 if k % 8 == 0 else 0.00005)
        if k % 4 == 0:
            firm.trade(account, at + dt.timedelta(minutes=5), 1800, 0.0004 if k % 8 else -0.0006, lots=6.0)
    assert account in flagged_by("latency_arbitrage", firm)


def test_a_bold_account_that_bad_luck_ends_soon_is_no_all_in_by_its_end() -> None:
    detector = DETECTORS["all_in"]
    share = np.array([0.65, 0.95])
    seen = pd.DataFrame({"trader_id": ["bold", "gambler"], "ideas": 3, "planned": 3, "days": 2, "ideas_weighed": 3.0})
    seen = seen.assign(log_planned=np.log(0.04 * share), log_stake=np.log(0.04 * share), log_size=np.nan, rungs=0)
    seen = seen.assign(**NOTHING_LOST)
    seen = seen.assign(spread=0.25, allowance=0.04, is_ended=True)
    among = {"stake": [float(np.log(0.006)), 0.65], "size": [float(np.log(0.003)), 0.9, 0.7]}
    weighed = detector.weigh(seen, detector.terms, among)
    bold, gambler = strength(weighed)
    assert bold < 0.5 <= gambler
    assert (weighed["bad_luck"] < 0).all()


def test_evaluations_burnt_at_once_and_often_are_farmed_whatever_their_stake() -> None:
    detector = DETECTORS["challenge_farming"]
    seen = pd.DataFrame(
        {"side_by_side": 4, "busiest": 8, "breached": [6, 6], "days_to_breach": [2.0, 14.0], "stake_share": 0.2}
    ).assign(again_at_once=0, traded=8, **NEVER_IN_A_ROW)
    at_once, slowly = strength(detector.weigh(seen, detector.terms))
    assert slowly < 0.5 < at_once


@pytest.mark.parametrize(("stake", "again", "fires"), [(0.6, 8, True), (0.6, 2, False), (0.2, 8, False)])
def test_evaluations_rolled_one_after_the_other_are_farmed_where_they_are_gambled(
    stake: float, again: int, fires: bool
) -> None:
    detector = DETECTORS["challenge_farming"]
    seen = pd.DataFrame({"side_by_side": [1], "busiest": 6, "breached": 9, "days_to_breach": 3.0})
    seen = seen.assign(stake_share=stake, again_at_once=again, traded=10, **NEVER_IN_A_ROW)
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


@pytest.mark.parametrize(("stake", "in_a_row", "fires"), [(0.38, 10, False), (0.38, 2, True), (0.6, 10, True)])
def test_who_loses_one_after_the_other_and_buys_the_next_at_once_farms_only_at_stakes_of_a_gambler(
    stake: float, in_a_row: int, fires: bool
) -> None:
    detector = DETECTORS["challenge_farming"]
    seen = pd.DataFrame({"side_by_side": [1], "busiest": 10, "breached": 10, "traded": 10, "days_to_breach": 2.0})
    seen = seen.assign(stake_share=stake, again_at_once=7, in_a_row=in_a_row, row_breaches=10, row_days_to_breach=1.5)
    seen = seen.assign(row_returns=in_a_row - 1, row_days_to_each_return=1.0, row_is_in_ring=False)
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


def test_instant_accounts_bought_at_once_run_side_by_side_and_accounts_that_were_passed_to_do_not() -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(6))
    instant, passed = firm.trader(), firm.trader()
    for day in range(4):
        firm.account(instant, START + dt.timedelta(days=day), "instant")
        first = START + dt.timedelta(days=day)
        account = firm.account(passed, first)
        firm.account(passed, first + dt.timedelta(hours=6), "funded", challenge_id=f"C{account}")
    connection = firm.engine()
    look(connection, firm.as_of, "challenge_farming")
    found = connection.sql("select trader_id, side_by_side from detectors.challenge_farming").fetchall()
    assert dict(found) == {instant: 4, passed: 0}


@pytest.mark.parametrize(("tied", "fires"), [(True, True), (False, False)])
def test_evaluations_spread_over_the_records_of_one_owner_are_farmed_together(tied: bool, fires: bool) -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(6))
    records = [firm.trader() for _ in range(3)]
    for number in range(9):
        account = firm.account(records[number % 3], START + dt.timedelta(days=number))
        firm.trade(account, START + dt.timedelta(days=number + 1, hours=8), 3600, -0.0245, stop=0.0245)
        firm.trade(account, START + dt.timedelta(days=number + 2, hours=8), 3600, -0.0245, stop=0.0245)
    owners = pd.DataFrame({"trader_id": records, "owner_id": "O" if tied else records})
    connection = firm.engine()
    register(connection, schema.OWNERS, owners)
    told = look(connection, firm.as_of, "challenge_farming")
    assert flagged(told, "challenge_farming") == (set(records) if fires else set())
    if fires:
        held = json.loads(str(told.iloc[0]["evidence"]))
        assert held["sentence"].startswith("9 challenges of one owner's 3 records")
        assert {row["trader_id"] for row in held["rows"]} == set(records)


@pytest.mark.parametrize(
    ("disputes", "instruments", "fires"), [(3, 3, True), (3, 1, False), (2, 2, False), (1, 1, False)]
)
def test_whose_every_card_is_disputed_need_not_have_lost_the_account(
    disputes: int, instruments: int, fires: bool
) -> None:
    detector = DETECTORS["chargeback_abuse"]
    seen = pd.DataFrame(
        {"soon_after_breach": [0.0], "after_payout": 0, "disputes": disputes, "others_on_instrument": 0}
    )
    seen = seen.assign(instruments=instruments)
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


@pytest.mark.parametrize(("markouts", "spreads", "fires"), [(58, 2.0, True), (58, 0.2, False), (0, np.nan, False)])
def test_who_leaves_before_the_price_has_come_is_told_by_where_the_market_stood_a_moment_after_entry(
    markouts: int, spreads: float, fires: bool
) -> None:
    detector = DETECTORS["latency_arbitrage"]
    seen = pd.DataFrame([{"hold_s": 1.6, "hold_quarter_s": 0.9, "hold_three_quarters_s": 2.2, "brief_edge": -0.1}])
    seen = seen.assign(brief_positions=58, brief_wins=28, markouts=markouts, markout_spreads=spreads)
    seen = seen.assign(brief_share_of_gains=1.0)
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


@pytest.mark.parametrize(("share", "fires"), [(0.9, True), (0.005, False)])
def test_tiny_positions_that_fill_days_take_no_stale_quotes(share: float, fires: bool) -> None:
    detector = DETECTORS["latency_arbitrage"]
    seen = pd.DataFrame([{"hold_s": 19.0, "hold_quarter_s": 11.0, "hold_three_quarters_s": 40.0, "brief_edge": 2.0}])
    seen = seen.assign(brief_positions=40, brief_wins=40, markouts=0, markout_spreads=np.nan)
    seen = seen.assign(brief_share_of_gains=share)
    assert bool(strength(detector.weigh(seen, detector.terms))[0] >= 0.5) is fires


@pytest.mark.parametrize(("apart", "hedges", "fires"), [(8, False, True), (200, False, False), (8, True, False)])
def test_a_few_releases_with_both_sides_within_seconds_are_brackets_where_both_sides_are_no_habit(
    apart: int, hedges: bool, fires: bool
) -> None:
    firm = Firm(FIRMS[0], np.random.default_rng(6))
    account = firm.account(firm.trader(), START)
    for day in range(1, 11):
        at = START + dt.timedelta(days=day, hours=12, minutes=30)
        firm.rows["news"].append({"event_id": f"E{day}", "occurs_at": at, "currency": "USD", "impact": "high"})
        firm.trade(account, at - dt.timedelta(seconds=40), 90, 0.0004, side="buy")
        if day % 3 == 0:
            firm.trade(account, at - dt.timedelta(seconds=40 - apart), 90, -0.0001, side="sell")
        for hour in range(2, 6 if hedges else 2):
            for side, wait in (("buy", 0), ("sell", 8)):
                firm.trade(account, at + dt.timedelta(hours=hour, seconds=wait), 900, 0.0002, side=side)
    assert flagged_by("news_straddling", firm) == ({account} if fires else set())


@pytest.mark.parametrize(("soon_by_the_clock", "fires"), [(0, True), (17, False)])
def test_who_comes_in_soon_after_the_clock_every_day_does_so_at_news_by_habit(
    soon_by_the_clock: int, fires: bool
) -> None:
    detector = DETECTORS["news_straddling"]
    seen = pd.DataFrame({"events": [18], "both_sides": 0, "at_once": 8, "soon": 18, "rode": 5, "turns": 0})
    seen = seen.assign(brackets=0, turns_at_once=0)
    seen = seen.assign(news_positions=18, positions=35, quiet_positions=17, by_the_clock=soon_by_the_clock // 2)
    seen = seen.assign(soon_by_the_clock=soon_by_the_clock)
    among = {"at_once": [1.0, 5.0], "soon": [0.8, 2.4]}
    assert bool(strength(detector.weigh(seen, detector.terms, among))[0] >= 0.5) is fires


@pytest.mark.parametrize(("at_once", "fires"), [(11, True), (3, False)])
def test_where_most_who_trade_many_releases_straddle_those_who_trade_few_tell_what_is_usual(
    at_once: int, fires: bool
) -> None:
    detector = DETECTORS["news_straddling"]
    seen = pd.DataFrame({"events": [2] * 40 + [9] * 16 + [12], "at_once": [0] * 40 + [8] * 12 + [1] * 4 + [at_once]})
    seen = seen.assign(soon=seen["at_once"], rode=seen["at_once"], both_sides=0, brackets=0, turns=0, turns_at_once=0)
    seen = seen.assign(news_positions=13, positions=70, quiet_positions=57, by_the_clock=2, soon_by_the_clock=9)
    assert detector.usual is not None
    assert bool(strength(detector.weigh(seen, detector.terms, detector.usual(seen)))[-1] >= 0.5) is fires


def test_small_ideas_that_try_a_market_out_hide_no_all_in() -> None:
    detector = DETECTORS["all_in"]
    seen = pd.DataFrame({"trader_id": ["probed", "steady"], "ideas": [3, 12], "planned": [3, 12], "days": [2, 8]})
    seen = seen.assign(ideas_weighed=[1.1, 11.0], log_planned=np.log([0.045, 0.006]), log_stake=np.log([0.001, 0.006]))
    seen = seen.assign(log_size=np.nan, spread=[0.3, 0.2], allowance=0.05, is_ended=[True, False], rungs=0)
    seen = seen.assign(**NOTHING_LOST)
    probed, steady = strength(detector.weigh(seen, detector.terms))
    assert steady < 0.2 and probed >= 0.5


@pytest.mark.parametrize(("lost", "varied", "fires"), [(0.9, 0.05, True), (0.9, 0.6, False), (0.4, 0.05, False)])
def test_who_loses_nearly_the_allowance_again_and_again_without_a_stop_goes_all_in(
    lost: float, varied: float, fires: bool
) -> None:
    detector = DETECTORS["all_in"]
    seen = pd.DataFrame({"trader_id": ["t"], "ideas": 6, "planned": 0, "ideas_weighed": 6.0, "days": 6, "rungs": 0})
    seen = seen.assign(log_planned=np.nan, log_stake=np.log(0.03 * lost), log_size=np.nan, spread=np.nan)
    seen = seen.assign(**NOTHING_LOST, allowance=0.03, is_ended=True)
    seen = seen.assign(losses=5, log_lost=np.log(0.03 * lost), lost_spread=varied)
    among = {"stake": [-4.83, 0.65], "size": [-5.0, 0.9, 0.0]}
    assert bool(strength(detector.weigh(seen, detector.terms, among))[0] >= 0.5) is fires


@pytest.mark.parametrize(("rungs", "fires"), [(0, True), (5, False)])
def test_a_stake_near_the_allowance_is_all_in_and_the_last_rung_of_a_ladder_is_not(rungs: int, fires: bool) -> None:
    detector = DETECTORS["all_in"]
    seen = {"trader_id": "t", "ideas": 2, "planned": 2, "days": 2, "ideas_weighed": 2.0, "log_planned": np.log(0.045)}
    seen |= {"log_stake": np.log(0.045), "log_size": np.nan, "spread": 0.15, "allowance": 0.05, "is_ended": True}
    among = {"stake": [float(np.log(0.008)), 0.65], "size": [float(np.log(0.003)), 0.9, 0.7]}
    weighed = detector.weigh(pd.DataFrame([seen | NOTHING_LOST | {"rungs": rungs}]), detector.terms, among)
    assert (strength(weighed)[0] >= 0.5) == fires
