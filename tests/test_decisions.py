"""Decisions hold: the machine, two people where two are needed, no double decision, nothing half done."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from models import audit, ledger
from models.access import AccessRefused, Person
from models.cases.acting import act as act_on_case
from models.cases.acting import open_case
from models.decisions import desk, machine
from models.decisions.desk import Overtaken, State, Strip
from models.decisions.machine import MoveRefused
from sql import schema
from sql.desk_schema import DECISIONS, MOVES, PAYOUT_NOTES, PAYOUT_STATES, PAYOUT_TRANSFERS
from sql.warehouse import Warehouse
from tests.desk_world import AUDE, MARIA, NOW, PAVEL, PETRA, RITA, add_request


def moved(warehouse: Warehouse, person: Person, payout_id: str, action: str, **more: object) -> State:
    """Acts on the request as it stands."""
    with warehouse.database.connect() as connection:
        state = desk.state_of(connection, payout_id)
    said = {"reason": "looked at", "reason_code": "override"} | more
    seen = state.version if state else 0
    return desk.act(warehouse.database, person, payout_id, action, seen, at=NOW, **said)  # type: ignore[arg-type]


def owed(warehouse: Warehouse) -> int:
    """What is owed to traders, minor units."""
    with warehouse.database.connect() as connection:
        return -ledger.balances(connection).get((ledger.PAYABLE, "EUR"), 0)


def test_clean_request_is_queued_by_one_person_and_owed_once(warehouse: Warehouse) -> None:
    add_request(warehouse)
    state = desk.act(warehouse.database, PAVEL, "Q1", "approve", at=NOW)
    assert (state.state, state.maker, state.trader_minor, state.firm_minor) == ("queued", "pavel", 80_000, 20_000)
    assert owed(warehouse) == 80_000
    with warehouse.database.connect() as connection:
        assert sum(ledger.balances(connection).values()) == 0
        assert connection.execute(sa.select(PAYOUT_TRANSFERS.c.transfer_id)).scalars().all() == ["Q1-1"]
        assert audit.verify(connection) is None


@pytest.mark.parametrize(
    ("said", "people"),
    [
        ({"usd": 9_999.99}, 1),
        ({"usd": 10_000.0}, 2),
        ({"usd": 49_999.99}, 2),
        ({"usd": 50_000.0}, 3),
        ({"usd": None}, 2),
        ({"paid_before": 0}, 2),
        ({"payee": "failed"}, 2),
        ({"payee": "unknown"}, 2),
    ],
)
def test_how_many_people_must_agree(warehouse: Warehouse, said: dict[str, object], people: int) -> None:
    add_request(warehouse, **said)  # type: ignore[arg-type]
    with warehouse.database.connect() as connection:
        told, _ = desk.who_must_agree(connection, "Q1", override=False)
    state = desk.act(warehouse.database, PAVEL, "Q1", "approve", at=NOW)
    assert (told, state.approvals_needed) == (people, people)
    assert state.state == ("queued" if people == 1 else "second_approval")


def test_why_a_second_person_is_needed_is_told_ahead_and_kept_with_the_decision(warehouse: Warehouse) -> None:
    add_request(warehouse, usd=10_000.0, paid_before=0)
    with warehouse.database.connect() as connection:
        ahead = [desk.who_must_agree(connection, "Q1", override=departs)[1] for departs in (False, True)]
    assert ahead == ["amount, first payout", "amount, first payout, departs from the recommendation"]
    moved(warehouse, PAVEL, "Q1", "approve")
    submitted = sa.select(DECISIONS.c.person, DECISIONS.c.reason).where(DECISIONS.c.action == "submit")
    with warehouse.database.connect() as connection:
        assert tuple(connection.execute(submitted).one()) == ("highwater", "amount, first payout")


def test_nobody_is_offered_what_somebody_else_must_agree_to(warehouse: Warehouse) -> None:
    add_request(warehouse, usd=60_000.0)
    first = moved(warehouse, PAVEL, "Q1", "approve")
    assert desk.open_to(PAVEL, first.state, first) == []
    assert desk.open_to(PETRA, first.state, first) == ["confirm", "refuse"]
    second = moved(warehouse, PETRA, "Q1", "confirm")
    assert desk.open_to(PETRA, second.state, second) == ["refuse"]
    assert desk.open_to(MARIA, second.state, second) == ["confirm", "refuse"]


def test_maker_is_never_checker_and_finance_is_a_third(warehouse: Warehouse) -> None:
    add_request(warehouse, usd=60_000.0)
    moved(warehouse, PAVEL, "Q1", "approve")
    with pytest.raises(MoveRefused, match="somebody else"):
        moved(warehouse, PAVEL, "Q1", "confirm")
    assert moved(warehouse, PETRA, "Q1", "confirm").state == "finance_approval"
    with pytest.raises(AccessRefused):
        moved(warehouse, Person("peter", "payout_reviewer"), "Q1", "confirm")
    assert owed(warehouse) == 0
    assert moved(warehouse, MARIA, "Q1", "confirm").state == "queued"
    assert owed(warehouse) == 80_000


def test_two_reviewers_one_wins_the_other_is_told_who(warehouse: Warehouse) -> None:
    add_request(warehouse)
    desk.act(warehouse.database, PAVEL, "Q1", "reject", 0, reason="copied", reason_code="copying", at=NOW)
    with pytest.raises(Overtaken, match=r"pavel \(reject\): it is rejected"):
        desk.act(warehouse.database, PETRA, "Q1", "approve", 0, at=NOW)


def test_deducting_named_trades_is_previewed_and_paid_to_the_cent(warehouse: Warehouse) -> None:
    add_request(warehouse)
    strips = [Strip("7", 10_001), Strip("8", 2)]
    state = moved(warehouse, PAVEL, "Q1", "deduct", strips=strips)
    assert (state.trader_minor, state.firm_minor, state.deducted_minor) == (71_998, 17_999, 10_003)
    assert state.state == "second_approval"
    with pytest.raises(MoveRefused, match="reject it"):
        add_request(warehouse, "Q2")
        moved(warehouse, PAVEL, "Q2", "deduct", strips=[Strip("7", 100_000)])


def test_a_trade_that_a_rule_has_taken_is_not_stripped_again(warehouse: Warehouse) -> None:
    add_request(warehouse, deductions="100", recommendation="deduct", stripped=["7"])
    with pytest.raises(MoveRefused, match="Trade 7 is deducted already: holding time"):
        moved(warehouse, PAVEL, "Q1", "deduct", strips=[Strip("7", 10_000)])
    state = moved(warehouse, PAVEL, "Q1", "deduct", strips=[Strip("8", 1)])
    assert (state.trader_minor, state.firm_minor, state.deducted_minor) == (71_999, 18_000, 10_001)


def test_departing_from_the_review_needs_a_reason_and_its_code(warehouse: Warehouse) -> None:
    add_request(warehouse, recommendation="review")
    with pytest.raises(MoveRefused, match="reason"):
        desk.act(warehouse.database, PAVEL, "Q1", "approve", at=NOW)
    assert moved(warehouse, PAVEL, "Q1", "approve").state == "second_approval"


def test_appeal_goes_to_somebody_else_and_an_overturned_one_to_a_second(warehouse: Warehouse) -> None:
    add_request(warehouse)
    moved(warehouse, PAVEL, "Q1", "reject", reason_code="data")
    moved(warehouse, PETRA, "Q1", "appeal")
    with pytest.raises(MoveRefused, match="somebody else"):
        moved(warehouse, PAVEL, "Q1", "overturn")
    assert moved(warehouse, PETRA, "Q1", "overturn").state == "second_approval"
    assert moved(warehouse, MARIA, "Q1", "confirm").state == "queued"


def test_a_failed_transfer_goes_again_under_another_id_and_settles_once(warehouse: Warehouse) -> None:
    add_request(warehouse)
    for action in ("approve", "send", "fail", "requeue", "send", "settle"):
        moved(warehouse, PAVEL, "Q1", action) if action != "approve" else desk.act(
            warehouse.database, PAVEL, "Q1", "approve", at=NOW
        )
    with pytest.raises(MoveRefused, match="cannot be moved by settle"):
        moved(warehouse, PAVEL, "Q1", "settle")
    assert owed(warehouse) == 0
    with warehouse.database.connect() as connection:
        query = sa.select(PAYOUT_TRANSFERS.c.transfer_id).order_by(PAYOUT_TRANSFERS.c.attempt)
        assert connection.execute(query).scalars().all() == ["Q1-1", "Q1-2"]


def test_a_returned_transfer_is_owed_again_until_cancelled(warehouse: Warehouse) -> None:
    add_request(warehouse)
    desk.act(warehouse.database, PAVEL, "Q1", "approve", at=NOW)
    for action, due in (("send", 80_000), ("settle", 0), ("return", 80_000), ("cancel", 0)):
        moved(warehouse, PAVEL, "Q1", action)
        assert owed(warehouse) == due


def test_what_is_held_cannot_be_paid(warehouse: Warehouse) -> None:
    with pytest.raises(MoveRefused, match="not been reviewed"):
        desk.act(warehouse.database, PAVEL, "Q404", "approve", at=NOW)
    add_request(warehouse, "Q2", paid=True)
    with pytest.raises(MoveRefused, match="paid already"):
        desk.act(warehouse.database, PAVEL, "Q2", "approve", at=NOW)


@pytest.mark.parametrize("person", [RITA, AUDE, Person("paul", "partner_manager"), Person("eve", "nobody")])
def test_roles_without_the_permission_move_nothing(warehouse: Warehouse, person: Person) -> None:
    add_request(warehouse)
    for action in machine.PERMISSIONS:
        with pytest.raises(AccessRefused):
            moved(warehouse, person, "Q1", action)


def test_other_desks_requests_are_out_of_reach(warehouse: Warehouse) -> None:
    add_request(warehouse)
    stranger = dataclasses.replace(PAVEL, desks=("london",))
    with pytest.raises(AccessRefused, match="desk"):
        desk.act(warehouse.database, stranger, "Q1", "approve", at=NOW)


def test_the_database_itself_refuses_illegal_moves(warehouse: Warehouse) -> None:
    add_request(warehouse)
    moved(warehouse, PAVEL, "Q1", "take")
    table = PAYOUT_STATES
    bad = [
        sa.update(table).values(state="settled", version=table.c.version + 1),
        sa.update(table).values(state="cancelled"),
        sa.update(table).values(state="approved", version=table.c.version + 2),
        sa.update(table).values(state="approved", version=table.c.version + 1, maker="x", checker="x"),
        sa.delete(table),
        sa.update(DECISIONS).values(person="somebody"),
        sa.delete(DECISIONS),
    ]
    for statement in bad:
        with pytest.raises(sa.exc.DatabaseError), warehouse.database.begin() as connection:
            connection.execute(statement)


def test_batch_tells_of_each_and_pays_only_the_clean(warehouse: Warehouse) -> None:
    add_request(warehouse, "Q1")
    add_request(warehouse, "Q2", recommendation="review")
    add_request(warehouse, "Q3", paid_before=0)
    add_request(warehouse, "Q4")
    told = desk.approve_clean(warehouse.database, PAVEL, ["Q1", "Q2", "Q3", "Q4", "Q5", "Q1"], at=NOW)
    assert [one.done for one in told] == [True, False, True, True, False, False]
    assert "waits for 1 more" in told[2].told
    assert owed(warehouse) == 160_000


def test_what_an_analyst_wants_frozen_is_not_paid_in_one_go_and_not_by_one_person(warehouse: Warehouse) -> None:
    """It holds from the recommendation on, not from the next run, and is gone when it is taken back."""
    add_request(warehouse, "Q1")
    add_request(warehouse, "Q2")
    case = open_case(warehouse.database, RITA, "T-Q1", "A tip.", NOW)
    frozen = act_on_case(warehouse.database, RITA, case.case_id, "freeze", case.version, reason="one device", at=NOW)
    told = desk.approve_clean(warehouse.database, PAVEL, ["Q1", "Q2"], at=NOW)
    assert [one.done for one in told] == [False, True]
    assert told[0].told == f"{case.case_id} recommends a freeze: open it."
    with pytest.raises(MoveRefused, match=f"{case.case_id} recommends a freeze: to approve give a reason"):
        moved(warehouse, PAVEL, "Q1", "approve", reason="")
    with warehouse.database.connect() as connection:
        needed = desk.who_must_agree(connection, "Q1", override=False, at=NOW)
    assert needed == (2, f"{case.case_id} recommends a freeze")
    assert moved(warehouse, PAVEL, "Q1", "approve").state == "second_approval"
    moved(warehouse, PETRA, "Q1", "refuse")
    done = {"reason": "a household", "reason_code": "household", "at": NOW}
    act_on_case(warehouse.database, RITA, case.case_id, "dismiss", frozen.version, **done)  # type: ignore[arg-type]
    assert moved(warehouse, PAVEL, "Q1", "approve", reason="").state == "queued"


def test_a_case_that_was_opened_since_the_run_is_not_paid_in_one_go(warehouse: Warehouse) -> None:
    """The review says so from its opening on, as the next run will: of the owner's requests, and of their ring's."""
    for payout_id in ("Q1", "Q2", "Q3"):
        add_request(warehouse, payout_id)
    ring = [{"ring_id": "ring-1", "kind": "ring", "account_id": one, "strength": 0.9} for one in ("A-Q1", "A-Q2")]
    with warehouse.database.begin() as connection:
        connection.execute(sa.insert(schema.COPY_RINGS), ring)
    case = open_case(warehouse.database, RITA, "T-Q1", "A tip.", NOW)
    told = desk.approve_clean(warehouse.database, PAVEL, ["Q1", "Q2", "Q3"], at=NOW)
    assert [one.done for one in told] == [False, False, True]
    assert told[0].told == "The review says review: The case about the owner is in review. Open it."
    assert told[1].told == "The review says review: The case about T-Q1 of the ring is in review. Open it."
    with pytest.raises(MoveRefused, match=r"to approve give a reason\.$"):
        moved(warehouse, PAVEL, "Q1", "approve", reason="")
    with pytest.raises(MoveRefused, match=r"to approve give a reason and a reason of the list\.$"):
        moved(warehouse, PAVEL, "Q1", "approve", reason="", reason_code="")
    with pytest.raises(MoveRefused, match=r"to approve give a reason of the list\.$"):
        moved(warehouse, PAVEL, "Q1", "approve", reason_code="")
    with warehouse.database.connect() as connection:
        assert desk.who_must_agree(connection, "Q1", override=True, at=NOW)[0] == 2
    done = {"reason": "a household", "reason_code": "household", "at": NOW}
    act_on_case(warehouse.database, RITA, case.case_id, "dismiss", case.version, **done)  # type: ignore[arg-type]
    assert all(one.done for one in desk.approve_clean(warehouse.database, PAVEL, ["Q1", "Q2"], at=NOW))


def test_many_reviewers_at_once_decide_each_request_once(warehouse: Warehouse) -> None:
    people = 8 if warehouse.database.dialect.name == "sqlite" else 50
    requests = [add_request(warehouse, f"Q{n}") for n in range(6)]

    def review(number: int) -> int:
        person, won = Person(f"reviewer{number}", "payout_reviewer"), 0
        for payout_id in requests:
            desk.note(warehouse.database, person, payout_id, f"seen by {number}", at=NOW)
            try:
                desk.act(warehouse.database, person, payout_id, "approve", 0, at=NOW)
                won += 1
            except Overtaken:
                pass
        return won

    with ThreadPoolExecutor(people) as pool:
        assert sum(pool.map(review, range(people))) == len(requests)
    with warehouse.database.connect() as connection:
        notes = connection.execute(sa.select(sa.func.count()).select_from(PAYOUT_NOTES)).scalar_one()
        assert notes == people * len(requests)
        assert audit.verify(connection) is None
    assert owed(warehouse) == 80_000 * len(requests)


_KILLED = """
import sys
sys.path.insert(0, {root!r})
from models.decisions import desk
from sql.warehouse import Warehouse
from tests.desk_world import PAVEL
warehouse, ids = Warehouse.open({home!r}, {url!r}), [f"Q{{n}}" for n in range({count})]
desk.BATCH_ITEMS = {part}
print("ready", flush=True)
if {part}:
    desk.approve_clean(warehouse.database, PAVEL, ids)
