"""Frames of events, credits and the partner tree as the arrays that the posting pass reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from models.commissions.plans import EARNING, MILESTONES, MOST_LEVELS, TIERED_BY, Plans, PlanVersion
from models.commissions.posting import (
    BY_FEES,
    BY_FUNDED,
    CHALLENGE_WIDTH,
    DONE,
    ENTRY_WIDTH,
    FIXED,
    MOST_MINOR,
    NEWEST,
    O_BY,
    O_CURRENCY,
    O_MEASURE,
    OVERRIDES,
    OWN,
    PERCENTS,
    PERIOD_WIDTH,
    PURCHASE,
    REFUND,
    RETURN_WHAT,
    SLOT,
    STEPS,
    TIERED,
    UNKNOWN,
    WHATS,
    WHOLE,
    Array,
    Desk,
)
from models.money import decimals, to_minor

EVENT_COLUMNS = ("event_id", "kind", "challenge_id", "trader_id", "happened_at", "amount", "currency")
CREDIT_COLUMNS = ("challenge_id", "partner_id", "share", "held_because")
TREE_COLUMNS = ("partner_id", "parent_partner_id", "plan", "effective_from")
KINDS = [what for what in WHATS if what not in ("fee_share", "tier_bonus")]
LOW_EXPONENT = 8
NO_PLAN = 0
_BEGINNING = pd.Timestamp("1900-01-01", tz="UTC")


@dataclass(frozen=True)
class Book:
    """Compiled input of the pass, the frames its numbers point into, and what was refused or held on the way."""

    events: pd.DataFrame
    challenges: pd.DataFrame
    rows: pd.DataFrame
    versions: list[PlanVersion | None]
    plan_of: dict[int, str]
    currencies: list[str]
    told: Array
    paying: Array
    remarks: list[str] = field(default_factory=list)

    def desk(self) -> Desk:
        """The tables of a pass that begins at the first event."""
        # tables always lie row by row, else the pass is compiled once more for those that do not
        rows = np.ascontiguousarray(self.rows[["partner", "level", "plan", "ppm", "upto", "base"]].to_numpy(np.int64))
        starts = np.searchsorted(self.rows["challenge"].to_numpy(), np.arange(len(self.challenges) + 1))
        challenges = np.zeros((len(self.challenges), CHALLENGE_WIDTH), np.int64)
        challenges[:, 0], challenges[:, 1], challenges[:, 2] = self.challenges["fee"], starts[:-1], starts[1:]
        challenges[:, NEWEST], challenges[:, RETURN_WHAT] = UNKNOWN, REFUND
        months, measures = int(self.told[:, SLOT].max(initial=-1)) + 1, int(self.paying[:, O_MEASURE].max()) + 1
        partners = int(self.rows["partner"].max()) + 1 if len(self.rows) else 0
        periods = np.zeros((partners * measures * (months + 1), PERIOD_WIDTH), np.int64)
        periods[:, TIERED], periods[:, DONE] = UNKNOWN, 0
        entries = np.empty((max(1024, 2 * len(self.told)), ENTRY_WIDTH), np.int64)
        tables = (self.told, challenges, rows, self.paying, periods)
        return Desk(*tables, months, measures, entries, np.zeros(1, np.int64))


def compile_book(
    events: pd.DataFrame, credits: pd.DataFrame, tree: pd.DataFrame, plans: Plans, rates: pd.DataFrame
) -> Book:
    """Orders events, finds who is credited with whom above and under which plan version, and converts amounts.

    events: `EVENT_COLUMNS`, amounts in units of the currency with at most eight decimals. credits: `CREDIT_COLUMNS`,
    share as a part of one. tree: `TREE_COLUMNS`. rates: currency, day, rate_to_usd.
    """
    remarks: list[str] = [f"commission plan refused: {reason}" for reason in plans.refused.values()]
    remarks += plans.remarks
    ordered = _ordered(events, remarks)
    challenges = _challenges(ordered)
    place = challenges.index.get_indexer(pd.Index(ordered["challenge_id"]))
    ordered = ordered.assign(challenge=place)[place >= 0].reset_index(drop=True)
    versions, number = _versions(plans)
    rows = _rows(credits, challenges, _segments(tree), plans, number, versions, remarks)
    currencies = sorted({v.currency for v in versions if v is not None and v.currency})
    table = Rates(rates)
    told = _happened(ordered, challenges, currencies, table, remarks)
    plan_of = {number[name] + later: name for name, plan in plans.known.items() for later in range(len(plan.versions))}
    paying = _paying(versions, currencies)
    return Book(ordered, challenges, rows, versions, plan_of, currencies, told, paying, remarks)


def minor_units(amounts: pd.Series[Any], currencies: pd.Series[Any]) -> Array:
    """Amounts in whole minor units, rounded half up; exact for amounts of at most eight decimals below 90 million."""
    fine = np.rint(amounts.astype("float64").to_numpy() * 10.0**LOW_EXPONENT)
    places = currencies.map({c: decimals(str(c)) for c in currencies.dropna().unique()}).fillna(2).to_numpy(np.int64)
    step = 10 ** (LOW_EXPONENT - places)
    known = np.where(np.abs(fine) < 9e18, np.nan_to_num(fine), 0).astype(np.int64)
    return np.sign(known) * ((np.abs(known) + step // 2) // step)


def _ordered(events: pd.DataFrame, remarks: list[str]) -> pd.DataFrame:
    """Events by time; one event id counts once, kinds not known and amounts beyond belief are left out and named."""
    frame = events[list(EVENT_COLUMNS)]
    codes, kinds = pd.factorize(frame["kind"])
    code = np.array([WHATS.index(kind) if kind in KINDS else UNKNOWN for kind in kinds] + [UNKNOWN])[codes]
    minor = minor_units(frame["amount"].fillna(0), frame["currency"])
    twice, large = frame.duplicated("event_id").to_numpy(), np.abs(minor) > MOST_MINOR
    unknown = frame["amount"].isna().to_numpy()
    for wrong, words in (
        (twice, "commission events told twice count once"),
        (code == UNKNOWN, "commission events of an unknown kind are left out"),
        (large, "amounts too large to be believed are left out"),
        (unknown, "amounts that no rate turns into the currency of the account are left out"),
    ):
        if wrong.any():
            remarks.append(f"{words}: {named(frame.loc[wrong, 'event_id'])}")
    kept: pd.DataFrame = frame.assign(minor=minor, code=code)[~twice & ~large & ~unknown & (code != UNKNOWN)]
    return kept.take(_in_order(kept)).reset_index(drop=True)


def _in_order(events: pd.DataFrame) -> Array:
    """Places of events by time and kind, and by id where both are the same."""
    at, code = _micros(events["happened_at"]), events["code"].to_numpy()
    order = np.lexsort([code, at])
    same = (np.diff(at[order]) == 0) & (np.diff(code[order]) == 0)
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(tied):
        ids = events["event_id"].to_numpy(object)[order[tied]].astype(str)
        order[tied] = order[tied][np.lexsort([ids, code[order[tied]], at[order[tied]]])]
    return order


def _challenges(events: pd.DataFrame) -> pd.DataFrame:
    """Purchases by challenge: trader_id, purchased_at, fee in minor units, currency, nth of the trader, months.

    A purchase that cost nothing is no first purchase: the next one that is paid for is.
    """
    bought = events[events["code"] == PURCHASE].drop_duplicates("challenge_id").set_index("challenge_id")
    frame = pd.DataFrame(
        {
            "trader_id": bought["trader_id"],
            "purchased_at": bought["happened_at"],
            "fee": bought["minor"].astype("int64"),
            "currency": bought["currency"],
        }
    )
    paid = (frame["fee"] > 0).astype("int64")
    frame["nth"] = paid.groupby(frame["trader_id"]).cumsum()
    first = frame["purchased_at"].where(frame["fee"] > 0).groupby(frame["trader_id"]).transform("min")
    first = first.where(first <= frame["purchased_at"], frame["purchased_at"])
    frame["months"] = _months_between(first, frame["purchased_at"])
    return frame


def _months_between(first: pd.Series[Any], then: pd.Series[Any]) -> Array:
    """Whole calendar months from one instant to a later one."""
    months = (then.dt.year - first.dt.year) * 12 + then.dt.month - first.dt.month
    early = (then - then.dt.normalize() + pd.to_timedelta(then.dt.day, "D")) < (
        first - first.dt.normalize() + pd.to_timedelta(first.dt.day, "D")
    )
    return (months - early.astype(int)).to_numpy(np.int64)


class Rates:
    """Daily rates to the dollar: the newest known on a day."""

    def __init__(self, rates: pd.DataFrame) -> None:
        self._by: dict[str, tuple[Array, Array]] = {}
        if rates.empty:
            return
        frame = rates.assign(day=pd.to_datetime(rates["day"]).astype("datetime64[us]")).sort_values("day")
        for currency, held in frame.groupby("currency"):
            self._by[str(currency)] = held["day"].to_numpy(), held["rate_to_usd"].to_numpy(np.float64)

    def to_usd(self, currency: str, days: Array) -> Array:
        """Dollars for one unit on each day; NaN where no rate is known by then (the dollar itself is one)."""
        if currency not in self._by:
            return np.full(len(days), 1.0 if currency == "USD" else np.nan)
        known, values = self._by[currency]
        place = np.searchsorted(known, days, side="right") - 1
        found = values[np.maximum(place, 0)]
        return np.where((place >= 0) & (found > 0), found, np.nan)


def _happened(
    events: pd.DataFrame, challenges: pd.DataFrame, currencies: list[str], rates: Rates, remarks: list[str]
) -> Array:
    on = challenges.iloc[events["challenge"].to_numpy()]
    own = events["minor"].to_numpy(np.int64).copy()
    milestone = events["code"].isin([WHATS.index(name) for name in MILESTONES]).to_numpy()
    own[milestone] = on["fee"].to_numpy(np.int64)[milestone]
    currency = pd.Series(np.where(milestone, on["currency"].to_numpy(object), events["currency"].to_numpy(object)))
    days = events["happened_at"].dt.tz_convert("UTC").dt.tz_localize(None).dt.normalize().to_numpy()
    returns = (events["code"] >= WHATS.index("refund")).to_numpy()
    foreign = returns & (currency.to_numpy() != on["currency"].to_numpy())
    for place in np.flatnonzero(foreign):
        wanted = str(on["currency"].iloc[place])
        turned = convert(own[place : place + 1], str(currency.iloc[place]), wanted, days[place : place + 1], rates)[0]
        own[place] = max(turned, 0)
        if turned == UNKNOWN:
            remarks.append(f"{events['event_id'].iloc[place]}: no rate into {wanted}, nothing is taken back yet")
    in_plan = np.full((len(events), max(len(currencies), 1)), UNKNOWN, np.int64)
    for number, wanted in enumerate(currencies):
        for held in currency.dropna().unique():
            mine = (currency == held).to_numpy()
            in_plan[mine, number] = convert(own[mine], str(held), wanted, days[mine], rates)
    months = events["happened_at"].dt.year * 12 + events["happened_at"].dt.month
    slots = (months - (months.min() if len(months) else 0)).to_numpy(np.int64)
    nths, since = on["nth"].to_numpy(np.int64), on["months"].to_numpy(np.int64)
    named = (events["code"].to_numpy(np.int64), events["challenge"].to_numpy(np.int64), nths, since, slots, own)
    return np.ascontiguousarray(np.column_stack([*named, in_plan]))


def convert(minor: Array, held: str, wanted: str, days: Array, rates: Rates) -> Array:
    """Minor units of one currency in those of another at the rates of their days; -1 where a rate is missing."""
    if held == wanted:
        return minor
    with np.errstate(over="ignore", invalid="ignore"):
        factor = rates.to_usd(held, days) / rates.to_usd(wanted, days) * 10.0 ** (decimals(wanted) - decimals(held))
        turned = np.floor(np.abs(minor) * factor + 0.5)
    known = np.isfinite(turned) & (turned < MOST_MINOR)
    return np.where(known, np.sign(minor) * np.where(known, turned, 0), UNKNOWN).astype(np.int64)


def _segments(tree: pd.DataFrame) -> pd.DataFrame:
    """Partners' records in order of partner and time; the first of each counts from the beginning."""
    frame = tree[list(TREE_COLUMNS)].copy()
    since = pd.to_datetime(frame["effective_from"], utc=True).astype("datetime64[us, UTC]")
    frame["effective_from"] = since.fillna(_BEGINNING)
    frame = frame.sort_values(["partner_id", "effective_from"], kind="stable", ignore_index=True)
    frame.loc[~frame.duplicated("partner_id"), "effective_from"] = _BEGINNING
    frame["partner"] = pd.factorize(frame["partner_id"])[0]
    return frame


