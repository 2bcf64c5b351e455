"""Finds, orders and builds the SQL files of this folder: the path is the name, `facts/trades.sql` is `facts.trades`.

A file is one select that runs as it stands. It names what it reads as `staging.deals` or `facts.trades`, and those are
built before it; staging files, and those that only rename, become views, all others tables, so that work done once is
done once.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import duckdb

from models.money import DECIMALS
from sql import duck

T = TypeVar("T")

FOLDER = Path(__file__).parent
ROOMS = ("staging", "facts", "rules", "detectors", "marts", "checks")
LAZY = ("staging.", "facts.trade_deals", "detectors.trades")
"""How the names of those begin that become views, but over a small lake, where reading them once costs less than
planning them anew in everything that reads them."""
PASSES = {"detectors.martingale": ("models.size_runs", "follow")}
"""Relations that a compiled pass makes of what their file selects: its module, loaded when needed, and function."""
MOST_AT_ONCE = 4
"""So many relations are built at once at most, since they share one memory."""
TOLD_LAST = 1
"""The order of what is told of a relation that stands: after the building of all, of which that for which most waits is
first (below zero)."""
_NAMED = re.compile(r"\b(" + "|".join(ROOMS) + r")\.([a-z_][a-z0-9_]*)\b")


def _listed(decimals: int) -> str:
    """The currencies of so many decimals, as SQL names them."""
    return ", ".join(f"'{currency}'" for currency, of in DECIMALS.items() if of == decimals)


_MACROS = (
    # the trader's part of a profit whose percentages hold part by part
    """traders_part(profit, begins, percents) as list_sum(list_transform(
        range(1, len(begins) + 1),
        lambda i: percents[i] / 100
            * greatest(least(profit, coalesce(begins[i + 1], cast('infinity' as double))) - begins[i], 0)
    ))""",
    # an instant as a plain time of UTC: what is between two of these takes a twentieth of the time
    "utc(instant) as make_timestamp(epoch_us(instant))",
    # the days of 24 hours between two instants, to the microsecond
    "days_between(since, until) as (epoch_us(until) - epoch_us(since)) / 86400000000.0",
    # how many whole days of 24 hours an instant lies before the run's, below zero after it
    """days_ago(instant) as cast(floor(
        (epoch_us(cast(getvariable('as_of') as timestamptz)) - epoch_us(instant)) / 86400000000
    ) as bigint)""",
    # what that comes to as a share of the profit; the first share of none
    """share_of(profit, begins, percents) as case
        when len(begins) = 1 or profit <= 0 then percents[1] / 100
        else traders_part(profit, begins, percents) / profit
    end""",
    # the trader's share of what would be gained next
    """next_share(profit, begins, percents) as case
        when len(begins) = 1 or profit <= 0 then percents[1] / 100
        else percents[len(list_filter(begins, lambda one: one <= profit))] / 100
    end""",
    # an amount as the walk reads it: in whole minor units of its currency, a half away from zero
    f"""as_walked(amount, currency) as case
        when upper(currency) in ({_listed(8)}) then cast(amount as decimal(38, 8))
        when upper(currency) in ({_listed(3)}) then cast(round(cast(amount as decimal(38, 8)), 3) as decimal(38, 8))
        when upper(currency) in ({_listed(0)}) then cast(round(cast(amount as decimal(38, 8)), 0) as decimal(38, 8))
        else cast(round(cast(amount as decimal(38, 8)), 2) as decimal(38, 8))
    end""",
    # what a deal adds to the balance, each of its amounts rounded by itself
    """net_as_walked(profit, commission, swap, fee, currency) as as_walked(profit, currency)
        + as_walked(coalesce(commission, 0), currency)
        + as_walked(coalesce(swap, 0), currency)
        + as_walked(coalesce(fee, 0), currency)""",
    # how many dollars one of a currency is by the rate that is told of it
    "in_dollars(currency, rate) as coalesce(rate, case currency when 'USD' then 1 end)",
    # how far the money of so many people varies when they are taken together with so many usual ones
    """variance_with(own, people, usual, usual_people) as
        (people * own + usual_people * usual) / (people + usual_people)""",
)
_COMMENT = re.compile(r"--[^\n]*")
_KNOWN: WeakKeyDictionary[duckdb.DuckDBPyConnection, set[str]] = WeakKeyDictionary()
"""Relations that a connection is known to hold: to ask it for each would cost as much as building a few."""


@cache
def text(name: str) -> str:
    """The SQL of a relation named `room.stem`; KeyError when there is no such file."""
    room, stem = name.split(".")
    path = FOLDER / room / f"{stem}.sql"
    if room not in ROOMS or not path.is_file():
        raise KeyError(f"no relation {name}: {room}/{stem}.sql does not exist")
    return path.read_text(encoding="utf-8")


def reading(name: str, read: str, other: str) -> str:
    """The SQL of a relation that reads another in the place of one that it names."""
    return re.sub(rf"\b{re.escape(read)}\b", other, text(name))


def names(room: str) -> list[str]:
    """Every relation of a room, sorted."""
    return sorted(f"{room}.{path.stem}" for path in (FOLDER / room).glob("*.sql"))


@cache
def fingerprint(room: str) -> str:
    """A hash of every file of a room."""
    told = "\n".join(f"{name}\n{text(name)}" for name in names(room))
    return hashlib.sha256(told.encode()).hexdigest()


@cache
def needs(name: str) -> tuple[str, ...]:
    """The relations that a file reads, in the order in which it names them."""
    found = (f"{room}.{stem}" for room, stem in _NAMED.findall(_COMMENT.sub("", text(name))))
    return tuple(dict.fromkeys(other for other in found if other != name))


def prepare(connection: duckdb.DuckDBPyConnection, as_of: dt.datetime | None) -> None:
    """Makes the rooms and the macros, and says at which instant the facts stand (`getvariable('as_of')`)."""
    duck.run(connection, "".join(f"create schema if not exists {room};" for room in (*ROOMS, "terms", "decided")))
    duck.run(connection, "".join(f"create or replace macro {macro};" for macro in _MACROS))
    stands_at = as_of.isoformat() if as_of else "1970-01-01T00:00:00+00:00"
    connection.execute(f"set variable as_of = timestamptz '{stands_at}'")


def build(connection: duckdb.DuckDBPyConnection, *wanted: str) -> None:
    """Builds relations and, before them, whatever they read; what exists already is left as it is.

    Raises KeyError for a name without a file and ValueError's sentence for files that read each other.
    """
    missing = _missing(connection, wanted)
    lazy = _lazy(connection) if missing else ()
    for name in missing:
        _make(connection, name, lazy)
        _known(connection).add(name)


def drop(connection: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Drops relations where they are there, so that they are built anew: `build` asks for none twice."""
    for name in names:
        connection.execute(f"drop table if exists {name}")
    _known(connection).difference_update(names)


