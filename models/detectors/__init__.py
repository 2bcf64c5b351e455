"""Conduct: one file per detector, each with its five answers; all of them write signals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pandas as pd

from models.detectors import (
    account_passing,
    all_in,
    challenge_farming,
    chargeback_abuse,
    grid,
    inactivity,
    kept,
    kyc_mismatch,
    latency_arbitrage,
    martingale,
    news_straddling,
    payout_gaming,
    recurring_breaches,
    tick_scalping,
)
from models.detectors.base import COLUMNS, FLAG_MIN, Answers, Detector, show_terms, signals_of
from models.detectors.kept import Kept

__all__ = ["DETECTORS", "Answers", "Detector", "Kept", "Shared", "detect_all"]

DETECTORS: dict[str, Detector] = {
    module.DETECTOR.name: module.DETECTOR
    for module in (
        account_passing,
        all_in,
        challenge_farming,
        chargeback_abuse,
        grid,
        inactivity,
        kyc_mismatch,
        latency_arbitrage,
        martingale,
        news_straddling,
        payout_gaming,
        recurring_breaches,
        tick_scalping,
    )
}


@dataclass(frozen=True)
class Shared:
    """What detectors share: from which part of the usual move on a stop or target is of usual distance, and how many
    positions that closed before this month tell enough about an instrument."""

    version: str = "2026-11"
    usual_exit_share: float = 0.5
    settled_enough: int = 30


def detect_all(
    connection: duckdb.DuckDBPyConnection,
    as_of: dt.datetime,
    terms: Mapping[str, Any] | None = None,
    before: Kept | None = None,
    loads: set[int] | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Runs every detector over the facts of a run.

    Takes a connection with lake, staging, terms and `decided.account_status`, `account_days` and `copy_rings`;
    `terms` replaces a detector's terms by name; `before` is what an earlier run kept and `loads` are those landed by
    now. Gives signals in published columns, the strongest per subject and detector, and remarks. Subjects about whom
    nothing can be said, or nothing is held likely, have no row: no row is no acquittal.
    """
    chosen = {name: (terms or {}).get(name, detector.terms) for name, detector in DETECTORS.items()}
    show_terms(connection, "detectors", Shared())
    for name, held in chosen.items():
        show_terms(connection, name, held)
    on_from = kept.measure(connection, before, as_of, loads or set())
    connection.execute("create or replace table detectors.usual (detector varchar, told varchar)")
    weighed = [kept.weigh(connection, detector, chosen[name], on_from) for name, detector in DETECTORS.items()]
    found = [one.found for one in weighed if len(one.found.found)]
    rows = kept.rows_of(connection, found, on_from)
    known = [signals_of(one, rows[one.detector.name]) for one in found]
    known += [one.staying for one in weighed if len(one.staying)]
    signals = pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=list(COLUMNS))
    return signals.sort_values(["subject_kind", "subject_id", "detector"], ignore_index=True), _remarks(
        connection, signals
    )


def _remarks(connection: duckdb.DuckDBPyConnection, signals: pd.DataFrame) -> list[str]:
    """What was found, and what could not be looked for because nothing was delivered."""
    flags = int((signals["strength"] >= FLAG_MIN).sum()) if len(signals) else 0
    log = [f"conduct: {flags} flags among {len(signals)} signals"]
    for dataset, missed in (
        ("news", "news straddling is not looked for"),
        ("logins", "places and devices are not looked at"),
        ("quotes", "what prices did after an entry is not looked at"),
    ):
        if not connection.sql(f"select 1 from lake.{dataset} limit 1").fetchall():
            log.append(f"no {dataset} delivered: {missed}")
    return log
