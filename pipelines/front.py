"""The front door: what has *my* model memorized, in one call from Python."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tfmem.config import Config, from_yaml
from tfmem.config.functions import reference
from tfmem.config.steps import TaskName
from tfmem.datasets.given import given_dataset
from tfmem.datasets.saved import save_dataset, saved_fingerprint
from tfmem.experiments import sections
from tfmem.messages.errors import InputError
from tfmem.messages.quiet import own_process
from tfmem.pipelines.memorization import memorization
from tfmem.pipelines.opened import Run, load_run
from tfmem.pipelines.runner import run_chain
from tfmem.training import check_directory
from tfmem.training.backend_choice import with_chosen_backend
from tfmem.training.digests import with_digests

_DATA = "data"  # folder of the examples in that of the run


def run(
    build: Callable[..., Any],
    train: Any,
    test: Any = None,
    *,
    trials: int = 500,
    fraction: float = 0.7,
    epochs: int = 20,
    batch_size: int = 32,
    out: str | os.PathLike[str] = "runs/mine",
    task: TaskName = "auto",
    score: str | Callable[[Any, Any], Any] | None = None,
    trainer: Literal["auto", "stacked", "mirrored", "fit"] = "auto",
    seed: int = 0,
    label: str | None = None,
    ids: Sequence[Any] | None = None,
    test_ids: Sequence[Any] | None = None,
    class_names: Sequence[str] | None = None,
    arguments: Mapping[str, Any] | None = None,
    fit_arguments: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    ignore_source: bool = False,
) -> Run:
    """Trains a model `trials` times on random subsets, and estimates what it memorized.

    Memorization of a training example is how much more often models are right on it that were
    trained with it than those that were trained without; influence on a test example likewise
    (Feldman & Zhang 2020, Alg. 1). The same call continues a run that was interrupted::

        import keras, tfmem

        def build():
            model = keras.Sequential([
                keras.Input((30,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(2)
            ])
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.AdamW(1e-3), loss)
            return model

        run = tfmem.run(build, (x_train, y_train), (x_test, y_test), out="runs/mine")
        run.memorization

    Args:
      build: returns the model, anew at each call: a compiled Keras model, or anything with `fit`
        and `predict_proba` or `predict`.
      train: training examples: `(inputs, targets)` of arrays, a DataFrame with `label`, a finite
        `tf.data.Dataset`, a `keras.utils.PyDataset`, an object with a length whose items are
        examples, or the name of a data set of TFDS or of tfmem's own (`digits`). Examples may be
        larger than memory (see the documentation of own models).
      test: test examples in the same form; None estimates memorization only.
      trials: number of models `t`.
      fraction: share of the training examples that each model is trained on, `m/n`.
      epochs: passes over its subset that a Keras model is trained for.
      batch_size: number of examples in a step.
      out: folder for all results, and for a copy of the examples.
      task: what models are trained for; `auto` takes what targets look like.
      score: what a model gets right of an example, by name or as a function of true values and
        outputs (numpy arrays) that returns a number for each example; more is better. None is the
        task's first: whether the prediction is right, or minus the squared error.
      trainer: `fit` calls the model's `fit`; `stacked` trains many models in one program, with the
        same result; `auto` takes `stacked` where it can; `mirrored` spreads one model over devices.
      seed: decides subsets, first weights and orders.
      label: the column of a DataFrame that holds the targets, or their name where examples are
        dictionaries.
      ids: your names of the training examples, shown in tables and on pages.
      test_ids: those of the test examples.
      class_names: names of the classes, in the order of their numbers.
      arguments: keyword arguments of `build`, of types that JSON has.
      fit_arguments: what else `fit` is called with (callbacks, class weights, sample weights of all
        training examples), or a function that returns it, called anew for each trial.
      settings: other settings of a run by dotted name, such as `{"selection.influence": 0.2}`.
      ignore_source: whether a run is continued although the module of `build` has changed.

    Returns:
      The run; its tables are pandas DataFrames.

    Raises:
      InputError: if an argument cannot be used, or `out` holds a run with other data, another model
        or other settings; the error says what differs.
    """
    if not callable(build) or (hasattr(build, "fit") and not isinstance(build, type)):
        raise InputError(
            "build: expected a function that returns a new compiled model at each call, received "
            f"{type(build).__name__}"
        )
    own_process()  # TensorFlow is imported as quietly as on the command line
    folder = Path(out)
    if isinstance(train, str):
        data = None
        dataset: dict[str, Any] = {"name": train}
        if test is not None:
            raise InputError(f"test: expected none, because {train!r} has its own")
    else:
        data = given_dataset(
            folder.absolute().name, train, test, label=label, task=task, ids=ids,
            test_ids=test_ids, class_names=class_names, folder=_nearest(folder),
        )  # fmt: skip
        dataset = {"name": "saved", "data_dir": str((folder / _DATA).absolute())}
    tree = {
        "seed": seed,
        "dataset": dataset,
        "model": {
            "name": "python",
            "build": reference(build),
            "arguments": dict(arguments or {}),
            "ignore_source": ignore_source,
        },
        "task": {"name": task, "score": reference(score) if callable(score) else score},
        "training": {
            "trials": trials,
            "fraction": fraction,
            "epochs": epochs,
            "batch_size": batch_size,
            "trainer": trainer,
            "fit_arguments": None if fit_arguments is None else reference(_anew(fit_arguments)),
        },
    }
    config = _read(tree, settings or {})
    _check_read(config, settings or {}, folder)
    config.check_trainable("tfmem.run")
    config = with_digests(with_chosen_backend(config, folder, in_this_program=True))
    check_directory(folder / "predictions", config)
    if data is not None:
        there = saved_fingerprint(folder / _DATA)
        if there not in (None, data.fingerprint):
            raise InputError(
                f"out: {folder} holds a run with other data: choose another folder, or give the "
                "same examples in the same order"
            )
        if there is None:
            save_dataset(data, folder / _DATA)
        del data  # frees the disk that it may take
    run_chain(memorization(config), folder)
    return load_run(folder)


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest of those above it that exists."""
    return next(each for each in (folder, *folder.absolute().parents) if each.is_dir())


def _read(tree: Mapping[str, Any], settings: Mapping[str, Any]) -> Config:
    """Checks settings as those of a file are checked."""
    try:
        text = json.dumps(tree)
        changed = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    except TypeError as error:
        raise InputError(f"arguments, settings: expected values that JSON has: {error}") from None
    return from_yaml(text, changed, "tfmem.run", sections)


def _check_read(config: Config, settings: Mapping[str, Any], folder: Path) -> None:
    """Refuses settings that no step of a run reads, because the run would not keep them."""
    sections = {name for step in memorization(config) for name in step.component.sections}
    for key, value in settings.items():
        if key.split(".")[0] not in sections:
            raise InputError(
                f"settings: expected those of a run, received {key!r}, which commands read: give "
                f"it to them, as in `tfmem … {folder} --set {key}={json.dumps(value)}`"
            )


def _anew(given: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> Callable[[], Any]:
    """A function that returns arguments of `fit` for one trial, with callbacks of its own."""
    if callable(given):
        return given
    first = dict(given)

    def arguments() -> dict[str, Any]:
        weights = {k: v for k, v in first.items() if k in ("sample_weight", "validation_data")}
        return {**copy.deepcopy({k: v for k, v in first.items() if k not in weights}), **weights}

    return arguments
