"""A real PostgreSQL server for the tests: started on a free port, stopped when the session ends."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

MISSING = "PostgreSQL is not installed: run tests/system.sh, or `apt-get install postgresql`"


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL server programs on this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3].zfill(4))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _as_user(command: list[str]) -> list[str]:
    """The server refuses to run as root, so root hands over to the user that the package made."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@dataclasses.dataclass(frozen=True)
class Server:
    """A server of our own: the address of its `postgres` database, and what stops and starts it."""

    address: str
    stop: Callable[[], object]
    start: Callable[[], object]


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A running server; gives the address of its `postgres` database."""
    with stoppable() as one:
        yield one.address


@contextlib.contextmanager
def stoppable() -> Iterator[Server]:
    """A running server that can be stopped and started again."""
    programs = binaries()
    if programs is None:
        raise RuntimeError(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="highwater-pg-"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    data, port = folder / "data", _free_port()
    options = (
        f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c autovacuum=off -c max_connections=200"
    )
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]

    def run(*command: str, check: bool = True) -> None:
        subprocess.run(_as_user(list(command)), check=check, capture_output=True, cwd="/")

    def stop() -> None:
        run(*control, "-m", "immediate", "stop", check=False)

    def start() -> None:
        run(*control, "-o", options, "start")

    run(str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres")
    start()
    try:
        yield Server(f"postgresql://postgres@127.0.0.1:{port}/postgres", stop, start)
    finally:
        stop()
        shutil.rmtree(folder, ignore_errors=True)


def new_database(address: str, like: str | None = None) -> str:
    """Makes a database on a server, empty or a copy of one at rest there, and gives its address."""
    name = f"t_{uuid.uuid4().hex}"
    model = f" template {like.rsplit('/', 1)[1]}" if like else ""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"create database {name}{model}")
    return address.rsplit("/", 1)[0] + f"/{name}"
