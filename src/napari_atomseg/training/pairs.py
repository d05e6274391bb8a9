"""Training examples: normalised images and the tasks' truth, of a source's pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.networks.tasks import TARGETS, normalise, normalised_targets
from napari_atomseg.training.sources import Pairs

JITTER = 0.35
"""Deviation (log) of a random gain on top of the normalisation: a crop's mean and deviation are not
those of the whole image that the network will meet."""


@dataclass(frozen=True)
class Examples:
    """A batch for the network.

    Attributes
    ----------
    image : (B, 1, H, W) normalised.
    targets : (B, C, H, W) truth of the tasks in the order of the channels, intensities in units of
        the image's deviation.
    weight : (B, C or 1, H or 1, W or 1) in 0..1, how much each pixel counts for each channel; None
        for all alike. It is 0 for channels of which the truth is not known.
    """

    image: Tensor
    targets: Tensor
    weight: Tensor | None = None

    def to(self, device: torch.device) -> Examples:
        """The same on another device."""
        weight = None if self.weight is None else self.weight.to(device)
        return Examples(self.image.to(device), self.targets.to(device), weight)


def examples(
    pairs: Pairs, tasks: Sequence[str], numbers: Sequence[int] = (), seed: int = 0
) -> Examples:
    """Examples of pairs.

    Parameters
    ----------
    pairs : B of them.
    tasks : in the order of the channels.
    numbers : those of the B samples in their stream; with the `seed` they give each sample its
        random gain and offset. Without numbers there are none.
    """
    image, mean, deviation = normalise(pairs.image)
    draws = np.zeros((len(pairs), 2))
    for row, number in enumerate(numbers):
        draws[row] = np.random.default_rng((seed, number, 2)).normal(size=2)
    gain, shift = (JITTER * torch.tensor(draws, dtype=torch.float32)).to(image.device).unbind(1)
    gain, shift = gain.exp()[:, None, None, None], shift[:, None, None, None]
    targets = normalised_targets(pairs.targets, mean, gain / deviation, shift, tasks)
    return Examples(image * gain + shift, targets, _weight(pairs, tasks))


def _weight(pairs: Pairs, tasks: Sequence[str]) -> Tensor | None:
    """How much each pixel counts for each channel, see `Examples`."""
    names = [TARGETS[task] for task in tasks]
    if pairs.known.keys().isdisjoint(names):
        return pairs.weight
    everywhere = torch.ones(len(pairs), dtype=torch.bool, device=pairs.image.device)
    known = torch.cat(
        [
            pairs.known.get(name, everywhere)[:, None].expand(-1, pairs.targets[name].shape[1])
            for name in names
        ],
        dim=1,
    )
    weight = known[:, :, None, None].to(pairs.image.dtype)
    return weight if pairs.weight is None else weight * pairs.weight
