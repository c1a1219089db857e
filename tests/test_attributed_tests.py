"""Scores by gradients of a run's own models, judged, shown for test examples, and refused."""

import json
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

import tfmem
from tests.helpers.commands import tfmem_command
from tests.helpers.learners import learner
from tfmem.config import from_yaml
from tfmem.datamodels.influence import influence_on
from tfmem.datasets.saved import save_dataset
from tfmem.experiments.outcome import load_outcome
from tfmem.experiments.run import load_run
from tfmem.pipelines import attributed_tests
from tfmem.pipelines.cli.attributing_tests import contents

FEW = "--set", "gradient_attribution.models=2", "--set", "gradient_attribution.checkpoints=2"


def build(end="logit"):
    """Two named inputs, and one output for two classes, as a logit or behind a sigmoid."""
    pair = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    x = keras.layers.Dense(6, "tanh")(keras.layers.Concatenate()(pair))
    outputs = keras.layers.Dense(1, "sigmoid" if end == "sigmoid" else None)(x)
    model = keras.Model(dict(zip(("left", "right"), pair, strict=True)), outputs)
    loss = keras.losses.BinaryCrossentropy(from_logits=end == "logit")
    model.compile(keras.optimizers.SGD(0.5), loss)
    return model


class Own(keras.Model):
    """A model with its own training step, which only its `fit` respects."""

    def train_step(self, data):
        return super().train_step(data)


def build_own():
    model = Own(*(lambda x: (x, keras.layers.Dense(3)(x)))(keras.Input((7,))))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def examples(classes):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 7)).astype(np.float32)
    y = (x @ rng.normal(size=(7, classes))).argmax(1)
    return x, y


def run(make, split, folder, **more):
    x, y = examples(more.pop("classes"))
    parts = [(split(x[part]), y[part]) for part in (slice(0, 48), slice(48, 60))]
    return tfmem.run(make, *parts, trials=12, epochs=4, out=folder, **more)


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    """A run of a model with two inputs and one output."""
    folder = tmp_path_factory.mktemp("binary") / "run"
    run(build, lambda x: {"left": x[:, :4], "right": x[:, 4:]}, folder, classes=2)
    return folder


def test_influence_is_the_difference_of_means_with_and_without():
    outputs, _ = learner(subsets=30, noise=1.0)
    value, stderr = influence_on(outputs)
    bits = outputs.bits().astype(bool)
    for train in range(3):
        sides = [outputs.means[bits[:, train]], outputs.means[~bits[:, train]]]
        expected = sides[0].mean(0) - sides[1].mean(0)
        np.testing.assert_allclose(value[train], expected)
        spread = sum(side.var(axis=0, ddof=1) / len(side) for side in sides)
        np.testing.assert_allclose(stderr[train], np.sqrt(spread))


def test_scores_of_an_own_model_are_judged_and_kept(binary):
    arguments = ["trak", "tracin", "influence-functions", "--run", binary, *FEW]
    ended = tfmem_command("lds", *arguments)
    rows = pd.read_csv(binary / "lds" / "scores.csv")
    assert rows["attributions"].tolist() == arguments[:3]
    assert rows["models"].tolist() == [2, 1, 2]
    assert np.isfinite(rows["lds"]).all()
    assert "scores-trak: done" in ended.stderr + ended.stdout
    for name in arguments[:3]:
        scores = np.load(binary / "gradient_attribution" / name / "scores.npy")
        assert scores.shape == (48, 12)
        assert np.abs(scores).max() > 0
    ended = tfmem_command("lds", *arguments)
    assert "scores-trak: unchanged, skipped" in ended.stderr + ended.stdout


@pytest.mark.parametrize("method", ["influence", "datamodel", "trak"])
def test_the_command_shows_helpful_and_harmful_examples(binary, method, tmp_path):
    file = tmp_path / "found.json"
    ended = tfmem_command(
        "attribute-test", binary, "--test", "5,2", "--method", method, "--top", "3",
        "--file", file, *FEW,
    )  # fmt: skip
    table = pd.DataFrame(json.loads(file.read_text()))
    assert set(table["test_index"]) <= {5, 2}
    assert (table["score"] > 0).eq(table["effect"] == "helpful").all()
    assert table.groupby(["test_index", "effect"]).size().max() <= 3
    for _, rows in table.groupby(["test_index", "effect"]):
        assert rows["score"].abs().is_monotonic_decreasing
    if method == "trak":
        scores = np.load(binary / "gradient_attribution" / "trak" / "scores.npy")
        assert table["score"].iloc[0] == pytest.approx(scores[:, 5].max())
    assert ("stderr" in table) == (method in ("influence", "datamodel"))
    assert "Test example 5 (" in ended.stdout
    outcome = load_outcome(binary / "attributed_tests")
    assert outcome.question in (binary / "report.html").read_text()


