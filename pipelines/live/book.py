"""The book of accounts: who is judged by which terms, and which desk a record belongs to."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from models import terms
from models.catalogue import Rulebook
from models.clock import Clock
from models.walk import Array
from pipelines.score import judged_accounts, register_terms
from sql import relations
from sql.warehouse import Warehouse

FAR = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
ENGINE_MEMORY = "1GB"


@dataclass
class Book:
    """Judged accounts in order of their codes, their compiled terms, and the desks of accounts and traders.

    A code once given stays an account's own; an account that is judged no more keeps it with `judged` false.
    """

    codes: dict[str, int] = field(default_factory=dict)
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    judged: Array = field(default_factory=lambda: np.zeros(0, np.bool_))
    terms: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    clocks: list[Clock] = field(default_factory=list)
    desk_of: dict[str, str] = field(default_factory=dict)
    desks_of_trader: dict[str, set[str]] = field(default_factory=dict)
    digests: dict[str, int] = field(default_factory=dict)

    def take(self, told: Told, rulebook: Rulebook) -> list[int]:
        """Takes over what was read; returns the codes of accounts that are new or stand under other terms."""
        accounts = told.accounts
        self.desk_of, self.desks_of_trader = told.desk_of, told.desks_of_trader
        for account in accounts["account_id"]:
            self.codes.setdefault(account, len(self.codes))
        whole = pd.concat([accounts, self.frame]) if len(self.frame) else accounts
        whole = whole.drop_duplicates("account_id")
        self.frame = whole.iloc[np.argsort(whole["account_id"].map(self.codes).to_numpy())].reset_index(drop=True)
        self.judged = self.frame["account_id"].isin(accounts["account_id"]).to_numpy()
        self.terms, self.clocks = terms.compile_terms(self.frame, rulebook)
        changed = told.changed_from(self.digests)
        self.digests = told.digests
        return [self.codes[account] for account in changed]


@dataclass(frozen=True)
class Told:
    """What the lake says of accounts: those that are judged, with a number for what each row holds, and desks."""

    accounts: pd.DataFrame
    digests: dict[str, int]
    desk_of: dict[str, str]
    desks_of_trader: dict[str, set[str]]

    def changed_from(self, digests: dict[str, int]) -> list[str]:
        """Accounts whose row is not what it was."""
        return [account for account, digest in self.digests.items() if digests.get(account) != digest]


def read_book(warehouse: Warehouse, rulebook: Rulebook) -> Told:
    """Reads accounts from the lake, those included that open later."""
    with warehouse.engine(FAR, ENGINE_MEMORY) as connection:
        register_terms(connection, rulebook)
        relations.build(connection, "facts.accounts")
        accounts = judged_accounts(connection)
        pairs = connection.execute("select account_id, desk_id from staging.accounts").fetchall()
        relations.build(connection, "staging.challenges")
        bought = connection.execute("select trader_id, desk_id from staging.challenges").fetchall()
    desks: defaultdict[str, set[str]] = defaultdict(set)
    for trader, desk in bought:
        desks[trader].add(desk)
    digests = pd.util.hash_pandas_object(accounts.astype(str), index=False).tolist()
    return Told(accounts, dict(zip(accounts["account_id"], digests, strict=True)), dict(pairs), dict(desks))
