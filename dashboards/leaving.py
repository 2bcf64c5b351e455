"""About to leave: traders by the chance that they are gone within the horizon, and why; and how long traders stay.

Views of the segments.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import look, places, reads, state, words
from models.churn.survival import EVERY_DESK
from models.metrics import definition
from models.segments import Segment
from sql.schema import CHURN_SCORES
from sql.segment_schema import CHURN_CURVES, SEGMENT_MEMBERS

CHANCES = {"likely": "Likely, 50 to 90 %", "near": "Nearly certain", "unlikely": "Unlikely", "all": "All"}
BOUNDS = {"likely": (0.5, 0.9), "near": (0.9, 1.01), "unlikely": (0.0, 0.5), "all": (0.0, 1.01)}
COLUMNS = {
    "trader_id": st.column_config.TextColumn("Trader", width=90),
    "full_name": st.column_config.TextColumn("Name", width=110),
    "country": st.column_config.TextColumn("Country", width=70),
    "percent": st.column_config.ProgressColumn("Leaves", format="%.0f %%", min_value=0, max_value=100, width=120),
    "may_write": st.column_config.TextColumn("May be written to", width=125),
    "because": st.column_config.TextColumn("What raises it most"),
}


def show(rules: list[Segment], desk: str | None) -> None:
    """The traders by their chance of leaving, and the reasons of the selected one."""
    left, middle, paged = st.columns([1, 2, 2], vertical_alignment="bottom")
    with left:
        segment = state.one_of("Segment", "segment", [one.name for one in rules])
    with middle:
        chance = state.tab("Chance", "chance", CHANCES)
    inside = _inside(segment, chance, desk)
    if inside is None or not (total := reads.count(inside)):
        look.empty("Nobody here", "Once challenges were bought for some time, every run says who is likely to leave.")
        return
    with paged:
        start = state.page_number(total) * reads.PAGE_ROWS
    _expected(inside, total)
    order = (CHURN_SCORES.c.probability.desc(), CHURN_SCORES.c.trader_id)
    found = reads.fetch(inside.order_by(*order).limit(reads.PAGE_ROWS).offset(start))
    rows, beside = st.columns([3, 1], gap="medium")
    with rows:
        chosen = _table(found)
    with beside:
        _why(reads.records(found)[chosen])


def _inside(segment: str | None, chance: str, desk: str | None) -> sa.Select[Any] | None:
    """A select of the traders that pass the filters with their contacts, None before the first run."""
    contacts, accounts, held = reads.mart("contacts"), reads.mart("accounts"), CHURN_SCORES.c
    if contacts is None or accounts is None:
        return None
    known = (
        contacts.c.full_name,
        contacts.c.country,
        contacts.c.consent,
        contacts.c.email.is_not(None).label("reached"),
    )
    inside = sa.select(CHURN_SCORES, *known).join(contacts, contacts.c.trader_id == held.trader_id)
    if segment:
        members = sa.select(SEGMENT_MEMBERS.c.trader_id).where(SEGMENT_MEMBERS.c.segment == segment)
        inside = inside.where(held.trader_id.in_(members))
    least, below = BOUNDS[chance]
    inside = inside.where(held.probability >= least, held.probability < below)
    if desk:
        inside = inside.where(held.trader_id.in_(sa.select(accounts.c.trader_id).where(accounts.c.desk_id == desk)))
    return inside


def _expected(inside: sa.Select[Any], total: int) -> None:
    """How many of those listed leave, by the model."""
    listed = reads.within_desks(inside).subquery()
    told = (sa.func.sum(listed.c.probability).label("leaving"), sa.func.max(listed.c.horizon_days).label("days"))
    summed = reads.records(reads.fetch(sa.select(*told)))[0]
    st.caption(
        f"Of {words.counted(total, 'trader')} some {words.number(summed['leaving'])} are expected to leave within"
        f" {words.number(summed['days'])} days: no purchase and no trade in them."
        " Who stands near certain may be gone already."
    )


def _table(found: pd.DataFrame) -> int:
    """The traders of a page; gives the place of the selected one."""
    frame = found.assign(
        percent=100 * found["probability"],
        because=[_because(text) for text in found["reasons"]],
        may_write=[
            "✓ yes" if agreed and reached else "no address" if agreed else "has not agreed"
            for agreed, reached in zip(found["consent"], found["reached"], strict=True)
        ],
    )
    event: Any = st.dataframe(
        frame[list(COLUMNS)],
        column_config=COLUMNS,
        placeholder=words.UNKNOWN,
        hide_index=True,
        height=look.height(len(frame)),
        on_select="rerun",
        selection_mode="single-row-required",
        key="leaving",
    )
    rows = event.selection.rows
    return rows[0] if rows and rows[0] < len(found) else 0


def _told(text: Any) -> list[dict[str, Any]]:
    """What moved a trader's probability, strongest first."""
    return [one for one in words.parsed(text) or [] if isinstance(one, dict)]


