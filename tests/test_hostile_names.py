"""Every command shows the names of classes, groups and files as plain text."""

import csv
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context

from tests.helpers.commands import tfmem_command
from tfmem import figures
from tfmem.experiments.outcome import Outcome, load_outcome
from tfmem.figures.style import literal, new_figure
from tfmem.messages.terminal import PlainTable, present, printable, say
from tfmem.pages.html import template
from tfmem.pipelines.cli.commands import PANELS
from tfmem.store.groups import groups_to_csv, read_groups
from tfmem.store.spreadsheets import harmless, restored

NAMES = [
    "[/b]", "[unk]", r"$\x$", "=HYPERLINK(1)", "<script>alert(1)</script>", "_x", "\x1b[2J",
    ":smile:",
]  # fmt: skip
SETTINGS = (
    "seed=0", "model={name: dense, hidden: [4]}", "training.trials=8", "training.epochs=1",
    "training.lanes=1",
    "training.stack_size=8", "training.batch_size=32", "selection.memorization=-1",
    "selection.influence=-1", "experiments.audit.folds=0", "self_influence.sketch=128",
    "attribution.share=0.05", "attribution.steps=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two configurations of a data set whose classes, groups and files have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    draws = np.random.default_rng(0)
    labels = {"train": np.arange(48) % 8, "test": np.arange(16) % 8}
    arrays = {f"{split}_labels": values for split, values in labels.items()}
    for split, values in labels.items():
        noise = draws.integers(0, 60, (len(values), 8, 8, 1))
        noise[np.arange(len(values)), values] += 150
        arrays[f"{split}_images"] = noise.astype(np.uint8)
    np.savez(folder / "data.npz", class_names=np.array(NAMES), **arrays)
    for name in ("javascript:alert(1)", "[red]"):
        (folder / f"{name}.yaml").write_text(
            f"dataset: {{name: npz, data_dir: '{folder / 'data.npz'}'}}"
        )
    groups = {name: np.arange(6) * 8 + number for number, name in enumerate(NAMES[:6])}
    (folder / "groups.csv").write_bytes(groups_to_csv(groups))
    return folder


@pytest.fixture
def tfmem(monkeypatch):
    """Calls a command; checks that its output has no control character and no markup left."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words, code=0):
        ended = tfmem_command(*words, code=code)
        assert "\x1b" not in ended.stdout + ended.stderr
        return ended.stdout

    return call


SLOW = {"compare", "audit", "features", "self-influence", "attribute", "experiment"}


def options():
    return [word for each in SETTINGS for word in ("--set", each)]


@pytest.mark.slow
def test_commands_show_names_as_they_are(folder, tfmem):
    ran = set()

    def call(*words, code=0):
        ran.add(words[0])
        return tfmem(*words, code=code)

    run = folder / "[red]"
    whole = (folder / "[red].yaml", "--out", run, *options())
    said = call("run", *whole)
    assert all(f"{name} (6)" in said for name in NAMES if name.isprintable())
    call("train", *whole)
    call("show", run)
    call("figures", run, "--classes", "[/b],=HYPERLINK(1)")
    call("pairs", run)
    call("report", run, "--out", folder / "page")
    for page in (run / "report.html", folder / "page" / "index.html"):
        assert "<script>alert(1)" not in page.read_text()
    said = call("groups", run, "--groups", folder / "groups.csv")
    assert all(re.search(rf"^ *{re.escape(printable(name))} ", said, re.M) for name in NAMES[:6])
    call("consistency", run, "--out", folder / "consistency")
    labels = run / "predictions" / "labels.npz"
    shards = str(run / "predictions" / "*.tfrecord").replace("[", "[[]")
    call("estimate", shards, "--labels", labels, "--out", folder / "estimates")
    call("matrix", shards, "--labels", labels, "--file", folder / "influence.npy")
    call("export", run, "--format", "csv", "--out", folder / "tables")
    for words in (("datamodels", run), ("lds", "influence", "--run", run), ("privacy", run)):
        call(*words, code=None)  # so few trials are refused
    call("attribute-test", run, "--test", 0, "--top", 2)
    call("publish", run, "--out", folder / "published")
    call("duplicates", whole[0], "--file", folder / "like.csv")
    call("configs", "copy", "digits", "--to", folder / "[i].yaml")
    call("plan", whole[0], *options(), "--influence", "0.5", "--trials", 8)
    # `study` needs texts, and `import` has neither classes nor groups.
    named = {name for names in PANELS.values() for name in names}
    assert ran == named - SLOW - {"study", "import"}


@pytest.mark.slow
def test_commands_that_train_more_show_names_as_they_are(folder, tfmem):
    one, other = (folder / f"{name}.yaml" for name in ("javascript:alert(1)", "[red]"))
    out = folder / "out"
    tfmem("compare", one, other, "--out", out, "--no-last-layer", *options())
    page = (out / "comparison.html").read_text()
    assert re.findall(r'<a href="([^"#]*)"', page) == [
        "./javascript%3Aalert%281%29/report.html", "./%5Bred%5D/report.html",
    ]  # fmt: skip
    run = out / one.stem
    whole = (one, "--out", run, *options())
    tfmem("audit", *whole)
    cells = {cell for row in csv.reader((run / "audit.csv").open()) for cell in row}
    assert "'=HYPERLINK(1)" in cells
    assert not any(cell.startswith(("=", "@", "+")) for cell in cells)
    assert "<script>alert(1)" not in (run / "audit.html").read_text()
    tfmem("self-influence", *whole)
    tfmem("attribute", *whole)
    assert "memorized of class [unk]" in tfmem("experiment", "instances", *whole)
    tfmem("features", one, "--file", folder / "features.npz", *options())


def test_what_is_said_is_neither_markup_nor_control(capsys):
    table = PlainTable("[b]", "n", left=1)
    for name in NAMES:
        table.add(name, 1)
    present(table)
    lines = [line.rstrip(" 1").strip() for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [printable(name) for name in NAMES]
    say("a\x1b]8;;x\x07 \u202eb\nc")
    assert capsys.readouterr().out == "a\\x1b]8;;x\\x07 \\u202eb\nc\n"


def test_figures_show_names_as_they_are(tmp_path):
    """What is drawn is read from an SVG, which can hold texts as they are."""
    figure = new_figure(9, 9)
    axes = figure.subplots()
    names = [*NAMES, "a$b", r"\$", "$", "x" * 100_000, "a\nb"]
    for name in names:
        axes.plot([0], [1], label=literal(name))
    legend = axes.legend()
    assert len(legend.get_texts()) == len(names)
    figures.save(figure, tmp_path, "figure")
    axes.set_axis_off()
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(tmp_path / "figure.svg")
    texts = ElementTree.parse(tmp_path / "figure.svg").iter("{http://www.w3.org/2000/svg}text")
    drawn = ["".join(text.itertext()) for text in texts]
    assert [text.lstrip() for text in drawn[:8]] == [printable(name) for name in NAMES]
    assert drawn[8:11] == ["a$b", r"\$", "$"]
    assert len(drawn[11]) == 40


@pytest.mark.parametrize("text", [
    "=1+1", "+a", "-a", "@a", "\ta", "\ra", "'=a", "''=a", "'a", "a", "", "-3", "+4.5e3", "-",
    "\uff1d1",
])  # fmt: skip
def test_a_cell_is_no_formula_and_can_be_read_back(text, tmp_path):
    cell = harmless(text)
    assert restored(cell) == text
    assert not re.match(r"[=+\-@\t\r\uff1d]", cell) or re.fullmatch(r"[+-][\d.e]+", cell)
    if text.strip():
        path = tmp_path / "groups.csv"
        path.write_bytes(groups_to_csv({text.strip(): np.array([0])}))
        assert list(read_groups(path)) == [text.strip()]


def test_a_table_is_read_as_it_was_written(tmp_path):
    columns = {"class": ["NA", "=x", "nan", "-1", "None"], "value": [1.5, np.nan, -2, 0, 3]}
    table = pd.DataFrame({**columns, "=n": [True, False, True, True, True]})
    Outcome((), table, "Is it?").save(tmp_path)
    pd.testing.assert_frame_equal(load_outcome(tmp_path).table, table)
    assert (tmp_path / "table.csv").read_text().splitlines()[2] == "'=x,,False"


def test_addresses_on_pages_stay_beside_the_page():
    environment = template("comparison.html.j2").environment
    page = environment.from_string('<a href="{{ name|beside }}">')
    for name, address in (("javascript:x", "./javascript%3Ax"), ("../x", "./..%2Fx"),
                          ('"><b', "./%22%3E%3Cb"), ("//x", "./%2F%2Fx")):  # fmt: skip
        assert page.render(name=name) == f'<a href="{address}">'
