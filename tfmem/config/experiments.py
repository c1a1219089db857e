"""Settings of experiments, which begin where a run ends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfmem.config.base import Positive, Settings, Threshold

Thresholds = Annotated[tuple[Threshold, ...], Field(strict=False, min_length=1)]
Shares = Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False)]


class RemovalSettings(Settings):
    """What is removed before training again (Feldman & Zhang 2020, Fig. 2).

    Attributes:
      thresholds: examples with at least so much memorization are removed.
      shares: in their place, so large a share of the training set is, the most memorized first
        (Zheng & Jiang 2022, Fig. 1).
      repeats: models trained on what each removal leaves.
    """

    thresholds: Thresholds = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    shares: Shares = ()
    repeats: Annotated[int, Field(ge=2)] = 20


class PairUtilitySettings(Settings):
    """With and without the training examples of the pairs (Feldman & Zhang 2020, App. C).

    Attributes:
      repeats: models trained on everything, without those examples, and without random ones; the
        paper has 100.
    """

    repeats: Annotated[int, Field(ge=2)] = 40


class LeaveOneOutSettings(Settings):
    """Training again without single examples.

    Attributes:
      examples: how many, spread over the range of memorization.
      repeats: models trained without each of them.
      repeats_with: models trained on everything, which all examples share.
    """

    examples: Annotated[int, Field(ge=4)] = 60
    repeats: Annotated[int, Field(ge=2)] = 40
    repeats_with: Annotated[int, Field(ge=2)] = 200


class FractionSettings(Settings):
    """Runs with other subset fractions.

    Attributes:
      fractions: those that are compared.
      trials: of each.
      planned_trials: for which numbers of trials the best fraction is asked for.
    """

    fractions: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False, min_length=2)
    ] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    trials: Annotated[int, Field(ge=20)] = 500
    planned_trials: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (
        100,
        500,
        2000,
        4000,
    )


class LabelErrorSettings(Settings):
    """How wrong labels are looked for.

    Attributes:
      noise: share of the labels that is replaced, if the run's own data have none that were.
      trials: models trained on those data; None is as many as the run has.
      folds: models of the cross-validation that is a baseline.
    """

    noise: Annotated[float, Field(gt=0, lt=1)] = 0.1
    trials: Annotated[int, Field(ge=2)] | None = None
    folds: Annotated[int, Field(ge=2)] = 5


class RandomLabelSettings(Settings):
    """Whose labels are replaced, and how many trials are run with them.

    Attributes:
      share: of the training set, the most memorized first; and as many at random.
      trials: models trained on each of the two data sets.
    """

    share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    trials: Annotated[int, Field(ge=2)] = 500


class ProxySettings(Settings):
    """What cheaper scores may cost.

    Attributes:
      trainings: models trained on everything that a score is averaged over.
      trials: of the run, first ones, that a score of subsets is made of; the others are the truth.
        Numbers above half of the run's are left out.
      early: share of the epochs after which EL2N is read (Paul et al. 2021 read it at 20 of 200).
    """

    trainings: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (1, 2, 5, 10)
    trials: Annotated[
        tuple[Annotated[int, Field(ge=2)], ...], Field(strict=False, min_length=1)
    ] = (2, 5, 10, 20, 50, 100, 200, 500)
    early: Annotated[float, Field(gt=0, le=1)] = 0.1


class LayersSettings(Settings):
    """Training of the last layers only (Feldman & Zhang 2020, Fig. C.3).

    Attributes:
      depths: how many of the last blocks `last-k-layers` trains; one is the last layer.
      trials: number of models of each depth; None is the run's.
      epochs: passes over the subset; None is the run's.
    """

    depths: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (1, 2)
    trials: Annotated[int, Field(ge=2)] | None = None
    epochs: Positive | None = None


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


class SeedsSettings(Settings):
    """Self-influence of models with other seeds (Zheng & Jiang 2022, App. C).

    Attributes:
      models: how many; the paper has 3.
    """

    models: Annotated[int, Field(ge=2)] = 3


class InstancesSettings(Settings):
    """Most and least memorized examples (Zheng & Jiang 2022, Tables 2 and 3).

    Attributes:
      count: of either kind, for each class.
    """

    count: Positive = 3


class ReductionRateSettings(Settings):
    """Words that are masked (Zheng & Jiang 2022, Fig. 2).

    Attributes:
      repeats: random masks of each text and percentage.
    """

    repeats: Positive = 5


class ExperimentSettings(Settings):
    """Settings of each experiment.

    Attributes:
      estimator: whose memorization those begin with that need nothing else, and the audit:
        `subsampled` is the run's, `self_influence` that of one model, which needs no trials.
    """

    estimator: Literal["subsampled", "self_influence"] = "subsampled"
    removal: RemovalSettings = RemovalSettings()
    pair_utility: PairUtilitySettings = PairUtilitySettings()
    leave_one_out: LeaveOneOutSettings = LeaveOneOutSettings()
    fraction: FractionSettings = FractionSettings()
    label_errors: LabelErrorSettings = LabelErrorSettings()
    random_labels: RandomLabelSettings = RandomLabelSettings()
    proxies: ProxySettings = ProxySettings()
    layers: LayersSettings = LayersSettings()
    seeds: SeedsSettings = SeedsSettings()
    instances: InstancesSettings = InstancesSettings()
    reduction_rate: ReductionRateSettings = ReductionRateSettings()
    audit: AuditSettings = AuditSettings()
