"""How long challenges take to pass, breach, pay or be bought again; young cohorts are censored, not failures.

Kaplan and Meier (1958), Journal of the American Statistical Association 53; bands by Greenwood's variance on the
log(-log) scale (Kalbfleisch and Prentice, 2002), and where one person has several challenges by that of Ying and Wei
(1994), Journal of Multivariate Analysis 50, in which people and not challenges are independent. A challenge that
breached stays at risk of passing, because it is observed until the run: one minus the curve is then the share of all
challenges that got there by an age.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, cast

import duckdb
import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from sql import relations

MILESTONES = ("passed", "breached", "funded", "first_payout", "bought_again")
WINDOW_DAYS = 90.0
LEAST = 10
HORIZONS_DAYS = (90, 60, 30, 14, 7)
EVERY = "all"
BAND = 0.95
CURVE = ("day", "at_risk", "events", "survival", "low", "high")
GROUPS = ("desk_id", "product", "cohort_month")


def kaplan_meier(durations: Any, observed: Any, band: float = BAND, people: Any = None) -> pd.DataFrame:
    """The curve of a censored duration at 0 and at every time seen: columns `CURVE`, survival with its pointwise band.

    durations: in any unit, not negative; observed: whether the duration ended with the event; people: whose each is,
    where one may have several. Raises ValueError for a negative or missing duration. The band is unknown (NaN) before
    the first event and where survival is zero.
    """
    times, ended = np.asarray(durations, dtype=np.float64), np.asarray(observed, dtype=bool)
    if np.isnan(times).any() or (times < 0).any():
        raise ValueError("durations are known and not negative")
    days, place = np.unique(np.append(times, 0.0), return_inverse=True)
    events = np.bincount(place[:-1], weights=ended, minlength=len(days))
    leaving = np.bincount(place[:-1], minlength=len(days))
    at_risk = len(times) - np.append(0, np.cumsum(leaving)[:-1])
    stays = 1 - np.divide(events, at_risk, out=np.zeros(len(days)), where=at_risk > 0)
    survival = np.cumprod(stays)
    left = at_risk * (at_risk - events)
    steps = np.divide(events, left, out=np.zeros(len(days)), where=left > 0)
    variance, quantile = np.cumsum(steps), ndtri((1 + band) / 2)
    persons, who = (0, None) if people is None else _numbered(people)
    if who is not None and 1 < persons < len(times):
        staying = at_risk - events
        each = np.divide(1.0, staying, out=np.zeros(len(days)), where=staying > 0)
        clustered = _by_person(place[:-1], ended, who, each, variance)
        variance = np.maximum(variance, clustered * persons / (persons - 1))
        quantile = stdtrit(persons - 1, (1 + band) / 2)
    low, high = _bands(survival, variance, quantile)
    return pd.DataFrame(
        dict(zip(CURVE, (days, at_risk, events.astype(int), survival, low, high), strict=True)), columns=list(CURVE)
    )


def _numbered(people: Any) -> tuple[int, Any]:
    """How many people there are, and which of them each is."""
    who, names = pd.factorize(np.asarray(people, dtype=object))
    return len(names), who


def _by_person(place: Any, ended: Any, who: Any, each: Any, hazard: Any) -> Any:
    """The variance of the log of survival at each time when a person's durations go together.

    A duration adds to its person's sum what it did less what was expected while it was at risk; the variance is the
    sum of people's squared sums. `each` is what an event adds, `hazard` what was expected up to a time. A sum changes
    by more than the hazard of those still at risk only when one of the person's durations ends, so one pass in order
    of time is enough.
    """
    order = np.lexsort((place, who))
    size = np.bincount(who)
    first = np.repeat(np.cumsum(size) - size, size)
    told = (ended * each[place] - hazard[place])[order]
    total = np.cumsum(told)
    done = total - (total - told)[first]
    before = done - told
    staying = np.repeat(size, size) - 1.0 - (np.arange(len(order)) - first)
    squares, products, counts = (
        np.cumsum(np.bincount(place[order], weights=change, minlength=len(hazard)))
        for change in (done**2 - before**2, done * staying - before * (staying + 1), -2 * staying - 1)
    )
    at_first = float((size.astype(float) ** 2).sum())
    return np.maximum(squares - 2 * hazard * products + hazard**2 * (counts + at_first), 0.0)


def _bands(survival: Any, variance: Any, quantile: float) -> tuple[Any, Any]:
    """Bands on the log(-log) scale, which stay within 0 and 1."""
    known = (survival > 0) & (survival < 1)
    inner = np.where(known, survival, 0.5)
    width = quantile * np.sqrt(np.where(known, variance, 0)) / np.log(inner)
    low, high = np.exp(np.log(inner) * np.exp(-width)), np.exp(np.log(inner) * np.exp(width))
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def median_days(curve: pd.DataFrame) -> float:
    """The first day by which half got there; NaN when the curve has not come down that far."""
    reached = curve.loc[curve["survival"] <= 0.5, "day"]
    return float(reached.iloc[0]) if len(reached) else float("nan")


def curves(spans: pd.DataFrame) -> pd.DataFrame:
    """Curves of every milestone by desk and product, for each month and for all months together.

    spans: desk_id, product, cohort_month, person, milestone, days, observed. Returns these groups with `CURVE` and
    `reached`, the share that got there.
    """
    every = pd.concat([spans, spans.assign(cohort_month=EVERY)], ignore_index=True)
    found = [
        kaplan_meier(rows["days"], rows["observed"], people=rows["person"]).assign(
            **dict(zip((*GROUPS, "milestone"), map(str, cast("tuple[str, ...]", key)), strict=True))
        )
        for key, rows in every.groupby([*GROUPS, "milestone"], sort=True)
    ]
    columns = [*GROUPS, "milestone", *CURVE, "reached"]
    if not found:
        return pd.DataFrame(columns=columns)
    joined = pd.concat(found, ignore_index=True)
    return joined.assign(reached=1 - joined["survival"])[columns]


STAGES = ("evaluation_1", "evaluation_2", "evaluation_3", "passed", "instant", "funded", "payout")
FUNNEL = (
    *("cohort_month", "stage", "accounts", "reached", "median_days", "running", "fees", "payouts", "payout_ratio"),
    *("ratio_low", "ratio_high"),
)
USUAL_PEOPLE = 100
"""So many people of all months are added to those of one when it is told how far the money of people varies."""


MONEY = ("fees", "payouts", "people", "fees_squared", "payouts_squared", "fees_payouts")


def funnel(challenges: pd.DataFrame, *, by_person: bool = False) -> pd.DataFrame:
    """How far each month's purchases got so far: columns `FUNNEL`, stages that nobody of any month reached left out.

    challenges: rows of marts.cohort_challenges of one currency. By person, whoever reached a stage with any purchase of
    the month counts once, in the days of the quickest.
    """
    found = []
    for month, rows in challenges.groupby("cohort_month", sort=True):
        grouped = rows.groupby("person")
        told = {"cohort_month": month, "accounts": len(grouped) if by_person else len(rows)}
        told["running"] = float(grouped["running"].any().mean() if by_person else rows["running"].mean())
        for stage in STAGES:
            days = grouped[f"{stage}_days"].min() if by_person else rows[f"{stage}_days"]
            told |= {stage: int(days.notna().sum()), f"{stage}_days": float(days.median())}
        found.append(told)
    counted = pd.DataFrame(found).merge(_money(challenges), on="cohort_month")
    return funnel_of(counted)


def funnel_of(counted: pd.DataFrame) -> pd.DataFrame:
    """The same of rows of marts.cohort_funnel, one for each month."""
    found = []
    stages = [stage for stage in STAGES if counted[stage].any()]
    intervals = _intervals(counted)
    for row in counted.sort_values("cohort_month").to_dict("records"):
        month, fees, payouts = row["cohort_month"], row["fees"], row["payouts"]
        ratio = (payouts / fees if fees > 0 else float("nan"), *intervals[month])
        told = (row["running"], fees, payouts, *ratio)
        found.append((month, "purchase", row["accounts"], row["accounts"], 0.0, *told))
        found += [(month, stage, row["accounts"], row[stage], row[f"{stage}_days"], *told) for stage in stages]
    return pd.DataFrame(found, columns=list(FUNNEL))


def ratio_intervals(challenges: pd.DataFrame) -> dict[Any, tuple[float, float]]:
    """Where 95 of 100 payout ratios of each month lie if its people were drawn anew.

    Unknown below two people, and where nobody of any month was paid: how payouts vary has not been seen.

    A person's part in the error is what they were paid less the ratio times their fees; how far that varies is told by
    the month's people together with `USUAL_PEOPLE` of all months, since a month may just have seen no large payout.
    """
    return _intervals(_money(challenges))


def _money(challenges: pd.DataFrame) -> pd.DataFrame:
    """What people paid and were paid by month: cohort_month and `MONEY`, squares and products summed over people."""
    each = challenges.groupby(["cohort_month", "person"])[["fees", "payouts"]].sum().astype("float64")
    each = each.assign(
        people=1, fees_squared=each["fees"] ** 2, payouts_squared=each["payouts"] ** 2, fees_payouts=each.prod(axis=1)
    )
    summed = each.groupby(level="cohort_month").sum()
    known = challenges["fees"].notna().groupby(challenges["cohort_month"]).any()
    return summed.assign(fees=summed["fees"].where(known)).reset_index()


def _intervals(money: pd.DataFrame) -> dict[Any, tuple[float, float]]:
    """The same of rows with cohort_month and `MONEY`."""
    usual, paid = _apart(money[list(MONEY)].sum().to_dict()), bool(money["payouts"].gt(0).any())
    found = {}
    for month, *values in money[["cohort_month", *MONEY]].itertuples(index=False):
        each = dict(zip(MONEY, values, strict=True))
        people, fees = each["people"], each["fees"]
        if people < 2 or not fees > 0 or not paid:
            found[month] = (float("nan"), float("nan"))
            continue
        variance = (people * _apart(each) + USUAL_PEOPLE * usual) / (people + USUAL_PEOPLE)
        ratio, margin = each["payouts"] / fees, float(ndtri(0.975)) * np.sqrt(people * variance) / fees
        # on the log scale, since few large payouts pull sums up and none pulls them down
        factor = np.exp(margin / ratio) if ratio > 0 else np.inf
        found[month] = (float(ratio / factor), float(ratio * factor)) if factor < np.inf else (0.0, float(margin))
    return found


def _apart(money: dict[Any, Any]) -> float:
    """How far people vary (as a variance) in what each was paid less what their fees say."""
    people, fees, payouts = (money[name] for name in ("people", "fees", "payouts"))
    ratio = payouts / fees if fees else 0.0
    squares = money["payouts_squared"] - 2 * ratio * money["fees_payouts"] + ratio**2 * money["fees_squared"]
    left = squares - (payouts - ratio * fees) ** 2 / max(people, 1)
    return float(max(left, 0.0) / (people - 1)) if people > 1 else float("nan")


PERIOD_DAYS = 30
TRIANGLE = ("cohort_month", "age", "fees", "payouts", "ratio", "challenge", "person", "complete")


def triangle(months: pd.DataFrame, money: pd.DataFrame, as_of: dt.datetime) -> pd.DataFrame:
    """What each month's purchases paid in and were paid, cumulated by age in periods of 30 days: columns `TRIANGLE`.

    months: cohort_month, challenges, people, first_at and last_at (purchases) of one currency; money: cohort_month,
    age, fee and payout as marts.cohort_money has them. `ratio` is payouts by fees, `challenge` and `person` payouts by
    the challenges and people of the month. A cell is complete once the youngest challenge of its month has that age.
    """
    found = []
    told = months.sort_values("cohort_month").assign(
        **{
            name: (pd.Timestamp(as_of) - pd.to_datetime(months[name], utc=True)) / pd.Timedelta(days=PERIOD_DAYS)
            for name in ("first_at", "last_at")
        }
    )
    for row in told.to_dict("records"):
        ages = pd.RangeIndex(int(max(row["first_at"], 0)) + 1, name="age")
        mine = money[money["cohort_month"] == row["cohort_month"]].set_index("age")[["fee", "payout"]].astype("float64")
        grown = mine.reindex(ages, fill_value=0.0).cumsum()
        found.append(
            pd.DataFrame({"fees": grown["fee"], "payouts": grown["payout"]}, index=ages)
            .assign(
                cohort_month=row["cohort_month"],
                ratio=grown["payout"] / grown["fee"].where(grown["fee"] > 0),
                challenge=grown["payout"] / row["challenges"],
                person=grown["payout"] / row["people"],
                complete=row["last_at"] >= ages + 1,
            )
            .reset_index()
        )
    return pd.concat(found, ignore_index=True)[list(TRIANGLE)] if found else pd.DataFrame(columns=list(TRIANGLE))


def thinned(found: pd.DataFrame) -> pd.DataFrame:
    """Curves with one point a day, the last of that day: what a page can show."""
    day = np.floor(found["day"])
    keep = ~found.assign(day=day).duplicated([*GROUPS, "milestone", "day"], keep="last")
    return found[keep].reset_index(drop=True)


def aged(challenges: pd.DataFrame, as_of: dt.datetime) -> pd.DataFrame:
    """Rows of marts.cohort_challenges with `age_days`, the days for which each was watched up to an instant."""
    watched = pd.to_datetime(as_of) - pd.to_datetime(challenges["purchased_at"], utc=True)
    return challenges.assign(age_days=watched / pd.Timedelta(days=1))


SPAN_DAYS = {
    "passed": ("passed_days", "instant_days"),
    "breached": ("breached_days",),
    "funded": ("funded_days", "instant_days"),
    "first_payout": ("payout_days",),
    "bought_again": ("breached_days", "again_days"),
}
"""The columns of a purchase that tell how long it took to each milestone."""


def spans(challenges: pd.DataFrame, milestones: Iterable[str] = MILESTONES) -> pd.DataFrame:
    """Days from purchase to each milestone, or to the run where it has not come; from breach for `bought_again`.

    challenges: rows of marts.cohort_challenges as `aged` gives them, at least `SPAN_DAYS` of the milestones asked for.
    Returns `GROUPS`, person, milestone, days, observed. What is funded at once has nothing to pass.
    """
    found = pd.concat([_spans(challenges, name) for name in milestones], ignore_index=True)
    return found.assign(days=found["days"].astype("float64").clip(lower=0))


def _spans(challenges: pd.DataFrame, milestone: str) -> pd.DataFrame:
    days, *others = (challenges[name] for name in SPAN_DAYS[milestone])
    watched, could = challenges["age_days"], pd.Series(True, index=challenges.index)
    if milestone == "passed":
        could = others[0].isna()
    elif milestone == "funded":
        days = days.fillna(others[0])
    elif milestone == "bought_again":
        could, watched, days = days.notna(), watched - days, others[0]
    of = challenges[[*GROUPS, "person"]]
    return of.assign(milestone=milestone, days=days.fillna(watched), observed=days.notna())[could]


def reached_by(durations: Any, observed: Any, day: float, people: Any = None) -> tuple[float, float, float]:
    """The share that got there by a day, with its band; the band of nobody and of everybody is Wilson's."""
    curve = kaplan_meier(durations, observed, people=people)
    at = curve[curve["day"] <= day].iloc[-1]
    share = 1 - float(at["survival"])
    if 0 < share < 1:
        return share, 1 - float(at["high"]), 1 - float(at["low"])
    return (share, *wilson(share, len(np.asarray(durations)) if people is None else len(set(people))))


