"""How many people must agree to a payout: by amount, first payout, risk, payee and departure from the review."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.payouts.policy import Policy


def reasons_for_two(
    checks: Mapping[str, Mapping[str, Any]], band: str | None, *, override: bool, scored: bool, policy: Policy
) -> list[str]:
    """Why a second person must agree, in words; empty when one is enough.

    `checks` are a review's checks by name, `band` the account's risk band, `scored` whether accounts are scored at
    all. What is not known counts as if it were the worse.
    """
    rules = policy.approval
    numbers = checks.get("split", {}).get("numbers", {})
    usd, paid_before = numbers.get("amount_usd"), numbers.get("paid_before")
    said = []
    if usd is None or usd >= rules["second_from_usd"]:
        said.append("amount" if usd is not None else "amount in dollars unknown")
    if rules["second_on_first_payout"] and not paid_before:
        said.append("first payout")
    if band in rules["second_on_bands"] or (band is None and scored):
        said.append(f"risk {band or 'unknown'}")
    if rules["second_on_new_payee"] and checks.get("payee", {}).get("outcome") in ("failed", "unknown", None):
        said.append("changed payee")
    if override and rules["second_on_override"]:
        said.append("departs from the recommendation")
    return said


def needed(reasons: list[str], checks: Mapping[str, Mapping[str, Any]], policy: Policy) -> int:
    """People who must agree: one, two, or three with finance for the largest amounts."""
    usd = checks.get("split", {}).get("numbers", {}).get("amount_usd")
    if usd is not None and usd >= policy.approval["finance_from_usd"]:
        return 3
    return 2 if reasons else 1
