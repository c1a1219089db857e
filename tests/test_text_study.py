"""The study of Zheng & Jiang (2022) on texts: closed forms, oracles, and a whole toy study."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.commands import tfmem_command
from tests.helpers.drawing import drawn_coarsely
from tests.helpers.experiments import given
from tests.helpers.oracle import example_learner
from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.datasets.treebank import load_treebank
from tfmem.experiments.estimators import compare as compare_estimators
from tfmem.experiments.instances import (
    InstancesSettings,
    instances,
    instances_figure,
)
from tfmem.experiments.seeds import compare as compare_seeds
from tfmem.experiments.seeds import overlap
from tfmem.experiments.self_influence import kept_solver
from tfmem.experiments.typicality import positive_fraction, typicality
from tfmem.influence_functions.scores import influence, remove_scores
from tfmem.messages.errors import InputError
from tfmem.pipelines.experiments import page as experiments_page
from tfmem.pipelines.runner import run_chain
from tfmem.pipelines.text import study
from tfmem.store.bits import unpack
from tfmem.store.results import read_memorization, read_pairs
from tfmem.store.shards import read_shard
from tfmem.training.digests import with_digests


def known(data, memorization, settings=None):
    """The inputs of an experiment that needs only memorization."""
    table = pd.DataFrame({"memorization": memorization})
    return given(from_yaml(""), settings, dataset=data, memorization=table)


CONDUCTED = "removal", "instances", "seeds", "reduction-rate", "typicality"
OF_ONE_MODEL = "train-on-all", "self-influence-fast", "attribution", "influence-pairs"
GOOD, BAD = ("good", "fine", "great"), ("bad", "poor", "dull")


def tree(positive, words):
    """A sentence whose words all have its polarity; its phrases grow word by word."""
    polarity = 3 if positive else 1
    node = f"({polarity} {words[0]})"
    for word in words[1:]:
        node = f"({polarity} {node} (2 {word}))"
    return node


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """80 training sentences, of which 4 have the words of the other class; 20 test sentences."""
    folder = tmp_path_factory.mktemp("trees")
    rng = np.random.default_rng(0)
    for split, count in (("train", 80), ("test", 20)):
        lines = []
        for number in range(count):
            positive = number % 2 == 0
            words = GOOD if positive ^ (split == "train" and number < 4) else BAD
            length = rng.integers(1, 7)  # what is solved in order of length ends in that of index
            lines.append(tree(positive, [str(word) for word in rng.choice(words, length)]))
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def settings(folder):
    return [
        f"dataset={{name: treebank, data_dir: '{folder}'}}",
        "model={name: transformer, vocabulary: 16, length: 6, layers: 1, width: 8, heads: 2}",
        "training={trials: 8, epochs: 8, batch_size: 4, learning_rate: 0.1}",
        "training.stack_size=8",
        "training.lanes=1",
        "experiments={estimator: self_influence, removal: {shares: [0.05], repeats: 2}}",
        "experiments.seeds.models=2",
        "experiments.reduction_rate.repeats=2",
        "experiments.audit.folds=2",
        "attribution.steps=8",
        "selection={memorization: 0.001, influence: 0.0001}",
    ]


def test_positive_fractions_of_three_trees(tmp_path):
    """3 of 4 phrases that are not neutral, 0 of 2, and 1 of 1; 0.01 is added to each count."""
    trees = ["(4 (3 (2 a) (3 good)) (1 bad))", "(0 (2 so) (1 bad))", "(3 (2 an) (2 idea))"]
    for split in ("train", "test"):
        (tmp_path / f"{split}.txt").write_text("\n".join(trees))
    phrases = load_treebank(tmp_path, "test").train_phrases
    expected = [3.01 / 4.02, 0.01 / 2.02, 1.01 / 1.02]
    np.testing.assert_allclose(positive_fraction(phrases), expected)
    np.testing.assert_allclose(positive_fraction(np.array([[0, 0, 7, 0, 0]])), 0.5)


def test_typicality_is_by_tenths_of_each_class(toy):
    """Each tenth has two of a class's 20 sentences; the most memorized are in the last tenth."""
    data = load(from_yaml("", settings(toy)).dataset)
    count = len(data.train_labels)
    memorization = np.random.default_rng(1).permutation(count) / count
    memorization[:4] = np.nan
    phrases = np.zeros((count, 5), np.int64)
    phrases[:, 3] = np.round(1000 * np.nan_to_num(memorization))  # grows with memorization
    phrases[:, 1] = 1000 - phrases[:, 3]
    table = typicality(known(replace(data, train_phrases=phrases), memorization)).table
    for name, label in (("negative", 0), ("positive", 1)):
        rows = table[table["class"] == name].set_index("group")
        of_class = np.sort(memorization[(data.train_labels == label) & ~np.isnan(memorization)])
        assert rows.loc["all", "examples"] == len(of_class) == 38
        expected = {"1": of_class[:4].mean(), "10": of_class[-3:].mean(), "all": of_class.mean()}
        for group, mean in expected.items():
            row = rows.loc[group]
            assert row["fraction"] == pytest.approx(mean, abs=1e-3)
            assert row["low"] < row["fraction"] < row["high"]
        np.testing.assert_allclose(rows.filter(like="from_").sum(axis=1), 1)
    assert table[table["group"] == "10"]["paper"].tolist() == [0.358, 0.74]
    with pytest.raises(InputError, match="at least 10 examples of class negative"):
        typicality(known(data, np.where(np.arange(count) < 20, memorization, np.nan)))
    with pytest.raises(InputError, match="labels of phrases"):
        typicality(known(replace(data, train_phrases=None), memorization))


