"""Measures how long a farm of trials does not train, and how fast images reach the network.

The time beside training steps includes making trainers, tracing programs, drawing subsets and
orders, predictions on all examples, records, claims, the journal and checkpoints.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.measured import Record, percent, recording, seconds
from benchmarks.peers.stacks import read_config
from tfmem import training
from tfmem.datasets import load
from tfmem.subsets import Trial
from tfmem.training.augmentation import draw_moves
from tfmem.training.moving import move
from tfmem.training.resident import ResidentExamples
from tfmem.training.stacked import StackedTrainer


def overhead(config, data, record):
    """Prints the share of a run's time in which no lane takes training steps, and where it goes."""
    spent = {"run_epoch": 0.0, "predict": 0.0}
    lock = threading.Lock()
    real = {name: getattr(StackedTrainer, name) for name in spent}

    def timed(name):
        def method(self, *arguments):
            start = time.perf_counter()
            result = real[name](self, *arguments)
            with lock:
                spent[name] += time.perf_counter() - start
            return result

        return method

    for name in spent:
        setattr(StackedTrainer, name, timed(name))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        summary = training.train(config, data, Path(folder) / "run")
        wall = time.perf_counter() - start
    for name, method in real.items():
        setattr(StackedTrainer, name, method)
    lanes = config.training.lanes
    steps, predictions = (spent[name] / lanes for name in ("run_epoch", "predict"))
    record.say(
        f"{summary.trials} trials on {lanes} lanes",
        time=seconds(wall),
        a_trial=seconds(wall * lanes / summary.trials),
        predictions_on_all_examples=percent(predictions / wall),
        everything_else_except_training_steps=percent(1 - (steps + predictions) / wall),
    )


def feeding(config, data, record):
    """Prints how many images a second are gathered, cropped and flipped, and how many trained."""
    settings = config.training
    examples = ResidentExamples(data)
    batch, steps = settings.batch_size, 100
    draws = Trial(0, 0).augmentation_draws(0, batch * steps)
    moves = tf.constant(draw_moves(draws, settings.augmentation).reshape(steps, batch, 3))
    order = tf.constant(np.random.default_rng(0).integers(0, 1000, (steps, batch)), tf.int32)

    @tf.function
    def feed(order, moves):
        total = tf.constant(0.0)
        for step in tf.range(steps):
            images = move(examples.images(order[step]), moves[step], settings.augmentation.pad)
            total += examples.scaled(images)[0, 0, 0, 0]
        return total

    from tfmem.training.trainers import model_builder

    trainer = StackedTrainer(model_builder(config, data)(), examples, settings, 1)
    trainer.assign(trainer.initializer.of_stack([Trial(0, 0)]))
    orders = order.numpy().reshape(1, -1)[:, : 20 * batch]
    best = np.full(2, np.inf)
    for _ in range(5):
        start = time.perf_counter()
        feed(order, moves)
        middle = time.perf_counter()
        trainer.run_epoch(orders, draws[None, : 20 * batch], np.zeros(20, np.float32))
        best = np.minimum(best, (middle - start, time.perf_counter() - middle))
    rates = batch * steps / best[0], batch * 20 / best[1]
    record.say(
        "images a second",
        gathered_cropped_and_flipped=rates[0],
        trained_on=rates[1],
        ratio=rates[0] / rates[1],
    )


def main():
    """Measures both on ten classes of CIFAR-100."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with cifar-100-binary/")
    parser.add_argument("--trials", type=int, default=8)
    recording(parser)
    arguments = parser.parse_args()
    path = arguments.data / "cifar-100-binary"
    if not path.is_dir():
        print("skipped: the folder has no cifar-100-binary/ with the official files")
        return
    config = read_config(
        "configs/cifar100_ten_classes.yaml",
        f"dataset.data_dir={path}",
        f"training.trials={arguments.trials}",
        "training.stack_size=1",
        "training.lanes=2",
        "training.augmentation={pad: 4, flip: true}",
    )
    data = load(config.dataset)
    record = Record("farm", settings={"trials": arguments.trials})
    feeding(config, data, record)
    overhead(config, data, record)
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
