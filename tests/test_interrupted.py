"""A job that is killed while it writes leaves nothing under a final name."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bucket import put_in_place
from tests.test_aggregation import KINDS, aggregate, random_run, write_run
from tests.test_aggregation import reference as reference  # a fixture
from tfmem.aggregation import leftovers
from tfmem.aggregation.launching import Output

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
    assert not list(tmp_path.glob("*/.unfinished-*"))


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_only_what_nobody_will_finish_is_removed(tmp_path, monkeypatch, place):
    """A job of this process and a fresh one of another machine stay; in a bucket all is fresh."""
    bucket = put_in_place(monkeypatch)
    folder = f"{tmp_path}/x [1]*" if place == "folder" else "gs://bucket/x"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here, name = leftovers._machine(), Output(folder, "pairs", 1, 1).unfinished.split("/")[-1]
    start = ".unfinished-job-"
    names = [name, f"{start}{here}-{gone.pid}-0", f"{start}elsewhere-{gone.pid}-0",
             f"{start}elsewhere-{os.getpid()}-1", "mine"]  # fmt: skip
    for each in names:
        path = Path(folder, each, "pairs-00000-of-00001.tfrecord")
        bucket.objects[f"gs://bucket/x/{each}/{path.name}"] = b""
        path.parent.mkdir(parents=True) if place == "folder" else None
        path.write_bytes(b"") if place == "folder" else None
    if place == "folder":
        os.utime(Path(folder, names[3]), (time.time() - 90_000,) * 2)
    Output(folder, "pairs", 1, 1).discard_stale()
    if place == "folder":
        assert {path.name for path in Path(folder).iterdir()} == {names[0], names[2], names[4]}
    else:
        assert {path.split("/")[4] for path in bucket.objects} == {*names} - {names[1]}
