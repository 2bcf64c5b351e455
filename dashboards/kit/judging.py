"""One person or not: what was said of two traders, and the buttons that say it."""

from __future__ import annotations

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import reads, words
from dashboards.kit.people import who
from models.access import AccessRefused
from models.judgements import SAID, JudgementRefused, judge
from sql.schema import JUDGEMENTS
from sql.warehouse import read_frame

TOLD = "judged"


def ask(one: str, other: str) -> None:
    """What was decided about two traders so far, and a reason with two buttons to decide it anew."""
    if TOLD in st.session_state:
        st.toast(st.session_state.pop(TOLD))
    _said(one, other)
    if not who().may("risk.decide"):
        return
    with st.form(f"judge-{one}-{other}", border=False, clear_on_submit=False):
        reason = st.text_input(
            f"Are {one} and {other} one person?", placeholder="Why, in a sentence another analyst can check"
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            same = st.form_submit_button("Same person", icon=":material/link:")
            different = st.form_submit_button("Not the same", icon=":material/link_off:")
            st.caption("Owners follow it from the next scoring on.", width="content")
    if same or different:
        _keep(one, other, "same" if same else "different", reason)


def _said(one: str, other: str) -> None:
    """The judgement in force, read anew every time."""
    both = JUDGEMENTS.c.trader_a.in_((one, other)) & JUDGEMENTS.c.trader_b.in_((one, other))
    with reads.warehouse().database.connect() as connection:
        held = read_frame(connection, sa.select(JUDGEMENTS).where(both))
    for row in reads.records(held):
        said, at = SAID.get(row["judgement"], row["judgement"]), words.instant(row["decided_at"])
        st.caption(f"✓ Judged **{said}** by {row['decided_by']} on {at}: {row['reason']}")


def _keep(one: str, other: str, said: str, reason: str) -> None:
    """Keeps it and draws the page anew; what was refused is told instead."""
    try:
        judge(reads.warehouse().database, who(), (one, other), said, reason, _desks(one, other))
    except (JudgementRefused, AccessRefused) as refused:
        st.error(str(refused))
        return
    st.session_state[TOLD] = f"{one} and {other}: {SAID[said]}."
    st.rerun()


def _desks(one: str, other: str) -> tuple[str, ...]:
    """Every desk at which the two have accounts, those that the person does not see too."""
    accounts = reads.mart("accounts")
    if accounts is None:
        return ()
    found: pd.DataFrame = reads.fetch(
        sa.select(accounts.c.desk_id).distinct().where(accounts.c.trader_id.in_((one, other))), every_desk=True
    )
    return tuple(found["desk_id"].dropna())
