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
CROWDED = ("document", "phone", "instrument", "destination", "device", "address", "ip")
TRACES = ("document", "email", "phone", "instrument", "destination", "device", "address", "ip")
FEW = 4
# A value of this many holders without traces is a place, by four bits; each further trader of an owner is about half as
# likely.
LARGE = 7
LARGE_BITS = 4.0
OWNER_GROWTH = 0.45
BARE_SHARE = 0.2
BASE_PLACES = (0.25, 4.0)


def traces(pairs: pd.DataFrame, but: str | None = None) -> npt.NDArray[np.bool_]:
    """Whether a pair agrees in something that few have, other than a thing of the kind left out."""
    few = [pairs[f"{kind}_holders"].between(1, FEW).to_numpy() for kind in TRACES if kind != but]
    alike = [pairs[field].to_numpy() >= level for field, level in (("name", 3), ("birth", 2), ("address", 1))]
    return np.asarray(np.logical_or.reduce([*few, *alike]), dtype=np.bool_)


def crowd_bits(pairs: pd.DataFrame, terms: IdentityTerms) -> Mapping[str, Floats]:
    """By kind, for each pair, the bits by which the value it shares is a place rather than somebody's own; 0 and more,
    and 0 with two holders, of whom the pair itself must tell."""
    return {kind: _of_kind(kind, pairs, terms) for kind in CROWDED}


def _of_kind(kind: str, pairs: pd.DataFrame, terms: IdentityTerms) -> Floats:
    bits = np.zeros(len(pairs))
    chosen = _wide(kind, pairs, terms)
    if chosen.any():
        many, agree, value = _values(kind, pairs[chosen])
        share = (np.bincount(value, weights=agree)[value] - agree) / (many * (many - 1) // 2 - 1)
        places = terms.places.get(kind, BASE_PLACES)
        place = _place_bits(many, places) - _place_bits(np.array([2]), places)
        owner = np.log2(terms.trace_share / terms.trace_chance) * (many - 2) * share
        bits[chosen] = np.maximum(place - owner, 0.0)
    return bits


def _wide(kind: str, pairs: pd.DataFrame, terms: IdentityTerms) -> npt.NDArray[np.bool_]:
    return pairs[f"{kind}_holders"].between(3, terms.kinds[kind].cap).to_numpy()


def _values(kind: str, pairs: pd.DataFrame) -> tuple[Ints, Ints, Ints]:
    """Of each pair the holders of the shared value, whether the pair agrees in more, and the number of the value."""
    value = np.unique(pairs[f"{kind}_value"].to_numpy(), return_inverse=True)[1]
    return pairs[f"{kind}_holders"].to_numpy(), traces(pairs, kind).astype(np.int64), value


def _place_bits(holders: Ints, places: tuple[float, float]) -> Floats:
    """Log2 of places over owners among values of that many holders without traces."""
    of_places, of_owners = places
    owners = of_owners * (1 - OWNER_GROWTH) * OWNER_GROWTH ** (holders - 2.0)
    tail = np.where(holders >= LARGE, LARGE_BITS, 0.0)
    return np.asarray(np.log2(of_places / holders) - np.log2(owners) + tail, dtype=np.float64)


def count_places(kind: str, pairs: pd.DataFrame, terms: IdentityTerms) -> tuple[float, float]:
    """Scales of the sizes of places and of owners' values, from the values whose holders have little else in common."""
    sizes = np.array([], dtype=np.int64)
    shared = pairs[pairs[f"{kind}_holders"].between(2, terms.kinds[kind].cap).to_numpy()]
    if len(shared):
        many, agree, value = _values(kind, shared)
        agreed, first = np.bincount(value, weights=agree), np.unique(value, return_index=True)[1]
        bare = agreed <= BARE_SHARE * (many[first] * (many[first] - 1) / 2)
        sizes = many[first][bare]
    large, small = float((sizes >= LARGE).sum()), float((sizes <= 3).sum())
    places = (large + 0.5) / np.log(terms.kinds[kind].cap / LARGE + 1)
    owners = max(small - places * (1 / 2 + 1 / 3), 0.0) + 4.0
    return _step(places), _step(owners)


def _step(count: float) -> float:
    return float(np.exp2(np.round(np.log2(count))))
