"""Trainers of users' own models: by `fit`, and for models that are no Keras models."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_breast_cancer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeRegressor

from tests.helpers.trials import unwatched
from tfmem.config import TaskSettings, from_yaml
from tfmem.datasets import Dataset, StructuredDataset
from tfmem.datasets.given import given_dataset
from tfmem.messages.errors import InputError
from tfmem.store.labels import WITHOUT_CLASSES
from tfmem.subsets import Trial
from tfmem.tasks.classes import ClassTask
from tfmem.tasks.numbers import RegressionTask
from tfmem.training import estimators
from tfmem.training.estimators import EstimatorTrainer
from tfmem.training.fit import FitTrainer
from tfmem.training.keras_models import trainer_of_any

SETTINGS = from_yaml("", ["training.epochs=2", "training.batch_size=32"]).training
ALL = np.arange(400)


@pytest.fixture(scope="module")
def cancer():
    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x).astype(np.float32)
    return Dataset("cancer", x[:400], y[:400], x[400:], y[400:], ("malignant", "benign"), 1)


def network(outputs=2, last=None, dropout=0.0, loss=None):
    def build():
        model = keras.Sequential([
            keras.Input((30,)),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(outputs, last),
        ])  # fmt: skip
        ours = keras.losses.SparseCategoricalCrossentropy(from_logits=last is None)
        model.compile(keras.optimizers.Adam(0.01), loss or ours)
        return model

    return build


def fitted(build, data, trial, subset=ALL[:300], task=None, **more):
    trainer = FitTrainer(build, data, SETTINGS, task or TaskSettings(), **more)
    (outcome,) = trainer.train([Trial(trial, 0)], [subset], unwatched)
    return outcome, trainer


def test_fit_trains_as_a_loop_by_hand_and_every_trial_by_its_seed_alone(cancer):
    build = network(dropout=0.3)
    first, trainer = fitted(build, cancer, 5)
    other, again = (trainer.train([Trial(k, 0)], [ALL[:300]], unwatched)[0] for k in (6, 5))
    np.testing.assert_array_equal(first.train.margin, again.train.margin)
    assert (first.test.margin != other.test.margin).any()
    assert first.loss == again.loss
    logits = trainer.model.predict(cancer.test_images, verbose=0)
    own = np.arange(2) == cancer.test_labels[:, None]
    np.testing.assert_allclose(again.test.margin, logits[own] - logits[~own], rtol=1e-4, atol=1e-4)
    assert again.test.correct.mean() > 0.8


class Random(keras.layers.Layer):
    """Draws from a generator that no seed of the layer decides."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def call(self, x):
        return x + self.draw(tf.shape(x))


class Counting(keras.layers.Layer):
    """Changes a variable that Keras does not know."""

    def build(self, shape):
        self.count = tf.Variable(0.0)

    def call(self, x):
        return x + self.count.assign_add(0.1)


slow = pytest.mark.slow
STATES = {
    "keras.random": lambda: Random(keras.random.normal),
    "tf.random": lambda: Random(tf.random.normal),
    "numpy while traced": lambda: Random(lambda shape: np.random.normal()),  # noqa: NPY002
    "another variable": Counting,
    "optimizer": lambda: keras.layers.Dropout(0.5),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=slow if n in list(STATES)[1:4] else ()) for n in STATES]
)
def test_what_programs_keep_follows_from_the_trial_alone(name, cancer, capsys):
    def build():
        model = keras.Sequential([keras.Input((30,)), STATES[name](), keras.layers.Dense(2)])
        optimizer = keras.optimizers.Adam(0.1)
        if name == "optimizer":  # begins with the weights
            optimizer = getattr(keras.optimizers, "ScheduleFreeAdamW", keras.optimizers.Adam)(0.1)
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    first, trainer = fitted(build, cancer, 0)
    (after,) = trainer.train([Trial(1, 0)], [ALL[:300]], unwatched)
    alone, _ = fitted(build, cancer, 1)
    np.testing.assert_array_equal(after.test.margin, alone.test.margin)
    assert after.loss == alone.loss != first.loss
    assert ("traced anew" in capsys.readouterr().out) == (name != "optimizer")


