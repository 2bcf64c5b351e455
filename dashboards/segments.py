"""Segments: who the traders are to us, how many, and whom a message may reach."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import sqlalchemy as sa
import streamlit as st

from dashboards import leaving
from dashboards.kit import casework, look, places, privacy, reads, state, words
from models import segments
from models.access import AccessRefused
from models.churn.features import WORDS
from models.segments import Segment, SegmentsRefused
from pipelines.export import for_spreadsheets
from sql.segment_schema import CHURN_DRIFT, SEGMENT_MEMBERS, SEGMENT_SIZES
from sql.warehouse import read_frame

MOVED = 0.25
VIEWS = {"segments": "Segments", "leaving": "About to leave", "staying": "How long traders stay"}
COLUMNS = {
    "name": st.column_config.TextColumn("Segment", width=170),
    "traders": st.column_config.NumberColumn("Traders", format="%,d", width=80),
    "before": st.column_config.NumberColumn("A month ago", format="%,d", width=100),
    "meaning": st.column_config.TextColumn("Meaning"),
}
FIT_COLUMNS = {
    "feature": st.column_config.TextColumn("What the model reads", width=420),
    "stability": st.column_config.NumberColumn("Moved by (PSI)", format="%.2f", width=120),
    "state": st.column_config.TextColumn("Beyond 0.25", width=100),
}


def show() -> None:
    """Sizes now and before, one segment's list and the rules; or who is about to leave, and whether to believe it; or
    how long traders stay."""
    rules = segments.load(segments.in_force(reads.warehouse().home))
    with st.columns(3)[0]:
        desk = state.desk()
    view = state.tab("View", "view", VIEWS)
    if view == "leaving":
        leaving.show(rules, desk)
        _drift()
        return
    if view == "staying":
        leaving.how_long(desk)
        return
    sizes = _sizes(desk)
    if sizes.empty:
        look.empty(
            "No segments yet", "<code>highwater score</code> finds them once challenges were bought for some time."
        )
        return
    left, right = st.columns([3, 1], gap="medium")
    with left:
        chosen = _table(rules, sizes)
        _chart(rules, sizes)
    with right:
        _campaign(chosen, desk)
    _edit()
    places.link("cohorts", "Cohorts: how far purchases get →", icon=False)


def _sizes(desk: str | None) -> pd.DataFrame:
    """Traders by segment and day; someone who buys at two desks counts at either."""
    held = SEGMENT_SIZES.c
    summed = sa.select(held.segment, held.day, sa.func.sum(held.traders).label("traders"))
    return reads.fetch((summed.where(held.desk_id == desk) if desk else summed).group_by(held.segment, held.day))


def _table(rules: list[Segment], sizes: pd.DataFrame) -> Segment:
    """The segments with their sizes; gives the one that is selected."""
    days = sorted(sizes["day"].unique())
    by_day = {day: group.set_index("segment")["traders"] for day, group in sizes.groupby("day")}
    now, before = by_day[days[-1]], by_day[days[-2]] if len(days) > 1 else pd.Series(dtype="int64")
    known = {one.name for one in segments.timeless(rules)}
    frame = pd.DataFrame(
        [
            {
                "name": words.plain(one.name),
                "traders": int(now.get(one.name, 0)),
                "before": int(before.get(one.name, 0)) if one.name in known and len(before) else None,
                "meaning": one.meaning,
            }
            for one in rules
        ]
    )
    event: Any = st.dataframe(
        frame,
        placeholder=words.UNKNOWN,
        column_config=COLUMNS,
        hide_index=True,
        height=look.height(len(frame)),
        on_select="rerun",
        selection_mode="single-row-required",
        key="segments",
    )
    rows = event.selection.rows
    return rules[rows[0] if rows and rows[0] < len(rules) else 0]


def _chart(rules: list[Segment], sizes: pd.DataFrame) -> None:
    figure, days = go.Figure(), sorted(sizes["day"].unique())
    known = {one.name for one in segments.timeless(rules)}
    for one in rules:
        mine = sizes[sizes["segment"] == one.name].set_index("day")["traders"]
        if one.name in known:
            mine = mine.reindex(days, fill_value=0)
        if len(mine) > 1:
            figure.add_scatter(x=mine.index, y=mine, name=words.plain(one.name), mode="lines+markers")
    if figure.data:
        figure.update_yaxes(title="traders")
        look.chart(figure, "Which segments grow?", height=300, key="segment-sizes")
    st.caption("Each point is judged by today's rules from what was known on that day.")


def _campaign(segment: Segment, desk: str | None) -> None:
    """The selected segment's list for a message, as far as people agreed to one."""
    inside = _contacts(segment, desk)
    if inside is None or not (total := reads.count(inside)):
        look.card("ended", words.plain(segment.name), ["Nobody at present."])
        return
    agreed = reads.count(_agreed(inside))
    line = f"{words.counted(total, 'trader')}; {agreed:,} of them agreed to be written to and can be reached."
    told = (segment.meaning, f"Rule: {segments.in_words(segment)}.", line)
    look.card("active", words.plain(segment.name), [words.escaped(one) for one in told])
    whom = {"view": "leaving", "segment": segment.name, "chance": "all"} | ({"desk": desk} if desk else {})
    places.link("segments", "Who they are, likely to leave first →", icon=False, **whom)
    st.caption("Who never said anything has not agreed: consent comes with the dataset consents.")
    if not casework.person().may("export") or not agreed:
        return
    st.download_button(
        "Export the list",
        partial(_list, _asked(inside), reads.warehouse().database),
        f"segment-{segment.name}.csv",
        icon=":material/download:",
        on_click=privacy.exported,
        args=(f"segment {segment.name}", agreed, reads.warehouse().database),
    )


