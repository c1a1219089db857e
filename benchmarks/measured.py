"""Writes what a command measured to `docs/measured/NAME.json`, where pages take their numbers from.

A file says which command made it, of which commit, when, on what machine, with which seeds and
settings; and it holds values by name, and tables whose columns name their units. The same file is
written again by the same command with `--record`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil

FOLDER = Path(__file__).parents[1] / "docs" / "measured"
_VERSIONS = ("numpy", "tensorflow", "keras", "jax", "apache-beam")


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, the unit of its numbers, and the decimals that pages show."""

    title: str
    unit: str = ""
    digits: int | None = None


@dataclass
class Record:
    """What one command has measured.

    Attributes:
      name: name of its file, without `.json`.
      seeds: in words or numbers, what randomness followed from.
      settings: sizes and settings that the text beside the numbers names.
      values: measured numbers by name, each a number, or `quantity(...)`.
      tables: tables by name, in the form that `table` writes.
    """

    name: str
    seeds: Any = 0
    settings: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)

    def say(self, what: str, **numbers: Any) -> None:
        """Prints a line of numbers, and keeps each as a value under `what` and its own name.

        Args:
          what: what was measured.
          **numbers: numbers or quantities, or lists of these, by name; `_` stands for a space.
        """
        named = {name.replace("_", " "): number for name, number in numbers.items()}
        said = ", ".join(f"{name} {spoken(number)}" for name, number in named.items())
        print(f"{what}: {said}", flush=True)
        self.values |= {f"{what}: {name}": number for name, number in named.items()}

    def table(self, name: str, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> None:
        """Adds a table; a cell is a text, a number, None, or what `quantity` returns."""
        heads = [
            {"title": each.title, "unit": each.unit, "digits": each.digits} for each in columns
        ]
        self.tables[name] = {"columns": heads, "rows": [list(row) for row in rows]}

    def row(self, name: str, columns: Sequence[Column], cells: Sequence[Any]) -> None:
        """Adds a row to a table, which it begins if there is none of that name."""
        if name not in self.tables:
            self.table(name, columns, [])
        self.tables[name]["rows"].append([*cells])

    def write(self, commands: Sequence[str] = (), folder: Path = FOLDER) -> Path:
        """Writes the file and returns its path.

        Args:
          commands: what makes the numbers, if it is not this program's own command.
          folder: folder of all files.
        """
        made = {
            "commands": [*commands] or [command(sys.argv)],
            "commit": commit(),
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "versions": _versions(),
            "seeds": self.seeds,
            "cost": spent(),
        }
        found = {"settings": self.settings, "values": self.values, "tables": self.tables}
        path = folder / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dumped({**made, **{k: v for k, v in found.items() if v}}), encoding="utf-8")
        return path


def quantity(
    value: float,
    *,
    error: float | None = None,
    low: float | None = None,
    high: float | None = None,
    of: float | None = None,
    unit: str | None = None,
) -> dict[str, Any]:
    """A number with its standard error, its 95% interval, what it is part `of`, and its unit."""
    given = {"value": value, "error": error, "low": low, "high": high, "of": of, "unit": unit}
    return {name: each for name, each in given.items() if each is not None}


def seconds(value: float) -> dict[str, Any]:
    """A duration in seconds."""
    return quantity(value, unit="s")


def percent(value: float, error: float | None = None) -> dict[str, Any]:
    """A share, with its standard error, in percent."""
    return quantity(100 * value, error=None if error is None else 100 * error, unit="%")


def spoken(number: Any) -> str:
    """A number, a quantity or a list of these with four digits, as a command prints it."""
    if isinstance(number, list | tuple):
        return " and ".join(spoken(each) for each in number)
    if not isinstance(number, Mapping):
        whole = isinstance(number, str | int) or abs(number) >= 10_000
        return f"{number:,.0f}" if whole and not isinstance(number, str) else _short(number)
    parts = [spoken(number["value"])]
    parts += [f"± {_short(number['error'])}"] if "error" in number else []
    parts += [f"({_short(number['low'])} to {_short(number['high'])})"] if "low" in number else []
    parts += [f"of {number['of']:,}"] if "of" in number else []
    parts += [number["unit"]] if "unit" in number else []
    return " ".join(parts).replace(" %", "%")


