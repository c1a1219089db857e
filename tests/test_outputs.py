"""Outputs of a step that is killed while they replace earlier ones are all old or all new."""

import os

from tfmem.components.component import Component
from tfmem.messages.errors import InputError
from tfmem.pipelines.runner import Step, run_chain
from tfmem.store.artifacts import Memorization, Page, SelectedPairs
from tfmem.store.outputs import current_place

KINDS = {"memorization": Memorization, "pairs": SelectedPairs, "page": Page}


def write(inputs, outputs, parameters):
    (outputs["page"]).write_text(parameters["word"])
    for name in ("memorization", "pairs"):
        (outputs[name] / "below").mkdir()
        (outputs[name] / "below" / "x").write_text(parameters["word"])


STEP = Component("write", {}, KINDS, {"word": str}, write)


def words(folder):
    """The words in an output; none if it does not exist."""
    found = []
    for kind in KINDS.values():
        place = current_place(folder, kind.place)
        path = place if place.suffix else place / "below" / "x"
        found.append(path.read_text() if path.exists() else "none")
    return found


def test_a_fault_at_any_step_leaves_the_old_outputs_or_the_new_ones(tmp_path, monkeypatch):
    outcomes = []
    for at in range(1, 30):
        for before in ("old", "none"):
            folder = tmp_path / f"{before}-{at}"
            folder.mkdir()
            if before == "old":
                run_chain([Step(STEP, {"word": "old"})], folder, str)
            done, replace = [], os.replace

            def faulty(*paths, done=done, at=at, replace=replace):
                done.append(paths)
                if len(done) >= at:
                    raise OSError("killed")
                replace(*paths)

            with monkeypatch.context() as patch:
                patch.setattr(os, "replace", faulty)
                try:
                    run_chain([Step(STEP, {"word": "new"})], folder, str)
                except InputError:  # also of what is written before a step begins
                    outcomes.append(words(folder))
                    assert outcomes[-1] in ([before] * 3, ["new"] * 3)
            assert words(folder) in ([before] * 3, ["new"] * 3)
            run_chain([Step(STEP, {"word": "newest"})], folder, str)
            assert words(folder) == ["newest"] * 3
            assert {path.name for path in folder.iterdir()} == {".components", *(
                kind.place for kind in KINDS.values())}  # fmt: skip
        if len(done) < at:
            break
    assert ["new"] * 3 in outcomes
    assert ["old"] * 3 in outcomes
    assert at > 4
