"""Which texts are memorized: long ones, those of rare words, or those that occur several times?

Zhang et al. (2021) find that near duplicates hide counterfactual memorization: a model trained
without a text knows it by its copies. Canaries, which are texts of random words, show what an
estimate finds, because a model can only know them by heart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from tfmem.config import TokenSettings
from tfmem.config.base import Settings
from tfmem.datasets import TextDataset
from tfmem.datasets.duplicates import THRESHOLD, find_duplicates
from tfmem.encoders import sequences
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.declaration import Asked, Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.figures.style import BLUE, GREEN, ORANGE, PURPLE, VERMILION, WIDE, new_figure, plain
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Memorization


class TextsSettings(Settings):
    """How alike texts must be to count as near duplicates.

    Attributes:
      similarity: similarity from which two texts count as near duplicates: the share of their runs
        of five characters that both have.
    """

    similarity: Annotated[float, Field(gt=0, le=1)] = THRESHOLD


def _texts(asked: Asked[TextsSettings]) -> None:
    """Refuses examples that are no texts."""
    if not asked.config.dataset.of_texts:
        raise InputError(
            "experiment texts: expected texts (treebank, or dataset.text), received "
            f"dataset.name {asked.config.dataset.name}"
        )


def texts(given: Given[TextsSettings]) -> Outcome:
    """Compares the memorization of texts with their length, their tokens and their duplicates.

    Args:
      given: memorization, and the texts.

    Returns:
      One row for each training text: its `index`, `memorization`, `stderr`; `tokens`, the number of
      its tokens that are predicted; `frequency`, the geometric mean of how often each of them
      occurs in all training texts; `duplicates`, the number of other training texts in its group of
      near duplicates; `copies`, how often the text was planted, 0 if it was not.
    """
    dataset, run = given.dataset, given.run
    if not isinstance(dataset, TextDataset):
        raise InputError(f"experiment texts: expected texts, {dataset.name} has none")
    length, frequency = _tokens(dataset)
    known = run.memorization
    copies = dataset.train_copies
    table = pd.DataFrame(
        {
            "index": np.arange(len(known)),
            "memorization": known["memorization"].to_numpy(float),
            "stderr": known["stderr"].to_numpy(float),
            "tokens": length,
            "frequency": frequency,
            "duplicates": _duplicates(dataset, given.settings.similarity),
            "copies": np.zeros(len(known), np.int64) if copies is None else copies,
        }
    )
    said = [*_of_real_texts(table[table["copies"] == 0], run.units)]
    return Outcome((*said, *_of_canaries(table, dataset, run.units)), table)


def _tokens(dataset: TextDataset) -> tuple[np.ndarray, np.ndarray]:
    """Number and frequency of the tokens of each training text; words, if it is of no language."""
    known = replace(dataset, tokens=dataset.tokens or TokenSettings())
    targets = np.asarray(sequences(known).train_targets)
    counts, there = np.bincount(targets.ravel()), targets > 0
    logarithms = np.log(counts[targets], where=there, out=np.zeros(targets.shape)).sum(axis=1)
    length = there.sum(axis=1)
    return length, np.exp(logarithms / np.maximum(length, 1))


def _duplicates(dataset: TextDataset, similarity: float) -> np.ndarray:
    """The number of other training texts in the group of each, int64 `[num_train]`."""
    found = np.zeros(len(dataset.train_texts), np.int64)
    for members in find_duplicates(dataset, similarity).groups.values():
        found[members] = len(members) - 1
    return found


def _of_real_texts(table: pd.DataFrame, units: Any) -> Iterator[str]:
    """Sentences on the texts that were not planted."""
    memorization = table["memorization"].to_numpy(float)
    yield f"Mean memorization of {_mean(table, units)}."
    for name, what in (
        ("tokens", "the number of tokens of a text"),
        ("frequency", "the frequency of its tokens"),
    ):
        correlation = rank_correlation(memorization, table[name].to_numpy(float))
        yield f"Rank correlation of memorization with {what}: {correlation}."
    twins = table["duplicates"] > 0
    if twins.any():
        yield (
            f"Near duplicates: mean memorization of {_mean(table[twins], units)} that have one, "
            f"and of {_mean(table[~twins], units)} that have none."
        )


def _mean(table: pd.DataFrame, units: Any) -> str:
    """Number of texts, their mean memorization, and its standard error over texts."""
    values = table["memorization"].dropna()
    return f"{len(values):,} texts, {units.difference(values.mean())} ± {_error(values)}"


def _error(values: pd.Series) -> str:
    return f"{values.std(ddof=1) / np.sqrt(len(values)):.2g}" if len(values) > 1 else "unknown"


def _of_canaries(table: pd.DataFrame, dataset: TextDataset, units: Any) -> Iterator[str]:
    """Sentences on the texts that were planted, and on their place among all training texts."""
    planted = table[table["copies"] > 0]
    if planted.empty:
        return
    rank = table["memorization"].rank(ascending=False, method="max")
    for copies, every in planted.groupby("copies"):
        times = "once" if copies == 1 else f"{copies} times"
        rows = every.dropna(subset="memorization")
        if rows.empty:
            yield f"Canaries planted {times}: the memorization of none is known."
            continue
        of_text = dataset.train_texts[rows["index"].to_numpy(), 0].astype(object)
        each = rows.groupby(of_text)
        means, lowest = each["memorization"].mean(), int(rank[rows.index].max())
        yield (
            f"Canaries planted {times}: mean memorization of {len(means)} canaries, "
            f"{units.difference(means.mean())} ± {_error(means)}; the least memorized of these "
            f"examples is number {lowest:,} of {len(table):,}."
        )


_CANARIES = (ORANGE, VERMILION, PURPLE, GREEN)


def texts_figure(table: pd.DataFrame, given: Given[TextsSettings] | None) -> Figure:
    """Draws memorization against length, frequency and duplicates.

    Args:
      table: the table of `texts`.
      given: its inputs.
    """
    of = "" if given is None else given.run.units.below
    figure = new_figure(WIDE, 3.6)
    axes = [plain(each) for each in figure.subplots(1, 3, sharey=True)]
    columns = (
        ("tokens", "tokens"),
        ("frequency", "occurrences of a token\n(geometric mean)"),
        ("duplicates", "near duplicates"),
    )
    planted = table[table["copies"] > 0].groupby("copies")
    kinds: list[tuple[str, str, pd.DataFrame]] = [("texts", BLUE, table[table["copies"] == 0])]
    for color, (copies, rows) in zip(_CANARIES, planted, strict=False):
        times = "once" if copies == 1 else f"{copies} times"
        kinds.append((f"canaries planted {times}", color, rows))
    for each, (column, label) in zip(axes, columns, strict=True):
        for name, color, rows in kinds:
            _points(each, rows, column, color, f"{name} ({len(rows):,})")
        each.set_xlabel(label)
    axes[1].set_xscale("log")
    axes[2].locator_params(axis="x", integer=True)
    axes[0].set_ylabel(f"memorization{of}")
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside upper left",
                  ncols=2)  # fmt: skip
    return figure


def _points(axes: Axes, rows: pd.DataFrame, column: str, color: str, label: str) -> None:
    planted = color != BLUE
    axes.plot(
        rows[column], rows["memorization"], "D" if planted else ".", color=color,
        alpha=1 if planted else 0.5, markersize=4 if planted else 6, markeredgewidth=0,
        label=label, rasterized=len(rows) > 5000,
    )  # fmt: skip


EXPERIMENT = Experiment(
    name="texts",
    question="Which texts are memorized: long ones, rare ones, or repeated ones?",
    source="Zhang et al. (2021), Counterfactual Memorization in Neural Language Models",
    trains="nothing",
    reading=(
        "Each point is a text, and memorization is on all three axes the same. Left: by length. "
        "Middle: by how common its tokens are; rare ones are to the left. Right: by how many near "
        "duplicates it has, without which no single copy need be memorized. Canaries, texts that "
        "were planted, have colours of their own."
    ),
    settings=TextsSettings,
    needs=(Memorization,),
    sections=("dataset",),
    conduct=texts,
    draw=texts_figure,
    checks=(_texts,),
    example="sst2_language --out runs/language --set dataset.data_dir=sst2",
    results="language-models.md",
)
