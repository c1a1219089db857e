"""What a step is: typed inputs, outputs and parameters, and a pure `Do` on directories.

A component declares three maps, as in TFX, and does its work in one function that is given the
directories of its inputs, the directories to write to, and its parameters, and nothing else.
Settings that it depends on are sections of the configuration that it declares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tfmem.components.code import code_version
from tfmem.config import Config
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Artifact

Paths = Mapping[str, Path]
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Component:
    """A step of a pipeline.

    Attributes:
      name: what the step is called.
      inputs: kind of each input.
      outputs: kind of each output.
      parameters: Python type of each parameter: int, float, str, list, or a kind of settings.
      Do: the work: `Do(inputs, outputs, parameters)`; an output directory exists and is
        empty, unless the component is resumable; an output file does not exist.
      sections: of the configuration, those that the work depends on, such as `training` or
        `experiments.audit`; `Do` gets them as the parameter `config`, and no others.
      without: settings below these sections that the work does not depend on.
      optional: kind of each input that is used if it is there; an orchestrator gives those that an
        earlier step of its pipeline makes.
      resumable: whether outputs are worked on in place, each file appearing when complete, so that
        a run that was killed is continued; other outputs appear only when all of them are complete.
      parts: functions that `Do` was made from, where a factory made it.
    """

    name: str
    inputs: Mapping[str, type[Artifact]]
    outputs: Mapping[str, type[Artifact]]
    parameters: Mapping[str, type]
    Do: Callable[[Paths, Paths, Parameters], None]
    sections: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    resumable: bool = False
    optional: Mapping[str, type[Artifact]] = field(default_factory=dict)
    parts: tuple[Callable[..., Any], ...] = ()

    @cached_property
    def version(self) -> str:
        """Hash of the code that the step runs; see `tfmem.components.code`."""
        return code_version((self.Do, *self.parts))

    def settings(self, config: Config) -> Config:
        """The sections of a configuration that are declared; others cannot be read in it."""
        reader = f"component {self.name}"
        return config.only(self.sections, reader).without(self.without, reader)

    def check_parameters(self, values: Parameters) -> None:
        """Checks names and types of parameters.

        Raises:
          InputError: naming the parameter.
        """
        kinds = {**self.parameters, "config": Config} if self.sections else self.parameters
        for name in kinds.keys() | values.keys():
            if name not in kinds:
                raise InputError(f"component {self.name}: no parameter {name!r}")
            expected = kinds[name]
            if name not in values or not isinstance(values[name], expected):
                raise InputError(
                    f"component {self.name}: parameter {name!r}: expected {expected.__name__}, "
                    f"received {values.get(name)!r}"
                )
