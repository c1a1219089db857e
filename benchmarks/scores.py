"""Prints how often intervals of scores cover the true value, and p-values are small by chance.

    python -m benchmarks.scores --sets 20000

For each score and number of trials with and without an example, the scores of both kinds of trials
are drawn, the interval is computed as `tfmem estimate` does, and the share of intervals that hold
the true difference of means is printed. Then scores are drawn that have nothing to do with the
subsets of 1,000 training examples, for 1,000 test examples: the share of p-values below a level is
printed, over the level.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from benchmarks.measured import Column, Record, recording
from tfmem.estimation.differences import Difference, difference
from tfmem.estimation.scales import UNSCALED, fixed_point, fractions, range_of, scale_of
from tfmem.estimation.significance import log_mean_p_values
from tfmem.estimation.sums import uncertainty

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

TRIALS = (14, 6), (35, 15), (140, 60), (700, 300)
NULL, LEVELS = (100, 500, 2000), (1e-2, 1e-4)
BOUNDED: dict[str, tuple[Draw, Draw, float]] = {
    "share of 4 labels, 0.9 and 0.6": (
        lambda rng, shape: rng.binomial(4, 0.9, shape) / 4,
        lambda rng, shape: rng.binomial(4, 0.6, shape) / 4,
        0.3,
    ),
    "exact match, 0.99 and 0.9": (
        lambda rng, shape: rng.binomial(1, 0.99, shape).astype(float),
        lambda rng, shape: rng.binomial(1, 0.9, shape).astype(float),
        0.09,
    ),
    "Beta(0.3, 0.2) and Beta(0.2, 0.3)": (
        lambda rng, shape: rng.beta(0.3, 0.2, shape),
        lambda rng, shape: rng.beta(0.2, 0.3, shape),
        0.2,
    ),
}
UNBOUNDED: dict[str, tuple[Draw, Draw, float]] = {
    "normal, SD 1 and 3": (
        lambda rng, shape: rng.normal(1, 1, shape),
        lambda rng, shape: rng.normal(0, 3, shape),
        1.0,
    ),
    "Student's t, 3 degrees of freedom": (
        lambda rng, shape: rng.standard_t(3, shape) + 1,
        lambda rng, shape: rng.standard_t(3, shape),
        1.0,
    ),
    "negative squared error, SD 1 and 2": (
        lambda rng, shape: -(rng.normal(0, 1, shape) ** 2),
        lambda rng, shape: -(rng.normal(0, 2, shape) ** 2),
        3.0,
    ),
    "negative lognormal, sigma 1.5": (
        lambda rng, shape: -rng.lognormal(0, 1.5, shape),
        lambda rng, shape: -rng.lognormal(0, 1.5, shape),
        0.0,
    ),
}

SKEWED = {"negative squared error, SD 1 and 2", "negative lognormal, sigma 1.5"}


def interval(inside: np.ndarray, outside: np.ndarray, bounded: bool) -> Difference:
    """The difference of the means of scores `[trials, sets]`, with its interval."""
    scale = UNSCALED if bounded else scale_of(range_of(np.concatenate([inside, outside])))
    one, other = (fractions(fixed_point(values, scale)) for values in (inside, outside))
    return difference(
        one.sum(axis=0),
        np.asarray(len(one)),
        other.sum(axis=0),
        np.asarray(len(other)),
        uncertainty(one).sum(axis=0),
        uncertainty(other).sum(axis=0),
        None if bounded else scale.width,
    )


def coverage(
    score: tuple[Draw, Draw, float],
    trials: tuple[int, int],
    bounded: bool,
    sets: int,
    rng: np.random.Generator,
) -> float:
    """The share of intervals that hold the true difference.

    Args:
      score: draws scores of trials with the example, and without it; and their true difference.
      trials: numbers of these trials.
      bounded: whether the score is known to be from 0 to 1.
      sets: number of intervals.
      rng: draws the scores.
    """
    draw_in, draw_out, truth = score
    found = interval(draw_in(rng, (trials[0], sets)), draw_out(rng, (trials[1], sets)), bounded)
    return float(np.mean((found.low <= truth) & (truth <= found.high)))


def excess(draw: Draw, trials: int, level: float, rng: np.random.Generator) -> float:
    """The share of p-values (`positive`) below a level, over the level, if there is no influence.

    Args:
      draw: draws scores.
      trials: number of trials, 70% of which hold each training example.
      level: of the p-values.
      rng: draws the scores and the subsets.
    """
    masks = np.argsort(rng.random((trials, 1000)), axis=1) < 700
    scores = draw(rng, (trials, 1000))
    num_in = masks.sum(axis=0)[:, None].astype(np.float64)
    covariance = trials * (masks.T.astype(np.float64) @ scores) - num_in * scores.sum(axis=0)
    spread = trials * scores.var(axis=0, ddof=1)
    deviation = np.sqrt(num_in * (trials - num_in) * spread)
    log_p = log_mean_p_values(covariance.ravel(), deviation.ravel(), "positive")
    return float(np.mean(log_p <= np.log(level)) / level)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=20_000)
    recording(parser)
    arguments, rng = parser.parse_args(), np.random.default_rng(0)
    sets, rows, ratios = arguments.sets, [], {True: [], False: []}
    print("| score | " + " | ".join(f"{a} + {b} trials" for a, b in TRIALS) + " |")
    print("|---" * (len(TRIALS) + 1) + "|")
    for bounded, scores in ((True, BOUNDED), (False, UNBOUNDED)):
        for name, score in scores.items():
            found = [coverage(score, trials, bounded, sets, rng) for trials in TRIALS]
            print(f"| {name} | " + " | ".join(f"{share:.1%}" for share in found) + " |", flush=True)
            rows.append([name, *(100 * share for share in found)])
    print("\n| p-values of | " + " | ".join(f"{n} trials, {p:g}" for n in NULL for p in LEVELS))
    for name, (draw, _, _) in UNBOUNDED.items():
        found = [excess(draw, trials, level, rng) for trials in NULL for level in LEVELS]
        print(f"| {name} | " + " | ".join(f"{share:.2f}" for share in found) + " |", flush=True)
        ratios[name in SKEWED] += found
    if arguments.record:
        record = Record("scores", settings={"samples of each kind": sets, "levels": LEVELS})
        record.table(
            "coverage",
            [Column("score"), *(Column(f"{a} + {b} trials", "%", 1) for a, b in TRIALS)],
            rows,
        )
        for skewed, said in ((False, "symmetric"), (True, "skewed")):
            record.values[f"p-values of {said} scores below a level, least and most, over it"] = [
                min(ratios[skewed]),
                max(ratios[skewed]),
            ]
        record.write()


if __name__ == "__main__":
    main()
