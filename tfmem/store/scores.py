"""Scores of examples in the form that records hold: a float32 for each example, and a name.

A score says how well a model does on one example, in any unit; a higher score is always better.
"""

from __future__ import annotations

import numpy as np

from tfmem.messages.errors import InputError

_LONGEST_NAME = 100


def scores_to_bytes(scores: np.ndarray) -> bytes:
    """Encodes scores `[count]` as records hold them: float32, little-endian."""
    with np.errstate(over="ignore"):  # infinity is refused when the record is written
        return np.asarray(scores).astype("<f4").tobytes()


def scores_from_bytes(values: bytes) -> np.ndarray:
    """Decodes the scores in a record, float32 `[count]`."""
    return np.frombuffer(values, "<f4").astype(np.float32, copy=False)


def check_finite(values: np.ndarray, where: str) -> None:
    """Refuses scores that are NaN or infinite.

    Args:
      values: floats `[count]`.
      where: the record, its trial and the feature, for errors.

    Raises:
      InputError: naming the first example whose score is NaN or infinite.
    """
    wrong = ~np.isfinite(values)
    if wrong.any():
        example = int(wrong.argmax())
        raise InputError(
            f"{where}: example {example}: expected a finite number, received {values[example]}"
        )


def check_name(name: bytes, where: str) -> str:
    """Returns the name of a score as text.

    Raises:
      InputError: if the name is empty, longer than 100 characters, or not printable.
    """
    text = name.decode(errors="replace")
    if not text or len(text) > _LONGEST_NAME or not text.isprintable() or "\ufffd" in text:
        raise InputError(
            f"{where}: expected the name of a score, 1 to {_LONGEST_NAME} printable characters, "
            f"received {text[:_LONGEST_NAME]!r}"
        )
    return text
