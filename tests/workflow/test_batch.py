"""Batches: mixed images of which some are bad, killed in the middle and gone on with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

import napari_atomseg as atomseg
from napari_atomseg.io import read_columns, write_image
from napari_atomseg.workflow import Workflow, files_in, frames, join_frames, run_files

PEAKS = {"detector": "peaks", "sensitivity": 0.0, "refine": "none"}
STEPS = Workflow.of([{"name": "columns", "action": "localize", "settings": PEAKS}])
BAD = {"cut.tif", "empty.tif", "nothing.tif", "spectrum.hspy", "text.tif"}


@pytest.fixture(scope="module")
def scene() -> Any:
    return atomseg.simulate("SrTiO3", shape=(64, 64), sampling=0.15, seed=4).image


@pytest.fixture
def folder(scene: Any, tmp_path: Path) -> Path:
    """Thirty files: sizes, types, scales and formats differ, stacks among them; five are bad."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(25):
        image = np.roll(scene, number, axis=0)[: 64 - number]
        name, kind = f"{number:02}", number % 5
        if kind == 0:
            write_image(folder / f"{name}.tif", image, 0.15)
        elif kind == 1:
            grey = np.clip(2e4 * (image - image.min()) / np.ptp(image), 0, 65535)
            tifffile.imwrite(folder / f"{name}.tif", grey.astype(np.uint16))
        elif kind == 2:
            np.save(folder / f"{name}.npy", image.astype(np.float32))
        elif kind == 3:
            write_image(folder / f"{name}.tif", np.stack([image, image[::-1]]), (0.15, 0.16))
        else:
            write_image(folder / f"{name}.zarr", image, 0.15)
    whole = (folder / "00.tif").read_bytes()
    (folder / "cut.tif").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.tif").write_bytes(b"")
    (folder / "text.tif").write_text("no image at all")
    tifffile.imwrite(folder / "nothing.tif", np.full((64, 64), np.nan, np.float32))
    spectrum(folder / "spectrum.hspy")
    return folder


def spectrum(path: Path) -> None:
    """A file of HyperSpy with one spectrum."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", "3.1"
        group = file.create_group("Experiments/spectrum")
        group["data"] = np.arange(64.0)
        axis = group.create_group("axis-0")
        axis.attrs.update(
            {"name": "Energy", "units": "keV", "scale": 0.01, "offset": 0.0, "size": 64}
        )
        axis.attrs["navigate"] = False
        for name in ("metadata", "original_metadata"):
            group.create_group(name)
        group["metadata"].create_group("Signal").attrs["signal_type"] = "EDS_TEM"


@pytest.mark.slow
def test_bad_files_cost_themselves_alone(folder: Path, tmp_path: Path) -> None:
    found = run_files(STEPS, files_in(folder), tmp_path / "out")
    assert len(found) == 30
    failed = {Path(each.image).name: each.reason for each in found if each.status == "failed"}
    assert set(failed) == BAD
    assert all(reason for reason in failed.values())
    assert all(name in reason for name, reason in failed.items() if name != "nothing.tif")
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert (table["status"] == "done").sum() == 25
    assert table["columns"][table["status"] == "done"].min() > 0
    again = run_files(STEPS, files_in(folder), tmp_path / "out")
    assert sum(each.kept for each in again) == 25
    assert again == found


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(folder: Path, tmp_path: Path) -> None:
    """What was finished is not done again, and nothing half-written is taken for a result."""
    STEPS.save(tmp_path / "w.yaml")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "napari_atomseg", "run", "w.yaml", "images", "-o", "out"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 600
        while len(list(out.glob("*/result.json"))) < 8 and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    finished = {path: path.stat().st_mtime_ns for path in out.glob("*/result.json")}
    assert 8 <= len(finished) < 25
    for record in finished:
        for name in json.loads(record.read_text())["files"]:
            assert (record.parent / name).is_file()
    (out / "00" / ".columns.csv.999999999-0.partial").write_text("cut off")
    found = run_files(STEPS, files_in(folder), out)
    assert sum(each.kept for each in found) == len(finished)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert sum(each.status == "done" for each in found) == 25
    assert not list(out.rglob("*.partial"))
    whole = run_files(STEPS, files_in(folder), tmp_path / "whole")
    assert whole == found
    for each in whole:
        for name in each.files:
            place = Path(each.place).name
            ours = (out / place / name).read_text().splitlines()
            theirs = (tmp_path / "whole" / place / name).read_text().splitlines()
            # The time stands in the comments.
            assert [line for line in ours if line[:1] != "#"] == [
                line for line in theirs if line[:1] != "#"
            ]


@pytest.mark.slow
def test_a_killed_worker_costs_its_image(folder: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    files = files_in(folder)[:6]
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        done: list[Any] = []

        def kill(result: Any) -> None:
            if not done:
                worker = next(iter(cluster.workers.values()))
                worker.process.process.kill()
            done.append(result)

        found = run_files(STEPS, files, tmp_path / "out", client=client, done=kill)
    assert len(found) == len(done) == len(files)
    assert all(each.status == "done" or each.reason for each in found)
    assert sum(each.status == "done" for each in found) >= len(files) - 2


def test_a_film_is_measured_frame_by_frame_and_its_tables_joined(tmp_path: Path) -> None:
    rows, cols = np.indices((48, 48))
    still = np.exp(
        4.0 * (np.cos(2 * np.pi * rows / 12) + np.cos(2 * np.pi * (cols - 4) / 12) - 2.0)
    )
    film = np.stack([np.roll(still, number, 1) for number in range(3)]).astype(np.float32)
    write_image(tmp_path / "film.zarr", film)
    images = frames(tmp_path / "film.zarr")
    found = run_files(STEPS, images, tmp_path / "out")
    assert [each.status for each in found] == ["done"] * 3
    count, total = join_frames(tmp_path / "out", tmp_path / "film.csv", columns=["sigma"])
    table = read_columns(tmp_path / "film.csv")
    assert list(table) == ["frame", "y", "x", "sigma"]
    assert (count, total) == (3, len(table))
    moved = [table["x"][table["frame"] == number].mod(12).median() for number in range(3)]
    np.testing.assert_allclose(np.diff(moved) % 12, 1.0, atol=0.05)

    # Of a film that grows, the frames that are done stay so.
    write_image(tmp_path / "film.zarr", np.concatenate([film, film[:1]]))
    again = run_files(STEPS, frames(tmp_path / "film.zarr"), tmp_path / "out")
    assert [each.kept for each in again] == [True, True, True, False]
    with pytest.raises(OSError, match="no tables of the step 'other'"):
        join_frames(tmp_path / "out", tmp_path / "a.csv", step="other")
    assert not (tmp_path / "a.csv").exists()
