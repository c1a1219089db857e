"""The audit: estimates, predictions by models that never saw an example, and its findings."""

from __future__ import annotations

from collections.abc import Sequence

from tfmem.audit.opinion import asks
from tfmem.components.audit import AUDIT, AUDIT_ONE_MODEL
from tfmem.components.second_opinion import SECOND_OPINION
from tfmem.config import Config
from tfmem.pipelines.memorization import estimation, training
from tfmem.pipelines.runner import Step, configured
from tfmem.pipelines.self_influence import records, self_influence


def audit(config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """The steps that make the estimates of `experiments.estimator`, and audit them.

    If models are trained one at a time, there is no second opinion.
    """
    opinion = [configured(SECOND_OPINION, config)] if asks(config) else []
    if config.experiments.estimator == "self_influence":
        wired = {"memorization": records(config)}
        step = configured(AUDIT_ONE_MODEL, config, wired=wired)
        return [*self_influence(config), *opinion, step]
    return [
        *training(config),
        *estimation(config, beam_args),
        *opinion,
        configured(AUDIT, config),
    ]
