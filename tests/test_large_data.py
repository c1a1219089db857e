"""Data that do not fit in memory: batches are read while models are trained."""

import tracemalloc

import keras
import numpy as np
import pytest

from tests.helpers.trials import unwatched
from tfmem.config import from_yaml
from tfmem.datasets.given import given_dataset
from tfmem.datasets.pictures import Pictures
from tfmem.messages.errors import InputError
from tfmem.subsets import Trial
from tfmem.tasks.choosing import Targets, make_task
from tfmem.training.augmentation import AugmentationSettings
from tfmem.training.builder import Builder, BuiltInitializer
from tfmem.training.fit import FitTrainer, ReadBatches
from tfmem.training.hosted import HostExamples, placed_examples
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.resident import ResidentExamples
from tfmem.training.stacked import StackedTrainer

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(60, 4, 4, 1)).astype(np.float32)
BYTES = RNG.integers(0, 255, (60, 3)).astype(np.uint8)
Y = (IMAGES.sum(axis=(1, 2, 3)) > 0).astype(int)
TRIALS = [Trial(number, 0) for number in range(2)]
layers = keras.layers


def settings(share, *more):
    given = ["training.batch_size=8", "training.epochs=2", f"training.memory_share={share}", *more]
    return from_yaml("", given)


def images_alone():
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def two_inputs():
    one, other = keras.Input((4, 4, 1)), keras.Input((3,), dtype="uint8")
    joined = layers.Concatenate()([layers.Flatten()(one), layers.Rescaling(1 / 255)(other)])
    model = keras.Model([one, other], layers.Dense(1)(joined))
    model.compile("adam", "mse")
    return model


def data_of(form):
    if form == "images":
        return images_alone, given_dataset("i", (IMAGES[:50], Y[:50]), (IMAGES[50:], Y[50:]))
    goals = IMAGES[:, 0, 0, 0]
    split = [((IMAGES[part], BYTES[part]), goals[part]) for part in (slice(50), slice(50, 60))]
    return two_inputs, given_dataset("t", *split)


def task_of(data):
    numbers = None if data.train_targets is None else data.train_targets.dtype
    known = Targets(2) if data.has_classes else Targets(0, (), numbers)
    shape = (2,) if data.has_classes else (1,)
    return make_task(from_yaml("", []).task, known, shape, "logits")


def scores(outcomes):
    found = [[one.train, one.test] for one in outcomes]
    return [s.margin if s.score is None else s.score for pair in found for s in pair]


@pytest.mark.parametrize(
    ("form", "augmented"),
    [("images", False), ("images", True), ("several inputs and numbers", False)],
)
def test_a_stack_learns_the_same_from_batches_that_are_read(monkeypatch, form, augmented):
    build, data = data_of(form)
    monkeypatch.setattr("tfmem.training.hosted._FED_AT_ONCE", 3000)  # two steps at once
    given = settings(0).training
    if augmented:
        given = given.model_copy(update={"augmentation": AugmentationSettings(pad=1)})
    found = []
    for examples in (ResidentExamples(data), placed_examples(data, given, False)):
        model = build()
        some = ResidentExamples(data.keep(np.arange(4), np.arange(0)))
        builder = Builder(build, some.scaled(some.images(np.arange(4))))
        draw = BuiltInitializer(builder)
        trainer = StackedTrainer(
            model, examples, given, 2, task=task_of(data), initializer=draw
        )  # fmt: skip
        subsets = [trial.subset(50, 35) for trial in TRIALS]
        found.append(scores(trainer.train(TRIALS, subsets, unwatched)))
    assert isinstance(examples, HostExamples)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("form", ["images", "several inputs and numbers"])
def test_one_model_learns_the_same_from_batches_that_are_read(form):
    build, data = data_of(form)
    subset = TRIALS[0].subset(50, 35)
    found = []
    for share in (1, 0):
        trainer = MirroredTrainer(build, data, settings(share).training, task=task_of(data))
        found.append(scores(trainer.train(TRIALS[:1], [subset], unwatched)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


class Watched(keras.Model):
    """Remembers what its training steps see."""

    def __init__(self, seen):
        super().__init__()
        self.last, self.see = layers.Dense(2), seen.append

    def call(self, x):
        return self.last(keras.ops.reshape(x, (-1, 16)))

    def train_step(self, data):
        self.see((data[0].numpy()[:, 0, 0, 0], [part.numpy() for part in data[1:]]))
        return super().train_step(data)


def test_fit_reads_every_example_of_a_subset_once_in_an_epoch():
    seen = []

    def build():
        model = Watched(seen)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, run_eagerly=True)
        return model

    _, data = data_of("images")
    weights = np.arange(50.0)
    trainer = FitTrainer(
        build, data, settings(0).training, settings(0).task,
        lambda: {"sample_weight": weights},
    )  # fmt: skip
    subset = TRIALS[0].subset(50, 35)
    (outcome,) = trainer.train(TRIALS[:1], [subset], unwatched)
    assert len(outcome.train.margin) == 50
    assert np.isfinite(outcome.loss)
    assert len(seen) == 2 * 5
    first, second = seen[:5], seen[5:]
    for number, epoch in enumerate((first, second)):
        order = TRIALS[0].epoch_order(subset, number)
        assert sorted(order) == sorted(subset)
        np.testing.assert_array_equal(np.concatenate([x for x, _ in epoch]), IMAGES[order, 0, 0, 0])
        np.testing.assert_array_equal(np.concatenate([rest[0] for _, rest in epoch]), Y[order])
        np.testing.assert_array_equal(np.concatenate([rest[1] for _, rest in epoch]), order)
    with pytest.raises(InputError, match="validation_split: expected none"):
        FitTrainer(
            images_alone, data, settings(0).training, settings(0).task,
            lambda: {"validation_split": 0.1},
        ).train(TRIALS[:1], [subset], unwatched)  # fmt: skip


def test_pictures_of_a_memory_map_hold_a_part_of_it(tmp_path):
    rows = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (160, 256, 256, 3))
    rows[150] = 7
    data = given_dataset("large", (rows, np.arange(160) % 2))
    tracemalloc.start()
    assert Pictures(data, "train")[150].max() == 1
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 64 << 20  # of 126 MB


def test_batches_of_a_memory_map_are_all_that_is_held(tmp_path):
    rows = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (512, 16384))
    data = given_dataset("large", (rows, np.arange(512) % 2))
    examples = placed_examples(data, settings(0).training, False)
    batches = ReadBatches(
        lambda chosen: (data.train_images[chosen],), lambda epoch: np.arange(512), 512, 8
    )
    tracemalloc.start()
    for _ in examples.in_order(False, 8):
        pass
    for number in range(len(batches)):
        _ = batches[number]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3 << 20  # of 32 MB
