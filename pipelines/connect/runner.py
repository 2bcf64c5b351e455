"""Runs one connection: catches up every account, then follows the stream; lands in bulk and remembers where to resume.

A cursor is stored after what it stands for has landed, so an event comes twice rather than never; landing by key makes
the second a duplicate. Whatever breaks, the next reading begins at the stored cursors.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from filelock import Timeout

from pipelines.connect import connectors
from pipelines.connect.kit.gather import gathered
from pipelines.connect.kit.interface import (
    AccountLost,
    AccountRef,
    Batch,
    Connector,
    ConnectRefused,
    Cursor,
    Finding,
    Transient,
)
from pipelines.connect.kit.settings import Settings, backoff_of
from pipelines.files import Broken, FeedRefused
from pipelines.land import Landed, land_frame, land_paths
from pipelines.sources.kit.ledger import unknown_symbols
from pipelines.sources.kit.statement import DEAL_COLUMNS, EQUITY_COLUMNS
from sql import relations
from sql.connect_schema import CONNECTION_CURSORS, CONNECTION_FINDINGS, CONNECTIONS
from sql.warehouse import Warehouse

LOG = logging.getLogger("highwater.connect")
TRIES_ONCE = 6
_TIMES = {"executed_at", "observed_at"}
Say = Callable[[str], None]


@dataclass
class Tally:
    """What a run has done: rows = landed + duplicates + rejects."""

    rows: int = 0
    landed: int = 0
    duplicates: int = 0
    rejects: int = 0
    reconnects: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, load: Landed) -> None:
        """Count one load."""
        self.rows += load.rows
        self.landed += load.landed
        self.duplicates += load.duplicates
        self.rejects += load.rejects


class Store:
    """The connection's rows in the database: its state, its cursors and its findings."""

    def __init__(self, warehouse: Warehouse, connection: str, connector: str) -> None:
        self.warehouse, self.connection, self.connector = warehouse, connection, connector

    def state(self, state: str, error: str | None = None, landed: int = 0) -> None:
        """Write how the connection fares; an error stays until the next one."""
        now = dt.datetime.now(dt.UTC)
        mine = CONNECTIONS.c.connection == self.connection
        with self.warehouse.database.begin() as database:
            known = database.execute(sa.select(CONNECTIONS).where(mine)).mappings().first()
            values: dict[str, Any] = {"connector": self.connector, "state": state}
            values["rows_landed"] = (known["rows_landed"] if known else 0) + landed
            values["state_at"] = known["state_at"] if known and known["state"] == state else now
            values |= {"last_error": error} if error else {}
            values |= {"landed_at": now} if landed else {}
            if known:
                database.execute(sa.update(CONNECTIONS).where(mine).values(**values))
            else:
                database.execute(sa.insert(CONNECTIONS).values(connection=self.connection, **values))

    def cursors(self) -> dict[str, Cursor]:
        """Where each account resumes, by the platform's key."""
        columns = (CONNECTION_CURSORS.c.platform_id, CONNECTION_CURSORS.c.resume_from)
        mine = sa.select(*columns).where(CONNECTION_CURSORS.c.connection == self.connection)
        with self.warehouse.database.connect() as database:
            return {platform_id: json.loads(cursor) for platform_id, cursor in database.execute(mine)}

    def store(self, batches: Iterable[Batch]) -> None:
        """Write the last cursor of every account in the batches, in one transaction."""
        last = {batch.account.platform_id: batch for batch in batches}
        now = dt.datetime.now(dt.UTC)
        with self.warehouse.database.begin() as database:
            for platform_id, batch in last.items():
                key = {"connection": self.connection, "platform_id": platform_id}
                values = {
                    "account_id": batch.account.account_id,
                    "resume_from": json.dumps(batch.cursor),
                    "stored_at": now,
                }
                _upsert(database, CONNECTION_CURSORS, key, values, {})

    def find(self, findings: Iterable[Finding]) -> list[Finding]:
        """Keep findings; those that are new are returned."""
        now = dt.datetime.now(dt.UTC)
        fresh = []
        with self.warehouse.database.begin() as database:
            for finding in findings:
                key = {"connection": self.connection, "kind": finding.kind, "subject": finding.subject}
                if finding.detail is None:
                    open_one = sa.update(CONNECTION_FINDINGS).where(*_matches(CONNECTION_FINDINGS, key))
                    database.execute(open_one.where(CONNECTION_FINDINGS.c.settled_at.is_(None)).values(settled_at=now))
                    continue
                values = {"detail": finding.detail, "last_at": now, "settled_at": None}
                if _upsert(database, CONNECTION_FINDINGS, key, values, {"first_at": now}):
                    fresh.append(finding)
        return fresh


