"""Losses: small functions of prediction and target, and recipes that weigh and add them."""

from napari_atomseg.training.losses.adversarial import (
    least_squares_discriminator,
    least_squares_generator,
    relativistic_discriminator,
    relativistic_generator,
)
from napari_atomseg.training.losses.multi_task import (
    AnyTaskLoss,
    Restoration,
    TaskLosses,
    map_loss,
    multi_task_loss,
    require_fit,
    restoration_loss,
    usual_losses,
)
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
    "AnyTaskLoss",
    "Loss",
    "Losses",
    "Restoration",
    "TaskLosses",
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
    "require_fit",
    "restoration_loss",
    "ssim_loss",
    "usual_losses",
    "weighted_l1",
    "weighted_l2",
    "whiten",
    "whitening_loss",
]
