"""Who is looking: every read is bounded by the desks of this person."""

from __future__ import annotations

import getpass
from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """Somebody at the dashboards; `desks` None means every desk."""

    name: str
    role: str
    desks: tuple[str, ...] | None = None


def who() -> Person:
    """The person of this session: the local user, who may see everything."""
    return Person(getpass.getuser(), "admin")
