"""Taking files apart: every row with its line, and one clear sentence for what cannot be read at all."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import files
from pipelines.files import FeedRefused, Stretch
from pipelines.land import land_paths
from sql.warehouse import Warehouse

RATES = "currency,day,rate_to_usd\n"


def _read(path: Path) -> list[Stretch]:
    return list(files.read(files.inspect(path)))


def _lines(stretches: list[Stretch]) -> list[int]:
    return [line for stretch in stretches for line in stretch.lines.to_pylist()]


def _write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_lines_count_quoted_newlines_blank_lines_and_both_line_ends(tmp_path: Path) -> None:
    """A reject must be found again in the file, so the line is where its record begins."""
    path = _write(
        tmp_path,
        "news.csv",
        "event_id,occurs_at,currency,impact,title\r\n"
        'N1,2026-01-01T00:00:00Z,USD,high,"two\nlines, and a ""quote"""\r\n'
        "\n"
        "N2,2026-01-01T00:00:00Z,USD,high\n"
        'N3,2026-01-01T00:00:00Z,USD,high,5" disk\n'
        "N4,2026-01-01T00:00:00Z,USD,high,last without line end",
    )
    stretches = _read(path)
    assert _lines(stretches) == [2, 6, 7]
    assert stretches[0].table["title"].to_pylist() == ['two\nlines, and a "quote"', '5" disk', "last without line end"]
    assert [(b.line, b.reason) for b in stretches[0].broken] == [(5, "has 4 cells where the header has 5")]
    assert stretches[0].rows == 4


def test_blocks_of_any_size_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a block of bytes ends must not show, not in a quote, not between the two bytes of a line end."""
    rows = "".join(f'E{i},2026-01-01T00:00:00Z,USD,high,"é\r\n""{i}"""\r\n' for i in range(40))
    path = _write(tmp_path, "news.csv", "event_id,occurs_at,currency,impact,title\r\n" + rows)
    whole = _read(path)
    for size in (41, 42, 43, 64, 97):
        monkeypatch.setattr(files, "BLOCK_BYTES", size)
        parts = _read(path)
        assert len(parts) > 1
        assert pa.concat_tables([part.table for part in parts]).equals(whole[0].table.combine_chunks())
        assert _lines(parts) == _lines(whole)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text("a\"', \r\n;é", max_size=6), min_size=3, max_size=3), max_size=8), st.booleans())
def test_csv_of_any_writer_comes_back(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]], quote_all: bool
) -> None:
    """What the csv module writes is what is read, cell by cell."""
    told = io.StringIO(newline="")
    writer = csv.writer(told, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL)
    writer.writerow(["currency", "day", "rate_to_usd"])
    writer.writerows(cells)
    path = _write(tmp_path_factory.mktemp("csv"), "rates.csv", told.getvalue())
    read = [list(row.values()) for stretch in _read(path) for row in stretch.table.to_pylist()]
    assert read == cells


