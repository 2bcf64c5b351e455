"""Protects: who is flagged as trading together, who must never be, and what a run says of bad input."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from models.chance import by_chance
from models.coordination import Coordination, circumstances, find_coordination, pair_evidence, ruled_out
from models.coordination.chance import log_gamma_poisson_tail, log_poisson_tail, log_q_values
from models.coordination.search import PAIR_COLUMNS, RING_COLUMNS

START = pd.Timestamp("2026-03-02", tz="UTC")
OPEN_S = 20 * 86_400
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def trades_of(account: str, opened_s: Floats, held_s: Floats, buy: Flags, lots: float = 1.0) -> pd.DataFrame:
    """Trades of one account on one instrument; seconds count from the start of the period."""
    return pd.DataFrame(
        {
            "account_id": account,
            "trade_id": [f"{account}-{i}" for i in range(len(opened_s))],
            "instrument": "EURUSD",
            "side": np.where(buy, "buy", "sell"),
            "lots": lots,
            "opened_at": (START + pd.to_timedelta(opened_s, unit="s")).astype("datetime64[us, UTC]"),
            "closed_at": (START + pd.to_timedelta(opened_s + held_s, unit="s")).astype("datetime64[us, UTC]"),
            "open_price": 1.1,
            "close_price": 1.2,
        }
    )


def plan(rng: np.random.Generator, entries: int) -> tuple[Floats, Floats, Flags]:
    """Random times, holding times and sides."""
    return rng.uniform(0, OPEN_S, entries), rng.exponential(3000, entries) + 60, rng.random(entries) < 0.5


def strangers(rng: np.random.Generator, count: int, entries: int = 40) -> list[pd.DataFrame]:
    """Accounts that trade at random."""
    return [trades_of(f"s{i:03d}", *plan(rng, entries)) for i in range(count)]


def search(frames: list[pd.DataFrame], owners: dict[str, str] | None = None) -> Coordination:
    """The search over a firm of these accounts."""
    return find_coordination(pd.concat(frames, ignore_index=True), owners=owners or {})


def flagged(found: Coordination) -> list[tuple[str, str, str, str | None]]:
    """Accounts, relation and leader of the flagged pairs."""
    rows = found.pairs[found.pairs["strength"] >= 0.5]
    return [
        (str(a), str(b), str(r), None if leader is None else str(leader))
        for a, b, r, leader in zip(rows["account_a"], rows["account_b"], rows["relation"], rows["leader"], strict=True)
    ]


def looked_at(found: Coordination) -> int:
    """How many pairs the log says were worth a closer look."""
    return int(next(line for line in found.log if "closer look" in line).split()[0])


def copied(seed: int, lag_s: float, relation: str = "copy", followed: int = 30) -> list[pd.DataFrame]:
    """Strangers, a leader and a follower that copies or mirrors its first entries."""
    rng = np.random.default_rng(seed)
    at, held, buy = plan(rng, 30)
    lag = lag_s * (1 + 0.05 * rng.normal(size=followed))
    side = buy[:followed] if relation == "copy" else ~buy[:followed]
    follower = trades_of("follower", at[:followed] + lag, held[:followed], side)
    own = trades_of("follower", *plan(rng, 40))
    return [*strangers(rng, 60), trades_of("leader", at, held, buy), follower, own]


@pytest.mark.parametrize("lag_s", [0.1, 3.0, 45.0, 120.0])
@pytest.mark.parametrize("relation", ["copy", "mirror"])
def test_a_follower_is_flagged_with_its_leader_and_lag(relation: str, lag_s: float) -> None:
    found = search(copied(1, lag_s, relation))
    assert flagged(found) == [("follower", "leader", relation, "leader")]
    assert found.pairs["lag_ms"].tolist() == pytest.approx([lag_s * 1000], rel=0.05)
    assert found.pairs["expected"].max() < 0.5


def test_ten_followed_trades_among_fifty_are_enough() -> None:
    found = search(copied(2, 5.0, followed=10))
    assert flagged(found) == [("follower", "leader", "copy", "leader")]
    assert found.pairs["matched"].tolist() == [10]


def test_three_shared_trades_are_not_enough() -> None:
    assert flagged(search(copied(3, 5.0, followed=3))) == []


def test_strangers_are_not_flagged() -> None:
    found = search(strangers(np.random.default_rng(4), 200))
    assert flagged(found) == []
    assert found.rings.empty


def test_accounts_that_act_on_the_same_public_signals_share_a_strategy_and_are_no_ring() -> None:
    rng = np.random.default_rng(5)
    at, _, buy = plan(rng, 60)
    room = []
    for k in range(15):
        on = rng.random(60) < 0.6
        late = rng.lognormal(math.log(15), 0.8, int(on.sum()))
        room.append(trades_of(f"room{k:02d}", at[on] + late, rng.exponential(3000, int(on.sum())) + 60, buy[on]))
    found = search([*strangers(rng, 60), *room])
    assert flagged(found) == []
    assert set(found.rings["kind"]) == {"shared_strategy"}
    assert len(found.rings) >= 12


def test_robots_on_the_same_bar_openings_are_no_ring() -> None:
    rng = np.random.default_rng(6)
    at = np.sort(rng.choice(np.arange(0, OPEN_S, 900), 120, replace=False)).astype(float)
    buy = rng.random(120) < 0.5
    family = []
    for k in range(12):
        on = rng.random(120) < 0.8
        late = rng.exponential(0.6, int(on.sum()))
        family.append(trades_of(f"robot{k:02d}", at[on] + late, np.full(int(on.sum()), 1800.0), buy[on]))
    found = search([*strangers(rng, 60), *family])
    assert flagged(found) == []
    assert set(found.rings["kind"]) <= {"shared_strategy"}


def gatherings(seed: int, people: int, share: float, stray_s: float) -> tuple[Floats, list[pd.DataFrame]]:
    """Forty moments and accounts that each take a share of them, within moments of each other."""
    rng = np.random.default_rng(seed)
    at, buy = np.sort(rng.choice(np.arange(0, OPEN_S, 900), 40, replace=False)).astype(float), rng.random(40) < 0.5
    accounts = []
    for k in range(people):
        on = rng.random(40) < share
        late, held = rng.exponential(0.4) + rng.exponential(stray_s, on.sum()), rng.exponential(3000, on.sum()) + 60
        accounts.append(trades_of(f"robot{k:03d}", at[on] + late, held, buy[on]))
    return at, [*accounts, *strangers(rng, 60)]


def test_a_robot_family_that_is_a_crowd_of_its_own_shares_a_strategy() -> None:
    _, frames = gatherings(21, people=90, share=0.75, stray_s=0.2)
    found = search(frames)
    assert flagged(found) == []
    assert set(found.rings["kind"]) == {"shared_strategy"}
    assert set(found.rings["account_id"]) == {f"robot{k:03d}" for k in range(90)}


@pytest.mark.parametrize(
    ("people", "share", "stray_s"), [(900, 0.1, 0.2), (90, 0.75, 6.0)], ids=["others each time", "people"]
)
def test_crowds_of_others_each_time_or_of_people_are_nothing(people: int, share: float, stray_s: float) -> None:
    _, frames = gatherings(22, people, share, stray_s)
    assert search(frames).rings.empty


def test_a_crowd_at_news_is_no_family() -> None:
    at, frames = gatherings(23, people=90, share=0.75, stray_s=0.2)
    told = pd.DataFrame({"occurs_at": START + pd.to_timedelta(at, unit="s"), "impact": "high"})
    found = find_coordination(pd.concat(frames, ignore_index=True), owners={}, news=told)
    assert found.rings.empty


def test_robots_of_strangers_that_wait_for_the_same_bars_are_nothing() -> None:
    rng = np.random.default_rng(7)
    bars = np.arange(0, OPEN_S, 3600)
    robots = [
        trades_of(
            f"bar{k:02d}",
            rng.choice(bars, 100, replace=False) + rng.exponential(0.3, 100),
            rng.exponential(3000, 100),
            rng.random(100) < 0.5,
        )
        for k in range(40)
    ]
    assert flagged(search(robots)) == []


def test_a_news_crowd_is_nothing() -> None:
    rng = np.random.default_rng(8)
    news = rng.uniform(0, OPEN_S, 20)
    up = rng.random(20) < 0.5
    crowd = [trades_of(f"news{k:03d}", news + rng.exponential(5, 20), rng.exponential(600, 20), up) for k in range(120)]
    found = search([*strangers(rng, 60), *crowd])
    assert flagged(found) == []


def test_a_leader_with_several_followers_is_a_ring() -> None:
    rng = np.random.default_rng(9)
    at, held, buy = plan(rng, 60)
    frames = [trades_of("leader", at, held, buy)]
    for k, lag in enumerate((1.0, 4.0, 20.0)):
        on = rng.random(60) < 0.7
        late = lag * (1 + 0.1 * rng.normal(size=int(on.sum())))
        frames.append(trades_of(f"f{k}", at[on] + late, held[on], buy[on]))
    found = search([*strangers(rng, 60), *frames])
    led = {(a, b) for a, b, _, leader in flagged(found) if leader == "leader"}
    assert led == {("f0", "leader"), ("f1", "leader"), ("f2", "leader")}
    assert found.rings["account_id"].tolist() == ["f0", "f1", "f2", "leader"]
    assert set(found.rings["kind"]) == {"ring"}
    assert set(found.rings["ring_id"]) == {"ring-f0"}


@pytest.mark.parametrize("jitter", [0.1, 0.6])
def test_many_who_follow_a_leader_of_bursts_at_lags_of_their_own_are_copiers_where_they_are_steady(
    jitter: float,
) -> None:
    """Copiers with exits of their own are told from readers by how far their lags stray, however many they are."""
    rng = np.random.default_rng(3)
    heads, held, buy = plan(rng, 40)
    at = (heads[:, None] + np.array([0.0, 40.0])).ravel()
    held, buy = np.repeat(held, 2), np.repeat(buy, 2)
    frames = [trades_of("leader", at, held, buy)]
    for k, lag in enumerate(np.geomspace(0.5, 100.0, 14)):
        on = rng.random(len(at)) < 0.8
        late = lag * rng.lognormal(0, jitter, int(on.sum()))
        frames.append(trades_of(f"f{k:02d}", at[on] + late, rng.exponential(3000, len(late)) + 60, buy[on]))
    found = search([*strangers(rng, 60), *frames])
    led = {a for a, _, _, leader in flagged(found) if leader == "leader"}
    far = {f"f{k:02d}" for k, lag in enumerate(np.geomspace(0.5, 100.0, 14)) if lag > 6}
    assert led >= far if jitter < 0.3 else not led & far


def test_followers_within_a_fifth_of_a_second_are_a_ring_though_their_lags_vary() -> None:
    """A lag that varies by a third of its length is a reader's, but nobody reads within hundredths of a second."""
    rng = np.random.default_rng(31)
    at, held, buy = plan(rng, 110)
    frames = [*strangers(rng, 60), trades_of("leader", at, held, buy)]
    for i in range(7):
        taken = rng.random(110) < 0.6
        lag, out = rng.uniform(0.18, 0.23) * (1 + 0.38 * rng.normal(size=(2, 110)))
        own = np.where(rng.random(110) < 0.35, rng.exponential(3000, 110) + 60, held + out - lag)
        frames.append(trades_of(f"f{i}", (at + lag)[taken], own[taken], buy[taken]))
    found = search(frames)
    with_leader = {(a, b) for a, b, _, leader in flagged(found) if leader == "leader"}
    assert with_leader == {(f"f{i}", "leader") for i in range(7)}
    assert set(found.rings["kind"]) == {"ring"}


