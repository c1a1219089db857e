"""Attributions that other tools wrote are read in every form, or refused with one error."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.commands import tfmem_command
from tests.helpers.runs import random_run, write_run
from tfmem.exchange.score_files import Attributions, open_scores
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.confidence import to_bytes

SHAPE = (40, 25)
SCORES = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def _zarr(path, values):
    zarr = pytest.importorskip("zarr")
    zarr.save(str(path), values)


def _grouped(path, values):
    zarr = pytest.importorskip("zarr")
    zarr.save(str(path), scores=values, other=np.zeros(3))


def _safetensors(path, values):
    save = pytest.importorskip("safetensors.numpy").save_file
    save({"scores": np.ascontiguousarray(values)}, path)


def _table(path, values):
    train, test = np.meshgrid(*map(np.arange, values.shape), indexing="ij")
    columns = {"train_index": train.ravel(), "test_index": test.ravel(), "score": values.ravel()}
    pd.DataFrame(columns).sample(frac=1, random_state=0).to_parquet(path)


WRITERS = {
    "a.npy": np.save,
    "fortran.npy": lambda path, values: np.save(path, np.asfortranarray(values)),
    "a.npz": lambda path, values: np.savez(path, scores=values),
    "a.parquet": _table,
    "a.zarr": _zarr,
    "group.zarr": _grouped,
    "a.safetensors": _safetensors,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_form_gives_the_same_numbers(tmp_path, name):
    path, chosen = tmp_path / name, "scores" if name.startswith("group") else None
    WRITERS[name](path, SCORES)
    found = open_scores(path, SHAPE, name=chosen)
    parts = [found.columns(slice(start, start + 10)) for start in (0, 10, 20)]
    assert np.array_equal(np.concatenate(parts, axis=1), SCORES)
    if not name.endswith("parquet"):
        turned = open_scores(path, SHAPE[::-1], name=chosen)
        assert np.array_equal(turned.columns(slice(5, 9)), SCORES[5:9].T)


def test_an_npy_file_is_not_read_as_a_whole(tmp_path):
    np.save(tmp_path / "a.npy", SCORES)
    assert isinstance(open_scores(tmp_path / "a.npy", SHAPE)._array, np.memmap)


def test_pairs_that_are_not_in_a_table_are_zero(tmp_path):
    rows = {
        "train_index": [3, 1],
        "test_index": [24, 2],
        "weight": [1.5, -2.0],
        "influence": [1, 1],
    }
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    values = open_scores(tmp_path / "a.parquet", SHAPE, name="weight").columns(slice(0, 25))
    assert (values[3, 24], values[1, 2], np.abs(values).sum()) == (1.5, -2.0, 3.5)


def test_square_attributions_need_an_order():
    square = np.arange(9.0).reshape(3, 3)
    with pytest.raises(
        InputError, match=r"mine: 3 x 3 .* --order train-test or --order test-train"
    ):
        Attributions(square, (3, 3), "auto", "mine")
    turned = Attributions(square, (3, 3), "test-train", "mine")
    assert np.array_equal(turned.columns(slice(1, 2))[:, 0], square[1])


def _pickled(path):
    np.save(path, np.array([[{}]]), allow_pickle=True)


def _twice(path):
    pd.DataFrame({"train_index": [1, 1], "test_index": [2, 2], "score": [0.5, 0]}).to_parquet(path)


def _beyond(path):
    pd.DataFrame({"train_index": [40], "test_index": [2], "score": [0.5]}).to_parquet(path)


def _unnamed(path):
    pd.DataFrame({"train_index": [4], "test_index": [2], "value": [0.5]}).to_parquet(path)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.npy", lambda path: np.save(path, SCORES[:, 1:]), r"expected attributions \[40, 25\] or "
         r"\[25, 40\] of 40 training and 25 test examples, received \[40, 24\]"),
        ("a.npy", lambda path: path.write_bytes(b"\x93NUMPY"), "cannot be read"),
        ("a.npy", _pickled, "Python objects, which is never unpickled"),
        ("a.npz", lambda path: np.savez(path, a=SCORES, b=SCORES),
         r"several arrays \(a, b\).*--name"),
        ("a.parquet", lambda path: path.write_bytes(b"PAR1"), "not a readable Parquet file"),
        ("a.parquet", _twice, "a pair of a training and a test example is there twice"),
        ("a.parquet", _beyond, "train_index: row 0: expected an index from 0 to 39, received 40"),
        ("a.parquet", _unnamed, "expected a column influence or weight or score or attribution"),
        ("a.safetensors", lambda path: path.write_bytes(b"\xff" * 64), "cannot be read"),
        ("a.zarr", lambda path: path.mkdir(), "cannot be read"),
        ("a.pt", lambda path: path.write_bytes(b""),
         r"expected a file of attributions \(.npy, .*'.pt'"),
        ("none.npy", lambda path: None, "no such file"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_refused_in_one_line(tmp_path, name, write, words):
    if name.endswith("zarr"):
        pytest.importorskip("zarr")
    write(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}.*{words}") as refused:
        open_scores(tmp_path / name, SHAPE)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", ["filters", "compressor"])
def test_chunks_of_zarr_are_never_unpickled(tmp_path, place):
    zarr = pytest.importorskip("zarr")
    path, ran = tmp_path / "a.zarr", tmp_path / "ran"
    made = {"shape": SHAPE, "chunks": SHAPE, "dtype": "f4", "zarr_format": 2, "compressors": None}
    zarr.create_array(str(path), **made)[:] = SCORES
    about = json.loads((path / ".zarray").read_text())
    codec = {"id": "pickle", "protocol": 5}
    about[place] = [codec] if place == "filters" else codec
    (path / ".zarray").write_text(json.dumps(about))
    (path / "0.0").write_bytes(b"cbuiltins\nopen\n(V%s\nVw\ntR." % str(ran).encode())
    with pytest.raises(InputError, match=r"a\.zarr: cannot be read"):
        open_scores(path, SHAPE).columns(slice(0, 25))
    assert not ran.exists()


def with_margins(records):
    """Records whose margins are exactly the sum of SCORES over the subset."""
    for record in records:
        mask = unpack(record.subset_mask, 40)
        margins = np.round(SCORES * 8) / 8
        yield replace(
            record, train_margin=to_bytes(np.zeros(40)), test_margin=to_bytes(mask @ margins)
        )


def test_the_command_judges_files_and_writes_tables(tmp_path):
    records, labels = random_run(60)
    write_run(tmp_path, list(with_margins(records)), labels, shards=3)
    truth = tmp_path / "truth.npy"
    np.save(truth, (np.round(SCORES * 8) / 8).T)
    names = "influence", "datamodel", "sparse-datamodel"
    said = tfmem_command("lds", *names, "--run", tmp_path)
    assert all(name in said.stdout for name in names)
    assert "12 models on 12 subsets, for 25 of 25 test examples" in said.stdout
    said = tfmem_command("lds", truth, "--run", tmp_path)
    assert "60 models on 60 subsets" in said.stdout
    table = pd.read_csv(tmp_path / "lds" / "tests.csv")
    assert (table["lds"] > 0.999).all()  # margins are rounded to 16 bits
    assert pd.read_csv(tmp_path / "lds" / "scores.csv")["judging_subsets"].tolist() == [60]
    np.save(truth, SCORES[:30])
    refused = tfmem_command("lds", truth, "--run", tmp_path, code=1)
    assert "expected attributions [40, 25] or [25, 40]" in refused.stderr


def test_a_run_without_margins_says_how_to_get_them(tmp_path):
    records, labels = random_run(8)
    write_run(tmp_path, records, labels)
    said = tfmem_command("lds", "influence", "--run", tmp_path, code=1)
    assert said.stderr.count("\n") == 1
    assert "training.probabilities" in said.stderr
    assert "--statistic correctness" in said.stderr
    tfmem_command(
        "lds", "influence", "--run", tmp_path, "--statistic", "correctness", "--holdout", 0.5
    )


def test_exported_subsets_let_others_judge(tmp_path):
    """The score from the exported file, as dattri computes it, is that of `tfmem lds`."""
    from scipy.stats import spearmanr

    records, labels = random_run(60)
    write_run(tmp_path, list(with_margins(records)), labels)
    tfmem_command("export", tmp_path, "--format", "lds", "--file", tmp_path / "lds.npz")
    noisy = SCORES + np.random.default_rng(1).normal(size=SHAPE)
    np.save(tmp_path / "noisy.npy", noisy)
    tfmem_command("lds", tmp_path / "noisy.npy", "--run", tmp_path)
    expected = pd.read_csv(tmp_path / "lds" / "tests.csv")["lds"]
    with np.load(tmp_path / "lds.npz") as file:
        sums = np.stack([noisy[mask > 0].sum(axis=0) for mask in file["masks"]])
        found = [spearmanr(sums[:, j], file["outputs"][:, j])[0] for j in range(25)]
        assert len(set(file["subset_sha256"])) == 60
        assert file["held_out"].sum() == 12
    assert found == pytest.approx(expected, abs=1e-5)
