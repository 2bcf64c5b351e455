"""What surrounds the matched entries of a pair: their lags, exits and lots, and who else was there."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from models.compiled import compiled, to_read
from models.coordination.around import NARROW_US, Around, positions_elsewhen, spare_strangers
from models.coordination.company import (
    MATCHES_MAX,
    NEIGHBOURS_MAX,
    TAIL_OTHERS,
    Work,
    company_cover,
    company_exits,
    company_lots,
    company_of,
    count_meetings,
    gather,
    lead_of,
    mark_regulars,
    meets,
    passers,
    set_tail_aside,
    tight_spread,
    usual_by_instrument,
)
from models.coordination.entries import SECOND, Book, Codes, Entries, Floats, Ints, moments, neighbours
from models.coordination.hands import one_program, robot_share
from models.coordination.lags import order_odds, typical_lag
from models.coordination.likeness import (
    bar_share,
    bar_spread,
    correlation,
    exit_gaps,
    exit_order,
    held_alike,
    held_s,
    local_spread,
    lots_together,
    market_lots,
    surely,
)
from models.coordination.matching import match_entries, skip_to
from models.coordination.pairs import MINUTE, in_parts
from models.coordination.terms import CoordinationTerms

FAMILY_MIN = 3  # others from which they may be a family whoever leads them
LOTS_TELL, EXITS_TELL = 0.4, 0.6  # how far a pair's lots or exits must go together for those of others to matter
NEAR_SHARE, NEAR_MIN_S = 0.1, 3.0  # exits this share of the holding time apart, or so many seconds, are near


class Column(IntEnum):
    """Places of a row of circumstances."""

    MATCHED = 0
    LAG_S = 1
    LAG_SPREAD_S = 2
    SAME_ORDER = 3
    EXITS_TOGETHER = 4
    EXITS_BY_CHANCE = 5
    HOLDING_CORRELATION = 6
    LOTS_CORRELATION = 7
    BAR_SHARE_A = 8
    BAR_SHARE_B = 9
    CONTAINMENT = 10
    DAYS = 11
    OTHERS = 12
    OTHERS_RATE = 13
    FIRST_SHARE = 14
    THIRD = 15
    THIRD_BEFORE = 16
    COVER = 17
    CROWDING = 18
    CROWDING_USUAL = 19
    RELATIVE_SPREAD = 20
    ALONE = 21
    ALONE_EXPECTED = 22
    EVENTS = 23
    TOGETHER = 24
    UNTIED = 25
    UNTIED_AHEAD = 26
    PASSERS = 27
    PASSERS_USUAL = 28
    STEP_S = 29
    EXITS_AT_ONCE = 30
    TURNED = 31
    EXITS_AFTER = 32
    CHOSEN = 33
    CHOSEN_ALONE = 34
    PUBLIC_SHARE = 35
    CROWDED_SHARE = 36
    COMPANY_KEPT = 37
    COMPANY_HOLDING = 38
    TIGHT_SPREAD_S = 39
    LAG_ERROR_S = 40
    COMPANY_REACH_S = 41
    COMPANY_COVER = 42
    LAG_ODDS = 43
    EXITS_NEAR = 44
    NEAR_BY_CHANCE = 45
    LOCAL_SPREAD_S = 46
    LOTS_KNOWN = 47
    COMPANY_LOTS_KNOWN = 48
    COMPANY_LOTS_ALIKE = 49
    EXITS_MET = 50
    EXITS_REPEATED = 51
    BAR_SPREAD_S = 52
    ROBOT_A = 53
    ROBOT_B = 54
    COMPANY_ROBOT = 55
    ONE_PROGRAM = 56


COLUMNS = tuple(one.name.lower() for one in Column)


@compiled
def _describe_company(
    book: Book,
    around: Around,
    work: Work,
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
    events, filled, crowding, usual = gather(book, around.every, work, pair, at_a, at_b, horizon_us)
    count_meetings(book, work, number, at_a, at_b, events)
    heres, usual_here = usual_by_instrument(book, work, pair, at_a, at_b, events, horizon_us)
    others, rate, absent, third, third_before = mark_regulars(
        book, work, number, events, filled, horizon_us, heres, usual_here
    )
    lag, spread = out[Column.LAG_S] * SECOND, out[Column.LAG_SPREAD_S] * SECOND
    a, b, relation = pair[0], pair[1], pair[2]
    leads = lag >= 0
    ahead, behind = (at_a, at_b) if leads else (at_b, at_a)
    first_share, shared, apart = lead_of(book, work, number, ahead, behind, events, filled, horizon_us)
    company = company_of(work, number, events)
    out[Column.OTHERS], out[Column.OTHERS_RATE] = others, rate
    out[Column.THIRD], out[Column.THIRD_BEFORE] = third, third_before
    out[Column.FIRST_SHARE] = first_share if shared > 0 else np.nan
    if shared > 0:
        reach = int(max(np.quantile(np.abs(apart), 0.8), abs(lag) + 2 * spread) + SECOND)
        reach = int(min(reach, horizon_us))
        leader, follower = (a, b) if leads else (b, a)
        tail = np.empty(0, dtype=np.int32)
        if others <= TAIL_OTHERS:
            since, until = book.opened_us[at_a].min(), book.opened_us[at_a].max()
            tail = set_tail_aside(
                book, around.every, work, number, leader, follower, relation, company.who, since, until, horizon_us
            )
        with_a, without_a = meets(book, around, leader, follower, relation, False, reach, work.regular, number)
        _, without_by_chance = meets(book, around, leader, follower, relation, True, reach, work.regular, number)
        work.regular[tail] = number
        met = with_a + max(without_a - without_by_chance, 0.0)
        nobody_else = met == 0.0 and len(tail) == others
        out[Column.COVER] = 1.0 if nobody_else else with_a / max(met, 1.0)
        tight = tight_spread(book, work, company, ahead)
        out[Column.RELATIVE_SPREAD], out[Column.TIGHT_SPREAD_S] = spread / max(tight, 1000.0), tight / SECOND
        out[Column.COMPANY_REACH_S] = np.quantile(np.abs(apart), 0.9) / SECOND
        may_lead, shadowed = out[Column.FIRST_SHARE] >= 0.5, out[Column.RELATIVE_SPREAD] <= 0.6
        if others >= FAMILY_MIN and relation == 0 and (may_lead or shadowed):
            out[Column.COMPANY_COVER] = company_cover(book, around, work, number, ahead, company.who, reach, horizon_us)
    out[Column.COMPANY_ROBOT] = robot_share(book, work.place[company.found])
    out[Column.ALONE], out[Column.ALONE_EXPECTED], out[Column.EVENTS] = events - shared, events * absent, events
    out[Column.CROWDING], out[Column.CROWDING_USUAL] = crowding, usual
    out[Column.PASSERS], out[Column.PASSERS_USUAL], out[Column.PUBLIC_SHARE], out[Column.CROWDED_SHARE] = passers(
        book, work, relation, number, at_a, at_b, leads, events, horizon_us
    )
    if surely(out[Column.LOTS_CORRELATION], out[Column.LOTS_KNOWN] - 2.0) > LOTS_TELL - 0.01:
        out[Column.COMPANY_LOTS_KNOWN], out[Column.COMPANY_LOTS_ALIKE] = company_lots(book, work, company, ahead)
    together, by_chance = out[Column.EXITS_TOGETHER], out[Column.EXITS_BY_CHANCE]
    kept = (0.0 if math.isnan(together) else together) - (0.0 if math.isnan(by_chance) else by_chance)
    if max(kept, surely(out[Column.HOLDING_CORRELATION], events - 3.0)) > EXITS_TELL - 0.01:
        out[Column.COMPANY_KEPT], out[Column.COMPANY_HOLDING] = company_exits(
            book, work, company, ahead, max(2.0, 0.5 * abs(out[Column.LAG_S]))
        )


@compiled
def _describe_pair(book: Book, a: int, b: int, at_a: Codes, at_b: Codes, out: Floats) -> None:
    """Fills the columns about the matches themselves: lags, exits, lots, places in the bar, days."""
    lags = (book.opened_us[at_b] - book.opened_us[at_a]).astype(np.float64)
    gaps, step_a, step_b = lags / SECOND, book.step_us[a] / SECOND, book.step_us[b] / SECOND
    lag_s, error_s, scale = typical_lag(gaps, step_a, step_b)
    lag = lag_s * SECOND
    tie_us = abs(book.step_us[a] - book.step_us[b]) / 2  # clocks of one step keep the order, of two steps they may not
    untied = (np.abs(lags) > tie_us).sum()
    in_order = (lags > tie_us).sum()
    ahead = (in_order + 0.5 * (len(lags) - untied)) / len(lags)
    own = min(book.own_start[a + 1] - book.own_start[a], book.own_start[b + 1] - book.own_start[b])
    out[Column.MATCHED] = len(lags)
    out[Column.LAG_S], out[Column.LAG_SPREAD_S] = lag / SECOND, np.median(np.abs(lags - lag)) / SECOND
    out[Column.SAME_ORDER] = max(ahead, 1.0 - ahead)
    held_a, held_b = held_s(book, at_a), held_s(book, at_b)
    out[Column.EXITS_TOGETHER], out[Column.EXITS_BY_CHANCE] = held_alike(
        held_a, held_b, max(2.0, 0.5 * abs(lag_s)), 0.0
    )
    out[Column.HOLDING_CORRELATION] = correlation(np.log(np.maximum(held_a, 1.0)), np.log(np.maximum(held_b, 1.0)))
    out[Column.EXITS_NEAR], out[Column.NEAR_BY_CHANCE] = held_alike(
        held_a, held_b, max(NEAR_MIN_S, 0.5 * abs(lag_s)), NEAR_SHARE
    )
    out[Column.LOCAL_SPREAD_S] = local_spread(book.opened_us[at_a], lags) / SECOND
    out[Column.LOTS_CORRELATION], out[Column.LOTS_KNOWN] = lots_together(
        market_lots(book, at_a), market_lots(book, at_b), book.instrument[at_a]
    )
    out[Column.BAR_SHARE_A], out[Column.BAR_SHARE_B] = bar_share(book.opened_us[at_a]), bar_share(book.opened_us[at_b])
    out[Column.BAR_SPREAD_S] = min(bar_spread(book.opened_us[at_a]), bar_spread(book.opened_us[at_b])) / SECOND
    out[Column.ROBOT_A], out[Column.ROBOT_B] = robot_share(book, at_a), robot_share(book, at_b)
    out[Column.ONE_PROGRAM] = one_program(book, at_a, at_b)
    out[Column.CONTAINMENT] = len(lags) / own
    out[Column.DAYS] = len(np.unique(book.opened_us[at_a] // (1440 * MINUTE)))
    out[Column.UNTIED], out[Column.UNTIED_AHEAD] = untied, in_order / untied if untied > 0 else np.nan
    out[Column.STEP_S] = max(book.step_us[a], book.step_us[b]) / SECOND
    out[Column.LAG_ERROR_S], out[Column.LAG_ODDS] = error_s, order_odds(gaps, step_a, step_b, lag_s, error_s, scale)
    first, second = (at_a, at_b) if lag >= 0 else (at_b, at_a)
    out[Column.EXITS_AT_ONCE], out[Column.EXITS_AFTER] = exit_order(book, first, second)
    out[Column.EXITS_MET], out[Column.EXITS_REPEATED] = exit_gaps(book, first, second, abs(lag))


@compiled
def _chosen(book: Book, around: Around, leader: int, relation: int, behind: Codes) -> tuple[float, float]:
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
    low, end = book.own_start[second], book.own_start[second + 1]
    for k in range(book.own_start[first], book.own_start[first + 1]):
        p = book.own[k]
        if taken[p] == number:
            continue
        low = skip_to(book, low, end, book.instrument[p], book.opened_us[p] + least)
        for j in range(low, end):
            q = book.own[j]
            if book.instrument[q] != book.instrument[p] or book.opened_us[q] > book.opened_us[p] + most:
                break
            if taken[q] != number and (book.side[q] == book.side[p]) == (pair[2] == 0):
                taken[q] = number
                found += 1
                break
    return float(found)


@compiled
def _describe_pairs(book: Book, around: Around, pairs: Codes, windows: Ints, horizon_us: int, columns: int) -> Floats:
    """One row of circumstances per pair, in the order of COLUMNS."""
    accounts = len(book.own_start) - 1
    out = np.full((len(pairs), columns), np.nan)
    work = Work(
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
        out[i, Column.TOGETHER] = len(match_entries(book, a, b, relation, -horizon_us, horizon_us)[0])
        _describe_pair(book, a, b, at_a, at_b, out[i])
        leads = out[i, Column.LAG_S] >= 0
        out[i, Column.CHOSEN], out[i, Column.CHOSEN_ALONE] = _chosen(
            book, around, a if leads else b, relation, at_b if leads else at_a
        )
        out[i, Column.TURNED] = _turned(
            book,
            work.taken,
            pairs[i],
            i,
            at_a,
            at_b,
            out[i, Column.LAG_S] * SECOND,
            out[i, Column.LAG_SPREAD_S] * SECOND,
        )
        _describe_company(book, around, work, pairs[i], i, at_a, at_b, horizon_us, out[i])
    return out


def describe_pairs(entries: Entries, pairs: Codes, windows: Ints, terms: CoordinationTerms) -> Floats:
    """Circumstances of each pair within its lag window (us), one row each with the columns of COLUMNS."""
    both = np.concatenate([pairs.astype(np.int64), windows], axis=1)
    book, every = entries.book, np.ones(len(entries.book.side), dtype=np.bool_)
    close = neighbours(book.instrument, book.side, book.opened_us, every, int(NARROW_US))
    wanted = np.zeros(len(entries.accounts), dtype=np.bool_)
    wanted[pairs[:, :2]] = True
    around = Around(moments(book), positions_elsewhen(book), spare_strangers(book, close, wanted))

    def describe(part: Ints) -> Floats:
        pairs, windows = to_read(part[:, :3], np.int32), to_read(part[:, 3:], np.int64)
        return _describe_pairs(book, around, pairs, windows, int(terms.horizon_s * SECOND), len(COLUMNS))

    return in_parts(describe, both)
