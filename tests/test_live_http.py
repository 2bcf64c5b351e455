"""The interface of the live service: what it refuses and how, and that nothing sent to it breaks it."""

from __future__ import annotations

import errno
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import catalogue
from pipelines.live import app as live_app
from pipelines.live import keys, postbacks
from pipelines.live.app import ARROW, build
from pipelines.live.service import Service
from sql.schema import DATASETS
from sql.warehouse import Warehouse
from tests.builders import firm_rows, write_rulebook
from tests.live_parts import BRISK, body, until
from tests.test_score_same import firm, one_account

pytestmark = pytest.mark.xdist_group("live_http")  # its service is started once

Client = TestClient


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Client]]:
    """A service with one account on desk D1, and a client whose key reaches everything."""
    folder: Path = tmp_path_factory.mktemp("http")
    accounts = firm([one_account()])
    rulebook = catalogue.load(write_rulebook(folder / "rules", accounts))
    service = Service(Warehouse.open(folder / "home"), rulebook, BRISK)
    with TestClient(build(service), raise_server_exceptions=False) as client:
        until_ready(client)
        client.headers["Authorization"] = f"Bearer {keys.create(service.warehouse, 'all')}"
        for name, rows in firm_rows(accounts).items():
            if rows:
                assert client.post(f"/v1/{name}", content=body(rows)).status_code == 202
        end = time.monotonic() + 180
        while client.get("/v1/accounts/A0").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.05)
        yield service, client


def until_ready(client: Client) -> None:
    end = time.monotonic() + 180
    while client.get("/ready").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.05)


def bearer(service: Service, **scope: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {keys.create(service.warehouse, 'test', **scope)}"}


def test_an_account_is_told_with_its_verdicts(house: tuple[Service, Client]) -> None:
    told = house[1].get("/v1/accounts/A0").json()
    assert (told["status"], told["balance"], told["verdicts"][0]["rule"]) == ("breached", 94000.0, "daily_loss")


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer hw_x_y", "Basic abc", "Bearer hw__"])
def test_without_a_key_nothing_is_taken(house: tuple[Service, Client], token: str) -> None:
    answer = house[1].post("/v1/deals", content=b"[]", headers={"Authorization": token})
    assert answer.status_code == 401 and isinstance(answer.json()["detail"], str)


def test_a_revoked_key_ends_within_its_time_of_trust(house: tuple[Service, Client]) -> None:
    service, client = house
    headers = bearer(service)
    assert client.post("/v1/deals", content=b"[]", headers=headers).status_code == 202
    keys.revoke(service.warehouse, headers["Authorization"].split("_")[1])
    time.sleep(keys.TRUSTED_SECONDS + 0.1)
    assert client.post("/v1/deals", content=b"[]", headers=headers).status_code == 401


def test_a_key_reaches_its_desks_and_datasets_only(house: tuple[Service, Client]) -> None:
    service, client = house
    deal = body([{**firm_rows(firm([one_account()]))["deals"][0]}])
    other, own = bearer(service, desks=["D2"]), bearer(service, desks=["D1"], datasets=["deals"])
    assert client.post("/v1/deals", content=deal, headers=other).status_code == 403
    assert client.get("/v1/accounts/A0", headers=other).status_code == 404
    assert client.post("/v1/rates", content=b"[]", headers=other).status_code == 403
    assert client.post("/v1/equity", content=b"[]", headers=own).status_code == 403
    assert client.post("/v1/deals", content=deal, headers=own).json()["duplicates"] == 1


@pytest.mark.parametrize(
    "content, kind, code, words",
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"\xff\xfe", "application/json", 400, "not JSON"),
        (b"[" * 100_000, "application/json", 400, "not JSON"),
        (b"3", "application/json", 400, "neither a record nor a list"),
        (b"x", ARROW, 400, "not an Arrow IPC stream"),
        (b"a,b", "text/csv", 415, "text/csv"),
    ],
)
def test_a_body_that_cannot_be_read(
    house: tuple[Service, Client], content: bytes, kind: str, code: int, words: str
) -> None:
    answer = house[1].post("/v1/deals", content=content, headers={"Content-Type": kind})
    assert answer.status_code == code
    assert words in answer.json()["detail"]


