"""A negative self-influence for which the solver converged is no failure of the solver."""

import json
import warnings
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from tests.helpers.networks import DECAY, attending, pictures, some_features
from tfmem.config import from_yaml
from tfmem.experiments.reduction_rate import ReductionRateSettings, reduction
from tfmem.influence_functions.attribution.integral import attributions
from tfmem.influence_functions.attribution.patches import Patches
from tfmem.influence_functions.exact import ExactSolver
from tfmem.influence_functions.fast import FastSolver
from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.records import write_scores
from tfmem.influence_functions.scores import remove_scores
from tfmem.influence_functions.solver import Solution
from tfmem.store.results import SUMMARY_NAME, estimator_of, read_memorization


class Indefinite:
    """Solves by LU, up to rounding, whatever the signs of the eigenvalues."""

    name, curvature, at_once = "lu", "hessian", 64

    def __init__(self, objective, damping):
        self.objective, self.damping = objective, damping
        every = np.eye(objective.num_parameters)
        self.matrix = objective.product(every, "hessian") + damping * every

    def solve(self, vectors):
        solved = np.linalg.solve(self.matrix, vectors.T).T
        return Solution.of(solved, vectors, np.zeros(len(vectors)), np.ones(len(vectors), bool))

    def project(self, vectors):
        return vectors

    def lift(self, paired):
        return paired


def untrained():
    """A network far from a minimum, whose Hessian has eigenvalues of both signs."""
    inputs = keras.Input((5,), dtype=keras.config.dtype_policy().compute_dtype)
    x = keras.layers.Dense(4, activation="tanh")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def test_negative_scores_are_kept_counted_and_said(float64, tmp_path):
    x, y = some_features()
    objective = Objective(untrained(), x, y, weight_decay=DECAY)
    solver = Indefinite(objective, 1e-3)
    assert np.linalg.eigvalsh((solver.matrix + solver.matrix.T) / 2).min() < -0.01
    with pytest.warns(UserWarning, match="converged to negative scores for .* positive definite"):
        scores = remove_scores(solver)
    p, g = (np.concatenate(part) for part in zip(*objective.loss_gradients(x, y), strict=True))
    expected = p * np.einsum("ij,ij->i", g, np.linalg.solve(solver.matrix, g.T).T)
    np.testing.assert_allclose(scores.values, expected, rtol=1e-8)
    assert scores.converged.all()
    number = int((expected < 0).sum())
    assert 0 < number < 50
    assert scores.negative.sum() == number
    sound = np.arange(50) > 0
    lost = replace(scores, converged=sound, values=np.where(sound, expected, np.nan))
    folder = tmp_path / "records"
    summary = write_scores(lost, y, solver, folder, {"test_accuracy": 0.5})
    assert summary == json.loads((folder / SUMMARY_NAME).read_bytes())
    assert (summary["not_converged"], summary["negative"]) == (1, (expected[1:] < 0).sum())
    assert "1 examples not converged, " in estimator_of(folder)
    kept = read_memorization(folder)["memorization"].to_numpy()
    np.testing.assert_allclose(kept[1:], expected[1:] / 50, rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not remove_scores(ExactSolver(objective)).negative.any()  # Gauss-Newton


def test_reduction_counts_what_it_uses(float64, tmp_path):
    """Of ten examples one has no attribution, and one a negative self-influence."""
    x, y = pictures(20)
    objective = Objective(attending(), x, y, weight_decay=0.01)
    splitter = Patches(objective.model, x, 1)
    exact = ExactSolver(objective)

    class OneNegative:
        def __getattr__(self, name):
            return getattr(exact, name)

        def solve(self, vectors):
            found, (rows,) = exact.solve(vectors), np.nonzero(asked[: len(vectors)] == 4)
            sign = np.ones(len(vectors))
            sign[rows] = -1
            return replace(found, paired=found.paired * sign[:, None], own=found.own * sign)

    made = {a.index: a.scores for a in attributions(exact, splitter, range(10), 2)}
    config, settings = from_yaml(""), ReductionRateSettings(repeats=1)
    asked = np.array([0, 1, 2, 3, 5, 6, 7, 8, 9])
    usual = {k: v for k, v in made.items() if k not in (4, 7)}
    ready = exact, splitter
    expected = reduction(config, settings, lambda: ready, pd.Series(usual), tmp_path / "a")
    made[7] = made[7] * np.nan
    asked = np.array([0, 1, 2, 3, 4, 5, 6, 8, 9])
    ready = OneNegative(), splitter
    found = reduction(config, settings, lambda: ready, pd.Series(made), tmp_path / "b")
    pd.testing.assert_frame_equal(found.table, expected.table)
    assert "the self-influence of 8 examples" in found.findings[0]
    assert found.findings[-1].startswith("2 of 10 attributed examples are left out")
    assert found.findings[:-1] == expected.findings


def test_the_effective_dimension_is_that_of_the_examples_and_variables_in_use(float64):
    x, y = some_features()
    some = np.arange(0, 50, 3)
    model = untrained()
    head = model.layers[-1].trainable_variables
    objective = Objective(model, x, y, head, DECAY, some)
    rows = np.concatenate(list(objective.curvature_rows()))
    assert len(rows) == 2 * len(some)
    gauss_newton, ridge = rows.T @ rows, np.diag(objective.decay + 5e-3)
    expected = np.trace(np.linalg.solve(gauss_newton + ridge, gauss_newton))
    assert FastSolver(objective).effective_dimension == pytest.approx(expected, rel=1e-6)
