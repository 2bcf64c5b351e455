"""Rate limits and waiting: requests evenly spaced, retries ever further apart and never in step."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from pipelines.connect.kit.interface import Transient

Answer = TypeVar("Answer")
# Answers travel, so requests sent exactly at the limit can arrive above it.
SHARE_OF_LIMIT = 0.95


class Pace:
    """Lets requests through evenly, so many per second; those that wait are served in turn."""

    def __init__(self, per_second: float) -> None:
        """Start with nothing sent."""
        self._gap = 1 / (per_second * SHARE_OF_LIMIT)
        self._next = 0.0
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Return when the next request may go."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            delay = self._next - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            self._next = max(loop.time(), self._next) + self._gap

    def hold(self, seconds: float) -> None:
        """Let nothing through for a while: the platform said so."""
        self._next = max(self._next, asyncio.get_running_loop().time() + seconds)


@dataclass
class Backoff:
    """Waits that double from ``first`` to ``longest`` seconds, each drawn at random below that ("full jitter").

    Jitter after Brooker, "Exponential Backoff and Jitter" (2015): clients that fail together do not return together.
    """

    first: float = 0.5
    longest: float = 60.0
    tried: int = 0

    def reset(self) -> None:
        """Begin anew, after something worked."""
        self.tried = 0

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait before the next try, never less than the platform asked for."""
        ceiling = min(self.longest, self.first * 2**self.tried)
        self.tried = min(self.tried + 1, 30)
        drawn = random.uniform(ceiling / 4, ceiling)
        return drawn if at_least is None else at_least + drawn / 4


async def retried(call: Callable[[], Awaitable[Answer]], backoff: Backoff, tries: int) -> Answer:
    """The call's answer, after as many tries as allowed; the last Transient is raised."""
    while True:
        try:
            return await call()
        except Transient as failure:
            if backoff.tried + 1 >= tries:
                raise
            await asyncio.sleep(backoff.next(failure.retry_after))
