"""Starts a Beam job, says in one line why one failed, and publishes what one has written."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    TestOptions,
)
from apache_beam.runners.runner import PipelineResult, PipelineState
from google.protobuf.json_format import MessageToJson

from tfmem.aggregation.leftovers import PREFIX, is_stale, new_name
from tfmem.aggregation.runners import goes_to_dataflow
from tfmem.errors import DryRun, InputError
from tfmem.records import parse_shard_name, shard_name


@dataclass(frozen=True)
class Output:
    """Files of one kind that a job writes; their number and names depend on the data set alone.

    Attributes:
      folder: where they end up, on any Beam filesystem.
      kind: first part of their names.
      keys: number of keys that records can have, from 0.
      per_file: keys a file.
      unfinished: where they are written until the job has succeeded.
    """

    folder: str
    kind: str
    keys: int
    per_file: int
    unfinished: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unfinished", FileSystems.join(self.folder, new_name()))

    @property
    def names(self) -> list[str]:
        """The names of all files."""
        count = max(1, -(-self.keys // self.per_file))
        return [shard_name(self.kind, number, count) for number in range(count)]

    def publish(self) -> None:
        """Moves the files to their folder and removes those that an older job left there."""
        names = self.names
        FileSystems.rename(
            [FileSystems.join(self.unfinished, name) for name in names],
            [FileSystems.join(self.folder, name) for name in names],
        )
        older = [p for p in _listed(self.folder) if self._is_older(FileSystems.split(p)[1])]
        if older:
            _delete(older)

    def _is_older(self, name: str) -> bool:
        parsed = parse_shard_name(name)
        return bool(parsed and parsed[0] == self.kind and name not in self.names)

    def discard(self) -> None:
        """Removes what is left of the unfinished files."""
        _remove(self.unfinished)

    def discard_stale(self) -> None:
        """Removes unfinished files of jobs that were killed (see `leftovers.is_stale`)."""
        changed: dict[str, float] = {}
        if os.path.isdir(self.folder):
            for entry in os.scandir(self.folder):
                if entry.name.startswith(PREFIX):
                    with contextlib.suppress(OSError):
                        changed[entry.path] = entry.stat().st_mtime
        else:
            for file in _match(FileSystems.join(_quoted(self.folder), f"{PREFIX}*", "*")):
                folder = FileSystems.split(file.path)[0]
                changed[folder] = max(changed.get(folder, 0), file.last_updated_in_seconds)
        for folder, when in changed.items():
            if is_stale(FileSystems.split(folder)[1], when):
                with contextlib.suppress(OSError, BeamIOError):  # another job was faster
                    _remove(folder)


def _remove(folder: str) -> None:
    if os.path.isdir(folder):
        shutil.rmtree(folder)
    elif left := _listed(folder):  # object stores have no folders
        _delete(left)


def _listed(folder: str) -> list[str]:
    return [found.path for found in _match(FileSystems.join(_quoted(folder), "*"))]


def _match(pattern: str) -> list[FileMetadata]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Possible nested set", FutureWarning)
        return [found for match in FileSystems.match([pattern]) for found in match.metadata_list]


def _delete(paths: Sequence[str]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Possible nested set", FutureWarning)
        FileSystems.delete([_quoted(path) for path in paths])


def _quoted(path: str) -> str:
    """A glob that matches the path alone: Beam lists and deletes by glob."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def run_job(
    build: Callable[[beam.Pipeline], None], outputs: Sequence[Output], options: PipelineOptions
) -> dict[str, int]:
    """Builds and runs a pipeline, then publishes its outputs.

    Args:
      build: adds the steps; they write to `Output.unfinished`.
      outputs: what they write.
      options: as `job_options` returns them.

    Returns:
      The job's counters, where the runner has them.

    Raises:
      InputError: with the cause in one line, if the job fails; nothing is then published.
      DryRun: if Dataflow's runner was only to describe the job.
    """
    try:
        for output in outputs:
            output.discard_stale()
            FileSystems.mkdirs(output.unfinished)
        pipeline = beam.Pipeline(options=options)
        build(pipeline)
        result = pipeline.run()
        if goes_to_dataflow(options) and options.view_as(TestOptions).dry_run:
            raise DryRun(_described(pipeline, options.view_as(DebugOptions).dataflow_job_file))
        _say_where(result, options.view_as(GoogleCloudOptions))
        _wait(result)
        for output in outputs:
            output.publish()
        own = MetricsFilter().with_namespace("tfmem")
        counters: Counter[str] = Counter()
        for counter in result.metrics().query(own)["counters"]:
            counters[counter.key.metric.name] += counter.committed
        return dict(counters)
    except DryRun:
        raise
    except Exception as error:
        raise _cause(error) from error
    finally:
        for output in outputs:
            output.discard()


def _described(pipeline: beam.Pipeline, path: str | None) -> str:
    """Writes the graph of a job, if it is to be kept, and says that nothing was sent."""
    if not path:
        return "Dry run: nothing was sent (--dataflow_job_file=FILE keeps the job's graph)"
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(MessageToJson(pipeline.to_runner_api()).encode())
    return f"Dry run: nothing was sent; the job's graph is in {path}"


def _say_where(result: PipelineResult, cloud: GoogleCloudOptions) -> None:
    """Prints the page of a job on Dataflow, which goes on for minutes to hours."""
    if job_id := getattr(result, "job_id", None):
        page = f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{job_id()}"
        print(f"Dataflow job: {page}?project={cloud.project}", file=sys.stderr)


def _wait(result: PipelineResult) -> None:
    """Waits for the end of a job; whoever stops waiting stops the job, which costs money."""
    try:
        state = result.wait_until_finish()
    except KeyboardInterrupt:
        result.cancel()
        raise
    if state != PipelineState.DONE:
        raise InputError(f"the Beam job ended as {state}: nothing was published")


def _cause(error: Exception) -> InputError:
    """One line: the `InputError` of a worker, which Beam wraps in its words, or what it says."""
    if isinstance(error, InputError):
        return error
    said = str(error)
    if found := re.search(r"InputError: (.*?)(?: \[while running|\n|$)", said):
        return InputError(found[1])
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [repr(error)]
    last = re.sub(r" \[while running.*", "", lines[-1])
    return InputError(f"the Beam job failed: {type(error).__name__}: {last}")
