"""Realised false discoveries of the coordination search against the nominal rate, as a table and a picture.

A pair is falsely discovered when neither a planted relation nor a common source joins its two accounts: what is left is
chance, whose share the q-values promise to bound. Pairs are counted before anything is weighed, so that it is the
chance model that is measured; the last column adds the weighing (strength of at least one half).

Run from the root: python -m benchmarks.quality.coordination_discovery [--seeds 1 2]
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from benchmarks.quality.coordination import firm_of, key, siblings
from benchmarks.quality.coordination_firms import Firm
from models.coordination.candidates import find_candidates
from models.coordination.chance import log_q_values
from models.coordination.entries import sort_entries
from models.coordination.pairs import judge_pairs
from models.coordination.search import find_coordination
from models.coordination.terms import CoordinationTerms

RATES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2)
FIRMS = ("plain", "busy_gold", "bursts", "drawn", "market")


def joined(firm: Firm) -> set[tuple[str, str]]:
    """Pairs that something other than chance joins: planted, through a leader, or by a common strategy."""
    planted = {key(p["leader"], p["follower"]) for p in firm.truth.pairs}
    shared = {key(a, b) for g in firm.truth.shared for a in g["accounts"] for b in g["accounts"] if a < b}
    return planted | shared | siblings(firm)


def discoveries(name: str, seed: int) -> pd.DataFrame:
    """Discoveries of one firm at each nominal rate: all, false by chance, and flagged pairs that are false."""
    firm, terms = firm_of(name, seed), CoordinationTerms(q_max=max(RATES))
    entries = sort_entries(firm.trades, firm.news, terms, [])
    if entries is None:
        return pd.DataFrame()
    tests = len(entries.accounts) * (len(entries.accounts) - 1.0)
    pairs, _ = find_candidates(entries, terms, [])
    log_q = log_q_values(judge_pairs(entries, pairs, tests, terms)[:, 4], tests)
    names = entries.accounts.astype(str)
    known = joined(firm)
    false = np.array([key(names[a], names[b]) not in known for a, b, _ in pairs.tolist()], dtype=bool)
    rows = []
    for rate in RATES:
        found = find_coordination(
            firm.trades,
            owners=firm.owners,
            news=firm.news,
            accounts=firm.accounts,
            terms=CoordinationTerms(q_max=rate),
        ).pairs
        flagged = found[found["strength"] >= 0.5]
        wrong = sum((a, b) not in known for a, b in zip(flagged["account_a"], flagged["account_b"], strict=True))
        kept = log_q <= math.log(rate)
        rows.append((name, rate, int(kept.sum()), int((kept & false).sum()), len(flagged), wrong))
    return pd.DataFrame(rows, columns=["firm", "nominal", "beyond chance", "false", "flagged", "flagged falsely"])


def summed(tables: pd.DataFrame) -> pd.DataFrame:
    """Counts of all firms by nominal rate with the realised rates."""
    total = tables.groupby("nominal", as_index=False).sum(numeric_only=True)
    total["realised"] = total["false"] / total["beyond chance"].clip(lower=1)
    total["realised when flagged"] = total["flagged falsely"] / total["flagged"].clip(lower=1)
    return total


def picture(by_kind: dict[str, pd.DataFrame]) -> go.Figure:
    """Realised against nominal rate by kind of firm, with the line on which they would be equal."""
    figure = go.Figure()
    figure.add_scatter(x=RATES, y=RATES, mode="lines", name="as promised", line={"dash": "dot", "color": "#888"})
    for kind, table in by_kind.items():
        figure.add_scatter(x=table["nominal"], y=table["realised"], mode="lines+markers", name=f"{kind}: beyond chance")
        figure.add_scatter(
            x=table["nominal"], y=table["realised when flagged"], mode="lines+markers", name=f"{kind}: flagged"
        )
    figure.update_xaxes(type="log", title="nominal false discovery rate")
    figure.update_yaxes(title="realised share of false pairs", rangemode="tozero")
    figure.update_layout(title="Are as few discoveries false as the q-values promise?", template="plotly_white")
    return figure


def main() -> None:
    """Prints a table for firms of independent strangers and one for firms with a common price, and draws both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=[61])
    parser.add_argument("--firms", nargs="*", default=list(FIRMS))
    parser.add_argument("--out", default="docs/coordination_discovery.html")
    options = parser.parse_args()
    tables = pd.concat([discoveries(name, seed) for name in options.firms for seed in options.seeds])
    market = tables["firm"] == "market"
    kinds = {"strangers apart": tables[~market], "one price for all": tables[market]}
    by_kind = {kind: summed(part) for kind, part in kinds.items() if len(part)}
    for kind, table in by_kind.items():
        print(f"{kind}\n{table.round(4).to_string(index=False)}")
    picture(by_kind).write_html(options.out, include_plotlyjs="cdn")


if __name__ == "__main__":
    main()
