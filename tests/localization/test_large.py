"""Large images are worked on in windows, with the result of one piece."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from napari_atomseg.inference import restore, windows
from napari_atomseg.localization import localize, segment

SHAPE = (410, 390)
SPACING, SIGMA = 13.0, 1.8


@pytest.fixture(scope="module")
def image() -> Any:
    """Columns on a lattice in half of the image, and vacuum in the other; counts."""
    rows, cols = (np.arange(n) for n in SHAPE)
    away = [each % SPACING - 0.5 * SPACING for each in (rows, cols)]
    profile = [np.exp(-0.5 * (each / SIGMA) ** 2) for each in away]
    expected = 20.0 + 300.0 * np.outer(*profile) * (cols < 18 * SPACING)
    return np.random.default_rng(2).poisson(expected).astype(np.float32)


@pytest.fixture
def in_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Images of more than 200² pixels are large, and their windows small."""
    monkeypatch.setattr(windows, "LARGEST", 200**2)
    monkeypatch.setattr(windows, "SIDE", 320)
    return


def test_windows_cover_an_image_and_see_around_their_cores() -> None:
    every = windows.windows((5000, 3000), 2048, 192)
    owned, seen = np.zeros((5000, 3000), int), np.zeros((5000, 3000), int)
    for each in every:
        core, tile = each.core, each.seen
        owned[core.top : core.bottom, core.left : core.right] += 1
        seen[tile.top : tile.bottom, tile.left : tile.right] += 1
        assert max(tile.bottom - tile.top, tile.right - tile.left) <= 2048
        inner = (core.top - tile.top, core.left - tile.left)
        assert all(margin in (0, 96) for margin in inner)
    assert (owned == 1).all()
    assert seen.max() <= 4


@pytest.mark.parametrize("detector", [pytest.param("network", marks=pytest.mark.slow), "peaks"])
def test_columns_of_windows_are_those_of_the_whole_each_once(
    image: Any, in_windows: None, detector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []

    def progress(done: int, total: int, message: str) -> None:
        told.extend([done / total] if total else [])

    options: dict[str, Any] = {"detector": detector, "sampling": 0.2}
    parts = localize(image, **options, progress=progress)
    if detector == "peaks":
        lazy = localize(da.from_array(image, chunks=200), **options)
        pd.testing.assert_frame_equal(lazy, parts)
    labels = segment(image, sampling=0.2) if detector == "network" else None
    monkeypatch.setattr(windows, "LARGEST", image.size)
    whole = localize(image, **options)

    # The border of the image cuts columns, whose fits are not sure.
    whole, parts = (
        each[each["y"].between(3, SHAPE[0] - 4) & each["x"].between(3, SHAPE[1] - 4)]
        for each in (whole, parts)
    )
    places, others = whole[["y", "x"]].to_numpy(), parts[["y", "x"]].to_numpy()
    apart, _ = cKDTree(others).query(places)
    error = whole["y_err"].median()
    assert np.median(apart) < 0.2 * error
    # What a network sees in small windows differs a little from what it sees in larger ones.
    most = 0.02 if detector == "network" else 0.0
    assert abs(len(parts) - len(whole)) <= most * len(whole)
    assert (apart > 2 * error).mean() <= most
    assert cKDTree(others).query(others, k=2)[0][:, 1].min() > 2.0
    assert others[:, 1].max() < 250
    np.testing.assert_allclose(parts["x_angstrom"], 0.2 * parts["x"])
    assert parts["label"].is_unique
    assert told == sorted(told)
    assert len(set(np.round(told, 2))) > 4
    assert parts.attrs["sensitivity"] == whole.attrs["sensitivity"]
    if labels is not None:
        inside = np.rint(others).astype(int)
        assert (labels[tuple(inside.T)] == parts["label"]).all()


@pytest.mark.slow
def test_windows_of_a_restored_image_show_no_seams(
    image: Any, in_windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = restore(image, sampling=0.2)
    lazy = restore(da.from_array(image, chunks=200), sampling=0.2)
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), parts)
    monkeypatch.setattr(windows, "LARGEST", image.size)
    whole = restore(image, sampling=0.2)
    assert parts.dtype == whole.dtype
    # A network that sees all of its window makes a little else of smaller ones, without a step.
    other = parts - whole
    assert np.abs(other).mean() < 0.3 * np.abs(whole - image).mean()
    steps = np.abs(np.diff(other[:, :240], axis=1)).mean(axis=0)
    assert steps.max() < 3 * np.median(steps)


