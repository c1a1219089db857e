"""Experiments that compare scores of training examples, on learners with known scores."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.helpers.experiments import given
from tests.helpers.oracle import LookupLearner, example_learner, random_records
from tests.helpers.runs import write_run
from tfmem.aggregation.holding import hold
from tfmem.config import from_yaml
from tfmem.datasets import Dataset, load
from tfmem.datasets.noise import add_label_noise
from tfmem.estimation.estimator import CORRECTNESS
from tfmem.experiments import label_errors as label_errors_module
from tfmem.experiments import proxies as proxies_module
from tfmem.experiments import random_labels as random_labels_module
from tfmem.experiments.gradients import GradientProbe
from tfmem.experiments.label_errors import find_wrong, label_errors_figure
from tfmem.experiments.proxies import ProxySettings, proxies, proxies_figure
from tfmem.experiments.random_labels import (
    RandomLabelSettings,
    random_labels,
    random_labels_figure,
)
from tfmem.experiments.ranking import areas, behind_first
from tfmem.experiments.summed import means_of, sum_trials
from tfmem.influence_functions.solver import DAMPING
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.training.dynamics import Dynamics, follow

TINY = ["model.name=dense", "model.hidden=[16]", "training.epochs=2", "training.batch_size=32"]


def test_areas_are_scikit_learns_and_their_errors_those_of_repeated_draws():
    """The spread of 400 areas has 3.5% standard error: 15% is beyond 4 of them (p < 1e-4).

    That of 8 bootstraps, for the error of a difference, adds as much: 20% is 4 again.
    """
    rng = np.random.default_rng(0)
    drawn, claimed, differences = [], [], []
    for number in range(400):
        positive = np.arange(120) < 40
        common = rng.normal(size=120) + positive
        scores = [common, common + rng.normal(size=120), rng.integers(0, 3, 120).astype(float)]
        found = areas(scores, positive)
        expected = [roc_auc_score(positive, score) for score in scores]
        assert found.area == pytest.approx(expected)
        drawn.append(found.area)
        claimed.append(found.variance)
        if number < 8:
            low, high = behind_first(scores, positive)
            assert low[0] == high[0] == 0
            differences.append((high[1] - low[1]) / (2 * 1.96))
    assert np.std(drawn, axis=0) == pytest.approx(np.sqrt(np.mean(claimed, axis=0)), rel=0.15)
    spread = np.std([area[0] - area[1] for area in drawn])
    assert spread == pytest.approx(np.sqrt(np.square(differences).mean()), rel=0.2)
    low, high = behind_first([np.arange(10), -np.arange(10), np.zeros(10)], np.arange(10) > 6)
    assert [*low, *high] == [0, 1, 0.5] * 2
    perfect = areas([np.arange(10.0)], np.arange(10) > 6)
    assert perfect.area[0] == 1
    # Three of three: the lowest share at which that is not rarer than 2.5%, after Wilson.
    assert perfect.interval(0) == (pytest.approx(3 / (3 + 1.96**2), abs=1e-4), 1)


def test_sums_over_all_subsets_give_the_closed_form():
    learner = example_learner()
    summed = sum_trials(learner.records(), learner.labels.train_labels)
    assert summed.memorization == pytest.approx(learner.memorization())
    assert summed.confidence is None
    assert summed.held_out_confidence is None


def test_sums_of_probabilities_are_means_over_the_trials_that_leave_an_example_out():
    rng = np.random.default_rng(1)
    probabilities = rng.random((20, 9)).astype(np.float16)
    records = [
        replace(record, train_prob=row.tobytes())
        for record, row in zip(random_records(rng, 20, 9, 4), probabilities, strict=True)
    ]
    masks = np.stack([unpack(record.subset_mask, 9) for record in records])
    summed = sum_trials(records, np.zeros(9, np.int64))
    out = np.array([probabilities[~masks[:, i], i].astype(float).mean() for i in range(9)])
    held_in = np.array([probabilities[masks[:, i], i].astype(float).mean() for i in range(9)])
    assert summed.held_out_confidence == pytest.approx(out)
    assert summed.confidence_memorization == pytest.approx(held_in - out)
    with pytest.raises(InputError, match="none"):
        sum_trials([], np.zeros(9, np.int64))


def known_dynamics(rng, models, count, epochs=2):
    shape = (models, epochs, count)
    correct = rng.random(shape) < 0.5
    probabilities = rng.dirichlet(np.ones(3), (models, count)).astype(np.float32)
    error = rng.random(shape).astype(np.float32)
    confidence = rng.random(shape).astype(np.float32)
    probed = {
        name: rng.random((models, count)) for name in ("early_norm", "norm", "self_influence")
    }
    probed["norm_seconds"], probed["self_influence_seconds"] = np.full((2, models), [[3.0], [8.0]])
    for name in ("input_gradient 0", "input_gradient 1", "input_curvature 1", "retraining"):
        probed[name], probed[f"{name}_seconds"] = rng.random((models, count)), np.ones(models)
    return Dynamics(confidence, correct, error, probabilities, np.full(models, 2.0), probed)


def test_wrong_labels_are_ranked_as_memorization_in_closed_form_says(tmp_path, monkeypatch):
    """Only examples 0, 3 and 7 have no twin and are memorized in full."""
    learner = example_learner()
    labels = learner.labels.train_labels
    clean = labels.copy()
    wrong = np.array([0, 3, 4])
    clean[wrong] = 1
    data = SimpleNamespace(train_labels=labels, clean_train_labels=clean)
    rng = np.random.default_rng(2)
    monkeypatch.setattr(
        label_errors_module,
        "follow",
        lambda config, dataset, masks, folder: known_dynamics(rng, len(masks), len(labels)),
    )
    config = from_yaml("")
    trials = sum_trials(learner.records(), labels)
    outcome = find_wrong(config, 2, data, trials, tmp_path)
    rows = outcome.table[outcome.table["ranked_by"] == "memorization"]
    truth = learner.memorization()
    pairs = [(truth[i], truth[j]) for i in wrong for j in set(range(8)) - set(wrong.tolist())]
    expected = np.mean([(a > b) + 0.5 * (abs(a - b) < 1e-9) for a, b in pairs])
    assert rows["auc"].iloc[0] == pytest.approx(expected)
    assert rows[["behind", "behind_low", "behind_high"]].iloc[0].tolist() == [0, 0, 0]
    last = rows.iloc[-1]
    assert (last["looked_at"], last["found"], last["false_alarms"]) == (8, 3, 1)
    label_errors_figure(outcome.table, None)
    data.clean_train_labels = None
    with pytest.raises(InputError, match="label_noise"):
        find_wrong(config, 2, data, trials, tmp_path)


def test_models_are_followed_once_each_and_what_they_predict_adds_up(tmp_path, digits):
    """Two sizes of subsets; after training, models know the examples in their subset better."""
    config = from_yaml("", [*TINY, "training.epochs=12"])
    data = add_label_noise(digits, 0.2, seed=0)
    count = len(data.train_labels)
    masks = [np.arange(count) % 3 != k for k in range(2)] + [np.ones(count, bool)]
    seen = follow(config, data, masks, tmp_path)
    assert seen.confidence.shape == seen.correct.shape == seen.error.shape == (3, 12, count)
    there = np.arange(count)
    one_hot = np.eye(len(data.class_names))[data.train_labels]
    for k, mask in enumerate(masks):
        last = seen.probabilities[k]
        assert last.sum(axis=1) == pytest.approx(np.ones(count), abs=1e-5)
        assert (seen.confidence[k, -1] == last[there, data.train_labels]).all()
        assert (seen.correct[k, -1] == (last.argmax(axis=1) == data.train_labels)).all()
        norm = np.linalg.norm(last - one_hot, axis=1)
        assert seen.error[k, -1] == pytest.approx(norm, abs=1e-5)
        if not mask.all():
            assert seen.confidence[k, -1][mask].mean() > seen.confidence[k, -1][~mask].mean()
        assert seen.correct[k, -1].mean() > seen.correct[k, 0].mean()
    (path,) = tmp_path.glob("*/model-00001.npz")
    path.unlink()
    again = follow(config, data, masks, tmp_path)
    assert again.probabilities == pytest.approx(seen.probabilities, abs=1e-4)
    assert len(list(tmp_path.iterdir())) == 1
    follow(config, digits, masks[:1], tmp_path)  # models of other data get another folder
    assert len(list(tmp_path.iterdir())) == 2


def test_gradients_of_a_linear_model_are_those_of_the_closed_form(tmp_path):
    """With x and a one, of class c: (p - y)_c x, so that norms are those of p - y times those of x.

    Self-influence is p g^T H^-1 g / n with H = mean of (diag p - p p^T) x x^T, plus the damping.
    """
    config = from_yaml("", ["model.name=linear", "training.epochs=3", "training.batch_size=32"])
    data = load(config.dataset).keep(np.arange(0, 1437, 5), np.arange(20))
    count = len(data.train_labels)
    masks = [np.ones(count, bool)] * 2
    seen = follow(config, data, masks, tmp_path, GradientProbe(config, data, early=1))
    x = data.train_images.reshape(count, -1) / data.white
    x = np.hstack([x, np.ones((count, 1))])
    lengths = np.linalg.norm(x, axis=1)
    assert seen.probed["early_norm"] == pytest.approx(seen.error[:, 1] * lengths, rel=1e-3)
    assert seen.probed["norm"] == pytest.approx(seen.error[:, 2] * lengths, rel=1e-3)
    p = seen.probabilities[1].astype(float)
    factors = np.einsum("ni,ij->nij", p, np.eye(10)) - np.einsum("ni,nj->nij", p, p)
    curvature = np.einsum("nij,nk,nl->ikjl", factors / count, x, x, optimize=True)
    curvature = curvature.reshape(650, 650) + DAMPING * np.eye(650)
    gradients = np.einsum("ni,nk->nik", p - np.eye(10)[data.train_labels], x).reshape(count, 650)
    solved = np.einsum("np,pn->n", gradients, np.linalg.solve(curvature, gradients.T))
    expected = p[np.arange(count), data.train_labels] * solved / count
    assert seen.probed["self_influence"][1] == pytest.approx(expected, rel=1e-2, abs=1e-6)
    follow(config, data, masks[:1], tmp_path)  # without a probe they are other models
    assert len(list(tmp_path.iterdir())) == 2


def test_labels_replaced_in_a_lookup_learner_are_memorized_in_full(tmp_path, monkeypatch):
    """An example with a label of its own has no twin, and is no other example's twin."""
    learner = example_learner()
    labels = learner.labels.train_labels
    data = Dataset("", np.zeros((8, 1)), labels, np.zeros((5, 1)), np.zeros(5), ("a", "b", "c"))
    twins = [[], []]

    def means_of_learner(learner, folder):
        write_run(folder, learner.records(), learner.labels)
        return means_of(hold(folder / "predictions"), learner.labels)

    def means_on(config, dataset, folder, statistic):
        changed = set(np.flatnonzero(dataset.train_labels != labels).tolist())
        assert (dataset.clean_train_labels == labels).all()
        left = [() if i in changed else t - changed for i, t in enumerate(learner.train_twins)]
        tests = [t - changed for t in learner.test_twins]
        twins[folder.name == "random"] = LookupLearner(left, tests, 5, labels, np.zeros(5, int))
        return means_of_learner(twins[folder.name == "random"], folder)

    monkeypatch.setattr(random_labels_module, "means_on", means_on)
    before = means_of_learner(learner, tmp_path / "run").test
    settings = RandomLabelSettings(share=0.25)
    run = {"labels": learner.labels, "predictions": tmp_path / "run" / "predictions"}
    outcome = random_labels(given(from_yaml(""), settings, tmp_path, data, **run))
    said = f"{before.mean():.2%} ± {before.std(ddof=1):.2%} (SD) in {len(before)} trials"
    assert said in outcome.findings[0]
    for number, way in enumerate(("memorized", "random")):
        rows = outcome.table[outcome.table["replaced"] == way]
        assert rows["changed"].sum() == 2
        assert rows["after"].to_numpy() == pytest.approx(twins[number].memorization())
        assert rows.loc[rows["changed"], "after"].to_numpy() == pytest.approx([1, 1])
    first = outcome.table[outcome.table["replaced"] == "memorized"]
    assert np.flatnonzero(first["changed"]).tolist() == [0, 3]  # of 0, 3 and 7, which have no twin
    random_labels_figure(outcome.table, None)


