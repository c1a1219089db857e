"""Every experiment on the score of a regression, and its page in a browser."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

import tfmem
from tests.helpers.drawing import drawn_coarsely
from tfmem.config import from_yaml
from tfmem.estimation.estimator import CORRECTNESS, Measure
from tfmem.experiments import sections
from tfmem.experiments.leave_one_out import known_with_errors
from tfmem.experiments.outcome import load_outcome
from tfmem.pipelines.audit import audit
from tfmem.pipelines.experiments import experiments
from tfmem.pipelines.runner import run_chain

NAMES = [
    "leave-one-out", "removal", "halves", "mem-infl", "pair-utility", "fraction", "random-labels",
    "label-errors", "proxies",
]  # fmt: skip
TINY = [
    "experiments.leave_one_out={examples: 12, repeats: 2, repeats_with: 2}",
    "experiments.removal={repeats: 2, shares: [0.2]}",
    "experiments.pair_utility.repeats=2",
    "experiments.fraction={fractions: [0.5, 0.8], trials: 40, planned_trials: [100]}",
    "experiments.random_labels={trials: 40, share: 0.2}",
    "experiments.label_errors={noise: 0.2, folds: 4}",
    "experiments.proxies={trainings: [1, 2], trials: [10, 500]}",
]


def ridge():
    return Ridge(alpha=0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A regression run, on which the experiments that take scores were conducted."""
    folder = tmp_path_factory.mktemp("scored") / "run"
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 8)).astype(np.float32)
    y = (1000 * (x[:, 0] + rng.normal(size=50))).astype(np.float32)
    ids, test_ids = ([f"{split} <{k}>" for k in range(40)] for split in ("car", "bus"))
    with drawn_coarsely(["png"]):
        tfmem.run(
            ridge, (x[:40], y[:40]), (x[40:], y[40:]), trials=60, out=folder, ids=ids,
            test_ids=test_ids[:10], settings={"training.lanes": 1},  # in this process
        )  # fmt: skip
        run_chain(experiments(NAMES, settings(folder)), folder, str)
        run_chain(audit(settings(folder)), folder, str)
    return folder


def settings(folder):
    return from_yaml((folder / "config.yaml").read_text(), TINY, experiments=sections)


@pytest.mark.parametrize("name", NAMES)
def test_each_leaves_table_findings_and_figure_in_the_unit_of_the_score(folder, name):
    outcome = load_outcome(folder / "experiments" / name)
    assert len(outcome.table) > 0
    assert "accuracy" not in " ".join((*outcome.findings, *map(str, outcome.table.columns)))
    assert (folder / "experiments" / name / "figure.png").stat().st_size > 5000


def test_leave_one_out_follows_the_estimates(folder):
    table = load_outcome(folder / "experiments" / "leave-one-out").table
    assert table["estimate"].max() > 1000
    assert np.corrcoef(table["estimate"], table["leave_one_out"])[0, 1] > 0.9
    assert (table["leave_one_out_variance"] == 0).all()  # equal models of equal examples


def test_examples_without_errors_are_not_left_out_one_by_one():
    """As with a single trial on either side, whose score has no variance."""
    columns = {"memorization": [0.1, 0.2, 0.3], "n_in": [5, 1, 2], "n_out": [1, 5, 4]}
    table = pd.DataFrame(columns)
    for measure, known in ((CORRECTNESS, [True] * 3), (Measure(models=2), [False, False, True])):
        run = SimpleNamespace(memorization=table, measure=measure)
        np.testing.assert_array_equal(np.isfinite(known_with_errors(run)), known)


def test_the_audit_names_targets_that_models_without_them_are_far_off(folder, open_page):
    table = pd.read_csv(folder / "audit.csv")
    assert {"name", "target", "score_in", "score_out"} <= set(table.columns)
    run = tfmem.load_run(folder)
    far = table[table["reason"] == "target"]
    rest = run.memorization.drop(far["index"])
    assert far["score_out"].max() < rest["score_out"].quantile(0.25)
    page = open_page((folder / "audit.html").as_uri(), 390)
    text = page.locator("body").inner_text()
    assert "Targets to check" in text
    assert "nan" not in text.lower().split()
    assert "network" not in text
    assert "%" not in page.locator("#findings tbody").inner_text()


def test_trials_have_scores(folder):
    trials = tfmem.load_run(folder).trials
    assert trials.columns.tolist() == ["subset_score", "held_out_score", "test_score", "diverged"]
    assert (trials["test_score"] < -1000).all()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_has_units_names_and_targets_and_no_classes(folder, open_page, width):
    page = open_page((folder / "report.html").as_uri(), width)
    text = page.locator("body").inner_text()
    assert "minus squared error" in text
    assert "target" in text
    assert "nan" not in text.lower().split()
    assert "networks" not in text
    assert "test accuracy" not in text
    assert not page.locator("#class").is_visible()
    assert page.locator("h2#classes").count() == 0
    most = tfmem.load_run(folder).memorization["memorization"].idxmax()
    shown = page.locator("#gallery a").first.inner_text()
    assert f"car <{most}>" in shown
    assert page.locator("#detail h3").inner_text() == f"Training example {most}, car <{most}>"
