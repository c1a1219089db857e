"""Tables of numbers and categories: which inputs models get, and which tables are refused."""

import csv

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tfmem.config import Config, DatasetSettings
from tfmem.datasets import load
from tfmem.messages.errors import InputError

HEADER = ["PassengerId", "Survived", "Pclass", "Name", "Sex", "Age", "Fare", "Embarked"]
PASSENGERS = [
    ["1", "0", "3", "Braund, Mr. Owen", "male", "22", "7.25", "S"],
    ["2", "1", "1", "Cumings, Mrs. John", "female", "38", "71.2833", "C"],
    ["3", "1", "3", "Heikkinen, Miss Laina", "female", "", "7.925", "S"],
    ["4", "1", "1", "Futrelle, Mrs. Jacques", "female", "35", "53.1", ""],
]
LATER = [["5", "0", "2", "Moran, Mr. James", "male", "NaN", "8.4583", "Q"]]
CHOSEN = {"label": "Survived", "categories": ("Pclass",), "leave_out": ("PassengerId", "Name")}


def write(folder, split, rows, header=HEADER):
    with open(folder / f"{split}.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "train", PASSENGERS)
    write(tmp_path, "test", LATER)
    return tmp_path


def settings(folder, **table):
    return DatasetSettings(name="table", data_dir=str(folder), table={**CHOSEN, **table})


def test_numbers_are_standardized_and_categories_one_hot(folder):
    data = load(settings(folder))
    age, fare = np.array([22, 38, np.nan, 35]), np.array([7.25, 71.2833, 7.925, 53.1])
    standard = [(x - np.nanmean(x)) / np.nanstd(x) for x in (age, fare)]
    expected = np.c_[
        [0, 1, 0, 1], [1, 0, 1, 0],  # Pclass 1, 3
        [0, 1, 1, 1], [1, 0, 0, 0],  # female, male
        np.nan_to_num(standard[0]), [0, 0, 1, 0], standard[1],
        [0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 1, 0],  # nothing, C, S
    ]  # fmt: skip
    np.testing.assert_allclose(data.train_images, expected, rtol=1e-6)
    fare_later = (8.4583 - fare.mean()) / fare.std()
    np.testing.assert_allclose(data.test_images, [[0, 0, 0, 1, 0, 1, fare_later, 0, 0, 0]], 1e-6)
    assert (data.class_names, data.white, data.train_images.dtype) == (("0", "1"), 1, np.float32)
    assert data.notes == ("inputs: Pclass (2 categories), Sex (2 categories), Age (number, 1 "
                          "missing), Fare (number), Embarked (3 categories)",)  # fmt: skip


def test_the_order_of_rows_moves_rows_alone(folder):
    data = load(settings(folder))
    write(folder, "train", PASSENGERS[::-1])
    again = load(settings(folder))
    np.testing.assert_allclose(again.train_images, data.train_images[::-1], rtol=1e-6)
    np.testing.assert_array_equal(again.train_labels, data.train_labels[::-1])


def test_a_share_is_held_out_and_decides_nothing(folder):
    rows = [[str(i), str(i % 2), "1", f"n {i}", "male", str(i), "1", "S"] for i in range(100)]
    write(folder, "train", rows)
    data = load(settings(folder, test_share=0.2))
    assert (len(data.train_images), len(data.test_images)) == (80, 20)
    age = data.train_images[:, 2]
    np.testing.assert_allclose([age.mean(), age.std()], [0, 1], atol=1e-6)
    assert abs(data.test_images[:, 2].mean()) > 1e-3


def test_parquet_gives_what_csv_gives_and_names_of_rows(folder):
    expected = load(settings(folder, leave_out=("PassengerId",), texts=("Name",)))
    for split in ("train", "test"):
        frame = pd.read_csv(folder / f"{split}.csv", keep_default_na=True)
        frame["Embarked"] = frame["Embarked"].astype("category")
        frame["when"] = pd.Timestamp("2020-01-01")
        frame.index = [f"{split} {row}" for row in frame.index]
        frame.to_parquet(folder / f"{split}.parquet")
        (folder / f"{split}.csv").unlink()
    found = load(settings(folder, leave_out=("PassengerId", "when"), texts=("Name",)))
    assert found.train_inputs["Name"].tolist() == [row[3] for row in PASSENGERS]
    for name, values in expected.train_inputs.items():
        np.testing.assert_array_equal(found.train_inputs[name], values)
    np.testing.assert_array_equal(found.test_inputs["columns"], expected.test_inputs["columns"])
    assert found.train_ids.tolist() == [f"train {row}" for row in range(4)]
    named = load(settings(folder, leave_out=("PassengerId",), ids="Name"))
    assert named.train_ids.tolist() == [row[3] for row in PASSENGERS]
    np.testing.assert_array_equal(
        named.train_images[:, 1:8], expected.train_inputs["columns"][:, 1:8]
    )
    (folder / "train.parquet").write_bytes(b"PAR1" * 9)
    with pytest.raises(InputError, match="not readable as Parquet"):
        load(settings(folder))


def test_a_parquet_file_that_claims_too_much_is_refused(folder):
    (folder / "train.csv").unlink()
    ones = pa.table({"Survived": pa.array(np.ones(2_000_000, np.int8))})
    parquet.write_table(ones, folder / "train.parquet")
    with pytest.raises(InputError, match="bytes say that they hold 2,000,000 records"):
        load(settings(folder))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"label": "survived"}, "dataset.table.label: expected one of .* received 'survived'"),
        ({"leave_out": ("name",)}, "dataset.table.leave_out: expected one of .* received 'name'"),
        ({"most_categories": 3, "leave_out": ("PassengerId",)},
         r"received 'Name' \(4\); dataset.table.leave_out=\['PassengerId', 'Name'\]"),
        ({"leave_out": tuple(name for name in HEADER if name != "Survived")}, "an input column"),
        ({"test_share": 0.01}, "dataset.table.test_share: expected some of the 4"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(folder, table, message):
    with pytest.raises(InputError, match=message):
        load(settings(folder, **table))


def test_tests_have_the_columns_and_the_kinds_of_training_examples(folder):
    write(folder, "test", [[*LATER[0][:5], "old", *LATER[0][6:]]])
    with pytest.raises(InputError, match=r"test.csv: Age: expected numbers, .*'old' \(record 0\)"):
        load(settings(folder))
    write(folder, "test", [LATER[0][:-1]], HEADER[:-1])
    with pytest.raises(InputError, match=r"test.csv: a column of train.csv: .*'Embarked'"):
        load(settings(folder))
    with pytest.raises(ValueError, match="no key table with name: digits"):
        DatasetSettings(table={"label": "x"})


def test_settings_that_older_runs_do_not_have_leave_digests_alone():
    identity = Config().trial_settings()["dataset"]
    assert not {"text", "table", "unlabelled", "white", "channels"} & set(identity)
