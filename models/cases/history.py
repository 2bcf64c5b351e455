"""What the score said and learnt, kept: a row when it changed, so that an earlier score can still be told."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pandas as pd
import sqlalchemy as sa

from models.risk_score import UNSAID, Weighed
from sql import schema
from sql.case_schema import DISPOSITIONS, RISK_SCORE_HISTORY, SCORE_CALIBRATIONS
from sql.warehouse import read_frame, write_rows

MONEY = "money at stake"
CHANGES = ["score", "band", "reasons", "model_version"]
LEARNT = ["detector", "weight", "factor", "labels", "confirmed", "precision", "low", "high", "model_version"]


def next_run(database: sa.Connection) -> int:
    """The number that the run under way will have."""
    newest = database.execute(sa.select(sa.func.max(schema.RUNS.c.run_id))).scalar()
    return int(newest or 0) + 1


def answers(database: sa.Connection) -> pd.DataFrame:
    """Every answer of analysts, oldest first."""
    table = DISPOSITIONS
    return read_frame(database, sa.select(table).order_by(table.c.decided_at, table.c.case_id, table.c.version))


def keep(database: sa.Connection, weighed: Weighed, run_id: int) -> None:
    """Keeps scores and calibration of a run where they differ from what was kept last."""
    _keep_scores(database, weighed.scores, run_id)
    _keep_learnt(database, weighed, run_id)


def _keep_scores(database: sa.Connection, scores: pd.DataFrame, run_id: int) -> None:
    """A score of 0 without reasons needs no row until there was another."""
    told = scores.assign(reasons=_reasons(scores))
    last = newest(database)
    joined = told.merge(last, how="left", on="account_id", suffixes=("", "_last"))
    known = joined["score_last"].notna()
    same = (joined[CHANGES] == joined[[f"{name}_last" for name in CHANGES]].to_numpy()).all(axis=1)
    changed = joined[(known & ~same) | (~known & (joined["score"] > 0))]
    kept = changed[["account_id", "score", "band", "reasons", "as_of", "model_version"]]
    write_rows(database, RISK_SCORE_HISTORY, kept.assign(run_id=run_id))


def _reasons(scores: pd.DataFrame) -> list[str]:
    """Reasons without the money and what is not known, which move every day and add no points."""
    told = []
    for score, reasons in zip(scores["score"].tolist(), scores["reasons"].tolist(), strict=True):
        held = [one for one in json.loads(reasons) if one["reason"] not in (MONEY, UNSAID)] if score > 0 else []
        told.append(json.dumps(held, ensure_ascii=False))
    return told


def newest(database: sa.Connection) -> pd.DataFrame:
    """The row of every account that was kept last: account_id, score, band, reasons, model_version."""
    table = RISK_SCORE_HISTORY
    last = sa.select(table.c.account_id, sa.func.max(table.c.run_id).label("run_id")).group_by(table.c.account_id)
    held = last.subquery()
    joined = sa.and_(table.c.account_id == held.c.account_id, table.c.run_id == held.c.run_id)
    columns = [table.c.account_id, *(table.c[name] for name in CHANGES)]
    return read_frame(database, sa.select(*columns).join(held, joined))


def _keep_learnt(database: sa.Connection, weighed: Weighed, run_id: int) -> None:
    if weighed.scores.empty:
        return
    first = weighed.scores.iloc[0]
    now = weighed.learnt.assign(model_version=first["model_version"])
    if _plain(now) != _plain(learnt(database)):
        write_rows(database, SCORE_CALIBRATIONS, now.assign(run_id=run_id, as_of=first["as_of"]))


def _plain(frame: pd.DataFrame) -> list[list[Any]]:
    """Rows as plain values that compare: nothing is None."""
    rows = frame[LEARNT].sort_values("detector").astype(object).to_numpy().tolist()
    return [[None if value != value else value for value in row] for row in rows]


def learnt(database: sa.Connection) -> pd.DataFrame:
    """The calibration in use: the set of rows that was kept last."""
    table = SCORE_CALIBRATIONS
    last = sa.select(sa.func.max(table.c.run_id)).scalar_subquery()
    return read_frame(database, sa.select(table).where(table.c.run_id == last).order_by(table.c.detector))


def score_at(database: sa.Connection, account_id: str, at: dt.datetime) -> dict[str, Any] | None:
    """What an account's score was at an instant: the last kept row of a run that stood at or before it.

    None when it had none: it was 0 without reasons, or had not been scored.
    """
    table = RISK_SCORE_HISTORY
    mine = sa.and_(table.c.account_id == account_id, table.c.as_of <= at)
    row = database.execute(sa.select(table).where(mine).order_by(table.c.run_id.desc()).limit(1)).mappings().first()
    return dict(row) if row else None