def test_two_who_copy_a_member_of_a_robot_family_make_no_ring_of_the_family() -> None:
    """The quickest of a family is followed by all of it, and by two from afar: only those copy it."""
    rng = np.random.default_rng(33)
    at, held, buy = plan(rng, 140)
    frames = strangers(rng, 60)
    late = np.append(0.0, rng.uniform(1.4, 2.4, 24))
    for i in range(25):
        there = rng.random(140) < 0.93
        strays = late[i] + 0.02 * rng.normal(size=140)
        own = held if i == 0 else rng.exponential(3000, 140) + 60
        frames.append(trades_of(f"r{i:02d}", (at + strays)[there], own[there], buy[there]))
        if i == 0:
            for name, lag in (("far", 21.0), ("farther", 55.0)):
                behind = (at + strays + lag * (1 + 0.02 * rng.normal(size=140)))[there]
                frames.append(trades_of(name, behind, held[there], buy[there]))
    found = flagged(search(frames))
    assert {(a, b) for a, b, _, _ in found if "r00" in (a, b)} == {("far", "r00"), ("farther", "r00")}
    assert not [(a, b) for a, b, _, _ in found if a.startswith("r") and b.startswith("r")]


def test_one_pair_and_many_are_described_by_one_compiled_pass() -> None:
    """The firm of the setup has a single one: who has more would else wait for another to be compiled."""
    copiers = [
        frame.assign(account_id=frame["account_id"] + str(seed))
        for seed in range(11, 31)
        for frame in copied(seed, 2.0)
        if frame["account_id"].iloc[0] in ("leader", "follower")
    ]
    assert len(flagged(search(copied(10, 2.0)))) == 1
    assert len(flagged(search([*copied(10, 2.0), *copiers]))) > 16
    assert len(circumstances._describe_pairs.signatures) == 1  # type: ignore[attr-defined]


