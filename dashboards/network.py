"""Network: who belongs together, and why."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import graphs, judging, look, places, reads, state, words
from sql import schema

MOST_TRADERS = 60
STEPS = {"1": "1 step", "2": "2 steps", "3": "3 steps"}


def show() -> None:
    """The graph around a trader, the reasons as a table, and the path between two people."""
    trader = state.text("Trader", "trader", "trader id")
    if not trader:
        _largest()
        return
    if reads.rows("accounts", trader_id=trader, limit=1).empty:
        look.empty(
            f"There is no trader {trader}",
            "No account of this trader landed, or they belong to a desk that you do not see.",
        )
        return
    steps = state.tab("How far", "steps", STEPS, first="2")
    traders, left_out = around(trader, int(steps))
    found = gathered(traders)
    graph = graphs.build(found)
    shown = graphs.to_draw(graph)
    crowded = len(graph) - len(shown)
    clicked = look.pick(
        graphs.drawn(shown, trader),
        f"What joins {trader} to others?",
        height=320 if len(graph) < 8 else 560,
        key="graph",
    )
    for kind, name in clicked[:1]:
        if kind == "trader":
            places.link("network", f"Centre on {name} →", icon=False, trader=str(name), steps=steps)
        elif kind == "account":
            places.link("account", f"Open {name} →", icon=False, account=str(name))
    st.caption(
        f"{len(traders)} {'person' if len(traders) == 1 else 'people'}"
        f" · values shared by more than {graphs.HUB_HOLDERS} traders are hollow: they say little."
        " Hover an edge for its reason, click a person to go on from there."
        + (f" {left_out:,} more people are as near and not drawn: go on from one of these." if left_out else "")
        + (f" {crowded:,} accounts and values that say less found no room." if crowded else "")
    )
    others = [one for one in traders if one != trader]
    if not others:
        look.empty("Nobody else", "No link, shared value or matched trading joins this trader to another.")
        return
    names = dict(zip(found.accounts["trader_id"], found.accounts["trader_name"], strict=True))
    other = state.one_of("Path to", "to", others, shown=lambda one: f"{one} · {names.get(one) or one}", every=False)
    look.card("unknown", f"From {trader} to {other}", [words.escaped(graphs.path_sentence(graph, trader, str(other)))])
    judging.ask(trader, str(other))
    _links(found.links)
    places.link("case", "Open the case →", icon=False, trader=trader)


def _largest() -> None:
    """Owners with most members, to begin with."""
    table = schema.OWNERS
    chosen = (
        sa.select(
            table.c.owner_id,
            sa.func.max(table.c.members).label("members"),
            sa.func.min(table.c.trader_id).label("trader_id"),
        )
        .where(table.c.members > 1, *reads.seen("trader_id", table.c.trader_id))
        .group_by(table.c.owner_id)
        .order_by(sa.desc("members"))
        .limit(reads.PAGE_ROWS)
    )
    found = _with_people(reads.fetch(chosen))
    if found.empty:
        look.empty(
            "No two traders are held to be one person",
            "Links come from shared documents, devices, instruments and likeness; <code>highwater score</code> weighs"
            " them. Any trader can be looked up above.",
        )
        return
    st.subheader("Largest owners", anchor=False)
    st.caption("Select one to see what joins its registrations.")
    event: Any = st.dataframe(
        found,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="largest",
        column_config={
            "owner_id": None,
            "members": st.column_config.NumberColumn("Traders", format="%d", width=80),
            "people": st.column_config.TextColumn("Registered as", width="large"),
            "stake_usd": st.column_config.NumberColumn("At stake, USD", format="%,.0f", width=120),
            "trader_id": st.column_config.TextColumn("One of them", width=120),
        },
    )
    if event.selection.rows:
        places.go("network", trader=str(found["trader_id"].iloc[event.selection.rows[0]]))


def _with_people(owners: pd.DataFrame) -> pd.DataFrame:
    """The owners with the names they registered under and the money at stake on their accounts."""
    if owners.empty:
        return owners
    table = schema.OWNERS
    members = reads.decided(table, table.c.owner_id.in_(owners["owner_id"].tolist()))[["trader_id", "owner_id"]]
    accounts = reads.rows("accounts", trader_id=members["trader_id"].tolist()).merge(members, on="trader_id")
    accounts["stake_usd"] = accounts["stake"] * accounts["rate_to_usd"]
    told = accounts.groupby("owner_id").agg(
        people=("trader_name", lambda names: ", ".join(sorted(set(names.dropna())))), stake_usd=("stake_usd", "sum")
    )
    return owners.merge(told, on="owner_id", how="left")[["members", "people", "stake_usd", "trader_id", "owner_id"]]


def around(trader: str, steps: int) -> tuple[list[str], int]:
    """Traders within some steps of links, shared values that are no hub, and matched trading, and how many of the last
    step found no room."""
    known, edge, left_out = {trader}, {trader}, 0
    for _ in range(steps):
        reached = _neighbours(sorted(edge)) - known
        edge = set(sorted(reached)[: MOST_TRADERS - len(known)])
        left_out = len(reached) - len(edge)
        known |= edge
        if not edge or left_out:
            break
    return [trader, *sorted(known - {trader})], left_out


def _neighbours(traders: list[str]) -> set[str]:
    links, values, accounts, pairs = (
        schema.LINKS.c,
        reads.mart("shared_values"),
        reads.mart("accounts"),
        schema.COPY_PAIRS.c,
    )
    linked = reads.decided(
        schema.LINKS,
        links.trader_a.in_(traders) | links.trader_b.in_(traders),
        *reads.seen("trader_id", links.trader_a, links.trader_b),
    )
    reached = set(linked["trader_a"]) | set(linked["trader_b"])
    if values is None or accounts is None:
        return reached
    mine = (
        sa.select(values.c.kind, values.c.value)
        .where(values.c.trader_id.in_(traders), values.c.holders <= graphs.HUB_HOLDERS)
        .distinct()
        .subquery()
    )
    shared = (
        sa.select(values.c.trader_id)
        .join(mine, (values.c.kind == mine.c.kind) & (values.c.value == mine.c.value))
        .limit(reads.MOST_ROWS)
    )
    reached |= set(reads.fetch(shared)["trader_id"])
    own = reads.rows("accounts", trader_id=traders)["account_id"].tolist()
    paired = reads.decided(
        schema.COPY_PAIRS,
        pairs.account_a.in_(own) | pairs.account_b.in_(own),
        *reads.seen("account_id", pairs.account_a, pairs.account_b),
    )
    both = sorted(set(paired["account_a"]) | set(paired["account_b"]))
    return reached | set(reads.rows("accounts", account_id=both)["trader_id"]) if both else reached


def gathered(traders: list[str]) -> graphs.Found:
    """Everything known between the given traders."""
    links, pairs = schema.LINKS.c, schema.COPY_PAIRS.c
    accounts = reads.rows("accounts", trader_id=traders)
    own = accounts["account_id"].tolist()
    values = reads.rows("shared_values", trader_id=traders)
    owners = reads.decided(schema.OWNERS, schema.OWNERS.c.trader_id.in_(traders))
    inside = values[values.groupby(["kind", "value"])["trader_id"].transform("nunique") > 1] if len(values) else values
    return graphs.Found(
        accounts,
        reads.decided(schema.LINKS, links.trader_a.in_(traders), links.trader_b.in_(traders)),
        inside,
        reads.decided(schema.COPY_PAIRS, pairs.account_a.in_(own), pairs.account_b.in_(own)),
        dict(zip(owners["trader_id"], owners["owner_id"], strict=True)),
    )


def _links(links: pd.DataFrame) -> None:
    if links.empty:
        return
    shown = links.sort_values("strength", ascending=False)
    shown = shown.assign(
        strength=shown["strength"].map(graphs.likely),
        reasons=[graphs.reasons(text, 8) for text in shown["reasons"]],
    )
    st.dataframe(
        shown,
        hide_index=True,
        column_config={
            "trader_a": st.column_config.TextColumn("One", width=80),
            "trader_b": st.column_config.TextColumn("Other", width=80),
            "strength": st.column_config.TextColumn("One person?", width=85),
            "reasons": st.column_config.TextColumn("Because of", width="large"),
        },
    )
