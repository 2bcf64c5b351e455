"""In and out whole: everything in clean files, another system's export read by a mapping, and both systems compared."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import sqlalchemy as sa

from models.clock import zones
from models.toml_files import TomlRefused, parsed, text_of
from pipelines import marts
from pipelines.export import export_table, read_table
from pipelines.lifecycle import NAME as LIFECYCLE
from pipelines.sources.kit.statement import RowProblem
from pipelines.sources.kit.values import american, clock, plain_number, with_commas
from pipelines.whole import put
from sql import relations, schema
from sql.decided import register_tables
from sql.desk_schema import LEDGER_ENTRIES
from sql.partner_schema import COMMISSION_PLANS, PARTNER_DECISIONS, PARTNER_HOLDS
from sql.schema import DATASETS, Dataset
from sql.warehouse import Warehouse, read_frame

IMPORTED = tuple(DATASETS)
TABLES = ("columns", "values", "fixed", "factors")
NUMBERS = ("money", "number", "integer")
WRITTEN = ("file", "zone", "separator", "decimal", "time_format", "date_format")


class MappingRefused(Exception):
    """A mapping that does not fit the export or the dataset, and why."""


LEDGER = "ledger_entries"
TOLD_BESIDE = ("credits", "commission_entries", "partner_transfers")
_INSTANT = "strftime({0}, '%Y-%m-%dT%H:%M:%S.%fZ')"
"""An instant as feeds write it."""
_STEPS = f"""
    select * replace ({_INSTANT.format("happened_at")} as happened_at) from {LIFECYCLE} order by challenge_id, sequence
