"""One score per account: what signals, coordination, identity and verdicts add up to, point by point.

A noisy-or: each kind of evidence would by itself make a case with probability `weight x strength`, and the score is the
probability (in percent) that at least one of them does. More evidence never lowers it. The points of a reason are its
share of the logarithm that the product becomes, so that they add up to the score. See Pearl, Probabilistic Reasoning in
Intelligent Systems (1988), section 4.3.2.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from scipy.stats import beta

from sql import relations

COLUMNS = ("account_id", "trader_id", "score", "band", "reasons", "as_of", "model_version")
ITEMS = ("account_id", "reason", "strength", "weight", "subject_kind", "subject_id", "sentence")
DISPOSITIONS = ("subject_kind", "subject_id", "detector", "outcome", "decided_at")
Items = pd.DataFrame


@dataclass(frozen=True)
class ScoreTerms:
    """The numbers a person chose.

    Attributes:
        version: name of this set.
        weights: how surely a certain signal of each detector would make a case of its own.
        other_weight: for detectors not named.
        copying, mirroring: weights of pairs of strangers; own_copying, own_mirroring: of one owner's accounts.
        several_records: weight of being one of several trader records of one owner.
        elsewhere: factor for what the same owner's other accounts show.
        conduct_rules: rules whose verdicts count as history; floors are not among them, losing is no offence.
        verdict_weight: weight of one such verdict, verdicts_max the number that counts.
        bands: lowest score of medium, high and critical.
        labels_min: dispositions of a detector before they move anything.
        expected_precision: the share of confirmed flags that the weights are made for.
        expected_labels: how many labels that expectation is worth.
    """

    version: str = "2026-11"
    weights: Mapping[str, float] = field(
        default_factory=lambda: {
            "account_passing": 0.92,
            "latency_arbitrage": 0.92,
            "payout_gaming": 0.9,
            "chargeback_abuse": 0.9,
            "kyc_mismatch": 0.85,
            "news_straddling": 0.8,
            "tick_scalping": 0.75,
            "challenge_farming": 0.75,
            "all_in": 0.65,
            "martingale": 0.65,
            "grid": 0.65,
            "recurring_breaches": 0.35,
            "inactivity": 0.02,
        }
    )
    other_weight: float = 0.5
    copying: float = 0.9
    mirroring: float = 0.93
    own_copying: float = 0.2
    own_mirroring: float = 0.85
    several_records: float = 0.5
    elsewhere: float = 0.3
    conduct_rules: tuple[str, ...] = (
        "copy_own_accounts",
        "allocation_cap",
        "hedging",
        "martingale",
        "grid",
        "hyperactivity",
    )
    verdict_weight: float = 0.05
    verdicts_max: int = 5
    bands: tuple[float, float, float] = (30.0, 60.0, 85.0)
    labels_min: int = 20
    expected_precision: float = 0.9
    expected_labels: float = 10.0


def detector_precision(dispositions: pd.DataFrame, terms: ScoreTerms | None = None) -> pd.DataFrame:
    """What analysts' answers say about each detector.

    Takes rows of `DISPOSITIONS` (outcome confirmed or dismissed; the newest per subject counts). Gives
    detector, labels, confirmed, precision with a 95 % credible interval (Beta posterior, uniform prior) and `factor`,
    by which the weight moves: 1 below `labels_min` labels, else shrunken over expected precision, at most 1.05.
    """
    held = terms or ScoreTerms()
    newest = _newest(dispositions)
    counts = newest.groupby("detector")["outcome"].agg(
        labels="size", confirmed=lambda answers: int((answers == "confirmed").sum())
    )
    labels, confirmed = counts["labels"].to_numpy(float), counts["confirmed"].to_numpy(float)
    shrunk = (confirmed + held.expected_precision * held.expected_labels) / (labels + held.expected_labels)
    moved = np.minimum(shrunk / held.expected_precision, 1.05)
    judged: pd.DataFrame = counts.assign(
        precision=confirmed / np.maximum(labels, 1),
        low=beta.ppf(0.025, confirmed + 1, labels - confirmed + 1),
        high=beta.ppf(0.975, confirmed + 1, labels - confirmed + 1),
        factor=np.where(labels >= held.labels_min, moved, 1.0),
    ).reset_index()
    return judged


def _newest(dispositions: pd.DataFrame) -> pd.DataFrame:
    ordered = dispositions[dispositions["outcome"].isin(["confirmed", "dismissed"])].sort_values(
        ["decided_at", "detector", "subject_id"], kind="stable"
    )
    newest: pd.DataFrame = ordered.drop_duplicates(["subject_kind", "subject_id", "detector"], keep="last")
    return newest


def calibrated(terms: ScoreTerms, dispositions: pd.DataFrame | None) -> ScoreTerms:
    """The terms with each detector's weight moved by what analysts answered; the same answers give the same terms."""
    if dispositions is None or dispositions.empty:
        return terms
    factors = detector_precision(dispositions, terms).set_index("detector")["factor"]
    moved = {name: min(weight * float(factors.get(name, 1.0)), 0.97) for name, weight in terms.weights.items()}
    return ScoreTerms(**{**vars(terms), "weights": moved})


