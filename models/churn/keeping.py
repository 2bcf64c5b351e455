"""Churn models kept as text in the database: learnt once from a history, used again only when their hash holds."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import sqlalchemy as sa

from models.churn.features import History
from models.churn.model import ChurnModel, ChurnTerms, fit
from sql.case_schema import CHURN_MODELS

Learn = Callable[[History, pd.Timestamp, int, ChurnTerms | None], ChurnModel]
"""What gives a model for a history, an instant, a horizon (days) and terms."""


class ModelAltered(Exception):
    """A kept model that is not what was written: its hash or its version does not fit its text."""


def data_version(history: History, last: pd.Timestamp, horizon_days: int, terms: ChurnTerms) -> str:
    """A fingerprint of everything that a model is learnt from, whatever the order of its rows."""
    told = [[last.floor("D").isoformat(), horizon_days, vars(terms)]]
    told += [
        [len(frame), sorted(frame.columns), _sum(frame)] for frame in (history.purchases, history.days, history.paid)
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _sum(frame: pd.DataFrame) -> int:
    """The sum of the hashes of a frame's rows, modulo 2^64."""
    columns = frame[sorted(frame.columns)]
    return int(pd.util.hash_pandas_object(columns, index=False).to_numpy().sum()) if len(frame) else 0


Later = Callable[[Callable[[sa.Connection], None]], None]
"""What is given a write to do, at once or when a run writes."""


def kept_by(database: sa.Connection, run_id: int, as_of: dt.datetime, later: Later) -> Learn:
    """Learns as `fit` does and keeps the model; one learnt from the same data is taken instead, when its hash holds.

    A kept model that was altered is learnt anew and replaced.
    """

    def learn(history: History, last: pd.Timestamp, horizon_days: int, terms: ChurnTerms | None) -> ChurnModel:
        """The model of this history, kept or learnt."""
        version = data_version(history, last, horizon_days, terms or ChurnTerms())
        try:
            held = load(database, version)
        except ModelAltered:
            held = None
        if held is not None:
            return held
        learnt = fit(history, last, horizon_days, terms)
        first = None if history.purchases.empty else history.first_at().isoformat()
        told = {"data_version": version, "history_from": first, "history_until": last.isoformat()}
        model = replace(learnt, card=learnt.card | told)
        later(lambda writing: keep(writing, model, version, run_id, as_of))
        return model

    return learn


def keep(database: sa.Connection, model: ChurnModel, version: str, run_id: int, as_of: dt.datetime) -> None:
    """Writes a model as text with its hash, in the place of what was kept for the same data."""
    text = model.to_text()
    database.execute(sa.delete(CHURN_MODELS).where(CHURN_MODELS.c.data_version == version))
    row: dict[str, Any] = {"model_version": model.version, "data_version": version, "content": text}
    row |= {"sha256": _hash(version, text), "run_id": run_id, "as_of": as_of}
    database.execute(sa.insert(CHURN_MODELS).values(**row))


def load(database: sa.Connection, version: str) -> ChurnModel | None:
    """The model that was learnt from this data, None when none is kept; ModelAltered when its hash does not hold."""
    query = sa.select(CHURN_MODELS).where(CHURN_MODELS.c.data_version == version)
    row = database.execute(query).mappings().first()
    if row is None:
        return None
    if _hash(version, row["content"]) != row["sha256"]:
        raise ModelAltered(f"the churn model {row['model_version']} does not fit its hash")
    model = ChurnModel.from_text(row["content"])
    if model.version != row["model_version"]:
        raise ModelAltered(f"the churn model {row['model_version']} calls itself {model.version}")
    return model


def _hash(version: str, text: str) -> str:
    """The hash of a model's text together with the data it is for."""
    return hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()
