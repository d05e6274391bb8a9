"""The window of the demo: an image and its results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from napari.viewer import Viewer
from numpy.typing import NDArray

from napari_atomseg._napari.layers import RESTORED, image_layer, labels_layer, points_layer, sampled
from napari_atomseg._shared.types import Sampling
from napari_atomseg.io import provenance


def open_viewer(
    image: NDArray[Any],
    sampling: Sampling | None = None,
    restored: dict[str, NDArray[Any]] | None = None,
    labels: NDArray[Any] | None = None,
    columns: pd.DataFrame | None = None,
    *,
    name: str = "image",
    block: bool = True,
) -> Viewer:
    """Open a viewer with an image, its results, and the Localize panel.

    Parameters
    ----------
    image : (..., H, W).
    sampling : Å per pixel, or None if unknown.
    restored : images of the same shape by task.
    labels : one label a column.
    columns : table as `napari_atomseg.localize` returns it.
    name : of the image; the names of the other layers begin with it.
    block : whether to run until the window is closed.

    Returns
    -------
    The viewer. Columns lie over the last restored image; the other layers are there, hidden.
    """
    place = sampled(sampling, image.ndim)
    made = provenance("demo", name, {"sampling": sampling})
    viewer = Viewer(title="napari AtomSeg")
    viewer.add_layer(image_layer(np.asarray(image), name, place, made))
    for task, data in (restored or {}).items():
        viewer.layers[-1].visible = False
        viewer.add_layer(image_layer(data, f"{name} {RESTORED.get(task, task)}", place, made))
    if labels is not None:
        viewer.add_layer(labels_layer(labels, f"{name} segmented", place, made))
        viewer.layers[-1].visible = columns is None
    if columns is not None:
        leading = tuple(image.shape[:-2])
        viewer.add_layer(
            points_layer(
                columns, f"{name} columns", place, made, leading=leading, colour_by="volume"
            )
        )
    viewer.canvas.overlays.scale_bar.visible = sampling is not None
    _, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Localize")
    panel.image = name
    viewer.reset_view()
    if block:
        viewer.show(block=True)
    return viewer
