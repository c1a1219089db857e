"""`pytest -p tests.without_tensorflow` runs only tests that need no TensorFlow, and blocks it.

A listed module that imports TensorFlow or Keras fails, so that the list stays true.
"""

import sys
from pathlib import Path

import pytest

MODULES = (
    "agreement",
    "columns",
    "estimation",
    "files",
    "hypergeometric",
    "intervals",
    "npz",
    "outputs",
    "power",
    "subsets",
    "suite",
    "tables",
    "thresholds",
)
_BLOCKED = ("tensorflow", "keras")


class _Blocked:
    """Refuses the import of TensorFlow, and names the list in the message."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in _BLOCKED:
            raise ImportError(
                f"{name} is imported by a test of `make test-fast`: mend the import, or take "
                f"the test's module out of MODULES in {Path(__file__).name}"
            )


def pytest_configure():
    """Blocks TensorFlow before any test module is imported."""
    early = [name for name in _BLOCKED if name in sys.modules]
    if early:
        raise pytest.UsageError(f"imported before the first test: {', '.join(early)}")
    missing = [name for name in MODULES if not _path(name).is_file()]
    if missing:
        raise pytest.UsageError(f"MODULES names no test modules: {', '.join(missing)}")
    sys.meta_path.insert(0, _Blocked())


def pytest_ignore_collect(collection_path):
    """Leaves out test modules that are not listed."""
    if collection_path.name.startswith("test_") and collection_path.suffix == ".py":
        return True if collection_path not in map(_path, MODULES) else None
    return None


def _path(name):
    return Path(__file__).with_name(f"test_{name}.py")
