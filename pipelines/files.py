"""Reads feed files as they were written: CSV, JSON Lines and Parquet, in stretches, every row with its line.

Nothing is interpreted here beyond taking rows apart: text stays text, so that a refused value can be shown as read.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from models.compiled import compiled
from sql.one_line import one_line
from sql.schema import DATASETS, Dataset, Kind

LOG = logging.getLogger("highwater.landing")
BLOCK_BYTES = 32 << 20
RECORD_BYTES_MAX = 64 << 20
PARQUET_ROWS = 500_000
HEADER_BYTES = 1 << 20
SAID_CHARACTERS_MAX = 300
FORMS = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
BESIDE_FEEDS = ("truth.json",)
SIGN_BYTES = 6
_SIGNS = {
    b"\x1f\x8b": "gzip", b"PK\x03\x04": "a ZIP archive or workbook", b"PAR1": "Parquet", b"PARE": "encrypted Parquet",
    b"\xff\xfe": "UTF-16 text", b"\xfe\xff": "UTF-16 text", b"BZh": "bzip2", b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard", b"7z\xbc\xaf": "a 7-Zip archive", b"%PDF": "PDF",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel", b"SQLite": "an SQLite database",
}  # fmt: skip
_QUOTE, _COMMA, _RETURN, _NEWLINE = 34, 44, 13, 10
_TOO_LONG = f"is longer than {RECORD_BYTES_MAX:,} bytes"
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)


class FeedRefused(Exception):
    """A feed that cannot be landed: what, where, why, and what to do, in one sentence."""


class Broken(NamedTuple):
    """A row that could not be taken apart into cells."""

    line: int
    column: str | None
    value: str | None
    reason: str


@dataclass(frozen=True)
class Stretch:
    """Consecutive rows of a file as they were read, and those among them that could not be taken apart."""

    table: pa.Table
    lines: pa.Array
    broken: tuple[Broken, ...] = ()

    @property
    def rows(self) -> int:
        """Data rows read, broken ones included."""
        return int(self.table.num_rows) + len(self.broken)


@dataclass(frozen=True)
class Feed:
    """A file whose name and header have been checked: its dataset, its form and the columns that will be read."""

    path: Path
    dataset: Dataset
    form: str
    compressed: bool
    columns: tuple[str, ...]

    @property
    def label(self) -> str:
        """The file as it was given."""
        return shown(self.path)


def collect(paths: Iterable[Path]) -> list[Path]:
    """Every file to land, folders replaced by their files in name order; FeedRefused when there is nothing to read."""
    found: list[Path] = []
    for path in paths:
        found += _files_of(path) if path.is_dir() else [path]
    return found


def _files_of(folder: Path) -> list[Path]:
    names = sorted(folder.iterdir(), key=lambda entry: entry.name)
    beside = [entry for entry in names if entry.name in BESIDE_FEEDS or entry.name.startswith((".", "_"))]
    for entry in beside:
        LOG.info("%s is no feed and was skipped", shown(entry))
    feeds = [entry for entry in names if entry not in beside]
    if not feeds:
        raise FeedRefused(f"{shown(folder)} holds no feed files; put files such as deals.csv into it")
    return feeds


def inspect(path: Path) -> Feed:
    """Checks what can be told without reading the rows: name, form, header, column types; FeedRefused otherwise."""
    if not path.exists():
        raise FeedRefused(f"{shown(path)} does not exist")
    if path.is_dir():
        raise FeedRefused(f"{shown(path)} is a folder inside a folder; name it on its own, or move its files up")
    if not path.is_file():
        raise FeedRefused(f"{shown(path)} is a pipe or a device; write its rows into a file and land that")
    dataset, form, compressed = _name_of(path)
    feed = Feed(path, dataset, form, compressed, ())
    _check_magic(feed)
    columns = _HEADERS[form](feed)
    return Feed(path, dataset, form, compressed, _known(feed, columns))


def untold(feed: Feed) -> frozenset[str]:
    """Columns of the dataset that a checked file does not have; none of JSON Lines, where each record names its own."""
    return frozenset() if feed.form == "jsonl" else frozenset(feed.dataset.names) - set(feed.columns)


def read(feed: Feed) -> Iterator[Stretch]:
    """The rows of a checked file, in order; FeedRefused when the file turns out to be unreadable."""
    return _READERS[feed.form](feed)


@dataclass(frozen=True)
class Stamp:
    """What tells a file from one that was written since."""

    inode: int
    size: int
    written_ns: int


def stamp(path: Path) -> Stamp:
    """How a file stands now."""
    held = path.stat()
    return Stamp(held.st_ino, held.st_size, held.st_mtime_ns)


def read_unchanged(feed: Feed, before: Stamp) -> Iterator[Stretch]:
    """The rows of a file; FeedRefused at their end when it is not what it was: its last row may be half a row."""
    yield from read(feed)
    if stamp(feed.path) != before:
        raise FeedRefused(f"{feed.label} was written while it was read; land it again when it is complete")


def shown(path: Path) -> str:
    """A path as every database and terminal can keep it; bytes that are no text and control characters written out."""
    return one_line(str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def _named(names: Iterable[str]) -> str:
    """Column names of a file in a sentence, as many as it holds."""
    return one_line(", ".join(name for name in names if name))[:SAID_CHARACTERS_MAX]


def _name_of(path: Path) -> tuple[Dataset, str, bool]:
    name = path.name
    compressed = name.endswith(".gz")
    suffix = Path(name.removesuffix(".gz")).suffix
    stem = name.split(".")[0].split("-")[0]
    if stem not in DATASETS:
        named = f"a feed file is named after its dataset, one of {', '.join(DATASETS)}"
        raise FeedRefused(f"{shown(path)}: unknown dataset {shown(Path(stem))!r}; {named}")
    if suffix not in FORMS or (compressed and suffix == ".parquet"):
        raise FeedRefused(
            f"{shown(path)}: unknown format; a feed ends in .csv, .jsonl or .parquet (.csv.gz, .jsonl.gz)"
        )
    return DATASETS[stem], FORMS[suffix], compressed


def _check_magic(feed: Feed) -> None:
    """Refuses a file whose first bytes belong to another format than its name says."""
    try:
        with feed.path.open("rb") as stream:
            first = stream.read(SIGN_BYTES)
    except OSError as error:
        raise FeedRefused(f"{feed.label} cannot be opened: {error.strerror}") from error
    if not first:
        raise FeedRefused(f"{feed.label} is empty; a feed has at least a header")
    _check_sign(feed, first, {"parquet": "Parquet"}.get(feed.form, "gzip" if feed.compressed else "text"))
    if feed.compressed:
        _check_sign(feed, next(_blocks(feed, SIGN_BYTES), b""), "text")


def _check_sign(feed: Feed, first: bytes, expected: str) -> None:
    actual = next((name for sign, name in _SIGNS.items() if first.startswith(sign)), "text")
    if actual == "text" and b"\0" in first:
        actual = "UTF-16 text or a binary file"
    if actual != expected:
        wanted = "UTF-8 text" if expected == "text" else expected
        raise FeedRefused(f"{feed.label} is not {wanted} as its name says: it looks like {actual}")


def _known(feed: Feed, columns: list[str]) -> tuple[str, ...]:
    """The columns of the contract that a file has; refuses missing required and repeated ones."""
    repeated = sorted(name for name, times in Counter(columns).items() if name and times > 1)
    if repeated:
        raise FeedRefused(f"{feed.label}: column {_named(repeated)} stands more than once in the header")
    missing = [column.name for column in feed.dataset.columns if column.required and column.name not in columns]
    if missing:
        raise FeedRefused(f"{feed.label}: missing required column {', '.join(missing)}{_separator_hint(columns)}")
    belong = set(feed.dataset.names)
    extra = [name for name in columns if name not in belong]
    if any(extra):
        LOG.warning("%s: column %s is not part of %s and was ignored", feed.label, _named(extra), feed.dataset.name)
    return tuple(name for name in columns if name in belong)


def _separator_hint(columns: list[str]) -> str:
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        return "; cells must be separated by commas"
    return f"; the file has {_named(columns)}" if any(columns) else "; the file has no column names"


def _open(feed: Feed) -> BinaryIO:
    return cast(BinaryIO, gzip.open(feed.path, "rb")) if feed.compressed else feed.path.open("rb")


def _blocks(feed: Feed, size: int) -> Iterator[bytes]:
    """The bytes of a text file, uncompressed, without a byte-order mark."""
    with _open(feed) as stream:
        try:
            block = stream.read(size).removeprefix(b"\xef\xbb\xbf")
            while block:
                yield block
                block = stream.read(size)
        except _DAMAGED as error:
            raise FeedRefused(
                f"{feed.label}: the gzip data is damaged or cut short ({error}); send it again"
            ) from error


def _decoded(feed: Feed, data: bytes, line: int) -> str:
    """Text of whole lines that begin at a line; a byte that is not UTF-8 refuses the file."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        where = line + data.count(b"\n", 0, error.start)
        raise FeedRefused(
            f"{feed.label} is not UTF-8: line {where} has the byte 0x{data[error.start]:02X}; save it as UTF-8"
        ) from error


