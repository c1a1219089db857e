"""Does self-influence depend on the seed (Zheng & Jiang 2022, App. C, Table 5)?"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd

from tfmem.config import Config
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.outcome import Outcome

QUESTION = "Does self-influence depend on the seed?"
TOP = 0.1


def seeds(
    config: Config, classes: np.ndarray, first: np.ndarray, estimate: Callable[[int], np.ndarray]
) -> Outcome:
    """Ranks of self-influence in models that differ in their seeds.

    Args:
      config: `self_influence.trial`, whose model is the first, and `experiments.seeds`.
      classes: name of the class of each training example.
      first: self-influence of that model, `[num_train]`.
      estimate: the same of the model of another trial.

    Returns:
      A row for each example: `index`, `class`, and self-influence by `trial_0` and so on.
    """
    begin = config.self_influence.trial
    scores = {f"trial_{begin}": first}
    for trial in range(begin + 1, begin + config.experiments.seeds.models):
        scores[f"trial_{trial}"] = estimate(trial)
    table = pd.DataFrame({"index": np.arange(len(classes)), "class": classes, **scores})
    said = []
    for one, other in combinations(scores, 2):
        ranks = rank_correlation(scores[one], scores[other])
        within = [
            rows[one].corr(rows[other], method="spearman") for _, rows in table.groupby("class")
        ]
        common, size = overlap(scores[one], scores[other])
        said.append(
            f"Trials {one[6:]} and {other[6:]}: Spearman {ranks.value:.3f} ({ranks.low:.3f} to "
            f"{ranks.high:.3f}), within a class at least {pd.Series(within).min():.3f}; "
            f"{common / size:.0%} of the {size:,} examples in the top {TOP:.0%} are the same."
        )
    return Outcome(QUESTION, tuple(said), table)


def overlap(first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
    """How many examples are in the top 10% of both, and how many in that of either.

    Args:
      first: float `[examples]`; examples with NaN on a side are left out.
      second: likewise.
    """
    known = ~np.isnan(first) & ~np.isnan(second)
    size = max(1, round(TOP * int(known.sum())))
    one, other = (np.argsort(-side[known], kind="stable")[:size] for side in (first, second))
    return len(np.intersect1d(one, other)), size
