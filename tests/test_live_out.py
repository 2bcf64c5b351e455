"""What leaves the live service, and its care: actions arrive once and in order, alerts when they may, backups whole."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from models import audit, catalogue
from pipelines import care
from pipelines.land import land_frame
from pipelines.live import alerts, decisions, outbox
from pipelines.live.outbox import ATTEMPTS_MAX
from sql.desk_schema import AUDIT_LOG, PAYOUT_STATES
from sql.live_schema import DELIVERIES, OUTBOX
from sql.schema import METADATA
from sql.warehouse import Warehouse
from tests.builders import firm_rows, write_rulebook
from tests.live_parts import decided, key_for, push, running
from tests.test_score_same import firm, one_account

NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
FREEZE, RESTORE = ("A0", "freeze", "daily_loss", 1), ("A0", "restore", "daily_loss", 1)


@pytest.fixture
def house(warehouse: Warehouse) -> Warehouse:
    METADATA.create_all(warehouse.database)
    return warehouse


def put(house: Warehouse, *actions: tuple[str, str, str, int], at: dt.datetime = NOON) -> None:
    with house.database.begin() as database:
        decisions.act(database, actions, {"A0": "D1", "A1": "D1"}, at)


def states(house: Warehouse) -> list[tuple[str, str, int]]:
    with house.database.connect() as database:
        query = sa.select(OUTBOX.c.action, OUTBOX.c.state, OUTBOX.c.attempts).order_by(OUTBOX.c.created_at)
        return [tuple(row) for row in database.execute(query)]


class Platform:
    """A gateway that answers as it is told and keeps what it was sent."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.got: list[tuple[bytes, dict[str, str]]] = []

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.got.append((body, headers))
        return self.status


@pytest.mark.parametrize("mode, state", [("observe", "observed"), ("ask", "asked"), ("enforce", "waiting")])
def test_the_mode_of_the_desk_says_how_far_an_action_goes(house: Warehouse, mode: str, state: str) -> None:
    outbox.connect(house, "D1", "https://gateway.test", mode)
    put(house, FREEZE, FREEZE)
    assert states(house) == [("freeze", state, 0)]
    platform = Platform()
    assert outbox.deliver(house, NOON, platform.post) == (mode == "enforce")
    assert len(platform.got) == (mode == "enforce")


def test_a_desk_without_a_gateway_gets_no_actions(house: Warehouse) -> None:
    put(house, FREEZE)
    assert states(house) == []


def test_what_is_sent_is_signed(house: Warehouse) -> None:
    secret = outbox.connect(house, "D1", "https://gateway.test", "enforce")
    put(house, FREEZE)
    platform = Platform()
    outbox.deliver(house, NOON, platform.post)
    body, headers = platform.got[0]
    assert headers["X-Highwater-Signature"] == outbox.signature(secret, int(headers["X-Highwater-Timestamp"]), body)
    assert json.loads(body)["action"] == "freeze"
    assert json.loads(body)["id"] == headers["Idempotency-Key"]


def test_a_restore_never_overtakes_its_freeze(house: Warehouse) -> None:
    outbox.connect(house, "D1", "https://gateway.test", "enforce")
    put(house, FREEZE)
    put(house, RESTORE, at=NOON + dt.timedelta(seconds=1))
    platform = Platform(500)
    outbox.deliver(house, NOON + dt.timedelta(seconds=2), platform.post)
    assert states(house) == [("freeze", "waiting", 1), ("restore", "waiting", 0)]
    platform.status = 200
    assert outbox.deliver(house, NOON + dt.timedelta(seconds=2.9), platform.post) == 0
    assert outbox.deliver(house, NOON + dt.timedelta(seconds=3), platform.post) == 2
    assert [json.loads(body)["action"] for body, _ in platform.got] == ["freeze", "freeze", "restore"]


