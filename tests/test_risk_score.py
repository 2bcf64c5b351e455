"""The score adds up, never falls when evidence grows, learns from enough answers only, and leaves the innocent
alone."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.quality.conduct_firms import FIRMS, Maker
from dashboards.kit import look, words
from models import risk_score
from models.detectors import DETECTORS, detect_all
from models.risk_score import (
    ITEMS,
    UNSAID,
    ScoreTerms,
    calibrated,
    combine,
    detector_precision,
    model_version,
    owner_scores,
    score_accounts,
    weigh,
)
from sql import schema
from sql.decided import register

pytestmark = pytest.mark.xdist_group("risk_score")  # its firm is made once
TERMS = ScoreTerms()
ACCOUNTS = pd.DataFrame({"account_id": ["A", "B"], "trader_id": ["T", "U"]})
strengths = st.dictionaries(st.sampled_from(sorted(TERMS.weights)), st.floats(0, 1), max_size=6)


def items(found: dict[str, float], account: str = "A") -> pd.DataFrame:
    """Signals about an account as items."""
    rows = [(account, name, strength, TERMS.weights[name], "account", account, "") for name, strength in found.items()]
    return pd.DataFrame(rows, columns=list(ITEMS)).astype({"strength": float, "weight": float})


def score_of(found: dict[str, float]) -> float:
    """The score of an account with these signals."""
    return float(combine(ACCOUNTS, items(found), TERMS)["score"].iloc[0])


def answers(detector: str, confirmed: int, dismissed: int) -> pd.DataFrame:
    """Dispositions of so many subjects."""
    outcomes = ["confirmed"] * confirmed + ["dismissed"] * dismissed
    rows = [
        ("account", f"X{k}", detector, outcome, pd.Timestamp("2026-01-01", tz="UTC"))
        for k, outcome in enumerate(outcomes)
    ]
    return pd.DataFrame(rows, columns=["subject_kind", "subject_id", "detector", "outcome", "decided_at"])


@given(strengths)
@settings(max_examples=60, deadline=None)
def test_points_add_up_to_the_score(found: dict[str, float]) -> None:
    row = combine(ACCOUNTS, items(found), TERMS).iloc[0]
    assert sum(reason["points"] for reason in row["reasons"]) == pytest.approx(row["score"], abs=1e-6)
    assert 0 <= row["score"] <= 100


@given(strengths, st.sampled_from(sorted(TERMS.weights)), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_more_evidence_never_lowers_the_score(found: dict[str, float], name: str, more: float) -> None:
    grown = {**found, name: max(found.get(name, 0.0), more)}
    assert score_of(grown) >= score_of(found)


@pytest.mark.parametrize(
    ("expected", "told"),
    [(7.4e-05, "; chance would give under 0.0001."), (0.5, "; chance would give 0.5."), (None, ".")],
)
def test_a_pair_tells_what_chance_would_give_without_an_exponent(expected: float | None, told: str) -> None:
    """7.4e-05 stood beside "under 0.0001" for the same pair on another page."""
    pair = SimpleNamespace(account_a="A", account_b="B", matched=14, expected=expected)
    assert risk_score._matched(pair) == f"A and B share 14 entries{told}"


def test_nothing_found_is_zero_and_low() -> None:
    scored = combine(ACCOUNTS, items({"grid": 0.9}), TERMS)
    assert scored.loc[1, "score"] == 0 and scored.loc[1, "band"] == "low" and scored.loc[1, "reasons"] == []


@pytest.mark.parametrize(("weight", "band"), [(0.2999, "low"), (0.3, "medium"), (0.6, "high"), (0.85, "critical")])
def test_bands_begin_at_their_limit(weight: float, band: str) -> None:
    one = items({"grid": 1.0}).assign(weight=weight)
    assert combine(ACCOUNTS, one, TERMS)["band"].iloc[0] == band


@pytest.mark.parametrize(("labels", "moves"), [(19, False), (20, True)])
def test_answers_move_a_weight_from_the_minimum_on(labels: int, moves: bool) -> None:
    moved = calibrated(TERMS, answers("grid", 0, labels))
    assert (moved.weights["grid"] < TERMS.weights["grid"]) is moves
    assert moved.weights["martingale"] == TERMS.weights["martingale"]
    assert (model_version(moved) != model_version(TERMS)) is moves


def test_the_newest_answer_about_a_subject_counts() -> None:
    first = answers("grid", 25, 0)
    later = first.assign(outcome="dismissed", decided_at=first["decided_at"] + pd.Timedelta(days=1))
    found = detector_precision(pd.concat([later, first])).iloc[0]
    assert found["labels"] == 25 and found["confirmed"] == 0 and found["low"] < 0.01 < found["high"]


def test_withdrawn_answers_and_evidence_below_a_flag_are_no_labels() -> None:
    given_answers = answers("grid", 12, 13).assign(strength=0.5, counts=True)
    assert detector_precision(given_answers).iloc[0]["labels"] == 25
    weak = given_answers.assign(strength=0.49)
    assert detector_precision(weak).empty
    silent = given_answers.assign(counts=given_answers["outcome"] == "confirmed")
    assert detector_precision(silent).iloc[0][["labels", "confirmed"]].tolist() == [12, 12]
    later = given_answers.assign(outcome="withdrawn", decided_at=given_answers["decided_at"] + pd.Timedelta(days=1))
    assert model_version(calibrated(TERMS, pd.concat([given_answers, later]))) == model_version(TERMS)


@pytest.mark.parametrize(("reason", "field"), [("copy", "copying"), ("own mirror", "own_mirroring")])
def test_answers_about_pairs_move_their_weight_and_a_new_detector_gets_its_own(reason: str, field: str) -> None:
    moved = calibrated(TERMS, pd.concat([answers(reason, 0, 20), answers("brand_new", 0, 20)]))
    assert getattr(moved, field) < getattr(TERMS, field)
    assert moved.weight("brand_new") < TERMS.other_weight == moved.other_weight
    assert moved.weight("grid") == TERMS.weight("grid")


def test_calibration_repeats_itself_whatever_the_order() -> None:
    given_answers = answers("grid", 15, 15)
    shuffled = given_answers.sample(frac=1, random_state=3)
    assert model_version(calibrated(TERMS, given_answers)) == model_version(calibrated(TERMS, shuffled))


@pytest.fixture(scope="module")
def judged():  # type: ignore[no-untyped-def]
    maker = Maker(FIRMS[0], 8)
    for kind in ("latency_arbitrage", "account_passing", "kyc_mismatch", "fast_hands", "funded_people", "travellers"):
        for _ in range(3):
            getattr(maker, kind)()
    for _ in range(30):
        maker.ordinary()
    connection = maker.firm.engine()
    register(connection, schema.SIGNALS, detect_all(connection, maker.firm.as_of)[0])
    return maker.firm, connection


def test_the_planted_stand_above_the_innocent(judged) -> None:  # type: ignore[no-untyped-def]
    firm, connection = judged
    scores = score_accounts(connection, firm.as_of)
    guilty = scores["account_id"].isin(firm.planted["latency_arbitrage"] | firm.planted["account_passing"])
    guilty |= scores["trader_id"].isin(firm.planted["kyc_mismatch"])
    traders = set(scores.loc[guilty, "trader_id"])
    innocent = scores[~scores["trader_id"].isin(traders)]
    assert scores.loc[guilty, "score"].min() > innocent["score"].max()
    assert not innocent["band"].isin(["high", "critical"]).any()
    assert list(scores.columns)[:7] == ["account_id", "trader_id", "score", "band", "reasons", "as_of", "model_version"]


def test_a_dismissed_signal_is_silent_until_newer_evidence(judged) -> None:  # type: ignore[no-untyped-def]
    firm, connection = judged
    account = sorted(firm.planted["latency_arbitrage"])[0]
    row = {"subject_kind": "account", "subject_id": account, "detector": "latency_arbitrage", "outcome": "dismissed"}
    after, before = (
        pd.DataFrame([{**row, "decided_at": at}]) for at in (firm.as_of, firm.as_of - pd.Timedelta(days=99))
    )

    def points(dispositions: pd.DataFrame) -> list[str]:
        scores = score_accounts(connection, firm.as_of, dispositions).set_index("account_id")
        return [reason["reason"] for reason in json.loads(scores.loc[account, "reasons"])]

    assert "latency_arbitrage" not in points(after)
    assert "latency_arbitrage" in points(before)


def test_money_at_stake_is_shown_without_points(judged) -> None:  # type: ignore[no-untyped-def]
    firm, connection = judged
    for told in score_accounts(connection, firm.as_of)["reasons"]:
        last = json.loads(told)[-1]
        assert last["reason"] == "money at stake" and last["points"] == 0 and last["amount"] >= 0


SEEN = {
    "positions": 900,
    "has_sign_ins": True,
    "lacks_quotes": False,
    "robot_traders": 0,
    "has_payments": True,
    "has_equity": True,
    "has_news": True,
    "has_stops": True,
}
FEED_LACKS = {"has_equity": False, "has_news": False, "has_stops": False}


def test_every_score_says_what_there_was_too_little_of_and_for_which_detectors(judged) -> None:  # type: ignore[no-untyped-def]
    firm, connection = judged
    scores = score_accounts(connection, firm.as_of)
    guilty = str(scores.loc[scores["score"].idxmax(), "account_id"])
    blank = scores.loc[scores["score"] == 0, "account_id"].tolist()[:8]
    known: dict[str, tuple[dict[str, Any], list[str]]] = {
        blank[0]: ({"positions": 7}, ["positions"]),
        blank[1]: ({"positions": 8, "robot_traders": 2}, []),
        blank[2]: ({"has_sign_ins": False}, ["sign_ins"]),
        blank[3]: ({"positions": 0, "has_sign_ins": False, **FEED_LACKS}, ["positions", "sign_ins"]),
        blank[4]: ({"lacks_quotes": True}, ["quotes"]),
        blank[5]: ({"robot_traders": 3}, ["own_hand"]),
        blank[6]: (FEED_LACKS, ["equity", "stops", "news"]),
        blank[7]: ({"has_payments": False}, ["payments"]),
        guilty: ({"positions": 1, "has_sign_ins": False}, ["positions", "sign_ins"]),
    }
    rows = [{"account_id": name, **SEEN, **told} for name, (told, _) in known.items()]
    connection.execute("alter table detectors.seen rename to all_seen")
    connection.register("known", pd.DataFrame(rows))
    connection.execute("create table detectors.seen as from known")
    weighed = weigh(connection, firm.as_of)
    connection.execute("drop table detectors.seen; alter table detectors.all_seen rename to seen")

    told = weighed.scores.set_index("account_id")["reasons"].map(json.loads)
    unsaid = {name: [one for one in told[name] if one["reason"] == UNSAID] for name in known}
    assert {name: [one["lacks"] for one in unsaid[name]] for name in known} == {
        name: [lacks] if lacks else [] for name, (_, lacks) in known.items()
    }
    assert unsaid[blank[2]][0]["detectors"] == ["account_passing", "kyc_mismatch"]
    assert unsaid[blank[7]][0]["detectors"] == ["chargeback_abuse"]
    assert set(unsaid[guilty][0]["detectors"]) <= set(DETECTORS)
    assert weighed.scores["score"].tolist() == scores["score"].tolist()
    assert all(one["points"] == 0 for one in told[blank[3]])
    assert "not enough to say about 8 of" in weighed.remarks[0] and "3 with fewer than 8" in weighed.remarks[0]


@pytest.mark.parametrize(
    ("lacks", "points", "band", "title", "queue"),
    [
        (["positions"], 0.0, "low", "Risk not known yet, 0 of 100 so far", "not enough to say"),
        (["positions"], 12.0, "low", "Risk not known yet, 12 of 100 so far", "All-in trading, not enough to say"),
        (["positions"], 70.0, "high", "Risk 70 of 100 · high", "All-in trading"),
        (["sign_ins"], 0.0, "low", "Risk 0 of 100 · low", ""),
        ([], 0.0, "low", "Risk 0 of 100 · low", ""),
    ],
)
def test_pages_do_not_call_the_unknown_innocent(
    lacks: list[str], points: float, band: str, title: str, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("dashboards.kit.look.st.html", shown.append)
    silent = {"detectors": ["account_passing", "kyc_mismatch"], "sentence": "No <b>sign-in</b>."}
    reason = {"reason": UNSAID, "points": 0.0, "lacks": lacks, **silent}
    held = {"reason": "all_in", "points": points, "sentence": "Staked."}
    text = json.dumps([*([held] if points else []), *([reason] if lacks else [])])
    look.score(points, band, text)
    assert title in shown[0]
    told = "Not enough to say of account passing, identity mismatch. No &lt;b&gt;sign-in"
    assert (told in shown[0]) is bool(lacks)
    assert ("holds anything against it" in shown[0]) is not bool(lacks or points)
    assert words.reasons(text, band) == queue


def test_an_owner_has_the_highest_score_of_its_accounts() -> None:
    scores = combine(ACCOUNTS, items({"grid": 0.9}), TERMS)
    owners = pd.DataFrame({"trader_id": ["T", "U"], "owner_id": ["O", "O"]})
    found = owner_scores(scores, owners)
    assert found[["owner_id", "account_id", "accounts"]].to_dict("records") == [
        {"owner_id": "O", "account_id": "A", "accounts": 2}
    ]
