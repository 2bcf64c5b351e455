"""Reads of the lake for a few accounts or a pair: trades, sign-ins and steps, a page at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import privacy, reads
from models.coordination import PairEvidence, pair_evidence
from pipelines.lifecycle import lifecycle as worked_out
from pipelines.sources.symbols import canonical
from sql import relations
from sql.desk_schema import PAYOUT_TRANSFERS

MARKET_DEALS = 1_000_000  # a page reads the whole firm up to here
_READ = (
    *("account_id", "trade_id", "symbol", "instrument", "side", "lots"),
    *("opened_at", "closed_at", "open_price", "close_price"),
)


@contextmanager
def _over(accounts: Sequence[str], as_of: dt.datetime) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine whose `staging.deals` holds only these accounts, so that the facts cost what they show."""
    with reads.warehouse().engine(as_of, memory="1GB", datasets=["deals"]) as connection:
        listed = ", ".join("'" + account.replace("'", "''") + "'" for account in accounts)
        deals = relations.text("staging.deals")
        connection.execute(f"create view staging.deals as select * from ({deals}) where account_id in ({listed})")
        _know_symbols(connection)
        yield connection


def _know_symbols(connection: duckdb.DuckDBPyConnection) -> None:
    """Puts the canonical name of every delivered symbol where the facts look for it."""
    symbols = connection.execute("select distinct symbol from staging.deals where symbol is not null").fetchall()
    known = pd.DataFrame(
        {"symbol": [row[0] for row in symbols], "instrument": [canonical(row[0]) for row in symbols]},
        dtype="string",
    )
    connection.register("known", known)
    connection.execute("create table terms.instruments as select * from known")


@st.cache_data(ttl=reads.CACHE_SECONDS, show_spinner=False, max_entries=200)
def _trades(home: str, stamp: reads.Stamp, accounts: tuple[str, ...]) -> pd.DataFrame:
    if stamp.as_of is None:
        return pd.DataFrame()
    with _over(accounts, stamp.as_of) as connection:
        relations.build(connection, "facts.trades")
        found: pd.DataFrame = connection.execute("select * from facts.trades order by opened_at desc, trade_id").df()
        return found


def trades(*accounts: str) -> pd.DataFrame:
    """Round trips of those of the accounts that the person sees, newest first, with the columns of `facts.trades`."""
    mine = _mine(*accounts)
    return _trades(str(reads.warehouse().home), reads.stamp(), mine) if mine else pd.DataFrame()


def _mine(*accounts: str) -> tuple[str, ...]:
    """Those of some accounts that the person sees."""
    seen = reads.rows("accounts", account_id=list(accounts))
    return tuple(one for one in accounts if len(seen) and one in set(seen["account_id"]))


@st.cache_data(show_spinner=False, max_entries=1)
def _firm(home: str, stamp: reads.Stamp) -> dict[str, pd.DataFrame] | None:
    """What the search reads of the whole firm (trades, news, servers); None for a firm too large for a page."""
    if stamp.as_of is None:
        return None
    with reads.warehouse().engine(stamp.as_of, memory="1GB") as connection:
        relations.build(connection, "staging.deals")
        if connection.sql("select count(*) from staging.deals").fetchall()[0][0] > MARKET_DEALS:
            return None
        _know_symbols(connection)
        relations.build(connection, "facts.trades")
        relations.build(connection, "staging.accounts")
        relations.build(connection, "staging.news")
        return {
            "market": connection.execute(f"select {', '.join(_READ)} from facts.trades").df(),
            "news": connection.execute("select occurs_at, impact from staging.news").df(),
            "accounts": connection.execute("select account_id, trader_id, platform, server from staging.accounts").df(),
        }


@st.cache_data(ttl=reads.CACHE_SECONDS, show_spinner=False, max_entries=100)
def _pair(home: str, stamp: reads.Stamp, first: str, second: str, relation: str) -> PairEvidence:
    firm = _firm(home, stamp) or {}
    held = firm["market"] if firm else _trades(home, stamp, (first, second))
    sides = [held[held["account_id"] == one] for one in (first, second)]
    if any(side.empty for side in sides):
        return PairEvidence(relation, pd.DataFrame(), {}, f"{first} and {second} have no trades to compare.")
    return pair_evidence(
        *sides,
        relation=relation,
        market=firm.get("market"),
        news=firm.get("news"),
        accounts=firm.get("accounts"),
    )


