"""The payout desk as pages see it: states, decisions and notes as they stand now, and acts with what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import lake, paths, people, reads, words
from models import access, audit, settlements
from models.access import AccessRefused, Person, masked
from models.decisions import desk
from models.decisions.desk import Done, State, Strip
from models.decisions.machine import REASON_CODES, MoveRefused
from models.money import from_minor
from pipelines import packs
from sql import schema
from sql.desk_schema import DECISIONS, PAYOUT_NOTES, PAYOUT_STATES
from sql.warehouse import read_frame

ICONS = {"failed": "✕", "unknown": "?", "passed": "✓", "not_applicable": "·"}
TOLD = "desk-told"


def person() -> Person:
    """Who acts."""
    return people.who()


def states(*conditions: Any, limit: int = reads.MOST_ROWS) -> pd.DataFrame:
    """States of requests of the person's desks, newest move first; never from a cache."""
    statement = reads.bounded(sa.select(PAYOUT_STATES).where(*conditions), PAYOUT_STATES.c.desk_id)
    with reads.warehouse().database.connect() as connection:
        return read_frame(connection, statement.order_by(PAYOUT_STATES.c.updated_at.desc()).limit(limit))


def state(payout_id: str) -> State | None:
    """Where a request stands, None while nobody has acted on it."""
    with reads.warehouse().database.connect() as connection:
        return desk.state_of(connection, payout_id)


def decisions(payout_id: str) -> pd.DataFrame:
    """Every move of a request, in order."""
    table = DECISIONS
    with reads.warehouse().database.connect() as connection:
        return read_frame(connection, sa.select(table).where(table.c.payout_id == payout_id).order_by(table.c.version))


def notes(payout_id: str) -> pd.DataFrame:
    """Notes on a request, in order."""
    table = PAYOUT_NOTES
    with reads.warehouse().database.connect() as connection:
        query = sa.select(table).where(table.c.payout_id == payout_id).order_by(table.c.written_at)
        return read_frame(connection, query)


def request(payout_id: str) -> dict[str, Any] | None:
    """A request of the person's desks with its review; None when there is none of that id."""
    found = reads.rows("payout_queue", payout_id=payout_id, limit=1)
    if found.empty:
        return None
    table = schema.PAYOUT_REVIEWS
    review = reads.decided(table, table.c.payout_id == payout_id, limit=1).drop(columns=["account_id", "amount"])
    return reads.records(found.merge(review, on="payout_id", how="left"))[0]


def with_reviews(found: pd.DataFrame) -> pd.DataFrame:
    """Requests with review and state on the desk beside them."""
    table = schema.PAYOUT_REVIEWS
    ids = found["payout_id"].tolist()
    reviews = reads.decided(table, table.c.payout_id.in_(ids)).drop(columns=["account_id", "amount"])
    standing = states(PAYOUT_STATES.c.payout_id.in_(ids))[["payout_id", "state", "version"]]
    standing = standing.rename(columns={"state": "desk_state"})
    return found.merge(reviews, on="payout_id", how="left").merge(standing, on="payout_id", how="left")


def checks(row: dict[str, Any] | pd.Series) -> list[dict[str, Any]]:
    """The checks of a review, those that need reading first."""
    order = {"failed": 0, "unknown": 1, "passed": 2, "not_applicable": 3}
    listed: list[dict[str, Any]] = words.parsed(row["checks"]) or []
    return sorted(listed, key=lambda one: order.get(str(one.get("outcome")), 4))


def at_a_glance(row: dict[str, Any] | pd.Series) -> str:
    """The checks that did not pass, as icon and word."""
    open_ones = [one for one in checks(row) if one["outcome"] in ("failed", "unknown")]
    return " · ".join(f"{ICONS[one['outcome']]} {words.plain(one['check'])}" for one in open_ones)


def money(minor: Any, currency: str) -> str:
    """Minor units in words; a dash when they are not known."""
    return words.UNKNOWN if words.missing(minor) else words.money(from_minor(int(minor), currency), currency)


