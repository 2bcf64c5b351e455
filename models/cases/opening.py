"""What a scoring run does to cases: follows owners, tells of new evidence, renews and opens; the same run twice does
nothing the second time."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Any

import duckdb
import pandas as pd
import sqlalchemy as sa

from models import audit
from models.cases import terms
from models.cases.machine import SYSTEM, Case, Move, write
from models.cases.terms import CaseTerms
from models.risk_score import FLAG, Weighed
from sql import relations
from sql.case_schema import CASES, OWNER_STANDING, SCORE_EVIDENCE
from sql.warehouse import read_frame, replace_rows

COUNTS_MIN = 0.05
"""Evidence that can add less to a score than this chance is not kept: it decides nothing."""
KEY = ["owner_id", "subject_kind", "subject_id", "detector"]
Reasons = dict[str, str]


def open_from(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Engine,
    weighed: Weighed,
    as_of: dt.datetime,
    at: dt.datetime | None = None,
) -> list[str]:
    """Moves cases as a run's evidence asks, in one transaction; returns remarks.

    Needs marts.accounts, facts.stakes and decided.owners of the run. A case is opened, or a decided one renewed, where
    evidence that no answer covers reaches the terms. What has nothing new stays as it is.
    """
    held, now = terms.in_force(as_of), at or dt.datetime.now(dt.UTC)
    accounts = _accounts(connection)
    evidence = _evidence(weighed, accounts)
    wanted = _wanted(weighed, accounts, evidence, held)
    owner_of = dict(zip(accounts["trader_id"].tolist(), accounts["owner_id"].tolist(), strict=True))
    counted: Counter[str] = Counter()
    with database.begin() as writing:
        audit.lock(writing)
        for moves in _steps(writing, owner_of, evidence, wanted, as_of):
            write(writing, moves, held.version, as_of, now)
            counted.update(move.action for move in moves)
        _keep(writing, accounts, weighed, evidence)
    return [f"cases: {', '.join(f'{counted[name]:,} {SAID[name]}' for name in SAID if counted[name])}"] * bool(counted)


def foresee(
    connection: duckdb.DuckDBPyConnection, database: sa.Connection, weighed: Weighed, as_of: dt.datetime
) -> None:
    """Shows owners about whom this run will open or renew a case as `decided.foreseen_cases` (owner_id), to what is
    judged before it does."""
    accounts = _accounts(connection)
    wanted = _wanted(weighed, accounts, _evidence(weighed, accounts), terms.in_force(as_of))
    busy = {case.owner_id for case in _cases(database) if case.is_open}
    owners = pd.DataFrame({"owner_id": sorted(wanted.keys() - busy)}, dtype="string")
    connection.register("foreseen", owners)
    connection.execute("create or replace table decided.foreseen_cases as select * from foreseen")
    connection.unregister("foreseen")


SAID = {
    "open": "opened",
    "renew": "renewed",
    "evidence": "with new evidence",
    "join": "joined to another",
    "follow": "under another owner",
}


def _accounts(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Every account with its owner and what is at stake: account_id, trader_id, desk_id, owner_id, stake_usd."""
    relations.build(connection, "marts.accounts", "facts.stakes", "marts.usd_rates")
    found: pd.DataFrame = connection.execute(
        "select account_id, trader_id, desk_id, coalesce(owner_id, trader_id) as owner_id,"
        " cast(coalesce(stake, 0) * rate_to_usd as double) as stake_usd"
        " from marts.accounts left join decided.owners using (trader_id) left join facts.stakes using (account_id)"
        " left join marts.usd_rates using (currency) order by account_id"
    ).df()
    return found


def _evidence(weighed: Weighed, accounts: pd.DataFrame) -> pd.DataFrame:
    """Evidence by owner in the columns of `SCORE_EVIDENCE`."""
    found = weighed.evidence.rename(columns={"reason": "detector"})
    found = found[found["strength"] * found["weight"] >= COUNTS_MIN]
    owned = found.merge(accounts[["account_id", "owner_id"]], on="account_id")
    ordered = owned.sort_values([*KEY, "account_id"], kind="stable")
    kept = ordered.drop_duplicates(KEY)[[column.name for column in SCORE_EVIDENCE.columns]]
    return kept.reset_index(drop=True)


