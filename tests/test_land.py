"""Landing: rows in = landed + duplicates + rejects, records once, corrections as versions, refusals whole."""

from __future__ import annotations

import itertools
import json
import multiprocessing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from deltalake import DeltaTable
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models import catalogue
from pipelines.doctor import examine
from pipelines.expectations import judging
from pipelines.expectations.reading import Batch
from pipelines.files import Broken, FeedRefused
from pipelines.land import Landed, land_frame, land_paths, recover
from sql.schema import LOADS, REJECTS, VALIDATIONS
from sql.warehouse import Warehouse

EQUITY = "account_id,observed_at,balance,equity\n"
Row = tuple[str, int, str]


def _equity(*rows: Row) -> str:
    """Lines of an equity feed: account, second, balance."""
    return "".join(f"{account},2026-01-01T00:00:{second:02}Z,{balance},0\n" for account, second, balance in rows)


def _write(folder: Path, name: str, content: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def _lake(warehouse: Warehouse, dataset: str = "equity") -> pd.DataFrame:
    files = warehouse.lake_files(dataset)
    return pd.concat([pq.read_table(file).to_pandas() for file in files]) if files else pd.DataFrame()


def _versions(warehouse: Warehouse) -> list[tuple[str, int, str, int]]:
    """Every version in the lake: account, second, balance, version."""
    lake = _lake(warehouse)
    if lake.empty:
        return []
    told = zip(lake.account_id, lake.observed_at, lake.balance, lake._version, strict=True)
    return sorted((account, at.second, f"{balance:f}", version) for account, at, balance, version in told)


def _current(warehouse: Warehouse) -> dict[tuple[str, int], str]:
    return {(account, second): balance for account, second, balance, _ in _versions(warehouse)}


def _counts(load: Landed) -> tuple[int, int, int, int, int]:
    return load.rows, load.landed, load.duplicates, load.rejects, load.corrections


def _table(warehouse: Warehouse, table: sa.Table) -> list[dict[str, Any]]:
    with warehouse.database.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(table))]


def test_every_row_is_landed_a_duplicate_or_a_reject(warehouse: Warehouse, tmp_path: Path) -> None:
    """The sum holds in what is returned, in `loads`, and against the lake and the rejects."""
    rows = _equity(("A", 1, "10"), ("A", 1, "10"), ("A", 2, "x"), ("A", 1, "11")) + "A,2026-01-01T00:00:03Z,1\n"
    (load,) = land_paths(warehouse, [_write(tmp_path, "equity.csv", EQUITY + rows)])
    assert _counts(load) == (5, 2, 1, 2, 1)
    assert _versions(warehouse) == [("A", 1, "10.00000000", 1), ("A", 1, "11.00000000", 2)]
    kept = [(r["file"], r["line"], r["column"], r["value"]) for r in _table(warehouse, REJECTS)]
    assert kept == [
        (load.file, 4, "balance", "x"),
        (load.file, 6, None, "A,2026-01-01T00:00:03Z,1"),
    ]
    (told,) = _table(warehouse, LOADS)
    assert {name: told[name] for name in ("rows", "landed", "duplicates", "rejects", "corrections")} == {
        "rows": 5,
        "landed": 2,
        "duplicates": 1,
        "rejects": 2,
        "corrections": 1,
    }
    assert told["finished_at"] >= told["started_at"]


def test_each_expectation_of_a_load_is_kept(warehouse: Warehouse, tmp_path: Path) -> None:
    """Data health shows what was looked at, not only what failed."""
    land_paths(warehouse, [_write(tmp_path, "equity.csv", EQUITY + _equity(("A", 1, "10"), ("A", 2, "x")))])
    told = {row["expectation"]: (row["evaluated"], row["unexpected"]) for row in _table(warehouse, VALIDATIONS)}
    assert told["balance can be read as an amount"] == (2, 1)
    assert told["account_id is given"] == (2, 0)


