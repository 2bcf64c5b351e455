"""Evidence packs: the same inputs give the same bytes, and a check names the part that differs."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

import cli
from models import audit, catalogue, clock
from models.access import Person
from models.catalogue import Rulebook
from models.decisions import desk
from pipelines import packs
from pipelines.land import land_paths
from pipelines.packs import PackRefused
from pipelines.packs.gather import _days
from pipelines.packs.story import Table
from sql import schema
from sql.warehouse import Warehouse
from tests import pages_firm

pytestmark = pytest.mark.xdist_group("packs")

PAVEL = Person("pavel", "payout_reviewer")
AUDE = Person("aude", "auditor")


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small firm, scored."""
    return pages_firm.copied(tmp_path_factory)


@pytest.fixture
def house(firm: Path, tmp_path: Path) -> Iterator[Warehouse]:
    """A copy of the firm's home that a test may change."""
    shutil.copytree(firm / "home", tmp_path / "home")
    opened = Warehouse.open(tmp_path / "home")
    yield opened
    opened.database.dispose()


@pytest.fixture
def book(firm: Path) -> Rulebook:
    return catalogue.load(firm / "book")


def wrong(house: Warehouse, book: Rulebook, file: Path) -> dict[str, str]:
    """What does not hold of a pack, by part."""
    return {one.part: one.state for one in packs.verify(house, book, file) if one.state != "same"}


