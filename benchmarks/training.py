"""Measures tfmem's trainer against a loop of `model.fit`: time of a trial, accuracy, memorization.

Both train the same network on subsets of the same size with the same recipe; their trials are
independent of each other. `model.fit` computes in float32, in which it is fastest on a CPU. The
last part takes a few steps of every model of the zoo, at the same precision, without building and
tracing models, which the loop repeats for every trial.
"""

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from benchmarks.measured import Column, Record, part_command, percent, recording, seconds
from benchmarks.peers.fit_loop import batches, compiled, fit_one
from benchmarks.peers.stacks import read_config, train_one_each
from tfmem.config import Config, from_yaml
from tfmem.datasets import Dataset, load
from tfmem.estimation.differences import difference
from tfmem.subsets.drawing import subset_size
from tfmem.training.fitting import FittingTrainer
from tfmem.training.traces import tracing_unsaid
from tfmem.training.trainers import make_trainers


def memorization(masks, correct):
    """Estimates memorization, with errors, from masks and correctness `[trials, num_train]`."""
    num_in, right_in = masks.sum(axis=0), (masks & correct).sum(axis=0)
    right_out = (~masks & correct).sum(axis=0)
    return difference(right_in, num_in, right_out, len(masks) - num_in)


SIDES = (
    Column("a trial of"),
    Column("models at once"),
    Column("tfmem", "s", 3),
    Column("`model.fit` in a loop", "s", 2),
    Column("ratio", "", 1),
    Column("test accuracy by tfmem (SE)", "%", 2),
    Column("by `model.fit` (SE)", "%", 2),
)
STEPS = (
    Column("training steps of"),
    Column("tfmem, images/s", "", 0),
    Column("`model.fit`, images/s", "", 0),
    Column("ratio", "", 1),
)
_MADE = {}  # data and trainers by configuration, in the process of tfmem's side


def _our_turn(settings, turn):
    """Trains one stack on every lane; returns seconds, outcomes by trial, stack size and lanes."""
    config = Config.model_validate_json(settings)
    if settings not in _MADE:
        data = load(config.dataset)
        _MADE.clear()
        _MADE[settings] = data, make_trainers(config, data)
    data, trainers = _MADE[settings]
    stack, lanes = trainers[0].stack_size, len(trainers)
    took, found = train_one_each(trainers, turn * stack * lanes, config, data)
    return took, found, stack, lanes


def _their_trial(settings, seed):
    """Trains a trial by `fit_one`; returns seconds, and the result."""
    config = Config.model_validate_json(settings)
    data = load(config.dataset)
    start = time.perf_counter()
    with tracing_unsaid():
        fitted = fit_one(config, data, seed)
    return time.perf_counter() - start, fitted


def compare(config, title, fits, turns, record):
    """Measures one configuration on both sides, which take turns in a process each.

    Args:
      config: configuration of both sides.
      title: what is trained, as lines and the record name it.
      fits: trials by `model.fit` in each turn.
      turns: how often the sides take turns.
      record: keeps what is found.

    Returns:
      Outcomes by trial of tfmem, and those of `model.fit`.
    """
    settings = config.model_dump_json()
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1) as us, spawn.Pool(1) as them:
        # The first call of a process, or of a program, is slower and does not count.
        them.apply(_their_trial, (settings, 10**6))
        us.apply(_our_turn, (settings, 10**6))
        our_time = fit_time = 0.0
        fitted, outcomes = [], {}
        for turn in range(turns):  # so that both see the same machine
            took, found, stack, lanes = us.apply(_our_turn, (settings, turn))
            our_time += took
            outcomes |= found
            print(f"{title}: turn {turn + 1} of {turns}: {len(found)} stacked, {took:.0f} s",
                  flush=True)  # fmt: skip
            for number in range(turn * fits, (turn + 1) * fits):
                took, one = them.apply(_their_trial, (settings, number))
                fit_time += took
                fitted.append(one)
                if len(fitted) % 10 == 0:
                    print(f"{title}: model.fit {len(fitted)} of {fits * turns}", flush=True)
    ours, theirs = our_time / len(outcomes), fit_time / len(fitted)
    accuracies = [[o.test.correct.mean() for o in outcomes.values()], [f[2].mean() for f in fitted]]
    right = [percent(np.mean(each), np.std(each, ddof=1) / len(each) ** 0.5) for each in accuracies]
    record.say(title, models_at_once=stack, lanes=lanes, trials=[len(each) for each in accuracies])
    record.say(
        f"{title}, tfmem and model.fit",
        a_trial=[seconds(ours), seconds(theirs)],
        ratio=theirs / ours,
        test_accuracy=right,
    )
    at_once = f"{stack} on {lanes} lanes" if lanes > 1 else f"{stack}"
    record.row("trials", SIDES, [title, at_once, ours, theirs, theirs / ours, *right])
    return outcomes, fitted


