"""Settings with which all experiments take seconds."""

from tfmem.experiments import declared

TINY = [
    "dataset={classes: [1, 7], label_noise: 0.1}",
    "model={name: dense, hidden: [20, 12]}",
    "training={trials: 40, epochs: 12, batch_size: 32, learning_rate: 0.1, lanes: 1}",
    "training.stack_size=20",  # none is measured
    "self_influence.layers=[logits]",
    "selection.influence=0.02",
    "experiments.removal={thresholds: [0.5], repeats: 2}",
    "experiments.pair_utility.repeats=2",
    "experiments.label_errors.folds=2",
    "experiments.leave_one_out={examples: 6, repeats: 2, repeats_with: 2}",
    "experiments.fraction={fractions: [0.5, 0.8], trials: 20, planned_trials: [100]}",
    "experiments.random_labels.trials=6",
    "experiments.proxies={trainings: [1], trials: [5, 500]}",
    "experiments.layers.trials=6",
    "experiments.seeds.models=2",
    "experiments.onion.trials=8",
    "experiments.attribution_quality={subsets: 10, repeats: 2, trials: [20, 4096], models: [1, 2]}",
    "gradient_attribution={checkpoints: 2, projection: 64}",
    "experiments.brittleness={tests: 2, shares: [0.1, 0.5], repeats: 2}",
]
# Experiments on texts are in test_text_study.py.
NAMES = [name for name in declared() if name not in ("texts", "typicality", "reduction-rate")]
