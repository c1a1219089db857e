"""What components need under any orchestrator; `make test-tfx` runs the real ones."""

import pytest

from tfmem.components.attribution import ATTRIBUTION
from tfmem.components.audit import AUDIT
from tfmem.components.experiment import EXPERIMENTS
from tfmem.components.gather import GATHER
from tfmem.components.gradient_scores import GRADIENT_SCORES
from tfmem.components.manifests import resolve, write_manifest
from tfmem.components.parameters import collect, spread
from tfmem.components.references import reference, referenced
from tfmem.components.self_influence import SELF_INFLUENCE
from tfmem.components.train_members import TRAIN_MEMBERS, TRAIN_WITH_CHECKPOINTS
from tfmem.components.train_on_all import TRAIN_ON_ALL
from tfmem.components.train_worker import TRAIN_WORKER
from tfmem.config import from_yaml
from tfmem.messages.errors import InputError
from tfmem.pipelines.audit import audit
from tfmem.pipelines.experiments import step_of
from tfmem.pipelines.gradient_attribution import gradient_attribution
from tfmem.pipelines.memorization import memorization
from tfmem.pipelines.self_influence import self_influence

CONFIG = from_yaml(
    "", ["training.trials=12", "training.epochs=1", "training.stack_size=4", "training.lanes=1"]
)


def test_components_are_found_by_name_and_other_code_is_refused():
    components = [step.component for step in memorization(CONFIG)] + [TRAIN_WORKER, GATHER]
    components += [
        *EXPERIMENTS.values(),
        *SELF_INFLUENCE.values(),
        TRAIN_ON_ALL,
        TRAIN_MEMBERS,
        TRAIN_WITH_CHECKPOINTS,
        *GRADIENT_SCORES.values(),
        AUDIT,
        ATTRIBUTION,
    ]
    assert len({reference(component) for component in components}) == len(components)
    for component in components:
        name = reference(component)
        assert referenced(name, component.version) is component
        with pytest.raises(InputError, match="made with code 0123, here is"):
            referenced(name, "0123")


def test_parameters_of_all_components_survive_an_orchestrator():
    config = CONFIG.model_copy(update={"seed": 2**63 - 1})
    steps = [*audit(config), *memorization(config), *self_influence(config)]
    steps += [step_of(name, config) for name in EXPERIMENTS]
    steps += [step for name in GRADIENT_SCORES for step in gradient_attribution(name, config)]
    for step in steps:
        held = spread(step.component, step.parameters)
        assert {type(value) for value in held.values()} <= {int, str}
        given = {**step.component.inputs, **step.component.optional}
        assert held.keys().isdisjoint({*given, *step.component.outputs})  # one name space there
        assert collect(step.component, held) == step.parameters
        texts = {name: str(value) for name, value in held.items()}  # as Kubeflow has them
        assert collect(step.component, texts) == step.parameters


def test_edited_parameters_are_validated():
    held = spread(GATHER, {"config": GATHER.settings(CONFIG), "folder": "x"})
    crops = '{"augmentation": {"random_resized_crop": true}}'
    for name, text, words in (
        ("training", '{"trials": 1}', r"component gather: training\.trials: expected"),
        ("training", '{"trails": 9}', r"training\.trails: unknown key; did you mean 'trials'"),
        ("training", "{", "training: expected JSON"),
        ("training", crops, "expected training.augmentation.random_resized_crop with dataset"),
    ):
        with pytest.raises(InputError, match=words):
            collect(GATHER, {**held, name: text})


def test_a_list_stands_for_its_folder_until_a_file_of_it_changes(tmp_path):
    artifact, folder = tmp_path / "artifact", tmp_path / "trials"
    artifact.mkdir()
    folder.mkdir()
    assert resolve(artifact) == artifact
    (folder / "a").write_bytes(b"1")
    (folder / "journal").mkdir()
    write_manifest(artifact, folder)
    assert resolve(artifact) == folder
    (folder / "b").write_bytes(b"made later")
    (folder / "journal" / "c").write_bytes(b"not listed")
    assert resolve(artifact) == folder
    (folder / "a").write_bytes(b"2")
    with pytest.raises(InputError, match=r"trials/a: has changed"):
        resolve(artifact)
    (folder / "a").unlink()
    with pytest.raises(InputError, match=r"trials/a: is missing"):
        resolve(artifact)


def test_trials_are_gathered_when_none_is_missing(tmp_path):
    folder = tmp_path / "shared"
    given = {"config": GATHER.settings(CONFIG), "folder": str(folder)}
    outputs = {"predictions": tmp_path / "predictions", "table": tmp_path / "table"}
    outputs["predictions"].mkdir()
    with pytest.raises(InputError, match="no worker has begun here"):
        GATHER.Do({}, outputs, given)
    TRAIN_WORKER.Do({}, {}, {**given, "worker": "1/2"})
    GATHER.Do({}, outputs, given)
    trained = folder / "predictions"
    names = {path.name for path in trained.glob("*") if path.is_file()}
    assert {path.name for path in outputs["predictions"].iterdir()} == names
    assert len(names) == 5
    for name in names:
        assert (outputs["predictions"] / name).read_bytes() == (trained / name).read_bytes()
    assert outputs["table"].read_bytes() == (folder / "trials.csv").read_bytes()
    next(trained.glob("*.tfrecord")).unlink()
    with pytest.raises(InputError, match="1 of 3 shards are missing: run workers again"):
        GATHER.Do({}, outputs, given)
