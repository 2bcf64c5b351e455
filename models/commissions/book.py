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
    CHALLENGE,
    CHALLENGE_WIDTH,
    DONE,
    ENTRY_WIDTH,
    FIXED,
    IN_PLAN,
    KIND,
    MONTHS,
    MOST_MINOR,
    NEWEST,
    NTH,
    O_BY,
    O_CURRENCY,
    O_MEASURE,
    OVERRIDES,
    OWN,
    OWN_AMOUNT,
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
    partners: Array
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
        challenges[:, 0], challenges[:, 1], challenges[:, 2] = self.challenges["minor"], starts[:-1], starts[1:]
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
    share as a part of one. tree: `TREE_COLUMNS`. rates: currency, day, rate_to_usd. From here on names are numbers:
    of a million strings each pass costs more than the posting.
    """
    remarks: list[str] = [f"commission plan refused: {reason}" for reason in plans.refused.values()]
    remarks += plans.remarks
    versions, number = _versions(plans)
    in_plans = sorted({v.currency for v in versions if v is not None and v.currency})
    ordered, currencies = _ordered(events, in_plans, remarks)
    challenges = _challenges(ordered)
    ordered["challenge"] = _renumbered(ordered["challenge"], challenges["challenge"])
    segments = _segments(tree)
    rows = _rows(credits, challenges, segments, plans, number, versions, remarks)
    told = _happened(ordered, challenges, currencies, len(in_plans), Rates(rates), remarks)
    plan_of = {number[name] + later: name for name, plan in plans.known.items() for later in range(len(plan.versions))}
    paying = _paying(versions, currencies)
    partners = segments["partner_id"].unique()
    return Book(ordered, challenges, rows, partners, versions, plan_of, currencies, told, paying, remarks)


def minor_units(amounts: pd.Series[Any], currencies: pd.Series[Any]) -> Array:
    """Amounts in whole minor units, rounded half up; exact for amounts of at most eight decimals below 90 million."""
    fine = np.rint(amounts.astype("float64").to_numpy() * 10.0**LOW_EXPONENT)
    step = 10 ** (LOW_EXPONENT - minor_places(currencies))
    known = np.where(np.abs(fine) < 9e18, np.nan_to_num(fine), 0).astype(np.int64)
    return np.sign(known) * ((np.abs(known) + step // 2) // step)


def minor_places(currencies: pd.Series[Any]) -> Array:
    """How many decimals each currency has; two where none is named."""
    number, names = pd.factorize(currencies)
    return np.array([*(decimals(str(name)) for name in names), 2], np.int64)[number]


def _ordered(events: pd.DataFrame, in_plans: list[str], remarks: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Events by time on challenges that were bought, and the currencies by number, those of plans first.

    One event id counts once, kinds not known and amounts beyond belief are left out and named.
    """
    number, kinds = pd.factorize(events["kind"])
    code = np.array([WHATS.index(kind) if kind in KINDS else UNKNOWN for kind in kinds] + [UNKNOWN])[number]
    minor = minor_units(events["amount"].fillna(0), events["currency"])
    twice, large = events["event_id"].duplicated().to_numpy(), np.abs(minor) > MOST_MINOR
    unknown = events["amount"].isna().to_numpy()
    for wrong, words in (
        (twice, "commission events told twice count once"),
        (code == UNKNOWN, "commission events of an unknown kind are left out"),
        (large, "amounts too large to be believed are left out"),
        (unknown, "amounts that no rate turns into the currency of the account are left out"),
    ):
        if wrong.any():
            remarks.append(f"{words}: {named(events.loc[wrong, 'event_id'])}")
    challenge, challenges = pd.factorize(events["challenge_id"])
    right = ~twice & ~large & ~unknown & (code != UNKNOWN)
    bought = np.zeros(len(challenges) + 1, np.bool_)
    bought[challenge[right & (code == PURCHASE)]] = True
    bought[UNKNOWN] = False
    kept = np.flatnonzero(right & bought[challenge])
    order = kept[_in_order(micros(events["happened_at"])[kept], code[kept], events["event_id"].to_numpy(object)[kept])]
    currency, names = pd.factorize(events["currency"])
    currencies = [*in_plans, *(name for name in names if name not in in_plans)]
    frame = events[["event_id", "challenge_id", "trader_id"]].take(order).reset_index(drop=True)
    frame["at"] = micros(events["happened_at"])[order]
    frame["code"], frame["minor"], frame["challenge"] = code[order], minor[order], challenge[order]
    frame["currency"] = np.array([*map(currencies.index, names), UNKNOWN])[currency[order]]
    return frame, currencies


