"""Runs components as steps of Kubeflow Pipelines, version 2, and so of Vertex AI Pipelines.

A component becomes a Python function with the same inputs, outputs and parameters, which an image
with tfmem and kfp runs. kfp knows registered types of artifacts only, so folders of records are
`system.Dataset`, the page is `system.HTML`, and the rest `system.Artifact`; what they are is in
their metadata, and a step refuses what is of another kind. The code of a component is a parameter:
a platform that serves earlier results would otherwise not notice that it has changed.
"""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp import dsl

from tfmem.components.component import Component, Parameters
from tfmem.components.references import reference, referenced
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Artifact

_KIND = "kind"


def adapt(component: Component, image: str) -> Any:
    """Turns a component into one of Kubeflow's.

    Args:
      component: what to do.
      image: the container image to do it in; tfmem and kfp are installed there.

    Returns:
      What makes a task in a pipeline, from the component's parameters, its inputs, and `code`: the
      component's version.
    """
    # kfp stores the text of a function, and finds it as a debugger would.
    source = _source(component)
    file = f"<kubeflow component {component.name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names: dict[str, Any] = {"dsl": dsl}
    exec(compile(source, file, "exec", dont_inherit=True), names)  # annotations are types
    return dsl.component(names[component.name], base_image=image, install_kfp_package=False)


def _source(component: Component) -> str:
    signature = [
        *(f"{name}: {kind.__name__}" for name, kind in component.parameters.items()),
        "code: str",
        *(f"{name}: dsl.Input[dsl.{_type(kind)}]" for name, kind in component.inputs.items()),
        *(f"{name}: dsl.Output[dsl.{_type(kind)}]" for name, kind in component.outputs.items()),
    ]
    maps = (
        "{" + ", ".join(f"{name!r}: {name}" for name in names) + "}"
        for names in (component.inputs, component.outputs, component.parameters)
    )
    return (
        f"def {component.name}({', '.join(signature)}):\n"
        "    from tfmem.components.kubeflow_adapter import perform\n\n"
        f"    perform({reference(component)!r}, code, {', '.join(maps)})\n"
    )


def _type(kind: type[Artifact]) -> str:
    suffix = Path(kind.place).suffix
    return {"": "Dataset", ".html": "HTML"}.get(suffix, "Artifact")


def perform(
    name: str,
    code: str,
    given: Mapping[str, dsl.Artifact],
    made: Mapping[str, dsl.Artifact],
    parameters: Parameters,
) -> None:
    """Does the work of a component in the image.

    Args:
      name: its reference.
      code: the version that the pipeline was compiled with.
      given: Kubeflow's artifacts for the component's inputs.
      made: for its outputs.
      parameters: its parameters.

    Raises:
      InputError: if the image holds other code, or an input is of another kind.
    """
    component = referenced(name, code)
    component.check_parameters(parameters)
    for key, kind in component.inputs.items():
        if (received := given[key].metadata.get(_KIND)) != kind.__name__:
            raise InputError(
                f"component {component.name}: input {key!r}: expected {kind.__name__}, received "
                f"{received!r}"
            )
    for key, kind in component.outputs.items():
        folder = Path(made[key].path)
        (folder.parent if Path(kind.place).suffix else folder).mkdir(parents=True, exist_ok=True)
        made[key].metadata[_KIND] = kind.__name__
    inputs = {key: Path(artifact.path) for key, artifact in given.items()}
    outputs = {key: Path(artifact.path) for key, artifact in made.items()}
    component.Do(inputs, outputs, parameters)
