"""Images of a file as layers: one for each detector, with calibration, notes and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Layer
from napari.utils.notifications import show_info, show_warning

from napari_atomseg._napari.layers import READ, image_layer, labels_layer
from napari_atomseg._shared.units import pixel_size, to_angstrom
from napari_atomseg.io import MicroscopeImage, provenance
from napari_atomseg.io.images.image import PROFILES, ImageFileError
from napari_atomseg.io.images.layout import PLACED, PLACEMENT

LAST_RESORT = ("diffraction", "flat field", "preview")
"""Kinds that become layers where a file has no image, the first of them that it has."""


def file_layers(path: Path, images: Sequence[MicroscopeImage]) -> list[Layer]:
    """Return the layers of a file's images, and tell what was left out or not understood.

    Raises
    ------
    ImageFileError
        The file has nothing that can be shown as an image; the message lists its data sets.
    """
    shown = chosen(images)
    if not shown:
        described = "; ".join(images[0].metadata.get("datasets", ()))
        raise ImageFileError(f"{path}: no image in it; it has {described}")
    for note in dict.fromkeys(note for image in shown for note in image.notes):
        show_warning(f"{path.name}: {note}")
    left_out = [image for image in images if not any(image is each for each in shown)]
    if left_out:
        names = ", ".join(f"{image.title or 'untitled'} ({image.kind})" for image in left_out)
        show_info(f"{path.name}: not opened as images: {names}")
    several = len(shown) > 1
    return [
        file_layer(path, each, name, part)
        for image in shown
        for each, name, part in _channels(image, _name(image, several))
    ]


def chosen(images: Sequence[MicroscopeImage]) -> list[MicroscopeImage]:
    """The images of a file, or, where it has none, patterns, corrections or previews."""
    for kind in ("image", *LAST_RESORT):
        found = [image for image in images if image.kind == kind]
        if found:
            return found
    return []


def knows(images: Sequence[MicroscopeImage]) -> bool:
    """Whether a file tells more than its pixels: a scale, kinds, several data sets, provenance."""
    (image, *others) = images
    told = ("notes", "provenance", "labels", "channels")
    return bool(
        others
        or image.kind != "image"
        or any(unit is not None for _, unit in image.scales)
        or any(image.metadata.get(name) for name in told)
    )


def placed(image: MicroscopeImage) -> dict[str, Any]:
    """Return the arguments that place an image: steps and units of its axes.

    Images are in Å, others in their own units. Frames count as pixels, so that a slider steps
    from one to the next.
    """
    last = _last_two(image)
    if last is None:
        return {"axis_labels": image.axes} if len(image.axes) > 2 else {}
    leading = [_depth(axis, *scale) for axis, scale in zip(image.axes, image.scales, strict=True)]
    steps = [*leading[:-2], *last]
    return {
        "scale": tuple(step for step, _ in steps),
        "units": tuple(unit for _, unit in steps),
        "axis_labels": image.axes,
    }


def _written(image: MicroscopeImage) -> dict[str, Any]:
    """Where this plugin's writer had the pixels, beside their size."""
    known, count = image.metadata.get(PLACEMENT) or {}, image.data.ndim
    try:
        found = {name: np.asarray(known[name], dtype=float) for name in PLACED}
    except (KeyError, TypeError, ValueError):
        return {}
    shapes = {"translate": (count,), "rotate": (count, count), "affine": (count + 1, count + 1)}
    finite = all(np.isfinite(each).all() for each in found.values())
    if not finite or any(found[name].shape != shape for name, shape in shapes.items()):
        return {}
    return found if len(found["shear"]) == count * (count - 1) // 2 else {}


def _last_two(image: MicroscopeImage) -> list[tuple[float, str]] | None:
    pixel = pixel_size(image.sampling)
    if pixel is not None:
        return [(size, "angstrom") for size in pixel]
    if image.kind in ("image", *PROFILES):
        return None
    # A length of a pattern, as of the camera that recorded it, is none of the specimen.
    known = [
        (step, unit)
        for step, unit in image.scales[-2:]
        if step is not None and unit is not None and to_angstrom(step, unit) is None
    ]
    return known if len(known) == 2 else None


def _depth(axis: str, step: float | None, unit: str | None) -> tuple[float, str]:
    length = to_angstrom(step, unit) if axis == "z" else None
    return (length, "angstrom") if length else (1.0, "pixel")


def _name(image: MicroscopeImage, several: bool) -> str:
    name = f"{image.name} {image.title}".strip() if several and image.title else image.name
    return name if image.kind == "image" else f"{name} ({image.kind})"


def _channels(
    image: MicroscopeImage, name: str
) -> Iterator[tuple[MicroscopeImage, str, dict[str, int]]]:
    """Each channel of an image by itself, so that each has its own contrast, and which it is."""
    if "channel" not in image.axes[:-2]:
        yield image, name, {}
        return
    axis = image.axes.index("channel")
    names = image.metadata.get("channels") or ()
    for number in range(image.data.shape[axis]):
        channel = replace(
            image,
            data=image.data[(*(slice(None),) * axis, number)],
            axes=(*image.axes[:axis], *image.axes[axis + 1 :]),
            scales=(*image.scales[:axis], *image.scales[axis + 1 :]),
        )
        title = names[number] if number < len(names) and names[number] else f"channel {number}"
        # As `read_image` takes it; along another axis there is no name for it.
        yield channel, f"{name} {title}", {"channel" if axis else "frame": number}


def file_layer(path: Path, image: MicroscopeImage, name: str, part: Mapping[str, int]) -> Layer:
    """Return an image of a file as a layer.

    Parameters
    ----------
    part : ``frame`` or ``channel``, where the image is one of a data set.
    """
    settings = {"sampling": image.sampling, "dataset": image.title, "kind": image.kind, **part}
    made = provenance(READ, str(path.absolute()), settings)
    place = placed(image) | _written(image)
    if image.metadata.get("labels") and image.data.dtype.kind in "ui":
        layer: Layer = labels_layer(image.data, name, place, made)
    else:
        layer = image_layer(image.data, name, place, made)
    layer.metadata["file"] = {**image.metadata, "scales": image.scales}
    return layer
