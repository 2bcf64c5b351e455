"""Intervals beside rates on pages hold the true rate as often as they say, also where a person buys again and again.

Many small firms are drawn at once, each a partner of one table: what the marts say of them is what the pages show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def money_of(buyers: int, registrations: float, chance: float, size: float, seed: int) -> tuple[pd.DataFrame, ...]:
    """What `marts.partners` and `marts.lifetime_value` say of one firm's many partners or channels, whose people are
    alike: each may have several registrations and is paid, in all of them or in none."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(FIRMS * buyers), rng.geometric(1 / (1 + registrations), FIRMS * buyers))
    won = (rng.random(people.max() + 1) < chance)[people]
    told = pd.DataFrame({"challenge_id": np.arange(len(people)).astype(str), "person": people.astype(str)})
    told = told.assign(trader_id=told["challenge_id"], desk_id="d", partner_id=(people // buyers).astype(str))
    told = told.assign(
        channel=told["partner_id"],
        product="p",
        purchased_at=pd.Timestamp("2026-03-01", tz="UTC"),
        funded_days=np.nan,
        instant_days=np.nan,
        fees=rng.choice([49.0, 155.0, 345.0, 540.0], len(people)),
        payouts=np.where(won, rng.lognormal(np.log(size), 0.9, len(people)), 0.0),
    )
    connection = partners_of(told, flagged=[])
    relations.build(connection, "marts.lifetime_value")
    partners = connection.sql("select * from marts.partners where desk_id = 'd'").df()
    return told, partners, connection.sql("select * from marts.lifetime_value").df()


def partners_of(told: pd.DataFrame, flagged: Sequence[str]) -> duckdb.DuckDBPyConnection:
    """`marts.partners` of a firm of such purchases, each of a registration of its own, of which some are flagged."""
    connection = duckdb.connect()
    relations.prepare(connection, None)
    connection.register("told", told)
    connection.register("flagged", pd.DataFrame({"trader_id": flagged}, dtype="string"))
    for statement in (
        "create table marts.cohort_challenges as select * from told",
        "create table decided.credits as select challenge_id, partner_id, 1.0 as share from told"
        " where partner_id is not null",
        "create table staging.partners as select distinct partner_id, '' as name, null as parent_partner_id,"
        " '' as plan, null as joined_at from told where partner_id is not null",
        "create table decided.partner_places as select distinct partner_id, null as parent_partner_id, '' as plan"
        " from told where partner_id is not null",
        "create table staging.desks as select 'd' as desk_id, 'USD' as currency",
        "create table marts.usd_rates as select 'USD' as currency, 1.0 as rate_to_usd",
        "create table marts.challenge_money as select '' as challenge_id, '' as kind where false",
        "create table decided.signals as select 'trader' as subject_kind, trader_id as subject_id, 'grid' as detector,"
        " 1.0 as strength from flagged",
        "create table staging.accounts as select '' as account_id, '' as trader_id where false",
        "create table staging.clicks as select '' as partner_id where false",
        "create table marts.commission_entries as select '' as desk_id, '' as partner_id, '' as trader_id,"
        " 0.0 as amount, '' as currency, '' as state, '' as event where false",
        "create table staging.challenges as select desk_id, trader_id from told",
    ):
        connection.execute(statement)
    relations.build(connection, "marts.partners")
    return connection


def reached(told: pd.DataFrame, funded: Any = np.nan, instant: Any = np.nan) -> pd.DataFrame:
    """Purchases of one desk with the days to a funded account, and to an instant one."""
    return told.assign(desk_id="d", funded_days=funded, instant_days=instant)


def test_a_partners_share_is_one_of_all_fees_also_of_those_who_came_without_a_partner() -> None:
    told = pd.DataFrame({"challenge_id": ["1", "2", "3"], "fees": [100.0, 60.0, 240.0], "payouts": 0.0})
    told["person"] = told["trader_id"] = told["challenge_id"]
    told["partner_id"] = pd.Series(["P", "Q", None], dtype=object)
    partners = partners_of(reached(told), flagged=[]).sql("from marts.partners").df()
    assert len(partners) == 4
    assert partners.set_index("partner_id")["fees_share"].to_dict() == {"P": 0.25, "Q": 0.15}


def test_a_partner_whose_fees_were_all_returned_has_no_shares_of_them() -> None:
    """A tenth of less than nothing would read as a concentration."""
    told = pd.DataFrame({"challenge_id": ["1", "2"], "fees": [50.0, -70.0], "payouts": 0.0})
    told["person"] = told["trader_id"] = told["challenge_id"]
    partners = partners_of(reached(told).assign(partner_id="P"), flagged=[]).sql("from marts.partners").df()
    assert partners[["top_ten_share", "fees_share"]].isna().all(axis=None)


def test_instant_accounts_are_funded_in_the_table_as_in_the_funnel() -> None:
    told = pd.DataFrame({"challenge_id": ["1", "2", "3"], "fees": 50.0, "payouts": 0.0})
    told["person"] = told["trader_id"] = told["challenge_id"]
    told = reached(told, funded=pd.Series([9.0, np.nan, np.nan]), instant=pd.Series([np.nan, 0.1, np.nan]))
    partners = partners_of(told.assign(partner_id="P"), flagged=[]).sql("from marts.partners").df()
    assert partners["funded"].tolist() == [2, 2]


def test_a_buyer_whose_fees_were_all_returned_cost_nothing() -> None:
    """Guards that what sums of doubles leave below zero is not told as a buyer who cost more than they brought."""
    told = pd.DataFrame({"challenge_id": ["1", "2", "3"], "fees": [0.3, -0.1, -0.2], "payouts": 0.0})
    told = reached(told.assign(person="T", trader_id="T", partner_id="P", channel="c", product="p"))
    connection = partners_of(told.assign(purchased_at=pd.Timestamp("2026-03-01", tz="UTC")), flagged=[])
    relations.build(connection, "marts.lifetime_value")
    said = connection.sql("select value_mean_usd, negative_share from marts.lifetime_value").fetchall()
    assert said == [(pytest.approx(0), 0.0)] and said[0][0] != 0


def test_what_a_partner_brought_is_the_fees_less_the_payouts_that_are_shown_beside_it() -> None:
    """Also where a buyer's fee is in a currency without a rate: what the buyer was paid was paid all the same."""
    fees, payouts = [100.0, 49.0, np.nan], [20.0, 0.0, 50.0]
    told = pd.DataFrame({"challenge_id": ["1", "2", "3"], "fees": fees, "payouts": payouts})
    told["person"] = told["trader_id"] = told["challenge_id"]
    partners = partners_of(reached(told).assign(partner_id="P"), flagged=[]).sql("from marts.partners").df()
    for column, value in {"fees_usd": 149, "payouts_usd": 70, "net_usd": 79, "contribution_usd": 79}.items():
        assert (partners[column] == value).all(), column
    assert ((partners["net_low_usd"] < 79) & (partners["net_high_usd"] > 79)).all()


@pytest.mark.parametrize(
    ("buyers", "registrations", "chance", "size"),
    [(15, 0.0, 0.06, 4000), (60, 0.0, 0.15, 1500), (40, 0.5, 0.06, 4000), (120, 0.3, 0.02, 4000)],
)
def test_net_contribution_and_value_lie_in_their_intervals_as_often_as_said(
    buyers: int, registrations: float, chance: float, size: float
) -> None:
    """Also where rare large payouts make most of it, and a person has several registrations."""
    told, partners, values = money_of(buyers, registrations, chance, size, seed=11)
    assert len(partners) == len(values) == FIRMS
    net = told["fees"] - told["payouts"]
    of_person = float(net.sum()) / (FIRMS * buyers)
    held = ((partners["net_low_usd"] <= buyers * of_person) & (buyers * of_person <= partners["net_high_usd"])).mean()
    assert STATED - 0.03 <= held <= 0.995
    off = (values["value_mean_usd"] - float(net.mean())).abs()
    assert STATED - 0.03 <= (off <= values["value_margin_usd"]).mean() <= 0.995


@pytest.mark.parametrize(
    ("buyers", "registrations", "rate", "likeness"),
    [(80, 0.0, 0.05, 0.0), (40, 0.0, 0.3, 0.0), (40, 0.5, 0.15, 0.999), (60, 1.0, 0.1, 0.5)],
)
def test_a_partners_abuse_rate_lies_in_its_interval_as_often_as_said(
    buyers: int, registrations: float, rate: float, likeness: float
) -> None:
    """At least as often, where a person has several registrations and these are flagged together or each by itself."""
    rng = np.random.default_rng(23)
    people = np.repeat(np.arange(FIRMS * buyers), rng.geometric(1 / (1 + registrations), FIRMS * buyers))
    told = pd.DataFrame({"challenge_id": np.arange(len(people)).astype(str), "person": people.astype(str)})
    told = told.assign(trader_id=told["challenge_id"], desk_id="d", partner_id=(people // buyers).astype(str))
    flagged = told.loc[alike(rng, people, rate, likeness), "trader_id"]
    found = (
        partners_of(reached(told.assign(fees=1.0, payouts=0.0)), flagged.tolist())
        .sql("select abuse_low, abuse_high, abuse_baseline from marts.partners where desk_id = 'd'")
        .df()
    )
    assert len(found) == FIRMS
    assert found["abuse_baseline"].iloc[0] == pytest.approx(len(flagged) / len(told))
    held = ((found["abuse_low"] <= rate) & (rate <= found["abuse_high"])).mean()
    assert held >= STATED - 0.02, f"{held:.3f}"
    if not registrations:
        assert held <= STATED + 0.03
