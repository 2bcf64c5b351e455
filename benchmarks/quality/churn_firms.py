"""Made-up purchase and trading histories for measuring churn: people with their own rhythm who leave for good
some day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models.churn import History

START = pd.Timestamp("2025-06-01", tz="UTC")


def make_history(traders: int, days: int, seed: int, stays_days: float = 40.0) -> History:
    """A firm's history: fast and slow people, luck that keeps them, breaches that some answer and some do not.

    `stays_days` is how long the unlucky stay before they lose heart.
    Who is fast, lucky or stubborn is not in the records; only what they do is.
    """
    rng = np.random.default_rng(seed)
    purchases: list[tuple[Any, ...]] = []
    active: list[tuple[Any, ...]] = []
    for k in range(traders):
        person, at = f"T{k:05d}", float(rng.uniform(0, days * 0.9))
        rhythm, stubborn, luck = float(rng.beta(1.2, 3)), float(rng.beta(1.5, 2)), float(rng.normal(0, 0.004))
        while at < days:
            length = float(rng.exponential(35 if luck > 0 else 18)) + 1
            quits = at + float(rng.exponential(stays_days + 400 * max(luck, 0) * 10))
            ends = min(at + length, quits)
            for day in range(int(at), int(min(ends, days))):
                if rng.random() < rhythm:
                    result = float(rng.normal(luck, 0.01))
                    active.append((person, START + pd.Timedelta(days=day), int(rng.poisson(3)) + 1, result, 1))
            breached = START + pd.Timedelta(days=ends) if ends == at + length and ends < days else pd.NaT
            over = START + pd.Timedelta(days=min(at + length, days + 1))
            purchases.append(
                (f"C{len(purchases)}", person, START + pd.Timedelta(days=at), 300.0, breached, over, pd.NaT)
            )
            if ends != at + length or rng.random() > stubborn ** (40 / stays_days):
                break
            at = ends + float(rng.exponential(6))
    names = ["challenge_id", "trader_id", "purchased_at", "fee", "breached_at", "ended_at", "paying_at"]
    bought = pd.DataFrame(purchases, columns=names)
    for name in names[4:]:
        bought[name] = pd.to_datetime(bought[name], utc=True)
    trader_days = pd.DataFrame(active, columns=["trader_id", "day", "entries", "result", "sign_ins"])
    return History(bought, trader_days, pd.DataFrame({"trader_id": [], "settled_at": pd.to_datetime([], utc=True)}))
