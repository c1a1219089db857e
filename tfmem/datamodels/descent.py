"""Coordinate descent for the lasso on inner products, of one target after another in machine code.

For centred subsets `X` and outputs `y` of `t` models, a path of
`|y - X w|^2 / (2 t) + penalty |w|_1` is followed from the largest penalty down. Everything follows
from `X^T X` and `X^T y`; of the first, `counts[i, j] - ones[i] ones[j] / t` is made where it is
needed. At each penalty only features that may matter are visited (the sequential strong rule,
Tibshirani et al. 2012), and all others are checked afterwards, so no solution depends on the rule.
"""

from __future__ import annotations

import numpy as np

from tfmem.estimation.compiling import compiled

_SWEEPS = 10_000  # over the features, at most, for one penalty


@compiled
def enlarged(products: np.ndarray) -> np.ndarray:
    """Products `[paths, room, room]` of kept features, with twice the room."""
    paths, room, _ = products.shape
    larger = np.empty((paths, 2 * room, 2 * room))
    for path in range(paths):
        for i in range(room):
            for j in range(room):  # numba compiles a loop in a tenth of an assignment's time
                larger[path, i, j] = products[path, i, j]
    return larger


@compiled
def keep(
    feature: int,
    kept: np.ndarray,
    place: np.ndarray,
    products: np.ndarray,
    counts: np.ndarray,
    ones: np.ndarray,
    trials: int,
) -> None:
    """Adds a feature to those that are visited, and its products with them."""
    number = kept[-1]
    kept[number] = feature
    place[feature] = number
    kept[-1] = number + 1
    row = counts[feature]
    for other in range(number + 1):
        j = kept[other]
        value = row[j] - ones[feature] * ones[j] / trials
        products[number, other] = value
        products[other, number] = value


@compiled
def gradient(
    out: np.ndarray,
    weights: np.ndarray,
    kept: np.ndarray,
    counts: np.ndarray,
    ones: np.ndarray,
    trials: int,
    against: np.ndarray,
) -> None:
    """Writes `X^T (y - X w)` of all features to `out`; `against` is `X^T y`."""
    for j in range(len(out)):
        out[j] = against[j]
    mass = 0.0
    for number in range(kept[-1]):
        feature = kept[number]
        weight = weights[feature]
        if weight != 0:
            mass += weight * ones[feature]
            row = counts[feature]
            for j in range(len(out)):
                out[j] -= weight * row[j]
    mass /= trials
    for j in range(len(out)):
        out[j] += mass * ones[j]


@compiled
def solve(
    path: int,
    penalty: float,
    before: float,
    weights: np.ndarray,
    slope: np.ndarray,
    kept: np.ndarray,
    place: np.ndarray,
    products: np.ndarray,
    counts: np.ndarray,
    ones: np.ndarray,
    trials: int,
    against: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """Moves weights and slopes to the solution for a penalty, and returns the products.

    Args:
      path: number of the path among those whose products are held.
      penalty: times the number of trials.
      before: the penalty for which `weights` are the solution, times the number of trials.
      weights: float64 `[features]`.
      slope: float64 `[features]`, as `gradient` writes it for `weights`.
      kept: int64 `[features + 1]`, the features that are visited, and at the end their number.
      place: int64 `[features]`, where each feature is among them, or -1.
      products: float64 `[paths, room, room]`, of the kept features.
      counts: whole numbers `[features, features]`, in how many trials two features are both 1.
      ones: float64 `[features]`, in how many trials each is 1.
      trials: number of trials.
      against: float64 `[features]`, `X^T y`.
      tolerance: the largest step, squared in the norm of `X`, at which descent ends.
    """
    for feature in range(len(weights)):
        if place[feature] < 0 and abs(slope[feature]) >= 2 * penalty - before:
            if kept[-1] == products.shape[1]:
                products = enlarged(products)
            keep(feature, kept, place, products[path], counts, ones, trials)
    while True:
        _descend(penalty, weights, slope, kept, products[path], tolerance)
        gradient(slope, weights, kept, counts, ones, trials, against)
        found = False
        for feature in range(len(weights)):
            if place[feature] < 0 and abs(slope[feature]) > penalty:
                if kept[-1] == products.shape[1]:
                    products = enlarged(products)
                keep(feature, kept, place, products[path], counts, ones, trials)
                found = True
        if not found:
            return products


@compiled
def _descend(
    penalty: float,
    weights: np.ndarray,
    slope: np.ndarray,
    kept: np.ndarray,
    products: np.ndarray,
    tolerance: float,
) -> None:
    """Minimizes over the kept features."""
    number = kept[-1]
    w, g = np.empty(number), np.empty(number)
    for i in range(number):
        w[i] = weights[kept[i]]
        g[i] = slope[kept[i]]
    everything = True
    for _ in range(_SWEEPS):
        largest = 0.0
        for i in range(number):
            old = w[i]
            if not everything and old == 0:
                continue
            curvature = products[i, i]
            if curvature <= 0:
                continue
            pull = g[i] + curvature * old
            new = 0.0
            if pull > penalty:
                new = (pull - penalty) / curvature
            elif pull < -penalty:
                new = (pull + penalty) / curvature
            step = new - old
            if step != 0:
                w[i] = new
                row = products[i]
                for j in range(number):
                    g[j] -= step * row[j]
                largest = max(largest, curvature * step * step)
        if largest <= tolerance:
            if everything:
                break
            everything = True
        else:
            everything = False
    for i in range(number):
        weights[kept[i]] = w[i]
