"""The walk: one compiled pass over each account's events in time order, judging floors and the target.

The sentences that decide are those of `docs/walk.md`. All money is in whole minor units, all instants in microseconds.
Batch, live, `explain` and what-if are this one function over the same events with other terms or other outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled, inlined
from models.rules import WITHIN_MAX

Array = NDArray[Any]

# Event kinds in the order in which one instant is read; the reset comes between CREDIT and TRADE. A PAUSING is told by
# no feed: a set-based rule paused the account then.
BALANCE, CREDIT, TRADE, OBSERVATION, PAUSING = 0, 1, 2, 3, 4
# Event flags.
FLAT, OPENING, PAYOUT, DEPOSIT = 1, 2, 4, 8
# Rules the walk names, in the order of its rule codes.
RULE_NAMES = ("", "max_loss", "daily_loss", "floating_loss", "daily_gain", "profit_target")
NO_RULE, MAX_LOSS, DAILY_LOSS, FLOATING_LOSS, DAILY_GAIN, PROFIT_TARGET = 0, 1, 2, 3, 4, 5
# What a verdict says and what follows.
BREACHED, PASSED, WARNED = 0, 1, 2
TERMINATE, PAUSE, WARN, SPLIT_CUT = 1, 2, 3, 4
EFFECT_NAMES = ("", "terminate", "pause", "warn", "split_cut")
# Where an account stands.
ACTIVE, STATUS_PASSED, STATUS_BREACHED, STATUS_PAUSED, STATUS_CLOSED = 0, 1, 2, 3, 4
STATUS_NAMES = ("active", "passed", "breached", "paused", "closed")
# Daily-loss references, max-loss modes, bases and rebases, as the terms code them.
REFERENCES = ("balance", "equity", "max", "intraday_high", "ratchet")
MODES = ("static", "trailing_equity", "trailing_closed", "trailing_eod")
# What makes a firm day a trading day.
DAY_COUNTS = ("opened", "opened_and_closed", "qualifying")
OPENED, OPENED_AND_CLOSED, QUALIFYING = 0, 1, 2
# What the best unit is held against.
CONSISTENT_OF = ("net", "positive", "target")
OF_POSITIVE, OF_TARGET = 1, 2
# What has the largest share: a day, a trade or idea, or one trade of all lots.
CONSISTENT_UNITS = ("day", "trade", "lot")
BY_TRADE, BY_LOT = 1, 2
NEVER = np.iinfo(np.int64).max
FAR = NEVER // 2  # beyond every amount, with room to add some
LOTS_SCALE = 100_000_000

TERMS = np.dtype(
    [
        ("initial", "i8"),
        ("opened_at", "i8"),
        ("closed_at", "i8"),
        ("clock", "i4"),
        ("dl_effect", "i4"),
        ("dl_reference", "i4"),
        ("dl_share", "i8"),
        ("dl_size", "i8"),
        ("dl_inclusive", "i8"),
        ("dl_warn", "i8"),
        ("ml_effect", "i4"),
        ("ml_mode", "i4"),
        ("ml_share", "i8"),
        ("ml_size", "i8"),
        ("ml_inclusive", "i8"),
        ("ml_lock", "i8"),
        ("ml_rebase", "i4"),
        ("fl_effect", "i4"),
        ("ml_rebase_floor", "i8"),
        ("ml_warn", "i8"),
        ("fl_share", "i8"),
        ("fl_size", "i8"),
        ("dg_share", "i8"),
        ("dg_size", "i8"),
        ("dg_effect", "i4"),
        ("pt_basis", "i4"),
        ("pt_size", "i8"),
        ("pt_flat", "i4"),
        ("min_days", "i4"),
        ("profitable_days", "i4"),
        ("profitable_within", "i4"),
        ("cs_unit", "i4"),
        ("profitable_size", "i8"),
        ("cs_share", "i8"),
        ("cs_of", "i4"),
        ("cs_raises", "i4"),
        ("cs_merge", "i8"),
        ("fl_strikes", "i8"),
        ("fl_strike_effect", "i4"),
        ("day_counts", "i4"),
        ("day_lots", "i8"),
        ("day_size", "i8"),
        ("fl_least", "i8"),
        ("fl_of_profit", "i4"),
    ]
)
"""Terms of one account in minor units. `*_effect` 0 = no such rule. `*_share` is a percentage × 10⁴ of a moving base
and `*_size` a fixed size; one of them is 0. `ml_lock` and `closed_at` are NEVER where there is none. `day_counts`,
`day_lots` (10⁻⁸) and `day_size` say what makes a firm day a trading day. `cs_merge` is how many seconds apart trades
of one idea may lie, -1 where every trade stands alone. `profitable_within` is how many firm days back, today's
included, profitable days count; 0 = all of the stage. With `fl_of_profit` the open loss is held against a share of
what the account had made by the reset, at least `fl_least`; where that is 0 and nothing was made, against nothing."""

RESULT = np.dtype(
    [
        ("status", "i4"),
        ("rule", "i4"),
        ("status_at", "i8"),
        ("balance", "i8"),
        ("equity", "i8"),
        ("daily_floor", "i8"),
        ("max_floor", "i8"),
        ("daily_reference", "i8"),
        ("high_water", "i8"),
        ("profit", "i8"),
        ("trading_days", "i4"),
        ("profitable_days", "i4"),
        ("observed", "i4"),
        ("flat", "i4"),
        ("best", "i8"),
        ("payouts", "i8"),
        ("target", "i8"),
        ("last_at", "i8"),
    ]
)
"""Where one account stands after its walk; floors are -NEVER where the stage has no such rule."""

VERDICT = np.dtype(
    [
        ("account", "i4"),
        ("rule", "i4"),
        ("outcome", "i4"),
        ("effect", "i4"),
        ("at", "i8"),
        ("observed", "i8"),
        ("allowed", "i8"),
        ("reference", "i8"),
        ("size", "i8"),
        ("balance", "i8"),
        ("equity", "i8"),
        ("high_water", "i8"),
        ("reset_at", "i8"),
        ("event", "i8"),
        ("firm_day", "i4"),
        ("seen", "i4"),
    ]
)
"""One verdict: `event` is the index of the instant's last event (-1 for a reset), `seen` if equity was observed."""

