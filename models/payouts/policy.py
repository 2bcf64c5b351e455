"""The desk's policy: versioned thresholds of review, screening and approval."""

from __future__ import annotations

import datetime as dt
import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("policy.toml")


@dataclass(frozen=True)
class Policy:
    """One version of the policy; its three parts hold the thresholds by name."""

    version: int
    effective_from: dt.datetime
    review: Mapping[str, Any]
    screening: Mapping[str, Any]
    approval: Mapping[str, Any]


@cache
def versions(file: Path = FILE) -> tuple[Policy, ...]:
    """Every version in order; ValueError when numbers or instants do not rise."""
    held = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)["versions"]
    read = tuple(Policy(**version) for version in held)
    for before, after in itertools.pairwise(read):
        if after.version <= before.version or after.effective_from < before.effective_from:
            raise ValueError(f"{file.name}: version {after.version} does not follow version {before.version}")
    return read


def in_force(at: dt.datetime, file: Path = FILE) -> Policy:
    """The newest version in force at an instant; the first one for anything earlier."""
    held = [version for version in versions(file) if version.effective_from <= at]
    return held[-1] if held else versions(file)[0]
