"""A folder to publish: read without tfmem, checked by its sums, complete or not there."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

import tfmem
from tests.helpers.commands import tfmem_command
from tests.helpers.mnist import write_mnist
from tests.helpers.oracle import FINGERPRINT
from tests.helpers.runs import aggregate, random_run, write_run
from tests.helpers.scores import NAME, run_of_scores
from tests.helpers.scores import aggregate as aggregate_scores
from tfmem.config import DatasetSettings, from_yaml
from tfmem.datasets import load
from tfmem.datasets.other_orders import other_orders, tfds_positions
from tfmem.exchange.publication import publish
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.labels import Labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of random predictions, with its estimates."""
    folder = tmp_path_factory.mktemp("run")
    records, labels = random_run(60)
    write_run(folder, records, labels)
    aggregate(folder)
    return folder


def test_numpy_pandas_and_sums_are_enough_to_read_it(folder, tmp_path):
    out = tmp_path / "published"
    ended = tfmem_command(
        "publish", folder, "--out", out, "--licence", "CC0-1.0", "--title", "Ours"
    )
    assert "README.md" in ended.stdout
    run = tfmem.load_run(folder)
    table = pd.read_parquet(out / "memorization.parquet").set_index("index")
    assert table.equals(run.memorization.astype(table.dtypes))
    with np.load(out / "memorization.npz") as arrays:
        np.testing.assert_array_equal(arrays["memorization"], run.memorization["memorization"])
        np.testing.assert_array_equal(arrays["stderr"], run.memorization["stderr"])
    long = pd.read_parquet(out / "influence.parquet").set_index(["train_index", "test_index"])
    with np.load(out / "influence.npz") as arrays:
        for label, block in run.influence.items():
            matrix = arrays[f"infl_matrix_class{label}"]
            np.testing.assert_array_equal(matrix, block.influence.astype("f4"))
            for i, j in np.ndindex(*matrix.shape):
                row = long.loc[(block.train_index[i], block.test_index[j])]
                np.testing.assert_equal(row["influence"], matrix[i, j])
    assert len(pd.read_parquet(out / "pairs.parquet")) == len(run.pairs)
    records, _ = random_run(60)
    subsets = pd.read_parquet(out / "subsets.parquet")
    mask = unpack(records[7].subset_mask, 40)
    packed = np.packbits(mask, bitorder="little").tobytes()
    assert subsets["subset_sha256"][7] == hashlib.sha256(packed).hexdigest()
    assert subsets["size"][7] == mask.sum()
    metadata = json.loads((out / "metadata.json").read_text())
    assert metadata["dataset"]["fingerprint"] == FINGERPRINT.hex()
    assert (metadata["trials"], metadata["licence"]) == (60, "CC0-1.0")
    readme = (out / "README.md").read_text()
    assert readme.startswith("# Ours\n")
    assert "From -1 to 1" in readme
    listed = dict(line.split("  ")[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    assert listed.keys() == {path.name for path in out.iterdir()} - {"SHA256SUMS"}
    for name, digest in listed.items():
        content = (out / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert str(tmp_path).encode() not in content  # no place of this machine


def test_settings_that_name_other_data_cost_only_the_official_order(tmp_path):
    records, labels = random_run(10)
    settings = from_yaml("", ["training.trials=10", "training.stack_size=10"])  # of digits
    predictions = write_run(tmp_path, records, labels)
    (predictions / "config.yaml").write_text(settings.to_yaml())
    aggregate(tmp_path)
    said = []
    publish(tmp_path, tmp_path / "out", warn=said.append)
    assert said == ["indices in the official order are left out: digits: the run's class 'a' is "
                    "none of its classes"]  # fmt: skip


def test_equal_runs_give_equal_bytes(folder, tmp_path):
    for name in ("one", "two"):
        publish(folder, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_scores_are_published_in_their_unit(tmp_path):
    records, labels = run_of_scores(40)
    write_run(tmp_path / "run", records, labels)
    aggregate_scores(tmp_path / "run")
    publish(tmp_path / "run", tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert NAME in readme
    assert "From -1 to 1" not in readme
    assert "score_in" in pd.read_parquet(tmp_path / "out" / "memorization.parquet")
    assert json.loads((tmp_path / "out" / "metadata.json").read_text())["score"] == NAME


def test_nothing_is_left_of_a_failure_and_nothing_is_replaced(folder, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(InputError, match="expected a new or an empty folder"):
        publish(folder, tmp_path / "full")
    records, labels = random_run(20)
    write_run(tmp_path / "bare", records, labels)  # without estimates
    with pytest.raises(InputError, match="memorization"):
        publish(tmp_path / "bare", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"full", "bare"}


def test_the_order_of_tfds_is_that_in_which_tfds_stores(tmp_path):
    """TFDS itself writes examples under the keys 0, 1, …, as for MNIST and CIFAR."""
    import tensorflow_datasets as tfds

    class Keyed(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict({"key": np.int64})
            )

        def _split_generators(self, dl_manager):
            return {name: ((k, {"key": k}) for k in range(40)) for name in ("train", "test")}

        def _generate_examples(self):
            raise NotImplementedError

    builder = Keyed(data_dir=tmp_path)
    builder.download_and_prepare()
    for split in ("train", "test"):
        stored = [int(each["key"]) for each in tfds.as_numpy(builder.as_dataset(split))]
        assert np.argsort(tfds_positions(split, 40)).tolist() == stored


def test_known_first_examples_of_cifar_in_tfds():
    """`train_16399` is the first training example that TFDS returns for CIFAR-10."""
    assert tfds_positions("train", 50_000)[16399] == 0


def test_examples_of_some_classes_have_their_official_and_their_stored_index(tmp_path):
    rng = np.random.default_rng(0)
    images, digits = rng.integers(0, 256, (50, 28, 28)), np.arange(50) * 7 % 10
    write_mnist(tmp_path, images, digits)
    settings = DatasetSettings(name="mnist", data_dir=str(tmp_path), classes=(3, 8))
    data = load(settings)
    labels = Labels(data.train_labels, data.test_labels, data.class_names)
    orders = other_orders(settings, labels)
    official = orders["train"]["official_index"]
    np.testing.assert_array_equal(images[official], data.train_images[..., 0])
    np.testing.assert_array_equal(
        orders["test"]["tfds_index"], tfds_positions("test", 50)[orders["test"]["official_index"]]
    )
    fewer = Labels(data.train_labels[1:], data.test_labels, data.class_names)
    with pytest.raises(InputError, match=r"9 train examples, mnist has 10"):
        other_orders(settings, fewer)


def test_digits_have_the_rows_of_scikit_learn():
    from sklearn.datasets import load_digits

    data = load(DatasetSettings())
    orders = other_orders(
        DatasetSettings(), Labels(data.train_labels, data.test_labels, data.class_names)
    )
    whole = load_digits().images
    for split in ("train", "test"):
        images = getattr(data, f"{split}_images")[..., 0]
        np.testing.assert_array_equal(whole[orders[split]["official_index"]], images)
