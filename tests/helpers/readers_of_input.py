"""All readers of users' files, each with small files that it can read."""

import csv
import gzip
import io
import json
import struct

import numpy as np
from PIL import Image

from tests.helpers.mutating import Reader
from tfmem.config import DatasetSettings, from_yaml
from tfmem.datasets import load
from tfmem.exchange.aux_arrays import read_run
from tfmem.exchange.checkpoints import read_labels
from tfmem.exchange.demonstration import load_demonstration
from tfmem.exchange.selection import open_pairs
from tfmem.store.groups import read_groups
from tfmem.subsets.given import read_subsets


def npz(name, **arrays):
    def write(folder):
        np.savez(folder / name, **arrays)
        return [folder / name]

    return write


def lines(**files):
    def write(folder):
        for name, contents in files.items():
            (folder / name.replace("__", ".")).write_text(contents, encoding="utf-8")
        return [folder / name.replace("__", ".") for name in files]

    return write


def write_idx(folder):
    for name, count in (("train", 6), ("t10k", 4)):
        images = struct.pack(">4i", 2051, count, 28, 28) + bytes(784 * count)
        labels = struct.pack(">2i", 2049, count) + bytes(i % 2 for i in range(count))
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return sorted(folder.iterdir())


def write_cifar(folder):
    for name in ("train", "test"):
        (folder / f"{name}.bin").write_bytes(np.arange(2 * 3074, dtype=np.int64).astype("u1") % 20)
    names = {"coarse": 20, "fine": 100}
    for kind, count in names.items():
        (folder / f"{kind}_label_names.txt").write_text("".join(f"{i}\n" for i in range(count)))
    return sorted(folder.iterdir())


