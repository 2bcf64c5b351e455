"""Alerts: who is told what, what was told, and what nobody has opened."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import desk, look, reads, state, words
from models import audit
from models.access import ROLES, AccessRefused, require
from models.rules import RULES
from pipelines.live import alerts
from pipelines.live.alerts import AlertRefused

VIEWS = {"unopened": "Not opened", "log": "Delivery log", "subscriptions": "Subscriptions"}
GRAVE = ("Good news", "To look at", "An ending", "A feed that stopped")
COLOURS = ("fine", "near", "breached", "breached")
STATES = {"waiting": "● Waits", "sent": "✓ Sent", "failed": "✕ Failed", "ended": "− Ended"}
REFRESH = dt.timedelta(seconds=10)


def show() -> None:
    """The alerts of a view as they stand now, or the subscriptions."""
    desk.told()
    view = state.tab("View", "view", VIEWS)
    if view == "subscriptions":
        _subscriptions()
        return
    st.fragment(lambda: _told(view), run_every=REFRESH)()


def _told(view: str) -> None:
    """What was told to whom, newest first; drawn again every few seconds."""
    desk.told()
    found = [row for row in alerts.log(reads.warehouse()) if _is_mine(row)]
    unopened = [row for row in found if row["state"] == "sent" and words.missing(row["opened_at"])]
    failed = sum(row["state"] == "failed" for row in found)
    look.facts(
        {
            "Not opened": words.number(len(unopened)),
            "Waiting": words.number(sum(row["state"] == "waiting" for row in found)),
            "Failed": words.number(failed),
            "Read at": words.instant(dt.datetime.now(dt.UTC), seconds=True),
        }
    )
    rows = (unopened if view == "unopened" else found)[: reads.MOST_ROWS]
    if not rows:
        look.empty(
            "Nobody is waited for" if view == "unopened" else "Nothing was told yet",
            "<code>highwater live</code> tells subscribers of verdicts, flags and feeds that stopped.",
        )
        return
    _table(rows)
    if view == "unopened":
        _open(rows)


def _is_mine(row: dict[str, Any]) -> bool:
    """Whether an alert is about the person's desks; those of no desk are for who sees every desk."""
    return desk.person().sees(row["desk_id"])


def _table(rows: list[dict[str, Any]]) -> None:
    shown = pd.DataFrame(
        {
            "severity": GRAVE[row["severity"] or 0],
            "title": row["title"],
            "body": row["body"],
            "role": words.plain(row["role"]),
            "state": STATES.get(row["state"], row["state"]),
            "created": words.instant(row["created_at"]),
            "delivered": words.instant(row["delivered_at"]),
            "opened": words.instant(row["opened_at"]),
            "by": row["opened_by"],
            "escalated": words.instant(row["escalated_at"]),
        }
        for row in rows
    )
    st.dataframe(
        look.coloured(shown, "severity", [COLOURS[row["severity"] or 0] for row in rows]),
        hide_index=True,
        height=look.height(len(shown)),
        placeholder=words.UNKNOWN,
        column_config={
            "severity": "How grave",
            "title": "About",
            "body": st.column_config.TextColumn("Told", width="large"),
            "role": "To",
            "state": "State",
            "created": "Came up",
            "delivered": "Delivered",
            "opened": "Opened",
            "by": "By",
            "escalated": "Escalated",
        },
    )


def _open(rows: list[dict[str, Any]]) -> None:
    """Notes that the person has seen an alert, or all that are listed, which ends their escalation."""
    told = {row["case_id"]: row for row in rows}
    left, middle, right = st.columns([4, 1, 1], vertical_alignment="bottom")
    case = left.selectbox("Alert", list(told), format_func=lambda one: told[one]["title"])
    middle.button("I have seen it", type="primary", width="stretch", on_click=_seen, args=([case],))
    # what comes up between drawing and pressing has been seen by nobody
    right.button(f"All {len(told)}", width="stretch", disabled=len(told) < 2, on_click=_seen, args=(list(told),))
    st.html(f"<p>{words.escaped(told[case]['body'])}</p>")


def _seen(cases: list[str]) -> None:
    try:
        alerts.opened(reads.warehouse(), cases, desk.person().name)
    except AlertRefused as refused:
        desk.tell(str(refused))


