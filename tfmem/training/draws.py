"""Initial values of Keras' initializers, in numpy, as they come out on TensorFlow.

Keras draws by the random numbers of its backend, so that one seed gives different weights on each.
TensorFlow's are those of `tf.random.stateless_*`: Philox 4x32-10 (Salmon et al. 2011), counted from
a place that the seed decides. They are computed here with the same bits, and made into normal
numbers by the same formulas, so that a trial begins with the same weights on every backend: uniform
ones to the bit; of normal ones two in a hundred differ by the last bit, because no two libraries
round logarithms and sines alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfmem.models.airbench import PartlyIdentity

_WORD = 0xFFFFFFFF
_HALF = 32
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85
_SCRAMBLER = 0x02461E293EC8F720  # TensorFlow's own key, by which it mixes seeds
_ROUNDS = 10
_SEEDS = (1 << 31) - 2  # Keras takes seeds modulo this number
_LEAST = np.float32(1e-7)  # number whose logarithm stands for that of smaller ones
_LANES = 4  # numbers of 32 bits that one counter gives
_BLOCK = 1 << 14  # counters at a time, so that all arrays lie in a cache
_RESERVED = 256  # counters that TensorFlow sets aside for 4 numbers of a truncated normal
_TWO_SIGMA = np.float32(2)
# Standard deviation of a normal variable that is cut off at two of its own.
_TRUNCATED_SD = 0.87962566103423978


def has_the_bits_of_tensorflow(initializer: keras.Initializer) -> bool:
    """Whether `drawn_as_on_tensorflow` gives the same bits as TensorFlow, which is slower."""
    if not type(initializer).__module__.startswith("keras."):
        return False
    if isinstance(initializer, keras.initializers.VarianceScaling):
        return str(initializer.distribution) == "uniform"
    return isinstance(initializer, keras.initializers.RandomUniform)


def drawn_as_on_tensorflow(
    initializer: keras.Initializer, shape: Sequence[int], seeds: Sequence[int]
) -> np.ndarray | None:
    """What one of Keras' own random initializers draws on TensorFlow with each of some seeds.

    Args:
      initializer: an initializer, whose own seed does not count.
      shape: shape of the variable.
      seeds: the seeds, not negative.

    Returns:
      float32 `[seeds, *shape]`; None if the initializer is none of Keras' random ones or tfmem's.
    """
    if isinstance(initializer, PartlyIdentity):
        return initializer.with_identity(_of_variance(initializer, shape, seeds))
    if not type(initializer).__module__.startswith("keras."):
        return None
    kinds = keras.initializers
    match initializer:
        case kinds.RandomUniform():
            return uniform(shape, seeds, initializer.minval, initializer.maxval)
        case kinds.RandomNormal():
            return normal(shape, seeds, initializer.mean, initializer.stddev)
        case kinds.TruncatedNormal():
            return truncated_normal(shape, seeds, initializer.mean, initializer.stddev)
        case kinds.VarianceScaling():
            return _of_variance(initializer, shape, seeds)
        case kinds.Orthogonal():
            return _orthogonal(shape, seeds, initializer.gain)
    return None


def _of_variance(
    initializer: keras.initializers.VarianceScaling, shape: Sequence[int], seeds: Sequence[int]
) -> np.ndarray:
    axes = (getattr(initializer, f"{side}_axes", None) for side in ("input", "output"))
    fan_in, fan_out = _fans(shape, *axes)
    fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    variance = initializer.scale / max(1.0, fans[initializer.mode])
    if initializer.distribution == "truncated_normal":
        return truncated_normal(shape, seeds, 0.0, variance**0.5 / _TRUNCATED_SD)
    if initializer.distribution == "untruncated_normal":
        return normal(shape, seeds, 0.0, variance**0.5)
    limit = (3.0 * variance) ** 0.5
    return uniform(shape, seeds, -limit, limit)


def _fans(
    shape: Sequence[int], inputs: Sequence[int] | None, outputs: Sequence[int] | None
) -> tuple[int, int]:
    """Numbers of inputs and outputs of a unit, by the shape of a kernel and its axes, if known."""
    if inputs is not None and outputs is not None:
        fan_in, fan_out = (
            int(np.prod([shape[axis] for axis in axes])) for axes in (inputs, outputs)
        )
        return fan_in, fan_out
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = int(np.prod(shape[:-2]))
    return field * shape[-2], field * shape[-1]


def _orthogonal(shape: Sequence[int], seeds: Sequence[int], gain: float) -> np.ndarray:
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    drawn = []
    for gaussian in normal((max(rows, columns), min(rows, columns)), seeds, 0.0, 1.0):
        q, r = np.linalg.qr(gaussian)
        q *= np.sign(np.diag(r))
        drawn.append(np.float32(gain) * (q.T if rows < columns else q).reshape(shape))
    return np.stack(drawn)


def uniform(shape: Sequence[int], seeds: Sequence[int], low: float, high: float) -> np.ndarray:
    """`tf.random.stateless_uniform` with Keras' integer seeds: float32 `[seeds, *shape]`."""
    low32, high32 = np.float32(low), np.float32(high)
    drawn = _drawn(lambda *where: _unit(_philox(*where)), shape, seeds)
    return drawn * (high32 - low32) + low32


