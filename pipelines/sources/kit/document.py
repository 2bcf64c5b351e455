"""A delivered file, decoded once: its text, the rows of its tables, or the rows of its sheets. Nothing in it is run."""

import codecs
import csv
import email
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from io import BytesIO, StringIO
from typing import Any, NamedTuple
from xml.parsers import expat

from lxml import etree

from pipelines.sources.kit.csv_table import Line, delimiter_of, ends_short, is_cut_off, read_lines, whole_table
from pipelines.sources.kit.statement import SourceRefusal
from pipelines.sources.kit.values import divided_by, european, shortest, unmarked

BYTES_MAX = 64 * 1024 * 1024
UNPACKED_BYTES_MAX = 128 * 1024 * 1024
ROWS_MAX = 1_048_576
TAGS_MAX = 2_000_000
CELLS_MAX = 2_000_000
JSON_CHARS_MAX = 16_000_000
LIST_ROWS_MAX = 100_000
PARTS_MAX = 2_000
CELL_CHARS_MAX = 32_767
ROW_CELLS_MAX = 4_000
SPAN_MAX = 64
DIGITS_MAX = 24
TAG_CHARS_MAX = 20_000
_CYRILLIC = re.compile(rb"[\xc0-\xff\xa8\xb8]{3,}")
_ARCHIVED_PAGE = re.compile(rb"(From|MIME-Version): .*multipart/related", re.DOTALL)
_HIGH = re.compile(rb"[\x80-\xbf]")
_LONG_TAG = re.compile(rf"<[^<>]{{{TAG_CHARS_MAX}}}")
# Marks that right-to-left terminals and spreadsheets set around numbers and dates.
_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_COLUMN = re.compile(r"[A-Z]{1,3}")
# The line by which a spreadsheet is told what divides the cells, as `sep=;`.
_DIVIDED_BY = re.compile(r'\A\ufeff?[ \t]*"?sep=[^\n]{1,2}"?[ \t]*(?=\r?\n)', re.IGNORECASE)
TITLE_LINES_MAX = 5
TITLE_CELLS_MAX = 3


class Row(NamedTuple):
    """One row of a table: its place (counted from 1), its visible cells, how many columns each spans, its tooltip."""

    line: int
    cells: list[str]
    spans: list[int]
    title: str = ""

    def grid(self) -> list[str]:
        """Return the cells laid on columns: a cell that spans three is followed by two empty ones."""
        if not self.spans:
            return self.cells
        laid: list[str] = []
        for cell, span in zip(self.cells, self.spans, strict=True):
            laid.append(cell)
            if span > 1:
                laid.extend([""] * (span - 1))
        return laid


