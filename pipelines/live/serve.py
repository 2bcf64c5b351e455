"""Runs the live service until it is told to stop."""

from __future__ import annotations

import uvicorn

from models.catalogue import Rulebook
from pipelines.live.app import build
from pipelines.live.service import Service
from sql.warehouse import Warehouse

BACKLOG = 1_024
CONNECTIONS_MAX = 1_000


class LiveRefused(Exception):
    """A service that could not start."""


def serve(warehouse: Warehouse, rulebook: Rulebook, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT; then takes nothing more, lands and settles what it took, and returns.

    One process serves a home at a time: a second one waits for the first to end.
    """
    with warehouse.lock("live"):
        service = Service(warehouse, rulebook)
        uvicorn.run(
            build(service), host=host, port=port, log_level="warning", access_log=False, backlog=BACKLOG,
            limit_concurrency=CONNECTIONS_MAX, timeout_graceful_shutdown=30,
        )  # fmt: skip
    if service.failed:
        raise LiveRefused("the live service could not start; the lines above say why")
