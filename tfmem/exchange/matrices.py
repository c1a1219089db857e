"""Class-wise influence as Feldman & Zhang released it: an npz with a matrix for each class.

For each class K, `infl_matrix_class{K}` (float `[train, test]`) is the influence of the training
examples `tr_classidx_{K}` on the test examples `tt_classidx_{K}`; `tr_labels`, `tt_labels` are the
labels of all examples, `tr_mem` the memorization of all training examples. The file for ImageNet
lacks these three.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.estimation.thresholds import at_least
from tfmem.exchange.arrays import check_estimates, check_index, write_npz
from tfmem.exchange.pairs import most_influential_first
from tfmem.messages.errors import InputError
from tfmem.store.labels import class_numbers
from tfmem.store.npz import NpzFile


@dataclass(frozen=True)
class ClassMatrix:
    """Influence of the training on the test examples of one class.

    Attributes:
      label: the class.
      train_index: int64 `[train]`.
      test_index: int64 `[test]`.
      influence: float32 `[train, test]`; NaN where it is not known.
    """

    label: int
    train_index: np.ndarray
    test_index: np.ndarray
    influence: np.ndarray

    def most_influenced(self, train_index: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Test examples that a training example of the class influences most, and by how much."""
        values = self.influence[np.flatnonzero(self.train_index == train_index)[0]]
        best = np.argsort(-values, kind="stable")[:count]
        return self.test_index[best], values[best]


class Matrices:
    """A file of class-wise matrices, of which each is read when it is asked for.

    Attributes:
      labels: the classes, ascending.
      train_labels: int64 `[num_train]`; None if the file does not say.
      test_labels: int64 `[num_test]`; None if the file does not say.
      memorization: float64 `[num_train]`; None if the file does not say.
    """

    def __init__(self, path: Path) -> None:
        """Opens a file; `load_matrices` does so."""
        self._file = file = NpzFile(path)
        found = (re.fullmatch(r"infl_matrix_class(\d{1,7})", name) for name in file.names)
        self.labels = sorted(int(match[1]) for match in found if match)
        if not self.labels:
            raise InputError(f"{path}: expected arrays 'infl_matrix_class0', …, found {file.names}")
        self.train_labels, self.test_labels = (
            class_numbers(file.array(name, "iu", ("examples",)), f"{path}: {name}")
            if name in file
            else None
            for name in ("tr_labels", "tt_labels")
        )
        self.memorization: np.ndarray | None = None
        if "tr_mem" in file:
            count = "examples" if self.train_labels is None else len(self.train_labels)
            values = file.array("tr_mem", "f", (count,))
            self.memorization = check_estimates(values, f"{path}: tr_mem").astype(np.float64)

    def __enter__(self) -> Matrices:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getitem__(self, label: int) -> ClassMatrix:
        """Reads the matrix of a class.

        Raises:
          InputError: naming file and array, if an array is missing or damaged, if the matrix has
            not the shape `[train, test]`, or if an example has another label.
        """
        train = self._index(f"tr_classidx_{label}", self.train_labels, label)
        test = self._index(f"tt_classidx_{label}", self.test_labels, label)
        name = f"infl_matrix_class{label}"
        values = self._file.array(name, "f", (len(train), len(test)))
        check_estimates(values, f"{self._file.source}: {name}")
        return ClassMatrix(label, train, test, values.astype(np.float32))

    def __iter__(self) -> Iterator[ClassMatrix]:
        """Reads one class after the other."""
        return (self[label] for label in self.labels)

    def _index(self, name: str, labels: np.ndarray | None, label: int) -> np.ndarray:
        where = f"{self._file.source}: {name}"
        count = None if labels is None else len(labels)
        index = check_index(self._file.array(name, "iu", ("examples",)), where, count)
        if labels is not None and (other := labels[index] != label).any():
            first = index[other.argmax()]
            raise InputError(f"{where}: example {first} has label {labels[first]}")
        return index

    def pairs(self, memorization: float, influence: float) -> pd.DataFrame:
        """Pairs of one class at or above two thresholds, in the precision of the file.

        Returns:
          One row a pair, most influential first: `train_index`, `test_index`, `label` int64,
          `influence`, `memorization` float64.

        Raises:
          InputError: if the file has no memorization, or a class cannot be read.
        """
        if self.memorization is None:
            raise InputError(
                f"{self._file.source}: has no 'tr_mem': pairs cannot be selected by memorization"
            )
        tables = []
        for block in self:
            memorized = self.memorization[block.train_index]
            chosen = at_least(memorized, memorization)[:, None] & at_least(
                block.influence, influence
            )
            row, column = np.nonzero(chosen)
            tables.append(
                pd.DataFrame(
                    {
                        "train_index": block.train_index[row],
                        "test_index": block.test_index[column],
                        "label": np.full(len(row), block.label, np.int64),
                        "influence": block.influence[row, column].astype(np.float64),
                        "memorization": memorized[row],
                    }
                )
            )
        return most_influential_first(pd.concat(tables))


def load_matrices(path: str | os.PathLike[str]) -> Matrices:
    """Opens a file of class-wise matrices.

    Args:
      path: an npz file as described above.

    Returns:
      The opened file: `load_matrices(path)[3]` reads the matrix of class 3.

    Raises:
      InputError: if it is no such file, or its labels or memorization cannot be read.
    """
    return Matrices(Path(path))


def write_matrices(
    path: str | os.PathLike[str], blocks: Iterable[ClassMatrix], memorization: np.ndarray
) -> None:
    """Writes class-wise matrices; each is asked for, written and forgotten before the next.

    Args:
      path: the npz file.
      blocks: a matrix for each class; every example is in one.
      memorization: float `[num_train]`.

    Raises:
      InputError: if an example is in no class.
    """
    write_npz(Path(path), _arrays(blocks, memorization))


def _arrays(
    blocks: Iterable[ClassMatrix], memorization: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    classes = []
    for block in blocks:
        classes.append((block.label, block.train_index, block.test_index))
        yield f"infl_matrix_class{block.label}", block.influence.astype(np.float32)
        yield f"tr_classidx_{block.label}", block.train_index
        yield f"tt_classidx_{block.label}", block.test_index
    train = labels_of({label: index for label, index, _ in classes}, len(memorization), "training")
    test = labels_of({label: index for label, _, index in classes}, None, "test")
    yield "tr_labels", train
    yield "tt_labels", test
    yield "tr_mem", memorization.astype(np.float64)


def labels_of(classes: dict[int, np.ndarray], count: int | None, what: str) -> np.ndarray:
    """The label of every example, int64 `[count]`, from the examples of every class.

    Args:
      classes: indices of the examples of each class.
      count: number of examples; None if all indices up to the largest must be there.
      what: what the examples are, for the message.

    Raises:
      InputError: if an example is in no class, in two, or beyond the count.
    """
    index = np.concatenate([np.zeros(0, np.int64), *classes.values()])
    count = len(index) if count is None else count
    if len(index) != count or not np.array_equal(np.sort(index), np.arange(count)):
        raise InputError(
            f"expected each of {count} {what} examples in one class of influence, received "
            f"{len(np.unique(index))} different ones in {len(index)} places"
        )
    labels = np.empty(count, np.int64)
    labels[index] = np.repeat(list(classes), [len(part) for part in classes.values()])
    return labels