class Document:
    """One file's bytes with the shapes a reader may want to see them in."""

    def __init__(self, data: bytes, name: str) -> None:
        """Hold the bytes; one too large to be an export is refused."""
        if len(data) > BYTES_MAX:
            raise SourceRefusal(f"{name} has {len(data):,} bytes; an export of more than {BYTES_MAX:,} is not read")
        self.data, self.name = _page_of(data, name), name

    @property
    def is_zip(self) -> bool:
        """Tell whether the bytes are a zip archive, as every XLSX is."""
        return self.data[:4] == b"PK\x03\x04"

    @cached_property
    def text(self) -> str:
        """The file as text; bytes of a zip have none."""
        text = "" if self.is_zip else decode(self.data).replace("\x00", "")
        text = _DIVIDED_BY.sub("", text, count=1)
        return _DIRECTIONS.sub("", text) if _DIRECTIONS.search(text) else text

    def below_titles(self) -> Iterator["Document"]:
        """Yield delimited text with one more of its first lines left blank, as long as these are titles: few cells."""
        if self.is_zip or self.is_html:
            return
        lines = self.text.splitlines(keepends=True)
        filled = [place for place, line in enumerate(lines[:100]) if line.strip(" \r\n,;\t")]
        for place in filled[:TITLE_LINES_MAX]:
            cells = lines[place].split(delimiter_of(lines[place]))
            if sum(bool(cell.strip()) for cell in cells) > TITLE_CELLS_MAX:
                return
            lines[place] = "\n"
            yield Document("".join(lines).encode(), self.name)

    def as_text(self) -> Iterator["Document"]:
        """Yield a workbook as the text that its sheets would be saved as, with a blank line where rows are missing."""
        if not self.is_zip:
            return
        buffer = StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        for sheet in self.sheets:
            last = 0
            for row in sheet:
                buffer.write("\n" * min(row.line - last - 1, 1))
                writer.writerow(row.cells)
                last = row.line
        yield Document(buffer.getvalue().encode(), self.name)

    @cached_property
    def head(self) -> str:
        """The first ten thousand characters, in lower case."""
        return self.text[:10_000].lower()

    @cached_property
    def is_html(self) -> bool:
        """Tell whether the text is a web page or a piece of one."""
        return bool(re.search(r"<(html|table|tr|!doctype html|frameset|body|head|title)\b", self.head))

    @cached_property
    def page(self) -> "Page":
        """The page's title and table rows; empty when the file is no page."""
        return read_page(self.text, self.name) if self.is_html else Page("", [])

    @cached_property
    def sheets(self) -> list[list[Row]]:
        """The rows of every sheet of a workbook, in file order; empty when the file is no workbook."""
        return read_workbook(self.data, self.name) if self.is_zip else []

    @cached_property
    def rows(self) -> list[Row]:
        """All table rows: of the page, of every sheet one after the other, or of a sheet saved as delimited text."""
        if self.is_zip:
            return [row for sheet in self.sheets for row in sheet]
        return self._page_rows() if self.is_html else self._text_rows()

    def _page_rows(self) -> list[Row]:
        """The page's rows; decimal commas, which a spreadsheet leaves in a page it saves again, become points."""
        rows = self.page.rows
        if rows and rows[-1].cells and self._ends_in_a_cell:
            rows = [*rows[:-1], rows[-1]._replace(cells=[*rows[-1].cells[:-1], f"{rows[-1].cells[-1]}…"])]
        if "," not in self.text or divided_by([cell for row in rows for cell in row.cells], self.name, ",") != ",":
            return rows
        return [row._replace(cells=[european(cell) for cell in row.cells]) for row in rows]

    @property
    def _ends_in_a_cell(self) -> bool:
        """Tell a page cut off in the middle of a cell's text: of a number only the first digits may be left."""
        end = self.text[-CELL_CHARS_MAX:].lower()
        tag, _, rest = end[end.rfind("<") :].partition(">")
        return end.rfind("<td") > end.rfind("</t") and not tag.startswith("</") and bool(rest.strip())

    def _text_rows(self) -> list[Row]:
        """The lines of delimited text as rows, decimal commas turned into points, thousands undivided."""
        delimiter = max(",;\t", key=self.text[:100_000].count)
        lines = read_lines(self.text, self.name, delimiter)
        plain = unmarked([cell for cells in lines for cell in cells], self.name, delimiter)
        numbered = ((line, [cell.strip() for cell in cells]) for line, cells in enumerate(lines, start=1) if cells)
        return [Row(line, [plain(cell) for cell in cells], []) for line, cells in numbered]

    def table(self) -> list[Line]:
        """The rows of text that is one table, decimal commas turned into points, thousands undivided."""
        rows, delimiter = whole_table(self.text, self.name), delimiter_of(self.first_line)
        plain = unmarked([cell for row in rows for cell in row.cells.values()], self.name, delimiter)
        return [Line(row.line, {name: plain(cell) for name, cell in row.cells.items()}) for row in rows]

    @property
    def is_open_page(self) -> bool:
        """Tell a page that begins as a whole one and is never closed."""
        return self.is_html and "<html" in self.head and "</html" not in self.text[-20_000:].lower()

    def is_cut_off(self, line: int) -> bool:
        """Tell whether text or a page ends without an end, and a row is its last one."""
        if (
            self.is_zip
            or self.head.lstrip()[:1] in ("{", "[")
            or self.text.endswith("\n")
            or "</html" in self.text[-2_000:].lower()
        ):
            return False
        last = self.rows[-1].line if self.is_html and self.rows else self.text.count("\n") + 1
        return line >= last

    @property
    def is_short_list(self) -> bool:
        """Tell delimited text that was cut off within its last row."""
        if self.is_zip or self.is_html or not self.text or self.text.endswith("\n") or self.head.lstrip()[:1] in "{[":
            return False
        return is_cut_off(read_lines(self.text, self.name, delimiter_of(self.first_line)))

    @property
    def ends_short(self) -> bool:
        """Tell delimited text that may have been cut off within its very last cell."""
        if self.is_zip or self.is_html or self.text.endswith("\n") or self.head.lstrip()[:1] in "{[":
            return False
        return ends_short(read_lines(self.text, self.name, delimiter_of(self.first_line)))

    def json(self) -> Any:
        """The file as JSON; refused when it is none or longer than an account's history."""
        if len(self.text) > JSON_CHARS_MAX:
            raise SourceRefusal(f"{self.name} has more than {JSON_CHARS_MAX:,} characters of JSON: split it")
        try:
            return json.loads(self.text, parse_float=_plain)
        except (ValueError, RecursionError) as error:
            raise SourceRefusal(f"{self.name} is not readable as JSON: {error!r:.200}") from error

    def few(self, rows: Any) -> list[Any]:
        """Return a list of JSON rows, or refuse what is no list or longer than an account's history."""
        if not isinstance(rows, list) or len(rows) > LIST_ROWS_MAX:
            raise SourceRefusal(f"{self.name} does not hold a list of at most {LIST_ROWS_MAX:,} rows: split it")
        return rows

    @cached_property
    def first_line(self) -> str:
        """The first line with anything in it."""
        return next((line for line in self.text[:100_000].splitlines() if line.strip(" ,;\ufeff")), "").lstrip("\ufeff")


