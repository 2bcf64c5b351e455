"""Cases as pages see them: the queue, what is known of one as it stands now, and acts with what became of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboards.kit import look, people, reads, state, words
from models import access
from models.access import AccessRefused, Person, masked
from models.cases import acting, history, queue
from models.cases.acting import Key
from models.cases.machine import CONFIRMED_CODES, DISMISSED_CODES, Case, CaseRefused
from models.risk_score import ScoreTerms
from sql import schema

TOLD = "case-told"
FEWEST = ScoreTerms().labels_min
STATES = {
    "new": ("near", "● New"),
    "in_review": ("fine", "◐ In review"),
    "waiting": ("unknown", "◷ Waiting"),
    "confirmed": ("breached", "✕ Confirmed"),
    "dismissed": ("ended", "○ Dismissed"),
    "joined": ("ended", "⤳ Joined"),
}
BACK = "↻ Back"
BEGAN = ("open", "renew", "evidence", "reopen")
"""Moves that tell why a case is before people."""
CAME = {"open": "Opened", "renew": "Came back", "reopen": "Reopened"}
"""Moves that bring a case before people."""
DONE = {
    "open": "opened",
    "take": "taken",
    "assign": "assigned",
    "release": "given back",
    "wait": "waits",
    "resume": "goes on",
    "evidence": "new evidence",
    "freeze": "freeze recommended",
    "unfreeze": "freeze taken back",
    "confirm": "confirmed",
    "dismiss": "dismissed",
    "reopen": "reopened",
    "renew": "renewed by new evidence",
    "follow": "follows the owner",
    "join": "joined to another",
}
CODES = CONFIRMED_CODES | DISMISSED_CODES
COLUMNS = {
    "case_id": st.column_config.TextColumn("Case", width=72),
    "state": st.column_config.TextColumn(
        "State", width=84, help="Back: it was decided before, and new evidence opened it again."
    ),
    "names": st.column_config.TextColumn("Owner", width=125),
    "score": st.column_config.ProgressColumn(
        "Risk", format="%.0f", min_value=0, max_value=100, width=64, help="Highest score of the owner's accounts."
    ),
    "priority": st.column_config.NumberColumn(
        "Stake × risk, USD",
        format="%,.0f",
        width=104,
        help="What is at stake times the risk, as a probability: cases come in this order.",
    ),
    "assignee": st.column_config.TextColumn("With", width=62),
    "age": st.column_config.TextColumn(
        "Age", width=54, help="Of the figures: since those of the run that opened it or brought it back."
    ),
    "why": st.column_config.TextColumn("Because of", width=230),
    "stake_usd": st.column_config.NumberColumn(
        "At stake, USD", format="%,.0f", help="Requested and unpaid, and profit that could be asked for."
    ),
    "flags": st.column_config.TextColumn("Freeze", help="A freeze of the owner's accounts is recommended."),
}


def person() -> Person:
    """Who acts."""
    return people.who()


def cases(*, limit: int = reads.PAGE_ROWS, offset: int = 0, **wanted: Any) -> pd.DataFrame:
    """Cases that the person sees, first those with most money at risk; never from a cache."""
    with reads.warehouse().database.connect() as connection:
        found = queue.queue(connection, person(), limit=limit, offset=offset, **wanted)
    return _with_words(found)


def how_many(**wanted: Any) -> int:
    """How many cases pass the same filters as `cases`."""
    with reads.warehouse().database.connect() as connection:
        return queue.how_many(connection, person(), **wanted)


def _with_words(found: pd.DataFrame) -> pd.DataFrame:
    """Cases with the names of their owners and the reasons of the highest score."""
    owned = _accounts(found["owner_id"].tolist())
    told = {owner: _told(rows) for owner, rows in owned.groupby("owner_id")}
    listed = [told.get(owner, (words.UNKNOWN, "")) for owner in found["owner_id"]]
    return found.assign(names=[one[0] for one in listed], why=[one[1] for one in listed])


def _accounts(owners: list[str]) -> pd.DataFrame:
    """Names and scores of the accounts of some owners."""
    names = ["owner_id", "account_id", "trader_name"]
    found = reads.rows("risk_queue", owner_id=owners, limit=len(owners) * reads.PAGE_ROWS) if owners else pd.DataFrame()
    if found.empty:
        return pd.DataFrame(columns=[*names, "score", "band", "reasons"])
    table = schema.RISK_SCORES
    scored = reads.decided(table, table.c.account_id.in_(found["account_id"].tolist()), limit=len(found))
    joined = found[names].merge(scored[["account_id", "score", "band", "reasons"]], on="account_id", how="left")
    return joined.sort_values(["score", "account_id"], ascending=[False, True], kind="stable", na_position="last")


def _told(accounts: pd.DataFrame) -> tuple[str, str]:
    """Whose the accounts are, and why the first of them is there."""
    names = [str(masked(name, person())) for name in accounts["trader_name"].dropna().unique()]
    more = f" +{len(names) - 2}" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more or words.UNKNOWN, words.reasons(*accounts[["reasons", "band"]].iloc[0])


def table(found: pd.DataFrame, key: str) -> int:
    """Cases as a table; returns the place of the selected one."""
    shown = found.assign(
        state=[BACK if back else STATES[one][1] for one, back in zip(found["state"], found["came_back"], strict=True)],
        age=[words.age(hours) for hours in found["age_hours"]],
        flags=["■ yes" if one else "" for one in found["to_freeze"]],
        score=found["score"].astype(float),
    )[list(COLUMNS)]
    # at a queue's beginning nobody holds a case and nothing is to be frozen: the reasons have that room
    empty = [name for name in ("assignee", "flags") if shown[name].fillna("").eq("").all()]
    event: Any = st.dataframe(
        look.coloured(shown, "state", [STATES[one][0] for one in found["state"]]),
        column_config=COLUMNS,
        column_order=[name for name in COLUMNS if name not in empty],
        placeholder=words.UNKNOWN,
        hide_index=True,
        height=look.height(len(shown)),
        on_select="rerun",
        selection_mode="single-row-required",
        key=key,
    )
    chosen = event.selection.rows
    return int(chosen[0]) if chosen and chosen[0] < len(found) else 0


def trader_of(asked: str) -> str:
    """The trader behind the name of a case, an account or an owner."""
    with reads.warehouse().database.connect() as connection:
        return queue.trader_of(connection, asked)


def about(trader: str) -> Case | None:
    """The case about the owner of a trader, None when there is none."""
    with reads.warehouse().database.connect() as connection:
        return queue.case_about(connection, trader)


def line(case: Case) -> str:
    """A case in one line of HTML: its name, its state in its colour, and who has it."""
    colour, name = STATES[case.state]
    held = f" with {words.escaped(case.assignee)}" if case.assignee and case.is_open else ""
    why = f" · {words.escaped(CODES.get(str(case.reason_code)))}" if case.reason_code else ""
    freeze = " · ■ freeze recommended" if case.to_freeze else ""
    tone = look.palette().of(colour)
    shown = f'<span class="hw-state" style="--hw:{tone}">{name}</span>'
    return f"{words.escaped(case.case_id)} · {shown}{held}{why}{freeze}"


def standing(case: Case) -> list[str]:
    """What brought a case here last and how it was decided, the newer first, as HTML; for who sees all its desks."""
    if not sees_all(case):
        return []
    done = reads.records(moves(case.case_id))
    last = [next((row for row in done if row["action"] in among), None) for among in (BEGAN, ("confirm", "dismiss"))]
    told = sorted((row for row in last if row), key=lambda row: int(row["version"]), reverse=True)
    zone = _zone(case)
    lines = [_told_move(row, zone) for row in told]
    if case.is_open or _scored_since(told[0]["happened_at"]):
        return lines
    return [*lines, "Scores and payout checks follow it from the next scoring on."]


def _zone(case: Case) -> str:
    """The zone in which the desks of a case's owner read their times."""
    with reads.warehouse().database.connect() as connection:
        return reads.zone_of_all(acting.desks_of(connection, case.owner_id))


