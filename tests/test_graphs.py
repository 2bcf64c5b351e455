"""The case graph stays readable when a case is large, and says what it left out."""

from __future__ import annotations

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


def test_a_case_beyond_what_is_drawn_says_how_much_is_missing() -> None:
    small, large = graphs.build(case_of(3, 2)), graphs.build(case_of(60, 10))
    assert (len(small), small.graph["left_out"]) == (9, 0)
    assert (len(large), large.graph["left_out"]) == (graphs.MOST_NODES, 660 - graphs.MOST_NODES)
    figure = graphs.drawn(large, "T0")
    assert sum(len(trace.customdata) for trace in figure.data if trace.customdata is not None) == graphs.MOST_NODES
    (people,) = [trace for trace in figure.data if trace.name == "Person"]
    assert [text for text in people.text if text] == ["Name 0 · T0"], "so many names would hide each other"
