"""Does the last layer memorize (Feldman & Zhang 2020, Sec. 3 and Fig. C.3)?

The paper trains only the last layer on subsets, above a representation learned from all examples,
and finds next to none of the memorized examples. Both estimates here are by correctness, whatever
the statistic of the run.
"""

from __future__ import annotations

from tfmem.experiments.checks import right_or_wrong, test_examples, whole_network
from tfmem.experiments.consistency import Side, curves
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.recovery import at_threshold, compared, recovered
from tfmem.experiments.retraining import LayersSettings, representation_accuracy, retrain
from tfmem.figures.agreement import agreement_of_table
from tfmem.store.artifacts import Predictions


def last_layer(given: Given[LayersSettings]) -> Outcome:
    """Compares the estimates of the last layer alone with those of the whole network.

    Args:
      given: the run's predictions.

    Returns:
      The agreement of both over thresholds, like that of `consistency`, with the thresholds of
      `selection`; influence is not conditioned on memorization, as in Fig. C.3. Every row also
      holds `last_trials`, `last_accuracy`, `last_accuracy_sd`, `last_memorized` and `last_pairs`.
    """
    config = given.config
    folder = retrain(config, given.settings, given.dataset, (1,), given.folder)[1]
    predictions = [given.run.predictions, folder / "predictions"]
    conditioned, free = (
        compared(config, predictions, folder, condition) for condition in (True, False)
    )
    whole, last = free.first, free.second
    memorized, found = recovered(free)
    said = [
        f"Test accuracy is {_accuracy(last)} for {last.trials:,} last layers, "
        f"{_accuracy(whole)} for {whole.trials:,} whole networks, and "
        f"{representation_accuracy(folder):.2%} for the network that gave the representation.",
        f"Last layers memorize {last.memorized:,} examples (memorization ≥ "
        f"{free.rule.memorization:g}), whole networks {memorized:,}; {found:,} are in "
        "both.",
        f"Last layers have {last.pairs:,} pairs with influence ≥ "
        f"{free.rule.influence:g}, whole networks {whole.pairs:,}; "
        f"{at_threshold(free, 'both'):,} are in both: "
        f"J = {at_threshold(free, 'jaccard'):.2f}, "
        f"D = {at_threshold(free, 'difference'):.2f}. Of these pairs, "
        f"{conditioned.second.pairs:,} and {conditioned.first.pairs:,} have a memorized training "
        "example.",
    ]
    table = curves(free)
    names = {
        "first_name": _described("whole network", whole),
        "second_name": _described("last layer", last),
    }
    numbers = ("trials", "accuracy", "accuracy_sd", "memorized", "pairs")
    alone = {f"last_{name}": getattr(last, name) for name in numbers}
    return Outcome(tuple(said), table.assign(**names, **alone))


def _accuracy(side: Side) -> str:
    return f"{side.accuracy:.2%} ± {side.accuracy_sd:.2%} (SD)"


def _described(name: str, side: Side) -> str:
    return (
        f"{name}: {side.trials:,} trials, {side.pairs:,} pairs, {side.memorized:,} memorized, "
        f"accuracy {side.accuracy:.2%}"
    )


EXPERIMENT = Experiment(
    name="last-layer",
    question="Does the last layer memorize?",
    source="Feldman & Zhang (2020), Sec. 3, Fig. C.3",
    trains="one model, and its last layer in as many trials as the run has",
    reading=(
        "As in halves, with the last layer alone on one side. A curve of J near 0 means that the "
        "last layer finds nothing of what the whole network memorizes."
    ),
    settings=LayersSettings,
    needs=(Predictions,),
    sections=("seed", "dataset", "model", "task", "training", "selection"),
    conduct=last_layer,
    draw=agreement_of_table,
    checks=(right_or_wrong, whole_network, test_examples),
    section="layers",
    results="findings.md#last-layer-last-k-layers",
)