def test_windows_are_halved_where_memory_is_short() -> None:
    sides = []

    def work(side: int | None) -> int:
        sides.append(side)
        if side is None or side > 700:
            raise (MemoryError() if side is None else RuntimeError("not enough memory: you tried"))
        return side

    assert windows.bounded(work, (2000, 1900), "work") == 384
    assert sides == [None, 768, 384]
    sides.clear()
    assert windows.bounded(work, (5, 600, 600), "work") == 384
    assert sides == [None, 1536, 768, 384]


def test_too_little_memory_says_what_can_be_done() -> None:
    def work(side: int | None) -> None:
        raise MemoryError

    with pytest.raises(MemoryError, match=r"8192 × 8192 pixels needs more memory.*float32.*Zarr"):
        windows.bounded(work, (8192, 8192), "restoring an image")
    with pytest.raises(RuntimeError, match="another"):
        windows.bounded(lambda side: (_ for _ in ()).throw(RuntimeError("another")), (9, 9), "work")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")
def test_memory_does_not_grow_with_the_image_but_for_its_pixels() -> None:
    """A large image needs what its first windows need, and some bytes for its own pixels."""
    script = """
import resource, sys, numpy as np, torch
import napari_atomseg as atomseg
from napari_atomseg.inference import windows
torch.set_num_threads(1)
windows.LARGEST, windows.SIDE, windows.SHOWN, windows.PIECE = 512**2, 512, 512, 128
side = int(sys.argv[1])
away = np.arange(side) % 16 - 8.0
profile = np.exp(-0.5 * (away / 2.0) ** 2).astype(np.float32)
image = np.empty((side, side), np.uint16)
for row in range(side):
    image[row] = np.random.default_rng(row).poisson(20 + 200 * profile[row] * profile)
atomseg.restore(image[:512, :700])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
atomseg.restore(image)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""
    command = [sys.executable, "-c", script, "1536"]
    more = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert more < 48 * 1536**2  # in one piece it is 120 and more


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")
def test_an_image_is_restored_in_smaller_windows_where_memory_is_limited() -> None:
    """With as much as its windows need, and not the whole image; with less, it says so."""
    script = """
import resource, sys
import numpy as np, torch
import napari_atomseg as atomseg
torch.set_num_threads(1)
image = np.random.default_rng(0).poisson(50, (1600, 1600)).astype(np.float32)
atomseg.restore(image[:128, :128])
used = next(line for line in open("/proc/self/status") if line.startswith("VmData"))
limit = int(used.split()[1]) * 1024 + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
told = []
try:
    made = atomseg.restore(image, progress=lambda done, total, text: told.append(text))
    print(made.shape, any("Memory is short" in text for text in told))
except MemoryError as error:
    print("MemoryError", error)
"""
    # The limit counts what malloc keeps for later, too: with this it gives large blocks back.
    frugal = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}
    said = [
        subprocess.run(
            [sys.executable, "-c", script, str(more)],
            check=True,
            capture_output=True,
            text=True,
            env=frugal,
        ).stdout
        for more in (200, 16)
    ]
    assert said[0].startswith("(1600, 1600)")
    assert said[1].startswith("MemoryError restoring an image of 1600 × 1600 pixels needs more")


class Workers:
    """A stand-in for a client, whose workers get what travels to them and are no faster."""

    def __init__(self) -> None:
        self.under_way = self.most = 0

    def nthreads(self) -> dict[str, int]:
        return {"tcp://a": 1}

    def compute(self, call: Any) -> Any:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        there = cloudpickle.loads(cloudpickle.dumps(call))

        def result() -> Any:
            self.under_way -= 1
            return there.compute(scheduler="synchronous")

        return SimpleNamespace(done=lambda: True, result=result)

    def cancel(self, futures: Any) -> None:
        assert not futures


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True])
def test_workers_of_a_cluster_give_the_same_table(
    image: Any, in_windows: None, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    options: dict[str, Any] = {"detector": "peaks", "sensitivity": 0.0, "refine": "none"}
    film = image if large else np.stack([image[k : k + 60, :60] for k in range(8)])
    lazy = da.from_array(film, chunks=(100, 100) if large else (1, 60, 60))
    alone = localize(lazy, **options)
    workers = Workers()
    for module in ("tabulating", "large"):
        monkeypatch.setattr(f"napari_atomseg.localization.{module}.current_client", lambda: workers)
    pd.testing.assert_frame_equal(localize(lazy, **options), alone)
    assert 0 < workers.most <= 3
