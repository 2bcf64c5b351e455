"""Commissions: the pass against a running ledger, states at the edge of a window, returns, tiers, chains, refusals."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.commissions import Plans, dry_run, in_force, keep, load_plans, on_hold, plans_folder, read_plan, settle
from models.commissions.plans import PlanRefused
from models.commissions.settle import statement
from sql import relations
from sql.warehouse import Warehouse
from tests.commission_ledger import Happening, Ledger, states

START = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
LATER = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
HEAD = '[[versions]]\nversion = 1\neffective_from = 2020-01-01T00:00:00Z\ncurrency = "USD"\n'
HOLD = "hold = { refund_days = 14, chargeback_days = 60 }\n"
NO_RATES = pd.DataFrame({"currency": [], "day": [], "rate_to_usd": []})


def plan_of(name: str, body: str) -> Plans:
    """A folder of one plan."""
    return Plans({name: read_plan(f'id = "{name}"\n{HEAD}{HOLD}{body}', f"{name}.toml")})


def events_of(*rows: tuple[str, str, str, float, float, str]) -> pd.DataFrame:
    """Events from (event_id, kind, challenge, days after the start, amount, currency), a trader each."""
    return pd.DataFrame(
        [
            {
                "event_id": event,
                "kind": kind,
                "challenge_id": challenge,
                "trader_id": f"T{challenge}",
                "happened_at": START + dt.timedelta(days=days),
                "amount": amount,
                "currency": currency,
            }
            for event, kind, challenge, days, amount, currency in rows
        ]
    ).astype({"happened_at": "datetime64[us, UTC]"})


def credits_of(*rows: tuple[str, str, float]) -> pd.DataFrame:
    """Credits from (challenge, partner, share)."""
    frame = pd.DataFrame(rows, columns=["challenge_id", "partner_id", "share"])
    return frame.assign(held_because=None)


def tree_of(**partners: tuple[str | None, str]) -> pd.DataFrame:
    """Partners as name = (parent, plan)."""
    rows = [(name, parent, plan, pd.NaT) for name, (parent, plan) in partners.items()]
    return pd.DataFrame(rows, columns=["partner_id", "parent_partner_id", "plan", "effective_from"])


def entries(
    plans: Plans,
    events: pd.DataFrame,
    credits: pd.DataFrame,
    tree: pd.DataFrame,
    as_of: dt.datetime = LATER,
    **more: Any,
) -> pd.DataFrame:
    """Settled entries."""
    return settle(events, credits, tree, plans, as_of, rates=more.pop("rates", NO_RATES), **more).entries


CPA = plan_of("cpa", "[versions.purchase]\npercent = 20\n[versions.overrides]\npercents = [10, 5]\n")
CHAIN = tree_of(P1=(None, "cpa"), P2=("P1", "cpa"), P3=("P2", "cpa"))
SALE = events_of(("e1", "purchase", "C1", 0, 499.0, "USD"))


def test_a_sale_pays_the_partner_and_those_above() -> None:
    found = entries(CPA, SALE, credits_of(("C1", "P3", 1.0)), CHAIN)
    assert found[["partner_id", "level", "amount"]].to_numpy().tolist() == [
        ["P3", 1, 99.8],
        ["P2", 2, 9.98],
        ["P1", 3, 4.99],
    ]


def test_who_stands_above_may_earn_by_overrides_alone_and_by_their_own_plan() -> None:
    """P2's plan pays 10 percent of the level below and nothing for own sales; P1's has no overrides and pays none."""
    above = read_plan(f'id = "above"\n{HEAD}{HOLD}[versions.overrides]\npercents = [10, 5]\n')
    plain = read_plan(f'id = "plain"\n{HEAD}{HOLD}[versions.purchase]\npercent = 20\n')
    plans = Plans({"cpa": CPA.known["cpa"], "above": above, "plain": plain})
    tree = tree_of(P1=(None, "plain"), P2=("P1", "above"), P3=("P2", "cpa"))
    found = entries(plans, SALE, credits_of(("C1", "P3", 1.0)), tree)
    assert found[["partner_id", "amount"]].to_numpy().tolist() == [["P3", 99.8], ["P2", 9.98]]
    assert entries(plans, SALE, credits_of(("C1", "P2", 1.0)), tree).empty


@pytest.mark.parametrize(
    ("fee", "amounts"),
    [(99.99, {"P1": 6.67, "P2": 6.66, "P3": 6.67}), (0.05, {"P2": 0.01}), (0.02, {})],
)
def test_shares_of_a_sale_add_up_to_the_cent(fee: float, amounts: dict[str, float]) -> None:
    """Three thirds of 20.00 are 20.00, not three times 6.67; a single cent goes to one of the three."""
    alone = tree_of(P1=(None, "cpa"), P2=(None, "cpa"), P3=(None, "cpa"))
    thirds = credits_of(("C1", "P3", 0.333334), ("C1", "P1", 0.333333), ("C1", "P2", 0.333333))
    found = entries(CPA, events_of(("e1", "purchase", "C1", 0, fee, "USD")), thirds, alone)
    assert dict(zip(found["partner_id"], found["amount"], strict=True)) == amounts


def test_those_above_are_paid_of_the_fee_once_though_a_sale_earns_in_two_ways() -> None:
    """A hybrid pays 20 and 5 percent of 499.00 to the seller; 10 percent of the fee above is 49.90, not twice that."""
    hybrid = plan_of(
        "cpa",
        "[versions.purchase]\npercent = 20\n[versions.fee_share]\npercent = 5\n"
        '[versions.overrides]\npercents = [10]\nof = "fee"\n',
    )
    found = entries(hybrid, SALE, credits_of(("C1", "P2", 1.0)), CHAIN)
    assert sorted(found[["partner_id", "event", "amount"]].itertuples(index=False, name=None)) == [
        ("P1", "purchase", 49.9),
        ("P2", "fee_share", 24.95),
        ("P2", "purchase", 99.8),
    ]


@pytest.mark.parametrize(
    ("days", "state"),
    [(13.9999, "accrued"), (14, "held"), (59.9999, "held"), (60, "payable")],
)
def test_states_change_when_their_window_ends(days: float, state: str) -> None:
    found = entries(CPA, SALE, credits_of(("C1", "P1", 1.0)), CHAIN, START + dt.timedelta(days=days))
    assert found["state"].tolist() == [state]


def test_a_full_return_reverses_the_whole_chain_and_leaves_nothing() -> None:
    events = pd.concat([SALE, events_of(("r1", "chargeback", "C1", 30, 499.0, "USD"))])
    found = entries(CPA, events, credits_of(("C1", "P3", 1.0)), CHAIN)
    assert set(found["state"]) == {"reversed"}
    assert found.groupby("partner_id")["amount"].sum().round(8).tolist() == [0, 0, 0]


def test_two_partial_returns_add_up_to_the_cent_and_the_rest_stays_payable() -> None:
    returns = events_of(("r1", "refund", "C1", 3, 100.0, "USD"), ("r2", "refund", "C1", 4, 66.33, "USD"))
    found = entries(CPA, pd.concat([SALE, returns]), credits_of(("C1", "P1", 1.0)), CHAIN)
    assert found["amount"].sum() == pytest.approx(99.80 - 33.27)
    assert set(found["state"]) == {"payable"}


def test_a_refund_larger_than_the_fee_takes_back_the_fee_and_is_named() -> None:
    events = pd.concat([SALE, events_of(("r1", "refund", "C1", 3, 600.0, "USD"))])
    found = settle(events, credits_of(("C1", "P1", 1.0)), CHAIN, CPA, LATER, rates=NO_RATES)
    assert found.entries["amount"].sum() == 0
    assert any("C1" in line and "101.00 USD more than its fee" in line for line in found.log)


def test_an_event_told_twice_counts_once_and_is_named() -> None:
    found = settle(pd.concat([SALE, SALE]), credits_of(("C1", "P1", 1.0)), CHAIN, CPA, LATER, rates=NO_RATES)
    assert len(found.entries) == 1
    assert any("e1" in line for line in found.log)


def test_an_event_of_a_challenge_that_was_not_bought_moves_nothing() -> None:
    """Nor one that names no challenge; the sale beside them is paid, and a firm of such events alone pays nobody."""
    lost = events_of(
        ("r0", "refund", "C0", -1, 50.0, "USD"),
        ("r1", "refund", "C2", 1, 50.0, "USD"),
        ("g1", "profit_share", "C9", 2, 500.0, "EUR"),
    )
    lost.loc[1, "challenge_id"] = None
    credits = credits_of(("C0", "P1", 1.0), ("C1", "P1", 1.0))
    found = entries(CPA, pd.concat([lost, SALE]), credits, CHAIN)
    assert found[["event_id", "amount", "currency"]].to_numpy().tolist() == [["e1", 99.8, "USD"]]
    assert entries(CPA, lost, credits, CHAIN).empty
    assert entries(CPA, lost.iloc[:0], credits, CHAIN).empty


def test_a_partner_who_is_their_own_ancestor_is_named_and_the_loop_is_not_paid() -> None:
    tree = tree_of(P1=("P2", "cpa"), P2=("P1", "cpa"), P3=("P3", "cpa"))
    credits = credits_of(("C1", "P1", 0.5), ("C1", "P3", 0.5))
    found = settle(SALE, credits, tree, CPA, LATER, rates=NO_RATES)
    assert found.entries.groupby("partner_id")["level"].max().to_dict() == {"P1": 1, "P2": 2, "P3": 1}
    named = [line for line in found.log if "own ancestor" in line]
    assert [line.split()[1] for line in named] == ["P1", "P3"]


def test_a_loop_that_closed_for_a_week_is_paid_as_it_stood_at_each_sale_and_told_as_past() -> None:
    """B was put under A for a week: once each for a sale of that week, and for B's others nothing above B."""
    moved = [("A", "B", 0), ("B", None, 0), ("B", "A", 10), ("B", None, 17)]
    columns = ["partner_id", "parent_partner_id", "plan", "effective_from"]
    places = [(one, above, "cpa", START + dt.timedelta(days=on)) for one, above, on in moved]
    tree = pd.DataFrame(places, columns=columns)
    sales = events_of(*((f"e{on}", "purchase", f"C{on}", on, 100.0, "USD") for on in (5, 12, 20)))
    credits = credits_of(*((f"C{on}", "B", 1.0) for on in (5, 12, 20)))
    found = settle(sales, credits, tree, CPA, LATER, rates=NO_RATES)
    paid = {(one.challenge_id, one.partner_id, one.level) for one in found.entries.itertuples()}
    assert paid == {("C5", "B", 1), ("C12", "B", 1), ("C12", "A", 2), ("C20", "B", 1)}
    assert found.log == [
        "partner A was their own ancestor for a time (A under B under A): nothing was paid up the loop"
    ]