def clear(connection: duckdb.DuckDBPyConnection, room: str) -> None:
    """Drops everything in a room."""
    connection.execute(f"drop schema {room} cascade; create schema {room}")
    _known(connection).difference_update(names(room))


def _known(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return _KNOWN.setdefault(connection, set())


def build_apart(
    connection: duckdb.DuckDBPyConnection, *wanted: str, then: Callable[[duckdb.DuckDBPyConnection, str], T]
) -> dict[str, T]:
    """Builds as `build` does, but those that do not wait for each other at once, each on one processor, and gives what
    `then` says of every wanted one.

    Small relations that each run on all processors spend a fifth of these on waiting and handing over.
    """
    threads = int(connection.execute("select current_setting('threads')").fetchall()[0][0])
    if threads == 1:
        build(connection, *wanted)
        return {name: then(connection, name) for name in wanted}
    missing, lazy = _missing(connection, wanted), _lazy(connection)
    waiting = {name: set(needs(name)).intersection(missing) for name in missing}
    behind = _behind(waiting)
    cursors = [_beside(connection) for _ in range(min(threads, MOST_AT_ONCE))]
    free = list(cursors)

    def work(order: int, name: str) -> T | None:
        cursor = free.pop()
        try:
            if order == TOLD_LAST:
                return then(cursor, name)
            _make(cursor, name, lazy)
            return None
        finally:
            free.append(cursor)

    found: dict[str, Any] = {}
    built = set[str]()
    todo = [(TOLD_LAST, name) for name in dict.fromkeys(wanted) if name not in waiting]
    running: dict[Future[T | None], tuple[int, str]] = {}
    connection.execute("set threads = 1")
    try:
        with ThreadPoolExecutor(len(cursors)) as pool:
            while waiting or todo or running:
                for name in [name for name, others in waiting.items() if others <= built]:
                    del waiting[name]
                    todo.append((-behind[name], name))
                todo.sort(reverse=True)
                while todo and len(running) < len(cursors):
                    one = todo.pop()
                    running[pool.submit(work, *one)] = one
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    order, name = running.pop(done)
                    said = done.result()
                    if order == TOLD_LAST:
                        found[name] = said
                        continue
                    built.add(name)
                    if name in wanted:
                        todo.append((TOLD_LAST, name))
    finally:
        _known(connection).update(built)
        for cursor in cursors:
            cursor.close()
        connection.execute(f"set threads = {threads}")
    return {name: found[name] for name in wanted}


def _behind(waiting: Mapping[str, set[str]]) -> dict[str, int]:
    """How long the longest row of relations is that wait for each; `waiting` names what each waits for, itself named
    before."""
    behind = dict.fromkeys(waiting, 0)
    for name in reversed(tuple(waiting)):
        for other in waiting[name]:
            behind[other] = max(behind[other], behind[name] + 1)
    return behind


def _beside(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Another connection to the same tables, with the variables and the zone of the first."""
    cursor = connection.cursor()
    cursor.execute("set timezone = 'UTC'")
    for name, kind in connection.execute("select name, type from duckdb_variables()").fetchall():
        value = connection.execute(f"select getvariable('{name}')").fetchall()[0]
        cursor.execute(f"set variable {name} = cast(? as {kind})", value)
    return cursor


def _lazy(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    small = connection.execute("select getvariable('lake_is_small')").fetchall()[0][0]
    return () if small else LAZY


def _missing(connection: duckdb.DuckDBPyConnection, wanted: Iterable[str]) -> list[str]:
    """What is to be built for relations, each after all that it reads."""
    known, found = _known(connection), dict[str, None]()

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"relations read each other: {' → '.join((*above, name))}")
        if name in known or name in found:
            return
        if are_there(connection, name):
            known.add(name)
            return
        for other in needs(name):
            visit(other, (*above, name))
        found[name] = None

    for name in wanted:
        visit(name, ())
    return list(found)


def _make(connection: duckdb.DuckDBPyConnection, name: str, lazy: tuple[str, ...]) -> None:
    form = "view" if name.startswith(lazy) else "table"
    try:
        if name in PASSES:
            _pass(connection, name)
        else:
            duck.run(connection, f"create {form} {name} as {text(name)}")
    except duckdb.Error as error:
        raise RuntimeError(f"sql/{name.replace('.', '/')}.sql does not run: {error}") from error


def _pass(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    module, function = PASSES[name]
    connection.register("passed", getattr(import_module(module), function)(connection, text(name)))
    connection.execute(f"create table {name} as from passed")
    connection.unregister("passed")


def are_there(connection: duckdb.DuckDBPyConnection, *wanted: str) -> bool:
    """Whether relations exist; a tenth of what it costs to ask which do."""
    try:
        for name in wanted:
            connection.execute(f"select 1 from {name} limit 0")
    except duckdb.CatalogException:
        return False
    return True
