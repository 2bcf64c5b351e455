"""Speed of identity: a whole firm, then some traders more, beside Splink alone and networkx components, in one run."""

import argparse
import resource
import time
from collections.abc import Callable

import pandas as pd

from benchmarks.quality.identity import by_components, by_splink, line, splink_people
from benchmarks.quality.identity_firms import END, FIRMS, make_firm
from models.identity import IdentityBook, IdentityFacts


def part(facts: IdentityFacts, chosen: set[str]) -> IdentityFacts:
    """The records of some traders."""
    accounts = facts.accounts[facts.accounts["trader_id"].isin(chosen)]
    return IdentityFacts(
        traders=facts.traders[facts.traders["trader_id"].isin(chosen)],
        logins=facts.logins[facts.logins["trader_id"].isin(chosen)],
        payments=facts.payments[facts.payments["trader_id"].isin(chosen)],
        challenges=facts.challenges[facts.challenges["trader_id"].isin(chosen)],
        accounts=accounts,
        payouts=facts.payouts[facts.payouts["account_id"].isin(accounts["account_id"])],
    )


def timed(what: str, run: Callable[[], object]) -> None:
    """Prints wall and processor seconds of one step; on a busy machine the second is the one to compare."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    print(
        f"{what:<58}{time.perf_counter() - wall:9.2f} s wall {time.process_time() - processor:9.2f} s processor",
        flush=True,
    )


def main() -> None:
    """Prints one line per step, then the quality of the result and the memory used."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=1_000_000)
    arguments.add_argument("--more", type=int, default=10_000)
    arguments.add_argument("--alone", action="store_true", help="without Splink alone and networkx components")
    given = arguments.parse_args()
    facts, truth = make_firm(given.people, 1, FIRMS[0])
    late = set(facts.traders["trader_id"].tail(given.more))
    first, second = part(facts, set(facts.traders["trader_id"]) - late), part(facts, late)
    book = IdentityBook()
    timed(f"highwater: {len(first.traders):,} traders, links and owners found", lambda: book.add(first, as_of=END))
    timed("highwater: both tables written out", book.identity)
    timed(f"highwater: {len(late):,} traders more", lambda: book.add(second, as_of=END))
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB at most")
    owners = book.identity().owners.set_index("trader_id")["owner_id"]
    print(pd.Series(line("", "highwater", owners, truth, 0.0)).drop(["firm", "seconds"]).to_string())
    if not given.alone:
        timed("networkx components over shared values", lambda: by_components(facts))
        timed("Splink alone over person columns", lambda: by_splink(splink_people(facts.traders)))


if __name__ == "__main__":
    main()
