"""Three workflows in the window, for docs/examples.md; needs a screen.

    python docs/scripts/draw.py examples
    python docs/scripts/draw.py examples --recorded FOLDER --output PICTURES

Without a folder the images are simulated. With one they are recorded files of that folder, found
by name; those that are not there are left out. The licences of the recorded files named here do
not allow to publish pictures of them in this documentation: name another folder for the pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.viewer import Viewer
from window import open_viewer, settle, take

import napari_atomseg as atomseg
from napari_atomseg._napari.files import get_image_reader
from napari_atomseg._napari.simulate.layers import simulation_layers
from napari_atomseg.simulation import Simulation, sample


@dataclass(frozen=True)
class Example:
    """An image and what is done with it.

    Attributes
    ----------
    file : of the recorded image.
    simulated : the simulated one.
    clicks : panels that are run one after the other, with their settings.
    """

    file: str
    simulated: Callable[[], Simulation]
    clicks: tuple[tuple[str, Mapping[str, Any]], ...]


def multilayer() -> Simulation:
    """Polar PbTiO3 between layers of SrTiO3, the sample of the tour."""
    return sample("polar-domains", index=0, seed=1)


def sheet() -> Simulation:
    """A sheet of MoS2 with vacancies, at the dose that it stands."""
    return atomseg.simulate(
        "MoS2", (0, 0, 1), (384, 384), 0.12, dose=1e4, seed=3, thickness=3, vacancies=0.04
    )


def particle() -> Simulation:
    """A particle of platinum along [110] on vacuum."""
    return atomseg.simulate(
        "Pt", (1, 1, 0), (384, 384), 0.12, 1e4, 2, rotation=17.0, shape_kind="particle"
    )


# Effective charge of Ti in PbTiO3 in e (Zhong, King-Smith, Vanderbilt, Phys. Rev. Lett. 72, 3618,
# 1994), and the volume of its cell in Å³.
POLAR = {"measure": "displacements", "charge": 7.1, "volume": 63.3}
EXAMPLES = {
    "polar": Example(
        "pto_sro.hspy",
        multilayer,
        (("Localize", {}), ("Measure", {"measure": "lattice"}), ("Measure", POLAR)),
    ),
    "mos2": Example(
        "mos2_se_implanted_1024.dm3",
        sheet,
        (("Restore", {}), ("Localize", {}), ("Measure", {"measure": "defects"})),
    ),
    "particle": Example(
        "ptir_particle_0.1211A.tif",
        particle,
        (
            ("Localize", {}),
            ("Measure", {"measure": "lattice"}),
            ("Measure", {"measure": "strain"}),
        ),
    ),
}


def draw(folder: Path, recorded: Path | None) -> None:
    """Do the workflows; a picture of the window a click."""
    for name, example in EXAMPLES.items():
        viewer = open_viewer()
        viewer.scale_bar.visible = True
        if opened(viewer, example, recorded):
            for place, _ in enumerate(clicked(viewer, example), 1):
                settle(1.0)
                take(viewer, folder / f"example-{name}-{place}.png")
        viewer.close()


def opened(viewer: Viewer, example: Example, recorded: Path | None) -> bool:
    """Open the image; False if it is not among the recorded ones."""
    if recorded is None:
        for layer in simulation_layers(example.simulated()):
            viewer.add_layer(layer)
        return True
    found = next(recorded.rglob(example.file), None)
    if found is None:
        sys.stdout.write(f"{example.file} is not in {recorded}\n")
        return False
    # Plain pictures without a scale are left to napari.
    reader = "napari" if get_image_reader(str(found)) is None else "napari-atomseg"
    viewer.open(found, plugin=reader)
    return True


def clicked(viewer: Viewer, example: Example) -> Iterator[Any]:
    """Run panel after panel; yields each."""
    image = viewer.layers[0].name
    for name, settings in example.clicks:
        _, panel = viewer.window.add_plugin_dock_widget("napari-atomseg", name)
        if name != "Measure":
            panel.image = image
        for setting, value in settings.items():
            setattr(panel, setting, value)
        panel.run().result()
        sys.stdout.write(f"{image}, {name} {dict(settings)}: {panel.message.text()}\n")
        yield panel


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where recorded images are."""
    parser.add_argument("--recorded", type=Path, help="folder of the recorded files")
