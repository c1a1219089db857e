"""The interactive page in a real browser, on a run whose answers are known."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers.pages import gallery, run_of_known_answers, save_figures, texts, wait_for_choice
from tfmem.pages.explorer import explore
from tfmem.pages.report import render, write_folder
from tfmem.pages.sections import run_sections
from tfmem.pages.sprites import sprites


@pytest.fixture(scope="module")
def known_run():
    return run_of_known_answers()


def test_links_are_the_pairs_and_the_strongest_that_are_surely_there(known_run):
    links = explore(known_run).links
    found = list(zip(links["train_index"], links["test_index"], links["pair"], strict=True))
    assert found == [
        (7, 2, True),
        (7, 4, False),
        (8, 0, True),
    ]  # 0.04 is below the least influence shown
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


@pytest.fixture(scope="module")
def addresses(known_run, tmp_path_factory):
    """The page as one file, and as a folder."""
    folder = tmp_path_factory.mktemp("page")
    save_figures(folder)
    (folder / "report.html").write_text(render(known_run, folder), encoding="utf-8")
    write_folder(known_run, folder, {}, 40, folder / "pages")
    return [(folder / name).as_uri() for name in ("report.html", "pages/index.html")]


@pytest.fixture(scope="module")
def some(known_run, tmp_path_factory):
    """The page with room for 24 examples."""
    folder = tmp_path_factory.mktemp("some")
    save_figures(folder)
    (folder / "report.html").write_text(render(known_run, folder, limit=24), encoding="utf-8")
    return folder / "report.html"


@pytest.mark.parametrize("which", [0, 1], ids=["file", "folder"])
def test_the_page_opens_with_its_most_memorized_example_explained(open_page, addresses, which):
    page = open_page(addresses[which])
    wait_for_choice(page, "Training example 39")
    for said in ("memorization 0.975", "95% interval 0.000 to 1.000", "100.0% of 50", "0.0% of 50"):
        assert said in page.inner_text("#detail")
    assert gallery(page) == list(range(39, 19, -1))  # from the threshold of selection on
    assert texts(page, "#gallery a")[0][0].split("\n") == ["mem. 0.975", "class <dog & 'hound'>"]
    assert page.inner_text("#status").startswith("20 of 40 training examples")
    assert page.evaluate("location.hash") == ""
    assert page.evaluate("scrollY") == 0
    page.click("#gallery a[href='#train-30']")
    wait_for_choice(page, "Training example 30")


def test_a_range_on_a_histogram_decides_what_is_shown(open_page, addresses):
    page = open_page(addresses[0])
    page.press("#from", "Home")
    assert gallery(page) == list(range(39, -1, -1))
    assert page.inner_text("#from-value") == "0.00"
    heights = page.locator("#bars i").evaluate_all("all => all.map((e) => e.title)")
    assert heights == [f"{k / 20:.2f} to {(k + 1) / 20:.2f}: 2" for k in range(20)]
    page.press("#to", "Home")  # it cannot pass the other end
    assert gallery(page) == [0]
    for _ in range(10):
        page.press("#to", "ArrowRight")
    assert gallery(page) == [4, 3, 2, 1, 0]  # 0.1 is in it, as is 0
    page.select_option("#split", "test")
    assert texts(page, "#gallery a") == [
        ["infl. 0.800\nclass <dog & 'hound'>", "#test-2"],
        ["infl. 0.400\nclass <dog & 'hound'>", "#test-4"],
        ["infl. 0.300\nclass <dog & 'hound'>", "#test-0"],
    ]
    wait_for_choice(page, "Test example 2")


def test_choosing_a_class_clears_an_example_of_another(open_page, addresses):
    page = open_page(addresses[0] + "#train-7")
    page.select_option("#class", "1")
    wait_for_choice(page, "Training example 7")  # it is of this class
    assert gallery(page) == list(range(39, 19, -2))
    page.select_option("#class", "0")
    wait_for_choice(page, "Training example 38")
    page.fill("#index", "9")  # an example of the other class, whose address is followed
    page.click("#controls button")
    wait_for_choice(page, "Training example 9")
    assert page.input_value("#class") == ""


def test_an_index_out_of_range_is_told_the_range(open_page, addresses):
    page = open_page(addresses[0])
    for index in ("40", "-1", "1.5", ""):
        page.fill("#index", index)
        page.click("#controls button")
        assert "its index is from 0 to 39" in page.inner_text("#lookup")
        page.fill("#index", "8")
        page.click("#controls button")
        assert page.inner_text("#lookup") == ""
        wait_for_choice(page, "Training example 8")


def test_an_example_that_is_not_on_the_page_is_said_to_be_none_of_it(open_page, some, tmp_path):
    page = open_page(some.as_uri() + "#train-9")
    assert "not on this page, which has 24 of 40" in page.inner_text("#lookup")


def test_links_lead_from_example_to_example(open_page, addresses):
    page = open_page(addresses[0] + "#train-7")
    assert [link for _, link in texts(page, "#detail li a")] == ["#test-2", "#test-4"]
    assert texts(page, "#detail li a")[0][0].split("\n") == ["infl. 0.800", "± 0.100 ★"]
    assert "★" not in texts(page, "#detail li a")[1][0]
    page.focus("#detail h3")
    page.keyboard.press("Tab")  # from the heading to the first test example
    page.keyboard.press("Enter")
    wait_for_choice(page, "Test example 2")
    assert [link for _, link in texts(page, "#detail li a")] == ["#train-7"]
    assert "mem. 0.175" in texts(page, "#detail li a")[0][0]
    page.go_back()
    wait_for_choice(page, "Training example 7")


def test_every_control_is_reached_by_tab_and_the_gallery_by_arrow_keys(open_page, addresses):
    page = open_page(addresses[0])
    reached, inside = [], []
    for _ in range(24):
        page.keyboard.press("Tab")
        element = "document.activeElement"
        reached.append(page.evaluate(f"{element}.id || {element}.hash"))
        inside.append(page.evaluate(f"document.querySelector('#gallery').contains({element})"))
    controls = ["#explore", "#settings", "from", "to", "split", "class", "index", "#train-39"]
    assert [at for at in reached if at in controls][: len(controls)] == controls
    assert sum(inside) == 1  # one stop for the whole gallery
    page.focus("#gallery a[tabindex='0']")
    columns = len(
        page.locator("#gallery").evaluate("(e) => getComputedStyle(e).gridTemplateColumns").split()
    )
    for key, index in (
        ("ArrowRight", 38), ("ArrowDown", 38 - columns), ("ArrowUp", 38), ("ArrowLeft", 39),
        ("ArrowLeft", 39), ("End", 20), ("Home", 39),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.hash") == f"#train-{index}"
        wait_for_choice(page, f"Training example {index}")
    style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert style == "solid"  # the focus is seen


def test_an_address_leads_to_an_example_and_tables_sort(open_page, addresses):
    page = open_page(addresses[0] + "#test-0")
    assert [link for _, link in texts(page, "#detail li a")] == ["#train-8"]
    table = "[aria-label='selected pairs']"
    for order in ([0.02, 1e-5], [1e-5, 0.02]):
        page.click(f"{table} th:nth-child(7) button")
        shown = page.locator(f"{table} td:nth-child(7)").all_inner_texts()
        assert [float(text) for text in shown] == order


@pytest.mark.parametrize(("width", "columns"), [(1280, 2), (390, 1)])
def test_it_fits_a_laptop_and_a_phone_and_draws_its_pictures(open_page, addresses, width, columns):
    page = open_page(addresses[0] + "#train-7", width)
    panes = page.locator(".panes").evaluate("(e) => getComputedStyle(e).gridTemplateColumns")
    assert len(panes.split()) == columns
    shown = page.locator("#detail .head .picture").screenshot(scale="css")
    seen = np.asarray(Image.open(io.BytesIO(shown)).convert("L"), float)
    size = len(seen) / 8
    at = (size * (np.arange(8) + 0.5)).astype(int)
    images = np.random.default_rng(0).random((40, 8, 8, 1))
    assert np.abs(seen[np.ix_(at, at)] - 255 * (1 - images[7, ..., 0])).max() < 3


def test_on_a_phone_what_matters_is_seen_first_and_a_way_leads_back(open_page, addresses):
    page = open_page(addresses[0], 390)
    assert page.locator("#gallery a").count() == 20
    page.click("#gallery a[href='#train-22']")
    page.wait_for_function("document.querySelector('#detail').getBoundingClientRect().top < 100")
    page.click("#detail .back")
    assert page.evaluate("document.activeElement.hash") == "#train-22"
    box = page.locator("#gallery a[href='#train-22']").bounding_box()
    assert 0 <= box["y"] <= 800
    for table, column in (("most memorized training examples", 3), ("selected pairs", 3)):
        heading = page.locator(f"[aria-label='{table}'] th:nth-child({column})")
        assert heading.evaluate("(e) => e.getBoundingClientRect().right") <= 390


def test_dark_and_printed_pages_are_legible(open_page, addresses):
    def contrast(page, selector):
        return page.locator(selector).first.evaluate("""(e) => {
            const shine = (colour) => {
              const part = (c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
              const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
              return .2126 * part(r) + .7152 * part(g) + .0722 * part(b) + .05;
            };
            const ink = shine(getComputedStyle(e).color);
            const paper = shine(getComputedStyle(document.body).backgroundColor);
            return Math.max(ink, paper) / Math.min(ink, paper);
        }""")

    for scheme in ("light", "dark"):
        page = open_page(addresses[0], color_scheme=scheme)
        for selector in ("h1", ".note", "td a", "th", "label", ".bar a"):
            assert contrast(page, selector) >= 4.5, (scheme, selector)  # WCAG 2.2, AA
    page.emulate_media(media="print")  # of a dark screen
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.is_visible("#controls")
    assert not page.is_visible(".bar")


def test_figures_say_what_is_to_be_seen_in_them(known_run, tmp_path):
    save_figures(tmp_path)
    said = {section.name: section.alt for section in run_sections(known_run, tmp_path)}
    assert (
        "20 of 40 training examples (50.0%) have a memorization of at least 0.5"
        in (said["memorization_histogram"])
    )
    assert "2 selected pairs have influences from 0.300 to 0.800" in said["influence_histogram"]
    assert "training example 7, of memorization 0.175" in said["pair_gallery"]
    assert "cat 0.950, <dog & 'hound'> 0.975" in said["memorization_gallery"]


def test_without_javascript_the_tables_remain(open_page, addresses):
    page = open_page(addresses[0], java_script_enabled=False)
    assert page.locator("[aria-label='most memorized training examples'] tr").count() == 41
    assert not page.is_visible("#explorer")
    links = page.locator("a")
    found = {links.nth(k).get_attribute("href") for k in range(links.count())}
    assert "#train-8" in found
    assert all(page.locator(link).count() for link in found)
