"""Which examples are memorized most, and which least (Zheng & Jiang 2022, Tables 2 and 3)?"""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tfmem.config.base import Positive, Settings
from tfmem.datasets import TextDataset
from tfmem.datasets.pictures import Pictures
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import draw
from tfmem.figures.galleries import ends_gallery
from tfmem.figures.style import BLUE, FAINT, GREY, VERMILION, literal
from tfmem.messages.numbers import three
from tfmem.messages.terminal import printable
from tfmem.store.artifacts import Memorization


class InstancesSettings(Settings):
    """How many examples are shown as most and least memorized (Zheng & Jiang 2022, Tables 2, 3).

    Attributes:
      count: number of the most memorized, and of the least memorized, examples of each class.
    """

    count: Positive = 3


_SAID = 160  # letters of a text that the findings show


def instances(given: Given[InstancesSettings]) -> Outcome:
    """Finds the most and the least memorized examples of each class; ties are broken at random.

    Args:
      given: memorization; examples with NaN are left out.

    Returns:
      One row for each of these examples: `class`, `end` (`top` or `bottom`), `index`,
      `memorization`, and its sentences as `text`, which is empty if examples are no texts.
    """
    dataset, count = given.dataset, given.settings.count
    memorization = given.run.memorization["memorization"].to_numpy(float)
    texts = dataset.train_texts if isinstance(dataset, TextDataset) else None
    order = draw(given.config, len(memorization))
    known = order[~np.isnan(memorization[order])]
    ranked = known[np.argsort(-memorization[known], kind="stable")]
    rows = []
    for label, name in enumerate(dataset.class_names):
        of_class = ranked[dataset.train_labels[ranked] == label]
        for end, chosen in {"top": of_class[:count], "bottom": of_class[::-1][:count]}.items():
            for index in chosen:
                text = "" if texts is None else " / ".join(texts[index])
                rows.append((name, end, int(index), float(memorization[index]), text))
    table = pd.DataFrame(rows, columns=["class", "end", "index", "memorization", "text"])
    return Outcome(_findings(table), table)


def _findings(table: pd.DataFrame) -> tuple[str, ...]:
    """Sentences on the most and the least memorized example of each class."""
    said = []
    for name, rows in table.groupby("class", sort=False):
        for what, end in (("Most", "top"), ("Least", "bottom")):
            row = rows[rows["end"] == end].iloc[0]
            example = f"training example {row['index']}"
            text = textwrap.shorten(row["text"], _SAID, placeholder=" …") or example
            said.append(f"{what} memorized of class {name} ({three(row['memorization'])}): {text}")
    return tuple(said)


_COLUMNS, _LINES = 110, 4  # letters in a line, lines of a text
_LINE = 0.19  # inches
_ENDS = {"top": ("memorized most", VERMILION), "bottom": ("memorized least", BLUE)}


def instances_figure(table: pd.DataFrame, given: Given[InstancesSettings]) -> Figure:
    """Draws texts as a table, and images as a gallery."""
    if isinstance(given.dataset, TextDataset):
        return texts_figure(table)
    return ends_gallery(Pictures(given.dataset, "train"), table)


def texts_figure(table: pd.DataFrame) -> Figure:
    """Draws texts under the name of their class, with index and memorization.

    Args:
      table: the table of `instances`.
    """
    lines: list[tuple[float, str, str, str, bool]] = []  # place from the top, texts, color, heading
    at = 0.5
    for (name, end), rows in table.groupby(["class", "end"], sort=False):
        what, color = _ENDS[str(end)]
        lines.append((at, f"{literal(str(name))}, {what}", "", color, True))
        at += 1.4
        for row in rows.itertuples():
            parts = textwrap.wrap(printable(row.text), _COLUMNS, max_lines=_LINES, placeholder=" …")
            lines.append((at, three(row.memorization), "\n".join(parts), GREY, False))
            at += len(parts) + 0.4
        at += 0.6
    figure = Figure(figsize=(9.5, at * _LINE))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(at, 0))
    axes.set_axis_off()
    for place, first, text, color, heading in lines:
        if heading:
            axes.text(0.015, place, first, color=color, fontsize=10, va="top", weight="bold")
            axes.plot([0.015, 0.985], [place + 1.25] * 2, color=FAINT, linewidth=0.8)
        else:
            axes.text(
                0.09, place, first, color=color, fontsize=9, va="top", ha="right", linespacing=1.25
            )
            axes.text(0.11, place, text, fontsize=9, va="top", parse_math=False, linespacing=1.25)
    return figure


EXPERIMENT = Experiment(
    name="instances",
    question="Which examples are memorized most, and which least?",
    source="Zheng & Jiang (2022), Tables 2 and 3",
    trains="nothing",
    reading=(
        "Compare the two sides of a row: memorized examples are usually ones that a person would "
        "hesitate over, or wrong labels; examples with memorization 0 look like many others."
    ),
    settings=InstancesSettings,
    needs=(Memorization,),
    sections=("seed", "dataset"),
    conduct=instances,
    draw=instances_figure,
    results="findings.md#instances",
)
