"""Who else was at the matches of a pair, who of them recurs, and whether they follow, lead or share a source."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from models.compiled import compiled
from models.coordination.around import (
    ELSEWHEN_US,
    LOG_P_OTHER,
    NARROW_US,
    UNREST,
    Around,
    beside_each,
    first_since,
    usual_entries,
)
from models.coordination.chance import log_poisson_tail
from models.coordination.entries import NEVER, SECOND, Book, Codes, Floats, Ints, Moments
from models.coordination.likeness import LOTS_ALIKE, LOTS_KNOWN, correlation, lots_together, lots_vary, market_lots
from models.coordination.pairs import MINUTE

MATCHES_MAX = 400  # matched entries whose surroundings are read; more say nothing new
NEIGHBOURS_MAX = 8_000  # entries read around one pair's matches
SESSIONS = 3.0  # how much denser an account's entries are in its hours than evenly spread ones
LOG_P_SURPLUS = math.log(0.1)  # strangers at one match that are more than usual there
REGULARS_READ = 4
HEADS_MIN = 4  # first entries of bursts that tell the order of all
GATHERINGS_MIN = 4.0  # moments at which others meet that say whether they do without a leader
TAIL_OTHERS, TAIL_MEETINGS, TAIL_EXPECTED, TAIL_SHARE = 8, 4, 6.0, 0.25


class Work(NamedTuple):
    """Counters by account and lists by entry that one thread uses again for every pair."""

    times: Codes
    before: Codes
    stamp: Ints
    regular: Codes
    slot: Codes
    who: Codes
    when: Ints
    place: Codes
    size: Ints
    match: Ints
    taken: Codes


class Company(NamedTuple):
    """The regular others of a pair, in their order, and their entries around its matches, one after the other's.

    Those of `who[i]` are `start[i]:start[i + 1]`; `found` has their places in `Work`, `event` the matches.
    """

    who: Codes
    start: Ints
    found: Ints
    event: Ints


@compiled
def gather(
    book: Book, every: Moments, work: Work, pair: Codes, at_a: Codes, at_b: Codes, reach_us: int
) -> tuple[int, int, float, float]:
    """Reads who else enters around the matches of a pair: matches read, entries found, found and usual per match.

    Every n-th match is read where there are too many.
    """
    count = len(at_a)
    stride = max(1, (count + MATCHES_MAX - 1) // MATCHES_MAX)
    filled = events = 0
    usual = 0.0
    work.size[0] = 0
    for e in range(0, count, stride):
        p, q = at_a[e], at_b[e]
        room = NEIGHBOURS_MAX - filled
        filled += _present(book, every, p, q, pair[0], pair[1], pair[2], reach_us, work, filled, room)
        work.match[events] = e
        events += 1
        work.size[events] = filled
        usual += usual_entries(book, p, q, pair[2], reach_us)
        if filled >= NEIGHBOURS_MAX:
            break
    return events, filled, filled / events, usual / events


@compiled
def _present(
    book: Book,
    every: Moments,
    p: int,
    q: int,
    a: int,
    b: int,
    relation: int,
    reach_us: int,
    work: Work,
    filled: int,
    full: int,
) -> int:
    """Accounts other than a and b that enter around a matched pair on either's side, with their first time there."""
    here, side = every[p].instrument, every[p].side
    earliest = min(every[p].at_us, every[q].at_us) - reach_us
    latest = max(every[p].at_us, every[q].at_us) + reach_us
    j = first_since(book, every, here, min(p, q), earliest)  # positions are by time
    end = book.instrument_start[here + 1]
    count = 0
    while j < end and every[j].at_us <= latest and count < full:
        r = every[j].account
        if r != a and r != b and (relation == 1 or every[j].side == side):
            work.who[filled + count] = r
            work.when[filled + count] = every[j].at_us
            work.place[filled + count] = j
            count += 1
        j += 1
    return count


@compiled
def count_meetings(book: Book, work: Work, number: int, at_a: Codes, at_b: Codes, events: int) -> None:
    """Counts, per account found, the matches it is at and those it is at before either of the two."""
    for e in range(events):
        p, q = at_a[work.match[e]], at_b[work.match[e]]
        first = min(book.opened_us[p], book.opened_us[q])
        mark = np.int64(number) * (MATCHES_MAX + 1) + e
        for x in range(work.size[e], work.size[e + 1]):
            r = work.who[x]
            if work.stamp[r] != mark:
                if work.stamp[r] // (MATCHES_MAX + 1) != number:
                    work.times[r] = 0
                    work.before[r] = 0
                work.stamp[r] = mark
                work.times[r] += 1
                work.before[r] += work.when[x] < first


