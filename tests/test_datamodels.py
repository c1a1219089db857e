"""Datamodels: they recover a linear learner, and are what numpy and scikit-learn find."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Lasso, LassoCV

from tests.helpers.commands import tfmem_command
from tests.helpers.learners import learner
from tests.helpers.runs import random_run, write_run
from tfmem.datamodels.lasso import lasso
from tfmem.datamodels.lds import linear_datamodeling_score
from tfmem.datamodels.ridge import ridge
from tfmem.datamodels.stability import stability
from tfmem.messages.errors import InputError
from tfmem.pipelines.opened import load_run
from tfmem.store.confidence import to_bytes


def centred(values):
    return values - values.mean(axis=0)


def test_ridge_recovers_a_linear_learner():
    outputs, coefficients = learner(subsets=80)
    found = ridge(outputs)
    assert found.weights() == pytest.approx(centred(coefficients), abs=0.01)
    assert found.explained.min() > 0.999
    other, _ = learner(subsets=30, seed=1)
    other.each[:] = other.bits() @ coefficients
    score = linear_datamodeling_score(other, found.predictions(other))
    assert score.correlation == pytest.approx(np.ones(6), abs=1e-3)


def test_ridge_is_what_normal_equations_give():
    outputs, _ = learner(subsets=50, noise=1.0, repeats=2)
    found = ridge(outputs)
    bits, means = outputs.bits(), outputs.means
    x = centred(bits)
    for test in range(6):
        inverse = np.linalg.inv(x.T @ x + found.penalty[test] * np.eye(20))
        assert found.weights()[:, test] == pytest.approx(inverse @ x.T @ centred(means[:, test]))
        hat = x @ inverse @ x.T
        residual = centred(means[:, test]) - hat @ centred(means[:, test])
        noise = np.sqrt((residual**2).sum() / (49 - np.trace(2 * hat - hat @ hat)))
        assert found.noise[test] == pytest.approx(noise)
        spread = np.sqrt(np.diag(inverse @ x.T @ x @ inverse)) * noise
        assert found.stderr()[:, test] == pytest.approx(spread)
    errors, spread = [], []
    for left in range(50):
        others = np.arange(50) != left
        mean, y = bits[others].mean(axis=0), means[others, 0]
        z = bits[others] - mean
        w = np.linalg.solve(z.T @ z + found.penalty[0] * np.eye(20), z.T @ (y - y.mean()))
        errors.append(means[left, 0] - y.mean() - (bits[left] - mean) @ w)
        spread.append(means[left, 0] - y.mean())
    assert found.explained[0] == pytest.approx(
        1 - np.sum(np.square(errors)) / np.sum(np.square(spread))
    )


def test_standard_errors_are_those_of_the_noise():
    """400 draws of noise: an estimate of a standard deviation is within 15% but once in 10^5."""
    outputs, _ = learner(subsets=60, tests=400)
    rng = np.random.default_rng(0)
    outputs.each[:] = rng.normal(size=outputs.each.shape)
    found = ridge(outputs)
    fixed = found.penalty == np.median(found.penalty)
    weights, stderr = found.weights()[:, fixed], found.stderr()[:, fixed]
    assert fixed.sum() > 100
    ratio = np.sqrt((weights**2).mean() / (stderr**2).mean())
    assert ratio == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("subsets", "train"), [(90, 20), (40, 60)])
def test_the_lasso_is_that_of_scikit_learn(subsets, train):
    outputs, coefficients = learner(subsets, train // 2, train, 5, noise=1.0)
    coefficients[6:] = 0
    outputs.each[:] = outputs.bits() @ coefficients
    outputs.each[:] += np.random.default_rng(1).normal(size=outputs.each.shape)
    outputs.each[:, 4] = 3.0  # nothing to learn
    found = lasso(outputs)
    for test in range(4):
        y = outputs.means[:, test]
        chosen = LassoCV(cv=5, tol=1e-7, max_iter=100_000).fit(outputs.bits(), y)
        assert found.penalty[test] == pytest.approx(chosen.alpha_, rel=1e-9)
        exact = Lasso(alpha=chosen.alpha_, tol=1e-14, max_iter=100_000).fit(outputs.bits(), y)
        assert found.weights[:, test] == pytest.approx(exact.coef_, abs=1e-6)
        expected = 1 - chosen.mse_path_.mean(axis=1).min() / y.var()
        assert found.explained[test] == pytest.approx(expected, abs=1e-4)
    assert not found.weights[:, 4].any()
    assert np.isnan(found.explained[4])


def test_stable_examples_are_those_that_matter():
    outputs, coefficients = learner(120, 20, 40, 3)
    coefficients[:] = 0
    coefficients[:3] = 2.0
    outputs.each[:] = outputs.bits() @ coefficients
    outputs.each[:] += np.random.default_rng(1).normal(size=outputs.each.shape)
    found = lasso(outputs)
    shares = stability(found, outputs, pairs=10)
    assert (shares[:3] > 0.95).all()
    assert shares[3:].mean() < 0.5
    half = np.arange(0, 120, 2)
    again = Lasso(alpha=found.penalty[0], tol=1e-9).fit(
        outputs.bits()[half], outputs.means[half, 0]
    )
    assert (again.coef_[:3] != 0).all()


def test_noise_is_not_explained():
    """The best of many penalties for noise explains nothing, or next to nothing, held out."""
    outputs, _ = learner(subsets=100, tests=60)
    outputs.each[:] = np.random.default_rng(0).normal(size=outputs.each.shape)
    judges, _ = learner(subsets=100, tests=60, seed=1)
    judges.each[:] = np.random.default_rng(1).normal(size=outputs.each.shape)
    for found in (ridge(outputs), lasso(outputs)):
        assert np.abs(found.explained).mean() < 0.05
        score = linear_datamodeling_score(judges, found.predictions(judges))
        assert score.low < 0 < score.high


def test_too_few_subsets_are_refused():
    outputs, _ = learner(subsets=8)
    with pytest.raises(InputError, match=r"at least 4 different subsets .* received 3"):
        ridge(outputs.take(np.arange(3)))
    with pytest.raises(InputError, match=r"at least 10 different subsets .* received 8"):
        lasso(outputs)


@pytest.mark.parametrize("method", ["ridge", "lasso"])
def test_the_command_writes_weights_that_can_be_judged(tmp_path, method):
    records, labels = random_run(60)
    outputs, coefficients = learner(60, 28, 40, 25)
    found = []
    for record, mask in zip(records, outputs.masks, strict=True):
        margins = np.unpackbits(mask, count=40, bitorder="little") @ coefficients
        margin = {"train_margin": to_bytes(np.zeros(40)), "test_margin": to_bytes(margins)}
        found.append(replace(record, subset_mask=mask.tobytes(), **margin))
    write_run(tmp_path, found, labels)
    said = tfmem_command("datamodels", tmp_path, "--method", method, "--top", 3)
    assert "48 models on 48 subsets" in said.stdout
    weights = np.load(tmp_path / "datamodels" / "weights.npy", mmap_mode="r")
    assert np.corrcoef(weights.ravel(), coefficients.ravel())[0, 1] > 0.9
    about = json.loads((tmp_path / "datamodels" / "datamodels.json").read_bytes())
    assert about["lds"]["subsets"] == 12
    assert about["lds"]["value"] > 0.8
    tests = pd.read_csv(tmp_path / "datamodels" / "tests.csv")
    assert tests["lds"].mean() == pytest.approx(about["lds"]["value"], abs=1e-5)
    strongest = pd.read_csv(tmp_path / "datamodels" / "strongest.csv")
    assert len(strongest) == 75
    for row in strongest.itertuples():
        column = np.abs(weights[:, row.test_index])
        assert column[row.train_index] >= np.sort(column)[-3]
        assert weights[row.train_index, row.test_index] == pytest.approx(row.weight, rel=1e-4)
    run = load_run(tmp_path)
    everything = run.datamodels(method)
    values = everything.weights() if method == "ridge" else everything.weights
    assert run.lds(values).value > 0.95
    again = tfmem_command("lds", "datamodel", "--run", tmp_path)
    assert method == "lasso" or f"{about['lds']['value']:.3f}" in again.stdout
