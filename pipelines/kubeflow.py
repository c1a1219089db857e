"""Compiles the main chain for Kubeflow Pipelines and Vertex AI, with trials fanned out.

python -m tfmem.pipelines.kubeflow digits --image IMAGE --output pipeline.yaml
"""
# kfp reads annotations while it runs: no `from __future__ import annotations` here.

import inspect
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfmem.config import Config
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli import main
from tfmem.pipelines.cli.commands import with_examples
from tfmem.pipelines.cli.options import BeamArgs, ConfigFile, Experiments, Set, done, settings_of

if TYPE_CHECKING:
    from tfmem.components.component import Component

_RETRIES = 3  # retries of a worker or of another step that continues where it stopped

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def pipeline(
    config: Config,
    name: str,
    image: str,
    workers: int = 1,
    beam_args: Sequence[str] = (),
    cpu: str | None = None,
    memory: str | None = None,
    accelerator: str | None = None,
    names: Sequence[str] = (),
) -> Any:
    """Builds the chain of `tfmem run`, and experiments, as a Kubeflow pipeline.

    Its parameters are `folder`, which the steps share and which outlives them (a path on a volume
    that all of them mount, or a bucket), and the sections of the configuration and other parameters
    of its components, with the run's settings as defaults.

    Args:
      config: the run's settings; its paths are paths in the containers.
      name: name of the pipeline; any character but small letters and digits becomes a dash.
      image: container image with tfmem and kfp.
      workers: number of workers that train at the same time.
      beam_args: options for Beam.
      cpu: processors of each worker, such as `8`.
      memory: memory of each worker, such as `32G`.
      accelerator: kind of the accelerator of each worker, such as `NVIDIA_TESLA_T4` or
        `nvidia.com/gpu`.
      names: names of experiments.

    Raises:
      InputError: if kfp is not installed, or an experiment lacks what it needs.
    """
    try:
        from kfp import dsl
    except ModuleNotFoundError as error:
        raise InputError(f"{error}: it comes with `pip install 'tfmem[kfp]'`") from None

    from tfmem.components.gather import GATHER
    from tfmem.components.kubeflow_adapter import SHARED, adapt, identifier, texts
    from tfmem.components.parameters import spread
    from tfmem.components.train_worker import TRAIN_WORKER
    from tfmem.pipelines.experiments import experiments

    def task(component: "Component", values: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
        own = {key: values[key] for key in texts(component)}
        inputs = {identifier(name): artifact for name, artifact in given.items()}
        adapted = adapt(component, image, given.keys() & component.optional.keys())
        made = adapted(code=component.version, **own, **inputs)
        return made.set_retry(num_retries=_RETRIES) if component.resumable else made

    steps = experiments(names, config, beam_args)
    defaults: dict[str, str] = {}
    for step in steps:
        defaults |= {key: str(v) for key, v in spread(step.component, step.parameters).items()}

    def chain(*arguments: Any) -> None:
        values = dict(zip([SHARED, *defaults], arguments, strict=True))
        numbers = [f"{number}/{workers}" for number in range(workers)]
        with dsl.ParallelFor(items=numbers, parallelism=workers) as number:
            worker = task(TRAIN_WORKER, {**values, "worker": number}, {})
            worker.set_retry(num_retries=_RETRIES).set_caching_options(False)
            if cpu:
                worker.set_cpu_limit(cpu)
            if memory:
                worker.set_memory_limit(memory)
            if accelerator:
                worker.set_accelerator_type(accelerator).set_accelerator_limit(1)
        # The contents of the folder are no input of the step, so it must run every time.
        gathered = task(GATHER, values, {}).after(worker).set_caching_options(False)
        made = {kind: gathered.outputs[name] for name, kind in GATHER.outputs.items()}
        for step in steps[1:]:
            given = {key: made[kind] for key, kind in step.inputs.items()}
            optional = step.component.optional.items()
            given |= {key: made[kind] for key, kind in optional if kind in made}
            done = task(step.component, values, given)
            made |= {kind: done.outputs[key] for key, kind in step.component.outputs.items()}

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(SHARED, kind, annotation=str)]
    for key, value in defaults.items():
        parameters.append(inspect.Parameter(key, kind, default=value, annotation=str))
    chain.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    description = "Memorization and influence by subsampling."
    return dsl.pipeline(chain, name=_name(name), description=description)


def _name(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:128].rstrip("-") or "tfmem"


@app.command(
    cls=with_examples(
        "python -m tfmem.pipelines.kubeflow digits --image IMAGE --output pipeline.yaml",
        "python -m tfmem.pipelines.kubeflow cifar100_resnet50 --image IMAGE "
        "--output pipeline.yaml --workers 64 --accelerator NVIDIA_TESLA_T4",
    )
)
def command(
    config: ConfigFile,
    image: Annotated[str, typer.Option(help="Container image with tfmem[kfp].")],
    output: Annotated[Path, typer.Option(help="The file to write; its name ends in .yaml.")],
    set: Set = [],  # noqa: B006
    experiment: Experiments = [],  # noqa: B006
    workers: Annotated[
        int, typer.Option(help="Number of containers that train at the same time.", min=1)
    ] = 1,
    cpu: Annotated[
        str | None, typer.Option(help="Processors of each container, such as 8.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory of each container, such as 32G.")
    ] = None,
    accelerator: Annotated[
        str | None,
        typer.Option(
            help="Accelerator of each container, such as NVIDIA_TESLA_T4 or nvidia.com/gpu."
        ),
    ] = None,
    beam: BeamArgs = None,
) -> None:
    """Compile the chain of `tfmem run`, and experiments, for Kubeflow Pipelines and Vertex AI."""
    from tfmem.aggregation.runners import beam_options

    settings = settings_of(config, set)
    beam_options(beam or [])
    if output.suffix != ".yaml" or not output.absolute().parent.is_dir():
        raise InputError(f"--output {output}: expected a file called .yaml in a folder that exists")
    name = f"tfmem-{config.stem}"
    arguments = beam or [], cpu, memory, accelerator, experiment
    made = pipeline(settings, name, image, workers, *arguments)
    from kfp import compiler

    with tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix=".unfinished-") as folder:
        compiled = Path(folder) / output.name
        compiler.Compiler().compile(made, str(compiled))
        os.replace(compiled, output)
    done(output, f"{workers} workers; the parameter `folder` is the folder that they share")


if __name__ == "__main__":
    main(app)
