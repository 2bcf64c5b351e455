"""The case graph: people, their accounts and what they share, laid out and drawn."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx as nx
import pandas as pd
import plotly.graph_objects as go

from dashboards.kit import look, words

MOST_NODES = 500
HUB_HOLDERS = 12
# Names are written beside people while they can be read; beyond this many only beside the one asked about.
MOST_NAMED = 25
SYMBOLS = {"trader": "circle", "account": "square", "value": "pentagon", "hub": "diamond-open"}
THINGS = {
    "device": ("diamond", "Device"),
    "instrument": ("hexagon", "Payment instrument"),
    "destination": ("star", "Payout destination"),
    "document": ("cross", "Document"),
    "ip": ("triangle-up", "IP address"),
}
KINDS = {"ip": "IP address", "instrument": "payment instrument", "destination": "payout destination"}
NAMES = {
    "trader": "Person",
    "account": "Account",
    "value": "Other shared value",
    "hub": "Shared by many, so it says little",
}


Place = tuple[float, float]
_ROOT = ""
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True)
class Found:
    """What is known about some traders: accounts, links between traders, shared values, pairs of accounts, and the
    owner each trader is held to be."""

    accounts: pd.DataFrame
    links: pd.DataFrame
    values: pd.DataFrame
    pairs: pd.DataFrame
    owner_of: dict[str, str]


def build(found: Found) -> nx.Graph:
    """A graph whose nodes have kind and label, whose edges have a reason."""
    graph = nx.Graph()
    for row in found.accounts.to_dict(orient="records"):
        person, account = f"t:{row['trader_id']}", f"a:{row['account_id']}"
        graph.add_node(person, kind="trader", label=named(row), id=row["trader_id"])
        graph.add_node(account, kind="account", label=row["account_id"], id=row["account_id"])
        graph.add_edge(person, account, kind="owns", reason="trades it")
    for row in found.links.to_dict(orient="records"):
        ends = [f"t:{row['trader_a']}", f"t:{row['trader_b']}"]
        for end in ends:
            graph.add_node(end, **({"kind": "trader", "label": end[2:], "id": end[2:]} | graph.nodes.get(end, {})))
        one, other = (found.owner_of.get(end[2:]) for end in ends)
        graph.add_edge(
            *ends,
            kind="link" if one is not None and one == other else "perhaps",
            reason=f"{likely(row['strength'])} one person: {reasons(row['reasons'])}",
        )
    for row in found.values.to_dict(orient="records"):
        value = f"v:{row['kind']}:{row['value']}"
        hub = row["holders"] > HUB_HOLDERS
        graph.add_node(
            value,
            kind="hub" if hub else "value",
            thing=row["kind"],
            label=f"{kind(row['kind'])} {row['value']}",
            id=row["value"],
            holders=row["holders"],
        )
        graph.add_edge(f"t:{row['trader_id']}", value, kind="shares", reason=f"used by {row['holders']} traders")
    for row in found.pairs.to_dict(orient="records"):
        ends = [f"a:{row['account_a']}", f"a:{row['account_b']}"]
        if all(end in graph for end in ends):
            graph.add_edge(*ends, kind="pair", reason=f"{row['relation']}, {row['matched']} matched entries")
    return graph.subgraph([node for node in graph if "kind" in graph.nodes[node]]).copy()


def to_draw(graph: nx.Graph, first: Collection[str] = ()) -> nx.Graph:
    """The part of a graph that is drawn, at most MOST_NODES nodes: first people, then what few of them share, accounts
    that trade as one, other accounts, hubs; of each kind those that are drawn already (`first`) before others."""
    paired = {end for *ends, kind in graph.edges(data="kind") if kind == "pair" for end in ends}

    def rank(node: str) -> tuple[int, bool]:
        kind = graph.nodes[node]["kind"]
        told = 2 if node in paired else {"trader": 0, "value": 1, "account": 3, "hub": 4}[kind]
        return told, node not in first

    return graph.subgraph(sorted(graph, key=rank)[:MOST_NODES])


def mark(node: str) -> str:
    """A node as an address names it: people and accounts by their ids, shared values by a mark that tells none."""
    return f"v:{hashlib.sha256(node.encode()).hexdigest()[:10]}" if node.startswith("v:") else node


def laid_out(graph: nx.Graph, before: Mapping[str, Place] | None = None) -> dict[str, Place]:
    """Where each node is drawn. What was placed before stays; what is new stands around what it is joined to."""
    # 500 nodes must not keep anybody waiting: few rounds, and forces, which take half as long as energy from there on.
    iterations = max(20, min(60, 9_000 // max(1, len(graph))))
    wide = 1.6 / max(1, len(graph)) ** 0.5
    fixed = {node: before[node] for node in graph if node in before} if before else {}
    if len(fixed) == len(graph):
        return fixed
    start = _beside(graph, fixed) if fixed else None
    held: dict[str, Place] = nx.spring_layout(
        graph, seed=7, k=wide, iterations=iterations, method="force", pos=start, fixed=list(fixed) or None
    )
    return held | fixed


def _beside(graph: nx.Graph, placed: Mapping[str, Place]) -> dict[str, Place]:
    """A start for each node: placed ones where they are, others about the neighbour from which they were reached."""
    start = dict(placed)
    for turn, (source, node) in enumerate(nx.bfs_edges(_rooted(graph, placed), _ROOT)):
        if node not in start:
            x, y = start.get(source, (0.0, 0.0))
            angle = turn * _GOLDEN_ANGLE
            start[node] = (x + 0.12 * math.cos(angle), y + 0.12 * math.sin(angle))
    return {node: start[node] for node in graph}


def _rooted(graph: nx.Graph, placed: Mapping[str, Place]) -> nx.Graph:
    """The graph with one more node from which everything is reached, what is placed first."""
    rooted = nx.Graph()
    rooted.add_edges_from((_ROOT, node) for node in placed)
    rooted.add_edges_from(graph.edges)
    parts = (min(part) for part in nx.connected_components(graph) if not part & set(placed))
    rooted.add_edges_from((_ROOT, node) for node in sorted(parts))
    return rooted


def named(row: dict[Any, Any]) -> str:
    """A person's name with the id, since one person may be registered many times."""
    return f"{row['trader_name']} · {row['trader_id']}" if row["trader_name"] else str(row["trader_id"])


