"""The result of a simulation: the image, the ideal image, and the ground truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from napari_atomseg._shared.metrics import psnr
from napari_atomseg.distortion.counting import Photomultiplier, Shot
from napari_atomseg.imaging import HRTEMOptics, LinearOptics, Optics
from napari_atomseg.simulation.recipe import SimulationRecipe, load_recipe
from napari_atomseg.simulation.render import Batch, render
from napari_atomseg.simulation.scene import Scene, draw_scene
from napari_atomseg.simulation.targets import (
    SMALL,
    element_maps,
    mask_radius,
    species_name,
)
from napari_atomseg.specimen import Structure


def label_columns(mask: NDArray[np.float32], positions: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return a label image (H, W): in the mask the number of the nearest column, 0 elsewhere.

    Parameters
    ----------
    mask : (H, W), above zero on columns, such as the target `circular_mask`.
    positions : (N, 2) y and x in pixels; column n has the label n + 1.
    """
    from scipy.spatial import cKDTree

    labels = np.zeros(mask.shape, dtype=np.int32)
    inside = np.argwhere(mask > 0)
    if len(inside) and len(positions):
        _, nearest = cKDTree(positions).query(inside)
        labels[tuple(inside.T)] = np.asarray(nearest) + 1
    return labels


@dataclass(frozen=True)
class Simulation:
    """A simulated image.

    Attributes
    ----------
    image : (H, W) float32, distorted, in units of the brightest column's peak (HRTEM: of the beam).
    ideal : (H, W) float32, undistorted.
    targets : ground truth by name: (H, W) float32 arrays (twice as many pixels each way where the
        name ends with 2x), `element_maps` (E, H, W) with a channel a species, the tables `position`
        (y, x) and `position_radius` (y, x, radius) in pixels, and the numbers `radius` and
        `small_radius` of the two circular masks in pixels.
    columns : table of the columns that can be told apart: y, x and radius in pixels, elements,
        intensity (of its peak, in phase contrast relative to the strongest scatterer), snr (its
        signal over its counting noise), y_angstrom, x_angstrom,
        cross_section (integrated intensity, Å² times the unit of the image), and where there are
        single atoms, their number, and composition, as "Sr25O25".
    sampling : Å a pixel.
    settings : the arguments of `simulate`, or of `sample`, that repeat it.
    facts : to search it by: material, zone_axis, field_of_view (Å), counts (electrons in a pixel
        where the signal is 1), elements (the channels of `element_maps`), energy (eV), and of a
        probe semiangle (mrad) and source_size (Å).
    psnr : peak signal-to-noise ratio against the ideal, dB; the peak is the ideal's brightest
        pixel.
    snr : variance of the ideal over the mean squared error of the image, dB.
    structure : the single atoms, or None.
    notes : what should be known of the specimen, a sentence each, such as how mixed sites were
        drawn.
    """

    image: NDArray[np.float32]
    ideal: NDArray[np.float32]
    targets: dict[str, Any]
    columns: pd.DataFrame
    sampling: float
    settings: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    psnr: float = field(default=float("nan"))
    snr: float = field(default=float("nan"))
    structure: Structure | None = None
    notes: tuple[str, ...] = ()


def collect(scene: Scene, batch: Batch, row: int = 0) -> Simulation:
    """The simulation of a scene from the batch that it was rendered in."""
    image, ideal = batch.image[row].cpu().numpy(), batch.ideal[row].cpu().numpy()
    table = column_table(scene, ideal)
    targets: dict[str, Any] = {k: v[row].cpu().numpy() for k, v in batch.targets.items()}
    groups, maps = element_maps(scene)
    targets["element_maps"] = maps.numpy()
    targets["position"] = table[["y", "x"]]
    targets["position_radius"] = table[["y", "x", "radius"]]
    targets["radius"] = mask_radius(scene)
    targets["small_radius"] = SMALL * targets["radius"]
    facts = {
        "material": scene.specimen.material,
        "zone_axis": list(scene.specimen.zone_axis),
        "field_of_view": float(scene.view.size[1]),
        "counts": peak_counts(scene, ideal),
        "elements": list(groups),
        "energy": energy_of(scene.optics),
        **probe_facts(scene.optics),
    }
    return Simulation(
        image,
        ideal,
        targets,
        table,
        scene.sampling,
        scene.settings,
        facts,
        psnr=psnr(image, ideal, peak=float(ideal.max())),
        snr=_snr(image, ideal),
        structure=scene.specimen.structure,
        notes=scene.specimen.notes,
    )