def _short(number: Any) -> str:
    return number if isinstance(number, str) else f"{number:.4g}"


def recording(parser: argparse.ArgumentParser) -> None:
    """Adds the option `--record` to a command."""
    parser.add_argument(
        "--record", action="store_true", help="write the numbers to docs/measured, for the pages"
    )


def choosing(parser: argparse.ArgumentParser, name: str, parts: Iterable[str]) -> None:
    """Adds arguments that name some of several parts; without them the list is empty."""
    known = list(parts)
    text = f"what to measure, of {', '.join(known)}; all if none is named"
    # argparse compares a default that is a list, as a whole, with the choices.
    parser.add_argument(
        name, nargs="*", choices=[*known, []], default=[], metavar="NAME", help=text
    )


def command(arguments: Sequence[str]) -> str:
    """The command as one would type it; folders of this machine become FOLDER."""
    module = Path(arguments[0]).resolve()
    inside = module.is_relative_to(FOLDER.parents[1])
    name = ".".join(module.relative_to(FOLDER.parents[1]).with_suffix("").parts) if inside else ""
    words = ["FOLDER" if os.path.isabs(each) else each for each in arguments[1:]]
    kept = [each for each in words if each != "--record"]
    return " ".join(["python", "-m", name.removesuffix(".__main__") or module.stem, *kept])


def part_command(part: str, alone: bool) -> list[str]:
    """The command that makes the file of one part of what this program measures.

    Args:
      part: the arguments that choose the part.
      alone: whether this program's own arguments chose it.
    """
    words = command(sys.argv).split(" ")
    return [" ".join(words if alone else [*words[:3], part, *words[3:]])]


def machine() -> str:
    """This machine in words: cores, processor, memory, GPUs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*"))
    gpus = f"{len(cards)} NVIDIA GPUs" if cards else "no GPU"
    return f"{cores} cores of {models[0] if models else 'a processor'}, {memory:.0f} GB, {gpus}"


def spent() -> dict[str, Any]:
    """Seconds of this program, by the clock and of the processor, and the load of the machine."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    busy = sum(each.ru_utime + each.ru_stime for each in used)
    elapsed, load = time.time() - psutil.Process().create_time(), os.getloadavg()[1]
    return {"seconds": round(elapsed), "CPU": round(busy), "load": round(load, 1)}


def dumped(content: Mapping[str, Any]) -> str:
    """JSON with a line for each value and each row of a table, so that differences are readable."""
    lines = []
    for name, part in content.items():
        lines.append(f"  {json.dumps(name)}: {_block(part, name, '  ')}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _block(part: Any, name: str, indent: str) -> str:
    inner = indent + "  "
    table = isinstance(part, dict) and set(part) == {"columns", "rows"}
    if table or name in ("settings", "values", "tables"):
        rows = [
            f"{inner}{json.dumps(k, ensure_ascii=False)}: {_block(v, k, inner)}"
            for k, v in part.items()
        ]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if name in ("rows", "columns") and isinstance(part, list):
        return "[\n" + ",\n".join(inner + _line(each) for each in part) + f"\n{indent}]"
    return _line(part)


def _line(part: Any) -> str:
    return json.dumps(_rounded(part), ensure_ascii=False)


def _rounded(part: Any) -> Any:
    """Numbers with six digits, which is more than any page shows; None if they are not known."""
    if isinstance(part, np.generic):
        part = part.item()
    if isinstance(part, float):
        return float(f"{part:.6g}") if np.isfinite(part) else None
    if isinstance(part, Mapping):
        return {name: _rounded(each) for name, each in part.items()}
    return [_rounded(each) for each in part] if isinstance(part, list | tuple) else part


def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:2]))}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(root: Path = FOLDER.parents[1]) -> str:
    """The commit of the checkout, with `-dirty` if what decides numbers has changed since then.

    Documentation does not decide any, and commands that record one after the other change it.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, cwd=root
        )
        return done.stdout.strip()

    others = ":(top,exclude)docs", ":(top,exclude)*.md"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", *others)
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")
