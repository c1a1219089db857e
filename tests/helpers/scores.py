"""Records with scores, and their estimates by a loop over trials."""

from dataclasses import replace

import numpy as np
from scipy.special import logit
from scipy.stats import ttest_ind

from tests.helpers.runs import KINDS, contents, random_run
from tfmem.aggregation.counting import Room
from tfmem.aggregation.jobs import estimate, search_pairs
from tfmem.config import SelectionSettings
from tfmem.store.bits import unpack
from tfmem.store.labels import WITHOUT_CLASSES, Labels
from tfmem.store.scores import scores_to_bytes

NAME = "negative squared error"


def draw_scores(rng, mask, memorized, influenced, tests):
    """Heavy-tailed scores of one trial, higher where examples matter and are in the subset.

    Units differ by 10^9 between examples, so that only a scale of their own resolves them.
    """
    count = len(mask)
    train = rng.standard_t(3, count) + np.where(np.arange(count) < memorized, 4 * mask, 0)
    test = rng.standard_t(3, tests)
    test[:influenced] += 3 * mask[:influenced]
    units = [10.0 ** (np.arange(size) % 10 - 4) for size in (count, tests)]
    return train * units[0] + 7 * units[0], test * units[1] - 100 * units[1]


def run_of_scores(trials=130, bits=True, classes=True):
    """Records with margins and scores, of which some examples matter."""
    records, labels = random_run(trials)
    rng, found = np.random.default_rng(2), []
    for one in records:
        mask = unpack(one.subset_mask, one.num_train)
        train, test = draw_scores(rng, mask, 20, 15, one.num_test)
        p = [rng.beta(2, 1, count) for count in (one.num_train, one.num_test)]
        margins = [logit(each).astype("<f2").tobytes() for each in p]
        scored = replace(
            one, train_score=scores_to_bytes(train), test_score=scores_to_bytes(test),
            score=NAME.encode(), train_margin=margins[0], test_margin=margins[1],
        )  # fmt: skip
        if not bits:
            scored = replace(scored.only_bits(), train_correct=b"", test_correct=b"",
                             train_score=scored.train_score, test_score=scored.test_score,
                             score=scored.score)  # fmt: skip
        found.append(scored)
    if not classes:
        zeros = np.zeros(40, np.int64), np.zeros(25, np.int64)
        labels = Labels(*zeros, WITHOUT_CLASSES, labels.dataset_fingerprint, has_classes=False)
    return found, labels


def values_in(records, statistic):
    """Subsets bool, and values of a statistic float64, of training and test examples."""
    masks = np.array([unpack(one.subset_mask, one.num_train) for one in records])
    if statistic == "score":
        train, test = (np.array([one.scores(s) for one in records]) for s in ("train", "test"))
    else:
        margins = [
            np.array([np.frombuffer(getattr(one, f"{split}_margin"), "<f2") for one in records])
            for split in ("train", "test")
        ]
        train, test = (each.astype(np.float64) for each in margins)
        if statistic == "loss":
            train, test = (np.log(1 / (1 + np.exp(-each))) for each in (train, test))
    return masks, train.astype(np.float64), test.astype(np.float64)


def by_loops(mask, values):
    """Difference of means over trials in and out, and Welch's error and interval, by scipy."""
    inside, outside = values[mask], values[~mask]
    if not len(inside) or not len(outside):
        return [np.nan] * 4
    value = inside.mean() - outside.mean()
    if min(len(inside), len(outside)) < 2:
        return [value, np.nan, np.nan, np.nan]
    test = ttest_ind(inside, outside, equal_var=False)
    return [value, value / test.statistic, *test.confidence_interval(0.95)]


MANY = SelectionSettings(fdr=0.5)


def inputs(folder):
    return str(folder / "predictions" / "*.tfrecord"), str(folder / "predictions" / "labels.npz")


def aggregate(folder, statistic=None, selection=MANY, beam_args=(), room=Room()):  # noqa: B008
    folders = {kind: str(folder / kind) for kind in KINDS}
    estimate(*inputs(folder), folders, selection, beam_args, statistic, room)
    return contents(folder)


def search(folder, selection, statistic=None, room=Room()):  # noqa: B008
    folders = {kind: str(folder / "all" / kind) for kind in ("memorization", "pairs")}
    selection = selection.model_copy(update={"pairs": "all"})
    search_pairs(*inputs(folder), folders, selection, (), statistic, room)
    return contents(folder / "all")
