"""Strain and rotation as images, from the fringes of an image."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.analysis import geometric_phase
from napari_atomseg.measurements.observation import ALL, Observation
from napari_atomseg.measurements.registry import Needs, measurement
from napari_atomseg.measurements.report import NO_SAMPLING, Report, number
from napari_atomseg.measurements.strain import (
    AXES,
    COMPONENTS,
    ReferenceSettings,
    strain_headline,
    strain_images,
    strain_lines,
)
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import setting

APART = 4e-3
"""Disagreement of reflections, as a strain, from which on it is said."""


class PhaseSettings(ReferenceSettings):
    """Settings of geometric phase analysis."""

    resolution: float | None = setting(
        None,
        "Averaged over",
        "Sigma of the Gaussian that phases are averaged over. Automatic: 0.8 periods.",
        unit="px",
        limits=(0.0, 1e4),
        step=1.0,
        decimals=1,
        none="automatic",
    )


@measurement("Strain, geometric phase", columns=Needs.OPTIONAL, image=Needs.REQUIRED, order=60)
def gpa(
    observation: Observation,
    settings: PhaseSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Strain and rotation as images, by geometric phase analysis.

    Of the two strongest fringes of the image. Columns on the image's pixels give the lattice and
    take the strain at their places. The result is an image of each component.
    """
    if observation.image is None:
        raise ValueError("geometric phase analysis needs the image: choose it above")
    placed = observation.aligned and len(observation.columns) > 0
    if not placed and (settings.x_axis in ("a", "b") or settings.reference_columns != ALL):
        raise ValueError("the image does not have the columns' pixels: choose their own image")
    image = np.asarray(observation.image)
    sited = observation.on_sites(progress, cancel) if placed else observation
    region = _region(observation, settings, image.shape)
    maps = geometric_phase(
        image,
        sited.lattice if placed else None,
        # That of columns on other pixels is not that of the image.
        observation.sampling if placed or observation.columns.empty else None,
        reference=region,
        resolution=settings.resolution,
        x_axis=settings.axis,
        progress=progress,
        cancel=cancel,
    )
    values = {name: getattr(maps, name) for name in COMPONENTS}
    errors = {f"{name}_err": getattr(maps, f"{name}_err") for name in COMPONENTS}
    columns, features = None, {}
    if placed:
        features = _at_columns({f"gpa_{k}": v for k, v in values.items()}, observation.columns)
        columns = observation.columns.assign(**features)
    sigma = maps.resolution * float(observation.pixel.mean())
    apart = float(np.nanpercentile(maps.disagreement, 99))
    zero = "Zero: the mean of the whole image."
    lines = [
        *([NO_SAMPLING] if observation.sampling is None else []),
        *strain_lines(values | errors),
        "",
        f"averaged over {number(sigma, unit=observation.unit)} (sigma)",
        zero if region is None else "Zero: the mean of the reference region.",
        *(
            [
                f"Other reflections disagree by up to {100 * apart:.2g} %: part of the cell moves "
                "against the rest, which looks like strain here and is in the errors. Strain from "
                "positions tells them apart."
            ]
            if apart > APART
            else []
        ),
        AXES,
    ]
    headline, basis = strain_headline(
        values, "pixel", np.zeros(image.shape, bool) if region is None else region
    )
    return Report(
        tuple(lines),
        marks=strain_images(values, "GPA ", on_image=True),
        columns=columns,
        features=tuple(features),
        record={"resolution": maps.resolution, "reflections": maps.reflections.tolist()},
        headline=headline,
        basis=basis,
    )


def _region(
    observation: Observation, settings: PhaseSettings, shape: tuple[int, ...]
) -> Mask | None:
    """(H, W) pixels in the reference region and between the reference columns; None for all."""
    region: Mask | None = None
    if settings.reference is not None:
        y0, x0, y1, x1 = settings.reference
        y, x = np.ogrid[: shape[0], : shape[1]]
        region = (y >= y0) & (y <= y1) & (x >= x0) & (x <= x1)
    chosen = observation.within(None, settings.reference_columns)
    if chosen is not None:
        between = _between(observation.columns.loc[chosen, ["y", "x"]].to_numpy(), shape)
        region = between if region is None else region & between
    return region


def _between(points: Array, shape: tuple[int, ...]) -> Mask:
    from scipy.spatial import ConvexHull, QhullError
    from skimage.measure import grid_points_in_poly

    try:
        corners = points[ConvexHull(points).vertices]
    except QhullError:
        raise ValueError("the reference columns span no area: select more of them") from None
    return np.asarray(grid_points_in_poly(shape, corners), dtype=bool)


def _at_columns(maps: dict[str, Array], columns: pd.DataFrame) -> dict[str, Array]:
    """Values at the pixels of the columns; NaN outside of the image."""
    pixel = np.rint(columns[["y", "x"]].to_numpy()).astype(int)
    shape = next(iter(maps.values())).shape
    inside = np.all((pixel >= 0) & (pixel < shape), axis=1)
    y, x = np.where(inside[:, None], pixel, 0).T
    return {name: np.where(inside, image[y, x], np.nan) for name, image in maps.items()}
