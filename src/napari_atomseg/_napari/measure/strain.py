"""Strain from the positions of columns, and from the fringes of an image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._napari.columns.layers import COMPONENT
from napari_atomseg._napari.measure.lattice import known
from napari_atomseg._napari.measure.settings import COMPONENTS
from napari_atomseg._napari.measure.task import NO_SAMPLING, Drawing, Outcome, Task, number
from napari_atomseg.progress import CancelToken, Progress, report

SIGNED = "RdBu_r"
"""From blue over white at zero to red."""
_BOUND = 99.0
"""Percentile of the absolute values at which the colours end."""
_LEAST = 1e-4
"""The colours of strain end no nearer to zero than here, and those of rotation (°)."""


def strain(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    """Measure strain in the way that is chosen."""
    measure = _from_positions if task.settings.strain_from == "positions" else _from_phase
    return measure(task, progress, cancel)


def _from_positions(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    from napari_atomseg.analysis import find_lattice
    from napari_atomseg.analysis import strain as measure
    from napari_atomseg.figures.strain import nearest_values

    table, lattice = known(task, progress, cancel)
    if task.settings.reference == "selected":
        lattice = find_lattice(table[_chosen(task)], task.sampling)
        # Sites of another lattice would be another crystal's.
        table = table.drop(columns=["i", "j", "sublattice"])
    report(progress, cancel, 0, 1, "Fitting around each column")
    found = measure(table, lattice, radius=task.settings.reach, x_axis=task.settings.x_axis)
    if not np.isfinite(found["eps_xx"]).any():
        raise ValueError("no column has enough neighbours on sites: average over a larger radius")
    height, width = task.shape or (int(np.ceil(table[axis].max())) + 1 for axis in ("y", "x"))
    maps = nearest_values(
        found, list(COMPONENTS), (height, width), progress=progress, cancel=cancel
    )
    names = [*COMPONENTS, *(f"{name}_err" for name in COMPONENTS)]
    lines = _lines({name: found[name] for name in names})
    lines += ["", _reference(task), _AXES]
    return Outcome(
        tuple(lines),
        found[names],
        None,
        _drawings(maps, "", task, "columns"),
        lattice=task.lattice,
    )


def _from_phase(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    from napari_atomseg.analysis import geometric_phase

    if task.image is None:
        raise ValueError("geometric phase analysis needs the image: choose it above")
    lattice = None
    if task.aligned:
        _, lattice = known(task, progress, cancel)
    elif task.settings.x_axis != "image" or task.settings.reference == "selected":
        raise ValueError("the image does not have the columns' pixels: choose their own image")
    image = np.asarray(task.image)
    region = _region(task, image.shape) if task.settings.reference == "selected" else None
    maps = geometric_phase(
        image,
        lattice,
        task.sampling if task.aligned else None,
        reference=region,
        resolution=task.settings.reach,
        x_axis=task.settings.x_axis,
        progress=progress,
        cancel=cancel,
    )
    values = {name: getattr(maps, name) for name in COMPONENTS}
    errors = {f"{name}_err": getattr(maps, f"{name}_err") for name in COMPONENTS}
    drawings = _drawings(values, "GPA ", task, "image")
    features = None
    if task.aligned:
        features = _at_columns({f"gpa_{k}": v for k, v in values.items()}, task.columns)
    resolution = maps.resolution * float(task.pixel.mean())
    lines = [
        *([NO_SAMPLING] if task.sampling is None else []),
        *_lines(values | errors),
        "",
        f"averaged over {number(resolution, unit=task.unit)} (sigma)",
        _reference(task),
        _AXES,
    ]
    return Outcome(tuple(lines), features, None, drawings, lattice=task.lattice)


_AXES = "y points down; rotation is counter-clockwise."


def _reference(task: Task) -> str:
    if task.settings.reference == "selected":
        return f"Zero: the mean of the {int(task.selected.sum())} selected columns."
    return "Zero: the mean of all columns."


def _lines(values: Mapping[str, NDArray[np.float64] | pd.Series]) -> list[str]:
    """A line a component: its mean, how much it varies, and the error of one value."""
    lines = []
    for name, text in COMPONENTS.items():
        factor, unit = (1.0, "°") if name == "rotation_deg" else (100.0, " %")
        here, error = factor * np.asarray(values[name]), factor * np.asarray(values[f"{name}_err"])
        here = here[np.isfinite(here)]
        if not len(here):
            raise ValueError("the image shows no whole fringes: choose a smaller radius")
        low, high = np.percentile(here, [1, 99])
        one = float(np.nanmedian(error)) if np.isfinite(error).any() else np.nan
        lines.append(
            f"{text}: mean {here.mean():.2f}{unit}, error of one {one:.2g}{unit}\n"
            f"   from {low:.2f} to {high:.2f}{unit}"
        )
    return lines


def _drawings(maps: Mapping[str, NDArray], prefix: str, task: Task, on: str) -> tuple[Drawing, ...]:
    strains = [maps[name] for name in COMPONENTS if name != "rotation_deg"]
    bounds = dict.fromkeys(COMPONENTS, 100.0 * _bound(strains))
    bounds["rotation_deg"] = _bound([maps["rotation_deg"]])
    drawings = []
    for name in reversed(COMPONENTS):
        looks = {
            "colormap": SIGNED,
            "contrast_limits": (-bounds[name], bounds[name]),
            "visible": name == task.settings.component,
            "interpolation2d": "nearest",
        }
        turned = name == "rotation_deg"
        title = "rotation (°)" if turned else f"{name} (%)"
        picture = np.asarray(maps[name] * (1.0 if turned else 100.0), dtype=np.float32)
        says = {COMPONENT: name}
        drawings.append(Drawing("image", prefix + title, picture, looks, on=on, says=says))
    return tuple(drawings)


def _bound(images: list[NDArray]) -> float:
    values = np.abs(np.concatenate([image[np.isfinite(image)] for image in images]))
    return max(_LEAST, float(np.percentile(values, _BOUND)) if len(values) else 0.0)


def _chosen(task: Task) -> NDArray[np.bool_]:
    if not task.selected.any():
        raise ValueError("select the columns without strain in the points layer first")
    return task.selected


def _region(task: Task, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels between the selected columns."""
    from scipy.spatial import ConvexHull, QhullError
    from skimage.measure import grid_points_in_poly

    points = task.columns.loc[_chosen(task), ["y", "x"]].to_numpy()
    try:
        corners = points[ConvexHull(points).vertices]
    except QhullError:
        raise ValueError("the selected columns span no area: select more of them") from None
    return np.asarray(grid_points_in_poly(shape, corners))


def _at_columns(maps: Mapping[str, NDArray], columns: pd.DataFrame) -> pd.DataFrame:
    """Values of the pixels that columns stand on."""
    pixel = np.rint(columns[["y", "x"]].to_numpy()).astype(int)
    shape = next(iter(maps.values())).shape
    inside = np.all((pixel >= 0) & (pixel < shape), axis=1)
    y, x = np.where(inside[:, None], pixel, 0).T
    return pd.DataFrame(
        {name: np.where(inside, image[y, x], np.nan) for name, image in maps.items()}
    )
