"""Opening each panel for the first and the second time: until it is seen and used, and freezes.

    python -m benchmarks window openings [--panels Simulate Measure] [--quiet-start]

Each panel is opened in a viewer of a process of its own, with an image in it, from inside the event
loop as the menu does, closed, and opened again. A timer beats every 10 ms. Columns: seconds until
the dock is there, until its settings can be changed, and the longest gap between two beats from
the click until 12 s later, which covers what is loaded behind the window; in brackets the processor
time of the program in that gap, for machines that others use too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from benchmarks.window.heartbeat import Heart, Script, closed, opened, panels, ready, viewer

_WATCHED = 12.0
"""Seconds after the first opening in which modules are loaded behind the window."""
_AGAIN = 1.0
"""Seconds that are watched after the second opening."""


def opening(name: str) -> list[dict[str, float]]:
    """Figures of the first and the second opening of a panel, in this process."""
    from benchmarks.speed.inference import lattice_image

    window, heart, found = viewer(), Heart(), []
    window.add_image(lattice_image(512), name="lattice")

    def script() -> Script:
        yield 1.0
        for watched in (_WATCHED, _AGAIN):
            heart.start()
            start = time.perf_counter()
            dock, panel = opened(window, name)
            there = time.perf_counter() - start
            yield lambda panel=panel: ready(panel)
            used = time.perf_counter() - start
            yield max(0.0, watched - used)
            gap = heart.longest
            found.append({"there": there, "ready": used, "gap": gap.seconds, "cpu": gap.cpu})
            closed(window, dock)
            yield 0.3

    heart.follow(script())
    window.close()
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    """Panels."""
    parser.add_argument("--panels", nargs="+", default=[], help="[all]")
    parser.add_argument("--one", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    """Print a line a panel."""
    if options.one:
        print(json.dumps(opening(options.one)))
        return
    from benchmarks import tables

    figures = ("there, s", "settings, s", "longest gap, s")
    tables.begin(
        ["panel", *(f"{which}: {each}" for which in ("first", "again") for each in figures)]
    )
    for name in options.panels or panels():
        tables.line([name, *cells(measured(name))])


def measured(name: str) -> list[dict[str, float]]:
    """`opening` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks", "window", "openings", "--one", name]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: list[dict[str, float]] = json.loads(output.splitlines()[-1])
    return found


def cells(found: list[dict[str, Any]]) -> list[str]:
    """Of the table."""
    return [
        cell
        for each in found
        for cell in (
            f"{each['there']:.2f}",
            f"{each['ready']:.2f}",
            f"{each['gap']:.2f} ({each['cpu']:.2f})",
        )
    ]
