"""Weighs what was seen of a significant pair: one follows the other, or both follow something public."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.coordination.chance import log_poisson_tail
from models.coordination.entries import Flags, Floats
from models.coordination.terms import CoordinationTerms

FEW_OTHERS = 4  # beyond this many, coincidence of order and exits must be plain
SMALL_RING = 8  # others around a pair up to which a ring is as likely as a shared strategy


def _column(seen: pd.DataFrame, name: str, missing: float = 0.0) -> Floats:
    """A column as floats, with a value for what is unknown."""
    return np.asarray(np.nan_to_num(seen[name].to_numpy(dtype=np.float64), nan=missing))


def _steps(values: Floats, at: list[float], worth: list[float]) -> Floats:
    """Straight lines between the given points, level beyond them."""
    return np.asarray(np.interp(values, at, worth), dtype=np.float64)


def _link_of_exits(seen: pd.DataFrame) -> Floats:
    """How far exits go together (0-1): share of common exits beyond chance, or correlation of holding, cautiously."""
    excess = _column(seen, "exits_together") - _column(seen, "exits_by_chance")
    holding = np.clip(_column(seen, "holding_correlation"), -0.999, 0.999)
    error = 1.0 / np.sqrt(np.maximum(_column(seen, "events") - 3.0, 0.5))
    return np.asarray(np.maximum(excess, np.tanh(np.arctanh(holding) - error)))


def _exits(seen: pd.DataFrame) -> Floats:
    """Log-odds from exits: in favour when they go together, against when not; the more company the more they count."""
    link, others = _link_of_exits(seen), _column(seen, "others")
    trust = np.minimum(_column(seen, "events") / 10.0, 1.0)
    known = seen["exits_together"].notna().to_numpy()
    alone = _steps(link, [0.1, 0.4, 0.8], [-2.0, 0.0, 2.5])
    company = _steps(link, [0.1, 0.4, 0.8], [-5.0, -0.5, 2.5])
    crowd = _steps(link, [0.3, 0.6, 0.9], [-5.0, -3.0, 2.5])
    weight = _accompanied(seen)
    small = weight * company + (1.0 - weight) * alone
    return np.where(known, trust * np.where(others > FEW_OTHERS, crowd, small), 0.0)


def _accompanied(seen: pd.DataFrame) -> Floats:
    """How far a pair's matches happen in regular company (0-1): from never to most of them."""
    share = 1.0 - _column(seen, "alone") / np.maximum(_column(seen, "events"), 1.0)
    return np.where(_column(seen, "others") > 0, _steps(share, [0.0, 0.6], [0.0, 1.0]), 0.0)


