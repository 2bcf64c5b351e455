"""How accounts end under given terms: the walk of `models.walk` and the set-based rules of `models.set_rules`.

A draft differs from today in few terms, so only what they touch is judged anew: accounts whose terms in the walk are
others are walked, rules whose terms are others are run, and all rules where an account's end has moved. Where a figure
of the walk is only made softer, who never met the rule under the harder one cannot meet it now and stands as before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from models import events, set_rules, walk
from models.answers import Question
from models.catalogue import Product, Rulebook, Version
from models.clock import from_micros, to_micros
from models.set_rules import OWN, SHARED
from models.terms import stage_row
from models.walk import (
    BREACHED,
    DAILY_GAIN,
    DAILY_LOSS,
    FLOATING_LOSS,
    MAX_LOSS,
    NEVER,
    PROFIT_TARGET,
    RULE_NAMES,
    SPLIT_CUT,
    STATUS_BREACHED,
    STATUS_CLOSED,
    STATUS_PASSED,
    TERMS,
    Array,
    Events,
    Walked,
)
from pipelines.whatif.history import History, WhatIfRefused, micros

SOFTER: dict[str, tuple[int, int]] = {
    "dl_size": (DAILY_LOSS, 1),
    "dl_share": (DAILY_LOSS, 1),
    "dl_inclusive": (DAILY_LOSS, -1),
    "ml_size": (MAX_LOSS, 1),
    "ml_share": (MAX_LOSS, 1),
    "ml_inclusive": (MAX_LOSS, -1),
    "fl_size": (FLOATING_LOSS, 1),
    "fl_share": (FLOATING_LOSS, 1),
    "fl_least": (FLOATING_LOSS, 1),
    "dg_size": (DAILY_GAIN, 1),
    "dg_share": (DAILY_GAIN, 1),
    "pt_size": (PROFIT_TARGET, 1),
    "min_days": (PROFIT_TARGET, 1),
    "profitable_days": (PROFIT_TARGET, 1),
    "profitable_size": (PROFIT_TARGET, 1),
}
"""Figures of the walk's terms that decide one rule only: the rule, and the direction in which it is met by fewer."""
_FIGURES = (
    "dl_size", "dl_share", "ml_size", "ml_share", "fl_size", "fl_share", "fl_least", "dg_size", "dg_share", "pt_size",
)  # fmt: skip
"""Of these 0 means that there is none, with which nothing compares."""
STATUS_EXPIRED = 5
"""Beside the walk's: ended by a rule about time."""
RULES = (*RULE_NAMES, *OWN, *SHARED)
"""Every rule that an account may break, by code; the walk's first."""
WORKERS = 2
_ENDED = (STATUS_PASSED, STATUS_BREACHED, STATUS_CLOSED)
_COLUMNS = ["account", "rule", "outcome", "effect", "at", "evidence"]
_ENDINGS = ["account", "rule", "status", "at"]


@dataclass(frozen=True)
class Found:
    """What set-based rules say: verdicts (account code, rule, outcome, effect, at, evidence) and accounts they end."""

    verdicts: pd.DataFrame
    endings: pd.DataFrame


@dataclass(frozen=True)
class Side:
    """All accounts under one rulebook: how each ends (status, rule code, instant) and which rules it broke.

    `resting` are the accounts that a set-based rule pauses; they are walked with their pauses.
    """

    rulebook: Rulebook
    rows: Array
    walked: Walked
    found: Found
    status: Array
    rule: Array
    at: Array
    resting: Array

    @cached_property
    def cuts(self) -> dict[int, tuple[int, ...]]:
        """When the walk lowered the trader's share for good, by account code and in time order."""
        said = self.walked.verdicts[self.walked.verdicts["effect"] == SPLIT_CUT]
        cuts: defaultdict[int, list[int]] = defaultdict(list)
        for code, at in said[["account", "at"]].tolist():
            cuts[code].append(at)
        return {code: tuple(sorted(listed)) for code, listed in cuts.items()}

    def broke(self) -> dict[int, Array]:
        """Codes of the accounts that broke each rule (by its code) by their end, whatever followed from it."""
        said = self.walked.verdicts[self.walked.verdicts["outcome"] == BREACHED]
        if len(self.found.endings):
            said = said[said["at"] <= self.at[said["account"]]]
        by_walk = {code: np.unique(said["account"][said["rule"] == code]) for code in np.unique(said["rule"]).tolist()}
        rows = self.found.verdicts[self.found.verdicts["outcome"] == "breached"]
        return by_walk | {
            RULES.index(str(rule)): np.unique(mine["account"].to_numpy(np.int64)) for rule, mine in rows.groupby("rule")
        }


