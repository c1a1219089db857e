"""A job that is killed while it writes leaves nothing under a final name."""

import signal
import subprocess
import sys

import pytest

from tests.test_aggregation import KINDS, aggregate, random_run, write_run
from tests.test_aggregation import reference as reference  # a fixture

# A process that is killed in the middle of its file number N, or before its move number N.
KILLED = """
import os, signal, sys
what, number = sys.argv.pop(1), int(sys.argv.pop(1))
import tfmem.records
from apache_beam.io.filesystems import FileSystems
count = 0
def reached():
    global count
    count += 1
    return count == number
def write_records(file, payloads, write=tfmem.records.write_records):
    if what == "file" and reached():
        write(file, [*payloads][:1])
        file.write(bytes(9))
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return write(file, payloads)
def rename(old, new, move=FileSystems.rename):
    if what == "move" and reached():
        os.kill(os.getpid(), signal.SIGKILL)
    move(old, new)
tfmem.records.write_records = write_records
FileSystems.rename = rename
from pipelines.cli import main
main()
"""


def estimate_and_die(folder, *killed):
    predictions = folder / "predictions"
    words = [*killed, "estimate", str(predictions / "*.tfrecord"), "--labels",
             str(predictions / "labels.npz"), "--out", str(folder), "--memorization", "0.1",
             "--influence", "0.1"]  # fmt: skip
    assert subprocess.run([sys.executable, "-c", KILLED, *words]).returncode == -signal.SIGKILL


def finished(folder):
    paths = [path for kind in KINDS for path in (folder / kind).glob("[!.]*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize(("killed", "published"), [
    (("file", "3"), []), (("move", "2"), ["memorization"])])  # fmt: skip
def test_estimation_killed_while_it_writes(tmp_path, reference, killed, published):
    """What is there of an earlier job stays; what has been moved is whole; a new job mends it."""
    write_run(tmp_path, *random_run(), shards=2)
    earlier = {}
    for kind in KINDS:
        path = tmp_path / kind / f"{kind}-00000-of-00001.tfrecord"
        path.parent.mkdir()
        path.write_bytes(b"")
        earlier[f"{kind}/{path.name}"] = b""
    estimate_and_die(tmp_path, *killed)
    assert [path for path in tmp_path.glob("*/.unfinished-*/*") if path.stat().st_size]
    final = finished(tmp_path)
    assert final.keys() == earlier.keys()
    for name, data in final.items():
        assert data == (reference if name.split("/")[0] in published else earlier)[name]
    aggregate(tmp_path)
    assert finished(tmp_path) == reference
