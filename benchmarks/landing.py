"""Landing deals from Parquet and CSV, beside plain pandas that reads the same file and writes it as Parquet.

Run from the root: ``python -m benchmarks.landing [rows]``. pandas neither validates nor knows what is there already; it
is the floor of what moving the rows costs. Each line is a process of its own, so that its peak memory is its own; the
imports (about three seconds of Great Expectations) and a first small landing are done before the clock starts.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.measure import Measured, child, machine, report, table
from pipelines.land import land_paths
from sql.warehouse import Warehouse

ROWS = 5_000_000
CSV_SHARE = 5
CHUNK_ROWS = 500_000


def deals(first: int, rows: int) -> pa.Table:
    """Rows of a deals feed, numbered from `first`, two seconds apart, over 50,000 accounts."""
    chance, numbers = np.random.default_rng(first), np.arange(first, first + rows)
    times = (1_767_225_600_000_000 + numbers * 2_000_000).astype("datetime64[us]")
    return pa.table(
        {
            "account_id": pa.array([f"A{number:06}" for number in chance.integers(0, 50_000, rows)]),
            "deal_id": pa.array(numbers + 10_000_000).cast(pa.string()),
            "position_id": pa.array(numbers // 2 + 5_000_000).cast(pa.string()),
            "kind": pa.array(np.full(rows, "trade")),
            "entry": pa.array(np.where(numbers % 2 == 0, "in", "out")),
            "side": pa.array(np.where(chance.random(rows) < 0.5, "buy", "sell")),
            "symbol": pa.array(chance.choice(["EURUSD", "XAUUSD", "US30.cash"], rows)),
            "volume": pa.array(chance.integers(1, 500, rows) / 100),
            "price": pa.array(chance.integers(100_000, 200_000, rows) / 100_000),
            "executed_at": pa.array(times).cast(pa.timestamp("us", "UTC")),
            "commission": pa.array(-chance.integers(0, 300, rows) / 100),
            "swap": pa.array(np.zeros(rows)),
            "profit": pa.array(chance.integers(-30_000, 30_000, rows) / 100),
            "stop_loss": pa.array(chance.integers(100_000, 200_000, rows) / 100_000),
            "reason": pa.array(chance.choice(["client", "sl", "tp"], rows)),
        }
    )


def write(folder: Path, rows: int) -> dict[str, Path]:
    """The Parquet file of `rows` deals, and a CSV file of the first fifth of them."""
    parquet, csv = folder / "deals.parquet", folder / "deals.csv"
    schema = deals(0, 1).schema
    with pq.ParquetWriter(parquet, schema) as to_parquet, pacsv.CSVWriter(csv, schema) as to_csv:
        for first in range(0, rows, CHUNK_ROWS):
            chunk = deals(first, min(CHUNK_ROWS, rows - first))
            to_parquet.write_table(chunk)
            if first < rows // CSV_SHARE:
                to_csv.write_table(chunk.slice(0, rows // CSV_SHARE - first))
    return {"Parquet": parquet, "CSV": csv}


def land(file: Path, home: Path) -> int:
    """Rows that Highwater lands from a file in a home."""
    (load,) = land_paths(Warehouse.open(home), [file])
    return load.landed


def with_pandas(file: Path, home: Path) -> int:
    """Rows that pandas reads from a file and writes as Parquet."""
    frame = pd.read_csv(file, parse_dates=["executed_at"]) if file.suffix == ".csv" else pd.read_parquet(file)
    frame.to_parquet(home.with_suffix(".parquet"))
    return len(frame)


def _measure(engine: str, file: Path, home: Path) -> None:
    """One line of the table, in this process."""
    small = home.with_name("small") / file.name
    small.parent.mkdir(exist_ok=True)
    writer: Callable[[pa.Table, Path], None] = pacsv.write_csv if file.suffix == ".csv" else pq.write_table
    writer(deals(0, 100), small)
    work = with_pandas if engine == "pandas" else land
    report(lambda: work(file, home), warm=lambda: work(small, home.with_name(f"warm-{engine}-{file.suffix[1:]}")))


def _line(name: str, rows: int, found: Measured, beside: Measured) -> list[str]:
    return [
        name,
        f"{rows:,}",
        f"{found.seconds:.1f}",
        f"{rows / found.seconds:,.0f}",
        f"{found.seconds / beside.seconds:.1f}",
        f"{found.peak_mb:,.0f}",
        f"{found.peak_mb / beside.peak_mb:.1f}",
    ]


def main(rows: int = ROWS) -> None:
    """Prints the table: landing, landing the same rows again in other bytes, pandas; Parquet and CSV."""
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for form, file in write(folder, rows).items():
            count = rows if form == "Parquet" else rows // CSV_SHARE
            home = str(folder / f"home-{form}")
            plain = child("benchmarks.landing", "pandas", str(file), home)
            first = child("benchmarks.landing", "highwater", str(file), home)
            _other_bytes(file)
            again = child("benchmarks.landing", "highwater", str(file), home)
            if (first.answer, again.answer, plain.answer) != (count, 0, count):
                raise AssertionError(f"{form}: {first.answer}, {again.answer} and {plain.answer} of {count} rows")
            lines.append(_line(f"{form}: landed", count, first, plain))
            lines.append(_line(f"{form}: the same rows in other bytes", count, again, plain))
            lines.append(_line(f"{form}: pandas, read and written", count, plain, plain))
    print(
        machine("pandas", "pyarrow", "duckdb", "deltalake", "great-expectations")
        + ". Repeat: `python -m benchmarks.landing`.\n"
    )
    print(table(["", "rows", "seconds", "rows/s", "× pandas' time", "peak MB", "× pandas' memory"], lines))


def _other_bytes(file: Path) -> None:
    """The same rows once more, so that they have to be compared: a blank line, or another compression."""
    if file.suffix == ".csv":
        with file.open("a", encoding="utf-8") as stream:
            stream.write("\n")
        return
    source = pq.ParquetFile(file)
    other = file.with_name("other.parquet")
    with pq.ParquetWriter(other, source.schema_arrow, compression="gzip") as writer:
        for batch in source.iter_batches(CHUNK_ROWS):
            writer.write_batch(batch)
    other.replace(file)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        _measure(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(*(int(argument) for argument in sys.argv[1:]))
