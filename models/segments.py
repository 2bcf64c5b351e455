"""Segments of traders by rules that management can read and edit.

The rules in force are those of `segments.toml` in the home once somebody has edited them, until then the delivered.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import sqlalchemy as sa

from models import access, audit
from models.access import Person
from models.audit import Record
from models.churn import FEATURES, features_at, read_history
from models.churn.features import WORDS
from models.toml_files import TomlRefused, parsed, text_of
from sql.decided import Draft
from sql.segment_schema import SEGMENT_MEMBERS, SEGMENT_SIZES
from sql.warehouse import write_rows

FILE = Path(__file__).with_suffix(".toml")
_TESTS: Mapping[str, Callable[[pd.Series[Any], float], pd.Series[bool]]] = {
    "at_least": lambda values, limit: values >= limit,
    "above": lambda values, limit: values > limit,
    "below": lambda values, limit: values < limit,
    "at_most": lambda values, limit: values <= limit,
}
EXTRA = ("near_share", "churn")
SHARES = ("result_30d", *EXTRA)
"""What is told in percent."""
FIELDS = (*FEATURES, *EXTRA)
MONTHS_BACK = 6


class SegmentsRefused(Exception):
    """The segment file cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Segment:
    """One segment: its name, its meaning in words, and its conditions (field, test, limit)."""

    name: str
    meaning: str
    conditions: tuple[tuple[str, str, float], ...]


def in_force(home: Path) -> Path:
    """The file whose rules hold in a home."""
    own = home / FILE.name
    return own if own.is_file() else FILE


def load(path: Path = FILE) -> list[Segment]:
    """The segments of a TOML file; SegmentsRefused names the file and says what cannot be meant."""
    try:
        return read(text_of(path))
    except (TomlRefused, SegmentsRefused) as error:
        raise SegmentsRefused(f"{path}: {error}") from error


def read(text: str) -> list[Segment]:
    """The segments of a text; SegmentsRefused says what cannot be meant."""
    try:
        held = parsed(text).get("segments", [])
    except TomlRefused as error:
        raise SegmentsRefused(f"this is {error}") from error
    if not isinstance(held, list) or not all(isinstance(one, dict) for one in held):
        raise SegmentsRefused(f"segments are written as [[segments]], not as {held!r:.60}")
    found = [_read(one) for one in held]
    names = [one.name for one in found]
    if not found or len(set(names)) < len(names):
        raise SegmentsRefused("at least one segment is needed, and no name twice")
    return found


def edit(database: sa.Engine, home: Path, person: Person, text: str, reason: str) -> list[Segment]:
    """Puts rules in force from the next run on, with an audit record; refuses before anything is written.

    Raises AccessRefused for who may not edit, SegmentsRefused for what cannot be meant.
    """
    access.require(person, "segments.edit", any_desk=True)
    found = read(text)
    members(pd.DataFrame(columns=list(FIELDS)), found)
    if not reason.strip():
        raise SegmentsRefused("say why the rules change")
    path = in_force(home)
    before = {"rules": path.read_text(encoding="utf-8")}
    record = Record(person.name, "segments edited", "segments", reason, person.role, before, {"rules": text})
    with database.begin() as connection:
        audit.append(connection, record)
        written = home / f"{FILE.name}.new"
        written.write_text(text, encoding="utf-8")
        written.replace(home / FILE.name)
    return found


def _read(held: Mapping[str, Any]) -> Segment:
    name = str(held.get("name", ""))
    where = held.get("where", {})
    if not isinstance(where, dict) or not all(isinstance(tests, dict) for tests in where.values()):
        raise SegmentsRefused(f"segment {name}: where has a table of tests for each field, not {where!r:.60}")
    found = [(field, test, limit) for field, tests in where.items() for test, limit in tests.items()]
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
    near = connection.execute(
        "select trader_id, max(near_share) as near_share from decided.account_status where status in "
        "('active', 'paused')"
        " group by trader_id"
    ).df()
    churn = connection.execute("select trader_id, probability as churn from decided.churn_scores").df()
    return known.join(near.set_index("trader_id")).join(churn.set_index("trader_id"))


def record(connection: duckdb.DuckDBPyConnection, draft: Draft, as_of: dt.datetime, path: Path) -> None:
    """Tells who belongs to what, and how many did at the ends of the last months.

    Earlier sizes of segments that ask for what only today knows stay as earlier runs wrote them.
    """
    rules = load(path)
    history, at = read_history(connection), pd.Timestamp(as_of)
    if history.purchases.empty:
        return
    found = members(known_at(connection, as_of), rules)
    desks: pd.DataFrame = connection.execute("select distinct trader_id, desk_id from staging.challenges").df()
    sizes = [counted(found, desks, at)]
    for back in range(1, MONTHS_BACK + 1):
        then = at.normalize().replace(day=1) - pd.DateOffset(months=back - 1)
        if then > history.first_at():
            sizes.append(counted(members(features_at(history, then), timeless(rules)), desks, then))
    draft.replace(SEGMENT_MEMBERS, found)
    fresh = pd.concat(sizes, ignore_index=True).drop_duplicates(["segment", "desk_id", "day"])
    kept = sorted({one.name for one in rules} - {one.name for one in timeless(rules)})
    draft.then(lambda database: _renew_sizes(database, fresh, kept))


def _renew_sizes(database: sa.Connection, fresh: pd.DataFrame, kept: list[str]) -> None:
    """Writes sizes; earlier ones of segments in `kept` stay."""
    told = SEGMENT_SIZES.c
    days = fresh["day"].unique().tolist()
    database.execute(sa.delete(SEGMENT_SIZES).where(told.segment.not_in(kept) | told.day.in_(days)))
    write_rows(database, SEGMENT_SIZES, fresh)


def timeless(rules: list[Segment]) -> list[Segment]:
    """Segments that can be told of any day in the past."""
    return [one for one in rules if not {field for field, _, _ in one.conditions} & set(EXTRA)]


def counted(found: pd.DataFrame, desks: pd.DataFrame, at: pd.Timestamp) -> pd.DataFrame:
    """Members by segment and desk on a day, in the columns of `segment_sizes`."""
    sizes = found.merge(desks, on="trader_id").groupby(["segment", "desk_id"]).size().rename("traders").reset_index()
    return sizes.assign(day=at.date())[["segment", "desk_id", "day", "traders"]]


def in_words(segment: Segment) -> str:
    """A segment's rule as a sentence."""
    tests = {"at_least": "at least", "above": "above", "below": "below", "at_most": "at most"}
    words = WORDS | {"near_share": "share of the tighter allowance used", "churn": "chance of leaving"}
    return ", and ".join(
        f"{words[field]} {tests[test]} {f'{100 * limit:g} %' if field in SHARES else f'{limit:g}'}"
        for field, test, limit in segment.conditions
    )
