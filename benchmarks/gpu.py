"""Trains stacks of networks on a GPU by JAX, and compares their speed with what the card can do.

    python -m benchmarks.gpu --data mnist.npz --json gpu.json

It needs JAX with CUDA, Keras and what `tfmem.config` imports, and neither TensorFlow nor Beam. The
table is printed as it grows; a measurement for which there is no time left is named as left out.
`--toy` makes everything small enough for a CPU.

What is measured: the card's own product of large matrices; throughput of the networks of
`cifar100_fast.yaml` and `cifar10_fast.yaml` and of ResNet18 on images of CIFAR's size by stack size
and precision, as a share of that product; memory; accuracy on real images; from the best throughput
the hours of 4,000 trials of both recipes; and memorization of the digits, from first weights to
estimates. `--estimate` measures nothing: it says what a card of a given speed would take.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np

from tfmem.config import from_yaml
from tfmem.datasets import Dataset
from tfmem.datasets.embedded import load_digits
from tfmem.models import build
from tfmem.subsets import Trial
from tfmem.subsets.drawing import subset_size
from tfmem.training.outcome import Unwatched
from tfmem.training.trainers import make_trainers

CONFIGS = Path(__file__).parents[1] / "configs"
CLASSES = {"cifar100_fast": 100, "cifar10_fast": 10}  # of the fast recipes
NETWORKS = {  # the recipe, and what differs from it
    "cifar100_fast": ("cifar100_fast", []),
    "cifar10_fast": ("cifar10_fast", []),
    "resnet18": ("cifar100_fast", ["model={name: resnet, depth: 18}"]),
}
PRECISIONS = "mixed_bfloat16", "float32"
STACKS = 1, 4, 16, 64
_STEPS = 6  # of a timed pass
_TRIALS, _TRAIN, _TEST = 4000, 50_000, 10_000  # of CIFAR
_SHARES = 1, 0.4, 0.1  # of a card's speed, in the estimate


class Clock:
    """Says whether there is time left for another measurement."""

    def __init__(self, seconds):
        self._end = time.perf_counter() + seconds

    def has(self, seconds):
        """Whether as many seconds are left."""
        return time.perf_counter() + seconds < self._end


def main():
    """Measures, prints the table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="npz with x_train, y_train, x_test, y_test")
    parser.add_argument("--json", type=Path, help="file of the results")
    parser.add_argument("--seconds", type=float, default=330, help="time for all measurements")
    parser.add_argument("--toy", action="store_true", help="small enough for a CPU")
    parser.add_argument(
        "--estimate", type=float, metavar="SPEED", help="of a card: bfloat16 operations a second"
    )
    parser.add_argument("--record", action="store_true", help="write the estimate for the pages")
    given = parser.parse_args()
    if given.estimate:
        estimate(given.estimate, given.record)
        return
    clock, found = Clock(given.seconds), {"card": card(given.toy)}
    show("card", found["card"])
    found["digits"] = digits_run(trials=16 if given.toy else 2000)
    show("digits", found["digits"])
    if given.data:
        found["accuracy"] = accuracy(given.data, given.toy)
        show("accuracy", found["accuracy"])
    found["throughput"] = throughputs(clock, found["card"], given.toy)
    found["trials"] = [
        extrapolated(best) for name in CLASSES if (best := fastest(found["throughput"], name))
    ]
    for row in found["trials"]:
        show(f"{_TRIALS:,} trials", row)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
        print(f"Results: {given.json}")


def show(what, values):
    """Prints a row."""
    parts = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
    print(f"{what}: {', '.join(parts)}", flush=True)


def card(toy):
    """The device, and its product of square matrices, operations a second."""
    size = 256 if toy else 8192
    found = {"device": jax.devices()[0].device_kind, "jax": jax.__version__}
    for name, kind in (("bfloat16", jnp.bfloat16), ("float32", jnp.float32)):
        one = jnp.ones([size, size], kind)
        product = jax.jit(lambda a, b: a @ b)
        seconds = timed(lambda product=product, one=one: product(one, one).block_until_ready())
        found[name] = 2 * size**3 / seconds
    return found


def timed(work, repeats=5):
    """Median seconds of work that was done once before."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def images(count, classes, side=32):
    """Random images of CIFAR's form; speed does not depend on what they show."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, side, side, 3), np.uint8)
    labels = np.arange(count, dtype=np.int64) % classes
    names = tuple(map(str, range(classes)))
    return Dataset("random", pixels, labels, pixels[:512], labels[:512], names)


