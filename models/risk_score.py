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
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
from scipy.special import betaincinv

from models.chance import by_chance
from sql import relations

COLUMNS = ("account_id", "trader_id", "score", "band", "reasons", "as_of", "model_version")
ITEMS = ("account_id", "reason", "strength", "weight", "subject_kind", "subject_id", "sentence")
EVIDENCE = (*ITEMS, "last_at", "amount")
DISPOSITIONS = ("subject_kind", "subject_id", "detector", "outcome", "decided_at")
SEVERAL = "several records of one owner"
VERDICTS = "verdict history"
UNSAID = "not enough to say"
"""A reason without points: what was too little, or not delivered, and which detectors are silent for it."""
PAIRS = {"copy": "copying", "mirror": "mirroring", "own copy": "own_copying", "own mirror": "own_mirroring"}
"""Reasons that a pair of accounts gives, and the field of the terms that weighs each."""
FLAG = 0.5
KEY = ["subject_kind", "subject_id", "reason"]
Items = pd.DataFrame
_MONEY = '{"reason": "money at stake", "points": 0.0'
_TOLD = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True)
class Lack:
    """Something of which an account shows too little: the `condition` on `detectors.seen`, the `detectors` that it
    keeps from telling, what is said of the account and of the run."""

    condition: str
    detectors: tuple[str, ...]
    sentence: str
    remark: str


LACKS = {
    "positions": Lack(
        "positions < $positions_enough",
        (
            "account_passing",
            "grid",
            "latency_arbitrage",
            "martingale",
            "news_straddling",
            "payout_gaming",
            "tick_scalping",
        ),
        "{few}: how the account is traded is not told by fewer than {enough}.",
        "with fewer than {enough} positions",
    ),
    "sign_ins": Lack(
        "not has_sign_ins",
        ("account_passing", "kyc_mismatch"),
        "No sign-in: from where, and at which machine, is not known.",
        "whose traders never signed in",
    ),
    "quotes": Lack(
        "lacks_quotes",
        ("latency_arbitrage",),
        "No quote at its quick trades: whether prices were stale is not known.",
        "that trade quickly where no quote was delivered",
    ),
    "own_hand": Lack(
        "robot_traders >= $robot_traders_enough",
        ("account_passing",),
        "All its trades are those of one robot that {traders} traders run: hours, sizes and holding tell of the robot,"
        " not of who owns the account.",
        "traded by a robot of several traders alone",
    ),
    "equity": Lack(
        "positions > 0 and not has_equity",
        ("challenge_farming", "recurring_breaches"),
        "No equity was observed: breaches by open losses are not known.",
        "whose equity was never observed",
    ),
    "stops": Lack(
        "positions > 0 and not has_stops",
        ("all_in",),
        "No stop was delivered of any trade: what was staked is told by size and result alone.",
        "of a feed without stops",
    ),
    "news": Lack(
        "positions > 0 and not has_news",
        ("news_straddling",),
        "No calendar was delivered: trades around news are not known.",
        "that trade while no calendar was delivered",
    ),
    "payments": Lack(
        "not has_payments",
        ("chargeback_abuse",),
        "No payment: whether a purchase was disputed is not known.",
        "whose traders have no payment",
    ),
}


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
        quiet_days: a dismissed signal is silent until its evidence is so much newer than what was dismissed.
        grown: what has no time is silent until there is so much more of it (matches, verdicts, trader records).
        positions_enough: fewer positions say nothing about how an account is traded.
        robot_traders: a robot that does all of an account's trading for so many traders tells of itself alone.
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
            "all_in": 0.59,
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
        "login_country",
        "login_address",
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
    quiet_days: float = 14.0
    grown: float = 1.5
    positions_enough: int = 8
    robot_traders: int = 3

    def weight(self, reason: str) -> float:
        """The weight of a detector, or of a pair's reason."""
        held = getattr(self, PAIRS[reason]) if reason in PAIRS else self.weights.get(reason, self.other_weight)
        return float(held)