def model_version(terms: ScoreTerms) -> str:
    """The terms' name with a fingerprint of every number in them."""
    held = json.dumps(vars(terms), sort_keys=True, default=dict)
    return f"{terms.version}-{hashlib.sha256(held.encode()).hexdigest()[:8]}"


def score_accounts(
    connection: duckdb.DuckDBPyConnection,
    as_of: dt.datetime,
    dispositions: pd.DataFrame | None = None,
    terms: ScoreTerms | None = None,
) -> pd.DataFrame:
    """Scores every account: account_id, trader_id, score (0-100), band, reasons, as_of, model_version.

    The connection holds facts.accounts and decided.signals, copy_pairs, owners, verdicts, account_status. Reasons are a
    JSON list; their points add up to the score. The money at stake comes last with no points: it orders equals.
    """
    held = calibrated(terms or ScoreTerms(), dispositions)
    relations.build(connection, "facts.accounts")
    accounts: pd.DataFrame = connection.sql("select account_id, trader_id from facts.accounts order by account_id").df()
    signals = _answered(
        connection.sql("select * from decided.signals where subject_kind <> 'partner'").df(), dispositions
    )
    found = _signal_items(connection, signals, held)
    items = pd.concat(
        [found, _elsewhere(connection, found, held), _pair_items(connection, held), _record_items(connection, held),
         _verdict_items(connection, held)],
        ignore_index=True,
    )  # fmt: skip
    scored = combine(accounts, items, held)
    scored["reasons"] = _with_money(connection, scored)
    return scored.assign(as_of=pd.Timestamp(as_of), model_version=model_version(held))[list(COLUMNS)]


def combine(accounts: pd.DataFrame, items: Items, terms: ScoreTerms) -> pd.DataFrame:
    """Adds items (columns of `ITEMS`) up to a score per account; one item per account and reason counts, the
    strongest."""
    worth = np.clip(items["strength"].to_numpy(float), 0.0, 1.0)
    doubtful = np.where(worth < 0.5, 2 * worth**2, worth)
    chance = np.clip(doubtful * items["weight"].to_numpy(float), 0.0, 0.99)
    weighed = items.assign(loss=-np.log1p(-chance)).sort_values(
        ["account_id", "loss", "subject_id"], ascending=[True, False, True]
    )
    weighed = weighed[weighed["loss"] > 0].drop_duplicates(["account_id", "reason"])
    total = weighed.groupby("account_id")["loss"].sum()
    score = (100 * -np.expm1(-total)).round(2)
    reasons = _points(weighed, total, score)
    scored = accounts.assign(score=accounts["account_id"].map(score).fillna(0.0))
    edges = [-np.inf, *terms.bands, np.inf]
    bands = pd.cut(scored["score"], edges, right=False, labels=["low", "medium", "high", "critical"])
    told = pd.Series([reasons.get(str(account), []) for account in scored["account_id"]], index=scored.index)
    return scored.assign(band=bands.astype(str), reasons=told)


