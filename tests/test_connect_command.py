"""The command that runs a connection: its file, what it prints, and what it refuses."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cli
from pipelines.connect import connectors
from pipelines.connect.kit.chain import BalanceChain, Change
from pipelines.connect.kit.pace import Backoff
from pipelines.connect.kit.records import instant, milliseconds


def config(tmp_path: Path, text: str) -> list[str]:
    """The command's arguments for a configuration."""
    file = tmp_path / "connection.toml"
    file.write_text(text, encoding="utf-8")
    return ["--home", str(tmp_path / "home"), "--json", "connect", "folder", "--config", str(file), "--once"]


def test_the_command_lands_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts on standard output, the connection named by its file."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "equity.csv").write_text("account_id,observed_at,balance,equity\na-1,2026-03-02T09:00:00Z,1,1\n")
    arguments = config(
        tmp_path, f'connection = "dropbox"\n[settings]\nurl = "file://{folder}"\nsettle_seconds = 0.01\n'
    )
    assert cli.main(arguments) == cli.DONE
    told = json.loads(capsys.readouterr().out)
    counts = {"rows": 1, "landed": 1, "duplicates": 0, "rejects": 0, "reconnects": 0, "findings": 0}
    assert told == [{"connection": "dropbox"} | counts]


@pytest.mark.parametrize("text", ["settings = [", "[setings]\nurl = 'x'\n", "[settings]\nurl = 7\n", "[settings]\n"])
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence and exit 1."""
    assert cli.main(config(tmp_path, text)) == cli.REFUSED
    assert capsys.readouterr().err.count("\n") == 1


def test_a_connector_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names those that are."""
    arguments = config(tmp_path, "[settings]\n")
    arguments[arguments.index("folder")] = "metaquotes"
    assert cli.main(arguments) == cli.REFUSED
    told = capsys.readouterr().err
    assert all(name in told for name in connectors())


def test_every_connector_is_registered_by_being_there() -> None:
    """Six files, six names, each with its platform and limits."""
    assert set(connectors()) == {"ctrader-open-api", "folder", "matchtrader", "mt5-gateway", "sql-pull", "tradelocker"}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_chain_connects_in_any_order_and_breaks_where_one_is_missing(data: st.DataObject) -> None:
    """Shuffled and repeated changes connect; without one that moved money before the last, they do not."""
    cents = data.draw(st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=8))
    amounts = [Decimal(value).scaleb(-2) for value in cents]
    changes = [Change(n, sum(amounts[:n], Decimal(0)), amount) for n, amount in enumerate(amounts, start=1)]
    shuffled = data.draw(st.permutations(changes * 2))
    chain = BalanceChain()
    assert chain.follow(shuffled) == []
    assert (chain.version, chain.balance) == (len(changes), sum(amounts))
    missing = data.draw(st.sampled_from(changes))
    breaks = BalanceChain().follow(change for change in shuffled if change.version != missing.version)
    assert bool(breaks) == (missing is not changes[-1] and missing.amount != 0)


@given(st.integers(0, 4_102_444_800_000))
def test_milliseconds_come_back(moment: int) -> None:
    """What goes in comes out."""
    assert milliseconds(instant(moment, "at")) == moment


def test_waits_grow_to_a_limit_and_never_undercut_what_was_asked() -> None:
    """Each wait lies below its doubled ceiling; a pause that the platform names is kept."""
    backoff = Backoff(first=1, longest=8)
    waits = [backoff.next() for _ in range(50)]
    assert all(wait <= ceiling for wait, ceiling in zip(waits, [1, 2, 4, 8] + [8] * 46, strict=True))
    assert len(set(waits[4:])) > 40
    assert backoff.next(at_least=30) >= 30
