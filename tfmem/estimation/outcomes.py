"""Subsets and outcomes of trials as a user holds them, checked and packed for counting."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmem.estimation.estimator import (
    CORRECTNESS,
    ClassCounts,
    Measure,
    TrainCounts,
    count_train,
)
from tfmem.estimation.kernels import co_occurrence, ones, transpose_bits
from tfmem.estimation.scales import UNSCALED, fixed_point, fractions, range_of, scale_of
from tfmem.estimation.sums import TrainSums, uncertainty, unpacked
from tfmem.messages.errors import InputError


class Subsets:
    """The subsets of trials.

    Attributes:
      trials: number of trials.
      packed: uint64 `[num_train, words]`, packed along trials.
      num_in: int64 `[num_train]`, trials with the example in the subset.
    """

    def __init__(self, masks: np.ndarray) -> None:
        """Packs subsets, as `check_masks` returns them."""
        self.trials = len(masks)
        self.packed = packed(masks)
        self.num_in = ones(self.packed)


def check_masks(masks: Any) -> np.ndarray:
    """Checks subsets, and returns them as bool `[trials, num_train]`.

    Args:
      masks: `[trials, num_train]` of False and True or 0 and 1: whether a trial's model was trained
        on an example. Trials whose model was trained on all examples, or on none, are allowed.

    Raises:
      InputError: if these are no such array, or fewer than two trials.
    """
    found = _array(masks, "masks", "[trials, num_train]")
    if len(found) < 2:
        raise InputError(f"masks: expected at least 2 trials, received {len(found)}")
    if not found.shape[1]:
        raise InputError("masks: expected at least one training example, received none")
    return _as_bits(found, "masks")


class Outcomes:
    """How models do on some examples: which they are right on, or scores.

    Attributes:
      measure: what means are taken of.
      count: number of examples.
    """

    def __init__(self, values: np.ndarray) -> None:
        """Takes over checked values.

        Args:
          values: bool `[trials, examples]`, correctness, or float32 scores.
        """
        self.count = values.shape[1]
        self._bits = self._scale = None
        if values.dtype == bool:
            self.measure = CORRECTNESS
            self._bits = packed(values)
            return
        self.measure = Measure("score", "score")
        found = range_of(values)
        if (found.least < 0).any() or (found.greatest > 1).any():
            self._scale = scale_of(found)
        self._fixed = fixed_point(values, self._scale or UNSCALED)

    @property
    def scored(self) -> bool:
        """Whether values are scores, rather than right or wrong."""
        return self._bits is None

    def of_training(self, subsets: Subsets, index: np.ndarray) -> TrainCounts:
        """Sums over trials for training examples.

        Args:
          subsets: those of the trials.
          index: int64 `[train]`, which examples.
        """
        labels, masks = np.zeros_like(index), subsets.packed[index]
        if self._bits is not None:
            return count_train(subsets.trials, index, labels, masks, self._bits[index])
        sums = TrainSums(len(index))
        sums.add(unpacked(masks, np.arange(subsets.trials)), fractions(self._fixed[:, index]))
        scale = self._scale and self._scale.take(index)
        return sums.counts(subsets.trials, index, labels, scale, self.measure)

    def of_pairs(
        self, subsets: Subsets, label: int, train: np.ndarray, test: np.ndarray
    ) -> ClassCounts:
        """Sums over trials for all pairs of some training examples and some of these examples.

        What models do on training examples themselves is not known then, and 0.

        Args:
          subsets: those of the trials.
          label: class of the examples.
          train: int64 `[train]`, which training examples.
          test: int64 `[test]`, which of these examples.
        """
        masks, trials, none = subsets.packed[train], subsets.trials, np.zeros_like(train)
        num_in, labels = subsets.num_in[train], np.full_like(train, label)
        known = TrainCounts(trials, train, labels, num_in, none, none, measure=self.measure)
        if self._bits is not None:
            bits = self._bits[test]
            return ClassCounts(label, known, test, ones(bits), co_occurrence(masks, bits))
        rows = unpacked(masks, np.arange(trials))
        z = fractions(self._fixed[:, test])
        uncertain = uncertainty(z)
        return ClassCounts(
            label,
            known,
            test,
            z.sum(axis=0),
            rows @ z,
            uncertain.sum(axis=0),
            rows @ uncertain,
            self._scale and self._scale.take(test),
        )


def check_outcomes(values: Any, masks: np.ndarray, name: str, examples: str) -> Outcomes:
    """Checks which examples models are right on, or their scores.

    Args:
      values: `[trials, examples]` of False and True or 0 and 1, or of finite floats: scores.
      masks: the subsets, as `check_masks` returns them.
      name: what errors call the array.
      examples: what errors call its examples: `num_train`, as many as masks have, or `num_test`.

    Raises:
      InputError: if this is no such array; a value that cannot be used is named by trial and
        example.
    """
    found = _array(values, name, f"[trials, {examples}]")
    trials, num_train = masks.shape
    count = num_train if examples == "num_train" else found.shape[1]
    if found.shape != (trials, count):
        turned = ": rows are trials" if found.shape[1] == trials != len(found) else ""
        raise InputError(
            f"{name}: expected [{trials}, {count if examples == 'num_train' else examples}] for "
            f"masks [{trials}, {num_train}], received {list(found.shape)}{turned}"
        )
    if found.dtype.kind != "f":
        return Outcomes(_as_bits(found, name, "0 or 1 (scores are floats)"))
    with np.errstate(over="ignore"):  # infinity is refused
        scores = found.astype(np.float32)
    _refuse(~np.isfinite(scores), found, name, "a finite number")
    return Outcomes(scores == 1 if bool(((found == 0) | (found == 1)).all()) else scores)


def packed(bits: np.ndarray) -> np.ndarray:
    """Packs bool `[trials, examples]` along trials: uint64 `[examples, words]`."""
    return transpose_bits(np.packbits(bits, axis=1, bitorder="little"), bits.shape[1])


def _array(values: Any, name: str, shape: str) -> np.ndarray:
    """The values as an array of numbers with two dimensions."""
    try:
        found = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    except ValueError:  # rows of different lengths
        raise InputError(f"{name}: expected an array {shape}, received {_kind(values)}") from None
    if found.ndim != 2 or found.dtype.kind not in "biuf":
        received = f"{found.dtype} {list(found.shape)}"
        raise InputError(f"{name}: expected numbers {shape}, received {received}")
    return found


def _kind(values: Any) -> str:
    return f"{type(values).__name__} whose rows differ in length"


def _as_bits(values: np.ndarray, name: str, expected: str = "0 or 1") -> np.ndarray:
    if values.dtype == bool:
        return values
    bits = values == 1
    _refuse(~bits & (values != 0), values, name, expected)
    return bits


def _refuse(wrong: np.ndarray, values: np.ndarray, name: str, expected: str) -> None:
    """Raises an error that names the first value that is wrong, if one is."""
    if wrong.any():
        trial, example = divmod(int(wrong.argmax()), values.shape[1])
        raise InputError(
            f"{name}: trial {trial}, example {example}: expected {expected}, received "
            f"{values[trial, example]}"
        )
