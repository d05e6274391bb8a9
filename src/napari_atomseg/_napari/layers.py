"""Layers in and out: their placement and sampling, and the look of results.

Every output layer is made here, so that it lies exactly on its source and records how it was made.
One layer without units would switch units off in the whole viewer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from napari_atomseg._napari.keys import Key, show_key
from napari_atomseg._shared.files import digest
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import mean_sampling
from napari_atomseg.inference.frames import float_type
from napari_atomseg.io.images.image import LUMINANCE, luminance
from napari_atomseg.io.inputs import image_input, table_digest
from napari_atomseg.io.inputs import positions as counted

PROVENANCE = "napari-atomseg"
"""Key of a layer's metadata for the record of how the layer was made."""
READ = "read"
"""Action in the record of an image that this plugin's reader opened."""
FEATURES = "napari-atomseg features"
"""Key of the metadata of a points layer for the digest of the features that were measured."""
MEASURED = "napari-atomseg measured"
"""Key of the metadata of a points layer for the positions (N, D) at which columns were measured."""
SAVED_FIGURES = "napari-atomseg figures"
"""Key of a columns layer's metadata for the files of its figures."""
PASSING = "napari-atomseg passing"
"""Key of the metadata of layers that are shown for a while, and are nobody's result."""

RESTORED = {
    "denoise": "denoised",
    "denoise_background": "without background",
    "superresolution": "super-resolved",
    "upinterpolation": "up-interpolated",
}
"""Ends of the names of restored layers by task."""

SAMPLING_DECIMALS = 4
"""Decimals of a sampling (Å per pixel) in a panel."""
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

    def at_frame(self, frame: tuple[int, ...]) -> Placement:
        """Return the placement of a layer with one frame of this one, by its index."""
        if not frame:
            return self
        place = Affine(
            scale=self.scale, translate=self.translate, rotate=self.rotate, shear=self.shear
        )
        return replace(self, translate=np.asarray(place(np.array([*frame, 0.0, 0.0]))))

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
    `record` says how the layer was made, `read` what its file says of the image, and `path` is the
    file where another reader opened it.
    `identity` tells the layer from all others, whatever they are called.
    `placement`, `shape` and `whole` are those of the whole layer, also where `data` (H, W) is only
    one frame of it, whose index along the leading axes is `frame`.
    """

    name: str
    data: Any
    placement: Placement
    sampling: Sampling | None
    raw: str
    record: Mapping[str, Any]
    read: Mapping[str, Any]
    path: str | None
    identity: str
    shape: tuple[int, ...]
    whole: Any
    frame: tuple[int, ...] = ()

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
        data = grey_data(layer)
        return cls(
            layer.name,
            data,
            Placement.of(layer),
            layer_sampling(layer),
            raw_of(layer),
            dict(layer.metadata.get(PROVENANCE, {})),
            dict(layer.metadata.get("file", {})),
            layer.source.path,
            str(layer.unique_id),
            tuple(data.shape),
            data,
        )

    def described(self) -> dict[str, Any]:
        """Return what the image is, for the record of a result: file, hash, and its own record."""
        made = self.record
        taken = {"taken": list(self.frame)} if self.frame else {}
        if made.get("action") != READ:
            file = None if made.get("action") else self.path
            return image_input(self.whole, self.name, file=file, record=made) | taken
        known = made["settings"]
        if "channel" in known:
            taken["channel"] = known["channel"]
        described = image_input(
            self.whole,
            self.name,
            file=made["source"],
            dataset=known.get("dataset"),
            frame=known.get("frame"),
            sampling=known.get("sampling"),
            record=self.read.get("provenance"),
        )
        return described | taken | {"opened": made.get("result")}

    def at(self, frame: tuple[int, ...]) -> Source:
        """Return one frame of a stack, by its index along the leading axes."""
        return replace(self, data=self.data[frame], frame=frame) if frame else self

    @property
    def title(self) -> str:
        """The name in those of results: of one frame, with its number."""
        return f"{self.name} frame {', '.join(map(str, self.frame))}" if self.frame else self.name

    @property
    def chosen(self) -> dict[str, Any]:
        """The frame for the record of a result, where one was chosen: as `read_image` takes it."""
        if not self.frame:
            return {}
        return {"frame": self.frame[0] if len(self.frame) == 1 else list(self.frame)}

    @property
    def place(self) -> Placement:
        """Where the pixels of a result lie: on all frames, or on the one that was chosen."""
        return self.placement.at_frame(self.frame)

    def stacked(self, result: Any) -> Any:
        """Return the result of a frame with the leading axes of the layer, each of length 1."""
        return result[(None,) * len(self.frame)] if self.frame else result

    def with_frames(self, columns: pd.DataFrame) -> pd.DataFrame:
        """Return the columns of a chosen frame as those of the stack, with the frame's number."""
        if not self.frame:
            return columns
        attrs, number = columns.attrs, int(np.ravel_multi_index(self.frame, self.shape[:-2]))
        columns = columns.copy()
        columns.insert(0, "frame", number)
        columns.attrs = attrs
        return columns

    @property
    def told(self) -> str:
        """The image in words, for results measured on it."""
        return f"{self.raw} (raw)" if self.raw == self.name else f"{self.name} (restored)"