def kind(name: Any) -> str:
    """What a shared value is."""
    return KINDS.get(str(name), str(name).replace("_", " "))


def nearest_first(trader: str, traders: list[str], found: Found) -> list[str]:
    """The other people: first who is most likely the same person, then who trades as one with them, then the rest."""
    links, pairs = found.links, found.pairs
    strength: dict[str, float] = {}
    for one, other in (("trader_a", "trader_b"), ("trader_b", "trader_a")):
        mine = links[links[one] == trader]
        strength |= dict(zip(mine[other], mine["strength"], strict=True))
    holders = dict(zip(found.accounts["account_id"], found.accounts["trader_id"], strict=True))
    both = [{holders.get(a), holders.get(b)} for a, b in zip(pairs["account_a"], pairs["account_b"], strict=True)]
    together = {one for two in both if trader in two for one in two}
    others = [one for one in traders if one != trader]
    return sorted(others, key=lambda one: (-strength.get(one, 0.0), one not in together, one))


def likely(strength: float) -> str:
    """A strength as a percentage that claims no certainty."""
    return "over 99 %" if strength >= 0.995 else words.share(strength)


def reasons(text: str, most: int = 4) -> str:
    """The reasons of a link as people read them."""
    listed = words.parsed(text) or []
    held = [f"{kind(one['signal'])} {one['value']}" for one in listed if not one.get("against")]
    against = [f"{kind(one['signal'])} {one['value']}" for one in listed if one.get("against")]
    told = "; ".join(held[:most])
    return told + (f"; against it: {'; '.join(against[:2])}" if against else "")


def path_sentence(graph: nx.Graph, one: str, other: str) -> str:
    """The shortest path between two people as a sentence."""
    try:
        path = nx.shortest_path(graph, f"t:{one}", f"t:{other}")
    except (nx.NetworkXNoPath, nx.NodeNotFound):
        return "Nothing that is known joins these two."
    steps = [
        f"{graph.nodes[a]['label']} → {graph.nodes[b]['label']} ({graph.edges[a, b]['reason']})"
        for a, b in pairwise(path)
    ]
    return "; ".join(steps) + "."


