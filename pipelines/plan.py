"""Makes the plan of a run, and shows it as a table, a sentence, a figure and a file."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfmem.config import Config
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import PlainTable
from tfmem.planning import Plan, Question, Sizes, TrialTime, make_plan
from tfmem.store.files import write_atomically

if TYPE_CHECKING:
    from tfmem.datasets import AnyDataset  # imports TFDS

NAME = "plan"


def plan_run(
    config: Config,
    question: Question,
    trials: Sequence[int],
    fractions: Sequence[float],
    sizes: Sequence[int] | None = None,
    time_trials: int = 0,
    trial_hours: float | None = None,
    machines: int = 1,
) -> Plan:
    """Plans a run, and reads its data unless their sizes are given.

    Args:
      config: the run's settings.
      question: the influence that the run should find, and how surely.
      trials: numbers of trials to compare with.
      fractions: subset fractions to compare with.
      sizes: numbers of training examples, test examples and classes, instead of the data.
      time_trials: number of trials to train so that their time is measured; 0 trains none.
      trial_hours: hours that a trial takes, if they are known.
      machines: number of machines that train at the same time.

    Raises:
      InputError: if an option is wrong, or if there are neither data nor sizes.
    """
    if sizes is not None and len(sizes) != 3:
        raise InputError(f"--sizes: expected TRAIN,TEST,CLASSES, received {len(sizes)} numbers")
    if time_trials and (sizes is not None or trial_hours is not None):
        raise InputError("--time-trials goes without --sizes (it needs the data) and --trial-hours")
    if trial_hours is not None and not 0 < trial_hours < math.inf:
        raise InputError(f"--trial-hours: expected more than 0, received {trial_hours}")
    training = config.training
    if sizes is not None:
        known = Sizes.of_equal_classes(*sizes)
    else:
        dataset = _load(config)
        known = Sizes.of_labels(dataset.train_labels, dataset.test_labels)
    plan = make_plan(
        known,
        question,
        (training.trials, training.fraction),
        trials,
        fractions,
        training.probabilities,
        training.repeats,
    )
    if trial_hours is not None:
        return plan.timed(TrialTime(3600 * trial_hours, 0, training.fraction), machines)
    if time_trials:
        from tfmem.training.timing import time_trials as time_them

        return plan.timed(time_them(config, dataset, time_trials), machines)
    return plan


def _load(config: Config) -> AnyDataset:
    from tfmem.datasets import load

    try:
        return load(config.dataset)
    except InputError as error:
        raise InputError(f"{error} (--sizes TRAIN,TEST,CLASSES plans without data)") from None


def plan_table(plan: Plan) -> PlainTable:
    """A table with one line for each candidate; > marks that of the configuration."""
    threshold = f"{plan.question.influence:g}"
    columns = ["trials", "m/n", "SE\n½", "SE\n0.9", "SE\nmem", "Lem.\n2.1", "infl\n50%",
               "infl\n90%", f"≥{threshold} by\nchance", "disk", "mem-\nory"]  # fmt: skip
    table = PlainTable(*columns, *(["hours", "mach-\nines"] if plan.time else []), gap=1)
    for row in plan.rows:
        cells = [f"{'>' if row.configured else ''}{row.trials}", f"{row.fraction:g}"]
        errors = row.stderr_worst, row.stderr_typical, row.stderr_memorization, row.lemma_bound
        cells += [f"{number:.3f}" for number in errors]
        cells += [f"{number:.2f}" if number == number else "-" for number in
                  (row.detected_half, row.detected_90)]  # fmt: skip
        cells += [_short(row.chance_pairs), *(
            f"{_short(number)}B" for number in (row.disk_bytes, row.memory_bytes)
        )]  # fmt: skip
        if plan.time:
            cells += [_short(number) for number in (row.hours, row.machines_for_a_day or 1)]
        table.add(*cells, bold=row.configured)
    return table


LEGEND = (
    "SE: standard error of an estimate, models right half of the time (½) or 9 times in 10 (0.9), "
    "and of memorization (mem) where they are always right on what they were trained on and half "
    "of the time without. Lem. 2.1: the error that the lemma guarantees. infl: the smallest "
    "influence that is found with probability 50% and 90%. By chance: pairs without influence that "
    "reach the threshold, at most. Disk: prediction records. Memory: the bits and counts that "
    "estimation holds at least, beside its programs. Hours: of training, side by side on the "
    "machines that were given. Machines: for training in a day."
)


def recommendation(plan: Plan) -> str:
    """How many trials to run, in a sentence."""
    row, influence = plan.configured, plan.question.influence
    needed = plan.needed[row.fraction]
    if needed is None:
        said = f"To find an influence of {influence:g} 9 times in 10 takes more than 100,000 trials"
    else:
        said = f"With {needed:,} trials an influence of {influence:g} is found 9 times in 10"
    if needed is not None and row.trials >= needed:
        return f"{said}: the configured {row.trials:,} are enough."
    if math.isnan(row.detected_90):
        return f"{said}; with the configured {row.trials:,} none is."
    return f"{said}; with the configured {row.trials:,}, one of {row.detected_90:.2f}."


def details(plan: Plan) -> str:
    """What the recommendation rests on, and what the configured trials find."""
    row, question = plan.configured, plan.question
    known = {number: fraction for fraction, number in plan.needed.items() if number}
    needed = _needed(plan.needed[row.fraction], row.fraction)
    if known and known[min(known)] != row.fraction:
        needed += f" ({_needed(min(known), known[min(known)])})"
    seconds = plan.time.seconds(row.fraction) if plan.time else 0
    took = (
        f" A trial takes {seconds:,.0f} s." if seconds >= 10 else f" A trial takes {seconds:.2g} s."
    )
    shared = (
        f" {plan.repeats} models share each subset (training.repeats) and count as one trial, so "
        f"errors are at most these."
    )
    finds = f"find {row.detected_90:.2f}" if row.detected_90 == row.detected_90 else "find none"
    return (
        f"At a false-discovery rate of {question.fdr:g} over {plan.candidates:,} pairs "
        f"({question.pairs}; p ≤ {plan.p_value:.1e}), influence {question.influence:g} is found "
        f"with probability 0.9 from {needed} on. The configured {row.trials:,} of "
        f"{row.fraction:g} n {finds}; at most {_short(row.chance_pairs)} pairs without influence "
        f"reach {question.influence:g} in them."
        + (shared if plan.repeats > 1 else "")
        + (took if plan.time else "")
    )


def _needed(trials: int | None, fraction: float) -> str:
    return f"{trials:,} trials of {fraction:g} n" if trials else "more than 100,000 trials"


def write_plan(plan: Plan, out: Path) -> None:
    """Writes `plan.json`, `plan.png` and `plan.pdf`, each when it is complete.

    Raises:
      InputError: if the folder cannot be written.
    """
    from tfmem.figures import plan_figure, save

    trials = sorted({row.trials for row in plan.rows})
    cells = {(row.trials, row.fraction): row for row in plan.rows}
    fractions = sorted({row.fraction for row in plan.rows})
    own = plan.configured
    detected = {
        fraction: np.array([cells[count, fraction].detected_90 for count in trials])
        for fraction in fractions
    }
    errors = {
        label: np.array([getattr(cells[count, own.fraction], name) for count in trials])
        for name, label in (
            ("lemma_bound", "Lemma 2.1's bound"),
            ("stderr_worst", "standard error, right half of the time"),
            ("stderr_memorization", "memorization, right on all that was trained on"),
            ("stderr_typical", "standard error, right 9 times in 10"),
        )
    }
    configured = own.trials, own.fraction, own.detected_90
    figure = plan_figure(trials, detected, errors, plan.question.influence, configured)
    with tempfile.TemporaryDirectory() as folder:
        save(figure, Path(folder), NAME)
        (Path(folder) / f"{NAME}.json").write_bytes(plan.to_json())
        try:
            out.mkdir(parents=True, exist_ok=True)
            for file in sorted(Path(folder).iterdir()):
                write_atomically(out / file.name, file.read_bytes())
        except OSError as error:
            raise InputError(f"--out {out}: cannot be written: {error.strerror}") from None


def _short(number: float) -> str:
    """Two or three digits: 0, 0.4, 23, 1.1k, 268M."""
    if number < 0.005:
        return "0"
    power = min(4, max(0, int(math.log10(number / 0.9995) // 3)))
    number /= 1000**power
    return (f"{number:.2g}" if number < 9.95 else f"{number:.0f}") + ["", *"kMGT"][power]
