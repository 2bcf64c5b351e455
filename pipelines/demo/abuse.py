"""Abusive ways of trading, as entries: what each leaves in the deals, told in market terms."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.demo.engine import CLIENT, EXPERT
from pipelines.demo.market import DAY_MS, HOUR_MS, MINUTE_MS, SYMBOL_INDEX, Market, minute_move
from pipelines.demo.styles import NOTES, Style, blank, decide, entries, open_only, ordinary

Array = np.ndarray[Any, Any]


def latency_arbitrage(rng: np.random.Generator) -> Style:
    """Stale quotes taken: holds of a second or two, fills better than the market, hardly a loser."""
    base = ordinary(rng, futures=False)
    return replace(
        base, symbols=tuple(SYMBOL_INDEX[one] for one in ("XAUUSD", "US30")), per_day=14.0, hold_minutes=0.03,
        hold_spread=0.5, improve=float(rng.uniform(1.3, 2.0)), risk=0.0008, reason=EXPERT, magic=0, partial=0.0,
        chases_news=0.4, shown_stop=0.0, layers=1,
    )  # fmt: skip


def tick_scalping(rng: np.random.Generator) -> Style:
    """Dozens of trades a day held for seconds, each for a tick or two."""
    base = ordinary(rng, futures=False)
    return replace(
        base, symbols=tuple(SYMBOL_INDEX[one] for one in ("EURUSD", "GBPUSD")), per_day=26.0, hold_minutes=0.2,
        hold_spread=0.5, improve=float(rng.uniform(0.75, 1.1)), insight=0.6, risk=0.0009, reason=CLIENT, magic=0,
        partial=0.0, layers=1,
    )  # fmt: skip


def all_in(rng: np.random.Generator) -> Style:
    """The day's whole allowance on one trade, once or twice a day, target at the other end."""
    base = ordinary(rng, futures=False)
    return replace(
        base, symbols=(SYMBOL_INDEX["XAUUSD"],), per_day=0.9, hold_minutes=300.0, stop=1.1, reward=2.0,
        risk=float(rng.uniform(0.038, 0.047)), risk_spread=0.05, shown_stop=1.0, partial=0.0, funded_risk=1.0, layers=1,
    )  # fmt: skip


def martingale(rng: np.random.Generator) -> Style:
    """After each loss the next position is twice as large."""
    base = ordinary(rng, futures=False)
    return replace(
        base, per_day=5.0, hold_minutes=35.0, hold_spread=0.2, stop=0.9, reward=1.0, risk=0.0025, risk_spread=0.03,
        loss_multiplier=float(rng.uniform(1.8, 2.2)), shown_stop=1.0, partial=0.0, reason=CLIENT, magic=0, layers=1,
    )  # fmt: skip


def service_hand(rng: np.random.Generator, insight: float) -> Style:
    """The hired hand that passes evaluations: quick, skilled, always the same way."""
    base = ordinary(rng, futures=False)
    return replace(
        base, symbols=tuple(SYMBOL_INDEX[one] for one in ("XAUUSD", "NAS100")), first_hour=13.0, hours=3.0, per_day=4.0,
        hold_minutes=18.0, hold_spread=0.35, stop=1.2, reward=1.6, risk=0.007, risk_spread=0.1, insight=insight,
        reason=EXPERT, magic=77_120, note=NOTES.index("EA-Trend 2.1"), funded_risk=1.0, layers=1, chases_news=0.0,
    )  # fmt: skip


def unlike_service(rng: np.random.Generator) -> Style:
    """The buyer's own hand once funded: other symbols, hours, sizes and holding times."""
    base = ordinary(rng, futures=False)
    return replace(
        base, symbols=tuple(SYMBOL_INDEX[one] for one in ("EURGBP", "AUDUSD")), first_hour=1.0, hours=6.0, per_day=1.6,
        hold_minutes=260.0, risk=0.011, reason=CLIENT, magic=0, note=0, insight=0.47, layers=1,
    )  # fmt: skip


