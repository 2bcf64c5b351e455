"""Survival curves: equal to the reference library, to a count by hand, and true at the stated frequency."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from models.cohorts import (
    PERIOD_DAYS,
    SPAN_DAYS,
    STAGES,
    curves,
    kaplan_meier,
    median_days,
    ratio_intervals,
    reached_by,
    spans,
    terms_changes,
    thinned,
    triangle,
    wilson,
)
from sql import relations

lifelines = pytest.importorskip("lifelines", reason="lifelines is the comparator: pip install -r requirements-dev.txt")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=80))
def test_equal_to_the_reference_library(pairs: list[tuple[int, bool]]) -> None:
    durations = np.array([days / 2 for days, _ in pairs])
    observed = np.array([seen for _, seen in pairs])
    ours = kaplan_meier(durations, observed)
    theirs = lifelines.KaplanMeierFitter().fit(durations, observed)
    wanted = theirs.survival_function_["KM_estimate"]
    assert np.allclose(ours["day"], wanted.index, rtol=0, atol=1e-9)
    assert np.allclose(ours["survival"], wanted, rtol=0, atol=1e-9)
    assert ours["at_risk"].tolist() == theirs.event_table["at_risk"].astype(int).tolist()
    bands = theirs.confidence_interval_.to_numpy()
    inside = ((wanted > 0) & (wanted < 1)).to_numpy()
    assert np.allclose(ours[["low", "high"]].to_numpy()[inside], bands[inside], rtol=0, atol=1e-9)


def test_by_hand() -> None:
    found = kaplan_meier([1, 2, 2, 3, 4], [True, True, False, False, True])
    assert found["survival"].tolist() == pytest.approx([1, 0.8, 0.6, 0.6, 0])
    assert found["at_risk"].tolist() == [5, 5, 4, 2, 1]
    assert median_days(found) == 4
    assert np.isnan(median_days(kaplan_meier([1, 2], [False, False])))


@pytest.mark.parametrize("durations", [[-1.0], [float("nan")]])
def test_a_duration_that_cannot_be_is_refused(durations: list[float]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        kaplan_meier(durations, [True])


def test_bands_hold_the_true_rate_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        times, ends = rng.exponential(30, 150), rng.uniform(5, 60, 150)
        curve = kaplan_meier(np.minimum(times, ends), times <= ends)
        at = curve[curve["day"] <= 20].iloc[-1]
        held += at["low"] <= np.exp(-20 / 30) <= at["high"]
    assert 0.92 <= held / 400 <= 0.98


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=3, max_size=40), st.integers(2, 4))
def test_a_persons_like_challenges_count_as_one(pairs: list[tuple[int, bool]], copies: int) -> None:
    """The variance of copies is that of the people, with Student's quantile and the correction for few of them."""
    durations, observed = (np.array(one) for one in zip(*pairs, strict=True))
    people = np.tile(np.arange(len(pairs)), copies)
    once = kaplan_meier(durations, observed)
    again = kaplan_meier(np.tile(durations, copies), np.tile(observed, copies), people=people)
    assert np.allclose(once["survival"], again["survival"], rtol=0, atol=1e-12)
    degrees = len(pairs) - 1
    wider = student.ppf(0.975, degrees) / norm.ppf(0.975) * np.sqrt(len(pairs) / degrees)
    inside = once["low"].notna()
    one, other = (
        np.log(np.log(told.loc[inside, "low"]) / np.log(told.loc[inside, "survival"])) for told in (once, again)
    )
    assert np.allclose(one * wider, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("people", "again", "likeness"), [(80, 1.5, 0.0), (80, 1.5, 1.0), (40, 3.0, 0.5)])
def test_bands_hold_also_where_a_person_buys_again_and_again(people: int, again: float, likeness: float) -> None:
    """People differ in how quickly they get there (gamma frailty of that variance), their challenges by chance."""
    rng = np.random.default_rng(29)
    held = plain = 0
    truth = (1 + likeness * 20 / 30) ** (-1 / likeness) if likeness else np.exp(-20 / 30)
    for _ in range(300):
        who = np.repeat(np.arange(people), rng.geometric(1 / (1 + again), people))
        haste = rng.gamma(1 / likeness, likeness, people)[who] if likeness else 1.0
        times, ends = rng.exponential(30, len(who)) / haste, rng.uniform(5, 60, len(who))
        told = (np.minimum(times, ends), times <= ends)
        for curve, by_person in ((kaplan_meier(*told, people=who), True), (kaplan_meier(*told), False)):
            at = curve[curve["day"] <= 20].iloc[-1]
            inside = at["low"] <= truth <= at["high"]
            held, plain = held + (inside and by_person), plain + (inside and not by_person)
    assert 0.92 <= held / 300 <= 0.985
    assert likeness == 0 or plain < held - 15, "as many challenges of strangers would say more"


