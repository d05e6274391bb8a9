"""Recipe to scene: numbers drawn from ranges, the same for the same (recipe, seed, index)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import gcd

import numpy as np

from napari_atomseg.imaging import Probe, peak_width, wavelength
from napari_atomseg.simulation.recipe import (
    DistortionRecipe,
    ImagingRecipe,
    SimulationRecipe,
    SpecimenRecipe,
)
from napari_atomseg.simulation.render import MARGIN
from napari_atomseg.simulation.scene import Array, Background, Noise, Scene
from napari_atomseg.specimen import (
    ColumnLattice,
    Columns,
    Thickness,
    get_crystal,
    project,
    random_lattice,
    random_points,
    resolve_columns,
)
from napari_atomseg.specimen.crystals import SINGLE_LAYERS
from napari_atomseg.specimen.thickness import random_planes, random_waves

Rng = np.random.Generator
RESOLVED = 0.36
"""Ratio of probe sigma to spacing above which neighbours begin to merge for crystals."""


def draw_scene(
    recipe: SimulationRecipe, seed: int, index: int, shape: tuple[int, int] = (128, 128)
) -> Scene:
    """Draw scene number `index` of a recipe for an image of `shape` pixels."""
    rng = np.random.default_rng((seed, index))
    spacing_px = _log_uniform(rng, recipe.specimen.spacing_px)
    sharpness = rng.uniform(*recipe.specimen.sharpness)
    spacing = _log_uniform(rng, (1.2, 3.0))
    sampling = spacing / spacing_px
    probe = _draw_probe(recipe.imaging, rng, sharpness * spacing)
    sigma = peak_width(probe)
    size = np.array(shape) * sampling
    lower, upper = np.full(2, -MARGIN * sampling), size + MARGIN * sampling
    thickness = _draw_thickness(recipe.specimen, rng, size, spacing)
    columns = _draw_columns(recipe.specimen, rng, spacing, lower, upper)
    columns = columns.reweighted(thickness(columns.y, columns.x))
    columns = columns.select(columns.weight > 0)
    scale = float(columns.weight.max()) if len(columns) else 1.0
    return Scene(
        columns=columns,
        labels=resolve_columns(columns, sigma),
        sampling=sampling,
        probe=probe,
        thickness=thickness,
        background=_draw_background(recipe.imaging, rng, size, spacing),
        noise=_draw_noise(recipe.distortion, rng, sigma, sigma / sampling),
        scale=scale,
        seed=(seed, index),
    )


def _log_uniform(rng: Rng, bounds: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))


def _draw_probe(recipe: ImagingRecipe, rng: Rng, sigma: float) -> Probe:
    """A probe of random shape whose central peak has the given sigma (Å)."""
    energy = float(rng.choice(recipe.energies))
    lam = wavelength(energy)
    aberrated = rng.random() < 0.5
    probe = Probe(energy, 1e3 * lam, source_size=rng.uniform(*recipe.source))
    if aberrated:
        probe = replace(
            probe,
            defocus=rng.uniform(*recipe.defocus_phase) / (np.pi * lam),
            C3=rng.uniform(*recipe.spherical_phase) / (0.5 * np.pi * lam**3),
        )
    if rng.random() < 0.5:
        tail_width = rng.uniform(1.0, 4.0)
        probe = replace(probe, tail=rng.uniform(*recipe.tail), tail_width=tail_width)
    # The probe above has α/λ = 1 1/Å; lengths scale together.
    zoom = sigma / peak_width(probe)
    return replace(
        probe,
        semiangle=probe.semiangle / zoom,
        source_size=probe.source_size * zoom,
        defocus=probe.defocus * zoom**2,
        C3=probe.C3 * zoom**4,
        tail_width=probe.tail_width * zoom,
    )


@lru_cache(maxsize=1024)
def _projected(name: str, zone_axis: tuple[int, int, int]) -> ColumnLattice:
    return project(get_crystal(name), zone_axis)


@lru_cache(maxsize=8)
def _zone_axes(highest: int) -> tuple[tuple[int, int, int], ...]:
    triples = product(range(highest, -highest - 1, -1), repeat=3)
    return tuple((u, v, w) for u, v, w in triples if gcd(abs(u), abs(v), abs(w)) == 1)


def _draw_crystal(recipe: SpecimenRecipe, rng: Rng, spacing: float) -> ColumnLattice:
    """A crystal scaled so that its brightest columns' typical spacing is the one asked for."""
    axes = _zone_axes(recipe.highest_index)
    name = recipe.crystals[rng.integers(len(recipe.crystals))]
    axis = axes[rng.integers(len(axes))] if rng.random() < 0.5 else axes[rng.integers(3)]
    if name in SINGLE_LAYERS:
        axis = (0, 0, 1)
    lattice = _projected(name, axis)
    bright = lattice.weights > 0.2 * lattice.weights.max()
    area = abs(np.linalg.det(lattice.vectors)) / bright.sum()
    closest = ColumnLattice(lattice.vectors, lattice.positions[bright], lattice.weights[bright])
    typical = max(closest.nearest_spacing(), RESOLVED * np.sqrt(area))
    return lattice.scaled(spacing / typical)