@compiled
def usual_by_instrument(
    book: Book, work: Work, pair: Codes, at_a: Codes, at_b: Codes, events: int, reach_us: int
) -> tuple[Codes, Floats]:
    """Instruments of the matches, and the entries that the quarter hours around would put within reach of them."""
    heres = np.empty(events, dtype=np.int32)
    usual = np.zeros(events)
    count = 0
    for e in range(events):  # matches are by instrument
        p, q = at_a[work.match[e]], at_b[work.match[e]]
        if count == 0 or heres[count - 1] != book.instrument[p]:
            heres[count] = book.instrument[p]
            count += 1
        nearby = book.near[p, 0] + book.near[p, 1] if pair[2] == 1 else 2 * book.near[p, book.side[p]]
        width = 2.0 * reach_us + abs(book.opened_us[q] - book.opened_us[p])
        usual[count - 1] += max(nearby - 2.0, 0.0) * width / (2.0 * 15 * MINUTE)
    return heres[:count], usual[:count]


@compiled
def _entries_on(book: Book, account: int, instrument: int) -> int:
    """How often an account entered on an instrument."""
    bounds = np.empty(2, dtype=np.int64)
    for k in range(2):
        low, high = book.own_start[account], book.own_start[account + 1]
        while low < high:
            middle = (low + high) // 2
            if book.instrument[book.own[middle]] < instrument + k:
                low = middle + 1
            else:
                high = middle
        bounds[k] = low
    return int(bounds[1] - bounds[0])


@compiled
def mark_regulars(
    book: Book, work: Work, number: int, events: int, filled: int, horizon_us: int, heres: Codes, usual: Floats
) -> tuple[int, float, float, int, float]:
    """Marks accounts that recur: how many, their rate, share of matches without any, the foremost and its share.

    `usual` has the entries of anyone that the market puts around the matches, by instrument of `heres`; an account
    that has its share of them does not recur.
    """
    others = 0
    rate = third_before = 0.0
    absent = 1.0
    third = -1
    for x in range(filled):
        r = work.who[x]
        if work.regular[r] == number or work.times[r] < max(2.0, 0.15 * events):
            continue
        entries = book.own_start[r + 1] - book.own_start[r]
        expected = events * entries * 2.0 * horizon_us / SECOND / book.open_s * SESSIONS
        by_market = 0.0
        known = log_poisson_tail(work.times[r], expected) < LOG_P_OTHER
        for k in range(len(heres) if known else 0):
            everyone = book.instrument_start[heres[k] + 1] - book.instrument_start[heres[k]]
            by_market += usual[k] * _entries_on(book, r, heres[k]) / everyone * UNREST
        if known and log_poisson_tail(work.times[r], max(expected, by_market)) < LOG_P_OTHER:
            work.regular[r] = number
            others += 1
            rate += work.times[r] / events
            absent *= 1.0 - work.times[r] / events
            if work.before[r] / events > third_before:
                third, third_before = r, work.before[r] / events
        else:
            work.times[r] = 0  # whoever does not recur need not be asked again
    return others, rate, absent, third, third_before


@compiled
def company_of(work: Work, number: int, events: int) -> Company:
    """Gathers what was found of the regular others by account."""
    filled = work.size[events]
    total = 0
    for x in range(filled):
        if work.regular[work.who[x]] == number:
            work.slot[work.who[x]] = -1
            total += 1
    who = np.empty(total, dtype=np.int32)
    count = 0
    for x in range(filled):
        r = work.who[x]
        if work.regular[r] == number and work.slot[r] < 0:
            who[count], work.slot[r] = r, 0
            count += 1
    who = np.sort(who[:count])
    for i in range(count):
        work.slot[who[i]] = i
    start = np.zeros(count + 1, dtype=np.int64)
    for x in range(filled):
        if work.regular[work.who[x]] == number:
            start[work.slot[work.who[x]] + 1] += 1
    start = np.cumsum(start)
    free = start.copy()
    found, event = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
    for e in range(events):
        for x in range(work.size[e], work.size[e + 1]):
            if work.regular[work.who[x]] == number:
                place = free[work.slot[work.who[x]]]
                found[place], event[place] = x, e
                free[work.slot[work.who[x]]] += 1
    return Company(who, start, found, event)


