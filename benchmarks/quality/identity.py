"""Precision and recall of identity on made-up firms and on FEBRL4, beside Splink alone and plain connected components."""

import argparse
import time

import numpy as np
import pandas as pd

from benchmarks.quality.identity_firms import END, FIRMS, make_firm
from models.identity import IdentityFacts, resolve


def pair_counts(found: pd.Series, truth: pd.Series) -> tuple[int, int, int]:
    """Pairs found and true, pairs found, pairs true; both series map trader to group."""
    both = pd.DataFrame({"found": found.reindex(truth.index), "truth": truth})
    return tuple(int((n * (n - 1) // 2).sum()) for n in (  # type: ignore[return-value]
        both.groupby(["found", "truth"]).size(), both.groupby("found").size(), both.groupby("truth").size()
    ))  # fmt: skip


def innocents_merged(found: pd.Series, truth: pd.Series) -> float:
    """Traders with no other trader of their own who share an owner with somebody, per 10,000 traders."""
    alone = ~truth.duplicated(keep=False)
    sizes = found.reindex(truth.index).map(found.value_counts())
    return float((alone & (sizes > 1)).sum() / len(truth) * 10_000)


def report(name: str, found: pd.Series, truth: pd.Series, seconds: float) -> dict[str, object]:
    """One line of the table."""
    hit, said, real = pair_counts(found, truth)
    precision, recall = hit / max(said, 1), hit / max(real, 1)
    f1 = 2 * hit / (said + real) if said + real else 1.0
    return {"firm": name, "precision": precision, "recall": recall, "f1": f1, "pairs": real,
        "innocents_per_10k": innocents_merged(found, truth), "seconds": seconds}  # fmt: skip


def owners_of(facts: IdentityFacts) -> pd.Series:
    owners = resolve(facts, as_of=END).owners
    return owners.set_index("trader_id")["owner_id"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=10_000)
    arguments.add_argument("--seeds", type=int, nargs="*", default=[1, 2])
    given = arguments.parse_args()
    rows = []
    for how in FIRMS:
        for seed in given.seeds:
            facts, truth = make_firm(given.people, seed, how)
            started = time.perf_counter()
            rows.append(report(f"{how.name} #{seed}", owners_of(facts), truth, time.perf_counter() - started))
    print(pd.DataFrame(rows).round(4).to_string(index=False))
    _ = np


if __name__ == "__main__":
    main()
