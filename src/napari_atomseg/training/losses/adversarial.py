"""Adversarial losses of the discriminator's answers: the generator's and its own.

`real` are the answers to true images and `fake` those to generated ones, of one shape: a number
an image, or a map of patches (B, 1, h, w). In the discriminator's turn the generated images must
be detached from the generator. Every loss is a scalar in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch.nn.functional as functional
from pydantic import Field
from torch import Tensor

from napari_atomseg.ranges import Part
from napari_atomseg.training.losses.base import Weight


def _relative(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the relativistic average discriminator (r_em Eq. 2, 3): D(y, y_g), D(y_g, y)."""
    real, fake = real.float(), fake.float()
    return real - fake.mean(), fake - real.mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log(1 - D(y, y_g)) - E log D(y_g, y) of the relativistic average (r_em Eq. 12).

    `real` and `fake` are the discriminator's logits C(y) and C(y_g); averages run over the batch
    and all patches. 2 log 2 where the discriminator cannot
    distinguish them.
    """
    true, generated = _relative(real, fake)
    return functional.softplus(true).mean() + functional.softplus(-generated).mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log D(y, y_g) - E log(1 - D(y_g, y)) of the relativistic average (r_em Eq. 15).

    The generator's loss with `real` and `fake` exchanged.
    """
    return relativistic_generator(fake, real)


def least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    """½ E (D(y_g) - 1)²: the answer to generated images should be 1 (Mao et al. 2017, Eq. 9).

    The AP-GAN paper states squared errors for its discriminator and leaves the equations to its
    supplement; this is the usual form of such a loss. `real` is not used.
    """
    return 0.5 * (fake.float() - 1.0).square().mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """½ E (D(y) - 1)² + ½ E D(y_g)²: 1 for true and 0 for generated images (Mao et al. 2017)."""
    return 0.5 * ((real.float() - 1.0).square().mean() + fake.float().square().mean())


if TYPE_CHECKING:
    Answers = staticmethod[[Tensor, Tensor], Tensor]
else:  # Python takes parameters of a static method for checkers alone
    Answers = staticmethod
"""A loss of the discriminator's answers to true and to generated images."""


class Adversarial(Part):
    """The losses of a generator and a discriminator that are trained against each other.

    Attributes
    ----------
    kind : the tag that names it in a recipe.
    weight : factor of the generator's part in its sum of losses; the discriminator has no other
        loss.
    label : a few words for forms and tables.
    """

    kind: str
    weight: Weight = 1.0
    label: ClassVar[str]

    generator: ClassVar[Answers]
    """The generator's loss, before its weight."""
    discriminator: ClassVar[Answers]
    """The discriminator's loss."""


class Relativistic(Adversarial):
    """Relativistic average discriminator (r_em Eq. 2, 3, 12, 15); its answers are logits."""

    kind: Literal["relativistic"] = "relativistic"
    weight: Weight = 5e-4
    label: ClassVar[str] = "relativistic average (r_em)"
    generator: ClassVar[Answers] = staticmethod(relativistic_generator)
    discriminator: ClassVar[Answers] = staticmethod(relativistic_discriminator)


class LeastSquares(Adversarial):
    """Squared errors of the discriminator's answers (AP-GAN); 1 stands for true, 0 for false."""

    kind: Literal["least_squares"] = "least_squares"
    weight: Weight = 0.01
    label: ClassVar[str] = "least squares (AP-GAN)"
    generator: ClassVar[Answers] = staticmethod(least_squares_generator)
    discriminator: ClassVar[Answers] = staticmethod(least_squares_discriminator)


AnyAdversarial = Annotated[Relativistic | LeastSquares, Field(discriminator="kind")]
"""An adversarial loss of a recipe, told by its `kind`."""