DAY = np.dtype(
    [
        ("account", "i4"),
        ("firm_day", "i4"),
        ("opened_at", "i8"),
        ("open_equity", "i8"),
        ("high_equity", "i8"),
        ("low_equity", "i8"),
        ("close_equity", "i8"),
        ("close_balance", "i8"),
        ("closed_profit", "i8"),
        ("daily_floor", "i8"),
        ("max_floor", "i8"),
        ("money_moved", "i8"),
        ("trades", "i4"),
        ("events", "i4"),
    ]
)

STEP = np.dtype(
    [
        ("at", "i8"),
        ("balance", "i8"),
        ("equity", "i8"),
        ("daily_reference", "i8"),
        ("daily_floor", "i8"),
        ("high_water", "i8"),
        ("max_floor", "i8"),
        ("event", "i8"),
        ("firm_day", "i4"),
        ("reset", "i4"),
        ("judged", "i4"),
    ]
)
"""One instant of an account, for charts and for `explain`: how balance, equity and both floors stood after it."""

_KEPT_AMOUNTS = (
    "balance", "equity", "reference", "ratchet", "gain_reference", "high_water", "credit", "ops", "dl_size",
    "max_floor", "daily_floor", "day_net", "day_net_paid", "stage_net", "payouts", "best", "positive", "best_before",
    "positive_before", "day_start", "trading_days", "profitable_before", "struck", "status", "rule", "status_at",
    "last_at", "good_days", "good_day",
)  # fmt: skip
_KEPT_FLAGS = (
    "deposited", "observed", "flat", "pinned", "day_traded", "traded", "paused", "silent_daily", "silent_max",
    "silent_floating", "silent_gain", "warned_daily", "warned_max", "day_open",
)  # fmt: skip
STATE = np.dtype(
    [("begun", "i4"), ("at", "i8"), ("firm_day", "i4"), ("last_trading_day", "i4"), ("day", DAY)]
    + [(name, "i8") for name in _KEPT_AMOUNTS]
    + [(name, "i4") for name in _KEPT_FLAGS]
)
"""Everything a walk knows of an account after the instant `at`, so that it can go on from there; `begun` 0 = new."""


@dataclass(frozen=True)
class Events:
    """Events sorted by account, instant and reading order: `starts[a]:starts[a + 1]` are those of account a.

    `at` microseconds, `kind` and `flags` as above, `amount` minor units (a deal's net, an operation's amount or the
    equity observed), `row` where the event came from in the frame it was made of. At the deal that closed a position
    `closed_net` is what it made, `opened_at` when it was opened and `lots` the most it held, in 10⁻⁸ (0 elsewhere).
    `part` numbers the positions of an account by the deals of each (-1: no trade). At a position's first deal `beside`
    is the last position before in its symbol and direction (-1: none) and `gap` the whole seconds, rounded up, since
    nothing was open there any more.
    """

    starts: Array
    at: Array
    kind: Array
    flags: Array
    amount: Array
    closed_net: Array
    row: Array
    opened_at: Array
    lots: Array
    part: Array
    beside: Array
    gap: Array


@dataclass(frozen=True)
class Walked:
    """What a walk gives: one RESULT per account, its verdicts, and days and steps where they were asked for."""

    results: Array
    verdicts: Array
    days: Array
    steps: Array


