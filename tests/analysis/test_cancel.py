"""Long measurements say how far they are, and stop where they are asked to."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import (
    count_by_library,
    count_by_mixture,
    geometric_phase,
    link_tracks,
)
from napari_atomseg.progress import Cancelled, CancelToken

_RNG = np.random.default_rng(0)
_SECTIONS = pd.DataFrame({"volume": np.repeat([10.0, 19.0, 27.0], 30) + _RNG.normal(0.0, 0.2, 90)})
_STACK = pd.DataFrame(
    [(frame, 10.0 * i, 10.0 * j) for frame in range(6) for i in range(4) for j in range(4)],
    columns=["frame", "y", "x"],
)
_Y, _X = np.mgrid[:128, :128]
_FRINGES = np.cos(2 * np.pi * _Y / 8) + np.cos(2 * np.pi * _X / 8)

LONG = {
    "mixture": partial(count_by_mixture, _SECTIONS, 5),
    "library": partial(count_by_library, _SECTIONS, [1.0, 1.9, 2.7, 3.4], scale=None),
    "phase": partial(geometric_phase, _FRINGES),
    "tracks": partial(link_tracks, _STACK),
}


@pytest.mark.parametrize("name", LONG)
def test_progress_rises_and_changes_nothing(name: str) -> None:
    said: list[float] = []
    LONG[name](progress=lambda done, total, _text: said.append(done / total))
    assert len(said) >= 3
    assert said == sorted(said)
    assert 0.0 <= said[0] < 0.3
    assert said[-1] <= 1.0


@pytest.mark.parametrize("name", LONG)
def test_cancelling_stops_at_the_next_step(name: str) -> None:
    cancel, said = CancelToken(), list[Any]()

    def stop(done: int, total: int, text: str) -> None:
        said.append(done)
        if done == 2:
            cancel.cancel()

    with pytest.raises(Cancelled):
        LONG[name](progress=stop, cancel=cancel)
    assert said[-1] == 2
