"""How all figures look. Colours are Okabe and Ito's, told apart by every kind of colour vision."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, VERMILION = "#0072B2", "#E69F00", "#D55E00"
GREY, FAINT = "#555555", "#c8c8c8"


def new_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches, laid out so that nothing is cut off."""
    return Figure(figsize=(width, height), layout="constrained")


def plain(axes: Axes) -> Axes:
    """Removes the lines around a plot that carry nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes a figure as PNG and PDF; equal figures give equal files."""
    figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})
    figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None, "Producer": None})
