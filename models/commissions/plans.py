"""Commission plans: versioned TOML files, read strictly, a refused plan named with the reason."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from models.money import to_minor
from models.toml_files import TomlRefused, parsed, text_of

FOLDER = Path(__file__).parent / "plans"
MILESTONES = ("stage_pass", "pass", "funded", "first_payout")
EARNING = ("purchase", *MILESTONES, "fee_share", "profit_share")
TIERED_BY = ("sales", "fees", "funded")
PERIODS = ("month", "lifetime")
MODES = ("marginal", "retroactive")
OVERRIDE_OF = ("commission", "fee")
MOST_LEVELS = 5
PERCENT_DECIMALS = 4
YEARS = (1900, 2199)
AMOUNT_BELOW = 10_000_000_000
COUNT_MOST = 36_500
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,250}")
_CURRENCY = re.compile(r"[A-Z]{3,5}")


class PlanRefused(Exception):
    """A plan that cannot be used, and why in one sentence."""


@dataclass(frozen=True)
class Rate:
    """A percentage of what an event brings, or a fixed amount in the plan's currency; exactly one of the two."""

    percent: Decimal | None = None
    amount: Decimal | None = None


@dataclass(frozen=True)
class Tiers:
    """Percentages of the fee that grow with what a partner did in a period; a tier reached stays for the period."""

    by: str
    period: str
    mode: str
    steps: tuple[tuple[Decimal, Decimal], ...]


@dataclass(frozen=True)
class PlanVersion:
    """What one version of a plan pays, how long it holds, and what a return takes back."""

    version: int
    effective_from: dt.datetime
    currency: str | None
    convert: bool
    rates: Mapping[str, Rate]
    repeat_percent: Decimal
    fee_share_months: int
    tiers: Tiers | None
    override_percents: tuple[Decimal, ...]
    override_of: str
    refund_days: int
    chargeback_days: int
    taken_back: tuple[str, ...]
    negative_carry: bool


@dataclass(frozen=True)
class Plan:
    """A plan and its versions, oldest first."""

    id: str
    name: str
    versions: tuple[PlanVersion, ...]
    text: str = field(default="", compare=False)

    def at(self, instant: dt.datetime) -> PlanVersion:
        """The newest version in force at an instant; the first one before that."""
        in_force = [version for version in self.versions if version.effective_from <= instant]
        return in_force[-1] if in_force else self.versions[0]


@dataclass(frozen=True)
class Plans:
    """The plans that can be used by id, those that were refused with the reason, and what else is to be said."""

    known: dict[str, Plan]
    refused: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def plans_folder() -> Path:
    """The folder of plans: `HIGHWATER_PLANS`, else the one that comes with Highwater."""
    named = os.environ.get("HIGHWATER_PLANS")
    return Path(named) if named else FOLDER


def load_plans(folder: str | Path | None = None) -> Plans:
    """Reads every plan of a folder; a file that cannot be used is kept out and named, the others stand.

    Raises PlanRefused when there is no such folder.
    """
    place = Path(folder) if folder else plans_folder()
    if not place.is_dir():
        raise PlanRefused(f"{place}: no folder of commission plans")
    known: dict[str, Plan] = {}
    refused: dict[str, str] = {}
    for path in sorted(place.glob("*.toml")):
        try:
            plan = read_plan(text_of(path), path.name)
        except PlanRefused as refusal:
            refused[path.stem] = str(refusal)
            continue
        except TomlRefused as refusal:
            refused[path.stem] = f"{path.name}: {refusal}"
            continue
        if plan.id in known:
            refused[path.stem] = f"{path.name}: another file already holds the plan {plan.id}"
        else:
            known[plan.id] = plan
    return Plans(known, refused)


