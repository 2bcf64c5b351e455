"""Pulls deals out of an MT4 or MT5 reporting database through SQLAlchemy, newest changes last.

MT4 keeps one row per ticket (``mt4_trades``) that changes when the trade closes, MT5 one per deal (``mt5_deals``). Rows
are read in the order of the column that counts changes, so that a changed row comes again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import sqlalchemy as sa

from pipelines.connect.kit import mt5_deals
from pipelines.connect.kit.interface import AccountRef, Batch, ConnectRefused, Cursor, Limits, Record, Transient
from pipelines.connect.kit.records import amount, broken, classified, decimal, level, written
from pipelines.connect.kit.settings import Settings
from pipelines.files import Broken
from pipelines.sources.kit.statement import RowProblem, SourceRefusal
from pipelines.sources.kit.zones import ServerClock, needed_clock
from pipelines.sources.mt4_statement import reason_of

NAME = "sql-pull"
Row = Mapping[str, Any]
Reader = Callable[[list[Row], str, ServerClock, Mapping[str, str]], tuple[list[Record], list[Broken]]]

_MT4_REASONS = {0: "client", 1: "expert", 5: "mobile", 6: "web"}
_MT4_MONEY = {6: "balance", 7: "credit"}
_NEVER = dt.datetime(1970, 1, 2)


@dataclass(frozen=True)
class Layout:
    """How a reporting database names things: table, login, key, the column that counts changes, and its reader."""

    platform: str
    table: str
    login: str
    key: str
    changed: str
    read: Reader


def open_connector(settings: Settings) -> SqlPull:
    """The connector that a connection's settings describe."""
    return SqlPull(settings)