def test_seeds_are_compared_by_ranks():
    """Two models agree, and one ranks the other way round."""
    first, classes = np.arange(40.0), np.repeat(["a", "b"], 20)
    outcome = compare_seeds(classes, {4: first, 5: first**3, 6: -first})
    assert list(outcome.table) == ["index", "class", "trial_4", "trial_5", "trial_6"]
    same, other, _ = outcome.findings
    assert same.startswith("Trials 4 and 5: Spearman's correlation is 1.000")
    assert "100% of the 4" in same
    assert other.startswith("Trials 4 and 6: Spearman's correlation is -1.000")
    assert " 0% of the 4" in other
    assert overlap(np.r_[first, np.nan], np.r_[first, 99]) == (4, 4)


def test_self_influence_is_scored_against_known_memorization():
    """A score with the order of the truth ranks it perfectly; its negative does the opposite."""
    learner = example_learner()
    labels = learner.labels.train_labels
    truth = learner.memorization()
    assert (truth >= 0.5).sum() >= 2
    for sign, area in ((1, "1.000"), (-1, "0.000")):
        outcome = compare_estimators(
            0.5, labels, lambda: iter(learner.records()), sign * truth, "Cost: none."
        )
        np.testing.assert_allclose(outcome.table["memorization"], truth, atol=1e-12)
        assert outcome.table["memorized"].tolist() == (truth >= 0.5).tolist()
        ranks, found, top, cost = outcome.findings
        assert f"are right: {sign}.00" in ranks
        assert f"{(truth >= 0.5).sum()} of 8 examples with memorization ≥ 0.5" in found
        assert f"area under the ROC curve of {area}" in found
        assert "1 of 8 examples in the top 10%: too few" in top
        assert cost == "Cost: none."
    with pytest.raises(InputError, match="at least 4 trials"):
        compare_estimators(0.5, labels, lambda: iter(learner.records()[:3]), truth, "")


