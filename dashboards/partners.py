"""Partners: who brings value, who brings abuse."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import look, privacy, reads, words
from sql import schema

SHOWN_PARTNERS = 25
COLUMNS: dict[str, Any] = {
    "name": st.column_config.TextColumn("Partner", width=170),
    "plan": "Plan",
    "traders": st.column_config.NumberColumn("Buyers", format="%,d"),
    "challenges": st.column_config.NumberColumn("Sold", format="%,d"),
    "clicks": st.column_config.NumberColumn("Clicks", format="%,d"),
    "funded": st.column_config.NumberColumn("Funded", format="%,d"),
    "fees_usd": st.column_config.NumberColumn("Net fees, USD", format="%,.0f"),
    "payouts_usd": st.column_config.NumberColumn("Paid to buyers, USD", format="%,.0f"),
    "net_usd": st.column_config.NumberColumn(
        "Net, USD", format="%,.0f", help="Net fees less payouts, before commission."
    ),
    "commission_usd": st.column_config.NumberColumn(
        "Commission, USD", format="%,.0f", help="Earned on own sales and those below, less what returns took back."
    ),
    "contribution_usd": st.column_config.NumberColumn(
        "Contribution, USD", format="%,.0f", help="Net fees less payouts less commission."
    ),
    "flagged": st.column_config.NumberColumn(
        "Flagged", format="%,d", help="Buyers with a flag on them or their accounts."
    ),
    "abuse_rate": st.column_config.NumberColumn(
        "Abuse rate", format="percent", help="Flagged buyers as a share of buyers."
    ),
    "refunds": st.column_config.NumberColumn("Refunds", format="%,d"),
    "chargebacks": st.column_config.NumberColumn("Chargebacks", format="%,d"),
}


def show() -> None:
    """Net contribution with its interval, the table behind it, and the selected partner's statement."""
    found = reads.rows("partners", order=["-net_usd"])
    if found.empty:
        look.empty(
            "No partner",
            "Partners come with the dataset <code>partners</code>; what they bring with <code>challenges</code>"
            " and <code>clicks</code>.",
        )
        return
    _drawn(found.head(SHOWN_PARTNERS))
    event: Any = st.dataframe(
        found[list(COLUMNS)],
        column_config=COLUMNS,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row-required",
        key="partners",
        placeholder="",
    )
    chosen = event.selection.rows
    _profile(found.iloc[chosen[0] if chosen and chosen[0] < len(found) else 0], found)


def _drawn(found: pd.DataFrame) -> None:
    colours = look.palette()
    figure = go.Figure(
        go.Scatter(
            x=found["net_usd"],
            y=found["name"],
            mode="markers",
            name="Net contribution",
            marker={"size": 10, "color": colours.fine},
            error_x={
                "type": "data",
                "array": found["net_high_usd"] - found["net_usd"],
                "arrayminus": found["net_usd"] - found["net_low_usd"],
                "color": colours.unknown,
            },
            hovertemplate="%{y}: %{x:,.0f} USD<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": colours.unknown, "dash": "dot"})
    figure.update_xaxes(title="USD, net fees less payouts, with 95 % interval", tickformat=",.0f")
    figure.update_yaxes(autorange="reversed")
    look.chart(figure, "Who brings more than their buyers cost?", height=130 + 26 * len(found))


def _profile(partner: pd.Series, everyone: pd.DataFrame) -> None:
    st.subheader(str(partner["name"]), anchor=False)
    parent = everyone.loc[everyone["partner_id"] == partner["parent_partner_id"], "name"]
    rate, from_, to = (words.share(partner[name], 1) for name in ("abuse_rate", "abuse_low", "abuse_high"))
    net, low, high = (words.whole(partner[name]) for name in ("net_usd", "net_low_usd", "net_high_usd"))
    below = everyone.loc[everyone["parent_partner_id"] == partner["partner_id"], "name"].tolist()
    look.facts(
        {
            "Partner": words.escaped(partner["partner_id"]),
            "Plan": words.escaped(partner["plan"]),
            "Joined": words.instant_html(partner["joined_at"]),
            "Recruited by": words.escaped(parent.iloc[0]) if len(parent) else words.UNKNOWN,
            "Recruited": words.escaped(", ".join(below)) if below else words.UNKNOWN,
            "Abuse rate": f"{rate} ({from_} to {to}), all buyers {words.share(partner['abuse_baseline'], 1)}",
            "Net, USD": f"{net} ({low} to {high})",
        }
    )
    _abuse(str(partner["partner_id"]))
    _owed(str(partner["partner_id"]))
    _statement(str(partner["partner_id"]))


def _owed(partner_id: str) -> None:
    table = schema.COMMISSIONS
    owed = reads.fetch(
        sa.select(
            table.c.state,
            table.c.event,
            table.c.currency,
            sa.func.count().label("entries"),
            sa.func.sum(table.c.amount).label("amount"),
        )
        .where(table.c.partner_id == partner_id)
        .group_by(table.c.state, table.c.event, table.c.currency)
        .order_by(table.c.state, table.c.event)
    )
    if owed.empty:
        look.empty(
            "No commission yet", "Commissions follow from the partner's plan when <code>highwater score</code> runs."
        )
        return
    st.dataframe(
        owed.assign(amount=owed["amount"].astype(float)),
        hide_index=True,
        column_config={
            "state": "State",
            "event": "For",
            "currency": "Cur",
            "entries": "Entries",
            "amount": st.column_config.NumberColumn("Amount", format="%,.2f"),
        },
    )


def _abuse(partner_id: str) -> None:
    table = schema.SIGNALS
    held = reads.decided(
        table, table.c.subject_kind == "partner", table.c.subject_id == partner_id, order=table.c.strength.desc()
    )
    for row in reads.records(held):
        told = words.parsed(row["evidence"]) or {}
        state = "breached" if told.get("is_flag") else "near"
        title = f"{words.plain(row['detector'])}, {words.share(row['strength'])} likely"
        look.card(
            state, words.escaped(title), [words.escaped(told.get("sentence")), words.escaped(told.get("respond"))]
        )


def _statement(partner_id: str) -> None:
    entries = reads.rows("commission_entries", order=["-happened_at"], partner_id=partner_id)
    if entries.empty:
        return
    shown = entries.drop(columns=["partner_id", "desk_id", "plan_version"])
    with st.expander("Every entry, newest first"):
        st.dataframe(shown, hide_index=True, height=look.height(len(shown)))
        st.download_button(
            "Statement as CSV",
            shown.to_csv(index=False),
            f"statement-{partner_id}.csv",
            "text/csv",
            icon=":material/download:",
            on_click=privacy.exported,
            args=(f"statement {partner_id}", len(shown), reads.warehouse().database),
        )
