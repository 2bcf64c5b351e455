"""What tests of the live service share: a service in this process, and bodies of records."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from models.catalogue import Rulebook
from pipelines.live import keys
from pipelines.live.accepting import Request, read_json
from pipelines.live.keys import Key
from pipelines.live.service import Pace, Service
from sql import schema
from sql.schema import DATASETS
from sql.warehouse import Warehouse, read_frame
from tests.builders import Row, written

BRISK = Pace(landing_seconds=0.1, settling_seconds=0.6, idle_seconds=0.2, looking_seconds=3600, paging_seconds=3600)
PATIENCE_SECONDS = 60
WALKED = ("account_status", "verdicts", "account_days")


@contextmanager
def running(warehouse: Warehouse, rulebook: Rulebook, pace: Pace = BRISK) -> Iterator[Service]:
    """A service that has started; at the end everything is landed and settled."""
    service = Service(warehouse, rulebook, pace)
    service.start()
    try:
        yield service
    finally:
        service.stop()
        assert service.counts.failures == 0


def key_for(service: Service, *, desks: Sequence[str] = (), datasets: Sequence[str] = ()) -> Key:
    """A key in force."""
    key = service.keys.holder(keys.create(service.warehouse, "test", desks, datasets))
    assert key is not None
    return key


def body(rows: Sequence[Row]) -> bytes:
    """Rows as a JSON body; missing values are left out."""
    told = [{name: written(value) for name, value in row.items() if value is not None} for row in rows]
    return json.dumps(told).encode()


def until(condition: Callable[[], bool], seconds: float = 180) -> None:
    """Waits for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.02)


def push(service: Service, dataset: str, rows: Sequence[Row], key: Key) -> dict[str, Any]:
    """Sends rows and waits until they are acknowledged."""
    request = Request(DATASETS[dataset], *read_json(DATASETS[dataset], body(rows)), key)
    service.submit(request)
    return request.answer.result(PATIENCE_SECONDS)


def decided(warehouse: Warehouse) -> dict[str, pd.DataFrame]:
    """The tables of the walk as text, in order of their columns, evidence and instants included."""
    tables = {}
    with warehouse.database.connect() as database:
        for name in WALKED:
            frame = read_frame(database, schema.METADATA.tables[name]).map(str)
            tables[name] = frame.sort_values(list(frame.columns), ignore_index=True)
    return tables


def loads(warehouse: Warehouse) -> pd.DataFrame:
    """Every load."""
    with warehouse.database.connect() as database:
        return read_frame(database, schema.LOADS)


def recent(minutes: float) -> dt.datetime:
    """An instant some minutes ago, in whole seconds."""
    return (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes)).replace(microsecond=0)


def of(rows: Mapping[str, Sequence[Row]], *names: str) -> dict[str, Sequence[Row]]:
    """Some datasets of a feed."""
    return {name: rows[name] for name in names}
