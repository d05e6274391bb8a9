"""Libraries of a shipped recipe, written by one process and by several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.simulation import sample
from napari_atomseg.simulation.library.layout import BLOCK
from napari_atomseg.simulation.library.read import LibraryError, open_library, write_library

SHAPE = (32, 32)
COUNT = 100


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
def test_any_number_of_processes_writes_the_same_bytes(tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 3, "shape": SHAPE, "layout": "zarr"}
    alone = write_library(tmp_path / "alone" / "library", "temimagenet", COUNT, **options)
    # One that is stopped after its first block, and two that go on.
    shared, cancel = tmp_path / "shared" / "library", CancelToken()

    def stop(done: int, total: int, message: str) -> None:
        if done > COUNT // 3:
            cancel.cancel()

    with pytest.raises(Cancelled):
        write_library(shared, "temimagenet", COUNT, progress=stop, cancel=cancel, **options)
    with pytest.raises(LibraryError, match="unfinished"):
        open_library(shared)
    seen: list[int] = []
    write_library(
        shared,
        "temimagenet",
        COUNT,
        workers=4,
        progress=lambda done, *_: seen.append(done),
        **options,
    )
    assert (seen[0], seen[-1]) == (BLOCK, COUNT)
    assert contents(shared) == contents(alone)
    open_library(shared, verify=True)


def test_a_sample_of_a_library_is_the_sample_of_the_recipe(tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 1, "shape": SHAPE, "start": 4, "layout": "zarr"}
    stored = open_library(write_library(tmp_path / "library", "temimagenet", 2, **options))[1]
    made = sample("temimagenet", 5, 1, SHAPE)
    assert len(made.columns)
    np.testing.assert_array_equal(stored.image, made.image)
    assert set(stored.targets) == set(made.targets)
    for name, target in made.targets.items():
        if isinstance(target, pd.DataFrame):
            pd.testing.assert_frame_equal(stored.targets[name], target)
        else:
            np.testing.assert_array_equal(stored.targets[name], target)
    pd.testing.assert_frame_equal(stored.columns, made.columns)
    assert stored.sampling == made.sampling
    assert stored.settings["elements"] == made.facts["elements"]


def test_the_recipe_says_the_size_unless_told_otherwise(tmp_path: Path) -> None:
    recipe = {"extends": "temimagenet", "shape": [48, 64]}
    library = open_library(write_library(tmp_path / "library", recipe, 1))
    assert library.image(0).shape == (48, 64)


def test_an_unknown_recipe_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unobtainium"):
        write_library(tmp_path / "library", "unobtainium", 1)
    assert not (tmp_path / "library").exists()


@pytest.mark.parametrize("layout", ["folders", "zarr"])
def test_scenes_without_columns_are_stored_too(layout: Any, tmp_path: Path) -> None:
    library = open_library(
        write_library(tmp_path / "library", "lr-stem", 1, shape=SHAPE, layout=layout)
    )
    stored, made = library[0], sample("lr-stem", 0, 0, SHAPE)
    assert stored.targets["element_maps"].shape == made.targets["element_maps"].shape == (0, *SHAPE)
    assert list(stored.columns) == list(made.columns)
    assert len(stored.columns) == len(stored.targets["position"]) == 0
    assert library.table["zone_axis"].tolist() == [""]
