"""Draft versions in shadow: judged beside the live terms by every scoring run, into tables of their own.

A draft is bound, walked and judged as a version in force is, in an engine of its own: challenges bought since its
`effective_from`, at its desks, countries and coupons, count as having bought it. What is published stays as it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from models import drafts, set_rules
from models.catalogue import Product, Rulebook, RulebookRefused
from models.drafts import Draft
from pipelines.score import ends_of, judge, judged_accounts, register_instruments, register_terms
from sql import relations, schema
from sql.decided import register_tables
from sql.warehouse import Warehouse, read_frame, replace_rows

Say = Callable[[str], None]
_DECIDING = ("terminate", "pass")


def judge_drafts(
    warehouse: Warehouse, folder: Path, as_of: dt.datetime | None, say: Say = lambda _: None
) -> dict[str, int]:
    """Judges every draft of a rulebook folder at an instant and replaces the shadow tables; accounts judged by draft.

    A draft that does not hold is told and left out: it never stops what is in force.
    """
    judged: dict[str, int] = {}
    status: list[pd.DataFrame] = []
    verdicts: list[pd.DataFrame] = []
    for path in drafts.files(folder) if as_of else []:
        try:
            draft = drafts.read(path)
        except RulebookRefused as refused:
            say(f"draft left out: {refused}")
            continue
        assert as_of is not None
        found = _judged(warehouse, draft, as_of)
        judged[draft.name] = len(found[0])
        status.append(found[0].assign(draft=draft.name))
        verdicts.append(found[1].assign(draft=draft.name))
        say(f"draft {draft.name}: {len(found[0]):,} accounts judged in shadow")
    _write(warehouse, status, verdicts)
    return judged


def _judged(warehouse: Warehouse, draft: Draft, as_of: dt.datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Status and verdicts of the accounts that would have bought a draft."""
    version = draft.version
    book = Rulebook({version.product: Product(version.product, version.product, (version,), draft.name)})
    with warehouse.engine(as_of) as connection:
        register_terms(connection, book)
        register_instruments(connection)
        relations.build(connection, "facts.accounts")
        accounts = judged_accounts(connection)
        if accounts.empty:
            return pd.DataFrame(), pd.DataFrame()
        judged = judge(connection, accounts, book, as_of)
        with warehouse.database.connect() as database:
            register_tables(connection, database, schema.OWNERS, schema.COPY_PAIRS)
        set_rules.register_ends(connection, ends_of(judged.status))
        shared = set_rules.judge(connection, accounts, book, as_of, set_rules.SHARED).verdicts
    return judged.status, pd.concat([one for one in (judged.verdicts, shared) if len(one)] or [judged.verdicts])


def _write(warehouse: Warehouse, status: list[pd.DataFrame], verdicts: list[pd.DataFrame]) -> None:
    """Replaces what was judged in shadow before, each account with where it stands under the terms it bought."""
    said = pd.concat([pd.DataFrame(columns=["account_id"]), *(one for one in verdicts if len(one))])
    with warehouse.database.begin() as database:
        replace_rows(database, schema.SHADOW_VERDICTS, said)
        found = [one for one in status if len(one)]
        replace_rows(database, schema.SHADOW_STATUS, _beside(database, found, said) if found else pd.DataFrame())


def _beside(database: sa.Connection, found: list[pd.DataFrame], said: pd.DataFrame) -> pd.DataFrame:
    live = schema.ACCOUNT_STATUS.c
    query = sa.select(live.account_id, live.status.label("live_status"), live.status_at.label("live_status_at"))
    frame = pd.concat(found, ignore_index=True).merge(read_frame(database, query), "left", "account_id")
    verdicts = schema.VERDICTS.c
    query = sa.select(verdicts.account_id, verdicts.rule, verdicts.effect).where(verdicts.effect.in_(_DECIDING))
    own = _deciding(read_frame(database, query), ["account_id"]).rename(columns={"rule": "live_rule"})
    frame = frame.merge(own, "left", "account_id").merge(_deciding(said, ["draft", "account_id"]), "left")
    return frame.assign(differs=frame["status"] != frame["live_status"])


def _deciding(verdicts: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The rule that ended or passed each account."""
    names = [*keys, "rule"]
    if verdicts.empty:
        return pd.DataFrame(columns=names, dtype=object)
    return verdicts.loc[verdicts["effect"].isin(_DECIDING), names].drop_duplicates(keys)
