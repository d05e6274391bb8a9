"""Peak memory and time of a film worked on frame by frame, in one process and on dask workers.

    python -m benchmarks scale films [--frames 1000] [--size 512] [--workers 2]
    python -m benchmarks scale films --action restore

The film is a Zarr of uint16 counts in a temporary folder. It is localized, or restored, in one
process, then by workers of a LocalCluster, then by these with one of them killed when a quarter is
done: what it was doing is done again. Each run is `run_files` of one workflow, which writes a table
or an image a frame; numbers of those of the three runs are compared. Memory is the largest resident
set of this process and of its workers together, looked at four times a second, above that before
the run. A table in Markdown is printed, a line a run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.scale import common

WAIT = 0.25
"""Seconds between two looks at the memory."""


class Watch:
    """Memory of this process and its children, and their CPU time, while a run goes on."""

    def __init__(self) -> None:
        self.peak, self.cpu = 0, 0.0
        self._seen: dict[int, float] = {}
        self._going = True
        self._look()
        self._first = self.peak
        self._began = sum(self._seen.values())
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Set the peak above the beginning, and the CPU time since then."""
        self._going = False
        self._thread.join()
        self._look()
        self.peak -= self._first
        self.cpu = sum(self._seen.values()) - self._began

    def _watch(self) -> None:
        while self._going:
            self._look()
            time.sleep(WAIT)

    def _look(self) -> None:
        import psutil

        own = psutil.Process()
        total = 0
        for process in [own, *own.children(recursive=True)]:
            try:
                total += process.memory_info().rss
                spent = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            self._seen[process.pid] = spent.user + spent.system
        self.peak = max(self.peak, total)


def write_film(path: Path, frames: int, size: int) -> None:
    """A Zarr (frames, size, size) of counts, a chunk a frame."""
    import zarr

    array = zarr.create_array(
        path, shape=(frames, size, size), chunks=(1, size, size), dtype="uint16", zarr_format=3
    )
    for number in range(frames):
        array[number] = common.counts(size, seed=number)


def work_on(
    film: Path, action: str, folder: Path, client: Any, done: Callable[[Any], None] | None
) -> list[Any]:
    """One run of all frames."""
    from napari_atomseg.workflow import Workflow, frames, run_files

    steps = Workflow.of([{"name": "result", "action": action, "settings": {}}])
    found = run_files(steps, frames(film), folder, client=client, done=done)
    failed = [each for each in found if each.status != "done"]
    if failed:
        sys.exit(f"{len(failed)} frames failed, the first one: {failed[0].reason}")
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is done, frames, their size, and the workers."""
    parser.add_argument("--action", choices=("localize", "restore"), default="localize")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--workers", type=int, default=2)
    shared.threads(parser, 2)


def run(options: argparse.Namespace) -> None:
    """Print a line for each way."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_film(folder / "film.zarr", options.frames, options.size)
        print(f"{options.action}: {options.frames} frames of {options.size}²\n")
        tables.begin(["run", "wall s", "CPU s", "CPU s a frame", "memory GiB", "columns"])
        runs = {"one process": None, "workers": False, "workers, one killed": True}
        first, *others = [
            line(label, killed, options, folder, f"run-{number}")
            for number, (label, killed) in enumerate(runs.items())
        ]
    scale = np.abs(first).max(axis=0)
    most = max(float((np.abs(each - first) / scale).max()) for each in others)
    print(f"\nThe results of the runs differ by {most:.1g} of their size at most.")


def line(
    label: str, killed: bool | None, options: argparse.Namespace, folder: Path, place: str
) -> NDArray[np.float64]:
    """Do and print one run; returns numbers of each frame's result, a line a frame: the number of
    columns and their error, or those of `restored`.
    """
    film, target = folder / "film.zarr", folder / place
    watch = Watch()
    start = time.perf_counter()
    if killed is None:
        found = work_on(film, options.action, target, None, None)
    else:
        from distributed import Client, LocalCluster

        with (
            LocalCluster(
                n_workers=options.workers, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            count: list[Any] = []

            def kill(result: Any) -> None:
                count.append(result)
                if killed and len(count) == max(1, options.frames // 4):
                    next(iter(cluster.workers.values())).process.process.kill()

            found = work_on(film, options.action, target, client, kill)
    seconds = time.perf_counter() - start
    watch.stop()
    tables.line(
        [
            label,
            f"{seconds:.0f}",
            f"{watch.cpu:.0f}",
            f"{watch.cpu / options.frames:.2f}",
            f"{watch.peak / 2**30:.2f}",
            str(sum(each.columns or 0 for each in found)),
        ]
    )
    if options.action == "localize":
        return np.array([(each.columns, each.error) for each in found], dtype=np.float64)
    return np.array([restored(file) for file in sorted(target.rglob("*.tif"))])


def restored(file: Path) -> tuple[float, float, float]:
    """Mean, deviation and a sum with random weights of the pixels of a restored frame."""
    from napari_atomseg.io import read_image

    plane = read_image(file).data.astype(np.float64)
    weights = np.random.default_rng(0).normal(size=plane.shape) / np.sqrt(plane.size)
    return float(plane.mean()), float(plane.std()), float((plane * weights).sum())
