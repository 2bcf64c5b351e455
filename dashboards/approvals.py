"""Approvals: what waits for my agreement."""

from __future__ import annotations

import streamlit as st

from dashboards.kit import desk, look, places, reads, words
from sql.desk_schema import PAYOUT_STATES

WAITING = ("second_approval", "finance_approval")


def show() -> None:
    """Decisions of others that need one more person, oldest last move first."""
    desk.told()
    person = desk.person()
    found = desk.states(PAYOUT_STATES.c.state.in_(WAITING)).iloc[::-1]
    mine = [
        row
        for row in reads.records(found)
        if person.name not in (row["maker"], row["checker"])
        and (row["state"] == "second_approval" or person.may("payouts.finance"))
    ]
    if not mine:
        look.empty(
            "Nothing waits for you",
            "Large, first and unusual payouts come here once somebody else has decided on them.",
        )
        own = sum(1 for row in reads.records(found) if row["maker"] == person.name)
        if own:
            st.caption(f"{words.counted(own, 'decision')} of yours wait for others.")
        return
    for row in mine:
        with st.container(border=True):
            left, right = st.columns([3, 2], vertical_alignment="center")
            with left:
                told = f"**{row['payout_id']}** {desk.money(row['trader_minor'], row['currency'])} to the trader"
                if row["deducted_minor"]:
                    told += f", {desk.money(row['deducted_minor'], row['currency'])} deducted"
                st.markdown(told)
                st.caption(
                    f"Decided by {row['maker']}, {words.instant(row['updated_at'])} · {words.plain(row['state'])}"
                )
                places.link("payout_review", "Read →", icon=False, payout=row["payout_id"])
            with right:
                reason = st.text_input("Reason", key=f"why-{row['payout_id']}", placeholder="needed to send back")
                agree, back = st.columns(2)
                if agree.button("Agree", key=f"agree-{row['payout_id']}", type="primary"):
                    desk.act(row["payout_id"], "confirm", int(row["version"]), reason=reason)
                if back.button("Send back", key=f"back-{row['payout_id']}"):
                    desk.act(row["payout_id"], "refuse", int(row["version"]), reason=reason)