def _draw_lattice(recipe: SpecimenRecipe, rng: Rng, spacing: float) -> ColumnLattice:
    if rng.random() < recipe.crystal_probability:
        lattice = _draw_crystal(recipe, rng, spacing)
    else:
        lattice = random_lattice(rng, spacing, recipe.contrast)
    weights = lattice.weights / lattice.weights.max()
    return replace(lattice, weights=weights).rotated(rng.uniform(0.0, 360.0))


def _draw_columns(
    recipe: SpecimenRecipe, rng: Rng, spacing: float, lower: Array, upper: Array
) -> Columns:
    if rng.random() < recipe.empty_probability:
        return Columns.empty()
    if rng.random() < recipe.disorder_probability:
        points = random_points(rng, lower, upper, spacing)
        weights = np.exp(rng.uniform(-np.log(recipe.contrast), 0.0, len(points)))
        columns = Columns(points[:, 0], points[:, 1], weights, np.zeros(len(points), dtype=int))
    else:
        columns = _draw_grains(recipe, rng, spacing, lower, upper)
    return _draw_defects(recipe, rng, columns, spacing)


def _draw_grains(
    recipe: SpecimenRecipe, rng: Rng, spacing: float, lower: Array, upper: Array
) -> Columns:
    lattice = _draw_lattice(recipe, rng, spacing)
    columns = lattice.fill(lower, upper, rng.uniform(lower, upper))
    if rng.random() >= recipe.second_grain_probability:
        return columns
    if rng.random() < 0.6:
        other = lattice.rotated(rng.uniform(-45.0, 45.0))
    else:
        other = _draw_lattice(recipe, rng, spacing * rng.uniform(0.8, 1.3))
    neighbour = other.fill(lower, upper, rng.uniform(lower, upper))
    turn = rng.uniform(0.0, 2 * np.pi)
    normal = np.array([np.sin(turn), np.cos(turn)])
    border = normal @ rng.uniform(0.7 * lower + 0.3 * upper, 0.3 * lower + 0.7 * upper)
    gap = 0.5 * spacing * rng.uniform(0.4, 1.0)
    near = normal[0] * columns.y + normal[1] * columns.x < border - gap
    far = normal[0] * neighbour.y + normal[1] * neighbour.x > border + gap
    return Columns.join([columns.select(near), neighbour.select(far)])