def _points(weighed: pd.DataFrame, total: pd.Series[float], score: pd.Series[float]) -> dict[str, list[dict[str, Any]]]:
    """Each account's reasons with points that add up to its score to the cent; the strongest takes the rounding."""
    told: dict[str, list[dict[str, Any]]] = {}
    for account, rows in weighed.groupby("account_id", sort=False):
        points = (rows["loss"] / total[account] * score[account]).round(2).to_numpy()
        points[0] = round(float(score[account]) - float(points[1:].sum()), 2)
        told[str(account)] = [
            {
                "reason": row.reason,
                "points": float(point),
                "strength": round(strength, 4),
                "weight": round(weight, 4),
                "subject": f"{row.subject_kind} {row.subject_id}",
                "sentence": row.sentence,
            }
            for row, point, strength, weight in zip(
                rows.itertuples(), points, rows["strength"].tolist(), rows["weight"].tolist(), strict=True
            )
        ]
    return told


def _answered(signals: pd.DataFrame, dispositions: pd.DataFrame | None) -> pd.DataFrame:
    """Signals with the analysts' answers: confirmed ones certain, dismissed ones silent until newer evidence comes."""
    if dispositions is None or dispositions.empty or signals.empty:
        return signals
    answers = _newest(dispositions)[["subject_kind", "subject_id", "detector", "outcome", "decided_at"]]
    joined = signals.merge(answers, how="left", on=["subject_kind", "subject_id", "detector"])
    later = pd.to_datetime(joined["last_at"], utc=True) > pd.to_datetime(joined["decided_at"], utc=True)
    certain, silent = joined["outcome"] == "confirmed", (joined["outcome"] == "dismissed") & ~later
    strength = joined["strength"].where(~certain, 1.0).where(~silent, 0.0)
    return signals.assign(strength=strength.to_numpy())


def _signal_items(connection: duckdb.DuckDBPyConnection, signals: pd.DataFrame, terms: ScoreTerms) -> Items:
    """Signals as items of the accounts they are about; those about a trader count for each of the trader's accounts."""
    connection.register("answered_signals", signals.assign(strength=signals["strength"].astype(float)))
    items: pd.DataFrame = connection.sql(
        "select accounts.account_id, signals.detector as reason, signals.strength, signals.subject_kind, "
        "signals.subject_id,"
        " coalesce(signals.evidence ->> 'sentence', '') as sentence"
        " from answered_signals as signals inner join facts.accounts as accounts"
        " on (signals.subject_kind = 'account' and signals.subject_id = accounts.account_id)"
        " or (signals.subject_kind = 'trader' and signals.subject_id = accounts.trader_id)"
    ).df()
    connection.unregister("answered_signals")
    return items.assign(weight=items["reason"].map(dict(terms.weights)).fillna(terms.other_weight).astype(float))[
        list(ITEMS)
    ]


def _elsewhere(connection: duckdb.DuckDBPyConnection, found: Items, terms: ScoreTerms) -> Items:
    """What the strongest signal about another account of the same owner adds."""
    strong = found[(found["strength"] >= 0.5) & (found["subject_kind"] == "account") & (found["weight"] > 0.1)]
    connection.register("strong_items", strong.astype({"strength": float, "weight": float}))
    items: pd.DataFrame = connection.sql(
        "with owned as (select accounts.account_id, coalesce(owners.owner_id, accounts.trader_id) as owner_id"
        " from facts.accounts as accounts left join decided.owners as owners using (trader_id))"
        " select owned.account_id, 'owner''s other accounts' as reason, items.strength, items.weight, "
        "items.subject_kind,"
        " items.subject_id, items.reason || ': ' || items.sentence as sentence"
        " from strong_items as items inner join owned as source using (account_id)"
        " inner join owned on owned.owner_id = source.owner_id and owned.account_id <> source.account_id"
    ).df()
    connection.unregister("strong_items")
    return items.assign(weight=items["weight"].astype(float) * terms.elsewhere)[list(ITEMS)]


