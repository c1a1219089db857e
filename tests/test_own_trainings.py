"""Folders whose models another program trained: estimates, and every command that trains none."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

import tfmem
from tests.helpers.commands import ROOT, tfmem_command
from tfmem.messages.errors import InputError

TRAIN, TEST, TRIALS = 120, 40, 12
# Of each kind of examples the commands that could fail; all commands are slow.
SOME = {
    "images": ("figures",),
    "names": ("show", "pairs", "consistency"),
    "numbers": ("show", "pairs"),
}
ALL = ("show", "pairs", "consistency", "report", "figures", "audit", "experiment halves",
       "experiment mem-infl", "experiment instances", "estimate")  # fmt: skip


@pytest.fixture(scope="module")
def arrays():
    """Subsets of trials, and which digits their models are right on."""
    data = load_digits()
    x, y = data.data[: TRAIN + TEST], data.target[: TRAIN + TEST]
    masks = np.random.default_rng(0).random((TRIALS, TRAIN)) < 0.7
    right = []
    for mask in masks:
        model = GaussianNB(var_smoothing=1e-3).fit(x[:TRAIN][mask], y[:TRAIN][mask])
        right.append(model.predict(x) == y)
    return data.images[: TRAIN + TEST, ..., None] / 16, y, masks, np.array(right)


@pytest.fixture(scope="module", params=["images", "names", "numbers"])
def folder(request, arrays, tmp_path_factory):
    """A folder of trials that was estimated from, of each kind."""
    images, y, masks, right = arrays
    folder = tmp_path_factory.mktemp(request.param) / "mine"
    more, labels = {}, (y[:TRAIN], y[TRAIN:])
    if request.param == "images":
        more = {"train_images": images[:TRAIN], "test_images": images[TRAIN:]}
    if request.param == "names":
        more = {
            "train_ids": [f"digit {k}" for k in range(TRAIN)],
            "class_names": list("abcdefghij"),
        }
    if request.param == "numbers":
        more, labels = {"task": "regression"}, (images[:TRAIN].mean((1, 2, 3)), np.zeros(TEST))
    with tfmem.PredictionWriter(folder, *labels, **more) as writer:
        for trial in writer.missing(TRIALS):
            each = right[trial, :TRAIN], right[trial, TRAIN:]
            if request.param == "numbers":
                scores = {"train_scores": 5.0 * each[0] - 7, "test_scores": 5.0 * each[1] - 7}
                writer.write(trial, masks[trial], **scores, score="points")
            else:
                writer.write(trial, masks[trial], train_correct=each[0], test_correct=each[1])
    tfmem.estimate(folder, memorization=0.1, influence=0.2)
    return folder


def test_estimates_of_a_folder_are_those_of_its_arrays(folder, arrays):
    _, y, masks, right = arrays
    run = tfmem.load_run(folder)
    assert run.rule.influence == 0.2
    if run.labels.has_classes:
        labels = y[:TRAIN], y[TRAIN:]
        expected = tfmem.memorization(masks, right[:, :TRAIN])
        found = tfmem.influence(masks, right[:, TRAIN:], *labels)
    else:
        expected = tfmem.memorization(masks, 5.0 * right[:, :TRAIN] - 7)
        found = tfmem.influence(masks, 5.0 * right[:, TRAIN:] - 7)
        assert run.score == "points"
    table = run.memorization.drop(columns="label")
    table.attrs.clear()
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    for block in run.influence.values():
        place = np.ix_(block.train_index, block.test_index)
        np.testing.assert_array_equal(block.influence, found.influence[place])
    assert len(run.pairs) > 0
    memorized = (run.memorization["memorization"] >= 0.1).sum()
    shown = f"Run(mine: 12 trials, {memorized} memorized, {len(run.pairs)} pairs)"
    assert repr(run) == shown.replace(f", {memorized} memorized" * bool(run.score), "")


def without_settings(folder, place):
    """A copy of a run that has been moved, without settings and the journal of its steps."""
    shutil.copytree(folder, place)
    shutil.rmtree(place / ".components")
    (place / "config.yaml").unlink()
    assert tfmem.load_run(place).config.training.trials == TRIALS
    return place


def test_commands_that_train_nothing_work_and_the_others_say_so(folder, tmp_path):
    moved = without_settings(folder, tmp_path / "moved")
    for command in SOME[folder.parent.name.rstrip("0123456789")]:
        tfmem_command(*command.split(), moved)
    for command in (["experiment", "removal"], ["train"], ["self-influence"],
                    ["features", "--file", tmp_path / "features.npz"]):  # fmt: skip
        said = tfmem_command(*command, moved, code=1).stderr
        assert said.endswith(
            "trains models, but those of this run were trained by another program (model.name: "
            "elsewhere)\n"
        )
    assert tfmem.load_run(moved).config.model.name == "elsewhere"


@pytest.mark.slow
def test_every_command_that_trains_nothing_works(folder, tmp_path):
    moved = without_settings(folder, tmp_path / "moved")
    for command in ALL:
        tfmem_command(*command.split(), moved)
    shutil.move(moved, tmp_path / "again")
    assert tfmem.load_run(tmp_path / "again").report().stat().st_size > 20_000


def test_the_loops_of_the_documentation_run(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "own-trainings.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    program = "\n".join(blocks[:2]).replace("100", "8").replace("run.report()", "0")
    exec(program, {})
    assert "Run(cancer: 8 trials, " in capsys.readouterr().out


def test_a_folder_that_cannot_be_estimated_from_gets_one_error(tmp_path):
    writer = tfmem.PredictionWriter(tmp_path / "mine", [0, 1, 0])
    with pytest.raises(InputError, match="expected predictions, found none"):
        tfmem.estimate(tmp_path / "mine")
    writer.write(0, [0, 1], train_correct=[1, 1, 0])
    with pytest.raises(InputError, match="expected at least 2 trials, received 1"):
        tfmem.estimate(tmp_path / "mine")
    with pytest.raises(InputError, match="no such run folder"):
        tfmem.estimate(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="expected predictions, found none"):
        tfmem.estimate(tmp_path / "empty")
    said = tfmem_command("estimate", tmp_path / "x.tfrecord", code=1).stderr
    assert "expected a folder, or shards with their --labels and an --out" in said


def test_without_test_examples_there_is_memorization(tmp_path, arrays):
    _, y, masks, right = arrays
    with tfmem.PredictionWriter(tmp_path / "mine", y[:TRAIN]) as writer:
        for trial in range(4):
            writer.write(trial, masks[trial], train_correct=right[trial, :TRAIN])
    run = tfmem.estimate(tmp_path / "mine")
    assert len(run.pairs) == 0
    expected = tfmem.memorization(masks[:4], right[:4, :TRAIN])
    np.testing.assert_array_equal(run.memorization["memorization"], expected["memorization"])
    assert run.report().exists()
