"""Both sides as figures with intervals: a bootstrap over traders, the same draws for today and the draft.

Efron and Tibshirani (1993), percentile intervals; whole traders are drawn, because one person's accounts go together,
and both sides are measured on the same draw, so that the interval of the change is that of a paired difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from models.catalogue import Rulebook, Version
from models.clock import from_micros
from models.terms import FUNDED
from models.walk import NEVER, STATUS_BREACHED, STATUS_PASSED, Array
from pipelines.whatif.history import History
from pipelines.whatif.money import Money, Today, today, under
from pipelines.whatif.replay import RULES, STATUS_EXPIRED, Side, overlaid, part, replay

RESAMPLES = 400
STATUS_WORDS = np.array(["open", "passed", "breached", "open", "open", "expired"])
FLIP_COLUMNS = ["account_id", "trader_id", "desk_id", "product", "stage", "today", "today_rule", "today_at"]
Figure = tuple[str, str, str, Array, Array]
"""Metric, stage, unit, and both sides: first over all traders, then over each draw."""


@dataclass(frozen=True)
class Comparison:
    """Today beside a draft: `rows` (metric, stage, unit, today, draft, change, intervals of each) and who flips."""

    rows: list[dict[str, Any]]
    flips: pd.DataFrame


@dataclass(frozen=True)
class _Sides:
    """Both sides with the draws on which they are measured: one row of weights per draw, one column per trader."""

    history: History
    own: Today
    side: Side
    money: Money
    weights: Array

    def total(self, values: Array, places: Array | None = None) -> Array:
        """The sum of values over each draw; one value per challenge, or per account whose codes are `places`."""
        of = self.history.challenges.trader
        if len(self.weights) == 1:
            return np.array([values.sum()])
        traders = of if places is None else of[self.history.challenges.place[places]]
        return self.weights @ np.bincount(traders, values, self.weights.shape[1])

    def both(self) -> tuple[Side, Side]:
        """Today's side and the draft's."""
        return self.own.side, self.side


def compare_history(
    history: History, today_rules: Rulebook, versions: Mapping[str, Version], resamples: int = RESAMPLES
) -> Comparison:
    """A loaded history under the terms bought and under draft versions, by product."""
    own = today(history)
    draft = replay(history, overlaid(today_rules, versions), own.side)
    return measure(history, own, draft, resamples)


def compare_products(
    history: History, today_rules: Rulebook, versions: Mapping[str, Version], resamples: int = RESAMPLES
) -> Iterator[tuple[str, Comparison]]:
    """Each product of the drafts that has accounts: all are judged together, each is measured on its own traders."""
    own = replay(history, history.rulebook)
    draft = replay(history, overlaid(today_rules, versions), own)
    for product in sorted({*versions} & {*history.accounts["product"]}):
        mine, codes = history.of_product(product)
        sides = [part(history, side, codes) for side in (own, draft)]
        yield product, measure(mine, today(mine, sides[0]), sides[1], resamples)


def measure(history: History, own: Today, draft: Side, resamples: int = RESAMPLES) -> Comparison:
    """Today and a draft side by side, with 95 % intervals by a bootstrap over traders."""
    sides = _Sides(history, own, draft, under(history, own, draft), _weights(history, resamples))
    return Comparison([_row(*one) for one in _figures(sides)], _flips(history, own.side, draft))


def values(history: History, own: Today, draft: Side) -> dict[tuple[str, str], float | None]:
    """The draft's figures alone by metric and stage, without intervals."""
    sides = _Sides(history, own, draft, under(history, own, draft), _weights(history, 0))
    return {(metric, stage): _finite(after[0]) for metric, stage, _, _, after in _figures(sides)}


def _weights(history: History, resamples: int) -> Array:
    """First the sample itself, then how often each trader is drawn."""
    key = f"weights-{resamples}"
    if key not in history.kept:
        traders = int(history.challenges.trader.max()) + 1
        random = np.random.default_rng(0)
        drawn = [np.bincount(random.integers(0, traders, traders), minlength=traders) for _ in range(resamples)]
        history.kept[key] = np.vstack([np.ones(traders), *drawn]).astype(np.float32).astype(float)
    weights: Array = history.kept[key]
    return weights


def _figures(sides: _Sides) -> Iterator[Figure]:
    broke = [side.broke() for side in sides.both()]
    for number, stage in enumerate(sides.history.stages):
        mine = np.flatnonzero(sides.history.stage == number)
        everyone = sides.total(np.ones(len(mine)), mine)
        yield "accounts", stage, "accounts", everyone, everyone
        yield from _end_figures(sides, stage, mine)
        for code in sorted({*broke[0], *broke[1]}):
            held = [_of_stage(one.get(code), sides.history.stage, number) for one in broke]
            if any(map(len, held)):
                counts = [sides.total(np.ones(len(one)), one) for one in held]
                yield f"breaches of {RULES[code]}", stage, "accounts", counts[0], counts[1]
    yield from _money_figures(sides)


def _of_stage(codes: Array | None, stage: Array, number: int) -> Array:
    mine: Array = np.zeros(0, np.int64) if codes is None else codes[stage[codes] == number]
    return mine


def _end_figures(sides: _Sides, stage: str, mine: Array) -> Iterator[Figure]:
    """How the accounts of a stage end, and how long passing took; what nobody did and need not do is left out."""
    for metric, code in (
        ("pass rate", STATUS_PASSED),
        ("breach rate", STATUS_BREACHED),
        ("expiry rate", STATUS_EXPIRED),
    ):
        held = [mine[side.status[mine] == code] for side in sides.both()]
        always = code == STATUS_BREACHED or (code == STATUS_PASSED and stage not in FUNDED)
        if not always and not any(map(len, held)):
            continue
        yield metric, stage, "% of accounts", _rate(sides, mine, held[0]), _rate(sides, mine, held[1])
        if code == STATUS_PASSED:
            days = [_median_days(sides, side, one) for side, one in zip(sides.both(), held, strict=True)]
            yield "median days to pass", stage, "days", days[0], days[1]


