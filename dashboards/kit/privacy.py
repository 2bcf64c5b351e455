"""Personal data on its way to a page: masked for roles that do not need it, written down when it is shown.

Every read of the kit passes here, so that no page has to think of it.
"""

from __future__ import annotations

import json
from collections import deque
from threading import Lock
from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit.people import who
from models import access, audit
from models.access import Person
from models.audit import Record

SHOWN = "personal-data-shown"
JSON_COLUMNS = ("reasons", "evidence", "checks")
NAMED_MOST = 50
WAIT_MS = 250
_waiting: deque[Record] = deque()
_lock = Lock()


def shown(frame: pd.DataFrame, database: sa.Engine) -> pd.DataFrame:
    """A frame as the person of this session may see it; what they see of people is put in the audit log once."""
    person = who()
    if frame.empty:
        return frame
    if not person.may("personal.read"):
        return _veiled(frame, person)
    personal = access.is_personal(str(name) for name in frame.columns)
    if personal:
        _written_down(frame, personal, person, database)
    return frame


def _veiled(frame: pd.DataFrame, person: Person) -> pd.DataFrame:
    columns = {name: _column(frame, str(name), person) for name in _touched(frame)}
    return frame.assign(**columns) if columns else frame


def _touched(frame: pd.DataFrame) -> list[str]:
    listed = [str(name) for name in frame.columns]
    return [*access.is_personal(listed), *(name for name in JSON_COLUMNS if name in listed)]


def _column(frame: pd.DataFrame, name: str, person: Person) -> list[Any]:
    """A column masked; a bare `value` is the mark of whatever the columns beside it say."""
    if name in JSON_COLUMNS:
        return [_veiled_json(text, person) for text in frame[name]]
    if name == "value":
        return [access.veil({"kind": "", "value": one}, person)["value"] for one in frame[name]]
    return [access.veil(one, person, name) for one in frame[name]]


def _veiled_json(text: Any, person: Person) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.dumps(access.veil(json.loads(text), person), ensure_ascii=False)
    except ValueError:
        return text


def _written_down(frame: pd.DataFrame, personal: list[str], person: Person, database: sa.Engine) -> None:
    """One record per session for each set of people that were shown."""
    key = next((name for name in ("trader_id", "account_id", "payout_id", "settlement_id") if name in frame), None)
    subjects = sorted({str(one) for one in frame[key].dropna()}) if key else []
    seen: set[tuple[str, ...]] = st.session_state.setdefault(SHOWN, set())
    what = (*personal, *subjects)
    if what in seen:
        return
    seen.add(what)
    about = "people"
    if key and subjects:
        kind = key.removesuffix("_id")
        about = f"{kind}:{subjects[0]}" if len(subjects) == 1 else f"{len(subjects)} {kind}s"
    after = {"fields": personal, "rows": len(frame), "of": subjects[:NAMED_MOST]}
    keep(Record(person.name, "personal data shown", about, role=person.role, after=after), database)


def keep(record: Record, database: sa.Engine) -> None:
    """Appends a record, and those that wait, to the audit log.

    While a scoring run writes to an embedded database nobody else can: the record then waits for the next one, so that
    a page never does.
    """
    with _lock:
        _waiting.append(record)
        try:
            with database.begin() as connection:
                _patience(connection, WAIT_MS)
                audit.append(connection, *_waiting)
                _waiting.clear()
        except sa.exc.OperationalError:
            return


def exported(what: str, rows: int, database: sa.Engine) -> None:
    """Writes down that somebody took rows away as a file; for the click on a download."""
    taken(who(), what, rows, database)


def taken(person: Person, what: str, rows: int, database: sa.Engine) -> None:
    """Writes down that a person took rows away as a file that is written when it is asked for."""
    keep(Record(person.name, "exported", f"export:{what}", role=person.role, after={"rows": rows}), database)


def _patience(connection: sa.Connection, wait_ms: int) -> None:
    """How long this transaction waits for others."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"pragma busy_timeout={wait_ms}")
    else:
        connection.exec_driver_sql(f"set local lock_timeout = {wait_ms}")
