"""Chooses the examples and influences that the interactive page of a run shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tfmem.estimation.blocks import InfluenceBlock
from tfmem.estimation.thresholds import at_least
from tfmem.estimation.units import SHARES, Units
from tfmem.experiments.run import Run

EXAMPLES = 3_000
LEAST, ERRORS, STRONGEST = 0.05, 2.0, 8


@dataclass(frozen=True)
class Explorer:
    """Examples and links of a page.

    Attributes:
      train: the training examples by index, with `label` and the columns of `read_memorization`.
      test: the test examples by index, with `label` and `accuracy` over models.
      links: `train_index`, `test_index`, `influence`, `stderr`, and `pair`, which says whether the
        pair is selected.
      said: a phrase that says which examples these are.
      least: the least influence of a link that is no selected pair.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    links: pd.DataFrame
    said: str
    least: float = LEAST

    def data(self, class_names: tuple[str, ...], units: Units = SHARES) -> dict[str, Any]:
        """Returns the examples as columns for JSON; links name examples by their positions.

        Args:
          class_names: names of the classes.
          units: of the statistic; numbers are rounded as it needs.
        """
        train, test, links = self.train, self.test, self.links
        _rounded = _to_decimals if units.bounded else _to_digits
        return {
            "classes": class_names,
            "train": {
                "index": train.index.tolist(),
                "label": train["label"].tolist(),
                "memorization": _rounded(train["memorization"]),
                "low": _rounded(train["ci_low"]),
                "high": _rounded(train["ci_high"]),
                "meanIn": _rounded(train[f"{units.kind}_in"]),
                "meanOut": _rounded(train[f"{units.kind}_out"]),
                "trialsIn": train["n_in"].tolist(),
                "trialsOut": train["n_out"].tolist(),
            },
            "test": {
                "index": test.index.tolist(),
                "label": test["label"].tolist(),
                "accuracy": _rounded(test["accuracy"]),
            },
            "links": {
                "train": train.index.get_indexer(pd.Index(links["train_index"])).tolist(),
                "test": test.index.get_indexer(pd.Index(links["test_index"])).tolist(),
                "influence": _rounded(links["influence"]),
                "stderr": _rounded(links["stderr"]),
                "pair": links["pair"].astype(int).tolist(),
            },
        }


def _to_digits(column: pd.Series) -> list[float | None]:
    """The numbers with six digits, as those without bounds need it; NaN, if any, as None."""
    return [None if value != value else float(f"{value:.6g}") + 0.0 for value in column]


def _to_decimals(column: pd.Series) -> list[float]:
    return (column.to_numpy(np.float64).round(4) + 0.0).tolist()


def explore(run: Run, limit: int = EXAMPLES, also: Sequence[int] = ()) -> Explorer:
    """Chooses the examples of a page, and finds their links.

    If there are at most `limit` training examples, all are chosen. Otherwise the page has those in
    selected pairs, a sample of each class over the range of memorization, and the most memorized of
    the others. A link is a selected pair, or an influence within a class of at least 0.05 (of a
    score without bounds, above 0) and at least two standard errors that is among the eight
    strongest of its training example, or on its test example.

    Args:
      run: the run, with its estimates and pairs.
      limit: most training examples, and most test examples, on the page.
      also: training examples that are preferred, because their attributions are known.
    """
    known = run.memorization.dropna(subset="memorization")
    train, said = _chosen(run, known, limit, also)
    parts = [_pairs(run, train)]
    tests, least = [], LEAST if run.units.bounded else 0.0
    for label, block in sorted(run.influence.items()):
        accuracy = block.test_accuracy
        tests.append(pd.DataFrame({"label": label, "accuracy": accuracy}, index=block.test_index))
        parts.append(_strongest(block.of(train.index.to_numpy()), least))
    links = pd.concat(parts).drop_duplicates(["train_index", "test_index"])
    links = links.sort_values("influence", key=np.abs, ascending=False, kind="stable")
    test = pd.concat(tests).sort_index()
    if len(test) > limit:
        first = links.sort_values("pair", ascending=False, kind="stable")["test_index"]
        kept = first.unique()[:limit]
        test = test.loc[np.sort(kept)]
        said += f"; {len(test):,} test examples that they influence"
    links = links[links["test_index"].isin(test.index)]
    models = run.measure.models  # of each subset; the page counts models
    train = train.assign(**{name: models * train[name] for name in ("n_in", "n_out")})
    return Explorer(train, test, links, said, least)


