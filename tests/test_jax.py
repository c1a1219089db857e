"""Trials on JAX are those on TensorFlow up to rounding, and need no TensorFlow."""

import keras
import numpy as np
import pytest

from tests.helpers.on_jax import (
    half_precision,
    networks_of_the_zoo,
    on_jax,
    own_of_photographs,
    streamed,
)
from tests.helpers.photographs import write_photos
from tfmem.experiments import declared
from tfmem.models.airbench import PartlyIdentity
from tfmem.training.draws import drawn_as_on_tensorflow

KINDS = keras.initializers
UNIFORM = [
    KINDS.RandomUniform(-0.3, 0.7),
    KINDS.GlorotUniform(),
    KINDS.VarianceScaling(2.0, "fan_out", "uniform"),
]
NORMAL = [
    KINDS.RandomNormal(0.1, 0.5),
    KINDS.TruncatedNormal(-0.2, 0.5),
    KINDS.HeNormal(),
    KINDS.LecunNormal(),
    KINDS.VarianceScaling(2.0, "fan_avg", "untruncated_normal"),
]
SHAPES = [(3, 3, 16, 8), (5, 3), (7,), (70, 1000), ()]
SEEDS = [0, 1, 2**31 - 3, 2**31 - 2, 2**31 - 1]


def drawn(initializer, shape, seeds):
    configs = [{**initializer.get_config(), "seed": seed} for seed in seeds]
    expected = np.stack([type(initializer).from_config(config)(shape) for config in configs])
    found = drawn_as_on_tensorflow(initializer, shape, seeds)
    assert found.dtype == expected.dtype == np.float32
    assert found.shape == expected.shape
    return found, expected


@pytest.mark.parametrize("initializer", UNIFORM, ids=lambda each: type(each).__name__)
def test_uniform_weights_have_the_bits_of_tensorflow(initializer):
    for shape in SHAPES:
        np.testing.assert_array_equal(*drawn(initializer, shape, SEEDS))


@pytest.mark.parametrize("initializer", NORMAL, ids=lambda each: type(each).__name__)
def test_normal_weights_are_those_of_tensorflow_to_the_last_bits(initializer):
    for shape in SHAPES:
        found, expected = drawn(initializer, shape, SEEDS)
        np.testing.assert_allclose(found, expected, rtol=3e-7, atol=3e-7)


def test_other_initializers():
    filters = PartlyIdentity()
    found, expected = drawn(filters, (3, 3, 4, 6), [3, 4])
    np.testing.assert_allclose(found, expected, atol=3e-7)
    assert not np.array_equal(found[0], found[1])
    for shape in ((9, 4), (4, 9), (2, 2, 3)):
        found, expected = drawn(KINDS.Orthogonal(0.5), shape, [3, 4])
        np.testing.assert_allclose(found, expected, atol=2e-6)
    assert drawn_as_on_tensorflow(KINDS.Zeros(), (2,), [0]) is None


@pytest.fixture(scope="module")
def jax(tmp_path_factory):
    return on_jax(tmp_path_factory.mktemp("jax"))


def test_losses_are_those_of_tensorflow(jax):
    expected = networks_of_the_zoo()
    assert jax["networks_of_the_zoo"].keys() == expected.keys()
    for model, losses in expected.items():
        np.testing.assert_allclose(
            jax["networks_of_the_zoo"][model], losses, rtol=2e-5, err_msg=model
        )


def test_streamed_images_are_cropped_alike_and_read_without_tensorflow(jax, tmp_path):
    expected = streamed(tmp_path)
    assert expected.pop("others") == 0  # one trainer over all devices
    assert jax["streamed"]["others"] == 1  # a lane for each of two devices
    for name, values in expected.items():
        found = np.array(jax["streamed"][name])
        np.testing.assert_allclose(found, values, rtol=2e-3, atol=2e-3, err_msg=name)


def test_a_users_model_trains_on_streamed_images(jax, tmp_path):
    write_photos(tmp_path / "photos")
    for one, other in zip(jax["own_of_photographs"], own_of_photographs(tmp_path), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)


def test_trials_repeat_and_differ_with_dropout_and_averaged_weights(jax):
    first, again, others = jax["own_models"]
    assert first == again
    assert first[1][2] == others[1][2]  # trial 2, in another stack
    assert first[1][0] != first[1][1]
    assert others[1][0] != first[1][0]


def test_half_precision_skips_the_steps_that_overflow(jax):
    np.testing.assert_allclose(jax["half_precision"], half_precision(), rtol=2e-2)
    assert jax["skipped"] == [[1.0, 4.0, False], [0.0, 4.0, True]]  # 8 / 4 times the rate of 0.5


def test_a_models_own_fit_needs_no_tensorflow(jax):
    assert np.shape(jax["fits"]) == (2, 1)


def test_what_jax_cannot_do_is_refused_in_a_sentence(jax):
    mirrored, large, other = jax["refused"]
    assert mirrored.startswith("training.trainer: 'mirrored' spreads a model over devices by Tens")
    assert large == "ids: expected integers of 32 bits on JAX, received 1 to 1099511627776"
    assert "start it with KERAS_BACKEND=tensorflow" in other


def test_a_killed_run_continues_to_the_same_bytes(jax):
    found = jax["interrupted"]
    assert found["saved"]
    assert len(found["saved"]) <= 2
    assert sorted(set(found["begun"])) == [0, 2, 4]
    assert found["begun"].count(4) == 4  # two stacks, each trained in two runs
    assert found["begun"].count(0) == 4 - len(found["saved"])  # the others continue
    assert found["trained"] == [6, 6]
    assert found["same"]
    assert found["estimated"]
    assert found["accuracy"] > 0.5


def test_epochs_that_are_one_program_give_the_same_bits(jax):
    assert jax["several_epochs"] == {
        "3": [True, [3, 3]],  # the seventh epoch is alone
        "7": [True, [7]],
        "None": [True, [7]],
    }


@pytest.mark.slow
def test_experiments_train_or_say_that_they_need_tensorflow(tmp_path):
    said = on_jax(tmp_path, "experiments_on_jax")
    assert {name for name, words in said.items() if words} == {
        name for name, each in declared().items() if each.gradients and name in said
    }
    assert all("are computed by TensorFlow" in words for words in said.values() if words)
    assert (tmp_path / "experiments/removal/table.csv").is_file()


@pytest.mark.slow
def test_data_of_every_source_are_trained_on_without_tensorflow(tmp_path):
    names = "mnist", "image_folder", "streamed", "table", "text_files", "treebank", "lines"
    assert on_jax(tmp_path, "sources_on_jax") == dict.fromkeys(names, 3)


def test_models_that_diverge_are_known(jax):
    assert jax["diverging"] == [False, False, False]
