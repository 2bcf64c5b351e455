"""Parameter sweeps: one figure or more of a draft over the values of one parameter or two."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from models import drafts
from models.catalogue import Rulebook, RulebookRefused, Version
from models.rules import RULES
from pipelines.whatif.history import History, WhatIfRefused
from pipelines.whatif.measure import values
from pipelines.whatif.money import today
from pipelines.whatif.replay import overlaid, replay

METRICS = (
    "payout ratio",
    "payouts",
    "net of fees and payouts",
    "expected payout per challenge sold",
    "break-even fee",
    "challenges funded",
    "pass rate",
    "breach rate",
    "median days to pass",
)
"""What a sweep can show; the last three of the stage that the first parameter belongs to."""
_AXIS = re.compile(r"(\w+)\.(\w+)\.(\w+)=(.+)")
MOST_CELLS = 400


@dataclass(frozen=True)
class Axis:
    """A parameter (stage, rule, field) and the values that it takes."""

    stage: str
    rule: str
    field: str
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The parameter as the command names it."""
        return f"{self.stage}.{self.rule}.{self.field}"


def parse_axis(text: str) -> Axis:
    """`evaluation_1.daily_loss.percent=3,4,5` as an axis; ValueError says what is missing."""
    found = _AXIS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not like evaluation_1.daily_loss.percent=3,4,5")
    stage, rule, name, listed = found.groups()
    field = RULES[rule].field(name) if rule in RULES else None
    if field is None:
        raise ValueError(f"{rule}.{name}: no such field of a rule; see docs/rulebook.md")
    given = [part.strip() for part in listed.split(",") if part.strip()]
    return Axis(stage, rule, name, tuple(_value(part, field.kind) for part in given))


def _value(text: str, kind: str) -> Any:
    if kind in ("percent", "amount", "number", "count", "seconds"):
        try:
            number = Decimal(text)
        except InvalidOperation as error:
            raise ValueError(f"{text!r} is no number") from error
        return int(number) if kind in ("count", "seconds") and number == number.to_integral() else number
    return text == "true" if kind == "flag" and text in ("true", "false") else text


def variants(version: Version, axes: Sequence[Axis]) -> Iterator[tuple[dict[str, Any], Version]]:
    """Every combination of the axes' values with the version that has them; one that does not hold is refused."""
    _check(version, axes)
    for chosen in itertools.product(*(axis.values for axis in axes)):
        stages = {stage: dict(terms) for stage, terms in version.stages.items()}
        for axis, value in zip(axes, chosen, strict=True):
            stages[axis.stage][axis.rule] = stages[axis.stage].get(axis.rule, {}) | {axis.field: value}
        try:
            made = drafts.checked(replace(version, stages=stages))
        except RulebookRefused as refused:
            raise WhatIfRefused(str(refused)) from refused
        yield {axis.name: value for axis, value in zip(axes, chosen, strict=True)}, made


def _check(version: Version, axes: Sequence[Axis]) -> None:
    cells = 1
    for axis in axes:
        if axis.stage not in version.stages:
            held = ", ".join(version.stages)
            raise WhatIfRefused(f"{axis.name}: {version.product} has no stage {axis.stage}; it has {held}")
        cells *= len(axis.values)
    if not 1 <= len(axes) <= 2:
        raise WhatIfRefused("a sweep moves one parameter or two")
    if not 1 <= cells <= MOST_CELLS:
        raise WhatIfRefused(f"a sweep has 1 to {MOST_CELLS} combinations, not {cells}")


def sweep(
    history: History,
    rulebook: Rulebook,
    version: Version,
    axes: Sequence[Axis],
    told: Callable[[int], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """The draft's figures (METRICS) for every combination of the axes' values, one row each.

    What neighbours share is judged once: each variant stands on the one before it, on the row before it or on today.
    """
    own = today(history)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    before, row_before = own.side, own.side
    softening = [replace(axis, values=_rising(axis.values)) for axis in axes]
    for place, (chosen, made) in enumerate(variants(version, softening)):
        side = replay(history, overlaid(rulebook, {version.product: made}), before, row_before, own.side)
        before = side
        if place % len(axes[-1].values) == 0:
            row_before = side
        said = values(history, own, side)
        figures = {metric: said.get((metric, "all"), said.get((metric, axes[0].stage))) for metric in METRICS}
        found[tuple(chosen.values())] = chosen | figures
        told(place + 1)
    return [found[chosen] for chosen in itertools.product(*(axis.values for axis in axes))]


def _rising(listed: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values in the order in which each spares most of the next: larger sizes are met by fewer."""
    numbers = all(isinstance(one, int | Decimal) for one in listed)
    return tuple(sorted(listed)) if numbers else listed
