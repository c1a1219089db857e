"""Chooses the runner of a Beam job, and checks its options before it starts."""

from __future__ import annotations

import contextlib
import difflib
import io
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator

from tfmem.messages.errors import InputError

_View = TypeVar("_View", bound=PipelineOptions)

LOCAL_RUNNERS = {"FnApiRunner", "DirectRunner", "BundleBasedDirectRunner"}
INSTALL_GCP = "pip install 'tfmem[gcp]' (Python 3.11 or later)"


class _JobOptions(PipelineOptions):
    """Options that keep their views: Beam asks for some at every step, and parses all words anew.

    That would be a third of the time of a small job. Views share their values with the options.
    """

    def view_as(self, cls: type[_View]) -> _View:
        """See `PipelineOptions`."""
        views: dict[type[PipelineOptions], Any] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        view: _View = views[cls]
        return view


def beam_options(beam_args: Sequence[str]) -> PipelineOptions:
    """Options of a Beam job; the runner is the in-process one unless another is named.

    `DirectRunner` is not the default because it first tries to download another runner.

    Raises:
      InputError: if a word is no option or one that Beam does not have, names a way of running
        that is known to lose data, or if something that Dataflow needs is missing.
    """
    for before, word in zip(["", *beam_args], beam_args, strict=False):
        if not word.startswith("--") and (not before.startswith("--") or "=" in before):
            raise InputError(f"Beam options: expected --NAME=VALUE, received {word!r}")
    options = _parsed(beam_args)
    standard = options.view_as(StandardOptions)
    if standard.runner is None:
        standard.runner = "FnApiRunner"
    _refuse_unknown(options)
    _refuse_what_loses_data(options)
    if goes_to_dataflow(options):
        _check_dataflow(options)
    return options


def job_options(beam_args: Sequence[str], places: Iterable[str]) -> PipelineOptions:
    """Options of a Beam job, whose workers can reach all its inputs and outputs.

    Args:
      beam_args: options for Beam.
      places: files, globs and folders that the job reads and writes.

    Raises:
      InputError: as `beam_options` does, or naming a place out of reach.
    """
    options = beam_options(beam_args)
    _check_reachable(options, places)
    return options


def kernel_threads(wanted: int | None, options: PipelineOptions) -> int | None:
    """How many threads a process counts with; None is one for each core.

    Args:
      wanted: the setting; None leaves it to the runner.
      options: of the job.
    """
    if wanted or runs_in_process(options):
        return wanted
    return 1


def runs_in_process(options: PipelineOptions) -> bool:
    """Whether this process does all the work itself."""
    runner = options.view_as(StandardOptions).runner.rsplit(".", 1)[-1]
    mode = options.view_as(DirectOptions).direct_running_mode
    return runner in LOCAL_RUNNERS and mode in (None, "in_memory")


def goes_to_dataflow(options: PipelineOptions) -> bool:
    """Whether the runner is Dataflow, however it is spelled."""
    name = options.view_as(StandardOptions).runner.rsplit(".", 1)[-1].lower()
    return name.removeprefix("test").removesuffix("runner") == "dataflow"


def check_file_systems(places: Iterable[str]) -> None:
    """Refuses places whose file systems Beam does not know.

    Raises:
      InputError: naming the place, and the package to install.
    """
    for place in places:
        try:
            FileSystems.get_filesystem(place)
        except (ValueError, BeamIOError):
            install = f": {INSTALL_GCP}" if FileSystems.get_scheme(place) == "gs" else ""
            raise InputError(
                f"{place}: no file system of that kind is installed{install}"
            ) from None


def _check_reachable(options: PipelineOptions, places: Iterable[str]) -> None:
    if not goes_to_dataflow(options):
        return
    for place in places:
        if FileSystems.get_scheme(place) != "gs":
            raise InputError(
                f"{place}: workers of Dataflow cannot reach it: expected gs://BUCKET/FOLDER"
            )


def _parsed(beam_args: Sequence[str]) -> PipelineOptions:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = _JobOptions(list(beam_args))
            options.get_all_options(retain_unknown_options=True)
    except SystemExit:  # of argparse, which prints hundreds of lines before it
        reason = said.getvalue().strip().rsplit("error: ", 1)[-1]
        raise InputError(f"Beam options: {reason}") from None
    return options


def _refuse_unknown(options: PipelineOptions) -> None:
    """Refuses options that no runner has, which Beam drops; a job server may know more of them."""
    runner = options.view_as(StandardOptions).runner.rsplit(".", 1)[-1]
    if runner not in LOCAL_RUNNERS and not goes_to_dataflow(options):
        return
    known, given = (
        options.get_all_options(retain_unknown_options=retained) for retained in (False, True)
    )
    if unknown := sorted(given.keys() - known.keys()):
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean --{close[0]}?" if close else ""
        raise InputError(f"Beam options: Beam has no option --{unknown[0]}{hint}")


def _refuse_what_loses_data(options: PipelineOptions) -> None:
    """Refuses `multi_threading`, whatever else leads to its unsafe buffer, and Dask."""
    why = "loses elements without notice (a writer and a timer share a buffer without a lock)"
    if options.view_as(DirectOptions).direct_running_mode == "multi_threading":
        raise InputError(
            f"--direct_running_mode=multi_threading {why}: use in_memory or multi_processing"
        )
    environment = options.view_as(PortableOptions).environment_type or ""
    if "embedded_python_grpc" in environment.lower():
        raise InputError(f"--environment_type={environment} {why}: use LOOPBACK, PROCESS or DOCKER")
    buffered = options.view_as(DebugOptions).lookup_experiment("data_buffer_time_limit_ms")
    if buffered not in (None, "0", "-1"):
        raise InputError(f"--experiments=data_buffer_time_limit_ms={buffered} {why}: leave it out")
    runner = options.view_as(StandardOptions).runner
    if "dask" in runner.lower():
        raise InputError(f"--runner={runner} loses elements without notice: use another runner")


def _check_dataflow(options: PipelineOptions) -> None:
    """Finds mistakes at once that Dataflow or its workers would report only after minutes."""
    try:
        from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

        # What Beam imports only when it submits the job, after minutes of staging.
        from apache_beam.runners.dataflow.internal import apiclient  # noqa: F401
    except ImportError:
        raise InputError(
            f"--runner=DataflowRunner: Google's client libraries are missing: {INSTALL_GCP}"
        ) from None
    cloud = options.view_as(GoogleCloudOptions)
    validator = PipelineOptionsValidator(options, DataflowRunner())
    if cloud.template_location:
        raise InputError(
            "--template_location: a template has nobody to publish what it writes: leave it out"
        )
    problems = [
        *validator.validate_cloud_options(cloud),
        *validator.validate_gcs_path(cloud, "temp_location"),
        *validator.validate_num_workers(options.view_as(WorkerOptions)),
    ]
    if cloud.staging_location:
        problems += validator.validate_gcs_path(cloud, "staging_location")
    if problems:
        raise InputError(
            f"--runner=DataflowRunner: {' '.join(problems)} Expected --project=…, --region=… and "
            "--temp_location=gs://BUCKET/FOLDER"
        )
    setup = options.view_as(SetupOptions)
    if setup.save_main_session is None:  # all code is in modules; the program's own is not needed
        setup.save_main_session = False
    ways = (setup.setup_file, setup.extra_packages, setup.requirements_file)
    if not options.view_as(WorkerOptions).sdk_container_image and not any(ways):
        raise InputError(
            "--runner=DataflowRunner: its workers would not have this package: expected "
            "--sdk_container_image=IMAGE, an image made with pipelines/worker.Dockerfile"
        )
