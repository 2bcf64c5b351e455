"""Steps of a trader's way that no verdict causes: identification at purchase and payout, an offer to who has left."""

from __future__ import annotations

import duckdb

from models.clock import to_micros
from pipelines.live.decisions import Action
from sql import relations

DAYS = {
    "kyc_days": 7,
    "kyc_valid_days": 365,
    "winback_from_days": 14,
    "winback_until_days": 44,
}
"""How far back purchases and requests are looked at, how long an identification is good, when an offer is made."""


def due(connection: duckdb.DuckDBPyConnection) -> list[Action]:
    """What has to be asked for; over a lake of which `decided.account_status` and `decided.risk_scores` are shown."""
    for name, days in DAYS.items():
        connection.execute(f"set variable {name} = {days}")
    relations.build(connection, "facts.lifecycle_steps")
    found = connection.execute(
        "select account_id, action, rule, happened_at, about, desk_id, trader_id from facts.lifecycle_steps"
        " order by happened_at, action, about"
    ).fetchall()
    return [
        Action(account, action, rule, to_micros(at), about, desk, (("trader_id", trader), ("about", about)))
        for account, action, rule, at, about, desk, trader in found
    ]
