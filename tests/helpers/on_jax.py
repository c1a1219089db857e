"""Trainings on JAX, in a program of its own where TensorFlow cannot be imported.

`python -m tests.helpers.on_jax FOLDER` runs `WORK` and prints what each function returns.
"""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

# Two devices; and programs so small need neither optimization nor fused loops, whose compilation
# takes most of the time.
FLAGS = (
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 "
    "--xla_cpu_use_fusion_emitters=false"
)
ROOT = Path(__file__).parents[2]
NETWORKS = {"dense": (3, 4), "cnn, filters: [2], hidden: 3": (6, 6, 1)}


class Refused:
    """Refuses the import of TensorFlow."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_datasets"):
            raise ImportError(f"{name} is imported")


def on_jax(folder, program="on_jax"):
    """What all functions in `WORK` return, from a program with two devices and no TensorFlow.

    Args:
      folder: a folder to work in.
      program: the module of the helpers that is run.
    """
    chosen = {"KERAS_BACKEND": "jax", "XLA_FLAGS": FLAGS}
    ended = subprocess.run(
        [sys.executable, "-m", f"tests.helpers.{program}", str(folder)],
        cwd=ROOT, env={**os.environ, **chosen}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def pictures(shape, n=20):
    """Some examples of a shape, as a data set of three classes."""
    from tfmem.datasets import Dataset

    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, size=(n, *shape)).astype(np.uint8)
    labels = np.arange(n) % 3
    return Dataset("some", images, labels, images[:5], labels[:5], ("a", "b", "c"), 255)


class Losses:
    """Keeps the losses of all epochs (a `Watcher`)."""

    def __init__(self):
        self.losses = []

    def resume(self, variables):
        return 0, None

    def after_epoch(self, epoch, losses, variables):
        self.losses.append(losses.tolist())


def small_config(model, *changes):
    """Settings of three short trials of a model of the zoo."""
    from tfmem.config import from_yaml

    text = f"model: {{name: {model}}}\ntraining: {{trials: 3, epochs: 2, batch_size: 6, lanes: 1}}"
    return from_yaml(text, ["training.stack_size=3", "training.weight_decay=0.01", *changes])


def small_language(packed=False):
    """Settings of a decoder, and texts of one to six words, which may share windows."""
    from tfmem.config import TokenSettings
    from tfmem.datasets.text import without_classes

    length = 12 if packed else 5
    of_texts = f"dataset={{name: treebank, text: {{label: null, tokens: {{length: {length}}}}}}}"
    config = small_config("decoder, width: 8, heads: 2", of_texts)
    said = [" ".join("abcabd"[: 1 + i % 6]) for i in range(20)]
    texts = np.array(said, np.dtypes.StringDType())[:, None]
    return config, without_classes(
        "some", [texts, texts[:5]], TokenSettings(length=length, packed=packed)
    )


def trained(config, data, *groups):
    """Losses by epoch and model, and margins of the training examples, of groups of trials."""
    from tfmem.training.trainers import make_trainers

    trainer = make_trainers(config, data)[0]
    return [_trained(trainer, data, group) for group in groups]


def _trained(trainer, data, trials, watcher=None):
    from tfmem.subsets import Trial

    watcher, numbers = watcher or Losses(), [Trial(number, 0) for number in trials]
    subsets = [trial.subset(len(data.train_labels), 14) for trial in numbers]
    outcomes = trainer.train(numbers, subsets, lambda trials: watcher)
    seen = [outcome.train for outcome in outcomes]
    scores = [each.score if each.margin is None else each.margin for each in seen]
    return watcher.losses, [each.tolist() for each in scores]


def networks_of_the_zoo(folder=None):
    """Losses of models of the zoo, with cropped and mirrored pictures."""
    found = {}
    for model, shape in NETWORKS.items():
        moved = ["training.augmentation.pad=1", "training.augmentation.flip=true"]
        config = small_config(model, *(moved if len(shape) == 3 else ()))
        ((found[model], _),) = trained(config, pictures(shape), (0, 1, 2))
    for name, packed in (("decoder", False), ("packed decoder", True)):
        ((found[name], _),) = trained(*small_language(packed), (0, 1, 2))
    return found


def streamed(folder):
    """Trials on random parts of photographs, read meanwhile, in the last lane; and features."""
    from tests.helpers.photographs import RESIZE, SIZE, write_photos
    from tfmem.datasets import load
    from tfmem.training.trainers import make_trainers, trainer_of_one

    write_photos(folder / "photos")
    size = f"image_size: {SIZE}, resize: {RESIZE}"
    config = small_config(
        "cnn, filters: [4], hidden: 6", "training.trainer=auto", "training.stack_size=1",
        "training.lanes=null",
        f"dataset={{name: image_folder, data_dir: {folder / 'photos'}, {size}}}",
        "training.augmentation={pad: 2, flip: true, random_resized_crop: true}",
    )  # fmt: skip
    data = load(config.dataset)
    *others, trainer = make_trainers(config, data)
    losses, margins = _trained(trainer, data, [1])
    alone = trainer_of_one(config, data)
    assert _trained(alone, data, [1]) == (losses, margins)
    features = [each.tolist() for each in alone.activations("features", True)]
    found = {"losses": losses, "margins": margins, "features": features}
    return {**found, "others": len(others)}


def own_of_photographs(folder):
    """Margins of a trial of a user's model, on photographs that `streamed` has written."""
    from tests.helpers.photographs import RESIZE, SIZE
    from tfmem.datasets import load
    from tfmem.training.trainers import make_trainers

    size = f"image_size: {SIZE}, resize: {RESIZE}"
    config = small_config(
        "python, build: 'tests.helpers.on_jax:model_of_photographs'", "training.trainer=auto",
        f"dataset={{name: image_folder, data_dir: {folder / 'photos'}, {size}}}",
        "training.stack_size=1", "training.weight_decay=0",
    )  # fmt: skip
    data = load(config.dataset)
    (trainer,) = make_trainers(config, data)
    return _trained(trainer, data, [1])


