"""Hostile and careless input ends in one clear sentence and the right exit code, and nothing is half done."""

from __future__ import annotations

import ast
import gzip
import os
import shutil
import socket
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

import cli
from dashboards import exposure
from dashboards.kit import words
from models import catalogue
from models.catalogue import RulebookRefused
from models.churn import features
from models.commissions.plans import PlanRefused, load_plans, read_plan
from models.payouts import policy
from models.toml_files import TomlRefused
from pipelines import export, faults, marts, report, seals, start
from pipelines.doctor import FINE, WRONG, _home, examine
from pipelines.expectations.reading import FAR_TIME, TOO_LARGE, read_values
from pipelines.export import export_table
from pipelines.files import FeedRefused, inspect
from pipelines.land import land_frame, land_paths
from pipelines.packs.story import Table
from pipelines.score import score
from pipelines.whole import WriteRefused
from sql.schema import LOADS
from sql.warehouse import Warehouse, WarehouseRefused

NOBODY = 65534
EQUITY = "account_id,observed_at,balance,equity\n"
ROW = "A1,2026-01-01T00:00:00Z,100,100\n"
PRODUCT = """id = "p"
name = "P"
[[versions]]
version = 1
effective_from = 2025-01-01T00:00:00Z
clock = { zone = "UTC", reset = "00:00", calendar = "fx" }
[versions.stages.funded]
max_loss = { mode = "static", base = "initial", percent = 10 }
"""


@pytest.fixture
def home(tmp_path: Path) -> Warehouse:
    """An empty home on SQLite."""
    return Warehouse.open(tmp_path / "home", f"sqlite:///{tmp_path / 'home.db'}")


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """One observation as a feed."""
    path = tmp_path / "equity.csv"
    path.write_text(EQUITY + ROW, encoding="utf-8")
    return path


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["9" * 500, "-" + "9" * 500, "9" * 38, str(2**128 + 1), "9" * 5000 + ".5"])
def test_numbers_too_long_for_any_amount_do_not_wrap_around(text: str) -> None:
    """A number of hundreds of digits is refused, never read as another one."""
    values, unread = read_values("money", pa.array([text, "1"]))
    assert values.to_pylist() == [None, Decimal("1.00000000")]
    assert unread.to_pylist() == [TOO_LARGE, None]


def test_long_numbers_that_fit_are_still_read() -> None:
    """Leading zeros and long decimals are no reason to refuse."""
    values, unread = read_values("money", pa.array(["0" * 100 + "5", "0." + "9" * 600]))
    assert values.to_pylist() == [Decimal("5.00000000"), Decimal("0.99999999")]
    assert unread.null_count == 2


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("ticks", [2**62, -(2**62), 2**63 - 1])
def test_timestamps_beyond_the_calendar_are_refused_and_shown(home: Warehouse, unit: str, ticks: int) -> None:
    """A timestamp that no calendar has is a reject with its ticks, not a wrapped instant or a crash."""
    at = pa.array([ticks], pa.timestamp(unit, "UTC"))
    one = pa.array([1.0])
    load = land_frame(
        home,
        "equity",
        pa.table({"account_id": ["A"], "observed_at": at, "balance": one, "equity": one}),
        file="equity.parquet",
        quick=True,
    )
    assert (load.rows, load.landed, load.rejects) == (1, 0, 1)
    rejected = export.read_table(home, "rejects").iloc[0]
    assert (rejected["value"], rejected["reason"]) == (str(ticks), FAR_TIME)


@pytest.mark.parametrize(
    ("day", "held"), [("1899-12-31", False), ("1900-01-01", True), ("2199-12-31", True), ("2200-01-01", False)]
)
def test_dates_stay_within_the_years(day: str, held: bool) -> None:
    """Dates keep to the same years as instants, as text and as dates of Parquet."""
    values, unread = read_values("date", pa.array([day]))
    typed = read_values("date", pa.array([day]).cast(pa.date32()))
    assert values.is_valid()[0].as_py() is held
    assert unread.to_pylist() == ([None] if held else [FAR_TIME])
    assert typed == (values, unread)


def test_names_in_floats_keep_their_digits() -> None:
    """A login that a spreadsheet kept as a float is not written with an exponent; not-a-number is missing."""
    values, unread = read_values("text", pa.array([12345678901.0, 1e15, 1.5, float("nan")]))
    assert values.to_pylist() == ["12345678901", "1000000000000000", "1.5", None]
    assert unread.null_count == 4


