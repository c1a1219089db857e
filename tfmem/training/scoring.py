"""The task that the models of a run are trained for, from its data set."""

from __future__ import annotations

from tfmem.config import TaskSettings
from tfmem.datasets import AnyDataset, Dataset, StructuredDataset
from tfmem.tasks import OutputKind, Task
from tfmem.tasks.choosing import Targets, make_task


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
    return make_task(settings, known, output_shape, outputs)
