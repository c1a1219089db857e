import numpy as np
import pytest

from tfmem import figures
from tfmem.config import SelectionSettings
from tfmem.selection.settling import influence_thresholds


def images(count, channels=1):
    return np.random.default_rng(0).random((count, 8, 8, channels))


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_rows_are_spread_evenly_with_both_ends():
    assert figures.spread_evenly(100, 5).tolist() == [0, 25, 50, 74, 99]
    assert figures.spread_evenly(3, 5).tolist() == [0, 1, 2]
    assert figures.spread_evenly(0, 5).tolist() == []


def test_histograms_say_how_many_are_memorized_and_how_many_unknown():
    values = np.array([-0.3, 0.0, 0.1, 0.25, 0.9, 1.0, np.nan])
    figure = figures.memorization_histogram(values, 0.25)
    legend = " ".join(text.get_text() for text in figure.axes[0].get_legend().get_texts())
    for words in ("below: 3", "memorized: 3 examples (50.0%)", "not estimable: 1"):
        assert words in legend
    points = figure.axes[0].lines[:2]
    assert sum(line.get_ydata().sum() for line in points) == 6  # every known value is in a bin
    empty = figures.influence_histogram(np.zeros(0), [0.15])
    assert "no pair was selected" in texts(empty)


@pytest.mark.parametrize(("changes", "values", "lines"), [
    ({}, [0.15, 0.3, 1.0], [0.15]),
    ({"sign": "negative"}, [-1.0, -0.2], [-0.15]),
    ({"sign": "both"}, [-0.4, 0.15], [-0.15, 0.15]),
    ({"fdr": 0.05}, [0.02, 0.6], []),
    ({"top_k": 2, "sign": "negative"}, [-0.02, -0.6], []),
])  # fmt: skip
def test_a_threshold_is_drawn_where_one_selected_and_every_pair_is_in_a_bin(changes, values, lines):
    thresholds = influence_thresholds(SelectionSettings(**changes))
    axes = figures.influence_histogram(np.array(values), thresholds).axes[0]
    assert [line.get_xdata()[0] for line in axes.lines] == lines
    assert sum(patch.get_height() for patch in axes.patches) == len(values)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_memorization_gallery_shows_the_nearest_to_each_level(channels):
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 0])
    memorization = np.array([0.0, 0.52, 0.97, np.nan, -0.0001, 0.3, 0.12, 0.95])
    figure = figures.memorization_gallery(images(8, channels), labels, memorization, ["cat", "dog"])
    shown = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    near = {"0.000", "0.520", "0.970", "cat", "dog"}  # and not -0.000
    far = {"0.120", "0.300"}  # the nearest to 0.5 and to 1 of a class that has none near them
    assert {text for text in shown if text[-1].isdigit() or text in ("cat", "dog")} >= near | far
    assert {text for text in shown if shown[text] != "black"} == far
    assert len(figure.axes[0].images) == 6  # no blank: as many of each class


def test_the_memorization_gallery_has_no_blanks_and_shows_no_example_twice():
    draws = np.random.default_rng(0)
    labels, memorization = draws.integers(0, 5, 200), draws.random(200) ** 4
    pictures = np.arange(200).reshape(200, 1, 1, 1) / 200
    (axes,) = figures.memorization_gallery(pictures, labels, memorization, list("abcde")).axes
    shown = [float(image.get_array()[0, 0]) for image in axes.images]
    assert len(shown) == len(set(shown)) == 5 * 9


def test_bars_on_a_logarithmic_scale_begin_at_1_and_one_of_a_single_example_is_seen():
    axes = figures.memorization_histogram(np.array([0.01, 0.02, 0.52]), 0.25).axes[0]
    assert axes.get_yscale() == "log"
    assert 0 < axes.get_ylim()[0] < 1  # one example is above the end of the axis
    assert "log scale" in axes.get_ylabel()
    below, memorized = axes.lines[:2]
    assert (below.get_xdata().tolist(), below.get_ydata().tolist()) == ([pytest.approx(0.025)], [2])
    assert (memorized.get_xdata().tolist(), memorized.get_ydata().tolist()) == (
        [pytest.approx(0.525)],
        [1],
    )


def test_classes_with_most_memorized_come_first_and_any_may_be_shown():
    labels = np.array([3, 3, 1, 1, 1, 0])
    memorization = np.array([0.9, 0.4, 0.5, 0.1, np.nan, 0.0])
    assert figures.most_memorized_classes(labels, memorization) == [3, 1, 0]
    names = ["ant", "bee", "cat", "dog"]
    for rows, expected in (([3, 0], ["dog", "ant"]), (None, ["ant", "bee", "dog"])):
        figure = figures.memorization_gallery(images(6), labels, memorization, names, rows)
        assert [text for text in texts(figure) if text in names] == expected


def test_the_pair_gallery_prints_memorization_and_influences():
    rows = [
        figures.InfluenceRow(2, 0.75, np.array([1, 0, 3, 4]), np.array([0.5, 0.4, 0.0123, 0.0]))
    ]
    shown = texts(figures.pair_gallery(images(5), images(5), rows))
    assert {"0.750", "0.500", "0.400", "0.012", "0.000"} <= set(shown)
    assert len(figures.pair_gallery(images(1), images(1), []).axes) == 0


def test_equal_figures_are_equal_files(tmp_path):
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        figures.save(
            figures.influence_histogram(np.full(3, 0.2), [0.15]), tmp_path / str(number), "f"
        )
    for kind in ("png", "pdf"):
        first, second = ((tmp_path / str(n) / f"f.{kind}").read_bytes() for n in range(2))
        assert first == second
