"""Shows what models of users' own have memorized: everything in docs/own-models.md, a command each.

    python -m benchmarks.own cancer --out runs/own

Data ship with scikit-learn; `kerashub` needs the extra `text`, `torch` needs PyTorch.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tfmem
from benchmarks.measured import Column, Record, percent, quantity, recording, spent, spoken
from tfmem.config import from_yaml
from tfmem.experiments import sections
from tfmem.pipelines.experiments import experiment
from tfmem.pipelines.runner import run_chain

KINDS = ("even", "prime", "with a closed loop")  # what a digit can be
_PRIME, _CLOSED = (2, 3, 5, 7), (0, 6, 8, 9)


def breast_cancer():
    """The 569 tumours, standardized: training examples 0 to 399, test examples the rest."""
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x[:400].mean(axis=0)) / x[:400].std(axis=0)
    return (x[:400], y[:400]), (x[400:], y[400:])


def network():
    """The ten lines' network for the tumours."""
    model = keras.Sequential([
        keras.Input((30,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(2)
    ])  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-3), loss)
    return model


def logistic_regression():
    """Logistic regression of scikit-learn, with its default regularization."""
    return make_pipeline(StandardScaler(), LogisticRegression())


def cancer(out, record):
    """The ten lines on the tumours."""
    run = tfmem.run(
        network, *breast_cancer(), trials=500, epochs=20, batch_size=32, out=out / "cancer"
    )
    _tell(run, record)
    return run


def logistic(out, record):
    """Logistic regression on the tumours, compared with the network's run if that is there."""
    run = tfmem.run(logistic_regression, *breast_cancer(), trials=500, out=out / "logistic")
    _tell(run, record)
    if (out / "cancer" / "memorization").is_dir():
        runs = run, tfmem.load_run(out / "cancer")
        found = [each.memorization["memorization"].to_numpy() for each in runs]
        top = [set(np.argsort(-values)[:10]) for values in found]
        record.say(
            "memorization by both",
            correlation=np.corrcoef(found)[0, 1],
            the_same_among_the_10_most_memorized=len(top[0] & top[1]),
        )
    return run


def linear():
    """Linear regression by gradient descent."""
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model


def kernel_ridge():
    """Kernel ridge regression of scikit-learn; equal examples give equal models."""
    return KernelRidge(kernel="rbf", alpha=0.1, gamma=0.03)


def diabetes(out, record):
    """A regression: progression of a disease after a year, and 40 patients left out one by one."""
    x, y = load_diabetes(return_X_y=True)
    x, apart = x / x.std(axis=0), (y - y.mean()) / y.std()
    parts = (x[:300], apart[:300]), (x[300:], apart[300:])
    _tell(tfmem.run(linear, *parts, trials=500, epochs=20, out=out / "diabetes"), record)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order], y[order]
    parts, folder = ((x[:342], y[:342]), (x[342:], y[342:])), out / "diabetes_ridge"
    _tell(tfmem.run(kernel_ridge, *parts, trials=1000, out=folder), record)
    _leave_out(folder, "{examples: 40, repeats: 2, repeats_with: 2}", record)


def _leave_out(folder, how, record):
    """Compares the estimates of a run with leave-one-out, and records what it finds."""
    text, changed = (folder / "config.yaml").read_text(), [f"experiments.leave_one_out={how}"]
    settings = from_yaml(text, changed, experiments=sections)
    run_chain(experiment("leave-one-out", settings, folder), folder)
    found = json.loads((folder / "experiments" / "leave-one-out" / "findings.json").read_text())
    record.values["leave-one-out"] = found["findings"]


def several_outputs():
    """A network that says of a digit whether it is even, prime, and with a closed loop."""
    model = keras.Sequential([
        keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(3, "sigmoid")
    ])  # fmt: skip
    model.compile("adam", "binary_crossentropy")
    return model