def _wanted(weighed: Weighed, accounts: pd.DataFrame, evidence: pd.DataFrame, held: CaseTerms) -> Reasons:
    """Owners whom evidence without an answer brings before people, with the reason in words."""
    fresh = weighed.fresh[weighed.fresh["score"] >= held.score_min].merge(
        accounts[["account_id", "owner_id"]], on="account_id"
    )
    highest = fresh.sort_values(["score", "account_id"], ascending=[False, True], kind="stable")
    unanswered = _unanswered(evidence)
    found = {
        str(row.owner_id): f"{row.account_id} scores {row.score:.0f} by evidence that nobody has answered"
        f"{unanswered.get(str(row.owner_id), '')}."
        for row in highest.drop_duplicates("owner_id").itertuples()
    }
    signals = evidence[evidence["fresh"] & evidence["subject_kind"].isin(["account", "trader"])]
    strong = signals[(signals["strength"] >= held.signal_min) & ~signals["detector"].isin(held.quiet)]
    # what the verdicts say counts in the score, it is no signal
    strong = strong[strong["amount"].isna()].sort_values(["strength", *KEY], ascending=False, kind="stable")
    for row in strong.drop_duplicates("owner_id").itertuples():
        told = f"{str(row.detector).replace('_', ' ')} of {row.subject_id} with strength {row.strength:.2f}."
        found.setdefault(str(row.owner_id), told)
    return found


def _unanswered(evidence: pd.DataFrame, most: int = 3) -> Reasons:
    """The weightiest evidence without an answer by owner, as the end of a sentence."""
    fresh = evidence[evidence["fresh"]].assign(weighs=lambda rows: rows["strength"] * rows["weight"])
    ordered = fresh.sort_values(["weighs", *KEY], ascending=[False, *(True for _ in KEY)], kind="stable")
    return {
        str(owner): ": " + ", ".join(_named(row) for row in rows.head(most).itertuples())
        for owner, rows in ordered.groupby("owner_id")
    }


def _steps(
    connection: sa.Connection,
    owner_of: dict[str, str],
    evidence: pd.DataFrame,
    wanted: Reasons,
    as_of: dt.datetime,
) -> Iterable[list[Move]]:
    """The run's moves in the order in which they must be written; each step sees the one before it."""
    yield _joining(_cases(connection), owner_of)
    yield _following(_cases(connection), owner_of)
    yield _telling(_cases(connection), _news(connection, evidence))
    cases = _cases(connection)
    yield _renewing(cases, wanted)
    yield _opening(_cases(connection), wanted, owner_of, as_of)


def _cases(connection: sa.Connection) -> list[Case]:
    """Every case, oldest first."""
    found = [Case(**row) for row in connection.execute(sa.select(CASES)).mappings()]
    return sorted(found, key=lambda case: number(case.case_id))


def number(case_id: str) -> int:
    """The number in a case's name."""
    return int(case_id.removeprefix("CASE-"))


def _joining(cases: list[Case], owner_of: dict[str, str]) -> list[Move]:
    """Open cases whose owners have become one go on in the oldest of them."""
    first: dict[str, Case] = {}
    moves = []
    for case in cases:
        if not case.is_open:
            continue
        older = first.setdefault(owner_of.get(case.trader_id, case.owner_id), case)
        if older is not case:
            told = f"The owner is that of {older.case_id}, which goes on with it."
            moves.append(Move(case, "join", SYSTEM, told, changes={"joined_to": older.case_id}))
    return moves


def _following(cases: list[Case], owner_of: dict[str, str]) -> list[Move]:
    """Cases whose trader belongs to another owner now; one waits while that owner's id is still taken."""
    taken = {case.owner_id for case in cases if case.is_open}
    moves = []
    for case in cases:
        owner = owner_of.get(case.trader_id, case.owner_id)
        if owner == case.owner_id or case.state == "joined" or (case.is_open and owner in taken):
            continue
        taken |= {owner} if case.is_open else set()
        told = f"{case.trader_id} is held to belong to {owner}."
        moves.append(Move(case, "follow", SYSTEM, told, changes={"owner_id": owner}))
    return moves


