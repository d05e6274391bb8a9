"""The mean of a network's maps of an image and of its mirror images.

What a network makes of a mirror image, mirrored back, differs a little from what it makes of the
image: part of that is error, which is smaller in their mean (geometric self-ensemble; Lim et al.,
"Enhanced deep residual networks for single image super-resolution", CVPR Workshops 2017).
Faults of a scan lie along its lines: scanned images are mirrored only so that lines stay lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.progress import CancelToken, Progress, report

UNSCANNED = "TEM"
"""The modality of images that have no scan direction."""


@dataclass(frozen=True)
class View:
    """A mirror image: rows reversed, columns reversed, then both exchanged."""

    up: bool
    left: bool
    turned: bool = False

    def of(self, image: Tensor) -> Tensor:
        """The view of an image (..., H, W)."""
        seen = torch.flip(image, self._axes)
        return seen.transpose(-2, -1).contiguous() if self.turned else seen

    def back(self, maps: Tensor) -> Tensor:
        """Maps of the view as maps of the image."""
        return torch.flip(maps.transpose(-2, -1) if self.turned else maps, self._axes)

    @property
    def _axes(self) -> list[int]:
        return [axis for axis, flipped in ((-2, self.up), (-1, self.left)) if flipped]


def views(modality: str) -> tuple[View, ...]:
    """Views of an image of a modality: all eight of TEM, else the four that keep the lines."""
    turns = (False, True) if modality == UNSCANNED else (False,)
    return tuple(
        View(up, left, turned) for turned in turns for up in (False, True) for left in (False, True)
    )


def ensemble_mean(
    image: Tensor,
    modality: str,
    maps: Callable[[Tensor, Progress], Tensor],
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Tensor:
    """Mean of the maps of all views of an image.

    Parameters
    ----------
    image : (..., H, W).
    maps : makes the maps (..., H, W) of a view, finished: intensities, or probabilities.
    """
    every = views(modality)
    total = torch.zeros(())
    for number, view in enumerate(every):

        def within(done: int, parts: int, message: str, number: int = number) -> None:
            report(progress, cancel, number * parts + done, len(every) * parts, message)

        total = total + view.back(maps(view.of(image), within))
    return total / len(every)
