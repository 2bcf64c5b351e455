"""However a firm's records arrive, the tables are the same: in any order, twice, in parts, late, corrected, anywhere.

Small firms of random accounts go the whole way: landed, scored, exported. The oracle says what must come out.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import time
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings

from models import catalogue
from pipelines import marts
from pipelines.export import export_table
from pipelines.land import land_frame, land_paths
from pipelines.score import judged_accounts, register_instruments, register_terms, score
from sql import relations, schema
from sql.warehouse import Warehouse, newest_fact, read_frame
from tests.builders import Case, Row, firm_rows, oracle_says, write_firm, write_rulebook, written
from tests.test_walk_oracle import cases
from tests.walk_oracle import Account, Deal, FirmClock, Observation, Rules, tell

WALKED = ("account_status", "verdicts", "account_days")
MONDAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
Feed = Mapping[str, Sequence[Row]]
Told = list[dict[str, tuple[str | None, int]]]


def land(warehouse: Warehouse, rows: Feed, label: str) -> None:
    """Lands rows of any datasets as one delivery each; nothing of them may be refused."""
    for dataset, listed in rows.items():
        if listed:
            frame = pd.DataFrame([{name: written(value) for name, value in row.items()} for row in listed]).fillna("")
            landed = land_frame(warehouse, dataset, frame, file=f"{dataset}-{label}.csv", quick=True)
            assert landed.rejects == 0


def to_be_judged(
    connection: duckdb.DuckDBPyConnection, rulebook: catalogue.Rulebook
) -> tuple[dt.datetime, pd.DataFrame]:
    """The newest fact, and every account that is to be judged as of it, with the terms before the SQL files."""
    stands_at = newest_fact(connection)
    assert stands_at is not None
    register_terms(connection, rulebook)
    register_instruments(connection)
    relations.build(connection, "facts.accounts")
    return stands_at, judged_accounts(connection)


def table(warehouse: Warehouse, name: str) -> pd.DataFrame:
    """A decided table in order of its columns; in evidence no word on where a record came from."""
    found = schema.METADATA.tables[name]
    with warehouse.database.connect() as database:
        frame = read_frame(database, found).map(str)
    if "evidence" in frame:
        frame["evidence"] = frame["evidence"].map(without_origin)
    return frame.sort_values(list(frame.columns), ignore_index=True)


def marts_of(warehouse: Warehouse) -> dict[str, list[str]]:
    """The rows of every mart's table, whatever the order in which they stand."""
    stems = [name.split(".")[1] for name in relations.names("marts")]
    found: dict[str, list[str]] = {}
    with warehouse.database.connect() as database:
        for name in (stem if stem in schema.METADATA.tables else f"mart_{stem}" for stem in stems):
            held = read_frame(database, sa.Table(name, sa.MetaData(), autoload_with=database))
            rows = held.drop(columns=list(marts.OWN)).round(6).map(str)
            found[name] = sorted(map("|".join, rows.itertuples(index=False, name=None)))
    return found


def without_origin(evidence: str) -> str:
    """Evidence without load and line, which tell how a record was delivered."""
    held = json.loads(evidence)
    held["event"] = {key: value for key, value in held["event"].items() if key not in ("load_id", "line")}
    return json.dumps(held, sort_keys=True)


def same(one: Warehouse, other: Warehouse) -> bool:
    """Whether two warehouses say the same about every account."""
    return all(table(one, name).equals(table(other, name)) for name in WALKED)


def exported(warehouse: Warehouse, folder: Path) -> dict[str, bytes]:
    """Every published table but the loads as the bytes of its export."""
    names = [name for name in schema.PUBLISHED if name not in ("loads", "rejects")]
    for name in names:
        export_table(warehouse, name, folder / f"{name}.csv")
    return {name: (folder / f"{name}.csv").read_bytes() for name in names}


def drawn(count: int) -> list[Case]:
    """Random accounts, the first the plainest that there is, the others as wild as they come."""
    found: list[Case] = []

    @settings(
        max_examples=count, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases())
    def draw(case: Case) -> None:
        found.append(case)

    draw()
    return found


def firm(drawn: Sequence[Case]) -> dict[str, Case]:
    """Accounts by id."""
    return {f"A{number}": case for number, case in enumerate(drawn)}


