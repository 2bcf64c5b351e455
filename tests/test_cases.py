"""A case is opened once per owner, moved by those who may along the machine, and what is answered in it holds."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from models import audit
from models.access import AccessRefused, Person
from models.cases import history, opening, queue, terms
from models.cases.acting import act, note, open_case
from models.cases.machine import BY_PEOPLE, Case, CaseRefused, Overtaken
from models.judgements import Together, judge_trading, withdraw_trading
from sql import schema
from sql.case_schema import (
    CASE_MOVES,
    CASE_NOTES,
    CASES,
    DISPOSITIONS,
    MOVES,
    OPEN,
    OWNER_STANDING,
    RISK_SCORE_HISTORY,
    SCORE_CALIBRATIONS,
)
from sql.warehouse import Warehouse
from tests.case_world import AS_OF, AUDE, MARIA, NOW, PAVEL, RITA, RUTH, Firm, pair, signal


def moved(firm: Firm, person: Person, action: str, case_id: str = "CASE-1", **more: Any) -> Case:
    """Acts on a case as it stands."""
    seen = firm.cases()[case_id]["version"]
    code = {"confirm": "account_passing", "dismiss": "innocent"}.get(action)
    said = {"reason": "looked at", "reason_code": code, "assignee": "ruth", "at": NOW} | more
    return act(firm.warehouse.database, person, case_id, action, seen, **said)


def passing(warehouse: Warehouse, **more: Any) -> Firm:
    """A firm in which one account was passed on, scored."""
    firm = Firm(warehouse, signals=[signal("A1")], **more)
    firm.score()
    return firm


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    """An empty home on SQLite, where the database makes no difference."""
    opened = Warehouse.open(tmp_path / "house")
    yield opened
    opened.database.dispose()


# --- opening --------------------------------------------------------------------------------------------------------


def test_one_case_per_owner_whatever_is_held_against_them(warehouse: Warehouse) -> None:
    firm = Firm(warehouse, owners={"T1": "owner-T1", "T2": "owner-T1"})
    firm.signals = [signal("A1"), signal("A1", "grid"), signal("A2", "latency_arbitrage"), signal("A3", "grid")]
    assert firm.score() == ["cases: 2 opened"]
    assert firm.foreseen == {"owner-T1", "T3"}, "what is judged before the cases are opened knows of them"
    assert {case["owner_id"] for case in firm.cases().values()} == {"owner-T1", "T3"}
    before = (firm.cases(), firm.read(CASE_MOVES), firm.read(OWNER_STANDING))
    assert firm.score() == []
    assert firm.foreseen == set()
    assert (firm.cases(), firm.read(CASE_MOVES), firm.read(OWNER_STANDING)) == before
    with warehouse.database.connect() as connection:
        assert audit.verify(connection) is None
        assert [one["actor"] for one in audit.recent(connection, action="case open")] == ["highwater"] * 2


@pytest.mark.parametrize(
    ("detector", "strength", "opens"),
    [
        ("account_passing", 0.64, False),
        ("account_passing", 0.66, True),
        ("something_new", 0.89, False),
        ("something_new", 0.9, True),
        ("inactivity", 1.0, False),
        ("recurring_breaches", 1.0, False),
    ],
)
def test_a_case_is_opened_from_the_thresholds_on(house: Warehouse, detector: str, strength: float, opens: bool) -> None:
    firm = Firm(house, signals=[signal("A1", detector, strength)])
    firm.score()
    assert bool(firm.cases()) is opens


def test_the_terms_have_versions_that_rise(tmp_path: Any) -> None:
    assert terms.in_force(AS_OF).version == 1
    text = terms.FILE.read_text()
    twice = tmp_path / "terms.toml"
    twice.write_text(text + text)
    with pytest.raises(ValueError, match="version 1 does not follow version 1"):
        terms.versions(twice)


def test_new_evidence_moves_an_open_case_and_takes_up_one_that_waits(house: Warehouse) -> None:
    firm = passing(house)
    moved(firm, RITA, "wait")
    firm.signals.append(signal("A1", "grid"))
    assert firm.score() == ["cases: 1 with new evidence"]
    case = firm.cases()["CASE-1"]
    assert (case["state"], case["assignee"]) == ("in_review", "rita")
    assert firm.read(CASE_MOVES)[-1]["reason"] == "New: grid of A1."
    with pytest.raises(Overtaken, match=r"highwater \(evidence\)"):
        act(house.database, RITA, "CASE-1", "dismiss", 3, reason="r", reason_code="innocent", at=NOW)


@pytest.mark.parametrize(("kind", "subject", "told"), [("pair", "A1|A2", "A1 and A2"), ("account", "A|1", "A|1")])
def test_evidence_about_a_pair_names_both_accounts(kind: str, subject: str, told: str) -> None:
    row = SimpleNamespace(detector="own copy", subject_kind=kind, subject_id=subject)
    assert opening._named(row) == f"own copy of {told}"


def test_owners_that_become_one_have_one_case(warehouse: Warehouse) -> None:
    firm = Firm(warehouse, signals=[signal("A1"), signal("A2")])
    firm.score()
    firm.owners = {"T1": "owner-T2", "T2": "owner-T2"}
    firm.score()
    cases = firm.cases()
    assert (cases["CASE-1"]["state"], cases["CASE-1"]["owner_id"]) == ("new", "owner-T2")
    assert (cases["CASE-2"]["state"], cases["CASE-2"]["joined_to"]) == ("joined", "CASE-1")
    assert firm.score() == []


# --- people ---------------------------------------------------------------------------------------------------------


def test_two_analysts_one_wins_the_other_is_told_who(warehouse: Warehouse) -> None:
    firm = passing(warehouse)
    act(warehouse.database, RITA, "CASE-1", "take", 1, at=NOW)
    with pytest.raises(Overtaken, match=r"rita \(take\): it is in review"):
        act(warehouse.database, RUTH, "CASE-1", "take", 1, at=NOW)
    with pytest.raises(CaseRefused, match="with rita: take it over"):
        moved(firm, RUTH, "confirm")
    assert moved(firm, RUTH, "assign").assignee == "ruth"
    assert moved(firm, RUTH, "confirm").state == "confirmed"


def test_many_analysts_at_once_take_a_case_once(warehouse: Warehouse) -> None:
    passing(warehouse)

    def take(number: int) -> int:
        try:
            act(warehouse.database, Person(f"analyst{number}", "risk_analyst"), "CASE-1", "take", 1, at=NOW)
        except Overtaken:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


@pytest.mark.parametrize("person", [PAVEL, AUDE, Person("paul", "partner_manager"), Person("eve", "nobody")])
def test_roles_without_the_permission_move_nothing(house: Warehouse, person: Person) -> None:
    firm = passing(house)
    for action in BY_PEOPLE:
        with pytest.raises(AccessRefused):
            moved(firm, person, action)
    with pytest.raises(AccessRefused):
        note(house.database, person, "CASE-1", "seen")
    with pytest.raises(AccessRefused):
        open_case(house.database, person, "T2", "why")
    assert len(firm.read(CASE_MOVES)) == 1


def test_cases_of_other_desks_are_out_of_reach(house: Warehouse) -> None:
    firm = passing(house)
    with pytest.raises(AccessRefused, match="desk"):
        moved(firm, dataclasses.replace(RITA, desks=("tokyo",)), "take")
    assert moved(firm, dataclasses.replace(RITA, desks=("prague", "tokyo")), "take").assignee == "rita"


@pytest.mark.parametrize(
    ("action", "more", "match"),
    [
        ("dismiss", {"reason": " "}, "say why"),
        ("dismiss", {"reason_code": "coordination"}, "reason of the list"),
        ("confirm", {"reason_code": None}, "reason of the list"),
        ("confirm", {"holds": [("account", "A9", "grid")]}, "no evidence"),
        ("assign", {"assignee": ""}, "to whom"),
        ("unfreeze", {}, "not recommended"),
        ("reopen", {}, "cannot be moved by reopen"),
        ("renew", {}, "cannot be moved by renew"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    house: Warehouse, action: str, more: dict[str, Any], match: str
) -> None:
    firm = passing(house)
    with pytest.raises(CaseRefused, match=match):
        moved(firm, RITA, action, **more)
    assert [len(firm.read(table)) for table in (CASE_MOVES, DISPOSITIONS)] == [1, 0]


def test_a_freeze_is_recommended_and_a_dismissal_takes_it_back(house: Warehouse) -> None:
    firm = passing(house)
    assert moved(firm, RITA, "freeze").to_freeze
    assert not moved(firm, RITA, "dismiss").to_freeze


def test_a_case_opened_by_hand_is_its_owners_only_one(house: Warehouse) -> None:
    firm = passing(house)
    case = open_case(house.database, MARIA, "T2", "A tip from the partner.", NOW)
    assert (case.case_id, case.state, case.assignee) == ("CASE-2", "in_review", "maria")
    with pytest.raises(CaseRefused, match="CASE-2 is about T2 already"):
        open_case(house.database, RITA, "T2", "why", NOW)
    with pytest.raises(CaseRefused, match="No account of T99"):
        open_case(house.database, RITA, "T99", "why", NOW)
    firm.signals.append(signal("A2"))
    assert firm.score() == ["cases: 1 with new evidence"]


def test_notes_are_kept_and_audited(house: Warehouse) -> None:
    firm = passing(house)
    note(house.database, RITA, "CASE-1", " Asked support. ", NOW)
    assert [(row["person"], row["note"]) for row in firm.read(CASE_NOTES)] == [("rita", "Asked support.")]
    with house.database.connect() as connection:
        assert audit.recent(connection, 1)[0]["action"] == "case note"


# --- the database itself --------------------------------------------------------------------------------------------


def _forged(action: str, old: str | None, new: str, version: int) -> dict[str, Any]:
    before = None if old is None else version - 1
    row = {"case_id": "CASE-1", "version": version, "version_before": before, "action": action, "from_state": old}
    row |= {"to_state": new, "person": "eve", "role": "x", "reason": "", "terms_version": 1, "happened_at": NOW}
    return row


def test_the_database_itself_refuses_illegal_moves(warehouse: Warehouse) -> None:
    firm = passing(warehouse)
    moved(firm, RITA, "take")
    bad: list[list[sa.Executable]] = [
        [sa.update(CASES).values(state="confirmed", reason_code="other", version=3)],
        [sa.update(CASES).values(version=4)],
        [sa.update(CASES).values(assignee=None, version=3)],
        [sa.delete(CASES)],
        [sa.update(CASE_MOVES).values(person="somebody")],
        [sa.delete(CASE_MOVES)],
        [sa.insert(CASE_MOVES).values(**_forged("take", "new", "confirmed", 3))],
        [sa.insert(CASE_MOVES).values(**_forged("renew", "dismissed", "new", 3))],
        [sa.insert(CASE_MOVES).values(**_forged("open", None, "new", 3))],
        [
            sa.insert(CASE_MOVES).values(**_forged("confirm", "in_review", "confirmed", 3)),
            sa.update(CASES).values(state="confirmed", version=3),
        ],
        [
            sa.insert(CASE_MOVES).values(**_forged("open", None, "new", 1) | {"case_id": "CASE-2"}),
            sa.insert(CASES).values(
                case_id="CASE-2", owner_id="T1", trader_id="T1", state="new", version=1, to_freeze=False, opened_at=NOW
            ),
        ],
    ]
    for statements in bad:
        with pytest.raises(sa.exc.DatabaseError), warehouse.database.begin() as connection:
            for statement in statements:
                connection.execute(statement)
    assert firm.cases()["CASE-1"]["state"] == "in_review"


# --- answers --------------------------------------------------------------------------------------------------------


def test_a_dismissed_case_stays_so_until_there_is_new_evidence(warehouse: Warehouse) -> None:
    firm = passing(warehouse)
    moved(firm, RITA, "dismiss")
    firm.signals = [signal("A1", days=14)]
    assert firm.score() == [], "trading on in the same way for two weeks is nothing new"
    firm.signals = [signal("A1", days=14.01)]
    assert firm.score() == ["cases: 1 renewed"]
    case = firm.cases()["CASE-1"]
    assert (case["state"], case["assignee"], case["reason_code"]) == ("new", None, None)
    told = firm.read(CASE_MOVES)[-1]["reason"]
    assert "A1 scores 87" in told and told.endswith("answered: account passing of A1."), told


def test_money_goes_first_and_without_it_what_came_back(warehouse: Warehouse) -> None:
    firm = passing(warehouse)
    moved(firm, RITA, "dismiss")
    found = read_answers(firm, "A1")
    assert found["outcome"].tolist() == ["dismissed"]
    later = AS_OF + dt.timedelta(days=15)
    firm.signals = [signal("A1", strength=0.91, days=15), signal("A2"), signal("A3")]
    firm.stakes = {"A3": 10.0}
    firm.score(later)
    with warehouse.database.connect() as connection:
        listed = queue.queue(connection, RITA)
        back = queue.queue(connection, RITA, back=True)
        assert queue.how_many(connection, RITA, back=True) == 1
    assert listed["owner_id"].tolist() == ["T3", "T1", "T2"], "T2 scores more and has as little at stake"
    assert back["owner_id"].tolist() == ["T1"]
    assert back["since_at"].tolist() == [later], "its age counts from its coming back"
    assert read_answers(firm, "A1")["fresh"].tolist() == [True]
    moved(firm, RITA, "take")
    with warehouse.database.connect() as connection:
        assert queue.how_many(connection, RITA, back=True) == 0, "somebody has it"


def read_answers(firm: Firm, account: str) -> pd.DataFrame:
    """The answers that hold about an account's signals."""
    with firm.warehouse.database.connect() as connection:
        return queue.answered(connection, [account])


