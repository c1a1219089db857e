"""Jobs for Dataflow are described without a network: what is sent, and what workers need.

`make test-dataflow` runs these tests with Beam's [gcp] and without TensorFlow, as on a worker. They
do not prove that Dataflow accepts a job.
"""

import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers.bucket import put_in_place
from tests.helpers.oracle import FINGERPRINT, random_records
from tests.helpers.runs import KINDS, SELECTION, aggregate, contents, random_run, write_run
from tfmem.aggregation.jobs import estimate, search_pairs, select_pairs
from tfmem.aggregation.runners import beam_options, goes_to_dataflow, job_options
from tfmem.config import SelectionSettings, from_yaml
from tfmem.messages.errors import InputError
from tfmem.pipelines import farm
from tfmem.pipelines.cli import main
from tfmem.store.labels import Labels
from tfmem.store.records import shard_name
from tfmem.store.shards import write_shard

pytestmark = pytest.mark.dataflow

IMAGE = "europe-docker.pkg.dev/project/tfmem/worker:1"
NEEDED = ["--project=a-project", "--region=europe-west4", "--temp_location=gs://bucket/tmp",
          f"--sdk_container_image={IMAGE}"]  # fmt: skip
OFFLINE = ["--no_auth", "--dry_run=True"]
SIZES = ["--machine_type=n2-highmem-8", "--max_num_workers=40", "--num_workers=4",
         "--autoscaling_algorithm=THROUGHPUT_BASED"]  # fmt: skip
DATAFLOW = ["--runner=DataflowRunner", *NEEDED, *OFFLINE, *SIZES]
OUTPUTS = {kind: f"gs://bucket/estimates/{kind}" for kind in ("memorization", "influence", "pairs")}


class Description(Exception):
    """The job that would have been sent: as JSON, its graph, and the staged files."""


@pytest.fixture(scope="module")
def monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def bucket(monkeypatch):
    return put_in_place(monkeypatch)


@pytest.fixture(scope="module")
def describe(monkeypatch):
    """Starts a job and returns the description that would have been submitted.

    Beam writes a job only to the service itself: of its internals, this replaces what submits the
    job and what uploads files.
    """
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
    from apache_beam.runners.dataflow.internal.apiclient import DataflowApplicationClient

    submit, staged = DataflowRunner.run_pipeline, {}

    def stage(self, folder, name, source, *args, **kwargs):
        whole = hasattr(source, "getvalue")
        staged[name] = source.getvalue() if whole else Path(source).read_bytes()

    def run_pipeline(self, pipeline, options, pipeline_proto=None):
        staged.clear()
        job = submit(self, pipeline, options, pipeline_proto).job
        client = DataflowApplicationClient(job.options, job.root_staging_location)
        client.create_job_description(job)
        raise Description(json.loads(job.json()), job.proto_pipeline, dict(staged))

    monkeypatch.setattr(DataflowApplicationClient, "stage_file_with_retry", stage)
    monkeypatch.setattr(DataflowRunner, "run_pipeline", run_pipeline)

    def start(call, *args):
        with pytest.raises(InputError) as error:
            call(*args)
        assert isinstance(error.value.__cause__, Description), error.value
        return error.value.__cause__.args

    start.submit = submit
    return start


@pytest.fixture(scope="module")
def estimation(describe, bucket):
    """`tfmem estimate` on predictions of ImageNet's size, of which only the labels exist."""
    rng = np.random.default_rng(0)
    labels = Labels(rng.integers(0, 1000, 1_281_167), rng.integers(0, 1000, 50_000),
                    tuple(map(str, range(1000))), FINGERPRINT)  # fmt: skip
    bucket.objects["gs://bucket/run/labels.npz"] = labels.to_npz()
    for shard in range(64):
        bucket.objects[f"gs://bucket/run/{shard_name('predictions', shard, 64)}"] = b""
    return describe(estimate, "gs://bucket/run/*.tfrecord", "gs://bucket/run/labels.npz", OUTPUTS,
                    SelectionSettings(), DATAFLOW)  # fmt: skip


