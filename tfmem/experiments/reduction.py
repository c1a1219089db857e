"""Do attributed words carry the self-influence (Zheng & Jiang 2022, Sec. 3.4, eq. 6, Fig. 2)?

The reduction rate is the share of an example's influence on itself that is lost when some of its
words are masked in training: `(I(z, z) - I(z without them, z)) / I(z, z)`, in the mean over the
most memorized examples. Masked are the words with the highest attributions, or as many at random.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import SeedSequence, default_rng

from tfmem.attribution.integral import BlendInfluence, Splitter, attributions, directions
from tfmem.attribution.records import most_memorized, read_attributions, write_attributions
from tfmem.config import Config
from tfmem.experiments.outcome import Outcome
from tfmem.predictions import write_atomically
from tfmem.self_influence.solver import Solver
from tfmem.training.progress import ExampleProgress

QUESTION = "Do the attributed words carry the self-influence?"
PERCENTAGES = np.arange(10, 100, 10)

_EXAMPLES = 32  # whose curves are kept together
_MASKS = 2**32 - 3  # first part of the spawn key of random masks; no trial's number


def reduction(
    config: Config,
    prepare: Callable[[], tuple[Solver, Splitter]],
    memorization: pd.Series,
    folder: Path,
    share: float = 0.1,
    steps: int = 50,
    repeats: int = 5,
) -> Outcome:
    """The reduction rate by attribution and at random, over the share of words that is masked.

    Args:
      config: whose seed draws the random masks; its digest is noted.
      prepare: gives the solver and the splitter; not called if all is done.
      memorization: by index.
      folder: to work in; a call that was stopped is continued.
      share: of the training examples, the most memorized.
      steps: of the attribution.
      repeats: random masks of each example and percentage.

    Returns:
      A row for each `percent` of the words, rounded up: reduction rates `attributed` and `random`,
      their `difference`, and standard errors over examples, `*_se`. Examples for which the solver
      has not converged are left out.

    Raises:
      InputError: as `attributions` does.
    """
    chosen = most_memorized(memorization, share)
    made: list[tuple[Solver, Splitter]] = []

    def ready() -> tuple[Solver, Splitter]:
        if not made:
            made.append(prepare())
        return made[0]

    noted = {"config": config.digest().hex(), "steps": steps, "repeats": repeats}
    with ExampleProgress(len(chosen)) as progress:
        write_attributions(
            lambda rows: attributions(*ready(), rows, steps),
            chosen, noted, folder / "attribution", progress.advance,
        )  # fmt: skip
    scores = read_attributions(folder / "attribution")["scores"]
    curves = []
    for start in range(0, len(chosen), _EXAMPLES):
        path = folder / f"curves-{start:05d}.csv"
        rows = chosen[start : start + _EXAMPLES]
        if not path.exists() or not _of(path, rows):
            found = pd.concat(_curves(*ready(), rows, scores, config.seed, repeats))
            write_atomically(path, found.to_csv(index=False).encode())
        curves.append(pd.read_csv(path))
    table = _means(pd.concat(curves))
    return Outcome(QUESTION, _findings(table, len(chosen)), table)


def _curves(
    solver: Solver,
    splitter: Splitter,
    examples: np.ndarray,
    scores: pd.Series,
    seed: int,
    repeats: int,
) -> Iterator[pd.DataFrame]:
    influence = BlendInfluence(solver.objective, splitter)
    for example, direction, removed in directions(solver, examples):
        parts = splitter.parts(example)
        count = int(np.prod(parts.shape))
        masked = np.ceil(PERCENTAGES * count / 100).astype(int)
        random = default_rng(SeedSequence(seed, spawn_key=(_MASKS, example)))
        rank = np.argsort(-scores[example].ravel(), kind="stable").argsort()
        ranks = np.stack([rank, *(random.permutation(count) for _ in range(repeats))])
        kept = (ranks[:, None] >= masked[:, None]).reshape(-1, count)
        found = np.full(len(kept) + 1, np.nan)
        if not np.isnan(removed):
            weights = np.concatenate([np.ones((1, count)), kept])
            label = int(solver.objective.labels[example])
            found = influence.values(weights, parts, label, direction)
        rates = (1 - found[1:] / found[0]).reshape(1 + repeats, len(PERCENTAGES))
        yield pd.DataFrame(
            {
                "index": example,
                "percent": PERCENTAGES,
                "attributed": rates[0],
                "random": rates[1:].mean(axis=0),
            }
        )


def _of(path: Path, examples: np.ndarray) -> bool:
    """Whether kept curves are those of these examples."""
    kept = pd.read_csv(io.BytesIO(path.read_bytes()))["index"].unique()
    return np.array_equal(kept, examples)


def _means(curves: pd.DataFrame) -> pd.DataFrame:
    curves = curves.assign(difference=curves["attributed"] - curves["random"])
    by_percent = curves.drop(columns="index").groupby("percent")
    return by_percent.mean().join(by_percent.sem().add_suffix("_se")).reset_index()


def _findings(table: pd.DataFrame, count: int) -> tuple[str, ...]:
    said = [
        f"{row['percent']:.0f}% of the words masked: the {count:,} most memorized examples lose "
        f"{row['attributed']:.1%} ± {row['attributed_se']:.1%} (SE) of their self-influence by "
        f"attribution, {row['random']:.1%} ± {row['random_se']:.1%} at random."
        for row in table.to_dict("records")
        if row["percent"] in (10, 50)
    ]
    above = table["difference"] > 1.96 * table["difference_se"]
    reach = table["percent"][above.cumprod().astype(bool)].max()
    if np.isnan(reach):
        return *said, "At 10% attribution is not above random (95% interval of the difference)."
    return *said, f"Attribution is above random up to {reach}% (95% interval of the difference)."
