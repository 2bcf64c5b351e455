"""Rings: which groups trade as one, by the money that hangs on them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import judging, look, paths, places, reads, state, words
from models.judgements import Judged, Together, answered_pair
from sql import schema

MOST_PAIRS = 12
KINDS = {"ring": "Rings", "pairs": "Pairs to look at", "shared_strategy": "Shared strategies", "judged": "Judged"}
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
    """Groups that are not judged yet, by money at stake, the selected one in full; or what was judged."""
    named = state.parameter("ring")
    if named:
        _named(named)
        return
    kind = state.tab("Kind", "kind", KINDS)
    if kind == "pairs":
        _telling()
    elif kind == "judged":
        _judged()
    else:
        _open(kind)


def _open(kind: str) -> None:
    """Groups of a kind that no judgement covers."""
    judged = judging.judged_groups(kind)
    table = reads.mart("rings")
    if table is None:
        _none(0)
        return
    order = (sa.nulls_last(table.c.stake_usd.desc()), sa.nulls_last(table.c.fees_usd.desc()))
    held = sa.select(table).where(table.c.kind == kind, table.c.ring_id.not_in(list(judged))).order_by(*order)
    found = reads.now(held.limit(reads.MOST_ROWS))
    if found.empty:
        _none(len(judged))
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
    if judged:
        st.caption(f"{words.counted(len(judged), 'group')} of this kind stand under *Judged*.")
    chosen = event.selection.rows
    _shown(reads.records(found)[chosen[0] if chosen and chosen[0] < len(found) else 0])


def _none(judged: int) -> None:
    """Says why there is no group to look at."""
    if judged:
        look.empty("Every group of this kind is judged", "What was said of them, by whom and why stands under Judged.")
        return
    look.empty(
        "No group of this kind",
        "Groups come from accounts whose entries coincide far beyond chance; <code>highwater score</code>"
        " looks for them.",
    )


def _named(ring_id: str) -> None:
    """One group by its name, judged or not."""
    places.link("rings", "← All groups", icon=False)
    found = reads.rows("rings", ring_id=ring_id, limit=1)
    if found.empty:
        look.empty("The last run holds no such group", "What was said of one that is gone stands under Judged.")
        return
    _shown(reads.records(found)[0])


def _shown(ring: dict[str, Any]) -> None:
    """What is known of a group, what was said of it, its members and their pairs."""
    ring_id, kind = str(ring["ring_id"]), str(ring["kind"])
    st.subheader(words.marked(ring_id), anchor=False)
    st.markdown(words.unlinked(summary(ring)))
    table = schema.COPY_RINGS
    chosen = sa.select(table.c.account_id).where(table.c.ring_id == ring_id)
    everyone = tuple(sorted(reads.fetch(chosen, every_desk=True)["account_id"]))
    judging.ask_trading(Together("group", ring_id, kind, everyone, len(everyone)))
    members = _members(ring_id)
    _accounts(members)
    _pairs(members["account_id"].tolist())


def _judged() -> None:
    """Everything that was said of pairs and groups and not taken back; the selected one can be."""
    held = judging.seen()
    if not held:
        look.empty(
            "Nothing is judged yet",
            "An analyst says of a group here, or of a pair on its page, that it is a ring, an allowed copy or nothing.",
        )
        return
    covered = {
        one.judgement_id: ring_id
        for kind in ("ring", "shared_strategy")
        for ring_id, one in judging.judged_groups(kind).items()
    }
    st.caption("Select one to see it as it stands now.")
    event: Any = st.dataframe(
        pd.DataFrame([_row(one) for one in held]),
        hide_index=True,
        height=look.height(len(held)),
        on_select="rerun",
        selection_mode="single-row-required",
        key="judged-list",
        column_config={
            "accounts": st.column_config.NumberColumn("Accounts", format="%d", width=80),
            "at": st.column_config.DatetimeColumn("When, UTC", format=words.MINUTE, timezone="UTC"),
            "why": st.column_config.TextColumn("Why", width="large"),
        },
    )
    chosen = event.selection.rows
    one = held[chosen[0] if chosen and chosen[0] < len(held) else 0]
    if one.together.kind == "pair":
        first, second = one.together.accounts
        places.link("pair", "Open the pair →", icon=False, a=first, b=second, relation=one.together.relation)
    elif one.judgement_id in covered:
        places.link("rings", "Open the group →", icon=False, ring=covered[one.judgement_id])
    else:
        st.caption("The last run holds no such group.")
    judging.ask_back(one)


def _row(one: Judged) -> dict[str, Any]:
    """A judgement as a line of the list."""
    return {
        "What": one.together.name.replace("|", " and "),
        "Relation": words.plain(one.together.relation),
        "Judged": judging.said_words(one),
        "By": one.person,
        "at": one.decided_at,
        "why": one.reason,
        "accounts": len(one.together.accounts),
    }


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
    """Flagged pairs without an answer that something else joins too: the plan, a pass beside a breach, a partner."""
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
    open_ones = (columns.is_flag, telling, ~answered_pair(table), *both)
    found = reads.now(sa.select(table).where(*open_ones).order_by(*order).limit(reads.MOST_ROWS))
    if found.empty:
        look.empty(
            "No pair of this kind is open",
            "Here are, until they are answered, flagged pairs of one person that the plan forbids, mirror pairs of"
            " which one passed as the other breached, and pairs that one partner introduced.",
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
    accounts = reads.queue(account_id=members["account_id"].tolist())
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
