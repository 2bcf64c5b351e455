"""Protects: who is flagged as trading together, and who must never be."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.coordination import find_coordination

START = pd.Timestamp("2026-03-02", tz="UTC")
OPEN_S = 20 * 86_400


def trades_of(
    account: str, opened_s: np.ndarray, held_s: np.ndarray | float, buy: np.ndarray, instrument: str = "EURUSD"
) -> pd.DataFrame:
    """Trades of one account on one instrument."""
    return pd.DataFrame(
        {
            "account_id": account,
            "trade_id": [f"{account}-{i}" for i in range(len(opened_s))],
            "instrument": instrument,
            "side": np.where(buy, "buy", "sell"),
            "lots": 1.0,
            "opened_at": (START + pd.to_timedelta(opened_s, unit="s")).astype("datetime64[us, UTC]"),
            "closed_at": (START + pd.to_timedelta(opened_s + held_s, unit="s")).astype("datetime64[us, UTC]"),
        }
    )


def strangers(rng: np.random.Generator, count: int, entries: int = 40) -> list[pd.DataFrame]:
    """Accounts that trade at random."""
    return [
        trades_of(
            f"s{i:03d}", rng.uniform(0, OPEN_S, entries), rng.exponential(3000, entries), rng.random(entries) < 0.5
        )
        for i in range(count)
    ]


def flagged(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Flagged pairs of a firm of these accounts."""
    found = find_coordination(pd.concat(frames, ignore_index=True), owners={})
    return found.pairs[found.pairs["strength"] >= 0.5]


def test_a_follower_is_flagged_with_its_leader_and_lag() -> None:
    rng = np.random.default_rng(1)
    at, held, buy = rng.uniform(0, OPEN_S, 30), rng.exponential(3000, 30), rng.random(30) < 0.5
    copy = trades_of("b-follower", at + 3.0 + rng.normal(0, 0.2, 30), held, buy)
    pairs = flagged([*strangers(rng, 60), trades_of("a-leader", at, held, buy), copy])
    assert pairs[["account_a", "account_b", "relation", "leader"]].values.tolist() == [
        ["a-leader", "b-follower", "copy", "a-leader"]
    ]
    assert abs(pairs["lag_ms"].iat[0] - 3000) < 150


def test_strangers_are_not_flagged() -> None:
    assert flagged(strangers(np.random.default_rng(2), 200)).empty
