"""Transfers are matched one to one, as a whole rather than one by one, and what is left over is left over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from models import settlements
from models.settlements import match, precision_recall, sides

T0 = pd.Timestamp("2026-03-01", tz="UTC")


def side(rows: Sequence[tuple[str, float, float, str]], known: dict[str, str] | None = None) -> pd.DataFrame:
    """Rows of (id, day, amount, text)."""
    frame = pd.DataFrame(rows, columns=["id", "day", "amount", "text"])
    frame["at"] = T0 + pd.to_timedelta(frame["day"], unit="D")
    return frame.assign(currency="EUR", known=frame["id"].map(known or {}).astype(object))


def pairs(left: pd.DataFrame, right: pd.DataFrame) -> set[tuple[str, str]]:
    found = match(left, right).pairs
    return set(zip(found["left"], found["right"], strict=True))


def bank(records: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two sides of a bank: lagging days, fees taken off, texts cut short, some partners missing."""
    rng = np.random.default_rng(seed)
    names = [
        f"{a}{b} {c}" for a in ("MAR", "JO", "LU", "PE") for b in ("TA", "NA", "KA") for c in ("SMITH", "DIAZ", "WU")
    ]
    left, right = [], []
    for n in range(records):
        day, amount, name = rng.uniform(0, 60), round(rng.lognormal(6, 1), 2), names[rng.integers(len(names))]
        left.append((f"l{n}", day, amount, f"{name} PAYOUT"))
        if rng.random() < 0.9:
            paid = round(amount * (1 - rng.choice([0, 0, 0.01, 0.02])), 2)
            right.append((f"r{n}", day + rng.gamma(2, 1), paid, name if rng.random() < 0.8 else name[:6]))
    order = rng.permutation(len(right))
    return side(left), side([right[place] for place in order])


def test_a_made_up_bank_is_matched_precisely() -> None:
    left, right = bank(800, seed=3)
    found = match(left, right)
    truth = [(f"l{one[1:]}", one) for one in right["id"]]
    precision, recall = precision_recall(found.pairs, truth)
    assert precision > 0.97
    # one in ten has both another amount and a text cut before its second word: nothing leads to those
    assert recall > 0.88
    assert found.pairs["left"].is_unique
    assert found.pairs["right"].is_unique
    assert len(found.pairs) + len(found.left_over) == len(left)
    assert len(found.pairs) + len(found.right_over) == len(right)


def test_two_equal_amounts_go_by_destination() -> None:
    left = side([("Q1", 0, 100, "bank_a"), ("Q2", 0, 100, "bank_b")])
    right = side([("S1", 1, 100, "bank_b"), ("S2", 1, 100, "bank_a")])
    assert pairs(left, right) == {("Q1", "S2"), ("Q2", "S1")}


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(-3, 9)), unique_by=lambda one: one[:2]))
def test_no_other_assignment_fits_better_as_a_whole(edges: list[tuple[int, int, int]]) -> None:
    """Best pair first would lose wherever it takes the only partner of another; the oracle solves the full table."""
    a, b, scores = (np.array([one[place] for one in edges], dtype=np.int64) for place in range(3))
    chosen = settlements._assign(settlements._Candidates(a, b, []), scores.astype(float), 7, 7)
    table = np.zeros((7, 7))
    table[a, b] = np.maximum(scores, 0)
    assert scores[chosen].sum() == table[linear_sum_assignment(table, maximize=True)].sum()
    assert len(set(a[chosen])) == len(set(b[chosen])) == len(chosen)


def test_thousands_of_payouts_of_one_amount_are_matched_as_a_whole_too() -> None:
    """A plan whose first payout is capped has most of them alike: only days and destinations tell them apart."""
    rng = np.random.default_rng(5)
    days, lags = np.sort(rng.uniform(0, 200, 3_500)), rng.gamma(2, 0.7, 3_500)
    left = side([(f"l{n}", day, 2_000, f"wallet{n % 900}") for n, day in enumerate(days)])
    right = side([(f"r{n}", day + lags[n], 2_000, f"wallet{n % 900}") for n, day in enumerate(days)])
    found = match(left, right.sample(frac=1, random_state=5))
    precision, recall = precision_recall(found.pairs, [(f"l{n}", f"r{n}") for n in range(3_500)])
    assert precision > 0.98
    assert recall > 0.98


def test_a_request_paid_twice_is_matched_once_and_the_other_transfer_is_left_over() -> None:
    left = side([("Q1", 0, 100, "bank_a")])
    right = side([("S1", 1, 100, "bank_a"), ("S2", 2, 100, "bank_a")], known={"S1": "Q1", "S2": "Q1"})
    found = match(left, right)
    assert len(found.pairs) == 1
    assert len(found.right_over) == 1
    assert found.suggestions["other"].tolist() == ["Q1"]


def test_another_currency_or_nothing_at_all_matches_nothing() -> None:
    left, right = side([("Q1", 0, 100, "a")]), side([("S1", 1, 100, "a")]).assign(currency="USD")
    assert pairs(left, right) == set()
    empty = side([])
    assert match(empty, right).right_over == ["S1"]
    assert match(left, empty).left_over == ["Q1"]


def test_failed_transfers_pay_nothing() -> None:
    requests = pd.DataFrame({"payout_id": ["Q1"], "requested_at": [T0], "amount": [100.0], "due": [80.0]})
    requests = requests.assign(currency="EUR", destination="a")
    transfers = pd.DataFrame({"settlement_id": ["S1", "S2"], "payout_id": ["Q1", None], "settled_at": [T0, T0]})
    transfers = transfers.assign(amount=[80.0, 80.0], currency="EUR", destination="a", status=["failed", "settled"])
    assert pairs(*sides(requests, transfers)) == {("Q1", "S2")}
