"""The matrix of all pairs in one file: its numbers, its bytes, and when it appears."""

import shutil
import signal
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest

from tests.helpers.counts import brute_force
from tests.helpers.oracle import FINGERPRINT, example_learner, record
from tests.helpers.runs import MULTI_PROCESS, aggregate, damage_flipped, write_run
from tfmem.aggregation import matrices, memory
from tfmem.aggregation.counting import Room
from tfmem.aggregation.matrices import write_matrix
from tfmem.experiments.run import load_run
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli import app
from tfmem.store.labels import Labels
from tfmem.store.records import shard_name

TRIALS, TRAIN, TEST = 130, 42, 25


def make_run(folder, shards=1):
    """Example 5 is in every subset, example 6 in none; class 3 has no training examples."""
    rng = np.random.default_rng(1)
    masks = rng.random((TRIALS, TRAIN)) < 0.7
    masks[:, 5], masks[:, 6] = True, False
    right = rng.random((TRIALS, TEST)) < 0.6
    labels = Labels(rng.integers(0, 3, TRAIN), rng.integers(0, 4, TEST), tuple("abcd"), FINGERPRINT)
    records = [record(k, masks[k], masks[k], right[k]) for k in range(TRIALS)]
    write_run(folder, [*records[::-1], *records[:9]], labels, shards)
    return masks, right


def paths(folder):
    predictions = folder / "predictions"
    return str(predictions / "*.tfrecord"), str(predictions / "labels.npz")


def write(folder, **options):
    out = folder / "influence.npy"
    counters = write_matrix(*paths(folder), str(out), **options)
    return np.load(out, mmap_mode="r"), counters


def left(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "predictions")


def test_it_equals_brute_force_and_the_classes_of_estimate(tmp_path):
    masks, right = make_run(tmp_path)
    found, counters = write(tmp_path)
    expected = [[brute_force(masks, right, i, j) for j in range(TEST)] for i in range(TRAIN)]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(expected, np.float32))
    assert np.isnan(found).all(axis=1).nonzero()[0].tolist() == [5, 6]
    assert (counters["rows_written"], counters["rows_of_nan"]) == (TRAIN, 2)
    half, _ = write(tmp_path, dtype="float16")
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, expected, atol=0.00025, rtol=0)
    aggregate(tmp_path)
    blocks = load_run(tmp_path).influence
    for label in blocks:
        block = blocks[label]
        part = found[np.ix_(block.train_index, block.test_index)]
        np.testing.assert_array_equal(part, block.influence.astype(np.float32))


def test_a_lookup_learner_has_its_closed_form(tmp_path):
    learner = example_learner()
    write_run(tmp_path, learner.records(), learner.labels, shards=3)
    np.testing.assert_allclose(write(tmp_path)[0], learner.influence(), atol=1e-7)


def test_tiles_parts_steps_and_runners_are_nothing(tmp_path, monkeypatch, capsys):
    make_run(tmp_path, shards=3)
    out = tmp_path / "influence.npy"
    found, _ = write(tmp_path)
    whole = out.read_bytes()
    write(tmp_path, beam_args=MULTI_PROCESS, room=Room(tile=16))
    assert out.read_bytes() == whole
    monkeypatch.setattr(matrices, "_PAIRS", 4 * TEST + 3)
    monkeypatch.setattr(memory, "_PROGRAM", 0)
    write(tmp_path, room=Room(memory=59_000, tile=7))
    assert "in 2 parts" in capsys.readouterr().out
    assert out.read_bytes() == whole
    half, _ = write(tmp_path, dtype="float16", room=Room(memory=59_000, tile=7))
    np.testing.assert_array_equal(half, found.astype(np.float16))
    assert left(tmp_path) == ["influence.npy"]


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    make_run(tmp_path, shards=2)
    (tmp_path / "influence.npy").write_bytes(b"of an older job")
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 4 * TRAIN * TEST - 1))
        with pytest.raises(InputError, match=r"42 x 25 numbers of float32 need .* GB are free"):
            write(tmp_path)
        write_matrix(*paths(tmp_path), str(tmp_path / "half.npy"), "float16")
        (tmp_path / "half.npy").unlink()
    shard = tmp_path / "predictions" / shard_name("predictions", 1, 2)
    damage_flipped(tmp_path, shard, [])
    with pytest.raises(InputError, match="record 0: corrupt"):
        write(tmp_path)
    assert left(tmp_path) == ["influence.npy"]
    assert (tmp_path / "influence.npy").read_bytes() == b"of an older job"


KILLED = """
import os, signal
from tfmem.aggregation import matrices
class Dies(matrices.DenseInfluence):
    calls = 0
    def __call__(self, masks):
        Dies.calls += 1
        if Dies.calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(masks)
matrices.DenseInfluence, matrices._PAIRS = Dies, 100
from tfmem.pipelines.cli import main
main()
"""


def test_a_killed_job_leaves_nothing_under_the_final_name(tmp_path):
    make_run(tmp_path)
    shards, labels = paths(tmp_path)
    words = ["matrix", shards, "--labels", labels, "--file", str(tmp_path / "influence.npy")]
    assert subprocess.run([sys.executable, "-c", KILLED, *words]).returncode == -signal.SIGKILL
    (unfinished,) = left(tmp_path)
    assert unfinished.startswith(".influence.npy.")
    app(words, standalone_mode=False)
    assert left(tmp_path) == ["influence.npy"]


@pytest.mark.parametrize(("out", "beam_args", "words"), [
    ("gs://bucket/x.npy", [], "gs://bucket/x.npy: .* expected a local file"),
    ("x.npy", ["--runner=DataflowRunner"], "expected a local file"),
    ("folder", [], "folder: expected a file called .npy"),
    ("{}/file/x.npy", [], "file: "),
])  # fmt: skip
def test_places_that_will_not_do_are_named(tmp_path, monkeypatch, out, beam_args, words):
    make_run(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr("tfmem.aggregation.runners._check_dataflow", lambda _: None)
    with pytest.raises(InputError, match=words):
        write_matrix(*paths(tmp_path), out.format(tmp_path), beam_args=beam_args)
