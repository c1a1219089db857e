"""Pages of texts in a real browser are read and searched, and words have their colours."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.pages import gallery, run_of_known_answers, save_figures, texts
from tfmem.datasets.text import TextDataset
from tfmem.pages.experiments import render_experiments
from tfmem.pages.report import render


@pytest.fixture(scope="module")
def known_run():
    return run_of_known_answers()


def sentences(data):
    """A data set of texts instead of images, and the attributions of the last texts."""
    strings = np.dtypes.StringDType()
    train = np.array([[f"<b>text</b> {k}", "odd" if k % 2 else "even"] for k in range(40)], strings)
    test = np.array([[f"test {k}", "too"] for k in range(5)], strings)
    words = {
        "words": [["good", "film"]],
        "scores": [40 * np.array([0.02, -0.016])],
        "sentences": [np.array([0, 1])],
    }
    return TextDataset(
        "sentences", train, data.train_labels, test, data.test_labels, data.class_names
    ), pd.DataFrame(words, index=[39])


def test_texts_are_read_searched_and_their_memorized_words_coloured(open_page, known_run, tmp_path):
    save_figures(tmp_path)
    run = SimpleNamespace(**vars(known_run))
    run.dataset, attributions = sentences(known_run.dataset)
    html = render(run, tmp_path, attributions=attributions)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    for width in (390, 1280):
        page = open_page((tmp_path / "page.html").as_uri(), width)
    text, link = texts(page, "#gallery a")[0]
    assert text.split() == ["good", "film", "mem.", "0.975", "class", "<dog", "&", "'hound'>"]
    assert link == "#train-39"
    strong, weak = "rgba(230, 159, 0, 0.7)", "rgba(0, 114, 178, 0.56)"
    marks = [["+0.0200", "good", strong], ["-0.0160", "film", weak]]
    for place in ("#gallery", "[aria-label='most memorized training examples']"):
        assert coloured(page, place) == marks
    page.press("#from", "Home")
    page.locator("#words").press_sequentially("ODD 7")
    assert gallery(page) == [37, 27, 17, 7]
    page.click("#gallery a[href='#train-7']")
    assert page.inner_text("#detail .head > .text").split() == ["<b>text</b>", "7", "odd"]
    assert [text.split("\n")[:1] for text, _ in texts(page, "#detail li a")] == [
        ["test 2"],
        ["test 4"],
    ]


def coloured(page, selector):
    """Score, word and colour of each word with an attribution."""
    return page.locator(f"{selector} mark").evaluate_all(
        "all => all.map((e) => [e.title, e.innerText, getComputedStyle(e).backgroundColor])"
    )


def rows(page, table):
    """The indices of the visible rows."""
    shown = page.locator(f"{table} tr[data-index]:not([hidden])")
    return shown.evaluate_all("all => all.map((e) => Number(e.dataset.index))")


def test_without_trials_the_page_has_the_memorized_texts(
    open_page, known_run, tmp_path, monkeypatch
):
    monkeypatch.setattr("tfmem.pages.experiments._MOST", 20)
    monkeypatch.setattr("tfmem.pages.experiments._LEAST", 5)
    data, attributions = sentences(known_run.dataset)
    examples = data, known_run.memorization
    pairs = pd.DataFrame(
        {
            "train_index": [39, 3, 2], "test_index": [2, 0, 4], "label": [1, 1, 0],
            "test_label": [1, 1, 0], "memorization": [0.3, 0.2, 0.1], "influence": 0.05,
        }
    )  # fmt: skip
    html = render_experiments(known_run.config, {}, examples, attributions, pairs, "3 pairs")
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    for width in (390, 1280):
        page = open_page((tmp_path / "page.html").as_uri(), width)
    assert rows(page, "#memorized") == [*range(39, 19, -1), *range(4, -1, -1)]
    assert [mark[:2] for mark in coloured(page, "#memorized td")] == [
        ["+0.0200", "good"], ["-0.0160", "film"],
    ]  # fmt: skip
    assert page.locator("#memorized td .text > span:has(mark)").count() == 2
    for _ in range(2):
        page.click("#memorized th:nth-child(3) button")
    assert rows(page, "#memorized") == [*range(5), *range(20, 40)]
    page.locator("#words").press_sequentially("ODD 3")
    assert rows(page, "#memorized") == [3, 23, 31, 33, 35, 37, 39]  # 39 is shown as its words
    assert page.inner_text("#status").startswith("7 of the 25 texts and 2 of the 3 pairs")
    assert rows(page, "#influential") == [39, 3]
    page.fill("#index", "40")
    assert "indices are from 0 to 39" in page.inner_text("#status")
    page.fill("#index", "")
    first = page.locator("#influential tr[data-index]").first
    assert first.locator("mark").count() == 2
    assert [text.split()[1] for text in first.locator(".text").all_inner_texts()] == ["film", "2"]
