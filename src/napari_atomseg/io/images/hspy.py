"""HDF5 in the layout of HyperSpy, written and read without HyperSpy or RosettaSciIO."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_atomseg._shared.files import package_version, plain, whole_file
from napari_atomseg._shared.units import dimension
from napari_atomseg.io.images.image import Kind, MicroscopeImage, Scale, make_image

FORMAT_VERSION = "3.3"
"""Version of HyperSpy's layout, which does not change with the package."""

OWN = "napari_atomseg"
"""Attribute of an image's further information with what this package wrote, as JSON."""

_UNNAMED = "__unnamed__"
"""HyperSpy's name for a data set without a title."""


def write_hspy(path: Path, image: MicroscopeImage) -> None:
    """Write an image or stack as HyperSpy does, with axes, scales, title and provenance.

    Raises
    ------
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    data = np.asarray(image.data)
    data = data.astype(np.uint8) if data.dtype.kind == "b" else data
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["file_format"] = "HyperSpy"
        file.attrs["file_format_version"] = FORMAT_VERSION
        name = image.title.replace("/", "-") or _UNNAMED
        experiment = file.create_group(f"Experiments/{name}")
        experiment.attrs["package"] = OWN
        experiment.attrs["package_version"] = package_version()
        experiment.create_dataset("data", data=data, **_compression(data))
        for number, (axis, scale) in enumerate(zip(image.axes, image.scales, strict=True)):
            group = experiment.create_group(f"axis-{number}")
            group.attrs.update(_axis(number, axis, scale, data.shape[number], data.ndim))
        general = experiment.create_group("metadata/General")
        general.attrs["title"] = image.title
        general.attrs["original_filename"] = path.name
        experiment.create_group("metadata/Signal").attrs["signal_type"] = ""
        experiment.create_group("learning_results")
        own = {
            "axes": image.axes,
            "scales": image.scales,
            "kind": image.kind,
            "labels": bool(image.metadata.get("labels", False)),
            "provenance": image.metadata.get("provenance"),
        }
        experiment.create_group("original_metadata").attrs[OWN] = json.dumps(plain(own))


def is_hspy(path: Path) -> bool:
    """Whether an HDF5 file has the layout of HyperSpy."""
    with h5py.File(path) as file:
        return "Experiments" in file


def reads_hspy(path: Path) -> bool:
    """Whether `read_hspy` is to read a file: one of this package, or where RosettaSciIO is absent.

    RosettaSciIO knows every version and kind of axis of HyperSpy.
    """
    with h5py.File(path) as file:
        groups = list(file["Experiments"].values()) if "Experiments" in file else []
        own = [OWN in _attributes(group, "original_metadata") for group in groups]
    return bool(own) and (all(own) or find_spec("rsciio") is None)


def read_hspy(path: Path) -> list[MicroscopeImage]:
    """Read every data set with two axes or more of a file in HyperSpy's layout."""
    with h5py.File(path) as file:
        groups = file["Experiments"].items()
        return [_read(path, name, group) for name, group in groups if group["data"].ndim > 1]


def _read(path: Path, name: str, group: Any) -> MicroscopeImage:
    data = group["data"][()]
    axes = [_attributes(group, f"axis-{number}") for number in range(data.ndim)]
    names = [_text(axis.get("name")) for axis in axes]
    scales: list[Scale] = [(_step(axis), _text(axis.get("units"))) for axis in axes]
    title = _text(_attributes(group, "metadata/General").get("title"))
    metadata: dict[str, Any] = {"title": title}
    kind = _kind(scales)
    own = _own(_attributes(group, "original_metadata").get(OWN))
    if own and len(own["axes"]) == data.ndim:
        names, scales, kind = own["axes"], own["scales"], own["kind"]
        metadata |= {key: own[key] for key in ("provenance", "labels") if own.get(key)}
    named = all(names[:-2]) and len(set(names)) == data.ndim
    return make_image(
        path,
        data,
        metadata=metadata,
        axes=[*names[:-2], "y", "x"] if named else None,
        scales=scales,
        kind=kind,
        title=title or ("" if name == _UNNAMED else name),
    )


def _axis(number: int, name: str, scale: Scale, size: int, count: int) -> dict[str, Any]:
    """The attributes of an axis; HyperSpy takes a missing scale for 1 and a missing unit for ""."""
    step, unit = scale
    return {
        "_type": "UniformDataAxis",
        "name": name,
        "scale": 1.0 if step is None else float(step),
        "offset": 0.0,
        "size": size,
        "units": "" if step is None or unit is None else unit,
        "navigate": number < count - 2,
        "index_in_array": number,
        "is_binned": False,
    }


def _compression(data: Any) -> dict[str, Any]:
    return {"compression": "gzip", "shuffle": True} if data.size else {}


def _attributes(group: Any, name: str) -> dict[str, Any]:
    return dict(group[name].attrs) if name in group else {}


def _text(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return text if isinstance(text, str) and text not in ("<undefined>", "None") else ""


def _step(axis: Mapping[str, Any]) -> float | None:
    step = axis.get("scale")
    return None if step is None or not _text(axis.get("units")) else float(step)


def _kind(scales: Sequence[Scale]) -> Kind:
    known = {dimension(unit) for _, unit in scales[-2:]}
    if "energy" in known:
        return "spectrum"
    return "diffraction" if known & {"reciprocal", "angle"} else "image"


def _own(record: object) -> dict[str, Any]:
    """What this package wrote beside the data; nothing where it is damaged."""
    try:
        own = json.loads(_text(record))
    except ValueError:
        return {}
    return own if isinstance(own, dict) and {"axes", "scales", "kind"} <= set(own) else {}