def _draw_defects(recipe: SpecimenRecipe, rng: Rng, columns: Columns, spacing: float) -> Columns:
    count = len(columns)
    weight = np.exp(rng.normal(0.0, rng.uniform(*recipe.unevenness), count))
    step = spacing * rng.uniform(*recipe.displacement) * (rng.random() < 0.5)
    columns = columns.shifted(rng.normal(0.0, step, count), rng.normal(0.0, step, count))
    if rng.random() < 0.4:
        amplitude = rng.uniform(*recipe.strain)
        waves = random_waves(rng, 6.0 * spacing, 1.0)
        phase = columns.y[:, None] * waves[:, 0] + columns.x[:, None] * waves[:, 1]
        bend = np.sin(2 * np.pi * phase + waves[:, 2]) / np.hypot(waves[:, 0], waves[:, 1])
        columns = columns.shifted(
            amplitude * (bend @ rng.normal(0.0, 0.1, 4)),
            amplitude * (bend @ rng.normal(0.0, 0.1, 4)),
        )
    if rng.random() < recipe.defect_probability:
        weight[rng.random(count) < rng.uniform(*recipe.vacancies)] = 0.0
        strange = rng.random(count) < rng.uniform(*recipe.dopants)
        weight[strange] *= _log_uniform(rng, (0.25, 4.0))
    return columns.reweighted(weight)


def _draw_thickness(recipe: SpecimenRecipe, rng: Rng, size: Array, spacing: float) -> Thickness:
    planes, waves = np.zeros((0, 4)), np.zeros((0, 4))
    if rng.random() < recipe.edge_probability:
        count = int(rng.choice([1, 2, 4, 5, 6], p=[0.5, 0.2, 0.1, 0.1, 0.1]))
        width = spacing * _log_uniform(rng, recipe.wedge_width)
        centre = size * rng.uniform(0.3, 0.7, 2)
        planes = random_planes(rng, centre, float(size.max()), count, width)
    if rng.random() < 0.5:
        waves = random_waves(rng, 5.0 * spacing, rng.uniform(*recipe.undulation))
    return Thickness(planes, waves)


def _draw_background(recipe: ImagingRecipe, rng: Rng, size: Array, spacing: float) -> Background:
    def sometimes(bounds: tuple[float, float], probability: float = 0.5) -> float:
        value = float(rng.uniform(*bounds))
        return value if rng.random() < probability else 0.0

    slow = sometimes(recipe.slow)
    blobs = np.zeros((0, 4))
    if slow and rng.random() < 0.5:
        count = int(rng.integers(1, 6))
        blobs = np.column_stack(
            [
                rng.uniform(-0.1, 1.1, (count, 2)) * size,
                slow * rng.uniform(-0.5, 1.5, count),
                spacing * np.exp(rng.uniform(np.log(1.5), np.log(8.0), count)),
            ]
        )
    waves = random_waves(rng, 4.0 * spacing, slow) if slow else np.zeros((0, 4))
    return Background(
        constant=sometimes(recipe.constant, 0.8),
        ramp=(sometimes(recipe.ramp), sometimes(recipe.ramp)),
        matrix=sometimes(recipe.matrix),
        speckle=sometimes(recipe.speckle, recipe.speckle_probability),
        waves=waves,
        blobs=blobs,
    )


def _draw_noise(recipe: DistortionRecipe, rng: Rng, sigma: float, sigma_px: float) -> Noise:
    def sometimes(bounds: tuple[float, float], probability: float) -> float:
        value = float(rng.uniform(*bounds))
        return value if rng.random() < probability else 0.0

    electrons = _log_uniform(rng, recipe.electrons_per_column)
    noise_free = rng.random() < recipe.noise_free_probability
    hum_frequency = float(rng.uniform(0.02, 0.5))
    return Noise(
        peak_counts=np.inf if noise_free else electrons / (2 * np.pi * sigma_px**2),
        jitter=sigma * sometimes(recipe.jitter, 0.7),
        jitter_correlation=rng.uniform(*recipe.jitter_correlation),
        hum=(sigma * sometimes(recipe.hum, 0.3), hum_frequency),
        decay=sometimes(recipe.decay, recipe.decay_probability),
        line_offset=sometimes(recipe.line_noise, recipe.line_noise_probability),
        line_gain=sometimes(recipe.line_noise, recipe.line_noise_probability),
        readout=sometimes(recipe.readout, recipe.readout_probability),
        hot_fraction=sometimes(recipe.hot_fraction, recipe.hot_probability),
        hot_height=float(rng.uniform(1.0, 5.0)),
    )
