"""The Segment panel: one label a column."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_atomseg._napari.image_panel import ImagePanel, ImageSettings
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.large import StoreSettings, computed
from napari_atomseg._napari.layers import Source, is_lazy, labels_layer
from napari_atomseg._napari.models.choice import fetch_model, identity
from napari_atomseg._napari.stack import frames_of
from napari_atomseg.io import provenance
from napari_atomseg.localization.settings import LabelSettings
from napari_atomseg.networks.tasks import COLUMNS
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import Settings, setting

if TYPE_CHECKING:
    import napari.viewer


class LabelsSettings(Settings):
    """How labels are drawn over the image."""

    opacity: float = setting(
        0.5,
        "Opacity",
        "How strongly the labels cover the image.",
        limits=(0.0, 1.0),
        step=0.1,
        decimals=2,
    )
    contour: int = setting(
        0,
        "Draw",
        "Whole labels, or their outlines, some pixels wide.",
        choices={0: "filled", 1: "outlines, 1 px", 2: "outlines, 2 px"},
    )


class SegmentSettings(ImageSettings, LabelSettings, LabelsSettings, StoreSettings):
    """Settings of the Segment panel."""


class Segment(ImagePanel):
    """Segments the columns of the chosen image as a new labels layer."""

    title = "Segment"
    Settings = SegmentSettings

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.warn_of_restored()
        self.form.inputs["detector"].changed.connect(self._offer_models)

    @staticmethod
    def tasks(settings: SegmentSettings) -> tuple[str, ...]:
        return COLUMNS if settings.detector == "network" else COLUMNS[1:]

    def prepare(self) -> tuple[str, Work, Show]:
        source = self.source()
        options = self.options(source)
        options |= {name: self.form[name] for name in LabelSettings.model_fields}
        return (
            f"Segment {source.title}",
            partial(
                _segment, source.data, options, (f"{source.title} segmented", self.form["store"])
            ),
            partial(self._show, source, options | source.chosen),
        )

    def summary(self, result: Labels) -> str:
        if is_lazy(result.data):
            return f"Added {result.name!r}: {frames_of(result)} frames"
        frames = result.data.reshape(-1, *result.data.shape[-2:])
        count = sum(np.count_nonzero(np.unique(frame)) for frame in frames)
        return f"{count} columns in {result.name!r}"

    def _show(self, source: Source, options: dict[str, Any], result: Any) -> Labels:
        labels, model = result
        layer = labels_layer(
            source.stacked(labels),
            f"{source.title} segmented",
            source.place.arguments(),
            provenance("segment", source.name, options, **model, inputs={"of": source.described()}),
        )
        layer.opacity = self.form["opacity"]
        layer.contour = self.form["contour"]
        (placed,) = self.put({"labels": layer}, "segment", source.identity, *source.frame)
        return placed


def _segment(
    data: Any,
    options: dict[str, Any],
    store: tuple[str, Path | None],
    progress: Progress,
    cancel: CancelToken,
) -> tuple[Any, dict[str, str]]:
    from napari_atomseg.localization import segment

    model = fetch_model(options["model"], progress, cancel)
    made, (name, folder) = identity(model), store
    settings = options | {"model": model}
    if is_lazy(data) and data.ndim > 2:
        lazy = segment(data, **settings, cancel=cancel)
        record = provenance("segment", name, options, model=made["model"], sha256=made["sha256"])
        return computed(lazy, name, folder, options["sampling"], record, progress, cancel), made
    return segment(data, **settings, progress=progress, cancel=cancel), made
