"""Images of counts of any size, and the memory of processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint16]

SPACING, SIGMA = 16.0, 2.0
"""Pixels between the columns of the lattice, Gaussians, and their width."""
ROWS = 512
"""Rows that are drawn at once."""


def counts(size: int, seed: int = 0) -> Image:
    """(size, size) uint16 counts of a square lattice, drawn a few rows at a time."""
    import numpy as np

    rng = np.random.default_rng(seed)
    away = np.arange(size) % SPACING - 0.5 * SPACING
    profile = np.exp(-0.5 * (away / SIGMA) ** 2)
    image = np.empty((size, size), np.uint16)
    for top in range(0, size, ROWS):
        expected = 20.0 + 200.0 * np.outer(profile[top : top + ROWS], profile)
        image[top : top + ROWS] = rng.poisson(expected)
    return image


def resident_peak() -> int:
    """Largest resident set of this process so far, bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cpu_seconds() -> float:
    """CPU time of this process and of those that have ended in it."""
    own = os.times()
    return own.user + own.system + own.children_user + own.children_system


def in_new_process(*words: str) -> dict[str, Any]:
    """The figures that a benchmark prints as JSON on its last line, run by a process of its own."""
    command = [sys.executable, "-m", "benchmarks", *words]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures
