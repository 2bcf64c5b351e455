"""The terms of cases: versioned thresholds from which one is opened."""

from __future__ import annotations

import datetime as dt
import itertools
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("terms.toml")


@dataclass(frozen=True)
class CaseTerms:
    """One version: lowest score (0-100) and signal strength (0-1) that open a case, detectors that open none."""

    version: int
    effective_from: dt.datetime
    score_min: float
    signal_min: float
    quiet: tuple[str, ...]


@cache
def versions(file: Path = FILE) -> tuple[CaseTerms, ...]:
    """Every version in order; ValueError when numbers or instants do not rise."""
    held = tomllib.loads(file.read_text(encoding="utf-8"))["versions"]
    read = tuple(CaseTerms(**{**one, "quiet": tuple(one["quiet"])}) for one in held)
    for before, after in itertools.pairwise(read):
        if after.version <= before.version or after.effective_from < before.effective_from:
            raise ValueError(f"{file.name}: version {after.version} does not follow version {before.version}")
    return read


def in_force(at: dt.datetime, file: Path = FILE) -> CaseTerms:
    """The newest version in force at an instant; the first one for anything earlier."""
    held = [one for one in versions(file) if one.effective_from <= at]
    return held[-1] if held else versions(file)[0]
