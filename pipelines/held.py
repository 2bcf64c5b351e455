"""What an account held where an export of single fills begins and ends: results are reckoned from a flat account."""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipelines.sources import SourceRefusal, Statement
from pipelines.sources.kit.fills import FLAT_NOTE
from sql import relations
from sql.warehouse import Warehouse

_PARTS = re.compile(r"-(in|out)$")


class Held(NamedTuple):
    """One deal as a change of what is held: signed size in a book, which is a position or else a symbol."""

    deal_id: str
    book: str
    size: Decimal
    at: dt.datetime

    @property
    def fill(self) -> str:
        """The fill that the deal is, or is a part of."""
        return _PARTS.sub("", self.deal_id)


def refuse_within_positions(warehouse: Warehouse, read: Sequence[tuple[Path, Statement]], account: str) -> None:
    """Refuses an export of fills that begins within a position that others opened, or ends within one that they closed.

    Its results, or theirs, would be reckoned from a flat account that was none.
    """
    fills = [(path, statement) for path, statement in read if statement.facts.get("profits") == FLAT_NOTE]
    if not fills:
        return
    known = _of_lake(warehouse, account)
    told = [(path, _changes(statement.deals.to_dict("records"))) for path, statement in fills]
    for path, changes in sorted((one for one in told if one[1]), key=lambda one: min(change.at for change in one[1])):
        numbers = {change.fill for change in changes}
        others = [change for change in known if change.fill not in numbers]
        _refuse(path, changes, others)
        _refuse_left_over(path, changes, [change for change in known if change.fill in numbers])
        known = others + changes


def named_as_before(deals: pd.DataFrame, known: Collection[str]) -> pd.DataFrame:
    """The deals of fills; the closing part of one that landed whole, when less was known, keeps its name."""
    ids = set(deals["deal_id"])
    whole = {f"{fill}-out": fill for fill in known if f"{fill}-out" in ids and f"{fill}-out" not in known}
    return deals.assign(deal_id=deals["deal_id"].replace(whole))


def _of_lake(warehouse: Warehouse, account: str) -> list[Held]:
    with warehouse.engine() as connection:
        relations.build(connection, "staging.deals")
        columns = ["deal_id", "position_id", "kind", "symbol", "side", "volume", "executed_at"]
        query = f"select {', '.join(columns)} from staging.deals where account_id = ? and kind = 'trade'"
        return _changes(dict(zip(columns, row, strict=True)) for row in connection.execute(query, [account]).fetchall())


def _changes(deals: Iterable[dict[Any, Any]]) -> list[Held]:
    """The deals that trade; without a position of the platform's own a symbol is one book."""
    found = []
    for deal in deals:
        if deal["kind"] == "trade" and deal["side"] and deal["volume"] is not None and deal["symbol"]:
            symbol, position = str(deal["symbol"]), str(deal["position_id"] or "")
            book = symbol if not position or position.startswith(f"{symbol}-") else position
            size = Decimal(str(deal["volume"])) * (1 if deal["side"] == "buy" else -1)
            found.append(Held(str(deal["deal_id"]), book, size, deal["executed_at"]))
    return found


def _refuse_left_over(path: Path, changes: list[Held], before: list[Held]) -> None:
    """Refuses a file in which a fill is whole that landed in two parts: one of them would stay."""
    ids = {change.deal_id for change in changes}
    ids |= {change.fill for change in changes if change.deal_id.endswith("-out")}
    left = next((change for change in before if change.deal_id not in ids), None)
    if left:
        raise SourceRefusal(
            f"{path.name} has fill {left.fill} as one deal, of which an earlier export landed {left.deal_id} as "
            "a part: that one began within a position, so land the history under another account"
        )


def _refuse(path: Path, changes: list[Held], others: list[Held]) -> None:
    """Refuses a file whose first fill of a book finds something held, or whose last leaves what others went on with."""
    books: dict[str, list[Held]] = defaultdict(list)
    for change in changes:
        books[change.book].append(change)
    for book, own in books.items():
        first, last = min(change.at for change in own), max(change.at for change in own)
        beside = [change for change in others if change.book == book]
        before = sum((change.size for change in beside if change.at <= first), Decimal(0))
        left = before + sum((change.size for change in own), Decimal(0))
        if before:
            raise SourceRefusal(
                f"{path.name} begins within a position of {book} ({before.normalize():f} held before its first "
                "fill), so its results cannot be reckoned: export from a time when the account was flat, or "
                "its whole history"
            )
        if left and any(change.at > last for change in beside):
            raise SourceRefusal(
                f"{path.name} ends within a position of {book} ({left.normalize():f} held) that another export "
                "goes on with, so their results cannot be reckoned: land one export that holds both"
            )
