"""The only colours: four meanings that also differ in lightness, one Plotly template for light and dark, one style."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboards.kit import words
from models.money import decimals


@dataclass(frozen=True)
class Palette:
    """Colours by meaning, for one background; apart for every common form of colour blindness."""

    breached: str
    near: str
    fine: str
    unknown: str
    ended: str
    text: str
    grid: str
    band: str
    heat: str
    series: tuple[str, ...]

    def of(self, state: str) -> str:
        """The colour of a state's name, the unknown one for a name not known."""
        return str(getattr(self, state, self.unknown))


LIGHT = Palette(
    "#B3261E",
    "#B26A00",
    "#0B5394",
    "#6B7683",
    "#8A94A1",
    "#1B2430",
    "#E3E8EE",
    "rgba(11,83,148,.20)",
    "rgba(178,106,0,.55)",
    ("#0B5394", "#B26A00", "#4B8F8C", "#8E5AA8", "#6B7683", "#B3261E"),
)
DARK = Palette(
    "#FF8A80",
    "#FFC15E",
    "#6CB4F5",
    "#97A3B2",
    "#7C8896",
    "#E4E9F0",
    "#2A3648",
    "rgba(108,180,245,.24)",
    "rgba(255,193,94,.45)",
    ("#6CB4F5", "#FFC15E", "#7CCFC9", "#CBA3E0", "#97A3B2", "#FF8A80"),
)
CLEAR = "rgba(0,0,0,0)"
PLOTLY = {"displaylogo": False, "responsive": True}
BANDS = {"critical": "breached", "high": "breached", "medium": "near", "low": "fine"}
TALLEST_ROWS = 18
FONT = '"Source Sans", "Source Sans Pro", sans-serif'
STYLE = Path(__file__).parent / "style.css"
ICON = Path(__file__).parent / "icon.svg"
"""The icon of the browser's tab; one by its name would be fetched from a host outside at every page."""


def dark() -> bool:
    """Whether the reader's screen is dark."""
    return str(st.context.theme.type) == "dark"


def palette() -> Palette:
    """The colours for the reader's background."""
    return DARK if dark() else LIGHT


def style() -> None:
    """Puts the one style sheet on the page."""
    st.html(STYLE)


DATE = "%d %b %Y"
_DAY, _MONTH, _YEAR = 86_400_000, "M1", "M12"
FEW_DAYS = 12
"""Up to so many days an axis of days names each; by itself it would name hours, at which nothing is told."""
DATES = [
    {"dtickrange": [None, _DAY - 1], "value": f"%H:%M\n{DATE}"},
    {"dtickrange": [_DAY, _MONTH], "value": "%d %b\n%Y"},
    {"dtickrange": [_MONTH, _YEAR], "value": "%b\n%Y"},
    {"dtickrange": [_YEAR, None], "value": "%Y"},
]
"""How ticks are written that lie so far apart, from the next finer to the next wider."""


def template() -> go.layout.Template:
    """The one Plotly template: no background of its own, quiet grid, tabular digits, right-hand legend off the data."""
    colours = palette()
    small = {"font": {"size": 13}}
    axis = {
        "title": small,
        "gridcolor": colours.grid,
        "zerolinecolor": colours.grid,
        "linecolor": colours.grid,
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "font": {"color": colours.text, "size": 13, "family": FONT},
            "colorway": list(colours.series),
            "xaxis": axis,
            "yaxis": axis,
            "title": {"font": {"size": 15}, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"t": 8}},
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
            "margin": {"l": 10, "r": 10, "t": 76, "b": 10},
            "hoverlabel": {"font": {"size": 13}},
            "modebar": {"bgcolor": CLEAR, "color": colours.unknown, "activecolor": colours.text},
            "separators": ".,",
        }
    )


def chart(figure: go.Figure, question: str, *, height: int = 360, key: str | None = None) -> None:
    """Shows a figure under the question that it answers."""
    _dress(figure, question, height)
    st.plotly_chart(figure, theme=None, key=key, config=PLOTLY)


def pick(figure: go.Figure, question: str, *, height: int, key: str) -> list[Any]:
    """Shows a figure whose points can be clicked; returns what newly clicked ones carry as custom data.

    A click stays selected when the page is drawn anew: it is told once, so that what was chosen since stands.
    """
    _dress(figure, question, height)
    event: Any = st.plotly_chart(figure, theme=None, key=key, config=PLOTLY, on_select="rerun", selection_mode="points")
    picked = [point["customdata"] for point in event.selection.points if point.get("customdata")]
    if picked == st.session_state.get(f"picked-{key}", []):
        return []
    st.session_state[f"picked-{key}"] = picked
    return picked


def _dress(figure: go.Figure, question: str, height: int) -> None:
    figure.update_layout(template=template(), title=question, height=height)
    _date(figure)
    if sum(trace.showlegend is not False for trace in figure.data) < 2:
        figure.update_layout(margin={"t": 44})


