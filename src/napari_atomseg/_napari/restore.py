"""The Restore panel: denoise, remove the background, sharpen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_atomseg._napari.forms.form import option
from napari_atomseg._napari.image_panel import ImagePanel, ImageSettings
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.layers import (
    PROVENANCE,
    RESTORED,
    Source,
    consistency_layer,
    image_layer,
)
from napari_atomseg._napari.models.choice import fetch_model
from napari_atomseg.io import provenance
from napari_atomseg.progress import CancelToken, Progress

if TYPE_CHECKING:
    import napari.viewer


@dataclass(frozen=True)
class RestoreSettings(ImageSettings):
    """Settings of the Restore panel."""

    task: str = option(
        "denoise",
        "Task",
        "Denoise: remove noise and scan errors.\n"
        "Denoise and remove background: also what varies slowly between the atoms.\n"
        "Super-resolution: also narrow the atoms, as a sharper probe would.\n"
        "Denoise and double the pixels: four pixels in the place of each, for smooth profiles.",
        choices=[
            ("Denoise", "denoise"),
            ("Denoise and remove background", "denoise_background"),
            ("Super-resolution", "superresolution"),
            ("Denoise and double the pixels", "upinterpolation"),
        ],
    )
    consistency: bool = option(
        False,
        "Consistency map",
        "Also test whether the result explains the raw image: a layer that is blue where the "
        "result\nshows light that was not recorded, such as an invented atom, and orange where it "
        "lacks some.",
    )


class Restore(ImagePanel):
    """Restores the chosen image as a new image layer."""

    title = "Restore"
    Settings = RestoreSettings

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.form.inputs["task"].changed.connect(self._offer_models)

    def tasks(self) -> tuple[str, ...]:
        return (self.form["task"],)

    def prepare(self) -> tuple[str, Work, Show]:
        source = self.source()
        task, options = self.form["task"], self.options(source)
        return (
            f"Restore {source.name}",
            partial(_predict, source.data, task, options, self.form["consistency"]),
            partial(self._show, source, task, options),
        )

    def summary(self, result: Image) -> str:
        verdict = result.metadata[PROVENANCE].get("consistency")
        return f"Added {result.name!r}" + (f": {verdict}" if verdict else "")

    def _show(self, source: Source, task: str, options: dict[str, Any], result: Any) -> Image:
        prediction, test = result
        place, name = source.placement, f"{source.name} {RESTORED[task]}"
        own = place.doubled() if task == "upinterpolation" else place
        record = provenance(
            "restore",
            source.name,
            {"task": task, **options, **prediction.settings},
            model=prediction.model,
            sha256=prediction.sha256,
        )
        if test is not None:
            record["consistency"] = test.summary()
        layer = image_layer(prediction.maps[task], name, own.arguments(), record)
        self.viewer.add_layer(layer)
        if test is not None:
            tested = record | {"action": "consistency"}
            beside = consistency_layer(test.z, f"{name} consistency", place.arguments(), tested)
            self.viewer.add_layer(beside)
        return layer


def _predict(
    data: Any,
    task: str,
    options: dict[str, Any],
    tested: bool,
    progress: Progress,
    cancel: CancelToken,
) -> tuple[Any, Any]:
    """Return the prediction and, where it is to be tested, its consistency."""
    from napari_atomseg.inference import predict
    from napari_atomseg.networks.tasks import COARSE
    from napari_atomseg.trust import consistency

    model = fetch_model(options["model"], progress, cancel)
    options = options | {"model": model}
    coarse = COARSE.get(task, task) if tested else task
    tasks = tuple(dict.fromkeys((task, coarse)))
    prediction = predict(data, tasks, **options, progress=progress, cancel=cancel)
    if not tested:
        return prediction, None
    progress(1, 1, "Testing the result")
    return prediction, consistency(data, prediction.maps[coarse], coarse)
