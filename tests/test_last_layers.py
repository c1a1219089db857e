import numpy as np
import pandas as pd
import pytest

from tests.helpers.experiments import given
from tests.helpers.oracle import example_learner, learner_of
from tests.helpers.runs import write_run
from tfmem.config import from_yaml
from tfmem.experiments import last_k_layers as last_k_layers_module
from tfmem.experiments import last_layer as last_layer_module
from tfmem.experiments.consistency import Rule, consistency
from tfmem.experiments.halves import halves
from tfmem.experiments.last_k_layers import last_k_layers, last_k_layers_figure
from tfmem.experiments.last_layer import last_layer
from tfmem.experiments.retraining import LayersSettings, representation_accuracy, retrain
from tfmem.figures.agreement import agreement_of_table
from tfmem.messages.errors import InputError

SELECTION = ["selection.memorization=0.5", "selection.influence=0.2"]


@pytest.fixture
def runs_of_lookup_learners(tmp_path, monkeypatch):
    """Replaces training by trials of lookup learners, one for each subset."""
    whole = example_learner()
    write_run(tmp_path / "whole", whole.records(), whole.labels)

    def retrain(config, settings, dataset, depths, out):
        del config, settings, dataset
        for depth in depths:
            write_run(out / str(depth) / "trials", learner_of(depth).records(), whole.labels)
            np.savez(out / str(depth) / "features.npz", test_correct=np.array([True, False]))
        return {depth: out / str(depth) / "trials" for depth in depths}

    for module in (last_layer_module, last_k_layers_module):
        monkeypatch.setattr(module, "retrain", retrain)
    return tmp_path / "whole", tmp_path / "out"


def test_halves_of_a_lookup_learner_find_the_same_by_heart(tmp_path):
    whole = example_learner()
    write_run(tmp_path / "run", whole.records(), whole.labels)
    predictions = tmp_path / "run" / "predictions"
    config = from_yaml("", SELECTION)
    outcome = halves(given(config, folder=tmp_path / "out", predictions=predictions))
    memorized = int((whole.memorization() >= 0.5).sum())
    assert outcome.findings[0].startswith(
        f"With memorization ≥ 0.5, one half of the trials finds {memorized} examples, the other "
        f"{memorized}; {memorized} are found by both: J = 1.00"
    )
    (expected,) = consistency([tmp_path / "run" / "predictions"], tmp_path, Rule(0.5, 0.2))
    influence = outcome.table[outcome.table["estimate"] == "influence"]
    np.testing.assert_array_equal(influence["jaccard"], expected.influence.jaccard)
    assert set(influence["selection"]) == {0.2}
    agreement_of_table(outcome.table, None)


def test_last_layer_has_its_closed_form_for_lookup_learners(runs_of_lookup_learners):
    run, out = runs_of_lookup_learners
    made = given(from_yaml("", SELECTION), LayersSettings(), out, predictions=run / "predictions")
    outcome = last_layer(made)
    whole, last = example_learner(), learner_of(1)
    same = whole.labels.train_labels[:, None] == whole.labels.test_labels
    for estimate, threshold, sides in (
        ("memorization", 0.5, [each.memorization() for each in (whole, last)]),
        ("influence", 0.2, [each.influence()[same] for each in (whole, last)]),
    ):
        table = outcome.table[outcome.table["estimate"] == estimate]
        row = table[np.isclose(table["threshold"], threshold)].iloc[0]
        chosen = [values >= threshold for values in sides]
        either = chosen[0] | chosen[1]
        assert (row["first"], row["second"]) == tuple(each.sum() for each in chosen)
        assert row["jaccard"] == (chosen[0] & chosen[1]).sum() / either.sum()
        assert row["difference"] == pytest.approx(np.abs(sides[0] - sides[1])[either].mean())
    assert "50.00%" in outcome.findings[0]
    agreement_of_table(outcome.table, None)


def test_deeper_blocks_recover_what_they_memorize(runs_of_lookup_learners):
    run, out = runs_of_lookup_learners
    config, settings = from_yaml("", SELECTION), LayersSettings(depths=(5, 1))
    table = last_k_layers(given(config, settings, out, predictions=run / "predictions")).table
    memorized = example_learner().memorization() >= 0.5
    assert table["depth"][:2].tolist() == [1, 5]
    assert np.isnan(table["depth"][2])
    for row in table[:2].itertuples():
        found = learner_of(int(row.depth)).memorization() >= 0.5
        assert (row.memorized, row.expected) == (found.sum(), memorized.sum())
        assert row.recovered == (found & memorized).sum() > 0
        assert row.low < row.share < row.high or row.share == row.high == 1
    last_k_layers_figure(table, None)
    none = from_yaml("", ["selection.memorization=1"])
    learner = learner_of(0)
    nothing = write_run(run.parent / "nothing", learner.records(), learner.labels)
    with pytest.raises(InputError, match="the run memorizes no example"):
        last_k_layers(given(none, settings, out / "none", predictions=nothing))


def test_blocks_are_trained_above_a_network_that_saw_everything(tmp_path, digits):
    """Blocks of a convolutional network, above its hidden layer or its first convolution."""
    config = from_yaml(
        "model: {name: cnn, filters: [3, 4], hidden: 5}\n"
        "training: {trials: 2000, epochs: 8, batch_size: 16, learning_rate: 0.05, lanes: 1}"
    )
    settings = LayersSettings(trials=2, epochs=6)
    folders = retrain(config, settings, digits, (1, 3), tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/features.npz")}
    assert retrain(config, settings, digits, (1, 3), tmp_path) == folders
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}
    assert len(stamps) == 2
    longer = config.model_copy(
        update={"training": config.training.model_copy(update={"epochs": 1})}
    )
    retrain(longer, settings, digits, (1,), tmp_path)  # is above another network
    assert len(list(tmp_path.glob("last-layer/*/features.npz"))) == 2
    shapes = {1: ("train_features", (300, 5)), 3: ("train_images", (300, 4, 4, 3))}
    for depth, (name, shape) in shapes.items():
        with np.load(folders[depth].parent / "features.npz") as arrays:
            assert arrays[name].shape == shape
        assert len(pd.read_csv(folders[depth] / "trials.csv")) == 2
    # One network saw everything; the two runs draw subsets of their own.
    assert representation_accuracy(folders[1]) == representation_accuracy(folders[3])
    subsets = [next((f / "predictions").glob("*.tfrecord")).read_bytes() for f in folders.values()]
    assert subsets[0] != subsets[1]
    with pytest.raises(InputError, match="at most 3 of the 4 blocks"):
        retrain(config, settings, digits, (4,), tmp_path)
    linear = from_yaml("model: {name: linear}")
    with pytest.raises(InputError, match="at most 0 of the 1 blocks"):
        retrain(linear, settings, digits, (1,), tmp_path / "linear")