def began(case: Case) -> tuple[str, str]:
    """How a case last came before people and when, as its history tells it, the latter as HTML."""
    row = next(row for row in reads.records(moves(case.case_id)) if row["action"] in CAME)
    return CAME[row["action"]], words.instant_html(row["happened_at"], _zone(case))


def _told_move(row: dict[str, Any], zone: str) -> str:
    who_did, why = moved(row)
    return f"{words.instant_html(row['happened_at'], zone)} · {words.escaped(f'{who_did}. {why}'.strip())}"


def _scored_since(at: dt.datetime) -> bool:
    """Whether a scoring run was done after an instant."""
    finished = reads.stamp().finished_at
    return finished is not None and finished > at


def moved(row: dict[str, Any]) -> tuple[str, str]:
    """A move of a case in words: who did what, and why."""
    code = CODES.get(str(row["reason_code"]), "")
    told = ". ".join(one.rstrip(".") for one in (code, row["reason"]) if one)
    return f"{row['person']}: {done(row['action'], row['assignee'])}", f"{told}." if told else ""


def sees_all(case: Case) -> bool:
    """Whether the person sees every desk where the owner has accounts."""
    with reads.warehouse().database.connect() as connection:
        desks = acting.desks_of(connection, case.owner_id)
    return all(person().sees(desk) for desk in desks or [None])


