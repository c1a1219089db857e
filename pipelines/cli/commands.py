"""What all commands share: a place in the help, examples, common options and old option names."""

from __future__ import annotations

import functools
import inspect
import logging
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

import tfmem
from tfmem.messages.terminal import is_quiet, is_verbose, set_loudness, tell

# Panels and commands are listed in the order in which a user needs them.
PANELS = {
    "Start": ("configs", "plan", "run", "train", "estimate"),
    "Look": ("show", "pairs", "report", "figures", "audit"),
    "Go deeper": (
        "self-influence", "attribute", "attribute-test", "datamodels", "lds", "privacy",
        "experiment", "study", "consistency", "compare", "groups", "duplicates", "features",
    ),
    "Exchange with other programs": ("export", "publish", "import", "matrix"),
}  # fmt: skip
_ORDER = [name for names in PANELS.values() for name in names]
_WIDTH = 78  # characters of a line of an example, at most
Function = TypeVar("Function", bound=Callable[..., None])

Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Show tracebacks of errors and the logs of libraries."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Show only results, warnings and errors, no progress."),
]


class _Group(TyperGroup):
    """The application, whose help lists commands in the order of `PANELS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=_ORDER.index)


class _Command(TyperCommand):
    """A command that understands old names of its options and ends its help with examples."""

    examples: ClassVar[tuple[str, ...]] = ()
    renamed: ClassVar[Mapping[str, str]] = {}
    listed: ClassVar[tuple[Callable[[], str], ...]] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        for place, word in enumerate(args[:end]):
            option, *value = word.split("=", 1)
            if option in self.renamed:
                tell(f"note: {option} is now called {self.renamed[option]}")
                args[place] = "=".join([self.renamed[option], *value])
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        for listed in self.listed:
            print(listed())
        print(" Examples:\n")  # the formatter would break lines that users paste
        for example in self.examples:
            print(broken(example))


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
    help="What has my model memorized, and which training examples does each prediction rest on?",
)


def command(
    *examples: str,
    name: str | None = None,
    renamed: Mapping[str, str] | None = None,
    listed: Callable[[], str] | None = None,
) -> Callable[[Function], Function]:
    """Returns a decorator that registers a function as a command, in the panel that names it.

    Args:
      examples: command lines that users can paste; the help shows them last.
      name: the command's name; None derives it from the function's name.
      renamed: the present name of each option that was renamed, by its old name; old names are
        still understood, with a note.
      listed: returns text that the help shows above the examples; called only for that help.
    """

    def register(function: Function) -> Function:
        called = name or function.__name__.replace("_", "-")
        kind = with_examples(*examples, renamed=renamed, listed=listed)
        panel = next(panel for panel, names in PANELS.items() if called in names)
        text = _paragraphs(inspect.getdoc(function) or "")
        app.command(called, cls=kind, help=text, rich_help_panel=panel)(_with_loudness(function))
        return function

    return register


def with_examples(
    *examples: str,
    renamed: Mapping[str, str] | None = None,
    listed: Callable[[], str] | None = None,
) -> type[TyperCommand]:
    """The class of a command whose help ends with examples that users can paste.

    Args:
      examples: the command lines.
      renamed: the present name of each option that was renamed, by its old name.
      listed: returns text that the help shows above the examples.
    """
    shown = (listed,) if listed else ()
    members = {"examples": examples, "renamed": renamed or {}, "listed": shown}
    return type("_Command", (_Command,), members)


def _with_loudness(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the options `--verbose` and `--quiet` to the signature that typer reads."""

    @functools.wraps(function)
    def run(*, verbose: bool, quiet: bool, **given: Any) -> None:
        be_loud(quiet or is_quiet(), verbose or is_verbose())
        function(**given)

    more = {"verbose": Verbose, "quiet": Quiet}
    known = inspect.signature(function, eval_str=True)
    parameters = [
        *known.parameters.values(),
        *(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
            for name, kind in more.items()
        ),
    ]
    run.__signature__ = known.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _paragraphs(text: str) -> str:
    """Joins the lines of each paragraph, so that a terminal breaks them at its own width."""
    return "\n\n".join(" ".join(each.split()) for each in text.split("\n\n"))


def broken(command: str) -> str:
    """Breaks a command into lines that a shell joins; an option and its value share a line."""
    words = re.findall(r"(?:'[^']*'|\S)+", command)
    parts, lines = [words[0]], ["  "]
    for before, word in pairwise(words):
        if before.startswith("-") and not word.startswith("-") and before != "--":
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    for part in parts:
        if len(lines[-1]) + len(part) + 3 > _WIDTH:
            lines[-1] += "\\"
            lines.append("      ")
        lines[-1] += f"{part} "
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _say_version(asked: bool) -> None:
    if asked:
        print(f"tfmem {tfmem.__version__}")
        raise typer.Exit


@app.callback()
def _everywhere(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_say_version, is_eager=True),
    ] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    be_loud(quiet, verbose)


def be_loud(quiet: bool, verbose: bool) -> None:
    """Decides how much is told, by tfmem and by the libraries that it uses."""
    set_loudness(quiet, verbose)
    level = logging.WARNING if verbose else logging.CRITICAL
    for name in ("absl", "apache_beam", "tensorflow", "root"):
        logging.getLogger(name).setLevel(level)
    logging.getLogger("tfmem").setLevel(logging.WARNING)  # in spite of the root logger's level