def agreement(config, title, record, outcomes, fitted):
    """Prints and records how far the memorization estimates of both sides differ."""
    data = load(config.dataset)
    n = len(data.train_labels)
    masks = np.zeros((len(outcomes), n), bool)
    for row, trial in zip(masks, outcomes, strict=True):
        row[trial.subset(n, subset_size(n, config.training.fraction))] = True
    ours = memorization(masks, np.stack([o.train.correct for o in outcomes.values()]))
    theirs = memorization(np.stack([f[0] for f in fitted]), np.stack([f[1] for f in fitted]))
    z = (ours.value - theirs.value) / np.hypot(ours.stderr, theirs.stderr)
    high = ours.value >= 0.25
    record.say(
        f"{title}, memorization by tfmem and by model.fit",
        examples=n,
        beyond_3_joint_standard_errors=percent(np.mean(abs(z) > 3)),
        correlation=np.corrcoef(ours.value, theirs.value)[0, 1],
        mean=[x.value.mean() for x in (ours, theirs)],
    )
    record.say(
        f"{title}, examples that tfmem's models memorized (0.25)",
        number=int(high.sum()),
        mean_by_tfmem_and_by_model_fit=[x.value[high].mean() for x in (ours, theirs)],
    )


ZOO = {
    "dense 512-256": ("{name: dense, hidden: [512, 256]}", 128, 16),
    "cnn": ("{name: cnn}", 128, 8),
    "fast, width 8": ("{name: fast, width: 8}", 64, 8),
    "fast, width 64": ("{name: fast}", 64, 2),
    "inception": ("{name: inception}", 64, 2),
    "densenet 100": ("{name: densenet}", 16, 2),
    "resnet 18": ("{name: resnet, depth: 18}", 32, 2),
    "resnet 50": ("{name: resnet}", 16, 2),
    "linear": ("{name: linear}", 512, 16),
}


def zoo(record):
    """Prints and records the images a second in training steps of every model, for both sides."""
    rng = np.random.default_rng(0)
    for name, (model, batch, steps) in ZOO.items():
        count = batch * steps
        images = rng.integers(0, 256, (2 * count, 32, 32, 3), np.uint8)
        labels = np.arange(2 * count) % 10
        data = Dataset("noise", images, labels, images[:16], labels[:16], tuple("0123456789"))
        overrides = ["training.trials=64", "training.epochs=1", "training.fraction=0.5"]
        config = from_yaml("", [f"model={model}", f"training.batch_size={batch}", *overrides])
        trainers = make_trainers(config, data)
        parts = [each.part for each in trainers if isinstance(each, FittingTrainer)]
        peer = compiled(config, data, 10**6)
        given = batches(images[:count] / np.float32(255), labels[:count], config.training, 0)
        best = np.full(2, np.inf)
        for turn in range(4):
            took = _together(parts, config.training, steps)
            start = time.perf_counter()
            peer.fit(**given, verbose=0)
            times = took / len(trainers) / trainers[0].stack_size, time.perf_counter() - start
            if turn:
                best = np.minimum(best, times)
        rates = count / np.array(best)
        record.say(
            name,
            models_at_once=trainers[0].stack_size,
            lanes=len(trainers),
            images_a_second_by_tfmem_and_by_model_fit=list(rates),
            ratio=rates[0] / rates[1],
        )
        record.row("steps", STEPS, [name, *rates, rates[0] / rates[1]])
        keras.backend.clear_session()


