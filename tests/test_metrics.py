"""Figures have one definition: the page is fresh, every relation exists, and totals on different pages agree."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa

import cli
from models import catalogue, cohorts, metrics, partner_desk
from models.access import Person
from models.commissions import Plans, plans_folder, read_plan, settle_all
from pipelines import partner_papers, plan_trial, report
from pipelines.land import land_paths
from pipelines.portability import (
    IMPORTED,
    MappingRefused,
    compare,
    export_all,
    import_export,
    parallel_run,
    read_other,
    written_mapping,
)
from pipelines.score import WALK_TABLES, register_terms
from sql import relations, schema
from sql.decided import register_tables
from sql.desk_schema import LEDGER_ENTRIES
from sql.schema import DATASETS
from sql.warehouse import Warehouse
from tests import pages_firm

pytestmark = pytest.mark.xdist_group("metrics")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """The small firm, landed and scored once."""
    opened = Warehouse.open(pages_firm.copied(tmp_path_factory) / "home")
    yield opened
    opened.database.dispose()


def balances(database: sa.Connection, account: str) -> dict[str, int]:
    """What an account of the ledger was debited less credited, by currency, in minor units."""
    entries = LEDGER_ENTRIES.c
    moved = sa.func.sum(sa.case((entries.debit == account, entries.minor), else_=-entries.minor))
    query = sa.select(entries.currency, moved).where((entries.debit == account) | (entries.credit == account))
    return {currency: int(minor) for currency, minor in database.execute(query.group_by(entries.currency))}


def mart(house: Warehouse, name: str) -> pd.DataFrame:
    """A mart or another table as the pages read it."""
    table = name if name in schema.METADATA.tables else f"mart_{name}"
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
    sold = mart(house, "cohorts").drop_duplicates(["desk_id", "product", "cohort_month"])
    with house.database.connect() as database:
        as_of = database.execute(sa.select(sa.func.max(schema.RUNS.c.as_of))).scalar_one()
    every, money = mart(house, "cohort_challenges"), mart(house, "cohort_money")
    money = money.groupby(["desk_id", "cohort_month", "age"])[["fee", "payout"]].sum().reset_index()
    found = []
    for desk, rows in every.groupby("desk_id"):
        told = {"challenges": ("person", "size"), "people": ("person", "nunique")}
        told |= {"first_at": ("purchased_at", "min"), "last_at": ("purchased_at", "max")}
        months = rows.groupby("cohort_month").agg(**told).reset_index()
        found.append(cohorts.triangle(months, money[money["desk_id"] == desk], as_of).groupby("cohort_month").last())
    last = pd.concat(found)
    assert mart(house, "challenge_money")["fee"].sum() == pytest.approx(last["fees"].sum())
    assert sold["fees"].sum() == pytest.approx(last["fees"].sum())
    assert sold["payouts"].sum() == pytest.approx(last["payouts"].sum()) == pytest.approx(800)
    prague = sold[sold["desk_id"] == "prague"]
    assert prague["fees"].sum() == pytest.approx(4 * 500 - 500), "the one chargeback is taken off"


def test_requested_agrees_between_liability_and_the_payout_queue(house: Warehouse) -> None:
    liability, totals = mart(house, "liability"), mart(house, "payout_totals")
    requested = liability.loc[liability["kind"] == "requested", "amount"].sum()
    assert totals["amount"].sum() == pytest.approx(1500)
    assert requested == pytest.approx(0.8 * 1500), "the traders' part of it"


def test_requested_agrees_between_liability_and_its_accounts(house: Warehouse) -> None:
    """Also where the account that asked has ended since: it is owed all the same."""
    liability, accounts = mart(house, "liability"), mart(house, "liability_accounts")
    asked = liability.loc[liability["kind"] == "requested"]
    assert accounts["requested_usd"].sum() == pytest.approx(asked["amount_usd"].sum())
    assert (accounts["requested_usd"] > 0).sum() == asked["accounts"].sum()


def test_an_ended_account_that_asked_is_behind_the_liability() -> None:
    connection = duckdb.connect()
    connection.execute(
        "create schema decided; create schema facts; create schema marts;"
        "create table decided.liability_accounts (account_id text, desk_id text, eligible_usd double,"
        " accrued_usd double, chance double, amount_usd double, expected_usd double);"
        "create table facts.funded_now (account_id text, trader_id text, product text, currency text, profit double,"
        " rate_to_usd double, waiting_part double);"
        "create table facts.splits_now as select 'A1' as account_id, [0.0] as begins, [80.0] as percents;"
        "create table marts.usd_rates as select 'EUR' as currency, 1.1 as rate_to_usd;"
        "create table marts.payout_queue as select * from (values ('A1', 100.0, true), ('A1', 50.0, true),"
        " ('A1', 70.0, false), ('A2', 10.0, true)) as told (account_id, amount, waits),"
        " (select 'T1' as trader_id, 'prague' as desk_id, 'one_step' as product, 'EUR' as currency);"
        "create macro traders_part(amount, begins, percents) as amount * percents[1] / 100"
    )
    found = connection.execute(relations.text("marts.liability_accounts")).df().set_index("account_id")
    assert found["requested_usd"].loc["A1"] == pytest.approx(150 * 0.8 * 1.1), "what was settled is not owed again"
    assert pd.isna(found["requested_usd"].loc["A2"]), "without a split in the terms it is not known"
    assert not found["lives"].any() and found["accrued_usd"].tolist() == [0, 0] and found["expected_usd"].isna().all()


def test_what_the_desk_refused_waits_no_more_and_is_in_no_sum() -> None:
    connection = duckdb.connect()
    connection.execute(
        "set timezone = 'UTC'; set variable as_of = timestamptz '2026-03-20 12:00:00+00';"
        "create schema decided; create schema staging; create schema marts;"
        "create table staging.payouts as select *, 'A1' as account_id, 'bank' as method, 'd' as destination,"
        " timestamptz '2026-03-01 12:00:00+00' as requested_at from (values ('Q1', 100.0), ('Q2', 50.0), ('Q3', 30.0),"
        " ('Q4', 20.0), ('Q5', 10.0)) as told (payout_id, amount);"
        "create table staging.accounts as select 'A1' as account_id, 'T1' as trader_id, 'prague' as desk_id,"
        " 'C1' as challenge_id, 'funded' as stage, 'USD' as currency;"
        "create table staging.challenges as select 'C1' as challenge_id, 'one' as product;"
        "create table staging.traders as select 'T1' as trader_id, 'Eve' as full_name, 'verified' as kyc_status;"
        "create table staging.settlements as select *, 20.0 as amount, 'USD' as currency, 'r' as reference,"
        " timestamptz '2026-03-02 12:00:00+00' as settled_at from (values ('Q3', 'failed'), ('Q4', 'settled'))"
        " as told (payout_id, status);"
        "create table marts.usd_rates as select 'USD' as currency, 1.0 as rate_to_usd;"
        "create table marts.limits as select 48.0 as payout_hours;"
        "create schema facts; create table facts.profits_now as select 'A1' as account_id, 0.0 as profit;"
        "create table decided.account_status as select 'A1' as account_id, 'active' as status, 10.0 as balance,"
        " 10.0 as initial_balance;"
        "create table decided.payout_states as select *, timestamptz '2026-03-25 12:00:00+00' as updated_at"
        " from (values ('Q2', 'rejected'), ('Q3', 'cancelled'), ('Q4', 'rejected'), ('Q5', 'appealed'))"
        " as told (payout_id, state);"
        "create macro utc(instant) as timezone('UTC', instant)"
    )
    for name in ("payout_queue", "payout_totals"):
        connection.execute(f"create table marts.{name} as {relations.text(f'marts.{name}')}")
    found = connection.sql("from marts.payout_queue").df().set_index("payout_id")
    assert found.loc[["Q1", "Q2", "Q3", "Q4", "Q5"], "state"].tolist() == [
        "waiting",
        "over",
        "over",
        "settled",
        "waiting",
    ], "money that went out all the same is told"
    assert found["waits"].sum() == 2 and connection.sql("select amount from marts.payout_totals").fetchall() == [
        (110.0,)
    ]
    assert found.loc["Q2", "over_at"] == pd.Timestamp("2026-03-20 12:00", tz="UTC"), "no later than the figures"
    assert pd.isna(found.loc["Q4", "over_at"])


def test_the_tenth_that_is_hedged_has_most_profit_in_dollars_and_counts_what_it_opened_since() -> None:
    """Ten accounts with 1 to 10 dollars of profit, the richest idle for a year, and one with 1,000 yen, which are 7
    dollars; those that had ended a horizon ago, or had not begun, would have been richer still."""
    connection = duckdb.connect()
    connection.execute(
        "set timezone = 'UTC'; set variable as_of = timestamptz '2026-06-30'; set variable liability_horizon_days = 30;"
        "create schema facts; create schema marts; create schema decided;"
        "create table facts.accounts as select *, 'funded' as stage,"
        " if(account_id = 'D99', timestamptz '2026-06-01', timestamptz '2025-01-01') as opened_at"
        " from (select 'D' || n as account_id, 'USD' as currency from range(1, 11) as t (n)"
        " union all from (values ('Y', 'JPY'), ('D98', 'USD'), ('D99', 'USD')));"
        "create table decided.account_status as select account_id, timestamptz '2026-05-30 12:00' as status_at,"
        " if(account_id = 'D98', 'breached', 'active') as status from facts.accounts;"
        "create table marts.usd_rates as from (values ('USD', 1.0), ('JPY', 0.007)) as t (currency, rate_to_usd);"
        "create table facts.funded_days as select account_id,"
        " if(account_id = 'D10', timestamptz '2025-06-01', timestamptz '2026-05-30') as stands_at,"
        " if(account_id = 'Y', 1000, cast(account_id[2:] as double)) as profit from facts.accounts;"
        "create table facts.trades as select account_id, timestamptz '2026-06-01' + to_days(day) as opened_at,"
        " timestamptz '2026-06-02' + to_days(day) as closed_at, 50.0 as profit, -3.0 as commission, -2.0 as swap,"
        " 0.0 as fee from facts.accounts, (values (0), (-10)) as t (day);"
        "create table facts.transfers as select account_id, 'USD' as currency, 40.0 as amount, 'settled' as status,"
        " timestamptz '2026-06-10' as settled_at from facts.accounts where account_id in ('Y', 'D8', 'D9')"
        " union all select 'D10', 'USD', 30.0, 'settled', timestamptz '2026-05-20'"
    )
    found = connection.execute(relations.text("marts.hedging")).df().iloc[0].to_dict()
    assert found == {
        "accounts": 2,
        "hedge_gross_usd": 100.0,
        "hedge_cost_usd": 10.0,
        "hedge_net_usd": 90.0,
        "paid_usd": 40.0,
    }, "of D10 and D9 alone, without what they had opened or been paid before"


@pytest.mark.parametrize(("initial", "balance"), [(0, 250.0), (1000, 1250.0)])
def test_what_stood_in_a_funded_account_is_told_of_one_that_began_at_zero_too(initial: float, balance: float) -> None:
    """Guards the trend of what is accrued: of such accounts it had the newest day alone."""
    connection = duckdb.connect()
    connection.execute(
        "set timezone = 'UTC'; create schema facts; create schema decided;"
        "create table decided.account_status as select 'A' as account_id, 'd' as desk_id, 'funded' as stage,"
        f" {initial} as initial_balance, 'active' as status, timestamptz '2026-05-30' as status_at;"
        "create table facts.set_aside (account_id text, since timestamptz, amount double);"
        "create table decided.account_days as select 'A' as account_id, date '2026-05-29' as firm_day,"
        f" {balance} as close_balance, {balance} + 5 as close_equity, 1 as trades, 250 as closed_profit"
    )
    told = connection.execute(relations.text("facts.funded_days")).fetchall()
    assert told == [("A", "d", dt.datetime(2026, 5, 30, tzinfo=dt.UTC), 250.0, 5.0, True)]


def test_accrued_agrees_between_liability_and_its_accounts(house: Warehouse) -> None:
    liability, accounts = mart(house, "liability"), mart(house, "liability_accounts")
    for kind, column in (("accrued", "accrued_usd"), ("eligible", "eligible_usd")):
        assert liability.loc[liability["kind"] == kind, "amount_usd"].sum() == pytest.approx(accounts[column].sum())


def test_expected_is_unknown_where_nothing_could_be_learned(house: Warehouse) -> None:
    assert mart(house, "reserve")["expected_usd"].isna().all()


def test_commissions_of_partners_agree_with_the_published_entries(house: Warehouse) -> None:
    entries = mart(house, "commissions")
    assert entries["amount"].sum() == pytest.approx(100), "a fifth of the fee that was not charged back"
    every = mart(house, "partners")
    partners = every[every["desk_id"] == "all"]
    assert partners["commission_usd"].sum() == pytest.approx(100 * 1.1)
    parts = ["accrued_usd", "held_usd", "payable_usd", "commission_paid_usd"]
    assert partners[parts].fillna(0).sum(axis=1).tolist() == pytest.approx(partners["commission_usd"].tolist())


def test_the_funnel_of_the_page_is_the_published_one(house: Warehouse) -> None:
    challenges = mart(house, "cohort_challenges")
    days = [str(name) for name in challenges if str(name).endswith("_days")]
    challenges = challenges.astype(dict.fromkeys(days, "float64"))
    published = mart(house, "cohorts").groupby(["desk_id", "product"])
    for key, mine in challenges.groupby(["desk_id", "product"]):
        shown = cohorts.funnel(mine)[["cohort_month", "stage", "accounts", "reached", "median_days", "fees", "payouts"]]
        told = published.get_group(key)[list(shown.columns)]
        both = [frame.sort_values("stage").to_numpy().tolist() for frame in (shown, told)]
        assert both[0] == [pytest.approx(row, nan_ok=True) for row in both[1]]


def test_a_funnel_counted_beforehand_is_the_one_of_its_purchases(house: Warehouse) -> None:
    """Uncut and by every value of every cut, per challenge and per person, with the interval of the payout ratio."""
    challenges, counted = mart(house, "cohort_challenges"), mart(house, "cohort_funnel")
    challenges = challenges.astype({str(name): "float64" for name in challenges if str(name).endswith("_days")})
    assert set(counted["cut_by"]) == {"", "product", "size_name", "channel", "country"}
    for (desk, cut_by, cut, by), rows in counted.groupby(["desk_id", "cut_by", "cut", "counted"]):
        fits = (challenges["desk_id"] == desk) & ((challenges[str(cut_by)] == cut) if cut_by else True)
        shown, told = cohorts.funnel_of(rows), cohorts.funnel(challenges[fits], by_person=by == "people")
        pd.testing.assert_frame_equal(shown, told, check_dtype=False, rtol=1e-9)
        assert rows["unknown"].sum() == (challenges[fits]["unknown_amounts"] > 0).sum()


def test_a_person_counts_once_however_many_they_buy() -> None:
    stages = dict.fromkeys([f"{stage}_days" for stage in cohorts.STAGES], float("nan"))
    rows = [
        {"person": "a", "passed_days": 9.0, "fees": 100.0, "payouts": 0.0, "running": False},
        {"person": "a", "passed_days": 4.0, "fees": 100.0, "payouts": 50.0, "running": True},
        {"person": "b", "fees": 100.0, "payouts": 0.0, "running": False},
    ]
    bought = pd.DataFrame([stages | {"cohort_month": "2026-03"} | row for row in rows])
    passed: dict[bool, Any] = {
        by: cohorts.funnel(bought, by_person=by).set_index("stage").loc["passed"] for by in (False, True)
    }
    assert passed[False].loc[["accounts", "reached", "median_days"]].tolist() == [3, 2, 6.5]
    assert passed[True].loc[["accounts", "reached", "median_days"]].tolist() == [2, 1, 4.0]
    assert passed[True]["running"] == 0.5
    assert passed[True]["payout_ratio"] == pytest.approx(50 / 300)


def test_commissions_agree_between_entries_statements_partners_and_the_ledger(house: Warehouse) -> None:
    entries, partners = mart(house, "commissions"), mart(house, "partners").query("desk_id == 'all'")
    with house.database.connect() as database:
        made = partner_papers.make(database, "P1", dt.date(2026, 1, 1), dt.date(2026, 12, 31))
        owed: Any = {account: balances(database, account) for account in ("commissions", "commissions payable")}
    assert made.lines["carried_over"].sum() == pytest.approx(entries["amount"].sum()) == pytest.approx(100)
    assert owed["commissions"]["EUR"] == 10_000, "what was earned less what was taken back, in cents"
    assert -owed["commissions payable"]["EUR"] == 10_000
    assert partners["commission_usd"].sum() == pytest.approx(100 * 1.1)


def test_a_statement_of_a_time_before_the_first_entry_is_empty(house: Warehouse) -> None:
    with house.database.connect() as database:
        made = partner_papers.make(database, "P1", dt.date(2020, 1, 1), dt.date(2020, 12, 31))
    assert made.lines.empty
    assert partner_papers.as_csv(made).splitlines() == [",".join(partner_papers.ENTRY)]
    assert partner_papers.as_pdf(made).startswith(b"%PDF")


def test_a_dry_run_of_todays_plans_is_what_the_ledger_says(house: Warehouse, tmp_path: Path) -> None:
    book = catalogue.load(house.home.parent / "book")
    same = plan_trial.try_plans(house, book, plan_trial.with_plan(Plans({})))
    assert same["today"].sum() == pytest.approx(mart(house, "commissions")["amount"].sum())
    assert same["difference"].tolist() == [0.0] * len(same)
    text = (plans_folder() / "cpa.toml").read_text(encoding="utf-8").replace("percent = 20", "percent = 15")
    less = plan_trial.try_plans(house, book, plan_trial.with_plan(Plans({"cpa": read_plan(text)})))
    assert less["difference"].sum() == pytest.approx(-25.0), "five points of the fee that was not charged back"


def test_a_hold_is_in_force_at_the_next_settlement(house: Warehouse) -> None:
    """What could be paid waits, says so on Data health, and the published states are those of the entries."""
    with house.database.connect() as database, house.engine() as connection:
        as_of = database.execute(sa.select(sa.func.max(schema.RUNS.c.as_of))).scalar_one()
        register_terms(connection, catalogue.load(house.home.parent / "book"))
        register_tables(connection, database, *WALK_TABLES)
        before = settle_all(connection, database, as_of).entries
        partner_desk.hold(database, Person("maria", "manager"), "P1", "we look into it")
        after = settle_all(connection, database, as_of)
        database.rollback()
    waiting = before["state"].isin(["payable", "held"]).to_numpy()
    assert waiting.any() and not waiting.all()
    assert after.entries["state"][waiting].eq("held").all()
    assert after.entries["held_because"][waiting].eq("on hold").all()
    assert after.entries[~waiting].equals(before[~waiting])
    assert "commissions of P1 on hold by maria: we look into it" in after.log


def test_the_overview_agrees_with_liability_cohorts_and_the_queue(house: Warehouse) -> None:
    figures: Any = mart(house, "overview").set_index(["desk_id", "figure"])["value"]
    accrued: Any = mart(house, "liability").query("kind == 'accrued'").groupby("desk_id")["amount"].sum()
    assert figures["prague", "accrued"] == pytest.approx(accrued["prague"])
    assert figures["prague", "requested"] == pytest.approx(mart(house, "payout_totals")["amount"].sum())
    sold = mart(house, "cohorts").query("desk_id == 'prague'").drop_duplicates(["product", "cohort_month"])
    assert figures["prague", "payout_ratio"] == pytest.approx(sold["payouts"].sum() / sold["fees"].sum())


def test_every_figure_of_the_overview_has_one_definition(house: Warehouse) -> None:
    assert set(mart(house, "overview")["figure"]) <= set(metrics.metrics())


def test_the_report_says_the_figures_of_the_pages(house: Warehouse) -> None:
    with house.database.connect() as database:
        page, paper = (report.make(database, form) for form in ("html", "pdf"))
        again = report.make(database, "pdf")
        with pytest.raises(report.ReportRefused, match="no such desk"):
            report.make(database, "html", "nowhere")
    told = page.decode()
    assert "Partner One (P1)" in told and "1,500.00" in told
    assert all(one.sentence.split("'")[0] in told for one in metrics.metrics().values())
    assert paper.startswith(b"%PDF") and paper == again


@pytest.mark.parametrize("desk", [None, "prague"])
def test_a_report_of_a_day_adds_up_what_the_overview_does(house: Warehouse, desk: str | None) -> None:
    """The day before as well: the same figures, made from the movements and not from the overview."""
    figures: Any = mart(house, "overview").set_index(["desk_id", "figure"])
    with house.database.connect() as database:
        stands = database.execute(sa.select(sa.func.max(schema.RUNS.c.as_of))).scalar_one()
        rates = mart(house, "usd_rates").set_index("currency")["rate_to_usd"]
        for back, column in enumerate(("value", "before")):
            until = stands - dt.timedelta(days=back)
            told = report.flows(database, desk, until - dt.timedelta(days=1), until)
            for name, value in told.items():
                row = figures.loc[desk or "all", name]
                unit = rates[row["currency"]] if row["unit"] == "money" else 1.0
                assert value / unit == pytest.approx(row[column]), name


def test_a_month_s_report_tells_what_stood_at_its_start(house: Warehouse) -> None:
    accrued = "update mart_overview set month_before = 12345 where figure = 'accrued' and desk_id = 'all'"
    with house.database.connect() as database:
        database.execute(sa.text(accrued))
        month, week = (report.make(database, "html", None, every).decode() for every in ("month", "week"))
        database.rollback()
    assert "12,345" in month and "12,345" not in week, "a week's start is among the days of the trend"
    assert "Requested, before the split" in month.split("Cohorts")[0]
    figures: Any = mart(house, "overview").set_index(["desk_id", "figure"])
    assert figures.loc[("all", "live"), "month_before"] == 0 < figures.loc[("all", "live"), "value"]
    assert all(len(json.loads(one)) == 14 for one in figures.query("figure != 'near'")["trend"])


def test_what_stood_a_month_before_is_counted_of_those_that_stood_then() -> None:
    """Guards the month's report, which had told that nobody was funded and nothing was asked for a month before."""
    stands = dt.datetime(2026, 5, 31, 12, tzinfo=dt.UTC)
    with duckdb.connect() as connection:
        relations.prepare(connection, stands)
        connection.execute(
            """
            create table staging.desks as select 'd' as desk_id, 'USD' as currency;
            create table staging.challenges as
                select 'C' as challenge_id, 'd' as desk_id, getvariable('as_of') - interval 90 day as purchased_at;
            create table staging.accounts as
                from (values ('old', 100), ('ended', 60), ('gone', 90), ('new', 20)) as told (account_id, days)
                select account_id, 'd' as desk_id, getvariable('as_of') - to_days(days) as opened_at;
            create table decided.account_status as
                from (
                    values ('old', 'active', 3), ('ended', 'breached', 25), ('gone', 'breached', 40),
                        ('new', 'active', 1)
                ) as told (account_id, status, days)
                select account_id, 'T' as trader_id, 'd' as desk_id, 'funded' as stage, status, 'USD' as currency,
                    getvariable('as_of') - to_days(days) as status_at;
            create table decided.signals (
                subject_kind text, subject_id text, detector text, strength double, first_at timestamptz
            );
            create table marts.payout_queue as
                select 'd' as desk_id, getvariable('as_of') - interval 50 day as requested_at, false as waits,
                    null::timestamptz as over_at, getvariable('as_of') - interval 20 day as transfer_at,
                    'settled' as state, 70.0 as amount_usd, 70.0 as transfer_amount, 'USD' as transfer_currency;
            create table marts.challenge_money as
                from (values ('purchase', 35, 100, null), ('purchase', 55, 100, null), ('payout', 55, null, 50))
                    as told (kind, days, fee, payout)
                select 'C' as challenge_id, 'd' as desk_id, kind, fee, payout,
                    getvariable('as_of') - to_days(days) as happened_at,
                    'USD' as currency;
            create table marts.usd_rates as select 'USD' as currency, 1.0 as rate_to_usd;
            create table marts.risk_queue (desk_id text, state text);
            create table facts.funded_days as
                from (values ('old', 35, 100.0), ('old', 20, 300), ('gone', 50, 700), ('ended', 33, 40))
                    as told (account_id, days, profit)
                select account_id, 'd' as desk_id, profit, getvariable('as_of') - to_days(days) as stands_at;
            create table facts.funded_now (desk_id text, profit double, split double, rate_to_usd double);
            create table facts.splits as
                select account_id, [0.0] as begins, [80.0] as percents, opened_at as since from staging.accounts
            """
        )
        relations.build(connection, "marts.overview")
        query = "select figure, value, month_before from marts.overview where desk_id = 'all' and month_before > 0"
        told = {figure: (value, before) for figure, value, before in connection.execute(query).fetchall()}
    assert told.pop("payout_ratio") == (None, 0.25), "over the whole 30 days before that day"
    assert told.pop("accrued") == (0, 0.8 * (100 + 40)), "the last told by then of the two that lived"
    assert told == {"live": (2, 2), "funded": (2, 2), "waiting": (0, 1), "requested": (0, 70)}


