"""Drafts: they read back as written, are kept by those who may, over nothing, and judged beside what is in force."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from models import audit, catalogue, drafts, lock
from models.access import AccessRefused, Person
from models.catalogue import RulebookRefused
from models.drafts import DraftRefused
from sql.warehouse import Warehouse
from tests import pages_firm

MARIA = Person("maria", "manager")
SINCE = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize("product", sorted(catalogue.load().products))
def test_every_version_reads_back_as_it_was_written(product: str) -> None:
    for version in catalogue.load().products[product].versions:
        again = catalogue.read_product(drafts.text_of(version, product), "again").versions[0]
        for part in ("stages", "clock", "next_stage", "effective_from", "desks", "countries", "coupons"):
            assert getattr(again, part) == getattr(version, part), part


def test_rules_given_as_text_take_the_place_of_the_stages_own() -> None:
    version = catalogue.load().products["two_step"].versions[-1]
    made = drafts.with_rules(version, "funded", "split = 70\nholding_time = { seconds = 60 }")
    assert made.stages["funded"]["split"]["percent"] == 70
    assert made.stages["funded"]["holding_time"]["seconds"] == 60
    assert made.stages["funded"]["max_loss"] == version.stages["funded"]["max_loss"]
    assert made.next_stage == version.next_stage
    with pytest.raises(RulebookRefused, match="stage funded: split: percent: 170 % is out of range"):
        drafts.with_rules(version, "funded", "split = 170")
    with pytest.raises(RulebookRefused, match="not TOML"):
        drafts.with_rules(version, "funded", "split = ")


@pytest.fixture
def book(tmp_path: Path) -> Path:
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "one.toml").write_text(pages_firm.RULEBOOK)
    return folder


def _saved(house: Warehouse, book: Path, name: str = "tight", person: Person = MARIA, reason: str = "why") -> Path:
    held = catalogue.load(book)
    product = held.products["one"]
    version = drafts.with_rules(product.versions[0], "evaluation_1", "daily_loss = { percent = 1 }")
    return drafts.save(house.database, person, book, product, drafts.following(held, version, SINCE), name, reason)


def test_a_draft_is_kept_beside_the_rulebook_audited_and_never_in_force(warehouse: Warehouse, book: Path) -> None:
    lock.lock(book)
    before = catalogue.load(book)
    path = _saved(warehouse, book)
    assert path == book / "one.tight.toml.draft"
    after = catalogue.load(book)
    assert after.digest == before.digest
    assert [version.version for version in after.products["one"].versions] == [1, 2]
    draft = drafts.read(path)
    assert (draft.name, draft.version.version, draft.version.effective_from) == ("one.tight", 3, SINCE)
    assert draft.version.stages["evaluation_1"]["daily_loss"]["percent"] == 1
    with warehouse.database.connect() as connection:
        record = audit.recent(connection, 5, 0)[0]
        assert audit.verify(connection) is None
    assert (record["actor"], record["action"], record["subject"]) == ("maria", "draft saved", "draft:one.tight")
    assert "percent = 1" in json.dumps(record)


def test_a_draft_is_refused_with_its_reason_and_leaves_nothing(warehouse: Warehouse, book: Path) -> None:
    kept = _saved(warehouse, book).read_text()
    with pytest.raises(DraftRefused, match=r"one\.tight\.toml\.draft is there already"):
        _saved(warehouse, book, reason="again")
    with pytest.raises(DraftRefused, match="no name for a draft"):
        _saved(warehouse, book, "../one")
    with pytest.raises(DraftRefused, match="needs a reason"):
        _saved(warehouse, book, "other", reason=" ")
    for role in ("auditor", "admin", "payout_reviewer", "partner_manager"):
        with pytest.raises(AccessRefused, match="keep drafts of terms"):
            _saved(warehouse, book, "other", Person("x", role))
    assert [path.read_text() for path in drafts.files(book)] == [kept]
    with warehouse.database.connect() as connection:
        assert audit.length(connection) == 1, "what was refused is not in the log as done"


def test_a_draft_is_taken_away_and_its_terms_stay_in_the_log(warehouse: Warehouse, book: Path) -> None:
    _saved(warehouse, book)
    with pytest.raises(AccessRefused):
        drafts.withdraw(warehouse.database, Person("x", "auditor"), book, "one.tight", "why")
    with pytest.raises(DraftRefused, match=r"no draft one\.other"):
        drafts.withdraw(warehouse.database, MARIA, book, "one.other", "why")
    drafts.withdraw(warehouse.database, MARIA, book, "one.tight", "not needed")
    assert drafts.files(book) == []
    with warehouse.database.connect() as connection:
        assert "percent = 1" in json.dumps(audit.recent(connection, 1, 0)[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (pages_firm.RULEBOOK, "a draft holds one version, not 2"),
        (pages_firm.RULEBOOK.split("[[versions]]\nversion = 2")[0].replace("percent = 5", "percent = 500"), "500 %"),
    ],
)
def test_a_draft_that_does_not_hold_is_refused(book: Path, text: str, said: str) -> None:
    path = book / "one.bad.toml.draft"
    path.write_text(text)
    with pytest.raises(RulebookRefused, match=said):
        drafts.read(path)
