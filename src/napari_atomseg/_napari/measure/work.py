"""The measurements by name, and their layers: what runs beside the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Layer

from napari_atomseg._napari.measure import counts as measure_counts
from napari_atomseg._napari.measure import defects as measure_defects
from napari_atomseg._napari.measure import lattice as measure_lattice
from napari_atomseg._napari.measure import sites as measure_sites
from napari_atomseg._napari.measure import strain as measure_strain
from napari_atomseg._napari.measure import tracks as measure_tracks
from napari_atomseg._napari.measure.show import Place, make_layers
from napari_atomseg._napari.measure.task import Outcome, Task
from napari_atomseg.progress import CancelToken, Progress

_Measure = Callable[[Task, Progress, CancelToken], Outcome]
WORK: dict[str, _Measure] = {
    "lattice": measure_lattice.find,
    "spacings": measure_sites.spacings,
    "displacements": measure_sites.displacements,
    "strain": measure_strain.strain,
    "dislocations": measure_defects.dislocations,
    "grains": measure_defects.grains,
    "rings": measure_defects.rings,
    "counts": measure_counts.counts,
    "tracks": measure_tracks.tracks,
}


def work(
    task: Task,
    name: str,
    record: dict[str, Any],
    places: dict[str, Place],
    progress: Progress,
    cancel: CancelToken,
) -> tuple[Outcome, list[Layer]]:
    """Measure, and make the layers that show it."""
    outcome = WORK[task.settings.measure](task, progress, cancel)
    return outcome, make_layers(outcome, name, record, places, cancel)
