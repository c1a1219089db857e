import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.runners.pipeline_context import PipelineContext

from tests.helpers.oracle import example_learner, random_records
from tests.helpers.runs import (
    KINDS,
    MULTI_PROCESS,
    SELECTION,
    aggregate,
    contents,
    flip,
    random_run,
    write_run,
)
from tests.helpers.runs import damage_flipped as damage_flipped  # one of DAMAGES
from tfmem.aggregation import bits, jobs, memory
from tfmem.aggregation.counting import Room
from tfmem.aggregation.jobs import estimate, search_pairs, select_pairs
from tfmem.aggregation.runners import kernel_threads
from tfmem.experiments.run import load_run
from tfmem.messages.errors import InputError
from tfmem.store.manifests import MANIFEST_NAME
from tfmem.store.predictions import TrialRecord
from tfmem.store.records import shard_name
from tfmem.store.shards import write_shard


def search(folder, beam_args=(), room=Room()):  # noqa: B008
    search_pairs(
        str(folder / "predictions" / "*.tfrecord"),
        str(folder / "predictions" / "labels.npz"),
        {kind: str(folder / "all" / kind) for kind in ("memorization", "pairs")},
        SELECTION.model_copy(update={"pairs": "all"}),
        beam_args,
        room=room,
    )
    return contents(folder / "all")


def test_a_lookup_learner_has_its_closed_form(tmp_path):
    learner = example_learner()
    write_run(tmp_path, learner.records(), learner.labels, shards=3)
    aggregate(tmp_path)
    run = load_run(tmp_path)
    table = run.memorization
    np.testing.assert_allclose(table["memorization"], learner.memorization(), atol=1e-6)
    assert table["label"].tolist() == learner.labels.train_labels.tolist()
    assert (table["n_in"] + table["n_out"] == 56).all()
    expected = learner.influence()
    assert sorted(run.influence) == [0, 2]
    for block in run.influence.values():
        truth = expected[np.ix_(block.train_index, block.test_index)]
        np.testing.assert_allclose(block.influence, truth, atol=1e-12)
        assert (block.errors.stderr > 0).all()
        best, most = block.most_influenced(block.train_index[0], 2)
        np.testing.assert_allclose(most, np.sort(truth[0])[::-1][:2])
        np.testing.assert_allclose(truth[0, np.searchsorted(block.test_index, best)], most)
    with pytest.raises(InputError, match=r"training example 7 is not of class 0"):
        run.influence[0].most_influenced(7, 1)
    same = learner.labels.train_labels[:, None] == learner.labels.test_labels
    chosen = (learner.memorization()[:, None] >= 0.1) & (expected >= 0.1) & same
    found = set(zip(run.pairs["train_index"], run.pairs["test_index"], strict=True))
    assert found == set(zip(*np.nonzero(chosen), strict=True))
    assert len(found) == run.pair_statistics.pairs > 0


@pytest.mark.parametrize("shards", [7, 64])
def test_bytes_do_not_depend_on_shards_or_order(tmp_path, reference, shards):
    records, labels = random_run()
    order = np.random.default_rng(shards).permutation(len(records))
    write_run(tmp_path, [records[k] for k in order], labels, shards)
    aggregate(tmp_path)
    assert contents(tmp_path) == reference


def test_bytes_do_not_depend_on_processes_and_repeated_trials_count_once(tmp_path, reference):
    records, labels = random_run()
    write_run(tmp_path, records + records[:40] + records[7:9], labels, shards=3)
    aggregate(tmp_path, MULTI_PROCESS)
    assert contents(tmp_path) == reference


