"""The state machine of a payout request: its moves, and the permission that each of them asks for."""

from __future__ import annotations

from sql.desk_schema import GRANTED, MOVES, STATES

_DECIDING = ("take", "ask", "answer", "approve", "deduct", "reject", "cancel", "appeal")
_SENDING = ("requeue", "send", "settle", "fail", "return")
OF_HOLDS = ("release", "withhold")
"""What is done about a granted request that is held; no moves of the machine by themselves."""
AGREEING = ("confirm", "refuse", "uphold", "overturn", *OF_HOLDS)
PERMISSIONS = dict.fromkeys((*_DECIDING, *_SENDING), "payouts.decide") | dict.fromkeys(AGREEING, "payouts.confirm")
AUTOMATIC = ("pass_checks", "fail_checks", "submit", "queue", "escalate")
NEEDS_REASON = (
    "reject",
    "cancel",
    "deduct",
    "ask",
    "refuse",
    "overturn",
    "uphold",
    "appeal",
    "fail",
    "return",
    *OF_HOLDS,
)
REASON_CODES = {
    "eligibility": "Conditions of the terms are not met",
    "consistency": "Consistency",
    "breach": "A rule that ends the account was broken",
    "prohibited_strategy": "Prohibited way of trading",
    "copying": "Copying, group trading or account passing",
    "multi_account": "More accounts than allowed",
    "region": "Place, IP or VPN",
    "identity": "Identity, payee or screening",
    "chargeback": "Chargeback or unpaid fee",
    "data": "Error in the data",
    "duplicate": "Duplicate request",
    "override": "The reviewer judges otherwise",
}


class MoveRefused(Exception):
    """A move that the machine, the policy or somebody else's decision does not allow; the sentence says why."""


def actions(state: str) -> list[str]:
    """What a person can do in a state, by name."""
    return [action for action in MOVES[state] if action not in AUTOMATIC]


def after(state: str, action: str) -> str:
    """The state that an action leads to; MoveRefused when the state has no such move."""
    if action not in MOVES.get(state, {}):
        raise MoveRefused(f"A request that is {state.replace('_', ' ')} cannot be moved by {action.replace('_', ' ')}.")
    return MOVES[state][action]


__all__ = ["GRANTED", "MOVES", "STATES", "MoveRefused", "actions", "after"]
