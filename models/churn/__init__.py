"""Who is about to leave: probability that a trader neither buys nor trades within a horizon, with its reasons."""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import dataclass

import duckdb
import pandas as pd

from models.churn.features import FEATURES, History, features_at, left_after, read_history
from models.churn.keeping import Learn, kept_by
from models.churn.model import ChurnModel, ChurnTerms, drift, fit, measures, reasons
from models.churn.survival import CURVE, curves_by_desk, stays, survival_curve

__all__ = [
    "FEATURES",
    "ChurnModel",
    "ChurnRefused",
    "ChurnTerms",
    "History",
    "Learn",
    "Leaving",
    "churn_of_traders",
    "drift",
    "features_at",
    "fit",
    "horizon",
    "kept_by",
    "left_after",
    "measures",
    "read_history",
    "reasons",
    "survival_curve",
]
DRIFT = ("feature", "stability", "model_version", "as_of")
FIRST_DESKS = """
    select trader_id, arg_min(desk_id, (purchased_at, challenge_id)) as desk_id
    from staging.challenges
    group by trader_id
"""
HORIZON_VARIABLE = "HIGHWATER_CHURN_DAYS"
HORIZON_DAYS = 60
HORIZONS = range(7, 366)
COLUMNS = ("trader_id", "probability", "horizon_days", "reasons", "as_of", "model_version")


class ChurnRefused(Exception):
    """The horizon that is configured cannot be meant."""


def horizon() -> int:
    """The days without purchase and trade after which a trader has left: those that `HIGHWATER_CHURN_DAYS` names."""
    told = os.environ.get(HORIZON_VARIABLE) or str(HORIZON_DAYS)
    if not told.isdecimal() or int(told) not in HORIZONS:
        raise ChurnRefused(f"{HORIZON_VARIABLE} is a whole number of days from 7 to 365, not {told!r}")
    return int(told)


@dataclass(frozen=True)
class Leaving:
    """Churn scores in published columns, how far what the model sees and says has moved (`DRIFT`), and by desk how long
    traders stay (`curves_by_desk`)."""

    scores: pd.DataFrame
    drift: pd.DataFrame
    staying: pd.DataFrame


def churn_of_traders(
    connection: duckdb.DuckDBPyConnection,
    as_of: dt.datetime,
    horizon_days: int | None = None,
    model: ChurnModel | None = None,
    terms: ChurnTerms | None = None,
    learn: Learn = fit,
) -> Leaving:
    """Scores every trader who has bought: trader_id, probability (0-1), horizon_days, reasons, as_of, model_version.

    The horizon is that of `horizon` unless one is given. Learns from the firm's own past, by `learn`, unless a model is
    given. A model that could not be learnt says so in its version.
    """
    days = horizon_days or horizon()
    held, at, history = terms or ChurnTerms(), pd.Timestamp(as_of), read_history(connection)
    if history.purchases.empty:
        return Leaving(*(pd.DataFrame(columns=list(names)) for names in (COLUMNS, DRIFT, ("desk_id", *CURVE))))
    used = model or learn(history, at, days, held)
    known = features_at(history, at)
    chance, moves = used.probability(known)
    told = [json.dumps(reasons(known.iloc[k], moves[k], held.reasons_max)) for k in range(len(known))]
    scored = pd.DataFrame({"trader_id": known.index, "probability": chance.round(6), "horizon_days": days})
    moved = pd.DataFrame(drift(used, known, chance).items(), columns=["feature", "stability"])
    desks = connection.execute(FIRST_DESKS).df().set_index("trader_id")["desk_id"]
    return Leaving(
        scored.assign(reasons=told, as_of=at, model_version=used.version)[list(COLUMNS)],
        moved.assign(model_version=used.version, as_of=at)[list(DRIFT)],
        curves_by_desk(stays(history, at, days), desks),
    )
