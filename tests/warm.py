"""Compiles the numeric kernels once, over a small demo firm, so that no test process has to wait for them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from models import catalogue
from pipelines.demo import write_demo
from pipelines.land import land_paths
from pipelines.score import score
from sql.warehouse import Warehouse


def main() -> None:
    """Makes, lands and scores fifty traders in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        home = Warehouse.open(Path(folder) / "home")
        write_demo(Path(folder) / "demo", 50, 30)
        land_paths(home, [Path(folder) / "demo"])
        score(home, catalogue.load())
        home.database.dispose()


if __name__ == "__main__":
    main()
