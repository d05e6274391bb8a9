"""The smallest errors of columns that the noise allows."""

from __future__ import annotations

from typing import Literal

from napari_atomseg.localization import column_bounds
from napari_atomseg.measurements.integrals import NoiseSettings
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import measurement
from napari_atomseg.measurements.report import Report, plural
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

_NAMES = ("y", "x", "sigma", "amplitude", "background", "volume")


class BoundSettings(NoiseSettings):
    """Settings of bounds."""

    shape: tuple[int, int] | None = setting(
        None,
        "Image size",
        "Rows and columns of the image: bounds of all columns together, whose light overlaps; by "
        "default of each column alone.",
        unit="px",
        limits=(1, 1_000_000),
        none="none",
    )
    widths: Literal["free", "shared"] = setting(
        "free", "Widths", "Widths of columns that are fitted together."
    )
    backgrounds: Literal["local", "shared"] = setting(
        "local", "Backgrounds", "Backgrounds of columns that are fitted together."
    )

    def without_effect(self) -> tuple[str, ...]:
        """Return what columns alone do not have."""
        return ("widths", "backgrounds") if self.shape is None else ()


@measurement("Bounds of the precision", order=120)
def bounds(
    observation: Observation,
    settings: BoundSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Cramér-Rao bounds: the smallest errors of position and volume that the noise allows.

    The columns need the features of a Gaussian fit. The result is the table of columns with a bound
    for each.
    """
    options = dict(settings)
    report(progress, cancel, 0, 1, "Computing bounds")
    table = column_bounds(observation.columns, options.pop("shape"), **options)
    middle = table[["y_bound", "x_bound"]].median()
    text = f"y {middle['y_bound']:.4f}, x {middle['x_bound']:.4f} px"
    lines = [f"median bound: {text}"]
    if observation.sampling is not None:
        y, x = 100 * middle[["y_bound", "x_bound"]] * observation.pixel
        text = f"y {y:.3g}, x {x:.3g} pm"
        lines.append(f"   {text}")
    lines.append(f"of {plural(int(table['y_bound'].notna().sum()), 'column')}")
    return Report(
        tuple(lines),
        columns=table,
        features=tuple(f"{name}_bound" for name in _NAMES),
        colour_by="x_bound",
        headline=f"at best {text}",
        basis="median of the smallest standard errors that the noise allows",
    )
