"""Compares what models of the last layers memorize with what whole networks memorize."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfmem.config import Config
from tfmem.experiments.consistency import Comparison, Rule, consistency
from tfmem.messages.errors import InputError


def compared(config: Config, predictions: list[Path], out: Path, condition: bool) -> Comparison:
    """Compares two runs, whose models may see other inputs, or halves; see `Rule.condition`."""
    rule = Rule(config.selection.least_memorization, config.selection.least_influence, condition)
    (comparison,) = consistency(predictions, out, rule, other_inputs=True)
    return comparison


def recovered(comparison: Comparison, config: Config) -> tuple[int, int]:
    """Numbers of examples that the first side memorizes, and that both sides do."""
    expected = comparison.first.memorized
    if not expected:
        raise InputError(
            "the run memorizes no example: expected some with memorization of at least "
            f"selection.memorization, {config.selection.least_memorization:g}"
        )
    return expected, int(at_threshold(comparison, config, "both", "memorization"))


def at_threshold(
    comparison: Comparison, config: Config, column: str, estimate: str = "influence"
) -> float:
    """The value of one column of an agreement at the threshold of selection."""
    curve, threshold = getattr(comparison, estimate), getattr(config.selection, f"least_{estimate}")
    value: float = getattr(curve, column)[np.searchsorted(curve.threshold, threshold)].item()
    return value