def train_imagenet(monkeypatch, accelerator):
    """`tfmem train --beam` of 2,000 trials, none of which exists; the data set is not loaded."""
    opened = SimpleNamespace(missing=lambda: list(range(2000)), known_trials=0)
    monkeypatch.setattr(farm, "open_farm", lambda *args: opened)
    monkeypatch.setattr(farm, "load_and_tell", lambda settings: None)
    with open("configs/imagenet_resnet50.yaml", encoding="utf-8") as file:
        config = from_yaml(file.read())
    return farm.farm_out, config, "gs://bucket/run", DATAFLOW, accelerator


def check_workers(job):
    (pool,) = job["environment"]["workerPools"]
    assert pool["machineType"] == "n2-highmem-8"
    assert pool["numWorkers"] == 4
    assert pool["autoscalingSettings"] == {
        "algorithm": "AUTOSCALING_ALGORITHM_BASIC",
        "maxNumWorkers": 40,
    }
    assert {image["containerImage"] for image in pool["sdkHarnessContainerImages"]} == {IMAGE}
    assert job["environment"]["tempStoragePrefix"].startswith("storage.googleapis.com/bucket/tmp/")


def steps(graph, urn):
    """Leaf and composite steps of one kind, by name."""
    every = graph.components.transforms.values()
    return {step.unique_name: step for step in every if step.spec.urn == urn}


def pickled(graph):
    """Every function that workers unpickle, by the name of its step."""
    from apache_beam.portability.api import beam_runner_api_pb2 as api

    found = {}
    for name, step in steps(graph, "beam:transform:pardo:v1").items():
        found[name] = api.ParDoPayload.FromString(step.spec.payload).do_fn
    for name, step in steps(graph, "beam:transform:combine_per_key:v1").items():
        found[name] = api.CombinePayload.FromString(step.spec.payload).combine_fn
    return {name: spec.payload for name, spec in found.items() if "pickled" in spec.urn}


# The code that a pickle carries can be seen only while Beam's own pickler makes functions of it.
UNPICKLE = """
import base64, json, sys
from apache_beam.internal.cloudpickle import cloudpickle
from apache_beam.internal import pickler
made = []  # code that travels in the pickle, because no module can be imported for it
make = cloudpickle._make_function
def noted(code, *args):
    made.append(code.co_filename)
    return make(code, *args)
cloudpickle._make_function = noted
def modules(thing, depth=4):
    yield type(thing).__module__
    yield getattr(thing, "__module__", None) or ""
    inner = thing if isinstance(thing, (tuple, list)) else vars(thing).values() \\
        if hasattr(thing, "__dict__") and not isinstance(thing, type) else ()
    for part in inner if depth else ():
        yield from modules(part, depth - 1)
own = {}
for name, payload in json.load(sys.stdin).items():
    own[name] = sorted({m for m in modules(pickler.loads(base64.b64decode(payload))) if "." in m})
print(json.dumps({"own": own, "made": made, "loaded": sorted(sys.modules)}))
"""


