"""The demo firm: what it writes is whole, adds up, repeats to the byte, and holds every planted kind."""

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models import catalogue
from pipelines.demo import write_demo
from pipelines.demo.engine import BREACHED_DAILY, BREACHED_MAX, PASSED, Engine, new_state
from pipelines.demo.market import DAY_MS, HOUR_MS, SYMBOL_INDEX, Market, build_market, daily_resets
from pipelines.demo.styles import blank
from pipelines.demo.terms import PRODUCT_FOLDER, read_products, stage_terms, version_at
from pipelines.demo.write import COLUMNS
from pipelines.land import land_paths
from pipelines.score import judge, judged_accounts, register_instruments, register_terms
from sql import relations
from sql.warehouse import Warehouse, newest_fact

pytestmark = pytest.mark.xdist_group("demo")  # its firm is made once
KEYS = {
    "desks": ["desk_id"],
    "traders": ["trader_id"],
    "challenges": ["challenge_id"],
    "accounts": ["account_id"],
    "deals": ["account_id", "deal_id"],
    "equity": ["account_id", "observed_at"],
    "logins": ["trader_id", "occurred_at", "ip"],
    "payments": ["payment_id"],
    "payouts": ["payout_id"],
    "partners": ["partner_id"],
    "clicks": ["click_id"],
    "settlements": ["settlement_id"],
    "consents": ["trader_id", "occurred_at"],
    "news": ["event_id"],
    "rates": ["currency", "day"],
}
REFERENCES = [
    ("challenges", "trader_id", "traders"),
    ("challenges", "desk_id", "desks"),
    ("challenges", "partner_id", "partners"),
    ("challenges", "click_id", "clicks"),
    ("accounts", "challenge_id", "challenges"),
    ("accounts", "trader_id", "traders"),
    ("consents", "trader_id", "traders"),
    ("deals", "account_id", "accounts"),
    ("equity", "account_id", "accounts"),
    ("logins", "trader_id", "traders"),
    ("logins", "account_id", "accounts"),
    ("payments", "challenge_id", "challenges"),
    ("payments", "trader_id", "traders"),
    ("payouts", "account_id", "accounts"),
    ("clicks", "partner_id", "partners"),
    ("settlements", "payout_id", "payouts"),
]
DETECTORS = {
    "account_passing", "latency_arbitrage", "tick_scalping", "news_straddling", "all_in", "martingale", "grid",
    "payout_gaming", "challenge_farming", "chargeback_abuse", "self_referral", "recurring_breaches", "kyc_mismatch",
    "inactivity",
}  # fmt: skip
JUDGED = [("accounts", ".csv"), ("challenges", ".csv"), ("deals", ".parquet"), ("equity", ".parquet")]
Feed = dict[str, pd.DataFrame]


