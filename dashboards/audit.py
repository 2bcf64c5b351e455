"""Audit: who did what, when and why, and whether the chain holds."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import desk, look, privacy, reads, state, words
from pipelines.export import for_spreadsheets

ROWS = 200
SHOWN = 200


def show() -> None:
    """The log, newest first, filtered by actor, action or subject."""
    left, middle, right, last = st.columns(4, vertical_alignment="bottom")
    with left:
        actor = state.text("Actor", "actor")
    with middle:
        action = state.text("Action", "action", "payout approve")
    with right:
        subject = state.text("Subject", "subject", "payout:Q1")
    with last:
        if st.button("Verify the chain", icon=":material/link:"):
            _verify()
    found = desk.audit_log(ROWS, 0, actor=actor or None, action=action or None, subject=subject or None)
    if not found:
        look.empty("No record", "Every decision, sign-in and change of people is written here.")
        return
    columns = ["seq", "at", "actor", "role", "action", "subject", "reason", "before", "after"]
    frame = pd.DataFrame(found)[columns]
    desk.table(_in_words(frame).rename(columns={"seq": "record"}))
    if desk.person().may("export"):
        st.download_button(
            "Download",
            for_spreadsheets(_whole(frame)),
            "audit.csv",
            icon=":material/download:",
            on_click=privacy.exported,
            args=("audit", len(frame), reads.warehouse().database),
        )
    st.caption(
        f"The newest {len(found)} records that match, times in UTC. What was before and after is cut short here;"
        " the download has it whole."
    )


def _in_words(frame: pd.DataFrame) -> pd.DataFrame:
    """The records as a person reads them, the newest first; a column that none of them fills is left out."""
    told = frame.assign(
        at=[words.instant(pd.Timestamp(one), seconds=True) for one in frame["at"]],
        role=[words.plain(one).lower() for one in frame["role"]],
        before=[_said(one) for one in frame["before"]],
        after=[_said(one) for one in frame["after"]],
        reason=frame["reason"].fillna(""),
    )
    return told.loc[:, (told != "").any()]


def _said(held: dict[str, Any] | None) -> str:
    """One side of a change, each field with its value."""
    told = "; ".join(f"{words.plain(name).lower()}: {words.value(one)}" for name, one in (held or {}).items())
    return told if len(told) <= SHOWN else f"{told[:SHOWN]} …"


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    """The records for a file, both sides of a change as JSON."""
    sides = {
        name: [json.dumps(one, ensure_ascii=False) if one else "" for one in frame[name]]
        for name in ("before", "after")
    }
    return frame.assign(**sides)


def _verify() -> None:
    records, broken = desk.audit_state()
    if broken:
        st.error(f"The chain breaks at record {broken.seq}: {broken.what}.")
    else:
        st.success(f"{records:,} records, the chain holds.")
