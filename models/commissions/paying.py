"""Which commission entries the transfers to a partner cover: what is owed back is set against what falls due."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from models.commissions.book import micros, minor_units
from models.commissions.posting import UNKNOWN, Array
from models.compiled import compiled

_NEVER = np.iinfo(np.int64).max


def paid(entries: pd.DataFrame, transfers: pd.DataFrame | None, as_of: dt.datetime) -> Array:
    """The states of entries with what transfers up to `as_of` cover, oldest due first; a return after payment is owed
    back.

    An entry counts with what was taken back of it by then. Where a transfer does not reach, debts (what is owed back of
    entries paid before, and commissions below zero) are set against the entry, if that makes it whole. What was sent
    too early covers what falls due later at that instant.
    """
    state = entries["state"].to_numpy(object).copy()
    if transfers is None or transfers.empty or entries.empty:
        return state
    sent = transfers[transfers["settled_at"] <= pd.Timestamp(as_of)].sort_values("settled_at", kind="stable")
    by = ["partner_id", "currency"]
    numbers = pd.concat([sent[by], entries[by]]).groupby(by, sort=False).ngroup().to_numpy()
    whose, group = numbers[: len(sent)], numbers[len(sent) :]
    source, at = entries["source"].to_numpy(np.int64), micros(entries["due_at"]).copy()
    taken = np.flatnonzero(source != UNKNOWN)
    at[taken] = micros(entries["happened_at"])[taken]
    at[entries["held_because"].notna().to_numpy()] = _NEVER
    # who was sent nothing comes last and is left out
    partners = np.arange(whose.max(initial=UNKNOWN) + 2)
    order = np.lexsort([source == UNKNOWN, at, group])
    by_group = np.argsort(whose, kind="stable")
    covered = _cover(
        order,
        np.searchsorted(group[order], partners),
        entries["minor"].to_numpy(np.int64),
        at,
        source,
        np.searchsorted(whose[by_group], partners),
        micros(sent["settled_at"])[by_group],
        minor_units(sent["amount"], sent["currency"])[by_group],
        pd.Timestamp(as_of).value // 1000,
    )
    owed_back = (source != UNKNOWN) & covered[source] & ~covered & (at != _NEVER)
    state[owed_back], state[covered] = "payable", "paid"
    return state


@compiled
def _cover(
    order: Array,
    starts: Array,
    minor: Array,
    at: Array,
    source: Array,
    sends: Array,
    times: Array,
    amounts: Array,
    as_of: int,
) -> Array:
    """Whether each entry is covered, from entries in order of partner and time and the transfers of each partner."""
    covered, taken = np.zeros(len(minor), np.bool_), np.zeros(len(minor), np.int64)
    newest, older = np.full(len(minor), UNKNOWN), np.full(len(minor), UNKNOWN)
    rank = np.empty(len(minor), np.int64)
    rank[order] = np.arange(len(order))
    for one in range(len(starts) - 1):
        mine = order[starts[one] : starts[one + 1]]
        due, debts = [UNKNOWN for _ in range(0)], [UNKNOWN for _ in range(0)]
        funds, seen = 0, 0
        for send in range(sends[one], sends[one + 1] + 1):
            last = send == sends[one + 1]
            now = as_of if last else times[send]
            while seen < len(mine) and at[mine[seen]] <= now:
                moment = at[mine[seen]]
                changed = [UNKNOWN for _ in range(0)]
                while seen < len(mine) and at[mine[seen]] == moment:
                    entry = mine[seen]
                    seen += 1
                    paid_for = source[entry]
                    if paid_for != UNKNOWN and not covered[paid_for]:
                        taken[paid_for] += minor[entry]
                        older[entry], newest[paid_for] = newest[paid_for], entry
                        if at[paid_for] < moment:
                            changed.append(paid_for)
                    elif paid_for != UNKNOWN or minor[entry] < 0:
                        debts.append(entry)
                    else:
                        due.append(entry)
                        changed.append(entry)
                if moment < now or last:
                    _in_order(changed, rank)
                    funds, _ = _spend(changed, debts[:0], minor, covered, taken, newest, older, funds)
            if last:
                continue
            funds += amounts[send]
            if send + 1 == sends[one + 1] or times[send + 1] != now:
                funds, used = _spend(due, debts, minor, covered, taken, newest, older, funds)
                due = [entry for entry in due if not covered[entry] and minor[entry] + taken[entry] != 0]
                debts = debts[used:]
    return covered


@compiled
def _in_order(entries: list[int], rank: Array) -> None:
    """Sorts a few entries by when they fell due."""
    for place in range(1, len(entries)):
        back = place
        while back > 0 and rank[entries[back - 1]] > rank[entries[back]]:
            entries[back - 1], entries[back] = entries[back], entries[back - 1]
            back -= 1


@compiled
def _spend(
    due: list[int],
    debts: list[int],
    minor: Array,
    covered: Array,
    taken: Array,
    newest: Array,
    older: Array,
    funds: int,
) -> tuple[int, int]:
    """Pays what has fallen due from the funds, with debts where that is needed; what is left, how many debts went."""
    owed, used = 0, 0
    for debt in debts:
        owed -= minor[debt] + taken[debt]
    for entry in due:
        net = minor[entry] + taken[entry]
        if covered[entry] or net == 0 or net > funds + owed:
            continue
        while net > funds:
            debt = debts[used]
            back = minor[debt] + taken[debt]
            funds, owed = funds - back, owed + back
            covered[debt] = True
            used += 1
        funds -= net
        covered[entry] = True
        back = newest[entry]
        while back != UNKNOWN:
            covered[back] = True
            back = older[back]
    return funds, used
