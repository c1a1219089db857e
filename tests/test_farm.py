"""The farm: whatever happens to its workers, a run ends with the same predictions."""

import csv
import errno
import os
import re
import resource
import signal
import socket
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.commands import tfmem_command, tfmem_process
from tests.helpers.farms import Counted, path_of, run_farm, shards
from tests.helpers.faults import files_of_at_most
from tests.helpers.oracle import record
from tests.helpers.trials import small
from tfmem import training
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.claims import Claims, Worker
from tfmem.store.folders import Folder, open_folder
from tfmem.store.shards import read_shard, write_shard
from tfmem.subsets import Trial
from tfmem.training import trials
from tfmem.training.directory import open_directory
from tfmem.training.scalars import Scalars
from tfmem.training.watching import TrialWatcher


def test_records_hold_subset_and_predictions(digits, tmp_path):
    config = small()
    summary, _ = run_farm(config, digits, tmp_path)
    assert (summary.trials, summary.trained, summary.accuracy) == (6, 6, 0.5)
    records = [r for s in range(2) for r in read_shard(path_of(tmp_path, s, 2))]
    assert [r.trial_id for r in records] == list(range(6))
    for r in records:
        mask = unpack(r.subset_mask, 300)
        np.testing.assert_array_equal(np.flatnonzero(mask), Trial(r.trial_id, 0).subset(300, 210))
        correct = np.arange(300) % (2 + r.trial_id % 3) == 0
        np.testing.assert_array_equal(unpack(r.train_correct, 300), correct)
        assert (r.dataset_fingerprint, r.config_digest) == (digits.fingerprint, config.digest())
        assert (len(r.train_margin), len(r.test_margin)) == (600, 120)
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [int(row["trial"]) for row in rows] == list(range(6))
    columns = "seed", "worker", "test_accuracy", "diverged"
    assert {tuple(row[c] for c in columns) for row in rows} == {("0", "0/1", "0.5", "0")}


def test_only_missing_shards_are_trained_and_more_trials_can_be_added(digits, tmp_path):
    run_farm(small("training.trials=10"), digits, tmp_path)
    whole = shards(tmp_path)
    path_of(tmp_path, 1, 3).unlink()
    summary, asked = run_farm(small("training.trials=10"), digits, tmp_path)
    assert (asked, summary.trained, shards(tmp_path)) == ([4, 5, 6, 7], 4, whole)

    summary, asked = run_farm(small("training.trials=17"), digits, tmp_path)
    assert (summary.trials, summary.trained) == (17, 7)
    assert asked == list(range(8, 20))  # the stack that was cut short, and what follows
    run_farm(small("training.trials=17"), digits, tmp_path / "new", lanes=3)
    assert shards(tmp_path) == shards(tmp_path / "new")
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 18


def test_a_folder_of_another_run_is_refused(digits, tmp_path):
    run_farm(small(), digits, tmp_path)
    before = shards(tmp_path)
    for override, words in (
        ("training.epochs=5", r"training\.epochs: 4 -> 5"),
        ("seed=1", "seed: 0 -> 1"),
        ("training.augmentation.flip=true", r"training\.augmentation\.flip: False -> True"),
        ("training.trials=5", r"training\.trials: 6 -> 5"),
        ("training.stack_size=2", r"training\.stack_size: 4 -> 2"),
        ("training.trainer=mirrored", r"training\.trainer: 'stacked' -> 'mirrored'"),
        ("training.probabilities=false", r"training\.probabilities: True -> False"),
    ):
        with pytest.raises(InputError, match=words):
            run_farm(small(override), digits, tmp_path)
    other = replace(digits, train_labels=digits.train_labels[::-1])
    with pytest.raises(InputError, match=r"made with other data: expected .* received digits"):
        run_farm(small(), other, tmp_path)
    assert shards(tmp_path) == before


def test_damaged_and_foreign_shards_are_named_and_kept(digits, tmp_path):
    run_farm(small(), digits, tmp_path)
    path = path_of(tmp_path, 0, 2)
    data = path.read_bytes()
    path.write_bytes(data[:-3])
    with pytest.raises(InputError, match=r"predictions-00000-of-00002.tfrecord: record 3: trunc"):
        run_farm(small(), digits, tmp_path)
    assert path.read_bytes() == data[:-3]
    write_shard(path, [record(0, np.ones(9, bool), np.ones(9, bool), np.ones(9, bool))])
    with pytest.raises(InputError, match=r"record 0: made with other data or other settings"):
        run_farm(small(), digits, tmp_path)
    path.write_bytes(path_of(tmp_path, 1, 2).read_bytes())
    with pytest.raises(InputError, match=r"expected a trial of range\(0, 4\), received 4"):
        run_farm(small(), digits, tmp_path)


