"""Writes the pages of documentation that follow from the declarations of experiments.

python -m tfmem.experiments.documentation docs
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfmem.experiments import declared
from tfmem.experiments.declaration import Experiment
from tfmem.store.artifacts import Memorization

_HEAD = """\
# Experiments

These pages follow from the declarations in `tfmem/experiments/`; `make docs` writes them again.

`tfmem experiment NAME CONFIG --out DIR` makes the run in DIR if it does not exist, conducts the
experiment, and leaves `table.csv`, `findings.json` and its figure in `DIR/experiments/NAME`; the
page of the run shows them. If an experiment needs only memorization,
`--set experiments.estimator=self_influence` takes it from one model, and no run is made.

The pages show each experiment at a small size, as `python -m benchmarks.experiments` makes it, with
the processor time of the command, which makes a run only where there is none.
[Findings](findings.md) says what larger ones found.
"""
_TREE = """\
```{{toctree}}
:hidden:

{}
```
"""


def documents(
    experiments: Iterable[Experiment[Any]], records: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """The pages as Markdown, by their names: an overview, and a page for each experiment.

    Args:
      experiments: the declarations.
      records: what a small run of each found, by the name of the experiment: the contents of
        `docs/measured/experiments/NAME.json`.
    """
    known = list(experiments)
    rows = [f"| [{each.name}](experiments/{each.name}.md) | {each.question} |" for each in known]
    tree = _TREE.format("\n".join(f"experiments/{each.name}" for each in known))
    pages = {
        f"experiments/{each.name}.md": _page(each, records.get(each.name, {})) for each in known
    }
    table = ["| experiment | question |", "|---|---|", *rows, ""]
    return {"experiments.md": "\n".join([_HEAD, *table, tree]), **pages}


def _page(each: Experiment[Any], record: Mapping[str, Any]) -> str:
    needs = [f"`{kind.place}`" for kind in each.needs]
    if all(issubclass(kind, Memorization) for kind in each.needs):
        needs.append("the data")
    uses = [f"the outcome of {name} if it exists" for name in each.uses]
    sections = ", ".join(f"`{name}`" for name in each.sections)
    lines = [
        f"# {each.name}",
        "",
        f"*{each.question}* ({each.source}.)",
        "",
        f"    tfmem experiment {each.name} {each.example}",
        "",
        f"Besides the run, it trains {each.trains}. It reads {', '.join([*needs, *uses])}, and is "
        f"conducted again when these change, or a setting in {sections}.",
        "",
        *_shown(each, record),
    ]
    if rows := _settings(each):
        lines += ["## Settings", "", "| setting | default | what it is |", "|---|---|---|", *rows]
        lines.append("")
    return "\n".join(lines)


def _shown(each: Experiment[Any], record: Mapping[str, Any]) -> list[str]:
    """The figure, how to read it, and what was found where the figure is from."""
    lines = [f"**How to read the figure.** {each.reading}", ""]
    more = [f"What larger runs found: [results](../{each.results}).", ""] if each.results else []
    if not record:
        return [*lines, *more]
    (command,) = record["commands"]
    file = f"../measured/experiments/{each.name}.json"
    return [
        f"![{each.question}](../images/experiments/{each.name}.png)",
        "",
        *lines,
        "## Result",
        "",
        "The figure is from a small run, whose findings are:",
        "",
        *(f"- {finding}" for finding in record["values"]["findings"]),
        "",
        f"    {command}",
        "",
        f"It took {record['cost']['CPU']:,} s of processor time "
        f"([recorded]({file}), {record['date']}, {record['machine']}).",
        "",
        *more,
    ]


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


def recorded(folder: Path) -> dict[str, Any]:
    """What small runs found, read from `folder`, by the names of the experiments."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}


if __name__ == "__main__":
    docs = Path(sys.argv[1])
    (docs / "experiments").mkdir(exist_ok=True)
    pages = documents(declared().values(), recorded(docs / "measured" / "experiments"))
    for name, text in pages.items():
        (docs / name).write_text(text, encoding="utf-8")
