"""What scores cost that are compared with memorization: trainings, seconds, and passes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tfmem.config import Config
from tfmem.experiments.gradients import NORM_SECONDS, SELF_INFLUENCE, SELF_INFLUENCE_SECONDS
from tfmem.experiments.input_proxies import (
    CURVATURE,
    DIRECTIONS,
    GRADIENT,
    RETRAINING,
    retraining_epochs,
    seconds_of,
)
from tfmem.training.dynamics import Dynamics


def has(models: Dynamics, name: str) -> bool:
    """Whether a probe gave the score to a model at all."""
    return not np.isnan(models.probed[name]).all(axis=1).any()


def _seconds(models: Dynamics) -> tuple[float, float, float]:
    """Seconds of training a model, of a pass over gradients, and of self-influence."""
    probed = models.probed
    each = models.seconds, probed[NORM_SECONDS], probed[SELF_INFLUENCE_SECONDS]
    training, norm, solving = (float(np.median(seconds)) for seconds in each)
    return training, norm, solving


def prices_of(models: Dynamics, early: float) -> dict[str, float]:
    """The cost of scores for one model, in trainings; scores that are not listed cost one."""
    training, norm, solving = _seconds(models)
    return {
        "EL2N": early,
        "GraNd": early + norm / training,
        "gradient norm": 1 + norm / training,
        "self-influence": 1 + solving / training,
        "input gradient": 1 + seconds_of(models.probed, GRADIENT) / training,
        "input curvature": 1
        + (seconds_of(models.probed, GRADIENT) + seconds_of(models.probed, CURVATURE)) / training,
        "held-out retraining": 1 + seconds_of(models.probed, RETRAINING) / training,
    }


def passes_of(
    epochs: int, early: int, taken: int, retrained: float
) -> dict[str, tuple[float, float]]:
    """Forward and backward passes over all examples for one model, by score.

    Args:
      epochs: those of a training.
      early: the epochs after which EL2N and GraNd are read.
      taken: the epochs after which derivatives by inputs are taken.
      retrained: passes of held-out retraining, in training examples.
    """
    each = 2 * epochs, epochs  # predictions after every epoch
    once = epochs + 1, epochs
    directions = taken * (1 + DIRECTIONS)
    return {
        "learning speed": each,
        "forgetting events": each,
        "cumulative loss": each,
        "confidence": once,
        "EL2N": (early + 1, early),
        "GraNd": (early + 1, early + 1),
        "gradient norm": (epochs + 1, epochs + 1),
        "self-influence": (np.nan, np.nan),
        "input gradient": (epochs + taken, epochs + taken),
        "input curvature": (epochs + directions, epochs + directions),
        "held-out retraining": (epochs + 2 + retrained, epochs + retrained),
    }


def with_passes(
    table: pd.DataFrame, models: Dynamics, config: Config, early: int, held_out: float
) -> pd.DataFrame:
    """The table of scores with `seconds`, and `forward` and `backward` passes over all examples.

    Args:
      table: with `score`, `trainings` and `cost`.
      models: those that were trained on all examples; other scores are made from trials.
      config: the run's settings.
      early: the epochs after which EL2N and GraNd are read.
      held_out: number of test examples, as a share of that of training examples.
    """
    epochs = config.training.epochs
    taken = sum(key.startswith(f"{GRADIENT} ") for key in models.probed) // 2
    passes = passes_of(epochs, early, taken, retraining_epochs(epochs) * held_out)
    of_a_trial = epochs * config.training.fraction
    each = [passes.get(name, (of_a_trial + 1, of_a_trial)) for name in table["score"]]
    forward, backward = (table["trainings"] * column for column in zip(*each, strict=True))
    seconds = table["cost"] * float(np.median(models.seconds))
    return table.assign(seconds=seconds, forward=forward, backward=backward)


def cost_said(models: Dynamics) -> str:
    """What training a model and its scores took, as a sentence."""
    training, norm, solving = _seconds(models)
    said = f"Training a model took {training:.2g} s, a pass over gradients {norm:.2g} s"
    if has(models, SELF_INFLUENCE):
        return f"{said}, self-influence {solving:.2g} s."
    return f"{said}. Self-influence was left out: the solver, fast, does not serve these models."
