"""Tail probabilities of coincidence, in logarithms so that they never underflow."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

Floats = NDArray[np.float64]


@compiled
def log_poisson_tail(count: int, mean: float) -> float:
    """Log of P(X >= count) for a Poisson variable; 0 where the count is no more than its mean."""
    if count <= 0 or count <= mean:
        return 0.0
    mean = max(mean, 1e-300)
    total, term, k = 1.0, 1.0, count
    while term > 1e-12 * total:
        k += 1
        term *= mean / k
        total += term
    return min(0.0, count * math.log(mean) - mean - math.lgamma(count + 1.0) + math.log(total))


@compiled
def log_gamma_poisson_tail(count: int, shape: float, rate: float) -> float:
    """Log of P(X >= count) when the Poisson mean itself is only known as Gamma(shape, rate)."""
    if count <= 0 or count <= shape / rate:
        return 0.0
    miss = 1.0 / (1.0 + rate)
    head = math.lgamma(shape + count) - math.lgamma(shape) - math.lgamma(count + 1.0)
    head += shape * math.log(rate * miss) + count * math.log(miss)
    total, term, k = 1.0, 1.0, count
    while term > 1e-12 * total and k < count + 100_000:
        term *= (shape + k) / (k + 1.0) * miss
        total += term
        k += 1
    return min(0.0, head + math.log(total))


def log_q_values(log_p: Floats, tests: float) -> Floats:
    """Benjamini-Hochberg q-values (logs) of the smallest of `tests` p-values; those not given are taken as 1.

    Source: Benjamini and Hochberg, Controlling the false discovery rate, J. R. Stat. Soc. B 57 (1995).
    """
    if len(log_p) == 0:
        return log_p
    order = np.argsort(log_p, kind="stable")
    raw = log_p[order] + math.log(max(tests, 1.0)) - np.log(np.arange(1, len(log_p) + 1))
    falling = np.minimum.accumulate(raw[::-1])[::-1]
    log_q = np.empty_like(falling)
    log_q[order] = np.minimum(falling, 0.0)
    return log_q
