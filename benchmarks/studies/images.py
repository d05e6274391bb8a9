"""The specimens of r_em's three studies as images without noise, and what a scan makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.studies.multislice import LATTICE, PERIOD, PROBE, crystal_image
from napari_atomseg.distortion.lines import scan_blur
from napari_atomseg.distortion.scan import shift_lines
from napari_atomseg.imaging import LinearOptics, form_image
from napari_atomseg.specimen import EdgeDislocation, Field, Scatterers
from napari_atomseg.specimen.crystals.crystal import builtin_crystal

Array = NDArray[np.float64]
Image = NDArray[np.float32]

SAMPLING = 0.125
"""Å a pixel."""
MARGIN = 24
"""Pixels beyond each border, so that lines can be moved."""
JITTER = 0.05
"""Å, deviation of each line's displacement along x and along y (studies 2 and 3)."""
FAST_SCAN = 0.3
"""Part of a pixel's signal that bleeds into the next (studies 2 and 3)."""
BULK, DISLOCATION, PARTICLE = 128, 208, 384
"""Sides of the images in pixels."""
DEEP = 6
"""Atoms of a column around the dislocation."""
RADIUS = 10.25 * PERIOD
"""Å, of the particle: 11 atoms across and 333 columns, as r_em's has."""


@dataclass(frozen=True)
class Sample:
    """A specimen and its image.

    Attributes
    ----------
    canvas : fraction of the beam on the detector, with `MARGIN` pixels around the image.
    y, x : (N,) places of the columns in pixels of the image; all lie inside.
    atoms : (N,) of each column.
    """

    canvas: Array
    y: Array
    x: Array
    atoms: NDArray[np.int64]

    @property
    def image(self) -> Array:
        """Without the margin."""
        return self.canvas[MARGIN:-MARGIN, MARGIN:-MARGIN]

    def inner(self, distance: float) -> NDArray[np.bool_]:
        """(N,) columns farther than `distance` Å from the border."""
        side = len(self.image) - 1
        border = np.minimum.reduce([self.y, self.x, side - self.y, side - self.x])
        return np.asarray(border > distance / SAMPLING)


def bulk(cell: Array, atoms: int, rng: np.random.Generator) -> Sample:
    """The crystal along [001], somewhere in the image (study 1).

    Parameters
    ----------
    cell : (75, h, w) as `cell_series` gives it.
    """
    start = rng.uniform(0.0, PERIOD, 2)
    first = start + MARGIN * SAMPLING
    canvas = crystal_image(
        cell[atoms - 1], BULK + 2 * MARGIN, SAMPLING, (float(first[0]), float(first[1]))
    )
    rows, cols = (np.arange(s, (BULK - 1) * SAMPLING, PERIOD) / SAMPLING for s in start)
    y, x = np.repeat(rows, len(cols)), np.tile(cols, len(rows))
    return Sample(canvas, y, x, np.full(len(y), atoms))


def sections(cell: Array) -> Array:
    """(75,) cross-section in Å² of columns of 1 to 75 atoms: what their share of the area sends
    to the detector.
    """
    return np.asarray(cell.mean(axis=(1, 2)) * PERIOD**2)


def linear(points: Array, atoms: NDArray[np.int64], section: Array, side: int) -> Sample:
    """Columns (N, 2) at (y, x) Å by linear imaging, each of the cross-section of its atoms."""
    field = Field((side, side), SAMPLING, MARGIN)
    optics = LinearOptics(PROBE)
    amount = section[atoms - 1] / (2 * math.pi * optics.width**2)
    scatterers = Scatterers(points[:, 0], points[:, 1], amount, np.zeros_like(atoms))
    canvas = form_image([optics], [scatterers], [field])[0].numpy().astype(np.float64)
    y, x = points.T / SAMPLING
    inside = (np.minimum(y, x) >= 0) & (np.maximum(y, x) <= side - 1)
    return Sample(np.maximum(canvas, 0.0), y[inside], x[inside], atoms[inside])


def dislocation_steps() -> tuple[Array, Array]:
    """Steps (y, x) in Å from column to column of [112]: half the Burgers vector, and across the
    glide plane.
    """
    along = 0.25 * math.sqrt(2.0) * LATTICE
    return np.array([0.0, along]), np.array([LATTICE / math.sqrt(3.0), 0.0])


def dislocation_core() -> Array:
    """(y, x) in Å: the middle of the image, between columns."""
    along, across = dislocation_steps()
    return 0.5 * SAMPLING * DISLOCATION + 0.25 * (along + across)


def dislocation(section: Array) -> Sample:
    """[112] with an edge dislocation of b = ½[110] along x, six atoms a column (study 2)."""
    field = Field((DISLOCATION, DISLOCATION), SAMPLING, MARGIN)
    crystal = builtin_crystal("Pt", (1, 1, 2)).rotated(90.0)
    columns = crystal.columns(field.lower - 4.0, field.upper + 4.0, 0.5 * field.size)
    core, burgers = dislocation_core(), 2.0 * dislocation_steps()[0]
    shift = EdgeDislocation((float(core[0]), float(core[1])), (0.0, float(burgers[1])))
    points = columns.points + shift(columns.y, columns.x)
    inside = np.all((points > field.lower) & (points < field.upper), axis=1)
    points = points[inside]
    return linear(points, np.full(len(points), DEEP), section, DISLOCATION)


def particle(section: Array) -> Sample:
    """A ball along [001] about an atom in the middle of the image (study 3)."""
    reach = int(RADIUS / PERIOD)
    atoms = np.mgrid[-reach : reach + 1, -reach : reach + 1, -reach : reach + 1].reshape(3, -1)
    inside = (atoms**2).sum(axis=0) <= (RADIUS / PERIOD) ** 2
    face_centred = atoms.sum(axis=0) % 2 == 0
    places, counts = np.unique(atoms[:2, inside & face_centred], axis=1, return_counts=True)
    return linear(PERIOD * places.T + 0.5 * SAMPLING * PARTICLE, counts, section, PARTICLE)


def uniform_crystal(section: Array, atoms: int) -> Sample:
    """[001] of so many atoms a column by linear imaging, to learn what a fit sees of them."""
    span = np.arange(-MARGIN * SAMPLING, (BULK + MARGIN) * SAMPLING, PERIOD)
    points = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2)
    return linear(points, np.full(len(points), atoms), section, BULK)


def recorded(sample: Sample, dose: float, rng: np.random.Generator, *, scanned: bool) -> Image:
    """Electrons counted in each pixel.

    Parameters
    ----------
    dose : electrons / Å² of the beam.
    scanned : move the lines and let a fast scan blur them, before electrons are counted.
    """
    canvas = sample.canvas
    if scanned:
        shifts = rng.normal(0.0, JITTER / SAMPLING, (1, len(canvas), 2))
        moved = shift_lines(torch.from_numpy(canvas)[None], torch.from_numpy(shifts))
        canvas = scan_blur(moved, torch.tensor([FAST_SCAN], dtype=moved.dtype))[0].numpy()
    expected = dose * SAMPLING**2 * canvas[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return rng.poisson(np.maximum(expected, 0.0)).astype(np.float32)