def walk(
    events: Events,
    terms: Array,
    schedules: list[tuple[Array, Array]],
    as_of: int,
    *,
    want_days: bool = False,
    want_steps: bool = False,
    states: Array | None = None,
) -> Walked:
    """Judges every account from its start to `as_of` (microseconds, included).

    With `states` (one STATE per account) each walk goes on from there, passing over events up to its instant, and
    leaves there how it stands at `as_of`; `as_of` may not lie before a state. Verdicts are those of what was walked.

    `terms` is a TERMS array with one row per account, whose `clock` points into `schedules`: reset instants and the
    firm days that they open, from before the first event on. Verdicts come in order of account and time.
    """
    offsets = np.cumsum([0] + [len(instants) for instants, _ in schedules]).astype(np.int64)
    instants = _joined([one for one, _ in schedules], np.int64)
    firm_days = _joined([one for _, one in schedules], np.int32)
    accounts = len(terms)
    results = np.zeros(accounts, RESULT)
    room = len(events.at) + 2 * accounts
    days = np.zeros(room if want_days else 0, DAY)
    steps = np.zeros(room + _resets_walked(terms, schedules, as_of) if want_steps else 0, STEP)
    capacity = 3 * accounts + 1024
    before = np.zeros(0, STATE) if states is None else states
    unit_best, unit_positive = _of_units(events, terms)
    while True:
        verdicts, kept = np.zeros(capacity, VERDICT), before.copy()
        counts = _walk(
            events.starts,
            events.at,
            events.kind,
            events.flags,
            events.amount,
            events.closed_net,
            events.opened_at,
            events.lots,
            unit_best,
            unit_positive,
            terms,
            offsets,
            instants,
            firm_days,
            as_of,
            results,
            verdicts,
            days,
            steps,
            kept,
        )
        if counts[0] <= capacity:
            break
        # once more with room for all; what days add up begins anew
        capacity = int(counts[0])
        days[: counts[1]] = np.zeros((), DAY)
    before[:] = kept
    return Walked(results, verdicts[: counts[0]], days[: counts[1]], steps[: counts[2]])


def _of_units(events: Events, terms: Array) -> tuple[Array, Array]:
    """After each deal the best and all positive trades or ideas since the last payout, where terms ask for them; where
    they ask for lots the most of one closed position and those of all (10⁻⁶)."""
    asked = terms["cs_unit"] != 0
    room = len(events.at) if asked.any() else 0
    best, positive = np.zeros(room, np.int64), np.zeros(room, np.int64)
    if room:
        _add_up_units(
            events.starts,
            events.kind,
            events.flags,
            events.amount,
            events.part,
            events.beside,
            events.gap,
            events.lots,
            terms["cs_unit"].copy(),
            terms["cs_merge"].copy(),
            best,
            positive,
        )
    return best, positive


