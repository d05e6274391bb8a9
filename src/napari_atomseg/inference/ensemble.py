"""The mean of a network's maps of an image and of its mirror images.

What a network makes of a mirror image, mirrored back, differs a little from what it makes of the
image: part of that is error, which is smaller in their mean (geometric self-ensemble; Lim et al.,
"Enhanced deep residual networks for single image super-resolution", CVPR Workshops 2017).
Faults of a scan lie along its lines: scanned images are mirrored only so that lines stay lines.

A network may also have learnt which way a line was scanned, from detectors that glow on or lines
that are pulled, or that a camera is read out by rows; of a mirror image it then makes something
else. Turned upside down, each line stays as it was: how much that changes is the network's own
uncertainty, and views that differ by much more are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_atomseg.progress import CancelToken, Progress, report

UNSCANNED = "TEM"
"""The modality of images that have no scan direction."""
AGREEING = 1.5
"""Difference of a view over that of the image upside down up to which it counts. On simulated
images it is 0.9 to 1.2 where the direction does not matter, and 2 to 11 where it does, as on one
of the pairs that r_em comes with, after which the limit was set."""


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
        View(up, left, turned) for turned in turns for left in (False, True) for up in (False, True)
    )


def ensemble_mean(
    image: Tensor,
    modality: str,
    maps: Callable[[Tensor, Progress], Tensor],
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Tensor:
    """Mean of the maps of the views of an image that agree, see above.

    Parameters
    ----------
    image : (..., H, W).
    maps : makes the maps (..., H, W) of a view, finished: intensities, or probabilities.
    """
    every = views(modality)
    first, allowed, counted = torch.zeros(()), 0.0, 0
    total = torch.zeros(())
    for number, view in enumerate(every):

        def within(done: int, parts: int, message: str, number: int = number) -> None:
            report(progress, cancel, number * parts + done, len(every) * parts, message)

        made = view.back(maps(view.of(image), within))
        if number == 0:
            first = made
        elif number == 1:
            allowed = AGREEING * _difference(made, first)
        elif _difference(made, first) > allowed:
            continue
        total, counted = total + made, counted + 1
    return total / counted


def _difference(maps: Tensor, first: Tensor) -> float:
    """Deviation of maps (..., C, H, W) from others, in theirs, mean over the channels."""
    axes = (-2, -1)
    own = first.std(dim=axes, correction=0).clamp_min(1e-12)
    return float(((maps - first).square().mean(dim=axes).sqrt() / own).mean())
