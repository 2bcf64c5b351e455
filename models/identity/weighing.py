"""Weighs the evidence of each pair: how likely one person stands behind both, against every innocent explanation.

Each pair is explained seven ways: one person under a name of their own, one person under borrowed names (`straw`), a
household, friends, mates (who lend several things at once: a mentor and pupils, colleagues with one card), a venue
(café, VPN exit, carrier, machine image) and strangers. The evidence of independent kinds adds up in bits (log2
likelihood ratios, after Fellegi and Sunter, 1969), an unknown value adds nothing, and the strength is the posterior of
the first two.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.identity.crowds import VISITED, WHOLLY_BY, WHOLLY_USED, Crowds, crowd_bits
from models.identity.terms import HYPOTHESES, KINDS, IdentityTerms, Level, Shares

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint64]
VENUE_KINDS = ("device", "ip", "instrument", "destination", "document")
MONEY_KINDS = ("instrument", "destination")
LENT_KINDS = ("phone", "instrument", "device")
LENT_WIDELY = (*MONEY_KINDS, "device")
STRONG_KINDS = ("document", "email", "phone", "instrument", "destination", "device")
# Numbers of which no two are the same by chance: strangers share one by accident, and accidents per trader are as
# common in a large firm as in one of this many.
UNIQUE_KINDS = ("document", "email", "instrument", "destination")
ACCIDENTS_OF = 10_000
# How two who share a thing by accident would use it: one hardly, both beside others, one beside others, both alone.
USE_BY_CHANCE = np.array([0.2, 0.2, 0.25, 0.35])
# Kinds of which it is told how often a trader used any, and how many further ones two have in common, up to so many.
COUNTED = ("device", "instrument")
ALSO_MAX = 2
STRAW, HOME, FRIEND, MATE, VENUE, STRANGER = range(1, len(HYPOTHESES))
# From this level on two who sat down together share more than what is lent.
SAT_SEVERAL = 2
# A circle of one device has so many holders, and so many of them use no other.
CIRCLE, CIRCLE_WHOLLY = 3, 0.9
PAID_MAX, BOTH_PAID_MAX = 0.9, 0.95
# How many times as many as on a day of an average year are born on one of the commonest, in a firm that may have twice
# as many traders as its step says; by how many standard deviations, and how many traders, a date must exceed that.
COMMONEST_YEARS, BIRTH_SPREADS, BIRTHS_BEYOND = 4.0, 6.0, 8
EXPONENT = 0x7FF << 52
MARKED_AT_ONCE = 1 << 14
# A field that is nearly alike counts where the thing itself is not shared.
THING_OF = {"email_name": "email", "phone": "phone", "address": "address", "document": "document"}


@dataclass(frozen=True)
class Population:
    """What is common among all traders, by trader number: holders of the same names and birth date, what is known, and
    a number below 65,536 that the trader's id alone decides, by which to draw."""

    traders: int
    given_holders: Ints
    family_holders: Ints
    birth_holders: Ints
    country: Ints
    lot: Ints
    known_kinds: Ints

    @cached_property
    def paid(self) -> tuple[npt.NDArray[np.bool_], float]:
        """Who took payouts, and how often both of two traders did by chance, in steps."""
        paid = self.known_kinds >> list(KINDS).index("destination") & 1 > 0
        share = float((step(np.array([paid.sum()])) / max(1.0, step(np.array([self.traders]))[0]))[0])
        return paid, min(max(share, 1 / max(self.traders, 1)), PAID_MAX) ** 2

    @cached_property
    def _living(self) -> Floats:
        """Share of the traders who live in each country, in steps, by its code and one."""
        return np.minimum(1.0, step(np.bincount(self.country + 1)) / self.size)

    @cached_property
    def size(self) -> float:
        """How many traders there are, in steps."""
        return max(1.0, float(step(np.array([self.traders]))[0]))

    def births_at_most(self, birth_dates: int) -> float:
        """The most traders who are born on one day; a date that more give is one that a form offers, or the first of a
        year of which no more is known."""
        usual = COMMONEST_YEARS * self.size / birth_dates
        return float(usual + BIRTH_SPREADS * np.sqrt(usual) + BIRTHS_BEYOND)

    def country_share(self, country: Ints) -> Floats:
        """Share of the traders who live in the country, in steps."""
        return self._living[country + 1]


