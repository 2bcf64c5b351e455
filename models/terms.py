"""Terms of many accounts at once: the rulebook's rules in minor units, as the walk takes them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from models.catalogue import FUNDED as FUNDED
from models.catalogue import Rulebook, Terms
from models.clock import Clock, from_micros, resets, to_micros
from models.money import percent_of, to_minor
from models.walk import (
    CONSISTENT_OF,
    CONSISTENT_UNITS,
    DAY_COUNTS,
    LOTS_SCALE,
    MODES,
    NEVER,
    OF_POSITIVE,
    REFERENCES,
    TERMS,
    Array,
)

SHARE_SCALE = 10_000
EFFECTS = {"terminate": 1, "pause": 2, "warn": 3, "split_cut": 4}
REBASES = {"none": 0, "to_balance": 1, "floor_at": 2}


def compile_terms(accounts: pd.DataFrame, rulebook: Rulebook) -> tuple[Array, list[Clock]]:
    """One TERMS row per account (columns product, product_version, stage, currency, initial_balance, opened_at,
    closed_at) and the clocks that the rows point to. Every account must have terms.

    Accounts of one product version, stage, currency and size share their terms, so each is compiled once.
    """
    clocks: dict[Clock, int] = {}
    rows: dict[tuple[Any, ...], Array] = {}
    terms = np.zeros(len(accounts), TERMS)
    columns = ["product", "product_version", "stage", "currency", "initial_balance"]
    for place, key in enumerate(accounts[columns].itertuples(index=False, name=None)):
        if key not in rows:
            product, number, stage, currency, initial = key
            version = rulebook.version(product, int(number))
            clock = clocks.setdefault(version.clock, len(clocks))
            rows[key] = stage_row(version.stages[stage], stage, currency, Decimal(initial), clock)
        terms[place] = rows[key]
    terms["opened_at"] = _micros(accounts["opened_at"], 0)
    terms["closed_at"] = _micros(accounts["closed_at"], NEVER)
    return terms, list(clocks)


def _micros(column: pd.Series[Any], missing: int) -> Array:
    aware = pd.to_datetime(column, utc=True).astype("datetime64[us, UTC]")
    values: Array = aware.to_numpy(dtype="datetime64[us]").astype(np.int64)
    return np.where(aware.isna().to_numpy(), missing, values)


def stage_row(terms: Terms, stage: str, currency: str, initial: Decimal, clock: int) -> Array:
    """One TERMS row of a stage for a currency and an initial balance (as read, in the currency)."""
    row = np.zeros((), TERMS)
    start = to_minor(initial, currency)
    row["initial"], row["clock"] = start, clock
    row["closed_at"] = row["ml_lock"] = NEVER
    _daily_loss(row, terms.get("daily_loss"), start, currency)
    _max_loss(row, terms, start, currency)
    for rule, prefix, moving in (("floating_loss", "fl", "balance"), ("daily_gain", "dg", "reference")):
        if rule in terms:
            row[f"{prefix}_effect"] = EFFECTS[terms[rule]["effect"]]
            _size(row, prefix, terms[rule], start, currency, moving)
    if "floating_loss" in terms:
        _floating_loss(row, terms["floating_loss"], currency)
    _progress(row, terms, stage, start, currency)
    return row


def _daily_loss(row: Array, rule: Mapping[str, Any] | None, start: int, currency: str) -> None:
    if rule is None:
        return
    row["dl_effect"] = EFFECTS[rule["effect"]]
    row["dl_reference"] = REFERENCES.index(rule["reference"])
    row["dl_inclusive"] = rule["compare"] == "lte"
    row["dl_warn"] = int((rule["warn_at"] or 0) * SHARE_SCALE)
    _size(row, "dl", rule, start, currency, "reference")


def _max_loss(row: Array, terms: Terms, start: int, currency: str) -> None:
    rule = terms.get("max_loss")
    if rule is None:
        return
    row["ml_effect"] = EFFECTS[rule["effect"]]
    row["ml_mode"] = MODES.index(rule["mode"])
    row["ml_inclusive"] = rule["compare"] == "lte"
    row["ml_warn"] = int((rule["warn_at"] or 0) * SHARE_SCALE)
    row["ml_rebase"] = REBASES[rule["payout_rebase"]]
    _size(row, "ml", rule, start, currency, "high_water")
    if rule["lock_offset"] is not None:
        row["ml_lock"] = start + to_minor(rule["lock_offset"], currency)
    if rule["lock_at_target"]:
        row["ml_lock"] = min(int(row["ml_lock"]), start + amount_of(terms["profit_target"], start, currency))
    if rule["rebase_offset"] is not None:
        row["ml_rebase_floor"] = start + to_minor(rule["rebase_offset"], currency)


def _floating_loss(row: Array, rule: Mapping[str, Any], currency: str) -> None:
    row["fl_strikes"], row["fl_strike_effect"] = rule["strikes"], EFFECTS[rule["strike_effect"]]
    if rule["base"] == "profit":
        row["fl_of_profit"], row["fl_size"], row["fl_share"] = True, 0, int(rule["percent"] * SHARE_SCALE)
        row["fl_least"] = to_minor(rule["at_least"] or Decimal(0), currency)


def _size(row: Array, prefix: str, rule: Mapping[str, Any], start: int, currency: str, moving: str) -> None:
    """A fixed size, or the percentage when its base moves."""
    if rule["percent"] is not None and rule["base"] == moving:
        row[f"{prefix}_share"] = int(rule["percent"] * SHARE_SCALE)
    else:
        row[f"{prefix}_size"] = amount_of(rule, start, currency)


def amount_of(rule: Mapping[str, Any], start: int, currency: str) -> int:
    """The minor units that a rule's percent of the initial balance, or its amount, stands for."""
    if rule["percent"] is not None:
        return percent_of(rule["percent"], start)
    return to_minor(rule["amount"], currency)


