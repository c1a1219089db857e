"""What people do in a notebook."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from apache_beam.utils import interactive_utils
from nbclient import NotebookClient

from tests.helpers.runs import aggregate, contents, random_run, write_run


def test_a_job_in_a_notebook_is_that_of_a_program(tmp_path, reference, monkeypatch):
    """Beam would import its data frames there, which do not go with every pandas."""
    monkeypatch.setattr(interactive_utils, "is_in_ipython", lambda: True)
    records, labels = random_run()
    write_run(tmp_path, records, labels)
    aggregate(tmp_path)
    assert contents(tmp_path) == reference


CELLS = (
    """import os, signal
import keras, numpy as np, tfmem

x = np.random.default_rng(0).normal(size=(30, 3))
y = (x[:, 0] > 0).astype(int)
calls = []


def build():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def arguments():
    calls.append(1)
    if len(calls) == 4:  # someone stops the kernel
        os.kill(os.getpid(), signal.SIGINT)
    return {}


def go():
    return tfmem.run(build, (x, y), (x[:5], y[:5]), trials=6, epochs=1, out="mine",
                     fit_arguments=arguments)""",
    "go()",
    "run = go()",
    "run",
)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """A notebook that was executed, and its folder; the kernel is stopped in its second cell."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    cells[1].metadata.tags = ["raises-exception"]
    found = nbformat.v4.new_notebook(cells=cells)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths)
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(found, timeout=120, resources=resources).execute()
    return folder, [cell.outputs for cell in found.cells]


def written(outputs):
    texts = (o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)
    return "".join(f"{text}\n" for text in texts)


@pytest.mark.slow
def test_a_notebook_shows_progress_keeps_what_is_done_and_shows_the_run(notebook):
    _, (defined, stopped, done, shown) = notebook
    assert written(defined) == ""
    assert stopped[-1].ename == "KeyboardInterrupt"
    assert "trials: 2 of 6" in written(stopped)
    assert "4 trained now" in written(done)
    assert "trials: 6 of 6" in written(done)
    page = shown[-1].data["text/html"]
    assert "Run(mine: 6 trials" in page
    assert '<img alt="memorization gallery"' in page


@pytest.mark.slow
def test_workers_cannot_import_what_lives_in_a_notebook_and_hear_so(notebook):
    folder, _ = notebook
    command = [sys.executable, "-m", "tfmem", "train", "mine/predictions/config.yaml",
               "--out", "mine"]  # fmt: skip
    worker = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert worker.returncode == 1
    assert "put the function into a module that both can import" in worker.stderr