class Weights(NamedTuple):
    """Per pair: log2 odds that one person stands behind it, how far they are against it before caps (0 or less), by how
    many bits a household explains it better, and whether they share only what is lent or looks alike, without a line
    (0 or 1)."""

    bits: Floats
    against: Floats
    home: Floats
    lent: Floats


def bits_of(probability: float) -> float:
    """A probability as log2 odds."""
    return float(np.log2(probability / (1 - probability)))


def strength_of(bits: Floats) -> Floats:
    """Log2 odds as a probability."""
    return np.asarray(1 / (1 + np.exp2(-bits)), dtype=np.float64)


def step(counts: Ints) -> Floats:
    """Counts rounded down to a power of two, so that a growing firm changes a rarity rarely and in known places."""
    # A power of two is a number without its mantissa.
    bits = np.maximum(counts, 0).astype(np.float64).view(np.int64)
    return np.asarray((bits & EXPONENT).view(np.float64), dtype=np.float64)


class Weighed(NamedTuple):
    """What decided the weights of pairs: what is alike for all of them, and for each a number that all figures of the
    pair decide, of which no two rows have one by chance."""

    alike: str
    pairs: Marks

    @classmethod
    def nothing(cls) -> "Weighed":
        """Before any pair was weighed."""
        return cls("", np.empty(0, dtype=np.uint64))


def alike_for_all(population: Population, terms: IdentityTerms) -> str:
    """What `weigh` looks at that is the same for all pairs."""
    return repr((terms, population.size, population.paid[1]))


def marks_of(pairs: pd.DataFrame, population: Population, terms: IdentityTerms, as_of_day: int) -> Marks:
    """For each pair a number that all that `weigh` looks at of the pair but crowds decides: pairs with one number weigh
    the same beside the same crowds under any terms that differ in what is fitted."""
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    left, right = population.country[a], population.country[b]
    known = (left >= 0) & (right >= 0)
    same = np.flatnonzero((left >= 0) & (left == right))
    living = np.zeros(len(pairs))
    living[same] = population.country_share(left[same])
    age, gap = as_of_day - pairs["ip_common_day"].to_numpy(), pairs["ip_gap_days"].to_numpy()
    columns = [
        *(pairs[name].to_numpy() for name in pairs.columns[2:] if not name.endswith(("_value", "_day", "_days"))),
        (gap > terms.ip_gap_days) * 1 + (gap > terms.ip_fresh_days),
        (age > terms.ip_fresh_days) * 1 + (age > 2 * terms.ip_fresh_days),
        step(np.maximum(population.given_holders[a], population.given_holders[b]) - 1),
        step(np.maximum(population.family_holders[a], population.family_holders[b]) - 1),
        step(np.maximum(population.birth_holders[a], population.birth_holders[b]) - 2),
        population.known_kinds[a] & population.known_kinds[b],
        known,
        living,
    ]
    return _marks(columns, len(pairs))


