"""Files that claim large sizes are refused before memory is allocated for them."""

import gzip
import json
import struct
import tracemalloc

import numpy as np
import pytest

from tfmem.config import DatasetSettings
from tfmem.datasets import load
from tfmem.datasets.treebank import read_trees
from tfmem.encoders.tokens import read_tokenizer, tokenize
from tfmem.messages.errors import InputError
from tfmem.store import unpacking
from tfmem.store.unpacking import read_gzip


def memory(function):
    """Calls a function; returns the most bytes that it held allocated."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_gzipped_file_unpacks_to_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "FREE", 1 << 20)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(32 << 20)))

    def refused():
        with pytest.raises(InputError, match=r"ubyte\.gz: unpacks to more than 3,\d+,\d+ bytes"):
            read_gzip(path)

    assert memory(refused) < 16 << 20
    for contents in (b"", b"a" * 100_000):
        path.write_bytes(gzip.compress(contents))
        assert read_gzip(path) == contents
        path.write_bytes(gzip.compress(contents) * 2 + bytes(40))  # members, padding
        assert read_gzip(path) == contents * 2
    whole = gzip.compress(b"a" * 99)
    for damaged in (whole[:-1], whole[:12], whole[:-5] + b"x" + whole[-4:], b"no gzip"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"ubyte\.gz: cannot be read: "):
            read_gzip(path)


@pytest.mark.parametrize("dimensions", [0, 4, 200])
def test_an_idx_file_has_few_dimensions(dimensions, tmp_path):
    sizes = struct.pack(f">{dimensions}I", *[1] * dimensions)
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            path = tmp_path / f"{part}-{kind}-ubyte"
            path.write_bytes(b"\0\0\x08" + bytes([dimensions]) + sizes + b"\0")
    with pytest.raises(InputError, match="not an idx file"):
        load(DatasetSettings(name="mnist", data_dir=str(tmp_path)))


def test_a_tree_of_20000_levels_takes_the_memory_of_its_line(tmp_path):
    path = tmp_path / "train.txt"
    levels = 20_000
    path.write_text("(3 (2 a) " * levels + "(2 b)" + ")" * levels)
    trees = []
    assert memory(lambda: trees.extend(read_trees(path))) < 64 << 20
    assert len(trees[0]) == 2 * levels + 1
    assert trees[0][-1].words == ("a",) * levels + ("b",)


def test_all_lines_that_are_no_trees_are_counted(tmp_path):
    path = tmp_path / "train.txt"
    lines = ["(2 (1 a) (3 b))", "(5 a)", "(2 a", "2 a)", "()", "(2 a) (2 b)", "(2 (1 ) b)"]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"line 2 \(and 5 more lines\): expected .* '\(5 a\)'"):
        read_trees(path)


def test_a_label_of_a_billion_makes_two_classes(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text("sentence,label\na,0\nc,1000000000\n")
    settings = DatasetSettings(name="text_files", data_dir=str(tmp_path))
    found = []
    assert memory(lambda: found.append(load(settings))) < 1 << 20
    assert found[0].class_names == ("0", "1000000000")
    for large in (2**31, 2**40, 2**62):
        path, labels = tmp_path / "a.npz", np.array([0, large])
        np.savez(path, x_train=np.eye(2), y_train=labels, x_test=np.eye(2), y_test=labels)
        settings = DatasetSettings(name="npz", data_dir=str(path))
        assert memory(lambda: found.append(load(settings))) < 1 << 20  # noqa: B023
        assert found[-1].class_names == ("0", str(large))


def tokenizer(folder, tokens, **more):
    """A tokenizer of words, in the format of Hugging Face."""
    model = {"type": "WordLevel", "vocab": {t: i for i, t in enumerate(tokens)}, "unk_token": "?"}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": None, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None,
        "decoder": None, "model": model, **more}))  # fmt: skip
    return read_tokenizer(folder)


def test_padding_is_what_the_tokenizer_has_or_is_set_to(tmp_path):
    pytest.importorskip("tokenizers")
    texts = np.array([["a"]], "T")
    assert list(tokenize(tokenizer(tmp_path, ["?", "a", "<pad>"]), texts, 3).ids[0]) == [1, 2, 2]
    padding = {"strategy": {"Fixed": 2}, "direction": "Right", "pad_to_multiple_of": None,
               "pad_id": 0, "pad_type_id": 0, "pad_token": "?"}  # fmt: skip
    found = tokenize(tokenizer(tmp_path, ["?", "a"], padding=padding), texts, 3)
    assert list(found.ids[0]) == [1, 0, 0]
    assert found.counts[0] == 1
    with pytest.raises(InputError, match=r"expected a tokenizer with a token for padding, \[PAD\]"):
        tokenize(tokenizer(tmp_path, ["?", "a"]), texts, 3)


@pytest.mark.parametrize(
    "contents",
    [b"", b"{", b"[" * 5000, b"\xff", b'{"model": 3}', b"3", b'{"model": {"type": "BPE"}}'],
)
def test_damaged_files_of_tokenizers_are_named(contents, tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "tokenizer.json").write_bytes(contents)
    with pytest.raises(InputError, match=f"model.preset: {tmp_path}: ") as error:
        read_tokenizer(tmp_path)
    assert "\n" not in str(error.value)