def _progress(row: Array, terms: Terms, stage: str, start: int, currency: str) -> None:
    """Target and the conditions of passing; in funded stages consistency binds payouts, not the account."""
    target = terms.get("profit_target")
    if target is not None:
        row["pt_size"] = amount_of(target, start, currency)
        row["pt_basis"] = target["basis"] == "equity"
        row["pt_flat"] = target["require_flat"]
    if "min_trading_days" in terms:
        _trading_days(row, terms["min_trading_days"], start, currency)
    if "min_profitable_days" in terms:
        row["profitable_days"] = terms["min_profitable_days"]["days"]
        row["profitable_size"] = amount_of(terms["min_profitable_days"], start, currency)
        row["profitable_within"] = terms["min_profitable_days"]["within_days"] or 0
    consistency = terms.get("consistency")
    if consistency is not None:
        row["cs_unit"] = CONSISTENT_UNITS.index(consistency["unit"])
        row["cs_merge"] = -1 if consistency["merge_seconds"] is None else consistency["merge_seconds"]
        if stage not in FUNDED and consistency["effect"] == "wait":
            row["cs_share"] = int(consistency["share"] * SHARE_SCALE)
        # of lots each counts
        row["cs_of"] = OF_POSITIVE if consistency["unit"] == "lot" else CONSISTENT_OF.index(consistency["of"])
        row["cs_raises"] = consistency["raise_target"] and row["cs_share"] > 0 and row["pt_size"] > 0


def _trading_days(row: Array, rule: Mapping[str, Any], start: int, currency: str) -> None:
    """How many trading days, and what makes a firm day one."""
    row["min_days"], row["day_counts"] = rule["days"], DAY_COUNTS.index(rule["counts"])
    row["day_lots"] = int(rule["lots"] * LOTS_SCALE)
    if rule["percent"] is not None or rule["amount"] is not None:
        row["day_size"] = amount_of(rule, start, currency)


def schedules(clocks: list[Clock], first: int, last: int) -> list[tuple[Array, Array]]:
    """Reset instants and firm days of each clock, from before the first instant to after the last (microseconds)."""
    start = (from_micros(first) - dt.timedelta(days=8)).date()
    end = (from_micros(last) + dt.timedelta(days=2)).date()
    made = [resets(clock, start, end) for clock in clocks]
    return [(one.instants, one.firm_days) for one in made]


def span(terms: Array, at: Array, as_of: dt.datetime) -> tuple[int, int]:
    """First and last instant that a walk over these accounts and events can touch."""
    last = to_micros(as_of)
    candidates = [last, *([int(terms["opened_at"].min())] if len(terms) else []), *([int(at.min())] if len(at) else [])]
    return min(candidates), last
