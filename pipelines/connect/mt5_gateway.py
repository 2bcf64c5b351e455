"""MT5 through a gateway that the firm runs beside its server: REST in the paths and field names of the MT5 Web API.

The gateway takes a bearer token in place of the Web API's own handshake; `deploy/mt5_gateway_reference.py` is one.
Times are seconds of the server's clock. An account's deals are checked against its balance at every reading.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import cycle
from typing import Any

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
from pipelines.connect.kit.mt5_deals import deal_record, integer, net
from pipelines.connect.kit.records import ZERO, amount, broken, equity_record, written
from pipelines.connect.kit.rest import Rest, Unauthorized
from pipelines.connect.kit.settings import Settings, backoff_of
from pipelines.files import Broken
from pipelines.sources.kit.statement import RowProblem, SourceRefusal
from pipelines.sources.kit.zones import needed_clock

NAME = "mt5-gateway"
Deal = dict[str, Any]
LOGINS_AT_ONCE = 100
_EPOCH = dt.datetime(1970, 1, 1)
_AHEAD_SECONDS = 2 * 86_400
# Return codes of the Web API: network, timeout, connection, no service, too frequent.
_PASSING = {7, 9, 10, 11, 12}
_NOT_FOUND = 13


@dataclass
class Read:
    """What a reading of one account brought: its deals, and the cursor after it."""

    deals: list[Deal]
    cursor: Cursor
    total: Decimal
    announced: int


def open_connector(settings: Settings) -> Mt5Gateway:
    """The connector that a connection's settings describe."""
    return Mt5Gateway(settings)


