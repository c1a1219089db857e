from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.drawing import drawn_coarsely
from tests.helpers.oracle import example_learner, learner_of
from tests.helpers.runs import write_run
from tfmem.components.comparison import ComparisonPage
from tfmem.components.component import Component
from tfmem.components.experiment import experiment, own_parameter
from tfmem.config import from_yaml
from tfmem.experiments import declared
from tfmem.experiments.comparison import comparison_table, in_words
from tfmem.experiments.consistency import Rule, consistency
from tfmem.experiments.outcome import Outcome, load_outcome
from tfmem.messages.errors import InputError
from tfmem.pipelines.comparison import comparison
from tfmem.pipelines.experiments import experiment as chain
from tfmem.pipelines.runner import ComponentError, configured, run_chain
from tfmem.store.artifacts import Influence, Memorization, Predictions, SelectedPairs, Settings

TINY = ["dataset.classes=[1, 7]", "training.trials=12", "training.epochs=3", "training.lanes=1",
        "training.stack_size=12"]  # fmt: skip


def test_the_table_has_its_closed_form_for_lookup_learners(tmp_path):
    """A learner agrees with itself fully, and with another as far as both know by heart."""
    learners = {"whole": example_learner(), "same": example_learner(), "other": learner_of(1)}
    for name, learner in learners.items():
        write_run(tmp_path / name, learner.records(), learner.labels)
    rule, runs = Rule(0.5, 0.2), [tmp_path / name / "predictions" for name in learners]
    (halves,) = consistency(runs[:1], tmp_path / "halves", rule)
    table = comparison_table(halves, consistency(runs, tmp_path, rule)).set_index("model")
    assert table.index.tolist() == ["whole", "same", "other"]
    chosen = {name: learner.memorization() >= 0.5 for name, learner in learners.items()}
    both, either = chosen["whole"] & chosen["other"], chosen["whole"] | chosen["other"]
    assert table["memorized"].tolist() == [chosen[name].sum() for name in learners]
    assert table["memorization_jaccard"].tolist()[1:] == [1, both.sum() / either.sum()]
    apart = np.abs(learners["whole"].memorization() - learners["other"].memorization())
    assert table["memorization_difference"]["other"] == pytest.approx(apart[either].mean())
    assert table.loc["same", ["influence_jaccard", "influence_difference"]].tolist() == [1, 0]
    assert table["trials"].tolist() == [56, 56, 56]
    assert "halves of its trials" in in_words(table.reset_index())[0]


def models():
    """Configurations of two dense networks, by name."""
    return {
        name: from_yaml("", [*TINY, "model.name=dense", f"model.hidden=[{width}]"])
        for name, width in (("wide", 24), ("narrow", 12))
    }


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Two networks and a last layer, each in a folder of its own and with its own subsets."""
    folder = tmp_path_factory.mktemp("compared")
    with drawn_coarsely(["png"]):
        comparison(models(), folder, last_layer=True)
    return folder


def test_architectures_and_a_last_layer_are_compared_and_done_once(compared, capsys):
    table = pd.read_csv(compared / "comparison" / "table.csv")
    assert table["model"].tolist() == ["wide", "narrow", "last layer of wide"]
    assert table["accuracy"].between(0.2, 1).all()
    settings = [(compared / name / "config.yaml").read_text() for name in ("wide", "narrow")]
    assert [text.startswith("seed: 0\n") for text in settings] == [True, False]
    comparison(models(), compared, last_layer=True)
    assert capsys.readouterr().out.count("unchanged, skipped") == 12
    wide, narrow = models().values()
    other = narrow.dataset.model_copy(update={"label_noise": 0.1})
    noise = narrow.model_copy(update={"dataset": other})
    with pytest.raises(InputError, match=r"other: of other data than wide \(label_noise: 0.0"):
        comparison({"wide": wide, "other": noise}, compared, last_layer=False)
    for name in ("comparison", "comparison.html"):
        with pytest.raises(InputError, match=rf"{name}\.yaml: expected a file of another name"):
            comparison({"wide": wide, name: narrow}, compared, last_layer=False)


def test_the_page_of_a_comparison_fits_and_sorts(compared, open_page):
    for width in (390, 1280):
        page = open_page((compared / "comparison.html").as_uri(), width)
    assert page.locator("td").first.inner_text() == "wide *"
    page.click("th:nth-child(4) button")
    shown = page.locator("td:nth-child(4)").all_inner_texts()
    accuracies = [float(text.split("%")[0]) for text in shown]
    assert accuracies == sorted(accuracies, reverse=True)


def test_removal_goes_on_with_what_pairs_are_worth(tmp_path):
    config = from_yaml("")
    names = [step.component.name for step in chain("removal", config, tmp_path)]
    assert names == ["train", "estimate", "select", "figures", "removal", "pair-utility", "report"]
    proxies = chain("proxies", config, tmp_path)
    assert [step.component.name for step in proxies[4:]] == ["proxies", "report"]


def test_an_outcome_stays_until_the_one_with_other_settings_is_complete(tmp_path):
    for kind in (Predictions, Memorization, Influence, SelectedPairs):
        (tmp_path / kind.place).mkdir()
    (tmp_path / Settings.place).touch()
    table = pd.DataFrame(
        {
            "threshold": [np.nan], "removal": ["none"], "removed": [0], "remaining": [1.0],
            "repeats": [2], "accuracy": [0.5], "accuracy_sd": [0.1], "accuracy_stderr": [0.1],
        }
    )  # fmt: skip
    stop = False

    def conduct(given):
        if stop:
            raise InputError("stopped")
        return Outcome((str(given.settings.repeats),), table)

    removal = replace(declared()["removal"], needs=(Predictions, Memorization), conduct=conduct)

    def conducted(repeats):
        config = from_yaml("", [f"experiments.removal.repeats={repeats}"])
        own = {own_parameter(removal): removal.settings_in(config)}
        run_chain([configured(experiment(removal), config, own)], tmp_path, str)

    def said():
        return load_outcome(tmp_path / "experiments" / "removal").findings

    conducted(2)
    stop = True
    with pytest.raises(ComponentError, match="stopped"):
        conducted(3)
    assert said() == ("2",)
    stop = False
    conducted(3)
    assert said() == ("3",)


def test_a_data_set_that_has_changed_is_looked_at_again(tmp_path):
    made = []
    component = Component(
        name="once",
        inputs={},
        outputs={"page": ComparisonPage},
        parameters={},
        sections=("dataset",),
        Do=lambda inputs, outputs, parameters: (made.append(1), outputs["page"].touch()),
    )
    data = tmp_path / "data.npz"
    config = from_yaml(f"dataset: {{name: npz, data_dir: '{data}'}}")
    for content, count in (("a", 1), ("a", 1), ("as many", 2)):
        if not data.exists() or data.read_text() != content:
            data.write_text(content)
        run_chain([configured(component, config)], tmp_path / "run", str)
        assert len(made) == count
