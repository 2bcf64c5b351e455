"""Rows of a delimited text file, by column name, with the delimiter found from its header."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

from pipelines.sources.kit.statement import RowProblem, SourceRefusal

ROWS_MAX = 500_000
LINE_CHARS_MAX = 1_000_000
COLUMNS_MAX = 400
CUT_OFF = "…"
ENDS_MIN = 3
_FRACTION = re.compile(r"\d[.,](\d+)\D*$")


@dataclass(frozen=True)
class Line:
    """One data row: its line in the file and its cells by column; a repeated column name gets '.2' behind it."""

    line: int
    cells: dict[str, str]

    def get(self, *names: str) -> str:
        """Return the first of the named columns that the row has, in letters of any case, stripped; nothing if none."""
        found = next((self.cells[name] for name in names if name in self.cells), None)
        if found is None:
            wanted = {name.lower() for name in names}
            found = next((cell for name, cell in self.cells.items() if name.lower() in wanted), "")
        return found.strip()

    def need(self, *names: str) -> str:
        """Return the same, or raise RowProblem when it is blank."""
        text = self.get(*names)
        if not text:
            raise RowProblem(names[0], text, "is blank")
        return text

    def in_lower_case(self) -> "Line":
        """Return the row with its columns' names in lower case."""
        return Line(self.line, {name.lower(): cell for name, cell in self.cells.items()})


def delimiter_of(header: str) -> str:
    """Return the delimiter that occurs most in a header line."""
    return max(",;\t|", key=header.count)


def read_lines(text: str, name: str, delimiter: str | None = None) -> list[list[str]]:
    """Return the file's rows as cells, an empty list for a blank line; where the text ends within a row is marked."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        reader = csv.reader(_bounded(text, name), delimiter=delimiter or delimiter_of(first))
        rows: list[list[str]] = []
        for row in reader:
            if len(rows) >= ROWS_MAX or len(row) > COLUMNS_MAX:
                raise SourceRefusal(f"{name} has more than {ROWS_MAX:,} rows or {COLUMNS_MAX} columns: split it")
            rows.append(row if any(cell.strip() for cell in row) else [])
    except csv.Error as error:
        raise SourceRefusal(f"{name} is not readable as delimited text: {error}") from error
    if not text.endswith(("\n", "\r")) and rows[1:] and 0 < len(rows[-1]) < len(rows[-2]):
        rows[-1][-1] += CUT_OFF  # of a number only the first digits may be left
    return rows


def is_cut_off(rows: list[list[str]]) -> bool:
    """Tell a list that ends within its last row: it was marked, and is shorter than every other."""
    others = [len(row) for row in rows[:-1] if row]
    return bool(others) and 0 < len(rows[-1]) < min(others) and rows[-1][-1].endswith(CUT_OFF)


def ends_short(rows: list[list[str]]) -> bool:
    """Tell a list whose last cell is less than all others of its column: fewer decimals, or the beginning of one."""
    cell = rows[-1][-1] if rows and rows[-1] else ""
    others = [row[-1] for row in rows[1:-1] if row and len(row) == len(rows[-1])]
    if len(others) < ENDS_MIN or cell in others:
        return False
    is_beginning = not cell[-1:].isdigit() and any(other.startswith(cell) for other in others)
    return is_beginning or _decimals(cell) < min(map(_decimals, others))


def _decimals(cell: str) -> int:
    """Return how many digits stand behind a number's decimal mark."""
    found = _FRACTION.search(cell)
    return len(found[1]) if found else 0


def _bounded(text: str, name: str) -> Iterator[str]:
    """Yield the lines, or refuse one that is longer than any table's."""
    for line in StringIO(text, newline=""):
        if len(line) > LINE_CHARS_MAX:
            raise SourceRefusal(f"{name} has a line of more than {LINE_CHARS_MAX:,} characters: it is not read")
        yield line


def header_names(cells: list[str]) -> list[str]:
    """Return column names, stripped, with '.2', '.3' behind repeated ones."""
    names: list[str] = []
    for cell in (cell.strip().lstrip("\ufeff") for cell in cells):
        seen = sum(name.split(".")[0] == cell for name in names)
        names.append(f"{cell}.{seen + 1}" if seen else cell)
    return names


def table(rows: list[list[str]], start: int = 0) -> list[Line]:
    """Return the rows below a header at ``start``, up to the first blank line or the end."""
    names = header_names(rows[start]) if start < len(rows) else []
    found = []
    for offset, cells in enumerate(rows[start + 1 :], start=start + 2):
        if not cells:
            break
        found.append(Line(offset, dict(zip(names, cells, strict=False))))
    return found


def whole_table(text: str, name: str, delimiter: str | None = None) -> list[Line]:
    """Return all rows of a file that is one table; blank lines are passed over."""
    rows = read_lines(text, name, delimiter)
    return rows_below(rows, next((index for index, row in enumerate(rows) if row), 0))


def rows_below(rows: list[list[str]], start: int) -> list[Line]:
    """Return all rows below a header at ``start``; blank lines are passed over, what a cut-off row lacks is marked."""
    names = header_names(rows[start]) if rows else []
    numbered = enumerate(rows[start + 1 :], start=start + 2)
    return [Line(line, dict(zip(names, _marked(cells, len(names)), strict=False))) for line, cells in numbered if cells]


def _marked(cells: list[str], columns: int) -> list[str]:
    """Return a row's cells, those behind the end of the file as unreadable as the last one: none is a blank."""
    return cells + [CUT_OFF] * (columns - len(cells)) if cells[-1].endswith(CUT_OFF) else cells


def has_columns(header: str, *names: str) -> bool:
    """Tell whether a header line names all these columns, whatever its delimiter, quotes and case."""
    cells = {cell.strip().strip('"').strip().lower() for cell in header[:20_000].split(delimiter_of(header[:20_000]))}
    return all(name.lower() in cells for name in names)