def test_a_dismissed_pair_is_new_evidence_when_there_is_half_as_much_again(house: Warehouse) -> None:
    firm = Firm(house, pairs=[pair("A1", "A2")])
    firm.score()
    for case_id in ("CASE-1", "CASE-2"):
        moved(firm, RITA, "dismiss", case_id, reason_code="same_source")
    firm.pairs = [pair("A1", "A2", matched=14)]
    assert firm.score() == []
    firm.pairs = [pair("A1", "A2", matched=15)]
    assert firm.score() == ["cases: 2 renewed"]


def test_a_confirmed_case_comes_back_only_for_what_nobody_has_answered(house: Warehouse) -> None:
    firm = passing(house)
    moved(firm, RITA, "confirm")
    firm.signals = [signal("A1", days=60)]
    assert firm.score() == []
    firm.signals.append(signal("A1", "latency_arbitrage"))
    assert firm.score() == ["cases: 1 renewed"]


def test_answers_survive_the_runs_and_a_confirmed_signal_its_detector(house: Warehouse) -> None:
    firm = Firm(house, signals=[signal("A1", strength=0.8), signal("A1", "grid", 0.7)])
    firm.score()
    moved(firm, RITA, "confirm", holds=[("account", "A1", "account_passing")])
    told = {(row["detector"], row["outcome"]) for row in firm.read(DISPOSITIONS)}
    assert told == {("account_passing", "confirmed"), ("grid", "dismissed")}
    firm.score()
    assert _newest(firm, "A1") == (92.0, ["account_passing"]), "what was confirmed is certain, what was not is silent"
    firm.signals = []
    firm.score()
    assert _newest(firm, "A1") == (92.0, ["account_passing"])


