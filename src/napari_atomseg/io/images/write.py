"""Images and labels written with their scale, axes and provenance: TIFF, HDF5 or Zarr."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from napari_atomseg._shared.objects import plain_image, plain_sampling
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_size, to_angstrom
from napari_atomseg.io.images.hspy import write_hspy
from napari_atomseg.io.images.image import MicroscopeImage, Scale, sampling_of
from napari_atomseg.io.images.layout import LABELS, PROVENANCE
from napari_atomseg.io.images.ome_zarr import write_zarr
from napari_atomseg.io.images.tiff.write import write_tiff

WRITERS: dict[str, Callable[[Path, MicroscopeImage], None]] = {
    **dict.fromkeys((".tif", ".tiff"), write_tiff),
    **dict.fromkeys((".hspy", ".hdf5", ".h5"), write_hspy),
    ".zarr": write_zarr,
}
"""For each suffix, the function that writes an image."""

WRITTEN_SUFFIXES = tuple(WRITERS)
"""Suffixes of files that `write_image` writes, in lower case."""


def write_image(
    path: str | Path,
    data: ArrayLike | MicroscopeImage,
    sampling: Sampling | None = None,
    metadata: Mapping[str, Any] | None = None,
    *,
    axes: Sequence[str] | None = None,
    scales: Sequence[Scale] | None = None,
    labels: bool = False,
) -> None:
    """Write an image, stack or label image so that `read_image` gives it back.

    The suffix sets the format: .tif and .tiff are TIFF, which ImageJ opens with its scale; .hspy,
    .hdf5 and .h5 are HDF5 as HyperSpy has it; .zarr is a folder of OME-Zarr 0.5.

    Parameters
    ----------
    data : (..., H, W) real numbers, or an image that was read, with its axes, scales and
        provenance. Truth values are written as uint8 and half precision as single; TIFF keeps whole
        numbers of 64 bits only where 32 bits do not hold them.
    sampling : Å per pixel, one number or (dy, dx); None where unknown, or as the image has it.
    metadata : provenance, in values that JSON can hold.
    axes : a name for each axis, as `MicroscopeImage` has them; of a stack by default "frame".
    scales : step and unit of each axis; those of the last two follow from `sampling`, where it is
        given.
    labels : whether the numbers are those of regions, so that napari opens them as labels.

    Raises
    ------
    ValueError
        `data` has fewer than two axes or no real numbers, or the suffix is not known.
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    path = Path(path)
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        raise ValueError(
            f"{path}: images are not written as {path.suffix or 'files without suffix'}; "
            f"known are {', '.join(WRITTEN_SUFFIXES)}"
        )
    if not isinstance(data, MicroscopeImage):
        data, own = plain_image(data, calibrate=sampling is None and scales is None, name="data")
        sampling = own if own is not None else plain_sampling(sampling)
    image = data if isinstance(data, MicroscopeImage) else _image(np.asarray(data), axes)
    if scales is not None:
        pixel = sampling_of(*(to_angstrom(*scale) for scale in scales[-2:]))
        image = replace(image, scales=tuple(scales), sampling=pixel)
    if sampling is not None:
        image = resampled(image, sampling)
    if image.data.dtype.kind not in "buif":
        raise ValueError(f"data of type {image.data.dtype} are not real numbers")
    for name, given in (("axes", image.axes), ("scales", image.scales)):
        if len(given) != image.data.ndim:
            raise ValueError(f"{name}={given} are not those of data of shape {image.data.shape}")
    information = dict(image.metadata)
    if metadata:
        information[PROVENANCE] = dict(metadata)
    if labels:
        information[LABELS] = True
    write(path, replace(image, metadata=information))


def resampled(image: MicroscopeImage, sampling: Sampling | None) -> MicroscopeImage:
    """An image with another size of its pixels, Å; None where it is unknown."""
    leading = image.scales[:-2] or ((None, None),) * (len(image.axes) - 2)
    pixel = pixel_size(sampling)
    last: tuple[Scale, ...] = ((None, None),) * 2
    if pixel is not None:
        last = tuple((size, "Å") for size in pixel)
    return replace(image, sampling=sampling, scales=(*leading, *last))


def _image(data: Any, axes: Sequence[str] | None) -> MicroscopeImage:
    if data.ndim < 2:
        raise ValueError(f"data has {data.ndim} axes; an image has at least two")
    if axes is None:
        leading = data.ndim - 2
        names = ("frame",) if leading == 1 else tuple(f"axis {i}" for i in range(leading))
        axes = (*names, "y", "x")
    return MicroscopeImage(data, None, tuple(axes), scales=((None, None),) * data.ndim)
