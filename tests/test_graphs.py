"""The case graph stays readable when a case is large, and loses nothing that joins people."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from dashboards.kit import graphs, look

NOTHING = pd.DataFrame()


def case_of(traders: int, accounts: int) -> graphs.Found:
    """So many traders who hold so many accounts each."""
    rows = [
        {"trader_id": f"T{trader}", "account_id": f"A{trader}-{number}", "trader_name": f"Name {trader}"}
        for trader in range(traders)
        for number in range(accounts)
    ]
    return graphs.Found(pd.DataFrame(rows), NOTHING, NOTHING, NOTHING, {})


def test_what_joins_people_is_drawn_and_told_however_many_accounts_there_are() -> None:
    """The path stands above the buttons that bind two people: it must not lose what found no room in the picture."""
    found = case_of(60, 10)
    links = [{"trader_a": "T0", "trader_b": "T59", "strength": 0.99, "reasons": "[]"}]
    shared = [{"trader_id": name, "kind": "document", "value": "d1", "holders": 2} for name in ("T0", "T1")]
    graph = graphs.build(replace(found, links=pd.DataFrame(links), values=pd.DataFrame(shared)))
    assert len(graphs.to_draw(graphs.build(case_of(3, 2)))) == 9
    drawn = graphs.to_draw(graph)
    assert (len(graph), len(drawn)) == (661, graphs.MOST_NODES)
    assert {f"t:T{trader}" for trader in range(60)} | {"v:document:d1"} <= set(drawn)
    assert "document d1" in graphs.path_sentence(graph, "T0", "T1")
    assert "99 % one person" in graphs.path_sentence(graph, "T0", "T59")
    figure = graphs.drawn(drawn, "T0", graphs.laid_out(drawn))
    assert sum(len(trace.customdata) for trace in figure.data if trace.customdata is not None) == graphs.MOST_NODES
    (people,) = [trace for trace in figure.data if trace.name == "Person"]
    assert [text for text in people.text if text] == ["Name 0 · T0"], "so many names would hide each other"


def test_what_a_click_adds_moves_nothing_and_has_room_before_accounts() -> None:
    """People follow a graph by where things stand: a click must leave them there, also when the picture is full."""
    first = graphs.to_draw(graphs.build(case_of(45, 10)))
    before = graphs.laid_out(first)
    shared = [{"trader_id": name, "kind": "device", "value": "d1", "holders": 2} for name in ("T0", "T44")]
    graph = graphs.build(replace(case_of(60, 10), values=pd.DataFrame(shared)))
    drawn = graphs.to_draw(graph, set(first))
    after = graphs.laid_out(drawn, before)
    assert len(drawn) == graphs.MOST_NODES
    assert {f"t:T{trader}" for trader in range(60)} | {"v:device:d1"} <= set(after)
    left = set(first) - set(drawn)
    assert len(left) == 11 and all(node.startswith("a:") for node in left), "16 came, there was room for 5"
    stayed = set(first) & set(drawn)
    assert all(tuple(after[node]) == tuple(before[node]) for node in stayed)
    spread = max(abs(float(part)) for place in before.values() for part in place)
    assert all(abs(float(part)) < 3 * spread for place in after.values() for part in place), "all in one picture"


def test_the_person_to_answer_about_first_is_the_likeliest() -> None:
    """The question whether two are one person stands below: it must not begin with a stranger of the same café."""
    links = pd.DataFrame(
        [
            {"trader_a": "T5", "trader_b": "T9", "strength": 0.4, "reasons": "[]"},
            {"trader_a": "T7", "trader_b": "T5", "strength": 0.99, "reasons": "[]"},
            {"trader_a": "T1", "trader_b": "T2", "strength": 1.0, "reasons": "[]"},
        ]
    )
    pairs = pd.DataFrame([{"account_a": "A3-0", "account_b": "A5-1"}, {"account_a": "A1-0", "account_b": "A2-0"}])
    found = replace(case_of(10, 2), links=links, pairs=pairs)
    people = ["T5", "T1", "T2", "T3", "T7", "T9"]
    assert graphs.nearest_first("T5", people, found) == ["T7", "T9", "T3", "T1", "T2"]
    alone = replace(found, links=links[:0], pairs=pairs[:0])
    assert graphs.nearest_first("T5", people, alone) == ["T1", "T2", "T3", "T7", "T9"]


def test_the_address_of_a_value_does_not_tell_it() -> None:
    marked = graphs.mark("v:ip:203.0.113.5")
    assert "203" not in marked and marked == graphs.mark("v:ip:203.0.113.5") != graphs.mark("v:ip:203.0.113.6")
    assert graphs.mark("t:T1") == "t:T1"


def test_percentages_of_charts_are_written_as_those_of_texts() -> None:
    """10 %, with its intervals; Plotly's own percentages say 10% and no setting changes that."""
    figure = go.Figure()
    figure.add_scatter(x=[1, 2], y=[0.1, None], error_y={"type": "data", "array": [0.05, 0.0], "arrayminus": [0.02, 0]})
    look.percent(figure, "y")
    assert figure.data[0].y[0] == 10 and figure.layout.yaxis.ticksuffix == " %"
    assert (figure.data[0].error_y.array[0], figure.data[0].error_y.arrayminus[0]) == (5, 2)
    assert list(figure.data[0].x) == [1, 2]
    pages = Path(look.__file__).parents[1].rglob("*.py")
    own = re.compile(r"""%\{[^}]*:[^}]*%\}|tickformat="[^"]*%\"""")
    assert not [page.name for page in pages if own.search(page.read_text(encoding="utf-8"))]


def test_dates_of_a_chart_are_written_as_in_texts_and_tables() -> None:
    """Axes read Aug 9, 2026 where everything beside them reads 09 Aug 2026."""
    day, instant = pd.Timestamp("2026-08-09"), pd.Timestamp("2026-08-09 14:00", tz="Europe/Prague")
    wanted = {day: "%d %b %Y", day.date(): "%d %b %Y", instant: "%d %b %Y %H:%M:%S", 5.0: None, "9": None}
    for at, hover in wanted.items():
        figure = go.Figure(go.Scatter(x=[at], y=[1]))
        figure.add_scatter(x=[], y=[])
        look._dress(figure, "When?", 300)
        assert figure.layout.xaxis.hoverformat == hover
        assert bool(figure.layout.xaxis.tickformatstops) == (hover is not None)
    for days, every in ((3, 86_400_000), (40, None)):
        figure = go.Figure(go.Scatter(x=[day, day + pd.Timedelta(days=days)], y=[1, 2]))
        look._dress(figure, "When?", 300)
        assert figure.layout.xaxis.dtick == every, "a chart of days names no hours"
    said = go.Figure(go.Scatter(x=[day], y=[1])).update_xaxes(tickformat="%Y", hoverformat="%b")
    look._dress(said, "When?", 300)
    assert (said.layout.xaxis.hoverformat, said.layout.xaxis.tickformatstops) == ("%b", ())
