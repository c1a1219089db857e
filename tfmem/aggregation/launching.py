"""Starts a Beam job, publishes its outputs, and says in one line why it failed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
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

from tfmem.aggregation.failures import cause
from tfmem.aggregation.globs import delete, literally, matching
from tfmem.aggregation.runners import goes_to_dataflow
from tfmem.estimation.independence import shared_subsets
from tfmem.messages.errors import DryRun, InputError
from tfmem.messages.terminal import tell, warn
from tfmem.store.folders import open_folder
from tfmem.store.manifests import FileFacts, Manifest
from tfmem.store.owners import is_abandoned, new_owner
from tfmem.store.publishing import Member, is_needed, publish, settle
from tfmem.store.records import shard_name

_PREFIX = ".unfinished-job-"


def unfinished_name() -> str:
    """A name for the folder of a job's unfinished files, which no other job has."""
    return f"{_PREFIX}{new_owner()}"


@dataclass(frozen=True)
class Output:
    """Files of one kind that a job writes; their number and names depend on the data set alone.

    Attributes:
      folder: final folder of the files, on any Beam filesystem.
      kind: first part of the files' names.
      keys: number of keys that records can have, from 0.
      per_file: number of keys in a file.
      work: the folder within `folder` that holds the files until the job has succeeded; kinds that
        share a folder share this one, too.
      made_from: what is known, before the job runs, of the data that the files are made from.
    """

    folder: str
    kind: str
    keys: int
    per_file: int
    work: str = field(default_factory=unfinished_name)
    made_from: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unfinished(self) -> str:
        """The path of the folder where files are written."""
        return FileSystems.join(self.folder, self.work)

    @property
    def names(self) -> list[str]:
        """The names of all files."""
        count = max(1, -(-self.keys // self.per_file))
        return [shard_name(self.kind, number, count) for number in range(count)]

    def note(self, name: str, known: Mapping[str, Any]) -> None:
        """Stores what a worker knows, for the process that publishes."""
        open_folder(self.unfinished).write(f"{name}.json", json.dumps(known).encode())

    def noted(self, name: str) -> dict[str, Any]:
        """The values that `note` stored."""
        with open_folder(self.unfinished).open(f"{name}.json") as file:
            found: dict[str, Any] = json.loads(file.read())
        return found

    def discard(self) -> None:
        """Removes what is left of the unfinished files, unless they became valid there."""
        if not is_needed(self.folder, self.work):
            _remove(self.unfinished)

    def discard_stale(self) -> None:
        """Removes unfinished files of jobs that were killed (see `owners.is_abandoned`)."""
        changed: dict[str, float] = {}
        if os.path.isdir(self.folder):
            for entry in os.scandir(self.folder):
                if entry.name.startswith(_PREFIX):
                    with contextlib.suppress(OSError):
                        changed[entry.path] = entry.stat().st_mtime
        else:
            for file in matching(FileSystems.join(literally(self.folder), f"{_PREFIX}*", "*")):
                folder = FileSystems.split(file.path)[0]
                changed[folder] = max(changed.get(folder, 0), file.last_updated_in_seconds)
        for folder, when in changed.items():
            name = FileSystems.split(folder)[1]
            owner = name.removeprefix(_PREFIX)
            if is_abandoned(owner, when) and not is_needed(self.folder, name):
                with contextlib.suppress(OSError, BeamIOError):  # another job was faster
                    _remove(folder)


def _remove(folder: str) -> None:
    if os.path.isdir(folder):
        shutil.rmtree(folder)
    elif left := _listed(folder):  # object stores have no folders
        delete(left)


def _listed(folder: str) -> list[str]:
    return [found.path for found in matching(FileSystems.join(literally(folder), "*"))]


def run_job(
    build: Callable[[beam.Pipeline], None],
    outputs: Sequence[Output],
    options: PipelineOptions,
    noted: Sequence[str] = (),
) -> dict[str, int]:
    """Builds and runs a pipeline, then publishes its outputs as one set.

    Args:
      build: adds the steps; they write to `Output.unfinished`.
      outputs: what they write.
      options: as `job_options` returns them.
      noted: names of the notes that steps leave with the first output, of what all are made from.

    Returns:
      The job's counters, where the runner has them.

    Raises:
      InputError: with the cause in one line, if the job fails; nothing is then published.
      DryRun: if Dataflow's runner was only to describe the job.
    """
    try:
        for output in outputs:
            settle(open_folder(output.folder))
            output.discard_stale()
        for folder in {output.unfinished for output in outputs}:
            FileSystems.mkdirs(folder)
        pipeline = beam.Pipeline(options=options)
        with _as_in_programs():
            build(pipeline)
            result = pipeline.run()
        if goes_to_dataflow(options) and options.view_as(TestOptions).dry_run:
            raise DryRun(_described(pipeline, options.view_as(DebugOptions).dataflow_job_file))
        _say_where(result, options.view_as(GoogleCloudOptions))
        _wait(result)
        _publish(outputs, noted)
        own = MetricsFilter().with_namespace("tfmem")
        counters: Counter[str] = Counter()
        for counter in result.metrics().query(own)["counters"]:
            counters[counter.key.metric.name] += counter.committed
        return dict(counters)
    except DryRun:
        raise
    except Exception as error:
        raise cause(error) from error
    finally:
        for output in outputs:
            output.discard()


@contextlib.contextmanager
def _as_in_programs() -> Iterator[None]:
    """Lets Beam label steps in a notebook as it does in a program.

    In a notebook, Beam puts the number of the cell before each label, and imports its data frames
    for that, which pandas 3 does not allow (`DataFrame` has no `first`). No option prevents it.
    """
    before = beam.pipeline.alter_label_if_ipython
    beam.pipeline.alter_label_if_ipython = lambda transform, pvalueish: None
    try:
        yield
    finally:
        beam.pipeline.alter_label_if_ipython = before


def _publish(outputs: Sequence[Output], noted: Sequence[str]) -> None:
    """Makes all files valid at once, and records what the job found that they are made from."""
    known = {key: value for name in noted for key, value in outputs[0].noted(name).items()}
    if "different_subsets" in known:
        models = known.get("subsets", known["trials"])
        num_train = outputs[0].made_from["num_train"]
        if said := shared_subsets(models, known["different_subsets"], num_train):
            warn(said)
    members: dict[str, Member] = {}
    for output in outputs:
        files = {name: FileFacts(**output.noted(name)) for name in output.names}
        if output.folder in members:
            files |= members[output.folder].manifest.files
        manifest = Manifest({**known, **output.made_from}, files)
        members[output.folder] = Member(output.folder, output.work, manifest)
    if members:
        publish(list(members.values()))


def _described(pipeline: beam.Pipeline, path: str | None) -> str:
    """Writes the graph of a job, if it is to be kept, and says that nothing was sent."""
    if not path:
        return "Dry run: nothing was sent (--dataflow_job_file=FILE keeps the job's graph)"
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(MessageToJson(pipeline.to_runner_api()).encode())
    return f"Dry run: nothing was sent; the job's graph is in {path}"


def _say_where(result: PipelineResult, cloud: GoogleCloudOptions) -> None:
    """Prints the address of the page of a job on Dataflow, which runs for minutes to hours."""
    if job_id := getattr(result, "job_id", None):
        page = f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{job_id()}"
        tell(f"Dataflow job: {page}?project={cloud.project}")


def _wait(result: PipelineResult) -> None:
    """Waits for the end of a job; whoever stops waiting stops the job, which costs money."""
    try:
        state = result.wait_until_finish()
    except KeyboardInterrupt:
        result.cancel()
        raise
    if state != PipelineState.DONE:
        raise InputError(f"the Beam job ended as {state}: nothing was published")
