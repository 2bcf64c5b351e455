"""The chain of balances: every change begins where the last one ended, or something between them was not delivered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from pipelines.connect.kit.records import written


class Change(NamedTuple):
    """One change of a balance: its place in the platform's count of changes, the balance after it, and its amount."""

    version: int
    after: Decimal
    amount: Decimal


@dataclass
class BalanceChain:
    """The last change that was seen. A new account begins at version 0 with nothing."""

    version: int = 0
    balance: Decimal = Decimal(0)

    def follow(self, changes: Iterable[Change]) -> list[str]:
        """Take further changes, in any order; returns what does not connect. Changes seen before are passed over."""
        breaks = []
        for change in sorted(changes):
            if change.version <= self.version:
                continue
            before = change.after - change.amount
            if before != self.balance:
                breaks.append(
                    f"balance {written(self.balance)} after change {self.version}, "
                    f"{written(before)} before change {change.version}"
                )
            self.version, self.balance = change.version, change.after
        return breaks

    def connects(self, changes: Iterable[Change]) -> bool:
        """Tell whether changes would connect, without taking them."""
        return not BalanceChain(self.version, self.balance).follow(changes)