def test_all_pairs_hold_those_of_one_class_and_room_or_runner_is_nothing(tmp_path, reference):
    records, labels = random_run()
    write_run(tmp_path, records, labels)
    whole = search(tmp_path)
    name = "memorization/" + shard_name("memorization", 0, 1)
    assert whole[name] == reference[name]
    write_run(tmp_path / "again", [*records[::-1], *records[:50]], labels, shards=3)
    assert search(tmp_path / "again", MULTI_PROCESS, Room(tile=16, found=500)) == whole
    pairs = load_run(tmp_path / "all").pairs
    inside = pairs[pairs["label"] == pairs["test_label"]]
    assert 0 < len(inside) < len(pairs)
    aggregate(tmp_path)
    same = load_run(tmp_path).pairs
    columns = ["train_index", "test_index", "label", "influence", "p_value"]
    assert inside[columns].to_numpy().tolist() == same[columns].to_numpy().tolist()


def test_parts_that_fit_the_memory_give_the_same_bytes(tmp_path, reference, monkeypatch, capsys):
    """Parts are read one after the other, and give the results of one job."""
    monkeypatch.setattr(jobs, "_CLASSES_A_FILE", 2)
    monkeypatch.setattr(memory, "_PROGRAM", 0)
    records, labels = random_run()
    write_run(tmp_path, records, labels, shards=3)
    aggregate(tmp_path, room=Room(memory=2**30))
    whole, everything = contents(tmp_path), search(tmp_path)
    assert "parts" not in capsys.readouterr().out
    aggregate(tmp_path, room=Room(memory=73_000))
    assert "in 2 parts" in capsys.readouterr().out
    assert contents(tmp_path) == whole
    name = "pairs/" + shard_name("pairs", 0, 1)
    assert whole[name] == reference[name]
    assert search(tmp_path, room=Room(memory=71_000, tile=8, found=500)) == everything
    assert "in 5 parts" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"memory: expected at least .* received 0.01 MiB"):
        aggregate(tmp_path, room=Room(memory=10_000))


def test_selecting_from_influence_records_gives_the_same_pairs(tmp_path, reference):
    records, labels = random_run()
    write_run(tmp_path, records, labels)
    aggregate(tmp_path)
    files, labels_path = tmp_path / "influence" / "*", tmp_path / "predictions" / "labels.npz"
    select_pairs(str(files), str(labels_path), str(tmp_path / "again"), SELECTION)
    for kind in ("pairs", "selection"):
        name = shard_name(kind, 0, 1)
        assert (tmp_path / "again" / name).read_bytes() == reference[f"pairs/{name}"]


def test_estimating_again_replaces_and_a_failure_keeps_what_was_there(tmp_path):
    records, labels = random_run()
    predictions = write_run(tmp_path, records, labels)
    aggregate(tmp_path)
    (tmp_path / "pairs" / "pairs-00000-of-00009.tfrecord").write_bytes(b"of an older job")
    (tmp_path / "pairs" / "mine.tfrecord").write_bytes(b"not ours")
    aggregate(tmp_path)
    before = contents(tmp_path)
    names = [path.split("/")[1] for path in before if not path.endswith(MANIFEST_NAME)]
    assert names == [shard_name("influence", 0, 1), shard_name("memorization", 0, 1),
                     "mine.tfrecord", shard_name("pairs", 0, 1),
                     shard_name("selection", 0, 1)]  # fmt: skip
    shard = predictions / shard_name("predictions", 0, 1)
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(InputError):
        aggregate(tmp_path)
    assert contents(tmp_path) == before


def changed(record, **changes):
    return TrialRecord(**{**vars(record), **changes})


def damage_truncated(folder, shard, records):
    shard.write_bytes(shard.read_bytes()[:-20])
    return "record 64: truncated"


def damage_other_data(folder, shard, records):
    write_shard(shard, [records[0], changed(records[1], dataset_fingerprint=b"other")])
    return "record 1: record of another data set"


def damage_other_settings(folder, shard, records):
    write_shard(shard, [records[0], changed(records[1], config_digest=b"other")])
    return "record 1: config_digest differs from that of"


def damage_other_length(folder, shard, records):
    one = random_records(np.random.default_rng(0), 1, 41, 25)
    write_shard(shard, one)
    return "record 0: expected predictions for 40 training and 25 test examples"


