"""Openings of a firm that one run leaves for the next, so that a day reads only trades that are new or changed.

They are those of one file of trades (`sql.kept_trades`), in the order of time, in which the day's are sorted soonest,
with the place of each of its rows. A later run leaves out the rows that were replaced since and adds what came in
their place. The file is believed only as that of the same trades, read by the same code.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.coordination import entries
from models.coordination.entries import Codes, Columns, Ints, Openings, occurring
from models.coordination.kept import UNREADABLE


@dataclass(frozen=True)
class Held:
    """Openings in the order of time, and the place of each row of the file that they were read from."""

    openings: Openings
    place: Codes


def hold(openings: Openings, row: Ints) -> Held:
    """Puts openings in the order of time; `row` is the row of the file behind each."""
    order = np.argsort(openings.columns.opened_us, kind="stable")
    place = np.empty(len(row), dtype=np.int32)
    place[row[order]] = np.arange(len(row), dtype=np.int32)
    return Held(openings._replace(columns=openings.columns.take(order)), place)


def goes_on(held: Held, replaced: Ints, added: Openings) -> Openings:
    """The openings without the replaced rows of the file, and with those added."""
    keep = np.ones(len(held.place), dtype=np.bool_)
    keep[held.place[replaced]] = False
    before = held.openings
    account, accounts = _joined(before.accounts, before.columns.account[keep], added.accounts, added.columns.account)
    instrument, instruments = _joined(
        before.instruments, before.columns.instrument[keep], added.instruments, added.columns.instrument
    )
    columns = Columns(
        account=account,
        instrument=instrument,
        side=np.concatenate([before.columns.side[keep], added.columns.side]),
        opened_us=np.concatenate([before.columns.opened_us[keep], added.columns.opened_us]),
        closed_us=np.concatenate([before.columns.closed_us[keep], added.columns.closed_us]),
        lots=np.concatenate([before.columns.lots[keep], added.columns.lots]),
        robot=np.concatenate([before.columns.robot[keep], added.columns.robot]),
        program=np.concatenate([before.columns.program[keep], added.columns.program]),
    )
    return Openings(accounts, instruments, columns)


def _joined(
    names: NDArray[np.object_], codes: Codes, added: NDArray[np.object_], added_codes: Codes
) -> tuple[Codes, NDArray[np.object_]]:
    """The codes of both one after the other, by the names of either that occur."""
    known = pd.Index(names).get_indexer(pd.Index(added)).astype(np.int32)
    new = np.flatnonzero(known < 0)
    known[new] = len(names) + np.arange(len(new), dtype=np.int32)
    theirs = np.append(known, np.int32(-1))[added_codes]
    return occurring(np.concatenate([codes, theirs]), np.concatenate([names, added[new]]))


@cache
def _code() -> str:
    return hashlib.sha256(Path(__file__).read_bytes() + Path(entries.__file__).read_bytes()).hexdigest()


def save(held: Held, trades: str, path: Path) -> None:
    """Writes what is held of a file of trades, in one piece or not at all; `trades` says which file it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    accounts, instruments, columns = held.openings
    told = json.dumps([_code(), trades, accounts.tolist(), instruments.tolist()])
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, told=np.frombuffer(told.encode(), np.uint8), place=held.place, **columns._asdict())
    part.replace(path)


def load(path: Path, trades: str) -> Held | None:
    """What a file holds of this file of trades; None where it cannot be read, or is of another or by other code."""
    try:
        with np.load(path) as file:
            code, of, accounts, instruments = json.loads(file["told"].tobytes())
            if (code, of) != (_code(), trades):
                return None
            columns: dict[str, Any] = {name: file[name] for name in Columns._fields}
            read = Openings(np.array(accounts, object), np.array(instruments, object), Columns(**columns))
            return Held(read, file["place"])
    except UNREADABLE:
        return None
