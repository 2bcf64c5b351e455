"""The live service gives the batch's answers, whatever the order, the batches, the repeats and the corrections."""

from __future__ import annotations

import datetime as dt
import json
import random
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from models import catalogue
from pipelines import score as scoring
from pipelines.live import folding, settling
from pipelines.live.accepting import AHEAD, DeskRefused, Request, judge_requests, read_json
from pipelines.live.folding import TAIL_EVENTS, read_events
from pipelines.live.journal import Entry, Journal
from pipelines.live.keys import Key
from pipelines.live.service import Busy, Pace, Service, Steady
from pipelines.score import Scored, score
from sql.live_schema import OUTBOX, WEBHOOKS, WITHDRAWN_VERDICTS
from sql.schema import CHECKPOINTS, DATASETS
from sql.warehouse import Warehouse
from tests import postgres
from tests.builders import Row, firm_rows, write_rulebook
from tests.live_parts import BRISK, WALKED, body, decided, key_for, loads, push, running, until
from tests.test_score_same import MONDAY, drawn, firm, in_steps, land, one_account, shuffled, status_of, to_be_judged
from tests.walk_oracle import Observation


def check_full_run_changes_nothing(warehouse: Warehouse, rulebook: catalogue.Rulebook, full: bool = True) -> Scored:
    before = decided(warehouse)
    done = score(warehouse, rulebook, full=full)
    after = decided(warehouse)
    for name, frame in before.items():
        gone = frame.merge(after[name], how="outer", indicator=True).query("_merge != 'both'")
        assert gone.empty, f"{name}: {gone.to_dict('records')}"
    return done


def check_walks_from_the_start_change_nothing(warehouse: Warehouse, rulebook: catalogue.Rulebook) -> None:
    """What a full run would say of every account is what stands, evidence and instants included."""
    with warehouse.engine() as connection:
        stands_at, accounts = to_be_judged(connection, rulebook)
        judged = scoring.judge(connection, accounts, rulebook, stands_at)
    names = accounts["account_id"].tolist()
    assert settling._differing(warehouse, judged, names) == {name: set() for name in WALKED}
    status = decided(warehouse)["account_status"]
    assert sorted(status["account_id"]) == sorted(names) and set(status["as_of"]) == {str(pd.Timestamp(stands_at))}


def deliver(service: Service, rows: dict[str, list[Row]], chance: random.Random) -> None:
    """Sends rows of all datasets in random parts and turns, sometimes waiting for a landing between."""
    key = key_for(service)
    parts: list[tuple[str, list[Row]]] = []
    for name, listed in rows.items():
        place = 0
        while place < len(listed):
            size = chance.randint(1, 6)
            parts.append((name, listed[place : place + size]))
            place += size
    chance.shuffle(parts)
    for name, part in parts:
        answer = push(service, name, part, key)
        assert answer["accepted"] + answer["duplicates"] == len(part), answer
        if chance.random() < 0.1:
            time.sleep(0.3)


@pytest.mark.slow
def test_live_is_the_full_run(tmp_path: Path) -> None:
    """What a scoring run left, checkpoints included, live goes on with; and a scoring run with what live left."""
    accounts, chance = firm(drawn(24)), random.Random(7)
    rulebook = catalogue.load(write_rulebook(tmp_path / "rules", accounts))
    warehouse = Warehouse.open(tmp_path / "home")
    first, *steps = in_steps(firm_rows(accounts), chance)
    land(warehouse, first, "first")
    score(warehouse, rulebook)
    with running(warehouse, rulebook) as service:
        for step in steps:
            deliver(service, shuffled(step, chance), chance)
    assert check_full_run_changes_nothing(warehouse, rulebook, full=False).resumed
    check_full_run_changes_nothing(warehouse, rulebook)


