"""Sets of files are published as a whole or not at all, and read only as published."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.bucket import put_in_place
from tests.helpers.faults import Killed, steps
from tfmem.messages.errors import InputError
from tfmem.store import writing
from tfmem.store.folders import Folder, open_folder
from tfmem.store.manifests import MANIFEST_NAME, Manifest, Publishing, parse_state
from tfmem.store.publishing import Member, publish
from tfmem.store.records import shard_name, write_records
from tfmem.store.sets import find_files, read_file, read_manifest, read_set, write_counted

KINDS = {"memorization": 3, "influence": 2, "pairs": 1}  # with how many files each has


def lay_down(root, word, counts=KINDS):
    """Writes the files of a set as a job does; returns the members to publish."""
    members = []
    for kind, count in counts.items():
        folder, work = f"{root}/{kind}", f".unfinished-job-{word}"
        files = {}
        for number in range(count):
            name = shard_name(kind, number, count)
            if "://" not in folder:
                Path(folder, work).mkdir(parents=True, exist_ok=True)
            file = Written()
            payloads = [f"{word} {kind} {number} {each}".encode() for each in range(3)]
            files[name] = write_counted(file, payloads)
            open_folder(folder).write(f"{work}/{name}", file.data)
        members.append(Member(folder, work, Manifest({"predictions": word}, files)))
    return members


class Written:
    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data


def words(root):
    """The first word of every record, and "none" for a kind without records."""
    found = set()
    for kind in KINDS:
        there = bool(find_files(f"{root}/{kind}", kind))
        records = read_set(f"{root}/{kind}", kind) if there else [(b"none", "")]
        found |= {payload.split()[0] for payload, _ in records}
    return found


@pytest.mark.parametrize("place", ["folder", "bucket"])
@pytest.mark.parametrize("before", ["nothing", "a set", "files without a manifest"])
def test_a_fault_at_any_step_leaves_the_old_set_or_the_new_one(
    tmp_path, monkeypatch, place, before
):
    bucket = put_in_place(monkeypatch)
    outcomes = []
    for at in range(1, 100):
        root = f"gs://bucket/{at}" if place == "bucket" else f"{tmp_path}/{at}"
        if before != "nothing":
            publish(lay_down(root, "old", {**KINDS, "memorization": 2}))
        if before.startswith("files"):
            for kind in KINDS:
                open_folder(f"{root}/{kind}").remove(MANIFEST_NAME)
        members = lay_down(root, "new")
        with monkeypatch.context() as patch:
            done = steps(patch, place == "bucket", at)
            try:
                publish(members)
            except (InputError, OSError):
                failed = True
            else:
                failed = False
        if not failed:
            break
        found = words(root)
        assert len(found) == 1
        outcomes += found
        publish(lay_down(root, "newest"))
        assert words(root) == {b"newest"}
    assert not failed
    assert words(root) == {b"new"}
    assert at == len(done) + 1 > 15
    first = outcomes.index(b"new")
    assert set(outcomes[:first]) == {b"none" if before == "nothing" else b"old"}
    assert set(outcomes[first:]) == {b"new"}
    every = [*bucket.objects] if place == "bucket" else map(str, Path(root).rglob("*.*"))
    names = {name[len(root) :] for name in every if name.startswith(root)}
    expected = {f"/{kind}/{shard_name(kind, number, count)}" for kind, count in KINDS.items()
                for number in range(count)}  # fmt: skip
    left = {name for name in names if ".unfinished" not in name}
    assert left == expected | {f"/{kind}/{MANIFEST_NAME}" for kind in KINDS}


def damaged(root):
    """Damages of the files of memorization, each with the expected message."""
    names = [shard_name("memorization", number, 3) for number in range(3)]

    def remove():
        (root / names[1]).unlink()

    def append():
        with open(root / names[1], "ab") as file:
            write_records(file, [b"one too many"])

    def drop():
        content = (root / names[1]).read_bytes()
        (root / names[1]).write_bytes(content[: len(content) // 3])

    def swap():
        content = (root / names[1]).read_bytes()
        (root / names[1]).write_bytes((root / names[2]).read_bytes())
        (root / names[2]).write_bytes(content)

    def other():
        lay = lay_down(root.parent, "odd")[0]
        (root / names[1]).write_bytes((root / lay.work / names[1]).read_bytes())

    return {
        remove: f"{names[1]}: not found, but .*{MANIFEST_NAME} names it",
        append: f"{names[1]}: expected .* bytes, received",
        drop: f"{names[1]}: expected .* bytes, received",
        swap: f"{names[1]}: expected 3 records in .* as its manifest says",
        other: f"{names[1]}: expected 3 records in .* as its manifest says",
    }


@pytest.mark.parametrize("number", range(5))
def test_files_that_are_not_those_of_the_manifest_are_refused(tmp_path, number):
    publish(lay_down(tmp_path, "set"))
    root = tmp_path / "memorization"
    act, said = [*damaged(root).items()][number]
    act()
    with pytest.raises(InputError, match=said):
        list(read_set(root, "memorization"))


def test_without_a_manifest_names_say_how_many_files_there_are(tmp_path):
    publish(lay_down(tmp_path, "set"))
    root = tmp_path / "memorization"
    (root / MANIFEST_NAME).unlink()
    assert len(list(read_set(root, "memorization"))) == 9
    (root / shard_name("memorization", 1, 3)).unlink()
    with pytest.raises(
        InputError, match=r"memorization-00001-of-00003\.tfrecord: not found, but 2"
    ):
        list(read_set(root, "memorization"))


@pytest.mark.parametrize(("contents", "said"), [
    (b"", "not a manifest"),
    (b"[" * 100_000, "not a manifest"),
    (b"7", "not a manifest"),
    (b'{"schema_version": 2}', "written by a later tfmem: expected schema_version 1, received 2"),
    (b'{"schema_version": 1, "made_from": {}, "files": {"../x": {"size": 1, "crc32c": "", '
     b'"records": 1}}}', "not a manifest"),
    (b'{"schema_version": 1, "made_from": {}, "files": {"x": {"size": -1, "crc32c": "", '
     b'"records": 1}}}', "not a manifest"),
    (b'{"schema_version": 1, "publishing": {}}', "not a manifest"),
])  # fmt: skip
def test_a_damaged_manifest_is_named(tmp_path, contents, said):
    (tmp_path / MANIFEST_NAME).write_bytes(contents)
    with pytest.raises(InputError, match=f"^{tmp_path / MANIFEST_NAME}: {said}"):
        find_files(tmp_path, "memorization")


def test_an_attacker_can_not_point_a_manifest_elsewhere(tmp_path):
    (member, *_) = lay_down(tmp_path, "set", {"memorization": 1})
    publish([member])
    path = tmp_path / "memorization" / MANIFEST_NAME
    state = parse_state(path.read_bytes(), "x")
    part = Publishing("i", "../elsewhere", ".", (), state.current)
    path.write_bytes(replace(state, publishing=part).to_bytes())
    with pytest.raises(InputError, match="publishing: expected names of folders"):
        read_manifest(path.parent)


@pytest.mark.parametrize("valid", [False, True])
def test_a_set_of_one_program_is_there_as_a_whole_or_not_at_all(tmp_path, monkeypatch, valid):
    """Its writer is killed before or after the set becomes valid."""
    folder, name = tmp_path / "set", shard_name("pairs", 0, 1)

    def write(word):
        writing.write_set(folder, {}, [(name, [word]), ("summary.json", word)])

    def read():
        ((record, _),) = read_set(folder, "pairs")
        return record, read_file(folder, "summary.json")

    def rename(self, old, new):
        raise Killed(5, "killed")

    def publish(members):
        raise Killed(5, "killed")

    write(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(*((Folder, "rename", rename) if valid else (writing, "publish", publish)))
        with pytest.raises(InputError, match="cannot be written: killed"):
            write(b"new")
    assert read() == ((b"new",) * 2 if valid else (b"old",) * 2)
    assert (folder / "summary.json").read_bytes() == b"old"  # nothing has been moved yet
    write(b"last")
    assert read() == (b"last", b"last")
    left = {each for each in os.listdir(folder) if not each.startswith(".set-")}
    assert left == {"manifest.json", name, "summary.json"}
    (folder / "summary.json").write_bytes(b"Last")
    with pytest.raises(InputError, match=r"summary\.json: expected 4 bytes with checksum"):
        read()
