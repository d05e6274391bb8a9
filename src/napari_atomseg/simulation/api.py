"""`simulate`: one image of a named crystal with its ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg.imaging import Probe, peak_width
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.simulation.render import MARGIN, mask_radius, render
from napari_atomseg.simulation.scene import Background, Noise, Scene
from napari_atomseg.simulation.truth import column_truth
from napari_atomseg.specimen import (
    ColumnLattice,
    Columns,
    Thickness,
    get_crystal,
    project,
    resolve_columns,
)

COLLECTED = 0.05
"""Share of the beam that a bright column scatters onto an annular dark-field detector: some 5 % for
heavy columns 10–20 nm thick."""

BACKGROUNDS = ("constant", "ramp", "nonlinear")


@dataclass(frozen=True)
class Simulation:
    """A simulated image.

    Attributes
    ----------
    image : (H, W) float32, distorted, in units of the brightest column's peak.
    ideal : (H, W) float32, undistorted.
    targets : ground truth by name: (H, W) float32 arrays, and the tables `position` (y, x) and
        `position_radius` (y, x, radius) in pixels.
    columns : table of the columns that can be told apart: y, x and radius in pixels, y_angstrom,
        x_angstrom, elements, intensity (of its peak) and snr, its signal over its counting noise.
    sampling : Å a pixel.
    settings : the arguments of `simulate` that repeat it.
    """

    image: NDArray[np.float32]
    ideal: NDArray[np.float32]
    targets: dict[str, Any]
    columns: pd.DataFrame
    sampling: float
    settings: dict[str, Any]


def simulate(
    crystal: str = "SrTiO3",
    zone_axis: tuple[int, int, int] = (0, 0, 1),
    shape: tuple[int, int] = (512, 512),
    sampling: float = 0.1,
    dose: float = 2e4,
    seed: int = 0,
    *,
    rotation: float = 0.0,
    offset: tuple[float, float] = (0.0, 0.0),
    energy: float = 200e3,
    semiangle: float = 20.0,
    defocus: float = 0.0,
    C3: float = 0.0,
    source_size: float = 0.8,
    jitter: float = 0.1,
    background: float = 0.0,
    background_kind: str = "constant",
    shape_kind: str = "bulk",
    device: str = "cpu",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Simulation:
    """Simulate a dark-field STEM image of a crystal by linear imaging (Lin et al. 2021).

    Parameters
    ----------
    crystal : name from `crystals()`.
    zone_axis : [uvw] along the beam.
    shape : rows and columns of the image.
    sampling : Å a pixel.
    dose : e⁻/Å² of the incident beam (infinite: no shot noise). `COLLECTED` of it reaches the
        detector at the peak of the brightest column.
    seed : of the noise and of random backgrounds and shapes.
    rotation : of the crystal in the image, degrees.
    offset : of a lattice point from the image's centre, Å (y, x).
    energy, semiangle, defocus, C3, source_size : eV, mrad, Å, Å, Å (FWHM).
    jitter : deviation of the scan lines, Å.
    background : height in units of the brightest column's peak.
    background_kind : "constant", "ramp" or "nonlinear".
    shape_kind : "bulk", "wedge" (thickness falls to nothing), "edge" (vacuum beyond a cliff) or
        "particle" (faceted, on vacuum).
    device : where to render.

    Raises
    ------
    ValueError
        An argument is out of range; the message names it.
    """
    settings = {k: v for k, v in locals().items() if k not in ("device", "progress", "cancel")}
    _check(shape, sampling, dose, jitter, background, background_kind, shape_kind)
    report(progress, cancel, 0, 3, "placing columns")
    rng = np.random.default_rng((seed, 3))
    size = np.array(shape) * sampling
    lattice = project(get_crystal(crystal), zone_axis).rotated(rotation)
    probe = Probe(energy, semiangle, defocus, C3, source_size)
    thickness = SHAPES[shape_kind](rng, size)
    columns = _fill(lattice, size, sampling, np.asarray(offset), thickness)
    scale = float(lattice.weights.max())
    scene = Scene(
        columns=columns,
        labels=resolve_columns(columns, peak_width(probe)),
        sampling=sampling,
        probe=probe,
        thickness=thickness,
        background=_background(rng, background, background_kind, size),
        noise=Noise(peak_counts=dose * sampling**2 * COLLECTED, jitter=jitter),
        scale=scale,
        seed=(seed, 0),
    )
    report(progress, cancel, 1, 3, "rendering")
    batch = render([scene], shape, device)
    report(progress, cancel, 2, 3, "collecting ground truth")
    ideal = batch.ideal[0].cpu().numpy()
    table = _table(scene, lattice, ideal)
    targets: dict[str, Any] = {k: v[0].cpu().numpy() for k, v in batch.targets.items()}
    targets["position"] = table[["y", "x"]]
    targets["position_radius"] = table[["y", "x", "radius"]]
    report(progress, cancel, 3, 3, "done")
    return Simulation(batch.image[0].cpu().numpy(), ideal, targets, table, sampling, settings)


def _check(
    shape: tuple[int, int],
    sampling: float,
    dose: float,
    jitter: float,
    background: float,
    background_kind: str,
    shape_kind: str,
) -> None:
    if len(shape) != 2 or min(shape) < 8 or max(shape) > 16384:
        raise ValueError(f"shape={shape!r} must be two numbers of pixels from 8 to 16384")
    if not 0.005 <= sampling <= 2.0:
        raise ValueError(f"sampling={sampling!r} must lie between 0.005 and 2 Å a pixel")
    if not dose > 0:
        raise ValueError(f"dose={dose!r} must be positive, in e⁻/Å²")
    if not jitter >= 0:
        raise ValueError(f"jitter={jitter!r} must not be negative")
    if not background >= 0:
        raise ValueError(f"background={background!r} must not be negative")
    if background_kind not in BACKGROUNDS:
        raise ValueError(f"background_kind={background_kind!r}; choose one of {BACKGROUNDS}")
    if shape_kind not in SHAPES:
        raise ValueError(f"shape_kind={shape_kind!r}; choose one of {', '.join(SHAPES)}")


def _fill(
    lattice: ColumnLattice,
    size: NDArray[np.float64],
    sampling: float,
    offset: NDArray[np.float64],
    thickness: Thickness,
) -> Columns:
    margin = MARGIN * sampling
    columns = lattice.fill(np.full(2, -margin), size + margin, 0.5 * size + offset)
    columns = columns.reweighted(thickness(columns.y, columns.x))
    return columns.select(columns.weight > 0)


def _bulk(rng: np.random.Generator, size: NDArray[np.float64]) -> Thickness:
    return Thickness()


def _half_plane(width: float) -> Callable[[np.random.Generator, NDArray[np.float64]], Thickness]:
    def shape(rng: np.random.Generator, size: NDArray[np.float64]) -> Thickness:
        turn = rng.uniform(0.0, 2 * np.pi)
        normal = np.array([np.sin(turn), np.cos(turn)])
        distance = normal @ (0.5 * size) - 0.15 * size.min()
        return Thickness(np.array([[*normal, distance, width * size.min()]]))

    return shape


def _particle(rng: np.random.Generator, size: NDArray[np.float64]) -> Thickness:
    turns = rng.uniform(0.0, np.pi) + np.arange(6) * np.pi / 3
    normals = np.stack([np.sin(turns), np.cos(turns)], axis=1)
    away = size.min() * rng.uniform(0.3, 0.38, 6)
    width = np.full(6, 0.25 * size.min())
    return Thickness(np.column_stack([normals, normals @ (0.5 * size) - away, width]))


SHAPES: dict[str, Callable[[np.random.Generator, NDArray[np.float64]], Thickness]] = {
    "bulk": _bulk,
    "wedge": _half_plane(0.9),
    "edge": _half_plane(0.0),
    "particle": _particle,
}


def _background(
    rng: np.random.Generator, height: float, kind: str, size: NDArray[np.float64]
) -> Background:
    if kind == "ramp":
        return Background(ramp=(height * float(rng.random()), height))
    if kind == "nonlinear":
        blobs = np.column_stack(
            [
                rng.random((5, 2)) * size,
                height * rng.uniform(0.4, 1.0, 5),
                size.min() * rng.uniform(0.1, 0.3, 5),
            ]
        )
        return Background(blobs=blobs)
    return Background(constant=height)


def _table(scene: Scene, lattice: ColumnLattice, ideal: NDArray[np.float32]) -> pd.DataFrame:
    table, labels = column_truth(scene, ideal)
    names = ["".join(f"{s}{n if n > 1 else ''}" for s, n in e.items()) for e in lattice.elements]
    table.insert(2, "radius", mask_radius(scene))
    table.insert(3, "elements", [names[s] for s in labels.species])
    return table.assign(y_angstrom=labels.y, x_angstrom=labels.x)
