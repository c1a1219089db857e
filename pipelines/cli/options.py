"""Arguments and options that several commands share, and the settings that they stand for."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError

from tfmem.config import Config, DatasetSettings, from_yaml
from tfmem.config.parsing import LONGEST, parse_yaml
from tfmem.config.shipped import shipped_names, shipped_text
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.pipelines.cli.stopping import resumable

Place = TypeVar("Place", str, Path)


def _checked(words: list[str] | None) -> list[str] | None:
    """Returns the options for Beam, or refuses those that Beam does not have, before any work."""
    if words:
        from tfmem.aggregation.runners import beam_options

        beam_options(words)
    return words


def named_as_config(ctx: typer.Context, out: Place) -> Place:
    """The folder `out`, or, if a user gave none, `runs/CONFIG` with the configuration's name.

    If the configuration is the folder of a run, it is that folder.
    """
    if str(out) != str(OWN_FOLDER):
        return out
    if _is_run(ctx.params["config"]):
        return type(out)(ctx.params["config"])
    return type(out)(OWN_FOLDER.with_name(ctx.params["config"].stem))


OWN_FOLDER = Path("runs/CONFIG")  # the default of `RunOut`, as the help shows it
ConfigFile = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        help="Settings: a YAML file, the name of a configuration that ships with tfmem "
        "(`tfmem configs` lists them), or the folder of a run.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder for all outputs.", show_default=False)]
RunOut = Annotated[
    Path, typer.Option("--out", help="Folder for all outputs.", callback=named_as_config)
]
ResultFile = Annotated[
    Path, typer.Option("--file", help="The file to write.", metavar="FILE", show_default=False)
]
Set = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting. May be repeated."),
]
Experiments = Annotated[
    list[str],
    typer.Option("--experiment", metavar="NAME", help="Conduct it, too; may be repeated."),
]
BeamArgs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="-- BEAM OPTIONS",
        help="Options that are passed on to Apache Beam.",
        show_default=False,
        callback=_checked,
    ),
]


def _bytes(text: str) -> int:
    """The number of bytes that a size such as `6GiB` stands for."""
    try:
        return TypeAdapter(ByteSize).validate_python(text)
    except ValidationError:
        raise typer.BadParameter(f"expected a size such as 6GiB, received {text!r}") from None


Memory = Annotated[
    int | None,
    typer.Option(
        help="Memory that a job on this machine may use, such as 6GiB. A job that has less reads "
        "its input more often. By default most of the free memory.",
        metavar="SIZE",
        parser=_bytes,
        show_default=False,
    ),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Output folder of a run.", show_default=False)
]
DatasetName = Annotated[
    str | None,
    typer.Option("--dataset", help="Name of a data set, as in dataset.name.", show_default=False),
]
DataDir = Annotated[
    str | None,
    typer.Option("--data-dir", help="File or folder of the data set.", show_default=False),
]


def settings_of(
    place: Path,
    overrides: list[str],
    out: str | Path | None = None,
    why_tensorflow: Callable[[Config], str] = lambda config: "",
) -> Config:
    """The settings in the YAML file or shipped configuration `place`, changed by `--set`.

    Args:
      place: the file, the name, or the folder of a run.
      overrides: words of `--set`.
      out: the run's folder, which keeps the backend that `training.backend: auto` stands for; None
        if the command has none. Then it is the backend on which Keras runs in any case.
      why_tensorflow: returns what else the command computes, if that needs TensorFlow.
    """
    text = _text_of(place)
    if parse_yaml(text, str(place)) is None:
        raise InputError(
            f"{place}: the file is empty: expected settings ({{}} alone takes all defaults)"
        )
    from tfmem.experiments import sections
    from tfmem.training.digests import with_digests  # takes seconds, so mistakes are found first

    config = from_yaml(text, overrides, str(place), sections)
    if out is not None and config.training.backend == "auto":
        from tfmem.training.backend_choice import with_chosen_backend

        with resumable():
            config = with_chosen_backend(config, out, why_tensorflow=why_tensorflow(config))
    return with_digests(config)


def by_tensorflow(*names: str) -> Callable[[Config], str]:
    """Returns the function `why_tensorflow` of `settings_of` for some experiments on estimates."""

    def why(config: Config) -> str:
        from tfmem.experiments import declared

        if any(declared()[name].gradients for name in names if name in declared()):
            return "gradients of models"
        return "self-influences" if config.experiments.estimator == "self_influence" else ""

    return why


def _is_run(place: Path) -> bool:
    """Whether a configuration is the folder of a run, which has its own settings."""
    return str(place) not in shipped_names() and (place / "predictions").is_dir()


def _text_of(place: Path) -> str:
    """The text of a configuration. An existing file takes precedence over a shipped one."""
    name = str(place)
    if _is_run(place):
        from tfmem.experiments.run import load_run

        return load_run(place).config.to_yaml()
    if name in shipped_names() and (place.is_dir() or not place.exists()):
        return shipped_text(name, name)
    try:
        with place.open(encoding="utf-8") as file:
            return file.read(LONGEST + 1)
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: expected a configuration in UTF-8: {error}") from None
    except FileNotFoundError as error:
        if name == place.stem:
            raise not_shipped(name) from None
        raise InputError(f"{place}: cannot be read: {error.strerror}{_like(place.stem)}") from None
    except OSError as error:
        raise InputError(f"{place}: cannot be read: {error.strerror}") from None


def not_shipped(name: str) -> InputError:
    """The error about a configuration that does not exist, which suggests similar names."""
    return InputError(
        f"{name}: expected a file, or the name of a configuration that ships with tfmem "
        f"(`tfmem configs` lists them){_like(name)}"
    )


def _like(name: str) -> str:
    """The end of an error that suggests shipped configurations with a similar name."""
    close = difflib.get_close_matches(name, shipped_names())
    return f"; did you mean {' or '.join(close)}, which ships with tfmem?" if close else ""


def given(section: str, options: Mapping[str, Any]) -> list[str]:
    """The options that a user gave, as words of `--set` for one section of the settings."""
    return [
        f"{section}.{name}={json.dumps(value)}"
        for name, value in options.items()
        if value is not None
    ]


def dataset_settings(name: str, data_dir: str | None) -> DatasetSettings:
    """Settings of the data set that `--dataset` and `--data-dir` name."""
    return DatasetSettings(name=name, data_dir=data_dir)


def done(place: str | Path, more: str = "") -> None:
    """Prints a command's last line, which says where the results are."""
    say(f"Results: {place}" + (f" ({more})" if more else ""))