def read_plan(text: str, file: str = "plan.toml") -> Plan:
    """A plan from its TOML; PlanRefused with file, version and field in the sentence."""
    try:
        told = parsed(text, Decimal)
    except TomlRefused as error:
        raise PlanRefused(f"{file}: {error}") from error
    _only(told, {"id", "name", "versions"}, file)
    if not isinstance(told.get("versions"), list) or not told["versions"]:
        raise PlanRefused(f"{file}: a plan needs an id and at least one [[versions]]")
    for key, said in (("id", told.get("id")), ("name", told.get("name", told.get("id")))):
        if not isinstance(said, str) or not _NAME.fullmatch(said):
            raise PlanRefused(f"{file}: {key} is text of one line, at most 250 characters")
    versions = tuple(_version(one, f"{file} version {place}") for place, one in enumerate(told["versions"], 1))
    for before, after in pairwise(versions):
        if after.version != before.version + 1:
            raise PlanRefused(f"{file}: version {after.version} follows {before.version}; versions count up by one")
        if after.effective_from <= before.effective_from:
            raise PlanRefused(
                f"{file}: version {after.version} takes effect on {after.effective_from:%Y-%m-%d %H:%M} UTC, not after"
                f" version {before.version} on {before.effective_from:%Y-%m-%d %H:%M}; versions are appended in order"
            )
    return Plan(told["id"], str(told.get("name", told["id"])), versions, text)


_FIELDS = {
    "version",
    "effective_from",
    "currency",
    "convert",
    "hold",
    "tiers",
    "overrides",
    "taken_back",
    "negative_carry",
}


def _version(told: Mapping[str, Any], where: str) -> PlanVersion:
    told = _table(told, _FIELDS | set(EARNING), where)
    since, version = told.get("effective_from"), told.get("version")
    whole = isinstance(version, int) and not isinstance(version, bool)
    if not whole or not isinstance(since, dt.datetime) or since.tzinfo is None:
        raise PlanRefused(f"{where}: version is a whole number and effective_from an instant with an offset")
    if not YEARS[0] <= since.year <= YEARS[1]:
        raise PlanRefused(f"{where}: effective_from is outside the years {YEARS[0]} to {YEARS[1]}")
    rates = {name: _rate(told[name], f"{where}, {name}") for name in EARNING if name in told}
    overrides = _table(told.get("overrides", {}), {"percents", "of"}, f"{where}, overrides")
    levels = _levels(overrides.get("percents", []), f"{where}, overrides")
    if "overrides" in told and not levels:
        raise PlanRefused(f"{where}, overrides: no rate; percents is a list, for level 2 and up")
    if not rates and "tiers" not in told and not any(levels):
        raise PlanRefused(f"{where}: no rate; a plan pays for at least one of {', '.join(EARNING)}, overrides")
    currency, convert = told.get("currency"), _flag(told.get("convert", False), f"{where}, convert")
    if currency is not None and not (isinstance(currency, str) and _CURRENCY.fullmatch(currency)):
        raise PlanRefused(f"{where}: currency is three to five capital letters, not {currency!r:.60}")
    fixed = sorted(name for name, rate in rates.items() if rate.amount is not None)
    if currency is None and (fixed or convert):
        raise PlanRefused(f"{where}: {', '.join(fixed) or 'convert'} needs the plan's currency")
    for name in fixed:
        if to_minor(rates[name].amount or 0, str(currency)) == 0:
            raise PlanRefused(f"{where}, {name}: the amount is less than the smallest unit of {currency}")
    tiers = _tiers(told["tiers"], rates, currency, f"{where}, tiers") if "tiers" in told else None
    hold = _table(told.get("hold", {}), {"refund_days", "chargeback_days"}, f"{where}, hold")
    return PlanVersion(
        version=told["version"],
        effective_from=since.astimezone(dt.UTC),
        currency=currency,
        convert=convert,
        rates=rates,
        repeat_percent=_percent(told.get("purchase", {}).get("repeat_percent", 100), f"{where}, repeat_percent"),
        fee_share_months=_count(told.get("fee_share", {}).get("months", 0), f"{where}, months"),
        tiers=tiers,
        override_percents=levels,
        override_of=_among(overrides.get("of", "commission"), OVERRIDE_OF, f"{where}, overrides of"),
        refund_days=_count(hold.get("refund_days", 14), f"{where}, refund_days"),
        chargeback_days=_count(hold.get("chargeback_days", 120), f"{where}, chargeback_days"),
        taken_back=_taken_back(told.get("taken_back"), where),
        negative_carry=_flag(told.get("negative_carry", True), f"{where}, negative_carry"),
    )


_EXTRA = {"purchase": {"repeat_percent"}, "fee_share": {"months"}}