def _in_force(segments: pd.DataFrame, partners: Array, instants: Array) -> Array:
    """The row of `segments` in force for each partner number at each instant."""
    since = _micros(segments["effective_from"])
    found = np.searchsorted(segments["partner"].to_numpy(np.int64), partners, side="right") - 1
    late = since[found] > instants
    while late.any():
        found = found - late
        late = since[found] > instants
    return found


def _micros(instants: pd.Series[Any]) -> Array:
    return instants.astype("datetime64[us, UTC]").astype("int64").to_numpy()


def _versions(plans: Plans) -> tuple[list[PlanVersion | None], dict[str, int]]:
    """Every plan version in a row after the empty one, and where each plan begins."""
    versions: list[PlanVersion | None] = [None]
    number: dict[str, int] = {}
    for plan in plans.known.values():
        number[plan.id] = len(versions)
        versions += plan.versions
    return versions, number


def _plan_rows(names: pd.Series[Any], instants: Array, plans: Plans, number: dict[str, int]) -> Array:
    """The number of the plan version in force for each name at each instant; `NO_PLAN` for a plan not known."""
    found = np.full(len(names), NO_PLAN, np.int64)
    for name in names.dropna().unique():
        if name not in number:
            continue
        mine = (names == name).to_numpy()
        since = np.array([int(v.effective_from.timestamp() * 1e6) for v in plans.known[name].versions])
        found[mine] = number[name] + np.maximum(np.searchsorted(since, instants[mine], side="right") - 1, 0)
    return found