def _plain(text: str) -> str:
    """Return a JSON number with a point as decimal text: 2.345e-05 is 0.00002345."""
    value = Decimal(text)
    return f"{value:f}" if abs(value.adjusted()) < DIGITS_MAX else text


def decode(data: bytes) -> str:
    """Return text from UTF-16, UTF-8, or an undeclared 8-bit code page; a piece of a character at the end is none."""
    pairs = data[: len(data) // 2 * 2]
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return pairs.decode("utf-16", "replace")
    if data[:400].count(0) > len(data[:400]) // 4:
        return pairs.decode("utf-16-le" if data[1:2] == b"\x00" else "utf-16-be", "replace")
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data)
    except UnicodeDecodeError:
        return _eight_bit(data)


def _eight_bit(data: bytes) -> str:
    """Return text of an undeclared code page: Cyrillic, Chinese or western, told apart by which bytes occur."""
    if _CYRILLIC.search(data) and not _HIGH.search(data.replace(b"\xa8", b"").replace(b"\xb8", b"")):
        return data.decode("cp1251", "replace")
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _page_of(data: bytes, name: str) -> bytes:
    """Return the page within a browser's archive of it (MHTML), other bytes as they are."""
    if not _ARCHIVED_PAGE.match(data[:2_000]):
        return data
    try:
        parts = email.message_from_bytes(data).walk()
        page = next((part for part in parts if part.get_content_type() == "text/html"), None)
    except RecursionError as error:
        raise SourceRefusal(f"{name} is an archive of a page with parts too deep in one another") from error
    found = page.get_payload(decode=True) if page else None
    return found if isinstance(found, bytes) else data


class Page(NamedTuple):
    """A web page reduced to its title and the rows of its tables."""

    title: str
    rows: list[Row]


class _Tables:
    """Receives the parser's events and keeps titles and table cells; scripts, links and images are never looked at."""

    def __init__(self) -> None:
        """Start with no row open."""
        self.title: list[str] = []
        self.rows: list[Row] = []
        self._row: Row | None = None
        self._cell: list[str] | None = None
        self._hidden = self._in_title = False
        self._span = 1
        self._seen, self._kept = 0, False

    def start(self, tag: str, attributes: Any) -> None:
        """Open a row or a cell."""
        if tag in ("td", "th"):
            self._open_cell(attributes)
        elif tag == "tr":
            self._seen, self._kept = self._seen + 1, False
            self._row = Row(self._seen, [], [])
        elif tag == "title":
            self._in_title = True

    def _open_cell(self, attributes: Any) -> None:
        """Begin a cell; one outside any row begins a row as well."""
        if self._row is None:
            self.start("tr", {})
        self._cell, self._hidden, self._span = [], False, 1
        for name, value in attributes.items():
            self._read_attribute(name, value)

    def _read_attribute(self, name: str, value: str) -> None:
        """Look at the three attributes that matter: hidden cells, column spans, the first cell's tooltip."""
        if name == "class":
            self._hidden = "hidden" in value.split()
        elif name == "colspan" and value.isascii() and value.isdigit() and len(value) < 9:
            self._span = min(int(value), SPAN_MAX)
        elif name == "title" and self._row is not None and not self._kept:
            self._row = self._row._replace(title=value[:CELL_CHARS_MAX])

    def data(self, text: str) -> None:
        """Add text to the open cell or title."""
        if self._cell is not None:
            self._cell.append(text)
        elif self._in_title:
            self.title.append(text)

    def end(self, tag: str) -> None:
        """Close a cell, a row or the title."""
        if tag in ("td", "th"):
            self._close_cell()
        elif tag == "tr":
            self._close_cell()
            self._row = None
        elif tag == "title":
            self._in_title = False

    def _close_cell(self) -> None:
        """Keep the open cell unless it is hidden."""
        if self._cell is None or self._row is None:
            return
        if not self._kept:
            self._kept = True
            self.rows.append(self._row)
        if len(self._row.cells) > ROW_CELLS_MAX:
            raise SourceRefusal(f"the page has a row of more than {ROW_CELLS_MAX:,} cells: it is not read")
        if not self._hidden:
            self._row.cells.append("".join(self._cell).strip())
            self._row.spans.append(self._span or 1)
        self._cell = None

    def comment(self, text: str) -> None:
        """Ignore comments."""

    def close(self) -> Page:
        """Hand back what was seen."""
        return Page("".join(self.title).strip(), self.rows)


