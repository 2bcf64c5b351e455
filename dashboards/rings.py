"""Rings: which groups trade as one, by the money that hangs on them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import look, paths, places, reads, state, words
from sql import schema

MOST_PAIRS = 12
KINDS = {"ring": "Rings", "shared_strategy": "Shared strategies"}
COLUMNS = {
    "ring_id": st.column_config.TextColumn("Group", width=150),
    "stake_usd": st.column_config.NumberColumn(
        "At stake, USD", format="%,.0f", help="Requested and unpaid, and profit on live funded accounts."
    ),
    "waiting_usd": st.column_config.NumberColumn("Requested, USD", format="%,.0f"),
    "fees_usd": st.column_config.NumberColumn("Fees, USD", format="%,.0f"),
    "accounts": st.column_config.NumberColumn("Accounts", format="%d"),
    "live": st.column_config.NumberColumn("Live", format="%d"),
    "breached": st.column_config.NumberColumn("Breached", format="%d"),
    "owners": st.column_config.NumberColumn(
        "Owners", format="%d", help="Different people behind the accounts, as far as identity knows."
    ),
    "partners": st.column_config.NumberColumn("Partners", format="%d"),
    "strength": st.column_config.NumberColumn("Strength", format="%.2f", help="0.5 and more is a flag."),
    "desks": st.column_config.TextColumn("Desks"),
}


def show() -> None:
    """Groups by money at stake, then the selected one's members and pairs."""
    kind = state.tab("Kind", "kind", KINDS)
    found = reads.rows("rings", order=["-stake_usd", "-fees_usd"], kind=kind)
    if found.empty:
        look.empty(
            "No group of this kind",
            "Groups come from accounts whose entries coincide far beyond chance; <code>highwater score</code>"
            " looks for them.",
        )
        return
    if kind == "shared_strategy":
        st.caption("Many strangers running one robot or signal: named so that they are not taken for a ring.")
    event: Any = st.dataframe(
        found[list(COLUMNS)],
        column_config=COLUMNS,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row-required",
        key=f"rings-{kind}",
    )
    chosen = event.selection.rows
    ring = found.iloc[chosen[0] if chosen and chosen[0] < len(found) else 0]
    st.subheader(str(ring["ring_id"]), anchor=False)
    members = _members(str(ring["ring_id"]))
    _accounts(members)
    _pairs(members["account_id"].tolist())


def _members(ring_id: str) -> pd.DataFrame:
    table = schema.COPY_RINGS
    members = reads.decided(table, table.c.ring_id == ring_id, *reads.seen("account_id", table.c.account_id))
    accounts = reads.rows("risk_queue", account_id=members["account_id"].tolist())
    return members.merge(accounts, on="account_id", how="inner", suffixes=("", "_account"))


def _accounts(members: pd.DataFrame) -> None:
    shown = members.assign(
        state_words=[words.state(one) for one in members["state"]], stage=[words.stage(one) for one in members["stage"]]
    )
    columns = [
        "state_words",
        "account_id",
        "trader_name",
        "owner_id",
        "stage",
        "product",
        "equity",
        "currency",
        "stake_usd",
        "strength",
    ]
    st.dataframe(
        look.coloured(shown[columns], "state_words", members["state"]),
        hide_index=True,
        column_config={
            "state_words": "State",
            "account_id": "Account",
            "trader_name": "Trader",
            "owner_id": "Owner",
            "stage": "Stage",
            "product": "Product",
            "equity": st.column_config.NumberColumn("Equity", format="%,.2f"),
            "currency": "Cur",
            "stake_usd": st.column_config.NumberColumn("At stake, USD", format="%,.0f"),
            "strength": st.column_config.NumberColumn("Strength", format="%.2f"),
        },
    )
    if len(members):
        places.link("network", "See them in the network →", icon=False, trader=str(members["trader_id"].iloc[0]))


def _pairs(accounts: list[str]) -> None:
    table = schema.COPY_PAIRS
    inside = sa.and_(table.c.account_a.in_(accounts), table.c.account_b.in_(accounts))
    found = reads.decided(table, inside, order=table.c.strength.desc(), limit=MOST_PAIRS)
    for pair in reads.records(found):
        told = paths.pair_words(pair)
        places.link(
            "pair", told, icon=False, a=str(pair["account_a"]), b=str(pair["account_b"]), relation=str(pair["relation"])
        )
