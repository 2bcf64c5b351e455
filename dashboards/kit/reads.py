"""The only reads of the database: marts and decided tables, bounded by desks, limited, cached by run."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import privacy
from dashboards.kit.house import warehouse as warehouse
from dashboards.kit.people import Person, who
from models.risk_score import FLAG
from pipelines import attempts, marts
from pipelines.attempts import Attempt
from sql import schema
from sql.live_schema import PAGE_REFRESHES
from sql.warehouse import read_frame

CACHE_SECONDS = 60
PAGE_ROWS = 50
LIST_ROWS = 5
MOST_ROWS = 500


@dataclass(frozen=True)
class Stamp:
    """What the pages stand on: the newest run, the instant that it stands at, the newest load, and since that run what
    the live service has brought up to date: how often, and as of when."""

    run_id: int
    as_of: dt.datetime | None
    finished_at: dt.datetime | None
    load_id: int
    marts: str | None = None
    refreshed: int = 0
    live_at: dt.datetime | None = None


def stamp() -> Stamp:
    """Read anew every time, so that a new run shows at the next click."""
    runs, loads, live = schema.RUNS, schema.LOADS, PAGE_REFRESHES
    with warehouse().database.connect() as database:
        told = (runs.c.run_id, runs.c.as_of, runs.c.finished_at, runs.c.marts)
        query = sa.select(*told).order_by(runs.c.run_id.desc()).limit(1)
        run = database.execute(query).first()
        load = database.execute(sa.select(sa.func.max(loads.c.load_id))).scalar()
        number, live_at = database.execute(sa.select(live.c.number, live.c.as_of)).first() or (0, None)
    if run is None:
        return Stamp(0, None, None, load or 0)
    is_newer = live_at is not None and (run[1] is None or live_at > run[1])
    return Stamp(run[0], run[1], run[2], load or 0, run[3], number, live_at if is_newer else None)


def not_done() -> tuple[Attempt, ...]:
    """The scoring run and the ingest that failed or were killed, those apart that one done since follows; read anew."""
    held = [attempts.last(warehouse(), kind) for kind in attempts.KINDS]
    return tuple(one for one in held if one is not None and not one.running)


@st.cache_data(ttl=CACHE_SECONDS, show_spinner=False, max_entries=500)
def _fetched(place: str, stamp: Stamp, key: str, _statement: sa.Select[Any]) -> pd.DataFrame:
    with warehouse().database.connect() as database:
        return read_frame(database, _statement)


def fetch(statement: sa.Select[Any], *, every_desk: bool = False) -> pd.DataFrame:
    """Rows of a select that belong to the person's desks, personal data as their role may see it.

    The same select over the same run is read once a minute. `every_desk` is for what a decision must know of others.
    """
    statement = statement if every_desk else within_desks(statement)
    compiled = statement.compile()
    key = f"{compiled} {sorted(compiled.params.items(), key=str)}"
    return privacy.shown(_fetched(warehouse().database_url, stamp(), key, statement), warehouse().database)


def within_desks(statement: sa.Select[Any]) -> sa.Select[Any]:
    """A select whose tables show only what belongs to the person's desks, by desk, account, trader or ring."""
    desks = who().desks
    if desks is None:
        return statement
    for table in _tables(statement.get_final_froms()):
        statement = statement.where(*_of_desks(table, desks))
    return statement


def _tables(sources: Sequence[Any]) -> Iterator[Any]:
    """The tables that a select reads, joins taken apart; what is joined if it is there follows its other side."""
    for source in sources:
        if isinstance(source, sa.Join):
            yield from _tables([source.left] if source.isouter else [source.left, source.right])
        elif isinstance(source, sa.TableClause):
            yield source


def _of_desks(table: Any, desks: tuple[str, ...]) -> list[Any]:
    """Conditions that bind a table's rows to desks; none for what belongs to no desk."""
    held, known = table.c, mart("accounts")
    if "desk_id" in held:
        return [held.desk_id.in_(desks)]
    if known is None:
        return []
    mine = {name: sa.select(known.c[name]).where(known.c.desk_id.in_(desks)) for name in ("account_id", "trader_id")}
    if "subject_kind" in held:
        by_kind = {"account": mine["account_id"], "trader": mine["trader_id"]}
        known_kinds = [(held.subject_kind == kind) & held.subject_id.in_(ids) for kind, ids in by_kind.items()]
        return [sa.or_(held.subject_kind.not_in(list(by_kind)), *known_kinds)]
    if "account_id" in held and "trader_id" in held:
        of_trader = held.account_id.is_(None) & held.trader_id.in_(mine["trader_id"])
        return [held.account_id.in_(mine["account_id"]) | of_trader]
    if "ring_id" in held and "account_id" not in held:
        rings = schema.COPY_RINGS.c
        return [held.ring_id.in_(sa.select(rings.ring_id).where(rings.account_id.in_(mine["account_id"])))]
    ends = {"account_id": "account_id", "account_a": "account_id", "account_b": "account_id"}
    ends |= {"trader_id": "trader_id", "trader_a": "trader_id", "trader_b": "trader_id"}
    bound = [held[name].in_(mine[of]) for name, of in ends.items() if name in held]
    asked = mart("payout_queue")
    if bound or "payout_id" not in held or asked is None:
        return bound
    return [held.payout_id.in_(sa.select(asked.c.payout_id).where(asked.c.desk_id.in_(desks)))]


