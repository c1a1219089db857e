"""What `import tfmem` offers: names, one-line reprs, its time, and self-influence in one call."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import tfmem
from tfmem.config import DatasetSettings, from_yaml
from tfmem.datasets import load
from tfmem.messages.errors import InputError


def test_importing_takes_no_time_and_shows_public_names_only():
    """Below 0.1 s, beside the start of Python: the least of three, as the machine may be busy."""
    code = "import time; t = time.perf_counter(); import tfmem; print(time.perf_counter() - t)"
    words = [sys.executable, "-c", code]
    taken = [float(subprocess.run(words, capture_output=True, text=True).stdout) for _ in range(3)]
    assert min(taken) < 0.1
    assert dir(tfmem) == sorted(tfmem.__all__)


def test_reprs_are_one_line(tmp_path):
    masks = np.array([[0, 1], [1, 0]])
    found = tfmem.influence(masks, masks)
    assert repr(found) == "Influence(2 training x 2 test examples, 2 trials)"
    (block,) = found.blocks()
    assert repr(block) == "InfluenceBlock(class 0: 2 training x 2 test examples, 2 trials)"
    settings = from_yaml("dataset: {name: npz, data_dir: a.npz}", ["training.trials=9"])
    assert repr(settings) == (
        "Config(dataset=DatasetSettings(name='npz', data_dir='a.npz'), "
        "training=TrainingSettings(trials=9))"
    )
    shown = "Dataset(digits: 1,437 training, 360 test examples, 10 classes)"
    assert repr(load(DatasetSettings())) == shown
    with tfmem.PredictionWriter(tmp_path / "mine", [0.5, 2], task="regression") as writer:
        assert repr(writer).endswith("mine/predictions': 2 training, 0 test examples)")
    assert repr(tfmem.load_run(tmp_path / "mine")).startswith("Run(")


@keras.saving.register_keras_serializable("tests")
class Hidden(keras.Model):
    """A classifier whose softmax is not visible from outside."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return keras.ops.softmax(self.dense(inputs))


def trained(model, x, y, from_logits):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    model.compile(keras.optimizers.SGD(0.5), loss)
    model(x)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def test_probabilities_are_put_through_no_second_softmax():
    """The same weights have the same self-influence, however a model ends and says so."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(0, 3, 50)
    dense = keras.layers.Dense
    logits = trained(keras.Sequential([dense(3)]), x, y, True)
    expected = tfmem.self_influence(logits, x, y, solver="exact", damping=0.01)
    np.testing.assert_allclose(expected["self_influence"], 50 * expected["memorization"])
    assert expected.index.name == "index"
    visible = trained(keras.Sequential([dense(3, activation="softmax")]), x, y, False)
    for model in (visible, trained(Hidden(), x, y, False)):
        found = tfmem.self_influence(model, x, np.eye(3)[y], solver="exact", damping=0.01)
        for name in ("memorization", "label_probability"):
            np.testing.assert_allclose(found[name], expected[name], rtol=2e-3)
    with pytest.raises(InputError, match="received outputs that are 0 or more and sum to 1"):
        tfmem.self_influence(trained(Hidden(), x, y, True), x, y)
    with pytest.raises(InputError, match="labels: expected classes"):
        tfmem.self_influence(logits, x, y + 0.5)
