"""Runs components under TFX, with their lineage in ML Metadata: the only file that imports TFX.

Names are imported from where TFX's guide to custom components imports them: the package
`ml-pipelines-sdk` is without `tfx.v1`.

A component becomes one of TFX's, with the same inputs and outputs, a parameter for each section of
the configuration and for each parameter of its own, and two more for its name and its code. TFX
serves an earlier result if inputs and parameters are the same, so that without the last parameter
it would not notice a change of the code.
"""
# TFX reads annotations while it runs: no `from __future__ import annotations` here.

# ruff: noqa: E402

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmem.messages.quiet import import_tensorflow

import_tensorflow()  # TFX would import it with a page of messages

from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from tfmem.components.component import Component, Parameters
from tfmem.components.manifests import resolve, write_manifest
from tfmem.components.parameters import collect, spread
from tfmem.components.references import reference, referenced
from tfmem.store.artifacts import Artifact

_DATABASE = "metadata.sqlite"
_Artifacts = Mapping[str, Sequence[types.Artifact]]

_kinds: dict[type[Artifact], type[types.Artifact]] = {}


class Executor(BaseExecutor):
    """Does the work of a component in TFX's folders."""

    def Do(
        self, input_dict: _Artifacts, output_dict: _Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Called by TFX."""
        _perform(input_dict, output_dict, exec_properties)


def adapt(
    component: Component,
    parameters: Parameters,
    inputs: Mapping[str, types.Channel],
    folder: Path,
) -> BaseComponent:
    """Turns a component into a node of a TFX pipeline.

    Args:
      component: the component.
      parameters: its parameters.
      inputs: outputs of other nodes, by the names of the component's inputs, including the optional
        inputs that exist; they may be of kinds below the component's.
      folder: folder in which a resumable component works; its artifacts are lists of the files
        there.

    Raises:
      InputError: if the parameters do not fit the component.
    """
    properties = spread(component, parameters)
    properties |= {"component": reference(component), "code": component.version}
    if component.resumable:
        properties["folder"] = str(folder.absolute())
    interface = {
        "PARAMETERS": {
            name: ExecutionParameter(type=type(value)) for name, value in properties.items()
        },
        "INPUTS": {name: ChannelParameter(type=channel.type) for name, channel in inputs.items()},
        "OUTPUTS": _channels(component.outputs),
    }
    spec = type(f"{component.name}_spec", (ComponentSpec,), interface)
    executor = ExecutorClassSpec(Executor)
    members = {"SPEC_CLASS": spec, "EXECUTOR_SPEC": executor, "__module__": __name__}
    node_class = type(component.name, (BaseComponent,), members)
    made = {name: types.Channel(type=_kind(kind)) for name, kind in component.outputs.items()}
    return node_class(spec(**properties, **inputs, **made)).with_id(component.name)


def run_locally(name: str, nodes: Sequence[BaseComponent], out: Path) -> None:
    """Runs a pipeline in this process.

    Args:
      name: name of the pipeline; results are only served to pipelines of the same name.
      nodes: the components of the pipeline.
      out: receives artifacts, and lineage as a database of ML Metadata.
    """
    connection = metadata.sqlite_metadata_connection_config(str(out / _DATABASE))
    pipeline = Pipeline(
        pipeline_name=name,
        pipeline_root=str((out / "artifacts").absolute()),
        components=list(nodes),
        enable_cache=True,
        metadata_connection_config=connection,
    )
    LocalDagRunner().run(pipeline)


@dataclass(frozen=True)
class Execution:
    """One step of a pipeline's last run, as ML Metadata records it.

    Attributes:
      component: name of the component.
      cached: whether an earlier result was served.
      inputs: numbers of the step's input artifacts, by name.
      outputs: numbers of the step's output artifacts, new or served, by name.
      folders: folders of the outputs, by name.
    """

    component: str
    cached: bool
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    folders: Mapping[str, Path]


def last_run(out: Path) -> list[Execution]:
    """The steps of the last run in a folder, in the order in which they ran."""
    connection = metadata.sqlite_metadata_connection_config(str(out / _DATABASE))
    with metadata.Metadata(connection) as handle:
        store = handle.store
        run = max(store.get_contexts_by_type("pipeline_run"), key=lambda context: context.id)
        return [
            _execution(store, execution)
            for execution in sorted(store.get_executions_by_context(run.id), key=lambda e: e.id)
        ]


def _execution(store: Any, execution: metadata_store_pb2.Execution) -> Execution:
    given: dict[str, int] = {}
    made: dict[str, int] = {}
    for event in store.get_events_by_execution_ids([execution.id]):
        names = given if event.type == metadata_store_pb2.Event.INPUT else made
        names[event.path.steps[0].key] = event.artifact_id
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts_by_id(made.values())}
    (kind,) = store.get_execution_types_by_id([execution.type_id])
    return Execution(
        component=kind.name.rpartition(".")[2],
        cached=execution.last_known_state == metadata_store_pb2.Execution.CACHED,
        inputs=given,
        outputs=made,
        folders={name: Path(artifacts[number].uri) for name, number in made.items()},
    )


def _channels(kinds: Mapping[str, type[Artifact]]) -> dict[str, ChannelParameter]:
    return {name: ChannelParameter(type=_kind(kind)) for name, kind in kinds.items()}


def _kind(kind: type[Artifact]) -> type[types.Artifact]:
    """TFX's class for a kind of artifact."""
    if kind not in _kinds:
        _kinds[kind] = type(kind.__name__, (types.Artifact,), {"TYPE_NAME": kind.__name__})
    return _kinds[kind]


def _place(kind: type[Artifact], folder: Path) -> Path:
    """The path of an artifact's content in TFX's folder for the artifact."""
    return folder / kind.place if Path(kind.place).suffix else folder


def _perform(given: _Artifacts, made: _Artifacts, properties: dict[str, Any]) -> None:
    component = referenced(properties["component"], properties["code"])
    parameters = collect(component, properties)
    inputs = {
        name: resolve(_place(kind, Path(given[name][0].uri)))
        for name, kind in {**component.inputs, **component.optional}.items()
        if name in given
    }
    outputs = {
        name: _place(kind, Path(made[name][0].uri)) for name, kind in component.outputs.items()
    }
    if not component.resumable:
        component.Do(inputs, outputs, parameters)
        return
    folder = Path(properties["folder"])
    works = {name: folder / kind.place for name, kind in component.outputs.items()}
    for path in works.values():
        (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
    component.Do(inputs, works, parameters)
    for name, path in works.items():
        if path.suffix:
            shutil.copyfile(path, outputs[name])
        else:
            write_manifest(outputs[name], path)