def test_young_cohorts_are_censored_and_not_counted_as_failures() -> None:
    rng = np.random.default_rng(3)
    times = rng.exponential(20, 4000)
    age = rng.uniform(0, 40, 4000)
    seen = times <= age
    curve = kaplan_meier(np.minimum(times, age), seen)
    by_20 = 1 - curve[curve["day"] <= 20]["survival"].iloc[-1]
    assert abs(by_20 - (1 - np.exp(-1))) < 0.03
    assert (seen & (times <= 20)).mean() < by_20 - 0.1


def test_days_to_a_milestone_are_told_by_its_own_columns_alone() -> None:
    """What is funded at once has nothing to pass, only who breached buys again, and what has not come is censored."""
    nothing = dict.fromkeys(f"{name}_days" for name in ("passed", "instant", "funded", "payout", "breached", "again"))
    bought = pd.DataFrame(
        [
            {**nothing, "person": "at once", "age_days": 30, "instant_days": 0, "breached_days": 5, "again_days": 8},
            {**nothing, "person": "paid", "age_days": 30, "passed_days": 3, "funded_days": 4, "payout_days": 20},
            {**nothing, "person": "new", "age_days": 10},
            {**nothing, "person": "broke", "age_days": 10, "breached_days": 6},
        ]
    ).assign(desk_id="", product="", cohort_month="2026-03")
    bought = bought.astype(dict.fromkeys([*nothing, "age_days"], "float64"))
    expected = {
        "passed": [("paid", 3, True), ("new", 10, False), ("broke", 10, False)],
        "breached": [("at once", 5, True), ("paid", 30, False), ("new", 10, False), ("broke", 6, True)],
        "funded": [("at once", 0, True), ("paid", 4, True), ("new", 10, False), ("broke", 10, False)],
        "first_payout": [("at once", 30, False), ("paid", 20, True), ("new", 10, False), ("broke", 10, False)],
        "bought_again": [("at once", 8, True), ("broke", 4, False)],
    }
    every = spans(bought)
    for milestone, told in expected.items():
        columns = [*SPAN_DAYS[milestone], "desk_id", "product", "cohort_month", "person", "age_days"]
        for found in (spans(bought[columns], [milestone]), every[every["milestone"] == milestone]):
            rows = found[["person", "days", "observed"]].itertuples(index=False, name=None)
            assert list(rows) == told, milestone


def test_curves_come_by_month_and_for_all_months_one_point_a_day() -> None:
    told = pd.DataFrame(
        {
            "desk_id": "d",
            "product": "p",
            "cohort_month": ["2026-01", "2026-01", "2026-02"],
            "person": ["a", "b", "c"],
            "milestone": "passed",
            "days": [1.2, 1.7, 5.0],
            "observed": [True, True, False],
        }
    )
    found = thinned(curves(told))
    january = found[found["cohort_month"] == "2026-01"]
    assert january[["at_risk", "reached"]].to_numpy().tolist() == [[2, 0.0], [1, 1.0]]
    assert found.loc[found["cohort_month"] == "all", "reached"].iloc[-1] == pytest.approx(2 / 3)
    assert curves(told.iloc[:0]).empty


@pytest.mark.parametrize(("rate", "people"), [(0.05, 60), (0.16, 150), (0.5, 40)])
def test_intervals_of_shares_hold_the_true_rate_as_often_as_they_say(rate: float, people: int) -> None:
    rng = np.random.default_rng(17)
    found = [wilson(hits / people, people) for hits in rng.binomial(people, rate, 2000)]
    held = np.mean([low <= rate <= high for low, high in found])
    assert 0.925 <= held <= 0.985


def bought(since: str, days: list[float], passed: list[float], version: int) -> pd.DataFrame:
    """Purchases so many days after `since`, passed so many days later (nan: not yet), seen until 200 days after it."""
    start = pd.Timestamp(since, tz="UTC")
    rows = pd.DataFrame(dict.fromkeys([f"{stage}_days" for stage in STAGES], float("nan")), index=range(len(days)))
    age = 200 - np.array(days)
    seen = np.where(np.array(passed) <= age, passed, np.nan)
    return rows.assign(
        product="p",
        person=[f"{version}-{number}" for number in range(len(days))],
        product_version=version,
        purchased_at=start + pd.to_timedelta(days, "D"),
        age_days=age,
        passed_days=seen,
        breached_days=np.nan,
        again_days=np.nan,
        desk_id="d",
        cohort_month="2026-03",
    )


