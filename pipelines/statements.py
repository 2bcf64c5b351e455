"""Platform exports into the lake: read, reconciled with their own totals, and landed as deals of one account."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import sqlalchemy as sa

from pipelines import sources
from pipelines.files import Broken, shown
from pipelines.held import named_as_before, refuse_within_positions
from pipelines.land import Landed, land_frame
from pipelines.sources import SourceRefusal, Statement
from pipelines.sources.kit.fills import FLAT_NOTE
from sql import relations
from sql.connect_schema import SERVER_ZONES
from sql.schema import LOADS
from sql.warehouse import Warehouse

Say = Callable[[str], None]
NAMED_MAX = 10
KEPT_FACTS = (
    "login",
    "currency",
    "server",
    "zone",
    "period",
    "accounted",
    "money_rows",
    "untied_deals",
    "unknown_symbols",
    "wrong_zone_suspicion",
    "uncertain_times",
    "repeated_rows",
    "warning",
)


class Known(NamedTuple):
    """What is known of the account that a file was given for, from its feed or from its earlier exports."""

    account_id: str
    is_told: bool = False
    login: str | None = None
    server: str | None = None
    currency: str | None = None
    zone: str | None = None

    @property
    def clock_of(self) -> str:
        """The name under which the account's server clock is remembered."""
        return self.server or f"account {self.account_id}"


class Taken(NamedTuple):
    """One load of an export, and how the export stands against its own totals."""

    load: Landed
    reconciliation: str


def land_statements(
    warehouse: Warehouse,
    paths: list[Path],
    source: str,
    account: str | None,
    server_zone: str | None,
    currency: str | None = None,
    mapping: Path | None = None,
    say: Say = lambda _: None,
) -> list[Taken]:
    """Lands exports of one account; every file is read and fitted to the account before anything lands.

    Without ``server_zone`` the clock that the account's server was last said to have is used. SourceRefusal says what
    cannot be read, what belongs to another account, or that no account was named.
    """
    if not account:
        raise SourceRefusal("an export does not say which account it belongs to here: name it with --account")
    known = _known(warehouse, account)
    told = _mapping(mapping) if mapping else None
    zone = server_zone or known.zone
    read = [(path, _read(path, source, account, zone, currency or known.currency, told)) for path in paths]
    for path, statement in read:
        _refuse_anothers(warehouse, path, statement, known)
    _refuse_two_logins(read)
    refuse_within_positions(warehouse, read, account)
    if server_zone:
        _remember_zone(warehouse, known, server_zone, say)
    taken = []
    for path, statement in read:
        said = remarks(statement, known)
        for remark in said:
            say(f"{path.name}: {remark}")
        taken += _land(warehouse, path, statement, account, said[1:])
    return taken


def _read(
    path: Path, source: str, account: str, zone: str | None, currency: str | None, mapping: str | None
) -> Statement:
    name = None if source == "auto" else source
    return sources.read(
        name,
        _bytes_of(path),
        file_name=path.name,
        account_id=account,
        server_zone=zone,
        currency=currency,
        mapping=mapping,
    )


