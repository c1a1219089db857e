"""Formats numbers in the same way for figures, pages and the terminal."""

from __future__ import annotations

from typing import Any

Number = float | Any  # rows of a pandas table do not know the types of their columns


def three(value: Number) -> str:
    """Formats memorization or influence with three decimals; 0 has no sign, NaN is `unknown`."""
    return "unknown" if value != value else f"{round(float(value), 3) + 0.0:.3f}"


def four(value: Number) -> str:
    """Formats a number of any size with four significant digits; NaN is `unknown`."""
    if value != value:
        return "unknown"
    value = float(value) + 0.0
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:.4g}"
