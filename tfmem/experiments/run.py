"""A finished run, read back as numpy arrays and pandas tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.aggregation.estimates import KINDS, measure_in, parse_influence
from tfmem.config import Config, SelectionSettings, Statistic, from_yaml
from tfmem.config.estimates import BOUNDED
from tfmem.datasets import AnyDataset, StructuredDataset, load
from tfmem.estimation.blocks import InfluenceBlock
from tfmem.estimation.estimator import Measure, joined
from tfmem.estimation.thresholds import at_least
from tfmem.estimation.units import Units, units_of
from tfmem.experiments.elsewhere import settings_elsewhere
from tfmem.experiments.trial_means import trial_means
from tfmem.messages.errors import InputError
from tfmem.selection.memorized import described, memorized
from tfmem.selection.rules import rule_of_set
from tfmem.store import pairs as pair_selection
from tfmem.store.artifacts import Examples, Predictions
from tfmem.store.labels import LABELS_NAME, Labels
from tfmem.store.outputs import current_place
from tfmem.store.predictions import CONFIG_NAME
from tfmem.store.records import decode_example
from tfmem.store.results import (
    SUBSAMPLED,
    check_labels,
    read_memorization,
    read_pairs,
    read_selection,
)
from tfmem.store.sets import check_together, read_manifest, read_set

_NAMED = 20  # classes that a message lists


class Run:
    """The outputs of a run; each is read when it is first used."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """Takes the places of a run's parts; `load_run` finds them in a folder.

        Args:
          folders: the folders `predictions`, `memorization`, `influence` and `pairs`, and the file
            `settings`, by name.
        """
        self._folders = folders

    def __repr__(self) -> str:
        """The run in one line: its data, numbers of trials, of memorized examples and of pairs."""
        try:
            settings = self.config if self.has_settings else None
            named = settings is not None and settings.dataset.name not in ("saved", "labels")
            folder = self._folders["memorization"].absolute().parent.name
            name = settings.dataset.name if settings is not None and named else folder
            table, rule = self.memorization, self.rule
            what = "trial" if self.measure.models == 1 else "subset"
            said = [_counted(int(table[["n_in", "n_out"]].iloc[0].sum()), what)]
            if self.statistic in BOUNDED and rule.unit == "score":
                said.append(f"{at_least(table['memorization'], rule.least_memorization).sum():,} "
                            "memorized")  # fmt: skip
            said.append(_counted(len(self.pairs), "pair"))
        except (InputError, LookupError) as error:
            return f"Run({error})"
        return f"Run({name}: {', '.join(said)})"

    @cached_property
    def config(self) -> Config:
        """The run's settings.

        If it has none, because its models were trained by another program, they follow from what it
        has: `model.name` is then `elsewhere`.
        """
        path = self._folders["settings"]
        if path.exists():
            text = path.read_text(encoding="utf-8", errors="replace")
            return _where_it_is(from_yaml(text, source=str(path)), path.parent)
        if not self.has_labels:
            raise InputError(f"{path}: not found; is its folder the output of `tfmem run`?")
        begun = self.predictions / CONFIG_NAME
        if begun.exists():
            text = begun.read_text(encoding="utf-8", errors="replace")
            return from_yaml(text, source=str(begun))
        known = rule_of_set(str(self._folders["pairs"])) if self.has_rule else None
        return settings_elsewhere(self.predictions, path.parent / Examples.place, known)

    @property
    def has_settings(self) -> bool:
        """Whether this is a run with settings, rather than estimates of other predictions."""
        return self._folders["settings"].exists()

    @property
    def predictions(self) -> Path:
        """The folder of prediction shards."""
        return self._folders["predictions"]

    @cached_property
    def labels(self) -> Labels:
        """Labels and class names."""
        path = self._folders["predictions"] / LABELS_NAME
        if not path.exists():
            raise InputError(f"{path}: not found; is its folder the output of `tfmem run`?")
        return Labels.from_npz(path.read_bytes(), str(path))

    @property
    def known_labels(self) -> Labels | None:
        """Labels and class names; None if the predictions lie elsewhere."""
        return self.labels if self.has_labels else None

    @cached_property
    def dataset(self) -> AnyDataset:
        """The examples themselves, loaded again and checked against the run's fingerprint."""
        dataset = load(self.config.dataset)
        self.check_dataset(dataset)
        return dataset

    def check_dataset(self, dataset: AnyDataset) -> None:
        """Refuses examples that are not those of the run, by their fingerprint.

        Raises:
          InputError: if the fingerprints differ.
        """
        if isinstance(dataset, StructuredDataset) and not dataset.train_inputs:
            return  # it was made from the labels of a run, which estimates are checked against
        if dataset.fingerprint != self.labels.dataset_fingerprint:
            raise InputError(f"{self.predictions}: made with other data than {dataset.name} is now")

    @cached_property
    def statistic(self) -> Statistic:
        """The statistic of the estimates, such as `correctness`, `probability` or `score`."""
        return self._measure.statistic

    @property
    def score(self) -> str:
        """The name of the records' score, if that is the statistic; else empty."""
        return self._measure.score

    @property
    def measure(self) -> Measure:
        """What estimates are of: the statistic, and the name of the score if it is one."""
        return self._measure

    @property
    def units(self) -> Units:
        """How values of the statistic are called and written."""
        return units_of(self._measure)

    @property
    def least_memorization(self) -> float | None:
        """The memorization from which an example counts as memorized.

        None if a score has no threshold in its own unit: see `memorized`.
        """
        return self._selection.least("memorization", self.statistic)

    @property
    def _selection(self) -> SelectionSettings:
        """The rule of the settings; the default if there are none."""
        with_rule = not self.units.bounded or self._folders["settings"].exists()
        return self.config.selection if with_rule else SelectionSettings()

    @cached_property
    def memorized(self) -> np.ndarray:
        """Which training examples count as memorized, bool `[num_train]`.

        These are the examples that reach the threshold of memorization; where a score has none,
        those whose memorization is above 0 at a false discovery rate, of 0.05 unless the rule of
        selection has another.
        """
        return self.memorized_by(self._selection)

    @property
    def said_of_memorized(self) -> str:
        """What examples that count as memorized have: `memorization of at least 0.25`."""
        return described(self._selection, self.statistic)

    def memorized_by(self, selection: SelectionSettings) -> np.ndarray:
        """Which training examples count as memorized by a rule of selection; see `memorized`."""
        if (least := selection.least("memorization", self.statistic)) is not None:
            return at_least(self.memorization["memorization"], least)
        return memorized(joined([block.train for block in self.influence_blocks()]), selection)

    @cached_property
    def _measure(self) -> Measure:
        folder = self._folders["memorization"]
        manifest = read_manifest(folder)
        for payload, source in read_set(folder, "memorization"):
            found = measure_in(decode_example(payload, source), source)
            if found.statistic == "score" and manifest:
                return found._replace(score=str(manifest.made_from.get("score", "")))
            return found
        raise InputError(f"{folder}: expected records, received empty files")

    @property
    def has_rule(self) -> bool:
        """Whether it is known by which settings pairs were selected; earlier versions kept none."""
        manifest = read_manifest(self._folders["pairs"])
        return self.has_settings or bool(manifest and "selection" in manifest.made_from)

    @cached_property
    def rule(self) -> SelectionSettings:
        """The settings by which pairs were selected, with what they leave to the statistic."""
        manifest = read_manifest(self._folders["pairs"])
        if manifest and "selection" in manifest.made_from:
            return rule_of_set(str(self._folders["pairs"]))
        return self.config.selection.resolved(self.statistic)

    @cached_property
    def memorization(self) -> pd.DataFrame:
        """One row for each training example, by `index`: label, counts, memorization, errors."""
        folder = self._folders["memorization"]
        table = read_memorization(folder)
        if self.has_labels:
            check_labels(table, self.labels.train_labels, folder, str(self._folders["predictions"]))
        return table

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """The selected pairs, most influential first."""
        folder = self._folders["pairs"]
        self._check_origin("pairs")
        table, known = read_pairs(folder), self.memorization
        train, test = table["train_index"].to_numpy(), table["test_index"].to_numpy()
        if (train >= len(known)).any():
            raise InputError(
                f"{folder}: expected training examples 0 to {len(known) - 1}, received {max(train)}"
            )
        rows = known.iloc[train]
        fits = rows["label"].to_numpy() == table["label"].to_numpy()
        if known.attrs["estimator"] == SUBSAMPLED.decode():
            fits &= rows["memorization"].to_numpy() == table["memorization"].to_numpy()
        if self.has_labels:
            labels = self.labels.test_labels
            fits &= test < len(labels)
            fits[fits] = labels[test[fits]] == table["test_label"].to_numpy()[fits]
        if not fits.all():
            first = int(np.flatnonzero(~fits)[0])
            raise InputError(
                f"{folder}: pair {train[first]}, {test[first]}: label or memorization is not as in "
                f"{self._folders['memorization']}: they are of different estimations"
            )
        return table

    @cached_property
    def selection(self) -> dict[str, float]:
        """How many pairs were selected among how many; see `read_selection`."""
        return read_selection(self._folders["pairs"])

    @property
    def pair_statistics(self) -> pair_selection.PairStatistics:
        """Numbers of distinct examples in the pairs, and of influencers of test examples."""
        columns = {str(name): self.pairs[name].to_numpy() for name in self.pairs}
        return pair_selection.statistics(pair_selection.Pairs(**columns))

    @cached_property
    def influence(self) -> dict[int, InfluenceBlock]:
        """Influence blocks by class; a class that does not exist is an `InputError`."""
        return _ByClass({block.label: block for block in self.influence_blocks()})

    def influence_blocks(self) -> Iterator[InfluenceBlock]:
        """Yields the influence of one class after another, without holding them in memory.

        Raises:
          InputError: if a record is not of the run's examples or is of another estimation, or,
            after the last record, if a class is missing.
        """
        self._check_origin("influence")
        known, there = self.memorization, dict[int, str]()
        train_labels = known["label"].to_numpy()
        test_labels = self.labels.test_labels if self.has_labels else None
        for payload, source in read_set(self._folders["influence"], "influence"):
            counts = parse_influence(payload, source)
            expected = (
                self._measure if self.score else self._measure._replace(score=counts.measure.score)
            )
            if counts.measure != expected:
                raise InputError(
                    f"{source}: influence of {counts.measure}, expected {expected} as in "
                    f"{self._folders['memorization']}"
                )
            if counts.label in there:
                raise InputError(f"{source}: class {counts.label} is also in {there[counts.label]}")
            there[counts.label] = source
            pairs = [("train_index", counts.train.index, train_labels)]
            if test_labels is not None:
                pairs.append(("test_index", counts.test_index, test_labels))
            for name, index, labels in pairs:
                if not np.array_equal(np.sort(index), np.flatnonzero(labels == counts.label)):
                    raise InputError(f"{source}: {name}: expected all examples of its class")
            n_in = known["n_in"].to_numpy()[counts.train.index]
            if not np.array_equal(counts.train.num_in, n_in):
                raise InputError(
                    f"{source}: num_in: expected n_in of {self._folders['memorization']}: they are "
                    "of different estimations"
                )
            yield InfluenceBlock(counts)
        classes = set(train_labels.tolist())
        if test_labels is not None:
            classes |= set(test_labels.tolist())
        if missing := sorted(classes - there.keys()):
            raise InputError(f"{self._folders['influence']}: no record of class {missing[0]}")

    @property
    def has_labels(self) -> bool:
        """Whether labels are known; they are not if the predictions lie elsewhere."""
        folder = self._folders.get("predictions")
        return folder is not None and (folder / LABELS_NAME).exists()

    def _check_origin(self, kind: str) -> None:
        """Refuses estimates that are known to be of another estimation than memorization."""
        folders = [self._folders[kind], self._folders["memorization"]]
        found = [read_manifest(folder) for folder in folders]
        if found[0] and found[1]:
            one, other = found[0].made_from, found[1].made_from
            check_together((str(folders[0]), one), (str(folders[1]), other))

    def most_influenced(self, train_index: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The test examples of its class that a training example influences most, and how much."""
        block = self.influence[int(self.labels.train_labels[train_index])]
        return block.most_influenced(train_index, count)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row for each trial: see `tfmem.experiments.trial_means.trial_means`."""
        return trial_means(self._folders["predictions"])


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _where_it_is(config: Config, folder: Path) -> Config:
    """The settings with the present place of data that lie in the run's folder, if it was moved."""
    data, here = config.dataset, {
        "saved": folder / Examples.place,
        "labels": folder / Predictions.place / LABELS_NAME,
    }  # fmt: skip
    if data.name not in here or not here[data.name].exists() or not data.data_dir:
        return config
    if Path(data.data_dir).exists():
        return config
    moved = data.model_copy(update={"data_dir": str(here[data.name].absolute())})
    return config.model_copy(update={"dataset": moved})


class _ByClass(dict[int, InfluenceBlock]):
    """Influence blocks by class, with an `InputError` for a class that does not exist."""

    def __missing__(self, label: int) -> InfluenceBlock:
        there = ", ".join(map(str, sorted(self)[:_NAMED]))
        more = f" and {len(self) - _NAMED} more" if len(self) > _NAMED else ""
        raise InputError(f"no influence of class {label!r}: there are {there}{more}")


def load_run(folder: str | os.PathLike[str]) -> Run:
    """Opens a run: `tfmem.load_run("runs/digits").memorization` is a pandas table.

    Args:
      folder: the folder that `tfmem run` or `tfmem estimate` received as `--out`.

    Returns:
      The run. Its tables are read from their files when they are first asked for.

    Raises:
      InputError: if `folder` does not exist.
    """
    return Run(places(folder))


def places(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """The places of a run's parts in its folder.

    Args:
      folder: the run's folder.

    Raises:
      InputError: if `folder` does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such run folder")
    parts = {kind: current_place(folder, kind) for kind in KINDS}
    return {**parts, "settings": current_place(folder, "config.yaml")}
