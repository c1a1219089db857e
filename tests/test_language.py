"""Language models: tokens, losses, canaries, and a whole small run."""

import json
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from tests.helpers.commands import tfmem_command
from tests.helpers.experiments import given
from tfmem.config import CanarySettings, DatasetSettings, TokenSettings, from_yaml
from tfmem.datasets import load
from tfmem.datasets.canaries import plant
from tfmem.datasets.rows import read_lines
from tfmem.datasets.text import without_classes
from tfmem.encoders import sequences
from tfmem.experiments.texts import TextsSettings, texts, texts_figure
from tfmem.messages.errors import InputError
from tfmem.store.shards import read_shard
from tfmem.subsets.drawing import DrawnSubsets
from tfmem.training import train
from tfmem.training.packing import Packing
from tfmem.training.scoring import task_for
from tfmem.training.trainers import model_builder

TREE = """
dataset:
  name: text_files
  data_dir: {}
  text:
    label: null
    tokens: {{vocabulary: 40, length: 7}}
    canaries: {{copies: [1, 3], count: 2, length: 5}}
model: {{name: decoder, width: 8, heads: 2}}
training: {{trials: 8, fraction: 0.25, epochs: 4, batch_size: 8, stack_size: 8, lanes: 1}}
"""


def language(train, test=("a b",), **tokens):
    splits = [np.array(split, np.dtypes.StringDType())[:, None] for split in (train, test)]
    return without_classes("some", splits, TokenSettings(**tokens))


