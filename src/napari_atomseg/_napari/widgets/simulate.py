"""The Simulate panel: an image of a crystal, with its ground truth."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_atomseg._napari.form import option
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.layers import image_layer, points_layer, sampled
from napari_atomseg._napari.panel import Panel
from napari_atomseg.io import provenance
from napari_atomseg.progress import CancelToken, Progress

if TYPE_CHECKING:
    from napari.layers import Layer


def _crystal_names() -> list[str]:
    from napari_atomseg.specimen import crystals

    return crystals()


@dataclass(frozen=True)
class SimulateSettings:
    """Settings of the Simulate panel: the arguments of `napari_atomseg.simulate`."""

    crystal: str = option("SrTiO3", "Crystal", "What is under the beam", choices=_crystal_names)
    zone_axis: tuple[int, int, int] = option(
        (0, 0, 1), "Zone axis", "Crystal direction [u v w] along the beam", min=-9, max=9
    )
    shape_kind: str = option(
        "bulk",
        "Specimen",
        "Fills the image, thins out to nothing, ends at a cliff, or is a particle on vacuum",
        choices=[
            ("fills the image", "bulk"),
            ("wedge", "wedge"),
            ("edge", "edge"),
            ("particle", "particle"),
        ],
    )
    rotation: float = option(
        0.0,
        "Rotation",
        "Turn of the crystal in the image",
        unit="°",
        min=-180.0,
        max=180.0,
        decimals=1,
    )
    shape: tuple[int, int] = option(
        (512, 512), "Size (y, x)", "Rows and columns of the image, in pixels", min=8, max=16384
    )
    sampling: float = option(
        0.1, "Sampling", "Size of a pixel", unit="Å/px", min=0.005, max=2.0, step=0.01, decimals=4
    )
    dose: float = option(
        2e4,
        "Dose",
        "Electrons of the incident beam per area: 500 is hardly visible, 100 000 is clean",
        unit="e⁻/Å²",
        min=1.0,
        max=1e9,
        step=1000.0,
        decimals=0,
    )
    seed: int = option(0, "Seed", "Same seed, same noise", min=0, max=2**31 - 1)
    energy: float = option(
        200e3,
        "Energy",
        "Energy of the electrons",
        unit="eV",
        min=1e4,
        max=1e6,
        step=1e4,
        decimals=0,
        advanced=True,
    )
    semiangle: float = option(
        20.0,
        "Semi-angle",
        "Convergence semi-angle of the probe",
        unit="mrad",
        min=0.5,
        max=100.0,
        advanced=True,
    )
    defocus: float = option(
        0.0,
        "Defocus",
        "Defocus of the probe",
        unit="Å",
        min=-1e5,
        max=1e5,
        step=10.0,
        advanced=True,
    )
    C3: float = option(
        0.0,
        "C3",
        "Spherical aberration of third order; 1 mm is 10 000 000 Å",
        unit="Å",
        min=-1e8,
        max=1e8,
        step=1e4,
        decimals=0,
        advanced=True,
    )
    source_size: float = option(
        0.8,
        "Source size",
        "Width (FWHM) of the electron source in the image",
        unit="Å",
        min=0.0,
        max=10.0,
        step=0.1,
        advanced=True,
    )
    jitter: float = option(
        0.1,
        "Scan jitter",
        "Standard deviation of the displacement of scan lines",
        unit="Å",
        min=0.0,
        max=5.0,
        step=0.05,
        advanced=True,
    )
    background: float = option(
        0.0,
        "Background",
        "Height of the background, in units of the brightest column's peak",
        min=0.0,
        max=10.0,
        step=0.1,
        advanced=True,
    )
    background_kind: str = option(
        "constant",
        "Its kind",
        "Constant, a ramp across the image, or bright patches",
        choices=[("constant", "constant"), ("ramp", "ramp"), ("patches", "nonlinear")],
        advanced=True,
    )
    add_ideal: bool = option(
        False, "Add ideal image", "Also add the image without noise and distortion"
    )
    add_columns: bool = option(False, "Add true columns", "Also add the true positions as points")


_LAYERS = ("add_ideal", "add_columns")


class Simulate(Panel):
    """Simulates an image as a new layer, with the truth beside it if wanted."""

    title = "Simulate"
    Settings = SimulateSettings

    def prepare(self) -> tuple[str, Work, Show]:
        settings = dataclasses.asdict(self.form.values())
        wanted = {name: settings.pop(name) for name in _LAYERS}
        return (
            f"Simulate {settings['crystal']}",
            partial(_simulate, settings),
            partial(self._show, wanted),
        )

    def summary(self, result: list[Layer]) -> str:
        return "Added " + ", ".join(repr(layer.name) for layer in result)

    def _show(self, wanted: dict[str, bool], simulation: Any) -> list[Layer]:
        layers = simulation_layers(simulation, **wanted)
        for layer in layers:
            self.viewer.add_layer(layer)
        return layers


def simulation_layers(
    simulation: Any, *, add_ideal: bool = False, add_columns: bool = False
) -> list[Layer]:
    """Return the layers of a simulation: the image and, if wanted, the truth."""
    settings = simulation.settings
    axis = "".join(str(index) for index in settings["zone_axis"])
    name = f"{settings['crystal']} [{axis}]"
    place = sampled(simulation.sampling)
    made = provenance("simulate", name, settings)
    layers: list[Layer] = [image_layer(simulation.image, name, place, made)]
    if add_ideal:
        layers.insert(0, image_layer(simulation.ideal, f"{name} ideal", place, made))
    if add_columns:
        layers.append(
            points_layer(
                simulation.columns, f"{name} true columns", place, made, colour_by="elements"
            )
        )
    return layers


def _simulate(settings: dict[str, Any], progress: Progress, cancel: CancelToken) -> Any:
    from napari_atomseg.simulation import simulate

    progress(0, 0, "preparing")
    return simulate(**settings, progress=progress, cancel=cancel)
