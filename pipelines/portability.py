"""In and out whole: everything in clean files, another system's export read by a mapping, and both systems compared."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.export import export_table, read_table
from sql import relations, schema
from sql.schema import DATASETS, Dataset
from sql.warehouse import Warehouse

IMPORTED = tuple(DATASETS)
MAPPED = ("file", "columns", "values", "fixed", "zone", "separator")


class MappingRefused(Exception):
    """A mapping that does not fit the export or the dataset, and why."""


def export_all(warehouse: Warehouse, out: Path) -> dict[str, int]:
    """Writes what was told to `out/feed`, one CSV per dataset that lands again as it is, and every published table to
    `out/decided`; returns the rows by name."""
    written: dict[str, int] = {}
    (out / "feed").mkdir(parents=True, exist_ok=True)
    with warehouse.engine() as connection:
        for dataset in DATASETS.values():
            relations.build(connection, f"staging.{dataset.name}")
            rows = connection.sql(_feed_query(dataset)).df()
            if len(rows):
                rows.to_csv(out / "feed" / f"{dataset.name}.csv", index=False)
                written[dataset.name] = len(rows)
    for table in schema.PUBLISHED:
        written[table] = export_table(warehouse, table, out / "decided" / f"{table}.csv")
    return written


def _feed_query(dataset: Dataset) -> str:
    """A select of the newest records as text, the way a feed writes them."""
    shown = {
        "instant": "strftime({0}, '%Y-%m-%dT%H:%M:%S.%fZ')",
        "money": "regexp_replace(cast({0} as varchar), '[.]?0+$', '')",
    }
    columns = ", ".join(
        f'{shown.get(one.kind, "cast({0} as varchar)").format(chr(34) + one.name + chr(34))} as "{one.name}"'
        for one in dataset.columns
    )
    key = ", ".join(f'"{name}"' for name in dataset.key)
    return f"select {columns} from staging.{dataset.name} order by {key}"


def read_mapping(path: Path) -> dict[str, Any]:
    """A mapping from its TOML file: one table per dataset."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def import_export(folder: Path, mapping: Mapping[str, Any], out: Path) -> dict[str, int]:
    """Turns another system's CSV files into a feed that can be landed; returns the rows by dataset.

    mapping: dataset → file, columns (ours: theirs), values (column: theirs → ours), fixed (column: value), zone of
    times without an offset, separator. Raises MappingRefused when a name fits neither side; a value that means nothing
    is left as it is, so that landing rejects the row with its line.
    """
    out.mkdir(parents=True, exist_ok=True)
    written: dict[str, int] = {}
    for name, told in mapping.items():
        if name not in DATASETS:
            raise MappingRefused(f"{name}: no dataset; there are {', '.join(IMPORTED)}")
        rows = _mapped(DATASETS[name], told, folder)
        rows.to_csv(out / f"{name}.csv", index=False)
        written[name] = len(rows)
    return written


def _mapped(dataset: Dataset, told: Mapping[str, Any], folder: Path) -> pd.DataFrame:
    unknown = sorted(set(told) - set(MAPPED)) + sorted(set(told.get("columns", {})) - set(dataset.names))
    if unknown:
        raise MappingRefused(f"{dataset.name}: unknown {', '.join(unknown)}")
    theirs = pd.read_csv(folder / told["file"], dtype=str, sep=told.get("separator", ","), keep_default_na=False)
    missing = sorted(set(told["columns"].values()) - set(theirs.columns))
    if missing:
        raise MappingRefused(f"{told['file']}: no column {', '.join(missing)}")
    rows = pd.DataFrame({ours: theirs[name] for ours, name in told["columns"].items()})
    for column, words in told.get("values", {}).items():
        rows[column] = rows[column].replace(words)
    for column, value in told.get("fixed", {}).items():
        rows[column] = value
    for column in rows.columns:
        if dataset.column(column).kind == "instant" and "zone" in told:
            rows[column] = rows[column].map(lambda text: _instant(text, told["zone"]))
    return rows


def _instant(text: str, zone: str) -> str:
    """A time of a zone as an instant; what cannot be read, or is no single instant there, stays as it is."""
    if not text.strip():
        return text
    try:
        at = pd.Timestamp(text)
        at = at.tz_localize(zone) if at.tzinfo is None else at
    except (ValueError, TypeError):
        return text
    return at.tz_convert("UTC").isoformat().replace("+00:00", "Z")


def compare(ours: pd.DataFrame, theirs: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Every difference between two systems' amounts, summed by key: key, ours, theirs, difference, why; equal ones are
    not listed. Frames hold the key columns and `amount`."""
    sides = [
        frame.groupby(list(key))["amount"].sum().round(8).rename(name)
        for frame, name in ((ours, "ours"), (theirs, "theirs"))
    ]
    both = pd.concat(sides, axis=1).sort_index().reset_index()
    why = pd.Series("amounts differ", index=both.index)
    why = why.mask(both["theirs"].isna(), "only here").mask(both["ours"].isna(), "only there")
    both["difference"] = (both["ours"].fillna(0) - both["theirs"].fillna(0)).round(8)
    alike = both["ours"].notna() & both["theirs"].notna() & (both["difference"] == 0)
    return both.assign(why=why)[~alike].reset_index(drop=True)


def parallel_run(
    warehouse: Warehouse, commissions: pd.DataFrame, payouts: pd.DataFrame, since: pd.Timestamp, until: pd.Timestamp
) -> dict[str, pd.DataFrame]:
    """Differences of a period to another system, by partner for commissions and by request for what was paid.

    commissions: partner_id, currency, amount, happened_at; payouts: payout_id, currency, amount, settled_at. Ours are
    the published commissions and settled transfers.
    """
    earned = read_table(warehouse, "commissions").astype({"amount": "float64"})
    earned["happened_at"] = pd.to_datetime(earned["happened_at"], utc=True)
    with warehouse.engine() as connection:
        relations.build(connection, "facts.transfers")
        query = "select payout_id, currency, cast(amount as double) as amount, settled_at from facts.transfers"
        paid = connection.sql(f"{query} where status = 'settled'").df()

    def within(frame: pd.DataFrame, column: str) -> pd.DataFrame:
        at = pd.to_datetime(frame[column], utc=True)
        return frame[(at >= since) & (at < until)]

    return {
        "commissions": compare(
            within(earned, "happened_at"), within(commissions, "happened_at"), ["partner_id", "currency"]
        ),
        "payouts": compare(within(paid, "settled_at"), within(payouts, "settled_at"), ["payout_id", "currency"]),
    }
