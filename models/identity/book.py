"""The book of who is who: built once over all traders, then extended at the cost of what is touched."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.identity.clusters import Judgements, Pairs, group
from models.identity.crowds import CROWDED, WHOLLY_USED
from models.identity.evidence import Evidence, width_of
from models.identity.facts import IdentityFacts
from models.identity.fitting import fit, further_bits
from models.identity.owners import name_owners
from models.identity.people import FIELDS, compare
from models.identity.reasons import link_table
from models.identity.terms import DEFAULT_TERMS, IdentityTerms
from models.identity.weighing import (
    ALSO_MAX,
    COUNTED,
    Floats,
    Ints,
    Marks,
    Weighed,
    Weights,
    alike_for_all,
    bits_of,
    sorts_of,
    strength_of,
    weigh,
)

# Shares of a trader's uses of a kind of thing below which a trader hardly uses what is shared, and from which wholly.
HARDLY, WHOLLY = 0.2, 0.9
# Uses from which it is known that a trader has nothing else of the kind: who came once used what there was.
ALONE_USES = 3
SAME_BIRTH = 3
# Days on which two sat down together from which those are few, several and many, and how large a share of uses counts.
SITTINGS, SITTING_SHARE = (2, 3, 6), 1 / 4


@dataclass(frozen=True)
class Identity:
    """`links`: trader_a, trader_b, strength, reasons. `owners`: trader_id, owner_id, members, owner_id_strict,
    owner_id_loose. `log`: one sentence per value or kind left out and per judgement that could not hold."""

    links: pd.DataFrame
    owners: pd.DataFrame
    log: list[str]


class IdentityBook:
    """Evidence, scored pairs and groups of all traders seen so far."""

    def __init__(self, terms: IdentityTerms = DEFAULT_TERMS, *, threads: int = 2, path: Path | None = None) -> None:
        """Begins with nothing; the evidence is in memory, or in a file that `kept` opens again."""
        self.terms, self.threads = terms, threads
        self.evidence = Evidence(terms, threads, path)
        self.pairs = self._no_pairs()
        self.strangers = self.pairs[["a", "b", *FIELDS]]
        self.births_told = np.empty(0, dtype=np.bool_)
        self.weights = Weights(*(np.empty(0) for _ in Weights._fields))
        self.weighed = Weighed.nothing()
        self.further_bits = 0.0
        self.firsts: list[Ints] = [np.empty(0, dtype=np.int64) for _ in range(3)]
        self.judgements = Judgements()
        self.collided: set[tuple[int, int]] = set()

    def add(
        self,
        facts: IdentityFacts,
        *,
        as_of: datetime | pd.Timestamp,
        judgements: pd.DataFrame | None = None,
        whole: bool = False,
    ) -> npt.NDArray[np.int64]:
        """Takes in new or newer records and regroups what they touch; answers the numbers of the regrouped traders.

        `facts` holds the new rows only, with the accounts and clicks that its payouts and challenges name. A trader row
        replaces the older one; logins, payments and the like add up, unless `facts` are the `whole` of what is known of
        their traders now. `judgements` replaces the earlier ones: all that hold today, trader_a, trader_b, judgement
        ('same' or 'different'). The result is the partition that all records together would give from scratch."""
        first = self.evidence.add(facts, self.pairs[["a", "b"]], whole=whole)
        kept = self._replace_pairs(everyone=first)
        moved = self._weigh(pd.Timestamp(as_of), kept)
        old, self.judgements = self.judgements, self._read_judgements(judgements)
        touched = self._touched(moved, old, everyone=first)
        return self._regroup(touched)

    def identity(self, previous: pd.DataFrame | None = None) -> Identity:
        """The published tables; `previous` (trader_id, owner_id) lets owners keep the ids they had."""
        people = self._people()
        owner = name_owners(people["trader_id"], self.firsts[1], previous)
        sizes = owner.map(owner.value_counts())
        owners = pd.DataFrame({"trader_id": people["trader_id"], "owner_id": owner, "members": sizes.astype("int64")})
        owners["owner_id_strict"] = name_owners(people["trader_id"], self.firsts[0], None)
        owners["owner_id_loose"] = name_owners(people["trader_id"], self.firsts[2], None)
        owners = owners.sort_values("trader_id", kind="stable", ignore_index=True)
        return Identity(
            self.links(), owners, [*self._collisions(people["trader_id"].tolist()), *self.evidence.remarks()]
        )

    def links(self, only: Ints | None = None) -> pd.DataFrame:
        """The links table; with `only`, the links of those traders (numbers) alone."""
        bits = self.weights.bits
        shown = bits >= bits_of(self.terms.link_min)
        if only is not None:
            shown &= self.pairs["a"].isin(only).to_numpy() | self.pairs["b"].isin(only).to_numpy()
        return link_table(self.evidence, self._told()[shown], strength_of(bits[shown]))

    def _no_pairs(self) -> pd.DataFrame:
        kinds = [f"{kind}_holders" for kind in self.terms.kinds]
        values = [f"{kind}_value" for kind in CROWDED]
        use = [f"{kind}_{what}" for kind in COUNTED for what in ("use", "also")]
        columns = ["a", "b", *FIELDS, *kinds, *values, *use, "device_alone", "sat", "ip_gap_days", "ip_common_day"]
        return pd.DataFrame({column: np.empty(0, dtype=width_of(column)) for column in columns})

    def _replace_pairs(self, *, everyone: bool) -> Ints:
        """Drops the pairs that may have changed and compares them anew; answers the former rows of those that stay,
        which come first."""
        kept = np.flatnonzero(~self._stale())
        with ThreadPoolExecutor(1) as pool:
            older = {name: self.pairs[name].to_numpy() for name in self.pairs.columns}
            staying = pool.submit(lambda: {name: column.take(kept) for name, column in older.items()})
            stay = self.evidence.draw(everyone)
            self.evidence.propose(everyone)
            strangers = compare(self.evidence)
            known = self.strangers["a"].isin(stay) & self.strangers["b"].isin(stay)
            self.strangers = pd.concat([self.strangers[known], strangers], ignore_index=True)
            fresh = self._shared()
        self.pairs = pd.DataFrame(
            {name: np.append(column, fresh[name].to_numpy()) for name, column in staying.result().items()}, copy=False
        )
        return kept

    def _stale(self) -> npt.NDArray[np.bool_]:
        """The pairs with a trader whose records changed, and those of others of whom that changed something."""
        a, b, traders = self.pairs["a"].to_numpy(), self.pairs["b"].to_numpy(), self.evidence.traders()
        own, others = np.zeros(traders, dtype=np.bool_), np.zeros(traders, dtype=np.bool_)
        own[self.evidence.own()] = True
        stale = own[a] | own[b]
        left, right = self.evidence.again()
        others[left], others[right] = True, True
        among = np.flatnonzero(others[a] & others[b])
        stale[among] |= np.isin(a[among] * traders + b[among], left * traders + right)
        return np.asarray(stale, dtype=np.bool_)

    def _shared(self) -> pd.DataFrame:
        """What each pair shares, with how far the two use it (0 where one hardly does, 1 both beside others, 2 one
        beside others, 3 neither), how many further things of the kind are shared, and whether both are known to use one
        device alone."""
        shared = self.evidence.shared()
        for kind, uses in self.evidence.census.counts.items():
            sides = (("left", "a"), ("right", "b"))
            share = np.array([shared[f"{kind}_{side}"] / np.maximum(uses[shared[who]], 1) for side, who in sides])
            level = 1 + (share >= WHOLLY).sum(axis=0)
            shared[f"{kind}_use"] = np.where(share.min(axis=0) < HARDLY, 0, level).astype(np.int8)
            shared[f"{kind}_also"] = np.clip(shared[f"{kind}_many"] - 1, 0, ALSO_MAX).astype(np.int8)
        least = np.minimum(shared["device_left"], shared["device_right"])
        shared["device_alone"] = ((shared["device_use"] == WHOLLY_USED) & (least >= ALONE_USES)).astype(np.int8)
        shared["sat"] = self._sat(shared, least)
        return shared

    def _sat(self, shared: pd.DataFrame, least: Ints) -> npt.NDArray[np.int8]:
        """How often two sat down at one device together, of those who used what they share often enough to tell: 1 on
        few days, 2 on several, 3 on many, where these are a quarter of the uses of the one who comes less."""
        sat = np.zeros(len(shared), dtype=np.int8)
        often = np.flatnonzero(least >= SITTINGS[0])
        if len(often):
            met = (
                shared[["a", "b"]]
                .iloc[often]
                .assign(row=often)
                .merge(self.evidence.sittings(shared[["a", "b"]].iloc[often]), on=["a", "b"])
            )
            rows, days = met["row"].to_numpy(), met["days"].to_numpy()
            level = np.searchsorted(SITTINGS, days, side="right")
            sat[rows] = np.where(days >= SITTING_SHARE * least[rows], level, 0)
        return sat

    def _weigh(self, as_of: pd.Timestamp, kept: Ints) -> Ints:
        """Weighs the pairs that are new or of which something that decides has changed; `kept` are the former rows of
        the first pairs. Answers the rows of those that weigh otherwise now."""
        population = self.evidence.population()
        crowded = population.birth_holders > population.births_at_most(self.terms.birth_dates)
        offered = crowded[self.pairs["a"].to_numpy()] | crowded[self.pairs["b"].to_numpy()]
        self.births_told = ~offered | (self.pairs["birth"].to_numpy() == SAME_BIRTH)
        pairs, day = self._told(), int(as_of.timestamp() // 86_400)
        terms, crowds, marks = fit(pairs, self.strangers, population, self.terms, day)
        deciding = Weighed(alike_for_all(population, terms), marks)
        rows = np.arange(len(self.pairs))
        if deciding.alike == self.weighed.alike:
            same = deciding.pairs[: len(kept)] == self.weighed.pairs[kept]
            rows = np.append(np.flatnonzero(~same), rows[len(kept) :])
        before = [column[kept] for column in self.weights]
        new = self._weights_of_sorts(
            rows,
            deciding.pairs[rows],
            lambda some: weigh(
                pairs.iloc[some], population, terms, day, {kind: bits[some] for kind, bits in crowds.items()}
            ),
        )
        grown = [np.append(column, np.zeros(len(self.pairs) - len(kept))) for column in before]
        for column, fresh in zip(grown, new, strict=True):
            column[rows] = fresh
        self.weights, self.weighed = Weights(*grown), deciding
        further, self.further_bits = self.further_bits, further_bits(pairs, self.weights.bits, terms)
        if further != self.further_bits:
            return np.arange(len(kept))
        moved = [now[: len(kept)] != then for now, then in zip(self.weights, before, strict=True)]
        return np.flatnonzero(np.logical_or.reduce(moved))

    def _told(self) -> pd.DataFrame:
        """The pairs; that one has another birth date than one that many give says nothing."""
        births = np.where(self.births_told, self.pairs["birth"], -1).astype(np.int8)
        return self.pairs.assign(birth=births)

    def _weights_of_sorts(self, rows: Ints, marks: Marks, weights_of: Callable[[Ints], Weights]) -> list[Floats]:
        """The weights of rows of pairs, of which those of one mark weigh the same, so that one of them is weighed."""
        first, number = sorts_of(marks)
        with ThreadPoolExecutor(self.threads) as pool:
            parts = list(pool.map(weights_of, np.array_split(rows[first], self.threads)))
        return [np.concatenate(column)[number] for column in zip(*parts, strict=True)]

    def _read_judgements(self, judgements: pd.DataFrame | None) -> Judgements:
        if judgements is None or judgements.empty:
            return Judgements()
        numbers = self.evidence.numbers(pd.concat([judgements["trader_a"], judgements["trader_b"]]))
        rows = [
            (min(numbers[a], numbers[b]), max(numbers[a], numbers[b]), said)
            for a, b, said in judgements[["trader_a", "trader_b", "judgement"]].itertuples(index=False)
            if a in numbers and b in numbers and a != b
        ]
        different = frozenset((a, b) for a, b, said in rows if said == "different")
        return Judgements(tuple(sorted({(a, b) for a, b, said in rows if said == "same"})), different)

    def _touched(self, moved: Ints, old: Judgements, *, everyone: bool) -> npt.NDArray[np.bool_]:
        """Traders with a pair that appeared, went or weighs otherwise (rows of pairs), or that a judgement names."""
        touched = np.full(self.evidence.traders(), everyone)
        if everyone:
            return touched
        touched[self.evidence.touched()] = True
        touched[len(self.firsts[0]) :] = True
        touched[self.pairs["a"].to_numpy()[moved]] = True
        touched[self.pairs["b"].to_numpy()[moved]] = True
        for pair in (set(old.same) ^ set(self.judgements.same)) | (old.different ^ self.judgements.different):
            touched[list(pair)] = True
        return touched

    def _regroup(self, touched: npt.NDArray[np.bool_]) -> Ints:
        """Groups again every part that holds a touched trader, before or now."""
        traders = self.evidence.traders()
        grown = [np.append(first, np.arange(len(first), traders)) for first in self.firsts]
        pairs = Pairs(self.pairs["a"].to_numpy(), self.pairs["b"].to_numpy(), *self.weights)
        marked = np.zeros(traders, dtype=np.bool_)
        marked[grown[2][touched]] = True
        touched |= marked[grown[2]]
        levels = [bits_of(p) for p in (self.terms.strict_min, self.terms.middle_min, self.terms.loose_min)]
        firsts, regrouped, log = group(
            traders,
            pairs,
            order=self.evidence.places,
            judgements=self.judgements,
            levels=levels,
            absent_bits=self.terms.absent_pair_bits,
            further_bits=self.further_bits,
            bits_max=self.terms.bits_max,
            only=touched,
        )
        self.firsts = [np.where(regrouped, new, old) for new, old in zip(firsts, grown, strict=True)]
        self.collided = {pair for pair in self.collided if not regrouped[pair[0]]} | set(log)
        return np.flatnonzero(regrouped)

    def _collisions(self, trader_ids: Sequence[str]) -> list[str]:
        return [
            f"the judgement that {trader_ids[a]} and {trader_ids[b]} are the same contradicts another and does not hold"
            for a, b in sorted(self.collided)
        ]

    def _people(self) -> pd.DataFrame:
        people: pd.DataFrame = self.evidence.con.execute("select trader_id from people order by trader_no").df()
        return people


def resolve(
    facts: IdentityFacts,
    *,
    terms: IdentityTerms = DEFAULT_TERMS,
    previous: pd.DataFrame | None = None,
    judgements: pd.DataFrame | None = None,
    as_of: datetime | pd.Timestamp,
) -> Identity:
    """Who is who among all traders of a firm; the same facts give the same answer in whatever order the rows come.

    `previous`: trader_id, owner_id of the last run; `judgements`:
    trader_a, trader_b, judgement ('same' or 'different').
    """
    book = IdentityBook(terms)
    book.add(facts, as_of=as_of, judgements=judgements)
    return book.identity(previous)
