"""Images in figures: contrast, proportions, scale bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_size

PERCENTILES = (0.5, 99.8)
"""Percentiles of the intensities shown as black and white."""
BARS = tuple(digit * 10.0**power for power in range(-2, 7) for digit in (1, 2, 5))
"""Lengths of scale bars, Å."""

_LAYOUTS = 4
"""Iterations of the layout: colour bars grow with the image and take room from it."""
_AT_FIRST = 1.5
"""Inches added to the height at first, as room for titles and bars in the first layout."""
_WIDE = 0.6
"""Height over width below which a colour bar beside the image has no room for its label."""
_LONGEST = 0.3
"""Largest length of a scale bar over the width of the image."""


def single_image(image: ArrayLike, name: str = "image") -> NDArray[Any]:
    """Check that an array is a single image (H, W) of real numbers.

    Raises
    ------
    ValueError
        It is not.
    """
    array = np.asarray(image)
    if array.ndim != 2 or array.dtype.kind not in "buif" or 0 in array.shape:
        raise ValueError(
            f"{name} must be a single image (H, W) of real numbers, not {array.dtype} of shape "
            f"{array.shape}"
        )
    return array


def draw_image(axes: Axes, image: NDArray[Any], limits: tuple[float, float] | None = None) -> None:
    """Draw grey values, NaN as white, without frame; the axes are in pixels."""
    finite = image[np.isfinite(image)]
    low, high = limits or (np.percentile(finite, PERCENTILES) if finite.size else (0.0, 1.0))
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-12), interpolation="nearest")
    frame(axes, image.shape)


def frame(axes: Axes, shape: tuple[int, ...]) -> None:
    """Set axes for an image of this shape: rows downwards, no ticks."""
    axes.set(xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5))
    axes.set_axis_off()


def true_proportions(axes: Axes, sampling: Sampling | None) -> float:
    """Set the aspect of non-square pixels; returns height over width of a pixel."""
    if sampling is None:
        ratio = 1.0
    else:
        dy, dx = pixel_size(sampling)
        ratio = dy / dx
    axes.set_aspect(ratio)
    return ratio


def fit_height(figure: Figure, panels: Sequence[Axes], proportion: float) -> None:
    """Set the height of a figure to that of its images and labels, without blank bands.

    Parameters
    ----------
    panels : axes of the images, in one row.
    proportion : height of an image over its width, as drawn.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    aspects = [panel.get_aspect() for panel in panels]
    # With a fixed aspect the layout would use the room left by the image for its title.
    for panel in panels:
        panel.set_aspect("auto")
    figure.set_figheight(figure.get_figheight() + _AT_FIRST)
    for _ in range(_LAYOUTS):
        engine.execute(figure)
        room, (width, height) = panels[0].get_position(), figure.get_size_inches()
        figure.set_figheight(height * (1.0 - room.height) + width * room.width * proportion)
    for panel, aspect in zip(panels, aspects, strict=True):
        panel.set_aspect(aspect)


def bar_place(proportion: float) -> dict[str, Any]:
    """Keyword arguments of a colour bar beside an image, or below one that is wide."""
    place = "right" if proportion > _WIDE else "bottom"
    return {"location": place, "shrink": 0.8, "aspect": 30}


def scale_bar(axes: Axes, sampling: Sampling | None, shape: tuple[int, ...]) -> None:
    """Draw a bar of a round length in the lower left corner, where the sampling is known."""
    if sampling is None:
        return
    dy, dx = pixel_size(sampling)
    height, width = shape
    length = max((bar for bar in BARS if bar <= _LONGEST * width * dx), default=BARS[0])
    across = min(height * dy, width * dx)
    x, y = 0.05 * across / dx, height - 1 - 0.05 * across / dy
    thick = max(0.015 * across, 0.006 * width * dx) / dy
    axes.add_patch(
        Rectangle((x, y - thick), length / dx, thick, fc="white", ec="black", lw=0.4, zorder=5)
    )
    axes.text(
        x + 0.5 * length / dx,
        y - 1.6 * thick,
        length_text(length),
        color="white",
        ha="center",
        va="bottom",
        weight="bold",
        zorder=5,
        path_effects=[withStroke(linewidth=1.2, foreground="black")],
    )


def length_text(length: float) -> str:
    """A length in Å as text in a suitable unit.

    Examples
    --------
    >>> length_text(0.5), length_text(5.0), length_text(20.0), length_text(5e4)
    ('50 pm', '5 Å', '2 nm', '5 µm')
    """
    for factor, unit, above in ((1e4, "µm", 1e4), (10.0, "nm", 10.0), (1.0, "Å", 1.0)):
        if length >= above:
            return f"{length / factor:g} {unit}"
    return f"{length * 100:g} pm"
