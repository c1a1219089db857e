"""What a run says about its data at its start."""

import numpy as np

from tfmem.config import DatasetSettings
from tfmem.datasets import Dataset
from tfmem.datasets.summary import load_and_tell, summary


def dataset(labels, names, **more):
    images = np.zeros((len(labels), 3), np.float32)
    return Dataset("things", images, np.array(labels), images[:1], np.zeros(1, int), names, **more)


def test_examples_classes_and_notes_are_said_once_a_line(capsys):
    said = summary(dataset([0, 1, 1], ("no", "yes"), notes=("a.csv: 3 rows left out",)))
    assert said.split("\n") == [
        "things: 3 training and 1 test examples",
        "2 classes (training examples): no (1), yes (2)",
        "a.csv: 3 rows left out",
    ]
    load_and_tell(DatasetSettings())
    assert capsys.readouterr().out.startswith("digits: 1,437 training and 360 test examples\n10 cl")


def test_of_many_classes_some_are_listed():
    said = summary(dataset([*range(100), 99], tuple(map(str, range(100)))))
    assert said.endswith("100 classes (training examples): 0 (1), 1 (1), 2 (1), 3 (1), 4 (1), "
                         "5 (1), 6 (1), 7 (1), 8 (1), 9 (1), … (each 1 to 2)")  # fmt: skip


def test_names_cannot_write_to_the_terminal_or_fill_it():
    said = summary(dataset([0, 1], ("\x1b[2J\n", "y" * 500)))
    assert said.split("\n")[1:] == [
        rf"2 classes (training examples): '\x1b[2J\n' (1), {'y' * 39}… (1)"
    ]
