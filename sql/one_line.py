"""Text that others wrote, as part of a line or a cell of ours."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


_FORMULA = re.compile(r"[=+@\t\r-]")
_AMOUNT = re.compile(r"[+-]?[\d.,]+(e[+-]?\d+)?", re.IGNORECASE)


def in_a_cell(text: str) -> str:
    """A text for a spreadsheet, which would take one that begins like a formula for a formula and run it."""
    return f"'{text}" if _FORMULA.match(text) and not _AMOUNT.fullmatch(text) else text


def one_line(text: str) -> str:
    """A text with line breaks, control characters and turned writing directions written out, as `\\n` or `\\x1b`."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
