"""The server that the service's other processes are forked from; begun early, it loads while the service does."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver

START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(["pipelines.live.backroom"])


def begin() -> None:
    """Starts the server, if it does not run yet."""
    forkserver.ensure_running()
