"""Platform exports against their own totals: which of those that do not add up a later export has put right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

CROOKED = "does_not_add_up"


def superseded(exports: Iterable[tuple[int, Mapping[str, Any]]]) -> dict[int, int]:
    """The load that supersedes each load that does not add up; those that stand are left out.

    Exports are given by load and what was kept of their reconciliation. What puts one right is the first later export
    of the account that holds and covers its time.
    """
    by_account: defaultdict[str, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    for load, told in sorted(exports, key=lambda export: export[0]):
        by_account[str(told.get("account_id"))].append((load, told))
    found = {}
    for listed in by_account.values():
        for place, (load, told) in enumerate(listed):
            better = [later for later, other in listed[place + 1 :] if _puts_right(other, told)]
            if told.get("outcome") == CROOKED and better:
                found[load] = better[0]
    return found


def _puts_right(later: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    if later.get("outcome") == CROOKED:
        return False
    mine, other = (one.get("facts", {}).get("period") for one in (told, later))
    if not mine:
        return True
    return bool(other) and other[0] <= mine[0] and other[1] >= mine[1]
