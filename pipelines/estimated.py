"""Estimates from predictions that are there: of trials that any program has trained."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tfmem.config import Config, Statistic, from_yaml
from tfmem.messages.errors import InputError
from tfmem.messages.quiet import own_process
from tfmem.messages.terminal import is_quiet, set_loudness
from tfmem.pipelines.memorization import estimation
from tfmem.pipelines.opened import Run, load_run
from tfmem.pipelines.runner import run_chain
from tfmem.store.shards import shards_in


def estimate(
    folder: str | os.PathLike[str],
    *,
    statistic: Statistic | None = None,
    memorization: float | None = None,
    influence: float | None = None,
    unit: Literal["score", "sd"] | None = None,
    fdr: float | None = None,
    top_k: int | None = None,
    pairs: Literal["same_class", "all"] | None = None,
    sign: Literal["positive", "negative", "both"] | None = None,
    beam_args: Sequence[str] = (),
) -> Run:
    """Estimates memorization and influence from a folder of predictions, and selects pairs.

        run = tfmem.estimate("runs/mine")
        run.memorization; run.pairs; run.report()

    Args:
      folder: the folder that a `tfmem.PredictionWriter` wrote to, or that of a run; receives the
        estimates. What is unchanged since the last call is not estimated again.
      statistic: of what means are taken: `correctness`, `probability`, `margin`, `loss`, or
        `score`. None is `score` if records hold one, and `correctness` otherwise.
      memorization: least memorization of the training example of a selected pair; None is 0.25 for
        correctness and probability, and no condition for other statistics.
      influence: least influence of a selected pair; None is 0.15 for correctness and probability;
        for other statistics, `fdr` is then 0.05.
      unit: the unit of both: that of the `score`, or `sd`, the standard deviation of the example's
        own score.
      fdr: false discovery rate of the selected pairs, in place of a least influence.
      top_k: number of pairs for each test example, in place of a least influence.
      pairs: whether pairs of one class are selected, or among all pairs.
      sign: sign of the influence of selected pairs.
      beam_args: options of Beam, such as `--direct_num_workers=2`.

    Returns:
      The run, as `tfmem.load_run` opens it. Settings of the selection that are not given are those
      of the last estimation in the folder.

    Raises:
      InputError: if the folder holds no predictions, or naming the file and record that cannot be
        used.
    """
    given = {
        "memorization": memorization, "influence": influence, "unit": unit, "fdr": fdr,
        "top_k": top_k, "pairs": pairs, "sign": sign,
    }  # fmt: skip
    selection = {name: value for name, value in given.items() if value is not None}
    own_process()  # Beam is imported as quietly as on the command line
    quiet = is_quiet()
    set_loudness(quiet=True, verbose=False)
    try:
        estimate_folder(Path(folder), selection, statistic, beam_args)
    finally:
        set_loudness(quiet=quiet, verbose=False)
    return load_run(folder)


def estimate_folder(
    folder: Path,
    selection: Mapping[str, Any],
    statistic: Statistic | None,
    beam_args: Sequence[str] = (),
) -> None:
    """Estimates from the predictions in a folder, and writes the estimates beside them.

    Args:
      folder: see `estimate`.
      selection: settings of the selection by name.
      statistic: see `estimate`.
      beam_args: options of Beam.

    Raises:
      InputError: see `estimate`.
    """
    run = load_run(folder)
    if not shards_in(run.predictions):
        raise InputError(
            f"{run.predictions}: expected predictions, found none: `tfmem train` or "
            "tfmem.PredictionWriter writes them"
        )
    run_chain(estimation(_changed(run.config, selection, statistic), beam_args), folder)


def _changed(config: Config, selection: Mapping[str, Any], statistic: Statistic | None) -> Config:
    """The settings with another selection, checked."""
    values = dict(selection)
    if selection.keys() & {"fdr", "top_k", "influence"}:  # one takes the place of the others
        values = {"fdr": None, "top_k": None} | values
    changed = [f"selection.{name}={json.dumps(value)}" for name, value in values.items()]
    if statistic is not None:
        changed.append(f"estimation.statistic={json.dumps(statistic)}")
    return from_yaml(config.to_yaml(), changed, "tfmem.estimate")