def normal(shape: Sequence[int], seeds: Sequence[int], mean: float, sd: float) -> np.ndarray:
    """`tf.random.stateless_normal` with Keras' integer seeds: float32 `[seeds, *shape]`."""
    drawn = _drawn(lambda *where: _box_muller(_philox(*where)), shape, seeds)
    return drawn * np.float32(sd) + np.float32(mean)


def truncated_normal(
    shape: Sequence[int], seeds: Sequence[int], mean: float, sd: float
) -> np.ndarray:
    """`tf.random.stateless_truncated_normal` with Keras' integer seeds: `[seeds, *shape]`.

    Every 4 numbers are the first of a series of their own that lie within 2 standard deviations.
    """
    drawn = _drawn(_truncated, shape, seeds, apart=_RESERVED)
    return drawn * np.float32(sd) + np.float32(mean)


def _drawn(
    draw: Callable[[np.ndarray, np.ndarray], np.ndarray],
    shape: Sequence[int],
    seeds: Sequence[int],
    apart: int = 1,
) -> np.ndarray:
    """Draws numbers, as many counters at a time as fit in a cache.

    Args:
      draw: returns float32 `[seeds, counters, 4]` for streams and places as `_philox` takes them.
      shape: shape of what each seed gives.
      seeds: the seeds.
      apart: distance between successive counters.

    Returns:
      float32 `[seeds, *shape]`.
    """
    count = int(np.prod(shape))
    streams = _streams(seeds)[:, :, None]
    places = np.arange(-(-count // _LANES), dtype=np.uint64) * np.uint64(apart)
    drawn = np.empty((len(seeds), len(places), _LANES), np.float32)
    rows = max(1, _BLOCK // max(1, len(places)))
    for first in range(0, len(seeds), rows):
        for start in range(0, len(places), _BLOCK):
            some, part = slice(first, first + rows), slice(start, start + _BLOCK)
            drawn[some, part] = draw(streams[:, some], places[part])
    return drawn.reshape(len(seeds), -1)[:, :count].reshape(-1, *shape)


def _truncated(streams: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The 4 numbers of each group that begins at one of `places`: `[seeds, places, 4]`."""
    drawn = _box_muller(_philox(streams, places))
    result: np.ndarray = drawn.reshape(-1, _LANES)
    kept = np.abs(result) < _TWO_SIGMA
    short = np.flatnonzero(~kept.all(axis=1))
    series, kept, tried = result[short], kept[short], 1
    where = np.stack(np.broadcast_arrays(*streams, places)).reshape(5, -1)
    while len(short):
        more = _box_muller(_philox(where[:4, short], where[4, short] + np.uint64(tried)))
        tried += 1
        series = np.concatenate([series, more], axis=1)
        kept = np.concatenate([kept, np.abs(more) < _TWO_SIGMA], axis=1)
        done = kept.sum(axis=1) >= _LANES
        first = np.argsort(~kept[done], axis=1, kind="stable")[:, :_LANES]
        result[short[done]] = np.take_along_axis(series[done], first, axis=1)
        short, series, kept = short[~done], series[~done], kept[~done]
    return result.reshape(drawn.shape)


def _streams(seeds: Sequence[int]) -> np.ndarray:
    """What Philox makes numbers of for each seed: its key, and the upper half of its counter.

    Returns:
      uint64 `[4, seeds]`: words of 32 bits, two of the key and two of the counter.
    """
    key = _SCRAMBLER & _WORD, _SCRAMBLER >> _HALF
    each = np.asarray(seeds, np.uint64) % np.uint64(_SEEDS)
    return np.stack(_philox_rounds(key, (each, 0, 0, 0)))


def _philox(streams: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Philox 4x32-10 of some counters.

    Args:
      streams: uint64 `[4, ...]`, from `_streams`.
      places: uint64, the lower two words of each counter, in a shape that goes with theirs.

    Returns:
      uint32 `[..., 4]`.
    """
    first, second, third, fourth = streams
    words = _philox_rounds((first, second), (places & _WORD, places >> _HALF, third, fourth))
    return np.stack(words, axis=-1).astype(np.uint32)


def _philox_rounds(
    key: tuple[Any, Any], counter: tuple[Any, Any, Any, Any]
) -> tuple[Any, Any, Any, Any]:
    """The four words into which Philox turns four words, each an integer or an array uint64."""
    (first, second), (a, b, c, d) = key, counter
    for _ in range(_ROUNDS):
        one, other = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (
            (other >> _HALF) ^ b ^ first,
            other & _WORD,
            (one >> _HALF) ^ d ^ second,
            one & _WORD,
        )
        first, second = (first + _WEYL[0]) & _WORD, (second + _WEYL[1]) & _WORD
    return a, b, c, d


def _unit(words: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1) of the lower 23 bits of random words, float32."""
    bits = (words & np.uint32(0x7FFFFF)) | np.uint32(127 << 23)
    return bits.view(np.float32) - np.float32(1)


def _box_muller(words: np.ndarray) -> np.ndarray:
    """Normal numbers from pairs of random words (Box & Muller 1958): float32 of their shape."""
    drawn = _unit(words).reshape(-1, 2)
    logarithm = np.log(np.maximum(drawn[:, 0], _LEAST).astype(np.float64)).astype(np.float32)
    radius = np.sqrt(np.float32(-2) * logarithm)
    angle = (2 * np.pi * drawn[:, 1].astype(np.float64)).astype(np.float32).astype(np.float64)
    both = np.stack([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)
    return (both * radius[:, None]).reshape(words.shape)