def now(statement: sa.Select[Any]) -> pd.DataFrame:
    """As `fetch`, never from a cache: for what people change while others look."""
    with warehouse().database.connect() as database:
        return privacy.shown(read_frame(database, within_desks(statement)), warehouse().database)


def count(statement: sa.Select[Any]) -> int:
    """How many rows a select has."""
    inner = within_desks(statement).subquery()
    counted = fetch(sa.select(sa.func.count().label("rows")).select_from(inner))
    return int(counted["rows"].iloc[0])


@st.cache_resource(show_spinner=False, max_entries=200)
def _reflected(place: str, run_id: int, name: str) -> sa.TableClause | None:
    inspector = sa.inspect(warehouse().database)
    if not inspector.has_table(name):
        return None
    columns = [
        sa.column(held["name"], schema.Instant() if isinstance(held["type"], sa.DateTime) else held["type"])
        for held in inspector.get_columns(name)
        if held["name"] not in marts.OWN
    ]
    return sa.table(name, *columns)


def mart(name: str) -> sa.TableClause | None:
    """A mart's table, None before the first run made it."""
    return _reflected(warehouse().database_url, stamp().run_id, f"mart_{name}")


def bounded(statement: sa.Select[Any], desk: Any, person: Person | None = None) -> sa.Select[Any]:
    """A select that shows only what belongs to the person's desks."""
    desks = (person or who()).desks
    return statement if desks is None else statement.where(desk.in_(desks))


def rows(
    name: str,
    *,
    order: Sequence[str] = (),
    limit: int = MOST_ROWS,
    offset: int = 0,
    **equal: Any,
) -> pd.DataFrame:
    """Rows of a mart whose columns equal (or, for lists, are among) the values given; None and [] do not filter.

    An order column with a leading minus falls; unknown values come last. Empty when there is no such mart yet.
    """
    table = mart(name)
    if table is None:
        return pd.DataFrame()
    statement = filtered(table, **equal).order_by(*(_ordered(table, column) for column in order))
    return fetch(statement.limit(limit).offset(offset))


def how_many(name: str, **equal: Any) -> int:
    """How many rows of a mart pass the same filters as `rows`."""
    table = mart(name)
    return 0 if table is None else count(filtered(table, **equal))


def abused_partners(**equal: Any) -> int:
    """How many partners' buyers are flagged more often than all buyers, beyond what chance explains."""
    table = mart("partners")
    return 0 if table is None else count(filtered(table, **equal).where(table.c.abuse_low > table.c.abuse_baseline))


def total(name: str, column: str, **equal: Any) -> int:
    """The sum of a count column over the rows of a mart that pass the same filters as `rows`."""
    table = mart(name)
    if table is None:
        return 0
    held = filtered(table, **equal).subquery()
    summed = fetch(sa.select(sa.func.coalesce(sa.func.sum(held.c[column]), 0).label("total")))
    return int(summed["total"].iloc[0])


@dataclass(frozen=True)
class After:
    """A filter that lets through what is later than an instant."""

    instant: dt.datetime


@dataclass(frozen=True)
class Among:
    """A filter that lets through what a select lists."""

    listed: sa.SelectBase


def day_before() -> After:
    """The 24 hours up to the run's instant, as the overview counts them."""
    return After(stands_at() - dt.timedelta(days=1))


def flagged() -> Among:
    """Accounts with a flag on them or on their trader, as the overview counts them: inactivity is none."""
    signals, status = schema.SIGNALS.c, schema.ACCOUNT_STATUS.c
    flags = sa.select(signals.subject_id).where(
        signals.strength >= FLAG, signals.detector != "inactivity", signals.first_at.is_not(None)
    )
    of_traders = sa.select(status.account_id).where(status.trader_id.in_(flags.where(signals.subject_kind == "trader")))
    return Among(flags.where(signals.subject_kind == "account").union(of_traders))