VERSIONS = pd.DataFrame(
    {"product": ["p"], "product_version": [2], "effective_from": [pd.Timestamp("2026-03-01", tz="UTC")]}
)


def test_new_terms_are_compared_at_one_age_by_hand() -> None:
    """Twenty before, of whom ten passed on day 5; twenty after, of whom fifteen did; one bought 91 days before."""
    never = float("inf")
    before = bought("2026-03-01", [-20.0] * 20 + [-91.0], [5.0] * 10 + [never] * 10 + [5.0], 1)
    after = bought("2026-03-01", [0.0] * 20, [5.0] * 15 + [never] * 5, 2)
    both = pd.concat([before, after], ignore_index=True)
    found: Any = terms_changes(both, VERSIONS).set_index("milestone").loc["passed"]
    assert found[["before_challenges", "after_challenges", "horizon_days"]].tolist() == [20, 20, 90]
    assert found[["before_reached", "after_reached", "change"]].tolist() == pytest.approx([0.5, 0.75, 0.25])
    assert found["low"] < 0.25 < found["high"]
    few = terms_changes(pd.concat([before, after.head(9)], ignore_index=True), VERSIONS)
    assert few.empty, "nine are too few to say anything"


def test_where_nothing_changed_the_interval_says_so_as_often_as_it_claims() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(40):
        sides = []
        for place, version in ((-45.0, 1), (45.0, 2)):
            passed = np.where(rng.random(120) < 0.2, rng.exponential(15, 120), np.inf)
            sides.append(bought("2026-03-01", list(place + rng.uniform(-44, 44, 120)), list(passed), version))
        found = terms_changes(pd.concat(sides, ignore_index=True), VERSIONS)
        one = found.set_index("milestone").loc["passed"]
        held += bool(one["low"] <= 0 <= one["high"])
    assert held >= 34, "95 in 100 are claimed; fewer than 34 of 40 would come once in two hundred times"


def test_nobody_and_everybody_have_an_interval_too() -> None:
    share, low, high = reached_by([30.0] * 20, [False] * 20, 10)
    assert (share, low) == (0.0, 0.0) and 0.1 < high < 0.2


def test_the_triangle_by_hand() -> None:
    """Two challenges of one person and one of another; a payout a second before and at the end of the first period."""
    at = pd.Timestamp("2026-03-01", tz="UTC")
    day = pd.Timedelta(days=1)
    bought_at = pd.DataFrame({"challenge_id": ["C1", "C2", "C3"], "purchased_at": [at, at, at + 10 * day]})
    moved = [
        ("C1", at - pd.Timedelta(seconds=5), 100.0, np.nan),
        ("C2", at, 100.0, np.nan),
        ("C3", at + 10 * day, 100.0, np.nan),
        ("C1", at + 30 * day - pd.Timedelta(seconds=1), np.nan, 60.0),
        ("C2", at + 30 * day, np.nan, 90.0),
        ("C3", at + 45 * day, -100.0, np.nan),
        ("C9", at, 7.0, np.nan),
    ]
    connection = duckdb.connect()
    relations.prepare(connection, None)
    connection.register("told", pd.DataFrame(moved, columns=["challenge_id", "happened_at", "fee", "payout"]))
    cut = dict.fromkeys(("desk_id", "product", "size_name", "channel", "country"), "x")
    connection.register("bought_at", bought_at.assign(cohort_month="2026-03", **cut))
    connection.execute("create table marts.cohort_challenges as select * from bought_at")
    known = "* replace (nullif(fee, 'nan') as fee, nullif(payout, 'nan') as payout)"
    connection.execute(f"create table marts.challenge_money as select {known} from told")
    relations.build(connection, "marts.cohort_money")
    money = connection.sql("select * from marts.cohort_money").df()
    months = pd.DataFrame({"cohort_month": ["2026-03"], "challenges": 3, "people": 2})
    found = triangle(months.assign(first_at=at, last_at=at + 10 * day), money, (at + 70 * day).to_pydatetime())
    assert found["age"].tolist() == [0, 1, 2]
    assert found["fees"].tolist() == [300, 200, 200]
    assert found["payouts"].tolist() == [60, 150, 150]
    assert found["ratio"].tolist() == [0.2, 0.75, 0.75]
    assert found["challenge"].tolist() == [20, 50, 50]
    assert found["person"].tolist() == [30, 75, 75]
    assert found["complete"].tolist() == [True, True, False], "the youngest is 60 days old"


