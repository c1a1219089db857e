"""Long work is watched, and stopped, as clusters do it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.farms import shards
from tfmem import training
from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.training import progress
from tfmem.training.progress import ExampleProgress, TrialProgress

PROGRAM = Path(sys.executable).with_name("tfmem")


def begin(words, out):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([PROGRAM, *words, "--out", str(out)], text=True, **pipes)


def wait_for(condition, process):
    limit = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [
    (signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)])  # fmt: skip
def test_a_stopped_run_saves_what_is_under_way(number, code, tmp_path):
    """Claims are released, and the run continues from checkpoints to the same bytes."""
    settings = ["training.trials=8", "training.epochs=15", "training.stack_size=4",
                "training.checkpoint_minutes=1000"]  # fmt: skip
    words = ["train", "configs/digits.yaml", *(f"--set={each}" for each in settings)]
    process = begin(words, tmp_path / "stopped")
    claims = tmp_path / "stopped" / "predictions" / "claims"
    wait_for(lambda: list(claims.glob("0*")), process)
    time.sleep(0.2)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert err.splitlines()[-1] == "stopped; the same command continues"
    assert "Traceback" not in err
    assert list(claims.glob("0*")) == []
    checkpoints = list((tmp_path / "stopped" / "predictions" / "checkpoints").iterdir())
    assert [path.suffix for path in checkpoints] in ([".npz"], [".npz"] * 2)
    config = from_yaml(Path("configs/digits.yaml").read_text(encoding="utf-8"), settings)
    for name in ("stopped", "whole"):
        summary = training.train(config, load(config.dataset), tmp_path / name)
        assert (summary.trials, summary.elsewhere) == (8, {})
    assert shards(tmp_path / "stopped") == shards(tmp_path / "whole")
    assert len(shards(tmp_path / "whole")) == 2


def test_where_there_is_no_terminal_lines_say_how_far_it_is(capfd, monkeypatch):
    """The lines are written at once, not only when the program ends."""
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.05)
    with TrialProgress(500, 100) as trials:
        trials.partly(3, 20.0)
        time.sleep(0.2)
        first = capfd.readouterr().out.splitlines()[0]
    assert first.startswith("trials: 120 of 500, ")
    assert first.endswith(" left")
    capfd.readouterr()
    with ExampleProgress(1_000) as examples:
        examples.advance(1_000)
    assert capfd.readouterr().out == "examples: 1,000 of 1,000, in 0.0 seconds\n"
