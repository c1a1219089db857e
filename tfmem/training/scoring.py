"""The task that the models of a run are trained for, from its data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmem.config import TaskSettings
from tfmem.datasets import AnyDataset, Dataset, StructuredDataset
from tfmem.messages.errors import InputError
from tfmem.tasks import OutputKind, Task
from tfmem.tasks.choosing import Targets, make_task
from tfmem.tasks.given import GivenTask
from tfmem.tasks.several import SequenceTask


def task_for(
    settings: TaskSettings,
    dataset: AnyDataset,
    output_shape: tuple[int | None, ...],
    outputs: OutputKind,
) -> Task:
    """The task of a model that is trained on a data set.

    Args:
      settings: the task's name and score.
      dataset: the examples.
      output_shape: shape of a model's output for one example; empty if it is not known.
      outputs: whether the model returns logits or probabilities.

    Raises:
      InputError: if the data set, the model's outputs and the settings do not go together.
    """
    known = Targets(len(dataset.class_names))
    if isinstance(dataset, Dataset | StructuredDataset) and dataset.train_targets is not None:
        targets = dataset.train_targets
        classes = known.num_classes if dataset.has_classes else 0
        known = Targets(classes, targets.shape[1:], targets.dtype)
    if isinstance(dataset, Dataset) and dataset.vocabulary and settings.padding is None:
        settings = settings.model_copy(update={"padding": 0})
    task = make_task(settings, known, output_shape, outputs)
    if isinstance(task, SequenceTask) and len(output_shape) > 1 and output_shape[-1]:
        for split in ("train", "test"):
            _check_positions(getattr(dataset, f"{split}_targets"), task, output_shape[-1], split)
    return task


def check_outputs(outputs: Any, task: Task) -> None:
    """Refuses outputs that are several arrays, unless a function of the user's alone scores them.

    Args:
      outputs: what a model returned for some examples.
      task: the task of the model.

    Raises:
      InputError: saying what was returned.
    """
    alone = isinstance(task, GivenTask) and task.beside is None
    if isinstance(outputs, Mapping | list | tuple) and not alone:
        raise InputError(
            "model.build: expected a model that returns one array, received a "
            f"{type(outputs).__name__} of {len(outputs)}: return the array by which examples are "
            "scored"
        )


def _check_positions(targets: np.ndarray, task: SequenceTask, classes: int, split: str) -> None:
    """Refuses targets that no output is of, and that would count as predicted or not at random."""
    wrong = (targets < 0) | (targets >= classes)
    if task.padding is not None:
        wrong &= targets != task.padding
    if wrong.any():
        example = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))[0])
        raise InputError(
            f"{split}: example {example}: expected targets from 0 to {classes - 1}, one for each "
            f"output, or task.padding ({task.padding}), received {targets[wrong][0]}"
        )
