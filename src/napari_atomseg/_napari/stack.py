"""Stacks: all frames or the one that the viewer shows, chosen in the same row of every panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer

from napari_atomseg._napari.layers import Source
from napari_atomseg.settings import Settings, setting

if TYPE_CHECKING:
    from napari.components import Dims

ALL, SHOWN = "all", "shown"


class StackSettings(Settings):
    """Which frames of a stack are worked on."""

    stack: str = setting(
        ALL,
        "Frames",
        "Frames of a stack: all, one after the other, or the one that the viewer shows, whose "
        "result appears at that place of the slider.",
        choices={ALL: "all", SHOWN: "the one shown"},
    )


def frames_of(layer: Layer | None) -> int:
    """Return the number of frames of a layer; 1 of a single image, 0 of none."""
    if layer is None or layer.ndim < 2:
        return 0
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return int(np.prod(data.shape[: layer.ndim - 2], dtype=np.int64))


def frame_shown(layer: Layer, point: Any) -> tuple[int, ...]:
    """Return the index along the leading axes of a layer that the viewer shows.

    Parameters
    ----------
    point : position of the viewer's sliders.
    """
    if layer.ndim == 2:
        return ()
    place = np.zeros(layer.ndim)
    known = np.asarray(point, dtype=float)[-layer.ndim :]
    place[-len(known) :] = known
    return tuple(int(index) for index in np.rint(layer.world_to_data(place))[:-2])


def at_frame_shown(source: Source, layer: Layer, dims: Dims) -> Source:
    """Return the frame of a source that the viewer shows.

    Raises
    ------
    ValueError
        The viewer shows no single frame of it: it is cut along another axis, or drawn in three
        dimensions, or the slider lies beyond its end; a sentence for the user.
    """
    lengths = source.shape[:-2]
    ahead = dims.ndim - layer.ndim
    if any(ahead <= axis < ahead + len(lengths) for axis in dims.displayed):
        raise ValueError(
            f"the viewer shows no single frame of {layer.name!r}: show its rows and columns, in "
            "two dimensions, or choose all frames"
        )
    shown = frame_shown(layer, dims.point)
    if any(not 0 <= index < length for index, length in zip(shown, lengths, strict=True)):
        raise ValueError(
            f"{layer.name!r} has no frame at this place of the slider: move it, or choose all "
            "frames"
        )
    return source.at(shown)