def filtered(table: Any, **equal: Any) -> sa.Select[Any]:
    """A select of a table's rows that pass the filters and belong to the person's desks."""
    statement = sa.select(table)
    for name, wanted in equal.items():
        if wanted is None or wanted == []:
            continue
        column = table.c[name]
        if isinstance(wanted, After):
            statement = statement.where(column > wanted.instant)
        elif isinstance(wanted, Among):
            statement = statement.where(column.in_(wanted.listed))
        else:
            statement = statement.where(column.in_(wanted) if isinstance(wanted, list) else column == wanted)
    return within_desks(statement)


def _ordered(table: Any, column: str) -> Any:
    name = column.removeprefix("-")
    return sa.nulls_last(table.c[name].desc() if column.startswith("-") else table.c[name])


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows as records."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict(orient="records")]


def choices(name: str, column: str) -> list[str]:
    """The values that a column of a mart takes, sorted."""
    table = mart(name)
    if table is None:
        return []
    statement = bounded(sa.select(table.c[column]).distinct(), table.c.desk_id).where(table.c[column].is_not(None))
    return sorted(fetch(statement)[column].tolist())


def decided(table: sa.Table, *conditions: Any, order: Any = None, limit: int = MOST_ROWS) -> pd.DataFrame:
    """Rows of a decided table under conditions, of the person's desks."""
    statement = sa.select(table).where(*conditions).limit(limit)
    return fetch(statement if order is None else statement.order_by(order))


def hours_since(instants: pd.Series[Any]) -> pd.Series[Any]:
    """Hours from instants to the one at which accounts stand."""
    return (pd.Timestamp(stamp().live_at or stands_at()) - pd.to_datetime(instants, utc=True)) / pd.Timedelta(hours=1)


def stands_at() -> dt.datetime:
    """The instant that the newest run stands at; the beginning of time before the first run."""
    return stamp().as_of or dt.datetime.fromtimestamp(0, dt.UTC)


STANDS = ("equity", "equity_source", "daily_headroom", "max_headroom", "target_progress", "trading_days", "near_share")
"""What the pages tell of where an account stands beside what the risk queue says of it."""
STATES = ("near", "unknown", "fine", "breached", "ended")
"""The states of the risk queue in the order in which they need a look."""


def standing(table: Any, **equal: Any) -> sa.Select[Any]:
    """A select of the risk queue's rows that pass the filters, with where their accounts stand.

    `headroom` is the room to the nearer floor, also in percent of what the stage began with.
    """
    status = schema.ACCOUNT_STATUS
    held = {c.name: sa.type_coerce(c, sa.Double()) if isinstance(c.type, schema.Money) else c for c in status.c}
    daily, most = held["daily_headroom"], held["max_headroom"]
    is_daily = (daily <= most) | most.is_(None)
    headroom = sa.case((is_daily, daily), else_=most)
    told = [held[name].label(name) for name in STANDS] + [
        headroom.label("headroom"),
        (100 * headroom / sa.func.nullif(held["initial_balance"], 0)).label("headroom_pct"),
        sa.case((is_daily, "daily"), else_="max").label("nearest_floor"),
    ]
    return filtered(table, **equal).add_columns(*told).outerjoin(status, status.c.account_id == table.c.account_id)


def _first_look(table: Any) -> list[Any]:
    """The order in which accounts of a state need a look: who has used most of the allowance, then the newest."""
    used = sa.nulls_last(schema.ACCOUNT_STATUS.c.near_share.desc())
    return [used, sa.nulls_last(table.c.status_at.desc()), table.c.account_id]


def queue(*, order: Sequence[str] = (), limit: int = MOST_ROWS, offset: int = 0, **equal: Any) -> pd.DataFrame:
    """Rows of the risk queue as `rows` gives them, with where their accounts stand; without an order those first that
    need a look first."""
    table = mart("risk_queue")
    if table is None:
        return pd.DataFrame()
    rank = sa.case({state: place for place, state in enumerate(STATES)}, value=table.c.state)
    wanted = [_ordered(table, column) for column in order] or [rank, *_first_look(table)]
    if order or "account_id" in equal:
        picked = [_picked(table, wanted, limit, offset, **equal)]
    else:
        picked = [
            _picked(table, _first_look(table), most, start, **{**equal, "state": state})
            for state, most, start in _state_by_state(limit, offset, **equal)
        ]
    return _some(table, standing(table, **equal), wanted, picked)