def part(history: History, side: Side, codes: Array) -> Side:
    """A side of some of the accounts, numbered in the order of their codes."""
    place = np.full(len(history.accounts), -1)
    place[codes] = np.arange(len(codes))

    def of(rows: pd.DataFrame) -> pd.DataFrame:
        mine = rows[rows["account"].isin(codes)]
        return mine.assign(account=place[mine["account"].to_numpy(np.int64)])

    said = side.walked.verdicts[np.isin(side.walked.verdicts["account"], codes)]
    said["account"] = place[said["account"]]
    return Side(
        side.rulebook,
        side.rows[pd.unique(history.groups.of[codes])],
        replace(side.walked, results=side.walked.results[codes], verdicts=said),
        Found(of(side.found.verdicts), of(side.found.endings)),
        side.status[codes],
        side.rule[codes],
        side.at[codes],
        place[side.resting[np.isin(side.resting, codes)]],
    )


def newest(draft: Rulebook, product: str | None) -> dict[str, Version]:
    """The newest version of each product of a draft; WhatIfRefused when the product is not in it."""
    if product is not None and product not in draft.products:
        raise WhatIfRefused(f"{product}: the draft has no such product; it has {', '.join(sorted(draft.products))}")
    return {p.id: p.versions[-1] for p in draft.products.values() if product in (None, p.id)}


def overlaid(rulebook: Rulebook, versions: Mapping[str, Version]) -> Rulebook:
    """A rulebook whose versions all say what a draft says, so that who bought what stays as it is.

    The draft's clock holds for the whole product; stages that the draft does not name keep their own terms.
    """
    products = {
        name: _overlaid(product, versions[name]) if name in versions else product
        for name, product in rulebook.products.items()
    }
    return Rulebook(products)


def _overlaid(product: Product, draft: Version) -> Product:
    held = tuple(replace(one, clock=draft.clock, stages={**one.stages, **draft.stages}) for one in product.versions)
    return replace(product, versions=held)


def replay(history: History, rulebook: Rulebook, *like: Side) -> Side:
    """Every account under a rulebook; what is as on a side before is taken from the one of them that spares most."""
    rows = _rows(history, rulebook)
    kept = [_standing(history, rows, one) for one in like]
    nearest = max(range(len(like)), key=lambda place: int(kept[place].sum()), default=None)
    side = None if nearest is None else like[nearest]
    walked = _walk(history, rows, side, None if nearest is None else kept[nearest])
    found = _set_rules(history, rulebook, walked, side)
    walked, found, resting = _rested(history, rulebook, rows, walked, found)
    status, rule, at = (walked.results[name].copy() for name in ("status", "rule", "status_at"))
    codes = found.endings["account"].to_numpy(np.int64)
    status[codes] = found.endings["status"].to_numpy(np.int32)
    rule[codes] = found.endings["rule"].to_numpy(np.int32)
    at[codes] = found.endings["at"].to_numpy(np.int64)
    at[~np.isin(status, (*_ENDED, STATUS_EXPIRED))] = NEVER
    return Side(rulebook, rows, walked, found, status, rule, at, resting)


def _rows(history: History, rulebook: Rulebook) -> Array:
    """The walk's terms of each group; their clocks are places in the history's schedules."""
    rows = np.zeros(len(history.groups.keys), TERMS)
    for place, (product, number, stage, currency, initial) in enumerate(history.groups.keys):
        version = rulebook.version(product, int(number))
        clock = history.clock(version.clock)
        rows[place] = stage_row(version.stages[stage], stage, currency, Decimal(initial), clock)
    return rows


