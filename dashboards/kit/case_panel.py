"""A case as people act on it: its state, what can be done, what was done, and what the score said over time."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import casework, look, reads, state, words
from models import clock
from models.cases.acting import Key
from models.cases.machine import CONFIRMED_CODES, DISMISSED_CODES, Case, possible
from models.risk_score import FLAG

LABELS = {
    "take": ("Take it", "front_hand", "Alt+T"),
    "wait": ("Wait", "hourglass_empty", None),
    "resume": ("Go on", "play_arrow", "Alt+T"),
    "release": ("Give back", "undo", None),
    "freeze": ("Recommend freeze", "ac_unit", None),
    "unfreeze": ("Take back the freeze", "ac_unit", None),
    "reopen": ("Reopen", "replay", None),
}
ANSWERS = {
    **{("confirm", code): f"✕ Confirmed: {told}" for code, told in CONFIRMED_CODES.items()},
    **{("dismiss", code): f"○ Dismissed: {told}" for code, told in DISMISSED_CODES.items()},
}


def show(case: Case | None, trader: str, named: dict[str, str]) -> None:
    """The case's state and what the person can do; without a case, how to open one."""
    if case is None:
        _open(trader)
        return
    colour = casework.STATES[case.state][0]
    look.card(colour, casework.line(case), casework.standing(case) or [" ".join(casework.began(case))])
    if not casework.may_decide(case):
        if casework.person().may("risk.decide"):
            st.caption("Its owner trades at a desk that you do not see: somebody who sees every desk decides.")
        return
    if meanwhile := casework.moved_meanwhile(case):
        st.warning(meanwhile)
    can, mine = possible(case), case.assignee == casework.person().name
    if "take" in can:
        _button(case, "take", "", primary=True)
    elif case.is_open and not mine and st.button("Take it over", type="primary", shortcut="Alt+T"):
        casework.act(case, "assign", assignee=casework.person().name)
    if mine and "confirm" in can:
        _answer(case, named)
    if case.state != "new":
        idle = "freeze" if case.to_freeze else "unfreeze"
        _more(case, [one for one in can if one in LABELS and one != idle and (mine or not _for_holder(one))])
    with st.expander("Assign, or leave a note" if "assign" in can else "Leave a note"):
        _assign(case, can)
        _note(case)
    casework.drawn(case)


def _for_holder(action: str) -> bool:
    return action in ("wait", "resume", "release")


def _open(trader: str) -> None:
    look.card("ended", "No case", ["Nobody has looked into this owner, and no evidence has asked for it."])
    if not casework.person().may("risk.decide"):
        return
    with st.form("open-case", border=False):
        reason = st.text_input("Open a case", placeholder="Why, in a sentence another analyst can check")
        if st.form_submit_button("Open a case", icon=":material/create_new_folder:"):
            casework.open_by_hand(trader, reason)


def _button(case: Case, action: str, reason: str, *, primary: bool = False) -> None:
    label, icon, shortcut = LABELS[action]
    kind: Any = "primary" if primary else "secondary"
    if st.button(label, key=f"do-{action}", type=kind, icon=f":material/{icon}:", shortcut=shortcut):
        casework.act(case, action, reason=reason)


def _answer(case: Case, named: dict[str, str]) -> None:
    """What is decided, why, and on which evidence it rests."""
    with st.container(border=True):
        chosen = st.selectbox(
            "Answer",
            list(ANSWERS),
            index=None,
            key=state.field(f"answer-{case.case_id}"),
            format_func=lambda one: ANSWERS[one],
            placeholder="Is it true?",
        )
        holds = _holds(case, named) if chosen and chosen[0] == "confirm" else None
        reason = st.text_input(
            "Why", key=state.field(f"why-{case.case_id}"), placeholder="Why, in a sentence another analyst can check"
        )
        if st.button("Decide", key="decide", type="primary", disabled=chosen is None, shortcut="Alt+D") and chosen:
            casework.act(case, chosen[0], reason=reason, code=chosen[1], holds=holds)


def _holds(case: Case, named: dict[str, str]) -> list[Key]:
    """The evidence that a confirmation rests on, every flag at first."""
    listed = {casework.key(row): _told(row, named) for row in reads.records(casework.evidence(case.owner_id))}
    flags = [key for key, (_, strength) in listed.items() if strength >= FLAG]
    chosen: list[Key] = st.multiselect(
        "What holds",
        list(listed),
        default=flags,
        key=f"holds-{case.case_id}-{case.version}",
        format_func=lambda key: listed[key][0],
        help="What is not chosen counts as looked at and not confirmed.",
    )
    return chosen


def _told(row: dict[str, Any], named: dict[str, str]) -> tuple[str, float]:
    subject = named.get(str(row["subject_id"]), str(row["subject_id"]).replace("|", " and "))
    return f"{words.detector(row['detector'])}, {subject}", float(row["strength"])