def column_table(scene: Scene, ideal: NDArray[np.float32]) -> pd.DataFrame:
    """The columns that can be told apart and whose centres lie in the image.

    Parameters
    ----------
    ideal : (H, W) undistorted image of the scene.

    Returns
    -------
    Table as `Simulation.columns`. `snr` is the electrons of a column over the deviation of a
    matched filter's count of them, given what lies under the column; phase contrast has none.
    """
    y, x, seen = scene.placed()
    labels, y, x = scene.labels.select(seen), y[seen], x[seen]
    rows, cols = ideal.shape
    peak = labels.weight / scene.unit
    here = ideal[np.rint(y).astype(int).clip(0, rows - 1), np.rint(x).astype(int).clip(0, cols - 1)]
    under = peak + 2.0 * np.maximum(here - peak, 0.0)
    area = 2 * np.pi * scene.sigma**2
    signal = peak * np.sqrt(area * peak_counts(scene, ideal) / under)
    table = pd.DataFrame(
        {
            "y": y,
            "x": x,
            "radius": mask_radius(scene),
            "elements": [species_name(scene, int(s)) for s in labels.species],
            "intensity": peak,
            "snr": np.nan if scene.optics.coherent else signal,
            "y_angstrom": y * scene.sampling,
            "x_angstrom": x * scene.sampling,
            "cross_section": peak * area * scene.sampling**2,
        }
    )
    if labels.numbers:
        table["atoms"] = labels.counts.sum(axis=1)
        symbols = [chemical_symbols[n] for n in labels.numbers]
        # There are few compositions, and many columns of each.
        counts, which = np.unique(labels.counts.round(2), axis=0, return_inverse=True)
        names = [_formula(symbols, each) for each in counts]
        table["composition"] = [names[number] for number in which]
    return table


def energy_of(optics: Optics) -> float | None:
    """Energy of the electrons in eV, or None where the optics have none."""
    if isinstance(optics, LinearOptics):
        return optics.probe.energy
    return optics.energy if isinstance(optics, HRTEMOptics) else None


def probe_facts(optics: Optics) -> dict[str, float]:
    """Convergence semi-angle (mrad) and source size (Å) of a probe; nothing of other optics."""
    if not isinstance(optics, LinearOptics):
        return {}
    return {"semiangle": optics.probe.semiangle, "source_size": optics.probe.source_size}


def peak_counts(scene: Scene, ideal: NDArray[np.float32]) -> float:
    """Electrons in a pixel where the signal is 1; infinite without shot noise."""
    image = torch.from_numpy(ideal)[None]
    counts = [float("inf")]
    for drawn in scene.distortions:
        if isinstance(drawn.distortion, Shot | Photomultiplier):
            values = {k: torch.as_tensor(v).float()[None] for k, v in drawn.values.items()}
            counts.append(float(drawn.distortion.counts_at_one(image, values)))
    return min(counts)


def _formula(symbols: list[str], counts: NDArray[np.float64]) -> str:
    return "".join(f"{s}{c:g}" for s, c in zip(symbols, counts, strict=True) if c > 0)


def _snr(image: NDArray[np.float32], ideal: NDArray[np.float32]) -> float:
    error = float(np.mean((image.astype(np.float64) - ideal) ** 2))
    return float(10.0 * np.log10(ideal.var() / error)) if error > 0 else float("inf")


def sample(
    recipe: str | Path | dict[str, Any] | SimulationRecipe,
    index: int = 0,
    seed: int = 0,
    shape: tuple[int, int] | None = None,
    device: str = "cpu",
) -> Simulation:
    """Sample number `index` of a recipe; the same whenever and wherever it is made.

    Parameters
    ----------
    recipe : as `load_recipe` takes it.
    index, seed : not negative.
    shape : rows and columns of the image; the recipe's own by default.
    device : where to render. Another device draws other noise.

    Raises
    ------
    OSError, ValueError
        As `load_recipe`, or an argument is out of range; the message names it.
    """
    recipe = load_recipe(recipe)
    for name, value in (("index", index), ("seed", seed)):
        if int(value) != value or value < 0:
            raise ValueError(f"{name}={value!r} must be a whole number from 0")
    if shape is not None and (len(shape) != 2 or min(shape) < 16 or max(shape) > 16384):
        raise ValueError(f"shape={shape!r} must be two numbers of pixels from 16 to 16384")
    scene = draw_scene(recipe, seed, index, shape)
    return collect(scene, render([scene], device))