def _matches(table: sa.Table, key: dict[str, str]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


def _upsert(
    database: sa.Connection, table: sa.Table, key: dict[str, str], values: dict[str, Any], first: dict[str, Any]
) -> bool:
    """Write a row under its key, ``first`` only when it is new; returns whether it is."""
    if database.execute(sa.update(table).where(*_matches(table, key)).values(**values)).rowcount:
        return False
    database.execute(sa.insert(table).values(**key, **values, **first))
    return True


class Runner:
    """One connection at work."""

    def __init__(self, warehouse: Warehouse, connector: Connector, settings: Settings, say: Say) -> None:
        """Keep what the run needs; nothing is opened yet."""
        self.warehouse, self.connector, self.settings, self.say = warehouse, connector, settings, say
        self.store = Store(warehouse, settings.connection, connector.name)
        self.tally = Tally()
        self.backoff = backoff_of(settings)
        self.linger_seconds = settings.number("land_every_seconds", 1.0)
        self.rows_max = int(settings.number("land_rows_max", 50_000))
        self._symbols: set[str] = set()
        self._lost: set[str] = set()

    async def run(self, once: bool) -> Tally:
        """Catch up, and unless only once, follow the stream for good; ConnectRefused when it cannot be done."""
        tries = 0
        while True:
            try:
                await self._session(once)
                self.store.state("done")
                return self.tally
            except (Transient, AccountLost) as failure:
                tries += 1
                await self._wait(failure, tries, once)
            except ConnectRefused as refusal:
                raise self._refused(str(refusal)) from None
            except asyncio.CancelledError:
                self.store.state("stopped")
                raise
            except (KeyError, TypeError, ValueError) as error:
                raise self._refused(f"an answer has not the documented shape: {error!r}") from error
            finally:
                await self.connector.close()

    def _refused(self, said: str) -> ConnectRefused:
        """The refusal with its secrets hidden, kept as the connection's state."""
        sentence = f"{self.settings.connection}: {self.settings.scrub(said)}"
        self.store.state("failed", sentence)
        return ConnectRefused(sentence)

    async def _wait(self, failure: Transient | AccountLost, tries: int, once: bool) -> None:
        said = self.settings.scrub(str(failure))
        self.tally.reconnects += 1
        if once and tries >= TRIES_ONCE:
            self.store.state("failed", said)
            raise ConnectRefused(f"{self.settings.connection}: given up after {tries} tries, the last: {said}")
        pause = self.backoff.next(failure.retry_after if isinstance(failure, Transient) else None)
        self.store.state("waiting", said)
        self.say(f"{self.settings.connection}: {said}; trying again in {pause:.1f} s")
        await asyncio.sleep(pause)

    async def _session(self, once: bool) -> None:
        """One connection, from signing in to its end."""
        self.store.state("connecting")
        await self.connector.connect()
        accounts = self._ours(await self.connector.accounts())
        self.store.state("catching_up")
        await self._follow(self._histories(accounts))
        if once:
            return
        self.store.state("streaming")
        left = [account for account in accounts if account.platform_id not in self._lost]
        await self._follow(self.connector.stream(left, self.store.cursors()))
        raise Transient("the stream ended")

    def _ours(self, found: list[AccountRef]) -> list[AccountRef]:
        """The accounts that are known here; the others are reported and wait until they are."""
        lookup = known_accounts(self.warehouse, self.connector.platform)
        ours, findings = [], []
        for ref in found:
            account_id = ref.account_id or self._named(ref) or _looked_up(lookup, ref)
            if account_id is None:
                detail = f"login {ref.login} is on the platform and not among the accounts: nothing of it is landed"
                findings.append(Finding("unknown_account", ref.login, detail))
                continue
            findings.append(Finding("unknown_account", ref.login, None))
            ours.append(replace(ref, account_id=account_id))
        self._tell(findings)
        return ours

    def _named(self, ref: AccountRef) -> str | None:
        return self.settings.accounts.get(ref.login) or self.settings.accounts.get(ref.platform_id)

    async def _histories(self, accounts: Sequence[AccountRef]) -> AsyncIterator[Batch]:
        """The histories of all accounts, one after the other; an account that is lost is reported."""
        cursors = self.store.cursors()
        self._lost.clear()
        for account in accounts:
            try:
                async for batch in self.connector.history(account, cursors.get(account.platform_id)):
                    yield batch
            except AccountLost as lost:
                self._lost.add(account.platform_id)
                self._tell([Finding("lost_account", account.account_id, str(lost))])

    async def _follow(self, batches: AsyncIterator[Batch]) -> None:
        """Land what comes, as much at a time as there is."""
        async for some in gathered(batches, self.linger_seconds, self.rows_max):
            landed = await asyncio.to_thread(self._land, some)
            if landed:
                self.backoff.reset()

    def _land(self, batches: list[Batch]) -> int:
        """Land batches as one load per dataset, then store their cursors; returns the new rows."""
        before = self.tally.landed
        deals = [deal for batch in batches for deal in batch.deals]
        equity = [seen for batch in batches for seen in batch.equity]
        refused = [broken for batch in batches for broken in batch.refused]
        self._land_rows("deals", deals, DEAL_COLUMNS, refused)
        self._land_rows("equity", equity, EQUITY_COLUMNS, [])
        findings = [finding for batch in batches for finding in batch.findings]
        findings += self._land_files(batches)
        self.store.store(batches)
        self._tell(findings + self._unknown(deals))
        new = self.tally.landed - before
        if new:
            self.store.state(self._state(), landed=new)
        return new

    def _state(self) -> str:
        with self.warehouse.database.connect() as database:
            mine = sa.select(CONNECTIONS.c.state).where(CONNECTIONS.c.connection == self.settings.connection)
            return str(database.execute(mine).scalar_one())

    def _land_rows(self, dataset: str, rows: list[dict[str, Any]], columns: list[str], refused: list[Broken]) -> None:
        if not rows and not refused:
            return
        numbered = [broken._replace(line=len(rows) + place) for place, broken in enumerate(refused, start=1)]
        load = land_frame(
            self.warehouse,
            dataset,
            _table(rows, columns),
            file=f"connection {self.settings.connection}",
            source=self.connector.name,
            refused=numbered,
            quick=True,
        )
        self.tally.add(load)

    def _land_files(self, batches: list[Batch]) -> list[Finding]:
        """Land fetched feed files and clear them away; one that is refused is reported and does not come again."""
        findings = []
        for path in (path for batch in batches for path in batch.files):
            try:
                for load in land_paths(self.warehouse, [path]):
                    self.tally.add(load)
                findings.append(Finding("refused", path.name, None))
            except FeedRefused as refusal:
                findings.append(Finding("refused", path.name, str(refusal)))
            path.unlink()
        return findings

    def _unknown(self, deals: list[dict[str, Any]]) -> list[Finding]:
        fresh = {deal["symbol"] for deal in deals if deal.get("symbol")} - self._symbols
        self._symbols |= fresh
        detail = "not in the reference table of instruments: its deals land, its contract size is unknown"
        return [Finding("unknown_symbol", symbol, detail) for symbol in unknown_symbols(fresh)]

    def _tell(self, findings: list[Finding]) -> None:
        """Keep findings and say those that are new."""
        clean = [replace(f, detail=self.settings.scrub(f.detail) if f.detail else None) for f in findings]
        for finding in self.store.find(clean):
            self.tally.findings.append(finding)
            self.say(
                f"{self.settings.connection}: {finding.kind.replace('_', ' ')} {finding.subject}: {finding.detail}"
            )


def _table(rows: list[dict[str, Any]], columns: list[str]) -> pa.Table:
    """Records as an Arrow table: times as instants, everything else as text, what a record lacks empty."""
    instant = pa.timestamp("us", tz="UTC")
    kinds = [instant if name in _TIMES else pa.string() for name in columns]
    arrays = [pa.array([row.get(name) for row in rows], kind) for name, kind in zip(columns, kinds, strict=True)]
    return pa.table(arrays, names=columns)


def known_accounts(warehouse: Warehouse, platform: str | None) -> dict[str, list[tuple[str, str | None]]]:
    """Accounts in the lake on a platform: by login, each with its account_id and server."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    if platform is None:
        return found
    with warehouse.engine() as connection:
        relations.build(connection, "staging.accounts")
        query = "select login, account_id, server from staging.accounts where platform = ?"
        for login, account_id, server in connection.execute(query, [platform]).fetchall():
            found.setdefault(str(login), []).append((account_id, server))
    return found


def _looked_up(lookup: dict[str, list[tuple[str, str | None]]], ref: AccountRef) -> str | None:
    """The one account with this login, on this server where both say one; two that fit are not guessed between."""
    fitting = [
        account for account, server in lookup.get(ref.login, []) if not (server and ref.server) or server == ref.server
    ]
    return fitting[0] if len(fitting) == 1 else None


def open_connection(name: str, settings: Settings) -> Connector:
    """The connector of that name with these settings; ConnectRefused names those that there are."""
    found = connectors().get(name)
    if found is None:
        raise ConnectRefused(f"connector {name!r} is not known; there are: {', '.join(sorted(connectors()))}")
    connector: Connector = found.open_connector(settings)
    return connector


def run_connection(warehouse: Warehouse, connector: Connector, settings: Settings, once: bool, say: Say) -> Tally:
    """Run a connection to its end; a second run of the same connection at the same time is refused."""
    lock = warehouse.lock(f"connect-{settings.connection}")
    try:
        with lock.acquire(timeout=0):
            return asyncio.run(Runner(warehouse, connector, settings, say).run(once))
    except Timeout:
        raise ConnectRefused(f"connection {settings.connection} is already running on this home") from None
