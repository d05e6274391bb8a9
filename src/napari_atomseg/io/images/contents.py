"""Data sets as RosettaSciIO describes them, turned into images: names of axes, kinds, notes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg._shared.units import Dimension, dimension
from napari_atomseg.io.images.image import (
    PROFILES,
    Kind,
    MicroscopeImage,
    luminance,
    make_image,
)

Content = dict[str, Any]
"""A data set: "data", "axes" (each with name, units, scale, navigate), "metadata" and
"original_metadata", as RosettaSciIO returns them; our readers add "title", "kind" and "notes"."""
Axis = Mapping[str, Any]

LARGE = 256 * 2**20
"""Bytes above which data stay in the file until they are used."""


class Room:
    """Memory for the data sets of a file that are read at once, before one is chosen."""

    def __init__(self) -> None:
        self._left = LARGE

    def takes(self, size: int) -> bool:
        """Whether data of so many bytes are read now; others stay in the file until then."""
        if size > self._left:
            return False
        self._left -= size
        return True


_NARROW, _LONG = 8, 4
"""Arrays narrower than this and so many times as long are profiles or tables, not images."""

_UNNAMED = "__unnamed__"
"""HyperSpy's name for a signal without title."""

_NO_SPACE: tuple[Dimension | None, ...] = ("energy", "reciprocal", "angle")
_DIFFRACTION_AXIS = re.compile(r"(?:k|q|d)_?[xy]|(?:scattering|diffraction|angle).*", re.IGNORECASE)
_SPECTRUM_AXIS = re.compile(r"energy.*|.*wave ?(?:length|number).*|.*raman.*", re.IGNORECASE)
_SPECTRUM_SIGNAL = re.compile(r"EELS|EDS|CL\b|CL_|luminescence|spectrum", re.IGNORECASE)
_CORRECTION = re.compile(
    r"flat[ _-]?field|(?:gain|dark)[ _-]?ref|(?:pixel|bad|dead|hot)[ _-]?(?:pixels?[ _-]?)?mask",
    re.IGNORECASE,
)
"""Names of what a camera is corrected by."""
_LEADING = {
    "t": "time",
    "time": "time",
    "frame": "frame",
    "frames": "frame",
    "z": "z",
    "depth": "z",
    "channel": "channel",
    "channels": "channel",
    "detector": "channel",
}


def images_of(path: Path, contents: Sequence[Content]) -> list[MicroscopeImage]:
    """Data sets of numbers, in the file's order; tables of texts and empty ones are left out.

    Axes of length 1 are dropped and rows come before columns, by the names of the axes. Colours
    become grey values, complex numbers their modulus, which is told in the notes.
    """
    return [_image(path, each) for each in map(_plain, contents) if _has_numbers(each["data"])]


def _image(path: Path, content: Content) -> MicroscopeImage:
    data, axes, notes = content["data"], content["axes"], list(content.get("notes", ()))
    if data.dtype.kind == "c":
        data = abs(data)
        notes.append("The numbers are complex: their modulus is shown.")
    title = content_title(content)
    if title == path.name:
        title = ""
    kind = kind_of(data.shape, axes, content)
    if data.ndim > 1:
        kind = content.get("kind") or kind
    metadata = {
        "title": title,
        "metadata": content.get("metadata", {}),
        "original_metadata": content.get("original_metadata", {}),
        **({"notes": notes} if notes else {}),
    }
    return make_image(
        path,
        data,
        metadata=metadata,
        axes=axis_names(axes, kind),
        scales=[(_step(axis), axis.get("units")) for axis in axes],
        kind=kind,
        title=title,
    )


def content_title(content: Content) -> str:
    """Name of a data set in its file."""
    general = content.get("metadata", {}).get("General", {})
    title = content.get("title") or general.get("title") or general.get("original_filename")
    return "" if title == _UNNAMED else str(title or "").strip()


def _plain(content: Content) -> Content:
    """The content with numbers in place of colours, without axes of length 1, rows first."""
    data = content["data"]
    if getattr(data, "dtype", np.dtype(object)).names:
        colours = [np.asarray(data[name]) for name in data.dtype.names]
        data = luminance(np.stack(colours, axis=-1))
    if not hasattr(data, "dask"):
        data = np.asarray(data)
    axes: list[Axis] = list(content.get("axes") or ())
    if len(axes) != data.ndim:
        axes = [{}] * data.ndim
    kept = [number for number, size in enumerate(data.shape) if size != 1]
    data = data.reshape([data.shape[number] for number in kept])
    axes = [axes[number] for number in kept]
    order = _rows_first(axes)
    return {**content, "data": data.transpose(order), "axes": [axes[number] for number in order]}


