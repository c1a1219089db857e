"""Cost of the linear datamodeling score and of datamodels, on synthetic trials of any size.

    python -m benchmarks.lds                       # 50,000 x 10,000 examples, 1,000 trials: minutes
    python -m benchmarks.lds --lasso runs/digits   # the lasso beside LassoCV, on a run's trials

Models' outputs are sums of a few coefficients over their subsets, with as much noise as signal, and
the scores in the file are these coefficients with some noise.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measured import Record, quantity, recording, seconds
from tfmem.aggregation.held_outputs import outputs_in
from tfmem.datamodels.influence import influence_predictions
from tfmem.datamodels.lasso import lasso
from tfmem.datamodels.lds import linear_datamodeling_score, summed
from tfmem.datamodels.outputs import SubsetOutputs, by_subset, held_out
from tfmem.datamodels.ridge import ridge
from tfmem.exchange.score_files import open_scores

_ROWS = 1000


def main() -> None:
    """Prints a line for each measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", type=int, default=50_000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--lasso", type=Path, help="folder of a run with margins")
    parser.add_argument("--targets", type=int, default=3, help="of LassoCV")
    recording(parser)
    arguments = parser.parse_args()
    record = Record("lds/lasso" if arguments.lasso else "lds/cost")
    if arguments.lasso:
        beside_sklearn(arguments.lasso, arguments.targets, record)
    else:
        with tempfile.TemporaryDirectory() as folder:
            at_size(arguments.train, arguments.test, arguments.trials, Path(folder), record)
    if arguments.record:
        record.write()


def at_size(train: int, test: int, trials: int, folder: Path, record: Record) -> None:
    """Measures the scores of a file and of the trials' own attributions."""
    rng = np.random.default_rng(0)
    masks = np.stack([rng.permutation(train) < train * 7 // 10 for _ in range(trials)])
    packed = np.packbits(masks, axis=1, bitorder="little")
    path, outputs = folder / "scores.npy", np.zeros((trials, test), np.float32)
    scores = np.lib.format.open_memmap(path, "w+", np.float32, (train, test))
    for start in range(0, train, _ROWS):
        rows = slice(start, min(start + _ROWS, train))
        truth = rng.standard_normal((rows.stop - start, test), np.float32)
        truth *= rng.random((len(truth), test), np.float32) < 0.01
        outputs += masks[:, rows].astype(np.float32) @ truth
        scores[rows] = truth + 0.1 * rng.standard_normal(truth.shape, np.float32)
    scores.flush()
    del scores, masks
    outputs += outputs.std(axis=0) * rng.standard_normal(outputs.shape, np.float32)
    whole = by_subset(packed, outputs, train)
    judges = held_out(trials, 0.2, 0)
    given, wanted = whole.take(~judges), whole.take(judges)
    record.settings |= {"training examples": train, "test examples": test, "trials": trials}

    def of_file() -> float:
        opened = open_scores(path, (train, test))
        return linear_datamodeling_score(whole, summed(opened, whole)).value

    def of_influence() -> float:
        return linear_datamodeling_score(wanted, influence_predictions(given, wanted)).value

    def of_datamodels() -> float:
        return linear_datamodeling_score(wanted, ridge(given).predictions(wanted)).value

    measure(record, "scores in a file, judged by all trials", of_file)
    measure(record, "influence, from 80% and judged by 20%", of_influence)
    measure(record, "datamodels by ridge, likewise", of_datamodels)


def measure(record: Record, what: str, work: Callable[[], float]) -> None:
    """Prints the score that `work` returns, its wall and CPU seconds, and peak memory so far."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = quantity(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, unit="GB")
    record.say(what, LDS=value, time=seconds(wall), processor_time=seconds(cpu), peak_memory=peak)


def beside_sklearn(folder: Path, targets: int, record: Record) -> None:
    """Prints CPU seconds a test example of the lasso here and of `LassoCV`, and the difference."""
    from sklearn.linear_model import Lasso, LassoCV

    warnings.simplefilter("ignore")  # of paths that have not converged
    outputs = outputs_in(folder / "predictions").by_subset()
    lasso(_first(outputs, 2))  # compiles
    some = _first(outputs, 40)
    start = time.process_time()
    found = lasso(some)
    own = (time.process_time() - start) / some.num_test
    record.settings |= {"subsets": len(outputs), "training examples": outputs.num_train}
    record.say("lasso of tfmem", processor_time_a_target=seconds(own))
    bits = outputs.bits()
    for test in range(targets):
        start = time.process_time()
        other = LassoCV(cv=5).fit(bits, outputs.means[:, test])
        took = time.process_time() - start
        exact = Lasso(alpha=found.penalty[test], tol=1e-12, max_iter=100_000)
        exact.fit(bits, outputs.means[:, test])
        gap = np.abs(exact.coef_ - found.weights[:, test]).max()
        record.say(
            f"LassoCV, test example {test}",
            processor_time=seconds(took),
            times_as_long=took / own,
            penalties_of_LassoCV_and_tfmem=[float(other.alpha_), float(found.penalty[test])],
            largest_difference_of_weights_from_Lasso=float(gap),
        )


def _first(outputs: SubsetOutputs, tests: int) -> SubsetOutputs:
    """The outputs on the first test examples."""
    return replace(outputs, each=outputs.each[:, :tests].copy())


if __name__ == "__main__":
    main()
