"""Learning rates, as a function of the step."""

from __future__ import annotations

import numpy as np

from tfmem.config import TrainingSettings


def learning_rates(settings: TrainingSettings, steps: int) -> np.ndarray:
    """The learning rate of each step: float32 `[steps]`.

    `warmup_linear` (Feldman & Zhang 2020, App. B, CIFAR-100) grows linearly from 0 to the base rate
    over the share `warmup` of the steps and falls linearly back to 0 over the others.
    `warmup_steps` (same place, ImageNet) grows in the same way, then stays, and is multiplied by
    `decay_factor` at the end of each of `decay_epochs`. Step `s` is taken at the rate of its
    midpoint `s + 1/2`, so that neither the first nor the last step is wasted.
    """
    position = (np.arange(steps) + 0.5) / steps
    if settings.schedule == "constant":
        relative = np.ones(steps)
    elif settings.schedule == "warmup_linear":
        relative = np.interp(position, [0.0, settings.warmup, 1.0], [0.0, 1.0, 0.0])
    else:
        decays = np.searchsorted(np.sort(settings.decay_epochs), position * settings.epochs)
        rising = position / settings.warmup if settings.warmup else np.ones(steps)
        relative = np.minimum(rising, 1.0) * settings.decay_factor**decays
    return (settings.learning_rate * relative).astype(np.float32)