def test_reopening_withdraws_the_answers(warehouse: Warehouse) -> None:
    firm = passing(warehouse)
    firm.score()
    before = _newest(firm, "A1")
    moved(firm, RITA, "dismiss")
    firm.score()
    assert _newest(firm, "A1") == (0.0, [])
    assert moved(firm, RUTH, "reopen").assignee == "ruth"
    firm.score()
    assert _newest(firm, "A1") == before


@pytest.mark.parametrize(("code", "labels"), [("innocent", 1), ("not_enough", 0), ("data", 0)])
def test_a_dismissal_that_says_nothing_about_the_detector_is_no_label(house: Warehouse, code: str, labels: int) -> None:
    firm = passing(house)
    moved(firm, RITA, "dismiss", reason_code=code)
    firm.score()
    with house.database.connect() as connection:
        learnt = history.learnt(connection).set_index("detector")
    assert learnt.loc["account_passing", "labels"] == labels
    assert learnt.loc["account_passing", "factor"] == 1.0, "one answer moves nothing"


# --- what was said is kept ------------------------------------------------------------------------------------------


def _newest(firm: Firm, account: str) -> tuple[float, list[str]]:
    rows = [row for row in firm.read(RISK_SCORE_HISTORY) if row["account_id"] == account]
    last = max(rows, key=lambda row: row["run_id"])
    return last["score"], [one["reason"] for one in json.loads(last["reasons"])]


def test_why_it_was_71_last_tuesday_has_an_answer(house: Warehouse) -> None:
    firm = passing(house)
    firm.score()
    assert len(firm.read(RISK_SCORE_HISTORY)) == 1, "nothing changed but the money, so nothing is kept twice"
    tuesday = AS_OF + dt.timedelta(days=4)
    firm.signals.append(signal("A1", "grid", 0.8))
    firm.score(tuesday)
    with house.database.connect() as connection:
        first = history.score_at(connection, "A1", tuesday - dt.timedelta(microseconds=1))
        then = history.score_at(connection, "A1", tuesday)
        assert history.score_at(connection, "A1", AS_OF - dt.timedelta(days=1)) is None
        assert history.score_at(connection, "A4", tuesday) is None
    assert first is not None and then is not None
    assert (first["score"], then["score"]) == (87.4, pytest.approx(93.95, abs=0.01))
    assert {one["reason"] for one in json.loads(then["reasons"])} == {"account_passing", "grid"}
    assert sum(one["points"] for one in json.loads(then["reasons"])) == pytest.approx(then["score"])


def test_enough_answers_move_the_weight_and_the_calibration_is_kept(warehouse: Warehouse) -> None:
    firm = Firm(warehouse, accounts=20, signals=[signal(f"A{n}") for n in range(1, 21)])
    firm.score()
    about = {case["owner_id"]: case_id for case_id, case in firm.cases().items()}
    last_case = about.pop("T20")
    for case_id in about.values():
        moved(firm, RITA, "dismiss", case_id)
    firm.score()
    assert _newest(firm, "A20")[0] == 87.4, "19 answers move nothing"
    moved(firm, RITA, "dismiss", last_case)
    firm.signals.append(signal("A1", days=30))
    firm.signals = firm.signals[1:]
    firm.score()
    assert _newest(firm, "A1")[0] < 30, "twenty of twenty were wrong: a flag of this detector means little"
    kept = [row for row in firm.read(SCORE_CALIBRATIONS) if row["detector"] == "account_passing"]
    assert [(row["labels"], row["confirmed"]) for row in sorted(kept, key=lambda row: row["run_id"])] == [
        (0, 0),
        (19, 0),
        (20, 0),
    ]
    last = max(kept, key=lambda row: row["run_id"])
    assert last["precision"] == 0 and 0.1 < last["high"] < 0.2, "0 of 20: at most one in seven or so"
    assert last["weight"] < 0.92 / 2


