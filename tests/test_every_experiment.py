"""All experiments at toy size, in one chain on one run; and their page."""

import pytest

from tests.helpers.commands import tfmem_command
from tests.helpers.tiny import NAMES, TINY
from tfmem.config import from_yaml
from tfmem.experiments import declared, sections
from tfmem.experiments.outcome import load_outcome
from tfmem.pipelines.cli.running import on_a_run
from tfmem.pipelines.experiments import experiments
from tfmem.pipelines.runner import run_chain


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on which all experiments were conducted, with their page."""
    folder = tmp_path_factory.mktemp("experiments")
    run_chain(experiments(NAMES, from_yaml("", TINY, experiments=sections)), folder, str)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_each_leaves_table_findings_and_figure(folder, name):
    place = folder / "experiments" / name
    outcome = load_outcome(place)
    assert outcome.question == declared()[name].question
    assert len(outcome.table) > 0
    assert len(outcome.findings) > 0
    for suffix in ("png", "pdf"):
        assert (place / f"figure.{suffix}").stat().st_size > 5000


def test_their_page_shows_every_figure_and_fits(folder, open_page):
    for width in (1280, 390):
        page = open_page((folder / "report.html").as_uri(), width)
        drawn = page.locator("img").evaluate_all("all => all.map((e) => e.naturalWidth)")
        assert len(drawn) >= len(NAMES)
        assert min(drawn) > 0


def test_the_command_privacy_takes_the_outcome_and_names_the_most_exposed(folder):
    ended = tfmem_command("privacy", folder, "--top", "3")
    assert "privacy: unchanged, skipped" in ended.stdout
    shown = ended.stdout.split("The most exposed examples")[1].splitlines()
    rows = [line.split() for line in shown if line.strip()[:1].isdigit()]
    assert len(rows) == 3
    found_out = [float(row[2].rstrip("%")) for row in rows]
    assert found_out == sorted(found_out, reverse=True)


def test_an_experiment_takes_all_trials_of_a_run_unless_told_otherwise(tmp_path):
    settings = from_yaml("", TINY)
    assert on_a_run(settings, tmp_path, []) == settings
    (tmp_path / "predictions").mkdir()
    more = ["training.trials=70"]
    there = from_yaml("", [*TINY, *more])
    (tmp_path / "predictions" / "config.yaml").write_text(there.to_yaml())
    assert on_a_run(settings, tmp_path, ["seed=0"]).training.trials == 70
    assert on_a_run(settings, tmp_path, ["training.trials=40"]) == settings
    (tmp_path / "predictions" / "config.yaml").write_text(settings.to_yaml())
    assert on_a_run(there, tmp_path, []) == there  # trials are added
