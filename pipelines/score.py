"""The scoring run: facts, walk, rules, detectors and marts, found first and then written in one transaction.

Whoever else writes waits for the writing alone, not for what is found before it.

Incremental means: only accounts that were touched since the last run, or that are not yet at their end, are walked,
each on from its checkpoint (`models.checkpoints`) unless something said since belongs before it. Both ways give the
same tables.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from models import checkpoints, events, set_rules, terms, verdicts, walk
from models.catalogue import Rulebook
from models.checkpoints import Checkpoints
from models.clock import to_micros
from models.rules import RULES
from models.set_rules import SetVerdicts, register_ends
from models.walk import Events
from pipelines import lost, marts, seals
from pipelines.sources.symbols import Instrument, aliases, instrument
from pipelines.withdrawals import withdraw
from sql import duck, kept_records, kept_trades, relations, schema
from sql.decided import Draft
from sql.one_line import one_line
from sql.warehouse import Warehouse, delete_rows, newest_fact, read_frame, replace_rows, write_rows

Say = Callable[[str], None]
WALK_TABLES = (schema.ACCOUNT_STATUS, schema.VERDICTS, schema.ACCOUNT_DAYS)
TERMINAL = ("passed", "breached", "closed", "expired")
KEPT = "kept"
RESUMED = ["account_id", "stood_at", "firm_day"]


@dataclass(frozen=True)
class Scored:
    """What a run did: the instant it stands at, accounts judged and walked, its remarks; accounts that it walked on
    from a checkpoint and the events that it walked."""

    as_of: dt.datetime | None
    accounts: int
    walked: int
    log: list[str] = field(default_factory=list)
    resumed: int = 0
    events: int = 0


@dataclass(frozen=True)
class Judged:
    """The walk's tables for the accounts that were walked, and when set-based rules paused one of them.

    `resumed` are accounts walked on from a checkpoint: the walk's verdicts up to `stood_at` and days before `firm_day`
    are not told again. `checkpoints` are those that the walks leave; so many `events` were walked.
    """

    status: pd.DataFrame
    verdicts: pd.DataFrame
    days: pd.DataFrame
    pauses: pd.DataFrame | None = None
    resumed: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=RESUMED))
    checkpoints: pd.DataFrame = field(default_factory=lambda: checkpoints.none([]).rows([]))
    events: int = 0


def score(
    warehouse: Warehouse,
    rulebook: Rulebook,
    as_of: dt.datetime | None = None,
    *,
    full: bool = False,
    say: Say = lambda _: None,
) -> Scored:
    """Judges every account that needs it and rebuilds what hangs on it; stands at `as_of` or at the newest fact."""
    # what learns takes seconds to import, and who judges accounts alone needs none of it
    from models.churn import horizon
    from models.payouts import spells
    from pipelines import across

    horizon()  # one that cannot be meant is refused before anything is done
    with warehouse.lock("score"):
        started = dt.datetime.now(dt.UTC)
        loads, stood, brought = _finished_loads(warehouse), _standing_now(warehouse), lost.landed(warehouse)
        seals.refuse(warehouse)
        with warehouse.engine(as_of) as connection:
            lost.refuse(warehouse, connection, brought)
            stands_at = as_of or newest_fact(connection)
            if stands_at is None:
                return Scored(None, 0, 0, ["the lake is empty: nothing to score"])
            register_terms(connection, rulebook)
            register_instruments(connection)
            relations.build(connection, "facts.accounts")
            accounts = judged_accounts(connection)
            kept_in = None if full else warehouse.home / KEPT
            if kept_in is not None:
                kept_trades.build(connection, kept_in)
            before = None if full else _comparable_run(warehouse, rulebook, stands_at)
            news = checkpoints.news_of(connection, loads - before) if before is not None else {}
            touched = accounts if before is None else _touched(warehouse, connection, accounts, loads - before, news)
            kept = resume_points(warehouse, touched, rulebook, None if before is None else news)
            on = f", {kept.begun:,} of them on from where they stood" if kept.begun else ""
            say(f"walking {len(touched):,} of {len(accounts):,} accounts{on}")
            judged = judge(connection, touched, rulebook, stands_at, kept)
            with warehouse.database.connect() as database:
                draft = Draft(connection, database)
                names = None if before is None else _judged_anew(database, accounts, touched)
                judged = replace(judged, verdicts=with_said_before(database, judged))
                _show_walked(draft, connection, judged, names, stands_at)
                log = across.decide(connection, database, draft, stands_at, say, loads, kept_in)
                _judge_shared(connection, draft, accounts, rulebook, stands_at)
                weighed = across.weigh_all(connection, database, draft, stands_at)
                across.segment(connection, draft, stands_at, warehouse.home)
                asked = spells.show(connection, rulebook, stands_at)
                across.foresee(connection, database, weighed, stands_at)
                across.review_payouts(connection, database, draft, asked, stands_at)
                log += weighed.remarks + across.manage(connection, stands_at)
                say("building the marts")
                if kept_in is not None:
                    kept_records.build(connection, kept_in)
                built = marts.build(connection, warehouse.database)
            say("writing what was found")
            with warehouse.database.begin() as database:
                newer = _differing(stood, _standing(database))
                withdraw(connection, database, rulebook, stands_at, newer)
                _write(database, judged, names, stands_at, newer)
                draft.write(database)
                marts.publish(connection, database, built)
                _write_run(database, started, stands_at, before is None, len(touched), loads, rulebook, log)
            say("what follows a run: transfers, the ledger, cases")
            log += across.follow_up(connection, warehouse.database, rulebook, weighed, stands_at)
        return Scored(stands_at, len(accounts), len(touched), log, len(judged.resumed), judged.events)


def _show_walked(
    draft: Draft,
    connection: duckdb.DuckDBPyConnection,
    judged: Judged,
    names: list[str] | None,
    as_of: dt.datetime,
) -> None:
    """Shows what was decided about every account; `names` are those judged anew, None for all."""
    where = None if names is None else {"account_id": names}
    draft.show(schema.ACCOUNT_STATUS, judged.status, where)
    draft.show(schema.VERDICTS, judged.verdicts, where)
    first_day = dict(zip(judged.resumed["account_id"], judged.resumed["firm_day"], strict=True))
    whole = None if names is None else {"account_id": [name for name in names if name not in first_day]}
    draft.show(schema.ACCOUNT_DAYS, judged.days, whole, lambda days: _before(days, first_day))
    connection.execute("update decided.account_status set as_of = ?", [as_of])


def _before(days: pa.Table, first_day: Mapping[str, dt.date]) -> pa.Array:
    """Days of accounts before those that are told anew."""
    first = [first_day.get(name, dt.date.max) for name in days["account_id"].to_pylist()]
    return pc.less(days["firm_day"], pa.array(first, pa.date32()))


def _judge_shared(
    connection: duckdb.DuckDBPyConnection,
    draft: Draft,
    accounts: pd.DataFrame,
    rulebook: Rulebook,
    as_of: dt.datetime,
) -> None:
    """Judges every account by the rules that look across an owner's accounts; they end none."""
    status = connection.sql("select account_id, status, status_at from decided.account_status").to_arrow_table()
    register_ends(connection, ends_of(status.to_pandas()))
    found = set_rules.judge(connection, accounts, rulebook, as_of, set_rules.SHARED)
    draft.replace(schema.VERDICTS, found.verdicts, {"rule": list(set_rules.SHARED)})


