"""All readers of what is kept of a user's own models, with small files that they can read."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.helpers.mutating import Reader
from tests.helpers.oracle import example_learner
from tests.helpers.readers_of_runs import KINDS, SHARD
from tfmem.aggregation.jobs import estimate
from tfmem.aggregation.reading import read_trials
from tfmem.aggregation.values import measure_of, values_of
from tfmem.config import SelectionSettings
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.saved import load_saved, save_dataset
from tfmem.datasets.structured import StructuredDataset
from tfmem.experiments.run import load_run
from tfmem.store.labels import WITHOUT_CLASSES, Labels
from tfmem.store.scores import scores_to_bytes
from tfmem.store.shards import write_shard

ZEROS = np.zeros(6, np.int64)
IDS = np.array([f"example {number}" for number in range(6)])
TARGETS = np.linspace(-1, 1, 12).reshape(6, 2)
GIVEN = {"train_ids": IDS, "test_ids": IDS, "train_targets": TARGETS, "test_targets": TARGETS}


def write_dataset(folder):
    labels = np.array([0, 0, 1, 1, 2, 0])
    images = np.arange(6 * 12, dtype=np.uint8).reshape(6, 2, 2, 3)
    found = Dataset(
        "x", images, labels, images, labels, ("a", "b", "c"), clean_train_labels=labels,
        notes=("A note.",), train_ids=IDS, test_ids=IDS,
    )  # fmt: skip
    save_dataset(found, folder)
    return sorted(path for path in folder.iterdir() if path.is_file())


def write_named_inputs(folder):
    inputs = {"age": np.linspace(0, 1, 6), "port": np.array(list("abcabc"))}
    found = StructuredDataset(
        "x", inputs, ZEROS, inputs, ZEROS, WITHOUT_CLASSES, has_classes=False, **GIVEN
    )
    save_dataset(found, folder)
    return sorted(path for path in folder.iterdir() if path.is_file())


def read_dataset(folder):
    """Reads a data set, whose arrays must be of as many examples as its labels."""
    found = load_saved(folder)
    for split in ("train", "test"):
        labels = getattr(found, f"{split}_labels")
        assert labels.ndim == 1
        assert labels.dtype == np.int64
        assert set(labels.tolist()) <= {*range(len(found.class_names))}
        for name in ("ids", "targets"):
            values = getattr(found, f"{split}_{name}")
            assert values is None or len(values) == len(labels)
        inputs = getattr(found, f"{split}_inputs", None) or {"": getattr(found, f"{split}_images")}
        assert {len(values) for values in inputs.values()} == {len(labels)}
    assert all(isinstance(text, str) for text in (*found.notes, *found.class_names))


def write_labels(folder):
    labels = Labels(ZEROS, ZEROS, WITHOUT_CLASSES, bytes(32), has_classes=False, **GIVEN)
    (folder / "labels.npz").write_bytes(labels.to_npz())
    return [folder / "labels.npz"]


def read_labels(folder):
    found = Labels.from_npz((folder / "labels.npz").read_bytes(), "labels.npz")
    for split in ("train", "test"):
        for name in ("ids", "targets"):
            values = getattr(found, f"{split}_{name}")
            assert values is None or len(values) == len(getattr(found, f"{split}_labels"))


@functools.cache
def estimated():
    """The files of a small run whose models have scores, by their names."""
    rng, learner = np.random.default_rng(0), example_learner()
    records = [
        replace(
            one, train_correct=b"", test_correct=b"", score=b"negative error",
            train_score=scores_to_bytes(rng.normal(size=one.num_train)),
            test_score=scores_to_bytes(rng.normal(size=one.num_test)),
        )
        for one in learner.records()
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "predictions").mkdir()
        write_shard(folder / SHARD, records)
        labels = folder / "predictions/labels.npz"
        labels.write_bytes(learner.labels.to_npz())
        folders = {kind: str(folder / kind) for kind in KINDS}
        estimate(str(folder / SHARD), str(labels), folders, SelectionSettings(fdr=0.9))
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def run_of_scores(*damaged):
    """Writes a run; returns the records in some of its folders, which are to be damaged."""

    def write(folder):
        for name, contents in estimated().items():
            if not name.endswith(".json"):
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(contents)
        return sorted(path for kind in damaged for path in (folder / kind).glob("*.tfrecord*"))

    return write


def read_scores(folder):
    """Reads scores as an estimation does, which are all finite."""
    labels_path = folder / "predictions/labels.npz"
    labels = Labels.from_npz(labels_path.read_bytes(), str(labels_path))
    measure = measure_of([str(folder / SHARD)], None)
    for record, source in read_trials(str(folder / SHARD), labels, str(labels_path)):
        if measure.statistic == "score" and not record.diverged:
            for split, count in (("train", 8), ("test", 5)):
                values = values_of(record, source, split, measure)
                assert values.shape == (count,)
                assert np.isfinite(values).all()


def read_estimates(folder):
    """Reads all estimates of scores."""
    run = load_run(folder)
    assert sorted(run.memorization.index) == [*range(8)]
    for block in run.influence.values():
        _ = block.errors, block.test_accuracy
    pairs = run.pairs
    assert pairs["train_index"].between(0, 7).all()
    assert pairs["test_index"].between(0, 4).all()
    _ = run.selection, run.pair_statistics, run.statistic


READERS_OF_OWN_MODELS = {
    "saved_dataset": Reader(write_dataset, read_dataset),
    "saved_inputs": Reader(write_named_inputs, read_dataset),
    "labels_of_targets": Reader(write_labels, read_labels),
    "scores": Reader(run_of_scores("predictions"), read_scores),
    "estimates_of_scores": Reader(run_of_scores(*KINDS), read_estimates),
}
