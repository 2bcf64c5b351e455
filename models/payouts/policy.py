"""The desk's policy: versioned thresholds of review, screening and approval."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from models import toml_files

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
    """Every version in order; TomlRefused says which is none."""
    return toml_files.rising(file, Policy, Decimal)


def in_force(at: dt.datetime, file: Path = FILE) -> Policy:
    """The newest version in force at an instant; the first one for anything earlier."""
    held = [version for version in versions(file) if version.effective_from <= at]
    return held[-1] if held else versions(file)[0]
