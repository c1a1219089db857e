"""Claims have owners, end with their owners, and are not taken back after another took them."""

import os
import re
import subprocess
import sys
import time

import pytest

from tfmem.store import claims as module
from tfmem.store.claims import Claims, Worker
from tfmem.store.folders import open_folder
from tfmem.store.owners import new_owner


def elsewhere(name="1/2"):
    """Makes a claim as a program on another machine does; returns it and its sign of life."""
    owner = re.sub("^[^-]*", "0123456789ab", new_owner())
    return f"{name} host {owner}".encode(), f"alive-{owner}"


def age(path, seconds):
    os.utime(path, (time.time() - seconds,) * 2)


@pytest.fixture
def quiet(monkeypatch):
    """Claims that show no sign of life by themselves."""
    monkeypatch.setattr(module, "_BEAT_SECONDS", 1e6)


@pytest.mark.parametrize("seconds", [130, 1e9, -130, -1e9])
def test_a_claim_without_a_sign_of_life_is_void(tmp_path, seconds):
    """It is void whatever its date; a date in the future does not hold it for ever."""
    folder = open_folder(tmp_path)
    claim, sign = elsewhere()
    with Claims(folder, Worker(0, 2)) as mine:
        folder.write("7", claim)
        folder.write(sign, b"")
        assert (mine.holder("7").name, mine.take("7")) == ("1/2", False)
        age(tmp_path / "7", seconds)
        assert not mine.take("7")
        age(tmp_path / sign, seconds)
        assert mine.take("7")
        assert mine.holds("7")
    assert {name for name in os.listdir(tmp_path) if not name.startswith(".")} == {sign}


@pytest.mark.parametrize("claim", [
    b"", b"\xff", b"1/2", b"1/2 host " + b"x" * 99, b"1/2 host 1" + b"0" * 30 + b" abc",
    b"0/1 host 0123456789ab-1" + b"0" * 30 + b"-1-" + b"0" * 32, b"1/2 host ../../x"])  # fmt: skip
def test_a_damaged_claim_lapses(tmp_path, claim):
    folder = open_folder(tmp_path)
    with Claims(folder, "me") as mine:
        folder.write("7", claim)
        age(tmp_path / "7", 130)
        assert mine.holder("7") is None
        assert mine.take("7")


def test_a_claim_of_a_process_that_has_ended_is_void_at_once(tmp_path):
    code = "from tfmem.store.owners import new_owner; print(new_owner())"
    owner = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    reused = owner.replace(owner.split("-")[1], str(os.getpid()))  # its number, another process
    folder = open_folder(tmp_path)
    with Claims(folder, "me") as mine:
        for name, gone in (("7", owner), ("8", reused)):
            folder.write(name, f"1/2 host {gone}".encode())
            folder.write(f"alive-{gone}", b"")
            assert mine.take(name)
        mine.clear()
        assert sorted(name for name in folder.names() if gone in name) == []


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_worker_that_slept_does_not_take_back_what_another_took(
    tmp_path, place, quiet, monkeypatch
):
    folder = open_folder(tmp_path if place == "folder" else "memory://slept")
    with Claims(folder, Worker(0, 2)) as slept, Claims(folder, Worker(1, 2)) as other:
        assert slept.take("7")
        assert not other.take("7")
        monkeypatch.setattr(module, "_VOID_SECONDS", 0.0)
        assert other.take("7")
        monkeypatch.undo()
        slept._beat()
        assert not slept.holds("7")
        assert not slept.take("7")
        assert slept.holder("7").name == "1/2"
        assert not slept.release("7")
        assert other.holds("7")
        assert other.release("7")
        assert slept.take("7")


def test_only_one_of_many_gets_what_a_dead_one_held(tmp_path):
    """Eight programs at once, two hundred times: no two ever hold the same claim."""
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import ExitStack

    folder = open_folder(tmp_path)
    claim, _ = elsewhere()
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        programs = [stack.enter_context(Claims(folder, f"{i}/8")) for i in range(8)]
        for number in range(200):
            name = f"{number:05d}"
            folder.write(name, claim)
            age(tmp_path / name, 1e6)
            took = list(pool.map(lambda each, name=name: each.take(name), programs))
            assert sum(each.holds(name) for each in programs) == sum(took) == 1
