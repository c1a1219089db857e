import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import tfmem
from tests.helpers.commands import tfmem_command
from tests.helpers.counts import brute_force
from tests.helpers.sharing import DIGITS_RUN
from tfmem.components.comparison import compare
from tfmem.components.paper import PAPER, contents
from tfmem.config import DatasetSettings, from_yaml
from tfmem.datasets import load
from tfmem.experiments.consistency import Rule
from tfmem.pipelines.memorization import presentation
from tfmem.pipelines.runner import ComponentError, Step, run_chain
from tfmem.store.bits import unpack
from tfmem.store.shards import read_shard


def test_a_run_leaves_what_it_promises_and_says_where(digits_run):
    folder = digits_run
    said, errors = ((folder.parent / f"{name}.txt").read_text() for name in ("said", "errors"))
    assert errors == ""
    assert said.splitlines()[-1].startswith(f"Results: {folder / 'report.html'}")
    visible = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    assert visible == ["config.yaml", "figures", "influence", "memorization", "pairs",
                       "predictions", "report.html", "trials.csv"]  # fmt: skip
    names = {path.name for path in (folder / "figures").iterdir()}
    for figure in ("memorization_histogram", "influence_histogram", "memorization_gallery",
                   "pair_gallery"):  # fmt: skip
        assert {f"{figure}.png", f"{figure}.pdf"} <= names
    assert not list(folder.rglob("*unfinished*"))


def test_estimates_of_a_run_equal_two_loops_over_its_trials(digits_run):
    run = tfmem.load_run(digits_run)
    shards = sorted((digits_run / "predictions").glob("predictions-*"))
    records = [record for shard in shards for record in read_shard(shard)]
    masks = np.stack([unpack(r.subset_mask, r.num_train) for r in records])
    train = np.stack([unpack(r.train_correct, r.num_train) for r in records])
    test = np.stack([unpack(r.test_correct, r.num_test) for r in records])
    assert (masks.sum(axis=1) == 1006).all()
    assert len(run.memorization) == 1437
    rng = np.random.default_rng(0)
    for i in [run.memorization["memorization"].argmax(), *rng.integers(0, 1437, 20)]:
        row = run.memorization.loc[i]
        assert row["memorization"] == pytest.approx(brute_force(masks, train, i, i), abs=1e-6)
        assert row["ci_low"] - 1e-6 <= row["memorization"] <= row["ci_high"] + 1e-6
        block = run.influence[int(row["label"])]
        j = rng.integers(len(block.test_index))
        value = block.influence[np.searchsorted(block.train_index, i), j]
        expected = brute_force(masks, test, i, block.test_index[j])
        assert value == pytest.approx(expected, abs=1e-6)
    for pair in run.pairs.head(5).itertuples():
        expected = brute_force(masks, test, pair.train_index, pair.test_index)
        assert pair.influence == pytest.approx(expected, abs=1e-6)
        assert pair.influence >= 0.15 - 1e-6
    np.testing.assert_allclose(run.trials["test_accuracy"], test.mean(axis=1))
    assert run.trials["subset_accuracy"].mean() > run.trials["held_out_accuracy"].mean()


