"""Self-influence of a configuration's training examples: train on all, solve, write."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.config import Config
from tfmem.datasets import StreamedDataset, load
from tfmem.encoders import as_arrays
from tfmem.errors import InputError
from tfmem.quiet import import_tensorflow


def run_self_influence(
    config: Config,
    out: Path,
    solver: str,
    damping: float | None = None,
    curvature: str | None = None,
    layers: Sequence[str] = (),
    trial_id: int = 0,
    curvature_examples: int | None = None,
    sketch: int | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Trains one model on all training examples and writes their self-influence.

    Args:
      config: model and recipe.
      out: the folder; `self_influence/models` receives the weights, `self_influence/SOLVER` the
        records.
      solver: `fast`, `cg`, `exact` or `lissa`.
      damping: None is the solver's default.
      curvature: None is the solver's default.
      layers: names of layers; only their variables are moved. None is all that were trained.
      trial_id: the trial whose seeds the model has.
      curvature_examples: how many training examples, drawn at random, the curvature is taken over;
        None is all.
      sketch: numbers that `fast` sketches a gradient to; None is its default.

    Returns:
      The folder with the records, and what `self_influence.json` in it says.

    Raises:
      InputError: if the data are not in memory, there is no such layer, the solver does not go with
        the curvature, or it has converged for no example.
    """
    if solver == "fast" and curvature == "hessian":
        raise InputError("--solver fast: expected --curvature gauss_newton, received hessian")
    if solver != "fast" and sketch is not None:
        raise InputError(f"--sketch: expected --solver fast, received {solver}")
    dataset = as_arrays(config, load(config.dataset))
    if isinstance(dataset, StreamedDataset):
        raise InputError("dataset.image_size: self-influence needs a data set in memory")
    import_tensorflow()
    from tfmem.self_influence import SOLVERS, Objective, remove_scores
    from tfmem.self_influence.records import write_scores, write_summary
    from tfmem.training.progress import EpochProgress
    from tfmem.training.whole import train_on_all

    out.mkdir(parents=True, exist_ok=True)
    with EpochProgress(config.training.epochs) as progress:
        model, outcome = train_on_all(
            config, dataset, trial_id, out / "self_influence" / "models", progress
        )
    names = [layer.name for layer in model.layers if layer.trainable_variables]
    if unknown := [name for name in layers if name not in names]:
        raise InputError(f"--layer: expected some of {', '.join(names)}, received {unknown[0]!r}")
    variables = [v for name in layers for v in model.get_layer(name).trainable_variables]
    order = np.random.default_rng(config.seed).permutation(len(dataset.train_labels))
    objective = Objective(
        model,
        dataset.train_images.astype(np.float32) / dataset.white,
        dataset.train_labels,
        variables or None,
        config.training.weight_decay,
        None if curvature_examples is None else np.sort(order[:curvature_examples]),
    )
    options: dict[str, Any] = {"damping": damping, "size": sketch}
    if solver != "fast":
        options["curvature"] = curvature
    chosen = {name: value for name, value in options.items() if value is not None}
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the summary counts what has not converged
        ready = SOLVERS[solver](objective, **chosen)
        scores = remove_scores(ready)
    more = {
        "seconds": time.perf_counter() - start,
        "trial_id": trial_id,
        "layers": list(layers),
        "test_accuracy": float(outcome.test_correct.mean()),
    }
    folder = write_scores(scores, dataset.train_labels, out)
    return folder, write_summary(scores, ready, folder, more)
