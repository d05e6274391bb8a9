"""A network with its finished maps: what other programs are given in place of raw channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_atomseg import networks
from napari_atomseg.networks.card import ModelCard
from napari_atomseg.networks.schemes import scheme


class FinishedMaps(nn.Module):
    """(B, 1, H, W) scaled images → (B, C, H, W) maps of the tasks.

    Intensities are in the units of the scaled image, columns and species are probabilities, and
    displacements of lines are in pixels.

    Parameters
    ----------
    architecture, arguments : of the network, as on a model card.
    tasks : of its channels.
    normalisation : how images were scaled, see `schemes`.

    Raises
    ------
    ValueError, WeightsError
        A name is not known here.
    """

    def __init__(
        self,
        architecture: str,
        arguments: Mapping[str, Any],
        tasks: Sequence[str],
        normalisation: str,
    ) -> None:
        super().__init__()
        self.network = networks.create(architecture, **arguments)
        self.tasks = tuple(tasks)
        self.scheme = scheme(normalisation)

    @classmethod
    def of(cls, network: nn.Module, card: ModelCard) -> FinishedMaps:
        """The maps of a network that is there already."""
        with torch.device("meta"):
            made = cls(card.architecture, card.arguments, card.tasks, card.normalisation)
        made.network = network
        return made.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch of images, see the class."""
        composed = self.scheme.compose(self.network(x), x, self.tasks)
        return self.scheme.denormalise(composed, x.new_zeros(()), x.new_ones(()), self.tasks)
