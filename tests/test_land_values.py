"""Reading values and judging rows: exact amounts, instants with offsets, reasons in words, two judges that agree."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.expectations import reading
from pipelines.expectations.judging import judge, with_arrow, with_great_expectations
from pipelines.expectations.reading import Batch, read_batch, read_values
from pipelines.expectations.suites import ID_CHARACTERS_MAX, suite
from sql.schema import DATASETS, Kind


def _read(kind: Kind, value: object) -> tuple[object, str | None]:
    values = value if isinstance(value, pa.Array) else pa.array([value])
    typed, unread = read_values(kind, values)
    return typed[0].as_py(), unread[0].as_py()


AMOUNTS: list[tuple[object, str]] = [
    ("100.10", "100.10"),
    (" -0.005 ", "-0.005"),
    ("+7", "7"),
    (".5", "0.5"),
    ("0.123456785", "0.12345678"),
    ("-0.123456789", "-0.12345678"),
    ("1e-05", "0.00001"),
    ("1.5E3", "1500"),
    ("1e-20", "0"),
    ("9999999999.99999999", "9999999999.99999999"),
    ("000000000000001.5", "1.5"),
    (0.1 + 0.2, "0.3"),
    (1234.565, "1234.565"),
    (-0.005, "-0.005"),
    (7, "7"),
    (Decimal("1.23456789012"), "1.23456789"),
]


@pytest.mark.parametrize(("value", "amount"), AMOUNTS)
def test_amounts_are_exact_and_cut_after_eight_decimals(value: object, amount: str) -> None:
    """Half a cent must reach the walk as half a cent, and nothing may be rounded up to it."""
    assert _read("money", value) == (Decimal(amount), None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1,234.50", reading.NO_NUMBER),
        ("1 234", reading.NO_NUMBER),
        ("$5", reading.NO_NUMBER),
        ("nan", reading.NO_NUMBER),
        ("inf", reading.NO_NUMBER),
        ("1_0", reading.NO_NUMBER),
        ("--1", reading.NO_NUMBER),
        ("10000000000", reading.TOO_LARGE),
        ("-10000000000.00", reading.TOO_LARGE),
        ("1e10", reading.TOO_LARGE),
        ("9" * 60, reading.TOO_LARGE),
        (float("inf"), reading.NO_NUMBER),
        (1e22, reading.TOO_LARGE),
    ],
)
def test_what_is_no_amount_is_told_in_words(value: object, reason: str) -> None:
    """Thousands separators, signs of currencies and what is not finite are refused, never guessed."""
    assert _read("money", value) == (None, reason)


@given(st.floats(-9_999_999_999, 9_999_999_999), st.integers(0, 8))
def test_a_binary_float_stands_for_its_shortest_decimal(value: float, decimals: int) -> None:
    """The quick way from floats to amounts agrees with the slow one through their text."""
    rounded = round(value, decimals)
    exact = Decimal(repr(rounded)).quantize(Decimal("1e-8"), "ROUND_DOWN")
    assert _read("money", rounded) == (exact, None)


@given(st.decimals(-9_999_999_999, 9_999_999_999, places=8))
def test_amounts_come_back_as_written(value: Decimal) -> None:
    """Any amount in plain digits is kept to the last place."""
    assert _read("money", f"{value:f}") == (value, None)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T09:15:00.250Z",
        "2026-03-02 09:15:00.25+00:00",
        "2026-03-02T10:15:00.250000+0100",
        "2026-03-02T11:15:00.2500009+02",
        "2026-03-02T09:15:00,250z",
        "2026-03-02t09:15:00.250000999Z",
        "2026-03-02 03:45:00.250 -05:30",
    ],
)
def test_instants_in_every_form_of_the_standard(text: str) -> None:
    """Offsets are applied; digits beyond the microsecond are dropped."""
    assert _read("instant", text) == (dt.datetime(2026, 3, 2, 9, 15, 0, 250_000, dt.UTC), None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2026-03-02T09:15:00", reading.NO_OFFSET),
        ("2026-03-02 09:15", reading.NO_OFFSET),
        ("2026-03-02", reading.NO_OFFSET),
        (dt.datetime(2026, 3, 2), reading.NO_OFFSET),
        ("02.03.2026 09:15Z", reading.NO_INSTANT),
        ("1772442900", reading.NO_INSTANT),
        ("2026-02-30T00:00:00Z", reading.NO_SUCH_TIME),
        ("2026-03-02T25:00:00Z", reading.NO_SUCH_TIME),
        ("1899-12-31T23:59:59Z", reading.FAR_TIME),
        ("2200-01-01T00:00:00Z", reading.FAR_TIME),
    ],
)
def test_times_that_are_no_instants_are_told_in_words(value: object, reason: str) -> None:
    """A naive time is never given a zone by us."""
    assert _read("instant", value) == (None, reason)


def test_one_bad_value_leaves_its_neighbours(kind: Kind = "instant") -> None:
    """The careful way is taken for a whole stretch because of one value; the others keep their meaning."""
    good = [f"2026-03-02T09:15:{second:02}Z" for second in range(60)]
    typed, unread = read_values(kind, pa.array([*good[:30], "2026-02-30T00:00:00Z", None, "", "x", *good[30:]]))
    seconds = [value.second for value in typed.to_pylist() if value is not None]
    assert seconds == list(range(60))
    assert unread.to_pylist()[30:34] == [reading.NO_SUCH_TIME, None, None, reading.NO_INSTANT]
    assert unread.null_count == 62


@pytest.mark.parametrize(
    ("kind", "value", "typed"),
    [
        ("text", " A 1\u00a0", "A 1"),
        ("text", "  ", None),
        ("text", 4711, "4711"),
        ("text", 4711.0, "4711"),
        ("date", "2026-03-02", dt.date(2026, 3, 2)),
        ("date", dt.datetime(2026, 3, 2), dt.date(2026, 3, 2)),
        ("number", "1.1e-1", 0.11),
        ("number", 3, 3.0),
        ("number", "-9999999999.9", -9999999999.9),
        ("number", "1e-12", 1e-12),
        ("number", Decimal("1.5"), 1.5),
        ("instant", pd.Timestamp("2026-03-02T01:00:00.000000999+01:00"), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)),
    ],
)
def test_other_values_by_their_kind(kind: Kind, value: object, typed: object) -> None:
    """Sensible physical types are taken for what they say; surrounding white space is no part of a value."""
    assert _read(kind, value) == (typed, None)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("text", "a\0b", reading.HAS_NUL),
        ("date", "2026-02-30", reading.NO_DATE),
        ("date", dt.datetime(2026, 3, 2, 1), reading.NO_DATE),
        ("number", "1e999", reading.NOT_FINITE),
        ("number", "1e10", reading.OUT_OF_RANGE),
        ("number", -1e308, reading.OUT_OF_RANGE),
        ("number", "5e-324", reading.OUT_OF_RANGE),
        ("number", "nan", reading.NO_NUMBER),
        ("number", float("nan"), reading.NOT_FINITE),
    ],
)
def test_other_values_that_cannot_be_read(kind: Kind, value: object, reason: str) -> None:
    """Each with a reason that says what to write instead, or what is wrong."""
    assert _read(kind, value) == (None, reason)


def test_dictionaries_large_strings_and_nulls_read_like_text() -> None:
    """Writers of Parquet differ in how they store text."""
    plain = pa.array(["1.5", None, "x"])
    expected = [part.to_pylist() for part in read_values("money", plain)]
    for other in (plain.dictionary_encode(), plain.cast(pa.large_string()), plain.cast(pa.string_view())):
        assert [part.to_pylist() for part in read_values("money", other)] == expected
    assert read_values("money", pa.nulls(2))[0].to_pylist() == [None, None]


def _deal(**changed: str | None) -> Batch:
    given = {"account_id": "A", "deal_id": "1", "kind": "trade", "executed_at": "2026-01-01T00:00:00Z", "profit": "0"}
    row = given | changed
    return read_batch(
        DATASETS["deals"], pa.table({k: pa.array([v], pa.string()) for k, v in row.items()}), pa.array([7])
    )


@pytest.mark.parametrize(
    ("changed", "column", "reason"),
    [
        ({"volume": "-0.01"}, "volume", "must not be negative"),
        ({"price": "0"}, "price", "must be above zero in a trade"),
        ({"kind": "Trade"}, "kind", "must be one of trade, balance, credit, fee"),
        ({"profit": None}, "profit", "is required and was not given"),
        ({"profit": "x", "kind": "y"}, "kind", "must be one of trade, balance, credit, fee"),
        ({"executed_at": "2026-01-01T00:00:00"}, "executed_at", reading.NO_OFFSET),
    ],
)
def test_a_failing_row_is_told_once_with_its_first_failing_column(
    changed: dict[str, str | None], column: str, reason: str
) -> None:
    """Line, column, the value as it was read, and the reason in words."""
    judged = judge(_deal(**changed), with_arrow)
    assert judged.rejects.to_dict("records") == [
        {"line": 7, "column": column, "value": changed[column], "reason": reason}
    ]
    assert not judged.keep.any()


@pytest.mark.parametrize(
    "changed", [{}, {"volume": "0"}, {"price": "0.00001"}, {"price": "0", "kind": "balance"}, {"stop_loss": "-1"}]
)
def test_only_what_the_contract_requires_is_required(changed: dict[str, str | None]) -> None:
    """A deal with nothing but its required columns lands, and limits include their own value."""
    assert judge(_deal(**changed), with_arrow).keep.all()


DIRT = [
    "",
    " ",
    "x",
    "x" * 251,
    "-1",
    "0",
    "1",
    "1e999",
    "nan",
    "USD",
    "usd",
    "FR",
    "Europe/Prague",
    "a\0b",
    "2026-01-01",
    None,
]


def _dirty(name: str, rows: int, chance: random.Random) -> Batch:
    """Rows of a dataset, about one value in eight of them dirt."""
    clean = {"instant": "2026-01-01T00:00:00Z", "date": "2026-01-01", "money": "1.5", "number": "2", "text": "ABC"}
    columns = {}
    for column in DATASETS[name].columns:
        good = list(column.allowed) or [clean[column.kind]]
        values = [chance.choice(DIRT if chance.random() < 0.12 else good) for _ in range(rows)]
        columns[column.name] = pa.array(values, pa.string())
    return read_batch(DATASETS[name], pa.table(columns), pa.array(np.arange(rows)))


@pytest.mark.parametrize("name", DATASETS)
def test_great_expectations_and_arrow_give_the_same_answers(name: str) -> None:
    """The live path may use the quick judge only because it is the same judge."""
    batch = _dirty(name, 300, random.Random(name))
    by_suite, by_arrow = judge(batch, with_great_expectations), judge(batch, with_arrow)
    assert (by_suite.keep == by_arrow.keep).all()
    assert by_suite.unexpected == by_arrow.unexpected
    pd.testing.assert_frame_equal(by_suite.rejects, by_arrow.rejects)
    assert 0 < by_arrow.keep.sum() < batch.rows


def test_every_column_and_every_requirement_has_its_expectation() -> None:
    """The suites are generated from the datasets, so that a new column cannot be forgotten."""
    for name, dataset in DATASETS.items():
        tested = {(expectation.column, expectation.test) for expectation in suite(name)}
        assert {(column.name, "readable") for column in dataset.columns} <= tested
        assert {(column.name, "present") for column in dataset.columns if column.required} <= tested
        assert len({expectation.words for expectation in suite(name)}) == len(suite(name))


@pytest.mark.parametrize(("characters", "kept"), [(ID_CHARACTERS_MAX, True), (ID_CHARACTERS_MAX + 1, False)])
def test_an_id_has_at_most_what_every_database_can_index(characters: int, kept: bool) -> None:
    """Ids of any script count in characters; a comment may be longer."""
    frame = pd.DataFrame({"partner_id": ["é" * characters], "name": ["n" * 900], "plan": ["cpa"]})
    table = pa.Table.from_pandas(frame.assign(joined_at="2026-01-01T00:00:00Z"))
    batch = read_batch(DATASETS["partners"], table, pa.array([2]))
    judged = judge(batch, with_great_expectations)
    assert judged.keep.tolist() == [kept]
    assert judged.rejects["reason"].tolist() == ([] if kept else ["must have at most 250 characters"])


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["money", "number", "instant", "date", "text"]), st.lists(st.text("0123456789.eE+-:TZ /x\0")))
def test_any_text_is_read_or_explained(kind: Kind, values: list[str]) -> None:
    """Each value ends as a value, as missing, or with a reason; never as an exception."""
    typed, unread = read_values(kind, pa.array(values, pa.string()))
    for text, value, reason in zip(values, typed.to_pylist(), unread.to_pylist(), strict=True):
        assert (value is None) == (reason is not None or not text.strip())
