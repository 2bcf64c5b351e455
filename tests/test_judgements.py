"""What analysts say of two traders is kept once, with a reason, by those who may, and written into the audit chain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from models import audit, judgements
from models.access import AccessRefused, Person
from models.judgements import JudgementRefused, Together, judge, judge_trading, withdraw, withdraw_trading
from models.risk_score import PAIRS, detector_precision
from sql.case_schema import DISPOSITIONS, TRADING_JUDGEMENTS
from sql.schema import COPY_PAIRS, COPY_RINGS, JUDGEMENTS
from sql.warehouse import Warehouse, read_frame, replace_rows
from tests import postgres

RITA = Person("rita", "risk_analyst", ("prague",))
AT = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sa.Engine]:
    house = Warehouse.open(tmp_path / "home")
    yield house.database
    house.database.dispose()


def _kept(database: sa.Engine) -> list[tuple[str, ...]]:
    with database.connect() as connection:
        held = read_frame(connection, sa.select(JUDGEMENTS))
    return [tuple(row) for row in held[["trader_a", "trader_b", "judgement", "reason", "decided_by"]].to_numpy()]


def test_a_judgement_is_kept_with_its_reason_and_audited(database: sa.Engine) -> None:
    judge(database, RITA, ("T2", "T1"), "same", " one passport ", ("prague",), AT)
    assert _kept(database) == [("T1", "T2", "same", "one passport", "rita")]
    with database.connect() as connection:
        assert audit.length(connection) == 1
        assert audit.verify(connection) is None


def test_a_later_judgement_replaces_the_earlier_in_either_order(database: sa.Engine) -> None:
    with database.begin() as connection:
        by_hand = {"trader_a": "T2", "trader_b": "T1", "judgement": "different", "reason": "x", "decided_by": "y"}
        connection.execute(sa.insert(JUDGEMENTS).values(**by_hand, decided_at=AT))
    judge(database, RITA, ("T1", "T2"), "same", "one passport", ("prague",), AT)
    assert _kept(database) == [("T1", "T2", "same", "one passport", "rita")]
    with database.connect() as connection:
        last = audit.recent(connection)[0]
    assert last["before"] == {"judgement": "different", "decided_by": "y"}, "the log still knows what was said before"


@pytest.mark.parametrize(
    ("traders", "said", "reason"),
    [(("T1", "T1"), "same", "why"), (("T1", "T2"), "perhaps", "why"), (("T1", "T2"), "same", "  ")],
)
def test_one_trader_an_unknown_word_or_no_reason_is_refused(
    traders: tuple[str, str], said: str, reason: str, database: sa.Engine
) -> None:
    with pytest.raises(JudgementRefused):
        judge(database, RITA, traders, said, reason, ("prague",))
    assert _kept(database) == []


@pytest.mark.parametrize(
    ("person", "desks"),
    [(Person("pavel", "payout_reviewer"), ("prague",)), (RITA, ("prague", "tokyo"))],
)
def test_only_who_decides_on_risk_at_every_desk_of_the_two_may_judge(
    person: Person, desks: tuple[str, ...], database: sa.Engine
) -> None:
    with pytest.raises(AccessRefused):
        judge(database, person, ("T1", "T2"), "same", "why", desks)
    assert _kept(database) == []


def test_a_judgement_of_identity_can_be_taken_back(database: sa.Engine) -> None:
    judge(database, RITA, ("T1", "T2"), "same", "one passport", ("prague",), AT)
    withdraw(database, RITA, ("T2", "T1"), "the passport was forged", ("prague",), AT)
    assert _kept(database) == []
    with pytest.raises(JudgementRefused):
        withdraw(database, RITA, ("T1", "T2"), "again", ("prague",), AT)
    with database.connect() as connection:
        assert audit.recent(connection)[0]["before"] == {"judgement": "same", "decided_by": "rita"}


RING = Together("group", "ring-A1", "ring", ("A1", "A2", "A3"), 3)
PAIR = Together("pair", "A1|A2", "copy", ("A1", "A2"), 10)
LATER = AT + dt.timedelta(hours=1)


def found(database: sa.Engine, accounts: tuple[str, ...], matched: int = 10, *, ring: str = "ring-A1") -> None:
    """What a run publishes: one ring of accounts, each of which copies the next."""
    pairs = [
        {"account_a": a, "account_b": b, "relation": "copy", "matched": matched, "strength": 0.9, "same_owner": False}
        for a, b in pairwise(accounts)
    ]
    members = [{"ring_id": ring, "account_id": one, "kind": "ring", "strength": 0.9} for one in accounts]
    with database.begin() as connection:
        replace_rows(connection, COPY_PAIRS, pd.DataFrame(pairs))
        replace_rows(connection, COPY_RINGS, pd.DataFrame(members))


def open_pairs(database: sa.Engine) -> list[str]:
    """Pairs that no answer covers."""
    query = sa.select(COPY_PAIRS.c.account_a).where(~judgements.answered_pair(COPY_PAIRS))
    with database.connect() as connection:
        return sorted(connection.execute(query).scalars())


def covered(database: sa.Engine, *accounts: str) -> str | None:
    """What is said of a ring that a run finds."""
    with database.connect() as connection:
        held = judgements.in_force(connection)
    one = judgements.covering(held, Together("group", f"ring-{accounts[0]}", "ring", accounts, len(accounts)))
    return one.said if one else None


def test_a_dismissed_ring_answers_its_pairs_and_stays_dismissed_whatever_a_run_names_it(database: sa.Engine) -> None:
    found(database, ("A1", "A2", "A3"))
    assert judge_trading(database, RITA, RING, "dismissed", "one robot", ("prague",), "same_source", AT) == "J-1"
    assert open_pairs(database) == []
    found(database, ("A0", "A1", "A2", "A3"), 14, ring="ring-A0")
    assert covered(database, "A0", "A1", "A2", "A3") == "dismissed", "one account more than three is no new matter"
    assert open_pairs(database) == ["A0"], "but a pair that nobody has seen is"
    found(database, ("A1", "A2", "A3"), 15)
    assert open_pairs(database) == ["A1", "A2"], "half as many matches again are new evidence"
    assert covered(database, "A1", "A2", "A3", "A4", "A5") is None, "and so are half as many accounts again"
    assert covered(database, "A1", "B2", "B3") is None, "one account in common makes it no judged ring"
    with database.connect() as connection:
        labels = detector_precision(read_frame(connection, sa.select(DISPOSITIONS))).set_index("detector")
        assert audit.verify(connection) is None
    assert labels.loc["copy", "labels"] == 2, "what was said teaches the score as an answer of a case does"
    assert "copy" in PAIRS


def test_a_judgement_taken_back_leaves_everything_open_again(database: sa.Engine) -> None:
    found(database, ("A1", "A2", "A3"))
    judge_trading(database, RITA, RING, "ring", "they said so", ("prague",), at=AT)
    assert covered(database, "A1", "A2", "A3", "A4", "A5") == "ring", "once it is a ring, more of it is no news"
    withdraw_trading(database, RITA, "J-1", "they were joking", ("prague",), LATER)
    assert (open_pairs(database), covered(database, "A1", "A2", "A3")) == (["A1", "A2"], None)
    with pytest.raises(JudgementRefused):
        withdraw_trading(database, RITA, "J-1", "again", ("prague",), LATER)
    with database.connect() as connection:
        last = audit.recent(connection)[0]
        kept = connection.execute(sa.select(TRADING_JUDGEMENTS.c.said)).scalars().all()
    assert (last["action"], last["before"]) == ("withdrew group", {"judgement": "ring", "decided_by": "rita"})
    assert sorted(kept) == ["ring", "withdrawn"], "history is kept"
    with pytest.raises(sa.exc.DBAPIError), database.begin() as connection:
        connection.execute(sa.delete(TRADING_JUDGEMENTS))


def test_a_later_judgement_of_a_part_replaces_that_of_the_whole(database: sa.Engine) -> None:
    found(database, ("A1", "A2", "A3"))
    judge_trading(database, RITA, RING, "dismissed", "one robot", ("prague",), "same_source", AT)
    found(database, ("A1", "A2"))
    part = Together("group", "ring-A1", "ring", ("A1", "A2"), 2)
    judge_trading(database, RITA, part, "allowed", "a married couple", ("prague",), at=LATER)
    assert (covered(database, "A1", "A2"), covered(database, "A1", "A2", "A3")) == ("allowed", None)
    with database.connect() as connection:
        query = sa.select(DISPOSITIONS).where(DISPOSITIONS.c.decided_at == LATER)
        answers = {(row.subject_id, row.outcome) for row in connection.execute(query)}
    assert answers == {("A1|A2", "dismissed"), ("A2|A3", "withdrawn")}


@pytest.mark.postgres
def test_a_team_on_postgresql_judges_alike(tmp_path: Path, postgres_server: str) -> None:
    house = Warehouse.open(tmp_path / "home", postgres.new_database(postgres_server))
    found(house.database, ("A1", "A2", "A3"))
    judge_trading(house.database, RITA, RING, "dismissed", "one robot", ("prague",), "same_source", AT)
    assert open_pairs(house.database) == []
    found(house.database, ("A1", "A2", "A3"), 15)
    assert open_pairs(house.database) == ["A1", "A2"]
    withdraw_trading(house.database, RITA, "J-1", "they differ", ("prague",), LATER)
    assert covered(house.database, "A1", "A2", "A3") is None
    house.database.dispose()


@pytest.mark.parametrize(
    ("seen", "said", "reason", "code"),
    [
        (RING, "perhaps", "why", None),
        (RING, "ring", " ", None),
        (RING, "dismissed", "why", "no such reason"),
        (Together("group", "ring-A1", "ring", ("A1", "A2"), 2), "ring", "why", None),
        (Together("pair", "A1|A3", "copy", ("A1", "A3"), 9), "ring", "why", None),
    ],
)
def test_what_is_not_said_in_full_or_of_what_no_run_holds_is_refused(
    seen: Together, said: str, reason: str, code: str | None, database: sa.Engine
) -> None:
    found(database, ("A1", "A2", "A3"))
    with pytest.raises(JudgementRefused):
        judge_trading(database, RITA, seen, said, reason, ("prague",), code, AT)
    with database.connect() as connection:
        assert judgements.in_force(connection) == [] and audit.length(connection) == 0


@pytest.mark.parametrize(
    ("person", "desks"),
    [(Person("pavel", "payout_reviewer"), ("prague",)), (RITA, ("prague", "tokyo"))],
)
def test_only_who_decides_on_risk_at_every_desk_of_a_ring_may_judge_it(
    person: Person, desks: tuple[str, ...], database: sa.Engine
) -> None:
    found(database, ("A1", "A2", "A3"))
    judge_trading(database, RITA, PAIR, "allowed", "why", ("prague",), at=AT)
    with pytest.raises(AccessRefused):
        judge_trading(database, person, RING, "ring", "why", desks)
    with pytest.raises(AccessRefused):
        withdraw_trading(database, person, "J-1", "why", desks)
    with database.connect() as connection:
        assert [one.said for one in judgements.in_force(connection)] == ["allowed"]
