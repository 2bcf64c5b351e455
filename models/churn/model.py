"""The churn model: boosted trees over what is known at a cut-off, calibrated on unseen traders, kept as text."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.churn import trees
from models.churn.features import (
    BUYS_NOTHING,
    FEATURES,
    NEVER_DAYS,
    UNTIL,
    WORDS,
    History,
    features_at,
    left_after,
)

# takes a second to import, which a firm with too little to learn from is spared
if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

Floats = np.ndarray[Any, np.dtype[np.float64]]
MONOTONE = {"days_since_entry": 1, "active_days_30d": -1, "running": -1, "buys_nothing": 1}
SEEN = ("days_since_entry", "days_since_purchase")
"""What says when a trader was last seen."""
GUESS = ((1 / 12, 0.3), (7 / 15, 0.6), (1.5, 0.9))
"""Horizons since a trader was last seen and the share who leave, where nothing is known yet."""
GUESS_WEIGHS = 10
"""The guess weighs as much as so many examples."""
SILENCE_WEIGHS = 200
"""What silence alone says weighs as much as trees learnt from so many traders."""


@dataclass(frozen=True)
class ChurnTerms:
    """Spacing of training cut-offs, first history and shortest horizon taught (days), fewest examples, traders and
    leavers for the trees, seed, shown reasons."""

    version: str = "2026-12"
    spacing_days: int = 7
    history_days: int = 14
    taught_days_min: int = 7
    cut_offs_max: int = 12
    examples_min: int = 400
    traders_min: int = 60
    rarer_class_min: int = 15
    seed: int = 7
    reasons_max: int = 4


@dataclass(frozen=True)
class ChurnModel:
    """A fitted model: `kind` trees, purchases or recency, its content as plain values, and what it was learnt from."""

    kind: str
    horizon_days: int
    content: dict[str, Any]
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Kind and a fingerprint of everything that decides a probability."""
        held = json.dumps([self.kind, self.horizon_days, self.content], sort_keys=True)
        return f"churn-{self.kind}-{hashlib.sha256(held.encode()).hexdigest()[:8]}"

    def to_text(self) -> str:
        """The model as JSON; `from_text` reads it back."""
        return json.dumps(vars(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> ChurnModel:
        """A model from its JSON; ValueError when a part is missing."""
        held = json.loads(text)
        if set(held) != {"kind", "horizon_days", "content", "card"}:
            raise ValueError(f"a churn model has kind, horizon_days, content and card, this text has {sorted(held)}")
        return cls(**held)

    def probability(self, features: pd.DataFrame) -> tuple[Floats, Floats]:
        """Probability of leaving and each feature's share of its log-odds; rows x FEATURES."""
        values = features[list(FEATURES)].to_numpy(float)
        if self.kind == "recency":
            newest, raw = _silence(features)
            moves = np.zeros(values.shape)
            moves[np.arange(len(raw)), newest] = raw - self.content["usual"]
        elif self.kind == "purchases":
            alone = FEATURES.index("buys_nothing")
            raw, moves = values[:, alone], np.zeros(values.shape)
            moves[:, alone] = raw
        else:
            raw, moves = trees.explain(self.content, values)
        slope, shift = self.content["slope"], self.content["shift"]
        odds, moves = slope * raw + shift, slope * moves
        if beside := self.content.get("beside"):
            newest, silence = _silence(features)
            odds, moves = _drawn(odds, silence, beside), (1 - beside["weight"]) * moves
            by_silence = beside["weight"] * beside["slope"] * (silence - beside["usual"])
            moves[np.arange(len(moves)), newest] += by_silence
        return self.content.get("stretch", 1.0) * np.asarray(expit(odds)), moves


def _silence(features: pd.DataFrame) -> tuple[np.ndarray, Floats]:
    """By which of `FEATURES` each trader was last seen to trade or buy, and the logarithm of the days since then."""
    days = features[list(SEEN)].to_numpy(float)
    days[days[:, 0] == NEVER_DAYS, 0] = np.inf
    newest = days.argmin(axis=1)
    places = np.array([FEATURES.index(name) for name in SEEN])
    return places[newest], np.log1p(days[np.arange(len(days)), newest])


def _drawn(odds: Floats, silence: Floats, beside: dict[str, float]) -> Floats:
    """Log-odds drawn to what silence alone says."""
    weight = beside["weight"]
    return (1 - weight) * odds + weight * (beside["slope"] * silence + beside["shift"])


def cut_offs(first: pd.Timestamp, last: pd.Timestamp, horizon_days: int, terms: ChurnTerms) -> list[pd.Timestamp]:
    """Instants whose horizon is over by `last`, the newest first; none when the history is too short."""
    newest = last.floor("D") - pd.Timedelta(days=horizon_days)
    found = [newest - pd.Timedelta(days=terms.spacing_days * k) for k in range(terms.cut_offs_max)]
    return [at for at in found if at - first >= pd.Timedelta(days=terms.history_days)]


def examples(history: History, instants: list[pd.Timestamp], horizon_days: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Features and outcomes of every trader at each cut-off; column `cut_off` says which."""
    frames = [features_at(history, at).assign(cut_off=at) for at in instants]
    left = [left_after(history, frame.index, at, horizon_days) for frame, at in zip(frames, instants, strict=True)]
    return pd.concat(frames), np.concatenate(left)


def fit(history: History, last: pd.Timestamp, horizon_days: int, terms: ChurnTerms | None = None) -> ChurnModel:
    """Learns from cut-offs whose outcome was known at `last`: trees where there is enough, else by recency alone.

    Calibration (Platt, 1999) uses what trees learnt from every second trader say of the others, so that nobody is
    judged by trees that have seen what became of them; what trees of few traders say is drawn to what silence alone
    says. Where nobody was ever seen to trade, what is known of purchases alone is used (BG/NBD), calibrated alike. A
    history too short for the horizon teaches a shorter one, from which the share that stays away to the end of the
    horizon is taken; see `_stretch`.
    """
    held = terms or ChurnTerms()
    taught, instants = _teachable(history, last, horizon_days, held)
    if not instants:
        card = {"trained_on": 0, "features": "a guess: no outcome is known yet"}
        return ChurnModel("recency", horizon_days, _by_recency(np.zeros(0), np.zeros(0, bool), horizon_days), card)
    seen, left = examples(history, instants, taught)
    stretch = _stretch(history, instants, taught, horizon_days)
    # a trader is an example at every cut-off: many examples of few people teach trees those people
    enough = len(seen) >= held.examples_min and seen.index.nunique() >= held.traders_min
    enough = enough and min(left.sum(), (~left).sum()) >= held.rarer_class_min
    if not enough:
        card = {"trained_on": len(seen), "features": "days since the last trade or purchase"}
        content = _by_recency(_silence(seen)[1], left, taught) | {"stretch": stretch}
        return ChurnModel("recency", horizon_days, content, card)
    if (history.days["entries"] > 0).any():
        kind, content, raw = "trees", *_boosted(seen, left, held)
    else:
        kind, content, raw = "purchases", {}, seen["buys_nothing"].to_numpy(float)
    content |= _platt(raw, left)
    odds = content["slope"] * raw + content["shift"]
    if kind == "trees":
        silence = _silence(seen)[1]
        weight = SILENCE_WEIGHS / (SILENCE_WEIGHS + seen.index.nunique())
        content["beside"] = _by_recency(silence, left, taught) | {"weight": round(weight, 4)}
        odds = _drawn(odds, silence, content["beside"])
    chance = np.asarray(expit(odds))
    card = _card(seen, left, chance, taught, stretch)
    return ChurnModel(kind, horizon_days, {**content, "stretch": stretch}, card)


def _teachable(
    history: History, last: pd.Timestamp, horizon_days: int, terms: ChurnTerms
) -> tuple[int, list[pd.Timestamp]]:
    """The longest of the horizon, its half and so on whose outcome is known for somebody, with its cut-offs."""
    reached = horizon_days
    while reached >= terms.taught_days_min and len(history.purchases):
        if instants := cut_offs(history.first_at(), last, reached, terms):
            return reached, instants
        reached //= 2
    return horizon_days, []


def _stretch(history: History, instants: list[pd.Timestamp], taught: int, horizon_days: int) -> float:
    """The share of those away for the days taught who stay away to the horizon.

    Each doubling of the days brings some back: half as many as the doubling before, from the last one that was seen.
    """
    if taught >= horizon_days:
        return 1.0
    away = [float(examples(history, instants, days)[1].mean()) for days in (taught // 2, taught)]
    doublings = round(math.log2(horizon_days / taught))
    stays = away[1] - max(away[0] - away[1], 0.0) * (1 - 0.5**doublings)
    return round(float(np.clip(stays / max(away[1], 1e-6), 0.3, 1.0)), 4)


def _boosted(seen: pd.DataFrame, left: np.ndarray, terms: ChurnTerms) -> tuple[dict[str, Any], Floats]:
    """Trees learnt on all examples, and the log-odds of each example by trees that have not seen its trader."""
    values = seen[list(FEATURES)].to_numpy(float)
    half = np.array([zlib.crc32(str(trader).encode()) % 2 for trader in seen.index])
    raw = np.zeros(len(seen))
    # more threads than idle cores wait for each other
    with threadpool_limits(1):
        for one in (0, 1):
            if (half == one).any():
                raw[half == one] = (
                    _trees(terms).fit(values[half != one], left[half != one]).decision_function(values[half == one])
                )
        return trees.as_text(_trees(terms).fit(values, left)), raw


def _trees(terms: ChurnTerms) -> HistGradientBoostingClassifier:
    """Small trees that never say that longer silence is a good sign."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=120,
        learning_rate=0.06,
        max_leaf_nodes=8,
        min_samples_leaf=40,
        l2_regularization=5.0,
        monotonic_cst=[MONOTONE.get(name, 0) for name in FEATURES],
        random_state=terms.seed,
        early_stopping=False,
    )


def _platt(raw: Floats, left: np.ndarray) -> dict[str, Any]:
    """Slope and shift that make log-odds of others into probabilities."""
    from sklearn.linear_model import LogisticRegression

    platt = LogisticRegression(C=10.0).fit(raw[:, None], left)
    return {"slope": float(max(platt.coef_[0, 0], 0.05)), "shift": float(platt.intercept_[0])}


def _by_recency(silence: Floats, left: np.ndarray, horizon_days: int) -> dict[str, Any]:
    """Log-odds that rise with the logarithm of the days since a trader was last seen, drawn to a guess."""
    guessed = np.log1p([horizon_days * part for part, _ in GUESS])
    shares = np.array([share for _, share in GUESS])
    raw = np.concatenate([silence, guessed, guessed])
    gone = np.concatenate([left, np.ones(len(GUESS)), np.zeros(len(GUESS))]).astype(float)
    guesses = GUESS_WEIGHS / len(GUESS) * np.concatenate([shares, 1 - shares])
    weights = np.concatenate([np.ones(len(left)), guesses])

    # the loss and penalty of `_platt`, without the second that its library takes to import
    def loss(line: Floats) -> tuple[float, Floats]:
        odds = line[0] * raw + line[1]
        off = weights * (expit(odds) - gone)
        told = (weights * (np.logaddexp(0, odds) - gone * odds)).sum() + line[0] ** 2 / 20
        return float(told), np.array([(off * raw).sum() + line[0] / 10, off.sum()])

    slope, shift = (float(one) for one in minimize(loss, (1.0, 0.0), jac=True, method="L-BFGS-B").x)
    return {"slope": max(slope, 0.05), "shift": shift, "usual": float((raw * weights).sum() / weights.sum())}


def measures(left: np.ndarray, chance: Floats) -> dict[str, float]:
    """AUC, PR-AUC, Brier score, calibration error (ten equally filled bins) and lift in the top decile."""
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    order = np.argsort(-chance, kind="stable")
    bins = np.array_split(np.argsort(chance, kind="stable"), 10)
    error = sum(len(b) * abs(chance[b].mean() - left[b].mean()) for b in bins if len(b)) / len(left)
    top = order[: max(len(order) // 10, 1)]
    both = 0 < left.sum() < len(left)
    return {
        "auc": float(roc_auc_score(left, chance)) if both else float("nan"),
        "pr_auc": float(average_precision_score(left, chance)) if both else float("nan"),
        "brier": float(brier_score_loss(left, chance)),
        "calibration_error": float(error),
        "lift": float(left[top].mean() / max(left.mean(), 1e-9)),
    }


def _card(seen: pd.DataFrame, left: np.ndarray, chance: Floats, horizon_days: int, stretch: float) -> dict[str, Any]:
    """What a reader of the model must know: windows, sizes, metrics on unseen traders, spreads for drift."""
    watched = {name: seen[name].to_numpy(float) for name in FEATURES} | {"probability": chance * stretch}
    return {
        "trained_from": seen["cut_off"].min().isoformat(),
        "trained_to": seen["cut_off"].max().isoformat(),
        "calibrated_to": seen["cut_off"].max().isoformat(),
        "taught_days": horizon_days,
        "outcomes_until": (seen["cut_off"].max() + pd.Timedelta(days=horizon_days)).isoformat(),
        "examples": len(seen),
        "left_share": round(float(left.mean()), 4),
        "measures": {name: round(value, 4) for name, value in measures(left, chance).items()},
        "spreads": {name: _spread(values) for name, values in watched.items()},
    }


def drift(model: ChurnModel, features: pd.DataFrame, chance: Floats | None = None) -> dict[str, float]:
    """Population stability index of each feature, and of the probability, against the model's training data.

    Above 0.25 it has moved. Empty for a model that keeps no spreads.
    """
    seen = features if chance is None else features.assign(probability=chance)
    spreads = model.card.get("spreads", {})
    return {name: _stability(spread, seen[name].to_numpy(float)) for name, spread in spreads.items() if name in seen}


def _spread(values: Floats) -> dict[str, list[float]]:
    """Borders between values with the share of values up to each: the distinct deciles, and where one is the greatest
    value also the greatest below it, so that what leaves either is seen."""
    steps, greatest = np.unique(np.quantile(values, np.linspace(0.1, 0.9, 9))), values.max()
    if steps[-1] == greatest:
        below = values[values < greatest].max(initial=-np.inf)
        steps = np.unique([*steps, below if np.isfinite(below) else np.nextafter(greatest, -np.inf)])
    return {"steps": steps.tolist(), "below": [round(float((values <= step).mean()), 4) for step in steps]}


def _stability(spread: dict[str, list[float]], values: Floats) -> float:
    """Population stability index of values against how those of training were spread."""
    place = np.searchsorted(spread["steps"], values, side="left")
    parts = len(spread["steps"]) + 1
    now = (np.bincount(place, minlength=parts) + 0.5) / (len(place) + 0.5 * parts)
    then = np.maximum(np.diff([0.0, *spread["below"], 1.0]), 0.001)
    return round(float(((now - then) * np.log(now / then)).sum()), 4)


def reasons(features: pd.Series, moves: Floats, reasons_max: int) -> list[dict[str, Any]]:
    """The features that moved a trader's log-odds most, in words; value None where there is no record of the kind."""
    order = np.argsort(-np.abs(moves))[:reasons_max]
    return [
        {**_told(FEATURES[k], float(features.iloc[k])), "log_odds": round(float(moves[k]), 3)}
        for k in order
        if abs(moves[k]) > 0.01
    ]


def _told(feature: str, value: float) -> dict[str, Any]:
    """A feature in words, with its value as a reader understands it."""
    if feature == "buys_nothing":
        return {"reason": BUYS_NOTHING, "value": round(float(expit(value)), 3)}
    return {"reason": WORDS[feature], "value": None if feature in UNTIL and value == NEVER_DAYS else round(value, 3)}
