"""The main chain as a Kubeflow pipeline; `make test-tfx` installs kfp and runs this file."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import ruamel.yaml

from tests.helpers.drawing import drawn_finely
from tfmem.components.component import Component
from tfmem.config import from_yaml
from tfmem.experiments import declared
from tfmem.experiments.declaration import Experiment
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli.options import settings_of
from tfmem.pipelines.experiments import experiments
from tfmem.pipelines.kubeflow import pipeline
from tfmem.pipelines.memorization import memorization
from tfmem.pipelines.runner import run_chain
from tfmem.store.artifacts import TrainedModel

pytestmark = pytest.mark.orchestrators
ROOT = Path(__file__).parents[1]
SETTINGS = [f"training.{setting}" for setting in ("trials=24", "epochs=4", "stack_size=8")]
RESOURCES = ["--cpu", "8", "--memory", "32G", "--accelerator", "NVIDIA_TESLA_T4"]


def compile_pipeline(output, *options, code=0):
    words = ["tfmem.pipelines.kubeflow", "configs/digits.yaml", "--image", "python-tfmem:1"]
    words += ["--output", str(output), "--workers", "2", *options]
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    output = tmp_path_factory.mktemp("kubeflow") / "pipeline.yaml"
    changes = [word for setting in SETTINGS for word in ("--set", setting)]
    done = compile_pipeline(output, *changes, *RESOURCES)
    assert done.stdout.splitlines()[-1].startswith(f"Results: {output}")
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    return output


def test_the_specification_has_types_image_fan_out_and_code(compiled):
    made = ruamel.yaml.YAML(typ="safe", pure=True).load(compiled.read_text())
    assert re.fullmatch("[a-z0-9][a-z0-9-]{0,127}", made["pipelineInfo"]["name"])
    inputs = made["root"]["inputDefinitions"]["parameters"]
    assert {each["parameterType"] for each in inputs.values()} == {"STRING"}
    assert set(inputs) == {
        "folder", "seed", "dataset", "model", "task", "training", "estimation", "selection",
        "statistic", "beam_args",
    }  # fmt: skip
    config = from_yaml((ROOT / "configs/digits.yaml").read_text(), SETTINGS)
    training = json.loads(inputs["training"]["defaultValue"])
    assert training == config.training.model_dump(mode="json")
    tasks = made["root"]["dag"]["tasks"]
    (loop,) = (task for task in tasks.values() if "parameterIterator" in task)
    assert loop["parameterIterator"]["items"]["raw"] == '["0/2", "1/2"]'
    assert loop["iteratorPolicy"]["parallelismLimit"] == 2
    worker = made["components"][loop["componentRef"]["name"]]["dag"]["tasks"]["train-worker"]
    assert worker["retryPolicy"]["maxRetryCount"] == 3
    assert not worker["cachingOptions"]
    assert loop["taskInfo"]["name"] in tasks["gather"]["dependentTasks"]
    containers = {
        name: each["container"] for name, each in made["deploymentSpec"]["executors"].items()
    }
    assert {container["image"] for container in containers.values()} == {"python-tfmem:1"}
    given = containers["exec-train-worker"]["resources"]
    assert given["accelerator"]["resourceType"] == "NVIDIA_TESLA_T4"
    assert given["resourceCpuLimit"] == "8"
    assert given["resourceMemoryLimit"] == "32G"
    for step in memorization(from_yaml(""))[1:]:
        name, kinds = step.component.name, made["components"][f"comp-{step.component.name}"]
        code = tasks[name]["inputs"]["parameters"]["code"]["runtimeValue"]["constant"]
        assert code == step.component.version
        assert set(kinds["inputDefinitions"]["artifacts"]) == set(step.component.inputs)
        assert set(kinds["outputDefinitions"]["artifacts"]) == set(step.component.outputs)
    report = made["components"]["comp-report"]
    page = report["outputDefinitions"]["artifacts"]["report"]["artifactType"]
    assert page["schemaTitle"] == "system.HTML"
    records = report["inputDefinitions"]["artifacts"]["memorization"]["artifactType"]
    assert records["schemaTitle"] == "system.Dataset"


def test_the_specification_read_back_runs_and_gives_the_bytes_of_our_own_runner(compiled, tmp_path):
    from kfp import components, local

    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    loaded = components.load_component_from_file(str(compiled))
    loaded(folder=str(tmp_path / "shared"))
    config = from_yaml((ROOT / "configs/digits.yaml").read_text(), SETTINGS)
    with drawn_finely():  # as the steps, which are programs of their own, draw
        run_chain(memorization(config), tmp_path / "own", str)
    (root,) = (tmp_path / "root").iterdir()
    for step in ("estimate/memorization", "estimate/influence", "select/pairs"):
        own = list((tmp_path / "own" / Path(step).name).iterdir())
        assert own
        for path in own:
            assert (root / step / path.name).read_bytes() == path.read_bytes()
    assert (root / "report/report").read_bytes() == (tmp_path / "own/report.html").read_bytes()
    assert len(list(root.glob("for-loop-*-iteration-*"))) == 2
    table = csv.DictReader((root / "gather/table").read_text().splitlines())
    assert {row["worker"] for row in table} <= {"0/2", "1/2"}


def test_experiments_of_three_kinds_run_as_under_our_own_runner(tmp_path):
    """Experiments on a run, on memorization and on one model; with optional inputs and dashes."""
    from kfp import components, local

    tiny = [
        "training={trials: 8, epochs: 2, stack_size: 8, lanes: 1}",
        "experiments={removal: {thresholds: [0.1], repeats: 2}, seeds: {models: 2}}",
    ]
    names = ["removal", "instances", "seeds"]
    options = [word for setting in tiny for word in ("--set", setting)]
    options += [word for name in names for word in ("--experiment", name)]
    compile_pipeline(tmp_path / "pipeline.yaml", *options)
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    loaded = components.load_component_from_file(str(tmp_path / "pipeline.yaml"))
    loaded(folder=str(tmp_path / "shared"))
    config = settings_of(Path("digits"), tiny)
    with drawn_finely():
        run_chain(experiments(names, config), tmp_path / "own", str)
    (root,) = (tmp_path / "root").iterdir()
    for name in names:
        own = tmp_path / "own" / "experiments" / name / "table.csv"
        assert (root / name / "outcome" / "table.csv").read_bytes() == own.read_bytes()
    (kept,) = (tmp_path / "shared").glob("steps/train-on-all/*/self_influence/models/whole-*.npz")
    assert kept.read_bytes() == (root / "train-on-all/weights" / kept.name).read_bytes()
    assert [*root.rglob("whole-00000.npz")] == [root / "train-on-all/weights/whole-00000.npz"]
    assert (root / "report/report").read_bytes() == (tmp_path / "own/report.html").read_bytes()


def test_all_experiments_compile(tmp_path, monkeypatch):
    from kfp import compiler

    monkeypatch.setattr(Experiment, "check", lambda *_: None)  # of data, which some need others
    made = pipeline(from_yaml(""), "all", "python-tfmem:1", names=list(declared()))
    compiler.Compiler().compile(made, str(tmp_path / "all.yaml"))
    tasks = ruamel.yaml.YAML(typ="safe", pure=True).load((tmp_path / "all.yaml").read_text())
    tasks = tasks["root"]["dag"]["tasks"]
    assert tasks.keys() >= declared().keys()
    given = tasks["report"]["inputs"]["artifacts"]
    assert given.keys() >= {"last_k_layers", "self_influence_fast", "removal"}
    assert "leave_one_out" in tasks["fraction"]["inputs"]["artifacts"]


def test_a_step_refuses_artifacts_of_another_kind_and_other_code(tmp_path):
    from kfp import dsl

    from tfmem.components.kubeflow_adapter import perform
    from tfmem.components.report import REPORT

    given = {name: dsl.Artifact(uri=str(tmp_path), metadata={}) for name in REPORT.inputs}
    for name, kind in REPORT.inputs.items():
        given[name].metadata["kind"] = kind.__name__
    given["pairs"].metadata["kind"] = "Influence"
    with pytest.raises(InputError, match="'pairs': expected SelectedPairs, received 'Influence'"):
        perform("tfmem.components.report:REPORT", REPORT.version, given, {}, {})
    with pytest.raises(InputError, match="made with code 0123, here is"):
        perform("tfmem.components.report:REPORT", "0123", given, {}, {})


def test_a_retried_step_continues_in_the_shared_folder(tmp_path, monkeypatch):
    from kfp import dsl

    from tfmem.components import kubeflow_adapter

    found = []

    def Do(inputs, outputs, parameters):
        found.append([path.name for path in outputs["weights"].iterdir()])
        (outputs["weights"] / "state").write_text(str(len(found)))
        if len(found) == 1:
            raise RuntimeError("preempted")

    step = Component("one", {}, {"weights": TrainedModel}, {}, Do, resumable=True)
    monkeypatch.setattr(kubeflow_adapter, "referenced", lambda *_: step)

    def attempt(number, shared):
        made = {"weights": dsl.Artifact(uri=str(tmp_path / f"made-{number}"), metadata={})}
        kubeflow_adapter.perform("", "", {}, made, {}, shared)

    with pytest.raises(RuntimeError, match="preempted"):
        attempt(1, str(tmp_path / "shared"))  # which no other step has made yet
    attempt(2, str(tmp_path / "shared"))
    assert (tmp_path / "made-2" / "state").read_text() == "2"
    attempt(3, "gs://bucket/run")
    assert (tmp_path / "made-3" / "state").read_text() == "3"
    assert found == [[], ["state"], []]


def test_mistakes_are_one_line_and_a_code(tmp_path):
    for options, words in (
        (["--set", "x=1"], "x: unknown key"),
        (["--", "--direct_running_mode=multi_threading"], "loses elements"),
    ):
        done = compile_pipeline(tmp_path / "a.yaml", *options, code=1)
        assert words in done.stderr
        assert re.fullmatch(r"error: [^\n]*\n", done.stderr)
    assert "called .yaml" in compile_pipeline(tmp_path / "a.txt", code=1).stderr
    assert not list(tmp_path.iterdir())