def register_terms(
    connection: duckdb.DuckDBPyConnection,
    rulebook: Rulebook,
    before: Rulebook | None = None,
    rules: Iterable[str] = tuple(RULES),
) -> None:
    """Puts the rulebook before the SQL files: `terms.versions`, `terms.stages` and one table for each of the rules.

    Where the tables are known to hold a rulebook `before`, only those that differ are written.
    """
    told = _told_terms(rulebook, rules)
    if before is not None:
        held = _told_terms(before, rules)
        told = {name: rows for name, rows in told.items() if rows != held[name]}
    for name, rows in told.items():
        duck.run(connection, _terms_table(name))
        if rows:
            told_terms = pa.Table.from_pylist(_as_json(name, rows), _terms_columns(name))  # noqa: F841 - read by name
            connection.execute(f"insert into terms.{name} from told_terms")


def _told_terms(rulebook: Rulebook, rules: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    versions = [version for product in rulebook.products.values() for version in product.versions]
    return {
        "versions": [{**vars(v), "product_version": v.version, "narrowness": v.narrowness} for v in versions],
        "stages": [
            {"product": v.product, "product_version": v.version, "stage": stage} for v in versions for stage in v.stages
        ],
    } | {rule: rulebook.rows(rule) for rule in rules}


STAGE = {"product": pa.string(), "product_version": pa.int64(), "stage": pa.string()}
VERSIONS = (
    {"product": pa.string(), "product_version": pa.int64(), "effective_from": pa.timestamp("us", "UTC")}
    | {"narrowness": pa.int64()}
    | {name: pa.list_(pa.string()) for name in ("desks", "countries", "coupons")}
)
_KINDS = {
    "count": pa.int64(), "seconds": pa.int64(), "flag": pa.bool_(),
    "percent": pa.float64(), "amount": pa.float64(), "number": pa.float64(),
}  # fmt: skip
_SQL_TYPES = {
    pa.string(): "varchar", pa.int64(): "bigint", pa.bool_(): "boolean", pa.float64(): "double",
    pa.timestamp("us", "UTC"): "timestamptz", pa.list_(pa.string()): "varchar[]",
}  # fmt: skip


@cache
def _terms_columns(name: str) -> pa.Schema:
    """The columns of a table of terms, those of a rule with the types that its fields have."""
    if name == "versions":
        return pa.schema(VERSIONS)
    fields = RULES[name].fields if name in RULES else ()
    return pa.schema(STAGE | {field.name: _KINDS.get(field.kind, pa.string()) for field in fields})


def _terms_table(name: str) -> str:
    columns = ", ".join(f'"{column.name}" {_SQL_TYPES[column.type]}' for column in _terms_columns(name))
    return f"create or replace table terms.{name} ({columns});"


def _as_json(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a rule whose lists are told as JSON."""
    fields = RULES[name].fields if name in RULES else ()
    lists = {field.name for field in fields if field.kind in ("texts", "groups", "pairs", "table", "percents")}
    return [
        {column: json.dumps(value) if column in lists and value is not None else value for column, value in row.items()}
        for row in rows
    ]


def register_instruments(connection: duckdb.DuckDBPyConnection) -> None:
    """Puts `terms.instruments` before the SQL files: what every delivered symbol is, and which currencies move it; and
    the aliases by which terms may name one."""
    symbols = [
        row[0]
        for row in connection.execute("select distinct symbol from lake.deals where symbol is not null").fetchall()
    ]
    known = [(symbol, instrument(symbol)) for symbol in symbols]
    kinds = [
        (symbol, i.name, i.asset_class, None if i.units is None else float(i.units), i.quote)
        for symbol, i in known
        if i
    ]
    moved = [(symbol, currency) for symbol, i in known if i for currency in _moved_by(i)]
    for name, columns, rows in (
        ("instruments", ("symbol", "instrument", "asset_class", "units", "quote"), kinds),
        ("instrument_currencies", ("symbol", "currency"), moved),
        ("instrument_aliases", ("alias", "instrument"), list(aliases().items())),
    ):
        types = pa.schema({column: pa.float64() if column == "units" else pa.string() for column in columns})
        told = pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows], types)  # noqa: F841 - by name
        connection.execute(f"create or replace table terms.{name} as from told")


def _moved_by(known: Instrument) -> set[str]:
    """Currencies whose news move an instrument: that of its price and, of a pair, both."""
    return {known.quote, known.name[:3]} if known.asset_class == "fx" else {known.quote}


def judged_accounts(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Accounts whose challenge is known and whose stage has terms, in order of id."""
    query = "select * from facts.accounts where has_terms order by account_id"
    accounts: pd.DataFrame = connection.sql(query).to_arrow_table().to_pandas()
    return accounts


def judge(
    connection: duckdb.DuckDBPyConnection,
    accounts: pd.DataFrame,
    rulebook: Rulebook,
    as_of: dt.datetime,
    kept: Checkpoints | None = None,
) -> Judged:
    """Walks accounts, from their start or on from what is `kept`, and judges them by set-based rules.

    Whom one of these pauses or ends is walked again from the start and leaves no checkpoint.
    """
    judged = _walk_on(connection, accounts, rulebook, as_of, kept)
    register_ends(connection, ends_of(judged.status))
    found = set_rules.judge(connection, accounts, rulebook, as_of)
    known: set[tuple[str, pd.Timestamp]] = set()
    while len(found.pauses) and (pauses := set(found.pauses.itertuples(index=False, name=None))) != known:
        # a pause may keep an account from its end, and then there is more to judge
        resting = accounts["account_id"].isin({account for account, _ in pauses | known})
        again = _walk(connection, accounts[resting].reset_index(drop=True), rulebook, as_of, found.pauses)
        ends, judged, known = ends_of(judged.status), _renewed(judged, again), pauses
        if _same_ends(ends, ends_of(judged.status)):
            break
        register_ends(connection, ends_of(judged.status))
        found = set_rules.judge(connection, accounts, rulebook, as_of)
    if len(found.terminations):
        # what ends an account keeps it from passing in the same instant, as a pause does
        halts = pd.concat([found.pauses, found.terminations[list(found.pauses.columns)]], ignore_index=True)
        stopped = _stopped(accounts, found)
        judged = _ended(judged, _walk(connection, stopped, rulebook, as_of, halts), found)
    rows = pd.concat([frame for frame in (judged.verdicts, found.verdicts) if len(frame)] or [judged.verdicts])
    rows = rows.sort_values(["account_id", "happened_at"], kind="stable", ignore_index=True)
    return replace(judged, verdicts=rows, pauses=found.pauses)


def _walk_on(
    connection: duckdb.DuckDBPyConnection,
    accounts: pd.DataFrame,
    rulebook: Rulebook,
    as_of: dt.datetime,
    kept: Checkpoints | None,
) -> Judged:
    """Walks accounts on from their checkpoints, those without one from their start; each leaves a new one.

    Apart, so that only the newest files are read for the first.
    """
    if kept is None:
        return _walk(connection, accounts, rulebook, as_of)
    begun = kept.states["begun"] != 0
    parts = [np.flatnonzero(some) for some in (begun, ~begun) if some.any()]
    walked = [
        _walk(connection, accounts.iloc[part].reset_index(drop=True), rulebook, as_of, kept=kept.of(part))
        for part in parts
    ]
    return _joined(walked) if walked else _walk(connection, accounts, rulebook, as_of)


def _joined(parts: list[Judged]) -> Judged:
    if len(parts) == 1:
        return parts[0]
    names = ("status", "verdicts", "days", "resumed", "checkpoints")
    frames = {name: [getattr(part, name) for part in parts] for name in names}
    return Judged(
        **{
            name: pd.concat([frame for frame in held if len(frame)] or held[:1], ignore_index=True)
            for name, held in frames.items()
        },
        events=sum(part.events for part in parts),
    )


def _walk(
    connection: duckdb.DuckDBPyConnection,
    accounts: pd.DataFrame,
    rulebook: Rulebook,
    as_of: dt.datetime,
    pauses: pd.DataFrame | None = None,
    kept: Checkpoints | None = None,
) -> Judged:
    told = events.load(connection, accounts, kept)
    if pauses is not None:
        told = replace(told, events=paused(told.events, accounts, pauses))
    compiled, clocks = terms.compile_terms(accounts, rulebook)
    first, last = terms.span(compiled, told.events.at, as_of)
    states = None if kept is None else kept.states.copy()
    schedules = terms.schedules(clocks, first, last)
    walked = walk.walk(told.events, compiled, schedules, to_micros(as_of), want_days=True, states=states)
    judged = Judged(
        verdicts.account_status(accounts, compiled, walked, as_of),
        verdicts.verdicts(accounts, walked, told, rulebook),
        verdicts.account_days(accounts, walked),
        events=len(told.events.at),
    )
    if kept is None or states is None or told.still_open is None:
        return judged
    left = checkpoints.taken(kept, states, compiled, told.deals, told.still_open)
    return replace(judged, resumed=_resumed(accounts, kept), checkpoints=left.rows(accounts["account_id"].tolist()))


def _resumed(accounts: pd.DataFrame, kept: Checkpoints) -> pd.DataFrame:
    begun = np.flatnonzero(kept.states["begun"])
    states = kept.states[begun]
    return pd.DataFrame(
        {
            "account_id": accounts["account_id"].to_numpy()[begun],
            "stood_at": pd.to_datetime(states["at"], unit="us", utc=True),
            "firm_day": [verdicts.EPOCH_DAY + dt.timedelta(days=day) for day in states["firm_day"].tolist()],
        }
    )


def paused(told: Events, accounts: pd.DataFrame, pauses: pd.DataFrame) -> Events:
    """The events of accounts with the instants (account_id, happened_at) at which a set-based rule pauses them."""
    mine = pauses[pauses["account_id"].isin(accounts["account_id"])]
    code = dict(zip(accounts["account_id"], range(len(accounts)), strict=True))
    at = pd.to_datetime(mine["happened_at"], utc=True).astype("datetime64[us, UTC]")
    return events.with_pauses(
        told, mine["account_id"].map(code).to_numpy(np.int64), at.to_numpy("datetime64[us]").astype(np.int64)
    )


def ends_of(status: pd.DataFrame) -> pd.DataFrame:
    """Accounts that are at their end: account_id, ended_at, passed (or closed by the firm, where a rule of that instant
    goes before as well)."""
    ended = status[status["status"].isin(TERMINAL)]
    ends = ended[["account_id", "status_at"]].rename(columns={"status_at": "ended_at"})
    return ends.assign(passed=ended["status"].isin(["passed", "closed"]))


def _same_ends(one: pd.DataFrame, two: pd.DataFrame) -> bool:
    return set(one.itertuples(index=False, name=None)) == set(two.itertuples(index=False, name=None))


def _stopped(accounts: pd.DataFrame, found: SetVerdicts) -> pd.DataFrame:
    """Accounts that a set-based rule ended, with that instant as their last."""
    ended = accounts[accounts["account_id"].isin(found.terminations["account_id"])]
    ended_at = ended["account_id"].map(found.terminations.set_index("account_id")["happened_at"])
    return ended.assign(closed_at=pd.to_datetime(ended_at, utc=True)).reset_index(drop=True)


def _ended(judged: Judged, again: Judged, found: SetVerdicts) -> Judged:
    """The walk's tables with accounts that a set-based rule ended as they stood then, under the status it gives."""
    given = found.terminations.set_index("account_id")["status"]
    status = again.status.assign(status=again.status["account_id"].map(given))
    return _renewed(judged, replace(again, status=status))


def _renewed(judged: Judged, again: Judged) -> Judged:
    """The walk's tables, with those of accounts walked again, from their start, in the place of what they replace."""
    names = set(again.status["account_id"])

    def others(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[~frame["account_id"].isin(names)]

    def renewed(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame for frame in (others(old), new) if len(frame)] or [old.iloc[:0]], ignore_index=True)

    return Judged(
        renewed(judged.status, again.status),
        renewed(judged.verdicts, again.verdicts),
        renewed(judged.days, again.days),
        resumed=others(judged.resumed),
        checkpoints=others(judged.checkpoints),
        events=judged.events + again.events,
    )


def _finished_loads(warehouse: Warehouse) -> set[int]:
    with warehouse.database.connect() as database:
        query = sa.select(schema.LOADS.c.load_id).where(schema.LOADS.c.finished_at.is_not(None))
        return set(database.execute(query).scalars())


def _comparable_run(warehouse: Warehouse, rulebook: Rulebook, as_of: dt.datetime) -> set[int] | None:
    """Loads that the last run had seen, None when it cannot be built upon (none, other rules or code, or later)."""
    runs = schema.RUNS
    with warehouse.database.connect() as database:
        last = database.execute(sa.select(runs).order_by(runs.c.run_id.desc()).limit(1)).mappings().first()
    if (
        last is None
        or (last["rulebook"], last["code"]) != (rulebook.digest, checkpoints.code())
        or last["as_of"] > as_of
    ):
        return None
    seen: list[int] = json.loads(last["watermark"])
    return set(seen)


def said_since(
    warehouse: Warehouse, rulebook: Rulebook, connection: duckdb.DuckDBPyConnection, as_of: dt.datetime
) -> dict[str, int] | None:
    """The earliest instant (microseconds) of each account of whose events something has landed since the last run.

    None where that run cannot be built upon, and nor can the checkpoints that it left.
    """
    before = _comparable_run(warehouse, rulebook, as_of)
    return None if before is None else checkpoints.news_of(connection, _finished_loads(warehouse) - before)


_TOUCHED_BY = {
    "accounts": "select account_id from lake.accounts where _load_id in (select load_id from new_loads)",
    "challenges": "select account_id from facts.accounts where challenge_id in"
    " (select challenge_id from lake.challenges where _load_id in (select load_id from new_loads))",
    "traders": "select account_id from facts.accounts where trader_id in"
    " (select trader_id from lake.traders where _load_id in (select load_id from new_loads))",
    "logins": "with told as (select trader_id, account_id from lake.logins"
    " where _load_id in (select load_id from new_loads))"
    " select account_id from facts.accounts semi join terms.login_country using (product, product_version, stage)"
    " where trader_id in (select trader_id from told) or account_id in (select account_id from told)"
    # how far a journey was hangs on the log-in before, also where somebody else's names the account
    " or account_id in (select account_id from lake.logins where trader_id in (select trader_id from told))",
}


def _touched(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    accounts: pd.DataFrame,
    loads: set[int],
    news: Mapping[str, int],
) -> pd.DataFrame:
    """Accounts of whose events there is news, of which loads tell something else, or that time alone may change."""
    changed = set(news)
    if loads:
        connection.register("new_loads", pd.DataFrame({"load_id": sorted(loads)}, dtype="int64"))
        for query in _TOUCHED_BY.values():
            changed.update(row[0] for row in connection.execute(query).fetchall())
    status = schema.ACCOUNT_STATUS
    with warehouse.database.connect() as database:
        ended = sa.select(status.c.account_id).where(status.c.status.in_(TERMINAL))
        finished = set(database.execute(ended).scalars())
    keep = accounts["account_id"].isin(changed) | ~accounts["account_id"].isin(finished)
    return accounts[keep].reset_index(drop=True)


def resume_points(
    warehouse: Warehouse, accounts: pd.DataFrame, rulebook: Rulebook, news: Mapping[str, int] | None
) -> Checkpoints:
    """The checkpoints from which accounts go on; without `news` all are walked from their start."""
    rests = checkpoints.fingerprints(accounts, *terms.compile_terms(accounts, rulebook))
    if news is None:
        return checkpoints.none(rests)
    with warehouse.database.connect() as database:
        return checkpoints.read(database, accounts["account_id"].tolist(), rests, news)


def _judged_anew(database: sa.Connection, accounts: pd.DataFrame, touched: pd.DataFrame) -> list[str]:
    """Accounts whose rows an incremental run replaces: those it walked, and those that there are no more."""
    known = set(database.execute(sa.select(schema.ACCOUNT_STATUS.c.account_id)).scalars())
    return [*touched["account_id"], *sorted(known - set(accounts["account_id"]))]


def _standing_now(warehouse: Warehouse) -> dict[str, int]:
    with warehouse.database.connect() as database:
        return _standing(database)


def _standing(database: sa.Connection) -> dict[str, int]:
    """By account, a number that another state or other verdicts would change."""
    found: dict[str, int] = {}
    for table, beside in ((schema.ACCOUNT_STATUS, ("as_of",)), (schema.VERDICTS, ("evidence",))):
        told = [c for c in table.c if c.name not in beside]
        columns = [sa.type_coerce(c, sa.Double()) if isinstance(c.type, schema.Money) else c for c in told]
        for row in database.execute(sa.select(*columns)):
            found[row.account_id] = found.get(row.account_id, 0) + hash(tuple(row))
    return found


def _differing(before: dict[str, int], now: dict[str, int]) -> set[str]:
    return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}


def _write(
    database: sa.Connection, judged: Judged, names: list[str] | None, as_of: dt.datetime, newer: set[str]
) -> None:
    """Replaces what was decided about accounts (all, or `names`) and moves the rest to the run's instant.

    `newer` are those that the live service has judged since the run read them: they stay as they are, and are walked
    from their start the next time.
    """
    status = schema.ACCOUNT_STATUS
    if newer:
        known = database.execute(sa.select(status.c.account_id)).scalars()
        names = sorted({*known, *judged.status["account_id"]}) if names is None else names
        judged = _without(judged, newer)
    chosen = None if names is None else [name for name in names if name not in newer]
    for table, frame, of in (
        (status, judged.status, chosen),
        (schema.VERDICTS, judged.verdicts, chosen),
        (schema.CHECKPOINTS, judged.checkpoints, names),
    ):
        replace_rows(database, table, frame, None if of is None else {"account_id": of})
    _write_days(database, judged, chosen)
    kept = [row for row in database.execute(sa.select(status.c.account_id, status.c.as_of)) if row.account_id in newer]
    database.execute(sa.update(status).values(as_of=as_of))
    for name, at in kept:
        database.execute(sa.update(status).where(status.c.account_id == name).values(as_of=at))


def _without(judged: Judged, names: set[str]) -> Judged:
    frames = ("status", "verdicts", "days", "resumed", "checkpoints")
    held = {name: getattr(judged, name) for name in frames}
    return replace(judged, **{name: frame[~frame["account_id"].isin(names)] for name, frame in held.items()})


def with_said_before(database: sa.Connection, judged: Judged) -> pd.DataFrame:
    """Verdicts of a run with those of accounts up to where they were walked on from; these stand."""
    said = [frame for frame in (_said_before(database, judged.resumed), judged.verdicts) if len(frame)]
    return pd.concat(said) if said else judged.verdicts


def _said_before(database: sa.Connection, resumed: pd.DataFrame) -> pd.DataFrame:
    """The walk's verdicts of accounts up to where they were walked on from; these stand."""
    of_walk = sa.select(schema.VERDICTS).where(schema.VERDICTS.c.rule.in_(walk.RULE_NAMES))
    rows = read_frame(database, of_walk).merge(resumed[["account_id", "stood_at"]], "inner", "account_id")
    happened_at = pd.to_datetime(rows["happened_at"], utc=True)
    return rows[happened_at <= pd.to_datetime(rows["stood_at"], utc=True)].drop(columns="stood_at")


def _write_days(database: sa.Connection, judged: Judged, names: list[str] | None) -> None:
    """Replaces the days of accounts (None: of all), of those that were walked on from the day on which they stood."""
    if names is not None:
        whole = set(names) - set(judged.resumed["account_id"])
        replace_rows(database, schema.ACCOUNT_DAYS, judged.days.iloc[:0], {"account_id": sorted(whole)})
        for day, some in judged.resumed.groupby("firm_day"):
            newer = schema.ACCOUNT_DAYS.c.firm_day >= day
            delete_rows(database, schema.ACCOUNT_DAYS, "account_id", some["account_id"].tolist(), newer)
        write_rows(database, schema.ACCOUNT_DAYS, judged.days)
    else:
        replace_rows(database, schema.ACCOUNT_DAYS, judged.days)


def _write_run(
    database: sa.Connection,
    started: dt.datetime,
    as_of: dt.datetime,
    full: bool,
    walked: int,
    loads: set[int],
    rulebook: Rulebook,
    log: list[str],
) -> None:
    runs = schema.RUNS
    number = database.execute(sa.select(sa.func.coalesce(sa.func.max(runs.c.run_id), 0))).scalar_one() + 1
    database.execute(
        sa.insert(runs).values(
            run_id=number,
            started_at=started,
            finished_at=dt.datetime.now(dt.UTC),
            as_of=as_of,
            mode="full" if full else "incremental",
            accounts_walked=walked,
            watermark=json.dumps(sorted(loads)),
            rulebook=rulebook.digest,
            log=json.dumps([one_line(remark) for remark in log], ensure_ascii=False),
            marts=relations.fingerprint("marts"),
            code=checkpoints.code(),
        )
    )