def _in_order(at: Array, code: Array, ids: Array) -> Array:
    """Places of events by time and kind, and by id where both are the same."""
    moment = at * len(WHATS) + code
    order = np.argsort(moment, kind="stable")
    same = np.diff(moment[order]) == 0
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(tied):
        order[tied] = order[tied][np.lexsort([ids[order[tied]].astype(str), moment[order[tied]]])]
    return order


def _challenges(events: pd.DataFrame) -> pd.DataFrame:
    """Challenges in order of purchase: challenge_id, trader_id, at, minor (the fee), currency, nth of the trader and
    months since their first.

    A purchase that cost nothing is no first purchase: the next one that is paid for is.
    """
    bought = events[events["code"] == PURCHASE].drop_duplicates("challenge", ignore_index=True)
    at, paid = bought["at"].to_numpy(), bought["minor"].to_numpy() > 0
    trader, traders = pd.factorize(bought["trader_id"], use_na_sentinel=False)
    begun = np.full(len(traders), np.iinfo(np.int64).max)
    np.minimum.at(begun, trader[paid], at[paid])
    bought["nth"] = pd.Series(paid.astype(np.int64)).groupby(trader).cumsum()
    bought["months"] = _months_between(np.minimum(begun[trader], at), at)
    return bought


def _renumbered(challenge: pd.Series[Any], bought: pd.Series[Any]) -> Array:
    """Challenges by their place among those bought."""
    place = np.full(int(challenge.max()) + 1 if len(challenge) else 0, UNKNOWN)
    place[bought] = np.arange(len(bought))
    return place[challenge]


def _months_between(first: Array, then: Array) -> Array:
    """Whole calendar months from one instant to a later one, both in microseconds."""
    first, then = first.astype("datetime64[us]"), then.astype("datetime64[us]")
    begun, ended = first.astype("datetime64[M]"), then.astype("datetime64[M]")
    return (ended - begun).astype(np.int64) - ((then - ended) < (first - begun))


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
    events: pd.DataFrame,
    challenges: pd.DataFrame,
    currencies: list[str],
    in_plans: int,
    rates: Rates,
    remarks: list[str],
) -> Array:
    """The table of events that the pass reads; the first so many of the currencies are those of plans."""
    challenge, code = events["challenge"].to_numpy(), events["code"].to_numpy()
    milestone = np.isin(code, [WHATS.index(name) for name in MILESTONES])
    fee, of_fee = challenges["minor"].to_numpy()[challenge], challenges["currency"].to_numpy()[challenge]
    own = np.where(milestone, fee, events["minor"])
    currency = np.where(milestone, of_fee, events["currency"])
    days = events["at"].to_numpy().astype("datetime64[us]")
    foreign = (code >= REFUND) & (currency != of_fee)
    name = [*currencies, "?"]
    for place in np.flatnonzero(foreign):
        held, wanted = name[currency[place]], name[of_fee[place]]
        turned = convert(own[place : place + 1], held, wanted, days[place : place + 1], rates)
        own[place] = np.maximum(turned, 0)[0]
        if turned[0] == UNKNOWN:
            remarks.append(f"{events['event_id'].iloc[place]}: no rate into {wanted}, nothing is taken back yet")
    told = np.full((len(events), IN_PLAN + max(in_plans, 1)), UNKNOWN)
    months = days.astype("datetime64[M]").astype(np.int64)
    told[:, KIND], told[:, CHALLENGE], told[:, OWN_AMOUNT] = code, challenge, own
    told[:, NTH], told[:, MONTHS] = challenges["nth"].to_numpy()[challenge], challenges["months"].to_numpy()[challenge]
    told[:, SLOT] = months - (months.min() if len(months) else 0)
    for number, held in enumerate(currencies):
        mine = np.flatnonzero(currency == number)
        for plan, wanted in enumerate(currencies[:in_plans]):
            told[mine, IN_PLAN + plan] = convert(own[mine], held, wanted, days[mine], rates)
    return told


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
    since = micros(segments["effective_from"])
    found = np.searchsorted(segments["partner"].to_numpy(np.int64), partners, side="right") - 1
    late = since[found] > instants
    while late.any():
        found = found - late
        late = since[found] > instants
    return found


