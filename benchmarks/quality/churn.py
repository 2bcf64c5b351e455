"""The churn model beside a recency rule, logistic regression, Cox and BG/NBD, learnt before a cut-off, judged after it.

Run from the root: python -m benchmarks.quality.churn [made cdnow short demo] [--demo HOME] [--horizon 60]

made: firms where most, half or a third of the traders leave. short: firms whose whole history is shorter than the
horizon asks for. cdnow: purchases of 2,357 customers (Fader and Hardie; the file comes with the package lifetimes),
where leaving is buying nothing. demo: a scored home of a made-up firm, `highwater demo --days 330`.
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.quality.churn_firms import START, make_history
from models.churn import FEATURES, ChurnTerms, History, features_at, fit, left_after, measures, read_history
from models.churn.model import cut_offs, examples
from sql.decided import register_tables
from sql.schema import ACCOUNT_STATUS
from sql.warehouse import Warehouse

NAMES = ("auc", "pr_auc", "brier", "calibration_error", "lift")
HIGHER_IS_BETTER = {"auc": True, "brier": False}
"""Measures told beside each baseline, trader by trader."""
MADE = {
    "made, most leave": {},
    "made, half leave": {"stays_days": 110.0},
    "made, a third leaves": {"stays_days": 260.0},
}
SHORT = {"short, 75 days": (75, 45), "short, 100 days": (100, 40)}
"""Days of history, and the day of the cut-off: nothing is known yet about anybody's next 60 days."""


@dataclass(frozen=True)
class Trial:
    """A history that ends long enough after an instant to see who left."""

    name: str
    history: History
    at: pd.Timestamp


def made(traders: int, seed: int) -> Iterator[Trial]:
    """Firms of different base rates."""
    for name, ways in MADE.items():
        yield Trial(name, make_history(traders, 330, seed, **ways), START + pd.Timedelta(days=270))


def short(traders: int, seed: int) -> Iterator[Trial]:
    """Firms that are young."""
    for name, (_, cut) in SHORT.items():
        yield Trial(name, make_history(traders, cut + 60, seed, stays_days=110.0), START + pd.Timedelta(days=cut))


def cdnow(_traders: int, _seed: int) -> Iterator[Trial]:
    """CDNOW's customers, 60 days before the end of what was observed."""
    found = importlib.util.find_spec("lifetimes")
    if found is None or not found.submodule_search_locations:
        print("lifetimes is not installed: CDNOW is left out")
        return
    path = Path(found.submodule_search_locations[0]) / "datasets" / "CDNOW_sample.txt"
    told = pd.read_csv(path, sep=r"\s+", header=None, names=["_", "trader_id", "day", "discs", "fee"])
    at = pd.to_datetime(told["day"].astype(str), utc=True)
    bought = told.assign(trader_id=told["trader_id"].astype(str), purchased_at=at, ended_at=at).drop(
        columns=["day", "_"]
    )
    bought = bought.drop_duplicates(["trader_id", "purchased_at"]).reset_index(drop=True)
    empty = pd.to_datetime(pd.Series([pd.NaT] * len(bought)), utc=True)
    bought = bought.assign(challenge_id=bought.index.astype(str), breached_at=empty, paying_at=empty)
    days = pd.DataFrame(
        {"trader_id": [], "day": pd.to_datetime([], utc=True), "entries": [], "result": [], "sign_ins": []}
    )
    paid = pd.DataFrame({"trader_id": [], "settled_at": pd.to_datetime([], utc=True)})
    yield Trial("CDNOW", History(bought, days, paid), bought["purchased_at"].max() - pd.Timedelta(days=60))


def demo(home: Path) -> Iterator[Trial]:
    """A scored home, 60 days before its end."""
    warehouse = Warehouse.open(home)
    with warehouse.engine() as connection, warehouse.database.connect() as database:
        register_tables(connection, database, ACCOUNT_STATUS)
        history = read_history(connection)
        row = connection.execute("select getvariable('as_of')").fetchone()
    if row:
        yield Trial("demo firm", history, pd.Timestamp(row[0]) - pd.Timedelta(days=60))


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


