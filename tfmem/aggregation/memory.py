"""Divides a job into parts: it counts training examples in as many parts as memory requires."""

from __future__ import annotations

from collections.abc import Sequence

import psutil
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from tfmem.aggregation.runners import LOCAL_RUNNERS
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.store.records import read_records

# Measured with the in-process runner: what it shuffles is there encoded, grouped and decoded, and
# the allocator does not give back all that batches of records took.
_PROGRAM = 450 * 2**20
_COPIES = 5
_COPIES_OF_A_BATCH = 14
_MOST = 0.8  # of what is free
_FRAME = 16  # bytes of a TFRecord beside its payload


def free_memory(options: PipelineOptions) -> int | None:
    """The memory that a job may take by default: most of the free memory of this machine.

    Args:
      options: options of the job; None is returned if it does not run on this machine.
    """
    runner = options.view_as(StandardOptions).runner.rsplit(".", 1)[-1]
    return int(_MOST * psutil.virtual_memory().available) if runner in LOCAL_RUNNERS else None


def divide(
    held: Sequence[int], batch: int, working: int, memory: int | None, advice: str = ""
) -> list[range]:
    """Divides units of work into parts, so that each part fits in memory.

    Args:
      held: bytes of the bits and counts of each unit.
      batch: bytes of the bits of a batch of records.
      working: bytes of everything else that a part holds.
      memory: bytes that the whole process may take; None is no limit.
      advice: what the error says can be done.

    Returns:
      Runs of units, in order; one if there is no limit.

    Raises:
      InputError: if one unit alone takes more.
    """
    whole = range(len(held))
    if memory is None:
        return [whole]
    fixed = _PROGRAM + _COPIES_OF_A_BATCH * batch + working
    starts, total = [0], fixed
    for unit in whole:
        size = _COPIES * held[unit]
        if fixed + size > memory:
            raise InputError(
                f"memory: expected at least {_shown(fixed + size)} for these predictions, received "
                f"{_shown(memory)}{advice}"
            )
        if total + size > memory:
            starts.append(unit)
            total = fixed
        total += size
    found = [range(*ends) for ends in zip(starts, [*starts[1:], len(held)], strict=True)]
    if len(found) > 1:
        say(f"memory: at most {_shown(memory)}, in {len(found)} parts")
    else:
        say(f"memory: about {_shown(total)}")
    return found


def row_bytes(shards: Sequence[str]) -> int:
    """Bytes of the bits of all trials of one example: 64-bit words, for at least as many trials.

    Args:
      shards: paths of prediction shards, on any Beam filesystem; the first record of the first says
        how long records are.

    Raises:
      InputError: if there is no record.
    """
    for shard in shards:
        with FileSystems.open(shard) as opened:
            first = next(iter(read_records(opened, shard)), None)
        if first:
            total = sum(_size(shard) for shard in shards)
            return 8 * -(-total // (64 * (len(first[0]) + _FRAME)))
    raise InputError(f"{shards[0]}: no records")


def _size(path: str) -> int:
    """Bytes of one file, whatever is in its name: `match` would read it as a glob."""
    filesystem = FileSystems.get_filesystem(path)
    return int(filesystem.size(path))


def _shown(size: int) -> str:
    return f"{size / 2**20:,.{0 if size > 2**20 else 2}f} MiB"