def test_what_is_large_is_judged_by_great_expectations_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of a load does not tell by which of the two judges it came."""
    file = _write(tmp_path, "equity.csv", EQUITY + _equity(("A", 1, "10"), ("A", 2, "x"), ("", 3, "1")))
    asked: list[int] = []

    great = judging.with_great_expectations

    def counted(batch: Batch) -> Any:
        asked.append(batch.rows)
        return great(batch)

    kept = []
    for large in (4, 3):
        home = Warehouse.open(tmp_path / str(large), f"sqlite:///{tmp_path}/{large}.db")
        with monkeypatch.context() as patch:
            patch.setattr(judging, "LARGE_ROWS", large)
            patch.setattr(judging, "with_great_expectations", counted)
            land_paths(home, [file])
        kept.append((_versions(home), _table(home, REJECTS), _table(home, VALIDATIONS)))
    assert asked == [3]
    assert kept[0] == kept[1]
    assert [len(part) for part in kept[0]][:2] == [1, 2]


def test_the_same_file_again_is_a_no_op(warehouse: Warehouse, tmp_path: Path) -> None:
    """Even under another name, and even when a later file has changed its records since."""
    first = _write(tmp_path, "equity.csv", EQUITY + _equity(("A", 1, "10"), ("A", 2, "y")))
    changed = _write(tmp_path, "equity-2.csv", EQUITY + _equity(("A", 1, "11")))
    again = _write(tmp_path / "again", "equity-copy.csv", first.read_text())
    loads = land_paths(warehouse, [first, changed, again, first])
    assert [_counts(load) for load in loads] == [(2, 1, 0, 1, 0), (1, 1, 0, 0, 1), (2, 0, 2, 0, 0), (2, 0, 2, 0, 0)]
    assert _current(warehouse) == {("A", 1): "11.00000000"}
    assert len(_table(warehouse, REJECTS)) == 1


def test_the_same_rows_in_another_form_are_duplicates(warehouse: Warehouse, tmp_path: Path) -> None:
    """CSV, JSON Lines and Parquet with the same values are the same records."""
    csv = _write(tmp_path, "equity.csv", EQUITY + _equity(("A", 1, "10.10"), ("A", 1, "10.2"), ("B", 1, "0.3")))
    times = ["2026-01-01T00:00:01+00:00"] * 3
    frame = pd.DataFrame(
        {"account_id": ["A", "A", "B"], "observed_at": times, "balance": [10.1, 10.2, 0.3], "equity": [0, 0, 0]}
    )
    lines = _write(tmp_path, "equity-j.jsonl", frame.to_json(orient="records", lines=True))
    parquet = tmp_path / "equity-p.parquet"
    frame.assign(observed_at=pd.to_datetime(frame.observed_at)).to_parquet(parquet)
    assert [_counts(load)[:3] for load in land_paths(warehouse, [csv, lines, parquet])] == [
        (3, 3, 0),
        (3, 0, 3),
        (3, 0, 3),
    ]


def test_values_that_appear_or_disappear_are_changes(warehouse: Warehouse) -> None:
    """A missing value differs from any value and equals another missing one."""
    row = {"account_id": ["A"], "deal_id": ["1"], "kind": ["trade"], "executed_at": ["2026-01-01T00:00:00Z"]}
    commissions = [None, None, "0", "0.0", None]
    landed = []
    for place, commission in enumerate(commissions):
        table = pa.table(row | {"profit": ["1"], "commission": pa.array([commission], pa.string())})
        landed.append(land_frame(warehouse, "deals", table, file=str(place), quick=True).landed)
    assert landed == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("name", "told", "left"),
    [
        ("traders-kyc.csv", "trader_id,full_name,kyc_status,registered_at\nT1,Ann,{},2026-01-01T00:00:00Z\n", "a@b.co"),
        (
            "traders-kyc.csv",
            "trader_id,full_name,email,kyc_status,registered_at\nT1,Ann,,{},2026-01-01T00:00:00Z\n",
            None,
        ),
        (
            "traders-kyc.jsonl",
            '{{"trader_id": "T1", "full_name": "Ann", "kyc_status": "{}", "registered_at": "2026-01-01T00:00:00Z"}}\n',
            None,
        ),
    ],
    ids=["a file without the column", "a file with the column empty", "a record without it"],
)
def test_a_column_that_a_file_does_not_have_stays_as_it_is_known(
    warehouse: Warehouse, tmp_path: Path, name: str, told: str, left: str | None
) -> None:
    first = "trader_id,full_name,email,kyc_status,registered_at\nT1,Ann,a@b.co,none,2026-01-01T00:00:00Z\n"
    land_paths(warehouse, [_write(tmp_path / "a", "traders.csv", first)])
    [load] = land_paths(warehouse, [_write(tmp_path / "b", name, told.format("verified"))])
    assert (load.landed, load.corrections) == (1, 1)
    newest = _lake(warehouse, "traders").set_index("_version").loc[2]
    assert (newest["email"], newest["kyc_status"]) == (left, "verified")


def test_known_records_told_in_fewer_columns_are_duplicates(warehouse: Warehouse, tmp_path: Path) -> None:
    paid = "settlement_id,payout_id,amount,currency,settled_at,status,reference\n"
    row = "S1,P1,10,USD,2026-01-01T00:00:00Z,settled"
    land_paths(warehouse, [_write(tmp_path / "a", "settlements.csv", f"{paid}{row},R1\nS2{row[2:]},R2\n")])
    narrower = f"{paid.removesuffix(',reference' + chr(10))}\n{row}\n{row}\nS2{row[2:]}\nS3{row[2:]}\n"
    [load] = land_paths(warehouse, [_write(tmp_path / "b", "settlements.csv", narrower)])
    assert (load.landed, load.duplicates, load.corrections) == (1, 3, 0)


def test_a_record_that_goes_back_is_a_third_version(warehouse: Warehouse, tmp_path: Path) -> None:
    """A later delivery corrects an earlier one, also when it says what the first one said."""
    names = ("equity-1.csv", "equity-2.csv", "equity-3.csv")
    contents = (_equity(("A", 1, "10")), _equity(("A", 1, "11")), _equity(("A", 1, "10"), ("B", 1, "5")))
    land_paths(warehouse, [_write(tmp_path, n, EQUITY + c) for n, c in zip(names, contents, strict=True)])
    assert _versions(warehouse) == [
        ("A", 1, "10.00000000", 1),
        ("A", 1, "10.00000000", 3),
        ("A", 1, "11.00000000", 2),
        ("B", 1, "5.00000000", 1),
    ]


def test_nothing_lands_when_one_header_of_the_call_is_wrong(warehouse: Warehouse, tmp_path: Path) -> None:
    """Names and headers are checked before the first row lands."""
    good = _write(tmp_path, "equity.csv", EQUITY + _equity(("A", 1, "10")))
    bad = _write(tmp_path, "rates.csv", "currency,day\n")
    with pytest.raises(FeedRefused, match="missing required column rate_to_usd"):
        land_paths(warehouse, [good, bad])
    assert _table(warehouse, LOADS) == [] and _versions(warehouse) == []


def test_a_file_unreadable_half_way_lands_nothing_of_itself(warehouse: Warehouse, tmp_path: Path) -> None:
    """What landed before it stays, and the sentence says so."""
    good = _write(tmp_path, "equity-1.csv", EQUITY + _equity(("A", 1, "10")))
    bad = tmp_path / "equity-2.csv"
    bad.write_bytes((EQUITY + _equity(("B", 1, "10"))).encode() + b"\xff,2026-01-01T00:00:01Z,1,1\n")
    with pytest.raises(FeedRefused, match=r"line 3 has the byte 0xFF.*landed before it: .*equity-1.csv"):
        land_paths(warehouse, [good, bad])
    assert _current(warehouse) == {("A", 1): "10.00000000"}
    assert [row["file"] for row in _table(warehouse, LOADS)] == [str(good)]
    assert list((warehouse.home / "tmp").iterdir()) == []


def test_a_header_alone_is_a_load_of_no_rows(warehouse: Warehouse, tmp_path: Path) -> None:
    """An export of a quiet day is no error."""
    (load,) = land_paths(warehouse, [_write(tmp_path, "equity.csv", EQUITY)])
    assert _counts(load) == (0, 0, 0, 0, 0)


def test_orphans_land(warehouse: Warehouse, tmp_path: Path) -> None:
    """References may arrive in any order, so an account that nobody knows is no reason to refuse its equity."""
    (load,) = land_paths(warehouse, [_write(tmp_path, "equity.csv", EQUITY + _equity(("nobody", 1, "1")))])
    assert load.landed == 1


def test_doctor_lists_every_reference_that_waits(warehouse: Warehouse, tmp_path: Path) -> None:
    """It had left out desks of accounts and partners of clicks, and counted the deals of one account as one."""
    at = "2026-03-02T09:00:00Z"
    feeds = {
        "accounts": "account_id,challenge_id,trader_id,desk_id,login,opened_at,stage,platform,"
        "currency,initial_balance\n"
        f"A1,C1,T1,D1,1,{at},funded,mt5,USD,1000\n",
        "challenges": "challenge_id,trader_id,desk_id,product,purchased_at,fee,currency,partner_id,click_id,reset_of\n"
        f"C2,T1,D1,plan,{at},1,USD,P1,K1,C9\n",
        "deals": f"account_id,deal_id,kind,executed_at,profit\nA9,1,fee,{at},1\nA9,2,fee,{at},1\n",
        "logins": f"trader_id,occurred_at,ip,account_id\nT1,{at},1.1.1.1,A8\n",
        "clicks": f"click_id,partner_id,occurred_at\nK2,P8,{at}\nK3,P9,{at}\n",
        "consents": f"trader_id,occurred_at,given\nT2,{at},yes\n",
    }
    land_paths(warehouse, [_write(tmp_path, f"{name}.csv", text) for name, text in feeds.items()])
    (told,) = (one.found for one in examine(warehouse, catalogue.FOLDER) if one.check == "orphans")
    assert [one.replace(" that have not landed", "") for one in told.split("; ")] == [
        "1 accounts to challenges (C1)",
        "1 accounts to desks (D1)",
        "1 accounts to traders (T1)",
        "1 challenges to challenges (C9)",
        "1 challenges to clicks (K1)",
        "1 challenges to desks (D1)",
        "1 challenges to partners (P1)",
        "1 challenges to traders (T1)",
        "2 clicks to partners (P8, …)",
        "1 consents to traders (T2)",
        "2 deals to accounts (A9)",
        "1 logins to accounts (A8)",
        "1 logins to traders (T1)",
    ]


def test_a_frame_lands_with_its_lines_source_and_refused_rows(warehouse: Warehouse) -> None:
    """Platform statements bring rows that they could not read themselves."""
    frame = pd.DataFrame(
        {
            "account_id": ["A", "A"],
            "observed_at": pd.to_datetime(["2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"]),
            "balance": ["1.5", "nope"],
            "equity": [1, 2.5],
            "_line": [40, 41],
        }
    )
    told: dict[str, Any] = {
        "file": "statement.htm",
        "fingerprint": "f",
        "source": "mt4-statement",
        "reconciliation": "{}",
    }
    load = land_frame(warehouse, "equity", frame, refused=[Broken(7, "Profit", "?", "is no amount")], **told)
    assert _counts(load) == (3, 1, 0, 2, 0)
    assert [(r["line"], r["column"]) for r in _table(warehouse, REJECTS)] == [(7, "Profit"), (41, "balance")]
    assert _lake(warehouse)["_line"].tolist() == [40]
    assert _table(warehouse, LOADS)[0]["source"] == "mt4-statement"
    assert _counts(land_frame(warehouse, "equity", frame, **told)) == (3, 0, 3, 0, 0)
    assert land_frame(warehouse, "equity", frame, **told | {"source": "other"}).duplicates == 1


def test_a_frame_without_a_required_column_is_refused(warehouse: Warehouse) -> None:
    """The same sentence as for a file."""
    with pytest.raises(FeedRefused, match="x: missing required column equity"):
        land_frame(warehouse, "equity", pd.DataFrame({"account_id": [], "observed_at": [], "balance": []}), file="x")


def test_progress_is_told_by_file(warehouse: Warehouse, tmp_path: Path) -> None:
    """Whoever waits sees the rows go by."""
    told: list[tuple[str, int]] = []
    path = _write(tmp_path, "equity.csv", EQUITY + _equity(("A", 1, "10"), ("A", 2, "10")))
    land_paths(warehouse, [path], lambda file, rows: told.append((file, rows)))
    assert told == [(str(path), 2)]


def test_names_with_quotes_land(tmp_path: Path) -> None:
    """Paths reach SQL; they must not become part of it."""
    home = tmp_path / "o'home"
    warehouse = Warehouse.open(home, f"sqlite:///{home / 'h.db'}")
    path = _write(tmp_path / "it's", "equity.csv", EQUITY + _equity(("A'; drop", 1, "10")))
    land_paths(warehouse, [path])
    assert _current(warehouse) == {("A'; drop", 1): "10.00000000"}


def test_compaction_between_loads_changes_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    """Someone may compact the lake at any time; versions and duplicates are found as before."""
    paths = [_write(tmp_path, f"equity-{i}.csv", EQUITY + _equity(("A", 1, str(i)))) for i in range(3)]
    land_paths(warehouse, paths)
    DeltaTable(str(warehouse.lake_path("equity"))).optimize.compact()
    again = _write(tmp_path, "equity-9.csv", EQUITY + _equity(("A", 1, "2.0"), ("A", 2, "2")))
    (load,) = land_paths(warehouse, [again])
    assert _counts(load) == (2, 1, 1, 0, 0)


def _unfinished(warehouse: Warehouse, load_id: int) -> None:
    with warehouse.database.begin() as connection:
        connection.execute(sa.update(LOADS).where(LOADS.c.load_id == load_id).values(finished_at=None, rows=None))


def test_a_load_whose_commit_stands_is_completed(warehouse: Warehouse, tmp_path: Path) -> None:
    """Killed after the lake's commit: the counts come from the commit, and nothing lands again."""
    path = _write(tmp_path, "equity.csv", EQUITY + _equity(("A", 1, "10"), ("A", 2, "x")))
    (load,) = land_paths(warehouse, [path])
    before = _table(warehouse, LOADS)
    _unfinished(warehouse, load.load_id)
    (remark,) = recover(warehouse)
    assert "had landed before its process ended" in remark
    after = _table(warehouse, LOADS)
    assert [row | {"finished_at": None} for row in after] == [row | {"finished_at": None} for row in before]
    assert recover(warehouse) == []


