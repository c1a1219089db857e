"""All readers of files that tfmem writes, each with small files that it can read."""

import functools
import io
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tests.helpers.mutating import Reader
from tests.helpers.oracle import example_learner
from tests.helpers.readers_of_input import CONFIG, LABELS, lines, npz
from tfmem.aggregation.jobs import estimate
from tfmem.aggregation.reading import read_trials
from tfmem.config import SelectionSettings
from tfmem.experiments.outcome import Outcome, load_outcome
from tfmem.experiments.retraining import representation_accuracy
from tfmem.experiments.run import load_run
from tfmem.influence_functions.attribution.integral import Attribution, Parts
from tfmem.influence_functions.attribution.records import read_attributions, write_attributions
from tfmem.influence_functions.records import write_scores
from tfmem.influence_functions.scores import Scores
from tfmem.selection.rules import read_rule
from tfmem.store.claims import Claims, Worker
from tfmem.store.folders import open_folder
from tfmem.store.journal import Journal, TrialNote
from tfmem.store.labels import Labels
from tfmem.store.manifests import MANIFEST_NAME, Publishing, State
from tfmem.store.outputs import current_place
from tfmem.store.results import estimator_of, read_identity, read_self_influence
from tfmem.store.sets import read_manifest
from tfmem.store.shards import read_shard, write_shard
from tfmem.training.checkpoints import Checkpoint

KINDS = "memorization", "influence", "pairs"
SHARD = "predictions/predictions-00000-of-00001.tfrecord"


@functools.cache
def estimated():
    """The files of a small run, by their names."""
    with tempfile.TemporaryDirectory() as name:
        folder, learner = Path(name), example_learner()
        (folder / "predictions").mkdir()
        write_shard(folder / SHARD, learner.records())
        (folder / "predictions/labels.npz").write_bytes(learner.labels.to_npz())
        folders = {kind: str(folder / kind) for kind in KINDS}
        selection = SelectionSettings(memorization=0.1, influence=0.05)
        labels = str(folder / "predictions/labels.npz")
        estimate(str(folder / SHARD), labels, folders, selection)
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def run_folder(*damaged, manifests=True):
    """Writes a run; returns the files in some of its folders, which are to be damaged."""

    def write(folder):
        for name, contents in estimated().items():
            if manifests or not name.endswith(MANIFEST_NAME):
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(contents)
        return sorted(path for kind in damaged for path in (folder / kind).iterdir())

    return write


def write_manifests(folder):
    """Writes a run whose memorization is still being moved to its place."""
    run_folder()(folder)
    made = read_manifest(folder / "memorization")
    state = State(made, Publishing("a1", ".work", ".", ("../influence",), made))
    (folder / "memorization" / MANIFEST_NAME).write_bytes(state.to_bytes())
    return [folder / kind / MANIFEST_NAME for kind in KINDS]


def read_estimates(folder):
    """Reads all estimates of a run."""
    run = load_run(folder)
    table, count = run.memorization, len(run.labels.train_labels)
    wrong = []
    if sorted(table.index) != [*range(count)]:
        wrong.append("indices")
    for name in ("memorization", "accuracy_in", "accuracy_out"):
        values = table[name].to_numpy()
        if not (np.isnan(values) | (np.abs(values) <= 1)).all():
            wrong.append(name)
    if (table[["n_in", "n_out"]] < 0).any(axis=None):
        wrong.append("counts")
    if not table["label"].between(0, len(run.labels.class_names) - 1).all():
        wrong.append("labels")
    for block in run.influence.values():
        _ = block.errors, block.test_accuracy
        if not (np.isnan(block.influence) | (np.abs(block.influence) <= 1)).all():
            wrong.append("influence")
        for index, limit in ((block.train_index, count), (block.test_index, 5)):
            if len(set(index.tolist())) != len(index) or not ((index >= 0) & (index < limit)).all():
                wrong.append("indices of influence")
    pairs = run.pairs
    if not (pairs["train_index"].between(0, count - 1) & pairs["test_index"].between(0, 4)).all():
        wrong.append("indices of pairs")
    if pairs.duplicated(["train_index", "test_index"]).any():
        wrong.append("pairs twice")
    _ = run.selection, run.pair_statistics, run.most_influenced(0, 3), run.statistic
    assert not wrong, wrong


