"""The house: every module belongs to a room, and imports only from rooms below it.

The first line of a room's `__init__.py` says what the room is for, and the line that begins with
"This room" what it must not know; CONTRIBUTING.md and docs/architecture.md repeat both.
"""

import ast
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

import tfmem

ROOT = Path(__file__).parents[1]
# From the ground up.
ROOMS = (
    "messages", "store", "config", "datasets", "subsets", "estimation", "planning", "encoders",
    "tasks", "models", "influence_functions", "training", "selection", "datamodels", "aggregation",
    "figures", "experiments", "audit", "exchange", "pages", "components", "pipelines",
)  # fmt: skip
TENSORFLOW = {"tensorflow", "tensorflow_datasets", "keras", "keras_hub"}
# What a room must not import although it is below the room, or installed.
BLIND = {
    "store": TENSORFLOW | {"apache_beam"},
    "config": TENSORFLOW,
    "subsets": TENSORFLOW | {"datasets"},
    "estimation": TENSORFLOW | {"apache_beam", "datasets", "subsets"},
    "planning": TENSORFLOW | {"apache_beam"},
    "encoders": {"subsets"},
    "tasks": {"datasets", "subsets"},
    "models": {"datasets", "subsets"},
    "influence_functions": {"subsets"},
    "training": {"estimation", "influence_functions"},
    "selection": TENSORFLOW | {"apache_beam", "datasets"},
    "datamodels": TENSORFLOW | {"apache_beam", "datasets"},
    "aggregation": TENSORFLOW | {"datasets"},
    "figures": {"subsets", "training", "aggregation"},
}
LIBRARY = ROOT / "tfmem"


def modules(room):
    return sorted((LIBRARY / room).rglob("*.py"))


def imported(path):
    """The rooms and packages that a source file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module == "tfmem":
                names = [f"tfmem.{alias.name}" for alias in node.names if alias.name in ROOMS]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, *inside = name.split(".")
            if package != "tfmem":
                yield package
            elif inside:
                yield inside[0]


def described(room):
    """Reads what a room is for, and what it must not know."""
    docstring = ast.get_docstring(ast.parse((LIBRARY / room / "__init__.py").read_text()))
    first, *others = docstring.split("\n\n")
    blind = [text.removeprefix("This room ") for text in others if text.startswith("This room ")]
    assert len(first.splitlines()) == 1
    blind = " ".join(" ".join(blind).split())
    return first, blind[:1].upper() + blind[1:]


def test_no_module_lies_beside_the_rooms():
    folders = {path.name for path in LIBRARY.iterdir() if path.is_dir() and modules(path.name)}
    assert folders == set(ROOMS)
    assert {path.name for path in LIBRARY.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downwards(room):
    unseen = set(ROOMS[ROOMS.index(room) + 1 :]) | BLIND.get(room, set())
    seen = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules(room)
        for name in imported(path)
        if name in unseen
    }
    assert modules(room)
    assert seen == set()


def test_a_room_that_must_not_know_something_says_so():
    said = {room for room in ROOMS if described(room)[1]}
    assert said >= BLIND.keys()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_texts_show_the_rooms_as_they_are(name):
    rows = {
        "CONTRIBUTING.md": "| `{room}/` | {purpose} | {blind} |",
        "docs/architecture.md": "    {room:<19} {purpose}",
    }
    described_rooms = ((room, *described(room)) for room in ROOMS)
    expected = "\n".join(
        rows[name].format(room=room, purpose=purpose, blind=blind)
        for room, purpose, blind in described_rooms
    )
    assert expected in (ROOT / name).read_text(), f"{name}: expected\n{expected}"


def test_public_names_are_there_and_load_nothing_before_they_are_asked_for():
    heavy = "{'numpy', 'pandas', 'pydantic', 'numba', 'tensorflow', 'apache_beam'}"
    code = f"import sys, tfmem; sys.exit(' '.join({heavy} & sys.modules.keys()) or None)"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = (
        "import sys, tfmem; tfmem.load_pairs; tfmem.load_matrices; sys.exit('numba' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(getattr(tfmem, name) for name in tfmem.__all__)
    assert set(tfmem.__all__) <= set(dir(tfmem))


def test_no_file_has_more_than_400_lines():
    folders = (ROOT / name for name in ("tfmem", "components", "pipelines", "tests", "benchmarks"))
    files = chain.from_iterable(
        folder.rglob(f"*.{kind}") for folder in folders for kind in ("py", "js", "css", "j2")
    )
    long = {path.name: len(path.read_text().splitlines()) for path in files}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs"])
def test_links_of_the_documentation_lead_somewhere(page):
    pages = [ROOT / page] if page.endswith(".md") else sorted((ROOT / page).rglob("*.md"))
    for path in pages:
        for target, part in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", path.read_text()):
            file = path.parent / target if target else path
            assert file.exists(), f"{path.name}: {target}"
            if part:
                titles = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
                assert part in {each.lower().replace(",", "").replace(" ", "-") for each in titles}