def news_straddle(market: Market, rng: np.random.Generator, from_ms: int, to_ms: int) -> Array:
    """Brackets around high-impact events: the side that fills first within seconds, now and then both."""
    events = [e.at_ms for e in market.news if e.impact == "high" and e.currency == "USD" and from_ms <= e.at_ms < to_ms]
    times = np.array(events, dtype=np.int64) + MINUTE_MS
    plan = blank(len(times))
    plan["symbol"] = rng.choice([SYMBOL_INDEX["XAUUSD"], SYMBOL_INDEX["EURUSD"]], len(times))
    plan["open_ms"] = times - MINUTE_MS + rng.integers(300, 4000, len(times))
    jump = market.at(plan["symbol"], times + MINUTE_MS) - market.at(plan["symbol"], times)
    plan["side"] = np.where(jump >= 0, 1, -1)
    plan["stop"] = 12 * minute_move(plan["symbol"])
    plan["target"] = 30 * minute_move(plan["symbol"])
    plan["risk"], plan["reason"] = 0.009, CLIENT
    plan["close_ms"] = times + MINUTE_MS + rng.integers(0, 40_000, len(times))
    both = plan[rng.random(len(plan)) < 0.45].copy()
    both["side"], both["close_ms"] = -both["side"], both["open_ms"] + rng.integers(4_000, 20_000, len(both))
    plan = np.concatenate([plan, both])
    plan["note"] = np.where(plan["side"] > 0, NOTES.index("buy stop"), NOTES.index("sell stop"))
    return open_only(np.sort(plan, order="open_ms", kind="stable"), market)


def grid(market: Market, rng: np.random.Generator, from_ms: int, to_ms: int) -> Array:
    """Layers at even distances against the market, the basket closed at once when it is whole again or given up."""
    symbol = int(rng.choice([SYMBOL_INDEX[one] for one in ("EURUSD", "AUDUSD", "EURGBP", "XAUUSD")]))
    baskets: list[Array] = []
    at = from_ms + int(rng.uniform(0, DAY_MS))
    while at < to_ms - 2 * DAY_MS:
        basket = _basket(market, rng, symbol, at)
        if len(basket):
            baskets.append(basket)
            at = int(basket["close_ms"][0])
        at += int(rng.exponential(7 * HOUR_MS)) + MINUTE_MS
    return open_only(np.concatenate(baskets), market) if baskets else blank(0)


def _basket(market: Market, rng: np.random.Generator, symbol: int, at_ms: int, layers: int = 9) -> Array:
    """One grid basket: a layer whenever the price is one more step against it, all closed one step in profit."""
    first = at_ms // MINUTE_MS + 1
    path = market.mid[symbol, first : first + 2 * 1440]
    if not market.is_open(np.array([symbol]), np.array([at_ms]))[0]:
        return blank(0)
    side = int(rng.choice((-1, 1)))
    step = 5.0 * minute_move(np.array([symbol]))[0]
    against = side * (path[0] - path) / step
    touched = [int(np.argmax(against >= k)) if (against >= k).any() else -1 for k in range(layers)]
    opened = [(minute, k) for k, minute in enumerate(touched) if k == 0 or minute > 0]
    closes = _basket_end(against, opened)
    rows = [(minute, k) for minute, k in opened if minute < closes]
    plan = blank(len(rows))
    plan["open_ms"] = [(first + minute) * MINUTE_MS + int(rng.integers(50, 900)) for minute, _ in rows]
    end_ms = np.full(len(rows), (first + closes) * MINUTE_MS + int(rng.integers(50, 900)))
    plan["symbol"], plan["side"], plan["shown"] = symbol, side, 0
    plan["close_ms"] = market.open_from(plan["symbol"], end_ms)
    plan["stop"], plan["risk"], plan["reason"] = 10 * step, 0.006, EXPERT
    plan["magic"], plan["note"] = 30_303, NOTES.index("GridMaster")
    return plan


def _basket_end(against: Array, opened: list[tuple[int, int]]) -> int:
    """The minute at which the basket's mean layer is one step in profit, at the latest the path's end."""
    held = np.zeros(len(against))
    total = np.zeros(len(against))
    for minute, k in opened:
        held[minute:] += 1
        total[minute:] += k
    gain = total / np.maximum(held, 1) - against
    whole = np.flatnonzero(gain >= 1.0)
    return int(whole[0]) if len(whole) else len(against) - 1


