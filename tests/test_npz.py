"""All readers refuse hostile npz files in one line, without large allocations."""

import io
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from tfmem.config import DatasetSettings
from tfmem.datasets.arrays import load_npz
from tfmem.exchange.aux_arrays import read_run
from tfmem.exchange.checkpoints import read_labels
from tfmem.exchange.matrices import load_matrices
from tfmem.exchange.pairs import load_pairs
from tfmem.messages.errors import InputError
from tfmem.store.labels import Labels
from tfmem.store.npz import NpzFile, read_npy, read_npz
from tfmem.subsets.given import read_subsets

MEMORY = 8 << 20  # bytes that a hostile file may take
NUMBERS = np.arange(6)

READERS = {
    "all": (read_npz, {"a": NUMBERS, "b": np.array(["x"])}),
    "labels": (
        lambda path: Labels.from_npz(path.read_bytes(), str(path)),
        {"train_labels": NUMBERS, "test_labels": NUMBERS, "class_names": np.array(list("abcdef"))},
    ),
    "dataset": (
        lambda path: load_npz(path, DatasetSettings(name="npz", data_dir=str(path))),
        {
            "train_images": np.zeros((6, 2, 2, 1), np.uint8),
            "train_labels": NUMBERS % 2,
            "test_images": np.zeros((6, 2, 2, 1), np.uint8),
            "test_labels": NUMBERS % 2,
        },
    ),
    "subsets": (read_subsets, {"masks": np.ones((2, 1), np.uint8), "num_train": np.int64(8)}),
    "run": (
        read_run,
        {
            **{f"index_{split}": NUMBERS[:3] + (3 * (split == "removed")) for split in
               ("train", "removed", "test")},
            **{f"correctness_{split}": np.ones(3) for split in ("train", "removed", "test")},
            "subsample_idx": NUMBERS[:3],
        },
    ),
    "published labels": (read_labels, {"tr_labels": NUMBERS, "tt_labels": NUMBERS}),
    "pairs": (
        load_pairs,
        {"tr_idx": NUMBERS, "tt_idx": NUMBERS, "infl": np.ones(6), "mem": np.ones(6)},
    ),
    "matrices": (
        load_matrices,
        {
            "tr_labels": NUMBERS,
            "tt_labels": NUMBERS,
            "tr_classidx_0": NUMBERS[:1],
            "tt_classidx_0": NUMBERS[:1],
            "infl_matrix_class0": np.ones((1, 1)),
        },
    ),
}  # fmt: skip


def npy(header, data=bytes(80), version=1):
    """Makes an npy file with any text as its header."""
    encoded = header if isinstance(header, bytes) else header.encode()
    size = struct.pack("<H" if version == 1 else "<I", len(encoded))
    return b"\x93NUMPY" + bytes([version, 0]) + size + encoded + data