def _rows_first(axes: Sequence[Axis]) -> list[int]:
    """Order of the axes in which "y" and "x" are the last two, if these are the image's."""
    order = list(range(len(axes)))
    names = [_name(axis).lower() for axis in axes]
    others = [axis for axis, name in zip(axes, names, strict=True) if name not in ("x", "y")]
    if names.count("y") != 1 or names.count("x") != 1 or any(map(_is_signal, others)):
        return order
    last = [names.index("y"), names.index("x")]
    return [number for number in order if number not in last] + last


def _is_signal(axis: Axis) -> bool:
    """Whether an axis counts what was recorded in each pixel."""
    name = _name(axis)
    return (
        dimension(_unit(axis)) in _NO_SPACE
        or _DIFFRACTION_AXIS.fullmatch(name) is not None
        or _SPECTRUM_AXIS.fullmatch(name) is not None
    )


def _has_numbers(data: Any) -> bool:
    return bool(data.ndim) and data.size > 0 and data.dtype.kind in "buifc"


def kind_of(shape: Sequence[int], axes: Sequence[Axis], content: Content) -> Kind:
    """What a data set shows, by the units and names of its last axes, and by its own name."""
    signal = str(content.get("metadata", {}).get("Signal", {}).get("signal_type") or "")
    last = axes[-2:]
    map_of_signal = all(dimension(_unit(axis)) == "length" for axis in last) and not any(
        map(_is_signal, axes)
    )
    if (
        (_SPECTRUM_SIGNAL.search(signal) and not map_of_signal)
        or dimension(_unit(last[-1])) == "energy"
        or _SPECTRUM_AXIS.fullmatch(_name(last[-1]))
    ):
        return "spectrum"
    if len(shape) > 1 and (
        "diffraction" in signal.lower()
        or any(dimension(_unit(axis)) in ("reciprocal", "angle") for axis in last)
        or all(_DIFFRACTION_AXIS.fullmatch(_name(axis)) for axis in last)
    ):
        return "diffraction"
    if _CORRECTION.search(content_title(content)):
        return "flat field"
    one_signal = [bool(axis.get("navigate")) for axis in last] == [True, False]
    times = any(dimension(_unit(axis)) == "time" for axis in last)
    short, long = min(shape[-2:]), max(shape[-2:])
    narrow = short < _NARROW and long >= _LONG * short
    if len(shape) == 1 or one_signal or times or narrow:
        return "line scan"
    return "image"


def axis_names(axes: Sequence[Axis], kind: Kind) -> list[str]:
    """Names of axes: "y" and "x" for the last two, except for spectra and line scans."""
    if kind in PROFILES:
        return [_name(axis) or f"axis {number}" for number, axis in enumerate(axes)]
    leading = len(axes) - 2
    names = [_leading_name(axis, number, leading) for number, axis in enumerate(axes[:leading])]
    unique = [
        name if names.count(name) == 1 else f"{name} {number}" for number, name in enumerate(names)
    ]
    return [*unique, "y", "x"]


def _leading_name(axis: Axis, number: int, count: int) -> str:
    name = _LEADING.get(_name(axis).lower(), _name(axis))
    if dimension(_unit(axis)) == "time":
        return "time"
    if not name or (name == "z" and dimension(_unit(axis)) != "length"):
        return "frame" if count == 1 else f"axis {number}"
    return f"scan {name.lower()}" if name.lower() in ("y", "x") else name


def _name(axis: Axis) -> str:
    name = axis.get("name")
    if not isinstance(name, str) or name.strip().lower() in (
        "",
        "<undefined>",
        "unknown dimension",
    ):
        return ""
    return name.strip()


def _unit(axis: Axis) -> Any:
    unit = axis.get("units")
    return unit if isinstance(unit, (str, bytes)) else None


def _step(axis: Axis) -> float | None:
    """Step of an axis; of one that is given point by point, where the points are even."""
    step = axis.get("scale")
    if step is None and axis.get("axis") is not None:
        steps = np.diff(np.asarray(axis["axis"], dtype=float))
        even = len(steps) > 0 and np.allclose(steps, steps[0], rtol=1e-3, atol=0)
        step = steps.mean() if even else None
    return None if step is None else float(step)
