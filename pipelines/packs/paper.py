"""The PDF document of a pack: the same story on A4; its keywords carry what the pack is about and its hashes.

The standard fonts know the letters of Western Europe; others are written as they are spoken (the HTML has them as
they are).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from anyascii import anyascii
from reportlab.lib import colors  # type: ignore[import-untyped]
from reportlab.lib.enums import TA_RIGHT  # type: ignore[import-untyped]
from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]
from reportlab.lib.styles import ParagraphStyle  # type: ignore[import-untyped]
from reportlab.platypus import (  # type: ignore[import-untyped]
    CondPageBreak,
    Flowable,
    LongTable,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    TableStyle,
)

from pipelines.packs import charts
from pipelines.packs.charts import Chart, Shape
from pipelines.packs.gather import Pack, canonical
from pipelines.packs.story import Block, Heading, Table, Text, story, title

MARGIN = 42.0
SMALL = ParagraphStyle("small", fontName="Helvetica", fontSize=7, leading=8.6, splitLongWords=1)
HEAD = ParagraphStyle("head", parent=SMALL, fontName="Helvetica-Bold", textColor=colors.HexColor("#555555"))
RIGHT = ParagraphStyle("right", parent=SMALL, alignment=TA_RIGHT)
HEAD_RIGHT = ParagraphStyle("head right", parent=HEAD, alignment=TA_RIGHT)
BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=8.5, leading=11, spaceAfter=5)
SECTION = ParagraphStyle("section", fontName="Helvetica-Bold", fontSize=11, spaceBefore=10, spaceAfter=4)
TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=15, leading=19, spaceAfter=6)
LINES = TableStyle(
    [
        ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.HexColor("#dddddd")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 8),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    ]
)
SHORT, LONG = 8, 60
PADDING = 6.0
"""What the page's frame keeps free on either side."""
WITH_NEXT = 60.0
"""Room that a heading needs below it; kept with a whole table, it would leave the page before a long one empty."""


def document(pack: Pack) -> bytes:
    """The pack as a PDF file; the same pack gives the same bytes."""
    carried = base64.b64encode(canonical({"about": pack.parts["about"], "hashes": pack.hashes}).encode()).decode()
    return on_paper(title(pack), story(pack), subject=pack.hash, keywords=carried)


def on_paper(named: str, blocks: Iterable[Block], *, subject: str = "", keywords: str = "") -> bytes:
    """Blocks under a title as a PDF file; the same blocks give the same bytes."""
    out = BytesIO()
    made = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=_written(named),
        subject=subject,
        keywords=keywords,
        author="Highwater",
        invariant=1,
    )
    flow: list[Any] = [Paragraph(_marked(named), TITLE)]
    for block in blocks:
        flow += _block(block, made.width - 2 * PADDING)
    made.build(flow, onFirstPage=_foot, onLaterPages=_foot)
    return out.getvalue()


def _foot(canvas: Any, made: Any) -> None:
    canvas.setFont("Helvetica", 6.5)
    told = " · ".join(filter(None, (made.title, made.subject, f"page {made.page}")))
    canvas.drawString(MARGIN + PADDING, MARGIN / 2, told)


def _block(block: Block, width: float) -> list[Any]:
    if isinstance(block, Heading):
        return [CondPageBreak(WITH_NEXT), Paragraph(_marked(block.text), SECTION)]
    if isinstance(block, Text):
        return [Paragraph(_marked(block.text), BODY)]
    return [_Picture(block, width)] if isinstance(block, Chart) else [_table(block, width), Spacer(1, 6)]


def _table(table: Table, width: float) -> Any:
    figures = table.figures()
    head, small = (
        [styles[place in figures] for place in range(len(table.names))]
        for styles in ((HEAD, HEAD_RIGHT), (SMALL, RIGHT))
    )
    cells = [
        [Paragraph(_marked(cell), style) for cell, style in zip(row, styles, strict=True)]
        for row, styles in ((table.names, head), *((row, small) for row in table.rows))
    ]
    return LongTable(cells, colWidths=_widths(table, width), repeatRows=1, style=LINES)


def _widths(table: Table, width: float) -> list[float]:
    """Widths by the longest cell of each column, none too narrow and none that takes all."""
    longest = [max(len(row[place]) for row in (table.names, *table.rows)) for place in range(len(table.names))]
    parts = [min(max(length, SHORT), LONG) for length in longest]
    return [width * part / sum(parts) for part in parts]


def _written(text: str) -> str:
    """Text in letters that the standard fonts have."""
    return "".join(c if _known(c) else anyascii(c) for c in text)


def _known(letter: str) -> bool:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _marked(text: str) -> str:
    return escape(_written(text))


class _Picture(Flowable):  # type: ignore[misc]
    """A chart on paper."""

    def __init__(self, chart: Chart, width: float) -> None:
        super().__init__()
        self.chart = chart
        self.scale = width / charts.WIDTH
        self.width, self.height = width, charts.HEIGHT * self.scale

    def draw(self) -> None:
        """Draws its shapes; the canvas counts upwards."""
        canvas: Any = self.canv
        canvas.scale(self.scale, self.scale)
        canvas.setFont("Helvetica-Bold", 12)
        canvas.drawString(charts.LEFT, charts.HEIGHT - 14, self.chart.title)
        for shape in self.chart.shapes:
            {"line": self._line, "box": self._box, "text": self._text}[shape.kind](canvas, shape)

    def _line(self, canvas: Any, shape: Shape) -> None:
        canvas.setStrokeColor(colors.HexColor(shape.colour))
        canvas.setDash([4, 3] if shape.dashed else [])
        path = canvas.beginPath()
        for place, (x, y) in enumerate(shape.points):
            (path.lineTo if place else path.moveTo)(round(x, 1), round(charts.HEIGHT - y, 1))
        canvas.drawPath(path)

    def _box(self, canvas: Any, shape: Shape) -> None:
        x, y, wide, high = (round(value, 1) for value in charts.corners(shape))
        canvas.setFillColor(colors.HexColor(shape.colour))
        canvas.rect(x, round(charts.HEIGHT - y - high, 1), wide, high, stroke=0, fill=1)

    def _text(self, canvas: Any, shape: Shape) -> None:
        (x, y) = shape.points[0]
        canvas.setFillColor(colors.HexColor(shape.colour))
        canvas.setFont("Helvetica", 10)
        draw = {"start": canvas.drawString, "end": canvas.drawRightString, "middle": canvas.drawCentredString}
        draw[shape.anchor](round(x, 1), round(charts.HEIGHT - y, 1), _written(shape.text))
