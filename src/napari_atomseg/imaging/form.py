"""Scatterers to clean images, a batch at a time, by whichever optics each sample has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.imaging.hrtem import HRTEMOptics, phase_contrast
from napari_atomseg.imaging.optics import IncoherentOptics, Optics
from napari_atomseg.imaging.scattering import Band, structure_factors
from napari_atomseg.progress import checkpoint
from napari_atomseg.specimen.columns import Scatterers
from napari_atomseg.specimen.specimen import Field

Sample = tuple[Optics, Scatterers, Field]
FINEST = 4
"""Most that pixels are refined; still finer structure is cut off in frequency."""


@dataclass(frozen=True)
class _Layer:
    """Points of one shape in one sample: what the sum of their waves is multiplied with."""

    sample: int
    points: Array
    number: int


def form_image(
    optics: Sequence[Optics],
    scatterers: Sequence[Scatterers],
    fields: Sequence[Field],
    device: str = "cpu",
) -> Tensor:
    """The undistorted image of each sample.

    Incoherent images are the structure factor of the points times the transfer of one point, so
    that positions are exact below the pixel. Samples are computed one by one on a CPU, which makes
    a sample the same in any batch, and together on other devices.

    Parameters
    ----------
    optics, scatterers, fields : B of each; all fields have the same canvas.
    device : where to compute.

    Returns
    -------
    (B, H, W) float32 on the canvas, periodic in it. Incoherent: a lone point of amount and
    amplitude 1 has a peak of about 1 and the sum 2π (width / sampling)². Coherent: the intensity
    relative to that of the incident beam.

    Raises
    ------
    ValueError
        If the canvases differ.
    """
    canvases = {field.canvas for field in fields}
    if len(canvases) != 1:
        raise ValueError(f"fields must all have the same canvas, not {sorted(canvases)}")
    samples = list(zip(optics, scatterers, fields, strict=True))
    groups = _groups(samples, device)
    images = []
    for group in groups:
        checkpoint()
        form = _coherent if samples[group[0]][0].coherent else _incoherent
        images.append(form([samples[i] for i in group], device))
    if len(groups) == 1:
        return images[0].contiguous()
    image = torch.empty((len(samples), *canvases.pop()), device=device)
    for group, formed in zip(groups, images, strict=True):
        image[group] = formed
    return image


def _groups(samples: Sequence[Sample], device: str) -> list[list[int]]:
    """Indices of the samples to compute together: on a CPU each alone."""
    if torch.device(device).type == "cpu":
        return [[i] for i in range(len(samples))]
    kinds = [(o.coherent, 1 if o.coherent else _refinement(o, f)) for o, _, f in samples]
    return [[i for i, kind in enumerate(kinds) if kind == one] for one in sorted(set(kinds))]


def _refinement(optics: Optics, field: Field) -> int:
    """How many times finer pixels must be to hold every frequency.

    A scanned image samples the signal at points, so what its pixels are too coarse for is folded
    back and not filtered out.
    """
    cutoff = cast("IncoherentOptics", optics).cutoff
    return min(FINEST, math.ceil(2.0 * cutoff * field.sampling))


def _coherent(samples: Sequence[Sample], device: str) -> Tensor:
    images = [phase_contrast(cast("HRTEMOptics", o), p, f, device) for o, p, f in samples]
    return torch.stack(images)


def _incoherent(samples: Sequence[Sample], device: str) -> Tensor:
    finer = _refinement(samples[0][0], samples[0][2])
    parts = [(cast("IncoherentOptics", o), p, _refined(f, finer)) for o, p, f in samples]
    bands = [Band.below(o.cutoff, f.canvas, f.sampling) for o, _, f in parts]
    band = Band(bands[0].shape, max(b.ky for b in bands), max(b.kx for b in bands))
    axes = [band.frequencies(*(n * f.sampling for n in f.canvas)) for _, _, f in parts]
    layers = [layer for i, part in enumerate(parts) for layer in _layers(i, *part)]
    spectrum = torch.zeros(
        (len(parts), 2 * band.ky + 1, band.kx + 1), dtype=torch.complex64, device=device
    )
    if layers:
        transfer = [parts[c.sample][0].transfer(c.number, *axes[c.sample]) for c in layers]
        kind = np.complex64 if any(map(np.iscomplexobj, transfer)) else np.float32
        lens = torch.from_numpy(np.stack(transfer).astype(kind, copy=False)).to(device)
        waves = structure_factors([layer.points for layer in layers], band, device)
        sample = torch.tensor([layer.sample for layer in layers], device=device)
        spectrum.index_add_(0, sample, waves * lens)
    return band.image(spectrum)[:, ::finer, ::finer]


def _refined(field: Field, finer: int) -> Field:
    """The same field with pixels `finer` times as fine."""
    height, width = field.shape
    return Field((height * finer, width * finer), field.sampling / finer, field.margin * finer)


def _layers(
    sample: int, optics: IncoherentOptics, points: Scatterers, field: Field
) -> list[_Layer]:
    """The points sorted by shape: rows y, x in pixels of the canvas and integrated intensity."""
    amount = points.amount * optics.amplitude(points.number)
    packed = np.stack([points.y, points.x, amount])
    packed[:2] = packed[:2] / field.sampling + field.margin
    packed[2] *= 2.0 * np.pi * (optics.width / field.sampling) ** 2
    shapes = optics.shapes(points.number)
    return [_Layer(sample, packed[:, shapes == n], int(n)) for n in np.unique(shapes)]
