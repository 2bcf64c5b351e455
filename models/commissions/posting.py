"""The compiled pass over lifecycle events that posts commissions, overrides, tier bonuses and what returns take back.

All amounts are whole minor units and all rates parts per million, so that nothing is lost between events. The pass
works on a few integer tables whose columns are named here; an entry of the commission ledger is a row of `entries`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from models.compiled import compiled

Array = Any

WHATS = (
    "purchase",
    "stage_pass",
    "pass",
    "funded",
    "first_payout",
    "fee_share",
    "profit_share",
    "tier_bonus",
    "refund",
    "chargeback",
)
PURCHASE, STAGE_PASS, PASS, FUNDED, FIRST_PAYOUT, FEE_SHARE, PROFIT_SHARE, TIER_BONUS, REFUND, CHARGEBACK = range(10)

# entries: one posting
EVENT, ROW, WHAT, AMOUNT, CURRENCY, REVERSED, SOURCE, OLDER, OLDER_TIERED, BASIS, RATED = range(11)
ENTRY_WIDTH = 11
# events: what happened, in order of time; OWN_AMOUNT in its currency, then the amount in each plan currency
KIND, CHALLENGE, NTH, MONTHS, SLOT, OWN_AMOUNT, IN_PLAN = range(7)
# challenges: fee, rows of who earns on it, then what the pass remembers of it
FEE, FIRST_ROW, LAST_ROW, NEWEST, RETURNED, EXCESS, RETURN_WHAT, POSTED = range(8)
CHALLENGE_WIDTH = 8
# rows: who earns on a challenge; UPTO is the sum of shares to the end of SHARE, BASE the row of the partner below
PARTNER, LEVEL, PLAN, SHARE, UPTO, BASE = range(6)
# plans: options, then percents and fixed amounts by event, overrides by level, and steps (from, rate)
O_CURRENCY, O_CONVERT, O_REPEAT, O_MONTHS, O_BY, O_LIFETIME, O_RETROACTIVE, O_STEPS, O_OF_FEE, O_TAKEN = range(10)
# what its tiers count, as a number: sales, funded, or fees in one currency; nothing of one is added to another
O_MEASURE = 10
PERCENTS = 11
FIXED = PERCENTS + len(WHATS)
OVERRIDES = FIXED + len(WHATS)
STEPS = OVERRIDES + 6
# periods: what a partner did by one measure in a month (or ever), the newest entry rated by it, and how many there are
DONE, TIERED, RATED_ENTRIES = range(3)
PERIOD_WIDTH = 3

BY_SALES, BY_FEES, BY_FUNDED = 1, 2, 3
WHOLE = 1_000_000
OWN = -1
UNKNOWN = -1
MOST_MINOR = 10**12
MOST_CHAIN = 6


class Desk(NamedTuple):
    """The tables of one pass (two-dimensional int64), the entries posted so far, how many months there are and
    by how many measures tiers count."""

    events: Array
    challenges: Array
    rows: Array
    plans: Array
    periods: Array
    months: int
    measures: int
    entries: Array
    count: Array


@compiled
def part_of(amount: int, ppm: int) -> int:
    """Parts per million of an amount, rounded half up (a half goes away from zero)."""
    part: int = (abs(amount) * ppm + WHOLE // 2) // WHOLE
    return part if amount >= 0 else -part


@compiled
def shared(desk: Desk, row: int, amount: int) -> int:
    """A partner's share of an amount; the shares of one purchase add up to it, whatever their rounding."""
    upto = desk.rows[row, UPTO]
    return part_of(amount, upto) - part_of(amount, upto - desk.rows[row, SHARE])


