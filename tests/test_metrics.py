"""Figures have one definition: the page is fresh, every relation exists, and totals on different pages agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from models import metrics
from pipelines.land import land_paths
from pipelines.portability import IMPORTED, compare, export_all, import_export
from sql import schema
from sql.schema import DATASETS
from sql.warehouse import Warehouse
from tests import pages_firm

pytestmark = pytest.mark.xdist_group("metrics")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """The small firm, landed and scored once."""
    opened = pages_firm.build(tmp_path_factory.mktemp("metrics"))
    yield opened
    opened.database.dispose()


def mart(house: Warehouse, name: str) -> pd.DataFrame:
    """A mart or published table as the pages read it."""
    table = name if name in schema.PUBLISHED else f"mart_{name}"
    with house.database.connect() as database:
        return pd.read_sql(sa.text(f"select * from {table}"), database)


def test_the_page_is_what_the_dictionary_says() -> None:
    assert metrics.PAGE.read_text(encoding="utf-8") == metrics.page(), "run python -m models.metrics"


@pytest.mark.parametrize("key", list(metrics.metrics()))
def test_every_figure_is_a_column_of_a_mart(key: str, house: Warehouse) -> None:
    one = metrics.metrics()[key]
    for relation in (one.relation, *one.agrees):
        name, column = relation.split(".")
        assert column in mart(house, name).columns
    assert one.sentence.endswith(".")


def test_fees_and_payouts_of_cohorts_agree_with_the_triangle_and_the_payments(house: Warehouse) -> None:
    cohorts = mart(house, "cohorts").drop_duplicates(["desk_id", "product", "cohort_month"])
    triangle = mart(house, "payout_triangle").sort_values("age_months")
    last = triangle.groupby(["desk_id", "product", "cohort_month"]).last()
    assert cohorts["fees"].sum() == pytest.approx(last["fees"].sum())
    assert cohorts["payouts"].sum() == pytest.approx(last["payouts"].sum()) == pytest.approx(800)
    prague = cohorts[cohorts["desk_id"] == "prague"]
    assert prague["fees"].sum() == pytest.approx(4 * 500 - 500), "the one chargeback is taken off"


def test_requested_agrees_between_liability_and_the_payout_queue(house: Warehouse) -> None:
    liability, totals = mart(house, "liability"), mart(house, "payout_totals")
    requested = liability.loc[liability["kind"] == "requested", "amount"].sum()
    assert requested == pytest.approx(totals["amount"].sum()) == pytest.approx(1500)


def test_accrued_agrees_between_liability_and_its_accounts(house: Warehouse) -> None:
    liability, accounts = mart(house, "liability"), mart(house, "liability_accounts")
    for kind, column in (("accrued", "accrued_usd"), ("eligible", "eligible_usd")):
        assert liability.loc[liability["kind"] == kind, "amount_usd"].sum() == pytest.approx(accounts[column].sum())


def test_expected_is_unknown_where_nothing_could_be_learned(house: Warehouse) -> None:
    assert mart(house, "reserve")["expected_usd"].isna().all()


def test_commissions_of_partners_agree_with_the_published_entries(house: Warehouse) -> None:
    entries = mart(house, "commissions")
    assert entries["amount"].sum() == pytest.approx(100), "a fifth of the fee that was not charged back"
    partners = mart(house, "partners")
    assert partners["commission_usd"].sum() == pytest.approx(100 * 1.1)
    parts = ["accrued_usd", "held_usd", "payable_usd", "commission_paid_usd"]
    assert partners[parts].fillna(0).sum(axis=1).tolist() == pytest.approx(partners["commission_usd"].tolist())


def test_everything_leaves_and_comes_back(house: Warehouse, tmp_path: Path) -> None:
    written = export_all(house, tmp_path / "out")
    assert written["commissions"] == len(mart(house, "commissions"))
    feed = pd.read_csv(tmp_path / "out" / "feed" / "payments.csv", dtype=str)
    assert list(feed.columns) == list(DATASETS["payments"].names)
    assert sorted(feed["payment_id"]) == ["Y1", "Y2", "Y3"]
    assert feed.loc[feed["payment_id"] == "Y3", ["kind", "amount"]].iloc[0].tolist() == ["chargeback", "500"]
    again = Warehouse.open(tmp_path / "again")
    land_paths(again, [tmp_path / "out" / "feed"])
    back = export_all(again, tmp_path / "back")
    held = {name: count for name, count in written.items() if name in DATASETS}
    assert {name: back[name] for name in held} == held
    for name in held:
        first, second = ((tmp_path / place / "feed" / f"{name}.csv").read_text() for place in ("out", "back"))
        assert first == second, name
    again.database.dispose()


MAPPING: dict[str, Any] = {
    "partners": {
        "file": "affiliates.csv",
        "columns": {"partner_id": "aff_id", "name": "title", "plan": "scheme", "joined_at": "created"},
        "values": {"plan": {"CPA20": "cpa"}},
        "zone": "Europe/Prague",
    }
}


def test_another_systems_export_is_read_by_its_mapping(tmp_path: Path) -> None:
    text = "aff_id,title,scheme,created\n7,Seven,CPA20,2026-01-01 10:00\n8,Eight,other,\n"
    (tmp_path / "affiliates.csv").write_text(text, encoding="utf-8")
    found = import_export(tmp_path, MAPPING, tmp_path / "feed")
    assert found == {"partners": 2}
    rows = pd.read_csv(tmp_path / "feed" / "partners.csv", dtype=str)
    assert rows["plan"].tolist() == ["cpa", "other"]
    assert rows["joined_at"].iloc[0] == "2026-01-01T09:00:00Z"
    assert set(MAPPING) <= set(IMPORTED)


def test_a_parallel_run_lists_every_difference_and_nothing_else() -> None:
    ours = pd.DataFrame({"key": ["a", "b", "c"], "currency": "USD", "amount": [10.0, 20.0, 30.0]})
    theirs = pd.DataFrame({"key": ["a", "b", "d"], "currency": "USD", "amount": [10.0, 20.01, 40.0]})
    found = compare(ours, theirs, ["key", "currency"])
    assert found[["key", "difference", "why"]].to_numpy().tolist() == [
        ["b", pytest.approx(-0.01), "amounts differ"],
        ["c", 30.0, "only here"],
        ["d", -40.0, "only there"],
    ]
    assert compare(ours, ours, ["key", "currency"]).empty
