"""Steps of a chain: which are skipped, which run again, and how they fail."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers.commands import ROOT
from tfmem.components.component import Component
from tfmem.config import from_yaml
from tfmem.messages.errors import InputError
from tfmem.pipelines.runner import ComponentError, Step, configured, run_chain
from tfmem.store.artifacts import Figures, Memorization, Page, Predictions


def component(name, inputs, outputs, do, **more):
    return Component(name, inputs, outputs, {"value": int}, do, **more)


def test_a_failing_component_is_named_with_its_artifact_and_cause(tmp_path):
    def make(inputs, outputs, parameters):
        (outputs["made"] / "x").write_text(str(parameters["value"]))

    def fail(inputs, outputs, parameters):
        outputs["page"].write_text("half")
        raise InputError("the cause")

    first = component("first", {}, {"made": Memorization}, make)
    second = component("second", {"made": Memorization}, {"page": Page}, fail)
    steps = [Step(first, {"value": 1}), Step(second, {"value": 2})]
    with pytest.raises(
        ComponentError, match=r"^.*the cause.* \(component second, making report\.html in "
    ):
        run_chain(steps, tmp_path)
    assert (tmp_path / "memorization" / "x").read_text() == "1"
    assert not (tmp_path / "report.html").exists()
    assert not list(tmp_path.rglob("*unfinished*"))


def test_what_is_skipped_depends_on_parameters_inputs_and_outputs(tmp_path):
    ran = []

    def make(inputs, outputs, parameters):
        ran.append("make")
        (outputs["made"] / "below").mkdir()
        (outputs["made"] / "below" / "x").write_text(str(parameters["value"]))

    def read(inputs, outputs, parameters):
        ran.append("read")
        (outputs["figures"] / "y").write_text((inputs["made"] / "below" / "x").read_text())

    def run(value=1):
        first = component("make", {}, {"made": Predictions}, make)
        second = component("read", {"made": Predictions}, {"figures": Figures}, read)
        ran.clear()
        run_chain([Step(first, {"value": value}), Step(second, {"value": 0})], tmp_path, str)
        return list(ran)

    assert run() == ["make", "read"]
    assert run() == []
    assert run(value=2) == ["make", "read"]
    assert (tmp_path / "figures" / "y").read_text() == "2"
    (tmp_path / "figures" / "y").unlink()
    assert run(value=2) == ["read"]
    (tmp_path / "predictions" / "below" / "x").write_text("changed by hand")
    assert run(value=2) == ["make", "read"]


def test_data_are_looked_at_wherever_they_lie_in_their_folder(tmp_path):
    """Two pictures swapped between classes; another picture; a split elsewhere; a circular link."""
    ran = []
    step = Component("read", {}, {}, {}, lambda *_: ran.append(1), ("dataset",))
    data, split = tmp_path / "data", tmp_path / "elsewhere"
    pictures = [data / "train" / name / "1.png" for name in ("cat", "dog")]
    for path in (*pictures, split / "cat" / "1.png"):
        path.parent.mkdir(parents=True)
        path.write_bytes(path.parent.name.encode())
    (data / "round").symlink_to(data)

    settings = ["name=image_folder", f"data_dir={data}", "test_split=../elsewhere"]
    config = from_yaml("", [f"dataset.{setting}" for setting in settings])

    def run():
        ran.clear()
        run_chain([configured(step, config)], tmp_path / "run", str)
        return len(ran)

    (tmp_path / "run").mkdir()
    assert (run(), run()) == (1, 0)
    pictures[0].rename(data / "aside")
    pictures[1].rename(pictures[0])
    (data / "aside").rename(pictures[1])
    assert (run(), run()) == (1, 0)
    (data / "train" / "cat" / "2.png").write_bytes(b"")
    assert (run(), run()) == (1, 0)
    (split / "cat" / "1.png").write_bytes(b"another")
    assert (run(), run()) == (1, 0)


# Real steps without their work: which of them run, at first and after each of some edits.
CHAIN = """
import sys
from pathlib import Path
for edited in ["", *sys.argv[1:], ""]:
    if edited:
        with open(edited, "a") as file:
            file.write("\\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "tfmem"]:
        del sys.modules[name]
    import tfmem.pipelines.runner as runner
    from tfmem.components.audit import AUDIT
    from tfmem.config import from_yaml
    from tfmem.pipelines.experiments import step_of
    from tfmem.pipelines.memorization import memorization
    runner._run_step = lambda step, folder, is_ours: None
    config, said = from_yaml(""), []
    steps = [step_of(name, config) for name in ("removal", "typicality")]
    steps.append(runner.configured(AUDIT, config))
    runner.run_chain([*memorization(config), *steps], Path("run"), said.append)
    print(*(line.split()[1] for line in said if line.endswith("…")))
"""


def test_steps_whose_code_was_edited_are_run_anew(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tfmem", tmp_path / "tfmem", ignore=ignored)
    (tmp_path / "run").mkdir()
    every = {"train", "estimate", "select", "figures", "report", "removal", "typicality", "audit"}
    expected = {
        "": every,
        "tfmem/experiments/typicality.py": {"typicality"},
        "tfmem/experiments/training.py": {"removal", "audit"},
        "tfmem/experiments/declaration.py": {"removal", "typicality", "report"},
        "tfmem/components/second_opinion.py": {"audit"},
        "tfmem/pages/templates/words.css": {"report", "audit"},
        "tfmem/selection/rules.py": every - {"train", "estimate"},
        "tfmem/messages/errors.py": every,
    }
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", CHAIN, *list(expected)[1:]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ran = [set(line.split()) for line in done.stdout.splitlines()]
    assert ran == [*expected.values(), set()]


def test_chains_that_do_not_fit_are_refused_before_anything_runs(tmp_path):
    needs = component("needs", {"made": Memorization}, {"page": Page}, lambda *_: None)
    with pytest.raises(InputError, match=r"needs: input 'made'.*is not there"):
        run_chain([Step(needs, {"value": 1})], tmp_path)
    free = component("free", {}, {"page": Page}, lambda *_: None)
    for parameters in ({}, {"value": "x"}, {"value": 1, "more": 2}):
        with pytest.raises(InputError, match=r"component free.*parameter"):
            run_chain([Step(free, parameters)], tmp_path)
