"""How values of a statistic are called and written: in percent, or in the unit of a score."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfmem.config.estimates import BOUNDED
from tfmem.estimation.estimator import Measure
from tfmem.messages.numbers import Number, four, three

_NAMES = {
    "correctness": "right",
    "probability": "probability",
    "margin": "margin",
    "loss": "log probability",
    "score": "score",
}
_SCORES = {
    "squared_error": "minus squared error",
    "absolute_error": "minus absolute error",
    "loss": "log probability",
    "mean": "share of labels that are right",
    "accuracy": "share of positions that are right",
}


@dataclass(frozen=True)
class Units:
    """The words and numbers with which figures, pages and tables show a statistic.

    Attributes:
      name: what a mean over trials is of: `right`, `probability`, `minus squared error`.
      bounded: whether all values are from 0 to 1, so that means are shares and differences are from
        -1 to 1.
    """

    name: str = _NAMES["correctness"]
    bounded: bool = True

    @property
    def error(self) -> str:
        """Which error of predictions follows from the mean; empty if none does."""
        of = {_SCORES["squared_error"]: "square", _SCORES["absolute_error"]: "absolute"}
        return of.get(self.name, "")

    def off(self, value: Number) -> str:
        """How far predictions are off by a mean score: the root mean square or mean error."""
        if not self.error or value != value:
            return ""
        size = max(-float(value), 0.0)
        return f"off by {four(math.sqrt(size) if self.error == 'square' else size)}"

    @property
    def kind(self) -> str:
        """What columns of tables call a mean over trials: `accuracy` or `score`."""
        return "accuracy" if self.bounded else "score"

    @property
    def test(self) -> str:
        """What the mean of a model over test examples is called."""
        return "accuracy" if self.name == _NAMES["correctness"] else f"mean {self.name}"

    @property
    def of(self) -> str:
        """The unit in brackets, for labels of axes; empty where a difference has no unit."""
        return "" if self.bounded else f" ({self.name})"

    @property
    def below(self) -> str:
        """The unit in brackets on a line of its own, for narrow axes."""
        return self.of.replace(" (", "\n(", 1)

    @property
    def more(self) -> str:
        """What memorization and influence compare, as the end of a sentence on an example."""
        if self.name == _NAMES["correctness"]:
            return "how much more often models that were trained on it get it right than models"
        return f"how much higher the mean {self.name} is of models trained on it than of models"

    def difference(self, value: Number) -> str:
        """Formats memorization or influence."""
        return three(value) if self.bounded else four(value)

    def short(self, value: Number) -> str:
        """Formats memorization or influence with two decimals, or as four digits."""
        return f"{value:.2f}" if self.bounded else four(value)

    def mean(self, value: Number, digits: int = 1) -> str:
        """Formats a mean over trials: as percent with some digits, or as four digits."""
        if not self.bounded:
            return four(value)
        return "unknown" if value != value else f"{100 * value:.{digits}f}%"


SHARES = Units()  # of how often models are right


def units_of(measure: Measure) -> Units:
    """The units of a statistic; a score of the user's own is called by its name.

    Of a function, `package.module:function`, that is the function's name.
    """
    name = _NAMES[measure.statistic]
    if measure.score:
        function = measure.score.rpartition(":")[2]
        own = f"score {function}" if function != measure.score or function == "right" else function
        name = _SCORES.get(measure.score, own)
    return Units(name, measure.statistic in BOUNDED)
