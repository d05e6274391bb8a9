"""Changes that an image and its truth bear alike, and that make few images more."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg.distortion.base import Fraction, NonNegativeRange
from napari_atomseg.networks.tasks import SUPERRESOLUTION_UNIT
from napari_atomseg.ranges import Part, PositiveRange, Range, log_uniform, uniform
from napari_atomseg.settings import setting
from napari_atomseg.training.sources.base import IMAGES, PairBatch, stacked

SECTION = "Augmentation"
"""Section of a form."""

Rng = np.random.Generator
NOISE_FREE, FLAT, SHARP = IMAGES
MIXED = (
    "augmentation: rotation and scale mix pixels, and a blind_spot source hides some; leave both "
    "out"
)
"""What is wrong with changes that interpolate between hidden pixels."""
SUPPORT = 6
"""Pixels more that bicubic interpolation needs, for both borders together."""


class Augmentation(Part):
    """Random changes of training pairs.

    Attributes
    ----------
    flips : mirror half of the images, and upside down half of them.
    right_angles : turn by a multiple of 90°.
    rotation : degrees, besides. As `scale`, it interpolates, which makes noise smoother.
    scale : magnification of lengths, its logarithm drawn evenly.
    gain : factor on intensities, its logarithm drawn evenly.
    offset : added to intensities, in units of the image's deviation.
    gamma : exponent of intensities between the image's darkest and brightest pixel, its logarithm
        drawn evenly.
    noise : deviation of Gaussian noise that is added to the image, relative to the image's.
    kept : share of the image's pixels that are not set to 0 (Chen et al. 2023: 0.3 and 0.7).
    """

    flips: bool = setting(
        True, "Flips", "Mirror half of the images, and turn half upside down.", section=SECTION
    )
    right_angles: bool = setting(
        True, "Right angles", "Turn images by multiples of 90°.", section=SECTION
    )
    rotation: Range = setting(
        (0.0, 0.0), "Rotation", "Lowest and highest angle of rotation.", unit="°", section=SECTION
    )
    scale: PositiveRange = setting(
        (1.0, 1.0), "Scale", "Lowest and highest magnification.", limits=(0.0, inf), section=SECTION
    )
    gain: PositiveRange = setting(
        (1.0, 1.0),
        "Gain",
        "Lowest and highest factor on intensities.",
        limits=(0.0, inf),
        section=SECTION,
    )
    offset: Range = setting(
        (0.0, 0.0),
        "Offset",
        "Lowest and highest offset of intensities, in units of the image's deviation.",
        section=SECTION,
    )
    gamma: PositiveRange = setting(
        (1.0, 1.0),
        "Gamma",
        "Lowest and highest exponent of intensities.",
        limits=(0.0, inf),
        section=SECTION,
    )
    noise: NonNegativeRange = setting(
        (0.0, 0.0),
        "Noise",
        "Lowest and highest deviation of added noise, relative to the image's.",
        limits=(0.0, inf),
        section=SECTION,
    )
    kept: Fraction = setting(
        (1.0, 1.0),
        "Pixels kept",
        "Lowest and highest share of the pixels that are not set to zero (AP-GAN: 0.3, 0.7).",
        limits=(0.0, 1.0),
        section=SECTION,
    )

    @property
    def interpolates(self) -> bool:
        """Whether pixels become mixtures of pixels; hidden ones (`BlindSpot`) must not."""
        return self.rotation != (0.0, 0.0) or self.scale != (1.0, 1.0)

    def size(self, crop: int) -> int:
        """Pixels that an image must have each way, so that `crop`² of it are full after any turn
        and scale.
        """
        if not self.interpolates:
            return crop
        low, high = self.rotation
        angles = np.radians(np.linspace(low, high, 1 + math.ceil(min(high - low, 360.0))))
        widest = float((np.abs(np.cos(angles)) + np.abs(np.sin(angles))).max())
        return math.ceil(crop * widest / self.scale[0]) + SUPPORT

    def apply(self, pairs: PairBatch, rngs: Sequence[Rng], crop: int | None = None) -> PairBatch:
        """Change each sample by random numbers of its own.

        Parameters
        ----------
        pairs : of square images, of `size(crop)` pixels each way if they shall be full.
        rngs : a generator a sample.
        crop : pixels that are kept each way about the middle; all by default.

        Raises
        ------
        ValueError
            Hidden pixels would be mixed with others.
        """
        parts = [
            self._one(pairs.rows(slice(row, row + 1)), rng, crop or pairs.image.shape[-1])
            for row, rng in enumerate(rngs)
        ]
        return stacked(parts)

    def _one(self, pairs: PairBatch, rng: Rng, crop: int) -> PairBatch:
        if pairs.blind and self.interpolates:
            raise ValueError(MIXED)
        pairs = self._placed(pairs, rng, crop)
        deviation = float(pairs.image.std(correction=0))
        gamma, gain = log_uniform(rng, self.gamma), log_uniform(rng, self.gain)
        pairs = bent(pairs, gamma)
        pairs = levelled(pairs, gain, uniform(rng, self.offset) * deviation)
        image = pairs.image
        noise, kept = uniform(rng, self.noise), uniform(rng, self.kept)
        if noise > 0:
            scale = noise * float(image.std(correction=0))
            image = image + scale * _random(rng.standard_normal, image)
        if kept < 1:
            image = torch.where(_random(rng.random, image) < kept, image, 0.0)
        return replace(pairs, image=image)

    def _placed(self, pairs: PairBatch, rng: Rng, crop: int) -> PairBatch:
        """Turned, mirrored and scaled, about the middle."""
        axes = [axis for axis in (-2, -1) if rng.random() < 0.5 and self.flips]
        turns = int(rng.integers(4)) * self.right_angles
        angle, scale = math.radians(uniform(rng, self.rotation)), log_uniform(rng, self.scale)

        def placed(image: Tensor, mode: Literal["bicubic", "bilinear"]) -> Tensor:
            image = torch.rot90(image.flip(axes), turns, (-2, -1))
            if self.interpolates:
                return _turned(image, angle, scale, crop, mode)
            start = (image.shape[-1] - crop) // 2
            return image[..., start : start + crop, start : start + crop]

        # Bicubic interpolation overshoots, which masks must not.
        intensities = {"": pairs.image} | {n: t for n, t in pairs.targets.items() if n in IMAGES}
        masks = {n: t for n, t in pairs.targets.items() if n not in IMAGES}
        if pairs.weight is not None:
            masks[""] = pairs.weight
        seen = _each(intensities, lambda image: placed(image, "bicubic"))
        drawn = _each(masks, lambda image: placed(image, "bilinear")) if masks else {}
        image, weight = seen.pop(""), drawn.pop("", None)
        found = seen | drawn
        targets = {name: found[name] for name in pairs.targets}
        return replace(pairs, image=image, targets=targets, weight=weight)


def _each(images: dict[str, Tensor], change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """The same change of several images (1, C, H, W), at once."""
    changed = change(torch.cat(list(images.values()), dim=1))
    counts = [image.shape[1] for image in images.values()]
    return dict(zip(images, torch.split(changed, counts, dim=1), strict=True))


def _turned(
    image: Tensor, angle: float, scale: float, crop: int, mode: Literal["bicubic", "bilinear"]
) -> Tensor:
    """`crop`² pixels about the middle of a square image (1, C, H, H), turned from x towards y and
    magnified; mirrored beyond its borders.
    """
    # From the pixels of the result to those of the image, in halves of their sides.
    reach = (crop - 1) / (image.shape[-1] - 1) / scale
    cosine, sine = reach * math.cos(angle), reach * math.sin(angle)
    theta = image.new_tensor([[cosine, sine, 0.0], [-sine, cosine, 0.0]])
    grid = functional.affine_grid(theta[None], [1, 1, crop, crop], align_corners=True)
    return functional.grid_sample(
        image, grid, mode=mode, padding_mode="reflection", align_corners=True
    )


def levelled(pairs: PairBatch, gain: float, offset: float) -> PairBatch:
    """Intensities times `gain` plus `offset`, which belongs to the background."""
    targets = {n: t * gain if n in IMAGES else t for n, t in pairs.targets.items()}
    if NOISE_FREE in targets:
        targets[NOISE_FREE] = targets[NOISE_FREE] + offset
    return replace(pairs, image=pairs.image * gain + offset, targets=targets)


def bent(pairs: PairBatch, gamma: float) -> PairBatch:
    """Intensities to the power of `gamma`, between the image's darkest and brightest pixel.

    What stands on a background is bent with it: its intensity is what it adds to the bent
    background.
    """
    if gamma == 1:
        return pairs
    low, high = pairs.image.aminmax()
    span = (high - low).clamp_min(1e-12)

    def curve(image: Tensor) -> Tensor:
        return low + span * ((image - low) / span).clamp(0.0, 1.0) ** gamma

    targets = dict(pairs.targets)
    flat, sharp = targets.get(FLAT), targets.get(SHARP)
    under = low.expand_as(pairs.image)
    if NOISE_FREE in targets:
        if flat is not None:
            under = targets[NOISE_FREE] - flat
        targets[NOISE_FREE] = curve(targets[NOISE_FREE])
    if flat is not None:
        targets[FLAT] = curve(under + flat) - curve(under)
    if sharp is not None:
        peak = curve(under + sharp / SUPERRESOLUTION_UNIT) - curve(under)
        targets[SHARP] = SUPERRESOLUTION_UNIT * peak
    return replace(pairs, image=curve(pairs.image), targets=targets)


def _random(draw: Callable[[tuple[int, ...]], NDArray[np.float64]], like: Tensor) -> Tensor:
    return torch.from_numpy(draw(tuple(like.shape))).to(like)