def _bytes_of(path: Path) -> bytes:
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise SourceRefusal(f"{shown(path)} is a pipe or a device; save the export as a file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceRefusal(f"{path} cannot be read: {error.strerror}; name the files of the export") from error


def _mapping(path: Path) -> str:
    try:
        return _bytes_of(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceRefusal(f"{path} is not UTF-8; a mapping is a TOML file saved as UTF-8") from error


# --- the account that a file was given for -----------------------------------------------------------------------


def _known(warehouse: Warehouse, account: str) -> Known:
    """The account as its feed tells it, else as its newest export did, with the clock of its server."""
    with warehouse.engine() as connection:
        relations.build(connection, "staging.accounts")
        query = "select login, server, currency from staging.accounts where account_id = ?"
        row = connection.execute(query, [account]).fetchone()
    if row:
        known = Known(account, True, *(text or None for text in row))
    else:
        facts = _newest_facts(warehouse, account)
        known = Known(account, False, *(facts.get(name) for name in ("login", "server", "currency")))
    names = [known.clock_of, f"account {account}"]
    with warehouse.database.connect() as database:
        mine = sa.select(SERVER_ZONES.c.server, SERVER_ZONES.c.zone).where(SERVER_ZONES.c.server.in_(names))
        zones = {row.server: row.zone for row in database.execute(mine)}
    return known._replace(zone=zones.get(names[0]) or zones.get(names[1]))


def _newest_facts(warehouse: Warehouse, account: str) -> dict[str, Any]:
    """What the account's newest export said of itself; nothing when there is none."""
    query = (
        sa.select(LOADS.c.reconciliation)
        .where(LOADS.c.source.is_not(None), LOADS.c.reconciliation.is_not(None))
        .order_by(LOADS.c.load_id.desc())
    )
    with warehouse.database.connect() as database:
        for text in database.execute(query).scalars():
            told = json.loads(text)
            if told.get("account_id") == account:
                return dict(told.get("facts", {}))
    return {}


def _refuse_anothers(warehouse: Warehouse, path: Path, statement: Statement, known: Known) -> None:
    """Refuses a file whose login is that of another account on the same platform."""
    login = statement.facts.get("login")
    if not login or str(login) == known.login:
        return
    with warehouse.engine() as connection:
        relations.build(connection, "staging.accounts")
        query = "select account_id from staging.accounts where login = ? and platform = ? and account_id <> ?"
        platform = statement.source.split("-")[0]
        rows = connection.execute(query, [str(login), platform, known.account_id]).fetchall()
    if rows:
        raise SourceRefusal(
            f"{path.name} is of login {login}, which is account {rows[0][0]} and not {known.account_id}: "
            f"land it with --account {rows[0][0]}"
        )


def _refuse_two_logins(read: list[tuple[Path, Statement]]) -> None:
    """Refuses files of several logins that were given for one account."""
    logins = {str(statement.facts["login"]): path.name for path, statement in read if statement.facts.get("login")}
    if len(logins) > 1:
        told = ", ".join(f"{name} is of login {login}" for login, name in logins.items())
        raise SourceRefusal(f"the files belong to different accounts ({told}): land them one account at a time")


def _remember_zone(warehouse: Warehouse, known: Known, zone: str, say: Say) -> None:
    """Keeps the clock of the account's server, and says so where it was another before."""
    if known.zone not in (None, zone):
        say(f"{known.clock_of} was read as {known.zone} before and is read as {zone} from now on")
    values = {"zone": zone, "told_at": dt.datetime.now(dt.UTC)}
    mine = SERVER_ZONES.c.server == known.clock_of
    with warehouse.database.begin() as database:
        if not database.execute(sa.update(SERVER_ZONES).where(mine).values(**values)).rowcount:
            database.execute(sa.insert(SERVER_ZONES).values(server=known.clock_of, **values))


# --- landing -----------------------------------------------------------------------------------------------------


def _land(warehouse: Warehouse, path: Path, statement: Statement, account: str, said: list[str]) -> list[Taken]:
    """Lands one file. It has no fingerprint: the same bytes read by another clock are other deals."""
    known = _positions_known(warehouse, account)
    if statement.facts.get("profits") == FLAT_NOTE:
        statement = dataclasses.replace(statement, deals=named_as_before(statement.deals, known))
    ours = joined(statement, known)
    refused = [
        Broken(int(row["line"]), row["column"], row["value"], row["reason"])
        for row in statement.rejects.to_dict("records")
    ]
    told = {"account_id": account} | _told(statement) | {"remarks": said}
    deals = land_frame(
        warehouse,
        "deals",
        ours,
        file=shown(path),
        source=statement.source,
        reconciliation=json.dumps(told, default=str, ensure_ascii=False),
        refused=refused,
    )
    outcome = statement.reconciliation.outcome
    if statement.equity.empty:
        return [Taken(deals, outcome)]
    equity = land_frame(warehouse, "equity", statement.equity, file=shown(path), source=statement.source)
    return [Taken(deals, outcome), Taken(equity, outcome)]


def _positions_known(warehouse: Warehouse, account: str) -> dict[str, str | None]:
    """The position of every deal that the lake holds of an account."""
    with warehouse.engine() as connection:
        relations.build(connection, "staging.deals")
        query = "select deal_id, position_id from staging.deals where account_id = ?"
        return dict(connection.execute(query, [account]).fetchall())


def joined(statement: Statement, known: dict[str, str | None]) -> pd.DataFrame:
    """The deals of a file that may hold a part of the history, beside what earlier files told of the same positions.

    A position of which an earlier file knew an opening goes by the name that it has there, a deal that fits no position
    of the file keeps the one it has. A trade that the file shows open and that closed since lands nothing: it was left
    smaller, and what remained has a number of its own.
    """
    deals = statement.deals
    named = _as_before(deals, known)
    held = [
        named.get(name, name) or known.get(deal) for deal, name in zip(deals["deal_id"], _names(deals), strict=True)
    ]
    closes_as = deals["deal_id"].map(statement.facts.get("open_trades", {}))
    kept = deals.assign(position_id=pd.Series(held, index=deals.index, dtype=object))
    return kept[~closes_as.isin(list(known))]


def _as_before(deals: pd.DataFrame, known: dict[str, str | None]) -> dict[str | None, str]:
    """By which name earlier files know positions of a file, where it names one alone and stands for no other here."""
    before: dict[str | None, str] = {}
    for deal, name, entry in zip(deals["deal_id"], _names(deals), deals["entry"], strict=True):
        earlier = known.get(deal)
        if entry == "in" and name and earlier:
            before.setdefault(name, earlier)
    times, own = Counter(before.values()), set(_names(deals))
    stays = own - {name for name, earlier in before.items() if earlier != name}
    return {name: earlier for name, earlier in before.items() if times[earlier] == 1 and earlier not in stays}


def _names(deals: pd.DataFrame) -> list[str | None]:
    """The position of each deal of a file, None where it tells none."""
    return [None if pd.isna(name) else str(name) for name in deals["position_id"]]


def _told(statement: Statement) -> dict[str, Any]:
    """What is kept with the load: the file against its own totals, and what its reader had to decide."""
    facts = {name: statement.facts[name] for name in KEPT_FACTS if name in statement.facts}
    return dataclasses.asdict(statement.reconciliation) | {"facts": facts}


def remarks(statement: Statement, known: Known) -> list[str]:
    """What a user should know of an export, its reconciliation first: what does not add up, what lies outside the
    file, what could not be told, and whether it fits the account it was given for."""
    found, facts = statement.reconciliation, statement.facts
    said = [f"reconciliation: {found.outcome.replace('_', ' ')}"]
    said += [
        _sentence(check) for check in found.checks if check["verdict"] in ("does_not_add_up", "explained", "suspect")
    ]
    if facts.get("warning"):
        said.append(f"warning: {facts['warning']}")
    if facts.get("profits"):
        said.append(facts["profits"])
    if facts.get("uncertain_times"):
        said.append(
            f"times in an hour that the clock change repeats or skips, read as its first: {facts['uncertain_times']}"
        )
    if facts.get("unknown_symbols"):
        said.append(f"symbols that the reference table does not know: {_few(facts['unknown_symbols'])}")
    if facts.get("untied_deals"):
        said.append(f"closing deals that fit no position of the file: {_few(facts['untied_deals'])}")
    return said + _fit(facts, known)


def _sentence(check: dict[str, Any]) -> str:
    """A check in words, its cell named."""
    if check["verdict"] == "suspect":
        return f"warning: {check['where']}; {check['explanation']}"
    printed = f"printed {check['expected']}, rows say {check['observed']}" if check["expected"] else ""
    told = "; ".join(part for part in (printed, check["explanation"]) if part)
    return f"{check['name']}: {told} ({check['where']})"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more


def _fit(facts: dict[str, Any], known: Known) -> list[str]:
    """Whether the file says the same of the account as its feed or its earlier exports."""
    said = [] if known.is_told else [f"account {known.account_id} is not known yet: its deals wait until it is"]
    for name in ("login", "server"):
        told, before = facts.get(name), getattr(known, name)
        if told and before and str(told) != str(before):
            said.append(f"warning: the file says {name} {told}, account {known.account_id} has {before}")
    return said