def sorts_of(marks: Marks) -> tuple[Ints, Ints]:
    """The first row of each mark, and the number of the mark that each row has."""
    number, sorts = pd.factorize(marks)
    first = np.empty(len(sorts), dtype=np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    return first, number


def _marks(columns: Sequence[npt.NDArray[Any]], rows: int) -> Marks:
    """One number for each row of the columns, with the factor of splitmix64."""
    marks = np.zeros(rows, dtype=np.uint64)
    # So many rows at a time stay near the processor.
    for start in range(0, rows, MARKED_AT_ONCE):
        some = slice(start, start + MARKED_AT_ONCE)
        for column in columns:
            _mark(marks[some], column[some])
    return marks


def mark_crowds(marks: Marks, crowds: Crowds) -> Marks:
    """The numbers of `marks_of` that the crowds decide as well, most of which are zero."""
    marks = marks.copy()
    for place, column in enumerate(crowds.values(), start=1):
        shown = np.flatnonzero(column)
        told = marks[shown]
        _mark(told, column[shown])
        _mark(told, np.full(len(shown), place))
        marks[shown] = told
    return marks


def _mark(marks: Marks, column: npt.NDArray[Any]) -> None:
    marks ^= column.astype(np.float64).view(np.uint64)
    marks *= np.uint64(0xBF58476D1CE4E5B9)
    marks ^= marks >> np.uint64(32)


def weigh(
    pairs: pd.DataFrame, population: Population, terms: IdentityTerms, as_of_day: int, crowds: Crowds | None = None
) -> Weights:
    """The weights of each pair; the home explains only pairs whose given names and birth dates differ.

    `pairs` has a, b (trader numbers), a level per compared field (-1 unknown) and per kind `<kind>_holders` (0 when not
    shared); `as_of_day` in days since 1970 decides how old evidence by address of the network is; `crowds` are those of
    `crowd_bits`, where they are known already."""
    evidence = Explanations(pairs, population, terms, as_of_day, crowd_bits(pairs, terms) if crowds is None else crowds)
    ways = evidence.ways()
    owner = np.logaddexp2(ways[:, 0], ways[:, 1])
    others = np.logaddexp2.reduce(ways[:, HOME:].T.copy(), axis=0)
    corroborated, lone, lent = evidence.corroborated(), evidence.lone(), evidence.lent()
    free = owner - others
    bits = np.where(lent, np.minimum(free, bits_of(terms.lone_max)), free)
    listed_only = ~corroborated | (lone & evidence.untold())
    bits = np.where(listed_only, np.minimum(free, bits_of(terms.link_min)), bits)
    apart = np.isin(evidence.levels["name"], (0, 1, 2)) & (evidence.levels["birth"] == 0)
    home = corroborated & apart & (ways[:, HOME] >= ways[:, FRIEND:].max(axis=1))
    household = np.where(home, np.maximum(ways[:, HOME] - owner, 0.0), 0.0)
    return Weights(bits, np.minimum(free, 0.0), household, (lent & ~evidence.one_card()).astype(np.float64))


class _Sharing(NamedTuple):
    """Rows of the pairs that share a thing of a kind and the number of the sort of each; of each sort the chance, how
    fresh it is, by how much it is a place, which have many, how it is used, how many further ones there are, and how
    many further holders use it alone."""

    rows: Ints
    number: Ints
    chance: Floats
    fresh: Floats
    crowd: Floats
    many: Ints
    use: npt.NDArray[np.int8]
    also: npt.NDArray[np.int8]
    wholly: Floats


class Explanations:
    """Evidence of one batch of pairs: methods add their bits to an array (pairs, hypotheses), strangers being zero."""

    def __init__(
        self, pairs: pd.DataFrame, population: Population, terms: IdentityTerms, as_of_day: int, crowds: Crowds
    ) -> None:
        self.pairs, self.population, self.terms, self.as_of_day = pairs, population, terms, as_of_day
        self.a, self.b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
        self.size = population.size
        self.holders = {kind: pairs[f"{kind}_holders"].to_numpy() for kind in terms.kinds}
        self.crowds = crowds
        self.levels = {field: pairs[field].to_numpy() for field in terms.levels}
        self._shared: dict[str, _Sharing] = {}

    def under(self, terms: IdentityTerms) -> "Explanations":
        """The same pairs under terms that differ in partners, in what they share and how, and in who is paid: what
        hangs on nothing of that is reckoned once."""
        _ = self._told, self._spread, self._apart, self._both_paid
        other = copy(self)
        other.terms = terms
        return other

    def ways(self) -> Floats:
        """Log2 odds of each explanation against strangers, one row per pair."""
        ways = self.priors()
        for kind in self.terms.kinds:
            self.add_shared(ways, kind)
        self.add_kept_apart(ways)
        ways += self._told
        self.add_paid(ways)
        return ways

    @cached_property
    def _told(self) -> Floats:
        """What the fields of the two people say."""
        ways = np.zeros((len(self.pairs), len(HYPOTHESES)))
        for field in ("name", "birth", *THING_OF):
            self.add_field(ways, field)
        self.add_country(ways)
        self.add_sittings(ways)
        return ways

    def priors(self) -> Floats:
        """Before any evidence: partners of each sort per trader, more at wide venues and in circles of mates, fewer of
        households and friends among many payers."""
        ways = self._spread.copy()
        ways[:, :STRANGER] += np.log2(np.array(self.terms.partners) / self.size)
        return ways

    @cached_property
    def _spread(self) -> Floats:
        """How much likelier the widest value that is shared makes venues and mates, and less likely households and
        friends."""
        ways = np.zeros((len(self.pairs), len(HYPOTHESES)))
        ways[:, VENUE] += self.terms.venue_growth * np.log2(np.maximum(self._widest(VENUE_KINDS), 2) - 1)
        ways[:, HOME] -= self.terms.home_shrink * np.log2(np.maximum(self._widest(MONEY_KINDS) - 1, 1))
        ways[:, MATE] += self.terms.mate_growth * np.log2(np.maximum(self._widest(LENT_WIDELY) - 1, 1))
        ways[:, FRIEND] -= self.terms.home_shrink * np.log2(np.maximum(self._widest(LENT_WIDELY) - 1, 1))
        return ways

    def _widest(self, kinds: Sequence[str]) -> Floats:
        """The most holders of a value of these kinds that the pair shares, one where it shares none."""
        counts = [
            np.where(self._usable(kind) & ((self.crowds[kind] > 0) == (kind in VISITED)), self.holders[kind], 1)
            for kind in kinds
        ]
        return np.asarray(np.max(counts, axis=0), dtype=np.float64)

    def _usable(self, kind: str) -> npt.NDArray[np.bool_]:
        shared = self.holders[kind]
        return (shared > 0) & (shared <= self.terms.kinds[kind].cap)

    def add_shared(self, ways: Floats, kind: str) -> None:
        """Sharing a value speaks by its rarity, less by what shows that the value is a place; hubs are mute."""
        each, shared = self.terms.kinds[kind], self._sharing(kind)
        # One row per explanation here: long rows are reckoned several times faster than short ones.
        bits = np.log2(np.array(each.shares))[:, None] - shared.chance
        if kind == "ip":
            bits *= shared.fresh
        if kind in VISITED:
            own = bits[:VENUE]
            bits[:VENUE] = np.where(own > 0, np.maximum(own - shared.crowd, 0.0), own)
        else:
            bits[:, shared.many] = self._beside_place(bits[:, shared.many], shared.crowd[shared.many])
        if each.use is not None:
            bits += self._use_bits(each.use)[:, shared.use]
            bits += self._also_bits(each.shares)[:, shared.also]
        if kind == "device" and each.use is not None:
            bits += self._circle_bits(each.use)[:, None] * shared.wholly
        ways[shared.rows, :STRANGER] += bits.T[shared.number]

    def _sharing(self, kind: str) -> "_Sharing":
        """The pairs that share a thing of this kind, and what is to be known of each sort of them."""
        if kind not in self._shared:
            rows = np.flatnonzero(self._usable(kind))
            holders, fresh = self.holders[kind][rows], self._freshness(kind, rows)
            crowd = self.crowds[kind][rows] if kind in self.crowds else np.zeros(len(rows))
            use, also = (
                self.pairs[f"{kind}_{what}"].to_numpy()[rows] if kind in COUNTED else np.zeros(len(rows), dtype=np.int8)
                for what in ("use", "also")
            )
            wholly = (
                self.crowds[WHOLLY_BY][rows] if kind == "device" and WHOLLY_BY in self.crowds else np.zeros(len(rows))
            )
            first, number = sorts_of(_marks([holders, fresh, crowd, use, also, wholly], len(rows)))
            holders, crowd = holders[first], crowd[first]
            chance = np.log2(np.maximum(holders - 1, 1) * self._chance(kind))
            many = np.flatnonzero((holders > 2) | (crowd != 0))
            told = (use[first], also[first], wholly[first])
            self._shared[kind] = _Sharing(rows, number, chance, fresh[first], crowd, many, *told)
        return self._shared[kind]

    def _also_bits(self, shares: Shares) -> Floats:
        """A second thing of the kind in common, and a third, come as often again as the first; beside friends it is no
        accident."""
        again = np.log2(np.array(shares) / shares.friend)
        return np.asarray(again[:, None] * np.arange(ALSO_MAX + 1), dtype=np.float64)

    def _chance(self, kind: str) -> float:
        """How likely a stranger holds a value of the kind, per other holder."""
        most = self.terms.kinds[kind].chance_max
        if kind in UNIQUE_KINDS:
            most *= min(1.0, ACCIDENTS_OF / self.size)
        return min(1 / self.size, most)

    def _use_bits(self, use: tuple[Shares, ...]) -> Floats:
        """An owner's registrations use one set of things, a friend, mate or member of a club has others beside it."""
        return np.asarray(np.log2(np.array(use).T / USE_BY_CHANCE), dtype=np.float64)

    def _circle_bits(self, use: tuple[Shares, ...]) -> Floats:
        """Each further holder who uses a device alone says of it what one of the two says."""
        wholly = np.array(use[WHOLLY_USED])
        return np.asarray(np.minimum(np.log2(wholly / use[WHOLLY_USED].straw), 0.0) / 2, dtype=np.float64)

    def _beside_place(self, bits: Floats, crowd: Floats) -> Floats:
        """Of a value that may be a place whoever shares it may still be anything; then it says less of all."""
        place = np.log2(self.terms.partners.straw / self.size) + bits[STRAW] + crowd
        return np.asarray(np.logaddexp2(bits, place) - np.logaddexp2(0.0, place), dtype=np.float64)

    def add_kept_apart(self, ways: Floats) -> None:
        """Both having a thing and sharing none speaks a little against; but some owners change all things at once."""
        kinds, number = self._apart
        table = np.zeros((len(kinds), STRANGER))
        for place, (kind, each) in enumerate(self.terms.kinds.items()):
            if kind != "partner":
                table[kinds >> place & 1 > 0] += np.log2(1 - np.array(each.shares))
        careful = self.terms.careful_share
        table[:, 0] = np.logaddexp2(np.log2(1 - careful) + table[:, 0], np.log2(careful))
        ways[:, :STRANGER] += table[number]

    @cached_property
    def _apart(self) -> tuple[Ints, Ints]:
        """The kinds of which both have something and share nothing, as bits: the sets that occur and who has which."""
        apart = self.population.known_kinds[self.a] & self.population.known_kinds[self.b]
        for place, kind in enumerate(self.terms.kinds):
            apart &= ~((self.holders[kind] > 0).astype(np.int64) << place)
        occur = np.flatnonzero(np.bincount(apart))
        number = np.zeros(1 << len(self.terms.kinds), dtype=np.int64)
        number[occur] = np.arange(len(occur))
        return occur, number[apart]

    def _freshness(self, kind: str, rows: Ints) -> Floats:
        """Evidence by network address halves when the uses were not close together, and ends when long past."""
        if kind != "ip":
            return np.ones(len(rows))
        gap = self.pairs["ip_gap_days"].to_numpy()[rows]
        age = self.as_of_day - self.pairs["ip_common_day"].to_numpy()[rows]
        fresh, gone = self.terms.ip_fresh_days, 2 * self.terms.ip_fresh_days
        weight = np.where((gap <= self.terms.ip_gap_days) & (age <= fresh), 1.0, 0.5)
        return np.where((gap > fresh) | (age > gone), 0.0, weight)

    def add_field(self, ways: Floats, field: str) -> None:
        """What the level of likeness of a field says; near misses count only where the value itself is not shared."""
        level = self.levels[field]
        told = level >= 0
        if field in THING_OF:
            told &= self.holders[THING_OF[field]] == 0
        rows = np.flatnonzero(told)
        person, household = (
            np.log2(np.array(shares))[level[rows]]
            for shares in zip(
                *((row.same / row.stranger, row.household / row.stranger) for row in self.terms.levels[field]),
                strict=True,
            )
        )
        if field == "name":
            person, household = self._name_bits(rows, person, household)
        if field == "birth":
            rare = self._birth_bits(rows)
            person, household = person + rare, household + rare
        ways[rows, 0] += person
        ways[rows, HOME] += household
        if field == "email_name":
            ways[rows, STRAW] += household

    def _rarity(self, rows: Ints, holders: Ints, share: float) -> Floats:
        """Bits by which strangers are unlikely to carry a name that the commoner of the pair's spellings carry."""
        commoner = step(np.maximum(holders[self.a[rows]], holders[self.b[rows]]) - 1)
        pseudo = self.terms.name_pseudo_count
        return np.asarray(-np.log2((commoner + pseudo * share) / (self.size + pseudo)), dtype=np.float64)

    def _name_bits(self, rows: Ints, person: Floats, household: Floats) -> tuple[Floats, Floats]:
        """Names that agree speak by the rarity of each; how they go together is in the levels."""
        level = self.levels["name"][rows]
        given = self._rarity(rows, self.population.given_holders, self.terms.given_share)
        family = self._rarity(rows, self.population.family_holders, self.terms.family_share)
        rare = np.select([level >= 3, level == 2, level == 1], [given + family, family, given], 0.0)
        # Where the family name comes first, the first words agree at one home as family names do.
        home = np.where(level == 1, np.logaddexp2(household, np.log2(self.terms.family_first) + rare), household + rare)
        return person + rare, np.where(level >= 3, np.maximum(home, 0.0), home)

    def _birth_bits(self, rows: Ints) -> Floats:
        """A birth date that a form offers first, or that many give, is no rarity."""
        holders = self.population.birth_holders
        common = step(np.maximum(holders[self.a[rows]], holders[self.b[rows]]) - 2)
        chance = np.maximum(1 / self.terms.birth_dates, common / self.size)
        return np.where(self.levels["birth"][rows] >= 2, -np.log2(chance), 0.0)

    def add_country(self, ways: Floats) -> None:
        """Two countries speak against one person and one household; one country for them by its rarity, unless a
        name in common already says where they are from."""
        left, right = self.population.country[self.a], self.population.country[self.b]
        known, differs = (left >= 0) & (right >= 0), np.array(self.terms.country_differs)
        apart = np.flatnonzero(known & (left != right))
        ways[apart, :STRANGER] += np.log2(differs)
        alike = np.flatnonzero(known & (left == right) & (self.levels["name"] < 2))
        countries, number = np.unique(left[alike], return_inverse=True)
        rarity = self.population.country_share(countries)[:, None]
        ways[alike, :STRANGER] += np.log2((1 - differs * (1 - rarity)) / rarity)[number]

    def add_sittings(self, ways: Floats) -> None:
        """Who sits down once for several traders logs in with one after the other; that two never do says nothing."""
        sat = self.pairs["sat"].to_numpy()
        shown = np.flatnonzero(sat)
        shares = np.array(self.terms.sittings)
        ways[shown, :STRANGER] += np.log2(shares / shares[:, HOME + 1 :].min(axis=1, keepdims=True))[sat[shown] - 1]

    def add_paid(self, ways: Floats) -> None:
        """Who hides behind other names may take payouts oftener than others, in which case that speaks."""
        chance = self.population.paid[1]
        borrowed = min(BOTH_PAID_MAX, chance * self.terms.paid_ratio)
        one, both = np.log2(np.array([(1 - borrowed) / (1 - chance), borrowed / chance]))
        ways[:, STRAW] += np.where(self._both_paid, both, one)

    @cached_property
    def _both_paid(self) -> npt.NDArray[np.bool_]:
        """Whether both of a pair took payouts."""
        paid = self.population.paid[0]
        return np.asarray(paid[self.a] & paid[self.b], dtype=np.bool_)

    def corroborated(self) -> npt.NDArray[np.bool_]:
        """Weak evidence never joins alone: something only one person has, two personal fields that agree, or a full
        name and a line."""
        strong = np.logical_or.reduce([self._usable(kind) for kind in STRONG_KINDS])
        named = (self.levels["name"] >= 3) & self._usable("ip")
        return np.asarray(strong | named | (self._personal() >= 2), dtype=np.bool_)

    def lone(self) -> npt.NDArray[np.bool_]:
        """One thing that is lent among friends, and nothing else of the person."""
        things = np.sum([self._usable(kind) for kind in STRONG_KINDS], axis=0)
        things += np.sum([self.pairs[f"{kind}_also"].to_numpy() for kind in COUNTED], axis=0)
        lent = np.logical_or.reduce([self._usable(kind) for kind in LENT_KINDS])
        things += self.pairs["sat"].to_numpy() >= SAT_SEVERAL
        return np.asarray(lent & (things == 1) & (self._personal() == 0), dtype=np.bool_)

    def lent(self) -> npt.NDArray[np.bool_]:
        """Nothing but what is lent, by people who were never on one line: one thing, or several of which they use one
        beside others."""
        kept = np.logical_or.reduce([self._usable(kind) for kind in STRONG_KINDS if kind not in LENT_KINDS])
        beside = np.logical_or.reduce(
            [self._usable(kind) & (self.pairs[f"{kind}_use"].to_numpy() < WHOLLY_USED) for kind in COUNTED]
        )
        kept |= self.pairs["sat"].to_numpy() >= SAT_SEVERAL
        several = ~kept & beside & (self._personal() == 0) & ~self.untold()
        return np.asarray(~self._usable("ip") & ~self.circle() & (self.lone() | several), dtype=np.bool_)

    def circle(self) -> npt.NDArray[np.bool_]:
        """A device of three and more that nearly all of them use alone, as no friends do."""
        wholly, holders = self.crowds.get(WHOLLY_BY, np.zeros(len(self.pairs))), self.holders["device"]
        return np.asarray((holders >= CIRCLE) & (wholly >= CIRCLE_WHOLLY * (holders - 2)), dtype=np.bool_)

    def one_card(self) -> npt.NDArray[np.bool_]:
        """One card that both pay with alone, which unlike a device never looks like another by chance."""
        wholly = self.pairs["instrument_use"].to_numpy() == WHOLLY_USED
        return np.asarray(self.lone() & self._usable("instrument") & wholly, dtype=np.bool_)

    def untold(self) -> npt.NDArray[np.bool_]:
        """No line is known of one of them, so that nothing tells an owner from a friend who lends."""
        known = self.population.known_kinds[self.a] & self.population.known_kinds[self.b]
        return np.asarray((known >> list(self.terms.kinds).index("ip")) & 1 == 0, dtype=np.bool_)

    def _personal(self) -> Ints:
        """How many fields of the person agree."""
        personal = (
            self.levels["name"] >= 3,
            self.levels["birth"] >= 2,
            self._usable("address") | (self.levels["address"] >= 1),
            self.levels["document"] == 1,
            self.levels["phone"] == 1,
        )
        return np.asarray(np.sum(personal, axis=0), dtype=np.int64)


__all__ = ["Level", "Population", "Shares", "bits_of", "strength_of", "weigh"]
