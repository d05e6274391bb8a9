"""Multilayers of PbTiO3 and SrTiO3 seen along [010], with the polar displacements of domains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_atomseg._shared.types import Array
from napari_atomseg.specimen.columns import Columns, Scatterers
from napari_atomseg.specimen.crystals.builtin import (
    LEAD_TITANATE_CELL,
    LEAD_TITANATE_HEIGHTS,
    STRONTIUM_TITANATE_CELL,
)
from napari_atomseg.specimen.crystals.projection import rank_species
from napari_atomseg.specimen.crystals.zone import in_plane_turn
from napari_atomseg.specimen.defects import within
from napari_atomseg.specimen.structure import GAMMA

Domains = Literal["uniform", "stripes", "vortices"]

NUMBERS = (8, 22, 38, 82)
"""O, Ti, Sr, Pb."""
CELL_HEIGHTS = np.array([STRONTIUM_TITANATE_CELL, LEAD_TITANATE_CELL[1]])
"""Å along the growth direction, of SrTiO3 and of PbTiO3 grown on it."""
POLAR_SHIFTS = LEAD_TITANATE_CELL[1] * (np.array(LEAD_TITANATE_HEIGHTS) - [0.5, 0.0, 0.5])
"""Å by which Ti, apical and planar O of bulk PbTiO3 stand off the centres of the Pb cage."""


@dataclass(frozen=True)
class Multilayer:
    """Alternating layers of PbTiO3 and SrTiO3.

    The polar displacement is 1 where it is that of bulk PbTiO3. It lies along the growth direction,
    up or down ("uniform"), in 180° domains ("stripes"), or turns around flux-closing vortices
    ("vortices"); it dies away into SrTiO3.

    Attributes
    ----------
    cells : unit cells of PbTiO3 and of SrTiO3 in each of their layers.
    domains : pattern of the displacement.
    amplitude : amplitude of the displacement; its sign is its direction.
    period : period of stripes and vortices in Å.
    wall : half the width of the stripes' walls in Å.
    decay : Å over which the displacement falls to 1/e in SrTiO3.
    mixing : Å over which Pb and Sr mix at the interfaces.
    """

    cells: tuple[int, int]
    domains: Domains = "uniform"
    amplitude: float = 1.0
    period: float = 80.0
    wall: float = 4.0
    decay: float = 4.0
    mixing: float = 0.0

    def displacement(self, y: Array, x: Array) -> Array:
        """(N, 2) polar displacement (y, x) at heights `y` and places `x` in Å; y = 0 is the lower
        face of a PbTiO3 layer.
        """
        depth, thickness = self._depth(y), self.cells[0] * CELL_HEIGHTS[1]
        strength = self.amplitude * np.exp(np.minimum(depth, 0.0) / self.decay)
        phase = 2 * np.pi * x / self.period
        if self.domains == "uniform":
            shape = np.stack([np.ones_like(x), np.zeros_like(x)], axis=1)
        elif self.domains == "stripes":
            steep = self.period / (2 * np.pi * self.wall)
            shape = np.stack([np.tanh(steep * np.sin(phase)), np.zeros_like(x)], axis=1)
        else:
            height = np.clip(y % self._stack / thickness, 0.0, 1.0)
            shape = np.stack(
                [np.sin(phase) * np.sin(np.pi * height), np.cos(phase) * np.cos(np.pi * height)],
                axis=1,
            )
        return np.asarray(strength[:, None] * shape)

    def lead(self, y: Array) -> Array:
        """(N,) share of Pb on the A sites at heights `y` in Å."""
        depth = self._depth(y)
        if self.mixing == 0:
            return np.asarray((depth > 0).astype(np.float64))
        return np.asarray(0.5 * (1.0 + np.tanh(depth / self.mixing)))

    @property
    def _stack(self) -> float:
        return float(self.cells[0] * CELL_HEIGHTS[1] + self.cells[1] * CELL_HEIGHTS[0])

    def _depth(self, y: Array) -> Array:
        """Distance from the nearest interface, positive in PbTiO3."""
        thickness = self.cells[0] * CELL_HEIGHTS[1]
        height = y % self._stack
        in_lead = np.minimum(height, thickness - height)
        in_strontium = np.minimum(height - thickness, self._stack - height)
        return np.asarray(np.where(height < thickness, in_lead, -in_strontium))

    def cell_floors(self, low: float, high: float) -> tuple[Array, Array]:
        """Heights (R,) of the lower faces of the cells that meet low ≤ y ≤ high, and the cells'
        heights, in Å.
        """
        heights = np.repeat(CELL_HEIGHTS[::-1], self.cells)
        first, last = np.floor(low / self._stack), np.ceil(high / self._stack)
        stacks = np.arange(first, last) * self._stack
        floors = (stacks[:, None] + np.cumsum(heights) - heights).reshape(-1)
        heights = np.tile(heights, len(stacks))
        keep = (floors <= high) & (floors + heights >= low)
        return floors[keep], heights[keep]


def build_multilayer(
    layers: Multilayer,
    lower: Array,
    upper: Array,
    rng: np.random.Generator,
    *,
    origin: Array,
    rotation: float = 0.0,
    thickness: float = 300.0,
    displacement: float = 0.0,
) -> tuple[Scatterers, Columns, tuple[str, ...]]:
    """Columns of a multilayer in a box of the image.

    Parameters
    ----------
    lower, upper : corners (y, x) of the box in Å.
    rng : random numbers of the mixed columns at the interfaces and of the displacements.
    origin : (y, x) in Å of a point on the lower face of a PbTiO3 layer.
    rotation : rotation of the growth direction from the direction of y, degrees,
        counter-clockwise as the image is shown.
    thickness : Å along the beam.
    displacement : deviation of each column's shift along y and along x, Å.

    Returns
    -------
    Scatterers, a point an element and column, Ti and O of a column at their own places; the
    columns at the means weighted by Z^`GAMMA`; and the names of the columns' species.
    """
    turn = in_plane_turn(rotation)
    floor, height, x = _cells_in_box(layers, (np.array([lower, upper]) - origin), turn)
    number = max(1, round(thickness / STRONTIUM_TITANATE_CELL))
    lead = rng.binomial(number, layers.lead(floor + 1e-6)).astype(np.float64)
    full = np.full(len(x), float(number))
    cage, titanium, oxygen, apical, planar = (
        sites @ turn + origin for sites in _sites(layers, floor, height, x)
    )
    if displacement > 0:
        shift = rng.normal(0.0, displacement, (4, len(x), 2))
        cage, apical, planar = cage + shift[0], apical + shift[1], planar + shift[2]
        titanium, oxygen = titanium + shift[3], oxygen + shift[3]
    scatterers = Scatterers.join(
        [
            Scatterers(points[:, 0], points[:, 1], amount, np.full(len(amount), z, dtype=np.int64))
            for points, amount, z in (
                (cage, lead, 82),
                (cage, number - lead, 38),
                (titanium, full, 22),
                (oxygen, full, 8),
                (apical, full, 8),
                (planar, full, 8),
            )
        ]
    )
    bright, faint = 22.0**GAMMA, 8.0**GAMMA
    mixed = (bright * titanium + faint * oxygen) / (bright + faint)
    centres = np.concatenate([cage, mixed, apical, planar])
    by_site = np.zeros((4, len(x), len(NUMBERS)))
    by_site[0, :, 2], by_site[0, :, 3] = number - lead, lead
    by_site[1, :, 1] = full
    by_site[1:, :, 0] = full
    counts = by_site.reshape(-1, len(NUMBERS))
    # A column in which Pb and Sr mix is labelled as the one it holds more of.
    major = counts.copy()
    rich_in_lead = counts[:, 3] >= counts[:, 2]
    major[rich_in_lead, 2] = 0.0
    major[~rich_in_lead, 3] = 0.0
    species, names = rank_species(major, NUMBERS)
    weight = counts @ np.array(NUMBERS, dtype=np.float64) ** GAMMA
    columns = Columns(centres[:, 0], centres[:, 1], weight, species, counts, NUMBERS)
    scatterers = within(scatterers.select(scatterers.amount > 0), lower, upper)
    return scatterers, within(columns, lower, upper), names


def _cells_in_box(layers: Multilayer, box: Array, turn: Array) -> tuple[Array, Array, Array]:
    """Lower faces, heights and first A sites of the unit cells that meet a box, (2, 2) corners from
    the origin, in the frame of the layers.
    """
    a = STRONTIUM_TITANATE_CELL
    corners = np.array([[y, x] for y in box[:, 0] for x in box[:, 1]]) @ turn.T
    low, high = corners.min(axis=0) - a, corners.max(axis=0) + a
    floors, heights = layers.cell_floors(low[0], high[0])
    places = a * np.arange(np.floor(low[1] / a), np.ceil(high[1] / a))
    floor, x = (g.reshape(-1) for g in np.meshgrid(floors, places, indexing="ij"))
    return floor, np.repeat(heights, len(places)), x


def _sites(layers: Multilayer, floor: Array, height: Array, x: Array) -> tuple[Array, ...]:
    """(N, 2) places of A, Ti, the O behind it, apical O and planar O of each cell."""
    half, middle = 0.5 * STRONTIUM_TITANATE_CELL, 0.5 * height

    def site(y: Array, x: Array, shift: float) -> Array:
        return np.stack([y, x], axis=1) + shift * layers.displacement(y, x)

    titanium, apical, planar = POLAR_SHIFTS
    return (
        np.stack([floor, x], axis=1),
        site(floor + middle, x + half, titanium),
        site(floor + middle, x + half, planar),
        site(floor, x + half, apical),
        site(floor + middle, x, planar),
    )
