"""Files with several data sets and stacks, by every command that reads images."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import Result
from typer.testing import CliRunner

from napari_atomseg.cli import app
from napari_atomseg.evaluation.datasets import open_datasets
from napari_atomseg.io import read_columns, read_image, write_columns, write_image

SHAPE = (96, 112)
SPACING = 14.0
SHIFTS = (0.0, 3.0, 6.0)


def columns(shift: float) -> pd.DataFrame:
    y, x = (each.ravel() * SPACING + 9 for each in np.indices((6, 7)))
    return pd.DataFrame({"y": y + shift, "x": x})


def scene(shift: float) -> np.ndarray:
    """Columns moved down by `shift` pixels."""
    rows, cols = np.indices(SHAPE)
    image = np.full(SHAPE, 100.0)
    for y, x in columns(shift).to_numpy():
        image += 3000 * np.exp(-((rows - y) ** 2 + (cols - x) ** 2) / (2 * 2.2**2))
    return np.random.default_rng(0).poisson(image).astype(np.uint16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preview, a raw page, and a stack of three frames, in one file; and tables of columns."""
    home = tmp_path_factory.mktemp("files")
    raw = scene(0.0)
    preview = np.stack([(raw // 16).clip(0, 255).astype(np.uint8)] * 3, axis=-1)
    stack = np.stack([scene(shift) for shift in SHIFTS])[:, :-4]
    cm = {"resolution": (1e9, 1e9), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(home / "many.tif") as writer:
        writer.write(preview, photometric="rgb", metadata=None)
        writer.write(raw, metadata=None, **cm)
        for frame in stack:
            writer.write(frame, metadata=None, **cm)
    write_image(home / "stack.tif", stack, 0.1)
    write_columns(home / "raw.csv", columns(0.0), {"sampling": 0.1})
    frames = [columns(shift).assign(frame=n) for n, shift in enumerate(SHIFTS)]
    write_columns(home / "stack.csv", pd.concat(frames), {"sampling": 0.1})
    return home


def run(folder: Path, *arguments: object, code: int = 0) -> Result:
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, f"{arguments}\n{done.output}\n{done.exception!r}"
    return done


def mean_row(table: pd.DataFrame) -> float:
    """The rows of columns modulo their spacing, which is the shift of a scene."""
    return float(np.median((table["y"] - 9 + 1) % SPACING)) - 1


PEAKS = ("--detector", "peaks", "--refine", "gaussian")


@pytest.mark.slow
def test_localize_takes_the_raw_page_or_what_is_chosen(folder: Path) -> None:
    run(folder, "localize", "many.tif", *PEAKS, "--output", "default.csv")
    table = read_columns(folder / "default.csv")
    assert "frame" not in table
    assert table.attrs["sampling"] == pytest.approx(0.1)
    assert mean_row(table) == pytest.approx(0.0, abs=0.1)
    for frame, shift in enumerate(SHIFTS[1:], 1):
        options = ("--dataset", 2, "--frame", frame, "--output", "one.csv")
        run(folder, "localize", "many.tif", *PEAKS, *options)
        table = read_columns(folder / "one.csv")
        assert mean_row(table) == pytest.approx(shift, abs=0.1)
        assert table.attrs["settings"]["dataset"] == "2"
        assert table.attrs["settings"]["frame"] == frame
    run(folder, "localize", "many.tif", *PEAKS, "--dataset", 2, "--output", "all.csv")
    assert sorted(read_columns(folder / "all.csv")["frame"].unique()) == [0, 1, 2]


def test_what_is_not_there_is_listed(folder: Path) -> None:
    options = ("--dataset", "HAADF", "--output", "none.csv")
    error = run(folder, "localize", "many.tif", *PEAKS, *options, code=1).stderr
    assert "no dataset 'HAADF'" in error
    assert (
        "0: untitled (96, 112), preview; 1: untitled (96, 112); 2: untitled (3, 92, 112)" in error
    )
    options = ("--dataset", 2, "--frame", 3, "--output", "none.csv")
    assert "no frame 3; it has 3" in run(folder, "localize", "many.tif", *options, code=1).stderr
    assert not (folder / "none.csv").exists()


def test_notes_of_a_file_are_warnings(folder: Path) -> None:
    path = folder / "odd.tif"
    tifffile.imwrite(
        path, scene(0.0), imagej=True, resolution=(10, 10), metadata={"unit": "cubits"}
    )
    done = run(folder, "localize", path.name, *PEAKS, "--output", "odd.csv")
    assert done.stderr.startswith("warning: odd.tif: ")
    assert "cubits" in done.stderr


def test_figures_and_measurements_take_them(folder: Path) -> None:
    chosen = ("--dataset", 2, "--frame", 1)
    run(folder, "figure", "overlay", "many.tif", *chosen, "--output", "a.svg")
    done = run(folder, "figure", "overlay", "many.tif", "--dataset", 2, "-o", "b.svg", code=1)
    assert "choose one of its 3 images by --frame" in done.stderr
    run(folder, "measure", "gpa", "many.tif", *chosen, "--output", "gpa")
    expected = read_image(folder / "many.tif", dataset=2, frame=1)
    assert read_image(folder / "gpa/eps_xx.tif").data.shape == expected.data.shape


def test_columns_and_evaluation_take_them(folder: Path) -> None:
    options = ("--image", "many.tif", "--dataset", 2, "--frame", 1)
    run(folder, "columns", "convert", "raw.csv", "atoms.xyz", *options, "--elements", "Pt")
    assert "11.2" in (folder / "atoms.xyz").read_text()
    data = f"{folder / 'stack.tif'},{folder / 'stack.csv'}"
    (files,) = open_datasets([data], frame=2)
    case = files.case(0)
    np.testing.assert_array_equal(case.image, read_image(folder / "stack.tif", frame=2).data)
    assert mean_row(case.columns) == pytest.approx(6.0)
    data = f"{folder / 'many.tif'},{folder / 'stack.csv'}"
    (files,) = open_datasets([data], dataset=2, frame=1)
    assert mean_row(files.case(0).columns) == pytest.approx(3.0)


def test_files_are_listed(folder: Path) -> None:
    lines = run(folder, "images", "list", "many.tif", "stack.tif").output.splitlines()
    assert lines[0] == "many.tif:"
    assert lines[1] == "  0: 96 y × 112 x, uint8, preview, no scale"
    assert lines[2] == "  1: 96 y × 112 x, uint16, image, 0.1 Å per pixel"
    assert lines[3] == "  2: 3 frame × 92 y × 112 x, uint16, image, 0.1 Å per pixel"
    assert lines[4] == "stack.tif:"


@pytest.mark.parametrize("suffix", [".tif", ".h5", ".hspy", ".zarr"])
def test_files_are_converted_and_back(folder: Path, suffix: str) -> None:
    run(folder, "images", "convert", "many.tif", f"one{suffix}", "--dataset", 2)
    run(folder, "images", "convert", f"one{suffix}", "again.tif", "--sampling", 0.2)
    before, after = (
        read_image(folder / "many.tif", dataset=2),
        read_image(folder / "again.tif"),
    )
    np.testing.assert_array_equal(after.data, before.data)
    assert (after.axes, after.sampling) == (before.axes, 0.2)
    assert read_image(folder / f"one{suffix}").sampling == pytest.approx(0.1)
    assert after.metadata["provenance"]["action"] == "convert"


@pytest.mark.slow
def test_zarr_is_a_file_to_commands(folder: Path) -> None:
    """Although it is a folder, also where it is there already."""
    for _ in range(2):
        line = ("--by", "line", "--line", 0, 0, 0, 10, "--length", 0.3, "--unit", "nm")
        run(folder, "calibrate", "many.tif", *line, "--output", "scaled.zarr")
        run(folder, "scan", "scaled.zarr", "--scan", "rows", "--output", "still.zarr")
    still = read_image(folder / "still.zarr")
    assert (still.data.shape, still.sampling) == (SHAPE, pytest.approx(0.3))
    run(folder, "calibrate", "many.tif", *line, "--dataset", 2, "--frame", 1, "-o", "one.tif")
    assert read_image(folder / "one.tif").data.shape == (SHAPE[0] - 4, SHAPE[1])


def test_suffix_is_refused_before_anything_is_computed(folder: Path) -> None:
    done = run(folder, "segment", "many.tif", "--output", "labels.png", code=1)
    assert "images are written as .tif" in done.stderr
    done = run(folder, "images", "convert", "many.tif", "many.tif", code=1)
    assert "overwrite" in done.stderr
