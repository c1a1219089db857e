"""The interactive page of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tfmem.config import PythonSettings
from tfmem.config.models import ModelSettings
from tfmem.datasets import has_classes
from tfmem.estimation.units import SHARES
from tfmem.experiments.run import Run
from tfmem.messages.errors import InputError
from tfmem.pages.explorer import ERRORS, EXAMPLES, STRONGEST, Explorer, explore
from tfmem.pages.html import template
from tfmem.pages.looks import Looks, SheetStyle
from tfmem.pages.sections import Section, experiment_sections, run_sections
from tfmem.selection.settling import describe_selection

_MEMORIZED_ROWS = 60
_PAIR_ROWS = 200


def render(
    run: Run,
    figures: Path,
    experiments: Mapping[str, Path] | None = None,
    limit: int = EXAMPLES,
    attributions: pd.DataFrame | None = None,
) -> str:
    """Renders the page of a run as one file.

    Args:
      run: the run, with estimates, pairs, trials, labels and data.
      figures: folder with the PNG files of its figures.
      experiments: folders of the experiments that were begun, by name; their figures are shown.
      limit: most training examples, and most test examples, on the page; see `explore`.
      attributions: attributions of texts to words, as `tfmem.pages.texts.texts` takes them.

    Returns:
      HTML that needs no other file. It shows its tables without JavaScript, too.
    """
    page = _contents(run, figures, experiments or {}, limit, attributions)
    return page.render(page.looks.sheets(), inline=True)


def write_folder(
    run: Run,
    figures: Path,
    experiments: Mapping[str, Path],
    limit: int,
    out: Path,
    attributions: pd.DataFrame | None = None,
) -> None:
    """Writes the page of a run as `index.html`, with its data and pictures beside it.

    The page can be opened from a disk, and loads pictures only when a reader looks at them.

    Args:
      run: as for `render`.
      figures: as for `render`.
      experiments: as for `render`.
      limit: as for `render`.
      out: the folder that receives the files.
      attributions: as for `render`.

    Raises:
      InputError: if a file cannot be written.
    """
    page = _contents(run, figures, experiments, limit, attributions)
    try:
        out.mkdir(parents=True, exist_ok=True)
        pictures = page.looks.pictures
        sources = {split: known.save(out, split) for split, known in pictures.items()}
        data = json.dumps(page.data(), separators=(",", ":"))
        (out / "data.js").write_text(f"const DATA = {data};\n", encoding="utf-8")
        rendered = page.render(page.looks.sheets(sources), inline=False)
        (out / "index.html").write_text(rendered, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None


@dataclass(frozen=True)
class _Contents:
    """The contents of the page of a run, whether the page is one file or a folder."""

    run: Run
    figures: list[Section]
    experiments: list[Section]
    explorer: Explorer
    looks: Looks

    def data(self) -> dict[str, Any]:
        """Returns the data for the page's script, as values that JSON can hold."""
        run = self.run
        return {
            **self.explorer.data(run.dataset.class_names, run.units),
            **self.looks.data(),
            "size": {
                "train": len(run.dataset.train_labels), "test": len(run.dataset.test_labels)
            },
            "units": {
                "name": run.units.name, "bounded": run.units.bounded, "error": run.units.error
            },
            "hasClasses": has_classes(run.dataset),
            "memorized": run.least_memorization,
            "least": self.explorer.least,
            "errors": ERRORS,
            "strongest": STRONGEST,
        }  # fmt: skip

    def render(self, sheets: list[SheetStyle], inline: bool) -> str:
        """Renders the page; `inline` says whether its data are in it or in a file beside it."""
        run = self.run
        memorized = self.explorer.train.sort_values(
            "memorization", ascending=False, kind="stable"
        ).head(_MEMORIZED_ROWS)
        pairs = run.pairs.head(_PAIR_ROWS)
        return template("report.html.j2").render(
            run=run,
            data=run.dataset,
            summary=_summary(run),
            settings=run.config.to_yaml(),
            classes=_classes(run) if has_classes(run.dataset) else [],
            units=run.units,
            threshold=run.least_memorization,
            models=_models(run.config.model),
            figures=self.figures,
            experiments=self.experiments,
            memorized=list(memorized.itertuples()),
            pairs=list(pairs.itertuples()),
            across=bool((pairs["label"] != pairs["test_label"]).any()),
            statistics=run.pair_statistics,
            selection=describe_selection(run.rule, run.selection).splitlines(),
            said=self.explorer.said,
            listed=len(self.explorer.train),
            looks=self.looks,
            sheets=sheets,
            anchored={("train", index) for index in memorized.index},  # links without JavaScript
            explorer=self.data() if inline else None,
            rule={"least": self.explorer.least, "errors": ERRORS, "strongest": STRONGEST},
        )


def _contents(
    run: Run,
    figures: Path,
    experiments: Mapping[str, Path],
    limit: int,
    attributions: pd.DataFrame | None,
) -> _Contents:
    explorer = explore(run, limit, () if attributions is None else attributions.index.tolist())
    index = {"train": explorer.train.index.tolist(), "test": explorer.test.index.tolist()}
    return _Contents(
        run,
        run_sections(run, figures),
        experiment_sections(experiments, run.config.selection, attributions),
        explorer,
        Looks(run.dataset, index, attributions),
    )


def _models(model: ModelSettings) -> tuple[str, str]:
    """What the models of a run are called, and which they are."""
    if isinstance(model, PythonSettings):
        return "models", model.build
    return "networks", model.name


def _summary(run: Run) -> dict[str, Any]:
    trials = run.trials
    accuracy, score = trials.query("not diverged"), trials.attrs.get("score", "")
    kind = "score" if score else "accuracy"
    memorization = run.memorization["memorization"]
    estimated, models = int(run.memorization[["n_in", "n_out"]].iloc[0].sum()), run.measure.models
    there = len({int(trial) // models for trial in accuracy.index})
    if estimated != there:
        what = "trials" if models == 1 else "subsets"
        raise InputError(
            f"the estimates are of {estimated} {what}, but there are predictions of {there} that "
            "did not diverge: estimate again with `tfmem run`"
        )
    return {
        "trials": len(accuracy),
        "diverged": len(run.trials) - len(accuracy),
        "test": accuracy[f"test_{kind}"],
        "subset": accuracy[f"subset_{kind}"],
        "held_out": accuracy[f"held_out_{kind}"],
        "of_trials": run.units if score else SHARES,
        "kind": f"mean {run.units.name}" if score else "accuracy",
        "memorized": int(run.memorized.sum()),
        "median": float(memorization.median()),
        "highest": float(memorization.max()),
        "unknown": int(memorization.isna().sum()),
        "stderr": float(run.memorization["stderr"].median()),
    }


def _classes(run: Run) -> list[dict[str, Any]]:
    """Counts and averages, for each class: examples, memorization, held-out accuracy, pairs."""
    table = run.memorization
    pairs = run.pairs["label"].value_counts()
    return [
        {
            "name": run.labels.class_names[label],
            "examples": len(rows),
            "memorized": int(run.memorized[rows.index.to_numpy()].sum()),
            "mean": float(rows["memorization"].mean()),
            "held_out": float(rows[f"{run.units.kind}_out"].mean()),
            "pairs": int(pairs.get(label, 0)),
        }
        for label, rows in ((int(str(key)), part) for key, part in table.groupby("label"))
    ]