def test_whole_seconds_still_name_the_leader_of_a_short_lag() -> None:
    rng = np.random.default_rng(20)
    at, held, buy = plan(rng, 60)
    pair = [trades_of("leader", at, held, buy), trades_of("follower", at + 0.3, held, buy)]
    frames = pd.concat([*strangers(rng, 60), *pair], ignore_index=True)
    whole = frames.assign(opened_at=frames["opened_at"].dt.floor("s"), closed_at=frames["closed_at"].dt.floor("s"))
    assert flagged(find_coordination(whole, owners={})) == [("follower", "leader", "copy", "leader")]


def test_same_owner_is_said_where_both_are_known_and_unknown_where_not() -> None:
    frames = copied(10, 2.0)
    known = search(frames, {"leader": "o1", "follower": "o1"}).pairs["same_owner"].tolist()
    other = search(frames, {"leader": "o1", "follower": "o2"}).pairs["same_owner"].tolist()
    unknown = search(frames, {"leader": "o1"}).pairs["same_owner"].tolist()
    assert (known, other, unknown) == ([True], [False], [None])
    table = pd.DataFrame({"account_id": ["leader", "follower"], "owner_id": ["o1", "o1"]})
    assert find_coordination(pd.concat(frames), owners=table).pairs["same_owner"].tolist() == [True]


