"""Files of the lake as they were written: size and SHA-256 of each, so that one that changed since is noticed.

Whoever writes to a dataset notes its new files while it holds the dataset. A run, the live service at its start and
`highwater doctor` read them over (1.7 GB a second on one core) and name what differs: judging by damaged records would
change verdicts in silence. A file that is not noted, of a home made before this was kept, is taken as it stands.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from sql.fingerprint import fingerprint
from sql.schema import DATASETS, LAKE_FILES
from sql.warehouse import Warehouse, WarehouseRefused, delete_rows


def note(database: sa.Connection, warehouse: Warehouse, dataset: str) -> None:
    """Keeps how files that are new to a dataset stand, and forgets those that left it."""
    current = _current(warehouse, dataset)
    known = database.execute(sa.select(LAKE_FILES.c.file).where(LAKE_FILES.c.dataset == dataset)).scalars().all()
    gone = sorted(set(known) - current.keys())
    if gone:
        delete_rows(database, LAKE_FILES, "file", gone, LAKE_FILES.c.dataset == dataset)
    new = [
        {"dataset": dataset, "file": name, "bytes": path.stat().st_size, "sha256": fingerprint(path)}
        for name, path in current.items()
        if name not in known
    ]
    if new:
        database.execute(sa.insert(LAKE_FILES), new)


def changed(warehouse: Warehouse) -> list[str]:
    """What is not as it was written, a sentence each."""
    with warehouse.database.connect() as database:
        noted = database.execute(sa.select(LAKE_FILES).order_by(LAKE_FILES.c.dataset, LAKE_FILES.c.file)).all()
    current = {dataset: _current(warehouse, dataset) for dataset in {one.dataset for one in noted} & DATASETS.keys()}
    found = []
    for one in noted:
        path = current.get(one.dataset, {}).get(one.file)
        if path is not None and (why := _differs(path, one.bytes, one.sha256)):
            found.append(f"{one.dataset}/{one.file} {why}")
    return found


def refuse(warehouse: Warehouse) -> None:
    """WarehouseRefused when a file of the lake is not as it was written."""
    found = changed(warehouse)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise WarehouseRefused(
            f"the lake is damaged: {found[0]}{more}; nothing was judged and everything stands as it was: restore"
            f" {warehouse.home / 'lake'} from a copy"
        )


def _current(warehouse: Warehouse, dataset: str) -> dict[str, Path]:
    return {Path(file).name: Path(file) for file in warehouse.lake_files(dataset)}


def _differs(path: Path, size: int, sha256: str) -> str | None:
    if not path.exists():
        return "is gone"
    if path.stat().st_size != size:
        return f"has {path.stat().st_size:,} bytes of {size:,}"
    return None if fingerprint(path) == sha256 else "no longer reads as it was written"
