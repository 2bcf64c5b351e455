"""How long traders stay: the share still with the firm by days since their first purchase."""

from __future__ import annotations

import pandas as pd

from models.churn.features import History
from models.cohorts import kaplan_meier

EVERY_DESK = "all"
CURVE = ("day", "at_risk", "staying", "low", "high")


def survival_curve(history: History, last: pd.Timestamp, quiet_days: int = 60) -> pd.DataFrame:
    """Kaplan-Meier curve of the time from first purchase to last sign of life, with its 95 % band: columns `CURVE`."""
    return _curve(stays(history, last, quiet_days))


def curves_by_desk(stayed: pd.DataFrame, first_desks: pd.Series) -> pd.DataFrame:
    """The curve of everybody (`all`) and of who bought first at each desk: desk_id and `CURVE`.

    stayed: as `stays` gives it; first_desks: by trader_id. Who came to a desk later had stayed until then, and would
    make it look as if people stayed longer there.
    """
    desks = stayed["trader_id"].map(first_desks)
    groups = [(EVERY_DESK, stayed), *stayed[desks != EVERY_DESK].groupby(desks, sort=True)] if len(stayed) else []
    found = [_curve(rows).assign(desk_id=desk) for desk, rows in groups]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["desk_id", *CURVE])


def stays(history: History, last: pd.Timestamp, quiet_days: int) -> pd.DataFrame:
    """How many days each trader stayed from the first purchase on, and whether that was all: trader_id, days, left.

    A trader has left once `quiet_days` have passed without purchase or trade. Of the last `quiet_days` it is not known
    yet who left in them: who was seen in them counts as staying up to their beginning, who came in them not at all.
    """
    known_until = last - pd.Timedelta(days=quiet_days)
    traded = history.days[history.days["entries"] > 0].groupby("trader_id")["day"].max()
    bought = history.purchases.groupby("trader_id")["purchased_at"].agg(["min", "max"])
    bought = bought[bought["min"] <= known_until]
    latest = pd.concat([bought["max"], traded.reindex(bought.index)], axis=1).max(axis=1)
    left = latest <= known_until
    days = (latest.where(left, known_until) - bought["min"]).dt.days.clip(lower=0)
    return pd.DataFrame({"trader_id": bought.index, "days": days.to_numpy(), "left": left.to_numpy()})


def _curve(stayed: pd.DataFrame) -> pd.DataFrame:
    found = kaplan_meier(stayed["days"], stayed["left"]).rename(columns={"survival": "staying"})
    return found.astype({"day": "int64"})[list(CURVE)]
