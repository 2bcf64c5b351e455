"""Groups traders into owners: best evidence first, resisting chains, bound by judgements, at three levels."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass
class Link:
    """What joins two groups: the best pair's bits, the sum of bits against, how many pairs were compared, and the bits
    by which the clearest household among them is one."""

    best: float = -np.inf
    against: float = 0.0
    compared: int = 0
    home: float = 0.0

    def add(self, other: "Link") -> None:
        """Takes in the pairs of another link between the same two groups."""
        self.best = max(self.best, other.best)
        self.against += other.against
        self.compared += other.compared
        self.home = max(self.home, other.home)


@dataclass(frozen=True)
class Pairs:
    """Scored pairs of traders, by number, in bits: for one person, against it (0 or less), and by how many a household
    explains them better."""

    a: Ints
    b: Ints
    bits: Floats
    against: Floats
    home_bits: Floats


@dataclass(frozen=True)
class Judgements:
    """Pairs that a person called the same or different; where they collide, different holds."""

    same: tuple[tuple[int, int], ...] = ()
    different: frozenset[tuple[int, int]] = frozenset()


@dataclass
class Grouping:
    """Agglomerates one connected part; `order` gives each trader a place that no run changes, for ties.

    `absent_bits` count against for each pair without evidence, `further_bits` for whoever joins a group of several: who
    has two traders has a third sooner than anybody has a second."""

    absent_bits: float
    further_bits: float
    order: dict[int, int]
    log: list[tuple[int, int]] = field(default_factory=list)

    def run(
        self, links: dict[int, dict[int, Link]], judgements: Judgements, levels: Sequence[float]
    ) -> list[dict[int, int]]:
        """Groups as trader -> first member, one mapping per level, levels from strict to loose."""
        self.links = links
        self.members = {trader: [trader] for trader in links}
        self._force(judgements)
        heap = [
            self._entry(a, b) for a in sorted(links, key=self.order.__getitem__) for b in links[a] if self._before(a, b)
        ]
        heapq.heapify(heap)
        groupings: list[dict[int, int]] = []
        for level in levels:
            self._join_down_to(level, heap)
            groupings.append({trader: self._first(group) for group in self.members.values() for trader in group})
        return groupings

    def _before(self, a: int, b: int) -> bool:
        return self.order[a] < self.order[b]

    def _first(self, group: Iterable[int]) -> int:
        return min(group, key=self.order.__getitem__)

    def _score(self, a: int, b: int) -> float:
        link, all_pairs = self.links[a][b], len(self.members[a]) * len(self.members[b])
        against = link.against + self.absent_bits * (all_pairs - link.compared)
        best = link.best + (self.further_bits if all_pairs > 1 else 0.0)
        return best + min(against / all_pairs, -link.home if all_pairs > 1 else 0.0)

    def _entry(self, a: int, b: int) -> tuple[float, int, int, int, int, int, int]:
        if not self._before(a, b):
            a, b = b, a
        return (-self._score(a, b), self.order[a], self.order[b], a, b, len(self.members[a]), len(self.members[b]))

    def _force(self, judgements: Judgements) -> None:
        for a, b in judgements.different:
            if a in self.links and b in self.links:
                self._link(a, b).against = -np.inf
        group = {trader: trader for trader in self.links}
        for a, b in judgements.same:
            if a not in group or b not in group or group[a] == group[b]:
                continue
            keep, gone = sorted((group[a], group[b]), key=self.order.__getitem__)
            if self._link(keep, gone).against == -np.inf:
                self.log.append((a, b))
                continue
            for member in self.members[gone]:
                group[member] = keep
            self._join(keep, gone)

    def _link(self, a: int, b: int) -> Link:
        link = self.links[a].get(b)
        if link is None:
            link = self.links[a][b] = self.links[b][a] = Link()
        return link

    def _join_down_to(self, level: float, heap: list[tuple[float, int, int, int, int, int, int]]) -> None:
        while heap and -heap[0][0] >= level:
            _, _, _, a, b, size_a, size_b = heapq.heappop(heap)
            current = len(self.members.get(a, ())) == size_a and len(self.members.get(b, ())) == size_b
            if not current or b not in self.links[a]:
                continue
            self._join(a, b)
            for other in self.links[a]:
                heapq.heappush(heap, self._entry(a, other))

    def _join(self, keep: int, gone: int) -> None:
        self.members[keep] += self.members.pop(gone)
        for other, link in self.links.pop(gone).items():
            del self.links[other][gone]
            if other != keep:
                self._link(keep, other).add(link)


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
    same = np.array(judgements.same, dtype=np.int64).reshape(-1, 2)
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
    log = _agglomerate(
        firsts, pairs, inside, part, wanted, places, judgements, levels, absent_bits, further_bits, bits_max
    )
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
    part: Ints,
    wanted: npt.NDArray[np.bool_],
    order: Ints,
    judgements: Judgements,
    levels: Sequence[float],
    absent_bits: float,
    further_bits: float,
    bits_max: float,
) -> list[tuple[int, int]]:
    parts: defaultdict[int, dict[int, dict[int, Link]]] = defaultdict(lambda: defaultdict(dict))
    bits, against = np.clip(pairs.bits[inside], -bits_max, bits_max), np.maximum(pairs.against[inside], -bits_max)
    weights = zip(bits.tolist(), against.tolist(), pairs.home_bits[inside].tolist(), strict=True)
    for a, b, (bit, contra, home) in zip(pairs.a[inside].tolist(), pairs.b[inside].tolist(), weights, strict=True):
        links = parts[int(part[a])]
        links[a][b] = links[b][a] = Link(bit, contra, 1, home)
    by_part = _judgements_by_part(judgements, part, wanted)
    for number, judged in by_part.items():
        for a, b in (*judged.same, *(pair for pair in judged.different)):
            _ = parts[number][a], parts[number][b]
    log: list[tuple[int, int]] = []
    for number, links in parts.items():
        grouping = Grouping(absent_bits, further_bits, {trader: int(order[trader]) for trader in links})
        found = grouping.run(dict(links), by_part.get(number, Judgements()), levels)
        log += grouping.log
        for first, groups in zip(firsts, found, strict=True):
            first[list(groups)] = list(groups.values())
    return log


def _judgements_by_part(judgements: Judgements, part: Ints, wanted: npt.NDArray[np.bool_]) -> dict[int, Judgements]:
    same: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    different: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
    for a, b in judgements.same:
        if wanted[a]:
            same[int(part[a])].append((a, b))
    for a, b in judgements.different:
        if wanted[a] and part[a] == part[b]:
            different[int(part[a])].add((a, b))
    numbers = same.keys() | different.keys()
    return {n: Judgements(tuple(same[n]), frozenset(different[n])) for n in numbers}