def _subscriptions() -> None:
    """Who is told what, and forms for another and for an end."""
    with reads.warehouse().database.connect() as database:
        held = [row for row in alerts.in_force(database) if desk.person().sees(row["desk_id"])]
    if held:
        st.dataframe(
            pd.DataFrame([_in_words(row) for row in held]), hide_index=True, placeholder=words.UNKNOWN,
            column_config={"Outcomes": st.column_config.TextColumn("Outcomes", width="medium")},
        )  # fmt: skip
    else:
        look.empty("Nobody is told of anything", "A subscription tells a role at an address of theirs.")
    if not desk.person().may("alerts.manage"):
        st.caption("Managers and administrators change subscriptions.")
        return
    _subscribe()
    if held:
        _end(held)


def _in_words(row: dict[str, Any]) -> dict[str, Any]:
    quiet = f"{row['quiet_from']} to {row['quiet_to']} {row['zone']}" if row["quiet_from"] else "never"
    late = (
        row["escalate_minutes"] and f"{alerts.shown_address(row['escalate_url'])} after {row['escalate_minutes']} min"
    )
    return {
        "To": words.plain(row["role"]),
        "Address": alerts.shown_address(row["url"]),
        "Desk": row["desk_id"] or "every desk",
        "Rule or detector": words.plain(row["rule"]) if row["rule"] else "all",
        "Outcomes": ", ".join(json.loads(row["outcomes"])),
        "At least": GRAVE[row["severity_min"] or 0],
        "Quiet": quiet,
        "Digest": f"every {row['digest_minutes']} min" if row["digest_minutes"] else "at once",
        "Unopened": late or "not escalated",
        "Id": row["subscription_id"],
    }


def _subscribe() -> None:
    with st.expander("Subscribe a role"), st.form("subscribe", border=False):
        left, right = st.columns(2)
        role = left.selectbox("Role", list(ROLES), format_func=words.plain)
        url = right.text_input("Address", placeholder="slack://…, tgram://…, mailto://…, json://…")
        desks = state.desk_names()
        of = left.selectbox("Desk", [None, *desks], format_func=lambda one: desks[one] if one else "Every desk")
        rule = right.selectbox("Rule or detector", [None, *alerts.CAUSES], format_func=_cause)
        outcomes = left.multiselect("Outcomes", list(alerts.SEVERITIES), default=list(alerts.USUAL))
        grave = right.selectbox("At least", range(len(GRAVE)), format_func=GRAVE.__getitem__)
        first = left.text_input("Quiet from", placeholder="22:00")
        last = right.text_input("Quiet until", placeholder="06:00")
        zone = left.text_input("Zone of the quiet hours", "UTC")
        digest = right.number_input("Minutes of a digest, 0: at once", 0, 1_440, 0)
        minutes = left.number_input("Minutes until somebody must have opened it", 1, 1_440, 15)
        other = right.text_input("Address that is told otherwise", placeholder="nobody")
        if st.form_submit_button("Subscribe", type="primary"):
            _change(
                "alert subscribed",
                lambda: alerts.subscribe(
                    reads.warehouse(), str(role), url.strip(), desk_id=of, rule=rule,
                    outcomes=outcomes, quiet=(first.strip(), last.strip()) if first.strip() else None,
                    zone=zone.strip(), digest_minutes=int(digest), severity_min=int(grave),
                    escalate=(int(minutes), other.strip()) if other.strip() else None,
                ),
                of,
            )  # fmt: skip


def _cause(name: str | None) -> str:
    return "All" if name is None else words.rule(name) if name in RULES else words.detector(name)


def _end(held: list[dict[str, Any]]) -> None:
    with st.expander("End a subscription"):
        by_number = {row["subscription_id"]: row for row in held}
        number = st.selectbox(
            "Subscription",
            list(by_number),
            format_func=lambda one: (
                f"{words.plain(by_number[one]['role'])} · {alerts.shown_address(by_number[one]['url'])}"
            ),
        )
        if st.button("End it"):

            def done() -> str:
                alerts.end(reads.warehouse(), str(number))
                return str(number)

            _change("alert ended", done, by_number[number]["desk_id"])


def _change(action: str, make: Any, of: str | None) -> None:
    """Changes subscriptions and keeps who did it in the audit log; what was refused is told instead."""
    person = desk.person()
    try:
        require(person, "alerts.manage", of)
        number = make()
    except (AlertRefused, AccessRefused) as refused:
        look.refused(refused)
        return
    with reads.warehouse().database.begin() as database:
        audit.append(database, audit.Record(person.name, action, f"subscription:{number}", role=person.role))
    desk.tell("Done.")
    st.rerun()
