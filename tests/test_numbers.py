"""Numbers of README and pages are those of docs/measured, whose files say where they are from."""

import argparse
import json
import re
import subprocess
from inspect import signature
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.experiments import FULL, command
from benchmarks.found import TABLES
from benchmarks.measured import (
    Column,
    Record,
    choosing,
    commit,
    dumped,
    percent,
    quantity,
    seconds,
)
from benchmarks.pages import check, files, markdown, pages, read, shown, unheld, with_tables
from tests.helpers.readers_of_input import TREE
from tfmem.config import DatasetSettings, SelectionSettings, from_yaml
from tfmem.config.steps import AttributionSettings, TrainingSettings
from tfmem.datasets import load
from tfmem.experiments import declared, sections
from tfmem.influence_functions.cg import ConjugateGradients
from tfmem.influence_functions.fast import FastSolver
from tfmem.influence_functions.lissa import Lissa

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = files()
PAGES = [pytest.param(page, id=page.name) for page in pages()]


@pytest.mark.parametrize("page", PAGES)
def test_each_number_is_in_a_file_that_its_section_names(page):
    assert check([page], FILES) == []


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_those_of_the_files(page):
    text = page.read_text()
    assert with_tables(text, FILES) == text
    assert not re.search(r"^\|.*\n[^|\n]", text, re.M), (
        "a line that would be a row of the table above"
    )


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_where_its_numbers_come_from(name):
    made = FILES[name]
    if "source" in made:
        assert made["source"]
        return
    assert made["commands"]
    assert all(re.match(r"(python -m|tfmem|pytest|make) ", each) for each in made["commands"])
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?", made["commit"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", made["date"])
    assert "cores" in made["machine"]
    assert "seeds" in made
    assert not any(re.search(r"(^|[\s='\"])[/~]", each) for each in made["commands"]), "a path"


TEXT = "# Found\n\n[n](measured/one.json) says 12.5 ± 0.3% of 1,437 in 3 s; `77` is code (2024).\n"
ONE = {"one": {"values": {"share": {"value": 0.12514, "error": 0.00288}, "s": 3.2, "n": 1437}}}


def test_a_number_is_held_if_it_is_a_rounded_one_of_the_file():
    assert list(unheld(TEXT, {**ONE, "given": {}})) == []


@pytest.mark.parametrize(
    ("right", "wrong"), [("12.5", "12.6"), ("0.3%", "0.4%"), ("1,437", "1,438"), ("3 s", "4 s")]
)
def test_a_number_that_no_file_holds_is_found(right, wrong):
    found = list(unheld(TEXT.replace(right, wrong), {**ONE, "given": {}}))
    assert [line for line, _ in found] == [3]


def test_a_section_is_held_to_its_own_files_and_those_above_it():
    below = "# Top\n\n[n](measured/one.json)\n\n## Part\n\n1,437\n\n# Other\n\n1,437\n"
    assert list(unheld(below, {**ONE, "given": {}})) == [(11, "1,437")]


@pytest.mark.parametrize("words", [[], ["b"], ["b", "a"]])
def test_a_command_measures_the_parts_that_are_named_or_all(words):
    parser = argparse.ArgumentParser()
    choosing(parser, "parts", ["a", "b"])
    assert parser.parse_args(words).parts == words


def test_a_table_is_written_from_its_file():
    record = Record("one")
    columns = Column("which"), Column("accuracy (SD)", "%", 2), Column("interval", "", 3)
    interval = quantity(-0.9731, low=0.9577, high=0.985)
    record.table("all", columns, [["a", quantity(97.3, error=0.344), interval], ["b", None, 1234]])
    record.values["unknown"] = [np.nan, quantity(np.inf)]
    text = dumped({"tables": record.tables, "values": record.values})
    assert json.loads(text, parse_constant=pytest.fail)["values"]["unknown"] == [
        None, {"value": None}
    ]  # fmt: skip
    table = json.loads(text)["tables"]["all"]
    expected = (
        "| which | accuracy (SD) | interval |\n|---|---|---|\n"
        "| a | 97.30 ± 0.34% | \N{MINUS SIGN}0.973 (0.958 to 0.985) |\n| b | | 1,234.000 |\n"
    )
    assert markdown(table) == expected
    for old in ("\n", "| old |\n|---|\n| 1 |\n\n"):
        page = f"<!-- measured: one all -->\n{old}Text.\n"
        found = with_tables(page, {"one": {"tables": {"all": table}}}).replace("-->\n\n", "-->\n")
        assert found == f"<!-- measured: one all -->\n{expected}\nText.\n"


