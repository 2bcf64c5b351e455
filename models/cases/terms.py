"""The terms of cases: versioned thresholds from which one is opened."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from models import toml_files

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
    """Every version in order; TomlRefused says which is none."""
    return toml_files.rising(file, _terms)


def _terms(quiet: list[str], **told: Any) -> CaseTerms:
    return CaseTerms(quiet=tuple(quiet), **told)


def in_force(at: dt.datetime, file: Path = FILE) -> CaseTerms:
    """The newest version in force at an instant; the first one for anything earlier."""
    held = [one for one in versions(file) if one.effective_from <= at]
    return held[-1] if held else versions(file)[0]
