"""Names against a sanctions list in the simple CSV shape of OpenSanctions, each hit scored and explained.

Names are compared without accents, case and order of their words; words are put together one to one by Jaro-Winkler
similarity (Winkler, 1990), the best assignment counts. A birth year or country that agrees raises a hit, one that
contradicts lowers it; neither is needed.
"""

from __future__ import annotations

import csv
import datetime as dt
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz.distance import JaroWinkler
from rapidfuzz.process import cdist
from scipy.optimize import linear_sum_assignment

LIST_VARIABLE = "HIGHWATER_SCREENING_LIST"
NEEDED = ("id", "schema", "name")
PEOPLE = ("Person", "LegalEntity")
AGREES, CONTRADICTS = 0.04, 0.08
SURE_WORD = 0.8


class ListRefused(Exception):
    """A screening list that cannot be read; the sentence says why."""


@dataclass(frozen=True)
class Listed:
    """Somebody on the list, under all their names."""

    listed_id: str
    names: tuple[tuple[str, ...], ...]
    shown: str
    birth_years: frozenset[str]
    countries: frozenset[str]
    dataset: str


@dataclass(frozen=True)
class ScreeningList:
    """A list, an index from the first letters of every word to who bears it, and the day it was made, if it tells."""

    people: tuple[Listed, ...]
    index: Mapping[str, frozenset[int]]
    made_on: dt.date | None


@dataclass(frozen=True)
class Screened:
    """Hits by trader, and the day on which the list was made that gave them."""

    hits: Mapping[str, list[dict[str, Any]]]
    made_on: dt.date | None


def configured() -> ScreeningList | None:
    """The list that HIGHWATER_SCREENING_LIST names, read anew so that it can be refreshed; None without one."""
    path = os.environ.get(LIST_VARIABLE)
    return read_list(Path(path)) if path else None


def read_list(path: Path) -> ScreeningList:
    """Reads a list file (id, schema, name, aliases, birth_date, countries, dataset …); ListRefused names what is wrong.

    Columns with several values hold them separated by `;`. Rows that are neither people nor legal entities are left.
    The list was made on the newest day in `last_seen` or `last_change`.
    """
    made_on: dt.date | None = None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in NEEDED if name not in (reader.fieldnames or [])]
            if missing:
                raise ListRefused(f"{path.name}: column {', '.join(missing)} is missing")
            people = []
            for row in reader:
                made_on = max((day for day in (made_on, *_days(row)) if day), default=None)
                if row["schema"] in PEOPLE:
                    people.append(_listed(row))
    except (OSError, UnicodeDecodeError) as error:
        raise ListRefused(f"{path.name}: cannot be read: {error}") from error
    index: defaultdict[str, set[int]] = defaultdict(set)
    for place, one in enumerate(people):
        for name in one.names:
            for word in name:
                index[word[:2]].add(place)
    return ScreeningList(tuple(people), {key: frozenset(held) for key, held in index.items()}, made_on)


def _days(row: Mapping[str, str]) -> Iterator[dt.date]:
    """The days on which the row was last seen and last changed, where it tells them."""
    for name in ("last_seen", "last_change"):
        with suppress(ValueError):
            yield dt.date.fromisoformat((row.get(name) or "")[:10])


def _listed(row: Mapping[str, str]) -> Listed:
    names = [row["name"], *_several(row.get("aliases"))]
    return Listed(
        row["id"],
        tuple(dict.fromkeys(words for name in names if (words := name_words(name)))),
        row["name"],
        frozenset(date[:4] for date in _several(row.get("birth_date"))),
        frozenset(code.upper() for code in _several(row.get("countries"))),
        row.get("dataset") or "list",
    )


def _several(text: str | None) -> list[str]:
    return [one.strip() for one in (text or "").split(";") if one.strip()]


def name_words(name: str) -> tuple[str, ...]:
    """The words of a name without accents and case, sorted."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return tuple(sorted(re.findall(r"[^\W_]+", plain.casefold())))


def screen(
    traders: Iterable[Mapping[str, Any]], held: ScreeningList, threshold: float
) -> dict[str, list[dict[str, Any]]]:
    """Hits by trader, best first: name, list, id, score (0 to 1) and why.

    `traders`: trader_id, full_name, date_of_birth, country (the last two may be missing).
    """
    hits = {}
    for trader in traders:
        found = sorted(_hits(trader, held, threshold), key=lambda hit: (-hit["score"], hit["id"]))
        if found:
            hits[str(trader["trader_id"])] = found
    return hits


def _hits(trader: Mapping[str, Any], held: ScreeningList, threshold: float) -> Iterable[dict[str, Any]]:
    words = name_words(str(trader["full_name"] or ""))
    places = frozenset().union(*(held.index.get(word[:2], frozenset()) for word in words))
    for place in places:
        listed = held.people[place]
        score, why = _score(words, listed, trader)
        if score >= threshold:
            yield {
                "name": listed.shown,
                "list": listed.dataset,
                "id": listed.listed_id,
                "score": round(score, 4),
                "why": why,
            }


def _score(words: tuple[str, ...], listed: Listed, trader: Mapping[str, Any]) -> tuple[float, str]:
    score, best = max((alike(words, name), name) for name in listed.names)
    why = [f"{' '.join(words)} against {' '.join(best)}: {score:.2f}"]
    born, country = str(trader.get("date_of_birth") or "")[:4], str(trader.get("country") or "").upper()
    for value, known, what in ((born, listed.birth_years, "year of birth"), (country, listed.countries, "country")):
        if value and known:
            score += AGREES if value in known else -CONTRADICTS
            why.append(f"{what} {'agrees' if value in known else 'differs'}")
    return min(max(score, 0.0), 1.0), "; ".join(why)


def alike(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """How alike two names are: their words put together one to one; words left over count against it by half.

    A single word in common is not enough: both names need two words, or to be the same.
    """
    if not one or not other:
        return 0.0
    if min(len(one), len(other)) == 1:
        return 1.0 if one == other else 0.0
    table = cdist(one, other, scorer=JaroWinkler.similarity)
    table = np.where(table >= SURE_WORD, table, 0.0)
    rows, columns = linear_sum_assignment(table, maximize=True)
    matched = float(table[rows, columns].sum())
    extra = abs(len(one) - len(other))
    return matched / (min(len(one), len(other)) + 0.15 * extra)
