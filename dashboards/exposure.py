"""Exposure and liability: what could the firm owe, and what is it long or short of."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import look, places, reads, state, words
from models.metrics import definition

VIEWS = {"liability": "Liability", "exposure": "Exposure", "stress": "Stress and hedging"}
KINDS = {
    "requested": ("Requested, traders' part", "requested_part"),
    "eligible": ("Eligible now", "eligible_now"),
    "accrued": ("Accrued", "accrued"),
    "expected": ("Expected", "expected"),
}
SHOWN = 20
INSTRUMENTS_MOST = 20_000
"""Rows by desk and instrument, of which the page makes sums: more than any firm has."""


def show() -> None:
    """What is owed by certainty and how good the forecast was; open positions; what would make it worse."""
    with st.columns(3)[0]:
        desk = state.desk()
    view = state.tab("View", "view", VIEWS)
    {"liability": _liability, "exposure": _exposure, "stress": _stress}[view](desk)


# --- liability -------------------------------------------------------------------------------------------------------


def _liability(desk: str | None) -> None:
    owed = reads.rows("liability", desk_id=desk)
    if owed.empty:
        look.empty(
            "Nothing is owed", "Liability comes from payout requests and from the profit of live funded accounts."
        )
        return
    _owed(owed)
    _reserve(desk or "all")
    _accounts(desk)
    _forecast()


def _owed(owed: pd.DataFrame) -> None:
    columns = st.columns(len(KINDS))
    for column, (kind, (label, figure)) in zip(columns, KINDS.items(), strict=True):
        rows = owed[owed["kind"] == kind]
        totals = rows.groupby("currency")["amount"].sum(min_count=1)
        whole = rows["amount_usd"].sum() if rows["amount_usd"].notna().all() else None
        with column:
            st.metric(f"{label}, USD", words.whole(whole), help=definition(figure), border=True)
            unknown = int(rows["unknown_accounts"].sum())
            told = words.counted(rows["accounts"].sum(), "account")
            held = totals.dropna()
            parts = " · ".join(f"{words.whole(amount)} {currency}" for currency, amount in held[held != 0].items())
            if parts or not unknown:
                st.caption(f"{told}: {parts}" if parts else told)
            if unknown:
                st.caption(f"? {words.counted(unknown, 'account')} not known: no split in the terms or no forecast")


def _reserve(desk: str) -> None:
    found = reads.rows("reserve", desk_id=desk)
    if found.empty:
        return
    row = reads.records(found)[0]
    days = words.number(row["horizon_days"])
    low, high = (words.share(row[name]) for name in ("back_test_low", "back_test_high"))
    look.facts(
        {
            f"Expected in {days} days, USD": words.whole(row["expected_usd"]),
            "Reserve at 95 %, USD": words.whole(row["reserve_95_usd"]),
            "Reserve at 99 %, USD": words.whole(row["reserve_99_usd"]),
            "Forecast against what came, back-test": words.share(row["back_test_error"]),
            "95 % interval of that": words.UNKNOWN if words.missing(row["back_test_low"]) else f"{low} to {high}",
            "Accounts without a forecast": words.number(row["unknown_accounts"]),
        }
    )
    if words.missing(row["expected_usd"]):
        st.caption("Expected and reserve are unknown: too few payouts followed the days to learn from.")


def _accounts(desk: str | None) -> None:
    """The accounts behind the liability, by what they may cost."""
    kinds = {"expected_usd": "Expected", "accrued_usd": "Accrued", "eligible_usd": "Eligible now"}
    kinds |= {"requested_usd": "Requested, traders' part"}
    chosen = state.tab("Order", "order", kinds)
    total = reads.how_many("liability_accounts", desk_id=desk)
    start = state.page_number(total) * reads.PAGE_ROWS
    order = [f"-{chosen}", "account_id"]
    found = reads.rows("liability_accounts", order=order, limit=reads.PAGE_ROWS, offset=start, desk_id=desk)
    columns: dict[str, Any] = {
        "account_id": "Account",
        "trader_id": "Trader",
        "desk_id": "Desk",
        "product": "Product",
        "lives": st.column_config.TextColumn(
            "State", help="What an ended account asked for is owed until it is settled."
        ),
        "profit_usd": st.column_config.NumberColumn("Profit, USD", format="%,.0f"),
        "chance": st.column_config.NumberColumn(
            "Chance", format=words.PERCENT, help="Of any payout within the horizon; the back-test below says how sure."
        ),
    }
    columns |= {name: st.column_config.NumberColumn(f"{label}, USD", format="%,.0f") for name, label in kinds.items()}
    shown = found[list(columns)].assign(
        chance=100 * found["chance"].astype(float),
        desk_id=found["desk_id"].replace(state.desk_names()),
        product=[words.plain(one) for one in found["product"]],
        lives=["● live" if one else "○ ended" for one in found["lives"]],
    )
    _opened(shown, columns, "liable")


def _opened(found: pd.DataFrame, columns: dict[str, Any], key: str) -> None:
    """A table of accounts whose selected row can be opened."""
    event: Any = st.dataframe(
        found,
        hide_index=True,
        height=look.height(len(found)),
        column_config=columns,
        placeholder=words.UNKNOWN,
        on_select="rerun",
        selection_mode="single-row",
        key=key,
    )
    chosen = event.selection.rows
    if chosen and chosen[0] < len(found):
        account = str(found["account_id"].iloc[chosen[0]])
        if st.button(f"Open account {account}", type="primary", icon=":material/open_in_new:", key=f"open-{key}"):
            places.go("account", account=account)


def _forecast() -> None:
    """The back-test: how often accounts were paid that were given each chance."""
    found = reads.rows("forecast_test", order=["tenth"])
    if found.empty:
        return
    colours = look.palette()
    top = float(max(found["chance"].max(), found["paid_high"].max(), 0.01))
    figure = go.Figure()
    figure.add_scatter(
        x=[0, top],
        y=[0, top],
        mode="lines",
        name="as forecast",
        line={"color": colours.unknown, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=found["chance"],
        y=found["paid"],
        mode="markers",
        name="a tenth of the days forecast",
        marker={"size": 10, "color": colours.fine},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": found["paid_high"] - found["paid"],
            "arrayminus": found["paid"] - found["paid_low"],
            "thickness": 1,
            "width": 3,
        },
        customdata=[
            [f"{row['accounts']:,}", words.share(row["paid_low"]), words.share(row["paid_high"])]
            for row in reads.records(found)
        ],
        hovertemplate="forecast %{x:.1f} %, came %{y:.1f} % of %{customdata[0]}"
        " (95 %: %{customdata[1]} to %{customdata[2]})<extra></extra>",
    )
    figure.update_xaxes(title="chance of a payout, forecast", rangemode="tozero")
    figure.update_yaxes(title="were paid", rangemode="tozero")
    look.percent(figure, "x", "y")
    look.chart(figure, "Did payouts come as often as forecast?", height=340)
    st.caption(
        "Each stretch of the past forecast from what had ended before it; none of it was seen before."
        " Bars are 95 % intervals, in which the weeks of one account count once."
    )


# --- exposure --------------------------------------------------------------------------------------------------------


def _exposure(desk: str | None) -> None:
    view = state.tab("Accounts", "accounts", {"funded": "Funded accounts", "evaluation": "Evaluations"})
    found = reads.rows("exposure", limit=INSTRUMENTS_MOST, desk_id=desk, funded=view == "funded")
    if found.empty:
        look.empty("No open position", "Positions that are open at the run's instant appear here, net by instrument.")
    else:
        by = _by_instrument(found)
        _net(by)
        _instruments(by, desk, funded=view == "funded")
    if view == "funded":
        _currencies(desk)
        _crowding()


def _by_instrument(found: pd.DataFrame) -> pd.DataFrame:
    """Each instrument over the desks that are shown; the largest account's share is of all that they hold."""
    found = found.assign(largest=found["largest_share"] * (found["long_lots"] + found["short_lots"]))
    sums = ["accounts", "positions", "long_lots", "short_lots", "net_lots", "unknown"]
    by = found.groupby("instrument")[sums].sum()
    usd = ["net_usd", "weighted_usd"]
    by[usd] = found.groupby("instrument")[usd].sum(min_count=1).astype(float)
    gross = (by["long_lots"] + by["short_lots"]).sort_values(ascending=False)
    by["largest_share"] = 100 * found.groupby("instrument")["largest"].max() / gross
    order = by["net_usd"].abs().fillna(-1).reindex(gross.index).sort_values(ascending=False, kind="stable").index
    return by.loc[order].reset_index()


