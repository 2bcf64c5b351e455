"""The churn model beside a recency rule, logistic regression and Cox, learnt before a cut-off and judged after it.

Run from the root: python -m benchmarks.quality.churn [--traders 2500] [--seed 3] [--horizon 60]
Cox needs lifelines; without it that line is left out and said so.
"""

from __future__ import annotations

import argparse
import importlib.util

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.quality.churn_firms import START, make_history
from models.churn import FEATURES, ChurnTerms, History, features_at, fit, left_after, measures
from models.churn.model import cut_offs, examples


def cox(history: History, seen: pd.DataFrame, test: pd.DataFrame, horizon_days: int) -> np.ndarray:
    """Chance of having left by the horizon under Cox's model of the time to the last sign of life after a cut-off."""
    from lifelines import CoxPHFitter

    traded = history.days[history.days["entries"] > 0].groupby("trader_id")["day"].max()
    latest = pd.concat([history.purchases.groupby("trader_id")["purchased_at"].max(), traded], axis=1).max(axis=1)
    cut = seen["cut_off"]
    seen_days = (latest.reindex(seen.index).to_numpy() - cut.to_numpy()).astype("timedelta64[s]").astype(float) / 86400
    lasts = np.clip(seen_days, 0.5, horizon_days)
    table = seen[list(FEATURES)].assign(lasts=lasts, gone=(lasts < horizon_days).astype(int)).reset_index(drop=True)
    varied = [name for name in FEATURES if table[name].std() > 0]
    model = CoxPHFitter(penalizer=0.1).fit(table[[*varied, "lasts", "gone"]], "lasts", "gone")
    staying = model.predict_survival_function(test[varied].reset_index(drop=True), times=[1.0])
    return np.asarray(1 - staying.to_numpy()[0])


def recency(seen: pd.DataFrame, left: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Share of leavers among those quiet for about as long."""
    edges = np.unique(np.quantile(seen["days_since_entry"], np.linspace(0.1, 0.9, 9)))
    place = np.searchsorted(edges, seen["days_since_entry"], side="right")
    rates = np.array([left[place == k].mean() if (place == k).any() else left.mean() for k in range(len(edges) + 1)])
    return np.asarray(rates[np.searchsorted(edges, test["days_since_entry"], side="right")])


def interval(left: np.ndarray, chance: np.ndarray, name: str, rng: np.random.Generator) -> str:
    """A measure with its 95 % bootstrap interval over traders."""
    values = []
    for _ in range(200):
        rows = rng.integers(len(left), size=len(left))
        values.append(measures(left[rows], chance[rows])[name])
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{measures(left, chance)[name]:.3f} ({low:.3f}-{high:.3f})"


def main() -> None:
    """Prints one line per model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traders", type=int, default=2500)
    parser.add_argument("--days", type=int, default=330)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--horizon", type=int, default=60)
    chosen = parser.parse_args()
    history = make_history(chosen.traders, chosen.days, chosen.seed)
    then = START + pd.Timedelta(days=chosen.days - chosen.horizon)
    seen, left = examples(history, cut_offs(history.first_at(), then, chosen.horizon, ChurnTerms()), chosen.horizon)
    test = features_at(history, then)
    truth = left_after(history, test.index, then, chosen.horizon)
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(seen[list(FEATURES)], left)
    found = {
        "highwater": fit(history, then, chosen.horizon).probability(test)[0],
        "recency": recency(seen, left, test),
        "logistic regression": plain.predict_proba(test)[:, 1],
    }
    if importlib.util.find_spec("lifelines"):
        found["Cox (lifelines)"] = cox(history, seen, test, chosen.horizon)
    else:
        print("lifelines is not installed: Cox is left out")
    names = ("auc", "pr_auc", "brier", "calibration_error", "lift")
    rng = np.random.default_rng(1)
    print(f"{len(test):,} traders at the cut-off, {truth.mean():.0%} left within {chosen.horizon} days")
    print("| model | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
    for name, chance in found.items():
        print(f"| {name} | " + " | ".join(interval(truth, chance, one, rng) for one in names) + " |")


if __name__ == "__main__":
    main()
