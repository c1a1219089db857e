"""What a model of anyone's got right, from logits, truth values or scores, as records hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from tfmem.messages.errors import InputError, reason
from tfmem.store import confidence
from tfmem.store.bits import pack
from tfmem.store.predictions import TrialRecord
from tfmem.store.scores import check_finite, scores_to_bytes


@dataclass(frozen=True)
class Outcome:
    """How a model did on the examples of one split.

    Attributes:
      names: from what this is known: some of `correct`, `logits` and `scores`.
      correct: bool `[examples]`; None if that is not known.
      margin: float64 `[examples]`, `log(p / (1 - p))` of the true label's probability; None without
        logits.
      score: float32 `[examples]`; None without scores.
    """

    names: tuple[str, ...] = ()
    correct: np.ndarray | None = None
    margin: np.ndarray | None = None
    score: np.ndarray | None = None

    def features(self, split: str) -> dict[str, Any]:
        """The features of a `TrialRecord` that hold this."""
        found: dict[str, bytes] = {}
        if self.correct is not None:
            found[f"{split}_correct"] = pack(self.correct)
        if self.margin is not None:
            found[f"{split}_margin"] = confidence.to_bytes(self.margin)
        if self.score is not None:
            found[f"{split}_score"] = scores_to_bytes(self.score)
        return found


class Kind(NamedTuple):
    """What trials must have in common to be counted together.

    Attributes:
      names: from what it is known how models do, as in `Outcome`.
      score: name of the scores; empty without scores.
    """

    names: tuple[str, ...]
    score: str

    @classmethod
    def of(cls, record: TrialRecord) -> Kind:
        """The kind of a record."""
        there = {
            "correct": record.has_correctness and not record.train_margin,
            "logits": bool(record.train_margin),
            "scores": record.has_scores,
        }
        return cls(tuple(name for name, known in there.items() if known), record.score_name)

    def __str__(self) -> str:
        return said(self.names, "train") + (f" ({self.score!r})" if self.score else "")


def said(names: tuple[str, ...], split: str) -> str:
    """Names of arrays as a user gave them."""
    return " and ".join(f"{split}_{name}" for name in names) or f"nothing of {split} examples"


def nothing_correct(labels: np.ndarray) -> Outcome:
    """The outcome that stands in for one that is not known, in trials that estimates leave out."""
    return Outcome(("correct",), np.zeros(len(labels), bool))


def read_outcome(
    labels: np.ndarray, classes: int, given: tuple[Any, Any, Any], split: str, where: str
) -> Outcome:
    """Reads how a model did on the examples of one split.

    Args:
      labels: int64 `[examples]`.
      classes: number of classes; 0 if labels are no classes.
      given: what a user gave, each None or an array: correctness `[examples]` of False and True or
        0 and 1; logits `[examples, classes]`, or `[examples]` of class 1 of two; finite scores
        `[examples]`.
      split: `train` or `test`, for messages.
      where: the trial, for messages.

    Raises:
      InputError: naming trial, array and example that cannot be used.
    """
    correct, logits, scores = given
    if correct is not None and logits is not None:
        raise InputError(f"{where}: expected {split}_correct or {split}_logits, received both")
    names = [
        n for n, x in zip(("correct", "logits", "scores"), given, strict=True) if x is not None
    ]
    margin = score = None
    if correct is not None:
        correct = _bits(correct, len(labels), f"{where}: {split}_correct")
    if logits is not None:
        correct, margin = _read_logits(logits, labels, classes, f"{where}: {split}_logits")
    if scores is not None:
        name = f"{where}: {split}_scores"
        with np.errstate(over="ignore"):  # infinity is refused
            score = _numbers(scores, (len(labels),), name).astype(np.float32)
        check_finite(score, name)
    return Outcome(tuple(names), correct, margin, score)


def read_subset(subset: Any, count: int, where: str) -> np.ndarray:
    """The subset of a trial as bool `[count]`.

    Args:
      subset: `[count]` of False and True or 0 and 1, or the indices of examples, each once. Of
        integers, as many as there are examples, that are all 0 or 1, some more than once, it is the
        former.
      count: number of training examples.
      where: the trial, for messages.

    Raises:
      InputError: if the subset is neither, or empty.
    """
    found = np.asarray(subset)
    if found.ndim != 1 or found.dtype.kind not in "biuf":
        raise InputError(
            f"{where}: subset: expected truth values [{count}] or indices, received {found.dtype} "
            f"{list(found.shape)}"
        )
    is_mask = len(found) == count and bool(np.isin(found, (0, 1)).all())
    if found.dtype == bool or (is_mask and len(np.unique(found)) < count):
        mask = _bits(found, count, f"{where}: subset")
    else:
        whole = found.astype(np.int64) if len(found) else np.zeros(0, np.int64)
        wrong = (whole != found) | (whole < 0) | (whole >= count)
        if wrong.any():
            raise InputError(
                f"{where}: subset: expected indices from 0 to {count - 1}, received "
                f"{found[wrong][0]}"
            )
        mask = np.zeros(count, bool)
        mask[whole] = True
        if mask.sum() < len(whole):
            ordered = np.sort(whole)
            twice = ordered[1:][ordered[1:] == ordered[:-1]][0]
            raise InputError(f"{where}: subset: index {twice} is there more than once")
    if not mask.any():
        raise InputError(f"{where}: subset: expected at least one example, received none")
    return mask


def _numbers(values: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    """The values as an array of numbers with this shape."""
    try:
        found = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor on a device, or with gradient
        raise InputError(f"{where}: expected an array: {reason(error)}") from None
    if found.dtype.kind not in "biuf" or found.shape != shape:
        raise InputError(
            f"{where}: expected numbers {list(shape)}, received {found.dtype} {list(found.shape)}"
        )
    return found


def _bits(values: Any, count: int, where: str) -> np.ndarray:
    found = _numbers(values, (count,), where)
    bits = found == 1
    wrong = ~bits & (found != 0)
    if wrong.any():
        example = int(wrong.argmax())
        raise InputError(f"{where}: example {example}: expected 0 or 1, received {found[example]}")
    return np.asarray(bits, bool)


def _read_logits(
    logits: Any, labels: np.ndarray, classes: int, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Correctness and margin of the true label, `[examples]`.

    The margin is the label's logit less the logarithm of the sum of the other logits' exponentials,
    so that no digit is lost if its probability is near 1.
    """
    if not classes:
        raise InputError(f"{where}: expected scores, because the labels are no classes")
    one = classes == 2 and np.ndim(logits) == 1
    found = _numbers(logits, (len(labels),) if one else (len(labels), classes), where)
    found = found.astype(np.float64)
    wrong = ~np.isfinite(found).reshape(len(labels), -1).all(axis=1)
    if wrong.any():
        example = int(wrong.argmax())
        raise InputError(
            f"{where}: example {example}: expected finite logits, received "
            f"{found[example].tolist()}; diverged=True marks a trial whose training failed"
        )
    if one:
        return (found > 0) == (labels == 1), np.where(labels == 1, found, -found)
    rows, others = np.arange(len(labels)), found.copy()
    others[rows, labels] = -np.inf
    with np.errstate(divide="ignore"):
        rest = logsumexp(others, axis=1) if len(labels) else np.zeros(0)
    return found.argmax(axis=1) == labels, found[rows, labels] - rest