def test_published_columns_and_readable_evidence() -> None:
    found = search(copied(11, 2.0))
    assert tuple(found.pairs.columns) == PAIR_COLUMNS
    assert tuple(found.rings.columns) == RING_COLUMNS
    evidence = json.loads(found.pairs["evidence"].iloc[0])
    assert evidence["log_odds"]["order"] > 0
    assert (found.pairs["q_value"] >= found.pairs["p_value"]).all()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31))
def test_the_order_of_rows_says_nothing(seed: int) -> None:
    frames = pd.concat(copied(12, 3.0), ignore_index=True)
    order = np.random.default_rng(seed).permutation(len(frames))
    straight = find_coordination(frames, owners={})
    shuffled = find_coordination(frames.iloc[order], owners={})
    pd.testing.assert_frame_equal(straight.pairs, shuffled.pairs)
    pd.testing.assert_frame_equal(straight.rings, shuffled.rings)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31))
def test_names_of_accounts_say_nothing(seed: int) -> None:
    frames = pd.concat(copied(13, 3.0), ignore_index=True)
    ids = frames["account_id"].unique()
    names = dict(zip(ids, np.random.default_rng(seed).permutation(len(ids)).astype(str), strict=True))
    renamed = find_coordination(frames.assign(account_id=frames["account_id"].map(names)), owners={})
    pair = sorted([names["leader"], names["follower"]])
    assert flagged(renamed) == [(pair[0], pair[1], "copy", names["leader"])]
    straight = find_coordination(frames, owners={}).pairs
    assert renamed.pairs["strength"].tolist() == pytest.approx(straight["strength"].tolist())


def test_bad_rows_are_left_out_and_counted() -> None:
    frames = pd.concat(copied(14, 3.0), ignore_index=True)
    broken = frames.head(4).copy()
    broken["opened_at"] = pd.NaT
    broken.loc[broken.index[:1], "side"] = None
    found = find_coordination(pd.concat([frames, broken], ignore_index=True), owners={})
    assert flagged(found) == [("follower", "leader", "copy", "leader")]
    assert any(line.startswith("4 trades without account") for line in found.log)


@pytest.mark.parametrize("rows", [0, 1, 40])
def test_nothing_to_compare_is_said(rows: int) -> None:
    frame = trades_of("only", *plan(np.random.default_rng(15), 40)).head(rows)
    found = find_coordination(frame, owners={})
    assert found.pairs.empty and tuple(found.pairs.columns) == PAIR_COLUMNS
    assert "fewer than two accounts" in found.log[-1]


def test_an_account_of_a_hundred_thousand_trades_a_day_is_thinned_and_named_in_the_log() -> None:
    rng = np.random.default_rng(16)
    machines = [
        trades_of(f"grid{k}", rng.uniform(0, 86_400, 50_000), np.full(50_000, 60.0), rng.random(50_000) < 0.5)
        for k in range(2)
    ]
    found = search([*copied(16, 3.0), *machines])
    assert ("follower", "leader", "copy", "leader") in flagged(found)
    assert not any("grid" in account for pair in flagged(found) for account in pair[:2])
    assert any(line.startswith("2 accounts opened more than 1000 positions in a day") for line in found.log)


def test_a_firm_that_acts_as_one_crowd_gives_no_pairs_to_look_at_and_the_log_says_why() -> None:
    rng = np.random.default_rng(5)
    moments, accounts = rng.uniform(0, OPEN_S, 20), 250
    frames = [
        trades_of(f"c{i:03d}", moments + rng.exponential(5, 20), np.full(20, 600.0), rng.random(20) < 0.5)
        for i in range(accounts)
    ]
    found = search(frames)
    assert not len(found.pairs)
    assert any("stood in crowds" in line for line in found.log)
    assert looked_at(found) < accounts * accounts / 2 / 100


