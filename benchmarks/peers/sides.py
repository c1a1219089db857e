"""The sides of `python -m benchmarks.peers`, each in a process of its own."""

import os
import resource
import time

import numpy as np

_STACKS = {"digits": 4, "cancer": 16, "transformer": 1}  # of 16 on each lane in a turn
_SIDE = {}  # a function from a turn's number to a number of trained trials, by task


def _script(task):
    """Returns a function that trains stacks by the script in JAX."""
    from benchmarks.peers.in_jax import STACK, Script

    script = Script(task)

    def train(turn):
        count = script.threads * _STACKS[task]
        script.stacks(range(turn * count, (turn + 1) * count))
        return count * STACK

    return train


def _ours(task):
    """Returns a function that trains stacks on all lanes of tfmem."""
    from benchmarks.peers.stacks import read_config, train_one_each
    from tfmem.datasets import load
    from tfmem.training.trainers import make_trainers

    given = {
        "digits": ("configs/digits.yaml",),
        "cancer": (
            "configs/digits.yaml",
            "dataset={name: python, load: 'benchmarks.own:breast_cancer'}",
            "model={name: python, build: 'benchmarks.own:network'}",
            "training={trials: 500, epochs: 20, batch_size: 32, trainer: auto}",
        ),
        "transformer": (
            "configs/text_small.yaml",
            "training.epochs=1",
            f"dataset.data_dir={os.environ.get('DATA')}/sst2",
        ),
    }
    config = read_config(*given[task])
    data = load(config.dataset)
    trainers = make_trainers(config, data)
    print(f"  {trainers[0].stack_size} at once on each of {len(trainers)} lanes", flush=True)

    def train(turn):
        stacks = -(-_STACKS[task] * 16 // trainers[0].stack_size)
        return len(train_one_each(trainers, turn * 10_000, config, data, stacks)[1])

    return train


def _seconds():
    """CPU seconds of this process, and a clock's seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([used.ru_utime + used.ru_stime, time.time()])


def start(side, task, began):
    """Makes a side and trains its first stacks; returns its CPU and wall seconds until then."""
    _SIDE[task] = (_script if side == "script in JAX" else _ours)(task)
    _SIDE[task](0)
    return _seconds() - [0, began]


def turn(task, number):
    """Trains stacks; returns CPU and wall seconds, and the number of trials."""
    before = _seconds()
    trials = _SIDE[task](number)
    return _seconds() - before, trials
