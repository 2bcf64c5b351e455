"""Network: who belongs together, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import networkx as nx
import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import graphs, judging, look, places, reads, state, words
from sql import schema

MOST_TRADERS = 60
# Beyond the first picture people are added by hand; a node may have thousands of neighbours.
MOST_PEOPLE = 200
MOST_FOUND = 5_000
MOST_VIEWS = 12
LISTED = 12
VIEWS = "network-views"
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
    opened = [one for one in (state.parameter("open") or "").split(",") if one]
    view = _view(trader, int(steps), tuple(opened))
    clicked = look.pick(
        graphs.drawn(view.shown, trader, view.places),
        f"What joins {trader} to others?",
        height=320 if len(view.graph) < 8 else 560,
        key="graph",
    )
    _follow([node for (node,) in clicked[:1]], opened)
    _way_back(opened)
    chosen = next((node for node in view.shown if opened and graphs.mark(node) == opened[-1]), None)
    if chosen:
        _told(view, chosen, steps)
    _counted(view)
    traders, graph, found = view.traders, view.graph, view.found
    others = graphs.nearest_first(trader, traders, found)
    if not others:
        look.empty("Nobody else", "No link, shared value or matched trading joins this trader to another.")
        return
    names = dict(zip(found.accounts["trader_id"], found.accounts["trader_name"], strict=True))
    other = state.one_of("Path to", "to", others, shown=lambda one: f"{one} · {names.get(one) or one}", every=False)
    look.card(
        "unknown",
        words.escaped(f"From {trader} to {other}"),
        [words.escaped(graphs.path_sentence(graph, trader, str(other)))],
    )
    judging.ask(trader, str(other))
    _links(found.links)
    places.link("case", "Open the case →", icon=False, trader=trader)


@dataclass(frozen=True)
class View:
    """What is drawn about a trader once some nodes were opened: everything known of these people, the part that has
    room, where it stands, how many as near found no room, how many people the last opened node added, how many not."""

    traders: list[str]
    found: graphs.Found
    graph: nx.Graph
    shown: nx.Graph
    places: dict[str, graphs.Place]
    left_out: int
    added: int = 0
    unshown: int = 0


def _view(trader: str, steps: int, opened: tuple[str, ...]) -> View:
    """The picture after so many clicks, each of which adds to the one before and moves nothing."""
    views: dict[Any, View] = st.session_state.setdefault(VIEWS, {})
    key = (trader, steps, reads.stamp(), opened)
    if key not in views:
        made = _first(trader, steps) if not opened else _opened(_view(trader, steps, opened[:-1]), opened[-1])
        while len(views) >= MOST_VIEWS:
            del views[next(iter(views))]
        views[key] = made
    return views[key]


def _first(trader: str, steps: int) -> View:
    traders, left_out = around(trader, steps)
    found = gathered(traders)
    graph = graphs.build(found)
    shown = graphs.to_draw(graph)
    return View(traders, found, graph, shown, graphs.laid_out(shown), left_out)


def _opened(before: View, mark: str) -> View:
    """A picture with the neighbours of one of its nodes; as it was when there is no such node."""
    node = next((one for one in before.shown if graphs.mark(one) == mark), None)
    if node is None:
        return before
    more = sorted(beyond(before.graph, node) - set(before.traders))
    added = more[: max(0, MOST_PEOPLE - len(before.traders))]
    traders = [*before.traders, *added]
    found = gathered(traders)
    graph = graphs.build(found)
    shown = graphs.to_draw(graph, set(before.shown))
    places = graphs.laid_out(shown, before.places)
    return View(traders, found, graph, shown, places, before.left_out, len(added), len(more) - len(added))


def beyond(graph: nx.Graph, node: str) -> set[str]:
    """The people next to a node: joined to a person, trading as an account does, or sharing a value."""
    kind, _, name = node.partition(":")
    if kind == "t":
        return _neighbours([name])
    if kind == "a":
        return _trading_with([name])
    return _sharing(graph.nodes[node], next(one for one in graph[node])[2:])


def _sharing(told: dict[str, Any], holder: str) -> set[str]:
    """Traders who share a value, found by one of them: whoever may not read the value only knows its mark."""
    values = reads.mart("shared_values")
    if values is None:
        return set()
    alike = (values.c.kind == told["thing"]) & (values.c.holders == told["holders"])
    of_holder = sa.select(values.c.value).where(alike, values.c.trader_id == holder)
    found = reads.fetch(sa.select(values).where(alike, values.c.value.in_(of_holder)).limit(MOST_FOUND))
    return set(found.loc[found["value"] == told["id"], "trader_id"])


def _follow(clicked: list[str], opened: list[str]) -> None:
    """Opens a node that was clicked."""
    marks = [graphs.mark(node) for node in clicked]
    if marks:
        st.query_params["open"] = ",".join([one for one in opened if one not in marks] + marks)
        st.rerun()


def _way_back(opened: list[str]) -> None:
    """Takes back the last click, or all."""
    if not opened:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        back = st.button("Take back the last click", icon=":material/undo:")
        anew = len(opened) > 1 and st.button("Begin anew", icon=":material/restart_alt:")
    if back or anew:
        st.query_params["open"] = ",".join(opened[:-1] if back else [])
        if not st.query_params["open"]:
            del st.query_params["open"]
        st.rerun()


def _told(view: View, node: str, steps: str) -> None:
    """What a clicked node is, who is next to it, what the click added, and where to go on."""
    told, graph = view.graph.nodes[node], view.graph
    added = f"{words.counted(view.added, 'person', 'people')} added." if view.added else "All next to it is drawn."
    if view.unshown:
        added += f" {view.unshown:,} more found no room."
    if told["kind"] == "account":
        pairs = [
            f"{graph.edges[node, one]['reason']} with {graph.nodes[one]['label']}"
            for one in graph[node]
            if graph.edges[node, one]["kind"] == "pair"
        ]
        said = f"{told['label']}: {'; '.join(pairs) or 'no other account trades as it does'}."
        goes = ("account", f"Open {told['id']} →", {"account": str(told["id"])})
    elif told["kind"] == "trader":
        said = f"{told['label']}."
        goes = ("network", f"Centre on {told['id']} →", {"trader": str(told["id"]), "steps": steps})
    else:
        near = sorted(str(graph.nodes[one]["label"]) for one in graph[node])
        more = f" and {len(near) - LISTED} more" if len(near) > LISTED else ""
        said = f"{told['label'][0].upper()}{told['label'][1:]} is shared by {', '.join(near[:LISTED])}{more}."
        goes = None
    st.markdown(words.marked(f"{said} {added}"))
    if goes:
        name, label, address = goes
        places.link(name, label, icon=False, **address)


def _counted(view: View) -> None:
    """How much is drawn, and what is not."""
    people, crowded = len(view.traders), len(view.graph) - len(view.shown)
    st.caption(
        f"{people} {'person' if people == 1 else 'people'}"
        f" · values shared by more than {graphs.HUB_HOLDERS} traders are hollow: they say little."
        " Hover an edge for its reason, click anything to add what is next to it."
        + (
            f" {view.left_out:,} more people are as near and not drawn: go on from one of these."
            if view.left_out
            else ""
        )
        + (f" {crowded:,} accounts and values that say less found no room." if crowded else "")
    )


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
    rates = reads.rows("usd_rates").set_index("currency")["rate_to_usd"]
    accounts["stake_usd"] = reads.stakes(accounts) * accounts["currency"].map(rates)
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
    links, values, accounts = schema.LINKS.c, reads.mart("shared_values"), reads.mart("accounts")
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
    return reached | _trading_with(reads.rows("accounts", trader_id=traders)["account_id"].tolist())


def _trading_with(own: list[str]) -> set[str]:
    """Traders whose accounts trade as some accounts do, and those of the accounts themselves."""
    pairs = schema.COPY_PAIRS.c
    paired = reads.decided(
        schema.COPY_PAIRS,
        pairs.account_a.in_(own) | pairs.account_b.in_(own),
        *reads.seen("account_id", pairs.account_a, pairs.account_b),
    )
    both = sorted({*own, *paired["account_a"], *paired["account_b"]})
    return set(reads.rows("accounts", limit=MOST_FOUND, account_id=both)["trader_id"]) if both else set()


def gathered(traders: list[str]) -> graphs.Found:
    """Everything known between the given traders."""
    links, pairs = schema.LINKS.c, schema.COPY_PAIRS.c
    accounts = reads.rows("accounts", limit=MOST_FOUND, trader_id=traders)
    own = accounts["account_id"].tolist()
    values = reads.rows("shared_values", limit=MOST_FOUND, trader_id=traders)
    owners = reads.decided(schema.OWNERS, schema.OWNERS.c.trader_id.in_(traders))
    inside = values[values.groupby(["kind", "value"])["trader_id"].transform("nunique") > 1] if len(values) else values
    linked, paired = links.trader_a.in_(traders), pairs.account_a.in_(own)
    return graphs.Found(
        accounts,
        reads.decided(schema.LINKS, linked, links.trader_b.in_(traders), limit=MOST_FOUND),
        inside,
        reads.decided(schema.COPY_PAIRS, paired, pairs.account_b.in_(own), limit=MOST_FOUND),
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
            "reasons": st.column_config.TextColumn("Because of", width=720),
        },
    )