def wilson(share: float, people: float) -> tuple[float, float]:
    """The interval of a share of independent people (Wilson, 1927)."""
    z = ndtri((1 + BAND) / 2)
    middle = (share + z**2 / (2 * people)) / (1 + z**2 / people)
    margin = z * np.sqrt(share * (1 - share) / people + z**2 / (4 * people**2)) / (1 + z**2 / people)
    return max(float(middle - margin), 0.0), min(float(middle + margin), 1.0)


CHANGE = ("product", "product_version", "effective_from", "milestone", "horizon_days")
BOTH = ("challenges", "reached", "low", "high")
CHANGES = (*CHANGE, *(f"{side}_{name}" for side in ("before", "after") for name in BOTH), "change", "low", "high")


def terms_changes(challenges: pd.DataFrame, versions: pd.DataFrame) -> pd.DataFrame:
    """What a new version of a product's terms changed: who got how far by one age, bought shortly before and after it.

    challenges: rows of marts.cohort_challenges, aged; versions: product, product_version, effective_from.
    Both sides are the purchases within `WINDOW_DAYS` and are read at one age, which some of both have reached; the band
    of the change is that of two independent shares (Newcombe, 1998). A change of the market or of who buys shows too.
    """
    rows = []
    at = challenges["purchased_at"]
    for one in versions[versions["product_version"] > 1].itertuples():
        mine = challenges["product"] == one.product
        since = pd.Timestamp(one.effective_from)  # type: ignore[arg-type]
        window = pd.Timedelta(days=WINDOW_DAYS)
        after = challenges[
            mine & (at >= since) & (at < since + window) & (challenges["product_version"] == one.product_version)
        ]
        before = challenges[mine & (at < since) & (at >= since - window)]
        if min(len(before), len(after)) < LEAST:
            continue
        old, new = spans(before), spans(after)
        for milestone in MILESTONES:
            sides = [side[side["milestone"] == milestone] for side in (old, new)]
            horizon = _horizon(sides)
            if horizon is None:
                continue
            shares = [reached_by(side["days"], side["observed"], horizon, side["person"]) for side in sides]
            told = [value for side, share in zip(sides, shares, strict=True) for value in (len(side), *share)]
            key = (one.product, one.product_version, since, milestone, horizon)
            rows.append((*key, *told, *_difference(*shares)))
    return pd.DataFrame(rows, columns=list(CHANGES))


