"""The commands that draw figures."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg._shared.sampling import Sampling, read_sampling
from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import Reading, with_settings
from napari_atomseg.settings import Settings, setting

figure = typer.Typer(help="Draw figures for papers, as PNG, SVG or PDF.", no_args_is_help=True)
app.add_typer(figure, name="figure")

Table = Annotated[
    Path, typer.Argument(help="Table of columns, in any format that `columns convert` reads.")
]
Result = Annotated[
    Path,
    typer.Option("--output", "-o", help="Figure file: .png, .svg or .pdf.", show_default=False),
]
ImageOption = Annotated[
    Path | None, typer.Option(help="Image that the arrows are drawn on.", show_default=False)
]
Unit = Annotated[
    str | None,
    typer.Option(help="Unit of the values; by default from their names.", show_default=False),
]


class SheetSettings(Settings):
    """Settings of every figure."""

    title: str = setting("", "Title", "Title of the figure.")
    width: float = setting(
        89.0, "Width", "Width of the figure: one column is 89, two are 183.", unit="mm"
    )
    dpi: float = setting(
        300.0, "Resolution", "Dots per inch in PNG, and for images in SVG and PDF."
    )


class FigureSettings(SheetSettings):
    """Settings of a figure of an image or of its columns."""

    sampling: Sampling | None = setting(
        None,
        "Sampling",
        "Sampling, for the scale bar: one number, or along y and x.",
        unit="Å/px",
        none="from the files",
        read=read_sampling,
    )
    frame: int | None = setting(
        None, "Frame", "Frame of a stack, from 0.", limits=(0, inf), none="the only one"
    )
    dataset: str | None = setting(
        None,
        "Data set",
        "Data set of an image file with several, by its name or by its number, from 0.",
        none="the first image",
    )


class PageSettings(FigureSettings):
    """Settings of a figure over the width of a page."""

    width: float = setting(
        183.0, "Width", "Width of the figure: one column is 89, two are 183.", unit="mm"
    )


@figure.callback()
def group() -> None:
    """Draw figures for papers, as PNG, SVG or PDF."""


@figure.command()
@with_settings(FigureSettings)
def overlay(
    image: Annotated[Path, typer.Argument(help="Image file.")],
    output: Result,
    table: Annotated[
        Path | None, typer.Argument(help="Table of columns.", show_default=False)
    ] = None,
    colour_by: Annotated[
        str | None,
        typer.Option(help="Column of the table that sets the colours.", show_default=False),
    ] = None,
    unit: Unit = None,
    **options: Any,
) -> None:
    """Columns drawn on their image."""
    with session([output], (image, table)):
        from napari_atomseg import figures
        from napari_atomseg.io import read_columns

        read = _reading(options).plane(image)
        columns = None if table is None else read_columns(table)
        drawn = figures.overlay(
            read.data,
            columns,
            colour_by=colour_by,
            unit=unit,
            **_drawing(options, sampling=read.sampling),
        )
        _finish(drawn, output, options, "overlay", image, {"table": table, "colour_by": colour_by})


@figure.command()
@with_settings(FigureSettings)
def vectors(
    table: Table,
    output: Result,
    image: ImageOption = None,
    names: Annotated[
        str | None,
        typer.Option(
            help="Y,X: columns of the table with the vectors; by default dy_pm,dx_pm or similar.",
            show_default=False,
        ),
    ] = None,
    colour_by: Annotated[str, typer.Option(help="Colours show direction or length.")] = "direction",
    magnify: Annotated[
        float | None,
        typer.Option(help="Magnification of the arrows; by default to fit.", show_default=False),
    ] = None,
    unit: Unit = None,
    **options: Any,
) -> None:
    """Vectors at columns drawn as arrows."""
    with session([output], (table, image)):
        from napari_atomseg import figures
        from napari_atomseg.io import read_columns

        pair = None if names is None else tuple(names.split(","))
        if pair is not None and len(pair) != 2:
            raise ValueError(f"--names {names}: give two names, y first, as dy_pm,dx_pm")
        pixels, scale = None, options["sampling"]
        if image is not None:
            read = _reading(options).plane(image)
            pixels, scale = read.data, read.sampling
        drawn = figures.vector_map(
            read_columns(table),
            pixels,
            vectors=pair,
            unit=unit,
            colour_by=colour_by,
            magnify=magnify,
            **_drawing(options, sampling=scale),
        )
        _finish(drawn, output, options, "vectors", table, {"image": image, "names": names})


@figure.command()
@with_settings(SheetSettings)
def histogram(
    table: Table,
    output: Result,
    of: Annotated[str, typer.Option(help="Columns of the table: NAME or NAME,NAME.")] = "volume",
    bins: Annotated[
        int | None,
        typer.Option(
            help="Number of bins; by default by the Freedman-Diaconis rule.", show_default=False
        ),
    ] = None,
    fit: Annotated[str, typer.Option(help="Curve to fit: normal or none.")] = "normal",
    unit: Unit = None,
    **options: Any,
) -> None:
    """Histogram of values of a table."""
    with session([output], [table]):
        from napari_atomseg import figures
        from napari_atomseg.io import read_columns

        drawn = figures.histogram(
            read_columns(table),
            of.split(","),
            unit=unit,
            bins=bins,
            fit=fit,
            **_drawing(options),
        )
        _finish(drawn, output, options, "histogram", table, {"of": of, "bins": bins})


@figure.command()
@with_settings(PageSettings)
def strain(
    source: Annotated[
        list[Path],
        typer.Argument(help="A table with eps_xx, eps_yy…, or an image file for each of them."),
    ],
    output: Result,
    percent: Annotated[
        bool,
        typer.Option(
            help="The images hold strain in %, as layers in napari do; by default as fractions."
        ),
    ] = False,
    limit: Annotated[
        float | None,
        typer.Option(
            help="Largest strain on the colour scale, %; by default to fit.", show_default=False
        ),
    ] = None,
    **options: Any,
) -> None:
    """Maps of strain and rotation."""
    with session([output], source):
        from napari_atomseg import figures
        from napari_atomseg.io import IMAGE_SUFFIXES, read_columns

        images = [path for path in source if path.suffix.lower() in IMAGE_SUFFIXES]
        maps: Any
        if not images and len(source) == 1:
            maps, scale = read_columns(source[0]), options["sampling"]
        elif len(images) == len(source):
            read = {path.stem: _reading(options).plane(path) for path in images}
            maps = {
                name: each.data / 100.0 if percent and "rotation" not in name else each.data
                for name, each in read.items()
            }
            scale = next(iter(read.values())).sampling
        else:
            raise ValueError("give one table, or images, such as eps_xx.tif eps_yy.tif")
        drawn = figures.strain_map(maps, limit=limit, **_drawing(options, sampling=scale))
        _finish(drawn, output, options, "strain", source[0], {"limit": limit, "percent": percent})


@figure.command()
@with_settings(SheetSettings)
def density(
    table: Annotated[
        Path, typer.Argument(help="Table of a density, as `measure bonds` writes it.")
    ],
    output: Result,
    around: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Y X of the vector in the middle; by default all.", show_default=False),
    ] = None,
    reach: Annotated[
        float | None,
        typer.Option(
            help="How far the figure reaches from there; by default a tenth of the vector.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of the vectors.")] = "Å",
    **options: Any,
) -> None:
    """Two-dimensional density of bond vectors."""
    with session([output], [table]):
        import pandas as pd

        from napari_atomseg import figures

        try:
            read = pd.read_csv(table, comment="#")
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ValueError(f"{table} is no table of a density: {error}") from error
        drawn = figures.density_map(
            read, around=around, reach=reach, unit=unit, **_drawing(options)
        )
        _finish(drawn, output, options, "density", table, {"around": around, "reach": reach})


def _drawing(options: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The options of a command as keywords of a function that draws."""
    apart = ("dpi", "dataset")
    return {name: value for name, value in options.items() if name not in apart} | more


def _reading(options: dict[str, Any]) -> Reading:
    return Reading(options["dataset"], options["frame"], options["sampling"])


def _finish(
    drawn: Any,
    output: Path,
    options: dict[str, Any],
    kind: str,
    source: Path,
    settings: dict[str, Any],
) -> None:
    from napari_atomseg.figures import save
    from napari_atomseg.io import provenance

    save(
        drawn,
        output,
        dpi=options["dpi"],
        metadata=provenance(f"figure {kind}", source.name, settings),
    )
    print_line(f"{source}: {kind} → {output}")
