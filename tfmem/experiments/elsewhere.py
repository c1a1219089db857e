"""Settings of a run whose models were trained by another program, as far as its files tell them."""

from __future__ import annotations

from pathlib import Path

from tfmem.config import Config, ElsewhereSettings, SelectionSettings
from tfmem.config.steps import DatasetSettings, TrainingSettings
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.labels import LABELS_NAME
from tfmem.store.shards import read_shard, shards_in


def settings_elsewhere(
    predictions: Path, examples: Path, selection: SelectionSettings | None = None
) -> Config:
    """The settings of a run without settings.

    Number of trials, subset fraction and whether there are margins are those of its records; the
    other settings of training are not known, and those of tfmem.

    Args:
      predictions: the folder of predictions.
      examples: the folder of the examples that a user gave, which need not exist.
      selection: the rule by which its pairs were selected; None if there are none.

    Raises:
      InputError: if there are fewer than two trials.
    """
    records = (record for path in shards_in(predictions) for record in read_shard(path))
    first = next(records, None)
    trials = 0 if first is None else 1 + len({record.trial_id for record in records})
    if first is None or trials < 2:
        raise InputError(f"{predictions}: expected at least 2 trials, received {trials}")
    size = int(unpack(first.subset_mask, first.num_train).sum())
    within = min(max(size, 0.5), first.num_train - 0.5)  # models may have been trained on all
    place, name = (
        (examples, "saved") if examples.is_dir() else (predictions / LABELS_NAME, "labels")
    )
    return Config(
        dataset=DatasetSettings(name=name, data_dir=str(place.absolute())),
        model=ElsewhereSettings(),
        training=TrainingSettings(
            trials=trials,
            fraction=within / first.num_train,
            probabilities=bool(first.train_margin or first.train_prob),
        ),
        selection=selection or SelectionSettings(),
    )
