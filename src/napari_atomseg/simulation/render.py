"""Scenes to images and ground truth, a batch at a time, on any device.

A render is deterministic in the scene: random numbers come from the scene's own seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from napari_atomseg import distortion, imaging
from napari_atomseg.distortion.detector import normal
from napari_atomseg.simulation.scene import Scene
from napari_atomseg.specimen.neighbours import nearest_distances

MARGIN = 24
"""Pixels rendered beyond each border, so that neither the periodic image nor scan jitter shows."""
GROUP = 4
"""Scenes rendered in one go."""
SHARPER = 0.5
"""Width of the super-resolved column relative to the probe's."""
MAP_WIDTH = 0.45
"""Width of the Gaussian map's spots relative to the probe's; never below one pixel."""


@dataclass(frozen=True)
class Batch:
    """Images and targets, each (B, H, W) float32, in units of the brightest column's peak."""

    image: Tensor
    ideal: Tensor
    targets: dict[str, Tensor]
    sigma: Tensor
    radius: Tensor


def render(scenes: Sequence[Scene], shape: tuple[int, int], device: str = "cpu") -> Batch:
    """Render scenes of one shape.

    Parameters
    ----------
    scenes : B scenes.
    shape : (H, W) in pixels.

    Returns
    -------
    Batch with the distorted image, the ideal one and the targets `no_noise`,
    `no_background_no_noise`, `no_noise_no_background_superresolution`, `gaussian_mask` and
    `circular_mask`; `sigma` and `radius` (B,) in pixels.
    """
    # Scenes of alike size go together: each group is padded to its own largest number of columns.
    order = np.argsort([len(scene.columns) for scene in scenes], kind="stable")
    groups = [order[i : i + GROUP] for i in range(0, len(order), GROUP)]
    parts = [_render_group([scenes[i] for i in group], shape, device) for group in groups]
    back = torch.from_numpy(np.argsort(order)).to(device)
    return Batch(
        torch.cat([part.image for part in parts])[back],
        torch.cat([part.ideal for part in parts])[back],
        {
            name: torch.cat([part.targets[name] for part in parts])[back]
            for name in parts[0].targets
        },
        torch.cat([part.sigma for part in parts])[back],
        torch.cat([part.radius for part in parts])[back],
    )