@pytest.mark.parametrize("subject", ["Q2", "N1", "U1"])
def test_the_same_inputs_give_the_same_bytes_and_hold(
    house: Warehouse, book: Rulebook, tmp_path: Path, subject: str
) -> None:
    first = packs.make(house, book, subject, tmp_path / "one")
    again = packs.make(house, book, subject, tmp_path / "two")
    assert first.hash == again.hash
    for one, other in zip(first.files, again.files, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert wrong(house, book, one) == {}


def test_a_pack_shows_charts_checks_rules_decision_and_what_was_ruled_out(
    house: Warehouse, book: Rulebook, tmp_path: Path
) -> None:
    state = desk.act(house.database, PAVEL, "Q2", "reject", reason="Copied <b>", reason_code="copying")
    assert state.state == "rejected"
    html, pdf = packs.make(house, book, "Q2", tmp_path).files
    text = html.read_text(encoding="utf-8")
    for said in ("Copied &lt;b&gt;", "What was ruled out", "Rules in force", "The trader keeps 80 %", "Pack hash"):
        assert said in text
    assert text.count("<svg") == 3
    assert not re.search(r'(src|href)="', text), "nothing is fetched"
    assert pdf.read_bytes().startswith(b"%PDF")


def test_a_pack_tells_days_and_times_in_the_zone_of_the_desk(house: Warehouse, book: Rulebook, tmp_path: Path) -> None:
    """As pages do, or who reads both takes them for different events; the data that is hashed stays in UTC."""
    pack = packs.gather(house, book, "Q2")
    text = packs.FORMS["html"](pack).decode().partition('<script type="application/json"')[0]
    assert "in the desk&#x27;s zone, Europe/Prague" in text
    assert clock.zoned(pack.parts["request"]["requested_at"], "Europe/Prague") in text
    assert not re.findall(r"\d\d:\d\d(?:[:.\d]*)(?:Z| UTC|\+00:00)", text), "no time is left in UTC"
    assert pack.parts["request"]["requested_at"].endswith("+00:00")
    late = [{"closed_at": dt.datetime(2026, 3, 2, 23, 30, tzinfo=dt.UTC), "net_profit": 5}]
    assert _days(late, ZoneInfo("Europe/Prague")) == [{"day": dt.date(2026, 3, 3), "net_profit": 5}]


def test_a_pack_of_another_version_is_refused_by_name(house: Warehouse, book: Rulebook, tmp_path: Path) -> None:
    """It would be told as altered, though nobody touched it."""
    html = packs.make(house, book, "Q2", tmp_path).files[0]
    html.write_text(html.read_text(encoding="utf-8").replace('"format":2', '"format":1'), encoding="utf-8")
    with pytest.raises(PackRefused, match="made by another version"):
        packs.verify(house, book, html)


def test_a_changed_lake_is_named_by_part(house: Warehouse, book: Rulebook, tmp_path: Path) -> None:
    html, pdf = packs.make(house, book, "Q2", tmp_path / "out").files
    late = tmp_path / "deals-late.csv"
    head = pages_firm.FEED["deals"].splitlines()[0]
    late.write_text(f"{head}\nF1,2,1,trade,out,sell,EURUSD,1.00,1.1300,2026-03-06T14:00:00Z,2999\n")
    land_paths(house, [late])
    told = {"deals": "differs", "trades": "differs", "days": "differs", "path": "differs"}
    assert wrong(house, book, html) == told
    assert wrong(house, book, pdf) == told | {"document": "unknown"}


def test_other_terms_decisions_and_reviews_are_named(house: Warehouse, book: Rulebook, tmp_path: Path) -> None:
    html = packs.make(house, book, "Q2", tmp_path / "out").files[0]
    desk.act(house.database, PAVEL, "Q2", "take")
    assert set(wrong(house, book, html)) == {"decisions", "audit"}
    with house.database.begin() as connection:
        reviews = schema.PAYOUT_REVIEWS
        connection.execute(sa.update(reviews).where(reviews.c.payout_id == "Q2").values(recommendation="approve"))
    other = tmp_path / "book"
    other.mkdir()
    (other / "one.toml").write_text(pages_firm.RULEBOOK.replace("percent = 80", "percent = 90"))
    found = wrong(house, catalogue.load(other), html)
    assert {"review", "terms", "decisions"} <= set(found)
    assert "deals" not in found


@pytest.mark.parametrize(
    ("old", "new", "state"),
    [
        ("<td>The trader keeps 80 %", "<td>The trader keeps 90 %", {"document": "altered"}),
        ("<td>1,500.00 EUR", "<td>1,900.00 EUR", {"document": "altered"}),
        ('"recommendation":"review"', '"recommendation":"approve"', {"document": "altered", "review": "differs"}),
    ],
)
def test_an_altered_page_is_found(
    house: Warehouse, book: Rulebook, tmp_path: Path, old: str, new: str, state: dict[str, str]
) -> None:
    html = packs.make(house, book, "Q2", tmp_path).files[0]
    text = html.read_text(encoding="utf-8")
    assert old in text
    html.write_text(text.replace(old, new), encoding="utf-8")
    assert wrong(house, book, html) == state


def test_an_altered_paper_and_what_is_no_pack_are_told(house: Warehouse, book: Rulebook, tmp_path: Path) -> None:
    pdf = packs.make(house, book, "Q2", tmp_path).files[1]
    pdf.write_bytes(pdf.read_bytes() + b"\n% more")
    assert wrong(house, book, pdf) == {"document": "altered"}
    for content in (b"%PDF-1.4 nothing", b"<html></html>", b"\xff\xfe"):
        (tmp_path / "no.html").write_bytes(content)
        with pytest.raises(PackRefused, match="no evidence pack"):
            packs.verify(house, book, tmp_path / "no.html")
    with pytest.raises(PackRefused, match="cannot be read"):
        packs.verify(house, book, tmp_path / "missing.pdf")


def test_a_pack_for_a_role_that_need_not_know_is_masked_and_holds(
    house: Warehouse, book: Rulebook, tmp_path: Path
) -> None:
    whole, veiled = packs.gather(house, book, "Q2", person=PAVEL), packs.gather(house, book, "Q2", person=AUDE)
    assert "Petra Pass" in json.dumps(whole.parts)
    for secret in ("Petra Pass", "iban_1"):
        assert secret not in json.dumps(veiled.parts)
    for form, write in packs.FORMS.items():
        file = tmp_path / packs.file_name("Q2", form)
        file.write_bytes(write(veiled))
        assert wrong(house, book, file) == {}


def test_other_desks_and_unknown_ids_are_refused(house: Warehouse, book: Rulebook) -> None:
    with pytest.raises(PackRefused, match="does not see"):
        packs.gather(house, book, "Q2", person=Person("sato", "payout_reviewer", ("tokyo",)))
    with pytest.raises(PackRefused, match="no such request or account"):
        packs.gather(house, book, "Q404")


def test_the_command_makes_and_checks_and_writes_down_who_took_it(
    house: Warehouse, firm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--home", str(house.home), "--rulebook", str(firm / "book"), "--json"]
    assert cli.main([*common, "pack", "Q2", "--out", str(tmp_path)]) == 0
    made: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    for one in made:
        assert cli.main([*common, "pack", "verify", one["file"]]) == 0
    with house.database.connect() as connection:
        newest = audit.recent(connection, 1)[0]
    assert (newest["action"], newest["subject"]) == ("pack exported", "pack:Q2")
    assert newest["after"]["hash"] == made[0]["hash"]
    desk.act(house.database, PAVEL, "Q2", "take")
    assert cli.main([*common, "pack", "verify", made[0]["file"]]) == 1
    assert "does not hold: decisions, audit" in capsys.readouterr().err
    assert cli.main([*common, "pack", "verify"]) == 1
    assert cli.main([*common, "pack", "Q404", "--out", str(tmp_path)]) == 1


def test_columns_of_figures_are_read_from_the_right() -> None:
    """A column is one of figures where each cell is a number or share, or tells that there is none."""
    rows = [("A1", "1,020.50", "–", "14.0 % (6.9 % to 26.3 %)", "2026-10"), ("7", "−3", "0", "–", "2026-09")]
    assert Table(("account", "amount", "count", "share", "month"), rows).figures() == {1, 2, 3}
    stated = [("EUR", "1.97 USD", "3 lots each"), ("JPY", "-49,612 JPY", "5 lots")]
    assert Table(("currency", "amount", "words"), stated).figures() == {1}, "an amount names its currency"
    assert Table(("empty",), [("–",)]).figures() == set() == Table(("none",), []).figures()