def shuffled(rows: Feed, chance: random.Random) -> dict[str, list[Row]]:
    """The same rows in another order, some of them twice."""
    mixed = {name: [*listed, *chance.choices(listed, k=len(listed) // 2)] for name, listed in rows.items()}
    for listed in mixed.values():
        chance.shuffle(listed)
    return mixed


def in_steps(rows: Feed, chance: random.Random, count: int = 3) -> list[dict[str, list[Row]]]:
    """The rows over several deliveries: of some accounts in order of time, of others as it comes and some of them wrong
    at first and corrected by a later one."""
    steps: list[dict[str, list[Row]]] = [{name: [] for name in rows} for _ in range(count)]
    dated = {"deals": "executed_at", "equity": "observed_at"}
    instants = sorted(row[dated[name]] for name in dated for row in rows.get(name, ()))
    for name, listed in rows.items():
        for row in listed:
            orderly = int(str(row.get("account_id", "A0"))[1:]) % 3 > 0
            if orderly:
                step = bisect(instants, row[dated[name]]) * count // (len(instants) + 1) if name in dated else 0
            else:
                step = chance.randrange(count)
            steps[step][name].append(row)
            if name in dated and step > 0 and chance.random() < (0.1 if orderly else 0.5):
                field = "profit" if name == "deals" else "equity"
                wrong = {**row, field: Decimal(chance.choice([-20000, 0, 20000]))}
                steps[chance.randrange(step)][name].append(wrong)
    return steps


def check_against_oracle(warehouse: Warehouse, accounts: Mapping[str, Case], as_of: dt.datetime) -> None:
    """The published tables say of each account what the oracle says."""
    status, verdicts = table(warehouse, "account_status"), table(warehouse, "verdicts")
    assert sorted(status["account_id"]) == sorted(accounts)
    for account_id, case in accounts.items():
        said = oracle_says(tell(case.account, case.clock, case.rules, case.deals, case.observations, as_of))
        row = status[status["account_id"] == account_id].iloc[0]
        assert (row["status"], row["status_at"]) == (said["status"], str(said["status_at"]))
        assert [Decimal(row[name]) for name in ("balance", "equity")] == [said["balance"], said["equity"]]
        for name in ("daily_floor", "max_floor"):
            assert row[name] == "None" if said[name] is None else Decimal(row[name]) == said[name]
        rules = verdicts[verdicts["account_id"] == account_id].sort_values("happened_at", kind="stable")
        assert sorted(zip(rules["rule"], rules["happened_at"], strict=True)) == sorted(
            (verdict[0], str(verdict[3])) for verdict in said["verdicts"]
        )


@pytest.mark.slow
def test_order_repeats_and_zone_change_nothing(tmp_path: Path) -> None:
    folder, accounts = tmp_path, firm(drawn(20))
    rulebook = catalogue.load(write_rulebook(folder / "rules", accounts))
    rows = firm_rows(accounts)
    plain, mixed = Warehouse.open(folder / "plain"), Warehouse.open(folder / "mixed")
    land(plain, rows, "1")
    as_of = score(plain, rulebook).as_of
    assert as_of is not None
    check_against_oracle(plain, accounts, as_of)
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Pacific/Auckland")
        time.tzset()
        land(mixed, shuffled(rows, random.Random(7)), "1")
        score(mixed, rulebook)
    time.tzset()
    assert same(plain, mixed)


@pytest.mark.slow
def test_in_steps_is_as_at_once(tmp_path: Path, opener: Callable[[Path], Warehouse]) -> None:
    folder, accounts = tmp_path, firm(drawn(20))
    rulebook = catalogue.load(write_rulebook(folder / "rules", accounts))
    rows = firm_rows(accounts)
    stepwise, once = opener(folder / "stepwise"), opener(folder / "once")
    resumed = []
    for number, step in enumerate(in_steps(rows, random.Random(7))):
        land(stepwise, step, str(number))
        resumed.append(score(stepwise, rulebook).resumed)
    assert resumed[0] == 0 < resumed[-1]
    incremental = exported(stepwise, folder / "incremental")
    days, brought = table(stepwise, "account_days"), marts_of(stepwise)
    score(stepwise, rulebook, full=True)
    assert exported(stepwise, folder / "full") == incremental
    assert table(stepwise, "account_days").equals(days)
    land(once, rows, "1")
    score(once, rulebook)
    assert same(stepwise, once)
    assert brought == marts_of(once) and brought["mart_cohort_challenges"]


# --- what only a whole run can show ---------------------------------------------------------------------------------


RULES: Rules = {"daily_loss": {"percent": 5}}


def one_account(profit: int = -6000, **changed: Any) -> Case:
    """An account with one trade at nine on Monday."""
    deal = Deal(
        "1", MONDAY + dt.timedelta(hours=9), "trade", Decimal(profit), entry="out", position_id="1", side="sell"
    )
    return Case(Account(Decimal(100000), MONDAY, **changed), FirmClock(), RULES, [deal], [], MONDAY)


def status_of(warehouse: Warehouse, account_id: str = "A0") -> str | None:
    """An account's status, None while it is not judged."""
    found = table(warehouse, "account_status")
    listed = found.loc[found["account_id"] == account_id, "status"].tolist()
    return listed[0] if listed else None


LATE = ("accounts", "challenges", "deals")
ONE_FIRM = pytest.mark.xdist_group("score_same")  # which is made once


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What a firm of single accounts is told after each of four deliveries: status and number of verdicts.

    The first is a folder of files. A0 and A1 stand on the limit and a cent beyond, A2 is told twice in one load, A3 is
    corrected by every delivery, A4 has no terms, and of the late ones one dataset comes with the second.
    """
    folder = tmp_path_factory.mktemp("told")
    harmless = one_account(0)
    accounts = {
        "A0": one_account(-5000),
        "A1": replace(harmless, deals=[Deal("1", MONDAY, "fee", Decimal("-5000.01"))]),
        "A2": one_account(-5000),
        "A3": one_account(),
        "A4": one_account(stage="funded"),
        **{name: one_account() for name in LATE},
    }
    judged = {name: case for name, case in accounts.items() if name != "A4"}
    rulebook = catalogue.load(write_rulebook(folder / "rules", judged))
    warehouse = Warehouse.open(folder / "home")
    first = {name: list(rows) for name, rows in firm_rows(accounts).items()}
    ids = {"challenges": "challenge_id"}
    late = {name: [row for row in first[name] if str(row[ids.get(name, "account_id")]).endswith(name)] for name in LATE}
    for name, rows in late.items():
        first[name] = [row for row in first[name] if row not in rows]
    first["deals"] = [*firm_rows({"A2": one_account()})["deals"], *first["deals"]]
    corrected = [firm_rows({"A3": one_account(profit)})["deals"] for profit in (-5000, -6000, -5000)]
    steps: list[Feed] = [
        {**late, "deals": [*late["deals"], *corrected[0]]},
        *({"deals": deals} for deals in corrected[1:]),
    ]
    landed = land_paths(warehouse, [write_firm(folder / "feed", first)])
    assert sum(one.rejects for one in landed) == 0
    found = []
    for number, step in enumerate([{}, *steps]):
        land(warehouse, step, str(number))
        score(warehouse, rulebook)
        said = table(warehouse, "verdicts")["account_id"].value_counts()
        stands = dict(table(warehouse, "account_status")[["account_id", "status"]].itertuples(index=False, name=None))
        found.append({name: (stands.get(name), int(said.get(name, 0))) for name in accounts})
    return found


@ONE_FIRM
def test_files_of_a_folder_go_the_whole_way(told: Told) -> None:
    assert [told[0][name][0] for name in ("A0", "A1")] == ["active", "breached"]


@ONE_FIRM
def test_a_later_delivery_corrects_an_earlier_one_both_ways(told: Told) -> None:
    assert [one["A3"] for one in told] == [("breached", 1), ("active", 0), ("breached", 1), ("active", 0)]


@ONE_FIRM
def test_the_later_row_of_a_load_counts(told: Told) -> None:
    assert told[0]["A2"] == ("active", 0)


@ONE_FIRM
@pytest.mark.parametrize("late", LATE)
def test_what_comes_late_counts_once_it_is_there(told: Told, late: str) -> None:
    waits = "active" if late == "deals" else None
    assert [one[late] for one in told] == [(waits, 0), *[("breached", 1)] * 3]


@ONE_FIRM
def test_a_stage_without_terms_is_landed_and_not_judged(told: Told) -> None:
    assert {one["A4"] for one in told} == {(None, 0)}


def test_a_run_stands_at_the_newest_fact_or_where_it_is_told(tmp_path: Path) -> None:
    case = one_account()
    later = replace(case, observations=[Observation(MONDAY + dt.timedelta(days=1), Decimal(99000))])
    accounts = {"A0": case, "A1": replace(later, deals=[])}
    rulebook = catalogue.load(write_rulebook(tmp_path / "rules", accounts))
    warehouse = Warehouse.open(tmp_path / "home")
    land(warehouse, firm_rows(accounts), "1")
    before = score(warehouse, rulebook, MONDAY + dt.timedelta(hours=9, microseconds=-1))
    assert (before.as_of, status_of(warehouse)) == (MONDAY + dt.timedelta(hours=9, microseconds=-1), "active")
    newest = score(warehouse, rulebook)
    assert (newest.as_of, status_of(warehouse)) == (MONDAY + dt.timedelta(days=1), "breached")
    back = score(warehouse, rulebook, MONDAY + dt.timedelta(hours=9, microseconds=-1))
    assert (back.walked, status_of(warehouse)) == (2, "active")