def _date(figure: go.Figure) -> None:
    """Writes dates as texts and tables do, 09 Aug 2026, with the time where any is told; what a figure says otherwise
    stands."""
    drawn = [pd.Series(trace["x"]) for trace in figure.data if "x" in trace and trace["x"] is not None]
    dated = [pd.to_datetime(one).dropna() for one in drawn if len(one) and isinstance(one.iloc[0], dt.date)]
    if not dated:
        return
    days = all((one == one.dt.normalize()).all() for one in dated)
    told = pd.concat([one.dt.tz_localize(None) for one in dated])
    few = days and told.max() - told.min() <= pd.Timedelta(days=FEW_DAYS)

    def write(axis: Any) -> None:
        axis.hoverformat = axis.hoverformat or (DATE if days else f"{DATE} %H:%M:%S")
        axis.dtick = axis.dtick or (_DAY if few and not axis.tickvals else None)
        axis.tickformatstops = axis.tickformatstops or (() if axis.tickformat else DATES)

    figure.for_each_xaxis(write)


def percent(figure: go.Figure, *axes: str) -> None:
    """Shows shares (1 = all) of points and bars on these axes (x, y) as percentages, as the texts write them: 10 %."""
    for axis in axes:
        for trace in figure.data:
            trace[axis] = 100 * np.asarray(trace[axis], dtype=float)
            bars = trace[f"error_{axis}"]
            for side in ("array", "arrayminus"):
                if bars[side] is not None:
                    bars[side] = 100 * np.asarray(bars[side], dtype=float)
        figure.update_layout({f"{axis}axis": {"ticksuffix": " %", "tickformat": ",~f", "hoverformat": ",.1f"}})


def height(rows: int) -> Any:
    """The height of a table: its content, up to what fits a screen."""
    return "content" if rows <= TALLEST_ROWS else 38 + 35 * TALLEST_ROWS


def state_html(state: str) -> str:
    """A state as icon and word in its colour."""
    return f'<span class="hw-state" style="--hw:{palette().of(state)}">{words.state(state)}</span>'


def facts(pairs: dict[str, str]) -> None:
    """Small facts side by side: label above, value (HTML) below."""
    cells = "".join(f"<div><small>{label}</small><span>{shown}</span></div>" for label, shown in pairs.items())
    st.html(f'<div class="hw-facts">{cells}</div>')


def card(state: str, title: str, lines: list[str]) -> None:
    """A statement with its colour at the edge; title and lines are HTML."""
    body = "".join(f"<p>{line}</p>" for line in lines)
    st.html(f'<div class="hw hw-card" style="--hw:{palette().of(state)}"><b>{title}</b>{body}</div>')


def score(points: Any, band: Any, reasons: Any) -> None:
    """A risk score as a bar of what it is made of, each part with its points, name and sentence; silent without one."""
    if words.missing(points):
        return
    parts = words.scored(reasons)
    shades = [max(100 - 22 * place, 24) for place in range(len(parts))]
    bar = "".join(
        f'<i style="width:{part:.2f}%;--part:{shade}%" title="{words.escaped(name)} {part:.1f}"></i>'
        for (name, part, _), shade in zip(parts, shades, strict=True)
    )
    lines = "".join(
        f'<p><i style="--part:{shade}%"></i><b>{part:.1f}</b> {words.escaped(name)}'
        f"<small>{words.escaped(sentence)}</small></p>"
        for (name, part, sentence), shade in zip(parts, shades, strict=True)
    )
    _, sentence = words.unsaid(reasons)
    if sentence:
        lines += f"<p><small>? {words.escaped(sentence)}</small></p>"
    told = lines or "<p><small>No detector, link or matched trading holds anything against it.</small></p>"
    hardly_seen = words.hardly_seen(reasons, band)
    colour = palette().of("unknown" if hardly_seen else BANDS.get(str(band), "unknown"))
    title = f"Risk not known yet, {points:.0f} of 100 so far" if hardly_seen else f"Risk {points:.0f} of 100 · {band}"
    st.html(
        f'<div class="hw hw-score" style="--hw:{colour}"><b>{words.escaped(title)}</b>'
        f'<div class="hw-bar">{bar}</div>{told}</div>'
    )


def table(pairs: dict[str, str], *, right: bool = False) -> None:
    """Names and values below each other; amounts to the right."""
    kind = ' class="n"' if right else ""
    lines = "".join(
        f"<tr><td>{words.escaped(name)}</td><td{kind}>{words.escaped(told)}</td></tr>" for name, told in pairs.items()
    )
    st.html(f'<table class="hw-sum">{lines}</table>')


def empty(title: str, filled_by: str) -> None:
    """An empty state: what is not there, and what would fill it."""
    st.html(f'<div class="hw-empty"><b>{words.escaped(title)}</b>{filled_by}</div>')


def refused(error: Exception) -> None:
    """Why something was not done; the sentence may quote what others wrote, of which nothing is drawn."""
    st.error(words.marked(error))


def coloured(frame: Any, column: str, states: Any) -> Any:
    """A frame whose column takes the colours of states (aligned by place)."""
    colours = [f"color: {palette().of(str(state))}; font-weight: 600" for state in states]
    return frame.style.apply(lambda _: colours, subset=[column], axis=0)


def amounts(shown: Any, names: Sequence[str], currencies: Iterable[Any], *, signed: bool = False) -> Any:
    """A frame (or coloured frame) with amounts in the decimals of their row's currency, in columns without a format."""
    styled = shown.style if isinstance(shown, pd.DataFrame) else shown
    codes = pd.Series(list(currencies), index=styled.index)
    sign = "+" if signed else ""
    for currency in codes.unique():
        places = decimals(str(currency))
        rows: Any = (codes.index[codes == currency], list(names))
        styled = styled.format(f"{{:{sign},.{places}f}}", subset=rows, na_rep=words.UNKNOWN)
    return styled
