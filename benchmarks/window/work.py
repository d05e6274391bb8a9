"""Work started from panels: first message, freezes while it runs and when it ends, and Cancel.

    python -m benchmarks window work [--work restore localize] [--side 2048] [--moments 10]

Each kind of work runs in a viewer of a process of its own, on a simulated noisy lattice: twice, of
which the second is measured (models are loaded then), and again for each moment of the cancelling,
which are drawn from the time that it takes, or the first 20 s of it. Columns: seconds that it
takes; until the panel says what it does; longest gap of the event loop while it runs, and from its
end until a second later, when its layers are there (in brackets processor seconds of the program in
that gap); and seconds from Cancel until the panel can run again, median and longest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from benchmarks.window.heartbeat import Gap, Heart, Script, opened, ready, viewer

_LONGEST = 20.0
"""Seconds after the start within which work is cancelled."""
_SMALL = 512
"""Pixels a side of images for work that is not measured at full size."""
_FRAMES = 8


@dataclass
class Timed:
    """What was seen of one kind of work; seconds."""

    name: str
    seconds: float = 0.0
    message: float = 0.0
    working: Gap = field(default_factory=Gap)
    adding: Gap = field(default_factory=Gap)
    cancelled: list[float] = field(default_factory=list)
    error: str = ""


def works() -> dict[str, Callable[..., Iterator[Any]]]:
    """By name, what makes the panels ready and gives the names of what is run in them."""
    simple = {
        "restore": ("Restore", {}),
        "localize": ("Localize", {}),
        "segment": ("Segment", {}),
        "scan": ("Scan", {"scan": "rows"}),
    }
    made: dict[str, Callable[..., Iterator[Any]]] = {
        name: _on_image(panel, settings) for name, (panel, settings) in simple.items()
    }
    return made | {"align": _align, "simulate": _simulate, "measure": _measure, "train": _train}


def _on_image(name: str, settings: dict[str, Any]) -> Callable[..., Iterator[Any]]:
    def prepare(window: Any, side: int) -> Iterator[Any]:
        from benchmarks.speed.inference import lattice_image

        window.add_image(lattice_image(side), name="lattice")
        panel = yield from _opened(window, name)
        for key, value in settings.items():
            setattr(panel, key, value)
        yield name, panel

    return prepare


def _opened(window: Any, name: str) -> Generator[Any, None, Any]:
    """Open a panel, wait until it is ready, and return it."""
    _, panel = opened(window, name)
    yield lambda: ready(panel)
    return getattr(panel, "panel", panel)


def _align(window: Any, side: int) -> Iterator[Any]:
    from benchmarks.speed.inference import lattice_image

    image, rng = lattice_image(min(side, _SMALL) + _FRAMES), np.random.default_rng(0)
    size = min(side, _SMALL)
    frames = [image[k : k + size, :size] for k in range(_FRAMES)]
    window.add_image(np.stack(frames) + rng.normal(size=(_FRAMES, size, size)), name="stack")
    panel = yield from _opened(window, "Align")
    yield "Align", panel


def _simulate(window: Any, side: int) -> Iterator[Any]:
    panel = yield from _opened(window, "Simulate")
    panel.preview = False
    panel.shape = (min(side, 1024),) * 2
    yield "Simulate", panel


def _measure(window: Any, side: int) -> Iterator[Any]:
    from benchmarks.speed.inference import lattice_image
    from napari_atomseg.measurements import MEASUREMENTS

    window.add_image(lattice_image(min(side, _SMALL)), name="lattice")
    finder = yield from _opened(window, "Localize")
    finder.sampling = 0.1
    job = finder.run()
    yield lambda: job.done
    panel = yield from _opened(window, "Measure")
    for name in MEASUREMENTS:
        panel.settings.measure = name
        yield f"Measure: {name}", panel


def _train(window: Any, side: int) -> Iterator[Any]:
    panel = yield from _opened(window, "Train")
    training = panel.training
    training.settings.steps = 4
    training.settings.name = "window-benchmark"
    yield "Train", training


def timed(name: str, side: int, moments: int) -> list[Timed]:
    """Figures of one kind of work, in this process."""
    window, heart, found = viewer(), Heart(), []
    rng = np.random.default_rng(0)

    def script() -> Script:
        yield 0.5
        for item in works()[name](window, side):
            if not isinstance(item, tuple):
                yield item
                continue
            label, panel = item
            result = Timed(label)
            found.append(result)
            for _ in range(2):
                yield from _run(heart, panel, result)
            for share in () if result.error else rng.uniform(0.02, 0.98, moments):
                yield from _cancel(panel, float(share) * min(result.seconds, _LONGEST), result)

    heart.follow(script())
    window.close()
    return found


def _run(heart: Heart, panel: Any, result: Timed) -> Script:
    heart.start()
    began = time.perf_counter()
    job = panel.run()
    ended: list[float] = []

    def settled() -> None:
        ended.append(time.perf_counter())
        result.working = heart.longest
        heart.start()

    if not job.done:
        job.settled.connect(settled)
        yield lambda: bool(panel.message.text())
        result.message = time.perf_counter() - began
        yield lambda: bool(ended)
    result.seconds = (ended or [time.perf_counter()])[0] - began
    result.error = "" if job.error is None else str(job.error).partition("\n")[0]
    yield 1.0
    result.adding = heart.longest


def _cancel(panel: Any, moment: float, result: Timed) -> Script:
    job = panel.run()
    yield moment
    if job.done:
        return
    asked = time.perf_counter()
    panel.cancel()
    yield lambda: job.done
    result.cancelled.append(time.perf_counter() - asked)
    yield 0.2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Kinds of work, size and moments."""
    every = list(works())
    parser.add_argument("--work", nargs="+", choices=every, default=every)
    parser.add_argument("--side", type=int, default=2048, help="of images [%(default)s]")
    parser.add_argument("--moments", type=int, default=10, help="of cancelling [%(default)s]")
    parser.add_argument("--one", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    """Print a line for each kind of work, and for each measurement."""
    if options.one:
        found = timed(options.one, options.side, options.moments)
        print(json.dumps([asdict(each) for each in found]))
        return
    from benchmarks import tables

    names = ["s", "first message, s", "gap working, s", "gap adding, s"]
    tables.begin(["work", *names, "cancelled after, s (median, longest)"])
    for name in options.work:
        command = [sys.executable, "-m", "benchmarks", "window", "work", "--one", name]
        command += ["--side", str(options.side), "--moments", str(options.moments)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        for each in json.loads(output.splitlines()[-1]):
            tables.line(_cells(each))


def _cells(found: dict[str, Any]) -> list[str]:
    if found["error"]:
        return [found["name"], found["error"], "", "", "", ""]
    gaps = (Gap(**found[name]) for name in ("working", "adding"))
    after = found["cancelled"]
    told = f"{statistics.median(after):.2f}, {max(after):.2f} of {len(after)}" if after else ""
    numbers = [f"{found['seconds']:.1f}", f"{found['message']:.2f}"]
    return [found["name"], *numbers, *map(str, gaps), told]
