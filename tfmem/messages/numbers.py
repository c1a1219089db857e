"""Formats numbers in the same way for figures, pages and the terminal."""

from __future__ import annotations

from typing import Any

Number = float | Any  # rows of a pandas table do not know the types of their columns


def three(value: Number) -> str:
    """Formats memorization or influence with three decimals; 0 has no sign, NaN is `unknown`."""
    return "unknown" if value != value else f"{round(float(value), 3) + 0.0:.3f}"
