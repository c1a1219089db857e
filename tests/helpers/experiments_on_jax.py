"""`python -m tests.helpers.experiments_on_jax FOLDER` conducts all experiments without TensorFlow.

It prints what each says that fails; empty if it succeeds.
"""

import json
import sys
from pathlib import Path

from tests.helpers.on_jax import Refused


def conducted(folder):
    from tests.helpers.tiny import NAMES, TINY
    from tfmem.config import from_yaml
    from tfmem.experiments import sections
    from tfmem.messages.errors import InputError
    from tfmem.pipelines.experiments import experiments
    from tfmem.pipelines.runner import run_chain
    from tfmem.training.digests import with_digests

    config = with_digests(from_yaml("", TINY, experiments=sections))
    said = {}
    for name in NAMES:
        try:
            run_chain(experiments([name], config), folder, lambda line: None)
            said[name] = ""
        except InputError as error:
            said[name] = str(error)
    return said


if __name__ == "__main__":
    sys.meta_path.insert(0, Refused())
    print(json.dumps(conducted(Path(sys.argv[1]))))
