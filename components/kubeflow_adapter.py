"""Runs components as steps of Kubeflow Pipelines, version 2, and so of Vertex AI Pipelines.

A component becomes a container component with the same inputs, outputs and parameters, whose image
has tfmem and kfp. In the container, kfp's own executor reads the values from the platform, calls
the component, and records its outputs. kfp knows only registered types of artifacts, so folders of
records are `system.Dataset`, the page is `system.HTML`, and the rest `system.Artifact`. Their
metadata hold their kind in tfmem, and a step refuses an input of another kind. What a container
wrote is lost when it fails, so a resumable step works in the folder that a pipeline's steps share,
unless that is in a bucket, and copies what it made to its artifacts. The version of a
component's code is a parameter, because a platform that serves earlier results would otherwise not
notice a change of the code.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from kfp import dsl

from tfmem.components.component import Component
from tfmem.components.parameters import collect, kinds
from tfmem.components.references import found, reference, referenced
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Artifact

SHARED = "folder"  # the parameter that holds the folder which the steps of a pipeline share
_KIND = "kind"
_EXECUTOR_INPUT = "{{$}}"  # a platform replaces it by values, artifacts and places for outputs
# kfp's local runner accepts only commands that run `kfp.dsl.executor_main`, which needs a file.
_PROGRAM = (
    "import sys; from kfp.dsl.executor_main import executor_main; "
    "from tfmem.components import kubeflow_steps; "
    "sys.argv += ['--component_module_path', kubeflow_steps.__file__]; executor_main()"
)


def adapt(component: Component, image: str, optional: Collection[str] = ()) -> Any:
    """Turns a component into one of Kubeflow's.

    Args:
      component: the component.
      image: the container image of the step, in which tfmem and kfp are installed.
      optional: names of the optional inputs that the step receives.

    Returns:
      A function that makes a task in a pipeline, from the component's parameters, its inputs, and
      `code`, the component's version.
    """
    name = reference(component)

    def container(*values: Any) -> dsl.ContainerSpec:
        del values  # kfp passes all of them in the executor's input
        arguments = ["--executor_input", _EXECUTOR_INPUT, "--function_to_execute", name]
        return dsl.ContainerSpec(image=image, command=["python3", "-c", _PROGRAM], args=arguments)

    return dsl.container_component(_with_interface(container, component, optional))


def step(name: str) -> Callable[..., None]:
    """The function that a container executes for a component, with the interface of `adapt`.

    Args:
      name: the reference of the component.
    """
    component = found(name)

    def perform_step(code: str, **values: Any) -> None:
        inputs = {**component.inputs, **component.optional}
        given, made, parameters = (
            {
                key: values[identifier(key)]
                for key in names
                if values.get(identifier(key)) is not None
            }
            for names in (inputs, component.outputs, kinds(component))
        )
        perform(name, code, given, made, parameters, values.get(SHARED, ""))

    return _with_interface(perform_step, component, component.optional)


def texts(component: Component) -> list[str]:
    """Names of a component's parameters in Kubeflow; a resumable one has the shared folder, too."""
    return list(dict.fromkeys([*kinds(component), *([SHARED] if component.resumable else [])]))


def identifier(name: str) -> str:
    """The name of an input in Kubeflow, where names are identifiers of Python."""
    return re.sub(r"\W", "_", name)


def _with_interface(
    function: Callable[..., Any], component: Component, optional: Collection[str]
) -> Callable[..., Any]:
    """Gives a function the name and the signature by which kfp knows a component."""
    inputs = {**component.inputs, **{name: component.optional[name] for name in optional}}
    interface: dict[str, Any] = {
        **dict.fromkeys(texts(component), str),  # of numbers the platform keeps 53 bits
        "code": str,
        **{identifier(name): dsl.Input[_type(kind)] for name, kind in inputs.items()},
        **{name: dsl.Output[_type(kind)] for name, kind in component.outputs.items()},
    }
    function.__name__, function.__annotations__ = component.name, interface
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
            for name, kind in interface.items()
        ]
    )
    return function


def _type(kind: type[Artifact]) -> type[dsl.Artifact]:
    return {"": dsl.Dataset, ".html": dsl.HTML}.get(Path(kind.place).suffix, dsl.Artifact)


def perform(
    name: str,
    code: str,
    given: Mapping[str, dsl.Artifact],
    made: Mapping[str, dsl.Artifact],
    parameters: Mapping[str, Any],
    shared: str = "",
) -> None:
    """Does the work of a component in the image.

    Args:
      name: reference of the component.
      code: the version of the component with which the pipeline was compiled.
      given: Kubeflow's artifacts for the component's inputs.
      made: Kubeflow's artifacts for the component's outputs.
      parameters: the component's parameters, as `spread` returns them.
      shared: the folder that the steps of a pipeline share; a resumable component works in it, so
        that a retry of the step continues, unless it is in a bucket. Whichever step is the first
        makes it.

    Raises:
      InputError: if the image holds other code, or an input is of another kind.
    """
    component = referenced(name, code)
    for key, artifact in given.items():
        kind = {**component.inputs, **component.optional}[key]
        received = artifact.metadata.get(_KIND)
        if kind.__name__ not in str(received).split():
            raise InputError(
                f"component {component.name}: input {key!r}: expected {kind.__name__}, received "
                f"{received!r}"
            )
    for key, kind in component.outputs.items():
        folder = Path(made[key].path)
        (folder.parent if Path(kind.place).suffix else folder).mkdir(parents=True, exist_ok=True)
        kinds_above = [each.__name__ for each in kind.__mro__[:-2]]  # all but Artifact and object
        made[key].metadata[_KIND] = " ".join(kinds_above)
    inputs = {key: Path(artifact.path) for key, artifact in given.items()}
    outputs = {key: Path(artifact.path) for key, artifact in made.items()}
    values = collect(component, parameters)
    if not (component.resumable and shared) or "://" in shared:
        component.Do(inputs, outputs, values)
        return
    own = json.dumps(dict(parameters), sort_keys=True).encode()
    folder = Path(shared, "steps", component.name, hashlib.sha256(own).hexdigest()[:16])
    works = {key: folder / kind.place for key, kind in component.outputs.items()}
    for path in works.values():
        (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
    component.Do(inputs, works, values)
    for key, path in works.items():
        if path.suffix:
            shutil.copyfile(path, outputs[key])
        else:
            shutil.copytree(path, outputs[key], dirs_exist_ok=True)
