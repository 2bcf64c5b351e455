"""What the walk found, in words and published columns: account status, verdicts with evidence, account days."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from models.catalogue import Rulebook, Terms, Version
from models.clock import from_micros, place, to_micros
from models.events import Told
from models.money import decimals, to_minor, written
from models.rule_words import rule_sentence
from models.terms import amount_of
from models.walk import (
    DAILY_GAIN,
    DAILY_LOSS,
    EFFECT_NAMES,
    FLOATING_LOSS,
    MAX_LOSS,
    NEVER,
    PASSED,
    RULE_NAMES,
    STATUS_NAMES,
    WARNED,
    Array,
    Walked,
)

OUTCOMES = ("breached", "passed", "warned")
EPOCH_DAY = dt.date(1970, 1, 1)
_DAY_AMOUNTS = (
    "open_equity", "high_equity", "low_equity", "close_equity", "close_balance", "closed_profit", "money_moved",
)  # fmt: skip
_MODE_WORDS = {
    "static": "the initial balance",
    "trailing_equity": "the highest equity",
    "trailing_closed": "the highest balance",
    "trailing_eod": "the highest end-of-day balance",
}
_REFERENCE_WORDS = {
    "balance": "balance at",
    "equity": "equity at",
    "max": "higher of balance and equity at",
    "intraday_high": "highest equity of the day since",
    "ratchet": "highest end-of-day value up to",
}


def scales(accounts: pd.DataFrame) -> Array:
    """Minor units in one unit of each account's currency, as floats."""
    places = {currency: 10.0 ** decimals(currency) for currency in accounts["currency"].unique()}
    return np.array([places[currency] for currency in accounts["currency"].tolist()], dtype=np.float64)


def _instants(micros: Array) -> pd.Series[Any]:
    return pd.Series(np.asarray(micros, np.int64).view("datetime64[us]")).dt.tz_localize("UTC")


def account_status(accounts: pd.DataFrame, terms: Array, walked: Walked, as_of: dt.datetime) -> pd.DataFrame:
    """The published table of where accounts stand, one row per account in the order given."""
    results, scale = walked.results, scales(accounts)
    daily_floor = np.where(results["daily_floor"] == -NEVER, np.nan, results["daily_floor"] / scale)
    max_floor = np.where(results["max_floor"] == -NEVER, np.nan, results["max_floor"] / scale)
    equity = results["equity"] / scale
    target = np.where(terms["pt_size"] > 0, results["target"], 1)
    names = ("account_id", "trader_id", "desk_id", "product", "stage", "currency", "platform")
    columns: dict[str, Any] = {name: accounts[name].array for name in names}
    columns |= {
        "product_version": accounts["product_version"].to_numpy(dtype=np.int64),
        "status": np.array(STATUS_NAMES)[results["status"]],
        "status_at": _instants(results["status_at"]),
        "balance": results["balance"] / scale,
        "equity": equity,
        "daily_floor": daily_floor,
        "max_floor": max_floor,
        "daily_headroom": _whole(equity - daily_floor, scale),
        "max_headroom": _whole(equity - max_floor, scale),
        "target_progress": np.where(terms["pt_size"] > 0, results["profit"] / target, np.nan),
        "trading_days": results["trading_days"],
        "as_of": _instants(np.full(len(accounts), to_micros(as_of))),
        "initial_balance": terms["initial"] / scale,
        "equity_source": np.where(results["observed"] != 0, "observed", "balance"),
        "near_share": _near_share(terms, results),
    }
    return pd.DataFrame(columns)


def _whole(values: Array, scale: Array) -> Array:
    """Differences of amounts without binary noise."""
    return np.round(values * scale) / scale


def _near_share(terms: Array, results: Array) -> Array:
    """Share of the tighter allowance already used: 0 untouched, 1 at the floor; NaN without floors."""
    shares = []
    for floor, top in (
        (results["daily_floor"], results["daily_reference"]),
        (results["max_floor"], np.where(terms["ml_mode"] > 0, results["high_water"], terms["initial"])),
    ):
        allowance = np.where((floor != -NEVER) & (top > floor), top - floor, 1).astype(float)
        used = np.clip((top - results["equity"]) / allowance, 0, None)
        shares.append(np.where(floor == -NEVER, np.nan, np.where(top > floor, used, 1.0)))
    stacked = np.stack(shares)
    known = ~np.isnan(stacked).all(axis=0)
    return np.where(known, np.nanmax(np.where(np.isnan(stacked), -1, stacked), axis=0), np.nan)


