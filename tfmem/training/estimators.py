"""Trains models that are no Keras models: anything with `fit` and `predict_proba` or `predict`.

As many models are trained at once as there are cores, each in a process of its own that uses one
thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import joblib
import numpy as np

from tfmem.config import TrainingSettings
from tfmem.datasets import AnyDataset, has_classes
from tfmem.datasets.structured import place_name
from tfmem.messages.errors import InputError
from tfmem.subsets import Trial
from tfmem.subsets.drawing import Purpose
from tfmem.tasks import Scores, Task
from tfmem.tasks.task import accuracy
from tfmem.training.inputs import Inputs, inputs_of, take, targets_of
from tfmem.training.outcome import TrialOutcome, WatcherOf

_EACH = 4  # trials that each process trains before their records are written

Method = Literal["predict_proba", "predict"]
Build = Callable[[], Any]


class Data(NamedTuple):
    """What models are fitted to and predict, as they take it."""

    train: Any
    targets: np.ndarray
    test: Any


class Answers(NamedTuple):
    """What a fitted model says of all training and all test examples.

    Attributes:
      train: `[num_train, ...]`, what `predict_proba` or `predict` returned.
      test: `[num_test, ...]`.
      classes: the classes of the columns of `predict_proba`; None of `predict`.
    """

    train: np.ndarray
    test: np.ndarray
    classes: np.ndarray | None


class EstimatorTrainer:
    """Trains models in processes side by side (see `Trainer`)."""

    def __init__(
        self,
        build: Build,
        dataset: AnyDataset,
        settings: TrainingSettings,
        task: Task | None,
    ) -> None:
        """Prepares the data; processes begin with the first trials.

        Args:
          build: returns a model. Processes get the function itself, so it may live in a notebook.
          dataset: the examples, in memory.
          settings: the number of processes, `lanes`, or one for each core; and `stack_size`.
          task: scores what models return; None where they return classes only.
        """
        self._processes = settings.lanes or joblib.cpu_count()
        self.stack_size = settings.stack_size or _EACH * self._processes
        self._build = build
        self._data = data_of(dataset)
        self._labels = {False: dataset.train_labels, True: dataset.test_labels}
        self._targets = {test: targets_of(dataset, test) for test in (False, True)}
        self._num_classes = len(dataset.class_names) if has_classes(dataset) else 0
        self._task = task

    def train(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], watch: WatcherOf
    ) -> list[TrialOutcome]:
        """Trains some trials; see `Trainer.train`."""
        del watch  # a model says nothing before it is fitted
        with joblib.parallel_config("loky", n_jobs=self._processes, inner_max_num_threads=1):
            answers = joblib.Parallel()(
                joblib.delayed(fit)(self._build, subset, _seed(trial), self._data)
                for trial, subset in zip(trials, subsets, strict=True)
            )
        return [self._outcome(*pair) for pair in zip(answers, subsets, strict=True)]

    def _outcome(self, answers: Answers, subset: np.ndarray) -> TrialOutcome:
        train = self._scores(answers.train, answers.classes, test=False)
        test = self._scores(answers.test, answers.classes, test=True)
        seen = train[subset]
        if seen.margin is not None:
            loss = np.logaddexp(0, -seen.margin).mean()
        elif seen.score is not None:
            loss = -seen.score.mean()
        else:
            loss = 1 - accuracy(seen)
        return TrialOutcome(train, test, float(loss))

    def _scores(self, outputs: np.ndarray, classes: np.ndarray | None, test: bool) -> Scores:
        labels, targets = self._labels[test], self._targets[test]
        if self._task is None:
            return Scores(correct=np.asarray(outputs).reshape(-1) == labels)
        if classes is not None and self._num_classes:
            every = np.zeros((len(outputs), self._num_classes), np.float32)
            every[:, classes.astype(np.int64)] = outputs
            outputs = every
        found = self._task.in_program(labels.astype(np.int32), targets, outputs)
        return self._task.on_host(targets, {name: np.asarray(v) for name, v in found.items()})


def data_of(dataset: AnyDataset) -> Data:
    """The examples of a data set as models take them: `[examples, width]`, or a table of columns.

    Raises:
      InputError: if the examples are not in memory.
    """
    train, test = (_flat(inputs_of(dataset, test)) for test in (False, True))
    targets = targets_of(dataset, test=False)
    if has_classes(dataset):
        targets = dataset.train_labels
    return Data(train, targets, test)


def _flat(inputs: Inputs) -> Any:
    if isinstance(inputs, np.ndarray):
        if inputs.dtype == object and inputs.ndim == 1:  # texts, as vectorizers take them
            return inputs
        return inputs.reshape(len(inputs), math.prod(inputs.shape[1:]))
    import pandas as pd

    named = inputs if isinstance(inputs, Mapping) else {
        place_name(place): values for place, values in enumerate(inputs)
    }  # fmt: skip
    return pd.DataFrame({
        name: list(values) if values.ndim > 1 else values for name, values in named.items()
    })  # fmt: skip


def check_estimator(model: Any, with_classes: bool) -> Method:
    """How a model that a builder returned predicts.

    Args:
      model: what the builder returned.
      with_classes: whether examples have classes.

    Raises:
      InputError: if it is no model.
    """
    can_fit = callable(getattr(model, "fit", None)) and not isinstance(model, type)
    if can_fit and with_classes and callable(getattr(model, "predict_proba", None)):
        return "predict_proba"
    if can_fit and callable(getattr(model, "predict", None)):
        return "predict"
    raise InputError(
        "model.build: expected a compiled Keras model, or a model with fit and predict_proba or "
        f"predict, received {type(model).__name__}: {str(model)[:80]}"
    )


def fit(build: Build, subset: np.ndarray, seed: int, data: Data) -> Answers:
    """Fits a new model to some examples, and lets it predict all.

    Args:
      build: returns the model.
      subset: int64 `[m]`, the examples that it is fitted to.
      seed: of everything that is random: numpy's state, and each parameter `random_state`.
      data: the examples.

    Raises:
      InputError: if the model fails.
    """
    np.random.seed(seed)  # noqa: NPY002 - what models without `random_state` draw from
    model = build()
    with_classes = data.targets.dtype.kind in "iu" and data.targets.ndim == 1
    method = check_estimator(model, with_classes)
    if hasattr(model, "get_params"):
        names = [n for n in model.get_params() if n.split("__")[-1] == "random_state"]
        model.set_params(**dict.fromkeys(names, seed))
    try:
        model.fit(_rows(data.train, subset), data.targets[subset])
        predict = getattr(model, method)
        train = np.asarray(predict(data.train))
        test = np.asarray(predict(data.test)) if len(data.test) else train[:0]
    except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError) as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"model.build: {type(model).__name__} failed on {len(subset)} examples: {said}"
        ) from error
    classes = getattr(model, "classes_", None) if method == "predict_proba" else None
    return Answers(train, test, classes)


def _rows(inputs: Any, chosen: np.ndarray) -> Any:
    return inputs.iloc[chosen] if hasattr(inputs, "iloc") else take(inputs, chosen)


def _seed(trial: Trial) -> int:
    return int(trial.seed_sequence(Purpose.INITIALIZATION).generate_state(1)[0])
