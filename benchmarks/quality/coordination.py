"""Precision and recall of the coordination search on made-up firms, beside naive baselines.

The weights of the search were set while looking at the named firms (seeds 1 to 151): other seeds of them show that it
does not hang on one draw, not that it knows other mechanics. `drawn` firms mix mechanics at random, in `market` firms
all act on one price path, in `poisson` firms people enter at random among robots, rooms, news and copiers, in `ledger`
firms the price itself draws strangers in and leaders have many followers, chains or turncoats, in `levels` firms orders
wait at public levels, robot families are small and rings lead by turns.

Run from the root: python -m benchmarks.quality.coordination [--seeds 101 102] [--firms plain small] [--commands]

With `--commands` every firm is written as a feed and goes through `highwater ingest`, `score` and `export`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.quality.coordination_feed import through_commands
from benchmarks.quality.coordination_firms import FIRMS, Firm, make_firm, mechanics_of
from benchmarks.quality.coordination_ledger import make_ledger_firm
from benchmarks.quality.coordination_levels import make_levels_firm
from benchmarks.quality.coordination_market import make_market_firm
from benchmarks.quality.coordination_poisson import make_poisson_firm
from models.coordination import Coordination, find_coordination

Pair = tuple[str, str]


def key(a: str, b: str) -> Pair:
    """A pair without direction."""
    return (a, b) if a < b else (b, a)


def siblings(firm: Firm) -> set[Pair]:
    """Followers of one leader: they do trade together through it, so flagging them counts neither way."""
    followers: dict[str, set[str]] = defaultdict(set)
    for p in firm.truth.pairs:
        followers[p["leader"]].add(p["follower"])
    joined = {key(a, b) for group in followers.values() for a in group for b in group if a < b}
    joined |= {key(a, b) for ring in firm.truth.rings for a in ring for b in ring if a < b}
    # Those who copy a member of a room also follow what the member follows.
    return joined | _inherited(firm)


def _inherited(firm: Firm) -> set[Pair]:
    """Pairs of a room member and a copier of another member of that room."""
    rooms: dict[str, set[str]] = defaultdict(set)
    for group in firm.truth.shared:
        for account in group["accounts"]:
            rooms[account] |= set(group["accounts"])
    return {key(other, p["follower"]) for p in firm.truth.pairs for other in rooms[p["leader"]] if other != p["leader"]}


def score_pairs(firm: Firm, flagged: set[Pair], relation: str) -> dict[str, float]:
    """Counts of true, false and missed pairs of one relation; siblings are left out of both."""
    truth = {key(p["leader"], p["follower"]) for p in firm.truth.pairs if p["relation"] == relation}
    any_truth = {key(p["leader"], p["follower"]) for p in firm.truth.pairs}
    few = {key(p["leader"], p["follower"]) for p in firm.truth.pairs if p["relation"] == relation and p["few"]}
    wrong = flagged - truth - (siblings(firm) - any_truth)
    innocent = {a for pair in wrong for a in pair} - {a for pair in any_truth for a in pair}
    return {
        "true": len(truth & flagged),
        "missed": len(truth - flagged),
        "false": len(wrong),
        "few": len(few),
        "few_found": len(few & flagged),
        "innocent_flagged": len(innocent),
    }


def score_details(firm: Firm, found: Coordination) -> dict[str, float]:
    """Right leaders, lags within 2 % and within 10 %, over the flagged true pairs; accounts wrongly in a ring."""
    flagged = found.pairs[found.pairs["strength"] >= 0.5]
    truth = {key(p["leader"], p["follower"]): p for p in firm.truth.pairs}
    rows = [(truth[pair], r) for r in flagged.itertuples() if (pair := (str(r.account_a), str(r.account_b))) in truth]
    ordered = [(t, r) for t, r in rows if t["ordered"]]
    off = np.array([abs(r.lag_ms - t["lag_ms"]) / max(t["lag_ms"], 1.0) for t, r in ordered])
    slack = 500 * firm.accounts.set_index("account_id")["step_s"]  # half a step of a clock, in ms
    coarse = np.array([max(slack[r.account_a], slack[r.account_b], 2) / max(t["lag_ms"], 1.0) for t, r in ordered])
    involved = {a for pair in truth for a in pair}
    rings = set(found.rings.loc[found.rings["kind"] == "ring", "account_id"])
    named = set(found.rings.loc[found.rings["kind"] == "shared_strategy", "account_id"])
    sharing = {a for group in firm.truth.shared for a in group["accounts"]}
    return {
        "pairs": len(rows),
        "ordered": len(ordered),
        "leader_right": sum(t["leader"] == r.leader for t, r in ordered),
        "lag_2pc": int((off <= 0.02).sum()),
        "lag_2pc_or_rounding": int((off <= np.maximum(0.02, coarse)).sum()),
        "lag_10pc": int((off <= 0.10).sum()),
        "ring_strangers": len(rings - involved),
        "sharing": len(sharing),
        "sharing_named": len(sharing & named),
        "named_wrongly": len(named - sharing - involved),
    }


def coincidences(trades: pd.DataFrame, window_s: float) -> pd.DataFrame:
    """Per pair and relation: how many entries lie within the window, by a bucketed join."""
    at = trades["opened_at"].astype("int64") / 1e6
    left = pd.DataFrame(
        {
            "a": trades["account_id"],
            "i": trades["instrument"],
            "s": trades["side"] == "buy",
            "t": at,
            "n": range(len(at)),
        }
    )
    left["k"] = (at // window_s).astype("int64")
    right = pd.concat([left.assign(k=left["k"] + step) for step in (-1, 0, 1)])
    both = left.merge(right, on=["i", "k"], suffixes=("", "_b"))
    both = both[(both["a"] < both["a_b"]) & ((both["t"] - both["t_b"]).abs() <= window_s)]
    both["relation"] = np.where(both["s"] == both["s_b"], "copy", "mirror")
    return both.groupby(["a", "a_b", "relation"])["n"].nunique().rename("count").reset_index()


def baselines(firm: Firm, window_s: float = 5.0) -> dict[str, dict[str, set[Pair]]]:
    """What fixed thresholds would flag, per relation: a raw count, a share of the entries, a correlation of minutes."""
    counts = coincidences(firm.trades, window_s)
    size = firm.trades["account_id"].value_counts()
    smaller = np.minimum(counts["a"].map(size), counts["a_b"].map(size))
    product = np.sqrt(counts["a"].map(size).astype(float) * counts["a_b"].map(size))
    rules = {
        "raw count >= 8": counts["count"] >= 8,
        "share >= 50 %": (counts["count"] / smaller >= 0.5) & (counts["count"] >= 5),
        "correlation >= 0.3": (counts["count"] / product >= 0.3) & (counts["count"] >= 5),
    }
    return {name: _by_relation(counts[kept]) for name, kept in rules.items()}


def _by_relation(rows: pd.DataFrame) -> dict[str, set[Pair]]:
    """Pairs of a table by relation."""
    return {
        relation: set(zip(part["a"], part["a_b"], strict=True))
        for relation in ("copy", "mirror")
        for part in [rows[rows["relation"] == relation]]
    }


def ours(found: Coordination) -> dict[str, set[Pair]]:
    """The flagged pairs of the search by relation."""
    flagged = found.pairs[found.pairs["strength"] >= 0.5].rename(columns={"account_a": "a", "account_b": "a_b"})
    return _by_relation(flagged)


def ratios(row: pd.Series) -> pd.Series:
    """Precision, recall and F1 of summed counts; nothing to find and nothing found is perfect."""
    precision = row["true"] / max(row["true"] + row["false"], 1) if row["true"] + row["false"] else 1.0
    recall = row["true"] / (row["true"] + row["missed"]) if row["true"] + row["missed"] else 1.0
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    few = row["few_found"] / row["few"] if row["few"] else np.nan
    return pd.Series({"precision": precision, "recall": recall, "F1": f1, "recall 8-14": few})


FAMILIES: dict[str, Callable[[int], Firm]] = {
    "market": make_market_firm,
    "poisson": make_poisson_firm,
    "ledger": make_ledger_firm,
    "levels": make_levels_firm,
}


def firm_of(name: str, seed: int) -> Firm:
    """A firm of named mechanics, of drawn ones, or one of another family."""
    return FAMILIES[name](seed) if name in FAMILIES else make_firm(mechanics_of(name, seed), seed)


def found_in(firm: Firm, commands: bool) -> Coordination:
    """What the search finds in a firm, called directly or through a feed and the commands."""
    if commands:
        with tempfile.TemporaryDirectory() as folder:
            return through_commands(firm, Path(folder))
    return find_coordination(firm.trades, owners=firm.owners, news=firm.news, accounts=firm.accounts)


def run(names: list[str], seeds: list[int], *, commands: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores every firm and seed: pairs by method and relation, and details of the search."""
    pairs, details = [], []
    for name in names:
        for seed in seeds:
            firm = firm_of(name, seed)
            started = time.perf_counter()
            found = found_in(firm, commands)
            seconds = time.perf_counter() - started
            details.append({"firm": name, "seed": seed, "seconds": seconds, **score_details(firm, found)})
            accounts = firm.trades["account_id"].nunique()
            for method, flagged in {"highwater": ours(found), **baselines(firm)}.items():
                for relation in ("copy", "mirror"):
                    row = score_pairs(firm, flagged[relation], relation)
                    pairs.append(
                        {
                            "method": method,
                            "relation": relation,
                            "firm": name,
                            "seed": seed,
                            "accounts": accounts,
                            **row,
                        }
                    )
    return pd.DataFrame(pairs), pd.DataFrame(details)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=[101, 102])
    parser.add_argument("--firms", nargs="*", default=[*FIRMS, "drawn", *FAMILIES])
    parser.add_argument("--commands", action="store_true", help="through a feed, ingest, score and export")
    options = parser.parse_args()
    pairs, details = run(options.firms, options.seeds, commands=options.commands)
    counted = ["true", "missed", "false", "few", "few_found", "innocent_flagged"]
    total = pairs.groupby(["method", "relation"])[[*counted, "accounts"]].sum()
    print(pd.concat([total, total.apply(ratios, axis=1).round(4)], axis=1).to_string())
    by_firm = pairs[pairs["method"] == "highwater"].groupby(["firm", "relation"])[counted].sum()
    print(pd.concat([by_firm, by_firm.apply(ratios, axis=1).round(4)], axis=1).to_string())
    print(details.groupby("firm").sum().drop(columns="seed").round(1).to_string())


if __name__ == "__main__":
    main()
