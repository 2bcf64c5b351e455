"""Records that landed once and are gone from the lake: without them verdicts would be taken back in silence."""

from __future__ import annotations

from typing import Any

import duckdb
import sqlalchemy as sa

from sql.schema import DATASETS, LOADS
from sql.warehouse import Warehouse, WarehouseRefused

Landed = dict[str, tuple[int, int]]
_FINISHED = (LOADS.c.finished_at.is_not(None), LOADS.c.landed > 0)


def landed(warehouse: Warehouse) -> Landed:
    """Of each dataset its newest finished load and the rows that all of them brought; to be asked before the lake."""
    count, newest = sa.func.sum(LOADS.c.landed), sa.func.max(LOADS.c.load_id)
    with warehouse.database.connect() as database:
        rows = database.execute(sa.select(LOADS.c.dataset, newest, count).where(*_FINISHED).group_by(LOADS.c.dataset))
        return {name: (int(load), int(brought)) for name, load, brought in rows if name in DATASETS}


def missing(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, brought: Landed) -> dict[str, int]:
    """Rows that are gone, by dataset.

    What landed before the oldest row that is there does not count: a table that was lost is landed again.
    """
    short: list[Any] = []
    if brought:
        each = [f"select '{name}', count(*), min(_load_id) from lake.{name}" for name in sorted(brought)]
        found = connection.sql(" union all ".join(each)).fetchall()
        short = [one for one in found if one[1] < brought[one[0]][1]]
    gone: dict[str, int] = {}
    for name, there, oldest in short:
        since = (LOADS.c.dataset == name, LOADS.c.load_id.between(oldest or 0, brought[name][0]))
        with warehouse.database.connect() as database:
            due = database.execute(sa.select(sa.func.sum(LOADS.c.landed)).where(*_FINISHED, *since)).scalar() or 0
        if there < due:
            gone[name] = int(due) - there
    return gone


def refuse(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, brought: Landed) -> None:
    """WarehouseRefused when the lake has lost what landed: judging without it would take back what it proves."""
    gone = missing(warehouse, connection, brought)
    if gone:
        told = ", ".join(f"{rows:,} {name}" for name, rows in gone.items())
        raise WarehouseRefused(
            f"the lake has lost records that landed ({told}); nothing was judged and everything stands as it was: "
            f"restore {warehouse.home / 'lake'} from a copy, or land their files again"
        )
