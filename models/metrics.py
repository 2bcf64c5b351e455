"""The metric dictionary: one definition of every management figure; `python -m models.metrics` writes its page."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "metrics.toml"
PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
_HEAD = """# Figures and their definitions

Generated from `models/metrics.toml` by `python -m models.metrics`; a test keeps both alike.

| figure | what it is | grain | share of | relation | kept by |
| --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Metric:
    """One figure: its key, name, defining sentence, grain, denominator, mart and column, owner, and its equals."""

    key: str
    name: str
    sentence: str
    grain: str
    denominator: str
    relation: str
    owner: str
    agrees: tuple[str, ...] = ()


@cache
def metrics() -> dict[str, Metric]:
    """Every figure by key."""
    told = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {key: Metric(key=key, **(one | {"agrees": tuple(one.get("agrees", ()))})) for key, one in told.items()}


def definition(key: str) -> str:
    """The sentence a page shows on hover; KeyError for a figure that has none."""
    return metrics()[key].sentence


def page() -> str:
    """The dictionary as Markdown."""
    lines = [
        f"| {one.name} | {one.sentence} | {one.grain} | {one.denominator or '–'} | `{one.relation}` | {one.owner} |"
        for one in metrics().values()
    ]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
