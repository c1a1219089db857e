"""`training.backend: auto` takes the faster backend once for all programs of a run."""

import json
import threading

import keras
import pytest

from tests.helpers.commands import tfmem_command, tfmem_process
from tfmem import InputError
from tfmem.config import from_yaml
from tfmem.pipelines.cli.options import by_tensorflow
from tfmem.training import backend_choice
from tfmem.training.backend_choice import faster, with_chosen_backend
from tfmem.training.digests import with_digests
from tfmem.training.measured import Measured, Refused, measure

TINY = [
    "training={trials: 8, epochs: 2, stack_size: 4, lanes: 1, batch_size: 128}",
    "dataset={name: digits}",
    "model={name: dense, hidden: [8]}",
]
AUTO = [*TINY, "training.backend=auto"]


def build():
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.fixture
def measured(monkeypatch):
    """Has measurements return given times, and keeps what was measured, in order."""
    given = {"tensorflow": Measured(5, 0.3, 9), "jax": Measured(7, 0.1, 9)}
    asked = []

    def measure(config, backend, limit):
        asked.append((backend, limit))
        return given[backend]

    monkeypatch.setattr(backend_choice, "measure", measure)
    return given, asked


def set_options(words):
    return [part for word in words for part in ("--set", word)]


@pytest.mark.parametrize(
    ("start", "trial", "trials", "expected"),
    [
        (5, 0.1, 1000, "tensorflow"),  # equal times
        (5, 0.089, 1000, "jax"),
        (5, 0.091, 1000, "tensorflow"),  # saves less than a tenth
        (15, 0.05, 100, "tensorflow"),  # too few trials to make up for the start
        (15, 0.05, 1000, "jax"),
    ],
)
def test_jax_must_save_a_tenth_of_the_time_of_all_trials(start, trial, trials, expected):
    found = {"tensorflow": Measured(5, 0.1, 9), "jax": Measured(start, trial, 9)}
    assert faster(found, trials)["backend"] == expected


def test_a_backend_that_cannot_train_the_model_is_not_taken(capsys):
    known = Measured(5, 0.1, 9)
    assert (
        faster({"tensorflow": known, "jax": Refused("no such layer")}, 7)["backend"] == "tensorflow"
    )
    assert capsys.readouterr().out == (
        "training.backend: auto takes TensorFlow: 7 trials take about 5.7 s on TensorFlow "
        "(100 ms each); not on JAX: no such layer\n"
    )
    assert faster({"tensorflow": Refused("no"), "jax": known}, 7)["backend"] == "jax"
    with pytest.raises(InputError, match=r"^training\.backend: auto: TensorFlow: this; JAX: that$"):
        faster({"tensorflow": Refused("this"), "jax": Refused("that")}, 7)
    with pytest.raises(InputError, match=r"^there are no data$"):
        faster(dict.fromkeys(("tensorflow", "jax"), Refused("there are no data")), 7)


def test_the_choice_is_made_once_and_is_the_identity_of_the_run(tmp_path, measured, capsys):
    given, asked = measured
    auto = from_yaml("", [*AUTO, "training.trials=100"])
    first = with_chosen_backend(auto, tmp_path)
    assert asked == [("tensorflow", None), ("jax", 35)]
    assert capsys.readouterr().out.splitlines()[1] == (
        "training.backend: auto takes JAX: 100 trials take about 35 s on TensorFlow "
        "(300 ms each) and about 17 s on JAX (100 ms each)"
    )
    assert first.digest() == from_yaml("", [*TINY, "training.backend=jax"]).digest()
    given["jax"] = Refused("another measurement")
    more = from_yaml("", [*AUTO, "training.trials=9"])
    assert with_chosen_backend(more, tmp_path).training.backend == "jax"
    assert len(asked) == 2
    other = from_yaml("", [*AUTO, "training.epochs=3", "training.trials=100"])  # it has not begun
    found = with_chosen_backend(other, tmp_path)
    assert found.digest() == from_yaml("", [*TINY, "training.epochs=3"]).digest()
    assert len(asked) == 4
    few = from_yaml("", [*AUTO, "training.epochs=4", "training.trials=40"])
    capsys.readouterr()
    assert with_chosen_backend(few, tmp_path).training.backend == "tensorflow"
    assert capsys.readouterr().out.splitlines()[1] == (
        "training.backend: auto takes TensorFlow: 40 trials take about 17 s on it, "
        "too few to time JAX too"
    )
    assert len(asked) == 5
    for text in ('{"settings": 3}', "[]", "\udcff"):
        (tmp_path / "backend.json").write_text(text, errors="surrogateescape")
        assert with_chosen_backend(auto, tmp_path).training.backend == "tensorflow"


