"""What an experiment needs is asked before anything is trained."""

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.experiments import EXPERIMENTS
from tfmem.experiments.needs import NEEDS


@pytest.mark.parametrize(("words", "expected"), [
    (["experiment", "typicality"], "typicality: expected a data set with labels of phrases"),
    (["experiment", "proxies", "--set", "training.trials=3"], "expected some of at most half of"),
    (["experiment", "leave-one-out", "--set", "estimation.statistic=probability"],
     "leave-one-out: expected estimation.statistic correctness"),
    (["experiment", "reduction-rate", "--set", "attribution.patch=9"],
     "attribution.patch: expected"),
    (["attribute", "--examples", "99999"], "expected numbers from 0 to 1436, received 99999"),
])  # fmt: skip
def test_nothing_is_trained_for_what_cannot_be_conducted(words, expected, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.runner.run_chain", None)  # nothing may be run
    place = 2 if words[0] == "experiment" else 1
    command = [
        *words[:place],
        "configs/digits.yaml",
        "--out",
        str(tmp_path / "run"),
        *words[place:],
    ]
    result = CliRunner().invoke(app, command)
    said = str(result.exception) if result.exception else result.output
    assert expected in said
    assert not (tmp_path / "run").exists()


def test_needs_are_those_of_experiments():
    assert set(NEEDS) <= {*EXPERIMENTS, "attribution"}
