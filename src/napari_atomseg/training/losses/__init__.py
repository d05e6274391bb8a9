"""Losses: small functions of prediction and target, and recipes that weigh and add them."""

from napari_atomseg.training.losses.adversarial import (
    least_squares_discriminator,
    least_squares_generator,
    relativistic_discriminator,
    relativistic_generator,
)
from napari_atomseg.training.losses.multi_task import map_loss, multi_task_loss, restoration_loss
from napari_atomseg.training.losses.pixelwise import (
    chi_square,
    cross_entropy,
    deviation_loss,
    mean_loss,
    mean_squared_error,
    weighted_l1,
    weighted_l2,
)
from napari_atomseg.training.losses.recipe import (
    Adversarial,
    AnyAdversarial,
    AnyLoss,
    Loss,
    Losses,
    combined,
)
from napari_atomseg.training.losses.structure import (
    fourier_loss,
    psnr_loss,
    ssim_loss,
    whiten,
    whitening_loss,
)

__all__ = [
    "Adversarial",
    "AnyAdversarial",
    "AnyLoss",
    "Loss",
    "Losses",
    "chi_square",
    "combined",
    "cross_entropy",
    "deviation_loss",
    "fourier_loss",
    "least_squares_discriminator",
    "least_squares_generator",
    "map_loss",
    "mean_loss",
    "mean_squared_error",
    "multi_task_loss",
    "psnr_loss",
    "relativistic_discriminator",
    "relativistic_generator",
    "restoration_loss",
    "ssim_loss",
    "weighted_l1",
    "weighted_l2",
    "whiten",
    "whitening_loss",
]