def test_instances_are_first_and_last_of_their_class(toy):
    data, two = load(from_yaml("", settings(toy)).dataset), InstancesSettings(count=2)
    memorization = np.where(np.arange(80) % 8 == 0, np.nan, np.arange(80.0))
    table = instances(known(data, memorization, two)).table.set_index(["class", "end"])["index"]
    assert table.loc["positive", "top"].tolist() == [78, 76]
    assert table.loc["positive", "bottom"].tolist() == [2, 4]
    assert table.loc["negative", "top"].tolist() == [79, 77]
    # Which of equal ones is shown is drawn, not their order.
    shown = instances(known(data, np.zeros(80), two)).table["index"].tolist()
    assert shown != sorted(shown)
    dollars = pd.DataFrame(
        {"class": ["a_b"], "end": ["top"], "index": [0], "memorization": [0.5], "text": ["$1 _ $x"]}
    )
    instances_figure(dollars, known(data, [])).savefig("/dev/null", format="png")


def test_instances_of_images_are_shown_as_pictures(digits):
    made = known(digits, np.arange(300) / 300, InstancesSettings())
    table = instances(made).table
    assert len(table) == 60
    assert not table["text"].any()
    top = table[table["end"] == "top"].groupby("class")["index"].first()
    last = [np.flatnonzero(digits.train_labels == label)[-1] for label in range(10)]
    assert top.tolist() == last
    instances_figure(table, made).savefig("/dev/null", format="png")


@pytest.fixture(scope="module")
def conducted_study(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "config.yaml").write_text("seed: 0\n")
    options = [word for each in settings(toy) for word in ("--set", each)]
    with drawn_coarsely(("png",)):
        return folder, tfmem_command("study", folder / "config.yaml", "--out", folder, *options)


def test_removal_takes_what_self_influence_says(conducted_study):
    """The command removes the examples with the highest self-influence."""
    folder = conducted_study[0]
    found = read_memorization(folder / "self_influence" / "fast")["memorization"].to_numpy()
    removal = folder / "experiments" / "removal"
    records = [
        record
        for path in sorted(removal.glob("trials-*/predictions/*.tfrecord"))
        for record in read_shard(path)
    ]
    without = [set(np.flatnonzero(~unpack(record.subset_mask, 80))) for record in records]
    assert sorted(map(len, without)) == [0, 0, 4, 4, 4, 4]
    assert without.count(set(np.argsort(-found)[:4])) == 2
    row = pd.read_csv(removal / "table.csv").set_index("removal").loc["memorized"]
    assert row["least_memorization"] == pytest.approx(np.sort(found)[-4])
    said = json.loads((removal / "findings.json").read_text())["findings"]
    assert "self_influence/fast: gauss_newton" in said[-1]
    assert "damping 0.005, 0 examples not converged" in said[-1]


def test_records_are_those_of_each_example(toy, conducted_study):
    config = with_digests(from_yaml("", settings(toy)))
    folder = conducted_study[0] / "self_influence"
    some = np.array([5, 70, 3, 41])
    solver, _ = kept_solver(config, load(config.dataset), folder / "models")
    known = remove_scores(solver, some)
    found = read_memorization(folder / "fast")
    assert found.index.tolist() == [*range(80)]
    np.testing.assert_allclose(found["memorization"][some], known.memorization, rtol=1e-3)


def test_steps_share_a_solver_while_the_weights_stay(toy, conducted_study, tmp_path, monkeypatch):
    config, data = (
        with_digests(from_yaml("", settings(toy))),
        load(from_yaml("", settings(toy)).dataset),
    )
    models = shutil.copytree(conducted_study[0] / "self_influence" / "models", tmp_path / "models")
    first, _ = kept_solver(config, data, models)

    def refuse(*_):
        raise InterruptedError

    monkeypatch.setattr("tfmem.experiments.self_influence.trained_objective", refuse)
    assert kept_solver(config, data, models)[0] is first
    for changed in (["self_influence.damping=0.1"], ["training.weight_decay=0.01"]):
        other = with_digests(from_yaml("", [*settings(toy), *changed]))
        with pytest.raises(InterruptedError):
            kept_solver(other, data, models)
    os.utime(models / "whole-00000.npz")
    with pytest.raises(InterruptedError):
        kept_solver(config, data, models)


