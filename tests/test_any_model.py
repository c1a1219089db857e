"""Any compiled Keras model: what a stack learns is what each model learns by Keras' own steps."""

import functools
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.trials import unwatched
from tfmem.config import TrainingSettings, from_yaml
from tfmem.datasets import Dataset, StructuredDataset
from tfmem.messages.errors import InputError
from tfmem.store.labels import WITHOUT_CLASSES
from tfmem.subsets import Trial
from tfmem.training.builder import Builder, BuiltInitializer
from tfmem.training.fit import FitTrainer
from tfmem.training.fitting import FittingTrainer
from tfmem.training.initialization import VariableInitializer
from tfmem.training.keras_models import keras_trainers
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.resident import ResidentExamples
from tfmem.training.stacked import StackedTrainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6)).astype(np.float32)
Y = (X[:, 0] + 0.3 * RNG.normal(size=60) > 0).astype(np.int64)
DATA = Dataset("rows", X[:50], Y[:50], X[50:], Y[50:], ("no", "yes"), 1)
INPUTS = {"a": X[:, :2], "b": X[:, 2:]}
NAMED = StructuredDataset(
    "named",
    {name: values[:50] for name, values in INPUTS.items()},
    Y[:50],
    {name: values[50:] for name, values in INPUTS.items()},
    Y[50:],
    ("no", "yes"),
)
BATCH, STEPS = 10, 3
TRIALS = [Trial(k, 0) for k in range(3)]
layers, optimizers = keras.layers, keras.optimizers


def ready(model, loss=None, optimizer=None, **more):
    ours = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or optimizers.Adam(0.01), loss or ours, **more)
    return model


def network(*more, optimizer=None, loss=None, outputs=2, **options):
    model = keras.Sequential([keras.Input((6,)), *more, layers.Dense(outputs)])
    return ready(model, loss, optimizer, **options)


def config(*overrides):
    given = [f"training.batch_size={BATCH}", "training.epochs=2", "training.trials=4",
             "training.stack_size=2", "training.lanes=1", *overrides]  # fmt: skip
    return from_yaml("", given)


SETTINGS: TrainingSettings = config("training.epochs=1").training


def check_stack(build, data=DATA, x=X, y=Y, rounding=1e-6, plain=False):
    """Three models in a stack take three steps as each does by `train_on_batch`.

    If a network is plain, its initial values are drawn without building it again.
    """
    builder = Builder(build, tf.nest.map_structure(lambda a: a[:4], x))
    stacked = builder()
    draw = VariableInitializer(stacked) if plain else BuiltInitializer(builder)
    stack = StackedTrainer(stacked, ResidentExamples(data), SETTINGS, 3, initializer=draw)
    values = [draw(trial) for trial in TRIALS]
    stack.assign(draw.of_stack(TRIALS))
    orders = np.stack([trial.subset(50, BATCH * STEPS) for trial in TRIALS])
    losses = stack.run_epoch(orders, orders.astype(np.uint64), stack.rates(STEPS))
    for number in (0, 2):
        model = builder()
        model.run_eagerly = True
        variables = *model.trainable_variables, *model.non_trainable_variables
        for variable, value in zip(variables, values[number], strict=True):
            variable.assign(value)
        alone = []
        for rows in orders[number].reshape(STEPS, BATCH):
            model.reset_metrics()
            batch = tf.nest.map_structure(lambda a, rows=rows: a[rows], x)
            alone.append(model.train_on_batch(batch, y[rows]))
        assert np.ravel(alone).mean() == pytest.approx(losses[number], rel=1e-5)
        found = [v[number].numpy() for v in stack.variables[: stack.num_values]]
        assert any((one != begun).any() for one, begun in zip(found, values[number], strict=True))
        for one, variable in zip(found, variables, strict=True):
            np.testing.assert_allclose(one, variable.numpy(), atol=rounding)


