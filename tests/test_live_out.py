"""What leaves the live service, and its care: actions arrive once and in order, alerts when they may, backups whole."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
import sqlalchemy as sa

import cli
from models import audit, catalogue
from models.access import AccessRefused, Person
from models.clock import to_micros
from pipelines import care
from pipelines.land import land_frame
from pipelines.live import alerts, decisions, outbox
from pipelines.live.decisions import Action
from pipelines.live.outbox import ATTEMPTS_MAX
from pipelines.live.silence import GAPS_MIN, Silence
from sql import schema
from sql.desk_schema import AUDIT_LOG, PAYOUT_STATES
from sql.live_schema import DELIVERIES, OUTBOX, WEBHOOKS
from sql.schema import METADATA
from sql.warehouse import Warehouse
from tests.builders import firm_rows, write_rulebook
from tests.live_parts import decided, key_for, push, running
from tests.test_score_same import firm, one_account

NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
FREEZE, RESTORE = (Action("A0", name, "daily_loss", 1) for name in ("freeze", "restore"))
ANA, BEN = Person("ana", "risk_analyst"), Person("ben", "manager")


@pytest.fixture
def house(warehouse: Warehouse) -> Warehouse:
    METADATA.create_all(warehouse.database)
    return warehouse


def put(house: Warehouse, *actions: Action, at: dt.datetime = NOON) -> None:
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


@pytest.mark.parametrize(
    "otherwise, states_of",
    [({}, ["waiting", "waiting"]), ({"restore": "ask"}, ["waiting", "asked"]), ({"restore": "off"}, ["waiting"])],
)
def test_an_action_may_go_less_far_than_the_desk(
    house: Warehouse, otherwise: dict[str, str], states_of: list[str]
) -> None:
    outbox.connect(house, "D1", "https://gateway.test", "enforce", otherwise)
    put(house, FREEZE, RESTORE)
    assert [state for _, state, _ in states(house)] == states_of


@pytest.mark.parametrize("wrong", [{"mode": "off"}, {"mode": "shout"}, {"otherwise": {"explode": "ask"}}])
def test_a_gateway_that_cannot_be_is_refused(house: Warehouse, wrong: dict[str, Any]) -> None:
    with pytest.raises(outbox.OutboxRefused):
        outbox.connect(house, "D1", "https://gateway.test", **({"mode": "ask"} | wrong))


BREACH = {"rule": "daily_loss", "outcome": "breached", "effect": "terminate", "happened_at": NOON}
SAID = ("daily_loss", "breached", to_micros(NOON), 94.0, 95.0)


def judged(
    house: Warehouse,
    *,
    taken_back: bool = False,
    at: dt.datetime = NOON,
    account: str = "A0",
    about: dict[str, str] | None = None,
    **said: str,
) -> None:
    """A breach of an account, or what else is `said`, is written, or withdrawn."""
    row = {
        "account_id": account,
        **BREACH,
        **said,
        "observed": 94.0,
        "allowed": 95.0,
        "product": "p",
        "product_version": 1,
    }
    new = pd.DataFrame([row | {"evidence": json.dumps({"sentence": "fell"})}])
    change = decisions.Change(new.iloc[:0] if taken_back else new, [(account, SAID)] if taken_back else [])
    with house.database.begin() as database:
        decisions.write_change(database, change, {account: "D1"}, at, lambda _: about or {})


def test_a_breach_freezes_closes_offers_and_after_a_day_disables(house: Warehouse) -> None:
    outbox.connect(house, "D1", "https://gateway.test", "enforce")
    judged(house)
    platform = Platform()
    for hours in (0, 23.99, 24):
        outbox.deliver(house, NOON + dt.timedelta(hours=hours), platform.post)
    told = [json.loads(body)["action"] for body, _ in platform.got]
    assert told == ["freeze", "close_positions", "offer_reset", "disable"]


@pytest.mark.parametrize(
    "outcome, effect, following, actions",
    [
        ("passed", "pass", {"next_stage": "funded"}, ["provision", "disable"]),
        ("passed", "pass", {}, ["disable"]),
        ("breached", "pause", {}, ["pause"]),
        ("warned", "warn", {}, []),
    ],
)
def test_a_pass_provisions_the_stage_that_follows_and_a_pause_pauses(
    house: Warehouse, outcome: str, effect: str, following: dict[str, str], actions: list[str]
) -> None:
    outbox.connect(house, "D1", "https://gateway.test", "enforce")
    for _ in range(2):
        judged(house, outcome=outcome, effect=effect, about={"login": "77"} | following)
    platform = Platform()
    outbox.deliver(house, NOON + dt.timedelta(hours=24), platform.post)
    told = [json.loads(body) for body, _ in platform.got]
    assert [one["action"] for one in told] == actions, "each once, however often the verdict is told"
    assert all(one["login"] == "77" and one.get("next_stage") == following.get("next_stage") for one in told)


@pytest.mark.parametrize("band, offers", [("medium", 1), ("high", 0), ("critical", 0)])
def test_who_is_suspected_is_offered_nothing(house: Warehouse, band: str, offers: int) -> None:
    outbox.connect(house, "D1", "https://gateway.test", "enforce")
    score = {"account_id": "A0", "trader_id": "T0", "score": 50, "band": band, "reasons": "[]", "as_of": NOON}
    with house.database.begin() as database:
        database.execute(sa.insert(schema.RISK_SCORES).values(**score, model_version="1"))
    judged(house)
    assert [action for action, *_ in states(house)].count("offer_reset") == offers


def test_a_withdrawn_breach_calls_off_what_has_not_gone_and_restores_what_has(house: Warehouse) -> None:
    outbox.connect(house, "D1", "https://gateway.test", "enforce")
    judged(house)
    judged(house, taken_back=True)
    assert {state for _, state, _ in states(house)} == {"declined"}, "nothing went, so nothing is restored"
    judged(house)
    platform = Platform()
    assert outbox.deliver(house, NOON, platform.post) == 3, "given again, it acts again"
    judged(house, taken_back=True)
    assert outbox.deliver(house, NOON, platform.post) == 1
    assert [json.loads(body)["action"] for body, _ in platform.got][-1] == "restore"
    assert outbox.deliver(house, NOON + dt.timedelta(days=2), platform.post) == 0, "and is not disabled any more"


def test_who_decides_needs_the_role_the_desk_and_a_reason_and_is_kept(house: Warehouse) -> None:
    outbox.connect(house, "D1", "https://gateway.test", "ask")
    put(house, FREEZE)
    number = FREEZE.number
    for person in (Person("aude", "auditor"), Person("ben", "manager", ("D2",))):
        with pytest.raises(AccessRefused):
            outbox.decide(house, number, send=True, person=person)
    with pytest.raises(outbox.OutboxRefused, match="reason"):
        outbox.decide(house, number, send=False, person=ANA)
    outbox.decide(house, number, send=False, person=ANA, reason="a platform error")
    with house.database.connect() as database:
        bodies = [json.loads(body) for body in database.execute(sa.select(AUDIT_LOG.c.body)).scalars()]
        assert audit.verify(database) is None
    kept = bodies[-1]
    assert (kept["actor"], kept["action"], kept["reason"]) == ("ana", "action declined", "a platform error")
    assert (kept["before"]["state"], kept["after"]["state"]) == ("asked", "declined")


def test_a_subscription_that_was_ended_tells_nothing_more_and_its_log_stays(house: Warehouse) -> None:
    number = alerts.subscribe(house, "risk", "json://localhost")
    raise_for(house, verdict())
    alerts.end(house, number)
    raise_for(house, verdict(rule="max_loss"))
    assert alerts.tell(house, NOON, Post().send) == 0
    assert [(row["role"], row["state"]) for row in alerts.log(house)] == [("risk", "ended")]
    with pytest.raises(alerts.AlertRefused):
        alerts.end(house, number)


def test_a_subscription_to_what_never_tells_anything_is_refused(house: Warehouse) -> None:
    """A rule mistyped was taken, and nobody would ever have been told of it."""
    with pytest.raises(alerts.AlertRefused, match="there is no rule or detector 'dayly_loss'"):
        alerts.subscribe(house, "risk", "json://localhost", rule="dayly_loss")
    assert {"daily_loss", "grid", "self_referral", "risk_score", "source"} <= set(alerts.CAUSES)


def test_an_address_is_shown_without_its_secret() -> None:
    assert alerts.shown_address("slack://xoxb-1234-secret-abcd/#risk") == "slack://…risk"
    assert "short" not in alerts.shown_address("tgram://short")


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


def test_a_platform_that_does_not_answer_holds_up_one_action_and_no_other_desk(house: Warehouse) -> None:
    for desk in ("D1", "D2"):
        outbox.connect(house, desk, f"https://{desk}.test", "enforce")
    actions = [Action(account, "freeze", "daily_loss", 1) for account in ("A0", "A1", "B0")]
    with house.database.begin() as database:
        decisions.act(database, actions, {"A0": "D1", "A1": "D1", "B0": "D2"}, NOON)
    tried: list[str] = []

    def send(url: str, body: bytes, headers: dict[str, str]) -> int:
        tried.append(url)
        if "D1" in url:
            raise requests.Timeout
        return 200

    assert outbox.deliver(house, NOON, send) == 1
    assert sorted(tried) == ["https://D1.test", "https://D2.test"]
    assert {(row["state"], row["attempts"]) for row in outbox.listed(house)} == {
        ("waiting", 1), ("waiting", 0), ("sent", 1)
    }  # fmt: skip
    assert outbox.deliver(house, NOON, Platform().post) == 1, "the next action of the desk is not made to wait"


def test_an_answer_that_takes_too_long_is_none(house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "TIMEOUT_SECONDS", 0.05)
    with socket.socket() as slow:
        slow.bind(("127.0.0.1", 0))
        slow.listen()
        outbox.connect(house, "D1", f"http://127.0.0.1:{slow.getsockname()[1]}", "enforce")
        put(house, FREEZE)
        assert outbox.deliver(house, NOON) == 0
    assert [(row["state"], row["said"]) for row in outbox.listed(house)] == [("waiting", "ReadTimeout")]


def test_a_pause_is_over_when_the_clock_was_set_back(house: Warehouse) -> None:
    outbox.connect(house, "D1", "https://gateway.test", "enforce")
    put(house, FREEZE)
    assert outbox.deliver(house, NOON, Platform(500).post) == 0
    assert outbox.deliver(house, NOON - dt.timedelta(minutes=9), Platform().post) == 0
    assert outbox.deliver(house, NOON - dt.timedelta(hours=3), Platform().post) == 1


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
    outbox.decide(house, number, send=True, person=ANA)
    platform.status = 204
    assert outbox.deliver(house, dt.datetime.now(dt.UTC), platform.post) == 1
    with pytest.raises(outbox.OutboxRefused):
        outbox.decide(house, number, send=False, person=ANA, reason="late")


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
    assert post.got == [("A0 daily loss breached", "daily_loss broken")]


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "nonsense"},
        {"zone": "Mars/Base"},
        {"quiet": ("25:00", "06:00")},
        {"outcomes": ["broken"]},
        {"escalate": (0, "json://localhost")},
        {"escalate": (5, "nonsense")},
    ],
)
def test_a_subscription_that_cannot_work_is_refused(house: Warehouse, wrong: dict[str, Any]) -> None:
    with pytest.raises(alerts.AlertRefused):
        alerts.subscribe(house, "risk", **({"url": "json://localhost"} | wrong))


@pytest.mark.parametrize("severity, told", [(1, 1), (2, 1), (3, 0)])
def test_only_what_is_grave_enough_is_told(house: Warehouse, severity: int, told: int) -> None:
    alerts.subscribe(house, "risk", "json://localhost", severity_min=severity)
    raise_for(house, verdict())
    assert alerts.tell(house, NOON, Post().send) == told


def test_what_nobody_opens_is_told_elsewhere_once(house: Warehouse) -> None:
    alerts.subscribe(house, "risk", "json://localhost", escalate=(15, "json://elsewhere"))
    raise_for(house, verdict(), verdict(rule="max_loss"))
    post = Post()
    assert alerts.tell(house, NOON, post.send) == 2
    opened = next(row["case_id"] for row in alerts.log(house) if "daily loss" in row["title"])
    alerts.opened(house, [opened], "ana")
    late = NOON + dt.timedelta(minutes=15)
    assert alerts.tell(house, late - dt.timedelta(microseconds=1), post.send) == 0
    assert [alerts.tell(house, late, post.send) for _ in range(2)] == [1, 0]
    assert post.got[2:] == [("Nobody has opened: A0 max loss breached", "max_loss broken")]
    with pytest.raises(alerts.AlertRefused):
        alerts.opened(house, [opened], "ben")


def test_a_feed_that_stopped_is_louder_than_a_breach(house: Warehouse) -> None:
    alerts.subscribe(house, "risk", "json://localhost", quiet=("00:00", "23:59"))
    silence, began = Silence(), NOON.timestamp()
    for number in range(GAPS_MIN + 1):
        silence.heard("equity", began + 30 * number)
    last = began + 30 * GAPS_MIN
    assert [silence.silent(last + seconds) for seconds in (150, 150.001)] == [{}, {"equity": pytest.approx(150.001)}]
    news = silence.news(last + 151)
    assert silence.news(last + 200) == []
    raise_for(house, verdict())
    with house.database.begin() as database:
        alerts.raise_news(database, news, NOON)
    post = Post()
    assert alerts.tell(house, NOON, post.send) == 1
    assert post.got[0][0] == "equity source silent" and "Nothing of equity has come for 151 s" in post.got[0][1]
    silence.heard("equity", last + 300)
    assert silence.silent(last + 301) == {} and silence.feeds["equity"].patience() == 150


def test_a_feed_of_which_little_is_known_raises_no_alarm() -> None:
    silence = Silence()
    for number in range(GAPS_MIN):
        silence.heard("deals", float(number))
    assert silence.silent(1e9) == {}


def test_the_database_holds_no_secret_that_signs(house: Warehouse) -> None:
    secret = outbox.connect(house, "D1", "https://gateway.test", "enforce")
    with house.database.connect() as database:
        held = database.execute(sa.select(WEBHOOKS.c.secret)).scalar_one()
    assert secret not in held and outbox.signing_secret(house, "D1", held) == secret
    other = Warehouse.open(house.home.parent / "stolen")
    assert outbox.signing_secret(other, "D1", held) != secret


def test_a_home_is_alerted_and_acted_for_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = Warehouse.open(tmp_path / "home", f"sqlite:///{tmp_path / 'home' / 'highwater.db'}")

    def run(*words: str) -> str:
        assert cli.main(["--home", str(house.home), "--json", *words]) == 0
        return capsys.readouterr().out

    assert len(json.loads(run("gateway", "set", "D1", "--url", "https://gateway.test", "--mode", "ask"))["secret"]) > 40
    run("alert", "subscribe", "--role", "risk", "--url", "json://localhost", "--quiet", "22:00", "06:00")
    put(house, FREEZE)
    raise_for(house, verdict())
    asked = json.loads(run("gateway", "list", "--state", "asked"))
    assert [(row["account_id"], row["action"]) for row in asked] == [("A0", "freeze")]
    run("gateway", "decline", asked[0]["outbox_id"], "--who", "ana", "--reason", "wrong account")
    told = json.loads(run("alert", "log"))
    assert [(row["role"], row["title"], row["state"]) for row in told] == [
        ("risk", "A0 daily loss breached", "waiting")
    ]
    run("alert", "opened", told[0]["case_id"], "--who", "ana")
    assert cli.main(["--home", str(house.home), "gateway", "send", asked[0]["outbox_id"], "--who", "ben"]) == 1
    assert "waits for nobody's decision" in capsys.readouterr().err


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
