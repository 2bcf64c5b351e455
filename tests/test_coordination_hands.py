"""Protects: whether a person or a robot opened a trade tells who copies a robot from who runs the same one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.coordination import Coordination, find_coordination, ruled_out
from models.coordination.entries import openings, sort_entries
from models.coordination.hands import believed
from models.coordination.terms import CoordinationTerms
from tests.test_coordination import OPEN_S, flagged, strangers, trades_of

Told = dict[str, str]
BY_HAND: Told = {"open_reason": "client", "magic": ""}
BY_ROBOT: Told = {"open_reason": "expert", "magic": "4711"}


def search(frames: list[pd.DataFrame]) -> Coordination:
    """The search over accounts of one platform."""
    trades = pd.concat(frames, ignore_index=True)
    return find_coordination(trades, owners={}, accounts=on_one(trades))


def on_one(trades: pd.DataFrame, platform: str = "mt5") -> pd.DataFrame:
    """The accounts of trades, all on one platform."""
    return pd.DataFrame({"account_id": trades["account_id"].unique(), "platform": platform})


def crowd(rng: np.random.Generator) -> list[pd.DataFrame]:
    """Strangers of whom most trade by hand and a few by robots."""
    frames = strangers(rng, 40)
    return [frame.assign(**(BY_HAND if k > 4 else BY_ROBOT | {"magic": str(k + 1)})) for k, frame in enumerate(frames)]


def family(rng: np.random.Generator, copier: Told) -> list[pd.DataFrame]:
    """Six accounts of one robot with latencies and exits of their own, and one a steady .6 s behind the third."""
    at, buy = np.sort(rng.uniform(0, OPEN_S, 90)), rng.random(90) < 0.5
    frames = []
    for k in range(6):
        on = rng.random(90) < 0.85
        entered = at[on] + rng.lognormal(np.log(0.3), 0.5, int(on.sum()))
        frames.append(
            trades_of(f"robot{k}", entered, rng.exponential(3000, len(entered)) + 60, buy[on]).assign(**BY_ROBOT)
        )
        if k == 2:
            late = entered + 0.6 + 0.02 * rng.normal(size=len(entered))
            frames.append(trades_of("behind", late, rng.exponential(3000, len(late)) + 60, buy[on]).assign(**copier))
    return frames


@pytest.mark.parametrize("seed", range(4))
def test_who_copies_a_robot_by_hand_is_told_from_who_runs_it(seed: int) -> None:
    """What a family shares is its program, which does not run by hand; untold, the copier looks like one more of it."""
    answers = []
    for told in (BY_HAND, BY_ROBOT, {"open_reason": "", "magic": ""}):
        rng = np.random.default_rng(seed)
        frames = [*crowd(rng), *family(rng, told)]
        answers.append(flagged(search(frames)))
    assert answers == [[("behind", "robot2", "copy", "robot2")], [], []]


def two_at_a_touch(rng: np.random.Generator, told: list[Told]) -> list[pd.DataFrame]:
    """Two accounts that act as a band is touched, one .8 s after the other, each with stops of its own."""
    at, buy = np.sort(rng.uniform(0, OPEN_S, 40)), rng.random(40) < 0.5
    late = at + rng.normal(0.8, 0.15, 40)
    return [
        trades_of(name, opened, rng.exponential(3000, 40) + 60, buy).assign(**one)
        for name, opened, one in zip(("first", "second"), (at, late), told, strict=True)
    ]


def test_two_robots_alone_are_two_accounts_of_one_unless_more_speaks_for_it() -> None:
    strengths = []
    for told in ([BY_HAND, BY_HAND], [BY_ROBOT | {"magic": "1"}, BY_ROBOT | {"magic": "2"}], [BY_ROBOT, BY_ROBOT]):
        rng = np.random.default_rng(5)
        pairs = search([*crowd(rng), *two_at_a_touch(rng, told)]).pairs
        strengths.append(pairs.loc[pairs["account_a"] == "first", "strength"].max() if len(pairs) else 0.0)
    by_hand, by_two, by_one = np.nan_to_num(strengths)
    assert by_hand >= 0.5
    assert by_two < 0.5
    assert by_one <= by_two


def test_one_person_who_runs_a_robot_on_two_accounts_still_trades_as_one() -> None:
    rng = np.random.default_rng(5)
    trades = pd.concat([*crowd(rng), *two_at_a_touch(rng, [BY_ROBOT, BY_ROBOT])], ignore_index=True)
    found = find_coordination(trades, owners={"first": "o1", "second": "o1"}, accounts=on_one(trades))
    assert [pair[:2] for pair in flagged(found)] == [("first", "second")]


@pytest.mark.parametrize(
    ("told", "believes"),
    [
        ({"open_reason": ["client"] * 9 + ["expert"] * 4, "magic": [""] * 13}, True),
        ({"open_reason": ["client"] * 13, "magic": [""] * 13}, False),  # writes one reason whatever happens
        ({"open_reason": ["expert"] * 13, "magic": [""] * 13}, False),
        ({"open_reason": ["client"] * 2 + ["expert"] * 11, "magic": [""] * 13}, False),  # hardly anybody trades by hand
        ({"open_reason": [None] * 13, "magic": ["0"] * 9 + ["7"] * 4}, True),  # numbers and no reasons
        ({"open_reason": ["client"] * 13, "magic": ["0"] * 9 + ["7"] * 4}, True),  # a number is a robot's
        ({"open_reason": ["other"] * 9 + ["expert"] * 4, "magic": [None] * 13}, True),  # no reason is of a hand
        ({}, False),
    ],
)
def test_reasons_are_believed_where_a_platform_tells_robots_from_people(
    told: dict[str, list[str]], believes: bool
) -> None:
    rng = np.random.default_rng(1)
    frames = [
        frame.assign(**{name: values[k] for name, values in told.items()}) for k, frame in enumerate(strangers(rng, 13))
    ]
    trades = pd.concat(frames, ignore_index=True)
    entries = sort_entries(trades, None, CoordinationTerms(), [])
    assert entries is not None
    robot = believed(entries, on_one(trades))
    assert set(robot.tolist()) == ({0, 1} if believes else {-1})
    apart = on_one(trades).assign(platform=lambda table: np.where(table.index < 9, "one", "other"))
    assert set(believed(entries, apart).tolist()) == {-1}  # neither of the two tells both


def test_a_magic_number_is_a_robots_and_the_same_in_every_run() -> None:
    told = ["12", "12.5", 12, "0", "", None, np.nan]
    rng = np.random.default_rng(1)
    frame = trades_of("a", np.arange(7.0), np.ones(7), rng.random(7) < 0.5).assign(magic=pd.Series(told, dtype=object))
    columns = openings(frame).columns
    assert columns.robot.tolist() == [1, 1, 1, -1, -1, -1, -1]
    assert columns.program[0] == columns.program[2] != columns.program[1]
    assert columns.program[3:].tolist() == [0, 0, 0, 0]
    backwards = openings(frame.iloc[::-1].astype({"magic": "category"})).columns
    assert backwards.program[::-1].tolist() == columns.program.tolist()


def test_a_common_robot_is_ruled_out_where_one_trades_by_hand() -> None:
    told = ruled_out(20, 11.0, {"robot_a": 1.0, "robot_b": 0.0})
    assert told == ["a common robot: of the matched entries robots opened 100% of one, 0% of the other"]
    assert ruled_out(20, 11.0, {"robot_a": 1.0, "robot_b": 0.5}) == []
    assert ruled_out(20, 11.0, {"robot_a": 1.0, "robot_b": None}) == []
