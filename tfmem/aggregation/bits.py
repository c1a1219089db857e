"""Cuts batches of trials into the bits of groups of examples.

All bits of a group are then gathered in one place, packed anew along the trials, and counted once,
whatever the number of workers. On the way there, bits are packed along the examples, so that they
take one bit for each example and trial, however few trials a bundle has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import apache_beam as beam
import numpy as np

from tfmem.aggregation.reading import load_labels
from tfmem.estimation.kernels import transpose_bits
from tfmem.store.labels import Labels
from tfmem.store.predictions import TrialRecord

BATCH = 256  # number of trials whose bits are packed anew together


class Group(NamedTuple):
    """Examples that are counted together: int64, ascending."""

    train: np.ndarray
    test: np.ndarray


Grouping = Callable[[Labels], Mapping[int, Group]]


class GroupBits(NamedTuple):
    """The bits of one group's examples in a batch of trials, packed along the examples.

    Attributes:
      trial_ids: int64 `[batch]`.
      masks: uint8 `[batch, ceil(train / 8)]`.
      train_correct: uint8 `[batch, ceil(train / 8)]`.
      test_correct: uint8 `[batch, ceil(test / 8)]`.
    """

    trial_ids: np.ndarray
    masks: np.ndarray
    train_correct: np.ndarray
    test_correct: np.ndarray


class Bits(NamedTuple):
    """The bits of one group's examples, packed along the trials, as they are counted.

    Attributes:
      trial_ids: int64 `[trials]`, ascending.
      masks: uint64 `[train, words]`.
      train_correct: uint64 `[train, words]`.
      test_correct: uint64 `[test, words]`.
    """

    trial_ids: np.ndarray
    masks: np.ndarray
    train_correct: np.ndarray
    test_correct: np.ndarray


def by_class(labels: Labels) -> dict[int, Group]:
    """Makes a group for each class that has examples."""
    count = len(labels.class_names)
    train, test = (_members(x, count) for x in (labels.train_labels, labels.test_labels))
    groups = (Group(*members) for members in zip(train, test, strict=True))
    return {label: group for label, group in enumerate(groups) if any(map(len, group))}


def _members(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, classes)))


def by_tile(size: int, labels: Labels) -> dict[int, Group]:
    """Makes a group for each `size` training examples, without test examples."""
    none, count = np.zeros(0, np.int64), len(labels.train_labels)
    return {
        start // size: Group(np.arange(start, min(start + size, count)), none)
        for start in range(0, count, size)
    }


def within(keys: range, groups: Grouping, labels: Labels) -> dict[int, Group]:
    """Makes the groups that one part of a job counts."""
    return {key: group for key, group in groups(labels).items() if key in keys}


def only_tests(labels: Labels) -> dict[int, Group]:
    """Makes one group of all test examples."""
    return {0: Group(np.zeros(0, np.int64), np.arange(len(labels.test_labels)))}


class WithGroups(beam.DoFn):
    """A DoFn that knows the labels and the groups; each worker reads the labels itself."""

    def __init__(self, labels_path: str, groups: Grouping) -> None:
        self._labels_path = labels_path
        self._make_groups = groups

    def setup(self) -> None:
        """Reads the labels."""
        self._labels = load_labels(self._labels_path)
        self._groups = self._make_groups(self._labels)


class _Cut(WithGroups):
    """Cuts a batch of records into the bits of each group."""

    def process(self, batch: list[tuple[TrialRecord, str]]) -> Iterator[tuple[int, GroupBits]]:
        records = [record for record, _ in batch]
        trial_ids = np.array([record.trial_id for record in records], np.int64)
        train = any(len(group.train) for group in self._groups.values())
        test = any(len(group.test) for group in self._groups.values())
        trains = len(self._labels.train_labels) if train else 0
        tests = len(self._labels.test_labels) if test else 0
        masks = turned([record.subset_mask for record in records], trains)
        train_correct = turned([record.train_correct for record in records], trains)
        test_correct = turned([record.test_correct for record in records], tests)
        for key, group in self._groups.items():
            yield (
                key,
                GroupBits(
                    trial_ids,
                    _along_examples(masks[group.train], len(records)),
                    _along_examples(train_correct[group.train], len(records)),
                    _along_examples(test_correct[group.test], len(records)),
                ),
            )


def turned(packed: Sequence[bytes], count: int) -> np.ndarray:
    """Packs the bits of trials along the trials: uint64 `[count, words]`.

    Args:
      packed: for each trial `[ceil(count / 8)]` bytes, as records hold them.
      count: number of examples; 0 leaves all examples out.
    """
    if not count:
        return np.zeros((0, -(-len(packed) // 64)), np.uint64)
    return transpose_bits(np.stack([np.frombuffer(bits, np.uint8) for bits in packed]), count)


def _along_examples(bits: np.ndarray, trials: int) -> np.ndarray:
    """Packs uint64 `[examples, words]` along the examples: uint8 `[trials, ceil(examples / 8)]`."""
    if not len(bits):
        return np.zeros((trials, 0), np.uint8)
    rows = transpose_bits(bits.astype("<u8", copy=False).view(np.uint8), trials)
    return rows.astype("<u8", copy=False).view(np.uint8)[:, : -(-len(bits) // 8)]


def join(batches: Iterable[GroupBits], group: Group) -> Bits:
    """Joins the bits of a group from all batches; a trial that occurs several times counts once.

    Args:
      batches: the bits of the group in each batch.
      group: the examples of the group.
    """
    trial_ids, *parts = (np.concatenate(part) for part in zip(*batches, strict=True))
    known, first = np.unique(trial_ids, return_index=True)
    counts = len(group.train), len(group.train), len(group.test)
    turned = (transpose_bits(part[first], count) for part, count in zip(parts, counts, strict=True))
    return Bits(known, *turned)


@beam.ptransform_fn
def GatherBits(
    batches: beam.PCollection[list[tuple[TrialRecord, str]]], labels_path: str, groups: Grouping
) -> beam.PCollection[tuple[int, Iterable[GroupBits]]]:
    """Gathers all bits of each group."""
    return (
        batches
        | "Cut" >> beam.ParDo(_Cut(labels_path, groups)).with_output_types(tuple[int, GroupBits])
        | "GatherGroup" >> beam.GroupByKey()
    )