@pytest.mark.parametrize("trainer", ["stacked", "mirrored"])
def test_if_all_trials_diverge_the_run_ends(digits, tmp_path, trainer):
    overrides = "training.learning_rate=1e30", f"training.trainer={trainer}", "training.trials=9"
    with pytest.raises(InputError, match=r"every trial diverged.*learning_rate is 1e\+30"):
        training.train(small(*overrides), digits, tmp_path)


@pytest.mark.parametrize(("text", "worker"), [
    ("3/64", Worker(3, 64)), ("0/2", Worker(0, 2)), ("2/2", Worker(0, 2))])  # fmt: skip
def test_workers_are_numbered_from_0_or_from_1(text, worker):
    assert Worker.parse(text) == worker


@pytest.mark.parametrize("text", ["3", "a/b", "3/2", "0/0", "-1/2", "1/2/3"])
def test_no_other_worker_is_accepted(text):
    with pytest.raises(InputError, match="--worker: expected NUMBER/COUNT"):
        Worker.parse(text)


def test_workers_share_the_work_in_any_file_system(digits, tmp_path):
    """Two workers in turn; the second trains only what the first has left."""
    config = small("training.trials=20")
    run_farm(config, digits, tmp_path / "alone", size=2)
    for place in (str(tmp_path / "shared"), "memory://shared"):
        with Claims(open_folder(place).child("predictions/claims"), Worker(1, 2)) as other:
            other.take("00003")
            other.take("00004")
            by_other = f"1/2 (process {os.getpid()} on {socket.gethostname()})"
            first, asked = run_farm(config, digits, place, size=2, worker=Worker(0, 2))
            own = [trial for shard in (0, 2, 6, 8) for trial in (2 * shard, 2 * shard + 1)]
            others = [trial for shard in (9, 7, 5, 1) for trial in (2 * shard, 2 * shard + 1)]
            assert (sorted(asked), first.elsewhere) == (sorted(own + others), {by_other: 4})
            assert asked[: len(own)] == own
        second, asked = run_farm(config, digits, place, size=2, worker=Worker(1, 2))
        assert (asked, second.trials, second.elsewhere) == ([6, 7, 8, 9], 20, {})
        folder = open_folder(place).child("predictions")
        names = [name for name in folder.names() if name.startswith("predictions")]
        assert {name: folder.read(name) for name in names} == shards(tmp_path / "alone")


def test_the_first_of_two_that_begin_at_once_chooses_the_stack(digits, tmp_path):
    folder = open_folder(tmp_path)
    made = []

    def make(size):
        def trainers(config, data, subsets):
            if not made:
                made.append(size)
                open_directory(folder, small(), digits, make(3))
            return [Counted(data, size)]

        return trainers

    settings, _, trainers = open_directory(folder, small(), digits, make(5))
    assert (settings.training.stack_size, trainers) == (3, ())


def test_workers_of_two_generations_end_with_one(digits, tmp_path):
    """A worker that began with 10 trials learns that there are to be 17, and nothing is lost."""

    class Interrupting(Counted):
        """Lets another worker begin, and end with more trials, while its first shard is trained."""

        def train(self, trials, subsets, watch):
            outcomes = super().train(trials, subsets, watch)
            if self.asked == [0, 1, 2, 3]:
                run_farm(small("training.trials=17"), digits, tmp_path, worker=Worker(1, 2))
            return outcomes

    old = [Interrupting(digits, 4)]
    with pytest.raises(InputError, match=r"training.trials became 17 while a worker was at work"):
        run_farm(small("training.trials=10"), digits, tmp_path, trainers=old, worker=Worker(0, 2))
    assert "predictions-00000-of-00003.tfrecord" in shards(tmp_path)
    summary, _ = run_farm(small("training.trials=17"), digits, tmp_path)
    assert summary.trials == 17
    run_farm(small("training.trials=17"), digits, tmp_path / "new")
    assert shards(tmp_path) == shards(tmp_path / "new")


