"""A job that is killed while it writes or publishes leaves either the old or the new estimates."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.bucket import put_in_place
from tests.helpers.faults import files_of_at_most
from tests.helpers.runs import KINDS, aggregate, random_run, write_run
from tfmem.aggregation.launching import Output
from tfmem.exchange.exporting import export
from tfmem.messages.errors import InputError
from tfmem.store.sets import read_set

# A process that is killed in the middle of its file number N, or before its move number N.
KILLED = """
import os, signal, sys
what, number = sys.argv.pop(1), int(sys.argv.pop(1))
import tfmem.store.records
from tfmem.store.folders import Folder
count = 0
def reached():
    global count
    count += 1
    return count == number
def write_records(file, payloads, write=tfmem.store.records.write_records):
    if what == "file" and reached():
        write(file, [*payloads][:1])
        file.write(bytes(9))
        os.kill(os.getpid(), signal.SIGKILL)
    return write(file, payloads)
def rename(folder, old, new, rename=Folder.rename):
    if what == "move" and reached():
        os.kill(os.getpid(), signal.SIGKILL)
    rename(folder, old, new)
tfmem.store.records.write_records = write_records
Folder.rename = rename
from tfmem.pipelines.cli import main
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


def found(folder):
    return {kind: [payload for payload, _ in read_set(folder / kind, kind)] for kind in KINDS}


@pytest.mark.parametrize(("killed", "is_new"), [(("file", "3"), False), (("move", "2"), True)])
def test_estimation_killed_while_it_writes(tmp_path, reference, killed, is_new):
    """Either the old estimates stay valid or all new ones are; a new job completes them."""
    write_run(tmp_path / "old", *random_run(trials=20), shards=2)
    write_run(tmp_path, *random_run(), shards=2)
    for kind in KINDS:  # as an older version wrote them, without a manifest
        (tmp_path / kind).mkdir()
    aggregate(tmp_path / "old")
    for kind in KINDS:
        for path in (tmp_path / "old" / kind).glob("*.tfrecord"):
            (tmp_path / kind / path.name).write_bytes(path.read_bytes())
    old = found(tmp_path / "old")
    estimate_and_die(tmp_path, *killed)
    left = found(tmp_path)
    assert all((left[kind] == old[kind]) != is_new for kind in ("memorization", "influence"))
    assert [path for path in tmp_path.glob("*/.unfinished-*/*") if path.stat().st_size]
    aggregate(tmp_path)
    assert finished(tmp_path) == reference
    if is_new:
        assert found(tmp_path) == left
    assert not list(tmp_path.glob("*/.unfinished-*"))


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_only_what_nobody_will_finish_is_removed(tmp_path, monkeypatch, place):
    """Files of a live job, and fresh files of another machine, stay; in a bucket all are fresh."""
    bucket = put_in_place(monkeypatch)
    folder = f"{tmp_path}/x [1]*" if place == "folder" else "gs://bucket/x"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    name = Output(folder, "pairs", 1, 1).unfinished.split("/")[-1]
    start, (here, me, *rest) = ".unfinished-job-", name.removeprefix(".unfinished-job-").split("-")
    assert int(me) == os.getpid()
    others = [(here, gone.pid), ("0123456789ab", gone.pid), ("0123456789ab", me)]
    names = [name, *("-".join([start + where, str(pid), *rest]) for where, pid in others), "mine"]
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


def test_a_disk_that_is_full_is_named_and_leaves_what_was_there(tmp_path):
    """The disk is full at the longest file of estimates, then at one of an export."""
    write_run(tmp_path, *random_run())
    aggregate(tmp_path)
    before, out = finished(tmp_path), tmp_path / "tables"
    longest = max(before, key=lambda name: len(before[name]))
    with files_of_at_most(len(before[longest]) - 1), pytest.raises(InputError) as error:
        aggregate(tmp_path)
    assert str(error.value) == f"{tmp_path / longest}: cannot be written: File too large"
    assert finished(tmp_path) == before
    assert not list(tmp_path.glob("*/.unfinished-*"))
    with files_of_at_most(8000), pytest.raises(InputError, match=r"influence\.csv: File too large"):
        export(tmp_path, "csv", out, influence=True)
    assert not list(out.iterdir())
    assert len(export(tmp_path, "csv", out, influence=True)) == len(list(out.iterdir())) == 3
