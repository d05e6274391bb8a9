"""Tables of columns in the files of other programs: every number there and back, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from ase.io import read as read_atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from rsciio.hspy import file_reader as read_hyperspy

from napari_atomseg.io import columns_to_atoms, read_columns, read_image, unit_of, write_columns

FORMATS = (".csv", ".xyz", ".cif", ".hdf5")
DY, DX = 0.12, 0.1


def lattice() -> pd.DataFrame:
    """A small table with every kind of value that a column has."""
    rng = np.random.default_rng(0)
    y, x = (each.ravel() * 7.0 + 5 for each in np.indices((4, 5)))
    table = pd.DataFrame(
        {
            "y": y + rng.normal(0, 0.3, 20),
            "x": x + rng.normal(0, 0.3, 20),
            "sigma": rng.uniform(1, 2, 20),
            "volume": rng.normal(0, 1e-9, 20),
            "volume_err": np.where(np.arange(20) == 3, np.nan, 1 / 3),
            "label": np.arange(1, 21),
            "converged": np.arange(20) % 3 > 0,
            "elements": np.where(np.arange(20) % 2, "TiO", "Sr"),
            "a name (with) blanks": 'say "Å", #1; '[:12],
        }
    )
    table["y_angstrom"], table["x_angstrom"] = table["y"] * DY, table["x"] * DX
    table.attrs = {
        "sampling": (DY, DX),
        "model": "stem-hr",
        "settings": {"file": "Ä: #1\n\u2028 \"q\" back\\slash; 'x' = {1}", "none": None, "n": [1]},
    }
    return table


@pytest.mark.parametrize("suffix", FORMATS)
def test_table_comes_back_exactly(tmp_path: Path, suffix: str) -> None:
    path, table = tmp_path / f"a{suffix}", lattice()
    write_columns(path, table, {"action": "localize"})
    again = read_columns(path)
    pd.testing.assert_frame_equal(again, table, check_exact=True)
    assert again.attrs == {**table.attrs, "action": "localize"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_frames_of_a_stack_come_back(tmp_path: Path, suffix: str) -> None:
    table = pd.concat([lattice().assign(frame=k) for k in (0, 3)], ignore_index=True)
    table.attrs = lattice().attrs
    write_columns(tmp_path / f"a{suffix}", table)
    pd.testing.assert_frame_equal(read_columns(tmp_path / f"a{suffix}"), table, check_exact=True)
    if suffix == ".xyz":
        assert [len(each) for each in read_atoms(tmp_path / "a.xyz", ":")] == [20, 20]


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(
    numbers=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=8),
    text=st.text(max_size=5),
    suffix=st.sampled_from([".xyz", ".cif", ".hdf5"]),
)
def test_every_value_comes_back(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], text: str, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"b{suffix}"
    table = pd.DataFrame({"y": 0.5, "x": 1.5, "amplitude": numbers, "text": text})
    if "\0" in text:
        table = table.drop(columns="text")
    write_columns(path, table, {"sampling": 0.1})
    again = read_columns(path)
    np.testing.assert_array_equal(again["amplitude"].to_numpy(), np.array(numbers))
    assert "text" not in table or again["text"].tolist() == table["text"].tolist()


@pytest.mark.parametrize("suffix", [".csv", ".hdf5"])
def test_empty_table_comes_back(tmp_path: Path, suffix: str) -> None:
    table = lattice().iloc[:0]
    write_columns(tmp_path / f"a{suffix}", table)
    again = read_columns(tmp_path / f"a{suffix}")
    assert len(again) == 0
    assert list(again) == list(table)
    assert again.attrs["sampling"] == (DY, DX)


def test_atoms_stand_where_the_columns_do() -> None:
    table = lattice()
    atoms = columns_to_atoms(table, shape=(40, 50), thickness=4.0)
    np.testing.assert_allclose(atoms.positions[:, 0], table["x"] * DX)
    np.testing.assert_allclose(atoms.positions[:, 1], table["y"] * DY)
    np.testing.assert_allclose(atoms.cell.lengths(), [50 * DX, 40 * DY, 4.0])
    assert set(atoms.symbols) == {"Sr", "Ti"}  # the heavier of Ti and O
    np.testing.assert_array_equal(atoms.arrays["sigma"], table["sigma"])


@pytest.mark.parametrize("suffix", [".xyz", ".cif"])
def test_other_programs_read_the_atoms(tmp_path: Path, suffix: str) -> None:
    path, table = tmp_path / f"a{suffix}", lattice()
    write_columns(path, table, elements={"Sr": "Sr", "TiO": "Ti"}, shape=(40, 50))
    atoms = read_atoms(path)
    np.testing.assert_allclose(atoms.positions[:, :2], table[["x_angstrom", "y_angstrom"]])
    assert atoms.get_chemical_formula() == "Sr10Ti10"


def test_atoms_need_a_sampling_an_element_and_a_column(tmp_path: Path) -> None:
    table = lattice()
    for bad, arguments in (
        (table.iloc[:0], {}),
        (table, {"elements": "Qq"}),
        (table, {"elements": {"Sr": "Zz"}}),
        (table[["y", "x"]], {"elements": {"0": "Ti"}}),
    ):
        with pytest.raises(ValueError, match=r"no columns|element"):
            write_columns(tmp_path / "a.xyz", bad, **arguments)
    table.attrs = {}
    with pytest.raises(ValueError, match="sampling"):
        write_columns(tmp_path / "a.cif", table)
    assert list(tmp_path.iterdir()) == []


def test_hdf5_is_an_image_of_hyperspy(tmp_path: Path) -> None:
    image = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)
    write_columns(tmp_path / "a.hspy", lattice(), image=image)
    (signal,) = read_hyperspy(str(tmp_path / "a.hspy"))
    np.testing.assert_array_equal(signal["data"], image)
    assert [(a["name"], a["scale"], a["units"]) for a in signal["axes"]] == [
        ("y", DY, "Å"),
        ("x", DX, "Å"),
    ]
    assert read_image(tmp_path / "a.hspy").sampling == (DY, DX)


def test_hdf5_is_a_lattice_of_atomap(tmp_path: Path) -> None:
    table = lattice().assign(sublattice=np.arange(20) % 2)
    write_columns(tmp_path / "a.hdf5", table, {"sampling": 0.1}, image=np.ones((40, 50)))
    with h5py.File(tmp_path / "a.hdf5") as file:
        groups = [group for name, group in file.items() if name.endswith("_sublattice")]
        assert [int(group.attrs["sublattice_index"]) for group in groups] == [0, 1]
        for number, group in enumerate(groups):
            some = table[table["sublattice"] == number]
            np.testing.assert_array_equal(group["atom_positions"], some[["x", "y"]])
            np.testing.assert_array_equal(group["sigma_x"], some["sigma"])
            assert (group.attrs["pixel_size"], group.attrs["units"]) == (0.1, "Å")
            assert group["modified_image_data"].shape == file["image_data"].shape == (40, 50)


def atomap_file(path: Path, *, units: str | None = "nm") -> None:
    """An atom lattice as Atomap 0.4 saves it; 0.1 did not know units."""
    with h5py.File(path, "w") as file:
        for index, (name, points) in enumerate(
            {"B": [[1.5, 2.0], [3.5, 2.0]], "A": [[0.25, 9.0]]}.items()
        ):
            group = file.create_group(f"{name}_sublattice")
            group["atom_positions"] = np.array(points)
            group["sigma_x"] = np.full(len(points), 2.0)
            group["original_image_data"] = group["modified_image_data"] = np.zeros((12, 12))
            group.attrs["pixel_size"], group.attrs["name"] = 0.0125, name
            group.attrs["sublattice_index"] = index
            if units is not None:
                group.attrs["units"] = units


def test_lattice_of_atomap_is_read(tmp_path: Path) -> None:
    atomap_file(tmp_path / "a.hdf5")
    table = read_columns(tmp_path / "a.hdf5")
    assert table[["y", "x", "sublattice"]].to_numpy().tolist() == [
        [2.0, 1.5, 0],
        [2.0, 3.5, 0],
        [9.0, 0.25, 1],
    ]
    assert table.attrs == {"sampling": 0.125, "source": "Atomap", "sublattices": ["B", "A"]}
    np.testing.assert_allclose(table["y_angstrom"], table["y"] * 0.125)


def test_lattice_of_atomap_without_units_takes_the_sampling_given(tmp_path: Path) -> None:
    atomap_file(tmp_path / "a.hdf5", units=None)
    assert read_columns(tmp_path / "a.hdf5").attrs["sampling"] is None
    assert read_columns(tmp_path / "a.hdf5", sampling=0.2).attrs["sampling"] == 0.2


def damaged(folder: Path) -> dict[str, Path]:
    """Files that are not what their suffix says, or only its first half."""
    found = {}
    for suffix in (".xyz", ".cif", ".hdf5"):
        write_columns(folder / f"whole{suffix}", lattice())
        content = (folder / f"whole{suffix}").read_bytes()
        found[f"cut{suffix}"] = content[: len(content) // 2]
    found |= {f"noise{s}": bytes(range(256)) * 3 for s in (".xyz", ".cif", ".hdf5", ".mat")}
    found |= {f"empty{s}": b"" for s in (".xyz", ".cif", ".hdf5", ".mat", ".csv")}
    found["crystal.cif"] = b"data_a\n_cell_length_a 3\n"
    found["lies.mat"] = b"MATLAB 5.0 MAT-file" + b" " * 105 + b"\x00\x01IM" + b"\xff" * 64
    for name, content in found.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in found}


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    for name, path in damaged(tmp_path).items():
        with pytest.raises(OSError, match=name.replace(".", r"\.")):
            read_columns(path, sampling=0.1)


def test_an_image_is_no_table(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["Experiments/x/data"] = np.zeros((9, 9))
    with pytest.raises(OSError, match="localize"):
        read_columns(tmp_path / "a.hdf5")


@pytest.mark.parametrize(
    ("content", "arguments", "y"),
    [
        ("1,2\n3,4\n", {"axes": "yx"}, [1, 3]),
        ("1,2\n3,4\n", {"axes": "xy"}, [2, 4]),
        ("1;2\n3;4\n", {"axes": "xy"}, [2, 4]),
        ("1\t2\n3\t4\n", {"axes": "xy"}, [2, 4]),
        ("  1.0  2.0\n  3.0  4.0\n", {"axes": "xy"}, [2, 4]),
        ("# row,col (0-based; = c/dx - 1),type\n1,2,1\n3,4,1\n", {}, [1, 3]),
        ("X,Y\n1,2\n3,4\n", {}, [2, 4]),
        ("id,a,b\n0,1,2\n1,3,4\n", {"axes": ("b", "a")}, [2, 4]),
        ("Row,Col\n1,2\n3,4\n", {"origin": 1.0}, [0, 2]),
        ('"x [nm]","y [nm]"\n0.1,0.2\n0.3,0.4\n', {"sampling": 0.5}, [4, 8]),
        ("x,y\n100,200\n300,400\n", {"units": "pm", "sampling": (0.5, 0.25), "origin": 1}, [3, 7]),
    ],
)
def test_text_of_other_programs(
    tmp_path: Path, content: str, arguments: dict[str, Any], y: list[float]
) -> None:
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    table = read_columns(tmp_path / "a.txt", **arguments)
    assert list(table)[:2] == ["y", "x"]
    np.testing.assert_allclose(table["y"], y)
    if "sampling" in arguments:
        assert table.attrs["sampling"] == arguments["sampling"]
        dy = np.ravel(arguments["sampling"])[0]
        np.testing.assert_allclose(table["y_angstrom"], table["y"] * dy)


def test_text_that_does_not_say_enough(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("1,2\n3,4\n", encoding="utf-8")
    with pytest.raises(OSError, match=r"bare\.csv.*yx or xy"):
        read_columns(tmp_path / "bare.csv")
    with pytest.raises(OSError, match="no column 'b'"):
        read_columns(tmp_path / "bare.csv", axes=("b", "a"))
    (tmp_path / "nm.csv").write_text("x (nm),y (nm)\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="sampling"):
        read_columns(tmp_path / "nm.csv")
    for bad in ({"axes": "zx"}, {"units": "eV", "axes": "yx"}, {"sampling": -1.0}):
        with pytest.raises(ValueError, match=r"axes|units|sampling"):
            read_columns(tmp_path / "bare.csv", **bad)
    write_columns(tmp_path / "a.hdf5", lattice())
    with pytest.raises(ValueError, match="text"):
        read_columns(tmp_path / "a.hdf5", axes="yx")


def test_units_follow_names() -> None:
    assert unit_of("dy_pm") == unit_of("dy_pm_err") == "pm"
    assert unit_of("angle_deg") == "°"
    assert unit_of("volume_err") == "intensity px²"
    assert unit_of("label") == unit_of("elements") == ""
