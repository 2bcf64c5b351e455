"""How what chance would give is written, wherever it is told."""

from __future__ import annotations

LEAST = 0.0001
"""Below this a count or a rate is all the same to a reader."""


def by_chance(number: float) -> str:
    """A count or a rate that chance would give, in two digits and never with an exponent."""
    if number < LEAST:
        return f"under {LEAST:.4f}"
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
