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

    def read(self, warehouse: Warehouse, rulebook: Rulebook, as_of: dt.datetime, memory: str) -> list[int]:
        """Reads the lake anew; returns the codes of accounts that are new or stand under other terms."""
        with warehouse.engine(as_of, memory) as connection:
            register_terms(connection, rulebook)
            relations.build(connection, "facts.accounts")
            accounts = judged_accounts(connection)
            pairs = connection.execute("select account_id, desk_id from staging.accounts").fetchall()
            relations.build(connection, "staging.challenges")
            bought = connection.execute("select trader_id, desk_id from staging.challenges").fetchall()
        self.desk_of = dict(pairs)
        desks: defaultdict[str, set[str]] = defaultdict(set)
        for trader, desk in bought:
            desks[trader].add(desk)
        self.desks_of_trader = dict(desks)
        return self._take(accounts, rulebook)

    def _take(self, accounts: pd.DataFrame, rulebook: Rulebook) -> list[int]:
        before = self.frame[self.judged] if len(self.frame) else self.frame
        for account in accounts["account_id"]:
            self.codes.setdefault(account, len(self.codes))
        whole = pd.concat([accounts, self.frame]) if len(self.frame) else accounts
        whole = whole.drop_duplicates("account_id")
        self.frame = whole.iloc[np.argsort(whole["account_id"].map(self.codes).to_numpy())].reset_index(drop=True)
        self.judged = self.frame["account_id"].isin(accounts["account_id"]).to_numpy()
        self.terms, self.clocks = terms.compile_terms(self.frame, rulebook)
        return [self.codes[account] for account in _changed(before, accounts)]


def _changed(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """Accounts whose row is not what it was."""
    if before.empty:
        return after["account_id"].tolist()
    rows = {row[0]: row for row in before.astype(str).itertuples(index=False, name=None)}
    return [row[0] for row in after.astype(str).itertuples(index=False, name=None) if rows.get(row[0]) != row]
