"""Damaged files are refused in one clear line, or read as another file that makes sense."""

import random
import resource
import tracemalloc

import pytest

from tests.helpers.mutating import damaged
from tests.helpers.readers_of_input import READERS_OF_INPUT
from tests.helpers.readers_of_own_models import READERS_OF_OWN_MODELS
from tests.helpers.readers_of_runs import READERS_OF_RUNS
from tfmem.messages.errors import InputError

READERS = READERS_OF_INPUT | READERS_OF_RUNS | READERS_OF_OWN_MODELS
FEW, MANY = 25, 300  # mutations of files of each reader
MEMORY = 1 << 30  # bytes
LONGEST = 2000  # characters of a line


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def attack(name, folder, count, seed):
    """Damages a file of a reader several times; returns how many damaged files it refused."""
    reader = READERS[name]
    whole = folder / "whole"
    whole.mkdir()
    paths = reader.write(whole)
    reader.read(whole)
    refused, before = 0, peak()
    tracemalloc.start()
    for number in range(count):
        rng = random.Random(f"{seed}-{name}-{number}")
        path = rng.choice(paths)
        contents = path.read_bytes()
        tracemalloc.reset_peak()
        path.write_bytes(damaged(rng, path))
        try:
            reader.read(whole)
        except InputError as error:
            refused += 1
            said = str(error).splitlines()
            assert 1 <= len(said) <= reader.lines, (name, number, said)
            assert all(0 < len(line) < LONGEST for line in said), (name, number, said)
        except BaseException as error:
            raise AssertionError(f"{name}, mutation {number} of seed {seed}: {error!r}") from error
        finally:
            path.write_bytes(contents)
        assert tracemalloc.get_traced_memory()[1] < MEMORY, (name, number)
    tracemalloc.stop()
    assert peak() - before < MEMORY, name
    return refused


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused_in_one_line(name, tmp_path):
    assert (attack(name, tmp_path, FEW, seed=1) > 0) == READERS[name].refuses


def test_readers_are_attacked_ten_thousand_times_in_all():
    assert MANY * len(READERS) >= 10_000


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("seed", [2])
def test_ten_thousand_damaged_files(name, seed, tmp_path):
    refused = attack(name, tmp_path, MANY, seed)
    print(f"{name}: {MANY} mutations of seed {seed}, {refused} refused")