class Mt5Gateway:
    """The accounts of a manager's groups."""

    name = NAME
    platform = "mt5"

    def __init__(self, settings: Settings) -> None:
        """Read the settings; nothing is asked yet."""
        self.url, self.token = settings.text("url"), settings.secret("token")
        self.group = settings.text("group", "*")
        try:
            self.clock = needed_clock(settings.text("server_zone"), NAME)
        except SourceRefusal as refusal:
            raise ConnectRefused(str(refusal)) from refusal
        rows = int(settings.number("rows_per_page", 1_000))
        self.limits = Limits(settings.number("requests_per_second", 20), rows_per_page=rows)
        self.poll_seconds = settings.number("poll_seconds", 2)
        self.equity_seconds = settings.number("equity_every_seconds", 60)
        # Dealers may book into the past; that much is read again.
        self.overlap_seconds = int(settings.number("overlap_seconds", 86_400))
        self._backoff = partial(backoff_of, settings)
        self._rest: Rest | None = None
        self._clock_finding: list[Finding] = []
        self._told: dict[str, dict[int, int]] = defaultdict(dict)
        self._cursors: dict[str, Cursor] = {}

    async def connect(self) -> None:
        """Ask the gateway for the server's clock and compare it with the zone that was given."""
        await self.close()
        sign_in = {"Authorization": f"Bearer {self.token.reveal()}"}
        self._rest = Rest("the MT5 gateway", self.url, self.limits, self._backoff, lambda: sign_in)
        self._clock_finding = [self._compared(await self._ask("/api/time/get"))]

    async def accounts(self) -> list[AccountRef]:
        """Every login of the groups."""
        logins = await self._ask("/api/user/logins", group=self.group)
        return [AccountRef(str(login), str(login)) for login in logins]

    async def history(self, account: AccountRef, since: Cursor | None) -> AsyncIterator[Batch]:
        """An account's deals from the cursor on, and its equity, with the balance that they should make."""
        yield await self._reading(account, since)

    async def stream(self, accounts: Sequence[AccountRef], since: Mapping[str, Cursor]) -> AsyncIterator[Batch]:
        """New and changed deals of all accounts every few seconds; now and then one account whole, for its balance."""
        ours = {account.login: account for account in accounts if account.platform_id in self._cursors}
        if not ours:
            raise ConnectRefused("none of the accounts can be read")
        loop, whole = asyncio.get_running_loop(), cycle(ours.values())
        pause = self.equity_seconds / len(ours)
        look_at = loop.time() + pause
        while True:
            for login, deals in (await self._newest(list(ours))).items():
                if batch := self._fresh(ours[login], deals):
                    yield batch
            if loop.time() >= look_at:
                account = next(whole)
                yield await self._reading(account, self._cursors[account.platform_id])
                look_at = loop.time() + pause
            await asyncio.sleep(self.poll_seconds)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._rest is not None:
            await self._rest.close()
            self._rest = None

    async def _ask(self, path: str, **asked: Any) -> Any:
        """The answer's body; its return code says what went wrong."""
        if self._rest is None:
            raise Transient("not connected")
        try:
            answer = await self._rest.ask("GET", path, params=asked)
        except Unauthorized as error:
            raise ConnectRefused(f"{error}: look at the setting token") from error
        told = str(answer.get("retcode", ""))
        code = int(told.split(" ")[0]) if told.split(" ")[0].isdigit() else -1
        if code == 0:
            return answer.get("answer")
        if code in _PASSING:
            raise Transient(f"the MT5 server answered {path} with {told}")
        if code == _NOT_FOUND:
            raise AccountLost(f"the MT5 server does not know it: {path} {told}")
        raise ConnectRefused(f"the MT5 server refused {path}: {told}")

    # --- one account -----------------------------------------------------------------------------------------------

    async def _reading(self, account: AccountRef, since: Cursor | None) -> Batch:
        read = await self._read(account, since or {"from": 0, "settled": "0"})
        state = await self._ask("/api/user/account/get", login=account.login)
        self._cursors[account.platform_id] = read.cursor
        findings = [*self._clock_finding, *_checked(account, read, amount(state["Balance"], "Balance"))]
        balance, equity = amount(state["Balance"], "Balance"), amount(state["Equity"], "Equity")
        seen = equity_record(account.account_id, dt.datetime.now(dt.UTC), balance, equity)
        fresh = self._fresh(account, read.deals)
        deals, refused = (fresh.deals, fresh.refused) if fresh else ([], [])
        return Batch(account, read.cursor, deals, [seen], refused, findings)

    async def _read(self, account: AccountRef, since: Cursor) -> Read:
        """All deals since the cursor, page by page, and the sum that they and all before them make."""
        window = {"login": account.login, "from": since["from"], "to": self._now() + _AHEAD_SECONDS}
        announced = int((await self._ask("/api/deal/get_total", **window))["total"])
        found: dict[int, Deal] = {}
        offset = 0
        while True:
            page = await self._ask("/api/deal/get_page", **window, offset=offset, total=self.limits.rows_per_page)
            found |= {integer(deal, "Deal"): deal for deal in page}
            offset += len(page)
            if len(page) < self.limits.rows_per_page:
                break
        deals = sorted(found.values(), key=lambda deal: integer(deal, "Time"))
        return self._settled(deals, since, announced)

    def _settled(self, deals: list[Deal], since: Cursor, announced: int) -> Read:
        """The cursor moves to what nobody books into any more; the sum before it goes with it."""
        newest = integer(deals[-1], "Time") if deals else int(since["from"])
        border = max(int(since["from"]), newest - self.overlap_seconds)
        before = sum((_net(deal) for deal in deals if integer(deal, "Time") < border), Decimal(since["settled"]))
        after = sum((_net(deal) for deal in deals if integer(deal, "Time") >= border), ZERO)
        return Read(deals, {"from": border, "settled": written(before)}, before + after, announced)

    def _fresh(self, account: AccountRef, deals: list[Deal]) -> Batch | None:
        """Deals that are new or have changed since they were last seen here, as a batch."""
        told = self._told[account.platform_id]
        fresh = [deal for deal in deals if told.get(integer(deal, "Deal")) != hash(tuple(sorted(deal.items())))]
        told |= {integer(deal, "Deal"): hash(tuple(sorted(deal.items()))) for deal in fresh}
        if not fresh:
            return None
        records, refused = self._records(account, fresh)
        return Batch(account, self._cursors.get(account.platform_id, {}), records, refused=refused)

    def _records(self, account: AccountRef, deals: list[Deal]) -> tuple[list[Record], list[Broken]]:
        readings = [_EPOCH + dt.timedelta(milliseconds=_milliseconds(deal)) for deal in deals]
        records: list[Record] = []
        refused: list[Broken] = []
        for deal, at in zip(deals, self.clock.instants(readings), strict=True):
            try:
                record = deal_record(deal, account.account_id, at)
            except RowProblem as problem:
                refused.append(broken(problem))
            else:
                records += [record] if record else []
        return records, refused

    # --- all accounts ----------------------------------------------------------------------------------------------

    async def _newest(self, logins: list[str]) -> dict[str, list[Deal]]:
        """The last minutes' deals by login."""
        found: dict[str, list[Deal]] = defaultdict(list)
        window = {"from": self._now() - max(120, int(10 * self.poll_seconds)), "to": self._now() + _AHEAD_SECONDS}
        for start in range(0, len(logins), LOGINS_AT_ONCE):
            some = ",".join(logins[start : start + LOGINS_AT_ONCE])
            for deal in await self._ask("/api/deal/get_batch", login=some, **window):
                found[str(deal["Login"])].append(deal)
        return {login: deals for login, deals in found.items() if login in set(logins)}

    def _now(self) -> int:
        """Seconds of the server's clock now."""
        return int((dt.datetime.now(dt.UTC) + self._offset()).timestamp())

    def _offset(self) -> dt.timedelta:
        """How far the server's clock is ahead of UTC today."""
        reading = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        offset: dt.timedelta = (reading - self.clock.instants([reading])[0].tz_localize(None)).to_pytimedelta()
        return offset

    def _compared(self, told: Mapping[str, Any]) -> Finding:
        """The server's own clock against the zone that was given."""
        if told.get("TimeZone") is None:
            return Finding("clock", self.url, None)
        minutes = int(told["TimeZone"]) + (60 if int(told.get("DaylightState") or 0) else 0)
        mine = round(self._offset().total_seconds() / 60)
        said = f"the server is {minutes} minutes ahead of UTC, zone {self.clock.name} says {mine}: times may be wrong"
        return Finding("clock", self.url, None if minutes == mine else said)


def _net(deal: Deal) -> Decimal:
    """What a deal does to the balance; one that cannot be read does nothing, and the balance will tell."""
    try:
        return net(deal)
    except RowProblem:
        return ZERO


def _milliseconds(deal: Deal) -> int:
    """Milliseconds of the server's clock."""
    return int(deal.get("TimeMsc") or 0) or integer(deal, "Time") * 1_000


def _checked(account: AccountRef, read: Read, balance: Decimal) -> list[Finding]:
    """What does not add up: fewer deals than the server counts, or another balance than they make."""
    missing = max(0, read.announced - len(read.deals))
    count = f"the server counts {read.announced} deals and gave {len(read.deals)}" if missing else None
    differs = read.total != balance
    money = f"its deals make {written(read.total)}, its balance is {written(balance)}" if differs else None
    return [
        Finding("gap", f"{account.account_id} deals", count),
        Finding("gap", f"{account.account_id} balance", money),
    ]
