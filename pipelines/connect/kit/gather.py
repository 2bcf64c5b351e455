"""Gathers batches that come one by one into as many at a time as there are, so that landing keeps up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from pipelines.connect.kit.interface import Batch

WAITING_BATCHES_MAX = 2_000


class _End:
    """The end of the batches, with the failure that ended them."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure


async def gathered(batches: AsyncIterator[Batch], linger_seconds: float, rows_max: int) -> AsyncIterator[list[Batch]]:
    """Batches in lists: what came within ``linger_seconds`` of the first, up to ``rows_max`` rows.

    What came before a failure is handed out before the failure is raised.
    """
    queue: asyncio.Queue[Batch | _End] = asyncio.Queue(WAITING_BATCHES_MAX)
    pump = asyncio.create_task(_pump(batches, queue))
    try:
        while True:
            some, end = await _some(queue, linger_seconds, rows_max)
            if some:
                yield some
            if end and end.failure:
                raise end.failure
            if end:
                return
    finally:
        pump.cancel()
        with suppress(asyncio.CancelledError):
            await pump


async def _pump(batches: AsyncIterator[Batch], queue: asyncio.Queue[Batch | _End]) -> None:
    failure = None
    try:
        async for batch in batches:
            await queue.put(batch)
    except Exception as error:
        failure = error
    await queue.put(_End(failure))


async def _some(
    queue: asyncio.Queue[Batch | _End], linger_seconds: float, rows_max: int
) -> tuple[list[Batch], _End | None]:
    """The next batches, and the end if it came."""
    some: list[Batch] = []
    rows = 0
    until: float | None = None
    while rows < rows_max:
        try:
            async with asyncio.timeout_at(until):
                batch = await queue.get()
        except TimeoutError:
            break
        if isinstance(batch, _End):
            return some, batch
        some.append(batch)
        rows += batch.rows
        until = until or asyncio.get_running_loop().time() + linger_seconds
    return some, None