@compiled
def lead_of(
    book: Book, work: Work, number: int, ahead: Codes, behind: Codes, events: int, filled: int, horizon_us: int
) -> tuple[float, int, Floats]:
    """Share of matches with company that the leader opens, their number, and how far (us) others are behind it there.

    Whoever follows an entry may be ahead of the next of the same burst, so the first of each burst tells the order
    where there are some.
    """
    firsts = shared = heads = heads_first = seen = 0
    apart = np.empty(filled, dtype=np.float64)
    for e in range(events):
        p, q = ahead[work.match[e]], behind[work.match[e]]
        lead, step_us = book.opened_us[p], book.step_us[book.account[p]]
        ok = lead <= book.opened_us[q] + abs(step_us - book.step_us[book.account[q]]) / 2
        met = False
        for x in range(work.size[e], work.size[e + 1]):
            if work.regular[work.who[x]] == number:
                met = True
                ok = ok and lead <= work.when[x] + abs(step_us - book.step_us[work.who[x]]) / 2
                apart[seen] = work.when[x] - lead
                seen += 1
        head = _opens_burst(book, p, horizon_us)
        shared += met
        firsts += ok and met
        heads += head and met
        heads_first += head and ok and met
    share = heads_first / heads if heads >= HEADS_MIN else firsts / max(shared, 1)
    return share, shared, apart[:seen]


@compiled
def _opens_burst(book: Book, p: int, horizon_us: int) -> bool:
    """Whether an account's entry is its first on the instrument for a horizon."""
    own = book.own[book.own_start[book.account[p]] : book.own_start[book.account[p] + 1]]
    k = np.searchsorted(own, p)  # positions are by instrument and time
    if k == 0 or book.instrument[own[k - 1]] != book.instrument[p]:
        return True
    return bool(book.opened_us[p] - book.opened_us[own[k - 1]] > horizon_us)


@compiled
def _find_regulars(
    book: Book, every: Moments, work: Work, number: int, p: int, relation: int, reach_us: int, found: Ints
) -> None:
    """Marks which regular others, by their slots, are around an entry on a side that counts: 1 before it, 2 after."""
    found[:] = 0
    here, side, at_us = every[p].instrument, every[p].side, every[p].at_us
    j = first_since(book, every, here, p, at_us - reach_us)
    end = book.instrument_start[here + 1]
    while j < end and every[j].at_us <= at_us + reach_us:
        r = every[j].account
        if work.regular[r] == number and (relation == 1 or every[j].side == side) and found[work.slot[r]] == 0:
            found[work.slot[r]] = 2 if every[j].at_us > at_us else 1
        j += 1


@compiled
def set_tail_aside(
    book: Book,
    every: Moments,
    work: Work,
    number: int,
    leader: int,
    follower: int,
    relation: int,
    who: Codes,
    since: int,
    until: int,
    horizon_us: int,
) -> Codes:
    """Takes those who only follow the account behind from the few regular others, `who` by slots; returns them.

    They come after it where the leader is not, and are not with the leader where it is not: a chain goes on behind
    it, so that meeting them without the leader says nothing of another source. Only the time from `since` to `until`
    (us) tells who was with the leader, as members of one family may begin together.
    """
    size = len(who)
    found = np.zeros(size, dtype=np.int64)
    met, after = np.zeros(size), np.zeros(size)
    near = beside_each(book, every, follower, leader, relation, -horizon_us, horizon_us)
    for alone in book.own[book.own_start[follower] + np.flatnonzero(~near)]:
        _find_regulars(book, every, work, number, alone, relation, horizon_us, found)
        met += found > 0
        after += found == 2
    behind = (met >= TAIL_MEETINGS) & (after >= 0.95 * met)
    if not behind.any():
        return who[:0]
    both = single = 0
    joined, apart = np.zeros(size), np.zeros(size)
    near = beside_each(book, every, leader, follower, relation, -horizon_us, horizon_us)
    for k in range(len(near)):
        p = book.own[book.own_start[leader] + k]
        if every[p].at_us < since or every[p].at_us > until:
            continue
        _find_regulars(book, every, work, number, p, relation, horizon_us, found)
        if near[k]:
            both += 1
            joined += found > 0
        else:
            single += 1
            apart += found > 0
    tail = np.zeros(size, dtype=np.bool_)
    for x in range(size):
        expected = joined[x] * single / max(both, 1)
        tail[x] = behind[x] and expected >= TAIL_EXPECTED and apart[x] <= TAIL_SHARE * expected
    work.regular[who[tail]] = -1
    return who[tail]