@pytest.mark.parametrize("late_hours, begun", [(24, 1), (-1, 0)])
def test_a_late_event_goes_on_from_the_last_checkpoint_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late_hours: int, begun: int
) -> None:
    """After the last scoring run only what came since is read again, before it everything is."""
    rulebook, rows = opened(tmp_path, -100)
    warehouse, deal = Warehouse.open(tmp_path / "home"), rows["deals"][-1]
    land(warehouse, rows, "first")
    score(warehouse, rulebook)
    read: list[tuple[int, set[str]]] = []

    def watched(connection: Any, names: list[str], stored: Any) -> Any:
        found = read_events(connection, names, stored)
        read.append((stored.begun, set(found.deals[1]["deal_id"])))
        return found

    monkeypatch.setattr(folding, "read_events", watched)

    def after(hours: float, profit: int) -> Row:
        number = str(1000 + hours)
        at = deal["executed_at"] + dt.timedelta(hours=hours)
        return {**deal, "deal_id": number, "position_id": number, "executed_at": at, "profit": profit}

    with running(warehouse, rulebook, replace(BRISK, settling_seconds=3600, idle_seconds=3600)) as service:
        assert read == [(1, set())], "what the run has walked is not read again at the start"
        key = key_for(service)
        since = [after(48 + step, 10) for step in range(TAIL_EVENTS + 1)]
        push(service, "deals", since, key)
        until(lambda: journal_is_empty(service))
        late = after(late_hours, -20)
        push(service, "deals", [late], key)
        until(lambda: service.rows_waiting == 0)
        assert len(read) == 2 and read[1][0] == begun
        again = {str(row["deal_id"]) for row in (*since, *([] if begun else rows["deals"]))}
        # on a busy machine the late deal has landed before it is folded, and is read too
        assert read[1][1] - {late["deal_id"]} == again
        with warehouse.database.connect() as database:
            kept = database.execute(sa.select(sa.func.count()).select_from(CHECKPOINTS)).scalar()
        assert kept == begun, "a checkpoint that an event belongs before is let go"
    check_walks_from_the_start_change_nothing(warehouse, rulebook)


def journal_is_empty(service: Service) -> bool:
    """Whether everything that was taken has landed, and the folds know."""
    return (
        service.rows_waiting == 0 and not service.folding.pending and not any(service.journal.folder.glob("*.journal"))
    )


def opened(tmp_path: Path, profit: int = -6000) -> tuple[Any, dict[str, list[Row]]]:
    accounts = firm([one_account(profit)])
    return catalogue.load(write_rulebook(tmp_path / "rules", accounts)), firm_rows(accounts)


def test_a_deal_becomes_a_verdict_and_a_correction_withdraws_it(warehouse: Warehouse, tmp_path: Path) -> None:
    rulebook, rows = opened(tmp_path)
    _, corrected = opened(tmp_path, -5000)
    with running(warehouse, rulebook) as service:
        with warehouse.database.begin() as database:
            database.execute(sa.insert(WEBHOOKS).values(desk_id="D1", url="http://x", secret="s", mode="ask"))
        key = key_for(service)
        for name, listed in rows.items():
            if listed:
                push(service, name, listed, key)
        until(lambda: status_of(warehouse) == "breached")
        assert push(service, "deals", corrected["deals"], key)["accepted"] == 1
        until(lambda: status_of(warehouse) == "active")
    with warehouse.database.connect() as database:
        withdrawn = database.execute(sa.select(WITHDRAWN_VERDICTS)).mappings().all()
        actions = database.execute(sa.select(OUTBOX.c.action, OUTBOX.c.state).order_by(OUTBOX.c.created_at)).all()
        told = json.loads(database.execute(sa.select(OUTBOX.c.body)).scalars().first() or "")
    assert [(row["account_id"], row["rule"], row["outcome"]) for row in withdrawn] == [("A0", "daily_loss", "breached")]
    assert json.loads(withdrawn[0]["evidence"])["rule"]["percent"] == "5"
    assert (told["trader_id"], told["challenge_id"], told["stage"]) == ("T-A0", "C-A0", "evaluation_1")
    names = ("freeze", "close_positions", "offer_reset", "disable")
    assert [tuple(action) for action in actions] == [(name, "declined") for name in names], "nobody had answered"
    check_full_run_changes_nothing(warehouse, rulebook)


