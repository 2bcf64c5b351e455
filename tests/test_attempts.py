"""What a scoring run that failed, was killed or is under way leaves for those who look at the pages."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

import cli
from pipelines import attempts
from pipelines.doctor import WRONG, _attempt
from sql.warehouse import Warehouse


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    """A home whose database no test here needs."""
    (tmp_path / "locks").mkdir()
    return Warehouse(tmp_path, "sqlite://")


def test_a_run_that_is_done_leaves_nothing_and_takes_away_what_one_before_left(house: Warehouse) -> None:
    with pytest.raises(OSError), attempts.begun(house) as step:
        step("walking")
        raise OSError(28, "No space left on device")
    left = attempts.last(house)
    assert left is not None and left.ended_at is not None and not left.running
    assert left.step == "walking" and left.told is not None and "disk is full" in left.told
    with attempts.begun(house):
        pass
    assert attempts.last(house) is None


def test_a_defect_is_told_by_its_name_and_steps_reach_who_listens(house: Warehouse) -> None:
    heard: list[str] = []
    with pytest.raises(KeyError), attempts.begun(house, heard.append) as step:
        step("building")
        raise KeyError("who")
    left = attempts.last(house)
    assert heard == ["building"] and left is not None and left.told == "KeyError: 'who'"


def _killed(home: Path) -> None:
    with attempts.begun(Warehouse(home, "sqlite://")) as step:
        step("writing what was found")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_run_is_told_from_one_under_way(house: Warehouse) -> None:
    with attempts.begun(house) as step:
        step("walking")
        under_way = attempts.last(house)
        assert under_way is not None and under_way.running
    process = multiprocessing.get_context("forkserver").Process(target=_killed, args=(house.home,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    left = attempts.last(house)
    assert left is not None and not left.running and left.ended_at is None and left.told is None
    assert left.step == "writing what was found"
    said = next(iter(_attempt(house)))
    assert said.state == WRONG and "as when killed" in said.found


def test_a_file_that_is_cut_or_cannot_be_written_ends_no_run(house: Warehouse, tmp_path: Path) -> None:
    told = tmp_path / "attempt-run.json"
    told.write_text('{"started_at": "20')
    assert attempts.last(house) is None
    told.unlink()
    told.mkdir()
    with attempts.begun(house) as step:
        step("walking")
    assert attempts.last(house) is None


def test_terms_that_do_not_hold_are_told_to_the_pages_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = tmp_path / "book"
    book.mkdir()
    (book / "one.toml").write_text("id = ")
    assert cli.main(["--home", str(tmp_path / "home"), "score", "--rulebook", str(book)]) == cli.REFUSED
    left = attempts.last(Warehouse.open(tmp_path / "home"))
    assert left is not None and left.step == attempts.FIRST_STEP
    assert left.told and left.told in capsys.readouterr().err and "one.toml" in left.told


def test_an_ingest_that_failed_is_told_until_one_is_done_and_waits_for_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A delivery that failed at night is on the pages in the morning; one beside another lands as it always did."""
    home = tmp_path / "home"
    assert cli.main(["--home", str(home), "ingest", str(tmp_path / "feed")]) == cli.REFUSED
    house = Warehouse.open(home)
    left = attempts.last(house, attempts.INGEST)
    assert left is not None and left.step == "landing feed" and not left.running
    assert left.told and left.told in capsys.readouterr().err and "no such file" in left.told
    assert attempts.last(house) is None and [one.check for one in _attempt(house)] == ["ingest"]
    with attempts.begun(house, kind=attempts.INGEST), attempts.begun(house, kind=attempts.INGEST, first="another"):
        under_way = attempts.last(house, attempts.INGEST)
        assert under_way is not None and under_way.running and under_way.step != "another"
    assert attempts.last(house, attempts.INGEST) is None
