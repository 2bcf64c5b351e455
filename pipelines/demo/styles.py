"""How people trade: a style, and the entries it leads to in a given market."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.demo.engine import CLIENT, EXPERT, MOBILE, PLAN_DTYPE, WEB
from pipelines.demo.market import (
    CASH_SYMBOLS,
    DAY_MS,
    FUTURES,
    HOUR_MS,
    MINUTE_MS,
    SYMBOLS,
    Market,
    minute_move,
)

Array = np.ndarray[Any, Any]
WEEKDAYS = np.array([1.0, 1.15, 1.1, 1.1, 0.8, 0.12, 0.2])
NOTES = (
    "",
    "scalp",
    "breakout",
    "london",
    "add",
    "hedge",
    "buy stop",
    "sell stop",
    "EA-Trend 2.1",
    "GridMaster",
    "signal",
)


@dataclass(frozen=True)
class Style:
    """One way of trading.

    Times are UTC hours, holding time is in minutes, stops are multiples of the move expected over the holding time,
    targets multiples of the stop, risk is the share of the initial balance lost at the stop; `insight` is the chance
    that the side chosen is the one the market then takes.
    """

    symbols: tuple[int, ...]
    first_hour: float
    hours: float
    per_day: float
    hold_minutes: float
    hold_spread: float
    stop: float
    reward: float
    risk: float
    risk_spread: float
    insight: float
    shown_stop: float = 0.75
    partial: float = 0.08
    reason: int = CLIENT
    magic: int = 0
    note: int = 0
    chases_news: float = 0.0
    layers: int = 1
    improve: float = 0.0
    loss_multiplier: float = 1.0
    funded_risk: float = 1.0


def ordinary(rng: np.random.Generator, futures: bool) -> Style:
    """An honest trader's style; most have no edge, a few have a small one."""
    pool = FUTURES if futures else CASH_SYMBOLS
    weights = np.array([SYMBOLS[i].popularity for i in pool])
    count = int(rng.choice((1, 2, 3, 4), p=(0.3, 0.35, 0.2, 0.15)))
    symbols = rng.choice(pool, size=min(count, len(pool)), replace=False, p=weights / weights.sum())
    robot = rng.random() < 0.12
    per_day = float(np.clip(rng.lognormal(0.9, 0.6), 0.3, 12))
    return Style(
        symbols=tuple(int(one) for one in symbols),
        first_hour=float(rng.choice((1.0, 7.0, 8.0, 12.5, 13.0))) + float(rng.uniform(-1, 1)),
        hours=float(rng.uniform(2.5, 9)),
        per_day=per_day,
        hold_minutes=float(np.clip(rng.lognormal(3.9, 1.0), 4, 1500)),
        hold_spread=float(rng.uniform(0.4, 0.9)),
        stop=float(rng.uniform(0.8, 1.6)),
        reward=float(rng.uniform(0.7, 2.4)),
        risk=float(np.clip(rng.lognormal(-4.75, 0.5), 0.0015, 0.025)),
        risk_spread=float(rng.uniform(0.1, 0.45)),
        insight=_insight(rng, per_day),
        shown_stop=float(rng.choice((0.0, 0.6, 0.9, 1.0))),
        partial=float(rng.choice((0.0, 0.0, 0.15, 0.4))),
        reason=EXPERT if robot else int(rng.choice((CLIENT, MOBILE, WEB), p=(0.6, 0.3, 0.1))),
        magic=int(rng.integers(1000, 999_999)) if robot else 0,
        note=int(rng.choice((0, 0, 0, 1, 2, 3))),
        chases_news=float(rng.choice((0.0, 0.0, 0.0, 0.25, 0.5))),
        funded_risk=float(rng.choice((1.0, 1.0, 0.6, 0.5))),
    )


def _insight(rng: np.random.Generator, per_day: float) -> float:
    """How often a trader is right about the side: most hardly more than chance, a third really so; haste costs edge."""
    mean = 0.67 if rng.random() < 0.37 else 0.52
    edge = (rng.normal(mean, 0.03) - 0.5) * min(np.sqrt(2.5 / per_day), 1.15)
    return float(np.clip(0.5 + edge, 0.42, 0.72))


def fast_manual(rng: np.random.Generator) -> Style:
    """The quick hand that is no arbitrage: holds of a few minutes, an ordinary win rate."""
    base = ordinary(rng, futures=False)
    return replace(base, per_day=9.0, hold_minutes=3.0, hold_spread=0.5, risk=0.003, reason=CLIENT, magic=0, layers=1)


def scales_in(rng: np.random.Generator) -> Style:
    """Planned scaling: up to three equal entries into one idea, each with its stop."""
    base = ordinary(rng, futures=False)
    return replace(base, layers=3, per_day=1.2, hold_minutes=240.0, risk=0.004, shown_stop=1.0, partial=0.0)


