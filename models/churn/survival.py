"""How long traders stay: the share still with the firm by days since their first purchase."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.churn.features import History


def survival_curve(history: History, last: pd.Timestamp, quiet_days: int = 60) -> pd.DataFrame:
    """Kaplan-Meier curve of the time from first purchase to last sign of life, with Greenwood's 95 % band.

    A trader is gone once `quiet_days` have passed without purchase or trade. Of the last `quiet_days` it is not known
    yet who left in them: who was seen in them counts as staying up to their beginning, who came in them not at all.
    Gives day, staying, low, high, at_risk.
    """
    known_until = last - pd.Timedelta(days=quiet_days)
    traded = history.days[history.days["entries"] > 0].groupby("trader_id")["day"].max()
    bought = history.purchases.groupby("trader_id")["purchased_at"].agg(["min", "max"])
    bought = bought[bought["min"] <= known_until]
    latest = pd.concat([bought["max"], traded.reindex(bought.index)], axis=1).max(axis=1)
    gone = (latest <= known_until).to_numpy()
    stayed = (latest.where(gone, known_until) - bought["min"]).dt.days.clip(lower=0).to_numpy() + np.where(gone, 0, 1)
    days, place = np.unique(stayed, return_inverse=True)
    left = np.bincount(place, weights=gone.astype(float))
    at_risk = len(stayed) - np.concatenate([[0], np.cumsum(np.bincount(place))[:-1]])
    staying = np.cumprod(1 - left / at_risk)
    spread = staying * np.sqrt(np.cumsum(left / np.maximum(at_risk * (at_risk - left), 1)))
    return pd.DataFrame(
        {
            "day": days,
            "staying": staying,
            "low": np.clip(staying - 1.96 * spread, 0, 1),
            "high": np.clip(staying + 1.96 * spread, 0, 1),
            "at_risk": at_risk,
        }
    )
