"""The demo firm reads its own rulebook, so that what it enforces is what its product files say."""

import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

PRODUCT_FOLDER = Path(__file__).resolve().parents[2] / "models" / "products"
PRODUCTS = ("two_step", "one_step", "instant", "futures_50k")
REFERENCES = {"balance": 1, "equity": 2, "max": 3, "intraday_high": 4}
BASES = {"initial": 0, "reference": 1, "high_water": 1, "fixed": 2}
MODES = {"static": 1, "trailing_equity": 2, "trailing_closed": 3, "trailing_eod": 4}
REBASES = {"none": 0, "to_balance": 1, "floor_at": 2}

TERMS_DTYPE = np.dtype(
    [
        ("target", "f8"),
        ("min_days", "i8"),
        ("profitable_days", "i8"),
        ("profitable_amount", "f8"),
        ("daily_reference", "i8"),
        ("daily_base", "i8"),
        ("daily_size", "f8"),
        ("daily_pauses", "i8"),
        ("daily_lte", "i8"),
        ("max_mode", "i8"),
        ("max_base", "i8"),
        ("max_size", "f8"),
        ("max_lte", "i8"),
        ("locks", "i8"),
        ("lock_offset", "f8"),
        ("rebase", "i8"),
        ("rebase_offset", "f8"),
        ("best_day_share", "f8"),
        ("best_day_of_net", "i8"),
        ("pays", "i8"),
        ("first_after_ms", "i8"),
        ("cycle_ms", "i8"),
        ("payout_minimum", "f8"),
    ]
)


@dataclass(frozen=True)
class Version:
    """One version of a product's terms."""

    product: str
    effective_from: datetime
    clock: dict[str, str]
    stages: dict[str, dict[str, Any]]

    def first_stage(self) -> str:
        """The stage a purchase begins with."""
        return next(iter(self.stages))


def read_products(folder: Path = PRODUCT_FOLDER) -> dict[str, list[Version]]:
    """The demo firm's products by id, their versions in order."""
    products: dict[str, list[Version]] = {}
    for product in PRODUCTS:
        document = tomllib.loads((folder / f"{product}.toml").read_text(encoding="utf-8"))
        products[product] = [
            Version(product, one["effective_from"], one["clock"], one["stages"]) for one in document["versions"]
        ]
    return products


def version_at(versions: list[Version], at: datetime) -> Version:
    """The newest version in force at an instant."""
    return max((one for one in versions if one.effective_from <= at), key=lambda one: one.effective_from)


def stage_terms(stage: dict[str, Any], initial: float, decimals: int) -> np.ndarray[Any, Any]:
    """One stage's terms as the compiled engine reads them, amounts in the account's currency."""
    terms = np.zeros(1, dtype=TERMS_DTYPE)
    one = terms[0]
    one["target"] = _size(stage.get("profit_target", {}), initial, decimals)
    one["min_days"] = stage.get("min_trading_days", 0)
    good = stage.get("min_profitable_days", {})
    one["profitable_days"] = good.get("days", 0)
    one["profitable_amount"] = _size(good, initial, decimals)
    _daily(one, stage.get("daily_loss", {}), initial, decimals)
    _maximum(one, stage.get("max_loss", {}), initial, decimals)
    consistency = stage.get("consistency", {})
    one["best_day_share"] = consistency.get("share", 0) / 100
    one["best_day_of_net"] = consistency.get("of") == "net"
    _payout(one, stage.get("payout", {}))
    return terms


def _size(rule: dict[str, Any], initial: float, decimals: int) -> float:
    """A rule's amount, or its percent of the initial balance rounded to the minor unit."""
    if "amount" in rule:
        return float(rule["amount"])
    return round(initial * float(rule.get("percent", 0)) / 100, decimals)


def _daily(one: Any, rule: dict[str, Any], initial: float, decimals: int) -> None:
    if not rule:
        return
    one["daily_reference"] = REFERENCES[rule.get("reference", "balance")]
    one["daily_base"] = BASES[rule.get("base", "initial")]
    relative = rule.get("base") == "reference"
    one["daily_size"] = rule["percent"] / 100 if relative else _size(rule, initial, decimals)
    one["daily_pauses"] = rule.get("effect", "terminate") == "pause"
    one["daily_lte"] = rule.get("compare", "lt") == "lte"


def _maximum(one: Any, rule: dict[str, Any], initial: float, decimals: int) -> None:
    if not rule:
        return
    one["max_mode"] = MODES[rule["mode"]]
    one["max_base"] = BASES[rule.get("base", "initial")]
    relative = rule.get("base") == "high_water"
    one["max_size"] = rule["percent"] / 100 if relative else _size(rule, initial, decimals)
    one["max_lte"] = rule.get("compare", "lt") == "lte"
    one["locks"] = "lock_offset" in rule
    one["lock_offset"] = rule.get("lock_offset", 0)
    one["rebase"] = REBASES[rule.get("payout_rebase", "none")]
    one["rebase_offset"] = rule.get("rebase_offset", 0)


def _payout(one: Any, rule: dict[str, Any]) -> None:
    if not rule:
        return
    one["pays"] = 1
    one["first_after_ms"] = int(rule["first_after_days"] * 86_400_000)
    one["cycle_ms"] = int(rule["cycle_days"] * 86_400_000)
    one["payout_minimum"] = rule["minimum"]