def swing(rng: np.random.Generator) -> Style:
    """Few trades, wide stops, days of holding."""
    base = ordinary(rng, futures=False)
    return replace(base, per_day=0.35, hold_minutes=1600.0, risk=0.012, reward=2.0, shown_stop=1.0)


def blank(count: int) -> Array:
    """Empty entries with their defaults."""
    plan = np.zeros(count, dtype=PLAN_DTYPE)
    plan["shown"], plan["source"], plan["close_ms"] = 1, -1, 1 << 60
    return plan


def entry_times(style: Style, market: Market, rng: np.random.Generator, from_ms: int, to_ms: int) -> Array:
    """Entry instants within the style's hours, livelier days first, to the millisecond."""
    first, last = from_ms // DAY_MS, to_ms // DAY_MS
    days = np.arange(first, last + 1)
    weekday = (market.start.weekday() + days) % 7
    mood = np.where(rng.random(len(days)) < 0.8, rng.gamma(3.0, 1 / 3.0, len(days)), 0.0)
    counts = rng.poisson(style.per_day * WEEKDAYS[weekday] * mood)
    starts = np.repeat(days * DAY_MS, counts)
    hour = style.first_hour + style.hours * rng.beta(1.3, 1.6, len(starts))
    times = starts + (hour * HOUR_MS).astype(np.int64)
    if style.chases_news > 0:
        times = np.concatenate([times, _after_news(style, market, rng)])
    return np.sort(times[(times >= from_ms) & (times < to_ms)])


def _after_news(style: Style, market: Market, rng: np.random.Generator) -> Array:
    """Entries shortly after high-impact events, as crowds of strangers make them."""
    events = np.array([event.at_ms for event in market.news if event.impact == "high"], dtype=np.int64)
    chosen = events[rng.random(len(events)) < style.chases_news]
    return np.asarray(chosen + (1000 * rng.gamma(2.0, 30.0, len(chosen))).astype(np.int64))


def entries(style: Style, market: Market, rng: np.random.Generator, from_ms: int, to_ms: int) -> Array:
    """The entries a style leads to between two instants (ms), in order of time."""
    times = entry_times(style, market, rng, from_ms, to_ms)
    plan = blank(len(times))
    rank = 1.0 / np.arange(1, len(style.symbols) + 1)
    plan["open_ms"] = times
    plan["symbol"] = rng.choice(np.array(style.symbols), size=len(times), p=rank / rank.sum())
    hold = style.hold_minutes * np.exp(style.hold_spread * rng.standard_normal(len(times)))
    decide(plan, style, market, rng, np.maximum(hold * MINUTE_MS, 2000).astype(np.int64))
    return open_only(layered(plan, style, rng), market)


def decide(plan: Array, style: Style, market: Market, rng: np.random.Generator, hold_ms: Array) -> None:
    """Fills in side, stops, targets, size and the marks of the style for entries whose time and symbol are set."""
    count = len(plan)
    later = market.at(plan["symbol"], plan["open_ms"] + hold_ms)
    rises = np.where(later >= market.at(plan["symbol"], plan["open_ms"]), 1, -1)
    plan["side"] = np.where(rng.random(count) < style.insight, rises, -rises)
    move = minute_move(plan["symbol"]) * np.sqrt(hold_ms / MINUTE_MS)
    plan["stop"] = np.maximum(style.stop * move, 4 * market.facts["spread"][plan["symbol"]])
    plan["target"] = np.where(rng.random(count) < 0.85, plan["stop"] * style.reward, 0.0)
    plan["close_ms"] = market.open_from(plan["symbol"], plan["open_ms"] + hold_ms)
    plan["risk"] = style.risk * np.exp(style.risk_spread * rng.standard_normal(count))
    plan["shown"] = rng.random(count) < style.shown_stop
    plan["partial"] = rng.random(count) < style.partial
    plan["improve"] = style.improve * market.facts["spread"][plan["symbol"]]
    plan["reason"], plan["magic"], plan["note"] = style.reason, style.magic, style.note


def layered(plan: Array, style: Style, rng: np.random.Generator) -> Array:
    """Each idea entered in several equal layers some minutes apart, when the style does that."""
    if style.layers == 1 or len(plan) == 0:
        return plan
    copies = [plan]
    for layer in range(1, style.layers):
        more = plan[rng.random(len(plan)) < 0.7].copy()
        more["open_ms"] += (layer * rng.uniform(5, 40, len(more)) * MINUTE_MS).astype(np.int64)
        more["note"] = NOTES.index("add")
        copies.append(more[more["open_ms"] < more["close_ms"]])
    return np.sort(np.concatenate(copies), order="open_ms", kind="stable")


def open_only(plan: Array, market: Market) -> Array:
    """The entries that fall into their symbol's trading hours, leaving none that would close before it opens."""
    good = market.is_open(plan["symbol"], plan["open_ms"]) & (plan["close_ms"] > plan["open_ms"])
    return np.asarray(plan[good])
