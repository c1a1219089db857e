"""Trains the trials of a run."""

from __future__ import annotations

import math

from tfmem.components.component import Component, Parameters, Paths
from tfmem.config import Config
from tfmem.datasets.summary import load_and_tell
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.store.artifacts import Predictions, TrialTable
from tfmem.training import TrialSummary, train


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Trains the trials that the folder does not hold yet, and prints their accuracy."""
    config: Config = parameters["config"]
    summary = train(config, load_and_tell(config.dataset), outputs["predictions"].parent)
    say(describe(summary))
    if summary.elsewhere:
        raise InputError("other workers are still training; run this again when they are done")


def describe(summary: TrialSummary) -> str:
    """Describes in a few lines how training went."""
    lines = [f"{summary.trials} trials ({summary.trained} trained now)"]
    if not math.isnan(summary.accuracy):
        if summary.has_classes:
            shown = f"accuracy {summary.accuracy:.2%} ± {summary.accuracy_sd:.2%}"
        else:
            shown = f"score {summary.accuracy:.4g} ± {summary.accuracy_sd:.2g}"
        lines[0] += f", test {shown} (SD)"
    if summary.unlearned:
        lines.append(summary.unlearned)
    if summary.diverged:
        listed = ", ".join(map(str, summary.diverged[:10]))
        more = ", …" if len(summary.diverged) > 10 else ""
        lines.append(
            f"{len(summary.diverged)} diverged and will not be counted: {listed}{more} "
            "(see trials.csv)"
        )
    for worker, trials in sorted(summary.elsewhere.items()):
        lines.append(f"{trials} trials are left with worker {worker}")
    return "\n".join(lines)


TRAIN = Component(
    name="train",
    inputs={},
    outputs={"predictions": Predictions, "table": TrialTable},
    parameters={},
    sections=("seed", "dataset", "model", "task", "training"),
    Do=Do,
    resumable=True,
)
