"""Match-Trader's Broker API: closed positions, ledgers and account state over REST, server time GMT.

A position appears when it closes, as an in and an out deal; what is open shows in equity until then. Deal ids are those
of an exported statement.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from pipelines.connect.kit.interface import AccountRef, Batch, ConnectRefused, Cursor, Limits, Record, Transient
from pipelines.connect.kit.records import (
    amount,
    broken,
    classified,
    decimal,
    equity_record,
    iso_instant,
    level,
    money_record,
    written,
)
from pipelines.connect.kit.rest import Rest, Unauthorized
from pipelines.connect.kit.settings import Settings, backoff_of
from pipelines.files import Broken
from pipelines.sources.kit.ledger import opposite, side_of, stamp
from pipelines.sources.kit.money_rows import MoneyRow
from pipelines.sources.kit.statement import RowProblem

NAME = "matchtrader"
Row = dict[str, Any]
WINDOW = dt.timedelta(days=28)
SECOND = dt.timedelta(seconds=1)
ACCOUNTS_PER_PAGE = 500
_DATA = "/v1/trading-accounts/trading-data"
_LEDGERS = ("DEPOSIT", "WITHDRAWAL", "CREDIT_IN", "CREDIT_OUT", "AGENT_COMMISSION")
_REASONS = {"SL": "sl", "STOP_LOSS": "sl", "TP": "tp", "TAKE_PROFIT": "tp", "STOPOUT": "so", "STOP_OUT": "so"}


def open_connector(settings: Settings) -> MatchTrader:
    """The connector that a connection's settings describe."""
    return MatchTrader(settings)


class MatchTrader:
    """The trading accounts that a broker's token opens."""

    name = NAME
    platform = "matchtrader"

    def __init__(self, settings: Settings) -> None:
        """Read the settings; nothing is asked yet."""
        self.url, self.token = settings.text("url"), settings.secret("token")
        # The older Broker API and the CRM API want to know the system, Broker API v2 does not.
        self._system = {"systemUuid": settings.text("system_uuid")} if "system_uuid" in settings.values else {}
        rows = int(settings.number("rows_per_page", 1_000))
        self.limits = Limits(settings.number("requests_per_second", 8), rows_per_page=rows)
        self.poll_seconds = settings.number("poll_seconds", 15)
        self.overlap = dt.timedelta(seconds=settings.number("overlap_seconds", 600))
        self._backoff = partial(backoff_of, settings)
        self._rest: Rest | None = None

    async def connect(self) -> None:
        """Make the client; the first question shows whether the token holds."""
        await self.close()
        sign_in = {"Authorization": f"Bearer {self.token.reveal()}"}
        self._rest = Rest("Match-Trader", self.url, self.limits, self._backoff, lambda: sign_in)

    async def accounts(self) -> list[AccountRef]:
        """Every trading account, page by page."""
        found: list[Row] = []
        page = 0
        while True:
            asked = self._system | {"page": page, "size": ACCOUNTS_PER_PAGE}
            answer = await self._ask("GET", "/v1/trading-accounts", params=asked)
            found += answer["content"]
            page += 1
            if page >= int(answer.get("totalPages", 1)):
                return [_account(row) for row in found]

    async def history(self, account: AccountRef, since: Cursor | None) -> AsyncIterator[Batch]:
        """Four weeks at a time, from the cursor or from the account's beginning."""
        begin = _whole(iso_instant(since["from"], "from") - self.overlap if since else account.known["created"])
        now = dt.datetime.now(dt.UTC)
        while begin < now:
            end = min(begin + WINDOW, now)
            deals, refused = await self._window(account, begin, end)
            equity = [await self._equity(account)] if end == now else []
            yield Batch(account, {"from": end.isoformat()}, deals, equity, refused)
            begin = _whole(end) if end < now else now

    async def stream(self, accounts: Sequence[AccountRef], since: Mapping[str, Cursor]) -> AsyncIterator[Batch]:
        """What has closed since, account by account, again and again: the REST side pushes nothing."""
        cursors = dict(since)
        told: dict[str, set[str]] = {}
        while True:
            for account in accounts:
                seen = told.get(account.platform_id, set())
                async for batch in self.history(account, cursors.get(account.platform_id)):
                    fresh = [deal for deal in batch.deals if deal["deal_id"] not in seen]
                    told[account.platform_id] = {deal["deal_id"] for deal in batch.deals}
                    cursors[account.platform_id] = batch.cursor
                    yield Batch(account, batch.cursor, fresh, batch.equity)
            await asyncio.sleep(self.poll_seconds)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._rest is not None:
            await self._rest.close()
            self._rest = None

    async def _ask(self, method: str, path: str, **request: Any) -> Any:
        if self._rest is None:
            raise Transient("not connected")
        try:
            return await self._rest.ask(method, path, **request)
        except Unauthorized as error:
            raise ConnectRefused(f"{error}: look at the setting token") from error

    async def _window(
        self, account: AccountRef, begin: dt.datetime, end: dt.datetime
    ) -> tuple[list[Record], list[Broken]]:
        """Closings and ledgers of a stretch of time."""
        closings = await self._listed(f"{_DATA}/closed-positions", "closedPositions", account, begin, end, {})
        ledgers = await self._listed(f"{_DATA}/ledgers", "operations", account, begin, end, {"types": list(_LEDGERS)})
        deals: list[Record] = []
        refused: list[Broken] = []
        seen: Counter[str] = Counter()
        for row in sorted(closings, key=lambda row: (str(row.get("time")), str(row.get("closingOrderID")))):
            _take(deals, refused, partial(_closing, account, row, seen))
        for row in ledgers:
            _take(deals, refused, partial(_operation, account, row))
        return deals, refused

    async def _listed(
        self, path: str, name: str, account: AccountRef, begin: dt.datetime, end: dt.datetime, more: Row
    ) -> list[Row]:
        """All rows of a stretch; a full answer may lack some, so its stretch is halved."""
        body = self._system | more | {"logins": [account.login], "limit": self.limits.rows_per_page}
        answer = await self._ask("POST", path, json=body | {"from": begin.isoformat(), "to": end.isoformat()})
        rows = _rows(answer, name)
        if len(rows) < self.limits.rows_per_page:
            return _distinct(rows)
        middle = _whole(begin + (end - begin) / 2)
        if not begin < middle < end:
            raise ConnectRefused("Match-Trader holds more rows in one second than an answer: raise rows_per_page")
        first = await self._listed(path, name, account, begin, middle, more)
        return _distinct(first + await self._listed(path, name, account, middle, end, more))

    async def _equity(self, account: AccountRef) -> Record:
        state = await self._ask("GET", f"/v1/trading-accounts/{account.login}", params=self._system)
        finance = state["financeInfo"]
        balance, equity = amount(finance["balance"], "balance"), amount(finance["equity"], "equity")
        return equity_record(account.account_id, dt.datetime.now(dt.UTC), balance, equity)


