"""The lag between two accounts as far as their clocks show it: a distribution fitted to what rounding left of it.

A clock of whole seconds says of an instant only in which second it fell, so a match of two entries says between which
bounds its lag lies. Bounds that move over the matches close in on the lag far faster than their middles average to it.
"""

from __future__ import annotations

import math

import numpy as np

from models.compiled import compiled
from models.coordination.entries import Floats

MATCHES_FITTED = 120  # more say nothing new
COARSE_S = 0.5  # a step of a clock from which rounding hides the lag
LOOSE = 0.75  # spread, in steps, beyond which rounding is evened out anyway
STRAY = 0.02  # share of matches that are none
SCALES_S = np.array([0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0])
ROUNDS = 2
GRID, NARROWINGS = 12, 4
SCALE_PER_SPREAD = 0.91  # logistic scale per median absolute deviation


@compiled
def _area(x: float, scale: float) -> float:
    """Integral of the logistic distribution function up to x."""
    z = x / scale
    return scale * (z + math.log1p(math.exp(-z))) if z > 0 else scale * math.log1p(math.exp(z))


@compiled
def _log_likelihood(gaps: Floats, step_a: float, step_b: float, lag: float, scale: float) -> float:
    """Log-likelihood of gaps (s) between the middles of what two clocks showed, with a logistic lag.

    The instant of the first entry lies anywhere within its clock's step, the second's shown step must hold what
    follows: the second difference of the area under the distribution function.
    """
    total = 0.0
    reach = 20.0 * (step_a + step_b)
    for gap in gaps:
        x = gap - lag - 0.5 * (step_b - step_a)
        inside = _area(x + step_b, scale) - _area(x + step_b - step_a, scale)
        inside -= _area(x, scale) - _area(x - step_a, scale)
        total += math.log((1.0 - STRAY) * max(inside, 0.0) / step_a + STRAY * step_b / reach)
    return total


@compiled
def _likeliest(
    gaps: Floats, step_a: float, step_b: float, scale: float, low: float, high: float
) -> tuple[float, float]:
    """The likeliest lag between two bounds and its log-likelihood, by a grid that narrows around its best point."""
    best, top = low, -1e300
    for _ in range(NARROWINGS):
        width = (high - low) / GRID
        for k in range(GRID + 1):
            lag = low + k * width
            value = _log_likelihood(gaps, step_a, step_b, lag, scale)
            if value > top:
                best, top = lag, value
        low, high = max(low, best - width), min(high, best + width)
    return best, top


@compiled
def _median(gaps: Floats, step: float) -> float:
    """The median of gaps of which equal ones lie anywhere within a step about what they show."""
    ordered = np.sort(gaps)
    start = 0
    for k in range(1, len(ordered) + 1):
        if k == len(ordered) or ordered[k] != ordered[start]:
            ties = k - start
            for x in range(ties):
                ordered[start + x] += step * ((x + 0.5) / ties - 0.5) if ties > 1 else 0.0
            start = k
    return float(np.median(ordered))


@compiled
def _fit(gaps: Floats, step_a: float, step_b: float, middle: float, spread: float) -> tuple[float, float, float]:
    """Likeliest lag and scale of the logistic distribution behind rounded gaps, and the lag's standard error."""
    step = max(step_a, step_b)
    low, high = middle - 1.5 * step, middle + 1.5 * step
    lag, scale, top = middle, SCALE_PER_SPREAD * max(spread, 0.05), -1e300
    for _ in range(ROUNDS):
        for candidate in SCALES_S:
            value = _log_likelihood(gaps, step_a, step_b, lag, candidate)
            if value > top:
                scale, top = candidate, value
        lag, top = _likeliest(gaps, step_a, step_b, scale, low, high)
    below = _edge(gaps, step_a, step_b, scale, lag, top, low)
    above = _edge(gaps, step_a, step_b, scale, lag, top, high)
    return lag, scale, max(0.5 * (above - below), 1e-3)


@compiled
def typical_lag(gaps: Floats, step_a: float, step_b: float) -> tuple[float, float, float]:
    """Typical lag (s, positive where the second is behind), its standard error, and the scale fitted to rounded gaps.

    `gaps` are seconds between the middles of the steps that the two clocks showed. Where lags vary by more than a
    step, or both clocks are fine, the median is what there is to know and the scale is 0.
    """
    step = max(step_a, step_b)
    middle = _median(gaps, step if min(step_a, step_b) >= COARSE_S else 0.0)
    spread = float(np.median(np.abs(gaps - middle)))
    if step < COARSE_S or spread > LOOSE * step:
        return middle, max(1.25 * float(np.std(gaps)) / math.sqrt(len(gaps)), 1e-3), 0.0
    lag, scale, error = _fit(_told(gaps), step_a, step_b, middle, spread)
    return lag, error, scale


@compiled
def _told(gaps: Floats) -> Floats:
    """Every n-th gap by size where there are more than are fitted."""
    return np.sort(gaps)[:: max(-(-len(gaps) // MATCHES_FITTED), 1)]


@compiled
def order_odds(gaps: Floats, step_a: float, step_b: float, lag: float, error: float, scale: float) -> float:
    """Log-odds that the second is behind, from the lag that `typical_lag` found."""
    if scale == 0.0:
        return math.copysign(0.5 * (lag / error) ** 2, lag)
    told, far = _told(gaps), abs(lag) + 1.5 * max(step_a, step_b)
    behind = _likeliest(told, step_a, step_b, scale, 0.0, far)[1]
    return behind - _likeliest(told, step_a, step_b, scale, -far, 0.0)[1]


@compiled
def _edge(gaps: Floats, step_a: float, step_b: float, scale: float, lag: float, top: float, far: float) -> float:
    """Where between the likeliest lag and a far one the log-likelihood has fallen by half a unit."""
    near = lag
    for _ in range(10):
        middle = 0.5 * (near + far)
        if top - _log_likelihood(gaps, step_a, step_b, middle, scale) > 0.5:
            far = middle
        else:
            near = middle
    return near
