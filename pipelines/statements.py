"""Platform exports into the lake: read, reconciled with their own totals, and landed as deals of one account."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from pipelines import sources
from pipelines.files import Broken
from pipelines.land import Landed, land_frame
from pipelines.sources import SourceRefusal, Statement
from sql import relations
from sql.warehouse import Warehouse

Say = Callable[[str], None]


def land_statements(
    warehouse: Warehouse,
    paths: list[Path],
    source: str,
    account: str | None,
    server_zone: str | None,
    currency: str | None = None,
    mapping: Path | None = None,
    say: Say = lambda _: None,
) -> list[Landed]:
    """Lands exports of one account; every file is read before anything lands.

    SourceRefusal says what cannot be read, or that no account was named.
    """
    if not account:
        raise SourceRefusal("an export does not say which account it belongs to here: name it with --account")
    told = _mapping(mapping) if mapping else None
    read = [(path, _read(path, source, account, server_zone, currency, told)) for path in paths]
    landed = []
    for path, statement in read:
        for remark in remarks(warehouse, statement, account):
            say(f"{path.name}: {remark}")
        landed += _land(warehouse, path, statement)
    return landed


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
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceRefusal(f"{path} cannot be read: {error.strerror}; name the files of the export") from error


def _mapping(path: Path) -> str:
    try:
        return _bytes_of(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceRefusal(f"{path} is not UTF-8; a mapping is a TOML file saved as UTF-8") from error


def _land(warehouse: Warehouse, path: Path, statement: Statement) -> list[Landed]:
    refused = [
        Broken(int(row["line"]), row["column"], row["value"], row["reason"])
        for row in statement.rejects.to_dict("records")
    ]
    account = statement.deals["account_id"].iloc[0] if len(statement.deals) else ""
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    fingerprint = f"{content} {statement.source} {account} {statement.facts.get('server_zone')}"
    deals = land_frame(
        warehouse,
        "deals",
        statement.deals,
        file=str(path),
        fingerprint=fingerprint,
        source=statement.source,
        reconciliation=json.dumps(_told(statement), default=str, ensure_ascii=False),
        refused=refused,
    )
    if statement.equity.empty:
        return [deals]
    return [deals, land_frame(warehouse, "equity", statement.equity, file=str(path), source=statement.source)]


def _told(statement: Statement) -> dict[str, Any]:
    """What is kept with the load: the file against its own totals, and what its reader had to decide."""
    kept = ("money_rows", "untied_deals", "unknown_symbols", "wrong_zone_suspicion", "server_zone")
    facts = {name: statement.facts[name] for name in kept if name in statement.facts}
    return dataclasses.asdict(statement.reconciliation) | {"facts": facts}


def remarks(warehouse: Warehouse, statement: Statement, account: str) -> list[str]:
    """What a user should know of an export: whether it adds up, and whether it fits the account it was given for."""
    found = statement.reconciliation
    said = [f"reconciliation: {found.outcome.replace('_', ' ')}"]
    said += [
        f"{check['name']}: printed {check['expected']}, rows say {check['observed']} ({check['where']})"
        for check in found.checks
        if check["verdict"] == "does_not_add_up"
    ]
    with warehouse.engine() as connection:
        relations.build(connection, "staging.accounts")
        return said + _fit(connection, statement, account)


def _fit(connection: duckdb.DuckDBPyConnection, statement: Statement, account: str) -> list[str]:
    query = "select login, currency from staging.accounts where account_id = ?"
    rows = connection.execute(query, [account]).fetchall()
    if not rows:
        return [f"account {account} is not known yet: its deals wait until it is"]
    said = []
    for name, told, known in zip(
        ("login", "currency"), (statement.facts.get(n) for n in ("login", "currency")), rows[0], strict=True
    ):
        if told and str(told) != str(known):
            said.append(f"warning: the file says {name} {told}, account {account} has {known}")
    return said
