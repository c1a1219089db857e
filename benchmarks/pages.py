"""Puts the tables of `docs/measured/*.json` into README and pages, and checks every other number.

    python -m benchmarks.pages

A line `<!-- measured: FILE TABLE -->` stands above a table, which is written again from the file;
if FILE is a folder, the table has the rows of all its files that hold such a table. A section is
held to the files that it names, in such a line or by a link to `measured/FILE.json`, and to those
that the sections above it in the hierarchy name: each number in its text must be in one of them,
rounded as the text shows it. Code, citations and numbers below ten without a unit are free.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.measured import FOLDER

ROOT = FOLDER.parents[1]
GENERATED = {"experiments.md"}
_TABLE = re.compile(r"(<!-- measured: (\S+) (\S+) -->\n\n?)((?:\|.*\n)*)")
_CITED = re.compile(r"<!-- measured: (\S+)(?: \S+)? -->|measured/([\w/-]+)\.json")
_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_UNIT = r"(?=\s?(?:%|s\b|ms\b|h\b|GB|MB|KB|kB|min|sec|hour|day|times|points?\b|SE\b|SD\b|CPU))"
_POWER = "10[⁻⁰¹²³⁴-⁹]+"
_NUMBER = re.compile(
    r"(?<![\w.#/])(?<!\d,)(?<![A-Za-z]-)"
    rf"(?:{_POWER}|(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d+)?(?:\s?·\s?{_POWER})?)(?![\w/])"
)
# What is a number and no result: code, addresses, comments, citations, years, names of intervals.
_FREE = re.compile(
    r"(?:glibc|`ml-metadata`)\s[\d.]+|```.*?```|^ {4}[^\n]*$|`[^`]*`|<!--.*?-->|\]\([^)]*\)|https?://\S+|^#[^\n]*$|^---\n.*?^---\n"
    r"|\b(?:eqs?\.|Figs?\.|Tables?|Secs?\.|App\.|Algs?\.|Lemma|Python|PyTorch|Debian|Ubuntu|version)"
    r"\s[\w.]+(?:(?:,| and| to| or)\s[A-Z]?\d[\w.]*)*"
    r"|\b(?:19|20)\d\d[a-z]?\b(?!,\d)|\b95%(?=\s(?:intervals?|confidence))|[Ii]ntervals of 95%",
    re.DOTALL | re.MULTILINE,
)


def files() -> dict[str, dict[str, Any]]:
    """What each file in `docs/measured` holds, by its name without `.json`."""
    paths = sorted(FOLDER.rglob("*.json"))
    return {
        path.relative_to(FOLDER).with_suffix("").as_posix(): json.loads(path.read_text())
        for path in paths
    }


def pages() -> list[Path]:
    """README and the pages that a person writes."""
    found = [each for each in sorted(ROOT.glob("docs/*.md")) if each.name not in GENERATED]
    return [ROOT / "README.md", *found]


def named(name: str, known: dict[str, dict[str, Any]]) -> list[str]:
    """The file of a name, or all files of a folder, in the order of their names."""
    return [name] if name in known else [each for each in known if each.startswith(f"{name}/")]


def with_tables(text: str, known: dict[str, dict[str, Any]]) -> str:
    """The text of a page in which each announced table is that of its file."""

    def table(match: re.Match[str]) -> str:
        head, file, name, _ = match.groups()
        held = [known[each].get("tables", {}) for each in named(file, known)]
        parts = [tables[name] for tables in held if name in tables or file in known]
        if not parts:
            return match[0]
        rows = [row for part in parts for row in part["rows"]]
        blank = "" if text[match.end() : match.end() + 1] in ("", "\n") else "\n"
        return head + markdown({**parts[0], "rows": rows}) + blank

    return _TABLE.sub(table, text)


def markdown(table: dict[str, Any]) -> str:
    """A table of a file as Markdown."""
    columns = table["columns"]
    lines = [_row(each["title"] for each in columns), "|---" * len(columns) + "|"]
    for row in table["rows"]:
        cells = zip(row, columns, strict=True)
        lines.append(_row(shown(cell, each["unit"], each["digits"]) for cell, each in cells))
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def shown(cell: Any, unit: str = "", digits: int | None = None) -> str:
    """A cell as pages show it: `97.30 ± 0.34%`, `0.973 (0.958 to 0.985)`, `12 of 48 (3 to 20%)`."""
    if cell is None or isinstance(cell, str):
        return cell or ""
    if not isinstance(cell, dict):
        cell = {"value": cell}
    unit = cell.get("unit", unit)
    after = unit if unit in ("", "%") else f" {unit}"

    def number(key: str) -> str:
        value = cell[key]
        # Adding 0 makes a zero of what is rounded to minus zero.
        plain = f"{value:,}" if digits is None else f"{round(value, digits) + 0.0:,.{digits}f}"
        return plain.replace("-", "\N{MINUS SIGN}")

    said = number("value")
    if "error" in cell:
        said += f" ± {number('error')}"
    said += f" of {cell['of']:,}" if "of" in cell else after
    if "low" in cell:
        said += f" ({number('low')} to {number('high')}{after if 'of' in cell else ''})"
    return said


def unheld(text: str, known: dict[str, dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """Line and text of each number that no file holds which its section names.

    The same for the name of a file that does not exist.
    """
    numbers = {name: sorted(set(_numbers(content))) for name, content in known.items()}
    above: list[tuple[int, list[float]]] = []
    for line, level, section in _sections(text):
        cited = {first or second for first, second in _CITED.findall(section)} | {"given"}
        yield from ((line, f"{each}.json") for each in sorted(cited) if not named(each, known))
        above = [each for each in above if each[0] < level]
        files = [each for name in cited for each in named(name, known)]
        above.append((level, [number for name in files for number in numbers[name]]))
        held = [number for _, part in above for number in part]
        plain = _FREE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), section)
        for match in _NUMBER.finditer(plain):
            if _asserts(match, plain) and not any(_shows(match[0], each) for each in held):
                yield line + plain[: match.start()].count("\n"), match[0]


def _sections(text: str) -> Iterator[tuple[int, int, str]]:
    """First line, level and text of each section; a `#` in code begins none."""
    bare = re.sub(r"```.*?```", lambda m: m[0].replace("#", "·"), text, flags=re.DOTALL)
    starts = [match.start() for match in re.finditer(r"^#+ ", bare, re.M)]
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        part = text[start:end]
        level = len(part) - len(part.lstrip("#"))
        yield text[:start].count("\n") + 1, level, part


def _asserts(match: re.Match[str], text: str) -> bool:
    """Whether a number says what was found: it is ten or more, or a fraction, or has a unit."""
    plain = match[0].replace(",", "")
    unit = re.match(_UNIT, text[match.end() :])
    return bool(unit) or not re.fullmatch(r"\d", plain)


def _shows(text: str, number: float) -> bool:
    """Whether the text is the number, or its share in percent, rounded as the text is."""
    value, step = read(text)
    return any(abs(value - abs(each)) <= step * 0.500001 for each in (number, 100 * number))


def read(text: str) -> tuple[float, float]:
    """A number as a page shows it, and the size of its last digit."""
    parts = text.replace(",", "").replace(" ", "")
    plain, _, power = (f"1·{parts}" if re.fullmatch(_POWER, parts) else parts).partition("·10")
    scale = 10.0 ** int(power.translate(_SUPER)) if power else 1.0
    _, _, decimals = plain.partition(".")
    return float(plain) * scale, 10.0 ** -len(decimals) * scale


def _numbers(part: Any) -> Iterator[float]:
    """All numbers in what a file holds, also those in its texts."""
    if isinstance(part, bool) or part is None:
        return
    if isinstance(part, int | float):
        yield float(part)
    elif isinstance(part, str):
        yield from (read(match[0])[0] for match in _NUMBER.finditer(part))
    else:
        for each in part.values() if isinstance(part, dict) else part:
            yield from _numbers(each)


def check(paths: Iterable[Path], known: dict[str, dict[str, Any]]) -> list[str]:
    """A line for each number that no file holds."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {what}: not in a file that the section names"
        for path in paths
        for line, what in unheld(path.read_text(encoding="utf-8"), known)
    ]