def damage_conflict(folder, shard, records):
    other = bytes([records[1].test_correct[0] ^ 1]) + records[1].test_correct[1:]
    write_shard(shard, [*records[:5], changed(records[1], test_correct=other)])
    return "trial 1 is also in"


def damage_no_labels(folder, shard, records):
    (folder / "predictions" / "labels.npz").unlink()
    return "labels.npz: labels cannot be read"


def damage_missing_shard(folder, shard, records):
    shard.unlink()
    return (
        "predictions-00001-of-00002.tfrecord: not found, but 1 of its 2 shards are there; if the "
        "run is still in training, wait for its end"
    )


def settings_beside(folder, trials, stack_size):
    text = f"training: {{trials: {trials}, stack_size: {stack_size}}}"
    (folder / "predictions" / "config.yaml").write_text(text)


def damage_cut_between_records(folder, shard, records):
    """Shards of a run hold consecutive trials; the framing does not tell how many."""
    write_shard(shard.with_name(shard_name("predictions", 0, 2)), records[:65])
    write_shard(shard, records[65:127])
    settings_beside(folder, 130, 65)
    return f"3 are missing: 127, 128, 129 ({shard} lacks 3); if the run is still in training"


def damage_more_trials_in_training(folder, shard, records):
    """All shards of the earlier run exist, but none of those of the longer run."""
    write_shard(shard.with_name(shard_name("predictions", 0, 2)), records[:65])
    write_shard(shard, records[65:])
    settings_beside(folder, 195, 65)
    return (
        "65 are missing: 130, 131, 132, 133, 134 and 60 more (predictions-00002-of-00003.tfrecord"
    )


def damage_trials_of_another_plan(folder, shard, records):
    settings_beside(folder, 129, 65)
    return "expected trials 0 to 128, received also 129"


def damage_no_shards(folder, shard, records):
    for path in (folder / "predictions").glob("*.tfrecord"):
        path.unlink()
    return "no such prediction shards"


def damage_one_trial(folder, shard, records):
    for path in (folder / "predictions").glob("*.tfrecord"):
        path.unlink()
    write_shard(shard.with_name("one.tfrecord"), records[:1])
    return "expected at least 2 trials that did not diverge, received 1"


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__[7:])
def test_damage_is_named_with_file_and_record_and_nothing_is_written(tmp_path, damage):
    records, labels = random_run()
    predictions = write_run(tmp_path, records, labels, shards=2)
    shard = predictions / shard_name("predictions", 1, 2)
    words = damage(tmp_path, shard, records)
    with pytest.raises(InputError) as error:
        aggregate(tmp_path)
    message = str(error.value)
    assert words in message
    assert "\n" not in message
    if words.startswith("record") or "trial 1" in words:
        assert str(shard) in message
    assert contents(tmp_path) == {}


def test_damage_is_named_across_processes_too(tmp_path):
    records, labels = random_run()
    predictions = write_run(tmp_path, records, labels, shards=2)
    flip(predictions / shard_name("predictions", 1, 2), 40)
    with pytest.raises(InputError, match=r"predictions-00001-of-00002.tfrecord: record 0: corrupt"):
        aggregate(tmp_path, MULTI_PROCESS)


def test_a_folder_in_place_of_its_files_is_refused(tmp_path):
    records, labels = random_run()
    predictions = write_run(tmp_path, records, labels)
    with pytest.raises(InputError, match="expected files of prediction shards, received a folder"):
        estimate(str(predictions), str(predictions / "labels.npz"), {})


def test_no_character_of_a_path_is_special(tmp_path, reference):
    folder = tmp_path / "lr[0.1] *?"
    records, labels = random_run()
    predictions = write_run(folder, records, labels, shards=2)
    estimate(
        [str(path) for path in predictions.glob("*.tfrecord")],
        str(predictions / "labels.npz"),
        {kind: str(folder / kind) for kind in KINDS},
        SELECTION,
    )
    assert contents(folder) == reference