def test_a_folder_gives_the_rows_of_its_files():
    first, second, other = Record("set/a"), Record("set/b"), Record("set/c")
    for record, number in ((first, 1), (second, 2)):
        record.row("all", [Column("number")], [number])
    other.row("some", [Column("number")], [12])
    known = {each.name: {"tables": each.tables} for each in (first, second, other)} | {"given": {}}
    page = "# Top\n\n<!-- measured: set all -->\n"
    written = with_tables(page, known)
    assert written == page + "| number |\n|---|\n| 1 |\n| 2 |\n"
    assert list(unheld(written + "\n12 s, 13 s\n", known)) == [(9, "13")]
    assert list(unheld("# Top\n\n<!-- measured: sets all -->\n", known)) == [(1, "sets.json")]


def test_a_line_says_what_the_file_keeps(capsys):
    record = Record("one")
    record.say("digits", a_trial=[seconds(0.02812), seconds(1.51)], right=percent(0.98, 0.001))
    record.say("pairs", of_all=quantity(1015, of=500_000_000), trials=12_345, by="counts")
    assert capsys.readouterr().out == (
        "digits: a trial 0.02812 s and 1.51 s, right 98 ± 0.1%\n"
        "pairs: of all 1,015 of 500,000,000, trials 12,345, by counts\n"
    )
    assert record.values["digits: a trial"] == [quantity(0.02812, unit="s"), seconds(1.51)]
    assert record.values["pairs: trials"] == 12_345


def test_numbers_are_read_as_they_are_shown():
    assert read("1,437") == (1437, 1)
    assert read("10⁻⁶") == pytest.approx((1e-6, 1e-6))
    assert read("6·10⁻⁸") == pytest.approx((6e-8, 1e-8))
    assert (
        shown(quantity(-0.004, low=-0.019, high=0), digits=2) == "0.00 (\N{MINUS SIGN}0.02 to 0.00)"
    )
    assert shown(quantity(4, of=48, low=3, high=20, unit="%")) == "4 of 48 (3 to 20%)"


def test_given_numbers_are_those_of_the_code():
    values = FILES["given"]["values"]
    digits = load(DatasetSettings(name="digits"))
    assert values["digits, training examples"] == len(digits.train_labels)
    assert values["digits, test examples"] == len(digits.test_labels)
    assert values["threshold of memorization"] == SelectionSettings().least_memorization
    assert values["threshold of influence"] == SelectionSettings().least_influence
    assert values["subset fraction"] == TrainingSettings.model_fields["fraction"].default
    fast, cg, lissa = (
        {name: each.default for name, each in signature(solver).parameters.items()}
        for solver in (FastSolver, ConjugateGradients, Lissa)
    )
    assert values["self-influence: numbers in the sketch"] == fast["size"]
    assert values["self-influence: residual of cg"] == cg["tolerance"]
    dampings = [
        fast["damping"],
        lissa["damping"],
        lissa["damping"] / lissa["scale"],
        lissa["scale"],
    ]
    assert (
        values["self-influence: damping, that of lissa, and the paper's with its scale"] == dampings
    )
    attributed = AttributionSettings()
    shares = [attributed.share, attributed.steps]
    assert values["attribution: share of the most memorized examples, and steps"] == shares


def test_a_record_says_whether_code_has_changed_since_its_commit(tmp_path):
    """What another command has recorded before, and pages with its numbers, are no such change."""

    def git(*words):
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", *who, *words], check=True, cwd=tmp_path, capture_output=True)

    for name in ("docs/measured/one.json", "README.md", "tfmem/code.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    git("init")
    git("add", ".")
    git("commit", "--message=first")
    for name in ("docs/measured/one.json", "docs/measured/new.json", "README.md"):
        (tmp_path / name).write_text("after")
    clean = commit(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{7,}", clean)
    (tmp_path / "tfmem/code.py").write_text("after")
    assert commit(tmp_path) == f"{clean}-dirty"


@pytest.mark.parametrize("name", FULL)
def test_a_command_at_full_size_can_be_conducted(name, tmp_path):
    words = command(name, full=True)
    experiment = name.partition("/")[0]
    changes = [after for word, after in pairwise(words) if word == "--set"]
    if words[3].startswith("sst2"):
        for split in ("train", "test"):
            (tmp_path / f"{split}.txt").write_text(TREE * 10)
        changes.append(f"dataset.data_dir={tmp_path}")
    settings = from_yaml((CONFIGS / f"{words[3]}.yaml").read_text(), changes, "", sections)
    declared()[experiment].check(settings, lambda: load(settings.dataset))
    assert words[:3] == ["tfmem", "experiment", experiment]


def test_the_table_of_removal_has_the_difference_of_accuracies_and_its_error():
    rows = [(None, "none", 0, 0.99, 0.001), (0.5, "memorized", 7, 0.95, 0.003),
            (0.5, "random", 7, 0.97, 0.004)]  # fmt: skip
    names = ["threshold", "removal", "removed", "accuracy", "accuracy_stderr"]
    record = Record("some")
    TABLES["removal"](record, pd.DataFrame(rows, columns=names))
    (row,) = record.tables["digits"]["rows"]
    assert row[:2] == [0.5, 7]
    assert row[2:4] == pytest.approx([95, 97])
    assert row[4] == pytest.approx({"value": 2, "error": 0.5})