class SqlPull:
    """A reporting database; every query reads at most a page, in the order of changes."""

    name = NAME

    def __init__(self, settings: Settings) -> None:
        """Read the settings; nothing is opened yet."""
        layout = LAYOUTS.get(settings.text("layout"))
        if layout is None:
            raise ConnectRefused(f"setting layout is none of {', '.join(LAYOUTS)}")
        self.layout, self.platform = layout, layout.platform
        self.address = settings.secret("database")
        try:
            self.clock = needed_clock(settings.text("server_zone"), NAME)
        except SourceRefusal as refusal:
            raise ConnectRefused(str(refusal)) from refusal
        self.limits = Limits(1_000, rows_per_page=int(settings.number("rows_per_page", 5_000)))
        self.poll_seconds = settings.number("poll_seconds", 5)
        # Rows written late with an earlier change time are found by reading the last stretch again.
        self.overlap = settings.number("overlap_seconds", 60)
        self._table_name = settings.text("table", layout.table)
        self._engine: sa.Engine | None = None
        self._mark: Any = None

    async def connect(self) -> None:
        """Open the database and remember how far its changes count now."""
        self._mark = await self._query(self._open)

    async def accounts(self) -> list[AccountRef]:
        """Every login in the table."""
        logins = await self._query(lambda: self._rows(sa.select(self._column(self.layout.login)).distinct()))
        return [AccountRef(str(row[self.layout.login]), str(row[self.layout.login])) for row in logins]

    async def history(self, account: AccountRef, since: Cursor | None) -> AsyncIterator[Batch]:
        """An account's rows from the cursor on, a page at a time."""
        mark = self._back(_unpacked(since["changed"])) if since else None
        mine = self._column(self.layout.login) == int(account.login)
        async for page in self._pages(mine, mark):
            yield await self._query(partial(self._batch, account, page))

    async def stream(self, accounts: Sequence[AccountRef], since: Mapping[str, Cursor]) -> AsyncIterator[Batch]:
        """Changes of all accounts from where the table stood when it was opened, looked for every few seconds."""
        ours = {account.login: account for account in accounts}
        mark, told = self._mark, set[tuple[Any, Any]]()
        while True:
            seen = set[tuple[Any, Any]]()
            async for page in self._pages(sa.true(), self._back(mark)):
                seen |= {self._version(row) for row in page}
                fresh = [row for row in page if self._version(row) not in told]
                for login, rows in _by_login(fresh, self.layout.login).items():
                    if login in ours:
                        yield await self._query(partial(self._batch, ours[login], rows))
                mark = page[-1][self.layout.changed]
            told = seen
            await asyncio.sleep(self.poll_seconds)

    async def close(self) -> None:
        """Give the database's connections back."""
        if self._engine is not None:
            self._engine.dispose()

    async def _query(self, ask: Callable[[], Any]) -> Any:
        """An answer of the database, asked for beside the event loop; a lost database is Transient."""
        try:
            return await asyncio.to_thread(ask)
        except sa.exc.OperationalError as error:
            raise Transient(f"the reporting database does not answer: {type(error.orig).__name__}") from error
        except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
            raise ConnectRefused(f"the reporting database cannot be read: {error}") from error

    def _open(self) -> Any:
        self._engine = sa.create_engine(self.address.reveal(), pool_pre_ping=True)
        found = {column["name"].lower(): column for column in sa.inspect(self._engine).get_columns(self._table_name)}
        wanted = (self.layout.login, self.layout.key, self.layout.changed)
        missing = [name for name in wanted if name.lower() not in found]
        if missing:
            raise ConnectRefused(f"table {self._table_name} has no column {', '.join(missing)}")
        self._columns = {name: sa.column(column["name"], column["type"]) for name, column in found.items()}
        newest = self._rows(sa.select(sa.func.max(self._column(self.layout.changed)).label("newest")))
        return newest[0]["newest"]

    def _column(self, name: str) -> sa.ColumnClause[Any]:
        return self._columns[name.lower()]

    def _rows(self, select: sa.Select[Any]) -> list[dict[str, Any]]:
        assert self._engine is not None
        if not select.get_final_froms():
            select = select.select_from(sa.table(self._table_name))
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(select).mappings()]

    async def _pages(self, where: sa.ColumnElement[bool], mark: Any) -> AsyncIterator[list[dict[str, Any]]]:
        """Rows changed since a mark (None: all), in the order of change, then key; told apart page by page by both."""
        after: tuple[Any, Any] | None = None
        while True:
            page = await self._query(partial(self._page, where, mark, after))
            if page:
                yield page
            if len(page) < self.limits.rows_per_page:
                return
            after = (page[-1][self.layout.changed], page[-1][self.layout.key])

    def _page(self, where: sa.ColumnElement[bool], mark: Any, after: tuple[Any, Any] | None) -> list[dict[str, Any]]:
        changed, key = self._column(self.layout.changed), self._column(self.layout.key)
        names = _names(self.layout)
        columns = [self._columns[name.lower()].label(name) for name in names if name.lower() in self._columns]
        query = sa.select(*columns).where(where).order_by(changed, key).limit(self.limits.rows_per_page)
        if after is not None:
            query = query.where((changed > after[0]) | ((changed == after[0]) & (key > after[1])))
        elif mark is not None:
            query = query.where(changed >= mark)
        return self._rows(query)

    def _back(self, mark: Any) -> Any:
        """A mark a little earlier, where it is a time; a counter of changes stays as it is."""
        return mark - dt.timedelta(seconds=self.overlap) if isinstance(mark, dt.datetime) else mark

    def _version(self, row: Row) -> tuple[Any, Any]:
        """What tells one version of a row from another."""
        return row[self.layout.key], row[self.layout.changed]

    def _batch(self, account: AccountRef, rows: list[dict[str, Any]]) -> Batch:
        parents = self._parents(int(account.login)) if self.layout.platform == "mt4" else {}
        deals, refused = self.layout.read(list(rows), account.account_id, self.clock, parents)
        return Batch(account, {"changed": _packed(rows[-1][self.layout.changed])}, deals, refused=refused)

    def _parents(self, login: int) -> dict[str, str]:
        """Which ticket each remainder of a partial close was part of."""
        comment, key = self._column("COMMENT"), self._column("TICKET")
        query = sa.select(key.label("TICKET"), comment.label("COMMENT"))
        query = query.where(self._column("LOGIN") == login, comment.like("%from #%"))
        tickets = {str(row["TICKET"]): str(row["COMMENT"]) for row in self._rows(query)}
        return {ticket: "".join(_digits(said.split("from #", 1)[1])) for ticket, said in tickets.items()}


def _digits(text: str) -> Iterable[str]:
    for character in text:
        if not character.isdigit():
            return
        yield character