def name(value: Any) -> str:
    """A person's name as the reader may see it."""
    return words.UNKNOWN if words.missing(value) else words.escaped(masked(value, person()))


def act(
    payout_id: str, action: str, seen: int, *, reason: str = "", code: str | None = None, strips: Sequence[Strip] = ()
) -> None:
    """Does it and draws the page anew; what was refused is told instead."""
    try:
        done = desk.act(
            reads.warehouse().database,
            person(),
            payout_id,
            action,
            seen,
            reason=reason,
            reason_code=code,
            strips=strips,
        )
    except (MoveRefused, AccessRefused) as refused:
        st.error(str(refused))
        return
    tell(f"{payout_id} is {done.state.replace('_', ' ')}.")
    st.rerun()


def approve_clean(payout_ids: Sequence[str]) -> list[Done]:
    """Approves the clean ones among these; tells of each what became."""
    return desk.approve_clean(reads.warehouse().database, person(), payout_ids)


def note(payout_id: str, text: str) -> None:
    """Leaves a note and draws the page anew."""
    try:
        desk.note(reads.warehouse().database, person(), payout_id, text)
    except (MoveRefused, AccessRefused) as refused:
        st.error(str(refused))
        return
    st.rerun()


def pack(subject: str, form: str) -> Callable[[], bytes]:
    """What writes a request's evidence pack once it is asked for, and notes who took it."""
    asks, house, rulebook = person(), reads.warehouse(), paths.rulebook()

    def made() -> bytes:
        """The document; AccessRefused for who may not export."""
        access.require(asks, "export", any_desk=True)
        gathered = packs.gather(house, rulebook, subject, person=asks)
        packs.handed_out(house, asks, gathered, form)
        return packs.FORMS[form](gathered)

    return made


def tell(text: str) -> None:
    """Keeps a sentence for the next drawing of the page."""
    st.session_state[TOLD] = text


def told() -> None:
    """Says what the last act did."""
    if TOLD in st.session_state:
        st.toast(st.session_state.pop(TOLD))


def reason_inputs(key: str) -> tuple[str, str | None]:
    """Why, in words and by the list."""
    left, right = st.columns([2, 1])
    with left:
        reason = st.text_input("Reason", key=f"reason-{key}", placeholder="Why, in a sentence the trader could be sent")
    with right:
        code = st.selectbox(
            "Kind", list(REASON_CODES), index=None, key=f"code-{key}", format_func=lambda one: REASON_CODES[one]
        )
    return reason, code


@st.cache_data(ttl=reads.CACHE_SECONDS, show_spinner="Matching transfers with requests", max_entries=20)
def _matching(home: str, stamp: reads.Stamp, desks: tuple[str, ...] | None) -> tuple[pd.DataFrame, ...]:
    requests, transfers = lake.transfers(desks)
    reviews = schema.PAYOUT_REVIEWS
    with reads.warehouse().database.connect() as connection:
        due = read_frame(connection, sa.select(reviews.c.payout_id, reviews.c.trader_share.label("due")))
    requests = requests.merge(due, on="payout_id", how="left")
    found = settlements.match(*settlements.sides(requests, transfers))
    return (
        found.pairs,
        requests[requests["payout_id"].isin(found.left_over)],
        transfers[transfers["settlement_id"].isin(found.right_over)],
        found.suggestions,
        requests,
        transfers,
    )


def matching() -> tuple[pd.DataFrame, ...]:
    """Pairs, requests and transfers left over, suggestions, and all requests and transfers of the person's desks."""
    return _matching(str(reads.warehouse().home), reads.stamp(), person().desks)


def audit_log(limit: int, offset: int, **equal: str | None) -> list[dict[str, Any]]:
    """Records of the audit log, newest first."""
    with reads.warehouse().database.connect() as connection:
        return audit.recent(connection, limit, offset, **equal)


def audit_state() -> tuple[int, audit.Broken | None]:
    """How many records there are, and where the chain breaks."""
    with reads.warehouse().database.connect() as connection:
        return audit.length(connection), audit.verify(connection)
