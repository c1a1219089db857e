import pickle
import tracemalloc

import pytest

from tfmem.config import TrainingSettings, UndeclaredError, differences, from_yaml
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli.options import settings_of

PROBABILITY = "estimation: {statistic: probability}"


@pytest.mark.parametrize(
    ("text", "override", "words"),
    [
        ("training: {epoch: 3}", (), ["training.epoch", "unknown key", "'epochs'", "3"]),
        ("model: {name: cnn, fliters: [3]}", (), ["model.fliters", "'filters'"]),
        ("model: {name: rnn}", (), ["model.name", "'dense', 'cnn'", "'rnn'"]),
        ("model: {hidden: [3]}", (), ["model.name", "dense", "None"]),
        ("training: {trials: many}", (), ["training.trials", "integer", "'many'"]),
        ("", ["training.trials=1"], ["training.trials", "greater than or equal to 2", "1"]),
        ("", ["training.fraction=1.0"], ["training.fraction", "less than 1", "1.0"]),
        ("", ["training.batch_size=2.5"], ["training.batch_size", "integer", "2.5"]),
        ("model: {name: dense, hidden: [8, 0]}", (), ["model.hidden.1", "greater than 0", "0"]),
        ("model: {name: dense, hidden: []}", (), ["model.hidden", "at least 1 item", "[]"]),
        ("", ["seed.x=1"], ["seed", "integer", "{'x': 1}"]),
        ("", ["dataset.classes=[cat]"], ["--set dataset.classes", "at least 2 items", "['cat']"]),
        ("dataset: {classes: [a, 1.5]}", (), ["classes.1: expected a valid integer or a valid st"]),
        ("dataset: {classes: cat}", (), ["dataset.classes: expected a list, received 'cat'"]),
        ("1: 2", (), ["my.yaml: 1: expected a name"]),
        ("training: {epochs: 0}", ["seed=x"], ["my.yaml: training.epochs", "--set seed: expected"]),
        ("", ["training.learning_rate=.inf"], ["training.learning_rate", "finite", "inf"]),
        ("", ["training.weight_decay=.nan"], ["training.weight_decay", "finite", "nan"]),
        ("", ["training.fraction=.nan"], ["training.fraction", "finite"]),
        ("", ["training.checkpoint_minutes=.inf"], ["training.checkpoint_minutes", "finite"]),
        ("", ["self_influence.damping=.inf"], ["self_influence.damping", "finite"]),
        ("seed: 3", ["seed.x=1"], ["--set seed.x", "'seed'"]),
        ("", ["training"], ["--set", "KEY=VALUE", "'training'"]),
        ("a: [", (), ["YAML"]),
        ("seed: 1\nseed: 2", (), ["YAML", "duplicate"]),
        ("- 1", (), ["mapping", "[1]"]),
        ("training: {trainer: mirrored, stack_size: 4}", (), ["training", "stack_size must be 1"]),
        (PROBABILITY, ["selection.influence=2"], ["selection.influence", "-1 to 1", "2"]),
        (PROBABILITY, ["training.probabilities=false"], ["training.probabilities", "true"]),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(text, override, words):
    with pytest.raises(InputError) as error:
        from_yaml(text, override, "my.yaml")
    message = str(error.value)
    assert len(message.splitlines()) == 1 + (override == ["seed=x"])
    for word in words:
        assert word in message


def test_all_mistakes_are_told_at_once():
    with pytest.raises(InputError) as error:
        from_yaml("seed: -1\ntraining: {epochs: 0}", ["nonsense=1"])
    assert len(str(error.value).splitlines()) == 3


def test_yaml_round_trip_and_overrides():
    config = from_yaml("model: {name: cnn}", ["training.trials=7", "training.learning_rate=1e-3"])
    assert config.training.trials == 7
    assert config.training.learning_rate == 1e-3
    assert from_yaml(config.to_yaml()) == config


def test_the_digest_changes_with_what_decides_a_trial_and_with_nothing_else():
    base = from_yaml("")
    same = ["training.trials=9", "training.stack_size=3", "selection.influence=0.5",
            "dataset.data_dir=/x", "training.trainer=mirrored",
            "estimation.statistic=probability"]  # fmt: skip
    other = ["seed=1", "training.epochs=3", "model.name=cnn", "training.fraction=0.5",
             "dataset.name=mnist", "training.warmup=0.2"]  # fmt: skip
    for override in same:
        assert from_yaml("", [override]).digest() == base.digest()
    digests = {from_yaml("", [override]).digest() for override in other} | {base.digest()}
    assert len(digests) == len(other) + 1


def test_differences_name_every_changed_leaf():
    old, new = from_yaml("").trial_settings(), from_yaml("", ["training.epochs=3"]).trial_settings()
    assert differences(old, old) == []
    assert differences(old, new) == ["training.epochs: 30 -> 3"]


BILLIONS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)
HOSTILE = [
    BILLIONS, "&a [*a]", "a: &a {b: *a}", "[" * 5000, "{a: " * 5000, "- " * 3000, "9" * 5000,
    "0x" + "f" * 5000, "2001-13-01", '"\\UFFFFFFFF"', '"\\ud800"', '"\\0"', "\x1b[2J", "!!int abc",
    "!!bool x", "!!python/object:os.system x", "!foo x", "*x", "{? {a: b} : c}", "=", "{<<: 3}",
    "--- 1\n--- 2", "%YAML 9.9\n---\n1", "x" * 2**21, ".nan", "[" + "a, " * 20_000 + "]",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_yaml_made_to_do_harm_is_one_short_line_and_takes_no_memory(text):
    tracemalloc.start()
    try:
        for read in (
            lambda: from_yaml(text, (), "my.yaml"),
            lambda: from_yaml("", [f"seed={text}"]),
        ):
            with pytest.raises(InputError) as error:
                read()
            message = str(error.value)
            assert "\n" not in message
            assert len(message) < 400
            assert message.startswith(("my.yaml: ", "--set seed: "))
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


def test_what_overrides_change_is_not_seen_by_the_next_reader():
    text = "training: {trials: 7}"
    assert from_yaml(text, ["training.trials=9"]).training.trials == 9
    assert from_yaml(text).training.trials == 7


def test_aliases_that_stay_small_are_taken_and_many_mistakes_are_counted():
    config = from_yaml("training: {epochs: &n 7}\nexperiments: {layers: {epochs: *n}}")
    assert config.experiments.section("layers") == {"epochs": 7}
    with pytest.raises(InputError, match=r"my\.yaml: and 280 more") as error:
        from_yaml("\n".join(f"k{n}: 1" for n in range(300)), source="my.yaml")
    assert len(str(error.value).splitlines()) == 21


def test_a_file_without_settings_is_refused_and_one_of_defaults_is_not(tmp_path):
    path = tmp_path / "my.yaml"
    for text in ("", "# nothing\n", "---\n"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"my\.yaml: the file is empty"):
            settings_of(path, ["seed=3"])
    path.write_text("{}")
    assert settings_of(path, ["seed=3"]).seed == 3
    path.write_bytes(b"seed: \xff")
    with pytest.raises(InputError, match=r"my\.yaml: expected a configuration in UTF-8"):
        settings_of(path, [])
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read: No such file"):
        settings_of(tmp_path / "none.yaml", [])


def test_what_is_not_declared_cannot_be_read():
    config = from_yaml("", ["training.trials=9", "selection.influence=0.5", "seed=3"])
    kept = config.only(("seed", "training", "experiments.audit"), "component x")
    kept = kept.without(("training.trials",), "component x")
    assert (kept.seed, kept.training.epochs) == (3, config.training.epochs)
    assert kept.experiments.audit == config.experiments.audit
    unread = "selection", "training.trials", "experiments.estimator"
    for key in unread:
        above, _, name = key.rpartition(".")
        part = getattr(kept, above) if above else kept
        with pytest.raises(UndeclaredError, match=f"component x: {name} is not among"):
            getattr(part, name)
    copied = pickle.loads(pickle.dumps(kept.model_copy(update={"seed": 4})))
    assert not copied.has("selection")
    written = from_yaml(kept.to_yaml())
    assert written.training == TrainingSettings()
    whole = config.only(("seed", "dataset", "model", "task", "training"), "x")
    assert whole.without(("training.trials",), "x").digest() == config.digest()
