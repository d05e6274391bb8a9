"""An image read from a file, with its sampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import is_unknown, pixel_size, to_angstrom, unit_name

LUMINANCE = np.array([0.2125, 0.7154, 0.0721])
"""Weights of red, green and blue in luminance (ITU-R BT.709)."""


class ImageFileError(OSError):
    """A file that cannot be read as an image; the message names it and the reason."""


Kind = Literal["image", "diffraction", "spectrum", "line scan", "flat field", "preview"]
"""What a data set shows. Only images are taken without being asked for."""

Scale = tuple[float | None, str | None]
"""Step of an axis and its unit, as `unit_name` writes it; None where unknown."""

PROFILES: tuple[Kind, ...] = ("spectrum", "line scan")
"""Kinds whose last two axes are no image, and that may have one axis."""

_UNKNOWN = -1
"""Step that stands for an unknown one in many formats."""
_LARGEST, _SMALLEST = 1e8, 1e-4
"""Å; pixels of another size (a centimetre, a nucleus) are no calibration of a microscope."""


@dataclass(frozen=True)
class MicroscopeImage:
    """One data set of a file: an image or stack, or what else a microscope records.

    Attributes
    ----------
    data : (..., H, W) real numbers, of the file's type (half precision as float32); a dask array
        where they are large. Spectra and line scans may have one axis.
    sampling : Å per pixel of the last two axes, one number or (dy, dx); None where unknown, or no
        length.
    axes : a name for each axis of `data`: the last two are "y" and "x", those before them
        "channel", "frame", "time", "z" or, where the file does not name them, "axis 0".
    metadata : further information in the file; "datasets" lists its data sets, "notes" are
        sentences for the user on what could not be read.
    name : name of the file without its suffix.
    kind : what the data set shows.
    scales : for each axis of `data`, its step and unit.
    title : name of the data set in the file; empty where it has none.
    """

    data: Any
    sampling: Sampling | None
    axes: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    name: str = "image"
    kind: Kind = "image"
    scales: tuple[Scale, ...] = ()
    title: str = ""

    @property
    def notes(self) -> list[str]:
        """Sentences for the user: units that were not understood, frames that are missing."""
        return list(self.metadata.get("notes", ()))

    def like(self, data: Any) -> MicroscopeImage:
        """What was made of this image: the same axes and field of view, with other pixels.

        Parameters
        ----------
        data : (..., H, W) with the leading axes of the image; of more rows and columns, pixels are
            smaller by as much.
        """
        finer = [old / new for old, new in zip(self.data.shape, data.shape, strict=True)]
        scales = tuple(
            (None if step is None else step * part, unit)
            for (step, unit), part in zip(self.scales, finer, strict=False)
        )
        sampling = self.sampling
        if sampling is not None:
            dy, dx = pixel_size(sampling)
            sampling = sampling_of(dy * finer[-2], dx * finer[-1])
        return replace(self, data=data, sampling=sampling, scales=scales, metadata={}, title="")


def make_image(
    path: Path,
    data: Any,
    pixel: tuple[float | None, float | None] = (None, None),
    metadata: Mapping[str, Any] | None = None,
    *,
    axes: Sequence[str] | None = None,
    scales: Sequence[tuple[float | None, object]] | None = None,
    kind: Kind = "image",
    title: str = "",
) -> MicroscopeImage:
    """A data set of a file, its numbers in the machine's byte order.

    Parameters
    ----------
    data : (..., H, W) array, or a dask array, which stays lazy.
    pixel : Å per pixel (dy, dx), None, zero or NaN where unknown; for files that state nothing
        but lengths. Others give `scales`.
    metadata : further information; "notes" are kept and added to.
    axes : a name for each axis.
    scales : step and unit of each axis as the file writes them. A length of the last two axes is
        the sampling; a unit that is not known is told in the notes.
    kind : what the data set shows.
    title : name of the data set in the file.

    Raises
    ------
    ImageFileError
        `data` is not an image of real numbers.
    """
    data = data if hasattr(data, "dask") else np.asarray(data)
    if kind not in PROFILES and (data.ndim < 2 or min(data.shape[-2:]) < 2 or data.size == 0):
        raise ImageFileError(f"{path}: not an image, but an array of shape {data.shape}")
    if data.dtype.kind not in "buif":
        raise ImageFileError(f"{path}: not an image of real numbers ({data.dtype})")
    if axes is None:
        leading = data.ndim - 2
        axes = (*(("frame",) if leading == 1 else (f"axis {i}" for i in range(leading))), "y", "x")
    if scales is None:
        last = [(size, "Å" if size else None) for size in pixel]
        scales = [*[(None, None)] * (data.ndim - 2), *last]
    known, notes = _read_scales(axes, scales)
    sampling = None
    if kind not in (*PROFILES, "diffraction"):
        sampling = sampling_of(*(to_angstrom(step, unit) for step, unit in known[-2:]))
    if sampling is not None and not _is_plausible(sampling):
        notes.append(f"The pixels would be of {sampling} Å: the scale was left out.")
        known[-2:] = [(None, None)] * 2
        sampling = None
    information = dict(metadata or {})
    notes = [*information.get("notes", ()), *notes]
    if notes:
        information["notes"] = notes
    kept = _native(data.dtype)
    return MicroscopeImage(
        data=data.astype(kept) if hasattr(data, "dask") else np.ascontiguousarray(data, kept),
        sampling=sampling,
        axes=tuple(axes),
        metadata=information,
        name=path.stem,
        kind=kind,
        scales=tuple(known),
        title=title,
    )


def _is_plausible(sampling: Sampling) -> bool:
    return bool(np.all((np.array(sampling) > _SMALLEST) & (np.array(sampling) < _LARGEST)))


def _read_scales(
    axes: Sequence[str], scales: Sequence[tuple[float | None, object]]
) -> tuple[list[Scale], list[str]]:
    """Steps with units that pint reads, and notes on those that are not known."""
    known: list[Scale] = []
    unknown: dict[str, list[str]] = {}
    for axis, (step, unit) in zip(axes, scales, strict=True):
        size = None if step is None or step == _UNKNOWN else abs(float(step))
        usable = size is not None and np.isfinite(size) and size > 0
        if is_unknown(unit):
            unknown.setdefault(str(unit), []).append(axis)
        known.append((size, unit_name(unit)) if usable else (None, None))
    return known, [
        f"The unit {unit!r} of {' and '.join(names)} is not known: no scale was taken from it."
        for unit, names in unknown.items()
    ]


def sampling_of(dy: float | None, dx: float | None) -> Sampling | None:
    """Sampling of two pixel sizes: one number for square pixels, None where one is unknown."""
    sizes = [float(size) for size in (dy, dx) if size is not None]
    if len(sizes) < 2 or not all(np.isfinite(size) and size > 0 for size in sizes):
        return None
    height, width = sizes
    return height if np.isclose(height, width, rtol=1e-7, atol=0) else (height, width)


def luminance(data: NDArray[Any]) -> NDArray[Any]:
    """Convert colours, or grey and alpha, (..., H, W, C) to grey values (..., H, W).

    Grey images stored as colours keep their type; others become float32. Alpha is ignored.
    """
    if data.shape[-1] in (1, 2):
        return data[..., 0]
    colours = data[..., :3]
    if all(np.array_equal(colours[..., 0], colours[..., i]) for i in (1, 2)):
        return colours[..., 0]
    grey: NDArray[Any] = colours.astype(np.float64) @ LUMINANCE
    return grey.astype(np.float32)


def _native(kind: np.dtype[Any]) -> np.dtype[Any]:
    """Type in the machine's byte order; half precision, which few programs read, becomes single."""
    return np.dtype(np.float32) if kind == np.float16 else kind.newbyteorder("=")
