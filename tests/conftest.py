"""What tests share: warehouses on both databases, and where a browser and a server are to be found."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa
from _pytest.nodeid import coerce_node_id
from streamlit.components.v2 import manifest_scanner

from sql import upkeep
from sql.warehouse import Warehouse
from tests import postgres

# continuous integration repeats the same examples, so that red is always a change's doing; elsewhere new ones are tried
hypothesis.settings.register_profile("suite", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        group = _group(item)
        if group and os.environ.get("PYTEST_XDIST_WORKER"):
            # pytest-xdist 3.8 tells its groups by a name that pytest 9.2 no longer reads
            item._id = coerce_node_id(f"{item.nodeid}@{group}")


def _group(item: pytest.Item) -> str | None:
    """Whom a test shares a worker with: its mark says, else those of its file who use what that makes once for all."""
    marked = item.get_closest_marker("xdist_group")
    if marked:
        return str(marked.args[0])
    assert isinstance(item, pytest.Function)
    made = itertools.chain(*item._fixtureinfo.name2fixturedefs.values())
    return item.path.stem if any(one.scope == "module" for one in made) else None


@pytest.fixture(scope="session", autouse=True)
def components_are_looked_for_once() -> Iterator[None]:
    """A page under test would else read what every installed package says of itself, most of what drawing one costs."""
    with pytest.MonkeyPatch.context() as patch:
        once = cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", once)
        yield


@pytest.fixture(scope="session", autouse=True)
def empty_databases_are_copied() -> Iterator[None]:
    """Most tests begin with an empty home, and making its tables anew costs six times as much as copying those of one
    that this process has made."""
    make, models = upkeep.bring_up, dict[str, sqlite3.Connection]()

    def bring_up(engine: sa.Engine) -> None:
        if engine.dialect.name != "sqlite" or sa.inspect(engine).get_table_names():
            make(engine)
            return
        tables, pooled = upkeep.fingerprint(), engine.raw_connection()
        try:
            database = pooled.driver_connection
            assert isinstance(database, sqlite3.Connection)
            if tables in models:
                models[tables].backup(database)
            else:
                make(engine)
                models[tables] = sqlite3.connect(":memory:", check_same_thread=False)
                database.backup(models[tables])
        finally:
            pooled.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "bring_up", bring_up)
        yield


@pytest.fixture(scope="session", autouse=True)
def processes_are_forked_with_their_imports_done() -> None:
    """Each would else import for seconds what another test's server has not loaded."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.forked"])


@pytest.fixture(autouse=True)
def the_same_main_module() -> Iterator[None]:
    """A page under test takes the place of the main module, which processes begun later would then run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server; without one the test says so, and under CI it fails."""
    if postgres.binaries() is None:
        if os.environ.get("CI"):
            pytest.fail(postgres.MISSING)
        pytest.skip(postgres.MISSING)
    with postgres.server() as address:
        yield address


@pytest.fixture(scope="session")
def postgres_home(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Makes databases with every table and no row, as copies of one, since making tables takes half a second of CPU."""
    model = postgres.new_database(postgres_server)
    Warehouse.open(tmp_path_factory.mktemp("model"), model).database.dispose()
    return lambda: postgres.new_database(postgres_server, like=model)


BOTH_DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH_DATABASES)
def opener(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Warehouse]]:
    """Opens empty homes in given folders, once on SQLite and once on PostgreSQL."""
    new_database = request.getfixturevalue("postgres_home") if request.param == "postgres" else None
    opened: list[Warehouse] = []

    def home(folder: Path) -> Warehouse:
        opened.append(Warehouse.open(folder, new_database() if new_database else None))
        return opened[-1]

    yield home
    for one in opened:
        one.database.dispose()


@pytest.fixture
def warehouse(opener: Callable[[Path], Warehouse], tmp_path: Path) -> Warehouse:
    """An empty home, once on SQLite and once on PostgreSQL."""
    return opener(tmp_path / "home")