def test_a_plan_that_is_not_there_earns_nothing_and_is_named() -> None:
    found = settle(SALE, credits_of(("C1", "P9", 1.0)), tree_of(P9=(None, "gold")), CPA, LATER, rates=NO_RATES)
    assert found.entries.empty
    assert any("no commission plan gold" in line for line in found.log)


def test_of_a_free_challenge_only_profit_is_shared() -> None:
    """Neither milestones nor tiers: who sends people to free trials has sold nothing."""
    clauses = "".join(f"[versions.{name}]\namount = 50\n" for name in ("stage_pass", "funded"))
    clauses += "[versions.profit_share]\npercent = 10\n"
    plans = plan_of("cpa", TIERS.format(by='"funded"', mode='"marginal"', since=1) + clauses)
    events = events_of(
        ("e1", "purchase", "C1", 0, 0.0, "USD"),
        ("e2", "stage_pass", "C1", 1, 0.0, "USD"),
        ("e3", "funded", "C1", 2, 0.0, "USD"),
        ("e4", "profit_share", "C1", 9, 200.0, "USD"),
        ("e5", "purchase", "C2", 10, 100.0, "USD"),
    )
    found = entries(plans, events, credits_of(("C1", "P1", 1.0), ("C2", "P1", 1.0)), tree_of(P1=(None, "cpa")))
    assert found[["event", "amount"]].to_numpy().tolist() == [["profit_share", 20.0], ["purchase", 10.0]]


