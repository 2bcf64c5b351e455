"""Exposure and liability: what could the firm owe, and what is it long or short of."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboards.kit import look, reads, state, words

KINDS = {
    "requested": ("Requested", "Asked for and not yet paid."),
    "eligible": ("Eligible now", "What the checks would let out today."),
    "accrued": ("Accrued", "The traders' share of the profit that live funded accounts show now."),
}


def show() -> None:
    """What is owed by certainty, then open positions net by instrument."""
    with st.columns(3)[0]:
        desk = state.desk()
    owed = reads.rows("liability", desk_id=desk)
    if owed.empty:
        look.empty(
            "Nothing is owed", "Liability comes from payout requests and from the profit of live funded accounts."
        )
    else:
        _owed(owed)
    view = state.tab("Accounts", "accounts", {"funded": "Funded accounts", "evaluation": "Evaluations"})
    found = reads.rows("exposure", desk_id=desk, funded=view == "funded")
    if found.empty:
        look.empty("No open position", "Positions that are open at the run's instant appear here, net by instrument.")
        return
    _net(found)


def _owed(owed: pd.DataFrame) -> None:
    columns = st.columns(3)
    for column, (kind, (label, definition)) in zip(columns, KINDS.items(), strict=True):
        rows = owed[owed["kind"] == kind]
        totals = rows.groupby("currency")["amount"].sum()
        shown = " · ".join(f"{words.whole(amount)} {currency}" for currency, amount in totals.items())
        with column:
            st.metric(label, shown or words.UNKNOWN, help=definition, border=True)
            unknown = int(rows["unknown_accounts"].sum())
            told = f"{words.number(rows['accounts'].sum())} accounts"
            st.caption(told + (f", ? {unknown} without a split in their terms" if unknown else ""))


def _net(found: pd.DataFrame) -> None:
    by = found.groupby("instrument", as_index=False)[
        ["long_lots", "short_lots", "net_lots", "accounts", "positions"]
    ].sum()
    by = by.reindex(by["net_lots"].abs().sort_values(ascending=False).index)
    colours = look.palette().series
    figure = go.Figure()
    top = by.head(20)
    figure.add_bar(
        y=top["instrument"],
        x=top["long_lots"],
        orientation="h",
        name="Long",
        marker={"color": colours[0]},
        hovertemplate="%{y} long %{x:,.2f} lots<extra></extra>",
    )
    figure.add_bar(
        y=top["instrument"],
        x=-top["short_lots"],
        orientation="h",
        name="Short",
        marker={"color": colours[1], "pattern": {"shape": "/"}},
        hovertemplate="%{y} short %{x:,.2f} lots<extra></extra>",
    )
    figure.add_scatter(
        y=top["instrument"],
        x=top["net_lots"],
        mode="markers",
        name="Net",
        marker={"symbol": "diamond", "size": 11, "color": look.palette().text},
        hovertemplate="%{y} net %{x:,.2f} lots<extra></extra>",
    )
    figure.update_layout(barmode="relative")
    figure.update_xaxes(title="lots (short to the left)")
    figure.update_yaxes(autorange="reversed")
    look.chart(figure, "Where are traders on one side?", height=150 + 26 * len(top))
    st.dataframe(
        by,
        hide_index=True,
        column_config={"instrument": "Instrument"}
        | {
            name: st.column_config.NumberColumn(words.plain(name), format="%,.2f")
            for name in ("long_lots", "short_lots", "net_lots")
        },
    )
