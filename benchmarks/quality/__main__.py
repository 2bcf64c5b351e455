"""`make quality`: how well owners, pairs, conduct and leaving are found, on made-up firms and public data.

Prints what each module prints; the figures quoted in the docs name the command that made them.
"""

from __future__ import annotations

import subprocess
import sys

MODULES = ("coordination", "identity", "conduct", "churn", "liability")


def main() -> int:
    """Runs every module, or those named; the first that fails ends it."""
    for name in sys.argv[1:] or MODULES:
        print(f"highwater: measuring {name} …", file=sys.stderr, flush=True)
        print(f"\n## {name}\n", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.quality.{name}"], check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