def test_a_report_counts_its_own_period(house: Warehouse) -> None:
    """A week's and a month's figures are those of all their days, not of the last one."""
    paid = mart(house, "challenge_money").query("kind == 'purchase'")
    paid = paid.assign(at=pd.to_datetime(paid["happened_at"], utc=True))
    rates = mart(house, "usd_rates").set_index("currency")["rate_to_usd"]
    last = paid["at"].max().to_pydatetime() + dt.timedelta(days=5)
    with house.database.connect() as database:
        found = {}
        for days in (1, 7, 31):
            since = last - dt.timedelta(days=days)
            mine = paid[(paid["at"] > since) & (paid["at"] <= last)]
            found[days] = report.flows(database, None, since, last)["sales"]
            assert found[days] == pytest.approx((mine["fee"] * mine["currency"].map(rates)).sum())
        assert found[31] >= found[7] > found[1] == 0
        pages = {every: report.make(database, "html", None, every).decode() for every in ("day", "week", "month")}
    assert all(f"This {every}" in page and f"The {every} from" in page for every, page in pages.items())
    assert not any("in 24 hours" in page.split("Cohorts")[0] for page in pages.values())


@pytest.mark.parametrize(
    ("every", "last", "now", "due"),
    [
        ("day", "2026-03-01T23:59:59", "2026-03-02T00:00:00", True),
        ("day", "2026-03-02T00:00:00", "2026-03-02T23:59:59", False),
        ("week", "2026-03-01T23:59:59", "2026-03-02T00:00:00", True),
        ("week", "2026-03-02T00:00:00", "2026-03-08T23:59:59", False),
        ("month", "2026-02-28T23:59:59", "2026-03-01T00:00:00", True),
        ("month", "2026-03-01T00:00:00", "2026-03-31T23:59:59", False),
    ],
)
def test_a_report_is_due_when_its_period_has_begun(every: str, last: str, now: str, due: bool) -> None:
    at = [dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) for text in (last, now)]
    assert report.is_due(every, at[0], at[1]) is due
    assert report.is_due(every, None, at[1])


