"""The numbers of a check are told in words, with the unit that each has in that check."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from models.clock import zoned
from models.payouts import checks, told


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
        ("split", "amount_usd", 656.04, "Amount in USD", "656.04 USD"),
        ("split", "paid_before", 1, "Payouts before", "1"),
        ("split", "scaled_to", None, "Scaled to", told.NOT_KNOWN),
        ("transfer", "paid", True, "Paid", "yes"),
        ("deals_complete", "deals", 0, "Deals without their opening", "0"),
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


def test_an_instant_in_a_sentence_is_put_into_the_zone_of_the_desk() -> None:
    """The writer and the reader of such instants must agree on their form, or pages tell UTC without saying so."""
    sentence = f"It was breached on {checks.when(dt.datetime(2026, 8, 1, 22, 30, tzinfo=dt.UTC))}, after the request."
    assert zoned(sentence, "Europe/Prague") == "It was breached on 02 Aug 2026 00:30 CEST, after the request."


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("at 2026-03-02T09:15:00.250000+00:00", "at 02 Mar 2026 10:15:00.25 CET"),
        ("2026-07-01T22:30:00Z", "02 Jul 2026 00:30:00 CEST"),
        ("9999-99-99 10:00 UTC", "9999-99-99 10:00 UTC"),
        ("0001-01-01 00:00 UTC to 2026-03-02", "0001-01-01 00:00 UTC to 2026-03-02"),
    ],
)
def test_an_instant_of_a_record_too_and_what_is_none_stays(text: str, there: str) -> None:
    """Notes of people hold anything; a paper must not fail at what only looks like a time."""
    assert zoned(text, "Europe/Prague" if "0001" not in text else "America/New_York") == there
