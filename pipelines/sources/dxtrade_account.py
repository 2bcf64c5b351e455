"""DXtrade account history, as its API gives it (JSON): executions and cash transactions, instants in UTC.

Executions carry no result, so they are priced by the contract's size. Quantities are units of the instrument, as the
API counts them, and become lots by the same size.
"""

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from pipelines.sources.kit.csv_table import Line
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.fills import Fill, land_fills, money_of
from pipelines.sources.kit.ledger import Ledger, side_of
from pipelines.sources.kit.money_rows import MoneyRow, classify, taken_out
from pipelines.sources.kit.refusals import refuse_several_accounts
from pipelines.sources.kit.statement import Ask, RowProblem, SourceRefusal, Statement
from pipelines.sources.kit.values import number, plain_number, positive
from pipelines.sources.kit.zones import server_clock
from pipelines.sources.symbols import instrument

NAME = "dxtrade-account"

_FILLED = ("FILLED", "PARTIALLY_FILLED", "COMPLETED", "")
_TYPES = {
    "COMMISSION": ("fee", "charge"),
    "FINANCING": ("fee", "financing"),
    "COST": ("fee", "charge"),
    "EX_DIVIDEND": ("fee", "dividend"),
    "REBATE": ("fee", "rebate"),
    "DEPOSIT": ("balance", "deposit"),
    "WITHDRAWAL": ("balance", "payout"),
    "ADJUSTMENT": ("balance", "correction"),
    "NEGATIVE_BALANCE_CORRECTION": ("balance", "correction"),
}


class Filled(NamedTuple):
    """How much of an order was filled, and the sum of its quantities times prices."""

    quantity: Decimal = Decimal(0)
    worth: Decimal = Decimal(0)


def recognise(document: Document) -> bool:
    """Tell the file by its fields."""
    text = document.text[:200_000]
    return document.head.lstrip().startswith("{") and ('"executionCode"' in text or '"cashTransactions"' in text)


def read(document: Document, ask: Ask) -> Statement:
    """Read executions that were filled and cash transactions; a settlement is the result of trades already priced."""
    answer = _answer(document)
    told = [row.get("account") for name in ("executions", "cashTransactions") for row in _lines(answer, name, document)]
    refuse_several_accounts(document.name, told)
    ledger = Ledger(NAME, ask, server_clock("UTC"))
    executions = _lines(answer, "executions", document)
    filled = [row for row in executions if row.get("status").upper() in _FILLED]
    before = _filled_before(filled)
    flows = _lines(answer, "cashTransactions", document)
    currency = _currency(flows, ask)
    fills = [ledger.take("executions", row.line, partial(_fill, row, before, currency)) for row in filled]
    for row in executions:
        if row.get("status").upper() not in _FILLED:
            ledger.take("other executions", row.line, partial(row.need, "executionCode"))
    for row in flows:
        ledger.take("cash transactions", row.line, partial(_cash, ledger, row, currency))
    land_fills(ledger, [fill for fill in fills if fill])
    ledger.facts |= {"login": answer.get("account") if isinstance(answer.get("account"), str) else None}
    return ledger.close(currency if fills else None)


def _answer(document: Document) -> dict[str, Any]:
    """Return the JSON object of the file."""
    answer = document.json()
    if not isinstance(answer, dict):
        raise SourceRefusal(f"{document.name} is no answer with executions or cashTransactions")
    return answer


def _lines(answer: dict[str, Any], name: str, document: Document) -> list[Line]:
    """Return a list of objects as rows of text."""
    rows = document.few(answer.get(name, []))
    if not all(isinstance(row, dict) for row in rows):
        raise SourceRefusal(f"{document.name} has {name} of another shape than a list of objects")
    return [
        Line(place, {key: "" if value is None else str(value) for key, value in row.items()})
        for place, row in enumerate(rows, start=1)
    ]


def _time(row: Line, name: str) -> datetime:
    """Return an instant with its offset as a reading of the UTC clock."""
    text = row.need(name)
    try:
        moment = datetime.fromisoformat(text[:40])
        if moment.tzinfo is None or not 1990 <= moment.year < 2100:
            raise RowProblem(name, text, "not an instant of this era with an offset")
        return moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise RowProblem(name, text, "not a time") from error


def _filled_before(rows: list[Line]) -> dict[str, Filled]:
    """Return what its order had filled before each execution, where executions tell how much that was."""
    whole = {row.get("executionCode"): row for row in rows if row.get("orderCode") and row.get("filledQuantity")}
    sizes = {code: Decimal(plain_number(row.get("filledQuantity")) or 0) for code, row in whole.items()}
    found, orders = {}, defaultdict[str, Filled](Filled)
    for code in sorted(whole, key=sizes.__getitem__):
        order, average, last = (whole[code].get(name) for name in ("orderCode", "averagePrice", "lastPrice"))
        found[code] = before = orders[order]
        worth = sizes[code] * Decimal(plain_number(average) or 0)
        if not average:
            worth = before.worth + (sizes[code] - before.quantity) * Decimal(plain_number(last) or 0)
        orders[order] = Filled(sizes[code], worth)
    return found


def _part(row: Line, before: Filled) -> tuple[Decimal, Decimal]:
    """Return an execution's own quantity and price: those of the order up to it, less those before it."""
    quantity = Decimal(positive(row.need("lastQuantity", "filledQuantity"), "lastQuantity"))
    price = Decimal(number(row.need("lastPrice", "averagePrice"), "lastPrice"))
    if row.get("lastQuantity"):
        return quantity, price
    own = quantity - before.quantity
    if own <= 0:
        raise RowProblem("filledQuantity", row.get("filledQuantity"), "no more than the order had filled before")
    if before.quantity and not row.get("lastPrice"):
        price = Decimal(f"{(price * quantity - before.worth) / own:.8f}").normalize()
    return own, price


def _fill(row: Line, before: dict[str, Filled], currency: str) -> Fill:
    """Read one execution; units become lots."""
    symbol = row.need("instrument", "symbol")
    known = instrument(symbol)
    units = (known.units if known else None) or Decimal(0)
    if known is None or not units:
        raise RowProblem("instrument", symbol, "its contract size is unknown, so its profit cannot be reckoned")
    code = row.need("executionCode")
    quantity, price = _part(row, before.get(code, Filled()))
    return Fill(
        fill_id=code,
        at=_time(row, "transactionTime"),
        side=side_of(row.need("side"), "side"),
        symbol=symbol,
        volume=quantity if known.asset_class == "future" else quantity / units,
        price=price,
        position=row.get("positionCode") or None,
    ).priced(currency)


def _currency(flows: list[Line], ask: Ask) -> str:
    """Return the account's currency: as it is known, else the one of all cash transactions, else US dollars."""
    told = {row.get("currency").upper() for row in flows} - {""}
    return told.pop() if len(told) == 1 and not ask.currency else money_of(ask)


def _cash(ledger: Ledger, row: Line, currency: str) -> None:
    """Land one cash transaction by its type."""
    kind, amount = row.need("type").upper(), number(row.need("value", "amount"), "value")
    told = row.get("currency").upper() or currency
    if told != currency:
        raise RowProblem("currency", told, f"the account is in {currency}, and the file holds no rate")
    amount = taken_out(kind, amount)
    key, at = row.need("transactionCode", "code", "id"), _time(row, "transactionTime")
    comment = " ".join(filter(None, [kind, row.get("comment", "description")]))
    if kind == "SETTLEMENT":
        return
    known = _TYPES.get(kind)
    verdict = MoneyRow(*known, f"type {kind}") if known else classify(kind, comment, amount)
    ledger.money(key, at, amount, comment, verdict)
