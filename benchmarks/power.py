"""Measures how often selection by false discovery rate finds pairs although there is no influence.

Trials are of uneven quality: a random effect shifts the logits of each model, by the same amount
for training and test examples. Without influence every discovery is false, so the false discovery
rate is the share of data sets with any discovery. Four families of tests for Benjamini & Hochberg's
procedure are compared:

- `memorized`: the pairs whose training example is memorized, as up to version 0.1; the same trials
  decide which examples are memorized and which pairs are found;
- `all pairs`: all pairs; discoveries count only if their training example is memorized;
- `p = 1`: all pairs, with p-value 1 for those whose training example is not memorized, as `tfmem`
  does;
- `halves`: the pairs whose training example is memorized by one half of the trials, with p-values
  from the other half.

Power is the share found of 40 real pairs, whose training examples are memorized and whose influence
is 0.3. The last table shows p-values of groups, which are exact and therefore conservative.

    python -m benchmarks.power
"""

import argparse

import numpy as np

from benchmarks.measured import Column, Record, quantity, recording
from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import ClassCounts, count_train
from tfmem.estimation.group_effects import GroupTally, log_group_p_values
from tfmem.estimation.kernels import co_occurrence, ones, transpose_bits
from tfmem.estimation.significance import p_values, q_values
from tfmem.estimation.thresholds import counts_at_least
from tfmem.selection.finding import in_class
from tfmem.selection.settling import choose_pairs

TRAIN, TEST, REAL, INFLUENCE, FDR, MEMORIZED = 100, 100, 40, 0.3, 0.05, 0.25
EFFECTS = {"none": 0.0, "SD 1": 1.0, "SD 2": 2.0, "SD 4": 4.0}


def simulate(rng, trials, deviation, real=0):
    """Draws masks, and correctness on training and on test examples: bool `[trials, examples]`.

    Each of the first `real` test examples is influenced by the training example with the same
    index, which is memorized.
    """
    masks = np.argsort(rng.random((trials, TRAIN)), axis=1) < round(0.7 * TRAIN)
    quality = rng.normal(0, deviation, (trials, 1))
    easy = rng.normal(0, 1, (2, TRAIN))
    train, test = (
        rng.random((trials, TRAIN)) < 1 / (1 + np.exp(-(quality + side))) for side in easy
    )
    if real:
        owed = masks[:, :real]
        train[:, :real] = rng.random((trials, real)) < np.where(owed, 0.95, 0.3)
        test[:, :real] = rng.random((trials, real)) < np.where(owed, 0.5 + INFLUENCE, 0.5)
    return masks, train, test


def counts_of(masks, train, test):
    """The counts of one class."""
    bits, right, tests = (
        transpose_bits(np.packbits(side, axis=1, bitorder="little"), side.shape[1])
        for side in (masks, train, test)
    )
    index = np.arange(TRAIN)
    sums = count_train(len(masks), index, 0 * index, bits, right)
    return ClassCounts(0, sums, np.arange(TEST), ones(tests), co_occurrence(bits, tests))


def memorized(counts):
    """Tells which training examples have memorization of at least 0.25: bool `[train]`."""
    train = counts.train
    covariance = train.num_trials * train.correct_in - train.num_in * train.correct
    return counts_at_least(covariance, train.num_in * train.num_out, MEMORIZED)


def all_p(counts):
    """Computes one-sided p-values of all pairs, `[train, test]`."""
    shape = TRAIN, TEST
    num_in = np.broadcast_to(counts.train.num_in[:, None], shape).ravel()
    correct = np.broadcast_to(counts.test_correct, shape).ravel()
    both = counts.test_correct_in.astype(np.int64).ravel()
    return p_values(both, num_in, correct, counts.train.num_trials, "positive").reshape(shape)


def ways(data):
    """Selects pairs by each family of tests: a dict from its name to bool `[train, test]`."""
    counts = counts_of(*data)
    p, rows = all_p(counts), memorized(counts)
    found = {}
    chosen = np.zeros(p.shape, bool)
    if rows.any():
        chosen[rows] = q_values(p[rows].ravel(), rows.sum() * TEST).reshape(-1, TEST) <= FDR
    found["memorized"] = chosen
    every = q_values(p.ravel(), p.size).reshape(p.shape) <= FDR
    found["all pairs"] = every & rows[:, None]
    settings = SelectionSettings(fdr=FDR)
    pairs = choose_pairs([in_class(counts, settings, p.size)], settings).pairs
    ours = np.zeros(p.shape, bool)
    ours[pairs.train_index, pairs.test_index] = True
    found["p = 1"] = ours
    half = len(data[0]) // 2
    first, second = (
        counts_of(*(x[part] for x in data)) for part in (slice(half), slice(half, None))
    )
    rows, chosen = memorized(first), np.zeros(p.shape, bool)
    if rows.any():
        p = all_p(second)[rows]
        chosen[rows] = q_values(p.ravel(), p.size).reshape(p.shape) <= FDR
    return found | {"halves": chosen}


