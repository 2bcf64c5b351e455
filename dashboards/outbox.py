"""Outbox: what was asked of the platforms, what waits for an answer, and what never arrived."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import desk, look, places, reads, state, words
from models.access import AccessRefused
from pipelines.live import outbox
from pipelines.live.outbox import OutboxRefused
from sql.live_schema import OUTBOX, WEBHOOKS

VIEWS = {"open": "To decide", "waiting": "On their way", "done": "Done", "gateways": "Gateways"}
STATES = {
    "dead": ("breached", "✕ Never arrived"),
    "asked": ("near", "▲ Asks"),
    "waiting": ("fine", "● On its way"),
    "sent": ("ended", "✓ Taken"),
    "declined": ("ended", "− Declined"),
    "observed": ("unknown", "○ Only observed"),
}
OF_VIEW = {"open": ("dead", "asked"), "waiting": ("waiting",), "done": ("sent", "declined", "observed")}
REFRESH = dt.timedelta(seconds=10)


def show() -> None:
    """Counts at a glance, then the actions of one view; those that need a person with buttons beside them."""
    desk.told()
    view = state.tab("View", "view", VIEWS)
    if view == "gateways":
        _gateways()
        return
    st.fragment(lambda: _listed(view), run_every=REFRESH)()


def _listed(view: str) -> None:
    """The actions of a view as they stand now; drawn again every few seconds."""
    counted = reads.now(sa.select(OUTBOX.c.desk_id, OUTBOX.c.state, OUTBOX.c.created_at))
    counts = counted["state"].value_counts()
    look.facts(
        {STATES[name][1]: words.number(int(counts.get(name, 0))) for name in STATES}
        | {"Read at": words.instant(dt.datetime.now(dt.UTC), seconds=True)}
    )
    mine = OUTBOX.c.state.in_(OF_VIEW[view])
    order = (OUTBOX.c.state.desc(), OUTBOX.c.created_at.desc(), OUTBOX.c.outbox_id)
    start = state.page_number(int(counted["state"].isin(OF_VIEW[view]).sum())) * reads.PAGE_ROWS
    found = reads.now(sa.select(OUTBOX).where(mine).order_by(*order).limit(reads.PAGE_ROWS).offset(start))
    if found.empty:
        _nothing(view)
        return
    _table(found)
    if view != "done" and desk.person().may("actions.decide"):
        _decide(reads.records(found), view)


def _nothing(view: str) -> None:
    told = {
        "open": (
            "Nothing waits for a decision",
            "Actions of a desk that asks, and those that never arrived, come here.",
        ),
        "waiting": ("Nothing is on its way", "Actions of a desk that enforces are here until its platform took them."),
        "done": (
            "No action was settled yet",
            "<code>highwater live</code> writes actions with the verdicts they follow.",
        ),
    }
    look.empty(*told[view])


def _table(found: pd.DataFrame) -> None:
    rows = reads.records(found)
    shown = pd.DataFrame(
        {
            "state": STATES.get(row["state"], ("unknown", str(row["state"])))[1],
            "action": words.plain(row["action"]),
            "account": row["account_id"],
            "desk": row["desk_id"],
            "why": words.plain(str(json.loads(row["body"]).get("rule", ""))),
            "written": words.instant(row["created_at"]),
            "next": _next(row),
            "tries": row["attempts"],
            "said": row["said"],
        }
        for row in rows
    )
    st.dataframe(
        look.coloured(shown, "state", [STATES.get(row["state"], ("unknown", ""))[0] for row in rows]),
        hide_index=True,
        height=look.height(len(shown)),
        placeholder=words.UNKNOWN,
        column_config={
            "state": st.column_config.TextColumn("State", width=140),
            "action": "Action",
            "account": "Account",
            "desk": "Desk",
            "why": "Because of",
            "written": "Written",
            "next": st.column_config.TextColumn("Settled or next try", help="When it was settled, or is tried next."),
            "tries": st.column_config.NumberColumn("Tries", width=60),
            "said": st.column_config.TextColumn("Last answer", width="medium"),
        },
    )


def _next(row: dict[str, Any]) -> str:
    """When an action was settled, or is tried next; one that asks has no time."""
    if not words.missing(row["settled_at"]):
        return words.instant(row["settled_at"])
    return words.instant(row["next_at"]) if row["state"] == "waiting" else words.UNKNOWN


def _decide(rows: list[dict[str, Any]], view: str) -> None:
    """The actions of one account to send, again or at once, or to decline with a reason; all go to the audit log."""
    with st.container(border=True):
        left, right = st.columns([1, 2])
        account = left.selectbox("Account", list(dict.fromkeys(row["account_id"] for row in rows)))
        mine = (OUTBOX.c.state.in_(OF_VIEW[view]), OUTBOX.c.account_id == account)
        query = sa.select(OUTBOX).where(*mine).order_by(OUTBOX.c.created_at, OUTBOX.c.outbox_id)
        by_number = {row["outbox_id"]: row for row in reads.records(reads.now(query))}
        numbers = right.multiselect(
            "Actions", list(by_number), _due(by_number), key=f"of-{account}-{view}",
            format_func=lambda one: f"{words.plain(by_number[one]['action'])} · {STATES[by_number[one]['state']][1]}",
            help="What cannot be taken back is not chosen until its verdict has stood for a day.",
        )  # fmt: skip
        reason = st.text_input("Reason", key=f"why-{account}", placeholder="needed to decline")
        left, middle, right = st.columns([1, 1, 3], vertical_alignment="center")
        many = f" {len(numbers)}" if len(numbers) > 1 else ""
        if left.button(f"Send{many}", type="primary", disabled=not numbers, width="stretch"):
            _answer(numbers, reason, send=True)
        if middle.button(f"Decline{many}", disabled=not numbers, width="stretch"):
            _answer(numbers, reason, send=False)
        with right:
            places.link("account", "Open the account →", icon=False, account=str(account))


def _due(by_number: dict[str, dict[str, Any]]) -> list[str]:
    """Those whose time has come; those that were tried are due at once."""
    now = dt.datetime.now(dt.UTC)
    return [number for number, row in by_number.items() if row["state"] != "asked" or row["next_at"] <= now]


def _answer(numbers: list[str], reason: str, *, send: bool) -> None:
    try:
        for number in numbers:
            outbox.decide(reads.warehouse(), number, send=send, person=desk.person(), reason=reason)
    except (OutboxRefused, AccessRefused) as refused:
        look.refused(refused)
        return
    desk.tell("It is on its way." if send else "It is declined.")
    st.rerun(scope="app")


def _gateways() -> None:
    """How far each desk's platform is asked to go."""
    found = reads.now(sa.select(WEBHOOKS.c.desk_id, WEBHOOKS.c.url, WEBHOOKS.c.mode, WEBHOOKS.c.modes))
    if found.empty:
        look.empty(
            "No desk has a platform gateway",
            "<code>highwater gateway set DESK --url URL --mode observe</code> connects one; nothing is sent before.",
        )
        return
    rows = [
        {
            "desk": row["desk_id"],
            "address": str(row["url"]).split("?")[0],
            "mode": words.plain(row["mode"]),
            "otherwise": ", ".join(
                f"{words.plain(name)}: {mode}" for name, mode in (words.parsed(row["modes"]) or {}).items()
            ),
        }
        for row in reads.records(found)
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={"desk": "Desk", "address": "Address", "mode": "Mode", "otherwise": "Otherwise"},
    )
    st.caption("Observe: only written down. Ask: a person decides here. Enforce: sent at once, signed.")
