"""Shows which training examples the predictions of some test examples are attributed to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.aggregation.held_outputs import outputs_in
from tfmem.components.train_on_all import TRAIN_ON_ALL
from tfmem.config import Config, Statistic, TestMethod
from tfmem.datamodels.influence import influence_on
from tfmem.datamodels.lasso import lasso
from tfmem.datamodels.outputs import SubsetOutputs
from tfmem.datamodels.ridge import ridge
from tfmem.datasets import AnyDataset, has_classes, ids_of, load
from tfmem.datasets.pictures import Pictures
from tfmem.exchange.score_files import open_scores
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import load_run
from tfmem.figures import save
from tfmem.figures.attributed_tests import AttributedTest, attributed_tests
from tfmem.messages.errors import InputError
from tfmem.messages.numbers import four
from tfmem.pipelines.attributing import FROM_TRIALS
from tfmem.pipelines.experiments import page
from tfmem.pipelines.gradient_attribution import BY_GRADIENTS, check_same_data, load_same, scores_by
from tfmem.pipelines.runner import configured, run_chain
from tfmem.store.artifacts import AttributedTests, Figures, Predictions, TrainedModel

MOST_TESTS = 32  # a figure has a row for each
_MOST_DRAWN = 4  # training examples on either side of a row of the figure
QUESTION = "Which training examples do these test predictions come from?"


@dataclass(frozen=True)
class TestScores:
    """Scores of all training examples for some test examples.

    Attributes:
      method: the name of the method.
      tests: int64 `[tests]`, the test examples.
      values: float64 `[num_train, tests]`, positive where the training example helps; NaN where
        nothing is known.
      stderr: float64 `[num_train, tests]`; None if the method has no errors.
      made_from: what the scores were made from, in words.
    """

    method: str
    tests: np.ndarray
    values: np.ndarray
    stderr: np.ndarray | None
    made_from: str


def scores_for(
    method: TestMethod,
    config: Config,
    folder: Path,
    tests: Sequence[int],
    statistic: Statistic | None = None,
) -> TestScores:
    """Scores of all training examples for some test examples, by a method.

    Args:
      method: `influence`, `datamodel` and `sparse-datamodel` come from the trials of a run; the
        others from models that are trained for them unless the folder has them.
      config: the settings.
      folder: the folder of the run, or any other for the methods that need no trials.
      tests: numbers of test examples.
      statistic: the output of trials that is attributed, as in `outputs_in`.

    Raises:
      InputError: if there are no such test examples, or no trials, or a method cannot attribute the
        predictions of such models.
    """
    asked = list(dict.fromkeys(tests))
    if not 0 < len(asked) <= MOST_TESTS:
        raise InputError(f"--test: expected from 1 to {MOST_TESTS} numbers, received {len(asked)}")
    check_same_data(config, folder)
    if method in FROM_TRIALS:
        if not (folder / Predictions.place).is_dir():
            raise InputError(
                f"{folder}: method {method} compares the trials of a run, and there are none: make "
                "them with `tfmem train`, or choose self-influence, trak or tracin"
            )
        held = outputs_in(folder / Predictions.place, statistic)
        chosen = _chosen(asked, held.test.shape[1])
        given = replace(held, test=held.test[:, chosen]).by_subset()
        said = f"the {held.measure} of {len(given.each):,} models on {len(given):,} subsets"
        return TestScores(method, chosen, *_by_trials(method, given), said)
    if statistic is not None:
        raise InputError(
            f"--statistic {statistic}: expected none with method {method}, which attributes what "
            "its own models say"
        )
    config.check_trainable(method)
    dataset = load_same(config, folder)
    chosen = _chosen(asked, len(dataset.test_labels))
    if method == "self-influence":
        values = _of_one_model(config, dataset, folder, chosen)
        return TestScores(method, chosen, values, None, "one model that was trained on all")
    path, models = scores_by(BY_GRADIENTS[method], config, folder)
    shape = len(dataset.train_labels), len(dataset.test_labels)
    opened = open_scores(path, shape, "train-test")
    columns = [opened.columns(slice(test, test + 1)) for test in chosen.tolist()]
    said = f"{models} model{'s' if models > 1 else ''} trained for them"
    return TestScores(method, chosen, np.hstack(columns).astype(np.float64), None, said)


def ranked(found: TestScores, dataset: AnyDataset, top: int) -> pd.DataFrame:
    """A table of the training examples that help or harm each test example most.

    Args:
      found: the scores.
      dataset: the examples.
      top: most training examples on either side; those on the side of helpful ones have scores
        above 0, the others below 0.

    Returns:
      `test_index`, `test_label`, `effect` (`helpful`, `harmful`), `rank` from 1, `train_index`,
      `train_label`, `score`, and `stderr` where the method has errors; `test_id` and `train_id`
      where the examples have names.
    """
    ids = {split: ids_of(dataset, split) for split in ("train", "test")}
    rows = []
    for place, test in enumerate(found.tests.tolist()):
        scores = found.values[:, place]
        for effect, sign in (("helpful", 1), ("harmful", -1)):
            gain = np.where(np.isnan(scores), 0, sign * scores)
            best = np.argsort(-gain, kind="stable")[:top]
            for rank, train in enumerate(best[gain[best] > 0].tolist(), start=1):
                row = {
                    "test_index": test,
                    "test_label": _label(dataset, "test", test),
                    "effect": effect,
                    "rank": rank,
                    "train_index": train,
                    "train_label": _label(dataset, "train", train),
                    "score": scores[train],
                }
                if found.stderr is not None:
                    row["stderr"] = found.stderr[train, place]
                for split, index in (("test", test), ("train", train)):
                    if (names := ids[split]) is not None:
                        row[f"{split}_id"] = str(names[index])
                rows.append(row)
    if not rows:
        raise InputError(f"{found.method}: all scores of these test examples are 0 or unknown")
    return pd.DataFrame(rows)


def show(found: TestScores, config: Config, folder: Path, top: int) -> pd.DataFrame:
    """Writes table, figure and sentences of attributed test examples, and the page.

    Args:
      found: the scores.
      config: the settings.
      folder: folder of the run; what its `attributed_tests` held before is replaced.
      top: see `ranked`.

    Returns:
      The table.
    """
    dataset = _dataset(config, folder)
    table = ranked(found, dataset, top)
    rows, said = [], [f"Scores by {found.method}, from {found.made_from}."]
    for number, of_test in table.groupby("test_index", sort=False):
        helpful, harmful = (of_test[of_test["effect"] == each] for each in ("helpful", "harmful"))
        drawn = pd.concat([side.head(_MOST_DRAWN) for side in (helpful, harmful)])
        name = str(of_test["test_label"].iloc[0])
        rows.append(
            AttributedTest(
                int(str(number)), name, drawn["train_index"].to_numpy(), drawn["score"].to_numpy(),
                drawn["train_label"].astype(str).tolist(),
            )
        )  # fmt: skip
        parts = [
            f"training example {side['train_index'].iloc[0]} ({side['train_label'].iloc[0]}) "
            f"{verb} most, with {four(side['score'].iloc[0])}"
            for side, verb in ((helpful, "helps"), (harmful, "harms"))
            if len(side)
        ]
        said.append(f"Test example {number} ({name}): {'; '.join(parts)}.")
    if unknown := [str(test) for test in found.tests if test not in set(table["test_index"])]:
        said.append(f"All scores are 0 or unknown for test example {', '.join(unknown)}.")
    place = folder / AttributedTests.place
    try:
        place.mkdir(parents=True, exist_ok=True)
        train, test = Pictures(dataset, "train"), Pictures(dataset, "test")
        save(attributed_tests(train, test, rows, found.method), place, "figure")
        Outcome(tuple(said), table, QUESTION).save(place)
    except OSError as error:
        raise InputError(f"{place}: cannot be written: {error.strerror}") from None
    run_chain([page(config, (folder / Figures.place).exists(), one_model=False)], folder)
    return table


def _by_trials(method: str, given: SubsetOutputs) -> tuple[np.ndarray, np.ndarray | None]:
    if method == "influence":
        return influence_on(given)
    if method == "datamodel":
        found = ridge(given)
        return found.weights(), found.stderr()
    return lasso(given).weights, None


def _of_one_model(
    config: Config, dataset: AnyDataset, folder: Path, tests: np.ndarray
) -> np.ndarray:
    from tfmem.messages.backends import import_tensorflow_for

    import_tensorflow_for("self-influences")
    from tfmem.experiments.self_influence import kept_solver
    from tfmem.influence_functions.scores import influence

    run_chain([configured(TRAIN_ON_ALL, config)], folder)
    solver, arrays = kept_solver(config, dataset, folder / TrainedModel.place)
    inputs = arrays.test_images[tests].astype(np.float32) / arrays.white
    return influence(solver, inputs, arrays.test_labels[tests]) / len(arrays.train_labels)


def _dataset(config: Config, folder: Path) -> AnyDataset:
    there = (folder / Predictions.place).is_dir()
    return load_run(folder).dataset if there else load(config.dataset)


def _chosen(tests: Sequence[int], count: int) -> np.ndarray:
    """The numbers of test examples, int64, if there are such examples."""
    if not count:
        raise InputError("--test: expected a data set with test examples, it has none")
    for test in tests:
        if not 0 <= test < count:
            raise InputError(
                f"--test: expected numbers of test examples from 0 to {count - 1}, received {test}"
            )
    return np.array(tests, np.int64)


def _label(dataset: AnyDataset, split: str, index: int) -> str:
    if not has_classes(dataset):
        targets = getattr(dataset, f"{split}_targets", None)
        return "" if targets is None else " ".join(map(four, np.ravel(targets[index])[:4]))
    return dataset.class_names[getattr(dataset, f"{split}_labels")[index]]