def _chosen(
    run: Run, known: pd.DataFrame, limit: int, also: Sequence[int]
) -> tuple[pd.DataFrame, str]:
    total = len(run.memorization)
    if len(known) <= limit:
        return known, f"{len(known):,} of {total:,} training examples"
    threshold = run.least_memorization
    of_class = max(1, limit // (4 * known["label"].nunique()))
    sample = [_spread(rows["memorization"], of_class) for _, rows in known.groupby("label")]
    ranked = known["memorization"].sort_values(ascending=False, kind="stable")
    above = ranked if threshold is None else ranked[at_least(ranked, threshold)]
    memorized = above.index.to_numpy(np.int64)
    paired = run.pairs["train_index"].drop_duplicates().to_numpy(np.int64)[: limit // 2]
    more = known.index.intersection(pd.Index(also)).to_numpy(np.int64)
    more = more[: limit // 4]
    wanted = [paired, more, *sample, memorized]
    chosen = pd.unique(np.concatenate(wanted))[:limit]
    there = np.isin(memorized, chosen)
    whole = threshold is not None and there.all()
    least = threshold if whole else ranked.loc[memorized[~there][0]]
    further = f"{len(more):,} of which more is known, " if len(more) else ""
    return known.loc[np.sort(chosen)], (
        f"{len(chosen):,} of {total:,} training examples: those with memorization of at least "
        f"{least:.3g}, those in pairs, {further}and of each class up to {of_class} over the whole "
        "range"
    )


def _spread(memorization: pd.Series, count: int) -> np.ndarray:
    """Chooses examples spread evenly over the range of values: int64 indices, at most `count`."""
    ranked = memorization.sort_values(kind="stable")
    levels = np.linspace(ranked.iloc[0], ranked.iloc[-1], count)
    at = np.searchsorted(ranked.to_numpy(), levels).clip(max=len(ranked) - 1)
    return ranked.index.to_numpy(np.int64)[np.unique(at)]


def _pairs(run: Run, train: pd.DataFrame) -> pd.DataFrame:
    columns = ["train_index", "test_index", "influence", "stderr"]
    shown = run.pairs["train_index"].isin(train.index)
    return run.pairs.loc[shown, columns].assign(pair=True)


def _strongest(block: InfluenceBlock, least: float) -> pd.DataFrame:
    errors = block.errors
    sure = at_least(errors.value, least) & (errors.value >= ERRORS * errors.stderr)
    sure &= errors.value > 0
    value = np.where(sure, errors.value, -np.inf)
    linked = _top(value) | _top(value.T).T
    row, column = np.nonzero(linked & sure)
    return pd.DataFrame(
        {
            "train_index": block.train_index[row],
            "test_index": block.test_index[column],
            "influence": errors.value[row, column],
            "stderr": errors.stderr[row, column],
            "pair": False,
        }
    )


def _top(value: np.ndarray) -> np.ndarray:
    """Marks the eight largest values of each row: bool, in the shape of `value`."""
    if value.shape[1] <= STRONGEST:
        return np.ones(value.shape, bool)
    chosen = np.zeros(value.shape, bool)
    best = np.argpartition(-value, STRONGEST, axis=1)[:, :STRONGEST]
    np.put_along_axis(chosen, best, True, axis=1)
    return chosen
