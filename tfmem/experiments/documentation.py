"""Writes the page of documentation that follows from the declarations of experiments.

python -m tfmem.experiments.documentation docs/experiments.md
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfmem.experiments import declared
from tfmem.experiments.declaration import Experiment
from tfmem.store.artifacts import Memorization

_HEAD = """\
# Experiments

This page follows from the declarations in `tfmem/experiments/`; `make docs` writes it again.

`tfmem experiment NAME CONFIG --out DIR` makes the run in DIR if it does not exist, conducts the
experiment, and leaves `table.csv`, `findings.json` and its figure in `DIR/experiments/NAME`; the
page of the run shows them. If an experiment needs only memorization,
`--set experiments.estimator=self_influence` takes it from one model, and no run is made.
"""


def document(experiments: Iterable[Experiment[Any]]) -> str:
    """The page as Markdown: question, source, inputs, settings and command of each experiment."""
    return "\n".join([_HEAD, *(_section(each) for each in experiments)])


def _section(each: Experiment[Any]) -> str:
    needs = [f"`{kind.place}`" for kind in each.needs]
    if all(issubclass(kind, Memorization) for kind in each.needs):
        needs.append("the data")
    uses = [f"the outcome of {name} if it exists" for name in each.uses]
    sections = ", ".join(f"`{name}`" for name in each.sections)
    lines = [
        f"## {each.name}",
        "",
        f"*{each.question}* ({each.source}.)",
        "",
        f"Reads {', '.join([*needs, *uses])}. It is conducted again when these change, or a "
        f"setting in {sections}.",
        "",
        f"    tfmem experiment {each.name} digits --out runs/digits",
        "",
    ]
    if rows := _settings(each):
        lines += ["| setting | default | what it is |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _settings(each: Experiment[Any]) -> list[str]:
    described = attributes(each.settings)
    defaults = each.settings().model_dump(mode="json")
    return [
        f"| `experiments.{each.section}.{name}` | `{json.dumps(default)}` | {described[name]} |"
        for name, default in defaults.items()
    ]


def attributes(kind: type) -> dict[str, str]:
    """The description of each attribute in the docstring of a class."""
    _, _, text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    found = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", text, re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in found}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(declared().values()), encoding="utf-8")
