"""One account's life, event by event: fills, floating result, floors, targets and payouts, compiled.

The account is judged as the firm judges it: at every instant at which it is seen flat or observed. Times are
milliseconds since the history began, money is in the account's currency.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from models.compiled import compiled
from pipelines.demo.market import DAY_MS, HOUR_MS, MINUTE_MS, Market, price_at

Array = np.ndarray[Any, Any]
NEVER = 1 << 60
SLOTS = 24
ACTIVE, PASSED, BREACHED_DAILY, BREACHED_MAX = 0, 1, 2, 3
CLIENT, MOBILE, WEB, EXPERT, BY_STOP, BY_TARGET, STOPPED_OUT, NO_REASON = range(8)
REASONS = ("client", "mobile", "web", "expert", "sl", "tp", "so", "")
ROLLOVER_MS = 21 * HOUR_MS

PLAN_DTYPE = np.dtype(
    [
        ("open_ms", "i8"),
        ("close_ms", "i8"),
        ("symbol", "i8"),
        ("side", "i8"),
        ("stop", "f8"),
        ("target", "f8"),
        ("risk", "f8"),
        ("lots", "f8"),
        ("improve", "f8"),
        ("partial", "i8"),
        ("shown", "i8"),
        ("reason", "i8"),
        ("magic", "i8"),
        ("note", "i8"),
        ("source", "i8"),
    ]
)
SLOT_DTYPE = np.dtype(
    [
        ("open_ms", "i8"),
        ("close_ms", "i8"),
        ("symbol", "i8"),
        ("side", "i8"),
        ("lots", "f8"),
        ("price", "f8"),
        ("stop", "f8"),
        ("target", "f8"),
        ("half", "f8"),
        ("row", "i8"),
        ("position", "i8"),
        ("profit", "f8"),
    ]
)
DEAL_DTYPE = np.dtype(
    [
        ("at_ms", "i8"),
        ("kind", "i8"),
        ("closes", "i8"),
        ("side", "i8"),
        ("symbol", "i8"),
        ("volume", "f8"),
        ("price", "f8"),
        ("commission", "f8"),
        ("swap", "f8"),
        ("profit", "f8"),
        ("stop", "f8"),
        ("target", "f8"),
        ("reason", "i8"),
        ("position", "i8"),
        ("row", "i8"),
    ]
)
TRIP_DTYPE = np.dtype(
    [
        ("open_ms", "i8"),
        ("close_ms", "i8"),
        ("symbol", "i8"),
        ("side", "i8"),
        ("lots", "f8"),
        ("stop", "f8"),
        ("target", "f8"),
        ("row", "i8"),
        ("profit", "f8"),
    ]
)
SEEN_DTYPE = np.dtype([("at_ms", "i8"), ("balance", "f8"), ("equity", "f8")])
REQUEST_DTYPE = np.dtype([("at_ms", "i8"), ("amount", "f8"), ("paid_ms", "i8"), ("refused", "i8")])
STATE_DTYPE = np.dtype(
    [
        ("initial", "f8"),
        ("scale", "f8"),
        ("currency", "i8"),
        ("observe_ms", "i8"),
        ("loss_multiplier", "f8"),
        ("risk_scale", "f8"),
        ("appetite", "f8"),
        ("patient", "i8"),
        ("withdraws", "f8"),
        ("asks_until", "i8"),
        ("balance", "f8"),
        ("equity", "f8"),
        ("high", "f8"),
        ("day_reference", "f8"),
        ("day_high", "f8"),
        ("day_floor", "f8"),
        ("max_floor", "f8"),
        ("fixed_floor", "i8"),
        ("paused", "i8"),
        ("day_profit", "f8"),
        ("best_day", "f8"),
        ("net", "f8"),
        ("positive", "f8"),
        ("traded_today", "i8"),
        ("trading_days", "i8"),
        ("profitable_days", "i8"),
        ("losses", "i8"),
        ("positions", "i8"),
        ("seen_ms", "i8"),
        ("first_trade_ms", "i8"),
        ("pending", "f8"),
        ("decision_ms", "i8"),
        ("next_request_ms", "i8"),
        ("last_trade_ms", "i8"),
        ("outcome", "i8"),
        ("ended_ms", "i8"),
        ("n_deals", "i8"),
        ("n_seen", "i8"),
        ("n_trips", "i8"),
        ("n_requests", "i8"),
        ("n_open", "i8"),
    ]
)


class Tape(NamedTuple):
    """What the market tells the engine: mids [symbol, minute], opening hours, symbol facts, USD rates."""

    mid: Array
    fx_open: Array
    facts: Array
    usd: Array


class Books(NamedTuple):
    """The engine's working memory: open positions, and what it writes."""

    slots: Array
    deals: Array
    seen: Array
    trips: Array
    requests: Array