def read_predictions(folder):
    """Reads predictions as the farm does, and as an estimation does."""
    path = folder / "predictions/labels.npz"
    labels = Labels.from_npz(path.read_bytes(), str(path))
    found = list(read_shard(folder / SHARD))
    for record, _ in read_trials(str(folder / SHARD), labels, str(path)):
        assert record in found
        assert len(record.subset_mask) == -(-len(labels.train_labels) // 8)


def write_self_influence(folder):
    numbers = np.linspace(0.1, 0.9, 6)
    name, words = "fast", "Gauss-Newton"
    scores = Scores(numbers, numbers, numbers, numbers > 0, np.arange(6), 6, name, words, 0.01)
    objective = SimpleNamespace(num_parameters=9, decay=numbers, curvature_examples=LABELS)
    more = {"seconds": 1.5, "cpu_seconds": 2.5, "test_accuracy": 0.75, "trial_id": 0}
    write_scores(scores, LABELS, SimpleNamespace(objective=objective), folder, more)
    return sorted(folder.iterdir())


def read_of_one_model(folder):
    """Reads self-influence, and the sentence about its estimator."""
    found = read_self_influence(folder)
    assert not found.index.duplicated().any()
    _ = estimator_of(folder), read_identity(folder)


def write_words_and_patches(folder):
    def attribute(examples):
        text = Parts((3,), None, 0, ("a", "bad", "film"), (0, 0, 1))
        for index, parts in zip(examples, (text, Parts((2, 2), None, 0)), strict=True):
            scores = np.arange(np.prod(parts.shape), dtype=float)
            yield Attribution(int(index), parts, scores, 0.1, scores.sum(), 0.01, 50)

    write_attributions(attribute, np.array([4, 2]), {"steps": 50}, folder, lambda _: None)
    return sorted(folder.glob("*.tfrecord"))


def read_words_and_patches(folder):
    """Reads attributions as a page needs them: words with their sentences, or a grid."""
    found = read_attributions(folder)
    assert not found.index.duplicated().any()
    for row in found.itertuples():
        if row.words:
            assert len(row.words) == len(row.sentences) == len(row.scores)
            assert set(row.sentences.tolist()) <= {0, 1}
            "".join(row.words).encode()
        else:
            assert row.scores.ndim == 2


def write_checkpoint(folder):
    file = io.BytesIO()
    digest, values = np.full(32, 7, np.uint8), np.ones((2, 3), np.float32)
    np.savez(file, epoch=3, losses=np.ones(2, np.float32), digest=digest, v0=values)
    (folder / "0-2.npz").write_bytes(file.getvalue())
    return [folder / "0-2.npz"]


def read_checkpoint(folder):
    """Reads a checkpoint, which is accepted as a whole or not at all."""
    import tensorflow as tf

    variable = tf.Variable(np.zeros((2, 3), np.float32))
    checkpoint = Checkpoint(open_folder(folder), "0-2.npz", bytes([7] * 32), 1.0)
    epoch, losses = checkpoint.load([variable])
    if losses is None:
        assert epoch == 0
        assert not variable.numpy().any()


def write_journal(folder):
    note = TrialNote(0, 3, "0/1", 1.5, 1.0, 0.75, 0.125, 0)
    Journal(open_folder(folder)).write(0, [note], 99)
    return sorted(folder.iterdir())


def write_claim(folder):
    (folder / "00007").write_text("1/2 host 0123456789ab-123-0123456789abcdef")
    return [folder / "00007"]


def write_outcome(folder):
    import pandas as pd

    table = pd.DataFrame({"share": [0.1, 0.2], "accuracy": [0.75, 0.5]})
    Outcome(("Accuracy falls by 0.25.",), table, "What is lost?").save(folder)
    return sorted(folder.iterdir())


def write_places(folder):
    (folder / ".finished-a").mkdir()
    (folder / ".finished-a/outcome").mkdir()
    places = folder / ".finished-a/places.json"
    places.write_text(json.dumps({"outcome": "removal", "pairs": "pairs"}))
    return [places]


def config_of(folder):
    run = load_run(folder)
    return run.config


RULE = {"selection": SelectionSettings().model_dump(mode="json"), "self_influence": {}}

READERS_OF_RUNS = {
    "predictions": Reader(run_folder("predictions"), read_predictions),
    "labels": Reader(
        npz(
            "labels.npz",
            train_labels=LABELS,
            test_labels=LABELS,
            class_names=np.array(["a", "b", "c"]),
            dataset_fingerprint=np.zeros(32, np.uint8),
        ),
        lambda folder: Labels.from_npz((folder / "labels.npz").read_bytes(), "labels.npz"),
    ),
    **{kind: Reader(run_folder(kind, manifests=False), read_estimates) for kind in KINDS},
    "sets": Reader(run_folder(*KINDS), read_estimates),
    "manifests": Reader(write_manifests, read_estimates),
    "run_settings": Reader(lines(config__yaml=CONFIG), config_of, lines=21),
    "self_influence": Reader(write_self_influence, read_of_one_model),
    "rule": Reader(lines(selection__json=json.dumps(RULE)), read_rule),
    "attribution": Reader(write_words_and_patches, read_words_and_patches),
    "outcome": Reader(write_outcome, load_outcome),
    "representation": Reader(
        npz("features.npz", test_correct=np.array([True, False])),
        lambda folder: representation_accuracy(folder / "last-layer"),
    ),
    "places": Reader(write_places, lambda folder: current_place(folder, "removal"), refuses=False),
    "checkpoint": Reader(write_checkpoint, read_checkpoint, refuses=False),
    "journal": Reader(
        write_journal, lambda folder: Journal(open_folder(folder)).read(0), refuses=False
    ),
    "claim": Reader(
        write_claim,
        lambda folder: Claims(open_folder(folder), Worker()).holder("00007"),
        refuses=False,
    ),
}
