"""Numbers and times as platforms print them, turned into decimal text and naive clock readings."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

from pipelines.sources.kit.statement import RowProblem, SourceRefusal

_SPACES = " \t\r\n\u00a0\u2007\u2008\u2009\u200a\u202f\u2060\ufeff"
_DROPPED = {ord(c): None for c in f"{_SPACES}'’"} | {ord(c): "-" for c in "−–－"}
_POINTS_AND_COMMAS = str.maketrans(".,", ",.")
_NUMBER = re.compile(r"([+-]?)(\d{1,24})(\.\d{1,20})?")
# Thousands, or as India divides them: 12,34,567.
_GROUPED = re.compile(
    r"[+-]?\d{1,3}(,\d{3})+\.\d{1,20}|[+-]?\d{1,3}(,\d{3}){2,}|[+-]?\d{1,2}(,\d\d)+,\d{3}(\.\d{1,20})?"
)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
_COMMA = re.compile(r"([+-]?\d{1,3}(?:\.\d{3})+|[+-]?\d{1,24}),(\d{1,20})")
_EUROPEAN = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?([A-Za-z]+)?")
_CLOCK = re.compile(r"(\d{4})[.\-/](\d\d?)[.\-/](\d\d?)[ T](\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?")
_DAY_FIRST = re.compile(r"(\d\d?)\.(\d\d?)\.(\d{4})(?=[ T])")
_SERIAL = re.compile(r"[2-7]\d{4}(\.\d+)?")
_FRACTION = re.compile(r"(\d{1,6})['’-](\d{1,2})\.?(\d)?")
_TWO_WAY_POINT = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_CURRENCY = re.compile(r"[$€£¥]|[A-Z]{3}")
_INSTANT = re.compile(r"(.*\d:\d\d(?:\.\d{1,6})?)\d* ?(?:Z|UTC|GMT|([+-]\d\d):?(\d\d)?)")
_YEARS = range(1990, 2100)


@lru_cache(maxsize=65536)
def plain_number(text: str) -> str | None:
    """Return the number as plain decimal text ('- 1 093.94' becomes '-1093.94'), or None if it is not one."""
    match = _NUMBER.fullmatch(_pointed(_bare(text)))
    if match is None:
        return None
    sign, whole, fraction = match.groups()
    return ("-" if sign == "-" else "") + (whole.lstrip("0") or "0") + (fraction or "")


def _bare(text: str) -> str:
    """Return a number without spaces and apostrophes; brackets, or a minus behind it, become a minus in front."""
    bare = text.translate(_DROPPED)
    if bare.startswith("(") and bare.endswith(")"):
        return f"-{bare[1:-1]}"
    return f"-{bare[:-1]}" if bare.endswith("-") and bare != "-" else bare


def _pointed(text: str) -> str:
    """Return a number without commas where only one reading is possible: '10,000.00', '1.093,94', '0,10', '1,10500'.

    One comma with three digits behind it, as in '1,105', may be either and is left as it is.
    """
    if "," not in text:
        return text
    if _GROUPED.fullmatch(text):
        return text.replace(",", "")
    return text if (match := _COMMA.fullmatch(text)) is None or _is_two_ways(match) else f"{_whole(match)}.{match[2]}"


def _whole(match: re.Match[str]) -> str:
    """Return the digits before a decimal comma."""
    return match[1].replace(".", "")


def _is_two_ways(match: re.Match[str]) -> bool:
    """Tell a comma that may divide thousands as well as decimals."""
    whole = match[1].lstrip("+-")
    return len(match[2]) == 3 and "." not in whole and len(whole) < 4 and not whole.startswith("0")


def number(text: str, column: str) -> str:
    """Return plain decimal text; a cell that is no number raises RowProblem."""
    value = plain_number(text)
    if value is None:
        two_ways = (match := _COMMA.fullmatch(_bare(text))) is not None and _is_two_ways(match)
        why = "its comma may stand before thousands or before decimals" if two_ways else "not a number"
        raise RowProblem(column, text, why)
    return value


def divided_by(cells: list[str], name: str, delimiter: str = ";") -> str:
    """Return the decimal mark of a text's numbers: a comma, unless they have points.

    Where commas divide the columns, and in a page, some number has to have a comma that can only be decimal. A point
    before three digits may divide thousands where other numbers have decimal commas, and then nothing is read.
    """
    numbers = {_bare(cell) for cell in cells if "." in cell or "," in cell}
    points = {number for number in numbers if "." in number and _NUMBER.fullmatch(number)}
    if not points:
        return "," if delimiter != "," or _has_decimal_commas(numbers) else "."
    two_ways = next((point for point in sorted(points) if _TWO_WAY_POINT.fullmatch(point)), None)
    is_all_two_ways = all(_TWO_WAY_POINT.fullmatch(point) for point in points)
    if two_ways is not None and is_all_two_ways and _has_decimal_commas(numbers - points):
        raise SourceRefusal(
            f"{name} has decimal commas and {two_ways}, whose point may stand before thousands or before decimals: "
            "save it without marks between thousands"
        )
    return "."


def unmarked(cells: list[str], name: str, delimiter: str) -> Callable[[str], str]:
    """Return how a text's cells become numbers with a decimal point alone.

    Beside decimal points a comma divides thousands, but in a European spreadsheet's text, where cells that it took for
    words keep their points.
    """
    if divided_by(cells, name, delimiter) == ",":
        return european
    return _without_thousands if delimiter == "," and _has_decimal_points(cells) else str


def _has_decimal_points(cells: list[str]) -> bool:
    """Tell a file that prints decimal points: some number can only be read so, and none has to have a decimal comma."""
    numbers = {_bare(cell) for cell in cells if "." in cell or "," in cell}
    points = (number for number in numbers if "." in number and _NUMBER.fullmatch(number))
    return not _has_decimal_commas(numbers) and not all(map(_TWO_WAY_POINT.fullmatch, points))


def _without_thousands(text: str) -> str:
    """Return a number without the commas between its thousands, other text as it is."""
    if "," not in text:
        return text
    bare = _bare(text)
    return bare.replace(",", "") if _THOUSANDS.fullmatch(bare) else text


def _has_decimal_commas(numbers: Iterable[str]) -> bool:
    """Tell numbers of which some can only be read with a decimal comma."""
    return not all(map(_is_two_ways, filter(None, map(_COMMA.fullmatch, numbers))))


def positive(text: str, column: str) -> str:
    """Return a number above zero as plain decimal text, or raise RowProblem."""
    value = number(text, column)
    if Decimal(value) <= 0:
        raise RowProblem(column, text, "must be above zero")
    return value


def level(text: str, column: str) -> str | None:
    """Return a stop or target price, None where the platform prints nothing, a dash or zero."""
    stripped = text.strip()
    if stripped in {"", "-", "—", "–"}:
        return None
    value = number(stripped, column)
    return value if Decimal(value) else None


def european(text: str) -> str:
    """Return a number with decimal comma, with or without unit, with a decimal point; other text as it is."""
    cleaned = _bare(text)
    if _EUROPEAN.fullmatch(cleaned) and "," in cleaned:
        return cleaned.replace(".", "").replace(",", ".")
    return text


def dollars(text: str, column: str) -> str:
    """Return '$1,062.50' as '1062.50' and '$(41.25)' or '-$41.25' as '-41.25'."""
    return number(american(bare_amount(text)), column)


def american(text: str) -> str:
    """Return a number without commas; one before three digits divides thousands, any other is a decimal comma."""
    return _pointed(_bare(text)).replace(",", "")


def bare_amount(text: str) -> str:
    """Return an amount without its currency, brackets as a minus: '-$ 45,50' is '- 45,50', '($200.00)' is '-200.00'."""
    bare = _CURRENCY.sub("", text).strip()
    return f"-{bare[1:-1]}" if bare.startswith("(") and bare.endswith(")") else bare


def with_commas(text: str) -> str:
    """Return a number whose decimal mark is a comma with a point; a point before three digits divides thousands."""
    return american(text.translate(_POINTS_AND_COMMAS))


def tick_price(text: str, column: str) -> str:
    """Return a future's price; '110'165' counts thirty-seconds and their eighths (110 16.5/32), '450'2' eighths."""
    match = _FRACTION.fullmatch(text.strip())
    if match is None:
        return dollars(text, column)
    whole, ticks, rest = match.groups()
    if rest is None and len(ticks) == 1:
        return f"{Decimal(whole) + Decimal(ticks) / 8:f}"
    eighths = "01235678".find(rest or "0")
    if len(ticks) != 2 or int(ticks) > 31 or eighths < 0:
        raise RowProblem(column, text, "not a price in thirty-seconds")
    return f"{Decimal(whole) + (Decimal(ticks) + Decimal(eighths) / 8) / 32:f}"


