"""`make bench`: every benchmark in turn, each beside what people would use instead, into docs/benchmarks.md."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
CHAPTERS = {
    "replay": "Rule replay, from the lake to verdicts",
    "walk": "The walk alone, and what-if",
    "set_rules": "Set-based rules",
    "landing": "Landing",
    "sources": "Platform exports",
    "coordination": "Who trades together",
    "identity": "Who is who",
    "conduct": "Detectors and score",
    "desk": "The payout desk",
    "management": "Commissions and marts",
    "live": "Live",
}


def main() -> int:
    """Runs the benchmarks that are there (or those named) and rewrites their chapters of the page."""
    wanted = sys.argv[1:] or list(CHAPTERS)
    chapters = _written()
    for name in wanted:
        if not (Path(__file__).parent / f"{name}.py").is_file():
            continue
        print(f"highwater: measuring {name} …", file=sys.stderr, flush=True)
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            return 1
        chapters[name] = done.stdout.strip()
        print(f"highwater: {name} done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        _write(chapters)
    print(f"highwater: written to {PAGE.relative_to(PAGE.parent.parent)}", file=sys.stderr)
    return 0


def _written() -> dict[str, str]:
    """The chapters as they stand on the page."""
    if not PAGE.is_file():
        return {}
    titles = {title: name for name, title in CHAPTERS.items()}
    parts = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    split = (part.split("\n", 1) for part in parts)
    return {titles[title.strip()]: body.strip() for title, body in split if title.strip() in titles}


def _write(chapters: dict[str, str]) -> None:
    intro = "# Benchmarks\n\nMeasured by `make bench`; each table names its machine and the command that repeats it.\n"
    body = "".join(f"\n## {title}\n\n{chapters[name]}\n" for name, title in CHAPTERS.items() if name in chapters)
    PAGE.write_text(intro + body, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