def raw_of(layer: Layer) -> str:
    """Name of the recorded image behind a layer: its own, unless it was restored."""
    return str(layer.metadata.get(PROVENANCE, {}).get("raw", layer.name))


def grey_data(layer: Image | Labels) -> Any:
    """Return the data of a layer at full resolution; lazy data stay lazy, as arrays of dask.

    Colours become their luminance, as in files: screenshots and exported pictures are grey images
    stored as colours.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    coloured = getattr(layer, "rgb", False)
    if not is_lazy(data):
        return luminance(data) if coloured else data
    if not hasattr(data, "dask"):
        from dask import array

        data = array.from_array(data)  # type: ignore[no-untyped-call]
    # Whether all colours are the same would be seen in all frames only.
    return (data[..., :3] @ LUMINANCE).astype(np.float32) if coloured else data


def is_lazy(data: Any) -> bool:
    """Whether pixels are read or computed only when they are used, as those of dask and Zarr."""
    return not isinstance(data, np.ndarray)


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


def chosen_sampling(shown: Sampling | None, own: Sampling | None) -> Sampling | None:
    """Return what a panel shows, or the layer's own pair where that is what it stands for."""
    return own if own is not None and shown == shown_sampling(own) else shown


def shown_sampling(sampling: Sampling) -> float:
    """Return the one number that stands for a sampling in a panel."""
    return round(mean_sampling(sampling), SAMPLING_DECIMALS)


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
        metadata={PROVENANCE: {"result": digest(data), **provenance}},
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
    title = "restored beside raw\nblue: too much light\norange: too little\nin standard deviations"
    show_key(layer, Key("consistency", title=title))
    return layer


def labels_layer(
    labels: NDArray[Any], name: str, place: dict[str, Any], provenance: dict[str, Any]
) -> Labels:
    """Return a label layer in its place, translucent enough to see the atoms through it."""
    record = {"result": digest(labels), **provenance}
    return Labels(labels, name=name, opacity=0.5, metadata={PROVENANCE: record}, **place)


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
        metadata={
            PROVENANCE: {"result": digest(counted(columns)), **provenance},
            MEASURED: positions.copy(),
        },
        **place,
    )
    layer.metadata[FEATURES] = table_digest(layer.features)
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
    """Return black and white points that neither hot pixels nor NaN disturb.

    Of a stack that is not in memory they are those of its middle frame, the only one that is read.
    """
    if is_lazy(data):
        data = np.asarray(data[tuple(size // 2 for size in data.shape[:-2])])
    step = max(1, int(np.sqrt(np.prod(data.shape) / _LIMITS_PIXELS)))
    values = np.asarray(data[..., ::step, ::step]).ravel()
    values = values.astype(float_type(values.dtype))
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, _LIMITS))
    return (low, high) if high > low else (low, low + 1.0)
