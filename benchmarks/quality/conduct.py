"""Precision and recall of each conduct detector on firms it was not tuned on, beside a naive threshold.

Run from the root: python -m benchmarks.quality.conduct [--seeds 1 2] [--firms strict wide] [--wrong]
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import duckdb
import pandas as pd
from scipy.stats import beta

from benchmarks.quality.conduct_firms import FIRMS, PLANTED, Firm, make_firm
from models.detectors import detect_all

NAIVE = {
    "latency_arbitrage": "select account_id from detectors.positions group by 1 having median(hold_s) < 60",
    "tick_scalping": "select account_id from detectors.positions group by 1 having avg((hold_s < 60)::int) > 0.5",
    "news_straddling": "select account_id from detectors.news_entries group by 1 having count(distinct event_id) >= 5",
    "all_in": "select account_id from detectors.stakes group by 1 having max(stake / allowance) > 0.7",
    "martingale": "select account_id from detectors.martingale where raised_after_loss >= 3",
    "grid": "select account_id from detectors.grid where layers_max >= 3",
    "payout_gaming": "select account_id from detectors.payout_gaming where filler_days >= 1",
    "account_passing": "select account_id from detectors.account_passing"
    " where devices_new > 0 or country_before <> country_after",
    "kyc_mismatch": "select distinct trader_id from staging.logins join staging.traders using (trader_id)"
    " where logins.country <> traders.country",
    "chargeback_abuse": "select trader_id from detectors.chargeback_abuse",
    "challenge_farming": "select trader_id from detectors.purchases group by 1 having count(*) >= 4",
    "recurring_breaches": "select trader_id from detectors.purchases where breached_at is not null group "
    "by 1 having count(*) >= 3",
}  # fmt: skip


def counts(found: set[str], planted: set[str]) -> tuple[int, int, int]:
    """True, false and missed ones."""
    return len(found & planted), len(found - planted), len(planted - found)


def naive(connection: duckdb.DuckDBPyConnection, kind: str) -> set[str]:
    """Whom a single threshold flags, over the same measurements."""
    return {str(row[0]) for row in connection.execute(NAIVE[kind]).fetchall()}


def rate(hits: int, misses: int) -> str:
    """A share with its 95 % interval (Clopper-Pearson)."""
    total = hits + misses
    if total == 0:
        return "-"
    low = beta.ppf(0.025, hits, misses + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, misses) if misses else 1.0
    return f"{hits / total:.2f} ({low:.2f}-{high:.2f})"


def wrong(firm: Firm, signals: pd.DataFrame, kind: str) -> list[str]:
    """What the detector said about those it got wrong."""
    named = {subject: name for name, subjects in firm.look_alikes.items() for subject in subjects}
    named |= {subject: name for name, subjects in firm.planted.items() for subject in subjects}
    rows = signals[signals["detector"] == kind].set_index("subject_id")
    said = {str(subject): str(text)[:400] for subject, text in rows["evidence"].items()}
    flagged = set(rows.index[rows["strength"] >= 0.5])
    planted = firm.planted.get(kind, set())
    told = [f"  false {s} ({named.get(s, 'ordinary')}): {said[s]}" for s in sorted(flagged - planted)]
    return told + [f"  missed {s}: {said.get(s, 'no row')}" for s in sorted(planted - flagged)]


def main() -> None:
    """Prints one line per detector over all firms and seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101])
    parser.add_argument("--firms", nargs="+", default=[firm.name for firm in FIRMS])
    parser.add_argument("--wrong", action="store_true", help="tell what was said about those who were judged wrongly")
    chosen = parser.parse_args()
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for place, mechanics in enumerate(firm for firm in FIRMS if firm.name in chosen.firms):
        for seed in chosen.seeds:
            firm = make_firm(mechanics, 10 * seed + place)
            connection, started = firm.engine(), time.perf_counter()
            signals, _ = detect_all(connection, firm.as_of)
            print(f"{mechanics.name} {seed}: {len(firm.rows['deals']):,} deals, {time.perf_counter() - started:.1f} s")
            for kind in PLANTED:
                rows = signals[(signals["detector"] == kind) & (signals["strength"] >= 0.5)]
                planted = firm.planted.get(kind, set())
                for how, found in (("ours", set(rows["subject_id"])), ("naive", naive(connection, kind))):
                    totals[kind, how] = [a + b for a, b in zip(totals[kind, how], counts(found, planted), strict=True)]
                if chosen.wrong:
                    print(*[kind, *wrong(firm, signals, kind)], sep="\n")
    print("| detector | planted | recall | precision | naive recall | naive precision |\n|---|---|---|---|---|---|")
    for kind in PLANTED:
        (hit, false, missed), (naive_hit, naive_false, naive_missed) = totals[kind, "ours"], totals[kind, "naive"]
        cells = (
            hit + missed,
            rate(hit, missed),
            rate(hit, false),
            rate(naive_hit, naive_missed),
            rate(naive_hit, naive_false),
        )
        print(f"| {kind} | " + " | ".join(str(cell) for cell in cells) + " |")


if __name__ == "__main__":
    main()
