"""`simulate`: one image of a crystal with its ground truth."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_atomseg.imaging import HRTEMOptics, LinearOptics, Optics
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.simulation.arguments import about
from napari_atomseg.simulation.render import render
from napari_atomseg.simulation.result import Simulation, collect
from napari_atomseg.simulation.settings import SimulationSettings
from napari_atomseg.simulation.setup import field_of, optics_of, scene_of, specimen_of

if TYPE_CHECKING:
    from ase import Atoms

    from napari_atomseg.specimen import Field, Specimen


def simulate(
    crystal: str | Path | Atoms = "SrTiO3",
    zone_axis: tuple[int, int, int] = (0, 0, 1),
    shape: tuple[int, int] = (512, 512),
    sampling: float = 0.1,
    dose: float = 2e4,
    seed: int = 0,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> Simulation:
    """Simulate an image of a crystal, with its ground truth.

    By default a dark-field STEM image by linear imaging (Lin et al. 2021), in units of the
    brightest column's peak; `imaging` chooses radial functions (Lobato et al. 2023, Eq. 16-22), a
    phase object in HRTEM, or abTEM's multislice for either mode.

    Parameters
    ----------
    device : where to render.
    progress, cancel : see `napari_atomseg.progress`.
    {settings}

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong kind; the message names it.
    OSError
        The crystal's file cannot be read.
    ImportError
        Multislice is asked for and abTEM is not installed.
    """
    chosen = SimulationSettings(crystal, zone_axis, shape, sampling, dose, seed, **settings)
    report(progress, cancel, 0, 3, "placing atoms")
    view = field_of(chosen)
    specimen = specimen_of(chosen, view)
    optics = optics_of(chosen, view, specimen)
    report(progress, cancel, 1, 3, "forming the image")
    clean = peak = None
    if chosen.imaging.startswith("multislice"):
        clean = _multislice(specimen, view, optics, chosen.seed, progress, cancel)
        peak = float(clean.max())
    scene = scene_of(chosen, view, specimen, optics, peak)
    batch = render([scene], device, None if clean is None else [clean])
    report(progress, cancel, 2, 3, "collecting ground truth")
    result = collect(scene, batch)
    report(progress, cancel, 3, 3, "done")
    return result


def _describe(function: Any) -> None:
    """Give a function the keywords of the settings, and their description."""
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    known = [
        f for f in dataclasses.fields(SimulationSettings) if f.name not in signature.parameters
    ]
    more = [
        inspect.Parameter(
            f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type
        )
        for f in known
    ]
    first = [p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
    function.__signature__ = signature.replace(
        parameters=[*first, *more, *(p for p in own if p not in first)]
    )
    lines = []
    for field in dataclasses.fields(SimulationSettings):
        what = about(field)
        unit = f" In {what.unit}." if what.unit else ""
        choices = f" One of {', '.join(map(repr, what.choices))}." if what.choices else ""
        lines.append(f"{field.name} : {what.help}{unit}{choices}")
    function.__doc__ = (function.__doc__ or "").replace("{settings}", "\n    ".join(lines))


def _multislice(
    specimen: Specimen,
    view: Field,
    optics: Optics,
    seed: int,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> torch.Tensor:
    from napari_atomseg.imaging.multislice import multislice_adf, multislice_hrtem

    structure = specimen.structure
    if structure is None:
        raise ValueError("multislice needs single atoms, which this specimen does not have")
    if isinstance(optics, HRTEMOptics):
        image = multislice_hrtem(
            structure, view, optics, seed=seed, progress=progress, cancel=cancel
        )
    elif isinstance(optics, LinearOptics):
        image = multislice_adf(
            structure, view, optics.probe, seed=seed, progress=progress, cancel=cancel
        )
    return torch.from_numpy(image)


_describe(simulate)
