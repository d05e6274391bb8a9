"""The Restore panel: denoise, remove the background, sharpen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from napari.layers import Image

from napari_atomseg._napari.form import option
from napari_atomseg._napari.image_panel import ImagePanel, ImageSettings
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.layers import RESTORED, Source, image_layer
from napari_atomseg._napari.models import fetch_model
from napari_atomseg.io import provenance
from napari_atomseg.progress import CancelToken, Progress


@dataclass(frozen=True)
class RestoreSettings(ImageSettings):
    """Settings of the Restore panel."""

    task: str = option(
        "denoise",
        "Task",
        "Denoise: remove noise and scan errors.\n"
        "Denoise and remove background: also what varies slowly between the atoms.\n"
        "Super-resolution: also narrow the atoms, as a sharper probe would.",
        choices=[
            ("Denoise", "denoise"),
            ("Denoise and remove background", "denoise_background"),
            ("Super-resolution", "superresolution"),
        ],
    )


class Restore(ImagePanel):
    """Restores the chosen image as a new image layer."""

    title = "Restore"
    Settings = RestoreSettings

    def prepare(self) -> tuple[str, Work, Show]:
        source = self.source()
        task, options = self.form["task"], self.options(source)
        return (
            f"Restore {source.name}",
            partial(_predict, source.data, task, options),
            partial(self._show, source, task, options),
        )

    def summary(self, result: Image) -> str:
        return f"Added {result.name!r}"

    def _show(self, source: Source, task: str, options: dict[str, Any], prediction: Any) -> Image:
        layer = image_layer(
            prediction.maps[task],
            f"{source.name} {RESTORED[task]}",
            source.placement.arguments(),
            provenance(
                "restore",
                source.name,
                {"task": task, **options, **prediction.settings},
                model=prediction.model,
                sha256=prediction.sha256,
            ),
        )
        self.viewer.add_layer(layer)
        return layer


def _predict(
    data: Any, task: str, options: dict[str, Any], progress: Progress, cancel: CancelToken
) -> Any:
    from napari_atomseg.inference import predict

    model = fetch_model(options["model"], progress, cancel)
    options = options | {"model": model}
    return predict(data, (task,), **options, progress=progress, cancel=cancel)