def pair(first: str, second: str, relation: str) -> PairEvidence:
    """The matched entries of two accounts with their numbers and sentence.

    Chance and clocks are reckoned as in the run, from the whole firm, up to MARKET_DEALS deals; beyond that from the
    two accounts alone.
    """
    if len(_mine(first, second)) < 2:
        return PairEvidence(relation, pd.DataFrame(), {}, f"{first} and {second} are not both of your desks.")
    return _pair(str(reads.warehouse().home), reads.stamp(), first, second, relation)


@st.cache_data(ttl=reads.CACHE_SECONDS, show_spinner=False, max_entries=200)
def _lifecycle(home: str, stamp: reads.Stamp, challenges: tuple[str, ...]) -> pd.DataFrame:
    return worked_out(reads.warehouse(), challenges, stamp.live_at or reads.stands_at())


def lifecycle(accounts: pd.DataFrame) -> pd.DataFrame:
    """The steps of the challenges of accounts that the person sees, in their order."""
    challenges = tuple(sorted(accounts["challenge_id"].unique()))
    found = _lifecycle(str(reads.warehouse().home), reads.stamp(), challenges)
    mine = _mine(*found["account_id"].dropna().unique())
    seen = found[found["account_id"].isna() | found["account_id"].isin(mine)]
    return privacy.shown(seen, reads.warehouse().database)


@st.cache_data(ttl=reads.CACHE_SECONDS, show_spinner=False, max_entries=200)
def _logins(home: str, stamp: reads.Stamp, trader_id: str, limit: int) -> pd.DataFrame:
    if stamp.as_of is None:
        return pd.DataFrame()
    with reads.warehouse().engine(stamp.as_of, memory="1GB", datasets=["logins"]) as connection:
        query = (
            "select occurred_at, ip, country, device_id, account_id from staging.logins"
            " where trader_id = ? order by occurred_at desc limit ?"
        )
        connection.execute(f"create view staging.logins as {relations.text('staging.logins')}")
        return connection.execute(query, [trader_id, limit]).df()


def logins(trader_id: str, limit: int = 200) -> pd.DataFrame:
    """The newest sign-ins of a trader: occurred_at, ip, country, device_id, account_id."""
    if reads.rows("accounts", trader_id=trader_id, limit=1).empty:
        return pd.DataFrame()
    found = _logins(str(reads.warehouse().home), reads.stamp(), trader_id, limit)
    return privacy.shown(found.assign(trader_id=trader_id), reads.warehouse().database).drop(columns="trader_id")


@st.cache_data(ttl=reads.CACHE_SECONDS, show_spinner=False, max_entries=20)
def _transfers(home: str, stamp: reads.Stamp, desks: tuple[str, ...] | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    with reads.warehouse().engine(stamp.as_of, memory="1GB") as connection:
        relations.build(connection, "staging.payouts", "staging.accounts", "staging.settlements")
        requests = connection.execute(
            "select payouts.* exclude (_load_id, _line, _version), accounts.currency, accounts.desk_id"
            " from staging.payouts as payouts left join staging.accounts as accounts using (account_id)"
            " order by payout_id"
        ).df()
        sent = connection.execute(
            "select * exclude (_load_id, _line, _version), cast(_version as integer) as version"
            " from staging.settlements order by settlement_id"
        ).df()
    with reads.warehouse().database.connect() as database:
        begun = dict(database.execute(sa.select(PAYOUT_TRANSFERS.c.transfer_id, PAYOUT_TRANSFERS.c.payout_id)).all())
    named = (
        (begun.get(by_id) or begun.get(by_text) or by_id) for by_id, by_text in sent[["payout_id", "reference"]].values
    )
    sent["payout_id"] = pd.Series(list(named), index=sent.index, dtype=object)
    return (requests, sent) if desks is None else of_desks(requests, sent, desks)


def of_desks(requests: pd.DataFrame, sent: pd.DataFrame, desks: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Requests of desks, and the transfers that name one or, naming none that is known, went where one was asked to."""
    mine = requests[requests["desk_id"].isin(desks)]
    nobody = ~sent["payout_id"].isin(requests["payout_id"])
    there = sent["destination"].isin(mine["destination"].dropna())
    return mine, sent[sent["payout_id"].isin(mine["payout_id"]) | (nobody & there)]


def told_transfers(desks: tuple[str, ...] | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Payout requests and transfers of desks (None: every desk) as told; transfers of no request by their destination.

    A transfer that carries the desk's own transfer id names the request that it was begun for. What went to no
    destination of a request belongs to no desk and is seen by those of every desk. For what acts or matches; pages
    show them through `privacy.shown`.
    """
    return _transfers(str(reads.warehouse().home), reads.stamp(), desks)
