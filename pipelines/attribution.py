"""Attribution of memorization to words or patches, with the solver and the model that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfmem.attribution.records import FOLDER_NAME, most_memorized, write_attributions
from tfmem.config import Config
from tfmem.datasets import AnyDataset, StreamedDataset, load
from tfmem.encoders import as_arrays
from tfmem.errors import InputError
from tfmem.quiet import import_tensorflow
from tfmem.run import read_memorization

if TYPE_CHECKING:
    from tfmem.attribution.integral import Attribution
    from tfmem.self_influence.solver import Solver


def run_attribution(
    config: Config,
    out: Path,
    solver: str,
    examples: Sequence[int] | None = None,
    share: float = 0.1,
    steps: int = 50,
    patch: int = 2,
) -> Path:
    """Writes attributions of training examples, after `run_self_influence`.

    Args:
      config: model and recipe.
      out: the folder that it was given.
      solver: likewise.
      examples: which; None takes the most memorized.
      share: how many of these, as a share of the training set.
      steps: of the integral.
      patch: pixels of the side of a patch, for images.

    Returns:
      The folder with the records.

    Raises:
      InputError: if there is no self-influence yet, there is no such example, or examples are
        neither texts nor images.
    """
    kept = out / "self_influence" / solver
    memorization = read_memorization(kept)["memorization"]
    if examples is None:
        chosen = most_memorized(memorization, share)
    else:
        chosen = np.array(examples, np.int64)
        if unknown := [index for index in examples if index not in memorization.index]:
            raise InputError(
                f"--examples: expected numbers from 0 to {len(memorization) - 1}, received "
                f"{unknown[0]}"
            )
    dataset = load(config.dataset)
    settings = {
        "config": config.digest().hex(),
        "data": dataset.fingerprint.hex(),
        "solver": json.loads((kept / "self_influence.json").read_text(encoding="utf-8")),
        "steps": steps,
        "rule": "midpoint",
    }
    if not hasattr(dataset, "train_texts"):
        settings |= {"patch": patch, "baseline": "black"}

    def attribute(rows: np.ndarray) -> Iterator[Attribution]:
        import_tensorflow()
        from tfmem.attribution import attributions, splitter

        ready = _solver(config, dataset, out, solver)
        return attributions(ready, splitter(config, dataset, ready.objective, patch), rows, steps)

    from tfmem.training.progress import ExampleProgress

    with ExampleProgress(len(chosen)) as progress:
        write_attributions(attribute, chosen, settings, kept / FOLDER_NAME, progress.advance)
    return kept / FOLDER_NAME


def _solver(config: Config, dataset: AnyDataset, out: Path, name: str) -> Solver:
    """The one that the kept self-influences are from, at the kept model."""
    from tfmem.self_influence import SOLVERS, Objective
    from tfmem.training.outcome import Unwatched
    from tfmem.training.whole import train_on_all

    arrays = as_arrays(config, dataset)
    if isinstance(arrays, StreamedDataset):
        raise InputError("dataset.image_size: attribution needs a data set in memory")
    summary = out / "self_influence" / name / "self_influence.json"
    kept = json.loads(summary.read_text(encoding="utf-8"))
    models = out / "self_influence" / "models"
    model, _ = train_on_all(config, arrays, kept["trial_id"], models, Unwatched())
    objective = Objective(
        model,
        arrays.train_images.astype(np.float32) / arrays.white,
        arrays.train_labels,
        [v for layer in kept["layers"] for v in model.get_layer(layer).trainable_variables] or None,
        config.training.weight_decay,
    )
    options = {"damping": kept["damping"]}
    if name != "fast":
        options["curvature"] = kept["curvature"].partition(",")[0]
    return SOLVERS[name](objective, **options)
