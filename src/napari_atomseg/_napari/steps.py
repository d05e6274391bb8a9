"""The steps from an image to a figure, in order: their panels, and what the layers show as done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from napari.layers import Image, Labels, Layer, Points

from napari_atomseg._napari.columns.edits import REFIT
from napari_atomseg._napari.columns.layers import ACTION, columns_layers, drawn
from napari_atomseg._napari.layers import PASSING, PROVENANCE, SAVED_FIGURES, layer_sampling, raw_of


@dataclass(frozen=True)
class Way:
    """A panel that does a step, and where it leads.

    Attributes
    ----------
    panel : name of its widget in the manifest.
    about : what it does, a few words.
    page : page of the panel, where the step is one of several that it has.
    then : name of the step that follows; empty where none does.
    """

    panel: str
    about: str
    page: str = ""
    then: str = ""


@dataclass(frozen=True)
class Step:
    """A step of the work on an image.

    Attributes
    ----------
    name : a word.
    invitation : what the user is asked to do, after "Next: ".
    ways : the panels to do it with; the first one is proposed.
    done : names of the layers that show that it was done.
    """

    name: str
    invitation: str
    ways: tuple[Way, ...]
    done: Callable[[Sequence[Layer]], list[str]] = field(repr=False)

    def way(self, panel: str, page: str = "") -> Way | None:
        """The way by a panel and its page; None if it is none of this step."""
        return next((way for way in self.ways if (way.panel, way.page) == (panel, page)), None)


def action_of(layer: Layer) -> str:
    """What made a layer, from its record; empty where that is not known."""
    return str(layer.metadata.get(PROVENANCE, {}).get("action", ""))


def _made_by(*actions: str) -> Callable[[Sequence[Layer]], list[str]]:
    return lambda layers: [layer.name for layer in layers if action_of(layer) in actions]


def _with_scale(layers: Sequence[Layer]) -> list[str]:
    images = (layer for layer in layers if isinstance(layer, Image) and layer.ndim >= 2)
    return [image.name for image in images if layer_sampling(image) is not None]


def _found(layers: Sequence[Layer]) -> list[str]:
    labels = _made_by("segment")([layer for layer in layers if isinstance(layer, Labels)])
    return [layer.name for layer in columns_layers(layers) if len(layer.data)] + labels


def _with_record(key: str) -> Callable[[Sequence[Layer]], list[str]]:
    def names(layers: Sequence[Layer]) -> list[str]:
        return [
            layer.name
            for layer in columns_layers(layers)
            if key in layer.metadata.get(PROVENANCE, {}) or key in layer.metadata
        ]

    return names


STEPS = (
    Step(
        "Open",
        "Open an image",
        (Way("Start", "open an image, and give the size of its pixels", then="Restore"),),
        _with_scale,
    ),
    Step(
        "Restore",
        "Restore the image",
        (Way("Restore", "remove noise and background, sharpen", then="Find"),),
        _made_by("restore"),
    ),
    Step(
        "Find",
        "Find the columns",
        (
            Way("Localize", "positions with errors", then="Correct"),
            Way("Segment", "one label a column", then="Find"),
        ),
        _found,
    ),
    Step(
        "Correct",
        "Correct the columns",
        (Way("Columns", "add, move and delete columns, and refit them", then="Measure"),),
        _with_record(REFIT),
    ),
    Step(
        "Measure",
        "Measure the columns",
        (Way("Measure", "lattice, strain, polarization, defects and more", then="Figure"),),
        _made_by(ACTION),
    ),
    Step(
        "Figure",
        "Make a figure",
        (Way("Columns", "overlays, vector maps, histograms and strain maps", page="Figures"),),
        _with_record(SAVED_FIGURES),
    ),
)
"""The steps in order."""

_BEFORE_RESTORE = {"Simulate": "Restore", "Scan": "Restore", "Align": "Restore"}
"""Steps that follow on panels that are no step themselves."""


def step_named(name: str) -> Step:
    """The step of a name."""
    return next(step for step in STEPS if step.name == name)


def step_of(panel: str, page: str = "") -> Step | None:
    """The step that a panel does on a page; None if it does none."""
    return next((step for step in STEPS if step.way(panel, page) is not None), None)


def next_step(panel: str, page: str = "") -> Step | None:
    """The step that follows on what a panel did; None where none does."""
    step = step_of(panel, page)
    way = None if step is None else step.way(panel, page)
    name = _BEFORE_RESTORE.get(panel, "") if way is None else way.then
    return step_named(name) if name else None


def others(panels: Iterable[str]) -> list[str]:
    """Those of the panels that are no step."""
    own = {way.panel for step in STEPS for way in step.ways}
    return [panel for panel in panels if panel not in own]


def recorded_image(layer: Layer | None, layers: Collection[Layer]) -> Image | None:
    """The recorded image that a layer is, or was made from; None if it is not there.

    Follows the records: of a map to its columns, of columns to their image, of a restored image
    to the one that was recorded.
    """
    found = _behind(layer, layers, _is_recorded)
    return found if isinstance(found, Image) else None


def columns_behind(layer: Layer | None, layers: Collection[Layer]) -> Points | None:
    """The columns that a layer is, or was measured on; None if they are not there."""
    found = _behind(layer, layers, lambda each: isinstance(each, Points) and not drawn(each))
    return found if isinstance(found, Points) else None


def _is_recorded(layer: Layer) -> bool:
    own = isinstance(layer, Image) and raw_of(layer) == layer.name
    return own and not drawn(layer) and PASSING not in layer.metadata


def _behind(
    layer: Layer | None, layers: Collection[Layer], wanted: Callable[[Layer], bool]
) -> Layer | None:
    """The first layer on the way to the source of a layer that is wanted."""
    by_name: Mapping[str, Layer] = {each.name: each for each in layers}
    passed: set[str] = set()
    while layer is not None and layer.name not in passed:
        if wanted(layer):
            return layer
        passed.add(layer.name)
        record = layer.metadata.get(PROVENANCE, {})
        before = record.get("raw", record.get("source", ""))
        layer = by_name.get(str(before))
    return None
