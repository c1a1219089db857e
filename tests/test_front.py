"""`tfmem.run`: any model, any data, from Python; and the same from settings."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import tfmem
from tests.helpers.commands import tfmem_command
from tfmem.config import from_yaml
from tfmem.config.functions import resolve
from tfmem.messages.errors import InputError
from tfmem.training.digests import with_digests

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
SMALL = {"trials": 4, "epochs": 1, "batch_size": 16}


def classifier():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(0.1), loss)
    return model


def wider():
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(3), keras.layers.Dense(2, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_a_run_from_arrays_has_tables_names_and_a_page_and_continues(tmp_path, capsys):
    ids = [f"patient {k}" for k in range(40)]
    train, test = (X[:40], Y[:40]), (X[40:], Y[40:])
    run = tfmem.run(classifier, train, test, out=tmp_path / "mine", ids=ids, **SMALL)
    assert len(run.memorization) == 40
    assert run.influence[1].influence.shape == (Y[:40].sum(), Y[40:].sum())
    assert run.labels.train_ids.tolist() == ids
    assert run.report().is_file()
    assert "<img" in run._repr_html_()
    assert "4 trained now" in capsys.readouterr().out
    again = tfmem.run(classifier, train, test, out=tmp_path / "mine", ids=ids, **SMALL)
    assert capsys.readouterr().out.count("unchanged, skipped") == 5
    assert again.memorization.equals(run.memorization)
    with pytest.raises(InputError, match="other data"):
        tfmem.run(classifier, (X[:40], 1 - Y[:40]), test, out=tmp_path / "mine", **SMALL)
    with pytest.raises(InputError, match=r"model\.build returns another architecture"):
        tfmem.run(wider, train, test, out=tmp_path / "mine", **SMALL)
    assert len(tfmem.load_run(tmp_path / "mine").memorization) == 40


def test_regression_without_a_test_set(tmp_path):
    def build():
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    run = tfmem.run(build, (X, 3 * X[:, 1]), out=tmp_path / "numbers", **SMALL)
    assert run.memorization["memorization"].notna().any()


SOURCE = """
import numpy as np
from sklearn.linear_model import LogisticRegression

def build(strength):
    return LogisticRegression(C=strength)

def load(count):
    x = np.random.default_rng(0).normal(size=(count, 3))
    y = (x[:, 0] > 0).astype(int)
    return (x, y), (x[:5], y[:5])
"""
SETTINGS = """
model: {name: python, build: "my_project:build", arguments: {strength: 0.5}}
dataset: {name: python, load: "my_project:load", arguments: {count: 40}}
training: {trials: 4}
"""


def test_the_same_from_settings_and_changed_source_is_refused(tmp_path, monkeypatch):
    (tmp_path / "my_project.py").write_text(SOURCE)
    (tmp_path / "mine.yaml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    tfmem_command("run", "mine.yaml", "--out", "mine")
    assert len(tfmem.load_run("mine").memorization) == 40
    sys.modules.pop("my_project", None)
    (tmp_path / "my_project.py").write_text(SOURCE + "# another line\n")
    changed = tfmem_command("run", "mine.yaml", "--out", "mine", code=1)
    assert "the module of model.build has changed" in changed.stderr
    more = ("--set", "model.ignore_source=true")
    tfmem_command("run", "mine.yaml", "--out", "mine", *more)
    sys.modules.pop("my_project", None)


def test_a_function_is_named_by_its_file(tmp_path, monkeypatch):
    file = tmp_path / "of_a_file.py"
    file.write_text(SOURCE)
    assert resolve(f"{file}:build", "model.build")(0.5).C == 0.5
    text = SETTINGS.replace("my_project:", f"{file}:")
    config = with_digests(from_yaml(text))
    assert config.training.trainer == "auto"
    assert from_yaml(text, ["training.trainer=fit"]).training.trainer == "fit"
    assert from_yaml("").training.trainer == "stacked"
    other = tmp_path / "other"
    other.mkdir()
    for name, said in (("of_a_file.py", "another module has the name"), ("no.py", "there is no")):
        if name in file.name:
            (other / name).write_text(SOURCE)
        with pytest.raises(InputError, match=said):
            resolve(f"{other / name}:build", "model.build")
    monkeypatch.delitem(sys.modules, "of_a_file")


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "expected a compiled model"),
        (lambda: "a model", "expected a compiled Keras model, or a model with fit"),
        (lambda width: width, "missing 1 required positional argument"),
        (lambda: 1 / 0, "model.build: .*lambda.* fails: ZeroDivisionError: division by zero"),
    ],
)
def test_bad_builders_get_one_error(tmp_path, build, said):
    with pytest.raises(InputError, match="build: expected a function"):
        tfmem.run(classifier(), (X, Y), out=tmp_path / "bad", **SMALL)
    with pytest.raises(InputError, match=said):
        tfmem.run(build, (X, Y), out=tmp_path / "bad", **SMALL)


def test_settings_that_a_run_does_not_read_are_refused(tmp_path):
    settings, out = {"experiments.removal.repeats": 2}, tmp_path / "mine"
    with pytest.raises(InputError, match=f"{out} --set experiments.removal.repeats=2"):
        tfmem.run(classifier, (X, Y), out=out, settings=settings, **SMALL)
    with pytest.raises(InputError, match=r"experiments.removal.repeat: unknown key"):
        tfmem.run(classifier, (X, Y), out=out, settings={"experiments.removal.repeat": 2}, **SMALL)
    assert not out.exists()


@pytest.mark.slow
def test_a_setting_that_a_compiled_model_brings_itself_is_refused_or_named(tmp_path, capsys):
    out = tmp_path / "mine"
    with pytest.raises(InputError, match=r"label_smoothing: expected 0 .* own loss"):
        tfmem.run(classifier, (X, Y), out=out, settings={"training.label_smoothing": 0.1}, **SMALL)
    assert not out.exists()
    rate = {"training.learning_rate": 0.3}
    tfmem.run(classifier, (X, Y), out=out, settings=rate, **SMALL)
    said = "warning: training.learning_rate: without effect, because the model of model.build"
    assert capsys.readouterr().err.count(said) == 1


@pytest.mark.slow
def test_a_script_without_a_main_guard_works_and_is_told_what_workers_need(tmp_path):
    """Models of scikit-learn train in processes, which must not run the script again."""
    (tmp_path / "script.py").write_text(
        "import numpy as np, tfmem\n"
        "from sklearn.tree import DecisionTreeClassifier\n"
        "x = np.random.default_rng(0).normal(size=(40, 3))\n"
        "def build():\n    return DecisionTreeClassifier()\n"
        "run = tfmem.run(build, (x, (x[:, 0] > 0).astype(int)), trials=4, out='tree')\n"
        "print(len(run.memorization))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "40"
    settings = "tree/predictions/config.yaml"
    worker = subprocess.run(
        [sys.executable, "-m", "tfmem", "train", settings, "--out", "tree"],
        cwd=tmp_path, env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert worker.returncode == 1
    assert "put the function into a module that both can import" in worker.stderr
