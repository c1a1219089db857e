"""What a step is: typed inputs, outputs and parameters, and a pure `Do` on directories.

A component declares three maps, as in TFX, and does its work in one function that is given the
directories of its inputs, the directories to write to, and its parameters, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from tfmem.components.code import code_version
from tfmem.messages.errors import InputError


class Artifact:
    """A directory, or a file, with a known kind of content; subclasses are the kinds.

    Attributes:
      place: where in a run's folder it is; a name with a suffix is a file.
    """

    place: ClassVar[str]


class Predictions(Artifact):
    """Prediction shards, `labels.npz` and the settings of the trials."""

    place = "predictions"


class TrialTable(Artifact):
    """How each trial went, as CSV."""

    place = "trials.csv"


class Memorization(Artifact):
    """Memorization records."""

    place = "memorization"


class SelfInfluence(Memorization):
    """Memorization records from influence functions; those of each solver have their own place."""

    place = "self_influence"


class Attributions(Artifact):
    """Which words or patches self-influence rests on."""

    place = "attribution"


class Influence(Artifact):
    """Class-wise influence records, with the counts they were made from."""

    place = "influence"


class SelectedPairs(Artifact):
    """Records of the selected high-influence pairs."""

    place = "pairs"


class InfluencePairs(SelectedPairs):
    """Records of pairs that one model selects, and their galleries."""

    place = "self_influence/pairs"


class Settings(Artifact):
    """The settings that the selected pairs, and all that they rest on, were made with."""

    place = "config.yaml"


class Figures(Artifact):
    """Figures as PNG and PDF."""

    place = "figures"


class Consistency(Artifact):
    """How far the two halves of the trials agree: figure and tables."""

    place = "consistency"


class RunComparison(Artifact):
    """How far other runs agree with this one: figure and tables."""

    place = "comparison"


class Page(Artifact):
    """A self-contained HTML page."""

    place = "report.html"


Paths = Mapping[str, Path]
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Component:
    """A step of a pipeline.

    Attributes:
      name: what the step is called.
      inputs: kind of each input.
      outputs: kind of each output.
      parameters: Python type of each parameter; values must be what JSON can hold.
      Do: the work: `Do(inputs, outputs, parameters)`; an output directory exists and is
        empty, unless the component is resumable; an output file does not exist.
      optional: kind of each input that is used if it is there; orchestrators, whose inputs are
        outputs of other steps, give none.
      resumable: whether outputs are worked on in place, each file appearing when complete, so that
        a run that was killed is continued; other outputs appear only when all of them are complete.
      parts: functions that `Do` was made from, where a factory made it.
    """

    name: str
    inputs: Mapping[str, type[Artifact]]
    outputs: Mapping[str, type[Artifact]]
    parameters: Mapping[str, type]
    Do: Callable[[Paths, Paths, Parameters], None]
    resumable: bool = False
    optional: Mapping[str, type[Artifact]] = field(default_factory=dict)
    parts: tuple[Callable[..., Any], ...] = ()

    @cached_property
    def version(self) -> str:
        """Hash of the code that the step runs; see `tfmem.components.code`."""
        return code_version((self.Do, *self.parts))

    def check_parameters(self, values: Parameters) -> None:
        """Checks names and types of parameters.

        Raises:
          InputError: naming the parameter.
        """
        for name in self.parameters.keys() | values.keys():
            if name not in self.parameters:
                raise InputError(f"component {self.name}: no parameter {name!r}")
            expected = self.parameters[name]
            if name not in values or not isinstance(values[name], expected):
                raise InputError(
                    f"component {self.name}: parameter {name!r}: expected {expected.__name__}, "
                    f"received {values.get(name)!r}"
                )
