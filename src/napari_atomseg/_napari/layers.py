"""Layers in and out: their placement and sampling, and the look of results.

Every output layer is made here, so that it lies exactly on its source and records how it was made.
One layer without units would switch units off in the whole viewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pint
from napari.layers import Image, Labels, Layer, Points
from napari.utils.colormaps import Colormap
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_atomseg._napari.columns.colours import ALIKE, colour_points
from napari_atomseg._shared.types import Sampling
from napari_atomseg.inference.frames import float_type
from napari_atomseg.io.images.image import luminance

PROVENANCE = "napari-atomseg"
"""Key of a layer's metadata for the record of how the layer was made."""
MEASURED = "napari-atomseg measured"
"""Key of the metadata of a points layer for the positions (N, D) at which columns were measured."""
PASSING = "napari-atomseg passing"
"""Key of the metadata of layers that are shown for a while, and are nobody's result."""

RESTORED = {
    "denoise": "denoised",
    "denoise_background": "without background",
    "superresolution": "super-resolved",
    "upinterpolation": "up-interpolated",
}
"""Ends of the names of restored layers by task."""

_ISOTROPIC = 1e-3
"""Relative difference of the two samplings below which an image counts as isotropic."""
_LIMITS = (0.1, 99.9)
"""Percentiles of the intensities shown as black and white."""
_LIMITS_PIXELS = 1_000_000
"""Pixels looked at to find the percentiles."""

_CLEAR = 6.0
"""Standard deviations at which the colours of a difference end."""
_DIFFERENCE = Colormap(
    [[0.2, 0.6, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.5, 0.0]],
    name="too much - too little",
    controls=[0.0, 1 / 3, 0.5, 2 / 3, 1.0],
)
"""Black up to two standard deviations."""


@dataclass(frozen=True)
class Placement:
    """Position, scale and units of a layer's pixels in the world."""

    scale: Any
    translate: Any
    rotate: Any
    shear: Any
    affine: Any
    units: Any
    axis_labels: Any

    @classmethod
    def of(cls, layer: Layer) -> Placement:
        """Return the placement of a layer."""
        return cls(
            scale=np.array(layer.scale),
            translate=np.array(layer.translate),
            rotate=np.array(layer.rotate),
            shear=np.array(layer.shear),
            affine=np.array(layer.affine.affine_matrix),
            units=layer.units,
            axis_labels=layer.axis_labels,
        )

    def arguments(self) -> dict[str, Any]:
        """Return keyword arguments for a layer at the same place."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def agrees(self, other: Placement) -> bool:
        """Whether pixels of another layer lie on those of this one, whatever their units."""
        names = ("scale", "translate", "rotate", "shear", "affine")
        mine, its = ([getattr(place, name) for name in names] for place in (self, other))
        return len(self.scale) == len(other.scale) and all(map(np.allclose, mine, its))

    def doubled(self) -> Placement:
        """Return the placement of a layer with twice as many pixels along the last two axes.

        Its first pixel's centre lies a quarter of a pixel before that of the layer.
        """
        last_two = np.arange(len(self.scale)) >= len(self.scale) - 2
        place = Affine(
            scale=self.scale, translate=self.translate, rotate=self.rotate, shear=self.shear
        )
        first = np.asarray(place(np.where(last_two, -0.25, 0.0)))
        return replace(self, scale=np.where(last_two, 0.5, 1.0) * self.scale, translate=first)


@dataclass(frozen=True)
class Source:
    """An image layer as it is before work starts; the layer may be removed meanwhile.

    `sampling` is Å per pixel, a pair (dy, dx) if the pixels are not square, None if unknown.
    `raw` is the name of the recorded image: its own, or of the one that it was restored from.
    """

    name: str
    data: Any
    placement: Placement
    sampling: Sampling | None
    raw: str

    @classmethod
    def of(cls, layer: Layer | None) -> Source:
        """Take the data and placement of an image layer.

        Raises
        ------
        ValueError
            The layer cannot be used; a sentence for the user.
        """
        if layer is None:
            raise ValueError("there is no image to work on: open or choose an image layer first")
        if not isinstance(layer, Image):
            kind = type(layer).__name__.lower()
            raise ValueError(f"{layer.name!r} is a {kind} layer: choose an image layer")
        if layer.ndim < 2:
            raise ValueError(f"{layer.name!r} has {layer.ndim} axis: choose an image of 2 or more")
        return cls(
            layer.name, grey_data(layer), Placement.of(layer), layer_sampling(layer), raw_of(layer)
        )

    @property
    def told(self) -> str:
        """The image in words, for results measured on it."""
        return f"{self.raw} (raw)" if self.raw == self.name else f"{self.name} (restored)"


def raw_of(layer: Layer) -> str:
    """Name of the recorded image behind a layer: its own, unless it was restored."""
    return str(layer.metadata.get(PROVENANCE, {}).get("raw", layer.name))


def grey_data(layer: Image | Labels) -> Any:
    """Return the data of a layer at full resolution; lazy data stay lazy.

    Colours become their luminance, as in files: screenshots and exported pictures are grey images
    stored as colours.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    return luminance(np.asarray(data)) if getattr(layer, "rgb", False) else data


def unwrapped(thing: Any) -> Any:
    """Return a viewer or layer itself: napari hands plugins a proxy, a new one at each access."""
    return getattr(thing, "__wrapped__", thing)


