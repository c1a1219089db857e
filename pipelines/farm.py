"""Trains the trials of a run as a Beam job, which any runner can distribute."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.metrics import Metrics

from tfmem.aggregation.launching import run_job
from tfmem.aggregation.runners import job_options
from tfmem.components.train import TRAIN
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.datasets.summary import load_and_tell
from tfmem.messages.errors import InputError
from tfmem.store.folders import open_folder
from tfmem.training import TrialSummary, open_farm
from tfmem.training.trials import Farm

_FARMS: dict[
    tuple[Config, str], Farm
] = {}  # farms of this process; making one takes seconds to minutes
_TURN = threading.Lock()  # a process trains one shard at a time, whatever threads its runner has


class _TrainShard(beam.DoFn):
    """Trains and writes a shard, and yields its number of trials."""

    def __init__(self, config: Config, out: str) -> None:
        self._config = config
        self._out = out
        self._trained = Metrics.counter("tfmem", "trials_trained")

    def process(self, shard: int) -> Iterator[int]:
        with _TURN:
            farm = self._farm()
            notes = farm.train_shard(shard, farm.trainers[0], "beam", lambda trials: None)
        self._trained.inc(len(notes))
        yield len(notes)

    def _farm(self) -> Farm:
        key = self._config, self._out
        if key not in _FARMS:
            training = self._config.training.model_copy(update={"lanes": 1})
            config = self._config.model_copy(update={"training": training})
            _FARMS[key] = open_farm(config, load(config.dataset), self._out)
        return _FARMS[key]


@beam.ptransform_fn
def TrainShards(
    pipeline: beam.Pipeline,
    shards: Sequence[int],
    config: Config,
    out: str,
    accelerator: str | None = None,
) -> beam.PCollection[int]:
    """Trains shards of a run whose folder is prepared.

    Args:
      pipeline: the pipeline to which steps are added.
      shards: numbers of the shards.
      config: the run's settings.
      out: the run's folder, to which all workers of the runner can write.
      accelerator: the accelerator that each worker needs, as Beam's resource hint of this name.

    Returns:
      The number of trials of each shard.
    """
    hints = {"accelerator": accelerator} if accelerator else {}
    train = beam.ParDo(_TrainShard(TRAIN.settings(config), out)).with_resource_hints(**hints)
    return (
        pipeline
        | "Shards" >> beam.Create(shards)
        | "SpreadShards" >> beam.Reshuffle()
        | "TrainShards" >> train
    )


def farm_out(
    config: Config, out: str, beam_args: Sequence[str], accelerator: str | None = None
) -> TrialSummary:
    """Trains the missing trials of a run as a Beam job.

    The stack size is that of the settings, or is measured on the machine that starts the job.

    Args:
      config: the run's settings.
      out: the run's folder.
      beam_args: options for Beam.
      accelerator: see `TrainShards`.

    Raises:
      InputError: if the folder holds another run, if workers cannot reach it, or if the job fails;
        the error gives the cause in one line.
    """
    options = job_options(beam_args, [out])
    farm = open_farm(config, load_and_tell(config.dataset), out)
    missing = farm.missing()
    before = farm.known_trials

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | "Train" >> TrainShards(missing, config, out, accelerator)

    if missing:
        run_job(build, [], options)
    if left := farm.missing():
        raise InputError(
            f"{out}: the job ended, but {len(left)} of {farm.shards.count} shards are missing: run "
            "it again"
        )
    return farm.finish(open_folder(out), farm.known_trials - before, {})
