"""The case graph stays readable when a case is large, and loses nothing that joins people."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from dashboards.kit import graphs

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
    figure = graphs.drawn(drawn, "T0")
    assert sum(len(trace.customdata) for trace in figure.data if trace.customdata is not None) == graphs.MOST_NODES
    (people,) = [trace for trace in figure.data if trace.name == "Person"]
    assert [text for text in people.text if text] == ["Name 0 · T0"], "so many names would hide each other"
