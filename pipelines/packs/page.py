"""The HTML document of a pack: no script runs in it, nothing is fetched, and it carries its parts as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from pipelines.packs.charts import Chart, svg
from pipelines.packs.gather import Pack, canonical
from pipelines.packs.story import Block, Heading, Table, Text, story, title

CARRIED = '<script type="application/json" id="parts">'
STYLE = """
:root{color-scheme:light}body{font:14px/1.45 system-ui,sans-serif;color:#1b1b1b;max-width:960px;margin:24px auto;
padding:0 16px}h1{font-size:22px}h2{font-size:16px;margin:28px 0 8px;border-bottom:1px solid #ccc}
table{border-collapse:collapse;width:100%;font-size:12px;font-variant-numeric:tabular-nums}
th{text-align:left;color:#555;font-weight:600}th,td{padding:3px 8px 3px 0;vertical-align:top;border-bottom:1px solid
#eee;overflow-wrap:break-word}
td:last-child{overflow-wrap:anywhere}.n{text-align:right;white-space:nowrap}
svg{width:100%;height:auto;font:11px system-ui,sans-serif}svg .t{font-weight:600}
@media print{body{margin:0}h2{break-after:avoid}tr,svg{break-inside:avoid}}
"""


def document(pack: Pack) -> bytes:
    """The pack as one HTML file; the same pack gives the same bytes."""
    carried = canonical(pack.parts).replace("<", "\\u003c")
    return on_page(title(pack), story(pack), f"{CARRIED}{carried}</script>\n")


def on_page(named: str, blocks: Iterable[Block], carried: str = "") -> bytes:
    """Blocks under a title as one HTML file, with what it carries at its end; the same blocks give the same bytes."""
    body = "\n".join(_block(block) for block in blocks)
    head = f'<meta charset="utf-8"><title>{escape(named)}</title><style>{STYLE}</style>'
    text = (
        f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n<h1>{escape(named)}</h1>\n{body}\n'
        f"{carried}</body></html>\n"
    )
    return text.encode()


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h2>{escape(block.text)}</h2>"
    if isinstance(block, Text):
        return f"<p>{escape(block.text)}</p>"
    return svg(block) if isinstance(block, Chart) else _table(block)


def _table(table: Table) -> str:
    marks = [' class="n"' if place in table.figures() else "" for place in range(len(table.names))]
    head = _cells("th", marks, table.names)
    rows = "".join(f"<tr>{_cells('td', marks, row)}</tr>\n" for row in table.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>"


def _cells(kind: str, marks: Sequence[str], cells: Sequence[str]) -> str:
    return "".join(f"<{kind}{mark}>{escape(cell)}</{kind}>" for mark, cell in zip(marks, cells, strict=True))
