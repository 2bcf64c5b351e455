"""What the pages ask of the rulebook and of the replay: an account's path and the terms in force, in words."""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import fresh, reads, words
from models import catalogue
from models.catalogue import Rulebook, Terms
from models.chance import by_chance
from models.rule_words import rule_sentence
from models.term_words import field_words
from pipelines.explain import ExplainRefused, explain
from pipelines.outlook import outlook as worked_out

Told = list[tuple[str, str, list[tuple[str, str]]]]


@st.cache_resource(ttl=reads.CACHE_SECONDS, show_spinner=False)
def _loaded(folder: str | None) -> Rulebook:
    return catalogue.load(folder)


def rulebook() -> Rulebook:
    """The rulebook in force, read at most once a minute."""
    return _loaded(os.environ.get("HIGHWATER_RULEBOOK"))


@st.cache_data(ttl=reads.CACHE_SECONDS, show_spinner="Replaying the account from the lake", max_entries=20)
def _steps(home: str, stamp: reads.Stamp, account_id: str) -> pd.DataFrame | None:
    try:
        return explain(reads.warehouse(), rulebook(), account_id, as_of=stamp.as_of).steps
    except ExplainRefused:
        return None


def steps(account_id: str) -> pd.DataFrame | None:
    """Every instant of an account's equity and floors, None when it cannot be replayed."""
    return _steps(str(reads.warehouse().home), reads.stamp(), account_id)


@st.cache_data(ttl=reads.CACHE_SECONDS, show_spinner=False, max_entries=200)
def _outlook(home: str, stands: Hashable, account_id: str) -> dict[str, Any] | None:
    return worked_out(reads.warehouse(), rulebook(), account_id)


def outlook(account_id: str) -> dict[str, Any] | None:
    """What would end or pass an account as it stands, None when it is over or has no terms."""
    return _outlook(str(reads.warehouse().home), fresh.of_account(account_id), account_id)


def terms(product: str | None, version: Any, stage: str, currency: str | None = None) -> Told | None:
    """Each rule of a stage: its name, its sentence and its fields; None without terms."""
    if product is None or version is None or version != version:
        return None
    held = rulebook().terms(product, int(version), stage)
    return None if held is None else told(held, currency)


def told(held: Terms, currency: str | None = None) -> Told:
    """The rules of a stage in words: each with its sentence, and its fields with their units."""
    return [
        (name, rule_sentence(name, fields, currency), field_words(name, fields, currency))
        for name, fields in held.items()
    ]


def pair_words(pair: dict[str, Any]) -> str:
    """A pair of accounts in one line: who follows whom where that is known."""
    one, other, leader = pair["account_a"], pair["account_b"], pair["leader"]
    verb = "copy" if pair["relation"] == "copy" else "mirror"
    lag = "" if words.missing(pair["lag_ms"]) else f", {abs(pair['lag_ms']) / 1000:.1f} s"
    if words.missing(leader):
        told, lag = f"**{one} and {other}** {verb} each other", f"{lag} apart" if lag else ""
    else:
        follower = other if leader == one else one
        verb = "copies" if verb == "copy" else "mirrors"
        told, lag = f"**{follower} {verb} {leader}**", f"{lag} behind" if lag else ""
    return f"{told}: {pair['matched']} matched entries{lag}; chance would give {by_chance(pair['expected'])}"
