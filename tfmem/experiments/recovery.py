"""What models of the last layers find of what whole networks memorize."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfmem.config import Config
from tfmem.experiments.consistency import Comparison, Rule, consistency
from tfmem.messages.errors import InputError


def compared(config: Config, predictions: list[Path], out: Path, condition: bool) -> Comparison:
    """Two runs, or the halves of one, whose models may see other inputs; see `Rule.condition`."""
    rule = Rule(config.selection.memorization, config.selection.influence, condition)
    (comparison,) = consistency(predictions, out, rule, other_inputs=True)
    return comparison


def recovered(comparison: Comparison, config: Config) -> tuple[int, int]:
    """Examples that the first side memorizes, and how many of them the second does."""
    expected = comparison.first.memorized
    if not expected:
        raise InputError(
            "the run memorizes no example: expected some with memorization of at least "
            f"selection.memorization, {config.selection.memorization:g}"
        )
    return expected, int(at_threshold(comparison, config, "both", "memorization"))


def at_threshold(
    comparison: Comparison, config: Config, column: str, estimate: str = "influence"
) -> float:
    """A column of an agreement at the threshold of selection."""
    curve, threshold = getattr(comparison, estimate), getattr(config.selection, estimate)
    value: float = getattr(curve, column)[np.searchsorted(curve.threshold, threshold)].item()
    return value
