"""A look at the firm while events flow says what the next scoring run says, and tells people what is new."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from models import catalogue
from models.access import Person
from pipelines import marts, report
from pipelines.live import alerts
from pipelines.live.backroom import Backroom
from pipelines.live.lookout import look
from pipelines.score import score
from pipelines.surveillance import Surveillance, survey
from sql import schema
from sql.live_schema import DELIVERIES
from sql.warehouse import Warehouse, read_frame
from tests.builders import Row, firm_rows, write_rulebook
from tests.live_parts import BRISK, key_for, push, running, until
from tests.test_score_same import MONDAY, firm, land, one_account

LOOKED = (schema.LINKS, schema.OWNERS, schema.COPY_PAIRS, schema.COPY_RINGS, schema.SIGNALS, schema.RISK_SCORES)
PERSON = {"full_name": "Ada Quist", "date_of_birth": "1990-04-02", "phone": "+4520111222", "email": "ada@quist.example"}


def firm_of_two(folder: Path) -> tuple[catalogue.Rulebook, dict[str, list[Row]]]:
    """Two traders who are one person by everything but their ids, and the logins that show it."""
    accounts = firm([one_account(0), one_account(-4000), one_account(-3000)])
    rows = firm_rows(accounts)
    rows["traders"] = [{**row, **PERSON} if row["trader_id"] != "T-A2" else row for row in rows["traders"]]
    rows["logins"] = [
        {
            "trader_id": f"T-A{n}",
            "occurred_at": MONDAY + dt.timedelta(hours=h),
            "ip": "203.0.113.9",
            "device_id": "d-77",
        }
        for n in (0, 1)
        for h in range(4)
    ]
    return catalogue.load(write_rulebook(folder / "rules", accounts)), rows


def tables(warehouse: Warehouse) -> dict[str, pd.DataFrame]:
    """What a look answers for, as text in one order."""
    found = {}
    with warehouse.database.connect() as database:
        for table in LOOKED:
            frame = read_frame(database, table).map(str)
            found[table.name] = frame.sort_values(list(frame.columns), ignore_index=True)
    return found


def owners(warehouse: Warehouse) -> int:
    """How many owners the traders have."""
    with warehouse.database.connect() as database:
        return int(database.execute(sa.select(sa.func.count(schema.OWNERS.c.owner_id.distinct()))).scalar() or 0)


def test_a_look_says_what_the_next_run_says(warehouse: Warehouse, tmp_path: Path) -> None:
    rulebook, rows = firm_of_two(tmp_path)
    logins = rows.pop("logins")
    land(warehouse, rows, "first")
    score(warehouse, rulebook)
    land(warehouse, {"logins": logins}, "later")
    with warehouse.database.begin() as database:
        report.schedule(database, Person("maria", "manager"), "daily", "day", "html", None, tmp_path / "reports")
    looked = look(warehouse, rulebook)
    assert looked is not None and looked.changed > 0
    written = list((tmp_path / "reports").iterdir())
    assert len(written) == 1 and "Management report" in written[0].read_text("utf-8")
    again = look(warehouse, rulebook)
    assert again is not None and (again.changed, again.gone) == (0, 0)
    assert list((tmp_path / "reports").iterdir()) == written
    before = tables(warehouse)
    score(warehouse, rulebook, full=True)
    assert all(frame.equals(before[name]) for name, frame in tables(warehouse).items())


def test_a_look_stands_back_while_a_run_is_under_way(tmp_path: Path) -> None:
    rulebook, rows = firm_of_two(tmp_path)
    warehouse = Warehouse.open(tmp_path / "home")
    land(warehouse, rows, "all")
    with warehouse.lock("score"):
        assert look(warehouse, rulebook) is None


def test_who_writes_while_a_run_detects_neither_waits_nor_is_overwritten(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rulebook, rows = firm_of_two(tmp_path)
    land(warehouse, rows, "all")
    status, later = schema.ACCOUNT_STATUS, MONDAY + dt.timedelta(days=9)
    stood = {"desk_id": "D1", "product": "p", "product_version": 1, "stage": "evaluation_1", "status": "active"}
    with warehouse.database.begin() as database:
        known = [{"account_id": row["account_id"], "trader_id": row["trader_id"]} for row in rows["accounts"]]
        database.execute(sa.insert(status), [one | stood for one in known])

    def meanwhile(*told: Any) -> Surveillance:
        with warehouse.database.begin() as other:
            if other.dialect.name == "sqlite":
                other.exec_driver_sql("pragma busy_timeout=0")
            mine = sa.update(status).where(status.c.account_id == "A0")
            other.execute(mine.values(status="breached", as_of=later))
        return survey(*told)

    monkeypatch.setattr("pipelines.across.survey", meanwhile)
    for full in (True, False):
        with warehouse.database.begin() as database:
            database.execute(sa.update(status).values(status="active", as_of=MONDAY))
        scored = score(warehouse, rulebook, full=full)
        with warehouse.database.connect() as database:
            query = sa.select(status.c.account_id, status.c.status, status.c.as_of).order_by(status.c.account_id)
            stands = [tuple(row) for row in database.execute(query)]
        assert stands[0] == ("A0", "breached", later), "somebody else judged it since"
        assert {at for _, _, at in stands[1:]} == {scored.as_of}
    monkeypatch.undo()
    score(warehouse, rulebook, full=True)
    assert stands_at(warehouse) == {scored.as_of}


@pytest.mark.parametrize("grown_mb, fresh", [(0, True), (1 << 20, False)])
def test_a_process_that_has_grown_makes_room_for_a_fresh_one(tmp_path: Path, grown_mb: int, fresh: bool) -> None:
    rulebook, rows = firm_of_two(tmp_path)
    warehouse = Warehouse.open(tmp_path / "home")
    land(warehouse, rows, "all")
    room = Backroom(warehouse, rulebook, grown_mb=grown_mb)
    numbers = []
    for _ in range(2):
        assert room.compact(1 << 20) == 0
        numbers.append(room._process.pid)
    room.close()
    assert (numbers[0] != numbers[1]) == fresh


def test_a_run_that_ended_is_settled_again(tmp_path: Path) -> None:
    """What a run wrote may be older than what the service had said of events that the run did not read."""
    rulebook, rows = firm_of_two(tmp_path)
    warehouse = Warehouse.open(tmp_path / "home")
    land(warehouse, rows, "all")
    with running(warehouse, rulebook):
        newest = score(warehouse, rulebook).as_of
        score(warehouse, rulebook, MONDAY)
        until(lambda: stands_at(warehouse) == {newest})


def stands_at(warehouse: Warehouse) -> set[dt.datetime]:
    """The instants that accounts stand at."""
    with warehouse.database.connect() as database:
        return set(database.execute(sa.select(schema.ACCOUNT_STATUS.c.as_of)).scalars())


def test_logins_that_arrive_join_two_traders_within_a_look_and_small_files_are_put_together(tmp_path: Path) -> None:
    rulebook, rows = firm_of_two(tmp_path)
    warehouse = Warehouse.open(tmp_path / "home")
    for number, deal in enumerate(rows["deals"]):
        land(warehouse, {"deals": [deal]}, f"deal {number}")
    with running(warehouse, rulebook, replace(BRISK, looking_seconds=0.2, compacted_files=2)) as service:
        key = key_for(service)
        for name in ("traders", "accounts", "challenges", "deals", "logins"):
            push(service, name, rows[name], key)
        until(lambda: owners(warehouse) == 2 and service.counts.compacted > 0)
    assert len(warehouse.lake_files("deals")) < len(rows["deals"])
    with warehouse.engine() as connection:
        assert connection.execute("select count(*) from lake.deals").fetchall() == [(len(rows["deals"]),)]


def test_a_flag_is_told_once_to_who_subscribed(tmp_path: Path) -> None:
    warehouse = Warehouse.open(tmp_path / "home")
    alerts.subscribe(warehouse, "analyst", "json://localhost", rule="martingale", outcomes=["flagged"])
    alerts.subscribe(warehouse, "analyst", "json://localhost", rule="grid", outcomes=["flagged"])
    one = {"subject": "A1", "desk_id": None, "rule": "martingale", "outcome": "flagged", "sentence": "Doubles."}
    with warehouse.database.begin() as database:
        for _ in range(2):
            alerts.raise_news(database, [{**one, "happened_at": MONDAY}], MONDAY)
        told = database.execute(sa.select(DELIVERIES.c.title, DELIVERIES.c.body)).all()
    assert [tuple(row) for row in told] == [("A1 martingale flagged", "Doubles.")]


def test_a_service_alone_brings_payout_reviews_and_pages(tmp_path: Path) -> None:
    """Nobody has to schedule a scoring run beside the service: one comes after the first events, others after news."""
    rulebook, rows = firm_of_two(tmp_path)
    warehouse = Warehouse.open(tmp_path / "home")
    with running(
        warehouse, rulebook, replace(BRISK, looking_seconds=0.2, scoring_seconds=0, scoring_rests=0)
    ) as service:
        key = key_for(service)
        for name in ("traders", "accounts", "challenges", "deals"):
            push(service, name, rows[name], key)
        until(lambda: marts.are_there(warehouse))
        request = {"payout_id": "R1", "account_id": "A0", "requested_at": MONDAY, "amount": 10}
        assert push(service, "payouts", [request], key)["rejected"] == []
        until(lambda: reviewed(warehouse) == ["R1"])
        until(lambda: service.counts.runs >= 2)


def reviewed(warehouse: Warehouse) -> list[str]:
    """Payout requests that have a review."""
    with warehouse.database.connect() as database:
        return list(database.execute(sa.select(schema.PAYOUT_REVIEWS.c.payout_id)).scalars())
