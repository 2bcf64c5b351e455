"""The command: a draft rulebook over all history of a warehouse."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa

from models.catalogue import Rulebook
from pipelines.whatif.history import History, WhatIfRefused, no_history, opened
from pipelines.whatif.measure import compare_products
from pipelines.whatif.replay import newest
from pipelines.whatif.sweep import Axis, sweep
from sql import schema
from sql.warehouse import Warehouse, newest_fact

CAVEATS = (
    "Trades are replayed as they were made; under other terms people would have traded otherwise.",
    "An account that ended under its own terms has no history beyond that: under looser terms it counts as open.",
    "Challenges that only the draft would have passed are given the draft's pass rate in stages that they never traded,"
    " and the average payout of those that were funded.",
    "Payouts are requests that were made; a request that the draft refuses is not made again later.",
    "Fees stay as they were; demand at another price or under other terms is not modelled, nor are scaled balances.",
    "Rules across an owner's accounts look at the owners and pairs that the last run found.",
)

OTHER_TERMS = (
    "The last run judged by another rulebook than the one taken as today's here, which HIGHWATER_RULEBOOK names"
    " (without it Highwater's own products); --rulebook names the draft."
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Answer:
    """The figures of every product with history, and the accounts that would have ended otherwise."""

    rows: list[dict[str, Any]]
    flips: list[dict[str, Any]]


def compare(
    warehouse: Warehouse, today: Rulebook, draft: Rulebook, product: str | None = None, say: Say = lambda _: None
) -> Answer:
    """The newest version of each product of the draft over all history; WhatIfRefused when none has any."""
    rows: list[dict[str, Any]] = []
    flips: list[dict[str, Any]] = []
    versions = newest(draft, product)
    with _history(warehouse, today, versions, say) as history:
        for one in sorted({*versions} - {*history.accounts["product"]}):
            say(f"{one} is left out: {no_history(one)}")
        for one, found in compare_products(history, today, versions):
            rows += [{"product": one} | row for row in found.rows]
            # an account that is open ended at no time
            flips += [
                {str(name): None if pd.isna(value) else value for name, value in row.items()}
                for row in found.flips.to_dict(orient="records")
            ]
    return Answer(rows, flips)


def sweep_table(
    warehouse: Warehouse,
    today: Rulebook,
    draft: Rulebook,
    product: str | None,
    axes: Sequence[Axis],
    say: Say = lambda _: None,
) -> list[dict[str, Any]]:
    """A sweep over the newest version of one product of the draft."""
    versions = newest(draft, product)
    if len(versions) != 1:
        raise WhatIfRefused(f"a sweep needs one product, name it with --product: {', '.join(sorted(versions))}")
    [(one, version)] = versions.items()
    with _history(warehouse, today, [one], say) as history:
        return sweep(history, today, version, axes, lambda done: say(f"{done} combinations replayed"))


@contextmanager
def _history(warehouse: Warehouse, today: Rulebook, products: Collection[str], say: Say) -> Iterator[History]:
    with warehouse.engine() as connection:
        as_of = newest_fact(connection)
    if as_of is None:
        raise WhatIfRefused("the lake is empty: there is no history to replay")
    if _judged_by_another(warehouse, today):
        say(OTHER_TERMS)
    with opened(warehouse, today, as_of, products) as history:
        yield history


def _judged_by_another(warehouse: Warehouse, today: Rulebook) -> bool:
    """Whether the last run's rulebook was not today's, as where `HIGHWATER_RULEBOOK` does not name the firm's own."""
    runs = schema.RUNS
    with warehouse.database.connect() as database:
        last = database.scalar(sa.select(runs.c.rulebook).order_by(runs.c.run_id.desc()).limit(1))
    return last is not None and last != today.digest