def _standing(history: History, rows: Array, like: Side) -> Array:
    """Which accounts end as on another side for sure: same terms, or softer figures of rules that they never met."""
    met = np.zeros((len(RULE_NAMES), len(history.accounts)), bool)
    met[like.walked.verdicts["rule"], like.walked.verdicts["account"]] = True
    kept = np.zeros(len(history.accounts), bool)
    for place, (now, before) in enumerate(zip(rows, like.rows, strict=True)):
        rules = _softened(now, before)
        if rules is not None:
            kept |= (history.groups.of == place) & ~met[rules].any(axis=0)
    kept[like.resting] = False
    return kept


def _softened(now: Any, before: Any) -> list[int] | None:
    """The rules whose figures are softer than before, none for the same terms; None where anything else differs."""
    rules = []
    for name in TERMS.names or ():
        if now[name] == before[name]:
            continue
        rule, direction = SOFTER.get(name, (0, 0))
        compares = name not in _FIGURES or before[name] > 0
        if not compares or (int(now[name]) - int(before[name])) * direction <= 0:
            return None
        rules.append(rule)
    return rules


def _walk(history: History, rows: Array, like: Side | None, kept: Array | None) -> Walked:
    """Walks the accounts that do not stand as on the other side."""
    compiled, as_of = _compiled(history, rows), to_micros(history.as_of)
    if like is None or kept is None:
        return walk_parallel(history.told.events, compiled, history.schedules, as_of)
    if kept.all():
        return like.walked
    # an account that closed before all time is not walked
    compiled["closed_at"][kept] = np.iinfo(np.int64).min
    walked = walk_parallel(history.told.events, compiled, history.schedules, as_of)
    walked.results[kept] = like.walked.results[kept]
    said = like.walked.verdicts
    return replace(walked, verdicts=np.concatenate([said[kept[said["account"]]], walked.verdicts]))


def _compiled(history: History, rows: Array) -> Array:
    compiled = rows.take(history.groups.of)
    compiled["opened_at"], compiled["closed_at"] = history.opened_at, history.closed_at
    return compiled


def _rested(
    history: History, rulebook: Rulebook, rows: Array, walked: Walked, found: Found
) -> tuple[Walked, Found, Array]:
    """Accounts that a set-based rule pauses, walked with their pauses; where that moves an end, rules look again."""
    known, resting = pd.DataFrame(columns=["account", "at"]), np.zeros(0, np.int64)
    while True:
        said = found.verdicts[(found.verdicts["outcome"] == "breached") & (found.verdicts["effect"] == "pause")]
        pauses = said[["account", "at"]].drop_duplicates().sort_values(["account", "at"], ignore_index=True)
        if pauses.equals(known) or not len(pauses):
            return walked, found, resting
        known, resting = pauses, pauses["account"].unique().astype(np.int64)
        places = np.searchsorted(resting, pauses["account"].to_numpy(np.int64))
        told = events.with_pauses(
            events.of_accounts(history.told.events, resting), places, pauses["at"].to_numpy(np.int64)
        )
        again = walk.walk(told, _compiled(history, rows)[resting], history.schedules, to_micros(history.as_of))
        again.verdicts["account"] = resting[again.verdicts["account"]]
        results, others = walked.results.copy(), ~np.isin(walked.verdicts["account"], resting)
        results[resting] = again.results
        rested = replace(walked, results=results, verdicts=np.concatenate([walked.verdicts[others], again.verdicts]))
        moved, walked = np.flatnonzero(_moved(rested, walked)), rested
        if not len(moved):
            return walked, found, resting
        jobs = [(moved, list(OWN))]
        if any(set(SHARED) & set(_held(rulebook, key)) for key in history.groups.keys):
            jobs.append((np.arange(len(history.accounts)), list(SHARED)))
        with history.lock:
            for codes, rules in jobs:
                found = _merged(found, _judged(history, rulebook, walked, found, codes, rules), codes, rules)