def _rate(sides: _Sides, everyone: Array, some: Array) -> Array:
    return _ratio(100 * sides.total(np.ones(len(some)), some), sides.total(np.ones(len(everyone)), everyone))


def _ratio(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Array = part / whole
    return ratio


def _median_days(sides: _Sides, side: Side, passed: Array) -> Array:
    """The median of the days from opening to pass, of those that passed, over each draw."""
    if not len(passed):
        return np.full(len(sides.weights), np.nan)
    days = (side.at[passed] - sides.history.opened_at[passed]) / 86_400e6
    order = np.argsort(days, kind="stable")
    traders = sides.history.challenges.trader[sides.history.challenges.place[passed[order]]]
    medians = np.full(len(sides.weights), np.nan)
    for draw, weights in enumerate(sides.weights):
        reached = np.cumsum(weights[traders])
        if reached[-1] > 0:
            medians[draw] = days[order[np.searchsorted(reached, reached[-1] / 2)]]
    return medians


def _money_figures(sides: _Sides) -> Iterator[Figure]:
    own, draft = sides.own.money, sides.money
    sold = sides.total(np.ones(len(sides.history.challenges)))
    funded = [sides.total(side.funded.astype(float)) for side in (own, draft)]
    carried = _carried(sides)
    gained = sides.total((draft.funded & ~own.funded).astype(float)) + carried
    known = sides.total((draft.funded & own.funded).astype(float))
    shares = sides.total(draft.payouts), sides.total(draft.firm_share)
    more = [gained * np.nan_to_num(_ratio(one, known), posinf=0.0) for one in shares]
    payouts = sides.total(own.payouts), sides.total(draft.payouts) + more[0]
    firm = sides.total(own.firm_share), sides.total(draft.firm_share) + more[1]
    fees = sides.total(own.fee), sides.total(draft.fee)
    prices = sides.total(sides.history.challenges.price)
    yield "challenges sold", "all", "challenges", sold, sold
    yield "challenges funded", "all", "challenges", funded[0], funded[1] + carried
    yield "fees, net of refunds", "all", "USD", fees[0], fees[1]
    yield "payouts", "all", "USD", *payouts
    yield "firm's share of profit", "all", "USD", *firm
    ratios = [_ratio(100 * paid, fee) for paid, fee in zip(payouts, fees, strict=True)]
    yield "payout ratio", "all", "% of fees", ratios[0], ratios[1]
    yield "expected payout per challenge sold", "all", "USD", _ratio(payouts[0], sold), _ratio(payouts[1], sold)
    breaks = [_ratio(prices, sold) * ratio / 100 for ratio in ratios]
    yield "break-even fee", "all", "USD", breaks[0], breaks[1]
    yield "net of fees and payouts", "all", "USD", fees[0] - payouts[0], fees[1] - payouts[1]


def _carried(sides: _Sides) -> Array:
    """How many of those that a draft carries to stages nobody traded would be funded, by those stages' pass rates."""
    more = np.zeros(len(sides.weights))
    for chain, challenges in sides.money.chains.items():
        chance = np.ones(len(more))
        for stage in chain:
            chance = chance * _pass_rate(sides, stage)
        more += sides.total(challenges) * chance
    return more


def _pass_rate(sides: _Sides, stage: str) -> Array:
    """The draft's share of passes in a stage, 0 where nobody was in it."""
    if stage not in sides.history.stages:
        return np.zeros(len(sides.weights))
    mine = np.flatnonzero(sides.history.stage == sides.history.stages.index(stage))
    return np.nan_to_num(_rate(sides, mine, mine[sides.side.status[mine] == STATUS_PASSED])) / 100


def _row(metric: str, stage: str, unit: str, before: Array, after: Array) -> dict[str, Any]:
    """One figure: both sides of the sample, their change, and the interval of each over the draws."""
    with np.errstate(invalid="ignore"):  # neither side known: the change is not either
        change = after - before
    row: dict[str, Any] = {"metric": metric, "stage": stage, "unit": unit}
    row |= {"today": _finite(before[0]), "draft": _finite(after[0]), "change": _finite(change[0])}
    for prefix, draws in (("", change), ("today_", before), ("draft_", after)):
        known = draws[1:][np.isfinite(draws[1:])]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        row |= {f"{prefix}low": _finite(low), f"{prefix}high": _finite(high)}
    return row


def _finite(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _flips(history: History, own: Side, draft: Side) -> pd.DataFrame:
    """Accounts that end otherwise under the draft: how and when on either side, and by which rule."""
    words = STATUS_WORDS[own.status], STATUS_WORDS[draft.status]
    codes = np.flatnonzero(words[0] != words[1])
    frame = history.accounts.iloc[codes][FLIP_COLUMNS[:5]].reset_index(drop=True)
    rules = np.array(RULES)
    for name, side, said in (("today", own, words[0]), ("draft", draft, words[1])):
        frame[name] = said[codes]
        is_open = said[codes] == "open"
        frame[f"{name}_rule"] = np.where(is_open, "", rules[side.rule[codes]])
        at = np.where(is_open, NEVER, side.at[codes]).tolist()
        frame[f"{name}_at"] = [None if one == NEVER else from_micros(one) for one in at]
    return frame