def test_one_model_is_audited(toy, conducted_study, tmp_path):
    """Of the four sentences with the words of the other class, three or four are to be checked."""
    folder = shutil.copytree(conducted_study[0], tmp_path / "copy")
    options = [word for each in settings(toy) for word in ("--set", each)]
    said = tfmem_command("audit", folder / "config.yaml", "--out", folder, *options).stdout
    assert "self-influence-fast: unchanged, skipped" in said
    table = pd.read_csv(folder / "audit.csv")
    labels = table[table["reason"] == "label"]
    assert {0, 1, 2, 3}.issuperset(labels["index"])
    assert len(labels) >= 3
    assert (labels["confidence_out"] <= 0.1).all()
    assert (table["helps"] > 0).any()
    assert "One network (transformer)" in (folder / "audit.html").read_text()


def test_pairs_of_one_model_are_its_influences(toy, conducted_study):
    config = with_digests(from_yaml("", settings(toy)))
    data, folder = load(config.dataset), conducted_study[0] / "self_influence"
    memorization = read_memorization(folder / "fast")["memorization"]
    memorized = memorization.index[memorization >= 0.001].to_numpy()
    solver, arrays = kept_solver(config, data, folder / "models")
    known = influence(solver, arrays.test_images.astype(np.float32), data.test_labels, memorized)
    known[data.train_labels[memorized][:, None] != data.test_labels] = 0
    expected = np.sort(known[known / 80 >= 0.0001])[::-1] / 80
    pairs = read_pairs(folder / "pairs")
    assert len(pairs) > 10
    np.testing.assert_allclose(pairs["influence"], expected, rtol=1e-4)


def test_the_study_compares_both_estimators_on_one_page(conducted_study):
    folder, done = conducted_study
    assert done.stdout.splitlines()[-1].startswith(f"Results: {folder / 'report.html'}")
    table = pd.read_csv(folder / "experiments" / "estimators" / "table.csv")
    run = read_memorization(folder / "memorization")["memorization"]
    np.testing.assert_allclose(table["memorization"], run, atol=1e-6)
    page = (folder / "report.html").read_text()
    for name in (*CONDUCTED, "influence-pairs", "estimators"):
        assert f'<figure id="{name}">' in page


def test_without_trials_nothing_needs_a_run(toy, conducted_study, tmp_path):
    """Steps that were done are skipped, and the page shows only the experiments."""
    folder = shutil.copytree(conducted_study[0], tmp_path / "copy")
    for name in ("predictions", "memorization", "influence", "pairs", "figures"):
        shutil.rmtree(folder / name)
    said = []
    steps = study(with_digests(from_yaml("", settings(toy))), folder, trials=False)
    run_chain(steps, folder, said.append)
    assert [line.split("] ")[1] for line in said] == [
        *(f"{name}: unchanged, skipped" for name in (*OF_ONE_MODEL, *CONDUCTED)),
        "experiments-report …",
        said[-1].split("] ")[1],
    ]
    page = (folder / "report.html").read_text()
    assert '<figure id="removal">' in page
    pairs = read_pairs(folder / "self_influence" / "pairs")
    assert page.count("<tr data-index=") == 80 + min(len(pairs), 200)
    assert page.count('id="influential"') == 1
    assert "Explore" not in page
    summary = folder / "self_influence" / "fast" / "self_influence.json"
    summary.write_text(summary.read_text().replace('"damping": 0.005', '"damping": 0.05'))
    said.clear()
    run_chain(
        [experiments_page(with_digests(from_yaml("", settings(toy))), False)], folder, said.append
    )
    page = (folder / "report.html").read_text()
    for name in ("influence-pairs", "attribution"):  # of another estimate than is there now
        assert f'<figure id="{name}">' not in page
    assert '<figure id="removal">' in page
    assert page.count("<tr data-index=") == 80


def test_what_cannot_be_studied_is_said(toy, tmp_path):
    with pytest.raises(InputError, match="expected texts"):
        study(from_yaml("", []), tmp_path, trials=True)
    config = from_yaml("", [*settings(toy), "experiments.estimator=subsampled"])
    with pytest.raises(InputError, match=r"--no-subsampled: expected experiments\.estimator"):
        study(config, tmp_path, trials=False)
