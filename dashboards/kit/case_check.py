"""The check *case* of payout reviews as cases stand now: a review told it as it was at the run that wrote it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pandas as pd
import sqlalchemy as sa

from dashboards.kit import reads, words
from models.payouts.conduct import case_check
from models.payouts.facts import case_of_each
from sql import schema
from sql.case_schema import CASES


def as_of_now(reviewed: pd.DataFrame) -> pd.DataFrame:
    """Reviewed requests with their check of cases told anew, about the owners whom the run found and the payee's."""
    listed = [words.parsed(one) or [] for one in reviewed["checks"]]
    owners = _owners(reviewed["trader_id"].dropna().unique().tolist())
    told = [_about(checks) for checks in listed]
    cases = _cases({*owners.values(), *(one for found in told for one in found)})
    texts = []
    for text, checks, found, trader in zip(reviewed["checks"], listed, told, reviewed["trader_id"], strict=True):
        own = owners.get(trader)
        about = dict.fromkeys([own, *found] if own else found)
        now = case_check(own, [cases[one] for one in about if one in cases]).as_json()
        anew = [now if one.get("check") == "case" else one for one in checks]
        if checks and now["outcome"] == "failed" and now not in anew:
            anew.append(now)
        texts.append(text if anew == checks else json.dumps(anew, ensure_ascii=False))
    return reviewed.assign(checks=pd.Series(texts, reviewed.index, object))


def _about(checks: list[dict[str, Any]]) -> list[str]:
    """The owners whose cases a review told of."""
    numbers = next((one.get("numbers") or {} for one in checks if one.get("check") == "case"), {})
    return [str(one["owner"]) for one in numbers.get("cases", ())]


def _owners(traders: Collection[str]) -> dict[str, str]:
    """The owner behind each of some traders; who was never linked to others is the trader's own."""
    table = schema.OWNERS.c
    held = reads.now(sa.select(table.trader_id, table.owner_id).where(table.trader_id.in_(traders)))
    return {one: one for one in traders} | dict(zip(held["trader_id"], held["owner_id"], strict=True))


def _cases(owners: Collection[str]) -> dict[str, dict[str, Any]]:
    """The case about each owner as a review takes it; none that was dismissed."""
    known = CASES.c
    columns = (known.owner_id, known.state, known.to_freeze, known.opened_at)
    mine = reads.records(reads.now(sa.select(*columns).where(known.owner_id.in_(owners))))
    each = case_of_each([one | {"to_freeze": bool(one["to_freeze"])} for one in mine])
    return {owner: one for owner, one in each.items() if one["state"] != "dismissed"}
