"""Trains one Keras model at a time by its own `fit`, which trains whatever Keras trains.

A model is built anew for each trial, under the trial's seed. TensorFlow need not trace its programs
anew: they run on the first trial's model, which gets the variables of the new one and of its
optimizer. A model whose programs keep more than variables is traced anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from tfmem.config import TaskSettings, TrainingSettings
from tfmem.config.functions import users_own
from tfmem.datasets import AnyDataset, Dataset, StructuredDataset
from tfmem.messages.backends import backend
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.models.outputs import check_probabilities, output_kind
from tfmem.subsets import Trial
from tfmem.subsets.drawing import Purpose
from tfmem.tasks import Scores
from tfmem.training.builder import Builder, alike, said, shared
from tfmem.training.epochs import EVALUATION_BATCH, evaluation_batch, joined
from tfmem.training.inputs import inputs_of, take, targets_of
from tfmem.training.outcome import TrialOutcome, Watcher, WatcherOf
from tfmem.training.scoring import check_outputs, task_for
from tfmem.training.sizes import are_too_large, bytes_of
from tfmem.training.traces import Traces, tracing_unsaid

_AT_ONCE = 128 * EVALUATION_BATCH  # examples whose outputs are held
_BYTES_AT_ONCE = 256 << 20  # of their inputs, if these are read from disk
_OURS = {"x", "y", "epochs", "batch_size", "verbose"}  # arguments of `fit` that tfmem gives

FitArguments = Callable[[], Mapping[str, Any]]


class FitTrainer:
    """Trains one model after the other with `model.fit` (see `Trainer`)."""

    stack_size = 1

    def __init__(
        self,
        build: Callable[[], keras.Model],
        dataset: AnyDataset,
        settings: TrainingSettings,
        task: TaskSettings,
        fit_arguments: FitArguments | None = None,
    ) -> None:
        """Builds the model, and finds out what it returns.

        Args:
          build: returns a compiled model.
          dataset: the examples, in memory or behind memory maps.
          settings: epochs, batch size, and the share of free memory that examples may take.
          task: what the model is trained for.
          fit_arguments: returns what else `fit` is called with, anew for each trial. The sample
            weights among it are those of all training examples.

        Raises:
          InputError: if arguments of `fit` are tfmem's own or do not fit the data, or if model,
            targets and task do not go together.
        """
        self._settings = settings
        self._train = inputs_of(dataset, test=False)
        self._test = inputs_of(dataset, test=True)
        self._targets = {test: targets_of(dataset, test) for test in (False, True)}
        self._labels = {False: dataset.train_labels, True: dataset.test_labels}
        self._fit_arguments = fit_arguments or dict
        self._check_arguments(self._given())
        self._first = self._part(False, slice(0, 2))
        self._build = Builder(build, self._first)
        self._in_memory, self._at_once = True, _AT_ONCE
        if isinstance(dataset, Dataset | StructuredDataset) and are_too_large(dataset, settings):
            self._in_memory = False
            batches = _BYTES_AT_ONCE // (EVALUATION_BATCH * max(1, bytes_of(dataset)))
            self._at_once = EVALUATION_BATCH * min(max(1, batches), _AT_ONCE // EVALUATION_BATCH)
        self.model, other = alike(self._build)
        self._shared = [(each, each.numpy()) for each in shared(self.model, other)]
        with _failures("the model fails on examples"):
            outputs = self.model.predict(self._first, verbose=0)
        shape = np.shape(outputs)[1:] if isinstance(outputs, np.ndarray) else ()
        self._batch = evaluation_batch(shape)
        if self._batch < EVALUATION_BATCH:
            self._at_once = min(self._at_once, self._batch)
        self._kind = output_kind(self.model)
        self._task = task_for(task, dataset, shape, self._kind)
        check_outputs(outputs, self._task)
        self._traces: Traces | None = None

    def _given(self) -> Mapping[str, Any]:
        with users_own("training.fit_arguments: the function"):
            return self._fit_arguments()

    def _check_arguments(self, given: Mapping[str, Any]) -> None:
        if wrong := sorted(_OURS & given.keys()):
            raise InputError(
                f"fit_arguments: expected arguments of `fit` beside {', '.join(sorted(_OURS))}, "
                f"which tfmem gives, received {wrong[0]!r}"
            )
        weights, count = given.get("sample_weight"), len(self._labels[False])
        if weights is not None and len(weights) != count:
            raise InputError(
                f"fit_arguments: sample_weight: expected one for each of the {count} training "
                f"examples, received {len(weights)}"
            )

    def _built(self, seed: int) -> keras.Model:
        """A model that is built under a seed, with all its variables and those of its optimizer.

        An optimizer that Keras builds while it traces may lose its first values.
        """
        model = self._build(seed)
        model.optimizer.build(model.trainable_variables)
        return model

    def _begin(self, trial: Trial) -> None:
        """Gives the trainer the model of a trial, whose seed decides its variables."""
        fresh = self._built(_seed(trial, 0))
        if self._traces is None or self._traces.keep_state:
            self.model = fresh
        else:
            _copy(fresh, self.model)
        keras.utils.set_random_seed(_seed(trial, 1))

    def train(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], watch: WatcherOf
    ) -> list[TrialOutcome]:
        """Trains one trial; see `Trainer.train`."""
        with self.trained(trials, subsets, watch) as outcome:
            return [outcome]

    @contextmanager
    def trained(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], watch: WatcherOf
    ) -> Iterator[TrialOutcome]:
        """Trains one trial as `train` does; within the context, `model` has the trained weights.

        After it, layers that were made outside of the function that builds models are as they were.
        """
        (trial,), (subset,) = trials, subsets
        try:
            yield self._outcome(trial, subset, watch(trials))
        finally:  # an interrupted trial leaves a user's own layers as they were, too
            for variable, first in self._shared:
                variable.assign(first)

    def _outcome(self, trial: Trial, subset: np.ndarray, watcher: Watcher) -> TrialOutcome:
        self._begin(trial)
        if self._traces is not None:
            with tracing_unsaid():
                return self._trained(trial, subset, watcher)
        traces = Traces()
        with traces.watched(self.model):
            outcome = self._trained(trial, subset, watcher)
        self._traces = traces
        if traces.keep_state and not self.model.run_eagerly:
            say(
                "model: built and traced anew in each trial, because its steps draw random numbers "
                "without a keras.random.SeedGenerator, or change what Keras does not know"
            )
        return outcome

    def _trained(self, trial: Trial, subset: np.ndarray, watcher: Watcher) -> TrialOutcome:
        given = dict(self._given())
        given |= self._examples(trial, subset, given)
        given |= {"epochs": self._settings.epochs, "verbose": 0}
        given["callbacks"] = [*given.get("callbacks", ()), _Told(watcher)]
        with _failures("its fit fails on examples"):
            history = self.model.fit(**given)
        losses = history.history.get("loss", [np.nan])
        outcome = TrialOutcome(self._scores(False), self._scores(True), float(losses[-1]))
        seen = outcome.train.margin if outcome.train.score is None else outcome.train.score
        if seen is not None and np.isnan(seen).all():  # the last step spoilt the weights
            return TrialOutcome(outcome.train, outcome.test, float("nan"))
        return outcome

    def _examples(
        self, trial: Trial, subset: np.ndarray, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The arguments of `fit` that say what a trial is trained on."""
        targets, size = self._targets[False], self._settings.batch_size
        weights = given.get("sample_weight")
        weights = None if weights is None else np.asarray(weights)
        if self._in_memory:
            found = {"x": self._part(False, subset), "y": targets[subset], "batch_size": size}
            return found if weights is None else {**found, "sample_weight": weights[subset]}
        if given.get("validation_split"):
            raise InputError(
                "fit_arguments: validation_split: expected none where examples are read from disk "
                "(training.memory_share); give validation_data"
            )

        shuffled = given.get("shuffle", True)

        def order(epoch: int) -> np.ndarray:
            return trial.epoch_order(subset, epoch) if shuffled else subset

        def read(chosen: np.ndarray) -> tuple[Any, ...]:
            more = () if weights is None else (weights[chosen],)
            return self._part(False, chosen), targets[chosen], *more

        batches = ReadBatches(read, order, len(subset), size)
        begins = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs=None: batches.begin(epoch)
        )
        callbacks = [*given.get("callbacks", ()), begins]
        return {"x": batches, "shuffle": False, "sample_weight": None, "callbacks": callbacks}

    def _scores(self, test: bool) -> Scores:
        labels, targets = self._labels[test], self._targets[test]
        parts = []
        for start in range(0, len(labels), self._at_once):
            part = slice(start, start + self._at_once)
            parts.append(self._found(self._part(test, part), labels[part], targets[part]))
        if not parts:  # neither Keras nor tasks take an empty batch
            some = self._found(self._first, self._labels[False][:2], self._targets[False][:2])
            parts = [{name: values[:0] for name, values in some.items()}]
        return self._task.on_host(targets, joined(parts))

    def _found(self, inputs: Any, labels: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        """What the task computes of the model's outputs for some examples, by name."""
        outputs = self.model.predict(inputs, self._batch, verbose=0)
        if self._kind == "probabilities" and isinstance(outputs, np.ndarray):
            check_probabilities(outputs)
        found = self._task.in_program(labels.astype(np.int32), targets, outputs)
        return {name: np.asarray(values) for name, values in found.items()}

    def _part(self, test: bool, chosen: np.ndarray | slice) -> Any:
        """The inputs of some examples, as `fit` and `predict` take them."""
        part = take(self._test if test else self._train, chosen)
        return keras.tree.map_structure(_tensor, part)


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """Says in one sentence that a user's model fails."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise InputError(f"model.build: {what}: {said(error)}") from error


def _copy(source: keras.Model, target: keras.Model) -> None:
    """Gives a model the variables of another, and its optimizer those of the other's.

    The first values of an optimizer may be made of weights.
    """
    new, old = ([*model.variables, *model.optimizer.variables] for model in (source, target))
    for variable, value in zip(old, new, strict=True):
        variable.assign(value)


class ReadBatches(keras.utils.PyDataset):
    """Batches of a subset, which are read while `fit` runs, in another order in each epoch."""

    def __init__(
        self,
        read: Callable[[np.ndarray], tuple[Any, ...]],
        order: Callable[[int], np.ndarray],
        count: int,
        batch_size: int,
    ) -> None:
        """Begins the first epoch.

        Args:
          read: returns inputs, targets and perhaps weights of some examples.
          order: returns the examples, int64 `[count]`, in the order of an epoch.
          count: number of examples.
          batch_size: number of examples in a batch; the last may have fewer.
        """
        super().__init__()
        self._read, self._order = read, order
        self._count, self._batch_size = count, batch_size
        self._current = order(0)

    def __len__(self) -> int:
        return -(-self._count // self._batch_size)

    def __getitem__(self, batch: int) -> tuple[Any, ...]:
        start = batch * self._batch_size
        return self._read(self._current[start : start + self._batch_size])

    def begin(self, epoch: int) -> None:
        """Takes the order of an epoch.

        Keras' own `on_epoch_end` does not count epochs: it is also called while a model is built.
        """
        self._current = self._order(epoch)


def _tensor(values: np.ndarray) -> Any:
    """Strings as a tensor, because `fit` takes no arrays of them; other arrays as they are.

    Raises:
      InputError: if they are strings, and Keras does not run on TensorFlow.
    """
    if values.dtype != object:
        return values
    if (on := backend()) != "tensorflow":
        raise InputError(
            f"texts: expected Keras' backend 'tensorflow', received {on!r}, whose models take "
            "numbers only"
        )
    import tensorflow as tf

    return tf.constant(values)


def _seed(trial: Trial, number: int) -> int:
    """A seed of 32 bits: 0 for the weights, 1 for what is random in training."""
    purpose = Purpose.ORDER if number else Purpose.INITIALIZATION
    return int(trial.seed_sequence(purpose).generate_state(1)[0])


class _Told(keras.callbacks.Callback):
    """Tells a watcher of each epoch."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss", np.nan)
        self._watcher.after_epoch(epoch, np.array([loss], float), ())
