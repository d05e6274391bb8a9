"""What formats have no place for: a record of axes, scales and kind that this package writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from napari_atomseg._shared.files import plain
from napari_atomseg._shared.units import to_angstrom
from napari_atomseg.io.images.image import Kind, MicroscopeImage, sampling_of

KEY = "napari_atomseg"
"""Name of the record in a file."""
PROVENANCE, LABELS, PLACEMENT = "provenance", "labels", "placement"
"""Keys of an image's metadata: how it was made, whether its numbers are those of regions, and where
its pixels lie in a window, beside their size."""
PLACED = ("translate", "rotate", "shear", "affine")
"""What says where they lie, as layers of napari have it: lengths in Å, leading axes in frames."""

_CHANGED = 1e-4
"""Relative difference of two sizes of a pixel that rounding does not make."""


def describe(image: MicroscopeImage) -> dict[str, Any]:
    """The record of an image, in values that JSON can hold."""
    record = {
        "shape": image.data.shape,
        "axes": image.axes,
        "scales": image.scales,
        "kind": image.kind,
        "title": image.title,
        LABELS: bool(image.metadata.get(LABELS, False)),
    }
    if image.metadata.get(PLACEMENT):
        record[PLACEMENT] = image.metadata[PLACEMENT]
    written: dict[str, Any] = plain(record)
    return written


def restored(image: MicroscopeImage, record: object) -> MicroscopeImage:
    """An image that was read, as its record describes it.

    Formats drop axes of length 1, join axes that they do not know, and round scales. A scale that
    another program has changed since is kept, and so is an image that the record does not fit.
    """
    if not isinstance(record, Mapping):
        return image
    try:
        shape = tuple(int(length) for length in record["shape"])
        axes = tuple(str(axis) for axis in record["axes"])
        scales = tuple((step, unit) for step, unit in record["scales"])
    except (KeyError, TypeError, ValueError):
        return image
    fits = len(shape) == len(axes) == len(scales) and shape[-2:] == image.data.shape[-2:]
    if not fits or int(np.prod(shape)) != image.data.size:
        return image
    sampling = sampling_of(*(to_angstrom(*scale) for scale in scales[-2:]))
    if image.sampling is not None and not _same(sampling, image.sampling):
        sampling, scales = image.sampling, (*scales[:-2], *image.scales[-2:])
    metadata = dict(image.metadata)
    if record.get(LABELS):
        metadata[LABELS] = True
    if isinstance(record.get(PLACEMENT), Mapping):
        metadata[PLACEMENT] = dict(record[PLACEMENT])
    kinds: dict[Any, Kind] = {kind: kind for kind in get_args(Kind)}
    return replace(
        image,
        data=image.data.reshape(shape),
        sampling=sampling,
        axes=axes,
        scales=scales,
        kind=kinds.get(record.get("kind"), image.kind),
        title=str(record.get("title", "")),
        metadata=metadata,
    )


def _same(first: Any, second: Any) -> bool:
    return first is not None and bool(np.allclose(first, second, rtol=_CHANGED, atol=0))