def test_the_estimator_is_its_own_best_proxy(tmp_path, monkeypatch):
    """All subsets occur twice, so the same trials are score and truth; other scores are known."""
    learner = example_learner()
    labels = learner.labels.train_labels
    all_subsets = len(learner.records())
    rng = np.random.default_rng(3)
    known = known_dynamics(rng, 2, len(labels), epochs=4)
    known.confidence[:] = 1 - learner.memorization()
    known.correct[:] = np.array([[1, 0, 1, 0]] * 7 + [[0, 0, 0, 0]], bool).T
    monkeypatch.setattr(proxies_module, "follow", lambda *arguments: known)
    config = from_yaml(
        "",
        [
            f"training.trials={2 * all_subsets}",
            "selection.memorization=0.9",
            "training.epochs=4",
        ],
    )
    settings = ProxySettings(trials=(all_subsets, all_subsets + 1), trainings=(1, 2))
    records = learner.records() * 2
    monkeypatch.setattr(
        proxies_module, "records_between", lambda _, first, end: iter(records[first:end])
    )
    monkeypatch.setattr(proxies_module, "held_measure", lambda *_: CORRECTNESS)
    data = SimpleNamespace(train_labels=labels, test_labels=labels[:4], has_classes=True)

    def conducted(config):
        return proxies(given(config, settings, tmp_path, data, predictions=None))

    outcome = conducted(config)
    table = outcome.table.set_index(["score", "trainings"])
    for row in (("memorization", all_subsets), ("confidence", 1), ("learning speed", 2)):
        assert table.loc[row, ["spearman", "auc"]].tolist() == pytest.approx([1, 1])
    # Seven examples are forgotten twice, one is never learned (4): it is one of three memorized.
    assert table.loc[("forgetting events", 1), "auc"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    # A model costs 2 s, a pass 3 s, solving 8 s; early is the first of four epochs.
    # Derivatives by inputs take 1 s after each of their epochs, and so does retraining.
    costs = {"EL2N": 0.5, "GraNd": 3.5, "gradient norm": 5, "self-influence": 10, "confidence": 2,
             "cumulative loss": 2, "input gradient": 4, "input curvature": 5,
             "held-out retraining": 3}  # fmt: skip
    for name, cost in costs.items():
        assert table.loc[(name, 2), "cost"] == cost
        assert table.loc[(name, 2), "seconds"] == 2 * cost
    passes = table[["forward", "backward"]]
    assert passes.loc[("GraNd", 2)].tolist() == [2 * (1 + 1), 2 * (1 + 1)]
    assert passes.loc[("input gradient", 2)].tolist() == [2 * (4 + 2), 2 * (4 + 2)]
    assert passes.loc[("input curvature", 1)].tolist() == [4 + 2 * 11, 4 + 2 * 11]
    assert np.isnan(passes.loc[("self-influence", 1), "forward"])
    assert table.loc[("memorization", all_subsets), "cost"] == all_subsets
    figure = proxies_figure(outcome.table, None)
    figure.draw_without_rendering()
    edges = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 < edges.x0
    assert edges.x1 < figure.bbox.x1
    known.probed["self_influence"][:] = np.nan
    outcome = conducted(config)
    assert "self-influence" not in set(outcome.table["score"])
    assert "left out" in outcome.findings[-1]
    assert set(outcome.table["trainings"]) == {1, 2, all_subsets}  # one more is above the half
    few = config.model_copy(update={"training": from_yaml("", ["training.trials=50"]).training})
    with pytest.raises(InputError, match="at most half of the 50 trials of the run"):
        conducted(few)