"""


def export_all(warehouse: Warehouse, out: Path) -> dict[str, int]:
    """Writes everything into three folders and returns the rows by name.

    `feed`: what was told, one CSV per dataset, lands again as it is. `decided`: every published table, and every step
    of every challenge. `books`: the ledger, whose every purchase is, every commission and what it waits for, and what
    people decided about partners.
    """
    written: dict[str, int] = {}
    for folder in ("feed", "decided", "books"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    with warehouse.engine() as connection:
        for dataset in DATASETS.values():
            relations.build(connection, f"staging.{dataset.name}")
            rows = connection.execute(f"select count(*) from staging.{dataset.name}").fetchall()[0][0]
            if rows:
                put(out / "feed" / f"{dataset.name}.csv", partial(_copy, connection, _feed_query(dataset)))
                written[dataset.name] = int(rows)
        with warehouse.database.connect() as database:
            register_tables(connection, database, schema.ACCOUNT_STATUS, schema.VERDICTS)
        relations.build(connection, LIFECYCLE)
        put(out / "decided" / "lifecycle.csv", partial(_copy, connection, _STEPS))
        written["lifecycle"] = int(connection.execute(f"select count(*) from {LIFECYCLE}").fetchall()[0][0])
    for table in schema.PUBLISHED:
        written[table] = export_table(warehouse, table, out / "decided" / f"{table}.csv")
    with warehouse.database.connect() as database:
        books = {name: marts.read(database, name) for name in TOLD_BESIDE}
        books[LEDGER] = read_frame(database, sa.select(LEDGER_ENTRIES).order_by(LEDGER_ENTRIES.c.entry_id))
        books |= {
            one.name: read_frame(database, sa.select(one))
            for one in (PARTNER_DECISIONS, PARTNER_HOLDS, COMMISSION_PLANS)
        }
    for name, frame in books.items():
        put(out / "books" / f"{name}.csv", partial(frame.to_csv, index=False))
        written[name] = len(frame)
    return written


def _copy(connection: duckdb.DuckDBPyConnection, query: str, place: Path) -> None:
    told = str(place).replace("'", "''")
    connection.execute(f"copy ({query}) to '{told}' (header, delimiter ',')")


def _feed_query(dataset: Dataset) -> str:
    """A select of the newest records as text, the way a feed writes them."""
    shown = {
        "instant": _INSTANT,
        "money": "regexp_replace(cast({0} as varchar), '[.]?0+$', '')",
    }
    columns = ", ".join(
        f'{shown.get(one.kind, "cast({0} as varchar)").format(chr(34) + one.name + chr(34))} as "{one.name}"'
        for one in dataset.columns
    )
    key = ", ".join(f'"{name}"' for name in dataset.key)
    if dataset.name == "partners":
        # an earlier place in the tree counts until its end, an earlier destination was paid to
        return f"select {columns} from lake.partners order by partner_id, _version"
    return f"select {columns} from staging.{dataset.name} order by {key}"


def read_mapping(path: Path) -> dict[str, Any]:
    """A mapping from its TOML file: one table per dataset. Raises MappingRefused for what is none."""
    try:
        return parsed(text_of(path))
    except TomlRefused as error:
        raise MappingRefused(f"{path}: no mapping that can be read ({error})") from error


def written_mapping(mapping: Mapping[str, Mapping[str, Any]]) -> str:
    """A mapping as its TOML file."""
    lines = []
    for dataset, told in mapping.items():
        lines.append(f"[{dataset}]")
        lines += [f"{name} = {json.dumps(told[name])}" for name in WRITTEN if told.get(name)]
        for part in ("columns", "fixed", "factors"):
            if told.get(part):
                pairs = ", ".join(f"{json.dumps(ours)} = {json.dumps(theirs)}" for ours, theirs in told[part].items())
                lines.append(f"{part} = {{ {pairs} }}")
        for column, words in (told.get("values") or {}).items():
            pairs = ", ".join(f"{json.dumps(theirs)} = {json.dumps(ours)}" for theirs, ours in words.items())
            lines.append(f"values.{column} = {{ {pairs} }}")
        lines.append("")
    return "\n".join(lines)


def import_export(folder: Path, mapping: Mapping[str, Any], out: Path) -> dict[str, int]:
    """Turns another system's CSV files into a feed that can be landed; returns the rows by dataset.

    mapping: dataset → file, columns (ours: theirs), values (column: theirs → ours), fixed (column: value), factors
    (column: what theirs times it is in our unit, such as 0.01 of cents), zone of times without an offset, separator,
    decimal mark of numbers, time_format and date_format (as strptime has them).
    Raises MappingRefused when a name fits neither side; a value that means nothing is left as it is, so that landing
    rejects the row with its line.
    """
    out.mkdir(parents=True, exist_ok=True)
    written: dict[str, int] = {}
    for name, told in mapping.items():
        if name not in DATASETS:
            raise MappingRefused(f"{name}: no dataset; there are {', '.join(IMPORTED)}")
        rows = mapped(DATASETS[name], told, _read(folder, name, told))
        put(out / f"{name}.csv", partial(rows.to_csv, index=False))
        written[name] = len(rows)
    return written


def _read(folder: Path, dataset: str, told: Mapping[str, Any]) -> pd.DataFrame:
    """A file of another system as text."""
    if "file" not in told:
        raise MappingRefused(f'{dataset}: which file? file = "…"')
    try:
        return read_text(folder / told["file"], told.get("separator", ","))
    except (OSError, ValueError) as error:
        raise MappingRefused(f"{told['file']}: cannot be read ({error})") from error


def read_text(file: Any, separator: str = ",") -> pd.DataFrame:
    """A CSV file with every value as it stands there; ValueError for what is none, with the line.

    A row with more cells than there are columns is none: a decimal comma between commas would shift all behind it.
    """
    data: bytes = file.getvalue() if hasattr(file, "getvalue") else Path(file).read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not UTF-8; save the file in UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = next(reader, [])
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if not header or twice:
            raise ValueError(f"two columns are called {', '.join(twice)}" if twice else "there is no header")
        rows = []
        for cells in reader:
            if any(cells[len(header) :]):
                raise ValueError(f"line {reader.line_num} has {len(cells)} cells, the header {len(header)}")
            if cells:
                rows.append(cells[: len(header)] + [""] * (len(header) - len(cells)))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error
    return pd.DataFrame(rows, columns=header, dtype=str)


def mapped(dataset: Dataset, told: Mapping[str, Any], theirs: pd.DataFrame) -> pd.DataFrame:
    """Rows of another system in the columns of a dataset; MappingRefused when the mapping fits neither side."""
    for name in TABLES:
        if not isinstance(told.get(name, {}), Mapping):
            raise MappingRefused(f"{dataset.name}: {name} is no table")
    columns, values, fixed, factors = (told.get(name, {}) for name in TABLES)
    unknown = sorted(set(told) - {*TABLES, *WRITTEN})
    unknown += sorted((set(columns) | set(fixed)) - set(dataset.names))
    if unknown:
        raise MappingRefused(f"{dataset.name}: unknown {', '.join(unknown)}")
    needed = [one.name for one in dataset.columns if one.required and one.name not in {*columns, *fixed}]
    if needed:
        raise MappingRefused(f"{dataset.name}: nothing is mapped to {', '.join(needed)}")
    if loose := sorted(set(values) - set(columns)):
        raise MappingRefused(f"{dataset.name}: values of {', '.join(loose)}, to which no column is mapped")
    for column, factor in factors.items():
        if column not in columns or dataset.column(column).kind not in NUMBERS or not _multiplies(factor):
            raise MappingRefused(
                f"{dataset.name}: factors are numbers above zero, of mapped columns with numbers: {column}"
            )
    if "zone" in told and told["zone"] not in zones():
        raise MappingRefused(f"{dataset.name}: {told['zone']} is no IANA zone")
    if told.get("decimal", ".") not in (".", ","):
        raise MappingRefused(f"{dataset.name}: decimal is . or ,")
    missing = sorted(set(columns.values()) - set(theirs.columns))
    if missing:
        raise MappingRefused(f"{told.get('file', dataset.name)}: no column {', '.join(missing)}")
    rows = pd.DataFrame({ours: theirs[name] for ours, name in columns.items()}, index=theirs.index)
    for column, words in values.items():
        rows[column] = rows[column].replace(words)
    for column, value in fixed.items():
        rows[column] = value
    for column in rows.columns:
        rows[column] = _ours(rows[column], dataset.column(column).kind, told)
    for column, factor in factors.items():
        rows[column] = rows[column].map(partial(_times, factor=Decimal(str(factor))))
    return rows


def _multiplies(factor: object) -> bool:
    return isinstance(factor, int | float) and not isinstance(factor, bool) and 0 < factor < float("inf")


def _times(text: str, factor: Decimal) -> str:
    """A number in another unit as a feed writes it in ours; what is none stays as it is."""
    plain = plain_number(text)
    return text if plain is None else f"{Decimal(plain) * factor:f}"


def _ours(column: pd.Series[str], kind: str, told: Mapping[str, Any]) -> pd.Series[str]:
    """A column of theirs as a feed writes its kind, by what the mapping says of numbers, times and days."""
    if kind == "instant" and (told.get("zone") or told.get("time_format")):
        return column.map(partial(_instant, zone=told.get("zone"), form=told.get("time_format")))
    if kind == "date":
        return column.map(partial(_day, form=told.get("date_format", "%d.%m.%Y")))
    if kind in NUMBERS and "decimal" in told:
        return column.map(partial(_number, mark=told["decimal"]))
    return column


def _number(text: str, mark: str) -> str:
    """A number with that decimal mark as a feed writes it; what is none stays as it is."""
    plain = plain_number(with_commas(text) if mark == "," else american(text))
    return text if plain is None else plain


def _day(text: str, form: str) -> str:
    """A day in that form as a feed writes it; any other text stays as it is."""
    try:
        return dt.datetime.strptime(text.strip(), form).date().isoformat()
    except ValueError:
        return text


def _instant(text: str, zone: str | None, form: str | None) -> str:
    """A time of a zone as an instant; what cannot be read, or is no single instant there, stays as it is.

    Without a form: ISO 8601, or the day first with dots. What stands before slashes may be day or month.
    """
    try:
        at = dt.datetime.strptime(text.strip(), form) if form else _plain_time(text.strip())
    except (ValueError, RowProblem):
        return text
    if at.tzinfo is None and zone is None:
        return text
    told = [at] if at.tzinfo else [at.replace(tzinfo=ZoneInfo(str(zone)), fold=fold) for fold in (0, 1)]
    first, *other = [one.astimezone(dt.UTC) for one in told]
    return first.isoformat().replace("+00:00", "Z") if other in ([], [first]) else text


def _plain_time(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return clock(text, "")


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


COMPARED = {
    "commissions": ("partner_id", "currency", "amount", "happened_at"),
    "payouts": ("payout_id", "currency", "amount", "settled_at"),
}
FINER = {"commissions": ("challenge_id", "event", "level"), "payouts": ()}
"""Columns that a file may have besides: sums by these too hide no two differences that make up for each other."""


def read_other(kind: str, file: Any) -> pd.DataFrame:
    """Another system's commissions or payouts from a CSV with the columns of `COMPARED`; a refusal names the line."""
    name = getattr(file, "name", str(file))
    try:
        rows = read_text(file)
    except (OSError, ValueError) as error:
        raise MappingRefused(f"{name}: cannot be read ({error})") from error
    missing = [column for column in COMPARED[kind] if column not in rows.columns]
    if missing:
        raise MappingRefused(f"{name}: no column {', '.join(missing)}; {kind} have {', '.join(COMPARED[kind])}")
    amount = pd.to_numeric(rows["amount"], errors="coerce")
    told = rows[COMPARED[kind][3]]
    at = pd.to_datetime(told.where(told.str.contains(_OFFSET)), utc=True, errors="coerce", format="ISO8601")
    for column, wrong in (("amount", ~np.isfinite(amount)), (COMPARED[kind][3], at.isna())):
        if wrong.any():
            place = int(wrong.to_numpy().argmax())
            value = rows[column].iloc[place]
            raise MappingRefused(f"{name}, line {place + 2}: {column} is {value!r}, no {_WANTED[column == 'amount']}")
    finer = [column for column in FINER[kind] if column in rows.columns]
    return rows.assign(amount=amount, **{COMPARED[kind][3]: at})[[*COMPARED[kind], *finer]]