def _together(trainers, settings, steps):
    """Trains one epoch on every lane at once, without predictions; returns the seconds."""
    count = settings.batch_size * steps

    def epoch(trainer):
        orders = np.tile(np.arange(count), (trainer.stack_size, 1))
        trainer.run_epoch(orders, orders.astype(np.uint64), np.zeros(steps, np.float32))

    with ThreadPoolExecutor(len(trainers)) as lanes:
        start = time.perf_counter()
        list(lanes.map(epoch, trainers))
        return time.perf_counter() - start


def digits(arguments, record):
    """Compares both sides on digits, by a dense and by a convolutional network."""
    for name, fits in (("digits", arguments.fits), ("digits_cnn", arguments.fits // 3)):
        config = read_config(f"configs/{name}.yaml")
        found = compare(config, name, max(2, fits), arguments.turns, record)
        agreement(config, name, record, *found)


def adamw(arguments, record):
    """Compares both sides on digits, with an optimizer and a schedule of Keras."""
    model = "model={name: python, build: 'benchmarks.adamw:build'}"
    config = read_config("configs/digits.yaml", model, "training.trainer=stacked")
    title, fits = "digits, AdamW with a cosine", max(2, arguments.fits)
    agreement(config, title, record, *compare(config, title, fits, arguments.turns, record))


def mnist(arguments, record):
    """Compares both sides on MNIST."""
    if options := _given(arguments, "mnist"):
        compare(read_config("configs/mnist_cnn.yaml", *options), "small CNN on MNIST", 1, 2, record)


def cifar(arguments, record):
    """Compares both sides on ten classes of CIFAR-100, with two widths."""
    if options := _given(arguments, "cifar-100-binary"):
        for width, turns in ((4, 2), (8, arguments.turns)):
            wide = *options, f"model.width={width}"
            config = read_config("configs/cifar100_ten_classes.yaml", *wide)
            title = f"fast network, width {width}, ten classes of CIFAR-100"
            compare(config, title, 2, turns, record)


def _given(arguments, name):
    """Settings that name a folder of the data, and a lane for each core; or none."""
    if arguments.data is None or not arguments.data.is_dir():
        print(f"{name} skipped: give its folder with --data")
        return ()
    cores = len(os.sched_getaffinity(0))
    return f"dataset.data_dir={arguments.data / name}", f"training.lanes={cores}"


def models_of_zoo(arguments, record):
    """Compares training steps of every model of the zoo."""
    del arguments
    zoo(record)


def main():
    """Compares both sides on digits, on MNIST and CIFAR-100 if they are given, and for the zoo.

    Each of these parts has a file of its own, `fit/PART.json`.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with mnist/ and cifar-100-binary/")
    parser.add_argument("--fits", type=int, default=25, help="model.fit trials a turn, on digits")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--only", choices=("digits", "adamw", "mnist", "cifar", "zoo"))
    recording(parser)
    arguments = parser.parse_args()
    parts = {"digits": digits, "adamw": adamw, "mnist": mnist, "cifar": cifar, "zoo": models_of_zoo}
    for name in [arguments.only] if arguments.only else parts:
        record = Record(f"fit/{name}", settings={"turns": arguments.turns})
        parts[name](arguments, record)
        if arguments.record and record.values:
            record.write(part_command(f"--only {name}", bool(arguments.only)))


if __name__ == "__main__":
    main()
