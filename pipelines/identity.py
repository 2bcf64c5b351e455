"""Who is who in a run: on from what the last run left where that is quicker, anew where not, with the same answer."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import pandas as pd
import sqlalchemy as sa

from models.identity import DEFAULT_TERMS, Identity, IdentityBook, IdentityFacts, kept, resolve
from sql import relations, schema
from sql.warehouse import read_frame

READ = ("traders", "logins", "payments", "challenges", "accounts", "payouts", "clicks")
KEPT_FROM = 5_000  # traders; fewer are sooner resolved anew than read from a file
CHANGED_MAX = 0.2  # share of traders of whom something changed beyond which all are read anew

# What is said of each trader, as one number that does not depend on the order of rows.
_DIGESTS = """
with told as (
    select trader_id,
        hash(1, full_name, email, phone, date_of_birth, country, address, kyc_document, registered_at) as h
    from staging.traders
    union all select trader_id, hash(2, occurred_at, ip, device_id) from staging.logins
    union all select trader_id, hash(3, instrument, occurred_at) from staging.payments
    union all
    select bought.trader_id, hash(4, bought.instrument, bought.partner_id, bought.click_id, bought.purchased_at,
        clicks.occurred_at, clicks.ip, clicks.device_id)
    from staging.challenges as bought left join staging.clicks as clicks using (click_id)
    union all
    select accounts.trader_id, hash(5, payouts.destination, payouts.requested_at)
    from staging.payouts as payouts join staging.accounts as accounts using (account_id)
)
select trader_id::varchar as trader_id, hash(count(*), sum(h)) as digest
from told semi join staging.traders using (trader_id) group by all
"""

_OF_CHANGED = "from staging.{0} semi join identity_changed using (trader_id)"
_CHANGED = {name: _OF_CHANGED.format(name) for name in READ} | {
    "payouts": f"from staging.payouts semi join ({_OF_CHANGED.format('accounts')}) using (account_id)",
    "clicks": f"from staging.clicks semi join ({_OF_CHANGED.format('challenges')}) using (click_id)",
}


def identify(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Connection,
    as_of: dt.datetime,
    kept_in: Path | None = None,
    kept_from: int = KEPT_FROM,
) -> Identity:
    """Links and owners with the analysts' judgements and the last run's names; `kept_in` is the file of the book."""
    for name in READ:
        relations.build(connection, f"staging.{name}")
    judgements = read_frame(database, schema.JUDGEMENTS)
    previous = read_frame(database, sa.select(schema.OWNERS.c.trader_id, schema.OWNERS.c.owner_id))
    if kept_in is None or _count(connection, "staging.traders") < kept_from:
        facts = IdentityFacts(**{name: connection.execute(f"from staging.{name}").df() for name in READ})
        return resolve(facts, previous=previous, judgements=judgements, as_of=as_of)
    connection.execute(f"create or replace temp table identity_digests as {_DIGESTS}")
    book = kept.read(kept_in, DEFAULT_TERMS)
    if book is not None:
        try:
            if _find_changed(connection, book):
                return _completed(connection, book, kept_in, as_of, judgements, previous)
        except duckdb.Error:
            pass  # damage in the file shows where it is first read: all are resolved anew
        kept.leave(book)
    connection.execute("create or replace temp table identity_changed as select trader_id from identity_digests")
    return _completed(connection, kept.begin(kept_in, DEFAULT_TERMS), kept_in, as_of, judgements, previous)


def _completed(
    connection: duckdb.DuckDBPyConnection,
    book: IdentityBook,
    kept_in: Path,
    as_of: dt.datetime,
    judgements: pd.DataFrame,
    previous: pd.DataFrame,
) -> Identity:
    """What a book says with the traders of whom something changed; the book is left for the next run."""
    facts = IdentityFacts(**{name: connection.execute(sql).df() for name, sql in _CHANGED.items()})
    book.add(facts, as_of=as_of, judgements=judgements, whole=True)
    book.evidence.con.register("told", connection.sql("from identity_digests").to_arrow_table())
    book.evidence.con.execute("create or replace table digests as from told")
    book.evidence.con.unregister("told")
    identity = book.identity(previous)
    kept.write(book, kept_in, DEFAULT_TERMS)
    return identity


def _find_changed(connection: duckdb.DuckDBPyConnection, book: IdentityBook) -> bool:
    """Fills `identity_changed`; False where a trader is gone or too many changed."""
    connection.register("identity_before", book.evidence.con.sql("from digests").to_arrow_table())
    connection.execute("""
        create or replace temp table identity_changed as
        select trader_id from identity_digests anti join identity_before using (trader_id, digest)
    """)
    gone = _count(connection, "identity_before anti join identity_digests using (trader_id)")
    connection.unregister("identity_before")
    changed, everyone = _count(connection, "identity_changed"), _count(connection, "identity_digests")
    return gone == 0 and changed <= CHANGED_MAX * everyone


def _count(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    return int(connection.execute(f"select count(*) from {what}").fetchall()[0][0])
