"""The results in napari, where there is a screen."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_atomseg.demo.job import DemoResult

_TRIAL = "from qtpy.QtWidgets import QApplication; QApplication([])"
_PATIENCE = 60.0
"""Seconds that a first window may take."""


def show(result: DemoResult, *, block: bool = True) -> str | None:
    """Open napari with the layers and wait until it is closed.

    Returns
    -------
    Why there is no window, or None if there was one.
    """
    problem = screen_problem()
    if problem:
        return problem
    from napari_atomseg._napari.show import open_viewer

    open_viewer(
        result.image,
        result.sampling,
        dict(result.restored),
        result.labels,
        result.columns,
        name=result.name,
        block=block,
    )
    return None


def screen_problem() -> str | None:
    """Why no window can be opened here; None if one can.

    Qt ends the whole process where it finds no screen, so that another process tries first.
    """
    if find_spec("napari") is None:
        return 'napari is not installed; run: pip install "napari-atomseg[all]"'
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "no screen here (DISPLAY is not set)"
    try:
        trial = subprocess.run(  # noqa: S603
            [sys.executable, "-c", _TRIAL], capture_output=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return "the screen does not answer"
    if trial.returncode == 0:
        return None
    lines = trial.stderr.decode(errors="replace").strip().splitlines()
    return f"Qt cannot open one ({lines[0] if lines else 'no reason given'})"