def throughputs(clock, card, toy):
    """A row for each network, precision and stack size, the most useful ones first."""
    stacks = (1, 2) if toy else STACKS
    rows = []
    for name, (recipe, changes) in NETWORKS.items():
        if toy and name == "resnet18":
            continue
        data = images(1024 if toy else 8192, CLASSES[recipe], 10 if toy else 32)
        changes = ["model.width=2", "training.batch_size=32"] if toy else changes
        for precision in PRECISIONS:
            for stack in stacks:
                what = f"{name}, {precision}, stack of {stack}"
                if not clock.has(40):
                    print(f"{what}: left out, no time left", flush=True)
                    continue
                settings = [f"training.precision={precision}", f"training.stack_size={stack}"]
                row = {"network": name, "precision": precision, "stack": stack}
                try:
                    config = read(recipe, *changes, *settings)
                    row |= throughput(config, data, card, toy)
                except jax.errors.JaxRuntimeError as error:
                    row["failed"] = str(error).splitlines()[0][:200]
                rows.append(row)
                show(
                    what,
                    {k: v for k, v in row.items() if k not in ("network", "precision", "stack")},
                )
    return rows


def throughput(config, data, card, toy):
    """Images a second of a stack, and their share of the card's product of bfloat16."""
    batch = config.training.batch_size
    training = {"trials": config.training.stack_size, "lanes": 1}
    config = config.model_copy(update={"training": config.training.model_copy(update=training)})
    trainers: Any = make_trainers(config, data)
    machine = trainers[0].part  # the whole stack fits, or it fails
    stack, steps = config.training.stack_size, 2 if toy else _STEPS
    machine.assign(machine.initializer.of_stack([Trial(k, 0) for k in range(stack)]))
    orders = np.tile(np.arange(steps * batch) % len(data.train_labels), (stack, 1))
    draws = np.random.default_rng(0).integers(0, 2**63, orders.shape, np.uint64)
    rates = np.full(steps, 1e-3, np.float32)
    start = time.perf_counter()
    machine.run_epoch(orders, draws, rates)
    compiled = time.perf_counter() - start
    seconds = timed(lambda: machine.run_epoch(orders, draws, rates), 3)
    a_second = stack * steps * batch / seconds
    operations = 3 * forward_operations(config, data)
    memory = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
    return {
        "images_a_second": a_second,
        "operations_an_image": operations,
        "share_of_bfloat16": a_second * operations / card["bfloat16"],
        "share_of_float32": a_second * operations / card["float32"],
        "seconds_to_compile": compiled,
        "peak_memory": memory / 2**30,
    }


def forward_operations(config, data):
    """Floating-point operations of the network for one image, as XLA counts them."""
    model = build(config.model, data.input_shape, len(data.class_names))
    weights = [v.value for v in model.trainable_variables]
    state = [v.value for v in model.non_trainable_variables]

    def forward(weights, state, inputs):
        return model.stateless_call(weights, state, inputs, training=False)[0]

    inputs = jnp.zeros([1, *data.input_shape])
    found: Any = jax.jit(forward).lower(weights, state, inputs).cost_analysis()
    return float(found["flops"])


def fastest(rows, network):
    """The best row of a network, None if none was measured."""
    known = [row for row in rows if row["network"] == network and "images_a_second" in row]
    return max(known, key=lambda row: row["images_a_second"], default=None)


def images_of_a_trial(name):
    """How many images a trial of a recipe on CIFAR trains on, and how many it predicts."""
    training = read(name).training
    return training.epochs * subset_size(_TRAIN, training.fraction), _TRAIN + _TEST


def steps_of_a_trial(name):
    """The same work in training steps of one image; a prediction takes a third of one."""
    trained_on, predicted = images_of_a_trial(name)
    return trained_on + predicted / 3


def extrapolated(row):
    """Seconds of a trial of a recipe and hours of 4,000, predictions included, by a row's speed."""
    seconds = steps_of_a_trial(row["network"]) / row["images_a_second"]
    names = ("network", "stack", "precision")
    hours = _TRIALS * seconds / 3600
    return {**{name: row[name] for name in names}, "seconds_a_trial": seconds, "hours": hours}


