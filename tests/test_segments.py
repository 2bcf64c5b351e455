"""Segments are what their file says, on the limit and beside it; nobody is listed without consent."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

import cli
from models.access import AccessRefused, Person
from models.churn import FEATURES
from models.segments import EXTRA, FILE, SegmentsRefused, counted, edit, in_force, in_words, load, members, timeless
from sql.desk_schema import AUDIT_LOG
from sql.warehouse import Warehouse, read_frame

ROOT = Path(__file__).resolve().parent.parent


def written(folder: Path, where: str) -> Path:
    """A file with one segment."""
    path = folder / "segments.toml"
    path.write_text(f'[[segments]]\nname = "s"\nwhere = {where}\n', encoding="utf-8")
    return path


def test_the_delivered_file_asks_only_for_known_fields() -> None:
    asked = {field for segment in load() for field, _, _ in segment.conditions}
    assert asked <= {*FEATURES, *EXTRA}
    assert all(segment.meaning for segment in load())


@pytest.mark.parametrize(
    ("where", "inside"),
    [("{ at_least = 3 }", [3, 4]), ("{ above = 3 }", [4]), ("{ below = 3 }", [2]), ("{ at_most = 3 }", [2, 3])],
)
def test_limits_are_meant_as_written(tmp_path: Path, where: str, inside: list[int]) -> None:
    known = pd.DataFrame({"purchases": [2.0, 3.0, 4.0, np.nan]}, index=pd.Index([2, 3, 4, 5], name="trader_id"))
    found = members(known, load(written(tmp_path, f"{{ purchases = {where} }}")))
    assert found["trader_id"].tolist() == inside


@pytest.mark.parametrize(
    "where", ["{}", "{ purchases = { about = 3 } }", '{ purchases = { above = "3" } }', "3", "{ purchases = 3 }"]
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, where: str) -> None:
    with pytest.raises(SegmentsRefused, match=r"segment s|needs a name"):
        load(written(tmp_path, where))


@pytest.mark.parametrize("held", [b"segments = 3", b"segments = [1]", b"[[segments", b"", b"# \xff", None])
def test_a_broken_file_is_a_sentence_of_the_command_that_names_it(tmp_path: Path, held: bytes | None) -> None:
    path = tmp_path / "segments.toml"
    if held is not None:
        path.write_bytes(held)
    with pytest.raises(cli.refusals(), match=r"segments\.toml: "):
        load(path)


def test_an_unknown_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(SegmentsRefused, match="no field luck"):
        members(pd.DataFrame({"purchases": [1]}), load(written(tmp_path, "{ luck = { above = 1 } }")))


def test_sizes_are_counted_by_desk_and_day() -> None:
    found = pd.DataFrame({"segment": ["new", "new", "high_value"], "trader_id": ["A", "B", "B"]})
    desks = pd.DataFrame({"trader_id": ["A", "B", "B"], "desk_id": ["one", "one", "two"]})
    sizes = counted(found, desks, pd.Timestamp("2026-03-01", tz="UTC")).set_index(["segment", "desk_id"])["traders"]
    two = {("high_value", "one"): 1, ("high_value", "two"): 1}
    assert sizes.to_dict() == two | {("new", "one"): 2, ("new", "two"): 1}


def test_what_only_today_knows_is_told_of_no_other_day() -> None:
    assert "close_to_a_floor" in {one.name for one in load()} - {one.name for one in timeless(load())}


def test_only_the_newest_word_of_consent_holds() -> None:
    connection = duckdb.connect()
    connection.execute("create schema staging")
    connection.execute(
        "create table staging.traders as select unnest(['A', 'B', 'C']) as trader_id, 'x' as full_name,"
        " 'x@y' as email, 'DE' as country"
    )
    connection.execute("create table staging.consents (trader_id varchar, occurred_at timestamptz, given varchar)")
    connection.execute(
        "insert into staging.consents values ('A', '2026-01-01 00:00:00Z', 'yes'),"
        " ('B', '2026-01-01 00:00:00Z', 'yes'), ('B', '2026-01-02 00:00:00Z', 'no')"
    )
    told = connection.execute((ROOT / "sql" / "marts" / "contacts.sql").read_text(encoding="utf-8")).fetchall()
    assert {row[0] for row in told if row[4]} == {"A"}
    assert len(told) == 3


def test_rules_are_edited_by_management_and_written_down(tmp_path: Path) -> None:
    house, manager = Warehouse.open(tmp_path), Person("maria", "manager")
    text = '[[segments]]\nname = "whales"\nmeaning = "m"\nwhere = { purchases = { at_least = 9 } }\n'
    with pytest.raises(SegmentsRefused, match="no field luck"):
        edit(house.database, tmp_path, manager, text.replace("purchases", "luck"), "why")
    with pytest.raises(SegmentsRefused, match="say why"):
        edit(house.database, tmp_path, manager, text, " ")
    with pytest.raises(AccessRefused):
        edit(house.database, tmp_path, Person("rita", "risk_analyst"), text, "why")
    assert in_force(tmp_path) == FILE
    edit(house.database, tmp_path, manager, text, "Nine is our whale.")
    assert [one.name for one in load(in_force(tmp_path))] == ["whales"]
    with house.database.connect() as database:
        assert "Nine is our whale." in read_frame(database, AUDIT_LOG)["body"].iloc[-1]


def test_a_rule_is_told_in_words() -> None:
    assert in_words(load()[-1]) == "challenges bought so far below 2, and days since the last purchase below 14"
    profitable = next(one for one in load() if one.name == "consistently_profitable")
    assert in_words(profitable).endswith("share of the balance at least 2 %"), "a share is told in percent"