def _account(row: Row) -> AccountRef:
    currency = (row.get("financeInfo") or {}).get("currency")
    known = {"created": iso_instant(row["created"], "created")}
    return AccountRef(str(row["login"]), str(row["login"]), currency=currency, known=known)


def _rows(answer: Any, name: str) -> list[Row]:
    """The rows of an answer: by name, or grouped by login as the older API gives them."""
    groups = answer if isinstance(answer, list) else [answer]
    found: list[Row] = []
    for group in groups:
        found += group.get(name) or group.get("positions") or []
    return found


def _distinct(rows: list[Row]) -> list[Row]:
    """Rows without exact repetitions, which the border of two halves or the server brings: each counts once."""
    return list({str(sorted(row.items())): row for row in rows}.values())


def _whole(moment: dt.datetime) -> dt.datetime:
    """A moment on a whole second, so that what closed within one second is always read together."""
    return moment.replace(microsecond=0)


def _take(deals: list[Record], refused: list[Broken], read: Any) -> None:
    try:
        deals += read()
    except RowProblem as problem:
        refused.append(broken(problem))
    except (KeyError, TypeError, ValueError) as error:
        refused.append(Broken(0, None, f"{error}"[:200], "not the shape that the Broker API documents"))


def _closing(account: AccountRef, row: Row, seen: Counter[str]) -> list[Record]:
    """The in and the out deal of one closing; the profit that is given apart from its costs is gross."""
    closed_at, opened_at = iso_instant(row["time"], "time"), iso_instant(row["openTime"], "openTime")
    key = f"{row['id']}-{stamp(_whole(closed_at))}"
    seen[key] += 1
    key = key if seen[key] == 1 else f"{key}-{seen[key]}"
    side = side_of(str(row["side"]), "side")
    gross, commission, swap = _money(row)
    shared: Record = {
        "account_id": account.account_id,
        "position_id": str(row["id"]),
        "kind": "trade",
        "symbol": row["symbol"],
        "volume": written(decimal(row["volume"], "volume")),
        "stop_loss": level(row.get("stopLoss"), "stopLoss"),
        "take_profit": level(row.get("takeProfit"), "takeProfit"),
        "comment": row.get("comment") or row.get("reason") or None,
    }
    opening = {"deal_id": f"{key}-in", "entry": "in", "side": side, "executed_at": opened_at, "profit": "0"}
    closing = {"deal_id": f"{key}-out", "entry": "out", "side": opposite(side), "executed_at": closed_at}
    costs = {"commission": written(commission), "swap": written(swap)}
    reason = _REASONS.get(str(row.get("reason", "")).upper().replace(" ", "_"))
    return [
        shared | opening | {"price": written(decimal(row["openPrice"], "openPrice"))},
        shared
        | closing
        | costs
        | {"price": written(decimal(row["closePrice"], "closePrice")), "profit": written(gross), "reason": reason},
    ]


def _money(row: Row) -> tuple[Decimal, Decimal, Decimal]:
    """Gross profit, commission and swap; a commission that is given positive is turned, as the net profit tells."""
    names = ("netProfit", "profit", "commission", "swap")
    net, profit, commission, swap = (amount(row.get(name), name) for name in names)
    if row.get("profit") is not None and profit - commission + swap == net != profit + commission + swap:
        commission = -commission
    return net - commission - swap, commission, swap


def _operation(account: AccountRef, row: Row) -> list[Record]:
    """One ledger row as a money row, signed by its type."""
    kind, at = str(row["type"]), iso_instant(row["time"], "time")
    size = abs(amount(row.get("profit"), "profit"))
    deal_id, comment = f"ledger-{row['id']}", str(row.get("comment") or "")
    if kind in ("CREDIT_IN", "CREDIT_OUT"):
        value = size if kind == "CREDIT_IN" else -size
        return [
            money_record(account.account_id, deal_id, at, value, MoneyRow("credit", "credit", "ledger type"), comment)
        ]
    if kind not in _LEDGERS:
        raise RowProblem("type", kind, "not a ledger type that is known")
    value = -size if kind == "WITHDRAWAL" else size
    printed = "agent" if kind == "AGENT_COMMISSION" else "balance"
    return [classified(account.account_id, deal_id, at, value, printed, comment)]
