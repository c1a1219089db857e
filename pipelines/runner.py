"""Runs a chain of components in one folder, and skips what is unchanged.

A step is skipped when its component's code, its parameters and the files of its inputs and of its
data set are those of the last time, and the files it wrote then are still there. Files, those in
folders below included, are compared by name, size and time of change.
"""

from __future__ import annotations

import functools
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfmem.components.component import Component
from tfmem.config import Config
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.pipelines.turns import check_turn, turn
from tfmem.pipelines.unchanged import output_digests, step_key
from tfmem.store.artifacts import Artifact
from tfmem.store.files import write_atomically
from tfmem.store.listing import listing_digest
from tfmem.store.outputs import publish_outputs, settle_outputs, unfinished_folder

_STATE = ".components"


class ComponentError(InputError):
    """A component failed; the message names it, what it was making, and the cause."""


@dataclass(frozen=True)
class Step:
    """A component with its parameters; inputs are found in the run's folder by their kind.

    Attributes:
      component: what is done.
      parameters: its parameters.
      wired: for inputs that several steps can make, the kind that is taken in place of the
        component's, of which it is one.
    """

    component: Component
    parameters: Mapping[str, Any]
    wired: Mapping[str, type[Artifact]] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, type[Artifact]]:
        """Kind of each input."""
        return {**self.component.inputs, **self.wired}


def configured(
    component: Component,
    config: Config,
    parameters: Mapping[str, Any] | None = None,
    wired: Mapping[str, type[Artifact]] | None = None,
) -> Step:
    """The step of a component that is given the sections of a configuration that it declares.

    Args:
      component: what is done.
      config: all settings.
      parameters: the component's parameters beside them.
      wired: see `Step`.
    """
    given = {"config": component.settings(config)} if component.sections else {}
    return Step(component, {**given, **(parameters or {})}, wired or {})


def run_chain(steps: Sequence[Step], folder: Path, say: Callable[[str], None] = say) -> None:
    """Runs steps one after the other.

    Args:
      steps: each input must be the output of an earlier step, or be there already.
      folder: the run's folder; artifacts are made at their places in it.
      say: told what is run and what is skipped.

    Only one chain is at work in a folder: another one waits, and says for whom.

    Raises:
      ComponentError: if a step fails; what earlier steps made stays.
      InputError: if a step's inputs or parameters do not fit, or the folder cannot be written to.
    """
    try:
        with turn(folder, say) as is_ours:
            _run_steps(steps, folder, say, is_ours)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from error


def _run_steps(
    steps: Sequence[Step],
    folder: Path,
    say: Callable[[str], None],
    is_ours: Callable[[], bool],
) -> None:
    settle_outputs(folder)
    made: set[type[Artifact]] = set()
    for step in steps:
        step.component.check_parameters(step.parameters)
        for name, kind in step.inputs.items():
            if kind not in made and not (folder / kind.place).exists():
                raise InputError(
                    f"component {step.component.name}: input {name!r}: {folder / kind.place} is "
                    "not there and no earlier step makes it"
                )
        made |= set(step.component.outputs.values())
    data = functools.cache(listing_digest)
    for number, step in enumerate(steps, start=1):
        head = f"[{number}/{len(steps)}] {step.component.name}"
        state = folder / _STATE / f"{step.component.name}.json"
        key = step_key(step.component, step.parameters, _inputs(step, folder), data)
        if _recorded(state) == {"key": key, "outputs": output_digests(step.component, folder)}:
            say(f"{head}: unchanged, skipped")
            continue
        check_turn(folder, is_ours)
        say(f"{head} …")
        start = time.monotonic()
        state.unlink(missing_ok=True)
        try:
            _run_step(step, folder, is_ours)
        except Exception as error:
            places = ", ".join(kind.place for kind in step.component.outputs.values())
            message = str(error) if isinstance(error, InputError) else repr(error)
            if isinstance(error, OSError) and error.filename:
                message = f"{error.filename}: {error.strerror}"
            raise ComponentError(
                f"{message} (component {step.component.name}, making {places} in {folder})"
            ) from error
        state.parent.mkdir(exist_ok=True)
        record = {"key": key, "outputs": output_digests(step.component, folder)}
        write_atomically(state, json.dumps(record, indent=1).encode())
        say(f"{head}: done in {time.monotonic() - start:.1f} s")


def _run_step(step: Step, folder: Path, is_ours: Callable[[], bool]) -> None:
    component = step.component
    inputs = _inputs(step, folder)
    final = {name: folder / kind.place for name, kind in component.outputs.items()}
    if component.resumable:
        for path in final.values():
            (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
        component.Do(inputs, final, step.parameters)
        return
    unfinished = unfinished_folder(folder, component.name)
    try:
        outputs = {name: unfinished / path.name for name, path in final.items()}
        for path in outputs.values():
            if not path.suffix:
                path.mkdir()
        component.Do(inputs, outputs, step.parameters)
        places = {path.name: component.outputs[name].place for name, path in outputs.items()}
        check_turn(folder, is_ours)
        publish_outputs(unfinished, folder, places)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _inputs(step: Step, folder: Path) -> dict[str, Path]:
    """Where the inputs are, those of the optional ones that are there included."""
    optional = step.component.optional
    there = {name: kind for name, kind in optional.items() if (folder / kind.place).exists()}
    return {name: folder / kind.place for name, kind in {**step.inputs, **there}.items()}


def _recorded(state: Path) -> Any:
    try:
        return json.loads(state.read_text())
    except (OSError, ValueError):
        return None
