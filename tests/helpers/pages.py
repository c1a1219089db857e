"""Makes the pages of a run whose estimates are known, and reads them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from PIL import Image

from tfmem.config import SelectionSettings, from_yaml
from tfmem.datasets.dataset import Dataset
from tfmem.estimation.blocks import InfluenceBlock
from tfmem.estimation.estimator import CORRECTNESS, ClassCounts, TrainCounts
from tfmem.estimation.units import SHARES
from tfmem.store.pairs import PairStatistics

TRIALS = 100


def influence_block(label, train, test, effects):
    """Makes counts with the given influences (in units of 0.02); tests are half right otherwise."""
    half = TRIALS // 2
    num_in = np.full(len(train), half)
    correct_in = np.full((len(train), len(test)), half // 2)
    for (row, column), effect in effects.items():
        correct_in[row, column] += round(effect * half / 2)
    counts = TrainCounts(TRIALS, train, np.full(len(train), label), num_in, num_in, num_in)
    return InfluenceBlock(
        ClassCounts(label, counts, test, np.full(len(test), half), correct_in.astype(np.int32))
    )


def run_of_known_answers():
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
        memorization=table, influence=blocks, pairs=pairs, dataset=data, units=SHARES,
        measure=CORRECTNESS,
        least_memorization=0.5, memorized=np.arange(40) / 40 >= 0.5,
        said_of_memorized="memorization of at least 0.5",
        config=from_yaml("selection: {memorization: 0.5}"), labels=data,
        trials=pd.DataFrame({**accuracies, "diverged": False}, index=range(TRIALS)),
        pair_statistics=PairStatistics(2, 2, 2, {1: 2}),
        selection={"pairs": 2, "tested": 20, "expected_by_chance": 0.1},
        rule=SelectionSettings(memorization=0.5).resolved("correctness"),
    )  # fmt: skip


def save_figures(folder):
    for name in ("memorization_histogram", "memorization_gallery", "influence_histogram",
                 "pair_gallery"):  # fmt: skip
        Image.new("L", (700, 300)).save(folder / f"{name}.png")


def texts(page, selector):
    """The texts and links of all elements that a selector finds."""
    return page.locator(selector).evaluate_all("all => all.map((e) => [e.innerText, e.hash ?? ''])")


def gallery(page):
    """The indices in the gallery, in order."""
    return [int(link.split("-")[1]) for _, link in texts(page, "#gallery a")]


def wait_for_choice(page, name):
    """Waits until the panel shows an example, because pages follow an address with a delay."""
    page.wait_for_selector(f"#detail h3:text-is('{name}')")
