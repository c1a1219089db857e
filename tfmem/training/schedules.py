"""Learning rates, as a function of the step."""

from __future__ import annotations

import functools
from typing import Any

import keras
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


@keras.saving.register_keras_serializable("tfmem")
class Course(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rates of a recipe, which stretch over however many steps training has."""

    def __init__(self, settings: TrainingSettings | dict[str, Any], steps: int) -> None:
        """Takes the recipe.

        Args:
          settings: the recipe, whose base rate, schedule and epochs count.
          steps: number of steps of the training.
        """
        if isinstance(settings, dict):
            settings = TrainingSettings.model_validate(settings)
        self.settings = settings
        self.steps = steps

    def rates(self, steps: int) -> np.ndarray:
        """The learning rate of each step of a training of `steps` steps: float32 `[steps]`."""
        return learning_rates(self.settings, steps)

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step; the last one holds for later steps."""
        last = self.steps - 1
        number = keras.ops.minimum(keras.ops.cast(step, "int32"), last)
        return keras.ops.take(self.rates(self.steps), number)

    def get_config(self) -> dict[str, Any]:
        """The arguments with which an equal schedule is made."""
        return {"settings": self.settings.model_dump(mode="json"), "steps": self.steps}


@functools.lru_cache(maxsize=8)
def rates_of(schedule: Any, steps: int, first: int = 0) -> np.ndarray:
    """The learning rate of each of some steps: float32 `[steps]`.

    Args:
      schedule: a Keras schedule, a number, or a function without arguments.
      steps: number of steps.
      first: number of steps that were taken before.
    """
    if isinstance(schedule, Course):
        return schedule.rates(steps)
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        rate = schedule() if callable(schedule) else schedule
        return np.full(steps, float(keras.ops.convert_to_numpy(rate)), np.float32)

    import tensorflow as tf

    @tf.function
    def rates() -> tf.Tensor:
        def rate(step: tf.Tensor) -> tf.Tensor:
            return tf.reshape(tf.cast(schedule(step), tf.float32), [])

        numbers = tf.range(first, first + steps, dtype=tf.int64)
        return tf.map_fn(rate, numbers, fn_output_signature=tf.float32)

    return rates().numpy()


def schedule_of(optimizer: keras.optimizers.Optimizer) -> Any:
    """The schedule of an optimizer, or its rate if it has none."""
    schedule = optimizer._learning_rate
    return float(schedule.numpy()) if isinstance(schedule, keras.Variable) else schedule


def take_schedule(optimizer: keras.optimizers.Optimizer) -> Any:
    """Replaces the schedule of an optimizer by a variable that trainers set, and returns it."""
    schedule = schedule_of(optimizer)
    if not isinstance(optimizer._learning_rate, keras.Variable):
        optimizer._learning_rate = keras.Variable(
            0.0, dtype="float32", trainable=False, aggregation="only_first_replica"
        )
    return schedule
