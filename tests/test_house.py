"""The house: every module is in a room, and imports from rooms below its own only."""

import ast
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the ground up. What each is for stands in its `__init__.py`, and in CONTRIBUTING.md.
ROOMS = (
    "messages", "store", "config", "datasets", "subsets", "estimation", "planning", "encoders",
    "models", "influence", "training", "selection", "aggregation", "experiments", "figures",
    "audit", "exchange", "pages", "components", "pipelines",
)  # fmt: skip
LIBRARY = ROOT / "tfmem"


def modules(room):
    return sorted((LIBRARY / room).rglob("*.py"))


def imported_rooms(path):
    """The rooms that a source file imports from, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tfmem"):
            if node.module != "tfmem":
                yield node.module.split(".")[1]
            elif node.module == "tfmem":
                yield from (alias.name for alias in node.names if alias.name in ROOMS)
        elif isinstance(node, ast.Import):
            names = (alias.name.split(".") for alias in node.names)
            yield from (name[1] for name in names if name[0] == "tfmem" and len(name) > 1)


def test_no_module_lies_beside_the_rooms():
    folders = {path.name for path in LIBRARY.iterdir() if path.is_dir() and modules(path.name)}
    assert folders == set(ROOMS)
    assert {path.name for path in LIBRARY.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downwards(room):
    below = set(ROOMS[: ROOMS.index(room) + 1])
    above = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules(room)
        for name in imported_rooms(path)
        if name not in below
    }
    assert modules(room)
    assert above == set()


def test_no_file_has_more_than_400_lines():
    folders = (ROOT / name for name in ("tfmem", "components", "pipelines", "tests", "benchmarks"))
    files = chain.from_iterable(
        folder.rglob(f"*.{kind}") for folder in folders for kind in ("py", "js", "css", "j2")
    )
    long = {path.name: len(path.read_text().splitlines()) for path in files}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}
