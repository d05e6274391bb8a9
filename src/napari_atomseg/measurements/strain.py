"""Strain and rotation of a lattice, from the positions of columns."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import field_validator

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.analysis import strain as strain_of
from napari_atomseg.analysis.lattice.sites import assigned
from napari_atomseg.analysis.lattice.zero import unsheared
from napari_atomseg.measurements.observation import ALL, Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Needs, Role, measurement
from napari_atomseg.measurements.report import NO_SAMPLING, ImageMarks, Report, plural
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

COMPONENTS = {"eps_xx": "ε_xx", "eps_yy": "ε_yy", "eps_xy": "ε_xy", "rotation_deg": "rotation"}
"""Components of strain, and how they are written."""
AXES = (
    "x to the right, y up as the image is shown, rotation counter-clockwise; ε_xy is that of the "
    "tensor."
)
_BOUND = 99.0
"""Percentile of the absolute values at which the colours end."""
_SPREAD = (15.87, 50.0, 84.13)
"""Percentiles that stand one standard deviation from the middle of a normal distribution."""
_LEAST = 1e-4
"""The colours of strain end no nearer to zero than here, and those of rotation (°)."""


class ReferenceSettings(MeasurementSettings):
    """Settings of every measurement of strain."""

    reference: tuple[float, float, float, float] | None = setting(
        None,
        "Reference region",
        "Rows and columns (y0 x0 y1 x1) of the region whose mean strain is 0; by default all.",
        unit="px",
        none="all",
    )
    reference_columns: Annotated[str, Role.GROUP] = setting(
        ALL,
        "Reference columns",
        "Columns whose mean strain is 0: all, selected, or a feature and value, such as grain=1.",
    )
    x_axis: Annotated[str, Role.AXIS] = setting(
        "image",
        "x axis",
        "Direction of ε_xx: x of the image, a or b of the lattice, or degrees counter-clockwise "
        "from x of the image.",
    )

    @field_validator("x_axis", mode="before")
    @classmethod
    def _as_text(cls, x_axis: Any) -> Any:
        return f"{x_axis:.12g}" if isinstance(x_axis, Real) else x_axis

    @property
    def axis(self) -> str | float:
        """The x axis by name, or as an angle in degrees."""
        try:
            return float(self.x_axis)
        except ValueError:
            return self.x_axis


class StrainSettings(ReferenceSettings):
    """Settings of strain from positions."""

    radius: float | None = setting(
        None,
        "Fit radius",
        "Radius of the fit around each column. Automatic: 1.6 of the longer lattice vector.",
        unit="px",
        limits=(0.0, 1e4),
        step=1.0,
        decimals=1,
        none="automatic",
    )


@measurement("Strain, from positions", image=Needs.OPTIONAL, order=50)
def strain(
    observation: Observation,
    settings: StrainSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Strain and rotation about each column, from positions.

    The result is the table of columns with the strain about each and its standard error.
    """
    from napari_atomseg.figures.strain import nearest_values

    chosen = observation.within(settings.reference, settings.reference_columns)
    sited = observation.on_sites(progress, cancel, chosen)
    report(progress, cancel, 0, 1, "Fitting around each column")
    zero = unsheared(sited.columns, sited.known_lattice(), chosen)
    found = strain_of(
        assigned(sited.columns, sited.known_lattice()),
        zero,
        radius=settings.radius,
        x_axis=settings.axis,
    )
    if not np.isfinite(found["eps_xx"]).any():
        raise ValueError("no column has enough neighbours on sites: choose a larger fit radius")
    last = sited.columns[["y", "x"]].max()
    shape = observation.shape or (int(np.ceil(last["y"])) + 1, int(np.ceil(last["x"])) + 1)
    maps = nearest_values(found, list(COMPONENTS), shape, progress=progress, cancel=cancel)
    names = [*COMPONENTS, *(f"{name}_err" for name in COMPONENTS)]
    lines = [NO_SAMPLING] if observation.sampling is None else []
    lines.append(f"strain about {plural(int(found['eps_xx'].notna().sum()), 'column')}")
    lines += [*strain_lines({name: found[name] for name in names}), ""]
    whose = None if chosen is None else int(chosen.sum())
    lines += [zero_line(whose, apart=zero is not sited.known_lattice()), AXES]
    headline, basis = strain_headline(
        {name: found[name].to_numpy() for name in COMPONENTS},
        "column",
        np.zeros(len(found), bool) if chosen is None else chosen,
    )
    return Report(
        tuple(lines),
        marks=strain_images(maps),
        columns=found,
        features=tuple(names),
        headline=headline,
        basis=basis,
    )


