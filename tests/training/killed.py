"""Kills trainings and lets them go on; `test_failures` looks at what is left.

    python killed.py RECIPE.yaml FOLDER

The processes are forked from this one, which imports all that a training needs and takes no step.
What happened is printed as JSON, a record a killed training.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from safetensors import safe_open

from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.training import train

SHARES = (0.0, 0.5, 1.0)
"""Parts of a checkpoint after which a process dies that writes it."""
ROWS = (1, 5, 10)
"""Validations after which a process is killed, whatever it does then."""


def start(work, *arguments):
    """Run a function in a new process, and return its number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work(*arguments)
        status = 0
    finally:
        os._exit(status)


def end(child):
    """Wait for a process and return its exit code, as `subprocess` has it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dies_writing(recipe, weights, share):
    """Train, and die of SIGKILL when so much of the second checkpoint is on the disk."""
    write, seen = Path.write_bytes, []

    def write_part(path, content):
        seen.append(path.name)
        if sum("checkpoint" in name for name in seen) < 2:
            return write(path, content)
        with path.open("wb", buffering=0) as file:
            file.write(content[: int(share * len(content))])
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    Path.write_bytes = write_part
    train(recipe, weights, device="cpu")


def killed_after(recipe, weights, rows):
    """Train, and be killed from outside, once the table has so many rows."""
    child, table = start(train, recipe, weights), weights.with_suffix(".csv")
    for _ in range(60_000):
        if table.exists() and table.read_text().count("\n") > rows:
            break
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    return end(child)


def record(recipe, weights, code):
    """What a killed training left, and whether it goes on."""
    checkpoint = weights.with_suffix(".checkpoint")
    with safe_open(checkpoint, framework="pt") as file:
        step = json.loads(file.metadata()["checkpoint"])["step"]
    size = checkpoint.stat().st_size
    left = [path.stat().st_size / size for path in weights.parent.glob("*.partial")]
    found = {"name": weights.parent.name, "code": code, "step": step, "left": left}
    return found | {"weights": weights.exists(), "resumed": end(start(train, recipe, weights))}


def main(recipe, folder):
    """Kill trainings at all moments; the whole one is there to compare."""
    token = CancelToken()
    token.cancel()
    with contextlib.suppress(Cancelled):
        train(recipe, folder / "none" / "w.safetensors", cancel=token, device="cpu")
    end(start(train, recipe, folder / "whole" / "w.safetensors"))
    records = []
    for share in SHARES:
        weights = folder / f"writing-{share}" / "w.safetensors"
        code = end(start(dies_writing, recipe, weights, share))
        records.append(record(recipe, weights, code))
    for rows in ROWS:
        weights = folder / f"after-{rows}" / "w.safetensors"
        records.append(record(recipe, weights, killed_after(recipe, weights, rows)))
    sys.stdout.write(json.dumps(records))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
