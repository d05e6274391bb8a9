"""The command that finds the size of a pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg.calibration.settings import CalibrationSettings
from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import (
    DatasetOption,
    FrameOption,
    Reading,
    SamplingOption,
    check_suffix,
    hooks,
    with_settings,
)

Found = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Image with the calibration; without it, it is only printed."
    ),
]


@app.command()
@with_settings(CalibrationSettings)
def calibrate(
    image: Annotated[Path, typer.Argument(help="Image file.")],
    output: Found = None,
    line: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(help="Ends y0 x0 y1 x1 of the line, px.", show_default=False),
    ] = None,
    columns: Annotated[
        Path | None,
        typer.Option(
            help="Table of the crystal's columns; by default they are localized.",
            show_default=False,
        ),
    ] = None,
    shear: Annotated[
        bool,
        typer.Option(
            "--shear",
            help="With a crystal: write the image on square pixels, without shear, and its "
            "columns beside it as NAME-columns.csv.",
        ),
    ] = False,
    dataset: DatasetOption = None,
    frame: FrameOption = None,
    sampling: SamplingOption = None,
    **chosen: Any,
) -> None:
    """Find the size of a pixel: as given, from a line, from the burnt-in bar, or from a crystal."""
    beside = None if output is None or not shear else _columns_of(output)
    with session((output, beside), (image, columns)) as current:
        from napari_atomseg import calibrate as compute
        from napari_atomseg.io import (
            provenance,
            read_columns,
            write_columns,
            write_image,
        )

        if output is not None:
            check_suffix(output)
        reading = Reading(dataset, frame, sampling)
        read = reading.image(image)
        by = chosen["by"]
        if by in ("bar", "crystal") and read.data.ndim > 2:
            raise ValueError(f"{image}: this is a stack; choose one of its images by --frame")
        if shear and by != "crystal":
            raise ValueError("--shear needs --by crystal: shear is seen by a known crystal alone")
        made = compute(
            read.data,
            line=None if line is None else [line[:2], line[2:]],
            columns=None if columns is None else read_columns(columns),
            sampling=read.sampling,
            **chosen,
            **hooks(current),
        )
        current.clear()
        print_line(f"{image}: {'; '.join(made.notes)}")
        if output is None:
            return
        settings = {"sampling": made.sampling, **reading.chosen, **chosen}
        record = provenance("calibrate", read.name, settings)
        if not shear or made.pixels is None:
            write_image(output, read, made.sampling, record)
            return
        straight, size, first = made.pixels.correct(read.data)
        write_image(output, straight, size, record)
        if made.columns is not None:
            table = made.pixels.correct_columns(made.columns, first)
            write_columns(_columns_of(output), table, record)


def _columns_of(output: Path) -> Path:
    """The file for the columns of a straightened image."""
    return output.with_name(f"{output.stem}-columns.csv")
