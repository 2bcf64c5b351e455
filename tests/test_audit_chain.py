"""The audit chain: whatever is edited, deleted, inserted, re-ordered or cut off is found, at the first such record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

import cli
from models import audit
from models.audit import Record
from sql.warehouse import Warehouse

SWAP = [f"update audit_log set seq = {to} where seq = {old}" for old, to in ((2, 99), (3, 2), (99, 3))]


def filled(warehouse: Warehouse, records: int = 5) -> None:
    """A chain of some records."""
    with warehouse.database.begin() as connection:
        audit.append(connection, *(Record("ann", "look", f"account:{n}", reason="é ☂") for n in range(records)))


def tampered(warehouse: Warehouse, *statements: str) -> audit.Broken | None:
    """What verification says after somebody with the keys of the database went around its triggers."""
    with warehouse.database.begin() as connection:
        if connection.dialect.name == "sqlite":
            for name in ("audit_log_no_update", "audit_log_no_delete", "audit_head_no_delete", "audit_head_rises"):
                connection.execute(sa.text(f"drop trigger {name}"))
        else:
            for table in ("audit_log", "audit_head"):
                connection.execute(sa.text(f"alter table {table} disable trigger user"))
        for statement in statements:
            connection.execute(sa.text(statement))
    with warehouse.database.connect() as connection:
        return audit.verify(connection)


def test_an_untouched_chain_holds_and_an_empty_one_too(warehouse: Warehouse) -> None:
    with warehouse.database.connect() as connection:
        assert audit.verify(connection) is None
    filled(warehouse)
    filled(warehouse)
    with warehouse.database.connect() as connection:
        assert audit.verify(connection) is None
        assert audit.length(connection) == 10
        assert audit.recent(connection, subject="account:3")[0]["reason"] == "é ☂"


@pytest.mark.parametrize(
    ("statements", "seq"),
    [
        (["update audit_log set body = replace(body, 'ann', 'bob') where seq = 3"], 3),
        (["delete from audit_log where seq = 1"], 1),
        (["delete from audit_log where seq = 3"], 3),
        (["delete from audit_log where seq = 5"], 5),
        (["delete from audit_log"], 1),
        (SWAP, 2),
        (["insert into audit_log (seq, body, hash) values (6, '{}', 'x')"], 6),
        (["update audit_log set hash = 'x' where seq = 5"], 5),
        (["delete from audit_log where seq = 5", "update audit_head set seq = 4"], 4),
        (["delete from audit_head"], 5),
    ],
)  # fmt: skip
def test_tampering_is_found_at_its_first_record(warehouse: Warehouse, statements: list[str], seq: int) -> None:
    filled(warehouse)
    broken = tampered(warehouse, *statements)
    assert broken is not None
    assert broken.seq == seq


@pytest.mark.parametrize("statement", ["update audit_log set body = '{}'", "delete from audit_log"])
def test_the_database_refuses_to_change_records(warehouse: Warehouse, statement: str) -> None:
    filled(warehouse)
    with pytest.raises(sa.exc.DatabaseError, match="append-only"), warehouse.database.begin() as connection:
        connection.execute(sa.text(statement))


def test_writers_at_once_make_one_chain(warehouse: Warehouse) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: filled(warehouse, 3), range(24)))
    with warehouse.database.connect() as connection:
        assert audit.verify(connection) is None
        assert audit.length(connection) == 72


def test_what_is_rolled_back_was_never_written(warehouse: Warehouse) -> None:
    filled(warehouse)
    with warehouse.database.connect() as connection, connection.begin() as transaction:
        audit.append(connection, Record("ann", "look", "x"))
        transaction.rollback()
    with warehouse.database.connect() as connection:
        assert audit.verify(connection) is None
        assert audit.length(connection) == 5


def test_the_command_exits_1_and_names_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse = Warehouse.open(tmp_path)
    filled(warehouse)
    assert cli.main(["--home", str(tmp_path), "audit", "verify"]) == 0
    tampered(warehouse, "update audit_log set body = replace(body, 'ann', 'bob') where seq = 4")
    assert cli.main(["--home", str(tmp_path), "audit", "verify"]) == 1
    assert "breaks at record 4" in capsys.readouterr().err
    warehouse.database.dispose()
