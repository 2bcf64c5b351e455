"""Finds the pairs of accounts whose entries coincide often enough to be worth a closer look."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from models.coordination.chance import log_poisson_tail
from models.coordination.compiled import compiled
from models.coordination.entries import SECOND, Book, Codes, Entries, Floats, Ints
from models.coordination.terms import CoordinationTerms

THREADS = 2
CLUSTERING = 2.0  # entries come in sessions: coincidences are about this much more frequent than evenly spread ones
LOG_P_CROWD = math.log(0.01)
PAIRS_MAX = 4_000_000  # beyond this many pairs the closer look would no longer fit in memory


@compiled
def _count_for_accounts(
    accounts: Codes,
    book: Book,
    key_start: Ints,
    key_ids: Codes,
    key_counts: Floats,
    key_crowds: Floats,
    horizon_us: int,
    narrow_us: int,
    matches_min: int,
    log_p_max: float,
) -> Floats:
    """For each given account: every account after it with too many shared entries, as rows (a, b, relation, log p).

    A dense counter per relation and width holds one account's partners at a time, so memory grows with the number
    of accounts and never with the number of pairs.
    """
    n_accounts = len(book.own_start) - 1
    n = len(book.opened_us)
    wide = np.zeros((n_accounts, 2), dtype=np.int32)
    narrow = np.zeros((n_accounts, 2), dtype=np.int32)
    stamp = np.full((n_accounts, 2), -1, dtype=np.int32)
    stamp_narrow = np.full((n_accounts, 2), -1, dtype=np.int32)
    touched = np.empty(n_accounts, dtype=np.int32)
    mine = np.zeros(len(book.totals), dtype=np.float64)
    mine_crowd = np.zeros(len(book.totals), dtype=np.float64)
    found = np.empty((1024, 4), dtype=np.float64)
    filled = 0
    for a in accounts:
        count = 0
        for k in range(book.own_start[a], book.own_start[a + 1]):
            p = book.own[k]
            for step in (-1, 1):
                j = p + step
                while 0 <= j < n and book.instrument[j] == book.instrument[p]:
                    gap = abs(book.opened_us[j] - book.opened_us[p])
                    if gap > horizon_us:
                        break
                    b = book.account[j]
                    if b > a:
                        relation = 0 if book.side[j] == book.side[p] else 1
                        if stamp[b, relation] != book.idea[p]:
                            stamp[b, relation] = book.idea[p]
                            if wide[b, 0] + wide[b, 1] == 0:
                                touched[count] = b
                                count += 1
                            wide[b, relation] += 1
                        if gap <= narrow_us and stamp_narrow[b, relation] != book.idea[p]:
                            stamp_narrow[b, relation] = book.idea[p]
                            narrow[b, relation] += 1
                    j += step
        for k in range(key_start[a], key_start[a + 1]):
            mine[key_ids[k]] = key_counts[k]
            mine_crowd[key_ids[k]] = key_crowds[k]
        for c in range(count):
            b = touched[c]
            for relation in range(2):
                if wide[b, relation] < matches_min:
                    continue
                shared = crowded = crowded_narrow = 0.0
                for k in range(key_start[b], key_start[b + 1]):
                    key = key_ids[k] ^ relation
                    shared += key_counts[k] * mine[key]
                    meetings = key_crowds[k] * mine_crowd[key]
                    crowded += meetings * book.crowd_meets[key, relation]
                    crowded_narrow += meetings * book.crowd_meets[key, relation + 2]
                overlap = min(book.last_us[a], book.last_us[b]) - max(book.first_us[a], book.first_us[b])
                longest = max(book.last_us[a] - book.first_us[a], book.last_us[b] - book.first_us[b], 1)
                both_s = book.open_s * max(min(longest / SECOND / book.span_s, 1.0), 0.02)
                if overlap <= 0:
                    both_s = book.open_s
                expected = CLUSTERING * shared * 2.0 * horizon_us / SECOND / both_s
                busy = expected > 2.0 and wide[b, relation] >= 2 * matches_min
                log_p = min(
                    log_poisson_tail(wide[b, relation], expected),
                    log_poisson_tail(narrow[b, relation], expected * narrow_us / horizon_us),
                )
                if (
                    log_poisson_tail(wide[b, relation], expected + crowded) > LOG_P_CROWD
                    and log_poisson_tail(narrow[b, relation], expected * narrow_us / horizon_us + crowded_narrow)
                    > LOG_P_CROWD
                ):
                    continue
                if busy or log_p < log_p_max:
                    if filled == len(found):
                        grown = np.empty((2 * filled, 4), dtype=np.float64)
                        grown[:filled] = found
                        found = grown
                    found[filled, 0] = a
                    found[filled, 1] = b
                    found[filled, 2] = relation
                    found[filled, 3] = log_p
                    filled += 1
        for c in range(count):
            b = touched[c]
            wide[b, 0] = wide[b, 1] = narrow[b, 0] = narrow[b, 1] = 0
        for k in range(key_start[a], key_start[a + 1]):
            mine[key_ids[k]] = 0.0
            mine_crowd[key_ids[k]] = 0.0
    return found[:filled]


@compiled
def _keys_by_account(book: Book) -> tuple[Ints, Codes, Floats, Floats]:
    """How often each account used each instrument and side, in all and in crowds, as a sparse table by account."""
    n, accounts = len(book.own), len(book.own_start) - 1
    start = np.zeros(accounts + 1, dtype=np.int64)
    ids, counts, crowds = np.empty(n, dtype=np.int32), np.empty(n), np.empty(n)
    here, in_crowds = np.zeros(2), np.zeros(2)
    filled = 0
    for a in range(accounts):
        for k in range(book.own_start[a], book.own_start[a + 1]):
            p = book.own[k]
            here[book.side[p]] += 1.0
            in_crowds[book.side[p]] += book.crowd[p, book.side[p]]
            if k + 1 == book.own_start[a + 1] or book.instrument[book.own[k + 1]] != book.instrument[p]:
                for side in range(2):
                    if here[side]:
                        ids[filled] = book.instrument[p] * 2 + side
                        counts[filled], crowds[filled] = here[side], in_crowds[side]
                        filled += 1
                here[:] = 0.0
                in_crowds[:] = 0.0
        start[a + 1] = filled
    return start, ids[:filled], counts[:filled], crowds[:filled]


def find_candidates(entries: Entries, terms: CoordinationTerms, log: list[str]) -> Codes:
    """Pairs worth a closer look, shape (n, 3): account, account after it, relation (0 copy, 1 mirror)."""
    start, ids, counts, crowds = _keys_by_account(entries.book)
    shares = [np.arange(k, len(entries.accounts), THREADS * 8, dtype=np.int32) for k in range(THREADS * 8)]

    def count(share: Codes) -> Floats:
        return np.asarray(
            _count_for_accounts(
                share,
                entries.book,
                start,
                ids,
                counts,
                crowds,
                int(terms.horizon_s * SECOND),
                int(min(terms.narrow_s, terms.horizon_s) * SECOND),
                terms.matches_min,
                math.log(terms.prefilter_p_max),
            )
        )

    with ThreadPoolExecutor(THREADS) as pool:
        pairs = np.concatenate(list(pool.map(count, shares)))
    book = entries.book
    crowded = int(book.crowd[np.arange(len(book.side)), book.side].sum())
    if crowded:
        log.append(f"{crowded} entries stood in crowds or at news: pairs whose meetings these explain were passed over")
    log.append(f"{len(pairs)} pairs coincide often enough for a closer look")
    if len(pairs) > PAIRS_MAX:
        pairs = pairs[np.argsort(pairs[:, 3], kind="stable")[:PAIRS_MAX]]
        log.append(f"only the {PAIRS_MAX} least likely of them were looked at")
    pairs = pairs[np.lexsort((pairs[:, 2], pairs[:, 1], pairs[:, 0]))]
    return pairs[:, :3].astype(np.int32)
