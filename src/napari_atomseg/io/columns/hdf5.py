"""Columns in HDF5, as an atom lattice for Atomap and an image for HyperSpy.

The layouts are those of Atomap 0.4 (`load_atom_lattice_from_hdf5`) and of HyperSpy's files,
version 3.1. The whole table is stored beside them without loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.plain_json import read_json
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_size, to_angstrom
from napari_atomseg.io.columns.table import column_file_error, with_positions
from napari_atomseg.io.columns.text import RECORD, numbers, record, restored, tag_names
from napari_atomseg.io.tried import try_file

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours of sublattices, distinct also for colour-blind readers (Okabe & Ito 2008)."""
_LARGEST_IMAGE = 2**28
"""Pixels of the largest black image that is written."""
_SPECIES = ("sublattice", "species")
_LATTICES = ("sublattice", "atom_lattice", "sub_lattice")
"""Parts of Atomap's names of groups."""


def write_hdf5(
    partial: Path,
    columns: pd.DataFrame,
    metadata: Mapping[str, Any],
    image: ArrayLike | None = None,
) -> None:
    """Write the table, the image, and an Atomap sublattice for each kind of column.

    Parameters
    ----------
    columns : kinds are the values of ``sublattice`` or ``species``, where there is one of these.
    image : (H, W) image of the columns. Atomap needs one: by default it is black.

    Raises
    ------
    ValueError
        `image` is not a single image.
    """
    import h5py

    sampling = metadata.get("sampling", columns.attrs.get("sampling"))
    picture = _picture(columns, image)
    with h5py.File(partial, "w", track_order=True) as file:
        own = file.create_group(RECORD, track_order=True)
        # Attributes hold at most 64 KiB, data sets any length.
        own.create_dataset("record", data=record(columns, metadata), dtype=h5py.string_dtype())
        for (_, column), tag in zip(columns.items(), tag_names(columns), strict=True):
            _store(own, tag, column, h5py.string_dtype())
        _write_signal(file, picture, sampling)
        if len(columns):
            _write_lattice(file, columns, sampling)


def holds_columns(path: Path) -> bool:
    """Whether a file is one of this package's tables in HDF5."""
    import h5py

    try:
        with h5py.File(path) as file:
            return RECORD in file
    except OSError:
        return False


def read_hdf5(path: Path, sampling: Sampling | None) -> pd.DataFrame:
    """Columns of a file of this package, or of an atom lattice saved by Atomap.

    A file of Atomap gives ``sublattice``, counted from 0, with their names in ``attrs``, and
    ``sigma_x``, ``sigma_y`` and ``rotation`` (px, px, rad) where it has them.

    Raises
    ------
    OSError
        Damaged, or not an HDF5 file of columns; the message names it.
    """
    import h5py

    try_file(path)
    try:
        with h5py.File(path) as file:
            if RECORD in file:
                return _own(file[RECORD])
            groups = [
                group
                for name, group in file.items()
                if isinstance(group, h5py.Group) and any(word in name for word in _LATTICES)
            ]
            parts = [_sublattice(group) for group in groups]
            images = [name for name in ("Experiments", "image_data", "data") if name in file]
    except Exception as error:  # HDF5 raises any on a damaged file
        reason = str(error) or type(error).__name__
        raise column_file_error(path, f"damaged, or not HDF5 with columns ({reason})") from error
    if not parts:
        what = "an image, but no columns: localize it" if images else "no columns"
        raise column_file_error(path, f"this HDF5 file holds {what}")
    return _atomap_table(parts, sampling)


def _own(group: Any) -> pd.DataFrame:
    parsed = read_json(group["record"][()])
    series: dict[str, Any] = {}
    for tag, name, kind in parsed["columns"]:
        values = group[tag][()]
        if kind == "text":
            missing = set(group[tag].attrs.get("missing", ()))
            text = [value.decode("utf-8") for value in values]
            series[name] = [None if i in missing else t for i, t in enumerate(text)]
        else:
            series[name] = values
    table = pd.DataFrame(series)
    table.attrs = restored(parsed["attrs"])
    return table


def _store(group: Any, tag: str, column: pd.Series, text: Any) -> None:
    found = numbers(column)
    if found is not None:
        group.create_dataset(tag, data=found)
        return
    values = column.tolist()
    missing = [i for i, value in enumerate(values) if pd.isna(value)]
    whole = ["" if pd.isna(value) else str(value) for value in values]
    data = group.create_dataset(tag, data=np.array(whole, dtype=object), dtype=text)
    if missing:
        data.attrs["missing"] = missing


def _picture(columns: pd.DataFrame, image: ArrayLike | None) -> NDArray[Any]:
    if image is None:
        last = [columns[a].max() if len(columns) else 0.0 for a in ("y", "x")]
        height, width = (max(8, int(np.ceil(np.nan_to_num(each))) + 1) for each in last)
        if height * width > _LARGEST_IMAGE:
            raise ValueError(
                f"the columns reach to y = {height - 1}, x = {width - 1}: HDF5 for Atomap holds an "
                "image of that size; give image="
            )
        return np.zeros((height, width), np.float32)
    picture = np.asarray(image)
    if picture.ndim != 2:
        raise ValueError(f"image has the shape {picture.shape}; a single image is needed")
    return picture


