"""Makes the component of each experiment from its declaration; its outputs are table and figure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tfmem import figures
from tfmem.components.component import Component, Parameters, Paths
from tfmem.experiments import declared
from tfmem.experiments.declaration import Experiment
from tfmem.messages.terminal import say
from tfmem.store.artifacts import Memorization, outcome_of
from tfmem.store.results import estimator_of

FIGURE_NAME = "figure"


def experiment(declaration: Experiment[Any]) -> Component:
    """The component of an experiment; an outcome stays until the next one is complete."""

    def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
        config, settings = parameters["config"], parameters[own_parameter(declaration)]
        given = declaration.given(config, settings, inputs, outputs["outcome"])
        outcome = declaration.conduct(given)
        if all(issubclass(kind, Memorization) for kind in declaration.needs):  # of any estimator
            by = estimator_of(inputs[Memorization.name])
            outcome = replace(outcome, findings=(*outcome.findings, by))
        figures.save(declaration.draw(outcome.table, given), given.folder, FIGURE_NAME)
        replace(outcome, question=declaration.question).save(given.folder)
        say("\n".join(outcome.findings))

    return Component(
        name=declaration.name,
        inputs={kind.name: kind for kind in declaration.needs},
        optional={name: outcome_of(name) for name in declaration.uses},
        outputs={"outcome": outcome_of(declaration.name)},
        parameters={own_parameter(declaration): declaration.settings},
        sections=declaration.sections,
        Do=Do,
        resumable=True,
        parts=(declaration.conduct, declaration.draw),
    )


def own_parameter(declaration: Experiment[Any]) -> str:
    """The name of the parameter that holds an experiment's own settings."""
    return f"experiments_{declaration.section}"


EXPERIMENTS = {name: experiment(each) for name, each in declared().items()}