def strain_headline(values: Mapping[str, Array], of: str, reference: Mask) -> tuple[str, str]:
    """Headline and basis of a report: the strain outside of the reference, where it is 0.

    Values of neighbours share columns or pixels, so that the scatter shows no standard error of
    their mean: what is given is how much they spread, by quantiles, which single misfits at a
    border hardly change.

    Parameters
    ----------
    of : what has values, "column" or "pixel".
    reference : which of them are the reference; where none or all are, all count.
    """
    outside = ~reference if reference.any() and not reference.all() else np.ones_like(reference)
    parts = []
    for name in ("eps_xx", "eps_yy"):
        here = 100.0 * values[name][outside]
        low, middle, high = np.percentile(here[np.isfinite(here)], _SPREAD)
        parts.append(f"{COMPONENTS[name]} = {middle:+.2f} ± {0.5 * (high - low):.2f} %")
    count = plural(int(np.isfinite(values["eps_xx"][outside]).sum()), of)
    where = " outside of the reference" if not outside.all() else ""
    basis = f"median ± half of what 68 % of {count}{where} span: a spread, no error"
    return ", ".join(parts), basis


def zero_line(reference: int | None, *, apart: bool) -> str:
    """Which columns have no strain on average.

    Parameters
    ----------
    reference : their number; None for all.
    apart : whether sublattices move against each other, see `unsheared`.
    """
    whose = "all columns"
    if reference is not None:
        whose = f"{plural(reference, 'column')} of the reference"
    if not apart:
        return f"Zero: the mean of {whose}."
    return (
        f"Zero: the median of {whose}. Sublattices do not share one lattice, as across a polar "
        "wall: their shifts are no strain."
    )


def strain_lines(values: Mapping[str, ArrayLike]) -> list[str]:
    """A line a component: its mean, how much it varies, and the error of one value."""
    lines = []
    for name, text in COMPONENTS.items():
        factor, unit = _drawn(name)
        here, error = factor * np.asarray(values[name]), factor * np.asarray(values[f"{name}_err"])
        here = here[np.isfinite(here)]
        if not len(here):
            raise ValueError("no strain could be measured: choose a smaller radius")
        low, high = np.percentile(here, [1, 99])
        one = float(np.nanmedian(error)) if np.isfinite(error).any() else np.nan
        lines.append(
            f"{text}: mean {here.mean():.2f}{unit}, error of one {one:.2g}{unit}\n"
            f"   from {low:.2f} to {high:.2f}{unit}"
        )
    return lines


def strain_images(
    maps: Mapping[str, Array], prefix: str = "", *, on_image: bool = False
) -> tuple[ImageMarks, ...]:
    """The components as images, the first one on top; strains have one scale of colours."""
    limit = _limit([maps[name] for name in COMPONENTS if name != "rotation_deg"])
    images = []
    for name in reversed(COMPONENTS):
        turned = name == "rotation_deg"
        factor, unit = _drawn(name)
        images.append(
            ImageMarks(
                name,
                maps[name],
                _limit([maps[name]]) if turned else limit,
                unit.strip(),
                factor,
                COMPONENTS[name],
                prefix,
                on_image,
                title="rotation, counter-clockwise" if turned else f"strain {COMPONENTS[name]}",
            )
        )
    return tuple(images)


def _drawn(name: str) -> tuple[float, str]:
    return (1.0, "°") if name == "rotation_deg" else (100.0, " %")


def _limit(images: list[Array]) -> float:
    values = np.abs(np.concatenate([image[np.isfinite(image)] for image in images]))
    return max(_LEAST, float(np.percentile(values, _BOUND)) if len(values) else 0.0)
