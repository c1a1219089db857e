"""Files are listed and deleted by Beam's globs, whatever characters folders' names have."""

import pytest

from tfmem.aggregation.failures import cause
from tfmem.aggregation.globs import delete, literally, matching
from tfmem.messages.errors import InputError

NAMES = ["plain", "[a]", "a", "[[b]]", "*", "?", "[!c]", "]["]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_matched_alone(tmp_path, name):
    for each in NAMES:
        (tmp_path / each).mkdir()
        (tmp_path / each / "[x]").touch()
    path = str(tmp_path / name / "[x]")
    assert [found.path for found in matching(literally(path))] == [path]
    delete([path])
    left = {found.path for found in matching(literally(str(tmp_path)) + "/*/[[]x]")}
    assert left == {str(tmp_path / each / "[x]") for each in NAMES if each != name}


@pytest.mark.parametrize(("said", "expected"), [
    (InputError("a: b [while running 'Read']"), "a: b"),
    (FileNotFoundError(2, "No such file", "a [while]"), "a [while]: No such file"),
    (RuntimeError('File "x", line 1\ntfmem.messages.errors.InputError: [a]: b [while running \'C\']'
                  "\n\nand more"), "[a]: b"),
    (RuntimeError("File\nValueError: c [while running 'D']\n\n"),
     "the Beam job failed: RuntimeError: ValueError: c"),
    (KeyError(), "the Beam job failed: KeyError: KeyError()"),
])  # fmt: skip
def test_why_a_job_failed_is_one_line(said, expected):
    assert str(cause(said)) == expected
