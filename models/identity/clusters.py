"""Groups traders into owners: best evidence first, resisting chains, bound by judgements, at three levels."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from models.identity.joining import agglomerate

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """Scored pairs of traders, by number, in bits: for one person, against it (0 or less), and by how many a household
    explains them better; and whether they share only what is lent (0 or 1), by which nobody joins several sooner."""

    a: Ints
    b: Ints
    bits: Floats
    against: Floats
    home_bits: Floats
    lent: Floats


@dataclass(frozen=True)
class Judgements:
    """Pairs that a person called the same or different; where they collide, different holds."""

    same: tuple[tuple[int, int], ...] = ()
    different: frozenset[tuple[int, int]] = frozenset()


def components(traders: int, a: Ints, b: Ints) -> Ints:
    """Number of the connected part each trader is in."""
    graph = coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(traders, traders))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def group(
    traders: int,
    pairs: Pairs,
    *,
    order: Callable[[Ints], Ints],
    judgements: Judgements,
    levels: Sequence[float],
    absent_bits: float,
    further_bits: float = 0.0,
    bits_max: float,
    only: npt.NDArray[np.bool_] | None = None,
) -> tuple[list[Ints], npt.NDArray[np.bool_], list[tuple[int, int]]]:
    """First member of each trader's group at each level (bits, strict to loose), who was grouped, collided judgements.

    `order` answers a place for each trader; those asked for are in order (ties and first members go by it).
    With `only`, groups are found only for parts that hold a marked trader and the others stay alone; a part is
    untouched by every other part."""
    joining = pairs.bits >= levels[-1]
    same = _rows(judgements.same)
    ends_a, ends_b = np.append(pairs.a[joining], same[:, 0]), np.append(pairs.b[joining], same[:, 1])
    part = components(traders, ends_a, ends_b)
    wanted = np.ones(traders, dtype=np.bool_) if only is None else _sharing(part, only)
    firsts = [np.arange(traders) for _ in levels]
    judged = np.unique(
        np.array([t for pair in (*judgements.same, *judgements.different) for t in pair], dtype=np.int64)
    )
    simple = np.bincount(part, minlength=traders)[part] == 2
    simple &= ~_sharing(part, judged)
    two = joining & simple[pairs.a] & wanted[pairs.a]
    inside = (part[pairs.a] == part[pairs.b]) & ~simple[pairs.a] & wanted[pairs.a]
    named = two | inside
    places = order(np.unique(np.concatenate([pairs.a[named], pairs.b[named], judged])))
    _pair_up(firsts, pairs, two, levels, places)
    within = _within(judgements, part, wanted)
    log = _agglomerate(firsts, pairs, inside, within, places, levels, absent_bits, further_bits, bits_max)
    return firsts, wanted, log


def _sharing(part: Ints, chosen: npt.NDArray[np.bool_] | Ints) -> npt.NDArray[np.bool_]:
    """Traders in a part that holds a chosen one."""
    marked = np.zeros(len(part), dtype=np.bool_)
    marked[part[chosen]] = True
    return marked[part]


def _pair_up(
    firsts: list[Ints], pairs: Pairs, chosen: npt.NDArray[np.bool_], levels: Sequence[float], order: Ints
) -> None:
    """Parts of two need no agglomeration."""
    for first, level in zip(firsts, levels, strict=True):
        at_level = chosen & (pairs.bits >= level)
        a, b = pairs.a[at_level], pairs.b[at_level]
        head, tail = np.where(order[a] < order[b], a, b), np.where(order[a] < order[b], b, a)
        first[tail] = head


def _agglomerate(
    firsts: list[Ints],
    pairs: Pairs,
    inside: npt.NDArray[np.bool_],
    judgements: Judgements,
    places: Ints,
    levels: Sequence[float],
    absent_bits: float,
    further_bits: float,
    bits_max: float,
) -> list[tuple[int, int]]:
    """Joins the pairs inside parts of several, and whom a judgement names; answers the judgements that collide."""
    same, different = _rows(judgements.same), _rows(sorted(judgements.different))
    named = np.concatenate([pairs.a[inside], pairs.b[inside], same.ravel(), different.ravel()])
    traders = np.unique(named)
    traders = traders[np.argsort(places[traders])]
    rank = np.empty(len(places), dtype=np.int64)
    rank[traders] = np.arange(len(traders))
    best = np.clip(pairs.bits[inside], -bits_max, bits_max)
    bits = np.column_stack(
        [
            best,
            np.maximum(pairs.against[inside], -bits_max),
            np.ones(len(best)),
            pairs.home_bits[inside],
            np.where(pairs.lent[inside] > 0, -np.inf, best),
        ]
    )
    ends = np.column_stack([rank[pairs.a[inside]], rank[pairs.b[inside]]])
    found, collided = agglomerate(
        len(traders), ends, bits, rank[same], rank[different], np.array(levels), absent_bits, further_bits
    )
    for first, groups in zip(firsts, found, strict=True):
        first[traders] = traders[groups]
    return [pair for pair, collides in zip(judgements.same, collided.tolist(), strict=True) if collides]


def _rows(pairs: Iterable[tuple[int, int]]) -> Ints:
    return np.array(list(pairs), dtype=np.int64).reshape(-1, 2)


def _within(judgements: Judgements, part: Ints, wanted: npt.NDArray[np.bool_]) -> Judgements:
    """The judgements within wanted parts."""
    return Judgements(
        tuple(pair for pair in judgements.same if wanted[pair[0]]),
        frozenset((a, b) for a, b in judgements.different if wanted[a] and part[a] == part[b]),
    )
