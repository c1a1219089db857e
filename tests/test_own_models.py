"""docs/own-models.md: its first example runs as it is written."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "own-models.md"


@pytest.mark.slow
def test_the_first_example_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    code = code.replace("trials=500, epochs=20", "trials=4, epochs=1")
    names = {"__name__": "example"}
    exec(code, names)
    assert len(names["run"].memorization) == 400
    assert len(names["run"].trials) == 4
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
