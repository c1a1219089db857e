"""The inputs of an experiment are checked before anything is trained."""

from dataclasses import replace

import numpy as np
import pytest

from tfmem.config import TailSettings, from_yaml
from tfmem.experiments import declared, sections
from tfmem.experiments.checks import check_in_memory
from tfmem.influence_functions.attribution.needs import check_attribution
from tfmem.messages.errors import InputError
from tfmem.pipelines.experiments import experiment


def check(name, settings, data):
    declared()[name].check(from_yaml("", settings, experiments=sections), data)


def untouched():
    raise AssertionError("the data are not needed for this")


@pytest.mark.parametrize(("name", "settings", "words"), [
    ("proxies", ["training.trials=3"], "at most half of the 3 trials"),
    ("proxies", ["training.trainer=mirrored"], "training.trainer: expected 'stacked'"),
    ("label-errors", ["training.trainer=mirrored"], "training.trainer: expected 'stacked'"),
    ("halves", ["training.trials=3"], "at least 4"),
    ("estimators", ["training.trials=3"], "at least 4"),
    ("onion", ["training.groups=groups.csv"], "training.groups: expected null"),
    ("seeds", ["dataset.image_size=8"], "dataset.image_size"),
])  # fmt: skip
def test_settings_alone_tell(name, settings, words):
    with pytest.raises(InputError, match=words):
        check(name, settings, untouched)


@pytest.mark.parametrize(("name", "settings", "words"), [
    ("typicality", [], "labels of phrases .*, received digits"),
    ("last-k-layers", ["experiments.layers.depths=[1, 9]"], "at most 2 of the 3 blocks"),
    ("reduction-rate", ["attribution.examples=[5, 300]"], "from 0 to 299, received 300"),
    ("reduction-rate", ["attribution.examples=[-1]"], "greater than or equal to 0"),
    ("reduction-rate", ["attribution.patch=8"], "from 1 to 7 pixels"),
])  # fmt: skip
def test_the_data_tell(name, settings, words, digits):
    with pytest.raises(InputError, match=words):
        check(name, settings, lambda: digits)


def test_all_that_can_be_conducted_pass(digits):
    for name in declared():
        if name not in ("typicality", "texts"):
            check(name, [], lambda: digits)
    check_in_memory(from_yaml(""))
    check_attribution(from_yaml(""), digits)


def test_data_without_test_examples_and_last_layers_are_refused(digits):
    alone = digits.keep(np.arange(300), np.arange(0))
    for name in ("removal", "pair-utility", "mem-infl", "halves", "last-layer"):
        with pytest.raises(InputError, match="digits has none"):
            check(name, [], lambda: alone)
    same = digits.keep(np.flatnonzero(digits.train_labels == 3), np.arange(9))
    for name in ("label-errors", "random-labels"):
        with pytest.raises(InputError, match="at least two classes, digits has one"):
            check(name, [], lambda: same)
    tail = TailSettings(network=from_yaml("").model, input_shape=(8, 8, 1), depth=1)
    config = from_yaml("").model_copy(update={"model": tail})
    with pytest.raises(InputError, match="received 'tail'"):
        declared()["last-layer"].check(config, untouched)


def test_sentences_of_too_few_phrases_are_found_out(texts):
    known = replace(texts, train_phrases=np.ones((60, 5), np.int64))
    check("typicality", [], lambda: known)
    few = replace(known, train_labels=np.r_[np.zeros(51, np.int64), np.ones(9, np.int64)])
    with pytest.raises(InputError, match="at least 10 examples of class b, received 9"):
        check("typicality", [], lambda: few)


def test_the_chain_is_not_even_made(tmp_path):
    with pytest.raises(InputError, match="labels of phrases"):
        experiment("typicality", from_yaml(""), tmp_path)
    assert not list(tmp_path.iterdir())