def multilabel(out, record):
    """Several labels of each example: an example is right if all of them are."""
    x, y = load_digits(return_X_y=True)
    labels = np.stack([y % 2 == 0, np.isin(y, _PRIME), np.isin(y, _CLOSED)], axis=1)
    parts = (x[:900] / 16, labels[:900]), (x[900:] / 16, labels[900:])
    run = tfmem.run(several_outputs, *parts, trials=200, epochs=20, out=out / "multilabel")
    _tell(run, record)
    return run


def one_output():
    """A network with one output, the probability of class 1."""
    model = keras.Sequential([
        keras.Input((30,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1, "sigmoid")
    ])  # fmt: skip
    model.compile("adam", "binary_crossentropy")
    return model


def binary(out, record):
    """Two classes and one output, scored by log p/(1-p) of the true class."""
    run = tfmem.run(
        one_output, *breast_cancer(), trials=500, epochs=20, score="margin", out=out / "binary"
    )
    _tell(run, record)
    return run


class Sharpness(keras.Model):
    """A network with a training step of its own: sharpness-aware minimization (Foret et al. 2021).

    Each step descends by the gradient at the worst point near the weights.
    """

    radius = 0.05

    def __init__(self):
        super().__init__()
        self.hidden, self.last = keras.layers.Dense(64, "relu"), keras.layers.Dense(2)

    def call(self, x):
        """Two logits."""
        return self.last(self.hidden(x))

    def train_step(self, data):
        """Climbs to the worst point near the weights, and descends from where it was."""
        import tensorflow as tf

        x, y = data
        variables = self.trainable_variables
        uphill = self._gradients(x, y, tf.GradientTape())[1]
        scale = self.radius / (tf.linalg.global_norm(uphill) + 1e-12)
        for variable, slope in zip(variables, uphill, strict=True):
            variable.assign_add(scale * slope)
        loss, gradients = self._gradients(x, y, tf.GradientTape())
        for variable, slope in zip(variables, uphill, strict=True):
            variable.assign_sub(scale * slope)
        self.optimizer.apply(gradients, variables)
        return {"loss": loss}

    def _gradients(self, x, y, tape):
        with tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        return loss, tape.gradient(loss, self.trainable_variables)


def with_own_step():
    """The network with its own training step, compiled."""
    model = Sharpness()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-3), loss)
    return model


def own_step(out, record):
    """A subclass of `keras.Model` with its own `train_step`: trained by its `fit`."""
    run = tfmem.run(with_own_step, *breast_cancer(), trials=20, epochs=20, out=out / "own_step")
    _tell(run, record)
    return run


def of_two():
    """A network with two inputs by name."""
    mean, worst = keras.Input((10,), name="mean"), keras.Input((20,), name="worst")
    parts = [keras.layers.Dense(16, "relu")(mean), keras.layers.Dense(32, "relu")(worst)]
    model = keras.Model(
        {"mean": mean, "worst": worst}, keras.layers.Dense(2)(keras.layers.Concatenate()(parts))
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-3), loss)
    return model


def two_inputs(out, record):
    """Two inputs, by `fit` and stacked; the models of both have the same accuracy."""
    parts = [({"mean": x[:, :10], "worst": x[:, 10:]}, y) for x, y in breast_cancer()]
    by_fit = tfmem.run(
        of_two, *parts, trials=20, epochs=20, trainer="fit", out=out / "two_inputs_fit"
    )
    _tell(by_fit, record)
    stacked = tfmem.run(of_two, *parts, trials=500, epochs=20, out=out / "two_inputs_auto")
    _tell(stacked, record)


def sentences():
    """Sentences of the descriptions of scikit-learn's data sets, and of which set each is."""
    import sklearn.datasets

    folder = Path(sklearn.datasets.__file__).parent / "descr"
    texts, labels = [], []
    for name in ("breast_cancer", "kddcup99", "lfw", "twenty_newsgroups", "wine_data"):
        words = (folder / f"{name}.rst").read_text(encoding="utf-8").split()
        parts = [" ".join(words[start : start + 12]) for start in range(0, len(words), 12)]
        texts += parts
        labels += [name] * len(parts)
    order = np.random.default_rng(0).permutation(len(texts))
    return np.array(texts)[order], np.array(labels)[order]


