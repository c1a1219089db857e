"""Learners whose memorization and influence are known, and records of their trials."""

from itertools import combinations
from math import comb

import numpy as np

from tfmem.store.bits import pack
from tfmem.store.labels import Labels
from tfmem.store.predictions import TrialRecord

FINGERPRINT, DIGEST = b"f" * 32, b"c" * 32


class LookupLearner:
    """Predicts an example correctly if and only if one of its twins is in the subset.

    There is one trial for each subset of size `m`, so that estimates are exact.
    """

    def __init__(self, train_twins, test_twins, m, train_labels, test_labels):
        self.n, self.m = len(train_twins), m
        self.train_twins = [{i, *twins} for i, twins in enumerate(train_twins)]
        self.test_twins = [set(twins) for twins in test_twins]
        self.labels = Labels(
            np.array(train_labels), np.array(test_labels), ("a", "b", "c"), FINGERPRINT
        )

    def predict(self, mask):
        """Returns correctness on training and on test examples of a model trained on the mask."""
        subset = set(np.flatnonzero(mask).tolist())
        return tuple(
            np.array([bool(twins & subset) for twins in of])
            for of in (self.train_twins, self.test_twins)
        )

    def records(self):
        masks = [np.isin(np.arange(self.n), s) for s in combinations(range(self.n), self.m)]
        return [record(k, mask, *self.predict(mask)) for k, mask in enumerate(masks)]

    def effect(self, i, twins):
        """Computes the influence of `i` on an example with these twins, in closed form."""
        none_in = _none_chosen(self.n - 1, len(twins - {i}), self.m - 1)
        none_out = _none_chosen(self.n - 1, len(twins - {i}), self.m)
        return (1 if i in twins else 1 - none_in) - (1 - none_out)

    def memorization(self):
        return np.array([self.effect(i, twins) for i, twins in enumerate(self.train_twins)])

    def influence(self):
        return np.array(
            [[self.effect(i, twins) for twins in self.test_twins] for i in range(self.n)]
        )


def _none_chosen(population, marked, chosen):
    """Computes the probability that a random choice has none of the marked examples."""
    return comb(population - marked, chosen) / comb(population, chosen)


def record(trial_id, mask, train_correct, test_correct, **changes):
    fields = {
        "trial_id": trial_id,
        "seed": 0,
        "num_train": len(mask),
        "num_test": len(test_correct),
        "subset_mask": pack(mask),
        "train_correct": pack(train_correct),
        "test_correct": pack(test_correct),
        "dataset_fingerprint": FINGERPRINT,
        "config_digest": DIGEST,
    }
    return TrialRecord(**{**fields, **changes})


def random_records(rng, trials, num_train, num_test, fraction=0.7):
    return [
        record(
            k,
            rng.permutation(num_train) < round(fraction * num_train),
            rng.random(num_train) < 0.8,
            rng.random(num_test) < 0.6,
        )
        for k in range(trials)
    ]


def example_learner(m=5):
    """Makes a learner of eight training and five test examples of two classes; a third is empty."""
    return LookupLearner(
        train_twins=[(), (2,), (1,), (), (5, 6), (4, 6), (4, 5), ()],
        test_twins=[(0,), (1, 2), (4, 5, 6), (3, 7), (7,)],
        m=m,
        train_labels=[0, 0, 0, 2, 2, 2, 2, 2],
        test_labels=[0, 0, 2, 2, 2],
    )


def learner_of(depth):
    """Makes a learner that knows the last examples of `example_learner` by heart.

    The deeper it is, the more examples it knows by heart. It predicts all others correctly if any
    other example is in the subset.
    """
    everything = set(range(8))
    whole = example_learner()
    twins = [everything - {i} if i < 8 - depth else () for i in range(8)]
    tests = [*whole.test_twins[:-1], everything]
    return LookupLearner(twins, tests, 5, whole.labels.train_labels, whole.labels.test_labels)
