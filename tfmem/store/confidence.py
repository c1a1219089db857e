"""How sure models are of the true labels, in the form that records hold: 16 bits for each example.

A margin is `log(p / (1 - p))`, where `p` is the probability of the true label. A float16 margin
distinguishes 1 - 1e-9 from 1 - 1e-10, while a float16 probability above 1 - 2.4e-4 is rounded to 1.
Records of earlier versions hold such probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tfmem.messages.errors import InputError

UNIT = 2.0**-32  # probabilities that follow from margins are multiples of this
_ONE = int(np.float16(1).view(np.uint16))
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Confidence:
    """Margins or probabilities of the true labels of some examples, in some trials.

    Attributes:
      values: float16 `[trials, count]`.
      are_margins: bool `[trials]`; where it is False, a trial's values are probabilities.
    """

    values: np.ndarray
    are_margins: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[Confidence]) -> Confidence:
        """Joins the trials of several parts, in order."""
        return cls(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.are_margins for part in parts]),
        )

    def examples(self, chosen: np.ndarray) -> Confidence:
        """Takes only the chosen examples."""
        return Confidence(self.values[:, chosen], self.are_margins)

    def trials(self, chosen: np.ndarray) -> Confidence:
        """Takes only the chosen trials."""
        return Confidence(self.values[chosen], self.are_margins[chosen])

    def probabilities(self) -> np.ndarray:
        """Computes the probabilities of the true labels, float64 `[trials, count]`.

        Probabilities from margins are rounded to multiples of 2^-32, and float16 probabilities are
        multiples of 2^-24, so sums over up to 2^21 trials are exact in any order.
        """
        if not self.are_margins.any():
            return self.values.astype(np.float64)
        if self.are_margins.all():
            return _of_margins()[self.values.view(np.uint16)]
        found = self.values.astype(np.float64)
        found[self.are_margins] = _of_margins()[self.values[self.are_margins].view(np.uint16)]
        return found

    def margins(self) -> np.ndarray:
        """Margins, float64 `[trials, count]`; all values must be margins."""
        return self.values.astype(np.float64)

    def log_probabilities(self) -> np.ndarray:
        """Logarithms of the probabilities, float64 `[trials, count]`; values must be margins."""
        return -np.logaddexp(0, -self.margins())


@cache
def _of_margins() -> np.ndarray:
    """Tabulates the probability for the bits of each float16 margin: float64 `[65536]`.

    The probability of a margin NaN is NaN.
    """
    margins = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-margins))
    rounded: np.ndarray = np.round(exact / UNIT) * UNIT
    return rounded


def to_bytes(margins: np.ndarray) -> bytes:
    """Encodes margins `[count]` as records hold them: float16, little-endian.

    Infinity becomes the largest float16, and NaN stays NaN.
    """
    return np.clip(margins, -_LARGEST, _LARGEST).astype("<f2").tobytes()


def from_bytes(values: bytes, are_margins: bool, where: str) -> Confidence:
    """Decodes the margins or probabilities of one trial.

    Args:
      values: float16, little-endian.
      are_margins: whether these are margins; otherwise they are probabilities.
      where: the record and the feature, for errors.

    Raises:
      InputError: if a margin is NaN, or a probability is not between 0 and 1.
    """
    bits = np.frombuffer(values, "<u2").astype(np.uint16, copy=False)
    found = bits.view(np.float16)
    if are_margins and np.isnan(found).any():
        raise InputError(f"{where}: expected margins, received nan")
    # As integers, the bits of floats >= 0 have the order of the floats.
    if not are_margins and bits.max(initial=0) > _ONE:
        wrong = found[np.argmax(bits > _ONE)]
        raise InputError(f"{where}: expected values from 0 to 1, received {wrong}")
    return Confidence(found[None], np.array([are_margins]))
