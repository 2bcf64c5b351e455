"""REST over httpx: paced, retried with back-off, exact numbers, and no secret in what is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx

from pipelines.connect.kit.interface import AccountLost, ConnectRefused, Limits, Transient
from pipelines.connect.kit.pace import Backoff, Pace, retried

TRIES = 5
_PAUSE_SECONDS = 1.0


class Unauthorized(Exception):
    """The sign-in is not accepted, or no longer."""


class Rest:
    """One REST service below a base address; ``headers`` gives the sign-in of each request."""

    def __init__(
        self,
        platform: str,
        base: str,
        limits: Limits,
        backoff: Callable[[], Backoff],
        headers: Callable[[], dict[str, str]] = dict,
        timeout_seconds: float = 30,
    ) -> None:
        """Open the client; nothing is asked yet."""
        self.platform, self._headers, self._backoff = platform, headers, backoff
        self._client = httpx.AsyncClient(base_url=base.rstrip("/"), timeout=timeout_seconds)
        self._pace = Pace(limits.requests_per_second)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def ask(self, method: str, path: str, **request: Any) -> Any:
        """The answer's JSON, fractions exact. Transient after some tries, Unauthorized, AccountLost, ConnectRefused."""
        return await retried(lambda: self._ask(method, path, request), self._backoff(), TRIES)

    async def _ask(self, method: str, path: str, request: dict[str, Any]) -> Any:
        await self._pace.wait()
        headers = self._headers() | request.get("headers", {})
        try:
            answer = await self._client.request(method, path, **(request | {"headers": headers}))
        except httpx.TransportError as error:
            raise Transient(f"{self.platform} does not answer {path}: {type(error).__name__}") from error
        self._judge(answer, path)
        try:
            return json.loads(answer.text, parse_float=Decimal)
        except ValueError as error:
            raise Transient(f"{self.platform} answered {path} with no JSON") from error

    def _judge(self, answer: httpx.Response, path: str) -> None:
        """Raise what a status that is no success means."""
        status = answer.status_code
        if status == 429 or status >= 500:
            pause = _pause(answer) if status == 429 else None
            if pause is not None:
                self._pace.hold(pause)
            raise Transient(f"{self.platform} answered {path} with {status}", pause)
        if status == 401:
            raise Unauthorized(f"{self.platform} does not accept the sign-in")
        if status == 404:
            raise AccountLost(f"{self.platform} does not know {path}")
        if status >= 300:
            raise ConnectRefused(f"{self.platform} refused {path} with {status}: {answer.text[:200]}")


def _pause(answer: httpx.Response) -> float:
    """The seconds that Retry-After names; a date there, or nothing, is taken as a second."""
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.replace(".", "", 1).isdigit() else _PAUSE_SECONDS
