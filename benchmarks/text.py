"""Measures training on stored activations against training through the frozen layers, on SST-2.

Three sides take the same steps of the same recipe on the same sentences in turn: tfmem, on
activations that were computed once; the same last layers behind the frozen ones, which run for
every batch; and KerasHub's classifier with frozen layers in `model.fit`.
"""

import argparse
import time
from pathlib import Path

import keras
import keras_hub
import numpy as np
import tensorflow as tf

from benchmarks.measured import Record, quantity, recording, seconds
from tfmem.config import EncoderSettings, from_yaml
from tfmem.datasets import TextDataset, load
from tfmem.encoders import as_arrays, with_encoder_digest
from tfmem.encoders.activations import encode
from tfmem.encoders.location import locate
from tfmem.encoders.pretrained import load_encoder
from tfmem.subsets import Trial
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.trainers import model_builder


def ours(config, examples):
    """Returns a function that trains on the stored activations of given examples."""
    trainer = MirroredTrainer(model_builder(config, examples), examples, config.training)
    trainer.assign(trainer.initializer.of_stack([Trial(0, 0)]))
    steps = np.full(len(examples.train_labels), config.training.learning_rate, np.float32)

    def run(rows):
        draws = np.zeros((1, len(rows)), np.uint64)
        batches = -(-len(rows) // config.training.batch_size)
        trainer.run_epoch(rows[None], draws, steps[:batches])

    return run


def through_frozen(config, examples, tokens):
    """Returns a function that trains the same layers, and runs the frozen layers for each batch."""
    encoder = load_encoder(config.model.preset)
    frozen, model = encoder.frozen(config.model.trained_layers), model_builder(config, examples)()
    optimizer = keras.optimizers.SGD(config.training.learning_rate, config.training.momentum)
    optimizer.build(model.trainable_variables)

    names = ("token_ids", "segment_ids", "padding_mask")
    rows = tf.TensorSpec([None, None], tf.int32)
    signature = [dict.fromkeys(names, rows), tf.TensorSpec([None], tf.int64)]

    @tf.function(input_signature=signature)
    def step(inputs, labels):
        real = tf.cast(inputs["padding_mask"], tf.float32)[..., None]
        activations = frozen(inputs, training=False) * real
        with tf.GradientTape() as tape:
            logits = model(activations, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [weight.value for weight in weights]))

    def run(rows):
        for start in range(0, len(rows), config.training.batch_size):
            batch = rows[start : start + config.training.batch_size]
            step(encoder.inputs(tokens, batch), examples.train_labels[batch])

    return run


def keras_hubs(config, examples, tokens):
    """Returns a function that trains KerasHub's classifier on given examples."""
    backbone = keras_hub.models.Backbone.from_preset(str(locate(config.model.preset)))
    classifier = keras_hub.models.BertTextClassifier(backbone, 2, activation=None)
    last = backbone.num_layers - config.model.trained_layers
    trained = {f"transformer_layer_{number}" for number in range(last, backbone.num_layers)}
    for layer in backbone.layers:
        layer.trainable = layer.name in {*trained, "pooled_dense"}
    classifier.compile(
        keras.optimizers.SGD(config.training.learning_rate, config.training.momentum),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    mask = (np.arange(tokens.ids.shape[1]) < tokens.counts[:, None]).astype(np.int32)
    arrays = {"token_ids": tokens.ids, "segment_ids": tokens.segments, "padding_mask": mask}

    def run(rows):
        inputs = {name: array[rows] for name, array in arrays.items()}
        labels, batch = examples.train_labels[rows], config.training.batch_size
        classifier.fit(inputs, labels, batch, verbose=0)

    return run


def compare(data, layers, turns, record):
    """Prints the seconds of a step with the given number of trained layers, and ratios."""
    text = Path("configs/sst2.yaml").read_text(encoding="utf-8")
    settings = f"dataset.data_dir={data / 'sst2'}", f"model.trained_layers={layers}"
    config = with_encoder_digest(from_yaml(text, settings))
    model, dataset = config.model, load(config.dataset)
    if not (isinstance(model, EncoderSettings) and isinstance(dataset, TextDataset)):
        raise SystemExit("expected an encoder, and texts")
    start = time.perf_counter()
    examples = as_arrays(config, dataset)
    spent = time.perf_counter() - start
    record.say(f"{layers} trained layers: activations, less if stored before", time=seconds(spent))
    encoder = load_encoder(model.preset)
    tokens = encode(encoder, dataset.train_texts, model)
    sides = {
        "stored activations": ours(config, examples),
        "through the frozen layers": through_frozen(config, examples, tokens),
        "KerasHub's classifier": keras_hubs(config, examples, tokens),
    }
    order = np.random.default_rng(0).permutation(len(examples.train_labels))
    count = 20 * config.training.batch_size
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run(order[turn * count : (turn + 1) * count])
            times[name].append((time.perf_counter() - start) / 20)
    # The first turn traces the programs and does not count.
    for name, found in times.items():
        record.say(
            f"{layers} trained layers, {name}",
            a_step=quantity(1000 * np.median(found[1:]), unit="ms"),
            over_stored_activations=np.median(
                np.array(found[1:]) / np.array(times["stored activations"][1:])
            ),
        )


def main():
    """Compares with one and with two trained layers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with sst2")
    parser.add_argument("--turns", type=int, default=7)
    recording(parser)
    options = parser.parse_args()
    record = Record("text", settings={"turns": options.turns})
    for layers in (1, 2):
        compare(options.data, layers, options.turns, record)
    if options.record:
        record.write()


if __name__ == "__main__":
    main()
