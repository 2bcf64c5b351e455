"""What analysts decide by themselves: one person or not, a ring or not; what was said, and the buttons that say it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import look, reads, state, words
from dashboards.kit.people import who
from models import judgements
from models.access import AccessRefused
from models.cases.machine import DISMISSED_CODES
from models.judgements import SAID, SAID_OF_TRADING, Judged, JudgementRefused, Together
from sql.schema import COPY_RINGS, JUDGEMENTS
from sql.warehouse import read_frame

TOLD = "judged"
REASON = "judging-reason"
PERMISSION = "risk.decide"
# "Allowed" has a button of its own.
WHY_DISMISSED = {code: told for code, told in DISMISSED_CODES.items() if code != "allowed"}
FOLLOWS = (
    "Scores and payout checks follow it from the next scoring on;"
    " a plan that forbids own copies still gives its verdict, also against an allowed copy."
)
MOST_BOUND = 10_000
"""Values that one select may name; SQLite takes three times as many."""


def ask(one: str, other: str) -> None:
    """What was decided about two traders so far, and a reason with buttons to decide it anew or take it back."""
    _toast()
    said = _said(one, other)
    if not who().may(PERMISSION):
        return
    with st.form(f"judge-{one}-{other}", border=False, clear_on_submit=False):
        reason = st.text_input(
            f"Are {words.marked(one)} and {words.marked(other)} one person?",
            placeholder="Why, in a sentence another analyst can check",
            key=state.field(f"{REASON}-{one}-{other}"),
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            same = st.form_submit_button("Same person", icon=":material/link:")
            different = st.form_submit_button("Not the same", icon=":material/link_off:")
            taken = said and st.form_submit_button("Withdraw", icon=":material/undo:")
            st.caption("Owners follow it from the next scoring on.", width="content")
    database, desks = reads.warehouse().database, _desks("trader_id", (one, other))
    if same or different:
        chosen = "same" if same else "different"
        _keep(
            lambda: judgements.judge(database, who(), (one, other), chosen, reason, desks),
            f"{one} and {other}: {SAID[chosen]}.",
        )
    if taken:
        _keep(
            lambda: judgements.withdraw(database, who(), (one, other), reason, desks),
            f"{one} and {other}: left to the evidence.",
        )


def ask_trading(found: Together) -> None:
    """What was decided about accounts that trade together, and a reason with buttons to decide it anew."""
    _toast()
    with reads.warehouse().database.connect() as connection:
        held = judgements.covering(judgements.in_force(connection), found)
    if held:
        tell(held)
    if not who().may(PERMISSION):
        return
    with st.form(f"judge-{found.name}-{found.relation}", border=False, clear_on_submit=False):
        asked = "pair" if found.kind == "pair" else "group"
        left, right = st.columns([3, 2])
        reason = left.text_input(
            f"What is this {asked}?",
            placeholder="Why, in a sentence another analyst can check",
            key=state.field(f"{REASON}-{found.name}-{found.relation}"),
        )
        code = right.selectbox(
            "If dismissed, because of", list(WHY_DISMISSED), format_func=lambda one: WHY_DISMISSED[one]
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            pressed = {
                "ring": st.form_submit_button("Ring", icon=":material/join_inner:"),
                "allowed": st.form_submit_button("Allowed copy", icon=":material/check_circle:"),
                "dismissed": st.form_submit_button("Dismiss", icon=":material/do_not_disturb_on:"),
            }
            taken = held and st.form_submit_button("Withdraw", icon=":material/undo:")
            st.caption(FOLLOWS, width="content")
    desks = _desks("account_id", found.accounts)
    database = reads.warehouse().database
    said = next((one for one, is_pressed in pressed.items() if is_pressed), None)
    if said:
        _keep(
            lambda: judgements.judge_trading(database, who(), found, said, reason, desks, str(code)),
            f"{_named(found)}: {SAID_OF_TRADING[said]}.",
        )
    if taken and held:
        _withdraw(held, reason)


def ask_back(held: Judged) -> None:
    """A judgement of what no run holds any longer, with a reason and a button to take it back."""
    _toast()
    tell(held)
    if not who().may(PERMISSION):
        return
    with st.form(f"withdraw-{held.judgement_id}", border=False, clear_on_submit=False):
        reason = st.text_input("Why is it withdrawn?", key=state.field(f"{REASON}-{held.judgement_id}"))
        if st.form_submit_button("Withdraw", icon=":material/undo:"):
            _withdraw(held, reason)


def tell(held: Judged) -> None:
    """Who said what of accounts that trade together, when and why."""
    at = words.instant(held.decided_at, _zone("account_id", held.together.accounts))
    st.caption(
        f"✓ {held.judgement_id}: judged **{said_words(held)}** by {words.marked(held.person)}"
        f" on {at}: {words.marked(held.reason)}"
    )


def said_words(held: Judged) -> str:
    """What a judgement says, a dismissal with its reason of the list."""
    said = SAID_OF_TRADING[held.said]
    return f"{said} ({DISMISSED_CODES[held.reason_code].lower()})" if held.said == "dismissed" else said


def seen() -> list[Judged]:
    """Judgements in force of pairs and groups that the person sees, the newest first: of a pair both accounts."""
    with reads.warehouse().database.connect() as connection:
        found = judgements.in_force(connection)
    if who().desks is None:
        return found
    mine = _mine(sorted({account for one in found for account in one.together.accounts}))
    return [
        one
        for one in found
        if (all if one.together.kind == "pair" else any)(account in mine for account in one.together.accounts)
    ]


def _mine(accounts: Sequence[str]) -> set[str]:
    known = reads.mart("accounts")
    if known is None:
        return set()
    return {
        account
        for part in _parts(accounts)
        for account in reads.fetch(sa.select(known.c.account_id).where(known.c.account_id.in_(part)))["account_id"]
    }


def _parts(values: Sequence[str]) -> list[Sequence[str]]:
    """Values in as many parts as a select can name at once."""
    return [values[first : first + MOST_BOUND] for first in range(0, len(values), MOST_BOUND)]


def judged_groups(kind: str) -> dict[str, Judged]:
    """The groups of a kind that the newest run holds and a judgement covers."""
    with reads.warehouse().database.connect() as connection:
        held = [one for one in judgements.in_force(connection) if one.together.relation == kind]
        return _covered(connection, held, kind)


def _covered(connection: sa.Connection, held: list[Judged], kind: str) -> dict[str, Judged]:
    """Of the groups that share an account with a judged one, those that the judgement covers."""
    table = COPY_RINGS
    accounts = sorted({account for one in held for account in one.together.accounts})
    members: dict[str, set[str]] = {}
    for part in _parts(accounts):
        touched = sa.select(table.c.ring_id).where(table.c.account_id.in_(part), table.c.kind == kind)
        rows = sa.select(table.c.ring_id, table.c.account_id).where(table.c.ring_id.in_(touched))
        for ring_id, account in connection.execute(rows):
            members.setdefault(ring_id, set()).add(account)
    found = {
        ring_id: judgements.covering(held, Together("group", ring_id, kind, tuple(sorted(inside)), len(inside)))
        for ring_id, inside in members.items()
    }
    return {ring_id: one for ring_id, one in found.items() if one}


def _named(together: Together) -> str:
    return together.name.replace("|", " and ")


def _toast() -> None:
    if TOLD in st.session_state:
        st.toast(st.session_state.pop(TOLD))


def _said(one: str, other: str) -> bool:
    """Tells the judgement in force, read anew every time, and whether there is one."""
    both = JUDGEMENTS.c.trader_a.in_((one, other)) & JUDGEMENTS.c.trader_b.in_((one, other))
    with reads.warehouse().database.connect() as connection:
        held = read_frame(connection, sa.select(JUDGEMENTS).where(both))
    for row in reads.records(held):
        said = SAID.get(row["judgement"], row["judgement"])
        at = words.instant(row["decided_at"], _zone("trader_id", (one, other)))
        st.caption(f"✓ Judged **{said}** by {words.marked(row['decided_by'])} on {at}: {words.marked(row['reason'])}")
    return len(held) > 0


def _withdraw(held: Judged, reason: str) -> None:
    desks = _desks("account_id", held.together.accounts)
    database, judgement_id = reads.warehouse().database, held.judgement_id
    _keep(
        lambda: judgements.withdraw_trading(database, who(), judgement_id, reason, desks),
        f"{_named(held.together)}: open again.",
    )


def _keep(write: Callable[[], Any], told: str) -> None:
    """Keeps it and draws the page anew; what was refused is told instead."""
    try:
        write()
    except (JudgementRefused, AccessRefused) as refused:
        look.refused(refused)
        return
    st.session_state[TOLD] = told
    state.acted()
    st.rerun()


def _zone(kind: str, subjects: Sequence[str]) -> str:
    """The zone in which what is said of traders or accounts tells its times."""
    return reads.zone_of_all(_desks(kind, subjects))


def _desks(kind: str, subjects: Sequence[str]) -> tuple[str, ...]:
    """Every desk at which traders or accounts are, those that the person does not see too."""
    accounts = reads.mart("accounts")
    if accounts is None:
        return ()
    found = [
        reads.fetch(sa.select(accounts.c.desk_id).distinct().where(accounts.c[kind].in_(part)), every_desk=True)
        for part in _parts(list(subjects))
    ]
    return tuple(sorted(set(pd.concat(found)["desk_id"].dropna())))
