"""The steps of experiments, each after the run that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from tfmem.components.experiment import EXPERIMENTS, own_parameter
from tfmem.components.report import EXPERIMENTS_ALONE, REPORT
from tfmem.config import Config
from tfmem.datasets import AnyDataset, load
from tfmem.experiments import declared
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.pipelines.memorization import run
from tfmem.pipelines.runner import Step, configured
from tfmem.pipelines.self_influence import attribution, records, self_influence
from tfmem.store.artifacts import (
    Artifact,
    Attributions,
    Figures,
    Memorization,
    SelfInfluence,
    TrainedModel,
)


def experiment(name: str, config: Config, out: Path, beam_args: Sequence[str] = ()) -> list[Step]:
    """The steps that an experiment needs, the experiment, those that follow it, and the page.

    Args:
      name: name of the experiment.
      config: the settings.
      out: the folder of the run.
      beam_args: options of Beam.

    Raises:
      InputError: if settings or data lack what the experiment needs.
    """
    data = cache(lambda: load(config.dataset))
    declared()[name].check(config, data)
    step = step_of(name, config)
    attributed = Attributions in step.component.inputs.values()
    alone = {*step.inputs.values()} <= {TrainedModel, records(config), Attributions}
    return [
        *([] if alone else run(config, beam_args)),
        *(self_influence(config) if step.wired else []),
        *(attribution(config) if attributed else []),
        step,
        *([] if alone else _following(name, config, data)),
        page(config, not alone or (out / Figures.place).exists(), bool(step.wired)),
    ]


def _following(name: str, config: Config, data: Callable[[], AnyDataset]) -> list[Step]:
    """The steps of the experiments that follow, without those that cannot be conducted."""
    steps = []
    for each in declared()[name].followed_by:
        try:
            declared()[each].check(config, data)
            steps.append(step_of(each, config))
        except InputError as error:
            say(f"{each} does not follow: {error}")
    return steps


def experiments(names: Sequence[str], config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """The steps of a run, of several experiments with their inputs, and of one page.

    Args:
      names: names of the experiments; one that uses the outcomes of others comes after them.
      config: the settings.
      beam_args: options of Beam.

    Raises:
      InputError: if an experiment does not exist, or settings or data lack what it needs.
    """
    known, data = declared(), cache(lambda: load(config.dataset))
    for name in names:
        if name not in known:
            raise InputError(f"experiment {name}: expected one of {', '.join(known)}")
        known[name].check(config, data)
    steps = [
        step_of(name, config) for name in sorted(names, key=lambda name: bool(known[name].uses))
    ]
    needed = {kind for step in steps for kind in step.inputs.values()}
    of_one_model = records(config) in needed or Attributions in needed
    return [
        *run(config, beam_args),
        *(self_influence(config) if of_one_model else []),
        *(attribution(config) if Attributions in needed else []),
        *steps,
        page(config, there=True),
    ]


def step_of(name: str, config: Config) -> Step:
    """The step of an experiment.

    An experiment that needs only memorization takes it from `experiments.estimator`.
    """
    component = EXPERIMENTS[name]
    replaced: type[Artifact] = SelfInfluence
    alone = set(component.inputs.values()) == {Memorization}
    if alone and config.experiments.estimator == "self_influence":
        replaced = Memorization
    wired = {each: records(config) for each, kind in component.inputs.items() if kind is replaced}
    declaration = declared()[name]
    own = {own_parameter(declaration): declaration.settings_in(config)}
    return configured(component, config, own, wired)


def page(config: Config, there: bool, one_model: bool = True) -> Step:
    """The step that writes the page of a run, or of experiments alone if there is no run.

    Args:
      config: the settings.
      there: whether there is a run.
      one_model: whether the self-influence of one model exists.
    """
    if there:
        return Step(REPORT, {})
    wired = {"memorization": records(config)} if one_model else {}
    return configured(EXPERIMENTS_ALONE, config, wired=wired)
