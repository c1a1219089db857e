"""Settings of experiments, which begin where a run ends."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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


class ExperimentSettings(Settings):
    """Settings of each experiment."""

    removal: RemovalSettings = RemovalSettings()
    pair_utility: PairUtilitySettings = PairUtilitySettings()
    leave_one_out: LeaveOneOutSettings = LeaveOneOutSettings()
    fraction: FractionSettings = FractionSettings()