def test_sigmoid_and_logit_give_the_same_scores(tmp_path):
    """Of equal weights, an output behind a sigmoid means the same as the logit."""
    from tfmem.influence_functions.objective import Objective

    x, y = examples(2)
    inputs = {"left": x[:, :4], "right": x[:, 4:]}
    one, other = build(), build("sigmoid")
    other.set_weights(one.get_weights())
    rows = []
    for model in (one, other):
        found = list(Objective(model, inputs, y).margin_gradients(inputs, y))
        rows.append(np.concatenate([part for _, part in found]))
    np.testing.assert_allclose(*rows, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_model_that_only_fit_trains_has_scores(tmp_path):
    folder = tmp_path / "run"
    run(build_own, np.asarray, folder, classes=3)
    ended = tfmem_command("attribute-test", folder, "--test", "0", "--method", "tracin", *FEW)
    assert "Test example 0" in ended.stdout
    kept = sorted(path.name for path in (folder / "gradient_attribution/checkpoints").iterdir())
    assert kept == ["model-00000-epoch-00002.npz", "model-00000-epoch-00004.npz"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--test", "99"], "expected numbers of test examples from 0 to 11, received 99"),
        (["--test", ","], "expected numbers such as 5,17"),
        (["--test", ",".join(map(str, range(40)))], "expected from 1 to 32 numbers"),
        (
            ["--test", "9" * 30],
            f"expected numbers of test examples from 0 to 11, received {'9' * 30}",
        ),
        (["--test", "1", "--file", "x.txt"], "expected .csv, .parquet or .json"),
        (["--test", "1", "--file", "no/x.csv"], "--file no/x.csv: expected an existing folder"),
        (
            ["--test", "1", "--method", "trak", "--statistic", "loss"],
            "expected none with method trak",
        ),
        (["--test", "1", "--set", "dataset.label_noise=0.5"], "trained on other data than these"),
    ],
)
def test_mistakes_are_named(binary, arguments, said):
    ended = tfmem_command("attribute-test", binary, *arguments, code=None)
    assert ended.code != 0
    assert said in " ".join(ended.stderr.split()) + " ".join(ended.stdout.split())


def test_attributions_of_other_data_than_the_runs_are_not_judged(binary):
    ended = tfmem_command(
        "lds", "trak", "--run", binary, "--set", "dataset.label_noise=0.5", code=1
    )
    assert "dataset.label_noise: 0.0 -> 0.5" in ended.stderr


@pytest.mark.parametrize("method", ["trak", "self-influence"])
def test_data_that_settings_name_but_that_have_changed_are_refused(binary, method, tmp_path):
    """Settings do not say what a file holds."""
    data = tfmem.load_run(binary).dataset
    save_dataset(replace(data, train_labels=1 - data.train_labels), tmp_path)
    other = "--set", f"dataset.data_dir={tmp_path}"
    for arguments in (["lds", method, "--run"], ["attribute-test", "--test=1", "--method", method]):
        ended = tfmem_command(*arguments, binary, *other, code=1)
        assert "predictions: made with other data than" in ended.stderr


def test_what_is_not_known_is_null_in_json_and_named(binary, tmp_path):
    """Errors are not known where one subset alone lacks an example; scores where all are 0."""
    values = np.zeros((48, 2))
    values[[3, 5], 0] = 0.5, -1
    stderr = np.full((48, 2), np.nan)
    found = attributed_tests.TestScores("influence", np.array([4, 7]), values, stderr, "trials")
    file = tmp_path / "found.json"
    table = attributed_tests.show(found, load_run(binary).config, binary, 99)
    file.write_bytes(contents(table, ".json"))
    rows = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert [(row["train_index"], row["stderr"]) for row in rows] == [(3, None), (5, None)]
    said = load_outcome(binary / "attributed_tests").findings
    assert said[-1] == "All scores are 0 or unknown for test example 7."


def test_settings_come_from_the_file_that_a_run_was_made_with(binary, tmp_path):
    path = tmp_path / "my.yaml"
    few = ["gradient_attribution={models: 1, projection: 8}"]
    path.write_text(from_yaml(tfmem.load_run(binary).config.to_yaml(), few).to_yaml())
    tfmem_command("lds", "trak", "--run", binary, "--config", path, "--out", tmp_path / "lds")
    assert pd.read_csv(tmp_path / "lds" / "scores.csv")["models"].tolist() == [1]
