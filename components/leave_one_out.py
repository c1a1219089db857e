"""Compares estimates with leave-one-out."""

from __future__ import annotations

from pathlib import Path

from tfmem.components.experiment import LeaveOneOut, experiment
from tfmem.config import Config
from tfmem.experiments.leave_one_out import leave_one_out
from tfmem.experiments.needs import check_statistic
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run
from tfmem.experiments.summed import records_in
from tfmem.figures.leave_one_out import leave_one_out_figure


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """Chooses examples by the run's memorization."""
    check_statistic(run.statistic)
    return leave_one_out(
        config, run.dataset, run.memorization, lambda: records_in(run.predictions), folder
    )


LEAVE_ONE_OUT = experiment(LeaveOneOut, conduct, leave_one_out_figure)