def _net(by: pd.DataFrame) -> None:
    """Lots long and short of each instrument; a bar leads to its accounts."""
    colours = look.palette().series
    figure = go.Figure()
    top = by.head(SHOWN)
    figure.add_bar(
        y=top["instrument"],
        x=top["long_lots"],
        orientation="h",
        name="Long",
        marker={"color": colours[0]},
        customdata=top[["instrument"]],
        hovertemplate="%{y} long %{x:,.2f} lots<extra></extra>",
    )
    figure.add_bar(
        y=top["instrument"],
        x=-top["short_lots"],
        orientation="h",
        name="Short",
        marker={"color": colours[1], "pattern": {"shape": "/"}},
        customdata=top[["instrument"]],
        hovertemplate="%{y} short %{x:,.2f} lots<extra></extra>",
    )
    figure.add_scatter(
        y=top["instrument"],
        x=top["net_lots"],
        mode="markers",
        name="Net",
        marker={"symbol": "diamond", "size": 11, "color": look.palette().text},
        customdata=top[["instrument"]],
        hovertemplate="%{y} net %{x:,.2f} lots<extra></extra>",
    )
    figure.update_layout(barmode="relative")
    figure.update_xaxes(title="lots (short to the left)")
    figure.update_yaxes(autorange="reversed", type="category")
    picked = look.pick(figure, "Where are traders on one side?", height=150 + 26 * len(top), key="net")
    if picked:
        st.query_params["instrument"] = str(picked[0][0])
    st.caption("Click a bar for the accounts behind it.")


