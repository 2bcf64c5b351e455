"""The suite of each dataset: generated from its columns, with what only that dataset needs beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import inf, nextafter
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from models.clock import zones
from pipelines.expectations.reading import Batch
from sql.schema import DATASETS, Column

Test = Literal["readable", "present", "short", "one_of", "matches", "at_least", "above"]
# What every database can hold in an index beside three others.
ID_CHARACTERS_MAX = 250


@dataclass(frozen=True)
class Expectation:
    """One thing that every row of a dataset must satisfy; a missing value satisfies all but `present`.

    `when` limits it to rows whose column holds a value. `words` is how people read it, `reason` why a row failed it.
    """

    column: str
    test: Test
    words: str
    reason: str
    options: tuple[str, ...] = ()
    pattern: str = ""
    limit: float = 0.0
    when: tuple[str, str] | None = None

    @property
    def view(self) -> str:
        """Name of the array that the expectation looks at."""
        told = f" where {self.when[0]} is {self.when[1]}" if self.when else ""
        return f"{self.column} {self.test}{told}"


@cache
def suite(name: str) -> tuple[Expectation, ...]:
    """Every expectation of a dataset, in the order in which a failing row is explained; KeyError for no dataset."""
    dataset = DATASETS[name]
    special = SPECIAL.get(name, ())
    found: list[Expectation] = []
    for column in dataset.columns:
        found += _of_column(column)
        found += [expectation for expectation in special if expectation.column == column.name]
    return tuple(found)


def _of_column(column: Column) -> list[Expectation]:
    name = column.name
    found = [Expectation(name, "readable", f"{name} can be read as {_a(column.kind)}", "")]
    if column.required:
        found.append(Expectation(name, "present", f"{name} is given", "is required and was not given"))
    if column.kind == "text" and name.endswith("_id"):
        at_most = f"at most {ID_CHARACTERS_MAX} characters"
        found.append(Expectation(name, "short", f"{name} has {at_most}", f"must have {at_most}"))
    if column.allowed:
        listed = ", ".join(column.allowed)
        found.append(
            Expectation(name, "one_of", f"{name} is one of {listed}", f"must be one of {listed}", column.allowed)
        )
    if column.minimum is not None:
        least = "negative" if column.minimum == 0 else f"less than {column.minimum:g}"
        found.append(
            Expectation(name, "at_least", f"{name} is not {least}", f"must not be {least}", limit=column.minimum)
        )
    return found


def _a(kind: str) -> str:
    return {"text": "text", "instant": "an instant with an offset", "date": "a date", "money": "an amount"}.get(
        kind, "a number"
    )


def _currency() -> Expectation:
    words = "must be a currency code of 3 to 5 capital letters, such as USD"
    return Expectation("currency", "matches", "currency is a currency code", words, pattern="^[A-Z]{3,5}$")


def _country() -> Expectation:
    words = "must be a country code of two capital letters, such as FR"
    return Expectation("country", "matches", "country is a two-letter code", words, pattern="^[A-Z][A-Z0-9]$")


def _above_zero(column: str, when: tuple[str, str] | None = None) -> Expectation:
    where = f" in a {when[1]}" if when else ""
    return Expectation(column, "above", f"{column} is above zero{where}", f"must be above zero{where}", when=when)


SPECIAL: dict[str, tuple[Expectation, ...]] = {
    "desks": (
        _currency(),
        Expectation(
            "time_zone",
            "one_of",
            "time_zone is a zone of the IANA database",
            "must be a zone of the IANA database, such as Europe/Prague",
            tuple(sorted(zones())),
        ),
    ),
    "traders": (_country(),),
    "challenges": (_currency(),),
    "accounts": (_currency(),),
    "deals": (_above_zero("price", ("kind", "trade")),),
    "logins": (_country(),),
    "payments": (_currency(),),
    "settlements": (_currency(),),
    "rates": (_currency(), _above_zero("rate_to_usd")),
    "quotes": (_above_zero("bid"), _above_zero("ask")),
}


def look_at(batch: Batch, expectation: Expectation) -> pa.Array:
    """The values that an expectation judges: the reason (readable), true where given (present), what is too long
    (short), text, or a float."""
    name = expectation.column
    if expectation.test == "readable":
        return batch.unread[name]
    values = batch.values(name)
    if expectation.test == "present":
        given = pc.or_(pc.is_valid(values), pc.is_valid(batch.unread[name]))
        return pc.if_else(given, True, pa.scalar(None, pa.bool_()))
    if expectation.test == "short":
        return pc.if_else(pc.greater(pc.utf8_length(values), ID_CHARACTERS_MAX), values, pa.scalar(None, pa.string()))
    if expectation.test in ("at_least", "above"):
        # Values beyond the limit pass alike, so they are looked at as one: the smallest of them.
        values = pc.min_element_wise(values.cast(pa.float64()), nextafter(expectation.limit, inf), skip_nulls=False)
    if expectation.when:
        column, wanted = expectation.when
        values = pc.if_else(pc.equal(batch.values(column), wanted), values, None)
    return values
