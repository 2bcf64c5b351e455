"""Boosted trees kept as text: what scikit-learn learnt is written as numbers, and read back without unpickling
anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

Floats = np.ndarray[Any, np.dtype[np.float64]]
_FIELDS = ("feature_idx", "num_threshold", "left", "right", "value", "is_leaf", "missing_go_to_left")


def as_text(model: HistGradientBoostingClassifier) -> dict[str, Any]:
    """A fitted binary model as plain lists: the baseline log-odds and each tree's nodes."""
    trees = [{name: stage[0].nodes[name].tolist() for name in _FIELDS} for stage in model._predictors]
    for tree, stage in zip(trees, model._predictors, strict=True):
        tree["value"] = _means(stage[0].nodes)
        tree["num_threshold"] = [t if np.isfinite(t) else None for t in tree["num_threshold"]]
    return {"baseline": float(np.ravel(model._baseline_prediction)[0]), "trees": trees}


def _means(nodes: Any) -> list[float]:
    """Each node's mean over the examples below it; scikit-learn keeps shrunken values for leaves only."""
    values = nodes["value"].astype(float)
    for place in range(len(nodes) - 1, -1, -1):
        if not nodes["is_leaf"][place]:
            below = nodes["left"][place], nodes["right"][place]
            counts = [float(nodes["count"][child]) for child in below]
            values[place] = sum(n * values[child] for n, child in zip(counts, below, strict=True)) / sum(counts)
    told: list[float] = values.tolist()
    return told


def explain(told: dict[str, Any], features: Floats) -> tuple[Floats, Floats]:
    """Log-odds of each row and how much each feature moved it, along the rows' paths through the trees.

    The moves and the base add up to the log-odds (Saabas, Interpreting random forests, 2014); shape rows x features.
    """
    moves = np.zeros(features.shape)
    total = np.full(len(features), told["baseline"])
    for tree in told["trees"]:
        nodes = {name: np.array([np.inf if v is None else v for v in tree[name]]) for name in _FIELDS}
        place = np.zeros(len(features), dtype=np.int64)
        inner = np.flatnonzero(nodes["is_leaf"][place] == 0)
        total += nodes["value"][0]
        while len(inner):
            at = place[inner]
            feature = nodes["feature_idx"][at].astype(np.int64)
            values = features[inner, feature]
            left = np.where(
                np.isnan(values), nodes["missing_go_to_left"][at] != 0, values <= nodes["num_threshold"][at]
            )
            following = np.where(left, nodes["left"][at], nodes["right"][at]).astype(np.int64)
            step = nodes["value"][following] - nodes["value"][at]
            moves[inner, feature] += step
            total[inner] += step
            place[inner] = following
            inner = inner[nodes["is_leaf"][following] == 0]
    return np.asarray(total, dtype=np.float64), moves