def _because(text: Any) -> str:
    """The two strongest reasons that speak for leaving."""
    raising = [_fact(one) for one in _told(text) if one["log_odds"] > 0]
    return "; ".join(raising[:2]) or "nothing stands out"


def _fact(reason: dict[str, Any]) -> str:
    """A reason with its value: days and counts whole, shares to hundredths."""
    if reason["value"] is None:
        return f"{reason['reason']}: none on record"
    value = float(reason["value"])
    return (
        f"{reason['reason']}: {value:,.0f}"
        if abs(value) >= 10 or value.is_integer()
        else f"{reason['reason']}: {value:,.2f}"
    )


def _why(row: dict[str, Any]) -> None:
    """The selected trader's chance, with what raises and what lowers it."""
    lines = [f"{'▲' if one['log_odds'] > 0 else '▼'} {_fact(one)}" for one in _told(row["reasons"])]
    title = f"{row['trader_id']} · {words.share(row['probability'])} within {row['horizon_days']} days"
    look.card("ended", words.escaped(title), [words.escaped(one) for one in lines or ["Nothing stands out."]])
    st.caption(f"▲ raises, ▼ lowers the chance, strongest first; by {row['model_version']}.")
    places.link("case", "Everything known of this trader →", icon=False, trader=str(row["trader_id"]))
    places.link("segments", "How long traders stay →", icon=False, view="staying")


def how_long(desk: str | None) -> None:
    """How long traders stay after their first purchase: everybody, and desk by desk."""
    table = CHURN_CURVES.c
    wanted = () if desk is None else (table.desk_id == desk,)
    found = reads.fetch(sa.select(CHURN_CURVES).where(*wanted).order_by(table.desk_id, table.day))
    if found.empty:
        look.empty("Not known yet", "Nobody's first purchase lies so far back that who bought then may have left.")
        return
    curves, names = _told_apart(found), {EVERY_DESK: "all desks"} | state.desk_names()
    has_main = curves[0][0] == EVERY_DESK or len(curves) == 1
    figure, colours = go.Figure(), look.palette()
    for place, (desk_id, rows) in enumerate(curves):
        is_main = has_main and place == 0
        colour = colours.text if is_main else colours.series[place % len(colours.series)]
        line = {"x": rows["day"], "line_shape": "hv", "mode": "lines"}
        if is_main:
            _band(figure, rows, line)
        figure.add_scatter(
            y=rows["staying"],
            name=names.get(desk_id, desk_id),
            line={"color": colour, "width": 3 if is_main else 1.5},
            customdata=rows["at_risk"],
            hovertemplate="%{y:.1f} % stay longer than %{x} days, of %{customdata:,}<extra>%{fullData.name}</extra>",
            **line,
        )
    figure.update_yaxes(rangemode="tozero", title="of traders")
    look.percent(figure, "y")
    figure.update_xaxes(title="days since the first purchase")
    look.chart(figure, "How long do traders stay?", height=420, key="staying")
    half = [_half(names.get(desk_id, desk_id), rows) for desk_id, rows in (curves[:1] if has_main else curves)]
    st.caption(f"{definition('staying')} {' '.join(half)}")


def _told_apart(found: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The curves by desk, that of the whole firm first; of one desk alone its own says the same."""
    curves = {str(name): rows for name, rows in found.groupby("desk_id", sort=True)}
    every = {EVERY_DESK: curves.pop(EVERY_DESK)} if EVERY_DESK in curves else {}
    return list((every | (curves if len(curves) > 1 or not every else {})).items())


def _band(figure: go.Figure, rows: pd.DataFrame, line: dict[str, Any]) -> None:
    """The 95 % band of a curve, from where anybody has left."""
    quiet = {"line": {"width": 0}, "hoverinfo": "skip", **line}
    figure.add_scatter(y=rows["low"], showlegend=False, **quiet)
    band = look.palette().band
    figure.add_scatter(y=rows["high"], fill="tonexty", fillcolor=band, name="95 % band", **quiet)


def _half(name: str, curve: pd.DataFrame) -> str:
    """When half of the traders have left."""
    gone = curve.loc[curve["staying"] <= 0.5, "day"]
    if gone.empty:
        longest = words.counted(int(curve["day"].max()), "day")
        return f"At {name} more than half stay longer than {longest}, the longest watched."
    return f"At {name} half have left within {words.counted(int(gone.min()), 'day')}."