# --- CSV ---------------------------------------------------------------------------------------------------------


_Array = np.ndarray[Any, Any]


class _Records(NamedTuple):
    """Where the records of a block start and end, on which line, and how many cells they have."""

    starts: _Array
    ends: _Array
    lines: _Array
    cells: _Array
    consumed: int
    next_line: int
    open_quote: bool


@compiled
def _scan(
    data: _Array, final: bool, line: int, starts: _Array, ends: _Array, lines: _Array, cells: _Array
) -> tuple[int, int, int, bool]:
    """Finds records as RFC 4180 reads them, a quote counting only where a cell begins; blank lines are no records."""
    size, count, position, start, commas = len(data), 0, 0, 0, 0
    quoted, fresh, first_line = False, True, line
    while position < size:
        byte = data[position]
        if quoted:
            if byte == _QUOTE:
                if position + 1 < size and data[position + 1] == _QUOTE:
                    position += 1
                else:
                    quoted = False
            elif byte == _NEWLINE:
                line += 1
        elif byte == _QUOTE and fresh:
            quoted, fresh = True, False
        elif byte == _COMMA:
            commas, fresh = commas + 1, True
        elif byte in (_NEWLINE, _RETURN):
            end = position
            if byte == _RETURN:
                if position + 1 < size:
                    position += data[position + 1] == _NEWLINE
                elif not final:
                    break
            if end > start:
                starts[count], ends[count], lines[count], cells[count] = start, end, first_line, commas + 1
                count += 1
            line += 1
            start, commas, fresh, first_line = position + 1, 0, True, line
        else:
            fresh = False
        position += 1
    if final and start < size:
        starts[count], ends[count], lines[count], cells[count] = start, size, first_line, commas + 1
        count, start = count + 1, size
    return count, start, first_line, quoted


