"""Measures whether attributed words carry the self-influence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfmem.components.component import Component, Parameters, Paths
from tfmem.components.experiment import ReductionRate, conclude
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.figures.reduction import reduction_figure
from tfmem.influence.attribution.records import read_attributions
from tfmem.messages.quiet import import_tensorflow
from tfmem.store.artifacts import Attributions, SelfInfluence

if TYPE_CHECKING:
    from tfmem.influence.attribution.integral import Splitter
    from tfmem.influence.solver import Solver


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Takes the model and the solver that the attributions are from."""
    config = Config.model_validate_json(parameters["config"])
    import_tensorflow()
    from tfmem.experiments.reduction import reduction
    from tfmem.experiments.self_influence import kept_splitter

    def ready() -> tuple[Solver, Splitter]:
        return kept_splitter(config, load(config.dataset), inputs["memorization"])

    scores = read_attributions(inputs["attributions"])["scores"]
    outcome = reduction(config, ready, scores, outputs["outcome"])
    conclude(outcome, reduction_figure, outputs["outcome"])


REDUCTION_RATE = Component(
    name="reduction-rate",
    inputs={"memorization": SelfInfluence, "attributions": Attributions},
    outputs={"outcome": ReductionRate},
    parameters={"config": str},
    Do=Do,
    resumable=True,
)