def without_decay_of_biases():
    optimizer = optimizers.AdamW(0.01, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


cosine = lambda: optimizers.schedules.CosineDecay(0.05, STEPS)  # noqa: E731
OPTIMIZERS = {
    name: lambda name=name: getattr(optimizers, name)(0.01)
    for name in ("SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Adafactor",
                 "Nadam", "Ftrl", "Lion", "Lamb", "Muon")
}  # fmt: skip
OPTIMIZERS |= {
    "nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "decay and clipping": lambda: optimizers.SGD(0.1, 0.9, weight_decay=0.1, clipvalue=0.01),
    "clipped by norm": lambda: optimizers.Adam(0.01, clipnorm=0.05),
    "clipped by all norms": lambda: optimizers.Adam(0.01, global_clipnorm=0.05),
    "accumulating": lambda: optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "averaging": lambda: optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=2),
    "some without decay": without_decay_of_biases,
    "cosine": lambda: optimizers.AdamW(cosine()),
    "cosine, each model": lambda: optimizers.Lamb(cosine()),
    "scaled": lambda: optimizers.Adam(0.01, loss_scale_factor=8.0),
}


RARE = (
    "RMSprop", "Adadelta", "Adagrad", "Adamax", "Nadam", "Ftrl", "Lion", "decay and clipping",
    "clipped by all norms", "cosine, each model", "scaled", "averaging",
)  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in RARE else ()) for name in OPTIMIZERS],
)
def test_every_optimizer_moves_a_stack_as_it_moves_one_model(name):
    optimizer = OPTIMIZERS[name]
    check_stack(lambda: network(layers.Dense(5, "relu"), optimizer=optimizer()), plain=True)


def entropy(reduction):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)


class Subclass(keras.Model):
    """It adds a loss of its own, and draws from a layer with a seed."""

    def __init__(self):
        super().__init__()
        self.hidden, self.last = layers.Dense(5, "relu"), layers.Dense(2)

    def call(self, x):
        self.add_loss(1e-2 * keras.ops.sum(x**2))
        return self.last(self.hidden(x))


class OwnLoss(Subclass):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return keras.ops.mean(keras.ops.square(y_pred[:, 0] - keras.ops.cast(y, "float32")))


def two_inputs():
    a, b = keras.Input((2,), name="a"), keras.Input((4,), name="b")
    joined = layers.Concatenate()([layers.Dense(3)(a), b])
    return ready(keras.Model({"a": a, "b": b}, layers.Dense(2)(joined)))


def adapted():
    normalization = layers.Normalization()
    normalization.adapt(X)
    return network(normalization, layers.BatchNormalization(), layers.Dense(4, "relu"))


def constrained():
    limit = keras.constraints.MaxNorm(0.3, axis=0)
    return network(layers.Dense(4, kernel_constraint=limit), layers.Dense(3, bias_constraint=limit))


def regularized():
    return network(layers.Dense(4, kernel_regularizer="l2"), layers.ActivityRegularization(0.01))


def with_unused():
    model = Subclass()
    model.unused = layers.Dense(2)
    model.unused.build((None, 3))
    return ready(model)