def model_of_photographs():
    """A small convolutional network for two classes, with an optimizer of its own."""
    import keras

    from tests.helpers.photographs import SIZE

    layers = keras.layers
    model = keras.Sequential([
        keras.Input((SIZE, SIZE, 3)), layers.Conv2D(2, 5, 4, activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(2),
    ])  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    return model


def own_model():
    """A model with random layers, another optimizer and an initializer that a user wrote."""
    import keras

    model = keras.Sequential([
        keras.Input((5,)),
        keras.layers.Dense(8, "relu", kernel_initializer="he_normal"),
        keras.layers.Dropout(0.5, seed=1),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(3, kernel_initializer="orthogonal"),
    ])  # fmt: skip
    optimizer = keras.optimizers.AdamW(0.01, clipnorm=1.0, use_ema=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    return model


def own(*changes):
    """Settings with which models of `own_model` are trained."""
    from tfmem.config import from_yaml

    text = "model: {name: python, build: 'tests.helpers.on_jax:own_model'}"
    short = ["training.trials=3", "training.epochs=2", "training.batch_size=6", "training.lanes=1"]
    return from_yaml(text, [*short, "training.trainer=stacked", "training.stack_size=3", *changes])


def own_models(folder):
    """Two trainings of the same trials, and one of others."""
    return trained(own(), pictures((5,)), (0, 1, 2), (0, 1, 2), (3, 4, 2))


def half_precision(folder=None):
    """Losses in 16 bits."""
    config = small_config("dense", "training.precision=mixed_float16")
    return trained(config, pictures((5,)), (0, 1, 2))[0][0]


def skipped(folder):
    """What two steps leave of a weight, one of which overflows, and the scales of the loss."""
    import keras

    from tfmem.training.on_jax.rules import Rule

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), 8.0), "mse")
    rule, weights, found = Rule(model), [np.ones((1, 1), np.float32)], []
    memory = rule.first()
    for gradient in (np.inf, 8.0):
        gradients = [np.full((1, 1), gradient, np.float32)]
        weights, memory, finite = rule.step(gradients, weights, memory, 0.0)
        found.append([float(weights[0][0, 0]), float(memory[0]), bool(finite)])
    return found


def fits(folder):
    """The losses of a model's own `fit`."""
    config = own("training.trainer=fit", "training.stack_size=1")
    return trained(config, pictures((5,)), [0])[0][0]