def walk_parallel(told: Events, compiled: Array, schedules: list[tuple[Array, Array]], as_of: int) -> Walked:
    """The walk over slices of the accounts on as many threads as there are cores."""
    bounds = np.linspace(0, len(compiled), WORKERS + 1).astype(int)

    def part(first: int, last: int) -> Walked:
        sliced = replace(told, starts=told.starts[first : last + 1])
        return walk.walk(sliced, compiled[first:last], schedules, as_of)

    with ThreadPoolExecutor(WORKERS) as pool:
        parts = list(pool.map(part, bounds[:-1], bounds[1:]))
    for first, one in zip(bounds, parts, strict=False):
        one.verdicts["account"] += first
    return Walked(
        np.concatenate([one.results for one in parts]),
        np.concatenate([one.verdicts for one in parts]),
        parts[0].days,
        parts[0].steps,
    )


# --- set-based rules -----------------------------------------------------------------------------------------------


def _held(rulebook: Rulebook, key: Sequence[Any]) -> dict[str, Any]:
    """The set-based rules of a group's stage, and the clock that divides their days."""
    version = rulebook.version(key[0], int(key[1]))
    held: dict[str, Any] = {rule: fields for rule, fields in version.stages[key[2]].items() if rule in (*OWN, *SHARED)}
    return held | {"clock": version.clock} if held else {}


def _set_rules(history: History, rulebook: Rulebook, walked: Walked, like: Side | None) -> Found:
    """What the set-based rules say, taken from the other side where nothing that they look at is different."""
    now = [_held(rulebook, key) for key in history.groups.keys]
    before = [_held(like.rulebook, key) if like else {} for key in history.groups.keys]
    nothing = Found(pd.DataFrame(columns=_COLUMNS), pd.DataFrame(columns=_ENDINGS))
    if not any(now) and not any(before):
        return nothing
    found = like.found if like else nothing
    jobs = _jobs(history, now, before, walked, like)
    if not jobs:
        return found
    with history.lock:
        for codes, rules in jobs:
            found = _merged(found, _judged(history, rulebook, walked, found, codes, rules), codes, rules)
    return found


def _jobs(
    history: History, now: list[dict[str, Any]], before: list[dict[str, Any]], walked: Walked, like: Side | None
) -> list[tuple[Array, list[str]]]:
    """Which accounts are judged anew, and by which rules.

    Where an account's end has moved, or a rule that can end it is another, every rule is; else only those that are
    another. Rules that look across accounts are, for all accounts, when anything is or an account ends elsewhere.
    """
    others = [_differing(*pair) for pair in zip(now, before, strict=True)]
    ends = [
        bool(other) and (_can_end(one) or _can_end(two)) for other, one, two in zip(others, now, before, strict=True)
    ]
    holds, shared = (
        history.groups.accounts(np.array([bool(_both(*pair) & set(rules)) for pair in zip(now, before, strict=True)]))
        for rules in (OWN, SHARED)
    )
    moved = np.ones(len(history.accounts), bool) if like is None else _moved(walked, like.walked)
    all_rules = holds & (history.groups.accounts(np.array(ends, bool)) | moved)
    some = {rule for other in others for rule in other} & set(OWN)
    some_rules = history.groups.accounts(np.array([bool(other & set(OWN)) for other in others])) & ~all_rules
    jobs = [(np.flatnonzero(all_rules), list(OWN)), (np.flatnonzero(some_rules), sorted(some))]
    if moved.any() or any(len(codes) for codes, _ in jobs) or any(other & set(SHARED) for other in others):
        jobs.append((np.flatnonzero(shared), list(SHARED)))
    return [(codes, rules) for codes, rules in jobs if len(codes)]


def _both(one: dict[str, Any], two: dict[str, Any]) -> set[str]:
    return {*one, *two}


