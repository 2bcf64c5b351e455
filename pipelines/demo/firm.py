"""The demo firm from nothing to a feed folder, one batch of traders at a time."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipelines.demo.cast import Casting
from pipelines.demo.ledger import Ledger
from pipelines.demo.lifecycle import Firm
from pipelines.demo.market import build_market
from pipelines.demo.partners import Partners
from pipelines.demo.truth import Truth
from pipelines.demo.write import FeedWriter

BATCH = 2000
Progress = Callable[[int, int], None]


def write_demo(
    out: Path, traders: int = 2000, days: int = 120, seed: int = 7, progress: Progress | None = None
) -> None:
    """Writes a made-up firm of `traders` people over the `days` before 2026-10-30 into the folder `out`.

    The folder holds the datasets of the feed contract and `truth.json`, the planted abuse and its innocent look-alikes.
    The same arguments give byte-identical files. `progress` is called with the traders done and the traders in all.
    Raises ValueError for fewer than 50 traders or 20 days: too few for the planted stories.
    """
    if traders < 50 or days < 20:
        raise ValueError(f"a demo firm needs at least 50 traders and 20 days, not {traders} traders and {days} days")
    market = build_market(days, seed)
    rng = np.random.default_rng([seed, 202])
    partners = Partners(rng, traders)
    firm = Firm(market, rng)
    writer = FeedWriter(out, market.start)
    ledger = Ledger(writer, market, rng, partners)
    truth = Truth(seed, traders, days)
    ledger.firm_wide()
    for first in range(0, traders, BATCH):
        cast = Casting(rng, market, partners, first + 1, min(BATCH, traders - first)).fill()
        for done, seat in enumerate(cast.seats):
            firm.run(seat)
            if progress is not None and done % 50 == 0:
                progress(min(first + done, traders), traders)
        firm.number(cast.seats)
        ledger.batch(cast)
        truth.add(cast)
    writer.close()
    text = json.dumps(truth.said, indent=1, ensure_ascii=False, sort_keys=True)
    (out / "truth.json").write_text(text + "\n", encoding="utf-8")
    if progress is not None:
        progress(traders, traders)
