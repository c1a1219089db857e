"""An interactive HTML page from a run's outputs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from tfmem.datasets.pictures import Pictures
from tfmem.errors import InputError
from tfmem.experiments.outcome import FINDINGS_NAME, load_outcome
from tfmem.explorer import ERRORS, EXAMPLES, LEAST, STRONGEST, Explorer, explore
from tfmem.run import Run
from tfmem.selection import describe
from tfmem.sprites import Sprites, sprites

_MEMORIZED_ROWS = 60
_PAIR_ROWS = 200
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


def render(
    run: Run,
    figures: Path,
    experiments: Mapping[str, Path] | None = None,
    limit: int = EXAMPLES,
) -> str:
    """Renders the page of a run as one file.

    Args:
      run: its estimates, pairs, trials, labels and data.
      figures: folder with the PNG files of its figures.
      experiments: folders of those that were begun, by name; their figures are shown.
      limit: how many training, and test, examples are on it at most; see `explore`.

    Returns:
      HTML that needs nothing beside itself. Its tables are there without JavaScript.
    """
    explorer = explore(run, limit)
    pictures = _pictures(run, explorer)
    sources = {
        split: [data_uri(sheet.encoded, sheet.suffix) for sheet in sheets.sheets]
        for split, sheets in pictures.items()
    }
    return _page(run, figures, experiments or {}, explorer, pictures, sources, inline=True)


def write_folder(
    run: Run, figures: Path, experiments: Mapping[str, Path], limit: int, out: Path
) -> None:
    """Writes the page of a run as `index.html`, with its data and pictures beside it.

    It can be opened from a disk, and loads pictures when they are looked at.

    Args:
      run: as for `render`, likewise the others.
      figures: folder with the PNG files of its figures.
      experiments: folders of those that were begun, by name.
      limit: how many training, and test, examples are on it at most.
      out: receives the files.

    Raises:
      InputError: if it cannot be written.
    """
    explorer = explore(run, limit)
    pictures = _pictures(run, explorer)
    try:
        out.mkdir(parents=True, exist_ok=True)
        sources = {split: sheets.save(out, split) for split, sheets in pictures.items()}
        data = json.dumps(_data(run, explorer, pictures), separators=(",", ":"))
        (out / "data.js").write_text(f"const DATA = {data};\n", encoding="utf-8")
        page = _page(run, figures, experiments, explorer, pictures, sources, inline=False)
        (out / "index.html").write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None


def _page(
    run: Run,
    figures: Path,
    experiments: Mapping[str, Path],
    explorer: Explorer,
    pictures: Mapping[str, Sprites],
    sources: Mapping[str, list[str]],
    inline: bool,
) -> str:
    memorized = explorer.train.sort_values("memorization", ascending=False, kind="stable")
    memorized = memorized.head(_MEMORIZED_ROWS)
    pairs = run.pairs.head(_PAIR_ROWS)
    tables = {"train": explorer.train, "test": explorer.test}

    def place(split: str, index: int) -> tuple[int, str] | None:
        position = tables[split].index.get_indexer(pd.Index([index]))[0]
        return pictures[split].place(position) if position >= 0 else None

    return template("report.html.j2").render(
        run=run,
        data=run.dataset,
        summary=_summary(run),
        settings=run.config.to_yaml(),
        classes=_classes(run),
        figures=[
            (name, title, text, data_uri((figures / f"{name}.png").read_bytes()))
            for name, title, text in _FIGURES
        ],
        experiments=[
            shown for name, folder in experiments.items() for shown in _shown(name, folder)
        ],
        memorized=list(memorized.itertuples()),
        pairs=list(pairs.itertuples()),
        statistics=run.pair_statistics,
        selection=describe(run.config.selection, run.selection).splitlines(),
        said=explorer.said,
        listed=len(explorer.train),
        pictures=pictures,
        sources=sources,
        place=place,
        anchored={("train", index) for index in memorized.index},  # links without JavaScript
        explorer=_data(run, explorer, pictures) if inline else None,
        rule={"least": LEAST, "errors": ERRORS, "strongest": STRONGEST},
    )


def _pictures(run: Run, explorer: Explorer) -> dict[str, Sprites]:
    return {
        split: sprites(Pictures(run.dataset, split), table.index.tolist())
        for split, table in (("train", explorer.train), ("test", explorer.test))
    }


def _data(run: Run, explorer: Explorer, pictures: Mapping[str, Sprites]) -> dict[str, Any]:
    return {
        **explorer.data(run.dataset.class_names),
        "statistic": run.statistic,
        "strongest": STRONGEST,
        "sheets": {
            split: [[sheet.columns, sheet.rows] for sheet in known.sheets]
            for split, known in pictures.items()
        },
    }


def _shown(name: str, folder: Path) -> Iterator[tuple[str, str, Sequence[str], str]]:
    """Name, title, sentences and figure of an experiment, if it has been conducted."""
    if name in _EXPERIMENTS:
        file, title, text = _EXPERIMENTS[name]
        if (folder / file).exists():
            yield name, title, [text], data_uri((folder / file).read_bytes())
    elif (folder / FINDINGS_NAME).exists():
        outcome = load_outcome(folder)
        image = data_uri((folder / "figure.png").read_bytes())
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


def template(name: str) -> jinja2.Template:
    """The template of a page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfmem"),
        autoescape=True,
        extensions=["jinja2.ext.do"],
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def data_uri(image: bytes, suffix: str = "png") -> str:
    """A picture as part of a page."""
    kind = {"png": "png", "jpg": "jpeg"}[suffix]
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