def shortest(text: str) -> str:
    """Return a spreadsheet's stored number without binary noise ('0.30000000000000004' is '0.3')."""
    if (len(text) < 16 and "e" not in text.lower()) or text.isdigit():
        return text
    try:
        value = float(text)
        return f"{Decimal(f'{value:.15g}'):f}" if abs(value) < 1e24 else text
    except (ValueError, ArithmeticError):
        return text


def _checked(moment: datetime, text: str, column: str) -> datetime:
    """Return a time of this era, or raise RowProblem: a year 1970 or 9999 is a platform's word for none."""
    if moment.year not in _YEARS:
        raise RowProblem(column, text, "a year outside 1990 to 2099")
    return moment


def clock(text: str, column: str) -> datetime:
    """Return 'YYYY.MM.DD HH:MM[:SS[.ffffff]]' (or dashes, slashes, T) or a spreadsheet serial as a clock reading.

    With the year last and dots between, the day is first; with slashes it may be either and is not read.
    """
    match = _clock_match(text)
    if match is None:
        return _serial(text, column)
    year, month, day, hour, minute, second, fraction = match.groups()
    micros = int((fraction or "0").ljust(6, "0"))
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micros)
    except ValueError as error:
        raise RowProblem(column, text, f"not a time: {error}") from error
    return _checked(moment, text, column)


