"""The wire of the cTrader Open API: JSON messages over a WebSocket, answers told from events by their message id."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from pipelines.connect.kit.interface import AccountLost, ConnectRefused, Limits, Transient
from pipelines.connect.kit.pace import Pace

LOG = logging.getLogger("highwater.connect")
Payload = dict[str, Any]

APPLICATION_AUTH, ACCOUNT_AUTH = 2100, 2102
SYMBOLS_LIST, SYMBOL_BY_ID, TRADER = 2114, 2116, 2121
EXECUTION_EVENT = 2126
DEAL_LIST, CASH_FLOW_LIST, ORDER_LIST, ORDER_DETAILS = 2133, 2143, 2175, 2181
TOKENS_INVALIDATED, CLIENT_DISCONNECT, ACCOUNTS_BY_TOKEN, ACCOUNT_DISCONNECT = 2147, 2148, 2149, 2164
REFRESH_TOKEN, UNREALIZED_PNL = 2173, 2187
HEARTBEAT, ERRORS = 51, (50, 2142)
HISTORICAL = {DEAL_LIST, CASH_FLOW_LIST, ORDER_LIST, ORDER_DETAILS}

TOKEN_ERRORS = {"OA_AUTH_TOKEN_EXPIRED", "CH_ACCESS_TOKEN_INVALID"}
_TOO_FAST = {"BLOCKED_PAYLOAD_TYPE", "REQUEST_FREQUENCY_EXCEEDED"}
_PASSING = {
    *("SERVER_IS_UNDER_MAINTENANCE", "CH_SERVER_NOT_REACHABLE", "CANT_ROUTE_REQUEST", "TIMEOUT_ERROR"),
    *("CONNECTIONS_LIMIT_EXCEEDED", "UNKNOWN_ERROR", "CH_CLIENT_NOT_AUTHENTICATED"),
}
_LOST = {"ACCOUNT_NOT_AUTHORIZED", "RET_NO_SUCH_LOGIN", "RET_ACCOUNT_DISABLED", "CHANNEL_IS_BLOCKED"}
_LOST |= {"CH_CTID_TRADER_ACCOUNT_NOT_FOUND"}
MESSAGE_BYTES_MAX = 64 << 20
TOO_FAST_TRIES = 8


class OpenApiError(Exception):
    """An error answer: its code, and the seconds to wait where it says so."""

    def __init__(self, answer: Payload) -> None:
        """Keep the code, the description and the pause."""
        self.code = str(answer.get("errorCode"))
        self.retry_after = answer.get("retryAfter")
        super().__init__(f"{self.code} {answer.get('description') or ''}".strip())


def judged(error: OpenApiError) -> Exception:
    """What an error means for the connection."""
    if error.code in _PASSING or error.code in _TOO_FAST:
        pause = error.retry_after
        return Transient(f"cTrader: {error}", None if pause is None else float(pause))
    if error.code in _LOST:
        return AccountLost(f"cTrader: {error}")
    return ConnectRefused(f"cTrader refused: {error}")


class OpenApi:
    """One connection. Requests keep to the limits; events wait in ``events``, None says that the connection ended."""

    def __init__(self, url: str, limits: Limits, heartbeat_seconds: float, answer_seconds: float) -> None:
        """Keep the address; nothing is opened yet."""
        self.url, self.heartbeat_seconds, self.answer_seconds = url, heartbeat_seconds, answer_seconds
        self.events: asyncio.Queue[Payload | None] = asyncio.Queue()
        self._pace = Pace(limits.requests_per_second)
        self._historical = Pace(limits.historical_per_second or limits.requests_per_second)
        self._waiting: dict[str, asyncio.Future[Payload]] = {}
        self._numbers = itertools.count(1)
        self._socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect; Transient when nobody answers."""
        try:
            self._socket = await connect(
                self.url, max_size=MESSAGE_BYTES_MAX, open_timeout=self.answer_seconds, compression=None
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            raise Transient(f"{self.url} does not answer: {type(error).__name__}") from error
        self._tasks = [asyncio.create_task(self._read(self._socket)), asyncio.create_task(self._beat(self._socket))]

    async def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._socket is not None:
            with suppress(OSError, WebSocketException):
                await self._socket.close()

    async def ask(self, kind: int, payload: Payload) -> Payload:
        """The answer to a request; asked again after the pause when it was too fast. OpenApiError, Transient."""
        for _ in range(TOO_FAST_TRIES):
            try:
                return await self._ask(kind, payload)
            except OpenApiError as error:
                if error.code not in _TOO_FAST:
                    raise
                LOG.info("request %s was too fast: %s", kind, error.code)
                (self._historical if kind in HISTORICAL else self._pace).hold(float(error.retry_after or 1))
        raise Transient(f"cTrader still says that request {kind} is too fast")

    async def _ask(self, kind: int, payload: Payload) -> Payload:
        if kind in HISTORICAL:
            await self._historical.wait()
        await self._pace.wait()
        number = str(next(self._numbers))
        answer: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._send({"clientMsgId": number, "payloadType": kind, "payload": payload})
            message = await asyncio.wait_for(answer, self.answer_seconds)
        except TimeoutError as error:
            raise Transient(f"cTrader gave no answer to request {kind}") from error
        finally:
            self._waiting.pop(number, None)
        if message["payloadType"] in ERRORS:
            raise OpenApiError(message.get("payload", {}))
        found: Payload = message.get("payload", {})
        return found

    async def _send(self, message: Payload) -> None:
        if self._socket is None:
            raise Transient("not connected")
        try:
            await self._socket.send(json.dumps(message))
        except (OSError, WebSocketException) as error:
            raise Transient(f"the connection broke: {type(error).__name__}") from error

    async def _beat(self, socket: ClientConnection) -> None:
        """Keep the connection open; the server closes it after half a minute of silence."""
        while True:
            await asyncio.sleep(self.heartbeat_seconds)
            with suppress(Transient):
                await self._send({"payloadType": HEARTBEAT, "payload": {}})

    async def _read(self, socket: ClientConnection) -> None:
        """Sort what arrives into answers and events, until the connection ends."""
        try:
            async for raw in socket:
                self._sort(json.loads(raw))
        except (OSError, WebSocketException, ValueError, KeyError, TypeError) as error:
            LOG.info("the connection ended: %s", type(error).__name__)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Transient("the connection broke"))
        self.events.put_nowait(None)

    def _sort(self, message: Payload) -> None:
        answer = self._waiting.get(str(message.get("clientMsgId", "")))
        if answer is not None and not answer.done():
            answer.set_result(message)
        elif message["payloadType"] != HEARTBEAT:
            self.events.put_nowait(message)