def account_days(accounts: pd.DataFrame, walked: Walked) -> pd.DataFrame:
    """One row per account and firm day on which something happened."""
    days = walked.days
    scale = scales(accounts)[days["account"]]
    columns: dict[str, Any] = {
        "account_id": accounts["account_id"].to_numpy()[days["account"]],
        "firm_day": [EPOCH_DAY + dt.timedelta(days=day) for day in days["firm_day"].tolist()],
        "opened_at": _instants(days["opened_at"]),
        "trades": days["trades"].astype(np.int32),
    }
    columns |= {name: days[name] / scale for name in _DAY_AMOUNTS}
    for floor in ("daily_floor", "max_floor"):
        has_floor = walked.results[floor] != -NEVER
        columns[floor] = np.where(has_floor[days["account"]], days[floor] / scale, np.nan)
    return pd.DataFrame(columns)


def verdicts(accounts: pd.DataFrame, walked: Walked, told: Told, rulebook: Rulebook) -> pd.DataFrame:
    """The published verdicts of the walk, each with its evidence and a sentence that a trader could be sent."""
    rows = []
    columns = ["account_id", "initial_balance", "product", "product_version", "stage", "currency"]
    known = list(accounts[columns].itertuples(index=False, name=None))
    texts: dict[tuple[Any, ...], str] = {}
    for verdict in walked.verdicts:
        account_id, initial, *promised = known[verdict["account"]]
        product, number, stage, currency = promised
        version = rulebook.version(product, int(number))
        terms, rule = version.stages[stage], RULE_NAMES[verdict["rule"]]
        evidence = _evidence(verdict, to_minor(Decimal(initial), currency), version, terms, stage, currency, told)
        key = (*promised, rule)
        if key not in texts:
            texts[key] = rule_sentence(rule, terms[rule], currency)
        evidence["rule_text"] = texts[key]
        rows.append(
            (
                account_id,
                rule,
                OUTCOMES[verdict["outcome"]],
                "pass" if verdict["outcome"] == PASSED else EFFECT_NAMES[verdict["effect"]],
                from_micros(verdict["at"]),
                float(evidence["numbers"]["observed"]),
                float(evidence["numbers"]["allowed"]),
                product,
                int(number),
                json.dumps(evidence, ensure_ascii=False),
            )
        )
    names = ["account_id", "rule", "outcome", "effect", "happened_at", "observed", "allowed", "product"]
    return pd.DataFrame(rows, columns=[*names, "product_version", "evidence"])


def _evidence(
    verdict: Any, initial: int, version: Version, terms: Terms, stage: str, currency: str, told: Told
) -> dict[str, Any]:
    rule = RULE_NAMES[verdict["rule"]]
    names = ("observed", "allowed", "reference", "size", "balance", "equity", "high_water")
    amounts = {name: int(verdict[name]) for name in names}
    if verdict["rule"] == MAX_LOSS:
        amounts["size"] = _promised(terms["max_loss"], initial, amounts["reference"], currency)
    numbers = {name: written(amount, currency).replace(",", "") for name, amount in amounts.items()}
    source = told.source(int(verdict["event"])) if verdict["event"] >= 0 else {"kind": "reset"}
    return {
        "sentence": sentence(verdict, amounts, initial, version, terms, currency),
        "event": source | {"at": from_micros(verdict["at"]).isoformat()},
        "numbers": numbers,
        "currency": currency,
        "firm_day": str(EPOCH_DAY + dt.timedelta(days=int(verdict["firm_day"]))),
        "day_opened_at": from_micros(verdict["reset_at"]).isoformat(),
        "equity_source": "observed" if verdict["seen"] else "balance (no observation of equity yet)",
        "product": version.product,
        "product_version": version.version,
        "effective_from": version.effective_from.isoformat(),
        "stage": stage,
        "rule": {name: str(value) for name, value in terms[rule].items() if value is not None},
    }


