"""Identity that goes on from what the last run left says the same as identity from scratch, whatever changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from models.identity import Identity, IdentityBook, IdentityFacts
from models.identity.facts import COLUMNS
from pipelines.identity import READ, identify
from sql import duck, relations, schema
from tests.test_identity import AS_OF, crowd, judged


@pytest.fixture
def database() -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        for table in (schema.JUDGEMENTS, schema.OWNERS):
            table.create(connection)
        yield connection


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many traders each book was told."""
    counts: list[int] = []
    add = IdentityBook.add

    def counted(book: IdentityBook, facts: IdentityFacts, **options: Any) -> Any:
        counts.append(len(facts.traders))
        return add(book, facts, **options)

    monkeypatch.setattr(IdentityBook, "add", counted)
    return counts


def staged(frames: dict[str, pd.DataFrame]) -> duckdb.DuckDBPyConnection:
    """A run's connection that holds these records."""
    connection = duck.connect({"threads": 1})
    relations.prepare(connection, AS_OF.to_pydatetime())
    for name in READ:
        frame = frames[name].reindex(columns=list(COLUMNS[name]))
        kinds = {column: "timestamptz" if column.endswith("_at") else "varchar" for column in COLUMNS[name]}
        for column, kind in kinds.items():
            told = frame[column]
            frame[column] = told.astype(object) if kind == "varchar" else pd.to_datetime(told, utc=True)
        connection.register("told", frame)
        casts = ", ".join(f"{column}::{kind} as {column}" for column, kind in kinds.items())
        connection.execute(f"create table staging.{name} as select {casts} from told")
        connection.unregister("told")
    return connection


def firm(seed: int) -> dict[str, pd.DataFrame]:
    """People near every threshold, some of whom came by a click."""
    facts = crowd(seed).facts()
    frames = {name: getattr(facts, name) for name in READ}
    came = frames["challenges"]["trader_id"].iloc[::3]
    frames["challenges"] = frames["challenges"].assign(click_id=came.map("click-{}".format), partner_id="p1")
    frames["clicks"] = pd.DataFrame(
        {"click_id": came.map("click-{}".format), "device_id": "device-1", "ip": "10.0.0.1", "occurred_at": AS_OF}
    )
    return frames


def moved_on(frames: dict[str, pd.DataFrame], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Some days later: corrected people, records lost or corrected, a click told again with another device."""
    later = dict(frames)
    for name in ("logins", "payouts", "challenges"):
        later[name] = later[name][rng.random(len(later[name])) > 0.02]
    people = later["traders"].copy()
    people.loc[rng.choice(people.index, 2), "full_name"] = "Anna Novak"
    clicks = later["clicks"].copy()
    clicks.loc[rng.choice(clicks.index, 1), "device_id"] = "device-2"
    return later | {"traders": people, "clicks": clicks}


def arrived(frames: dict[str, pd.DataFrame], late: set[str]) -> dict[str, pd.DataFrame]:
    """All but what some traders said, who were not there yet."""
    accounts = frames["accounts"][~frames["accounts"]["trader_id"].isin(late)]
    of_traders = {
        name: frame[~frame["trader_id"].isin(late)] for name, frame in frames.items() if "trader_id" in frame.columns
    }
    payouts = frames["payouts"][frames["payouts"]["account_id"].isin(accounts["account_id"])]
    return frames | of_traders | {"payouts": payouts}


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def same(one: Identity, other: Identity) -> None:
    pd.testing.assert_frame_equal(one.owners, other.owners)
    pd.testing.assert_frame_equal(one.links, other.links)
    assert one.log == other.log


@pytest.mark.parametrize("seed", [3, 14])
def test_a_run_that_goes_on_says_what_one_from_scratch_says(
    seed: int, tmp_path: Path, database: sa.Connection, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.identity.CHANGED_MAX", 0.6)
    rng, whole, path = np.random.default_rng(seed), firm(seed), tmp_path / "kept" / "identity.duckdb"
    ids = sorted(whole["traders"]["trader_id"])
    first = arrived(whole, set(rng.choice(ids, 4)))
    deliveries = [(first, 40), (moved_on(whole, rng), 30), (moved_on(whole, rng), 0), (whole, 0)]
    for number, (frames, days_ago) in enumerate(deliveries):
        said = judged((ids[number], ids[-1], "same"), (ids[1], ids[-2 - number], "different"))
        decided = said.assign(reason="seen", decided_by="me", decided_at=AS_OF.to_pydatetime())
        database.execute(schema.JUDGEMENTS.delete())
        database.execute(schema.JUDGEMENTS.insert(), rows(decided))
        as_of = (AS_OF - pd.Timedelta(days_ago, unit="D")).to_pydatetime()
        on = identify(staged(frames), database, as_of, path, kept_from=1)
        same(identify(staged(frames), database, as_of), on)
        owners = on.owners.assign(members=on.owners["members"].astype(int))
        database.execute(schema.OWNERS.delete())
        database.execute(schema.OWNERS.insert(), rows(owners))
    gone_on = read[2::2]
    assert all(0 < traders < 0.6 * len(ids) for traders in gone_on), "each run but the first went on"


def test_nothing_new_reads_nobody_again(tmp_path: Path, database: sa.Connection, read: list[int]) -> None:
    frames, path = firm(8), tmp_path / "identity.duckdb"
    first = identify(staged(frames), database, AS_OF.to_pydatetime(), path, kept_from=1)
    shuffled = {name: frame.sample(frac=1, random_state=1) for name, frame in frames.items()}
    same(first, identify(staged(shuffled), database, AS_OF.to_pydatetime(), path, kept_from=1))
    assert read == [45, 0]


def damage(path: Path) -> None:
    """A byte is another where a digest stands, which nobody reads in order to open the file."""
    with duckdb.connect(str(path), read_only=True) as connection:
        digest = int(connection.execute("select digest from digests").fetchall()[0][0])
    held = bytearray(path.read_bytes())
    held[held.index(digest.to_bytes(8, "little"))] ^= 0x55
    path.write_bytes(held)


@pytest.mark.parametrize(
    "fault",
    [
        "a trader is gone",
        "the file is cut",
        "a block is damaged",
        "the run before ended early",
        "a file beside it is gone",
    ],
)
def test_what_was_kept_is_not_gone_on_from_where_it_cannot_be(
    fault: str, tmp_path: Path, database: sa.Connection, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, path = firm(8), tmp_path / "identity.duckdb"
    identify(staged(frames), database, AS_OF.to_pydatetime(), path, kept_from=1)
    late = frames["traders"]["trader_id"].iloc[0]
    if fault == "a trader is gone":
        frames = arrived(frames, {late})
    elif fault == "a file beside it is gone":
        next(path.parent.glob("*.npz")).unlink()
    elif fault == "the file is cut":
        path.write_bytes(path.read_bytes()[: 3 * 4096])
    elif fault == "a block is damaged":
        damage(path)
    else:
        told_anew = frames | {"logins": frames["logins"].iloc[3:]}
        with monkeypatch.context() as patched, pytest.raises(OSError):
            patched.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
            identify(staged(told_anew), database, AS_OF.to_pydatetime(), path, kept_from=1)
    on = identify(staged(frames), database, AS_OF.to_pydatetime(), path, kept_from=1)
    same(identify(staged(frames), database, AS_OF.to_pydatetime()), on)
    if fault != "the run before ended early":
        assert read[-2] == len(frames["traders"])
