"""TradeLocker's public API: filled orders and account state over REST, for the accounts of one sign-in.

The API tells executions without profit or costs: profits are reckoned first in, first out, from the contract's size,
so an account is always read from its beginning; what differs from its balance is reported.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from pipelines.connect.kit.interface import (
    AccountRef,
    Batch,
    ConnectRefused,
    Cursor,
    Finding,
    Limits,
    Record,
    Transient,
)
from pipelines.connect.kit.records import amount, decimal, equity_record, instant, milliseconds, written
from pipelines.connect.kit.rest import Rest, Unauthorized
from pipelines.connect.kit.settings import Settings, backoff_of
from pipelines.files import Broken
from pipelines.sources.kit.fills import Fill, land_fills
from pipelines.sources.kit.ledger import Ledger, side_of
from pipelines.sources.kit.statement import Ask, RowProblem
from pipelines.sources.kit.zones import server_clock

NAME = "tradelocker"
Row = dict[str, Any]
_FILLED = "filled"


def open_connector(settings: Settings) -> TradeLocker:
    """The connector that a connection's settings describe."""
    return TradeLocker(settings)


class TradeLocker:
    """The accounts of one sign-in."""

    name = NAME
    platform = "tradelocker"

    def __init__(self, settings: Settings) -> None:
        """Read the settings; nothing is asked yet."""
        self.url, self.settings = settings.text("url"), settings
        self.email, self.server = settings.text("email"), settings.text("server")
        self.password = settings.secret("password")
        self.limits = Limits(settings.number("requests_per_second", 2))
        self.poll_seconds = settings.number("poll_seconds", 15)
        self.begin = settings.number("history_from_ms", 0)
        self._backoff = partial(backoff_of, settings)
        self._rest: Rest | None = None
        self._access = self._refresh = ""
        self._columns: dict[str, list[str]] = {}
        self._names: dict[str, dict[str, str]] = {}

    async def connect(self) -> None:
        """Sign in."""
        await self.close()
        self._rest = Rest("TradeLocker", self.url, self.limits, self._backoff)
        sign_in = {"email": self.email, "password": self.password.reveal(), "server": self.server}
        try:
            self._take(await self._rest.ask("POST", "/auth/jwt/token", json=sign_in))
        except Unauthorized as error:
            raise ConnectRefused(f"{error}: look at the settings email, password and server") from error

    async def accounts(self) -> list[AccountRef]:
        """Every account of the sign-in; its number goes with each request."""
        found = (await self._ask("/auth/jwt/all-accounts"))["accounts"]
        return [
            AccountRef(str(row["id"]), str(row["id"]), "", None, row.get("currency"), {"num": row["accNum"]})
            for row in found
        ]

    async def history(self, account: AccountRef, since: Cursor | None) -> AsyncIterator[Batch]:
        """The account from its beginning, with its state now."""
        yield await self._reading(account)

    async def stream(self, accounts: Sequence[AccountRef], since: Mapping[str, Cursor]) -> AsyncIterator[Batch]:
        """The accounts again and again; an account is read whole only when its filled orders have changed."""
        known = dict(since)
        while True:
            for account in accounts:
                batch = await self._reading(account)
                same = batch.cursor == known.get(account.platform_id)
                known[account.platform_id] = batch.cursor
                deals = [] if same else batch.deals
                yield Batch(account, batch.cursor, deals, batch.equity, [] if same else batch.refused, batch.findings)
            await asyncio.sleep(self.poll_seconds)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._rest is not None:
            await self._rest.close()
            self._rest = None

    def _take(self, pair: Row) -> None:
        self._access = self.settings.keep(str(pair["accessToken"])).reveal()
        self._refresh = self.settings.keep(str(pair["refreshToken"])).reveal()

    async def _ask(self, path: str, account: AccountRef | None = None, **asked: Any) -> Any:
        """An answer, asked for again with a fresh token when the old one has run out."""
        if self._rest is None:
            raise Transient("not connected")
        for last in (False, True):
            headers = {"Authorization": f"Bearer {self._access}"}
            headers |= {"accNum": str(account.known["num"])} if account else {}
            try:
                return await self._rest.ask("GET", path, params=asked, headers=headers)
            except Unauthorized as error:
                if last:
                    raise Transient("TradeLocker does not accept a fresh token") from error
                await self._renew()
        raise AssertionError("unreachable")

    async def _renew(self) -> None:
        assert self._rest is not None
        try:
            self._take(await self._rest.ask("POST", "/auth/jwt/refresh", json={"refreshToken": self._refresh}))
        except Unauthorized as error:
            raise Transient("TradeLocker wants a new sign-in") from error

    async def _of(self, account: AccountRef, what: str, config: str, **asked: Any) -> tuple[Any, list[str]]:
        """An answer about an account, with the names of its columns."""
        if not self._columns:
            told = (await self._ask("/trade/config", account))["d"]
            self._columns = {
                name: [column["id"] for column in part["columns"]]
                for name, part in told.items()
                if isinstance(part, dict) and "columns" in part
            }
        answer = await self._ask(f"/trade/accounts/{account.platform_id}/{what}", account, **asked)
        return answer["d"], self._columns[config]

    async def _reading(self, account: AccountRef) -> Batch:
        orders = await self._orders(account)
        names = await self._instruments(account)
        ledger = Ledger(NAME, Ask(account.account_id), server_clock("UTC"))
        currency = (account.currency or "USD").upper()
        fills = [
            ledger.take("orders", place, partial(_fill, row, names, currency))
            for place, row in enumerate(orders, start=1)
        ]
        land_fills(ledger, [fill for fill in fills if fill])
        statement = ledger.close(account.currency)
        state, columns = await self._of(account, "state", "accountDetailsConfig")
        told = dict(zip(columns, state["accountDetailsData"], strict=False))
        balance = amount(told["balance"], "balance")
        equity = balance + amount(told.get("openNetPnL"), "openNetPnL")
        seen = equity_record(account.account_id, dt.datetime.now(dt.UTC), balance, equity)
        refused = [
            Broken(0, row["column"], row["value"], row["reason"]) for row in statement.rejects.to_dict("records")
        ]
        newest = max((int(row["lastModified"]) for row in orders), default=0)
        deals = [{str(name): value for name, value in row.items()} for row in statement.deals.to_dict("records")]
        cursor = {"orders": len(orders), "newest": newest}
        return Batch(account, cursor, deals, [seen], refused, [_compared(account, deals, balance)])

    async def _orders(self, account: AccountRef) -> list[Row]:
        """Every filled order, oldest first; while there is more, the window ends at the oldest that came."""
        found: dict[str, Row] = {}
        end = milliseconds(dt.datetime.now(dt.UTC)) + 60_000
        while True:
            window = {"from": int(self.begin), "to": end}
            answer, columns = await self._of(account, "ordersHistory", "ordersHistoryConfig", **window)
            rows = [dict(zip(columns, row, strict=False)) for row in answer["ordersHistory"]]
            found |= {str(row["id"]): row for row in rows}
            if not answer.get("hasMore") or not rows:
                break
            end = min(end - 1, *(int(row["createdDate"]) for row in rows))
        filled = [row for row in found.values() if str(row["status"]).lower() == _FILLED]
        return sorted(filled, key=lambda row: (int(row["lastModified"]), int(row["id"])))

    async def _instruments(self, account: AccountRef) -> dict[str, str]:
        """Names of the account's instruments by their number."""
        if account.platform_id not in self._names:
            answer = (await self._ask(f"/trade/accounts/{account.platform_id}/instruments", account))["d"]
            rows = answer["instruments"]
            self._names[account.platform_id] = {str(row["tradableInstrumentId"]): str(row["name"]) for row in rows}
        return self._names[account.platform_id]


def _fill(row: Row, names: Mapping[str, str], currency: str) -> Fill:
    """A filled order as one fill at its average price."""
    number = str(row["tradableInstrumentId"])
    if number not in names:
        raise RowProblem("tradableInstrumentId", number, "not among the account's instruments")
    return Fill(
        fill_id=str(row["id"]),
        at=instant(row["lastModified"], "lastModified").replace(tzinfo=None),
        side=side_of(str(row["side"]), "side"),
        symbol=names[number],
        volume=decimal(row["filledQty"], "filledQty"),
        price=decimal(row["avgPrice"], "avgPrice"),
        position=str(row["positionId"]),
    ).priced(currency)


def _compared(account: AccountRef, deals: list[Record], balance: Decimal) -> Finding:
    """The balance against what the fills make: the difference is money that the API does not list."""
    made = sum((Decimal(deal["profit"]) for deal in deals), Decimal(0))
    said = f"fills make {written(made)}, the balance is {written(balance)}: deposits, payouts and costs are not listed"
    return Finding("gap", f"{account.account_id} balance", None if made == balance else said)