def _promised(rule: dict[str, Any], initial: int, reference: int, currency: str) -> int:
    """How far below its reference the terms put the maximum-loss floor, whatever holds it elsewhere."""
    return amount_of(rule, reference if rule["base"] == "high_water" else initial, currency)


def sentence(verdict: Any, amounts: dict[str, int], initial: int, version: Version, terms: Terms, currency: str) -> str:
    """A verdict as a sentence: what was observed, against what, how that came to be, and when on the firm's clock."""
    zone = ZoneInfo(version.clock.zone)
    at = from_micros(verdict["at"]).astimezone(zone)
    opened = from_micros(verdict["reset_at"]).astimezone(zone)
    when = f"at {at:%H:%M:%S} {place(version.clock.zone)} on {at:%Y-%m-%d}"
    money = {name: written(amount, currency) for name, amount in amounts.items()}
    code = verdict["rule"]
    if code == DAILY_LOSS:
        rule = terms["daily_loss"]
        word = _REFERENCE_WORDS[rule["reference"]]
        how = f"reference {money['reference']} {word} {opened:%H:%M} {place(version.clock.zone)} − {_size(rule, money)}"
        return f"Equity {money['observed']} {_fell(rule, verdict)} the daily floor {money['allowed']} ({how}) {when}."
    if code == MAX_LOSS:
        rule = terms["max_loss"]
        floor = f"the maximum-loss floor {money['allowed']}"
        how = _maximum(rule, amounts, initial, money, currency)
        return f"Equity {money['observed']} {_fell(rule, verdict)} {floor} ({how}) {when}."
    if code == FLOATING_LOSS:
        return f"Open loss {money['observed']} exceeded {money['allowed']} (balance {money['balance']}) {when}."
    if code == DAILY_GAIN:
        cap = f"the day's cap {money['allowed']} ({money['reference']} at the reset)"
        return f"Equity {money['observed']} reached {cap} {when}."
    return f"Profit {money['observed']} reached the target {money['allowed']} of {money['reference']} {when}."


def _fell(rule: dict[str, Any], verdict: Any) -> str:
    if verdict["outcome"] == WARNED:
        return f"used {rule['warn_at']} % of the allowance to"
    return "fell below" if verdict["observed"] < verdict["allowed"] else "touched"


def _size(rule: dict[str, Any], money: dict[str, str]) -> str:
    if rule["percent"] is None:
        return f"{money['size']} fixed"
    base = {"initial": "the initial balance", "high_water": "the high water", "reference": "the reference"}[
        rule["base"]
    ]
    return f"{rule['percent'].normalize():f} % of {base} = {money['size']}"


def _maximum(rule: dict[str, Any], amounts: dict[str, int], initial: int, money: dict[str, str], currency: str) -> str:
    """How a maximum-loss floor came to be: trailing at its distance, stopped at its lock, or set with a payout."""
    how = f"{_MODE_WORDS[rule['mode']]} {money['reference']} − {_size(rule, money)}"
    trailing = amounts["reference"] - amounts["size"]
    if amounts["allowed"] == trailing:
        return f"{how}{_locked(rule)}"
    start = f"the initial balance {written(initial, currency)}"
    if rule["payout_rebase"] == "floor_at" and amounts["allowed"] == initial + _minor(rule, "rebase_offset", currency):
        return f"{start}{_plus(rule['rebase_offset'])}, where a payout has set it for good"
    stops = f"{start}{_plus(rule['lock_offset'])}"
    if rule["lock_offset"] is None or amounts["allowed"] != initial + _minor(rule, "lock_offset", currency):
        stops = "the profit target"
    return f"{how} would be {written(trailing, currency)}, but it stopped rising at {stops}"


def _minor(rule: dict[str, Any], field: str, currency: str) -> int:
    return to_minor(rule[field] or Decimal(0), currency)


def _plus(offset: Decimal | None) -> str:
    return f" + {offset}" if offset else ""


def _locked(rule: dict[str, Any]) -> str:
    if rule["lock_offset"] is not None:
        return f", rising no further than initial + {rule['lock_offset']}"
    return ", rising no further than the target" if rule["lock_at_target"] else ""