MODELS = {
    "subclass": lambda: ready(Subclass()),
    "own loss": lambda: ready(OwnLoss()),
    "unused weights": with_unused,
    "adapted": adapted,
    "constrained": constrained,
    "regularized": regularized,
    "sum of losses": lambda: network(loss=entropy("sum"), optimizer=optimizers.SGD(0.01)),
    "embedding": lambda: network(
        layers.Embedding(9, 3), layers.Flatten(), optimizer=OPTIMIZERS["nesterov"]()
    ),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_every_kind_of_model_learns_in_a_stack_as_alone(name):
    if name == "embedding":
        x = np.abs(X * 2).astype(np.int32)
        data = Dataset("words", x[:50], Y[:50], x[50:], Y[50:], ("no", "yes"), 1)
        return check_stack(MODELS[name], data, x)
    check_stack(MODELS[name])


def test_several_inputs_by_name():
    check_stack(two_inputs, NAMED, INPUTS)


@pytest.mark.parametrize("kind", ["one-hot", "regression", "several labels"])
def test_targets_other_than_labels(kind):
    y, loss, classes = {
        "one-hot": (np.eye(2)[Y].astype(np.uint8), "categorical_crossentropy", True),
        "regression": (X[:, :2] * 2, "huber", False),
        "several labels": ((X[:, :2] > 0).astype(np.uint8), "binary_crossentropy", False),
    }[kind]
    data = replace(DATA, train_targets=y[:50], test_targets=y[50:])
    if not classes:
        zeros = np.zeros_like(Y)
        data = replace(data, train_labels=zeros[:50], test_labels=zeros[50:], has_classes=False,
                       class_names=WITHOUT_CLASSES)  # fmt: skip
    last = {"one-hot": "softmax", "regression": None, "several labels": "sigmoid"}[kind]

    def build():
        return ready(keras.Sequential([keras.Input((6,)), layers.Dense(2, last)]), loss)

    check_stack(build, data, X, y)
    (trainer,) = keras_trainers(build, config(), data, None)
    outcome, _ = trainer.train(TRIALS[:2], [t.subset(50, 30) for t in TRIALS[:2]], unwatched)
    assert (outcome.test.correct is None) == (kind == "regression")


def trained(build, data=DATA, *overrides):
    (trainer,) = keras_trainers(build, config(*overrides), data, None)
    trials = TRIALS[: trainer.stack_size]
    subsets = [TRIALS[0].subset(50, 30)] * len(trials)  # so that only seeds differ
    return trainer, trainer.train(trials, subsets, unwatched)


RANDOM = {
    "dropout": lambda: network(layers.Dropout(0.5), layers.GaussianNoise(0.2)),
    "pictures": lambda: network(
        layers.Reshape((2, 3, 1)), layers.RandomFlip(), layers.RandomTranslation(0.5, 0.5),
        layers.Flatten()),
}  # fmt: skip


@pytest.mark.parametrize("name", RANDOM)
def test_what_layers_draw_follows_from_the_trial(name):
    def build():
        model = RANDOM[name]()
        model.layers[-1].set_weights([np.ones((6, 2)), np.zeros(2)])  # the same in all trials
        return model

    first, again = (trained(build)[1] for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.test.margin, other.test.margin)
    assert first[0].loss != pytest.approx(first[1].loss, rel=1e-3)


def test_constants_are_kept_and_what_a_builder_changes_is_built_for_each_trial():
    def build():
        model = adapted()
        *_, last = model.layers
        last.set_weights([2 * np.random.normal(size=(4, 2)), np.ones(2)])  # noqa: NPY002
        return model

    model = adapted()
    draw, plain = (BuiltInitializer(Builder(made, X[:4])) for made in (build, adapted))
    assert [draw.builds_anew, plain.builds_anew] == [True, False]
    names = [v.path.split("/")[-1] for v in (*model.trainable_variables, *model.non_trainable_variables)]  # noqa: E501  # fmt: skip
    for one in (draw, plain):
        first, again, other = (dict(zip(names, one(Trial(k, 0)), strict=True)) for k in (1, 1, 2))
        for name in names:
            np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_allclose(first["mean"].ravel(), X.mean(axis=0), atol=1e-6)
        assert (first["kernel"] != other["kernel"]).all()
    assert 1 < dict(zip(names, draw(Trial(1, 0)), strict=True))["kernel"].std() < 4


CALLS = []


def another_each_time():
    CALLS.append(0)
    return network(layers.Dense(4 + len(CALLS) % 2))


one = functools.cache(network)


def unseeded():
    model = network(layers.Dense(4))
    model.layers[0].set_weights([np.random.default_rng().normal(size=(6, 4)), np.zeros(4)])
    return model


@pytest.mark.parametrize(("build", "words"), [
    (lambda: keras.Sequential([keras.Input((6,)), layers.Dense(2)]), "expected a compiled model"),
    (lambda: "model", "expected a Keras model at each call, received str"),
    (another_each_time, r"same architecture at each call.*kernel \[6, \d\] and kernel \[6, \d\]"),
    (lambda: one(), "expected a new model at each call"),
    (unseeded, "same weights whenever it is called under the same seed"),
    (lambda: network(outputs=3), "one output for each of the 2 classes"),
    (lambda: network(loss="sparse_categorical_crossentropy"), "probabilities, .*from_logits=True"),
    (lambda: network(loss=lambda y, p: y @ p), "the loss fails on examples"),
    (lambda: network(layers.Reshape((4, 2))), "Reshape"),
])  # fmt: skip
def test_bad_builders_are_refused_before_anything_is_trained(build, words):
    error = ValueError if words == "Reshape" else InputError  # Keras' own, from the user's function
    with pytest.raises(error, match=words):
        trained(build, DATA, "training.trainer=auto")


@pytest.mark.parametrize(("build", "words"), [
    (lambda: keras.Sequential([keras.Input((6,)), layers.Dense(2)]), "expected a compiled model"),
    (another_each_time, r"same architecture at each call.*kernel \[6, \d\] and kernel \[6, \d\]"),
    (lambda: one(), "expected a new model at each call"),
    (lambda: ready(keras.Sequential([keras.Input((7,)), layers.Dense(2)])), "model fails on exam"),
    (unseeded, "same weights whenever it is called under the same seed"),
    (lambda: network(loss=lambda y, p: y @ p), "its fit fails on examples"),
])  # fmt: skip
def test_bad_builders_are_refused_by_fit_as_well(build, words):
    with pytest.raises(InputError, match=words):
        trained(build, DATA, "training.trainer=fit")


def several_optimizers():
    choice = optimizers.OptimizerMap(optimizers.SGD(0.1), {".*bias": optimizers.Adam(0.1)})
    return network(optimizer=optimizers.MultiOptimizer(choice))


newer = pytest.mark.skipif(not hasattr(optimizers, "MultiOptimizer"), reason="it came with 3.15")


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


class Stray(layers.Layer):
    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x))