def read_page(text: str, name: str) -> Page:
    """Return a page's title and table rows by lxml's tolerant parser, with no tree kept and nothing fetched."""
    if _LONG_TAG.search(text):
        raise SourceRefusal(f"{name} has a tag of more than {TAG_CHARS_MAX:,} characters, which no platform writes")
    if text.count("<") > TAGS_MAX:
        raise SourceRefusal(f"{name} has more than {TAGS_MAX:,} tags: export a shorter period")
    parser = etree.HTMLParser(target=_Tables(), encoding="utf-8", no_network=True, huge_tree=False)
    try:
        page: Page = etree.fromstring(text.encode("utf-8", "replace") or b" ", parser)
    except (etree.LxmlError, ValueError, AssertionError) as error:
        raise SourceRefusal(f"{name} cannot be read as a web page: {error}") from error
    if any(len(cell) > CELL_CHARS_MAX for row in page.rows for cell in row.cells):
        raise SourceRefusal(f"{name} has a cell of more than {CELL_CHARS_MAX:,} characters, which no platform writes")
    return page


def read_workbook(data: bytes, name: str) -> list[list[Row]]:
    """Return the rows of every sheet of an XLSX: stored values only, formulas and links are not followed."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            parts = _sheet_parts(archive, name)
            _refuse_days_from_1904(archive, name)
            room = _Room(UNPACKED_BYTES_MAX, ROWS_MAX, CELLS_MAX)
            shared = _Strings(name, room).read(archive) if "xl/sharedStrings.xml" in archive.namelist() else []
            return [_Sheet(name, room, shared).read(archive, part) for part in parts]
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, zlib.error) as error:
        raise SourceRefusal(f"{name} is a damaged or encrypted workbook: {error}") from error
    except (expat.ExpatError, ValueError) as error:
        raise SourceRefusal(f"{name} is a workbook whose parts cannot be read: {error}") from error


def _sheet_parts(archive: zipfile.ZipFile, name: str) -> list[str]:
    """Return the names of the sheet parts in numeric order, or refuse an archive that is no workbook."""
    names = archive.namelist()
    if len(names) > PARTS_MAX:
        raise SourceRefusal(f"{name} holds {len(names):,} parts, which no workbook of a platform has")
    parts = [part for part in names if re.fullmatch(r"xl/worksheets/[^/]{1,80}\.xml", part)]
    if not parts:
        raise SourceRefusal(f"{name} is a zip archive without a worksheet: unpack it, or export the report as XLSX")
    return sorted(parts, key=lambda part: (len(part), part))


def _refuse_days_from_1904(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse a workbook of the old Macintosh calendar: its dates would be read four years early."""
    if "xl/workbook.xml" not in archive.namelist():
        return
    with archive.open("xl/workbook.xml") as stream:
        head = stream.read(20_000).replace(b"\x00", b"")
    if re.search(rb"date1904\s*=\s*[\"'](1|true)[\"']", head):
        raise SourceRefusal(f"{name} counts its days from 1904: save it again with the 1900 date system, or as CSV")


@dataclass
class _Room:
    """What a workbook may still unpack to."""

    unpacked_bytes: int
    rows: int
    cells: int