def _rate(told: Any, where: str) -> Rate:
    name = where.rsplit(" ", 1)[-1]
    table = _table(told, {"percent", "amount"} | _EXTRA.get(name, set()), where)
    percent, amount = table.get("percent"), table.get("amount")
    if (percent is None) == (amount is None):
        raise PlanRefused(f"{where}: no rate; exactly one of percent and amount")
    if amount is not None and name.endswith("share"):
        raise PlanRefused(f"{where}: a share is a percent")
    if amount is not None:
        if not 0 < _number(amount, where) < AMOUNT_BELOW:
            raise PlanRefused(f"{where}: the amount must be above zero and below {AMOUNT_BELOW:,}")
        return Rate(amount=_number(amount, where))
    return Rate(percent=_percent(percent, where))


def _tiers(told: Any, rates: Mapping[str, Rate], currency: str | None, where: str) -> Tiers:
    table = _table(told, {"by", "period", "mode", "steps"}, where)
    by = _among(table.get("by", "sales"), TIERED_BY, f"{where} by")
    if by == "fees" and currency is None:
        raise PlanRefused(f"{where}: tiers by fees need the plan's currency")
    base = rates.get("purchase")
    if base is None or base.percent is None:
        raise PlanRefused(f"{where}: tiers raise the percent of purchase, which this plan does not have")
    steps = [(Decimal(0), base.percent)]
    for step in _list(table.get("steps", []), f"{where}, steps"):
        held = _table(step, {"from", "percent"}, f"{where}, steps")
        steps.append((_number(held.get("from"), where), _percent(held.get("percent"), where)))
    if len(steps) < 2 or any(a[0] >= b[0] for a, b in pairwise(steps)):
        raise PlanRefused(f"{where}: steps rise, each with from and percent")
    period, mode = table.get("period", "month"), table.get("mode", "marginal")
    return Tiers(by, _among(period, PERIODS, f"{where} period"), _among(mode, MODES, f"{where} mode"), tuple(steps))


def _taken_back(told: Any, where: str) -> tuple[str, ...]:
    if told is None:
        return tuple(name for name in EARNING if name != "profit_share")
    if not all(one in EARNING for one in _list(told, f"{where}, taken_back")):
        raise PlanRefused(f"{where}: taken_back lists events among {', '.join(EARNING)}")
    return tuple(told)


def _levels(told: Any, where: str) -> tuple[Decimal, ...]:
    if not isinstance(told, list) or len(told) > MOST_LEVELS:
        raise PlanRefused(f"{where}: percents is a list of at most {MOST_LEVELS}, for level 2 and up")
    return tuple(_percent(one, where) for one in told)


def _only(told: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(set(told) - allowed)
    if unknown:
        raise PlanRefused(f"{where}: unknown {', '.join(unknown)}")


def _table(told: Any, allowed: set[str], where: str) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise PlanRefused(f"{where}: must be a table")
    _only(told, allowed, where)
    return told


def _list(told: Any, where: str) -> list[Any]:
    if not isinstance(told, list):
        raise PlanRefused(f"{where}: must be a list")
    return told


def _flag(told: Any, where: str) -> bool:
    if not isinstance(told, bool):
        raise PlanRefused(f"{where}: true or false, not {told!r:.60}")
    return told


def _among(told: Any, allowed: tuple[str, ...], where: str) -> str:
    if told not in allowed:
        raise PlanRefused(f"{where}: {told!r} is none of {', '.join(allowed)}")
    return str(told)


def _number(told: Any, where: str) -> Decimal:
    if isinstance(told, bool) or not isinstance(told, int | Decimal) or not Decimal(told).is_finite():
        raise PlanRefused(f"{where}: {told!r} is no number")
    return Decimal(told)


def _percent(told: Any, where: str) -> Decimal:
    number = _number(told, where)
    if not 0 <= number <= 100 or number != round(number, PERCENT_DECIMALS):
        raise PlanRefused(f"{where}: a percent lies within 0 and 100 and has at most {PERCENT_DECIMALS} decimals")
    return number


def _count(told: Any, where: str) -> int:
    if isinstance(told, bool) or not isinstance(told, int) or not 0 <= told <= COUNT_MOST:
        raise PlanRefused(f"{where}: {told!r:.60} is no whole number within 0 and {COUNT_MOST:,}")
    return told