def _write_signal(file: Any, picture: NDArray[Any], sampling: Sampling | None) -> None:
    """The image as HyperSpy saves a `Signal2D`."""
    file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", "3.1"
    signal = file.create_group("Experiments/image")
    signal.create_dataset("data", data=picture, chunks=True, compression="gzip")
    signal.attrs["package"], signal.attrs["package_version"] = "napari-atomseg", ""
    steps = (1.0, 1.0) if sampling is None else pixel_size(sampling)
    for number, (name, step) in enumerate(zip("yx", steps, strict=True)):
        axis = signal.create_group(f"axis-{number}")
        axis.attrs.update(
            _type="UniformDataAxis",
            name=name,
            size=picture.shape[number],
            scale=step,
            offset=0.0,
            units="px" if sampling is None else "Å",
            navigate=False,
            is_binned=False,
        )
    general = signal.create_group("metadata/General")
    general.attrs["title"] = "image"
    signal.create_group("metadata/Signal").attrs["signal_type"] = ""
    signal.create_group("original_metadata")
    signal.create_group("learning_results")


def _write_lattice(file: Any, columns: pd.DataFrame, sampling: Sampling | None) -> None:
    """Sublattices and image as Atomap saves an `Atom_Lattice`."""
    image = file["Experiments/image/data"]
    file["image_data"] = image  # one array under several names
    file.attrs["name"], file.attrs["atom_lattice_type"] = "napari-atomseg", "Atom_Lattice"
    separation = _separation(columns)
    file.attrs["pixel_separation"] = separation
    steps = (1.0, 1.0) if sampling is None else pixel_size(sampling)
    key = next((name for name in _SPECIES if name in columns), None)
    parts = (
        [("columns", columns)]
        if key is None
        else list(columns.groupby(key, sort=True, dropna=False))
    )
    for number, (value, part) in enumerate(parts):
        name = str(value)
        group = file.create_group(f"{number}_{name}_sublattice".replace("/", "_"))
        group["modified_image_data"] = group["original_image_data"] = image
        group["atom_positions"] = part[["x", "y"]].to_numpy(float)
        sigma = part["sigma"].to_numpy(float) if "sigma" in part else np.ones(len(part))
        for axis in "xy":
            has = f"sigma_{axis}" in part
            group[f"sigma_{axis}"] = part[f"sigma_{axis}"].to_numpy(float) if has else sigma
        turned = "rotation" in part
        group["rotation"] = part["rotation"].to_numpy(float) if turned else np.zeros(len(part))
        group.attrs.update(
            pixel_size=float(np.mean(steps)),
            units="pixel" if sampling is None else "Å",
            pixel_separation=separation,
            name=name,
            plot_color=_COLOURS[number % len(_COLOURS)],
            sublattice_index=number,
            zone_axis_names_byte=np.zeros(0),
        )


def _separation(columns: pd.DataFrame) -> float:
    """Half the typical distance of neighbours, px: the least distance for Atomap."""
    distance = median_spacing(columns[["y", "x"]].to_numpy(float))
    return 10.0 if np.isnan(distance) else 0.5 * distance


def _sublattice(group: Any) -> tuple[int | None, str, float | None, pd.DataFrame]:
    """Index, name, Å per pixel and columns of one of Atomap's sublattices."""
    positions = np.asarray(group["atom_positions"][()], dtype=float)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ValueError(f"{group.name}: positions of shape {positions.shape}")
    table = pd.DataFrame({"y": positions[:, 1], "x": positions[:, 0]})
    for name in ("sigma_x", "sigma_y", "rotation"):
        if name in group:
            table[name] = np.asarray(group[name][()], dtype=float)
    attributes = group.attrs
    name = attributes.get("name", attributes.get("tag", ""))
    name = name.decode() if isinstance(name, bytes) else str(name)
    units = attributes.get("units", "")
    units = units.decode() if isinstance(units, bytes) else str(units)
    index = attributes.get("sublattice_index")
    size = to_angstrom(attributes.get("pixel_size"), units)
    return (None if index is None else int(index)), name, size, table


def _atomap_table(
    parts: list[tuple[int | None, str, float | None, pd.DataFrame]], sampling: Sampling | None
) -> pd.DataFrame:
    places = [number if part[0] is None else part[0] for number, part in enumerate(parts)]
    order = sorted(range(len(parts)), key=places.__getitem__)
    sizes = {parts[i][2] for i in order}
    known = (sizes.pop() if len(sizes) == 1 else None) or sampling
    tables = [parts[i][3].assign(sublattice=number) for number, i in enumerate(order)]
    result = with_positions(pd.concat(tables, ignore_index=True), ("y", "x"), "px", known)
    result.attrs = {
        "sampling": known,
        "source": "Atomap",
        "sublattices": [parts[i][1] for i in order],
    }
    return result