def test_a_load_without_a_commit_is_undone(warehouse: Warehouse, tmp_path: Path) -> None:
    """Killed before the lake's commit: its rejects go with it, and the file lands as if for the first time."""
    path = _write(tmp_path, "equity.csv", EQUITY + _equity(("A", 1, "x")))
    land_paths(warehouse, [path])
    _unfinished(warehouse, 1)
    (remark,) = recover(warehouse)
    assert "it was undone" in remark
    assert (_table(warehouse, LOADS), _table(warehouse, REJECTS), _table(warehouse, VALIDATIONS)) == ([], [], [])
    assert _counts(land_paths(warehouse, [path])[0]) == (1, 0, 0, 1, 0)


def test_recovery_leaves_a_running_load_alone(warehouse: Warehouse, tmp_path: Path) -> None:
    """An open load under another process's lock is that process's business."""
    land_paths(warehouse, [_write(tmp_path, "equity.csv", EQUITY + _equity(("A", 1, "10")))])
    _unfinished(warehouse, 1)
    with warehouse.lock("land-equity"):
        assert recover(warehouse) == []
    assert len(recover(warehouse)) == 1


def _land_in_process(home: str, url: str, path: str) -> None:
    land_paths(Warehouse.open(home, url), [Path(path)])


def test_two_processes_landing_the_same_rows_at_once(warehouse: Warehouse, tmp_path: Path) -> None:
    """Four processes, the same records in different bytes: each record lands once, load ids are unique."""
    rows = _equity(*((f"A{i}", i % 60, "10") for i in range(500)))
    paths = [_write(tmp_path, f"equity-{i}.csv", EQUITY + rows + "\n" * i) for i in range(2)] * 2
    context = multiprocessing.get_context("forkserver")
    told = (str(warehouse.home), warehouse.database_url)
    processes = [context.Process(target=_land_in_process, args=(*told, str(path))) for path in paths]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    loads = _table(warehouse, LOADS)
    assert sorted(load["load_id"] for load in loads) == [1, 2, 3, 4]
    assert sorted(load["landed"] for load in loads) == [0, 0, 0, 500]
    assert len(_versions(warehouse)) == 500


