"""Protects: who leads by turns is of a ring, who reads one source is of none."""

from __future__ import annotations

import numpy as np
import pytest

from models.coordination.turns import _by_turns, _silence
from tests.test_coordination import Floats, flagged, plan, search, strangers, trades_of


def after_the_first(rng: np.random.Generator, moments: int, members: int) -> Floats:
    """How late (s) each of a ring is at each moment: one of them is first, the others see it and act."""
    late = 6.0 * rng.lognormal(0.0, 0.3, (moments, members))
    late[np.arange(moments), rng.integers(0, members, moments)] = 0.0
    return late


def as_slow_as_each_is(rng: np.random.Generator, moments: int, members: int) -> Floats:
    """How late (s) each reader of one source is."""
    return np.asarray(10.0 * rng.lognormal(0.0, 0.5, (moments, members)))


def test_three_who_lead_by_turns_are_a_ring_without_a_leader_and_three_readers_are_none() -> None:
    for delays, pairs in ((after_the_first, 3), (as_slow_as_each_is, 0)):
        rng = np.random.default_rng(5)
        at, held, buy = plan(rng, 60)
        late = delays(rng, 60, 3)
        group = [trades_of(f"member{k}", at + late[:, k], held, buy) for k in range(3)]
        found = search([*strangers(rng, 60), *group])
        assert [(relation, leader) for _, _, relation, leader in flagged(found)] == [("copy", None)] * pairs
        assert set(found.rings.loc[found.rings["kind"] == "ring", "account_id"]) == {f"member{k}" for k in range(pairs)}


def test_who_is_first_by_the_side_or_nearly_always_does_not_lead_by_turns() -> None:
    side, even = np.arange(40) % 2, np.arange(40) // 2 % 2
    assert _by_turns(even, side)
    assert not _by_turns(side, side)
    assert not _by_turns(np.where(np.arange(40) % 9 == 0, 1, 0), side)


@pytest.mark.parametrize("seed", range(4))
def test_the_first_of_independent_delays_is_not_left_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for delays in (
        rng.exponential(10.0, (200, 4)),
        rng.normal(20.0, 5.0, (200, 4)),
        rng.uniform(0.0, 10.0, (200, 4)),
        as_slow_as_each_is(rng, 200, 4),
    ):
        first, second = np.sort(delays, axis=1)[:, :2].T
        assert _silence((1e6 * (second - first)).astype(np.int64)) > -4.0
    first, second = np.sort(after_the_first(rng, 60, 4), axis=1)[:, :2].T
    assert _silence((1e6 * (second - first)).astype(np.int64)) < -6.0