for one in ids if not {part} else ():
    desk.act(warehouse.database, PAVEL, one, "approve")
"""


@pytest.mark.parametrize(("count", "part"), [(120, 20), (60, 0)], ids=["batch", "one by one"])
def test_a_killed_reviewer_leaves_whole_decisions_only(warehouse: Warehouse, count: int, part: int) -> None:
    with warehouse.database.begin() as connection:
        ids = [add_request(connection, f"Q{n}") for n in range(count)]
    url = warehouse.database.url.render_as_string(hide_password=False)
    code = _KILLED.format(root=str(Path.cwd()), home=str(warehouse.home), url=url, count=count, part=part)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(60_000):
        if _states(warehouse):
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    states = _states(warehouse)
    assert states
    assert set(states) <= {"queued"}
    assert len(states) % (part or 1) == 0
    with warehouse.database.connect() as connection:
        assert audit.verify(connection) is None
        transfers = connection.execute(sa.select(sa.func.count()).select_from(PAYOUT_TRANSFERS)).scalar_one()
        assert transfers == len(states)
    assert owed(warehouse) == 80_000 * len(states)
    told = desk.approve_clean(warehouse.database, PAVEL, ids)
    assert sum(one.done for one in told) == count - len(states)
    assert owed(warehouse) == 80_000 * count


def _states(warehouse: Warehouse) -> list[str]:
    with warehouse.database.connect() as connection:
        return list(connection.execute(sa.select(PAYOUT_STATES.c.state)).scalars())


class DeskMachine(RuleBasedStateMachine):
    """Random people try random things; whatever happens, the books and the chain hold."""

    @initialize(amount=st.sampled_from(["1000.00", "0.01", "123.45"]), usd=st.sampled_from([10.0, 10_000.0, 50_000.0]))
    def begin(self, amount: str, usd: float) -> None:
        """One request on an empty desk."""
        self.warehouse = Warehouse.open(_home())
        add_request(self.warehouse, amount=amount, usd=usd)
        self.history: list[str] = []

    @rule(
        person=st.sampled_from([PAVEL, PETRA, MARIA, RITA]),
        action=st.sampled_from(sorted(machine.PERMISSIONS)),
        late=st.sampled_from([False, False, False, True]),
    )
    def somebody_acts(self, person: Person, action: str, late: bool) -> None:
        """An act either is a legal move or changes nothing."""
        with self.warehouse.database.connect() as connection:
            before = desk.state_of(connection, "Q1")
        seen = (before.version if before else 0) - (1 if late else 0)
        try:
            after = desk.act(
                self.warehouse.database, person, "Q1", action, seen, reason="r", reason_code="data", at=NOW
            )
        except (MoveRefused, AccessRefused):
            with self.warehouse.database.connect() as connection:
                assert desk.state_of(connection, "Q1") == before
            return
        assert not late
        assert before is None or action in MOVES[before.state] or before.state in ("checks_passed", "checks_failed")
        self.history.append(after.state)
        self.holds(after)

    def holds(self, state: State) -> None:
        """Enough people, parts that make the whole, balanced books, an unbroken chain."""
        agreed = {state.maker, state.checker, state.financier} - {None}
        with self.warehouse.database.connect() as connection:
            balances = ledger.balances(connection)
            assert audit.verify(connection) is None
        assert sum(balances.values()) == 0
        due = -balances.get((ledger.PAYABLE, "EUR"), 0)
        assert due == (state.trader_minor if state.state in ("queued", "sent", "failed", "returned") else 0)
        if state.state in ("queued", "sent", "settled"):
            assert len(agreed) >= state.approvals_needed

    def teardown(self) -> None:
        """Closes the database."""
        if hasattr(self, "warehouse"):
            self.warehouse.database.dispose()


def _home() -> str:
    import tempfile

    return tempfile.mkdtemp(prefix="desk-")


TestDeskMachine = DeskMachine.TestCase
TestDeskMachine.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
