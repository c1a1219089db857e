"""Settings of estimates: the statistic whose means are compared, and the selection of pairs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfmem.config.base import Positive, Settings
from tfmem.messages.errors import InputError

Statistic = Literal["correctness", "probability", "margin", "loss", "score"]
BOUNDED = "correctness", "probability"  # statistics of which all values are from 0 to 1


class EstimationSettings(Settings):
    """The statistic whose differences memorization and influence are.

    Attributes:
      statistic: `correctness` is how often models are right, as in the paper; `probability` is the
        mean probability of the true label, which takes fewer trials; `margin` is the mean of
        `log(p / (1 - p))` and `loss` that of `log p` (the negative loss), both of the probability
        `p` of the true label. These three need `training.probabilities`. `score` is the mean of the
        score that records hold. None is `score` if records hold one, and `correctness` otherwise.
    """

    statistic: Statistic | None = None


class SelectionSettings(Settings):
    """Which pairs are selected; the defaults are those of Feldman & Zhang (2020, Sec. 2).

    Attributes:
      memorization: least memorization of the training example, inclusive. None is 0.25 for
        correctness and probability, and no condition for other statistics.
      influence: least influence, inclusive; `fdr` or `top_k` take its place. None is 0.15 for
        correctness and probability; for other statistics, `fdr` is then 0.05.
      unit: the unit of both: the `score` itself, or `sd`, the standard deviation of the example's
        own score among trials with the training example and among those without it, pooled
        (Cohen's d). With `sd` both defaults are those of other statistics.
      fdr: false discovery rate of the selected pairs, over all pairs that are tested.
      top_k: number of training examples that are selected for each test example.
      pairs: `same_class` tests pairs of one class, `all` every training with every test example.
      sign: sign of the influences that are selected; `both` compares absolute values.
    """

    memorization: float | None = None
    influence: float | None = None
    unit: Literal["score", "sd"] = "score"
    fdr: Annotated[float, Field(gt=0, lt=1)] | None = None
    top_k: Positive | None = None
    pairs: Literal["same_class", "all"] = "same_class"
    sign: Literal["positive", "negative", "both"] = "positive"

    @model_validator(mode="after")
    def _one_rule(self) -> SelectionSettings:
        if self.fdr is not None and self.top_k is not None:
            raise ValueError("fdr or top_k, not both")
        return self

    @property
    def least_memorization(self) -> float:
        """The threshold of memorization by correctness or probability."""
        return 0.25 if self.memorization is None else self.memorization

    @property
    def least_influence(self) -> float:
        """The threshold of influence by correctness or probability."""
        return 0.15 if self.influence is None else self.influence

    def least(
        self, estimate: Literal["memorization", "influence"], statistic: Statistic
    ) -> float | None:
        """The threshold in the unit of the statistic; None if there is none in this unit."""
        if self.unit == "sd":
            return None
        threshold: float | None = getattr(self.resolved(statistic), estimate)
        return threshold

    def resolved(self, statistic: Statistic) -> SelectionSettings:
        """The settings with what they leave to the statistic filled in.

        Raises:
          InputError: if a threshold is one that no difference of such values can reach.
        """
        if statistic in BOUNDED and self.unit == "score":
            for name in ("memorization", "influence"):
                if abs(getattr(self, name) or 0) > 1:
                    raise InputError(
                        f"selection.{name}: expected -1 to 1 with estimation.statistic: "
                        f"{statistic}, received {getattr(self, name):g}"
                    )
            filled = {"memorization": self.least_memorization, "influence": self.least_influence}
            return self.model_copy(update=filled)
        if self.influence is None and self.fdr is None and not self.top_k:
            return self.model_copy(update={"fdr": 0.05})
        return self