# --- the machine ----------------------------------------------------------------------------------------------------


class CaseMachine(RuleBasedStateMachine):
    """Random people try random things and runs come in between; whatever happens, moves and chain hold."""

    @initialize()
    def begin(self) -> None:
        """One case of an owner."""
        self.firm = passing(Warehouse.open(tempfile.mkdtemp(prefix="cases-")))
        self.days = 0.0

    @rule(
        person=st.sampled_from([RITA, RUTH, MARIA, PAVEL]),
        action=st.sampled_from(sorted({name for actions in MOVES.values() for name in actions})),
        late=st.sampled_from([False, False, False, True]),
    )
    def somebody_acts(self, person: Person, action: str, late: bool) -> None:
        """An act is a legal move by one who may, or changes nothing."""
        before = self.firm.cases()["CASE-1"]
        code = {"confirm": "other", "dismiss": "innocent"}.get(action)
        try:
            after = act(
                self.firm.warehouse.database,
                person,
                "CASE-1",
                action,
                before["version"] - int(late),
                reason="r",
                reason_code=code,
                assignee="ruth",
                at=NOW,
            )
        except (CaseRefused, AccessRefused):
            assert self.firm.cases()["CASE-1"] == before
            return
        assert not late and action in BY_PEOPLE and person is not PAVEL
        assert action in MOVES[before["state"]] or before["state"] == "new"
        assert after.version > before["version"]

    @rule(later=st.sampled_from([0.0, 1.0, 15.0]), detector=st.sampled_from(["account_passing", "grid"]))
    def a_run_comes(self, later: float, detector: str) -> None:
        """A run, perhaps with newer evidence; the same run again does nothing."""
        self.days += later
        self.firm.signals = [signal("A1", days=self.days), signal("A1", detector, 0.96, self.days)][-2:]
        if detector == "account_passing":
            self.firm.signals = self.firm.signals[:1]
        self.firm.score()
        assert self.firm.score() == []
        assert len([one for one in self.firm.cases().values() if one["state"] in OPEN]) <= 1
        with self.firm.warehouse.database.connect() as connection:
            assert audit.verify(connection) is None

    def teardown(self) -> None:
        """Closes the database."""
        if hasattr(self, "firm"):
            self.firm.warehouse.database.dispose()


TestCaseMachine = CaseMachine.TestCase
TestCaseMachine.settings = settings(
    max_examples=3, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize(("said", "score"), [("allowed", 0.0), ("dismissed", 0.0), ("ring", 93.0)])
def test_a_judgement_of_a_pair_binds_every_later_score_until_it_is_withdrawn(
    house: Warehouse, said: str, score: float
) -> None:
    firm = Firm(house, pairs=[pair("A1", "A2", strength=0.6)])

    def scored() -> float:
        with house.database.begin() as database:
            database.execute(sa.delete(schema.COPY_PAIRS))
            database.execute(sa.insert(schema.COPY_PAIRS), firm.pairs)
        firm.score()
        return max(float(row["score"]) for row in firm.read(schema.RISK_SCORES))

    first = scored()
    assert 0 < first < 93
    seen = Together("pair", "A1|A2", "mirror", ("A1", "A2"), 10)
    judged = judge_trading(house.database, RITA, seen, said, "asked them", ("prague",), "same_source", NOW)
    assert [scored(), scored()] == [score, score]
    withdraw_trading(house.database, RITA, judged, "asked again", ("prague",), NOW + dt.timedelta(hours=1))
    assert scored() == first