def estimate(speed, recorded):
    """Prints, and records, what trials of the recipes take at shares of a card's speed."""
    from benchmarks.measured import Column, Record, quantity

    record = Record("gpus", settings={"stack sizes": STACKS, "trials": _TRIALS})
    record.values["operations a second, bfloat16"] = speed
    columns, rows = [Column("share of that speed", "%", 0)], [[100 * each] for each in _SHARES]
    for name, classes in CLASSES.items():
        config = read(name)
        one = 3 * forward_operations(config, images(classes, classes))
        operations = one * steps_of_a_trial(name)
        record.values[f"{name}: operations of a training step"] = quantity(
            one / 1e9, unit="G an image"
        )
        record.values[f"{name}: images trained on, and predicted"] = images_of_a_trial(name)
        record.values[f"{name}: operations of a trial, of all trials"] = [
            operations,
            _TRIALS * operations,
        ]
        columns += [
            Column(f"{name}: seconds a trial", "", 1),
            Column("hours for all trials", "", 1),
        ]
        for row, share in zip(rows, _SHARES, strict=True):
            seconds = operations / (share * speed)
            row += [seconds, _TRIALS * seconds / 3600]
    record.table("estimate", columns, rows)
    print(json.dumps({"values": record.values, "rows": rows}, indent=1))
    if recorded:
        record.write()


def read(name, *settings):
    """The configuration of a recipe, with changes."""
    return from_yaml((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"), settings)


def trained(config, data):
    """Outcomes of all trials, their masks, and seconds a trial."""
    (trainer, *_) = make_trainers(config, data)
    size = subset_size(len(data.train_labels), config.training.fraction)
    trials = [Trial(k, config.seed) for k in range(config.training.trials)]
    subsets = [trial.subset(len(data.train_labels), size) for trial in trials]
    masks = np.zeros((len(trials), len(data.train_labels)), bool)
    for mask, subset in zip(masks, subsets, strict=True):
        mask[subset] = True
    outcomes = []
    start = time.perf_counter()
    for first in range(0, len(trials), trainer.stack_size):
        part = slice(first, first + trainer.stack_size)
        outcomes += trainer.train(trials[part], subsets[part], lambda _: Unwatched())
    return outcomes, masks, (time.perf_counter() - start) / len(trials)


def digits_run(trials):
    """Trains on the digits, and estimates memorization."""
    settings = [f"training.trials={trials}", f"training.stack_size={min(trials, 125)}"]
    data = load_digits()
    outcomes, masks, seconds = trained(from_yaml("", [*settings, "training.lanes=1"]), data)
    right = np.array([outcome.train.correct for outcome in outcomes], np.float32)
    inside = masks.astype(np.float32)
    with np.errstate(invalid="ignore"):
        held_in = (inside * right).sum(0) / inside.sum(0)
        held_out = ((1 - inside) * right).sum(0) / (1 - inside).sum(0)
    return {
        "trials": trials,
        "seconds_a_trial": seconds,
        "test_accuracy": float(np.mean([o.test.correct.mean() for o in outcomes])),
        "memorized": int((held_in - held_out >= 0.25).sum()),
    }


def accuracy(file, toy):
    """Test accuracy of `cifar10_fast.yaml` on real images, in a stack of one in bfloat16."""
    with np.load(file) as found:
        arrays = [found[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    x, y, x_test, y_test = (each[:256] if toy else each for each in arrays)
    x, x_test = (each[..., None] if each.ndim == 3 else each for each in (x, x_test))
    if x.shape[1] == 28:
        x, x_test = (np.pad(each, [(0, 0), (2, 2), (2, 2), (0, 0)]) for each in (x, x_test))
    labels = [each.reshape(-1).astype(np.int64) for each in (y, y_test)]
    names = tuple(map(str, range(int(labels[0].max()) + 1)))
    data = Dataset(file.stem, x, labels[0], x_test, labels[1], names)
    small = ["training.epochs=1", "training.batch_size=64", "model.width=4"] if toy else []
    settings = ["training.trials=2", "training.stack_size=1", "training.precision=mixed_bfloat16"]
    outcomes, _, seconds = trained(read("cifar10_fast", *settings, *small), data)
    known = [float(outcome.test.correct.mean()) for outcome in outcomes]
    return {"test_accuracy": float(np.mean(known)), "seconds_a_trial": seconds}


if __name__ == "__main__":
    main()
