"""How long challenges take to pass, breach, pay or be bought again; young cohorts are censored, not failures.

Kaplan and Meier (1958), Journal of the American Statistical Association 53; bands by Greenwood's variance on the
log(-log) scale (Kalbfleisch and Prentice, 2002). A challenge that breached stays at risk of passing, because it is
observed until the run: one minus the curve is then the share of all challenges that got there by an age.
"""

from __future__ import annotations

from typing import Any, cast

import duckdb
import numpy as np
import pandas as pd
from scipy.stats import norm

from sql import relations

MILESTONES = ("passed", "breached", "funded", "first_payout", "bought_again")
EVERY = "all"
BAND = 0.95
CURVE = ("day", "at_risk", "events", "survival", "low", "high")
GROUPS = ("desk_id", "product", "cohort_month")


def kaplan_meier(durations: Any, observed: Any, band: float = BAND) -> pd.DataFrame:
    """The curve of a censored duration at 0 and at every time seen: columns `CURVE`, survival with its pointwise band.

    durations: in any unit, not negative; observed: whether the duration ended with the event. Raises ValueError for a
    negative or missing duration. The band is unknown (NaN) before the first event and where survival is zero.
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
    variance = np.cumsum(np.divide(events, left, out=np.full(len(days), np.inf), where=left > 0) * (events > 0))
    low, high = _bands(survival, variance, band)
    return pd.DataFrame(
        dict(zip(CURVE, (days, at_risk, events.astype(int), survival, low, high), strict=True)), columns=list(CURVE)
    )


def _bands(survival: Any, variance: Any, band: float) -> tuple[Any, Any]:
    """Bands on the log(-log) scale, which stay within 0 and 1."""
    known = (survival > 0) & (survival < 1)
    inner = np.where(known, survival, 0.5)
    width = norm.ppf((1 + band) / 2) * np.sqrt(np.where(known, variance, 0)) / np.log(inner)
    low, high = np.exp(np.log(inner) * np.exp(-width)), np.exp(np.log(inner) * np.exp(width))
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def median_days(curve: pd.DataFrame) -> float:
    """The first day by which half got there; NaN when the curve has not come down that far."""
    reached = curve.loc[curve["survival"] <= 0.5, "day"]
    return float(reached.iloc[0]) if len(reached) else float("nan")


def curves(spans: pd.DataFrame) -> pd.DataFrame:
    """Curves of every milestone by desk and product, for each month and for all months together.

    spans: desk_id, product, cohort_month, milestone, days, observed. Returns these groups with `CURVE` and `reached`,
    the share that got there.
    """
    every = pd.concat([spans, spans.assign(cohort_month=EVERY)], ignore_index=True)
    found = [
        kaplan_meier(rows["days"], rows["observed"]).assign(
            **dict(zip((*GROUPS, "milestone"), map(str, cast("tuple[str, ...]", key)), strict=True))
        )
        for key, rows in every.groupby([*GROUPS, "milestone"], sort=True)
    ]
    columns = [*GROUPS, "milestone", *CURVE, "reached"]
    if not found:
        return pd.DataFrame(columns=columns)
    joined = pd.concat(found, ignore_index=True)
    return joined.assign(reached=1 - joined["survival"])[columns]


def thinned(found: pd.DataFrame) -> pd.DataFrame:
    """Curves with one point a day, the last of that day: what a page can show."""
    day = np.floor(found["day"])
    keep = ~found.assign(day=day).duplicated([*GROUPS, "milestone", "day"], keep="last")
    return found[keep].reset_index(drop=True)


def record(connection: duckdb.DuckDBPyConnection) -> None:
    """Shows the curves to the marts as `decided.survival_curves`."""
    relations.build(connection, "facts.challenge_spans")
    spans = connection.sql("select * from facts.challenge_spans").df()
    kinds = dict.fromkeys([*GROUPS, "milestone"], "string") | dict.fromkeys(
        ["day", "survival", "low", "high"], "float64"
    )
    kinds |= {"at_risk": "int64", "events": "int64", "reached": "float64"}
    connection.register("found_curves", thinned(curves(spans)).astype(kinds))
    connection.execute("create or replace table decided.survival_curves as select * from found_curves")
    connection.unregister("found_curves")
