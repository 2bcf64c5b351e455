"""Runs one piece of work in a process of its own and tells seconds, peak memory and what it answered."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """Wall seconds of the work itself, peak resident memory of its process, and its answer."""

    seconds: float
    peak_mb: float
    answer: Any


def child(module: str, *args: str) -> Measured:
    """Runs `python -m module args` and reads the one JSON line it ends with."""
    done = subprocess.run([sys.executable, "-m", module, *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(args)} failed:\n{done.stderr[-2000:]}")
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


def report(work: Callable[[], Any], warm: Callable[[], Any] | None = None) -> None:
    """Times `work` (after `warm`, which compiles and imports) and prints the line that `child` reads."""
    if warm:
        warm()
    started = time.perf_counter()
    answer = work()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), "answer": answer}))


def peak_mb() -> float:
    """Most memory that this process has held; unlike `getrusage` it does not start at what its parent held."""
    status = Path("/proc/self/status")
    if status.exists():
        held = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(held.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine(*packages: str) -> str:
    """The machine and the versions that a table was measured with."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}, {versions}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
