"""Attributions of test predictions, by gradients of a few models."""

from __future__ import annotations

import json
from pathlib import Path

from tfmem.components.gradient_scores import COST_NAME, GRADIENT_SCORES, TRAINED_BY
from tfmem.config import Config, MethodName
from tfmem.pipelines.runner import Step, configured, run_chain

SCORES_NAME = "scores.npy"


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
