"""Whose hand opened an entry, a person's or a robot's, and which robot's, as platforms tell it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from models.compiled import compiled
from models.coordination.entries import Book, Codes, Entries, Sides

TOLD_MIN = 5  # entries that must say whose hand it was
ENTRIES_MIN, ALWAYS = 8, 0.9  # entries that tell what an account trades by, and their share
ACCOUNTS_MIN, PEOPLE_MIN = 3, 0.3  # accounts of either kind on a platform that tells them apart; people are many


@compiled
def robot_share(book: Book, at: Codes) -> float:
    """Share of entries opened by a robot, of those that tell; NaN where few do."""
    told = robots = 0
    for p in at:
        told += book.robot[p] >= 0
        robots += book.robot[p] == 1
    return robots / told if told >= TOLD_MIN else math.nan


@compiled
def one_program(book: Book, at_a: Codes, at_b: Codes) -> float:
    """Share of matches opened under one magic number, of those where both have one; NaN where few have."""
    told = same = 0
    for k in range(len(at_a)):
        a, b = book.program[at_a[k]], book.program[at_b[k]]
        told += a > 0 and b > 0
        same += a > 0 and a == b
    return same / told if told >= TOLD_MIN else math.nan


def believed(entries: Entries, accounts: pd.DataFrame | None) -> Sides:
    """`Book.robot` where the platform of the account tells robots from people, and -1 elsewhere.

    A platform that writes one reason for whatever happens tells nothing by it; on one that writes magic numbers and no
    reasons, what has none is by hand. `accounts` has `account_id` and `platform`; without it all are of one platform.
    """
    account, robot, size = entries.book.account, entries.book.robot, len(entries.accounts)
    platform = np.zeros(size, dtype=np.int64)
    if accounts is not None:
        of = accounts.drop_duplicates("account_id").set_index("account_id")["platform"].reindex(entries.accounts)
        platform = pd.factorize(of)[0] + 1
    platforms = int(platform.max()) + 1
    numbers_only = np.bincount(platform[account[robot == 0]], minlength=platforms) == 0
    robot = np.where((robot < 0) & numbers_only[platform][account], np.int8(0), robot)
    told = np.bincount(account[robot >= 0], minlength=size)
    share = np.bincount(account[robot == 1], minlength=size) / np.maximum(told, 1)
    known = told >= ENTRIES_MIN
    robots = np.bincount(platform[known & (share >= ALWAYS)], minlength=platforms)
    people = np.bincount(platform[known & (share <= 1 - ALWAYS)], minlength=platforms)
    everyone = np.bincount(platform[known], minlength=platforms)
    tells = (np.minimum(robots, people) >= ACCOUNTS_MIN) & (people >= PEOPLE_MIN * everyone)
    return np.where(tells[platform][account], robot, np.int8(-1)).astype(np.int8)