def test_a_shard_whose_journal_was_lost_is_not_trained_again(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "_READ_AT_START", 0)  # as in a run of gigabytes
    run_farm(small("training.trials=10"), digits, tmp_path)
    part = tmp_path / "predictions" / "journal" / "00002.csv"
    part.write_text("\n".join(part.read_text().splitlines()[:2]) + "\n")
    summary, asked = run_farm(small("training.trials=10"), digits, tmp_path)
    assert (summary.trials, summary.trained, asked) == (10, 0, [])


def test_a_worker_killed_between_journal_and_shard_loses_neither(digits, tmp_path, monkeypatch):
    """The journal has ten trials while the shard still has two, and says so."""
    run_farm(small("training.trials=10"), digits, tmp_path / "whole")
    monkeypatch.setattr(trials, "_READ_AT_START", 0)  # as in a run of gigabytes
    run_farm(small(), digits, tmp_path)
    real = Folder.write

    def killed(self, name, contents):
        if name.startswith("predictions-00001"):
            raise KeyboardInterrupt
        real(self, name, contents)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            run_farm(small("training.trials=10"), digits, tmp_path)
    part = (tmp_path / "predictions" / "journal" / "00001.csv").read_text()
    assert len(part.splitlines()) == 2 + 4
    summary, asked = run_farm(small("training.trials=10"), digits, tmp_path)
    assert (summary.trials, asked) == (10, [4, 5, 6, 7, 8, 9, 10, 11])
    assert shards(tmp_path) == shards(tmp_path / "whole")
    tables = [(out / "trials.csv").read_text() for out in (tmp_path, tmp_path / "whole")]
    without_times = [re.sub(r"/1,[^,]*", "", table) for table in tables]
    assert without_times[0] == without_times[1]


def test_shards_that_a_worker_left_without_a_word_are_trained_after_all(digits, tmp_path):
    """Another worker disappears while this one is at work, and no shard is left untrained."""
    with Claims(open_folder(tmp_path / "predictions/claims"), Worker(1, 2)) as other:

        class Trainer(Counted):
            def train(self, trials, subsets, watch):
                other.release("00001")
                return super().train(trials, subsets, watch)

        other.take("00001")
        summary, asked = run_farm(small(), digits, tmp_path, trainers=[Trainer(digits, 4)])
    assert (summary.trials, summary.elsewhere, asked) == (6, {}, list(range(8)))


def test_files_that_cannot_be_used_are_one_line(digits, tmp_path):
    run_farm(small(), digits, tmp_path)
    config = tmp_path / "predictions" / "config.yaml"
    config.write_bytes(b"\xff\xfe: [")
    with pytest.raises(InputError, match=r"config.yaml: "):
        run_farm(small(), digits, tmp_path)
    with pytest.raises(InputError, match="nowhere://bucket"):
        run_farm(small(), digits, "nowhere://bucket")


def test_mistakes_of_training_are_one_line(tmp_path):
    """A limit on the size of files stands for a full disk: the code takes the same path."""
    options = ["--set=training.trials=4", "--set=training.epochs=1", "--set=training.stack_size=4"]
    train = ["train", "configs/digits.yaml", *options, "--out"]
    (tmp_path / "file").write_text("")
    limited, out = tmp_path / "limited", tmp_path / "out"

    def full():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))

    for ended, words in (
        (tfmem_command(*train, tmp_path / "file" / "out", code=1), "Not a directory"),
        *(
            (tfmem_command(*train, out, f"--set={change}", code=1), words)
            for change, words in (
                ("training.batch_size=1200", "expected at most the 1006 examples"),
                ("dataset.name=nothing", "TFDS has no data set 'nothing'"),
                ("dataset.name=npz", "dataset.data_dir"),
            )
        ),
        (tfmem_process(*train, limited, code=1, preexec_fn=full), "written: File too large"),
    ):
        (line,) = (line for line in ended.stderr.splitlines() if line.startswith("error:"))
        assert words in line
    left = [p for p in limited.rglob("*") if p.is_file() and p.stat().st_size >= 900]
    assert (left, shards(limited)) == ([], {})
    tfmem_command(*train, limited)
    assert len(shards(limited)) == 1  # nothing was lost by that