def _news(connection: sa.Connection, evidence: pd.DataFrame) -> Reasons:
    """Owners with flags that the run before did not have, and what they are."""
    columns = [SCORE_EVIDENCE.c[name] for name in (*KEY, "strength")]
    before = read_frame(connection, sa.select(*columns))
    known = pd.MultiIndex.from_frame(before.loc[before["strength"] >= FLAG, KEY].astype(object))
    flags = evidence[(evidence["strength"] >= FLAG) & evidence["fresh"]].sort_values(KEY)
    new = flags[~pd.MultiIndex.from_frame(flags[KEY].astype(object)).isin(known)]
    return {
        str(owner): "New: " + "; ".join(_named(row) for row in rows.itertuples()) + "."
        for owner, rows in new.groupby("owner_id")
    }


def _named(row: Any) -> str:
    """A piece of evidence in words; a pair's id holds both accounts."""
    subject = str(row.subject_id)
    of = " and ".join(subject.split("|")) if row.subject_kind == "pair" else subject
    return f"{str(row.detector).replace('_', ' ')} of {of}"


def _telling(cases: list[Case], news: Reasons) -> list[Move]:
    """Open cases with new evidence: who looks at one is told, and one that waits is taken up again."""
    return [
        Move(case, "evidence", SYSTEM, news[case.owner_id]) for case in cases if case.is_open and case.owner_id in news
    ]


def _renewing(cases: list[Case], wanted: Reasons) -> list[Move]:
    """The newest decided case of an owner who is wanted again and has none open."""
    busy = {case.owner_id for case in cases if case.is_open}
    newest = {case.owner_id: case for case in cases if case.state in ("confirmed", "dismissed")}
    return [
        Move(case, "renew", SYSTEM, wanted[owner], changes={"assignee": None, "reason_code": None})
        for owner, case in sorted(newest.items())
        if owner in wanted and owner not in busy
    ]


def _opening(cases: list[Case], wanted: Reasons, owner_of: dict[str, str], as_of: dt.datetime) -> list[Move]:
    """A first case for owners who have none."""
    known = {case.owner_id for case in cases if case.state != "joined"}
    first = {owner: trader for trader, owner in sorted(owner_of.items(), reverse=True)}
    last = max((number(case.case_id) for case in cases), default=0)
    return [
        Move(None, "open", SYSTEM, wanted[owner], changes=begun(last + place, owner, first[owner], as_of))
        for place, owner in enumerate(sorted(wanted.keys() - known), 1)
    ]


def begun(place: int, owner_id: str, trader_id: str, as_of: dt.datetime) -> dict[str, Any]:
    """What a case begins with."""
    return {"case_id": f"CASE-{place}", "owner_id": owner_id, "trader_id": trader_id, "opened_at": as_of}


def _keep(writing: sa.Connection, accounts: pd.DataFrame, weighed: Weighed, evidence: pd.DataFrame) -> None:
    """Puts evidence and standing of the run in the place of the last run's."""
    replace_rows(writing, SCORE_EVIDENCE, evidence)
    owners = set(evidence["owner_id"]) | set(writing.execute(sa.select(CASES.c.owner_id)).scalars())
    mine = accounts[accounts["owner_id"].isin(owners)].merge(
        weighed.scores[["account_id", "score"]], how="left", on="account_id"
    )
    ordered = mine.sort_values(["score", "account_id"], ascending=[False, True], kind="stable")
    grouped = ordered.groupby(["owner_id", "desk_id"], as_index=False)
    standing = grouped.agg(
        account_id=("account_id", "first"),
        score=("score", "max"),
        stake_usd=("stake_usd", lambda stakes: stakes.sum(min_count=1)),
        accounts=("account_id", "size"),
    )
    replace_rows(writing, OWNER_STANDING, standing)
