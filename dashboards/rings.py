"""Rings: which groups trade as one, by the money that hangs on them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import look, paths, places, reads, state, words
from sql import schema

MOST_PAIRS = 12
KINDS = {"ring": "Rings", "pairs": "Pairs to look at", "shared_strategy": "Shared strategies"}
COLUMNS = {
    "ring_id": st.column_config.TextColumn("Group", width=195),
    "stake_usd": st.column_config.NumberColumn(
        "At stake, USD", format="%,.0f", help="Requested and unpaid, and profit on live funded accounts."
    ),
    "waiting_usd": st.column_config.NumberColumn("Requested, USD", format="%,.0f"),
    "withdrawable_usd": st.column_config.NumberColumn(
        "Withdrawable, USD", format="%,.0f", help="Profit on live funded accounts that could be requested next."
    ),
    "fees_usd": st.column_config.NumberColumn("Fees, USD", format="%,.0f"),
    "accounts": st.column_config.NumberColumn("Accounts", format="%d"),
    "live": st.column_config.NumberColumn("Live", format="%d"),
    "breached": st.column_config.NumberColumn("Breached", format="%d"),
    "owners": st.column_config.NumberColumn(
        "Owners", format="%d", help="Different people behind the accounts, as far as identity knows."
    ),
    "one_owner": st.column_config.CheckboxColumn("One person"),
    "own_copy_violations": st.column_config.NumberColumn(
        "Forbidden own copies", format="%d", help="Copies between one person's accounts that the plan does not allow."
    ),
    "passed_beside_breached": st.column_config.NumberColumn(
        "Passed beside breached",
        format="%d",
        help="Mirror pairs of which one account passed, or holds profit, and the other breached.",
    ),
    "partner_id": st.column_config.TextColumn("Partner", help="Who introduced most of the accounts."),
    "partner_accounts": st.column_config.NumberColumn("Through it", format="%d"),
    "strength": st.column_config.NumberColumn("Strength", format="%.2f", help="0.5 and more is a flag."),
    "desks": st.column_config.TextColumn("Desks"),
}


def show() -> None:
    """Groups by money at stake, then the selected one's members and pairs."""
    kind = state.tab("Kind", "kind", KINDS)
    if kind == "pairs":
        _telling()
        return
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
    st.markdown(summary(reads.records(ring.to_frame().T)[0]))
    members = _members(str(ring["ring_id"]))
    _accounts(members)
    _pairs(members["account_id"].tolist())


def summary(ring: dict[str, Any]) -> str:
    """What is known of a group beside its trading, in a sentence."""
    people = "one person" if ring["one_owner"] else f"{ring['owners']} people, as far as identity knows"
    told = [f"{ring['accounts']} accounts of {people}"]
    if ring["own_copy_violations"]:
        copies = words.counted(ring["own_copy_violations"], "copy", "copies")
        told.append(f"{copies} between own accounts that the plan forbids")
    elif ring["one_owner"]:
        told.append("own accounts may be copied under their plans")
    if ring["passed_beside_breached"]:
        told.append(
            f"{words.counted(ring['passed_beside_breached'], 'mirror pair')} of which one passed or holds profit"
            " and the other breached"
        )
    if ring["partner_accounts"] > 1:
        told.append(f"{ring['partner_accounts']} of the accounts came through partner {ring['partner_id']}")
    return "; ".join(told) + "."


PAIR_COLUMNS = {
    "account_a": st.column_config.TextColumn("One account", width=110),
    "account_b": st.column_config.TextColumn("The other", width=110),
    "relation": st.column_config.TextColumn("Relation", width=80),
    "stake_usd": st.column_config.NumberColumn("At stake, USD", format="%,.0f"),
    "waiting_usd": st.column_config.NumberColumn("Requested, USD", format="%,.0f"),
    "fees_usd": st.column_config.NumberColumn("Fees, USD", format="%,.0f"),
    "own_copy": st.column_config.TextColumn(
        "Own copy", help="Copies of one person's accounts: allowed by plan or not."
    ),
    "passed_account_id": st.column_config.TextColumn("Passed as the other breached"),
    "partner_id": st.column_config.TextColumn("Common partner"),
    "matched": st.column_config.NumberColumn("Matched entries", format="%d"),
    "strength": st.column_config.NumberColumn("Strength", format="%.2f"),
}


def _telling() -> None:
    """Flagged pairs that something else joins too: a plan that forbids it, one passing by the other, a partner."""
    table = reads.mart("pairs")
    if table is None:
        look.empty("No pairs yet", "<code>highwater score</code> looks for them.")
        return
    columns = table.c
    telling = sa.or_(
        columns.own_copy == "violation", columns.passed_account_id.is_not(None), columns.partner_id.is_not(None)
    )
    both = reads.seen("account_id", columns.account_a, columns.account_b)
    order = [columns.stake_usd.desc(), columns.fees_usd.desc(), columns.account_a, columns.account_b]
    found = reads.fetch(sa.select(table).where(columns.is_flag, telling, *both).order_by(*order).limit(reads.MOST_ROWS))
    if found.empty:
        look.empty(
            "No pair of this kind",
            "Here are flagged pairs of one person that the plan forbids, mirror pairs of which one passed as the other"
            " breached, and pairs that one partner introduced.",
        )
        return
    st.caption("Select one to see its matched entries.")
    event: Any = st.dataframe(
        found[list(PAIR_COLUMNS)].fillna(dict.fromkeys(("own_copy", "passed_account_id", "partner_id"), "")),
        column_config=PAIR_COLUMNS,
        hide_index=True,
        height=look.height(len(found)),
        on_select="rerun",
        selection_mode="single-row",
        key="telling",
    )
    if event.selection.rows:
        pair = found.iloc[event.selection.rows[0]]
        places.go("pair", a=str(pair["account_a"]), b=str(pair["account_b"]), relation=str(pair["relation"]))


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
        look.amounts(look.coloured(shown[columns], "state_words", members["state"]), ["equity"], shown["currency"]),
        hide_index=True,
        column_config={
            "state_words": "State",
            "account_id": "Account",
            "trader_name": "Trader",
            "owner_id": "Owner",
            "stage": "Stage",
            "product": "Product",
            "equity": "Equity",
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
