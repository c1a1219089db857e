"""A finished run, read back as numpy arrays and pandas tables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tfmem import pairs as pair_selection
from tfmem.aggregation.estimates import KINDS, parse_influence
from tfmem.config import Config, Statistic, from_yaml
from tfmem.datasets import AnyDataset, load
from tfmem.errors import InputError
from tfmem.estimation.estimator import ClassCounts, Difference, influence
from tfmem.predictions import LABELS_NAME, Labels, read_shard, shards_in
from tfmem.records import decode_example
from tfmem.results import read_memorization, read_pairs, read_selection
from tfmem.store.sets import read_set
from tfmem.subsets import unpack


class InfluenceBlock:
    """Influence of the training on the test examples of one class.

    Attributes:
      label: the class.
      statistic: `correctness`, or `probability` where its means were compared.
      train_index: int64 `[train]`.
      test_index: int64 `[test]`.
      n_in: int64 `[train]`, trials with the training example in the subset.
      n_out: int64 `[train]`, trials without it.
      influence: float64 `[train, test]`; NaN where `n_in` or `n_out` is 0.
    """

    def __init__(self, counts: ClassCounts) -> None:
        """Estimates from counts."""
        self.label = counts.label
        self.statistic = counts.statistic
        self.train_index = counts.train.index
        self.test_index = counts.test_index
        self.n_in = counts.train.num_in
        self.n_out = counts.train.num_out
        self._counts = counts

    @cached_property
    def errors(self) -> Difference:
        """Influence with `stderr` and the 95% interval from `low` to `high`, `[train, test]`."""
        return influence(self._counts)

    @property
    def influence(self) -> np.ndarray:
        """Influence, float64 `[train, test]`."""
        return self.errors.value

    @property
    def test_accuracy(self) -> np.ndarray:
        """How often models are right on each test example, float64 `[test]`.

        Where the statistic is probability, the mean probability of its label.
        """
        return self._counts.test_correct / self._counts.train.num_trials

    def of(self, train_index: np.ndarray) -> InfluenceBlock:
        """The same for some training examples only, those of the class; takes less memory."""
        counts, rows = self._counts, np.flatnonzero(np.isin(self.train_index, train_index))
        both, uncertain = counts.test_correct_in, counts.test_uncertain_in
        return InfluenceBlock(
            replace(
                counts,
                train=counts.train.take(rows),
                test_correct_in=both[rows],
                test_uncertain_in=None if uncertain is None else uncertain[rows],
            )
        )

    def most_influenced(self, train_index: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Test examples that a training example influences most, and by how much.

        Raises:
          InputError: if the training example is of another class.
        """
        row = np.flatnonzero(self.train_index == train_index)
        if not len(row):
            raise InputError(f"training example {train_index} is not of class {self.label}")
        values = self.influence[row[0]]
        best = np.argsort(-values, kind="stable")[:count]
        return self.test_index[best], values[best]


class Run:
    """The outputs of a run, each read when it is first asked for."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """Names the parts of a run; `load_run` does so for a folder.

        Args:
          folders: where `predictions`, `memorization`, `influence` and `pairs` are, and the file of
            `settings`.
        """
        self._folders = folders

    @cached_property
    def config(self) -> Config:
        """The run's settings."""
        path = self._folders["settings"]
        if not path.exists():
            raise InputError(f"{path}: not found; is its folder the output of `tfmem run`?")
        return from_yaml(path.read_text(encoding="utf-8"), source=str(path))

    @property
    def has_settings(self) -> bool:
        """Whether it is a run, and not the estimates of other predictions."""
        return self._folders["settings"].exists()

    @property
    def predictions(self) -> Path:
        """The folder of prediction shards."""
        return self._folders["predictions"]

    @cached_property
    def labels(self) -> Labels:
        """Labels and class names."""
        path = self._folders["predictions"] / LABELS_NAME
        if not path.exists():
            raise InputError(f"{path}: not found; is its folder the output of `tfmem run`?")
        return Labels.from_npz(path.read_bytes(), str(path))

    @cached_property
    def dataset(self) -> AnyDataset:
        """The examples themselves, loaded again and checked against the run's fingerprint."""
        dataset = load(self.config.dataset)
        if dataset.fingerprint != self.labels.dataset_fingerprint:
            raise InputError(
                f"{self._folders['predictions']}: made with other data than {dataset.name} is now"
            )
        return dataset

    @cached_property
    def statistic(self) -> Statistic:
        """What was averaged over models: `correctness`, or the `probability` of the true label."""
        payload, source = next(read_set(self._folders["memorization"], "memorization"))
        return "probability" if "probability" in decode_example(payload, source) else "correctness"

    @cached_property
    def memorization(self) -> pd.DataFrame:
        """One row a training example, by `index`: label, counts, memorization with its errors."""
        return read_memorization(self._folders["memorization"])

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """The selected pairs, most influential first."""
        return read_pairs(self._folders["pairs"])

    @cached_property
    def selection(self) -> dict[str, float]:
        """What the pairs were selected from; see `read_selection`."""
        return read_selection(self._folders["pairs"])

    @property
    def pair_statistics(self) -> pair_selection.PairStatistics:
        """Unique examples in the pairs, and how many influencers test examples have."""
        columns = {str(name): self.pairs[name].to_numpy() for name in self.pairs}
        return pair_selection.statistics(pair_selection.Pairs(**columns))

    @cached_property
    def influence(self) -> dict[int, InfluenceBlock]:
        """Influence blocks by class."""
        blocks = {}
        for payload, source in read_set(self._folders["influence"], "influence"):
            counts = parse_influence(payload, source)
            if counts.statistic != self.statistic:
                raise InputError(
                    f"{source}: influence of {counts.statistic}, expected {self.statistic} as in "
                    f"{self._folders['memorization']}"
                )
            blocks[counts.label] = InfluenceBlock(counts)
        return blocks

    def most_influenced(self, train_index: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Test examples of its class that a training example influences most, and by how much."""
        block = self.influence[int(self.labels.train_labels[train_index])]
        return block.most_influenced(train_index, count)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial, by `trial_id`: accuracy on its subset, on what it left out, on test.

        `diverged` is whether estimates leave it out.
        """
        rows = []
        for path in shards_in(self._folders["predictions"]):
            for record in read_shard(path):
                mask = unpack(record.subset_mask, record.num_train)
                correct = unpack(record.train_correct, record.num_train)
                test = unpack(record.test_correct, record.num_test)
                accuracies = correct[mask].mean(), correct[~mask].mean(), test.mean()
                rows.append((record.trial_id, *accuracies, bool(record.diverged)))
        names = ["trial_id", "subset_accuracy", "held_out_accuracy", "test_accuracy", "diverged"]
        return pd.DataFrame(rows, columns=names).set_index("trial_id").sort_index()


def load_run(folder: str | os.PathLike[str]) -> Run:
    """Opens a run: `tfmem.load_run("runs/digits").memorization` is a pandas table.

    Args:
      folder: what `tfmem run`, or `tfmem estimate`, was given as `--out`.

    Raises:
      InputError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such run folder")
    parts = {kind: folder / kind for kind in KINDS}
    return Run({**parts, "settings": folder / "config.yaml"})