def _rows(
    credits: pd.DataFrame,
    challenges: pd.DataFrame,
    segments: pd.DataFrame,
    plans: Plans,
    number: dict[str, int],
    versions: list[PlanVersion | None],
    remarks: list[str],
) -> pd.DataFrame:
    """Who earns on each challenge and at which level, the chain above bound at the purchase."""
    partner_of = segments.drop_duplicates("partner_id").set_index("partner_id")["partner"]
    place = challenges.index.get_indexer(pd.Index(credits["challenge_id"]))
    counted = (place >= 0) & credits["partner_id"].isin(partner_of.index).to_numpy()
    direct = (
        credits[counted].assign(challenge=place[counted]).sort_values(["challenge", "partner_id"], ignore_index=True)
    )
    challenge = direct["challenge"].to_numpy(np.int64)
    bought = _micros(challenges["purchased_at"])
    ppm = np.rint(direct["share"].to_numpy(np.float64) * WHOLE).astype(np.int64)
    upto = pd.Series(ppm).groupby(challenge).cumsum().to_numpy()
    partner = direct["partner_id"].map(partner_of).to_numpy(np.int64)
    held = direct["held_because"].to_numpy(object)
    levels, chain, alive = [], [partner], np.arange(len(direct))
    names = segments.drop_duplicates("partner").set_index("partner")["partner_id"]
    loops_now = _loops_now(segments)
    loops = set(loops_now)
    for level in range(1, MOST_LEVELS + 2):
        segment = _in_force(segments, chain[-1][alive], bought[challenge[alive]])
        plan = _plan_rows(segments["plan"].iloc[segment], bought[challenge[alive]], plans, number)
        levels.append(
            pd.DataFrame(
                {
                    "challenge": challenge[alive],
                    "direct": alive,
                    "level": level,
                    "partner": chain[-1][alive],
                    "plan": plan,
                    "ppm": ppm[alive],
                    "upto": upto[alive],
                }
            )
        )
        parent = segments["parent_partner_id"].iloc[segment].map(partner_of).fillna(-1).to_numpy(np.int64)
        seen = np.any([earlier[alive] == parent for earlier in chain], axis=0)
        closed = np.flatnonzero(seen & (parent >= 0))
        if len(closed):
            climbs = np.unique(np.stack([*(earlier[alive[closed]] for earlier in chain), parent[closed]]), axis=1)
            for *climbed, again in climbs.T.tolist():
                loops.add(_loop([str(names[one]) for one in climbed[climbed.index(again) :]]))
        going = (parent >= 0) & ~seen
        above = np.full(len(direct), -1, np.int64)
        above[alive] = parent
        chain.append(above)
        alive = alive[going]
    remarks += [_loop_told(loop, loop in loops_now) for loop in sorted(loops)]
    rows = pd.concat(levels, ignore_index=True)
    table = np.array([[_override(v, level) > 0 for level in range(MOST_LEVELS + 2)] for v in versions])
    paid = (rows["level"] == 1) | table[rows["plan"], rows["level"]]
    rows = rows[paid].sort_values(["challenge", "direct", "level"], kind="stable", ignore_index=True)
    first = pd.Series(rows.index[rows["level"] == 1], index=rows.loc[rows["level"] == 1, "direct"])
    rows["base"] = rows["direct"].map(first).to_numpy(np.int64)
    rows["partner_id"] = rows["partner"].map(names)
    rows["held_because"] = held[rows["direct"].to_numpy(np.int64)]
    for name, mine in segments[~segments["plan"].isin(number) & segments["plan"].notna()].groupby("plan"):
        remarks.append(
            f"no commission plan {name}: its partners ({named(mine['partner_id'])}) earn nothing until there is one"
        )
    return rows


