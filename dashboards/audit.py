"""Audit: who did what, when and why, and whether the chain holds."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from dashboards.kit import desk, look, privacy, reads, state

ROWS = 200


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
    frame = pd.DataFrame(found)
    for name in ("before", "after"):
        frame[name] = [json.dumps(one, ensure_ascii=False) if one else "" for one in frame[name]]
    columns = ["seq", "at", "actor", "role", "action", "subject", "reason", "before", "after"]
    desk.table(frame[columns].rename(columns={"seq": "record"}))
    if desk.person().may("export"):
        st.download_button(
            "Download",
            frame[columns].to_csv(index=False),
            "audit.csv",
            icon=":material/download:",
            on_click=privacy.exported,
            args=("audit", len(frame), reads.warehouse().database),
        )
    st.caption(f"The newest {len(found)} records at {reads.stamp().as_of or 'the beginning'}.")


def _verify() -> None:
    records, broken = desk.audit_state()
    if broken:
        st.error(f"The chain breaks at record {broken.seq}: {broken.what}.")
    else:
        st.success(f"{records:,} records, the chain holds.")