def _differing(now: dict[str, Any], before: dict[str, Any]) -> set[str]:
    """Rules whose terms are others; all of them under another clock."""
    if now.get("clock") != before.get("clock"):
        return _both(now, before) - {"clock"}
    return {rule for rule in _both(now, before) if now.get(rule) != before.get(rule)}


def _can_end(held: dict[str, Any]) -> bool:
    return any(fields.get("effect") == "terminate" for rule, fields in held.items() if rule != "clock")


def _moved(one: Walked, two: Walked) -> Array:
    """Which accounts the walk leaves at another end."""
    ended = np.isin(one.results["status"], _ENDED), np.isin(two.results["status"], _ENDED)
    at = (one.results["status_at"] != two.results["status_at"]) & (ended[0] | ended[1])
    moved: Array = (ended[0] != ended[1]) | at
    return moved


def _judged(
    history: History, rulebook: Rulebook, walked: Walked, found: Found, codes: Array, rules: Iterable[str]
) -> Found:
    """Some accounts by some rules, up to where the walk, or a rule judged before, ended them."""
    accounts = history.accounts.iloc[codes].reset_index(drop=True)
    set_rules.register_ends(history.connection, _ends(history, walked, found, codes, tuple(rules)))
    finder = history.answers.finder(Question(accounts, rulebook, history.as_of, history.worded))
    said = set_rules.judge(history.connection, accounts, rulebook, history.as_of, tuple(rules), finder, history.worded)
    code = dict(zip(accounts["account_id"], codes.tolist(), strict=True))
    rows, endings = said.verdicts, said.terminations
    status = [STATUS_EXPIRED if one == "expired" else STATUS_BREACHED for one in endings["status"]]
    return Found(
        pd.DataFrame(
            {
                "account": rows["account_id"].map(code).to_numpy(np.int64),
                "at": micros(rows["happened_at"]),
                **{name: rows[name].to_numpy() for name in ("rule", "outcome", "effect", "evidence")},
            }
        )[_COLUMNS],
        pd.DataFrame(
            {
                "account": endings["account_id"].map(code).to_numpy(np.int64),
                "rule": [RULES.index(one) for one in endings["rule"]],
                "status": status,
                "at": micros(endings["happened_at"]),
            }
        )[_ENDINGS],
    )


def _ends(history: History, walked: Walked, found: Found, codes: Array, rules: tuple[str, ...]) -> pd.DataFrame:
    """When accounts came to their end: by the walk; for rules that look across accounts also by any other rule, and
    those that are not replayed as the last run found them."""
    at = np.where(np.isin(walked.results["status"], _ENDED), walked.results["status_at"], NEVER)
    across = set(rules) <= set(SHARED)
    if across:
        endings = found.endings
        at[endings["account"].to_numpy(np.int64)] = endings["at"].to_numpy(np.int64)
        codes = np.arange(len(at))
    ended = codes[at[codes] != NEVER]
    ends = pd.DataFrame(
        {
            "account_id": history.accounts["account_id"].to_numpy()[ended],
            "ended_at": [from_micros(one) for one in at[ended].tolist()],
            "passed": np.isin(walked.results["status"][ended], [STATUS_PASSED, STATUS_CLOSED]),
        }
    )
    if not across:
        return ends
    others = history.elsewhere[~history.elsewhere["account_id"].isin(history.accounts["account_id"])]
    return _joined(ends, others)


def _merged(found: Found, anew: Found, codes: Array, rules: Sequence[str]) -> Found:
    """What was found, with what was judged anew in the place of what it replaces."""
    judged = np.isin(found.verdicts["account"].to_numpy(np.int64), codes) & found.verdicts["rule"].isin(rules)
    named = [RULES.index(rule) for rule in rules]
    ended = np.isin(found.endings["account"].to_numpy(np.int64), codes) & found.endings["rule"].isin(named)
    return Found(_joined(found.verdicts[~judged], anew.verdicts), _joined(found.endings[~ended], anew.endings))


def _joined(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    kept = [frame for frame in (old, new) if len(frame)]
    return pd.concat(kept, ignore_index=True) if kept else old
