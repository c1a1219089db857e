"""How numbers are written, in figures, on pages and in the terminal alike."""

from __future__ import annotations

from typing import Any

Number = float | Any  # rows of a pandas table do not know the types of their columns


def three(value: Number) -> str:
    """A memorization or an influence with three decimals; zero has no sign, NaN is unknown."""
    return "unknown" if value != value else f"{round(float(value), 3) + 0.0:.3f}"
