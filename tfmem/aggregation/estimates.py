"""Makes the records of estimates, and reads those of influence.

Files depend on the data set alone, never on runner, sharding or order: records of memorization are
divided into files by index, records of influence by class, and pairs are in one file. Records of
memorization and influence hold a feature named after the statistic, such as `probability` = 1,
unless that is correctness. Records of influence hold `score_name`, too, if it is `score`. Where
several models were trained on each subset, `models_per_subset` says how many; trials are then means
over these models, and counts of trials are counts of subsets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from tfmem.config.estimates import BOUNDED, Statistic
from tfmem.estimation.estimator import (
    ClassCounts,
    Measure,
    TrainCounts,
    influence,
    mean,
    memorization,
)
from tfmem.estimation.scales import Scale
from tfmem.messages.errors import InputError
from tfmem.selection.settling import Selection
from tfmem.store.records import decode_example, encode_example, feature

KINDS = ("predictions", "memorization", "influence", "pairs")  # folders of a run
_NAMES = "train_index", "test_index", "num_in"
_ROUNDING = 1e-9
_COUNT_NAMES = "train_correct", "train_correct_in", "test_correct"
_MODELS = "models_per_subset"


def memorization_table(counts: TrainCounts) -> dict[str, np.ndarray]:
    """Makes the columns of memorization records, in the order of `counts.index`.

    The accuracies are means of the statistic: of probabilities of the true label, or of scores.
    """
    estimate = memorization(counts)
    correct_out = counts.correct - counts.correct_in
    statistic, ones = counts.measure.statistic, np.ones_like(counts.index)
    return {
        "index": counts.index,
        "label": counts.label,
        "n_in": counts.num_in,
        "n_out": counts.num_out,
        "memorization": estimate.value,
        "stderr": estimate.stderr,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
        "accuracy_in": mean(counts.correct_in, counts.num_in, counts.scale),
        "accuracy_out": mean(correct_out, counts.num_out, counts.scale),
        **({} if statistic == "correctness" else {statistic: ones}),
        **({} if counts.measure.models == 1 else {_MODELS: counts.measure.models * ones}),
    }


def measure_in(features: Mapping[str, Any], source: str) -> Measure:
    """What means were taken of, as the features of a record of estimates say.

    Raises:
      InputError: naming `source`, if the name of the score is no text, or the number of models
        of a subset is none.
    """
    models = feature(features, _MODELS, int, source) if _MODELS in features else 1
    if models < 1:
        raise InputError(f"{source}: {_MODELS}: expected at least 1, received {models}")
    for statistic in get_args(Statistic):
        if statistic not in features:
            continue
        if statistic != "score" or "score_name" not in features:
            return Measure(statistic, models=models)
        name = feature(features, "score_name", bytes, source)
        return Measure(statistic, name.decode(errors="replace"), models)
    return Measure(models=models)


def influence_record(counts: ClassCounts) -> tuple[int, bytes]:
    """Makes the record of a class: its influence, and the sums from which that was computed.

    Sums of probabilities and scores are bytes of float64: `train_sums` `[4, train]` (the sum of `z`
    over all trials, the sum over trials whose subset holds the example, and the same two sums of
    `z (1 - z)`), `test_sums` `[2, test]` and `test_sums_in` `[2, train, test]` (sums of `z` and of
    `z (1 - z)`). A probability is its own `z`. The value of another statistic is `low + width * z`:
    `train_scale` `[2, train]` and `test_scale` `[2, test]` hold `low` and `width`, and are left out
    if these are 0 and 1.

    Returns:
      The label of the class, and its record.
    """
    train = counts.train
    features: dict[str, Any] = {
        "label": counts.label,
        "axes": b"train,test",
        "influence": influence(counts).value.astype("<f4").tobytes(),
        "num_trials": train.num_trials,
        "train_index": train.index,
        "num_in": train.num_in,
        "test_index": counts.test_index,
    }
    if counts.measure.models > 1:
        features[_MODELS] = counts.measure.models
    if not counts.measure.counted:
        features |= {
            counts.statistic: 1,
            "train_sums": _bytes(
                train.correct, train.correct_in, train.uncertain, train.uncertain_in
            ),
            "test_sums": _bytes(counts.test_correct, counts.test_uncertain),
            "test_sums_in": _bytes(counts.test_correct_in, counts.test_uncertain_in),
        }
        if counts.measure.score:
            features["score_name"] = counts.measure.score.encode()
        if train.scale is not None and counts.test_scale is not None:
            features |= {
                "train_scale": _bytes(*train.scale),
                "test_scale": _bytes(*counts.test_scale),
            }
    else:
        features |= {
            "train_correct": train.correct,
            "train_correct_in": train.correct_in,
            "test_correct": counts.test_correct,
            "test_correct_in": counts.test_correct_in.astype("<i4").tobytes(),
        }
    return counts.label, encode_example(features)


def _bytes(*sums: np.ndarray | None) -> bytes:
    return np.array(sums, "<f8").tobytes()


def parse_influence(payload: bytes, source: str) -> ClassCounts:
    """Reads the counts, or sums, from a record that `influence_record` made.

    Raises:
      InputError: naming `source`, if a part is missing, has a wrong length or impossible values.
    """
    features = decode_example(payload, source)
    measure = measure_in(features, source)
    of_bits = measure.counted
    names = (*_NAMES, *_COUNT_NAMES) if of_bits else _NAMES
    arrays = {name: feature(features, name, np.ndarray, source) for name in names}
    train, test = len(arrays["train_index"]), len(arrays["test_index"])
    for name, array in arrays.items():
        expected = test if name.startswith("test") else train
        if len(array) != expected or array.dtype.kind != "i":
            raise InputError(
                f"{source}: {name}: expected {expected} integers, received {len(array)} "
                f"{array.dtype} values"
            )
    scales: list[Scale | None] = [None, None]
    uncertain: list[np.ndarray | None] = [None, None, None, None]
    if of_bits:
        block = _block(features, "test_correct_in", "<i4", (train, test), source)
        z, z_in = arrays["train_correct"], arrays["train_correct_in"]
        test_z, test_z_in = arrays["test_correct"], block
    else:
        z, z_in, *uncertain[:2] = _block(features, "train_sums", "<f8", (4, train), source)
        test_z, uncertain[2] = _block(features, "test_sums", "<f8", (2, test), source)
        test_z_in, uncertain[3] = _block(features, "test_sums_in", "<f8", (2, train, test), source)
        if measure.statistic in ("margin", "loss") or "train_scale" in features:
            scales = [
                _scale(features, f"{split}_scale", count, source)
                for split, count in (("train", train), ("test", test))
            ]
    _block(features, "influence", "<f4", (train, test), source)
    label = feature(features, "label", int, source)
    num_trials = feature(features, "num_trials", int, source)
    labels = np.full(train, label, np.int64)
    counts = ClassCounts(
        label,
        TrainCounts(
            num_trials,
            arrays["train_index"],
            labels,
            arrays["num_in"],
            z,
            z_in,
            uncertain[0],
            uncertain[1],
            scales[0],
            measure,
        ),
        arrays["test_index"],
        test_z,
        test_z_in,
        uncertain[2],
        uncertain[3],
        scales[1],
    )
    _check_counts(counts, source)
    return counts


def _scale(features: dict[str, Any], name: str, count: int, source: str) -> Scale:
    low, width = _block(features, name, "<f8", (2, count), source)
    if not (np.isfinite(low) & np.isfinite(width) & (width > 0)).all():
        raise InputError(f"{source}: {name}: expected finite numbers, and widths above 0")
    return Scale(low, width)


def _check_counts(counts: ClassCounts, source: str) -> None:
    """Checks that counts are possible, for example that no more models are right than exist."""
    train, trials = counts.train, counts.train.num_trials

    def check(name: str, wrong: np.ndarray | bool, expected: str) -> None:
        if np.any(wrong):
            raise InputError(f"{source}: {name}: expected {expected}")

    check("label", counts.label < 0, f"a class number, received {counts.label}")
    check("num_trials", trials < 0, f"at least 0, received {trials}")
    for name, index in (("train_index", train.index), ("test_index", counts.test_index)):
        ordered = np.sort(index)
        check(name, ordered[:1] < 0, f"numbers of examples, received {ordered[:1].sum()}")
        check(name, np.diff(ordered) == 0, "each example once")
    check("num_in", _outside(train.num_in, trials), f"0 to {trials} trials")
    sums = [
        ("correct", train.correct_in, train.correct, train.num_in),
        ("correct", counts.test_correct_in, counts.test_correct, train.num_in[:, None]),
    ]
    if train.uncertain is not None and train.uncertain_in is not None:
        sums.append(("uncertain", train.uncertain_in, train.uncertain, train.num_in))
    if counts.test_uncertain is not None and counts.test_uncertain_in is not None:
        whole = counts.test_uncertain
        sums.append(("uncertain", counts.test_uncertain_in, whole, train.num_in[:, None]))
    for name, inside, whole, num_in in sums:
        check(name, _outside(inside, num_in), "no more than there are trials with the example")
        check(name, _outside(whole - inside, trials - num_in), "no more than there are trials")


def _outside(values: np.ndarray, most: np.ndarray | int) -> np.ndarray:
    """Marks values that are not between 0 and `most`, apart from rounding of sums."""
    slack = _ROUNDING * (1 + np.abs(most)) if values.dtype.kind == "f" else 0
    return ~((values >= -slack) & (values <= most + slack))


def _block(
    features: dict[str, Any], name: str, kind: str, shape: tuple[int, ...], source: str
) -> np.ndarray:
    block = feature(features, name, bytes, source)
    expected = np.dtype(kind).itemsize * math.prod(shape)
    if len(block) != expected:
        raise InputError(
            f"{source}: {name}: expected {expected} bytes for {' x '.join(map(str, shape))} "
            f"numbers, received {len(block)}"
        )
    return np.frombuffer(block, kind).reshape(shape)


def pairs_table(selection: Selection) -> dict[str, np.ndarray]:
    """Makes the columns of pair records, most influential first."""
    columns, statistic = vars(selection.pairs), selection.measure.statistic
    if statistic in BOUNDED:
        return columns
    return {**columns, statistic: np.ones_like(selection.pairs.train_index)}


def selection_table(selection: Selection) -> dict[str, np.ndarray]:
    """Makes the columns of the one record that says from how many pairs a selection was made."""
    return {
        "pairs": np.array([len(selection.pairs.train_index)]),
        "tested": np.array([selection.tested]),
        "expected_by_chance": np.array([selection.expected]),
    }
