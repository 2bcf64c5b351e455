"""How far payout forecasts are off on made-up firms: `python -m benchmarks.quality.liability [firms of a kind] [seed]`.

Traders of a firm come over time, differ in drift, restlessness, patience and how much they must have before they ask,
and go after a while; an account ends at its floor. Kinds differ in how the firm grows, pays and sets its floor. Nothing
here is known to the forecast or shared with the demo.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from benchmarks.measure import table
from models.liability import back_test

KINDS = ("plain", "growing", "partial", "monthly", "trailing")
ACCOUNTS, DAYS, HORIZON = 250, 540, 30
FIRST = pd.Timestamp("2025-01-02")


def account(rng: np.random.Generator, kind: str, haste: float) -> list[tuple[int, int, int, float, float, int, float]]:
    """Weeks of one funded account: day, age, idle days, profit, asked and waiting, payments before, paid next."""
    opened = int(DAYS * rng.random() ** (0.6 if kind == "growing" else 1))
    drift, size = rng.normal(-0.0003, 0.0011), 0.0042 * np.exp(rng.normal(0, 0.5))
    enough, asks = 0.02 * np.exp(rng.normal(0, 0.6)), 0.08 * haste * np.exp(rng.normal(0, 0.5))
    share, goes = (0.5 if kind == "partial" else 1.0), int(rng.exponential(120))
    profit, high, asked_at, traded = 0.0, 0.0, opened, opened
    asked: list[tuple[int, float, float]] = []  # day, the trader's share, settled at
    weeks = []
    for day in range(opened, DAYS):
        if day % 7 == 0 and day > opened:
            waits = sum(amount for at, amount, settled in asked if at > day - HORIZON and settled > day)
            weeks.append((day, day - opened, day - traded, profit, waits))
        if day - opened < goes:
            profit, traded = profit + rng.standard_t(4) * size + drift, day + 1
        high = max(high, profit)
        if profit < (min(high - 0.08, 0.0) if kind == "trailing" else -0.08):
            break
        may = day % 30 == 0 and day - opened >= 14 if kind == "monthly" else day - asked_at >= 14
        if may and profit > enough and rng.random() < (0.8 if kind == "monthly" else asks):
            settled = day + 0.2 + rng.gamma(2, 2) if rng.random() > 0.08 else np.inf
            asked.append((day, 0.8 * share * profit, settled))
            profit, asked_at = profit * (1 - share), day
    sent = [(settled, amount) for _, amount, settled in asked]
    return [(*week, sum(at <= week[0] for at, _ in sent), _following(sent, week[0])) for week in weeks]


def _following(sent: list[tuple[float, float]], day: int) -> float:
    """What is settled within the horizon after a day; unknown where it ends after the firm's last day."""
    if day + HORIZON > DAYS:
        return float("nan")
    return sum(amount for at, amount in sent if day < at <= day + HORIZON)


def firm(kind: str, seed: int) -> pd.DataFrame:
    """A firm's funded weeks as `facts.funded_weeks` tells them."""
    rng = np.random.default_rng(seed)
    haste = np.exp(rng.normal(0, 0.5))
    rows = [(f"A{n}", *week) for n in range(ACCOUNTS) for week in account(rng, kind, haste)]
    names = [
        "account_id",
        "firm_day",
        "age_days",
        "idle_days",
        "profit_share",
        "waiting_share",
        "paid_before",
        "next_paid",
    ]
    told = pd.DataFrame(rows, columns=names).assign(open_share=0.0, split=0.8)
    return told.assign(firm_day=FIRST + pd.to_timedelta(told["firm_day"], unit="D"))


def main(firms: int, seed: int) -> None:
    """Prints a line a kind: errors, how many intervals hold none, and chances said and come, all and the top tenth."""
    lines = []
    for place, kind in enumerate(KINDS):
        tested = [back_test(firm(kind, seed + 1000 * place + one)) for one in range(firms)]
        known = [one for one in tested if one is not None]
        if not known:
            continue
        errors = np.log1p([one.error for one in known])
        tops = pd.DataFrame([one.calibration.iloc[-1] for one in known])
        whole = pd.concat([one.calibration for one in known])
        lines.append(
            [
                f"{kind} ({len(known)})",
                f"{np.expm1(errors.mean()):+.1%}",
                f"{errors.std(ddof=1):.1%}" if len(known) > 1 else "–",
                f"{sum(one.low <= 0 <= one.high for one in known)} of {len(known)}",
                f"{whole['chance'].mean():.1%} / {whole['paid'].mean():.1%}",
                f"{tops['chance'].mean():.1%} / {tops['paid'].mean():.1%}",
            ]
        )
    heads = ["kind (firms)", "off by", "spread", "in the interval", "said / paid", "top tenth said / paid"]
    print(table(heads, lines))


if __name__ == "__main__":
    main(*(int(one) for one in [*sys.argv[1:], "5", "4100"][:2]))
