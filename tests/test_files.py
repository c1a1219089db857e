"""Files appear only when complete; no two programs share a temporary name."""

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tfmem.store import owners
from tfmem.store.files import complete_file, remove_leftovers, temporary_name, write_atomically
from tfmem.store.records import write_records

DAY = 86_400


def test_programs_that_write_one_file_do_not_disturb_each_other(tmp_path, monkeypatch):
    """Containers have equal process numbers, yet each write is whole and nothing is left behind."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    path = tmp_path / "x"
    contents = [bytes([number]) * 100_000 for number in range(8)]

    def write(content):
        for _ in range(20):
            with complete_file(path) as file:
                file.write(content[:50_000])
                file.write(content[50_000:])
            assert path.read_bytes() in contents

    with ThreadPoolExecutor(8) as programs:
        list(programs.map(write, contents))
    assert os.listdir(tmp_path) == ["x"]


def test_what_fails_leaves_the_old_file_and_names_it(tmp_path, monkeypatch):
    path = tmp_path / "name.csv"
    write_atomically(path, b"old")
    with pytest.raises(TypeError), complete_file(path) as file:
        write_records(file, [b"new", None])

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*/name.csv'"):
            write_atomically(path, b"new")
    with pytest.raises(FileNotFoundError, match=r"'.*/none/name.csv'"):
        write_atomically(tmp_path / "none" / "name.csv", b"new")
    assert (os.listdir(tmp_path), path.read_bytes()) == (["name.csv"], b"old")
    write_atomically(tmp_path / ("n" * 255), b"")  # as long as a name can be


def test_file_and_folder_are_on_disk_before_it_goes_on(tmp_path, monkeypatch):
    done, replace, sync = [], os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *a: (done.append("named"), replace(*a)))
    monkeypatch.setattr(
        os, "fsync", lambda h: (done.append(os.path.isdir(f"/proc/self/fd/{h}")), sync(h))
    )
    write_atomically(tmp_path / "x", b"x")
    assert done == [False, "named", True]


def test_leftovers_of_the_dead_and_of_yesterday_are_removed_and_no_others(tmp_path):
    code = "from tfmem.store.files import temporary_name as n; print(n('dead'), n('x'), sep='\\n')"
    dead, other = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    mine = temporary_name("mine")
    machine = owners.new_owner().split("-")[0]
    foreign = mine.replace(machine, "0123456789ab")
    reused = dead.replace(dead.split("-")[1], str(os.getpid()))  # the number, another process
    young = [mine, foreign, ".old.12.tmp", ".x.0-of-1.tmp", ".theirs.tmp", "a.7.tmp", "kept"]
    for name in [dead, other, reused, *young]:
        (tmp_path / name).write_bytes(b"")
    remove_leftovers(tmp_path, "dead")
    assert sorted(os.listdir(tmp_path)) == sorted([other, *young])
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(young)
    for name in young:
        os.utime(tmp_path / name, (time.time() - DAY - 60,) * 2)
    os.utime(tmp_path / mine)
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([mine, ".theirs.tmp", "a.7.tmp", "kept"])
    remove_leftovers(tmp_path / "none")


@pytest.mark.parametrize("owner", ["", "x", "0" * 12 + "-1" + "0" * 30 + "-1-" + "0" * 32, "é-1-1"])
def test_an_owner_that_no_version_writes_is_not_known_to_be_gone(owner):
    assert not owners.is_gone(owner)
    assert owners.process_number(owner) == ""


def test_a_process_of_another_user_is_alive(monkeypatch):
    """The start of the process may be hidden, which does not prove its end."""
    owner = owners.new_owner()

    def refuse(process, signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(owners, "_start", lambda process: 0)
    assert not owners.is_gone(owner)
