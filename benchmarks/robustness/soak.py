"""Hundreds of runs in one viewer: what memory, files, threads, objects and layers do meanwhile.

    python -m benchmarks robustness soak [--runs 500] [--seed 0]

Restore, Localize, Measure (one of several measurements) and Simulate run in random order from their
panels in one window, on images of 96 × 96 pixels. After every tenth run the memory of the program
(RSS), open files, threads, objects of Qt, objects of Python and layers are noted. Every fifty runs
print a line; at the end stand the slopes of straight lines through all that was noted after the
first fifty, in which libraries and models are loaded, with their standard errors.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from benchmarks import tables
from benchmarks.window.heartbeat import Heart, Script, Wait, opened, ready, viewer

SIDE = 96
FIRST, EVERY = 50, 10
"""Runs in which libraries and models are loaded, and runs after which it is noted what there is."""
MEASUREMENTS = ("lattice", "spacings", "bonds", "strain", "profile", "cells")
WORKS = ("Restore", "Localize", "Measure", "Simulate")


def counted() -> dict[str, Callable[[], float]]:
    """By name, what is noted."""
    import psutil
    from qtpy.QtCore import QObject
    from qtpy.QtWidgets import QApplication

    process = psutil.Process(os.getpid())

    def objects_of_qt() -> float:
        return sum(len(each.findChildren(QObject)) + 1 for each in QApplication.topLevelWidgets())

    return {
        "RSS, MB": lambda: process.memory_info().rss / 1e6,
        "open files": process.num_fds,
        "threads": process.num_threads,
        "Qt objects": objects_of_qt,
        "Python objects": lambda: len(gc.get_objects()),
    }


def slope(values: np.ndarray) -> tuple[float, float]:
    """Change in a hundred runs of a straight line through noted values, and its standard error."""
    runs = np.arange(len(values)) * EVERY / 100.0
    (rate, _), covariance = np.polyfit(runs, values, 1, cov=True)
    return float(rate), float(np.sqrt(max(covariance[0, 0], 0.0)))


def soaked(runs: int, seed: int) -> tuple[dict[str, np.ndarray], Counter[str]]:
    """What was counted, and how often each kind of work ran or was refused."""
    rng, heart, window = np.random.default_rng(seed), Heart(), viewer()
    done: Counter[str] = Counter()
    noted: dict[str, list[float]] = {}

    def panel_of(name: str) -> Generator[Wait, None, Any]:
        _, door = opened(window, name)
        yield lambda: ready(door)
        return getattr(door, "panel", door)

    def script() -> Script:
        from benchmarks.speed.inference import lattice_image

        window.add_image(lattice_image(SIDE), name="lattice")
        panels = {}
        for name in WORKS:
            panels[name] = yield from panel_of(name)
        panels["Localize"].sampling = 0.1
        panels["Simulate"].shape = (SIDE, SIDE)
        panels["Simulate"].preview = False
        counts = counted()
        noted.update({name: [] for name in (*counts, "layers")})
        for number in range(runs):
            name = WORKS[1] if number == 0 else str(rng.choice(WORKS))
            label, panel = name, panels[name]
            if name == "Measure":
                panel.settings.measure = str(rng.choice(MEASUREMENTS))
                label += f": {panel.settings.measure}"
            elif name != "Simulate":
                panel.image = "lattice"
            before = list(window.layers)
            try:
                job = panel.run()
                yield lambda job=job: job.done
                error = job.error
            except ValueError as refused:  # as the button shows it
                error = refused
            done[f"{label} refused: {error}" if error else label] += 1
            if name == "Simulate":  # every simulated image is a new one, which a user closes
                for layer in [each for each in window.layers if each not in before]:
                    window.layers.remove(layer)
            if number % EVERY != EVERY - 1:
                continue
            yield 0.1  # layers and messages of the last run
            gc.collect()
            for each, count in counts.items():
                noted[each].append(float(count()))
            noted["layers"].append(len(window.layers))
            if (number + 1) % FIRST == 0:
                _line(number + 1, noted, began)

    began = time.perf_counter()
    heart.follow(script())
    window.close()
    return {name: np.array(values) for name, values in noted.items()}, done


def _line(number: int, noted: dict[str, list[float]], began: float) -> None:
    cells = [f"{values[-1]:.0f}" for values in noted.values()]
    tables.line([str(number), *cells, f"{time.perf_counter() - began:.0f}"])
    sys.stdout.flush()


def arguments(parser: argparse.ArgumentParser) -> None:
    """Runs and seed."""
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> None:
    """Print a line each fifty runs, the slopes, and how often everything ran."""
    names = ["RSS, MB", "open files", "threads", "Qt objects", "Python objects", "layers"]
    tables.begin(["runs", *names, "s"])
    noted, done = soaked(options.runs, options.seed)
    print()
    tables.begin(["after the first 50", "least", "most", "change in 100 runs"])
    for name, values in noted.items():
        rate, error = slope(values[FIRST // EVERY :])
        cells = [f"{values[FIRST // EVERY :].min():.0f}", f"{values[FIRST // EVERY :].max():.0f}"]
        tables.line([name, *cells, f"{rate:+.2f} ± {error:.2f}"])
    print()
    for label, count in sorted(done.items()):
        print(f"{count} × {label}")