@compiled
def _add_up_units(
    starts: Any,
    kind: Any,
    flags: Any,
    amount: Any,
    part: Any,
    beside: Any,
    gap: Any,
    lots: Any,
    asked: Any,
    merge: Any,
    bests: Any,
    positives: Any,
) -> None:
    for account in range(len(asked)):
        if asked[account] == 0:
            continue
        first, last = starts[account], starts[account + 1]
        idea = np.full(last - first, -1, np.int64)
        made = np.zeros(last - first, np.int64)
        best, positive, parts = np.int64(0), np.int64(0), 0
        for i in range(first, last):
            if kind[i] == BALANCE and flags[i] & PAYOUT:
                made[:] = 0
                best, positive = np.int64(0), np.int64(0)
            elif asked[account] == BY_LOT:
                best, positive = max(best, lots[i] // 100), positive + lots[i] // 100
            elif kind[i] == TRADE and part[i] >= 0:
                one = part[i]
                parts = max(parts, one + 1)
                if idea[one] < 0:
                    joins = beside[i] >= 0 and idea[beside[i]] >= 0 and gap[i] <= merge[account]
                    idea[one] = idea[beside[i]] if joins else one
                unit = idea[one]
                before = made[unit]
                made[unit] += amount[i]
                positive += max(made[unit], 0) - max(before, 0)
                if made[unit] >= best:
                    best = made[unit]
                elif before == best:
                    best = max(made[:parts].max(), np.int64(0))
            bests[i], positives[i] = best, positive


def _joined(parts: list[Array], kind: Any) -> Array:
    return np.concatenate([*parts, np.zeros(0, kind)]).astype(kind)


def _resets_walked(terms: Array, schedules: list[tuple[Array, Array]], as_of: int) -> int:
    longest = max((len(instants[: np.searchsorted(instants, as_of, "right")]) for instants, _ in schedules), default=0)
    return int(longest * len(terms))


@inlined
def _percent(share: int, base: int) -> int:
    """A percentage × 10⁴ of an amount, rounded half up (a half goes away from zero)."""
    product = share * base
    return (product + 500_000) // 1_000_000 if product >= 0 else -((-product + 500_000) // 1_000_000)


@inlined
def _under(high_water: int, share: int, size: int, lock: int) -> int:
    """The maximum-loss floor below a high water, no higher than its lock."""
    return min(high_water - (size if share == 0 else _percent(share, high_water)), lock)


@inlined
def _raised(target: int, best: int, share: int) -> int:
    """The target, or the profit of which the best unit is just the share where that is more; rounded half up."""
    return max(target, (best * 1_000_000 + share // 2) // share)


@inlined
def _cut(floor: int, effect: int, inclusive: int) -> int:
    """The least equity that does not break a floor; below every amount where there is no such rule."""
    return floor + (1 if inclusive != 0 else 0) if effect != 0 else -NEVER


@compiled
def _recent(days: Any, last: Any, today: Any, within: Any) -> Any:
    """How many days that the bits of `days` stand for, counted back from `last`, lie among so many up to today."""
    days &= (1 << max(within - (today - last), 0)) - 1
    count = 0
    while days:
        days &= days - 1
        count += 1
    return count


@inlined
def _open_day(row: Any, account: int, firm_day: Any, opened_at: int, equity: int) -> None:
    row["account"], row["firm_day"], row["opened_at"] = account, firm_day, opened_at
    row["open_equity"] = row["high_equity"] = row["low_equity"] = equity


@inlined
def _note_day(row: Any, equity: int, balance: int, profit: int, daily_floor: int, max_floor: int, moved: int) -> None:
    row["high_equity"] = max(row["high_equity"], equity)
    row["low_equity"] = min(row["low_equity"], equity)
    row["close_equity"], row["close_balance"], row["closed_profit"] = equity, balance, profit
    row["daily_floor"], row["max_floor"] = daily_floor, max_floor
    row["money_moved"] += moved


@compiled
def _walk(
    starts: Any,
    at: Any,
    kind: Any,
    flags: Any,
    amount: Any,
    closed_net: Any,
    position_opened_at: Any,
    position_lots: Any,
    unit_best: Any,
    unit_positive: Any,
    terms: Any,
    offsets: Any,
    resets: Any,
    firm_days: Any,
    as_of: Any,
    results: Any,
    verdicts: Any,
    days: Any,
    steps: Any,
    states: Any,
) -> Any:
    resumable = len(states) > 0
    want_days, want_steps = len(days) > 0, len(steps) > 0
    n_verdicts, n_days, n_steps = 0, 0, 0
    for account in range(len(terms)):
        T: Any = terms[account]  # noqa: N806 - the terms, on nearly every line
        # unsigned places spare every read of an array the question whether it counts from the end
        i, end = np.uint64(starts[account]), np.uint64(starts[account + 1])
        initial = T["initial"]
        begin = T["opened_at"]
        if i < end and at[i] < begin:
            begin = at[i]
        resumed = resumable and states[account]["begun"] != 0
        if resumed:
            begin = states[account]["at"]
            while i < end and at[i] <= begin:
                i += np.uint64(1)
        stop: Any = min(as_of, T["closed_at"])
        dl_effect, dl_kind, dl_share = T["dl_effect"], T["dl_reference"], T["dl_share"]
        dl_inclusive, dl_warn, dl_size = T["dl_inclusive"], T["dl_warn"], T["dl_size"]
        ml_effect, ml_mode, ml_share, ml_lock = T["ml_effect"], T["ml_mode"], T["ml_share"], T["ml_lock"]
        ml_inclusive, ml_warn, ml_size, ml_rebase = T["ml_inclusive"], T["ml_warn"], T["ml_size"], T["ml_rebase"]
        fl_effect, dg_effect = T["fl_effect"], T["dg_effect"]
        target: Any = T["pt_size"] if T["pt_size"] > 0 else NEVER
        on_equity, by_unit, profitable_size = T["pt_basis"] == 1, T["cs_unit"] != 0, T["profitable_size"]
        day_counts, struck, within = T["day_counts"], 0, T["profitable_within"]
        watched = fl_effect != 0 or dg_effect != 0 or dl_warn > 0 or ml_warn > 0
        short_of_target: Any = T["pt_size"] - 1 + initial if T["pt_size"] > 0 else FAR
        calm = not (want_days or want_steps or watched or by_unit or day_counts != OPENED)

        # the reset that opened the first firm day
        low, last_reset = offsets[T["clock"]], offsets[T["clock"] + 1]
        high = last_reset
        while low < high:
            middle = (low + high) // 2
            if resets[middle] <= begin:
                low = middle + 1
            else:
                high = middle
        r = low
        firm_day = firm_days[r - 1] if r > offsets[T["clock"]] else np.int32(-1)
        next_reset: Any = resets[r] if r < last_reset else NEVER
        day_start = begin

        balance: Any = initial
        equity: Any = initial
        reference: Any = initial
        ratchet: Any = initial
        gain_reference: Any = initial
        high_water: Any = initial
        credit: Any = np.int64(0)
        ops: Any = np.int64(0)
        deposited, observed, flat = False, False, True
        if dl_share != 0:
            dl_size = _percent(dl_share, reference)
        pinned = False
        max_floor: Any = _under(high_water, ml_share, ml_size, ml_lock)
        daily_floor: Any = reference - dl_size
        # counters
        trading_days, last_trading_day = 0, np.int32(-2)
        day_net: Any = np.int64(0)
        day_net_paid: Any = np.int64(0)
        stage_net: Any = np.int64(0)
        payouts: Any = np.int64(0)
        best: Any = np.int64(0)
        positive: Any = np.int64(0)
        best_before: Any = np.int64(0)
        positive_before: Any = np.int64(0)
        profitable_before = 0
        good_days, good_day = np.int64(0), np.int64(firm_day)
        day_traded, traded = False, False
        paused, silent_daily, silent_max, silent_floating, silent_gain = False, False, False, False, False
        pausing = False
        warned_daily, warned_max = False, False
        status, rule, status_at, last_at = ACTIVE, NO_RULE, begin, begin
        day_row = -1
        if resumed:
            S: Any = states[account]  # noqa: N806 - the state, as T
            firm_day, last_trading_day = S["firm_day"], S["last_trading_day"]
            balance, equity, reference = S["balance"], S["equity"], S["reference"]
            ratchet, gain_reference, high_water = S["ratchet"], S["gain_reference"], S["high_water"]
            credit, ops, dl_size = S["credit"], S["ops"], S["dl_size"]
            max_floor, daily_floor, day_net = S["max_floor"], S["daily_floor"], S["day_net"]
            day_net_paid, stage_net, payouts = S["day_net_paid"], S["stage_net"], S["payouts"]
            best, positive, best_before = S["best"], S["positive"], S["best_before"]
            positive_before, day_start, trading_days = S["positive_before"], S["day_start"], S["trading_days"]
            profitable_before, struck, status = S["profitable_before"], S["struck"], S["status"]
            good_days, good_day = S["good_days"], S["good_day"]
            rule, status_at, last_at = S["rule"], S["status_at"], S["last_at"]
            deposited, observed = S["deposited"] != 0, S["observed"] != 0
            flat, pinned = S["flat"] != 0, S["pinned"] != 0
            day_traded, traded, paused = S["day_traded"] != 0, S["traded"] != 0, S["paused"] != 0
            silent_daily, silent_max, silent_floating = (
                S["silent_daily"] != 0,
                S["silent_max"] != 0,
                S["silent_floating"] != 0,
            )
            silent_gain, warned_daily, warned_max = (
                S["silent_gain"] != 0,
                S["warned_daily"] != 0,
                S["warned_max"] != 0,
            )
            if want_days and S["day_open"] != 0:
                day_row = n_days
                n_days += 1
                days[day_row] = S["day"]
                days[day_row]["account"] = account
            if status in (STATUS_PASSED, STATUS_BREACHED):
                stop = -NEVER  # it has come to its end

        upcoming: Any = at[i] if i < end else NEVER
        max_cut: Any = -NEVER if silent_max else _cut(max_floor, ml_effect, ml_inclusive)
        daily_cut: Any = -NEVER if silent_daily else _cut(daily_floor, dl_effect, dl_inclusive)
        while True:
            if pausing:
                # a rule paused the account: nothing passes from that instant on, no daily loss is judged after it
                pausing, silent_daily, daily_cut = False, True, -NEVER
                if status == ACTIVE:
                    status, status_at = STATUS_PAUSED, last_at
            if calm:
                # read on while deals and observations come one by one, move no floor, break none and reach no target;
                # whatever may matter is left to the long way, so stopping early costs nothing but time
                low_equity: Any = max(max_cut, daily_cut)
                top_equity: Any = high_water if ml_mode == 1 else NEVER
                top_balance: Any = high_water if ml_mode == 2 else NEVER
                if dl_kind == 3:
                    top_equity = min(top_equity, reference)
                if on_equity:
                    top_equity = min(top_equity, short_of_target + ops + credit)
                else:
                    top_balance = min(top_balance, short_of_target + ops)
                balance_then = balance
                while upcoming < next_reset and upcoming <= stop:
                    following: Any = at[i + np.uint64(1)] if i + np.uint64(1) < end else NEVER
                    if following == upcoming:
                        break
                    if kind[i] == TRADE:
                        after = balance + amount[i]
                        marks = flags[i]
                        then = after + credit if marks & FLAT or not observed else equity
                        if then < low_equity or then > top_equity or after > top_balance:
                            break
                        balance, equity, flat = after, then, marks & FLAT != 0
                        day_traded = traded = True
                        if marks & OPENING and firm_day != last_trading_day:
                            trading_days += 1
                            last_trading_day = firm_day
                    elif kind[i] == OBSERVATION:
                        then = amount[i]
                        if then < low_equity or then > top_equity or balance > top_balance:
                            break
                        equity, observed = then, True
                    else:
                        break
                    last_at, upcoming = upcoming, following
                    i += np.uint64(1)
                stage_net += balance - balance_then
                day_net += balance - balance_then
            now: Any = upcoming
            is_reset = next_reset <= now
            if is_reset:
                now = next_reset
            if now > stop or now == NEVER:
                break
            judge, moved_equity, has_deal, moved_floor = is_reset, False, False, is_reset
            event: Any = np.int64(-1)
            before_reset: Any = np.int64(-1)
            moved: Any = np.int64(0)
            opened = 0

            # 1. balance operations
            more = upcoming == now
            while more and kind[i] <= CREDIT:
                value = amount[i]
                judge, event = True, np.int64(i)
                if kind[i] == CREDIT:
                    credit += value
                    equity += value
                elif flags[i] & DEPOSIT:
                    deposited = True
                else:
                    balance += value
                    equity += value
                    ops += value
                    moved += value
                    reference += value
                    ratchet += value
                    gain_reference += value
                    moved_floor = True
                    if flags[i] & PAYOUT:
                        payouts -= value
                        # consistency looks at what was made since
                        stage_net, best, positive = np.int64(0), np.int64(0), np.int64(0)
                        best_before, positive_before, day_net_paid = np.int64(0), np.int64(0), day_net
                        if ml_rebase == 1:
                            high_water = balance
                            if ml_mode != 0 and not pinned:
                                max_floor = _under(high_water, ml_share, ml_size, ml_lock)
                        elif ml_rebase == 2:
                            pinned, max_floor = True, T["ml_rebase_floor"]
                i += np.uint64(1)
                upcoming = at[i] if i < end else NEVER
                more = upcoming == now

            # 2. the reset
            if is_reset:
                if want_days and event >= 0:
                    # money that moved belongs to the day that ends
                    if day_row < 0:
                        day_row = n_days
                        n_days += 1
                        _open_day(days[day_row], account, firm_day, day_start, gain_reference - moved)
                    floor = reference - (dl_size if dl_share == 0 else _percent(dl_share, reference))
                    _note_day(days[day_row], equity, balance, day_net, floor, max_floor, moved)
                    days[day_row]["events"] += 1
                moved, before_reset = np.int64(0), event
                ended_day = firm_day
                firm_day, day_start, day_row = firm_days[r], now, -1
                r += 1
                next_reset = resets[r] if r < last_reset else NEVER
                ratchet = max(ratchet, balance, equity)
                if dl_kind == 0:
                    reference = balance
                elif dl_kind == 2:
                    reference = max(balance, equity)
                elif dl_kind == 4:
                    reference = ratchet
                else:
                    reference = equity
                gain_reference = equity
                if ml_mode == 3 and balance > high_water:
                    high_water = balance
                if day_traded:
                    best_before = max(best_before, day_net - day_net_paid)
                    positive_before += max(day_net - day_net_paid, 0)
                    if day_net >= profitable_size:
                        profitable_before += 1
                        good_days = good_days << min(ended_day - good_day, WITHIN_MAX) | 1
                        good_day = np.int64(ended_day)
                    day_net, day_net_paid, day_traded = np.int64(0), np.int64(0), False
                paused, silent_daily, silent_max, silent_floating, silent_gain = False, False, False, False, False
                warned_daily = False
                if status == STATUS_PAUSED:
                    status, status_at, rule = ACTIVE, now, NO_RULE

            # 3. deals, 4. observations, 5. pauses
            while more:
                value = amount[i]
                if kind[i] < OBSERVATION:
                    event = np.int64(i)
                    has_deal = True
                    balance += value
                    stage_net += value
                    day_net += value
                    flat = flags[i] & FLAT != 0
                    if flags[i] & OPENING:
                        opened += 1
                    counts = flags[i] & OPENING != 0
                    if day_counts == OPENED_AND_CLOSED:
                        counts = position_opened_at[i] >= day_start
                    elif day_counts == QUALIFYING:
                        large = position_lots[i] > 0 and position_lots[i] >= T["day_lots"]
                        counts = large and abs(closed_net[i]) >= T["day_size"]
                    if counts and firm_day != last_trading_day:
                        trading_days += 1
                        last_trading_day = firm_day
                    if by_unit:
                        best, positive = unit_best[i], unit_positive[i]
                    if flat or not observed:
                        equity = balance + credit
                        judge, moved_equity = True, True
                elif kind[i] == OBSERVATION:
                    event = np.int64(i)
                    equity = value
                    observed, judge, moved_equity = True, True, True
                else:
                    paused = pausing = True
                i += np.uint64(1)
                upcoming = at[i] if i < end else NEVER
                more = upcoming == now
            if has_deal:
                day_traded, traded = True, True
                if ml_mode == 2 and balance > high_water:
                    high_water, moved_floor = balance, True

            # the floors as they stand now
            if moved_equity:
                if ml_mode == 1 and equity > high_water:
                    high_water, moved_floor = equity, True
                if dl_kind == 3 and equity > reference:
                    reference, moved_floor = equity, True
            if moved_floor:
                if dl_share != 0:
                    dl_size = _percent(dl_share, reference)
                daily_floor = reference - dl_size
                if ml_mode != 0 and not pinned:
                    max_floor = _under(high_water, ml_share, ml_size, ml_lock)
                max_cut = -NEVER if silent_max else _cut(max_floor, ml_effect, ml_inclusive)
                daily_cut = -NEVER if silent_daily else _cut(daily_floor, dl_effect, dl_inclusive)
            last_at = now

            if want_days and event > before_reset:
                if day_row < 0:
                    day_row = n_days
                    n_days += 1
                    _open_day(days[day_row], account, firm_day, day_start, gain_reference - moved)
                _note_day(days[day_row], equity, balance, day_net, daily_floor, max_floor, moved)
                days[day_row]["trades"] += opened
                days[day_row]["events"] += 1
            if want_steps:
                step = steps[n_steps]
                n_steps += 1
                step["at"], step["balance"], step["equity"] = now, balance, equity
                step["daily_reference"], step["daily_floor"] = reference, daily_floor
                step["high_water"], step["max_floor"] = high_water, max_floor
                step["event"], step["firm_day"] = event, firm_day
                step["reset"], step["judged"] = is_reset, judge

            if not judge:
                continue

            # judged once, after everything of the instant: the common case is that nothing is near
            profit: Any = (equity - credit if on_equity else balance) - ops - initial
            hit_max, hit_daily = equity < max_cut, equity < daily_cut
            if not (hit_max or hit_daily or profit >= target or watched):
                if is_reset and event < 0 and not pausing and not want_steps:
                    # nothing moves until the next event, so every reset before it says the same
                    until: Any = min(upcoming, stop + 1)
                    while next_reset < until:
                        firm_day, day_start = firm_days[r], next_reset
                        r += 1
                        next_reset = resets[r] if r < last_reset else NEVER
                continue

            found, effect, outcome, due = NO_RULE, 0, BREACHED, target
            fl_size: Any = T["fl_size"]
            if T["fl_share"] != 0:
                if T["fl_of_profit"] != 0:
                    made_before = balance - day_net - initial
                    bound = made_before > 0 or T["fl_least"] > 0
                    fl_size = max(_percent(T["fl_share"], made_before), T["fl_least"]) if bound else NEVER
                else:
                    fl_size = _percent(T["fl_share"], balance)
            dg_size: Any = T["dg_size"] if T["dg_share"] == 0 else _percent(T["dg_share"], gain_reference)
            profitable = _recent(good_days, good_day, firm_day, within) if within else profitable_before
            profitable += 1 if day_traded and day_net >= profitable_size else 0
            hit_floating = fl_effect != 0 and not silent_floating and not flat and balance + credit - equity > fl_size
            fl_follows: Any = fl_effect if struck >= T["fl_strikes"] else T["fl_strike_effect"]
            if hit_max:
                found, effect = MAX_LOSS, ml_effect
            elif hit_daily and (dl_effect == TERMINATE or not hit_floating or fl_follows != TERMINATE):
                found, effect = DAILY_LOSS, dl_effect
            elif hit_floating:
                struck += 1
                found, effect = FLOATING_LOSS, fl_follows
            elif dg_effect != 0 and not silent_gain and equity - gain_reference >= dg_size:
                found, effect = DAILY_GAIN, dg_effect
            elif (
                profit >= target
                and not paused
                and (flat or T["pt_flat"] == 0)
                and trading_days >= T["min_days"]
                and profitable >= T["profitable_days"]
            ):
                holds = True
                if T["cs_share"] > 0:
                    top = best if by_unit else max(best_before, day_net - day_net_paid)
                    total = stage_net
                    if T["cs_of"] == OF_TARGET:
                        total = target
                    elif T["cs_of"] == OF_POSITIVE:
                        total = positive if by_unit else positive_before + max(day_net - day_net_paid, 0)
                    holds = total <= 0 or top * 1_000_000 <= T["cs_share"] * total
                    if T["cs_raises"] != 0:
                        due = _raised(target, top, T["cs_share"])
                        holds = profit >= due
                if holds:
                    found, effect, outcome = PROFIT_TARGET, 0, PASSED

            if found == NO_RULE:
                # warnings, once a day for the daily floor and once for the other
                top_of_max: Any = high_water if ml_mode > 0 else initial
                for near in (MAX_LOSS, DAILY_LOSS):
                    if near == MAX_LOSS:
                        base, floor, share = top_of_max, max_floor, ml_warn
                        due = ml_effect != 0 and not warned_max and not silent_max
                    else:
                        base, floor, share = reference, daily_floor, dl_warn
                        due = dl_effect != 0 and not warned_daily and not silent_daily
                    if not due or share == 0 or base <= floor or (base - equity) * 1_000_000 < share * (base - floor):
                        continue
                    if near == MAX_LOSS:
                        warned_max = True
                    else:
                        warned_daily = True
                    if n_verdicts < len(verdicts):
                        v = verdicts[n_verdicts]
                        v["account"], v["rule"], v["outcome"], v["effect"] = account, near, WARNED, WARN
                        v["at"], v["observed"], v["allowed"], v["event"] = now, equity, floor, event
                        v["reference"], v["size"] = base, base - floor
                        v["balance"], v["equity"], v["high_water"] = balance, equity, high_water
                        v["reset_at"], v["firm_day"], v["seen"] = day_start, firm_day, observed
                    n_verdicts += 1
                continue

            if n_verdicts < len(verdicts):
                v = verdicts[n_verdicts]
                v["account"], v["rule"], v["outcome"], v["effect"] = account, found, outcome, effect
                v["at"], v["event"], v["reset_at"], v["firm_day"], v["seen"] = now, event, day_start, firm_day, observed
                v["balance"], v["equity"], v["high_water"] = balance, equity, high_water
                if found == MAX_LOSS:
                    v["observed"], v["allowed"] = equity, max_floor
                    v["reference"] = initial if ml_mode == 0 else high_water
                    v["size"] = v["reference"] - max_floor
                elif found == DAILY_LOSS:
                    v["observed"], v["allowed"], v["reference"], v["size"] = equity, daily_floor, reference, dl_size
                elif found == FLOATING_LOSS:
                    v["observed"], v["allowed"] = balance + credit - equity, fl_size
                    v["reference"], v["size"] = balance + credit, fl_size
                elif found == DAILY_GAIN:
                    v["observed"], v["allowed"] = equity, gain_reference + dg_size
                    v["reference"], v["size"] = gain_reference, dg_size
                else:
                    v["observed"], v["allowed"], v["reference"], v["size"] = profit, due, initial, due
            n_verdicts += 1

            if outcome == PASSED:
                status, rule, status_at = STATUS_PASSED, found, now
                break
            if effect == TERMINATE:
                status, rule, status_at = STATUS_BREACHED, found, now
                break
            if effect == PAUSE:
                status, rule, status_at = STATUS_PAUSED, found, now
                paused = silent_daily = True
            # a rule that has spoken is silent until the reset
            if found == MAX_LOSS:
                silent_max = True
            elif found == DAILY_LOSS:
                silent_daily = True
            elif found == FLOATING_LOSS:
                silent_floating = True
            else:
                silent_gain = True
            max_cut = -NEVER if silent_max else max_cut
            daily_cut = -NEVER if silent_daily else daily_cut

        if resumable:
            S = states[account]  # noqa: N806
            S["begun"], S["at"] = 1, min(as_of, T["closed_at"])
            S["firm_day"], S["last_trading_day"] = firm_day, last_trading_day
            S["balance"], S["equity"], S["reference"] = balance, equity, reference
            S["ratchet"], S["gain_reference"], S["high_water"] = ratchet, gain_reference, high_water
            S["credit"], S["ops"], S["dl_size"] = credit, ops, dl_size
            S["max_floor"], S["daily_floor"], S["day_net"] = max_floor, daily_floor, day_net
            S["day_net_paid"], S["stage_net"], S["payouts"] = day_net_paid, stage_net, payouts
            S["best"], S["positive"], S["best_before"] = best, positive, best_before
            S["positive_before"], S["day_start"], S["trading_days"] = positive_before, day_start, trading_days
            S["profitable_before"], S["struck"], S["status"] = profitable_before, struck, status
            S["rule"], S["status_at"], S["last_at"] = rule, status_at, last_at
            S["good_days"], S["good_day"] = good_days, good_day
            S["deposited"], S["observed"], S["flat"], S["pinned"] = deposited, observed, flat, pinned
            S["day_traded"], S["traded"], S["paused"] = day_traded, traded, paused
            S["silent_daily"], S["silent_max"], S["silent_floating"] = silent_daily, silent_max, silent_floating
            S["silent_gain"], S["warned_daily"], S["warned_max"] = silent_gain, warned_daily, warned_max
            S["day_open"] = day_row >= 0
            if day_row >= 0:
                S["day"] = days[day_row]
        if status in (ACTIVE, STATUS_PAUSED) and T["closed_at"] <= as_of:
            status, status_at = STATUS_CLOSED, T["closed_at"]
        out = results[account]
        out["status"], out["rule"], out["status_at"], out["last_at"] = status, rule, status_at, last_at
        out["balance"], out["equity"], out["high_water"] = balance, equity, high_water
        out["daily_reference"] = reference
        out["daily_floor"] = daily_floor if dl_effect != 0 else -NEVER
        out["max_floor"] = max_floor if ml_effect != 0 else -NEVER
        out["profit"] = (equity - credit if on_equity else balance) - ops - initial
        out["trading_days"] = trading_days
        profitable = _recent(good_days, good_day, firm_day, within) if within else profitable_before
        out["profitable_days"] = profitable + (1 if day_traded and day_net >= profitable_size else 0)
        out["observed"], out["flat"], out["payouts"] = observed, flat, payouts
        top_day = max(best_before, day_net - day_net_paid) if traded else np.int64(0)
        out["best"] = best if T["cs_unit"] == BY_TRADE else top_day
        out["target"] = _raised(target, out["best"], T["cs_share"]) if T["cs_raises"] != 0 else T["pt_size"]
    return n_verdicts, n_days, n_steps
