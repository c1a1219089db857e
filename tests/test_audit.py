"""What an audit finds in examples whose nature is known, and its page in a real browser."""

import re
from dataclasses import replace
from math import comb
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.oracle import LookupLearner
from tests.helpers.runs import write_run
from tfmem.audit.conclusion import audit as audit_of
from tfmem.audit.conclusion import flagged
from tfmem.audit.effects import effects
from tfmem.audit.evidence import of_one_model, of_trials, refused
from tfmem.audit.findings import against_truth, examine
from tfmem.config import AuditSettings, from_yaml
from tfmem.datasets import Dataset, TextDataset
from tfmem.estimation.estimator import CORRECTNESS
from tfmem.estimation.units import SHARES
from tfmem.experiments.summed import sum_trials
from tfmem.pages.audit import render
from tfmem.store.pairs import ModelInfluence

# 0 has a wrong label: no other example has it and looks like 0. 1 is rare and so is test 0, of the
# same class. 2 and 3 are the same picture. 4 to 8 explain each other, and test 1. 0 is the same
# picture as 4, and test 2 as 7.
LEARNER = LookupLearner(
    train_twins=[(), (), (3,), (2,), *[{4, 5, 6, 7, 8} - {i} for i in range(4, 9)]],
    test_twins=[(1,), (4, 5, 6, 7, 8), (7, 8)],
    m=6,
    train_labels=[1, 1, 2, 2, 0, 0, 0, 0, 0],
    test_labels=[1, 0, 0],
)
EQUAL = {0: 4, 3: 2}


def run_of(learner, folder, data):
    write_run(folder, learner.records(), learner.labels)
    known = sum_trials(learner.records(), learner.labels.train_labels)
    value = learner.memorization()
    table = pd.DataFrame(
        {
            "label": learner.labels.train_labels, "memorization": value, "ci_low": value - 0.1,
            "ci_high": np.minimum(value + 0.1, 1), "accuracy_in": known.accuracy_in,
            "accuracy_out": known.held_out_accuracy, "n_out": known.counts.num_out,
        }
    )  # fmt: skip
    return SimpleNamespace(
        predictions=folder / "predictions", memorization=table, dataset=data,
        statistic="correctness", measure=CORRECTNESS, units=SHARES,
        memorized_by=lambda _: value >= 0.25,
    )  # fmt: skip


@pytest.fixture(scope="module")
def known_run(tmp_path_factory):
    images = np.random.default_rng(0).random((12, 8, 8, 1))
    train, test = images[:9], images[9:]
    for copy, original in EQUAL.items():
        train[copy] = train[original]
    test[2] = train[7]
    labels = LEARNER.labels
    data = Dataset(
        "known", train, labels.train_labels, test, labels.test_labels, ("a", "b <c>", "d"), 1
    )
    return run_of(LEARNER, tmp_path_factory.mktemp("run"), data)


CONFIG = from_yaml("", ["experiments.audit.similarity=1"])


def audit(run, config, opinion):
    return audit_of(of_trials(run, config), run.dataset, config, opinion)


@pytest.fixture(scope="module")
def found(known_run):
    opinion = np.zeros((9, 3))
    opinion[0] = 0.9, 0.1, 0
    return audit(known_run, CONFIG, opinion)


def test_a_wrong_label_is_told_from_a_rare_example_that_others_rest_on(found):
    known = found.examples
    assert known["finding"].to_dict() == {0: "label", 1: "useful", 2: "atypical", 3: "atypical"}
    assert known["memorization"][:2].tolist() == [1, 1]  # memorization alone does not show this
    assert known["accuracy_out"][:2].tolist() == [0, 0]
    assert known.loc[1, ["helps", "harms"]].tolist() == [1, 0]
    assert known.loc[1, "helped"] == pytest.approx(LEARNER.influence()[1, 0])
    assert known.loc[0, "action"] == "check the label: is it a?"
    assert known.loc[1, "action"].startswith("keep it")


def test_what_helps_only_its_duplicate_in_the_test_set_is_no_rare_example(known_run):
    data = known_run.dataset
    tests = np.concatenate([data.train_images[1:2], data.test_images[1:]])
    leaked = replace(data, test_images=tests)
    run = SimpleNamespace(**{**vars(known_run), "dataset": leaked})
    known = audit(run, CONFIG, None).examples
    assert known.loc[1, "finding"] == "useful"
    assert "near duplicate in the test set" in known.loc[1, "action"]