def unpickle_elsewhere(graph, tmp_path):
    """Unpickles the functions of a graph in a process that has only the installed packages."""
    payloads = {name: b64encode(payload).decode() for name, payload in pickled(graph).items()}
    done = subprocess.run([sys.executable, "-c", UNPICKLE], input=json.dumps(payloads),
                          cwd=tmp_path, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_pickles(graph, tmp_path):
    found = unpickle_elsewhere(graph, tmp_path)
    assert all("/apache_beam/" in path for path in found["made"]), found["made"]
    assert not {"tensorflow", "keras", "tensorflow_datasets"} & set(found["loaded"])
    modules = {module for names in found["own"].values() for module in names}
    assert not {module for module in modules if module.split(".")[0] in ("__main__", "tests")}
    return {module for module in modules if module.split(".")[0] in ("tfmem", "pipelines")}


def test_the_job_that_estimates(estimation, tmp_path):
    job, graph, staged = estimation
    check_workers(job)
    assert job["environment"]["version"]["job_type"] == "FNAPI_BATCH"
    assert set(staged) == {"pipeline.pb", "submission_environment_dependencies.txt"}
    assert len(staged["pipeline.pb"]) < 500_000  # labels alone are 10 MB: none was caught
    assert check_pickles(graph, tmp_path) >= {"tfmem.aggregation.reading",
                                              "tfmem.aggregation.counting",
                                              "tfmem.aggregation.writing"}  # fmt: skip


def test_ranges_of_margins_are_combined_before_they_are_shuffled(estimation, describe):
    """Dataflow lifts a combine only if it knows it and its coder."""
    from apache_beam.portability.api import beam_runner_api_pb2 as api

    _, graph, _ = describe(estimate, "gs://bucket/run/*.tfrecord", "gs://bucket/run/labels.npz",
                           OUTPUTS, None, DATAFLOW, "margin")  # fmt: skip
    combined = steps(graph, "beam:transform:combine_per_key:v1")
    assert combined
    for name, step in combined.items():
        payload = api.CombinePayload.FromString(step.spec.payload)
        assert payload.accumulator_coder_id in graph.components.coders, name
        assert payload.combine_fn.payload, name


def test_keys_of_groups_are_encoded_in_one_way_only(estimation):
    from apache_beam.runners.pipeline_context import PipelineContext

    _, graph, _ = estimation
    grouped = steps(graph, "beam:transform:group_by_key:v1").items()
    beams = ("Reshuffle", "Spread")
    own = {name: step for name, step in grouped if not any(part in name for part in beams)}
    assert own
    for name, step in own.items():
        (collection,) = step.inputs.values()
        coder_id = graph.components.pcollections[collection].coder_id
        coder = PipelineContext(graph.components).coders.get_by_id(coder_id)
        assert coder.key_coder().is_deterministic(), (name, coder)


@pytest.mark.parametrize("accelerator", [None, "type:nvidia-tesla-t4;count:1"])
def test_the_job_that_trains(describe, bucket, monkeypatch, tmp_path, accelerator):
    job, graph, staged = describe(*train_imagenet(monkeypatch, accelerator))
    check_workers(job)
    assert set(staged) == {"pipeline.pb", "submission_environment_dependencies.txt"}
    assert len(staged["pipeline.pb"]) < 200_000
    assert "tfmem.pipelines.farm" in check_pickles(graph, tmp_path)
    hints = {
        name: {hint: value.decode() for hint, value in environment.resource_hints.items()}
        for name, environment in graph.components.environments.items()
    }
    ran = steps(graph, "beam:transform:pardo:v1")
    wanted = {"beam:resources:accelerator:v1": accelerator} if accelerator else {}
    assert hints[ran.pop("Train/TrainShards").environment_id] == wanted
    assert ran
    assert not any(hints[step.environment_id] for step in ran.values())


@pytest.mark.parametrize(("arguments", "words"), [
    (NEEDED[1:], "Missing required option: project"),
    (["--project=12345", *NEEDED[1:]], "Project ID, not project number"),
    ([NEEDED[0], *NEEDED[2:]], "Missing required option: region"),
    ([*NEEDED[:2], NEEDED[3]], "Missing GCS path option: temp_location"),
    ([*NEEDED, "--temp_location=/tmp/x"], "Invalid GCS path (/tmp/x)"),
    ([*NEEDED, "--temp_location=gs://My_Bucket/x"], "Invalid GCS bucket (gs://My_Bucket/x)"),
    ([*NEEDED, "--staging_location=tmp"], "Invalid GCS path (tmp)"),
    ([*NEEDED, "--num_workers=9", "--max_num_workers=3"], "cannot exceed max_num_workers"),
    (NEEDED[:3], "--sdk_container_image=IMAGE, an image made with pipelines/worker.Dockerfile"),
])  # fmt: skip
def test_what_dataflow_would_refuse_later_is_refused_at_once(monkeypatch, arguments, words):
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    monkeypatch.setattr(DataflowRunner, "get_default_gcp_region", lambda self: None)
    with pytest.raises(InputError) as error:
        beam_options(["--runner=DataflowRunner", *arguments])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("runner", ["dataflow", "DATAFLOWRUNNER", "TestDataflowRunner",
    "apache_beam.runners.dataflow.dataflow_runner.DataflowRunner"])  # fmt: skip
def test_dataflow_is_known_however_it_is_spelled(runner):
    assert goes_to_dataflow(beam_options(["--runner", runner, *NEEDED]))
    with pytest.raises(InputError, match="Missing required option: project"):
        beam_options(["--runner", runner, *NEEDED[1:]])


def test_places_that_workers_in_the_cloud_cannot_reach_are_refused(tmp_path, monkeypatch):
    job_options(DATAFLOW, OUTPUTS.values())
    for place in ("estimates", "/mnt/run/*.tfrecord", "s3://bucket/x"):
        with pytest.raises(InputError, match=r"workers of Dataflow cannot reach it"):
            job_options(DATAFLOW, [place])
    call, config, _, beam_args, accelerator = train_imagenet(monkeypatch, None)
    with pytest.raises(InputError, match=r"/run: workers of Dataflow cannot reach it"):
        call(config, str(tmp_path / "run"), beam_args, accelerator)
    write_shard(tmp_path / "x.tfrecord", random_records(np.random.default_rng(0), 4, 9, 5))
    labels = Labels(np.zeros(9, int), np.zeros(5, int), ("a",), FINGERPRINT)
    (tmp_path / "labels.npz").write_bytes(labels.to_npz())
    shards, labels_path = str(tmp_path / "x.tfrecord"), str(tmp_path / "labels.npz")
    here, there = {kind: str(tmp_path / kind) for kind in OUTPUTS}, OUTPUTS
    settings, bucket = SelectionSettings(), "gs://bucket/run/*.tfrecord"
    for job, place, *rest in (
        (estimate, "x.tfrecord", shards, labels_path, there, settings),
        (search_pairs, "x.tfrecord", [bucket, shards], labels_path, there, settings),
        (search_pairs, "labels.npz", bucket, labels_path, there, settings),
        (estimate, "memorization", bucket, "gs://bucket/labels.npz", here, None),
        (select_pairs, "labels.npz", bucket, labels_path, "gs://bucket/pairs", settings),
    ):
        with pytest.raises(InputError, match=rf"/{place}: workers of Dataflow cannot reach it"):
            job(*rest, DATAFLOW)
    assert {path.name for path in tmp_path.iterdir()} == {"x.tfrecord", "labels.npz"}


@pytest.mark.parametrize("keep", [False, True])
def test_a_dry_run_ends_well_and_says_where_the_graph_is(describe, bucket, monkeypatch, tmp_path,
                                                         capsys, keep):  # fmt: skip
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    for path in write_run(tmp_path, *random_run(4)).iterdir():
        bucket.objects[f"gs://bucket/dry/{path.name}"] = path.read_bytes()
    before, graph = dict(bucket.objects), tmp_path / "graph.json"
    words = ["tfmem", "estimate", "gs://bucket/dry/*.tfrecord", "--labels",
             "gs://bucket/dry/labels.npz", "--out", "gs://bucket/dry", "--", *DATAFLOW,
             *[f"--dataflow_job_file={graph}"] * keep]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DataflowRunner, "run_pipeline", describe.submit)
        patch.setattr(sys, "argv", words)
        main()
    (last,) = capsys.readouterr().out.splitlines()
    assert last.startswith("Dry run: nothing was sent")
    assert graph.exists() == keep == last.endswith(str(graph))
    assert not keep or "CountClass" in str(json.loads(graph.read_text())["components"])
    assert bucket.objects == before


def test_estimates_in_a_bucket_are_those_in_a_folder_without_tensorflow(tmp_path, bucket):
    records, labels = random_run()
    predictions = write_run(tmp_path, records, labels, shards=3)
    aggregate(tmp_path)
    for path in predictions.iterdir():
        bucket.objects[f"gs://bucket/small/{path.name}"] = path.read_bytes()
    folders = {kind: f"gs://bucket/small/{kind}" for kind in KINDS}
    estimate("gs://bucket/small/*.tfrecord", "gs://bucket/small/labels.npz", folders, SELECTION)
    made = {name.removeprefix("gs://bucket/small/"): found
            for name, found in bucket.objects.items()
            if name.startswith(tuple(folders.values()))}  # fmt: skip
    assert made == contents(tmp_path)
    with pytest.raises(ImportError):
        import tensorflow  # noqa: F401
