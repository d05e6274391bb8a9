"""CPU seconds and modules from a cold start to the first result, each in a process of its own.

    python -m benchmarks speed starting
    PYTHONPATH=../another-checkout/src python -m benchmarks speed starting

`napari-atomseg localize` and `restore` of an image of 256², the same by Python, and what of it is
`import torch`; the least of the repeats. Compiled files of Python are there already.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from benchmarks import tables

SIZE = 256
TOLD = "\nimport sys, time\nprint('cost', time.process_time(), len(sys.modules))"
CALL = "import tifffile, napari_atomseg as a\na.{0}(tifffile.imread({1!r}))"
COMMAND = """
import sys
from napari_atomseg.__main__ import main
sys.argv = ["napari-atomseg", "{0}", {1!r}, "-o", {2!r}]
try:
    main()
except SystemExit:
    pass
"""


def cost(code: str, repeats: int) -> tuple[float, int]:
    """CPU seconds and modules of some code in a new process."""
    found = []
    for _ in range(repeats):
        command = [sys.executable, "-c", code + TOLD]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, modules = done.stdout.splitlines()[-1].split()[1:]
        found.append((float(seconds), int(modules)))
    return min(found)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Repeats."""
    parser.add_argument("--repeats", type=int, default=3)


def run(options: argparse.Namespace) -> None:
    """Print a line a start."""
    tables.begin(["start", "CPU seconds", "modules"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = str(folder / "image.tif")
        axis = np.exp(10.0 * (np.cos(2 * np.pi * np.arange(SIZE) / 16.0) - 1.0))
        counts = np.random.default_rng(0).poisson(2.0 + 30.0 * np.outer(axis, axis))
        tifffile.imwrite(image, counts.astype(np.float32))
        starts = {"import torch": "import torch"}
        for action, result in (("localize", "a.csv"), ("restore", "b.tif")):
            starts[f"napari_atomseg.{action}"] = CALL.format(action, image)
            starts[f"napari-atomseg {action}"] = COMMAND.format(action, image, str(folder / result))
        for start, code in starts.items():
            seconds, modules = cost(code, options.repeats)
            tables.line([start, f"{seconds:.2f}", str(modules)])
