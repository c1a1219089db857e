"""Fixtures; a test session writes only to one folder, which is removed at its end."""

import gc
import importlib.util
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

gc.disable()  # while modules are imported, which leaves no garbage

# pytest's own folders stay in their usual place, where it keeps those of the last sessions.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
_SESSION = tempfile.TemporaryDirectory(prefix="tfmem-tests-", ignore_cleanup_errors=True)
os.environ["TMPDIR"] = tempfile.tempdir = _SESSION.name
os.environ["TFDS_DATA_DIR"] = f"{_SESSION.name}/tfds"
os.environ["TFMEM_CACHE"] = f"{_SESSION.name}/cache"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

# The longest modules begin, so that no process works on one of them when the others are done.
_FIRST = (
    "test_every_experiment", "test_recipes", "test_attribution", "test_trainers",
    "test_text_study", "test_pipelines", "test_jax", "test_any_model", "test_aggregation",
    "test_scores", "test_kills", "test_attributed_tests", "test_models", "test_farm",
    "test_self_influence", "test_hostile_names", "test_score_selection", "test_encoders",
    "test_language", "test_comparison", "test_front", "test_experiments",
    "test_scored_experiments", "test_text", "test_every_reader", "test_datamodels",
)  # fmt: skip
WORDS = [f"w{i}" for i in range(40)]
SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


def pytest_collection_modifyitems(items):
    """Puts the longest modules first, so that no process starts one when the others are done."""
    places = {name: place for place, name in enumerate(_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(_FIRST)))


def pytest_collection_finish():
    """Leaves what imports made to itself, which garbage collection would look through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # tracing makes many objects that live on
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def coarse_figures():
    """Figures have few points, but for those that programs of their own draw."""
    if importlib.util.find_spec("matplotlib") is None:  # on a worker of Dataflow
        yield
        return
    from tests.helpers.drawing import drawn_coarsely

    with drawn_coarsely():
        yield


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data beside the checkout; tests that need it are skipped without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is not there: real MNIST and CIFAR files")
    return SHARED_DATA


@pytest.fixture(scope="session")
def digits():
    """The first 300 training and 60 test digits."""
    from tfmem.config import DatasetSettings
    from tfmem.datasets import load

    data = load(DatasetSettings())
    return data.keep(np.arange(300), np.arange(60))


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A run of `tfmem run configs/digits.yaml`, for reading, with said.txt and errors.txt.

    All processes of the session share it. A test that changes something changes a copy.
    """
    from tests.helpers.commands import tfmem_process
    from tests.helpers.sharing import DIGITS_RUN, made_once

    def make(folder):
        out = folder / "digits"
        done = tfmem_process("run", "configs/digits.yaml", "--out", out, *DIGITS_RUN)
        (folder / "said.txt").write_text(done.stdout)
        (folder / "errors.txt").write_text(done.stderr)

    return made_once(tmp_path_factory, "runs", make) / "digits"


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for all tests that look at pages."""
    from tests.helpers.browser import launched

    with launched() as browser:
        yield browser


@pytest.fixture
def open_page(browser):
    """Returns a function that opens a page in a window; the page must have no fault."""
    from tests.helpers.browser import Tabs

    tabs = Tabs(browser)
    yield tabs.open
    tabs.close()
    assert tabs.faults == []


@pytest.fixture
def float64():
    """Lets Keras compute in float64."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of photographs."""
    from tests.helpers.photographs import write_photos

    folder = tmp_path_factory.mktemp("files")
    write_photos(folder)
    return folder


@pytest.fixture(scope="session")
def preset(tmp_path_factory):
    """A tiny BERT with random weights, in KerasHub's format."""
    hub = pytest.importorskip("keras_hub")
    import keras

    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("preset") / "tiny"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    backbone = hub.models.BertBackbone(
        vocabulary_size=len(vocabulary), num_layers=3, num_heads=2, hidden_dim=8,
        intermediate_dim=16, max_sequence_length=16,
    )  # fmt: skip
    for weight in backbone.weights:  # weights and biases are far enough from 0 to matter
        if weight.dtype.startswith("float"):
            weight.assign(weight + keras.random.normal(weight.shape, stddev=0.3))
    tokenizer = hub.models.BertTokenizer(vocabulary=vocabulary, lowercase=True)
    preprocessor = hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=12)
    classifier = hub.models.BertTextClassifier(backbone, 2, preprocessor)
    classifier.save_to_preset(str(folder))
    return folder


@pytest.fixture(scope="session")
def texts():
    """Sentences of 1 to 9 words, with labels."""
    from tfmem.datasets import TextDataset

    draws = np.random.default_rng(0)

    def rows(count):
        sizes = draws.integers(1, 10, count)
        return np.array([[" ".join(draws.choice(WORDS, size))] for size in sizes], "T")

    train, test = rows(60), rows(20)
    return TextDataset("texts", train, np.arange(60) % 2, test, np.arange(20) % 2, ("a", "b"))


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """The bytes of all estimates from `random_run`, by path."""
    from tests.helpers.runs import aggregate, contents, random_run, write_run

    folder = tmp_path_factory.mktemp("reference")
    records, labels = random_run()
    write_run(folder, records, labels)
    aggregate(folder)
    return contents(folder)