@pytest.mark.parametrize("kept", [False, True])
def test_a_layer_that_all_models_share_begins_anew_in_each_trial(kept, cancer):
    shared = keras.Sequential([keras.Input((30,)), keras.layers.Dense(8, "relu")])
    first_weights = shared.get_weights()[0]

    def build():
        random = [Random(keras.random.normal)] if kept else []  # is traced anew in each trial
        model = keras.Sequential([keras.Input((30,)), shared, *random, keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.1), loss)
        return model

    first, trainer = fitted(build, cancer, 0)
    np.testing.assert_array_equal(shared.get_weights()[0], first_weights)
    (after,) = trainer.train([Trial(1, 0)], [ALL[:300]], unwatched)
    (again,) = trainer.train([Trial(0, 0)], [ALL[:300]], unwatched)
    np.testing.assert_array_equal(again.test.margin, first.test.margin)
    assert after.loss != first.loss == again.loss


@pytest.mark.parametrize("trainer", ["fit", "auto"])
def test_a_model_that_returns_several_arrays_is_refused(trainer, cancer):
    def build():
        inputs = keras.Input((30,))
        ends = {name: keras.layers.Dense(2, name=name)(inputs) for name in "ab"}
        model = keras.Model(inputs, ends)
        model.compile("sgd", dict.fromkeys("ab", keras.losses.SparseCategoricalCrossentropy(True)))
        return model

    config = from_yaml("", [f"training.trainer={trainer}"])
    with pytest.raises(InputError, match=r"expected a model that returns one array, .* dict of 2"):
        trainer_of_any(build, config, cancer)


def test_probabilities_are_not_put_through_a_softmax_twice(cancer):
    outcome, trainer = fitted(network(last="softmax"), cancer, 0)
    p = trainer.model.predict(cancer.test_images, verbose=0)[np.arange(169), cancer.test_labels]
    np.testing.assert_allclose(1 / (1 + np.exp(-outcome.test.margin)), p, rtol=1e-4)


def test_fit_needs_no_test_examples(cancer):
    alone = cancer.keep(ALL, ALL[:0])
    outcome, _ = fitted(network(), alone, 0)
    with_test, _ = fitted(network(), cancer, 0)
    assert len(outcome.test.margin) == 0
    np.testing.assert_array_equal(outcome.train.margin, with_test.train.margin)


def test_a_loss_that_takes_probabilities_refuses_logits(cancer):
    wrong = network(loss="sparse_categorical_crossentropy")
    with pytest.raises(InputError, match="from_logits=True"):
        fitted(wrong, cancer, 0)


def test_a_model_with_its_own_train_step_one_output_and_callbacks(cancer):
    calls = []

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            calls.append(1)
            return super().train_step(data)

    def build():
        model = Own()
        model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
        return model

    seen = []
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    weights = np.arange(400) / 400
    arguments = {"callbacks": [stop], "sample_weight": weights}
    outcome, _ = fitted(build, cancer, 0, fit_arguments=lambda: arguments)
    assert calls
    assert seen == [0, 1]
    np.testing.assert_array_equal(outcome.test.correct, outcome.test.margin > 0)
    with pytest.raises(InputError, match=r"sample_weight.*400 training examples, received 3"):
        fitted(build, cancer, 0, fit_arguments=lambda: {"sample_weight": [1, 2, 3]})
    with pytest.raises(InputError, match="'epochs'"):
        fitted(build, cancer, 0, fit_arguments=lambda: {"epochs": 3})


def test_inputs_with_names_and_a_score_of_the_user(cancer):
    data = StructuredDataset(
        "columns",
        {"age": cancer.train_images[:, 0], "kind": np.array(["a", "b"] * 200)},
        np.zeros(400, np.int64),
        {"age": cancer.test_images[:, 0], "kind": np.array(["a"] * 169)},
        np.zeros(169, np.int64),
        WITHOUT_CLASSES,
        train_targets=2 * cancer.train_images[:, 0],
        test_targets=2 * cancer.test_images[:, 0],
        has_classes=False,
    )

    def build():
        age, kind = keras.Input((), name="age"), keras.Input((), dtype="string", name="kind")
        known = keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(kind)
        both = keras.layers.Concatenate()([keras.layers.Reshape((1,))(age), known])
        model = keras.Model({"age": age, "kind": kind}, keras.layers.Dense(1)(both))
        model.compile("sgd", "mse")
        return model

    outcome, trainer = fitted(build, data, 0)
    inputs = {**data.test_inputs, "kind": tf.constant(["a"] * 169)}
    predicted = trainer.model.predict(inputs, verbose=0)[:, 0]
    expected = -((predicted - data.test_targets) ** 2)
    np.testing.assert_allclose(outcome.test.score, expected, rtol=1e-4, atol=1e-6)
    assert outcome.test.correct is None
    assert outcome.test.name == "squared_error"


