"""Which task a model is trained for, from settings, targets and the shape of its outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfmem.config import TaskSettings
from tfmem.config.functions import resolve
from tfmem.config.steps import TaskName
from tfmem.messages.errors import InputError
from tfmem.tasks import classes, numbers, several
from tfmem.tasks.classes import ClassTask
from tfmem.tasks.given import GivenTask
from tfmem.tasks.numbers import RegressionTask
from tfmem.tasks.several import MultiLabelTask, SequenceTask
from tfmem.tasks.task import OutputKind, Task

_SCORES = {
    "classes": classes.SCORES,
    "binary": classes.SCORES,
    "multi_label": several.LABEL_SCORES,
    "regression": numbers.SCORES,
    "sequence": several.SEQUENCE_SCORES,
}
_FIRST = {"correct": None, "exact_match": None}  # scores that records hold as bits


@dataclass(frozen=True)
class Targets:
    """What is known of the targets of a data set.

    Attributes:
      num_classes: number of classes; 0 if there are none.
      shape: shape of one example's target.
      dtype: their type: floats for regression, uint8 for labels of which several may hold, other
        integers for classes of positions; None if targets are classes.
    """

    num_classes: int
    shape: tuple[int, ...] = ()
    dtype: np.dtype | None = None


def make_task(
    settings: TaskSettings,
    targets: Targets,
    output_shape: tuple[int | None, ...],
    outputs: OutputKind,
) -> Task:
    """The task of a model.

    Args:
      settings: the task's name, or `auto`, and its score.
      targets: what models are trained to predict.
      output_shape: shape of a model's output for one example; empty if it is not known.
      outputs: whether the model returns logits or probabilities.

    Raises:
      InputError: if targets, outputs and settings do not go together.
    """
    name = _name(settings, targets, output_shape)
    _check(name, targets, output_shape)
    score, function = settings.score, None
    if score is not None and score not in _SCORES[name]:
        if ":" not in score:
            raise InputError(
                f"task.score: expected {', '.join(_SCORES[name])} (the task is {name}) or "
                f"package.module:function, received {score!r}"
            )
        function, score = resolve(score, "task.score"), None
    score = _FIRST.get(score, score) if score else None
    task: Task
    match name:
        case "classes" | "binary":
            task = ClassTask(outputs, score, one_output=name == "binary")
        case "multi_label":
            task = MultiLabelTask(outputs, score)
        case "regression":
            task = RegressionTask(score or numbers.SCORES[0])
        case _:
            task = SequenceTask(outputs, score or several.SEQUENCE_SCORES[0], settings.padding)
    if function is None:
        return task
    with_bits = name in ("classes", "binary", "multi_label")
    return GivenTask(str(settings.score), function, task if with_bits else None)


def _name(
    settings: TaskSettings, targets: Targets, output_shape: tuple[int | None, ...]
) -> TaskName:
    if settings.name != "auto":
        return settings.name
    if targets.num_classes:
        one = output_shape in ((), (1,)) and targets.num_classes == 2
        return "binary" if one else "classes"
    if targets.dtype is not None and targets.dtype.kind == "f":
        return "regression"
    return "multi_label" if targets.dtype == np.uint8 else "sequence"


def _check(name: TaskName, targets: Targets, output_shape: tuple[int | None, ...]) -> None:
    """Checks that the model's outputs are as many as the task needs."""
    received = f"received outputs of shape {list(output_shape)}"
    if name in ("classes", "binary") and not targets.num_classes:
        raise InputError(f"task.name: expected a task without classes, received {name!r}")
    if name == "binary" and (targets.num_classes != 2 or output_shape not in ((), (1,))):
        raise InputError(
            f"task.name: binary: expected a model with one output and 2 classes, {received} and "
            f"{targets.num_classes} classes"
        )
    if name == "classes" and output_shape and output_shape[-1] != targets.num_classes:
        raise InputError(
            f"model: expected one output for each of the {targets.num_classes} classes, {received}"
        )
    if name == "multi_label" and output_shape and output_shape != targets.shape:
        raise InputError(f"model: expected outputs of shape {list(targets.shape)}, {received}")
    found = output_shape[:-1]
    if name == "sequence" and output_shape and found not in (targets.shape, (None,)):
        raise InputError(
            f"model: expected outputs of shape {[*targets.shape, 'classes']}, {received}"
        )