def test_columns_in_any_order_and_unknown_ones_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An exporter may add and move columns; what is not understood is said, not refused."""
    path = _write(tmp_path, "rates-2026.csv", "note,rate_to_usd,day,currency\nx,1.1,2026-01-01,EUR\n")
    feed = files.inspect(path)
    assert "column note is not part of rates and was ignored" in caplog.text
    assert next(iter(files.read(feed))).table.to_pylist() == [
        {"rate_to_usd": "1.1", "day": "2026-01-01", "currency": "EUR"}
    ]


def test_json_numbers_keep_their_text(tmp_path: Path) -> None:
    """100.10 must not pass through a binary float on its way to an amount."""
    lines = ['{"currency":"EUR","day":"2026-01-01","rate_to_usd":100.10}', "", "[1]", '{"currency":', '{"day":{"y":1}}']
    (stretch,) = _read(_write(tmp_path, "rates.jsonl", "\n".join(lines)))
    assert stretch.table["rate_to_usd"].to_pylist() == ["100.10"]
    assert [(b.line, b.column, b.value) for b in stretch.broken] == [
        (3, None, "[1]"),
        (4, None, '{"currency":'),
        (5, "day", '{"y": "1"}'),
    ]


def test_gzip_reads_like_the_text_inside(tmp_path: Path) -> None:
    """The text formats may come compressed."""
    text = RATES + "EUR,2026-01-01,1.1\n"
    plain, packed = _write(tmp_path, "rates.csv", text), tmp_path / "rates.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert _read(packed)[0].table.equals(_read(plain)[0].table)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    """Spreadsheets write one in front of UTF-8."""
    path = _write(tmp_path, "rates.csv", "\ufeff" + RATES + "EUR,2026-01-01,1.1\n")
    assert _read(path)[0].table["currency"].to_pylist() == ["EUR"]


def test_a_folder_is_read_in_name_order_without_its_truth(tmp_path: Path) -> None:
    """`truth.json` lies beside a demo feed; everything else must be a dataset."""
    for name in ("rates-2.csv", "rates-1.csv", "truth.json", ".hidden"):
        _write(tmp_path, name, RATES)
    assert [path.name for path in files.collect([tmp_path])] == ["rates-1.csv", "rates-2.csv"]
    with pytest.raises(FeedRefused, match="unknown dataset 'truth'"):
        files.inspect(tmp_path / "truth.json")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rates.csv")
    with pytest.raises(FeedRefused, match="is a pipe or a device"):
        files.inspect(tmp_path / "rates.csv")


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """What was there is perhaps half a row; the same file complete lands."""
    path = _write(tmp_path, "rates.csv", RATES + "EUR,2026-01-01,1.0")
    feed, before = files.inspect(path), files.stamp(path)
    with path.open("a") as out:
        out.write("857\n")
    with pytest.raises(FeedRefused, match="was written while it was read"):
        list(files.read_unchanged(feed, before))
    assert len(list(files.read_unchanged(feed, files.stamp(path)))) == 1


def test_a_name_that_is_no_text_is_kept_written_out(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"rates-\xff.csv")
    path.write_text(RATES + "EUR,2026-01-01,1\n")
    assert land_paths(warehouse, [path])[0].file == str(tmp_path / "rates-\\xff.csv")


REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "unknown dataset": ("orders.csv", "a\n1\n", "unknown dataset 'orders'"),
    "unknown format": ("rates.xlsx", "x", "unknown format"),
    "empty": ("rates.csv", "", "is empty"),
    "missing column": ("rates.csv", "currency,day\n", "missing required column rate_to_usd"),
    "repeated column": ("rates.csv", "currency,day,day,rate_to_usd\n", "column day stands more than once"),
    "semicolons": ("rates.csv", "currency;day;rate_to_usd\n", "separated by commas"),
    "Windows-1252": ("rates.csv", RATES.encode() + b"EUR,2026-01-01,1\nEU\xe9,1,1\n", "line 3 has the byte 0xE9"),
    "UTF-16": ("rates.csv", RATES.encode("utf-16"), "UTF-16"),
    "open quote": ("rates.csv", RATES + 'EUR,2026-01-01,1\n"EUR,2026-01-01,1\n', "line 3 is never closed"),
    "a workbook": ("rates.csv", b"PK\x03\x04xxxx", "looks like a ZIP archive or workbook"),
    "gzip without its suffix": ("rates.csv", gzip.compress(RATES.encode()), "looks like gzip"),
    "suffix without gzip": ("rates.csv.gz", RATES, "is not gzip"),
    "truncated gzip": ("rates.csv.gz", gzip.compress((RATES * 9000).encode(), 1)[:-9], "damaged or cut short"),
    "JSON array": ("rates.jsonl", '[{"currency":"EUR"}]', "is not JSON Lines"),
    "JSON without a column": ("rates.jsonl", '{"currency":"EUR","day":"x"}', "missing required column rate_to_usd"),
    "text as Parquet": ("rates.parquet", RATES, "is not Parquet"),
    "cut Parquet": ("rates.parquet", b"PAR1" + b"x" * 50, "cannot be read as Parquet"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    """What, where and why, and never another exception."""
    name, content, words = REFUSED[case]
    path = _write(tmp_path, name, content)
    with pytest.raises(FeedRefused, match=words) as refusal:
        _read(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_parquet_of_another_schema_names_the_column(tmp_path: Path) -> None:
    """A list where an amount belongs, an instant as a number: refused before anything is read."""
    day = dt.date(2026, 1, 1)
    for column in ({"rate_to_usd": [[1.0]]}, {"day": [20260101]}, {"currency": [True]}):
        path = tmp_path / "rates.parquet"
        pq.write_table(pa.table({"currency": ["EUR"], "day": [day], "rate_to_usd": [1.0]} | column), path)
        with pytest.raises(FeedRefused, match=f"column {next(iter(column))} is of type"):
            files.inspect(path)


def test_damaged_parquet_pages_refuse_the_file(tmp_path: Path) -> None:
    """The footer may be whole while the data is not."""
    path = tmp_path / "rates.parquet"
    names = [f"C{i}" for i in range(9000)]
    pq.write_table(pa.table({"currency": names, "day": names, "rate_to_usd": names}), path, compression="zstd")
    damaged = bytearray(path.read_bytes())
    damaged[20:4000] = bytes(3980)
    path.write_bytes(damaged)
    with pytest.raises(FeedRefused, match="damaged after row 0"):
        _read(path)


def test_rows_of_parquet_count_from_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of later batches go on counting."""
    monkeypatch.setattr(files, "PARQUET_ROWS", 2)
    path = tmp_path / "rates.parquet"
    day = [dt.date(2026, 1, 1)] * 5
    pq.write_table(pa.table({"currency": list("abcde"), "day": day, "rate_to_usd": [1.0] * 5}), path)
    assert _lines(_read(path)) == [1, 2, 3, 4, 5]


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_end_in_rows_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """No content of a file may end in another exception."""
    folder = tmp_path_factory.mktemp("fuzz")
    record = json.dumps({"currency": "EUR", "day": "2026-01-01", "rate_to_usd": 1})
    for name, head in (("rates.csv", RATES), ("rates.jsonl", record + "\n"), ("rates.parquet", "PAR1")):
        path = _write(folder, name, head.encode() + data)
        try:
            rows = sum(stretch.rows for stretch in _read(path))
        except FeedRefused as refusal:
            assert str(path) in str(refusal)
        else:
            assert rows >= 0
