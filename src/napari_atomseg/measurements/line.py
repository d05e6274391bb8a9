"""The intensity of an image along a line."""

from __future__ import annotations

import numpy as np

from napari_atomseg.analysis import line_profile
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Needs, measurement
from napari_atomseg.measurements.report import NO_SAMPLING, Plot, PolygonMarks, Report, number
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting


class LineSettings(MeasurementSettings):
    """Settings of a line profile."""

    start: tuple[float, float] | None = setting(
        None,
        "Start",
        "Row and column (y x) of the start. Automatic: the middle of the left side.",
        unit="px",
        none="automatic",
    )
    end: tuple[float, float] | None = setting(
        None,
        "End",
        "Row and column (y x) of the end. Automatic: the middle of the right side.",
        unit="px",
        none="automatic",
    )
    width: float = setting(
        0.0,
        "Integration width",
        "Width across the line over which the intensity is averaged; in px without a sampling.",
        unit="Å",
        limits=(0.0, 1e5),
        step=1.0,
    )


@measurement("Line profile", columns=Needs.OPTIONAL, image=Needs.REQUIRED, order=115)
def line(
    observation: Observation,
    settings: LineSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Average the intensity of the image along a line, over a width across it.

    The result is a table with a row a step of a pixel, and standard errors by the scatter across
    the line.
    """
    if observation.image is None:
        raise ValueError("a line profile needs the image: choose it above")
    image = np.asarray(observation.image)
    height, width = image.shape[-2:]
    start = (0.5 * (height - 1), 0.0) if settings.start is None else settings.start
    end = (0.5 * (height - 1), width - 1.0) if settings.end is None else settings.end
    report(progress, cancel, 0, 1, "Averaging")
    found = line_profile(image, start, end, settings.width, observation.sampling)
    known = found["intensity"].to_numpy()
    known = known[np.isfinite(known)]
    if not len(known):
        raise ValueError(f"start={start!r}, end={end!r}: the line lies outside of the image")
    lines = [NO_SAMPLING] if observation.sampling is None else []
    length = found["distance"].iloc[-1]
    wide = f"{settings.width:g} {observation.unit} wide" if settings.width else "one pixel wide"
    lines.append(f"line of {length:.4g} {observation.unit}, {wide}")
    lines.append(f"intensity from {number(known.min())} to {number(known.max())}")
    error = found["intensity_err"].median()
    if np.isfinite(error):
        lines.append(f"error of a step, by the scatter across the line: {number(error)}")
    way = (np.asarray(end) - np.asarray(start)) * observation.pixel
    normal = np.array([-way[1], way[0]]) / np.hypot(*way)
    half = 0.5 * settings.width * normal / observation.pixel
    ends = np.array([start, end])
    corners = np.concatenate([ends + half, (ends - half)[::-1]]) if settings.width else ends
    marks = PolygonMarks(
        "line profile", [corners], 1.0, "#ffff00", closed=settings.width > 0, opacity=0.6
    )
    curve = (found["distance"].to_numpy(), found["intensity"].to_numpy())
    return Report(
        tuple(lines),
        {"Line profile": found},
        (marks,),
        result="Line profile",
        plot=Plot({"intensity": curve}, f"distance ({observation.unit})", "intensity"),
        headline=f"intensity from {number(known.min())} to {number(known.max())} along "
        f"{length:.4g} {observation.unit}",
    )
