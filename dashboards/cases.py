"""Cases: which first, and who has them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import casework, look, places, reads, state, words
from models.cases.machine import DISMISSED_CODES, Case, possible
from sql.case_schema import CASES, OPEN, STATES

VIEWS = {
    "open": "All open",
    "mine": "With me",
    "new": "● New",
    "back": casework.BACK,
    "in_review": "◐ In review",
    "waiting": "◷ Waiting",
    "confirmed": "✕ Confirmed",
    "dismissed": "○ Dismissed",
    "detectors": "Detectors",
}


def show() -> None:
    """The queue, and beside it the case that is selected."""
    casework.told()
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    with left:
        view = state.tab("View", "view", VIEWS)
    with right:
        desk = state.desk()
    if view == "detectors":
        _detectors()
        return
    wanted: dict[str, Any] = {"states": (view,) if view in STATES else OPEN, "desk": desk, "back": view == "back"}
    wanted["assignee"] = casework.person().name if view == "mine" else None
    total = casework.how_many(**wanted)
    if not total and casework.how_many(states=OPEN, desk=None, assignee=None):
        look.empty("No case here", "Others are open: <b>All open</b>, at all desks, lists them.")
        return
    if not total:
        look.empty(
            "No case here",
            "A case is opened when <code>highwater score</code> finds evidence against an owner that nobody has"
            " answered and that reaches the case terms, or by hand on the page of a trader.",
        )
        return
    told, paged = st.columns([2, 1], vertical_alignment="bottom")
    order = "largest stake × risk first, at the same stake those that came back"
    told.caption(f"{words.counted(total, 'case')} · {order} · select a row")
    with paged:
        start = state.page_number(total) * reads.PAGE_ROWS
    found = casework.cases(offset=start, **wanted)
    left, right = st.columns([3, 1], gap="medium")
    with left:
        place = casework.table(found, "cases")
    with right:
        _beside(found.iloc[place])


def _beside(row: pd.Series) -> None:
    """The selected case: what it is about and the next action."""
    case = Case(**{column.name: row[column.name] for column in CASES.columns})
    look.card(
        casework.STATES[case.state][0],
        casework.line(case),
        [
            words.escaped(row["names"]),
            words.escaped(row["why"] or "No reason adds a point to its score."),
            *(casework.standing(case) if row["came_back"] else []),
        ],
    )
    came, at = casework.began(case)
    look.facts(
        {
            "At stake": words.money(row["stake_usd"], "USD"),
            "Accounts": words.number(row["accounts"]),
            came: at,
        }
    )
    if st.button("Open the case", type="primary", shortcut="Enter", icon=":material/open_in_new:"):
        places.go("case", case=case.case_id)
    if not casework.may_decide(case):
        return
    if "take" in possible(case) and st.button("Take it", shortcut="Alt+T", icon=":material/front_hand:"):
        casework.act(case, "take")
    if "dismiss" in possible(case) and case.assignee in (None, casework.person().name):
        _dismiss(case)
    casework.drawn(case)


def _dismiss(case: Case) -> None:
    """A dismissal from the queue, with its reason."""
    with st.expander("Dismiss with a reason"), st.form(f"dismiss-{case.case_id}", border=False):
        code = st.selectbox(
            "Reason of the list", list(DISMISSED_CODES), index=None, format_func=lambda one: DISMISSED_CODES[one]
        )
        reason = st.text_input("Reason", placeholder="Why, in a sentence another analyst can check")
        if st.form_submit_button("Dismiss"):
            casework.act(case, "dismiss", reason=reason, code=code)


def _detectors() -> None:
    """How often each detector's flags held, and what that did to its weight."""
    found = casework.learnt()
    if found.empty:
        look.empty("Nothing learnt yet", "Weights and answers are kept from the next <code>highwater score</code> on.")
        return
    st.caption(
        "Of the flags that analysts answered, how many they confirmed. A weight moves only from"
        f" {casework.FEWEST} answers on; the interval holds the true share with 95 %."
    )
    shown = found.assign(
        detector=[words.detector(name) for name in found["detector"]],
        precision=100 * found["precision"].astype(float),
        interval=[
            words.UNKNOWN if words.missing(low) else f"{words.share(low)} to {words.share(high)}"
            for low, high in zip(found["low"], found["high"], strict=True)
        ],
        moved=["" if factor == 1 else f"× {factor:.2f}" for factor in found["factor"]],
        answers=[f"{labels} of {casework.FEWEST}" for labels in found["labels"]],
    ).sort_values(["labels", "detector"], ascending=[False, True], kind="stable")
    st.dataframe(
        shown[["detector", "answers", "confirmed", "precision", "interval", "weight", "moved"]],
        hide_index=True,
        placeholder=words.UNKNOWN,
        height=look.height(len(shown)),
        column_config={
            "detector": st.column_config.TextColumn("Detector", width=200),
            "answers": st.column_config.TextColumn("Answered", width=90, help="Flags answered, of those needed."),
            "confirmed": st.column_config.NumberColumn("Confirmed", width=90),
            "precision": st.column_config.NumberColumn("Held", format=words.PERCENT, width=80),
            "interval": st.column_config.TextColumn("95 % interval", width=120),
            "weight": st.column_config.NumberColumn("Weight", format="%.2f", width=80, help="In the score, in use."),
            "moved": st.column_config.TextColumn("Moved by answers", width=130),
        },
    )
