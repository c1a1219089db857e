from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import tfmem
from tests.helpers.oracle import example_learner
from tfmem import exchange as published
from tfmem.aggregation.jobs import estimate
from tfmem.config import DatasetSettings, SelectionSettings
from tfmem.datasets import load
from tfmem.exchange import demonstration
from tfmem.exchange.matrices import ClassMatrix
from tfmem.figures import pair_galleries, save_pair_galleries
from tfmem.messages.errors import InputError
from tfmem.store.shards import write_shard

LEARNER = example_learner()  # 3 and 5 training, 2 and 3 test examples of classes 0 and 2


@pytest.fixture(scope="module")
def estimates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    write_shard(folder / "predictions-00000-of-00001.tfrecord", LEARNER.records())
    (folder / "labels.npz").write_bytes(LEARNER.labels.to_npz())
    folders = {kind: str(folder / kind) for kind in ("memorization", "influence", "pairs")}
    shards, labels = str(folder / "*.tfrecord"), str(folder / "labels.npz")
    estimate(shards, labels, folders, SelectionSettings(memorization=0.1, influence=0.05))
    return folder


def same_class():
    labels = LEARNER.labels
    return labels.train_labels[:, None] == labels.test_labels


def arrays(path):
    with np.load(path) as file:
        return dict(file)


def test_pairs_come_back_as_they_were_selected(estimates, tmp_path):
    path = tmp_path / "pairs.npz"
    published.export(estimates, "pairs-npz", path)
    found = arrays(path)
    assert {name: values.dtype.str for name, values in found.items()} == {
        "tr_idx": "<i8", "tt_idx": "<i8", "infl": "<f8", "mem": "<f8"}  # fmt: skip
    np.testing.assert_allclose(LEARNER.influence()[found["tr_idx"], found["tt_idx"]], found["infl"])
    np.testing.assert_allclose(LEARNER.memorization()[found["tr_idx"]], found["mem"])
    table, run = tfmem.load_pairs(path), tfmem.load_run(estimates)
    assert len(table) == len(run.pairs) > 5
    for column in table:
        assert table[column].tolist() == run.pairs[column].tolist()
    assert published.pair_statistics(table) == run.pair_statistics


def test_class_matrices_come_back_with_training_examples_as_rows(estimates, tmp_path):
    path = tmp_path / "matrices.npz"
    published.export(estimates, "matrices-npz", path)
    assert arrays(path)["infl_matrix_class2"].shape == (5, 3)
    with tfmem.load_matrices(path) as matrices:
        assert matrices.labels == [0, 2]
        assert matrices.train_labels.tolist() == LEARNER.labels.train_labels.tolist()
        assert matrices.test_labels.tolist() == LEARNER.labels.test_labels.tolist()
        np.testing.assert_allclose(matrices.memorization, LEARNER.memorization(), atol=1e-7)
        for block in matrices:
            expected = LEARNER.influence()[np.ix_(block.train_index, block.test_index)]
            np.testing.assert_allclose(block.influence, expected, atol=1e-7)
    selected = published.open_pairs(path, memorization=0.1, influence=0.05)
    run = tfmem.load_run(estimates).pairs
    for column in ("train_index", "test_index", "label", "influence"):
        assert selected.table[column].tolist() == run[column].tolist()
    tests, values = selected.most_influenced(3, 2)
    assert tests.tolist()[0] == 3
    assert values[0] == pytest.approx(LEARNER.influence()[3, 3])


def test_the_demonstration_has_test_examples_as_rows_and_nan_across_classes(
    estimates, tmp_path, monkeypatch
):
    monkeypatch.setattr(demonstration, "_PART_BYTES", 64)  # two rows of eight at a time
    path = tmp_path / "infl_mem.npz"
    published.export(estimates, "demo-npz", path)
    found = published.load_demonstration(path)
    assert (found.influence.shape, found.influence.dtype) == ((5, 8), np.float32)
    expected = np.where(same_class(), LEARNER.influence(), np.nan).T
    np.testing.assert_allclose(found.influence, expected, atol=1e-7)
    np.testing.assert_allclose(found.memorization, LEARNER.memorization(), atol=1e-7)


