"""Each experiment at toy size, as `tfmem experiment` conducts it, on one run; and their page."""

from tests.helpers.browser import CHROMIUM, Browser
from tfmem.config import from_yaml
from tfmem.experiments.outcome import load_outcome
from tfmem.pipelines.cli.running import on_a_run
from tfmem.pipelines.experiments import EXPERIMENTS, experiment
from tfmem.pipelines.runner import run_chain

TINY = [
    "dataset={classes: [1, 7], label_noise: 0.1}",
    "model={name: dense, hidden: [32, 16]}",
    "training={trials: 40, epochs: 12, batch_size: 32, learning_rate: 0.1, lanes: 1}",
    "self_influence.layers=[logits]",
    "selection.influence=0.02",
    "experiments.removal={thresholds: [0.5], repeats: 2}",
    "experiments.pair_utility.repeats=2",
    "experiments.leave_one_out={examples: 6, repeats: 2, repeats_with: 2}",
    "experiments.fraction={fractions: [0.5, 0.8], trials: 20, planned_trials: [100]}",
    "experiments.random_labels.trials=6",
    "experiments.proxies={trainings: [1], trials: [5, 500]}",
    "experiments.layers.trials=6",
    "experiments.seeds.models=2",
]
# What is about texts is in test_text_study.py.
NAMES = [name for name in EXPERIMENTS if name not in ("typicality", "reduction-rate")]


def test_all_leave_table_findings_and_figure_and_their_page_fits(tmp_path):
    for name in NAMES:
        run_chain(experiment(name, from_yaml("", TINY), tmp_path), tmp_path, str)
        place = tmp_path / EXPERIMENTS[name].outputs["outcome"].place
        outcome = load_outcome(place)
        assert len(outcome.table) > 0, name
        assert len(outcome.findings) > 0, name
        for suffix in ("png", "pdf"):
            assert (place / f"figure.{suffix}").stat().st_size > 5000, name
    if CHROMIUM is None:
        return
    browser = Browser()
    try:
        for width in (1280, 390):
            browser.open((tmp_path / "report.html").as_uri(), width)
            assert browser.run("document.documentElement.scrollWidth") <= width
        images = "[...document.querySelectorAll('img')]"
        assert browser.run(f"{images}.every((e) => e.complete && e.naturalWidth > 0)")
        assert browser.run(f"{images}.length") >= len(NAMES)
        assert browser.errors == []
    finally:
        browser.close()


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