def test_a_scheduled_report_is_written_once_a_period(house: Warehouse, tmp_path: Path) -> None:
    maria = Person("maria", "manager")
    with house.database.begin() as database:
        report.schedule(database, maria, "weekly", "week", "html", None, tmp_path)
    monday = dt.datetime(2026, 3, 23, tzinfo=dt.UTC)
    assert len(report.write_due(house, monday)) == 1
    assert report.write_due(house, monday + dt.timedelta(days=6)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["weekly-2026-03-23.html"]
    with house.database.begin() as database:
        report.unschedule(database, maria, "weekly")
    assert report.write_due(house, monday + dt.timedelta(days=7)) == []


def test_everything_leaves_and_comes_back(house: Warehouse, tmp_path: Path) -> None:
    written = export_all(house, tmp_path / "out")
    assert written["commissions"] == len(mart(house, "commissions"))
    feed = pd.read_csv(tmp_path / "out" / "feed" / "payments.csv", dtype=str)
    assert list(feed.columns) == list(DATASETS["payments"].names)
    assert sorted(feed["payment_id"]) == ["Y1", "Y2", "Y3"]
    assert feed.loc[feed["payment_id"] == "Y3", ["kind", "amount"]].iloc[0].tolist() == ["chargeback", "500"]
    steps = pd.read_csv(tmp_path / "out" / "decided" / "lifecycle.csv", dtype=str)
    told = steps[steps["challenge_id"] == "C2"]
    assert told["event"].tolist() == ["purchased", "started", "breached"]
    assert told["happened_at"].iloc[0] == "2026-03-01T10:00:00.000000Z"
    assert written["lifecycle"] == len(steps)
    again = Warehouse.open(tmp_path / "again")
    land_paths(again, [tmp_path / "out" / "feed"])
    back = export_all(again, tmp_path / "back")
    held = {name: count for name, count in written.items() if name in DATASETS}
    assert {name: back[name] for name in held} == held
    for name in held:
        first, second = ((tmp_path / place / "feed" / f"{name}.csv").read_text() for place in ("out", "back"))
        assert first == second, name
    moved = pd.read_csv(tmp_path / "out" / "feed" / "partners.csv", dtype=str).head(1).assign(plan="hybrid")
    moved.assign(joined_at="2026-12-31T00:00:00Z").to_csv(tmp_path / "partners.csv", index=False)
    land_paths(again, [tmp_path / "partners.csv"])
    export_all(again, tmp_path / "moved")
    told = pd.read_csv(tmp_path / "moved" / "feed" / "partners.csv", dtype=str)
    plans = told.loc[told["partner_id"] == moved["partner_id"].iloc[0], "plan"].tolist()
    assert len(plans) == 2 and plans[1] == "hybrid", "where a partner stood before a move comes along"
    for destination in ("bank_before", "bank_now"):
        moved.assign(payout_destination=destination).to_csv(tmp_path / "partners.csv", index=False)
        land_paths(again, [tmp_path / "partners.csv"])
    export_all(again, tmp_path / "paid")
    told = pd.read_csv(tmp_path / "paid" / "feed" / "partners.csv", dtype=str)
    assert {"bank_before", "bank_now"} <= set(told["payout_destination"]), "money was sent to the earlier one"
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
    assert tomllib.loads(written_mapping(MAPPING)) == MAPPING


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"columns": {"partner_id": "aff_id"}}, "nothing is mapped to name, plan, joined_at"),
        ({"columns": {**MAPPING["partners"]["columns"], "name": "names"}}, "no column names"),
        ({"columns": {**MAPPING["partners"]["columns"], "nme": "title"}}, "unknown nme"),
        ({"zone": "Europe/Prag"}, "no IANA zone"),
        ({"file": "others.csv"}, "cannot be read"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (tmp_path / "affiliates.csv").write_text(
        "aff_id,title,scheme,created\n7,Seven,CPA20,2026-01-01\n", encoding="utf-8"
    )
    with pytest.raises(MappingRefused, match=words):
        import_export(tmp_path, {"partners": MAPPING["partners"] | change}, tmp_path / "feed")
    assert not (tmp_path / "feed" / "partners.csv").exists()


FOREIGN: dict[str, Any] = {
    "file": "paid.csv",
    "columns": {"payment_id": "No", "trader_id": "Client", "amount": "Sum", "occurred_at": "When"},
    "fixed": {"kind": "purchase", "currency": "EUR"},
    "separator": ";",
    "zone": "Europe/Berlin",
}


@pytest.mark.parametrize(
    "factors", [{"amount": 0}, {"amount": "0.01"}, {"kind": 2}, {"trader_id": 2}, {"amount": True}]
)
def test_a_factor_that_turns_nothing_is_refused(tmp_path: Path, factors: dict[str, Any]) -> None:
    (tmp_path / "paid.csv").write_text("No;Client;Sum;When\n1;T1;9;2026-02-03\n", encoding="utf-8")
    with pytest.raises(MappingRefused, match="factors are numbers above zero"):
        import_export(tmp_path, {"payments": FOREIGN | {"factors": factors}}, tmp_path / "feed")


@pytest.mark.parametrize(
    ("told", "cell", "read"),
    [
        ({"decimal": ","}, "1.234,56;03.02.2026 14:05", "1234.56,2026-02-03T13:05:00Z"),
        ({"decimal": ","}, "1.234;2026-02-03T14:05:00+09:00", "1234,2026-02-03T05:05:00Z"),
        ({"decimal": "."}, "1,234.5;2026-02-03", "1234.5,2026-02-02T23:00:00Z"),
        ({"time_format": "%m/%d/%Y %I:%M %p"}, "9.5;02/03/2026 2:05 PM", "9.5,2026-02-03T13:05:00Z"),
        ({"factors": {"amount": 0.01}}, "15501;2026-02-03", "155.01,2026-02-02T23:00:00Z"),
        ({"factors": {"amount": 0.01}, "decimal": ","}, "1.550.100,5;2026-02-03", "15501.005,2026-02-02T23:00:00Z"),
        ({"factors": {"amount": 1000}}, "0.0355;2026-02-03", "35.5000,2026-02-02T23:00:00Z"),
        ({"factors": {"amount": 0.01}}, "n/a;2026-02-03", "n/a,2026-02-02T23:00:00Z"),
        ({}, '"9,5";02/03/2026 14:05', '"9,5",02/03/2026 14:05'),
        ({}, "9;29.03.2026 02:30", "9,29.03.2026 02:30"),
        ({}, "9;25.10.2026 02:30", "9,25.10.2026 02:30"),
    ],
)
def test_numbers_and_times_of_another_system_are_read_as_told_or_left_to_be_rejected(
    tmp_path: Path, told: dict[str, Any], cell: str, read: str
) -> None:
    """Never guessed: a day that may be a month, a time that a clock change skips or repeats, stay as they are. Other
    units are turned into ours exactly: 0.01 times cents is no binary fraction."""
    (tmp_path / "paid.csv").write_text(f"No;Client;Sum;When\n1;T1;{cell}\n", encoding="utf-8")
    import_export(tmp_path, {"payments": FOREIGN | told}, tmp_path / "feed")
    row = (tmp_path / "feed" / "payments.csv").read_text(encoding="utf-8").splitlines()[1]
    assert row == f"1,T1,{read},purchase,EUR"
    assert tomllib.loads(written_mapping({"payments": FOREIGN | told})) == {"payments": FOREIGN | told}


@pytest.mark.parametrize(
    ("text", "change", "words"),
    [
        ("No;Client;Sum;When\n1;T1;9;2026-02-03;x\n", {}, "line 2 has 5 cells, the header 4"),
        ("No;Client;Sum;When;Sum\n1;T1;9;2026-02-03;8\n", {}, "two columns are called Sum"),
        ("No;Client;Sum;When\n1;M\u00fcller;9;2026-02-03\n", {}, "line 2 is not UTF-8"),
        ("No;Client;Sum;When\n", {"values": {"kid": {"a": "b"}}}, "values of kid, to which no column"),
        ("No;Client;Sum;When\n", {"columns": "No"}, "columns is no table"),
        ("No;Client;Sum;When\n", {"decimal": ";"}, "decimal is"),
    ],
)
def test_a_file_whose_columns_cannot_be_told_is_refused(
    tmp_path: Path, text: str, change: dict[str, Any], words: str
) -> None:
    """No cell may come to stand in another column unseen."""
    (tmp_path / "paid.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(MappingRefused, match=words):
        import_export(tmp_path, {"payments": FOREIGN | change}, tmp_path / "feed")
    assert not (tmp_path / "feed" / "payments.csv").exists()


def test_another_systems_amounts_are_read_or_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("partner_id,currency,amount,happened_at\nP1,EUR,10,2026-03-01\nP1,EUR,ten,2026-03-01\n")
    with pytest.raises(MappingRefused, match=r"line 3: amount is 'ten'"):
        read_other("commissions", path)
    path.write_text(
        "partner_id,currency,amount,happened_at\nP1,EUR,1,2026-03-01T01:00:00+01:00\nP1,EUR,2,2026-03-01T00:00:00\n"
    )
    with pytest.raises(MappingRefused, match=r"line 3: happened_at is '2026-03-01T00:00:00', no ISO 8601 time with an"):
        read_other("commissions", path)
    path.write_text("partner_id,currency,amount,happened_at\nP1,EUR,inf,2026-03-01T00:00:00Z\n")
    with pytest.raises(MappingRefused, match=r"line 2: amount is 'inf'"):
        read_other("commissions", path)
    path.write_text("payout_id,amount,settled_at\nQ1,10,2026-03-01\n")
    with pytest.raises(MappingRefused, match="no column currency"):
        read_other("payouts", path)


def test_a_parallel_run_compares_the_period_alone(house: Warehouse) -> None:
    since, until = pd.Timestamp("2026-03-01", tz="UTC"), pd.Timestamp("2026-04-01", tz="UTC")
    theirs = pd.DataFrame({"payout_id": ["Q1", "Q0"], "currency": "EUR", "amount": [799.99, 5.0]})
    theirs["settled_at"] = pd.to_datetime(["2026-03-16", "2026-02-28"], utc=True)
    found = parallel_run(house, None, theirs, since, until)
    assert list(found) == ["payouts"]
    assert found["payouts"][["payout_id", "ours", "theirs", "difference"]].to_numpy().tolist() == [
        ["Q1", 800.0, 799.99, pytest.approx(0.01)]
    ]


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


def test_a_commissions_file_that_names_challenges_is_compared_challenge_by_challenge(
    house: Warehouse, tmp_path: Path
) -> None:
    """Two differences of one partner that make up for each other are seen there, and not in the sums."""
    told = mart(house, "commissions").astype({"amount": "float64"})
    at = pd.to_datetime(told["happened_at"], utc=True)
    told["happened_at"] = at.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    first, second = told[told["partner_id"] == "P1"].index[:2]
    changed = told.assign(amount=told["amount"].add(pd.Series({first: 7.0, second: -7.0}), fill_value=0))
    plain = ["partner_id", "currency", "amount", "happened_at"]
    found = {}
    for names in (plain, [*plain, "challenge_id", "event", "level"]):
        changed[names].to_csv(tmp_path / "theirs.csv", index=False)
        theirs = read_other("commissions", tmp_path / "theirs.csv")
        found[len(names)] = parallel_run(house, theirs, None, at.min(), at.max() + pd.Timedelta(days=1))["commissions"]
    assert found[4].empty
    assert sorted(found[7]["difference"]) == [-7, 7]
    assert set(found[7]["event"]) == set(told.loc[[first, second], "event"])


def test_differences_of_both_kinds_are_listed_in_one_table(
    house: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards the command where commissions name challenges, which payouts have not: it had ended in a traceback."""
    given = {
        "commissions": "partner_id,challenge_id,currency,amount,happened_at\nP1,C99,EUR,7.5,2026-03-01T00:00:00Z\n",
        "payouts": "payout_id,currency,amount,settled_at\nW99,EUR,9.5,2026-03-01T00:00:00Z\n",
    }
    asked = [
        "--home",
        str(house.home),
        "parallel",
        "--since",
        "2026-03-01T00:00:00Z",
        "--until",
        "2026-03-01T00:00:01Z",
    ]
    for kind, text in given.items():
        (tmp_path / f"{kind}.csv").write_text(text, encoding="utf-8")
        asked += [f"--{kind}", str(tmp_path / f"{kind}.csv")]
    assert cli.main(asked) == 0
    header, *told = capsys.readouterr().out.splitlines()
    assert header.split() == ["what", "id", "challenge_id", "currency", "ours", "theirs", "difference", "why"]
    assert [line.split() for line in told] == [
        ["commissions", "P1", "C99", "EUR", "7.5", "-7.5", "only", "there"],
        ["payouts", "W99", "EUR", "9.5", "-9.5", "only", "there"],
    ]


def test_a_partners_total_is_the_sum_of_its_desks(house: Warehouse) -> None:
    found = mart(house, "partners")
    sums = ["challenges", "traders", "funded", "refunds", "chargebacks", "fees_usd", "payouts_usd", "commission_usd"]
    firm = found[found["desk_id"] == "all"].set_index("partner_id")[sums].astype("float64")
    desks = found[found["desk_id"] != "all"].groupby("partner_id")[sums].sum()
    sold = firm[firm["challenges"] > 0]
    assert len(sold) and (desks.loc[sold.index] >= sold - 1e-9).all(axis=None)
    additive = [name for name in sums if name != "traders"]
    assert (desks.loc[sold.index, additive] - sold[additive]).abs().max().max() == pytest.approx(0)