logistic = functools.partial(LogisticRegression, C=0.1)


def test_models_of_scikit_learn_train_in_processes_as_by_hand(cancer):
    trainer = EstimatorTrainer(logistic, cancer, SETTINGS, ClassTask("probabilities"))
    subsets = [ALL[:300], ALL[100:]]
    found = trainer.train([Trial(k, 0) for k in range(2)], subsets, unwatched)
    for outcome, subset in zip(found, subsets, strict=True):
        model = logistic().fit(cancer.train_images[subset], cancer.train_labels[subset])
        p = model.predict_proba(cancer.test_images)[np.arange(169), cancer.test_labels]
        np.testing.assert_allclose(1 / (1 + np.exp(-outcome.test.margin)), p, rtol=1e-4)
        hits = model.predict(cancer.train_images) == cancer.train_labels
        np.testing.assert_array_equal(outcome.train.correct, hits)
        assert outcome.loss == pytest.approx(
            -np.log(model.predict_proba(cancer.train_images[subset])[
                np.arange(300), cancer.train_labels[subset]]).mean(), rel=1e-4)  # fmt: skip


def test_classes_only_numbers_and_models_that_fail(cancer):
    (classes,) = EstimatorTrainer(LinearSVC, cancer, SETTINGS, None).train(
        [Trial(0, 0)], [ALL[:300]], unwatched
    )
    assert classes.train.margin is None
    assert classes.test.correct.mean() > 0.8
    numbers = Dataset(
        "numbers", cancer.train_images, np.zeros(400, np.int64), cancer.test_images[:0],
        np.zeros(0, np.int64), WITHOUT_CLASSES, 1, train_targets=cancer.train_images[:, 3],
        test_targets=np.zeros(0, np.float32), has_classes=False,
    )  # fmt: skip
    (tree,) = EstimatorTrainer(DecisionTreeRegressor, numbers, SETTINGS, RegressionTask()).train(
        [Trial(0, 0)], [ALL[:300]], unwatched
    )
    assert (tree.train.score[:300] == 0).all()  # a whole tree knows its own examples
    assert (tree.train.score[300:] < 0).any()
    assert len(tree.test.score) == 0
    one_class = np.flatnonzero(cancer.train_labels == 1)[:50]
    trainer = EstimatorTrainer(logistic, cancer, SETTINGS, ClassTask("probabilities"))
    with pytest.raises(InputError, match=r"LogisticRegression failed on 50 examples.*class"):
        trainer.train([Trial(0, 0)], [one_class], unwatched)


def test_texts_without_a_name_reach_models_as_an_array_and_those_with_one_by_name():
    texts, labels = ["good day", "bad day", "good night", "bad night"] * 10, [1, 0, 1, 0] * 10
    alone = given_dataset("texts", (texts, labels), (texts[:4], labels[:4]))
    named = given_dataset("texts", ({"said": texts}, labels), ({"said": texts[:4]}, labels[:4]))

    def counted():
        return make_pipeline(CountVectorizer(), LogisticRegression())

    found = estimators.fit(counted, np.arange(40), 0, estimators.data_of(alone))
    assert (found.test.argmax(axis=1) == alone.test_labels).all()
    for data, names in ((alone, None), (named, "said")):

        def build(names=names):
            text = keras.Input((), dtype="string", name=names)
            words = keras.layers.StringLookup(vocabulary=sorted(set(texts)), output_mode="one_hot")
            outputs = keras.layers.Dense(2, "softmax")(words(text))
            model = keras.Model({names: text} if names else text, outputs)
            model.compile("adam", "sparse_categorical_crossentropy")
            return model

        inputs = fitted(build, data, 0, subset=np.arange(30))[1].model.input
        assert isinstance(inputs, dict) == bool(names)