@compiled
def meets(
    book: Book,
    around: Around,
    a: int,
    b: int,
    relation: int,
    elsewhen: bool,
    reach_us: int,
    regular: Codes,
    pair: int,
) -> tuple[float, float]:
    """Entries of b, or the same times elsewhen, that meet a regular other within reach with a near, and without.

    Elsewhen only those without are told.
    """
    every, shift_us = around.every, ELSEWHEN_US if elsewhen else 0
    near_a = beside_each(book, every, b, a, relation, shift_us - reach_us, shift_us + reach_us)
    with_a = without_a = 0.0
    for k in range(len(near_a)):
        if elsewhen and near_a[k]:
            continue
        q = book.own[book.own_start[b] + k]
        here, side, at = every[q].instrument, every[q].side, every[q].at_us + shift_us
        end = book.instrument_start[here + 1]
        j = first_since(book, every, here, around.elsewhen[q] if elsewhen else q, at - reach_us)
        while j < end and every[j].at_us <= at + reach_us:
            r = every[j].account
            if regular[r] == pair and r != b and (relation == 1 or every[j].side == side):
                with_a += near_a[k]
                without_a += not near_a[k]
                break
            j += 1
    return with_a, without_a


@compiled
def tight_spread(book: Book, work: Work, company: Company, ahead: Codes) -> float:
    """Lower quartile, over the regular others, of how much the time between the leader and each of them varies (us).

    Each other is taken by itself, so that clocks that differ by a constant do not count as variation.
    """
    spreads = np.empty(len(company.who))
    count = 0
    for i in range(len(company.who)):
        start, end = company.start[i], company.start[i + 1]
        if end - start >= 3:
            own = np.empty(end - start)
            for k in range(start, end):
                own[k - start] = work.when[company.found[k]] - book.opened_us[ahead[work.match[company.event[k]]]]
            spreads[count] = np.median(np.abs(own - np.median(own)))
            count += 1
    return float(np.quantile(spreads[:count], 0.25)) if count > 0 else 1e12


@compiled
def _led(
    book: Book,
    around: Around,
    leader: int,
    account: int,
    since: int,
    until: int,
    elsewhen: bool,
    reach_us: int,
    horizon_us: int,
    regular: Codes,
    pair: int,
) -> tuple[float, float]:
    """Entries of an account that meet two or more regular others within reach after the leader, and without it.

    Two alone may be a follower and one who follows it; the slowest of followers are a horizon behind. Elsewhen only
    those without it are told.
    """
    every, shift_us = around.every, ELSEWHEN_US if elsewhen else 0
    near = beside_each(book, every, account, leader, 0, shift_us - horizon_us, shift_us + reach_us)
    led = without = 0.0
    for k in range(len(near)):
        q = book.own[book.own_start[account] + k]
        if (elsewhen and near[k]) or every[q].at_us < since or every[q].at_us > until:
            continue
        here, side, at = every[q].instrument, every[q].side, every[q].at_us + shift_us
        end = book.instrument_start[here + 1]
        j = first_since(book, every, here, around.elsewhen[q] if elsewhen else q, at - reach_us)
        one = -1
        while j < end and every[j].at_us <= at + reach_us:
            r = every[j].account
            if regular[r] == pair and r != account and r != one and every[j].side == side:
                if one >= 0:
                    led += near[k]
                    without += not near[k]
                    break
                one = r
            j += 1
    return led, without


