"""The steps of a challenge, asked for one by one, are those that the whole firm's relation tells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from pipelines.land import land_paths
from pipelines.lifecycle import lifecycle
from sql import relations, schema
from sql.decided import register_tables
from sql.warehouse import Warehouse
from tests import pages_firm

AGAIN = {
    "challenges": """challenge_id,trader_id,desk_id,product,purchased_at,fee,currency,reset_of
C6,T2,prague,one,2026-03-10T10:00:00Z,400,EUR,C2
""",
    "accounts": """account_id,challenge_id,trader_id,desk_id,stage,platform,login,currency,initial_balance,opened_at
R1,C6,T2,prague,evaluation_1,mt4,8,EUR,100000,2026-03-11T00:00:00Z
""",
}
"""A breached challenge is bought again as a reset."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder: Path = pages_firm.copied(tmp_path_factory)
    opened = Warehouse.open(folder / "home")
    (folder / "again").mkdir()
    for name, text in AGAIN.items():
        (folder / "again" / f"{name}.csv").write_text(text)
    land_paths(opened, [folder / "again"])
    return opened


def steps(house: Warehouse, challenges: Sequence[str]) -> list[tuple[str, ...]]:
    found = lifecycle(house, challenges, pages_firm.AS_OF)
    return [
        (str(row.challenge_id), str(row.event), str(row.account_id or ""), str(row.cause)) for row in found.itertuples()
    ]


def test_a_challenge_tells_its_whole_path(house: Warehouse) -> None:
    """Purchase, every stage, the verdict in its own words, what was paid, and the restart on both sides."""
    with house.database.connect() as database:
        said = database.execute(schema.VERDICTS.select().where(schema.VERDICTS.c.account_id.in_(["P1", "B1"])))
        words = {one["account_id"]: json.loads(one["evidence"])["sentence"] for one in said.mappings()}
    assert steps(house, ["C3"]) == [
        ("C3", "purchased", "", "Bought one for 500.00 EUR"),
        ("C3", "started", "P1", "Account P1 opened with 100,000.00 EUR on mt5"),
        ("C3", "passed", "P1", words["P1"]),
        ("C3", "started", "F1", "Account F1 opened with 100,000.00 EUR on mt5"),
        ("C3", "paid", "F1", "800.00 EUR settled, reference REF-1"),
    ]
    assert steps(house, ["C2"])[2:] == [
        ("C2", "breached", "B1", words["B1"]),
        ("C2", "reset", "", "Restarted as C6"),
    ]
    assert steps(house, ["C6"])[0] == ("C6", "purchased", "", "Bought one for 400.00 EUR as a reset of C2")
    assert [one[1:3] for one in steps(house, ["C9"])] == [("started", "O1")], "its purchase has not arrived"
    assert steps(house, ["none"]) == steps(house, []) == []


def test_asked_for_one_by_one_they_are_those_of_all(house: Warehouse) -> None:
    """The records that one challenge is told from are all that the relation reads for it."""
    with house.engine(pages_firm.AS_OF) as connection, house.database.connect() as database:
        register_tables(connection, database, schema.ACCOUNT_STATUS, schema.VERDICTS)
        relations.build(connection, "facts.lifecycle")
        every = connection.execute("from facts.lifecycle order by challenge_id, sequence").df()
    names = sorted(every["challenge_id"].unique())
    assert len(names) == 7
    apart = pd.concat([lifecycle(house, [one], pages_firm.AS_OF) for one in names], ignore_index=True)
    pd.testing.assert_frame_equal(apart, every)
    pd.testing.assert_frame_equal(lifecycle(house, names, pages_firm.AS_OF), every)
