"""The main chain under the real TFX; `make test-tfx` installs that and runs this file."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tfmem.components.manifests import MANIFEST_NAME, resolve
from tfmem.config import from_yaml
from tfmem.experiments import declared
from tfmem.experiments.declaration import Experiment
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli.options import settings_of
from tfmem.pipelines.experiments import experiments
from tfmem.pipelines.memorization import memorization
from tfmem.pipelines.runner import run_chain
from tfmem.pipelines.tfx_local import run_under_tfx

pytestmark = pytest.mark.orchestrators
STEPS = ["train", "estimate", "select", "figures", "report"]
SETTINGS = [f"training.{setting}" for setting in ("trials=24", "epochs=4", "stack_size=8")]
BEAM = "--runner=FnApiRunner"


def settings(*more):
    return from_yaml("", [*SETTINGS, *more])


EXPERIMENTS = ["removal", "instances", "seeds"]  # on a run, on memorization, on one model
TINY = [
    "training={trials: 8, epochs: 2, stack_size: 8, lanes: 1}",
    "experiments={removal: {thresholds: [0.1], repeats: 2}, seeds: {models: 2}}",
]


def run(out, *more):
    return {step.component: step for step in run_under_tfx(settings(*more), out, [BEAM])}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    out = tmp_path_factory.mktemp("tfx")
    return out, run(out)


def served(steps):
    return [name for name, step in steps.items() if step.cached]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_results_are_those_of_our_own_runner_to_the_byte(first, tmp_path):
    _, steps = first
    run_chain(memorization(settings()), tmp_path, str)
    made = {name: path for step in steps.values() for name, path in step.folders.items()}
    for kind in ("memorization", "influence", "pairs"):
        assert files(made[kind]) == files(tmp_path / kind)
        assert files(made[kind])
    for kind, name in (("settings", "config.yaml"), ("report", "report.html")):
        assert (made[kind] / name).read_bytes() == (tmp_path / name).read_bytes()


def test_lineage_leads_from_every_result_back_to_the_trials(first):
    _, steps = first
    assert list(steps) == STEPS
    assert served(steps) == []
    made = {number: name for name, step in steps.items() for number in step.outputs.values()}
    above = {name: {made[n] for n in step.inputs.values()} for name, step in steps.items()}
    assert above == {
        "train": set(),
        "estimate": {"train"},
        "select": {"train", "estimate"},
        "figures": {"train", "estimate", "select"},
        "report": {"train", "estimate", "select", "figures"},
    }
    assert steps["estimate"].inputs == {"predictions": steps["train"].outputs["predictions"]}


def test_kinds_parameters_and_code_are_in_ml_metadata(first):
    from ml_metadata.metadata_store.metadata_store import MetadataStore
    from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig

    connection = ConnectionConfig()
    connection.sqlite.filename_uri = str(first[0] / "metadata.sqlite")
    store = MetadataStore(connection)
    kinds = {kind for step in memorization(settings()) for kind in step.component.outputs.values()}
    assert {kind.__name__ for kind in kinds} <= {kind.name for kind in store.get_artifact_types()}
    trained = store.get_executions_by_type("tfmem.components.tfx_adapter.train")[
        0
    ].custom_properties
    assert json.loads(trained["training"].string_value)["trials"] == 24
    assert trained["seed"].int_value == 0
    assert trained["code"].string_value == memorization(settings())[0].component.version


def test_what_is_unchanged_is_served_and_what_is_changed_is_not(first, monkeypatch):
    out, steps = first
    again = run(out)
    assert served(again) == STEPS
    assert [step.outputs for step in again.values()] == [step.outputs for step in steps.values()]

    changed = run(out, "selection.influence=0.5")
    assert served(changed) == ["train", "estimate"]
    assert "influence: 0.5" in (changed["select"].folders["settings"] / "config.yaml").read_text()

    estimate = memorization(settings())[1].component
    with monkeypatch.context() as patch:
        patch.setitem(vars(estimate), "version", "other code")
        other = run(out)
    assert served(other) == ["train"]
    assert served(run(out)) == STEPS


def test_experiments_of_three_kinds_give_the_tables_of_our_own_runner(tmp_path):
    config = settings_of(Path("digits"), TINY)
    steps = {step.component: step for step in run_under_tfx(config, tmp_path, [BEAM], EXPERIMENTS)}
    run_chain(experiments(EXPERIMENTS, config), tmp_path / "own", str)
    for name in EXPERIMENTS:
        made = steps[name].folders["outcome"]
        own = tmp_path / "own" / "experiments" / name / "table.csv"
        assert (resolve(made) / "table.csv").read_bytes() == own.read_bytes()
        assert set(steps["report"].inputs.values()) >= set(steps[name].outputs.values())
    (weights,) = steps["self-influence-fast"].inputs.values()
    assert steps["train-on-all"].outputs == {"weights": weights}
    ours = tmp_path / "own" / "report.html"
    assert (steps["report"].folders["report"] / "report.html").read_bytes() == ours.read_bytes()


def test_all_experiments_compile(tmp_path, monkeypatch):
    from tfx.dsl.compiler.compiler import Compiler

    from tfmem.components import tfx_adapter

    compiled = []
    runner = SimpleNamespace(run=lambda pipeline: compiled.append(Compiler().compile(pipeline)))
    monkeypatch.setattr(tfx_adapter, "LocalDagRunner", lambda: runner)
    monkeypatch.setattr(tfx_adapter, "last_run", lambda out: [])
    monkeypatch.setattr(Experiment, "check", lambda *_: None)  # of data, which some need others
    run_under_tfx(settings(), tmp_path, [BEAM], list(declared()))
    nodes = {node.pipeline_node.node_info.id for node in compiled[0].nodes}
    assert nodes >= {*declared(), "report", "attribution"}


def test_a_failed_step_keeps_its_trials_and_leaves_no_artifact(tmp_path, monkeypatch):
    def fail(summary):
        raise RuntimeError(f"lost after {summary.trained} trials")

    monkeypatch.setattr("tfmem.components.train.describe", fail)
    with pytest.raises(RuntimeError, match="lost after 24 trials"):
        run(tmp_path)
    (trials,) = tmp_path.glob("trials/*/predictions")
    kept = files(trials)
    assert len([name for name in kept if name.endswith(".tfrecord")]) == 3
    assert not list(tmp_path.rglob(MANIFEST_NAME))
    with pytest.raises(RuntimeError, match="lost after 0 trials"):
        run(tmp_path)
    assert files(trials) == kept


MODULE = """
import numpy as np
from sklearn.linear_model import LogisticRegression

def build():
    return LogisticRegression()

def load():
    x = np.random.default_rng(0).normal(size=(40, 3))
    y = (x[:, 0] > 0).astype(int)
    return (x, y), (x[:5], y[:5])
"""


def test_the_trainer_takes_a_module_file(tmp_path, monkeypatch):
    file = tmp_path / "my_module.py"
    file.write_text(MODULE)

    def steps():
        found = run_under_tfx(settings("training.trials=4"), tmp_path, [BEAM], (), file)
        return {step.component: step for step in found}

    first = steps()
    assert served(first) == []
    rows = (resolve(first["train"].folders["table"]) / "trials.csv").read_text().splitlines()
    assert len(rows) == 1 + 4
    assert served(steps()) == STEPS
    monkeypatch.delitem(sys.modules, "my_module")
    file.write_text(MODULE + "# another line\n")
    assert "train" not in served(steps())
    with pytest.raises(InputError, match="module_file: there is no file"):
        run_under_tfx(settings(), tmp_path, [BEAM], (), tmp_path / "none.py")