def drawn(graph: nx.Graph, centre: str, places: Mapping[str, Place]) -> go.Figure:
    """The graph with a shape per kind, hubs pale, reasons on hover; `centre` is the trader asked about."""
    figure = go.Figure()
    for kind, dash in (("owns", "solid"), ("shares", "dot"), ("perhaps", "dash"), ("link", "solid"), ("pair", "dash")):
        _edges(figure, graph, places, kind, dash)
    for (kind, symbol, name), nodes in _shapes(graph).items():
        _nodes(figure, graph, places, nodes, kind, symbol, name, centre)
    hidden = {"visible": False, "showgrid": False}
    figure.update_layout(xaxis=hidden, yaxis=hidden, hovermode="closest", uirevision=centre)
    return figure


_EDGE_NAMES = {
    "owns": "",
    "shares": "Shares a value",
    "perhaps": "Perhaps one person",
    "link": "Held to be one person",
    "pair": "Trade as one",
}


def _shapes(graph: nx.Graph) -> dict[tuple[str, str, str], list[str]]:
    """Nodes by kind, symbol and name in the legend, people first."""
    shapes: dict[tuple[str, str, str], list[str]] = {}
    for node, told in sorted(graph.nodes(data=True), key=lambda each: list(SYMBOLS).index(each[1]["kind"])):
        symbol, name = SYMBOLS[told["kind"]], NAMES[told["kind"]]
        if told["kind"] == "value":
            symbol, name = THINGS.get(told["thing"], (symbol, name))
        shapes.setdefault((told["kind"], symbol, name), []).append(node)
    return shapes


def _edges(figure: go.Figure, graph: nx.Graph, places: Mapping[str, Place], kind: str, dash: str) -> None:
    colours = look.palette()
    chosen = [(a, b, told["reason"]) for a, b, told in graph.edges(data=True) if told["kind"] == kind]
    if not chosen:
        return
    x: list[float | None] = []
    y: list[float | None] = []
    for a, b, _ in chosen:
        x += [places[a][0], places[b][0], None]
        y += [places[a][1], places[b][1], None]
    colour = {"link": colours.near, "perhaps": colours.near, "pair": colours.breached}.get(kind, colours.ended)
    width = 2 if kind in ("link", "pair") else 1
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        name=_EDGE_NAMES[kind],
        showlegend=kind != "owns",
        hoverinfo="skip",
        line={"color": colour, "width": width, "dash": dash},
    )
    middle = [((places[a][0] + places[b][0]) / 2, (places[a][1] + places[b][1]) / 2) for a, b, _ in chosen]
    figure.add_scatter(
        x=[one[0] for one in middle],
        y=[one[1] for one in middle],
        mode="markers",
        showlegend=False,
        marker={"size": 8, "opacity": 0},
        text=[reason for _, _, reason in chosen],
        hovertemplate="%{text}<extra></extra>",
    )


def _nodes(
    figure: go.Figure,
    graph: nx.Graph,
    places: Mapping[str, Place],
    nodes: list[str],
    kind: str,
    symbol: str,
    name: str,
    centre: str,
) -> None:
    colours = look.palette()
    labels = [graph.nodes[node]["label"] for node in nodes]
    named = len(nodes) <= MOST_NAMED
    written = [label if named or node == f"t:{centre}" else "" for node, label in zip(nodes, labels, strict=True)]
    colour = {"trader": colours.fine, "account": colours.series[2], "value": colours.text, "hub": colours.ended}[kind]
    figure.add_scatter(
        x=[places[node][0] for node in nodes],
        y=[places[node][1] for node in nodes],
        name=name,
        mode="markers+text" if kind == "trader" else "markers",
        customdata=[[node] for node in nodes],
        text=written,
        hovertext=labels,
        textposition="top center",
        marker={"symbol": symbol, "size": 15 if kind == "trader" else 9, "color": colour},
        hovertemplate="%{hovertext}<extra>" + name + "</extra>",
        selected={"marker": {"size": 19 if kind == "trader" else 15}},
        unselected={"marker": {"opacity": 1}, "textfont": {"color": colours.text}},
    )