def test_what_fails_often_is_dead_until_a_person_decides(house: Warehouse) -> None:
    outbox.connect(house, "D1", "https://gateway.test", "enforce")
    put(house, FREEZE)
    now, platform = NOON, Platform(503)
    for attempt in range(1, ATTEMPTS_MAX + 2):
        outbox.deliver(house, now, platform.post)
        now += dt.timedelta(hours=1)
        state = "dead" if attempt >= ATTEMPTS_MAX else "waiting"
        assert states(house) == [("freeze", state, min(attempt, ATTEMPTS_MAX))]
    number = json.loads(platform.got[0][0])["id"]
    outbox.decide(house, number, send=True, who="ana")
    platform.status = 204
    assert outbox.deliver(house, dt.datetime.now(dt.UTC), platform.post) == 1
    with pytest.raises(outbox.OutboxRefused):
        outbox.decide(house, number, send=False, who="ana")


def verdict(at: dt.datetime = NOON, rule: str = "daily_loss") -> dict[str, Any]:
    evidence = json.dumps({"sentence": f"{rule} broken"})
    return {"account_id": "A0", "rule": rule, "outcome": "breached", "happened_at": at, "evidence": evidence}


def raise_for(house: Warehouse, *verdicts: dict[str, Any], at: dt.datetime = NOON) -> None:
    with house.database.begin() as database:
        alerts.raise_alerts(database, verdicts, {"A0": "D1"}, at)


