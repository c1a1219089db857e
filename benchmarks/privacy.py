"""Measures the membership attack at the size of CIFAR-100, on records with a known answer.

The margins of an example are normal, and half a standard deviation higher in models that were
trained on it. So the best attack finds out Φ(Φ⁻¹(f) + 0.5) of the members at a share f of false
positives, and its area is Φ(0.5 / √2).
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import norm

from benchmarks.measured import Record, quantity, recording
from tfmem.experiments.membership import RATES, attack
from tfmem.store.bits import pack
from tfmem.store.confidence import to_bytes
from tfmem.store.labels import Labels
from tfmem.store.predictions import TrialRecord
from tfmem.store.records import shard_name
from tfmem.store.shards import write_shard

EFFECT = 0.5  # of membership on a margin, in standard deviations
TRIALS_A_SHARD = 50


def make(folder, trials, num_train):
    """Writes predictions with such margins."""
    rng = np.random.default_rng(0)
    level, spread = rng.normal(6, 3, num_train), rng.uniform(0.5, 2, num_train)
    labels = Labels(np.arange(num_train) % 100, np.zeros(0, int), tuple(map(str, range(100))))
    folder.mkdir(parents=True)
    (folder / "labels.npz").write_bytes(labels.to_npz())
    shards = trials // TRIALS_A_SHARD
    for shard in range(shards):
        records = []
        for trial in range(shard * TRIALS_A_SHARD, (shard + 1) * TRIALS_A_SHARD):
            mask = rng.random(num_train, np.float32) < 0.7
            noise = rng.standard_normal(num_train, np.float32)
            margin = level + spread * (noise + EFFECT * mask)
            records.append(
                TrialRecord(
                    trial, 0, num_train, 0, pack(mask), b"f" * 32, b"c" * 32,
                    train_correct=pack(margin > 0), train_margin=to_bytes(margin),
                )
            )  # fmt: skip
        write_shard(folder / shard_name("predictions", shard, shards), records)


def main():
    """Prints time, memory, and rates beside those that are known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--examples", type=int, default=50_000)
    recording(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        predictions = Path(folder) / "predictions"
        make(predictions, arguments.trials, arguments.examples)
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.monotonic()
        found = attack(predictions)
        seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"t = {arguments.trials:,}, n = {arguments.examples:,}: {seconds:.1f} s "
        f"({processor:.1f} CPU seconds), {after.ru_maxrss / 2**20:.2f} GB"
    )
    settings = {"trials": arguments.trials, "examples": arguments.examples}
    record = Record("privacy/cost", settings=settings)
    record.values |= {
        "time": quantity(seconds, unit="s"),
        "processor time": quantity(processor, unit="s"),
        "memory": quantity(after.ru_maxrss / 2**20, unit="GB"),
    }
    for name, roc in found.rocs.items():
        rates = ", ".join(
            f"{roc.at(rate)[1]:.4%} at {rate:.1%} (known: {norm.cdf(norm.ppf(rate) + EFFECT):.4%})"
            for rate in RATES
        )
        area = norm.cdf(EFFECT / np.sqrt(2))
        print(f"{name}: {rates}; area {roc.auc[1]:.4f} (known: {area:.4f})")
        record.values[f"{name}: area, and the largest possible"] = [roc.auc[1], float(area)]
        for rate in RATES:
            best = 100 * norm.cdf(norm.ppf(rate) + EFFECT)
            record.values[f"{name}: found at {rate:.1%}, and the most possible, %"] = [
                100 * roc.at(rate)[1],
                float(best),
            ]
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
