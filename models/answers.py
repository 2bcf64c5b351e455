"""Occurrences of set-based rules kept between questions that differ in few terms.

A draft moves a term or two, and a sweep returns to each value of one parameter for every value of the other. What a
rule found of an account under some terms, judged up to some instant, is kept by just that and not looked for again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from models import set_rules
from models.catalogue import Rulebook
from models.clock import Clock
from models.set_rules import Find, Worded

MOST = 3_000_000
"""Occurrences that are kept; about 150 bytes each."""


@dataclass(frozen=True)
class Question:
    """Accounts, the rulebook under which they are judged, and which verdicts are going to be put into words."""

    accounts: pd.DataFrame
    rulebook: Rulebook
    as_of: dt.datetime
    worded: Worded


class Answers:
    """What rules found over one connection, whose facts stay as they are.

    `register` puts a rulebook before the SQL files; it is called only when a rule has to look.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, register: Callable[[Rulebook], None], most: int = MOST
    ) -> None:
        self._connection, self._register, self._most = connection, register, most
        self._keys: dict[str, int] = {}
        self._days: Any = None
        connection.execute(_TABLES)

    def finder(self, question: Question) -> Find:
        """How `set_rules.judge` finds occurrences without looking for what was found before."""
        return partial(self._find, question)

    def _find(self, question: Question, limits: pd.DataFrame, rules: Sequence[str]) -> None:
        if set(rules) <= set(set_rules.SHARED):
            # what they find hangs on other accounts too
            self._prepare(question)
            set_rules.find(self._connection, question.rulebook, limits, rules)
            return
        keys = self._ask(question, limits, rules)
        missing = self._connection.execute(
            "select distinct to_the_end, rule from decided.asked where missing"
        ).fetchall()
        if missing or _days(question) != self._days:
            self._prepare(question)
        for to_the_end in sorted({one for one, _ in missing}):
            self._look(question.rulebook, to_the_end, sorted(rule for one, rule in missing if one == to_the_end))
        self._connection.execute(_ANSWER)
        if missing:
            self._forget(keys)

    def _prepare(self, question: Question) -> None:
        self._register(question.rulebook)
        set_rules.register_terms(self._connection, question.accounts, question.rulebook, question.as_of)
        self._days = _days(question)

    def _ask(self, question: Question, limits: pd.DataFrame, rules: Sequence[str]) -> set[int]:
        """Leaves what is asked as `decided.asked`, with what nobody looked for before; returns the keys."""
        stages = question.accounts[["product", "product_version", "stage"]].drop_duplicates()
        rows = [
            (product, int(number), stage, rule, self._key(rule, terms[rule], version.clock), *lasting)
            for product, number, stage in stages.itertuples(index=False, name=None)
            for version in [question.rulebook.version(product, int(number))]
            for terms in [version.stages[stage]]
            for rule in rules
            if rule in terms
            for lasting in [_lasting(rule, terms[rule], question.worded)]
        ]
        names = ["product", "product_version", "stage", "rule", "key", "lasting", "lasting_unworded"]
        worded = pa.table({"account_id": pa.array(sorted(question.worded.accounts or ()), pa.string())})
        given = {"given_keys": pd.DataFrame(rows, columns=names), "given_worded": worded, "given_limits": limits}
        for name, frame in given.items():
            self._connection.register(name, frame)
        self._connection.execute(_ASK, [question.as_of])
        for name in given:
            self._connection.unregister(name)
        return {row[4] for row in rows}

    def _key(self, rule: str, terms: Mapping[str, Any], clock: Clock) -> int:
        """The number of a rule under some terms; those asked for last come last."""
        name = repr((rule, sorted(terms.items()), clock))
        key = self._keys.pop(name, None)
        if key is None:
            key = max(self._keys.values(), default=-1) + 1
        self._keys[name] = key
        return key

    def _look(self, rulebook: Rulebook, to_the_end: bool, rules: Sequence[str]) -> None:
        """Judges those of whom nothing is kept, and keeps what is found."""
        limits = self._connection.sql(_LIMITS, params=[to_the_end]).to_arrow_table().to_pandas()
        set_rules.find(self._connection, rulebook, limits, rules)
        for statement in (_KEEP, _KEPT):
            self._connection.execute(statement, [to_the_end])

    def _forget(self, used: set[int]) -> None:
        """Lets go of what was asked for longest ago while too much is kept, but of nothing that is in use."""
        counted = dict(self._connection.execute("select key, count(*) from decided.answers group by key").fetchall())
        kept, gone = sum(counted.values()), set()
        for key in self._keys.values():
            if kept > self._most and key not in used:
                gone.add(key)
                kept -= counted.get(key, 0)
        if gone:
            self._keys = {name: key for name, key in self._keys.items() if key not in gone}
            # rows deleted from a table in memory would stay there
            for table in ("answers", "answered"):
                self._connection.execute(
                    f"create or replace table decided.{table} as"
                    f" from decided.{table} where key not in ({', '.join(map(str, gone))})"
                )


