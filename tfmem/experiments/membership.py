"""Attacks every trial of a folder of predictions with the others as shadow models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.aggregation.one_by_one import each_trial
from tfmem.aggregation.repeats import models_of, trials_of_subsets
from tfmem.estimation.membership import (
    ATTACKS,
    FEWEST,
    FIXED,
    LIRA,
    Normal,
    Shadows,
    log_ratios,
)
from tfmem.estimation.roc import Roc, RocCounts, codes_of
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.labels import LABELS_NAME
from tfmem.store.predictions import TrialRecord
from tfmem.store.shards import shards_in

RATES = (0.001, 0.01)  # false-positive rates at which attacks are compared
EXPOSED = f"tpr_{RATES[0]:g}"  # the column of `Attacked.exposure` by which examples are exposed
_CURVE = np.union1d(np.logspace(-5, 0, 61), RATES)
_FEW = 64  # trials below which the fixed variance is taken, as the paper does
# In float16, probabilities of earlier versions' records are at most 1, and the next is 1 - 2^-11.
_PROBABILITY = (2.0**-25, 1 - 2.0**-12)
_MARGIN = "margin"


@dataclass(frozen=True)
class Attacked:
    """What attacks on all trials of a folder found.

    Attributes:
      signal: the name of the signal: `margin`, or the name of the score.
      rocs: the ROC curve of each attack, by its name.
      chosen: the attack that `exposure` is of.
      exposure: a row for each example, by `index`; see `attack`.
      trials: number of trials.
    """

    signal: str
    rocs: Mapping[str, Roc]
    chosen: str
    exposure: pd.DataFrame
    trials: int

    @property
    def chosen_roc(self) -> Roc:
        """The ROC curve of the chosen attack."""
        return self.rocs[self.chosen]


def attack(predictions: Path, among: np.ndarray | None = None) -> Attacked:
    """Attacks every trial, with all others as its shadow models.

    Where several models were trained on each subset (`training.repeats`), those of the attacked
    model's own subset are no shadow models, and curves and the intervals of single examples have
    the errors of as many subsets.

    Records are read three times, one at a time: for sums, for the ROC curves, and for the examples
    that are found out at the thresholds which the curves give.

    Args:
      predictions: folder of prediction shards with `labels.npz`.
      among: bool `[num_train]`, the examples that are attacked; None is all of them.

    Returns:
      The curves, and a row for each example: `n_in`, `n_out`; mean and standard deviation of its
      signal in models that were trained on it (`mean_in`, `sd_in`) and in others (`mean_out`,
      `sd_out`); `separation`, the difference of the means over the root mean square of both
      standard deviations; and for each rate in `RATES`, at the threshold with this rate of false
      positives over all examples: `tpr_…`, the share of models trained on the example that the
      attack finds out, with its 95% interval (`…_low`, `…_high`, Wilson), and `fpr_…`, the share of
      other models that it takes for such. NaN if the example was in fewer than 3 trials, or out of
      fewer.

    Raises:
      InputError: naming the record without a signal; or if no example has enough trials.
    """
    kind, shadows = _sums(predictions)
    attacked = shadows.attackable if among is None else shadows.attackable & among
    if not attacked.any():
        inside = f"{shadows.num_in.min():,} to {shadows.num_in.max():,}"
        raise InputError(
            f"{predictions}: expected training examples that are in the subsets of at least "
            f"{FEWEST} trials and in those of {FEWEST} fewer than all, received {shadows.trials:,} "
            f"trials, of which examples are in {inside}: the attack needs models with and models "
            "without an example, so train more trials (--set training.trials=NUMBER) on subsets "
            "(training.fraction below 1)"
        )
    counts = {name: RocCounts() for name in ATTACKS}
    for mask, statistics in _statistics(predictions, kind, shadows, attacked):
        for name, values in statistics.items():
            counts[name].add(mask, values)
    rocs = {name: each.roc(_CURVE) for name, each in counts.items()}
    chosen = LIRA if shadows.trials >= _FEW else FIXED
    thresholds = [counts[chosen].threshold(rate) for rate in RATES]
    found = np.zeros((len(RATES), 2, len(attacked)), np.int64)
    for mask, statistics in _statistics(predictions, kind, shadows, attacked):
        codes = codes_of(np.nan_to_num(statistics[chosen], nan=-np.inf))
        for place, least in enumerate(thresholds):
            reached = (codes >= least).sum(axis=0)
            found[place, 0] += np.where(mask, 0, reached)
            found[place, 1] += np.where(mask, reached, 0)
    exposure = _exposure(shadows, attacked, found, _models(predictions))
    return Attacked(kind or _MARGIN, rocs, chosen, exposure, shadows.trials)


def _models(predictions: Path) -> int:
    """How many models were trained on each subset."""
    return models_of(shards_in(predictions), str(predictions / LABELS_NAME))


def _sums(predictions: Path) -> tuple[str, Shadows]:
    """Sums over all trials, and the name of the score that they are of; empty for margins."""
    kind, shadows = None, None
    shards, labels = shards_in(predictions), str(predictions / LABELS_NAME)
    for record, source in each_trial(shards, labels):
        if shadows is None:
            kind = "" if record.confidence("train", source) is not None else record.score_name
            resolution = 2.0**-20 if kind else 2.0**-10
            shadows = Shadows(record.num_train, resolution, models_of(shards, labels))
        shadows.add(*_observed(record, source, kind or ""))
    if shadows is None or kind is None:
        raise InputError(f"{predictions}: expected predictions of trials, received none")
    return kind, shadows


def _statistics(
    predictions: Path, kind: str, shadows: Shadows, attacked: np.ndarray
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Each subset, and the statistics of the attacked examples, `[trials, examples]` by attack."""
    shards, labels = shards_in(predictions), str(predictions / LABELS_NAME)
    for together in trials_of_subsets(shards, labels, models_of(shards, labels)):
        observed = [_observed(*each, kind) for each in together]
        mask = observed[0][0]
        found = log_ratios(shadows, mask, np.stack([signal for _, signal in observed]))
        yield mask, {name: np.where(attacked, values, np.nan) for name, values in found.items()}