def described(descr="'<i8'", order="False", shape="(10,)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


CONTENTS = {  # of every member
    "pickle": b"\x80\x04\x8c\x02os\x94.",
    "nothing": b"",
    "raw bytes": b"\x00" * 300,
    "object array": npy(described("'|O'")),
    "structured": npy(described("[('a', '<i8')]")),
    "shape of 10^30": npy(described(shape=f"({10**30},)")),
    "shape of 2^62": npy(described(shape=f"({2**62},)")),
    "shape of 2^40": npy(described(shape=f"({2**40},)")),
    "two negative lengths": npy(described(shape="(-2, -5)")),
    "no length and 10^30": npy(described(shape=f"(0, {10**30})"), b""),
    "200 axes": npy(described(shape=f"({'1, ' * 200})"), bytes(8)),
    "shape of words": npy(described(shape="('a',)")),
    "no shape": npy("{'descr': '<i8', 'fortran_order': False}"),
    "huge strings": npy(described(f"'<U{2**30}'", shape="(1,)")),
    "huger strings": npy(described(f"'<U{10**30}'", shape="(1,)")),
    "strings of no length": npy(described("'<U0'"), b""),
    "unfinished header": npy("{'descr': '<i8', 'fortran_order': (("),
    "header of a call": npy("{'descr': __import__('os').system('false')}"),
    "5,000 minus signs": npy("-" * 5000 + "1"),
    "900 minus signs": npy("-" * 900 + "1"),
    "900 brackets": npy("[" * 900),
    "header of bad bytes": npy(b"\xff\xfe" * 30),
    "header that claims 4 GiB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(80),
    "header of version 3": npy(described(), version=3),
    "header of version 9": npy(described(), version=9),
    "too few values": npy(described(), bytes(79)),
    "too many values": npy(described(), bytes(81)),
    "no character": npy(described("'<U1'", shape="(1,)"), b"\xff\xff\xff\x7f"),
    "lone surrogate": npy(described("'<U1'", shape="(1,)"), b"\x00\xd8\x00\x00"),
}


def archive(names, contents, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for name in names:
            out.writestr(f"{name}.npy", contents)
    return file.getvalue()


def forged(names, offset, value, kind="<H"):
    """Changes a field in the central directory's entries of members."""
    whole = bytearray(archive(names, npy(described()), zipfile.ZIP_DEFLATED))
    place = whole.find(b"PK\x01\x02")
    while place >= 0:
        struct.pack_into(kind, whole, place + offset, value)
        place = whole.find(b"PK\x01\x02", place + 4)
    return bytes(whole)


def damaged(names):
    whole = bytearray(archive(names, npy(described())))
    start = whole.find(b"'shape'")
    whole[start + 40 :: 97] = b"\xff" * len(whole[start + 40 :: 97])
    return bytes(whole)


ARCHIVES = {
    "no archive": lambda names: b"no archive",
    "empty": lambda names: b"",
    "npy": lambda names: npy(described()),
    "no member": lambda names: archive([], b""),
    "cut": lambda names: archive(names, npy(described()))[:-30],
    "bytes changed": damaged,
    "encrypted": lambda names: forged(names, 8, 1),
    "patched": lambda names: forged(names, 8, 0x20),
    "version 99": lambda names: forged(names, 6, 99),
    "unknown method": lambda names: forged(names, 10, 99),
    "bzip2": lambda names: archive(names, npy(described()), zipfile.ZIP_BZIP2),
    "lzma": lambda names: archive(names, npy(described()), zipfile.ZIP_LZMA),
    "says 1 GiB": lambda names: forged(names, 24, 1 << 30, "<I"),
    "says 100 MiB": lambda names: forged(names, 24, 100 << 20, "<I"),
    "says less than there is": lambda names: forged(names, 24, 100, "<I"),
    "other checksum": lambda names: forged(names, 16, 7, "<I"),
    "begins elsewhere": lambda names: forged(names, 42, 2**31, "<I"),
}
HOSTILE = {
    **{name: lambda names, c=contents: archive(names, c) for name, contents in CONTENTS.items()},
    **ARCHIVES,
}


@pytest.fixture(params=READERS)
def reader(request):
    return READERS[request.param]


def test_plain_arrays_are_read(reader, tmp_path):
    read, arrays = reader
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "file.npz", **arrays)
        read(tmp_path / "file.npz")


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line_and_with_little_memory(reader, case, tmp_path):
    read, arrays = reader
    path = tmp_path / "file.npz"
    path.write_bytes(HOSTILE[case](list(arrays)))
    if case == "no member" and read is read_npz:
        assert read(path) == {}
        return
    tracemalloc.start()
    with pytest.raises(InputError) as error:
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert len(message) > len(f"{path}: ") + 8
    assert "\n" not in message
    assert peak < MEMORY


def test_more_than_a_member_declares_is_never_unpacked(tmp_path):
    """64 MiB of zeros follow a member that declares 208 bytes."""
    packed = zlib.compress(npy(described()) + bytes(64 << 20), 9)[2:-4]
    whole = bytearray(archive(["a"], packed))
    for signature, method, size in ((b"PK\x03\x04", 8, 22), (b"PK\x01\x02", 10, 24)):
        place = whole.find(signature)
        struct.pack_into("<H", whole, place + method, zipfile.ZIP_DEFLATED)
        struct.pack_into("<I", whole, place + size, len(npy(described())))
    with NpzFile(bytes(whole), "a.npz") as arrays:
        tracemalloc.start()
        with pytest.raises(InputError, match=r"^a\.npz: a: cannot be read: Bad CRC"):
            arrays.array("a")
        assert tracemalloc.get_traced_memory()[1] < MEMORY
        tracemalloc.stop()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "array",
    [
        np.zeros(0, np.int64),
        np.float32(3).reshape(()),
        np.arange(24.0).reshape(2, 3, 4),
        np.asfortranarray(np.arange(12, dtype=np.float16).reshape(3, 4)),
        np.arange(5, dtype=">i4"),
        np.array(["ä", "😀", ""]),
        np.array([True, False]),
        np.arange(3 << 19),
    ],
    ids=lambda array: f"{array.dtype.str}{list(array.shape)}",
)
def test_what_numpy_writes_is_what_is_read(array, compressed, tmp_path):
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", a=array)
    np.save(tmp_path / "a.npy", array)
    for found in (read_npz(tmp_path / "a.npz")["a"], read_npy(tmp_path / "a.npy")):
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype.newbyteorder("=")
        assert found.flags.writeable


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([0, 2**31]), "below 1,048,576, received 2147483648 at position 1"),
        (np.array([2**62]), "received 4611686018427387904"),
        (np.array([2**63], np.uint64), "received 9223372036854775808"),
        (np.array([-1]), "received -1"),
        (np.array([0.0]), "expected integers"),
        (np.array([[0]]), r"received int64 \[1, 1\]"),
    ],
)
@pytest.mark.parametrize(
    ("read", "names"),
    [
        (READERS["labels"][0], ("train_labels", "test_labels")),
        (read_labels, ("tr_labels", "tt_labels")),
        (load_matrices, ("tr_labels", "tt_labels")),
    ],
    ids=["labels", "published labels", "matrices"],
)
def test_labels_are_numbers_of_classes(read, names, values, message, tmp_path):
    matrix = {"infl_matrix_class0": np.zeros((0, 0)), "tr_classidx_0": NUMBERS[:0]}
    more = matrix if read is load_matrices else {}
    for name in names:
        labels = {other: values if other == name else NUMBERS for other in names}
        np.savez(tmp_path / "a.npz", **labels, **more)
        with pytest.raises(InputError, match=f"a.npz: {name}: .*{message}"):
            read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"class_names": np.array("a")}, r"class_names: expected .*strings \[classes\]"),
        ({"class_names": np.array(["a"])}, r"label 5 has no name \(1 class_names\)"),
        ({"fingerprint": np.zeros(32, np.uint8)}, "expected arrays train_labels, .* 'fingerprint'"),
        ({"dataset_fingerprint": np.zeros(4)}, "dataset_fingerprint: expected integers"),
        ({"clean_train_labels": NUMBERS[:3]}, r"clean_train_labels: expected integers \[6\]"),
        ({"clean_train_labels": NUMBERS - 1}, "clean_train_labels: .*received -1"),
    ],
)
def test_labels_that_are_none_are_refused(more, message):
    file = io.BytesIO()
    np.savez(file, train_labels=NUMBERS, test_labels=NUMBERS, **more)
    with pytest.raises(InputError, match=f"^labels.npz: {message}"):
        Labels.from_npz(file.getvalue(), "labels.npz")