def _state_by_state(limit: int, offset: int, state: Any = None, **equal: Any) -> Iterator[tuple[str, int, int]]:
    """How many rows of which states are on a page, and from which on: to put all in order takes much longer."""
    told = [state] if isinstance(state, str) else state or STATES
    for one in [one for one in STATES if one in told]:
        held = how_many("risk_queue", state=one, **equal) if len(told) > 1 else offset + limit
        if offset < held and limit > 0:
            yield one, limit, offset
            limit -= held - offset
        offset = max(offset - held, 0)


def _picked(table: Any, order: list[Any], limit: int, offset: int, **equal: Any) -> sa.Select[Any]:
    """The accounts of a page."""
    ids = standing(table, **equal).with_only_columns(table.c.account_id)
    return ids.order_by(*order).limit(limit).offset(offset)


def _some(table: Any, statement: sa.Select[Any], order: list[Any], picked: Sequence[sa.Select[Any]]) -> pd.DataFrame:
    """Rows of picked accounts: to sort whole rows instead takes twice as long."""
    if not picked:
        return fetch(statement.limit(0))
    found = sa.union_all(*(sa.select(one.subquery().c.account_id) for one in picked))
    return fetch(statement.where(table.c.account_id.in_(found)).order_by(*order))


def riskiest(*, limit: int = PAGE_ROWS, offset: int = 0, **equal: Any) -> pd.DataFrame:
    """The risk queue by money at stake × score, then by score (unknown last), with score, band, score_reasons."""
    table, scores = mart("risk_queue"), schema.RISK_SCORES
    if table is None:
        return pd.DataFrame()
    told = (scores.c.score, scores.c.band, scores.c.reasons.label("score_reasons"))
    joined = standing(table, **equal).add_columns(*told).outerjoin(scores, scores.c.account_id == table.c.account_id)
    stake = sa.func.coalesce(table.c.stake_usd, 0) * sa.func.coalesce(scores.c.score, 0)
    order = [stake.desc(), sa.nulls_last(scores.c.score.desc()), table.c.account_id]
    ids = joined.with_only_columns(table.c.account_id).order_by(*order).limit(limit).offset(offset)
    return _some(table, joined, order, [ids])


def last_broken(account_id: str) -> dict[str, Any] | None:
    """The rule that an account broke or was warned of last, and the sentence about it; None where it broke none."""
    table = schema.VERDICTS
    held = sa.select(table).where(table.c.account_id == account_id, table.c.outcome.in_(("breached", "warned")))
    # of one instant a breach before a warning
    found = fetch(held.order_by(table.c.happened_at.desc(), table.c.outcome, table.c.rule).limit(1))
    if found.empty:
        return None
    row = records(found)[0]
    return {"rule": row["rule"], "sentence": json.loads(row["evidence"])["sentence"]}


def stakes(accounts: pd.DataFrame) -> pd.Series[Any]:
    """What is at stake of accounts: of one that is not judged, what it waits for."""
    table = mart("risk_queue")
    if table is None:
        return accounts["waiting"]
    told = sa.select(table.c.account_id, table.c.stake).where(table.c.account_id.in_(accounts["account_id"].tolist()))
    held = fetch(told).set_index("account_id")["stake"]
    return accounts["account_id"].map(held).fillna(accounts["waiting"])


def scored() -> bool:
    """Whether any account has a risk score."""
    return len(decided(schema.RISK_SCORES, limit=1)) > 0


def seen(kind: str, *columns: Any) -> list[Any]:
    """Conditions that leave only traders or accounts (`kind`: trader_id or account_id) of the person's desks."""
    desks, known = who().desks, mart("accounts")
    if desks is None or known is None:
        return []
    mine = sa.select(known.c[kind]).where(known.c.desk_id.in_(desks))
    return [column.in_(mine) for column in columns]


def account(account_id: str) -> dict[str, Any] | None:
    """An account of the person's desks, None when there is none of that id."""
    found = rows("accounts", account_id=account_id, limit=1)
    return None if found.empty else records(found)[0]


def zone_of(desk_id: str | None) -> str:
    """The zone in which a desk reads its times; UTC for several desks."""
    if desk_id is None:
        return "UTC"
    found = rows("desks", desk_id=desk_id, limit=1)
    return "UTC" if found.empty else str(found["time_zone"].iloc[0])


def zone_of_all(desk_ids: Iterable[Any]) -> str:
    """The zone in which all of some desks read their times; UTC where they are of several zones or not known."""
    known = {str(one) for one in desk_ids if one is not None and one == one}
    zones = set(rows("desks", desk_id=sorted(known))["time_zone"]) if known else set()
    return str(zones.pop()) if len(zones) == 1 else "UTC"
