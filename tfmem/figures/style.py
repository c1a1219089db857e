"""The style of all figures. Colours are Okabe and Ito's, which the colour-blind can tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfmem.messages.terminal import printable
from tfmem.store.files import complete_file

BLUE, ORANGE, VERMILION = "#0072B2", "#E69F00", "#D55E00"
GREEN, PURPLE, SKY = "#009E73", "#CC79A7", "#56B4E9"
GREY, PALE, FAINT = "#555555", "#8c8c8c", "#c8c8c8"
WIDE = (
    8.5  # inches, of figures with several plots: in a column of a page, letters are still legible
)


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure, sized in inches, whose layout cuts nothing off."""
    return Figure(figsize=(width, height), layout="constrained")


def literal(text: str, most: int = 40) -> str:
    """Escapes a user's text, so that titles, labels and legends show it unchanged.

    Matplotlib reads text between dollar signs as a formula, and leaves names that begin with an
    underscore out of legends. A line end would move the text around it.

    Args:
      text: a text such as the name of a class or of a run.
      most: most characters; a longer text ends in an ellipsis.
    """
    shown = printable(text.replace("\n", " ").replace("\t", " "))
    if len(shown) > most:
        shown = f"{shown[: most - 1]}…"
    return (" " if shown.startswith("_") else "") + shown.replace("$", r"\$")


def plain(axes: Axes) -> Axes:
    """Removes the lines at the top and right of a plot."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes a figure as PNG and PDF; equal figures give equal files."""
    options: dict[str, dict[str, Any]] = {
        "png": {"dpi": 300, "metadata": {"Software": None}},
        "pdf": {"metadata": {"CreationDate": None, "Producer": None}},
    }
    figure.draw_without_rendering()  # arrange the figure once, and not for each file
    figure.set_layout_engine("none")
    for kind, how in options.items():
        with complete_file(folder / f"{name}.{kind}") as file:
            figure.savefig(file, format=kind, **how)
