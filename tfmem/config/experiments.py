"""Settings that experiments share; each experiment declares the settings of its own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from tfmem.config.base import Settings


class AuditSettings(Settings):
    """What an audit looks for.

    Attributes:
      held_out: a label is suspicious if models without the example predict it in at most this share
        of the trials, or, with the estimates of one model, if it has at most this probability.
      fdr: false discovery rate of the influences that tell useful from suspicious examples, if they
        are estimated from trials; their least size is `selection.influence`.
      folds: number of models of a cross-validation, which predict the classes of suspicious
        examples; 0 trains none. Their predictions are held in memory, 4 bytes for each model,
        example and class.
      similarity: similarity from which two examples count as near duplicates.
    """

    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.1
    fdr: Annotated[float, Field(gt=0, lt=1)] = 0.05
    folds: Annotated[int, Field(ge=0)] = 5
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.85

    @model_validator(mode="after")
    def _more_than_one_fold(self) -> AuditSettings:
        if self.folds == 1:
            raise ValueError("folds to be 0, or at least 2")
        return self


class ExperimentSettings(Settings):
    """The estimator that experiments start from, the audit, and one section for each experiment.

    Each experiment declares the settings in its section, in a room above this one. `from_yaml`
    validates these sections if it is told the experiments, and else keeps them as written.

    Attributes:
      estimator: the estimates from which the audit starts, and the experiments that need nothing
        but memorization: `subsampled` takes those of the run, `self_influence` those of one model,
        which needs no trials.
      audit: what an audit looks for.
    """

    model_config = ConfigDict(extra="allow")

    estimator: Literal["subsampled", "self_influence"] = "subsampled"
    audit: AuditSettings = AuditSettings()

    def section(self, name: str) -> Any:
        """The section of experiment `name`: a mapping or validated settings, empty if not set."""
        return (self.model_extra or {}).get(name, {})
