"""The Restore panel: denoise, remove the background, sharpen, double the pixels."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QLabel

from napari_atomseg import weights
from napari_atomseg._napari.image_panel import (
    AS_PREFERRED,
    ImagePanel,
    LayerSettings,
    PreferredSettings,
)
from napari_atomseg._napari.jobs import Job, Show, Work
from napari_atomseg._napari.large import StoreSettings, computed
from napari_atomseg._napari.layers import (
    PROVENANCE,
    RESTORED,
    Source,
    consistency_layer,
    image_layer,
    is_lazy,
)
from napari_atomseg._napari.message import with_notes
from napari_atomseg._napari.models.choice import fetch_model, identity, model_changes
from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.swipe import Swipe
from napari_atomseg.inference.scan.settings import LINES_MODEL
from napari_atomseg.inference.settings import RestorationSettings
from napari_atomseg.io import provenance
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import about, setting

if TYPE_CHECKING:
    import napari.viewer

_QUALITY = about(PreferredSettings, "quality")


class QualitySettings(PreferredSettings):
    """Settings of models, with the quality in the main form."""

    quality: str = setting(
        AS_PREFERRED,
        _QUALITY.label,
        _QUALITY.help,
        choices={AS_PREFERRED: "as in Preferences", "standard": "fast", "best": "best"},
    )


class RestoreSettings(LayerSettings, QualitySettings, RestorationSettings, StoreSettings):
    """Settings of the Restore panel."""


class Restore(ImagePanel):
    """Restores the chosen image as a new image layer."""

    title = "Restore"
    Settings = RestoreSettings

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.why = QLabel()
        self.why.setWordWrap(True)
        self.why.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.why.hide()
        super().__init__(viewer)
        self.form.place_below("task", "modality", "quality")
        self.add_body(self.why)
        self.swipe = Swipe(self.viewer)
        self.add_body(self.swipe)
        self.swipe.offer()
        self.form.inputs["task"].changed.connect(self._offer_models)
        # The input itself does not report a change to None.
        self.form.inputs["modality"].native.currentIndexChanged.connect(self.propose)
        for name in ("task", "sampling", "quality"):
            self.form.inputs[name].changed.connect(self.propose)
        model_changes.happened.connect(self.propose)

    def propose(self, _setting: object = None) -> None:
        """Choose the model for the modality, and say why; without one the choice stays."""
        modality = self.form["modality"]
        self.why.setVisible(modality is not None)
        if modality is None:
            return
        sampling, quality = self.form["sampling"], self.form["quality"]
        if quality == AS_PREFERRED:
            quality = preferences().quality
        proposal = weights.propose_model(modality, self.form["task"], sampling, quality=quality)
        self.model = proposal.model
        self.why.setText(proposal.reason)

    @staticmethod
    def tasks(settings: RestoreSettings) -> tuple[str, ...]:
        return (settings.task,)

    def prepare(self) -> tuple[str, Work, Show]:
        source = self.source()
        task, options, scan = self.form["task"], self.options(source), self.form["scan"]
        tested = self.form["consistency"]
        if is_lazy(source.data) and source.data.ndim > 2:
            if tested:
                raise ValueError(
                    f"{source.name!r} is not in memory: the result can be tested for the one frame "
                    "that is shown"
                )
            store = (f"{source.title} {RESTORED[task]}", self.form["store"])
            work: Work = partial(_lazily, source.data, task, options, scan, store)
        else:
            work = partial(_predict, source.data, task, options, tested, scan)
        return (
            f"Restore {source.title}",
            work,
            partial(self._show, source, task, options | {"scan": scan} | source.chosen),
        )

    def summary(self, result: Image) -> str:
        record = result.metadata[PROVENANCE]
        told = [*record.get("notes", ()), record.get("consistency", "")]
        return with_notes(f"Added {result.name!r}", told)

    def finished(self, job: Job) -> None:
        self.swipe.offer()

    def reset_choices(self, event: Any = None) -> None:
        """Offer the images that the viewer holds now, and those to compare."""
        super().reset_choices(event)
        self.swipe.offer()

    def closed(self) -> None:
        self.swipe.on = False
        super().closed()

    def hideEvent(self, event: QHideEvent) -> None:
        """Put the images back as they were where another panel takes the place of this one."""
        super().hideEvent(event)
        if not event.spontaneous():
            self.swipe.on = False

    def _show(self, source: Source, task: str, options: dict[str, Any], result: Any) -> Image:
        prediction, test, notes = result
        place, name = source.place, f"{source.title} {RESTORED[task]}"
        own = place.doubled() if task == "upinterpolation" else place
        record = provenance(
            "restore",
            source.name,
            {**prediction.settings, "task": task, **options},
            model=prediction.model,
            sha256=prediction.sha256,
            inputs={"of": source.described()},
        )
        record |= {"raw": source.raw, "contrast": prediction.settings["contrast"]}
        if notes:
            record["notes"] = list(notes)
        if test is not None:
            record["consistency"] = test.summary()
        restored = source.stacked(prediction.maps[task])
        made = {"image": image_layer(restored, name, own.arguments(), record)}
        if test is not None:
            own_record = record | {"action": "consistency"}
            z = source.stacked(test.z)
            made["consistency"] = consistency_layer(
                z, f"{name} consistency", place.arguments(), own_record
            )
        return self.put(made, f"restore {task}", source.identity, *source.frame)[0]


def _lazily(
    data: Any,
    task: Any,
    options: dict[str, Any],
    scan: Any,
    store: tuple[str, Path | None],
    progress: Progress,
    cancel: CancelToken,
) -> tuple[Any, None, tuple[str, ...]]:
    """Return the prediction of a stack that is read and restored frame by frame."""
    from napari_atomseg.inference import Prediction, restore

    model = fetch_model(options["model"], progress, cancel)
    if scan != "none":
        fetch_model(LINES_MODEL, progress, cancel)
    lazy = restore(data, task, scan=scan, **options | {"model": model}, cancel=cancel)
    made, (name, folder) = identity(model), store
    settings = {"task": task, **options, "scan": scan}
    record = provenance("restore", name, settings, model=made["model"], sha256=made["sha256"])
    sampling = options["sampling"]
    if sampling is not None and task == "upinterpolation":
        sampling = tuple(0.5 * size for size in np.broadcast_to(sampling, 2))
    stack = computed(lazy, name, folder, sampling, record, progress, cancel)
    done = Prediction(
        {task: stack},
        math.nan,
        options["contrast"],
        made["model"],
        made["sha256"],
        {"tasks": [task], "contrast": options["contrast"]},
    )
    return done, None, ()


def _predict(
    data: Any,
    task: str,
    options: dict[str, Any],
    tested: bool,
    scan: Any,
    progress: Progress,
    cancel: CancelToken,
) -> tuple[Any, Any, tuple[str, ...]]:
    """Return the prediction, its consistency where it is to be tested, and notes on scan lines."""
    from napari_atomseg.inference import correct_scan, predict
    from napari_atomseg.networks.tasks import COARSE
    from napari_atomseg.trust import consistency

    model = fetch_model(options["model"], progress, cancel)
    notes: tuple[str, ...] = ()
    if scan != "none":
        lines = fetch_model(LINES_MODEL, progress, cancel)
        corrected = correct_scan(
            data,
            scan,
            lines,
            options["sampling"],
            device=options["device"],
            progress=progress,
            cancel=cancel,
        )
        data, notes = corrected.image, corrected.notes
    options = options | {"model": model}
    coarse = COARSE.get(task, task) if tested else task
    tasks = tuple(dict.fromkeys((task, coarse)))
    prediction = predict(data, tasks, **options, progress=progress, cancel=cancel)
    if not tested:
        return prediction, None, notes
    progress(1, 1, "Testing the result")
    return prediction, consistency(data, prediction.maps[coarse], coarse), notes
