"""The installed package: one top-level name that has everything, wherever it was built.

`make test-wheel` runs the last test, on a wheel in an environment that holds nothing else.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
INSTALLED = ROOT / ".venv-wheel" / "bin"
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "tfmem", "components", "pipelines", "configs")


def build(kind, source, out):
    """Lets setuptools build the sdist or the wheel in a folder."""
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(out)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


def names(wheel):
    with ZipFile(wheel) as file:
        return {name for name in file.namelist() if ".dist-info/" not in name}


def names_in(source):
    """All files of the package in a checkout, where links are followed."""
    walked = os.walk(source / "tfmem", followlinks=True)
    return {str(Path(at, name).relative_to(source)) for at, _, found in walked for name in found}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Copies what is installed, with its links; returns the copy and a folder for builds."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder, tmp_path_factory.mktemp("built")


def test_a_wheel_has_all_files_of_the_package_and_no_other_name(checkout):
    source, out = checkout
    files = names_in(source)
    assert {"tfmem/py.typed", "tfmem/configs/digits.yaml", "tfmem/pipelines/cli/__init__.py",
            "tfmem/pipelines/worker.Dockerfile", "tfmem/components/train.py"} < files  # fmt: skip
    assert names(build("wheel", source, out)) == files


def test_a_wheel_from_the_sdist_is_the_same(checkout, tmp_path):
    source, out = checkout
    sdist = build("sdist", source, out)
    with tarfile.open(sdist) as archive:
        assert all(member.isfile() or member.isdir() for member in archive)  # no links
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    tops = {path.name for path in unpacked.iterdir() if path.is_dir()}
    assert tops == {"tfmem", "tfmem.egg-info"}
    assert names(build("wheel", unpacked, out)) == names_in(source)


@pytest.mark.wheel
def test_an_installed_wheel_runs_outside_the_repository(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def installed(program, *words, code=0):
        done = subprocess.run([INSTALLED / program, *words], cwd=tmp_path, env=environment,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    place = installed("python", "-c", "import tfmem; print(tfmem.__file__)")
    assert Path(place.strip()).is_relative_to(INSTALLED.parent)
    installed("pip", "check")
    for name in ("components", "pipelines", "configs", "tests", "benchmarks"):
        assert "ModuleNotFoundError" in installed("python", "-c", f"import {name}", code=1)
    assert installed("tfmem", "--version") == installed("python", "-m", "tfmem", "--version")
    few = ("--set", "training.trials=64")
    said = installed("tfmem", "run", "digits", *few)
    assert "Results: runs/digits/report.html" in said
    assert (tmp_path / "runs" / "digits" / "report.html").stat().st_size > 100_000
    installed("tfmem", "configs", "copy", "digits")
    again = installed("tfmem", "run", "digits.yaml", *few)  # the same settings and folder
    assert "unchanged" in again
