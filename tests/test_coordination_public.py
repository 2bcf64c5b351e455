"""Protects: what clocks, prices, bars and a leader's own company explain is not taken for copying."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from models.coordination import Coordination, CoordinationTerms, find_coordination, pair_evidence
from models.coordination.circumstances import COLUMNS, EXITS_TELL, LOTS_TELL
from models.coordination.clocks import _difference, clock_differences
from models.coordination.entries import sort_entries
from models.coordination.lags import order_odds, typical_lag
from models.coordination.likeness import lots_together
from models.coordination.strength import _lag, _order, _same_leader, weigh
from tests.test_coordination import OPEN_S, flagged, plan, strangers, trades_of

Floats = NDArray[np.float64]


def search(frames: list[pd.DataFrame], platforms: dict[str, str] | None = None) -> Coordination:
    """The search over these accounts, each on a platform."""
    trades = pd.concat(frames, ignore_index=True)
    ids = trades["account_id"].unique()
    accounts = pd.DataFrame({"account_id": ids, "platform": [(platforms or {}).get(one, "mt5") for one in ids]})
    return find_coordination(trades, owners={}, accounts=accounts if platforms is not None else None)


def late(frame: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """The same trades as a clock shows them that is ahead."""
    shift = pd.to_timedelta(seconds, unit="s")
    return frame.assign(opened_at=frame["opened_at"] + shift, closed_at=frame["closed_at"] + shift)


def bar_robots(rng: np.random.Generator, count: int) -> list[pd.DataFrame]:
    """Robots of strangers that enter within a second of the same bars, each on its own choice of them."""
    bars = np.sort(rng.choice(np.arange(0, OPEN_S, 900), 400, replace=False)).astype(float)
    up = rng.random(400) < 0.5
    out = []
    for k in range(count):
        on = rng.random(400) < 0.25
        at = bars[on] + rng.exponential(0.3, int(on.sum()))
        out.append(trades_of(f"bar{k:02d}", at, rng.exponential(3000, len(at)) + 60, up[on]))
    return out


@pytest.mark.parametrize("ahead_s", [-2.5, 1.2, 3.0])
def test_a_platform_whose_clock_is_off_is_corrected_and_the_leader_stays_right(ahead_s: float) -> None:
    rng = np.random.default_rng(31)
    at, held, buy = plan(rng, 40)
    frames = [*strangers(rng, 40), *bar_robots(rng, 40), trades_of("leader", at, held, buy)]
    frames.append(trades_of("follower", at + 0.8 + 0.02 * rng.normal(size=40), held, buy))
    names = [str(frame["account_id"].iloc[0]) for frame in frames]
    platforms = {name: "mt4" if k % 2 else "mt5" for k, name in enumerate(names)}
    platforms |= {"leader": "mt4", "follower": "mt5"}
    seen = [
        late(frame, ahead_s) if platforms[name] == "mt4" else frame for frame, name in zip(frames, names, strict=True)
    ]
    found = search(seen, platforms)
    told = [
        abs(float(line.split(" are ")[1].split(" s ")[0])) for line in found.log if line.startswith("the clocks of")
    ]
    assert told == pytest.approx([abs(ahead_s)], abs=0.15)
    assert ("follower", "leader", "copy", "leader") in flagged(found)
    pair = found.pairs[(found.pairs["account_a"] == "follower") & (found.pairs["account_b"] == "leader")]
    assert pair["lag_ms"].tolist() == pytest.approx([800], abs=150)


def test_followers_who_are_always_late_do_not_pass_for_a_clock() -> None:
    rng = np.random.default_rng(32)
    frames = strangers(rng, 60)
    platforms: dict[str, str] = {}
    for k in range(6):
        at, held, buy = plan(rng, 40)
        frames += [trades_of(f"l{k}", at, held, buy), trades_of(f"f{k}", at + 2.0, held, buy)]
        platforms |= {f"l{k}": "mt5", f"f{k}": "mt4"}
    found = search(frames, platforms)
    assert not any("were corrected" in line for line in found.log)
    assert any("clocks of mt4 could not be compared" in line for line in found.log)
    assert {leader for *_, leader in flagged(found)} == {f"l{k}" for k in range(6)}


def test_orders_that_wait_at_the_same_prices_are_no_copies_even_with_equal_targets() -> None:
    rng = np.random.default_rng(33)
    touched = np.sort(rng.uniform(0, OPEN_S, 300))
    up, held = rng.random(300) < 0.5, rng.exponential(3000, 300) + 60
    waiting = []
    for k in range(30):
        on = rng.random(300) < 0.15
        at = touched[on] + rng.exponential(0.2, int(on.sum()))
        waiting.append(trades_of(f"level{k:02d}", at, held[on], up[on]))
    assert flagged(search([*strangers(rng, 60), *waiting])) == []


def test_prices_that_go_to_and_fro_do_not_make_a_lag() -> None:
    rng = np.random.default_rng(34)
    first = np.sort(rng.uniform(0, OPEN_S, 120))
    visits = np.sort(np.concatenate([first + 60 * k + rng.uniform(0, 60, 120) for k in range(6)]))
    accounts = []
    for k in range(14):
        on = rng.random(len(visits)) < 0.12
        at = visits[on] + rng.exponential(0.2, int(on.sum()))
        accounts.append(
            trades_of(f"visit{k:02d}", at, rng.exponential(2000, len(at)) + 60, np.ones(len(at), dtype=bool))
        )
    assert flagged(search([*strangers(rng, 60), *accounts])) == []


def test_two_robots_on_the_same_bars_with_equal_exits_are_no_ring_but_a_slow_hand_behind_one_is() -> None:
    rng = np.random.default_rng(35)
    at = np.sort(rng.choice(np.arange(0, OPEN_S, 300), 80, replace=False)).astype(float)
    held, buy = rng.exponential(3000, 80) + 60, rng.random(80) < 0.5
    robots = [trades_of(f"ea{k}", at + 0.2 + k * 0.4 + rng.exponential(0.05, 80), held, buy) for k in range(2)]
    assert flagged(search([*strangers(rng, 60), *robots])) == []
    slow = trades_of("slow", at + 20 + rng.normal(0, 2, 80), held, buy)
    assert flagged(search([*strangers(rng, 60), robots[0], slow])) == [("ea0", "slow", "copy", "ea0")]


@pytest.mark.parametrize(
    ("answer_s", "lag_s", "stray_s", "copies"),
    [(6.0, 0.3, 0.05, True), (6.0, 1.2, 0.1, True), (6.0, 0.3, 3.0, False), (3.0, 0.3, 0.05, False)],
    ids=["0.3 s behind", "1.2 s behind", "each in his own time", "one first tick"],
)
def test_who_repeats_how_another_strays_from_the_bar_follows_the_other_and_not_the_bar(
    answer_s: float, lag_s: float, stray_s: float, copies: bool
) -> None:
    """People answer a closed candle within seconds: two who do are no copiers, who is as late each time is one; robots
    wait for the first tick together."""
    rng = np.random.default_rng(46)
    bars = np.sort(rng.choice(np.arange(0, OPEN_S, 900), 60, replace=False)).astype(float)
    at = bars + answer_s * np.exp(0.5 * rng.normal(size=60))
    behind = at + lag_s + stray_s * rng.normal(size=60)
    up, held = rng.random(60) < 0.5, rng.exponential(3000, 60) + 60
    frames = [trades_of("leader", at, held, up), trades_of("follower", behind, rng.exponential(3000, 60) + 60, up)]
    found = search([*strangers(rng, 40), *frames])
    assert flagged(found) == ([("follower", "leader", "copy", "leader")] if copies else [])


def test_closing_always_after_the_leader_counts_for_a_follower_whose_exits_stray() -> None:
    rng = np.random.default_rng(36)
    at, held, buy = plan(rng, 60)
    frames = [trades_of("leader", at, held, buy)]
    for k, lag in enumerate((3.0, 9.0)):
        frames.append(
            trades_of(f"f{k}", at + lag * (1 + 0.1 * rng.normal(size=60)), held + rng.exponential(600, 60), buy)
        )
    led = {(a, b) for a, b, _, leader in flagged(search([*strangers(rng, 60), *frames])) if leader == "leader"}
    assert led == {("f0", "leader"), ("f1", "leader")}


def test_who_was_only_there_when_a_followers_leader_was_is_no_leader() -> None:
    rng = np.random.default_rng(37)
    touched = np.sort(rng.uniform(0, OPEN_S, 400))
    up = rng.random(400) < 0.5
    others = []
    for k in range(12):
        on = rng.random(400) < 0.2
        n = int(on.sum())
        others.append(
            trades_of(f"level{k:02d}", touched[on] + rng.exponential(0.2, n), rng.exponential(3000, n), up[on])
        )
    at, held = touched[::2] + rng.exponential(0.2, 200), rng.exponential(3000, 200) + 60
    leader = trades_of("leader", at, held, up[::2])
    follower = trades_of("follower", at + 12 * (1 + 0.05 * rng.normal(size=200)), held, up[::2])
    assert flagged(search([*strangers(rng, 60), *others, leader, follower])) == [
        ("follower", "leader", "copy", "leader")
    ]


def two_servers(rng: np.random.Generator, robots: int = 90) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A market on one platform with a follower .8 s behind a leader, and its accounts, on servers live-1 and live-2."""
    at, held, buy = plan(rng, 40)
    frames = [*strangers(rng, 20), *bar_robots(rng, robots), trades_of("leader", at, held, buy)]
    frames.append(trades_of("follower", at + 0.8 + 0.02 * rng.normal(size=40), held, buy))
    ids = [str(frame["account_id"].iloc[0]) for frame in frames]
    accounts = pd.DataFrame({"account_id": ids, "platform": "mt5", "server": ["live-1", "live-2"] * (len(ids) // 2)})
    assert accounts["server"].tolist()[-2:] == ["live-1", "live-2"], "the two are on different servers"
    return pd.concat(frames, ignore_index=True), accounts


def ahead_of(trades: pd.DataFrame, on: pd.Series, seconds: float) -> pd.DataFrame:
    """The trades as told where the clocks of the accounts `on` are ahead."""
    shown = trades["account_id"].isin(on)
    return pd.concat([late(trades[shown], seconds), trades[~shown]], ignore_index=True)


@pytest.mark.parametrize("ahead_s", [-1.5, 1.5])
def test_a_server_whose_clock_is_off_its_platforms_neither_hides_a_copier_nor_turns_who_leads(ahead_s: float) -> None:
    trades, accounts = two_servers(np.random.default_rng(61))
    trades = ahead_of(trades, accounts.loc[accounts["server"] == "live-2", "account_id"], ahead_s)
    found = find_coordination(trades, owners={}, accounts=accounts)
    assert any(line.startswith(f"the clocks of mt5 server live-2 are {ahead_s:+.1f}") for line in found.log)
    assert flagged(found) == [("follower", "leader", "copy", "leader")]
    sides = [trades[trades["account_id"] == one] for one in ("leader", "follower")]
    row = found.pairs[(found.pairs["account_a"] == "follower") & (found.pairs["account_b"] == "leader")]
    assert row["lag_ms"].tolist() == pytest.approx([800], abs=150)
    assert pair_evidence(*sides, market=trades, accounts=accounts).numbers["lag_ms"] == pytest.approx(800, abs=150)
    by_platform = pair_evidence(*sides, market=trades, accounts=accounts.drop(columns="server"))
    assert by_platform.numbers["lag_ms"] == pytest.approx(800 + 1000 * ahead_s, abs=50)


@pytest.mark.parametrize("seed", range(4))
def test_servers_of_one_platform_that_agree_are_not_set_apart(seed: int) -> None:
    """However many there are, and where each account has a server of its own."""
    rng = np.random.default_rng(seed)
    trades, accounts = two_servers(rng, 160)
    entries = sort_entries(trades, None, CoordinationTerms(), [])
    assert entries is not None
    for servers in (2, 4, 30, len(accounts)):
        drawn = rng.permutation(len(accounts)) % servers
        log: list[str] = []
        clocks = clock_differences(entries, accounts.assign(server=drawn.astype(str)), log)
        assert not clocks.ahead_s.any()
        assert not clocks.doubt_between(entries.accounts[:-1], entries.accounts[1:]).any()
        assert log == []


def test_a_server_of_few_accounts_or_an_unknown_one_shows_the_time_of_its_platform() -> None:
    trades, accounts = two_servers(np.random.default_rng(62))
    few, unknown = accounts["account_id"][1:20:2], accounts["account_id"][21:30:2]
    accounts.loc[accounts["server"] == "live-2", "platform"] = "mt4"
    accounts.loc[accounts["account_id"].isin(few), "server"] = "small"
    accounts.loc[accounts["account_id"].isin(unknown), "server"] = None
    trades = ahead_of(trades, accounts.loc[accounts["platform"] == "mt4", "account_id"], 1.2)
    entries = sort_entries(ahead_of(trades, few, 1.5), None, CoordinationTerms(), [])
    assert entries is not None
    log: list[str] = []
    clocks = clock_differences(entries, accounts, log)
    of_mt4 = clocks.ahead_s[accounts.loc[accounts["platform"] == "mt4", "account_id"]]
    assert of_mt4.nunique() == 1
    assert of_mt4.iloc[0] - clocks.ahead_s["leader"] == pytest.approx(1.2, abs=0.1)
    assert len(log) == 1, "only the platform was corrected"


def test_a_clock_is_read_right_where_crowds_are_larger_than_what_is_read_of_them() -> None:
    rng = np.random.default_rng(38)
    robots = bar_robots(rng, 320)
    ids = [str(frame["account_id"].iloc[0]) for frame in robots]
    accounts = pd.DataFrame({"account_id": ids, "platform": ["mt4" if k % 3 == 0 else "mt5" for k in range(320)]})
    seen = [late(frame, 0.5) if k % 3 == 0 else frame for k, frame in enumerate(robots)]
    entries = sort_entries(pd.concat(seen, ignore_index=True), None, CoordinationTerms(), [])
    assert entries is not None
    ahead = clock_differences(entries, accounts, []).ahead_s
    assert ahead[ids[0]] - ahead[ids[1]] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("latencies_s", "believed"), [(0.02, True), (0.4, False)])
def test_a_small_difference_of_clocks_is_believed_only_where_it_does_not_hang_on_who_is_there(
    latencies_s: float, believed: bool
) -> None:
    rng = np.random.default_rng(43)
    one, other = (codes.ravel().astype(np.int32) for codes in np.meshgrid(np.arange(12), np.arange(20)))
    gaps = 0.17 + latencies_s * (rng.normal(size=20)[other] - rng.normal(size=12)[one])
    found, doubt = _difference(one, other, gaps, np.full(len(gaps), 0.02), 1.0)
    assert (found != 0.0) == believed
    assert found == 0.0 or found == pytest.approx(0.17, abs=0.05)
    assert abs(found - 0.17) < 2 * doubt, "what is left wrong lies within what is said to be unknown"


def waiting(rng: np.random.Generator, touched: Floats, held: Floats, up: NDArray[np.bool_]) -> list[pd.DataFrame]:
    """Strangers whose orders wait at prices of their own choice."""
    out = []
    for k in range(30):
        on = rng.random(len(touched)) < 0.15
        at = touched[on] + rng.exponential(0.2, int(on.sum()))
        out.append(trades_of(f"level{k:02d}", at, held[on], up[on]))
    return out


def test_orders_at_the_same_prices_in_one_steady_order_are_no_copies_where_each_takes_others_too() -> None:
    rng = np.random.default_rng(39)
    touched = np.sort(rng.uniform(0, OPEN_S, 300))
    up, held = rng.random(300) < 0.5, rng.exponential(3000, 300) + 60
    pair = []
    for name, delay in (("quick", 0.1), ("slow", 0.6)):
        on = rng.random(300) < 0.35
        pair.append(trades_of(name, touched[on] + delay + 0.04 * rng.random(int(on.sum())), held[on], up[on]))
    assert flagged(search([*strangers(rng, 60), *waiting(rng, touched, held, up), *pair])) == []


def test_who_is_only_ever_at_a_price_when_its_leader_is_follows_that_leader() -> None:
    rng = np.random.default_rng(40)
    touched = np.sort(rng.uniform(0, OPEN_S, 300))
    up, held = rng.random(300) < 0.5, rng.exponential(3000, 300) + 60
    on = rng.random(300) < 0.3
    at = touched[on] + rng.exponential(0.2, int(on.sum()))
    pair = [trades_of("leader", at, held[on], up[on])]
    pair.append(trades_of("follower", at + 0.6 + 0.03 * rng.normal(size=len(at)), held[on], up[on]))
    assert ("follower", "leader", "copy", "leader") in flagged(
        search([*strangers(rng, 60), *waiting(rng, touched, held, up), *pair])
    )


def test_a_clock_of_whole_seconds_beside_a_fine_one_neither_hides_a_follower_nor_turns_its_order() -> None:
    rng = np.random.default_rng(41)
    at, held, buy = plan(rng, 60)
    leader = trades_of("leader", at, held, buy)
    follower = trades_of("follower", at + 0.3, held, buy)
    rounded = {name: (follower[name] + pd.Timedelta(seconds=0.5)).dt.floor("s") for name in ("opened_at", "closed_at")}
    found = flagged(search([*strangers(rng, 60), leader, follower.assign(**rounded)]))
    assert [(a, b) for a, b, *_ in found] == [("follower", "leader")]
    assert found[0][3] in ("leader", None)


def test_pair_evidence_tells_the_lag_of_the_table_where_clocks_differ() -> None:
    rng = np.random.default_rng(42)
    at, held, buy = plan(rng, 40)
    frames = [*bar_robots(rng, 40), trades_of("leader", at, held, buy), trades_of("follower", at + 4.0, held, buy)]
    ids = [str(frame["account_id"].iloc[0]) for frame in frames]
    platforms = {name: "mt4" if k % 2 else "mt5" for k, name in enumerate(ids)} | {"leader": "mt4", "follower": "mt5"}
    seen = [late(frame, 2.0) if platforms[name] == "mt4" else frame for frame, name in zip(frames, ids, strict=True)]
    market = pd.concat(seen, ignore_index=True)
    accounts = pd.DataFrame({"account_id": ids, "platform": [platforms[one] for one in ids]})
    pairs = find_coordination(market, owners={}, accounts=accounts).pairs
    row = pairs[(pairs["account_a"] == "follower") & (pairs["account_b"] == "leader")].iloc[0]
    sides = [market[market["account_id"] == one] for one in ("leader", "follower")]
    shown = pair_evidence(*sides, market=market, accounts=accounts)
    assert shown.numbers["lag_ms"] == pytest.approx(row["lag_ms"], abs=1)
    assert shown.numbers["lag_ms"] == pytest.approx(4000, abs=150)
    assert len(shown.matches) == row["matched"]
    assert shown.numbers["expected"] == pytest.approx(row["expected"])
    untold = pair_evidence(*sides, market=market)
    assert untold.numbers["lag_ms"] == pytest.approx(2000, abs=1)


def test_two_robots_of_one_kind_are_no_ring_where_strangers_wait_for_the_same_bars() -> None:
    rng = np.random.default_rng(43)
    bars = np.sort(rng.choice(np.arange(0, OPEN_S, 900), 300, replace=False)).astype(float)
    up, held = rng.random(300) < 0.5, rng.exponential(3000, 300) + 60
    kind = rng.random(300) < 0.3
    robots = [
        trades_of(f"ea{k}", bars[kind] + 0.2 + 0.3 * k + 0.04 * rng.random(int(kind.sum())), held[kind], up[kind])
        for k in range(2)
    ]
    assert flagged(search([*strangers(rng, 60), *waiting(rng, bars, held, up), *robots])) == []


def family(rng: np.random.Generator, members: int, taken: float = 0.9) -> list[pd.DataFrame]:
    """One robot on many accounts: each takes a share of its signals, has a latency of its own, and common exits."""
    at, up = np.sort(rng.uniform(0, OPEN_S, 120)), rng.random(120) < 0.5
    held = rng.lognormal(7, 0.8, 120)
    out = []
    for k in range(members):
        on = rng.random(120) < taken
        late = 0.2 * k + rng.exponential(0.02, int(on.sum()))
        out.append(trades_of(f"robot{k}", at[on] + late, held[on], up[on]))
    return out


def test_the_quickest_robot_of_a_family_leads_nobody() -> None:
    rng = np.random.default_rng(51)
    assert flagged(search([*strangers(rng, 60), *family(rng, 9)])) == []


def test_who_takes_just_the_signals_that_one_of_a_family_takes_follows_that_one() -> None:
    """The last of the family is as late and leaves with it too, but chooses for itself."""
    rng = np.random.default_rng(54)
    robots = family(rng, 9, taken=0.6)
    copier = late(robots[3], 1.0).assign(account_id="copier", trade_id=[f"c{i}" for i in range(len(robots[3]))])
    assert flagged(search([*strangers(rng, 60), *robots, copier])) == [("copier", "robot3", "copy", "robot3")]


def test_whole_seconds_take_nothing_from_the_lag() -> None:
    rng = np.random.default_rng(52)
    at, up, held = np.sort(rng.uniform(0, OPEN_S, 80)), rng.random(80) < 0.5, rng.lognormal(7, 0.8, 80)
    pair = [
        trades_of("leader", np.floor(at), np.floor(held), up),
        trades_of("follower", at + 5.3 + 0.1 * rng.normal(size=80), held, up),
    ]
    found = search([*strangers(rng, 60), *pair])
    assert ("follower", "leader", "copy", "leader") in flagged(found)
    lags = found.pairs.loc[found.pairs["account_b"].eq("leader") & found.pairs["account_a"].eq("follower"), "lag_ms"]
    assert abs(float(lags.iloc[0]) - 5300) <= 0.02 * 5300


@pytest.mark.parametrize("steps", [(1.0, 0.001), (0.001, 1.0)])
@pytest.mark.parametrize("lag_s", [0.4, -2.3])
def test_whole_seconds_close_in_on_a_lag_and_its_order(steps: tuple[float, float], lag_s: float) -> None:
    rng = np.random.default_rng(5)
    at = np.cumsum(rng.exponential(3000, 60))
    one, other = (
        np.floor(t / s) * s + s / 2 for t, s in zip((at, at + lag_s + rng.normal(0, 0.02, 60)), steps, strict=True)
    )
    lag, error, scale = typical_lag(other - one, *steps)
    assert lag == pytest.approx(lag_s, abs=0.04)
    assert 0 < error < 0.05
    assert np.sign(order_odds(other - one, *steps, lag, error, scale)) == np.sign(lag_s)


def test_matches_that_all_fall_into_one_second_name_no_order() -> None:
    lag, error, scale = typical_lag(np.zeros(8), 1.0, 1.0)
    assert abs(lag) < error
    assert abs(order_odds(np.zeros(8), 1.0, 1.0, lag, error, scale)) < 0.1


def test_one_slow_member_of_a_robot_family_is_not_taken_for_a_clock() -> None:
    """Drawn anew it is mostly there, and whoever meets it is as late; without it nothing stands out."""
    rng = np.random.default_rng(44)
    one = np.concatenate([np.arange(10), np.arange(10, 20)]).astype(np.int32)
    other = np.concatenate([np.full(10, 30), np.arange(31, 41)]).astype(np.int32)
    gaps = np.concatenate([rng.normal(0.53, 0.05, 10), rng.uniform(-2.0, 2.0, 10)])
    found, doubt = _difference(one, other, gaps, np.full(20, 0.15), 1.0)
    assert found == 0.0
    assert doubt > 0.4
    everybody = np.arange(30, 50).astype(np.int32)
    found, _ = _difference(np.arange(20).astype(np.int32), everybody, np.repeat(gaps[:10], 2), np.full(20, 0.15), 1.0)
    assert found == pytest.approx(0.53, abs=0.1), "as many of whom each meets one other tell a clock"


@pytest.mark.parametrize("known", [False, True])
def test_who_copies_himself_from_one_platform_to_another_does_not_tell_their_clocks(known: bool) -> None:
    rng = np.random.default_rng(45)
    frames = []
    for k in range(16):
        at, up = np.sort(rng.uniform(0, OPEN_S, 60)), rng.random(60) < 0.5
        frames += [
            trades_of(f"{k:02d}{side}", at + late_s, np.full(60, 900.0), up)
            for side, late_s in (("a", 0.0), ("b", 0.8))
        ]
    trades = pd.concat(frames, ignore_index=True)
    accounts = pd.DataFrame({"account_id": trades["account_id"].unique()})
    accounts["platform"] = np.where(accounts["account_id"].str.endswith("b"), "mt4", "mt5")
    accounts["trader_id"] = accounts["account_id"].str[:2] if known else None
    entries = sort_entries(trades, None, CoordinationTerms(), [])
    assert entries is not None
    assert clock_differences(entries, accounts, []).ahead_s.any() != known


def test_a_clock_of_whole_seconds_that_is_ahead_by_half_of_one_is_corrected() -> None:
    rng = np.random.default_rng(17)
    frames: list[pd.DataFrame] = []
    for _ in range(3):
        told, up = np.sort(rng.uniform(0, OPEN_S, 80)), rng.random(80) < 0.5
        for k in range(16):
            on = rng.random(80) < 0.7
            at = told[on] + rng.gamma(1.5, 0.1) + rng.exponential(0.1, int(on.sum()))
            shown = np.floor(at + 0.56) if k % 2 else at
            frames.append(
                trades_of(f"t{len(frames):02d}{'c' if k % 2 else 'f'}", shown, np.full(len(at), 900.0), up[on])
            )
    trades = pd.concat([*frames, *strangers(rng, 10)], ignore_index=True)
    ids = pd.Series(trades["account_id"].unique())
    accounts = pd.DataFrame({"account_id": ids, "platform": np.where(ids.str.endswith("c"), "mt4", "mt5")})
    entries = sort_entries(trades, None, CoordinationTerms(), [])
    assert entries is not None
    ahead = clock_differences(entries, accounts, []).ahead_s
    told_s = ahead[ids[ids.str.endswith("c")]].iloc[0] - ahead[ids[~ids.str.endswith("c")]].iloc[0]
    assert told_s == pytest.approx(0.56, abs=0.15)


def test_four_loose_readers_of_one_who_trades_his_own_signals_are_no_ring() -> None:
    rng = np.random.default_rng(3)
    at, up = np.sort(rng.uniform(0, OPEN_S, 60)), rng.random(60) < 0.5
    held = rng.exponential(3000, 60) + 300
    frames = [*strangers(rng, 30), trades_of("provider", at, held, up)]
    for k in range(5):
        on = rng.random(60) < 0.8
        late, later = 6.0 * rng.lognormal(0, 0.5, (2, int(on.sum())))
        frames.append(trades_of(f"reader{k}", at[on] + late, held[on] - late + later, up[on]))
    found = search(frames)
    assert flagged(found) == []
    assert "ring" not in found.rings["kind"].tolist()


@pytest.mark.parametrize("seed", [42, 53])
def test_readers_of_a_room_of_whom_some_keep_its_exits_are_no_ring(seed: int) -> None:
    """Few of them act at most signals, so that among many pairs a few meetings look steady."""
    rng = np.random.default_rng(seed)
    at, held, buy = plan(rng, 80)
    readers = []
    for k in range(14):
        on = rng.random(80) < rng.uniform(0.15, 0.6)
        delay = rng.lognormal(3.2, 0.6) * np.exp(rng.normal(0, 0.5, int(on.sum())))
        own = held[on] * rng.lognormal(0, 0.6, len(delay)) if k % 2 else held[on] + rng.normal(0, 1.5, len(delay))
        readers.append(trades_of(f"reader{k:02d}", at[on] + delay, own.clip(5), buy[on]))
    assert flagged(search([*strangers(rng, 60), *readers])) == []


@pytest.mark.parametrize(("doubt_s", "worth"), [(0.02, 1.5), (0.7, -4.0)])
def test_one_order_is_none_where_clocks_may_differ_by_more_than_the_lag(doubt_s: float, worth: float) -> None:
    """Strangers act at the same moments here, and exits go together: one price may have done it."""
    seen = pd.DataFrame(0.0, index=[0], columns=list(COLUMNS))
    counts = {"matched": 12.0, "events": 12.0, "untied": 12.0, "untied_ahead": 1.0, "exits_together": 1.0}
    seen = seen.assign(**counts, lag_s=0.45, lag_error_s=0.02, lag_doubt_s=doubt_s, relation=0, log_p=-60.0)
    seen = seen.assign(same_order=1.0, passers=5.0, passers_usual=0.2, expected=0.1)
    assert _order(seen)[0] == pytest.approx(worth)


def test_what_is_surely_at_once_follows_nobody_whatever_clock_shows_it() -> None:
    """A hundred entries that whole seconds never part, as of two robots at one price, are not a lag that is hidden."""
    seen = pd.DataFrame(0.0, index=[0, 1], columns=list(COLUMNS))
    seen = seen.assign(matched=100.0, events=100.0, exits_together=1.0, exits_at_once=1.0, step_s=1.0, relation=0)
    seen = seen.assign(lag_s=[0.01, 0.3], lag_error_s=[0.02, 0.02], lag_doubt_s=0.02, log_p=-400.0, expected=1.0)
    surely, behind = _order(seen)
    assert surely == pytest.approx(-8.0)
    assert behind == pytest.approx(-1.0)


def test_exits_that_a_common_price_brings_near_do_not_excuse_a_lag_that_strays() -> None:
    """Two who see prices break leave near each other by equal stops; who was followed out repeats the lag."""
    seen = pd.DataFrame(0.0, index=[0, 1], columns=list(COLUMNS))
    seen = seen.assign(matched=20.0, events=20.0, lag_s=30.0, lag_spread_s=8.0, local_spread_s=8.0, exits_near=0.6)
    seen = seen.assign(exits_together=[0.1, 0.9], relation=0, log_p=-60.0, expected=0.5, together=20.0)
    seen = seen.assign(expected_within_horizon=0.5)
    broke, followed = _lag(seen)
    assert broke < -3.0
    assert followed == pytest.approx(0.0)


def test_matches_without_the_company_undo_what_it_says_and_no_more() -> None:
    """Two of a small family are often there without the third, which says nothing of who is ahead."""
    seen = pd.DataFrame(0.0, index=[0], columns=list(COLUMNS))
    seen = seen.assign(matched=120.0, events=120.0, alone=60.0, alone_expected=0.1, others=3.0, expected=0.1)
    seen = seen.assign(a=0, b=1, relation=0, log_p=-400.0, lag_s=0.3, lag_spread_s=0.3, together=120.0)
    seen = seen.assign(expected_within_horizon=0.1, lag_doubt_s=0.02, picked_log_p=0.0, picked_always=1.0)
    seen["silence_log_p"] = 0.0
    _, reasons = weigh(seen, np.array([False]), CoordinationTerms())
    assert reasons["without_others"][0] > 0.0
    assert (reasons["company"] + reasons["without_others"])[0] <= 1.5


def test_lots_are_set_beside_each_other_within_an_instrument() -> None:
    """Two strangers who always trade the same lots of each instrument have nothing in common by it."""
    instrument = np.repeat(np.arange(3, dtype=np.int32), 6)
    fixed = np.repeat([0.2, 1.0, 4.0], 6)
    assert np.isnan(lots_together(fixed, 2 * fixed, instrument)[0])
    varied = fixed * np.random.default_rng(5).choice([1.0, 2.0, 3.0], 18)
    together, known = lots_together(varied, 0.5 * varied, instrument)
    assert together == pytest.approx(1.0)
    assert known == 15
    assert np.isnan(lots_together(varied, fixed, instrument)[0])


def test_lots_and_exits_of_others_have_no_say_where_those_of_the_pair_do_not_go_together() -> None:
    """They are not read there (`LOTS_TELL`, `EXITS_TELL`), which must not change what any pair is worth."""
    rng = np.random.default_rng(8)
    count = 4_000
    seen = pd.DataFrame(rng.uniform(0, 1, (count, len(COLUMNS))), columns=list(COLUMNS))
    wide = ("matched", "events", "together", "others", "lag_s", "alone", "passers", "untied", "lots_known")
    for name in wide:
        seen[name] = rng.integers(0, 40, count).astype(float)
    seen["matched"] += 1.0
    seen["lag_doubt_s"] = seen["lag_error_s"]
    seen["picked_log_p"], seen["picked_always"] = rng.uniform(-20, 0, count), rng.uniform(0, 1, count)
    seen["silence_log_p"] = rng.uniform(-20, 0, count)
    seen["others"] = rng.integers(0, 9, count).astype(float)
    seen["a"], seen["b"], seen["relation"] = rng.integers(0, 50, count), 100, rng.integers(0, 2, count)
    seen["company_lots_known"] = rng.integers(0, 9, count).astype(float)
    seen["company_lots_alike"] = (seen["company_lots_known"] * rng.uniform(0, 1, count)).round()
    for name in ("expected", "expected_within_horizon"):
        seen[name] = rng.uniform(0, 1, count)
    seen["log_p"] = -rng.uniform(10, 80, count)
    unlike = seen.assign(
        lots_correlation=rng.uniform(-1, LOTS_TELL, count),
        holding_correlation=rng.uniform(-1, EXITS_TELL, count),
        exits_together=rng.uniform(0, EXITS_TELL, count),
    )
    of_others = ["company_lots_known", "company_lots_alike", "company_kept", "company_holding"]
    nobody, terms = np.zeros(count, dtype=bool), CoordinationTerms()
    for told, matters in ((seen, True), (unlike, False)):
        read = weigh(told, nobody, terms)[1]
        unread = weigh(told.assign(**dict.fromkeys(of_others, np.nan)), nobody, terms)[1]
        assert (not read.equals(unread)) is matters


@pytest.mark.parametrize(("closes_later_s", "pairs"), [(0.0, 0), (0.8, 1)])
def test_two_who_close_at_once_share_a_price_and_who_closes_as_late_as_it_opened_follows(
    closes_later_s: float, pairs: int
) -> None:
    rng = np.random.default_rng(7)
    at, held, buy = plan(rng, 40)
    late = 0.8 * rng.lognormal(0.0, 0.15, 40)
    closed = held + closes_later_s * rng.lognormal(0.0, 0.15, 40) + rng.normal(0.0, 0.05, 40)
    pair = [trades_of("first", at, held, buy), trades_of("second", at + late, closed - late, buy)]
    assert len(flagged(search([*strangers(rng, 60), *pair]))) == pairs


def test_who_mirrors_a_leader_that_many_read_is_not_taken_for_a_reader() -> None:
    seen = pd.DataFrame(0.0, index=range(7), columns=list(COLUMNS))
    seen = seen.assign(a=0, b=range(1, 8), lag_s=3.0, first_share=1.0, cover=1.0, matched=20.0, lag_spread_s=2.0)
    seen = seen.assign(local_spread_s=2.0, untied=20.0, same_order=1.0, lag_error_s=0.1, expected=0.1, log_p=-60.0)
    seen["relation"] = [0, 0, 0, 0, 0, 0, 1]
    worth = _same_leader(seen, np.where(seen["relation"] == 1, 4.0, 0.0), CoordinationTerms())
    assert worth.tolist() == [-5.0] * 6 + [0.0]
