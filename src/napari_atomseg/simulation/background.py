"""Backgrounds: films, contamination, gradients."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Generator, Tensor

from napari_atomseg import imaging
from napari_atomseg._shared.exponentials import fading
from napari_atomseg._shared.types import Array
from napari_atomseg.ranges import Part, PositiveRange, Probability, Range, log_uniform, sometimes
from napari_atomseg.specimen import Field, Specimen
from napari_atomseg.specimen.matter.textures import TextureRecipe
from napari_atomseg.specimen.outline import random_waves


def _no_waves() -> Array:
    return np.zeros((0, 4))


@dataclass(frozen=True)
class Background:
    """The background of one image, in units of the brightest column's peak.

    `matrix` follows the thickness (the signal between the columns of a thick crystal); `speckle`
    is the contrast of an amorphous film at the resolution of the probe; `waves` and `blobs`
    (rows y, x, height, sigma in Å) are slow, `ramp` is (dy, dx) across the field; `texture`
    (H, W) is a picture over the canvas.
    """

    constant: float = 0.0
    ramp: tuple[float, float] = (0.0, 0.0)
    matrix: float = 0.0
    speckle: float = 0.0
    waves: Array = field(default_factory=_no_waves)
    blobs: Array = field(default_factory=_no_waves)
    texture: Array | None = None


class BackgroundRecipe(Part):
    """Ranges of the background, in units of the brightest column's peak.

    Constant, ramp and nonlinear patterns as Lin et al. 2021, Table 1; the signal between the
    columns and the speckle of a film besides. The nonlinear patterns are long waves and, half of
    the time, one to five patches, with lengths in units of the specimen's spacing. A `texture`
    looks as if there were columns, or hides those that there are.
    """

    constant: Range = (0.0, 1.5)
    constant_probability: float = 0.8
    ramp: Range = (-0.6, 0.6)
    ramp_probability: float = 0.5
    matrix: Range = (0.0, 1.0)
    matrix_probability: float = 0.5
    slow: Range = (0.0, 0.6)
    slow_probability: float = 0.5
    slow_length: float = 4.0
    patch_size: PositiveRange = (1.5, 8.0)
    speckle: Range = (0.0, 0.16)
    speckle_probability: float = 0.35
    texture: TextureRecipe | None = None
    texture_probability: Probability = 0.0

    def draw(self, rng: np.random.Generator, view: Field, specimen: Specimen) -> Background:
        """The background of one image."""
        slow = sometimes(rng, self.slow, self.slow_probability)
        blobs = _no_waves()
        if slow and rng.random() < 0.5:
            count = int(rng.integers(1, 6))
            blobs = np.column_stack(
                [
                    rng.uniform(-0.1, 1.1, (count, 2)) * view.size,
                    slow * rng.uniform(-0.5, 1.5, count),
                    [specimen.spacing * log_uniform(rng, self.patch_size) for _ in range(count)],
                ]
            )
        length = self.slow_length * specimen.spacing
        drawn = Background(
            constant=sometimes(rng, self.constant, self.constant_probability),
            ramp=(
                sometimes(rng, self.ramp, self.ramp_probability),
                sometimes(rng, self.ramp, self.ramp_probability),
            ),
            matrix=sometimes(rng, self.matrix, self.matrix_probability),
            speckle=sometimes(rng, self.speckle, self.speckle_probability),
            waves=random_waves(rng, length, slow) if slow else _no_waves(),
            blobs=blobs,
        )
        if self.texture is None or rng.random() >= self.texture_probability:
            return drawn
        return replace(drawn, texture=self.texture.draw(rng, view.canvas))


NO_BACKGROUND = BackgroundRecipe(
    constant_probability=0.0,
    ramp_probability=0.0,
    matrix_probability=0.0,
    slow_probability=0.0,
    speckle_probability=0.0,
)


def background_image(
    background: Background,
    specimen: Specimen,
    view: Field,
    width: float,
    generator: Generator,
) -> Tensor:
    """The background on the field's canvas, (H, W) float32 ≥ 0, as sharp as the columns are.

    Parameters
    ----------
    width : sigma of a lone peak, Å.
    generator : source of random numbers of the film's speckle; the image is made on its device.
    """
    device, canvas, sigma = generator.device, view.canvas, width / view.sampling
    total = torch.full(canvas, background.constant, device=device)
    if any(background.ramp):
        down, right = background.ramp
        total += down * torch.linspace(0, 1, canvas[0], device=device)[:, None]
        total += right * torch.linspace(0, 1, canvas[1], device=device)
    if background.matrix:
        rows, cols = (torch.arange(n).double().numpy() - view.margin for n in canvas)
        thickness = specimen.thickness(rows[:, None] * view.sampling, cols * view.sampling)
        matrix = torch.from_numpy(background.matrix * thickness).float().to(device)
        total += _blurred(matrix, sigma)
    if len(background.waves):
        waves = torch.from_numpy(background.waves).float().to(device)[None]
        sampling = torch.tensor([view.sampling], device=device)
        total += imaging.sum_of_waves(waves, sampling, canvas, origin=-view.margin)[0]
    if len(background.blobs):
        blobs = torch.from_numpy(background.blobs).float().to(device)
        y, x, height, size = blobs.T[:, None]
        pixel = view.sampling
        y, x = y / pixel + view.margin, x / pixel + view.margin
        total += imaging.gaussians(y, x, height, size / pixel, canvas)[0]
    if background.speckle:
        film = _blurred(torch.randn(canvas, generator=generator, device=device), sigma)
        total += background.speckle * (film / film.std() + 2.0)
    if background.texture is not None:
        total += torch.from_numpy(background.texture).float().to(device)
    return total.clamp_min(0.0)


def _blurred(image: Tensor, sigma: float) -> Tensor:
    """Convolved with a Gaussian of `sigma` pixels, periodic."""
    ky = torch.fft.fftfreq(image.shape[0], device=image.device)[:, None]
    kx = torch.fft.rfftfreq(image.shape[1], device=image.device)
    fall = -2 * (torch.pi * sigma) ** 2
    transfer = fading(fall * ky**2) * fading(fall * kx**2)
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * transfer, s=image.shape)
    return blurred
