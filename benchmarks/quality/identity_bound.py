"""What no method could know of the made-up firms of identity: owners who leave nothing in common, and sights that
owners and strangers give alike, with what it would win and cost to join all of each sort."""

import argparse
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.quality.identity import firms
from benchmarks.quality.identity_firms import END
from models.identity import IdentityBook, IdentityFacts
from models.identity.clusters import components
from models.identity.crowds import BARE_SHARE, LARGE, beside, traced
from models.identity.weighing import Explanations

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
TRACES = ("document", "email", "phone", "instrument", "destination", "device", "address", "ip")
SORTS = (
    "lone device or card, no line",
    "lone device or card, one line",
    "several things lent, no line",
    "wallet alone of three to six",
)


def whose(book: IdentityBook, truth: pd.Series) -> Ints:
    """The person behind each trader, by number."""
    ids = book.evidence.con.sql("select trader_id from people order by trader_no").fetchall()
    return np.asarray(pd.factorize(truth.reindex([row[0] for row in ids]).to_numpy())[0], dtype=np.int64)


def alike(pairs: pd.DataFrame) -> Flags:
    """Pairs with anything in common: a value that is no hub, or a field that compares as alike."""
    shared = [pairs[f"{kind}_holders"].to_numpy() > 0 for kind in TRACES]
    fields = {"name": 3, "birth": 2, "email_name": 1, "phone": 1, "address": 1, "document": 1}
    near = [pairs[field].to_numpy() >= level for field, level in fields.items()]
    return np.asarray(np.logical_or.reduce([*shared, *near]), dtype=np.bool_)


def told(facts: IdentityFacts, book: IdentityBook) -> pd.DataFrame:
    """Name and birth date of each trader as they were told, by number, for pairs that nothing proposed."""
    people: pd.DataFrame = book.evidence.con.sql("select trader_id from people order by trader_no").df()
    return people.merge(facts.traders[["trader_id", "full_name", "date_of_birth"]], "left", "trader_id")


def reachable(facts: IdentityFacts, book: IdentityBook, person: Ints) -> tuple[int, int]:
    """True pairs that a chain of things in common leads to, among one person's traders, and all true pairs."""
    a, b = book.pairs["a"].to_numpy(), book.pairs["b"].to_numpy()
    one = alike(book.pairs) & (person[a] == person[b])
    people = told(facts, book)
    names, dates = people["full_name"].to_numpy(), people["date_of_birth"].to_numpy()
    groups = [np.flatnonzero(person == one).tolist() for one in np.flatnonzero(np.bincount(person) > 1)]
    every = np.array([pair for group in groups for pair in combinations(group, 2)], dtype=np.int64).reshape(-1, 2)
    same = np.array([names[x] == names[y] or dates[x] == dates[y] for x, y in every], dtype=np.bool_)
    ends = np.append(a[one], every[same, 0]), np.append(b[one], every[same, 1])
    part = components(len(person), *ends)
    return int((part[every[:, 0]] == part[every[:, 1]]).sum()), len(every)


def by_sort(book: IdentityBook) -> dict[str, Flags]:
    """The pairs of each sort that owners and strangers give alike."""
    pairs, marks = book.pairs, traced(book.pairs)
    day = int(END.timestamp() // 86_400)
    evidence = Explanations(pairs, book.evidence.population(), book.terms, day, {})
    lone, lent = evidence.lone(), evidence.lent()
    wallets = pairs["destination_holders"].between(3, LARGE - 1).to_numpy()
    value = pd.factorize(pairs["destination_value"].to_numpy())[0]
    traces = pd.Series(beside(marks, "destination")[wallets]).groupby(value[wallets]).mean()
    bare = wallets & np.isin(value, traces.index[traces <= BARE_SHARE])
    return dict(zip(SORTS, (lone & lent, lone & ~lent, lent & ~lone, bare), strict=True))


def counts(book: IdentityBook, person: Ints, chosen: Flags) -> dict[str, int]:
    """Of these pairs how many are one person, how many are not, and how many who have no second trader are in those."""
    a, b = book.pairs["a"].to_numpy()[chosen], book.pairs["b"].to_numpy()[chosen]
    one = person[a] == person[b]
    alone = np.bincount(person)[person] == 1
    ends = np.unique(np.append(a[~one], b[~one]))
    return {"one person": int(one.sum()), "two people": int((~one).sum()), "innocents": int(alone[ends].sum())}


def main() -> None:
    """Prints for each family of firms how many true pairs can be reached, then the sorts."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=2_000)
    arguments.add_argument("--seeds", type=int, nargs="*", default=[2024])
    given = arguments.parse_args()
    reached, sorts = [], []
    for seed in given.seeds:
        for number, (name, facts, truth) in enumerate(firms(given.people, seed)):
            family = "first" if number < 10 else "second" if name.startswith("world") else "third"
            book = IdentityBook()
            book.add(facts, as_of=END)
            person = whose(book, truth)
            found, real = reachable(facts, book, person)
            reached.append({"family": family, "traders": len(truth), "true pairs": real, "reachable": found})
            sorts += [{"family": family, "sort": sort} | counts(book, person, c) for sort, c in by_sort(book).items()]
    families = pd.DataFrame(reached).groupby("family").sum()
    families["recall at most"] = families["reachable"] / families["true pairs"]
    families["F1 at most"] = 2 * families["recall at most"] / (1 + families["recall at most"])
    print(families.round(4).to_string())
    table = pd.DataFrame(sorts).groupby(["sort", "family"], sort=False).sum()
    traders = families["traders"].reindex(table.index.get_level_values("family")).to_numpy()
    table["innocents per 10k if joined"] = (table["innocents"] / traders * 10_000).round(1)
    print("\n" + table.to_string())


if __name__ == "__main__":
    main()
