"""The compiled agglomeration of traders into owners: the best pair first, each group heard as a whole.

Traders are numbered by their places here, so that of two groups the one with the lower number came first and gives the
joined one its number. A link is what is known between two groups: the best pair's bits, the sum of bits against, how
many pairs were compared, the bits by which the clearest household among them is one, and the bits of the best pair that
shares more than what is lent.
"""

import heapq
from typing import Any

import numpy as np

from models.compiled import compiled

Array = Any
BEST, AGAINST, COMPARED, HOME, OWN = range(5)
# What ends hold after a link is gone, and what a list of links ends with.
NONE = -1


@compiled
def _join(groups: Any, ends: Array, links: Array, slots: Array, keep: int, gone: int) -> None:
    """One group takes in another: its members, and its links, added to those it has to the same groups."""
    roots, sizes, heads, at = groups
    roots[gone] = keep
    sizes[keep] += sizes[gone]
    sizes[gone] = 0
    slot, last = heads[keep], NONE
    while slot != NONE:
        other, after = ends[slot ^ 1], slots[slot]
        if other in (NONE, gone):
            ends[slot] = ends[slot ^ 1] = NONE
            if last == NONE:
                heads[keep] = after
            else:
                slots[last] = after
        else:
            at[other] = slot
            last = slot
        slot = after
    slot = heads[gone]
    while slot != NONE:
        other, after = ends[slot ^ 1], slots[slot]
        if other != NONE and at[other] != NONE:
            have, more = links[at[other] >> 1], links[slot >> 1]
            have[BEST] = max(have[BEST], more[BEST])
            have[AGAINST] += more[AGAINST]
            have[COMPARED] += more[COMPARED]
            have[HOME] = max(have[HOME], more[HOME])
            have[OWN] = max(have[OWN], more[OWN])
            ends[slot] = ends[slot ^ 1] = NONE
        elif other != NONE:
            ends[slot] = keep
            slots[slot] = heads[keep]
            heads[keep] = slot
        slot = after
    heads[gone] = NONE
    slot = heads[keep]
    while slot != NONE:
        at[ends[slot ^ 1]] = NONE
        slot = slots[slot]


@compiled
def _between(groups: Any, ends: Array, slots: Array, a: int, b: int, free: int) -> int:
    """The link between two groups: the one they have, or the free one as theirs."""
    heads = groups[2]
    slot: int = heads[a]
    while slot != NONE:
        if ends[slot ^ 1] == b:
            return slot >> 1
        slot = slots[slot]
    for slot, end in ((2 * free, a), (2 * free + 1, b)):
        ends[slot], slots[slot], heads[end] = end, heads[end], slot
    return free


@compiled
def _root(roots: Array, member: Any) -> Any:
    while roots[member] != member:
        member = roots[member]
    return member


@compiled
def _entry(
    sizes: Array, links: Array, link: int, a: int, b: int, absent: float, further: float
) -> tuple[float, int, int, int, int, int]:
    """What the heap holds of a link: the bits by which the two groups are one, negative, and what they are now."""
    if a > b:
        a, b = b, a
    best, against, compared, home, own = links[link]
    all_pairs = sizes[a] * sizes[b]
    against += absent * (all_pairs - compared)
    several = all_pairs > 1
    bits = max(best, own + further) + min(against / all_pairs, -home) if several else best + min(against, 0.0)
    return -bits, a, b, sizes[a], sizes[b], link


@compiled
def agglomerate(
    count: int,
    pairs: Array,
    bits: Array,
    same: Array,
    different: Array,
    levels: Array,
    absent: float,
    further: float,
) -> tuple[Array, Array]:
    """The first member of everybody's group at each level, strict to loose, and which judgements could not hold.

    `pairs` (rows of two numbers) have `bits`, a row of what a link knows each; the judged `same` are joined before all
    others unless the judged `different` forbid it; `absent` and `further` bits as in `clusters.group`."""
    most = len(pairs) + len(same) + len(different)
    ends, slots = np.full(2 * most, NONE), np.full(2 * most, NONE)
    links = np.zeros((most, 5))
    links[:, BEST] = links[:, OWN] = -np.inf
    roots, sizes, heads, at = np.arange(count), np.ones(count, np.int64), np.full(count, NONE), np.full(count, NONE)
    groups = (roots, sizes, heads, at)
    used = len(pairs)
    for link in range(used):
        links[link] = bits[link]
        for side in range(2):
            end, slot = pairs[link, side], 2 * link + side
            ends[slot], slots[slot], heads[end] = end, heads[end], slot
    for a, b in different:
        link = _between(groups, ends, slots, a, b, used)
        used += link == used
        links[link, AGAINST] = -np.inf
    collided = np.zeros(len(same), np.bool_)
    for place in range(len(same)):
        one, other = _root(roots, same[place, 0]), _root(roots, same[place, 1])
        if one == other:
            continue
        keep, gone = min(one, other), max(one, other)
        link = _between(groups, ends, slots, keep, gone, used)
        used += link == used
        if links[link, AGAINST] == -np.inf:
            collided[place] = True
        else:
            _join(groups, ends, links, slots, keep, gone)
    heap = [(np.inf, 0, 0, 0, 0, 0) for _ in range(0)]
    for link in range(used):
        a, b = ends[2 * link], ends[2 * link + 1]
        if a != NONE:
            heap.append(_entry(sizes, links, link, a, b, absent, further))
    heapq.heapify(heap)
    firsts = np.empty((len(levels), count), np.int64)
    for level in range(len(levels)):
        while len(heap) and -heap[0][0] >= levels[level]:
            _, a, b, size_a, size_b, _ = heapq.heappop(heap)
            if sizes[a] != size_a or sizes[b] != size_b:
                continue
            _join(groups, ends, links, slots, a, b)
            slot = heads[a]
            while slot != NONE:
                heapq.heappush(heap, _entry(sizes, links, slot >> 1, a, ends[slot ^ 1], absent, further))
                slot = slots[slot]
        for member in range(count):
            firsts[level, member] = member if roots[member] == member else firsts[level, roots[member]]
    return firsts, collided