def test_a_disk_that_is_full_leaves_no_shard(digits, tmp_path, monkeypatch):
    real = os.fsync

    def full(file):
        if "predictions-00001" in os.readlink(f"/proc/self/fd/{file}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"predictions-00001-of.*cannot be written: No space left"):
        run_farm(small(), digits, tmp_path)
    monkeypatch.undo()
    assert list(shards(tmp_path)) == ["predictions-00000-of-00002.tfrecord"]
    summary, asked = run_farm(small(), digits, tmp_path)
    assert (summary.trained, asked) == (2, [4, 5, 6, 7])


@pytest.mark.parametrize("trainer", ["stacked", "mirrored"])
def test_a_trial_goes_on_from_its_checkpoint(digits, tmp_path, trainer, monkeypatch):
    """A trial stopped after its second epoch continues with the third, to the same bytes."""
    stack = "training.stack_size=2" if trainer == "stacked" else "training.stack_size=1"
    overrides = "training.checkpoint_minutes=0", f"training.trainer={trainer}", "training.trials=2"
    config = small(
        *overrides, stack, "training.augmentation.flip=true", "training.keep_checkpoints=true"
    )
    training.train(config, digits, tmp_path / "whole")
    seen = []
    real = TrialWatcher.after_epoch

    def stopped(self, epoch, losses, variables):
        seen.append(epoch)
        real(self, epoch, losses, variables)
        if epoch == 1 and seen.count(1) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrialWatcher, "after_epoch", stopped)
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        training.train(config, digits, out)
    kept = list((out / "predictions" / "checkpoints").iterdir())
    training.train(config, digits, out)
    one_by_one = [0, 1, 2, 3, 0, 1, 2, 3] if trainer == "mirrored" else [0, 1, 2, 3]
    assert (len(kept), seen) == (1, one_by_one)
    assert shards(out) == shards(tmp_path / "whole")
    assert sorted((out / "predictions" / "checkpoints").iterdir())
    plain = config.training.model_copy(update={"keep_checkpoints": False})
    training.train(config.model_copy(update={"training": plain}), digits, tmp_path / "plain")
    assert not list((tmp_path / "plain" / "predictions" / "checkpoints").glob("*"))
    assert shards(tmp_path / "plain") == shards(out)


def test_damaged_checkpoints_are_not_used(digits, tmp_path):
    overrides = "training.checkpoint_minutes=0", "training.keep_checkpoints=true"
    config = small(*overrides, "training.stack_size=6")
    training.train(config, digits, tmp_path)
    whole = shards(tmp_path)
    (checkpoint,) = (tmp_path / "predictions" / "checkpoints").iterdir()
    for contents in (b"", checkpoint.read_bytes()[:-100], b"PK\x03\x04nonsense"):
        checkpoint.write_bytes(contents)
        for path in (tmp_path / "predictions").glob("predictions-*"):
            path.unlink()
        training.train(config, digits, tmp_path)
        assert shards(tmp_path) == whole


def test_scalars_for_tensorboard(digits, tmp_path):
    training.train(small("training.tensorboard=true"), digits, tmp_path)
    (events,) = (tmp_path / "predictions" / "tensorboard" / "trial-00003").glob("*")
    found = {(value.tag, event.step): float(tf.make_ndarray(value.tensor))
             for event in tf.compat.v1.train.summary_iterator(str(events))
             for value in event.summary.value}  # fmt: skip
    losses = [("loss", epoch) for epoch in range(4)]
    assert set(found) == {*losses, ("accuracy/train", 4), ("accuracy/test", 4)}
    (row,) = (r for r in csv.DictReader((tmp_path / "trials.csv").open()) if r["trial"] == "3")
    assert float(row["final_loss"]) == pytest.approx(found["loss", 3], rel=1e-4)


def test_a_disk_that_is_full_of_scalars_is_named(tmp_path):
    """It is not taken for a device without memory, which TensorFlow reports by the same type."""
    scalars = Scalars(str(tmp_path / "tensorboard"))

    def write():
        for step in range(100):
            scalars.write(7, step, {"loss": 1.0})
        scalars.close(7)

    refused = r"tensorboard/trial-00007: scalars cannot be written: File too large"
    with files_of_at_most(300), pytest.raises(InputError, match=refused):
        write()
