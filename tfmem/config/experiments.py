"""The section of experiments: what is no experiment's own, and a section of each as it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from tfmem.config.base import Settings


class AuditSettings(Settings):
    """What an audit looks for.

    Attributes:
      held_out: a label is suspicious if models without the example predict it at most so often; of
        one model, if it has at most this probability.
      fdr: false discovery rate of the influences that tell useful from suspicious examples, where
        they are from trials; their least size is `selection.influence`.
      folds: models of a cross-validation that say what they take suspicious examples for; 0: none.
        All of their answers are in memory, 4 bytes for each model, example and class.
      similarity: least similarity of near duplicates.
    """

    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.1
    fdr: Annotated[float, Field(gt=0, lt=1)] = 0.05
    folds: Annotated[int, Field(ge=0)] = 5
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.85

    @model_validator(mode="after")
    def _more_than_one_fold(self) -> AuditSettings:
        if self.folds == 1:
            raise ValueError("folds: 0, or at least 2")
        return self


class ExperimentSettings(Settings):
    """Whose memorization experiments begin with, the audit, and a section of each experiment.

    What a section of an experiment holds is declared with the experiment, above this room: such a
    section is kept as it was written until `from_yaml` is told what experiments there are.

    Attributes:
      estimator: whose memorization those begin with that need nothing else, and the audit:
        `subsampled` is the run's, `self_influence` that of one model, which needs no trials.
      audit: what an audit looks for.
    """

    model_config = ConfigDict(extra="allow")

    estimator: Literal["subsampled", "self_influence"] = "subsampled"
    audit: AuditSettings = AuditSettings()

    def section(self, name: str) -> Any:
        """The section of an experiment: a mapping, or its validated settings; empty if not set."""
        return (self.model_extra or {}).get(name, {})