def bg_nbd(history: History, test: pd.DataFrame, at: pd.Timestamp, horizon_days: int) -> np.ndarray:
    """Chance of no purchase within the horizon under BG/NBD (Fader, Hardie and Lee, 2005), from purchases alone.

    Who is alive keeps a purchase rate that is Gamma(r + x, alpha + T) by what was seen, so that nothing is bought in t
    days with chance ((alpha + T) / (alpha + T + t)) ** (r + x).
    """
    from lifetimes import BetaGeoFitter

    bought = history.purchases[history.purchases["purchased_at"] <= at]
    days = bought.assign(day=bought["purchased_at"].dt.floor("D")).drop_duplicates(["trader_id", "day"])
    first, last, count = (
        days.groupby("trader_id")["day"].agg(how).reindex(test.index) for how in ("min", "max", "size")
    )
    again = count.to_numpy(float) - 1
    recency = (last - first).dt.total_seconds().to_numpy() / 86400
    age = np.maximum((at - first).dt.total_seconds().to_numpy() / 86400, recency)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = BetaGeoFitter(penalizer_coef=0.001).fit(again, recency, age)
        alive = np.asarray(model.conditional_probability_alive(again, recency, age), dtype=float)
    r, alpha = float(model.params_["r"]), float(model.params_["alpha"])
    nothing = ((alpha + age) / (alpha + age + horizon_days)) ** (r + again)
    return np.asarray(1 - alive * (1 - nothing), dtype=float)


def recency(seen: pd.DataFrame, left: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Share of leavers among those quiet for about as long."""
    by = "days_since_entry" if seen["days_since_entry"].nunique() > 1 else "days_since_purchase"
    edges = np.unique(np.quantile(seen[by], np.linspace(0.1, 0.9, 9)))
    place = np.searchsorted(edges, seen[by], side="right")
    rates = np.array([left[place == k].mean() if (place == k).any() else left.mean() for k in range(len(edges) + 1)])
    return np.asarray(rates[np.searchsorted(edges, test[by], side="right")])


def baselines(trial: Trial, test: pd.DataFrame, horizon: int) -> dict[str, np.ndarray]:
    """What others say; those that learn from outcomes are left out where none is known yet."""
    found = {}
    instants = cut_offs(trial.history.first_at(), trial.at, horizon, ChurnTerms())
    if instants:
        seen, left = examples(trial.history, instants, horizon)
        plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(seen[list(FEATURES)], left)
        found["recency"] = recency(seen, left, test)
        found["logistic regression"] = plain.predict_proba(test)[:, 1]
        if importlib.util.find_spec("lifelines"):
            found["Cox (lifelines)"] = cox(trial.history, seen, test, horizon)
    if importlib.util.find_spec("lifetimes"):
        found["BG/NBD (lifetimes)"] = bg_nbd(trial.history, test, trial.at, horizon)
    return found


def interval(left: np.ndarray, chance: np.ndarray, name: str, rng: np.random.Generator) -> str:
    """A measure with its 95 % bootstrap interval over traders."""
    values = []
    for _ in range(100):
        rows = rng.integers(len(left), size=len(left))
        values.append(measures(left[rows], chance[rows])[name])
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{measures(left, chance)[name]:.3f} ({low:.3f}-{high:.3f})"


def gain(left: np.ndarray, ours: np.ndarray, theirs: np.ndarray, name: str, rng: np.random.Generator) -> str:
    """By how much a measure of ours is better than theirs on the same traders, with its 95 % bootstrap interval."""
    sign = 1 if HIGHER_IS_BETTER[name] else -1

    def better(rows: Any) -> float:
        return sign * (measures(left[rows], ours[rows])[name] - measures(left[rows], theirs[rows])[name])

    drawn = [better(rng.integers(len(left), size=len(left))) for _ in range(400)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{better(slice(None)):+.4f} ({low:+.4f} to {high:+.4f})"


def judge(trial: Trial, horizon: int) -> None:
    """Prints one line per model."""
    test = features_at(trial.history, trial.at)
    truth = left_after(trial.history, test.index, trial.at, horizon)
    found = {"highwater": fit(trial.history, trial.at, horizon).probability(test)[0], **baselines(trial, test, horizon)}
    rng = np.random.default_rng(1)
    for name, chance in found.items():
        cells: list[Any] = [interval(truth, chance, one, rng) for one in NAMES]
        ours = found["highwater"]
        cells += ["" if chance is ours else gain(truth, ours, chance, one, rng) for one in HIGHER_IS_BETTER]
        print(
            f"| {trial.name}: {len(test):,}, {truth.mean():.0%} left | {name} | " + " | ".join(cells) + " |", flush=True
        )


def main() -> None:
    """Prints a table over the chosen histories."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="*", default=["made", "short", "cdnow"], help="made, short, cdnow, demo")
    parser.add_argument("--traders", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--horizon", type=int, default=60)
    parser.add_argument("--demo", type=Path, help="a scored home")
    chosen = parser.parse_args()
    head = ["history", "model", *NAMES, *(f"{name}, ours better by" for name in HIGHER_IS_BETTER)]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    makers = {"made": made, "short": short, "cdnow": cdnow}
    for name in chosen.trials:
        trials = demo(chosen.demo) if name == "demo" else makers[name](chosen.traders, chosen.seed)
        for trial in trials:
            judge(trial, chosen.horizon)


if __name__ == "__main__":
    main()
