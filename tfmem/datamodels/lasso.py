"""Sparse datamodels: the lasso, with the penalty of each test example chosen on held-out subsets.

As in Ilyas et al. (2022, Sec. 2), but with cross-validation in place of one held-out set. The
subsets are cut into parts, each part is predicted by weights from all others along one path of
penalties, and the penalty with the least mean squared error is taken for a fit to all subsets. All
test examples share the counts of co-occurring training examples, one matrix a part, exact from
packed bits. Penalties, parts and choice are those of `sklearn.linear_model.LassoCV`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import psutil

from tfmem.datamodels.descent import solve
from tfmem.datamodels.lds import Predict
from tfmem.datamodels.outputs import SubsetOutputs
from tfmem.datamodels.threads import in_threads
from tfmem.estimation.compiling import compiled
from tfmem.estimation.kernels import co_occurrence, ones, transpose_bits
from tfmem.messages.errors import InputError

_PENALTIES, _SMALLEST = 100, 1e-3  # how many, and the last as a share of the first
_PATIENCE = 15  # penalties in a row that are worse than the best before a path ends
_ROUGH, _FINE = 1e-12, 1e-20  # of the squared outputs; to choose a penalty, and for its weights
_ROOM = 64
_SHARE = 0.6  # of the free memory that counts may take


@dataclass(frozen=True)
class LassoDatamodels:
    """A sparse datamodel for each test example.

    Attributes:
      weights: float64 `[num_train, num_test]`, in the unit of the outputs; most are 0.
      penalty: float64 `[num_test]`, as `alpha` of scikit-learn.
      explained: float64 `[num_test]`, the share of the variance of mean outputs that is predicted
        on subsets held out; NaN where outputs do not vary.
    """

    weights: np.ndarray
    penalty: np.ndarray
    explained: np.ndarray

    def predictions(self, wanted: SubsetOutputs) -> Predict:
        """Predicts the outputs of other subsets, but for a constant for each test example."""
        bits = wanted.bits()
        return lambda tests: bits @ self.weights[:, tests]


@dataclass(frozen=True)
class Counted:
    """Counts of a set of subsets, which all test examples share.

    Attributes:
      both: int16 or int32 `[num_train, num_train]`, how many subsets hold both examples.
      ones: float64 `[num_train]`, how many hold each.
      subsets: int64, the subsets.
    """

    both: np.ndarray
    ones: np.ndarray
    subsets: np.ndarray


def count(given: SubsetOutputs, subsets: np.ndarray) -> Counted:
    """Counts co-occurrences of training examples in some subsets, by their numbers."""
    packed = transpose_bits(given.masks[subsets], given.num_train)
    kind = np.int16 if len(subsets) < 1 << 15 else np.int32
    return Counted(
        co_occurrence(packed, packed).astype(kind), ones(packed).astype(np.float64), subsets
    )


def lasso(given: SubsetOutputs, parts: int = 5) -> LassoDatamodels:
    """Fits a sparse datamodel to the mean outputs of models for each test example.

    Args:
      given: subsets and outputs.
      parts: in how many parts the subsets are cut, in their order.

    Raises:
      InputError: if there are too few subsets, or too many training examples for the memory.
    """
    size, train = len(given), given.num_train
    if size < 2 * parts:
        raise InputError(
            f"expected at least {2 * parts} different subsets for sparse datamodels, received "
            f"{size}"
        )
    check_memory(train, parts + 1)
    cut = np.array_split(np.arange(size), parts)
    rest = [np.setdiff1d(np.arange(size), part) for part in cut]
    counts = [count(given, subsets) for subsets in (*rest, np.arange(size))]
    bits, outputs = given.bits(), given.means
    held = np.zeros((parts, train, len(cut[0])))  # the first parts are the largest
    for number, part in enumerate(cut):
        held[number, :, : len(part)] = bits[part].T
    against, means = _products(bits, outputs, [each.subsets for each in counts])
    said = np.zeros((given.num_test, parts, len(cut[0])))
    for number, part in enumerate(cut):
        said[:, number, : len(part)] = outputs[part].T
    shares = np.logspace(0, np.log10(_SMALLEST), _PENALTIES)
    weights = np.zeros((given.num_test, train))
    chosen, errors = np.zeros(given.num_test), np.zeros(given.num_test)
    both = np.stack([each.both for each in counts])
    once = np.stack([each.ones for each in counts])
    sizes = np.array([len(each.subsets) for each in counts])
    lengths, power = np.array([len(part) for part in cut]), outputs.var(axis=0) * size

    def fit(part: slice) -> None:
        _fit(both, once, sizes, against[part], means[part], held, said[part], lengths, power[part],
             shares, weights[part], chosen[part], errors[part])  # fmt: skip

    in_threads(fit, given.num_test)
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = 1 - errors / outputs.var(axis=0)
    return LassoDatamodels(weights.T, chosen, explained)


def check_memory(train: int, matrices: int) -> None:
    """Refuses more training examples than matrices of their counts have room.

    Raises:
      InputError: saying how much memory is needed.
    """
    needed, free = matrices * 2 * train**2, psutil.virtual_memory().available
    if needed > _SHARE * free:
        raise InputError(
            f"sparse datamodels of {train:,} training examples need {needed / 1e9:,.1f} GB of "
            f"memory, and {free / 1e9:,.1f} GB are free: --method ridge needs much less"
        )


def _products(
    bits: np.ndarray, outputs: np.ndarray, sets: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """`X^T y` of centred subsets and outputs, `[num_test, sets, num_train]`, and mean outputs."""
    against = np.empty((outputs.shape[1], len(sets), bits.shape[1]))
    means = np.empty((outputs.shape[1], len(sets)))
    for number, subsets in enumerate(sets):
        y = outputs[subsets]
        means[:, number] = y.mean(axis=0)
        against[:, number] = (bits[subsets].T @ (y - means[:, number])).T
    return against, means


@compiled
def _fit(
    both: np.ndarray,
    once: np.ndarray,
    sizes: np.ndarray,
    against: np.ndarray,
    means: np.ndarray,
    held: np.ndarray,
    said: np.ndarray,
    lengths: np.ndarray,
    power: np.ndarray,
    shares: np.ndarray,
    weights: np.ndarray,
    chosen: np.ndarray,
    errors: np.ndarray,
) -> None:
    """Fits each target; the last of the sets is all subsets, the others leave out one part."""
    for target in range(len(weights)):
        largest = np.abs(against[target, -1]).max()
        if largest == 0:
            continue
        mse = _path_errors(
            both, once, sizes, against[target], means[target], held, said[target], lengths,
            shares * largest / sizes[-1], _ROUGH * power[target],
        )  # fmt: skip
        best = mse.argmin()
        chosen[target] = shares[best] * largest / sizes[-1]
        errors[target] = mse[best]
        follow(
            both[-1], once[-1], sizes[-1], against[target, -1], shares[: best + 1] * largest,
            _FINE * power[target], _ROUGH * power[target], weights[target],
        )  # fmt: skip


@compiled
def _path_errors(
    both: np.ndarray,
    once: np.ndarray,
    sizes: np.ndarray,
    against: np.ndarray,
    means: np.ndarray,
    held: np.ndarray,
    said: np.ndarray,
    lengths: np.ndarray,
    penalties: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """Mean squared errors of a target on the parts, by penalty; infinite beyond the path's end."""
    parts, features = len(lengths), once.shape[1]
    weights, slopes = np.zeros((parts, features)), against[:parts].copy()
    kept = np.zeros((parts, features + 1), np.int64)
    place = np.full((parts, features), -1, np.int64)
    products, before = np.empty((parts, _ROOM, _ROOM)), np.empty(parts)
    for part in range(parts):
        before[part] = np.abs(against[part]).max()
    mse = np.full(len(penalties), np.inf)
    worse = 0
    for number in range(len(penalties)):
        total = 0.0
        for part in range(parts):
            penalty = penalties[number] * sizes[part]
            if penalty < before[part]:
                products = solve(
                    part, penalty, before[part], weights[part], slopes[part], kept[part],
                    place[part], products, both[part], once[part], sizes[part], against[part],
                    tolerance,
                )  # fmt: skip
                before[part] = penalty
            total += _held_error(
                weights[part], kept[part], held[part], said[part], lengths[part], once[part],
                sizes[part], means[part],
            )  # fmt: skip
        mse[number] = total / parts
        worse = 0 if mse[number] <= mse[: number + 1].min() else worse + 1
        if worse >= _PATIENCE:
            break
    return mse


