"""Coverage of the intervals of estimates, beside that of other intervals.

    python -m benchmarks.intervals

For correctness, coverage is computed exactly over a grid of probabilities; for probabilities, it is
the least of 16 pairs of distributions, each from 20,000 samples.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.stats import binom
from scipy.stats import t as student

from benchmarks.measured import Record, percent, recording
from tfmem.estimation.differences import difference
from tfmem.estimation.sums import uncertainty

SIDES = ((14, 6), (35, 15), (140, 60))  # trials with the example, and without
PROBABILITIES = (0, 0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999, 1)
KINDS = ("rarely wrong", "either", "always", "mostly")
_SAMPLES = 20_000
_Z = NormalDist().inv_cdf(0.975)
Interval = Callable[..., tuple[Any, Any]]


def textbook(x1: Any, n1: int, x0: Any, n0: int) -> tuple[Any, Any]:
    """Wald's interval of a difference of proportions, from successes and trials of both sides."""
    p1, p0 = x1 / n1, x0 / n0
    half = _Z * np.sqrt(p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0)
    return p1 - p0 - half, p1 - p0 + half


def newcombe(x1: Any, n1: int, x0: Any, n0: int) -> tuple[Any, Any]:
    """Newcombe's interval of a difference of proportions, from Wilson's of each."""

    def wilson(x: Any, n: int) -> tuple[Any, Any]:
        center = (x + _Z**2 / 2) / (n + _Z**2)
        half = _Z / (n + _Z**2) * np.sqrt(x * (n - x) / n + _Z**2 / 4)
        return center - half, center + half

    p1, p0 = x1 / n1, x0 / n0
    (low1, high1), (low0, high0) = wilson(x1, n1), wilson(x0, n0)
    low = p1 - p0 - np.sqrt((p1 - low1) ** 2 + (high0 - p0) ** 2)
    return low, p1 - p0 + np.sqrt((high1 - p1) ** 2 + (p0 - low0) ** 2)


def of_counts(x1: Any, n1: int, x0: Any, n0: int) -> tuple[Any, Any]:
    """The interval of tfmem for correctness (Agresti & Caffo)."""
    found = difference(x1, np.array(n1), x0, np.array(n0))
    return found.low, found.high


def coverage(interval: Interval, n1: int, n0: int) -> tuple[float, float]:
    """Least coverage over a grid of probabilities, and mean width."""
    x1, x0 = np.arange(n1 + 1)[:, None], np.arange(n0 + 1)[None]
    low, high = interval(x1, n1, x0, n0)
    covered, width = [], []
    for p1 in PROBABILITIES:
        for p0 in PROBABILITIES:
            weight = binom.pmf(x1, n1, p1) * binom.pmf(x0, n0, p0)
            inside = (low <= p1 - p0 + 1e-12) & (p1 - p0 <= high + 1e-12)
            covered.append((weight * inside).sum())
            width.append((weight * (high - low)).sum())
    return min(covered), float(np.mean(width))


def draw(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> tuple[np.ndarray, float]:
    """Draws probabilities; returns them and their mean."""
    if kind == "rarely wrong":
        return np.where(rng.random(shape) < 0.001, 0.05, 1.0), 1 - 0.001 * 0.95
    if kind == "either":
        return rng.beta(0.05, 0.05, shape), 0.5
    return (np.full(shape, 0.7), 0.7) if kind == "always" else (rng.beta(8, 2, shape), 0.8)


def of_probabilities(a: np.ndarray, b: np.ndarray) -> tuple[Any, Any]:
    """The interval of tfmem for the difference of two mean probabilities `[trials, samples]`."""
    variances = uncertainty(a).sum(0), uncertainty(b).sum(0)
    found = difference(a.sum(0), np.array(len(a)), b.sum(0), np.array(len(b)), *variances)
    return found.low, found.high


def welch(a: np.ndarray, b: np.ndarray) -> tuple[Any, Any]:
    """Welch's interval for the difference of two means."""
    first, second = (np.maximum(p.var(0, ddof=1) / len(p), 1e-30) for p in (a, b))
    total = first + second
    freedom = total**2 / (first**2 / (len(a) - 1) + second**2 / (len(b) - 1))
    half = student.ppf(0.975, freedom) * np.sqrt(total)
    middle = a.mean(0) - b.mean(0)
    return middle - half, middle + half


def sampled_coverage(n1: int, n0: int, samples: int) -> tuple[float, float]:
    """Least coverage of `of_probabilities` and of `welch` over all pairs of distributions."""
    rng = np.random.default_rng(0)
    covered: tuple[list[float], list[float]] = [], []
    for first in KINDS:
        for second in KINDS:
            (a, mean_a), (b, mean_b) = (
                draw(rng, kind, (n, samples)) for kind, n in ((first, n1), (second, n0))
            )
            truth = mean_a - mean_b
            for found, interval in zip(covered, (of_probabilities, welch), strict=True):
                low, high = interval(a, b)
                found.append(float(np.mean((low <= truth + 1e-9) & (truth - 1e-9 <= high))))
    return min(covered[0]), min(covered[1])


def main() -> None:
    """Prints the least coverage of each interval, and what follows from formulas."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    recording(parser)
    arguments = parser.parse_args()
    record = Record("estimates/intervals", settings={"samples": _SAMPLES, "trials": SIDES})
    for n1, n0 in SIDES:
        for what, interval in (
            ("Agresti & Caffo", of_counts),
            ("Newcombe", newcombe),
            ("textbook", textbook),
        ):
            least, width = coverage(interval, n1, n0)
            sides = f"{n1} trials with, {n0} without"
            record.say(f"{what}, {sides}", least_coverage=percent(least), mean_width=width)
        own, other = sampled_coverage(n1, n0, _SAMPLES)
        record.say(f"probabilities, {sides}", tfmem=percent(own), Welch=percent(other))
    record.say(
        "standard error of one influence, at 0.7 n",
        at_most_times_the_root_of_trials=0.5 * math.sqrt(1 / 0.7 + 1 / 0.3),
    )
    record.say("0 of 1,000 data sets", rate_with_95_percent_confidence=1 - 0.05 ** (1 / 1000))
    smallest = float(np.finfo(np.float32).smallest_subnormal)
    record.say("float32", smallest=smallest)
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
