"""Tradovate's Performance and Position History CSV: each row pairs a buy fill with a sell fill; no costs, no zone."""

import re
from datetime import timedelta
from decimal import Decimal
from functools import partial

from pipelines.sources.kit.checks import compare, remark
from pipelines.sources.kit.csv_table import Line, has_columns
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.ledger import Keys, Ledger, RoundTrip
from pipelines.sources.kit.statement import Ask, Check, RowProblem, Statement
from pipelines.sources.kit.values import clock_by, dollars, positive, tick_price
from pipelines.sources.kit.zones import needed_clock
from pipelines.sources.symbols import instrument
from pipelines.sources.tradovate_fills import only_account

NAME = "tradovate-performance"

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1), "sec": timedelta(seconds=1)}
_PART = re.compile(r"(\d{1,6}) ?(d|h|min|sec)\b")
_DURATION = re.compile(rf"({_PART.pattern}\s*)+")
_FILLS = (("buyFillId", "Buy Fill ID"), ("sellFillId", "Sell Fill ID"))
_TIMES = ("%m/%d/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y %I:%M:%S %p")


def recognise(document: Document) -> bool:
    """Tell the file by its columns."""
    line = document.first_line
    return has_columns(line, "buyFillId", "sellFillId", "pnl", "boughtTimestamp", "soldTimestamp") or has_columns(
        line, "Buy Fill ID", "Sell Fill ID", "Paired Qty", "Bought Timestamp", "Sold Timestamp"
    )


def read(document: Document, ask: Ask) -> Statement:
    """Read pairs: each becomes an in and an out deal; what was sold before it was bought is a short.

    The position is the fill that opened it, so the pairs of one fill stay together. Needs the zone of the browser that
    exported the file. Profit is gross: the file knows no commissions.
    """
    ledger = Ledger(NAME, ask, needed_clock(ask.server_zone, NAME))
    seen = Keys()
    rows = [row for row in document.table() if any(row.get(*names) for names in _FILLS)]
    only_account(rows, document.name)
    pairs = [ledger.take("pairs", row.line, partial(_pair, ledger, row, seen)) for row in rows]
    ledger.checks += _profit_checks([pair for pair in pairs if pair])
    account = next((row.get("Account") for row in rows if row.get("Account")), None)
    ledger.facts |= {"login": account, "commissions": "not in this export"}
    return ledger.close(next((row.get("Currency") for row in rows if row.get("Currency")), None))


def _pair(ledger: Ledger, row: Line, seen: Keys) -> RoundTrip:
    """Land one pair of fills."""
    bought = clock_by(row.need("boughtTimestamp", "Bought Timestamp"), "boughtTimestamp", *_TIMES)
    sold = clock_by(row.need("soldTimestamp", "Sold Timestamp"), "soldTimestamp", *_TIMES)
    buy, sell = _fill(row, "buyFillId", "Buy Fill ID"), _fill(row, "sellFillId", "Sell Fill ID")
    lasted = _lasted(row, abs(sold - bought))
    is_told_by_numbers = sold == bought or (ledger.clock.is_repeated(sold) and ledger.clock.is_repeated(bought))
    is_short = _is_earlier(sell, buy) if is_told_by_numbers else sold < bought
    first, last = (sell, buy) if is_short else (buy, sell)
    key = f"{first}-{last}"
    key = seen.of(key, row.cells)
    prices = (
        tick_price(row.need("buyPrice", "Buy Price"), "buyPrice"),
        tick_price(row.need("sellPrice", "Sell Price"), "sellPrice"),
    )
    return RoundTrip(
        in_id=f"{key}-in",
        out_id=f"{key}-out",
        position_id=first,
        side="sell" if is_short else "buy",
        symbol=row.need("symbol", "Contract"),
        volume=positive(row.need("qty", "Paired Qty"), "qty"),
        opened_at=sold if is_short else bought,
        open_price=prices[1] if is_short else prices[0],
        closed_at=bought if is_short else sold,
        close_price=prices[0] if is_short else prices[1],
        profit=dollars(row.need("pnl", "P/L"), "pnl"),
        lasted=lasted,
    ).land(ledger)


def _is_earlier(fill: str, other: str) -> bool:
    """Tell which of two fills came first where times do not tell: fills are numbered in order."""
    return fill.isdigit() and other.isdigit() and int(fill) < int(other)


def _lasted(row: Line, apart: timedelta) -> timedelta | None:
    """Return the printed duration, or refuse times that are not as far apart; a clock change may make an hour of it."""
    printed = row.get("duration")
    if not _DURATION.fullmatch(printed):
        return None
    told = sum((int(count) * _UNITS[unit] for count, unit in _PART.findall(printed)), timedelta())
    if abs(told - apart) > timedelta(hours=1, seconds=1):
        raise RowProblem("duration", printed, f"the times are {apart} apart: are day and month in another order?")
    return told


def _fill(row: Line, column: str, other: str) -> str:
    """Return a fill's number."""
    text = row.need(column, other)
    if not re.fullmatch(r"[A-Za-z0-9]{1,40}", text):
        raise RowProblem(column, text, "not a fill id")
    return text


def _profit_checks(pairs: list[RoundTrip]) -> list[Check]:
    """Reckon each pair's result by the contract's point value, where the contract is known."""
    known = [(pair, found) for pair in pairs if (found := instrument(pair.symbol)) and found.asset_class == "future"]
    wrong = [check for pair, found in known if (check := _profit_check(pair, found.units or Decimal(0)))]
    return wrong[:20] or [remark("pnl", "exact" if known else "not_printed", f"{len(known)} of {len(pairs)} pairs", "")]


def _profit_check(pair: RoundTrip, point_value: Decimal) -> Check | None:
    """Return the difference between a printed result and the reckoned one, None when they agree to the cent."""
    points = Decimal(pair.close_price) - Decimal(pair.open_price)
    worth = points * point_value * Decimal(pair.volume) * (1 if pair.side == "buy" else -1)
    if abs(worth - Decimal(pair.profit)) <= Decimal("0.01"):
        return None
    where = f"pair {pair.in_id.removesuffix('-in')}, pnl"
    return compare("pnl", Decimal(pair.profit), worth.quantize(Decimal("0.01")), where)
