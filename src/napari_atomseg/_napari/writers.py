"""Writers of image and labels layers: TIFF, HDF5 and Zarr with their scale, axes and record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from napari_atomseg._napari.large import require_memory
from napari_atomseg._napari.layers import PROVENANCE, READ
from napari_atomseg._shared.files import plain
from napari_atomseg._shared.outputs import check_outputs
from napari_atomseg._shared.units import dimension, to_angstrom
from napari_atomseg.io.images.image import MicroscopeImage, Scale
from napari_atomseg.io.images.layout import PLACED, PLACEMENT
from napari_atomseg.io.images.write import write_image

_UNNAMED = "axis "
"""Start of the names of axes that a file does not name."""


def write_image_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer as `read_image` and this plugin's reader give it back.

    Raises
    ------
    TypeError
        It is a picture in colours, or has no real numbers; a sentence for the user. (napari takes a
        `ValueError` for a sign that a writer does not know the suffix.) Or it would be written over
        an image that it was read or made from.
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    if attributes.get("rgb"):
        raise TypeError(
            f"{attributes.get('name')!r} is in colours, which have no scale in these files: save "
            "it by napari's own writer, as PNG"
        )
    keep_inputs(path, attributes, itself=True)
    return _write(path, data, attributes, labels=False)


def write_labels_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a labels layer with whole numbers, as `write_image_layer` does.

    Labels that were read from this plugin's file, and painted, may be written to it again.
    """
    keep_inputs(path, attributes)
    return _write(path, data, attributes, labels=True)


def _write(path: str, data: Any, attributes: Mapping[str, Any], *, labels: bool) -> list[str]:
    pixels = data[0] if attributes.get("multiscale") else data
    if not path.lower().endswith(".zarr") or not hasattr(pixels, "dask"):
        try:
            require_memory(pixels, 2 * pixels.dtype.itemsize, "writing any file but Zarr")
        except ValueError as error:
            raise TypeError(str(error)) from error
        pixels = np.asarray(pixels)
    image = MicroscopeImage(
        pixels,
        None,
        _axes(attributes.get("axis_labels"), pixels.ndim),
        title=str(attributes.get("name", "")),
        metadata=_placement(attributes),
    )
    record = attributes.get("metadata", {}).get(PROVENANCE)
    units = attributes.get("units") or ("pixel",) * pixels.ndim
    steps = attributes.get("scale", np.ones(pixels.ndim))
    scales = [_scale(step, unit) for step, unit in zip(steps, units, strict=True)]
    # The reader counts frames as pixels, for the slider, and keeps the file's steps beside.
    known = attributes.get("metadata", {}).get("file", {}).get("scales", ())
    if len(known) == len(scales):
        leading = zip(scales[:-2], known[:-2], strict=True)
        scales[:-2] = [kept if own == (None, None) else own for own, kept in leading]
    try:
        write_image(path, image, None, record, scales=scales, labels=labels)
    except ValueError as error:
        raise TypeError(str(error)) from error
    return [path]


def keep_inputs(path: str, attributes: Mapping[str, Any], *, itself: bool = False) -> None:
    """Raise TypeError where a layer would be written over a file that it was made from.

    Parameters
    ----------
    itself : whether the file that the layer was read from counts, too.
    """
    record = attributes.get("metadata", {}).get(PROVENANCE, {})
    files = list(_inputs(record))
    if itself and record.get("action") == READ:
        files.append(record["source"])
    try:
        check_outputs([path], files)
    except ValueError as error:
        name = attributes.get("name")
        raise TypeError(f"{name!r}: {error}; choose another name") from error


def _inputs(record: Mapping[str, Any]) -> Iterator[str]:
    """The files in the records of what something was made from."""
    for each in dict(record.get("inputs") or {}).values():
        if isinstance(each, Mapping):
            if each.get("file"):
                yield str(each["file"])
            yield from _inputs(each.get("record") or {})


def _placement(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Where the pixels of a layer lie beside their size, in Å and frames; empty at the origin."""
    known = {name: np.asarray(attributes.get(name, ())) for name in PLACED}
    if not known["translate"].size:
        return {}
    count = len(known["translate"])
    steps, units = np.asarray(attributes["scale"], dtype=float), attributes.get("units")
    lengths = np.array([_in_angstrom(unit) for unit in units or ("pixel",) * count])
    # Frames count as such where they are read; all else is in Å, or counts pixels.
    lengths[:-2] /= np.where(steps[:-2] == 0, 1.0, steps[:-2])
    affine = known["affine"].astype(float).copy()
    affine[:-1, -1] *= lengths
    placed = known | {"translate": known["translate"] * lengths, "affine": affine}
    usual = {
        "translate": np.zeros(count),
        "rotate": np.eye(count),
        "shear": np.zeros(len(known["shear"])),
        "affine": np.eye(count + 1),
    }
    if all(np.allclose(placed[name], usual[name]) for name in PLACED):
        return {}
    return {PLACEMENT: plain(placed)}


def _in_angstrom(unit: Any) -> float:
    """Å in a unit of length; 1 for others."""
    name = f"{unit:~C}" if hasattr(unit, "dimensionality") else str(unit)
    return to_angstrom(1.0, name) or 1.0


def _axes(labels: Any, ndim: int) -> tuple[str, ...]:
    """Names of axes as files have them: the last two are rows and columns."""
    leading = ndim - 2
    given = [str(each) for each in labels][:leading] if labels is not None else []
    if len(given) < leading or any(map(_is_number, given)):
        given = ["frame"] if leading == 1 else [f"{_UNNAMED}{number}" for number in range(leading)]
    return (*given, "y", "x")


def _is_number(label: str) -> bool:
    """Whether napari, or this plugin, only counts an axis: as "-3", or as "axis 0"."""
    bare = label.removeprefix(_UNNAMED).removeprefix("-").strip()
    return not bare or bare.isdecimal()


def _scale(step: float, unit: Any) -> Scale:
    """Step and unit of an axis; nothing where they are pixels."""
    name = f"{unit:~C}" if hasattr(unit, "dimensionality") else str(unit)
    return (None, None) if dimension(name) in (None, "pixel", "none") else (float(step), name)