def test_a_settling_run_overwrites_nothing_that_came_after_what_it_read(tmp_path: Path) -> None:
    """Deals of an account that nobody knows yet come while its opening lands; by then the account is closed."""
    rulebook, rows = opened(tmp_path)
    ends = max(row["executed_at"] for row in rows["deals"]) + dt.timedelta(hours=1)
    closed = [{**row, "closed_at": ends} for row in rows["accounts"]]
    late = {"trader_id": rows["traders"][0]["trader_id"], "occurred_at": ends, "ip": "203.0.113.5"}
    warehouse = Warehouse.open(tmp_path / "home")
    # every landing is followed by a settling run, and nothing lands unless an account's own rows make it
    with running(warehouse, rulebook, replace(BRISK, landing_seconds=3600, settling_seconds=0)) as service:
        key, news = key_for(service), service.backroom.news
        settled_before: list[int] = []

        def meanwhile(digests: dict[str, int]) -> Any:
            told = news(digests)
            if told.changed and not service.folding.parked:
                push(service, "deals", rows["deals"], key)
                until(lambda: bool(service.folding.parked))
                settled_before.append(service.counts.settlings)
            return told

        service.backroom.news = meanwhile  # type: ignore[method-assign]
        push(service, "logins", [late], key)
        for name in ("traders", "challenges", "desks"):
            push(service, name, rows[name], key)
        push(service, "accounts", closed, key)
        until(lambda: status_of(warehouse) == "breached")
        until(lambda: service.counts.settlings > settled_before[0])
        assert status_of(warehouse) == "breached"
    assert status_of(warehouse) == "breached"
    check_walks_from_the_start_change_nothing(warehouse, rulebook)


def test_an_unknown_account_waits_and_is_judged_when_it_appears(tmp_path: Path) -> None:
    rulebook, rows = opened(tmp_path)
    warehouse = Warehouse.open(tmp_path / "home")
    with running(warehouse, rulebook) as service:
        key = key_for(service)
        push(service, "deals", rows["deals"], key)
        until(lambda: service.folding.parked == {"A0"})
        assert status_of(warehouse) is None
        for name in ("accounts", "traders", "challenges", "desks"):
            push(service, name, rows[name], key)
        until(lambda: status_of(warehouse) == "breached")
        assert service.folding.parked == set()
    check_walks_from_the_start_change_nothing(warehouse, rulebook)


def test_rows_in_are_rows_landed_duplicates_and_rejects(tmp_path: Path) -> None:
    rulebook, rows = opened(tmp_path)
    warehouse = Warehouse.open(tmp_path / "home")
    ahead = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    deal = rows["deals"][0]
    with running(warehouse, rulebook) as service:
        key = key_for(service)
        sent = [deal, deal, {**deal, "deal_id": "2", "executed_at": ahead}, {**deal, "deal_id": "3", "profit": "x"}]
        sent.append({**deal, "deal_id": "4", "profit": None})
        answer = push(service, "deals", sent, key)
        assert (answer["accepted"], answer["duplicates"]) == (1, 1)
        assert [(one["index"], one["column"]) for one in answer["rejected"]] == [
            (2, "executed_at"),
            (3, "profit"),
            (4, "profit"),
        ]
        assert push(service, "deals", [deal], key) == {"accepted": 0, "duplicates": 1, "rejected": []}
    told = loads(warehouse)[["rows", "landed", "duplicates", "rejects"]].sum()
    assert told.tolist() == [6, 1, 2, 3]


@pytest.mark.parametrize("micros, held", [(-1, 1), (0, 1), (1, 0)])
def test_a_clock_may_run_ahead_by_five_minutes_and_no_more(micros: int, held: int) -> None:
    row = {**firm_rows(firm([one_account()]))["deals"][0], "executed_at": MONDAY + AHEAD}
    row["executed_at"] += dt.timedelta(microseconds=micros)
    nobody = Key("k", "nobody", "", frozenset(), frozenset())
    request = Request(DATASETS["deals"], *read_json(DATASETS["deals"], body([row])), nobody)
    judged = judge_requests([request], MONDAY)[0]
    assert (judged.held.num_rows, len(judged.refused)) == (held, 1 - held)
    assert [one.value for one in judged.refused] == [json.loads(body([row]))[0]["executed_at"]] * (1 - held)


def test_what_is_no_record_is_told_as_it_was_sent() -> None:
    """It had been told in Python's words: None, True and {'a': '1'}."""
    sent = b'[null, true, 7, {"account_id": {"a": null}}, [false]]'
    _, _, broken = read_json(DATASETS["deals"], sent)
    assert [one.value for one in broken] == ["null", "true", "7", '{"a": null}', "[false]"]