def _instruments(by: pd.DataFrame, desk: str | None, *, funded: bool) -> None:
    """Each instrument's figures, and the accounts behind the one that is chosen."""
    told = {
        name: st.column_config.NumberColumn(words.plain(name), format="%,.2f")
        for name in ("long_lots", "short_lots", "net_lots")
    }
    columns: dict[str, Any] = {
        "instrument": "Instrument",
        "net_usd": st.column_config.NumberColumn("Net, USD", format="%,.0f", help=definition("exposure_usd")),
        "weighted_usd": st.column_config.NumberColumn("By split, USD", format="%,.0f", help=definition("exposure_usd")),
        **told,
        "accounts": st.column_config.NumberColumn("Accounts", format="%,d"),
        "positions": st.column_config.NumberColumn("Positions", format="%,d"),
        "largest_share": st.column_config.NumberColumn(
            "Largest account", format=words.PERCENT, help=definition("largest_share")
        ),
    }
    st.dataframe(
        by[list(columns)],
        hide_index=True,
        height=look.height(len(by)),
        column_config=columns,
        placeholder=words.UNKNOWN,
    )
    unknown = int(by["unknown"].sum())
    if unknown:
        st.caption(f"? {words.counted(unknown, 'holding')} without a value: no contract size or no rate is known.")
    with st.columns(3)[0]:
        chosen = state.one_of("Instrument", "instrument", by["instrument"].tolist(), shown=str)
    if chosen is None:
        return
    found = _holders(chosen, desk, funded=funded)
    behind: dict[str, Any] = {"account_id": "Account", "trader_id": "Trader", "desk_id": "Desk"} | told
    behind["net_usd"], behind["weighted_usd"] = columns["net_usd"], columns["weighted_usd"]
    _opened(found[list(behind)].assign(desk_id=found["desk_id"].replace(state.desk_names())), behind, "holders")


