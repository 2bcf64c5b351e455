"""cTrader Open API: JSON over WebSocket, for the accounts that a cTrader ID has granted to the firm's application.

History is read in windows of a week (the most that the server allows for cash flows), then execution events follow.
Balance versions show what was not delivered: a change that does not connect to the one before is read again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import cycle, groupby
from pathlib import Path
from typing import Any

from pipelines.connect.kit import open_api
from pipelines.connect.kit.chain import BalanceChain
from pipelines.connect.kit.ctrader_deals import (
    Entry,
    Symbol,
    bonus_entry,
    cash_entry,
    is_done,
    is_executed,
    trade_entry,
)
from pipelines.connect.kit.interface import (
    AccountLost,
    AccountRef,
    Batch,
    ConnectRefused,
    Cursor,
    Finding,
    Limits,
    Record,
    Transient,
)
from pipelines.connect.kit.open_api import OpenApi, OpenApiError, Payload, judged
from pipelines.connect.kit.records import amount, broken, equity_record, milliseconds, written
from pipelines.connect.kit.settings import Settings
from pipelines.files import Broken
from pipelines.sources.kit.statement import RowProblem

NAME = "ctrader-open-api"
LOG = logging.getLogger("highwater.connect")
WEEK_MS = 604_800_000
SYMBOLS_AT_ONCE = 100
EQUITY_PAUSE_SECONDS = 0.1
MESSAGES_AT_ONCE = 5_000


def open_connector(settings: Settings) -> CTrader:
    """The connector that a connection's settings describe."""
    return CTrader(settings)