def test_a_commission_paid_before_the_return_is_owed_back() -> None:
    events = pd.concat([SALE, events_of(("r1", "chargeback", "C1", 90, 499.0, "USD"))])
    sent = pd.DataFrame({"partner_id": ["P1"], "amount": [99.8], "currency": ["USD"]})
    sent["settled_at"] = pd.to_datetime([START + dt.timedelta(days=61)], utc=True)
    found = entries(CPA, events, credits_of(("C1", "P1", 1.0)), CHAIN, transfers=sent)
    assert found[["event", "amount", "state"]].to_numpy().tolist() == [
        ["purchase", 99.8, "paid"],
        ["chargeback", -99.8, "payable"],
    ]


def test_a_transfer_that_does_not_cover_an_entry_leaves_it_payable() -> None:
    sent = pd.DataFrame({"partner_id": ["P1"], "amount": [99.79], "currency": ["USD"]})
    sent["settled_at"] = pd.to_datetime([START + dt.timedelta(days=61)], utc=True)
    assert entries(CPA, SALE, credits_of(("C1", "P1", 1.0)), CHAIN, transfers=sent)["state"].tolist() == ["payable"]


def test_a_negative_balance_is_carried_unless_the_plan_writes_it_off() -> None:
    events = pd.concat([SALE, events_of(("r1", "chargeback", "C1", 90, 499.0, "USD"))])
    sent = pd.DataFrame({"partner_id": ["P1"], "amount": [99.8], "currency": ["USD"]})
    sent["settled_at"] = pd.to_datetime([START + dt.timedelta(days=61)], utc=True)
    credits, tree = credits_of(("C1", "P1", 1.0)), tree_of(P1=(None, "cpa"))
    carried = entries(CPA, events, credits, tree, transfers=sent)
    lines = statement(carried, sent, "P1", START + dt.timedelta(days=80), LATER)
    assert lines[["earned", "taken_back", "carried_over"]].to_numpy().tolist() == [[0.0, -99.8, -99.8]]
    kind = plan_of("cpa", "negative_carry = false\n[versions.purchase]\npercent = 20\n")
    forgiven = entries(kind, events, credits, tree, transfers=sent)
    assert forgiven.loc[forgiven["event"] == "write_off", "amount"].tolist() == [99.8]


@pytest.mark.parametrize(("carry", "forgiven", "owed"), [("true", [], 20.0), ("false", [30.0], 50.0)])
def test_months_in_which_the_firm_lost_are_carried_unless_the_plan_writes_them_off(
    carry: str, forgiven: list[float], owed: float
) -> None:
    """A tenth of 200, -200, -300, 100, 400, a month each: the second leaves nothing, the third 30 below zero."""
    kind = plan_of("cpa", f"negative_carry = {carry}\n[versions.profit_share]\npercent = 10\n")
    gains = enumerate((200.0, -200.0, -300.0, 100.0, 400.0))
    told = [(f"g{n}", "profit_share", "C1", 70.0 + 31 * n, gain, "USD") for n, gain in gains]
    found = entries(kind, pd.concat([SALE, events_of(*told)]), credits_of(("C1", "P1", 1.0)), LONE)
    assert found.loc[found["event"] == "write_off", "amount"].tolist() == forgiven
    assert statement(found, None, "P1", START, LATER)["carried_over"].tolist() == [owed]


def sent_of(*rows: tuple[float, float]) -> pd.DataFrame:
    """Transfers to P1 in dollars from (days after the start, amount)."""
    frame = pd.DataFrame(rows, columns=["days", "amount"]).assign(partner_id="P1", currency="USD")
    frame["settled_at"] = pd.to_datetime([START + dt.timedelta(days=days) for days, _ in rows], utc=True)
    return frame.drop(columns="days")


LONE = tree_of(P1=(None, "cpa"))


@pytest.mark.parametrize(("amount", "states"), [(66.53, ["paid", "paid"]), (66.52, ["payable", "payable"])])
def test_a_transfer_pays_what_a_partial_refund_left(amount: float, states: list[str]) -> None:
    events = pd.concat([SALE, events_of(("r1", "refund", "C1", 3, 166.33, "USD"))])
    found = entries(CPA, events, credits_of(("C1", "P1", 1.0)), LONE, transfers=sent_of((61, amount)))
    assert found["amount"].tolist() == [99.8, -33.27]
    assert found["state"].tolist() == states


@pytest.mark.parametrize(("amount", "state"), [(100.2, "paid"), (100.19, "payable")])
def test_what_is_owed_back_is_set_against_the_next_commission(amount: float, state: str) -> None:
    """99.80 was paid and charged back; of the 200.00 that fall due later 100.20 are left to send."""
    more = events_of(("c1", "chargeback", "C1", 90, 499.0, "USD"), ("e2", "purchase", "C2", 20, 1000.0, "USD"))
    credits = credits_of(("C1", "P1", 1.0), ("C2", "P1", 1.0))
    transfers = sent_of((61, 99.8), (91, amount))
    found = entries(CPA, pd.concat([SALE, more]), credits, LONE, transfers=transfers)
    assert found.set_index("event_id")["state"].to_dict() == {"e1": "paid", "e2": state, "c1": state}


