"""The interactive page in a real browser, on a run whose answers are known."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

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


def texts(page, selector):
    """The words of every element that a selector finds, and where it leads."""
    return page.locator(selector).evaluate_all("all => all.map((e) => [e.innerText, e.hash ?? ''])")


@pytest.mark.parametrize("which", [0, 1], ids=["file", "folder"])
def test_examples_are_found_by_memorization_class_and_index(open_page, addresses, which):
    page = open_page(addresses[which])
    page.press("#near", "Home")
    assert page.inner_text("#value") == "0.00"
    page.select_option("#class", "1")
    shown = texts(page, "#gallery a")
    assert [link for _, link in shown] == [f"#train-{index}" for index in range(39, 0, -2)]
    assert shown[0][0].split("\n") == ["0.98", "<dog & 'hound'>"]
    assert page.inner_text("#status").startswith("The 20 of 20 training examples of class <dog")
    page.click("#gallery a[href='#train-7']")
    assert page.inner_text("#detail h3") == "training example 7"
    assert [link for _, link in texts(page, "#detail a")] == ["#test-2", "#test-4"]
    assert "0.80 ± " in texts(page, "#detail a")[0][0]
    assert ["★" in text for text, _ in texts(page, "#detail a")] == [True, False]
    assert texts(page, "#gallery a[aria-current]")[0][1] == "#train-7"
    page.keyboard.press("Tab")  # from the heading to the first test example
    page.keyboard.press("Enter")
    assert page.inner_text("#detail h3") == "test example 2"
    assert [link for _, link in texts(page, "#detail a")] == ["#train-7"]
    assert "mem. 0.18" in texts(page, "#detail a")[0][0]
    for wanted, said in (("8", "cat"), ("999", "It is not on this page.")):
        page.fill("#index", wanted)
        page.click("#controls button")
        assert said in page.inner_text("#detail")


def test_an_address_leads_to_an_example_and_tables_sort(open_page, addresses):
    page = open_page(addresses[0] + "#test-0")
    assert [link for _, link in texts(page, "#detail a")] == ["#train-8"]
    column = "#pairs ~ .scroll tbody tr td:nth-child(9)"
    for order in (["2e-02", "1e-05"], ["1e-05", "2e-02"]):
        page.click("#pairs ~ .scroll th:nth-child(9) button")
        assert [float(text) for text, _ in texts(page, column)] == [float(q) for q in order]


@pytest.mark.parametrize(("width", "columns"), [(1280, 2), (390, 1)])
def test_it_fits_a_laptop_and_a_phone_and_draws_its_pictures(open_page, addresses, width, columns):
    page = open_page(addresses[0] + "#train-7", width)
    panes = page.locator(".panes").evaluate("(e) => getComputedStyle(e).gridTemplateColumns")
    assert len(panes.split()) == columns
    shown = page.locator("#detail > .picture").screenshot(scale="css")
    seen = np.asarray(Image.open(io.BytesIO(shown)).convert("L"), float)
    size = len(seen) // 8
    centres = seen[size // 2 :: size, size // 2 :: size][:8, :8]
    images = np.random.default_rng(0).random((40, 8, 8, 1))
    assert np.abs(centres - 255 * (1 - images[7, ..., 0])).max() < 3


def test_without_javascript_the_tables_remain(open_page, addresses):
    page = open_page(addresses[0], java_script_enabled=False)
    assert page.locator("#memorized ~ .scroll tr").count() > 40
    assert not page.is_visible("#explorer")
    links = {
        page.locator("a").nth(k).get_attribute("href") for k in range(page.locator("a").count())
    }
    assert "#train-8" in links
    assert all(page.locator(link).count() for link in links)


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


def test_texts_are_read_searched_and_their_memorized_words_coloured(open_page, known_run, tmp_path):
    save_figures(tmp_path)
    run = SimpleNamespace(**vars(known_run))
    run.dataset, attributions = sentences(known_run.dataset)
    html = render(run, tmp_path, attributions=attributions)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    for width in (390, 1280):
        page = open_page((tmp_path / "page.html").as_uri(), width)
    text, link = texts(page, "#gallery a")[0]
    assert text.split() == ["good", "film", "0.98<dog", "&", "'hound'>"]
    assert link == "#train-39"
    strong, weak = "rgba(230, 159, 0, 0.75)", "rgba(0, 114, 178, 0.6)"
    marks = [["+0.0200", "good", strong], ["-0.0160", "film", weak]]
    for place in ("#gallery", "#memorized ~ .scroll"):
        assert coloured(page, place) == marks
    page.locator("#words").press_sequentially("ODD 7")
    assert [link for _, link in texts(page, "#gallery a")] == [
        f"#train-{k}" for k in (37, 27, 17, 7)
    ]
    page.click("#gallery a[href='#train-7']")
    assert page.inner_text("#detail > .text").split() == ["<b>text</b>", "7", "odd"]
    assert [text.split("\n")[:1] for text, _ in texts(page, "#detail a")] == [
        ["test 2"],
        ["test 4"],
    ]


def coloured(page, selector):
    """Score, word and colour of each word whose part is known."""
    return page.locator(f"{selector} mark").evaluate_all(
        "all => all.map((e) => [e.title, e.innerText, e.style.background])"
    )


def rows(page, table):
    """The indices of the rows that are shown."""
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
    assert page.locator("#memorized td p:has(mark)").count() == 2
    for _ in range(2):
        page.click("#memorized th:first-child button")
    assert rows(page, "#memorized") == [*range(5), *range(20, 40)]
    page.locator("#words").press_sequentially("ODD 3")
    assert rows(page, "#memorized") == [3, 23, 31, 33, 35, 37, 39]  # 39 is shown as its words
    assert page.inner_text("#status").startswith("7 of the 25 texts and 2 of the 3 pairs")
    assert rows(page, "#influential") == [39, 3]
    first = page.locator("#influential tr[data-index]").first
    assert first.locator("mark").count() == 2
    assert [text.split()[1] for text in first.locator(".text").all_inner_texts()] == ["film", "2"]
