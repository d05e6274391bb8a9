"""Samples a second that are simulated and written as a library, with all twelve targets.

    python -m benchmarks speed library
    PYTHONPATH=../another-checkout/src python -m benchmarks speed library

In this process: samples per second of CPU time, and how long a sample is simulated and written. By
`--workers` processes: samples per second of wall time, start of the processes included. The library
is written into a folder that is removed. "simulate" is the simulation alone in the same run, which
writing is compared with: seconds of different runs do not bear comparison where other work is
running. "take apart" makes texts of tables, "write" codes pictures and writes files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import tables
from napari_atomseg.simulation import sample, write_library
from napari_atomseg.simulation.library import folders, zarr_store
from napari_atomseg.simulation.library.layout import BLOCK, Parts, take_apart

RECIPE = "temimagenet"
WARM = 32
"""Samples before, for which crystals are projected once."""


def cpu_seconds(layout: str, count: int, folder: Path) -> float:
    """Of a sample that is written in this process."""
    start = time.process_time()
    write_library(folder / layout, RECIPE, count, layout=layout, workers=1)
    return (time.process_time() - start) / count


def writing_seconds(layout: str, blocks: list[list[Parts]], folder: Path) -> float:
    """CPU seconds of a sample's files, without its simulation."""
    place, count = folder / f"{layout}-parts", sum(map(len, blocks))
    if layout == "zarr":
        zarr_store.prepare(place, blocks[0][0], count)
    start = time.process_time()
    for number, block in enumerate(blocks):
        if layout == "zarr":
            zarr_store.write_block(place, number, block)
        else:
            folders.write_block(place, block)
    return (time.process_time() - start) / count


def wall_seconds(layout: str, count: int, workers: int | None, folder: Path) -> float:
    """Of a sample that several processes write."""
    start = time.perf_counter()
    write_library(folder / f"{layout}-several", RECIPE, count, layout=layout, workers=workers)
    return (time.perf_counter() - start) / count


def arguments(parser: argparse.ArgumentParser) -> None:
    """Samples and processes."""
    parser.add_argument("--count", type=int, default=128, help="samples, a multiple of 32")
    parser.add_argument("--workers", type=int, help="processes; 0 leaves them out [all cores]")


def run(options: argparse.Namespace) -> None:
    """Print a line a layout."""
    import torch

    torch.set_num_threads(1)
    for index in range(WARM + options.count):
        sample(RECIPE, index)
    start = time.process_time()
    made = [sample(RECIPE, index) for index in range(options.count)]
    simulate = (time.process_time() - start) / options.count
    start = time.process_time()
    parts = [take_apart(each, index) for index, each in enumerate(made)]
    apart = (time.process_time() - start) / options.count
    blocks = [parts[first : first + BLOCK] for first in range(0, options.count, BLOCK)]
    names = ["layout", "simulate, ms", "take apart, ms", "write, ms", "all, ms"]
    tables.begin([*names, "all over simulate", "a second of CPU", "a second, by processes"])
    with tempfile.TemporaryDirectory() as folder:
        for layout in ("folders", "zarr"):
            write = writing_seconds(layout, blocks, Path(folder))
            whole = cpu_seconds(layout, options.count, Path(folder))
            cells = [layout, *(f"{1e3 * each:.1f}" for each in (simulate, apart, write, whole))]
            several = ""
            if options.workers != 0:
                count = 8 * options.count
                one = wall_seconds(layout, count, options.workers, Path(folder))
                several = f"{1.0 / one:.0f}"
            tables.line([*cells, f"{whole / simulate:.2f}", f"{1.0 / whole:.1f}", several])
