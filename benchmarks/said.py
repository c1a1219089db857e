"""Keeps what commands of tfmem say, for the pages that quote them.

    python -m benchmarks.said training/power --record

conducts the commands of one file in `docs/measured`, in folders below `--out`, and keeps the lines
that they print. What is complete in these folders is not made again.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measured import Record, quantity, recording, spent

COMMANDS = {
    "training/power": (
        "tfmem plan imagenet_resnet50 --sizes 1281167,50000,1000 --pairs all --trial-hours 50 "
        "--machines 64",
    ),
}


def conduct(line: str, out: Path) -> list[str]:
    """Runs a command, whose runs get folders in another, and returns the lines that it prints."""
    words = [
        str(out / each.removeprefix("runs/")) if each.startswith("runs/") else each
        for each in shlex.split(line)
    ]
    program = Path(sys.executable).with_name(words[0])
    done = subprocess.run([program, *words[1:]], check=True, stdout=subprocess.PIPE, text=True)
    return [each.replace(f"{out}/", "runs/") for each in done.stdout.splitlines() if each.strip()]


def main() -> None:
    """Runs the commands of the files that are named, and prints or records what they say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*COMMANDS, []], default=list(COMMANDS))
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs")
    recording(parser)
    arguments = parser.parse_args()
    for name in arguments.names:
        record = Record(name)
        for line in COMMANDS[name]:
            clock, busy = time.perf_counter(), spent()["CPU"]
            said = conduct(line, arguments.out)
            print("\n".join([line, *said]), flush=True)
            record.values[line] = said
            took = quantity(time.perf_counter() - clock, unit="s")
            record.values[f"{line}: time, processor time"] = [
                took,
                quantity(spent()["CPU"] - busy, unit="s"),
            ]
        if arguments.record:
            record.write(commands=COMMANDS[name])


if __name__ == "__main__":
    main()
