"""`make quality`: how well owners, pairs and conduct are found on firms not tuned on, into docs/quality.md."""

from __future__ import annotations

import sys

from benchmarks.page import ROOT, measure

INTRO = (
    "# Quality\n\nMeasured by `make quality` on made-up firms whose mechanics differ from the demo firm's and on"
    " public data,\n"
    "beside naive baselines; each chapter names the command that repeats it.\n"
)
CHAPTERS = {
    "coordination": "Who trades together",
    "identity": "Who is who",
    "conduct": "Conduct",
    "churn": "Churn",
    "settlements": "Settlement matching",
}

if __name__ == "__main__":
    sys.exit(measure(ROOT / "docs" / "quality.md", INTRO, "benchmarks.quality", CHAPTERS, sys.argv[1:]))
