"""A watched folder lands each version of each feed file once, leaves half-written ones alone and survives a kill."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pytest
from moto.server import ThreadedMotoServer

from pipelines.connect.kit.interface import ConnectRefused
from pipelines.connect.kit.settings import Settings
from sql.connect_schema import CONNECTION_CURSORS
from sql.warehouse import Warehouse
from tests import connect_world as world
from tests import sftp_server

HEADER = "account_id,observed_at,balance,equity\n"


def rows(first: int, count: int = 3) -> str:
    """Observations of one account, one per minute."""
    lines = [f"a-1,2026-03-02T09:{minute:02}:00Z,10000,{10000 + minute}\n" for minute in range(first, first + count)]
    return HEADER + "".join(lines)


@pytest.fixture(params=["file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder, on disk and on a file system that is no disk."""
    url = f"file://{tmp_path}/in" if request.param == "file" else f"memory://{uuid.uuid4().hex}"
    files, path = fsspec.core.url_to_fs(url)
    files.makedirs(path, exist_ok=True)
    return url


def put(folder: str, name: str, text: str) -> None:
    """Write a file into the folder."""
    with fsspec.open(f"{folder}/{name}", "wt") as stream:
        stream.write(text)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty home."""
    return Warehouse.open(tmp_path / "home")


def told(warehouse: Warehouse, folder: str) -> Settings:
    """Settings for the folder."""
    return world.settings(warehouse, url=folder, settle_seconds=0.05)


def test_each_file_lands_once(warehouse: Warehouse, folder: str) -> None:
    """A second run finds nothing new; a further file is the only one that is read."""
    put(folder, "equity-1.csv", rows(0))
    assert world.once(warehouse, "folder", told(warehouse, folder)).landed == 3
    again = world.once(warehouse, "folder", told(warehouse, folder))
    assert (again.rows, again.landed) == (0, 0)
    put(folder, "equity-2.csv", rows(3))
    third = world.once(warehouse, "folder", told(warehouse, folder))
    assert (third.rows, third.landed) == (3, 3)


def test_a_lost_cursor_lands_nothing_twice(warehouse: Warehouse, folder: str) -> None:
    """Killed between landing and remembering, the file comes again and is known by its bytes."""
    put(folder, "equity-1.csv", rows(0))
    world.once(warehouse, "folder", told(warehouse, folder))
    with warehouse.database.begin() as database:
        database.execute(CONNECTION_CURSORS.delete())
    again = world.once(warehouse, "folder", told(warehouse, folder))
    assert (again.rows, again.landed, again.duplicates) == (3, 0, 3)


def test_a_new_version_of_a_file_lands_what_is_new(warehouse: Warehouse, folder: str) -> None:
    """A file that grew is read again; only its new rows land."""
    put(folder, "equity-1.csv", rows(0))
    world.once(warehouse, "folder", told(warehouse, folder))
    put(folder, "equity-1.csv", rows(0, 5))
    grown = world.once(warehouse, "folder", told(warehouse, folder))
    assert (grown.rows, grown.landed, grown.duplicates) == (5, 2, 3)


def test_a_refused_file_is_told_once_and_settled_by_a_good_one(warehouse: Warehouse, folder: str) -> None:
    """What is no feed is reported and does not stop the others; repaired, it lands and the finding is closed."""
    put(folder, "equity-1.csv", "account_id,when\na,b\n")
    put(folder, "equity-2.csv", rows(0))
    put(folder, ".equity-3.csv.swp", "x")
    put(folder, "equity-4.csv.part", rows(9))
    said: list[str] = []
    assert world.once(warehouse, "folder", told(warehouse, folder), said).landed == 3
    assert list(world.findings(warehouse, "refused")) == ["equity-1.csv"]
    assert len(said) == 1
    put(folder, "equity-1.csv", rows(6))
    assert world.once(warehouse, "folder", told(warehouse, folder)).landed == 3
    assert world.findings(warehouse, "refused") == {}


def test_a_growing_file_waits_until_it_stands_still(warehouse: Warehouse, folder: str) -> None:
    """A file that changes between two looks is left for the next."""
    put(folder, "equity-1.csv", rows(0, 1))

    async def grows() -> None:
        async with asyncio.timeout(120):
            run = asyncio.create_task(world.follow(warehouse, "folder", told(warehouse, folder), landed))
            for count in range(2, 8):
                await asyncio.sleep(0.03)
                put(folder, "equity-1.csv", rows(0, count))
            await run

    def landed() -> bool:
        with warehouse.engine() as connection:
            return connection.execute("select count(*) from lake.equity").fetchall() == [(7,)]

    asyncio.run(grows())
    assert world.state(warehouse)["rows_landed"] == 7


def test_an_absent_folder_and_a_password_in_the_url_are_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    """A folder that cannot be read is given up after some tries; a sign-in does not belong into the address."""
    with pytest.raises(ConnectRefused, match="given up after 6 tries"):
        world.once(warehouse, "folder", told(warehouse, f"file://{tmp_path}/absent"))
    assert world.state(warehouse)["state"] == "failed"
    with pytest.raises(ConnectRefused, match="secrets of their own"):
        world.once(warehouse, "folder", told(warehouse, "sftp://me:word@example.org/in"))


def remote(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, url: str, options: Any, **secrets: str) -> Settings:
    """Settings for a folder elsewhere, its secrets in the environment."""
    held = {}
    for name, secret in secrets.items():
        monkeypatch.setenv(f"REMOTE_{name.upper()}", secret)
        held[name] = {"env": f"REMOTE_{name.upper()}"}
    return world.settings(warehouse, url=url, settle_seconds=0.05, options=options, **held)


def test_a_bucket_is_watched_as_a_folder_is(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over S3's own protocol: two files land, a second look finds nothing new, a changed file is a correction."""
    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        options = {"client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
        files = fsspec.filesystem("s3", key="k", secret="s", **options)
        files.mkdir("feeds")
        files.pipe("feeds/in/equity-1.csv", rows(0).encode())
        files.pipe("feeds/in/equity-2.csv", rows(3).encode())
        asked = remote(warehouse, monkeypatch, "s3://feeds/in", options, key="k", secret="s")
        assert world.once(warehouse, "folder", asked).landed == 6
        assert world.once(warehouse, "folder", asked).rows == 0
        files.pipe("feeds/in/equity-2.csv", rows(3).replace("10003", "10099").encode())
        again = world.once(warehouse, "folder", asked)
        assert (again.rows, again.landed) == (3, 1)
    finally:
        server.stop()


def test_a_folder_is_watched_over_sftp(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files land over SSH; a wrong password is refused in words, without the password."""
    (tmp_path / "served" / "in").mkdir(parents=True)
    (tmp_path / "served" / "in" / "equity-1.csv").write_text(rows(0))
    with sftp_server.serving(tmp_path / "served") as port:
        good = {"username": sftp_server.USER, "password": sftp_server.PASSWORD}
        asked = remote(warehouse, monkeypatch, "sftp://127.0.0.1/in", {"port": port}, **good)
        assert world.once(warehouse, "folder", asked).landed == 3
        assert world.once(warehouse, "folder", asked).rows == 0
        bad = remote(warehouse, monkeypatch, "sftp://127.0.0.1/in", {"port": port}, **good | {"password": "wr0ng"})
        with pytest.raises(ConnectRefused) as refused:
            world.once(warehouse, "folder", bad)
        assert "wr0ng" not in str(refused.value)
