"""Collects what a reader finds and closes the books on it: every data row is accounted for or rejected."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pandas as pd

from pipelines.sources.kit.checks import outcome_of
from pipelines.sources.kit.market_hours import market_hours_check
from pipelines.sources.kit.money_rows import MoneyRow
from pipelines.sources.kit.pricing import price_checks
from pipelines.sources.kit.statement import (
    DEAL_COLUMNS,
    EQUITY_COLUMNS,
    REJECT_COLUMNS,
    Ask,
    Check,
    Reconciliation,
    RowProblem,
    SourceRefusal,
    Statement,
)
from pipelines.sources.kit.values import total
from pipelines.sources.kit.zones import ServerClock
from pipelines.sources.symbols import canonical

# A spreadsheet keeps fifteen digits of a number and shows a long one as 3.32215E+11.
_SHORTENED = re.compile(r"\d(\.\d+)?E\+\d")
_ROUNDED = re.compile(r"\d{15}0+[01]?")
_SPREADSHEET_DIGITS = 15
_LOST_DIGITS_MIN = 6
_YEAR_LAST = re.compile(r"(\d{1,2})[/.\-](\d{1,2})[/.\-]\d{2,4}\b")

Deal = dict[str, Any]
Answer = TypeVar("Answer")


class Ledger:
    """The deals, rejects and facts of one file while it is being read."""

    def __init__(self, source: str, ask: Ask, clock: ServerClock) -> None:
        """Start an empty ledger for one account on one clock."""
        self.source, self.ask, self.clock = source, ask, clock
        self.volumes_are_exact = True
        self.repeated_rows = 0
        self.deals: list[Deal] = []
        self.rejects: list[dict[str, Any]] = []
        self.accounted: Counter[str] = Counter()
        self.facts: dict[str, Any] = {}
        self.checks: list[Check] = []
        self.money_rows: list[dict[str, str]] = []
        self.equity: list[tuple[datetime, str, str]] = []

    def take(self, what: str, line: int, read: Callable[[], Answer]) -> Answer | None:
        """Read one data row and count it as accounted, or reject it with the cell that could not be read."""
        try:
            answer = read()
        except RowProblem as problem:
            self.reject(line, problem)
            return None
        self.accounted[what] += 1
        return answer

    def reject(self, line: int, problem: RowProblem) -> None:
        """Keep a row that cannot be read, with its reason."""
        self.rejects.append(
            {"line": line, "column": problem.column, "value": problem.value, "reason": problem.reason},
        )

    def trade(self, deal_id: str, at: datetime, **values: Any) -> Deal:
        """Add a trade deal executed at a clock reading."""
        deal: Deal = {"deal_id": deal_id, "executed_at": at, "kind": "trade", **values}
        self.deals.append(deal)
        return deal

    def money(self, deal_id: str, at: datetime, amount: str, comment: str, row: MoneyRow) -> None:
        """Add a money row and keep the rule that decided what it is."""
        said = (
            f"{comment} (correction)" if row.label == "correction" and "correction" not in comment.lower() else comment
        )
        self.deals.append(
            {"deal_id": deal_id, "executed_at": at, "kind": row.kind, "profit": amount, "comment": said or None}
        )
        self.money_rows.append(
            {"deal_id": deal_id, "class": row.label, "rule": row.rule, "amount": amount, "comment": comment}
        )

    def close(self, currency: str | None) -> Statement:
        """Return the finished statement; two currencies for one account are refused."""
        currency = currency.upper() if currency else None
        if currency and self.ask.currency and currency != self.ask.currency.upper():
            raise SourceRefusal(
                f"the file is in {currency} and account {self.ask.account_id} is in {self.ask.currency}: "
                "land it under the account it belongs to"
            )
        self._refuse_rounded_ids()
        self._refuse_half_turned_dates()
        deals = self._frame()
        if self.volumes_are_exact:
            self.checks += price_checks(self.deals)
        self.checks.append(market_hours_check(self.deals, self.clock))
        self._finish_facts(currency, deals)
        rejects = pd.DataFrame(self.rejects, columns=REJECT_COLUMNS)
        rows = sum(self.accounted.values()) + len(rejects)
        reconciliation = Reconciliation(outcome_of(self.checks), self.checks)
        return Statement(self.source, deals, self._equity_frame(), rejects, rows, self.facts, reconciliation)

    def _refuse_rounded_ids(self) -> None:
        """Refuse a file in which a spreadsheet has rounded the numbers of deals: several may have become one.

        Numbers that are times in whole seconds end in zeros too, and have one in the last of a spreadsheet's digits.
        """
        ids = {str(deal.get(name)) for deal in self.deals for name in ("deal_id", "position_id")}
        long = [name for name in ids if len(name) > _SPREADSHEET_DIGITS]
        is_rounded = all(map(_ROUNDED.fullmatch, long)) and any(name[_SPREADSHEET_DIGITS - 1] != "0" for name in long)
        lost = {name[:_SPREADSHEET_DIGITS]: len(name.rstrip("1")) - _SPREADSHEET_DIGITS for name in sorted(long)[::-1]}
        has_lost = is_rounded and sum(lost.values()) >= _LOST_DIGITS_MIN
        rounded = [name for name in ids if _SHORTENED.match(name)] + (long if has_lost else [])
        if rounded:
            raise SourceRefusal(
                f"a spreadsheet has rounded the numbers of deals or positions ({min(rounded)}): export the file again "
                "and do not save it with a spreadsheet"
            )

    def _refuse_half_turned_dates(self) -> None:
        """Refuse a file of which a spreadsheet read some dates and left others, with days behind 12, as text.

        What it read has day and month in its own order, not in the platform's.
        """
        left = next((row for row in self.rejects if _is_left_as_text(row["value"])), None)
        if left and self.deals and all(deal["executed_at"].day <= 12 for deal in self.deals):
            raise SourceRefusal(
                f"line {left['line']} has {left['value']!r} and no date that could be read has a day behind the 12th: "
                "a spreadsheet has taken days for months: export it again and do not open it in between"
            )

    def _frame(self) -> pd.DataFrame:
        """Return the deals with the feed's columns, in time order, every id once."""
        records = self._unique()
        table = [[record.get(column) for column in DEAL_COLUMNS] for record in records]
        frame = pd.DataFrame(table, columns=DEAL_COLUMNS, dtype=object)
        frame["account_id"] = self.ask.account_id
        frame["executed_at"] = self.clock.instants([record["executed_at"] for record in records])
        return frame.sort_values("executed_at", kind="stable", ignore_index=True)

    def _unique(self) -> list[Deal]:
        """Return the deals without exact repetitions; one id with two contents is refused."""
        seen: dict[str, Deal] = {}
        for deal in self.deals:
            known = seen.setdefault(deal["deal_id"], deal)
            if known != deal:
                raise SourceRefusal(
                    f"the file holds two different rows with the id {deal['deal_id']} "
                    f"({known['executed_at']} and {deal['executed_at']}): export it again from the platform"
                )
        self.facts["repeated_rows"] = self.repeated_rows + len(self.deals) - len(seen)
        return list(seen.values())

    def _equity_frame(self) -> pd.DataFrame:
        """Return what the file itself says of equity at a known instant."""
        frame = pd.DataFrame(
            [(self.ask.account_id, None, balance, equity) for _, balance, equity in self.equity],
            columns=EQUITY_COLUMNS,
        )
        frame["observed_at"] = self.clock.instants([at for at, _, _ in self.equity])
        return frame

    def _finish_facts(self, currency: str | None, deals: pd.DataFrame) -> None:
        """Write down what holds for every format: period, clock, currency, counts, symbols and money rows."""
        readings = [deal["executed_at"] for deal in self.deals]
        self.facts |= {
            "currency": currency or self.ask.currency,
            "period": (min(readings).isoformat(sep=" "), max(readings).isoformat(sep=" ")) if readings else None,
            "zone": self.clock.name,
            "timezone": self.clock.note,
            "uncertain_times": self.clock.uncertain(readings),
            "accounted": dict(self.accounted),
            "money_rows": self.money_rows,
            "unknown_symbols": unknown_symbols(deals["symbol"].dropna().unique()),
            "wrong_zone_suspicion": any(check["verdict"] == "suspect" for check in self.checks),
        }
        if not self.deals:
            is_empty = not (self.rejects or self.accounted)
            self.facts["warning"] = (
                "the file holds no deals: an empty period" if is_empty else "no deal of the file landed"
            )


