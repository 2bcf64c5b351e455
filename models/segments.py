"""Segments of traders by rules that management can read and edit."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from models.churn import History, features_at, read_history

FILE = Path(__file__).with_suffix(".toml")
_TESTS: Mapping[str, Callable[[pd.Series[Any], float], pd.Series[bool]]] = {
    "at_least": lambda values, limit: values >= limit,
    "above": lambda values, limit: values > limit,
    "below": lambda values, limit: values < limit,
    "at_most": lambda values, limit: values <= limit,
}
EXTRA = ("near_share", "churn")


class SegmentsRefused(Exception):
    """The segment file cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Segment:
    """One segment: its name, its meaning in words, and its conditions (field, test, limit)."""

    name: str
    meaning: str
    conditions: tuple[tuple[str, str, float], ...]


def load(path: Path = FILE) -> list[Segment]:
    """The segments of a TOML file; SegmentsRefused when one has no condition or an unknown test."""
    held = tomllib.loads(path.read_text(encoding="utf-8")).get("segments", [])
    return [_read(one) for one in held]


def _read(held: Mapping[str, Any]) -> Segment:
    name = str(held.get("name", ""))
    found = [(field, test, limit) for field, tests in held.get("where", {}).items() for test, limit in tests.items()]
    if not name or not found:
        raise SegmentsRefused(f"segment {name!r} needs a name and at least one condition under where")
    for field, test, limit in found:
        if test not in _TESTS or isinstance(limit, bool) or not isinstance(limit, int | float):
            raise SegmentsRefused(
                f"segment {name}: {field} takes {', '.join(_TESTS)} with a number, not {test} {limit!r}"
            )
    return Segment(name, str(held.get("meaning", "")), tuple((f, t, float(n)) for f, t, n in found))


def members(known: pd.DataFrame, segments: list[Segment]) -> pd.DataFrame:
    """Who belongs to what: segment, trader_id. `known` is indexed by trader_id; an unknown value meets no condition.

    Raises SegmentsRefused for a field that `known` does not have.
    """
    rows = []
    for segment in segments:
        inside = pd.Series(True, index=known.index)
        for field, test, limit in segment.conditions:
            if field not in known.columns:
                raise SegmentsRefused(
                    f"segment {segment.name}: there is no field {field}; fields are {sorted(known.columns)}"
                )
            inside &= _TESTS[test](known[field], limit)
        rows += [(segment.name, trader) for trader in known.index[inside]]
    return pd.DataFrame(rows, columns=["segment", "trader_id"])


def known_at(connection: duckdb.DuckDBPyConnection, as_of: dt.datetime) -> pd.DataFrame:
    """What segments may ask about, for every buyer: churn features, near_share of running accounts, churn
    probability."""
    known = features_at(read_history(connection), pd.Timestamp(as_of))
    near = connection.sql(
        "select trader_id, max(near_share) as near_share from decided.account_status where status in "
        "('active', 'paused')"
        " group by trader_id"
    ).df()
    churn = connection.sql("select trader_id, probability as churn from decided.churn_scores").df()
    return known.join(near.set_index("trader_id")).join(churn.set_index("trader_id"))


def sizes_over_time(history: History, instants: list[pd.Timestamp], segments: list[Segment]) -> pd.DataFrame:
    """How many traders each segment had at each instant: as_of, segment, traders; fields of today only are left out."""
    timeless = [one for one in segments if not {field for field, _, _ in one.conditions} & set(EXTRA)]
    rows = []
    for at in instants:
        counts = members(features_at(history, at), timeless)["segment"].value_counts()
        rows += [(at, one.name, int(counts.get(one.name, 0))) for one in timeless]
    return pd.DataFrame(rows, columns=["as_of", "segment", "traders"])


def campaign(found: pd.DataFrame, traders: pd.DataFrame, segment: str) -> pd.DataFrame:
    """The list of a segment for a message: trader_id, full_name, email, country.

    Where traders carry a column `consent`, only those who gave it are listed; nobody is written to without an address.
    """
    inside = traders[traders["trader_id"].isin(found.loc[found["segment"] == segment, "trader_id"])]
    if "consent" in inside.columns:
        inside = inside[inside["consent"].eq(True)]
    return inside.loc[inside["email"].notna(), ["trader_id", "full_name", "email", "country"]].reset_index(drop=True)
