"""How common households are in this firm and what they share, counted on pairs that can hardly be anything else.

Two traders at one rare address with different given names and different birth dates live together. They say how many
households the firm has and how often these share a device, a card and a network address, which decides about the
couples whose address is not known. Counts are shrunk to what a person chose, as with a gamma and a beta prior
(Casella, 1985), and move in steps, so that a growing firm changes them rarely.
"""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.identity.terms import IdentityTerms, Kind, Level
from models.identity.weighing import Population

SHARED_AT_HOME = ("device", "instrument", "ip")
HOLDERS_MAX = 4
TRADERS_PRIOR = 400.0
PAIRS_PRIOR = 20.0
STEPS_PER_BIT = 4
SHARE_MAX = 0.98


def fit_homes(pairs: pd.DataFrame, population: Population, terms: IdentityTerms) -> IdentityTerms:
    """The terms with the shares of households as this firm shows them; `pairs` and `population` as in `weigh`."""
    homes = pairs[at_home(pairs)]
    partners = terms.partners._replace(household=_partners(len(homes), population, terms))
    kinds = dict(terms.kinds)
    for kind in SHARED_AT_HOME:
        kinds[kind] = _fitted(kind, homes, population, terms)
    kinds["address"] = _fitted("address", pairs[of_one_name(pairs)], population, terms)
    levels = {**terms.levels, "name": _names(homes, terms)}
    return replace(terms, partners=partners, kinds=MappingProxyType(kinds), levels=MappingProxyType(levels))


def at_home(pairs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Pairs at one address of few, with given names and birth dates that differ."""
    holders = pairs["address_holders"]
    few = (holders >= 2) & (holders <= HOLDERS_MAX)
    differ = pairs["name"].isin([0, 2]) & (pairs["birth"] == 0)
    return np.asarray(few & differ, dtype=np.bool_)


def of_one_name(pairs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Pairs with one family name, given names and birth dates that differ, and a device or card of few."""
    few = pd.DataFrame({kind: pairs[f"{kind}_holders"].between(2, HOLDERS_MAX) for kind in ("device", "instrument")})
    return np.asarray(few.any(axis=1) & (pairs["name"] == 2) & (pairs["birth"] == 0), dtype=np.bool_)


def _names(homes: pd.DataFrame, terms: IdentityTerms) -> tuple[Level, ...]:
    """The levels of names with how often a household has two family names."""
    different, *others = terms.levels["name"]
    apart = int((homes["name"] == 0).sum())
    share = _step((apart + PAIRS_PRIOR * different.household) / (len(homes) + PAIRS_PRIOR))
    return (different._replace(household=share), *others)


def _partners(homes: int, population: Population, terms: IdentityTerms) -> float:
    """Partners at home per trader; pairs show as homes only where both have a name, birth date and address."""
    known = (population.known_kinds >> list(terms.kinds).index("address")) & 1
    known &= (population.family_holders > 0) & (population.birth_holders > 0)
    seen = float(known.sum()) ** 2 / max(population.traders, 1) * terms.kinds["address"].shares.household
    return _step((2 * homes + TRADERS_PRIOR * terms.partners.household) / (seen + TRADERS_PRIOR))


def _fitted(kind: str, homes: pd.DataFrame, population: Population, terms: IdentityTerms) -> Kind:
    """The kind with how often households share it where both have one."""
    old, known = terms.kinds[kind], population.known_kinds
    has = (known[homes["a"].to_numpy()] & known[homes["b"].to_numpy()]) >> list(terms.kinds).index(kind) & 1
    holders = homes[f"{kind}_holders"].to_numpy()[has == 1]
    shared = int(((holders > 0) & (holders <= old.cap)).sum())
    share = _step((shared + PAIRS_PRIOR * old.shares.household) / (len(holders) + PAIRS_PRIOR))
    return replace(old, shares=old.shares._replace(household=min(SHARE_MAX, share)))


def _step(share: float) -> float:
    return float(np.exp2(np.round(np.log2(share) * STEPS_PER_BIT) / STEPS_PER_BIT))