def test_the_released_pairs_have_the_statistics_and_the_images_of_the_paper(shared_data, tmp_path):
    released = "cifar100_high_infl_pairs_infl0.15_mem0.25.npz"
    pairs = tfmem.load_pairs(shared_data / "published" / released)
    assert (pairs["influence"].min() >= 0.15, pairs["memorization"].min() >= 0.25) == (True, True)
    counted = published.pair_statistics(pairs)
    assert (counted.pairs, counted.unique_train, counted.unique_test) == (1015, 964, 888)
    assert counted.influencers == {1: 774, 2: 101, 3: 13}
    folder = str(shared_data / "cifar-100-binary")
    data = load(DatasetSettings(name="cifar100", data_dir=folder))
    assert save_pair_galleries(pairs, data, tmp_path) == 1015  # all within one class
    names = ("pair_gallery", "pair_gallery_several", "pair_gallery_spread")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.{kind}" for name in names for kind in ("pdf", "png")
    ]
    backwards = replace(data, test_labels=data.test_labels[::-1])
    assert save_pair_galleries(pairs.tail(30), backwards, tmp_path) < 5  # each in a hundred
    with pytest.raises(InputError, match="cifar100: expected the test example 9978"):
        save_pair_galleries(pairs, data.keep(np.arange(50_000), np.arange(9_000)), tmp_path)


def test_galleries_show_what_is_influenced_most_and_only_what_is_known():
    pairs = pd.DataFrame(
        {
            "train_index": [4, 2, 4, 0],
            "test_index": [1, 0, 3, 1],
            "influence": [0.9, 0.8, 0.7, 0.6],
            "memorization": [0.44, 0.22, 0.44, 0.11],
        }
    )
    images = np.random.default_rng(0).random((5, 8, 8, 3))
    most = lambda train, count: (np.arange(count), np.linspace(0.99, 0.01, count))  # noqa: E731
    drawn = pair_galleries(pairs, images, images, dict.fromkeys(range(5), "cat"))
    whole = pair_galleries(pairs, images, images, most_influenced=most)
    shown = {name: [t.get_text() for t in f.axes[0].texts] for name, f in drawn.items()}
    values = [text for text in shown["pair_gallery"] if text[-1].isdigit()]
    assert values == [
        "cat, 0.440", "0.900", "0.700", "cat, 0.220", "0.800", "cat, 0.110", "0.600"
    ]  # fmt: skip
    values = [text for text in shown["pair_gallery_several"] if text[-1].isdigit()]
    assert values == ["cat, 0.440", "0.900", "0.700"]
    assert shown["pair_gallery_spread"].count("0.900") == 1
    assert len(whole["pair_gallery"].axes[0].images) == 3 * 5
    assert not pair_galleries(pairs[:0], images, images)["pair_gallery"].axes


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_tables_come_back_to_the_bit(estimates, tmp_path, kind):
    written = published.export(estimates, kind, tmp_path / "tables", influence=True)
    assert [path.name for path in written] == [
        f"{name}.{kind}" for name in ("memorization", "pairs", "influence")
    ]
    read = pd.read_parquet if kind == "parquet" else pd.read_csv
    memorization, pairs, influence = map(read, written)
    run = tfmem.load_run(estimates)
    for found, expected in ((memorization, run.memorization.reset_index()), (pairs, run.pairs)):
        pd.testing.assert_frame_equal(found.astype(expected.dtypes), expected)
    expected = LEARNER.influence()[influence["train_index"], influence["test_index"]]
    np.testing.assert_allclose(influence["influence"], expected, atol=1e-6)
    assert len(influence) == same_class().sum()
    inside = influence["ci_low"] <= influence["influence"]
    assert (inside & (influence["influence"] <= influence["ci_high"])).all()


def test_equal_estimates_are_equal_files_and_a_failure_leaves_none(estimates, tmp_path):
    for name in ("first.npz", "second.npz"):
        published.export(estimates, "matrices-npz", tmp_path / name)
    first, second = ((tmp_path / f"{name}.npz").read_bytes() for name in ("first", "second"))
    assert first == second

    def blocks():
        yield ClassMatrix(0, np.array([0, 1]), np.array([0]), np.zeros((2, 1)))
        raise KeyboardInterrupt

    (folder := tmp_path / "stopped").mkdir()
    with pytest.raises(KeyboardInterrupt):
        published.write_matrices(folder / "m.npz", blocks(), np.zeros(2))
    with pytest.raises(InputError, match="each of 3 training examples in one class"):
        published.write_matrices(folder / "m.npz", list(blocks_of([0, 1])), np.zeros(3))
    assert not list(folder.iterdir())