def _records(data: bytes, final: bool, line: int) -> _Records:
    """The whole records of a block whose first byte is on a line."""
    raw = np.frombuffer(data, dtype=np.uint8)
    most = data.count(b"\n") + data.count(b"\r") + 1
    found = [np.empty(most, dtype=np.int64) for _ in range(4)]
    count, consumed, next_line, quoted = _scan(raw, final, line, *found)
    starts, ends, lines, cells = (part[:count] for part in found)
    return _Records(starts, ends, lines, cells, int(consumed), int(next_line), bool(quoted))


def _csv_header(feed: Feed) -> list[str]:
    block, final = next(_with_last(_blocks(feed, HEADER_BYTES)))
    records = _records(block, final, 1)
    if not len(records.starts):
        raise FeedRefused(f"{feed.label} has no header row in its first {HEADER_BYTES:,} bytes")
    return _header_cells(feed, block, records)


def _header_cells(feed: Feed, block: bytes, records: _Records) -> list[str]:
    text = _decoded(feed, block[: records.ends[0]], 1)
    return [cell.strip() for cell in next(csv.reader(io.StringIO(text, newline="")))]


def _read_csv(feed: Feed) -> Iterator[Stretch]:
    tail, line, header = b"", 1, list[str]()
    for block, final in _with_last(_blocks(feed, BLOCK_BYTES)):
        data = tail + block
        records = _records(data, final, line)
        _check_quotes(feed, records, data, final)
        _decoded(feed, data[: records.consumed], line)
        if not header and len(records.starts):
            header = _header_cells(feed, data, records)
            records = _without_first(records)
        if len(records.starts):
            yield _csv_stretch(feed, data, records, header)
        tail, line = data[records.consumed :], records.next_line


