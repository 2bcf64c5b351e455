"""Lake and database that do not belong together: records that are gone, loads that the database does not know.

Without the records verdicts would be taken back in silence; without the loads their numbers would be given out twice.
"""

from __future__ import annotations

import duckdb
import sqlalchemy as sa

from sql.schema import DATASETS, LOADS
from sql.warehouse import Warehouse, WarehouseRefused

Landed = dict[str, tuple[int, int]]
Held = list[tuple[str, int, int | None, int | None]]
_FINISHED = (LOADS.c.finished_at.is_not(None), LOADS.c.landed > 0)


def landed(warehouse: Warehouse) -> Landed:
    """Of each dataset its newest finished load and the rows that all of them brought; to be asked before the lake."""
    count, newest = sa.func.sum(LOADS.c.landed), sa.func.max(LOADS.c.load_id)
    with warehouse.database.connect() as database:
        rows = database.execute(sa.select(LOADS.c.dataset, newest, count).where(*_FINISHED).group_by(LOADS.c.dataset))
        return {name: (int(load), int(brought)) for name, load, brought in rows if name in DATASETS}


def held(connection: duckdb.DuckDBPyConnection) -> Held:
    """Of each dataset its rows in the lake, their oldest and their newest load."""
    each = [f"select '{name}', count(*), min(_load_id), max(_load_id) from lake.{name}" for name in DATASETS]
    return connection.sql(" union all ".join(each)).fetchall()


def missing(warehouse: Warehouse, there: Held, brought: Landed) -> dict[str, int]:
    """Rows that are gone, by dataset.

    What landed before the oldest row that is there does not count: a table that was lost is landed again.
    """
    short = [one for one in there if one[0] in brought and one[1] < brought[one[0]][1]]
    gone: dict[str, int] = {}
    for name, rows, oldest, _ in short:
        since = (LOADS.c.dataset == name, LOADS.c.load_id.between(oldest or 0, brought[name][0]))
        with warehouse.database.connect() as database:
            due = database.execute(sa.select(sa.func.sum(LOADS.c.landed)).where(*_FINISHED, *since)).scalar() or 0
        if rows < due:
            gone[name] = int(due) - rows
    return gone


def unknown(warehouse: Warehouse, there: Held) -> list[str]:
    """Datasets of whose newest load the database knows nothing; asked after the lake, since a load is told first."""
    with warehouse.database.connect() as database:
        newest = database.execute(sa.select(sa.func.max(LOADS.c.load_id))).scalar() or 0
    return [name for name, _, _, load in there if (load or 0) > newest]


def older_database(warehouse: Warehouse, names: str) -> str:
    """What to say, and do, where the lake holds more than the database knows of."""
    database = warehouse.database.url.render_as_string(hide_password=True)
    return (
        f"the lake holds loads of {names} that the database {database} does not know: it is empty, older than the lake"
        " or another one; restore lake and database from the same copy, or land and score into a new home"
    )


def refuse(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, brought: Landed) -> None:
    """WarehouseRefused when the lake has lost what landed, or holds what the database does not know."""
    there = held(connection)
    strange = unknown(warehouse, there)
    if strange:
        raise WarehouseRefused(f"{older_database(warehouse, ', '.join(strange))}; nothing was judged")
    gone = missing(warehouse, there, brought)
    if gone:
        told = ", ".join(f"{rows:,} {name}" for name, rows in gone.items())
        raise WarehouseRefused(
            f"the lake has lost records that landed ({told}); nothing was judged and everything stands as it was: "
            f"restore {warehouse.home / 'lake'} from a copy, or land their files again"
        )