def _observed(record: TrialRecord, source: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The subset of a trial, and the signal of each example: its score, or else its margin."""
    mask = unpack(record.subset_mask, record.num_train)
    if kind:
        if record.score_name != kind:
            raise InputError(f"{source}: expected the score {kind!r}, received none")
        return mask, record.scores("train").astype(np.float64)
    found = record.confidence("train", source)
    if found is None:
        raise InputError(
            f"{source}: trial {record.trial_id}: expected margins of the true labels, or scores, "
            "received only which predictions are right. With the setting training.probabilities: "
            "true, `tfmem train` writes margins; a PredictionWriter writes those that it is given"
        )
    if found.are_margins.all():
        return mask, found.margins()[0]
    probability = np.clip(found.probabilities()[0], *_PROBABILITY)
    return mask, np.log(probability / (1 - probability))


def _exposure(
    shadows: Shadows, attacked: np.ndarray, found: np.ndarray, models: int
) -> pd.DataFrame:
    inside, outside = shadows.both()
    with np.errstate(divide="ignore", invalid="ignore"):
        both = np.sqrt((inside.variance + outside.variance) / 2)
        separation = (inside.mean - outside.mean) / both
    columns = {
        "n_in": inside.count,
        "n_out": outside.count,
        **_moments(inside, "in"),
        **_moments(outside, "out"),
        "separation": separation,
    }
    for rate, (wrong, right) in zip(RATES, found, strict=True):
        low, high = _wilson(right / models, inside.count / models)
        columns |= {
            f"tpr_{rate:g}": right / np.maximum(inside.count, 1),
            f"tpr_{rate:g}_low": low,
            f"tpr_{rate:g}_high": high,
            f"fpr_{rate:g}": wrong / np.maximum(outside.count, 1),
        }
    table = pd.DataFrame(columns).rename_axis("index")
    table.loc[~attacked, [name for name in table if name not in ("n_in", "n_out")]] = np.nan
    return table


def _moments(normal: Normal, side: str) -> dict[str, np.ndarray]:
    return {f"mean_{side}": normal.mean, f"sd_{side}": np.sqrt(normal.variance)}


def _wilson(found: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95% interval of each share, also of parts of subsets whose models differ."""
    from statsmodels.stats.proportion import proportion_confint

    with np.errstate(invalid="ignore"):
        low, high = proportion_confint(found, of, 0.05, method="wilson")
    return np.where(of > 0, np.maximum(low, 0), 0.0), np.where(of > 0, np.minimum(high, 1), 1.0)


def curves(rocs: Mapping[str, Roc]) -> pd.DataFrame:
    """The ROC curves as one table.

    Returns:
      A row for each attack and false-positive rate: `attack`, `fpr`, `tpr`, `tpr_low`, `tpr_high`.
    """
    parts = [
        pd.DataFrame(
            {
                "attack": name,
                "fpr": roc.rates,
                "tpr": roc.tpr[:, 1],
                "tpr_low": roc.tpr[:, 0],
                "tpr_high": roc.tpr[:, 2],
            }
        )
        for name, roc in rocs.items()
    ]
    return pd.concat(parts, ignore_index=True)