def test_equal_pictures_are_found_and_those_with_two_labels_come_first(found):
    rows = found.duplicates[["split", "index", "other_index", "conflict"]].to_numpy().tolist()
    assert rows == [["train", 0, 4, True], ["test", 2, 7, False], ["train", 2, 3, False]]
    assert "1 with different labels, 1 test examples" in found.summary[-1]


def test_the_table_has_a_row_for_each_example_and_reason(found, known_run):
    table = flagged(found, known_run.dataset)
    assert table["reason"].tolist() == ["label", "useful", *["atypical"] * 2, *["duplicate"] * 3]
    assert table["label"].tolist() == ["b <c>", "b <c>", "d", "d", "b <c>", "a", "d"]
    assert table["other_label"].tolist() == [""] * 4 + ["a", "a", "d"]
    assert table["said"][0] == "a"


def test_what_was_found_is_held_against_the_truth_where_that_is_known(found):
    labels = LEARNER.labels.train_labels
    clean = np.where(np.isin(np.arange(9), [0, 5]), [0, 0, 0, 0, 0, 2, 0, 0, 0], labels)
    said = against_truth(found.examples, labels, clean)
    assert said == (
        "2 of 9 labels had been replaced at random; 1 of the 1 labels to check are among them "
        "(precision 100.0%, recall 50.0%); networks name the correct label for 1 of these; 0 of "
        "the 1 useful examples have a wrong label"
    )


def test_classes_are_counted(found, known_run):
    table, value = found.classes, LEARNER.memorization()
    assert table["examples"].tolist() == [5, 2, 2]
    assert table["memorization"].tolist() == pytest.approx(
        [value[4], 1, value[2]]  # all examples of a class are alike
    )
    assert table["stderr"].tolist() == pytest.approx([0, 0, 0], abs=1e-9)
    assert table[["label", "useful", "atypical"]].to_numpy().tolist() == [
        [0, 0, 0], [1, 1, 0], [0, 0, 2]
    ]  # fmt: skip
    right = np.mean([LEARNER.predict(np.isin(range(9), s.nonzero()))[1] for s in subsets()], axis=0)
    assert table["test_accuracy"].to_numpy() == pytest.approx(
        [right[1:].mean(), right[0], np.nan], nan_ok=True
    )


def subsets():
    return [
        np.unpackbits(
            np.frombuffer(each.subset_mask, np.uint8), count=9, bitorder="little"
        )
        for each in LEARNER.records()
    ]  # fmt: skip


def test_help_counts_within_the_class_and_harm_everywhere(tmp_path):
    """Example 0 helps tests of all classes; one test is right only without it."""
    learner = LookupLearner(
        [(), *[{1, 2, 3, 4, 5} - {i} for i in range(1, 6)]], [(0,), (0,), ()], 4, [0] * 6, [0, 1, 1]
    )
    predict = learner.predict
    learner.predict = lambda mask: (predict(mask)[0], np.array([mask[0], mask[0], not mask[0]]))
    write_run(tmp_path, learner.records(), learner.labels)
    table, accuracy = effects(tmp_path / "predictions", np.array([0, 1]), 0.5, 0.01)
    assert table[["train_index", "test_index", "influence"]].to_numpy().tolist() == [
        [0, 0, 1], [0, 2, -1]
    ]  # fmt: skip
    assert accuracy.tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    # Fisher's p-value of either sign, by Benjamini & Hochberg over 6 x 3 tests with two hits.
    assert table["q_value"].tolist() == pytest.approx([2 / comb(15, 5) * 18 / 2] * 2)
    assert effects(tmp_path / "predictions", np.array([1]), 0.5, 0.01)[0].empty


def test_labels_that_models_refuse_to_learn_are_flagged_if_enough_models_left_them_out():
    columns = {"memorization": [0.0, 0.0, 0.9], "accuracy_out": 0.0, "n_out": [10, 9, 9],
               "label": 0}  # fmt: skip
    table = pd.DataFrame(columns)
    known = refused(table, AuditSettings())
    assert known.tolist() == [True, False, False]
    none = pd.DataFrame({"train_index": [], "influence": []})
    rows = examine(table.loc[[0, 2]], none, known, None, None)
    assert rows["finding"].to_dict() == {0: "label", 2: "atypical"}


