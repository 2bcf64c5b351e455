"""Reconciliation: does every transfer match a request, in amount, currency, time and destination."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.kit import desk, look, places, state, words

VIEWS = {"transfers": "Transfers without a request", "requests": "Requests without a transfer", "matched": "Matched"}
TRANSFER = ["settlement_id", "settled_at", "amount", "fee", "currency", "destination", "status", "reference"]
REQUEST = ["payout_id", "account_id", "requested_at", "amount", "due", "currency", "destination"]


def show() -> None:
    """What is left over on either side, each with its likeliest partners."""
    pairs, requests, transfers, suggestions, every_request, every_transfer = desk.matching()
    if every_request.empty and every_transfer.empty:
        look.empty(
            "Nothing to reconcile", "Requests come with <code>payouts</code>, transfers with <code>settlements</code>."
        )
        return
    st.caption(
        f"{len(pairs):,} of {len(every_transfer):,} transfers matched · {len(transfers):,} transfers and"
        f" {len(requests):,} requests left over"
    )
    view = state.tab("View", "view", VIEWS)
    if view == "matched":
        joined = pairs.merge(every_request, left_on="left", right_on="payout_id")
        joined = joined.merge(every_transfer, left_on="right", right_on="settlement_id", suffixes=("", "_sent"))
        columns = ["payout_id", "settlement_id", "due", "amount_sent", "currency_sent", "settled_at", "status", "score"]
        st.dataframe(joined[columns], hide_index=True)
    elif view == "transfers":
        _left_over(transfers, TRANSFER, "settlement_id", suggestions[suggestions["side"] == "right"], every_request)
    else:
        _left_over(requests, REQUEST, "payout_id", suggestions[suggestions["side"] == "left"], every_transfer)


def _left_over(
    rows: pd.DataFrame, columns: list[str], key: str, suggestions: pd.DataFrame, others: pd.DataFrame
) -> None:
    if rows.empty:
        look.empty("Nothing is left over on this side", "Every record has found its partner.")
        return
    st.dataframe(rows[columns], hide_index=True, height=look.height(len(rows)))
    chosen = st.selectbox("Look at", rows[key].tolist())
    best = suggestions[suggestions["id"] == chosen]
    if best.empty:
        st.caption("Nothing on the other side is alike.")
        return
    other_key = "payout_id" if key == "settlement_id" else "settlement_id"
    told = others[others[other_key].isin(best["other"])].merge(best, left_on=other_key, right_on="other")
    st.markdown("**Likeliest partners**")
    st.dataframe(told.drop(columns=["side", "id", "other"]).sort_values("score", ascending=False), hide_index=True)
    if other_key == "payout_id":
        best_one = str(told.sort_values("score", ascending=False)["payout_id"].iloc[0])
        places.link("payout_review", f"Open {words.escaped(best_one)} →", icon=False, payout=best_one)
