"""Runs the main chain under TFX on this machine, with lineage in ML Metadata.

python -m tfmem.pipelines.tfx_local digits --out runs/tfx
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfmem.config import Config, DatasetSettings, PythonSettings
from tfmem.config.functions import resolve
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.pipelines.cli import main
from tfmem.pipelines.cli.commands import with_examples
from tfmem.pipelines.cli.options import (
    BeamArgs,
    ConfigFile,
    Experiments,
    Out,
    Set,
    by_tensorflow,
    done,
    settings_of,
)

if TYPE_CHECKING:
    from tfmem.components.tfx_adapter import Execution
    from tfmem.store.artifacts import Artifact

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def run_under_tfx(
    config: Config,
    out: Path,
    beam_args: Sequence[str] = (),
    names: Sequence[str] = (),
    module_file: Path | None = None,
) -> list[Execution]:
    """Trains, estimates, selects pairs, draws figures, conducts experiments and writes a page.

    What was made from the same inputs, parameters and code is served from `out`.

    Args:
      config: the run's settings.
      out: receives `metadata.sqlite`, `artifacts`, and in `trials` a folder for each set of trials,
        where a run that was stopped continues.
      beam_args: options for Beam.
      names: of experiments.
      module_file: a file of Python whose `build` returns the model, and whose `load`, if it has
        one, returns the data (see `with_module_file`).

    Returns:
      The steps in the order in which they ran, as ML Metadata has them.

    Raises:
      InputError: if TFX is not installed, or a step is given what does not fit.
    """
    try:
        from tfmem.components.tfx_adapter import adapt, last_run, run_locally
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error}: `make .venv-tfx/installed` makes an environment with TFX"
        ) from None
    from tfmem.components.parameters import spread
    from tfmem.components.train import TRAIN
    from tfmem.pipelines.experiments import experiments

    if module_file is not None:
        config = with_module_file(config, module_file)
    trials = out / "trials" / config.digest().hex()[:16]
    trials.mkdir(parents=True, exist_ok=True)
    channels: dict[type[Artifact], Any] = {}
    nodes = []
    for step in experiments(names, config, beam_args):
        given = {name: channels[kind] for name, kind in step.inputs.items()}
        optional = step.component.optional.items()
        given |= {name: channels[kind] for name, kind in optional if kind in channels}
        # More trials go on in the folder of fewer; what else changes would change what is served.
        own = json.dumps(spread(step.component, step.parameters), sort_keys=True).encode()
        above = () if step.component is TRAIN else (hashlib.sha256(own).hexdigest()[:16],)
        folder = trials.joinpath(*above)
        nodes.append(adapt(step.component, step.parameters, given, folder))
        for name, kind in step.component.outputs.items():
            channels[kind] = nodes[-1].outputs[name]
    run_locally("tfmem", nodes, out)
    return last_run(out)


def with_module_file(config: Config, file: Path) -> Config:
    """The settings with the model, and the data, of a file of Python, like TFX's `module_file`.

    Args:
      config: the settings; arguments of their `model` and `dataset` are passed on if these are
        `python`.
      file: defines `build`, which returns a compiled Keras model or anything with `fit` and
        `predict`, and perhaps `load`, which returns training and test examples.

    Raises:
      InputError: if the file does not define `build`, or a function fails.
    """
    from tfmem.training.digests import with_digests

    place = file.resolve()
    arguments = config.model.arguments if isinstance(config.model, PythonSettings) else {}
    model = PythonSettings(build=f"{place}:build", arguments=arguments)
    resolve(model.build, "module_file")
    dataset, training = config.dataset, config.training
    with contextlib.suppress(InputError):  # the data may be those of the settings
        resolve(f"{place}:load", "module_file")
        given = {"name": "python", "load": f"{place}:load", "arguments": dataset.arguments}
        dataset = DatasetSettings.model_validate(given)
    if "trainer" not in training.model_fields_set:
        training = training.model_copy(update={"trainer": "auto"})
    changed = {"model": model, "dataset": dataset, "training": training}
    return with_digests(config.model_copy(update=changed))


@app.command(
    cls=with_examples(
        "python -m tfmem.pipelines.tfx_local digits --out runs/tfx",
        "python -m tfmem.pipelines.tfx_local digits --out runs/tfx -- "
        "--direct_running_mode=multi_processing --direct_num_workers=2",
        "python -m tfmem.pipelines.tfx_local configs/digits.yaml --out runs/tfx "
        "--experiment removal --experiment seeds",
        "python -m tfmem.pipelines.tfx_local digits --out runs/tfx --module-file my_model.py",
    )
)
def command(
    config: ConfigFile,
    out: Out,
    set: Set = [],  # noqa: B006
    experiment: Experiments = [],  # noqa: B006
    module_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file of Python in place of the configuration's model: its function build "
            "returns the model, and load, if it has one, the data.",
            show_default=False,
        ),
    ] = None,
    beam: BeamArgs = None,
) -> None:
    """Run the chain of `tfmem run`, and experiments, under TFX's LocalDagRunner."""
    from tfmem.aggregation.runners import beam_options
    from tfmem.store.artifacts import Page

    settings = settings_of(config, set, out, by_tensorflow(*experiment))
    beam_options(beam or [])
    folders: dict[str, Path] = {}
    for step in run_under_tfx(settings, out, beam or [], experiment, module_file):
        folders |= step.folders
        given, made = (
            ", ".join(f"{name} {number}" for name, number in sorted(artifacts.items()))
            for artifacts in (step.inputs, step.outputs)
        )
        served = " (served)" if step.cached else ""
        say(f"{step.component}{served}: {given or 'settings'} -> {made}")
    done(folders["report"] / Page.place, f"lineage in {out / 'metadata.sqlite'}")


if __name__ == "__main__":
    main(app)