@pytest.mark.parametrize(("microseconds", "age"), [(-1, 0), (0, 1), (700_000, 1)])
def test_a_cell_of_the_triangle_leads_to_who_was_paid_in_it(microseconds: int, age: int) -> None:
    """Guards that the list behind a cell, which goes by `payout_days`, and its sum part at the same microsecond."""
    bought = pd.Timestamp("2026-03-01T09:00:00.4", tz="UTC")
    paid = bought + pd.Timedelta(days=PERIOD_DAYS, microseconds=microseconds)
    connection = duckdb.connect()
    relations.prepare(connection, None)
    connection.register("told", pd.DataFrame({"bought": [bought], "paid": [paid]}))
    connection.execute(
        """
        create table staging.challenges as select 'C' as challenge_id, 'T' as trader_id, 'd' as desk_id,
            'one' as product, bought as purchased_at, null::text as coupon from told;
        create table staging.desks as select 'd' as desk_id, 'Asia/Tokyo' as time_zone;
        create table staging.accounts as select 'A' as account_id, 'C' as challenge_id, 'instant' as stage,
            bought as opened_at, 1000 as initial_balance, 'USD' as currency from told;
        create table staging.traders as select 'T' as trader_id, 'CZ' as country;
        create table decided.credits (challenge_id text, partner_id text, share double, how text);
        create table decided.account_status as select 'A' as account_id, 'active' as status, bought as status_at
            from told;
        create table decided.owners (trader_id text, owner_id text);
        create table facts.challenge_terms as select 'C' as challenge_id, 1 as product_version;
        create table facts.passed_challenges (challenge_id text, passed_at timestamptz);
        create table marts.challenge_money as select 'C' as challenge_id, 'payout' as kind, paid as happened_at,
            null::double as fee, 60.0 as payout from told
        """
    )
    relations.build(connection, "marts.cohort_money")
    assert connection.sql("select age, payout from marts.cohort_money").fetchall() == [(age, 60)]
    within = f"select count(*) from marts.cohort_challenges where payout_days < {PERIOD_DAYS}"
    assert connection.sql(within).fetchall() == [(1 - age,)]


def test_the_interval_of_a_payout_ratio_holds_the_true_one_nearly_as_often_as_it_says() -> None:
    """Few people are paid and their sums differ widely; some buy several times."""
    rng, fees, mean = np.random.default_rng(3), 100.0, 500.0
    held = []
    for _ in range(60):
        people = rng.integers(0, 400, 600)
        paid = np.where(rng.random(600) < 0.06, rng.lognormal(np.log(mean) - 0.4, np.sqrt(0.8), 600), 0.0)
        month = np.where(people < 200, "2026-01", "2026-02")
        told = ratio_intervals(pd.DataFrame({"cohort_month": month, "person": people, "fees": fees, "payouts": paid}))
        held += [low <= 0.06 * mean / fees <= high for low, high in told.values()]
    assert 0.92 <= np.mean(held) <= 0.98


def test_where_nobody_was_paid_yet_the_payout_ratio_has_no_interval() -> None:
    """Guards that a young firm is not told that its ratio is surely zero; beside a month with payouts there is one."""
    months = ["2026-01", "2026-01", "2026-02", "2026-02"]
    told = pd.DataFrame({"cohort_month": months, "person": list("ABCD"), "fees": 100.0, "payouts": 0.0})
    assert all(np.isnan(interval).all() for interval in ratio_intervals(told).values())
    beside = ratio_intervals(told.assign(payouts=[0.0, 50.0, 0.0, 0.0]))["2026-02"]
    assert beside[0] == 0 < beside[1]


@pytest.mark.parametrize(("fees", "ratio"), [(-0.01, None), (0.0, None), (0.01, 1000.0)])
def test_a_payout_ratio_needs_fees_that_are_left(fees: float, ratio: float | None) -> None:
    """Guards against a negative share where refunds exceed what was paid in."""
    at = pd.Timestamp("2026-01-01", tz="UTC")
    months = pd.DataFrame({"cohort_month": ["2026-01"], "challenges": 1, "people": 1, "first_at": at, "last_at": at})
    money = pd.DataFrame({"cohort_month": ["2026-01"], "age": 0, "fee": fees, "payout": 10.0})
    told = triangle(months, money, (at + pd.Timedelta(days=PERIOD_DAYS - 1)).to_pydatetime())["ratio"].iloc[0]
    assert np.isnan(told) if ratio is None else told == pytest.approx(ratio)


def test_one_persons_payout_ratio_has_no_interval() -> None:
    told = pd.DataFrame({"cohort_month": "2026-01", "person": ["a", "a"], "fees": 100.0, "payouts": [0.0, 50.0]})
    assert np.isnan(ratio_intervals(told)["2026-01"]).all()
