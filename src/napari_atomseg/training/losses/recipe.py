"""Losses as parts of a recipe: which ones, how much each weighs, and their settings.

Default weights: 10 for `l1` and 5e-4 for `relativistic` are those of r_em's published training
code, which leaves its other terms at 0; the paper found weights by a grid search and prints none.
AP-GAN's are in a supplement of its paper. All others are chosen here by the gradients: those of
r_em's other terms are about a tenth of that of `l1`, for images of unit deviation, and those of
`ssim` and `psnr` are equal for noisy probability maps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal, Protocol, TypeVar

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from napari_atomseg.ranges import Part
from napari_atomseg.training.losses import adversarial, pixelwise, structure

Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
WindowSize = Annotated[int, Field(ge=2)]


class Loss(Part, ABC):
    """One term of a loss.

    Attributes
    ----------
    kind : the tag that names it in a recipe.
    weight : what it is multiplied by in a sum of losses.
    """

    kind: str
    weight: Weight = 1.0

    @abstractmethod
    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss before its weight: a scalar in float32 of two images (B, C, H, W)."""


class MeanSquaredError(Loss):
    """Mean squared error."""

    kind: Literal["mse"] = "mse"

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `pixelwise.mean_squared_error`."""
        return pixelwise.mean_squared_error(prediction, target)


class ChiSquare(Loss):
    """Modified chi-square of AtomSegNet."""

    kind: Literal["chi_square"] = "chi_square"
    least_peak: Positive = 0.1

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `pixelwise.chi_square`."""
        return pixelwise.chi_square(prediction, target, self.least_peak)


class WeightedL1(Loss):
    """Absolute error over the target's deviation (r_em Eq. 4)."""

    kind: Literal["l1"] = "l1"
    weight: Weight = 10.0
    least_deviation: Positive = pixelwise.LEAST_DEVIATION

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `pixelwise.weighted_l1`."""
        return pixelwise.weighted_l1(prediction, target, self.least_deviation)


class WeightedL2(Loss):
    """Squared error over the target's deviation (r_em Eq. 6)."""

    kind: Literal["l2"] = "l2"
    least_deviation: Positive = pixelwise.LEAST_DEVIATION

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `pixelwise.weighted_l2`."""
        return pixelwise.weighted_l2(prediction, target, self.least_deviation)


class Whitening(Loss):
    """Multi-local whitening transform (r_em Eq. 8)."""

    kind: Literal["whitening"] = "whitening"
    sizes: Annotated[tuple[WindowSize, ...], Field(min_length=1)] = structure.WINDOWS
    least_deviation: Positive = pixelwise.LEAST_DEVIATION

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `structure.whitening_loss`."""
        return structure.whitening_loss(prediction, target, self.sizes, self.least_deviation)


class Fourier(Loss):
    """Power of the error's spatial frequencies (r_em Eq. 9)."""

    kind: Literal["fourier"] = "fourier"
    gamma: Annotated[float, Field(gt=0.0, le=1.0)] = structure.GAMMA

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `structure.fourier_loss`."""
        return structure.fourier_loss(prediction, target, self.gamma)


class Mean(Loss):
    """Constraint of the mean intensity (r_em Eq. 10)."""

    kind: Literal["mean"] = "mean"

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `pixelwise.mean_loss`."""
        return pixelwise.mean_loss(prediction, target)


class Deviation(Loss):
    """Constraint of the standard deviation (r_em Eq. 11)."""

    kind: Literal["std"] = "std"

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `pixelwise.deviation_loss`."""
        return pixelwise.deviation_loss(prediction, target)


class StructuralSimilarity(Loss):
    """Structural similarity (AP-GAN)."""

    kind: Literal["ssim"] = "ssim"
    data_range: Positive = 1.0

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `structure.ssim_loss`."""
        return structure.ssim_loss(prediction, target, self.data_range)


class PeakSignalToNoise(Loss):
    """Peak signal-to-noise ratio in dB (AP-GAN)."""

    kind: Literal["psnr"] = "psnr"
    weight: Weight = 0.05
    data_range: Positive = 1.0
    ceiling: Positive = 60.0

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `structure.psnr_loss`."""
        return structure.psnr_loss(prediction, target, self.data_range, self.ceiling)


class CrossEntropy(Loss):
    """Binary cross-entropy; the prediction is logits."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    emphasis: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0

    def value(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `pixelwise.cross_entropy`."""
        return pixelwise.cross_entropy(prediction, target, self.emphasis)


class Adversarial(Part, ABC):
    """What generator and discriminator are trained for against each other.

    Attributes
    ----------
    kind : the tag that names it in a recipe.
    weight : what the generator's part is multiplied by in its sum of losses; the discriminator
        has no other loss.
    """

    kind: str
    weight: Weight = 1.0

    @abstractmethod
    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The generator's loss, before its weight, of the discriminator's two answers."""

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss of its two answers."""


class Relativistic(Adversarial):
    """Relativistic average discriminator (r_em Eq. 2, 3, 12, 15); its answers are logits."""

    kind: Literal["relativistic"] = "relativistic"
    weight: Weight = 5e-4

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `adversarial.relativistic_generator`."""
        return adversarial.relativistic_generator(real, fake)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `adversarial.relativistic_discriminator`."""
        return adversarial.relativistic_discriminator(real, fake)


class LeastSquares(Adversarial):
    """Squared errors of the discriminator's answers (AP-GAN); 1 stands for true, 0 for false."""

    kind: Literal["least_squares"] = "least_squares"
    weight: Weight = 0.01

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `adversarial.least_squares_generator`."""
        return adversarial.least_squares_generator(real, fake)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `adversarial.least_squares_discriminator`."""
        return adversarial.least_squares_discriminator(real, fake)


AnyLoss = Annotated[
    MeanSquaredError
    | ChiSquare
    | WeightedL1
    | WeightedL2
    | Whitening
    | Fourier
    | Mean
    | Deviation
    | StructuralSimilarity
    | PeakSignalToNoise
    | CrossEntropy,
    Field(discriminator="kind"),
]
"""A loss of a recipe, told by its `kind`."""
AnyAdversarial = Annotated[Relativistic | LeastSquares, Field(discriminator="kind")]
"""An adversarial loss of a recipe, told by its `kind`."""


class _Kind(Protocol):
    @property
    def kind(self) -> str: ...


Some = TypeVar("Some", bound=_Kind)


def distinct(losses: tuple[Some, ...]) -> tuple[Some, ...]:
    """The losses, no two of one kind.

    Raises
    ------
    ValueError
        Two are of one kind.
    """
    kinds = [loss.kind for loss in losses]
    if len(set(kinds)) < len(kinds):
        raise ValueError(f"losses {kinds} must be of different kinds")
    return losses


Losses = Annotated[tuple[AnyLoss, ...], Field(min_length=1), AfterValidator(distinct)]
"""The losses of a sum: at least one, and no kind twice."""


def combined(
    losses: Sequence[Loss], prediction: Tensor, target: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of losses, and each loss by itself.

    Parameters
    ----------
    losses : terms of different kinds, at least one (see `Losses`).
    prediction, target : (B, C, H, W) in any floating type.

    Returns
    -------
    The sum, a scalar in float32, and by kind each term before its weight, detached, on the
    prediction's device.
    """
    terms = {loss.kind: loss.value(prediction, target) for loss in losses}
    total = torch.stack([loss.weight * terms[loss.kind] for loss in losses]).sum()
    return total, {kind: term.detach() for kind, term in terms.items()}
