"""Self-influence as records: what is stored meanwhile, what is read, and the command."""

import json
import shutil

import numpy as np
import pytest

from tests.helpers.commands import ROOT, tfmem_command
from tests.helpers.networks import DECAY, linear, some_features
from tfmem.config import from_yaml
from tfmem.influence_functions import keeping
from tfmem.influence_functions.cg import ConjugateGradients
from tfmem.influence_functions.exact import ExactSolver
from tfmem.influence_functions.keeping import kept_scores
from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.records import write_scores
from tfmem.influence_functions.scores import remove_scores
from tfmem.influence_functions.solver import DAMPING
from tfmem.messages.errors import InputError
from tfmem.pipelines.runner import run_chain
from tfmem.pipelines.self_influence import self_influence
from tfmem.store.results import read_memorization


class Stopped(Exception):
    """Stands for what ends a process."""


def test_scores_that_were_stopped_continue_and_are_the_same(float64, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "_AT_ONCE", 1)
    x, y = some_features()
    objective = Objective(linear(np.eye(5, 3)), x, y, weight_decay=DECAY)
    solver = ConjugateGradients(objective)
    solver.at_once = 8
    expected, told = remove_scores(solver), []
    solve = solver.solve

    def stopping(vectors):
        if len(told) == 3:
            raise Stopped
        return solve(vectors)

    monkeypatch.setattr(solver, "solve", stopping)
    with pytest.raises(Stopped):
        kept_scores(solver, b"", tmp_path / "kept", told.append)
    assert told == [8, 8, 8]
    kept = sorted((tmp_path / "kept").iterdir())
    assert [path.name[-10:] for path in kept] == ["-00000.npz", "-00001.npz", "-00002.npz"]
    kept[1].write_bytes(kept[1].read_bytes()[:-40])
    solved = []
    monkeypatch.setattr(
        solver, "solve", lambda vectors: solved.append(len(vectors)) or solve(vectors)
    )
    found = kept_scores(solver, b"", tmp_path / "kept", told.append)
    assert solved == [8, 8, 8, 8, 2]  # the one that was cut off, and those that were not reached
    assert sum(told[3:]) == 50
    assert not (tmp_path / "kept").exists()
    assert found.seconds > 0
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(found.scores, name), value)


def test_what_is_kept_of_another_model_or_solver_is_not_taken(float64, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "_AT_ONCE", 1)
    x, y = some_features()
    objective = Objective(linear(np.eye(5, 3)), x, y, weight_decay=DECAY)
    other = Objective(linear(np.eye(5, 3) / 2), x, y, weight_decay=DECAY)  # as of other layers
    told = []

    def stop(_):
        raise Stopped

    for about, damping, of in (
        (b"a", 0.1, objective), (b"a", 0.1, other), (b"b", 0.1, objective), (b"b", 0.2, objective)
    ):  # fmt: skip
        solver = ConjugateGradients(of, damping)
        solver.at_once = 30
        with pytest.raises(Stopped):
            kept_scores(solver, about, tmp_path, stop)
        (kept,) = tmp_path.iterdir()
        told.append(kept.name)
    assert len(set(told)) == 4
    (tmp_path / told[-1]).write_bytes(b"")
    expected = remove_scores(solver).values
    np.testing.assert_array_equal(
        kept_scores(solver, b"b", tmp_path, lambda _: None).scores.values, expected
    )


def test_records_are_read_as_those_of_the_subsampled_estimator(float64, tmp_path):
    x, y = some_features()
    objective = Objective(linear(np.eye(5, 3)), x, y, weight_decay=DECAY)
    solver = ExactSolver(objective)
    scores = remove_scores(solver)
    folder = tmp_path / "self_influence" / scores.solver
    summary = write_scores(scores, y, solver, folder, {"trial_id": 3})
    assert folder == tmp_path / "self_influence" / "exact"
    table = read_memorization(folder)
    assert table.attrs["estimator"] == "self_influence/exact"
    np.testing.assert_allclose(table["memorization"], scores.values / 50, rtol=1e-6)
    np.testing.assert_array_equal(table["label"], y)
    assert (table[["n_in", "n_out"]] == 0).all().all()
    assert table[["stderr", "ci_low", "ci_high", "accuracy_in", "accuracy_out"]].isna().all().all()
    assert json.loads((folder / "self_influence.json").read_text()) == summary
    assert (summary["damping"], summary["converged"], summary["trial_id"]) == (DAMPING, 50, 3)


def test_the_command_keeps_its_model_and_takes_it_again(tmp_path):
    settings = ["training.epochs=2"]
    done = tfmem_command(
        "self-influence", "configs/digits.yaml", "--out", tmp_path, "--set", *settings,
        "--solver", "exact", "--layer", "logits", "--curvature-examples", 1000,
    )  # fmt: skip
    folder = tmp_path / "self_influence" / "exact"
    assert done.stdout.splitlines()[-1].startswith(f"Results: {folder}")
    assert "650 parameters" in done.stdout
    shown = tfmem_command("show", folder, "--top", 1).stdout.splitlines()
    assert shown[0].split() == ["index", "label", "memorization"]
    most = read_memorization(folder)["memorization"].idxmax()
    assert shown[1].split()[0] == str(most)
    assert shown[-2].startswith("Memorization is that of self_influence/exact")
    first = (folder / "memorization-00000-of-00001.tfrecord").read_bytes()
    assert read_memorization(folder)["memorization"].between(0, 1).all()
    kept = tmp_path / "self_influence" / "models" / "whole-00000.npz"
    written = kept.stat().st_mtime_ns
    asked = [
        *settings,
        "self_influence.solver=exact",
        "self_influence.layers=[logits]",
        "self_influence.curvature_examples=1000",
    ]
    steps = self_influence(from_yaml((ROOT / "configs/digits.yaml").read_text(), asked))
    said = []
    run_chain(steps, tmp_path, said.append)
    skipped = [f"{name}: unchanged, skipped" for name in ("train-on-all", "self-influence-exact")]
    assert said == [f"[{number}/2] {each}" for number, each in enumerate(skipped, 1)]
    shutil.rmtree(tmp_path / ".components")  # as of a run by an earlier version
    run_chain(steps, tmp_path)
    assert kept.stat().st_mtime_ns == written
    assert (folder / "memorization-00000-of-00001.tfrecord").read_bytes() == first
    own = steps[1].parameters
    for said, change in (("with the weights after 2 epochs", lambda: kept.write_bytes(b"")),
                         ("train the model again", kept.unlink)):  # fmt: skip
        change()
        with pytest.raises(InputError, match=said):
            steps[1].component.Do({"weights": kept.parent}, {"memorization": folder}, own)
    assert read_memorization(folder)["memorization"].idxmax() == most
    wrong = from_yaml("", [*settings, "self_influence.layers=[last]"])
    with pytest.raises(InputError, match=r"expected some of features, logits, .* received 'last'"):
        run_chain(self_influence(wrong), tmp_path / "untrained")
    assert not [*(tmp_path / "untrained").rglob("whole-*.npz")]
    for wrong, said in (("curvature=hessian", "curvature gauss_newton with solver: fast"),
                        ("solver=exact,sketch=4096", "sketch only with solver: fast")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            from_yaml("", [f"self_influence.{each}" for each in wrong.split(",")])