def write_pictures(folder):
    draws = np.random.default_rng(0)
    for split in ("train", "test"):
        for number, form in enumerate(("png", "jpeg", "bmp", "gif", "webp", "tif")):
            for name in ("a", "b"):
                (folder / split / name).mkdir(parents=True, exist_ok=True)
                pixels = draws.integers(0, 255, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.{form}")
    return sorted(path for path in folder.rglob("*.*") if path.is_file())


def write_vocabulary(folder):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    return sorted(folder.iterdir())


def write_tokenizer(folder):
    from tokenizers.implementations import BertWordPieceTokenizer

    write_vocabulary(folder)
    BertWordPieceTokenizer(str(folder / "vocab.txt")).save(str(folder / "tokenizer.json"))
    return [folder / "tokenizer.json"]


def read_tokens(folder):
    from tfmem.encoders.tokens import read_tokenizer, tokenize

    tokenize(read_tokenizer(folder), np.array([["a b c"], ["d"]]), 8)


def read_matrices(folder):
    found = open_pairs(folder / "m.npz")
    found.most_influenced(int(found.table["train_index"][0]), 2)


def dataset(name, **more):
    def read(folder):
        return load(DatasetSettings(name=name, data_dir=str(folder), **more)).fingerprint

    return read


def arrays_dataset(folder):
    return load(DatasetSettings(name="npz", data_dir=str(folder / "data.npz"))).fingerprint


def texts(suffix):
    rows = [
        {"sentence": f"a {word} film", "label": "ab"[i % 2]} for i, word in enumerate("xyz" * 3)
    ]
    file = io.StringIO()
    if suffix == "jsonl":
        file.writelines(json.dumps(row) + "\n" for row in rows)
    else:
        separator = "," if suffix == "csv" else "\t"
        writer = csv.DictWriter(file, ["sentence", "label"], delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return lines(**{f"train__{suffix}": file.getvalue(), f"test__{suffix}": file.getvalue()})


LABELS = np.array([0, 0, 1, 1, 2, 0])
ONES = np.ones((6, 4), np.float32)
TREE = "(3 (2 It) (4 (2 is) (3 good)))\n(1 (2 It) (0 (2 is) (1 bad)))\n"
TABLE = "age,fare,port,label\n" + "".join(
    f"{20 + i},{'' if i == 3 else i / 4},{'SCQ'[i % 3]},{'yn'[i % 2]}\n" for i in range(9)
)
CONFIG = """
seed: 3
dataset: {name: digits, classes: [0, 1]}
model: {name: dense, hidden: [8, 4]}
training: {trials: 12, epochs: 2, fraction: 0.7, batch_size: 32, learning_rate: 0.1}
selection: {memorization: 0.25, influence: 0.15}
"""

READERS_OF_INPUT = {
    "npz": Reader(
        npz(
            "data.npz",
            train_features=ONES,
            test_features=ONES,
            train_labels=LABELS,
            test_labels=LABELS,
        ),
        arrays_dataset,
    ),
    "npz_images": Reader(
        npz(
            "data.npz",
            train_images=np.zeros((6, 5, 5, 3), np.uint8),
            test_images=np.zeros((6, 5, 5, 3), np.uint8),
            train_labels=LABELS,
            test_labels=LABELS,
            class_names=np.array(["a", "b", "c"]),
        ),
        arrays_dataset,
    ),
    "published_pairs": Reader(
        npz(
            "p.npz",
            tr_idx=np.arange(6),
            tt_idx=LABELS,
            infl=ONES[:, 0] / 2.0,
            mem=ONES[:, 0] / 2.0,
        ),
        lambda folder: open_pairs(folder / "p.npz", 0.1, 0.1).table,
    ),
    "published_matrices": Reader(
        npz(
            "m.npz",
            tr_labels=LABELS[:4],
            tt_labels=LABELS[:4],
            tr_mem=np.full(4, 0.5),
            **{f"tr_classidx_{k}": np.array([2 * k, 2 * k + 1]) for k in range(2)},
            **{f"tt_classidx_{k}": np.array([2 * k, 2 * k + 1]) for k in range(2)},
            **{f"infl_matrix_class{k}": np.full((2, 2), 0.25) for k in range(2)},
        ),
        read_matrices,
    ),
    "demonstration": Reader(
        npz("d.npz", memorization=ONES[0] / 2, influence=ONES / 4),
        lambda folder: load_demonstration(folder / "d.npz"),
    ),
    "aux_arrays": Reader(
        npz(
            "aux_arrays.npz",
            index_train=np.array([0, 2, 3]),
            index_removed=np.array([1]),
            index_test=np.arange(3),
            subsample_idx=np.array([0, 2, 3]),
            correctness_train=np.ones(3),
            correctness_removed=np.zeros(1),
            correctness_test=np.ones(3),
        ),
        lambda folder: read_run(folder / "aux_arrays.npz"),
    ),
    "published_labels": Reader(
        npz("l.npz", tr_labels=LABELS, tt_labels=LABELS),
        lambda folder: read_labels(folder / "l.npz"),
    ),
    "groups": Reader(
        lines(groups__csv="index,group\n0,a\n1,a\n2,b\n5,c d\n"),
        lambda folder: read_groups(folder / "groups.csv"),
    ),
    "subsets": Reader(
        npz("subsets.npz", masks=np.full((4, 2), 7, np.uint8), num_train=np.int64(11)),
        lambda folder: read_subsets(folder / "subsets.npz"),
    ),
    "yaml": Reader(
        lines(c__yaml=CONFIG),
        lambda folder: from_yaml((folder / "c.yaml").read_text("utf-8", "replace"), (), "c.yaml"),
        lines=21,  # one word for each key
    ),
    "table": Reader(
        lines(train__csv=TABLE, test__csv=TABLE), dataset("table", table={"label": "label"})
    ),
    "csv": Reader(texts("csv"), dataset("text_files")),
    "tsv": Reader(texts("tsv"), dataset("text_files")),
    "jsonl": Reader(texts("jsonl"), dataset("text_files")),
    "trees": Reader(
        lines(train__txt=TREE * 3, test__txt=TREE * 2, dev__txt=TREE), dataset("treebank")
    ),
    "tokenizer": Reader(write_tokenizer, read_tokens),
    "vocabulary": Reader(write_vocabulary, read_tokens),
    "idx": Reader(write_idx, dataset("mnist")),
    "cifar": Reader(write_cifar, dataset("cifar100")),
    "images": Reader(write_pictures, dataset("image_folder")),
}
