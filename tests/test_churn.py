"""Churn features see nothing of the future, the model is text that gives the same numbers, and small firms get a plain
one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.quality.conduct_firms import FIRMS, Maker
from cli import sentence
from models import catalogue, churn
from models.churn import (
    HORIZON_VARIABLE,
    ChurnModel,
    ChurnRefused,
    ChurnTerms,
    History,
    buying,
    churn_of_traders,
    drift,
    features_at,
    fit,
    horizon,
    left_after,
    measures,
    read_history,
    reasons,
    survival_curve,
    trees,
)
from models.churn.features import BUYS_NOTHING, FEATURES, NEVER_DAYS, WORDS
from models.churn.keeping import data_version
from models.churn.model import _by_recency, _silence, _spread, _stability, cut_offs, examples
from models.churn.survival import curves_by_desk
from pipelines.score import score
from sql import relations
from sql.warehouse import Warehouse

pytestmark = pytest.mark.xdist_group("churn")  # its firm is made once
START = pd.Timestamp("2026-01-01", tz="UTC")


def history(traders: int = 300, days: int = 240, seed: int = 1) -> History:
    """People who come, trade with their own rhythm, breach, buy again, and leave for good some day."""
    rng = np.random.default_rng(seed)
    purchases: list[tuple[Any, ...]] = []
    active: list[tuple[Any, ...]] = []
    for k in range(traders):
        name, at = f"T{k:04d}", float(rng.uniform(0, days * 0.8))
        leaves, rhythm = at + float(rng.exponential(70)), float(rng.uniform(0.1, 0.7))
        active += [
            (name, START + pd.Timedelta(days=int(d)), 3, 0.001, 1)
            for d in range(int(at), int(min(leaves, days)))
            if rng.random() < rhythm
        ]
        while at < min(leaves, days):
            ends = at + float(rng.exponential(25)) + 1
            start, breached = START + pd.Timedelta(days=at), START + pd.Timedelta(days=ends)
            purchases.append(
                (f"C{len(purchases)}", name, start, 300.0, breached if ends < days else pd.NaT, breached, pd.NaT)
            )
            at = ends + float(rng.exponential(4))
    bought = pd.DataFrame(
        purchases, columns=["challenge_id", "trader_id", "purchased_at", "fee", "breached_at", "ended_at", "paying_at"]
    )
    times = ["breached_at", "ended_at", "paying_at"]
    bought[times] = bought[times].apply(lambda column: pd.to_datetime(column, utc=True))
    trader_days = pd.DataFrame(active, columns=["trader_id", "day", "entries", "result", "sign_ins"])
    paid = pd.DataFrame({"trader_id": ["T0001"], "settled_at": [START + pd.Timedelta(days=60)]})
    return History(bought, trader_days, paid)


END = START + pd.Timedelta(days=240)


@pytest.fixture(scope="module")
def known() -> History:
    return history()


@pytest.fixture(scope="module")
def model(known: History) -> ChurnModel:
    return fit(known, END, 60)


def until(told: History, at: pd.Timestamp) -> History:
    """The same history as it could be read at an instant."""
    bought = told.purchases[told.purchases["purchased_at"] <= at].copy()
    for name in ("breached_at", "ended_at", "paying_at"):
        bought[name] = bought[name].where(bought[name] <= at)
    return History(bought, told.days[told.days["day"] <= at], told.paid[told.paid["settled_at"] <= at])


def test_the_horizon_is_the_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HORIZON_VARIABLE, raising=False)
    assert horizon() == 60
    monkeypatch.setenv(HORIZON_VARIABLE, "30")
    assert horizon() == 30
    for wrong in ("a month", "-30", "0", "4000", "30.5"):
        monkeypatch.setenv(HORIZON_VARIABLE, wrong)
        with pytest.raises(ChurnRefused, match="whole number of days from 7 to 365") as refused:
            horizon()
        assert sentence(refused.value), "a sentence of the command, no traceback"


def test_a_horizon_that_cannot_be_meant_is_refused_before_anything_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HORIZON_VARIABLE, "sixty")
    with pytest.raises(ChurnRefused, match="'sixty'"):
        score(Warehouse.open(tmp_path), catalogue.load())


def test_a_run_scores_by_the_horizon_that_is_named(monkeypatch: pytest.MonkeyPatch, known: History) -> None:
    monkeypatch.setenv(HORIZON_VARIABLE, "30")
    monkeypatch.setattr(churn, "read_history", lambda _: known)
    connection = duckdb.connect()
    connection.execute(
        "create schema staging; create table staging.challenges"
        " (challenge_id varchar, trader_id varchar, desk_id varchar, purchased_at timestamp)"
    )
    scores = churn_of_traders(connection, END.to_pydatetime()).scores
    assert set(scores["horizon_days"]) == {30}
    assert scores["model_version"].nunique() == 1


@pytest.mark.parametrize("day", [40, 100.5, 180])
def test_features_see_nothing_of_the_future(known: History, day: float) -> None:
    at = START + pd.Timedelta(days=day)
    pd.testing.assert_frame_equal(features_at(known, at), features_at(until(known, at), at))


def test_training_uses_only_cut_offs_whose_outcome_is_known(known: History) -> None:
    found = cut_offs(known.first_at(), END, 60, ChurnTerms())
    assert found and max(found) + pd.Timedelta(days=60) <= END


@pytest.mark.parametrize(("after_days", "left"), [(1, False), (60, False), (61, True)])
def test_a_purchase_within_the_horizon_is_no_churn(after_days: int, left: bool) -> None:
    at = pd.Timestamp("2026-03-01 12:00", tz="UTC")
    purchases = pd.DataFrame({"trader_id": ["T"], "purchased_at": [at + pd.Timedelta(days=after_days)]})
    days = pd.DataFrame({"trader_id": [], "day": pd.to_datetime([], utc=True), "entries": []})
    assert left_after(History(purchases, days, days), pd.Index(["T"]), at, 60).tolist() == [left]


def test_text_gives_the_same_probabilities(known: History, model: ChurnModel) -> None:
    again = ChurnModel.from_text(model.to_text())
    seen = features_at(known, END)
    assert again.version == model.version and model.kind == "trees"
    np.testing.assert_array_equal(again.probability(seen)[0], model.probability(seen)[0])
    assert {"trained_from", "outcomes_until", "measures", "spreads"} <= set(model.card)


def test_a_text_without_its_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="a churn model has"):
        ChurnModel.from_text(json.dumps({"kind": "trees"}))


def test_trees_as_text_say_what_the_library_says() -> None:
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(900, 4))
    seen[rng.random(seen.shape) < 0.1] = np.nan
    outcome = np.nan_to_num(seen[:, 0]) + rng.normal(size=900) > 0
    with threadpool_limits(1):
        model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(seen, outcome)
    told = json.loads(json.dumps(trees.as_text(model)))
    total, moves = trees.explain(told, seen)
    np.testing.assert_allclose(total, model.decision_function(seen), atol=1e-9)
    assert np.abs(moves[:, 0]).mean() > np.abs(moves[:, 1:]).mean(axis=0).max()


def test_later_people_are_ranked_and_calibrated() -> None:
    told = history(traders=800, seed=5)
    then = END - pd.Timedelta(days=45)
    model = fit(until(told, then), then, 45)
    seen = features_at(told, then)
    found = measures(left_after(told, seen.index, then, 45), model.probability(seen)[0])
    assert found["auc"] > 0.85 and found["calibration_error"] < 0.08 and found["lift"] > 1.2


def test_where_nobody_was_seen_to_trade_purchases_alone_decide() -> None:
    told = history(traders=500)
    bare = History(told.purchases, told.days.iloc[:0], told.paid.iloc[:0])
    seen = features_at(bare, END)
    model = fit(bare, END, 60)
    chance, moves = ChurnModel.from_text(model.to_text()).probability(seen)
    order = np.argsort(seen["buys_nothing"].to_numpy())
    assert model.kind == "purchases" and (np.diff(chance[order]) >= 0).all() and chance.std() > 0.01
    assert np.flatnonzero(np.abs(moves).sum(axis=0)).tolist() == [FEATURES.index("buys_nothing")]


def test_who_bought_often_and_went_quiet_is_likelier_gone_than_who_was_slow() -> None:
    seen = buying.Buying(np.array([9.0, 1.0, 9.0]), np.array([9.0, 9.0, 40.0]), np.array([40.0, 40.0, 40.0]))
    often, slow, steady = buying.nothing_bought(seen, buying.START, 8.0)
    assert often > slow > steady


def test_a_purchase_model_finds_the_parameters_its_people_were_drawn_from() -> None:
    rng = np.random.default_rng(1)
    r, alpha, a, b, age = 0.8, 6.0, 0.9, 2.5, 39.0
    again, last = np.zeros(4000), np.zeros(4000)
    for k in range(4000):
        rate, leaves, at = rng.gamma(r, 1 / alpha), rng.beta(a, b), 0.0
        while (at := at + rng.exponential(1 / rate)) <= age:
            again[k], last[k] = again[k] + 1, at
            if rng.random() < leaves:
                break
    found = buying.fit(buying.Buying(again, last, np.full(4000, age)))
    assert found[0] / found[1] == pytest.approx(r / alpha, rel=0.15)
    assert found[2] / (found[2] + found[3]) == pytest.approx(a / (a + b), rel=0.2)


def test_a_small_firm_is_judged_by_how_long_nobody_was_seen() -> None:
    told = history(traders=20)
    model = fit(told, END, 60)
    assert model.kind == "recency"
    known = features_at(told, END)
    chance, moves = model.probability(known)
    silence = known[["days_since_entry", "days_since_purchase"]].min(axis=1)
    assert (np.diff(chance[np.argsort(silence)]) >= 0).all()
    assert 0 < chance.min() < 0.5 < chance.max() < 1
    assert ((moves != 0).sum(axis=1) == 1).all(), "one reason, the newer of the two"


def test_many_examples_of_few_people_teach_no_trees() -> None:
    told = history(traders=55)
    seen, _ = examples(told, cut_offs(told.first_at(), END, 60, ChurnTerms()), 60)
    assert len(seen) > ChurnTerms().examples_min
    assert fit(told, END, 60).kind == "recency"


def test_who_bought_today_and_never_traded_is_no_silent_one() -> None:
    told = history(traders=20)
    model = fit(told, END, 60)
    fresh, silent = (pd.DataFrame({name: [NEVER_DAYS] for name in FEATURES}) for _ in range(2))
    chances = [
        model.probability(frame.assign(days_since_purchase=days))[0][0]
        for frame, days in ((fresh, 0.5), (silent, 120.0))
    ]
    assert chances[0] < 0.5 < chances[1]


def test_a_small_firm_where_nobody_left_yet_is_drawn_to_a_guess() -> None:
    """Nobody seen to leave does not mean that nobody will."""
    content = _by_recency(np.zeros(8), np.zeros(8, bool), 60)
    model = ChurnModel("recency", 60, content)
    known = features_at(history(traders=20), END).head(1)
    busy, quiet = (model.probability(known.assign(days_since_entry=d, days_since_purchase=d))[0][0] for d in (1, 90))
    assert 0 < busy < 0.3 < quiet < 1


def test_a_history_shorter_than_the_horizon_is_a_guess_that_says_so() -> None:
    told = history(traders=20, days=18)
    model = fit(told, START + pd.Timedelta(days=18), 60)
    assert model.card["trained_on"] == 0 and "guess" in model.card["features"]


def test_a_history_too_short_for_the_horizon_teaches_a_shorter_one() -> None:
    told = history(traders=200, days=40)
    model = fit(told, START + pd.Timedelta(days=40), 60)
    assert model.card["trained_on"] > 0
    quiet, busy = (pd.DataFrame({name: [days] for name in FEATURES}) for days in (100.0, 0.0))
    assert model.probability(quiet)[0][0] > model.probability(busy)[0][0]
    assert model.content["stretch"] < 1


def test_a_reason_tells_no_number_where_there_is_no_record(known: History) -> None:
    """Who never breached did not do so 400 days ago; who did so long ago keeps his days."""
    row = features_at(known, END - pd.Timedelta(days=80)).iloc[0]
    row["days_since_breach"], row["days_since_purchase"], row["buys_nothing"] = NEVER_DAYS, 612.0, 1.386
    moves = np.array([float(name in ("days_since_breach", "days_since_purchase", "buys_nothing")) for name in FEATURES])
    told = {one["reason"]: one["value"] for one in reasons(row, moves, 4)}
    assert told[WORDS["days_since_breach"]] is None
    assert told[WORDS["days_since_purchase"]] == 612
    assert told[BUYS_NOTHING] == pytest.approx(0.8, abs=0.001), "a chance, as its words say"


def test_what_is_counted_has_not_moved_while_its_people_are_the_same(known: History, model: ChurnModel) -> None:
    """Most buy once and few are funded: many of the same value are one part of the spread, now as in training."""
    seen, _ = examples(known, cut_offs(known.first_at(), END, 60, ChurnTerms()), 60)
    moved = drift(model, seen)
    assert max(moved.values()) < 0.02, moved
    more = drift(model, seen.assign(purchases=seen["purchases"] + 1))
    assert more["purchases"] > 0.25


@pytest.mark.parametrize(
    ("learnt", "now"),
    [
        ([400.0] * 95 + [3, 9, 14, 20, 27], [400.0] * 40 + [12.0] * 60),
        ([400.0] * 100, [12.0] * 100),
        ([0.0] * 100, [1.0] * 100),
        ([1.0] * 95 + [0.0] * 5, [1.0] * 30 + [0.0] * 70),
    ],
    ids=["few had a record", "a feed began", "none, then all", "nearly all, then few"],
)
def test_what_leaves_the_value_of_nearly_all_has_moved(learnt: list[float], now: list[float]) -> None:
    spread = _spread(np.array(learnt))
    assert _stability(spread, np.array(now)) > 0.25
    assert _stability(spread, np.array(learnt)) < 0.05


def test_who_never_traded_is_told_the_days_since_the_purchase(known: History) -> None:
    """Never is no day: who bought 500 days ago was last seen then, not 400 days ago."""
    row = features_at(known, END).iloc[[0]].assign(days_since_entry=NEVER_DAYS, days_since_purchase=500.0)
    newest, silence = _silence(row)
    assert (FEATURES[newest[0]], silence[0]) == ("days_since_purchase", pytest.approx(np.log(501)))


def test_drift_is_small_at_home_and_large_abroad(known: History, model: ChurnModel) -> None:
    home = features_at(known, END - pd.Timedelta(days=80))
    abroad = home.assign(days_since_entry=home["days_since_entry"] * 50 + 90)
    assert drift(model, abroad)["days_since_entry"] > max(drift(model, home)["days_since_entry"], 0.25)
    assert set(drift(model, home)) == set(FEATURES)


def test_survival_falls_and_keeps_its_band(known: History) -> None:
    curve = survival_curve(known, END)
    assert (np.diff(curve["staying"]) <= 0).all()
    told = curve.dropna()
    assert len(told) > 50 and ((told["low"] <= told["staying"]) & (told["staying"] <= told["high"])).all()
    came = known.purchases.groupby("trader_id")["purchased_at"].min()
    assert curve["at_risk"].iloc[0] == (came <= END - pd.Timedelta(days=60)).sum()


def test_survival_is_that_of_the_people_though_nobody_knows_yet_who_left_last() -> None:
    """Half of these leave on day 20 and half stay: taking who was seen lately for gone, or for watched to the end,
    tells another share."""
    came = [START + pd.Timedelta(days=k / 2) for k in range(400)]
    names = [f"T{k:04d}" for k in range(400)]
    bought = pd.DataFrame({"trader_id": names, "purchased_at": came})
    active = [
        (name, (at + pd.Timedelta(days=day)).floor("D"), 1)
        for k, (name, at) in enumerate(zip(names, came, strict=True))
        for day in range(1, 20 if k % 2 else 201)
        if at + pd.Timedelta(days=day) < START + pd.Timedelta(days=200)
    ]
    days = pd.DataFrame(active, columns=["trader_id", "day", "entries"])
    curve = survival_curve(History(bought, days, pd.DataFrame()), START + pd.Timedelta(days=200)).set_index("day")
    assert curve.loc[:15, "staying"].min() > 0.95
    assert curve.loc[25:, "staying"].to_numpy() == pytest.approx(0.5, abs=0.03)


def test_curves_of_desks_part_the_firm() -> None:
    """A desk to which people come later would else be credited with the days until they came."""
    stayed = pd.DataFrame({"trader_id": list("abcd"), "days": [3, 9, 9, 20], "left": [True, True, False, False]})
    first = pd.Series({"a": "one", "b": "one", "c": "two", "d": "two", "e": "three"})
    curves = curves_by_desk(stayed, first)
    told = {desk: rows.set_index("day")["staying"].to_dict() for desk, rows in curves.groupby("desk_id")}
    assert told == {
        "all": {0: 1.0, 3: 0.75, 9: 0.5, 20: 0.5},
        "one": {0: 1.0, 3: 0.5, 9: 0.0},
        "two": {0: 1.0, 9: 1.0, 20: 1.0},
    }
    assert curves_by_desk(stayed[:0], first).empty
    assert not curves_by_desk(stayed, first.replace("one", "all")).duplicated(["desk_id", "day"]).any()


def test_a_challenge_that_runs_has_no_end_even_at_the_instant_of_the_run() -> None:
    """At the newest instant as at any earlier one: who still has an account has not left."""
    connection = duckdb.connect()
    connection.execute("""
        set variable as_of = timestamptz '2026-02-01 00:00Z';
        create schema staging; create schema facts; create schema decided;
        create table staging.challenges as select * from (values
            ('C1', 'T1', timestamptz '2026-01-01 00:00Z', 100.0, 'USD', null),
            ('C2', 'T2', timestamptz '2026-01-01 00:00Z', 100.0, 'USD', null))
            as told (challenge_id, trader_id, purchased_at, fee, currency, reset_of);
        create table facts.accounts as select * from (values
            ('A1', 'C1', 'evaluation_1', timestamptz '2026-01-01 00:00Z', null::timestamptz),
            ('A2', 'C2', 'evaluation_1', timestamptz '2026-01-01 00:00Z', null))
            as told (account_id, challenge_id, stage, opened_at, closed_at);
        create table decided.account_status as select * from (values
            ('A1', 'active', timestamptz '2026-02-01 00:00Z'), ('A2', 'breached', timestamptz '2026-01-10 00:00Z'))
            as told (account_id, status, status_at);
        create schema detectors;
        create table detectors.traded (account_id varchar, positions bigint, days date[]);
    """)
    told = connection.sql(relations.text("detectors.purchases")).df()
    times = ["purchased_at", "breached_at", "ended_at", "paying_at"]
    told[times] = told[times].apply(lambda column: pd.to_datetime(column, utc=True))
    days = pd.DataFrame({"trader_id": [], "day": pd.to_datetime([], utc=True), "entries": [], "result": []})
    days["sign_ins"] = []
    paid = pd.DataFrame({"trader_id": [], "settled_at": pd.to_datetime([], utc=True)})
    for at in ("2026-01-05", "2026-02-01"):
        running = features_at(History(told, days, paid), pd.Timestamp(at, tz="UTC"))["running"]
        assert running["T1"] == 1
    assert running["T2"] == 0


def test_a_history_is_the_same_in_whatever_order_it_landed() -> None:
    maker = Maker(FIRMS[0], 4)
    for _ in range(6):
        maker.ordinary()
    told = []
    for rows in (maker.firm.rows, {name: held[::-1] for name, held in maker.firm.rows.items()}):
        history = read_history(replace(maker.firm, rows=rows).engine())
        told.append((data_version(history, END, 60, ChurnTerms()), history))
    (one, forwards), (two, backwards) = told
    assert one == two and len(forwards.days) > 20
    pd.testing.assert_frame_equal(forwards.days, backwards.days)