def _contacts(segment: Segment, desk: str | None) -> sa.Select[Any] | None:
    """A select of everybody in a segment, None before the first run."""
    contacts, accounts, held = reads.mart("contacts"), reads.mart("accounts"), SEGMENT_MEMBERS.c
    if contacts is None or accounts is None:
        return None
    members = sa.select(held.trader_id).where(held.segment == segment.name)
    inside = sa.select(contacts).where(contacts.c.trader_id.in_(members)).order_by(contacts.c.trader_id)
    if desk is None:
        return inside
    return inside.where(contacts.c.trader_id.in_(sa.select(accounts.c.trader_id).where(accounts.c.desk_id == desk)))


def _agreed(inside: sa.Select[Any]) -> sa.Select[Any]:
    """Those of a select of contacts who agreed and have an address."""
    held = inside.selected_columns
    return inside.where(held.consent.is_(True), held.email.is_not(None))


def _asked(inside: sa.Select[Any]) -> sa.Select[Any]:
    """What the list holds for this person; roles that need no personal data get ids and countries only."""
    personal = casework.person().may("personal.read")
    names = ("trader_id", "full_name", "email", "country") if personal else ("trader_id", "country")
    return reads.within_desks(_agreed(inside).with_only_columns(*(inside.selected_columns[name] for name in names)))


def _list(asked: sa.Select[Any], database: sa.Engine) -> str:
    """The list as a file. It is made after the click, where no session says who asks: `asked` is bound before."""
    with database.connect() as connection:
        return for_spreadsheets(read_frame(connection, asked))


def _edit() -> None:
    """The rules as they are written, and a form to change them for who may."""
    home = reads.warehouse().home
    text = segments.in_force(home).read_text(encoding="utf-8")
    with st.expander("The rules as written"):
        if not casework.person().may("segments.edit"):
            st.code(text, language="toml")
            return
        with st.form("segment-rules", border=False):
            changed = st.text_area("Rules (TOML)", text, height=320)
            reason = st.text_input("Why", placeholder="Why, in a sentence others can check")
            if st.form_submit_button("Put in force from the next run"):
                try:
                    segments.edit(reads.warehouse().database, home, casework.person(), changed, reason)
                except (SegmentsRefused, AccessRefused) as refused:
                    look.refused(refused)
                    return
                st.success("Kept. The next run of highwater score finds the segments by these rules.")


def _drift() -> None:
    """How far what the churn model sees and says lies from its training."""
    found = reads.decided(CHURN_DRIFT, order=CHURN_DRIFT.c.stability.desc())
    with st.expander("Does the churn model still fit"):
        if found.empty:
            st.caption("The model in use goes by when a trader was last seen and keeps nothing that could have moved.")
            return
        far = found["stability"] > MOVED
        moved = f"{int(far.sum())} of the {len(found)} things below" if far.any() else "nothing"
        st.caption(
            f"Since {found['model_version'].iloc[0]} was learnt, {moved} moved beyond {MOVED:g} (population stability"
            " index against its training). What moved far makes its probabilities less sure."
        )
        named = pd.DataFrame(
            {
                "feature": [WORDS.get(name, "probability of leaving, as it says") for name in found["feature"]],
                "stability": found["stability"],
                "state": ["▲ moved" if one else "✓ as learnt" for one in far],
            }
        )
        st.dataframe(named, column_config=FIT_COLUMNS, hide_index=True, height=look.height(len(named)))
