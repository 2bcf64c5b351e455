"""Who buys again, from the days of purchases alone: the BG/NBD model of Fader, Hardie and Lee (2005)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, gammaln

Floats = np.ndarray[Any, np.dtype[np.float64]]
START = (0.25, 5.0, 0.8, 2.5)
"""Parameters r, alpha (weeks), a and b from which a fit starts and towards which it is drawn."""
PULL = 0.01
TRADERS_MAX = 4_000
BUYERS_MIN = 30


@dataclass(frozen=True)
class Buying:
    """Of each trader: purchases after the first, weeks from the first to the last and from the first to the instant."""

    again: Floats
    last: Floats
    age: Floats


def fit(seen: Buying) -> tuple[float, float, float, float]:
    """Parameters of most likelihood; where few bought again, those from which a fit starts.

    A firm of many traders is learnt from evenly chosen ones.
    """
    if (seen.again > 0).sum() < BUYERS_MIN:
        return START
    step = -(-len(seen.again) // TRADERS_MAX)
    held = Buying(seen.again[::step], seen.last[::step], seen.age[::step])
    begun = np.log(START)

    def loss(logged: Floats) -> float:
        return float(-_log_likelihood(held, np.exp(logged)).mean() + PULL * np.square(logged - begun).mean() / 10)

    found = minimize(loss, begun, method="L-BFGS-B", bounds=[(-7.0, 7.0)] * 4, options={"maxiter": 80})
    r, alpha, a, b = (float(value) for value in np.exp(found.x))
    return r, alpha, a, b


def _log_likelihood(seen: Buying, held: Floats) -> Floats:
    """Of each trader's purchases, equation 6 of the paper."""
    (r, alpha, a, b), x = held, seen.again
    shared = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    shared = shared + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    staying = -(r + x) * np.log(alpha + seen.age)
    gone = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + seen.last)
    return np.asarray(shared + np.where(x > 0, np.logaddexp(staying, gone), staying), dtype=np.float64)


def nothing_bought(seen: Buying, held: tuple[float, float, float, float], weeks: float) -> Floats:
    """Chance that each trader buys nothing within so many weeks.

    Who is alive keeps a rate that is Gamma(r + x, alpha + age) by what was seen.
    """
    (r, alpha, a, b), x = held, seen.again
    odds_gone = (
        np.log(a) - np.log(b + np.maximum(x, 1) - 1) + (r + x) * np.log((alpha + seen.age) / (alpha + seen.last))
    )
    alive = np.where(x > 0, expit(-odds_gone), 1.0)
    nothing = ((alpha + seen.age) / (alpha + seen.age + weeks)) ** (r + x)
    return np.asarray(1 - alive * (1 - nothing), dtype=np.float64)