def _horizon(sides: list[pd.DataFrame]) -> int | None:
    """The highest age that enough of both sides are still watched at, or have ended before; None when there is none."""
    for days in HORIZONS_DAYS:
        if all((side["days"] >= days).sum() + side["observed"].sum() >= LEAST for side in sides) and all(
            side["days"].max() >= days for side in sides if len(side)
        ):
            return days
    return None


def _difference(old: tuple[float, float, float], new: tuple[float, float, float]) -> tuple[float, float, float]:
    """The change of a share with its band, from the bands of both."""
    change = new[0] - old[0]
    down = np.hypot(new[0] - new[1], old[2] - old[0])
    up = np.hypot(new[2] - new[0], old[0] - old[1])
    return change, change - float(down), change + float(up)


_CHANGE_KINDS: dict[str, Any] = (
    dict.fromkeys(CHANGES, "float64")
    | {
        "product": "string",
        "milestone": "string",
        "effective_from": "datetime64[us, UTC]",
    }
    | dict.fromkeys(["product_version", "horizon_days", "before_challenges", "after_challenges"], "int64")
)


def record(connection: duckdb.DuckDBPyConnection) -> None:
    """Shows changes of terms to the marts as `decided.terms_changes`."""
    relations.build(connection, "marts.cohort_challenges")
    challenges = connection.execute("select * from marts.cohort_challenges").df()
    as_of = connection.execute("select getvariable('as_of')").fetchall()[0][0]
    versions = connection.execute(
        "select product, product_version, effective_from from terms.versions where narrowness = 0"
    ).df()
    connection.register("found_changes", terms_changes(aged(challenges, as_of), versions).astype(_CHANGE_KINDS))
    connection.execute("create or replace table decided.terms_changes as select * from found_changes")
    connection.unregister("found_changes")
