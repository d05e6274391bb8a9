"""The command that lays the frames of one field on each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_atomseg.alignment.settings import AVERAGE, AlignSettings
from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import (
    IMAGE,
    DatasetOption,
    Images,
    Output,
    Reading,
    SamplingOption,
    each_image,
    hooks,
    with_settings,
)

if TYPE_CHECKING:
    from napari_atomseg.io import MicroscopeImage

_SAME_PIXELS = 0.01
"""Relative difference of the pixels' sizes up to which files are of one field."""


@app.command()
@with_settings(AlignSettings)
def align(
    stacks: Images,
    output: Output = None,
    together: Annotated[
        bool,
        typer.Option(
            "--together", help="All files hold frames of one stack, in this order, such as a pair."
        ),
    ] = False,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="Also write all frames at their places.")
    ] = False,
    dataset: DatasetOption = None,
    sampling: SamplingOption = None,
    **chosen: Any,
) -> None:
    """Lay the frames of a stack on each other, and average them.

    Beside the average NAME.tif are written its standard error, NAME-error.tif; the number of frames
    in each pixel, NAME-frames.tif; the shifts, NAME.csv, and their plot, NAME.png; with lines
    NAME-lines.csv. `localize` reads from NAME.tif how far its pixels share their noise.
    """
    with session() as current:
        from napari_atomseg import align as compute
        from napari_atomseg._shared.files import digest
        from napari_atomseg._shared.outputs import check_outputs
        from napari_atomseg.figures import frame_shifts, save
        from napari_atomseg.io import provenance, write_image
        from napari_atomseg.io.columns.csv_table import write_csv

        reading = Reading(dataset, sampling=sampling)

        def work(image: MicroscopeImage, result: Path) -> str:
            if "channel" in image.axes:
                raise ValueError(
                    f"{image.name}: its images are those of detectors, not frames; align those of "
                    "one detector"
                )
            pixel = image.sampling
            made = compute(image.data, sampling=pixel, **chosen, **hooks(current))
            settings = {"sampling": pixel, **reading.chosen, **chosen}
            inputs = reading.inputs(image)
            record = provenance("align", image.name, settings, inputs=inputs) | made.record()

            def beside(ending: str) -> Path:
                return result.with_name(f"{result.stem}{ending}")

            def write(path: Path, data: Any, part: str) -> None:
                write_image(path, data, pixel, record | {"part": part, "result": digest(data)})

            write(result, made.average, AVERAGE)
            write(beside("-error.tif"), made.standard_error, "standard error")
            write(beside("-frames.tif"), made.frames, "frames")
            if aligned:
                write(beside("-aligned.tif"), made.stack(), "aligned")
            tables = {".csv": made.shifts}
            if made.lines is not None:
                tables["-lines.csv"] = made.lines
            for ending, table in tables.items():
                write_csv(beside(ending), table)
            drawn = frame_shifts(made.shifts, title=Path(image.name).name)
            save(drawn, result.with_suffix(".png"), metadata=record)
            return "; ".join(made.notes)

        if not together:
            each_image(current, stacks, output, f"-average{IMAGE}", reading, work)
            return
        joined = _joined([reading.image(path) for path in stacks])
        result = output or stacks[0].with_name(f"{stacks[0].stem}-average.tif")
        if result.is_dir():
            result /= f"{stacks[0].stem}-average.tif"
        check_outputs([result], stacks)
        result.parent.mkdir(parents=True, exist_ok=True)

        done = work(joined, result)
        current.clear()
        print_line(f"{len(stacks)} files: {done} → {result}")


def _joined(images: list[MicroscopeImage]) -> MicroscopeImage:
    """The frames of all images as one stack, with the scale of the first that has one.

    Raises
    ------
    ValueError
        Frames or pixels differ in size, or images are those of detectors.
    """
    import numpy as np

    from napari_atomseg._shared.units import pixel_size
    from napari_atomseg.io.inputs import INPUT

    shapes = sorted({image.data.shape[-2:] for image in images})
    if len(shapes) > 1:
        raise ValueError(f"the files have frames of different sizes: {shapes}")
    scaled = [image for image in images if image.sampling is not None]
    pixels = np.array([pixel_size(image.sampling) for image in scaled])
    if scaled and not np.allclose(pixels, pixels[0], rtol=_SAME_PIXELS):
        sizes = ", ".join(f"{image.name}: {image.sampling} Å" for image in scaled)
        raise ValueError(
            f"the files have pixels of different sizes ({sizes}); where that is wrong, give the "
            "right one by --sampling"
        )
    first = (scaled or images)[0]
    frames = [image.data.reshape(-1, *image.data.shape[-2:]) for image in images]
    channels = any("channel" in image.axes for image in images)
    # The record of a result says what single file it is of.
    metadata = {name: value for name, value in first.metadata.items() if name != INPUT}
    return replace(
        first,
        metadata=metadata,
        data=np.concatenate(frames),
        axes=("channel" if channels else "frame", *first.axes[-2:]),
        scales=((None, None), *first.scales[-2:]),
    )