def moment(text: str, column: str) -> datetime:
    """Return a time of the same shapes, aware where an offset (Z, UTC, +01:00) stands behind it."""
    match = _INSTANT.fullmatch(text.strip())
    if match is None:
        return clock(text, column)
    reading, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(f"{(hours or '+')[0]}{minutes or 0}"))
    if abs(offset) > timedelta(hours=15):
        raise RowProblem(column, text, "an offset of more than fifteen hours")
    return clock(reading, column).replace(tzinfo=timezone(offset))


def unix_clock(text: str, column: str, micros: int) -> datetime:
    """Return the instant of a count since 1970, each of so many microseconds."""
    count = Decimal(number(text, column))
    if not 0 < count * micros < 2**52:
        raise RowProblem(column, text, "not a count since 1970 of this era")
    return _checked(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(count * micros)), text, column)


def _clock_match(text: str) -> re.Match[str] | None:
    """Return the parts of a printed time, year first."""
    return _CLOCK.fullmatch(_DAY_FIRST.sub(r"\3.\2.\1", text.strip()))


def _serial(text: str, column: str) -> datetime:
    """Return a spreadsheet's day number (1900 system) as a clock reading: to the second where its digits end there.

    With four decimals or fewer it is rounded to nine seconds and more; only a quarter of an hour is one for certain.
    """
    stripped = text.strip()
    if not _SERIAL.fullmatch(stripped):
        raise RowProblem(column, text, "not a time")
    decimals = len(stripped.partition(".")[2])
    if 0 < decimals < 5 and Decimal(stripped) * 96 % 1:
        raise RowProblem(column, text, "a time rounded to nine seconds or more: show the column as date and time")
    milliseconds = round(float(stripped) * 86_400_000)
    seconds = round(milliseconds, -3)
    if abs(milliseconds - seconds) <= 43_200_000 / 10**decimals:
        milliseconds = seconds
    return _checked(datetime(1899, 12, 30) + timedelta(milliseconds=milliseconds), text, column)


def is_clock(text: str, like: str | None = None) -> bool:
    """Tell whether a cell looks like a time, of the same kind as ``like`` if given; it may still prove impossible."""
    stripped = text.strip()
    if like is not None and _clock_match(like):
        return bool(_clock_match(stripped))
    return bool(_clock_match(stripped) or (_SERIAL.fullmatch(stripped) and "." in stripped))


def clock_by(text: str, column: str, *patterns: str) -> datetime:
    """Return a time read by the first fitting strptime pattern, or raise RowProblem."""
    for pattern in patterns:
        try:
            return _checked(datetime.strptime(text.strip()[:64], pattern), text, column)
        except ValueError:
            continue
    raise RowProblem(column, text, "not a time")


def total(values: list[str | None]) -> Decimal:
    """Return the exact sum of decimal texts; none counts as nothing."""
    return sum((Decimal(value) for value in values if value), Decimal(0))
