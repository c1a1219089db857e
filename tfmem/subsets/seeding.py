"""Seeds of many streams of random numbers at once.

`numpy.random.SeedSequence` takes as long for one seed as a small model takes for a step. The seeds
of a stack of trials differ in their spawn keys alone, so numpy mixes the run's seed, and the keys
of all streams are mixed in together, by the arithmetic that numpy promises never to change
(O'Neill 2015, "Developing a seed_seq alternative").
"""

from __future__ import annotations

import numpy as np
from numpy.random.bit_generator import ISeedSequence

SEED_OF_PCG64 = 8  # words
_POOL = 4  # words of 32 bits
_WORD = 1 << 32
_INIT_A, _MULT_A = 0x43B0D7E5, 0x931E8875
_INIT_B, _MULT_B = 0x8B51F9DD, 0x58F38DED
_MIX_LEFT, _MIX_RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_SHIFT = np.uint32(16)


def seed_words(run_seed: int, keys: np.ndarray, count: int) -> np.ndarray:
    """`SeedSequence(run_seed, spawn_key=key).generate_state(count)` of each key.

    Args:
      run_seed: the seed that all streams share, not negative.
      keys: integers `[streams, length]`, from 0 to 2^32 - 1.
      count: number of words.

    Returns:
      uint32 `[streams, count]`.
    """
    words = max(_POOL, -(-run_seed.bit_length() // 32))
    mixed = _POOL * words  # words that numpy has hashed for the run's seed
    constant = _INIT_A * pow(_MULT_A, mixed, _WORD) % _WORD
    pool = [np.full(len(keys), word) for word in np.random.SeedSequence(run_seed).pool]
    for key in np.asarray(keys, np.uint32).T:
        for place in range(_POOL):
            hashed, constant = _hashed(key, constant, _MULT_A)
            both: np.ndarray = _MIX_LEFT * pool[place] - _MIX_RIGHT * hashed
            pool[place] = both ^ both >> _SHIFT
    constant, states = _INIT_B, []
    for number in range(count):
        state, constant = _hashed(pool[number % _POOL], constant, _MULT_B)
        states.append(state)
    return np.stack(states, axis=1)


def _hashed(words: np.ndarray, constant: int, multiplier: int) -> tuple[np.ndarray, int]:
    """Words hashed with a constant, and the constant for the words that follow."""
    following = constant * multiplier % _WORD
    product = (words ^ np.uint32(constant)) * np.uint32(following)
    return product ^ product >> _SHIFT, following


class _Known(ISeedSequence):
    """A seed whose words are known."""

    def __init__(self, words: np.ndarray) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: object = np.uint32) -> np.ndarray:
        """The words, whatever is asked for: PCG64 asks for 4 of 64 bits."""
        del n_words, dtype
        return self._words


def raw_numbers(words: np.ndarray, count: int) -> np.ndarray:
    """The first outputs of PCG64 of each of some seeds.

    Args:
      words: uint32 `[streams, SEED_OF_PCG64]`, from `seed_words`.
      count: numbers of each stream.

    Returns:
      uint64 `[streams, count]`.
    """
    seeds = words.astype("<u4").view("<u8").astype(np.uint64)
    raw = np.empty((len(seeds), count), np.uint64)
    for numbers, seed in zip(raw, seeds, strict=True):
        bits = np.random.PCG64(_Known(seed))  # type: ignore[arg-type]  # numpy's stub omits it
        numbers[:] = bits.random_raw(count)
    return raw