def _holders(instrument: str, desk: str | None, *, funded: bool) -> pd.DataFrame:
    """A page of the accounts that hold an instrument, the most lots on one side first."""
    table = reads.mart("exposure_accounts")
    if table is None:
        return pd.DataFrame()
    held = reads.filtered(table, instrument=instrument, funded=funded, desk_id=desk)
    start = state.page_number(reads.count(held)) * reads.PAGE_ROWS
    ordered = held.order_by(sa.func.abs(table.c.net_lots).desc(), table.c.account_id)
    return reads.fetch(ordered.limit(reads.PAGE_ROWS).offset(start))


def _currencies(desk: str | None) -> None:
    found = reads.rows("currency_exposure", order=["currency"], limit=INSTRUMENTS_MOST, desk_id=desk)
    if found.empty:
        return
    st.subheader("By currency", anchor=False)
    by = found.groupby("currency")[["net_usd", "weighted_usd"]].sum(min_count=1).astype(float).reset_index()
    st.dataframe(
        by.reindex(by["net_usd"].abs().sort_values(ascending=False).index),
        hide_index=True,
        height=look.height(len(by)),
        placeholder=words.UNKNOWN,
        column_config={
            "currency": "Currency",
            "net_usd": st.column_config.NumberColumn("Net, USD", format="%,.0f", help=definition("net_exposure")),
            "weighted_usd": st.column_config.NumberColumn("By split, USD", format="%,.0f"),
        },
    )


def _crowding() -> None:
    found = reads.rows("crowding", order=["-owners", "-accounts"], limit=reads.PAGE_ROWS)
    st.subheader("Crowding in the last minutes", anchor=False)
    if found.empty:
        st.caption("No funded account opened a position in the last minutes before the run.")
        return
    st.dataframe(
        found[["instrument", "side", "accounts", "owners", "lots", "first_at"]],
        hide_index=True,
        height=look.height(len(found)),
        column_config={
            "instrument": "Instrument",
            "side": "Side",
            "accounts": st.column_config.NumberColumn("Accounts", format="%,d", help=definition("crowding")),
            "owners": st.column_config.NumberColumn("Owners", format="%,d"),
            "lots": st.column_config.NumberColumn("Lots", format="%,.2f"),
            "first_at": st.column_config.DatetimeColumn("Since, UTC", format=words.SECOND),
        },
    )


# --- stress ----------------------------------------------------------------------------------------------------------


def _stress(desk: str | None) -> None:
    if desk is not None:
        st.caption("Stress and hedging are told for all of the firm.")
    found = reads.rows("stress", order=["-amount_usd"], limit=reads.PAGE_ROWS)
    if found.empty:
        look.empty("Nothing to stress", "Stress needs live funded accounts with a profit or with open positions.")
    else:
        st.subheader("What would make it worse?", anchor=False)
        st.dataframe(
            found[["scenario", "amount_usd"]],
            hide_index=True,
            height=look.height(len(found)),
            column_config={
                "scenario": "If",
                "amount_usd": st.column_config.NumberColumn("More owed, USD", format="%,.0f"),
            },
        )
    _hedging()


def _hedging() -> None:
    found = reads.rows("hedging")
    if found.empty or not found["accounts"].iloc[0]:
        return
    row = reads.records(found)[0]
    st.subheader("Had the tenth with most profit been hedged", anchor=False)
    look.facts(
        {
            "Accounts copied": words.number(row["accounts"]),
            "Copies earned, USD": words.whole(row["hedge_gross_usd"]),
            "Commission and swap, USD": words.whole(row["hedge_cost_usd"]),
            "Net, USD": words.whole(row["hedge_net_usd"]),
            "They were paid, USD": words.whole(row["paid_usd"]),
        }
    )
    st.caption(
        "Copied from a horizon ago until now: what the copies would have earned against what the copied accounts were"
        " paid. Chosen by what was known then; slippage is not in it."
    )
