"""Experiments, by name, each after the run that it begins with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfmem.components.component import Component
from tfmem.components.estimators import ESTIMATORS
from tfmem.components.fraction import FRACTION
from tfmem.components.halves import HALVES
from tfmem.components.instances import INSTANCES
from tfmem.components.label_errors import LABEL_ERRORS
from tfmem.components.last_k_layers import LAST_K_LAYERS
from tfmem.components.last_layer import LAST_LAYER
from tfmem.components.leave_one_out import LEAVE_ONE_OUT
from tfmem.components.mem_infl import MEM_INFL
from tfmem.components.pair_utility import PAIR_UTILITY
from tfmem.components.proxies import PROXIES
from tfmem.components.random_labels import RANDOM_LABELS
from tfmem.components.reduction_rate import REDUCTION_RATE
from tfmem.components.removal import REMOVAL
from tfmem.components.report import EXPERIMENTS_ALONE, REPORT
from tfmem.components.seeds import SEEDS
from tfmem.components.typicality import TYPICALITY
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.experiments.needs import check_needs
from tfmem.pipelines.memorization import run
from tfmem.pipelines.removal import removal
from tfmem.pipelines.runner import Step
from tfmem.pipelines.self_influence import attribution, records, self_influence
from tfmem.store.artifacts import Artifact, Attributions, Figures, Memorization, SelfInfluence

EXPERIMENTS: dict[str, Component] = {
    component.name: component
    for component in (
        REMOVAL,
        PAIR_UTILITY,
        LEAVE_ONE_OUT,
        FRACTION,
        LABEL_ERRORS,
        RANDOM_LABELS,
        PROXIES,
        MEM_INFL,
        HALVES,
        LAST_LAYER,
        LAST_K_LAYERS,
        TYPICALITY,
        INSTANCES,
        SEEDS,
        ESTIMATORS,
        REDUCTION_RATE,
    )
}


def experiment(name: str, config: Config, out: Path, beam_args: Sequence[str] = ()) -> list[Step]:
    """What an experiment begins with, the experiment, and the page.

    Args:
      name: of the experiment.
      config: the settings.
      out: the folder of the run.
      beam_args: options of Beam.

    Raises:
      InputError: if settings or data lack what the experiment needs.
    """
    check_needs(name, config, lambda: load(config.dataset))
    step = step_of(name, config)
    if step.component is REMOVAL and not step.wired:
        return removal(config, beam_args)
    attributed = Attributions in step.component.inputs.values()
    alone = len(step.wired) + attributed == len(step.component.inputs)
    return [
        *([] if alone else run(config, beam_args)),
        *(self_influence(config) if step.wired else []),
        *(attribution(config) if attributed else []),
        step,
        page(config, not alone or (out / Figures.place).exists(), bool(step.wired)),
    ]


def step_of(name: str, config: Config) -> Step:
    """The step of an experiment, wired to self-influence where it is asked for.

    What needs nothing but memorization takes that of `experiments.estimator`.
    """
    component = EXPERIMENTS[name]
    replaced: type[Artifact] = SelfInfluence
    alone = set(component.inputs.values()) == {Memorization}
    if alone and config.experiments.estimator == "self_influence":
        replaced = Memorization
    wired = {each: records(config) for each, kind in component.inputs.items() if kind is replaced}
    return Step(component, {"config": config.model_dump_json()}, wired)


def page(config: Config, there: bool, one_model: bool = True) -> Step:
    """The page of a run, or of experiments alone where there is none.

    Args:
      config: the settings.
      there: whether there is a run.
      one_model: whether there is the self-influence of one model.
    """
    if there:
        return Step(REPORT, {})
    wired = {"memorization": records(config)} if one_model else {}
    return Step(EXPERIMENTS_ALONE, {"config": config.model_dump_json()}, wired)