def layer_sampling(layer: Layer) -> Sampling | None:
    """Return Å per pixel along the last two axes, or None where the layer has no length units."""
    return sampling_of(layer.scale, layer.units)


def sampling_of(scale: Sequence[float], units: Sequence[pint.Unit]) -> Sampling | None:
    """Return Å per pixel along the last two axes of a scale with units."""
    dy, dx = (
        _in_angstrom(float(length), unit)
        for length, unit in zip(scale[-2:], units[-2:], strict=True)
    )
    if dy is None or dx is None:
        return None
    return dy if abs(dy - dx) <= _ISOTROPIC * dx else (dy, dx)


def _in_angstrom(scale: float, unit: pint.Unit) -> float | None:
    try:
        length = float((scale * unit).to("angstrom").magnitude)
    except pint.DimensionalityError:
        return None
    return length if np.isfinite(length) and length > 0 else None


def sampled(sampling: Sampling | None, ndim: int = 2) -> dict[str, Any]:
    """Return the arguments that place a new layer of the given sampling (Å per pixel)."""
    if sampling is None:
        return {}
    pixel = np.broadcast_to(np.asarray(sampling, dtype=float), 2)
    leading = ndim - 2
    return {
        "scale": (*[1.0] * leading, *pixel),
        "units": (*["pixel"] * leading, "angstrom", "angstrom"),
        "axis_labels": (*(f"axis {i}" for i in range(leading)), "y", "x"),
    }


def image_layer(
    data: NDArray[Any], name: str, place: dict[str, Any], provenance: dict[str, Any], **looks: Any
) -> Image:
    """Return an image layer in its place, with contrast that shows the atoms."""
    return Image(
        data,
        name=name,
        contrast_limits=contrast_limits(data),
        metadata={PROVENANCE: provenance},
        **(place | looks),
    )


def consistency_layer(
    z: NDArray[Any], name: str, place: dict[str, Any], provenance: dict[str, Any]
) -> Image:
    """Return the test of a restored image: blue for too much light, orange for too little.

    Pixels that agree within the noise are black, and additive blending leaves the image below.
    """
    looks = {"colormap": _DIFFERENCE, "blending": "additive"}
    layer = image_layer(z, name, place, provenance, **looks)
    layer.contrast_limits = (-_CLEAR, _CLEAR)
    return layer


def labels_layer(
    labels: NDArray[Any], name: str, place: dict[str, Any], provenance: dict[str, Any]
) -> Labels:
    """Return a label layer in its place, translucent enough to see the atoms through it."""
    return Labels(labels, name=name, opacity=0.5, metadata={PROVENANCE: provenance}, **place)


def points_layer(
    columns: pd.DataFrame,
    name: str,
    place: dict[str, Any],
    provenance: dict[str, Any],
    *,
    leading: tuple[int, ...] = (),
    colour_by: str | None = None,
) -> Points:
    """Return a points layer with a ring for each column and the rest of the table as features.

    Parameters
    ----------
    columns : table with `y` and `x` in pixels, and `frame` for stacks.
    leading : lengths of the stack's leading axes; `frame` counts over them in C order.
    colour_by : feature that colours the rings; none if missing or without numbers.
    """
    # A copy: arrays from pandas may be read-only, and such points cannot be dragged.
    positions = np.array(columns[["y", "x"]], dtype=float)
    if leading:
        frames = columns["frame"].to_numpy(dtype=int)
        positions = np.column_stack([*np.unravel_index(frames, leading), positions])
    features = columns.drop(columns=["y", "x"]).reset_index(drop=True)
    layer = Points(
        positions,
        ndim=2 + len(leading),
        name=name,
        features=features,
        size=point_size(columns),
        symbol="disc",
        face_color="transparent",
        border_width=0.15,
        border_color=ALIKE,
        metadata={PROVENANCE: provenance, MEASURED: positions.copy()},
        **place,
    )
    colour_points(layer, colour_by)
    return layer


def _numbers(features: pd.DataFrame, feature: str) -> NDArray[np.float64]:
    if feature not in features:
        return np.empty(0)
    values = pd.to_numeric(features[feature], errors="coerce").to_numpy(dtype=float)
    return values[np.isfinite(values)]


def point_size(columns: pd.DataFrame) -> float:
    """Return the diameter (px) of the rings: the columns' width, less than their distance."""
    from napari_atomseg._shared.geometry import median_spacing

    positions = columns[["y", "x"]].to_numpy(dtype=float)
    if "frame" in columns and len(columns):
        positions = positions[columns["frame"].to_numpy() == columns["frame"].iloc[0]]
    widths = np.concatenate([2.4 * _numbers(columns, "sigma"), 2.0 * _numbers(columns, "radius")])
    width = float(np.median(widths)) if widths.size else np.inf
    width = float(np.fmin(width, 0.7 * median_spacing(positions)))
    return width if np.isfinite(width) and width > 0 else 10.0


def contrast_limits(data: NDArray[Any]) -> tuple[float, float]:
    """Return black and white points that neither hot pixels nor NaN disturb."""
    if hasattr(data, "dask"):  # of data in a file, one image
        data = np.asarray(data[tuple(size // 2 for size in data.shape[:-2])])
    step = max(1, int(np.sqrt(np.prod(data.shape) / _LIMITS_PIXELS)))
    values = np.asarray(data[..., ::step, ::step]).ravel()
    values = values.astype(float_type(values.dtype))
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, _LIMITS))
    return (low, high) if high > low else (low, low + 1.0)
