"""Pages that draw themselves anew when what they stand on has changed, and not before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable

import streamlit as st

from dashboards.kit import reads

EVERY = dt.timedelta(seconds=4)


def again_when(told: Callable[[], Hashable]) -> None:
    """Asks every few seconds what a page stands on, a read or two, and has the page drawn when it is told otherwise."""
    seen = told()

    def watch() -> None:
        if told() != seen:
            st.rerun(scope="app")

    st.fragment(watch, run_every=EVERY)()


def figures() -> Hashable:
    """What pages over all accounts stand on: the newest run, how often its tables were brought up to date since, and
    a run or an ingest that ended without success."""
    stands = reads.stamp()
    return stands.run_id, stands.refreshed, reads.not_done()


def of_account(account_id: str) -> Hashable:
    """What the page of one account stands on: the newest run and where the account stands."""
    table, stands = reads.mart("risk_queue"), reads.stamp()
    if table is None:
        return stands.run_id
    row = reads.now(reads.standing(table, account_id=account_id))
    return stands.run_id, row.to_json()