def test_a_body_may_be_as_large_as_the_limit(house: tuple[Service, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_app, "BODY_BYTES_MAX", 100)
    for size, code in ((99, 202), (100, 202), (101, 413)):
        assert house[1].post("/v1/deals", content=b"[" + b" " * (size - 2) + b"]").status_code == code


def test_arrow_and_json_are_the_same_records(house: tuple[Service, Client]) -> None:
    rows = [{"currency": "EUR", "day": "2026-03-02", "rate_to_usd": "1.1"}]
    sink = io.BytesIO()
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    first = house[1].post("/v1/rates", content=sink.getvalue(), headers={"Content-Type": ARROW})
    assert first.json() == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert house[1].post("/v1/rates", json=rows).json()["duplicates"] == 1


def postback(house: tuple[Service, Client], sent_at: int | str, signed_with: str = "", **changed: str) -> Any:
    """A postback of event e1 by a key of its own, `changed` after it was signed."""
    service, client = house
    key_id = keys.create(service.warehouse, "partner", datasets=["clicks"]).split("_")[1]
    secret = signed_with or postbacks.signing_secret(service.warehouse, key_id)
    told = {"key": key_id, "event_id": "e1", "partner_id": "P1", "occurred_at": "2026-03-02T09:00:00Z"}
    told["sent_at"] = str(sent_at)
    signature = postbacks.sign(secret, list(told.items()))
    return client.get("/v1/postback", params=told | {"signature": signature} | changed)


def test_a_postback_counts_once_and_only_when_signed_and_fresh(house: tuple[Service, Client]) -> None:
    service, _ = house
    now = int(time.time())
    hashed = service.keys.named(keys.create(service.warehouse, "other").split("_")[1])
    assert hashed is not None
    assert postback(house, now).json() == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert postback(house, now - postbacks.REPLAY_SECONDS + 120).json()["duplicates"] == 1
    assert postback(house, now, partner_id="P2").status_code == 401
    assert postback(house, now, key="none").status_code == 401
    assert postback(house, now, signed_with=hashed.secret_hash).status_code == 401, "the database's own signs nothing"


@pytest.mark.parametrize(
    ("seconds", "code", "words"),
    [
        (-postbacks.REPLAY_SECONDS - 2, 401, "s ago"),
        (postbacks.REPLAY_SECONDS + 120, 401, "s from now"),
        (postbacks.REPLAY_SECONDS - 120, 202, "accepted"),
        (10**400, 401, "s from now"),
        (-(10**400), 401, "s ago"),
    ],
)
def test_a_postback_of_a_clock_that_is_off_is_refused_in_words_that_fit(
    house: tuple[Service, Client], seconds: int, code: int, words: str
) -> None:
    """Guards that who sends with a fast clock is not told that it was late, and that no number breaks the service."""
    answer = postback(house, int(time.time()) + seconds)
    assert (answer.status_code, words in answer.text) == (code, True), answer.text


@pytest.mark.parametrize("told", ["1.0", "soon", ""])
def test_a_postback_whose_time_is_no_number_of_seconds_is_refused(house: tuple[Service, Client], told: str) -> None:
    assert postback(house, told).status_code in (401, 422)


def test_a_disk_that_takes_no_more_is_told_and_nothing_is_taken(
    house: tuple[Service, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, client = house
    rate = [{"currency": "CHF", "day": "2026-03-02", "rate_to_usd": "1.1"}]

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.live.journal.os.fsync", full)
        answer = client.post("/v1/rates", json=rate)
    assert answer.status_code == 507 and int(answer.headers["Retry-After"]) > 0
    assert "the disk takes no more (No space left on device)" in answer.json()["detail"]
    assert client.post("/v1/rates", json=rate).json() == {"accepted": 1, "duplicates": 0, "rejected": []}
    until(lambda: service.rows_waiting == 0)


def test_a_database_that_is_away_is_told_and_known_keys_may_go_on(
    house: tuple[Service, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, client = house
    known, unknown = bearer(service), bearer(service)
    assert client.post("/v1/news", content=b"[]", headers=known).status_code == 202
    monkeypatch.setattr(keys, "TRUSTED_SECONDS", 0.0)

    def away(*_: object) -> None:
        raise sa.exc.OperationalError("select 1", None, Exception("gone"))

    monkeypatch.setattr(keys.Keyring, "_read", away)
    assert client.post("/v1/news", content=b"[]", headers=known).status_code == 202
    answer = client.post("/v1/news", content=b"[]", headers=unknown)
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    monkeypatch.setattr(keys, "AWAY_SECONDS_MAX", 0.0)
    assert client.post("/v1/news", content=b"[]", headers=known).status_code == 503


def test_a_key_sends_no_more_than_it_may(house: tuple[Service, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    service, client = house
    monkeypatch.setattr(keys, "BURST_SECONDS", 600)
    headers, deals = bearer(service, rows_per_second=1), firm_rows(firm([one_account()]))["deals"] * 600
    assert client.post("/v1/deals", content=body(deals), headers=headers).status_code == 202
    answer = client.post("/v1/deals", content=body(deals), headers=headers)
    assert answer.status_code == 429 and 1 <= int(answer.headers["Retry-After"]) <= 600
    assert "this key may send 1 rows a second" in answer.json()["detail"]


@pytest.mark.parametrize("seconds, wait", [(0.0, 1), (0.49, 1), (0.5, 0)])
def test_a_key_earns_rows_as_time_goes(seconds: float, wait: int) -> None:
    ring, key = keys.Keyring(Warehouse(Path("none"), "sqlite://")), keys.Key("k", "n", "", frozenset(), frozenset(), 2)
    assert ring.spend(key, 20, 100.0) == 0
    assert ring.spend(key, 1, 100.0 + seconds) == wait


def test_metrics_and_health_are_told_to_anyone(house: tuple[Service, Client]) -> None:
    told = house[1].get("/metrics", headers={"Authorization": ""}).text
    assert 'highwater_rows_total{dataset="deals",outcome="accepted"}' in told
    assert house[1].get("/health").json() == {"status": "alive"}


def test_the_page_of_the_interface_names_every_call(house: tuple[Service, Client]) -> None:
    paths = house[1].get("/openapi.json").json()["paths"]
    assert {"/v1/{dataset}", "/v1/accounts/{account_id}", "/v1/postback", "/health", "/ready", "/metrics"} == set(paths)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)
NAMES = st.sampled_from(sorted({name for dataset in DATASETS.values() for name in dataset.names})) | st.text()
RECORDS = st.dictionaries(NAMES, VALUES, max_size=8)
BODIES = st.binary(max_size=60) | (RECORDS | st.lists(RECORDS | VALUES, max_size=4) | VALUES).map(
    lambda told: json.dumps(told).encode()
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    dataset=st.sampled_from(sorted(DATASETS)) | st.text(max_size=5), content=BODIES, kind=st.sampled_from([ARROW, ""])
)
def test_nothing_sent_breaks_it(house: tuple[Service, Client], dataset: str, content: bytes, kind: str) -> None:
    answer = house[1].post(
        f"/v1/{quote(dataset, safe='')}", content=content, headers={"Content-Type": kind or "application/json"}
    )
    assert answer.status_code < 500, (answer.status_code, answer.text)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(account=st.text(min_size=1), query=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4))
def test_nothing_asked_breaks_it(house: tuple[Service, Client], account: str, query: dict[str, str]) -> None:
    names = ("key", "event_id", "partner_id", "occurred_at", "signature")
    signed = dict.fromkeys(names, account) | {"sent_at": "1"} | query
    for params in (query, signed):
        assert house[1].get("/v1/postback", params=params).status_code < 500
    if account not in (".", ".."):
        assert house[1].get(f"/v1/accounts/{quote(account, safe='')}").status_code < 500


def test_what_is_made_once_for_a_group_is_asked_for_by_one_worker(request: pytest.FixtureRequest) -> None:
    """Which the workers tell by the end of a test's name; without it each would start a service of its own."""
    workers = "PYTEST_XDIST_WORKER" in os.environ
    assert request.node.nodeid.endswith("@live_http") == workers
