"""The commands that draw figures: each is one call of one function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg.cli.commands import app
from napari_atomseg.cli.options import one_image, print_line
from napari_atomseg.cli.session import session

figure = typer.Typer(help="Draw figures for papers, as PNG, SVG or PDF.", no_args_is_help=True)
app.add_typer(figure, name="figure")

Table = Annotated[Path, typer.Argument(help="Table of columns, in any format of `columns`.")]
Result = Annotated[
    Path, typer.Option("--output", "-o", help=".png, .svg or .pdf.", show_default=False)
]
ImageOption = Annotated[
    Path | None, typer.Option(help="Image below the arrows.", show_default=False)
]
Pixel = Annotated[
    float | None,
    typer.Option(help="Å per pixel; by default what the files say.", show_default=False),
]
Unit = Annotated[
    str | None, typer.Option(help="Of the values, where names do not say.", show_default=False)
]
Frame = Annotated[int | None, typer.Option(help="Of a stack.", show_default=False)]
Title = Annotated[str, typer.Option(help="Above the figure.", show_default=False)]
Width = Annotated[float, typer.Option(help="Of the figure, mm: 89 is one column, 183 are two.")]
Dots = Annotated[float, typer.Option(help="Dots per inch of PNG, and of images in SVG and PDF.")]


@figure.callback()
def group() -> None:
    """Draw figures for papers, as PNG, SVG or PDF."""


@figure.command()
def overlay(
    image: Annotated[Path, typer.Argument(help="Image file.")],
    output: Result,
    table: Annotated[
        Path | None, typer.Argument(help="Table of columns.", show_default=False)
    ] = None,
    colour_by: Annotated[
        str | None, typer.Option(help="Column of the table.", show_default=False)
    ] = None,
    unit: Unit = None,
    sampling: Pixel = None,
    frame: Frame = None,
    title: Title = "",
    width: Width = 89.0,
    dpi: Dots = 300.0,
) -> None:
    """Columns on their image."""
    with session():
        from napari_atomseg import figures
        from napari_atomseg.io import read_columns

        pixels, scale = one_image(image, sampling, frame)
        columns = None if table is None else read_columns(table)
        drawn = figures.overlay(
            pixels,
            columns,
            sampling=scale,
            colour_by=colour_by,
            unit=unit,
            frame=frame,
            title=title,
            width=width,
        )
        _finish(drawn, output, dpi, "overlay", image, {"table": table, "colour_by": colour_by})


@figure.command()
def vectors(
    table: Table,
    output: Result,
    image: ImageOption = None,
    names: Annotated[
        str | None,
        typer.Option(
            help="Y,X: columns of the table with the vectors; by default dy_pm,dx_pm and the like.",
            show_default=False,
        ),
    ] = None,
    colour_by: Annotated[str, typer.Option(help="direction or length.")] = "direction",
    magnify: Annotated[
        float | None,
        typer.Option(help="Drawn over true length; by default to fit.", show_default=False),
    ] = None,
    unit: Unit = None,
    sampling: Pixel = None,
    frame: Frame = None,
    title: Title = "",
    width: Width = 89.0,
    dpi: Dots = 300.0,
) -> None:
    """Vectors of columns as arrows."""
    with session():
        from napari_atomseg import figures
        from napari_atomseg.io import read_columns

        pair = None if names is None else tuple(names.split(","))
        if pair is not None and len(pair) != 2:
            raise ValueError(f"--names {names}: give two names, y first, as dy_pm,dx_pm")
        pixels, scale = (None, sampling) if image is None else one_image(image, sampling, frame)
        drawn = figures.vector_map(
            read_columns(table),
            pixels,
            vectors=pair,
            unit=unit,
            sampling=scale,
            colour_by=colour_by,
            magnify=magnify,
            frame=frame,
            title=title,
            width=width,
        )
        _finish(drawn, output, dpi, "vectors", table, {"image": image, "names": names})


@figure.command()
def histogram(
    table: Table,
    output: Result,
    of: Annotated[str, typer.Option(help="Columns of the table: NAME or NAME,NAME.")] = "volume",
    bins: Annotated[
        int | None, typer.Option(help="By default after Freedman-Diaconis.", show_default=False)
    ] = None,
    fit: Annotated[str, typer.Option(help="normal or none.")] = "normal",
    unit: Unit = None,
    title: Title = "",
    width: Width = 89.0,
    dpi: Dots = 300.0,
) -> None:
    """How often values of a table occur."""
    with session():
        from napari_atomseg import figures
        from napari_atomseg.io import read_columns

        drawn = figures.histogram(
            read_columns(table),
            of.split(","),
            unit=unit,
            bins=bins,
            fit=fit,
            title=title,
            width=width,
        )
        _finish(drawn, output, dpi, "histogram", table, {"of": of, "bins": bins})


@figure.command()
def strain(
    source: Annotated[
        list[Path],
        typer.Argument(help="A table with eps_xx, eps_yy…, or an image file for each of them."),
    ],
    output: Result,
    percent: Annotated[
        bool,
        typer.Option(help="The images hold strain in %, as layers of napari do, no pure numbers."),
    ] = False,
    limit: Annotated[
        float | None,
        typer.Option(
            help="Largest strain of the colours, %; by default to fit.", show_default=False
        ),
    ] = None,
    sampling: Pixel = None,
    frame: Frame = None,
    title: Title = "",
    width: Width = 183.0,
    dpi: Dots = 300.0,
) -> None:
    """Strain and rotation in colours."""
    with session():
        from napari_atomseg import figures
        from napari_atomseg.io import IMAGE_SUFFIXES, read_columns

        images = [path for path in source if path.suffix.lower() in IMAGE_SUFFIXES]
        maps: Any
        if not images and len(source) == 1:
            maps, scale = read_columns(source[0]), sampling
        elif len(images) == len(source):
            read = {path.stem: one_image(path, sampling, frame) for path in images}
            maps = {
                name: pixels / 100.0 if percent and "rotation" not in name else pixels
                for name, (pixels, _) in read.items()
            }
            scale = next(iter(read.values()))[1]
        else:
            raise ValueError("give one table, or images, such as eps_xx.tif eps_yy.tif")
        drawn = figures.strain_map(
            maps, sampling=scale, limit=limit, frame=frame, title=title, width=width
        )
        _finish(drawn, output, dpi, "strain", source[0], {"limit": limit, "percent": percent})


def _finish(
    drawn: Any, output: Path, dpi: float, kind: str, source: Path, settings: dict[str, Any]
) -> None:
    from napari_atomseg.figures import save
    from napari_atomseg.io import provenance

    save(drawn, output, dpi=dpi, metadata=provenance(f"figure {kind}", source.name, settings))
    print_line(f"{source}: {kind} → {output}")
