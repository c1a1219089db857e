"""A self-contained HTML page from a run's outputs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from tfmem.datasets.pictures import Pictures
from tfmem.errors import InputError
from tfmem.experiments.outcome import FINDINGS_NAME, load_outcome
from tfmem.run import Run
from tfmem.selection import describe

_MEMORIZED_ROWS = 60
_PAIR_ROWS = 200
_INFLUENCED = 4
_FIGURES = (
    (
        "memorization_histogram",
        "How much of the training set is memorized",
        "Memorization of an example: how much more often models that were trained on it get it "
        "right than models that were not.",
    ),
    (
        "memorization_gallery",
        "What memorized examples look like",
        "Training examples of the classes with most memorized examples, nearest to memorization "
        "0, 0.5 and 1; a place stays empty where none is within 0.15.",
    ),
    (
        "influence_histogram",
        "Influence of the selected pairs",
        "Influence of a training on a test example: how much more often models that were trained "
        "on the first get the second right.",
    ),
    (
        "pair_gallery",
        "Memorized examples and whom they influence",
        "Left a memorized training example with its memorization, right up to four test examples "
        "that it influences most. The rows are spread evenly over the selected pairs "
        "sorted by influence, each training example once.",
    ),
)

_EXPERIMENTS = {
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


def render(run: Run, figures: Path, experiments: Mapping[str, Path] | None = None) -> str:
    """Renders the page of a run.

    Args:
      run: its estimates, pairs, trials, labels and data.
      figures: folder with the PNG files of its figures.
      experiments: folders of those that were begun, by name; their figures are shown.

    Returns:
      HTML that needs nothing beside itself; every example in a table links to its image.
    """
    memorized = run.memorization.sort_values("memorization", ascending=False, kind="stable")
    memorized = memorized.dropna(subset="memorization").head(_MEMORIZED_ROWS)
    pairs = run.pairs.head(_PAIR_ROWS)
    train = sorted({*memorized.index.tolist(), *pairs["train_index"].tolist()})
    influenced = {index: _influenced(run, index) for index in train}
    shown_tests = {test for tests in influenced.values() for test, _ in tests}
    tests = sorted(shown_tests | set(pairs["test_index"].tolist()))
    data = run.dataset
    images = {
        **{f"train-{i}": _picture(Pictures(data, "train")[i]) for i in train},
        **{f"test-{i}": _picture(Pictures(data, "test")[i]) for i in tests},
    }
    influencers = run.pairs.groupby("test_index")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfmem"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        run=run,
        data=data,
        summary=_summary(run),
        settings=run.config.to_yaml(),
        classes=_classes(run),
        figures=[
            (name, title, text, _data_uri((figures / f"{name}.png").read_bytes()))
            for name, title, text in _FIGURES
        ],
        experiments=[
            shown for name, folder in (experiments or {}).items() for shown in _shown(name, folder)
        ],
        memorized=list(memorized.itertuples()),
        pairs=list(pairs.itertuples()),
        statistics=run.pair_statistics,
        selection=describe(run.config.selection, run.selection).splitlines(),
        examples=run.memorization.loc[train],
        influenced=influenced,
        tests=[(i, influencers.groups.get(i, []), data.test_labels[i]) for i in tests],
        images=images,
    )


def _shown(name: str, folder: Path) -> Iterator[tuple[str, str, Sequence[str], str]]:
    """Name, title, sentences and figure of an experiment, if it has been conducted."""
    if name in _EXPERIMENTS:
        file, title, text = _EXPERIMENTS[name]
        if (folder / file).exists():
            yield name, title, [text], _data_uri((folder / file).read_bytes())
    elif (folder / FINDINGS_NAME).exists():
        outcome = load_outcome(folder)
        image = _data_uri((folder / "figure.png").read_bytes())
        yield name, outcome.question, outcome.findings, image


def _summary(run: Run) -> dict[str, Any]:
    accuracy = run.trials.query("not diverged")
    memorization = run.memorization["memorization"]
    estimated = int(run.memorization[["n_in", "n_out"]].iloc[0].sum())
    if estimated != len(accuracy):
        raise InputError(
            f"the estimates are of {estimated} trials, but there are predictions of "
            f"{len(accuracy)} that did not diverge: estimate again with `tfmem run`"
        )
    return {
        "trials": len(accuracy),
        "diverged": len(run.trials) - len(accuracy),
        "test": accuracy["test_accuracy"],
        "subset": accuracy["subset_accuracy"],
        "held_out": accuracy["held_out_accuracy"],
        "memorized": int((memorization >= run.config.selection.memorization).sum()),
        "unknown": int(memorization.isna().sum()),
        "stderr": float(run.memorization["stderr"].median()),
    }


def _classes(run: Run) -> list[dict[str, Any]]:
    """Per class: examples, share memorized, mean memorization, held-out accuracy, pairs."""
    table = run.memorization
    threshold = run.config.selection.memorization
    pairs = run.pairs["label"].value_counts()
    return [
        {
            "name": run.labels.class_names[label],
            "examples": len(rows),
            "memorized": int((rows["memorization"] >= threshold).sum()),
            "mean": float(rows["memorization"].mean()),
            "held_out": float(rows["accuracy_out"].mean()),
            "pairs": int(pairs.get(label, 0)),
        }
        for label, rows in ((int(str(key)), part) for key, part in table.groupby("label"))
    ]


def _influenced(run: Run, index: int) -> list[tuple[int, float]]:
    tests, influence = run.most_influenced(index, _INFLUENCED)
    return list(zip(tests.tolist(), influence.tolist(), strict=True))


def _picture(image: np.ndarray) -> str:
    """An image as a PNG data URI; one channel is shown as ink on paper, as in the figures."""
    pixels = np.round(image * 255).astype(np.uint8)
    pixels = 255 - pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return _data_uri(file.getvalue())


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
