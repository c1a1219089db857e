"""Decides whether trained models learned, and which trials are left out of estimates.

A trial whose loss is not finite has diverged and has no model. A model that is merely bad is a
model like any other. Leaving it out would select trials by their outcome, so this happens only with
`training.exclude_unlearned`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfmem.config import TrainingSettings
from tfmem.datasets import AnyDataset, Dataset
from tfmem.messages.errors import InputError
from tfmem.store.labels import Labels

if TYPE_CHECKING:
    from tfmem.store.journal import TrialNote

_USUAL = 0.1, 20.0  # range of the largest input in which the scale is no likely cause
_SDS = 3  # standard deviations of the most frequent class's share in a random subset


def is_left_out(
    loss: float, correct: np.ndarray | None, labels: np.ndarray, settings: TrainingSettings
) -> bool:
    """Whether a trial is marked as diverged, and thus left out of the estimates.

    Args:
      loss: mean training loss over the last epoch.
      correct: bool `[m]`, whether the model is right on each example of its own subset; None if
        the task cannot say.
      labels: int64 `[m]`, the labels of these examples.
      settings: settings that say whether models that learned nothing are left out, too.
    """
    if not np.isfinite(loss):
        return True
    if correct is None:
        return False
    return settings.exclude_unlearned and not has_learned(correct, labels)


def check_learned(loss: float, settings: TrainingSettings) -> None:
    """Refuses a model that diverged, if all results depend on this one model.

    Args:
      loss: mean training loss over the last epoch.
      settings: the settings that the model was trained with.

    Raises:
      InputError: if the loss is not finite.
    """
    if not np.isfinite(loss):
        raise InputError(
            "the model that was trained on all training examples diverged, its loss is not finite: "
            "expected a smaller training.learning_rate, or inputs of another scale, received "
            f"training.learning_rate {settings.learning_rate:g}"
        )


def has_learned(correct: np.ndarray, labels: np.ndarray) -> bool:
    """Whether a model is right more often than always answering with the most frequent class.

    A model that is right on all examples has learned, even if they are all of one class.

    Args:
      correct: bool `[m]`, whether the model is right on each example of its own subset.
      labels: int64 `[m]`, the labels of these examples.
    """
    return bool(correct.all() or correct.sum() > np.bincount(labels).max())


def describe_unlearned(
    notes: Sequence[TrialNote],
    labels: Labels,
    settings: TrainingSettings,
    dataset: AnyDataset | None = None,
    own: bool = False,
) -> str:
    """A sentence on the models that learned nothing, with likely causes; empty if all learned.

    The share of the most frequent class in a trial's subset is taken to be that in the data set, up
    to three standard deviations of random subsets.

    Args:
      notes: notes of all trials.
      labels: the labels of the data set that they were trained on.
      settings: the settings that they were trained with.
      dataset: the data set, if it is at hand; the scale of its inputs may be a cause.
      own: whether the models are a user's own, with an optimizer of their own.
    """
    if not labels.has_classes:
        return ""
    counts = np.bincount(labels.train_labels)
    commonest, count = int(counts.argmax()), len(labels.train_labels)
    share = counts[commonest] / count
    spread = np.sqrt(share * (1 - share) * (1 / settings.fraction - 1) / count)
    known = [note.train_accuracy for note in notes if np.isfinite(note.train_accuracy)]
    low = [each for each in known if each < 1 and each <= share + _SDS * spread]
    if not low:
        return ""
    counted = "are left out of the estimates (training.exclude_unlearned)"
    if not settings.exclude_unlearned:
        counted = "count like any other (unless training.exclude_unlearned is set)"
    number = "1 model of" if len(low) == 1 else f"{len(low):,} models of"
    name = labels.class_names[commonest]
    return (
        f"{number} {len(known):,} learned next to nothing: accuracy on the own subset is "
        f"{np.mean(low):.1%}, and always answering {name!r} would have {share:.1%}. Such models "
        f"{counted}. Likely causes: {_scale(dataset)}{_recipe(settings, own)}, or very "
        "unequal classes"
    )


def _recipe(settings: TrainingSettings, own: bool) -> str:
    """What of the recipe may be the cause, in words."""
    rate = f"training.learning_rate ({settings.learning_rate:g})"
    return (
        f"{'the learning rate of its optimizer' if own else rate} too high or too low, too few "
        f"training.epochs ({settings.epochs})"
    )


def _scale(dataset: AnyDataset | None) -> str:
    """The scale of inputs as a likely cause, in words; empty if it is usual or not known."""
    if not isinstance(dataset, Dataset) or dataset.train_images.dtype.kind not in "fu":
        return ""
    least, most = (f(dataset.train_images) / dataset.white + 0.0 for f in (np.min, np.max))
    if _USUAL[0] <= max(abs(least), abs(most)) <= _USUAL[1]:
        return ""
    return f"the scale of the inputs (models see {least:.4g} to {most:.4g}), "
