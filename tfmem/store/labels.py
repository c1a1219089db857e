"""The labels of a run's data, kept beside its predictions so that estimation needs no data set.

They are in `labels.npz`: `train_labels` and `test_labels` in index order, `class_names`,
`dataset_fingerprint`, and, if they are known, the other arrays that `Labels` names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.npz import NpzFile, npz_bytes

LABELS_NAME = "labels.npz"
MOST_CLASSES = 1 << 20
WITHOUT_CLASSES = ("all examples",)  # the one class of a task without classes


@dataclass(frozen=True)
class Labels:
    """All that estimation needs to know about a data set.

    Attributes:
      train_labels: int64 `[num_train]` in index order.
      test_labels: int64 `[num_test]` in index order.
      class_names: one name for each class.
      dataset_fingerprint: hash that records must carry; empty if it is not known.
      clean_train_labels: int64 `[num_train]`, the labels before noise was added; None without
        noise.
      has_classes: False if the task has no classes: then all labels are 0, so that all examples are
        of one class, called `WITHOUT_CLASSES`.
      train_ids: str `[num_train]`, the user's own names of training examples; None if there are
        none.
      test_ids: str `[num_test]`, likewise.
      train_targets: float64 `[num_train]` or `[num_train, outputs]`, what models are to predict
        where that is not the label; None if it is.
      test_targets: float64 `[num_test]` or `[num_test, outputs]`, likewise.
    """

    train_labels: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    dataset_fingerprint: bytes = b""
    clean_train_labels: np.ndarray | None = None
    has_classes: bool = True
    train_ids: np.ndarray | None = None
    test_ids: np.ndarray | None = None
    train_targets: np.ndarray | None = None
    test_targets: np.ndarray | None = None

    def pairs_in_class(self) -> int:
        """The number of pairs of a training and a test example of the same class."""
        counts = [
            np.bincount(labels, minlength=len(self.class_names))
            for labels in (self.train_labels, self.test_labels)
        ]
        return int(counts[0] @ counts[1])

    def to_npz(self) -> bytes:
        """Returns the contents of a `labels.npz`."""
        known: dict[str, Any] = {}
        for name, kind in _OPTIONAL.items():
            if getattr(self, name) is not None:
                known[name] = np.asarray(getattr(self, name), kind)
        if not self.has_classes:
            known["has_classes"] = np.array(False)
        return npz_bytes(
            {
                "train_labels": np.asarray(self.train_labels, np.int64),
                "test_labels": np.asarray(self.test_labels, np.int64),
                "class_names": np.array(self.class_names, np.str_),
                "dataset_fingerprint": np.frombuffer(self.dataset_fingerprint, np.uint8),
                **known,
            },
            compressed=True,
        )

    @classmethod
    def from_npz(cls, contents: bytes, source: str) -> Labels:
        """Reads a `labels.npz`; all but `train_labels` and `test_labels` may be absent.

        Raises:
          InputError: if it is no such file, has an array of another name or length, or if its
            labels are not those of classes 0, 1, …, or not all 0 in a task without classes.
        """
        known = [field.name for field in fields(cls)]
        with NpzFile(contents, source) as arrays:
            if others := [name for name in arrays.names if name not in known]:
                raise InputError(
                    f"{source}: expected arrays {', '.join(known)}, received {others[0]!r}"
                )
            train, test = (
                class_numbers(arrays.array(name, "iu", ("examples",)), f"{source}: {name}")
                for name in ("train_labels", "test_labels")
            )
            classes = int(max(train.max(initial=-1), test.max(initial=-1))) + 1
            names: Iterable[object] = range(classes)
            if "class_names" in arrays:
                names = arrays.array("class_names", "iuU", ("classes",)).tolist()
            fingerprint = b""
            if "dataset_fingerprint" in arrays:
                fingerprint = arrays.array("dataset_fingerprint", "u", ("bytes",)).tobytes()
            optional: dict[str, Any] = {}
            if "clean_train_labels" in arrays:
                optional["clean_train_labels"] = class_numbers(
                    arrays.array("clean_train_labels", "iu", train.shape),
                    f"{source}: clean_train_labels",
                )
            for split, labels in (("train", train), ("test", test)):
                if (name := f"{split}_ids") in arrays:
                    optional[name] = arrays.array(name, "U", labels.shape)
                if (name := f"{split}_targets") in arrays:
                    optional[name] = _targets(arrays, name, len(labels))
            if "has_classes" in arrays:
                optional["has_classes"] = bool(arrays.array("has_classes", "b", ()))
        class_names = tuple(map(str, names))
        if len(class_names) < classes:
            raise InputError(
                f"{source}: label {classes - 1} has no name ({len(class_names)} class_names)"
            )
        if not optional.get("has_classes", True) and len(class_names) != 1:
            raise InputError(
                f"{source}: has_classes is False: expected one of class_names, received "
                f"{len(class_names)}"
            )
        return cls(train, test, class_names, fingerprint, **optional)


_OPTIONAL: dict[str, Any] = {
    "clean_train_labels": np.int64,
    "train_ids": np.str_,
    "test_ids": np.str_,
    "train_targets": np.float64,
    "test_targets": np.float64,
}


def _targets(arrays: NpzFile, name: str, count: int) -> np.ndarray:
    found = arrays.array(name, "f")
    if found.ndim not in (1, 2) or len(found) != count:
        raise InputError(
            f"{arrays.source}: {name}: expected floats [{count}] or [{count}, outputs], received "
            f"{list(found.shape)}"
        )
    return found.astype(np.float64)


def class_numbers(values: np.ndarray, where: str) -> np.ndarray:
    """Checks class numbers, and returns them as int64.

    Args:
      values: integers of any type and shape.
      where: file and array, for the message.

    Raises:
      InputError: naming the first number that is negative, or that is too large to count examples
        by class.
    """
    wrong = (values < 0) | (values >= MOST_CLASSES)
    if wrong.any():
        position = int(wrong.argmax())
        raise InputError(
            f"{where}: expected class numbers from 0, below {MOST_CLASSES:,}, received "
            f"{values.flat[position]} at position {position}"
        )
    return values.astype(np.int64)
