"""How common owners and households are in this firm and what they share, counted on pairs that are clear without it.

What one person changes is counted on pairs that other things prove to be one person: names where a document and a birth
date agree, birth dates where a document and a name do, everything else where a rare name and a birth date do. Borrowed
names show where payouts go to one place though names, birth dates and addresses differ, households where people of
different given names and birth dates have one address of few. Each count is shrunk to what a person chose, as with a
gamma, beta or Dirichlet prior (Casella, 1985), and moves in steps, so that a growing firm changes it rarely.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.identity.crowds import CROWDED, Crowds, beside, count_places, crowd_bits, traced
from models.identity.mixing import mix
from models.identity.terms import IdentityTerms, Kind, Level, Shares
from models.identity.weighing import THING_OF, Floats, Ints, Marks, Population, bits_of, mark_crowds, marks_of, step

Flags = npt.NDArray[np.bool_]
SHARED_AT_HOME = ("device", "instrument", "ip", "destination", "phone", "email")
KEPT = ("document", "email", "phone", "instrument", "destination", "device", "address", "ip")
HOLDERS_MAX = 4
EVERY = slice(None)
GIVEN, FAMILY, SIMILAR, SAME = 1, 2, 3, 4
TRADERS_PRIOR = 400.0
PAIRS_PRIOR = 20.0
# A level that chance was taken to reach once in a thousand pairs weighs as one pair in a thousand seen.
STRANGERS_PRIOR = 1.0
# So many namesakes are taken as seen beforehand, for how names of one language go together and for similar names.
TOGETHER_PRIOR, SIMILAR_PRIOR = 5.0, 3.0
# Rare things move in whole bits, of which a growing firm crosses few, common ones in quarters.
RARE = 1 / 16
STEPS_PER_BIT = 4
SHARE_MAX = 0.9
NAMESAKES_MAX = 0.25
FURTHER_PRIOR = 40.0
FURTHER_BITS_MAX = 4.0


class Fit(NamedTuple):
    """The terms as a firm shows them, by how much the values that pairs share are places, and which pairs are alike."""

    terms: IdentityTerms
    crowds: Crowds
    marks: Marks


def fit(
    pairs: pd.DataFrame, strangers: pd.DataFrame, population: Population, terms: IdentityTerms, as_of_day: int
) -> Fit:
    """The terms as this firm shows them; `pairs` and `population` as in `weigh`, `strangers` the levels of fields of
    pairs drawn at random."""
    # Numpy leaves the other processor free meanwhile.
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(marks_of, pairs, population, terms, as_of_day)
        clear = _Clear(pairs, population, terms)
        counted = _counted(clear, strangers)
        crowds = crowd_bits(pairs, counted, clear.marks)
        marks = mark_crowds(told.result(), crowds)
    return Fit(mix(pairs, population, counted, as_of_day, crowds, marks), crowds, marks)


def _counted(clear: "_Clear", strangers: pd.DataFrame) -> IdentityTerms:
    """The terms with what is counted on pairs that are clear."""
    pairs, terms = clear.pairs, clear.terms
    kinds = {kind: clear.kind(kind) for kind in terms.kinds}
    levels = {field: clear.levels(field) for field in terms.levels}
    levels |= {field: _by_chance(field, strangers, levels[field]) for field in ("phone", "address", "document")}
    levels["name"] = _names_by_chance(strangers, clear.names_at_home(levels["name"], levels["birth"]))
    return replace(
        terms,
        partners=clear.partners(levels),
        kinds=MappingProxyType(kinds),
        levels=MappingProxyType(levels),
        family_first=clear.family_first(),
        careful_share=clear.careful_share(),
        trace_share=clear.trace_share(),
        places=MappingProxyType({kind: count_places(kind, pairs, terms, clear.marks) for kind in CROWDED}),
    )


class _Clear:
    """The pairs of a firm that are clear, and what they show."""

    def __init__(self, pairs: pd.DataFrame, population: Population, terms: IdentityTerms) -> None:
        self.pairs, self.population, self.terms = pairs, population, terms
        self.a, self.b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
        self.marks = traced(pairs)
        self.known = population.known_kinds[self.a] & population.known_kinds[self.b]
        self.name, self.birth = pairs["name"].to_numpy(), pairs["birth"].to_numpy()
        few = ("address", "destination", "device", "document", "email", "instrument")
        self.few = {kind: _between(pairs[f"{kind}_holders"], HOLDERS_MAX) for kind in few}
        self.apart = np.isin(self.name, (0, 2)) & (self.birth == 0)
        self.home = self.few["address"] & self.apart
        self.one_person = self._rare((self.name >= 3) & (self.birth == 3))
        paper = self.few["document"] | self.few["email"]
        by_paper = {"name": paper & (self.birth >= 2), "birth": paper & (self.name >= 3)}
        self.persons, self.homes = np.flatnonzero(self.one_person), np.flatnonzero(self.home)
        self.of_one_name = np.flatnonzero(self._of_one_name())
        self.by_paper = {field: np.flatnonzero(chosen) for field, chosen in by_paper.items()}

    def _rare(self, alike: Flags) -> Flags:
        """The pairs among those alike of whose two names less than one other trader is expected to have both."""
        rows = np.flatnonzero(alike)
        a, b, rare = self.a[rows], self.b[rows], np.zeros(len(alike), dtype=np.bool_)
        given, family = self.population.given_holders, self.population.family_holders
        expected = step(np.maximum(given[a], given[b])) * step(np.maximum(family[a], family[b]))
        rare[rows] = expected < max(self.population.traders, 1)
        return rare

    def _shared(self, kind: str, rows: Ints) -> Flags:
        """Which of these pairs of whom both have a thing of this kind share one."""
        both = rows[(self.known[rows] >> list(self.terms.kinds).index(kind)) & 1 > 0]
        return _between(self.pairs[f"{kind}_holders"], self.terms.kinds[kind].cap, both)

    def partners(self, levels: Mapping[str, tuple[Level, ...]]) -> Shares:
        """Partners of each sort per trader; pairs show only where what makes them clear is known of both."""
        base, kinds = self.terms.partners, self.terms.kinds
        known = self._known_share()
        papers = (known["name"] * known["birth"]) ** 2
        alike = min(1.0, (levels["name"][3].same + levels["name"][4].same) * levels["birth"][3].same)
        homes = papers * known["address"] ** 2 * kinds["address"].shares.household
        return base._replace(
            same=self._per_trader(self.one_person, papers * alike, base.same),
            straw=self._borrowed(papers * kinds["destination"].shares.straw, known["destination"], base.straw),
            household=self._per_trader(self.home, homes, base.household),
        )

    def _borrowed(self, seen: float, paid: float, base: float) -> float:
        """Owners take payouts more often than others, as often as always: between the two bounds stays the base."""
        clear = self._borrowed_names()
        return float(np.clip(base, self._per_trader(clear, seen, base), self._per_trader(clear, seen * paid, base)))

    def _borrowed_names(self) -> Flags:
        borrowed = self.few["destination"] & (self.name == 0) & (self.birth == 0) & self._strangers_by_address()
        return np.asarray(borrowed, dtype=np.bool_)

    def family_first(self) -> float:
        """How often people of one home agree in the first word of their names alone."""
        home = self.few["address"] & np.isin(self.name, (0, GIVEN, FAMILY)) & (self.birth == 0)
        return _share((self.name == GIVEN)[home], self.terms.family_first)

    def careful_share(self) -> float:
        """How often one person's two traders have nothing in common but name and birth date."""
        alike = [self.pairs[f"{kind}_holders"].to_numpy()[self.persons] > 0 for kind in KEPT]
        return _share(~np.logical_or.reduce(alike), self.terms.careful_share)

    def trace_share(self) -> float:
        """How often borrowed names that share a payout destination of two share something more."""
        two = self._borrowed_names() & (self.pairs["destination_holders"] == 2).to_numpy()
        return _share(beside(self.marks[two], "destination"), self.terms.trace_share)

    def _known_share(self) -> dict[str, float]:
        """Share of the traders of whom a thing is known."""
        kinds = self.population.known_kinds
        counts = {kind: (kinds >> list(self.terms.kinds).index(kind) & 1).sum() for kind in ("address", "destination")}
        counts["name"] = (self.population.family_holders > 0).sum()
        counts["birth"] = (self.population.birth_holders > 0).sum()
        return {thing: float(count) / max(self.population.traders, 1) for thing, count in counts.items()}

    def _strangers_by_address(self) -> Flags:
        return np.asarray((self.pairs["address_holders"] == 0) & (self.pairs["address"] <= 0), dtype=np.bool_)

    def _per_trader(self, clear: Flags, seen: float, base: float) -> float:
        count = 2.0 * float(clear.sum())
        return _step((count + TRADERS_PRIOR * base) / (seen * self.population.traders + TRADERS_PRIOR))

    def kind(self, kind: str) -> Kind:
        """The kind with how often one person and a household share it where both have one."""
        old = self.terms.kinds[kind]
        shares = old.shares
        if kind in KEPT:
            shares = shares._replace(same=_share(self._shared(kind, self.persons), shares.same))
        if kind in SHARED_AT_HOME:
            shares = shares._replace(household=_share(self._shared(kind, self.homes), shares.household))
        if kind == "address":
            shares = shares._replace(household=_share(self._shared(kind, self.of_one_name), shares.household))
        return replace(old, shares=shares)

    def _of_one_name(self) -> Flags:
        """Pairs of one family name, given names and birth dates that differ, and a device or card of few."""
        return np.asarray((self.few["device"] | self.few["instrument"]) & (self.name == 2) & (self.birth == 0))

    def levels(self, field: str) -> tuple[Level, ...]:
        """The levels of a field with how often one person's records compare so."""
        chosen = self.by_paper.get(field, self.persons)
        if field in THING_OF:
            chosen = chosen[self.pairs[f"{THING_OF[field]}_holders"].to_numpy()[chosen] == 0]
        level, old = self.pairs[field].to_numpy()[chosen], self.terms.levels[field]
        counts = np.bincount(level[level >= 0], minlength=len(old))
        total = counts.sum() + PAIRS_PRIOR
        same = [(count + PAIRS_PRIOR * each.same) / total for count, each in zip(counts.tolist(), old, strict=True)]
        return tuple(each._replace(same=_step(share)) for each, share in zip(old, same, strict=True))

    def names_at_home(self, levels: tuple[Level, ...], births: tuple[Level, ...]) -> tuple[Level, ...]:
        """The levels of names with how often a household has two family names, and how often one name or two alike:
        a father and his son."""
        different, given, family, *alike = levels
        apart = self.name[self.home] == 0
        return (
            different._replace(household=_share(apart, different.household)),
            given,
            family,
            *(
                level._replace(household=self._namesakes_at_home(place, level.household, births))
                for place, level in enumerate(alike, start=SIMILAR)
            ),
        )

    def _namesakes_at_home(self, level: int, base: float, births: tuple[Level, ...]) -> float:
        """How often two of one home and other birth dates have names so alike, without those of one person whose birth
        date differs, who are as many as one person's same birth dates say; never fewer than was supposed."""
        home = self.few["address"] & ~self.few["document"] & ~self.few["email"]
        apart = home & (self.birth == 0)
        persons = (home & (self.name == level) & (self.birth == 3)).sum() * births[0].same / births[3].same
        seen = max(0.0, float((apart & (self.name == level)).sum()) - float(persons))
        share = _step((seen + PAIRS_PRIOR * base) / (float(apart.sum()) + PAIRS_PRIOR))
        return float(np.clip(share, base, NAMESAKES_MAX))


