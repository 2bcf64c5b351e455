"""Protects what rings and pairs say once identity, coordination, partners and money are put side by side."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from dashboards.kit import graphs

MARTS = Path(__file__).parent.parent / "sql" / "marts"
# account: trader, partner, status, at stake, waiting
ACCOUNTS = {
    "A1": ("T1", "P1", "passed", 0.0, 0.0),
    "A2": ("T2", "P1", "breached", 0.0, 0.0),
    "B1": ("T3", "P1", "active", 500.0, 200.0),
    "B2": ("T4", "P2", "active", 0.0, 0.0),
    "B3": ("T5", "P1", "breached", 0.0, 0.0),
    "C1": ("T6", None, "passed", 0.0, 0.0),
    "C2": ("T7", None, "passed", 0.0, 0.0),
}
# one owner: T1 and T2; another: T6 and T7, who copy where the plan forbids it
OWNER = {"T1": "O1", "T2": "O1", "T6": "O6", "T7": "O6"}
PAIRS = [("A1", "A2", "mirror"), ("B1", "B3", "mirror"), ("B1", "B2", "copy"), ("C1", "C2", "copy")]
RINGS = {"R-A": ("A1", "A2"), "R-B": ("B1", "B2", "B3"), "R-C": ("C1", "C2")}


def accounts() -> pd.DataFrame:
    """The accounts as `marts.accounts` has them, in two currencies: those of ring B in euros of 1.10 dollars."""
    return pd.DataFrame(
        [
            {
                "account_id": account,
                "trader_id": trader,
                "desk_id": "D1",
                "partner_id": partner,
                "status": status,
                "waiting": waiting,
                "fee": 100.0,
                "fee_currency": "EUR" if account.startswith("B") else "USD",
                "currency": "EUR" if account.startswith("B") else "USD",
            }
            for account, (trader, partner, status, _, waiting) in ACCOUNTS.items()
        ]
    )


@pytest.fixture(scope="module")
def joined() -> Iterator[dict[str, pd.DataFrame]]:
    """The marts `pairs` and `rings` over the firm above, by their key."""
    owner_of = {trader: OWNER.get(trader, f"own-{trader}") for trader, *_ in ACCOUNTS.values()}
    tables = {
        "marts.accounts": accounts(),
        "facts.stakes": pd.DataFrame(
            [(account, stake) for account, (*_, stake, _) in ACCOUNTS.items() if stake], columns=["account_id", "stake"]
        ),
        "marts.usd_rates": pd.DataFrame({"currency": ["USD", "EUR"], "rate_to_usd": [1.0, 1.1]}),
        "marts.limits": pd.DataFrame({"flag_strength": [0.5]}),
        "decided.verdicts": pd.DataFrame({"account_id": ["C1"], "rule": ["copy_own_accounts"]}),
        "decided.owners": pd.DataFrame({"trader_id": owner_of.keys(), "owner_id": owner_of.values()}),
        "decided.copy_rings": pd.DataFrame(
            [(ring, account, "ring", 0.9) for ring, members in RINGS.items() for account in members],
            columns=["ring_id", "account_id", "kind", "strength"],
        ),
        "decided.copy_pairs": pd.DataFrame(
            [
                {
                    "account_a": a,
                    "account_b": b,
                    "relation": relation,
                    "leader": a,
                    "matched": 12,
                    "expected": 0.03,
                    "lag_ms": 800,
                    "strength": 0.9,
                    "same_owner": owner_of[ACCOUNTS[a][0]] == owner_of[ACCOUNTS[b][0]],
                }
                for a, b, relation in PAIRS
            ]
        ),
    }
    with duckdb.connect() as con:
        con.execute("create schema facts; create schema marts; create schema decided")
        for name, frame in tables.items():
            con.register("frame", frame)
            con.execute(f"create table {name} as from frame")
            con.unregister("frame")
        for mart in ("pairs", "rings"):
            con.execute(f"create table marts.{mart} as {(MARTS / f'{mart}.sql').read_text()}")
        yield {
            "pairs": con.sql("from marts.pairs").df().set_index(["account_a", "account_b"]),
            "rings": con.sql("from marts.rings").df().set_index("ring_id"),
        }


def test_a_ring_of_one_owner_is_told_from_a_ring_of_several(joined: dict[str, pd.DataFrame]) -> None:
    rings = joined["rings"]
    assert rings["one_owner"].to_dict() == {"R-A": True, "R-B": False, "R-C": True}
    assert rings["owners"].to_dict() == {"R-A": 1, "R-B": 3, "R-C": 1}


def test_a_mirror_of_which_one_passed_or_earned_while_the_other_breached_is_told(
    joined: dict[str, pd.DataFrame],
) -> None:
    passed = joined["pairs"]["passed_account_id"].dropna().to_dict()
    assert passed == {("A1", "A2"): "A1", ("B1", "B3"): "B1"}, "passed, or profit to withdraw, beside breached"
    assert joined["rings"]["passed_beside_breached"].to_dict() == {"R-A": 1, "R-B": 1, "R-C": 0}


def test_a_ring_names_the_partner_who_brought_most_of_it(joined: dict[str, pd.DataFrame]) -> None:
    rings = joined["rings"]
    assert rings["partner_id"].dropna().to_dict() == {"R-A": "P1", "R-B": "P1"}
    assert rings["partner_accounts"].to_dict() == {"R-A": 2, "R-B": 2, "R-C": 0}
    assert rings["partners"].to_dict() == {"R-A": 1, "R-B": 2, "R-C": 0}
    pairs = joined["pairs"]
    assert set(pairs.index[pairs["same_partner"]]) == {("A1", "A2"), ("B1", "B3")}


def test_a_ring_tells_fees_what_waits_and_what_could_be_withdrawn_in_dollars(joined: dict[str, pd.DataFrame]) -> None:
    columns = ["fees_usd", "waiting_usd", "withdrawable_usd", "stake_usd"]
    money = dict(zip(columns, joined["rings"].loc[["R-B"], columns].astype(float).to_numpy()[0], strict=True))
    assert money == pytest.approx(dict(zip(columns, [330.0, 220.0, 330.0, 550.0], strict=True)))


def test_copies_of_one_owner_are_a_violation_where_the_plan_forbids_them(joined: dict[str, pd.DataFrame]) -> None:
    assert joined["pairs"]["own_copy"].dropna().to_dict() == {("C1", "C2"): "violation"}
    assert joined["rings"]["own_copy_violations"].to_dict() == {"R-A": 0, "R-B": 0, "R-C": 1}


@pytest.mark.parametrize(("owners", "kind"), [({"T1": "O", "T2": "O"}, "link"), ({"T1": "O", "T2": "P"}, "perhaps")])
def test_the_graph_tells_who_is_held_to_be_one_from_who_may_be(owners: dict[str, str], kind: str) -> None:
    people: list[dict[str, Any]] = [
        {"trader_id": trader, "trader_name": trader, "account_id": f"{trader}-a"} for trader in ("T1", "T2")
    ]
    link = {"trader_a": "T1", "trader_b": "T2", "strength": 0.9994, "reasons": "[]"}
    value = [{"trader_id": one, "kind": "device", "value": "d", "holders": 2} for one in ("T1", "T2")]
    found = graphs.Found(pd.DataFrame(people), pd.DataFrame([link]), pd.DataFrame(value), pd.DataFrame(), owners)
    graph = graphs.build(found)
    assert graph.edges["t:T1", "t:T2"]["kind"] == kind
    assert graph.edges["t:T1", "t:T2"]["reason"].startswith("over 99 % one person"), "no certainty is claimed"
    legend = [
        trace.name for trace in graphs.drawn(graph, "T1", graphs.laid_out(graph)).data if trace.showlegend is not False
    ]
    assert "Device" in legend and "Other shared value" not in legend
