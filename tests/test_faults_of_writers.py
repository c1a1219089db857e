"""Files of one folder that are published together, and what is left if that fails."""

import os

import numpy as np
import pandas as pd
import pytest

from tests.helpers.faults import files_of_at_most, steps
from tfmem.datasets.duplicates import Duplicates, write_duplicates
from tfmem.messages.errors import InputError
from tfmem.store.manifests import MANIFEST_NAME
from tfmem.store.records import shard_name
from tfmem.store.sets import read_file, read_set
from tfmem.store.writing import write_set

RECORDS = shard_name("groups", 0, 1)
TABLES = ("a.csv", "b.csv")


def write(folder, word):
    tables = [(name, f"{word} {name}\n".encode()) for name in TABLES]
    records = [f"{word} {number}".encode() for number in range(3)]
    write_set(folder, {"of": word}, [(RECORDS, records), *tables])


def words(folder):
    """The first words of everything that is read from a set."""
    found = {read_file(folder, name).split()[0] for name in TABLES}
    return found | {payload.split()[0] for payload, _ in read_set(folder, "groups")}


def test_a_fault_at_any_step_leaves_all_files_old_or_all_files_new(tmp_path, monkeypatch):
    outcomes = []
    for at in range(1, 100):
        folder = tmp_path / str(at)
        write(folder, "old")
        with monkeypatch.context() as patch:
            done = steps(patch, False, at)
            try:
                write(folder, "new")
            except (InputError, OSError):
                failed = True
            else:
                failed = False
        if not failed:
            break
        (word,) = words(folder)
        outcomes.append(word)
        write(folder, "newest")
        assert words(folder) == {b"newest"}
    assert words(folder) == {b"new"}
    assert at == len(done) + 1 > 10
    first = outcomes.index(b"new")
    assert set(outcomes[:first]) == {b"old"}
    assert set(outcomes[first:]) == {b"new"}
    assert {path.name for path in folder.iterdir()} == {RECORDS, *TABLES, MANIFEST_NAME}


def test_the_file_that_cannot_be_written_is_named(tmp_path):
    write(tmp_path, "old")
    expected = rf"{tmp_path}/b\.csv: cannot be written: File too large"
    with files_of_at_most(100), pytest.raises(InputError, match=expected):
        write_set(tmp_path, {}, [(RECORDS, [b"new"]), ("b.csv", bytes(101))])
    assert words(tmp_path) == {b"old"}
    blocked = tmp_path / "file" / "folder"
    blocked.parent.write_bytes(b"")
    with pytest.raises(InputError, match=rf"{blocked}: cannot be written: Not a directory"):
        write(blocked, "new")


def test_duplicates_are_all_old_or_all_new_once_the_next_ones_are_written(tmp_path, monkeypatch):
    def duplicates(word):
        table = pd.DataFrame({word: [1]})
        return Duplicates({word: np.arange(2)}, table, table)

    def contents(folder):
        return {word for path in folder.glob("found*.csv") for word in ("old", "new")
                if word in path.read_text()}  # fmt: skip

    outcomes = set()
    for at in range(1, 100):
        folder = tmp_path / str(at)
        folder.mkdir()
        write_duplicates(duplicates("old"), folder / "found.csv")
        with monkeypatch.context() as patch:
            done = steps(patch, False, at)
            patch.setattr(
                "shutil.rmtree", lambda *_, **__: None
            )  # a killed process removes nothing
            try:
                write_duplicates(duplicates("new"), folder / "found.csv")
            except (InputError, OSError):
                pass
            else:
                break
        write_duplicates(duplicates("other"), folder / "other.csv")
        (word,) = contents(folder)
        outcomes.add(word)
        assert not list(folder.glob(".finished*"))
    assert outcomes == {"old", "new"}
    assert at == len(done) + 1 > 5
    assert os.path.exists(folder / "found-test.csv")
