"""Turns values as they were read into the dataset's types, and says in words what could not be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sql.schema import ARROW_TYPES, MONEY_DECIMALS, Dataset, Kind

Read = tuple[pa.Array, pa.Array]

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_EXPONENT = r"[eE]"
_FITS_MONEY = r"^[+-]?0*\d{0,10}(\.\d*)?$"
_CUT_MONEY = rf"(\.\d{{{MONEY_DECIMALS}}})\d+$"
_NAIVE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?$"
_INSTANT = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)? ?([Zz]|[+-]\d{2}(:?\d{2})?)$"
_DAY = r"^\d{4}-\d{2}-\d{2}$"
_FIRST_YEAR, _LAST_YEAR = 1900, 2199
_SURE_CHARACTERS = 30
_LARGEST, _SMALLEST = 1e10, 1e-12

NO_OFFSET = "is a time without an offset from UTC; write it like 2026-03-02T09:15:00Z or +02:00"
NO_INSTANT = "is not a time; write it like 2026-03-02T09:15:00.250Z"
NO_SUCH_TIME = "is a time that the calendar does not have"
FAR_TIME = f"is outside the years {_FIRST_YEAR} to {_LAST_YEAR}"
NO_DATE = "is not a date; write it like 2026-03-02"
NO_NUMBER = "is not a number; write it like -1234.56, without thousands separators"
NOT_FINITE = "is not a finite number"
TOO_LARGE = "is beyond the largest amount, 9,999,999,999.99999999"
OUT_OF_RANGE = "is beyond what a number may be: below ten thousand million, and zero or no smaller than 0.000000000001"
HAS_NUL = "holds a NUL character"


@dataclass(frozen=True)
class Batch:
    """Rows of one dataset: typed values, why others could not be read, and all values as they were read."""

    dataset: Dataset
    typed: pa.Table
    unread: dict[str, pa.Array]
    raw: pa.Table
    lines: pa.Array

    @property
    def rows(self) -> int:
        """Rows in the batch."""
        return int(self.typed.num_rows)

    def values(self, name: str) -> pa.Array:
        """One column's typed values."""
        return one_array(self.typed[name])


def read_batch(dataset: Dataset, raw: pa.Table, lines: pa.Array) -> Batch:
    """Types the columns of a dataset; columns that the file lacks are missing throughout.

    `raw` holds text or the types that `pipelines.files.check_types` lets through; `lines` one line number per row.
    """
    typed, unread = {}, {}
    for column in dataset.columns:
        values = _column(raw, column.name)
        typed[column.name], unread[column.name] = read_values(column.kind, values)
    schema = pa.schema([(column.name, ARROW_TYPES[column.kind]) for column in dataset.columns])
    return Batch(dataset, pa.table(typed, schema=schema), unread, raw, lines)


def _column(raw: pa.Table, name: str) -> pa.Array:
    if name not in raw.column_names:
        return pa.nulls(raw.num_rows, pa.string())
    return one_array(raw[name])


def one_array(values: pa.ChunkedArray) -> pa.Array:
    """A column of a table in one piece."""
    return values.chunk(0) if values.num_chunks == 1 else pa.concat_arrays(values.chunks or [pa.array([], values.type)])


def read_values(kind: Kind, values: pa.Array) -> Read:
    """Typed values and, where a value is there but cannot be read, the reason in words (null elsewhere)."""
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), ARROW_TYPES[kind]), _nothing(values)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    if pa.types.is_string(values.type):
        return _FROM_TEXT[kind](_trimmed(values))
    return _FROM_TYPED[kind](values)


def _nothing(values: pa.Array) -> pa.Array:
    return pa.nulls(len(values), pa.string())


def _trimmed(text: pa.Array) -> pa.Array:
    """Text without surrounding white space; what is then empty is missing."""
    if pc.any(pc.match_substring_regex(text, r"^\s|\s$|^$|^\x{00A0}|\x{00A0}$")).as_py():
        text = pc.utf8_trim_whitespace(text)
        return pc.if_else(pc.equal(text, ""), None, text)
    return text


def _text(text: pa.Array) -> Read:
    bad = pc.match_substring(text, "\0")
    if not pc.any(bad).as_py():
        return text, _nothing(text)
    return pc.if_else(bad, None, text), _reason(bad, HAS_NUL)


