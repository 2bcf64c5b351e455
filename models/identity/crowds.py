"""Values that stand for a place: many hold them and have nothing else in common.

An exchange's wallet, a club's card or a copied machine image is held by people who share nothing more, while what one
owner uses under many names mostly comes with other traces, and seldom more than a few times. The sizes of the values
that come without traces say how many places a firm has: owners' fall off geometrically, places' as one over the size.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.identity.terms import IdentityTerms

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Crowds = Mapping[str, Floats]
Traces = npt.NDArray[np.uint16]
CROWDED = ("document", "phone", "instrument", "destination", "device", "address", "ip")
TRACES = ("document", "email", "phone", "instrument", "destination", "device", "address", "ip")
# Holders up to which sharing a thing is a trace of one owner; of what is rarely shared otherwise up to six.
FEW = 4
FEW_OF = {"document": 6, "instrument": 6, "destination": 6, "device": 6}
# Who visits one place also uses its computers and line; whose wallet is an exchange's shares nothing else by that.
VISITED = ("device", "ip", "address")
OF_TWO = ("destination",)
# How two use a shared thing who use none of the kind beside it, and what is told of devices that all use so.
WHOLLY_USED = 3
WHOLLY_BY = "wholly by"
# A value of this many holders without traces is a place, by four bits; each further trader of an owner is about half as
# likely.
LARGE = 7
LARGE_BITS = 4.0
OWNER_GROWTH = 0.45
BARE_SHARE = 0.2
# Places, and owners' values of two, three and more holders, before anything is counted.
Sizes = tuple[float, ...]
OWNERS_PRIOR, FURTHER = 4.0, 0.8
BASE_SIZES: Sizes = (0.25, 2.2, 1.0, 0.45, 0.2, 0.09)


def traced(pairs: pd.DataFrame) -> Traces:
    """For each pair the kinds of things that few have of which it shares one, as bits, and at the end whether the
    people are alike."""
    marks = np.zeros(len(pairs), dtype=np.uint16)
    for place, kind in enumerate(TRACES):
        holders = pairs[f"{kind}_holders"].to_numpy()
        marks |= ((holders >= 1) & (holders <= FEW_OF.get(kind, FEW))).astype(np.uint16) << np.uint16(place)
    for field, level in (("name", 3), ("birth", 2), ("address", 1)):
        marks |= (pairs[field].to_numpy() >= level).astype(np.uint16) << np.uint16(len(TRACES))
    return marks


def beside(marks: Traces, kind: str) -> npt.NDArray[np.bool_]:
    """Whether a pair agrees in something that few have, other than a thing of this kind."""
    return np.asarray(marks & ~np.uint16(1 << TRACES.index(kind)) != 0, dtype=np.bool_)


def crowd_bits(pairs: pd.DataFrame, terms: IdentityTerms, marks: Traces | None = None) -> Crowds:
    """By kind, for each pair, the bits by which the value it shares is a place rather than somebody's own; of visited
    places 0 and more, beyond what two holders would have. With two holders the pair itself must tell, so that it is 0
    but for payouts, which many who share nothing else send to one exchange."""
    known = traced(pairs) if marks is None else marks
    wholly = _used_wholly(pairs, terms, known)
    return {kind: _of_kind(kind, pairs, terms, known, wholly) for kind in CROWDED} | {WHOLLY_BY: wholly}


def _used_wholly(pairs: pd.DataFrame, terms: IdentityTerms, marks: Traces) -> Floats:
    """For pairs that use a device of three and more and no other: by how many more of its further holders do so than
    have others beside it, as far as the other pairs show it. Phones that look alike are nobody's: no two of them
    agree in anything else."""
    found = np.zeros(len(pairs))
    chosen = _held_by("device", pairs, 3, terms)
    if len(chosen):
        wholly = pairs["device_alone"].to_numpy()[chosen].astype(np.float64)
        value = pd.factorize(pairs["device_value"].to_numpy()[chosen])[0]
        many = pairs["device_holders"].to_numpy()[chosen]
        others = np.bincount(value, weights=wholly)[value] - wholly
        share = others / (many * (many - 1) / 2 - 1)
        met = beside(marks[chosen], "device") | (pairs["ip_holders"].to_numpy()[chosen] > 0)
        circle = np.bincount(value, weights=met)[value] > 0
        found[chosen] = np.where(circle, wholly * (many - 2) * np.maximum(2 * share - 1, 0.0), 0.0)
    return found


def _of_kind(kind: str, pairs: pd.DataFrame, terms: IdentityTerms, marks: Traces, wholly: Floats) -> Floats:
    bits = np.zeros(len(pairs))
    chosen = _held_by(kind, pairs, 2 if kind in OF_TWO else 3, terms)
    if len(chosen):
        many, agree, value = _values(kind, pairs, chosen, marks)
        share = (np.bincount(value, weights=agree)[value] - agree) / np.maximum(many * (many - 1) // 2 - 1, 1)
        sizes = terms.places.get(kind, BASE_SIZES)
        owner = np.log2(terms.trace_share / terms.trace_chance) * (many - 2) * share
        # Sizes are counted where there are no traces; owners of two leave more, which the pair itself shows.
        owner -= np.where(many == 2, np.log2(1 - terms.trace_share), 0.0)
        if kind == "device":
            owner += _alone_bits(terms) * wholly[chosen]
        place = _place_bits(many, sizes) - owner
        bits[chosen] = np.maximum(place - _place_bits(np.array([2]), sizes), 0.0) if kind in VISITED else place
    return bits


def _alone_bits(terms: IdentityTerms) -> float:
    """By how many bits a device that two use alone is an owner's rather than a place's."""
    use = terms.kinds["device"].use
    return 0.0 if use is None else float(np.log2(use[WHOLLY_USED].straw / use[WHOLLY_USED].venue))


def _held_by(kind: str, pairs: pd.DataFrame, least: int, terms: IdentityTerms) -> Ints:
    """Pairs that share a value of so many holders and more, up to what the kind is good for."""
    holders = pairs[f"{kind}_holders"].to_numpy()
    return np.flatnonzero((holders >= least) & (holders <= terms.kinds[kind].cap))


def _values(kind: str, pairs: pd.DataFrame, chosen: Ints, marks: Traces) -> tuple[Ints, Ints, Ints]:
    """Of chosen pairs the holders of the shared value, whether the pair agrees in more, and the number of the value."""
    value = pd.factorize(pairs[f"{kind}_value"].to_numpy()[chosen])[0]
    holders = pairs[f"{kind}_holders"].to_numpy()[chosen]
    return holders.astype(np.int64), beside(marks[chosen], kind).astype(np.int64), value


def _place_bits(holders: Ints, sizes: Sizes) -> Floats:
    """Log2 of places over owners among values of that many holders without traces."""
    places, owners = sizes[0], np.array(sizes[1:])
    further = np.maximum(holders - LARGE + 1, 0)
    owned = owners[np.minimum(holders, LARGE - 1) - 2] * OWNER_GROWTH ** further.astype(np.float64)
    tail = np.where(holders >= LARGE, LARGE_BITS, 0.0)
    return np.asarray(np.log2(places / holders) - np.log2(owned) + tail, dtype=np.float64)


def count_places(kind: str, pairs: pd.DataFrame, terms: IdentityTerms, marks: Traces | None = None) -> Sizes:
    """How many places there are, and owners' values of each size up to the large, from the values whose holders have
    little else in common; the places among the small are reckoned from the large."""
    sizes = np.array([], dtype=np.int64)
    shared = _held_by(kind, pairs, 2, terms)
    if len(shared):
        many, agree, value = _values(kind, pairs, shared, traced(pairs) if marks is None else marks)
        agreed = np.bincount(value, weights=agree)
        holders = np.empty(len(agreed), dtype=np.int64)
        holders[value] = many
        sizes = holders[agreed <= BARE_SHARE * (holders * (holders - 1) / 2)]
    places = (float((sizes >= LARGE).sum()) + 0.5) / np.log(terms.kinds[kind].cap / LARGE + 1)
    small = np.arange(2, LARGE)
    owned = np.maximum(np.bincount(sizes[sizes < LARGE], minlength=LARGE)[2:] - places / small, 0.0)
    further = (float((owned * (small - 2)).sum()) + OWNERS_PRIOR * FURTHER) / (float(owned.sum()) + OWNERS_PRIOR)
    growth = further / (1 + further)
    owners = (float(owned.sum()) + OWNERS_PRIOR) * (1 - growth) * growth ** (small - 2.0)
    return tuple(_step(count) for count in (places, *owners.tolist()))


def _step(count: float) -> float:
    return float(np.exp2(np.round(np.log2(count))))
