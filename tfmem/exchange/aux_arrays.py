"""Predictions of the checkpoints that Feldman & Zhang released, run by run.

Beside each of their models, in `EXPERIMENT/FRACTION/RUN/`, is an `aux_arrays.npz`:
`subsample_idx` are the training examples that the model was trained on; `correctness_train`,
`correctness_removed` and `correctness_test` say which predictions on these, on the other training
examples and on the test examples are right; and `index_train`, `index_removed` and `index_test` say
which example each of those is. Runs evaluate in different orders, so nothing can be known of a
position without its run's own index.

The index is that of the data as they were loaded for training. For CIFAR the authors' code counts
examples in the order in which TFDS has stored them (`cifar10:3.0.2`), which is not the official
order; for ImageNet the order is that of `tr_labels` and `tt_labels` in their `imagenet_index.npz`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmem.exchange.arrays import check_index
from tfmem.messages.errors import InputError
from tfmem.store.npz import NpzFile

FILE_NAME = "aux_arrays.npz"


@dataclass(frozen=True)
class ReleasedRun:
    """What one released model was trained on and got right, all in index order.

    Attributes:
      mask: bool `[num_train]`, whether it was trained on the example.
      train_correct: bool `[num_train]`.
      test_correct: bool `[num_test]`.
    """

    mask: np.ndarray
    train_correct: np.ndarray
    test_correct: np.ndarray


def read_run(path: Path) -> ReleasedRun:
    """Reads one `aux_arrays.npz`.

    Raises:
      InputError: naming file and array, if one is missing, damaged or of another kind or length; if
        the subset and the removed examples do not make up a training set, each example once; if
        `subsample_idx` are not the examples of `index_train`.
    """
    with NpzFile(path) as file:
        index, correct = {}, {}
        for split in ("train", "removed", "test"):
            values = file.array(f"index_{split}", "iu", ("examples",))
            index[split] = check_index(values, f"{path}: index_{split}")
            correct[split] = _zeros_and_ones(file, f"correctness_{split}", len(values))
        subset = check_index(
            file.array("subsample_idx", "iu", ("examples",)), f"{path}: subsample_idx"
        )
    index["training"] = np.concatenate([index["train"], index["removed"]])
    for split, name in (("training", "index_train and index_removed"), ("test", "index_test")):
        found = np.sort(index[split])
        missing = np.flatnonzero(found != np.arange(len(found)))
        if len(missing):
            raise InputError(
                f"{path}: {name}: expected each of {len(found)} examples once, received "
                f"{found[missing[0]]} where {missing[0]} was expected"
            )
    mask = np.zeros(len(index["training"]), bool)
    mask[index["train"]] = True
    inside = subset < len(mask)
    inside[inside] = mask[subset[inside]]
    if len(subset) != len(index["train"]) or not inside.all():
        raise InputError(
            f"{path}: subsample_idx: expected the {len(index['train'])} examples of index_train, "
            f"received {len(subset)}, of which {np.sum(~inside)} are not among them"
        )
    train_correct, test_correct = np.empty(len(mask), bool), np.empty(len(index["test"]), bool)
    for split, into in (
        ("train", train_correct),
        ("removed", train_correct),
        ("test", test_correct),
    ):
        into[index[split]] = correct[split]
    return ReleasedRun(mask, train_correct, test_correct)


def _zeros_and_ones(file: NpzFile, name: str, count: int) -> np.ndarray:
    values = file.array(name, "biuf", (count,))
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        raise InputError(
            f"{file.source}: {name}: expected only 0 and 1, received {values[wrong.argmax()]} at "
            f"position {wrong.argmax()}"
        )
    return values.astype(bool)
