"""Models of users' own in programs of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "own-models.md"


@pytest.mark.slow
def test_the_first_example_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    code = code.replace("trials=500, epochs=20", "trials=4, epochs=1")
    names = {"__name__": "example"}
    exec(code, names)
    assert len(names["run"].memorization) == 400
    assert len(names["run"].trials) == 4
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()


@pytest.mark.slow
def test_a_script_hears_no_libraries_but_what_keras_itself_imports():
    script = """
import sys, keras, tfmem
print("imported", file=sys.stderr, flush=True)
tfmem.run
from tfmem.messages.quiet import own_process
own_process()
keras.ops.ones(2) + 1
"""
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0
    assert done.stderr.partition("imported\n")[2] == ""
