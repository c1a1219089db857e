"""Learning rates, as a function of the step."""

from __future__ import annotations

import numpy as np

from tfmem.config import TrainingSettings


def learning_rates(settings: TrainingSettings, steps: int) -> np.ndarray:
    """The learning rate of each step: float32 `[steps]`.

    `warmup_linear` (Feldman & Zhang 2020, App. B) grows linearly from 0 to the base rate over the
    first `warmup` of the steps and falls linearly back to 0 over the others. Step `s` is taken at
    the rate of its midpoint `s + 1/2`, so that neither the first nor the last step is wasted.
    """
    if settings.schedule == "constant":
        return np.full(steps, settings.learning_rate, np.float32)
    position = (np.arange(steps) + 0.5) / steps
    corners = [0.0, settings.warmup, 1.0]
    return np.interp(position, corners, settings.learning_rate * np.array([0.0, 1.0, 0.0])).astype(
        np.float32
    )
