"""All panels opened, used and closed with their viewer, again and again, by one of Qt's bindings.

    python -m benchmarks window repeats [--repeats 50]
    QT_API=pyside6 python -m benchmarks window repeats

For faults that show now and then, such as a crash when objects of Qt and Python go in another
order. Each repeat opens a viewer with an image, then all panels of the plugin in an order of its
own, simulates a small image and segments the first one, closes some docks by hand and the viewer
with the others, and collects garbage. A crash ends the program with the traceback of all threads.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import time
from typing import Any

import numpy as np

from benchmarks.window.heartbeat import Heart, Script, closed, opened, panels, ready, viewer

_SIDE = 96


def repeat(number: int) -> int:
    """Open, use and close everything once; return how many panels there were."""
    rng, heart = np.random.default_rng(number), Heart()
    window: Any = viewer()
    window.add_image(rng.poisson(9.0, (_SIDE, _SIDE)).astype(np.float32), name="noise")
    every: dict[str, tuple[Any, Any]] = {}

    def script() -> Script:
        for name in rng.permutation(panels()):
            every[name] = dock, panel = opened(window, str(name))
            yield lambda panel=panel: ready(panel)
        for name in ("Simulate", "Segment"):
            dock, panel = every[name]
            dock.raise_()
            if name == "Simulate":
                panel.shape = (_SIDE, _SIDE)
            else:
                panel.image = "noise"
            job = panel.run()
            yield lambda job=job: job.done
            if job.error is not None:
                raise RuntimeError(f"{name} failed: {job.error}")
        for name in rng.permutation(list(every))[:4]:
            closed(window, every.pop(str(name))[0])
            yield 0.05

    heart.follow(script())
    window.close()
    every.clear()
    # What is left of the window goes now, not whenever the collector happens to run.
    window = None
    gc.collect()
    return len(panels())


def arguments(parser: argparse.ArgumentParser) -> None:
    """Repeats."""
    parser.add_argument("--repeats", type=int, default=50)


def run(options: argparse.Namespace) -> None:
    """Print a line each ten repeats, and one at the end."""
    faulthandler.enable()
    import qtpy

    began = time.perf_counter()
    for number in range(options.repeats):
        count = repeat(number)
        if number % 10 == 9:
            print(f"{number + 1} repeats", flush=True)
    seconds = time.perf_counter() - began
    print(
        f"{options.repeats} repeats with {count} panels by {qtpy.API_NAME} "
        f"{qtpy.QT_VERSION}: no crash, {seconds:.0f} s"
    )
