"""Names against a list: slips, order and accents are seen through, strangers are left alone, every hit says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.screening import ListRefused, alike, name_words, read_list, screen

LIST = """id,schema,name,aliases,birth_date,countries,dataset
X1,Person,Jörg Müller-Hansen,Joerg Mueller Hansen;J. Hansen,1961-04-02,de,sample sanctions
X2,Person,Ivan Petrovich Sidorov,,1970,ru,sample sanctions
X3,Vessel,Ann Trader,,,,sample sanctions
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A small list on disk."""
    held = tmp_path / "targets.simple.csv"
    held.write_text(LIST, encoding="utf-8")
    return held


def hits(path: Path, name: str, **more: Any) -> list[dict[str, Any]]:
    return screen([{"trader_id": "T1", "full_name": name} | more], read_list(path), 0.86).get("T1", [])


@pytest.mark.parametrize("name", ["Jorg Muller Hansen", "HANSEN MÜLLER JÖRG", "Joerg Mueler-Hansen", "Ivan Sidorov"])
def test_slips_order_and_accents_are_seen_through(path: Path, name: str) -> None:
    found = hits(path, name)
    assert found
    assert found[0]["list"] == "sample sanctions"
    assert "against" in found[0]["why"]


@pytest.mark.parametrize("name", ["Maria Jones", "Ann Trader", "Hansen", "Jana Hanson", "Ivan Petrenko", ""])
def test_strangers_are_left_alone(path: Path, name: str) -> None:
    assert hits(path, name) == []


def test_birth_year_and_country_raise_or_lower_a_hit(path: Path) -> None:
    plain = hits(path, "Ivan Sidorov")[0]["score"]
    same = hits(path, "Ivan Sidorov", date_of_birth="1970-05-05", country="RU")[0]
    assert same["score"] > plain or same["score"] == 1.0
    assert "year of birth agrees; country agrees" in same["why"]
    assert hits(path, "Ivan Sidorov", date_of_birth="1999-01-01", country="CZ") == []


def test_a_list_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("id,title\n1,x\n")
    with pytest.raises(ListRefused, match=r"bad.csv: column schema, name is missing"):
        read_list(bad)
    with pytest.raises(ListRefused, match="cannot be read"):
        read_list(tmp_path / "none.csv")


def test_likeness_of_names() -> None:
    assert alike(name_words("Ann Lee"), name_words("LEE, Ann")) == 1.0
    assert alike(name_words("Ann"), name_words("Ann Lee")) == 0.0
    assert alike((), name_words("Ann Lee")) == 0.0
