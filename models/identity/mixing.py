"""How common borrowed names, households, friends, mates and venues are in this firm, weighed against each other.

Pairs that share a thing of few, but neither name nor birth date, may be any of them. How often two things come
together, with or without a line, a home or other things of the kind, says which: who borrows names leaves several
traces, a friend lends one thing, mates several beside their own, a venue has computers and a line but no cards.
Expectation maximisation over such pairs (Dempster, Laird and Rubin, 1977) with the terms as its prior; pairs so
explained that share nothing are not seen and are reckoned in.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.identity.crowds import Crowds
from models.identity.terms import HYPOTHESES, IdentityTerms, Kind, Shares
from models.identity.weighing import COUNTED, LENT_KINDS, STRONG_KINDS, Explanations, Ints, Marks, Population

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
ROUNDS = 40
SETTLED_BITS = 0.002
# Each round goes further the way it points, or the rarer explanations would need hundreds of rounds.
STRIDE = 1.9
# Many who lend are found in hundreds of rounds when none are supposed at first, few in some twenty when many are.
FRIENDS_AT_FIRST = 0.3
HOLDERS_MAX = 4
TRADERS_PRIOR = 400.0
# Whether people lend differs from firm to firm more than the rest, so the firm's own pairs count sooner.
LENDERS_PRIOR = 100.0
PAIRS_PRIOR = 30.0
USE_PRIOR = 12.0
PAID_PRIOR = 5.0
MIXED = ("straw", "household", "friend", "mate", "venue")
# How far a thing is used tells these apart from the others, so what is supposed of the others stays.
GROWING, LENDERS = ("mate", "venue"), ("friend", "mate")
USE_FITTED = ("household", "friend")
FITTED = (*STRONG_KINDS, "ip", "address")
STRAW_SHARES = (0.01, 0.95)
# One owner's traders log in from one line about as often as not; fewer would make owners of everybody who lends.
STRAW_IP_MIN = 0.45
# A friend lends now and then; whoever shares each thing more often is no friend.
FRIEND_SHARE_MAX = 0.1
USE_MIN = 0.02
# Fewer visible pairs than this say nothing of those that are not.
VISIBLE_MIN = 0.02
STEPS_PER_BIT = 4
# More pairs tell no more of how common each explanation is.
PAIRS_MOST = 8192
LOTS = 1 << 16


def mix(
    pairs: pd.DataFrame, population: Population, terms: IdentityTerms, as_of_day: int, crowds: Crowds, marks: Marks
) -> IdentityTerms:
    """The terms with the partners of each sort per trader, and what borrowed names share, as these pairs show them.

    Of pairs that `marks` holds to be alike one is reckoned for all, in an order that no run changes."""
    chosen, share = _drawn(_unclear(pairs), pairs, population)
    if not len(chosen):
        return terms
    _, first, times = np.unique(marks[chosen], return_index=True, return_counts=True)
    chosen = chosen[first]
    unclear, crowds = pairs.iloc[chosen].reset_index(drop=True), {kind: bits[chosen] for kind, bits in crowds.items()}
    mixture = _Mixture(unclear, times, population, terms, share)
    explanations = Explanations(unclear, population, terms, as_of_day, crowds)
    found = replace(terms, partners=terms.partners._replace(friend=FRIENDS_AT_FIRST))
    for _ in range(ROUNDS):
        before = found
        found = mixture.improve(before, explanations.under(before).ways())
        if _settled(before, found):
            break
    return _stepped(found)


def _settled(before: IdentityTerms, found: IdentityTerms) -> bool:
    """Whether a round moved nothing by more than a small part of a step."""
    figures = [
        [*terms.partners, *(share for kind in FITTED for share in terms.kinds[kind].shares)]
        for terms in (before, found)
    ]
    return bool(np.max(np.abs(np.log2(figures[1]) - np.log2(figures[0]))) < SETTLED_BITS)


def _unclear(pairs: pd.DataFrame) -> Flags:
    """Pairs that share a thing of few and differ in name and birth date."""
    few = np.logical_or.reduce([pairs[f"{kind}_holders"].between(1, HOLDERS_MAX).to_numpy() for kind in STRONG_KINDS])
    return np.asarray(few & (pairs["name"] <= 2).to_numpy() & (pairs["birth"] <= 1).to_numpy(), dtype=np.bool_)


def _drawn(unclear: Flags, pairs: pd.DataFrame, population: Population) -> tuple[Ints, float]:
    """Of very many pairs a part, by their rows, the same however the firm grew, and how large a part."""
    rows = np.flatnonzero(unclear)
    share = min(1.0, float(np.exp2(-np.ceil(np.log2(max(1, len(rows)) / PAIRS_MOST)))))
    lots = population.lot[pairs["a"].to_numpy()[rows]] * 31 ^ population.lot[pairs["b"].to_numpy()[rows]] * 31
    return rows[lots % LOTS < share * LOTS], share


class _Mixture:
    """The unclear pairs of a firm and one round of the maximisation."""

    def __init__(
        self, pairs: pd.DataFrame, times: Ints, population: Population, terms: IdentityTerms, share: float
    ) -> None:
        known = population.known_kinds[pairs["a"].to_numpy()] & population.known_kinds[pairs["b"].to_numpy()]
        self.base, self.traders = terms, population.traders * share
        self.shared = {kind: (pairs[f"{kind}_holders"] > 0).to_numpy() for kind in FITTED}
        self.known = {kind: (known >> list(terms.kinds).index(kind)) & 1 > 0 for kind in FITTED}
        self.use = {kind: pairs[f"{kind}_use"].to_numpy() for kind in COUNTED}
        self.paid_chance = population.paid[1]
        widest = np.max([np.where(self.shared[k], pairs[f"{k}_holders"], 1) for k in STRONG_KINDS], axis=0)
        self.two = widest <= 2
        # Of what is shared a value of many holders tells as much as one of two for each further holder, not each pair.
        self.times = times
        self.weight = times / np.maximum(widest - 1, 1)
        self.shared_weight = np.array([self.shared[kind] * self.weight for kind in FITTED])
        self.known_weight = np.array([self.known[kind] * self.weight for kind in FITTED])
        self.use_weight = {
            kind: np.array([(self.shared[kind] & (self.use[kind] == level)) * self.weight for level in range(len(use))])
            for kind, use in ((kind, terms.kinds[kind].use) for kind in COUNTED)
            if use is not None
        }
        self.seen_kinds, self.seen = np.unique(
            np.sum([self.known[kind] << place for place, kind in enumerate(STRONG_KINDS)], axis=0), return_inverse=True
        )

    def improve(self, terms: IdentityTerms, ways: Floats) -> IdentityTerms:
        """How likely each explanation of each pair is, then the terms that fit those best."""
        columns = ways.T.copy()
        odds = np.exp2(columns - columns.max(axis=0))
        odds /= odds.sum(axis=0)
        belief = {name: odds[HYPOTHESES.index(name)] for name in MIXED}
        every = {name: seen / self._visible(terms, name) for name, seen in belief.items()}
        # How many venues and circles have more than two holders, `weighing` reckons from those of two.
        partners = {
            name: self._partners(name, (all_ * self.times)[self.two if name in GROWING else slice(None)])
            for name, all_ in every.items()
        }
        stridden = {name: _further(getattr(terms.partners, name), found) for name, found in partners.items()}
        shares = {name: self._shares(name, belief[name], every[name]) for name in ("straw", "friend")}
        kinds = {
            kind: replace(
                each,
                shares=each.shares._replace(
                    straw=self._straw_share(kind, shares["straw"][kind]),
                    friend=self._friend_share(kind, shares["friend"][kind], partners["friend"]),
                ),
                use=self._use(kind, belief),
            )
            if kind in FITTED
            else each
            for kind, each in terms.kinds.items()
        }
        return replace(
            terms,
            partners=terms.partners._replace(**stridden),
            kinds=MappingProxyType(kinds),
            paid_ratio=self._paid_ratio(every["straw"]),
        )

    def _paid_ratio(self, every: Floats) -> float:
        """How much oftener than by chance both sides of a borrowed name take payouts."""
        straws = every * self.weight
        both, of = float(straws[self.known["destination"]].sum()), float(straws.sum())
        return (both + PAID_PRIOR * self.paid_chance) / (of + PAID_PRIOR) / self.paid_chance

    def _visible(self, terms: IdentityTerms, name: str) -> Floats:
        """How likely a pair so explained shares at least one strong thing, given what is known of both."""
        nothing = np.ones(len(self.seen_kinds))
        for place, kind in enumerate(STRONG_KINDS):
            known = self.seen_kinds >> place & 1 > 0
            nothing *= np.where(known, 1 - getattr(terms.kinds[kind].shares, name), 1.0)
        return np.asarray(np.maximum(1 - nothing, VISIBLE_MIN)[self.seen], dtype=np.float64)

    def _partners(self, name: str, every: Floats) -> float:
        base: float = getattr(self.base.partners, name)
        prior = LENDERS_PRIOR if name in LENDERS else TRADERS_PRIOR
        return (2 * float(every.sum()) + prior * base) / (self.traders + prior)

    def _straw_share(self, kind: str, share: float) -> float:
        base, (least, most) = self.base.kinds[kind].shares.straw, STRAW_SHARES
        least = STRAW_IP_MIN if kind == "ip" else least
        return float(np.clip(share, min(base, least), most))

    def _friend_share(self, kind: str, share: float, partners: float) -> float:
        if kind in LENT_KINDS:
            return min(share, FRIEND_SHARE_MAX)
        # However many lend, no more of them share what nobody lends.
        return float(self.base.kinds[kind].shares.friend * min(1.0, self.base.partners.friend / partners))

    def _shares(self, name: str, seen: Floats, every: Floats) -> dict[str, float]:
        """How often pairs so explained share each kind where it is known of both."""
        base = np.array([getattr(self.base.kinds[kind].shares, name) for kind in FITTED])
        shown, of = self.shared_weight @ seen, self.known_weight @ every
        return dict(zip(FITTED, ((shown + PAIRS_PRIOR * base) / (of + PAIRS_PRIOR)).tolist(), strict=True))

    def _use(self, kind: str, belief: Mapping[str, Floats]) -> tuple[Shares, ...] | None:
        """How often those who share the kind use it rarely, mostly and wholly."""
        base = self.base.kinds[kind].use
        if base is None:
            return None
        found = list(base)
        for name in USE_FITTED:
            shown = self.use_weight[kind] @ belief[name]
            of = float(shown.sum()) + USE_PRIOR
            for level, each in enumerate(base):
                share = (float(shown[level]) + USE_PRIOR * getattr(each, name)) / of
                found[level] = found[level]._replace(**{name: max(USE_MIN, share)})
        return tuple(found)


def _further(now: float, found: float) -> float:
    """What was found, and as much beyond it in the same direction as the stride says (over-relaxation)."""
    return float(now * (found / now) ** STRIDE)


def _stepped(terms: IdentityTerms) -> IdentityTerms:
    """The terms with what was found in steps, so that a growing firm changes it seldom."""
    partners = terms.partners._replace(**{name: _step(getattr(terms.partners, name)) for name in MIXED})
    kinds = {kind: _stepped_kind(each) if kind in FITTED else each for kind, each in terms.kinds.items()}
    return replace(
        terms, partners=partners, kinds=MappingProxyType(kinds), paid_ratio=max(1.0, _step(terms.paid_ratio))
    )


def _stepped_kind(kind: Kind) -> Kind:
    shares = kind.shares._replace(straw=_step(kind.shares.straw), friend=_step(kind.shares.friend))
    use = None if kind.use is None else tuple(Shares(*(_step(share) for share in level)) for level in kind.use)
    return replace(kind, shares=shares, use=use)


def _step(share: float) -> float:
    return float(np.exp2(np.round(np.log2(share) * STEPS_PER_BIT) / STEPS_PER_BIT))
