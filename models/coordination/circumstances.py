"""What surrounds the matched entries of a pair: their lags, exits and lots, and who else was there."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from models.compiled import compiled
from models.coordination.chance import log_poisson_tail
from models.coordination.entries import (
    NEVER,
    SECOND,
    Book,
    Codes,
    Entries,
    Flags,
    Floats,
    Ints,
    Moments,
    moments,
    neighbours,
)
from models.coordination.lags import order_odds, typical_lag
from models.coordination.pairs import MINUTE, in_parts
from models.coordination.terms import CoordinationTerms

COLUMNS = (
    "matched",
    "lag_s",
    "lag_spread_s",
    "same_order",
    "exits_together",
    "exits_by_chance",
    "holding_correlation",
    "lots_correlation",
    "bar_share_a",
    "bar_share_b",
    "containment",
    "days",
    "others",
    "others_rate",
    "first_share",
    "third",
    "third_before",
    "cover",
    "crowding",
    "crowding_usual",
    "relative_spread",
    "alone",
    "alone_expected",
    "events",
    "together",
    "untied",
    "untied_ahead",
    "passers",
    "passers_usual",
    "step_s",
    "exits_at_once",
    "turned",
    "exits_after",
    "chosen",
    "chosen_alone",
    "public_share",
    "crowded_share",
    "company_kept",
    "company_holding",
    "tight_spread_s",
    "lag_error_s",
    "company_reach_s",
    "company_cover",
    "lag_odds",
    "exits_near",
    "near_by_chance",
    "local_spread_s",
    "lots_known",
    "company_lots_known",
    "company_lots_alike",
)
MATCHES_MAX = 400  # matched entries whose surroundings are read; more say nothing new
NEIGHBOURS_MAX = 8_000  # entries read around one pair's matches
LOG_P_OTHER = math.log(1e-4)
NARROW_US = 2.0 * SECOND  # reach of one public moment: orders that wait and robots that act within it
BAR_S = 4.0  # robots act within this of their second of the minute
UNREST = 1.5  # markets stir within minutes: an account may meet a pair so much more often than its share
PUBLIC_MIN = 3  # strangers at one moment that make it public, where chance does not bring as many
FAMILY_MIN = 3  # others from which they may be a family whoever leads them
REGULARS_READ = 4
HEADS_MIN = 4  # first entries of bursts that tell the order of all
GATHERINGS_MIN = 4.0  # moments at which others meet that say whether they do without a leader
LOG_P_SURPLUS = math.log(0.1)  # strangers at one match that are more than usual there
NEAR_SHARE, NEAR_MIN_S = 0.1, 3.0  # exits this share of the holding time apart, or so many seconds, are near
TAIL_OTHERS, TAIL_MEETINGS, TAIL_EXPECTED, TAIL_SHARE = 8, 4, 6.0, 0.25
LOTS_KNOWN, LOTS_ALIKE = (
    4,
    0.8,
)  # matches less instruments that tell of lots, and the correlation of lots that are alike
LOTS_TELL, EXITS_TELL = 0.4, 0.6  # how far a pair's lots or exits must go together for those of others to matter
ELSEWHEN_US = 17 * MINUTE  # a shift of the clock that shows how often chance alone brings others along
SESSIONS = 3.0  # how much denser an account's entries are in its hours than evenly spread ones


class _Work(NamedTuple):
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


class _Around(NamedTuple):
    """What lies around every entry, whoever is looked at.

    `every` has the entries side by side, `elsewhen` the first position on the market at or after the shifted time.
    `spare` tells, in the order of `Book.own` and by relation, how many of the entries within a moment could be the
    other account's and those of strangers would still make it public; -1 where they never do.
    """

    every: Moments
    elsewhen: Codes
    spare: Codes


class _Company(NamedTuple):
    """The regular others of a pair, in their order, and their entries around its matches, one after the other's.

    Those of `who[i]` are `start[i]:start[i + 1]`; `found` has their places in `_Work`, `event` the matches.
    """

    who: Codes
    start: Ints
    found: Ints
    event: Ints


@compiled
def match_entries(book: Book, a: int, b: int, relation: int, low_us: int, high_us: int) -> tuple[Codes, Codes]:
    """Positions of the entries of a and b joined one to one within a lag window (b behind a, us), earliest first."""
    size = min(book.own_start[a + 1] - book.own_start[a], book.own_start[b + 1] - book.own_start[b])
    at_a = np.empty(size, dtype=np.int32)
    at_b = np.empty(size, dtype=np.int32)
    used = np.zeros(book.own_start[b + 1] - book.own_start[b], dtype=np.bool_)
    count = 0
    low = book.own_start[b]
    for k in range(book.own_start[a], book.own_start[a + 1]):
        p = book.own[k]
        while low < book.own_start[b + 1] and (
            book.instrument[book.own[low]] < book.instrument[p]
            or (
                book.instrument[book.own[low]] == book.instrument[p]
                and book.opened_us[book.own[low]] < book.opened_us[p] + low_us
            )
        ):
            low += 1
        j = low
        while j < book.own_start[b + 1]:
            q = book.own[j]
            if book.instrument[q] != book.instrument[p] or book.opened_us[q] > book.opened_us[p] + high_us:
                break
            if not used[j - book.own_start[b]] and (book.side[q] == book.side[p]) == (relation == 0):
                used[j - book.own_start[b]] = True
                at_a[count] = p
                at_b[count] = q
                count += 1
                break
            j += 1
    return at_a[:count], at_b[:count]


@compiled
def _correlation(x: Floats, y: Floats) -> float:
    """Pearson correlation; NaN when either side never varies or fewer than four pairs are known."""
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 4:
        return np.nan
    dx = x[known] - x[known].mean()
    dy = y[known] - y[known].mean()
    scale = math.sqrt((dx * dx).sum() * (dy * dy).sum())
    return (dx * dy).sum() / scale if scale > 1e-9 else np.nan


@compiled
def _lots_together(lots_a: Floats, lots_b: Floats, instrument: Codes) -> tuple[float, int]:
    """Correlation of the logarithms of lots within each instrument, and the matches less instruments that told it.

    Between instruments lots differ by what they are worth: two who always trade the same lots of each would seem one.
    Rows are by instrument. NaN where either side never varies or too few are known.
    """
    one, other = np.log(np.maximum(lots_a, 1e-9)), np.log(np.maximum(lots_b, 1e-9))
    unknown = np.isnan(one) | np.isnan(other)
    one[unknown] = np.nan
    other[unknown] = np.nan
    known = start = 0
    for k in range(1, len(one) + 1):
        if k == len(one) or instrument[k] != instrument[start]:
            here = k - start - unknown[start:k].sum()
            if here > 0:
                one[start:k] -= np.nanmean(one[start:k])
                other[start:k] -= np.nanmean(other[start:k])
                known += here - 1
            start = k
    return _correlation(one, other) if known >= LOTS_KNOWN else np.nan, known


@compiled
def _varies(lots: Floats, instrument: Codes) -> bool:
    """Whether lots of one instrument, of rows by instrument, are ever different."""
    return bool(((instrument[1:] == instrument[:-1]) & (np.abs(lots[1:] - lots[:-1]) > 1e-9)).any())


@compiled
def _bar_share(opened: Ints) -> float:
    """Share of entries near the commonest second of the minute: most for robots, BAR_S / 30 for people."""
    second = np.sort(opened % MINUTE)
    around = np.concatenate((second, second + MINUTE))
    most = left = 0
    for right in range(len(around)):
        while around[right] - around[left] > 2 * BAR_S * SECOND:
            left += 1
        most = max(most, right - left + 1)
    return most / len(opened)


@compiled
def _exit_order(book: Book, ahead: Codes, behind: Codes) -> tuple[float, float]:
    """Shares of matches that close within a second of each other, and in which who opened later closes later.

    Closings at once count half to the second; who follows a leader out, however late, is never before it.
    """
    at_once = after = known = 0.0
    for i in range(len(ahead)):
        one, other = book.closed_us[ahead[i]], book.closed_us[behind[i]]
        if one != NEVER and other != NEVER:
            known += 1.0
            if abs(other - one) <= SECOND:
                at_once += 1.0
                after += 0.5
            elif other > one:
                after += 1.0
    if known == 0:
        return np.nan, np.nan
    return at_once / known, after / known


@compiled
def _held(book: Book, at: Codes) -> Floats:
    """How long positions were held (s); NaN where the exit is not known."""
    held = np.full(len(at), np.nan)
    for i in range(len(at)):
        if book.closed_us[at[i]] != NEVER:
            held[i] = (book.closed_us[at[i]] - book.opened_us[at[i]]) / SECOND
    return held


@compiled
def _alike(held_a: Floats, held_b: Floats, least_s: float, share: float) -> tuple[float, float]:
    """Share of matches held alike, within so many seconds or a share of the holding time, and of swapped matches."""
    count = len(held_a)
    together = by_chance = known = swaps = 0.0
    for i in range(count):
        if math.isnan(held_a[i]):
            continue
        tolerance = max(least_s, share * held_a[i])
        for step in range(min(6, count)):
            other = held_b[(i + step) % count]
            if math.isnan(other):
                continue
            hit = 1.0 if abs(other - held_a[i]) <= tolerance else 0.0
            if step == 0:
                together += hit
                known += 1.0
            else:
                by_chance += hit
                swaps += 1.0
    return together / known if known > 0 else np.nan, by_chance / swaps if swaps > 0 else np.nan


@compiled
def _local_spread(opened: Ints, lags: Floats) -> float:
    """Median absolute deviation that lags have by their changes from one match to the next in time (us).

    It is the usual one where they vary at random, and far less where they are steady but have moved.
    """
    ordered = lags[np.argsort(opened)]
    return float(np.median(np.abs(ordered[1:] - ordered[:-1])) / math.sqrt(2.0)) if len(lags) > 2 else np.nan


@compiled
def _since(book: Book, every: Moments, market: int, position: int, at_us: int) -> int:
    """Position of the first entry on a market at or after a time, sought from the first at or after a later one."""
    start = book.instrument_start[market]
    while position > start and every[position - 1].at_us >= at_us:
        position -= 1
    return position


@compiled
def _around_each(
    book: Book, every: Moments, account: int, other: int, relation: int, since_us: int, until_us: int
) -> Flags:
    """Which entries of an account, in their order, another one has an entry about, from so long to so long after."""
    first, end = book.own_start[account], book.own_start[account + 1]
    out = np.zeros(end - first, dtype=np.bool_)
    low, stop = book.own_start[other], book.own_start[other + 1]
    for k in range(first, end):
        p = book.own[k]
        here, at_us, side = every[p].instrument, every[p].at_us, every[p].side ^ relation
        while low < stop:
            q = book.own[low]
            if every[q].instrument > here or (every[q].instrument == here and every[q].at_us >= at_us + since_us):
                break
            low += 1
        for x in range(low, stop):
            q = book.own[x]
            if every[q].instrument != here or every[q].at_us > at_us + until_us:
                break
            if every[q].side == side:
                out[k - first] = True
                break
    return out


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
    work: _Work,
    filled: int,
    full: int,
) -> int:
    """Accounts other than a and b that enter around a matched pair on either's side, with their first time there."""
    here, side = every[p].instrument, every[p].side
    earliest = min(every[p].at_us, every[q].at_us) - reach_us
    latest = max(every[p].at_us, every[q].at_us) + reach_us
    j = _since(book, every, here, min(p, q), earliest)  # positions are by time
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
def _meets(
    book: Book,
    around: _Around,
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
    near_a = _around_each(book, every, b, a, relation, shift_us - reach_us, shift_us + reach_us)
    with_a = without_a = 0.0
    for k in range(len(near_a)):
        if elsewhen and near_a[k]:
            continue
        q = book.own[book.own_start[b] + k]
        here, side, at = every[q].instrument, every[q].side, every[q].at_us + shift_us
        end = book.instrument_start[here + 1]
        j = _since(book, every, here, around.elsewhen[q] if elsewhen else q, at - reach_us)
        while j < end and every[j].at_us <= at + reach_us:
            r = every[j].account
            if regular[r] == pair and r != b and (relation == 1 or every[j].side == side):
                with_a += near_a[k]
                without_a += not near_a[k]
                break
            j += 1
    return with_a, without_a


@compiled
def _tight_spread(book: Book, work: _Work, company: _Company, ahead: Codes) -> float:
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
    around: _Around,
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
    near = _around_each(book, every, account, leader, 0, shift_us - horizon_us, shift_us + reach_us)
    led = without = 0.0
    for k in range(len(near)):
        q = book.own[book.own_start[account] + k]
        if (elsewhen and near[k]) or every[q].at_us < since or every[q].at_us > until:
            continue
        here, side, at = every[q].instrument, every[q].side, every[q].at_us + shift_us
        end = book.instrument_start[here + 1]
        j = _since(book, every, here, around.elsewhen[q] if elsewhen else q, at - reach_us)
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
def _company_cover(
    book: Book,
    around: _Around,
    work: _Work,
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
def _gather(
    book: Book, every: Moments, work: _Work, pair: Codes, at_a: Codes, at_b: Codes, reach_us: int
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
        usual += _usual(book, p, q, pair[2], reach_us)
        if filled >= NEIGHBOURS_MAX:
            break
    return events, filled, filled / events, usual / events


@compiled
def _usual(book: Book, p: int, q: int, relation: int, reach_us: int) -> float:
    """Entries of others that the quarter hours around a match would put within reach of it."""
    side = book.side[p]
    nearby = book.near[p, side] + (book.near[p, 1 - side] if relation == 1 else 0)
    width = 2.0 * reach_us + abs(book.opened_us[q] - book.opened_us[p])
    return float(max(nearby - 2.0, 0.0) * width / (2.0 * 15 * MINUTE))


@compiled
def _passers(
    book: Book,
    work: _Work,
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
        here = _usual(book, behind, behind, relation, int(NARROW_US))
        found += near
        usual += here
        public += log_poisson_tail(near, UNREST * here) < LOG_P_SURPLUS
        crowded += log_poisson_tail(around, UNREST * _usual(book, p, q, relation, wide_us)) < LOG_P_SURPLUS
    return found, usual, public / events, crowded / events


@compiled
def _company(work: _Work, number: int, events: int) -> _Company:
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
    return _Company(who, start, found, event)


@compiled
def _company_exits(book: Book, work: _Work, company: _Company, ahead: Codes, slack_s: float) -> tuple[float, float]:
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
            together = _correlation(np.log(np.maximum(lead, 1.0)), np.log(np.maximum(other, 1.0)))
            alike[accounts] = 0.0 if math.isnan(together) else together
            accounts += 1
    if accounts == 0:
        return np.nan, np.nan
    return float(np.quantile(kept[:accounts], 0.75)), float(np.quantile(alike[:accounts], 0.75))


@compiled
def _company_lots(book: Book, work: _Work, company: _Company, ahead: Codes) -> tuple[float, float]:
    """Regular others whose lots could rise and fall with the leader's where they meet it, and of them those that do."""
    known = alike = 0.0
    for i in range(len(company.who)):
        start, end = company.start[i], company.start[i + 1]
        lead, other = np.empty(end - start, dtype=np.int32), np.empty(end - start, dtype=np.int32)
        for k in range(start, end):  # by instrument, as matches are
            lead[k - start] = ahead[work.match[company.event[k]]]
            other[k - start] = work.place[company.found[k]]
        lots, instrument = market_lots(book, lead), book.instrument[lead]
        if end - start > LOTS_KNOWN and _varies(lots, instrument):
            together, told = _lots_together(lots, market_lots(book, other), instrument)
            if told >= LOTS_KNOWN:
                known += 1.0
                alike += together >= LOTS_ALIKE
    return known, alike


@compiled
def _surely(correlation: float, freedom: float) -> float:
    """How far a correlation of so many is the least that it may well be; one that is not known is none."""
    told = 0.0 if math.isnan(correlation) else min(max(correlation, -0.999), 0.999)
    return math.tanh(math.atanh(told) - 1.0 / math.sqrt(max(freedom, 0.5)))


@compiled
def _count_meetings(book: Book, work: _Work, number: int, at_a: Codes, at_b: Codes, events: int) -> None:
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
def _regulars(
    book: Book, work: _Work, number: int, events: int, filled: int, horizon_us: int, heres: Codes, usual: Floats
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
def _find_regulars(
    book: Book, every: Moments, work: _Work, number: int, p: int, relation: int, reach_us: int, found: Ints
) -> None:
    """Marks which regular others, by their slots, are around an entry on a side that counts: 1 before it, 2 after."""
    found[:] = 0
    here, side, at_us = every[p].instrument, every[p].side, every[p].at_us
    j = _since(book, every, here, p, at_us - reach_us)
    end = book.instrument_start[here + 1]
    while j < end and every[j].at_us <= at_us + reach_us:
        r = every[j].account
        if work.regular[r] == number and (relation == 1 or every[j].side == side) and found[work.slot[r]] == 0:
            found[work.slot[r]] = 2 if every[j].at_us > at_us else 1
        j += 1


@compiled
def _set_tail_aside(
    book: Book,
    every: Moments,
    work: _Work,
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
    near = _around_each(book, every, follower, leader, relation, -horizon_us, horizon_us)
    for alone in book.own[book.own_start[follower] + np.flatnonzero(~near)]:
        _find_regulars(book, every, work, number, alone, relation, horizon_us, found)
        met += found > 0
        after += found == 2
    behind = (met >= TAIL_MEETINGS) & (after >= 0.95 * met)
    if not behind.any():
        return who[:0]
    both = single = 0
    joined, apart = np.zeros(size), np.zeros(size)
    near = _around_each(book, every, leader, follower, relation, -horizon_us, horizon_us)
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
def _usual_by_instrument(
    book: Book, work: _Work, pair: Codes, at_a: Codes, at_b: Codes, events: int, reach_us: int
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
def _opens_burst(book: Book, p: int, horizon_us: int) -> bool:
    """Whether an account's entry is its first on the instrument for a horizon."""
    own = book.own[book.own_start[book.account[p]] : book.own_start[book.account[p] + 1]]
    k = np.searchsorted(own, p)  # positions are by instrument and time
    if k == 0 or book.instrument[own[k - 1]] != book.instrument[p]:
        return True
    return bool(book.opened_us[p] - book.opened_us[own[k - 1]] > horizon_us)


@compiled
def _lead(
    book: Book, work: _Work, number: int, ahead: Codes, behind: Codes, events: int, filled: int, horizon_us: int
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
def _describe_company(
    book: Book,
    around: _Around,
    work: _Work,
    pair: Codes,
    number: int,
    at_a: Codes,
    at_b: Codes,
    horizon_us: int,
    out: Floats,
) -> None:
    """Fills the columns about who else was there; `out` holds what the matches themselves tell already.

    Lots and exits of others are read only where those of the pair go together: elsewhere they have no say.
    """
    events, filled, crowding, usual = _gather(book, around.every, work, pair, at_a, at_b, horizon_us)
    _count_meetings(book, work, number, at_a, at_b, events)
    heres, usual_here = _usual_by_instrument(book, work, pair, at_a, at_b, events, horizon_us)
    others, rate, absent, third, third_before = _regulars(
        book, work, number, events, filled, horizon_us, heres, usual_here
    )
    lag, spread = out[1] * SECOND, out[2] * SECOND
    a, b, relation = pair[0], pair[1], pair[2]
    leads = lag >= 0
    ahead, behind = (at_a, at_b) if leads else (at_b, at_a)
    first_share, shared, apart = _lead(book, work, number, ahead, behind, events, filled, horizon_us)
    company = _company(work, number, events)
    out[12], out[13], out[15], out[16] = others, rate, third, third_before
    out[14] = first_share if shared > 0 else np.nan
    if shared > 0:
        reach = int(max(np.quantile(np.abs(apart), 0.8), abs(lag) + 2 * spread) + SECOND)
        reach = int(min(reach, horizon_us))
        leader, follower = (a, b) if leads else (b, a)
        tail = np.empty(0, dtype=np.int32)
        if others <= TAIL_OTHERS:
            since, until = book.opened_us[at_a].min(), book.opened_us[at_a].max()
            tail = _set_tail_aside(
                book, around.every, work, number, leader, follower, relation, company.who, since, until, horizon_us
            )
        with_a, without_a = _meets(book, around, leader, follower, relation, False, reach, work.regular, number)
        _, by_chance = _meets(book, around, leader, follower, relation, True, reach, work.regular, number)
        work.regular[tail] = number
        met = with_a + max(without_a - by_chance, 0.0)
        out[17] = 1.0 if met == 0.0 and len(tail) == others else with_a / max(met, 1.0)  # nobody else to be without
        tight = _tight_spread(book, work, company, ahead)
        out[20], out[39] = spread / max(tight, 1000.0), tight / SECOND
        out[41] = np.quantile(np.abs(apart), 0.9) / SECOND
        telling = out[14] >= 0.5 or out[20] <= 0.6  # only of one who may lead or whom another shadows
        if others >= FAMILY_MIN and relation == 0 and telling:
            out[42] = _company_cover(book, around, work, number, ahead, company.who, reach, horizon_us)
    out[21], out[22], out[23] = events - shared, events * absent, events
    out[18], out[19] = crowding, usual
    out[27], out[28], out[35], out[36] = _passers(book, work, relation, number, at_a, at_b, leads, events, horizon_us)
    if _surely(out[7], out[47] - 2.0) > LOTS_TELL - 0.01:
        out[48], out[49] = _company_lots(book, work, company, ahead)
    kept = (0.0 if math.isnan(out[4]) else out[4]) - (0.0 if math.isnan(out[5]) else out[5])
    if max(kept, _surely(out[6], events - 3.0)) > EXITS_TELL - 0.01:
        out[37], out[38] = _company_exits(book, work, company, ahead, max(2.0, 0.5 * abs(out[1])))


@compiled
def market_lots(book: Book, at: Codes) -> Floats:
    """The lots of entries in lots of their market."""
    return book.lots[at] * book.sizes[book.told[at]]


@compiled
def lots_beside(book: Book, at_a: Codes, at_b: Codes) -> Floats:
    """The lots of entries of b in lots of what a traded at its side, where the two are different instruments."""
    return book.lots[at_b] * book.sizes[book.told[at_b]] / book.sizes[book.told[at_a]]


@compiled
def _describe_pair(book: Book, a: int, b: int, at_a: Codes, at_b: Codes, out: Floats) -> None:
    """Fills the columns about the matches themselves: lags, exits, lots, places in the bar, days."""
    lags = (book.opened_us[at_b] - book.opened_us[at_a]).astype(np.float64)
    gaps, step_a, step_b = lags / SECOND, book.step_us[a] / SECOND, book.step_us[b] / SECOND
    lag_s, error_s, scale = typical_lag(gaps, step_a, step_b)
    lag = lag_s * SECOND
    tie_us = abs(book.step_us[a] - book.step_us[b]) / 2  # clocks of one step keep the order, of two steps they may not
    untied = (np.abs(lags) > tie_us).sum()
    first = (lags > tie_us).sum()
    ahead = (first + 0.5 * (len(lags) - untied)) / len(lags)
    own = min(book.own_start[a + 1] - book.own_start[a], book.own_start[b + 1] - book.own_start[b])
    out[0], out[1], out[2] = len(lags), lag / SECOND, np.median(np.abs(lags - lag)) / SECOND
    out[3] = max(ahead, 1.0 - ahead)
    held_a, held_b = _held(book, at_a), _held(book, at_b)
    out[4], out[5] = _alike(held_a, held_b, max(2.0, 0.5 * abs(lag_s)), 0.0)
    out[6] = _correlation(np.log(np.maximum(held_a, 1.0)), np.log(np.maximum(held_b, 1.0)))
    out[44], out[45] = _alike(held_a, held_b, max(NEAR_MIN_S, 0.5 * abs(lag_s)), NEAR_SHARE)
    out[46] = _local_spread(book.opened_us[at_a], lags) / SECOND
    out[7], out[47] = _lots_together(market_lots(book, at_a), market_lots(book, at_b), book.instrument[at_a])
    out[8], out[9] = _bar_share(book.opened_us[at_a]), _bar_share(book.opened_us[at_b])
    out[10] = len(lags) / own
    out[11] = len(np.unique(book.opened_us[at_a] // (1440 * MINUTE)))
    out[25], out[26] = untied, first / untied if untied > 0 else np.nan
    out[29] = max(book.step_us[a], book.step_us[b]) / SECOND
    out[40], out[43] = error_s, order_odds(gaps, step_a, step_b, lag_s, error_s, scale)
    out[30], out[32] = _exit_order(book, at_a if lag >= 0 else at_b, at_b if lag >= 0 else at_a)


@compiled
def _public_from(most: int, mean: float) -> int:
    """Fewest strangers of at most so many, of whom `mean` are usual, that make a moment public; more if none do."""
    low, high = PUBLIC_MIN, most + 1
    while low < high:
        middle = (low + high) // 2
        if log_poisson_tail(middle, mean) < LOG_P_OTHER:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _spare(book: Book, close: Codes, wanted: Flags) -> Codes:
    """`_Around.spare` of the wanted accounts; `close` counts the buys and sells within a moment of every entry."""
    reach_us = int(NARROW_US)
    out = np.full((len(close), 2), -1, dtype=np.int32)
    own = np.zeros(2, dtype=np.int32)
    for a in range(len(wanted)):
        end = book.own_start[a + 1] if wanted[a] else book.own_start[a]
        left = right = book.own_start[a]
        own[:] = 0
        for k in range(book.own_start[a], end):
            q = book.own[k]
            here, at_us, side = book.instrument[q], book.opened_us[q], book.side[q]
            while right < end:
                r = book.own[right]
                if book.instrument[r] > here or (book.instrument[r] == here and book.opened_us[r] - at_us > reach_us):
                    break
                own[book.side[r]] += 1
                right += 1
            while True:
                r = book.own[left]
                if book.instrument[r] == here and at_us - book.opened_us[r] <= reach_us:
                    break
                own[book.side[r]] -= 1
                left += 1
            found = 0
            for relation in range(2):
                found += int(close[q, side ^ relation] - own[side ^ relation])
                if found >= PUBLIC_MIN:
                    mean = UNREST * _usual(book, q, q, relation, reach_us)
                    out[k, relation] = max(found - _public_from(found, mean), -1)
    return out


@compiled
def _chosen(book: Book, around: _Around, leader: int, relation: int, behind: Codes) -> tuple[float, float]:
    """Public moments the account behind took part in with the leader, and without it, from first to last match.

    Moments are public at which strangers act, more of them than the quarter hours around lead to expect. A follower
    takes what the leader took; who waits at prices of his own also acts where the leader did not. Only instruments
    they share matches on are read.
    """
    every, reach_us = around.every, int(NARROW_US)
    shared = alone = 0.0
    ordered = np.sort(behind)  # positions are by instrument and time
    since, until = book.opened_us[ordered].min(), book.opened_us[ordered].max()
    follower = every[ordered[0]].account
    low, end = book.own_start[leader], book.own_start[leader + 1]
    place = 0
    for k in range(book.own_start[follower], book.own_start[follower + 1]):
        if around.spare[k, relation] < 0:
            continue
        q = book.own[k]
        here, at_us, side = every[q].instrument, every[q].at_us, every[q].side
        while place < len(ordered) and ordered[place] < q and every[ordered[place]].instrument < here:
            place += 1
        if place == len(ordered):
            break
        if every[ordered[place]].instrument != here or at_us < since or at_us > until:
            continue
        while low < end:
            p = book.own[low]
            if every[p].instrument > here or (every[p].instrument == here and every[p].at_us >= at_us - reach_us):
                break
            low += 1
        of_leader = 0
        for x in range(low, end):
            p = book.own[x]
            if every[p].instrument != here or every[p].at_us > at_us + reach_us:
                break
            of_leader += relation == 1 or every[p].side == side
        if of_leader > around.spare[k, relation]:
            continue
        found = np.searchsorted(ordered, q)
        if found < len(ordered) and ordered[found] == q:
            shared += 1.0
        else:
            alone += 1.0
    return shared, alone


@compiled
def _turned(
    book: Book, taken: Codes, pair: Codes, number: int, at_a: Codes, at_b: Codes, lag_us: float, spread_us: float
) -> float:
    """Entries that meet at the same lag in the other order, of those not matched; NaN where the lags lie about none."""
    least, most = abs(lag_us) - 2 * spread_us, abs(lag_us) + 2 * spread_us
    if least <= 0:
        return np.nan
    taken[at_a] = number
    taken[at_b] = number
    first, second = (pair[1], pair[0]) if lag_us >= 0 else (pair[0], pair[1])  # now the follower is ahead
    found = 0
    low = book.own_start[second]
    for k in range(book.own_start[first], book.own_start[first + 1]):
        p = book.own[k]
        if taken[p] == number:
            continue
        while low < book.own_start[second + 1] and (
            book.instrument[book.own[low]] < book.instrument[p]
            or (
                book.instrument[book.own[low]] == book.instrument[p]
                and book.opened_us[book.own[low]] < book.opened_us[p] + least
            )
        ):
            low += 1
        j = low
        while j < book.own_start[second + 1]:
            q = book.own[j]
            if book.instrument[q] != book.instrument[p] or book.opened_us[q] > book.opened_us[p] + most:
                break
            if taken[q] != number and (book.side[q] == book.side[p]) == (pair[2] == 0):
                taken[q] = number
                found += 1
                break
            j += 1
    return float(found)


@compiled
def _describe_pairs(book: Book, around: _Around, pairs: Codes, windows: Ints, horizon_us: int, columns: int) -> Floats:
    """One row of circumstances per pair, in the order of COLUMNS."""
    accounts = len(book.own_start) - 1
    out = np.full((len(pairs), columns), np.nan)
    work = _Work(
        times=np.zeros(accounts, dtype=np.int32),
        before=np.zeros(accounts, dtype=np.int32),
        stamp=np.full(accounts, -1, dtype=np.int64),
        regular=np.full(accounts, -1, dtype=np.int32),
        slot=np.empty(accounts, dtype=np.int32),
        who=np.empty(NEIGHBOURS_MAX, dtype=np.int32),
        when=np.empty(NEIGHBOURS_MAX, dtype=np.int64),
        place=np.empty(NEIGHBOURS_MAX, dtype=np.int32),
        size=np.empty(MATCHES_MAX + 1, dtype=np.int64),
        match=np.empty(MATCHES_MAX, dtype=np.int64),
        taken=np.full(len(book.opened_us), -1, dtype=np.int32),
    )
    for i in range(len(pairs)):
        a, b, relation = pairs[i, 0], pairs[i, 1], pairs[i, 2]
        at_a, at_b = match_entries(book, a, b, relation, windows[i, 0], windows[i, 1])
        if len(at_a) == 0:
            continue
        out[i, 24] = len(match_entries(book, a, b, relation, -horizon_us, horizon_us)[0])
        _describe_pair(book, a, b, at_a, at_b, out[i])
        leads = out[i, 1] >= 0
        out[i, 33], out[i, 34] = _chosen(book, around, a if leads else b, relation, at_b if leads else at_a)
        out[i, 31] = _turned(book, work.taken, pairs[i], i, at_a, at_b, out[i, 1] * SECOND, out[i, 2] * SECOND)
        _describe_company(book, around, work, pairs[i], i, at_a, at_b, horizon_us, out[i])
    return out


@compiled
def _elsewhen(book: Book) -> Codes:
    """For each entry the first position on its market at or after its shifted time, or the market's end."""
    out = np.empty(len(book.opened_us), dtype=np.int32)
    for market in range(len(book.instrument_start) - 1):
        j, end = book.instrument_start[market], book.instrument_start[market + 1]
        for p in range(book.instrument_start[market], end):
            while j < end and book.opened_us[j] < book.opened_us[p] + ELSEWHEN_US:
                j += 1
            out[p] = j
    return out


def match_windows(book: Book, pairs: Codes, judged: Floats, terms: CoordinationTerms) -> tuple[Ints, Floats]:
    """Lag windows (us) in which entries are matched, and the matches expected there by chance.

    The window is the searched one and half as much on either side, at least a step of a coarse clock, so that the
    tails of the lag are matched too.
    """
    low, high = judged[:, 0], judged[:, 1]
    narrowest = terms.lag_widths_s[0] * SECOND
    coarse = np.maximum(book.step_us[pairs[:, 0]], book.step_us[pairs[:, 1]])
    slack = np.maximum(0.5 * (high - low), np.maximum(narrowest, np.where(coarse >= SECOND, coarse, 0)))
    edge = terms.horizon_s * SECOND
    windows = np.stack([np.maximum(low - slack, -edge), np.minimum(high + slack, edge)], axis=1).astype(np.int64)
    expected = judged[:, 3] * (windows[:, 1] - windows[:, 0]) / np.maximum(high - low, narrowest)
    return windows, np.asarray(expected, dtype=np.float64)


def describe_pairs(entries: Entries, pairs: Codes, windows: Ints, terms: CoordinationTerms) -> Floats:
    """Circumstances of each pair within its lag window (us), one row each with the columns of COLUMNS."""
    both = np.concatenate([pairs.astype(np.int64), windows], axis=1)
    book, every = entries.book, np.ones(len(entries.book.side), dtype=np.bool_)
    close = neighbours(book.instrument, book.side, book.opened_us, every, int(NARROW_US))
    wanted = np.zeros(len(entries.accounts), dtype=np.bool_)
    wanted[pairs[:, :2]] = True
    around = _Around(moments(book), _elsewhen(book), _spare(book, close, wanted))

    def describe(part: Ints) -> Floats:
        return _describe_pairs(
            book, around, part[:, :3].astype(np.int32), part[:, 3:], int(terms.horizon_s * SECOND), len(COLUMNS)
        )

    return in_parts(describe, both)