def may_decide(case: Case) -> bool:
    """Whether the person may act on a case: they decide on risk, at every desk where the owner has accounts."""
    return person().may("risk.decide") and sees_all(case)


def colleagues() -> list[str]:
    """Local people who may have a case, the person first."""
    with reads.warehouse().database.connect() as connection:
        known = access.people(connection)
    names = [one["name"] for one in known if one["active"] and Person(one["name"], one["role"]).may("risk.decide")]
    return list(dict.fromkeys([person().name, *names]))


def act(
    case: Case,
    action: str,
    *,
    reason: str = "",
    code: str | None = None,
    assignee: str | None = None,
    holds: Collection[Key] | None = None,
) -> None:
    """Does it and draws the page anew; what was refused is told instead."""
    try:
        after = acting.act(
            reads.warehouse().database,
            person(),
            case.case_id,
            action,
            st.session_state.get(_seen(case), case.version),
            reason=reason,
            reason_code=code,
            assignee=assignee,
            holds=holds,
        )
    except (CaseRefused, AccessRefused) as refused:
        look.refused(refused)
        return
    st.session_state[_seen(case)] = after.version
    state.acted()
    st.session_state[TOLD] = f"{case.case_id}: {done(action, after.assignee)}."
    st.rerun()


def done(action: str, assignee: str | None) -> str:
    """A move in words."""
    return DONE[action] + (f" to {assignee}" if action == "assign" else "")


def moved_meanwhile(case: Case) -> str | None:
    """What others did to the case since the person last saw it, None when nothing."""
    seen = st.session_state.get(_seen(case), case.version)
    if seen == case.version:
        return None
    since = [row for row in reads.records(moves(case.case_id)) if row["version"] > seen]
    told = [f"{words.escaped(row['person'])} ({done(row['action'], row['assignee'])})" for row in reversed(since)]
    return f"Moved since you last saw it by {', '.join(told)}."


def _seen(case: Case) -> str:
    return f"seen-{case.case_id}"


def drawn(case: Case) -> None:
    """Remembers the version that the person looks at from now on: an act is about what was shown, not what is."""
    st.session_state[_seen(case)] = case.version


def open_by_hand(trader: str, reason: str) -> None:
    """Opens a case and draws the page anew; what was refused is told instead."""
    try:
        case = acting.open_case(reads.warehouse().database, person(), trader, reason)
    except (CaseRefused, AccessRefused) as refused:
        look.refused(refused)
        return
    st.session_state[TOLD] = f"{case.case_id} is open and yours."
    st.rerun()