_WANTED = {True: "number", False: "ISO 8601 time with an offset"}
_OFFSET = r"(?:Z|[+-]\d\d:?\d\d)\s*$"


def parallel_run(
    warehouse: Warehouse,
    commissions: pd.DataFrame | None,
    payouts: pd.DataFrame | None,
    since: pd.Timestamp,
    until: pd.Timestamp,
) -> dict[str, pd.DataFrame]:
    """Differences of a period to another system, by partner for commissions and by request for what was paid.

    Columns as in `COMPARED`, of `FINER` those that they have; a side that is not given is not compared. Ours are the
    published commissions and settled transfers. The period begins at `since` and ends before `until`.
    """

    def within(frame: pd.DataFrame, column: str) -> pd.DataFrame:
        at = pd.to_datetime(frame[column], utc=True)
        return frame[(at >= since) & (at < until)]

    found = {}
    if commissions is not None:
        earned = read_table(warehouse, "commissions").astype({"amount": "float64"})
        ours, theirs = within(earned, "happened_at"), within(commissions, "happened_at")
        finer = [column for column in FINER["commissions"] if column in theirs.columns]
        ours = ours.assign(**{column: ours[column].astype("string").fillna("") for column in finer})
        found["commissions"] = compare(ours, theirs, ["partner_id", *finer, "currency"])
    if payouts is not None:
        with warehouse.engine() as connection:
            relations.build(connection, "facts.transfers")
            query = "select payout_id, currency, cast(amount as double) as amount, settled_at from facts.transfers"
            paid = connection.execute(f"{query} where status = 'settled'").df()
        ours, theirs = within(paid, "settled_at"), within(payouts, "settled_at")
        found["payouts"] = compare(ours, theirs, ["payout_id", "currency"])
    return found
