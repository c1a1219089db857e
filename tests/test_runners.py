"""Where jobs run: what is refused before anything runs, and that runners agree to the byte."""

import pickle
import sys

import pytest
from apache_beam.io.filesystem import FileSystem
from apache_beam.options.pipeline_options import DirectOptions

from tests.helpers.runs import aggregate, contents, random_run, write_run
from tfmem.aggregation.runners import beam_options, check_file_systems, job_options
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli import app


def test_words_that_are_no_options_are_refused():
    with pytest.raises(InputError, match=r"received 'training\.trials=3'"):
        beam_options(["training.trials=3"])
    with pytest.raises(InputError, match=r"received 'x'"):
        beam_options(["--direct_num_workers=2", "x"])
    with pytest.raises(InputError, match=r"^Beam options: argument --num_workers: invalid int"):
        beam_options(["--num_workers=many"])
    with pytest.raises(InputError, match=r"^Beam options: argument --runner: expected one"):
        beam_options(["--runner"])
    assert beam_options(["--temp_location", "/x/multi_threading"])


@pytest.mark.parametrize(
    "words",
    [
        "--direct_running_mode=multi_threading",
        "--direct_running_mode multi_threading",
        "--direct_num_workers=2 --direct_running_mode=in_memory "
        "--direct_running_mode=multi_threading",
        "--runner=dask",
        "--runner=DASKRunner",
        "--runner DaskRunner",
        "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
        "--experiments=data_buffer_time_limit_ms=100",
        "--experiment data_buffer_time_limit_ms=100 --direct_running_mode=multi_processing",
        "--runner=PortableRunner --job_endpoint=embed "
        "--environment_type=beam:env:embedded_python_grpc:v1",
    ],
)
def test_ways_of_running_that_lose_data_are_refused(words):
    with pytest.raises(InputError, match=r"loses elements"):
        beam_options(words.split())


def test_other_runners_are_passed_on():
    for words, runner in [
        ([], "FnApiRunner"),
        (["--runner=DirectRunner"], "DirectRunner"),
        (["--runner=FlinkRunner", "--flink_master=host:8081"], "FlinkRunner"),
        (["--runner", "SparkRunner"], "SparkRunner"),
    ]:
        assert beam_options(words).get_all_options()["runner"] == runner


def test_options_keep_their_views_and_a_change_is_seen_through_all():
    options = beam_options(["--direct_num_workers=2"])
    view = options.view_as(DirectOptions)
    assert options.view_as(DirectOptions) is view
    view.direct_num_workers = 3
    assert options.get_all_options()["direct_num_workers"] == 3
    assert pickle.loads(pickle.dumps(options)).view_as(DirectOptions).direct_num_workers == 3


def test_places_that_cannot_be_reached_are_named():
    check_file_systems(["/tmp/x", "relative/*.tfrecord"])
    job_options(["--runner=FlinkRunner"], ["/mnt/nfs/run"])
    with pytest.raises(InputError, match=r"nowhere://b/x: no file system of that kind"):
        check_file_systems(["nowhere://b/x"])


ESTIMATE = ["estimate", "gs://b/*.tfrecord", "--labels", "gs://b/labels.npz", "--out", "gs://b/x"]
IN_DATAFLOW = ["--", "--runner=DataflowRunner", "--project=p"]


@pytest.mark.parametrize("arguments", [
    ESTIMATE, ["estimate", "x.tfrecord", "--labels", "labels.npz", "--out", "gs://b/out"],
    ["estimate", "x.tfrecord", "--labels", "labels.npz", "--out", "{out}", *IN_DATAFLOW],
    ["run", "configs/digits.yaml", "--out", "{out}", *IN_DATAFLOW],
    ["train", "configs/digits.yaml", "--out", "{out}", "--beam", *IN_DATAFLOW],
])  # fmt: skip
def test_without_googles_libraries_one_line_says_what_to_install(tmp_path, monkeypatch, arguments):
    """The libraries are hidden, so the test is the same where they are installed."""
    local = [kind for kind in FileSystem.get_all_subclasses() if kind.scheme() != "gs"]
    monkeypatch.setattr(FileSystem, "get_all_subclasses", lambda: local)
    for name in ("dataflow_runner", "internal.apiclient"):
        monkeypatch.setitem(sys.modules, f"apache_beam.runners.dataflow.{name}", None)
    arguments = [str(tmp_path / "out") if word == "{out}" else word for word in arguments]
    with pytest.raises(InputError, match=r"pip install 'tfmem\[gcp\]'"):
        app(arguments, standalone_mode=False)
    assert not any((tmp_path / "out").rglob("*"))


def test_the_runner_called_direct_gives_the_same_bytes(tmp_path, reference):
    """It tries Prism, which does not exist here, and falls back to the runner in Python."""
    records, labels = random_run()
    write_run(tmp_path, records, labels, shards=3)
    aggregate(tmp_path, ["--runner=DirectRunner", f"--prism_location={tmp_path}/absent"])
    assert contents(tmp_path) == reference
