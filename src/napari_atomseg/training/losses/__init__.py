"""Losses: small functions of prediction and target, registered by name, and their weighted sums."""

from napari_atomseg.training.losses.adversarial import (
    Adversarial,
    AnyAdversarial,
    least_squares_discriminator,
    least_squares_generator,
    relativistic_discriminator,
    relativistic_generator,
)
from napari_atomseg.training.losses.base import KINDS, Loss, loss
from napari_atomseg.training.losses.lines import line_shift_loss
from napari_atomseg.training.losses.pixelwise import (
    chi_square,
    cross_entropy,
    deviation_loss,
    mean_loss,
    mean_squared_error,
    restoration_loss,
    weighted_l1,
    weighted_l2,
)
from napari_atomseg.training.losses.structure import (
    fourier_loss,
    psnr_loss,
    ssim_loss,
    whiten,
    whitening_loss,
)
from napari_atomseg.training.losses.tasks import (
    AnyLoss,
    Losses,
    combined,
    fits,
    multi_task_loss,
    usual_losses,
)

__all__ = [
    "KINDS",
    "Adversarial",
    "AnyAdversarial",
    "AnyLoss",
    "Loss",
    "Losses",
    "chi_square",
    "combined",
    "cross_entropy",
    "deviation_loss",
    "fits",
    "fourier_loss",
    "least_squares_discriminator",
    "least_squares_generator",
    "line_shift_loss",
    "loss",
    "mean_loss",
    "mean_squared_error",
    "multi_task_loss",
    "psnr_loss",
    "relativistic_discriminator",
    "relativistic_generator",
    "restoration_loss",
    "ssim_loss",
    "usual_losses",
    "weighted_l1",
    "weighted_l2",
    "whiten",
    "whitening_loss",
]
