"""Whether who is behind one of a company picks that one's moments among all at which the company gathers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.compiled import compiled
from models.coordination.entries import SECOND, Book, Codes, Entries, Flags, Floats, Ints
from models.coordination.matching import match_entries
from models.coordination.pairs import MINUTE
from models.coordination.terms import CoordinationTerms

COMPANY_MIN, COMPANY_READ = 3, 10  # others tied to who is ahead: fewest that are a company, and how many are read
COVER_MIN, MET_MIN = 0.95, 8  # share of meetings with others that include who is ahead, and how many
GATHERINGS_MIN = 6.0  # moments of one of a company that tell whether it has some without who is ahead
ALWAYS = 0.97  # share of its gatherings from which one of a company is never without who is ahead
REACH_LEAST_S, REACH_MOST_S = 2.0, 60.0  # of one gathering
SPREADS = 4.0  # median absolute deviations about a lag that are still one meeting
BLUR = 0.05  # share of gatherings that may be misread
ELSEWHEN_US = 17 * MINUTE


@compiled
def _is_near(book: Book, account: int, market: int, side: int, since_us: int, until_us: int) -> bool:
    """Whether an account enters on a market and side between two times."""
    low, high = book.own_start[account], book.own_start[account + 1]
    while low < high:
        middle = (low + high) // 2
        p = book.own[middle]
        if book.instrument[p] < market or (book.instrument[p] == market and book.opened_us[p] < since_us):
            low = middle + 1
        else:
            high = middle
    for k in range(low, book.own_start[account + 1]):
        p = book.own[k]
        if book.instrument[p] != market or book.opened_us[p] > until_us:
            return False
        if book.side[p] == side:
            return True
    return False


@compiled
def _gatherings(
    book: Book,
    company: Codes,
    one: int,
    leader: int,
    when: Ints,
    markets: Flags,
    hours: Flags,
    reach_us: int,
    horizon_us: int,
) -> tuple[float, float]:
    """Entries of one of a company that another one joins, with who leads there or before, and without beyond chance.

    Only between two times and on the markets and in the hours told. Chance is what the same entries would meet
    minutes later.
    """
    led = without = chance = 0.0
    for k in range(book.own_start[one], book.own_start[one + 1]):
        p = book.own[k]
        at, here, side = book.opened_us[p], book.instrument[p], book.side[p]
        if at < when[0] or at > when[1] or not markets[here] or not hours[at // (60 * MINUTE) % 24]:
            continue
        for elsewhen in range(2):
            at += elsewhen * ELSEWHEN_US
            near = _is_near(book, leader, here, side, at - horizon_us, at + reach_us)
            if elsewhen == 1 and near:
                break
            for other in company:
                if other != one and _is_near(book, other, here, side, at - reach_us, at + reach_us):
                    led += near
                    without += not near and elsewhen == 0
                    chance += elsewhen
                    break
            if near:
                break
    return led, max(without - chance, 0.0)


@compiled
def _share_led(
    book: Book, company: Codes, leader: int, behind: Codes, reach_us: int, horizon_us: int
) -> tuple[float, float]:
    """Share of the gatherings of a company that have its leader, and the share of the company that has no others.

    The first is of those who have others. Only the hours, markets and time in which the account behind is there are
    read, as it could not pick elsewhere. Not a number where too few gather.
    """
    markets, hours = np.zeros(len(book.instrument_start), dtype=np.bool_), np.zeros(24, dtype=np.bool_)
    for p in behind:
        markets[book.instrument[p]] = True
        hours[book.opened_us[p] // (60 * MINUTE) % 24] = True
    when = np.array([book.opened_us[behind].min(), book.opened_us[behind].max()])
    led = without = always = read = 0.0
    for k in range(0, len(company), max(1, -(-len(company) // COMPANY_READ))):
        near, far = _gatherings(book, company, company[k], leader, when, markets, hours, reach_us, horizon_us)
        if near + far < GATHERINGS_MIN:
            continue
        read += 1.0
        if near >= ALWAYS * (near + far):
            always += 1.0
        else:
            led += near
            without += far
    if read == 0.0:
        return np.nan, np.nan
    return (led + 1.0) / (led + without + 1.0), always / read


def _companies(seen: pd.DataFrame) -> dict[int, tuple[Codes, Floats]]:
    """By account, who is tied to it on its own side where others recur, and how far (s) their meetings reach."""
    ties = seen[(seen["relation"] == 0) & (seen["others"] >= COMPANY_MIN - 1)]
    reach = ties["lag_s"].abs() + SPREADS * ties["lag_spread_s"]
    both = pd.DataFrame(
        {
            "one": np.concatenate([ties["a"], ties["b"]]),
            "other": np.concatenate([ties["b"], ties["a"]]),
            "reach": np.concatenate([reach, reach]),
        }
    )
    return {
        int(str(one)): (part["other"].to_numpy(dtype=np.int32), part["reach"].to_numpy(dtype=np.float64))
        for one, part in both.groupby("one")
    }


def add_picks(entries: Entries, seen: pd.DataFrame, terms: CoordinationTerms) -> pd.DataFrame:
    """The pairs with `picked_log_p` and `picked_always`: whether the company of who is ahead explains being behind it.

    Who takes part in what a robot or a room gives to all meets the others also where one of them is not there; who
    copies that one never does. The first is the log-probability of meeting the company only with that one if it
    were there as often as at the company's other gatherings; 0 where that is not known. The second is the share of
    the company that never gathers without it either, as behind a source.
    """
    lag, events = seen["lag_s"].to_numpy(), seen["events"].to_numpy()
    ahead = np.where(lag >= 0, seen["a"], seen["b"])
    behind = np.where(lag >= 0, seen["b"], seen["a"])
    met = events - seen["alone"].to_numpy()
    asked = (seen["cover"].to_numpy() >= COVER_MIN) & (met >= MET_MIN) & (seen["others"].to_numpy() >= COMPANY_MIN)
    companies = _companies(seen)
    log_p, always = np.zeros(len(seen)), np.ones(len(seen))
    rows = seen[["a", "b", "relation", "low_us", "high_us"]].to_numpy(dtype=np.int64)
    for i in np.flatnonzero(asked):
        company, reach = companies.get(int(ahead[i]), (np.empty(0, dtype=np.int32), np.empty(0)))
        known = company != behind[i]
        if known.sum() < COMPANY_MIN:
            continue
        a, b, relation, low_us, high_us = (int(x) for x in rows[i])
        matches = match_entries(entries.book, a, b, relation, low_us, high_us)[1 if lag[i] >= 0 else 0]
        reach_us = int(np.clip(np.quantile(reach[known], 0.75), REACH_LEAST_S, REACH_MOST_S) * SECOND)
        horizon_us = int(terms.horizon_s * SECOND)
        share, constant = _share_led(entries.book, company[known], int(ahead[i]), matches, reach_us, horizon_us)
        if not np.isnan(share):
            log_p[i], always[i] = met[i] * np.log(min(share + BLUR, 1.0)), constant
    return seen.assign(picked_log_p=log_p, picked_always=always)
