"""The live service killed at random moments under load: what it acknowledged is there once, and how soon it is back.

`python -m benchmarks.live_kills [--kills 200]`; raises when anything was lost, doubled or judged otherwise.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from tests.test_kill_live import ordeal


def main() -> None:
    """Kills, checks, and prints how long the service took to be ready again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as folder:
        starts = ordeal(Path(folder), kills)
    p50, p99 = np.quantile(starts, [0.5, 0.99])
    print(json.dumps({"kills": kills, "ready_again_p50_s": round(p50, 2), "ready_again_p99_s": round(p99, 2)}))


if __name__ == "__main__":
    main()
