"""The commands that convert tables of columns, and join those of a film."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import DatasetOption, FrameOption, Reading, SamplingOption, hooks

columns = typer.Typer(help="Convert and join tables of columns.", no_args_is_help=True)
app.add_typer(columns, name="columns")


@columns.callback()
def group() -> None:
    """Convert and join tables of columns."""


@columns.command()
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="CSV or other text, .mat (StatSTEM), .hdf5 (Atomap or this package), .xyz or .cif."
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(help="File to write: .csv, .xyz, .cif, or .hdf5 for Atomap and HyperSpy."),
    ],
    axes: Annotated[
        str | None,
        typer.Option(
            help="Order of the first two columns of a text file, yx or xy, or NAME,NAME: the "
            "columns with y and with x; by default from the names.",
            show_default=False,
        ),
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(help="Unit of positions in a text file: px, pm, Å, nm…", show_default=False),
    ] = None,
    origin: Annotated[
        float,
        typer.Option(
            help="Coordinate of the first pixel's centre in a text file, px: 1 for MATLAB."
        ),
    ] = 0.0,
    sampling: SamplingOption = None,
    image: Annotated[
        Path | None,
        typer.Option(
            help="Image of the columns: stored in HDF5, gives the box of .xyz and .cif, and the "
            "sampling where it is not given otherwise.",
            show_default=False,
        ),
    ] = None,
    dataset: DatasetOption = None,
    frame: FrameOption = None,
    elements: Annotated[
        str | None,
        typer.Option(
            help="Chemical symbol for .xyz and .cif, or KIND=SYMBOL,… by sublattice or species.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert a table of columns from one format to another."""
    with session([target], (source, image)):
        from napari_atomseg.io import provenance, read_columns, write_columns

        picture = None if image is None else Reading(dataset, frame).image(image)
        scale = picture.sampling if sampling is None and picture is not None else sampling
        order = axes.split(",") if axes is not None and "," in axes else axes
        table = read_columns(source, axes=order, units=units, sampling=scale, origin=origin)
        record = {}
        if "action" not in table.attrs:
            settings = {"axes": axes, "units": units, "origin": origin, "sampling": scale}
            record = provenance("convert", source.name, settings)
        kinds = elements
        if elements is not None and "=" in elements:
            kinds = dict(pair.split("=", 1) for pair in elements.split(","))  # type: ignore[assignment]
        pixels = None if picture is None else picture.data
        write_columns(target, table, record, image=pixels, elements=kinds)
        print_line(f"{source}: {len(table)} columns → {target}")


@columns.command()
def join(
    folder: Annotated[
        Path, typer.Argument(help="Folder of results of `run --frames` of one film.")
    ],
    target: Annotated[Path, typer.Argument(help="CSV to write.")],
    step: Annotated[
        str | None,
        typer.Option(
            help="Step of the workflow whose tables are joined; by default the first with tables.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            help="NAME,…: columns beside frame, y and x, or positions for none; by default all.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Join the tables of a film's frames into one, to measure tracks."""
    with session([target], (folder,)) as current:
        from napari_atomseg.workflow import join_frames

        names = ["frame"] if only == "positions" else [name for name in only.split(",") if name]
        count, total = join_frames(folder, target, step=step, columns=names, **hooks(current))
        current.clear()
        print_line(f"{folder}: {total} columns of {count} frames → {target}")
