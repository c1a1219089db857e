"""Six short trials on digits, and the arguments and results of trainers for them."""

import numpy as np
import tensorflow as tf
from scipy.special import expit

from tfmem.config import from_yaml
from tfmem.subsets import Trial
from tfmem.training.outcome import Unwatched

TRIALS = [Trial(k, 0) for k in range(6)]


def small(*overrides):
    return from_yaml("", ["training.epochs=4", "training.trials=6", *overrides])


def subsets(trials):
    return [trial.subset(300, 210) for trial in trials]


def unwatched(trials):
    return Unwatched()


def probabilities(outcomes):
    return np.stack([expit(np.concatenate([o.train.margin, o.test.margin])) for o in outcomes])


def two_devices():
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
