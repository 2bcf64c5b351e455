"""cTrader deals, cash flows and bonuses as deals of the feed, and the balance changes they make.

Commission is taken from the closing: cTrader books it there, the opening's share included, so that the balance after
each deal is the one that the platform prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from pipelines.connect.kit.chain import Change
from pipelines.connect.kit.interface import AccountRef, Record
from pipelines.connect.kit.records import ZERO, amount, decimal, equity_record, instant, level, money_record, written
from pipelines.sources.kit.money_rows import MoneyRow
from pipelines.sources.kit.statement import RowProblem

Payload = Mapping[str, Any]

# Enums come as numbers or as their names.
_SIDES = {1: "buy", 2: "sell", "BUY": "buy", "SELL": "sell"}
_DONE = {2, 3, "FILLED", "PARTIALLY_FILLED"}
_PROTECTION = {4, "STOP_LOSS_TAKE_PROFIT"}
_EXECUTED = {3, 11, "ORDER_FILLED", "ORDER_PARTIAL_FILL"}
_WITHDRAWALS = {1, 4, 6, 10, 12, 13, 14, 16, 17, 18, 20, 22, 28, 30, 32, 34, 35, 37}
_DEPOSITS = {0, 3, 5, 7, 8, 9, 11, 15, 19, 21, 27, 29, 31, 33, 36, 38, 39}
_COSTS = {3, 4, 9, 10, 11, 12, 15, 16, 17, 18, 21, 22, 27, 28, 29, 34, 35}
_NAMED = {36: "transfer", 37: "transfer", 39: "negative balance protection (correction)"}
_OPERATIONS = {
    "BALANCE_DEPOSIT": 0,
    "BALANCE_WITHDRAW": 1,
    "BALANCE_DEPOSIT_DIVIDENDS": 15,
    "BALANCE_WITHDRAW_DIVIDENDS": 16,
    "BALANCE_WITHDRAW_ROLLOVER": 18,
    "BALANCE_DEPOSIT_SWAP": 21,
    "BALANCE_WITHDRAW_SWAP": 22,
    "BALANCE_WITHDRAW_INACTIVITY_FEE": 35,
    "BALANCE_DEPOSIT_TRANSFER": 36,
    "BALANCE_WITHDRAW_TRANSFER": 37,
    "BALANCE_DEPOSIT_NEGATIVE_BALANCE_PROTECTION": 39,
}


class Symbol(NamedTuple):
    """A symbol of one server: its name, and units of one lot in cents of a unit; None where it no longer says."""

    name: str
    lot_size: int | None


class Entry(NamedTuple):
    """One event: its deal, when it happened (ms), the balance change it made, and what it says of equity."""

    deal: Record
    at: int
    change: Change | None = None
    equity: Record | None = None


def is_executed(event: Payload) -> bool:
    """Tell the execution events that bring a deal."""
    return event.get("executionType") in _EXECUTED and bool(event.get("deal"))


def is_done(deal: Payload) -> bool:
    """Tell deals that were filled, wholly or in part, from those that were refused."""
    return deal.get("dealStatus") in _DONE


def trade_entry(account: AccountRef, deal: Payload, order: Payload | None, symbols: Mapping[int, Symbol]) -> Entry:
    """A filled deal; RowProblem where a symbol or its lot is unknown."""
    at, closing = instant(deal.get("executionTimestamp"), "executionTimestamp"), deal.get("closePositionDetail")
    symbol, volume = _volume(deal, symbols)
    record: Record = {
        "account_id": account.account_id,
        "deal_id": str(deal["dealId"]),
        "position_id": str(deal["positionId"]),
        "kind": "trade",
        "entry": _entry(deal, closing),
        "side": _side(deal.get("tradeSide")),
        "symbol": symbol,
        "volume": volume,
        "price": written(decimal(deal.get("executionPrice"), "executionPrice")),
        "executed_at": at,
        "profit": "0",
    }
    change = _close(record, closing) if closing else None
    return Entry(record | _of_order(order, record), int(deal["executionTimestamp"]), change)


def _entry(deal: Payload, closing: Payload | None) -> str:
    """In, out, or both where a netted position turns round."""
    if not closing:
        return "in"
    closed = int(closing.get("closedVolume") or deal["filledVolume"])
    return "inout" if closed < int(deal["filledVolume"]) else "out"


def _side(value: Any) -> str:
    if value not in _SIDES:
        raise RowProblem("tradeSide", str(value), "neither BUY nor SELL")
    return _SIDES[value]


def _volume(deal: Payload, symbols: Mapping[int, Symbol]) -> tuple[str, str]:
    """The symbol's name and the lots: volume and lot size both count cents of a unit."""
    symbol = symbols.get(int(deal["symbolId"]))
    if symbol is None:
        raise RowProblem("symbolId", str(deal["symbolId"]), "not among the server's symbols")
    if not symbol.lot_size:
        raise RowProblem("symbolId", symbol.name, "the server tells no lot size for it, so its lots are unknown")
    return symbol.name, _lots(int(deal["filledVolume"]), symbol.lot_size)