def test_a_history_of_three_centuries_is_measured() -> None:
    """From the first year that lands to the last is more than nanoseconds can count."""
    last = pd.Series({"T1": pd.Timestamp("1900-01-01", tz="UTC")}).astype("datetime64[us, UTC]")
    since = features._days_since(last, pd.Index(["T1", "T2"]), pd.Timestamp("2199-12-31", tz="UTC"))
    assert since.tolist() == [109572.0, features.NEVER_DAYS]


# --- the machine -------------------------------------------------------------------------------------------------


def test_a_home_that_is_a_file_is_refused(feed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names the home and how to choose another."""
    assert cli.main(["--home", str(feed), "doctor"]) == cli.REFUSED
    assert "cannot be the home" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://x/y", "sqlite:///:memory:", "://", "postgresql://[::1", "sqlite:////nope/x.db"]
)
def test_a_wrong_database_address_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1 and a sentence that names the setting."""
    monkeypatch.setenv("HIGHWATER_DATABASE_URL", url)
    assert cli.main(["--home", str(tmp_path), "score"]) == cli.REFUSED
    assert "HIGHWATER_DATABASE_URL" in capsys.readouterr().err


def test_a_password_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unreachable server is named without its password."""
    monkeypatch.setenv("HIGHWATER_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    assert cli.main(["--home", str(tmp_path), "score"]) == cli.REFUSED
    told = capsys.readouterr().err
    assert "127.0.0.1" in told
    assert "secret" not in told


def test_a_damaged_database_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes that are no database end in a sentence."""
    (tmp_path / "highwater.db").write_bytes(b"garbage" * 1000)
    assert cli.main(["--home", str(tmp_path), "doctor"]) == cli.REFUSED
    assert "not a database; restore it from a copy" in capsys.readouterr().err


def test_a_database_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk or a lack of rights is no damage, and says where to look."""
    (tmp_path / "highwater.db").mkdir()
    assert cli.main(["--home", str(tmp_path), "doctor"]) == cli.REFUSED
    assert "see that its folder is there, has room and may be written" in capsys.readouterr().err


def test_a_damaged_lake_is_told(home: Warehouse, feed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A transaction log that cannot be read stops the command in a sentence."""
    land_paths(home, [feed])
    log = sorted((home.lake_path("equity") / "_delta_log").glob("*.json"))[-1]
    log.write_text("{junk", encoding="utf-8")
    assert cli.main(["--home", str(home.home), "ingest", str(feed)]) == cli.REFUSED
    assert "the lake cannot be used" in capsys.readouterr().err


def test_a_lost_lake_is_told_and_lands_again(home: Warehouse, feed: Path, tmp_path: Path) -> None:
    """Loads whose table is gone are wrong with doctor, and their file is not taken for landed."""
    land_paths(home, [feed])
    shutil.rmtree(home.lake_path("equity"))
    lost = [f for f in examine(home, tmp_path) if f.check == "lake" and f.state == WRONG]
    assert [f.found.split()[0] for f in lost] == ["equity"]
    (again,) = land_paths(home, [feed])
    assert (again.landed, again.duplicates) == (1, 0)
    assert not [f for f in examine(home, tmp_path) if f.check == "lake" and f.state == WRONG]


@pytest.mark.parametrize("commits", [1, 2])
def test_nothing_is_judged_while_the_lake_lacks_what_landed(home: Warehouse, feed: Path, commits: int) -> None:
    """A table that is gone, or without its newest commit, would take verdicts back in silence."""
    land_paths(home, [feed])
    feed.write_text(EQUITY + ROW.replace("A1", "A2"), encoding="utf-8")
    land_paths(home, [feed])
    for log in sorted((home.lake_path("equity") / "_delta_log").glob("*.json"))[-commits:]:
        log.unlink()
    with pytest.raises(WarehouseRefused, match=rf"lost records that landed \({commits} equity\)"):
        score(home, catalogue.Rulebook({}))


def test_records_dated_after_now_are_told(home: Warehouse, tmp_path: Path) -> None:
    """One record of the year 2199 would move every run there unseen."""
    late = tmp_path / "equity.csv"
    late.write_text("account_id,observed_at,balance,equity\nA,2199-01-01T00:00:00Z,1,1\nA,2020-01-01T00:00:00Z,1,1\n")
    land_paths(home, [late])
    told = [f.found for f in examine(home, tmp_path) if f.check == "dates"]
    assert [text.split(":")[0] for text in told] == ["1 equity are dated after now, up to 2199-01-01 00"]


def test_a_port_in_use_is_told_before_anything_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first command ends with a sentence that names the port, and makes no firm."""
    monkeypatch.setenv("HIGHWATER_HOME", str(tmp_path / "none"))
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(sys, "argv", ["start", "--port", str(port)])
        with pytest.raises(SystemExit, match=f"port {port} cannot be used"):
            start.main()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["who?", "a%41"])
def test_a_home_that_an_address_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    """Its database was made under another name, beside it, and its lake looked for elsewhere."""
    with pytest.raises(WarehouseRefused, match="cannot be the home: its path has"):
        Warehouse.open(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_home_may_have_any_other_name(tmp_path: Path) -> None:
    """Spaces, quotes, other scripts, # and a lone %."""
    home = Warehouse.open(tmp_path / 'o\'d "é" фирма #1 100% ok')
    assert (home.home / "highwater.db").is_file()


def test_a_defect_keeps_its_traceback() -> None:
    """Only failures of the machine are sentences."""
    assert faults.sentence(KeyError("x")) is None
    assert "interrupted" in str(faults.sentence(KeyboardInterrupt()))
    assert "disk is full" in str(faults.sentence(OSError(28, "No space left on device")))
    assert faults.sentence(RuntimeError("x")) is None
    assert "NUMBA_CACHE_DIR" in str(faults.sentence(RuntimeError("cannot cache function 'f': no locator available")))


def test_a_lake_file_that_changed_is_told_and_nothing_is_judged(home: Warehouse, feed: Path, tmp_path: Path) -> None:
    """A flipped bit that still reads as a number would change verdicts in silence; so would a file that is gone."""
    land_paths(home, [feed])
    (file,) = map(Path, home.lake_files("equity"))
    whole = file.read_bytes()
    for damage, says in ((whole[:99] + bytes([whole[99] ^ 1]) + whole[100:], "as it was written"), (b"", "0 bytes of")):
        file.write_bytes(damage)
        with pytest.raises(WarehouseRefused, match=rf"equity/{file.name} .*{says}"):
            score(home, catalogue.Rulebook({}))
        assert [f.found for f in examine(home, tmp_path) if f.state == WRONG and says in f.found]
    file.unlink()
    assert [f.found for f in examine(home, tmp_path) if f.state == WRONG and "is gone" in f.found]
    file.write_bytes(whole)
    assert seals.changed(home) == []


def test_a_database_older_than_its_lake_is_told(home: Warehouse, feed: Path, tmp_path: Path) -> None:
    """An empty or restored database would give a load's number out twice and forget what was decided."""
    land_paths(home, [feed])
    with home.database.begin() as database:
        database.execute(sa.delete(LOADS))
    says = "does not know: it is empty, older than the lake"
    assert [f.found for f in examine(home, tmp_path) if f.state == WRONG and says in f.found]
    with pytest.raises(WarehouseRefused, match=says):
        score(home, catalogue.Rulebook({}))
    feed.write_text(EQUITY + ROW.replace("A1", "A2"), encoding="utf-8")
    with pytest.raises(FeedRefused, match=says):
        land_paths(home, [feed])


def test_a_database_without_its_tables_is_told(home: Warehouse, tmp_path: Path) -> None:
    """The doctor names what is lacking rather than failing at it."""
    with home.database.begin() as database:
        database.execute(sa.text("drop table verdicts"))
    told = [f for f in examine(home, tmp_path) if f.check == "database"]
    assert [(f.state, "verdicts" in f.found) for f in told] == [(WRONG, True)]


# --- commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["garbage", "2026-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_an_instant_that_cannot_be_stood_at_is_wrong_usage(text: str) -> None:
    """Naive, far and unreadable times are refused before anything runs."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["score", "--as-of", text])
    assert ended.value.code == cli.WRONG_USAGE


def test_a_demo_too_small_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence says how large it must be."""
    assert cli.main(["demo", "--out", str(tmp_path / "demo"), "--traders", "-5"]) == cli.REFUSED
    assert "at least" in capsys.readouterr().err


def test_downloads_for_people_hold_no_formula() -> None:
    """A name that a trader chose must not run in the analyst's spreadsheet; amounts stay amounts."""
    told = pd.DataFrame({"name": ["=cmd|'/c calc'!A0", "@x", "-1,200.50", "+44 a", "Ann"], "amount": [-1.5] * 5})
    rows = export.for_spreadsheets(told).splitlines()
    assert rows[1:] == ["'=cmd|'/c calc'!A0,-1.5", "'@x,-1.5", '"-1,200.50",-1.5', "'+44 a,-1.5", "Ann,-1.5"]


def test_texts_of_others_draw_nothing_in_markdown() -> None:
    """A picture in a trader's name would tell its author who looks at it; our own bold stays bold."""
    assert words.marked("![x](//e)\n<b>") == r"\!\[x\](//e)\\n\<b\>"
    assert words.unlinked("**![x](//e)** <b>") == r"**!\[x\](//e)** \<b>"


DRAWN_AS_HTML = {"facts", "card", "html"}
DRAWN_AS_MARKDOWN = {"caption", "markdown", "subheader", "title", "page_link"}


def test_texts_of_others_are_made_harmless_for_what_draws_them() -> None:
    """HTML holds no bare value of a record, and Markdown none that is made harmless for HTML: links would be drawn."""
    for page in sorted(Path(words.__file__).parents[1].rglob("*.py")):
        for call in ast.walk(ast.parse(page.read_text())):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            inside = [node for argument in call.args for node in ast.walk(argument)]
            if call.func.attr in DRAWN_AS_MARKDOWN:
                meant_for_html = [node for node in inside if isinstance(node, ast.Attribute) and node.attr == "escaped"]
                assert not meant_for_html, f"{page.name}:{call.lineno}"
            if call.func.attr in DRAWN_AS_HTML:
                told = [node.value for node in inside if isinstance(node, ast.FormattedValue)]
                told += [value for node in inside if isinstance(node, ast.Dict) for value in node.values]
                assert not [one for one in told if _is_of_a_record(one)], f"{page.name}:{call.lineno}"


def _is_of_a_record(told: ast.expr) -> bool:
    """Whether an expression is `row["column"]`."""
    return (
        isinstance(told, ast.Subscript) and isinstance(told.slice, ast.Constant) and isinstance(told.slice.value, str)
    )


def test_exposure_that_no_rate_puts_into_dollars_is_told(home: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firm of instruments without a rate has lots and no dollars: page and report show them."""
    lots: dict[str, object] = {
        "accounts": 1,
        "positions": 1,
        "long_lots": 2.0,
        "short_lots": 1.0,
        "net_lots": 1.0,
        "unknown": 1,
    }
    found = pd.DataFrame([lots | {"instrument": name, "largest_share": 0.5} for name in ("X1", "X2")])
    found["net_usd"] = found["weighted_usd"] = pd.Series([None, None], dtype=object)
    assert list(exposure._by_instrument(found)["long_lots"]) == [2, 2]
    monkeypatch.setattr(marts, "read", lambda *_, **__: found)
    with home.database.connect() as database:
        told = report._exposure(database, None)[1]
    assert isinstance(told, Table) and told.rows[0] == ("X1", "2.00", "1.00", "–", "–")


@pytest.mark.parametrize("form", export.FORMATS)
def test_a_failed_export_leaves_the_earlier_one(
    home: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """An export that breaks off keeps what was there and leaves nothing beside it."""
    out = tmp_path / "out" / f"loads.{form}"
    out.parent.mkdir()
    out.write_text("earlier", encoding="utf-8")

    def broken(_frame: object, _table: str, beside: Path, _form: str) -> None:
        beside.write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "_write", broken)
    with pytest.raises(WriteRefused, match="No space left"):
        export_table(home, "loads", out)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in out.parent.iterdir()] == [(out.name, "earlier")]


def test_an_export_replaces_files_only(home: Warehouse, feed: Path, tmp_path: Path) -> None:
    """Folders, devices and files taken for folders are refused and stay."""
    (tmp_path / "folder.csv").mkdir()
    for out in (tmp_path / "folder.csv", feed / "x.csv"):
        with pytest.raises(WriteRefused):
            export_table(home, "loads", out)
    assert (tmp_path / "folder.csv").is_dir()
    assert feed.read_text(encoding="utf-8") == EQUITY + ROW


@pytest.mark.parametrize("mapping", [None, b"\xff\xfe"])
def test_a_mapping_that_cannot_be_read_is_refused(
    tmp_path: Path, feed: Path, mapping: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing or undecodable mapping ends in a sentence with its name."""
    told = tmp_path / "mapping.toml"
    if mapping:
        told.write_bytes(mapping)
    source = ["--source", "generic-csv", "--account", "A", "--server-zone", "UTC", "--mapping", str(told)]
    assert cli.main(["--home", str(tmp_path / "h"), "ingest", *source, str(feed)]) == cli.REFUSED
    assert "mapping.toml" in capsys.readouterr().err


def test_an_empty_path_is_wrong_usage() -> None:
    """`ingest "$FEED"` without a FEED would land whatever folder one stands in."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["ingest", ""])
    assert ended.value.code == cli.WRONG_USAGE


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("equity.csv", EQUITY.encode("utf-16-le"), "UTF-16 text or a binary file"),
        ("equity.csv", b"\x28\xb5\x2f\xfd--", "Zstandard"),
        ("equity.csv.gz", gzip.compress(b"PK\x03\x04--"), "a ZIP archive"),
        ("equity.csv.gz", gzip.compress(gzip.compress(b"x")), "looks like gzip"),
        ("equity.jsonl", b'{"account_id": "A", "account_id": "B"}', "each name in it once"),
        ("equity.csv", b"account_id,a\x1b[31m\rx", r"the file has account_id, a\\x1b\[31m$"),
        ("equity-a\nb.csv", b"x", r"equity-a\\nb.csv: missing"),
    ],
    ids=[
        "utf-16",
        "zstandard",
        "zip as gzip",
        "gzip in gzip",
        "a name twice",
        "control characters",
        "a name of two lines",
    ],
)
def test_what_is_no_feed_is_named(home: Warehouse, tmp_path: Path, name: str, data: bytes, says: str) -> None:
    """The sentence says what a file looks like, in one line whatever stands in it."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(FeedRefused, match=says):
        land_paths(home, [path])


def test_parquet_text_that_is_not_utf8_is_refused(home: Warehouse, tmp_path: Path) -> None:
    """The file is named, not the lake."""
    one, path = pa.array([1.0]), tmp_path / "equity.parquet"
    at, name = pa.array(["2026-01-01T00:00:00Z"]), pa.array([b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"account_id": name, "observed_at": at, "balance": one, "equity": one}), path)
    with pytest.raises(FeedRefused, match=r"equity.parquet is damaged after row 0.*UTF8"):
        land_paths(home, [path])


def test_many_columns_are_looked_through_once(home: Warehouse, tmp_path: Path) -> None:
    """A header of 100,000 cells took minutes when each was looked up among the others."""
    path = tmp_path / "equity.csv"
    path.write_text(EQUITY.strip() + "".join(f",c{place}" for place in range(100_000)) + "\n", encoding="utf-8")
    began = time.process_time()
    assert inspect(path).columns == tuple(EQUITY.strip().split(","))
    assert time.process_time() - began < 5


def test_a_folder_in_place_of_an_export_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A platform's export is a file."""
    source = ["--source", "mt4-statement", "--account", "A", "--server-zone", "UTC"]
    assert cli.main(["--home", str(tmp_path / "h"), "ingest", *source, str(tmp_path)]) == cli.REFUSED
    assert "Is a directory" in capsys.readouterr().err


def test_a_parquet_of_hostile_names_lands_under_them(home: Warehouse, tmp_path: Path) -> None:
    """Identifiers are values, whatever they look like."""
    names = ["O'B; drop table loads;--", "🎉", "%s {x}", "a\\b"]
    at = pa.array(["2026-01-01T00:00:00Z"] * len(names))
    one = pa.array([1.0] * len(names))
    path = tmp_path / "equity.parquet"
    pq.write_table(pa.table({"account_id": names, "observed_at": at, "balance": one, "equity": one}), path)
    (load,) = land_paths(home, [path])
    assert load.landed == len(names)
    kept = pq.read_table(home.lake_files("equity")[0])["account_id"].to_pylist()
    assert sorted(kept) == sorted(names)


# --- files of terms ---


PLAN = """id = "p"
[[versions]]
version = 1
effective_from = 2025-01-01T00:00:00Z
currency = "EUR"
purchase = { percent = 10 }
"""


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("percent = 10", "amount = 0.001", "smallest unit of EUR"),
        ("percent = 10", "amount = 1e400", "below 10,000,000,000"),
        ('"EUR"', "978", "three to five capital letters"),
        ('"p"', '"a\\u0000b"', "text of one line"),
        ("version = 1", "version = true", "whole number"),
        ("2025-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "outside the years"),
        ("[[versions]]", "[versions]", r"one \[\[versions\]\]"),
        ('currency = "EUR"', 'currency = "EUR"\nconvert = "no"', "true or false, not 'no'"),
        ('currency = "EUR"', "negative_carry = 1", "true or false, not 1"),
        ('currency = "EUR"', "hold = { refund_days = 99999999999 }", "within 0 and 36,500"),
        ('currency = "EUR"', "taken_back = [[1]]", "taken_back lists"),
        ('currency = "EUR"', "tiers = { steps = 3 }", "must be a list"),
        ('currency = "EUR"', f"x = {'[' * 5000}", "too deep"),
        ('currency = "EUR"', f"x = {'9' * 5000}", "not TOML"),
    ],
)
def test_plans_beyond_reason_name_their_field(before: str, after: str, says: str) -> None:
    """The field is named and nothing crashes; text in place of true or false is not taken for true."""
    with pytest.raises(PlanRefused, match=says):
        read_plan(PLAN.replace(before, after), "p.toml")


