"""What an experiment is: everything that its component, command and pages follow from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from tfmem.config import Config
from tfmem.config.base import Settings
from tfmem.datasets import AnyDataset, load
from tfmem.experiments.outcome import FINDINGS_NAME, Outcome, load_outcome
from tfmem.experiments.run import Run
from tfmem.store.artifacts import Artifact, Memorization, Predictions
from tfmem.store.results import check_labels

S = TypeVar("S", bound=Settings)


class NoSettings(Settings):
    """The section of an experiment that has nothing to set."""


@dataclass(frozen=True)
class Asked(Generic[S]):
    """What is known before anything is trained.

    Attributes:
      config: all settings.
      settings: those of the experiment.
      load: loads the examples.
    """

    config: Config
    settings: S
    load: Callable[[], AnyDataset]

    @cached_property
    def dataset(self) -> AnyDataset:
        """The examples, loaded when a check first asks for them."""
        return self.load()


@dataclass(frozen=True)
class Given(Generic[S]):
    """What an experiment is conducted with.

    Attributes:
      run: opens the artifacts that the experiment needs; another one is a LookupError.
      config: the sections that it declares; another one is an UndeclaredError.
      settings: its own.
      folder: to work in; if the experiment is stopped, it is conducted again on the same folder.
      places: where each artifact that it needs is, by the name of its kind.
      used: folders of those experiments that it uses and that have been begun on the same run.
    """

    run: Run
    config: Config
    settings: S
    folder: Path
    places: Mapping[str, Path] = field(default_factory=dict)
    used: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def dataset(self) -> AnyDataset:
        """The examples, which are those of the artifacts.

        Raises:
          InputError: if the artifacts were made with other data.
        """
        dataset = load(self.config.dataset)
        if Predictions.name in self.places:
            self.run.check_dataset(dataset)
        elif Memorization.name in self.places:
            place = self.places[Memorization.name]
            check_labels(self.run.memorization, dataset.train_labels, place, dataset.name)
        return dataset

    def outcome(self, name: str, numbers: tuple[str, ...]) -> Outcome | None:
        """The outcome of an experiment that is used; None if it has not been conducted.

        Args:
          name: of the experiment, one of those in `uses`.
          numbers: columns of its table that must be there.
        """
        folder = self.used.get(name)
        there = folder is not None and (folder / FINDINGS_NAME).exists()
        return load_outcome(folder, numbers) if folder is not None and there else None


@dataclass(frozen=True)
class Experiment(Generic[S]):
    """The declaration of an experiment.

    Artifact, component and its version, command, section of the page and documentation follow.

    Attributes:
      name: of the command, of its folder and of its component.
      question: that it answers; the title of its figure.
      source: where the question is from.
      settings: what its section of the configuration, `experiments.<section>`, holds.
      needs: kinds of artifacts that it reads; where memorization is all of it, that of one model
        does as well.
      sections: of the configuration, those that decide its outcome, beside its own.
      conduct: the work.
      draw: the figure of its table.
      checks: what is asked of settings and data before anything is trained.
      uses: names of experiments whose outcome it reads if it is there.
      followed_by: names of experiments that the command goes on with, where there is a run.
      formerly: what it was called, which the command and the page of an old run still understand.
      section: of the configuration; by default the name with underscores.
    """

    name: str
    question: str
    source: str
    settings: type[S]
    needs: tuple[type[Artifact], ...]
    sections: tuple[str, ...]
    conduct: Callable[[Given[S]], Outcome]
    draw: Callable[[pd.DataFrame, Given[S]], Figure]
    checks: tuple[Callable[[Asked[S]], object], ...] = ()
    uses: tuple[str, ...] = ()
    followed_by: tuple[str, ...] = ()
    formerly: str | None = None
    section: str = ""

    def __post_init__(self) -> None:
        """Fills in the name of the section."""
        if not self.section:
            object.__setattr__(self, "section", self.name.replace("-", "_"))

    def settings_in(self, config: Config) -> S:
        """The experiment's own settings, validated."""
        written = config.experiments.section(self.section)
        return (
            written if isinstance(written, self.settings) else self.settings.model_validate(written)
        )

    def given(
        self, config: Config, settings: S, places: Mapping[str, Path], folder: Path
    ) -> Given[S]:
        """What the experiment is conducted with.

        Args:
          config: the sections that it declares; others cannot be read.
          settings: its own.
          places: where its inputs are, by their names, those of used experiments included.
          folder: to work in.
        """
        needed = _Needed(self.name, {kind.name: places[kind.name] for kind in self.needs})
        used = {name: places[name] for name in self.uses if name in places}
        return Given(Run(needed), config, settings, folder, needed, used)

    def check(self, config: Config, data: Callable[[], AnyDataset]) -> None:
        """Makes sure that the experiment can be conducted.

        Args:
          config: the settings.
          data: loads the examples; it is called only if the experiment asks something of them.

        Raises:
          InputError: naming what is missing.
        """
        asked = Asked(config, self.settings_in(config), data)
        for check in self.checks:
            check(asked)


class _Needed(dict[str, Path]):
    """Places of artifacts by name."""

    def __init__(self, experiment: str, places: Mapping[str, Path]) -> None:
        super().__init__(places)
        self._experiment = experiment

    def __missing__(self, name: str) -> Path:
        known = ", ".join(self) or "nothing"
        raise LookupError(
            f"experiment {self._experiment}: {name} is not among what it declares to need ({known})"
        )
