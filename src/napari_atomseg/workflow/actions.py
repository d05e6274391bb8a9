"""What a step of a workflow can do: each action is one public function with its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from napari_atomseg import weights
from napari_atomseg._shared.types import Sampling
from napari_atomseg.alignment.settings import AlignSettings
from napari_atomseg.inference.scan.settings import ScanCorrectionSettings
from napari_atomseg.inference.settings import InferenceSettings, RestorationSettings
from napari_atomseg.localization.settings import LabelSettings, LocalizeSettings
from napari_atomseg.measurements import MEASUREMENTS, Report, measure
from napari_atomseg.measurements.registry import CommonSettings, Needs
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import Settings, fields_of

if TYPE_CHECKING:
    from napari_atomseg.alignment import Alignment

MEASURE = "measure "
"""Before the name of a measurement in that of its action."""

Kind = Literal["image", "labels", "columns", "report"]
"""What an action takes and gives."""


@dataclass(frozen=True)
class Given:
    """What a step is applied to.

    Attributes
    ----------
    image : (..., H, W); None for a measurement of columns alone.
    columns : table of the step that a measurement follows.
    sampling : Å per pixel of the image.
    noise : how far the image's pixels share their noise, as averages know of themselves.
    """

    image: Any = None
    columns: pd.DataFrame | None = None
    sampling: Sampling | None = None
    noise: Any = None


@dataclass(frozen=True)
class Action:
    """One public function as a step.

    Attributes
    ----------
    name : as workflows write it: "restore", "measure strain".
    settings : their names, defaults and checks.
    takes, gives : the kinds of what it is applied to, and of its result.
    image : whether a measurement of columns takes their image too.
    columns : whether a measurement of an image takes columns too.
    run : applies it to what is given; further arguments are settings as keywords.
    uses_model : whether a trained network does it.
    """

    name: str
    settings: type[Settings]
    takes: Kind
    gives: Kind
    image: Needs
    run: Callable[..., Any]
    columns: Needs = Needs.NOTHING
    uses_model: bool = True

    def checked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings with those that are not given at their defaults.

        Raises
        ------
        ValueError, TypeError
            There is no such setting, or it has a wrong value; the message names it.
        """
        given = {name: _sequence(value) for name, value in settings.items()}
        return dict(self.settings(**given))

    def changed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Those settings that are not at their defaults."""
        known = fields_of(self.settings)
        return {name: value for name, value in settings.items() if known[name].default != value}


class RestoreSettings(InferenceSettings, RestorationSettings):
    """Settings of the action "restore"."""


class SegmentSettings(InferenceSettings, LabelSettings):
    """Settings of the action "segment"."""


def _restore(
    given: Given, progress: Progress | None, cancel: CancelToken | None, **settings: Any
) -> Any:
    from napari_atomseg.inference import restore

    settings.pop("consistency")
    task = settings.pop("task")
    hooks: dict[str, Any] = {"progress": progress, "cancel": cancel}
    return restore(given.image, task, sampling=given.sampling, **settings, **hooks)


def _scan(
    given: Given, progress: Progress | None, cancel: CancelToken | None, **settings: Any
) -> Any:
    from napari_atomseg.inference import correct_scan

    hooks: dict[str, Any] = {"progress": progress, "cancel": cancel}
    return correct_scan(given.image, sampling=given.sampling, **settings, **hooks).image


def _align(
    given: Given, progress: Progress | None, cancel: CancelToken | None, **settings: Any
) -> Alignment:
    from napari_atomseg.alignment import align

    hooks: dict[str, Any] = {"progress": progress, "cancel": cancel}
    return align(np.asarray(given.image), sampling=given.sampling, **settings, **hooks)


def _segment(
    given: Given, progress: Progress | None, cancel: CancelToken | None, **settings: Any
) -> Any:
    from napari_atomseg.localization import segment

    hooks: dict[str, Any] = {"progress": progress, "cancel": cancel}
    return segment(given.image, sampling=given.sampling, **settings, **hooks)


def _localize(
    given: Given,
    progress: Progress | None,
    cancel: CancelToken | None,
    *,
    region: Any = None,
    **settings: Any,
) -> pd.DataFrame:
    from napari_atomseg.localization import localize

    more: dict[str, Any] = {"progress": progress, "cancel": cancel, "noise": given.noise}
    return localize(given.image, sampling=given.sampling, region=region, **settings, **more)


def _measure(
    name: str,
    given: Given,
    progress: Progress | None,
    cancel: CancelToken | None,
    *,
    sampling: Sampling | None = None,
    **settings: Any,
) -> Report:
    return measure(
        name,
        given.columns,
        given.image,
        sampling=given.sampling if sampling is None else sampling,
        progress=progress,
        cancel=cancel,
        **settings,
    )


def _of_measurement(name: str) -> Action:
    known = MEASUREMENTS[name]
    settings = type(known.settings.__name__, (known.settings, CommonSettings), {})
    return Action(
        MEASURE + name,
        settings,
        "columns" if known.columns is Needs.REQUIRED else "image",
        "report",
        known.image,
        partial(_measure, name),
        known.columns,
        uses_model=False,
    )


ACTIONS: dict[str, Action] = {
    each.name: each
    for each in (
        Action("restore", RestoreSettings, "image", "image", Needs.REQUIRED, _restore),
        Action("scan", ScanCorrectionSettings, "image", "image", Needs.REQUIRED, _scan),
        Action("align", AlignSettings, "image", "image", Needs.REQUIRED, _align, uses_model=False),
        Action("segment", SegmentSettings, "image", "labels", Needs.REQUIRED, _segment),
        Action("localize", LocalizeSettings, "image", "columns", Needs.REQUIRED, _localize),
        *(_of_measurement(name) for name in MEASUREMENTS),
    )
}
"""All actions by name."""


def identity(model: str | None) -> tuple[str, str]:
    """Name and hash of the weights that a step uses, by a model's name, path or None."""
    from napari_atomseg.networks.card import read_card

    path = weights.resolve(model)
    return read_card(path).name, weights.sha256(path)


def _sequence(value: Any) -> Any:
    """Sequences as the settings have them; YAML knows lists only."""
    return tuple(map(_sequence, value)) if isinstance(value, list) else value