def blocks_of(train):
    yield ClassMatrix(0, np.array(train), np.array([0]), np.zeros((len(train), 1)))


PAIRS = {
    "tr_idx": np.array([5, 1, 1]),
    "tt_idx": np.array([0, 2, 3]),
    "infl": np.array([0.5, 0.4, 0.3]),
    "mem": np.array([1.0, 0.25, 0.25]),
}
MATRICES = {
    "infl_matrix_class0": np.zeros((2, 3)),
    "tr_classidx_0": np.array([0, 2]),
    "tt_classidx_0": np.array([0, 1, 2]),
    "infl_matrix_class1": np.zeros((1, 1), np.float32),
    "tr_classidx_1": np.array([1]),
    "tt_classidx_1": np.array([3]),
    "tr_labels": np.array([0, 1, 0]),
    "tt_labels": np.array([0, 0, 0, 1]),
    "tr_mem": np.zeros(3),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"infl": None}, "expected an array 'infl', found"),
        ({"mem": np.ones(2)}, r"mem: expected floats \[3\], received float64 \[2\]"),
        ({"tr_idx": np.array([0, 1, "x"], object)}, "tr_idx: an array of Python objects"),
        ({"tt_idx": np.array([0.0, 1.0, 2.0])}, r"tt_idx: expected integers \[3\], received float"),
        ({"tt_idx": np.array([0, -1, 2])}, "tt_idx: expected indices from 0, received -1"),
        ({"infl": np.array([0.5, 15.0, 0.3])}, "infl: expected values from -1 to 1"),
        ({"tt_idx": np.array([0, 2, 2])}, "training example 1 and test example 2 is there more"),
    ],
)
def test_pairs_that_are_wrong_are_refused_by_name(tmp_path, changes, message):
    path = save(tmp_path / "pairs.npz", {**PAIRS, **changes})
    with pytest.raises(InputError, match=message):
        published.load_pairs(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"infl_matrix_class0": np.zeros((3, 2))}, r"class0: expected floats \[2, 3\].*\[3, 2\]"),
        ({"tt_classidx_1": None}, "expected an array 'tt_classidx_1'"),
        ({"tr_classidx_0": np.array([0, 3])}, "indices from 0 to 2, received 3 at position 1"),
        ({"tr_classidx_0": np.array([2, 2])}, "index 2 is there more than once"),
        ({"tr_classidx_0": np.array([0, 1])}, "tr_classidx_0: example 1 has label 1"),
        ({"tr_mem": np.zeros(4)}, r"tr_mem: expected floats \[3\]"),
        ({"infl_matrix_class0": np.full((2, 3), np.inf)}, "received inf at position 0, 0"),
    ],
)
def test_matrices_that_are_wrong_are_refused_by_name(tmp_path, changes, message):
    path = save(tmp_path / "matrices.npz", {**MATRICES, **changes})
    with pytest.raises(InputError, match=message):
        list(published.load_matrices(path))


def save(path, contents):
    np.savez(path, **{name: values for name, values in contents.items() if values is not None})
    return path


def test_matrices_without_labels_are_read_but_not_selected_from(tmp_path):
    contents = {name: values for name, values in MATRICES.items() if "class" in name}
    matrices = tfmem.load_matrices(save(tmp_path / "imagenet.npz", contents))
    assert matrices[0].influence.shape == (2, 3)
    with pytest.raises(InputError, match="has no 'tr_mem'"):
        matrices.pairs(0.25, 0.15)


def test_a_damaged_file_is_refused_or_reads_as_it_was(tmp_path):
    whole = save(tmp_path / "pairs.npz", PAIRS).read_bytes()
    expected, path = published.load_pairs(tmp_path / "pairs.npz"), tmp_path / "bad.npz"
    rng, refusals = np.random.default_rng(0), []
    for _ in range(400):
        damaged = bytearray(whole)
        if rng.random() < 0.2:
            damaged = damaged[: rng.integers(len(whole))]
        else:
            damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            pd.testing.assert_frame_equal(published.load_pairs(path), expected)
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) > 250
    assert all(str(path) in message for message in refusals)
    with pytest.raises(InputError, match="no such file"):
        published.load_pairs(tmp_path / "absent.npz")