class Post:
    """A messenger that keeps what it was given."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []

    def send(self, url: str, title: str, body: str) -> bool:
        self.got.append((title, body))
        return True


def test_a_case_is_told_once(house: Warehouse) -> None:
    alerts.subscribe(house, "risk", "json://localhost")
    post = Post()
    for _ in range(2):
        raise_for(house, verdict())
        alerts.tell(house, NOON, post.send)
    assert post.got == [("A0 daily_loss breached", "daily_loss broken")]


@pytest.mark.parametrize(
    "scope, told",
    [({}, 1), ({"desk_id": "D1"}, 1), ({"desk_id": "D2"}, 0), ({"rule": "max_loss"}, 0), ({"outcomes": ["passed"]}, 0)],
)
def test_only_what_was_subscribed_is_told(house: Warehouse, scope: dict[str, Any], told: int) -> None:
    alerts.subscribe(house, "risk", "json://localhost", **scope)
    raise_for(house, verdict())
    assert alerts.tell(house, NOON, Post().send) == told


@pytest.mark.parametrize("clock, told", [("21:59", 1), ("22:00", 0), ("23:59", 0), ("05:59", 0), ("06:00", 1)])
def test_quiet_hours_go_over_midnight_in_their_own_zone(house: Warehouse, clock: str, told: int) -> None:
    alerts.subscribe(house, "risk", "json://localhost", quiet=("22:00", "06:00"), zone="Asia/Kolkata")
    raise_for(house, verdict())
    local = dt.datetime.fromisoformat(f"2026-03-02T{clock}:00+05:30")
    assert alerts.tell(house, local.astimezone(dt.UTC), Post().send) == told


def test_a_digest_is_one_message_once_its_time_has_come(house: Warehouse) -> None:
    alerts.subscribe(house, "risk", "json://localhost", digest_minutes=15)
    raise_for(house, verdict(), verdict(rule="max_loss"))
    post = Post()
    assert alerts.tell(house, NOON + dt.timedelta(minutes=14, seconds=59), post.send) == 0
    assert alerts.tell(house, NOON + dt.timedelta(minutes=15), post.send) == 1
    assert post.got[0][0] == "2 verdicts" and "max_loss broken" in post.got[0][1]


def test_an_alert_that_never_arrives_is_failed_and_seen(house: Warehouse) -> None:
    alerts.subscribe(house, "risk", "json://localhost")
    raise_for(house, verdict())
    for _ in range(alerts.ATTEMPTS_MAX + 1):
        alerts.tell(house, NOON, lambda *_: False)
    with house.database.connect() as database:
        row = database.execute(sa.select(DELIVERIES)).mappings().one()
    assert (row["state"], row["attempts"]) == ("failed", alerts.ATTEMPTS_MAX)


@pytest.mark.parametrize("wrong", [{"url": "nonsense"}, {"zone": "Mars/Base"}, {"quiet": ("25:00", "06:00")}])
def test_a_subscription_that_cannot_work_is_refused(house: Warehouse, wrong: dict[str, Any]) -> None:
    with pytest.raises(alerts.AlertRefused):
        alerts.subscribe(house, "risk", **({"url": "json://localhost"} | wrong))


# --- care --------------------------------------------------------------------------------------------------------


def test_a_backup_restores_to_the_same_home(tmp_path: Path) -> None:
    accounts = firm([one_account()])
    rulebook = catalogue.load(write_rulebook(tmp_path / "rules", accounts))
    house = Warehouse.open(tmp_path / "home")
    with running(house, rulebook) as service:
        key = key_for(service)
        for name, rows in firm_rows(accounts).items():
            if rows:
                push(service, name, rows, key)
    told = care.backup(house, tmp_path / "backup")
    assert told["account_status"] == told["api_keys"] == 1
    other = Warehouse.open(tmp_path / "other")
    assert care.restore(other, tmp_path / "backup") == told
    assert all(frame.equals(decided(other)[name]) for name, frame in decided(house).items())
    with running(other, rulebook) as service:
        assert push(service, "deals", firm_rows(accounts)["deals"], key_for(service))["duplicates"] == 1
    with pytest.raises(care.CareRefused, match="in use"):
        care.restore(other, tmp_path / "backup")
    with pytest.raises(care.CareRefused, match="not empty"):
        care.backup(house, tmp_path / "backup")


REQUESTED: dict[str, Any] = {"payout_id": "Q1", "account_id": "A0", "desk_id": "D", "currency": "EUR"}
REQUESTED |= {"state": "requested", "version": 1, "profit_minor": 100, "approvals_needed": 1, "policy_version": 1}
REQUESTED |= {"transfers": 0, "updated_at": dt.datetime(2026, 3, 2, tzinfo=dt.UTC)}


def _decide(house: Warehouse) -> None:
    """A request that has moved, and a record of it."""
    with house.database.begin() as database:
        database.execute(sa.insert(PAYOUT_STATES).values(**REQUESTED))
        database.execute(sa.update(PAYOUT_STATES).values(state="checks_passed", version=2))
        audit.append(database, audit.Record("ann", "checked", "payout:Q1"))


def test_a_backup_of_one_database_restores_into_the_other(warehouse: Warehouse, tmp_path: Path) -> None:
    METADATA.create_all(warehouse.database)
    alerts.subscribe(warehouse, "risk", "json://localhost", quiet=("22:00", "06:00"))
    _decide(warehouse)
    rows = care.backup(warehouse, tmp_path / "backup")
    other = Warehouse.open(tmp_path / "other")
    assert care.restore(other, tmp_path / "backup") == rows
    with other.database.connect() as database:
        assert database.execute(sa.select(PAYOUT_STATES.c.state, PAYOUT_STATES.c.version)).all() == [
            ("checks_passed", 2)
        ]
        assert database.execute(sa.select(AUDIT_LOG)).all() and audit.verify(database) is None
    with pytest.raises(sa.exc.DBAPIError, match="begins as requested"), other.database.begin() as database:
        database.execute(sa.insert(PAYOUT_STATES).values(**REQUESTED | {"payout_id": "Q2", "state": "settled"}))
    shutil.rmtree(tmp_path / "backup" / "lake")
    (tmp_path / "backup" / care.MANIFEST).unlink()
    with pytest.raises(care.CareRefused, match="no complete backup"):
        care.restore(Warehouse.open(tmp_path / "third"), tmp_path / "backup")


def test_compacting_changes_files_and_no_record(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path / "home")
    for day in ("2026-03-02", "2026-03-03", "2026-03-04"):
        frame = pd.DataFrame({"currency": ["EUR"], "day": [day], "rate_to_usd": ["1.1"]})
        land_frame(house, "rates", frame, file=day, quick=True)
    with house.engine() as connection:
        before = connection.execute("select * from lake.rates order by all").fetchall()
    assert care.compact(house, 0) == [{"dataset": "rates", "before": 3, "after": 1, "removed": 3}]
    with house.engine() as connection:
        assert connection.execute("select * from lake.rates order by all").fetchall() == before
    assert land_frame(house, "rates", frame, file="again", quick=True).duplicates == 1
