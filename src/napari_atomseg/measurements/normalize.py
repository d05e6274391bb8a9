"""Detector normalization, the step before counts are compared with a library."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from napari_atomseg._shared.types import Array
from napari_atomseg.analysis.counting.normalization import beam_level, vacuum_level
from napari_atomseg.analysis.counting.normalization import normalize as normalized
from napari_atomseg.io import read_image
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Needs, Role, measurement
from napari_atomseg.measurements.report import ImageMarks, Report, number, plural
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

BELOW = 3.0
"""Standard deviations of the vacuum below zero that pixels may have."""


class NormalizeSettings(MeasurementSettings):
    """Settings of the normalization of a detector."""

    beam: float | None = setting(
        None,
        "Beam level",
        "Signal of the full beam on the detector, in intensity.",
        limits=(-1e12, 1e12),
        none="from the detector scan",
    )
    detector: Annotated[str, Role.IMAGE] = setting(
        "",
        "Detector scan",
        "Image file of the detector that the beam has scanned, with the same gain: the beam level "
        "is the mean over its active area.",
    )
    exponent: float = setting(
        0.0,
        "Flux exponent",
        "The detector scan is weighted by the distance from its centre to the minus this power, as "
        "more is scattered to small angles; 0 for an even detector.",
        limits=(0.0, 10.0),
        step=0.5,
    )
    vacuum: float | None = setting(
        None,
        "Vacuum level",
        "Signal without a specimen, in intensity. Automatic: the region, or pixels farther than "
        "two spacings from every column.",
        limits=(-1e12, 1e12),
        none="automatic",
    )
    region: tuple[float, float, float, float] | None = setting(
        None,
        "Vacuum region",
        "Rows and columns (y0 x0 y1 x1) of a region without specimen.",
        unit="px",
        none="none",
    )
    flat: Annotated[str, Role.IMAGE] = setting(
        "",
        "Flat field",
        "Image file of an even illumination, without its dark level, by which the image is "
        "divided.",
    )

    def without_effect(self) -> tuple[str, ...]:
        """Return what a level that is given makes needless."""
        given = ("detector", "exponent") if self.beam is not None else ()
        return given + (("region",) if self.vacuum is not None else ())


@measurement("Detector normalization", columns=Needs.OPTIONAL, image=Needs.REQUIRED, order=105)
def normalize(
    observation: Observation,
    settings: NormalizeSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Signal of a detector in fractions of the incident beam.

    A library of cross-sections is in fractions of the beam: normalize the image first, and
    integrate the result. The result is the normalized image.
    """
    if observation.image is None:
        raise ValueError("choose the image that is to be normalized")
    report(progress, cancel, 0, 1, "Normalizing")
    image = np.asarray(observation.image, dtype=np.float64)
    dark = None
    if settings.beam is not None:
        beam, source = settings.beam, "as given"
    elif settings.detector:
        scan = np.asarray(read_image(settings.detector).data)
        beam, dark = beam_level(scan, settings.exponent)
        source = "the mean of the detector scan"
    else:
        raise ValueError("the beam level is needed, or else an image of the scanned detector")
    vacuum, error, where = _vacuum(image, observation, settings)
    flat = np.asarray(read_image(settings.flat).data) if settings.flat else None
    result = normalized(image, vacuum=vacuum, beam=beam, flat=flat)
    known = result[np.isfinite(result)]
    low, middle, high = np.percentile(known, [1, 50, 99])
    lines = [
        f"vacuum level {number(vacuum, error)}, {where}",
        f"beam level {number(beam)}, {source}",
        f"image from {low:.4g} to {high:.4g} of the beam (1 to 99 %), median {middle:.4g}",
    ]
    if dark is not None and abs(dark - vacuum) > 0.01 * (beam - vacuum):
        lines.append(
            f"The detector scan is {number(dark)} beside the detector, {abs(dark - vacuum):.3g} "
            "from the vacuum of the image: were gain and brightness the same?"
        )
    inside = _columns_within(observation, settings)
    if inside:
        lines.append(
            f"Caution: {plural(inside, 'column')} in the region: it is no vacuum, and its level is "
            "too high."
        )
    if high > 1.0:
        lines.append("Pixels have more than the whole beam: the beam level is too low.")
    spread = 1.4826 * np.median(np.abs(known[known < 0])) if np.any(known < 0) else 0.0
    if np.mean(known < -BELOW * max(spread, 1e-12)) > 0.05:
        lines.append("Many pixels lie below the vacuum: its level is too high.")
    mark = ImageMarks(
        "normalized",
        result,
        max(float(high), 1e-12),
        label="normalized",
        on_image=True,
        signed=False,
    )
    record = {"vacuum": float(vacuum), "beam": float(beam)}
    return Report(
        tuple(lines),
        marks=(mark,),
        record=record,
        headline=f"image at {middle:.4g} of the beam",
        basis=f"median; 98 % of pixels from {low:.4g} to {high:.4g}",
    )


def _columns_within(observation: Observation, settings: NormalizeSettings) -> int:
    """Columns in the region that was taken for vacuum."""
    if settings.vacuum is not None or settings.region is None or not observation.aligned:
        return 0
    y0, x0, y1, x1 = settings.region
    y, x = observation.columns["y"], observation.columns["x"]
    return int((y.between(y0, y1) & x.between(x0, x1)).sum())


def _vacuum(
    image: Array, observation: Observation, settings: NormalizeSettings
) -> tuple[float, float, str]:
    """Level, its standard error, and where it is from."""
    if settings.vacuum is not None:
        return settings.vacuum, float("nan"), "as given"
    if settings.region is not None:
        y0, x0, y1, x1 = (round(value) for value in settings.region)
        part = image[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1]
        part = part[np.isfinite(part)]
        if not len(part):
            raise ValueError(f"region={settings.region!r} holds no pixels")
        return float(part.mean()), float(part.std() / np.sqrt(len(part))), "the mean of the region"
    if observation.aligned and len(observation.columns) > 1:
        level, error = vacuum_level(image, observation.columns)
        return level, error, "far from all columns"
    raise ValueError(
        "the vacuum level is needed (--vacuum), a region without specimen (--region), or the "
        "columns, far from which the image is vacuum"
    )