def test_plans_that_cannot_be_read_leave_the_others(tmp_path: Path) -> None:
    """A folder, a dangling link and another encoding are refused by name; the plan beside them stands."""
    (tmp_path / "p.toml").write_text(PLAN, encoding="utf-8")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "link.toml").symlink_to(tmp_path / "nothing")
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    held = load_plans(tmp_path)
    assert list(held.known) == ["p"]
    assert {name: told.split(":")[0] for name, told in held.refused.items()} == {
        name: f"{name}.toml" for name in ("folder", "link", "latin")
    }


def test_a_broken_policy_is_refused_by_name(tmp_path: Path) -> None:
    """A version that lacks a part, or another kind of value, is a sentence with the file's name."""
    path = tmp_path / "policy.toml"
    for text in ("x = [", "versions = 1", "[[versions]]\nversion = 1\n", '[[versions]]\nversion = "1"\n'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(TomlRefused, match=r"^policy.toml: "):
            policy.versions(path)
        policy.versions.cache_clear()


# --- the rulebook ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('zone = "UTC"', 'zone = ["UTC"]', "clock.zone"),
        ('"00:00"', '"00:00+02:00"', "clock.reset"),
        ("2025-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "effective_from"),
        ("version = 1", "version = 99999999999999999999", "version"),
        ('base = "initial", percent = 10', 'base = "fixed", amount = 10000000000', "amount"),
        ("max_loss", "min_trading_days = 99999999999999999999\nmax_loss", "min_trading_days"),
        ("max_loss", 'next_stage = "funded"\nmax_loss', "next_stage"),
        ("max_loss", 'split = { percent = 80, tiers = [{ percent = "x" }] }\nmax_loss', "tiers"),
    ],
)
def test_terms_beyond_reason_name_their_field(before: str, after: str, says: str) -> None:
    """The field is named, nothing is loaded and nothing crashes."""
    with pytest.raises(RulebookRefused, match=says):
        catalogue.read_product(PRODUCT.replace(before, after), "p.toml")


