"""Exposure and liability: what could the firm owe, and what is it long or short of."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboards.kit import look, reads, state, words

KINDS = {
    "requested": ("Requested", "Asked for and not yet paid."),
    "eligible": ("Eligible now", "The traders' share of profit that age, cycle and minimum let them ask for now."),
    "accrued": ("Accrued", "The traders' share of the profit that live funded accounts show now."),
    "expected": (
        "Expected",
        "Probability of a payout within the horizon times its amount, summed over funded accounts.",
    ),
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
    _reserve(desk or "all")
    view = state.tab("Accounts", "accounts", {"funded": "Funded accounts", "evaluation": "Evaluations"})
    found = reads.rows("exposure", desk_id=desk, funded=view == "funded")
    if found.empty:
        look.empty("No open position", "Positions that are open at the run's instant appear here, net by instrument.")
    else:
        _net(found)
    _behind()


def _owed(owed: pd.DataFrame) -> None:
    columns = st.columns(len(KINDS))
    for column, (kind, (label, definition)) in zip(columns, KINDS.items(), strict=True):
        rows = owed[owed["kind"] == kind]
        totals = rows.groupby("currency")["amount"].sum()
        shown = " · ".join(f"{words.whole(amount)} {currency}" for currency, amount in totals.items())
        with column:
            st.metric(label, shown or words.UNKNOWN, help=definition, border=True)
            unknown = int(rows["unknown_accounts"].sum())
            told = f"{words.number(rows['accounts'].sum())} accounts"
            st.caption(told + (f", ? {unknown} without a split in their terms" if unknown else ""))


def _reserve(desk: str) -> None:
    found = reads.rows("reserve", desk_id=desk)
    if found.empty:
        return
    row = reads.records(found)[0]
    days = words.number(row["horizon_days"])
    look.facts(
        {
            f"Expected in {days} days, USD": words.whole(row["expected_usd"]),
            "Reserve at 95 %, USD": words.whole(row["reserve_95_usd"]),
            "Reserve at 99 %, USD": words.whole(row["reserve_99_usd"]),
            "Forecast against what came, back-test": words.share(row["back_test_error"], 1),
            "Accounts without a forecast": words.number(row["unknown_accounts"]),
        }
    )


def _behind() -> None:
    if reads.rows("reserve", desk_id="all").empty:
        return
    with st.expander("Stress, hedging, and how good the forecast was"):
        _table("stress", ["-amount_usd"], {"scenario": "If", "amount_usd": "More owed, USD"})
        _table("forecast_test", ["tenth"], {"tenth": "Tenth", "chance": "Forecast", "paid": "Came", "accounts": "Seen"})
        _table(
            "hedging",
            [],
            {
                "accounts": "Copied",
                "hedge_gross_usd": "Copies earned, USD",
                "hedge_cost_usd": "Costs, USD",
                "hedge_net_usd": "Net, USD",
                "paid_usd": "Copied were paid, USD",
            },
        )
        _table(
            "currency_exposure",
            ["currency"],
            {"currency": "Currency", "net_usd": "Net, USD", "weighted_usd": "By split"},
        )
        _table("crowding", ["-accounts"], {"instrument": "Crowding in", "side": "Side", "accounts": "Accounts"})


def _table(mart: str, order: list[str], columns: dict[str, str]) -> None:
    found = reads.rows(mart, order=order, limit=reads.PAGE_ROWS)
    if not found.empty:
        st.dataframe(found[list(columns)], hide_index=True, column_config=dict(columns))


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
