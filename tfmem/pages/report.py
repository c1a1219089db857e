"""An interactive HTML page from a run's outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tfmem.datasets import TextDataset
from tfmem.datasets.pictures import Pictures
from tfmem.estimation.thresholds import at_least
from tfmem.experiments.outcome import FINDINGS_NAME, load_outcome
from tfmem.experiments.run import Run
from tfmem.messages.errors import InputError
from tfmem.pages.explorer import ERRORS, EXAMPLES, LEAST, STRONGEST, Explorer, explore
from tfmem.pages.html import data_uri, template
from tfmem.pages.sprites import Sprites, sprites
from tfmem.pages.texts import Texts, Word, texts
from tfmem.selection.settling import describe_selection

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
        "0, 0.5 and 1; values in grey are further than 0.15 from it.",
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


def render(
    run: Run,
    figures: Path,
    experiments: Mapping[str, Path] | None = None,
    limit: int = EXAMPLES,
    attributions: pd.DataFrame | None = None,
) -> str:
    """Renders the page of a run as one file.

    Args:
      run: its estimates, pairs, trials, labels and data.
      figures: folder with the PNG files of its figures.
      experiments: folders of those that were begun, by name; their figures are shown.
      limit: how many training, and test, examples are on it at most; see `explore`.
      attributions: which words of texts are memorized, as `tfmem.pages.texts.texts` takes them.

    Returns:
      HTML that needs nothing beside itself. Its tables are there without JavaScript.
    """
    explorer = explore(run, limit, () if attributions is None else attributions.index.tolist())
    shown = _shown(run, explorer, attributions)
    sources = {
        split: [data_uri(sheet.encoded, sheet.suffix) for sheet in sheets.sheets]
        for split, sheets in shown.pictures.items()
    }
    return _page(run, figures, experiments or {}, explorer, shown, sources, inline=True)


def write_folder(
    run: Run,
    figures: Path,
    experiments: Mapping[str, Path],
    limit: int,
    out: Path,
    attributions: pd.DataFrame | None = None,
) -> None:
    """Writes the page of a run as `index.html`, with its data and pictures beside it.

    It can be opened from a disk, and loads pictures when they are looked at.

    Args:
      run: as for `render`, likewise the others.
      figures: folder with the PNG files of its figures.
      experiments: folders of those that were begun, by name.
      limit: how many training, and test, examples are on it at most.
      out: receives the files.
      attributions: as for `render`.

    Raises:
      InputError: if it cannot be written.
    """
    explorer = explore(run, limit, () if attributions is None else attributions.index.tolist())
    shown = _shown(run, explorer, attributions)
    try:
        out.mkdir(parents=True, exist_ok=True)
        sources = {split: sheets.save(out, split) for split, sheets in shown.pictures.items()}
        data = json.dumps(_data(run, explorer, shown), separators=(",", ":"))
        (out / "data.js").write_text(f"const DATA = {data};\n", encoding="utf-8")
        page = _page(run, figures, experiments, explorer, shown, sources, inline=False)
        (out / "index.html").write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None


@dataclass(frozen=True)
class _Shown:
    """What examples look like, by split: pictures, or texts."""

    pictures: dict[str, Sprites]
    texts: dict[str, Texts]


def _shown(run: Run, explorer: Explorer, attributions: pd.DataFrame | None) -> _Shown:
    index = {"train": explorer.train.index.tolist(), "test": explorer.test.index.tolist()}
    data = run.dataset
    if isinstance(data, TextDataset):
        of_split = {"train": attributions, "test": None}
        return _Shown(
            {}, {split: texts(data, split, index[split], of_split[split]) for split in index}
        )
    return _Shown({split: sprites(Pictures(data, split), index[split]) for split in index}, {})


def _page(
    run: Run,
    figures: Path,
    experiments: Mapping[str, Path],
    explorer: Explorer,
    shown: _Shown,
    sources: Mapping[str, list[str]],
    inline: bool,
) -> str:
    memorized = explorer.train.sort_values("memorization", ascending=False, kind="stable")
    memorized = memorized.head(_MEMORIZED_ROWS)
    pairs = run.pairs.head(_PAIR_ROWS)
    tables = {"train": explorer.train, "test": explorer.test}

    def position(split: str, index: int) -> int:
        return int(tables[split].index.get_indexer(pd.Index([index]))[0])

    def place(split: str, index: int) -> tuple[int, str] | None:
        at = position(split, index)
        return shown.pictures[split].place(at) if at >= 0 and shown.pictures else None

    def text(split: str, index: int) -> tuple[str, ...]:
        return tuple(getattr(run.dataset, f"{split}_texts")[index]) if shown.texts else ()

    def words(split: str, index: int) -> list[list[Word]]:
        return shown.texts[split].words.get(position(split, index), [])

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
        experiments=sections(experiments),
        memorized=list(memorized.itertuples()),
        pairs=list(pairs.itertuples()),
        statistics=run.pair_statistics,
        selection=describe_selection(run.config.selection, run.selection).splitlines(),
        said=explorer.said,
        listed=len(explorer.train),
        pictures=shown.pictures,
        sources=sources,
        place=place,
        text=text,
        words=words,
        attributed=sum(len(each.words) for each in shown.texts.values()),
        anchored={("train", index) for index in memorized.index},  # links without JavaScript
        explorer=_data(run, explorer, shown) if inline else None,
        rule={"least": LEAST, "errors": ERRORS, "strongest": STRONGEST},
    )


def _data(run: Run, explorer: Explorer, shown: _Shown) -> dict[str, Any]:
    return {
        **explorer.data(run.dataset.class_names),
        "statistic": run.statistic,
        "strongest": STRONGEST,
        "sheets": {
            split: [[sheet.columns, sheet.rows] for sheet in known.sheets]
            for split, known in shown.pictures.items()
        },
        "texts": {split: known.data for split, known in shown.texts.items()},
    }


def sections(experiments: Mapping[str, Path]) -> list[tuple[str, str, Sequence[str], str]]:
    """Name, title, sentences and figure of each experiment that has been conducted."""
    found: list[tuple[str, str, Sequence[str], str]] = []
    for name, folder in experiments.items():
        if name in _EXPERIMENTS:
            file, title, text = _EXPERIMENTS[name]
            if (folder / file).exists():
                found.append((name, title, [text], data_uri((folder / file).read_bytes())))
        elif (folder / FINDINGS_NAME).exists():
            outcome = load_outcome(folder)
            image = data_uri((folder / "figure.png").read_bytes())
            found.append((name, outcome.question, outcome.findings, image))
    return found


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
        "memorized": int(at_least(memorization, run.config.selection.memorization).sum()),
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
            "memorized": int(at_least(rows["memorization"], threshold).sum()),
            "mean": float(rows["memorization"].mean()),
            "held_out": float(rows["accuracy_out"].mean()),
            "pairs": int(pairs.get(label, 0)),
        }
        for label, rows in ((int(str(key)), part) for key, part in table.groupby("label"))
    ]