@pytest.fixture
def lines(tmp_path):
    """40 training texts and 10 test texts in files of lines."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 10)):
        said = [" ".join(rng.choice(list("abcdefgh"), 6)) for _ in range(count)]
        (tmp_path / f"{split}.txt").write_text("\n".join(said) + "\n\n", encoding="utf-8")
    return tmp_path


def test_only_ends_of_lines_end_a_text(tmp_path):
    (tmp_path / "train.txt").write_bytes("a\u2028b\r\n\nc\x0cd\re".encode())
    assert read_lines(tmp_path / "train.txt") == ["a\u2028b", "c\x0cd", "e"]


def test_words_are_predicted_each_from_those_before_it():
    """`b` is number 4 and `a` number 5; of eight numbers, four are words."""
    made = sequences(language(["b b a", "A c b d e", "b"], ["z b"], vocabulary=8, length=4))
    np.testing.assert_array_equal(made.train_images, [[2, 4, 4, 5], [2, 5, 6, 4], [2, 4, 3, 0]])
    np.testing.assert_array_equal(made.train_targets, [[4, 4, 5, 3], [5, 6, 4, 7], [4, 3, 0, 0]])
    np.testing.assert_array_equal(made.test_images, [[2, 1, 4, 3]])
    np.testing.assert_array_equal(made.test_targets, [[0, 4, 3, 0]])  # `z` is not predicted
    assert (made.vocabulary, made.has_classes) == (8, False)


def test_bytes_are_predicted_whatever_the_language():
    made = sequences(language(["né", "abcdef"], unit="byte", length=5))
    n, first, second = (byte + 4 for byte in "né".encode())
    np.testing.assert_array_equal(made.train_targets[0], [n, first, second, 3, 0])
    np.testing.assert_array_equal(made.train_images[0], [2, n, first, second, 3])
    np.testing.assert_array_equal(made.train_targets[1], [ord(letter) + 4 for letter in "abcde"])
    assert made.vocabulary == 260


@pytest.fixture(scope="module")
def decoder():
    """A decoder with random weights, and two texts, one of which is padded."""
    data = sequences(language(["b b a c", "a"], vocabulary=8, length=6))
    keras.utils.set_random_seed(0)
    model = model_builder(from_yaml(TREE.format("x"), ["training.fraction=0.5"]), data)()
    for variable in model.trainable_variables:
        variable.assign(keras.random.normal(variable.shape, seed=len(variable.shape)))
    return data, model


def test_loss_and_accuracy_are_means_over_tokens_without_padding(decoder):
    data, model = decoder
    logits = np.asarray(model(data.train_images), np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    each = [
        [(logs[row, place, token], logs[row, place].argmax() == token)
         for place, token in enumerate(targets) if token]
        for row, targets in enumerate(data.train_targets)
    ]  # fmt: skip
    assert [len(row) for row in each] == [5, 2]
    loss = model.compute_loss(data.train_images, data.train_targets, logits.astype(np.float32))
    mean = -np.mean([log for row in each for log, _ in row])
    assert float(loss) == pytest.approx(mean, rel=1e-5)
    for name, column in (("loss", 0), ("accuracy", 1)):
        settings = from_yaml("", [f"task.score={name}"]).task
        task = task_for(settings, data, (6, 7), "logits")
        scored = task.in_program(None, data.train_targets, logits)["score"]
        expected = [np.mean([token[column] for token in row]) for row in each]
        np.testing.assert_allclose(np.asarray(scored), expected, rtol=1e-5)


def test_a_decoder_sees_no_later_token(decoder):
    data, model = decoder
    inputs = data.train_images[:1].repeat(3, axis=0)
    inputs[1, 3:] = [6, 6, 5]
    logits = np.asarray(model(inputs))
    np.testing.assert_allclose(logits[1, :3], logits[0, :3], atol=1e-5)
    assert np.abs(logits[1, 3] - logits[0, 3]).max() > 1e-3


def test_canaries_are_planted_as_often_as_asked():
    data = language(["one two", "two three", "Three four"])
    planted = plant(data, CanarySettings(copies=(1, 3), count=2, length=4, words=3))
    assert planted.train_copies.tolist() == [0, 0, 0, 1, 1, *[3] * 6]
    said = planted.train_texts[3:, 0].tolist()
    assert len(set(said)) == 4
    assert said[2:] == [said[2]] * 3 + [said[5]] * 3
    assert {word for text in said for word in text.split()} <= {"two", "three", "four"}
    assert len(planted.train_labels) == 11
    assert planted.fingerprint != data.fingerprint
    other = plant(data, CanarySettings(copies=(1, 3), count=2, length=4, words=3, seed=1))
    assert other.fingerprint != planted.fingerprint


@pytest.mark.parametrize("as_one", [False, True])
def test_memorization_of_canaries_has_the_order_of_their_copies(as_one):
    """A learner that knows a text with `k` copies in its subset by 1 - 2^-k.

    If copies are in or out together, memorization is that of all `c`: 1 - 2^-c. If not, half of
    what `c - 1` others leave is left for one: 1/2 (1 - 1/8)^(c - 1) at a fraction of 1/4. Means
    over 4 canaries of 500 trials are off by more than 0.06, over four standard errors, in less than
    one of 1,000 runs.
    """
    data = plant(
        language([f"text {number}" for number in range(400)]),
        CanarySettings(copies=(1, 2, 10), count=4, words=400),
    )
    count = len(data.train_copies)
    which = np.unique(data.train_texts[:, 0].astype(object).astype(str), return_inverse=True)[1]
    groups = [np.flatnonzero(which == each) for each in range(which.max() + 1)]
    groups = [each for each in groups if len(each) > 1]
    subsets = DrawnSubsets(count, count // 4, 0, groups if as_one else ())
    masks = np.zeros((500, count), bool)
    for trial, mask in enumerate(masks):
        mask[subsets.subset(trial)] = True
    seen = np.stack([np.bincount(which, mask, which.max() + 1)[which] for mask in masks])
    score = 1 - 0.5**seen
    score[:, data.train_copies == 0] = 0.1
    inside, outside = (
        np.where(chosen, score, 0).sum(axis=0) / chosen.sum(axis=0) for chosen in (masks, ~masks)
    )
    table = pd.DataFrame({"memorization": inside - outside, "stderr": np.zeros(count)})
    outcome = texts(given(from_yaml(""), TextsSettings(), dataset=data, memorization=table))
    found = outcome.table[outcome.table["copies"] > 0].groupby("copies")["memorization"].mean()
    expected = [1 - 0.5**c if as_one else 0.5 * (7 / 8) ** (c - 1) for c in (1, 2, 10)]
    np.testing.assert_allclose(found, expected, atol=0.06)
    assert found.is_monotonic_increasing if as_one else found.is_monotonic_decreasing
    said = [line for line in outcome.findings if line.startswith("Canaries planted")]
    assert [line.split(":")[0] for line in said] == [
        "Canaries planted once", "Canaries planted 2 times", "Canaries planted 10 times"
    ]  # fmt: skip
    assert "number 52 of 452" in (said[0] if as_one else said[2])
    twins = outcome.table.groupby("copies")["duplicates"].agg(["min", "max"])
    assert twins.loc[10].tolist() == [9, 9]
    texts_figure(outcome.table, SimpleNamespace(run=given(from_yaml("")).run)).savefig(
        "/dev/null", format="png"
    )


def test_canaries_whose_memorization_is_not_known_are_named():
    """As where no subset held one."""
    data = plant(language(["one two", "two three"]), CanarySettings(copies=(1, 2), count=1))
    values = {"memorization": [0.1, 0.2, np.nan, 0.5, np.nan], "stderr": np.zeros(5)}
    table = pd.DataFrame(values)
    outcome = texts(given(from_yaml(""), TextsSettings(), dataset=data, memorization=table))
    once, twice = outcome.findings[-2:]
    assert once == "Canaries planted once: the memorization of none is known."
    assert twice.startswith("Canaries planted 2 times: mean memorization of 1 canaries, 0.500 ±")


def test_a_language_is_trained_estimated_and_shown(lines):
    """One command from a file of lines to the page, and one to what is memorized."""
    config, out = lines / "config.yaml", lines / "out"
    config.write_text(TREE.format(lines))
    said = tfmem_command("run", config, "--out", out).stdout
    assert "48 training and 10 test examples" in said
    assert "planted canaries of 5 random words: 2 once, 2 3 times" in said
    page = (out / "report.html").read_text(encoding="utf-8")
    assert (lines / "train.txt").read_text().splitlines()[0] in page
    tfmem_command("experiment", "texts", config, "--out", out)
    found = json.loads((out / "experiments" / "texts" / "findings.json").read_text())
    assert "Canaries planted 3 times: mean memorization of 2 canaries" in str(found["findings"])
    fast = tfmem_command("experiment", "texts", "digits", "--out", lines / "no", code=1)
    assert "expected texts" in fast.stdout + fast.stderr


def test_bad_texts_and_settings_are_named(lines, tmp_path_factory):
    def fails(match, *changes):
        with pytest.raises(InputError, match=match):
            load(from_yaml(TREE.format(lines), changes).dataset)

    (lines / "test.txt").write_bytes(b"fine\nna\xefve\n")
    fails(r"test\.txt: line 2: expected text in UTF-8, received the byte 0xef")
    (lines / "test.txt").write_text("\n \n")
    fails(r"test\.txt: expected at least one example")
    (lines / "test.txt").write_text("fine\n")
    fails("label: null with tokens", "dataset.text.label=label")
    fails(
        "dataset.text.tokens with model.name: decoder",
        "dataset.text.tokens=null",
    )
    fails("a column of classes, with model.name: transformer", "model={name: transformer}")
    fails("one column with a file of lines", "dataset.text.columns=[a, b]")
    folder = tmp_path_factory.mktemp("table")
    (folder / "train.csv").write_bytes(b'sentence\nfine\n"na\xefve"\n')
    (folder / "test.csv").write_text('sentence\n"  "\n')
    text = {"label": None}
    settings = DatasetSettings.model_validate(
        {"name": "text_files", "data_dir": str(folder), "text": text}
    )
    with pytest.raises(InputError, match=r"train\.csv: line 3: expected text in UTF-8"):
        load(settings)
    (folder / "train.csv").write_text("sentence\nfine\n")
    with pytest.raises(InputError, match=r"test\.csv: record 0: sentence: expected a text"):
        load(settings)


def test_models_without_tokens_are_refused_for_texts_with_tokens():
    config = from_yaml(TREE.format("x"), ["model={name: dense}"])
    with pytest.raises(InputError, match=r"model.name: expected decoder or python.*dense"):
        model_builder(config, sequences(language(["a b"])))


def test_texts_longer_than_the_window_are_counted(caplog):
    sequences(language(["a b c d", "a"], ["a b c"], length=3))
    assert "2 of 3 texts are longer than dataset.text.tokens.length, 3 tokens" in caplog.text


KERASHUB = """
import keras
import keras_hub