def bert():
    """A small BERT of KerasHub with its tokenizer, which takes texts; nothing is downloaded."""
    import keras_hub

    words = {word.lower() for text in sentences()[0] for word in text.split() if word.isalpha()}
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(words)]
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(vocabulary), num_layers=1, num_heads=2, hidden_dim=32,
        intermediate_dim=64, max_sequence_length=16,
    )  # fmt: skip
    tokenizer = keras_hub.models.BertTokenizer(vocabulary=vocabulary, lowercase=True)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=16)
    model = keras_hub.models.BertTextClassifier(backbone, 5, preprocessor)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(3e-3), loss)
    return model


def kerashub(out, record):
    """A classifier of KerasHub that takes texts: trained by its `fit`."""
    texts, labels = sentences()
    train, test = (texts[:-80], labels[:-80]), (texts[-80:], labels[-80:])
    run = tfmem.run(bert, train, test, trials=20, epochs=10, out=out / "kerashub")
    _tell(run, record)
    return run


def adamw(out, record):
    """AdamW with a cosine schedule on digits, stacked, against a loop of `model.fit`.

    `benchmarks.training` records it.
    """
    del out, record
    command = [sys.executable, "-m", "benchmarks.training", "--only", "adamw"]
    subprocess.run([*command, "--fits", "20", "--turns", "2"], check=True)


def torch(out, record):
    """A loop of PyTorch's, written through `PredictionWriter`, against its arrays."""
    command = [sys.executable, "-m", "benchmarks.own_loop", str(out / "torch")]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(said)
    record.values["found"] = said.splitlines()


COMMANDS = {
    name.__name__.replace("_", "-"): name
    for name in (
        cancer, logistic, diabetes, multilabel, binary, own_step, two_inputs, kerashub, adamw, torch
    )
}  # fmt: skip


_RUNS = (
    Column("command"),
    Column("trials", "", 0),
    Column("test accuracy, or score"),
    Column("memorization, mean"),
    Column("examples memorized", "%", 1),
    Column("processor time", "s", 0),
)


def _tell(run, record):
    """Prints and records how models did, what they memorized most, and how many pairs there are."""
    values, trials, units = run.memorization["memorization"], run.trials, run.units
    top = np.argsort(-values.to_numpy())[:5]
    listed = ", ".join(f"{k} ({units.short(values[k])})" for k in top)
    kind = "score" if trials.attrs["score"] else "accuracy"
    record.say(
        run.predictions.parent.name,
        trials=len(trials),
        **{f"test_{kind}": trials[f"test_{kind}"].mean()},
        memorization=np.mean(values),
        **{f"examples with {run.said_of_memorized}": percent(np.mean(run.memorized))},
        pairs=len(run.pairs),
    )
    rows = record.tables["runs"]["rows"] if record.tables else []
    busy = quantity(spent()["CPU"] - sum(row[-1]["value"] for row in rows), unit="s")
    means = [spoken(each) for each in (trials[f"test_{kind}"].mean(), np.mean(values))]
    name = record.name.split("/")[-1]
    record.row(
        "runs", _RUNS, [f"`{name}`", len(trials), *means, 100 * np.mean(run.memorized), busy]
    )
    print(f"highest memorization ({units.name}): {listed}")


def main():
    """Runs one command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--out", type=Path, default=Path("runs/own"), help="folder for runs")
    recording(parser)
    arguments = parser.parse_args()
    record = Record(f"own/{arguments.command}")
    COMMANDS[arguments.command](arguments.out, record)
    cost = spent()
    print(f"{arguments.command}: {cost['seconds']} s, {cost['CPU']} CPU seconds")
    if arguments.record and record.values:
        record.write()


if __name__ == "__main__":
    main()
