"""What tests share: warehouses on both databases, and where a browser and a server are to be found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql.warehouse import Warehouse
from tests import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server; without one the test says so, and under CI it fails."""
    if postgres.binaries() is None:
        if os.environ.get("CI"):
            pytest.fail(postgres.MISSING)
        pytest.skip(postgres.MISSING)
    with postgres.server() as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """An empty home, once on SQLite and once on PostgreSQL."""
    url = None
    if request.param == "postgres":
        url = postgres.new_database(request.getfixturevalue("postgres_server"))
    opened = Warehouse.open(tmp_path / "home", url)
    yield opened
    opened.database.dispose()