def _reason(bad: pa.Array, words: str) -> pa.Array:
    return pc.if_else(bad, words, pa.scalar(None, pa.string()))


def _first_reason(*reasons: pa.Array) -> pa.Array:
    return pc.coalesce(*reasons)


def _money(text: pa.Array) -> Read:
    """Exact amounts; decimals beyond the eighth are cut off, so that half a cent stays half a cent."""
    if (pc.max(pc.binary_length(text)).as_py() or 0) > _SURE_CHARACTERS:
        return _money_with_care(text)  # Arrow's decimals wrap around on very long numbers
    try:
        return text.cast(ARROW_TYPES["money"]), _nothing(text)
    except pa.ArrowInvalid:
        return _money_with_care(text)


def _money_with_care(text: pa.Array) -> Read:
    shaped = pc.match_substring_regex(text, _NUMBER)
    plain = _without_exponents(pc.if_else(shaped, text, None))
    fits = pc.match_substring_regex(plain, _FITS_MONEY)
    cut = pc.replace_substring_regex(pc.if_else(fits, plain, None), _CUT_MONEY, r"\1")
    unread = _first_reason(_reason(pc.invert(shaped), NO_NUMBER), _reason(pc.invert(fits), TOO_LARGE))
    return cut.cast(ARROW_TYPES["money"]), unread


def _without_exponents(text: pa.Array) -> pa.Array:
    """Numbers such as 1e-05, which spreadsheets and programs write, in plain digits."""
    if not pc.any(pc.match_substring_regex(text, _EXPONENT)).as_py():
        return text
    return pa.array([format(Decimal(t), "f") if t and "e" in t.lower() else t for t in text.to_pylist()], pa.string())


def _number(text: pa.Array) -> Read:
    try:
        values = text.cast(pa.float64())
        if pc.all(pc.is_finite(values)).as_py() is not False:
            return _within_range(values, _nothing(text))
    except pa.ArrowInvalid:
        pass
    shaped = pc.match_substring_regex(text, _NUMBER)
    values = pc.if_else(shaped, text, None).cast(pa.float64())
    finite = pc.is_finite(values)
    unread = _first_reason(_reason(pc.invert(shaped), NO_NUMBER), _reason(pc.invert(finite), NOT_FINITE))
    return _within_range(pc.if_else(finite, values, None), unread)


def _within_range(values: pa.Array, unread: pa.Array) -> Read:
    """Numbers that products and quotients of a few of them neither overflow nor lose."""
    size = pc.abs(values)
    far = pc.or_(pc.greater_equal(size, _LARGEST), pc.and_(pc.less(size, _SMALLEST), pc.greater(size, 0.0)))
    if not pc.any(far).as_py():
        return values, unread
    return pc.if_else(far, None, values), _first_reason(unread, _reason(far, OUT_OF_RANGE))


def _instant(text: pa.Array) -> Read:
    try:
        values, unread = text.cast(ARROW_TYPES["instant"]), _nothing(text)
    except pa.ArrowInvalid:
        values, unread = _instant_with_care(text)
    return _within_years(values, unread)


def _instant_with_care(text: pa.Array) -> Read:
    shaped = pc.match_substring_regex(text, _INSTANT)
    naive = pc.match_substring_regex(text, _NAIVE)
    plain = pc.utf8_upper(pc.if_else(shaped, text, None))
    plain = pc.replace_substring(pc.replace_substring_regex(plain, r" ?(Z|[+-]\d{2}:?\d{0,2})$", r"\1"), ",", ".")
    plain = pc.replace_substring_regex(plain, r"(\.\d{6})\d+", r"\1")
    values = _cast_each(plain, ARROW_TYPES["instant"])
    lost = pc.and_(pc.is_valid(plain), pc.is_null(values))
    unread = _first_reason(
        _reason(naive, NO_OFFSET), _reason(pc.invert(shaped), NO_INSTANT), _reason(lost, NO_SUCH_TIME)
    )
    return values, unread


def _within_years(values: pa.Array, unread: pa.Array) -> Read:
    clock = "" if pa.types.is_date(values.type) else "T00:00:00Z"
    first, last = (pa.scalar(f"{year}-01-01{clock}").cast(values.type) for year in (_FIRST_YEAR, _LAST_YEAR + 1))
    far = pc.or_(pc.less(values, first), pc.greater_equal(values, last))
    if not pc.any(far).as_py():
        return values, unread
    return pc.if_else(far, None, values), _first_reason(unread, _reason(far, FAR_TIME))


