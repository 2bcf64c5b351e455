"""Runs modules that print a chapter each and keeps the chapters together on one page of the docs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def measure(page: Path, intro: str, package: str, chapters: dict[str, str], wanted: list[str]) -> int:
    """Runs `package.name` for each wanted chapter (all when none is named) and rewrites these on the page."""
    told = written(page, chapters)
    for name in wanted or list(chapters):
        if not (ROOT / package.replace(".", "/") / f"{name}.py").is_file():
            continue
        print(f"highwater: measuring {name} …", file=sys.stderr, flush=True)
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", f"{package}.{name}"], capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            return 1
        told[name] = done.stdout.strip()
        print(f"highwater: {name} done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        body = "".join(f"\n## {title}\n\n{told[name]}\n" for name, title in chapters.items() if name in told)
        page.write_text(intro + body, encoding="utf-8")
    print(f"highwater: written to {page.relative_to(ROOT)}", file=sys.stderr)
    return 0


def written(page: Path, chapters: dict[str, str]) -> dict[str, str]:
    """The chapters as they stand on the page, by module."""
    if not page.is_file():
        return {}
    modules = {title: name for name, title in chapters.items()}
    parts = (part.split("\n", 1) for part in page.read_text(encoding="utf-8").split("\n## ")[1:])
    return {modules[title.strip()]: body.strip() for title, body in parts if title.strip() in modules}
