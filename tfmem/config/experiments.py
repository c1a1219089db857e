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


class ExperimentSettings(Settings):
    """Settings of each experiment."""

    removal: RemovalSettings = RemovalSettings()
    layers: LayersSettings = LayersSettings()