def test_versions_that_are_no_tables_are_refused() -> None:
    """A list of numbers is no list of versions."""
    with pytest.raises(RulebookRefused, match="versions"):
        catalogue.read_product('id = "p"\nname = "P"\nversions = [1, 2]', "p.toml")


@pytest.mark.parametrize(("name", "data"), [("q.toml", b"\xff"), ("versions.lock", b"\xff"), ("versions.lock", b"x")])
def test_bytes_that_are_no_rulebook_are_refused(tmp_path: Path, name: str, data: bytes) -> None:
    """A file in another encoding and a broken lock file are named."""
    (tmp_path / "p.toml").write_text(PRODUCT, encoding="utf-8")
    assert catalogue.load(tmp_path).products.keys() == {"p"}
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RulebookRefused, match=name):
        catalogue.load(tmp_path)


@pytest.mark.parametrize("part", ["", "lake", "highwater.db"])
def test_a_home_that_cannot_be_written_is_wrong_with_doctor(part: str) -> None:
    """Its pages can be read, so that nobody would see why no run is ever done."""
    before = os.geteuid()
    user = before or NOBODY  # an administrator writes whatever the rights say
    with tempfile.TemporaryDirectory() as folder:
        house = Warehouse.open(folder)
        for one in (house.home, *house.home.iterdir()):
            os.chown(one, user, -1)
        told = []
        for rights in (0o755, 0o555):
            (house.home / part).chmod(rights)
            os.seteuid(user)
            try:
                told.append(_home(house))
            finally:
                os.seteuid(before)
        (house.home / part).chmod(0o755)
        house.database.dispose()
    assert [one.state for one in told] == [FINE, WRONG]
    assert "cannot be written: nothing lands, is scored or decided" in told[1].found