@lru_cache(maxsize=16384)
def _lots(volume: int, lot_size: int) -> str:
    """Lots for a volume in cents of a unit."""
    return written(round(Decimal(volume) / lot_size, 8))


def _close(record: Record, closing: Payload) -> Change | None:
    """Write a closing's money into its deal; returns the balance change it made."""
    digits = int(closing.get("moneyDigits", 2))
    money = {name: amount(closing.get(name), name, digits) for name in ("grossProfit", "swap", "commission")}
    fee = -abs(amount(closing.get("pnlConversionFee"), "pnlConversionFee", digits))
    record |= {"profit": written(money["grossProfit"]), "swap": written(money["swap"])}
    record |= {"commission": written(money["commission"]), "fee": written(fee)}
    if closing.get("balanceVersion") is None:
        return None
    after = amount(closing["balance"], "balance", digits)
    return Change(int(closing["balanceVersion"]), after, sum(money.values(), fee))


def _of_order(order: Payload | None, record: Record) -> Record:
    """What the order adds to its deal: protection, label, comment, and why it closed."""
    if not order:
        return {}
    terms = order.get("tradeData", {})
    return {
        "stop_loss": level(order.get("stopLoss"), "stopLoss"),
        "take_profit": level(order.get("takeProfit"), "takeProfit"),
        "magic": terms.get("label") or None,
        "comment": terms.get("comment") or None,
        "reason": _reason(order, record),
    }


def _reason(order: Payload, record: Record) -> str | None:
    """Stop-out, stop loss or take profit, None where the order does not tell who placed it."""
    if order.get("isStopOut"):
        return "so"
    if order.get("orderType") not in _PROTECTION:
        return None
    stop, limit = bool(order.get("stopPrice")), bool(order.get("limitPrice"))
    if stop != limit:
        return "sl" if stop else "tp"
    return "tp" if Decimal(record["profit"]) > 0 else "sl"


def cash_entry(account: AccountRef, flow: Payload) -> Entry:
    """A deposit, withdrawal or charge; its amount is signed by its type, whatever sign it came with."""
    kind, digits = _operation(flow.get("operationType")), int(flow.get("moneyDigits", 2))
    size = abs(amount(flow.get("delta"), "delta", digits))
    value = -size if kind in _WITHDRAWALS else size
    at = instant(flow.get("changeBalanceTimestamp"), "changeBalanceTimestamp")
    comment = " ".join(part for part in (_NAMED.get(kind), flow.get("externalNote")) if part)
    row = MoneyRow("fee" if kind in _COSTS else "balance", f"operation {kind}", "operationType")
    record = money_record(account.account_id, f"cash-{flow['balanceHistoryId']}", at, value, row, comment)
    balance = amount(flow.get("balance"), "balance", digits)
    change = None if flow.get("balanceVersion") is None else Change(int(flow["balanceVersion"]), balance, value)
    told = flow.get("equity")
    equity = None if told is None else equity_record(account.account_id, at, balance, amount(told, "equity", digits))
    return Entry(record, int(flow["changeBalanceTimestamp"]), change, equity)


def _operation(value: Any) -> int:
    """The number of an operation type."""
    number = _OPERATIONS.get(value, -1) if isinstance(value, str) else int(value if value is not None else -1)
    if number not in _WITHDRAWALS | _DEPOSITS:
        raise RowProblem("operationType", str(value), "not a balance operation that is known")
    return number


def bonus_entry(account: AccountRef, bonus: Payload) -> Entry:
    """A bonus given or taken back: credit, which moves no balance."""
    digits = int(bonus.get("moneyDigits", 2))
    size = sum((abs(amount(bonus.get(name), name, digits)) for name in ("managerDelta", "ibDelta")), ZERO)
    value = -size if bonus.get("operationType") in (1, "BONUS_WITHDRAW") else size
    at = instant(bonus.get("changeBonusTimestamp"), "changeBonusTimestamp")
    row = MoneyRow("credit", "credit", "bonus event")
    note = str(bonus.get("externalNote") or "")
    record = money_record(account.account_id, f"bonus-{bonus['bonusHistoryId']}", at, value, row, note)
    return Entry(record, int(bonus["changeBonusTimestamp"]))
