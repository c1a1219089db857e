"""Cuts batches of trials into the bits of groups of examples, turned along the trials.

Everything of a group then meets in one place and is counted once, whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import apache_beam as beam
import numpy as np

from tfmem.aggregation.reading import load_labels
from tfmem.estimation.kernels import transpose_bits
from tfmem.predictions import Labels, TrialRecord

BATCH = 256  # trials: few words of 64 are then less than full


class Group(NamedTuple):
    """Examples that are counted together: int64, ascending."""

    train: np.ndarray
    test: np.ndarray


Groups = Callable[[Labels], Mapping[int, Group]]


class Bits(NamedTuple):
    """The bits of one group's examples in a batch of trials.

    Attributes:
      trial_ids: int64 `[batch]`.
      masks: uint64 `[train, words]`, packed along the trials of the batch.
      train_correct: uint64 `[train, words]`.
      test_correct: uint64 `[test, words]`.
    """

    trial_ids: np.ndarray
    masks: np.ndarray
    train_correct: np.ndarray
    test_correct: np.ndarray


def by_class(labels: Labels) -> dict[int, Group]:
    """A group for each class that has examples."""
    count = len(labels.class_names)
    train, test = (_members(x, count) for x in (labels.train_labels, labels.test_labels))
    groups = (Group(*members) for members in zip(train, test, strict=True))
    return {label: group for label, group in enumerate(groups) if any(map(len, group))}


def _members(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, classes)))


def by_tile(size: int, labels: Labels) -> dict[int, Group]:
    """A group for each `size` training examples, without test examples."""
    none, count = np.zeros(0, np.int64), len(labels.train_labels)
    return {
        start // size: Group(np.arange(start, min(start + size, count)), none)
        for start in range(0, count, size)
    }


def within(keys: range, groups: Groups, labels: Labels) -> dict[int, Group]:
    """Those of the groups that are in one part of a job."""
    return {key: group for key, group in groups(labels).items() if key in keys}


def only_tests(labels: Labels) -> dict[int, Group]:
    """One group of all test examples."""
    return {0: Group(np.zeros(0, np.int64), np.arange(len(labels.test_labels)))}


class WithGroups(beam.DoFn):
    """A DoFn that knows the labels and the groups; workers read them where they are."""

    def __init__(self, labels_path: str, groups: Groups) -> None:
        self._labels_path = labels_path
        self._make_groups = groups

    def setup(self) -> None:
        """Reads the labels."""
        self._labels = load_labels(self._labels_path)
        self._groups = self._make_groups(self._labels)


class _Cut(WithGroups):
    """A batch of records into the bits of each group."""

    def process(self, batch: list[tuple[TrialRecord, str]]) -> Iterator[tuple[int, Bits]]:
        records = [record for record, _ in batch]
        trial_ids = np.array([record.trial_id for record in records], np.int64)
        train = any(len(group.train) for group in self._groups.values())
        test = any(len(group.test) for group in self._groups.values())
        masks, train_correct, test_correct = (
            turned(records, name, count if wanted else 0)
            for name, count, wanted in (
                ("subset_mask", len(self._labels.train_labels), train),
                ("train_correct", len(self._labels.train_labels), train),
                ("test_correct", len(self._labels.test_labels), test),
            )
        )
        for key, group in self._groups.items():
            yield (
                key,
                Bits(
                    trial_ids,
                    masks[group.train],
                    train_correct[group.train],
                    test_correct[group.test],
                ),
            )


def turned(records: list[TrialRecord], name: str, count: int) -> np.ndarray:
    """A packed feature of records along the trials: uint64 `[count, words]`."""
    if not count:
        return np.zeros((0, -(-len(records) // 64)), np.uint64)
    packed = np.stack([np.frombuffer(getattr(record, name), np.uint8) for record in records])
    return transpose_bits(packed, count)


def join(batches: Iterable[Bits]) -> tuple[np.ndarray, ...]:
    """Masks, train and test correctness of all batches; the same order of trials for every group.

    A trial that comes again (with equal content) has its bits cleared.
    """
    ordered = sorted(batches, key=lambda batch: batch.trial_ids.tolist())
    trial_ids = np.concatenate([batch.trial_ids for batch in ordered])
    first = np.zeros(len(trial_ids), bool)
    first[np.unique(trial_ids, return_index=True)[1]] = True
    if not first.all():
        ends = np.cumsum([len(batch.trial_ids) for batch in ordered])
        parts = np.split(first, ends[:-1])
        ordered = [_kept(batch, keep) for batch, keep in zip(ordered, parts, strict=True)]
    _, masks, train_correct, test_correct = zip(*ordered, strict=True)
    return tuple(np.concatenate(x, axis=1) for x in (masks, train_correct, test_correct))


def _kept(batch: Bits, keep: np.ndarray) -> Bits:
    """The bits of some trials; those of others are cleared."""
    bits = np.zeros(batch.masks.shape[1] * 64, np.uint8)
    bits[: len(keep)] = keep
    word = np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64)
    return Bits(batch.trial_ids, *(values & word for values in batch[1:]))


@beam.ptransform_fn
def GatherBits(
    batches: beam.PCollection[list[tuple[TrialRecord, str]]], labels_path: str, groups: Groups
) -> beam.PCollection[tuple[int, Iterable[Bits]]]:
    """All bits of each group."""
    return (
        batches
        | "Cut" >> beam.ParDo(_Cut(labels_path, groups)).with_output_types(tuple[int, Bits])
        | "GatherGroup" >> beam.GroupByKey()
    )
