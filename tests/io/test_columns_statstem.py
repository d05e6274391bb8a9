"""Columns of StatSTEM: positions, widths and cross-sections in pixels of this program."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from napari_atomseg.io import read_columns
from napari_atomseg.io.matlab import read_variables

files = import_module("matlab_files")

DX = 0.125
Y, X = np.array([10.25, 20.5, 30.0]), np.array([1.5, 0.0, 7.75])
COORDINATES = np.stack([(X + 1) * DX, (Y + 1) * DX, [1, 2, 1]], axis=1)
OUTPUT = {
    "coordinates": COORDINATES,
    "rho": np.array([[0.5], [0.5], [0.25]]),
    "eta": np.array([[8.0], [4.0], [2.0]]),
    "zeta": 3.0,
    "dx": DX,
    "types": np.array([["Pt"], ["Ir"]], dtype=object),
}


def expect(table: Any) -> None:
    np.testing.assert_allclose(table["y"], Y)
    np.testing.assert_allclose(table["x"], X, atol=1e-12)
    np.testing.assert_allclose(table["y_angstrom"], Y * DX)
    assert table["species"].tolist() == [1, 2, 1]
    assert table.attrs["sampling"] == DX


def test_fitted_columns(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"output": OUTPUT, "input": {"coordinates": COORDINATES[:1]}})
    table = read_columns(tmp_path / "a.mat")
    expect(table)
    np.testing.assert_allclose(table["sigma"], [4, 4, 2])
    np.testing.assert_allclose(table["amplitude"], [8, 4, 2])
    assert set(table["background"]) == {3.0}
    # StatSTEM's cross-sections, 2 pi eta rho² Å², are those of the table times dx².
    np.testing.assert_allclose(
        table["volume"] * DX**2, 2 * np.pi * np.array([8, 4, 2]) * np.array([0.5, 0.5, 0.25]) ** 2
    )
    assert table.attrs["species"] == ["Pt", "Ir"]


def test_starting_columns_and_old_layouts(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"input": {"coordinates": COORDINATES, "dx": DX, "obs": np.eye(9)}})
    expect(read_columns(tmp_path / "a.mat"))
    savemat(tmp_path / "b.mat", {"coordinates": COORDINATES, "dx": DX})
    expect(read_columns(tmp_path / "b.mat"))
    savemat(tmp_path / "c.mat", {"output": {"coordinates": COORDINATES}, "input": {"dx": DX}})
    expect(read_columns(tmp_path / "c.mat"))


def test_one_column(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"coordinates": COORDINATES[:1], "dx": DX, "rho": 0.5, "eta": 2.0})
    table = read_columns(tmp_path / "a.mat")
    assert table[["y", "x", "sigma"]].to_numpy().tolist() == [[10.25, 1.5, 4.0]]


def test_files_of_hdf5(tmp_path: Path) -> None:
    """MATLAB's -v7.3 is HDF5 after 512 bytes, with the axes the other way round."""
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        for name in ("coordinates", "rho", "eta", "zeta", "dx"):
            value = np.atleast_2d(OUTPUT[name])
            file[f"output/{name}"] = value.T
    with (tmp_path / "a.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(128))
    table = read_columns(tmp_path / "a.mat")
    expect(table)
    np.testing.assert_allclose(table["amplitude"], [8, 4, 2])


def test_pixel_size_may_be_given(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"coordinates": COORDINATES})
    with pytest.raises(OSError, match=r"a\.mat.*sampling"):
        read_columns(tmp_path / "a.mat")
    expect(read_columns(tmp_path / "a.mat", sampling=DX))


@pytest.mark.parametrize(
    "content",
    [{"b": 1}, {"coordinates": np.zeros((3, 5)), "dx": 1.0}, {"output": {"coordinates": "no"}}],
)
def test_other_content_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    savemat(tmp_path / "foreign.mat", content)
    with pytest.raises(OSError, match=r"foreign\.mat"):
        read_columns(tmp_path / "foreign.mat")


WRITERS = [files.write_objects, files.write_objects_as_hdf5]
FITTED = {name: np.atleast_2d(OUTPUT[name]) for name in ("coordinates", "rho", "eta", "dx")}
STARTED = {"obs": np.arange(36.0).reshape(6, 6), "dx": np.array([[DX]])}


@pytest.mark.parametrize("write", WRITERS)
def test_objects_of_classes(tmp_path: Path, write: Any) -> None:
    """StatSTEM's program saves objects, not structures."""
    started = {**STARTED, "coordinates": COORDINATES[:1]}
    content = {"input": ("inputStatSTEM", started), "output": ("outputStatSTEM", FITTED)}
    write(tmp_path / "a.mat", content)
    table = read_columns(tmp_path / "a.mat")
    expect(table)
    np.testing.assert_allclose(table["amplitude"], [8, 4, 2])
    variables = read_variables(tmp_path / "a.mat")
    assert {name: each.kind for name, each in variables.items()} == {
        "input": "inputStatSTEM",
        "output": "outputStatSTEM",
    }
    np.testing.assert_array_equal(variables["input"]["obs"], STARTED["obs"])


@pytest.mark.parametrize("write", WRITERS)
def test_objects_without_columns_are_named(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "a.mat", {"input": ("inputStatSTEM", STARTED)})
    with pytest.raises(OSError, match=r"a\.mat: input .*image, but no columns: localize"):
        read_columns(tmp_path / "a.mat")


def test_objects_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    files.write_objects(tmp_path / "a.mat", {"output": ("outputStatSTEM", FITTED)})
    content = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(content.replace(b"MCOS", b"WHAT"))
    with pytest.raises(OSError, match=r"a\.mat: output \(outputStatSTEM\) is an object.*struct"):
        read_columns(tmp_path / "a.mat")
