"""Compares architectures on one data set, and a last layer alone, with the first architecture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tfmem.components.comparison import ComparisonPage, comparing
from tfmem.config import Config, differences
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.pipelines.experiments import experiment
from tfmem.pipelines.memorization import memorization
from tfmem.pipelines.runner import configured, run_chain
from tfmem.store.artifacts import RunComparison
from tfmem.training import check_directory


def comparison(configs: Mapping[str, Config], out: Path, last_layer: bool) -> None:
    """Runs all configurations, each in a folder of its own, and compares them.

    Trials with equal seeds have equal subsets, and would agree more than independent trials. So a
    seed that an earlier configuration has is raised until no other has it.

    Args:
      configs: the configurations, by the name of their folder; the others are compared with the
        first.
      out: receives the folders, `comparison` and the page.
      last_layer: whether the last layer of the first model is also trained alone.

    Raises:
      InputError: before anything is run, if there are fewer than two configurations, if they are
        not of one data set, or if a folder holds another run.
    """
    configs = _with_seeds_of_their_own(configs)
    _check(configs, out)
    reference, *others = configs
    for name in (reference, *others):
        say(f"--- {name}")
        if last_layer and name == reference:
            run_chain(experiment("last-layer", configs[name], out / name), out / name)
        else:
            run_chain(memorization(configs[name]), out / name)
    say("--- comparison")
    component = comparing(list(configs), last_layer)
    run_chain([configured(component, configs[reference])], out)


def _with_seeds_of_their_own(configs: Mapping[str, Config]) -> dict[str, Config]:
    found: dict[str, Config] = {}
    for name, config in configs.items():
        seed, taken = config.seed, {each.seed for each in found.values()}
        while seed in taken:
            seed += 1
        found[name] = config.model_copy(update={"seed": seed})
    return found


def _check(configs: Mapping[str, Config], out: Path) -> None:
    if len(configs) < 2:
        raise InputError(f"expected two configurations to compare, received {len(configs)}")
    reference, *others = configs
    if taken := {RunComparison.place, ComparisonPage.place} & configs.keys():
        raise InputError(
            f"{taken.pop()}.yaml: expected a file of another name: runs get folders with these "
            f"names in {out}, and the comparison has its own there"
        )
    for name in others:
        known = configs[reference].dataset.identity()
        if changed := differences(known, configs[name].dataset.identity()):
            raise InputError(
                f"{name}: of other data than {reference} ({'; '.join(changed)}); compare finished "
                "runs on other forms of the same examples with `tfmem consistency --other-inputs`"
            )
    for name, config in configs.items():
        check_directory(out / name / "predictions", config)
        (out / name).mkdir(parents=True, exist_ok=True)