def _render_group(scenes: Sequence[Scene], shape: tuple[int, int], device: str) -> Batch:
    canvas = (shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN)
    sampling = _vector([s.sampling for s in scenes], device)
    sigma = _vector([imaging.peak_width(s.probe) / s.sampling for s in scenes], device)
    radius = _vector([mask_radius(s) for s in scenes], device)
    generators = [_generator(s.seed) for s in scenes]

    y, x, weight = _columns(scenes, "columns", device)
    transfer = imaging.otf([s.probe for s in scenes], [s.sampling for s in scenes], canvas, device)
    clean = imaging.linear_image(y, x, weight, transfer, canvas)
    sharp = imaging.gaussians(
        y,
        x,
        weight / (2 * torch.pi * (SHARPER * sigma[:, None]) ** 2),
        (SHARPER * sigma[:, None]).expand_as(y),
        canvas,
    )
    label_y, label_x, label_weight = _columns(scenes, "labels", device)
    visible = (label_weight > 0).float()
    width = (MAP_WIDTH * sigma).clamp_min(1.0)[:, None].expand_as(label_y)
    gaussian_mask = imaging.gaussians(label_y, label_x, visible, width, canvas).clamp_max(1.0)
    circular_mask = imaging.circular_masks(label_y, label_x, visible, radius, canvas)

    clean = clean.clamp_min(0.0)
    ideal = clean + _background(scenes, transfer, sampling, canvas, generators)
    image = _distort(scenes, ideal, sampling, generators)
    targets = {
        "no_noise": ideal,
        "no_background_no_noise": clean,
        "no_noise_no_background_superresolution": sharp,
        "gaussian_mask": gaussian_mask,
        "circular_mask": circular_mask,
    }
    inner = (slice(None), slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    return Batch(
        image[inner].contiguous(),
        ideal[inner].contiguous(),
        {name: target[inner].contiguous() for name, target in targets.items()},
        sigma,
        radius,
    )


def mask_radius(scene: Scene) -> float:
    """Radius in pixels of the circular mask: half the probe's FWHM, discs never touching."""
    radius = 0.5 * imaging.probe.FWHM_PER_SIGMA * imaging.peak_width(scene.probe)
    if len(scene.labels) > 1:
        points = np.stack([scene.labels.y, scene.labels.x], axis=1)
        radius = min(radius, 0.45 * float(nearest_distances(points).min()))
    return max(float(radius) / scene.sampling, 1.0)


def _vector(values: Sequence[float], device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)


def _generator(seed: tuple[int, int]) -> Generator:
    state = np.random.SeedSequence((*seed, 1)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def _columns(scenes: Sequence[Scene], which: str, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Positions on the canvas in pixels and intensities, padded to one length with zero weight."""
    sets = [getattr(scene, which) for scene in scenes]
    packed = np.zeros((3, len(scenes), max(1, *(len(c) for c in sets))))
    for i, (columns, scene) in enumerate(zip(sets, scenes, strict=True)):
        sigma = imaging.peak_width(scene.probe) / scene.sampling
        packed[0, i, : len(columns)] = columns.y / scene.sampling + MARGIN
        packed[1, i, : len(columns)] = columns.x / scene.sampling + MARGIN
        packed[2, i, : len(columns)] = columns.weight / scene.scale * 2 * np.pi * sigma**2
    y, x, weight = torch.from_numpy(packed.astype(np.float32)).to(device)
    return y, x, weight


def _background(
    scenes: Sequence[Scene],
    transfer: Tensor,
    sampling: Tensor,
    canvas: tuple[int, int],
    generators: Sequence[Generator],
) -> Tensor:
    device = str(sampling.device)
    matrix, waves = [], _pad([s.background.waves for s in scenes], device)
    for scene in scenes:
        rows, cols = (np.arange(-MARGIN, n - MARGIN, dtype=np.float64) for n in canvas)
        thickness = scene.thickness(rows[:, None] * scene.sampling, cols[None] * scene.sampling)
        ramp = (
            scene.background.ramp[0] * np.linspace(0, 1, canvas[0])[:, None]
            + scene.background.ramp[1] * np.linspace(0, 1, canvas[1])[None]
        )
        matrix.append(scene.background.matrix * thickness + ramp + scene.background.constant)
    slow = torch.from_numpy(np.stack(matrix).astype(np.float32)).to(device)
    slow = torch.fft.irfft2(torch.fft.rfft2(slow) * transfer, s=canvas)
    slow = slow + imaging.sum_of_waves(waves, sampling, canvas, origin=-MARGIN)
    blobs = _pad([s.background.blobs for s in scenes], device)
    y, x, height, width = blobs.unbind(-1)
    pixel = sampling[:, None]
    width = torch.where(height == 0, torch.ones_like(width), width / pixel)
    slow = slow + imaging.gaussians(y / pixel + MARGIN, x / pixel + MARGIN, height, width, canvas)
    film = normal(canvas, generators, slow)
    film = torch.fft.irfft2(torch.fft.rfft2(film) * transfer, s=canvas)
    film = film / film.std(dim=(1, 2), keepdim=True)
    speckle = _vector([s.background.speckle for s in scenes], device)[:, None, None]
    background: Tensor = slow + speckle * (film + 2.0)
    return background.clamp_min(0.0)


def _pad(rows: Sequence[np.ndarray], device: str) -> Tensor:
    packed = np.zeros((len(rows), max(1, *(len(r) for r in rows)), 4), dtype=np.float32)
    for i, row in enumerate(rows):
        packed[i, : len(row)] = row
    return torch.from_numpy(packed).to(device)


def _distort(
    scenes: Sequence[Scene], ideal: Tensor, sampling: Tensor, generators: Sequence[Generator]
) -> Tensor:
    def each(name: str) -> Tensor:
        return _vector([getattr(s.noise, name) for s in scenes], str(ideal.device))

    hum = torch.tensor([s.noise.hum for s in scenes], dtype=torch.float32, device=ideal.device)
    hum = hum / torch.stack([sampling, torch.ones_like(sampling)], dim=1)
    shifts = distortion.line_shifts(
        ideal.shape[1], each("jitter") / sampling, each("jitter_correlation"), hum, generators
    )
    image = distortion.shift_lines(ideal, shifts)
    image = distortion.shot_noise(image, each("peak_counts"), generators)
    image = distortion.scan_blur(image, each("decay"))
    image = distortion.line_noise(image, each("line_offset"), each("line_gain"), generators)
    image = distortion.readout_noise(image, each("readout"), generators)
    return distortion.hot_pixels(image, each("hot_fraction"), each("hot_height"), generators)
