"""What a reader hands back, and the two ways in which reading can fail."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

DEAL_COLUMNS = [
    "account_id",
    "deal_id",
    "position_id",
    "kind",
    "entry",
    "side",
    "symbol",
    "volume",
    "price",
    "executed_at",
    "commission",
    "swap",
    "fee",
    "profit",
    "stop_loss",
    "take_profit",
    "reason",
    "magic",
    "comment",
]
EQUITY_COLUMNS = ["account_id", "observed_at", "balance", "equity"]
REJECT_COLUMNS = ["line", "column", "value", "reason"]

Check = dict[str, Any]


class SourceRefusal(Exception):
    """One sentence that says what was refused, where, why, and what to do about it."""


class RowProblem(Exception):
    """One cell that cannot be read; its row goes to the rejects and the other rows land."""

    def __init__(self, column: str, value: str, reason: str) -> None:
        """Keep the cell's column, its value as printed and the reason in words."""
        super().__init__(f"{column} {value!r}: {reason}")
        self.column, self.value, self.reason = column, value[:200], reason


@dataclass(frozen=True)
class Ask:
    """What the person who lands a file says about it."""

    account_id: str
    server_zone: str | None = None
    currency: str | None = None
    mapping: str | None = None


@dataclass(frozen=True)
class Reconciliation:
    """The file's rows against its own printed figures.

    ``outcome`` is 'exact', 'explained' (what is missing lies outside the file) or 'does_not_add_up'. Each check is a
    dict of name, expected (printed), observed (from the rows), difference, where, verdict and explanation.
    """

    outcome: str
    checks: list[Check]


@dataclass(frozen=True)
class Statement:
    """One export, read.

    ``deals`` and ``equity`` have the feed's columns: money, prices and volumes are decimal strings, ``executed_at`` is
    an aware UTC instant in microseconds. ``rejects`` has line, column, value, reason. ``rows`` counts every data row of
    the file: rows = sum of ``facts['accounted']`` + rejects.
    """

    source: str
    deals: pd.DataFrame
    equity: pd.DataFrame
    rejects: pd.DataFrame
    rows: int
    facts: dict[str, Any]
    reconciliation: Reconciliation
