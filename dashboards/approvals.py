"""Approvals: what waits for my agreement, and what is held until another than who granted it has looked."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboards.kit import desk, look, places, reads, words
from models.clock import zoned
from models.decisions.desk import open_to
from models.decisions.holds import Hold
from sql.desk_schema import PAYOUT_STATES

WAITING = ("second_approval", "finance_approval")


def show() -> None:
    """Decisions of others that need one more person, oldest last move first."""
    desk.told()
    person = desk.person()
    found = desk.states(PAYOUT_STATES.c.state.in_(WAITING)).iloc[::-1]
    mine = [
        row for row in reads.records(found) if "confirm" in open_to(person, row["state"], desk.state(row["payout_id"]))
    ]
    held = _held()
    if not mine and not held:
        look.empty(
            "Nothing waits for you",
            "Large, first and unusual payouts come here once somebody else has decided on them.",
        )
        own = sum(1 for row in reads.records(found) if row["maker"] == person.name)
        if own:
            st.caption(f"{words.counted(own, 'decision')} of yours wait for others.")
        return
    for row in mine:
        _decision(row)
    if held:
        st.subheader("Held: the account ended after it was granted", anchor=False)
    for row, hold in held:
        _release(row, hold)


def _held() -> list[tuple[dict[str, Any], Hold]]:
    """Granted requests of others that are held, those granted first before the others."""
    person, holds = desk.person(), desk.held()
    found = desk.states(PAYOUT_STATES.c.payout_id.in_(list(holds))).iloc[::-1] if holds else None
    rows = [] if found is None else reads.records(found)
    return [(row, holds[row["payout_id"]]) for row in rows if row["maker"] != person.name]


def _release(row: dict[str, Any], hold: Hold) -> None:
    """One held request: amount, why it is held, who granted it, and the two answers."""
    zone, payout_id = reads.zone_of(row["desk_id"]), row["payout_id"]
    with st.container(border=True):
        left, right = st.columns([3, 2], vertical_alignment="center")
        with left:
            st.markdown(f"**{payout_id}** {desk.money(row['trader_minor'], row['currency'])} to the trader")
            st.markdown(f"{desk.HELD}: {zoned(hold.told, zone)}")
            st.caption(f"Granted by {words.marked(row['maker'])}, {words.instant(row['updated_at'], zone)}")
            places.link("payout_review", "Read →", icon=False, payout=payout_id)
        with right:
            reason = st.text_input("Reason", key=f"why-{payout_id}", placeholder="needed for both")
            with st.container(horizontal=True):
                back = st.button("Take back", key=f"withhold-{payout_id}", type="primary")
                free = st.button("Release", key=f"release-{payout_id}")
    if back or free:
        desk.act(payout_id, "withhold" if back else "release", int(row["version"]), reason=reason)


def _decision(row: dict[str, Any]) -> None:
    """One decision of somebody else: amount, what the review says, why it needs another person, and the answer."""
    asked = desk.request(row["payout_id"])
    stops = desk.stops([asked] if asked else [])
    moves = reads.records(desk.decisions(row["payout_id"]))
    submitted: dict[str, Any] = next((one for one in reversed(moves) if one["action"] == "submit"), {})
    made: dict[str, Any] = next((one for one in reversed(moves) if one["person"] == row["maker"] and one["reason"]), {})
    with st.container(border=True):
        left, right = st.columns([3, 2], vertical_alignment="center")
        with left:
            told = f"**{row['payout_id']}** {desk.money(row['trader_minor'], row['currency'])} to the trader"
            if row["deducted_minor"]:
                told += f", {desk.money(row['deducted_minor'], row['currency'])} deducted"
            st.markdown(told)
            if asked:
                to_read = desk.at_a_glance(asked) or "every check passed"
                st.markdown(f"{words.marked(asked['trader_name'])} · {stops.advice(asked)} · {to_read}")
                stops.tell_freeze(asked)
            why = f" because of: {words.marked(submitted['reason'])}" if submitted.get("reason") else ""
            st.caption(f"{words.plain(row['state'])}{why}")
            said = f": {words.marked(made['reason'])}" if made else ""
            at = words.instant(row["updated_at"], reads.zone_of(row["desk_id"]))
            st.caption(f"Decided by {words.marked(row['maker'])}, {at}{said}")
            places.link("payout_review", "Read →", icon=False, payout=row["payout_id"])
        with right:
            reason = st.text_input("Reason", key=f"why-{row['payout_id']}", placeholder="needed to send back")
            with st.container(horizontal=True):
                advised = asked is not None and "confirm" in stops.advised(asked)
                agree = st.button("Agree", key=f"agree-{row['payout_id']}", type="primary" if advised else "secondary")
                back = st.button("Send back", key=f"back-{row['payout_id']}")
    if agree:
        desk.act(row["payout_id"], "confirm", int(row["version"]), reason=reason)
    if back:
        desk.act(row["payout_id"], "refuse", int(row["version"]), reason=reason)