@pytest.mark.parametrize("asked", [True, False])
def test_one_model_tells_them_apart_by_its_influence_and_by_those_that_never_saw_them(
    known_run, asked
):
    data, config = known_run.dataset, from_yaml("", ["experiments.audit.similarity=1"])
    memorization = pd.DataFrame(
        {
            "label": data.train_labels, "label_probability": 0.95,
            "memorization": [0.9, 0.6, 0.3, *[0.0] * 6],
            **dict.fromkeys(("ci_low", "ci_high"), np.nan), "n_out": 0,
        }
    )  # fmt: skip
    opinion = np.full((9, 3), 0.4)
    opinion[4] = opinion[5] = 0.05, 0.9, 0.05

    memorization.loc[5, "memorization"] = np.nan  # as if the solver had not converged

    def influences(chosen):
        known = np.zeros((9, 3))
        known[0] = 0.14, 0, -0.15  # helps test 0, not by enough; harms test 2, of another class
        known[1] = 0.15, -0.14, 0
        known[2] = 0.9, 0.9, 0  # of no class of its own
        for tests, right in ((np.array([0, 1]), [True, False]), (np.array([2]), [True])):
            yield ModelInfluence(tests, np.array(right), known[chosen][:, tests])

    evidence = of_one_model(
        memorization, influences, data.test_labels, config, opinion if asked else None, "By a test."
    )
    told = audit_of(evidence, data, config, opinion if asked else None)
    found = told.examples["finding"].to_dict()
    if asked:
        assert found == {4: "label", 5: "label", 1: "useful", 0: "atypical", 2: "atypical"}
    else:  # to first order the label of 0 would have a probability of 0.05
        assert found == {0: "label", 1: "useful", 2: "atypical"}
    assert told.examples.loc[0, "harms"] == 1
    assert told.classes["test_accuracy"].dropna().tolist() == [0.5, 1]
    page = render(data, config, told)
    assert "One network" in page
    assert "By a test." in page
    assert "95% interval" not in page
    assert "nan" not in page


@pytest.fixture(scope="module")
def of_texts(known_run):
    """The same run with texts: 2 and 3 have the same words, and so have 1 and test 2."""
    words = ["one", "two", "A <b> & c.", "a b, C!", *(f"w{i} " * 40 for i in range(5))]
    train, test = (
        np.array([[text] for text in texts], np.dtypes.StringDType())
        for texts in (words, ["...", "!", "Two"])
    )
    labels, names = LEARNER.labels, ("a", "b", "d")
    data = TextDataset("t", train, labels.train_labels, test, labels.test_labels, names)
    run = SimpleNamespace(**{**vars(known_run), "dataset": data})
    return run, audit(run, CONFIG, None)


def test_texts_are_shown_as_texts_and_compared_by_their_words(of_texts):
    run, told = of_texts
    pairs = told.duplicates[["split", "index", "other_index"]].to_numpy().tolist()
    assert pairs == [["test", 2, 1], ["train", 2, 3]]
    page = render(run.dataset, CONFIG, told)
    assert "A &lt;b&gt; &amp; c." in page
    assert "networks say" not in page


@pytest.fixture(scope="module")
def address(known_run, found, tmp_path_factory):
    path = tmp_path_factory.mktemp("audit") / "audit.html"
    path.write_text(render(known_run.dataset, CONFIG, found), encoding="utf-8")
    return path.as_uri()


def shown(page):
    """The indices of the examples that the table shows."""
    rows = page.locator("#findings tr[data-index]").filter(visible=True)
    return rows.evaluate_all("all => all.map((e) => Number(e.dataset.index))")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_sorts_and_filters_at_a_laptops_and_a_phones_width(open_page, address, width):
    page = open_page(address, width)
    assert shown(page) == [0, 1, 2, 3]
    column = "#findings th:nth-child(6) button"
    page.click(column)
    assert shown(page) == [3, 2, 1, 0]
    page.click(column)
    page.select_option("#finding", "useful")
    assert shown(page) == [1]
    assert page.inner_text("#status").startswith("1 of the 4")
    page.click("#first-label a")  # leads to an example that is not among those chosen
    assert shown(page) == [0, 1, 2, 3]
    page.select_option("#class", "2")
    assert shown(page) == [2, 3]
    page.fill("#index", "3")
    assert shown(page) == [3]
    page.fill("#index", "999")
    assert "There is no training example 999: indices are from 0 to" in page.inner_text("#status")
    assert "known" in page.inner_text("h1")


def test_texts_fit_a_phone(open_page, of_texts, tmp_path):
    run, told = of_texts
    (tmp_path / "audit.html").write_text(render(run.dataset, CONFIG, told), encoding="utf-8")
    open_page((tmp_path / "audit.html").as_uri(), 390)


def test_the_page_needs_nothing_beside_itself(address, known_run, found):
    page = render(known_run.dataset, CONFIG, found)
    assert not re.search(r"https?://|url\((?!data:image/png;base64,)|@import| src=", page)
    assert "b &lt;c&gt;" in page