def test_identical_instants_do_not_explode() -> None:
    rng = np.random.default_rng(17)
    same = [trades_of(f"same{k:03d}", np.full(50, 1000.0), np.full(50, 60.0), rng.random(50) < 0.5) for k in range(100)]
    found = search(same)
    assert flagged(found) == []
    assert looked_at(found) == 0


def test_pair_evidence_shows_the_matches_the_search_counted() -> None:
    frames = copied(18, 3.0)
    market = pd.concat(frames, ignore_index=True)
    leader, follower = (market[market["account_id"] == name] for name in ("leader", "follower"))
    evidence = pair_evidence(leader, follower, market=market)
    published = find_coordination(market, owners={}).pairs.iloc[0]
    assert len(evidence.matches) == published["matched"] == 30
    assert evidence.numbers["lag_ms"] == pytest.approx(published["lag_ms"], abs=1)
    assert evidence.numbers["expected"] == pytest.approx(published["expected"])
    assert (evidence.matches["trade_a"].str.startswith("leader")).all()
    assert "follower 3.0 s behind leader" in evidence.sentence
    matched = {"a": set(evidence.matches["opened_a"]), "b": set(evidence.matches["opened_b"])}
    for of, told in (("a", leader), ("b", follower)):
        alone = evidence.alone.loc[evidence.alone["of"] == of, "opened_at"]
        assert len(alone) == len(told) - 30 and set(alone) | matched[of] == set(told["opened_at"])
    assert len(evidence.alone), "who follows a part leaves entries that match none"
    turned = pair_evidence(follower, leader, market=market)
    assert turned.numbers["lag_ms"] == pytest.approx(-float(evidence.numbers["lag_ms"] or 0))


def test_pair_evidence_refuses_what_is_no_pair() -> None:
    frame = pd.concat(copied(19, 3.0))
    with pytest.raises(ValueError, match="one account"):
        pair_evidence(frame, frame)
    with pytest.raises(ValueError, match="copy or mirror"):
        pair_evidence(frame, frame, relation="both")


@given(st.integers(1, 60), st.floats(0.001, 50))
def test_poisson_tail_agrees_with_scipy(count: int, mean: float) -> None:
    expected = stats.poisson.logsf(count - 1, mean) if count > mean else 0.0
    assert log_poisson_tail(count, mean) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.integers(1, 60), st.floats(0.5, 20), st.floats(0.2, 50))
def test_gamma_poisson_tail_agrees_with_scipy(count: int, shape: float, rate: float) -> None:
    expected = stats.nbinom.logsf(count - 1, shape, rate / (1 + rate)) if count > shape / rate else 0.0
    assert log_gamma_poisson_tail(count, shape, rate) == pytest.approx(expected, rel=1e-5, abs=1e-8)


@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=30))
def test_q_values_agree_with_scipy(p_values: list[float]) -> None:
    expected = stats.false_discovery_control(p_values)
    ours = np.exp(log_q_values(np.log(p_values), len(p_values)))
    assert ours == pytest.approx(expected)


@pytest.mark.parametrize(
    ("number", "told"),
    [(0.00009, "under 0.0001"), (0.0001, "0.0001"), (0.034, "0.034"), (9.94, "9.9"), (12.4, "12"), (1234.0, "1,234")],
)
def test_what_chance_would_give_is_told_without_an_exponent(number: float, told: str) -> None:
    assert by_chance(number) == told


def test_what_was_ruled_out_is_told_only_where_the_numbers_speak_against_it() -> None:
    quiet = {"shifted": 0.2, "passers": 1.0, "passers_usual": 0.8, "bar_share_a": 0.3, "bar_share_b": 0.9, "others": 0}
    told = ruled_out(20, 0.03, quiet | {"same_order": 1.0})
    assert told[0] == "chance: it would give 0.03 of the 20 matches"
    assert [one.split(":")[0] for one in told[1:]] == [
        "a common rhythm",
        "news and crowds",
        "bar openings",
        "a common robot or signal",
        "two who read one source",
    ]
    loud = {"shifted": 12.0, "passers": 9.0, "passers_usual": 0.8, "bar_share_a": 0.9, "bar_share_b": 0.9, "others": 4}
    assert ruled_out(20, 11.0, loud | {"same_order": 0.6}) == []
    assert ruled_out(20, 11.0, {}) == []
