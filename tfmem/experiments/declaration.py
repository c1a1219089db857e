"""The declaration of an experiment, from which its component, command and pages follow."""

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
from tfmem.store.artifacts import (
    Artifact,
    Attributions,
    Memorization,
    Predictions,
    SelfInfluence,
    TrainedModel,
)
from tfmem.store.results import check_labels

S = TypeVar("S", bound=Settings)
_OF_MODELS = {TrainedModel, SelfInfluence, Attributions}  # models that are trained for them


class NoSettings(Settings):
    """The section of an experiment without settings."""


@dataclass(frozen=True)
class Asked(Generic[S]):
    """The settings and data that an experiment can check before anything is trained.

    Attributes:
      config: all settings.
      settings: the settings of the experiment.
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
    """The inputs with which an experiment is conducted.

    Attributes:
      run: opens the artifacts that the experiment needs; another one is a LookupError.
      config: the sections that the experiment declares; another one is an UndeclaredError.
      settings: the settings of the experiment.
      folder: folder to work in; an interrupted experiment is conducted again on the same folder.
      places: path of each artifact that the experiment needs, by the name of its kind.
      used: folders of other experiments that this one uses, if they were begun on the same run.
    """

    run: Run
    config: Config
    settings: S
    folder: Path
    places: Mapping[str, Path] = field(default_factory=dict)
    used: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def dataset(self) -> AnyDataset:
        """The examples from which the artifacts were made.

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
        """The outcome of experiment `name`; None if it has not been conducted.

        Args:
          name: name of an experiment in `uses`.
          numbers: columns that its table must have.
        """
        folder = self.used.get(name)
        there = folder is not None and (folder / FINDINGS_NAME).exists()
        return load_outcome(folder, numbers) if folder is not None and there else None


@dataclass(frozen=True)
class Experiment(Generic[S]):
    """The declaration of an experiment.

    The artifact, the component with its version, the command, the section of the page and the
    documentation follow from it.

    Attributes:
      name: name of the experiment in the command line, of its folder and of its component.
      question: the question that it answers, which is also the title of its figure.
      source: the publication that asks the question.
      trains: the models that it trains besides the run.
      reading: how to read its figure.
      settings: class of the settings in its section of the configuration, `experiments.<section>`.
      needs: kinds of artifacts that it reads; if it needs only memorization, the memorization of
        one model does as well.
      sections: sections of the configuration that decide its outcome, beside its own.
      conduct: the function that does the work.
      draw: the function that draws the figure of its table.
      checks: checks of settings and data before anything is trained.
      uses: names of experiments whose outcomes it reads if they exist.
      gradients: whether it computes gradients of models, which only TensorFlow does here.
      followed_by: names of experiments that the command conducts next, if there is a run.
      formerly: an earlier name, which the command and the page of an old run still understand.
      section: name of its section of the configuration; by default the name with underscores.
      results: the page in `docs/`, with its section, that says what larger runs found.
      example: what stands after its name in a command that conducts it, as its page shows it.
    """

    name: str
    question: str
    source: str
    trains: str
    reading: str
    settings: type[S]
    needs: tuple[type[Artifact], ...]
    sections: tuple[str, ...]
    conduct: Callable[[Given[S]], Outcome]
    draw: Callable[[pd.DataFrame, Given[S]], Figure]
    checks: tuple[Callable[[Asked[S]], object], ...] = ()
    uses: tuple[str, ...] = ()
    gradients: bool = False
    followed_by: tuple[str, ...] = ()
    formerly: str | None = None
    section: str = ""
    results: str = ""
    example: str = "digits --out runs/digits"

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
        """The inputs with which the experiment is conducted.

        Args:
          config: the sections that the experiment declares; others cannot be read.
          settings: the settings of the experiment.
          places: paths of the inputs by name, including those of used experiments.
          folder: folder to work in.
        """
        needed = _Needed(self.name, {kind.name: places[kind.name] for kind in self.needs})
        used = {name: places[name] for name in self.uses if name in places}
        return Given(Run(needed), config, settings, folder, needed, used)

    def check(self, config: Config, data: Callable[[], AnyDataset]) -> None:
        """Refuses settings or data with which the experiment cannot be conducted.

        Args:
          config: the settings.
          data: loads the examples; called only if the experiment checks them.

        Raises:
          InputError: if a check fails; the error says what is missing.
        """
        if "model" in self.sections or set(self.needs) & _OF_MODELS:
            config.check_trainable(f"experiment {self.name}")
        asked = Asked(config, self.settings_in(config), data)
        for check in self.checks:
            check(asked)


class _Needed(dict[str, Path]):
    """Paths of artifacts by name; a name that was not declared is a LookupError."""

    def __init__(self, experiment: str, places: Mapping[str, Path]) -> None:
        super().__init__(places)
        self._experiment = experiment

    def __missing__(self, name: str) -> Path:
        known = ", ".join(self) or "nothing"
        raise LookupError(
            f"experiment {self._experiment}: {name} is not among what it declares to need ({known})"
        )
