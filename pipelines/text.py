"""The study of Zheng & Jiang (2022) on texts, joined to the subsampled estimator on the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tfmem.config import Config
from tfmem.datasets import load
from tfmem.experiments import declared
from tfmem.messages.errors import InputError
from tfmem.pipelines.experiments import page, step_of
from tfmem.pipelines.memorization import run
from tfmem.pipelines.runner import Step
from tfmem.pipelines.self_influence import attribution, influence_pairs, self_influence
from tfmem.store.artifacts import Figures


def study(config: Config, out: Path, trials: bool, beam_args: Sequence[str] = ()) -> list[Step]:
    """Estimates, the experiments on them, and the page.

    Args:
      config: the settings.
      out: the folder of the run.
      trials: whether the subsampled estimator is run, too.
      beam_args: options of Beam.

    Raises:
      InputError: if examples are no texts, an experiment lacks what it needs, or estimates are
        asked for that need trials.
    """
    if not config.dataset.of_texts:
        raise InputError(
            f"dataset.name: expected texts (treebank, or dataset.text), received "
            f"{config.dataset.name}"
        )
    if not trials and config.experiments.estimator == "subsampled":
        raise InputError(
            "--no-subsampled: expected experiments.estimator self_influence, received subsampled"
        )
    names = ["removal", "instances", "seeds", "reduction-rate"]
    if config.dataset.name == "treebank":
        names.append("typicality")  # elsewhere phrases have no labels
    if trials:
        names.append("estimators")
    data = cache(lambda: load(config.dataset))
    for name in names:
        declared()[name].check(config, data)
    return [
        *(run(config, beam_args) if trials else []),
        *self_influence(config),
        *attribution(config),
        *influence_pairs(_by_thresholds(config)),
        *(step_of(name, config) for name in names),
        page(config, there=trials or (out / Figures.place).exists()),
    ]


def _by_thresholds(config: Config) -> Config:
    """One model gives no p-values: pairs by its influences are not selected by them."""
    selection = config.selection.model_copy(update={"fdr": None})
    return config.model_copy(update={"selection": selection})
