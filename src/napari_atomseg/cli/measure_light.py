"""The commands that measure the light of columns, and how well it tells of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg.cli.app import print_line, session
from napari_atomseg.cli.measure import Frame, Pixel, Result, Table, measure
from napari_atomseg.cli.measure_tables import read, write
from napari_atomseg.cli.options import one_image

Gain = Annotated[
    float | None,
    typer.Option(help="Intensity of one electron; by default no shot noise.", show_default=False),
]
Deviation = Annotated[float, typer.Option(help="Further noise of a pixel, in intensity.")]


@measure.command()
def integrals(
    image: Annotated[Path, typer.Argument(help="Image, normalized to the beam for a library.")],
    table: Table,
    output: Result,
    reach: Annotated[
        float | None,
        typer.Option(help="Of a share, px; by default to the corners of a typical one."),
    ] = None,
    background: Annotated[float, typer.Option(help="Intensity without a specimen.")] = 0.0,
    gain: Gain = None,
    deviation: Deviation = 0.0,
    sampling: Pixel = None,
    frame: Frame = None,
) -> None:
    """Integrate an image over the share of each column, as a library of cross-sections does."""
    with session():
        from napari_atomseg.analysis import integrate_columns

        columns, scale = read(table, sampling, frame)
        data, scale = one_image(image, scale, frame)
        settings: dict[str, Any] = {"reach": reach, "background": background}
        settings |= {"gain": gain, "deviation": deviation}
        found = integrate_columns(data, columns, **settings)
        settings |= {"image": image.name, "sampling": scale}
        write(output, found, "integrals", table, settings)
        print_line(f"{table}: {int(found['integral'].notna().sum())} integrals → {output}")


@measure.command()
def bounds(
    table: Table,
    output: Result,
    shape: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Of the image, px: all columns together; by default each alone.",
            show_default=False,
        ),
    ] = None,
    widths: Annotated[str, typer.Option(help="Of columns together: free or shared.")] = "free",
    backgrounds: Annotated[
        str, typer.Option(help="Of columns together: local or shared.")
    ] = "local",
    gain: Gain = None,
    deviation: Deviation = 0.0,
    sampling: Pixel = None,
    frame: Frame = None,
) -> None:
    """Cramér-Rao bounds: the smallest errors of position and volume that the noise allows."""
    with session():
        from napari_atomseg.localization import column_bounds

        columns, scale = read(table, sampling, frame)
        settings: dict[str, Any] = {"widths": widths, "backgrounds": backgrounds}
        settings |= {"gain": gain, "deviation": deviation}
        found = column_bounds(columns, shape, **settings)
        write(output, found, "bounds", table, settings | {"shape": shape, "sampling": scale})
        middle = found[["y_bound", "x_bound"]].median()
        print_line(f"median bound: y {middle['y_bound']:.4f}, x {middle['x_bound']:.4f} px")
        print_line(f"{table}: {int(found['y_bound'].notna().sum())} columns → {output}")
