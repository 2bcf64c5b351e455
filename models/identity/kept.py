"""A book of who is who that stays in a file between runs, so that a run reads only traders of whom something changed.

The evidence is in the file as tables; what the book holds in memory lies beside it in a file that the same transaction
names, so that a run that ends early leaves the book as it was. A book of other terms, other code or another DuckDB is
not read, since its numbers could differ.
"""

from __future__ import annotations

import hashlib
import zipfile
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import numpy as np
import pandas as pd

from models.identity.book import IdentityBook
from models.identity.clusters import Judgements
from models.identity.people import FIELDS
from models.identity.terms import IdentityTerms
from models.identity.weighing import Weighed, Weights


def read(path: Path, terms: IdentityTerms) -> IdentityBook | None:
    """The book in a file, in a transaction that `write` ends; None where there is none that can be gone on from."""
    if not path.is_file():
        return None
    try:
        book = IdentityBook(terms, path=path)
    except duckdb.Error:  # damaged, or held by another run
        return None
    try:
        book.evidence.con.execute("begin")
        made_by, held = book.evidence.con.execute("select made_by, held from kept").fetchall()[0]
        if made_by != _made_by(terms):
            raise ValueError("of other terms or other code")
        with np.load(path.with_name(held), allow_pickle=False) as arrays:
            _restore(book, arrays)
    except (duckdb.Error, OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        book.evidence.con.close()
        return None
    return book


def begin(path: Path, terms: IdentityTerms) -> IdentityBook:
    """An empty book in a new file beside `path`, which `write` puts in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _part(path).unlink(missing_ok=True)
    book = IdentityBook(terms, path=_part(path))
    book.evidence.con.execute("begin")
    return book


def write(book: IdentityBook, path: Path, terms: IdentityTerms) -> None:
    """Leaves the book in its file, in one piece or not at all, and closes it."""
    held, con = path.with_name(f"{path.stem}-{uuid4().hex}.npz"), book.evidence.con
    try:
        np.savez(held, allow_pickle=False, **_arrays(book))
        con.execute("create or replace table kept (made_by varchar, held varchar)")
        con.execute("insert into kept values (?, ?)", [_made_by(terms), held.name])
        con.execute("commit")
    except BaseException:
        held.unlink(missing_ok=True)
        raise
    finally:
        con.close()
    if _part(path).is_file():
        path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
        _part(path).replace(path)
    for other in path.parent.glob(f"{path.stem}-*.npz"):
        if other != held:
            other.unlink(missing_ok=True)


def leave(book: IdentityBook) -> None:
    """Closes the book and leaves its file as it was."""
    book.evidence.con.close()


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


@cache
def _code() -> str:
    """A hash of the code of this folder."""
    told = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    return hashlib.sha256(told).hexdigest()


def _made_by(terms: IdentityTerms) -> str:
    return f"{duckdb.__version__} {_code()} {terms}"


def _arrays(book: IdentityBook) -> dict[str, Any]:
    census, judged = book.evidence.census, book.judgements
    return {
        **{f"pair_{name}": book.pairs[name].to_numpy() for name in book.pairs.columns},
        "strangers": book.strangers.to_numpy(dtype=np.int64),
        **{f"weight_{name}": column for name, column in zip(Weights._fields, book.weights, strict=True)},
        "alike": np.array(book.weighed.alike),
        "weighed": book.weighed.pairs,
        "further_bits": np.array(book.further_bits),
        "firsts": np.array(book.firsts),
        "same": _rows(judged.same),
        "different": _rows(sorted(judged.different)),
        "collided": _rows(sorted(book.collided)),
        **{f"code_{name}": codes for name, codes in census.codes.items()},
        "kinds": census.kinds,
        **{f"count_{kind}": counts for kind, counts in census.counts.items()},
    }


def _rows(pairs: Any) -> Any:
    return np.array(list(pairs), dtype=np.int64).reshape(-1, 2)


def _pairs(rows: Any) -> list[tuple[int, int]]:
    return [(a, b) for a, b in rows.tolist()]


def _restore(book: IdentityBook, arrays: Any) -> None:
    book.pairs = pd.DataFrame({name: arrays[f"pair_{name}"] for name in book.pairs.columns}, copy=False)
    book.strangers = pd.DataFrame(arrays["strangers"], columns=["a", "b", *FIELDS])
    book.weights = Weights(*(arrays[f"weight_{name}"] for name in Weights._fields))
    book.weighed = Weighed(str(arrays["alike"]), arrays["weighed"])
    book.further_bits = float(arrays["further_bits"])
    book.firsts = list(arrays["firsts"])
    book.judgements = Judgements(tuple(_pairs(arrays["same"])), frozenset(_pairs(arrays["different"])))
    book.collided = set(_pairs(arrays["collided"]))
    census = book.evidence.census
    census.codes = {name: arrays[f"code_{name}"] for name in census.codes}
    census.kinds = arrays["kinds"]
    census.counts = {kind: arrays[f"count_{kind}"] for kind in census.counts}