RECORDS = [("A", second, f"{second}.5") for second in range(4)] + [("B", second, "7") for second in range(3)]


def _land_rows(warehouse: Warehouse, rows: list[Row], file: str) -> Landed:
    columns = {
        "account_id": [account for account, _, _ in rows],
        "observed_at": [f"2026-01-01T00:00:{second:02}Z" for _, second, _ in rows],
        "balance": [balance for _, _, balance in rows],
        "equity": ["0"] * len(rows),
    }
    return land_frame(warehouse, "equity", pa.table(columns), file=file, fingerprint=json.dumps(rows), quick=True)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.lists(st.sampled_from(RECORDS), min_size=1, max_size=8), min_size=1, max_size=4))
def test_any_split_order_and_duplication_gives_the_same_state(
    tmp_path_factory: pytest.TempPathFactory, deliveries: list[list[Row]]
) -> None:
    """Records that never change land once each, however they are dealt out."""
    home = tmp_path_factory.mktemp("home")
    warehouse = Warehouse.open(home, f"sqlite:///{home / 'h.db'}")
    for place, rows in enumerate([*deliveries, RECORDS]):
        load = _land_rows(warehouse, rows, str(place))
        assert load.rows == len(rows) == load.landed + load.duplicates + load.rejects
    assert _versions(warehouse) == sorted((a, s, f"{float(b):.8f}", 1) for a, s, b in RECORDS)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.just("A"), st.integers(0, 1), st.sampled_from(["1", "2"])), min_size=1, max_size=10),
    st.lists(st.integers(1, 9), max_size=3),
)
def test_corrections_are_the_same_in_one_file_or_many(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], cuts: list[int]
) -> None:
    """The newest value of each record is the last one told, and each delivery told twice changes nothing."""
    home = tmp_path_factory.mktemp("home")
    warehouse = Warehouse.open(home, f"sqlite:///{home / 'h.db'}")
    edges = [0, *sorted({cut for cut in cuts if cut < len(rows)}), len(rows)]
    parts = [rows[start:end] for start, end in itertools.pairwise(edges)]
    # the same bytes a second time are the same delivery, which adds nothing
    assume(len({json.dumps(part) for part in parts}) == len(parts))
    for part in parts:
        _land_rows(warehouse, part, "first")
        assert _land_rows(warehouse, part, "again").landed == 0
    lake = _lake(warehouse).sort_values("_version")
    keys = zip(lake["account_id"], lake["observed_at"].dt.second, strict=True)
    newest = dict(zip(keys, [f"{balance:f}" for balance in lake["balance"]], strict=True))
    assert newest == {(account, second): f"{float(balance):.8f}" for account, second, balance in rows}
    runs = lake.groupby(["account_id", "observed_at"])["_version"].apply(lambda column: column.tolist())
    assert all(versions == list(range(1, len(versions) + 1)) for versions in runs)
