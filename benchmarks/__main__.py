"""`make bench`: every benchmark in turn, each beside what people would use instead, into docs/benchmarks.md."""

from __future__ import annotations

import sys

from benchmarks.page import ROOT, measure

INTRO = "# Benchmarks\n\nMeasured by `make bench`; each table names its machine and the command that repeats it.\n"
CHAPTERS = {
    "replay": "Rule replay, from the lake to verdicts",
    "set_rules": "Rules over whole histories",
    "increment": "A day's increment",
    "walk": "The walk alone, and what-if",
    "sweep": "A sweep over a whole firm",
    "landing": "Landing",
    "sources": "Platform exports",
    "stream": "A live connection into the lake",
    "coordination": "Who trades together",
    "identity": "Who is who",
    "conduct": "Detectors and score",
    "desk": "The payout desk",
    "management": "Commissions and marts",
    "live": "Live",
}

if __name__ == "__main__":
    sys.exit(measure(ROOT / "docs" / "benchmarks.md", INTRO, "benchmarks", CHAPTERS, sys.argv[1:]))
