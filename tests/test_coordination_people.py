"""Protects: what people who see the same prices do is no copying, and copiers with exits of their own still are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from models.coordination import CoordinationTerms, find_coordination
from models.coordination.likeness import local_spread
from models.coordination.search import EXITS_LINKED, _undiscovered
from models.coordination.strength import link_alone
from tests.test_coordination import flagged, plan, search, strangers, trades_of

Floats = NDArray[np.float64]


def whole_seconds(frame: pd.DataFrame) -> pd.DataFrame:
    """The same trades by a clock that shows whole seconds."""
    return frame.assign(opened_at=frame["opened_at"].dt.floor("s"), closed_at=frame["closed_at"].dt.floor("s"))


@pytest.mark.parametrize("follows_out", [False, True])
def test_two_who_see_the_same_prices_are_no_copies_although_the_prices_close_both(follows_out: bool) -> None:
    rng = np.random.default_rng(71)
    seen, move, up = plan(rng, 40)
    one = seen + 3 * rng.lognormal(0, 0.4, 40)
    other = seen + 14 * rng.lognormal(0, 0.4, 40)
    held = move * rng.uniform(0.5, 2.0, 40) + 30  # targets of their own on the path that both are in
    end = seen + (move + 15 if follows_out else held)
    frames = [*strangers(rng, 40), trades_of("one", one, seen + move - one + 3, up)]
    assert bool(flagged(search([*frames, trades_of("other", other, np.maximum(end - other, 5), up)]))) is follows_out


@pytest.mark.parametrize(("opposite", "expected"), [(True, 1), (False, 0)])
def test_one_hand_hedges_within_a_second_in_either_order_but_two_robots_of_one_kind_may_act_so(
    opposite: bool, expected: int
) -> None:
    rng = np.random.default_rng(72)
    at, held, buy = plan(rng, 24)
    apart = rng.uniform(-0.8, 0.8, 24)
    second = trades_of("second", at + apart, held + rng.normal(0, 1, 24), ~buy if opposite else buy)
    assert len(flagged(search([*strangers(rng, 40), trades_of("first", at, held, buy), second]))) == expected


@pytest.mark.parametrize(("stray", "expected"), [(0.1, True), (0.8, False)])
def test_a_machine_behind_a_leader_whom_a_few_people_read_is_a_copier_whatever_its_exits(
    stray: float, expected: bool
) -> None:
    rng = np.random.default_rng(73)
    at, held, buy = plan(rng, 50)
    frames = [*strangers(rng, 40), trades_of("leader", at, held, buy)]
    for reader in "abc":
        on = rng.random(50) < 0.6
        late, own = rng.lognormal(3, 0.7, on.sum()), rng.exponential(3000, on.sum()) + 60
        frames.append(trades_of(f"reader-{reader}", at[on] + late, own, buy[on]))
    lag = 1.2 * rng.lognormal(0, stray, 50)
    frames.append(trades_of("behind", at + lag, rng.exponential(3000, 50) + 60, buy))
    pairs = [(a, b) for a, b, *_ in flagged(search(frames))]
    assert (("behind", "leader") in pairs) is expected
    assert not any("reader" in name for pair in pairs for name in pair)


def test_the_last_link_of_a_chain_is_one_where_a_clock_of_whole_seconds_hides_its_order() -> None:
    rng = np.random.default_rng(74)
    at, held, buy = plan(rng, 40)
    frames = [*strangers(rng, 40), trades_of("first", at, held, buy)]
    second = at + 10 * rng.lognormal(0, 0.05, 40)
    frames.append(trades_of("second", second, held, buy))
    frames.append(trades_of("third", second + 0.2 * rng.lognormal(0, 0.1, 40), held, buy))
    found = find_coordination(whole_seconds(pd.concat(frames, ignore_index=True)), owners={})
    assert {(a, b) for a, b, *_ in flagged(found)} == {("first", "second"), ("first", "third"), ("second", "third")}


@pytest.mark.parametrize("chained", [True, False])
def test_who_is_followed_in_its_own_trades_too_still_follows_its_leader_but_a_reader_of_another_source_does_not(
    chained: bool,
) -> None:
    rng = np.random.default_rng(76)
    at, held, buy = plan(rng, 90)
    other, _, others_buy = plan(rng, 60)  # the middle's own trades, or those of a source it shares
    middle = np.concatenate([at[:40] + 13 * rng.lognormal(0, 0.1, 40), other])
    lasted, side = rng.exponential(3000, 100) + 60, np.concatenate([buy[:40], others_buy])
    last_at = middle + 60 * rng.lognormal(0, 0.05, 100) * (1.0 if chained else rng.choice([-1.0, 1.0], 100))
    frames = [*strangers(rng, 40), trades_of("leader", at, held, buy), trades_of("middle", middle, lasted, side)]
    frames.append(trades_of("last", last_at, lasted, side))
    frames.append(trades_of("late", at + 100 * rng.lognormal(0, 0.05, 90), held, buy))
    pairs = [(a, b) for a, b, *_ in flagged(search(frames))]
    assert (("leader", "middle") in pairs) is chained


def test_a_lag_that_moved_is_steady_and_one_that_varies_is_not() -> None:
    rng = np.random.default_rng(75)
    opened = np.arange(60, dtype=np.int64)
    moved = np.where(opened < 30, 3e5, 1e6) + rng.normal(0, 1e4, 60)
    varied = rng.permutation(moved)
    assert local_spread(opened, moved) < 2e4
    assert local_spread(opened, varied) > 2e5


@pytest.mark.parametrize(
    ("log_p", "shared", "near", "kept"),
    [(-14.0, 0, 0.0, False), (-14.0, 0, 0.9, True), (-30.0, 0, 0.0, True), (-14.0, 3000, 0.0, False)],
)
def test_a_flag_must_be_a_discovery_among_flags_however_many_pairs_share_a_robot(
    log_p: float, shared: int, near: float, kept: bool
) -> None:
    pair = {"strength": 0.8, "log_p": log_p, "exits_near": near, "near_by_chance": 0.0, "exits_after": 0.5}
    pair |= {"relation": 0, "events": 20}
    robots = pair | {"strength": 0.1, "log_p": -200.0}
    seen = pd.DataFrame([pair, *[robots] * shared]).assign(exits_together=0.0, exits_by_chance=0.0)
    seen = seen.assign(lag_s=4.0, step_s=0.001, exits_met=0.0, exits_repeated=0.0)
    _undiscovered(seen, reasons := pd.DataFrame(index=seen.index), 1000, CoordinationTerms())
    assert (seen["strength"].iloc[0] >= 0.5) is np.bool_(kept)
    assert (reasons["undiscovered"].iloc[0] == 0.0) is np.bool_(kept)


@pytest.mark.parametrize(("events", "relation", "linked"), [(8, 0, False), (20, 0, True), (8, 1, True)])
def test_a_few_exits_that_one_path_of_prices_brought_near_are_no_link(events: int, relation: int, linked: bool) -> None:
    """Who enters with a stranger on one side leaves near it by the same prices; on opposite sides, or often, not."""
    pair = {"exits_near": 0.9, "near_by_chance": 0.0, "exits_after": 0.5, "exits_together": 0.0, "exits_by_chance": 0.0}
    apart = {"lag_s": 4.0, "step_s": 0.001, "exits_met": 0.0, "exits_repeated": 0.0}
    seen = pd.DataFrame([pair | apart | {"events": events, "relation": relation, "log_p": -40.0}])
    assert (link_alone(seen)[0] >= EXITS_LINKED) == linked