def _more(case: Case, actions: list[str]) -> None:
    """The other moves; those that need a reason ask for it first."""
    if not actions:
        return
    offered = ", ".join(LABELS[action][0] for action in actions).capitalize()
    with st.expander(offered, expanded=case.state == "waiting"):
        reason = st.text_input("Reason", key=state.field(f"more-{case.case_id}"), placeholder="Why")
        with st.container(horizontal=True):
            for action in actions:
                _button(case, action, reason)


def _assign(case: Case, can: list[str]) -> None:
    if "assign" not in can:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        to = st.selectbox("Assign to", casework.colleagues(), key=state.field(f"to-{case.case_id}"))
        if st.button("Assign", key="do-assign"):
            casework.act(case, "assign", assignee=to)


def _note(case: Case) -> None:
    with st.form(f"note-{case.case_id}", border=False, clear_on_submit=True):
        text = st.text_input("Note")
        if st.form_submit_button("Leave the note"):
            casework.note(case, text)


def history(case: Case | None, zone: str) -> None:
    """What was done in the case and answered about its evidence, the newest first."""
    if case is None:
        look.empty("No case", "What people do with a case is kept here, with who, when and why.")
        return
    if not casework.sees_all(case):
        look.empty("Not shown to a single desk", "The owner trades at other desks too, and the history speaks of them.")
        return
    done = [(row["happened_at"], casework.moved(row)) for row in reads.records(casework.moves(case.case_id))]
    notes = [(row["written_at"], _noted(row)) for row in reads.records(casework.notes(case.case_id))]
    for at, (title, line) in sorted([*done, *notes], key=lambda one: one[0], reverse=True):
        look.card(
            "ended", f"{words.instant_html(at, zone)} · {words.escaped(title)}", [words.escaped(line)] if line else []
        )
    _answers(casework.answers(case.case_id), zone)


def _noted(row: dict[str, Any]) -> tuple[str, str]:
    return f"{row['person']}: note", str(row["note"])


def _answers(found: pd.DataFrame, zone: str) -> None:
    if found.empty:
        return
    st.caption("What was answered about each piece of evidence. The newest answer holds and teaches the score.")
    st.dataframe(
        found.assign(
            detector=[words.detector(one) for one in found["detector"]],
            subject=found["subject_id"].str.replace("|", " and "),
            outcome=[words.plain(one) for one in found["outcome"]],
            teaches=["yes" if one else "no" for one in found["counts"]],
        )[["detector", "subject", "outcome", "strength", "teaches", "person", "decided_at"]],
        hide_index=True,
        height=look.height(len(found)),
        placeholder=words.UNKNOWN,
        column_config={
            "detector": "Evidence",
            "subject": "About",
            "outcome": "Answer",
            "strength": st.column_config.NumberColumn("Strength", format="%.2f"),
            "teaches": st.column_config.TextColumn("Teaches", help="Whether it tells if the detector was right."),
            "person": "By",
            "decided_at": st.column_config.DatetimeColumn(
                f"When, {clock.place(zone)}", format=words.MINUTE, timezone=zone
            ),
        },
    )


def scores(accounts: list[str], zone: str) -> None:
    """Every score that was kept of some accounts, or those of a day, and what each was made of."""
    day = state.day("As it stood on", "day")
    found = casework.scores_on(accounts, day, zone) if day else casework.scores(accounts)
    if found.empty:
        look.empty("No score but 0", "A score is kept whenever it, its reasons or its model change.")
        return
    st.caption("A score stands until the next row of its account. Select one for its parts.")
    shown = found.assign(why=[words.reasons(*one) for one in zip(found["reasons"], found["band"], strict=True)])
    event: Any = st.dataframe(
        shown[["as_of", "account_id", "score", "band", "why", "model_version"]],
        hide_index=True,
        height=look.height(len(shown)),
        on_select="rerun",
        selection_mode="single-row-required",
        key="scores",
        column_config={
            "as_of": st.column_config.DatetimeColumn(
                f"As of, {clock.place(zone)}", format=words.MINUTE, timezone=zone, width=130
            ),
            "account_id": st.column_config.TextColumn("Account", width=90),
            "score": st.column_config.ProgressColumn("Risk", format="%.0f", min_value=0, max_value=100, width=90),
            "band": st.column_config.TextColumn("Band", width=70),
            "why": st.column_config.TextColumn("Because of", width="large"),
            "model_version": st.column_config.TextColumn("Model", width=140),
        },
    )
    chosen = event.selection.rows
    row = found.iloc[chosen[0] if chosen and chosen[0] < len(found) else 0]
    if json.loads(row["reasons"]):
        look.score(row["score"], row["band"], row["reasons"])