def test_keys_have_a_coder_that_is_the_same_on_every_runner(tmp_path, monkeypatch):
    """All keys of groups are integers, and Beam is told so: it writes them as varints."""
    built = []
    monkeypatch.setattr(beam.Pipeline, "run", lambda self: built.append(self.to_runner_api()))
    write_run(tmp_path, *random_run(4))
    for job in (aggregate, search):
        with pytest.raises(InputError):
            job(tmp_path)
    coders = {}
    for graph in built:
        context = PipelineContext(graph.components)
        for step in graph.components.transforms.values():
            if step.spec.urn == "beam:transform:group_by_key:v1" and "Gather" in step.unique_name:
                (collection,) = step.inputs.values()
                coder_id = graph.components.pcollections[collection].coder_id
                coders[step.unique_name] = context.coders.get_by_id(coder_id).key_coder()
    assert len(coders) == 7  # classes, tiles, tests; files of four kinds
    assert {type(coder) for coder in coders.values()} == {VarIntCoder}


def test_nothing_that_estimation_does_not_need_is_imported():
    code = (
        "import json, sys, pipelines.cli, tfmem.aggregation.jobs; print(json.dumps([*sys.modules]))"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True)
    slow = {"tensorflow", "keras", "matplotlib", "scipy.stats", "scipy.optimize", "sklearn"}
    assert not slow & set(json.loads(done.stdout.splitlines()[-1]))


def test_trials_that_diverged_are_read_and_not_counted(tmp_path, reference):
    """Two diverged trials among the records do not change the estimates."""
    records, labels = random_run()
    lost = [replace(records[0], trial_id=130 + i, diverged=1) for i in range(2)]
    write_run(tmp_path, [*lost, *records], labels)
    settings_beside(tmp_path, 132, 132)
    aggregate(tmp_path)
    made = {name: data for name, data in contents(tmp_path).items() if "manifest" not in name}
    assert made == {name: data for name, data in reference.items() if "manifest" not in name}


def test_bits_travel_densely_however_small_bundles_are():
    """Records that are cut one by one still take a bit for each example."""
    records, labels = random_run(70)
    cut = bits._Cut("", bits.by_class)
    cut._labels, cut._groups = labels, bits.by_class(labels)
    whole = dict(cut.process([(record, "") for record in records]))
    pieces = {key: [] for key in whole}
    for record in reversed(records):
        for key, rows in cut.process([(record, "")]):
            pieces[key].append(rows)
            group = cut._groups[key]
            size = sum(part.nbytes for part in rows[1:])
            assert size <= 2 * -(-len(group.train) // 8) + -(-len(group.test) // 8)
    for key, rows in whole.items():
        group = cut._groups[key]
        together, apart = bits.join([rows], group), bits.join([*pieces[key], rows], group)
        for one, other in zip(together, apart, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_process_counts_with_the_threads_that_its_runner_leaves_it():
    from apache_beam.options.pipeline_options import PipelineOptions

    local = PipelineOptions(["--runner=FnApiRunner"])
    assert kernel_threads(None, local) is None
    assert kernel_threads(3, local) == 3
    for elsewhere in (MULTI_PROCESS, ["--runner=FlinkRunner"]):
        assert kernel_threads(None, PipelineOptions(elsewhere)) == 1
        assert kernel_threads(2, PipelineOptions(elsewhere)) == 2


def test_memory_is_planned_for_files_whatever_is_in_their_names(tmp_path):
    records, labels = random_run(40)
    sizes = []
    for name in ("run", "run[1]", "run*?"):
        folder = write_run(tmp_path / name, records, labels, shards=2)
        sizes.append(memory.row_bytes([str(path) for path in sorted(folder.glob("*.tfrecord"))]))
    assert sizes[0] == sizes[1] == sizes[2] > 0