def payout_gaming(market: Market, rng: np.random.Generator, from_ms: int, to_ms: int) -> Array:
    """A few winners split over the reset, then filler trades of the smallest size until the days are full."""
    symbol = SYMBOL_INDEX["XAUUSD"]
    days = np.arange(from_ms // DAY_MS + 2, min(from_ms // DAY_MS + 20, to_ms // DAY_MS))
    weekday = (market.start.weekday() + days) % 7
    chosen = days[weekday < 4][:4]
    winners = blank(len(chosen))
    winners["open_ms"] = chosen * DAY_MS + int(19.6 * HOUR_MS) + rng.integers(0, 600_000, len(winners))
    winners["symbol"] = symbol
    style = replace(ordinary(rng, futures=False), insight=1.0, stop=2.5, risk=0.028, risk_spread=0.05, partial=0.0)
    decide(winners, style, market, rng, np.full(len(winners), HOUR_MS, dtype=np.int64))
    halves = winners.copy()
    winners["target"] = halves["target"] = 0.0
    halves["open_ms"] += 2500
    halves["close_ms"] += int(1.2 * HOUR_MS)
    plan = np.concatenate([winners, halves, _fillers(market, rng, symbol, days)])
    return open_only(np.sort(plan, order="open_ms", kind="stable"), market)


def _fillers(market: Market, rng: np.random.Generator, symbol: int, days: Array) -> Array:
    """One tiny trade of a minute on each day."""
    plan = blank(len(days))
    plan["open_ms"] = days * DAY_MS + rng.integers(9 * HOUR_MS, 16 * HOUR_MS, len(days))
    plan["symbol"], plan["side"], plan["lots"] = symbol, rng.choice((-1, 1), len(days)), 0.01
    plan["stop"], plan["risk"] = 20 * minute_move(np.array([symbol]))[0], 0.0001
    plan["close_ms"] = plan["open_ms"] + rng.integers(20_000, 90_000, len(days))
    return plan


def burn(market: Market, rng: np.random.Generator, from_ms: int, to_ms: int) -> Array:
    """Reckless trades without an edge: the account that is thrown away after its payout."""
    return entries(replace(all_in(rng), per_day=3.0, insight=0.4), market, rng, from_ms, to_ms)


@dataclass(frozen=True)
class Copying:
    """How a follower repeats a leader: lag and its jitter (ms), the share taken, its lots, its exits, its period."""

    lag_ms: float
    jitter: float
    share: float
    mirror: bool
    lots: str
    ratio: float
    exits: str
    from_share: float
    to_share: float


def any_copying(rng: np.random.Generator, mirror: bool) -> Copying:
    """A way of copying: lags from 0.1 s to 2 min, partial following, scaled or random lots, shifted exits."""
    begins = float(rng.choice((0.0, 0.0, 0.3)))
    return Copying(
        lag_ms=float(np.exp(rng.uniform(np.log(120), np.log(100_000)))),
        jitter=float(rng.uniform(0.03, 0.2)),
        share=float(rng.choice((0.4, 0.65, 0.9, 1.0))),
        mirror=mirror,
        lots=str(rng.choice(("scaled", "scaled", "random"))),
        ratio=float(rng.uniform(0.8, 1.25) if mirror else rng.choice((0.5, 1.0, 1.0, 2.0)) * rng.uniform(0.95, 1.05)),
        exits=str(rng.choice(("same", "same", "shifted"))),
        from_share=begins,
        to_share=float(rng.choice((1.0, 1.0, begins + 0.6))),
    )


def follow(trips: Array, copying: Copying, market: Market, rng: np.random.Generator) -> Array:
    """The follower's entries: those of the leader's round trips it takes, each pointing to its source."""
    if len(trips) == 0:
        return blank(0)
    first, last = trips["open_ms"].min(), trips["open_ms"].max() + 1
    share = (trips["open_ms"] - first) / (last - first)
    taken = (rng.random(len(trips)) < copying.share) & (share >= copying.from_share) & (share <= copying.to_share)
    source = np.flatnonzero(taken)
    led = trips[source]
    plan = blank(len(source))
    lag = copying.lag_ms * np.exp(copying.jitter * rng.standard_normal(len(source)))
    plan["open_ms"] = led["open_ms"] + np.maximum(lag, 60).astype(np.int64)
    close_lag = lag if copying.exits == "same" else lag + rng.uniform(5_000, 500_000, len(source))
    plan["close_ms"] = np.maximum(led["close_ms"] + close_lag.astype(np.int64), plan["open_ms"] + 1500)
    plan["symbol"], plan["side"] = led["symbol"], -led["side"] if copying.mirror else led["side"]
    ratio = (
        copying.ratio if copying.lots == "scaled" else copying.ratio * np.exp(0.5 * rng.standard_normal(len(source)))
    )
    plan["lots"] = np.maximum(np.round(led["lots"] * ratio, 2), 0.01)
    plan["stop"], plan["shown"] = 60 * minute_move(led["symbol"]), 0
    plan["reason"], plan["source"] = CLIENT, source
    plan["close_ms"] = market.open_from(plan["symbol"], plan["close_ms"])
    return open_only(np.sort(plan, order="open_ms", kind="stable"), market)


def robot_signals(market: Market, rng: np.random.Generator) -> Array:
    """The entries one expert advisor finds at quarter-hour openings, the same for everyone who runs it."""
    style = replace(
        ordinary(rng, futures=False), per_day=2.6, hold_minutes=80.0, reason=EXPERT, magic=0, shown_stop=1.0
    )
    style = replace(style, layers=1, partial=0.0, insight=0.5, chases_news=0.0, first_hour=7.0, hours=12.0, risk=0.004)
    plan = entries(style, market, rng, 0, market.end_ms)
    plan["open_ms"] = (plan["open_ms"] // (15 * MINUTE_MS)) * 15 * MINUTE_MS
    plan["note"] = NOTES.index("EA-Trend 2.1")
    return open_only(plan[np.unique(plan["open_ms"], return_index=True)[1]], market)


def run_robot(signals: Array, market: Market, rng: np.random.Generator, magic: int) -> Array:
    """One user's run of a robot: almost every signal, a broker's delay, own parameters and own size."""
    plan = signals[rng.random(len(signals)) < rng.uniform(0.85, 0.98)].copy()
    plan["open_ms"] += rng.integers(80, 3500, len(plan))
    plan["magic"] = magic
    plan["stop"] *= rng.uniform(0.9, 1.1)
    plan["target"] *= rng.uniform(0.9, 1.1)
    plan["risk"] = rng.uniform(0.002, 0.008)
    return open_only(plan, market)


def room_signals(market: Market, rng: np.random.Generator) -> Array:
    """The public calls of a signal room."""
    style = replace(ordinary(rng, futures=False), per_day=1.7, hold_minutes=90.0, insight=0.5, layers=1, partial=0.0)
    plan = entries(replace(style, chases_news=0.0, reason=CLIENT, magic=0), market, rng, 0, market.end_ms)
    plan["note"] = 0
    return plan


def hear_room(signals: Array, market: Market, rng: np.random.Generator, own: Style) -> Array:
    """A member's entries: some calls, taken as fast as the member reads them, held and sized as the member likes."""
    plan = signals[rng.random(len(signals)) < rng.uniform(0.3, 0.65)].copy()
    side = plan["side"].copy()
    slow = rng.uniform(15, 60)
    plan["open_ms"] += (1000 * rng.lognormal(np.log(slow), 0.7, len(plan))).astype(np.int64)
    hold = own.hold_minutes * np.exp(own.hold_spread * rng.standard_normal(len(plan)))
    decide(plan, replace(own, note=0), market, rng, np.maximum(hold * MINUTE_MS, 60_000).astype(np.int64))
    plan["side"] = side
    return open_only(np.sort(plan, order="open_ms", kind="stable"), market)
