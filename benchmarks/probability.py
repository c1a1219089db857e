"""Measures how many trials `estimation.statistic: probability` saves, and what it costs.

The trials are measured on digits, the cost at the size of CIFAR-100. Estimates from two parts of
the trials differ by noise alone. So the noise variance is half the mean square of their difference,
and the signal variance their covariance, over all examples or all pairs of one class. The noise
variance falls as 1/t. Therefore two statistics need numbers of trials whose ratio is the inverse
ratio of their signal-to-noise ratios (in variance). The p-values of masks combined with the
predictions of other trials are also shown: they are due to chance alone.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import logit

from benchmarks.estimation import SIZES, make, run
from benchmarks.measured import Record, quantity, recording, seconds
from tfmem.estimation.significance import log_mean_p_values
from tfmem.store.bits import unpack
from tfmem.store.labels import LABELS_NAME, Labels
from tfmem.store.shards import read_shard, write_shard

STATISTICS = "correctness", "probability"


def train(folder, trials):
    """Trains dense networks on digits; trials that `folder` already holds are not trained again."""
    command = [sys.executable, "-c", "from tfmem.pipelines.cli import main; main()", "train"]
    command += ["configs/digits.yaml", "--out", str(folder), "--set", f"training.trials={trials}"]
    subprocess.run(command, check=True)


def read(folder):
    """Reads masks `[trials, train]`, and for each statistic the values of both splits.

    Returns:
      Masks, and a dict from statistic to values `[trials, train]` and `[trials, test]`.
    """
    shards = sorted(folder.glob("predictions-*.tfrecord"))
    records = sorted((one for path in shards for one in read_shard(path)), key=lambda r: r.trial_id)
    masks = np.stack([unpack(one.subset_mask, one.num_train) for one in records])
    correct = [
        np.stack([unpack(getattr(one, f"{split}_correct"), getattr(one, f"num_{split}"))
                  for one in records])
        for split in ("train", "test")
    ]  # fmt: skip
    probable = [
        np.concatenate([one.confidence(split, "").probabilities() for one in records])
        for split in ("train", "test")
    ]
    values = [[x.astype(np.float64) for x in pair] for pair in (correct, probable)]
    return masks.astype(np.float64), dict(zip(STATISTICS, values, strict=True))


def estimate(masks, train_values, test_values, same):
    """Estimates memorization `[train]`, and influence of the pairs of one class `[pairs]`."""
    num_in = masks.sum(0)
    num_out = len(masks) - num_in
    train_in = (masks * train_values).sum(0)
    memorization = train_in / num_in - (train_values.sum(0) - train_in) / num_out
    test_in = masks.T @ test_values
    influence = test_in / num_in[:, None] - (test_values.sum(0) - test_in) / num_out[:, None]
    return memorization, influence[same]


def split(masks, values, size, same):
    """Measures noise and signal variance of estimates from `size` trials.

    Returns:
      float `[2, 2]`, a row for memorization and one for influence, each with noise and signal
      variance; and the estimates of the first two parts.
    """
    train, test = values
    parts = [
        estimate(masks[k : k + size], train[k : k + size], test[k : k + size], same)
        for k in range(0, len(masks) - size + 1, size)
    ]
    found = np.zeros((2, 2))
    for one, other in zip(parts[::2], parts[1::2], strict=True):
        for row, (a, b) in enumerate(zip(one, other, strict=True)):
            found[row] += np.mean((a - b) ** 2) / 2, np.cov(a, b)[0, 1]
    return found / (len(parts) // 2), parts[:2]


def chance(masks, test_values, record):
    """Prints the shares of p-values below levels, divided by the levels, without any influence.

    Masks are those of one half of the trials, test predictions those of the other half.
    """
    half = len(masks) // 2
    masks, values = masks[:half], test_values[half : 2 * half]
    num_in = masks.sum(0)[:, None]
    covariance = half * (masks.T @ values) - num_in * values.sum(0)
    deviation = np.sqrt(num_in * (half - num_in) * values.var(0) * half**2 / (half - 1))
    levels = [1e-2, 1e-3, 1e-4, 1e-5]
    for sign in ("positive", "negative"):
        p = np.exp(log_mean_p_values(covariance.ravel(), deviation.ravel(), sign))
        ratios = [float(np.mean(p <= level) / level) for level in levels]
        record.say(f"p-values below 1e-2, 1e-3, 1e-4, 1e-5 by chance, {sign}", over_nominal=ratios)


def cost(folder, record):
    """Prints the time and memory of a whole estimation at CIFAR-100's size, by each statistic."""
    make(folder, *SIZES["cifar"])
    rng = np.random.default_rng(1)
    chunk = logit(rng.beta(0.2, 0.1, 1 << 20).clip(1e-12, 1 - 1e-12)).astype(np.float16)
    for path in sorted(folder.glob("*.tfrecord")):
        records = [
            replace(
                one,
                train_margin=np.roll(chunk, rng.integers(1 << 20))[: one.num_train].tobytes(),
                test_margin=np.roll(chunk, rng.integers(1 << 20))[: one.num_test].tobytes(),
            )
            for one in read_shard(path)
        ]
        write_shard(path, records)
    for statistic in STATISTICS:
        out = folder.with_name("out")
        took, memory, busy, _ = run(folder, out, ["--statistic", statistic])
        record.say(
            f"cifar, {statistic}",
            time=seconds(took),
            processor_time=seconds(busy),
            memory=quantity(memory, unit="GB"),
        )


def main():
    """Prints noise and signal, the correlation of the two statistics, and what they cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2048, help="a power of 2")
    parser.add_argument("--keep", type=Path, help="folder in which the trials are kept")
    recording(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        train(folder, arguments.trials)
        masks, values = read(folder / "predictions")
        labels = folder / "predictions" / LABELS_NAME
        known = Labels.from_npz(labels.read_bytes(), str(labels))
    same = known.train_labels[:, None] == known.test_labels
    record = Record("estimates/probability", settings={"trials": arguments.trials})
    sizes = [arguments.trials // 2**k for k in range(5, 0, -1)]
    for size in sizes:
        found, parts = zip(
            *(split(masks, values[name], size, same) for name in STATISTICS), strict=True
        )
        for row, what in enumerate(("memorization", "influence")):
            noise, signal = np.array(found)[:, row].T
            power = signal / noise
            record.say(
                f"{what}, t = {size}, by correctness and by probability",
                noise_variance=list(noise),
                signal_over_noise=list(np.sqrt(power)),
                times_fewer_trials=power[1] / power[0],
            )
    for row, what in enumerate(("memorization", "influence")):
        (a, b), (c, d) = ([part[row] for part in pair] for pair in parts)
        whole = np.corrcoef(a + b, c + d)[0, 1]
        cross = (np.corrcoef(a, d)[0, 1] + np.corrcoef(b, c)[0, 1]) / 2
        truth = cross / np.sqrt(np.corrcoef(a, b)[0, 1] * np.corrcoef(c, d)[0, 1])
        record.say(f"{what}: correlation of the two statistics", found=whole, without_noise=truth)
    chance(masks, values["probability"][1], record)
    with tempfile.TemporaryDirectory() as temporary:
        cost(Path(temporary) / "cifar", record)
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
