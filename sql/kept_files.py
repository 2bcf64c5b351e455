"""What one run leaves in a file of the home for the next: rows, and what they rest on.

Rows made of datasets alone rest on the loads that were read with their rows, the instant at which they stood, and the
code. While all that is still there, a later run takes what is kept and adds what landed since. A file only saves work:
it is put in its place in one piece, and may be deleted. Beside it lies the SHA-256 of its bytes: a file that reads
otherwise is as none, since numbers of damaged rows would be told as if they were right.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb

from sql import relations
from sql.fingerprint import fingerprint

Rests = dict[str, Any]


def read(connection: duckdb.DuckDBPyConnection, path: Path) -> Rests | None:
    """What the rows of a file rest on; None where there is none that can be read."""
    if not _is_whole(path):
        return None
    query = "select decode(value) from parquet_kv_metadata(?) where decode(key) = 'rests'"
    try:
        told = connection.execute(query, [str(path)]).fetchall()
        return dict(json.loads(told[0][0])) if told else None
    except (duckdb.Error, ValueError):
        return None


def _is_whole(path: Path) -> bool:
    """Whether a file is there and reads as it was written."""
    try:
        return path.is_file() and _seal(path).read_text(encoding="ascii") == fingerprint(path)
    except (OSError, ValueError):
        return False


def _seal(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def rests(connection: duckdb.DuckDBPyConnection, code: str, *datasets: str) -> Rests:
    """What rows rest on that are made now, of these datasets by this code."""
    as_of: dt.datetime = connection.execute("select getvariable('as_of')").fetchall()[0][0]
    stands = as_of.astimezone(dt.UTC).isoformat(timespec="microseconds")
    return {"code": code, "as_of": stands, "loads": {name: _loads(connection, name) for name in datasets}}


def _loads(connection: duckdb.DuckDBPyConnection, dataset: str) -> dict[str, int]:
    counted = connection.execute(f"select _load_id, count(*) from lake.{dataset} group by _load_id order by _load_id")
    return {str(load): rows for load, rows in counted.fetchall()}


def code(module: str, names: Iterable[str]) -> str:
    """A hash of all that makes the rows: the engine, a module's file and relations."""
    told = hashlib.sha256(duckdb.__version__.encode() + Path(__file__).read_bytes() + Path(module).read_bytes())
    for name in names:
        told.update(relations.text(name).encode())
    return told.hexdigest()


def goes_on(before: Rests, now: Rests) -> bool:
    """Whether all that was read is still there and read alike, and time has not gone back."""
    return bool(
        before["code"] == now["code"]
        and before["as_of"] <= now["as_of"]
        and all(loads.items() <= now["loads"][name].items() for name, loads in before["loads"].items())
    )


def leave(connection: duckdb.DuckDBPyConnection, path: Path, table: str, rests: Rests) -> None:
    """Writes a table with what it rests on, in one piece or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{path.name}.*.part"):
        left.unlink(missing_ok=True)
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    where, told = (one.replace("'", "''") for one in (str(part), json.dumps(rests)))
    connection.execute(f"copy {table} to '{where}' (format parquet, kv_metadata {{rests: '{told}'}})")
    seal(part, path)


def seal(part: Path, path: Path) -> None:
    """Puts a written file in its place; one that is killed in between leaves a file that is as none."""
    digest = fingerprint(part)
    part.replace(path)
    _seal(path).write_text(digest, encoding="ascii")
