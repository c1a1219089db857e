"""Figures on a page, each with the question that it answers, a caption and an alternative text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from tfmem.config import SelectionSettings
from tfmem.datasets import has_classes
from tfmem.estimation.thresholds import at_least
from tfmem.estimation.units import SHARES, Units
from tfmem.experiments.outcome import FINDINGS_NAME, load_outcome
from tfmem.experiments.run import Run
from tfmem.figures.galleries import most_memorized_classes
from tfmem.pages.html import data_uri
from tfmem.store.results import read_pairs
from tfmem.store.spreadsheets import read_csv

_PIXELS = 112  # CSS pixels for an inch of a figure, so that its letters are as large as the page's
_UNKNOWN = 96.0  # assumed resolution of an image that does not state one, in pixels an inch


@dataclass(frozen=True)
class Section:
    """A figure on a page.

    Attributes:
      name: the anchor of the figure.
      title: the question that the figure answers, or what it shows.
      sentences: the caption.
      image: the contents of a PNG file.
      alt: the finding that the figure shows, for readers who cannot see it.
    """

    name: str
    title: str
    sentences: Sequence[str]
    image: bytes
    alt: str

    @property
    def source(self) -> str:
        """The image as an address."""
        return data_uri(self.image)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the page, in CSS pixels."""
        with Image.open(io.BytesIO(self.image)) as image:
            scale = _PIXELS / image.info.get("dpi", (_UNKNOWN,))[0]
            return round(image.width * scale), round(image.height * scale)


def run_sections(run: Run, figures: Path) -> list[Section]:
    """Makes the sections of the figures of a run's estimates.

    Args:
      run: the run from which the figures were drawn.
      figures: folder with their PNG files.
    """
    return [
        Section(
            "memorization_histogram",
            "How much of the training set is memorized",
            [
                f"Memorization of an example: {run.units.more} that were not. Bars are on a "
                "logarithmic scale."
            ],
            (figures / "memorization_histogram.png").read_bytes(),
            _how_much(run),
        ),
        Section(
            "memorization_gallery",
            "What memorized examples look like",
            [_levels(run)],
            (figures / "memorization_gallery.png").read_bytes(),
            _which_classes(run),
        ),
        Section(
            "influence_histogram",
            "Influence of the selected pairs",
            [_influence(run.units)],
            (figures / "influence_histogram.png").read_bytes(),
            _how_influential(run.pairs, run.units),
        ),
        Section(
            "pair_gallery",
            "Memorized examples and whom they influence",
            [
                "Each row shows on the left a memorized training example with its "
                f"{'class and ' if has_classes(run.dataset) else ''}memorization, and on the right "
                "up to four test examples, those that it influences most. The rows are spread "
                "evenly over the selected pairs sorted by influence; each training example occurs "
                "once."
            ],
            (figures / "pair_gallery.png").read_bytes(),
            _strongest(run.pairs, run.units),
        ),
    ]


def _levels(run: Run) -> str:
    levels, near = "0, 0.5 and 1", "0.15"
    if not run.units.bounded:
        levels, near = "0, to half of the highest and to the highest", "15% of the highest"
    classes = ", from the classes with the most memorized examples"
    return (
        f"Training examples whose memorization is nearest to {levels}"
        f"{classes if has_classes(run.dataset) else ''}. Values in grey are further than {near} "
        "away."
    )


def _influence(units: Units) -> str:
    if units.name == SHARES.name:
        return (
            "Influence of a training example on a test example: how much more often models that "
            "were trained on the first get the second right than models that were not."
        )
    return (
        f"Influence of a training example on a test example: how much higher the mean {units.name} "
        "of the second is in models that were trained on the first than in models that were not."
    )


def _how_much(run: Run) -> str:
    known = run.memorization["memorization"].dropna()
    threshold, shown = run.least_memorization, run.units.difference
    if threshold is None:
        return (
            f"Histogram of {len(known):,} training examples: memorization is from "
            f"{shown(known.min())} to {shown(known.max())}, half of them at most "
            f"{shown(known.median())}{run.units.of}."
        )
    memorized, low = int(at_least(known, threshold).sum()), int((known < 0.05).sum())
    return (
        f"Histogram: {memorized:,} of {len(known):,} training examples "
        f"({memorized / max(len(known), 1):.1%}) have a memorization of at least {threshold:g}"
        + (f"; {low:,} have less than 0.05." if run.units.bounded else ".")
    )


def _which_classes(run: Run) -> str:
    table, names = run.memorization, run.labels.class_names
    chosen = most_memorized_classes(table["label"].to_numpy(), table["memorization"].to_numpy())
    highest = table.groupby("label")["memorization"].max()
    three = run.units.difference
    if not has_classes(run.dataset):
        return f"Examples; the highest memorization is {three(highest.max())}{run.units.of}."
    said = (f"{names[label]} {three(highest.loc[label])}" for label in sorted(chosen[:6]))
    return f"Examples of each class; the highest memorization is {', '.join(said)}."