class Page_(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.links, self.sources = set(), set(), set()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids.add(values.get("id"))
        if tag == "a":
            self.links.add(values["href"])
        if "src" in values:
            self.sources.add(values["src"])


def test_the_page_needs_nothing_beside_itself_and_its_links_lead_somewhere(digits_run):
    html = (digits_run / "report.html").read_text()
    page = Page_()
    page.feed(html)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert not re.search(r"https?://|url\((?!data:image/png;base64,)|@import", html)
    run = tfmem.load_run(digits_run)
    top = run.memorization["memorization"].idxmax()
    assert f"#train-{top}" in page.links
    assert "40" in html.split("</h1>")[0]


def test_unchanged_steps_are_skipped_and_changed_settings_run_what_they_touch(digits_run, tmp_path):
    folder = shutil.copytree(digits_run, tmp_path / "digits")
    arguments = ("run", "configs/digits.yaml", "--out", folder, *DIGITS_RUN)
    assert tfmem_command(*arguments).stdout.count("unchanged, skipped") == 5
    pairs = len(tfmem.load_run(folder).pairs)
    done = tfmem_command(*arguments, "--set", "selection.influence=0.5")
    assert re.findall(r"\] (\w+): unchanged", done.stdout) == ["train", "estimate"]
    assert "influence: 0.5" in (folder / "config.yaml").read_text()
    assert len(tfmem.load_run(folder).pairs) < pairs
    done = tfmem_command(*arguments)
    assert len(tfmem.load_run(folder).pairs) == pairs


def test_tables_and_the_report_can_be_had_again(digits_run, tmp_path):
    folder = digits_run
    run = tfmem.load_run(folder)
    done = tfmem_command("show", folder, "--top", 3)
    assert f"{run.memorization['memorization'].idxmax()} " in done.stdout
    assert done.stdout.splitlines()[-1] == f"Results: {folder / 'memorization'}"
    done = tfmem_command("pairs", folder / "pairs", "--top", 3)
    assert "pairs selected among" in done.stdout
    done = tfmem_command("pairs", folder, "--top", 3)
    found = run.pair_statistics
    assert f"{found.pairs} pairs of {found.unique_train} training" in done.stdout
    page = (folder / "report.html").read_bytes()
    copy = shutil.copytree(folder, tmp_path / "digits")
    (copy / "report.html").unlink()
    tfmem_command("report", copy)
    assert (copy / "report.html").read_bytes() == page


def test_the_page_shows_the_experiments_that_were_made(digits_run, tmp_path):
    folder = shutil.copytree(digits_run, tmp_path / "digits")
    (folder / "consistency").mkdir()  # of a command that was killed
    run_chain(presentation(), folder)
    assert 'id="consistency"' not in (folder / "report.html").read_text()
    compare([folder], folder / "consistency", Rule(), other_inputs=False)
    said = []
    run_chain(presentation(), folder, said.append)
    assert "[1/2] figures: unchanged, skipped" in said
    assert 'id="consistency"' in (folder / "report.html").read_text()


def test_the_papers_figures_are_drawn_and_those_that_are_missing_are_named(digits_run, tmp_path):
    folder = shutil.copytree(digits_run, tmp_path / "digits")
    compare([folder], folder / "consistency", Rule(), other_inputs=False)
    run_chain([Step(PAPER, {"classes": ["8", "1"]})], folder)
    listed = {number: file for number, _, file in contents(folder)}
    there = {number for number, file in listed.items() if not file.startswith("missing: ")}
    assert there == {"1", "3", "C.1", "C.2", "D.4", "D.5"}
    assert "tfmem experiment removal" in listed["2"]
    assert "experiment last-layer" in listed["C.3"]
    files = {path.name for path in (folder / "paper_figures").iterdir()}
    stems = [f"figure_{number.replace('.', '')}" for number in there]
    assert files == {f"{stem}{kind}" for stem in stems for kind in (".png", ".pdf")}
    copied = (folder / "paper_figures/figure_C2.pdf").read_bytes()
    assert copied == (folder / "consistency/consistency.pdf").read_bytes()
    with pytest.raises(ComponentError, match="classes: 'cat' is none of the 10 classes: 0, 1"):
        run_chain([Step(PAPER, {"classes": ["cat"]})], folder)


def test_a_run_is_audited(digits_run, tmp_path):
    folder = shutil.copytree(digits_run, tmp_path / "digits")
    command = ("audit", "configs/digits_audit.yaml", "--out", folder, *DIGITS_RUN)
    done = tfmem_command(*command, "--set", "experiments.audit.folds=2")
    assert done.stdout.splitlines()[-1].startswith(f"Results: {folder / 'audit.html'}")
    assert "labels to check" in done.stdout
    assert "networks say" in (folder / "audit.html").read_text()
    table = pd.read_csv(folder / "audit.csv")
    assert {"label", "duplicate"} <= set(table["reason"])
    again = tfmem_command(*command, "--set", "experiments.audit.folds=2")
    assert "audit: unchanged, skipped" in again.stdout


def test_estimate_alone_writes_the_same_records(digits_run, tmp_path):
    folder = digits_run
    predictions = folder / "predictions"
    done = tfmem_command(
        "estimate", predictions / "*.tfrecord", "--labels", predictions / "labels.npz",
        "--out", tmp_path,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1].startswith(f"Results: {tmp_path}")
    for kind in ("memorization", "influence", "pairs"):
        for path in (folder / kind).iterdir():
            assert (tmp_path / kind / path.name).read_bytes() == path.read_bytes()
    assert len(tfmem.load_run(tmp_path).pairs) == len(tfmem.load_run(folder).pairs)


def test_features_of_one_model_are_what_a_last_layer_is_trained_on(tmp_path):
    """Features are in index order; a linear layer trained on all is as good as the network."""
    path = tmp_path / "features.npz"
    digits = ("features", "configs/digits.yaml", "--file", path)
    done = tfmem_command(*digits, "--set", "training.epochs=12")
    assert done.stdout.splitlines()[-1].startswith(f"Results: {path}")
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["train_features"].shape == (1437, 64)
        assert arrays["test_features"].dtype == np.float32
        data = load(DatasetSettings())
        np.testing.assert_array_equal(arrays["train_labels"], data.train_labels)
    out = tmp_path / "last_layer"
    settings = ("trials=40", "epochs=10", "batch_size=64", "learning_rate=0.05")
    changes = [word for setting in settings for word in ("--set", f"training.{setting}")]
    last_layer = ("run", "configs/cifar100_last_layer.yaml", "--out", out)
    tfmem_command(*last_layer, "--set", f"dataset.data_dir={path}", *changes)
    accuracy = tfmem.load_run(out).trials["test_accuracy"].mean()
    said = float(re.search(r"test accuracy ([\d.]+)%", done.stdout)[1]) / 100
    assert accuracy == pytest.approx(said, abs=0.03)
    done = tfmem_command(*digits, "--layer", "no_such", code=1)
    assert "--layer: expected one of" in done.stderr
    assert "features" in done.stderr


FARM = ("configs/digits.yaml", *(f"--set=training.{each}" for each in (
    "trials=16", "epochs=2", "stack_size=4")))  # fmt: skip


@pytest.fixture(scope="module")
def trained_alone(tmp_path_factory):
    """The predictions of a farm of four shards, which one program trained."""
    out = tmp_path_factory.mktemp("farm") / "alone"
    tfmem_command("train", *FARM, "--out", out)
    return out / "predictions"


@pytest.mark.parametrize(("mode", "workers"), [
    ("in_memory", 2), ("multi_processing", 1),
    pytest.param("multi_processing", 2, marks=pytest.mark.slow)])  # fmt: skip
def test_a_beam_job_trains_what_workers_would(trained_alone, tmp_path, mode, workers):
    """It also works if some shards exist already, or all of them."""
    made = tmp_path / "beam" / "predictions"
    made.mkdir(parents=True)
    for name in ("predictions-00003-of-00004.tfrecord", "config.yaml"):
        (made / name).write_bytes((trained_alone / name).read_bytes())
    words = ["--", f"--direct_running_mode={mode}", f"--direct_num_workers={workers}"]
    command = ("train", *FARM, "--out", made.parent, "--beam", "--accelerator",
               "type:nvidia-tesla-t4;count:1", *words)  # fmt: skip
    for trained in (12, 0) if mode == "in_memory" else (12,):
        done = tfmem_command(*command)
        assert f"16 trials ({trained} trained now)" in done.stdout
    shards = [sorted(folder.glob("*.tfrecord")) for folder in (trained_alone, made)]
    assert [p.read_bytes() for p in shards[0]] == [p.read_bytes() for p in shards[1]]
    assert [p.name for p in shards[0]] == [p.name for p in shards[1]]
    assert len(shards[0]) == 4


def test_the_accelerator_is_a_hint_on_the_training_step_alone(tmp_path):
    import apache_beam as beam

    from tfmem.pipelines.farm import TrainShards

    pipeline = beam.Pipeline(runner="FnApiRunner")
    wanted = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
    _ = pipeline | TrainShards([0, 1], from_yaml(""), str(tmp_path), wanted)
    proto = pipeline.to_runner_api()
    hinted = {
        transform.unique_name.split("/")[-1]
        for transform in proto.components.transforms.values()
        for value in proto.components.environments[transform.environment_id].resource_hints.values()
        if value == wanted.encode()
    }
    assert "TrainShards" in hinted
    assert not hinted & {"Shards", "SpreadShards"}


def test_mistakes_are_one_line_and_a_code(digits_run, tmp_path):
    folder = digits_run
    before = (folder / "config.yaml").read_bytes()
    for arguments, words in (
        (["run", "configs/digits.yaml", "--out", folder, "--set", "seed=4"], "seed: 0 -> 4"),
        (["run", "none.yaml", "--out", tmp_path], "none.yaml: cannot be read"),
        (["run", "configs/digits.yaml", "--out", tmp_path, "--set", "x=1"], "x: unknown key"),
        (["show", tmp_path / "none"], "no such run folder"),
        (["pairs", tmp_path], "no pairs records"),
        (["report", tmp_path], "config.yaml: not found"),
        (["estimate", "x", "--labels", "y", "--out", folder], "this folder holds a run"),
        (["run", "configs/digits.yaml", "--out", tmp_path, "training.trials=3"], "Beam options"),
        (["estimate", tmp_path / "*", "--labels", "none", "--out", tmp_path], "labels cannot be"),
        (["train", "configs/digits.yaml", "--out", "/proc/none"], "/proc/none: the folder"),
    ):
        done = tfmem_command(*arguments, code=1)
        assert words in done.stderr
        assert re.fullmatch(r"error: [^\n]*\n", done.stderr)
    assert (folder / "config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    "command",
    ["run", "train", "features", "estimate", "pairs", "show", "report", "audit", "compare"],
)
def test_help_has_examples(command):
    assert f"tfmem {command} " in tfmem_command(command, "--help").stdout.split("Examples:")[1]
