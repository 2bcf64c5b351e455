"""Real processes that the system kills (SIGKILL) at a step of their own: a statement, a commit, a write to the lake."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from models import catalogue
from pipelines import land
from pipelines.score import score
from sql.warehouse import Warehouse

PATIENCE_SECONDS = 1_200.0
"""A scoring takes seconds, but minutes where its kernels are compiled on a machine that others keep busy."""


def ingest(home: Path, url: str, feed: Path) -> None:
    """Lands a file of deals."""
    land_file(Warehouse.open(home, url), feed)


def land_file(warehouse: Warehouse, feed: Path) -> None:
    """Lands a file of deals as it is landed by all ways in, judged the quick one."""
    rows = pd.read_csv(feed, dtype=str, keep_default_na=False)
    land.land_frame(warehouse, "deals", rows, file=feed.name, fingerprint=feed.name, quick=True)


def judge(home: Path, url: str, rules: Path) -> None:
    """Scores what is new."""
    score(Warehouse.open(home, url), catalogue.load(rules))


def killed_at(
    step: int, work: Callable[[Path, str, Path], None], warehouse: Warehouse, what: Path, *, commits: bool = False
) -> bool:
    """Runs `work` in a process that is killed before its n-th step; False when it ended by itself before that.

    A step is a statement or a commit of the database (with `commits` these alone), or either side of a write to the
    lake.
    """
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_run, args=(step, commits, work, warehouse.home, warehouse.database_url, what))
    process.start()
    process.join(PATIENCE_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"step {step}: not done after {PATIENCE_SECONDS:.0f} s")
    assert process.exitcode in (0, -signal.SIGKILL), f"step {step}: ended with {process.exitcode}"
    return process.exitcode != 0


def _run(step: int, commits: bool, work: Callable[[Path, str, Path], None], home: Path, url: str, what: Path) -> None:
    taken = 0

    def take(*_: Any) -> None:
        nonlocal taken
        taken += 1
        if taken == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(*args: Any, **named: Any) -> None:
        take()
        real(*args, **named)
        take()

    if not commits:
        sa.event.listen(sa.Engine, "before_cursor_execute", take)
    sa.event.listen(sa.Engine, "commit", take)
    real, vars(land)["write_deltalake"] = vars(land)["write_deltalake"], write
    work(home, url, what)