def test_what_was_journalled_lands_at_the_next_start(tmp_path: Path) -> None:
    rulebook, rows = opened(tmp_path)
    warehouse = Warehouse.open(tmp_path / "home")
    with running(warehouse, rulebook, replace(BRISK, landing_seconds=3600)) as service:
        for name in ("deals",):
            push(service, name, rows[name], key_for(service))
        left = [(path.name, path.read_bytes()) for path in service.journal.folder.glob("*.journal")]
    assert len(left) == 1
    for name, content in left:
        (warehouse.home / "live" / "wal" / name).write_bytes(content + content[:40])
    with running(warehouse, rulebook):
        pass
    assert list((warehouse.home / "live" / "wal").iterdir()) == []
    assert loads(warehouse)["landed"].sum() == 1


def test_a_key_of_another_desk_is_refused_and_nothing_of_it_lands(tmp_path: Path) -> None:
    rulebook, rows = opened(tmp_path)
    warehouse = Warehouse.open(tmp_path / "home")
    with running(warehouse, rulebook) as service:
        key = key_for(service)
        for name in ("accounts", "challenges", "traders"):
            push(service, name, rows[name], key)
        until(lambda: "A0" in service.folding.book.codes)
        with pytest.raises(DeskRefused, match="account_id A0"):
            push(service, "deals", rows["deals"], key_for(service, desks=["D2"]))
        assert push(service, "deals", rows["deals"], key_for(service, desks=["D1"]))["accepted"] == 1
    found = loads(warehouse)
    assert found.loc[found["dataset"] == "deals", "rows"].sum() == 1


def test_more_than_may_wait_is_sent_away_with_a_time(tmp_path: Path) -> None:
    rulebook, rows = opened(tmp_path)
    with running(Warehouse.open(tmp_path / "home"), rulebook, Pace(waiting_rows_max=2)) as service:
        key = key_for(service)
        with pytest.raises(Busy) as busy:
            push(service, "deals", rows["deals"] * 3, key)
        assert busy.value.seconds >= 1
        assert push(service, "deals", rows["deals"] * 2, key)["duplicates"] == 1


def test_time_alone_changes_what_another_account_stands_at(tmp_path: Path) -> None:
    quiet = replace(one_account(), deals=[], observations=[Observation(MONDAY + dt.timedelta(hours=1), Decimal(97000))])
    accounts = firm([quiet, quiet])
    rulebook = catalogue.load(write_rulebook(tmp_path / "rules", accounts))
    warehouse = Warehouse.open(tmp_path / "home")
    rows = firm_rows(accounts)
    with running(warehouse, rulebook) as service:
        key = key_for(service)
        for name in ("accounts", "challenges", "traders", "equity"):
            push(service, name, rows[name], key)
        later = {**rows["equity"][0], "observed_at": MONDAY + dt.timedelta(days=3)}
        push(service, "equity", [later], key)
    check_walks_from_the_start_change_nothing(warehouse, rulebook)


@pytest.mark.postgres
@pytest.mark.slow
def test_a_server_that_is_stopped_and_started_loses_nothing(tmp_path: Path) -> None:
    if postgres.binaries() is None:
        pytest.skip(postgres.MISSING)
    rulebook, rows = opened(tmp_path)
    with postgres.stoppable() as server:
        warehouse = Warehouse.open(tmp_path / "home", postgres.new_database(server.address))
        service = Service(warehouse, rulebook, BRISK)
        service.start()
        key = key_for(service)
        for name in ("accounts", "challenges", "traders"):
            push(service, name, rows[name], key)
        until(lambda: status_of(warehouse) == "active")
        server.stop()
        assert push(service, "deals", rows["deals"], key)["accepted"] == len(rows["deals"])
        until(lambda: service.counts.failures >= 3)
        server.start()
        until(lambda: status_of(warehouse) == "breached")
        service.stop()
        assert deals_landed(loads(warehouse)) == len(rows["deals"])
        check_walks_from_the_start_change_nothing(warehouse, rulebook)


def deals_landed(told: Any) -> int:
    """Deals that landed."""
    return int(told.loc[told["dataset"] == "deals", "landed"].sum())


def test_a_clock_that_is_set_back_neither_refuses_nor_reorders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, now = Journal(tmp_path), time.time()
    clock = Steady()
    entry = Entry("rates", pa.table({"currency": ["EUR"], "_line": pa.array([0], pa.int64())}), ())
    first = journal.append([entry])
    journal.rotate()
    monkeypatch.setattr(time, "time_ns", lambda: 5)
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    second = journal.append([entry])
    again = Journal(tmp_path)
    third = again.append([entry])
    assert again.closed() == [first, second] and third > second
    assert clock.now().timestamp() >= now
