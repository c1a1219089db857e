"""Two chains in one folder: one works, the other waits and says for whom."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tfmem.components.component import Component
from tfmem.messages.errors import InputError
from tfmem.pipelines import turns
from tfmem.pipelines.runner import Step, run_chain
from tfmem.store import claims
from tfmem.store.artifacts import Page


def test_the_second_waits_and_finds_all_done(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "_LOOK_SECONDS", 0.01)
    at_work, go_on, told = threading.Event(), threading.Event(), []

    def write(inputs, outputs, parameters):
        at_work.set()
        assert go_on.wait(20)
        outputs["page"].write_text("x")

    def say(line):
        told.append(line)
        go_on.set()

    step = Step(Component("write", {}, {"page": Page}, {}, write), {})
    with ThreadPoolExecutor(2) as programs:
        first = programs.submit(run_chain, [step], tmp_path, str)
        assert at_work.wait(20)
        programs.submit(run_chain, [step], tmp_path, say).result()
        first.result()
    waiting, skipped = told
    assert waiting.startswith(f"{tmp_path}: waiting for process {os.getpid()} on ")
    assert skipped == "[1/1] write: unchanged, skipped"
    assert os.listdir(tmp_path / ".components" / "claims") == [".lock"]


def test_a_chain_that_slept_publishes_nothing_in_a_folder_that_another_took(tmp_path, monkeypatch):
    def sleep(inputs, outputs, parameters):
        outputs["page"].write_text("old")
        with monkeypatch.context() as patch:
            patch.setattr(claims, "_VOID_SECONDS", 0.0)  # as if two minutes had passed
            with turns.turn(tmp_path, str) as is_ours:
                assert is_ours()

    step = Step(Component("sleep", {}, {"page": Page}, {}, sleep), {})
    with pytest.raises(InputError, match="another program took over while this one slept"):
        run_chain([step], tmp_path, str)
    assert [path.name for path in tmp_path.iterdir()] == [".components"]


def test_a_folder_that_cannot_be_written_to_is_one_error():
    step = Step(Component("none", {}, {}, {}, lambda inputs, outputs, parameters: None), {})
    with pytest.raises(InputError, match=r"/proc/1/\.components/claims: the folder cannot be made"):
        run_chain([step], Path("/proc/1"), str)