def discoveries(trials, deviation, sets, seed, real=0):
    """Simulates data sets and measures the discoveries of each family of tests.

    Returns:
      A dict from the name of the family to float `[sets, 3]`: whether a data set has a false
      discovery, the share of its discoveries that are false, and the share of real pairs found.
    """
    rng = np.random.default_rng([seed, trials, round(10 * deviation), real])
    true = np.zeros((TRAIN, TEST), bool)
    true[np.arange(real), np.arange(real)] = True
    rows = {}
    for _ in range(sets):
        for name, found in ways(simulate(rng, trials, deviation, real)).items():
            wrong, right = (found & ~true).sum(), (found & true).sum()
            rows.setdefault(name, []).append(
                (wrong > 0, wrong / max(wrong + right, 1), right / max(real, 1))
            )
    return {name: np.array(values, float) for name, values in rows.items()}


def show(title, row):
    """Prints a row of a table."""
    print(f"{title:28s}" + "".join(f"{text:>18s}" for text in row), flush=True)


def with_error(values):
    """Formats the mean of `values` and its standard error."""
    mean, error = mean_and_error(values)
    return f"{mean:.3f} ± {error:.3f}"


def mean_and_error(values):
    """The mean of `values` and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def percent(values):
    """Mean and standard error of shares, as pages show them."""
    mean, error = mean_and_error(values)
    return quantity(100 * mean, error=100 * error, unit="%")


def groups(rng, sets, record):
    """Prints and records how often p-values of groups without influence are below a level."""
    print("\np-values of groups: how often they are below a level (no influence, SD 2)")
    show("group of", ["trials", "p <= 0.05", "p <= 0.01"])
    for size, trials in ((1, 400), (2, 400), (3, 400), (5, 2000)):
        tally, shares = None, []
        for _ in range(sets):
            members = {str(k): np.arange(k * size, (k + 1) * size) for k in range(TRAIN // size)}
            tally = GroupTally(members, TEST)
            for mask, train, test in zip(*simulate(rng, trials, 2.0), strict=True):
                tally.add(mask, train, test)
            p = np.exp(np.concatenate([log_group_p_values(each) for each in tally.counts()]))
            shares.append([(p <= level).mean() for level in (0.05, 0.01)])
        below = np.array(shares).T
        show(str(size), [f"{trials:,}", *(with_error(column) for column in below)])
        name = f"groups of {size}, {trials:,} trials: p at most 0.05, at most 0.01"
        record.values[name] = [percent(column) for column in below]


def main():
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=400, help="number of data sets for each row")
    parser.add_argument("--seed", type=int, default=0)
    recording(parser)
    arguments = parser.parse_args()
    few = max(arguments.sets // 8, 10)
    settings = {
        "data sets": arguments.sets,
        "training examples": TRAIN,
        "test examples": TEST,
        "data sets with planted pairs": few,
        "pairs planted": REAL,
        "influence": INFLUENCE,
    }
    record = Record("power", arguments.seed, settings)
    names, rows = None, []
    for trials in (100, 400, 2000):
        for effect, deviation in EFFECTS.items():
            found = discoveries(trials, deviation, arguments.sets, arguments.seed)
            if names is None:
                names = list(found)
                print("Share of data sets with a false discovery at 5%, without any influence")
                show("trials, effect of quality", names)
            show(f"{trials:,}, {effect}", [with_error(found[name][:, 0]) for name in names])
            shares = [found[name][:, 0] for name in ("memorized", "p = 1", "halves")]
            row = [quantity(m, error=e or None) for m, e in map(mean_and_error, shares)]
            rows.append([f"{trials:,}, {deviation:g}", *row])
    print(f"\nFalse discovery proportion, then power, with {REAL} influences of {INFLUENCE}")
    for trials in (100, 400, 2000):
        found = discoveries(trials, 2.0, few, arguments.seed, REAL)
        show(f"{trials:,}, SD 2: false", [with_error(found[name][:, 1]) for name in names])
        show(f"{trials:,}, SD 2: power", [with_error(found[name][:, 2]) for name in names])
        for part, column in (("false among discoveries", 1), ("found", 2)):
            for name in names:
                record.values[f"{name}, {trials:,} trials: {part}"] = percent(
                    found[name][:, column]
                )
    groups(np.random.default_rng(arguments.seed), max(arguments.sets // 40, 5), record)
    if arguments.record:
        heads = "pairs of memorized examples only", "all pairs, as in `tfmem`"
        split = "memorization from one half of the trials, p-values from the other"
        columns = [Column(each, "", 3) for each in (*heads, split)]
        record.table("discoveries", [Column("trials, SD of the effect"), *columns], rows)
        record.write()


if __name__ == "__main__":
    main()
