"""Records of the feed from what platforms send: amounts, times, costs, money rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Any

from pipelines.connect.kit.interface import Record
from pipelines.files import Broken
from pipelines.sources.kit.money_rows import MoneyRow, classify
from pipelines.sources.kit.statement import RowProblem

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)
ZERO = Decimal(0)


def instant(milliseconds: Any, column: str) -> dt.datetime:
    """An aware instant for Unix milliseconds in UTC."""
    try:
        return EPOCH + int(milliseconds) * MILLISECOND
    except (TypeError, ValueError, OverflowError) as error:
        raise RowProblem(column, str(milliseconds), "not milliseconds since 1970") from error


def milliseconds(moment: dt.datetime) -> int:
    """Unix milliseconds of an aware instant, rounded down."""
    return (moment - EPOCH) // MILLISECOND


def iso_instant(text: Any, column: str) -> dt.datetime:
    """An aware instant for an ISO 8601 time; without an offset it is UTC, as the platform documents."""
    try:
        moment = dt.datetime.fromisoformat(str(text))
    except ValueError as error:
        raise RowProblem(column, str(text), "not an ISO 8601 time") from error
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def decimal(value: Any, column: str) -> Decimal:
    """An exact number for what a JSON field held; a binary float as its shortest decimal."""
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise RowProblem(column, str(value), "not a number") from error
    if not number.is_finite():
        raise RowProblem(column, str(value), "not a finite number")
    return number


def amount(value: Any, column: str, digits: int = 0) -> Decimal:
    """An exact amount; integers are shifted by ``digits`` decimal places; nothing is zero."""
    return ZERO if value is None or value == "" else decimal(value, column).scaleb(-digits)


def written(number: Decimal) -> str:
    """Plain decimal text without an exponent and without trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def level(value: Any, column: str) -> str | None:
    """A stop-loss or take-profit price; zero and nothing mean none."""
    price = amount(value, column)
    return written(price) if price else None


def money_record(account_id: str, deal_id: str, at: dt.datetime, value: Decimal, row: MoneyRow, comment: str) -> Record:
    """A money row as a deal; a correction says so in its comment, so that it is taken for no payout."""
    said = f"{comment} (correction)".strip()
    keeps = row.label != "correction" or "correction" in comment.lower()
    return {
        "account_id": account_id,
        "deal_id": deal_id,
        "kind": row.kind,
        "executed_at": at,
        "profit": written(value),
        "comment": (comment or None) if keeps else said,
    }


def classified(
    account_id: str, deal_id: str, at: dt.datetime, value: Decimal, printed_type: str, comment: str
) -> Record:
    """A money row as a deal of the kind that its type, its comment or its sign tells."""
    return money_record(account_id, deal_id, at, value, classify(printed_type, comment, written(value)), comment)


def equity_record(account_id: str, at: dt.datetime, balance: Decimal, equity: Decimal) -> Record:
    """One observation of balance and equity."""
    return {"account_id": account_id, "observed_at": at, "balance": written(balance), "equity": written(equity)}


def broken(problem: RowProblem) -> Broken:
    """A platform record that cannot be read, as a reject; its line is given where it lands."""
    return Broken(0, problem.column, problem.value, problem.reason)
