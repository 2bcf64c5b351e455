"""Progress bars on standard error for whatever takes longer than a moment."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from tqdm import tqdm

SCORE_STEPS = 8


@contextlib.contextmanager
def counted(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar told the amount done so far and the whole."""
    with tqdm(desc=what, unit=f" {unit}", file=sys.stderr, unit_scale=True, dynamic_ncols=True) as bar:

        def told(done: int, whole: int) -> None:
            bar.total = whole
            bar.update(done - bar.n)

        yield told


@contextlib.contextmanager
def steps(what: str, total: int = SCORE_STEPS) -> Iterator[Callable[[str], None]]:
    """A bar over named steps, each told as it begins."""
    with tqdm(desc=what, total=total, unit=" steps", file=sys.stderr, dynamic_ncols=True) as bar:

        def told(step: str) -> None:
            bar.set_postfix_str(step, refresh=False)
            bar.update(1)

        yield told
        bar.total = bar.n
        bar.set_postfix_str("done")


@contextlib.contextmanager
def files(what: str) -> Iterator[Callable[[str, int], None]]:
    """A bar over the rows of several files, told each file's rows so far."""
    seen: dict[str, int] = {}
    with tqdm(desc=what, unit=" rows", file=sys.stderr, unit_scale=True, dynamic_ncols=True) as bar:

        def told(file: str, rows: int) -> None:
            bar.update(rows - seen.get(file, 0))
            bar.set_postfix_str(file.rsplit("/", 1)[-1], refresh=False)
            seen[file] = rows

        yield told
