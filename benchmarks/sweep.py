"""A sweep that somebody runs over a whole demo firm: `python -m benchmarks.sweep [--traders N]`.

Ten values of one parameter by ten of another, floors and rules over whole histories, each beside the same variants
asked for one at a time, as with a tool that replays a draft: three of them are, and must say the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import machine, peak_mb, table
from models import catalogue, drafts
from models.catalogue import Rulebook
from pipelines.demo import write_demo
from pipelines.land import land_paths
from pipelines.score import score
from pipelines.whatif.run import sweep_table
from pipelines.whatif.sweep import parse_axis
from sql.warehouse import Warehouse

PRODUCT = "two_step"
DAYS = 90
SWEEPS = {
    "profit target, daily loss": (
        "evaluation_1.profit_target.percent=4,5,6,7,8,9,10,11,12,13",
        "evaluation_1.daily_loss.percent=2,2.5,3,3.5,4,4.5,5,5.5,6,7",
    ),
    "maximum lots, holding time": (
        "evaluation_1.max_lots.lots=1,2,3,4,5,6,8,10,12,15",
        "evaluation_1.holding_time.seconds=15,30,45,60,75,90,120,150,180,240",
    ),
}
ALONE = ((0, 0), (4, 5), (9, 9))
"""Places of the variants that are asked for one at a time too."""


def main() -> None:
    """Prints the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--traders", type=int, default=1600)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        house, today = _firm(Path(folder), given.traders)
        draft = _with_rules(today)
        rows = [_measured(house, today, draft, name, axes) for name, axes in SWEEPS.items()]
    print(
        f"The demo firm of {given.traders:,} traders over {DAYS} days, payouts reviewed; {PRODUCT}, 10 by 10 variants,"
        " reading the history with it. One at a time is the middle one of three such variants, a hundred times.\n"
    )
    head = ["parameters", "s", "s of the processor", "one at a time, s of the processor", "of it"]
    print(table(head, rows))
    print(f"\n{peak_mb() / 1024:.1f} GB at most. {machine('duckdb', 'numba')}. Repeat: `python -m benchmarks.sweep`.")


def _firm(folder: Path, traders: int) -> tuple[Warehouse, Rulebook]:
    """The demo firm, landed and scored."""
    write_demo(folder / "demo", traders, DAYS)
    house, rulebook = Warehouse.open(folder / "home"), catalogue.load()
    land_paths(house, [folder / "demo"])
    score(house, rulebook)
    return house, rulebook


def _with_rules(rulebook: Rulebook) -> Rulebook:
    """A draft of the product in which two rules over whole histories end an account."""
    product = rulebook.products[PRODUCT]
    version = product.versions[-1]
    stages = {stage: dict(terms) for stage, terms in version.stages.items()}
    ending = {"effect": "terminate"}
    stages["evaluation_1"] |= {"max_lots": {"lots": 5} | ending, "holding_time": {"seconds": 60} | ending}
    made = drafts.checked(replace(version, stages=stages))
    return Rulebook({PRODUCT: replace(product, versions=(made,))})


def _measured(house: Warehouse, today: Rulebook, draft: Rulebook, name: str, listed: tuple[str, str]) -> list[str]:
    """One line: the sweep, and its variants one at a time."""
    axes = [parse_axis(one) for one in listed]
    rows, wall, used = _timed(partial(sweep_table, house, today, draft, PRODUCT, axes))
    alone = []
    for places in ALONE:
        one = [replace(axis, values=(axis.values[place],)) for axis, place in zip(axes, places, strict=True)]
        [row], _, spent = _timed(partial(sweep_table, house, today, draft, PRODUCT, one))
        assert row == rows[places[0] * len(axes[1].values) + places[1]], f"{row} is not what the sweep says"
        alone.append(spent)
    each = sorted(alone)[len(alone) // 2] * len(rows)
    return [name, f"{wall:.1f}", f"{used:.1f}", f"{each:.0f}", f"1/{each / used:.0f}"]


def _timed(work: Callable[[], list[dict[str, Any]]]) -> tuple[list[dict[str, Any]], float, float]:
    """What came out, wall seconds and seconds of the processor."""
    wall, used = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - used


if __name__ == "__main__":
    main()
