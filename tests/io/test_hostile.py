"""Files that would hang the program, crash it, or show what is not in them are refused."""

import contextlib
import json
import os
import struct
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from ase.build import bulk
from ase.io import read

from napari_atomseg._shared.plain_json import read_json
from napari_atomseg.io import read_columns, read_image, read_images, tried, write_columns
from napari_atomseg.io.columns.atoms import write_atoms
from napari_atomseg.io.columns.csv_table import write_csv
from napari_atomseg.io.images import contents
from napari_atomseg.io.images.image import ImageFileError
from napari_atomseg.io.try_file import fault_of


def order(path: Path) -> dict[str, Any]:
    return {"path": str(path), "plugin": "", "options": {}, "memory": 2**50}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that is none of the images', of 32 × 32 bytes."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    path = folder / "secret.txt"
    path.write_bytes(b"s" * 1024)
    return path


def test_bytes_of_other_files_are_no_pixels(tmp_path: Path, secret: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (32, 32), "u1", external=[(str(secret), 0, 1024)])
    with pytest.raises(ImageFileError, match=r"a\.h5: /a is kept in another file .*secret"):
        read_images(path)


def test_arrays_of_files_elsewhere_are_not_opened(tmp_path: Path, secret: Path) -> None:
    other = secret.with_suffix(".h5")
    with h5py.File(other, "w") as file:
        file["a"] = np.ones((32, 32))
    for name in ("link.h5", "virtual.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            if name == "link.h5":
                file["a"] = h5py.ExternalLink(str(other), "a")
            else:
                layout = h5py.VirtualLayout((32, 32), float)
                layout[:] = h5py.VirtualSource(str(other), "a", (32, 32))
                file.create_virtual_dataset("a", layout)
        with pytest.raises(ImageFileError, match="kept in another file"):
            read_images(tmp_path / name)


def test_arrays_of_files_beside_are_read_unless_their_bytes_are_of_others(
    tmp_path: Path, secret: Path
) -> None:
    """As detectors write them: a master file, and the frames beside it."""
    for name, external in (("good", None), ("bad", [(str(secret), 0, 1024)])):
        with h5py.File(tmp_path / f"{name}-data.h5", "w") as file:
            file.create_dataset("a", (32, 32), "u1", external=external)
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            layout = h5py.VirtualLayout((32, 32), "u1")
            layout[:] = h5py.VirtualSource(f"{name}-data.h5", "a", (32, 32))
            file.create_virtual_dataset("a", layout)
    assert read_image(tmp_path / "good.h5").data.shape == (32, 32)
    with pytest.raises(ImageFileError, match="kept in another file"):
        read_image(tmp_path / "bad.h5")


def test_groups_without_end_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "deep.h5", "w") as file:
        file.create_group("/".join("g" * 200))
    with pytest.raises(ImageFileError, match=r"deep\.h5: .*nested deeper"):
        read_images(tmp_path / "deep.h5")
    with h5py.File(tmp_path / "loop.h5", "w") as file:
        file["a"] = np.ones((32, 32))
        file.create_group("g")["again"] = file["/"]
    assert fault_of(order(tmp_path / "loop.h5")) == ""
    assert read_image(tmp_path / "loop.h5").data.shape == (32, 32)


def test_a_tiny_file_of_a_huge_array_is_read_lazily(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("a", (160_000, 160_000), "f2", chunks=(1000, 1000))
    image = read_image(tmp_path / "huge.h5")
    assert image.data.shape == (160_000, 160_000)
    assert hasattr(image.data, "dask")


def test_of_many_data_sets_the_chosen_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "LARGE", 3 * 64 * 64)
    with h5py.File(tmp_path / "many.h5", "w") as file:
        for number in range(5):
            file[f"a{number}"] = np.full((64, 64), number, "u1")
    every = read_images(tmp_path / "many.h5")
    assert [hasattr(image.data, "dask") for image in every] == [False] * 3 + [True] * 2
    chosen = read_image(tmp_path / "many.h5", "a4")
    assert isinstance(chosen.data, np.ndarray)
    assert (chosen.data == 4).all()


@pytest.mark.slow
def test_an_archive_does_not_fill_the_memory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.ndata", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", b"\0" * (300 * 2**20))
    with pytest.raises(ImageFileError, match=r"a\.ndata: .*would take 0\.3 GiB"):
        read_images(tmp_path / "a.ndata")


@pytest.mark.parametrize("text", ["[" * 300 + "]" * 300, '{"a":' * 200 + "1" + "}" * 200])
def test_json_without_end_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="nested deeper than 100 levels"):
        read_json(text)
    path = tmp_path / "a.ndata"
    with zipfile.ZipFile(path, "w") as archive:
        buffer = BytesIO()
        np.save(buffer, np.ones((8, 8)))
        archive.writestr("data.npy", buffer.getvalue())
        archive.writestr("metadata.json", text)
    with pytest.raises(ImageFileError, match=r"a\.ndata: .*nested deeper"):
        read_images(path)


