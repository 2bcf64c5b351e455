"""The settling run: judges accounts from the lake by the code of `highwater score` and hands over what differs.

Accounts are walked on from where the last scoring run left them, where that still holds. It brings what a fold cannot
know (rules over whole histories, what time alone changes, where an event landed), so that after it the tables are those
of a full scoring run at the same instant.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pandas as pd
import sqlalchemy as sa

from models.catalogue import Rulebook
from models.checkpoints import Checkpoints
from models.clock import to_micros
from models.set_rules import SHARED
from models.walk import RULE_NAMES
from pipelines import score
from pipelines.live import decisions
from pipelines.live.book import ENGINE_MEMORY
from pipelines.live.decisions import Change, Said
from pipelines.live.folding import Folding
from sql import relations, schema
from sql.schema import Money
from sql.warehouse import Warehouse, delete_rows, newest_fact, upsert_rows, write_rows

CHUNK = 500
DECIDED = (schema.ACCOUNT_STATUS, schema.VERDICTS, schema.ACCOUNT_DAYS)
BESIDE = ("as_of",)


@dataclass(frozen=True)
class Settled:
    """Accounts judged from the lake, as of which instant and after which batch, and the rows of those that differ.

    `stops` and `pauses` tell which accounts a rule over their history ended or paused, and when; `gone` are judged no
    more. Of `resumed` accounts, walked on from a checkpoint, only the days from `firm_day` on are told.
    """

    as_of: dt.datetime
    number: int
    accounts: set[str]
    rows: dict[str, pd.DataFrame]
    differing: dict[str, set[str]]
    stops: dict[str, tuple[int, str]]
    pauses: dict[str, list[int]]
    gone: set[str]
    resumed: pd.DataFrame


def settle(
    warehouse: Warehouse, rulebook: Rulebook, number: int, touched: set[str], *, everything: bool
) -> Settled | None:
    """Judges touched accounts and all that are not at their end, or `everything`; None while the lake has no facts."""
    with warehouse.engine(memory=ENGINE_MEMORY) as connection:
        stands_at = newest_fact(connection)
        if stands_at is None:
            return None
        score.register_terms(connection, rulebook)
        score.register_instruments(connection)
        relations.build(connection, "facts.accounts")
        accounts = score.judged_accounts(connection)
        with warehouse.database.connect() as database:
            finished = decisions.ended(database) - touched
            known = set(database.execute(sa.select(schema.ACCOUNT_STATUS.c.account_id)).scalars())
        keep = ~accounts["account_id"].isin(finished)
        chosen = accounts if everything else accounts[keep].reset_index(drop=True)
        kept = _kept(warehouse, connection, chosen, rulebook, stands_at)
        judged = score.judge(connection, chosen, rulebook, stands_at, kept)
        with warehouse.database.connect() as database:
            judged = replace(judged, verdicts=score.with_said_before(database, judged))
    names = set(chosen["account_id"])
    differing = _differing(warehouse, judged, sorted(names))
    frames = {table.name: frame for table, frame in zip(DECIDED, _frames(judged), strict=True)}
    rows = {name: frame[frame["account_id"].isin(differing[name])] for name, frame in frames.items()}
    gone = known - set(accounts["account_id"])
    stops, pauses = _stops(judged), _pauses(judged)
    return Settled(stands_at, number, names, rows, differing, stops, pauses, gone, judged.resumed)


def _kept(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    accounts: pd.DataFrame,
    rulebook: Rulebook,
    as_of: dt.datetime,
) -> Checkpoints | None:
    """Where the last scoring run left accounts, where nothing that landed since belongs before that."""
    news = score.said_since(warehouse, rulebook, connection, as_of)
    return None if news is None else score.resume_points(warehouse, accounts, rulebook, news)


def _differing(warehouse: Warehouse, judged: score.Judged, names: list[str]) -> dict[str, set[str]]:
    """By table, the accounts whose rows are not those of the database."""
    frames = (judged.status, judged.verdicts, judged.days)
    with warehouse.database.connect() as database:
        held = [_held(database, table, names) for table in DECIDED]
    held[-1] = _since(held[-1], judged.resumed)
    return {
        table.name: _unlike(_digests(table, before), _digests(table, after))
        for table, before, after in zip(DECIDED, held, frames, strict=True)
    }


def _held(database: sa.Connection, table: sa.Table, names: list[str]) -> pd.DataFrame:
    """Rows of accounts, money as floats."""
    columns = [
        sa.cast(column, sa.Double).label(column.name) if isinstance(column.type, Money) else column
        for column in table.columns
    ]
    rows: list[tuple[object, ...]] = []
    for start in range(0, len(names), CHUNK):
        query = sa.select(*columns).where(table.c.account_id.in_(names[start : start + CHUNK]), *_own(table))
        rows += [tuple(row) for row in database.execute(query)]
    return pd.DataFrame(rows, columns=[column.name for column in table.columns])


def _since(days: pd.DataFrame, resumed: pd.DataFrame) -> pd.DataFrame:
    """Days of accounts, of those that were walked on from a checkpoint only the ones that were told anew."""
    first = days["account_id"].map(resumed.set_index("account_id")["firm_day"])
    return days[first.isna() | (days["firm_day"] >= first)] if len(resumed) else days


def _own(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    """Rows that a settling run answers for: not the verdicts across an owner's accounts."""
    return [table.c.rule.not_in(SHARED)] if table is schema.VERDICTS else []


def _digests(table: sa.Table, frame: pd.DataFrame) -> dict[str, int]:
    """One number per account over its rows, whatever their order."""
    return {key[0]: number for key, number in numbers_of(table, frame, ["account_id"]).items()}


