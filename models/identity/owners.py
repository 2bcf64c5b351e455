"""Names the owners so that an owner keeps its id while members come, go and merge."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]


def name_owners(trader_ids: pd.Series, first: Ints, previous: pd.DataFrame | None) -> pd.Series:
    """Owner id of each trader, in the order given.

    `first` is the position of each trader's first member; `previous` has the trader_id and owner_id of the last run. An
    owner takes the id that most of its members had; where two owners claim one id the one with more of its members
    keeps it, ties go to the first member whose id comes first. A new owner is called after its first member."""
    groups = pd.Series(trader_ids.to_numpy(dtype=object)[first], dtype=object)
    names = groups.map(_new_id)
    if previous is None or previous.empty:
        return names
    kept = _kept_ids(trader_ids, groups, previous)
    taken = set(previous["owner_id"])
    inherited = groups.map(kept)
    for place in np.flatnonzero(inherited.isna() & names.isin(taken & set(kept.values()))).tolist():
        names[place] = next(name for name in _further_ids(names[place]) if name not in taken)
    return inherited.where(inherited.notna(), names)


def _further_ids(name: str) -> Iterator[str]:
    return (f"{name}-{number}" for number in count(2))


def _new_id(trader_id: object) -> str:
    return f"owner-{trader_id}"


def _kept_ids(trader_ids: pd.Series, groups: pd.Series, previous: pd.DataFrame) -> dict[str, str]:
    before = dict(zip(previous["trader_id"], previous["owner_id"], strict=True))
    claims = pd.DataFrame({"first": groups, "owner_id": trader_ids.map(before).to_numpy()}).dropna()
    votes = claims.groupby(["first", "owner_id"], as_index=False).size()
    votes = votes.sort_values(["size", "first", "owner_id"], ascending=[False, True, True], kind="stable")
    kept: dict[str, str] = {}
    given: set[str] = set()
    for group, owner_id in zip(votes["first"].tolist(), votes["owner_id"].tolist(), strict=True):
        if group not in kept and owner_id not in given:
            kept[group] = owner_id
            given.add(owner_id)
    return kept
