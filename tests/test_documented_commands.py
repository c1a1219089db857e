"""Commands that README and docs show can be typed: their names, options and values exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from tfmem.pipelines.cli import app

ROOT = Path(__file__).parents[1]
GENERATED = {"commands.md", "settings.md"}
PAGES = [
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")))
    if page.name not in GENERATED
]


@pytest.fixture(scope="module")
def commands():
    return typer.main.get_command(app).commands


def blocks(page):
    """The commands in a page's blocks, without comments; those with `…` or NAME are patterns."""
    text = page.read_text().replace("\\\n", " ")
    lines = re.findall(r"^ {4}(tfmem [a-z].*)$", text, re.M)
    return [re.sub(r"\s+#.*$", "", line) for line in lines if not re.search("…|NAME", line)]


def own(words):
    """The words before those that are passed on to Beam."""
    return words[: words.index("--")] if "--" in words else words


def test_pages_show_commands():
    assert sum(len(blocks(page)) for page in PAGES) > 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_blocks_can_be_typed(page, commands):
    for line in blocks(page):
        _, name, *words = shlex.split(line)
        assert name in commands, line
        commands[name].make_context(name, own(words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_in_sentences_exist(page, commands):
    for line in re.findall(r"`(tfmem [a-z][^`]*)`", " ".join(page.read_text().split())):
        name, *words = line.removeprefix("tfmem ").split()
        assert name in commands, line
        known = {
            option
            for each in commands[name].params
            for option in (*each.opts, *each.secondary_opts)
        }
        assert {word for word in own(words) if word.startswith("--")} <= known, line


def test_records_are_read_as_the_how_to_says(digits_run):
    """The snippet needs nothing of tfmem, and finds subsets of the size that was asked for."""
    page = (ROOT / "docs" / "how-to.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "tfmem" not in code
    found = {}
    exec(code.replace("runs/digits", str(digits_run)), found)
    assert found["in_subset"].sum() == round(0.7 * len(found["in_subset"]))
    assert found["correct"].sum() > 0.5 * len(found["in_subset"])
