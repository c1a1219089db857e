"""Plans are compared with sizes really written and held, and with times of a made-up clock."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from tfmem.config import from_yaml
from tfmem.estimation.kernels import co_occurrence, transpose_bits
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli import app
from tfmem.pipelines.plan import plan_table
from tfmem.planning import Question, Sizes, TrialTime, make_plan
from tfmem.planning.costs import counting_bytes, record_bytes
from tfmem.store.bits import pack
from tfmem.store.predictions import TrialRecord
from tfmem.store.shards import write_shard
from tfmem.training import timing

SMALL = ("configs/digits.yaml", "--trials", "200,400", "--fractions", "0.5,0.8")


def command(*arguments):
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def refusal(*arguments):
    error = command(*arguments).exception
    assert isinstance(error, InputError)
    assert "\n" not in str(error)
    return str(error)


def test_sizes_count_pairs():
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 4, 50), rng.integers(0, 3, 20)  # class 3 has no test example
    sizes = Sizes.of_labels(train, test)
    same = train[:, None] == test
    assert (sizes.num_train, sizes.num_test) == (50, 20)
    assert sizes.candidates("same-class") == same.sum()
    assert sizes.candidates("all") == 1000
    assert sizes.largest_class == max(same[train == label].sum() for label in range(4))
    labels = np.repeat(np.arange(100), 500), np.repeat(np.arange(100), 100)
    assert Sizes.of_labels(*labels) == Sizes.of_equal_classes(50_000, 10_000, 100)
    imagenet = Sizes.of_equal_classes(1_281_167, 50_000, 1000)
    assert imagenet.candidates("same-class") == 50 * 1_281_167


@pytest.mark.parametrize("probabilities", [True, False])
def test_disk_is_that_of_records_that_are_written(tmp_path, probabilities):
    rng = np.random.default_rng(0)
    n, tests = 5003, 1001
    records = [
        TrialRecord(
            trial, 2**40, n, tests, *(pack(rng.random(c) < 0.5) for c in (n, n, tests)),
            bytes(32), bytes(32), bytes(2 * n * probabilities), bytes(2 * tests * probabilities),
        )
        for trial in range(20)
    ]  # fmt: skip
    write_shard(tmp_path / "shard", records)
    planned = 20 * record_bytes(Sizes(n, tests, 1, 1), probabilities)
    assert planned - 20 * 60 <= (tmp_path / "shard").stat().st_size <= planned


def test_memory_is_that_of_the_arrays():
    sizes = Sizes.of_equal_classes(300, 60, 3)
    rng = np.random.default_rng(0)
    masks, train, test = (
        transpose_bits(rng.integers(0, 256, (130, -(-count // 8)), np.uint8), count)
        for count in (300, 300, 60)
    )
    bits = masks.nbytes + train.nbytes + test.nbytes
    block = co_occurrence(masks[:100], test[:20])
    assert counting_bytes(sizes, 130, "same-class") == bits + block.nbytes
    assert counting_bytes(sizes, 130, "all") == bits + co_occurrence(masks, test).nbytes


def test_hours_follow_trials_fraction_and_machines():
    plan = make_plan(Sizes.of_equal_classes(500, 100, 10), Question(), (200, 0.5), [400], [0.8])
    assert np.isnan([row.hours for row in plan.rows]).all()
    rows = {
        (row.trials, row.fraction): row
        for row in plan.timed(TrialTime(3600, 720, 0.5), machines=2).rows
    }
    assert rows[200, 0.5].hours == pytest.approx(200 * 1.2 / 2)
    assert rows[400, 0.8].hours == pytest.approx(400 * 1.8 / 2)
    assert rows[200, 0.5].machines_for_a_day == 10
    with pytest.raises(InputError, match="machines"):
        plan.timed(TrialTime(1, 1, 0.5), machines=0)


class Clockwork:
    """A trainer whose step takes 2 s, a prediction 0.1 s, a new shape 50 s, and 4 at a time."""

    stack_size = 4

    def __init__(self, config, dataset):
        self.now, self.traced = 1000.0, False
        self.training, self.examples = config.training, dataset
        self.trained = 0

    def train(self, trials, subsets, watch):
        watcher = watch(trials)
        first, losses = watcher.resume([])
        assert losses is None
        self.now += 0.5
        for epoch in range(first, self.training.epochs):
            self.now += 0 if self.traced else 50
            self.now += 2 * len(subsets[0]) / self.training.batch_size
            watcher.after_epoch(epoch, np.zeros(4), [])
            self.traced = True
        self.now += 0.1 * (len(self.examples.train_labels) + len(self.examples.test_labels))
        self.trained += len(trials)


@pytest.mark.parametrize(("epochs", "batch"), [(30, 2), (3, 7), (1, 2)])
def test_whole_trials_are_told_from_parts(monkeypatch, digits, epochs, batch):
    config = from_yaml("", [f"training.epochs={epochs}", f"training.batch_size={batch}"])
    made = []
    monkeypatch.setattr(timing, "_TRAIN", 60)
    monkeypatch.setattr(timing, "_TEST", 20)
    monkeypatch.setattr(timing, "import_backend", lambda: None)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: made[0].now)

    def make_trainers(config, dataset):
        made.append(Clockwork(config, dataset))
        return made

    trainers = type(sys)("tfmem.training.trainers")
    trainers.make_trainers = make_trainers
    monkeypatch.setitem(sys.modules, "tfmem.training.trainers", trainers)
    found = timing.time_trials(config, digits, 5)
    assert made[0].trained == 4 + 8  # a stack to trace, then two
    assert len(made[0].examples.test_labels) == 20
    begin = 0.5 if epochs == 1 else 0  # cannot be told from an epoch where there is one
    assert 4 * found.training == pytest.approx(2 * epochs * 210 / batch, rel=0.02 + begin / 60)
    assert 4 * found.rest == pytest.approx(36.5, rel=0.05)
    assert found.seconds(0.35) == pytest.approx(found.training / 2 + found.rest)


def test_trials_are_timed_by_the_trainers_of_a_run(digits):
    config = from_yaml("", ["training.trials=6", "training.stack_size=2", "training.lanes=2",
                            "training.epochs=2"])  # fmt: skip
    found = timing.time_trials(config, digits, 1)
    assert 0 < found.training < 60
    assert 0 < found.rest < 60


def test_a_plan_without_data_says_what_is_needed(tmp_path):
    done = command("configs/imagenet_resnet50.yaml", "--sizes", "1281167,50000,1000",
                   "--pairs", "all", "--trials", "500,1000", "--fractions", "0.5", "--out",
                   tmp_path / "new" / "plan", "--trial-hours", "1")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1].startswith(f"Results: {tmp_path}")
    assert "64,058,350,000 pairs" in done.output
    assert ">2000 0.7" in done.output
    assert "A trial takes 3,600 s." in done.output
    names = sorted(path.name for path in (tmp_path / "new" / "plan").iterdir())
    assert names == ["plan.json", "plan.pdf", "plan.png"]
    plan = json.loads((tmp_path / "new" / "plan" / "plan.json").read_text())
    assert plan["candidates"] == 64_058_350_000
    assert plan["p_value"] == pytest.approx(0.05 / 64_058_350_000)
    assert [(r["trials"], r["fraction"]) for r in plan["rows"]] == [
        (t, f) for t in (500, 1000, 2000) for f in (0.5, 0.7)
    ]
    (own,) = (row for row in plan["rows"] if row["configured"])
    assert own["hours"] == pytest.approx(2000)
    assert own["machines_for_a_day"] == 84
    assert set(plan["needed"]) == {"0.5", "0.7"}


def test_models_of_one_subset_count_as_one_trial(tmp_path):
    """Errors are those of as many trials as there are subsets; disk and needs are of models."""
    found = []
    for repeats, trials in ((1, "200,400"), (4, "800,1600")):
        sets = f"training.repeats={repeats}", "--set", f"training.trials={400 * repeats}"
        ended = command(
            "digits", "--out", tmp_path, "--sizes", "100,50,2", "--fractions", "0.5",
            "--trials", trials, "--set", *sets,
        )  # fmt: skip
        assert ended.exit_code == 0, ended.output
        assert ("4 models share each subset" in ended.output) == (repeats == 4)
        found.append(json.loads((tmp_path / "plan.json").read_text()))
    one, four = found
    for row, other in zip(one["rows"], four["rows"], strict=True):
        times = dict.fromkeys(("trials", "disk_bytes"), 4)
        assert {name: value * times.get(name, 1) for name, value in row.items() if value} == {
            name: value for name, value in other.items() if value
        }
    assert four["needed"] == {name: 4 * value for name, value in one["needed"].items()}


def test_the_table_fits_in_80_columns_and_says_where_nothing_is_found():
    sizes = Sizes.of_equal_classes(1_281_167, 50_000, 1000)
    plan = make_plan(sizes, Question(), (20, 0.7), [8000], [0.9]).timed(TrialTime(1e6, 0, 0.7))
    from rich.console import Console

    console = Console(width=80)
    with console.capture() as captured:
        console.print(plan_table(plan))
    lines = captured.get().splitlines()
    assert len(lines) == 2 + 4
    assert "…" not in captured.get()
    assert lines[2].split()[6:8] == ["-", "-"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sizes", "10,x,2"], ["--sizes", "'10,x,2'"]),
        (["--sizes", "10,5"], ["--sizes", "TRAIN,TEST,CLASSES", "2 numbers"]),
        (["--sizes", "10,5,6"], ["examples", "10, 5, 6"]),
        (["--sizes", "100,50,2", "--time-trials", "3"], ["--time-trials", "--sizes"]),
        (["--sizes", "100,50,2", "--trial-hours", "nan"], ["--trial-hours", "nan"]),
        (["--sizes", "100,50,2", "--trial-hours", "1", "--machines", "0"], ["machines", "0"]),
        (["--sizes", "100,50,2", "--fdr", "1"], ["fdr", "1.0"]),
        (["--sizes", "100,50,2", "--influence", "0"], ["influence", "0.0"]),
        (["--sizes", "100,50,2", "--trials", "1"], ["trials", "1"]),
        (["--sizes", "100,50,2", "--fractions", "0.5,0.999"], ["fraction", "0.999"]),
        (["--sizes", "100,50,2", "--expected-pairs", "2501"], ["discoveries", "2,500", "2501"]),
        (["--set", "dataset.name=npz"], ["dataset.data_dir", "--sizes"]),
    ],
)
def test_bad_input_is_one_line(options, words):
    message = refusal(*SMALL, *options)
    for word in words:
        assert word in message


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    message = refusal(*SMALL, "--sizes", "100,50,2", "--out", tmp_path / "file" / "plan")
    assert "--out" in message


def test_a_plan_needs_no_tensorflow():
    code = "import sys, tfmem.planning, pipelines.plan; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
