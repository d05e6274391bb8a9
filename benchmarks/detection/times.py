"""Seconds of `localize` for images of many sizes, beside those of another checkout in the same run.

    python -m benchmarks detection times
    python -m benchmarks detection times --sizes 256 1024 --beside ../napari-atomseg-1.0

Each figure is the median of the repeats in a process of its own, in which a small image went before
so that the network is loaded. The other checkout's package is imported from its `src`; the two
take turns, size by size, so that both meet the same load. The images are noisy square lattices with
a faint sublattice.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import options as shared

ROOT = Path(__file__).parents[2]
SPACING = 20.0
"""Of the bright columns, pixels."""
FAINT = 0.3
"""Height of the faint columns over that of the bright ones."""
MOST = 1.5
"""Times of another checkout that are allowed."""


def lattice_image(size: int) -> Any:
    """(size, size) float32 electrons of two square sublattices."""
    import numpy as np

    axis = 2 * np.pi * np.arange(size) / SPACING
    profiles = [np.exp(10.0 * (np.cos(axis + shift) - 1.0)) for shift in (0.0, np.pi)]
    bright, faint = (np.outer(profile, profile) for profile in profiles)
    expected = 2.0 + 30.0 * (bright + FAINT * faint)
    return np.random.default_rng(0).poisson(expected).astype(np.float32)


def measure(size: int, repeats: int, model: str | None) -> dict[str, float]:
    """Median seconds and columns of one size, in this process."""
    import napari_atomseg as atomseg

    chosen: dict[str, Any] = {} if model is None else {"model": model}
    atomseg.localize(lattice_image(128), **chosen)
    image, seconds = lattice_image(size), []
    for _ in range(repeats):
        start = time.perf_counter()
        table = atomseg.localize(image, **chosen)
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "columns": len(table)}


def measure_afresh(source: Path, size: int, options: argparse.Namespace) -> dict[str, float]:
    """`measure` in a new process, with the package of a checkout."""
    command = [sys.executable, "-m", "benchmarks", "detection", "times", "--one", str(size)]
    command += ["--repeats", str(options.repeats), "--threads", str(options.threads)]
    command += [] if options.model is None else ["--model", options.model]
    surroundings = os.environ | {"PYTHONPATH": str(source / "src")}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=surroundings
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes, repeats and the other checkout."""
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--beside", type=Path, help="another checkout of this repository")
    parser.add_argument("--model", help="name or weights file [the default of localize]")
    parser.add_argument("--one", type=int, metavar="SIZE", help=argparse.SUPPRESS)
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Measure each size and print."""
    if options.one:
        print(json.dumps(measure(options.one, options.repeats, options.model)))
        return
    from benchmarks import tables

    print(f"threads: {options.threads}, median of {options.repeats}\n")
    names = ["image", "columns", "seconds"]
    if options.beside:
        names += ["columns beside", "seconds beside", "ratio", "aim", "reached"]
    tables.begin(names)
    for size in options.sizes:
        here = measure_afresh(ROOT, size, options)
        cells = [f"{size}²", str(here["columns"]), f"{here['seconds']:.2f}"]
        if options.beside:
            there = measure_afresh(options.beside.resolve(), size, options)
            ratio = here["seconds"] / there["seconds"]
            cells += [str(there["columns"]), f"{there['seconds']:.2f}", f"{ratio:.2f}"]
            cells += [f"≤ {MOST:g}", "yes" if ratio <= MOST else "no"]
        tables.line(cells)
    print(flush=True)