def _pair_items(connection: duckdb.DuckDBPyConnection, terms: ScoreTerms) -> Items:
    """Pairs of accounts that trade as one, for either account; strategies shared with many are no reason."""
    weight = {(False, "copy"): terms.copying, (False, "mirror"): terms.mirroring}
    weight |= {(True, "copy"): terms.own_copying, (True, "mirror"): terms.own_mirroring}
    items: pd.DataFrame = connection.sql(
        "select account, other as subject_id, relation, coalesce(same_owner, false) as same_owner, strength,"
        " coalesce(evidence ->> 'sentence', '') as sentence from ("
        " select *, account_a as account, account_b as other from decided.copy_pairs"
        " union all select *, account_b, account_a from decided.copy_pairs)"
    ).df()
    weights = [
        weight.get((bool(own), str(kind)), 0.0)
        for own, kind in zip(items["same_owner"], items["relation"], strict=True)
    ]
    reason = [
        f"{'own ' if own else ''}{kind}" for own, kind in zip(items["same_owner"], items["relation"], strict=True)
    ]
    return items.assign(account_id=items["account"], reason=reason, weight=weights, subject_kind="account")[list(ITEMS)]


def _record_items(connection: duckdb.DuckDBPyConnection, terms: ScoreTerms) -> Items:
    """Being one of several trader records of one owner."""
    items: pd.DataFrame = connection.sql(
        "select accounts.account_id, 'several records of one owner' as reason, 1.0 as strength, 'owner' "
        "as subject_kind,"
        " owners.owner_id as subject_id, owners.members || ' trader records belong to one owner.' as sentence"
        " from facts.accounts as accounts inner join decided.owners as owners using (trader_id) where "
        "owners.members > 1"
    ).df()
    return items.assign(weight=terms.several_records)[list(ITEMS)]


def _verdict_items(connection: duckdb.DuckDBPyConnection, terms: ScoreTerms) -> Items:
    """Verdicts about conduct, a little each."""
    items: pd.DataFrame = connection.execute(
        "select account_id, count(*) as verdicts, string_agg(distinct rule, ', ' order by rule) as rules"
        " from decided.verdicts where outcome in ('breached', 'warned') and rule in (select unnest(?)) "
        "group by account_id",
        [list(terms.conduct_rules)],
    ).df()
    counted = np.minimum(items["verdicts"].to_numpy(float), terms.verdicts_max)
    sentence = items["verdicts"].astype(str) + " verdicts about conduct: " + items["rules"].astype(str) + "."
    return items.assign(
        reason="verdict history",
        strength=1.0,
        weight=1 - (1 - terms.verdict_weight) ** counted,
        subject_kind="account",
        subject_id=items["account_id"],
        sentence=sentence,
    )[list(ITEMS)]


def _with_money(connection: duckdb.DuckDBPyConnection, scored: pd.DataFrame) -> list[str]:
    """Reasons as JSON with the money at stake behind them: what lies above the initial balance, in account currency."""
    money: pd.DataFrame = connection.sql(
        "select account_id, currency, greatest(cast(equity as double) - cast(initial_balance as double), 0) as at_stake"
        " from decided.account_status"
    ).df()
    held = money.set_index("account_id")
    stakes = scored["account_id"].map(held["at_stake"]).to_numpy(dtype=float, na_value=np.nan)
    currencies = scored["account_id"].map(held["currency"])
    told = []
    for reasons, stake, currency in zip(scored["reasons"], stakes, currencies, strict=True):
        last = (
            []
            if np.isnan(stake)
            else [{"reason": "money at stake", "points": 0.0, "amount": round(stake, 2), "currency": currency}]
        )
        told.append(json.dumps([*reasons, *last], ensure_ascii=False))
    return told


def owner_scores(scores: pd.DataFrame, owners: pd.DataFrame) -> pd.DataFrame:
    """Owners with the highest score among their accounts: owner_id, score, band, account_id, accounts."""
    named = scores.merge(owners[["trader_id", "owner_id"]], how="left", on="trader_id")
    named["owner_id"] = named["owner_id"].fillna(named["trader_id"])
    ordered = named.sort_values(["score", "account_id"], ascending=[False, True], kind="stable")
    highest = ordered.drop_duplicates("owner_id")[["owner_id", "score", "band", "account_id"]]
    return highest.merge(named.groupby("owner_id").size().rename("accounts").reset_index(), on="owner_id")
