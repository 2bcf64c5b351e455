"""The numbers of a check are told in words, with the unit that each has in that check."""

from __future__ import annotations

from typing import Any

import pytest

from models.payouts import told


@pytest.mark.parametrize(
    ("check", "name", "value", "label", "said"),
    [
        ("consistency", "best", 790.16, "Best day or trade", "790.16 EUR"),
        ("consistency", "of", 1541.8, "Of a profit of", "1,541.80 EUR"),
        ("consistency", "share_pct", "51.2500", "Share", "51.25 %"),
        ("waiting_time", "needed", 8, "Needed", "8 days"),
        ("waiting_time", "days", 10.7034, "Days", "10.7 days"),
        ("waiting_time", "since", "2026-10-15T07:17:03.96+02:00", "Since", "15 Oct 2026 05:17 UTC"),
        ("profitable_days", "needed", 5, "Needed", "5"),
        ("minimum", "needed", 250, "Needed", "250.00 EUR"),
        ("identity", "fresh_days", 1, "Must be newer than", "1 day"),
        ("split", "amount_usd", 656.04, "Amount usd", "656.04 USD"),
        ("split", "scaled_to", None, "Scaled to", told.NOT_KNOWN),
        ("transfer", "paid", True, "Paid", "yes"),
        ("rules", "daily_loss", 2, "Daily loss", "2"),
        (
            "account_signals",
            "flags",
            [{"detector": "news_straddling", "subject": "A7", "strength": 0.992}],
            "Flags",
            "news straddling, A7, 99 % likely",
        ),
        (
            "case",
            "cases",
            [{"owner": "T36", "state": "in_review", "freeze": False}],
            "Cases",
            "T36, in review",
        ),
        (
            "case",
            "cases",
            [{"owner": "T2", "state": "new", "freeze": True}],
            "Cases",
            "T2, new, freeze recommended",
        ),
        ("coordination", "rings", [], "Rings", "none"),
    ],
)
def test_each_number_has_its_unit(check: str, name: str, value: Any, label: str, said: str) -> None:
    assert told.numbers({"check": check, "numbers": {name: value}}, "EUR") == {label: said}


def test_money_has_the_decimals_of_its_currency() -> None:
    assert told.numbers({"check": "profit", "numbers": {"balance": 1234567}}, "JPY") == {"Balance": "1,234,567 JPY"}