def test_json_of_any_text_is_read_as_it_is() -> None:
    value = {"[[{": ['"]\\"', 'a["{' * 300, {"ü": [1, 2.5, None, True]}]}
    assert read_json(json.dumps(value)) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode("utf-16")) == value
    with pytest.raises(ValueError, match="more than 5000000 values"):
        read_json("[" + "1," * 5_000_001 + "1]")


def test_headers_that_take_too_long_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of the tags of this DigitalMicrograph file is absurd."""
    pytest.importorskip("rsciio")
    path = tmp_path / "a.dm4"
    tags = struct.pack(">IQI", 4, 2**40, 1) + struct.pack(">BBQ", 1, 0, 2**60)
    path.write_bytes(tags + b"\x14\0\0\0\0\0\0\0\0" * 2000)
    monkeypatch.setattr(tried, "PATIENCE", 5.0)
    with pytest.raises(ImageFileError, match=r"a\.dm4"):
        read_images(path)


def test_a_crash_ends_the_other_process_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = tmp_path / "crash.py"
    crash.write_text("import os, sys\nfor line in sys.stdin: os.abort()\n", encoding="utf-8")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.ones((32, 32))
    other = tried._Other()
    monkeypatch.setattr(tried, "_OTHER", other)
    with monkeypatch.context() as changed:
        changed.setattr(tried, "_SCRIPT", crash)
        for _ in range(2):
            with pytest.raises(ImageFileError, match="would end the program"):
                read_images(tmp_path / "a.h5")
    assert read_image(tmp_path / "a.h5").data.shape == (32, 32)
    other.stop()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    for name in ("a.tif", "a.h5", "a.dm4"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(ImageFileError, match="no regular file"):
            read_images(tmp_path / name)


def test_codecs_that_could_run_code_are_not_used(tmp_path: Path) -> None:
    for number, codecs in enumerate(({"id": "pickle"}, {"id": "unheard-of"})):
        path = tmp_path / f"{number}.zarr"
        array = zarr.create_array(path, shape=(32, 32), dtype="f4", zarr_format=2)
        array[:] = 1
        about = (path / ".zarray").read_text(encoding="utf-8")
        start = about.index('"compressor"')
        end = about.index("}", start) + 1
        changed = f'"compressor": {{"id": "{codecs["id"]}"}}'
        (path / ".zarray").write_text(about[:start] + changed + about[end:], encoding="utf-8")
        with pytest.raises(ImageFileError, match=r"\.zarr"):
            read_images(path)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_tables_of_hdf5_are_errors_of_files(tmp_path: Path, damage: str) -> None:
    table = pd.DataFrame({"y": np.arange(50.0), "x": np.arange(50.0), "name": ["a"] * 50})
    write_columns(tmp_path / "whole.h5", table)
    data = (tmp_path / "whole.h5").read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), 60):
        changed = bytearray(data)
        if damage == "cut":
            del changed[place:]
        else:
            changed[place : place + 8] = bytes(rng.integers(0, 256, 8, dtype=np.uint8))
        (tmp_path / "bad.h5").write_bytes(changed)
        with contextlib.suppress(OSError):  # any other error fails the test
            read_columns(tmp_path / "bad.h5")


def test_cells_that_begin_like_formulas_come_back_and_are_none(tmp_path: Path) -> None:
    names = ["=1+1", "+a", "-b", "@c", "'d", "'=e", "''=f", "f", "-"]
    table = pd.DataFrame({"y": np.arange(9.0), "x": -np.arange(9.0), "=name": names})
    write_columns(tmp_path / "a.csv", table)
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    cells = [line.split(",")[2] for line in lines if not line.startswith("#")]
    assert not [cell for cell in cells if cell[0] in "=+-@"]
    read = read_columns(tmp_path / "a.csv")
    assert read["=name"].tolist() == names
    assert read["x"].tolist() == table["x"].tolist()


def test_tables_for_spreadsheets_are_escaped_and_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_csv(path, pd.DataFrame({"name": ["=1+1", "-x", "a"], "shift": [-1.5, 0.0, 2.0]}))
    whole = path.read_bytes()
    assert whole.decode().split() == ["name,shift", "'=1+1,-1.5", "'-x,0.0", "a,2.0"]

    class Unwritable:
        def __str__(self) -> str:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_csv(path, pd.DataFrame({"name": ["long" * 1000, Unwritable()]}))
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


def test_models_of_atoms_are_written_whole_in_the_format_of_their_name(tmp_path: Path) -> None:
    atoms = bulk("Pt")
    for name in ("a.cif", "a.xyz", "a.xyz.gz", "POSCAR"):
        write_atoms(tmp_path / name, atoms)
        assert (read(tmp_path / name).symbols == atoms.symbols).all()
    with pytest.raises(ValueError, match=r"a\.foo: atoms are not written as '\.foo' files"):
        write_atoms(tmp_path / "a.foo", atoms)
    with pytest.raises(FileNotFoundError, match="absent"):
        write_atoms(tmp_path / "absent" / "a.cif", atoms)
    assert len(list(tmp_path.iterdir())) == 4