@compiled
def company_cover(
    book: Book,
    around: Around,
    work: Work,
    number: int,
    ahead: Codes,
    regulars: Codes,
    reach_us: int,
    horizon_us: int,
) -> float:
    """Share of the moments at which regular others meet that the leader is part of, beyond what chance brings together.

    Only the time from the first to the last match is read. Followers never meet without their leader; members of a
    family do whenever one of them is not there. NaN where they hardly meet.
    """
    stride = max(1, -(-len(regulars) // REGULARS_READ))
    leader = book.account[ahead[0]]
    since, until = book.opened_us[ahead].min() - reach_us, book.opened_us[ahead].max() + reach_us
    led = without = 0.0
    for k in range(0, len(regulars), stride):
        r = regulars[k]
        near, far = _led(book, around, leader, r, since, until, False, reach_us, horizon_us, work.regular, number)
        _, by_chance = _led(book, around, leader, r, since, until, True, reach_us, horizon_us, work.regular, number)
        led += near
        without += max(far - by_chance, 0.0)
    return led / (led + without) if led + without >= GATHERINGS_MIN else np.nan


@compiled
def company_exits(book: Book, work: Work, company: Company, ahead: Codes, slack_s: float) -> tuple[float, float]:
    """How alike regular others hold their positions to the leader: upper quartiles of two likenesses over them.

    The first is the share of meetings in which they hold as long as the leader does, the second the correlation of
    holding times. NaN where nobody met the leader four times with both exits known.
    """
    kept, alike = np.empty(len(company.who)), np.empty(len(company.who))
    accounts = 0
    for i in range(len(company.who)):
        start, end = company.start[i], company.start[i + 1]
        lead, other = np.empty(end - start), np.empty(end - start)
        count = 0
        for k in range(start, end):
            p, q = ahead[work.match[company.event[k]]], work.place[company.found[k]]
            if book.closed_us[p] != NEVER and book.closed_us[q] != NEVER:
                lead[count] = (book.closed_us[p] - book.opened_us[p]) / SECOND
                other[count] = (book.closed_us[q] - book.opened_us[q]) / SECOND
                count += 1
        if count >= 4:
            lead, other = lead[:count], other[:count]
            kept[accounts] = (np.abs(other - lead) <= slack_s).mean()
            together = correlation(np.log(np.maximum(lead, 1.0)), np.log(np.maximum(other, 1.0)))
            alike[accounts] = 0.0 if math.isnan(together) else together
            accounts += 1
    if accounts == 0:
        return np.nan, np.nan
    return float(np.quantile(kept[:accounts], 0.75)), float(np.quantile(alike[:accounts], 0.75))


@compiled
def company_lots(book: Book, work: Work, company: Company, ahead: Codes) -> tuple[float, float]:
    """Regular others whose lots could rise and fall with the leader's where they meet it, and of them those that do."""
    known = alike = 0.0
    for i in range(len(company.who)):
        start, end = company.start[i], company.start[i + 1]
        lead, other = np.empty(end - start, dtype=np.int32), np.empty(end - start, dtype=np.int32)
        for k in range(start, end):  # by instrument, as matches are
            lead[k - start] = ahead[work.match[company.event[k]]]
            other[k - start] = work.place[company.found[k]]
        lots, instrument = market_lots(book, lead), book.instrument[lead]
        if end - start > LOTS_KNOWN and lots_vary(lots, instrument):
            together, told = lots_together(lots, market_lots(book, other), instrument)
            if told >= LOTS_KNOWN:
                known += 1.0
                alike += together >= LOTS_ALIKE
    return known, alike


@compiled
def passers(
    book: Book,
    work: Work,
    relation: int,
    number: int,
    at_a: Codes,
    at_b: Codes,
    leads: bool,
    events: int,
    wide_us: int,
) -> tuple[float, float, float, float]:
    """Entries of accounts that do not recur within a moment of those behind, how many are usual there, and two shares.

    What drew a leader in may be public; what draws a follower in is the leader. The shares are of matches at which
    more strangers than usual act within that moment, and within the wider reach: one crowded afternoon is not a habit.
    """
    found = usual = public = crowded = 0.0
    for e in range(events):
        p, q = at_a[work.match[e]], at_b[work.match[e]]
        behind = q if leads else p
        near = around = 0
        for x in range(work.size[e], work.size[e + 1]):
            if work.regular[work.who[x]] != number:
                around += 1
                near += abs(work.when[x] - book.opened_us[behind]) <= NARROW_US
        here = usual_entries(book, behind, behind, relation, int(NARROW_US))
        found += near
        usual += here
        public += log_poisson_tail(near, UNREST * here) < LOG_P_SURPLUS
        crowded += log_poisson_tail(around, UNREST * usual_entries(book, p, q, relation, wide_us)) < LOG_P_SURPLUS
    return found, usual, public / events, crowded / events
