"""Programs that are killed at random moments, and what is left when they are started again."""

import random
import signal
import subprocess
import time

import pytest

from tests.helpers.commands import TFMEM, tfmem_command
from tests.helpers.drawing import drawn_finely
from tests.helpers.farms import shards
from tests.helpers.sharing import DIGITS_RUN

SEED = 14  # of the moments
SHARDS = 5  # of the run that is killed


def wait_for(condition, process):
    limit = time.monotonic() + 600  # many programs may share the machine
    while not condition() and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.005)


def start(out, *options):
    command = [TFMEM, *options, "--out", str(out)]
    with out.with_suffix(".log").open("ab") as log:  # shown with a test that fails
        return subprocess.Popen(command, stdout=log, stderr=log)


def ended(process, out):
    """Waits for the end of a program, and checks its exit code."""
    said = out.with_suffix(".log")
    assert process.wait() == 0, said.read_text(errors="replace")[-3000:]


def kill(process):
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_one_of_several_workers_is_killed_again_and_again(tmp_path):
    """After kills at random moments and restarts, the result is that of one undisturbed worker.

    The others begin when half of the kills are done, so that they leave work for the rest.
    """
    workers, kills = 3, 10
    settings = (f"trials={72 * kills}", "stack_size=6", "epochs=30", "checkpoint_minutes=0")
    options = ["train", "configs/digits.yaml", *(f"--set=training.{s}" for s in settings)]
    rng = random.Random(SEED)
    out, last = tmp_path / "shared", f"{workers - 1}/{workers}"
    others = []
    for killed in range(kills):
        if killed == kills // 2:
            others += [
                start(out, *options, "--worker", f"{n}/{workers}") for n in range(workers - 1)
            ]
        had = len(shards(out))
        process = start(out, *options, "--worker", last)
        if killed % 2:
            time.sleep(rng.uniform(0, 6))
        else:
            wait_for(
                lambda had=had: len(shards(out)) > had and is_working(out, last.encode()), process
            )
            time.sleep(rng.uniform(0, 0.4))
        assert kill(process), "the worker ended before it was killed"
    tfmem_command(*options, "--worker", last, "--out", out)
    for process in others:
        ended(process, out)
    whole = tmp_path / "whole"
    for place in (out, whole):
        tfmem_command(*options, "--out", place)
    assert shards(out) == shards(whole)
    assert len(shards(out)) == 12 * kills
    hidden = {path.name for path in out.rglob(".*")}
    assert hidden <= {".components", ".lock"}  # an empty file that programs lock stays


def is_working(out, worker):
    """Whether a worker holds a claim; others may disappear meanwhile."""
    for path in (out / "predictions" / "claims").glob("0*"):
        try:
            if path.read_bytes().startswith(worker):
                return True
        except FileNotFoundError:
            continue
    return False


@pytest.mark.slow
def test_programs_of_several_epochs_are_killed(tmp_path):
    """Programs on JAX run ten of the thirty epochs of a stack, and then save its state."""
    settings = ("backend=jax", "trials=48", "stack_size=6", "epochs=30", "checkpoint_minutes=0")
    options = ["train", "configs/digits.yaml", *(f"--set=training.{s}" for s in settings)]
    rng, out, whole = random.Random(SEED), tmp_path / "killed", tmp_path / "whole"
    saved = 0
    for _ in range(5):
        had = states(out)
        process = start(out, *options)
        wait_for(lambda had=had: states(out) - had, process)
        time.sleep(rng.uniform(0, 0.3))
        assert kill(process), "the run ended before it was killed"
        saved += any(name.suffix == ".npz" for name, _ in states(out))
    assert saved, "no stack was killed after its state had been saved"
    assert len(shards(out)) < 8
    for place in (out, whole):
        ended(start(place, *options), place)
    assert shards(out) == shards(whole)
    assert len(shards(out)) == 8


def states(out):
    """The shards, and the checkpoints with the times at which they were written."""
    found = set()
    for path in (out / "predictions").rglob("*-*"):
        try:
            if path.suffix in {".npz", ".tfrecord"}:
                found.add((path, path.stat().st_mtime_ns))
        except FileNotFoundError:  # renamed or removed meanwhile
            continue
    return found


TIMED = {".json", ".csv"}  # notes of the runner and of trials hold times
DRAWN = {".png", ".pdf", ".html"}


def contents(folder, without=TIMED):
    """The bytes of all files of a run but those with some suffixes."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.suffix not in without}


def killed_in_training(out, options, rng):
    """Starts a program, and kills it at a random moment after its next shard."""
    had = min(len(shards(out)), SHARDS - 1)  # the last kill before may have come late
    process = start(out, *options)
    wait_for(lambda: len(shards(out)) > had, process)
    time.sleep(rng.uniform(0, 0.5))
    assert kill(process), "the run ended before it was killed"


def test_a_run_that_is_killed_in_training_goes_on_to_the_same_estimates(tmp_path, digits_run):
    """Its figures and its page are compared by the slow test below, which draws them finely."""
    options, out = ["run", "configs/digits.yaml", *DIGITS_RUN], tmp_path / "disturbed"
    killed_in_training(out, options, random.Random(SEED))
    tfmem_command(*options, "--out", out)
    assert contents(out, TIMED | DRAWN) == contents(digits_run, TIMED | DRAWN)
    assert contents(out).keys() == contents(digits_run).keys()
    assert len(shards(out)) == SHARDS


@pytest.mark.slow
def test_a_whole_run_killed_at_random_moments_ends_with_the_same_bytes(tmp_path, digits_run):
    """The run is killed while it starts or trains, and later; a last start completes it."""
    options = ["run", "configs/digits.yaml", *DIGITS_RUN]
    rng = random.Random(SEED)
    disturbed = tmp_path / "disturbed"
    for _ in range(3):
        killed_in_training(disturbed, options, rng)
    for _ in range(2):
        process = start(disturbed, *options)
        wait_for(lambda: (disturbed / ".components" / "train.json").exists(), process)
        time.sleep(rng.uniform(0, 3))
        kill(process)  # after the first time it may have ended
    with drawn_finely():
        tfmem_command(*options, "--out", disturbed)
    assert contents(disturbed) == contents(digits_run)
    assert len(shards(disturbed)) == SHARDS