class _Part:
    """Streams one XML part through expat, keeping no tree; entities are refused and a zip bomb meets a limit."""

    def __init__(self, name: str, room: _Room) -> None:
        """Remember the file's name for refusals, and the room that all its parts share."""
        self.name, self.room = name, room
        self.texts: list[str] | None = None

    def feed(self, archive: zipfile.ZipFile, part: str) -> None:
        """Parse a part in pieces."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self.start, self.end
        parser.CharacterDataHandler, parser.EntityDeclHandler = self.data, self._entity
        self.parser = parser
        with archive.open(part) as stream:
            while chunk := stream.read(262_144):
                self.room.unpacked_bytes -= len(chunk)
                if min(self.room.unpacked_bytes, self.room.rows, self.room.cells) < 0:
                    raise SourceRefusal(f"{self.name} unpacks to more than an export holds ({part}): it is not read")
                parser.Parse(chunk, False)
        parser.Parse(b"", True)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See an element begin."""

    def end(self, tag: str) -> None:
        """See an element end."""

    def data(self, text: str) -> None:
        """Collect text while an element that holds some is open."""
        if self.texts is not None:
            self.texts.append(text)
            if len(self.texts) > CELL_CHARS_MAX:
                raise SourceRefusal(f"{self.name} has a cell in more than {CELL_CHARS_MAX:,} pieces: it is not read")

    def taken(self) -> str:
        """Return the collected text and stop collecting."""
        texts = self.texts or []
        text = texts[0] if len(texts) == 1 else "".join(texts)
        self.texts = None
        if len(text) > CELL_CHARS_MAX:
            raise SourceRefusal(f"{self.name} has a cell of more than {CELL_CHARS_MAX:,} characters: it is not read")
        return text.strip()

    def _entity(self, *_: Any) -> None:
        """Refuse a workbook that declares entities."""
        raise SourceRefusal(f"{self.name} declares XML entities, which no platform's workbook does: it is not read")


class _Strings(_Part):
    """The workbook's table of texts."""

    def read(self, archive: zipfile.ZipFile) -> list[str]:
        """Return the texts in order."""
        self.found: list[str] = []
        self.feed(archive, "xl/sharedStrings.xml")
        return self.found

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Collect from a string item."""
        if _local(tag) == "si":
            self.texts = []

    def end(self, tag: str) -> None:
        """Keep a finished item."""
        if _local(tag) == "si":
            self.found.append(self.taken())


class _Sheet(_Part):
    """One worksheet: each row's cells at the columns their references name."""

    def __init__(self, name: str, room: _Room, shared: list[str]) -> None:
        """Take the texts that cells point to."""
        super().__init__(name, room)
        self.shared, self.kind = shared, ""
        self.rows: list[Row] = []
        self.cells: list[str] = []

    def read(self, archive: zipfile.ZipFile, part: str) -> list[Row]:
        """Return the sheet's rows."""
        self.feed(archive, part)
        return self.rows

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Open a row, a cell or its value."""
        name = _local(tag)
        if name == "c":
            self.kind = attributes.get("t", "")
            self.room.cells -= 1
            self._place(attributes.get("r", ""))
        elif name == "v" or name == "t":
            self.texts = []
        elif name == "row":
            number = attributes.get("r", "")
            known = number.isascii() and number.isdigit() and len(number) < 8
            self.cells = []
            self.room.rows -= 1
            self.rows.append(Row(int(number) if known else len(self.rows) + 1, self.cells, []))

    def end(self, tag: str) -> None:
        """Put a finished value into the open cell; nothing behind the data is looked at."""
        name = _local(tag)
        if (name == "v" or name == "t") and self.cells:
            self.cells[-1] += self._value(self.taken())
        elif name == "sheetData":
            self.parser.StartElementHandler = self.parser.EndElementHandler = None

    def _place(self, reference: str) -> None:
        """Open an empty cell at its column; cells go from left to right."""
        cells, column = self.cells, _column(reference.rstrip("0123456789"))
        if column > ROW_CELLS_MAX or len(cells) > ROW_CELLS_MAX:
            raise SourceRefusal(f"{self.name} has a row of more than {ROW_CELLS_MAX:,} columns: it is not read")
        if len(cells) < column:
            cells.extend([""] * (column - len(cells)))
        cells.append("")

    def _value(self, text: str) -> str:
        """Return a cell's stored value as text; the formula behind it is not looked at."""
        if self.kind == "s":
            return self.shared[int(text)] if text.isascii() and text.isdigit() and int(text) < len(self.shared) else ""
        return text if self.kind in ("str", "e", "b", "inlineStr") else shortest(text)


@lru_cache(maxsize=4096)
def _local(tag: str) -> str:
    """Return a tag without its namespace prefix."""
    return tag.rpartition(":")[2]


@lru_cache(maxsize=16384)
def _column(letters: str) -> int:
    """Return the zero-based column of letters such as 'AB', or -1."""
    column = 0
    for letter in letters if _COLUMN.fullmatch(letters) else "":
        column = column * 26 + ord(letter) - 64
    return column - 1