def test_what_was_sent_too_early_pays_what_falls_due_later() -> None:
    found = entries(CPA, SALE, credits_of(("C1", "P1", 1.0)), LONE, transfers=sent_of((10, 99.8)))
    assert found["state"].tolist() == ["paid"]
    early = START + dt.timedelta(days=59)
    assert entries(CPA, SALE, credits_of(("C1", "P1", 1.0)), LONE, early, transfers=sent_of((10, 99.8)))[
        "state"
    ].tolist() == ["held"]


def test_a_debt_that_was_written_off_is_not_set_against_later_commissions() -> None:
    """99.80 paid in March, charged back in April and written off at its end; 200.00 fall due in June and are sent."""
    kind = plan_of("cpa", "negative_carry = false\n[versions.purchase]\npercent = 20\n")
    more = events_of(("c1", "chargeback", "C1", 90, 499.0, "USD"), ("e2", "purchase", "C2", 100, 1000.0, "USD"))
    credits = credits_of(("C1", "P1", 1.0), ("C2", "P1", 1.0))
    transfers = sent_of((61, 99.8), (161, 200.0))
    found = entries(kind, pd.concat([SALE, more]), credits, LONE, transfers=transfers)
    written = found[found["event"] == "write_off"]
    assert written["amount"].tolist() == [99.8]
    assert written["happened_at"].dt.strftime("%Y-%m-%d").tolist() == ["2026-04-30"]
    assert found["amount"].sum() == pytest.approx(99.8 + 200.0), "what was sent is what was earned"
    assert found.loc[found["state"] != "paid", "amount"].sum() == pytest.approx(0)


def test_a_statement_brings_forward_what_was_owed_and_carries_over_what_is() -> None:
    """99.80 earned in January, 33.27 taken back and 50.00 sent in March: 16.53 are owed at its end."""
    events = pd.concat([SALE, events_of(("r1", "refund", "C1", 52, 166.33, "USD"))])
    sent = sent_of((65, 50.0), (120, 16.53))
    found = entries(CPA, events, credits_of(("C1", "P1", 1.0)), LONE, transfers=sent)
    march = statement(found, sent, "P1", dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 4, 1, tzinfo=dt.UTC))
    assert march.iloc[0].to_dict() == {
        "currency": "USD",
        "brought_forward": 99.8,
        "earned": 0.0,
        "taken_back": -33.27,
        "written_off": 0.0,
        "paid": -50.0,
        "carried_over": 16.53,
    }
    all_of_it = statement(found, sent, "P1", START, LATER)
    assert all_of_it["carried_over"].tolist() == [0.0]


def test_a_refund_within_the_hold_is_no_debt_to_write_off() -> None:
    kind = plan_of("cpa", "negative_carry = false\n[versions.purchase]\npercent = 20\n")
    events = pd.concat([SALE, events_of(("r1", "refund", "C1", 3, 166.33, "USD"))])
    at = pd.to_datetime([START], utc=True).astype("datetime64[us, UTC]")
    early = pd.DataFrame({"partner_id": ["P1"], "amount": [500.0], "currency": ["USD"], "settled_at": at})
    for transfers in (None, early):
        found = entries(kind, events, credits_of(("C1", "P1", 1.0)), LONE, transfers=transfers)
        assert found["amount"].tolist() == [99.8, -33.27], "what was sent too early is not written off by it"


@pytest.mark.parametrize(("free", "amounts"), [(0.0, [20.0, 10.0]), (0.01, [10.0, 10.0])])
def test_a_free_trial_is_no_first_purchase(free: float, amounts: list[float]) -> None:
    plans = plan_of("cpa", "[versions.purchase]\npercent = 20\nrepeat_percent = 50\n")
    events = events_of(
        ("e0", "purchase", "C0", 0, free, "USD"),
        ("e1", "purchase", "C1", 1, 100.0, "USD"),
        ("e2", "purchase", "C2", 2, 100.0, "USD"),
    ).assign(trader_id="T1")
    found = entries(plans, events, credits_of(*((f"C{n}", "P1", 1.0) for n in range(3))), LONE)
    assert found["amount"].tolist() == amounts


TIERS = (
    "[versions.purchase]\npercent = 10\n"
    "[versions.tiers]\nby = {by}\nmode = {mode}\nsteps = [{{ from = {since}, percent = 20 }}]\n"
)