def _days(question: Question) -> list[tuple[str, int, Clock]]:
    """The clocks by which firm days are told."""
    versions = question.accounts[["product", "product_version"]].drop_duplicates().itertuples(index=False, name=None)
    return [
        (product, int(number), question.rulebook.version(product, int(number)).clock) for product, number in versions
    ]


def _lasting(rule: str, terms: Mapping[str, Any], worded: Worded) -> tuple[bool, bool]:
    """Whether what a rule finds up to an instant is what it finds later up to it: of every account, and of those whose
    verdicts are not put into words."""
    effects = [terms.get(name) for name in ("effect", "strike_effect")]
    unworded = Worded(()) if worded.accounts is not None else worded
    return set_rules.lasting(rule, effects, worded), set_rules.lasting(rule, effects, unworded)


_TABLES = """
    create or replace table decided.answered (key integer, account_id varchar, judged_until timestamptz);
    create or replace table decided.answers (
        key integer, account_id varchar, judged_until timestamptz, happened_at timestamptz, outcome varchar,
        effect varchar, observed double, allowed double, trade_id varchar, detail json, place bigint
    )
"""
_ASK = """
    create or replace table decided.asked as
    with asked as (
        select
            keys.key,
            keys.rule,
            accounts.account_id,
            cast(limits.until as timestamptz) as until,
            limits.ended,
            limits.passed,
            keys.lasting or (keys.lasting_unworded and worded.account_id is null) as to_the_end,
            if(to_the_end, cast($1 as timestamptz), cast(limits.until as timestamptz)) as judged_until
        from given_limits as limits
        inner join facts.accounts as accounts on cast(limits.account_id as varchar) = accounts.account_id
        inner join given_keys as keys using (product, product_version, stage)
        left join given_worded as worded on accounts.account_id = worded.account_id
    )

    select asked.*, answered.key is null as missing
    from asked
    left join decided.answered as answered using (key, account_id, judged_until)
"""
_LIMITS = """
    select distinct account_id, judged_until as until, false as ended, false as passed
    from decided.asked
    where missing and to_the_end = $1
"""
_KEEP = """
    insert into decided.answers
    select asked.key, found.account_id, asked.judged_until, found.happened_at, found.outcome, found.effect,
        found.observed, found.allowed, found.trade_id, found.detail, found.place
    from decided.occurrences as found
    inner join decided.asked as asked using (account_id, rule)
    where asked.missing and asked.to_the_end = $1
"""
_KEPT = """
    insert into decided.answered
    select key, account_id, judged_until from decided.asked where missing and to_the_end = $1
"""
_ANSWER = f"""
    create or replace table decided.occurrences as
    select found.account_id, asked.rule, found.happened_at, found.outcome, found.effect, found.observed, found.allowed,
        found.trade_id, found.detail, found.place
    from decided.answers as found
    inner join decided.asked as asked using (key, account_id, judged_until)
    where happened_at <= until and {set_rules.SPOKEN}
"""
