"""Compares what models of the last layers memorize with what whole networks memorize."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfmem.config import Config
from tfmem.experiments.consistency import Comparison, consistency, rule_of
from tfmem.messages.errors import InputError


def compared(config: Config, predictions: list[Path], out: Path, condition: bool) -> Comparison:
    """Compares two runs, whose models may see other inputs, or halves; see `Rule.condition`."""
    rule = rule_of(config.selection, predictions[0], condition)
    (comparison,) = consistency(predictions, out, rule, other_inputs=True)
    return comparison


def recovered(comparison: Comparison) -> tuple[int, int]:
    """Numbers of examples that the first side memorizes, and that both sides do."""
    expected = comparison.first.memorized
    if not expected:
        raise InputError(
            "the run memorizes no example: expected some with memorization of at least "
            f"selection.memorization, {comparison.rule.memorization:g}{comparison.unit}"
        )
    return expected, int(at_threshold(comparison, "both", "memorization"))


def at_threshold(comparison: Comparison, column: str, estimate: str = "influence") -> float:
    """The value of one column of an agreement at the threshold of selection."""
    curve, threshold = getattr(comparison, estimate), getattr(comparison.rule, estimate)
    value: float = getattr(curve, column)[np.searchsorted(curve.threshold, threshold)].item()
    return value
