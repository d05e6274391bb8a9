"""Ground truth: the targets of the TEM ImageNet library (Lin et al. 2021, Table 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from napari_atomseg import imaging
from napari_atomseg.imaging import FWHM_PER_SIGMA, LinearOptics, Optics
from napari_atomseg.simulation.scene import Scene
from napari_atomseg.specimen import Columns

SHARPER = 0.5
"""Width of the super-resolved column relative to the probe's."""
SPOT_WIDTH = 0.45
"""Width of the Gaussian mask's spots relative to the probe's; never below one pixel."""
SMALL = 0.7
"""Radius of the small circular mask relative to that of the circular mask."""


def mask_radius(scene: Scene) -> float:
    """Radius in pixels of the circular mask; never below one."""
    if scene.targets.radius == "aperture":
        radius = aperture_radius(scene.optics)
    else:
        radius = min(0.5 * FWHM_PER_SIGMA * scene.optics.width, 0.45 * scene.closest)
    return max(float(radius) / scene.sampling, 1.0)


def aperture_radius(optics: Optics) -> float:
    """√((λ / 4α)² + (d / 2)²) of a probe in Å; otherwise half the FWHM of the peak.

    It is half the width of the probe, and the radius that the published TEM ImageNet v1.3 holds;
    Lin et al. 2021, Table 2, print twice the first term.
    """
    if not isinstance(optics, LinearOptics):
        return 0.5 * float(FWHM_PER_SIGMA) * optics.width
    return math.hypot(0.25 / optics.probe.cutoff, 0.5 * optics.probe.source_size)


def label_targets(scenes: Sequence[Scene], device: str) -> dict[str, Tensor]:
    """The targets that follow from the columns alone, each (B, H, W) float32 of the canvas."""
    wanted = scenes[0].targets.names
    radius = _vector([mask_radius(scene) for scene in scenes], device)
    y, x, weight = placed_columns(scenes, device)
    visible = (weight > 0).float()
    canvas = scenes[0].view.canvas

    def discs(scale: float) -> Tensor:
        return imaging.circular_masks(y, x, visible, scale * radius, canvas)

    targets: dict[str, Tensor] = {}
    if "circular_mask" in wanted:
        targets["circular_mask"] = discs(1.0)
    if "small_circular_mask" in wanted:
        targets["small_circular_mask"] = discs(SMALL)
    if "gaussian_mask" in wanted:
        width = _vector([_spot_width(scene) for scene in scenes], device)[:, None].expand_as(y)
        spots = imaging.gaussians(y, x, visible, width, canvas)
        targets["gaussian_mask"] = spots.clamp_max(1.0)
    if "no_noise_no_background_superresolution" in wanted:
        width = _vector([SHARPER * s.sigma for s in scenes], device)[:, None].expand_as(y)
        height = weight / SHARPER**2
        sharp = imaging.gaussians(y, x, height, width, canvas)
        targets["no_noise_no_background_superresolution"] = sharp
    return targets


def element_maps(scene: Scene) -> tuple[dict[str, Columns], Tensor]:
    """Element-discerning maps: solid discs about the columns of each species, a channel each.

    Returns
    -------
    The columns of each species, brightest species first, and the (E, H, W) float32 maps.
    """
    y, x, seen = scene.placed()
    labels, y, x = scene.labels.select(seen), y[seen], x[seen]
    found = np.unique(labels.species)
    order = sorted(found, key=lambda s: -float(labels.weight[labels.species == s].mean()))
    radius = torch.tensor([mask_radius(scene)])
    groups, maps = {}, [torch.zeros((0, *scene.view.shape))]
    for species in order:
        of_kind = labels.species == species
        rows, cols = (torch.from_numpy(v[of_kind])[None].float() for v in (y, x))
        visible = torch.ones_like(rows)
        maps.append(imaging.circular_masks(rows, cols, visible, radius, scene.view.shape))
        groups[species_name(scene, int(species))] = labels.select(of_kind)
    return groups, torch.cat(maps)


def species_name(scene: Scene, species: int) -> str:
    """Name of a species of columns, as "SrO"."""
    names = scene.specimen.species
    return names[species] if 0 <= species < len(names) else f"species {species + 1}"


def placed_columns(scenes: Sequence[Scene], device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Labels on the canvas: rows, columns and peaks, (B, N), padded to one length with zeros."""
    packed = np.zeros((3, len(scenes), max(1, *(len(s.labels) for s in scenes))))
    for i, scene in enumerate(scenes):
        labels, margin = scene.labels, scene.view.margin
        packed[0, i, : len(labels)] = labels.y / scene.sampling + margin
        packed[1, i, : len(labels)] = labels.x / scene.sampling + margin
        packed[2, i, : len(labels)] = labels.weight / scene.unit
    y, x, weight = torch.from_numpy(packed.astype(np.float32)).to(device)
    return y, x, weight


def upsampled(image: Tensor, margin: int) -> Tensor:
    """(B, 2H, 2W) of (B, H, W) with `margin` pixels cut off: four pixels in the place of each.

    Exact for a periodic image without frequencies beyond Nyquist's, as a rendered canvas is.
    """
    height, width = image.shape[1:]
    rows = torch.fft.fftfreq(height, device=image.device)
    cols = torch.fft.rfftfreq(width, device=image.device)
    # The centres of the finer pixels lie a quarter of a pixel before and behind the coarse one's.
    shift = torch.exp(-0.5j * math.pi * rows)[:, None] * (4.0 * torch.exp(-0.5j * math.pi * cols))
    half = (height + 1) // 2
    inner = slice(2 * margin, -2 * margin or None)
    fine = image.new_empty(len(image), 2 * height - 4 * margin, 2 * width - 4 * margin)
    for one, finer in zip(image, fine, strict=True):
        spectrum = torch.fft.rfft2(one).mul_(shift)
        tall = spectrum.new_zeros(2 * height, width // 2 + 1)
        tall[:half] = spectrum[:half]
        tall[half - height :] = spectrum[half:]
        # One axis after the other: no columns of zeros are transformed, no rows that are cut off.
        lines = torch.fft.ifft(tall, dim=0)[inner]
        finer[:] = torch.fft.irfft(lines, n=2 * width)[:, inner]
    return fine


def _spot_width(scene: Scene) -> float:
    if scene.targets.spot_fwhm is not None:
        return scene.targets.spot_fwhm / float(FWHM_PER_SIGMA) / scene.sampling
    return max(SPOT_WIDTH * scene.sigma, 1.0)


def _vector(values: Sequence[float], device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)