def build(vocabulary, length):
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=vocabulary, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16,
        max_sequence_length=length,
    )
    tokens = keras.Input((length,), dtype="int32")
    mask = keras.ops.not_equal(tokens, 0)
    hidden = backbone({"token_ids": tokens, "padding_mask": mask})
    model = keras.Model(tokens, backbone.token_embedding(hidden, reverse=True))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model.compile("adam", loss)
    return model
"""


@pytest.mark.slow
def test_a_causal_model_of_kerashub_is_trained_by_fit_on_the_same_tokens(lines):
    pytest.importorskip("keras_hub")
    (lines / "causal.py").write_text(KERASHUB)
    build = f"{lines / 'causal.py'}:build"
    config = from_yaml(
        TREE.format(lines),
        [
            f"model={{name: python, build: '{build}', arguments: {{vocabulary: 40, length: 7}}}}",
            "training={trials: 2, fraction: 0.25, epochs: 1, trainer: fit}",
        ],
    )
    data = load(config.dataset)
    train(config, data, lines / "out")
    (shard,) = sorted((lines / "out" / "predictions").glob("*.tfrecord"))[:1]
    record = next(iter(read_shard(shard)))
    assert record.score_name == "accuracy"
    score = record.outcome("train")
    assert score.shape == (48,)
    assert 0 <= score.min() <= score.max() <= 1


def test_texts_of_a_batch_share_windows():
    """Each token of each text comes once, and texts lie whole side by side, in few windows."""
    rng = np.random.default_rng(0)
    length, count = 12, 50
    lengths = rng.integers(1, length + 1, count)
    packing = Packing(lengths, length, 40)
    batches = np.stack([[rng.permutation(40)[:16] for _ in range(3)] for _ in range(2)])
    places = packing.places(batches)
    assert places.shape[:2] == (2, 3)
    assert places.shape[2] < 16
    assert packing.places(batches[:1, :1]).shape[2:] == places.shape[2:]
    for batch, windows in zip(batches.reshape(-1, 16), places.reshape(6, -1, length), strict=True):
        flat = windows.ravel()
        there = flat[flat < count * length]
        expected = [text * length + np.arange(lengths[text]) for text in np.sort(batch)]
        np.testing.assert_array_equal(np.sort(there), np.concatenate(expected))
        starts = {int(place): at for at, place in enumerate(flat)}
        for text in batch:
            at = starts[text * length]
            window = windows.ravel()[at : at + lengths[text]]
            np.testing.assert_array_equal(window, text * length + np.arange(lengths[text]))
            assert at % length + lengths[text] <= length


def test_places_that_cannot_be_numbered_are_refused():
    with pytest.raises(InputError, match=r"tokens.packed: expected at most 2,147,483,647 places"):
        Packing(np.ones(2**11), 2**20, 2**11)


def test_no_text_sees_another_in_its_window():
    data = sequences(language(["b a", "c", "a b"], vocabulary=8, length=9, packed=True))
    model = model_builder(from_yaml(TREE.format("x"), ["training.fraction=0.5"]), data)()
    for number, variable in enumerate(model.trainable_variables):
        variable.assign(keras.random.normal(variable.shape, seed=number))
    alone = np.asarray(model(data.train_images))
    texts = zip(data.train_images, (3, 2, 3), strict=True)  # without the ends, 3
    together = np.zeros((1, 9), np.int32)
    together[0, :8] = np.concatenate([row[:length] for row, length in texts])
    logits = np.asarray(model(together))[0]
    np.testing.assert_allclose(logits[:3], alone[0, :3], atol=1e-5)
    np.testing.assert_allclose(logits[3:5], alone[1, :2], atol=1e-5)
    np.testing.assert_allclose(logits[5:8], alone[2, :3], atol=1e-5)
    plain = model_builder(from_yaml(TREE.format("x"), ["training.fraction=0.5"]),
                          replace(data, packed=False))()  # fmt: skip
    plain.set_weights(model.get_weights())
    read = data.train_images > 0
    np.testing.assert_allclose(np.asarray(plain(data.train_images))[read], alone[read], atol=1e-5)


@pytest.mark.slow
def test_trials_are_the_same_in_shared_windows(lines):
    """Scores are shares of 7 tokens, so that rounding changes few; losses are alike."""
    found = {}
    for packed in (False, True):
        config = from_yaml(
            TREE.format(lines),
            [f"dataset.text.tokens={{vocabulary: 40, length: 16, packed: {str(packed).lower()}}}",
             "task.score=loss", "training.trials=2"],
        )  # fmt: skip
        train(config, load(config.dataset), lines / f"{packed}")
        shards = sorted((lines / f"{packed}" / "predictions").glob("*.tfrecord"))
        records = [record for shard in shards for record in read_shard(shard)]
        found[packed] = np.stack([record.outcome("train") for record in records])
    np.testing.assert_allclose(found[True], found[False], atol=2e-4)
