"""Compiles the numeric kernels once, by scoring a small demo firm, so that nobody's first score waits minutes for them.

`python -m pipelines.warm`: the last part of `make setup`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from models import catalogue
from pipelines.demo import write_demo
from pipelines.land import land_paths
from pipelines.score import score
from sql.warehouse import Warehouse

TRADERS, DAYS = 50, 30
"""The smallest firm that reaches nearly all of them."""


def compile_kernels() -> None:
    """Makes, lands and scores a firm in a folder that goes away, whatever home, database and rulebook are set."""
    with tempfile.TemporaryDirectory() as told:
        folder = Path(told)
        home = Warehouse.open(folder / "home", f"sqlite:///{folder / 'warm.db'}")
        write_demo(folder / "demo", TRADERS, DAYS)
        land_paths(home, [folder / "demo"])
        score(home, catalogue.load(catalogue.FOLDER))
        home.database.dispose()


if __name__ == "__main__":
    compile_kernels()
