"""Do attributed words carry the self-influence (Zheng & Jiang 2022, Sec. 3.4, eq. 6, Fig. 2)?

The reduction rate is the share of an example's influence on itself that is lost when some of its
words are masked in training: `(I(z, z) - I(z without them, z)) / I(z, z)`, in the mean over the
most memorized examples. The masked words are those with the highest attributions, or as many random
ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.random import SeedSequence, default_rng

from tfmem.config import Config
from tfmem.config.base import Positive, Settings
from tfmem.experiments.checks import in_memory
from tfmem.experiments.declaration import Asked, Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.figures.style import GREY, VERMILION, new_figure, plain
from tfmem.messages.backends import import_tensorflow_for
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Attributions, SelfInfluence, TrainedModel
from tfmem.store.files import write_atomically
from tfmem.store.spreadsheets import read_csv, to_csv

if TYPE_CHECKING:
    from tfmem.influence_functions.attribution.integral import Splitter
    from tfmem.influence_functions.solver import Solver


class ReductionRateSettings(Settings):
    """How attributed words are compared with random ones (Zheng & Jiang 2022, Fig. 2).

    Attributes:
      repeats: number of random masks for each text and each percentage of its words.
    """

    repeats: Positive = 5


PERCENTAGES = np.arange(10, 100, 10)

_EXAMPLES = 32  # examples whose curves are stored together
_MASKS = 2**32 - 3  # first part of the spawn key of random masks, which no trial has as number


def attributable(asked: Asked[ReductionRateSettings]) -> None:
    """Refuses settings or data whose self-influence cannot be attributed."""
    from tfmem.influence_functions.attribution.needs import check_attribution

    check_attribution(asked.config, asked.dataset)


def reduction_rate(given: Given[ReductionRateSettings]) -> Outcome:
    """Measures the reduction rate with the model and the solver of the attributions.

    Args:
      given: one model, its self-influence, and its attributions.

    Returns:
      The outcome of `reduction`.
    """
    import_tensorflow_for("attributions")
    from tfmem.experiments.self_influence import kept_splitter
    from tfmem.influence_functions.attribution.records import read_attributions

    def ready() -> tuple[Solver, Splitter]:
        return kept_splitter(given.config, given.dataset, given.places[TrainedModel.name])

    scores = read_attributions(given.places[Attributions.name])["scores"]
    return reduction(given.config, given.settings, ready, scores, given.folder)


def reduction(
    config: Config,
    settings: ReductionRateSettings,
    prepare: Callable[[], tuple[Solver, Splitter]],
    scores: pd.Series,
    folder: Path,
) -> Outcome:
    """Measures the reduction rate by attribution and at random, by the share of masked words.

    Args:
      config: settings whose seed draws the random masks.
      settings: the number of random masks.
      prepare: returns the solver and the splitter; not called if nothing is left to do.
      scores: attributions by index of the example.
      folder: folder to work in, in which an interrupted call continues.

    Returns:
      One row for each `percent` of the words, rounded up: the reduction rates `attributed` and
      `random`, their `difference`, and standard errors over examples, `*_se`. Rates, errors and
      counts leave out examples for which the solver did not converge, and examples whose
      self-influence is not positive, because they have no share to lose.

    Raises:
      InputError: as `attributions` does.
    """
    asked = len(scores)
    scores = scores[[bool(np.isfinite(each).all()) for each in scores]]
    if scores.empty:
        raise InputError("attribution: expected attributions, the solver has converged for none")
    chosen = scores.index.to_numpy(np.int64)
    repeats = settings.repeats
    made: list[tuple[Solver, Splitter]] = []

    def ready() -> tuple[Solver, Splitter]:
        if not made:
            made.append(prepare())
        return made[0]

    from tfmem.training.progress import ExampleProgress

    curves = []
    work = folder / f"curves-{_digest(config, settings, scores)}"
    work.mkdir(parents=True, exist_ok=True)
    with ExampleProgress(len(chosen)) as progress:
        for start in range(0, len(chosen), _EXAMPLES):
            path = work / f"{start:05d}.csv"
            rows = chosen[start : start + _EXAMPLES]
            if not path.exists():
                found = pd.concat(_curves(*ready(), rows, scores, config.seed, repeats))
                write_atomically(path, to_csv(found))
            curves.append(read_csv(path))
            progress.advance(len(rows))
    used = pd.concat(curves).dropna()
    if used.empty:
        raise InputError("attribution: expected some positive self-influence, received none")
    table, count = _means(used), used["index"].nunique()
    left_out = (
        f"{asked - count:,} of {asked:,} attributed examples are left out: the solver has not "
        "converged, or their self-influence is not positive."
    )
    said = _findings(table, count)
    return Outcome((*said, left_out) if count < asked else said, table)


def _curves(
    solver: Solver,
    splitter: Splitter,
    examples: np.ndarray,
    scores: pd.Series,
    seed: int,
    repeats: int,
) -> Iterator[pd.DataFrame]:
    from tfmem.influence_functions.attribution.integral import BlendInfluence, directions

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
        of = found[0] if found[0] > 0 else np.nan  # without influence there is nothing to lose
        rates = (1 - found[1:] / of).reshape(1 + repeats, len(PERCENTAGES))
        yield pd.DataFrame(
            {
                "index": example,
                "percent": PERCENTAGES,
                "attributed": rates[0],
                "random": rates[1:].mean(axis=0),
            }
        )


def _digest(config: Config, settings: ReductionRateSettings, scores: pd.Series) -> str:
    """A digest of everything on which curves depend, for the name of their folder."""
    depends = hashlib.sha256(config.digest())
    depends.update(settings.model_dump_json().encode())
    for index, found in scores.items():
        depends.update(f"{index}".encode() + np.ascontiguousarray(found).tobytes())
    return depends.hexdigest()[:12]


def _means(curves: pd.DataFrame) -> pd.DataFrame:
    curves = curves.assign(difference=curves["attributed"] - curves["random"])
    by_percent = curves.drop(columns="index").groupby("percent")
    return by_percent.mean().join(by_percent.sem().add_suffix("_se")).reset_index()


def _findings(table: pd.DataFrame, count: int) -> tuple[str, ...]:
    said = [
        f"Masking {row['percent']:.0f}% of the words (or patches) removes "
        f"{row['attributed']:.1%} ± {row['attributed_se']:.1%} (SE) of the self-influence of "
        f"{count:,} examples if the words are chosen by attribution, and {row['random']:.1%} ± "
        f"{row['random_se']:.1%} if they are random."
        for row in table.to_dict("records")
        if row["percent"] in (10, 50)
    ]
    above = table["difference"] > 1.96 * table["difference_se"]
    reach = table["percent"][above.cumprod().astype(bool)].max()
    if np.isnan(reach):
        return *said, "At 10%, attribution is no better than chance (95% interval)."
    return *said, f"Attribution is better than chance up to {reach}% (95% interval)."


def reduction_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws the reduction rate by attribution and at random (Zheng & Jiang 2022, Fig. 2).

    Args:
      table: the table of `reduction`.
    """
    figure = new_figure(5, 3.5)
    axes = plain(figure.subplots())
    for way, colour, marker, name in (
        ("attributed", VERMILION, "o", "those with the highest attributions"),
        ("random", GREY, "s", "random ones"),
    ):
        errors = 1.96 * table[f"{way}_se"]
        axes.errorbar(
            table["percent"] / 100, table[way], errors, fmt=f"{marker}-", color=colour,
            capsize=3, markersize=4, label=name,
        )  # fmt: skip
    axes.axhline(1, color=GREY, linewidth=0.6, linestyle=":")
    axes.set(xlabel="words (or patches) masked", ylabel="self-influence lost (mean, 95%)")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False, loc="lower right")
    return figure


EXPERIMENT = Experiment(
    name="reduction-rate",
    question="Do the attributed words carry the self-influence?",
    source="Zheng & Jiang (2022), Sec. 3.4, eq. 6, Fig. 2",
    trains="nothing; its cost is the attribution",
    reading=(
        "The nearer the two curves are to each other, the less the attribution says. A curve of "
        "attributed words that rises at once means that few words carry the self-influence."
    ),
    settings=ReductionRateSettings,
    needs=(TrainedModel, SelfInfluence, Attributions),
    sections=("seed", "dataset", "model", "task", "training", "self_influence", "attribution"),
    conduct=reduction_rate,
    draw=reduction_figure,
    checks=(in_memory, attributable),
    example="sst2_head --out runs/sst2_head --set dataset.data_dir=sst2",
    results="findings.md#reduction-rate",
    gradients=True,
)