def _loop(members: Sequence[str]) -> tuple[str, ...]:
    """A loop of the tree, begun at the first of its names."""
    at = members.index(min(members))
    return (*members[at:], *members[:at])


def _loop_told(loop: tuple[str, ...], stands: bool) -> str:
    """A loop in a sentence: one that stands is to be mended, one that is over tells why its sales paid less."""
    members = " under ".join([*loop, loop[0]])
    if not stands:
        return f"partner {loop[0]} was their own ancestor for a time ({members}): nothing was paid up the loop"
    told = f"partner {loop[0]} is their own ancestor ({members}): nothing is paid up the loop"
    return f"{told}; correct the parent of one of them"


def _loops_now(segments: pd.DataFrame) -> set[tuple[str, ...]]:
    """Loops of the tree as its newest records have it, whether anybody sold in them or not."""
    newest = segments.drop_duplicates("partner_id", keep="last").dropna(subset=["parent_partner_id"])
    above: Mapping[str, str] = dict(zip(newest["partner_id"], newest["parent_partner_id"], strict=True))
    loops, done = set(), set[str]()
    for one in above:
        climbed: list[str] = []
        at: str | None = one
        while at is not None and at not in done:
            done.add(at)
            climbed.append(at)
            at = above.get(at)
        if at in climbed:
            loops.add(_loop(climbed[climbed.index(str(at)) :]))
    return loops


