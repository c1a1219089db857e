"""Everything else follows from the declaration of an experiment; one file adds one."""

import inspect
import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers.commands import ROOT
from tfmem.components.experiment import EXPERIMENTS
from tfmem.components.report import REPORT, _experiments
from tfmem.config import Config, from_yaml
from tfmem.config.base import UndeclaredError
from tfmem.experiments import declared, sections
from tfmem.experiments.documentation import documents, recorded
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli.running import _experiment_name
from tfmem.pipelines.experiments import step_of

MADE_UP = '''
"""Made up."""

import pandas as pd

from tfmem.config.base import Positive, Settings
from tfmem.experiments.declaration import Experiment
from tfmem.experiments.outcome import Outcome
from tfmem.figures.style import new_figure
from tfmem.store.artifacts import Memorization


class MadeUpSettings(Settings):
    """Made up.

    Attributes:
      power: what memorization is raised to.
    """

    power: Positive = 2


def made_up(given):
    found = given.run.memorization["memorization"] ** given.settings.power
    return Outcome((f"At most {found.max():.6f}.",), pd.DataFrame({"raised": found}))


EXPERIMENT = Experiment(
    name="made-up", question="Is it made up?", source="nobody", trains="nothing",
    reading="Not at all.", settings=MadeUpSettings,
    needs=(Memorization,), sections=("seed",), conduct=made_up,
    draw=lambda table, given: new_figure(2, 2),
)
'''
CONDUCT = """
import sys
from pathlib import Path
from typer.testing import CliRunner
from tfmem.components.experiment import EXPERIMENTS
from tfmem.config import from_yaml
from tfmem.experiments import declared, sections
from tfmem.experiments.documentation import documents
from tfmem.pipelines.cli import app
from tfmem.pipelines.experiments import page, step_of
from tfmem.pipelines.runner import run_chain

config = from_yaml("experiments: {made_up: {power: 3}}", experiments=sections)
assert "made_up:" in config.to_yaml()
listed = CliRunner().invoke(app, ["experiment", "--help"]).stdout
assert "made-up" in listed and "Is it made up?" in listed
assert "`experiments.made_up.power` | `2` | what memorization is raised to." in documents(
    declared().values(), {}
)["experiments/made-up.md"]
component = EXPERIMENTS["made-up"]
assert component.outputs["outcome"].place == "experiments/made-up"
assert len({each.version for each in EXPERIMENTS.values()}) == len(EXPERIMENTS)
said = []
for _ in range(2):
    run_chain([step_of("made-up", config), page(config, False, False)], Path("run"), said.append)
print(*(line.split("] ")[1] for line in said), sep="\\n")
"""


def test_one_file_adds_an_experiment(tmp_path, reference):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tfmem", tmp_path / "tfmem", ignore=ignored)
    (tmp_path / "tfmem" / "experiments" / "made_up.py").write_text(MADE_UP)
    for name, content in reference.items():
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CONDUCT], capture_output=True, text=True, env=environment,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("made-up: unchanged, skipped") == 1
    html = (tmp_path / "run" / "report.html").read_text()
    assert '<figure id="made-up"><h2>Is it made up?</h2>' in html
    assert "At most 0." in html
    assert (tmp_path / "run" / "experiments" / "made-up" / "figure.pdf").exists()


def test_the_documentation_is_as_declared():
    known = recorded(ROOT / "docs" / "measured" / "experiments")
    pages = documents(declared().values(), known)
    for name, text in pages.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, "make docs writes it"
    assert {f"experiments/{path.name}" for path in ROOT.glob("docs/experiments/*.md")} < set(pages)
    assert set(known) <= set(declared())


@pytest.mark.parametrize("each", declared().values(), ids=lambda each: each.name)
def test_declarations_are_whole(each):
    """Every setting is described, and everything that a declaration names exists."""
    assert set(each.sections) <= Config.model_fields.keys() - {"experiments"}
    assert {*each.uses, *each.followed_by} <= declared().keys()
    assert sections()[each.section] is each.settings
    for name in each.settings.model_fields:
        assert f"\n  {name}: " in inspect.getdoc(each.settings)
    assert each.question.endswith("?")


def test_what_is_not_declared_is_out_of_reach(tmp_path):
    """Neither an artifact nor a section can decide an outcome unnoticed."""

    def parameters(text):
        return step_of("removal", from_yaml(text, experiments=sections)).parameters

    removal, known = declared()["removal"], parameters("seed: 3")
    places = {"memorization": tmp_path / "memorization"}
    given = removal.given(known["config"], known["experiments_removal"], places, tmp_path)
    assert given.config.seed == 3
    with pytest.raises(UndeclaredError, match="selection"):
        given.config.selection  # noqa: B018
    with pytest.raises(LookupError, match=r"removal: influence is not .* need \(memorization\)"):
        given.run.influence_blocks().__next__()
    other = parameters("selection: {influence: 0.3}\nexperiments: {seeds: {models: 9}}")
    assert other == parameters("")
    for more in ("seed: 1", "experiments: {removal: {repeats: 3}}"):
        assert parameters(more) != parameters("")


def test_mistakes_in_a_section_are_told_with_their_place():
    text = "experiments: {remval: {}, removal: {repeat: 3, repeats: 1}, estimator: all}\nsed: 1"
    with pytest.raises(InputError) as error:
        from_yaml(text, ["experiments.seeds.models=x"], "my.yaml", sections)
    assert sorted(str(error.value).splitlines()) == [
        "--set experiments.seeds.models: expected a valid integer, received 'x'",
        "my.yaml: experiments.estimator: expected 'subsampled' or 'self_influence', received 'all'",
        "my.yaml: experiments.removal.repeat: unknown key; did you mean 'repeats'? (received 3)",
        "my.yaml: experiments.removal.repeats: expected greater than or equal to 2, received 1",
        "my.yaml: experiments.remval: unknown key; did you mean 'removal'? (received {})",
        "my.yaml: sed: unknown key; did you mean 'seed'? (received 1)",
    ]
    known = from_yaml("experiments: {layers: {depths: [1, 2, 3]}}", experiments=sections)
    assert known.experiments.section("layers").depths == (1, 2, 3)


def test_what_was_renamed_is_still_understood(tmp_path, capsys):
    assert _experiment_name("consistency") == "halves"
    assert "consistency is now called halves" in capsys.readouterr().err
    for folder in ("consistency", "halves"):
        (tmp_path / "experiments" / folder).mkdir(parents=True)
        there = {name: tmp_path / kind.place for name, kind in REPORT.optional.items()}
        found = _experiments({name: path for name, path in there.items() if path.exists()})
        assert found == {"halves": tmp_path / "experiments" / folder}
    assert "consistency" not in EXPERIMENTS
