"""Figures on a page, with what they answer, what they show, and what is to be seen in them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from tfmem.config import SelectionSettings
from tfmem.estimation.thresholds import at_least
from tfmem.experiments.outcome import FINDINGS_NAME, load_outcome
from tfmem.experiments.run import Run
from tfmem.figures.galleries import most_memorized_classes
from tfmem.messages.numbers import three
from tfmem.pages.html import data_uri
from tfmem.store.results import read_pairs
from tfmem.store.spreadsheets import read_csv

_PIXELS = 112  # of the page, for an inch of a figure: its letters come out as large as the page's
_UNKNOWN = 96.0  # pixels an inch of an image that does not say


@dataclass(frozen=True)
class Section:
    """A figure on a page.

    Attributes:
      name: its anchor.
      title: what it answers.
      sentences: what stands below it.
      image: a PNG file.
      alt: what is to be seen in it, for those who do not see it.
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
    """The figures of a run's estimates.

    Args:
      run: what they were drawn of.
      figures: folder with their PNG files.
    """
    return [
        Section(
            "memorization_histogram",
            "How much of the training set is memorized",
            [
                "Memorization of an example: how much more often models that were trained on it "
                "get it right than models that were not. Bars are on a logarithmic scale."
            ],
            (figures / "memorization_histogram.png").read_bytes(),
            _how_much(run),
        ),
        Section(
            "memorization_gallery",
            "What memorized examples look like",
            [
                "Training examples of the classes with most memorized examples, nearest to "
                "memorization 0, 0.5 and 1; values in grey are further than 0.15 from it."
            ],
            (figures / "memorization_gallery.png").read_bytes(),
            _which_classes(run),
        ),
        Section(
            "influence_histogram",
            "Influence of the selected pairs",
            [
                "Influence of a training on a test example: how much more often models that were "
                "trained on the first get the second right."
            ],
            (figures / "influence_histogram.png").read_bytes(),
            _how_influential(run.pairs),
        ),
        Section(
            "pair_gallery",
            "Memorized examples and whom they influence",
            [
                "Left a memorized training example with its class and memorization, right up to "
                "four test examples that it influences most. The rows are spread evenly over the "
                "selected pairs sorted by influence, each training example once."
            ],
            (figures / "pair_gallery.png").read_bytes(),
            _strongest(run.pairs),
        ),
    ]


def _how_much(run: Run) -> str:
    known = run.memorization["memorization"].dropna()
    threshold = run.config.selection.memorization
    memorized, low = int(at_least(known, threshold).sum()), int((known < 0.05).sum())
    return (
        f"Histogram: {memorized:,} of {len(known):,} training examples "
        f"({memorized / max(len(known), 1):.1%}) have a memorization of at least {threshold:g}; "
        f"{low:,} have less than 0.05."
    )


def _which_classes(run: Run) -> str:
    table, names = run.memorization, run.labels.class_names
    chosen = most_memorized_classes(table["label"].to_numpy(), table["memorization"].to_numpy())
    highest = table.groupby("label")["memorization"].max()
    said = (f"{names[label]} {three(highest.loc[label])}" for label in sorted(chosen[:6]))
    return f"Examples of each class; the highest memorization is {', '.join(said)}."


def _how_influential(pairs: pd.DataFrame) -> str:
    if pairs.empty:
        return "No pair was selected."
    influence = pairs["influence"]
    return (
        f"Histogram: {len(pairs):,} selected pairs have influences from {three(influence.min())} "
        f"to {three(influence.max())}, half of them of at most {three(influence.median())}."
    )


def _strongest(pairs: pd.DataFrame) -> str:
    if pairs.empty:
        return "No pair was selected."
    first = pairs.iloc[int(pairs["influence"].abs().argmax())]
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
    """Findings and figures of experiments; experiments without findings are left out.

    Args:
      experiments: folders by name.
      selection: thresholds at which the agreement of two runs is said.
      attributions: as `tfmem.pages.texts.texts` takes them, for what is said of their figure.
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
    """What the figure of an experiment without findings shows, from its numbers."""
    table = folder / "consistency.csv"
    if name in ("consistency", "comparison") and table.exists():
        return _agreement(read_csv(table), selection)
    if name == "influence-pairs":
        return _strongest(read_pairs(folder))
    if name == "attribution" and attributions is not None and len(attributions):
        first = attributions.iloc[int(attributions["memorization"].argmax())]
        word = first["words"][first["scores"].argmax()]
        return f"Of the most memorized text, most of the memorization rests on “{word}”."
    return None


def _agreement(table: pd.DataFrame, selection: SelectionSettings) -> str:
    said = []
    for name, of_run in table.groupby("second_name", sort=False):
        for estimate in ("memorization", "influence"):
            threshold = getattr(selection, estimate)
            rows = of_run[of_run["estimate"] == estimate]
            if rows.empty:
                continue
            row = rows.iloc[int((rows["threshold"] - threshold).abs().argmin())]
            said.append(
                f"With {name}, at {estimate} {row['threshold']:g}: J = {row['jaccard']:.2f}, "
                f"D = {row['difference']:.3f}."
            )
    return " ".join(said)


_WITHOUT_FINDINGS = {
    "attribution": (
        "attributions.png",
        "What is it of them that is memorized?",
        "Most memorized examples of each class, by self-influence, and the parts of it that their "
        "words or patches have (Zheng & Jiang 2022, eq. 5): orange for, purple against.",
    ),
    "influence-pairs": (
        "pair_gallery.png",
        "Whom do memorized examples influence, by one model?",
        "Left a training example with its memorization, right up to four test examples that it "
        "influences most, by self-influence of one model. The rows are spread evenly over the "
        "selected pairs sorted by influence, each training example once.",
    ),
    "consistency": (
        "consistency.png",
        "Would other trials find the same?",
        "Two halves of the trials compared: left the share of the examples, or pairs, at or above "
        "a threshold in either half that are so in both (J), right the mean difference of their "
        "estimates (D), with 95% intervals. The whole run's errors are smaller by a factor 1.4.",
    ),
    "comparison": (
        "consistency.png",
        "Do other runs find the same?",
        "This run compared with others: left the share of the examples, or pairs, at or above a "
        "threshold in either run that are so in both (J), right the mean difference of their "
        "estimates (D), with 95% intervals.",
    ),
}