def month_of_sales(count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sales of 100 an hour apart, all credited to P1."""
    events = events_of(*((f"e{n}", "purchase", f"C{n}", n / 24, 100.0, "USD") for n in range(count)))
    return events, credits_of(*((f"C{n}", "P1", 1.0) for n in range(count)))


@pytest.mark.parametrize(("sales", "amount"), [(2, 20.0), (3, 40.0), (4, 60.0)])
def test_marginal_tiers_raise_what_comes_after(sales: int, amount: float) -> None:
    plans = plan_of("t", TIERS.format(by='"sales"', mode='"marginal"', since=3))
    assert entries(plans, *month_of_sales(sales), tree_of(P1=(None, "t")))["amount"].sum() == amount


@pytest.mark.parametrize(("sales", "amount"), [(2, 20.0), (3, 60.0), (4, 80.0)])
def test_retroactive_tiers_raise_the_whole_month(sales: int, amount: float) -> None:
    plans = plan_of("t", TIERS.format(by='"sales"', mode='"retroactive"', since=3))
    assert entries(plans, *month_of_sales(sales), tree_of(P1=(None, "t")))["amount"].sum() == amount


def test_marginal_tiers_by_fees_split_the_fee_that_crosses() -> None:
    plans = plan_of("t", TIERS.format(by='"fees"', mode='"marginal"', since=150))
    found = entries(plans, *month_of_sales(3), tree_of(P1=(None, "t")))
    assert found["amount"].tolist() == [10.0, 15.0, 20.0]


@pytest.mark.parametrize(
    ("by", "later", "amounts"),
    [
        # a hundred dollars are no ten thousand sales, and a sale is no cent
        ('"fees"', 'by = "sales"\nsteps = [{ from = 3, percent = 50 }]', [10.0, 10.0, 10.0, 10.0, 50.0]),
        ('"sales"', 'by = "fees"\nsteps = [{ from = 300.01, percent = 50 }]', [10.0, 10.0, 10.0, 10.0, 10.0]),
        # what the earlier terms counted by the same measure goes on counting, and only later sales are raised
        ('"sales"', 'by = "sales"\nsteps = [{ from = 4, percent = 50 }]', [10.0, 10.0, 10.0, 50.0, 50.0]),
    ],
)
@pytest.mark.parametrize("mode", ["marginal", "retroactive"])
def test_tiers_of_other_terms_count_on_by_the_same_measure_alone(
    by: str, later: str, amounts: list[float], mode: str
) -> None:
    events, credits = month_of_sales(5)
    since = (START + dt.timedelta(hours=1.5)).isoformat()
    first = TIERS.format(by=by, mode=f'"{mode}"', since=1_000)
    newer = f'[[versions]]\nversion = 2\neffective_from = {since}\ncurrency = "USD"\n'
    newer += f'[versions.purchase]\npercent = 10\n[versions.tiers]\nmode = "{mode}"\n{later}\n'
    plans = Plans({"t": read_plan(f'id = "t"\n{HEAD}{HOLD}{first}{newer}')})
    found = entries(plans, events, credits, tree_of(P1=(None, "t")))
    if mode == "retroactive":
        later_sales = [50.0 if max(amounts[2:]) == 50.0 else 10.0] * 3
        amounts = [10.0, 10.0, *later_sales]
    assert found.groupby("challenge_id")["amount"].sum().tolist() == amounts


def test_a_share_of_the_fee_above_is_paid_as_the_plan_above_says() -> None:
    """P1's plan turns what it pays into dollars, P2's does not; without a rate P1 waits and P2 does not."""
    above = 'convert = true\n[versions.overrides]\npercents = [10]\nof = "fee"\n'
    plans = Plans({**CPA.known, **plan_of("above", above).known})
    events = events_of(("e1", "purchase", "C1", 0, 1000.0, "EUR"), ("e2", "purchase", "C2", 0, 1000.0, "XAG"))
    rates = pd.DataFrame({"currency": ["EUR"], "day": [dt.date(2026, 1, 9)], "rate_to_usd": [1.1]})
    credits = credits_of(("C1", "P2", 1.0), ("C2", "P2", 1.0))
    found = entries(plans, events, credits, tree_of(P1=(None, "above"), P2=("P1", "cpa")), rates=rates)
    assert found[["partner_id", "amount", "currency", "state"]].to_numpy().tolist() == [
        ["P2", 200.0, "EUR", "payable"],
        ["P1", 110.0, "USD", "payable"],
        ["P2", 200.0, "XAG", "payable"],
        ["P1", 100.0, "XAG", "held"],
    ]


def test_a_bonus_is_taken_back_with_its_sale() -> None:
    plans = plan_of("t", TIERS.format(by='"sales"', mode='"retroactive"', since=3))
    events, credits = month_of_sales(3)
    events = pd.concat([events, events_of(("r1", "refund", "C0", 9, 100.0, "USD"))])
    assert entries(plans, events, credits, tree_of(P1=(None, "t")))["amount"].sum() == 40.0


def test_a_currency_without_a_rate_is_held_in_its_own_and_named() -> None:
    plans = plan_of("cpa", "convert = true\n[versions.purchase]\npercent = 20\n")
    events = events_of(("e1", "purchase", "C1", 0, 1000.0, "EUR"), ("e2", "purchase", "C2", 0, 1000.0, "XAG"))
    rates = pd.DataFrame({"currency": ["EUR"], "day": [dt.date(2026, 1, 9)], "rate_to_usd": [1.1]})
    credits = credits_of(("C1", "P1", 1.0), ("C2", "P1", 1.0))
    found = settle(events, credits, tree_of(P1=(None, "cpa")), plans, LATER, rates=rates)
    shown = found.entries[["amount", "currency", "state"]].to_numpy().tolist()
    assert shown == [[220.0, "USD", "payable"], [200.0, "XAG", "held"]]
    assert any("no rate" in line for line in found.log)


def test_amounts_follow_the_minor_unit_of_their_currency() -> None:
    events = events_of(("e1", "purchase", "C1", 0, 22953.0, "JPY"), ("e2", "purchase", "C2", 0, 10.025, "USD"))
    found = entries(CPA, events, credits_of(("C1", "P1", 1.0), ("C2", "P1", 1.0)), CHAIN)
    assert found["amount"].tolist() == [4591.0, 2.01]


def test_a_partner_moves_in_the_tree_from_the_day_they_do() -> None:
    moved = pd.DataFrame(
        {
            "partner_id": ["P1", "P2", "P3", "P3"],
            "parent_partner_id": [None, None, "P1", "P2"],
            "plan": "cpa",
            "effective_from": [pd.NaT, pd.NaT, pd.NaT, START + dt.timedelta(days=5)],
        }
    )
    events = events_of(
        ("e1", "purchase", "C1", 4.9, 100.0, "USD"),
        ("e2", "purchase", "C2", 5, 100.0, "USD"),
        ("f1", "funded", "C1", 9, 0.0, "USD"),
    )
    found = entries(CPA, events, credits_of(("C1", "P3", 1.0), ("C2", "P3", 1.0)), moved)
    above = found[found["level"] == 2]
    assert above[["challenge_id", "partner_id"]].to_numpy().tolist() == [["C1", "P1"], ["C2", "P2"]]


def test_a_new_version_of_a_plan_binds_sales_from_then_on() -> None:
    newer = "[[versions]]\nversion = 2\neffective_from = 2026-01-15T12:00:00Z\n[versions.purchase]\npercent = 30\n"
    plans = Plans({"cpa": read_plan(f'id = "cpa"\n{HEAD}[versions.purchase]\npercent = 20\n{newer}')})
    events = events_of(("e1", "purchase", "C1", 4.999, 100.0, "USD"), ("e2", "purchase", "C2", 5, 100.0, "USD"))
    found = entries(plans, events, credits_of(("C1", "P1", 1.0), ("C2", "P1", 1.0)), tree_of(P1=(None, "cpa")))
    assert found[["amount", "plan_version"]].to_numpy().tolist() == [[20.0, 1], [30.0, 2]]


def test_a_hold_keeps_back_what_could_be_paid_and_nothing_else() -> None:
    """What was paid and is owed back of it stand; what is due, what was taken back of that, and its override wait."""
    events = events_of(
        ("e1", "purchase", "C1", 0, 100.0, "USD"),
        ("e2", "purchase", "C2", 1, 200.0, "USD"),
        ("e3", "purchase", "C3", 2, 300.0, "USD"),
        ("e4", "purchase", "C4", 320, 400.0, "USD"),
        ("r1", "refund", "C1", 100, 50.0, "USD"),
        ("r2", "refund", "C2", 100, 50.0, "USD"),
        ("e5", "purchase", "C5", 355, 500.0, "USD"),
    )
    plans = plan_of("cpa", "[versions.purchase]\npercent = 10\n[versions.overrides]\npercents = [50]\n")
    tree = tree_of(P1=(None, "cpa"), P2=("P1", "cpa"))
    credits = credits_of(*((f"C{n}", "P2" if n == 3 else "P1", 1.0) for n in (1, 2, 3, 4, 5)))
    at = pd.to_datetime([START + dt.timedelta(days=90)], utc=True).astype("datetime64[us, UTC]")
    sent = pd.DataFrame({"partner_id": ["P1"], "amount": [10.0], "currency": ["USD"], "settled_at": at})
    found = settle(events, credits, tree, plans, START + dt.timedelta(days=365), rates=NO_RATES, transfers=sent).entries
    held = on_hold(found, ["P1"])

    def told(entries: pd.DataFrame) -> dict[tuple[str, str], str]:
        return dict(zip(zip(entries["event_id"], entries["partner_id"], strict=True), entries["state"], strict=True))

    before = {
        ("e1", "P1"): "paid", ("r1", "P1"): "payable", ("e2", "P1"): "payable", ("r2", "P1"): "payable",
        ("e3", "P1"): "payable", ("e3", "P2"): "payable", ("e4", "P1"): "held", ("e5", "P1"): "accrued",
    }  # fmt: skip
    assert told(found) == before
    waits = {("e2", "P1"), ("r2", "P1"), ("e3", "P1"), ("e4", "P1")}
    assert told(held) == before | dict.fromkeys(waits, "held")
    because = held["held_because"].eq("on hold")
    assert set(zip(held["event_id"][because], held["partner_id"][because], strict=True)) == waits
    assert held["amount"].tolist() == found["amount"].tolist()


def test_a_dry_run_says_who_gains_and_who_loses() -> None:
    changed = plan_of("cpa", "[versions.purchase]\npercent = 15\n[versions.overrides]\npercents = [50]\n")
    found = dry_run(SALE, credits_of(("C1", "P3", 1.0)), CHAIN, CPA, changed, LATER, rates=NO_RATES)
    assert dict(zip(found["partner_id"], found["difference"], strict=True)) == {
        "P3": pytest.approx(-24.95),
        "P1": pytest.approx(-4.99),
        "P2": pytest.approx(37.43 - 9.98),
    }


def test_a_dry_run_weighs_losses_of_several_currencies_by_what_they_are_worth() -> None:
    """A loss of 2,000 yen is less than one of 20 euro; what no rate is known for comes last."""
    events = events_of(
        ("e1", "purchase", "C1", 0, 40_000.0, "JPY"),
        ("e2", "purchase", "C2", 0, 400.0, "EUR"),
        ("e3", "purchase", "C3", 0, 90_000.0, "XYZ"),
        ("e4", "purchase", "C4", 0, 200.0, "USD"),
    )
    credits = credits_of(*((f"C{n}", f"P{n}", 1.0) for n in (1, 2, 3, 4)))
    tree = tree_of(**{f"P{n}": (None, "cpa") for n in (1, 2, 3, 4)})
    days = [dt.date(2025, 1, 1), dt.date(2025, 1, 1), dt.date(2026, 1, 1)]
    rates = pd.DataFrame({"currency": ["JPY", "EUR", "EUR"], "day": days, "rate_to_usd": [0.0065, 0.01, 1.1]})
    changed = plan_of("cpa", "[versions.purchase]\npercent = 15\n")
    found = dry_run(events, credits, tree, CPA, changed, LATER, rates=rates)
    assert found["partner_id"].tolist() == ["P2", "P1", "P4", "P3"]
    assert found["difference"].tolist() == pytest.approx([-20.0, -2000.0, -10.0, -4500.0])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "no rate"),
        ("[versions.purchase]\nrepeat_percent = 50\n", "no rate"),
        ("[versions.overrides]\npercents = [0]\n", "no rate"),
        ('[versions.purchase]\npercent = 20\n[versions.overrides]\nof = "fee"\n', "overrides: no rate"),
        ("[versions.purchase]\npercent = 20\namount = 5\n", "exactly one"),
        ("[versions.purchase]\npercent = 101\n", "within 0 and 100"),
        ("[versions.purchse]\npercent = 1\n", "unknown purchse"),
        ("[versions.funded]\namount = 0\n", "above zero"),
        ("[versions.tiers]\nsteps = [{ from = 1, percent = 2 }]\n", "tiers raise"),
    ],
)
def test_a_plan_that_cannot_be_used_is_refused_with_the_field(body: str, words: str) -> None:
    with pytest.raises(PlanRefused, match=words):
        read_plan(f'id = "p"\n{HEAD}{body}')


def test_a_plan_whose_file_breaks_or_goes_holds_on_and_a_changed_version_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Otherwise a slip of the pen would take back all that a plan's partners ever earned."""
    file, house = tmp_path / "plans" / "p.toml", Warehouse.open(tmp_path / "home")
    file.parent.mkdir()
    monkeypatch.setenv("HIGHWATER_PLANS", str(file.parent))
    good = f'id = "p"\n{HEAD}[versions.purchase]\npercent = 5\n'
    later = "[[versions]]\nversion = 2\neffective_from = 2019-01-01T00:00:00Z\n[versions.purchase]\npercent = 9\n"
    with house.database.begin() as database:
        file.write_text(good, encoding="utf-8")
        keep(database, in_force(database))
        for broken in (good + later, "id = [", None):
            file.unlink() if broken is None else file.write_text(broken, encoding="utf-8")
            held = in_force(database)
            assert held.known["p"].versions == read_plan(good).versions
            assert held.remarks[0].startswith("commission plan p: no file that can be read holds it any more")
            keep(database, held)
        file.write_text(good.replace("percent = 5", "percent = 6"), encoding="utf-8")
        told = in_force(database).remarks
        assert told[0].startswith("commission plan p: version 1 was changed or taken away")
    house.database.dispose()


def test_what_was_sent_beyond_what_was_earned_is_named() -> None:
    sent = sent_of((1, 500.0))
    log = settle(SALE, credits_of(("C1", "P1", 1.0)), LONE, CPA, LATER, rates=NO_RATES, transfers=sent).log
    assert log == ["partners sent more than they have earned, which is set against what they earn next: P1 400.20 USD"]


def test_a_loop_of_the_tree_is_named_though_nobody_sold_in_it() -> None:
    tree = tree_of(P1=("P3", "cpa"), P2=("P1", "cpa"), P3=("P2", "cpa"), P4=(None, "cpa"))
    log = settle(SALE, credits_of(("C1", "P4", 1.0)), tree, CPA, LATER, rates=NO_RATES).log
    assert log == [
        "partner P1 is their own ancestor (P1 under P3 under P2 under P1): nothing is paid up the loop;"
        " correct the parent of one of them"
    ]


def test_a_refused_plan_is_named_and_the_others_stand(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(f'id = "bad"\n{HEAD}', encoding="utf-8")
    (tmp_path / "good.toml").write_text(f'id = "good"\n{HEAD}[versions.purchase]\npercent = 5\n', encoding="utf-8")
    plans = load_plans(tmp_path)
    assert list(plans.known) == ["good"]
    assert "no rate" in plans.refused["bad"]


def test_the_folder_can_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HIGHWATER_PLANS", str(tmp_path))
    assert plans_folder() == tmp_path


def test_the_plans_that_come_along_can_be_used() -> None:
    plans = load_plans()
    assert set(plans.known) >= {"cpa", "revshare", "hybrid", "tiered"}
    assert plans.refused == {}


# --- the pass against the running ledger ------------------------------------------------------------------------------

BODIES = {
    "sale": "[versions.purchase]\npercent = 17.5\nrepeat_percent = 33\n[versions.overrides]\npercents = [10, 5]\n",
    "fixed": "[versions.purchase]\namount = 12.5\n[versions.funded]\namount = 40\n"
    "[versions.profit_share]\npercent = 3\n",
    "share": "[versions.fee_share]\npercent = 9\nmonths = 2\n[versions.pass]\npercent = 1.25\n"
    '[versions.overrides]\npercents = [7, 3]\nof = "fee"\n',
    "marginal": TIERS.format(by='"fees"', mode='"marginal"', since=250) + "[versions.overrides]\npercents = [25]\n",
    "lifted": TIERS.format(by='"sales"', mode='"retroactive"', since=3) + "[versions.overrides]\npercents = [25]\n",
    "earned": TIERS.format(by='"funded"', mode='"retroactive"', since=1).replace("steps", 'period = "lifetime"\nsteps'),
    "kept": 'taken_back = ["purchase"]\n[versions.purchase]\npercent = 20\n[versions.first_payout]\npercent = 10\n',
    "forgiven": "negative_carry = false\n[versions.purchase]\npercent = 20\n[versions.profit_share]\npercent = 10\n"
    "[versions.overrides]\npercents = [10]\n",
}
EVERY = Plans({name: read_plan(f'id = "{name}"\n{HEAD}{HOLD}{body}', name) for name, body in BODIES.items()})
NAMES = ["P1", "P2", "P3", "P4"]
MILESTONE = ("pass", "funded", "first_payout", "profit_share")


@st.composite
def firms(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, str], dict[str, Any], list[Happening]]:
    """Partners in any tree (loops too), sales with one to three credited partners, and what happens to them."""
    plans = {name: draw(st.sampled_from([*BODIES, "missing"])) for name in NAMES}
    parents = {name: parent for name in NAMES if (parent := draw(st.sampled_from([None, *NAMES]))) is not None}
    credits: dict[str, list[tuple[str, Fraction]]] = {}
    told: list[Happening] = []
    for number in range(draw(st.integers(1, 9))):
        challenge, trader = f"C{number}", draw(st.sampled_from(["T1", "T2", "T3"]))
        among = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
        part = Fraction(draw(st.sampled_from([250_000, 333_334, 500_000])), 1_000_000)
        rest = 1 - part if len(among) == 2 else (1 - part) / 2
        shares = [Fraction(1)] if len(among) == 1 else [part, rest, rest]
        credits[challenge] = list(zip(among, shares, strict=False))
        at = START + dt.timedelta(days=draw(st.integers(0, 100)), seconds=number)
        fee = draw(st.sampled_from([0, 1, 4999, 10_000, 25_001, 59_950]))
        told.append(Happening(f"{challenge}p", "purchase", challenge, trader, at, fee))
        for kind in draw(st.lists(st.sampled_from(MILESTONE), unique=True, max_size=3)):
            cents = draw(st.sampled_from([-1234, 7777])) if kind == "profit_share" else 0
            days = dt.timedelta(days=draw(st.integers(1, 60)))
            told.append(Happening(f"{challenge}{kind}", kind, challenge, trader, at + days, cents))
        for place in range(draw(st.integers(0, 2))):
            kind = draw(st.sampled_from(["refund", "chargeback"]))
            cents = draw(st.sampled_from([1, fee // 3, fee, fee + 500]))
            days = dt.timedelta(days=draw(st.integers(0, 60)), microseconds=1)
            told.append(Happening(f"{challenge}r{place}", kind, challenge, trader, at + days, cents))
    order = {"purchase": 0, "stage_pass": 1, "pass": 2, "funded": 3, "first_payout": 4, "profit_share": 6}
    told.sort(key=lambda one: (one.at, order.get(one.kind, 8 if one.kind == "refund" else 9), one.event_id))
    return plans, parents, credits, told


def both(firm: Any, upto: int, as_of: dt.datetime = LATER, **more: Any) -> tuple[Ledger, pd.DataFrame]:
    """The running ledger after a firm's first events, and what the pass settles of the same events in any order."""
    plans, parents, credits, told = firm
    ledger = Ledger(EVERY, plans, parents, credits)
    for one in told[:upto]:
        ledger.add(one)
    events = pd.DataFrame(
        [(e.event_id, e.kind, e.challenge_id, e.trader_id, e.at, e.cents / 100, "USD") for e in told[:upto]],
        columns=["event_id", "kind", "challenge_id", "trader_id", "happened_at", "amount", "currency"],
    ).astype({"happened_at": "datetime64[us, UTC]"})
    given_to = [(c, partner, float(share)) for c, held in credits.items() for partner, share in held]
    tree = tree_of(**{name: (parents.get(name), plans[name]) for name in NAMES})
    shuffled = events.sample(frac=1, random_state=1)
    return ledger, entries(EVERY, shuffled, credits_of(*given_to), tree, as_of, **more)


SENT = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.integers(20, 200).map(lambda days: START + dt.timedelta(days=days, hours=1)),
        st.sampled_from([500, 875, 1999, 2000, 4375, 5000, 10_000, 30_000]),
    ),
    max_size=8,
).map(lambda sent: sorted(sent, key=lambda one: one[1]))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(firms(), SENT, st.sampled_from([15, 40, 75, 110, 150, 300]))
def test_from_the_start_equals_the_running_ledger_to_the_cent(firm: Any, sent: Any, days: int) -> None:
    """Every entry, its amount and the state that a reckoning instant by instant gives it."""
    as_of = START + dt.timedelta(days=days, hours=2)
    upto = sum(one.at <= as_of for one in firm[3])
    transfers = pd.DataFrame(sent, columns=["partner_id", "settled_at", "amount"]).assign(currency="USD")
    transfers["settled_at"] = pd.to_datetime(transfers["settled_at"], utc=True).astype("datetime64[us, UTC]")
    transfers["amount"] = transfers["amount"].astype("float64") / 100
    ledger, found = both(firm, upto, as_of, transfers=transfers)
    cents = (found["amount"] * 100).round().astype(int)
    columns = (found[name] for name in ("partner_id", "event", "level"))
    settled = zip(*columns, found["challenge_id"].fillna(""), cents, found["state"], strict=True)
    reckoned = [
        (line.partner, line.event, line.level, line.challenge, line.cents, state)
        for line, state in states(ledger, sent, as_of)
    ]
    assert sorted(settled) == sorted(reckoned)


@pytest.mark.parametrize(
    ("fees", "amount", "challenge"),
    [((100,), 30, "C1"), ((100, 50), 50, "C2"), ((100, 50), 49.99, None), ((50, 50), 50, None), ((100, 0), 30, "C1")],
)
def test_a_refund_without_a_challenge_finds_the_only_one_it_can_be_of(
    fees: tuple[int, ...], amount: float, challenge: str | None
) -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema staging")
        connection.execute(
            "create table staging.payments as select 'R' as payment_id, 'T' as trader_id, 'refund' as kind,"
            " null::varchar as challenge_id, ?::decimal(18, 8) as amount, 'USD' as currency,"
            " timestamptz '2026-02-01' as occurred_at",
            [amount],
        )
        connection.execute(
            "create table staging.challenges (challenge_id varchar, trader_id varchar, fee decimal(18, 8),"
            " currency varchar, purchased_at timestamptz)"
        )
        rows = [(f"C{n}", "T", fee, "USD", dt.datetime(2026, 1, n, tzinfo=dt.UTC)) for n, fee in enumerate(fees, 1)]
        late = ("C9", "T", amount, "USD", dt.datetime(2026, 2, 2, tzinfo=dt.UTC))
        connection.executemany("insert into staging.challenges values (?, ?, ?, ?, ?)", [*rows, late])
        found = connection.execute(relations.text("facts.returned_fees")).fetchall()
    assert [row[2] for row in found] == [challenge]


@pytest.mark.parametrize("challenge", ["C1", None])
def test_a_dispute_that_was_corrected_down_to_nothing_is_none(challenge: str | None) -> None:
    """A firm that wins one tells it anew with nothing; the partner's page had still counted it as a chargeback."""
    with duckdb.connect() as connection:
        connection.execute("create schema staging")
        connection.execute(
            "create table staging.payments as select unnest(['R', 'W']) as payment_id, 'T' as trader_id,"
            " 'chargeback' as kind, ?::varchar as challenge_id, unnest([30.0, 0.0])::decimal(18, 8) as amount,"
            " 'USD' as currency, timestamptz '2026-02-01' as occurred_at",
            [challenge],
        )
        connection.execute(
            "create table staging.challenges as select 'C1' as challenge_id, 'T' as trader_id,"
            " 30::decimal(18, 8) as fee, 'USD' as currency, timestamptz '2026-01-01' as purchased_at"
        )
        found = connection.execute(relations.text("facts.returned_fees")).fetchall()
    assert [(row[0], row[2]) for row in found] == [("R", "C1")]