def numbers_of(table: sa.Table, frame: pd.DataFrame, keys: list[str]) -> dict[tuple[str, ...], int]:
    """By key, a number over the rows of a table that have it, whatever their order and from wherever they come."""
    if frame.empty:
        return {}
    plain = pd.DataFrame({c.name: _plain(frame[c.name], c) for c in table.columns if c.name not in BESIDE})
    hashes = pd.util.hash_pandas_object(plain, index=False).to_numpy()
    found: dict[tuple[str, ...], int] = {}
    for key, number in zip(zip(*(frame[name].astype(str) for name in keys), strict=True), hashes.tolist(), strict=True):
        found[key] = (found.get(key, 0) + number) % (1 << 64)
    return found


def _plain(values: pd.Series, column: sa.Column[object]) -> pd.Series:  # type: ignore[type-arg]
    if isinstance(column.type, Money | sa.Double | sa.Integer):
        return pd.to_numeric(values).astype("float64").round(6) + 0.0
    if isinstance(column.type, schema.Instant):
        return pd.to_datetime(values, utc=True).astype("datetime64[us, UTC]").astype("int64")
    return values.astype(str)


def _unlike(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


# --- taking it over, in the folding thread ------------------------------------------------------------------------


def take_over(folding: Folding, settled: Settled) -> int:
    """Writes what a settling run found of accounts that nothing newer has touched; returns accounts that changed."""
    newer = {name for name, code in folding.book.codes.items() if folding.touched_by.get(code, 0) > settled.number}
    otherwise = _note_stops(folding, settled, newer)
    change = _change(folding, settled, newer)
    names = {table: (accounts | settled.gone) - newer for table, accounts in settled.differing.items()}
    now = dt.datetime.now(dt.UTC)
    with folding.warehouse.database.begin() as database:
        delete_rows(database, schema.CHECKPOINTS, "account_id", otherwise)
        decisions.write_change(database, change, folding.book.desk_of, now, folding.about)
        for table in DECIDED:
            first = settled.resumed if table is schema.ACCOUNT_DAYS else settled.resumed.iloc[:0]
            _replace(database, table, settled.rows[table.name], names[table.name], first)
        status = schema.ACCOUNT_STATUS
        older = sa.true() if not newer else status.c.as_of < settled.as_of
        database.execute(sa.update(status).where(older).values(as_of=settled.as_of))
    folding.note(change)
    for name in settled.accounts - newer:
        folding.touched_by.pop(folding.book.codes.get(name, -1), None)
    return len(set().union(*names.values()))


def _frames(judged: score.Judged) -> tuple[pd.DataFrame, ...]:
    return judged.status, judged.verdicts, judged.days


def _replace(
    database: sa.Connection, table: sa.Table, frame: pd.DataFrame, names: set[str], resumed: pd.DataFrame
) -> None:
    """Puts the rows of accounts in the place of theirs; of resumed ones from the day on that they were walked from."""
    whole = sorted(names - set(resumed["account_id"]))
    delete_rows(database, table, "account_id", whole, *_own(table))
    for day, some in resumed[resumed["account_id"].isin(names)].groupby("firm_day"):
        delete_rows(database, table, "account_id", some["account_id"].tolist(), table.c.firm_day >= day)
    write = upsert_rows if table.primary_key.columns else write_rows
    write(database, table, frame[frame["account_id"].isin(names)])


def _change(folding: Folding, settled: Settled, newer: set[str]) -> Change:
    """New and vanished verdicts; those that only differ in evidence are neither."""
    frame, differing = settled.rows["verdicts"], settled.differing["verdicts"]
    columns = ["account_id", "rule", "outcome", "happened_at", "observed", "allowed"]
    whats = [(account, decisions.said(tuple(row))) for account, *row in frame[columns].itertuples(False, None)]
    found: dict[str, set[Said]] = {}
    for account, what in whats:
        found.setdefault(account, set()).add(what)
    new = [account not in newer and what not in folding.said.get(account, ()) for account, what in whats]
    checked = (differing | settled.gone) - newer
    gone = [
        (name, what)
        for name in checked
        for what in folding.said.get(name, set()) - found.get(name, set())
        if what[0] not in SHARED
    ]
    return Change(frame[np.array(new, np.bool_)], gone)


def _note_stops(folding: Folding, settled: Settled, newer: set[str]) -> list[str]:
    """Remembers which accounts a rule over their history ended or paused, and when: the walk stops or rests there.

    Returns those of which it now says otherwise.
    """
    otherwise = []
    for name in settled.accounts - newer:
        code = folding.book.codes.get(name)
        if code is None:
            continue
        stop, pauses = settled.stops.get(name), settled.pauses.get(name, [])
        if (folding.stops.get(code), folding.pauses.get(code, [])) == (stop, pauses):
            continue
        folding.pauses[code] = pauses
        folding.stops.pop(code, None)
        if stop is not None:
            folding.stops[code] = stop
        folding.unload([code])
        otherwise.append(name)
    return otherwise


def _pauses(judged: score.Judged) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    if judged.pauses is not None:
        for account, at in judged.pauses[["account_id", "happened_at"]].itertuples(index=False, name=None):
            found.setdefault(account, []).append(to_micros(pd.Timestamp(at).to_pydatetime()))
    return found


def _stops(judged: score.Judged) -> dict[str, tuple[int, str]]:
    rows = judged.verdicts
    by_walk = rows[rows["rule"].isin(RULE_NAMES) & (rows["outcome"] == "breached") & (rows["effect"] == "terminate")]
    ended = judged.status[judged.status["status"].isin(("breached", "expired"))]
    of_rules = ended[~ended["account_id"].isin(by_walk["account_id"])]
    named = of_rules[["account_id", "status_at", "status"]].itertuples(index=False, name=None)
    return {account: (to_micros(pd.Timestamp(at).to_pydatetime()), status) for account, at, status in named}
