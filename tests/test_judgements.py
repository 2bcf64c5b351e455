"""What analysts say of two traders is kept once, with a reason, by those who may, and written into the audit chain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from models import audit
from models.access import AccessRefused, Person
from models.judgements import JudgementRefused, judge
from sql.schema import JUDGEMENTS
from sql.warehouse import Warehouse, read_frame

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
