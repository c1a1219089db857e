"""The interactive page in a real browser, on a run whose answers are known."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers.browser import CHROMIUM, Browser
from tfmem.config import from_yaml
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.text import TextDataset
from tfmem.estimation.blocks import InfluenceBlock
from tfmem.estimation.estimator import ClassCounts, TrainCounts
from tfmem.pages.experiments import render_experiments
from tfmem.pages.explorer import explore
from tfmem.pages.report import render, write_folder
from tfmem.pages.sprites import sprites
from tfmem.store.pairs import PairStatistics

TRIALS = 100


def influence_block(label, train, test, effects):
    """Counts that have given influences, in hundredths of 2, on tests that are else half right."""
    half = TRIALS // 2
    num_in = np.full(len(train), half)
    correct_in = np.full((len(train), len(test)), half // 2)
    for (row, column), effect in effects.items():
        correct_in[row, column] += round(effect * half / 2)
    counts = TrainCounts(TRIALS, train, np.full(len(train), label), num_in, num_in, num_in)
    return InfluenceBlock(
        ClassCounts(label, counts, test, np.full(len(test), half), correct_in.astype(np.int32))
    )


@pytest.fixture(scope="module")
def known_run():
    """Forty training examples of two classes; 7 influences tests 2, 4; a pair across classes."""
    label = np.arange(40) % 2
    table = pd.DataFrame(
        {
            "label": label, "n_in": 50, "n_out": 50, "memorization": np.arange(40) / 40,
            "ci_low": 0.0, "ci_high": 1.0, "accuracy_in": 1.0, "accuracy_out": 0.0, "stderr": 0.1,
        },
    )  # fmt: skip
    odd, even = np.flatnonzero(label), np.flatnonzero(label == 0)
    blocks = {
        0: influence_block(0, even, np.array([1, 3]), {}),
        1: influence_block(1, odd, np.array([0, 2, 4]), {(3, 1): 0.8, (3, 2): 0.4, (5, 1): 0.04}),
    }
    pairs = pd.DataFrame(
        {
            "train_index": [7, 8], "test_index": [2, 0], "influence": [0.8, 0.3], "stderr": 0.1,
            "label": [1, 0], "test_label": [1, 1], "memorization": [7 / 40, 8 / 40], "ci_low": 0.0,
            "ci_high": 1.0, "q_value": [1e-5, 0.02],
        }
    )  # fmt: skip
    rng = np.random.default_rng(0)
    images = rng.random((40, 8, 8, 1)), rng.random((5, 8, 8, 1))
    names = "cat", "<dog & 'hound'>"
    data = Dataset("known", images[0], label, images[1], np.array([1, 0, 1, 0, 1]), names, white=1)
    accuracies = dict.fromkeys(["test_accuracy", "subset_accuracy", "held_out_accuracy"], 0.5)
    return SimpleNamespace(
        memorization=table, influence=blocks, pairs=pairs, dataset=data, statistic="correctness",
        config=from_yaml("selection: {memorization: 0.5}"), labels=data,
        trials=pd.DataFrame({**accuracies, "diverged": False}, index=range(TRIALS)),
        pair_statistics=PairStatistics(2, 2, 2, {1: 2}),
        selection={"pairs": 2, "tested": 20, "expected_by_chance": 0.1},
    )  # fmt: skip


def test_links_are_the_pairs_and_the_strongest_that_are_surely_there(known_run):
    links = explore(known_run).links
    found = list(zip(links["train_index"], links["test_index"], links["pair"], strict=True))
    assert found == [(7, 2, True), (7, 4, False), (8, 0, True)]  # 0.04 is too little
    assert links["influence"].tolist() == pytest.approx([0.8, 0.4, 0.3], abs=0.021)


def test_a_page_with_room_for_some_has_pairs_the_memorized_and_each_class_over_the_range(known_run):
    assert len(explore(known_run, 40).train) == 40
    some = explore(known_run, 24)
    assert {7, 8, *range(20, 40)} <= set(some.train.index) | {0, 1}
    assert len(some.train) == 24
    assert {0, 1} <= set(some.train.index)  # the least memorized of each class
    few = explore(known_run, 3)
    assert (len(few.train), len(few.test)) == (3, 2)
    assert few.links["test_index"].isin(few.test.index).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_every_picture_is_where_its_place_says(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (1100, 4, 6, channels)) / 255
    sheets = sprites(pixels, range(1100))
    assert sheets.aspect == 1.5
    for position in (0, 31, 32, 1023, 1024, 1099):
        number, place = sheets.place(position)
        x, y = (float(part.rstrip("%")) / 100 for part in place.split())
        sheet = sheets.sheets[number]
        shown = opened(sheet.encoded)
        left, top = x * (shown.shape[1] - 6), y * (shown.shape[0] - 4)  # what CSS makes of it
        cell = shown[round(top) : round(top) + 4, round(left) : round(left) + 6]
        expected = np.round(pixels[position] * 255)
        np.testing.assert_array_equal(cell, 255 - expected if channels == 1 else expected)


def opened(encoded):
    image = np.asarray(Image.open(io.BytesIO(encoded)))
    return image if image.ndim == 3 else image[..., None]


def save_figures(folder):
    for name in ("memorization_histogram", "memorization_gallery", "influence_histogram",
                 "pair_gallery"):  # fmt: skip
        Image.new("L", (700, 300)).save(folder / f"{name}.png")


@pytest.fixture(scope="module")
def addresses(known_run, tmp_path_factory):
    """The page as one file, and as a folder."""
    folder = tmp_path_factory.mktemp("page")
    save_figures(folder)
    (folder / "report.html").write_text(render(known_run, folder), encoding="utf-8")
    write_folder(known_run, folder, {}, 40, folder / "pages")
    return [(folder / name).as_uri() for name in ("report.html", "pages/index.html")]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium: `apt-get install chromium`")
    browser = Browser()
    yield browser
    browser.close()


def texts(browser, selector):
    """The words of every element that a selector finds, and where it leads."""
    return browser.run(
        f"[...document.querySelectorAll({selector!r})].map((e) => [e.innerText, e.hash ?? ''])"
    )


@pytest.mark.parametrize("which", [0, 1], ids=["file", "folder"])
def test_examples_are_found_by_memorization_class_and_index(browser, addresses, which):
    browser.open(addresses[which])
    browser.run("document.querySelector('#near').focus()")
    browser.press("Home", 36)
    assert texts(browser, "#value")[0][0] == "0.00"
    browser.run(
        "(() => { const e = document.querySelector('#class'); e.value = '1';"
        "e.dispatchEvent(new Event('change')); })()"
    )
    shown = texts(browser, "#gallery a")
    assert [link for _, link in shown] == [f"#train-{index}" for index in range(39, 0, -2)]
    assert shown[0][0].split("\n") == ["0.98", "<dog & 'hound'>"]
    assert texts(browser, "#status")[0][0].startswith(
        "The 20 of 20 training examples of class <dog"
    )
    browser.click("#gallery a[href='#train-7']")
    assert texts(browser, "#detail h3")[0][0] == "training example 7"
    assert [link for _, link in texts(browser, "#detail a")] == ["#test-2", "#test-4"]
    assert "0.80 ± " in texts(browser, "#detail a")[0][0]
    assert ["★" in text for text, _ in texts(browser, "#detail a")] == [True, False]
    assert texts(browser, "#gallery a[aria-current]")[0][1] == "#train-7"
    browser.press("Tab", 9)  # from the heading to the first test example
    browser.press("Enter", 13, "\r")
    assert texts(browser, "#detail h3")[0][0] == "test example 2"
    assert [link for _, link in texts(browser, "#detail a")] == ["#train-7"]
    assert "mem. 0.18" in texts(browser, "#detail a")[0][0]
    for wanted, said in (("8", "cat"), ("999", "It is not on this page.")):
        browser.run(f"document.querySelector('#index').value = {wanted}")
        browser.click("#controls button")
        assert said in texts(browser, "#detail")[0][0]
    assert browser.errors == []


def test_an_address_leads_to_an_example_and_tables_sort(browser, addresses):
    browser.open(addresses[0] + "#test-0")
    assert [link for _, link in texts(browser, "#detail a")] == ["#train-8"]
    column = "#pairs ~ .scroll tbody tr td:nth-child(9)"
    for order in (["2e-02", "1e-05"], ["1e-05", "2e-02"]):
        browser.click("#pairs ~ .scroll th:nth-child(9) button")
        assert [float(text) for text, _ in texts(browser, column)] == [float(q) for q in order]
    assert browser.errors == []


@pytest.mark.parametrize(("width", "columns"), [(1280, 2), (390, 1)])
def test_it_fits_a_laptop_and_a_phone_and_draws_its_pictures(browser, addresses, width, columns):
    browser.open(addresses[0] + "#train-7", width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    panes = "getComputedStyle(document.querySelector('.panes')).gridTemplateColumns"
    assert len(browser.run(panes).split()) == columns
    browser.run("document.querySelector('#detail').scrollIntoView()")
    browser.settle()
    box = browser.run(
        "(() => { const b = document.querySelector('#detail > .picture').getBoundingClientRect();"
        "return [b.left, b.top, b.right, b.bottom]; })()"
    )
    seen = np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("L").crop(box), float)
    size = len(seen) // 8
    centres = seen[size // 2 :: size, size // 2 :: size][:8, :8]
    images = np.random.default_rng(0).random((40, 8, 8, 1))
    assert np.abs(centres - 255 * (1 - images[7, ..., 0])).max() < 3


def test_without_javascript_the_tables_remain(browser, addresses):
    browser.open(addresses[0], scripts=False)
    browser("Emulation.setScriptExecutionDisabled", value=False)
    assert len(texts(browser, "#memorized ~ .scroll tr")) > 40
    assert not browser.run("document.querySelector('#explorer').checkVisibility()")
    links = {link for _, link in texts(browser, "a")}
    assert "#train-8" in links
    assert all(browser.run(f"!!document.querySelector({link!r})") for link in links)


def sentences(data):
    """Texts in the place of images, and which words of the last are memorized."""
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


def type_words(browser, letters):
    browser.run("document.querySelector('#words').focus()")
    for letter in letters:
        browser.press(letter, ord(letter), letter)


def test_texts_are_read_searched_and_their_memorized_words_coloured(browser, known_run, tmp_path):
    save_figures(tmp_path)
    run = SimpleNamespace(**vars(known_run))
    run.dataset, attributions = sentences(known_run.dataset)
    page = render(run, tmp_path, attributions=attributions)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    for width in (390, 1280):
        browser.open((tmp_path / "page.html").as_uri(), width)
        assert browser.run("document.documentElement.scrollWidth") <= width
    text, link = texts(browser, "#gallery a")[0]
    assert text.split() == ["good", "film", "0.98<dog", "&", "'hound'>"]
    assert link == "#train-39"
    marks = "[...document.querySelectorAll('#gallery mark, #memorized ~ .scroll mark')]"
    shown = browser.run(f"{marks}.map((e) => [e.title, e.innerText, e.style.background])")
    strong, weak = "rgba(230, 159, 0, 0.75)", "rgba(0, 114, 178, 0.6)"
    assert shown == 2 * [["+0.0200", "good", strong], ["-0.0160", "film", weak]]
    type_words(browser, "ODD 7")
    assert [link for _, link in texts(browser, "#gallery a")] == [
        f"#train-{k}" for k in (37, 27, 17, 7)
    ]
    browser.click("#gallery a[href='#train-7']")
    assert texts(browser, "#detail > .text")[0][0].split() == ["<b>text</b>", "7", "odd"]
    assert [text.split("\n")[:1] for text, _ in texts(browser, "#detail a")] == [
        ["test 2"],
        ["test 4"],
    ]
    assert browser.errors == []


def test_without_trials_the_page_has_the_memorized_texts(browser, known_run, tmp_path, monkeypatch):
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
    page = render_experiments(known_run.config, {}, examples, attributions, pairs, "3 pairs")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    for width in (1280, 390):
        browser.open((tmp_path / "page.html").as_uri(), width)
        assert browser.run("document.documentElement.scrollWidth") <= width
    shown = "[...document.querySelectorAll('#memorized tr[data-index]')].filter((e) => !e.hidden)"
    indices = f"{shown}.map((e) => Number(e.dataset.index))"
    assert browser.run(indices) == [*range(39, 19, -1), *range(4, -1, -1)]
    marks = browser.run(
        "[...document.querySelectorAll('#memorized td mark')].map((e) => [e.title, e.innerText])"
    )
    assert marks == [["+0.0200", "good"], ["-0.0160", "film"]]
    assert browser.run("document.querySelectorAll('#memorized td p:has(mark)').length") == 2
    browser.click("#memorized th:first-child button")
    browser.click("#memorized th:first-child button")
    assert browser.run(indices) == [*range(5), *range(20, 40)]
    type_words(browser, "ODD 3")
    assert browser.run(indices) == [3, 23, 31, 33, 35, 37, 39]  # 39 is shown as its words
    assert browser.run("document.querySelector('#status').innerText").startswith(
        "7 of the 25 texts and 2 of the 3 pairs"
    )
    paired = "[...document.querySelectorAll('#influential tr[data-index]')]"
    visible = f"{paired}.filter((e) => !e.hidden).map((e) => Number(e.dataset.index))"
    assert browser.run(visible) == [39, 3]
    assert browser.run(f"{paired}[0].querySelectorAll('mark').length") == 2
    sides = f"[...{paired}[0].querySelectorAll('.text')].map((e) => e.innerText.split(/\\s+/)[1])"
    assert browser.run(sides) == ["film", "2"]
    assert browser.errors == []