def note(case: Case, text: str) -> None:
    """Leaves a note and draws the page anew."""
    try:
        acting.note(reads.warehouse().database, person(), case.case_id, text)
    except (CaseRefused, AccessRefused) as refused:
        look.refused(refused)
        return
    st.session_state[TOLD] = f"{case.case_id}: note kept under History of the case."
    st.rerun()


def told() -> None:
    """Says what the last act did."""
    if TOLD in st.session_state:
        st.toast(st.session_state.pop(TOLD))


def learnt() -> pd.DataFrame:
    """What the score has learnt from answers, per detector."""
    with reads.warehouse().database.connect() as connection:
        return history.learnt(connection)


def precision(row: dict[str, Any] | None) -> str:
    """How often a detector's flags held, in words, with its interval; says when there is too little to tell."""
    if row is None or not row["labels"]:
        return f"no flag answered yet, {FEWEST} are needed before a weight moves"
    held = f"{words.number(row['confirmed'])} of {words.counted(row['labels'], 'answered flag')} held"
    held += f" (of all such flags {words.share(row['low'])} to {words.share(row['high'])}, 95 % interval)"
    return held if row["labels"] >= FEWEST else f"{held}; {FEWEST} are needed before a weight moves"


def moves(case_id: str) -> pd.DataFrame:
    """Every move of a case, the newest first."""
    with reads.warehouse().database.connect() as connection:
        return queue.moves(connection, case_id)


def notes(case_id: str) -> pd.DataFrame:
    """Notes on a case, in order."""
    with reads.warehouse().database.connect() as connection:
        return queue.notes(connection, case_id)


def answers(case_id: str) -> pd.DataFrame:
    """What was answered in a case."""
    with reads.warehouse().database.connect() as connection:
        return queue.answers(connection, case_id)


def answered(subjects: list[str]) -> dict[Key, dict[str, Any]]:
    """The answer that holds about each signal of some accounts and traders; `outdone` by newer evidence or not."""
    with reads.warehouse().database.connect() as connection:
        found = reads.records(queue.answered(connection, subjects))
    # what the run before an answer held for fresh is what was answered
    outdone = [bool(row["fresh"]) and _scored_since(row["decided_at"]) for row in found]
    return {key(row): row | {"outdone": newer} for row, newer in zip(found, outdone, strict=True)}


def key(row: dict[str, Any]) -> Key:
    """What a piece of evidence, or an answer about it, is about."""
    return str(row["subject_kind"]), str(row["subject_id"]), str(row["detector"])


def answer(row: dict[str, Any], zone: str) -> str:
    """An answer about a signal in words: what was said, by whom and when, and whether newer evidence came since."""
    who_said = f"{STATES[row['outcome']][1]} by {row['person']}, {words.instant(row['decided_at'], zone)}"
    newer = " Newer evidence has come since." if row["outdone"] else ""
    return f"{who_said}: {CODES[row['reason_code']]}.{newer}"


def evidence(owner_id: str) -> pd.DataFrame:
    """What counts in the scores of an owner's accounts."""
    with reads.warehouse().database.connect() as connection:
        return queue.evidence(connection, owner_id)


def scores(accounts: list[str]) -> pd.DataFrame:
    """Every score that was kept of some accounts of the person's desks, the newest first."""
    with reads.warehouse().database.connect() as connection:
        return queue.scores(connection, accounts)


def scores_on(accounts: list[str], day: dt.date, zone: str) -> pd.DataFrame:
    """The score of each of some accounts as it stood at the end of a day in a zone, without those always 0."""
    midnight = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), ZoneInfo(zone))
    end = midnight.astimezone(dt.UTC) - dt.timedelta(microseconds=1)
    with reads.warehouse().database.connect() as connection:
        found = [history.score_at(connection, account, end) for account in accounts]
    return pd.DataFrame([one for one in found if one])
