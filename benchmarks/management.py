"""Commissions of a million events from the start: `python -m benchmarks.management [events]`."""

from __future__ import annotations

import datetime as dt
import sys

import numpy as np
import pandas as pd

from benchmarks.measure import child, machine, report, table
from models.commissions import load_plans, settle

PARTNERS = 2_000
NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)


def firm(events: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Events, credits, tree and rates of a firm in which four in ten events are purchases."""
    rng = np.random.default_rng(7)
    sales = max(int(events * 0.4), 1)
    bought = np.sort(rng.integers(0, 540 * 86_400, sales))
    on = rng.integers(0, sales, events - sales)
    kinds = rng.choice(
        ["pass", "funded", "profit_share", "refund", "chargeback"], len(on), p=[0.3, 0.3, 0.3, 0.07, 0.03]
    )
    fees = rng.choice([49.0, 155.0, 345.5, 540.0, 1080.0], sales)
    start = np.datetime64("2025-01-01", "us")
    seconds = np.concatenate([bought, bought[on] + rng.integers(3600, 40 * 86_400, len(on))])
    challenge = np.concatenate([np.arange(sales), on])
    told = pd.DataFrame(
        {
            "event_id": np.arange(events).astype(str),
            "kind": np.concatenate([np.full(sales, "purchase"), kinds]),
            "challenge_id": "C" + pd.Series(challenge).astype(str),
            "trader_id": "T" + pd.Series(challenge // 3).astype(str),
            "happened_at": pd.Series(start + seconds.astype("timedelta64[s]")).dt.tz_localize("UTC"),
            "amount": fees[challenge],
            "currency": pd.Series(np.array(["USD", "EUR", "GBP"])[challenge % 3]),
        }
    )
    names = np.array([f"P{n}" for n in range(PARTNERS)], dtype=object)
    credited = pd.DataFrame({"challenge_id": [f"C{n}" for n in range(sales)], "share": 1.0, "held_because": None})
    credited["partner_id"] = names[rng.zipf(1.5, sales) % PARTNERS]
    above = [None if n == 0 or rng.random() < 0.5 else names[int(rng.integers(n))] for n in range(PARTNERS)]
    plans = rng.choice(["cpa", "revshare", "hybrid", "tiered"], PARTNERS)
    tree = pd.DataFrame({"partner_id": names, "parent_partner_id": above, "plan": plans, "effective_from": pd.NaT})
    rates = pd.DataFrame({"currency": ["EUR", "GBP"], "day": [dt.date(2025, 1, 1)] * 2, "rate_to_usd": [1.1, 1.3]})
    return told, credited, tree, rates


def work(events: int) -> None:
    """Times one recalculation in this process."""
    told, credited, tree, rates = firm(events)
    small = firm(100)
    plans = load_plans()
    report(
        lambda: len(settle(told, credited, tree, plans, NOW, rates=rates).entries),
        lambda: settle(*small[:3], plans, NOW, rates=small[3]),
    )


def main(events: int) -> None:
    """Prints a table."""
    done = child("benchmarks.management", "--child", str(events))
    print(machine("numba", "numpy", "pandas"))
    line = [f"{events:,}", f"{done.answer:,}", f"{done.seconds:.1f} s", f"{done.peak_mb:,.0f} MB"]
    print(table(["commission events", "entries", "from the start", "peak memory"], [line]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        work(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