@compiled
def _held_error(
    weights: np.ndarray,
    kept: np.ndarray,
    held: np.ndarray,
    said: np.ndarray,
    length: int,
    once: np.ndarray,
    size: int,
    mean: float,
) -> float:
    """Mean squared error on the subsets of a part."""
    residual = said[:length] - mean
    for number in range(kept[-1]):
        feature = kept[number]
        weight = weights[feature]
        if weight != 0:
            residual += weight * once[feature] / size
            residual -= weight * held[feature, :length]
    return (residual**2).mean()


@compiled
def follow(
    both: np.ndarray,
    once: np.ndarray,
    size: int,
    against: np.ndarray,
    penalties: np.ndarray,
    tolerance: float,
    rough: float,
    out: np.ndarray,
) -> None:
    """Follows a path down to the last of the penalties, and writes its weights to `out`.

    Args:
      both: whole numbers `[features, features]`.
      once: float64 `[features]`.
      size: number of subsets.
      against: float64 `[features]`, `X^T y`.
      penalties: descending, times the number of subsets.
      tolerance: of the last penalty; see `descent.solve`.
      rough: of all others.
      out: float64 `[features]`.
    """
    weights, slope = np.zeros(len(once)), against.copy()
    kept = np.zeros(len(once) + 1, np.int64)
    place = np.full(len(once), -1, np.int64)
    products = np.empty((1, _ROOM, _ROOM))
    before, last = np.abs(against).max(), len(penalties) - 1
    for number in range(len(penalties)):
        penalty = penalties[number]
        if penalty < before:
            least = tolerance if number == last else max(tolerance, rough)
            products = solve(
                0, penalty, before, weights, slope, kept, place, products, both, once, size,
                against, least,
            )  # fmt: skip
            before = penalty
    for feature in range(len(out)):
        out[feature] = weights[feature]