@compiled
def pro_rata(amount: int, part: int, whole: int) -> int:
    """amount · part / whole rounded half up, without overflow for amounts below `MOST_MINOR`."""
    size = abs(amount)
    high, low = part >> 20, part & ((1 << 20) - 1)
    quotient, rest = (size * high) // whole, (size * high) % whole
    found = (quotient << 20) + ((rest << 20) + size * low + whole // 2) // whole
    return found if amount >= 0 else -found


@compiled
def append(desk: Desk, event: int, row: int, what: int, amount: int, currency: int) -> int:
    """Writes an entry behind the last one and returns its place."""
    place: int = desk.count[0]
    entry = desk.entries[place]
    entry[EVENT], entry[ROW], entry[WHAT], entry[AMOUNT], entry[CURRENCY] = event, row, what, amount, currency
    entry[REVERSED], entry[SOURCE], entry[OLDER], entry[OLDER_TIERED] = 0, UNKNOWN, UNKNOWN, UNKNOWN
    entry[BASIS], entry[RATED] = 0, amount
    desk.count[0] = place + 1
    return place


@compiled
def is_taken(desk: Desk, place: int) -> bool:
    """Whether the direct partner's plan takes an entry back with the fee; a bonus goes with its purchase."""
    entry = desk.entries[place]
    plan = desk.rows[desk.rows[entry[ROW], BASE], PLAN]
    bit = PURCHASE if entry[WHAT] == TIER_BONUS else entry[WHAT]
    return bool((desk.plans[plan, O_TAKEN] >> bit) & 1 == 1)


@compiled
def take_back(desk: Desk, place: int, event: int, challenge: int) -> None:
    """Reverses what an entry still owes of the part of its fee that was returned."""
    on, entry = desk.challenges[challenge], desk.entries[place]
    due = pro_rata(entry[AMOUNT], on[RETURNED], on[FEE]) - entry[REVERSED]
    if due != 0:
        entry[REVERSED] += due
        taken = append(desk, event, entry[ROW], on[RETURN_WHAT], -due, entry[CURRENCY])
        desk.entries[taken, SOURCE] = place


@compiled
def post(desk: Desk, challenge: int, event: int, row: int, what: int, amount: int, currency: int) -> int:
    """Appends an entry to its challenge; what was returned of the fee before is taken back at once."""
    place = append(desk, event, row, what, amount, currency)
    on = desk.challenges[challenge]
    desk.entries[place, OLDER] = on[NEWEST]
    on[NEWEST] = place
    on[POSTED] += 1
    if on[RETURNED] > 0 and is_taken(desk, place):
        take_back(desk, place, event, challenge)
    return place


@compiled
def fee_as_paid(desk: Desk, event: int, plan: int) -> tuple[int, int]:
    """What a plan's percentages are of, and in which currency: the plan's, where it converts and there is a rate."""
    money = desk.plans[plan, O_CURRENCY]
    if desk.plans[plan, O_CONVERT] == 1 and desk.events[event, IN_PLAN + money] != UNKNOWN:
        return desk.events[event, IN_PLAN + money], money
    return desk.events[event, OWN_AMOUNT], OWN


@compiled
def post_chain(desk: Desk, challenge: int, event: int, row: int, what: int, amount: int, currency: int) -> int:
    """Posts a partner's commission and the overrides of those above, of the commission or of the fee.

    Returns the place of the partner's own entry, unknown when the amount is zero.
    """
    place = post(desk, challenge, event, row, what, amount, currency) if amount != 0 else UNKNOWN
    for above in range(desk.challenges[challenge, FIRST_ROW], desk.challenges[challenge, LAST_ROW]):
        level, plan = desk.rows[above, LEVEL], desk.rows[above, PLAN]
        if level == 1 or desk.rows[above, BASE] != row:
            continue
        ppm = desk.plans[plan, OVERRIDES + level - 2]
        if desk.plans[plan, O_OF_FEE] == 0:
            override, paid_in = part_of(amount, ppm), currency
        else:
            fee, paid_in = fee_as_paid(desk, event, plan) if what == PURCHASE else (0, OWN)
            override = shared(desk, row, part_of(fee, ppm))
        if override != 0:
            post(desk, challenge, event, above, what, override, paid_in)
    return place


@compiled
def rate_at(desk: Desk, plan: int, done: int) -> int:
    """The rate of the highest step reached."""
    rate: int = desk.plans[plan, STEPS + 1]
    for step in range(desk.plans[plan, O_STEPS]):
        if done >= desk.plans[plan, STEPS + 2 * step]:
            rate = desk.plans[plan, STEPS + 2 * step + 1]
    return rate


@compiled
def marginal(desk: Desk, plan: int, before: int, volume: int, basis: int) -> int:
    """A fee's commission when each part of the period's volume earns the rate of the step it lies in."""
    if volume == 0:
        return part_of(basis, rate_at(desk, plan, before))
    total, used = 0, 0
    steps = desk.plans[plan, O_STEPS]
    for step in range(steps):
        top = desk.plans[plan, STEPS + 2 * step + 2] if step + 1 < steps else before + volume
        reached = pro_rata(basis, min(max(top - before, 0), volume), volume)
        total += (reached - used) * desk.plans[plan, STEPS + 2 * step + 1]
        used = reached
    return (total + WHOLE // 2) // WHOLE


@compiled
def volume_of(desk: Desk, event: int, row: int) -> int:
    """What an event adds to the partner's period, in the unit that the plan's tiers count."""
    plan, kind = desk.rows[row, PLAN], desk.events[event, KIND]
    by = desk.plans[plan, O_BY]
    if kind == PURCHASE and by == BY_FEES:
        return max(shared(desk, row, desk.events[event, IN_PLAN + desk.plans[plan, O_CURRENCY]]), 0)
    return 1 if (kind == PURCHASE and by == BY_SALES) or (kind == FUNDED and by == BY_FUNDED) else 0


@compiled
def percentage(desk: Desk, plan: int, what: int, basis: int, before: int, volume: int) -> int:
    """A percentage of the basis: that of the event, or of the tier which the period has reached."""
    by = desk.plans[plan, O_BY]
    if what != PURCHASE or by == 0:
        return part_of(basis, desk.plans[plan, PERCENTS + what])
    if by == BY_FEES and desk.plans[plan, O_RETROACTIVE] == 0:
        return marginal(desk, plan, before, volume, basis)
    return part_of(basis, rate_at(desk, plan, before + volume))


@compiled
def earn(desk: Desk, event: int, row: int, what: int, period: int, volume: int) -> None:
    """Posts what an event earns a directly credited partner under one clause of the plan, and the chain above."""
    plan = desk.rows[row, PLAN]
    basis, currency = fee_as_paid(desk, event, plan)
    amount = desk.plans[plan, FIXED + what]
    if amount > 0:
        currency = desk.plans[plan, O_CURRENCY]
    else:
        amount = percentage(desk, plan, what, basis, desk.periods[period, DONE] - volume, volume)
    if what == PURCHASE and desk.events[event, NTH] > 1:
        amount = part_of(amount, desk.plans[plan, O_REPEAT])
        basis = part_of(basis, desk.plans[plan, O_REPEAT])
    amount = shared(desk, row, amount)
    place = post_chain(desk, desk.events[event, CHALLENGE], event, row, what, amount, currency)
    if place != UNKNOWN and what == PURCHASE and desk.plans[plan, O_BY] > 0:
        desk.entries[place, BASIS] = shared(desk, row, basis)
        desk.entries[place, OLDER_TIERED] = desk.periods[period, TIERED]
        desk.periods[period, TIERED] = place
        desk.periods[period, RATED_ENTRIES] += 1


@compiled
def lift(desk: Desk, event: int, period: int, plan: int, rate: int) -> None:
    """Pays the difference to a tier just reached on every earlier sale of the period that the same terms bind."""
    place = desk.periods[period, TIERED]
    while place != UNKNOWN:
        entry = desk.entries[place]
        bonus = part_of(entry[BASIS], rate) - entry[RATED]
        if bonus > 0 and desk.rows[entry[ROW], PLAN] == plan:
            entry[RATED] += bonus
            challenge = desk.events[entry[EVENT], CHALLENGE]
            post_chain(desk, challenge, event, entry[ROW], int(TIER_BONUS), bonus, entry[CURRENCY])  # as in `credit`
        place = entry[OLDER_TIERED]


@compiled
def period_of(desk: Desk, event: int, row: int) -> int:
    """The partner's period by its plan's measure that an event falls into: its month, or the one for ever."""
    lifetime = desk.plans[desk.rows[row, PLAN], O_LIFETIME] == 1
    slot = desk.months if lifetime else desk.events[event, SLOT]
    measure = desk.rows[row, PARTNER] * desk.measures + desk.plans[desk.rows[row, PLAN], O_MEASURE]
    period: int = measure * (desk.months + 1) + slot
    return period


@compiled
def credit(desk: Desk, event: int, row: int) -> None:
    """All that one event earns one directly credited partner; of a purchase that cost nothing, a share of profit."""
    plan, kind = desk.rows[row, PLAN], desk.events[event, KIND]
    if kind != PROFIT_SHARE and desk.challenges[desk.events[event, CHALLENGE], FEE] <= 0:
        return
    period = period_of(desk, event, row)
    before, volume = desk.periods[period, DONE], volume_of(desk, event, row)
    desk.periods[period, DONE] += volume
    earn(desk, event, row, kind, period, volume)
    months = desk.plans[plan, O_MONTHS]
    if kind == PURCHASE and (months == 0 or desk.events[event, MONTHS] < months):
        earn(desk, event, row, int(FEE_SHARE), period, volume)  # int(): of a constant, another `earn` is compiled
    if desk.plans[plan, O_RETROACTIVE] == 1:
        rate = rate_at(desk, plan, before + volume)
        if rate != rate_at(desk, plan, before):
            lift(desk, event, period, plan, rate)


@compiled
def give_back(desk: Desk, event: int) -> None:
    """Takes commissions back in the proportion in which the fee was returned, never more than the fee."""
    challenge, amount = desk.events[event, CHALLENGE], desk.events[event, OWN_AMOUNT]
    on = desk.challenges[challenge]
    part = min(amount, on[FEE] - on[RETURNED])
    on[EXCESS] += amount - part
    if part <= 0:
        return
    on[RETURNED] += part
    on[RETURN_WHAT] = desk.events[event, KIND]
    place = on[NEWEST]
    while place != UNKNOWN:
        if is_taken(desk, place):
            take_back(desk, place, event, challenge)
        place = desk.entries[place, OLDER]


@compiled
def most_entries(desk: Desk, event: int) -> int:
    """An upper bound of the entries that one event can post."""
    on = desk.challenges[desk.events[event, CHALLENGE]]
    if desk.events[event, KIND] >= REFUND:
        posted: int = on[POSTED]
        return posted
    most = 0
    for row in range(on[FIRST_ROW], on[LAST_ROW]):
        rated = 0
        if desk.plans[desk.rows[row, PLAN], O_RETROACTIVE] == 1:
            rated = desk.periods[period_of(desk, event, row), RATED_ENTRIES]
        most += 2 * MOST_CHAIN * (rated + 3)
    return most


@compiled
def post_all(desk: Desk) -> Array:
    """Posts every event in order and returns the entries; challenges and periods end as the pass left them."""
    for event in range(len(desk.events)):
        wanted = desk.count[0] + most_entries(desk, event)
        if wanted > len(desk.entries):
            grown = np.empty((2 * wanted, ENTRY_WIDTH), np.int64)
            grown[: desk.count[0]] = desk.entries[: desk.count[0]]
            tables = (desk.events, desk.challenges, desk.rows, desk.plans, desk.periods)
            desk = Desk(*tables, desk.months, desk.measures, grown, desk.count)
        if desk.events[event, KIND] >= REFUND:
            give_back(desk, event)
            continue
        on = desk.challenges[desk.events[event, CHALLENGE]]
        for row in range(on[FIRST_ROW], on[LAST_ROW]):
            if desk.rows[row, LEVEL] == 1:
                credit(desk, event, row)
    return desk.entries[: desk.count[0]]
