"""Checks that counted records belong together, and that none is missing."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from tfmem.config import from_yaml
from tfmem.estimation.estimator import Measure
from tfmem.messages.errors import InputError
from tfmem.store.labels import Labels
from tfmem.store.predictions import CONFIG_NAME, RunIdentity, TrialRecord
from tfmem.store.records import parse_shard_name, shard_name

STILL_TRAINING = "if the run is still in training, wait for its end"
_NAMED = 5  # trials, or files, that a message names


class Identity(NamedTuple):
    """The values that must agree between records, and the place of a record."""

    trial_id: int
    run: RunIdentity
    content: bytes
    source: str
    diverged: bool
    score: str
    subset: bytes


class Checked(NamedTuple):
    """Records that may be counted together.

    Attributes:
      trials: the number of different trials that did not diverge.
      predictions: hash of the contents of all trials' records, whatever files they lie in.
      subsets: the number of subsets that these trials were trained on: fewer where several models
        are trained on each (`training.repeats`).
      different_subsets: how many of these are not equal to another.
    """

    trials: int
    predictions: str
    subsets: int
    different_subsets: int

    @property
    def facts(self) -> dict[str, Any]:
        """What a manifest says of the records."""
        found = self._asdict()
        if self.subsets == self.trials:
            del found["subsets"]
        if self.different_subsets == self.subsets:
            del found["different_subsets"]
        return found


class Planned(NamedTuple):
    """The trials that a run should have, and the shards that hold them.

    Attributes:
      settings: path of the run's settings.
      seed: seed of the run.
      trials: number of trials in the settings.
      stack_size: number of trials in a shard.
      shards: paths of all shards that are read.
      repeats: number of trials that share a subset.
    """

    settings: str
    seed: int
    trials: int
    stack_size: int
    shards: Sequence[str]
    repeats: int = 1


def planned_trials(labels_path: str, shards: Sequence[str]) -> Planned | None:
    """The trials that the settings beside the labels name; None if there are no settings.

    Args:
      labels_path: path of a `labels.npz`, on any Beam filesystem.
      shards: paths of all shards that are read.

    Raises:
      InputError: if there are settings that cannot be read.
    """
    path = FileSystems.join(FileSystems.split(labels_path)[0], CONFIG_NAME)
    try:
        if not FileSystems.exists(path):
            return None
        with FileSystems.open(path) as file:
            contents = file.read().decode(errors="replace")
    except (OSError, ValueError, BeamIOError) as error:
        raise InputError(f"{path}: settings cannot be read: {error}") from None
    config = from_yaml(contents, source=path)
    training = config.training
    return Planned(
        path,
        config.seed,
        training.trials,
        training.stack_size or 1,
        shards,
        training.repeats,
    )


def made_from(labels: Labels, measure: Measure) -> dict[str, Any]:
    """The facts about estimates that are known before any trial is read."""
    return {
        "statistic": measure.statistic,
        **({"score": measure.score} if measure.score else {}),
        "num_train": len(labels.train_labels),
        "num_test": len(labels.test_labels),
        "dataset_fingerprint": labels.dataset_fingerprint.hex(),
    }


def identify(record: TrialRecord, source: str) -> Identity:
    """The identity of a record, with its place."""
    return Identity(
        record.trial_id,
        record.run,
        hashlib.sha256(record.to_example()).digest()[:16],
        source,
        bool(record.diverged),
        record.score_name,
        hashlib.sha256(record.subset_mask).digest()[:16],
    )


def check_identities(identities: Iterable[Identity], planned: Planned | None = None) -> Checked:
    """Checks that all records may be counted together, and returns what they have in common.

    Args:
      identities: identities of all records, including those of trials that diverged.
      planned: the trials that must exist; None accepts any trials.

    Raises:
      InputError: if a trial occurs twice with different content; if records come from different
        settings, seeds or data, or from another seed than the run's; if they hold different scores;
        if a trial is missing; or if there are fewer than two trials. The error names the records or
        shards.
    """
    by_trial: dict[int, Identity] = {}
    ordered = sorted(identities, key=lambda identity: identity.source)
    for identity in ordered:
        first = ordered[0]
        if planned and identity.run.seed != planned.seed:
            raise InputError(
                f"{identity.source}: expected seed {planned.seed} as in {planned.settings}, "
                f"received {identity.run.seed}"
            )
        for name, own, expected in zip(identity.run._fields, identity.run, first.run, strict=True):
            if own != expected:
                raise InputError(
                    f"{identity.source}: {name} differs from that of {first.source}: records of "
                    "different runs cannot be counted together"
                )
        other = by_trial.setdefault(identity.trial_id, identity)
        if other.content != identity.content:
            raise InputError(
                f"{identity.source}: trial {identity.trial_id} is also in {other.source}, with "
                "different content"
            )
    if planned:
        _check_planned(by_trial.keys(), planned)
    _check_scores([identity for identity in ordered if not identity.diverged])
    learned = [trial for trial, identity in by_trial.items() if not identity.diverged]
    if len(learned) < 2:
        raise InputError(
            f"expected at least 2 trials that did not diverge, received {len(learned)}"
        )
    digest = hashlib.sha256()
    for trial, identity in sorted(by_trial.items()):
        digest.update(struct.pack("<q", trial) + identity.content)
    repeats = planned.repeats if planned else 1
    subsets = {trial // repeats for trial in learned}
    different = {by_trial[trial].subset for trial in learned}
    return Checked(
        len(learned), digest.hexdigest(), len(subsets), min(len(different), len(subsets))
    )


def _check_scores(identities: Sequence[Identity]) -> None:
    """Checks that all trials hold the same score, or none does."""
    for identity in identities:
        first = identities[0]
        if identity.score != first.score:
            expected, received = (f"the score {each!r}" if each else "no score"
                                  for each in (first.score, identity.score))  # fmt: skip
            raise InputError(
                f"{identity.source}: trial {identity.trial_id}: expected {expected} as in "
                f"{first.source}, received {received}"
            )


def _check_planned(there: Iterable[int], planned: Planned) -> None:
    expected = range(planned.trials)
    if strange := sorted(set(there) - set(expected)):
        raise InputError(
            f"{planned.settings}: expected trials 0 to {expected[-1]}, received also "
            f"{_some(strange)}"
        )
    missing = sorted(set(expected) - set(there))
    if not missing:
        return
    count = -(-planned.trials // planned.stack_size)
    paths = {}
    for path in planned.shards:
        if parsed := parse_shard_name(FileSystems.split(path)[1]):
            paths[parsed[1]] = path
    short: dict[str, int] = {}
    for trial in missing:
        shard = trial // planned.stack_size
        path = paths.get(shard) or shard_name("predictions", shard, count)
        short[path] = short.get(path, 0) + 1
    files = _some([f"{path} lacks {lost}" for path, lost in short.items()])
    raise InputError(
        f"{planned.settings}: expected trials 0 to {expected[-1]}, but {len(missing)} are missing: "
        f"{_some(missing)} ({files}); {STILL_TRAINING}, else remove a shard that is cut short and "
        "run `tfmem train` again"
    )


def _some(things: Sequence[object]) -> str:
    """The first few things as text, and how many more there are."""
    more = f" and {len(things) - _NAMED} more" if len(things) > _NAMED else ""
    return ", ".join(map(str, things[:_NAMED])) + more