def _date(text: pa.Array) -> Read:
    plain = pc.if_else(pc.match_substring_regex(text, _DAY), text, None)
    values = _cast_each(plain, pa.date32())
    lost = pc.and_(pc.is_valid(text), pc.is_null(values))
    return _within_years(values, _reason(lost, NO_DATE))


def _cast_each(text: pa.Array, kind: pa.DataType) -> pa.Array:
    """Casts text of the right shape, null where a single value has no meaning (February 30)."""
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        if len(text) == 1:
            return pa.nulls(1, kind)
        half = len(text) // 2
        return pa.concat_arrays([_cast_each(text[:half], kind), _cast_each(text[half:], kind)])


def _text_of_typed(values: pa.Array) -> Read:
    """Numbers that name something (logins, magic numbers) as text, whole ones without a decimal point."""
    if pa.types.is_floating(values.type):
        return _text_of_floats(values.cast(pa.float64())), _nothing(values)
    text = values.cast(pa.string())
    if not pa.types.is_integer(values.type):
        text = pc.replace_substring_regex(text, r"\.0+$", "")
    return text, _nothing(values)


def _text_of_floats(values: pa.Array) -> pa.Array:
    """Floats in plain digits where they are whole; not-a-number is how programs write a missing one."""
    values = pc.if_else(pc.is_nan(values), None, values)
    whole = pc.and_(pc.equal(values, pc.round(values)), pc.less(pc.abs(values), 2.0**53))
    return pc.if_else(
        whole, pc.if_else(whole, values, None).cast(pa.int64()).cast(pa.string()), values.cast(pa.string())
    )


def _money_of_typed(values: pa.Array) -> Read:
    """Amounts from numbers; a binary float stands for the shortest decimal that names it."""
    exact = _exact_amounts(values) if pa.types.is_floating(values.type) else None
    return (exact, _nothing(values)) if exact is not None else _money(values.cast(pa.string()))


def _exact_amounts(values: pa.Array) -> pa.Array | None:
    """Floats as decimals when each one is a whole number of the smallest unit, as amounts nearly always are."""
    floats = values.cast(pa.float64()).fill_null(0.0).to_numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        units = np.rint(floats * 10.0**MONEY_DECIMALS)
        exact = (units / 10.0**MONEY_DECIMALS == floats) & (np.abs(units) < 2.0**53)
    if not exact.all():
        return None
    low = units.astype(np.int64)
    words = np.column_stack([low, low >> 63])
    amounts = pa.Array.from_buffers(ARROW_TYPES["money"], len(low), [None, pa.py_buffer(words)])
    return pc.if_else(pc.is_valid(values), amounts, None)


def _number_of_typed(values: pa.Array) -> Read:
    numbers = values.cast(pa.float64(), safe=False)
    finite = pc.is_finite(numbers)
    return _within_range(pc.if_else(finite, numbers, None), _reason(pc.invert(finite), NOT_FINITE))


def _instant_of_typed(values: pa.Array) -> Read:
    """Instants from timestamps; without a zone they are refused row by row."""
    if values.type.tz is None:
        return pa.nulls(len(values), ARROW_TYPES["instant"]), _reason(pc.is_valid(values), NO_OFFSET)
    values, unread = _within_years(values, _nothing(values))
    return values.cast(ARROW_TYPES["instant"], safe=False), unread


def _date_of_typed(values: pa.Array) -> Read:
    """Dates from dates, or from timestamps that stand at midnight."""
    if pa.types.is_date(values.type):
        values, unread = _within_years(values, _nothing(values))
        return values.cast(pa.date32(), safe=False), unread
    days = values.cast(pa.date32(), safe=False)
    lost = pc.not_equal(values, days.cast(values.type, safe=False))
    return pc.if_else(lost, None, days), _reason(lost, NO_DATE)


_FROM_TEXT: dict[Kind, Callable[[pa.Array], Read]] = {
    "text": _text,
    "instant": _instant,
    "date": _date,
    "money": _money,
    "number": _number,
}
_FROM_TYPED: dict[Kind, Callable[[pa.Array], Read]] = {
    "text": _text_of_typed,
    "instant": _instant_of_typed,
    "date": _date_of_typed,
    "money": _money_of_typed,
    "number": _number_of_typed,
}