@dataclass(frozen=True)
class Weighed:
    """What a run's evidence adds up to.

    `scores` has the columns of `COLUMNS`; `evidence` those of `EVIDENCE` with strengths as found and `fresh`: no answer
    covers it; `fresh` per account_id the score of fresh evidence alone; `learnt` is `learnt_from` of the answers;
    `remarks` tell of how many accounts too little is known.
    """

    scores: pd.DataFrame
    evidence: pd.DataFrame
    fresh: pd.DataFrame
    learnt: pd.DataFrame
    remarks: list[str] = field(default_factory=list)


def detector_precision(dispositions: pd.DataFrame, terms: ScoreTerms | None = None) -> pd.DataFrame:
    """What analysts' answers say about each detector.

    Takes rows of `DISPOSITIONS` (outcome confirmed, dismissed or withdrawn; the newest per subject counts). Where there
    are columns `counts` and `strength`, answers that say nothing about the detector and those below a flag are left
    out. Gives detector, labels, confirmed, precision with a 95 % credible interval (Beta posterior, uniform prior) and
    `factor`, by which the weight moves: 1 below `labels_min` labels, else shrunken over expected precision, at most
    1.05.
    """
    held = terms or ScoreTerms()
    newest = _newest(dispositions)
    if "counts" in newest:
        newest = newest[newest["counts"].astype(bool) & (newest["strength"] >= FLAG)]
    counts = newest.groupby("detector")["outcome"].agg(
        labels="size", confirmed=lambda answers: int((answers == "confirmed").sum())
    )
    labels, confirmed = counts["labels"].to_numpy(float), counts["confirmed"].to_numpy(float)
    shrunk = (confirmed + held.expected_precision * held.expected_labels) / (labels + held.expected_labels)
    moved = np.minimum(shrunk / held.expected_precision, 1.05)
    judged: pd.DataFrame = counts.assign(
        precision=confirmed / np.maximum(labels, 1),
        low=betaincinv(confirmed + 1, labels - confirmed + 1, 0.025),
        high=betaincinv(confirmed + 1, labels - confirmed + 1, 0.975),
        factor=np.where(labels >= held.labels_min, moved, 1.0),
    ).reset_index()
    return judged


def _newest(dispositions: pd.DataFrame) -> pd.DataFrame:
    """The answer that holds about each subject; a withdrawn one is none."""
    ordered = dispositions.sort_values(["decided_at", "detector", "subject_id"], kind="stable")
    newest = ordered.drop_duplicates(["subject_kind", "subject_id", "detector"], keep="last")
    holding: pd.DataFrame = newest[newest["outcome"].isin(["confirmed", "dismissed"])]
    return holding


def calibrated(terms: ScoreTerms, dispositions: pd.DataFrame | None) -> ScoreTerms:
    """The terms with each weight moved by what analysts answered; the same answers give the same terms."""
    if dispositions is None or dispositions.empty:
        return terms
    factors = detector_precision(dispositions, terms).set_index("detector")["factor"]
    moved = {name: _moved(terms.weight(name), factors.get(name)) for name in {*terms.weights, *_signals(factors.index)}}
    pairs = {field: _moved(terms.weight(name), factors.get(name)) for name, field in PAIRS.items()}
    kept = {name: moved[name] for name in moved if name in terms.weights or moved[name] != terms.other_weight}
    return ScoreTerms(**{**vars(terms), **pairs, "weights": kept})


def _signals(names: Iterable[str]) -> list[str]:
    """Those of some reasons that are detectors."""
    return [name for name in names if name not in PAIRS and name not in (SEVERAL, VERDICTS)]


def _moved(weight: float, factor: float | None) -> float:
    """A weight times what answers say, never certain and unchanged without answers."""
    return weight if factor is None else min(weight * float(factor), 0.97)


def learnt_from(terms: ScoreTerms, dispositions: pd.DataFrame | None) -> pd.DataFrame:
    """Every detector's weight in use beside what was answered: detector, weight, factor, labels, confirmed, precision,
    low, high; in order of the detector."""
    used = calibrated(terms, dispositions)
    columns = ["detector", "labels", "confirmed", "precision", "low", "high", "factor"]
    told = pd.DataFrame(columns=columns)
    if dispositions is not None and not dispositions.empty:
        told = detector_precision(dispositions, terms)
    names = sorted({*used.weights, *PAIRS, *_signals(told["detector"])})
    held = told.set_index("detector").reindex(names)
    return pd.DataFrame(
        {
            "detector": names,
            "weight": [round(used.weight(name), 6) for name in names],
            "factor": held["factor"].astype(float).fillna(1.0).round(6).to_numpy(),
            "labels": held["labels"].astype(float).fillna(0).astype("int64").to_numpy(),
            "confirmed": held["confirmed"].astype(float).fillna(0).astype("int64").to_numpy(),
            **{name: held[name].astype(float).round(6).to_numpy() for name in ("precision", "low", "high")},
        }
    )


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
    """Scores every account: account_id, trader_id, score (0-100), band, reasons, as_of, model_version; see `weigh`."""
    return weigh(connection, as_of, dispositions, terms).scores