def _by_login(page: list[dict[str, Any]], login: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in page:
        found[str(row[login])].append(row)
    return found


def _packed(mark: Any) -> Any:
    """A mark as JSON keeps it."""
    if isinstance(mark, dt.datetime):
        return {"time": mark.isoformat()}
    return int(mark) if isinstance(mark, Decimal) else mark


def _unpacked(mark: Any) -> Any:
    return dt.datetime.fromisoformat(mark["time"]) if isinstance(mark, dict) else mark


def _names(layout: Layout) -> tuple[str, ...]:
    return _MT4_COLUMNS if layout.platform == "mt4" else _MT5_COLUMNS


# --- MT4: one row per ticket ---------------------------------------------------------------------------------------

_MT4_COLUMNS = (
    *("TICKET", "LOGIN", "SYMBOL", "CMD", "VOLUME", "OPEN_TIME", "OPEN_PRICE", "SL", "TP", "CLOSE_TIME", "CLOSE_PRICE"),
    *("COMMISSION", "SWAPS", "TAXES", "PROFIT", "COMMENT", "MAGIC", "REASON", "MODIFY_TIME"),
)


def _read_mt4(
    rows: list[Row], account_id: str, clock: ServerClock, parents: Mapping[str, str]
) -> tuple[list[Record], list[Broken]]:
    opened = clock.instants([row["OPEN_TIME"] for row in rows])
    closed = clock.instants([row["CLOSE_TIME"] for row in rows])
    deals: list[Record] = []
    refused: list[Broken] = []
    for row, opened_at, closed_at in zip(rows, opened, closed, strict=True):
        try:
            deals += _mt4_deals(row, account_id, opened_at, closed_at, parents)
        except RowProblem as problem:
            refused.append(broken(problem))
    return deals, refused


def _mt4_deals(
    row: Row, account_id: str, opened_at: dt.datetime, closed_at: dt.datetime, parents: Mapping[str, str]
) -> list[Record]:
    """The deals of one ticket: in, and out once closed, ids as in a statement; nothing for a pending order."""
    command, ticket = int(row["CMD"]), str(row["TICKET"])
    comment = str(row.get("COMMENT") or "")
    if command in _MT4_MONEY:
        value = amount(row["PROFIT"], "PROFIT")
        return [classified(account_id, f"{ticket}0", opened_at, value, _MT4_MONEY[command], comment)]
    if command not in (0, 1):
        return []
    side, opposite = ("buy", "sell") if command == 0 else ("sell", "buy")
    shared = _mt4_shared(row, account_id, comment) | {"position_id": _first_ticket(ticket, parents)}
    opening = shared | {
        "deal_id": f"{ticket}0",
        "entry": "in",
        "side": side,
        "executed_at": opened_at,
        "profit": "0",
        "price": written(decimal(row["OPEN_PRICE"], "OPEN_PRICE")),
        "reason": _MT4_REASONS.get(int(row["REASON"]), "other") if row.get("REASON") is not None else None,
    }
    if row["CLOSE_TIME"] < _NEVER:
        return [opening]
    closing = shared | {
        "deal_id": f"{ticket}1",
        "entry": "out",
        "side": opposite,
        "executed_at": closed_at,
        "price": written(decimal(row["CLOSE_PRICE"], "CLOSE_PRICE")),
        "profit": written(amount(row["PROFIT"], "PROFIT")),
        "commission": written(amount(row.get("COMMISSION"), "COMMISSION")),
        "swap": written(amount(row.get("SWAPS"), "SWAPS")),
        "fee": written(amount(row.get("TAXES"), "TAXES")),
        "reason": reason_of(comment),
    }
    return [opening, closing]


def _mt4_shared(row: Row, account_id: str, comment: str) -> Record:
    """What both deals of a ticket say alike."""
    return {
        "account_id": account_id,
        "kind": "trade",
        "symbol": row["SYMBOL"],
        "volume": written(amount(row["VOLUME"], "VOLUME", 2)),
        "stop_loss": level(row.get("SL"), "SL"),
        "take_profit": level(row.get("TP"), "TP"),
        "magic": str(row["MAGIC"]) if row.get("MAGIC") else None,
        "comment": comment or None,
    }


def _first_ticket(ticket: str, parents: Mapping[str, str]) -> str:
    """The ticket that the parts of a trade come from; a ring of quoted tickets ends where it began."""
    seen = {ticket}
    while (parent := parents.get(ticket)) is not None and parent not in seen:
        seen.add(parent)
        ticket = parent
    return ticket


# --- MT5: one row per deal -----------------------------------------------------------------------------------------

_MT5_COLUMNS = (
    *("Deal", "Login", "Action", "Entry", "Reason", "Time", "TimeMsc", "Symbol", "Price", "Volume", "VolumeExt"),
    *("Profit", "Storage", "Commission", "Fee", "ExpertID", "PositionID", "Comment", "PriceSL", "PriceTP", "Timestamp"),
)


def _read_mt5(
    rows: list[Row], account_id: str, clock: ServerClock, parents: Mapping[str, str]
) -> tuple[list[Record], list[Broken]]:
    times = clock.instants([row.get("TimeMsc") or row["Time"] for row in rows])
    deals: list[Record] = []
    refused: list[Broken] = []
    for row, at in zip(rows, times, strict=True):
        try:
            record = mt5_deals.deal_record(row, account_id, at)
        except RowProblem as problem:
            refused.append(broken(problem))
        else:
            deals += [record] if record else []
    return deals, refused


LAYOUTS = {
    "mt4": Layout("mt4", "mt4_trades", "LOGIN", "TICKET", "MODIFY_TIME", _read_mt4),
    "mt5": Layout("mt5", "mt5_deals", "Login", "Deal", "Timestamp", _read_mt5),
}
