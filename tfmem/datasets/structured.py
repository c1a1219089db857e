"""A data set in memory whose examples are several arrays by name: columns, or several inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tfmem.datasets.dataset import add_array, described, rows_or_none

ALONE = ""  # the name of the one input of a data set whose inputs have no names


def place_name(place: int) -> str:
    """The name of one of several inputs that models take in order, without names: `[0]`, `[1]`."""
    return f"[{place}]"


def arranged(inputs: Mapping[str, Any]) -> Any:
    """Inputs by name, as models take them: without names if a user gave none.

    Args:
      inputs: by the names of a `StructuredDataset`.

    Returns:
      The one input that is called `ALONE`, a list of those that are called `[0]`, `[1]`, …, or a
      dictionary.
    """
    if set(inputs) == {ALONE}:
        return inputs[ALONE]
    places = [place_name(place) for place in range(len(inputs))]
    return [inputs[name] for name in places] if set(inputs) == set(places) else dict(inputs)


@dataclass(frozen=True, repr=False)
class StructuredDataset:
    """Training and test examples whose inputs have names; an example's index is its row.

    Attributes:
      name: the data set's name.
      train_inputs: arrays `[num_train, ...]` by name, of numbers or of strings; one array that
        models take without a name is called `ALONE`, and several `[0]`, `[1]`, ….
      train_labels: int64 `[num_train]`, classes from 0.
      test_inputs: arrays `[num_test, ...]` by the same names.
      test_labels: int64 `[num_test]`.
      class_names: one name for each class.
      clean_train_labels: as for `Dataset`; so are the following.
      notes: sentences on how the examples were read.
      train_targets: what models are trained to predict; None if that is the label.
      test_targets: likewise.
      train_ids: the user's own names of training examples; None if there are none.
      test_ids: likewise.
      has_classes: whether labels are classes.
    """

    name: str
    train_inputs: Mapping[str, np.ndarray]
    train_labels: np.ndarray
    test_inputs: Mapping[str, np.ndarray]
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    clean_train_labels: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    train_targets: np.ndarray | None = None
    test_targets: np.ndarray | None = None
    train_ids: np.ndarray | None = None
    test_ids: np.ndarray | None = None
    has_classes: bool = True

    def __repr__(self) -> str:
        return described(self)

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of all inputs with their names, labels, targets and class names."""
        digest = hashlib.sha256()
        for inputs, labels in (
            (self.train_inputs, self.train_labels),
            (self.test_inputs, self.test_labels),
        ):
            for name in sorted(inputs):
                digest.update(name.encode())
                add_array(digest, inputs[name])
            add_array(digest, labels)
        digest.update("\0".join(self.class_names).encode())
        for targets in (self.train_targets, self.test_targets):
            if targets is not None:
                add_array(digest, targets)
        return digest.digest()

    def keep(self, train: np.ndarray, test: np.ndarray) -> StructuredDataset:
        """The data set reduced to some rows, as `Dataset.keep`."""
        return replace(
            self,
            train_inputs={name: values[train] for name, values in self.train_inputs.items()},
            train_labels=self.train_labels[train],
            test_inputs={name: values[test] for name, values in self.test_inputs.items()},
            test_labels=self.test_labels[test],
            clean_train_labels=rows_or_none(self.clean_train_labels, train),
            train_targets=rows_or_none(self.train_targets, train),
            test_targets=rows_or_none(self.test_targets, test),
            train_ids=rows_or_none(self.train_ids, train),
            test_ids=rows_or_none(self.test_ids, test),
        )
