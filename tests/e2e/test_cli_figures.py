"""Commands about columns and figures, on files as a user has them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skimage.io import imread
from typer.testing import CliRunner

from napari_atomseg.cli import app
from napari_atomseg.io import read_columns, write_columns, write_image
from napari_atomseg.io.columns.csv_table import write_table

SAMPLING = 0.2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image, a table of its columns, and an image of strain."""
    rng = np.random.default_rng(0)
    write_image(tmp_path / "image.tif", rng.random((48, 60), np.float32), SAMPLING)
    write_image(tmp_path / "eps_xx.tif", np.full((48, 60), 0.01, np.float32), SAMPLING)
    y, x = (each.ravel() * 10.0 + 5 for each in np.indices((4, 5)))
    table = pd.DataFrame({"y": y, "x": x, "volume": rng.normal(100, 3, 20), "species": "Pt"})
    table = table.assign(dy_pm=5.0, dx_pm=-3.0, eps_xx=0.01)
    write_columns(tmp_path / "table.csv", table, {"sampling": SAMPLING})
    grid = pd.DataFrame({"vector_y": 0.1 * y, "vector_x": 0.1 * x, "density": 1.0 + y + x})
    write_table(tmp_path / "density.csv", grid, {})
    return tmp_path


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("overlay", "image.tif"),
        ("overlay", "image.tif", "table.csv", "--colour-by", "volume"),
        ("vectors", "table.csv", "--image", "image.tif", "--colour-by", "length"),
        ("vectors", "table.csv", "--names", "dy_pm,dx_pm", "--magnify", "20"),
        ("histogram", "table.csv", "--of", "volume,dy_pm"),
        ("strain", "table.csv", "--limit", "2"),
        ("strain", "eps_xx.tif"),
        ("density", "density.csv", "--unit", "px"),
    ],
)
def test_figures_are_drawn(folder: Path, arguments: tuple[str, ...]) -> None:
    assert "figure.svg" in run(folder, "figure", *arguments, "--output", "figure.svg")
    content = (folder / "figure.svg").read_text(encoding="utf-8")
    assert content.startswith("<?xml")
    assert arguments[1] in content, "the record names what it was made from"


@pytest.mark.slow
def test_strain_in_percent_is_drawn_as_pure_numbers_are(folder: Path) -> None:
    """Layers of strain hold per cent, and files of `measure gpa` pure numbers."""
    (folder / "layers").mkdir()
    write_image(folder / "layers/eps_xx.tif", np.full((48, 60), 1.0, np.float32), SAMPLING)
    pictures = []
    for name, more in (("eps_xx.tif", ()), ("layers/eps_xx.tif", ("--percent",))):
        run(folder, "figure", "strain", name, *more, "--limit", "2", "--dpi", "60", "-o", "a.png")
        pictures.append(imread(folder / "a.png"))
    np.testing.assert_array_equal(*pictures)


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_suffix_says_the_format(folder: Path, suffix: str, start: bytes) -> None:
    run(folder, "figure", "overlay", "image.tif", "-o", f"figure.{suffix}", "--dpi", "80")
    assert (folder / f"figure.{suffix}").read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("overlay", "missing.tif"), "missing.tif"),
        (("overlay", "image.tif", "table.csv", "--colour-by", "height"), "height"),
        (("vectors", "table.csv", "--names", "dy_pm"), "--names"),
        (("histogram", "table.csv", "--of", "species"), "no numbers"),
        (("strain", "table.csv", "eps_xx.tif"), "one table"),
        (("density", "table.csv"), "vector_y, vector_x, density"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_a_line(
    folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    output = run(folder, "figure", *arguments, "--output", "figure.png", code=1)
    assert said in output
    assert "Traceback" not in output
    assert not (folder / "figure.png").exists()


def test_other_formats_are_refused(folder: Path) -> None:
    assert ".png" in run(folder, "figure", "overlay", "image.tif", "-o", "figure.doc", code=1)


@pytest.mark.parametrize("target", ["b.xyz", "b.cif", "b.hdf5", "b.csv"])
def test_tables_are_converted(folder: Path, target: str) -> None:
    run(folder, "columns", "convert", "table.csv", target, "--image", "image.tif")
    before, after = read_columns(folder / "table.csv"), read_columns(folder / target)
    pd.testing.assert_frame_equal(after[list(before)], before, check_exact=True)
    assert after.attrs["sampling"] == SAMPLING


def test_text_is_converted_in_the_order_that_is_said(folder: Path) -> None:
    np.savetxt(folder / "theirs.txt", [[2.0, 1.0], [4.0, 3.0]])
    arguments = ("--axes", "xy", "--origin", "1", "--sampling", "0.2", "0.2")
    run(folder, "columns", "convert", "theirs.txt", "b.csv", *arguments)
    table = read_columns(folder / "b.csv")
    np.testing.assert_array_equal(table[["y", "x"]], [[0.0, 1.0], [2.0, 3.0]])
    np.testing.assert_allclose(table["y_angstrom"], [0.0, 0.4])