def weigh(
    connection: duckdb.DuckDBPyConnection,
    as_of: dt.datetime,
    dispositions: pd.DataFrame | None = None,
    terms: ScoreTerms | None = None,
) -> Weighed:
    """Weighs all evidence about every account, with what analysts answered about it.

    The connection holds facts.accounts and decided.signals, copy_pairs, owners, verdicts, account_status. Reasons are a
    JSON list; their points add up to the score. Where there was too little to look at, that is told without points with
    the detectors it silences; the money at stake comes last, without points too: it orders equals.
    """
    chosen = terms or ScoreTerms()
    held = calibrated(chosen, dispositions)
    answers = None if dispositions is None or dispositions.empty else _newest(dispositions)
    relations.build(connection, "facts.accounts")
    accounts: pd.DataFrame = connection.execute(
        "select account_id, trader_id from facts.accounts order by account_id"
    ).df()
    found = _answered(_evidence(connection, held, answers), answers, held)
    scored = combine(accounts, _with_elsewhere(connection, found, held), held)
    fresh = scored
    if answers is not None:
        unanswered = found.assign(strength=found["strength"].where(found["fresh"], 0.0))
        fresh = combine(accounts, _with_elsewhere(connection, unanswered, held), held)
    unsaid = _unsaid(connection, held)
    scored["reasons"] = _in_words(connection, scored, unsaid)
    return Weighed(
        scored.assign(as_of=pd.Timestamp(as_of), model_version=model_version(held))[list(COLUMNS)],
        found.assign(strength=found["found"])[[*EVIDENCE, "fresh"]],
        fresh[["account_id", "score"]],
        learnt_from(chosen, dispositions),
        _remarks(unsaid, len(scored), held),
    )


class Unsaid(NamedTuple):
    """What is lacking of an account, and what therefore is not known, as JSON."""

    lacks: list[str]
    told: str


def _unsaid(connection: duckdb.DuckDBPyConnection, terms: ScoreTerms) -> dict[str, Unsaid]:
    """What is not known of accounts of which too little was seen or delivered, whatever their score."""
    relations.build(connection, "detectors.seen")
    conditions = [f"({lack.condition}) as no_{name}" for name, lack in LACKS.items()]
    seen: pd.DataFrame = connection.execute(
        f"select account_id, least(positions, $positions_enough) as positions, robot_traders, {', '.join(conditions)}"
        " from detectors.seen"
        f" where {' or '.join(f'no_{name}' for name in LACKS)} order by account_id",
        {"positions_enough": terms.positions_enough, "robot_traders_enough": terms.robot_traders},
    ).df()
    # most accounts lack the same: each case is put in words once
    facts = seen.columns.drop("account_id")
    told = {
        case: _not_known(dict(zip(facts, case, strict=True)), terms) for case in _rows(seen[facts].drop_duplicates())
    }
    return dict(zip(seen["account_id"].astype(str), map(told.__getitem__, _rows(seen[facts])), strict=True))