_OVERVIEW = """\
# Where the numbers are from

Written from the files in `docs/measured`, which hold values, machine, seeds, settings and
versions; `make docs` writes this page again.
"""
_KINDS = {
    "Written by their commands": """\
A command of `benchmarks`, with `--record`, writes its file again; `python -m benchmarks.experiments
NAME` writes those in `experiments`, and with `--full` those in `findings/full`.""",
    "From elsewhere": "Given by the code, or published by others.",
}


def overview(known: dict[str, dict[str, Any]]) -> str:
    """The page that lists all files: their commands or their source, commits, days and cost."""
    parts = dict.fromkeys(
        _KINDS, "| numbers | made by | commit, day | processor time |\n|---|---|---|---|\n"
    )
    for name, made in known.items():
        kind = "From elsewhere" if "source" in made else "Written by their commands"
        by = "<br>".join(f"`{each}`" for each in made.get("commands", ())) or made["source"]
        when = f"{made['commit']}, {made['date']}" if "commit" in made else ""
        cost = f"{made['cost']['CPU']:,} s" if "cost" in made else ""
        parts[kind] += f"| [{name}](../measured/{name}.json) | {by} | {when} | {cost} |\n"
    shown = [
        f"\n## {kind}\n\n{_KINDS[kind]}\n\n{table}"
        for kind, table in parts.items()
        if "](" in table
    ]
    return _OVERVIEW + "".join(shown)


def main() -> None:
    """Writes tables into the pages; ends with what no file holds, and an exit code of 1."""
    known = files()
    (ROOT / "docs" / "reference" / "recorded.md").write_text(overview(known), encoding="utf-8")
    for path in pages():
        text = path.read_text(encoding="utf-8")
        if (written := with_tables(text, known)) != text:
            path.write_text(written, encoding="utf-8")
    if wrong := check(pages(), known):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
