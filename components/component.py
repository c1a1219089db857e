"""The steps of a pipeline: typed inputs, outputs and parameters, and a pure `Do` on directories.

A component declares three maps, as in TFX. It does its work in one function that receives the
directories of its inputs, the directories to write to, and its parameters, and nothing else. It
also declares the sections of the configuration on which it depends.
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
      name: name of the step.
      inputs: kind of each input.
      outputs: kind of each output.
      parameters: Python type of each parameter: int, float, str, list, or a kind of settings.
      Do: the work: `Do(inputs, outputs, parameters)`; an output directory exists and is
        empty, unless the component is resumable; an output file does not exist.
      sections: sections of the configuration on which the work depends, such as `training` or
        `experiments.audit`; `Do` receives only these, as the parameter `config`.
      without: settings within these sections on which the work does not depend.
      optional: kind of each input that is used if it exists; an orchestrator passes those that an
        earlier step of its pipeline makes.
      resumable: whether outputs are written in place, file by file, so that an interrupted step
        continues; other outputs appear only when all of them are complete.
      parts: functions that a factory made `Do` from, if there is one.
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
        """The declared sections of a configuration; others cannot be read in it."""
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