@dataclass
class Tokens:
    """The pair of tokens in its file. A refresh token works once, so the new pair is written before it is used."""

    path: Path
    settings: Settings
    access: str = ""
    refresh: str = ""

    def load(self) -> None:
        """Read the file; ConnectRefused when it holds no tokens."""
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
            self._take(told["accessToken"], told["refreshToken"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConnectRefused(
                f"{self.path} holds no accessToken and refreshToken: grant the application access in cTrader"
            ) from error

    def renew(self, answer: Payload) -> None:
        """Keep a new pair, in the file first."""
        fresh = self.path.with_name(f".{self.path.name}.new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump({name: answer[name] for name in ("accessToken", "refreshToken")}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self.path)
        self._take(answer["accessToken"], answer["refreshToken"])

    def _take(self, access: str, refresh: str) -> None:
        self.access = self.settings.keep(access).reveal()
        self.refresh = self.settings.keep(refresh).reveal()


@dataclass
class Found:
    """What a stretch of an account's record brought."""

    entries: list[Entry] = field(default_factory=list)
    refused: list[Broken] = field(default_factory=list)

    def take(self, read: Callable[[], Entry]) -> None:
        """Add an event, or its cell that cannot be read."""
        try:
            self.entries.append(read())
        except RowProblem as problem:
            self.refused.append(broken(problem))
        except (KeyError, TypeError, ValueError) as error:
            self.refused.append(Broken(0, None, f"{error}"[:200], "not the shape that the Open API documents"))

    def batch(self, account: AccountRef, cursor: Cursor, findings: Sequence[Finding] = ()) -> Batch:
        """The batch of it, in time order."""
        entries = sorted(self.entries, key=lambda entry: entry.at)
        equity = [entry.equity for entry in entries if entry.equity]
        return Batch(account, cursor, [entry.deal for entry in entries], equity, self.refused, findings)


class CTrader:
    """The accounts of one environment, live or demo: they are separate and need a connection each."""

    name = NAME
    platform = "ctrader"

    def __init__(self, settings: Settings) -> None:
        """Read the settings; nothing is opened yet."""
        self.live = bool(settings.values.get("live", True))
        host = "live" if self.live else "demo"
        self.url = settings.text("url", f"wss://{host}.ctraderapi.com:5036")
        self.client_id, self.client_secret = settings.secret("client_id"), settings.secret("client_secret")
        self.tokens = Tokens(Path(settings.text("tokens")), settings)
        self.limits = Limits(
            settings.number("requests_per_second", 50),
            settings.number("historical_per_second", 5),
            int(settings.number("rows_per_page", 1_000)),
        )
        self.heartbeat_seconds = settings.number("heartbeat_seconds", 20)
        self.answer_seconds = settings.number("answer_seconds", 30)
        self.overlap_ms = int(settings.number("overlap_seconds", 600) * 1_000)
        self.equity_seconds = settings.number("equity_every_seconds", 60)
        self._api: OpenApi | None = None
        self._symbols: dict[str, dict[int, Symbol]] = {}
        self._brokers: dict[str, str] = {}
        self._chains: dict[str, BalanceChain] = {}
        self._from: dict[str, int] = {}
        # Accounts whose balances did not connect even when read again: reading them at every event would not help.
        self._unhelped: set[str] = set()
        # The end of a connection waits here until what came before it has been told.
        self._held: list[Payload | None] = []

    async def connect(self) -> None:
        """Open the connection and sign the application in."""
        await self.close()
        self._held = []
        self.tokens.load()
        self._api = OpenApi(self.url, self.limits, self.heartbeat_seconds, self.answer_seconds)
        await self._api.open()
        sign_in = {"clientId": self.client_id.reveal(), "clientSecret": self.client_secret.reveal()}
        await self._ask(open_api.APPLICATION_AUTH, sign_in)

    async def accounts(self) -> list[AccountRef]:
        """The accounts of this environment that the token opens."""
        answer = await self._with_token(open_api.ACCOUNTS_BY_TOKEN, {})
        found = answer.get("ctidTraderAccount", [])
        mine = [account for account in found if bool(account.get("isLive")) == self.live]
        listed_at = milliseconds(dt.datetime.now(dt.UTC))
        return [
            AccountRef(
                str(account["ctidTraderAccountId"]),
                str(account.get("traderLogin") or account["ctidTraderAccountId"]),
                known={"cash_until": account.get("lastBalanceUpdateTimestamp"), "listed_at": listed_at},
            )
            for account in mine
        ]

    async def history(self, account: AccountRef, since: Cursor | None) -> AsyncIterator[Batch]:
        """Weeks from the cursor, or from the account's registration, up to now."""
        await self._with_token(open_api.ACCOUNT_AUTH, _key(account))
        trader = (await self._ask(open_api.TRADER, _key(account)))["trader"]
        self._brokers[account.platform_id] = str(trader.get("brokerName"))
        now = milliseconds(dt.datetime.now(dt.UTC))
        start = int(since["from"]) - self.overlap_ms if since else int(trader["registrationTimestamp"])
        chain = _chain(since)
        for begin, end in _weeks(start, now):
            found = await self._window(account, begin, end)
            breaks = chain.follow(entry.change for entry in found.entries if entry.change)
            yield found.batch(account, _cursor(end, chain), _gaps(account, breaks))
        self._chains[account.platform_id], self._from[account.platform_id] = chain, now
        equity = await self._equity(account)
        yield Batch(account, _cursor(now, chain), equity=[equity], findings=_arrived(account, chain, trader))

    async def stream(self, accounts: Sequence[AccountRef], since: Mapping[str, Cursor]) -> AsyncIterator[Batch]:
        """Execution events as they come, and equity every so often, until the connection ends."""
        ours = {account.platform_id: account for account in accounts if account.platform_id in self._chains}
        if not ours:
            raise ConnectRefused("none of the accounts can be read")
        loop, next_account = asyncio.get_running_loop(), cycle(ours.values())
        # One account at a time, so that events never wait for a round of all of them.
        pause = max(self.equity_seconds / len(ours), EQUITY_PAUSE_SECONDS)
        look_at = loop.time() + pause
        while True:
            messages = await self._waiting_messages(look_at)
            for some in _runs_of_executions(messages):
                async for batch in self._told(some, ours):
                    yield batch
            if loop.time() >= look_at:
                account = next(next_account)
                yield Batch(account, self._here(account), equity=[await self._equity(account)])
                look_at = loop.time() + pause

    async def _waiting_messages(self, until: float) -> list[Payload]:
        """Every message that waits, or the next one; none when there is none by then. Transient after the last."""
        events, messages = self._wire.events, self._held
        self._held = []
        if not messages and events.empty():
            try:
                async with asyncio.timeout_at(until):
                    messages.append(await events.get())
            except TimeoutError:
                return []
        while len(messages) < MESSAGES_AT_ONCE and not events.empty():
            messages.append(events.get_nowait())
        if None not in messages:
            return [message for message in messages if message]
        told = [message for message in messages if message]
        if not told:
            raise Transient("the connection broke")
        self._held = [None]
        return told

    async def close(self) -> None:
        """Hang up."""
        if self._api is not None:
            await self._api.close()
            self._api = None

    @property
    def _wire(self) -> OpenApi:
        if self._api is None:
            raise Transient("not connected")
        return self._api

    async def _ask(self, kind: int, payload: Payload) -> Payload:
        """An answer; an error becomes what it means for the connection."""
        try:
            return await self._wire.ask(kind, payload)
        except OpenApiError as error:
            raise judged(error) from error

    async def _with_token(self, kind: int, payload: Payload) -> Payload:
        """An answer to a request that carries the access token, renewed once when it has expired."""
        try:
            return await self._wire.ask(kind, payload | {"accessToken": self.tokens.access})
        except OpenApiError as error:
            if error.code == "ALREADY_LOGGED_IN":
                return {}
            if error.code not in open_api.TOKEN_ERRORS:
                raise judged(error) from error
        await self._renew()
        return await self._ask(kind, payload | {"accessToken": self.tokens.access})

    async def _renew(self) -> None:
        LOG.info("the access token has expired and is renewed")
        self.tokens.renew(await self._ask(open_api.REFRESH_TOKEN, {"refreshToken": self.tokens.refresh}))

    # --- history ---------------------------------------------------------------------------------------------------

    async def _window(self, account: AccountRef, begin: int, end: int) -> Found:
        """Everything of one account within a week."""
        found = Found()
        deals = [deal for deal in await self._listed(open_api.DEAL_LIST, "deal", account, begin, end) if is_done(deal)]
        if deals:
            symbols = await self._symbols_of(account, {int(deal["symbolId"]) for deal in deals})
            orders = await self._orders(account, deals, begin, end)
            for deal in deals:
                found.take(partial(trade_entry, account, deal, orders.get(deal["orderId"]), symbols))
        if _may_hold_cash(account, begin, end):
            window = _key(account) | {"fromTimestamp": begin, "toTimestamp": end}
            for flow in (await self._ask(open_api.CASH_FLOW_LIST, window)).get("depositWithdraw", []):
                found.take(partial(cash_entry, account, flow))
        return found

    async def _listed(self, kind: int, name: str, account: AccountRef, begin: int, end: int) -> list[Payload]:
        """All rows of a window: while there is more, the window shrinks to what the last answer left out."""
        rows: dict[Any, Payload] = {}
        while True:
            window = {"fromTimestamp": begin, "toTimestamp": end, "maxRows": self.limits.rows_per_page}
            answer = await self._ask(kind, _key(account) | window)
            page = answer.get(name, [])
            rows |= {row[f"{name}Id"]: row for row in page}
            if not answer.get("hasMore") or not page:
                return list(rows.values())
            begin, end = _rest(begin, end, [_stamp(row) for row in page])

    async def _orders(self, account: AccountRef, deals: list[Payload], begin: int, end: int) -> dict[Any, Payload]:
        """The orders of deals by id; one that changed outside the window is asked for by itself."""
        orders = await self._listed(open_api.ORDER_LIST, "order", account, begin, end)
        found = {order["orderId"]: order for order in orders}
        for missing in {deal["orderId"] for deal in deals} - found.keys():
            try:
                answer = await self._wire.ask(open_api.ORDER_DETAILS, _key(account) | {"orderId": missing})
            except OpenApiError as error:
                LOG.info("order %s is not to be had: %s", missing, error.code)
            else:
                found[missing] = answer.get("order", {})
        return found

    async def _symbols_of(self, account: AccountRef, wanted: set[int]) -> dict[int, Symbol]:
        """The symbols of the account's server, with the lot sizes of those that are wanted."""
        known = self._symbols.setdefault(self._brokers.get(account.platform_id, account.platform_id), {})
        if not wanted <= known.keys():
            answer = await self._ask(open_api.SYMBOLS_LIST, _key(account) | {"includeArchivedSymbols": True})
            for symbol in answer.get("archivedSymbol", []):
                known.setdefault(int(symbol["symbolId"]), Symbol(symbol["name"], None))
            for symbol in answer.get("symbol", []):
                known.setdefault(int(symbol["symbolId"]), Symbol(symbol.get("symbolName", ""), None))
        unsized = sorted(symbol_id for symbol_id in wanted & known.keys() if known[symbol_id].lot_size is None)
        for start in range(0, len(unsized), SYMBOLS_AT_ONCE):
            asked = _key(account) | {"symbolId": unsized[start : start + SYMBOLS_AT_ONCE]}
            for symbol in (await self._ask(open_api.SYMBOL_BY_ID, asked)).get("symbol", []):
                name = known[int(symbol["symbolId"])].name
                known[int(symbol["symbolId"])] = Symbol(name, symbol.get("lotSize"))
        return known

    async def _equity(self, account: AccountRef) -> Record:
        """Balance and equity now: the balance, bonuses, and what the open positions would bring, costs taken off."""
        trader = (await self._ask(open_api.TRADER, _key(account)))["trader"]
        open_profit = await self._ask(open_api.UNREALIZED_PNL, _key(account))
        digits = int(trader.get("moneyDigits", 2))
        balance = amount(trader["balance"], "balance", digits)
        equity = balance + sum(amount(trader.get(name), name, digits) for name in ("managerBonus", "ibBonus"))
        for position in open_profit.get("positionUnrealizedPnL", []):
            floating = position["netUnrealizedPnL"]
            equity += amount(floating, "netUnrealizedPnL", int(open_profit.get("moneyDigits", 2)))
        return equity_record(account.account_id, dt.datetime.now(dt.UTC), balance, equity)

    # --- events ----------------------------------------------------------------------------------------------------

    async def _told(self, messages: list[Payload], ours: Mapping[str, AccountRef]) -> AsyncIterator[Batch]:
        """The batches that one message brings, or a run of execution events of one account."""
        kind, payload = messages[0]["payloadType"], messages[0].get("payload", {})
        account = ours.get(str(payload.get("ctidTraderAccountId")))
        if kind in open_api.ERRORS:
            raise judged(OpenApiError(payload))
        if kind == open_api.CLIENT_DISCONNECT:
            raise Transient(f"cTrader ended the connection: {payload.get('reason')}")
        if kind == open_api.TOKENS_INVALIDATED:
            await self._renew()
            for lost in payload.get("ctidTraderAccountIds", []):
                async for batch in self._read_again(ours.get(str(lost))):
                    yield batch
        elif kind == open_api.ACCOUNT_DISCONNECT:
            async for batch in self._read_again(account):
                yield batch
        elif kind == open_api.EXECUTION_EVENT and account:
            async for batch in self._executed(account, [message["payload"] for message in messages]):
                yield batch

    async def _executed(self, account: AccountRef, events: list[Payload]) -> AsyncIterator[Batch]:
        """What execution events bring; where they do not connect, the account is read again from its cursor."""
        found = Found()
        traded = [event for event in events if is_executed(event) and is_done(event["deal"])]
        symbols = await self._symbols_of(account, {int(event["deal"]["symbolId"]) for event in traded})
        for event in events:
            if is_executed(event) and is_done(event["deal"]):
                found.take(partial(trade_entry, account, event["deal"], event.get("order"), symbols))
            elif event.get("depositWithdraw"):
                found.take(partial(cash_entry, account, event["depositWithdraw"]))
            elif event.get("bonusDepositWithdraw"):
                found.take(partial(bonus_entry, account, event["bonusDepositWithdraw"]))
        if not found.entries and not found.refused:
            return
        chain = self._chains[account.platform_id]
        changes = [entry.change for entry in found.entries if entry.change]
        if not chain.connects(changes) and account.platform_id not in self._unhelped:
            async for batch in self._read_again(account):
                yield batch
            chain = self._chains[account.platform_id]
            if not chain.connects(changes):
                self._unhelped.add(account.platform_id)
        breaks = chain.follow(changes)
        latest = max([entry.at for entry in found.entries], default=0)
        self._from[account.platform_id] = max(self._from[account.platform_id], latest)
        yield found.batch(account, self._here(account), _gaps(account, breaks))

    async def _read_again(self, account: AccountRef | None) -> AsyncIterator[Batch]:
        """An account from its cursor on, signed in anew; one that is lost is told and left out."""
        if account is None:
            return
        try:
            async for batch in self.history(account, self._here(account)):
                yield batch
        except AccountLost as lost:
            finding = Finding("lost_account", account.account_id, str(lost))
            yield Batch(account, self._here(account), findings=[finding])

    def _here(self, account: AccountRef) -> Cursor:
        """Where an account stands."""
        return _cursor(self._from[account.platform_id], self._chains[account.platform_id])


def _runs_of_executions(messages: list[Payload]) -> Iterator[list[Payload]]:
    """Messages one by one, but execution events of one account that follow each other together."""
    for (kind, account), some in groupby(messages, key=_place):
        if kind == open_api.EXECUTION_EVENT and account is not None:
            yield list(some)
        else:
            yield from ([message] for message in some)


def _place(message: Payload) -> tuple[Any, Any]:
    return message["payloadType"], message.get("payload", {}).get("ctidTraderAccountId")


def _key(account: AccountRef) -> Payload:
    return {"ctidTraderAccountId": int(account.platform_id)}


def _stamp(row: Payload) -> int:
    """What the server orders rows by: a deal's execution, an order's last change."""
    return int(row.get("executionTimestamp") or row.get("utcLastUpdateTimestamp") or 0)


def _rest(begin: int, end: int, stamps: list[int]) -> tuple[int, int]:
    """The part of a window that a full page left out, whichever end the server began at; Transient when stuck."""
    rest = (max(stamps), end) if stamps[0] <= stamps[-1] else (begin, min(stamps))
    if rest == (begin, end):
        raise ConnectRefused("more rows at one millisecond than a page holds: raise rows_per_page")
    return rest


def _weeks(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Windows of a week at most that cover a stretch of time."""
    while start < end:
        yield start, min(start + WEEK_MS, end)
        start += WEEK_MS


def _may_hold_cash(account: AccountRef, begin: int, end: int) -> bool:
    """Tell whether money can have moved in a window, by what the list of accounts said when it was read."""
    until, listed_at = account.known.get("cash_until"), account.known.get("listed_at", 0)
    return until is None or begin <= int(until) or end > listed_at


def _chain(since: Cursor | None) -> BalanceChain:
    return BalanceChain(int(since["version"]), Decimal(since["balance"])) if since else BalanceChain()


def _cursor(at: int, chain: BalanceChain) -> Cursor:
    return {"from": at, "version": chain.version, "balance": written(chain.balance)}


def _gaps(account: AccountRef, breaks: list[str]) -> list[Finding]:
    return [Finding("gap", f"{account.account_id} balance", "; ".join(breaks))] if breaks else []


def _arrived(account: AccountRef, chain: BalanceChain, trader: Payload) -> list[Finding]:
    """The end of a reading against the account's own balance, where both stand at the same change."""
    version, subject = trader.get("balanceVersion"), f"{account.account_id} end"
    balance = amount(trader["balance"], "balance", int(trader.get("moneyDigits", 2)))
    if version is None or chain.version > int(version) or (chain.version == int(version) and chain.balance == balance):
        return [Finding("gap", subject, None)]
    said = f"read up to change {chain.version} with balance {written(chain.balance)}, "
    return [Finding("gap", subject, f"{said}the account is at change {version} with {written(balance)}")]
