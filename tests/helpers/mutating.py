"""Damages files as an accident or an attacker would, and corrects their checksums."""

import gzip
import io
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.records import decode_example, encode_example, read_records, write_records

NUMBERS = (0, 1, -1, 5, 2**20, 2**31, 2**31 - 1, 2**48, 2**62, 2**63 - 1, -(2**63))
WORDS = (
    "nan", "inf", "-inf", "1e999", "-1", "1.5", "null", "true", "9" * 5000, "[" * 3000, "(" * 5000,
    "{" * 2000, "2026-13-45", '"\\ud800"', '"\\UFFFFFFFF"', "&a [*a, *a]", "!!int abc", "!!bool x",
    "[]", "{}", "[" * 100_000, '{"a":' * 9000, '"../x"', '""', "\x00", "\u202e",
    "=1+1", "[/b]", "$\\x$", "", " ", "\ufeff", "\r",
)  # fmt: skip
HEADERS = (
    (("descr", "|O"), ("shape", (3,))),
    (("shape", (10**30,)),),
    (("shape", (2**62,)),),
    (("shape", (2**31, 2**31)),),
    (("shape", (-3,)),),
    (("shape", ()),),
    (("descr", "<U1000000"),),
    (("descr", ">u8"),),
    (("descr", "<c16"),),
    (("fortran_order", True),),
    (("descr", "<M8[s]"),),
)
BINARY = (".png", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".bin")
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    Attributes:
      write: given an empty folder, writes what is read, and returns the files to damage.
      read: given the folder, reads it whole; what it accepts must make sense.
      refuses: whether it raises an error for some damaged files; not what only saves time, where a
        damaged file is as good as none.
      lines: that an error may have.
    """

    write: Callable[[Path], list[Path]]
    read: Callable[[Path], object]
    refuses: bool = True
    lines: int = 1


def damaged(rng, path):
    """The contents of a file with one thing wrong; what that is follows from its kind.

    Args:
      rng: a `random.Random`.
      path: the file, as it should be.
    """
    contents = path.read_bytes()
    by_suffix = {
        ".npz": (member, member, header, archive),
        ".tfrecord": (record, record, features, features, features),
        ".gz": (unpacked, unpacked),
        **dict.fromkeys(BINARY, ()),
    }
    ways = by_suffix.get(path.suffix, (text, text, text))
    return rng.choice((flip, flip, cut, splice, *ways))(rng, contents)


def flip(rng, contents):
    """Flips some bits."""
    found = bytearray(contents or b"\0")
    for _ in range(rng.choice((1, 1, 2, 20))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def cut(rng, contents):
    """Cuts the end off."""
    return contents[: rng.randrange(len(contents) + 1)]


def splice(rng, contents):
    """Replaces, removes or repeats a part."""
    begin, end = sorted(rng.randrange(len(contents) + 1) for _ in range(2))
    middle = rng.choice(
        (b"", bytes(end - begin), rng.randbytes(min(end - begin, 64)), contents[begin:end] * 2)
    )
    return contents[:begin] + middle + contents[end:]


def unpacked(rng, contents):
    """Damages the contents of a gzip file, and corrects its checksum."""
    return gzip.compress(rng.choice((flip, cut, splice))(rng, gzip.decompress(contents)))


def text(rng, contents):
    """Replaces a word, a number, a quoted string or a line."""
    found = contents.decode("utf-8", "replace")
    lines = found.splitlines(keepends=True) or [""]
    what = rng.randrange(4)
    if what == 0:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    elif what == 1:
        del lines[rng.randrange(len(lines))]
    else:
        places = list(re.finditer(r'"[^"\n]*"|[\w.+-]+', found)) or [re.match("", found)]
        place = rng.choice(places)
        word = rng.choice((*WORDS, *map(str, NUMBERS)))
        lines = [found[: place.start()], word, found[place.end() :]]
    return "".join(lines).encode("utf-8", "surrogatepass")


def member(rng, contents):
    """Damages, removes or pickles an array of an npz file, and corrects the checksums."""
    names, arrays = _members(contents)
    name = rng.choice(names)
    what = rng.randrange(7)
    if what == 0:
        del arrays[name]
    elif what == 1:
        arrays[name] = b"\x80\x04" + rng.randbytes(20)
    elif what == 2:
        arrays[name] = rng.choice((flip, cut, splice))(rng, arrays[name])
    elif what == 3:
        arrays[rng.choice(("x.npy", "../x.npy", name.removesuffix(".npy")))] = arrays.pop(name)
    else:
        arrays[name] = _numbers_in(rng, arrays[name])
    return _zipped(rng, arrays)


def header(rng, contents):
    """Makes the header of an array claim a shape or type that the array does not have."""
    names, arrays = _members(contents)
    name = rng.choice(names)
    array = np.lib.format.read_array(io.BytesIO(arrays[name]))
    described = np.lib.format.header_data_from_array_1_0(array)
    described.update(rng.choice(HEADERS))
    file = io.BytesIO()
    what = rng.randrange(4)
    if what == 0:
        line = rng.choice(("{", "-" * 5000, "(" * 9000, "{'descr': '<i8'}", "1" * 6000))
        file.write(b"\x93NUMPY\x01\0" + struct.pack("<H", len(line)) + line.encode())
    else:
        text = repr(described).encode() + b"\n"
        file.write(b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text)
    file.write(array.tobytes())
    arrays[name] = file.getvalue()
    return _zipped(rng, arrays)


def archive(rng, contents):
    """Changes the archive around the arrays: encryption, forged sizes, repeated members, a bomb."""
    _, arrays = _members(contents)
    found = bytearray(_zipped(rng, arrays))
    what = rng.randrange(4)
    central = found.rfind(b"PK\x01\x02")
    if what == 0:
        found[central + 8] |= 1
        found[6] |= 1
    elif what == 1:
        struct.pack_into("<I", found, central + 24, rng.choice((0, 2**31, 2**32 - 2)))
    elif what == 2:
        file = io.BytesIO(bytes(found))
        with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as again:
            warnings.simplefilter("ignore")
            again.writestr(rng.choice(list(arrays)), rng.choice(list(arrays.values())))
        return file.getvalue()
    else:
        name = rng.choice(list(arrays))
        array = np.lib.format.read_array(io.BytesIO(arrays[name]))
        file = io.BytesIO()
        shape = (2**21, *array.shape[1:])
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|i1", "fortran_order": False, "shape": shape}
        )
        arrays[name] = file.getvalue() + bytes(2**21)
        return _zipped(rng, arrays)
    return bytes(found)


def record(rng, contents):
    """Removes, repeats, moves or replaces a record, in frames with correct checksums."""
    payloads = _payloads(contents)
    place = rng.randrange(len(payloads))
    what = rng.randrange(5)
    if what == 0:
        del payloads[place]
    elif what == 1:
        payloads.insert(rng.randrange(len(payloads)), payloads[place])
    elif what == 2:
        payloads[place] = rng.choice((flip, cut, splice))(rng, payloads[place])
    elif what == 3:
        payloads[place] = b"\xff" + rng.randbytes(rng.randrange(80))
    else:
        rng.shuffle(payloads)
    return _framed(payloads)


def features(rng, contents):
    """Removes a feature of a record, or changes its kind, its length or its numbers."""
    payloads = _payloads(contents)
    place = rng.randrange(len(payloads))
    found = decode_example(payloads[place], "record")
    name = rng.choice(list(found))
    value = found[name]
    what = rng.randrange(7)
    if what == 0:
        del found[name]
    elif what == 6:
        others = "probability", "estimator", "words", "sentences", "log10_p_value"
        found[rng.choice(others)] = rng.choice((0.5, 3, rng.randbytes(3), [b"a", b"b"]))
    elif what == 1:
        found[name] = rng.choice((np.zeros(0, int), np.zeros(2, int), np.zeros(1), b"", b"abc"))
    elif isinstance(value, np.ndarray) and value.size:
        changed = value.copy()
        kind = np.iinfo(value.dtype) if value.dtype.kind in "iu" else None
        number = (
            rng.choice((*NUMBERS, 3)) if kind else rng.choice((5.0, -3.0, np.nan, np.inf, 1e38))
        )
        changed[rng.randrange(len(value))] = number
        found[name] = changed
    else:
        found[name] = rng.choice((flip, cut, splice, _other))(rng, bytes(_first(value)))
    payloads[place] = encode_example(found)
    return _framed(payloads)


def _other(rng, contents):
    return rng.randbytes(len(contents))


def _first(value):
    return value[0] if isinstance(value, list | tuple) else value


def _members(contents):
    with zipfile.ZipFile(io.BytesIO(contents)) as file:
        arrays = {name: file.read(name) for name in file.namelist()}
    return list(arrays), arrays


def _zipped(rng, arrays):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", rng.choice(COMPRESSIONS)) as made:
        for name, payload in arrays.items():
            made.writestr(name, payload)
    return file.getvalue()


def _numbers_in(rng, npy):
    array = np.lib.format.read_array(io.BytesIO(npy)).copy()
    flat = array.reshape(-1)
    if not flat.size or array.dtype.kind not in "iufb":
        return rng.choice((flip, cut))(rng, npy)
    place = rng.randrange(flat.size)
    with np.errstate(all="ignore"):
        if array.dtype.kind == "f":
            flat[place] = rng.choice((np.nan, np.inf, -5.0, 1e300, 7.0))
        else:
            flat[place] = np.array(rng.choice(NUMBERS)).astype(array.dtype)
    kinds = (array.dtype, np.uint64, np.float64, np.int8, np.complex64)
    file = io.BytesIO()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format.write_array(file, array.astype(rng.choice(kinds)), allow_pickle=False)
    return file.getvalue()


def _payloads(contents):
    try:
        return [payload for payload, _ in read_records(io.BytesIO(contents), "file")]
    except InputError as error:
        raise AssertionError("the file to damage is damaged") from error


def _framed(payloads):
    file = io.BytesIO()
    write_records(file, payloads)
    return file.getvalue()
