"""The test suite as a tool: code that tests share is in `tests/helpers`."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def imported(path):
    """Names of the modules that a file imports, at its top or in a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield f"{'.' * node.level}{node.module or ''}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_test_imports_from_another():
    found = {
        (path.name, name)
        for path in sorted(TESTS.rglob("*.py"))
        for name in imported(path)
        if name.startswith((".", "tests.test_"))
    }
    assert found == set()


def test_no_file_is_long():
    sizes = {path.name: len(path.read_text().splitlines()) for path in TESTS.rglob("*.py")}
    assert {name: size for name, size in sizes.items() if size > 400} == {}
