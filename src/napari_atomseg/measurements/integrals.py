"""Scattering cross-sections: integrals of an image over the share of each column."""

from __future__ import annotations

import numpy as np

from napari_atomseg.analysis import integrate_columns
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Needs, measurement
from napari_atomseg.measurements.report import NO_SAMPLING, Plot, Report, number, plural
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting


class NoiseSettings(MeasurementSettings):
    """Settings of every measurement that takes the noise of the image."""

    gain: float | None = setting(
        None,
        "Gain",
        "Intensity of one electron, for shot noise.",
        limits=(0.0, 1e12),
        none="no shot noise",
    )
    deviation: float = setting(
        0.0,
        "Other noise",
        "Standard deviation of further noise of a pixel, in intensity.",
        limits=(0.0, 1e12),
    )


class IntegralSettings(NoiseSettings):
    """Settings of integrals."""

    reach: float | None = setting(
        None,
        "Farthest pixel",
        "Distance from a column up to which pixels are its share. Automatic: to the corners of a "
        "typical share.",
        unit="px",
        limits=(0.0, 1e4),
        none="automatic",
    )
    background: float = setting(
        0.0, "Background", "Intensity without a specimen.", limits=(-1e12, 1e12)
    )


@measurement("Integrals of the image", image=Needs.REQUIRED, order=110)
def integrals(
    observation: Observation,
    settings: IntegralSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Integrate an image over the share of each column, as a library of cross-sections does.

    The share of a column is what is nearer to it than to any other. The image must be normalized to
    the beam for a library. The result is the table of columns with their integrals.
    """
    if observation.image is None or not observation.aligned:
        raise ValueError("choose the image whose pixels the columns lie on, to integrate it")
    report(progress, cancel, 0, 1, "Integrating")
    table = integrate_columns(np.asarray(observation.image), observation.columns, **dict(settings))
    area = "px²" if observation.sampling is None else "Å²"
    sections = table["integral"].to_numpy() * observation.pixel.prod()
    sections = sections[np.isfinite(sections)]
    lines = [NO_SAMPLING] if observation.sampling is None else []
    lines.append(f"{plural(len(sections), 'integral')} of {plural(len(table), 'column')}")
    headline, basis = "no column has its share inside the image", ""
    if len(sections):
        low, middle, high = np.percentile(sections, [1, 50, 99])
        headline = f"integral {number(middle)} (intensity times {area})"
        basis = (
            f"median of {plural(len(sections), 'column')}, which spread by "
            f"{number(sections.std())} (standard deviation)"
        )
        lines.append(
            f"median {number(middle)}, from {number(low)} to {number(high)} "
            f"(intensity times {area})"
        )
    return Report(
        tuple(lines),
        columns=table,
        features=tuple(name for name in ("integral", "integral_err") if name in table),
        colour_by="integral",
        plot=Plot({"integral": sections}, f"integral (intensity {area})", "columns"),
        headline=headline,
        basis=basis,
    )