def micros(instants: pd.Series[Any]) -> Array:
    """Microseconds since 1970."""
    return instants.astype("datetime64[us, UTC]").astype("int64").to_numpy()


def _versions(plans: Plans) -> tuple[list[PlanVersion | None], dict[str, int]]:
    """Every plan version in a row after the empty one, and where each plan begins."""
    versions: list[PlanVersion | None] = [None]
    number: dict[str, int] = {}
    for plan in plans.known.values():
        number[plan.id] = len(versions)
        versions += plan.versions
    return versions, number


def _plan_rows(segments: pd.DataFrame, segment: Array, instants: Array, plans: Plans, number: dict[str, int]) -> Array:
    """The plan version in force of some rows of `segments` at an instant each; `NO_PLAN` for a plan not known."""
    found = np.full(len(segment), NO_PLAN, np.int64)
    for name in segments["plan"].dropna().unique():
        if name not in number:
            continue
        mine = np.flatnonzero((segments["plan"] == name).to_numpy()[segment])
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
    names = pd.Index(segments["partner_id"].unique())
    place = pd.Index(challenges["challenge_id"]).get_indexer(pd.Index(credits["challenge_id"]))
    whose = names.get_indexer(pd.Index(credits["partner_id"]))
    counted = np.flatnonzero((place >= 0) & (whose >= 0))
    counted = counted[np.lexsort([whose[counted], place[counted]])]
    challenge, partner = place[counted], whose[counted]
    bought = challenges["at"].to_numpy()[challenge]
    ppm = np.rint(credits["share"].to_numpy(np.float64)[counted] * WHOLE).astype(np.int64)
    parent_of = names.get_indexer(pd.Index(segments["parent_partner_id"]))
    levels, chain, alive = [], [partner], np.arange(len(counted))
    loops_now = _loops_now(segments)
    loops = set(loops_now)
    for level in range(1, MOST_LEVELS + 2):
        segment = _in_force(segments, chain[-1][alive], bought[alive])
        plan = _plan_rows(segments, segment, bought[alive], plans, number)
        levels.append((alive, np.full(len(alive), level), chain[-1][alive], plan))
        parent = parent_of[segment]
        seen = np.any([earlier[alive] == parent for earlier in chain], axis=0)
        closed = np.flatnonzero(seen & (parent >= 0))
        if len(closed):
            climbs = np.unique(np.stack([*(earlier[alive[closed]] for earlier in chain), parent[closed]]), axis=1)
            for *climbed, again in climbs.T.tolist():
                loops.add(_loop([str(names[one]) for one in climbed[climbed.index(again) :]]))
        going = (parent >= 0) & ~seen
        above = np.full(len(counted), -1, np.int64)
        above[alive] = parent
        chain.append(above)
        alive = alive[going]
    remarks += [_loop_told(loop, loop in loops_now) for loop in sorted(loops)]
    direct, at_level, who, by_plan = (np.concatenate(one) for one in zip(*levels, strict=True))
    table = np.array([[_override(v, level) > 0 for level in range(MOST_LEVELS + 2)] for v in versions])
    order = np.flatnonzero((at_level == 1) | table[by_plan, at_level])
    order = order[np.argsort(direct[order], kind="stable")]
    direct, own = direct[order], at_level[order] == 1
    rows = pd.DataFrame(
        {
            "challenge": challenge[direct],
            "level": at_level[order],
            "partner": who[order],
            "plan": by_plan[order],
            "ppm": ppm[direct],
            "upto": pd.Series(ppm).groupby(challenge).cumsum().to_numpy()[direct],
            "base": np.maximum.accumulate(np.where(own, np.arange(len(order)), 0)),
            "held_because": credits["held_because"].to_numpy(object)[counted][direct],
        }
    )
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