def unknown_symbols(symbols: Iterable[str]) -> list[str]:
    """Return the symbols that the reference table does not know, in order."""
    return sorted(symbol for symbol in symbols if canonical(symbol) is None)


def _is_left_as_text(cell: str) -> bool:
    """Tell a date with the year last whose day is no month, so that a spreadsheet could not turn it."""
    match = _YEAR_LAST.match(cell)
    return match is not None and max(int(match[1]), int(match[2])) > 12


class Keys:
    """Ids of rows that a format does not number: rows that say the same are one, others get '-2', '-3' behind."""

    def __init__(self) -> None:
        """Start with no row seen."""
        self._rows: dict[str, list[dict[str, str]]] = {}

    def of(self, key: str, cells: dict[str, str]) -> str:
        """Return the id of a row with this key."""
        known = self._rows.setdefault(key, [])
        if cells not in known:
            known.append(cells)
        place = known.index(cells) + 1
        return key if place == 1 else f"{key}-{place}"


def less(text: str, *costs: str | None) -> str:
    """Return a net amount without the costs contained in it, as plain decimal text."""
    return f"{Decimal(text) - sum((Decimal(cost) for cost in costs if cost), Decimal(0)):f}"


@dataclass(frozen=True)
class RoundTrip:
    """One closing of a position, where a format prints opening and closing in one row.

    ``side`` is the position's; prices, volume and money are decimal texts, money as signed in our deals (a cost is
    negative). The deal ids are ``in_id`` and ``out_id``. ``lasted`` is how long the format says that it was open.
    """

    in_id: str
    out_id: str
    position_id: str
    side: str
    symbol: str
    volume: str
    opened_at: datetime
    open_price: str
    closed_at: datetime
    close_price: str
    profit: str
    commission: str | None = None
    swap: str | None = None
    fee: str | None = None
    stop_loss: str | None = None
    take_profit: str | None = None
    reason: str | None = None
    comment: str | None = None
    lasted: timedelta | None = None

    @property
    def net(self) -> Decimal:
        """Profit with its costs."""
        return total([self.profit, self.commission, self.swap, self.fee])

    def land(self, ledger: Ledger) -> "RoundTrip":
        """Add the in and the out deal; all money sits on the closing one."""
        opened_at, closed_at = ledger.clock.apart(self.opened_at, self.closed_at, self.lasted)
        if closed_at is None:
            raise RowProblem("Close time", self.closed_at.isoformat(sep=" "), "before the opening")
        shared: Deal = {
            "position_id": self.position_id,
            "symbol": self.symbol,
            "volume": self.volume,
            "stop_loss": self.stop_loss,
            "take_profit": self.take_profit,
            "comment": self.comment,
        }
        opening = {"entry": "in", "side": self.side, "price": self.open_price, "profit": "0"}
        closing = {"entry": "out", "side": opposite(self.side), "price": self.close_price, "profit": self.profit}
        costs = {"commission": self.commission, "swap": self.swap, "fee": self.fee, "reason": self.reason}
        ledger.trade(self.in_id, opened_at, **shared, **opening)
        ledger.trade(self.out_id, closed_at, **shared, **closing, **costs)
        return self


def opposite(side: str) -> str:
    """Return the other side."""
    return "sell" if side == "buy" else "buy"


def side_of(text: str, column: str) -> str:
    """Return buy or sell for the words platforms use, or raise RowProblem."""
    word = re.sub("[ _]", "", text).lower()
    if word in ("buy", "long", "b", "bot", "buytoopen", "buytoclose", "buytocover"):
        return "buy"
    if word in ("sell", "short", "s", "sld", "selltoopen", "selltoclose", "sellshort"):
        return "sell"
    raise RowProblem(column, text, "neither buy nor sell")


def stamp(moment: datetime) -> str:
    """Return a clock reading as digits, for ids of deals that a format does not number."""
    return f"{moment:%Y%m%d%H%M%S}{moment.microsecond // 1000:03d}"
