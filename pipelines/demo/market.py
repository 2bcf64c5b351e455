"""The shared market: one price path per symbol and minute, its opening hours, its news and its exchange rates."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from models.compiled import compiled

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
HISTORY_END = datetime(2026, 10, 30, 21, tzinfo=UTC)
CURRENCIES = ("USD", "EUR", "GBP", "JPY", "CAD", "AUD")
NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class Symbol:
    """What one instrument is worth and how it moves; `volatility` is the relative move of an average minute."""

    name: str
    kind: str
    start: float
    digits: int
    contract: float
    quote: str
    volatility: float
    spread: float
    commission: float
    swap: float
    step: float
    popularity: float
    currencies: tuple[str, ...]
    twin: str = ""


def _fx(name: str, start: float, digits: int, volatility: float, spread: float, popularity: float) -> Symbol:
    pair = (name[:3], name[3:])
    return Symbol(
        name, "fx", start, digits, 100_000, pair[1], 1.15 * volatility, 0.7 * spread, 2.5, 4.0, 0.01, popularity, pair
    )


SYMBOLS: tuple[Symbol, ...] = (
    Symbol("XAUUSD", "metal", 3350.0, 2, 100, "USD", 2.0e-4, 0.18, 2.5, 9.0, 0.01, 1.0, ("USD",)),
    _fx("EURUSD", 1.12, 5, 0.95e-4, 0.00008, 0.8),
    Symbol("NAS100", "index", 22_800.0, 1, 1, "USD", 2.2e-4, 1.4, 0.0, 1.5, 0.1, 0.6, ("USD",)),
    _fx("GBPUSD", 1.31, 5, 1.05e-4, 0.00011, 0.45),
    _fx("USDJPY", 148.0, 3, 1.05e-4, 0.011, 0.38),
    Symbol("US30", "index", 44_100.0, 1, 1, "USD", 1.7e-4, 2.2, 0.0, 1.5, 0.1, 0.34, ("USD",)),
    Symbol("BTCUSD", "crypto", 96_000.0, 2, 1, "USD", 4.2e-4, 18.0, 6.0, 20.0, 0.01, 0.28, ("USD",)),
    _fx("GBPJPY", 193.9, 3, 1.25e-4, 0.019, 0.24),
    Symbol("GER40", "index", 23_400.0, 1, 1, "EUR", 1.8e-4, 1.3, 0.0, 1.5, 0.1, 0.2, ("EUR",)),
    _fx("AUDUSD", 0.66, 5, 1.1e-4, 0.0001, 0.17),
    _fx("USDCAD", 1.37, 5, 0.85e-4, 0.00013, 0.15),
    Symbol("ETHUSD", "crypto", 3_900.0, 2, 10, "USD", 5.2e-4, 1.6, 6.0, 10.0, 0.01, 0.14, ("USD",)),
    _fx("EURGBP", 0.855, 5, 0.7e-4, 0.0001, 0.12),
    Symbol("USOIL", "energy", 66.0, 3, 1000, "USD", 2.8e-4, 0.03, 0.0, 4.0, 0.01, 0.1, ("USD", "CAD")),
    Symbol("NQ", "future", 22_860.0, 2, 20, "USD", 2.2e-4, 0.5, 2.1, 0.0, 1.0, 0.5, ("USD",), "NAS100"),
    Symbol("MNQ", "future", 22_860.0, 2, 2, "USD", 2.2e-4, 0.5, 0.6, 0.0, 1.0, 1.0, ("USD",), "NAS100"),
    Symbol("MES", "future", 6_420.0, 2, 5, "USD", 1.5e-4, 0.25, 0.6, 0.0, 1.0, 0.7, ("USD",), "US30"),
    Symbol("MGC", "future", 3_362.0, 1, 10, "USD", 1.9e-4, 0.2, 0.7, 0.0, 1.0, 0.4, ("USD",), "XAUUSD"),
    Symbol("MCL", "future", 66.3, 2, 100, "USD", 2.8e-4, 0.02, 0.7, 0.0, 1.0, 0.2, ("USD",), "USOIL"),
)
SYMBOL_INDEX = {symbol.name: index for index, symbol in enumerate(SYMBOLS)}
CASH_SYMBOLS = np.array([i for i, symbol in enumerate(SYMBOLS) if symbol.kind != "future"])
FUTURES = np.array([i for i, symbol in enumerate(SYMBOLS) if symbol.kind == "future"])

MARKET_DTYPE = np.dtype(
    [
        ("contract", "f8"),
        ("spread", "f8"),
        ("commission", "f8"),
        ("swap", "f8"),
        ("step", "f8"),
        ("digits", "i8"),
        ("quote", "i8"),
        ("crypto", "i8"),
    ]
)


@dataclass(frozen=True)
class News:
    """One calendar event: when it happens (ms since the history began), for which currency, and its name."""

    at_ms: int
    currency: str
    impact: str
    title: str


@dataclass(frozen=True)
class Market:
    """Mid prices [symbol, minute], opening hours, USD rates [currency, minute] and the news of one history."""

    start: datetime
    minutes: int
    mid: np.ndarray[Any, Any]
    fx_open: np.ndarray[Any, Any]
    next_open: np.ndarray[Any, Any]
    usd: np.ndarray[Any, Any]
    facts: np.ndarray[Any, Any]
    news: tuple[News, ...]

    @property
    def end_ms(self) -> int:
        """The last instant of the history, in ms since it began."""
        return int((HISTORY_END - self.start).total_seconds() * 1000)

    def at(self, symbols: np.ndarray[Any, Any], times_ms: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Mid prices of the symbols at the instants (ms), linear between minutes."""
        minute = np.clip(times_ms // MINUTE_MS, 0, self.minutes - 2)
        share = np.clip((times_ms - minute * MINUTE_MS) / MINUTE_MS, 0.0, 1.0)
        first, second = self.mid[symbols, minute], self.mid[symbols, minute + 1]
        return np.asarray(first + (second - first) * share)

    def is_open(self, symbols: np.ndarray[Any, Any], times_ms: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Whether each symbol trades at its instant."""
        minute = np.clip(times_ms // MINUTE_MS, 0, self.minutes - 1)
        return np.asarray(self.fx_open[minute] | (self.facts["crypto"][symbols] == 1))

    def open_from(self, symbols: np.ndarray[Any, Any], times_ms: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The same instants, those while the market is closed moved behind the next opening."""
        minute = np.clip(times_ms // MINUTE_MS, 0, self.minutes - 1)
        later = self.next_open[minute] * MINUTE_MS + times_ms % MINUTE_MS
        return np.where(self.is_open(symbols, times_ms), times_ms, later)


@compiled
def price_at(mid: np.ndarray[Any, Any], symbol: int, at_ms: int) -> float:
    """The mid price of a symbol at an instant (ms), linear between minutes."""
    minute = min(at_ms // 60_000, mid.shape[1] - 2)
    share = (at_ms - minute * 60_000) / 60_000
    return float(mid[symbol, minute] + (mid[symbol, minute + 1] - mid[symbol, minute]) * min(share, 1.0))


def build_market(days: int, seed: int) -> Market:
    """The market of the last `days` days before the history ends; the same seed gives the same prices."""
    rng = np.random.default_rng([seed, 101])
    start = datetime.combine(HISTORY_END.date() - timedelta(days=days - 1), time(0), UTC)
    minutes = int((HISTORY_END - start).total_seconds() // 60) + 2
    opened = _fx_open(start, minutes)
    news = _news(start, days, rng)
    mid = _paths(start, minutes, opened, news, rng)
    return Market(start, minutes, mid, opened, _next_open(opened), _usd_rates(mid), _facts(), news)


def _fx_open(start: datetime, minutes: int) -> np.ndarray[Any, Any]:
    """Minutes between Sunday and Friday 17:00 New York, the daily hour's break left out of account."""
    opened = np.ones(minutes, dtype=bool)
    day = start.astimezone(NEW_YORK).date() - timedelta(days=3)
    while datetime.combine(day, time(17), NEW_YORK) < HISTORY_END + timedelta(days=1):
        if day.weekday() == 4:
            closes = datetime.combine(day, time(17), NEW_YORK)
            opens = datetime.combine(day + timedelta(days=2), time(17), NEW_YORK)
            first, last = (int((at - start).total_seconds() // 60) for at in (closes, opens))
            opened[max(first, 0) : max(last, 0)] = False
        day += timedelta(days=1)
    return opened


def _next_open(opened: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """For each minute the first open minute from it on."""
    places = np.where(opened, np.arange(len(opened)), len(opened) - 1)
    return np.asarray(np.minimum.accumulate(places[::-1])[::-1])


WEEKLY_NEWS = (
    (1, time(8, 30), "USD", "CPI m/m"),
    (2, time(14, 0), "USD", "FOMC statement"),
    (3, time(8, 15), "EUR", "ECB rate decision"),
    (3, time(8, 30), "USD", "Unemployment claims"),
    (4, time(8, 30), "USD", "Non-farm payrolls"),
    (2, time(2, 0), "GBP", "CPI y/y"),
    (1, time(4, 0), "EUR", "Flash PMI"),
    (3, time(22, 0), "JPY", "BoJ outlook"),
)


def _news(start: datetime, days: int, rng: np.random.Generator) -> tuple[News, ...]:
    """Weekly high-impact events in New York time, and a few of lower impact."""
    events: list[News] = []
    for offset in range(days):
        day = (start + timedelta(days=offset)).date()
        for weekday, clock, currency, title in WEEKLY_NEWS:
            if day.weekday() == weekday and rng.random() < 0.75:
                at = datetime.combine(day, clock, NEW_YORK)
                impact = "high" if rng.random() < 0.7 else "medium"
                events.append(News(int((at - start).total_seconds() * 1000), currency, impact, title))
    inside = (event for event in events if 0 <= event.at_ms < int((HISTORY_END - start).total_seconds() * 1000))
    return tuple(sorted(inside, key=lambda event: (event.at_ms, event.currency)))


def _hour_profile(start: datetime, minutes: int) -> np.ndarray[Any, Any]:
    """How lively each minute is: quiet in Asia, busy in London, busiest when New York overlaps."""
    hour = (start.hour + np.arange(minutes) / 60.0) % 24
    london = np.exp(-0.5 * ((hour - 8.5) / 2.2) ** 2)
    new_york = 1.3 * np.exp(-0.5 * ((hour - 14.5) / 2.0) ** 2)
    return np.asarray(0.45 + london + new_york)


def _paths(
    start: datetime, minutes: int, opened: np.ndarray[Any, Any], news: tuple[News, ...], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """Log-price walks with a common dollar factor, calm and rough days, and jumps at news."""
    profile = _hour_profile(start, minutes)
    dollar = rng.standard_normal(minutes)
    mid = np.empty((len(SYMBOLS), minutes))
    for index, symbol in enumerate(SYMBOLS):
        if symbol.twin:
            twin = mid[SYMBOL_INDEX[symbol.twin]]
            mid[index] = twin * (symbol.start / SYMBOLS[SYMBOL_INDEX[symbol.twin]].start)
            continue
        rough = np.exp(0.3 * rng.standard_normal(minutes // 1440 + 2))[np.arange(minutes) // 1440]
        own = rng.standard_t(5, minutes) / np.sqrt(5 / 3)
        weight = -0.5 if symbol.name.startswith("USD") else 0.5
        shock = np.sqrt(1 - weight**2) * own + weight * dollar
        step = symbol.volatility * profile * rough * shock
        step = np.where(opened | (symbol.kind == "crypto"), step, 0.0)
        _add_jumps(step, symbol, news, rng)
        mid[index] = symbol.start * np.exp(np.cumsum(step) - np.linspace(0, 0.4, minutes) * step.sum())
    mid[SYMBOL_INDEX["EURGBP"]] = mid[SYMBOL_INDEX["EURUSD"]] / mid[SYMBOL_INDEX["GBPUSD"]]
    mid[SYMBOL_INDEX["GBPJPY"]] = mid[SYMBOL_INDEX["GBPUSD"]] * mid[SYMBOL_INDEX["USDJPY"]]
    return mid


def _add_jumps(step: np.ndarray[Any, Any], symbol: Symbol, news: tuple[News, ...], rng: np.random.Generator) -> None:
    """A jump in the minute after each event that concerns the symbol, and half an hour of aftershocks."""
    for event in news:
        if event.currency in symbol.currencies:
            minute = event.at_ms // MINUTE_MS + 1
            size = 14.0 if event.impact == "high" else 5.0
            aftershock = step[minute + 1 : minute + 30]
            step[minute + 1 : minute + 30] = aftershock * 1.8
            if minute < len(step):
                step[minute] += symbol.volatility * size * rng.choice((-1.0, 1.0)) * rng.uniform(0.6, 1.6)


def _usd_rates(mid: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """USD per unit of each currency and minute."""
    rates = np.ones((len(CURRENCIES), mid.shape[1]))
    for index, currency in enumerate(CURRENCIES):
        if f"{currency}USD" in SYMBOL_INDEX:
            rates[index] = mid[SYMBOL_INDEX[f"{currency}USD"]]
        elif f"USD{currency}" in SYMBOL_INDEX:
            rates[index] = 1.0 / mid[SYMBOL_INDEX[f"USD{currency}"]]
    return rates


def _facts() -> np.ndarray[Any, Any]:
    """What the compiled engine must know about each symbol."""
    rows = [
        (s.contract, s.spread, s.commission, s.swap, s.step, s.digits, CURRENCIES.index(s.quote), s.kind == "crypto")
        for s in SYMBOLS
    ]
    return np.array(rows, dtype=MARKET_DTYPE)


def minute_move(symbols: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The price move of an average minute for each symbol, in price units."""
    moves = np.array([symbol.volatility * symbol.start for symbol in SYMBOLS])
    return np.asarray(moves[symbols])


def daily_resets(start: datetime, end_ms: int, zone: str, clock: str, calendar: str) -> np.ndarray[Any, Any]:
    """The reset instants (ms since the history began) of a product's clock.

    A skipped local time moves behind the gap, a repeated one counts at its first occurrence; `fx` and `cme` have no
    resets at the weekend (an evening reset: none on Friday and Saturday).
    """
    place, (hour, minute) = ZoneInfo(zone), (int(part) for part in clock.split(":"))
    closed = {4, 5} if hour >= 12 else {5, 6}
    resets: list[int] = []
    for offset in range(-1, end_ms // DAY_MS + 3):
        day = (start + timedelta(days=offset)).date()
        if calendar != "crypto" and day.weekday() in closed:
            continue
        local = datetime.combine(day, time(hour, minute), place)
        at = int((local.astimezone(UTC) - start).total_seconds() * 1000)
        if 0 <= at <= end_ms:
            resets.append(at)
    return np.array(resets, dtype=np.int64)
