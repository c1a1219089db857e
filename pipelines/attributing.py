"""Fits datamodels to the trials of a run, and judges attributions by trials held out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfmem.aggregation.held_outputs import outputs_in
from tfmem.config import Config, Statistic
from tfmem.datamodels.influence import influence_predictions
from tfmem.datamodels.lasso import lasso
from tfmem.datamodels.lds import (
    LinearDatamodelingScore,
    Predict,
    linear_datamodeling_score,
    summed,
)
from tfmem.datamodels.outputs import HOLDOUT, SubsetOutputs, held_out
from tfmem.datamodels.ridge import ridge
from tfmem.exchange.score_files import Attributions, Order, open_scores
from tfmem.experiments.run import load_run
from tfmem.messages.errors import InputError
from tfmem.pipelines.gradient_attribution import BY_GRADIENTS, check_same_data, load_same, scores_by
from tfmem.store.artifacts import Predictions, TrainedModel
from tfmem.store.spreadsheets import to_csv
from tfmem.store.writing import write_set

INFLUENCE, DATAMODEL, SELF_INFLUENCE = "influence", "datamodel", "self-influence"
SPARSE_DATAMODEL = "sparse-datamodel"
FROM_TRIALS = INFLUENCE, DATAMODEL, SPARSE_DATAMODEL


@dataclass(frozen=True)
class Judged:
    """Attributions, and how well they predict the outputs of models that were not used for them.

    Attributes:
      name: the attributions: their file, or how they were made.
      made_from: number of models that were trained to make them; None if that is not known.
      score: their linear datamodeling score.
      statistic: what outputs are.
    """

    name: str
    made_from: int | None
    score: LinearDatamodelingScore
    statistic: str

    @property
    def judges(self) -> str:
        """Says in a sentence by what the attributions are judged."""
        score = self.score
        return (
            f"judged by the {self.statistic} of {score.models:,} models on {score.subsets:,} "
            f"subsets, for {(~np.isnan(score.correlation)).sum():,} of "
            f"{len(score.correlation):,} test examples"
        )

    def row(self) -> dict[str, Any]:
        """The score as a row of a table."""
        score = self.score
        return {
            "attributions": self.name,
            "models": np.nan if self.made_from is None else self.made_from,
            "lds": score.value,
            "ci_low": score.low,
            "ci_high": score.high,
            "subset_stderr": score.subset_error,
            "test_stderr": score.test_error,
            "ceiling": score.ceiling_value,
            "statistic": self.statistic,
            "judging_subsets": score.subsets,
            "judging_models": score.models,
            "without_scores": score.without_scores,
        }

    def tests(self) -> pd.DataFrame:
        """One row for each test example: `attributions`, `test_index`, `lds`, `ceiling`."""
        score = self.score
        return pd.DataFrame(
            {
                "attributions": self.name,
                "test_index": np.arange(len(score.correlation)),
                "lds": score.correlation,
                "ceiling": np.nan if score.ceiling is None else score.ceiling,
            }
        )


def judge(
    folder: Path,
    scores: Sequence[Any],
    *,
    statistic: Statistic | None = None,
    holdout: float | None = None,
    order: Order = "auto",
    name: str | None = None,
    config: Config | None = None,
) -> list[Judged]:
    """Computes the linear datamodeling score of attributions by the trials of a run.

    Args:
      folder: the run.
      scores: arrays of attributions, paths of files, or names: `influence`, `datamodel` (by
        ridge) and `sparse-datamodel` (by lasso) are made from the trials that are not held out,
        `self-influence` from one model that is trained on all examples, unless the run has one,
        and `trak`, `tracin` and `influence-functions` from models that are trained for them.
      statistic: the outputs that are predicted; None is the score if records hold one, and the
        margin otherwise.
      holdout: share of the subsets that judge. None is 0.2 if attributions are made from trials,
        and otherwise all of them.
      order: the axes of arrays and files.
      name: name of the array in files that hold several.
      config: settings with which models are trained for attributions; None is those of the run.

    Raises:
      InputError: if the run has no such outputs, if too few subsets are left, if settings are of
        other data than the run, or if attributions cannot be read or are of other examples.
    """
    if config is not None:
        check_same_data(config, folder)
    held = outputs_in(folder / Predictions.place, statistic)
    outputs = held.by_subset()
    if holdout is None and any(isinstance(s, str) and s in FROM_TRIALS for s in scores):
        holdout = HOLDOUT
    judges = np.ones(len(outputs), bool)
    if holdout is not None:
        judges = held_out(len(outputs), holdout, held.seed)
    given, wanted = outputs.take(~judges), outputs.take(judges)
    found = []
    for each in scores:
        predict, label, models = _predictions(folder, each, given, wanted, order, name, config)
        score = linear_datamodeling_score(wanted, predict, held.seed)
        found.append(Judged(label, models, score, str(held.measure)))
    return found


def write_judged(judged: Sequence[Judged], out: Path) -> None:
    """Writes `scores.csv`, a row for all attributions, and `tests.csv`, for each test example.

    Raises:
      InputError: if they cannot be written.
    """
    tables = {
        "scores": pd.DataFrame([each.row() for each in judged]),
        "tests": pd.concat([each.tests() for each in judged]),
    }
    files = ((f"{name}.csv", to_csv(table, "%.6g")) for name, table in tables.items())
    write_set(out, {"attributions": [each.name for each in judged]}, files)


def _predictions(
    folder: Path,
    scores: Any,
    given: SubsetOutputs,
    wanted: SubsetOutputs,
    order: Order,
    name: str | None,
    config: Config | None,
) -> tuple[Predict, str, int | None]:
    """What attributions predict, what they are called, and how many models they are made from."""
    shape = given.num_train, given.num_test
    if isinstance(scores, str) and scores == INFLUENCE:
        return influence_predictions(given, wanted), scores, len(given.each)
    if isinstance(scores, str) and scores == DATAMODEL:
        return ridge(given).predictions(wanted), scores, len(given.each)
    if isinstance(scores, str) and scores == SPARSE_DATAMODEL:
        return lasso(given).predictions(wanted), scores, len(given.each)
    if isinstance(scores, str) and scores == SELF_INFLUENCE:
        array = _of_one_model(folder, config)
        return summed(Attributions(array, shape, "train-test", scores), wanted), scores, 1
    if isinstance(scores, str) and scores in BY_GRADIENTS:
        config = config or load_run(folder).config
        config.check_trainable(scores)
        load_same(config, folder)
        path, models = scores_by(BY_GRADIENTS[scores], config, folder)
        return summed(open_scores(path, shape, "train-test"), wanted), scores, models
    if isinstance(scores, str | os.PathLike):
        opened = open_scores(scores, shape, order, name)
        return summed(opened, wanted), str(scores), None
    values = np.asarray(scores)
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        raise InputError(
            f"scores: expected numbers [num_train, num_test], received {values.dtype} "
            f"{list(values.shape)}"
        )
    return summed(Attributions(values, shape, order, "scores"), wanted), "scores", None


def _of_one_model(folder: Path, config: Config | None) -> np.ndarray:
    """Influence of all training on all test examples in a model that is trained on all examples."""
    from tfmem.messages.backends import import_tensorflow_for

    config = config or load_run(folder).config
    config.check_trainable(SELF_INFLUENCE)
    dataset = load_same(config, folder)
    import_tensorflow_for("self-influences")
    from tfmem.experiments.self_influence import influence_matrix

    return influence_matrix(config, dataset, folder / TrainedModel.place)
