"""The job that writes the influence of every training on every test example to one file.

ImageNet's file takes 256 GB, so rows are written to disk while other rows are counted. Each worker
writes its own rows to their places. It uses ordinary writes, no memory map: then a full disk is an
error and does not kill the process, and pages of the file do not count as memory of the job.
"""

from __future__ import annotations

import functools
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from tfmem.aggregation.bits import GroupBits, Grouping, WithGroups, join, only_tests
from tfmem.aggregation.counting import Room, WithTiles
from tfmem.aggregation.launching import run_job
from tfmem.aggregation.memory import free_memory
from tfmem.aggregation.parts import Side, find_source, in_parts, parts_of_tiles
from tfmem.aggregation.runners import beam_options, goes_to_dataflow, kernel_threads
from tfmem.aggregation.searching import WithNumbers, WithTile, tile_of
from tfmem.config import Statistic
from tfmem.estimation.dense import DenseInfluence
from tfmem.estimation.estimator import Measure
from tfmem.estimation.sums import Batch, Scales
from tfmem.messages.errors import InputError
from tfmem.store.files import complete_file, remove_leftovers
from tfmem.store.predictions import TrialRecord

MatrixType = Literal["float32", "float16"]

_PAIRS = 1 << 22  # number of pairs whose influence is held in memory at a time
_ROOM = Room()


def write_matrix(
    predictions: str | Sequence[str],
    labels: str,
    out: str,
    dtype: MatrixType = "float32",
    beam_args: Sequence[str] = (),
    statistic: Statistic | None = None,
    room: Room = _ROOM,
) -> dict[str, int]:
    """Estimates the influence of every training on every test example.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      out: a local file for `np.load(out, mmap_mode="r")`: `[train, test]` in index order. The row
        of an example that was in every trial or in none is NaN. The file appears when it is
        complete.
      dtype: type of the numbers; `float16` rounds correctness and probability by at most 0.00025
        more, other statistics by a part in 2,048, and those beyond 65,504 become infinite.
      beam_args: options for Beam.
      statistic: of what means are taken, which all records must hold; None is `score` if they hold
        one, and `correctness` otherwise.
      room: how much is held at a time.

    Returns:
      The numbers of records read and rows written.

    Raises:
      InputError: if there is nothing to read, naming the file and record that cannot be used; if
        `out` is not local or its disk too small; or if there is not enough room.
    """
    options = beam_options(beam_args)
    if goes_to_dataflow(options) or FileSystems.get_scheme(out) is not None:
        raise InputError(f"{out}: a matrix is written on this machine only: expected a local file")
    path = Path(out)
    if path.suffix != ".npy" or path.is_dir():
        raise InputError(f"{out}: expected a file called .npy for the matrix")
    source, known = find_source(predictions, labels, statistic)
    measure, tile = source.measure, tile_of(source.measure, room.tile)
    shape = len(known.train_labels), len(known.test_labels)
    memory = room.memory or free_memory(options)
    parts = parts_of_tiles(source.shards, known, measure, tile, _PAIRS, memory)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_disk(path, shape, dtype)
        remove_leftovers(path.parent, path.name)
        with complete_file(path) as file:
            threads = kernel_threads(room.threads, options)
            target = _lay_out(file, shape, dtype)
            count = functools.partial(
                _RowsOf,
                labels_path=labels,
                tile=tile,
                target=target,
                measure=measure,
                threads=threads,
            )

            def build(pipeline: beam.Pipeline) -> None:
                in_parts(pipeline, source, parts, count)

            return run_job(build, [], options)
    except OSError as error:
        raise InputError(f"{error.filename or out}: {error.strerror}") from None


def _check_disk(path: Path, shape: tuple[int, int], dtype: MatrixType) -> None:
    needed, free = math.prod(shape) * np.dtype(dtype).itemsize, shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"{path}: {shape[0]:,} x {shape[1]:,} numbers of {dtype} need {needed / 1e9:,.1f} GB, "
            f"but {free / 1e9:,.1f} GB are free"
        )