@pytest.mark.parametrize(("build", "why"), [
    (lambda: ready(OwnStep([keras.Input((6,)), layers.Dense(2)])), "has its own train_step"),
    (lambda: network(run_eagerly=True), "compiled with run_eagerly"),
    (lambda: network(loss=entropy("none")), "not one number for a batch"),
    pytest.param(lambda: network(optimizer=optimizers.ScheduleFreeAdamW(0.1)), "begins with the w",
                 marks=newer),
    pytest.param(several_optimizers, "has several optimizers", marks=newer),
    (lambda: network(Stray()), "no trial's seed decides"),
    (lambda: network(optimizer=optimizers.Lamb(use_ema=True)), "averages weights"),
])  # fmt: skip
def test_auto_trains_by_fit_where_a_stack_cannot_and_says_why(build, why, capsys):
    trainer, outcomes = trained(build, DATA, "training.trainer=auto")
    assert isinstance(trainer, FitTrainer)
    assert np.isfinite(outcomes[0].loss)
    said = " ".join(capsys.readouterr().out.split())
    assert why in said
    with pytest.raises(InputError, match=f"'stacked' cannot train this model: .*{why}"):
        trained(build, DATA, "training.trainer=stacked")


def test_auto_stacks_where_it_can_and_says_so(capsys):
    trainer, _ = trained(lambda: network(layers.Dense(4)), DATA, "training.trainer=auto")
    assert isinstance(trainer, FittingTrainer)
    assert "in stacks" in capsys.readouterr().out


def test_mirrored_trains_no_layer_that_all_models_share():
    common = layers.Dense(4)
    with pytest.raises(InputError, match=r"/kernel' is made outside of model.build"):
        trained(lambda: network(common), DATA, "training.trainer=mirrored", "training.stack_size=1")


@pytest.mark.parametrize(("make", "reduction"), [
    (OPTIMIZERS["clipped by norm"], "sum"), (OPTIMIZERS["cosine"], "sum_over_batch_size"),
    (lambda: optimizers.Adam(0.1, use_ema=True), "sum_over_batch_size"),
])  # fmt: skip
def test_mirrored_takes_any_optimizer_and_sums(make, reduction):
    def build():
        return network(layers.Dense(5, "relu"), optimizer=make(), loss=entropy(reduction))

    _, (together, _) = trained(build)
    one, (alone,) = trained(build, DATA, "training.trainer=mirrored", "training.stack_size=1")
    assert isinstance(one, MirroredTrainer)
    np.testing.assert_allclose(alone.test.margin, together.test.margin, atol=1e-4)
    assert alone.loss == pytest.approx(together.loss, rel=1e-4)