def _without_first(records: _Records) -> _Records:
    starts, ends, lines, cells = (part[1:] for part in records[:4])
    return records._replace(starts=starts, ends=ends, lines=lines, cells=cells)


def _with_last(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Blocks, each with whether it is the last."""
    held = next(blocks, b"")
    for block in blocks:
        yield held, False
        held = block
    yield held, True


def _check_quotes(feed: Feed, records: _Records, data: bytes, final: bool) -> None:
    if final and records.open_quote:
        line = records.lines[-1] if len(records.lines) else records.next_line
        raise FeedRefused(f"{feed.label}: a quote opened in the record of line {line} is never closed")
    if len(data) - records.consumed > RECORD_BYTES_MAX:
        why = ": a quote opened in it is not closed" if records.open_quote else ""
        raise FeedRefused(f"{feed.label}: the record of line {records.next_line} {_TOO_LONG}{why}")


def _csv_stretch(feed: Feed, data: bytes, records: _Records, header: list[str]) -> Stretch:
    whole = records.cells == len(header)
    broken = tuple(
        Broken(
            int(records.lines[i]),
            None,
            data[records.starts[i] : records.ends[i]].decode(),
            f"has {records.cells[i]} cells where the header has {len(header)}",
        )
        for i in np.flatnonzero(~whole)
    )
    body = data[records.starts[0] : records.consumed]
    if broken:
        body = b"\n".join(data[records.starts[i] : records.ends[i]] for i in np.flatnonzero(whole))
    lines = pa.array(records.lines[whole])
    return Stretch(_csv_table(feed, body, header, len(lines)), lines, broken)


def _csv_table(feed: Feed, body: bytes, header: list[str], rows: int) -> pa.Table:
    """Cells as text, one column per column of the dataset that the file has."""
    named = [name if name in feed.columns else f"#{place}" for place, name in enumerate(header)]
    if not rows:
        return pa.table({name: pa.array([], pa.string()) for name in feed.columns})
    table = pacsv.read_csv(
        pa.BufferReader(body),
        pacsv.ReadOptions(column_names=named, block_size=max(len(body), 1)),
        pacsv.ParseOptions(newlines_in_values=b'"' in body),
        pacsv.ConvertOptions(
            column_types={name: pa.string() for name in named},
            include_columns=list(feed.columns),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    if table.num_rows != rows:
        raise FeedRefused(f"{feed.label}: {rows} records were counted but {table.num_rows} read; check its quotes")
    return table


# --- JSON Lines --------------------------------------------------------------------------------------------------

_NOT_AN_OBJECT = "is not a JSON object on one line, each name in it once"


def _as_written(text: str) -> str:
    return text


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs of a JSON object; ValueError where a name stands twice, since nobody knows which value is meant."""
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("names a column twice")
    return record


_JSON = json.JSONDecoder(
    parse_float=_as_written, parse_int=_as_written, parse_constant=_as_written, object_pairs_hook=once
)


def _jsonl_header(feed: Feed) -> list[str]:
    """Names used by the first objects of the file; a record may leave out what is not required."""
    block, final = next(_with_last(_blocks(feed, HEADER_BYTES)))
    whole = block if final else block[: block.rfind(b"\n") + 1]
    objects, broken = _objects(_decoded(feed, whole, 1), 1)
    if broken and not objects:
        raise FeedRefused(f"{feed.label} is not JSON Lines: line {broken[0].line} {_NOT_AN_OBJECT}")
    names = dict.fromkeys(name for _, record in objects for name in record)
    return list(names) if objects else list(feed.dataset.names)


def _objects(text: str, line: int) -> tuple[list[tuple[int, dict[str, Any]]], list[Broken]]:
    """The objects of whole lines, each with its line, and the lines that hold none; blank lines count for neither."""
    objects: list[tuple[int, dict[str, Any]]] = []
    broken: list[Broken] = []
    for place, written in enumerate(text.split("\n"), start=line):
        stripped = written.strip()
        if stripped:
            record = _object(stripped)
            if record is None:
                broken.append(Broken(place, None, stripped, _NOT_AN_OBJECT))
            else:
                objects.append((place, record))
    return objects, broken


def _object(text: str) -> dict[str, Any] | None:
    """The object of one line with its numbers as they were written; None when the line holds no such thing."""
    try:
        record = _JSON.decode(text)
        if "\\u" in text:
            json.dumps(record, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _read_jsonl(feed: Feed) -> Iterator[Stretch]:
    tail, line = b"", 1
    for block, final in _with_last(_blocks(feed, BLOCK_BYTES // 2)):
        data = tail + block
        cut = len(data) if final else data.rfind(b"\n") + 1
        if len(data) - cut > RECORD_BYTES_MAX:
            raise FeedRefused(f"{feed.label}: the record of line {line} {_TOO_LONG}")
        objects, broken = _objects(_decoded(feed, data[:cut], line), line)
        line, tail = line + data.count(b"\n", 0, cut), data[cut:]
        if objects or broken:
            yield _jsonl_stretch(feed.dataset, objects, broken)


def _jsonl_stretch(dataset: Dataset, objects: list[tuple[int, dict[str, Any]]], broken: list[Broken]) -> Stretch:
    flat = []
    for line, record in objects:
        nested = next((name for name in dataset.names if isinstance(record.get(name), dict | list)), None)
        if nested is None:
            flat.append((line, record))
        else:
            value = json.dumps(record[nested], ensure_ascii=False)
            broken.append(Broken(line, nested, value, "is a list or an object where one value belongs"))
    table = pa.table({name: pa.array([_cell(r.get(name)) for _, r in flat], pa.string()) for name in dataset.names})
    return Stretch(table, pa.array([line for line, _ in flat], pa.int64()), tuple(broken))


def _cell(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return cast("str | None", value)


# --- Parquet -----------------------------------------------------------------------------------------------------


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


_FITTING: dict[Kind, Callable[[pa.DataType], bool]] = {
    "text": _is_number,
    "instant": pa.types.is_timestamp,
    "date": lambda kind: bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind)),
    "money": _is_number,
    "number": _is_number,
    "integer": _is_number,
}


def check_types(label: str, dataset: Dataset, schema: pa.Schema) -> None:
    """Refuses columns whose type cannot hold what the dataset keeps in them."""
    for found in schema:
        if found.name not in dataset.names:
            continue
        kind = dataset.column(found.name).kind
        if not (_is_text(found.type) or pa.types.is_null(found.type) or _FITTING[kind](found.type)):
            raise FeedRefused(f"{label}: column {found.name} is of type {found.type} where {dataset.name} has {kind}")


def _parquet(feed: Feed) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(feed.path, buffer_size=1 << 20, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise FeedRefused(f"{feed.label} cannot be read as Parquet: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _parquet_header(feed: Feed) -> list[str]:
    with _parquet(feed) as file:
        names = list(file.schema_arrow.names)
        check_types(feed.label, feed.dataset, file.schema_arrow)
    return names


def _read_parquet(feed: Feed) -> Iterator[Stretch]:
    first = 1
    with _parquet(feed) as file:
        batches = file.iter_batches(batch_size=PARQUET_ROWS, columns=list(feed.columns))
        while True:
            try:
                batch = next(batches, None)
                if batch is not None:
                    batch.validate(full=True)
            except (pa.ArrowException, OSError) as error:
                raise FeedRefused(f"{feed.label} is damaged after row {first - 1}: {_first_line(error)}") from error
            if batch is None:
                return
            lines = pa.array(np.arange(first, first + batch.num_rows, dtype=np.int64))
            first += batch.num_rows
            yield Stretch(pa.Table.from_batches([batch]), lines)


_HEADERS: dict[str, Callable[[Feed], list[str]]] = {
    "csv": _csv_header,
    "jsonl": _jsonl_header,
    "parquet": _parquet_header,
}
_READERS: dict[str, Callable[[Feed], Iterator[Stretch]]] = {
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
}
