"""What stands around a network: how images are scaled for it, and what its channels mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_atomseg.networks import maps
from napari_atomseg.networks.card import WeightsError
from napari_atomseg.networks.tasks import RESTORATION, spans

STANDARD = "zero mean and unit standard deviation of the image"
RANGE = "range of the image from 0 to 1, finished maps"


class Scheme:
    """Zero mean and unit deviation; the channels are corrections and logits, see `maps.compose`."""

    def normalise(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, H, W) scaled images, and the offset and scale that were taken."""
        return maps.normalise(image)

    def pooled(self, parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
        """Offset and scale of an image from those of parts of it of the same size."""
        offset = sum(mean for mean, _ in parts) / len(parts)
        square = sum(mean**2 + deviation**2 for mean, deviation in parts) / len(parts)
        return offset, max(square - offset**2, 1e-24) ** 0.5

    def compose(self, output: Tensor, image: Tensor, tasks: Sequence[str]) -> Tensor:
        """Channels (B, C, H, W) to maps in the units of the scaled image, and logits."""
        return maps.compose(output, image, tasks)

    def denormalise(
        self, composed: Tensor, offset: Tensor, scale: Tensor, tasks: Sequence[str]
    ) -> Tensor:
        """These maps on the scale of the image, and probabilities."""
        return maps.denormalise(composed, offset, scale, tasks)

    def probability(self, channel: Tensor) -> Tensor:
        """Probabilities from a channel of columns."""
        return torch.sigmoid(channel)


class Range(Scheme):
    """Images from 0 to 1, whose channels are the finished maps: AtomSegNet's published weights.

    Lin et al. (Sci. Rep. 11, 5386, 2021) scale the grey values of an image to the full range of
    its format. Their maps of intensities are on that scale, those of columns from 0 to 1.
    """

    def normalise(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, H, W) images from 0 to 1, their least values and ranges."""
        low = image.amin(dim=(1, 2, 3), keepdim=True)
        scale = (image.amax(dim=(1, 2, 3), keepdim=True) - low).clamp_min(1e-12)
        return (image - low) / scale, low, scale

    def pooled(self, parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
        """The least value of all parts, and the range of all."""
        low = min(least for least, _ in parts)
        return low, max(max(least + span for least, span in parts) - low, 1e-12)

    def compose(self, output: Tensor, image: Tensor, tasks: Sequence[str]) -> Tensor:
        """The channels, which are maps already."""
        return output

    def denormalise(
        self, composed: Tensor, offset: Tensor, scale: Tensor, tasks: Sequence[str]
    ) -> Tensor:
        """Intensities on the scale of the image, those without background from zero on."""
        parts = []
        for task, place in spans(tasks, composed.shape[1]).items():
            part = composed[:, place]
            if task not in RESTORATION:
                parts.append(self.probability(part))
            else:
                parts.append(part * scale + (offset if task == "denoise" else 0.0))
        return torch.cat(parts, dim=1)

    def probability(self, channel: Tensor) -> Tensor:
        """The channel, from 0 to 1."""
        return channel.clamp(0.0, 1.0)


SCHEMES: dict[str, type[Scheme]] = {STANDARD: Scheme, RANGE: Range}


def scheme(normalisation: str) -> Scheme:
    """The scheme that a model card names.

    Raises
    ------
    WeightsError
        There is none of that name.
    """
    if normalisation not in SCHEMES:
        raise WeightsError(
            f"the model's normalisation is {normalisation!r}, which is not known here: a later "
            "version of napari-atomseg may read it"
        )
    return SCHEMES[normalisation]()
