"""Intervals beside rates on pages hold the true rate as often as they say, also where a person buys again and again.

Many small firms are drawn at once, each a partner of one table: what the marts say of them is what the pages show.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

from sql import relations

FIRMS = 1500
STATED = 0.95
STAGES = ("passed", "funded", "payout", "breached", "again")


def alike(rng: np.random.Generator, people: np.ndarray, rate: float, likeness: float) -> np.ndarray:
    """Whether each challenge reached a stage; `likeness` is how far one person's challenges go together (0: not)."""
    if likeness == 0:
        return np.asarray(rng.random(len(people)) < rate)
    much = 1 / likeness - 1
    of_person = rng.beta(rate * much, (1 - rate) * much, people.max() + 1)
    return np.asarray(rng.random(len(people)) < of_person[people])


def funnel_of(buyers: int, again: float, rate: float, likeness: float, seed: int) -> pd.DataFrame:
    """What `marts.partner_funnel` says of firms whose buyers all reach every stage at one true rate."""
    rng = np.random.default_rng(seed)
    bought = rng.geometric(1 / (1 + again), FIRMS * buyers)
    people = np.repeat(np.arange(FIRMS * buyers), bought)
    told = pd.DataFrame({"challenge_id": np.arange(len(people)).astype(str), "person": people.astype(str)})
    told = told.assign(desk_id="d", partner_id=(people // buyers).astype(str), instant_days=np.nan)
    for stage in STAGES:
        told[f"{stage}_days"] = np.where(alike(rng, people, rate, likeness), 1.0, np.nan)
    connection = duckdb.connect()
    relations.prepare(connection, None)
    connection.register("told", told)
    connection.execute("create table marts.cohort_challenges as select * from told")
    connection.execute("create table decided.credits as select challenge_id, partner_id from told")
    relations.build(connection, "marts.partner_funnel")
    found: pd.DataFrame = connection.sql("select * from marts.partner_funnel where desk_id = 'd'").df()
    return found


@pytest.mark.parametrize(
    ("buyers", "again", "rate", "likeness"),
    [(60, 0.0, 0.1, 0.0), (25, 1.5, 0.3, 0.0), (25, 1.5, 0.3, 0.3), (80, 2.0, 0.1, 0.2), (80, 1.0, 0.5, 0.6)],
)
def test_a_partners_rates_lie_in_their_intervals_as_often_as_said(
    buyers: int, again: float, rate: float, likeness: float
) -> None:
    found = funnel_of(buyers, again, rate, likeness, seed=5)
    assert len(found) == FIRMS * len(STAGES)
    held = ((found["rate_low"] <= rate) & (rate <= found["rate_high"])).mean()
    # a share of 7,500 draws is known to half a point; rates of whole challenges step, so that none is exact
    assert STATED - 0.02 <= held <= STATED + 0.03


def test_one_persons_challenges_count_as_one() -> None:
    found = funnel_of(1, 8.0, 0.5, 0.95, seed=3)
    some = found[found["challenges"] >= 5]
    assert len(some) > 100
    assert (some["rate_high"] - some["rate_low"] > 0.7).all()
