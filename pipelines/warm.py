"""Compiles the numeric kernels once, by scoring a small demo firm, so that nobody's first score waits minutes for them.

`python -m pipelines.warm`: the last part of `make setup`. The dearest kernel takes as long as all that a run comes by
before it, so a second process compiles that one meanwhile.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from models import catalogue
from models.coordination.circumstances import describe_pairs
from models.coordination.entries import openings, sort_entries
from models.coordination.terms import CoordinationTerms
from pipelines.demo import write_demo
from pipelines.land import land_paths
from pipelines.score import score
from sql.warehouse import Warehouse

TRADERS, DAYS = 50, 30
"""The smallest firm that reaches nearly all of them."""


def compile_kernels() -> None:
    """Makes, lands and scores a firm in a folder that goes away, whatever home, database and rulebook are set."""
    beside = multiprocessing.get_context("spawn").Process(target=describe_a_copier, daemon=True)
    beside.start()
    with tempfile.TemporaryDirectory() as told:
        folder = Path(told)
        home = Warehouse.open(folder / "home", f"sqlite:///{folder / 'warm.db'}")
        write_demo(folder / "demo", TRADERS, DAYS)
        land_paths(home, [folder / "demo"])
        score(home, catalogue.load(catalogue.FOLDER))
        home.database.dispose()
    beside.join()
    if beside.exitcode != 0:
        raise SystemExit("highwater: the kernel that describes pairs could not be compiled (above)")


def describe_a_copier() -> None:
    """Tells the circumstances of one account that follows another by a second, which is all that the kernel needs."""
    leads = pd.date_range("2026-01-05 08:00", periods=20, freq="67min", tz="UTC")
    follows = leads + pd.Timedelta(1, "s")
    opened = leads.append(follows)
    trades = pd.DataFrame(
        {
            "account_id": ["leader"] * len(leads) + ["follower"] * len(follows),
            "instrument": "EURUSD",
            "side": "buy",
            "lots": 1.0,
            "opened_at": opened,
            "closed_at": opened + pd.Timedelta(5, "min"),
        }
    )
    terms = CoordinationTerms()
    entries = sort_entries(openings(trades), None, terms, [])
    if entries is None:
        raise ValueError("two accounts with trades came out as none")
    pair, window = np.array([[0, 1, 0]], dtype=np.int32), np.array([[-2_000_000, 2_000_000]])
    if describe_pairs(entries, pair, window, terms)[0, 0] != len(leads):
        raise ValueError("the follower's entries were not matched with the leader's")


if __name__ == "__main__":
    compile_kernels()
