"""The recipe of the settings, as what a Keras model is compiled with."""

from __future__ import annotations

import keras

from tfmem.config import TrainingSettings
from tfmem.training.optimizers import SGD
from tfmem.training.schedules import Course
from tfmem.training.smoothing import SmoothedCrossentropy


def compiled(
    model: keras.Model, settings: TrainingSettings, steps: int = 1, padding: int | None = None
) -> keras.Model:
    """Compiles a model that returns logits with the optimizer of the settings.

    Args:
      model: the model, which is changed. If it computes in float16, its losses are scaled.
      settings: rate, schedule, momentum, L2 penalty, label smoothing, and whether XLA compiles
        programs.
      steps: number of steps of a trial, for `model.fit`; tfmem's own trainers know it themselves.
      padding: the target of positions of a sequence that the loss leaves out; None leaves out none.

    Returns:
      The same model.
    """
    optimizer = SGD(
        Course(settings, steps),
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        l2=settings.weight_decay,
    )
    if settings.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    loss: keras.losses.Loss = keras.losses.SparseCategoricalCrossentropy(
        ignore_class=padding, from_logits=True
    )
    if settings.label_smoothing:
        loss = SmoothedCrossentropy(settings.label_smoothing)
    model.compile(optimizer, loss, jit_compile=settings.xla, auto_scale_loss=False)
    return model