def refused(folder):
    """What is said of settings and inputs that JAX cannot do."""
    from tfmem.datasets import StructuredDataset
    from tfmem.messages.errors import InputError
    from tfmem.training.elsewhere import check_backend
    from tfmem.training.on_jax.resident import ResidentExamples
    from tfmem.training.trainers import make_trainers

    ids = np.array([[1], [1 << 40]])
    labels = np.array([0, 1])
    large = StructuredDataset("d", {"ids": ids}, labels, {"ids": ids}, labels, ("a", "b"))
    said = []
    for work in (
        lambda: make_trainers(small_config("dense", "training.trainer=mirrored",
                                           "training.stack_size=1"), pictures((5,))),
        lambda: ResidentExamples(large),
        lambda: check_backend(small_config("dense", "training.backend=tensorflow")),
    ):  # fmt: skip
        try:
            work()
            said.append("nothing")
        except InputError as error:
            said.append(str(error))
    return said


def interrupted(folder):
    """Trains a run that is killed within a trial, continues it, and trains it once more.

    A program holds two of the six epochs, and the run is killed after the second program.
    """
    from tfmem.aggregation.jobs import estimate
    from tfmem.datasets import load
    from tfmem.store.labels import LABELS_NAME
    from tfmem.store.shards import shards_in
    from tfmem.training import train, watching
    from tfmem.training.on_jax.stacked import StackedTrainer

    config = small_config("dense", "training.checkpoint_minutes=0", "training.epochs=6",
                          "training.trials=6", "training.lanes=2")  # fmt: skip
    data, saved, begun = load(config.dataset), [], []
    real = watching.TrialWatcher.after_epochs, StackedTrainer.epochs_at_once

    def killed(self, first, losses, variables):
        real[0](self, first, losses, variables)
        if not saved and first == 2:
            raise ConnectionError("killed")
        begun.extend([first] * bool(saved))

    watching.TrialWatcher.after_epochs = killed
    StackedTrainer.epochs_at_once = lambda self, size: 2
    try:
        train(config, data, folder / "one")
    except ConnectionError:
        saved += sorted(each.name for each in (folder / "one/predictions/checkpoints").iterdir())
    summaries = [train(config, data, folder / name) for name in ("one", "two")]
    shards = [[(each.name, Path(each).read_bytes().hex()) for each in
               sorted((folder / name / "predictions").glob("*.tfrecord"))]
              for name in ("one", "two")]  # fmt: skip
    watching.TrialWatcher.after_epochs, StackedTrainer.epochs_at_once = real
    predictions = folder / "one/predictions"
    kinds = {"memorization": str(folder / "mem"), "influence": str(folder / "infl")}
    estimate(shards_in(predictions), str(predictions / LABELS_NAME), kinds)
    return {
        "saved": saved,
        "begun": sorted(begun),
        "trained": [each.trained for each in summaries],
        "same": shards[0] == shards[1],
        "accuracy": summaries[0].accuracy,
        "estimated": any(folder.glob("mem*")),
    }


class Patient(Losses):
    """Keeps the losses of all epochs, and the sizes of groups in which they come."""

    def __init__(self):
        super().__init__()
        self.groups = []

    def after_epochs(self, first, losses, variables):
        assert first == len(self.losses)
        self.losses += losses.tolist()
        self.groups.append(len(losses))


def several_epochs(folder):
    """Losses and margins of seven epochs that are trained one by one, in groups, and at once."""
    from tfmem.training.trainers import make_trainers

    config, data = small_config("dense", "training.epochs=7"), pictures((5,))
    trainer = make_trainers(config, data)[0]
    alone = _trained(trainer, data, (0, 1, 2))
    found = {}
    for most in (3, 7, None):
        if most is not None:
            trainer.part.epochs_at_once = lambda size, most=most: most
        else:
            del trainer.part.epochs_at_once
        watcher = Patient()
        same = _trained(trainer, data, (0, 1, 2), watcher) == alone
        found[str(most)] = [same, watcher.groups]
    return found


def diverging(folder):
    """Losses at a rate that is far too high."""
    config = small_config("dense", "training.learning_rate=1e30")
    ((losses, _),) = trained(config, pictures((5,)), (0, 1, 2))
    return np.isfinite(losses[-1]).tolist()


WORK = (
    networks_of_the_zoo, streamed, own_of_photographs, own_models, half_precision, skipped, fits,
    refused, interrupted, diverging, several_epochs,
)  # fmt: skip

if __name__ == "__main__":
    gc.set_threshold(10_000)  # traces make many objects that live on
    sys.meta_path.insert(0, Refused())
    print(json.dumps({each.__name__: each(Path(sys.argv[1])) for each in WORK}))