def _rows(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    return frame.itertuples(index=False, name=None)


def _not_known(seen: Mapping[Hashable, Any], terms: ScoreTerms) -> Unsaid:
    """What was too little, or not delivered, what therefore is not known, and which detectors that silences."""
    lacks = [name for name in LACKS if seen[f"no_{name}"]]
    positions = int(seen["positions"])
    few = "No position" if positions == 0 else "One position" if positions == 1 else f"{positions} positions"
    told = {"few": few, "enough": terms.positions_enough, "traders": int(seen["robot_traders"])}
    reason = {
        "reason": UNSAID,
        "points": 0.0,
        "lacks": lacks,
        "detectors": sorted({detector for name in lacks for detector in LACKS[name].detectors}),
        "sentence": " ".join(LACKS[name].sentence.format(**told) for name in lacks),
    }
    return Unsaid(lacks, _TOLD.encode(reason))


def _remarks(unsaid: Mapping[str, Unsaid], accounts: int, terms: ScoreTerms) -> list[str]:
    """Of how many accounts there is not enough to say, and why."""
    each = Counter(lack for one in unsaid.values() for lack in one.lacks)
    told = ", ".join(
        f"{each[name]:,} {lack.remark.format(enough=terms.positions_enough)}"
        for name, lack in LACKS.items()
        if each[name]
    )
    return [f"score: not enough to say about {len(unsaid):,} of {accounts:,} accounts ({told})"] if told else []


def _with_elsewhere(connection: duckdb.DuckDBPyConnection, found: Items, terms: ScoreTerms) -> Items:
    """Evidence with what the owner's other accounts add."""
    signals = found[found["subject_kind"].isin(["account", "trader"]) & (found["reason"] != VERDICTS)]
    return pd.concat([found[list(ITEMS)], _elsewhere(connection, signals, terms)], ignore_index=True)


def combine(accounts: pd.DataFrame, items: Items, terms: ScoreTerms) -> pd.DataFrame:
    """Adds items (columns of `ITEMS`) up to a score per account; one item per account and reason counts, the
    strongest."""
    worth = np.clip(items["strength"].to_numpy(float), 0.0, 1.0)
    doubtful = np.where(worth < FLAG, 2 * worth**2, worth)
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
    account = weighed["account_id"]
    whole, summed = account.map(score).to_numpy(float), account.map(total).to_numpy(float)
    points = pd.Series((weighed["loss"].to_numpy() / summed * whole).round(2), index=weighed.index)
    others = points.groupby(account).transform("sum") - points
    strongest = ~account.duplicated().to_numpy()
    points = points.where(~strongest, (whole - others).round(2))
    subjects = weighed["subject_kind"].astype(str) + " " + weighed["subject_id"].astype(str)
    columns = (
        account,
        weighed["reason"],
        points,
        weighed["strength"],
        weighed["weight"],
        subjects,
        weighed["sentence"],
    )
    told: dict[str, list[dict[str, Any]]] = {}
    for name, reason, point, strength, weight, subject, sentence in zip(*(c.tolist() for c in columns), strict=True):
        told.setdefault(name, []).append(
            {
                "reason": reason,
                "points": point,
                "strength": round(strength, 4),
                "weight": round(weight, 4),
                "subject": subject,
                "sentence": sentence,
            }
        )
    return told


def _evidence(connection: duckdb.DuckDBPyConnection, terms: ScoreTerms, answers: pd.DataFrame | None) -> pd.DataFrame:
    """Everything held about every account in the columns of `EVIDENCE`, one row per account and thing held."""
    parts = [
        _signal_items(connection, terms, answers),
        _pair_items(connection, terms),
        _record_items(connection, terms),
        _verdict_items(connection, terms),
    ]
    return pd.concat([_typed(part) for part in parts], ignore_index=True)


def _typed(part: pd.DataFrame) -> pd.DataFrame:
    """Items with every column of `EVIDENCE` in its type, columns they lack empty."""
    full = part.reindex(columns=list(EVIDENCE))
    numbers = {name: full[name].astype(float) for name in ("strength", "weight", "amount")}
    return full.assign(**numbers, last_at=pd.to_datetime(full["last_at"], utc=True).astype("datetime64[us, UTC]"))


def _answered(evidence: pd.DataFrame, answers: pd.DataFrame | None, terms: ScoreTerms) -> pd.DataFrame:
    """Evidence under the analysts' answers, with its strength as `found` and whether it is `fresh`.

    What was confirmed is certain. What was dismissed is silent until there is newer evidence: later by `quiet_days`
    than what was seen then, or, where it has no time, `grown` times as much of it.
    """
    if answers is None or evidence.empty:
        return evidence.assign(found=evidence["strength"], fresh=True)
    seen = answers.rename(columns={"detector": "reason"}).reindex(
        columns=[*KEY, "outcome", "decided_at", "seen_until", "seen_amount"]
    )
    until, decided = (pd.to_datetime(seen[name], utc=True) for name in ("seen_until", "decided_at"))
    seen = seen.assign(until=until.where(until.notna(), decided))
    joined = evidence.merge(seen.drop(columns=["seen_until", "decided_at"]), how="left", on=KEY)
    later = joined["last_at"] > joined["until"] + pd.Timedelta(days=terms.quiet_days)
    more = joined["amount"] >= joined["seen_amount"].astype(float) * terms.grown
    certain, silent = joined["outcome"] == "confirmed", (joined["outcome"] == "dismissed") & ~later & ~more
    strength = joined["strength"].where(~certain, 1.0).where(~silent, 0.0)
    covered = (certain | silent).to_numpy()
    return evidence.assign(found=evidence["strength"], strength=strength.to_numpy(), fresh=~covered)


def _signal_items(
    connection: duckdb.DuckDBPyConnection, terms: ScoreTerms, answers: pd.DataFrame | None
) -> pd.DataFrame:
    """Signals as items of the accounts they are about; those about a trader count for each of the trader's accounts."""
    signals = connection.execute(
        "select subject_kind, subject_id, detector as reason, strength, last_at,"
        " coalesce(evidence ->> 'sentence', '') as sentence from decided.signals where subject_kind <> 'partner'"
    ).df()
    connection.register("held_signals", _remembered(signals, answers))
    # two joins by key: one that asks for either would compare everything with everything
    items: pd.DataFrame = connection.execute(
        " union all ".join(
            f"select accounts.account_id, signals.* from held_signals as signals inner join facts.accounts as accounts"
            f" on signals.subject_kind = '{kind}' and signals.subject_id = accounts.{kind}_id"
            for kind in ("account", "trader")
        )
    ).df()
    connection.unregister("held_signals")
    return items.assign(weight=[terms.weight(name) for name in items["reason"]], amount=np.nan)


def _remembered(signals: pd.DataFrame, answers: pd.DataFrame | None) -> pd.DataFrame:
    """Signals, and those that were confirmed and that their detector holds no longer: an answer outlives them."""
    if answers is None:
        return signals
    named = answers[answers["outcome"] == "confirmed"].rename(columns={"detector": "reason"})
    named = named[named["subject_kind"].isin(["account", "trader"]) & (named["reason"] != VERDICTS)][KEY]
    gone = named[~pd.MultiIndex.from_frame(named).isin(pd.MultiIndex.from_frame(signals[KEY]))]
    if gone.empty:
        return signals
    told = gone.assign(strength=0.0, sentence="Confirmed by an analyst; the detector holds it no longer.")
    return pd.concat([signals, told], ignore_index=True) if len(signals) else told.reindex(columns=signals.columns)


def _elsewhere(connection: duckdb.DuckDBPyConnection, found: Items, terms: ScoreTerms) -> Items:
    """What the strongest signal about another account of the same owner adds."""
    strong = found[(found["strength"] >= FLAG) & (found["subject_kind"] == "account") & (found["weight"] > 0.1)]
    connection.register("strong_items", strong.astype({"strength": float, "weight": float}))
    items: pd.DataFrame = connection.execute(
        "with owned as (select accounts.account_id, coalesce(owners.owner_id, accounts.trader_id) as owner_id"
        " from facts.accounts as accounts left join decided.owners as owners using (trader_id))"
        " select owned.account_id, 'owner''s other accounts' as reason, items.strength, items.weight, "
        "items.subject_kind,"
        " items.subject_id, format('{}, {}: {}', items.subject_id, replace(items.reason, '_', ' '), items.sentence)"
        " as sentence"
        " from strong_items as items inner join owned as source using (account_id)"
        " inner join owned on owned.owner_id = source.owner_id and owned.account_id <> source.account_id"
    ).df()
    connection.unregister("strong_items")
    return items.assign(weight=items["weight"].astype(float) * terms.elsewhere)[list(ITEMS)]


def _pair_items(connection: duckdb.DuckDBPyConnection, terms: ScoreTerms) -> pd.DataFrame:
    """Pairs of accounts that trade as one, for either account; strategies shared with many are no reason."""
    items: pd.DataFrame = connection.execute(
        "select account_id, 'pair' as subject_kind, account_a || '|' || account_b as subject_id, strength, matched,"
        " case when coalesce(same_owner, false) then 'own ' else '' end || relation as reason,"
        " account_a, account_b, expected, evidence ->> 'sentence' as sentence from ("
        " select *, account_a as account_id from decided.copy_pairs"
        " union all select *, account_b from decided.copy_pairs)"
    ).df()
    told = [row.sentence if isinstance(row.sentence, str) else _matched(row) for row in items.itertuples()]
    weight = [terms.weight(name) for name in items["reason"]]
    return items.assign(weight=weight, amount=items["matched"], sentence=told)


def _matched(pair: Any) -> str:
    """A pair without a sentence of its own, in one."""
    shared = f"{pair.account_a} and {pair.account_b} share {pair.matched} entries"
    return shared + "." if pd.isna(pair.expected) else f"{shared}; chance would give {by_chance(pair.expected)}."


def _record_items(connection: duckdb.DuckDBPyConnection, terms: ScoreTerms) -> pd.DataFrame:
    """Being one of several trader records of one owner."""
    items: pd.DataFrame = connection.execute(
        "select accounts.account_id, 1.0 as strength, 'owner' as subject_kind, owners.owner_id as subject_id,"
        " owners.members as amount, owners.members || ' trader records belong to one owner.' as sentence"
        " from facts.accounts as accounts inner join decided.owners as owners using (trader_id)"
        " where owners.members > 1"
    ).df()
    return items.assign(reason=SEVERAL, weight=terms.several_records)


def _verdict_items(connection: duckdb.DuckDBPyConnection, terms: ScoreTerms) -> pd.DataFrame:
    """Verdicts about conduct, a little each."""
    items: pd.DataFrame = connection.execute(
        "select account_id, count(*) as amount, string_agg(distinct rule, ', ' order by rule) as rules"
        " from decided.verdicts where outcome in ('breached', 'warned') and rule in (select unnest(?)) "
        "group by account_id",
        [list(terms.conduct_rules)],
    ).df()
    counted = np.minimum(items["amount"].to_numpy(float), terms.verdicts_max)
    return items.assign(
        reason=VERDICTS,
        strength=1.0,
        weight=1 - (1 - terms.verdict_weight) ** counted,
        subject_kind="account",
        subject_id=items["account_id"],
        sentence=items["amount"].astype(str) + " verdicts about conduct: " + items["rules"].astype(str) + ".",
    )


def _in_words(connection: duckdb.DuckDBPyConnection, scored: pd.DataFrame, unsaid: Mapping[str, Unsaid]) -> list[str]:
    """Reasons as JSON with what is not known and the money at stake behind them: what lies above the initial balance,
    in account currency."""
    money: pd.DataFrame = connection.execute(
        "select account_id, currency, greatest(cast(equity as double) - cast(initial_balance as double), 0) as at_stake"
        " from decided.account_status"
    ).df()
    held = money.set_index("account_id")
    stakes = scored["account_id"].map(held["at_stake"]).to_numpy(dtype=float, na_value=np.nan).round(2).tolist()
    currencies = scored["account_id"].map(held["currency"]).tolist()
    named = {currency: _TOLD.encode(currency) for currency in set(currencies)}
    told = []
    for account, reasons, stake, currency in zip(
        scored["account_id"], scored["reasons"], stakes, currencies, strict=True
    ):
        listed = [_TOLD.encode(reasons)[1:-1]] if reasons else []
        if account in unsaid:
            listed.append(unsaid[account].told)
        if stake == stake:
            listed.append(f'{_MONEY}, "amount": {stake}, "currency": {named[currency]}}}')
        told.append(f"[{', '.join(listed)}]")
    return told


def owner_scores(scores: pd.DataFrame, owners: pd.DataFrame) -> pd.DataFrame:
    """Owners with the highest score among their accounts: owner_id, score, band, account_id, accounts."""
    named = scores.merge(owners[["trader_id", "owner_id"]], how="left", on="trader_id")
    named["owner_id"] = named["owner_id"].fillna(named["trader_id"])
    ordered = named.sort_values(["score", "account_id"], ascending=[False, True], kind="stable")
    highest = ordered.drop_duplicates("owner_id")[["owner_id", "score", "band", "account_id"]]
    return highest.merge(named.groupby("owner_id").size().rename("accounts").reset_index(), on="owner_id")