def further_bits(pairs: pd.DataFrame, bits: Floats, terms: IdentityTerms) -> float:
    """By how many bits a further trader of somebody who has two is likelier than a second of anybody, in half bits.

    How many more traders they have who have one more is counted on the pairs that are sure by themselves."""
    sure = bits >= bits_of(terms.strict_min)
    partners = np.bincount(np.append(pairs["a"].to_numpy()[sure], pairs["b"].to_numpy()[sure]))
    several = partners[partners > 0]
    further = (float((several - 1).sum()) + FURTHER_PRIOR * terms.further) / (len(several) + FURTHER_PRIOR)
    likelier = np.log2(further / (terms.partners.same + terms.partners.straw))
    return float(np.clip(np.round(2 * likelier) / 2, 0.0, FURTHER_BITS_MAX))


def _by_chance(field: str, strangers: pd.DataFrame, levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """The levels of a field with how often strangers compare so, who are pairs of other names and birth dates."""
    apart = (strangers["name"] <= 2) & (strangers["birth"] <= 1) & (strangers[field] >= 0)
    counts = np.bincount(strangers.loc[apart, field].to_numpy(), minlength=len(levels))
    shown = counts.sum()
    return tuple(
        each._replace(stranger=_step((count + STRANGERS_PRIOR) / (shown + STRANGERS_PRIOR / each.stranger)))
        for each, count in zip(levels, counts.tolist(), strict=True)
    )


def _names_by_chance(strangers: pd.DataFrame, levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """The levels of names with how much oftener strangers agree in both than if given and family names were drawn
    apart, and how much oftener they are similar."""
    *others, similar, same = levels
    counts = np.bincount(
        strangers.loc[strangers["birth"].le(1) & strangers["name"].ge(0), "name"], minlength=len(levels)
    )
    both = float(counts[SIMILAR] + counts[SAME])
    apart = (counts[GIVEN] + both) * (counts[FAMILY] + both) / max(counts.sum(), 1)
    together = (both + TOGETHER_PRIOR * same.stranger) / (apart + TOGETHER_PRIOR)
    oftener = (counts[SIMILAR] + SIMILAR_PRIOR * similar.stranger / same.stranger) / (counts[SAME] + SIMILAR_PRIOR)
    return (
        *others,
        similar._replace(stranger=_step(float(together * oftener))),
        same._replace(stranger=_step(float(together))),
    )


def _between(holders: pd.Series, most: int, rows: Ints | slice = EVERY) -> Flags:
    held = holders.to_numpy()[rows]
    return np.asarray((held >= 1) & (held <= most), dtype=np.bool_)


def _share(shown: Flags, base: float) -> float:
    return min(SHARE_MAX, _step((float(shown.sum()) + PAIRS_PRIOR * base) / (len(shown) + PAIRS_PRIOR)))


def _step(share: float) -> float:
    steps = STEPS_PER_BIT if share >= RARE else 1
    return float(np.exp2(np.round(np.log2(share) * steps) / steps))
