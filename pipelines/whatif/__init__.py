"""What other terms would have done: all history replayed under a draft, beside what the terms bought did.

history.py   what a replay needs, read once
replay.py    how accounts end under given terms: the walk and the set-based rules
money.py     what was paid, and what would have been
measure.py   both sides as figures with intervals, and who flips
sweep.py     one or two parameters over their values

The events stay as they were traded. A trader would have traded otherwise under other terms, and an account that ended
early has no history beyond its end; `CAVEATS` says so wherever results are shown.
"""

from pipelines.whatif.history import History, WhatIfRefused, load, opened
from pipelines.whatif.measure import Comparison, compare_history, compare_products, measure
from pipelines.whatif.money import Today, today, under
from pipelines.whatif.replay import Side, newest, overlaid, replay, walk_parallel
from pipelines.whatif.run import CAVEATS, Answer, compare, sweep_table
from pipelines.whatif.sweep import METRICS, Axis, parse_axis, sweep

__all__ = [
    "CAVEATS",
    "METRICS",
    "Answer",
    "Axis",
    "Comparison",
    "History",
    "Side",
    "Today",
    "WhatIfRefused",
    "compare",
    "compare_history",
    "compare_products",
    "load",
    "measure",
    "newest",
    "opened",
    "overlaid",
    "parse_axis",
    "replay",
    "sweep",
    "sweep_table",
    "today",
    "under",
    "walk_parallel",
]