def _how_influential(pairs: pd.DataFrame, units: Units) -> str:
    if pairs.empty:
        return "No pair was selected."
    influence, three = pairs["influence"], units.difference
    return (
        f"Histogram: {len(pairs):,} selected pairs have influences from {three(influence.min())} "
        f"to {three(influence.max())}, half of them of at most {three(influence.median())}."
    )


def _strongest(pairs: pd.DataFrame, units: Units = SHARES) -> str:
    if pairs.empty:
        return "No pair was selected."
    first, three = pairs.iloc[int(pairs["influence"].abs().argmax())], units.difference
    return (
        f"The strongest pair: training example {first['train_index']:.0f}, of memorization "
        f"{three(first['memorization'])}, has influence {three(first['influence'])} on test "
        f"example {first['test_index']:.0f}."
    )


def experiment_sections(
    experiments: Mapping[str, Path],
    selection: SelectionSettings,
    attributions: pd.DataFrame | None = None,
) -> list[Section]:
    """Makes the sections of experiments; experiments without an outcome are left out.

    Args:
      experiments: the folders of the experiments by name.
      selection: thresholds at which the alternative text states the agreement of two runs.
      attributions: as `tfmem.pages.texts.texts` takes them, for the alternative text of their
        figure.
    """
    found = []
    for name, folder in experiments.items():
        if name in _WITHOUT_FINDINGS:
            file, title, text = _WITHOUT_FINDINGS[name]
            if (folder / file).exists():
                image = (folder / file).read_bytes()
                alt = _seen(name, folder, selection, attributions)
                found.append(Section(name, title, [text], image, alt or text))
        elif (folder / FINDINGS_NAME).exists():
            outcome = load_outcome(folder)
            image = (folder / "figure.png").read_bytes()
            alt = " ".join(outcome.findings)
            found.append(Section(name, outcome.question, outcome.findings, image, alt))
    return found


def _seen(
    name: str, folder: Path, selection: SelectionSettings, attributions: pd.DataFrame | None
) -> str | None:
    """States, from its numbers, what the figure of an experiment without findings shows."""
    table = folder / "consistency.csv"
    if name in ("consistency", "comparison") and table.exists():
        return _agreement(read_csv(table), selection)
    if name == "influence-pairs":
        return _strongest(read_pairs(folder))
    if name == "attribution" and attributions is not None and len(attributions):
        first = attributions.iloc[int(attributions["memorization"].argmax())]
        word = first["words"][first["scores"].argmax()]
        return f"In the most memorized text, the word “{word}” has the highest attribution."
    return None


def _agreement(table: pd.DataFrame, selection: SelectionSettings) -> str:
    said, unit = [], " SD" if "unit" in table else ""
    if unit and selection.unit == "score":  # its thresholds are in the unit of the score
        selection = SelectionSettings()
    for name, of_run in table.groupby("second_name", sort=False):
        for estimate in ("memorization", "influence"):
            threshold = getattr(selection, f"least_{estimate}")
            rows = of_run[of_run["estimate"] == estimate]
            if rows.empty:
                continue
            row = rows.iloc[int((rows["threshold"] - threshold).abs().argmin())]
            said.append(
                f"With {name}, at {estimate} {row['threshold']:g}{unit}: J = {row['jaccard']:.2f}, "
                f"D = {row['difference']:.3f}."
            )
    return " ".join(said)


_WITHOUT_FINDINGS = {
    "attribution": (
        "attributions.png",
        "Which of their words or patches are memorized?",
        "Examples of each class with the highest self-influence, and its attribution to their "
        "words or patches (Zheng & Jiang 2022, eq. 5). Orange parts raise the self-influence, "
        "purple parts lower it.",
    ),
    "influence-pairs": (
        "pair_gallery.png",
        "Which test examples do memorized examples influence, by one model?",
        "Each row shows on the left a training example with its memorization, and on the right up "
        "to four test examples, those that it influences most in one model. The rows are spread "
        "evenly over the selected pairs sorted by influence; each training example occurs once.",
    ),
    "consistency": (
        "consistency.png",
        "Would other trials find the same?",
        "The two halves of the trials are compared. On the left is J: of the examples (or pairs) "
        "that reach a threshold in either half, the share that reach it in both. On the right is "
        "D, the mean difference of their estimates. Intervals are 95% intervals. Errors of the "
        "whole run are smaller by a factor of 1.4.",
    ),
    "comparison": (
        "consistency.png",
        "Do other runs find the same?",
        "This run is compared with others. On the left is J: of the examples (or pairs) that reach "
        "a threshold in either run, the share that reach it in both. On the right is D, the mean "
        "difference of their estimates. Intervals are 95% intervals.",
    ),
}
