"""Attributions of test predictions, by gradients of a few models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from tfmem.components.gradient_scores import COST_NAME, GRADIENT_SCORES, TRAINED_BY
from tfmem.config import Config, MethodName, differences
from tfmem.datasets import AnyDataset, load
from tfmem.experiments.run import load_run
from tfmem.messages.errors import InputError
from tfmem.pipelines.runner import Step, configured, run_chain
from tfmem.store.artifacts import Predictions

SCORES_NAME = "scores.npy"
BY_GRADIENTS: dict[str, MethodName] = {name: name for name in get_args(MethodName)}


def gradient_attribution(method: MethodName, config: Config) -> list[Step]:
    """Trains the models of a method, and computes its scores.

    Raises:
      InputError: if tfmem cannot train such a model.
    """
    config.check_trainable(method)
    scores = configured(GRADIENT_SCORES[method], config, {"method": method})
    return [configured(TRAINED_BY[method], config), scores]


def scores_by(method: MethodName, config: Config, folder: Path) -> tuple[Path, int]:
    """Computes the scores of a method in a folder, unless it has them.

    Args:
      method: the method.
      config: the settings.
      folder: folder of a run, or any other.

    Returns:
      The file of the scores, float32 `[num_train, num_test]`, and the number of models behind them.

    Raises:
      InputError: if the method cannot attribute the predictions of such models.
    """
    run_chain(gradient_attribution(method, config), folder)
    place = folder / GRADIENT_SCORES[method].outputs["scores"].place
    return place / SCORES_NAME, int(json.loads((place / COST_NAME).read_text())["models"])


def load_same(config: Config, folder: Path) -> AnyDataset:
    """Loads the data that settings name, if they are those of the trials in a folder.

    Raises:
      InputError: if the folder has trials, and they were trained on other data.
    """
    check_same_data(config, folder)
    dataset = load(config.dataset)
    if (folder / Predictions.place).is_dir() and (run := load_run(folder)).has_labels:
        run.check_dataset(dataset)
    return dataset


def check_same_data(config: Config, folder: Path) -> None:
    """Refuses settings of other data than those of the trials in a folder, if it has some.

    Scores of other examples, or of other labels, would be shown and judged as if they were those
    of the run. What the settings name may have changed all the same; see `load_same`.
    """
    if not (folder / Predictions.place).is_dir():
        return
    known = load_run(folder).config
    if known.model.name == "elsewhere":  # its settings do not say what the data are
        return
    theirs, ours = known.dataset.identity(), config.dataset.identity()
    if changed := differences(theirs, ours, "dataset."):
        raise InputError(
            f"{folder}: its trials were trained on other data than these settings name "
            f"({'; '.join(changed)}): choose another folder, or the data of the run"
        )
