import pytest

from tfmem.config import differences, from_yaml
from tfmem.errors import InputError

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
        (PROBABILITY, ["selection.pairs=all"], ["estimation.statistic", "selection.pairs"]),
        (PROBABILITY, ["training.probabilities=false"], ["training.probabilities", "true"]),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(text, override, words):
    with pytest.raises(InputError) as error:
        from_yaml(text, override, "my.yaml")
    message = str(error.value)
    assert "\n" not in message
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