def _order(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from order: a follower is behind nearly every time; few matches in one order prove little in company."""
    worth = _steps(_column(seen, "same_order"), [0.6, terms.order_min, 0.95], [-5.0, -1.0, 1.5])
    few = np.minimum(np.log(2.0) * (_column(seen, "events") - 1.0) - 6.0, 0.0)
    return worth + np.where(_column(seen, "others") > FEW_OTHERS, few, 0.0)


def _lag(seen: pd.DataFrame) -> Floats:
    """Log-odds from the lag: a reader's delay varies as much as it lasts and, in company, strays out of the window."""
    loose = 1.4826 * _column(seen, "lag_spread_s") / np.maximum(np.abs(_column(seen, "lag_s")), 1.0)
    matched = _column(seen, "matched")
    kept = matched / np.maximum(_column(seen, "together") - _column(seen, "expected_within_horizon"), matched)
    strays = np.where(_column(seen, "others") > 0, _steps(kept, [0.4, 0.8], [-4.0, 0.0]), 0.0)
    unproven = _steps(_link_of_exits(seen), [0.6, 0.8], [1.0, 0.0])  # common exits prove what a loose lag leaves open
    in_company = _accompanied(seen) * unproven * _steps(loose, [0.25, 0.45], [0.0, -4.0])
    return np.minimum(_steps(loose, [0.35, 0.6], [0.0, -2.0]), in_company) + strays


def _company(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from who else was there: nobody, a leader's other followers, or a crowd without a leader."""
    others = _column(seen, "others")
    leads = np.minimum(_column(seen, "first_share"), _column(seen, "cover"))
    star = _steps(leads, [0.7, terms.cover_min, 0.95], [-2.0, 1.0, 2.0])
    no_star = _steps(others, [2.0, 4.0], [-4.0, -6.0])
    part = _steps(leads, [0.5, 0.7], [0.0, 1.0])
    size = -2.5 * np.log2(np.maximum(others, SMALL_RING) / SMALL_RING)
    worth = part * star + (1.0 - part) * no_star + np.maximum(size, -8.0)
    return np.where(others == 0, 1.5, _accompanied(seen) * worth)


def _crowding(seen: pd.DataFrame) -> Floats:
    """Log-odds from passers-by: more strangers than usual at the matched moments point to a public event."""
    usual = _column(seen, "crowding_usual")
    passers = _column(seen, "crowding") - _column(seen, "others_rate") - usual
    events = _column(seen, "events")
    plain = passers * events > 2.5 * np.sqrt(usual * events + 1.0)  # more than the market's own unrest
    return np.where(plain, _steps(passers / (1.0 + usual), [0.25, 0.6, 1.5], [0.0, -2.0, -4.5]), 0.0)


def _bars(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from bar openings: entries at one second of the minute are what robots of strangers share."""
    phase = np.minimum(_column(seen, "phase_a"), _column(seen, "phase_b"))
    return np.where(phase >= terms.phase_min, np.where(_column(seen, "others") > 0, -4.0, -1.5), 0.0)


def _alone(seen: pd.DataFrame) -> Floats:
    """Log-odds from matches without any of the regular others: a shared source would have brought them along."""
    alone = _column(seen, "alone")
    means = _column(seen, "alone_expected") + _column(seen, "expected")
    surplus = np.array([log_poisson_tail(int(n), float(mean)) for n, mean in zip(alone, means, strict=True)])
    regular = (_column(seen, "others") > 0) & (alone >= 5) & (alone >= 0.25 * _column(seen, "events"))
    return np.where(regular, _steps(surplus, [-80.0, -25.0, -12.0, -6.0], [13.0, 7.0, 4.0, 0.0]), 0.0)


def _steady(seen: pd.DataFrame) -> Floats:
    """Log-odds from a lag far steadier than to anyone else around, where order and exits agree and few stray.

    Worth most where one account does all its trades behind a member of a crowd who does not lead that crowd.
    """
    matched, link = _column(seen, "matched"), _link_of_exits(seen)
    agrees = (_column(seen, "same_order") >= 0.9) & (matched >= 8) & (matched >= 0.8 * _column(seen, "together"))
    agrees &= (_column(seen, "others") > 0) & (link >= 0.7)
    steady = _steps(_column(seen, "relative_spread", 1.0), [0.1, 0.35, 0.6], [4.0, 2.0, 0.0])
    shadow = (
        (matched >= 20) & (link >= 0.9) & (_column(seen, "containment") >= 0.9) & (_column(seen, "first_share") < 0.5)
    )
    return np.where(agrees, np.where(shadow, 3.5, 1.0) * steady, 0.0)


def _few(seen: pd.DataFrame) -> Floats:
    """Log-odds against pairs with very few matches, where one unforeseen public moment is enough."""
    return _steps(_column(seen, "matched"), [5.0, 8.0, 9.0], [-3.5, -0.5, 0.0])


def _same_leader(seen: pd.DataFrame, total: Floats) -> Floats:
    """Log-odds from a leader's other followers: where most do not follow closely, it is read rather than copied."""
    leader = np.where(_column(seen, "lag_s") > 0, seen["a"], seen["b"])
    star = np.minimum(_column(seen, "first_share"), _column(seen, "cover")) >= 0.7
    stars = pd.DataFrame({"leader": leader[star], "total": total[star]})
    usual = stars.groupby("leader")["total"].agg(["median", "size"])
    usual = usual[usual["size"] >= FEW_OTHERS]
    worth = _steps(pd.Series(leader).map(usual["median"]).fillna(9.0).to_numpy(), [0.5, 3.5], [-5.0, 0.0])
    return np.where(star & (_column(seen, "alone") < 5), worth, 0.0)


def weigh(seen: pd.DataFrame, same_owner: Flags, terms: CoordinationTerms) -> tuple[Floats, pd.DataFrame]:
    """Strength (0-1) of each significant pair and the log-odds of each reason, from its circumstances.

    The reasons are added as if independent; their sizes are a person's judgement of how much more often each sight
    is met among followers than among strangers with a common source.
    """
    reasons = pd.DataFrame(
        {
            "significant": 1.5,
            "order": _order(seen, terms),
            "exits": _exits(seen),
            "lag": _lag(seen),
            "company": _company(seen, terms),
            "passers_by": _crowding(seen),
            "bar_openings": _bars(seen, terms),
            "without_others": _alone(seen),
            "steady_lag": _steady(seen),
            "few_matches": _few(seen),
            "same_owner": np.where(same_owner, 3.0, 0.0),
        },
        index=seen.index,
    )
    reasons["same_leader"] = _same_leader(seen, reasons.sum(axis=1).to_numpy())
    total = reasons.sum(axis=1).to_numpy()
    return 1.0 / (1.0 + np.exp(-np.clip(total, -30.0, 30.0))), reasons