class _Target(NamedTuple):
    """A file that already has its full size, and whose rows begin at `offset`."""

    path: str
    offset: int
    dtype: MatrixType


def _lay_out(file: BinaryIO, shape: tuple[int, int], dtype: MatrixType) -> _Target:
    kind = np.dtype(dtype)
    header = {"descr": kind.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    offset = file.tell()
    file.truncate(offset + math.prod(shape) * kind.itemsize)
    return _Target(file.name, offset, dtype)


@beam.ptransform_fn
def _RowsOf(
    records: beam.PCollection[tuple[TrialRecord, str]],
    tiles: range,
    num_trials: beam.pvalue.AsSingleton,
    scales: Side,
    labels_path: str,
    tile: int,
    target: _Target,
    measure: Measure,
    threads: int | None,
) -> beam.PCollection[int]:
    """Numbers of rows that were written, of some tiles of training examples."""
    if measure.counted:
        write = functools.partial(_WriteTile, target=target, threads=threads)
        rows = WithTiles(tiles, num_trials, labels_path, tile, write)
    else:
        write_numbers = functools.partial(_WriteNumbers, measure=measure, target=target)
        rows = WithNumbers(tiles, num_trials, scales, labels_path, tile, measure, write_numbers)
    return records | "WriteTiles" >> rows


class _Rows:
    """Writes rows of the matrix."""

    def __init__(self, target: _Target) -> None:
        self._target = target
        self._written = Metrics.counter("tfmem", "rows_written")
        self._unknown = Metrics.counter("tfmem", "rows_of_nan")

    def write(
        self,
        first: int,
        masks: np.ndarray,
        num_test: int,
        estimate: Callable[[np.ndarray], np.ndarray],
    ) -> int:
        """Writes the rows of a tile.

        Args:
          first: index of the tile's first training example.
          masks: `[train, …]`, the subsets that have each, as `estimate` takes them.
          num_test: number of test examples.
          estimate: the influence `[train, test]` of training examples.

        Returns:
          How many rows they are.
        """
        kind = np.dtype(self._target.dtype)
        step = max(1, _PAIRS // max(1, num_test))
        with open(self._target.path, "r+b") as file:
            file.seek(self._target.offset + first * num_test * kind.itemsize)
            for start in range(0, len(masks), step):
                values = estimate(masks[start : start + step])
                self._unknown.inc(int(np.isnan(values[:, :1]).sum()))
                with np.errstate(over="ignore"):
                    file.write(values.astype(kind, copy=False).data)
        self._written.inc(len(masks))
        return len(masks)


class _WriteTile(WithGroups):
    """Estimates the rows of a tile and writes them to the file; yields their number."""

    def __init__(
        self, labels_path: str, groups: Grouping, target: _Target, threads: int | None
    ) -> None:
        super().__init__(labels_path, groups)
        self._rows = _Rows(target)
        self._threads = threads

    def process(
        self,
        element: tuple[int, Iterable[GroupBits]],
        num_trials: int,
        test_bits: Iterable[GroupBits],
    ) -> Iterator[int]:
        tile, batches = element
        masks = join(batches, self._groups[tile]).masks
        test_correct = join(test_bits, only_tests(self._labels)[0]).test_correct
        estimate = DenseInfluence(test_correct, num_trials, self._threads)
        first = int(self._groups[tile].train[0])
        yield self._rows.write(first, masks, estimate.num_test, estimate)


class _WriteNumbers(WithTile):
    """All numbers of a tile into its rows of the file; yields how many they are."""

    def __init__(
        self, labels_path: str, groups: Grouping, measure: Measure, target: _Target
    ) -> None:
        super().__init__(labels_path, groups, measure)
        self._rows = _Rows(target)

    def process(
        self,
        element: tuple[int, Iterable[Batch]],
        num_trials: int,
        test_batches: Iterable[Batch],
        scales: Scales | None = None,
    ) -> Iterator[int]:
        tile = self.tile(element, num_trials, test_batches, scales)
        products = tile.products
        first = int(tile.train.index[0])
        yield self._rows.write(first, tile.masks, products.num_test, products.influence)