def read_feed(folder: Path) -> Feed:
    """Every dataset of a feed folder, text as text."""
    feed = {path.stem: pd.read_csv(path, dtype=str, keep_default_na=False) for path in sorted(folder.glob("*.csv"))}
    return feed | {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A firm of 600 traders over 120 days."""
    out = tmp_path_factory.mktemp("demo")
    write_demo(out, traders=600, days=120, seed=11)
    return out


@pytest.fixture(scope="module")
def feed(folder: Path) -> Feed:
    """The datasets of that firm."""
    return read_feed(folder)


@pytest.fixture(scope="module")
def truth(folder: Path) -> dict[str, Any]:
    """The planted items of that firm."""
    said: dict[str, Any] = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return said


@pytest.fixture(scope="module")
def market() -> Market:
    """Thirty days of market."""
    return build_market(30, 3)


def digests(folder: Path) -> dict[str, str]:
    """A hash per file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        write_demo(tmp_path / name, traders=60, days=25, seed=seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "again")
    assert digests(tmp_path / "one")["deals.parquet"] != digests(tmp_path / "other")["deals.parquet"]


def test_datasets_have_the_contract_columns_and_unique_keys(feed: Feed) -> None:
    assert set(feed) == set(KEYS)
    for dataset, frame in feed.items():
        assert list(frame.columns) == list(COLUMNS[dataset]), dataset
        assert not frame.duplicated(KEYS[dataset]).any(), dataset
        assert frame[KEYS[dataset]].notna().all().all() and not (frame[KEYS[dataset]] == "").any().any(), dataset
        assert len(frame) > 0, dataset


def test_every_reference_finds_its_record(feed: Feed) -> None:
    for dataset, column, target in REFERENCES:
        held = set(feed[dataset][column]) - {""}
        assert held <= set(feed[target][KEYS[target][0]]), f"{dataset}.{column}"
    resets = set(feed["challenges"]["reset_of"]) - {""}
    assert resets and resets <= set(feed["challenges"]["challenge_id"])


def test_events_come_after_what_they_follow_from(feed: Feed) -> None:
    accounts = feed["accounts"].merge(feed["challenges"][["challenge_id", "purchased_at"]], on="challenge_id")
    opened, bought = pd.to_datetime(accounts["opened_at"]), pd.to_datetime(accounts["purchased_at"])
    assert (opened > bought).all()
    traders = feed["traders"].set_index("trader_id")["registered_at"]
    registered = pd.to_datetime(feed["challenges"]["trader_id"].map(traders))
    assert (pd.to_datetime(feed["challenges"]["purchased_at"]) > registered).all()
    deals = feed["deals"].merge(accounts[["account_id", "opened_at", "closed_at"]], on="account_id")
    assert (deals["executed_at"] >= pd.to_datetime(deals["opened_at"], format="ISO8601")).all()
    closed = pd.to_datetime(deals["closed_at"].replace("", None), format="ISO8601", utc=True)
    assert not (deals["executed_at"] > closed).any()


def test_balances_are_the_running_sum_of_the_deals(feed: Feed) -> None:
    deals = feed["deals"].sort_values("executed_at", kind="stable")
    deals["net"] = deals[["profit", "commission", "swap", "fee"]].sum(axis=1)
    deals["sum"] = deals.groupby("account_id")["net"].cumsum()
    told = deals[["account_id", "executed_at", "sum"]].rename(columns={"executed_at": "observed_at"})
    seen = pd.merge_asof(feed["equity"].sort_values("observed_at"), told, on="observed_at", by="account_id")
    assert (seen["sum"] - seen["balance"]).abs().max() < 0.005


def test_an_account_that_holds_nothing_has_its_balance_as_equity(feed: Feed) -> None:
    deals = feed["deals"].query("kind == 'trade'").sort_values("executed_at", kind="stable")
    lots = deals["volume"].where(deals["entry"] == "in", -deals["volume"])
    held = deals.assign(held=lots.groupby(deals["account_id"]).cumsum().round(6), observed_at=deals["executed_at"])
    told = held[["account_id", "observed_at", "held"]]
    seen = pd.merge_asof(feed["equity"].sort_values("observed_at"), told, on="observed_at", by="account_id")
    flat = seen[seen["held"].fillna(0) == 0]
    assert len(flat) > 100
    assert (flat["equity"] == flat["balance"]).all()
    assert (seen[seen["held"] > 0]["equity"] != seen[seen["held"] > 0]["balance"]).mean() > 0.95


def test_positions_close_what_they_opened_and_profit_follows_from_prices(feed: Feed) -> None:
    deals = feed["deals"].query("kind == 'trade'")
    signed = deals["volume"].where(deals["entry"] == "in", -deals["volume"])
    left = signed.groupby([deals["account_id"], deals["position_id"]]).sum().round(6)
    assert (left >= 0).all()
    assert (left > 0).mean() < 0.02
    gold = deals[deals["symbol"].str.startswith("XAUUSD") & deals["account_id"].isin(_in_dollars(feed))]
    opens = gold[gold["entry"] == "in"].set_index(["account_id", "position_id"])[["price", "side"]]
    outs = gold[gold["entry"] == "out"].join(opens, on=["account_id", "position_id"], rsuffix="_in")
    way = outs["side_in"].map({"buy": 1, "sell": -1})
    expected = (outs["price"] - outs["price_in"]) * way * outs["volume"] * 100
    assert (expected - outs["profit"]).abs().max() < 0.011


def _in_dollars(feed: Feed) -> set[str]:
    return set(feed["accounts"].query("currency == 'USD'")["account_id"])


def test_payouts_leave_the_account_and_reach_the_trader(feed: Feed) -> None:
    paid = feed["deals"].query("kind == 'balance' and profit < 0")
    asked = feed["payouts"].assign(amount=feed["payouts"]["amount"].astype(float))
    left = paid.groupby("account_id")["profit"].sum()
    wanted = asked.groupby("account_id")["amount"].sum()
    assert len(left) > 10
    assert (wanted[left.index] + left > -0.01).all()
    settled = feed["settlements"].query("status == 'settled' and payout_id != ''").merge(asked, on="payout_id")
    share = settled["amount_x"].astype(float) / settled["amount_y"]
    assert share.between(0.69, 0.91).all()
    assert len(asked) > len(paid), "some requests wait or were refused"


def test_the_funnel_is_believable(feed: Feed) -> None:
    accounts, challenges = feed["accounts"], feed["challenges"]
    evaluations = challenges[challenges["product"] != "instant"]
    funded = evaluations["challenge_id"].isin(accounts.query("stage == 'funded'")["challenge_id"]).mean()
    assert 0.07 < funded < 0.2
    buyers = evaluations["trader_id"].nunique()
    assert 0.1 < accounts.query("stage == 'funded'")["trader_id"].nunique() / buyers < 0.2
    paid = feed["payouts"][feed["payouts"]["payout_id"].isin(feed["settlements"]["payout_id"])]
    people = accounts[accounts["account_id"].isin(paid["account_id"])]["trader_id"].nunique()
    assert 0.03 < people / challenges["trader_id"].nunique() < 0.14
    assert len(challenges) > 1.2 * challenges["trader_id"].nunique()
    assert set(challenges["product"]) == {"two_step", "one_step", "instant", "futures_50k"}
    assert {"USD", "EUR", "JPY"} == set(accounts["currency"])


def test_the_last_days_leave_something_to_do(feed: Feed) -> None:
    waiting = feed["payouts"][~feed["payouts"]["payout_id"].isin(feed["settlements"]["payout_id"])]
    recent = pd.to_datetime(waiting["requested_at"], utc=True) > pd.Timestamp("2026-10-24", tz="UTC")
    assert recent.any()
    closed = pd.to_datetime(feed["accounts"]["closed_at"].replace("", None), utc=True, format="ISO8601")
    assert (closed > pd.Timestamp("2026-10-29T21:00", tz="UTC")).any()
    assert feed["deals"]["executed_at"].max() <= pd.Timestamp("2026-10-30T21:00", tz="UTC")


def test_every_kind_of_abuse_is_planted(truth: dict[str, Any]) -> None:
    assert {row["detector"] for row in truth["signals"]} == DETECTORS
    assert {pair["relation"] for pair in truth["copy_pairs"]} == {"copy", "mirror"}
    assert {pair["same_owner"] for pair in truth["copy_pairs"]} == {True, False}
    assert {one["kind"] for one in truth["shared_strategies"]} == {"robot", "signal_room"}
    kinds = {one["kind"] for one in truth["look_alikes"]}
    assert kinds >= {"household", "cafe", "vm_image", "same_robot", "signal_room", "news_crowd", "honest_retry"}
    assert kinds >= {"scale_in", "fast_manual", "swing", "traveller", "namesake", "own_accounts_copied"}
    assert len(truth["owners"]) >= 3 and all(len(one["traders"]) > 1 and one["how"] for one in truth["owners"])


def test_the_truth_speaks_of_records_that_exist(feed: Feed, truth: dict[str, Any]) -> None:
    ids = {name: set(feed[f"{name}s"][f"{name}_id"]) for name in ("account", "trader", "partner")}
    for row in truth["signals"]:
        assert row["subject_id"] in ids[row["subject_kind"]]
    for pair in truth["copy_pairs"] + truth["thin_pairs"]:
        assert {pair["leader"], pair["follower"]} <= ids["account"]
    for family in truth["shared_strategies"] + truth["rings"]:
        assert set(family["accounts"]) <= ids["account"]
    for one in truth["owners"] + truth["partners"]:
        assert set(one["traders"]) <= ids["trader"]
    for look_alike in truth["look_alikes"]:
        assert set(look_alike["ids"]) <= ids["trader"]


def test_planted_people_do_not_stand_out_by_their_numbers(truth: dict[str, Any]) -> None:
    accounts = [int(pair[side][1:]) for pair in truth["copy_pairs"] for side in ("leader", "follower")]
    assert max(accounts) > 300, "accounts are numbered as they open, not as they were planted"


def test_followers_trade_after_their_leader_with_the_lag_told(feed: Feed, truth: dict[str, Any]) -> None:
    deals = feed["deals"].query("entry == 'in'").assign(symbol=lambda d: d["symbol"].str.removesuffix(".a"))
    pairs = [pair for pair in truth["copy_pairs"] if pair["direct"]]
    for pair in pairs[:20]:
        leader = deals[deals["account_id"] == pair["leader"]].sort_values("executed_at")
        follower = deals[deals["account_id"] == pair["follower"]].sort_values("executed_at")
        lag = pd.Timedelta(milliseconds=2.5 * pair["lag_ms"] + 500)
        led = leader[["executed_at", "symbol", "side"]].assign(led_at=leader["executed_at"])
        both = pd.merge_asof(follower, led, on="executed_at", by="symbol", tolerance=lag, suffixes=("", "_led"))
        matched = both.dropna(subset=["led_at"])
        same = (matched["side"] == matched["side_led"]).mean()
        assert len(matched) >= 0.8 * pair["matched"]
        assert same > 0.7 if pair["relation"] == "copy" else same < 0.3


def test_too_small_a_firm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 50 traders"):
        write_demo(tmp_path, traders=49)
    with pytest.raises(ValueError, match="20 days"):
        write_demo(tmp_path, days=19)
    assert not list(tmp_path.iterdir())


def test_progress_ends_with_all_traders(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_demo(tmp_path, traders=50, days=20, progress=lambda done, whole: told.append((done, whole)))
    assert told[-1] == (50, 50)
    assert all(done <= whole for done, whole in told)


def test_the_rulebook_has_a_product_with_two_versions() -> None:
    products = read_products()
    assert max(len(versions) for versions in products.values()) >= 2
    assert {stage for versions in products.values() for one in versions for stage in one.stages} == {
        "evaluation_1",
        "evaluation_2",
        "funded",
        "instant",
    }


def one_trade(market: Market, at_ms: int, hold_ms: int, lots: float) -> np.ndarray[Any, Any]:
    """A plan of one EURUSD trade that the market rewards."""
    plan = blank(1)
    symbol = SYMBOL_INDEX["EURUSD"]
    places = np.array([symbol])
    rises = market.at(places, np.array([at_ms + hold_ms]))[0] > market.at(places, np.array([at_ms]))[0]
    plan["open_ms"], plan["close_ms"], plan["symbol"] = at_ms, at_ms + hold_ms, symbol
    plan["side"], plan["lots"], plan["stop"], plan["shown"] = 1 if rises else -1, lots, 1.0, 0
    return plan


def run_account(market: Market, plan: np.ndarray[Any, Any], **stage: Any) -> Any:
    """The life of a 100,000 USD account under the terms of one stage."""
    resets = daily_resets(market.start, market.end_ms, "Europe/Prague", "00:00", "fx")
    reviews = np.zeros((4, 2), dtype=np.int64) + np.array([DAY_MS, 0])
    return Engine(market).run(
        new_state(100_000.0, 2, 0)[0:1], stage_terms(stage, 100_000.0, 2), plan, resets, reviews, 0, market.end_ms
    )


def test_an_account_passes_at_its_target_and_not_a_cent_before(market: Market) -> None:
    at_ms = 4 * DAY_MS + 9 * HOUR_MS
    plan = one_trade(market, at_ms, 5 * HOUR_MS, 5.0)
    gain = float(run_account(market, plan).state["balance"]) - 100_000
    assert gain > 0
    passed = run_account(market, plan, profit_target={"amount": round(gain, 2)})
    missed = run_account(market, plan, profit_target={"amount": round(gain + 0.01, 2)})
    assert passed.state["outcome"] == PASSED
    assert missed.state["outcome"] == 0


def test_a_losing_account_is_liquidated_where_its_equity_was_seen_under_the_floor(market: Market) -> None:
    plan = one_trade(market, 4 * DAY_MS + 9 * HOUR_MS, 5 * HOUR_MS, 60.0)
    plan["side"] = -plan["side"]
    daily = run_account(market, plan, daily_loss={"reference": "balance", "base": "initial", "percent": 0.5})
    whole = run_account(market, plan, max_loss={"mode": "static", "base": "initial", "percent": 0.5})
    assert daily.state["outcome"] == BREACHED_DAILY
    assert whole.state["outcome"] == BREACHED_MAX
    for life in (daily, whole):
        assert life.seen["equity"][-1] < 99_500 <= life.seen["equity"][:-1].min()
        assert life.deals["at_ms"][-1] == life.state["ended_ms"] + 2000
        assert life.state["n_open"] == 0


def test_the_walk_agrees_with_the_firm_on_every_breach_and_every_pass(folder: Path, tmp_path: Path) -> None:
    """Two engines written apart judge the same firm: floors, targets, resets and payouts must come out alike."""
    warehouse = Warehouse.open(tmp_path / "home", f"sqlite:///{tmp_path / 'decided.db'}")
    judged = [folder / f"{name}{end}" for name, end in JUDGED]
    land_paths(warehouse, judged)
    with warehouse.engine() as connection:
        rulebook = catalogue.load(PRODUCT_FOLDER)
        register_terms(connection, rulebook)
        register_instruments(connection)
        relations.build(connection, "facts.accounts")
        accounts = judged_accounts(connection)
        as_of = newest_fact(connection)
        assert as_of is not None
        status = judge(connection, accounts, rulebook, as_of).status
    told = accounts.merge(status[["account_id", "status", "status_at"]], on="account_id")
    ended = told[told["status"].isin(("breached", "passed"))]
    wait = pd.to_datetime(ended["closed_at"], utc=True) - pd.to_datetime(ended["status_at"], utc=True)
    seconds = wait.dt.total_seconds().where(ended["status"] == "breached", wait.dt.total_seconds() / 18)
    assert len(ended) > 200
    assert (seconds == 5.0).all()
    moved_on = told.groupby("challenge_id")["opened_at"].transform("max") > told["opened_at"]
    assert (told[moved_on]["status"] == "passed").all()


def test_resets_follow_the_clock_change_and_rest_at_the_weekend() -> None:
    friday = datetime.fromisoformat("2026-10-23T00:00:00+00:00")
    midnight = daily_resets(friday, 7 * DAY_MS, "Europe/Prague", "00:00", "fx")
    evening = daily_resets(friday, 7 * DAY_MS, "America/New_York", "17:00", "cme")
    crypto = daily_resets(friday, 7 * DAY_MS, "Europe/Prague", "00:00", "crypto")
    assert (midnight / HOUR_MS).tolist() == [71, 95, 119, 143, 167]
    assert (evening / HOUR_MS).tolist() == [69, 93, 117, 141, 165]
    assert (crypto / HOUR_MS).tolist() == [22, 46, 71, 95, 119, 143, 167]


def test_the_terms_of_a_purchase_are_the_newest_in_force_at_its_instant() -> None:
    versions = read_products()["instant"]
    changes = versions[1].effective_from
    assert version_at(versions, changes) is versions[1]
    assert version_at(versions, changes - timedelta(microseconds=1)) is versions[0]


def test_most_agree_to_be_written_to_and_some_take_it_back(feed: Feed) -> None:
    said = feed["consents"].sort_values(["trader_id", "occurred_at"])
    newest = said.drop_duplicates("trader_id", keep="last").set_index("trader_id")["given"]
    changed = said.groupby("trader_id")["given"].agg(list)
    assert 0.4 < (newest == "yes").sum() / len(feed["traders"]) < 0.75
    assert set(map(tuple, changed)) == {("yes",), ("no",), ("yes", "no")}
