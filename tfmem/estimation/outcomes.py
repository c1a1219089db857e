"""Subsets and outcomes of trials as a user holds them, checked and packed for counting."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmem.estimation.kernels import transpose_bits
from tfmem.messages.errors import InputError


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


def check_correct(correct: Any, masks: np.ndarray, name: str, examples: str) -> np.ndarray:
    """Checks which examples models are right on, and returns that as bool `[trials, examples]`.

    Args:
      correct: `[trials, examples]` of False and True or 0 and 1.
      masks: the subsets, as `check_masks` returns them.
      name: what errors call the array.
      examples: what errors call its examples: `num_train`, as many as masks have, or `num_test`.

    Raises:
      InputError: if this is no such array; values that are no numbers, or neither 0 nor 1, are
        named by trial and example.
    """
    found = _array(correct, name, f"[trials, {examples}]")
    trials, num_train = masks.shape
    expected = [trials, num_train if examples == "num_train" else found.shape[1]]
    if list(found.shape) != expected:
        turned = ": rows are trials" if found.shape[1] == trials != len(found) else ""
        raise InputError(
            f"{name}: expected [{trials}, {expected[1] if examples == 'num_train' else examples}] "
            f"for masks [{trials}, {num_train}], received {list(found.shape)}{turned}"
        )
    return _as_bits(found, name)


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


def _as_bits(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype == bool:
        return values
    bits = values == 1
    wrong = ~bits & (values != 0)
    if wrong.any():
        trial, example = divmod(int(wrong.argmax()), values.shape[1])
        raise InputError(
            f"{name}: trial {trial}, example {example}: expected 0 or 1, received "
            f"{values[trial, example]}"
        )
    return bits
