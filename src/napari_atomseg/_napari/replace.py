"""Results that take the place of their own kind, so that a second run does not pile up layers.

A result is known by its kind, such as "localize", and by the layer that it was made from. The next
result of that kind and layer replaces it: the layer stays, with its place in the list, and takes
the new data; whoever follows it keeps following. What a user worked on is never replaced: a layer
whose points, labels or features were changed by hand, or which was renamed or kept, stays beside
the new one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Image, Labels, Layer, Points
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_atomseg._napari.keys import key_of, show_key
from napari_atomseg._napari.layers import Placement

if TYPE_CHECKING:
    import napari.viewer

RESULT = "napari-atomseg result"
"""Key of the metadata of a layer for what it is a result of, and what it was like when made."""
_SAMPLED = 1 << 20
"""Pixels of an image that are compared to tell whether it was changed."""


class _Replacements(QObject):
    """`happened` after a layer took other data, or another layer came in its place.

    It has the layer that was in the list and the one that is there now: the same one, mostly.
    """

    happened = Signal(object, object)


replacements = _Replacements()
"""Followed by panels that a layer is chosen in."""


def put(
    viewer: napari.viewer.Viewer, layers: Mapping[str, Layer], kind: str, *source: object
) -> list[Layer]:
    """Add results, in place of those of the same kind and source.

    Parts that the former result had and the new one has not are removed with it, unless a user
    worked on them.

    Parameters
    ----------
    layers : what each part of the result is, by a name that the same part has the next time.
    kind : what is done, such as "localize".
    source : what it was made from: the identity of a layer, and what else sets the result apart
        from others of that layer, such as a frame or a region.

    Returns
    -------
    The layers that are in the viewer now, in the order of `layers`.
    """
    of = [str(each) for each in source]
    before = _former(viewer, kind, of)
    for part, old in list(before.items()):
        if worked_on(old):
            _set_aside(old, "edited")
            del before[part]
    placed = []
    for part, new in layers.items():
        now = _take_over(viewer, before.pop(part, None), new)
        now.metadata[RESULT] = {"kind": kind, "source": of, "part": part}
        _note(now)
        placed.append(now)
    for old in before.values():
        viewer.layers.remove(old)
    return placed


def keep(layers: Iterable[Layer]) -> list[Layer]:
    """Pin results, so that the next of their kind is added beside them; return those it did."""
    kept = [layer for layer in layers if _is_current(layer)]
    for layer in kept:
        _set_aside(layer, "kept")
    return kept


def worked_on(layer: Layer) -> bool:
    """Whether a user changed a result by hand, or gave it a name, since it was made."""
    made = layer.metadata.get(RESULT, {})
    if made.get("name") != layer.name or made.get("data") != _data_sum(layer):
        return True
    features = getattr(layer, "features", pd.DataFrame())
    return any(
        name not in features or _feature_sum(features[name]) != known
        for name, known in made.get("features", {}).items()
    )


def note_features(layer: Layer, names: Iterable[str]) -> None:
    """Take features that a measurement has just written as made, not as changed by hand."""
    made = layer.metadata.get(RESULT)
    if made is not None:
        known = made.get("features", {})
        fresh = {name: _feature_sum(layer.features[name]) for name in names}
        layer.metadata[RESULT] = made | {"features": known | fresh}


def hide(layers: Iterable[Layer]) -> None:
    """Hide results that stand behind others, to be shown again when they are made anew."""
    for layer in layers:
        if layer.visible:
            layer.visible = False
            if RESULT in layer.metadata:
                layer.metadata[RESULT]["hidden"] = True


def _former(viewer: napari.viewer.Viewer, kind: str, source: list[str]) -> dict[str, Layer]:
    """The parts of the result that is to be replaced."""
    found = {}
    for layer in viewer.layers:
        made = layer.metadata.get(RESULT, {})
        if _is_current(layer) and (made["kind"], made["source"]) == (kind, source):
            found[made["part"]] = layer
    return found


def _is_current(layer: Layer) -> bool:
    """Whether the layer itself was made as a result, is no copy of one, and was not set aside."""
    made = layer.metadata.get(RESULT, {})
    return made.get("layer") == str(layer.unique_id) and not made.get("aside", False)


def _set_aside(layer: Layer, why: str) -> None:
    made = layer.metadata[RESULT]
    if made["name"] == layer.name:
        layer.name = f"{layer.name} ({why})"
    layer.metadata[RESULT] = made | {"aside": True}


def _note(layer: Layer) -> None:
    """Remember what the layer is like, to tell later whether a user changed it."""
    made = layer.metadata[RESULT]
    made |= {"layer": str(layer.unique_id), "name": layer.name, "data": _data_sum(layer)}
    if isinstance(layer, Points):
        made["features"] = {
            str(name): _feature_sum(layer.features[name]) for name in layer.features
        }
    if isinstance(layer, Image) and not isinstance(layer, Labels):
        made["limits"] = tuple(layer.contrast_limits)


def _take_over(viewer: napari.viewer.Viewer, old: Layer | None, new: Layer) -> Layer:
    """Put the new layer into the viewer, in place of the old one if there is one."""
    if old is None:
        viewer.add_layer(new)
        return new
    before = old.metadata[RESULT]
    if isinstance(old, Points):
        hide(_made_from(viewer, old))
    visible = old.visible or before.get("hidden", False)
    name = new.name
    if type(old) is type(new) and old.ndim == new.ndim and type(new) in _REFILL:
        # The record first: whoever watches the data compares them with it.
        old.metadata = new.metadata
        _REFILL[type(new)](old, new, before)
        _move(old, Placement.of(new))
        show_key(old, key_of(new))
        now = old
    else:
        viewer.layers.insert(viewer.layers.index(old), new)
        # Panels choose the new one as long as the old one can still be told from none.
        replacements.happened.emit(old, new)
        viewer.layers.remove(old)
        now = new
    now.name = name
    now.visible = visible
    viewer.layers.selection.active = now
    if now is old:
        replacements.happened.emit(old, now)
    return now


def _made_from(viewer: napari.viewer.Viewer, layer: Layer) -> list[Layer]:
    """Results of the data that a layer no longer has; those that are kept stay in sight."""
    own = str(layer.unique_id)
    return [
        each
        for each in viewer.layers
        if _is_current(each) and own in each.metadata[RESULT]["source"]
    ]


def _move(layer: Layer, place: Placement) -> None:
    """Put a layer where it belongs, if it is not there: each step draws the viewer anew."""
    for name, value in place.arguments().items():
        now = getattr(layer, name)
        same = now == value if name in ("units", "axis_labels") else np.array_equal(now, value)
        if name == "affine":
            same = np.array_equal(now.affine_matrix, value)
        if not same:
            setattr(layer, name, value)


def _refill_image(old: Image, new: Image, before: dict[str, Any]) -> None:
    """Other pixels; the contrast that a user chose stays, else it is that of the new pixels."""
    chosen = tuple(old.contrast_limits)
    old.data = new.data
    old.contrast_limits_range = tuple(new.contrast_limits_range)
    old.contrast_limits = new.contrast_limits if chosen == before.get("limits") else chosen


def _refill_labels(old: Labels, new: Labels, before: dict[str, Any]) -> None:
    old.data = new.data
    old.opacity, old.contour = new.opacity, new.contour


def _refill_points(old: Points, new: Points, before: dict[str, Any]) -> None:
    old.selected_data = set()
    # Napari keeps what a hidden layer shows of its former points, and fails where there are fewer.
    old.visible = True
    old.data = np.array(new.data)
    old.features = new.features
    for look in ("size", "symbol", "border_width", "border_color", "face_color"):
        setattr(old, look, getattr(new, look))


_REFILL: dict[type, Any] = {
    Image: _refill_image,
    Labels: _refill_labels,
    Points: _refill_points,
}
"""Layers that others follow: they stay, and take new data."""


def _data_sum(layer: Layer) -> int:
    """A number that another content of the layer would hardly have."""
    data: Any = layer.data
    if isinstance(layer, Image | Labels):
        whole = data[0] if layer.multiscale else data
        if not isinstance(whole, np.ndarray):
            return 0  # lazy pixels are in their file
    if isinstance(layer, Image) and not isinstance(layer, Labels):
        step = max(1, int(np.sqrt(whole.size / _SAMPLED)))
        data = whole[..., ::step, ::step]
    total = 0
    for part in data if isinstance(data, list) else [data]:
        total = zlib.crc32(np.ascontiguousarray(part).data, total)
    return total


def _feature_sum(values: pd.Series) -> int:
    return int(pd.util.hash_pandas_object(values.astype(str), index=False).sum() & (2**63 - 1))
