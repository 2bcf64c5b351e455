"""Judges the rows of a batch by the suite of their dataset: with Great Expectations, or with the same suite in Arrow.

Both give the same answers. Great Expectations judges what is large; the Arrow form is for small, frequent batches,
where the seconds of its import and the tenths of each validation would be most of the work.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.expectations.reading import Batch
from pipelines.expectations.suites import Expectation, look_at, suite

VALUE_CHARACTERS_MAX = 1_000
# From here on what Great Expectations takes at all is little beside reading and writing the rows.
LARGE_ROWS = 10_000
Judge = Callable[[Batch], list[np.ndarray[Any, Any]]]


@dataclass(frozen=True)
class Judged:
    """Which rows hold, why the others do not, and what each expectation said.

    `keep` is one boolean per row; `rejects` has line, column, value, reason; `unexpected` counts by expectation.
    """

    keep: np.ndarray[Any, Any]
    rejects: pd.DataFrame
    unexpected: dict[str, int]


def judge(batch: Batch, by: Judge) -> Judged:
    """Rows judged by the dataset's suite; each failing row is told once, with the first expectation that it fails."""
    expectations = suite(batch.dataset.name)
    failures = by(batch)
    first = np.full(batch.rows, len(expectations))
    for place in reversed(range(len(expectations))):
        first[failures[place]] = place
    unexpected = {e.words: len(failed) for e, failed in zip(expectations, failures, strict=True)}
    return Judged(first == len(expectations), _rejects(batch, expectations, first), unexpected)


def _rejects(batch: Batch, expectations: tuple[Expectation, ...], first: np.ndarray[Any, Any]) -> pd.DataFrame:
    rows = np.flatnonzero(first < len(expectations))
    told = [(int(row), expectations[first[row]]) for row in rows]
    return pd.DataFrame(
        {
            "line": batch.lines.take(pa.array(rows)).to_pylist(),
            "column": [expectation.column for _, expectation in told],
            "value": [as_read(batch, expectation.column, row) for row, expectation in told],
            "reason": [_reason(batch, expectation, row) for row, expectation in told],
        },
        dtype=object,
    )


def as_read(batch: Batch, column: str, row: int) -> str | None:
    """A value as the feed had it, None where it had none."""
    value = batch.raw[column][row] if column in batch.raw.column_names else None
    if value is None or not value.is_valid:
        return None
    try:
        return printable(str(value.as_py()))
    except (OverflowError, ValueError):
        return str(value.value)


def _reason(batch: Batch, expectation: Expectation, row: int) -> str:
    if expectation.test == "readable":
        return str(batch.unread[expectation.column][row].as_py())
    return expectation.reason


def printable(value: str) -> str:
    """A value that any database can keep: NUL characters written out, very long text cut."""
    value = value.replace("\0", "\\0")
    return value if len(value) <= VALUE_CHARACTERS_MAX else value[: VALUE_CHARACTERS_MAX - 1] + "…"


def by_size(batch: Batch) -> list[np.ndarray[Any, Any]]:
    """Rows failing each expectation of the suite, in its order, found by the way that suits the batch's size."""
    return with_great_expectations(batch) if batch.rows >= LARGE_ROWS else with_arrow(batch)


def with_arrow(batch: Batch) -> list[np.ndarray[Any, Any]]:
    """Rows failing each expectation of the suite, in its order, found with Arrow."""
    return [_failing(look_at(batch, expectation), expectation) for expectation in suite(batch.dataset.name)]


def _failing(values: pa.Array, expectation: Expectation) -> np.ndarray[Any, Any]:
    if expectation.test in ("readable", "short"):
        failed = pc.is_valid(values)
    elif expectation.test == "present":
        failed = pc.is_null(values)
    elif expectation.test == "one_of":
        failed = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, pa.array(expectation.options))))
    elif expectation.test == "matches":
        failed = pc.invert(pc.match_substring_regex(values, expectation.pattern))
    else:
        failed = (pc.less if expectation.test == "at_least" else pc.less_equal)(values, expectation.limit)
    return np.flatnonzero(failed.fill_null(False).to_numpy(zero_copy_only=False))


def with_great_expectations(batch: Batch) -> list[np.ndarray[Any, Any]]:
    """Rows failing each expectation of the suite, in its order, found with Great Expectations.

    An expectation looks at one value at a time, so each distinct value of a column is judged once for all its rows.
    """
    if not batch.rows:
        return with_arrow(batch)
    looked_at = [look_at(batch, e).dictionary_encode("encode") for e in suite(batch.dataset.name)]
    failing = _validate(batch.dataset.name, [column.dictionary for column in looked_at])
    return [_rows_of(column, codes) for column, codes in zip(looked_at, failing, strict=True)]


def _rows_of(column: pa.DictionaryArray, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows that hold one of the distinct values with the given codes."""
    if not len(codes):
        return codes
    return np.flatnonzero(np.isin(column.indices.to_numpy(), codes))


def _validate(name: str, distinct: list[pa.Array]) -> list[np.ndarray[Any, Any]]:
    """Which distinct values fail each expectation; shorter columns are filled up with their own first value."""
    most = max(len(values) for values in distinct)
    views = [expectation.view for expectation in suite(name)]
    filled = [values.take(pa.array(np.arange(most) % len(values))) for values in distinct]
    definition, gx_suite = _great_suite(name)
    result = definition.get_batch(
        batch_parameters={"dataframe": pa.table(dict(zip(views, filled, strict=True))).to_pandas()}
    ).validate(gx_suite, result_format={"result_format": "COMPLETE"})
    failing = {told.expectation_config.meta["place"]: _indices(told) for told in result.results}
    return [failing[place][failing[place] < len(values)] for place, values in enumerate(distinct)]


def _indices(result: Any) -> np.ndarray[Any, Any]:
    raised = result.exception_info
    if not result.success and "unexpected_index_list" not in result.result:
        raise RuntimeError(f"Great Expectations could not validate: {raised}")
    return np.array(result.result.get("unexpected_index_list") or [], dtype=np.int64)


@cache
def _great_suite(name: str) -> tuple[Any, Any]:
    """A batch definition over data frames and the dataset's suite, in a context that keeps and sends nothing."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas(name).add_dataframe_asset(name)
    expectations = [_great(expectation, place) for place, expectation in enumerate(suite(name))]
    return asset.add_batch_definition_whole_dataframe(name), gx.ExpectationSuite(name, expectations=expectations)


def _great(expectation: Expectation, place: int) -> Any:
    gxe: Any = import_module("great_expectations.expectations")
    told: dict[str, Any] = {"column": expectation.view, "meta": {"place": place}}
    match expectation.test:
        case "readable" | "short":
            return gxe.ExpectColumnValuesToBeNull(**told)
        case "present":
            return gxe.ExpectColumnValuesToNotBeNull(**told)
        case "one_of":
            return gxe.ExpectColumnValuesToBeInSet(**told, value_set=list(expectation.options))
        case "matches":
            return gxe.ExpectColumnValuesToMatchRegex(**told, regex=expectation.pattern)
        case "at_least" | "above":
            strict = expectation.test == "above"
            return gxe.ExpectColumnValuesToBeBetween(**told, min_value=expectation.limit, strict_min=strict)