@dataclass(frozen=True)
class Life:
    """What an account left behind: its final state and its deals, observations, round trips and payout requests."""

    state: Any
    deals: Array
    seen: Array
    trips: Array
    requests: Array


@compiled
def cents(amount: float, scale: float) -> float:
    """An amount rounded half up to the currency's minor unit."""
    return float(np.floor(amount * scale + 0.5) / scale)


@compiled
def value_of_move(tape: Tape, st: Any, symbol: int, at_ms: int) -> float:
    """What one unit of price is worth for one lot, in the account's currency."""
    minute = min(at_ms // 60_000, tape.usd.shape[1] - 1)
    rate = tape.usd[tape.facts[symbol].quote, minute] / tape.usd[st.currency, minute]
    return float(tape.facts[symbol].contract * rate)


@compiled
def on_grid(tape: Tape, symbol: int, price: float) -> float:
    """A price rounded to the symbol's digits."""
    return cents(price, 10.0 ** tape.facts[symbol].digits)


@compiled
def fill(tape: Tape, symbol: int, side: int, at_ms: int) -> float:
    """The price a market order gets: the mid plus half the spread against it."""
    return on_grid(tape, symbol, price_at(tape.mid, symbol, at_ms) + side * 0.5 * tape.facts[symbol].spread)


@compiled
def floating(books: Books, st: Any, tape: Tape, at_ms: int) -> float:
    """The open result at an instant."""
    total = 0.0
    for k in range(st.n_open):
        slot = books.slots[k]
        move = (fill(tape, slot.symbol, -slot.side, at_ms) - slot.price) * slot.side
        total += cents(move * slot.lots * value_of_move(tape, st, slot.symbol, at_ms), st.scale)
    return total


@compiled
def lots_for(row: Any, st: Any, tape: Tape, unit: float) -> float:
    """Lots of an intention: as written, or such that the stop costs the risked share of the initial balance."""
    lots = row.lots
    if lots <= 0:
        lots = row.risk * st.risk_scale * st.initial / max(row.stop * unit, 1e-12)
        lots *= st.loss_multiplier ** min(st.losses, 6)
    step = tape.facts[row.symbol].step
    return float(min(max(np.floor(lots / step + 0.5), 1.0) * step, 100.0))


@compiled
def book_trade_day(st: Any, at_ms: int) -> None:
    """Counts the firm day as a trading day once."""
    if st.traded_today == 0:
        st.traded_today = 1
        st.trading_days += 1
    if st.first_trade_ms == 0:
        st.first_trade_ms = at_ms
    st.last_trade_ms = at_ms


@compiled
def charge(st: Any, tape: Tape, symbol: int, lots: float, at_ms: int) -> float:
    """The commission of one side of a trade, in the account's currency."""
    minute = min(at_ms // 60_000, tape.usd.shape[1] - 1)
    return cents(tape.facts[symbol].commission * lots / tape.usd[st.currency, minute], st.scale)


@compiled
def write_deal(books: Books, st: Any, slot: Any, at_ms: int, closes: int, reason: int) -> None:
    """Writes the unchanging part of a trade's deal."""
    deal = books.deals[st.n_deals]
    deal.at_ms, deal.kind, deal.closes, deal.symbol = at_ms, 0, closes, slot.symbol
    deal.side = -slot.side if closes == 1 else slot.side
    deal.stop, deal.target, deal.reason = slot.stop, slot.target, reason
    deal.position, deal.row = slot.position, slot.row
    st.n_deals += 1


@compiled
def open_position(plan: Array, i: int, books: Books, st: Any, tape: Tape) -> None:
    """Opens one position and books its deal."""
    row, slot = plan[i], books.slots[st.n_open]
    price = fill(tape, row.symbol, row.side, row.open_ms) - row.side * row.improve
    price = on_grid(tape, row.symbol, price)
    st.positions += 1
    slot.open_ms, slot.close_ms, slot.symbol, slot.side = row.open_ms, row.close_ms, row.symbol, row.side
    slot.lots = lots_for(row, st, tape, value_of_move(tape, st, row.symbol, row.open_ms))
    slot.price, slot.row, slot.position, slot.profit = price, i, st.positions, 0.0
    slot.stop = on_grid(tape, row.symbol, price - row.side * row.stop) if row.shown > 0 else 0.0
    slot.target = on_grid(tape, row.symbol, price + row.side * row.target) if row.target > 0 else 0.0
    slot.half = 0.0
    if row.partial == 1 and row.target > 0 and slot.lots >= 2 * tape.facts[row.symbol].step:
        slot.half = on_grid(tape, row.symbol, price + row.side * row.target * 0.5)
    st.n_open += 1
    cost = charge(st, tape, row.symbol, slot.lots, row.open_ms)
    deal = books.deals[st.n_deals]
    deal.volume, deal.price, deal.commission, deal.swap, deal.profit = slot.lots, price, -cost, 0.0, 0.0
    write_deal(books, st, slot, row.open_ms, 0, row.reason)
    st.balance -= cost
    st.day_profit -= cost
    slot.profit -= cost
    book_trade_day(st, row.open_ms)


@compiled
def close_lots(k: int, lots: float, price: float, reason: int, at_ms: int, books: Books, st: Any, tape: Tape) -> None:
    """Books the closing deal of some or all lots of an open position; swap is due per night held."""
    slot = books.slots[k]
    profit = cents((price - slot.price) * slot.side * lots * value_of_move(tape, st, slot.symbol, at_ms), st.scale)
    cost = charge(st, tape, slot.symbol, lots, at_ms)
    nights = (at_ms - ROLLOVER_MS) // DAY_MS - (slot.open_ms - ROLLOVER_MS) // DAY_MS
    minute = min(at_ms // 60_000, tape.usd.shape[1] - 1)
    swap = cents(tape.facts[slot.symbol].swap * lots * nights / tape.usd[st.currency, minute], st.scale)
    deal = books.deals[st.n_deals]
    deal.volume, deal.price, deal.commission, deal.swap, deal.profit = lots, price, -cost, -swap, profit
    write_deal(books, st, slot, at_ms, 1, reason)
    st.balance += profit - cost - swap
    st.day_profit += profit - cost - swap
    slot.profit += profit - cost - swap
    st.last_trade_ms = at_ms


@compiled
def close_position(k: int, price: float, reason: int, at_ms: int, books: Books, st: Any, tape: Tape) -> None:
    """Closes a position whole, notes its round trip and frees its slot."""
    close_lots(k, books.slots[k].lots, price, reason, at_ms, books, st, tape)
    slot, trip = books.slots[k], books.trips[st.n_trips]
    trip.open_ms, trip.close_ms, trip.symbol, trip.side = slot.open_ms, at_ms, slot.symbol, slot.side
    trip.lots, trip.stop, trip.target, trip.row, trip.profit = slot.lots, slot.stop, slot.target, slot.row, slot.profit
    st.n_trips += 1
    st.losses = 0 if slot.profit > 0 else st.losses + 1
    for j in range(k, st.n_open - 1):
        books.slots[j] = books.slots[j + 1]
    st.n_open -= 1


@compiled
def crossing(slot: Any, level: float, rises: bool, tape: Tape, t0: int, t1: int) -> int:
    """The first instant in (t0, t1] (within one minute) at which the closing price reaches a level, or -1."""
    half = -slot.side * 0.5 * tape.facts[slot.symbol].spread
    p0, p1 = price_at(tape.mid, slot.symbol, t0) + half, price_at(tape.mid, slot.symbol, t1) + half
    if (rises and p1 < level) or (not rises and p1 > level):
        return -1
    if (rises and p0 >= level) or (not rises and p0 <= level) or p1 == p0:
        return t0 + 1
    return t0 + 1 + int((level - p0) / (p1 - p0) * (t1 - t0 - 1))


@compiled
def first_crossing(books: Books, st: Any, tape: Tape, t0: int, t1: int, found: Array) -> int:
    """The earliest level reached in (t0, t1]; found holds the slot and which level (0 stop, 1 target, 2 half-way)."""
    best = NEVER
    for k in range(st.n_open):
        slot = books.slots[k]
        for which in range(3):
            level = slot.stop if which == 0 else (slot.target if which == 1 else slot.half)
            if level > 0:
                rises = (slot.side > 0) == (which > 0)
                at = crossing(slot, level, rises, tape, t0, t1)
                if 0 < at < best:
                    best = at
                    found[0], found[1] = k, which
    return best


@compiled
def take_level(at_ms: int, found: Array, books: Books, st: Any, tape: Tape) -> None:
    """Executes the level that was reached."""
    k = found[0]
    slot = books.slots[k]
    if found[1] == 2:
        step = tape.facts[slot.symbol].step
        part = np.floor(slot.lots / step * 0.5 + 0.5) * step
        close_lots(k, part, slot.half, CLIENT, at_ms, books, st, tape)
        slot.lots = np.floor((slot.lots - part) / step + 0.5) * step
        slot.half = 0.0
    elif found[1] == 1:
        close_position(k, slot.target, BY_TARGET, at_ms, books, st, tape)
    else:
        close_position(k, slot.stop, BY_STOP, at_ms, books, st, tape)


@compiled
def daily_floor(st: Any, terms: Any) -> float:
    """The floor of the running firm day."""
    if terms.daily_reference == 0:
        return -1e18
    reference = st.day_high if terms.daily_reference == 4 else st.day_reference
    size = cents(terms.daily_size * reference, st.scale) if terms.daily_base == 1 else terms.daily_size
    return float(reference - size)


@compiled
def maximum_floor(st: Any, terms: Any) -> float:
    """The max-loss floor under the present high water."""
    if terms.max_mode == 0:
        return -1e18
    if st.fixed_floor == 1:
        return float(st.max_floor)
    size = cents(terms.max_size * st.high, st.scale) if terms.max_base == 1 else terms.max_size
    floor = st.high - size
    if terms.locks == 1:
        floor = min(floor, st.initial + terms.lock_offset)
    return float(floor)


@compiled
def start_day(st: Any, terms: Any) -> None:
    """The reset: yesterday's results are booked and the references of the new firm day taken."""
    st.best_day = max(st.best_day, st.day_profit)
    st.net += st.day_profit
    st.positive += max(st.day_profit, 0.0)
    if terms.profitable_days > 0 and st.day_profit >= terms.profitable_amount:
        st.profitable_days += 1
    st.day_profit, st.traded_today, st.paused = 0.0, 0, 0
    st.day_high = st.equity
    st.day_reference = st.balance
    if terms.daily_reference == 2:
        st.day_reference = st.equity
    elif terms.daily_reference == 3:
        st.day_reference = max(st.balance, st.equity)
    if terms.max_mode == 4:
        st.high = max(st.high, st.balance)


@compiled
def consistent(st: Any, terms: Any) -> bool:
    """Whether the best day's share of profit is within the terms; a denominator of nothing does not bind."""
    if terms.best_day_share == 0:
        return True
    best = max(st.best_day, st.day_profit)
    whole = st.net + st.day_profit if terms.best_day_of_net == 1 else st.positive + max(st.day_profit, 0.0)
    return bool(whole <= 0 or best <= terms.best_day_share * whole)


@compiled
def enough_days(st: Any, terms: Any) -> bool:
    """Whether trading days and profitable days suffice, the running day included."""
    good = st.profitable_days + (1 if st.day_profit >= terms.profitable_amount else 0)
    return bool(st.trading_days >= terms.min_days and (terms.profitable_days == 0 or good >= terms.profitable_days))


@compiled
def judge(st: Any, terms: Any, at_ms: int) -> None:
    """Compares the equity with both floors and the balance with the target."""
    if terms.max_mode == 2:
        st.high = max(st.high, st.equity)
    elif terms.max_mode == 3:
        st.high = max(st.high, st.balance)
    st.day_high = max(st.day_high, st.equity)
    st.max_floor = maximum_floor(st, terms)
    st.day_floor = daily_floor(st, terms)
    slack = 1e-7
    below_max = st.equity < st.max_floor - slack or (terms.max_lte == 1 and st.equity < st.max_floor + slack)
    below_day = st.equity < st.day_floor - slack or (terms.daily_lte == 1 and st.equity < st.day_floor + slack)
    if below_max:
        st.outcome, st.ended_ms = BREACHED_MAX, at_ms
    elif below_day and st.paused == 0:
        if terms.daily_pauses == 1:
            st.paused = 2
        else:
            st.outcome, st.ended_ms = BREACHED_DAILY, at_ms
    elif terms.target > 0 and st.n_open == 0 and st.paused == 0:
        reached = st.balance - st.initial >= terms.target - slack
        if reached and enough_days(st, terms) and consistent(st, terms):
            st.outcome, st.ended_ms = PASSED, at_ms


@compiled
def note(st: Any, books: Books, at_ms: int, equity: float) -> None:
    """Writes one observation and makes it the account's equity."""
    st.equity = cents(equity, st.scale)
    st.seen_ms = at_ms
    row = books.seen[st.n_seen]
    row.at_ms, row.balance, row.equity = at_ms, cents(st.balance, st.scale), st.equity
    st.n_seen += 1


@compiled
def look(st: Any, books: Books, tape: Tape, at_ms: int, reset_ms: int) -> bool:
    """Observes the account when it is time, when equity moved a lot, or when it is under a floor."""
    equity = st.balance + floating(books, st, tape, at_ms)
    due = at_ms - st.seen_ms >= st.observe_ms or abs(equity - st.equity) >= 0.004 * st.initial
    under = equity <= max(st.max_floor, st.day_floor if st.paused == 0 else -1e18)
    if due or under or reset_ms - at_ms == MINUTE_MS:
        note(st, books, at_ms, equity)
        return True
    return False


@compiled
def close_all(at_ms: int, books: Books, st: Any, tape: Tape) -> None:
    """Liquidates every open position at the market."""
    while st.n_open > 0:
        slot = books.slots[0]
        close_position(0, fill(tape, slot.symbol, -slot.side, at_ms), STOPPED_OUT, at_ms, books, st, tape)


@compiled
def ask_for_payout(st: Any, terms: Any, books: Books, reviews: Array, at_ms: int) -> None:
    """A flat, eligible account whose owner wants money files a request; trading rests until the decision."""
    profit = st.balance - st.initial
    wanted = max(terms.payout_minimum, st.appetite * st.initial)
    ready = st.pending == 0 and at_ms >= st.next_request_ms and at_ms < st.asks_until and profit >= wanted
    if not ready or (st.patient == 1 and not (consistent(st, terms) and enough_days(st, terms))):
        return
    early = st.first_trade_ms == 0 or at_ms < st.first_trade_ms + terms.first_after_ms
    if early or st.n_requests >= reviews.shape[0]:
        return
    request = books.requests[st.n_requests]
    st.pending = cents(profit * st.withdraws, st.scale)
    st.decision_ms = at_ms + 10 * MINUTE_MS + reviews[st.n_requests, 0]
    request.at_ms, request.amount, request.refused = at_ms + 10 * MINUTE_MS, st.pending, reviews[st.n_requests, 1]
    request.paid_ms = 0
    st.n_requests += 1


@compiled
def pay(st: Any, terms: Any, books: Books) -> None:
    """The decision: the amount leaves the account, or the request is refused and trading goes on."""
    at_ms, amount = st.decision_ms, st.pending
    st.pending, st.decision_ms = 0.0, NEVER
    st.next_request_ms = at_ms + terms.cycle_ms
    request = books.requests[st.n_requests - 1]
    if request.refused == 1:
        return
    request.paid_ms = at_ms
    st.balance -= amount
    st.equity -= amount
    st.day_reference -= amount
    st.day_high -= amount
    st.best_day, st.net, st.positive, st.profitable_days = 0.0, -st.day_profit, -max(st.day_profit, 0.0), 0
    if terms.rebase == 1:
        st.high = st.balance
    elif terms.rebase == 2:
        st.max_floor, st.fixed_floor = st.initial + terms.rebase_offset, 1
    deal = books.deals[st.n_deals]
    deal.at_ms, deal.kind, deal.closes, deal.side, deal.symbol = at_ms, 1, 0, 0, -1
    deal.volume, deal.price, deal.commission, deal.swap, deal.profit = 0.0, 0.0, 0.0, 0.0, -amount
    deal.stop, deal.target, deal.reason, deal.position, deal.row = 0.0, 0.0, NO_REASON, 0, -1
    st.n_deals += 1


@compiled
def close_due(at_ms: int, plan: Array, books: Books, st: Any, tape: Tape) -> None:
    """Closes every position whose time has come."""
    k = 0
    while k < st.n_open:
        slot = books.slots[k]
        if slot.close_ms <= at_ms:
            price = fill(tape, slot.symbol, -slot.side, at_ms)
            close_position(k, price, plan[slot.row].reason, at_ms, books, st, tape)
        else:
            k += 1


@compiled
def open_due(at_ms: int, i: int, plan: Array, books: Books, st: Any, tape: Tape) -> int:
    """Opens what is planned for this instant unless trading rests; the next entry to come."""
    while i < plan.shape[0] and plan[i].open_ms <= at_ms:
        if plan[i].open_ms == at_ms and st.n_open < SLOTS and st.pending == 0 and st.paused == 0:
            open_position(plan, i, books, st, tape)
        i += 1
    return i


@compiled
def next_instant(at_ms: int, open_ms: int, reset_ms: int, st: Any, books: Books) -> int:
    """The next instant at which anything can happen."""
    soonest = min(open_ms, reset_ms)
    soonest = min(soonest, st.decision_ms)
    if st.n_open > 0:
        soonest = min(soonest, (at_ms // 60_000 + 1) * 60_000)
        for k in range(st.n_open):
            soonest = min(soonest, max(books.slots[k].close_ms, at_ms + 1))
    return int(soonest)


@compiled
def settle(at_ms: int, st: Any, terms: Any, books: Books, reviews: Array) -> None:
    """A flat account's equity is its balance; it is judged, and its owner may ask for money."""
    if st.n_open == 0:
        st.balance = cents(st.balance, st.scale)
        st.equity = st.balance
        judge(st, terms, at_ms)
        if terms.pays == 1 and st.outcome == ACTIVE and st.paused != 2:
            ask_for_payout(st, terms, books, reviews, at_ms)


@compiled
def market_is_open(st: Any, books: Books, tape: Tape, at_ms: int) -> bool:
    """Whether a held symbol trades at this minute."""
    if tape.fx_open[min(at_ms // 60_000, tape.fx_open.shape[0] - 1)]:
        return True
    crypto = 0
    for k in range(st.n_open):
        crypto += tape.facts[books.slots[k].symbol].crypto
    return bool(crypto > 0)


@compiled
def after_deals(
    at_ms: int, reset_ms: int, judged: bool, dealt: bool, st: Any, terms: Any, books: Books, tape: Tape, reviews: Array
) -> None:
    """The end of an instant: a look at open positions, and the one judgement."""
    if st.n_open == 0:
        if judged or dealt:
            settle(at_ms, st, terms, books, reviews)
    else:
        if at_ms % 60_000 == 0 and market_is_open(st, books, tape, at_ms):
            judged = look(st, books, tape, at_ms, reset_ms) or judged
        if judged:
            judge(st, terms, at_ms)
    if st.paused == 2:
        st.paused = 1
        close_all(at_ms + 2000, books, st, tape)
        settle(at_ms + 2000, st, terms, books, reviews)


@compiled
def live(
    st: Any,
    terms: Any,
    plan: Array,
    resets: Array,
    reviews: Array,
    start_ms: int,
    end_ms: int,
    tape: Tape,
    books: Books,
) -> None:
    """Runs the account from its opening until it passes, breaches or the history ends."""
    found = np.zeros(2, dtype=np.int64)
    at, i, r = start_ms, 0, np.searchsorted(resets, start_ms + 1)
    note(st, books, start_ms + 1000, st.balance)
    while (
        st.outcome == ACTIVE and st.n_seen < books.seen.shape[0] - 2 and st.n_deals < books.deals.shape[0] - 2 * SLOTS
    ):
        opens = plan[i].open_ms if i < plan.shape[0] else NEVER
        reset = resets[r] if r < resets.shape[0] else NEVER
        soon = min(max(next_instant(at, opens, reset, st, books), at), end_ms)
        if st.n_open > 0:
            crossed = first_crossing(books, st, tape, at, soon, found)
            if crossed < soon:
                at = crossed
                take_level(at, found, books, st, tape)
                settle(at, st, terms, books, reviews)
                continue
        at = soon
        if at >= end_ms:
            break
        judged = at >= reset or at == st.decision_ms
        if at == st.decision_ms:
            pay(st, terms, books)
        if at >= reset:
            start_day(st, terms)
            r += 1
        dealt = st.n_deals
        close_due(at, plan, books, st, tape)
        i = open_due(at, i, plan, books, st, tape)
        upcoming = resets[r] if r < resets.shape[0] else NEVER
        after_deals(at, upcoming, judged, st.n_deals > dealt, st, terms, books, tape, reviews)
    if st.outcome >= BREACHED_DAILY and st.n_open > 0:
        close_all(st.ended_ms + 2000, books, st, tape)


class Engine:
    """Runs accounts through one market, reusing its working memory."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.tape = Tape(market.mid, market.fx_open, market.facts, market.usd)
        self.books = Books(
            slots=np.zeros(SLOTS, dtype=SLOT_DTYPE),
            deals=np.zeros(200_000, dtype=DEAL_DTYPE),
            seen=np.zeros(200_000, dtype=SEEN_DTYPE),
            trips=np.zeros(100_000, dtype=TRIP_DTYPE),
            requests=np.zeros(64, dtype=REQUEST_DTYPE),
        )

    def run(
        self, state: Array, terms: Array, plan: Array, resets: Array, reviews: Array, start_ms: int, end_ms: int
    ) -> Life:
        """One account's life from its opening to its end.

        Raises OverflowError when an account has more events than the working memory holds.
        """
        books = self.books
        live(state[0], terms[0], plan, resets, reviews, start_ms, end_ms, self.tape, books)
        st = state[0]
        if st["n_seen"] >= len(books.seen) - 2 or st["n_deals"] >= len(books.deals) - 2 * SLOTS:
            raise OverflowError("an account of the demo firm has more events than its working memory holds")
        return Life(
            state=st.copy(),
            deals=books.deals[: st["n_deals"]].copy(),
            seen=books.seen[: st["n_seen"]].copy(),
            trips=books.trips[: st["n_trips"]].copy(),
            requests=books.requests[: st["n_requests"]].copy(),
        )


def new_state(initial: float, decimals: int, currency: int) -> Array:
    """A freshly opened account: one record, money in the account's currency."""
    states = np.zeros(1, dtype=STATE_DTYPE)
    one = states[0]
    for name in ("initial", "balance", "equity", "high", "day_reference", "day_high"):
        one[name] = initial
    one["scale"], one["currency"] = 10.0**decimals, currency
    one["observe_ms"], one["loss_multiplier"], one["risk_scale"] = 10 * MINUTE_MS, 1.0, 1.0
    one["withdraws"], one["patient"], one["asks_until"] = 1.0, 1, NEVER
    one["max_floor"] = one["day_floor"] = -1e18
    one["decision_ms"] = NEVER
    return states