def test_the_backend_on_which_a_run_began_wins(tmp_path, measured):
    begun = tmp_path / "predictions" / "config.yaml"
    begun.parent.mkdir()
    for backend in ("tensorflow", "jax"):
        begun.write_text(from_yaml("", [*TINY, f"training.backend={backend}"]).to_yaml())
        assert with_chosen_backend(from_yaml("", AUTO), tmp_path).training.backend == backend
    assert not measured[1]


def test_programs_that_begin_at_once_agree(tmp_path, monkeypatch):
    together, asked, found = threading.Barrier(3), [], []

    def measure(config, backend, limit):
        asked.append(backend)  # a second measurement would find the other backend faster
        return Measured(5, len(asked) % 3, 1)

    def begin():
        together.wait()
        found.append(with_chosen_backend(from_yaml("", AUTO), tmp_path).training.backend)

    monkeypatch.setattr(backend_choice, "measure", measure)
    programs = [threading.Thread(target=begin) for _ in range(3)]
    for program in programs:
        program.start()
    for program in programs:
        program.join()
    assert found == ["tensorflow"] * 3
    assert asked == ["tensorflow", "jax"]


def test_what_is_not_installed_is_not_measured(tmp_path, monkeypatch, measured, capsys):
    def without(missing):
        monkeypatch.setattr(
            backend_choice.importlib.util, "find_spec", lambda name: None if name == missing else 1
        )
        return with_chosen_backend(from_yaml("", AUTO), tmp_path / missing).training.backend

    assert without("jax") == "tensorflow"
    assert without("tensorflow") == "jax"
    assert capsys.readouterr().out.splitlines() == [
        "training.backend: auto takes TensorFlow, because JAX is not installed "
        "(pip install 'tfmem[jax]')",
        "training.backend: auto takes JAX, because TensorFlow is not installed",
    ]
    assert not measured[1]


def test_a_model_of_this_program_is_trained_on_its_keras(tmp_path, measured, capsys):
    own = [
        "model={name: python, build: 'tests.test_backend_choice:build'}",
        "training.backend=auto",
    ]
    found = with_chosen_backend(from_yaml("", own), tmp_path)
    assert found.training.backend == "tensorflow"
    assert "takes TensorFlow, on which Keras runs in this program" in capsys.readouterr().out
    assert not measured[1]


def test_commands_keep_the_choice(tmp_path, measured):
    words = ["digits", "--out", tmp_path, *set_options(AUTO)]
    said = tfmem_command("train", *words, "--worker", "1/2").stdout
    assert "auto takes TensorFlow: 8 trials take about 7.4 s on it" in said
    recorded = (tmp_path / "predictions" / "config.yaml").read_text()
    assert "  backend: tensorflow\n" in recorded
    assert "auto takes" not in tfmem_command("train", *words, "--worker", "2/2").stdout
    assert measured[1] == [("tensorflow", None)]
    assert json.loads((tmp_path / "backend.json").read_text())["trials"] == 8
    digest = with_digests(from_yaml(recorded)).digest()
    assert digest == with_digests(from_yaml("", TINY)).digest()


def test_gradients_are_computed_by_tensorflow(tmp_path, measured):
    words = ["digits", "--out", tmp_path, *set_options(AUTO)]
    said = tfmem_command("study", *words, code=None).stdout  # which digits are refused for
    assert (
        said == "training.backend: auto takes TensorFlow, on which self-influences are computed\n"
    )
    one_model = from_yaml("", [*TINY, "experiments.estimator=self_influence"])
    for config in (one_model, from_yaml("", TINY)):
        assert by_tensorflow("removal", "seeds")(config) == "gradients of models"
    assert by_tensorflow("removal")(one_model) == "self-influences"
    assert by_tensorflow("removal")(from_yaml("", TINY)) == ""
    assert not measured[1]


@pytest.mark.slow
def test_trials_are_timed_on_both_backends(tmp_path):
    words = "digits", "--out", tmp_path, *set_options(AUTO)
    assert "8 trials (8 trained now)" in tfmem_process("train", *words).stdout
    found = json.loads((tmp_path / "backend.json").read_text())
    assert found["seconds"].keys() == {"tensorflow"}  # eight trials are few
    on_jax = measure(from_yaml("", AUTO), "jax", None)
    del found["seconds"]["tensorflow"]["all_trials"]
    for each in (Measured(**found["seconds"]["tensorflow"]), on_jax):
        assert 0 < each.trial < each.start < each.took
    mirrored = from_yaml("", [*TINY, "training={trainer: mirrored}"])
    refused = measure(mirrored, "jax", None)
    assert refused.why.startswith("training.trainer: 'mirrored' spreads a model over devices")
    assert measure(mirrored, "jax", 0.1).why == "it was not measured within 0 s"