def places(tree: pd.DataFrame, as_of: dt.datetime) -> pd.DataFrame:
    """Where each partner stands in the tree and by which plan at an instant: partner_id, parent_partner_id, plan."""
    segments = _segments(tree)
    held = segments[segments["effective_from"] <= pd.Timestamp(as_of)]
    columns = ["partner_id", "parent_partner_id", "plan"]
    return held.drop_duplicates("partner_id", keep="last")[columns].reset_index(drop=True)


def _override(version: PlanVersion | None, level: int) -> Decimal:
    if version is None or not 2 <= level <= len(version.override_percents) + 1:
        return Decimal(0)
    return version.override_percents[level - 2]


def parts(percent: Decimal) -> int:
    """A percentage in parts per million."""
    return int(percent * (WHOLE // 100))


def _paying(versions: list[PlanVersion | None], currencies: list[str]) -> Array:
    """The table of plan versions that the pass reads; the first is the plan that pays nothing."""
    steps = max([2] + [len(v.tiers.steps) for v in versions if v and v.tiers])
    table = np.zeros((len(versions), STEPS + 2 * steps), np.int64)
    table[:, 0] = OWN
    for number, version in enumerate(versions):
        if version is not None:
            _pay(table[number], version, currencies)
    by, money = table[:, O_BY], table[:, O_CURRENCY]
    table[:, O_MEASURE] = np.unique(np.where(by == BY_FEES, BY_FUNDED + 1 + money, by), return_inverse=True)[1]
    return table


def _pay(line: Array, version: PlanVersion, currencies: list[str]) -> None:
    tiers = version.tiers
    line[:O_MEASURE] = (
        currencies.index(version.currency) if version.currency else OWN,
        version.convert,
        parts(version.repeat_percent),
        version.fee_share_months,
        TIERED_BY.index(tiers.by) + 1 if tiers else 0,
        tiers is not None and tiers.period == "lifetime",
        tiers is not None and tiers.mode == "retroactive",
        len(tiers.steps) if tiers else 0,
        version.override_of == "fee",
        sum(1 << WHATS.index(what) for what in EARNING if what in version.taken_back),
    )
    for what, rate in version.rates.items():
        if rate.percent is not None:
            line[PERCENTS + WHATS.index(what)] = parts(rate.percent)
        elif rate.amount is not None:
            line[FIXED + WHATS.index(what)] = to_minor(rate.amount, str(version.currency))
    for level, percent in enumerate(version.override_percents):
        line[OVERRIDES + level] = parts(percent)
    for place, (since, percent) in enumerate(tiers.steps if tiers else ()):
        by_fees = tiers is not None and tiers.by == "fees"
        line[STEPS + 2 * place] = to_minor(since, str(version.currency)) if by_fees else int(since)
        line[STEPS + 2 * place + 1] = parts(percent)


def named(values: pd.Series[Any]) -> str:
    """The first few distinct values and how many more there are."""
    return listing([str(value) for value in values.unique()])


def listing(names: Sequence[str], most: int = 5) -> str:
    """The first few names and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
