"""Data sets are prepared in a folder of the test session, never in the user's."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

os.environ["TFDS_DATA_DIR"] = tempfile.mkdtemp(prefix="tfmem-tests-")
os.environ["TFMEM_CACHE"] = tempfile.mkdtemp(prefix="tfmem-tests-")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """Real data beside the checkout, where there is any."""
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
def photos(tmp_path_factory):
    """A folder of photographs."""
    from tests.photographs import write_photos

    folder = tmp_path_factory.mktemp("files")
    write_photos(folder)
    return folder
